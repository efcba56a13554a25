// Values of days as bars, one upon the other.
import { html, useEffect, useRef } from "./lib.js";
import { theme } from "./state.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 190;

// `series`: name, colour, and the value of a day, from the lowest up.
export function Plot({ title, days, series, format }) {
  const box = useRef(null);
  const sums = days.map((day) => series.reduce((sum, [, , of]) => sum + of(day), 0));
  useEffect(() => {
    const element = box.current, style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: colour("--quiet"), font, ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
    const stacked = series.map((_, index) => days.map((day) => series.slice(0, index + 1).reduce((sum, [, , of]) => sum + of(day), 0)));
    const plot = new uPlot({
      width: element.clientWidth, height: HEIGHT, cursor: { y: false, points: { show: false } }, legend: { show: false }, padding: [10, 8, 0, 0],
      axes: [{ ...axis, grid: { show: false }, space: 70, size: 30, values: (_, at) => at.map((one) => new Date(one * 1000).toLocaleDateString([], { month: "short", day: "numeric", timeZone: "UTC" })), incrs: [1, 2, 3, 7, 14, 30, 90].map((count) => count * 86400) }, { ...axis, size: 56, values: (_, values) => values.map(format) }],
      scales: { x: { time: false, range: (_, low, high) => [low - 43200, high + 43200] }, y: { range: (_, low, high) => [0, (high || 1) * 1.15] } },
      series: [{}, ...series.map(([name, ink]) => ({ label: name, fill: colour(ink), stroke: colour(ink), width: 0, paths: uPlot.paths.bars({ size: [0.7, 40], radius: 0.15 }), points: { show: false } })).reverse()],
    }, [days.map((day) => Date.parse(day.key) / 1000), ...stacked.reverse()], element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => { observer.disconnect(); plot.destroy(); };
  }, [JSON.stringify(days), theme.value]);
  const last = days.at(-1);
  return html`
    <figure class="plot">
      <figcaption><h2>${title}</h2>${series.length > 1 && html`<p>${series.map(([name, ink]) => html`<span key=${name} class="key ${ink.slice(2)}">${name}</span>`)}</p>`}</figcaption>
      <div ref=${box} role="img" aria-label="${title}: ${days.length} days up to ${last?.key}, at most ${format(Math.max(...sums, 0))}, last ${format(sums.at(-1) || 0)}"></div>
    </figure>`;
}
