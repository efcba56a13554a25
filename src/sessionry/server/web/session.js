// One session: its conversation as it grows, what it asks, and what a person can tell it.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { follow, get, path, post } from "./api.js";
import { approvals, attempt, can, changes, decide, hrefOf, route } from "./state.js";
import { ago, Ansi, Diff, many, Markdown, money, short, shown, span, Status, total } from "./format.js";
import { Conversation } from "./transcript.js";
import { Events } from "./events.js";

const TAIL = 500;

export function Session() {
  const { id, part } = route.value;
  const [session, setSession] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    let current = true;
    get(path(`/v1/sessions/${id}`, { include_deleted: true })).then((found) => current && setSession(found), (error) => current && setProblem(error));
    return () => { current = false; };
  }, [id, changes.value]);
  if (problem) return html`<p class="empty">${problem.message} <a href=${hrefOf("fleet")}>All sessions</a></p>`;
  if (!session) return html`<p class="empty">Loading …</p>`;
  return html`
    <section class="page session" aria-label="Session">
      <${Head} session=${session} part=${part} />
      ${part === "events" ? html`<${Events} key=${id} id=${id} />` : html`<${Talk} key=${id} session=${session} />`}
    </section>`;
}

function Head({ session, part }) {
  const ended = ["completed", "failed", "cancelled"].includes(session.status);
  const change = (verb, done, body) => attempt(() => post(`/v1/sessions/${session.id}/${verb}`, body), done);
  return html`
    <header class="head">
      <div>
        <h1>${session.title || session.id}</h1>
        <p class="quiet"><${Status} value=${session.status} /> ${session.agent_id} · <code title=${session.id}>${short(session.id)}</code> · ${ago(session.created_at)} old${session.cwd && html` · <code>${session.cwd}</code>`} ${session.tags.map((tag) => html`<span class="tag">${tag}</span>`)}</p>
        <${Family} session=${session} />
      </div>
      <nav class="tabs" aria-label="Parts of the session">
        <a href=${hrefOf("sessions", session.id)} aria-current=${!part ? "page" : undefined}>Transcript</a>
        <a href=${hrefOf("sessions", session.id, {}, "events")} aria-current=${part === "events" ? "page" : undefined}>Events</a>
      </nav>
      ${can("run") && !ended && html`
        <div class="actions" role="toolbar" aria-label="Session">
          ${session.status === "active" && html`<button onClick=${() => change("pause", "Paused")}>Pause</button>`}
          ${session.status === "paused" && html`<button onClick=${() => change("resume", "Resumed")}>Resume</button>`}
          ${session.status === "active" && html`<button onClick=${() => change("complete", "Completed")}>Complete</button>`}
          <button class="bad" onClick=${() => change("cancel", "Cancelled", { reason: "from the dashboard" })}>Cancel</button>
        </div>`}
    </header>`;
}

function Family({ session }) {
  const [children, set] = useState([]);
  useEffect(() => { get(`/v1/sessions/${session.id}/children`).then((found) => set(found.items), () => {}); }, [session.id, changes.value]);
  if (!session.parent_session_id && !children.length) return null;
  return html`
    <nav class="family quiet" aria-label="Parent and children">
      ${session.parent_session_id && html`<a href=${hrefOf("sessions", session.parent_session_id)}>↑ parent ${short(session.parent_session_id)}</a>`}
      ${children.map((child) => html` <a href=${hrefOf("sessions", child.id)}>↳ ${child.title || short(child.id)} (${child.status})</a>`)}
    </nav>`;
}

