// Addresses that are told of events: which there are, how they do, and what they have not taken.
import { html, useEffect, useState } from "./lib.js";
import { call, get, path, post } from "./api.js";
import { attempt, can, changes, tell } from "./state.js";
import { hrefOf } from "./route.js";
import { ago, moment, plural, short } from "./format.js";
import { Dialog, Empty, Loading, Status } from "./parts.js";

const AGAIN = 3000; // milliseconds

export function Webhooks() {
  const [hooks, setHooks] = useState(null);
  const [problem, setProblem] = useState(null);
  const [secret, setSecret] = useState(null);
  const read = () => get("/v1/webhooks").then((found) => { setHooks(found.items); setProblem(null); }, setProblem);
  useEffect(() => { if (can("admin")) read(); }, [changes.value]);
  useEffect(() => { // what became of a notice is no event that the stream could tell
    const timer = setInterval(() => { if (can("admin") && !document.hidden) read(); }, AGAIN);
    return () => clearInterval(timer);
  }, []);
  if (!can("admin")) return html`<section class="page"><${Empty} title="Your token may not see webhooks"><p>One with the permission <code>admin</code> may.</p><//></section>`;
  if (problem && !hooks) return html`<section class="page"><${Empty} title="The webhooks cannot be read"><p>${problem.message}</p><//></section>`;
  if (!hooks) return html`<${Loading} />`;
  return html`
    <section class="page webhooks" aria-label="Webhooks">
      <header class="top"><h1>Webhooks</h1><p class="quiet">${plural(hooks.length, "address", "addresses")} told of what happens</p></header>
      <${Add} added=${(made) => { setSecret(made.secret); read(); }} />
      ${hooks.length === 0 && html`<${Empty} title="Nobody is told"><p>An address that is told when a run waits for a person, fails, or does anything else. Messages are signed (Standard Webhooks) and tried again until they are taken.</p><//>`}
      ${hooks.map((hook) => html`<${Hook} key=${hook.id} hook=${hook} read=${read} />`)}
      ${secret && html`
        <${Dialog} label="Secret" close=${() => setSecret(null)}><h2>The secret of the webhook</h2><p>The receiver verifies messages with it. It is shown now, and never again.</p><pre class="output" tabindex="0">${secret}</pre>
          <div class="row"><span class="grow"></span><button class="primary" data-first onClick=${() => setSecret(null)}>I have it</button></div><//>`}
    </section>`;
}

const USUAL = ["person_needed", "run_failed", "run_completed"];

function Add({ added }) {
  const [url, setUrl] = useState("");
  const [types, setTypes] = useState(USUAL.slice(0, 2).join(", "));
  const add = async (event) => {
    event.preventDefault();
    const made = await attempt(() => post("/v1/webhooks", { url: url.trim(), types: types.split(",").map((type) => type.trim()).filter(Boolean) }));
    if (made) { setUrl(""); added(made); }
  };
  return html`
    <form class="filters" onSubmit=${add} aria-label="New webhook">
      <label class="grow"><span class="hidden">Address</span><input type="url" required placeholder="https://example.com/hook" value=${url} onInput=${(event) => setUrl(event.target.value)} /></label>
      <label class="grow"><span class="hidden">Event types; none: all</span><input list="usual-types" placeholder="Event types; none: all" value=${types} onInput=${(event) => setTypes(event.target.value)} /></label>
      <datalist id="usual-types">${USUAL.map((type) => html`<option value=${type}></option>`)}</datalist>
      <button class="primary">Add</button>
    </form>`;
}

function Hook({ hook, read }) {
  const state = !hook.enabled ? "disabled" : hook.failing_since ? "failing" : "alive";
  const act = (work, done) => async () => { await attempt(work, done); read(); };
  const base = `/v1/webhooks/${hook.id}`;
  return html`
    <article class="card hook ${state}">
      <h2><span class="dot ${state === "alive" ? "alive" : "bad"}"></span>${hook.url}<${Status} value=${state} /></h2>
      <p>${hook.types.length ? hook.types.map((type) => html`<span key=${type} class="tag">${type}</span> `) : html`<span class="quiet">all events but pieces of messages</span>`}</p>
      ${(hook.disabled_because || hook.failing_since) && html`<p class="bad">${hook.disabled_because ? `Disabled: ${hook.disabled_because}` : `Takes nothing since ${moment(hook.failing_since)}`}</p>`}
      <div class="row"><span class="quiet">${plural(hook.pending, "notice")} to be tried, ${hook.dead} given up</span><span class="grow"></span>
        ${hook.dead > 0 && html`<button onClick=${act(() => post(`${base}/retry`), "They are tried again.")}>Try again</button>`}
        <button onClick=${act(() => call("PATCH", base, { enabled: !hook.enabled }))}>${hook.enabled ? "Disable" : "Enable"}</button>
        <button class="deny" onClick=${act(() => call("DELETE", base), "Removed.")}>Remove</button></div>
      ${hook.pending + hook.dead > 0 && html`<${Notices} hook=${hook} />`}
    </article>`;
}

// What it has not taken, and why.
function Notices({ hook }) {
  const [notices, setNotices] = useState([]);
  useEffect(() => { get(path(`/v1/webhooks/${hook.id}/notices`, { limit: 20 })).then((page) => setNotices(page.items), () => {}); }, [hook]);
  const retry = (notice) => attempt(() => post(`/v1/webhooks/${hook.id}/notices/${notice.id}/retry`)).then((done) => done && tell("It is tried again."));
  return html`
    <details class="more"><summary>What it has not taken</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Notices"><table>
        <thead><tr><th>State</th><th>Type</th><th>Session</th><th>Problem</th><th class="number">Tries</th><th class="number">Age</th><th><span class="hidden">Again</span></th></tr></thead>
        <tbody>${notices.map((notice) => html`
          <tr key=${notice.id}><td><${Status} value=${notice.status === "dead" ? "lost" : notice.status} /></td><td>${notice.type}</td><td><a href=${hrefOf("sessions", notice.session_id)}><code>${short(notice.session_id)}</code></a></td>
            <td class="wide">${notice.problem || html`<span class="quiet">–</span>`}</td><td class="number">${notice.tries}</td><td class="number">${ago(notice.created_at)}</td><td><button onClick=${() => retry(notice)}>Try now</button></td></tr>`)}</tbody></table></div>
    </details>`;
}
