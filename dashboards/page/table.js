// A table whose rows become cards on a phone, with customers and cost first.
import { badge, chips, day, duration, element, moment, number, shortId } from "./format.js";
import { linked } from "./url.js";

const NUMERIC = new Set(["count", "customers", "issues", "notices", "events", "per_minute", "per_second", "share",
  "ratio", "score", "seconds", "milliseconds", "bytes", "money", "money_per_minute", "amounts"]);
const CARDS = 8;
const opened = new Set();
const FIRST = new Set(["customers", "money", "money_per_minute", "amounts"]);

export function table(panel, view) {
  const { columns, rows } = panel.content;
  const shown = panel.fields.filter((field) => !field.hidden);
  const widths = shown.map((field) => field.width || 0);
  const made = element("table", { "aria-label": panel.title, role: "table" });
  if (widths.every(Boolean)) {
    const all = widths.reduce((sum, width) => sum + width, 0);
    made.append(element("colgroup", {}, ...widths.map((width) => {
      const column = element("col");
      column.style.width = `${(width / all) * 100}%`;
      return column;
    })));
    made.classList.add("fixed");
    made.style.minWidth = `${Math.min(all, 900) * 0.72}px`;
  }
  const head = element("tr", { role: "row" }, ...shown.map((field) =>
    element("th", { scope: "col", role: "columnheader", class: NUMERIC.has(field.unit) ? "num" : "" }, field.title)));
  const body = rows.map((values) => {
    const row = Object.fromEntries(columns.map((name, index) => [name, values[index]]));
    const cells = shown.map((field) => cell(field, row[field.name], row, view));
    return element("tr", { role: "row", class: row.state === "resolved" ? "over" : "" }, ...cells);
  });
  const rest = element("tbody", { role: "rowgroup", class: opened.has(panel.slug) ? "all" : "" }, ...body);
  made.append(element("thead", { role: "rowgroup" }, head), rest);
  return rows.length > CARDS && !opened.has(panel.slug) ? [made, more(panel, rest)] : [made];
}

// A phone shows the first cards; the others are a touch away.
function more(panel, rest) {
  const button = element("button", { type: "button", class: "more" }, `Show all ${rest.rows.length}`);
  button.addEventListener("click", () => { opened.add(panel.slug); rest.classList.add("all"); button.remove(); });
  return button;
}

// A cell without a value is blank: nothing is known, which is neither 0 nor "none".
function cell(field, value, row, view) {
  const kinds = [NUMERIC.has(field.unit) ? "num" : field.unit, FIRST.has(field.unit) ? "first" : "", /title$/.test(field.name) ? "title" : "", /_id$/.test(field.name) ? "id" : ""];
  const made = element("td", { role: "cell", class: kinds.filter(Boolean).join(" "), "data-label": field.title });
  if (value === null || value === undefined || value === "") {
    made.classList.add("blank");
    return made;
  }
  const shown = content(field, value, row, view);
  if (field.link) made.append(element("a", { href: linked(field.link, row), title: field.link.title }, ...shown));
  else made.append(...shown);
  return made;
}

function content(field, value, row, view) {
  if (field.unit === "state") return [badge(value)];
  if (field.unit === "pairs") return [chips(value)];
  if (field.unit === "time") return time(value, view);
  if (field.unit === "amounts") return parted(value);
  if (NUMERIC.has(field.unit)) return [number(value, field.unit)];
  if (field.unit === "sparkline") return [element("span", { class: "spark", role: "img", "aria-label": `${field.title}: ${trend(value)}` }, value)];
  return [field.name.endsWith("_id") ? shortId(String(value)) : element("span", { class: "said" }, String(value))];
}

// What a line of little bars says, for somebody who does not see it.
function trend(bars) {
  const heights = [...bars].map((bar) => "▁▂▃▄▅▆▇█".indexOf(bar) + 1);
  const half = Math.ceil(heights.length / 2);
  const sum = (part) => part.reduce((all, height) => all + height, 0);
  const change = sum(heights.slice(half)) - sum(heights.slice(0, half));
  return change > half / 2 ? "rising" : change < -half / 2 ? "falling" : "steady";
}

function time(value, view) {
  if (typeof value !== "number") return [String(value)];
  const shown = element("time", { datetime: new Date(value).toISOString(), title: `${day(value)} ${new Date(value).toISOString().slice(11, 19)} UTC` }, moment(value, view.now));
  const age = view.now - value;
  return age >= 60e3 && age < 86400e3 ? [shown, element("span", { class: "ago" }, `${duration(age / 1000)} ago`)] : [shown];
}

// Amounts of several currencies, one a line; an amount is not parted from its currency.
function parted(text) {
  return String(text).split(" + ").map((amount) => {
    const [, figure, more] = /^(.*?)(?: \((.*)\))?$/.exec(amount);
    return element("span", { class: "amount" }, figure.replace(/(\d) (?=[A-Z]{3}$)/, "$1\u00a0"), more ? element("small", {}, more) : "");
  });
}

