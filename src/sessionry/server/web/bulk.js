// What is done with several sessions at once, and taken back where it can be.
import { html, useState } from "./lib.js";
import { call, each, patch, post } from "./api.js";
import { refresh, tell } from "./state.js";
import { plural } from "./format.js";
import { Dialog } from "./parts.js";

export function Bulk({ chosen, done }) {
  const [asking, ask] = useState(null);
  const [tag, setTag] = useState("");
  const [busy, setBusy] = useState(false);
  const all = async (what, work, back) => {
    ask(null);
    setBusy(true);
    const results = await each(chosen, work);
    setBusy(false);
    const failed = results.filter((result) => result.status === "rejected");
    const fine = chosen.filter((_, index) => results[index].status === "fulfilled");
    if (fine.length) tell(`${what} ${plural(fine.length, "session")}.`, "good", back ? { name: "Undo", run: async () => { await each(fine, back); refresh(); } } : null);
    if (failed.length) tell(`${plural(failed.length, "session")} could not be changed: ${failed[0].reason.message}`, "bad");
    if (!failed.length) done();
    refresh();
  };
  const at = (verb, body) => (session) => post(`/v1/sessions/${session.id}/${verb}`, body);
  const tagged = (event) => {
    event.preventDefault();
    const name = tag.trim();
    if (!name) return;
    const without = chosen.every((session) => session.tags.includes(name));
    all(without ? `Removed the tag ${name} from` : `Tagged ${name}:`, (session) => patch(session.id, (now) => ({
      tags: without ? now.tags.filter((one) => one !== name) : [...new Set([...now.tags, name])],
    })));
    setTag("");
  };
  return html`
    <div class="bulk" role="toolbar" aria-label="Chosen sessions">
      <strong>${chosen.length} chosen</strong>
      <button disabled=${busy} onClick=${() => all("Paused", at("pause"), at("resume"))}>Pause</button>
      <button disabled=${busy} onClick=${() => all("Resumed", at("resume"))}>Resume</button>
      <button disabled=${busy} onClick=${() => ask("cancel")}>Cancel</button>
      <button disabled=${busy} onClick=${() => all("Deleted", (session) => call("DELETE", `/v1/sessions/${session.id}`), at("restore"))}>Delete</button>
      <button disabled=${busy} onClick=${() => all("Restored", at("restore"))}>Restore</button>
      <form onSubmit=${tagged}><label><span class="hidden">Tag</span><input placeholder="Tag" value=${tag} onInput=${(event) => setTag(event.target.value)} /></label><button disabled=${busy || !tag.trim()}>Add or remove</button></form>
      <span class="grow"></span><button class="plain" onClick=${done}>Choose none</button>
      ${asking && html`
        <${Dialog} label="Cancel" close=${() => ask(null)}>
          <h2>Cancel ${plural(chosen.length, "session")}?</h2><p>Their runs are stopped and they take no new ones. What they said stays.</p>
          <div class="row"><span class="grow"></span><button onClick=${() => ask(null)}>Go on with them</button><button class="danger" data-first onClick=${() => all("Cancelled", at("cancel", { reason: "from the dashboard" }))}>Cancel them</button></div>
        <//>`}
    </div>`;
}
