// The log as it is: every event in its line, drawn only where it is seen; raw on the right; runs and tools as a picture.
import { html, useEffect, useMemo, useRef, useState } from "./lib.js";
import { follow, get, path } from "./api.js";
import { attempt, refine, route } from "./state.js";

const ROW = 26, PAGE = 1000;

export function Events({ id }) {
  const [events, setEvents] = useState([]);
  const base = `/v1/sessions/${id}/events`;
  const { query } = route.value;
  const type = query.get("type") || "";
  const chosen = Number(query.get("seq")) || null;
  useEffect(() => {
    let stop = () => {}, current = true;
    attempt(async () => {
      const page = await get(path(base, { newest: true, limit: PAGE, before: chosen ? chosen + PAGE / 2 : undefined }));
      if (!current) return;
      setEvents(page.items);
      stop = follow(base, page.items.at(-1)?.seq || 0, (more) => setEvents((old) => [...old, ...more]));
    });
    return () => { current = false; stop(); };
  }, [id]);
  const first = events[0]?.seq;
  const earlier = useRef(false);
  const load = async () => {
    if (earlier.current || !(first > 1)) return;
    earlier.current = true;
    const page = await attempt(() => get(path(base, { newest: true, limit: PAGE, before: first })));
    if (page) setEvents((old) => [...page.items, ...old]);
    earlier.current = false;
  };
  const types = useMemo(() => [...new Set(events.map((event) => event.type))].sort(), [events.length]);
  const seen = useMemo(() => (type ? events.filter((event) => event.type === type) : events), [events, type]);
  const picked = chosen ? events.find((event) => event.seq === chosen) : null;
  return html`
    <div class="filters">
      <label><span class="hidden">Type</span>
        <select value=${type} onChange=${(event) => refine({ type: event.target.value })}>
          <option value="">all ${events.length} events${first > 1 ? ` from ${first} on` : ""}</option>
          ${types.map((name) => html`<option>${name}</option>`)}
        </select></label>
      ${first > 1 && html`<button onClick=${load}>Load earlier</button>`}
    </div>
    <${Timeline} events=${events} />
    <div class="split">
      <${Rows} items=${seen} chosen=${chosen} choose=${(seq) => refine({ seq })} onTop=${load} />
      <pre class="raw output" tabindex="0" aria-label="Raw event">${picked ? JSON.stringify(picked, null, 2) : "Choose an event to see it whole."}</pre>
    </div>`;
}

// Draws the rows that are seen, and a few around them, however many there are.
function Rows({ items, chosen, choose, onTop }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const stuck = useRef(true);
  const known = useRef(null);
  useEffect(() => {
    const element = box.current;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const element = box.current;
    const grewAbove = known.current && items[0]?.seq < known.current ? items.findIndex((item) => item.seq === known.current) : 0;
    known.current = items[0]?.seq;
    if (grewAbove > 0) element.scrollTop += grewAbove * ROW;
    else if (chosen && stuck.current) {
      const index = items.findIndex((item) => item.seq === chosen);
      if (index >= 0) { element.scrollTop = index * ROW - element.clientHeight / 2; stuck.current = false; }
    } else if (stuck.current) element.scrollTop = element.scrollHeight;
  }, [items]);
  const scrolled = () => {
    const element = box.current;
    stuck.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    setView({ top: element.scrollTop, height: element.clientHeight });
    if (element.scrollTop < ROW * 20) onTop();
  };
  const from = Math.max(Math.floor(view.top / ROW) - 10, 0);
  const to = Math.min(from + Math.ceil(view.height / ROW) + 20, items.length);
  return html`
    <div class="rows" ref=${box} onScroll=${scrolled} tabindex="0" role="region" aria-label="Events">
      <div style=${{ height: `${items.length * ROW}px`, position: "relative" }}>
        ${items.slice(from, to).map((event, index) => html`
          <button key=${event.seq} class="row ${event.type} ${event.seq === chosen ? "chosen" : ""}" style=${{ top: `${(from + index) * ROW}px` }} onClick=${() => choose(event.seq)}>
            <span class="number">${event.seq}</span> <span class="quiet">${event.at.slice(11, 23)}</span> <strong>${event.type}</strong> <span>${brief(event)}</span>
          </button>`)}
      </div>
    </div>`;
}

function brief(event) {
  const { text, tool_name, error, reason, title, input } = event.data;
  return String(text ?? tool_name ?? error?.message ?? reason ?? title ?? (typeof input === "string" ? input : "") ?? "").slice(0, 160);
}

// Runs, and the tools in them, over time.
function Timeline({ events }) {
  const bars = useMemo(() => barsOf(events), [events.length]);
  if (!bars.length) return null;
  const begin = Math.min(...bars.map((bar) => bar.from)), end = Math.max(...bars.map((bar) => bar.to), begin + 1);
  const x = (at) => ((at - begin) / (end - begin)) * 1000;
  const lanes = [...new Set(bars.map((bar) => bar.lane))];
  return html`
    <svg class="timeline" viewBox="0 0 1000 ${lanes.length * 14 + 4}" preserveAspectRatio="none" role="img" aria-label="Runs and tools over time">
      ${bars.map((bar) => html`<rect class=${bar.kind} x=${x(bar.from)} width=${Math.max(x(bar.to) - x(bar.from), 2)} y=${lanes.indexOf(bar.lane) * 14 + 2} height="11"><title>${bar.name}</title></rect>`)}
    </svg>`;
}

function barsOf(events) {
  const open = new Map(), bars = [];
  const now = events.length ? Date.parse(events.at(-1).at) : 0;
  for (const event of events) {
    const at = Date.parse(event.at);
    const id = event.data.tool_call_id ? `${event.run_id}${event.data.tool_call_id}` : event.run_id;
    if (event.type === "run_started") open.set(event.run_id, { from: at, kind: "run", lane: "runs", name: event.run_id });
    else if (event.type === "tool_call_started") open.set(id, { from: at, kind: "tool", lane: "tools", name: event.data.tool_name });
    else if (/^(run_(completed|failed|cancelled|timeout)|tool_call_(completed|failed|interrupted))$/.test(event.type) && open.has(id)) {
      bars.push({ ...open.get(id), to: at, kind: `${open.get(id).kind} ${event.type.split("_").pop()}` });
      open.delete(id);
    }
  }
  for (const bar of open.values()) bars.push({ ...bar, to: now });
  return bars.slice(-2000);
}
