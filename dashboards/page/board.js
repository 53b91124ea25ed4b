// Keeps the page in step with the server's stream. Without it the last figures stay, and are called old.
import { element, use } from "./format.js";
import { forget } from "./chart.js";
import { controls, eventClock, freshness, headline, navigation, rooms } from "./header.js";
import { draw, toneOf } from "./panels.js";
import { address, here, linked, question } from "./url.js";

const QUIET_MS = 15000;
const AGAIN_MS = 2000;
const GLANCE_MS = 30000;
const ROW_PX = 32;
const CHART_PX = 240;
const TABLE_PX = 520;
const WALL_ROWS = 24;
const at = (id) => document.getElementById(id);
const sections = new Map();
let board = null;
let asked = "";
let stream = null;
let again = 0;
let answeredAt = 0;
let lost = 0;
let refused = "";

function open() {
  clearTimeout(again);
  stream?.close();
  const state = here();
  asked = `${state.board}?${question(state)}`;
  const mine = new EventSource(`/api/stream/${encodeURIComponent(state.board)}?${question(state)}`);
  stream = mine;
  mine.addEventListener("message", (event) => { if (mine === stream) take(JSON.parse(event.data)); });
  mine.addEventListener("error", () => { if (mine === stream) broken(mine); });
}

async function broken(mine) {
  lose();
  if (mine.readyState !== EventSource.CLOSED) return;
  const state = here();
  try {
    const answer = await fetch(`/api/board/${encodeURIComponent(state.board)}?${question(state)}`, { cache: "no-store" });
    refused = answer.status >= 400 && answer.status < 500 || answer.status === 503 ? `This view is not shown: ${(await answer.text()).trim()}.` : "";
  } catch { refused = ""; }
  freshness(board, answeredAt, lost, refused);
  again = setTimeout(open, AGAIN_MS);
}

function lose() {
  lost ||= Date.now();
  if (board) {
    headline({ ...board, state: "unreachable" });
    rooms({ ...board, state: "unreachable" });
  }
  freshness(board, answeredAt, lost, refused);
}

// What changed, laid over what is known.
function take(news) {
  const known = new Map((board?.panels ?? []).map((panel) => [panel.slug, panel]));
  for (const panel of news.panels) known.set(panel.slug, panel);
  board = { ...board, ...news, panels: [...known.values()] };
  answeredAt = Date.now();
  lost = 0;
  refused = "";
  show();
}

function show() {
  use(board.palette);
  const now = board.event_now ? Date.parse(board.event_now) : 0;
  const marks = board.annotations.flatMap((one) => one.marks.map(([time, text]) => ({ at: time, text, tone: one.tone })));
  const view = { now, from: board.span[0], to: board.span[1], marks };
  const drawn = board.panels.filter((panel) => !above(panel));
  const top = Math.min(...drawn.map((panel) => panel.grid.y));
  for (const panel of drawn) {
    if (!sections.has(panel.slug)) sections.set(panel.slug, section(panel, top));
    refresh(sections.get(panel.slug), panel, view);
  }
  const bottoms = [...sections.values()].map((held) => held.bottom).filter((bottom) => bottom <= WALL_ROWS);
  at("grid").style.setProperty("--rows", String(Math.max(...bottoms, 1)));
  navigation(board);
  controls(board);
  headline(board);
  rooms(board);
  eventClock(board);
  freshness(board, answeredAt, lost, refused);
  if (at("grid").getAttribute("aria-busy") === "true") arrived();
}

// Sentence and status lines stand above the figures.
function above(panel) {
  return panel.kind === "sentence" || panel.kind === "status";
}

function section(panel, top) {
  const body = element("div", { class: "body" });
  const fault = element("span", { class: "fault" });
  const made = element("section", { id: panel.slug, "data-unit": panel.unit, "aria-labelledby": `${panel.slug}-title` });
  const how = element("span", { class: "how" });
  const about = element("details", { class: "about" }, element("summary", { title: panel.description, "aria-label": `About: ${panel.title}` }, "?"), element("p", {}, panel.description, " ", how));
  const links = element("span", { class: "links" });
  made.append(element("div", { class: "top" }, element("h2", { id: `${panel.slug}-title` }, panel.title), fault, links, about), body);
  const { x, y, w, h } = panel.grid;
  made.style.gridColumn = `${x + 1} / span ${w}`;
  made.style.gridRow = `${y - top + 1} / span ${h}`;
  if (panel.kind === "timeseries") made.style.minHeight = `${Math.max(h * ROW_PX - 10, CHART_PX)}px`;
  if (panel.kind === "table") made.style.maxHeight = `${Math.max(h * ROW_PX, TABLE_PX)}px`;
  made.style.order = String(y * 100 + x);
  at("grid").append(made);
  return { made, body, fault, links, how, bottom: y - top + h, shown: "" };
}

