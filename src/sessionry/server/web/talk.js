// A session's conversation: live, from its end backwards as far as somebody looks.
import { html, useEffect, useMemo, useRef, useState } from "./lib.js";
import { FIRST, get, path } from "./api.js";
import { follow } from "./stream.js";
import { attempt } from "./state.js";
import { numberOf, refine } from "./route.js";
import { List } from "./list.js";
import { Conversation, SAYS } from "./transcript.js";
import { Item } from "./items.js";
import { Composer } from "./composer.js";
import { Empty, Icon, Loading, useKeys } from "./parts.js";
import { plural } from "./format.js";

const TAIL = 500;
const ALL = { newest: true, types: SAYS, after: FIRST };
const GUESS = { prompt: 84, message: 90, tool: 40, reasoning: 34, end: 42, note: 30, approval: 190, plan: 120, fork: 30 };

// What is known of the conversation, as it grows. `started` hears of every change of its runs.
function useConversation(id, seq) {
  const talk = useRef(new Conversation());
  const [state, setState] = useState("loading");
  const [version, draw] = useState(0);
  const whole = useRef(true); // nothing was said before
  const base = `/v1/sessions/${id}/events`;
  const drawn = () => draw((number) => number + 1);
  useEffect(() => {
    let stop = () => {}, current = true, timer = null;
    const begin = async () => {
      try {
        let page = await get(path(base, { ...ALL, limit: TAIL }));
        let known = new Conversation().add(page.items);
        whole.current = page.items.length < TAIL;
        while (seq !== null && !whole.current && known.first > seq && known.events.length < 20000) {
          page = await get(path(base, { ...ALL, limit: 1000, before: known.first }));
          known = known.after(page.items);
          whole.current = page.items.length < 1000;
        }
        if (!current) return;
        talk.current = known;
        setState("live");
        drawn();
        stop = follow(base, known.last ?? 0, (events) => { talk.current.add(events); drawn(); }, { only: SAYS, onState: setState });
      } catch { if (current) { setState("lost"); timer = setTimeout(begin, 1500); } }
    };
    begin();
    return () => { current = false; clearTimeout(timer); stop(); };
  }, [id]);
  const reading = useRef(false);
  const earlier = async () => {
    const first = talk.current.first;
    if (reading.current || whole.current || first === null) return;
    reading.current = true;
    const page = await attempt(() => get(path(base, { ...ALL, limit: TAIL, before: first })));
    if (page?.items.length) talk.current = talk.current.after(page.items);
    if (page && page.items.length < TAIL) whole.current = true;
    reading.current = false;
    drawn();
  };
  return [talk.current, state, whole.current ? null : earlier, version];
}

export function Talk({ session, onRuns }) {
  const seq = numberOf("seq");
  const [talk, state, earlier, version] = useConversation(session.id, seq);
  const [tail, setTail] = useState(seq === null);
  const control = useRef(null);
  const opened = useRef(new Set());
  const own = useMemo(() => [...talk.runs].filter(([, run]) => !run.elsewhere), [version]);
  const atWork = useMemo(() => own.map(([, run]) => run).filter((run) => ["running", "pending", "waiting"].includes(run.status)), [own]);
  useEffect(() => { onRuns(own); }, [own]);
  const jump = (index) => { setTail(false); control.current?.to(index); };
  useEffect(() => {
    if (seq === null || state === "loading" || !talk.items.length) return;
    const exact = talk.items.findIndex((item) => item.seq === seq);
    const index = exact >= 0 ? exact : talk.items.findIndex((item) => item.seq >= seq);
    jump(index < 0 ? talk.items.length - 1 : index);
  }, [seq, state === "loading"]);
  const errors = useMemo(() => talk.items.flatMap((item, index) => (isError(item) ? [index] : [])), [version]);
  const last = useRef(null);
  const error = () => {
    if (!errors.length) return false;
    const before = errors.filter((index) => last.current === null || index < last.current);
    last.current = (before.length ? before : errors).at(-1);
    refine({ seq: talk.items[last.current].seq }, true);
    jump(last.current);
  };
  const toEnd = () => { refine({ seq: "" }, true); setTail(true); };
  useKeys({ e: error, f: toEnd, G: toEnd });
  return html`
    <div class="talk">
      ${talk.items.length > 0 && html`
        <${List} items=${talk.items} keyOf=${(item) => item.key} height=${(item) => GUESS[item.kind] || 40} control=${control} tail=${tail} onTail=${(end) => setTail(end)} near=${(side) => side === "start" && earlier?.()}
          role="log" itemRole=${null} label="Transcript" live="polite" kind="transcript"
          before=${earlier ? html`<p class="quiet earlier">There may be more before this. <button class="plain" onClick=${earlier}>Load earlier</button></p>` : html`<p class="quiet earlier">The beginning of the session</p>`}
          draw=${(item) => html`<div class="${item.seq === seq ? "here" : ""} ${item.seq < 1 ? "inherited" : ""}"><${Item} item=${item} runs=${talk.runs} opened=${opened.current} /></div>`} />`}
      ${talk.items.length === 0 && (state === "loading" ? html`<${Loading} />` : html`<${Empty} title="Nothing was said yet"><p>Say below what is to be done. It is kept the moment you send it, whatever happens to this tab.</p><//>`)}
      <div class="under">
        <span class="quiet" role="status">${state === "lost" ? html`<span class="bad">The stream was cut; trying again …</span>` : said(atWork)}</span>
        ${errors.length > 0 && html`<button class="plain" onClick=${error} title="e"><${Icon} name="error" />${plural(errors.length, "error")}</button>`}
        <button class="plain" aria-pressed=${tail} onClick=${() => (tail ? setTail(false) : toEnd())} title="f"><${Icon} name="end" />Follow</button>
      </div>
      <${Composer} session=${session} atWork=${atWork} />
    </div>`;
}

const isError = (item) => item.bad || (item.kind === "tool" && item.status === "failed") || (item.kind === "end" && ["failed", "timeout"].includes(item.status));

function said(runs) {
  const count = (status) => runs.filter((run) => run.status === status).length;
  const parts = [count("running") && "At work …", count("waiting") && "Waits for you", count("pending") && `${count("pending")} queued`];
  return parts.filter(Boolean).join(" · ");
}
