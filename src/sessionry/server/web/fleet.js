// All sessions: who needs a person first, then what works, then the rest; as a table or as a board.
import { html, useEffect, useState } from "./lib.js";
import { call, get, path, post } from "./api.js";
import { agents, approvals, attempt, can, changes, defaultAgent, go, hrefOf, refine, refresh, route, stats, tell } from "./state.js";
import { ago, Status } from "./format.js";

const PAGE = 100;
const STUCK = 600; // seconds without a word from a run at work
const STATES = ["needs you", "working", "queued", "idle", "ended"];

export function stateOf(session) {
  if (session.pending_approvals) return "needs you";
  if (session.running_runs) return "working";
  if (["completed", "failed", "cancelled"].includes(session.status)) return "ended";
  if (session.pending_runs) return "queued";
  return "idle";
}

const stuck = (session) => session.running_runs > 0 && !session.pending_approvals && (Date.now() - new Date(session.updated_at)) / 1000 > STUCK;

function useSessions(query) {
  const [found, set] = useState({ items: [], cursor: null, loading: true });
  const filter = { status: query.get("status"), agent: query.get("agent"), tag: query.get("tag"), text: query.get("text") };
  const key = JSON.stringify(filter);
  const count = Math.max(found.items.length, PAGE);
  const load = async (limit, cursor) => get(path("/v1/sessions", { ...filter, limit: Math.min(limit, 1000), cursor }));
  useEffect(() => {
    let current = true;
    load(Math.ceil(count / PAGE) * PAGE).then((page) => current && set({ ...page, loading: false }), () => current && set((old) => ({ ...old, loading: false })));
    return () => { current = false; };
  }, [key, changes.value]);
  const more = async () => {
    const page = await attempt(() => load(PAGE, found.cursor));
    if (page) set({ items: [...found.items, ...page.items], cursor: page.cursor, loading: false });
  };
  return [found, more];
}

export function Fleet() {
  const { query } = route.value;
  const [found, more] = useSessions(query);
  const [chosen, choose] = useState(new Set());
  const board = query.get("view") === "board";
  const order = new Map(STATES.map((state, index) => [state, index]));
  const wanted = query.get("state");
  const items = found.items.filter((session) => !wanted || stateOf(session) === wanted)
    .sort((a, b) => order.get(stateOf(a)) - order.get(stateOf(b)));
  const toggle = (id) => { const next = new Set(chosen); next.delete(id) || next.add(id); choose(next); };
  return html`
    <section class="page" aria-label="Sessions">
      <h1 class="hidden">Sessions</h1>
      <${Counts} items=${found.items} />
      <${Filters} query=${query} />
      ${chosen.size > 0 && html`<${Bulk} chosen=${[...chosen]} done=${() => choose(new Set())} />`}
      ${items.length === 0
        ? html`<p class="empty">${found.loading ? "Loading …" : "No session here. Begin one above."}</p>`
        : board ? html`<${Board} items=${items} />` : html`<${Table} items=${items} chosen=${chosen} toggle=${toggle} />`}
      ${found.cursor && html`<button class="more" onClick=${more}>Load more</button>`}
    </section>`;
}

function Counts({ items }) {
  const counts = Object.fromEntries(STATES.map((state) => [state, items.filter((item) => stateOf(item) === state).length]));
  counts["needs you"] = Math.max(counts["needs you"], new Set(approvals.value.map((approval) => approval.session_id)).size);
  const wanted = route.value.query.get("state");
  const runs = stats.value.runs;
  return html`
    <div class="counts" role="group" aria-label="Filter by state">
      ${STATES.map((state) => html`
        <button class="count ${state.replace(" ", "-")}" aria-pressed=${wanted === state} onClick=${() => refine({ state: wanted === state ? "" : state })}>
          <strong>${counts[state]}</strong> ${state}
        </button>`)}
      <span class="quiet">${runs.running || 0} running · ${runs.pending || 0} queued · ${runs.completed || 0} completed · ${runs.failed || 0} failed runs</span>
    </div>
    <${NewSession} />`;
}

function NewSession() {
  const [prompt, setPrompt] = useState("");
  const [agent, setAgent] = useState("");
  if (!can("run")) return null;
  const usable = agents.value.filter((one) => !one.error);
  const picked = agent || defaultAgent.value || usable[0]?.id || "";
  const begin = async (event) => {
    event.preventDefault();
    if (!prompt.trim()) return;
    const id = await attempt(async () => {
      const session = await post("/v1/sessions", { agent_id: picked, title: prompt.trim().split("\n")[0].slice(0, 80) });
      await post(`/v1/sessions/${session.id}/runs`, { input: prompt });
      return session.id;
    });
    if (id) { setPrompt(""); go("sessions", id); }
  };
  return html`
    <form class="composer" onSubmit=${begin} aria-label="New session">
      <label class="grow"><span class="hidden">Prompt</span>
        <textarea id="new-prompt" rows="1" placeholder="What is to be done?" value=${prompt} onInput=${(event) => setPrompt(event.target.value)}
          onKeyDown=${(event) => { if (event.key === "Enter" && !event.shiftKey) begin(event); }}></textarea></label>
      <label><span class="hidden">Agent</span>
        <select value=${picked} onChange=${(event) => setAgent(event.target.value)}>
          ${usable.map((one) => html`<option value=${one.id}>${one.id}</option>`)}
        </select></label>
      <button class="primary" type="submit">Begin</button>
    </form>`;
}