function refresh(held, panel, view) {
  const first = ["customers", "money", "money_per_minute", "amounts"].includes(panel.unit) && panel.kind === "stat";
  held.made.className = `${panel.kind}-panel ${first ? "first " : ""}${panel.kind === "stat" ? `tone-${toneOf(panel)}` : ""}`.trim();
  held.fault.textContent = panel.error ? "✗ query failed: last figures" : "";
  held.fault.title = panel.error;
  held.made.classList.toggle("failed", Boolean(panel.error));
  held.made.classList.toggle("beyond", held.bottom > WALL_ROWS);
  const still = panel.kind === "stat" || panel.kind === "bars" || panel.kind === "text";
  const text = JSON.stringify([panel.content, panel.error, still ? 0 : view, location.search, document.documentElement.dataset.theme]);
  if (text === held.shown) return;
  held.shown = text;
  ways(held, panel);
  const focused = reachable(held.body).indexOf(document.activeElement);
  draw(panel, held.body, view);
  if (focused >= 0 && !held.body.contains(document.activeElement)) reachable(held.body)[focused]?.focus({ preventScroll: true });
  const scrolls = held.body.scrollHeight > held.body.clientHeight + 1;
  if (scrolls) held.body.setAttribute("tabindex", "0");
  else held.body.removeAttribute("tabindex");
}

// What the Tab key reaches: whoever stands there still stands there when new figures are drawn.
function reachable(body) {
  return [...body.querySelectorAll("a, button, [tabindex='0']")];
}

// Where the panel leads: other boards, and how its figure is worked out; a tile has no room for that beside its title.
function ways(held, panel) {
  held.links.replaceChildren(...panel.links.map((link) => element("a", { href: linked(link) }, link.title)));
  held.how.replaceChildren();
  if (!panel.metric || board.board.name === "definitions" || !board.boards.some((one) => one.name === "definitions")) return;
  const made = element("a", { href: address({ board: "definitions", hash: panel.metric }), "aria-label": `How ${panel.title} is worked out` }, panel.kind === "stat" ? "How this is worked out" : "how");
  (panel.kind === "stat" ? held.how : held.links).append(made);
}

function arrived() {
  at("grid").setAttribute("aria-busy", "false");
  const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted) { wanted.scrollIntoView({ block: "center" }); wanted.classList.add("wanted"); }
}

// The address changed: another board starts afresh, another range or theme is drawn into the same panels.
function moved() {
  window.decideTheme();
  const state = here();
  if (`${state.board}?${question(state)}` === asked) {
    if (board) show();
    return;
  }
  if (state.board !== board?.board.name) {
    for (const slug of sections.keys()) forget(slug);
    sections.clear();
    at("grid").replaceChildren();
    board = null;
    scrollTo(0, 0);
  }
  at("grid").setAttribute("aria-busy", "true");
  open();
}

window.addEventListener("moved", moved);
new MutationObserver(() => { window.dispatchEvent(new Event("themed")); if (board) show(); })
  .observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
// A browser keeps six connections to a server: a page that nobody sees gives its own back and only looks now and then.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) open();
  else { stream?.close(); clearTimeout(again); again = setTimeout(glance, GLANCE_MS); }
});

async function glance() {
  if (!document.hidden) return;
  const state = here();
  try {
    const answer = await fetch(`/api/board/${encodeURIComponent(state.board)}?${question(state)}`, { cache: "no-store", signal: AbortSignal.timeout(GLANCE_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    take(await answer.json());
  } catch { lose(); }
  again = setTimeout(glance, GLANCE_MS);
}

setInterval(() => {
  if (answeredAt && !document.hidden && Date.now() - answeredAt > Math.max(QUIET_MS, (board?.refresh_ms ?? 0) * 5)) lose();
  else freshness(board, answeredAt, lost, refused);
}, 1000);
open();
