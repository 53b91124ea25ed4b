// One function per kind of panel: content of /api/board -> elements.
import { badge, chips, clock, element, moment, money, number } from "./format.js";

const NUMERIC = new Set(["count", "customers", "issues", "notices", "events", "per_minute", "per_second", "share", "seconds", "money", "money_per_minute", "amounts"]);
const MONEY = new Set(["money", "money_per_minute"]);
const COLOURS = ["#ff6b6b", "#6cb6ff", "#ffb454", "#4fd18b", "#c792ea", "#f78fb3", "#7fdbca", "#d4c46a"];
const AGED = new Set(["opened_at", "last_event"]);
const charts = new Map();
const colours = new Map();

// The same issue or stream has the same colour in every chart.
function colourOf(name) {
  if (!colours.has(name)) colours.set(name, COLOURS[colours.size % COLOURS.length]);
  return colours.get(name);
}

export function draw(panel, body, now, range) {
  const content = panel.content;
  const none = !content || (content.values ?? content.rows ?? content.lanes ?? content.times).length === 0;
  if (none && panel.kind !== "stat") {
    forget(panel.slug);
    body.replaceChildren(element("div", { class: "empty" }, content ? panel.empty : "no answer yet"));
    return;
  }
  if (panel.kind === "stat") body.replaceChildren(stat(panel));
  else if (panel.kind === "table") body.replaceChildren(table(panel, now));
  else if (panel.kind === "state") body.replaceChildren(lanes(panel, range));
  else chart(panel, body, range);
}

export function toneOf(panel) {
  const values = panel.content?.values ?? [];
  return values.some((one) => Number(one.value) > 0) ? panel.tone : "plain";
}

function stat(panel) {
  const values = panel.content?.values ?? null;
  const made = element("div", { class: "stat" });
  if (values === null) made.append(element("strong", {}, "–"));
  else if (values.length === 0) made.append(element("strong", {}, "0"));
  for (const { label, value } of values ?? []) {
    made.append(element("span", {}, element("strong", {}, MONEY.has(panel.unit) ? money(value, label) : number(value, panel.unit)), element("small", {}, label)));
  }
  return made;
}

function table(panel, now) {
  const { columns, rows } = panel.content;
  const place = Object.fromEntries(columns.map((name, index) => [name, index]));
  const shown = panel.fields.filter((field) =>
    !(field.name === "resolved_at" && rows.every((row) => row[place.resolved_at] === null)));
  const head = element("tr", {}, ...shown.map((field) =>
    element("th", { scope: "col", class: NUMERIC.has(field.unit) ? "num" : "" }, field.title)));
  const body = rows.map((row) => {
    const cells = shown.map((field) => cell(field, row[place[field.name]], now));
    return element("tr", { class: row[place.state] === "resolved" ? "over" : "" }, ...cells);
  });
  return element("table", { "aria-label": panel.title }, element("thead", {}, head), element("tbody", {}, ...body));
}

function cell(field, value, now) {
  const made = element("td", { class: NUMERIC.has(field.unit) ? "num" : "" });
  if (value === null || value === undefined || value === "") made.append("–");
  else if (field.unit === "state") made.append(badge(value));
  else if (field.unit === "pairs") made.append(chips(value));
  else if (field.unit === "time") { made.className = "time"; made.append(moment(value, now, AGED.has(field.name))); }
  else if (field.unit === "amounts") made.append(...parted(value));
  else if (NUMERIC.has(field.unit)) made.append(number(value, field.unit));
  else { made.className = field.name === "issue_id" ? "id" : field.name === "title" ? "title" : ""; made.append(String(value)); }
  return made;
}

// Amounts of several currencies, one a line; an amount is not parted from its currency.
function parted(text) {
  return String(text).split(" + ").map((amount) => element("div", {}, amount.replace(" ", "\u00a0")));
}

function lanes(panel, range) {
  const width = Math.max(range.to - range.from, 1);
  const made = element("div", { class: "lanes" });
  for (const { name, spans } of panel.content.lanes) {
    const said = spans.length === 0 ? "data all the time" : spans.map(([from, to]) => `no data ${clock(from)} to ${clock(to)}`).join(", ");
    const lane = element("div", { class: "lane", role: "img", "aria-label": `${name}: ${said}`, title: said });
    for (const [from, to] of spans) {
      const bar = element("span");
      bar.style.left = `${((from - range.from) / width) * 100}%`;
      bar.style.width = `${((to - from) / width) * 100}%`;
      lane.append(bar);
    }
    made.append(element("span", {}, name), lane);
  }
  const axis = element("div", { class: "axis" });
  for (let step = 0; step <= 4; step += 1) axis.append(element("span", {}, clock(range.from + (width * step) / 4, false)));
  made.append(element("span"), axis);
  made.append(element("div", { class: "key" }, element("i"), panel.states[0], element("i", { class: "bad" }), panel.states[1]));
  return made;
}

function forget(slug) {
  charts.get(slug)?.plot.destroy();
  charts.delete(slug);
}

function chart(panel, body, range) {
  const { times, series } = panel.content;
  const data = [times.map((ms) => ms / 1000), ...series.map((one) => one.values)];
  const names = JSON.stringify(series.map((one) => one.name));
  const held = charts.get(panel.slug);
  if (held && held.names === names && body.contains(held.plot.root)) {
    held.range = range;
    held.plot.setData(data);
    return;
  }
  forget(panel.slug);
  const place = element("div", { class: "chart", role: "img", "aria-label": `${panel.title}: ${series.map((one) => one.name).join(", ")}` });
  body.replaceChildren(place);
  const state = { names, range, plot: null };
  const axis = { stroke: "#9aa5b8", grid: { stroke: "#232a39", width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const step = panel.unit === "customers" ? window.uPlot.paths.stepped({ align: 1 }) : undefined;
  state.plot = new window.uPlot({
    width: place.clientWidth || 200, height: 120,
    tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { sync: { key: "cx" }, points: { size: 6 } },
    scales: { x: { range: () => [state.range.from / 1000, state.range.to / 1000] }, y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, size: 28, values: (_plot, ticks) => ticks.map((tick) => clock(tick * 1000, false)) },
      { ...axis, size: 58, values: (_plot, ticks) => ticks.map((tick) => number(tick, panel.unit)) }],
    series: [{ label: "UTC", value: (_plot, value) => (value === null ? "" : clock(value * 1000)) },
      ...series.map((one) => ({
        label: one.name, stroke: colourOf(one.name), width: 2, spanGaps: panel.unit !== "per_second", paths: step,
        fill: series.length === 1 ? `${colourOf(one.name)}22` : undefined, points: { show: false },
        value: (_plot, value) => (value === null ? "" : number(value, panel.unit)),
      }))],
  }, data, place);
  charts.set(panel.slug, state);
  fit(state.plot);
}

function fit(plot) {
  const place = plot.root.parentElement;
  if (!place) return;
  const legend = plot.root.querySelector(".u-legend")?.offsetHeight ?? 0;
  plot.setSize({ width: Math.max(place.clientWidth, 200), height: Math.max(place.clientHeight - legend - 2, 110) });
}

export function resize() {
  for (const { plot } of charts.values()) fit(plot);
}
