// A new session: what is to be done, by whom, where.
import { html, useState } from "./lib.js";
import { post } from "./api.js";
import { agents, attempt, can, defaultAgent } from "./state.js";
import { go } from "./route.js";
import { Options, optionsOf } from "./options.js";

export function Start() {
  const [prompt, setPrompt] = useState(sessionStorage.getItem("draft") || "");
  const [agent, setAgent] = useState("");
  const [more, setMore] = useState({});
  const [busy, setBusy] = useState(false);
  if (!can("run")) return null;
  const usable = agents.value.filter((one) => !one.error);
  const picked = agent || defaultAgent.value || usable[0]?.id || "";
  const write = (text) => { setPrompt(text); sessionStorage.setItem("draft", text); };
  const begin = async (event) => {
    event.preventDefault();
    if (!prompt.trim() || busy) return;
    setBusy(true);
    const tags = (more.tags || "").split(",").map((tag) => tag.trim()).filter(Boolean);
    const id = await attempt(async () => {
      const asked = optionsOf(prompt, more);
      const session = await post("/v1/sessions", { agent_id: picked, title: prompt.trim().split("\n")[0].slice(0, 80), tags, ...(more.cwd ? { cwd: more.cwd } : {}) });
      await post(`/v1/sessions/${session.id}/runs`, asked);
      return session.id;
    });
    setBusy(false);
    if (id) { write(""); go("sessions", id); }
  };
  return html`
    <form class="composer start" onSubmit=${begin} aria-label="New session">
      <label class="hidden" for="new-prompt">What is to be done?</label>
      <textarea id="new-prompt" rows="1" placeholder="What is to be done?" value=${prompt} onInput=${(event) => write(event.target.value)}
        onKeyDown=${(event) => { if (event.key === "Enter" && !event.shiftKey) begin(event); }}></textarea>
      <div class="row">
        <label><span class="hidden">Agent</span>
          <select value=${picked} onChange=${(event) => setAgent(event.target.value)}>${usable.map((one) => html`<option value=${one.id}>${one.id}</option>`)}</select></label>
        <${Options} values=${more} change=${setMore} fresh />
        <span class="grow"></span>
        <button class="primary" type="submit" disabled=${busy || !prompt.trim()}>Start</button>
      </div>
    </form>`;
}
