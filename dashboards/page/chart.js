// Time series by uPlot: band, thresholds, marks, no lines over gaps, tooltips by mouse, touch and keys, a summary in words.
import { clock, colourOf, day, element, moment, number, tick } from "./format.js";

const LOWEST_PX = 160;
const LOWEST_WALL_PX = 90;
const STEPPED = new Set(["customers", "notices", "issues"]);
const charts = new Map();
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function forget(slug) {
  charts.get(slug)?.watch.disconnect();
  charts.get(slug)?.plot.destroy();
  charts.delete(slug);
}

export function chart(panel, body, view) {
  const { columns, lines } = aligned(panel.content);
  const key = JSON.stringify([lines.map((line) => line.name), Boolean(panel.content.band), document.documentElement.dataset.theme]);
  const held = charts.get(panel.slug);
  if (held?.key === key && body.contains(held.plot.root)) {
    Object.assign(held, { panel, view, lines });
    held.plot.setData(columns);
  } else {
    forget(panel.slug);
    build(panel, body, view, columns, lines, key);
  }
  words(charts.get(panel.slug));
  marks(charts.get(panel.slug));
}

// One axis of time for all series. A time that a series does not have is undefined, which is no gap; a gap is null.
function aligned({ series, band }) {
  const times = [...new Set([...series.flatMap((one) => one.times), ...(band?.times ?? [])])].sort((a, b) => a - b);
  const place = new Map(times.map((time, index) => [time, index]));
  const column = (at, values) => {
    const made = new Array(times.length).fill(undefined);
    at.forEach((time, index) => { made[place.get(time)] = values[index]; });
    return made;
  };
  const columns = [times.map((ms) => ms / 1000)];
  if (band) columns.push(column(band.times, band.high), column(band.times, band.low));
  columns.push(...series.map((one) => column(one.times, one.values)));
  const used = new Set();
  const lines = series.map((one) => {
    const colour = colourOf(one.name);
    const dash = used.has(colour) ? [7, 4] : undefined;
    used.add(colour);
    return { name: one.name, colour, dash, times: one.times, values: one.values };
  });
  return { columns, lines };
}

function build(panel, body, view, columns, lines, key) {
  const place = element("div", { class: "chart", tabindex: "0", role: "img", "aria-label": panel.title, "aria-describedby": `${panel.slug}-words` });
  const tip = element("div", { class: "tip", "aria-hidden": "true" });
  const spoken = element("p", { class: "unseen", "aria-live": "polite" });
  const legend = element("ul", { class: "legend" });
  const summary = element("p", { class: "unseen", id: `${panel.slug}-words` });
  tip.hidden = true;
  body.replaceChildren(place, legend, summary, spoken);
  const held = { panel, view, lines, key, place, tip, spoken, legend, summary, plot: null, watch: null };
  held.plot = new window.uPlot(options(held, Boolean(panel.content.band)), columns, place);
  held.plot.over.append(tip);
  held.watch = new ResizeObserver(() => fit(held));
  held.watch.observe(place);
  charts.set(panel.slug, held);
  keys(held);
  touches(held);
  fit(held);
}

