// The conversation of a log: what events say, as what a person reads. The same events, in any pieces, give the same.
import { words } from "./format.js";

// The events that say something; the others need not be asked for.
export const SAYS = [
  "run_queued", "run_started", "run_requeued", "message_streamed", "message_received", "reasoning_streamed", "reasoning_received", "input_received",
  "tool_call_started", "tool_output_streamed", "tool_call_completed", "tool_call_failed", "tool_call_interrupted",
  "agent_session_linked", "tool_approval_requested", "tool_approval_granted", "tool_approval_denied", "approval_expired", "plan_updated", "token_usage_updated",
  "rate_limited", "run_stalled", "worker_lost", "error_occurred", "error_recovered", "resume_degraded", "policy_violation", "artifact_added",
  "run_cancel_requested", "run_waiting", "run_resumed", "run_completed", "run_failed", "run_cancelled", "run_timeout",
  "session_forked", "session_paused", "session_resumed", "session_completed", "session_failed", "session_cancelled", "session_deleted", "session_restored",
];

export class Conversation {
  constructor() {
    this.events = [];
    this.items = [];
    this.open = new Map(); // what streams or is at work, by run and id
    this.runs = new Map();
    this.count = 0; // of the session's own runs
    this.queued = []; // the prompts of runs that have not begun: they come after everything else
    this.first = null;
    this.last = null;
  }

  add(events) {
    for (const event of events) {
      if (this.last !== null && event.seq <= this.last) continue;
      this.first ??= event.seq;
      this.last = event.seq;
      this.events.push(event);
      this.take(event, event.data, event.run_id);
    }
    return this;
  }

  // With what came before: made anew, so that a message that was cut in two is whole.
  after(earlier) { return new Conversation().add([...earlier, ...this.events]); }

  put(event, item) {
    const made = { key: `${event.seq}`, seq: event.seq, at: event.at, run: event.run_id, ...item };
    this.items.splice(this.items.length - this.queued.length, 0, made);
    return made;
  }

  // What a run was asked comes where it begins, however long it has waited.
  begins(run) {
    const at = this.queued.findIndex((item) => item.run === run);
    if (at < 0) return;
    const [item] = this.queued.splice(at, 1);
    this.items.splice(this.items.indexOf(item), 1);
    this.items.splice(this.items.length - this.queued.length, 0, item);
  }

  take(event, data, run) {
    const key = (kind, id) => `${run}|${kind}|${id ?? ""}`;
    switch (event.type) {
      case "run_queued":
        this.runs.set(run, { id: run, number: ++this.count, seq: event.seq, queued: event.at, agent: data.agent_id, status: "pending", usage: {}, cost: null });
        this.queued.push(this.put(event, { kind: "prompt", text: words(data.input), agent: data.agent_id, by: event.actor, of: run }));
        this.items.push(...this.items.splice(this.items.indexOf(this.queued.at(-1)), 1));
        break;
      case "run_started": {
        const known = this.runs.get(run) || { id: run, usage: {} };
        this.begins(run);
        this.runs.set(run, { ...known, started: known.started || event.at, status: "running", attempt: data.attempt, model: data.agent?.model, steers: data.agent?.capabilities?.includes("steer") });
        if (data.attempt > 1) this.put(event, { kind: "note", text: `attempt ${data.attempt}` });
        break;
      }
      case "agent_session_linked": this.learn(run, { model: data.model }); break;
      case "run_waiting": case "run_resumed": case "run_requeued": {
        this.learn(run, { status: { run_waiting: "waiting", run_resumed: "running", run_requeued: "pending" }[event.type] });
        break;
      }
      case "run_cancel_requested": this.put(event, { kind: "note", text: `asked to stop${data.mode === "after_turn" ? " after this turn" : ""}${data.reason ? `: ${data.reason}` : ""}` }); break;
      case "message_streamed": case "reasoning_streamed": this.stream(event, data, key); break;
      case "message_received": case "reasoning_received": this.receive(event, data, key); break;
      case "input_received": this.put(event, { kind: "prompt", text: data.text, steer: true, by: event.actor }); break;
      case "tool_call_started":
        this.open.set(key("tool", data.tool_call_id), this.put(event, {
          kind: "tool", name: data.tool_name, input: data.tool_input, output: "", status: "running", child: data.parent_tool_call_id,
        }));
        break;
      case "tool_output_streamed": {
        const tool = this.open.get(key("tool", data.tool_call_id));
        if (tool) this.change(tool, { output: (tool.output + data.text).slice(-200000) });
        break;
      }
      case "tool_call_completed": case "tool_call_failed": case "tool_call_interrupted": this.endTool(event, data, key); break;
      case "tool_approval_requested":
        this.open.set(data.approval_id, this.put(event, {
          kind: "approval", id: data.approval_id, name: data.tool_name, input: data.tool_input, reason: data.reason, status: "pending", expires: data.expires_at,
        }));
        break;
      case "tool_approval_granted": case "tool_approval_denied": case "approval_expired": {
        const status = { tool_approval_granted: "granted", tool_approval_denied: "denied", approval_expired: "expired" }[event.type];
        const asked = this.open.get(data.approval_id);
        if (asked) this.change(asked, { status, by: data.by, note: data.note });
        break;
      }
      case "plan_updated": this.put(event, { kind: "plan", entries: data.entries }); break;
      case "token_usage_updated": this.spend(run, data); break;
      case "rate_limited": this.put(event, { kind: "note", text: `rate limited${data.retry_after ? `, waits ${data.retry_after} s` : ""}` }); break;
      case "run_stalled": this.put(event, { kind: "note", text: `nothing was heard for ${Math.round(data.seconds)} s`, bad: true }); break;
      case "worker_lost": this.put(event, { kind: "note", text: `lost its worker: ${data.action}`, bad: true }); break;
      case "policy_violation": this.put(event, { kind: "note", text: `against the rules: ${data.policy} (${data.kind})`, bad: true }); break;
      case "artifact_added": this.put(event, { kind: "note", text: `kept ${data.name || "an artifact"}, ${data.size} bytes, as ${data.hash.slice(0, 12)}` }); break;
      case "session_forked":
        this.leave(event);
        this.put(event, { kind: "fork", source: data.source_session_id, at: data.source_seq });
        break;
      case "error_recovered": this.put(event, { kind: "note", text: `went on after: ${data.error.message}` }); break;
      case "error_occurred": this.put(event, { kind: "note", text: data.error.message, bad: true }); break;
      case "resume_degraded": this.put(event, { kind: "note", text: `its own session was not resumed: ${data.reason}` }); break;
      case "words_superseded": this.put(event, { kind: "note", text: "what it said in earlier attempts is said anew" }); break;
      case "run_completed": case "run_failed": case "run_cancelled": case "run_timeout": this.endRun(event, data, run); break;
      case "session_paused": case "session_resumed": case "session_completed": case "session_failed": case "session_cancelled": case "session_deleted": case "session_restored":
        this.put(event, { kind: "note", text: `${event.type.replace("_", " ")}${event.actor ? ` by ${event.actor}` : ""}${data.reason ? `: ${data.reason}` : data.error ? `: ${data.error.message}` : ""}`, bad: event.type === "session_failed" });
        break;
    }
  }

