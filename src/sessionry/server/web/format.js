// How things read: times, money, statuses; and untrusted text, which stays text.
import { html } from "./lib.js";
import { marked } from "./vendor/marked.js";
import purify from "./vendor/purify.js";

export function ago(at) {
  if (!at) return "";
  const seconds = Math.max((Date.now() - new Date(at)) / 1000, 0);
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h`;
  if (seconds < 30 * 86400) return `${Math.floor(seconds / 86400)}d`;
  return new Date(at).toISOString().slice(0, 10);
}

export function span(seconds) {
  if (seconds === undefined || seconds === null || Number.isNaN(seconds)) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export const money = (amount) => (amount === null || amount === undefined ? "" : `$${Number(amount).toFixed(Number(amount) < 1 ? 4 : 2)}`);
export const total = (usage) => ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"].reduce((sum, name) => sum + (usage?.[name] || 0), 0);
export const many = (count) => (count < 1000 ? String(count) : count < 1e6 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1e6).toFixed(1)}M`);
export const short = (id) => (id ? `${id.slice(0, 4)}${id.slice(-8)}` : "");
export const shown = (value) => (value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2));

export function Status({ value }) {
  return html`<span class="status ${value}">${value}</span>`;
}

const RENDERED = new Map();

// Markdown as HTML that cannot do anything: no scripts, no styles, no forms, no images from elsewhere; links open apart.
export function Markdown({ text }) {
  let safe = RENDERED.get(text);
  if (safe === undefined) {
    safe = purify.sanitize(marked.parse(text, { async: false, gfm: true }), {
      FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "iframe", "img", "svg", "math", "video", "audio"],
      FORBID_ATTR: ["style", "id", "class", "name"],
      ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
    });
    if (RENDERED.size > 500) RENDERED.clear();
    RENDERED.set(text, safe);
  }
  return html`<div class="markdown" dangerouslySetInnerHTML=${{ __html: safe }}></div>`;
}

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
});

// The colours of a terminal (SGR); every other escape sequence is dropped.
export function Ansi({ text }) {
  const parts = [];
  let look = "";
  for (const piece of text.split(/(\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07)/)) {
    const colours = /^\x1b\[([0-9;]*)m$/.exec(piece);
    if (colours) look = look_of(colours[1], look);
    else if (piece && !piece.startsWith("\x1b")) parts.push(look ? html`<span class=${look}>${piece}</span>` : piece);
  }
  return html`<pre class="output" tabindex="0">${parts}</pre>`;
}

function look_of(codes, before) {
  let look = before.split(" ").filter(Boolean);
  for (const code of codes.split(";").map(Number)) {
    if (code === 0) look = [];
    else if (code === 1) look.push("bold");
    else if (code >= 30 && code <= 37) look = [...look.filter((one) => !one.startsWith("c")), `c${code - 30}`];
    else if (code >= 90 && code <= 97) look = [...look.filter((one) => !one.startsWith("c")), `c${code - 90}`];
    else if (code === 39) look = look.filter((one) => !one.startsWith("c"));
  }
  return look.join(" ");
}

// A unified diff, line by line.
export function Diff({ text }) {
  const kind = (line) => (/^(\+\+\+|---|@@|diff )/.test(line) ? "head" : line[0] === "+" ? "added" : line[0] === "-" ? "removed" : "");
  return html`<pre class="diff" tabindex="0">${text.split("\n").map((line) => html`<span class=${kind(line)}>${line}${"\n"}</span>`)}</pre>`;
}
