// What stands above the figures: boards, range, variables, the sentence, who is behind, and how fresh all of it is.
import { clock, day, duration, element, SIGNS } from "./format.js";
import { statusItem } from "./panels.js";
import { address, go } from "./url.js";

const at = (id) => document.getElementById(id);
const BLIND = "Nobody can say whether all is well: the figures cannot be read.";
const LONG = 110;
const BEHIND = " Not up to date: ";
const held = { nav: "", controls: "", headline: "", rooms: "", said: "", saidAt: 0 };

function changed(name, value) {
  const text = JSON.stringify(value);
  if (held[name] === text) return false;
  held[name] = text;
  return true;
}

export function navigation(board) {
  if (!changed("nav", [board.boards, board.board.name, location.search])) return;
  at("boards").replaceChildren(...board.boards.map((one) => element("a", {
    href: address({ board: one.name }), title: one.title, "aria-current": one.name === board.board.name ? "page" : null,
  }, one.name)));
}

export function controls(board) {
  if (at("controls").contains(document.activeElement) && document.activeElement.matches("select, input")) return;
  if (!changed("controls", [board.range, board.variables, location.search, document.documentElement.dataset.theme])) return;
  const open = new Set([...at("controls").querySelectorAll("details[open]")].map((one) => one.dataset.name));
  at("controls").replaceChildren(ranges(board), custom(board), ...board.variables.map(choice), look());
  for (const one of at("controls").querySelectorAll("details")) one.open = open.has(one.dataset.name);
}

function ranges(board) {
  const words = (hours) => hours < 48 ? `${hours} h` : `${hours / 24} d`;
  return element("nav", { class: "ranges", "aria-label": "Time range" }, ...board.range.choices.map((hours) => element("a", {
    href: address({ from: `now-${hours}h`, to: "now" }), "aria-current": hours === board.range.hours ? "true" : null,
  }, words(hours))));
}

// A stretch of its own, in UTC: a link to it can be passed on.
function custom(board) {
  const input = (name, ms) => element("input", { type: "datetime-local", name, step: "60", value: new Date(ms).toISOString().slice(0, 16), required: "" });
  const form = element("form", {}, element("label", {}, "From (UTC) ", input("from", board.span[0])), element("label", {}, "To (UTC) ", input("to", board.span[1])),
    element("button", { type: "submit" }, "Show"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [from, to] = ["from", "to"].map((name) => Date.parse(`${form.elements[name].value}Z`));
    if (to > from) go(address({ from: String(from), to: String(to) }));
  });
  return element("details", { class: "menu", "data-name": "range" }, element("summary", {}, board.range.hours ? "From … to" : `${day(board.span[0])} ${clock(board.span[0], false)} to ${clock(board.span[1], false)}`), form);
}

function choice(variable) {
  const text = (value) => variable.options.find((option) => option[0] === value)?.[1] ?? value;
  const shown = variable.chosen.filter(Boolean);
  const said = shown.length === 0 ? (variable.every ? "All" : "none") : shown.length > 2 ? `${shown.length} chosen` : shown.map(text).join(", ");
  const missing = shown.filter((value) => !variable.options.some((option) => option[0] === value)).map((value) => [value, value]);
  const options = [...(variable.every ? [["", "All"]] : []), ...missing, ...variable.options];
  const pick = (values) => go(address({ variables: { [variable.name]: values } }));
  if (!variable.multi) {
    const select = element("select", {}, ...options.map(([value, label]) => element("option", { value }, label)));
    select.value = shown[0] ?? "";
    select.addEventListener("change", () => { select.blur(); pick(select.value ? [select.value] : []); });
    return element("label", { class: "choice" }, `${variable.label} `, select);
  }
  const list = element("fieldset", {}, element("legend", { class: "unseen" }, variable.label), ...options.map(([value, label]) => {
    const box = element("input", { type: "checkbox" });
    box.checked = value === "" ? shown.length === 0 : shown.includes(value);
    box.addEventListener("change", () => {
      box.blur();
      pick(value === "" ? [] : box.checked ? [...shown, value] : shown.filter((one) => one !== value));
    });
    return element("label", {}, box, ` ${label}`);
  }));
  return element("details", { class: "menu", "data-name": variable.name }, element("summary", {}, `${variable.label}: `, element("b", {}, said)), list);
}

function look() {
  const dark = document.documentElement.dataset.theme === "dark";
  const theme = element("button", { type: "button", class: "plain" }, dark ? "Light" : "Dark");
  theme.addEventListener("click", () => go(address({ theme: dark ? "light" : "dark" }), true));
  return element("span", { class: "look" }, theme, element("a", { href: address({ wall: "1" }), title: "For a screen that nobody touches: large, without controls" }, "Wall"));
}