function Talk({ session }) {
  const talk = useRef(new Conversation());
  const [version, draw] = useState(0);
  const [state, setState] = useState("loading");
  const [tail, setTail] = useState(true);
  const box = useRef(null);
  const base = `/v1/sessions/${session.id}/events`;
  useEffect(() => {
    let stop = () => {}, current = true;
    const begin = async () => {
      try {
        const page = await get(path(base, { newest: true, limit: TAIL }));
        if (!current) return;
        talk.current.add(page.items);
        draw((number) => number + 1);
        stop = follow(base, talk.current.last, (events) => { talk.current.add(events); draw((number) => number + 1); }, setState);
      } catch { if (current) { setState("lost"); setTimeout(begin, 1500); } }
    };
    begin();
    return () => { current = false; stop(); };
  }, [session.id]);
  useLayoutEffect(() => { if (tail && box.current) box.current.scrollTop = box.current.scrollHeight; }, [version, tail]);
  const earlier = async () => {
    const page = await attempt(() => get(path(base, { newest: true, limit: TAIL, before: talk.current.first })));
    if (!page) return;
    const whole = new Conversation().add([...page.items]);
    const height = box.current.scrollHeight, top = box.current.scrollTop;
    whole.items.push(...talk.current.items);
    whole.open = talk.current.open;
    whole.last = talk.current.last;
    for (const [id, run] of talk.current.runs) whole.runs.set(id, run);
    talk.current = whole;
    draw((number) => number + 1);
    requestAnimationFrame(() => { box.current.scrollTop = box.current.scrollHeight - height + top; });
  };
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    setTail(scrollHeight - scrollTop - clientHeight < 40);
  };
  const { items, runs, first } = talk.current;
  const atWork = [...runs.values()].filter((run) => ["running", "pending", "waiting"].includes(run.status));
  const jump = () => [...box.current.querySelectorAll(".item.failed, .item.note.bad")].pop()?.scrollIntoView({ block: "center" });
  return html`
    <div class="talk" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-label="Transcript" aria-live="polite" aria-relevant="additions">
      ${first > 1 && html`<button class="more" onClick=${earlier}>Load earlier</button>`}
      ${items.map((item) => html`<${Item} key=${item.key} item=${item} session=${session} />`)}
      ${items.length === 0 && html`<p class="empty">${state === "loading" ? "Loading …" : "Nothing was said yet."}</p>`}
    </div>
    <div class="under">
      <span class="quiet" role="status">${state === "lost" ? "The stream was cut; trying again …" : atWork.length ? `${atWork.length} at work` : ""}</span>
      <button aria-pressed=${tail} onClick=${() => setTail(!tail)}>Follow</button>
      <button onClick=${jump}>Last error</button>
      <a class="button" download="${session.id}.jsonl" href=${path(base, { limit: 1000 })}>Download</a>
    </div>
    <${Composer} session=${session} atWork=${atWork} />`;
}

function Item({ item, session }) {
  switch (item.kind) {
    case "prompt":
      return html`<article class="item prompt" id="seq-${item.seq}"><h2 class="who">${item.steer ? "You, meanwhile" : "You"}</h2><div class="plain">${item.text}</div></article>`;
    case "message":
      return html`<article class="item message ${item.child ? "child" : ""} ${item.streaming ? "streaming" : ""}" id="seq-${item.seq}"><${Markdown} text=${item.text} /></article>`;
    case "reasoning":
      return html`<details class="item reasoning ${item.child ? "child" : ""}"><summary>Thoughts</summary><div class="plain">${item.text}</div></details>`;
    case "tool": return html`<${Tool} item=${item} />`;
    case "approval": return html`<${Question} item=${item} />`;
    case "plan":
      return html`<article class="item plan"><h2 class="who">Plan</h2><ul>${item.entries.map((entry) => html`<li class=${entry.status}>${entry.text}</li>`)}</ul></article>`;
    case "end": return html`<${End} item=${item} session=${session} />`;
    default:
      return html`<p class="item note ${item.bad ? "bad" : ""}">${item.text}</p>`;
  }
}