  // Every change makes a new object, so that what is drawn can tell.
  change(item, changes) {
    const index = this.items.indexOf(item, Math.max(this.items.length - 400, 0));
    const at = index >= 0 ? index : this.items.indexOf(item);
    const next = { ...item, ...changes };
    if (at >= 0) this.items[at] = next;
    for (const [key, value] of this.open) if (value === item) this.open.set(key, next);
    return next;
  }

  stream(event, data, key) {
    const kind = event.type === "message_streamed" ? "message" : "reasoning";
    const id = key(kind, data.message_id);
    const item = this.open.get(id);
    if (item) this.change(item, { text: item.text + data.text });
    else this.open.set(id, this.put(event, { kind, text: data.text, streaming: true, child: data.parent_tool_call_id }));
  }

  receive(event, data, key) {
    const kind = event.type === "message_received" ? "message" : "reasoning";
    const ids = [key(kind, data.message_id), key(kind, null)];
    const id = ids.find((one) => this.open.has(one));
    if (id) {
      this.change(this.open.get(id), { text: data.text, streaming: false });
      this.open.delete(id);
    } else this.put(event, { kind, text: data.text, child: data.parent_tool_call_id });
  }

  endTool(event, data, key) {
    const id = key("tool", data.tool_call_id);
    const tool = this.open.get(id) || this.put(event, { kind: "tool", name: data.tool_name, output: "", child: data.parent_tool_call_id });
    this.change(tool, {
      status: event.type.replace("tool_call_", ""), ended: event.at, result: data.tool_output,
      error: data.error?.message || data.reason,
    });
    this.open.delete(id);
  }

  // What comes next happens in a fork. Whatever was under way before it went on elsewhere, if it did.
  leave(event) {
    for (const [key, item] of this.open) {
      if (item.streaming) this.change(item, { streaming: false });
      else if (item.kind === "tool") this.change(item, { status: "interrupted", ended: event.at });
      else if (item.kind === "approval") this.change(item, { status: "open" });
      this.open.delete(key);
    }
    this.queued = [];
    this.count = 0;
    for (const [id, run] of this.runs) this.runs.set(id, { ...run, elsewhere: true });
  }

  spend(run, data) {
    const known = this.runs.get(run);
    if (!known) return;
    const usage = { ...known.usage };
    for (const [name, count] of Object.entries(data.usage || {})) usage[name] = (usage[name] || 0) + count;
    const cost = data.cost == null ? known.cost : Number(known.cost || 0) + Number(data.cost);
    this.learn(run, { usage, cost, model: data.model || known.model });
  }

  learn(run, facts) {
    const known = this.runs.get(run);
    if (known) this.runs.set(run, { ...known, ...facts });
  }

  endRun(event, data, run) {
    const status = event.type.replace("run_", "");
    this.begins(run);
    const known = { ...(this.runs.get(run) || { id: run, usage: {} }), status, ended: event.at };
    this.runs.set(run, known);
    for (const [key, item] of this.open) {
      if (item.run !== run) continue;
      if (item.streaming) this.change(item, { streaming: false });
      else if (item.kind === "tool") this.change(item, { status: "interrupted", ended: event.at });
      this.open.delete(key);
    }
    const said = this.items.some((item) => item.run === run && item.kind === "message" && !item.child);
    if (status === "completed" && data.text && !said) this.put(event, { kind: "message", text: data.text });
    this.put(event, { key: `${event.seq}-end`, kind: "end", status, error: data.error, reason: data.reason || data.limit, of: known });
  }
}
