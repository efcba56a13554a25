// The sessions of the fleet, a listing for each activity, as far as they were looked at.
import { useEffect, useRef, useState } from "./lib.js";
import { get, path } from "./api.js";
import { attempt, changes } from "./state.js";
import { ACTIVITIES } from "./format.js";

const PAGE = 50, AGAIN = 200;

// activity -> { items, cursor }, and what loads the next page of one. The head of each is read again when something changed.
export function useListings(filter, wanted) {
  const [found, set] = useState({ lists: {}, loading: true, problem: null });
  const key = JSON.stringify([filter, wanted]);
  const shown = useRef(null);
  const page = (activity, limit, cursor) => get(path("/v1/sessions", { ...filter, activity, limit, cursor }));
  useEffect(() => {
    let current = true;
    const old = shown.current === key ? found.lists : {};
    const read = async (activity) => {
      const head = await page(activity, Math.min(Math.max(old[activity]?.items.length || 0, PAGE), AGAIN));
      return [activity, head];
    };
    Promise.all(wanted.map(read)).then((heads) => {
      if (!current) return;
      const fresh = new Set(heads.flatMap(([, head]) => head.items.map((item) => item.id)));
      const same = shown.current === key;
      shown.current = key;
      set((before) => { // which may have grown by a page meanwhile
        const lists = Object.fromEntries(heads.map(([activity, head]) => {
          const had = same ? before.lists[activity] : null;
          const kept = head.cursor && had ? had.items.slice(head.items.length).filter((item) => !fresh.has(item.id)) : [];
          return [activity, { items: [...head.items, ...kept], cursor: kept.length ? had.cursor : head.cursor }];
        }));
        return { lists, loading: false, problem: null };
      });
    }, (problem) => current && set((before) => ({ ...before, loading: false, problem })));
    return () => { current = false; };
  }, [key, changes.value]);
  const busy = useRef(false);
  const more = async (activity) => {
    const list = found.lists[activity];
    if (busy.current || !list?.cursor) return;
    busy.current = true;
    const next = await attempt(() => page(activity, PAGE * 2, list.cursor));
    busy.current = false;
    if (!next) return;
    set((before) => {
      const known = new Set(Object.values(before.lists).flatMap((one) => one.items.map((item) => item.id)));
      const mine = before.lists[activity] || list;
      const items = [...mine.items, ...next.items.filter((item) => !known.has(item.id))];
      return { ...before, lists: { ...before.lists, [activity]: { items, cursor: next.cursor } } };
    });
  };
  return [shown.current === null || shown.current === key ? found : { ...found, loading: true }, more];
}

// The next activity that has more than is shown, in their order.
export const unfinished = (lists, wanted) => ACTIVITIES.filter((one) => wanted.includes(one)).find((one) => lists[one]?.cursor);
