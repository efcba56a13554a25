// The questions of all agents, and what became of those before. j and k move, a approves, d denies.
import { html, useEffect, useRef, useState } from "./lib.js";
import { get, path } from "./api.js";
import { active, approvals, attempt, can, changes, decide } from "./state.js";
import { go, hrefOf, refine, route } from "./route.js";
import { ago, moment, nameOf, plural, short } from "./format.js";
import { Empty, Status, useKeys } from "./parts.js";
import { Decide, noteOf } from "./decide.js";
import { Input } from "./items.js";

export function Inbox() {
  const items = approvals.value;
  const [at, setAt] = useState({ id: null, index: 0 });
  const found = items.findIndex((approval) => approval.id === at.id);
  const current = found >= 0 ? found : Math.min(at.index, Math.max(items.length - 1, 0));
  const choose = (index) => setAt({ id: items[index]?.id, index });
  const titles = new Map(active.value.map((session) => [session.id, nameOf(session)]));
  const answer = (yes) => (items[current] && can("approve") ? decide(items[current], yes, noteOf(items[current].id)) : false);
  const move = (way) => { const next = Math.min(Math.max(current + way, 0), items.length - 1); choose(next); document.querySelectorAll(".inbox .question")[next]?.scrollIntoView({ block: "nearest" }); };
  useKeys({
    j: () => move(1), k: () => move(-1), a: () => answer(true), d: () => answer(false),
    n: () => document.querySelector(".question.current [data-note]")?.focus(), Enter: () => (items[current] && document.activeElement === document.body ? go("sessions", items[current].session_id) : false),
  });
  return html`
    <section class="page inbox" aria-label="Approvals">
      <header class="top"><h1>Approvals</h1>${items.length > 0 && html`<p class="keys quiet"><kbd>j</kbd> <kbd>k</kbd> move <kbd>a</kbd> approve <kbd>d</kbd> deny <kbd>n</kbd> note</p>`}</header>
      <p class="hidden" role="status">${plural(items.length, "question")} waiting</p>
      ${items.length === 0 && html`<${Empty} title="Nobody waits for you"><p>When an agent wants to do something that needs a person, its question comes here, and into its session. It waits as long as it has to: the run is parked, and no process with it.</p><//>`}
      ${items.map((approval, index) => html`
        <article key=${approval.id} class="item question pending ${index === current ? "current" : ""}" aria-label="Approval of ${approval.tool_name}" aria-current=${index === current ? "true" : undefined} onClick=${() => choose(index)}>
          <h2><a href=${hrefOf("sessions", approval.session_id)}>${titles.get(approval.session_id) || short(approval.session_id)}</a> <span class="quiet" title=${moment(approval.requested_at)}>${ago(approval.requested_at)} ago</span></h2>
          <p><strong>${approval.tool_name}</strong>${approval.reason && html` <span>${approval.reason}</span>`}</p>
          ${approval.tool_input !== null && html`<${Input} value=${approval.tool_input} />`}
          <${Decide} approval=${approval} current=${index === current} />
        </article>`)}
      <${History} />
    </section>`;
}

const OUTCOMES = ["granted", "denied", "expired"];

function History() {
  const [found, set] = useState({ items: [], cursor: null });
  const outcome = route.value.query.get("outcome");
  const list = (cursor, limit = 25) => get(path("/v1/approvals", { status: OUTCOMES.includes(outcome) ? [outcome] : OUTCOMES, order: "-requested", limit, cursor }));
  const shown = useRef(25);
  useEffect(() => {
    let current = true;
    list(undefined, Math.min(shown.current, 200)).then((page) => current && set(page), () => {});
    return () => { current = false; };
  }, [changes.value, outcome]);
  const more = async () => {
    const page = await attempt(() => list(found.cursor));
    if (page) { set({ items: [...found.items, ...page.items], cursor: page.cursor }); shown.current += 25; }
  };
  if (!found.items.length && !outcome) return null;
  return html`
    <div class="history">
      <header class="top"><h2>Decided</h2><label><span class="hidden">Outcome</span><select value=${outcome || ""} onChange=${(event) => refine({ outcome: event.target.value })}><option value="">Any outcome</option>${OUTCOMES.map((one) => html`<option>${one}</option>`)}</select></label></header>
      <div class="scroll" tabindex="0" role="region" aria-label="Decided approvals"><table>
        <thead><tr><th>Outcome</th><th>Tool</th><th>Note</th><th>By</th><th>Session</th><th class="number">When</th></tr></thead>
        <tbody>${found.items.map((one) => html`
          <tr key=${one.id}><td><${Status} value=${one.status} /></td><td>${one.tool_name}</td><td class="wide">${one.note || html`<span class="quiet">–</span>`}</td><td>${one.decided_by || ""}</td>
            <td><a href=${hrefOf("sessions", one.session_id)}><code>${short(one.session_id)}</code></a></td><td class="number" title=${moment(one.decided_at)}>${ago(one.decided_at || one.requested_at)}</td></tr>`)}</tbody></table></div>
      ${found.cursor && html`<button class="plain" onClick=${more}>Show more</button>`}
    </div>`;
}
