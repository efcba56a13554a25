// Everything from the keyboard: the palette of commands and sessions, and the list of keys.
import { html, useEffect, useState } from "./lib.js";
import { get, path } from "./api.js";
import { active, theme } from "./state.js";
import { go } from "./route.js";
import { ACTIVITY, nameOf } from "./format.js";
import { Dialog, focusOn } from "./parts.js";

const THEMES = ["auto", "light", "dark"];
export const turn = () => { theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]; };

const COMMANDS = [
  ["New session", "n", () => { go("fleet"); setTimeout(focusOn, 0, "new-prompt"); }],
  ["Go to sessions", "g", () => go("fleet")],
  ["Go to approvals", "i", () => go("approvals")],
  ["Go to usage", "u", () => go("usage")],
  ["Go to workers", "w", () => go("workers")],
  ["Go to webhooks", "h", () => go("webhooks")],
  ["Show what needs you", "", () => go("fleet", null, { activity: "needs_you" })],
  ["Show the board", "b", () => go("fleet", null, { view: "board" })],
  ["Change between light and dark", "t", turn],
];

export function Palette({ close, help }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const [at, setAt] = useState(0);
  useEffect(() => {
    let current = true;
    const words = text.trim();
    const timer = setTimeout(() => {
      if (!words) setFound([]);
      else get(path("/v1/sessions", { text: words, limit: 8 })).then((page) => current && setFound(page.items), () => {});
    }, 80);
    return () => { current = false; clearTimeout(timer); };
  }, [text]);
  const sessions = text.trim() ? found : active.value.slice(0, 5);
  const items = [
    ...sessions.map((session) => ({ key: session.id, name: nameOf(session), hint: ACTIVITY[session.activity], run: () => go("sessions", session.id) })),
    ...[...COMMANDS, ["Show all keys", "?", help]].filter(([name]) => name.toLowerCase().includes(text.trim().toLowerCase())).map(([name, hint, run]) => ({ key: name, name, hint, run })),
  ];
  const picked = Math.min(at, items.length - 1);
  const run = (item) => { close(); item?.run(); };
  const pressed = (event) => {
    if (event.key === "ArrowDown") setAt(Math.min(picked + 1, items.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(picked - 1, 0));
    else if (event.key === "Enter") run(items[picked]);
    else return;
    event.preventDefault();
  };
  return html`
    <${Dialog} label="Commands" close=${close} kind="palette">
      <input data-first role="combobox" aria-expanded="true" aria-controls="commands" aria-activedescendant=${items[picked] ? `command-${picked}` : undefined} aria-label="Command or session" placeholder="Find a session, or say what to do" value=${text}
        onInput=${(event) => { setText(event.target.value); setAt(0); }} onKeyDown=${pressed} />
      <ul id="commands" role="listbox" aria-label="Commands and sessions">
        ${items.map((item, index) => html`<li key=${item.key} id="command-${index}" role="option" aria-selected=${index === picked} class=${index === picked ? "current" : ""} onClick=${() => run(item)} onMouseMove=${() => setAt(index)}><span>${item.name}</span><span class="quiet">${item.hint}</span></li>`)}
        ${items.length === 0 && html`<li class="quiet" role="option" aria-selected="false" aria-disabled="true">Nothing is called so.</li>`}
      </ul>
    <//>`;
}

const KEYS = [
  ["Anywhere", [["Ctrl K", "commands and sessions"], ["g", "sessions"], ["i", "approvals"], ["u", "usage"], ["w", "workers"], ["h", "webhooks"], ["b", "board"], ["n", "write"], ["/", "search"], ["[ ]", "the session before or after, of those at work"], ["t", "light or dark"], ["?", "these keys"], ["Esc", "leave"]]],
  ["Sessions", [["j k", "down and up"], ["Enter", "open"], ["x", "choose"]]],
  ["A session", [["Enter", "send, or queue"], ["Shift Enter", "a new line"], ["Ctrl Enter", "steer the run at work"], ["f", "follow"], ["e", "the error before"], ["p", "pause or resume"]]],
  ["Approvals", [["j k", "down and up"], ["a", "approve"], ["d", "deny"], ["n", "write a note"]]],
  ["Events", [["j k", "the event after or before"]]],
];

export function Help({ close }) {
  return html`
    <${Dialog} label="Keys" close=${close} kind="help">
      <header class="top"><h2>Keys</h2><button data-first class="plain" onClick=${close}>Close</button></header>
      <div class="keylists">${KEYS.map(([place, keys]) => html`
        <section key=${place}><h3>${place}</h3><dl>${keys.map(([key, what]) => html`<div key=${key}><dt>${key.split(" ").map((one) => html`<kbd>${one}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl></section>`)}</div>
    <//>`;
}
