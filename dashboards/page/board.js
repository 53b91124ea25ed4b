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

function section(panel) {
  const body = element("div", { class: "body", tabindex: panel.kind === "table" ? "0" : "" });
  const fault = element("span", { class: "fault" });
  const made = element("section", { id: panel.slug, "aria-label": panel.title },
    element("h2", { title: panel.description }, panel.title, fault), body);
  const { x, y, w, h } = panel.grid;
  made.style.gridColumn = `${x + 1} / span ${w}`;
  made.style.gridRow = `${y + 1} / span ${h}`;
  at("grid").append(made);
  return { made, body, fault, shown: "" };
}

function show(board) {
  const now = board.event_now ? Date.parse(board.event_now) : 0;
  const range = { from: board.from_ms, to: board.to_ms };
  for (const panel of board.panels) {
    if (!sections.has(panel.slug)) sections.set(panel.slug, section(panel));
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
  at("clock").replaceChildren(element("span", {}, "event time "), now ? `${day(now)} ${clock(now)}` : "–");
  choices(board);
  at("grid").setAttribute("aria-busy", "false");
  document.title = `${count(board, "open_issues") || "no"} open issues · cxwatch`;
}

function count(board, slug) {
  const values = board.panels.find((panel) => panel.slug === slug)?.content?.values ?? [];
  return values.length ? Number(values[0].value) : 0;
}

function headline(board) {
  const [issues, affected, silent] = ["open_issues", "affected", "silent"].map((slug) => count(board, slug));
  const costs = board.panels.find((panel) => panel.slug === "per_minute")?.content?.values ?? [];
  const cost = costs.filter((one) => one.value > 0).map((one) => `${number(one.value, "money")} ${one.label}`).join(" + ");
  const parts = [];
  if (board.event_now === null) parts.push("Waiting for the first event.");
  else if (issues === 0) parts.push(element("b", { class: "good" }, "No open issue."), " Nobody is known to suffer right now.");
  else {
    parts.push(element("b", { class: "bad" }, `${issues} open ${issues === 1 ? "issue" : "issues"}`), ": ",
      element("b", {}, number(affected)), affected === 1 ? " customer affected, " : " customers affected, ",
      element("b", { class: "warn" }, number(silent)), " of them silent.");
    if (cost) parts.push(" Every minute costs ", element("b", { class: "bad" }, cost), ".");
  }
  const text = parts.map((part) => part.textContent ?? part).join("");
  if (at("headline").textContent !== text) at("headline").replaceChildren(...parts);
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
    wait = Math.max(wait, 2000);
  }
  freshness();
  timer = setTimeout(refresh, document.hidden ? wait * 5 : wait);
}

window.addEventListener("resize", () => requestAnimationFrame(resize));
document.addEventListener("visibilitychange", () => { if (!document.hidden) { clearTimeout(timer); refresh(); } });
setInterval(freshness, 1000);
refresh();
