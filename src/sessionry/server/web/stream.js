// Logs as they grow. A stream comes again by itself after a cut, from the last event that it has seen.
import { get, path } from "./api.js";

let types = null;

// Follow a log from a cursor on. `onEvents` gets what came in one frame of the screen, so that a flood costs one drawing.
// `onState` hears live, lost and ended. A page that nobody sees holds no connection, of which a browser has few, unless it
// is to `stay`. Returns what ends it.
export function follow(base, after, onEvents, { only, onState = () => {}, stay = false } = {}) {
  let source = null, ended = false, cursor = after, waiting = [], drawing = false, timer = null, tries = 0;
  const flush = () => {
    drawing = false;
    const events = waiting;
    waiting = [];
    if (events.length && !ended) onEvents(events);
  };
  const take = (message) => {
    cursor = message.lastEventId;
    waiting.push(JSON.parse(message.data));
    if (drawing) return;
    drawing = true;
    document.hidden ? setTimeout(flush, 200) : requestAnimationFrame(flush);
  };
  const open = async () => {
    clearTimeout(timer);
    try {
      types ??= Object.keys(await get("/v1/schemas/events"));
    } catch (problem) {
      return again(problem);
    }
    if (ended || source || asleep()) return;
    source = new EventSource(path(base, { after: cursor, types: only }));
    const wanted = only?.filter((type) => type[0] !== "-");
    for (const type of wanted?.length ? wanted : types) source.addEventListener(type, take);
    source.addEventListener("end", () => { flush(); stop(); onState("ended"); });
    source.onopen = () => { tries = 0; onState("live"); };
    source.onerror = () => { close(); again(); };
  };
  const again = (problem) => {
    if (ended) return;
    onState("lost", problem);
    clearTimeout(timer);
    timer = setTimeout(open, Math.min(500 * 2 ** tries++, 5000));
  };
  const asleep = () => document.hidden && !stay;
  const close = () => { source?.close(); source = null; };
  const seen = () => { asleep() ? close() : source || ended || open(); };
  const stop = () => {
    ended = true;
    clearTimeout(timer);
    close();
    document.removeEventListener("visibilitychange", seen);
  };
  document.addEventListener("visibilitychange", seen);
  open();
  return stop;
}

// Do `work` in one of all the tabs, and in the next one when that is closed. Where a browser cannot tell (a page that is
// not of this machine and has no TLS), every tab does it.
export function inOneTab(name, work) {
  if (navigator.locks) navigator.locks.request(name, () => new Promise(() => { work(); }));
  else work();
}
