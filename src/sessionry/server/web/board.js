// Sessions as cards, a lane for each thing that may go on in them.
import { html } from "./lib.js";
import { stats } from "./state.js";
import { hrefOf } from "./route.js";
import { ACTIVITIES, ACTIVITY, ago, money, nameOf, stuck } from "./format.js";
import { Tags } from "./parts.js";
import { Now } from "./table.js";

export function Board({ lists, wanted, more, chosen, choose }) {
  const toggle = (session) => { const next = new Map(chosen); next.delete(session.id) || next.set(session.id, session); choose(next); };
  return html`
    <div class="board" tabindex="0" role="region" aria-label="Board of sessions">
      ${ACTIVITIES.filter((activity) => wanted.includes(activity)).map((activity) => {
        const { items = [], cursor } = lists[activity] || {};
        return html`
          <section key=${activity} class="lane" aria-label=${ACTIVITY[activity]}>
            <h2><span class="dot ${activity}"></span>${ACTIVITY[activity]} <span class="quiet">${cursor ? stats.value.activity?.[activity] || items.length : items.length}</span></h2>
            <div class="cards">
              ${items.map((session) => html`<${Card} key=${session.id} session=${session} chosen=${chosen.has(session.id)} toggle=${toggle} />`)}
              ${items.length === 0 && html`<p class="quiet">None.</p>`}
              ${cursor && html`<button class="plain" onClick=${() => more(activity)}>Show more</button>`}
            </div>
          </section>`;
      })}
    </div>`;
}

function Card({ session, chosen, toggle }) {
  return html`
    <article class="card ${session.activity} ${stuck(session) ? "bad" : ""}">
      <div class="name"><a href=${hrefOf("sessions", session.id)}>${nameOf(session)}</a>
        <input type="checkbox" aria-label="Choose ${nameOf(session)}" checked=${chosen} onChange=${() => toggle(session)} /></div>
      <${Now} session=${session} />
      <div class="facts">${session.agent_id}${session.cost === null ? "" : ` · ${money(session.cost)}`} · ${ago(session.last_event_at || session.updated_at)} <${Tags} tags=${session.tags} /></div>
    </article>`;
}
