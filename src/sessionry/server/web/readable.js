// An event as a person reads it: what it is, of which run, by whom, and its data, each value in its own way.
import { html } from "./lib.js";
import { post } from "./api.js";
import { attempt, can } from "./state.js";
import { go, hrefOf, route } from "./route.js";
import { moment, short } from "./format.js";
import { Ansi, Diff, Json, Markdown } from "./text.js";

const PROSE = /^(message|reasoning|input)_/;

export function Readable({ event }) {
  const { id } = route.value;
  const fork = async () => {
    const made = await attempt(() => post(`/v1/sessions/${id}/fork`, { seq: event.seq }), `Forked after event ${event.seq}.`);
    if (made) go("sessions", made.id);
  };
  const facts = [["Event", event.seq], ["At", html`<time datetime=${event.at}>${moment(event.at)}</time>`], ["Run", event.run_id && html`<code title=${event.run_id}>${short(event.run_id)}</code>`],
    ["By", event.actor], ["Fence", event.fence || null],
    ["Of", event.session_id !== id && html`<a href=${hrefOf("sessions", event.session_id)}>${short(event.session_id)}</a>`]].filter(([, value]) => value || value === 0);
  const fields = Object.entries(event.data).filter(([, value]) => value !== null && !(typeof value === "object" && !Object.keys(value).length));
  return html`
    <section class="side readable" aria-label="Readable">
      <h2><span>${event.type}</span> <a class="button plain" href=${hrefOf("sessions", id, { seq: event.seq })}>In the transcript</a>${can("run") && event.session_id === id && html`<button class="plain" onClick=${fork}>Fork here</button>`}</h2>
      <dl>${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      ${fields.length === 0 && html`<p class="quiet">It says nothing more than that it happened.</p>`}
      ${fields.map(([name, value]) => html`<div key=${name} class="field"><h3>${name.replaceAll("_", " ")}</h3><${Value} type=${event.type} name=${name} value=${value} /></div>`)}
    </section>`;
}

function Value({ type, name, value }) {
  if (Array.isArray(value?.changes)) return value.changes.map((change) => html`<p><code>${change.path}</code></p><${Diff} text=${change.diff || ""} />`);
  if (typeof value === "object") return html`<${Json} value=${value} label=${name} />`;
  if (typeof value !== "string") return html`<p><code>${String(value)}</code></p>`;
  if (name === "text" && PROSE.test(type)) return html`<${Markdown} text=${value} />`;
  if (value.includes("\n") || value.includes("\x1b")) return html`<${Ansi} text=${value} label=${name} />`;
  return html`<p class="words">${value}</p>`;
}
