// What others wrote, which stays text: markdown without anything that acts, the colours of a terminal, diffs, JSON.
import { html } from "./lib.js";
import { marked } from "./vendor/marked.js";
import purify from "./vendor/purify.js";

const SAFE = {
  FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "iframe", "img", "svg", "math", "video", "audio"],
  FORBID_ATTR: ["style", "id", "class", "name"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
};
const RENDERED = new Map();

// Links open apart, and tell nobody where they were followed from; what can be scrolled can be reached by keys.
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
  if (node.tagName === "PRE" || node.tagName === "TABLE") node.setAttribute("tabindex", "0");
});

const render = (text) => purify.sanitize(marked.parse(text, { async: false, gfm: true }), SAFE);

// `streaming`: there is more to come, so that this version need not be kept.
export function Markdown({ text, streaming }) {
  let safe = RENDERED.get(text) ?? render(text);
  if (!streaming) {
    if (RENDERED.size > 500) RENDERED.clear();
    RENDERED.set(text, safe);
  }
  return html`<div class="markdown" dangerouslySetInnerHTML=${{ __html: safe }}></div>`;
}

// --- terminals ----------------------------------------------------------------------------------------------------------

const SEQUENCE = /(\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_])/;

// Colours and weight (SGR) are shown; every other escape sequence is dropped, and a line that was written over is not shown.
export function Ansi({ text, label = "Output" }) {
  const parts = [];
  let look = {};
  for (const piece of text.replace(/\r\n/g, "\n").replace(/[^\n]*\r(?!\n)/g, "").split(SEQUENCE)) {
    const codes = /^\x1b\[([0-9;:]*)m$/.exec(piece);
    if (codes) look = lookOf(codes[1], look);
    else if (piece && !piece.startsWith("\x1b")) parts.push(styled(piece.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, ""), look));
  }
  return html`<pre class="output" tabindex="0" role="region" aria-label=${label}>${parts}</pre>`;
}

function styled(text, look) {
  const { ink, ground, bold, dim, italic, underline, inverse } = look;
  const names = [bold && "bold", dim && "dim", italic && "italic", underline && "underline", inverse && "inverse",
    typeof ink === "number" && `c${ink}`, typeof ground === "number" && `b${ground}`].filter(Boolean).join(" ");
  const style = {};
  if (typeof ink === "string") style.color = `color-mix(in srgb, ${ink} 45%, var(--ink))`; // to be read on both grounds
  if (typeof ground === "string") style.background = `color-mix(in srgb, ${ground} 20%, var(--sunken))`;
  return names || style.color || style.background ? html`<span class=${names} style=${style}>${text}</span>` : text;
}

const FLAGS = { 1: ["bold", true], 2: ["dim", true], 3: ["italic", true], 4: ["underline", true], 7: ["inverse", true],
  22: ["bold", false], 23: ["italic", false], 24: ["underline", false], 27: ["inverse", false] };

function lookOf(text, before) {
  const codes = text.split(/[;:]/).map(Number);
  let look = { ...before };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) look = {};
    else if (FLAGS[code]) {
      look[FLAGS[code][0]] = FLAGS[code][1];
      if (code === 22) look.dim = false;
    } else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      look[code === 38 ? "ink" : "ground"] = colour;
      at += used;
    } else if (code === 39) look.ink = undefined;
    else if (code === 49) look.ground = undefined;
    else if (code >= 30 && code <= 37) look.ink = code - 30;
    else if (code >= 90 && code <= 97) look.ink = code - 82;
    else if (code >= 40 && code <= 47) look.ground = code - 40;
    else if (code >= 100 && code <= 107) look.ground = code - 92;
  }
  return look;
}

// A colour of 256 or of all, and how many numbers it took.
function extended([kind, ...rest]) {
  if (kind === 2) return [`rgb(${rest.slice(0, 3).map((part) => Math.min(part || 0, 255)).join(",")})`, 4];
  const index = rest[0] || 0;
  if (index < 16) return [index, 2];
  if (index >= 232) return [`rgb(${Array(3).fill(8 + (index - 232) * 10).join(",")})`, 2];
  const steps = [0, 95, 135, 175, 215, 255], cube = index - 16;
  return [`rgb(${[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((part) => steps[part] || 0).join(",")})`, 2];
}

// --- diffs and JSON -------------------------------------------------------------------------------------------------------

// A unified diff, line by line.
export function Diff({ text }) {
  const kind = (line) => (/^(\+\+\+|---|diff |index )/.test(line) ? "file" : line.startsWith("@@") ? "hunk" : line[0] === "+" ? "added" : line[0] === "-" ? "removed" : "");
  return html`<pre class="diff" tabindex="0" role="region" aria-label="Diff">${text.replace(/\n$/, "").split("\n").map((line) => html`<span class=${kind(line)}>${line || " "}${"\n"}</span>`)}</pre>`;
}

// How many lines a diff adds and removes.
export function size(diff) {
  const lines = (diff || "").split("\n");
  const count = (sign) => lines.filter((line) => line[0] === sign && !line.startsWith(sign.repeat(3))).length;
  return { added: count("+"), removed: count("-") };
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

// JSON with its names, texts and numbers told apart.
export function Json({ value, label = "JSON" }) {
  const text = JSON.stringify(value, null, 2) ?? "";
  const parts = [];
  let last = 0;
  if (text.length < 60000) {
    for (const match of text.matchAll(TOKEN)) {
      if (match.index > last) parts.push(text.slice(last, match.index));
      const [whole, string, colon, word] = match;
      if (colon) parts.push(html`<span class="json-name">${string}</span>`, colon);
      else parts.push(html`<span class=${string ? "json-text" : word ? "json-word" : "json-number"}>${whole}</span>`);
      last = match.index + whole.length;
    }
  }
  return html`<pre class="output json" tabindex="0" role="region" aria-label=${label}>${parts}${text.slice(last)}</pre>`;
}
