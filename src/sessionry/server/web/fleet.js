// All sessions: who needs a person first, then what works, then the rest; as a table or as a board.
import { html, useState } from "./lib.js";
import { agents, approvals, stats } from "./state.js";
import { refine, route } from "./route.js";
import { ACTIVITIES, ACTIVITY } from "./format.js";
import { Empty, Loading } from "./parts.js";
import { useListings } from "./listings.js";
import { Start } from "./start.js";
import { Table } from "./table.js";
import { Board } from "./board.js";
import { Bulk } from "./bulk.js";

const STATUSES = ["pending", "active", "paused", "completed", "failed", "cancelled"];
const ORDERS = [["", "Last active first"], ["-created", "Newest first"], ["created", "Oldest first"], ["updated", "Longest quiet first"]];

export function Fleet() {
  const { query } = route.value;
  const [chosen, choose] = useState(new Map());
  const filter = Object.fromEntries(["status", "agent", "tag", "text", "order"].map((name) => [name, query.get(name)]));
  filter.include_deleted = query.get("deleted") === "1";
  const one = query.get("activity");
  const wanted = ACTIVITIES.includes(one) ? [one] : ACTIVITIES;
  const [found, more] = useListings(filter, wanted);
  const board = query.get("view") === "board";
  const count = Object.values(found.lists).reduce((sum, list) => sum + list.items.length, 0);
  const View = board ? Board : Table;
  return html`
    <section class="page fleet" aria-label="Sessions">
      <header class="top"><h1>Sessions</h1><${Views} board=${board} /></header>
      <${Start} />
      <${Activities} one=${one} />
      ${chosen.size > 0 ? html`<${Bulk} chosen=${[...chosen.values()]} done=${() => choose(new Map())} />` : html`<${Filters} query=${query} />`}
      ${found.problem && !count ? html`<${Empty} title="The sessions cannot be read"><p>${found.problem.message}</p><//>`
        : found.loading && !count ? html`<${Loading} />`
        : count === 0 ? html`<${Nothing} query=${query} />`
        : html`<${View} lists=${found.lists} wanted=${wanted} more=${more} chosen=${chosen} choose=${choose} />`}
    </section>`;
}

function Views({ board }) {
  return html`
    <div class="switch" role="group" aria-label="View">
      <button aria-pressed=${!board} onClick=${() => refine({ view: "" })}>Table</button>
      <button aria-pressed=${board} onClick=${() => refine({ view: "board" })}>Board</button>
    </div>`;
}

function Activities({ one }) {
  const counts = { ...stats.value.activity };
  counts.needs_you = Math.max(counts.needs_you || 0, new Set(approvals.value.map((approval) => approval.session_id)).size);
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return html`
    <div class="counts" role="group" aria-label="Filter by what goes on">
      <button class="count" aria-pressed=${!one} onClick=${() => refine({ activity: "" })}>All <strong>${all}</strong></button>
      ${ACTIVITIES.map((activity) => html`
        <button key=${activity} class="count ${activity}" aria-pressed=${one === activity} onClick=${() => refine({ activity: one === activity ? "" : activity })}>
          <span class="dot ${activity}"></span>${ACTIVITY[activity]} <strong>${counts[activity] || 0}</strong>
        </button>`)}
    </div>`;
}

function Filters({ query }) {
  const set = (name) => (event) => refine({ [name]: event.target.value.trim() });
  const given = ["status", "agent", "tag", "text", "order", "deleted"].some((name) => query.get(name));
  return html`
    <div class="filters" role="search">
      <label class="grow"><span class="hidden">Search titles</span>
        <input id="search" type="search" placeholder="Search titles" value=${query.get("text") || ""} onInput=${(event) => refine({ text: event.target.value }, true)} /></label>
      <label><span class="hidden">Agent</span>
        <select value=${query.get("agent") || ""} onChange=${set("agent")}><option value="">Any agent</option>${agents.value.map((agent) => html`<option>${agent.id}</option>`)}</select></label>
      <label><span class="hidden">Status</span>
        <select value=${query.get("status") || ""} onChange=${set("status")}><option value="">Any status</option>${STATUSES.map((status) => html`<option>${status}</option>`)}</select></label>
      <label class="narrow"><span class="hidden">Tag</span><input placeholder="Tag" value=${query.get("tag") || ""} onChange=${set("tag")} /></label>
      <label><span class="hidden">Order</span>
        <select value=${query.get("order") || ""} onChange=${set("order")}>${ORDERS.map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${query.get("deleted") === "1"} onChange=${(event) => refine({ deleted: event.target.checked ? "1" : "" })} /> Deleted too</label>
      ${given && html`<button class="plain" onClick=${() => refine({ status: "", agent: "", tag: "", text: "", order: "", deleted: "" })}>Clear</button>`}
    </div>`;
}

function Nothing({ query }) {
  const filtered = ["activity", "status", "agent", "tag", "text"].some((name) => query.get(name));
  return filtered
    ? html`<${Empty} title="No session is like that"><p>Nothing matches these filters.</p>
        <p><button onClick=${() => refine({ activity: "", status: "", agent: "", tag: "", text: "" })}>Show all sessions</button></p><//>`
    : html`<${Empty} title="No sessions yet"><p>A session is a conversation with an agent that survives everything: closed tabs, crashes, reboots.</p>
        <p>Say above what is to be done, or start one in a terminal:</p><pre class="output" tabindex="0">sessionry run "Fix the failing test"</pre><//>`;
}
