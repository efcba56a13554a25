// What a person tells a session: the next run, a run behind the one at work, or a word to the one at work.
import { html, useEffect, useRef, useState } from "./lib.js";
import { post } from "./api.js";
import { agents, attempt, can, tell } from "./state.js";
import { over } from "./format.js";
import { Options, optionsOf } from "./options.js";

export function Composer({ session, atWork }) {
  const draft = `draft-${session.id}`;
  const [text, setText] = useState(sessionStorage.getItem(draft) || "");
  const [agent, setAgent] = useState("");
  const [more, setMore] = useState({});
  const [busy, setBusy] = useState(false);
  const box = useRef(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight + 2, 240)}px`;
  }, [text]);
  if (!can("run")) return html`<p class="composer closed quiet">Your token may look, but not say anything. One with the permission <code>run</code> may.</p>`;
  if (session.deleted_at) return html`<p class="composer closed quiet">This session is deleted. Restore it to go on.</p>`;
  if (over(session)) return html`<p class="composer closed quiet">This session is ${session.status} and takes no more runs. Fork it to go on from here.</p>`;
  const write = (words) => { setText(words); words ? sessionStorage.setItem(draft, words) : sessionStorage.removeItem(draft); };
  const running = atWork.find((run) => run.status === "running" || run.status === "waiting");
  const steers = running && running.steers !== false;
  const say = async (work, done) => {
    if (!text.trim() || busy) return;
    setBusy(true);
    if (await attempt(work, done)) write("");
    setBusy(false);
    box.current?.focus();
  };
  const send = (event) => {
    event?.preventDefault();
    return say(() => post(`/v1/sessions/${session.id}/runs`, { ...optionsOf(text, more), ...(agent ? { agent } : {}) }), atWork.length ? "Queued: it begins when the one before has ended." : undefined);
  };
  const steer = () => say(() => post(`/v1/runs/${running.id}/steer`, { text }), "Told the run that is at work.");
  const stop = (mode) => async () => {
    const results = await Promise.all(atWork.map((run) => attempt(() => post(`/v1/runs/${run.id}/cancel`, { mode, reason: "from the dashboard" }))));
    if (results.every(Boolean)) tell(mode === "now" ? "Asked to stop." : "It stops after this turn.");
  };
  const pressed = (event) => {
    if (event.key === "Escape") event.target.blur();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && steers) { event.preventDefault(); steer(); } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  const usable = agents.value.filter((one) => !one.error || one.id === session.agent_id);
  return html`
    <form class="composer" onSubmit=${send} aria-label="Say something">
      <label class="hidden" for="message">Message</label>
      <textarea id="message" ref=${box} rows="1" placeholder=${session.status === "paused" ? "Queue a run; it begins when the session is resumed" : atWork.length ? "Queue what is next, or steer the run at work" : "Say what is next"} value=${text}
        onInput=${(event) => write(event.target.value)} onKeyDown=${pressed}></textarea>
      <div class="row">
        <label><span class="hidden">Agent</span>
          <select value=${agent || session.agent_id} onChange=${(event) => setAgent(event.target.value)}>
            ${usable.map((one) => html`<option value=${one.id}>${one.id}</option>`)}
            ${!usable.some((one) => one.id === session.agent_id) && html`<option value=${session.agent_id}>${session.agent_id}</option>`}
          </select></label>
        <${Options} values=${more} change=${setMore} />
        <span class="grow"></span>
        ${atWork.length > 0 && html`<button type="button" class="stop" onClick=${stop("now")}>Stop</button><button type="button" class="plain" onClick=${stop("after_turn")}>Stop after turn</button>`}
        ${steers && html`<button type="button" disabled=${busy || !text.trim()} onClick=${steer} title="Ctrl Enter">Steer</button>`}
        <button class="primary" type="submit" disabled=${busy || !text.trim()} title="Enter">${atWork.length ? "Queue" : "Send"}</button>
      </div>
    </form>`;
}
