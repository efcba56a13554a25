// Sessions as rows, in groups by what goes on in them. Only the rows that are seen are drawn.
import { html, useRef } from "./lib.js";
import { approvals, stats } from "./state.js";
import { go, hrefOf, refine, route } from "./route.js";
import { ACTIVITIES, ACTIVITY, ago, gist, many, money, moment, nameOf, plural, stuck } from "./format.js";
import { List } from "./list.js";
import { Tags, useKeys } from "./parts.js";
import { unfinished } from "./listings.js";

const ROW = 58, GROUP = 38;

export function Table({ lists, wanted, more, chosen, choose }) {
  const control = useRef(null);
  const rows = [];
  for (const activity of ACTIVITIES.filter((one) => wanted.includes(one) && lists[one]?.items.length)) {
    rows.push({ group: activity, key: activity });
    for (const session of lists[activity].items) rows.push({ session, key: session.id });
  }
  const sessions = rows.filter((row) => row.session).map((row) => row.session);
  const toggle = (session) => {
    const next = new Map(chosen);
    next.delete(session.id) || next.set(session.id, session);
    choose(next);
  };
  const all = sessions.length > 0 && sessions.every((session) => chosen.has(session.id));
  const near = (side) => { const next = unfinished(lists, wanted); if (side === "end" && next) more(next); };
  useKeys({ j: () => step(1), k: () => step(-1), x: () => { const link = focused(); if (link) toggle(sessions.find((one) => one.id === link.dataset.id)); else return false; } });
  return html`
    <${List} items=${rows} keyOf=${(row) => row.key} height=${(row) => (row.group ? GROUP : ROW)} control=${control} near=${near} pinned role="table" itemRole="row" label="Table of sessions" kind="table"
      before=${html`
        <div class="tr th" role="row" aria-rowindex="1">
          <span role="columnheader"><input type="checkbox" aria-label="Choose all that are shown" checked=${all} onChange=${() => choose(all ? new Map() : new Map(sessions.map((one) => [one.id, one])))} /></span>
          <span role="columnheader" class="title">Session</span><span role="columnheader" class="agent">Agent</span><span role="columnheader" class="number runs">Runs</span>
          <span role="columnheader" class="number tokens">Tokens</span><span role="columnheader" class="number cost">Cost</span><span role="columnheader" class="number age">Age</span><span role="columnheader" class="number">Active</span>
        </div>`}
      draw=${(row) => (row.group ? html`<${Group} activity=${row.group} shown=${lists[row.group].items.length} />` : html`<${Row} session=${row.session} chosen=${chosen.has(row.session.id)} toggle=${toggle} />`)} />`;
}

const focused = () => (document.activeElement?.matches(".table .title a") ? document.activeElement : null);

// To the next link of a session, or the one before.
function step(way) {
  const links = [...document.querySelectorAll(".table .title a")];
  const at = links.indexOf(focused());
  links[at < 0 ? 0 : Math.min(Math.max(at + way, 0), links.length - 1)]?.focus();
}

const NARROWS = ["text", "tag", "agent", "status", "deleted"];

// How many there are is known of all sessions; of those that are looked for, only as far as they were read.
function Group({ activity, shown }) {
  const narrowed = NARROWS.some((name) => route.value.query.get(name));
  const count = narrowed ? shown : Math.max(stats.value.activity?.[activity] || 0, shown);
  return html`<div class="group" role="cell" aria-colspan="8"><span class="dot ${activity}"></span>${ACTIVITY[activity]} <span class="quiet">${count}</span></div>`;
}

function Row({ session, chosen, toggle }) {
  const open = (event) => { if (!event.target.closest("a, button, input") && !getSelection().toString()) go("sessions", session.id); };
  return html`
    <div class="tr ${session.activity} ${chosen ? "chosen" : ""}" role="presentation" onClick=${open}>
      <span role="cell"><input type="checkbox" aria-label="Choose ${nameOf(session)}" checked=${chosen} onChange=${() => toggle(session)} /></span>
      <span role="cell" class="title">
        <span class="name"><span class="dot ${stuck(session) ? "bad" : session.activity}"></span><a href=${hrefOf("sessions", session.id)} data-id=${session.id}>${nameOf(session)}</a>
          ${session.deleted_at && html`<span class="tag bad">deleted</span>`}<${Tags} tags=${session.tags} choose=${(tag) => refine({ tag })} /></span>
        <${Now} session=${session} />
      </span>
      <span role="cell" class="agent">${session.agent_id}</span>
      <span role="cell" class="number runs">${session.runs}</span>
      <span role="cell" class="number tokens">${session.tokens ? many(session.tokens) : html`<span class="quiet">–</span>`}</span>
      <span role="cell" class="number cost">${session.cost === null ? html`<span class="quiet">–</span>` : money(session.cost)}</span>
      <span role="cell" class="number age" title=${moment(session.created_at)}>${ago(session.created_at)}</span>
      <span role="cell" class="number" title=${moment(session.last_event_at)}>${ago(session.last_event_at || session.updated_at)}</span>
    </div>`;
}

// What goes on in it, in a line.
export function Now({ session }) {
  const asked = approvals.value.find((approval) => approval.session_id === session.id);
  if (asked) return html`<span class="now needs_you">Asks for <strong>${asked.tool_name}</strong> ${asked.reason || gist(asked.tool_input)}</span>`;
  const trouble = stuck(session);
  if (trouble) return html`<span class="now bad">${trouble}. Open it to see, or stop it.</span>`;
  const parts = [];
  if (session.status === "paused") parts.push("Paused");
  if (session.running_runs) parts.push(`${plural(session.running_runs, "run")} at work`);
  if (session.pending_runs) parts.push(`${session.pending_runs} queued`);
  if (session.activity === "ended") parts.push(session.status);
  else if (!parts.length && session.last_run_status) parts.push(`Last run ${session.last_run_status}`);
  else if (!parts.length) parts.push("Nothing asked yet");
  const failed = session.status === "failed" || (!session.running_runs && ["failed", "timeout"].includes(session.last_run_status));
  return html`<span class="now ${failed ? "bad" : ""}">${parts.join(" · ")}</span>`;
}