function options(held, banded) {
  const { panel } = held;
  const wall = document.documentElement.classList.contains("wall");
  const font = `${wall ? 20 : 12}px system-ui, sans-serif`;
  const axis = { stroke: css("--dim"), grid: { stroke: css("--edge"), width: 1 }, ticks: { show: false }, font };
  const paths = STEPPED.has(panel.unit) ? window.uPlot.paths.stepped({ align: 1 }) : undefined;
  const edge = { show: true, stroke: "transparent", width: 0, points: { show: false } };
  const width = () => held.view.to - held.view.from;
  return {
    width: 200, height: LOWEST_PX, legend: { show: false },
    tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { sync: { key: "cx" }, points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: { range: () => [held.view.from / 1000, held.view.to / 1000] },
      y: { range: (_plot, low, high) => [Math.min(0, low ?? 0), top(held.panel, high)] },
    },
    axes: [
      { ...axis, size: wall ? 40 : 28, space: wall ? 130 : 64, values: (_plot, ticks) => ticks.map((at) => tick(at * 1000, width())) },
      { ...axis, size: (_plot, values) => 14 + Math.max(3, ...(values ?? []).map((text) => text.length)) * (wall ? 11 : 7), values: (_plot, ticks) => ticks.map((at) => number(at, panel.unit)) },
    ],
    bands: banded ? [{ series: [1, 2], fill: css("--band") }] : [],
    series: [{}, ...(banded ? [edge, edge] : []), ...held.lines.map((line) => ({
      label: line.name, stroke: line.colour, width: wall ? 4 : 2, dash: line.dash, spanGaps: false, paths,
      fill: held.lines.length === 1 ? `${line.colour}22` : undefined,
      points: { show: () => false, filter: alone, size: wall ? 10 : 6, fill: line.colour },
    }))],
    hooks: { draw: [thresholds(held)], setCursor: [() => point(held)] },
  };
}

// Points without a neighbour on either side, which no line would show.
function alone(plot, index) {
  const values = plot.data[index];
  const known = (at, step) => {
    let next = at + step;
    while (next >= 0 && next < values.length && values[next] === undefined) next += step;
    return next >= 0 && next < values.length && values[next] !== null;
  };
  return values.flatMap((value, at) => value === null || value === undefined || known(at, -1) || known(at, 1) ? [] : [at]);
}

function top(panel, high) {
  const limits = panel.thresholds.map((one) => one.value).filter((value) => value <= Math.max(high ?? 0, 0) * 3);
  const highest = Math.max(high ?? 0, ...limits, 0);
  return highest > 0 ? highest * 1.12 : 1;
}

