// The public HTTP interface, and nothing else, is what the dashboard knows of the server.

// What was refused, in words for a person. `status` 0: the server could not be reached.
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code;
    this.retryable = Boolean(body?.retryable) || status === 0;
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
    throw new Problem(0, { detail: "The server cannot be reached. Is `sessionry serve` running?", code: "unreachable" });
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

// Lower than the number of any event: a fork is read with all that it goes on from, whose numbers are up to 0.
export const FIRST = -Number.MAX_SAFE_INTEGER;

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

// Change some fields of a session, as it is now: read again and tried again when somebody else was faster.
export async function patch(id, changesOf) {
  for (let tries = 0; ; tries++) {
    const session = await get(`/v1/sessions/${id}`);
    try {
      return await call("PATCH", `/v1/sessions/${id}`, changesOf(session), { "If-Match": `"${session.version}"` });
    } catch (problem) {
      if (problem.status !== 412 || tries > 2) throw problem;
    }
  }
}

// `work` for each item, a few at a time; how each ended, as with Promise.allSettled.
export async function each(items, work, atOnce = 6) {
  const results = new Array(items.length);
  let next = 0;
  const one = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = { status: "fulfilled", value: await work(items[index]) };
      } catch (reason) {
        results[index] = { status: "rejected", reason };
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return results;
}
