// The frame around the pages: where to go, what is at work, what waits, what was said.
import { html, render, useEffect, useState } from "./lib.js";
import { active, approvals, begin, can, dismiss, live, me, notices, signedIn, theme } from "./state.js";
import { go, hrefOf, route } from "./route.js";
import { ACTIVITY, nameOf, stuck } from "./format.js";
import { focusOn, Icon, writing } from "./parts.js";
import { Help, Palette, turn } from "./palette.js";
import { Fleet } from "./fleet.js";
import { Session } from "./session.js";
import { Inbox } from "./inbox.js";
import { Usage } from "./usage.js";
import { Webhooks } from "./webhooks.js";
import { Workers } from "./workers.js";

const PAGES = { fleet: Fleet, sessions: Session, approvals: Inbox, usage: Usage, workers: Workers, webhooks: Webhooks };
const LINKS = [["fleet", "Sessions", "sessions"], ["approvals", "Approvals", "approvals"], ["usage", "Usage", "usage"], ["workers", "Workers", "workers"], ["webhooks", "Webhooks", "hooks", "admin"]];

function App() {
  const [over, setOver] = useState(null);
  useEffect(() => {
    const pressed = (event) => keys(event, setOver);
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  // A menu that is open closes when somebody looks elsewhere.
  useEffect(() => {
    const elsewhere = (event) => { for (const menu of document.querySelectorAll("details.menu[open], details.options[open]")) if (!menu.contains(event.target)) menu.open = false; };
    addEventListener("pointerdown", elsewhere);
    return () => removeEventListener("pointerdown", elsewhere);
  }, []);
  if (!signedIn.value) return html`<${SignIn} />`;
  const Page = PAGES[route.value.page] || Fleet;
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <${Side} open=${setOver} />
    <main id="main" tabindex="-1">
      ${live.value === "lost" && html`<p class="lost" role="alert">The server is gone. Trying again …</p>`}
      <${Page} />
    </main>
    <div class="notices" role="status" aria-live="polite">${notices.value.map((notice) => html`
      <p key=${notice.id} class="notice ${notice.kind}">${notice.text} ${notice.action && html`<button onClick=${() => { dismiss(notice.id); notice.action.run(); }}>${notice.action.name}</button>`}<button class="plain" aria-label="Dismiss" onClick=${() => dismiss(notice.id)}><${Icon} name="cross" /></button></p>`)}</div>
    ${over === "palette" && html`<${Palette} close=${() => setOver(null)} help=${() => setOver("help")} />`}
    ${over === "help" && html`<${Help} close=${() => setOver(null)} />`}`;
}

function keys(event, setOver) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); setOver("palette"); return; }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open], details.options[open]")) menu.open = false;
    document.activeElement?.blur?.();
    return;
  }
  if (writing(event)) return;
  const focus = (id, page) => { if (!document.getElementById(id)) go(page); focusOn(id); };
  const inbox = route.value.page === "approvals";
  const work = {
    "/": () => focus("search", "fleet"), "?": () => setOver("help"), g: () => go("fleet"), i: () => go("approvals"), u: () => go("usage"), w: () => go("workers"), h: () => go("webhooks"), t: turn,
    b: () => go("fleet", null, { view: "board" }), n: inbox ? null : () => (document.getElementById("message") ? focus("message") : focus("new-prompt", "fleet")), "[": () => next(-1), "]": () => next(1),
  }[event.key];
  if (work) { event.preventDefault(); work(); }
}

// From one session at work to the next.
function next(way) {
  const ids = active.value.map((session) => session.id);
  if (!ids.length) return;
  const at = ids.indexOf(route.value.page === "sessions" ? route.value.id : "");
  go("sessions", ids[at < 0 ? 0 : (at + way + ids.length) % ids.length]);
}

function Side({ open }) {
  const here = route.value.page === "sessions" ? null : PAGES[route.value.page] ? route.value.page : "fleet";
  return html`
    <header class="side-bar">
      <a class="brand" href=${hrefOf("fleet")}><img src="/static/icon.svg" alt="" width="22" height="22" />Sessionry</a>
      <button class="find" onClick=${() => open("palette")}><${Icon} name="search" /><span>Find or do</span><kbd>Ctrl K</kbd></button>
      <nav class="pages" aria-label="Pages">${LINKS.filter(([, , , needs]) => !needs || can(needs)).map(([page, name, icon]) => html`
        <a key=${page} href=${hrefOf(page)} aria-current=${here === page ? "page" : undefined}><${Icon} name=${icon} /><span>${name}</span>${page === "approvals" && approvals.value.length > 0 && html` <span class="badge">${approvals.value.length}<span class="hidden"> waiting</span></span>`}</a>`)}
      </nav>
      <${Active} />
      <div class="foot">
        <span class="live ${live.value}" role="status"><span class="dot ${live.value}"></span>${live.value === "lost" ? "Offline" : live.value === "live" ? "Live" : "Connecting"}</span>
        <span class="who" title="The token that you came with">${me.value?.user || me.value?.name || ""}</span>
        <button class="plain" onClick=${turn} aria-label="Theme: ${theme.value}" title="Theme: ${theme.value}"><${Icon} name=${theme.value} /></button>
        <button class="plain" onClick=${() => open("help")} aria-label="Keys" title="Keys"><${Icon} name="help" /></button>
      </div>
    </header>`;
}

// What needs somebody or works, at hand on every page.
function Active() {
  if (!active.value.length) return null;
  return html`
    <nav class="at-work" aria-label="Sessions at work"><h2>At work</h2>
      ${active.value.map((session) => html`
        <a key=${session.id} href=${hrefOf("sessions", session.id)} aria-current=${route.value.id === session.id ? "page" : undefined} title=${ACTIVITY[session.activity]}>
          <span class="dot ${stuck(session) ? "bad" : session.activity}"></span><span class="name">${nameOf(session)}</span><span class="hidden">: ${ACTIVITY[session.activity]}</span></a>`)}
    </nav>`;
}

function SignIn() {
  const [token, setToken] = useState("");
  return html`
    <main class="signin"><h1><img src="/static/icon.svg" alt="" width="32" height="32" /> Sessionry</h1>
      <p>Open the address that <code>sessionry serve</code> printed. Or give a token, which <code>sessionry tokens create</code> makes:</p>
      <form action="/login" method="get"><label class="grow"><span class="hidden">Token</span>
        <input name="token" type="password" autocomplete="off" placeholder="sry_…" value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
        <button class="primary">Sign in</button></form>
    </main>`;
}

document.getElementById("app").replaceChildren();
render(html`<${App} />`, document.getElementById("app"));
begin();
