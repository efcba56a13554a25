// What all pages share: who we are, what waits for a person, what works, what was said, and whether the server is there.
import { effect, signal } from "./lib.js";
import { all, call, get, path } from "./api.js";
import { follow, inOneTab } from "./stream.js";
import { route } from "./route.js";

// --- what was said ----------------------------------------------------------------------------------------------------

export const notices = signal([]);
let number = 0;

// `action` is a name and what it does: a way back from what was done.
export function tell(text, kind = "good", action = null) {
  const id = ++number;
  notices.value = [...notices.value.slice(-3), { id, text, kind, action }];
  setTimeout(() => dismiss(id), kind === "bad" || action ? 9000 : 4000);
}

export function dismiss(id) { notices.value = notices.value.filter((notice) => notice.id !== id); }

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
export const stats = signal({ sessions: {}, activity: {}, runs: {}, pending_approvals: 0 });
export const approvals = signal([]);
export const agents = signal([]);
export const defaultAgent = signal(null);
// The sessions that need somebody or work: what the side of every page shows.
export const active = signal([]);
// Counts the changes anywhere: a page that shows a listing reads it again when this changes.
export const changes = signal(0);
export const can = (permission) => Boolean(me.value?.permissions.some((one) => one === "admin" || one === permission));

const MATTERS = /^(session_|run_|tool_approval|approval_|token_usage|worker_)/;
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("sessionry") : { postMessage() {} };
let timer = null, busy = false, wanted = false;

// Read what all pages show. What comes while it is read is read once more, however often it came.
export async function refresh() {
  if (busy) { wanted = true; return; }
  busy = true;
  try {
    const [counts, waiting, ...atWork] = await Promise.all([
      get("/v1/stats"), all("/v1/approvals"),
      ...["needs_you", "working"].map((activity) => get(path("/v1/sessions", { activity, limit: 12 }))),
    ]);
    stats.value = counts;
    approvals.value = waiting;
    active.value = atWork.flatMap((page) => page.items);
    changes.value++;
  } catch (problem) {
    if (problem.status === 401) signedIn.value = false;
  }
  busy = false;
  if (wanted) { wanted = false; soon(); }
}

// Not at once, for changes come in flocks; and seldom while nobody looks.
function soon() { timer ??= setTimeout(() => { timer = null; refresh(); }, document.hidden ? 4000 : 350); }

// What only time changes: ages, and silence.
setInterval(() => { if (!document.hidden && me.value) refresh(); }, 20000);
document.addEventListener("visibilitychange", () => { if (!document.hidden && me.value) refresh(); });

export async function begin() {
  try {
    me.value = await get("/v1/me");
    signedIn.value = true;
  } catch (problem) {
    signedIn.value = problem.status !== 401;
    live.value = problem.status === 401 ? live.value : "lost";
    if (problem.status !== 401) setTimeout(begin, 1500);
    return;
  }
  get("/v1/agents").then((found) => { agents.value = found.items; defaultAgent.value = found.default; }, () => {});
  tabs.onmessage = ({ data }) => { hear(data); };
  inOneTab("sessionry", watch);
  await refresh();
  if (live.value === "connecting") live.value = "live";
}

// One tab watches all sessions and tells the others.
async function watch() {
  const types = await get("/v1/schemas/events").then(Object.keys, () => []);
  const only = types.filter((type) => MATTERS.test(type));
  const say = (word) => { hear(word); tabs.postMessage(word); };
  follow("/v1/events", -1, () => say("changed"), { only, stay: true, onState: (state) => say(state) });
}

function hear(word) {
  if (word !== "changed") {
    if (word === "live") refresh(); // what happened before this stream, nobody has told
    if (word === "lost") get("/v1/me").catch((problem) => { if (problem.status === 401) signedIn.value = false; });
    live.value = word;
  } else soon();
}

// The answer to a question; read anew afterwards, so that it is nowhere any more.
export async function decide(approval, yes, note) {
  const done = await attempt(
    () => call("POST", `/v1/approvals/${approval.id}/${yes ? "approve" : "deny"}`, note ? { note } : {}),
    `${yes ? "Approved" : "Denied"}: ${approval.tool_name}`,
  );
  approvals.value = approvals.value.filter((one) => one.id !== approval.id);
  refresh();
  return done;
}

// --- how it looks -----------------------------------------------------------------------------------------------------

// What the tab is called, besides how much waits.
export const heading = signal("");
const NAMES = { fleet: "Sessions", approvals: "Approvals", usage: "Usage", workers: "Workers", webhooks: "Webhooks" };
effect(() => {
  const count = approvals.value.length;
  const name = route.value.page === "sessions" ? heading.value : NAMES[route.value.page] || "";
  document.title = `${count ? `(${count}) ` : ""}${name ? `${name} · ` : ""}Sessionry`;
  document.querySelector("link[rel=icon]").href = count ? "/static/icon-waiting.svg" : "/static/icon.svg";
});

export const theme = signal(localStorage.getItem("theme") || "auto");
effect(() => {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("theme", theme.value);
});
