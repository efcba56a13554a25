// Where we are: #/page/id/part?name=value. Everything that a person may want to send to another one is in the address.
import { signal } from "./lib.js";

function parsed() {
  const [place, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = place.split("/").map(decoded);
  return { page: page || "fleet", id: rest[0], part: rest[1], query: new URLSearchParams(query) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

export const route = signal(parsed());
addEventListener("hashchange", () => { route.value = parsed(); });

// A whole number in the address, which may be 0 or less; null where there is none.
export function numberOf(name) {
  const text = route.value.query.get(name);
  return text && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

export function hrefOf(page, id, query, part) {
  const place = [page, id, part].filter(Boolean).map(encodeURIComponent).join("/");
  const text = new URLSearchParams(Object.entries(query || {}).filter(([, value]) => value || value === 0)).toString();
  return `#/${place}${text ? `?${text}` : ""}`;
}

export function go(page, id, query, part) {
  history.pushState(null, "", hrefOf(page, id, query, part));
  route.value = parsed();
}

// Change what the address asks for: a step that the back button undoes, or with `quietly` none (while somebody types).
export function refine(changes, quietly = false) {
  const { page, id, part, query } = route.value;
  const next = hrefOf(page, id, { ...Object.fromEntries(query), ...changes }, part);
  if (next === hrefOf(page, id, Object.fromEntries(query), part)) return;
  history[quietly ? "replaceState" : "pushState"](null, "", next);
  route.value = parsed();
}
addEventListener("popstate", () => { route.value = parsed(); });
