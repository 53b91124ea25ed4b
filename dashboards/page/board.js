// Fetches /api/board every few seconds and keeps the page in step. A failed fetch leaves the last figures, and says so.
import { clock, day, duration, element, number } from "./format.js";
import { draw, resize, toneOf } from "./panels.js";

const at = (id) => document.getElementById(id);
const sections = new Map();
let hours = 6;
let answeredAt = 0;
let last = null;
let lostSince = 0;
let timer = 0;

function section(panel, top) {
  const body = element("div", { class: "body", tabindex: panel.kind === "table" ? "0" : "" });
  const fault = element("span", { class: "fault" });
  const made = element("section", { id: panel.slug, "aria-label": panel.title },
    element("h2", { title: panel.description }, panel.title, fault), body);
  const { x, y, w, h } = panel.grid;
  made.style.gridColumn = `${x + 1} / span ${w}`;
  made.style.gridRow = `${y - top + 1} / span ${h}`;
  at("grid").append(made);
  return { made, body, fault, shown: "" };
}

function show(board) {
  const now = board.event_now ? Date.parse(board.event_now) : 0;
  const range = { from: board.from_ms, to: board.to_ms };
  const drawn = board.panels.filter((panel) => panel.kind !== "sentence" && panel.unit !== "lag");
  const top = Math.min(...drawn.map((panel) => panel.grid.y));
  for (const panel of drawn) {
    if (!sections.has(panel.slug)) sections.set(panel.slug, section(panel, top));
    const held = sections.get(panel.slug);
    held.made.className = `${panel.kind}-panel ${panel.kind === "stat" ? `tone-${toneOf(panel)}` : ""}`.trim();
    held.fault.textContent = panel.error ? "last figures: query failed" : "";
    held.fault.title = panel.error;
    const text = JSON.stringify([panel.content, panel.kind === "stat" ? 0 : now, hours]);
    if (text === held.shown) continue;
    held.shown = text;
    draw(panel, held.body, now, range);
  }
  headline(board);
  rooms(board);
  at("clock").replaceChildren(element("span", {}, "event time "), now ? `${day(now)} ${clock(now)}` : "–");
  choices(board);
  at("grid").setAttribute("aria-busy", "false");
  document.title = `${count(board, "open_issues") || "no"} open issues · cxwatch`;
}

function count(board, slug) {
  const values = board.panels.find((panel) => panel.slug === slug)?.content?.values ?? [];
  return values.length ? Number(values[0].value) : 0;
}

// One sentence, made where the figures are. Without an answer of the database nobody can say that all is well.
function headline(board) {
  const panel = board.panels.find((one) => one.kind === "sentence");
  const told = board.state !== "unreachable" && !panel.error && panel.content;
  const { tone, text } = told ? panel.content : { tone: "bad", text: "Nobody can say whether all is well: the figures cannot be read." };
  const cut = text.search(/[:.]/);
  if (at("headline").textContent === text) return;
  at("headline").replaceChildren(element("b", { class: tone }, text.slice(0, cut + 1)), text.slice(cut + 1));
}

function rooms(board) {
  const panel = board.panels.find((one) => one.unit === "lag");
  const known = board.state !== "unreachable" && !panel.error ? panel.content?.values ?? [] : [];
  const tone = (value) => value === null || value >= board.lag_bad_s ? "bad" : value >= board.lag_warn_s ? "warn" : "";
  const words = (value) => value === null ? "unknown" : number(value, "lag");
  at("rooms").replaceChildren(...known.map(({ label, value }) => element("li", { class: tone(value) }, `${label} ${words(value)}`)));
}

function choices(board) {
  const nav = at("choices");
  if (nav.childElementCount === 0) {
    for (const choice of board.choices) {
      const button = element("button", { type: "button" }, `${choice} h`);
      button.addEventListener("click", () => { hours = choice; clearTimeout(timer); refresh(); });
      nav.append(button);
    }
  }
  board.choices.forEach((choice, index) => nav.children[index].setAttribute("aria-pressed", String(choice === hours)));
}

function freshness() {
  const fresh = at("fresh");
  const lost = lostSince !== 0;
  const state = lost ? "unreachable" : last?.state ?? "";
  const age = answeredAt ? Math.round((Date.now() - answeredAt) / 1000) : 0;
  fresh.className = `fresh ${state}`;
  fresh.textContent = lost ? `last answer ${duration(Math.max(age, 1))} ago` : last ? (age < 4 ? "live, just now" : `updated ${age} s ago`) : "connecting";
  if (!lost && last && last.state !== "live") fresh.textContent = { stale: "standing still", empty: "no data yet", unreachable: "database down" }[last.state];
  const banner = at("banner");
  const since = (text) => clock(Date.parse(text));
  let said = "";
  if (lost) said = `The board's server does not answer since ${clock(lostSince)} UTC. The figures below are old.`;
  else if (last?.state === "unreachable") said = `${last.message} since ${since(last.since)} UTC. The figures below are the last ones known.`;
  else if (last?.state === "stale") said = `No new data since ${since(last.since)} UTC (clock on the wall): event time stands still. Silence is not health.`;
  else if (last?.state === "empty") said = "No data: no event has arrived yet.";
  banner.hidden = said === "";
  banner.className = `banner ${state}`;
  if (banner.textContent !== said) banner.textContent = said;
  at("grid").classList.toggle("old", state === "unreachable");
}

async function refresh() {
  let wait = last?.refresh_ms ?? 2000;
  try {
    const answer = await fetch(`/api/board?hours=${hours}`, { cache: "no-store", signal: AbortSignal.timeout(30000) });
    if (!answer.ok) throw new Error(String(answer.status));
    last = await answer.json();
    answeredAt = Date.now();
    lostSince = 0;
    show(last);
  } catch (error) {
    if (lostSince === 0) { lostSince = Date.now(); console.warn("no answer", error); }
    if (last) { headline({ ...last, state: "unreachable" }); rooms({ ...last, state: "unreachable" }); }
    wait = Math.max(wait, 2000);
  }
  freshness();
  timer = setTimeout(refresh, document.hidden ? wait * 5 : wait);
}

window.addEventListener("resize", () => requestAnimationFrame(resize));
document.addEventListener("visibilitychange", () => { if (!document.hidden) { clearTimeout(timer); refresh(); } });
setInterval(freshness, 1000);
refresh();
