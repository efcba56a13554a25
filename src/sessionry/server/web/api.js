// The public HTTP interface, and nothing else, is what the dashboard knows of the server.

export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || `the server answered ${status}`);
    this.status = status;
    this.code = body?.code;
  }
}

export async function call(method, path, body, headers = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(0, { detail: "the server cannot be reached", code: "unreachable" });
  }
  const text = await answer.text();
  let found = null;
  try { found = text ? JSON.parse(text) : null; } catch { /* the problem below says it */ }
  if (!answer.ok) throw new Problem(answer.status, found);
  return found;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);

// A path with the parameters that are set; a list is the same name several times.
export function path(base, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== "" && each !== false) query.append(name, each);
    }
  }
  const text = query.toString();
  return text ? `${base}?${text}` : base;
}

// Everything of a listing, page by page, up to `most`.
export async function all(base, parameters = {}, most = 1000) {
  const items = [];
  let cursor;
  do {
    const page = await get(path(base, { limit: 200, ...parameters, cursor }));
    items.push(...page.items);
    cursor = page.cursor;
  } while (cursor && items.length < most);
  return items;
}

let types = null;

// Follow a log from a cursor on. Comes again by itself after a cut, from the last event that it has seen. `onEvents` gets
// what came in one frame of the screen, so that a flood costs one drawing. Returns what ends it.
export function follow(base, after, onEvents, onState = () => {}) {
  let source = null, ended = false, cursor = after, waiting = [], frame = null, timer = null, tries = 0;
  const flush = () => {
    frame = null;
    const events = waiting;
    waiting = [];
    if (events.length && !ended) onEvents(events);
  };
  const take = (message) => {
    const id = Number(message.lastEventId);
    if (!(id > cursor)) return;
    cursor = id;
    waiting.push(JSON.parse(message.data));
    frame ??= document.hidden ? setTimeout(flush, 200) : requestAnimationFrame(flush);
  };
  const open = async () => {
    try {
      types ??= Object.keys(await get("/v1/schemas/events"));
    } catch {
      return again();
    }
    if (ended) return;
    source = new EventSource(path(base, { after: cursor }));
    for (const type of types) source.addEventListener(type, take);
    source.addEventListener("end", () => { flush(); stop(); onState("ended"); });
    source.onopen = () => { tries = 0; onState("live"); };
    source.onerror = () => { source.close(); again(); };
  };
  const again = () => {
    if (ended) return;
    onState("lost");
    clearTimeout(timer);
    timer = setTimeout(open, Math.min(500 * 2 ** tries++, 5000));
  };
  const stop = () => { ended = true; clearTimeout(timer); source?.close(); };
  open();
  return stop;
}
