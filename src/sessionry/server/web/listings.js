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
      const had = old[activity]?.items || [];
      const head = await page(activity, Math.min(Math.max(had.length, PAGE), AGAIN));
      return [activity, head, head.cursor ? had.slice(head.items.length) : [], old[activity]?.cursor];
    };
    Promise.all(wanted.map(read)).then((heads) => {
      if (!current) return;
      const fresh = new Set(heads.flatMap(([, head]) => head.items.map((item) => item.id)));
      const lists = Object.fromEntries(heads.map(([activity, head, rest, cursor]) => {
        const kept = rest.filter((item) => !fresh.has(item.id));
        return [activity, { items: [...head.items, ...kept], cursor: kept.length ? cursor : head.cursor }];
      }));
      shown.current = key;
      set({ lists, loading: false, problem: null });
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
