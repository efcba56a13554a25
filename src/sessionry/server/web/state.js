// What all pages share: where we are, what waits for a person, what was said, and whether the server is there.
import { effect, signal } from "./lib.js";
import { all, call, follow, get } from "./api.js";

// --- where we are: #/page/id?name=value -----------------------------------------------------------------------------

function parsed() {
  const [place, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = place.split("/").map(decodeURIComponent);
  return { page: page || "fleet", id: rest[0], part: rest[1], query: new URLSearchParams(query) };
}

export const route = signal(parsed());
addEventListener("hashchange", () => { route.value = parsed(); });

export function hrefOf(page, id, query, part) {
  const place = [page, id, part].filter(Boolean).map(encodeURIComponent).join("/");
  const text = new URLSearchParams(Object.entries(query || {}).filter(([, value]) => value)).toString();
  return `#/${place}${text ? `?${text}` : ""}`;
}

export function go(page, id, query, part) { location.hash = hrefOf(page, id, query, part); }

// Change what the address asks for, without a step in the history.
export function refine(changes) {
  const { page, id, part, query } = route.value;
  const next = { ...Object.fromEntries(query), ...changes };
  history.replaceState(null, "", hrefOf(page, id, next, part));
  route.value = parsed();
}

// --- what was said ----------------------------------------------------------------------------------------------------

export const notices = signal([]);
let number = 0;

export function tell(text, kind = "good") {
  const id = ++number;
  notices.value = [...notices.value.slice(-3), { id, text, kind }];
  setTimeout(() => { notices.value = notices.value.filter((notice) => notice.id !== id); }, kind === "bad" ? 9000 : 4000);
}

// Do something and say how it went. What went wrong is told, and is `undefined`.
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) tell(done);
    return result ?? true;
  } catch (problem) {
    if (problem.status === 401) signedIn.value = false;
    tell(problem.message, "bad");
    return undefined;
  }
}

// --- what is ----------------------------------------------------------------------------------------------------------

export const signedIn = signal(true);
export const me = signal(null);
export const live = signal("connecting");
export const stats = signal({ sessions: {}, runs: {}, pending_approvals: 0 });
export const approvals = signal([]);
export const agents = signal([]);
export const defaultAgent = signal(null);
// Counts the changes anywhere: a page that shows a listing reads it again when this changes.
export const changes = signal(0);
export const can = (permission) => me.value?.permissions.some((one) => one === "admin" || one === permission);

const MATTERS = /^(session_|run_|tool_approval|approval_)/;
let timer = null;

export async function refresh() {
  try {
    const [counts, waiting] = await Promise.all([get("/v1/stats"), all("/v1/approvals")]);
    stats.value = counts;
    approvals.value = waiting;
    changes.value++;
  } catch (problem) {
    if (problem.status === 401) signedIn.value = false;
  }
}

function soon() { timer ??= setTimeout(() => { timer = null; refresh(); }, 250); }

export async function begin() {
  try {
    me.value = await get("/v1/me");
    signedIn.value = true;
  } catch (problem) {
    signedIn.value = problem.status !== 401;
    if (problem.status !== 401) setTimeout(begin, 1500);
    return;
  }
  get("/v1/agents").then((found) => { agents.value = found.items; defaultAgent.value = found.default; }, () => {});
  const last = await get("/v1/position").then((found) => found.position, () => 0);
  await refresh();
  follow("/v1/events", last, (events) => { if (events.some((event) => MATTERS.test(event.type))) soon(); }, (state) => {
    if (state === "live" && live.value === "lost") refresh();
    live.value = state;
  });
}

effect(() => {
  const count = approvals.value.length;
  document.title = `${count ? `(${count}) ` : ""}Sessionry`;
});

// --- how it looks -----------------------------------------------------------------------------------------------------

export const theme = signal(localStorage.getItem("theme") || "auto");
effect(() => {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("theme", theme.value);
});

export async function decide(approval, yes, note) {
  const verb = yes ? "approve" : "deny";
  const done = await attempt(
    () => call("POST", `/v1/approvals/${approval.id}/${verb}`, note ? { note } : {}),
    `${yes ? "Approved" : "Denied"}: ${approval.tool_name}`,
  );
  await refresh();
  return done;
}
