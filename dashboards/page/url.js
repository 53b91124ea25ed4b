// The page's state is its address: board, range, variables, theme, wall. Names as in Grafana: from, to, var-<name>.

export function here() {
  const query = new URLSearchParams(location.search);
  const variables = {};
  for (const [name, value] of query) {
    if (name.startsWith("var-")) (variables[name.slice(4)] ??= []).push(value);
  }
  return {
    board: decodeURIComponent(location.pathname.slice(1)), from: query.get("from") ?? "", to: query.get("to") ?? "",
    variables, theme: query.get("theme") ?? "", wall: query.get("wall") ?? "",
  };
}

// What the server is asked: board, range and variables only.
export function question(state) {
  return query({ ...state, theme: "", wall: "" });
}

// The address of a changed state; what is not named stays. Variables are merged: an empty list takes one away.
export function address(changes = {}) {
  const state = here();
  const variables = { ...state.variables, ...changes.variables };
  const next = { ...state, ...changes, variables };
  const text = query(next);
  return `/${encodeURIComponent(next.board)}${text ? `?${text}` : ""}${next.hash ? `#${encodeURIComponent(next.hash)}` : ""}`;
}

// A link of a panel or of a row: it takes values of the row with it and keeps everything else.
export function linked(link, row = {}) {
  const variables = {};
  for (const [variable, column] of link.variables ?? []) {
    if (row[column] !== null && row[column] !== undefined) variables[variable] = [String(row[column])];
  }
  const board = link.board ? link.board.replace(/^cx-/, "") : here().board;
  const [from, to] = (link.span ?? []).map((column) => row[column]);
  return address(from && to ? { board, variables, from: String(from), to: String(to) } : { board, variables });
}

function query(state) {
  const made = new URLSearchParams();
  if (state.from) { made.set("from", state.from); made.set("to", state.to || "now"); }
  for (const [name, values] of Object.entries(state.variables)) for (const value of values) made.append(`var-${name}`, value);
  if (state.theme) made.set("theme", state.theme);
  if (state.wall) made.set("wall", state.wall);
  return made.toString();
}

export function go(target, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", target);
  window.dispatchEvent(new Event("moved"));
}

// Links within the board change the address and keep the page, unless they are opened elsewhere.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
window.addEventListener("popstate", () => window.dispatchEvent(new Event("moved")));
