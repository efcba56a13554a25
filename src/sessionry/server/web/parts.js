// Small things that every page is made of.
import { html, useEffect, useRef } from "./lib.js";
import { ACTIVITY } from "./format.js";

const PATHS = {
  sessions: "M4 6h16M4 12h16M4 18h10", approvals: "M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6zM9 12l2 2 4-4", usage: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  workers: "M5 5h14v5H5zM5 14h14v5H5zM8 7.5h.01M8 16.5h.01", search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5", plus: "M12 5v14M5 12h14",
  help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 18h.01", auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16", light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M19 5l-1.5 1.5M6.5 17.5L5 19",
  dark: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z", tool: "M14 6a4 4 0 0 0-5 5l-6 6 2 3 7-6a4 4 0 0 0 5-5l-3 2-2-2z", check: "M5 12l5 5 9-10", cross: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6", up: "M6 15l6-6 6 6", thought: "M4 12a8 7 0 1 1 4 6l-4 2 1-4", fork: "M7 4v6a4 4 0 0 0 4 4h6M7 4v16M14 11l3 3-3 3", pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z", stop: "M6 6h12v12H6z", edit: "M4 20l1-5L16 4l4 4L9 19z", more: "M5 12h.01M12 12h.01M19 12h.01", download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  error: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v5M12 16h.01", hide: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13", tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01", end: "M12 4v13M6 12l6 6 6-6M5 21h14",
  hooks: "M10 13a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 11a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
};

export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name] || ""} /></svg>`;

export const Activity = ({ value }) => html`<span class="activity ${value}">${ACTIVITY[value] || value}</span>`;
export const Status = ({ value }) => html`<span class="status ${value}">${value}</span>`;

export function Tags({ tags, choose }) {
  return tags.map((tag) => choose
    ? html`<button key=${tag} class="tag" title="Only sessions with the tag ${tag}" onClick=${(event) => { event.stopPropagation(); choose(tag); }}>${tag}</button>`
    : html`<span key=${tag} class="tag">${tag}</span>`);
}

// What there is to say where nothing is, and what can be done about it.
export function Empty({ title, children, kind }) {
  return html`<div class="empty ${kind || ""}"><h2>${title}</h2>${children}</div>`;
}

export const Loading = () => html`<p class="loading" role="status">Loading …</p>`;

// A box over the page; the browser keeps the focus in it and gives it back.
export function Dialog({ label, close, children, kind = "" }) {
  const box = useRef(null);
  useEffect(() => {
    const element = box.current;
    if (!element.open) element.showModal();
    element.querySelector("[data-first]")?.focus();
    return () => element.close();
  }, []);
  return html`
    <dialog ref=${box} class=${kind} aria-label=${label} onCancel=${(event) => { event.preventDefault(); close(); }} onClick=${(event) => { if (event.target === box.current) close(); }}>
      <div class="sheet">${children}</div>
    </dialog>`;
}

// Go to a box as soon as it is there.
export function focusOn(id, tries = 60) {
  const box = document.getElementById(id);
  if (box) box.focus();
  else if (tries) requestAnimationFrame(() => focusOn(id, tries - 1));
}

// Whether keys are words of somebody who writes.
export const writing = (event) => event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input:not([type=checkbox]), textarea, select, dialog *");

// Keys -> what they do, while the component is there.
export function useKeys(keys) {
  const known = useRef(keys);
  known.current = keys;
  useEffect(() => {
    const pressed = (event) => {
      if (writing(event) || document.querySelector("dialog[open]")) return;
      const work = known.current[event.key];
      if (work && work(event) !== false) event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
