// The inbox of questions, what was used, and who works.
import { html, useEffect, useRef, useState } from "./lib.js";
import { all, get } from "./api.js";
import { approvals, changes, decide, hrefOf } from "./state.js";
import { ago, many, money, short, shown, Status, total } from "./format.js";
import { Decide } from "./session.js";
import uPlot from "./vendor/uplot.js";

// --- approvals: j and k move, a approves, d denies ------------------------------------------------------------------------

export function Inbox() {
  const items = approvals.value;
  const [at, setAt] = useState(0);
  const [history, setHistory] = useState([]);
  const current = Math.min(at, Math.max(items.length - 1, 0));
  useEffect(() => { all("/v1/approvals", { status: ["granted", "denied", "expired"] }, 200).then((found) => setHistory(found.reverse()), () => {}); }, [changes.value]);
  useEffect(() => {
    const pressed = (event) => {
      if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "j") setAt(Math.min(current + 1, items.length - 1));
      else if (event.key === "k") setAt(Math.max(current - 1, 0));
      else if (event.key === "a" && items[current]) decide(items[current], true);
      else if (event.key === "d" && items[current]) decide(items[current], false);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [items, current]);
  return html`
    <section class="page" aria-label="Approvals">
      <h1>Approvals <span class="quiet">${items.length} waiting · <kbd>j</kbd> <kbd>k</kbd> move, <kbd>a</kbd> approve, <kbd>d</kbd> deny</span></h1>
      ${items.length === 0 && html`<p class="empty">Nobody waits for you.</p>`}
      ${items.map((approval, index) => html`
        <article key=${approval.id} class="item question pending ${index === current ? "current" : ""}" aria-label="Approval" aria-current=${index === current ? "true" : undefined}>
          <h2 class="who"><a href=${hrefOf("sessions", approval.session_id)}>${short(approval.session_id)}</a> asks, ${ago(approval.requested_at)} ago</h2>
          <p><strong>${approval.tool_name}</strong>${approval.reason && html` — ${approval.reason}`}</p>
          <pre class="output" tabindex="0">${shown(approval.tool_input)}</pre>
          <${Decide} approval=${approval} />
        </article>`)}
      ${history.length > 0 && html`
        <h2>Before</h2>
        <div class="scroll" tabindex="0" role="region" aria-label="Decided approvals"><table><thead><tr><th>Decision</th><th>Tool</th><th>By</th><th>Note</th><th>Session</th><th class="number">When</th></tr></thead>
          <tbody>${history.slice(0, 100).map((one) => html`<tr key=${one.id}><td><${Status} value=${one.status} /></td><td>${one.tool_name}</td><td>${one.decided_by || ""}</td><td>${one.note || ""}</td><td><a href=${hrefOf("sessions", one.session_id)}>${short(one.session_id)}</a></td><td class="number">${ago(one.decided_at || one.requested_at)}</td></tr>`)}</tbody></table></div>`}
    </section>`;
}

// --- usage ----------------------------------------------------------------------------------------------------------------

export function Usage() {
  const [runs, setRuns] = useState(null);
  useEffect(() => { all("/v1/runs", {}, 5000).then(setRuns, () => setRuns([])); }, []);
  if (!runs) return html`<p class="empty">Loading …</p>`;
  const used = runs.filter((run) => run.started_at);
  const sums = (keyOf) => {
    const found = new Map();
    for (const run of used) {
      const key = keyOf(run) || "unknown";
      const sum = found.get(key) || { runs: 0, tokens: 0, cost: null };
      sum.runs++;
      sum.tokens += total(run.usage);
      if (run.cost !== null) sum.cost = (sum.cost || 0) + Number(run.cost);
      found.set(key, sum);
    }
    return [...found].sort((a, b) => b[1].tokens - a[1].tokens || b[1].runs - a[1].runs);
  };
  const days = sums((run) => run.started_at.slice(0, 10)).sort((a, b) => a[0].localeCompare(b[0]));
  return html`
    <section class="page" aria-label="Usage">
      <h1>Usage <span class="quiet">of the newest ${used.length} runs</span></h1>
      <div class="plots">
        <${Plot} title="Tokens a day" days=${days} of=${(sum) => sum.tokens} />
        <${Plot} title="US dollars a day" days=${days} of=${(sum) => sum.cost} />
        <${Plot} title="Runs a day" days=${days} of=${(sum) => sum.runs} />
      </div>
      <div class="tables">
        <${Sums} title="Agent" rows=${sums((run) => run.agent_id)} />
        <${Sums} title="Model" rows=${sums((run) => run.agent?.model)} />
        <${Sums} title="Session" rows=${sums((run) => run.session_id).slice(0, 20)} link />
      </div>
    </section>`;
}

function Plot({ title, days, of }) {
  const box = useRef(null);
  useEffect(() => {
    if (!days.length) return undefined;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--quiet"), accent = style.getPropertyValue("--accent");
    const axis = { stroke: ink, grid: { stroke: `${ink.trim()}33` }, ticks: { show: false } };
    const plot = new uPlot({
      title, width: box.current.clientWidth, height: 200, cursor: { y: false }, legend: { show: false },
      axes: [axis, { ...axis, size: 60, values: (_, values) => values.map((value) => (value >= 1000 ? many(value) : value)) }],
      series: [{}, { stroke: accent, fill: `${accent.trim()}44`, width: 2, points: { show: true } }],
      scales: { y: { range: (_, low, high) => [0, (high || 1) * 1.1] } },
    }, [days.map(([day]) => Date.parse(day) / 1000), days.map(([, sum]) => of(sum))], box.current);
    const element = box.current;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 200 }));
    observer.observe(element);
    return () => { observer.disconnect(); plot.destroy(); };
  }, [days]);
  return html`<figure class="plot" ref=${box} role="img" aria-label=${title}></figure>`;
}

