// Who works, on how much, and what waits for somebody to work on it.
import { html, useEffect, useState } from "./lib.js";
import { all, get, post } from "./api.js";
import { attempt, can, changes, refresh } from "./state.js";
import { hrefOf } from "./route.js";
import { ago, moment, plural, short, words } from "./format.js";
import { Empty, Loading, Status } from "./parts.js";

export function Workers() {
  const [workers, setWorkers] = useState(null);
  const [queue, setQueue] = useState([]);
  const [now, tick] = useState(0);
  useEffect(() => {
    get("/v1/workers").then((found) => setWorkers(found.items), () => setWorkers((old) => old || []));
    all("/v1/runs", { status: ["pending", "running", "waiting"], order: "created" }, 500).then(setQueue, () => {});
  }, [changes.value, now]);
  useEffect(() => { const timer = setInterval(() => tick((number) => number + 1), 5000); return () => clearInterval(timer); }, []);
  if (!workers) return html`<${Loading} />`;
  const alive = workers.filter((worker) => worker.alive);
  return html`
    <section class="page workers" aria-label="Workers">
      <header class="top"><h1>Workers</h1><p class="quiet">${plural(alive.length, "worker")} alive, ${alive.reduce((sum, worker) => sum + worker.runs, 0)} of ${alive.reduce((sum, worker) => sum + worker.slots, 0)} slots taken</p></header>
      ${workers.length === 0
        ? html`<${Empty} title="Nobody works"><p>Runs wait until a worker comes. Start one:</p><pre class="output" tabindex="0">sessionry worker</pre><//>`
        : html`<div class="fleetlet">${workers.map((worker) => html`<${Worker} key=${worker.id} worker=${worker} />`)}</div>`}
      <${Queue} runs=${queue} workers=${alive} />
    </section>`;
}

function Worker({ worker }) {
  const drain = async () => {
    await attempt(() => post(`/v1/workers/${worker.id}/drain`), "It takes no more runs, and leaves when those at work have ended.");
    refresh();
  };
  const state = !worker.alive ? "lost" : worker.draining ? "draining" : "alive";
  return html`
    <article class="card worker ${state}">
      <h2><span class="dot ${state}"></span>${worker.host} <span class="quiet">${worker.pid}</span> <${Status} value=${state} /></h2>
      <div class="slots" role="img" aria-label="${worker.runs} of ${worker.slots} slots taken">${Array.from({ length: Math.min(worker.slots, 32) }, (_, index) => html`<span class=${index < worker.runs ? "taken" : ""}></span>`)}</div>
      <p class="quiet">${worker.runs} of ${plural(worker.slots, "slot")} · since <span title=${moment(worker.started_at)}>${ago(worker.started_at)}</span> · <code title=${worker.id}>${short(worker.id)}</code></p>
      <p class="agents">${worker.queues.map((queue) => html`<span key=${queue} class="tag queue">queue ${queue}</span>`)}${worker.agents.map((agent) => html`<span key=${agent} class="tag">${agent}</span>`)}</p>
      ${can("admin") && state === "alive" && html`<button onClick=${drain}>Drain</button>`}
    </article>`;
}

function Queue({ runs, workers }) {
  const pending = runs.filter((run) => run.status === "pending");
  const queueOf = (run) => run.options.queue || "default";
  const taken = (run) => workers.some((worker) => !worker.draining && worker.agents.includes(run.agent_id) && worker.queues.includes(queueOf(run)));
  const orphans = [...new Set(pending.filter((run) => !taken(run)).map((run) => `${run.agent_id} in the queue ${queueOf(run)}`))];
  return html`
    <header class="top"><h2>Unfinished runs</h2><p class="quiet">${pending.length} in the queue, the oldest first</p></header>
    ${orphans.length > 0 && html`<p class="fault">No worker takes runs of ${orphans.join(", ")}: they wait until one comes that does.</p>`}
    ${runs.length === 0 ? html`<p class="quiet">Nothing waits and nothing works.</p>` : html`
      <div class="scroll" tabindex="0" role="region" aria-label="Table of unfinished runs"><table>
        <thead><tr><th>Status</th><th>Prompt</th><th>Agent</th><th>Queue</th><th>Worker</th><th class="number">Attempt</th><th class="number">Priority</th><th class="number">Age</th></tr></thead>
        <tbody>${runs.map((run) => html`
          <tr key=${run.id}><td><${Status} value=${run.status} /></td><td class="wide"><a href=${hrefOf("sessions", run.session_id)}>${words(run.input).replace(/\s+/g, " ").slice(0, 120) || short(run.session_id)}</a></td><td>${run.agent_id}</td><td>${queueOf(run)}</td>
            <td>${run.worker_id ? html`<code>${short(run.worker_id)}</code>` : html`<span class="quiet">–</span>`}</td><td class="number">${run.attempt || ""}</td><td class="number">${run.priority || ""}</td><td class="number" title=${moment(run.created_at)}>${ago(run.created_at)}</td></tr>`)}</tbody></table></div>`}`;
}