// One sentence, made where the figures are. Without an answer of the database nobody can say that all is well.
export function headline(board) {
  const panel = board.panels.find((one) => one.kind === "sentence");
  const blind = board.state === "unreachable" || board.state === "gone" || (panel && (panel.error || !panel.content));
  const plain = { tone: "plain", text: board.state === "replay" && board.message ? `${board.message} ${board.board.title}` : board.board.title };
  const { tone, text } = blind ? { tone: "bad", text: BLIND } : panel ? panel.content : plain;
  const changes = changed("headline", [tone, text]);
  if (changes) {
    const [main, behind] = text.split(BEHIND);
    const cut = main.search(/[:.](?=\s|$)/);
    const first = cut < 0 ? main : main.slice(0, cut + 1);
    const sign = SIGNS[tone] ? element("span", { class: `sign ${tone}`, "aria-hidden": "true" }) : "";
    if (sign) sign.dataset.sign = SIGNS[tone];
    at("headline").replaceChildren(element("h1", {}, sign, element("b", { class: tone }, first), main.slice(first.length)), ...(behind ? [troubles(behind)] : []));
    at("headline").classList.toggle("long", main.length > LONG);
    document.title = panel || blind ? `${first.replace(/[:.]$/, "")} · ${board.board.name} · cxwatch` : `${board.board.title} · cxwatch`;
  }
  say(tone, text);
}

function troubles(behind) {
  const parts = behind.replace(/\.$/, "").split(", ");
  if (parts.length === 1) return element("p", { class: "troubles" }, `${BEHIND.slice(0, -1)} ${behind}`);
  const made = element("details", { class: "troubles" }, element("summary", {}, `${BEHIND} ${parts.length} parts`), element("ul", {}, ...parts.map((part) => element("li", {}, part))));
  made.open = !window.matchMedia("(max-width: 700px)").matches;
  return made;
}

// A screen reader hears a new state at once, and new figures at most once a minute.
function say(tone, text) {
  const now = Date.now();
  const state = `${tone} ${/^\D*\d+ open|^[^:.]*/.exec(text)?.[0]}`;
  if (state === held.said && now - held.saidAt < 60e3) return;
  if (at("said").textContent !== text) at("said").textContent = text;
  Object.assign(held, { said: state, saidAt: now });
}

// The status line: how each part stands.
export function rooms(board) {
  const status = board.panels.filter((one) => one.kind === "status");
  const known = board.state !== "unreachable" && board.state !== "gone";
  if (!changed("rooms", [known, status.map((one) => [one.content, one.error])])) return;
  const rows = [];
  for (const panel of status) rows.push(...(known && !panel.error ? panel.content?.rows ?? [] : [["status", "✗ unknown: it cannot be read"]]));
  at("rooms").replaceChildren(...rows.map(([item, text]) => statusItem(item, text)));
  const well = rows.filter(([, text]) => String(text).startsWith("✓")).length;
  at("rooms").dataset.well = well === 0 ? "" : `✓ ${well} of ${rows.length} well`;
  at("rooms").hidden = rows.length === 0;
}

// lost: since when nothing came from the server, 0 if it answers; refused: what it said instead.
export function freshness(board, answeredAt, lost, refused) {
  const fresh = at("fresh");
  const state = lost ? "unreachable" : board?.state ?? "";
  const age = answeredAt ? Math.round((Date.now() - answeredAt) / 1000) : 0;
  fresh.className = `fresh ${state}`;
  const words = { stale: "standing still", empty: "no data yet", unreachable: "database down", gone: "not shown", replay: "a replay", live: age < 5 ? "live" : `updated ${age} s ago` };
  fresh.textContent = lost ? (answeredAt ? `last answer ${duration(Math.max(age, 1))} ago` : "no answer") : board ? words[board.state] : "connecting";
  const since = (text) => clock(Date.parse(text));
  let said = "";
  if (refused) said = refused;
  else if (lost) said = `The board's server does not answer since ${clock(lost)} UTC.${board ? " The figures below are old." : ""}`;
  else if (board?.state === "unreachable") said = `${board.message} since ${since(board.since)} UTC. The figures below are the last ones known.`;
  else if (board?.state === "stale") said = `No new data since ${since(board.since)} UTC (clock on the wall): event time stands still. Silence is not health.`;
  else if (board?.state === "gone") said = `${board.message} It was dropped, is being filled, or never was: choose another database.`;
  else if (board?.state === "empty") said = "No data: no event has arrived yet.";
  const banner = at("banner");
  banner.hidden = said === "";
  banner.className = `banner ${state}`;
  if (banner.textContent !== said) banner.textContent = said;
  at("grid").classList.toggle("old", state === "unreachable" || state === "gone");
}

export function eventClock(board) {
  const now = board.event_now ? Date.parse(board.event_now) : 0;
  at("clock").replaceChildren(element("span", {}, "event time "), now ? `${day(now)} ${clock(now)}` : "–");
}
