// How a run is to be worked, beside its prompt: what the composer folds away.
import { html } from "./lib.js";

const CONTINUATIONS = [["", "as is best"], ["native", "in the agent's own session"], ["replay", "with the transcript"], ["fork", "in a copy of its own session"], ["fresh", "knowing nothing"]];

export function Options({ values, change, fresh }) {
  const set = (name) => (event) => change({ ...values, [name]: event.target.value });
  const given = Object.values(values).filter(Boolean).length;
  return html`
    <details class="options">
      <summary>Options${given ? html` <span class="badge plain">${given}</span>` : ""}</summary>
      <div class="pop">
        <label>Model <input placeholder="the agent's own" value=${values.model || ""} onInput=${set("model")} /></label>
        <label>Time limit (seconds) <input type="number" min="1" placeholder="none" value=${values.timeout || ""} onInput=${set("timeout")} /></label>
        ${fresh
          ? html`
            <label>Working directory <input placeholder="of the worker" value=${values.cwd || ""} onInput=${set("cwd")} /></label>
            <label>Tags <input placeholder="pr-42, urgent" value=${values.tags || ""} onInput=${set("tags")} /></label>`
          : html`
            <label>Goes on <select value=${values.continuation || ""} onChange=${set("continuation")}>${CONTINUATIONS.map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select></label>
            <label>Priority <input type="number" placeholder="0" value=${values.priority || ""} onInput=${set("priority")} /></label>`}
        <label class="check"><input type="checkbox" checked=${Boolean(values.keep_raw)} onChange=${(event) => change({ ...values, keep_raw: event.target.checked })} /> Keep what is really sent</label>
        <label>Queue <input placeholder="default" value=${values.queue || ""} onInput=${set("queue")} /></label>
        <label>More, a line each <textarea rows="2" placeholder="name=value" value=${values.settings || ""} onInput=${set("settings")}></textarea></label>
      </div>
    </details>`;
}

// The body of a request for a run: what is asked of the agent goes into the input, what is asked of us beside it.
export function optionsOf(prompt, { model, timeout, continuation, priority, queue, keep_raw, settings }) {
  const asked = {};
  for (const line of (settings || "").split("\n").filter((one) => one.trim())) {
    const [name, ...rest] = line.split("=");
    if (!rest.length) throw new Error(`An option is name=value, not ${line}`);
    asked[name.trim()] = valueOf(rest.join("=").trim());
  }
  if (model) asked.model = model;
  const body = { input: Object.keys(asked).length ? { prompt, ...asked } : prompt };
  if (timeout) body.timeout = Number(timeout);
  if (priority) body.priority = Number(priority);
  if (queue) body.queue = queue;
  if (keep_raw) body.keep_raw = true;
  if (continuation) body.continuation = continuation;
  return body;
}

function valueOf(text) {
  try { return JSON.parse(text); } catch { return text; }
}