function thresholds(held) {
  return (plot) => {
    const { ctx, bbox } = plot;
    for (const { value, tone } of held.panel.thresholds) {
      const y = plot.valToPos(value, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css(`--${tone === "plain" ? "dim" : tone}`);
      ctx.lineWidth = 1.5 * devicePixelRatio;
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
      ctx.textAlign = "right";
      ctx.fillText(`limit ${number(value, held.panel.unit)}`, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
      ctx.restore();
    }
  };
}

// Changes, issues, notices, drills: a line with a sign on top that tells what it was.
function marks(held) {
  const { plot, view } = held;
  const made = view.marks.filter(({ at }) => at >= view.from && at <= view.to).map(({ at, text, tone }) => {
    const mark = element("i", { class: `mark ${tone}`, title: `${clock(at, false)} ${text}` });
    mark.style.left = `${((at - view.from) / Math.max(view.to - view.from, 1)) * 100}%`;
    return mark;
  });
  plot.over.replaceChildren(...[...plot.over.children].filter((child) => !child.classList.contains("mark")), ...made);
}

// For paper: the width changes, and nobody waits for an observer to tell.
export function refit() {
  for (const held of charts.values()) fit(held);
}

function fit(held) {
  const { place, plot } = held;
  const width = Math.max(place.clientWidth, 160);
  const lowest = document.documentElement.classList.contains("wall") ? LOWEST_WALL_PX : LOWEST_PX;
  const height = Math.max(place.clientHeight, lowest);
  if (plot.width !== width || plot.height !== height) plot.setSize({ width, height });
}

// What is under the cursor, highest first: the series with their values, and marks nearby.
function lookedAt(held) {
  const { plot, lines, view } = held;
  const index = plot.cursor.idx;
  if (index === null || index === undefined) return null;
  const at = plot.data[0][index] * 1000;
  const skipped = plot.data.length - lines.length;
  const values = lines.map((line, place) => {
    const column = plot.data[place + skipped];
    let found = index;
    while (found >= 0 && column[found] === undefined) found -= 1;
    return { ...line, value: found >= 0 ? column[found] : null };
  }).filter((line) => line.value !== null && line.value !== undefined);
  const near = (view.to - view.from) / 90;
  return { at, values: values.sort((a, b) => b.value - a.value).slice(0, 12), marks: view.marks.filter((mark) => Math.abs(mark.at - at) < near).slice(0, 6) };
}

function point(held) {
  const { plot, tip, panel, view } = held;
  const found = plot.cursor.left >= 0 ? lookedAt(held) : null;
  tip.hidden = !found || !held.place.matches(":hover, :focus, .touched");
  if (tip.hidden) return;
  const named = view.to - view.from > 20 * 3600e3 ? `${day(found.at)} ` : "";
  tip.replaceChildren(element("b", {}, `${named}${clock(found.at, false)} UTC`),
    ...found.values.map((line) => {
      const swatch = element("i", { class: "swatch" });
      swatch.style.background = line.colour;
      return element("div", {}, swatch, element("span", {}, line.name), element("strong", {}, number(line.value, panel.unit)));
    }),
    ...found.marks.map((mark) => element("div", { class: "note" }, `▾ ${clock(mark.at, false)} ${mark.text}`)));
  tip.style.left = plot.cursor.left > plot.over.clientWidth / 2 ? "" : `${plot.cursor.left + 14}px`;
  tip.style.right = plot.cursor.left > plot.over.clientWidth / 2 ? `${plot.over.clientWidth - plot.cursor.left + 14}px` : "";
}

function keys(held) {
  held.place.addEventListener("keydown", (event) => {
    const { plot, panel } = held;
    const last = plot.data[0].length - 1;
    const now = plot.cursor.idx ?? last;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, PageUp: now - 10, PageDown: now + 10 }[event.key];
    if (event.key === "Escape") { plot.setCursor({ left: -10, top: -10 }); return; }
    if (next === undefined) return;
    event.preventDefault();
    const index = Math.min(Math.max(next, 0), last);
    plot.setCursor({ left: plot.valToPos(plot.data[0][index], "x"), top: 20 });
    const found = lookedAt(held);
    held.spoken.textContent = found ? `${clock(found.at, false)}: ${found.values.map((line) => `${line.name} ${number(line.value, panel.unit)}`).join(", ")}` : "";
  });
  held.place.addEventListener("blur", () => { held.tip.hidden = true; });
}

function touches(held) {
  const move = (event) => {
    const box = held.plot.over.getBoundingClientRect();
    const touch = event.touches[0];
    held.place.classList.add("touched");
    held.plot.setCursor({ left: touch.clientX - box.left, top: touch.clientY - box.top });
  };
  held.plot.over.addEventListener("touchstart", move, { passive: true });
  held.plot.over.addEventListener("touchmove", move, { passive: true });
  document.addEventListener("touchstart", (event) => {
    if (!held.place.contains(event.target)) { held.place.classList.remove("touched"); held.tip.hidden = true; }
  }, { passive: true });
}

// Legend, and what the chart shows for somebody who does not see it.
function words(held) {
  const { panel, view, lines } = held;
  const last = (line) => line.values.findLast((value) => value !== null);
  held.legend.replaceChildren(...lines.map((line) => {
    const swatch = element("i", { class: line.dash ? "swatch dashed" : "swatch" });
    swatch.style.color = line.colour;
    return element("li", {}, swatch, line.name, " ", element("b", {}, number(last(line), panel.unit)));
  }));
  if (panel.content.band) held.legend.append(element("li", {}, element("i", { class: "swatch band" }), "usual range"));
  const told = lines.slice(0, 20).map((line) => {
    const known = line.values.filter((value) => value !== null);
    const high = Math.max(...known);
    return known.length === 0 ? `${line.name}: no value` : `${line.name}: last ${number(known.at(-1), panel.unit)}, highest ${number(high, panel.unit)} at ${moment(line.times[line.values.indexOf(high)], view.now)}`;
  });
  const text = `${panel.title}, ${moment(view.from, view.now)} to ${moment(view.to, view.now)} UTC. ${told.join(". ")}.`;
  if (held.summary.textContent !== text) held.summary.textContent = text;
}

window.addEventListener("themed", () => { for (const slug of [...charts.keys()]) forget(slug); });