function Tool({ item }) {
  const took = item.ended ? span((new Date(item.ended) - new Date(item.at)) / 1000) : "";
  const result = item.result;
  const changed = result?.changes;
  const text = result == null ? "" : typeof result === "string" ? result : [result.stdout, result.stderr].filter(Boolean).join("\n") || (changed ? "" : shown(result));
  const words = item.input && typeof item.input === "object" ? item.input.command || item.input.argv?.join(" ") || item.input.file_path || item.input.path || JSON.stringify(item.input) : shown(item.input);
  return html`
    <details class="item tool ${item.status} ${item.child ? "child" : ""}" open=${item.status === "failed"}>
      <summary><strong>${item.name}</strong> <code>${String(words ?? "").slice(0, 200)}</code> <span class="quiet">${item.status} ${took}</span></summary>
      <h3>Input</h3><pre class="output" tabindex="0">${shown(item.input)}</pre>
      ${item.error && html`<p class="bad">${item.error}</p>`}
      ${changed?.map((change) => html`<h3>${change.kind} ${change.path}</h3><${Diff} text=${change.diff || ""} />`)}
      ${(text || item.output) && html`<h3>Output</h3><${Ansi} text=${text || item.output} />`}
    </details>`;
}

function Question({ item }) {
  const waiting = item.status === "pending" && approvals.value.some((approval) => approval.id === item.id);
  return html`
    <article class="item question ${item.status}" aria-label="Approval">
      <h2 class="who">${item.status === "pending" ? "Asks for approval" : `Approval: ${item.status}${item.by ? ` by ${item.by}` : ""}`}</h2>
      <p><strong>${item.name}</strong>${item.reason && html` — ${item.reason}`}${item.note && html` — “${item.note}”`}</p>
      <pre class="output" tabindex="0">${shown(item.input)}</pre>
      ${waiting && html`<${Decide} approval=${{ id: item.id, tool_name: item.name }} />`}
    </article>`;
}

export function Decide({ approval }) {
  const [note, setNote] = useState("");
  if (!can("approve")) return html`<p class="quiet">Your token may not answer.</p>`;
  return html`
    <div class="decide">
      <label class="grow"><span class="hidden">Note</span><input placeholder="note (optional)" value=${note} onInput=${(event) => setNote(event.target.value)} /></label>
      <button class="primary approve" onClick=${() => decide(approval, true, note)}>Approve</button>
      <button class="bad deny" onClick=${() => decide(approval, false, note)}>Deny</button>
    </div>`;
}

function End({ item }) {
  const run = item.of;
  const facts = [
    item.reason, run.started && span((new Date(run.ended) - new Date(run.started)) / 1000),
    total(run.usage) ? `${many(total(run.usage))} tokens` : "", money(run.cost),
  ].filter(Boolean);
  return html`
    <div class="item end ${item.status}" role="separator">
      <span><${Status} value=${item.status} /> ${facts.join(" · ")}</span>
      ${item.error && html`<p class="bad">${item.error.message} <code>${item.error.code}</code></p>`}
    </div>`;
}

function Composer({ session, atWork }) {
  const [text, setText] = useState("");
  if (!can("run") || ["completed", "failed", "cancelled"].includes(session.status)) return null;
  const running = atWork.filter((run) => run.status === "running");
  const send = async (event) => {
    event?.preventDefault();
    if (text.trim() && await attempt(() => post(`/v1/sessions/${session.id}/runs`, { input: text }), atWork.length ? "Queued" : undefined)) setText("");
  };
  const steer = async () => {
    if (text.trim() && await attempt(() => post(`/v1/runs/${running[0].id}/steer`, { text }), "Told")) setText("");
  };
  const stop = (run) => attempt(() => post(`/v1/runs/${run.id}/cancel`, { reason: "from the dashboard" }), "Asked to stop");
  return html`
    <form class="composer" onSubmit=${send} aria-label="Say something">
      <label class="grow"><span class="hidden">Message</span>
        <textarea id="message" rows="2" placeholder=${atWork.length ? "Queue another run, or steer the one at work" : "Say what is next"} value=${text}
          onInput=${(event) => setText(event.target.value)} onKeyDown=${(event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); send(); } }}></textarea></label>
      <button class="primary" type="submit">${atWork.length ? "Queue" : "Send"}</button>
      ${running.length > 0 && html`<button type="button" onClick=${steer}>Steer</button>`}
      ${atWork.length > 0 && html`<button type="button" class="bad" onClick=${() => atWork.forEach(stop)}>Stop</button>`}
    </form>`;
}