function Sums({ title, rows, link }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Usage by ${title}"><table><thead><tr><th>${title}</th><th class="number">Runs</th><th class="number">Tokens</th><th class="number">Cost</th></tr></thead>
      <tbody>${rows.map(([name, sum]) => html`<tr key=${name}><td>${link ? html`<a href=${hrefOf("sessions", name)}>${short(name)}</a>` : name}</td><td class="number">${sum.runs}</td><td class="number">${many(sum.tokens)}</td><td class="number">${sum.cost === null ? "unknown" : money(sum.cost)}</td></tr>`)}</tbody></table></div>`;
}

// --- workers and queues -----------------------------------------------------------------------------------------------

export function Workers() {
  const [workers, setWorkers] = useState([]);
  const [queue, setQueue] = useState([]);
  useEffect(() => {
    get("/v1/workers").then((found) => setWorkers(found.items), () => {});
    all("/v1/runs", { status: ["pending", "running", "waiting"], order: "created" }, 500).then(setQueue, () => {});
  }, [changes.value]);
  return html`
    <section class="page" aria-label="Workers">
      <h1>Workers</h1>
      ${workers.length === 0 && html`<p class="empty">Nobody works. Start one with <code>sessionry worker</code>.</p>`}
      <div class="scroll" tabindex="0" role="region" aria-label="Table of workers"><table><thead><tr><th>Worker</th><th>Host</th><th class="number">Process</th><th>Runs</th><th>Agents</th><th class="number">Since</th><th>State</th></tr></thead>
        <tbody>${workers.map((worker) => html`<tr key=${worker.id}><td><code>${short(worker.id)}</code></td><td>${worker.host}</td><td class="number">${worker.pid}</td><td>${worker.runs} of ${worker.slots}</td><td>${worker.agents.join(", ")}</td><td class="number">${ago(worker.started_at)}</td><td>${worker.alive ? (worker.draining ? "draining" : "alive") : html`<span class="bad">lost</span>`}</td></tr>`)}</tbody></table></div>
      <h2>Queue <span class="quiet">${queue.length} unfinished runs, the oldest first</span></h2>
      <div class="scroll" tabindex="0" role="region" aria-label="Table of unfinished runs"><table><thead><tr><th>Status</th><th>Run</th><th>Session</th><th>Agent</th><th class="number">Attempt</th><th class="number">Age</th></tr></thead>
        <tbody>${queue.map((run) => html`<tr key=${run.id}><td><${Status} value=${run.status} /></td><td><code>${short(run.id)}</code></td><td><a href=${hrefOf("sessions", run.session_id)}>${short(run.session_id)}</a></td><td>${run.agent_id}</td><td class="number">${run.attempt}</td><td class="number">${ago(run.created_at)}</td></tr>`)}</tbody></table></div>
    </section>`;
}
