// What was used: by day as plots, by agent, model and session as tables whose rows narrow it down.
import { html, useEffect, useState } from "./lib.js";
import { get, path } from "./api.js";
import { changes } from "./state.js";
import { hrefOf, refine, route } from "./route.js";
import { many, money, plural, short } from "./format.js";
import { Plot } from "./plot.js";
import { Empty, Loading } from "./parts.js";

const SPANS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["all", "All"]];
const DAY = 86400000;

export function Usage() {
  const { query } = route.value;
  const days = query.get("days") || "30";
  const filter = { agent: query.get("agent"), model: query.get("model"), session: query.get("session") };
  const [found, set] = useState(null);
  const [problem, setProblem] = useState(null);
  const key = JSON.stringify([days, filter]);
  useEffect(() => {
    let current = true;
    const after = days === "all" ? undefined : new Date(Math.floor(Date.now() / DAY) * DAY - (Number(days) - 1) * DAY).toISOString();
    const by = (name, limit) => get(path("/v1/usage", { by: name, after, limit, ...filter }));
    Promise.all([by("day", 400), by("agent", 20), by("model", 20), by("session", 20)]).then(([day, agent, model, session]) => {
      if (current) { set({ day, agent, model, session }); setProblem(null); }
    }, (error) => current && setProblem(error));
    return () => { current = false; };
  }, [key, changes.value]);
  if (problem && !found) return html`<${Empty} title="Usage cannot be read"><p>${problem.message}</p><//>`;
  if (!found) return html`<${Loading} />`;
  const narrowed = Object.entries(filter).filter(([, value]) => value);
  return html`
    <section class="page usage" aria-label="Usage">
      <header class="top"><h1>Usage</h1>
        <div class="switch" role="group" aria-label="Time">${SPANS.map(([value, name]) => html`<button key=${value} aria-pressed=${days === value} onClick=${() => refine({ days: value })}>${name}</button>`)}</div></header>
      ${narrowed.length > 0 && html`<p class="narrowed">Only ${narrowed.map(([name, value]) => html`<button key=${name} class="tag" onClick=${() => refine({ [name]: "" })}>${name} ${name === "session" ? short(value) : value} ✕</button>`)}</p>`}
      <${Totals} total=${found.day.total} />
      ${found.day.total.runs === 0
        ? html`<${Empty} title="Nothing was used in this time"><p>As soon as an agent tells how many tokens it used, they are counted here, by day, agent, model and session.</p><//>`
        : html`<${Plots} days=${filled(found.day.items, days)} />
          <div class="tables">
            <${Sums} title="Agent" name="agent" report=${found.agent} /><${Sums} title="Model" name="model" report=${found.model} /><${Sums} title="Session" name="session" report=${found.session} />
          </div>`}
    </section>`;
}

function Totals({ total }) {
  const { usage } = total;
  const facts = [
    [total.cost === null ? "–" : money(total.cost), "cost", total.unpriced ? `and ${plural(total.unpriced, "run")} of unknown price` : ""],
    [many(total.tokens), "tokens", usage.cache_read_tokens ? `${Math.round((100 * usage.cache_read_tokens) / total.tokens)} % read from a cache` : ""],
    [many(usage.output_tokens || 0), "written", usage.reasoning_tokens ? `${many(usage.reasoning_tokens)} of them thoughts` : ""],
    [many(total.runs), total.runs === 1 ? "run" : "runs", ""],
  ];
  return html`<dl class="totals">${facts.map(([value, name, more]) => html`<div key=${name}><dt>${name}</dt><dd class="value">${value}</dd>${more && html`<dd class="quiet">${more}</dd>`}</div>`)}</dl>`;
}

// Every day of the time, also those on which nothing was used.
function filled(items, days) {
  const found = new Map(items.map((item) => [item.key, item]));
  const today = Math.floor(Date.now() / DAY) * DAY;
  const first = days === "all" ? Math.min(...items.map((item) => Date.parse(item.key)), today - 6 * DAY) : today - (Number(days) - 1) * DAY;
  const all = [];
  for (let at = first; at <= today; at += DAY) {
    const key = new Date(at).toISOString().slice(0, 10);
    all.push(found.get(key) || { key, runs: 0, tokens: 0, usage: {}, cost: null });
  }
  return all;
}

function Plots({ days }) {
  const of = (name) => (day) => day.usage[name] || 0;
  const tokens = [["cached", "--plot-3", of("cache_read_tokens")], ["input", "--plot-2", (day) => of("input_tokens")(day) + of("cache_write_tokens")(day)], ["output", "--plot-1", of("output_tokens")]];
  return html`
    <div class="plots">
      <${Plot} title="Tokens a day" days=${days} series=${tokens} format=${many} />
      <${Plot} title="US dollars a day" days=${days} series=${[["cost", "--plot-1", (day) => Number(day.cost || 0)]]} format=${(value) => `$${value < 10 ? value.toFixed(2) : Math.round(value)}`} />
      <${Plot} title="Runs a day" days=${days} series=${[["runs", "--plot-2", (day) => day.runs]]} format=${many} />
    </div>`;
}

function Sums({ title, name, report }) {
  const most = Math.max(...report.items.map((item) => item.tokens), 1);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Usage by ${name}"><table>
      <thead><tr><th>${title}</th><th class="number">Runs</th><th class="number">Tokens</th><th class="number">Cost</th></tr></thead>
      <tbody>${report.items.map((item) => html`
        <tr key=${item.key}><td class="wide"><${Name} name=${name} item=${item} /><span class="share"><span style=${{ width: `${(100 * item.tokens) / most}%` }}></span></span></td>
          <td class="number">${item.runs}</td><td class="number">${many(item.tokens)}</td><td class="number">${item.cost === null ? html`<span class="quiet">–</span>` : money(item.cost)}</td></tr>`)}</tbody></table></div>`;
}

function Name({ name, item }) {
  if (item.key === null) return html`<span class="quiet">not told</span>`;
  if (name === "session") return html`<a href=${hrefOf("sessions", item.key)}>${item.title || short(item.key)}</a>`;
  return html`<button class="plain link" title="Only this ${name}" onClick=${() => refine({ [name]: item.key })}>${item.key}</button>`;
}
