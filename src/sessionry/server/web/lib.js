// What every module of the dashboard draws with.
import { h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render };
export { useEffect, useMemo, useRef, useState, useLayoutEffect } from "./vendor/preact-hooks.js";
export { signal, computed, effect, batch, useSignal } from "./vendor/signals.js";
export const html = htm.bind(h);
