// A list of any length of which only what is seen is drawn. Heights that are not known are guessed, and then measured.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";

const AROUND = 600; // pixels that are drawn above and below of what is seen

// `height`: of every item, or a guess of it for one item. `draw(item, index)`: the item. `tail`: stay at the end as it grows; `pinned`: at the beginning.
// `control.current` gets what moves it: `to(index)` and `end()`. `near("start" | "end")`: there is not much left there.
export function List({ items, keyOf, height, draw, label, role = "list", itemRole = "listitem", tail = false, pinned = false, onTail, near, control, kind = "", before, after, live }) {
  const box = useRef(null);
  const heights = useRef(new Map());
  const anchor = useRef(null); // the item that stays where it is: its key, and its place in the window
  const target = useRef(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [, again] = useState(0);
  const fixed = typeof height === "number";
  const heightOf = (item) => (fixed ? height : heights.current.get(keyOf(item)) ?? height(item));

  const tops = new Float64Array(items.length + 1);
  for (let index = 0; index < items.length; index++) tops[index + 1] = tops[index] + heightOf(items[index]);
  const whole = tops[items.length];
  const at = (y) => {
    let low = 0, high = items.length;
    while (low < high) { const middle = (low + high) >> 1; tops[middle + 1] <= y ? (low = middle + 1) : (high = middle); }
    return Math.min(low, Math.max(items.length - 1, 0));
  };
  const lead = box.current?.querySelector(":scope > .lead")?.offsetHeight || 0;
  const from = items.length ? at(view.top - lead - AROUND) : 0;
  const to = items.length ? at(view.top - lead + view.height + AROUND) + 1 : 0;

  const look = () => {
    const element = box.current;
    if (!element) return;
    const end = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    const first = at(element.scrollTop - lead);
    anchor.current = items.length ? { key: keyOf(items[first]), shift: element.scrollTop - lead - tops[first] } : null;
    if (onTail && element.scrollHeight > element.clientHeight) onTail(end);
    if (near && element.scrollTop < AROUND) near("start");
    if (near && element.scrollHeight - element.scrollTop - element.clientHeight < AROUND) near("end");
    setView({ top: element.scrollTop, height: element.clientHeight });
  };
  const sizes = useRef(null); // hears of every item that becomes taller or lower, as one that is opened
  useEffect(() => {
    const observer = new ResizeObserver(() => latest.current());
    sizes.current = new ResizeObserver(() => again((number) => number + 1));
    observer.observe(box.current);
    return () => { observer.disconnect(); sizes.current.disconnect(); };
  }, []);
  const latest = useRef(look);
  latest.current = look;
  // Who opens something reads it: the end is not followed any more, and what is above stays where it is.
  const opened = (event) => {
    if (!onTail || !event.target.closest("summary")) return;
    look();
    onTail(false);
  };

  // After every drawing: measure, then put the window where it was, or at the end, or where somebody wants it.
  useLayoutEffect(() => {
    const element = box.current;
    let changed = false;
    if (!fixed) {
      for (const child of element.querySelectorAll(":scope > .all > [data-index]")) {
        const item = items[child.dataset.index], measured = child.offsetHeight;
        sizes.current?.observe(child);
        if (item && heights.current.get(keyOf(item)) !== measured) { heights.current.set(keyOf(item), measured); changed = true; }
      }
    }
    if (target.current !== null) place(element);
    else if (tail) element.scrollTop = element.scrollHeight;
    else if (anchor.current) keep(element);
    if (changed) again((number) => number + 1);
    else if (Math.abs(element.scrollTop - view.top) > 1) setView({ top: element.scrollTop, height: element.clientHeight });
  });
  const place = (element) => {
    const index = target.current.index;
    const wanted = Math.max(lead + tops[index] - element.clientHeight / 3, 0);
    element.scrollTop = wanted;
    anchor.current = null;
    if (target.current.tries-- <= 0) { target.current = null; look(); } else requestAnimationFrame(() => again((number) => number + 1));
  };
  const known = useRef(null);
  const keep = (element) => {
    const { key, shift } = anchor.current;
    if (pinned && view.top < 4) return;
    const old = known.current;
    known.current = { first: items.length ? keyOf(items[0]) : null, count: items.length };
    const near = at(element.scrollTop - lead);
    const index = items[near] && keyOf(items[near]) === key ? near : items.findIndex((item) => keyOf(item) === key);
    if (index < 0 || (fixed && old?.first === known.current.first)) return;
    const wanted = lead + tops[index] + shift;
    if (Math.abs(element.scrollTop - wanted) > 1) element.scrollTop = wanted;
  };
  if (control) {
    control.current = {
      to: (index) => { if (index >= 0) { target.current = { index, tries: 3 }; again((number) => number + 1); } },
      end: () => { box.current.scrollTop = box.current.scrollHeight; },
    };
  }
  return html`
    <div class="list ${kind}" ref=${box} onScroll=${look} onClick=${opened} tabindex="0" role=${role} aria-label=${label} aria-live=${live} aria-relevant=${live ? "additions" : undefined}
      aria-rowcount=${role === "table" ? items.length + 1 : undefined}>
      ${before && html`<div class="lead" role=${role === "table" ? "rowgroup" : "presentation"}>${before}</div>`}
      <div class="all" role=${role === "table" ? "rowgroup" : role === "list" ? "presentation" : undefined} style=${{ height: `${whole}px` }}>
        ${items.slice(from, to).map((item, offset) => html`
          <div key=${keyOf(item)} data-index=${from + offset} class="slot" role=${itemRole} aria-rowindex=${role === "table" ? from + offset + 2 : undefined}
            style=${{ transform: `translateY(${tops[from + offset]}px)`, height: fixed ? `${height}px` : undefined }}>${draw(item, from + offset)}</div>`)}
      </div>
      ${after}
    </div>`;
}