function Filters({ query }) {
  return html`
    <div class="filters">
      <label><span class="hidden">Search titles and ids</span>
        <input id="search" type="search" placeholder="Search   /" value=${query.get("text") || ""} onInput=${(event) => refine({ text: event.target.value })} /></label>
      <label><span class="hidden">Status</span>
        <select value=${query.get("status") || ""} onChange=${(event) => refine({ status: event.target.value })}>
          <option value="">any status</option>
          ${["pending", "active", "paused", "completed", "failed", "cancelled"].map((status) => html`<option>${status}</option>`)}
        </select></label>
      <label><span class="hidden">Agent</span>
        <select value=${query.get("agent") || ""} onChange=${(event) => refine({ agent: event.target.value })}>
          <option value="">any agent</option>
          ${agents.value.map((agent) => html`<option>${agent.id}</option>`)}
        </select></label>
      <label><span class="hidden">Tag</span>
        <input placeholder="tag" value=${query.get("tag") || ""} onChange=${(event) => refine({ tag: event.target.value.trim() })} /></label>
      <div class="switch" role="group" aria-label="View">
        <button aria-pressed=${query.get("view") !== "board"} onClick=${() => refine({ view: "" })}>Table</button>
        <button aria-pressed=${query.get("view") === "board"} onClick=${() => refine({ view: "board" })}>Board</button>
      </div>
    </div>`;
}

function Table({ items, chosen, toggle }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Table of sessions">
    <table>
      <thead><tr><th><span class="hidden">Choose</span></th><th>State</th><th>Session</th><th>Agent</th><th>Status</th><th class="number">Runs</th><th class="number">Age</th><th class="number">Active</th></tr></thead>
      <tbody>
        ${items.map((session) => html`
          <tr key=${session.id} class=${stateOf(session).replace(" ", "-")}>
            <td><input type="checkbox" aria-label="Choose ${session.title || session.id}" checked=${chosen.has(session.id)} onChange=${() => toggle(session.id)} /></td>
            <td><span class="state ${stateOf(session).replace(" ", "-")}">${stateOf(session)}</span>${stuck(session) && html` <span class="state bad" title="Nothing was heard for more than 10 minutes">stuck?</span>`}</td>
            <td class="title"><a href=${hrefOf("sessions", session.id)}>${session.title || session.id}</a> ${session.tags.map((tag) => html`<button class="tag" onClick=${() => refine({ tag })}>${tag}</button>`)}</td>
            <td>${session.agent_id}</td>
            <td><${Status} value=${session.status} /></td>
            <td class="number">${session.runs}</td>
            <td class="number" title=${session.created_at}>${ago(session.created_at)}</td>
            <td class="number" title=${session.updated_at}>${ago(session.updated_at)}</td>
          </tr>`)}
      </tbody>
    </table></div>`;
}

function Board({ items }) {
  return html`
    <div class="board">
      ${STATES.map((state) => {
        const mine = items.filter((session) => stateOf(session) === state);
        return html`
          <section class="lane" aria-label=${state}>
            <h2>${state} <span class="quiet">${mine.length}</span></h2>
            ${mine.map((session) => html`
              <a class="card ${state.replace(" ", "-")}" key=${session.id} href=${hrefOf("sessions", session.id)}>
                <strong>${session.title || session.id}</strong>
                <span class="quiet">${session.agent_id} · ${session.runs} runs · ${ago(session.updated_at)}</span>
              </a>`)}
          </section>`;
      })}
    </div>`;
}

function Bulk({ chosen, done }) {
  const each = async (what, work) => {
    const results = await Promise.allSettled(chosen.map(work));
    const failed = results.filter((result) => result.status === "rejected");
    tell(`${what}: ${results.length - failed.length} of ${results.length}`, failed.length ? "bad" : "good");
    if (failed.length) tell(failed[0].reason.message, "bad");
    done();
    refresh();
  };
  return html`
    <div class="bulk" role="toolbar" aria-label="Chosen sessions">
      <span>${chosen.length} chosen</span>
      <button onClick=${() => each("Paused", (id) => post(`/v1/sessions/${id}/pause`))}>Pause</button>
      <button onClick=${() => each("Resumed", (id) => post(`/v1/sessions/${id}/resume`))}>Resume</button>
      <button onClick=${() => each("Cancelled", (id) => post(`/v1/sessions/${id}/cancel`, { reason: "from the dashboard" }))}>Cancel</button>
      <button onClick=${() => each("Hidden", (id) => call("DELETE", `/v1/sessions/${id}`))}>Hide</button>
      <button onClick=${done}>Choose none</button>
    </div>`;
}
