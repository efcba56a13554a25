// The two answers to a question of an agent, and a note for both.
import { html, useState } from "./lib.js";
import { can, decide } from "./state.js";
import { span } from "./format.js";

export function Decide({ approval, current }) {
  const [note, setNote] = useState("");
  if (!can("approve")) return html`<p class="quiet">Your token may look, but not answer. One with the permission <code>approve</code> may.</p>`;
  const answer = (yes) => decide(approval, yes, note.trim());
  const left = approval.expires_at ? (new Date(approval.expires_at) - Date.now()) / 1000 : null;
  return html`
    <div class="decide">
      <label class="grow"><span class="hidden">Note for the agent</span>
        <input data-note=${approval.id} placeholder="A note for the agent (optional)" value=${note} onInput=${(event) => setNote(event.target.value)}
          onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) answer(true); if (event.key === "Escape") event.target.blur(); }} /></label>
      <button class="approve" onClick=${() => answer(true)}>Approve${current && html` <kbd>a</kbd>`}</button>
      <button class="deny" onClick=${() => answer(false)}>Deny${current && html` <kbd>d</kbd>`}</button>
      ${left !== null && html`<span class="quiet">${left > 0 ? `denied by itself in ${span(left)}` : "its time is over"}</span>`}
    </div>`;
}

// What is written in the note of a question, wherever that is drawn.
export const noteOf = (id) => [...document.querySelectorAll("[data-note]")].find((box) => box.dataset.note === id)?.value.trim() || "";
