// The frame around the pages: where to go, what waits, what was said; keys and the palette of commands.
import { html, render, useEffect, useRef, useState } from "./lib.js";
import { get, path } from "./api.js";
import { approvals, begin, go, hrefOf, live, notices, route, signedIn, theme } from "./state.js";
import { Fleet } from "./fleet.js";
import { Session } from "./session.js";
import { Inbox, Usage, Workers } from "./others.js";

const PAGES = { fleet: Fleet, sessions: Session, approvals: Inbox, usage: Usage, workers: Workers };
const LINKS = [["fleet", "Sessions"], ["approvals", "Approvals"], ["usage", "Usage"], ["workers", "Workers"]];
const THEMES = ["auto", "light", "dark"];
const turn = () => { theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]; };

function App() {
  const [palette, setPalette] = useState(false);
  useEffect(() => {
    const pressed = (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); setPalette(true); return; }
      if (event.key === "Escape") { setPalette(false); document.activeElement?.blur?.(); return; }
      if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") { event.preventDefault(); const box = document.getElementById("search"); box ? box.focus() : go("fleet"); }
      else if (event.key === "?") setPalette(true);
      else if (event.key === "n") { event.preventDefault(); (document.getElementById("message") || document.getElementById("new-prompt"))?.focus(); }
      else if (event.key === "g") go("fleet");
      else if (event.key === "i") go("approvals");
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  if (!signedIn.value) return html`<${SignIn} />`;
  const Page = PAGES[route.value.page] || Fleet;
  const here = route.value.page === "sessions" ? "fleet" : route.value.page;
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <header class="bar">
      <a class="brand" href=${hrefOf("fleet")}><img src="/static/icon.svg" alt="" width="20" height="20" /> Sessionry</a>
      <nav aria-label="Pages">${LINKS.map(([page, name]) => html`
        <a href=${hrefOf(page)} aria-current=${here === page ? "page" : undefined}>${name}${page === "approvals" && approvals.value.length ? html` <span class="badge">${approvals.value.length}</span>` : ""}</a>`)}
      </nav>
      <span class="live ${live.value}" role="status">${live.value === "lost" ? "The server is gone; trying again …" : ""}</span>
      <button onClick=${() => setPalette(true)} title="Ctrl K">Commands</button>
      <button onClick=${turn} aria-label="Theme: ${theme.value}">${{ auto: "◐", light: "☀", dark: "☾" }[theme.value]}</button>
    </header>
    <main id="main" tabindex="-1"><${Page} /></main>
    <div class="notices" role="alert" aria-live="assertive">${notices.value.map((notice) => html`<p key=${notice.id} class="notice ${notice.kind}">${notice.text}</p>`)}</div>
    ${palette && html`<${Palette} close=${() => setPalette(false)} />`}`;
}

function Palette({ close }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const [at, setAt] = useState(0);
  const box = useRef(null);
  useEffect(() => { box.current.focus(); }, []);
  useEffect(() => {
    let current = true;
    if (!text.trim()) setFound([]);
    else get(path("/v1/sessions", { text: text.trim(), limit: 8 })).then((page) => current && setFound(page.items), () => {});
    return () => { current = false; };
  }, [text]);
  const commands = [
    ...LINKS.map(([page, name]) => ({ name: `Go to ${name}`, run: () => go(page) })),
    { name: "Show what needs you", run: () => go("fleet", null, { state: "needs you" }) },
    { name: "Show the board", run: () => go("fleet", null, { view: "board" }) },
    { name: "Change the theme", run: turn },
    { name: "Keys: / search · n write · g sessions · i inbox · j k a d in the inbox", run: () => go("approvals") },
  ].filter((command) => command.name.toLowerCase().includes(text.toLowerCase()));
  const items = [...commands, ...found.map((session) => ({ name: `${session.title || session.id}`, run: () => go("sessions", session.id) }))];
  const run = (item) => { close(); item?.run(); };
  const pressed = (event) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, items.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") run(items[at]);
    else return;
    event.preventDefault();
  };
  return html`
    <div class="veil" onClick=${close}>
      <div class="palette" role="dialog" aria-modal="true" aria-label="Commands" onClick=${(event) => event.stopPropagation()}>
        <input ref=${box} aria-label="Command or session" placeholder="A command, or a session" value=${text} onInput=${(event) => { setText(event.target.value); setAt(0); }} onKeyDown=${pressed} />
        <ul>${items.map((item, index) => html`<li key=${item.name}><button class=${index === at ? "current" : ""} onClick=${() => run(item)}>${item.name}</button></li>`)}</ul>
      </div>
    </div>`;
}

function SignIn() {
  const [token, setToken] = useState("");
  return html`
    <main class="signin"><h1>Sessionry</h1>
      <p>Open the address that <code>sessionry serve</code> printed, or give a token:</p>
      <form action="/login" method="get"><label class="grow"><span class="hidden">Token</span>
        <input name="token" type="password" autocomplete="off" value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
        <button class="primary">Sign in</button></form>
    </main>`;
}

document.getElementById("app").replaceChildren();
render(html`<${App} />`, document.getElementById("app"));
begin();
