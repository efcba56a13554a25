// What is known of a session beside its conversation: facts, its runs, and its family.
import { html, useEffect, useState } from "./lib.js";
import { get, path } from "./api.js";
import { changes } from "./state.js";
import { hrefOf, refine } from "./route.js";
import { ago, many, moment, money, nameOf, shown, span, total } from "./format.js";
import { Status, Tags } from "./parts.js";

export function Aside({ session, runs }) {
  const [spent, setSpent] = useState(null);
  useEffect(() => { get(path("/v1/usage", { by: "model", session: session.id })).then(setSpent, () => {}); }, [session.id, changes.value]);
  return html`
    <aside aria-label="About the session">
      <${Facts} session=${session} spent=${spent} />
      <${Runs} runs=${runs} />
      <${Family} session=${session} />
      ${Object.keys(session.metadata).length > 0 && html`<section><h2>Metadata</h2><pre class="output" tabindex="0">${shown(session.metadata)}</pre></section>`}
    </aside>`;
}

function Facts({ session, spent }) {
  const models = spent?.items.map((item) => item.key).filter(Boolean).join(", ");
  const facts = [
    ["Agent", session.agent_id], ["Model", models],
    ["Tokens", spent?.total.tokens ? html`<span title="${spent.total.usage.cache_read_tokens || 0} of them read from a cache">${many(spent.total.tokens)}</span>` : ""],
    ["Cost", spent ? (spent.total.cost === null ? "" : `${money(spent.total.cost)}${spent.total.unpriced ? ", and more" : ""}`) : ""],
    ["Directory", session.cwd && html`<code>${session.cwd}</code>`],
    ["Begun", html`<time datetime=${session.created_at} title=${moment(session.created_at)}>${ago(session.created_at)} ago</time>`],
    ["Tags", session.tags.length ? html`<${Tags} tags=${session.tags} />` : ""],
    ["Id", html`<code class="id">${session.id}</code>`],
  ];
  return html`<section><h2>About</h2><dl>${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>`;
}

function Runs({ runs }) {
  const found = [...runs.values()].filter((run) => run.seq).slice(-8).reverse();
  if (!found.length) return null;
  return html`
    <section><h2>Runs</h2><ol class="runs" reversed>
      ${found.map((run) => html`
        <li key=${run.id}><button class="plain" onClick=${() => refine({ seq: run.seq })}>Run ${run.number}</button> <${Status} value=${run.status} />
          <span class="quiet">${run.ended && run.started ? span((new Date(run.ended) - new Date(run.started)) / 1000) : ""} ${total(run.usage) ? many(total(run.usage)) : ""}</span></li>`)}
    </ol></section>`;
}

// From the oldest ancestor that is known down to all descendants.
function Family({ session }) {
  const [tree, setTree] = useState([]);
  useEffect(() => {
    let current = true;
    const climb = async () => {
      let root = session;
      for (let steps = 0; root.parent_session_id && steps < 20; steps++) root = await get(path(`/v1/sessions/${root.parent_session_id}`, { include_deleted: true }));
      const found = (await get(`/v1/sessions/${root.id}/tree`)).items;
      if (current) setTree(found);
    };
    climb().catch(() => {});
    return () => { current = false; };
  }, [session.id, changes.value]);
  if (tree.length < 2) return null;
  const depth = new Map();
  for (const one of tree) depth.set(one.id, depth.has(one.parent_session_id) ? depth.get(one.parent_session_id) + 1 : 0);
  return html`
    <section><h2>Family</h2>
      <nav aria-label="Parent and children"><ul class="tree">
        ${ordered(tree).slice(0, 100).map((one) => html`<li key=${one.id} style=${{ paddingLeft: `${Math.min(depth.get(one.id), 6) * 14}px` }}>
          <a href=${hrefOf("sessions", one.id)} aria-current=${one.id === session.id ? "page" : undefined}>${nameOf(one)}</a> <${Status} value=${one.status} /></li>`)}
      </ul></nav>
    </section>`;
}

// Every session below its parent.
function ordered(tree) {
  const children = Map.groupBy ? Map.groupBy(tree, (one) => one.parent_session_id) : grouped(tree);
  const below = (one) => [one, ...(children.get(one.id) || []).flatMap(below)];
  return below(tree[0]);
}

function grouped(tree) {
  const found = new Map();
  for (const one of tree) found.set(one.parent_session_id, [...(found.get(one.parent_session_id) || []), one]);
  return found;
}
