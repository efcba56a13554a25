// Runs, and the tools and questions in them, over time: a picture in which every bar is a link to its event.
import { html, useEffect, useMemo, useState } from "./lib.js";
import { get, path } from "./api.js";
import { changes } from "./state.js";
import { clock, plural, span } from "./format.js";

const TYPES = ["run_queued", "run_started", "run_completed", "run_failed", "run_cancelled", "run_timeout", "tool_call_started", "tool_call_completed", "tool_call_failed", "tool_call_interrupted",
  "tool_approval_requested", "tool_approval_granted", "tool_approval_denied", "approval_expired"];
const WIDTH = 1000, LANE = 16, MOST = 1000;
const NAMES = { run: "Runs", tool: "Tools", asked: "Waits" };

export function Timeline({ id, chosen, choose }) {
  const [events, setEvents] = useState([]);
  useEffect(() => { get(path(`/v1/sessions/${id}/events`, { newest: true, limit: MOST, types: TYPES })).then((page) => setEvents(page.items), () => {}); }, [id, changes.value]);
  const bars = useMemo(() => barsOf(events), [events]);
  if (!bars.length) return null;
  const begin = Math.min(...bars.map((bar) => bar.from)), end = Math.max(...bars.map((bar) => bar.to), begin + 1000);
  const x = (at) => ((at - begin) / (end - begin)) * WIDTH;
  const lanes = ["run", "tool", "asked"].filter((kind) => bars.some((bar) => bar.kind === kind));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => begin + part * (end - begin));
  const count = (kind) => bars.filter((bar) => bar.kind === kind).length;
  return html`
    <figure class="timeline">
      <div class="lanes">${lanes.map((kind) => html`<span key=${kind}>${NAMES[kind]}</span>`)}</div>
      <svg viewBox="0 0 ${WIDTH} ${lanes.length * LANE}" preserveAspectRatio="none" role="img" aria-label="${plural(count("run"), "run")} and ${plural(count("tool"), "tool call")} in ${span((end - begin) / 1000)}">
        ${ticks.map((at) => html`<line class="tick" x1=${x(at)} x2=${x(at)} y1="0" y2=${lanes.length * LANE} />`)}
        ${bars.map((bar) => html`
          <rect key=${bar.seq} class="${bar.kind} ${bar.status} ${bar.seq === chosen ? "chosen" : ""}" data-seq=${bar.seq} x=${x(bar.from)} y=${lanes.indexOf(bar.kind) * LANE + 2} rx="2" width=${Math.max(x(bar.to) - x(bar.from), 3)} height=${LANE - 4} onClick=${() => choose(bar.seq)}>
            <title>${bar.name} · ${bar.status} · ${span((bar.to - bar.from) / 1000)}</title></rect>`)}
      </svg>
      <figcaption>${ticks.map((at, index) => html`<span key=${index}>${index === 0 ? clock(at) : `+${span((at - begin) / 1000)}`}</span>`)}</figcaption>
    </figure>`;
}

const BEGINS = { run_started: "run", tool_call_started: "tool", tool_approval_requested: "asked" };

export function barsOf(events) {
  const open = new Map(), bars = [];
  let runs = 0;
  for (const { type, at, seq, run_id, data } of events) {
    const id = data.approval_id ? data.approval_id : data.tool_call_id ? `${run_id}|${data.tool_call_id}` : run_id;
    const kind = BEGINS[type];
    if (kind) {
      if (!open.has(id)) open.set(id, { kind, from: Date.parse(at), seq, name: data.tool_name || `Run ${++runs}`, status: "running" });
    } else if (open.has(id)) {
      bars.push({ ...open.get(id), to: Date.parse(at), status: type.split("_").pop() });
      open.delete(id);
    }
  }
  for (const bar of open.values()) bars.push({ ...bar, to: Date.now() });
  return bars;
}
