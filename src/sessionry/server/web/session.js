// One session: its head, what can be done with it, and its parts: the transcript and the log.
import { html, useEffect, useState } from "./lib.js";
import { call, get, patch, path, post } from "./api.js";
import { active, attempt, can, changes, heading, refresh, tell } from "./state.js";
import { go, hrefOf, route } from "./route.js";
import { nameOf, over } from "./format.js";
import { Activity, Empty, Icon, Loading, Status, useKeys } from "./parts.js";
import { Talk } from "./talk.js";
import { Events } from "./events.js";
import { Aside } from "./aside.js";

export function Session() {
  const { id, part } = route.value;
  const [session, setSession] = useState(null);
  const [problem, setProblem] = useState(null);
  const [runs, setRuns] = useState(new Map());
  useEffect(() => {
    let current = true;
    get(path(`/v1/sessions/${id}`, { include_deleted: true })).then((found) => {
      if (!current) return;
      setProblem(null);
      setSession(found);
      heading.value = nameOf(found);
    }, (error) => { if (current && error.status === 404) setProblem(error); });
    return () => { current = false; };
  }, [id, changes.value]);
  useEffect(() => () => { heading.value = ""; }, []);
  if (problem) return html`<section class="page"><${Empty} title="There is no such session"><p>${problem.message}</p><p><a class="button" href=${hrefOf("fleet")}>All sessions</a></p><//></section>`;
  if (session?.id !== id) return html`<${Loading} />`;
  return html`
    <section class="page session" aria-label="Session">
      <div class="middle">
        <${Head} session=${session} part=${part} runs=${runs} />
        ${part === "events" ? html`<${Events} key=${id} id=${id} />` : html`<${Talk} key=${id} session=${session} onRuns=${(found) => setRuns(new Map(found))} />`}
      </div>
      ${part !== "events" && html`<${Aside} session=${session} runs=${runs} />`}
    </section>`;
}

function Head({ session, part, runs }) {
  return html`
    <header class="head">
      <div class="titles"><${Title} session=${session} /><p><${State} session=${session} runs=${runs} /></p></div>
      <nav class="tabs" aria-label="Parts of the session">
        <a href=${hrefOf("sessions", session.id)} aria-current=${!part ? "page" : undefined}>Transcript</a>
        <a href=${hrefOf("sessions", session.id, {}, "events")} aria-current=${part === "events" ? "page" : undefined}>Events</a>
      </nav>
      ${can("run") && html`<${Actions} session=${session} />`}
    </header>`;
}

function State({ session, runs }) {
  const statuses = new Set([...runs.values()].map((run) => run.status));
  const activity = statuses.has("waiting") ? "needs_you" : statuses.has("running") ? "working" : statuses.has("pending") ? "queued" : active.value.find((one) => one.id === session.id)?.activity;
  return html`${session.deleted_at ? html`<span class="tag bad">deleted</span>` : ""} ${activity && !over(session) ? html`<${Activity} value=${activity} />` : html`<${Status} value=${session.status} />`}
    ${session.status === "paused" && activity ? html` <${Status} value="paused" />` : ""} <span class="quiet">${session.agent_id}</span>`;
}

function Title({ session }) {
  const [text, setText] = useState(null);
  const save = async (event) => {
    event.preventDefault();
    if (text.trim() !== (session.title || "")) await attempt(() => patch(session.id, () => ({ title: text.trim() || null })));
    setText(null);
    refresh();
  };
  if (text !== null) {
    return html`<form class="rename" onSubmit=${save}><label class="grow"><span class="hidden">Title</span><input autofocus value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${(event) => { if (event.key === "Escape") setText(null); }} /></label><button>Save</button></form>`;
  }
  return html`<h1>${nameOf(session)} ${can("run") && html`<button class="plain small" aria-label="Rename" onClick=${() => setText(session.title || "")}><${Icon} name="edit" /></button>`}</h1>`;
}

function Actions({ session }) {
  const act = (verb, done, body) => async () => { await attempt(() => post(`/v1/sessions/${session.id}/${verb}`, body), done); refresh(); };
  const fork = async () => {
    const made = await attempt(() => post(`/v1/sessions/${session.id}/fork`, {}), "Forked. What was said until now is known here.");
    if (made) go("sessions", made.id);
  };
  const hide = async () => {
    if (await attempt(() => call("DELETE", `/v1/sessions/${session.id}`))) tell("Deleted.", "good", { name: "Undo", run: act("restore", "Restored.") });
    refresh();
  };
  useKeys({ p: () => (session.status === "active" ? act("pause", "Paused: no new run begins.")() : session.status === "paused" ? act("resume", "Resumed.")() : false) });
  if (session.deleted_at) return html`<div class="actions"><button onClick=${act("restore", "Restored.")}>Restore</button></div>`;
  return html`
    <div class="actions" role="toolbar" aria-label="Session">
      ${session.status === "active" && html`<button onClick=${act("pause", "Paused: no new run begins.")} title="p"><${Icon} name="pause" />Pause</button>`}
      ${session.status === "paused" && html`<button class="primary" onClick=${act("resume", "Resumed.")} title="p"><${Icon} name="play" />Resume</button>`}
      <button onClick=${fork} title="A new session that goes on from here"><${Icon} name="fork" />Fork</button>
      <details class="menu"><summary aria-label="More"><${Icon} name="more" /></summary>
        <div class="pop">
          ${session.status === "active" && html`<button onClick=${act("complete", "Completed.")}>Complete</button>`}
          ${!over(session) && html`<button class="bad" onClick=${act("cancel", "Cancelled.", { reason: "from the dashboard" })}>Cancel session</button>`}
          <button class="bad" onClick=${hide}>Delete</button>
        </div></details>
    </div>`;
}
