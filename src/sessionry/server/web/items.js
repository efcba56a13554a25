// The pieces of a conversation, each as it is read.
import { html } from "./lib.js";
import { approvals } from "./state.js";
import { hrefOf } from "./route.js";
import { clock, many, moment, money, shown, short, span, total } from "./format.js";
import { Json, Markdown } from "./text.js";
import { Icon, Status } from "./parts.js";
import { Decide } from "./decide.js";
import { Tool } from "./tool.js";

// `opened`: the keys of the folded items that somebody has opened.
export function Item({ item, runs, opened }) {
  switch (item.kind) {
    case "prompt": return html`<${Prompt} item=${item} run=${runs.get(item.of)} />`;
    case "message":
      return html`<article class="item message ${item.child ? "child" : ""} ${item.streaming ? "streaming" : ""}" aria-busy=${item.streaming ? "true" : undefined}><${Markdown} text=${item.text} streaming=${item.streaming} /></article>`;
    case "reasoning": return html`<${Thoughts} item=${item} opened=${opened} />`;
    case "tool": return html`<${Tool} item=${item} opened=${opened} />`;
    case "approval": return html`<${Question} item=${item} />`;
    case "plan":
      return html`<article class="item plan"><h2>Plan</h2><ul>${item.entries.map((entry) => html`<li class=${entry.status}>${entry.text}<span class="hidden"> (${String(entry.status || "pending").replace("_", " ")})</span></li>`)}</ul></article>`;
    case "end": return html`<${End} item=${item} />`;
    case "fork":
      return html`<p class="item note"><${Icon} name="fork" /> Goes on from <a href=${hrefOf("sessions", item.source, { seq: item.at })}>${short(item.source)}</a>, as it was after its event ${item.at}. What is above was said there.</p>`;
    default: return html`<p class="item note ${item.bad ? "bad" : ""}">${item.text}</p>`;
  }
}

// What a run was asked, under a line that separates it from the run before.
function Prompt({ item, run }) {
  const about = item.steer ? [item.by || "You", "said meanwhile"] : [item.by || "You", run && `run ${run.number}`, item.agent, run?.model, run?.status === "pending" && "queued"].filter(Boolean);
  return html`
    <article class="item prompt ${item.steer ? "steer" : ""}">
      <h2><span>${about.join(" · ")}</span> <time datetime=${item.at} title=${moment(item.at)}>${clock(item.at)}</time></h2>
      <div class="words">${item.text}</div>
    </article>`;
}

// Folded, with its first words, so that one can tell whether to look.
function Thoughts({ item, opened }) {
  const first = item.text.replace(/\s+/g, " ").slice(0, 110);
  const isOpen = opened.has(item.key);
  return html`
    <details class="item reasoning ${item.child ? "child" : ""}" open=${isOpen} onToggle=${(event) => remember(opened, item.key, event.target.open)}>
      <summary><${Icon} name="thought" /><span class="label">${item.streaming ? "Thinking" : "Thought"}</span> <span class="first">${first}</span></summary>
      <div class="words">${item.text}</div>
    </details>`;
}

export function remember(opened, key, open) { open ? opened.add(key) : opened.delete(key); }

function Question({ item }) {
  const waits = item.status === "pending" && approvals.value.find((approval) => approval.id === item.id);
  const title = item.status === "pending" ? "Asks for your approval" : `${{ granted: "Approved", denied: "Denied", expired: "Expired, which counts as denied", open: "Was not answered when this session was forked" }[item.status]}${item.by ? ` by ${item.by}` : ""}`;
  return html`
    <article class="item question ${item.status}" aria-label="Approval of ${item.name}">
      <h2><${Icon} name="approvals" />${title}</h2>
      <p><strong>${item.name}</strong>${item.reason && html` <span>${item.reason}</span>`}${item.note && html` <q>${item.note}</q>`}</p>
      ${item.input !== null && item.input !== undefined && html`<${Input} value=${item.input} />`}
      ${waits && html`<${Decide} approval=${waits} />`}
    </article>`;
}

export const Input = ({ value }) => (typeof value === "string" ? html`<pre class="output" tabindex="0" role="region" aria-label="Input">${value}</pre>` : html`<${Json} value=${value} label="Input" />`);

function End({ item }) {
  const run = item.of;
  const facts = [
    run.started && span((new Date(run.ended) - new Date(run.started)) / 1000),
    total(run.usage) ? `${many(total(run.usage))} tokens` : "", money(run.cost), item.reason,
  ].filter(Boolean);
  return html`
    <div class="item end ${item.status}">
      <div class="rule"><span><${Status} value=${item.status} />${facts.length ? ` · ${facts.join(" · ")}` : ""}</span></div>
      ${item.error && html`<p class="fault"><${Icon} name="error" /><span>${item.error.message} <code>${item.error.code}</code>${item.error.retryable ? " It may work when it is tried again." : ""}</span></p>`}
      ${item.error?.details && Object.keys(item.error.details).length > 0 && html`<details class="more"><summary>Details</summary><pre class="output" tabindex="0">${shown(item.error.details)}</pre></details>`}
    </div>`;
}
