// The log as it is: every event a line, drawn only where it is seen; one of them readable and raw, side by side.
import { html, useEffect, useMemo, useRef, useState } from "./lib.js";
import { FIRST, get, path } from "./api.js";
import { follow } from "./stream.js";
import { attempt, tell } from "./state.js";
import { numberOf, refine, route } from "./route.js";
import { List } from "./list.js";
import { Timeline } from "./timeline.js";
import { Readable } from "./readable.js";
import { Sent } from "./sent.js";
import { Json } from "./text.js";
import { Empty, Icon, Loading, useKeys } from "./parts.js";
import { gist, words } from "./format.js";

const ROW = 30, PAGE = 500, MOST = 5000;
// Frames are shown beside the events that were made of them, and as events of their own to who asks for that type.
const ALL = ["-frame_received"];

// The part of the log that was read: from around `seq`, or its end, in both ways as far as somebody looks.
function useLog(base, only, seq) {
  const [log, setLog] = useState(null); // { events, start, end }: whether it is all there is before, and after
  const now = useRef(log);
  const put = (next) => { now.current = next; setLog(next); };
  const query = { types: only.length ? only : ALL };
  const key = JSON.stringify(only);
  const [from] = useState(seq);
  useEffect(() => {
    let current = true;
    attempt(async () => {
      const before = from === null ? undefined : from + PAGE / 2;
      const { items } = await get(path(base, { ...query, newest: true, after: FIRST, limit: PAGE, before }));
      if (current) put({ events: items, start: items.length < PAGE, end: before === undefined });
      if (current && before !== undefined) later();
    });
    return () => { current = false; };
  }, [key, from]);
  const reading = useRef(false);
  const read = async (work) => {
    if (reading.current || !now.current) return;
    reading.current = true;
    const next = await attempt(() => work(now.current));
    if (next && next !== true) put(next);
    reading.current = false;
  };
  const earlier = () => read(async (log) => {
    if (log.start || !log.events.length) return log;
    const { items } = await get(path(base, { ...query, newest: true, after: FIRST, limit: PAGE, before: log.events[0].seq }));
    const events = [...items, ...log.events];
    return { events: events.slice(0, MOST), start: items.length < PAGE, end: log.end && events.length <= MOST };
  });
  const later = () => read(async (log) => {
    if (log.end || !log.events.length) return log;
    const { items } = await get(path(base, { ...query, limit: PAGE, after: log.events.at(-1).seq }));
    const events = [...log.events, ...items];
    return { events: events.slice(-MOST), start: log.start && events.length <= MOST, end: items.length < PAGE };
  });
  const atEnd = Boolean(log?.end);
  useEffect(() => {
    if (!atEnd) return undefined;
    return follow(base, now.current.events.at(-1)?.seq || 0, (more) => {
      const log = now.current;
      if (!log?.end) return;
      const last = log.events.at(-1)?.seq || 0;
      const events = [...log.events, ...more.filter((event) => event.seq > last)];
      put({ ...log, events: events.length > MOST * 2 ? events.slice(-MOST) : events, start: log.start && events.length <= MOST * 2 });
    }, { only: query.types });
  }, [atEnd, key]);
  const open = async (seq) => {
    const before = seq === null ? undefined : seq + PAGE / 2;
    const page = await attempt(() => get(path(base, { ...query, newest: true, after: FIRST, limit: PAGE, before })));
    if (page) put({ events: page.items, start: page.items.length < PAGE, end: before === undefined });
  };
  return { log, earlier, later, open };
}

