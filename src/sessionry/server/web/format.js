// How things read: times, money, sizes, names.

export function ago(at) {
  if (!at) return "";
  const seconds = Math.max((Date.now() - new Date(at)) / 1000, 0);
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h`;
  if (seconds < 30 * 86400) return `${Math.floor(seconds / 86400)}d`;
  return new Date(at).toISOString().slice(0, 10);
}

export const since = (at) => (at ? (Date.now() - new Date(at)) / 1000 : 0);
export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
export const moment = (at) => (at ? new Date(at).toLocaleString() : "");

export function span(seconds) {
  if (seconds === undefined || seconds === null || Number.isNaN(seconds)) return "";
  if (seconds < 1) return `${Math.max(Math.round(seconds * 1000), 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function money(amount) {
  if (amount === null || amount === undefined) return "";
  const number = Number(amount);
  return `$${number.toFixed(number && number < 1 ? (number < 0.001 ? 6 : 4) : 2).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

const BUCKETS = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"];
export const total = (usage) => BUCKETS.reduce((sum, name) => sum + (usage?.[name] || 0), 0);
export const many = (count) => (count < 1000 ? String(count) : count < 1e6 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1e6).toFixed(1)}M`);
export const short = (id) => (id && id.length > 16 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id || "");
export const nameOf = (session) => session.title || short(session.id);
export const shown = (value) => (value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2));
export const plural = (count, word, words = `${word}s`) => `${count} ${count === 1 ? word : words}`;

// What a person most wants to know of the input of a tool, in one line.
export function gist(input) {
  if (input === null || input === undefined) return "";
  if (typeof input !== "object") return String(input);
  const argv = Array.isArray(input.argv) ? input.argv.join(" ") : null;
  const found = input.command ?? argv ?? input.file_path ?? input.path ?? input.pattern ?? input.query ?? input.url ?? input.prompt;
  if (Array.isArray(found)) return found.join(" ");
  return typeof found === "string" ? found : Object.keys(input).length ? JSON.stringify(input) : "";
}

// What a run was told, as text.
export function words(input) {
  if (typeof input === "string") return input;
  if (input && typeof input === "object") {
    if (typeof input.prompt === "string") return input.prompt;
    if (Array.isArray(input.argv)) return `$ ${input.argv.join(" ")}`;
  }
  return input === null || input === undefined ? "" : JSON.stringify(input, null, 2);
}

// --- sessions ---------------------------------------------------------------------------------------------------------

export const ACTIVITIES = ["needs_you", "working", "queued", "idle", "ended"];
export const ACTIVITY = { needs_you: "Needs you", working: "Working", queued: "Queued", idle: "Idle", ended: "Ended" };
export const over = (session) => ["completed", "failed", "cancelled"].includes(session.status);

const SILENCE = 600; // seconds without a word from a run at work

// Why a session may be stuck, or nothing.
export function stuck(session) {
  if (session.activity !== "working") return "";
  if (session.last_event_type === "run_stalled") return "The agent has stalled";
  const silent = since(session.last_event_at);
  return silent > SILENCE ? `Silent for ${span(silent).replace(/ \d+ s$/, "")}` : "";
}
