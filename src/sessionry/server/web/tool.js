// A tool call as a card: what it was given, what came of it, how long it took, what it changed.
import { html, useState } from "./lib.js";
import { gist, moment, shown, since, span } from "./format.js";
import { Ansi, Diff, Json, size } from "./text.js";
import { Icon } from "./parts.js";
import { Input, remember } from "./items.js";

const SIGNS = { running: "tool", completed: "check", failed: "cross", interrupted: "stop" };

export function Tool({ item, opened }) {
  const [, redraw] = useState(null);
  const took = (item.ended ? (new Date(item.ended) - new Date(item.at)) / 1000 : since(item.at));
  const changes = changesOf(item);
  const isOpen = opened.has(item.key) || (item.status === "failed" && !opened.has(`-${item.key}`));
  const toggled = (event) => {
    remember(opened, item.key, event.target.open);
    remember(opened, `-${item.key}`, !event.target.open);
    redraw(event.target.open);
  };
  return html`
    <details class="item tool ${item.status} ${item.child ? "child" : ""}" open=${isOpen} onToggle=${toggled}>
      <summary>
        <span class="sign"><${Icon} name=${SIGNS[item.status]} /><span class="hidden">${item.status}</span></span>
        <strong>${item.name}</strong> <code>${gist(item.input).replace(/\s+/g, " ").slice(0, 240)}</code>
        ${changes.length > 0 && html`<${Size} changes=${changes} />`}
        <span class="took" title=${moment(item.at)}>${item.status === "running" ? "at work" : item.status === "completed" ? span(took) : `${item.status} ${span(took)}`}</span>
      </summary>
      ${isOpen && html`<${Inside} item=${item} changes=${changes} />`}
    </details>`;
}

function Inside({ item, changes }) {
  const result = item.result;
  const text = typeof result === "string" ? result : result && typeof result === "object" ? [result.stdout, result.stderr].filter((part) => typeof part === "string" && part).join("\n") : "";
  const rest = result !== null && result !== undefined && typeof result !== "string" && !text && !changes.length;
  return html`
    <div class="inside">
      ${item.input !== null && item.input !== undefined && html`<h3>Input</h3><${Input} value=${item.input} />`}
      ${item.error && html`<p class="fault"><${Icon} name="error" /><span>${item.error}</span></p>`}
      ${changes.map((change) => html`<h3>${change.kind || "update"} <code>${change.path}</code></h3><${Diff} text=${change.diff || ""} />`)}
      ${(text || (!rest && item.output)) && html`<h3>Output</h3><${Ansi} text=${text || item.output} />`}
      ${rest && html`<h3>Output</h3><${Json} value=${result} label="Output" />`}
    </div>`;
}

function Size({ changes }) {
  const sizes = changes.map((change) => size(change.diff));
  const sum = (name) => sizes.reduce((all, one) => all + one[name], 0);
  return html`<span class="size"><span class="added">+${sum("added")}</span> <span class="removed">−${sum("removed")}</span></span>`;
}

// Files that it changed: what agents tell of their edits, or a diff that a tool printed.
function changesOf(item) {
  const { result } = item;
  if (Array.isArray(result?.changes)) return result.changes.filter((change) => typeof change?.path === "string");
  const printed = typeof result === "string" ? result : typeof result?.diff === "string" ? result.diff : "";
  if (/^(diff --git|--- \S)[^]*^@@ /m.test(printed) && printed.length < 200000) return [{ kind: "diff", path: shown(item.input?.path ?? item.input?.file_path), diff: printed }];
  return [];
}