export function Events({ id }) {
  const { query } = route.value;
  const base = `/v1/sessions/${id}/events`;
  const only = (query.get("types") || "").split(",").filter(Boolean);
  const chosen = numberOf("seq");
  const { log, earlier, later, open } = useLog(base, only, chosen);
  const [tail, setTail] = useState(chosen === null);
  const control = useRef(null);
  const asked = useRef(null);
  const index = useMemo(() => (log && chosen !== null ? log.events.findIndex((event) => event.seq === chosen) : -1), [log, chosen]);
  useEffect(() => {
    if (!log || chosen === null || asked.current === chosen) return;
    asked.current = chosen;
    if (index >= 0) { setTail(false); control.current?.to(index); } else open(chosen).then(() => { asked.current = null; });
  }, [log, chosen, index]);
  const choose = (seq) => { asked.current = seq; refine({ seq }, true); };
  const step = (way) => { const next = log?.events[index < 0 ? 0 : index + way]; if (next) { refine({ seq: next.seq }, true); } };
  useKeys({ j: () => step(1), k: () => step(-1) });
  const event = index >= 0 ? log.events[index] : null;
  return html`
    <div class="log">
      <${Timeline} id=${id} chosen=${chosen} choose=${(seq) => refine({ seq }, true)} />
      <${Bar} base=${base} only=${only} chosen=${chosen} end=${async () => { refine({ seq: "" }, true); await open(null); setTail(true); }} />
      <div class="split">
        ${!log ? html`<${Loading} />` : log.events.length === 0 ? html`<${Empty} title="No such event"><p>There is none of these types in the log.</p><//>` : html`<${List} items=${log.events} keyOf=${(one) => one.seq} height=${ROW} control=${control} tail=${tail} onTail=${(end) => setTail(end && log.end)} near=${(side) => (side === "start" ? earlier() : later())}
          label="Events" kind="rows" draw=${(one) => html`<${Row} event=${one} chosen=${one.seq === chosen} choose=${choose} />`} />`}
        ${event ? html`<${Readable} key=${event.seq} event=${event} /><${Raw} key=${`raw ${event.seq}`} id=${id} event=${event} />`
          : html`<div class="side"><${Empty} title=${chosen !== null && log ? `No event ${chosen}` : "Choose an event"}><p>${chosen !== null && log ? "It may have been pruned, or is of another type than you look for." : html`It is shown here as it reads, as it is stored, and as it was sent. <kbd>j</kbd> and <kbd>k</kbd> go through them.`}</p><//></div>`}
      </div>
    </div>`;
}

function Row({ event, chosen, choose }) {
  return html`
    <button class="event ${kindOf(event.type)} ${chosen ? "chosen" : ""}" aria-current=${chosen ? "true" : undefined} onClick=${() => choose(event.seq)}>
      <span class="seq">${event.seq}</span><span class="at">${event.at.slice(11, 23)}</span><strong>${event.type}</strong><span class="brief">${brief(event.data)}</span>
    </button>`;
}

const kindOf = (type) => (/failed|error|timeout|lost|stalled|violation/.test(type) ? "bad" : /approval|waiting/.test(type) ? "asked" : /^(run|session)_/.test(type) ? "life" : /^tool/.test(type) ? "tools" : "");

function brief(data) {
  const { text, tool_name, tool_input, error, reason, title, input, name } = data;
  const found = text ?? (tool_name ? `${tool_name} ${tool_input === undefined ? "" : gist(tool_input)}` : null) ?? error?.message ?? reason ?? title ?? name ?? (input === undefined ? "" : words(input));
  return String(found ?? "").replace(/\s+/g, " ").slice(0, 200);
}

// Which types, which event, and the log as a file.
function Bar({ base, only, chosen, end }) {
  const [types, setTypes] = useState([]);
  const [seq, setSeq] = useState("");
  useEffect(() => { get("/v1/schemas/events").then((found) => setTypes(Object.keys(found).sort()), () => {}); }, []);
  const toggle = (type) => refine({ types: (only.includes(type) ? only.filter((one) => one !== type) : [...only, type]).join(",") });
  const jump = (event) => { event.preventDefault(); if (seq.trim() && Number.isSafeInteger(Number(seq))) refine({ seq: Number(seq) }); setSeq(""); };
  const copy = async () => { await navigator.clipboard.writeText(location.href).then(() => tell("Copied the address of this event."), () => tell("The browser does not let pages write to the clipboard here.", "bad")); };
  return html`
    <div class="filters">
      <details class="menu types"><summary>${only.length ? `${only.length} of ${types.length} types` : "All types"} <${Icon} name="down" /></summary>
        <div class="pop"><button class="plain" onClick=${() => refine({ types: "" })}>All types</button>
          ${types.map((type) => html`<label key=${type}><input type="checkbox" checked=${only.includes(type)} onChange=${() => toggle(type)} /> ${type}</label>`)}</div></details>
      ${only.slice(0, 4).map((type) => html`<button key=${type} class="tag" title="No longer only this type" onClick=${() => toggle(type)}>${type} ✕</button>`)}
      <form class="jump" onSubmit=${jump}><label><span class="hidden">Go to event</span><input inputmode="numeric" placeholder="Go to event" value=${seq} onInput=${(event) => setSeq(event.target.value)} /></label></form>
      <span class="grow"></span>
      ${chosen !== null && html`<button class="plain" onClick=${copy}>Copy link</button>`}
      <button class="plain" onClick=${end}><${Icon} name="end" />To the end</button>
      <${Download} base=${base} only=${only} />
    </div>`;
}

// The log as lines of JSON, page by page, as it is now.
function Download({ base, only }) {
  const [count, setCount] = useState(null);
  const load = () => attempt(async () => {
    const lines = [];
    let after = 0;
    for (;;) {
      const page = await get(path(base, { after, limit: 1000, types: only }));
      for (const event of page.items) lines.push(JSON.stringify(event), "\n");
      setCount(lines.length / 2);
      if (page.items.length < 1000) break;
      after = page.cursor;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    link.download = `${base.split("/")[3]}.ndjson`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }).then(() => setCount(null));
  return html`<button disabled=${count !== null} onClick=${load}><${Icon} name="download" />${count === null ? "Download" : `${count} events …`}</button>`;
}

// What it was made of, and every field of the event as the log has it.
function Raw({ id, event }) {
  return html`<section class="side raw" aria-label="Raw"><${Sent} id=${id} event=${event} /><h2>As it is stored</h2><${Json} value=${event} label="Raw event" /></section>`;
}
