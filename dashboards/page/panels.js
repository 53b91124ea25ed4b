// One function per kind of panel: content of a view -> elements.
import { chart, forget } from "./chart.js";
import { clock, element, money, moment, number, SIGNS, signed, tick, toneOfState } from "./format.js";
import { table } from "./table.js";

const MONEY = new Set(["money", "money_per_minute"]);

export function draw(panel, body, view) {
  if (panel.kind !== "timeseries") forget(panel.slug);
  if (panel.kind === "text") {
    body.replaceChildren(...panel.text.split(/\n\s*\n/).map((text) => element("p", {}, text.trim())));
    return;
  }
  if (!panel.content) {
    forget(panel.slug);
    body.replaceChildren(element("p", { class: panel.error ? "nothing failed" : "nothing" }, panel.error ? "✗ The query failed; nothing is known." : "No answer yet."));
    return;
  }
  const listed = panel.content.values ?? panel.content.rows ?? panel.content.lanes ?? panel.content.series ?? [1];
  if (listed.length === 0) {
    forget(panel.slug);
    body.replaceChildren(element("p", { class: "nothing" }, panel.empty));
    return;
  }
  const makers = { stat, table, state: lanes, bars, status, sentence };
  if (panel.kind === "timeseries") chart(panel, body, view);
  else body.replaceChildren(...[makers[panel.kind](panel, view)].flat());
}

// The tone of a figure: that of the highest threshold it reaches, else the panel's own for anything above zero.
export function toneOf(panel) {
  const values = (panel.content?.values ?? []).map((one) => Number(one.value)).filter(Number.isFinite);
  if (panel.thresholds.length > 0) {
    const reached = panel.thresholds.filter((step) => values.some((value) => value >= step.value));
    return reached.sort((a, b) => b.value - a.value)[0]?.tone ?? "plain";
  }
  if (panel.unit === "amounts") return (panel.content?.values ?? []).some((one) => /[1-9]/.test(String(one.value ?? ""))) ? panel.tone : "plain";
  return values.some((value) => value > 0) ? panel.tone : "plain";
}

function stat(panel) {
  const made = element("div", { class: "stat" });
  const tone = toneOf(panel);
  const sign = tone === "bad" || tone === "warn" ? element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[tone]) : "";
  for (const [place, { label, value }] of panel.content.values.entries()) {
    const texts = panel.unit === "amounts" ? String(value ?? "").split(" + ") : [MONEY.has(panel.unit) ? money(value, label) : number(value, panel.unit)];
    for (const text of texts) {
      made.append(element("span", {}, place === 0 && text === texts[0] ? sign : "", ...figure(text), label ? element("small", {}, label) : ""));
    }
  }
  return made;
}

// What stands in brackets behind a figure is its range or its basis: smaller.
function figure(text) {
  const [, shown, more] = /^(.*?)(?: \((.*)\))?$/s.exec(text);
  return [element("strong", {}, shown), more ? element("small", {}, more) : ""];
}

function sentence(panel) {
  return element("p", { class: `sentence ${panel.content.tone}` }, panel.content.text);
}

export function statusItem(item, text) {
  const { tone, sign, text: said } = signed(text);
  return element("li", { class: tone }, sign ? element("span", { class: "sign", "aria-hidden": "true" }, `${sign} `) : "", element("b", {}, item), " ", said);
}

function status(panel) {
  return element("ul", { class: "status" }, ...panel.content.rows.map(([item, text]) => statusItem(item, text)));
}

// Horizontal bars, one row a label; several numbers of a row lie under each other.
function bars(panel) {
  const { columns, rows } = panel.content;
  const numbers = panel.fields.filter((field) => !field.hidden && columns.indexOf(field.name) > 0);
  const shown = numbers.length ? numbers : columns.slice(1).map((name) => ({ name, title: name, unit: panel.unit }));
  const highest = shown.map((field) => Math.max(...rows.map((row) => Math.abs(Number(row[columns.indexOf(field.name)]) || 0)), 0));
  const shared = shown.every((field) => field.unit === shown[0].unit);
  const made = element("table", { class: "bars", "aria-label": panel.title });
  made.append(element("colgroup", {}, element("col", { class: "label" }), ...shown.map(() => element("col"))));
  made.append(element("thead", { class: shown.length > 1 ? "" : "unseen" }, element("tr", {}, element("th", { scope: "col" }, panel.fields.find((field) => field.name === columns[0])?.title || "\u00a0"),
    ...shown.map((field) => element("th", { scope: "col" }, field.title)))));
  made.append(element("tbody", {}, ...rows.map((row) => element("tr", {}, element("th", { scope: "row" }, String(row[0] ?? "")),
    ...shown.map((field, place) => {
      const value = row[columns.indexOf(field.name)];
      const most = shared ? Math.max(...highest) : highest[place];
      const bar = element("i", { class: `value series-${place % 4}` });
      bar.style.width = `${most > 0 && value ? (Math.abs(Number(value)) / most) * 100 : 0}%`;
      return element("td", { "data-label": field.title }, element("div", { class: "measure" }, element("span", { class: "track" }, bar), element("b", {}, number(value, field.unit))));
    })))));
  return made;
}

function lanes(panel, view) {
  const width = Math.max(view.to - view.from, 1);
  const made = element("div", { class: "lanes" });
  const seen = new Set();
  for (const { name, spans } of panel.content.lanes) {
    const said = spans.map(([from, to, word]) => `${word} ${moment(from, view.now)} to ${moment(to, view.now)}`).join(", ");
    const lane = element("div", { class: "lane", role: "img", "aria-label": `${name}: ${said || "nothing known"}` });
    for (const [from, to, word] of spans) {
      seen.add(word);
      const bar = element("span", { class: toneIn(panel, word), title: `${word}: ${clock(from)} to ${clock(to)}` }, to - from > width / 9 ? word : "");
      bar.style.left = `${((from - view.from) / width) * 100}%`;
      bar.style.width = `${((to - from) / width) * 100}%`;
      lane.append(bar);
    }
    made.append(element("span", {}, name), lane);
  }
  const axis = element("div", { class: "axis", "aria-hidden": "true" });
  for (let step = 0; step <= 4; step += 1) axis.append(element("span", {}, tick(view.from + (width * step) / 4, width)));
  const key = element("ul", { class: "legend" }, ...[...seen].map((word) => element("li", {}, element("i", { class: `swatch lane-${toneIn(panel, word)}` }), word)));
  made.append(element("span"), axis, element("div", { class: "key" }, key));
  return made;
}

// Of two states the second is the exception; words have the tone of their state everywhere.
function toneIn(panel, word) {
  if (word === panel.states[1] && toneOfState(word) === "plain") return "bad";
  return word === panel.states[0] && toneOfState(word) === "plain" ? "good" : toneOfState(word);
}
