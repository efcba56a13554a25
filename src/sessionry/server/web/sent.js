// What the agent's provider really sent, beside the event that was made of it.
import { html, useEffect, useState } from "./lib.js";
import { FIRST, get, path } from "./api.js";
import { attempt } from "./state.js";
import { Json } from "./text.js";

const NEAR = 200, MOST = 20, FRAME = "frame_received";
// What is no word of an agent was made of no frame.
const OURS = /^(session_|tool_approval|approval_|worker_|input_|run_(?!completed|failed))/;

export function Sent({ id, event }) {
  const [found, setFound] = useState(null); // { frames, more: of how many that are not shown, wanted }
  useEffect(() => {
    let current = true;
    attempt(async () => {
      const { frames, more } = await framesOf(id, event);
      const wanted = frames.length > 0 || (event.run_id && (await get(`/v1/runs/${event.run_id}`)).options.keep_raw === true);
      if (current) setFound({ frames, more, wanted });
    });
    return () => { current = false; };
  }, [event.id]);
  if (!found || event.type === FRAME) return null;
  return html`
    <div class="sent" role="group" aria-label="As it was sent">
      <h2>As it was sent</h2>
      ${found.more > 0 && html`<p class="quiet">The last ${MOST} of ${found.more + MOST} frames or more; all are in the log, as <code>${FRAME}</code>.</p>`}
      ${found.frames.map((frame) => html`<h3 key=${frame.seq}>${frame.data.source} <span class="quiet">frame ${frame.data.number}</span></h3>
        ${frame.data.frame === undefined ? html`<p class="quiet">It waits until it is known that there is no secret in it.</p>` : html`<${Json} value=${frame.data.frame} label=${`Frame ${frame.data.number}`} />`}`)}
      ${found.frames.length === 0 && html`<p class="quiet">${OURS.test(event.type) ? "No provider sent this: it is a word of Sessionry or of a person." : found.wanted ? "Nothing that was sent is right before it." : html`What was really sent is kept for a run that wants it: the option “Keep what is really sent”, <code>--keep-raw</code> or <code>keep_raw</code>.`}</p>`}
    </div>`;
}

// The frames right before the event, of its run and attempt; or those of the event before, which it shares. Of many, the last.
async function framesOf(id, event) {
  if (!event.run_id || OURS.test(event.type) || event.type === FRAME) return { frames: [], more: 0 };
  const base = `/v1/sessions/${id}/events`;
  const { items } = await get(path(base, { run: event.run_id, newest: true, after: FIRST, before: event.seq, limit: NEAR }));
  const all = [];
  for (const before of items.reverse()) {
    if (before.fence !== event.fence) continue;
    if (before.type === FRAME) { if (!before.data.late) all.unshift(before); } else if (all.length) break;
  }
  const frames = all.slice(-MOST), more = all.length - frames.length;
  if (frames.every((frame) => frame.data.frame !== undefined)) return { frames, more };
  const late = await get(path(base, { run: event.run_id, types: FRAME, after: frames[0].seq, limit: 1000 }));
  const contents = new Map(late.items.filter((one) => one.data.late && one.fence === event.fence).map((one) => [one.data.number, one.data]));
  return { frames: frames.map((frame) => ({ ...frame, data: contents.get(frame.data.number) || frame.data })), more };
}
