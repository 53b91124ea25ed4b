// Values -> text and elements. Text always goes in as text, never as markup.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const SIGNS = { good: "✓", warn: "!", bad: "✗", info: "•", plain: "" };
let palette = { states: {}, issues: ["#4E9BD8"] };

export function use(colours) { palette = colours; }

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function number(value, unit) {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value === "string") return value;
  if (unit === "share") return `${one.format(value * 100)}\u00a0%`;
  if (unit === "per_second") return `${Math.abs(value) < 10 ? two.format(value) : one.format(value)}/s`;
  if (unit === "per_minute" || unit === "score") return one.format(value);
  if (unit === "ratio") return two.format(value);
  if (unit === "seconds") return duration(value);
  if (unit === "milliseconds") return Math.abs(value) < 1000 ? `${whole.format(value)} ms` : duration(value / 1000);
  if (unit === "bytes") return bytes(value);
  if (unit === "lag") return value < 1 ? "now" : duration(value);
  if (unit === "money" || unit === "money_per_minute") return money(value, "");
  return Number.isInteger(value) ? whole.format(value) : one.format(value);
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(Math.abs(value), 1)) / 10), units.length - 1);
  return `${one.format(value / 1024 ** power)} ${units[power]}`;
}

// In as many decimals as the currency has; the label says which it is.
export function money(value, currency) {
  if (value === null || value === undefined) return "";
  let digits = 2;
  try {
    if (currency) digits = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  } catch { /* not a currency's code */ }
  return new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function duration(seconds) {
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${one.format(seconds)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function clock(ms, seconds = true) {
  return new Date(ms).toISOString().slice(11, seconds ? 19 : 16);
}

export function day(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

// A time in few letters: with its day unless that is the day of the board's now.
export function moment(ms, now) {
  return now && day(ms) === day(now) ? clock(ms, false) : `${day(ms).slice(5)} ${clock(ms, false)}`;
}

// A time on an axis that spans `width` ms.
export function tick(ms, width) {
  if (width <= 36 * 3600e3) return clock(ms, width < 10 * 60e3);
  return width <= 4 * 86400e3 ? `${day(ms).slice(5)} ${clock(ms, false)}` : day(ms).slice(5);
}

export function shortId(text) {
  const found = /^(i-[0-9a-f]{8})[0-9a-f]+$/.exec(text);
  return found ? found[1] : text;
}

// Issues by the first hex digit of their id, so that each has one colour for ever; other names by all their letters,
// unless the page gives one to them.
export function colourOf(name) {
  if (Object.hasOwn(palette.names ?? {}, name)) return palette.names[name];
  const digit = /^i-([0-9a-f])/.exec(name);
  if (digit) return palette.issues[parseInt(digit[1], 16) % palette.issues.length];
  let sum = 2166136261;
  for (const letter of name) sum = Math.imul(sum ^ letter.codePointAt(0), 16777619);
  return palette.issues[((sum ^ (sum >>> 15)) >>> 0) % palette.issues.length];
}

export function toneOfState(word) {
  return palette.states[word] ?? "plain";
}

export function badge(text) {
  const tone = toneOfState(text);
  return element("span", { class: `badge ${tone}` }, SIGNS[tone] ? element("span", { "aria-hidden": "true" }, `${SIGNS[tone]} `) : "", String(text));
}

export function chips(text) {
  const made = element("span", { class: "chips" });
  for (const pair of String(text).split(", ")) {
    const [name, ...rest] = pair.split(" = ");
    made.append(rest.length
      ? element("span", { class: "chip" }, element("i", {}, `${name} = `), rest.join(" = "))
      : element("span", { class: "chip" }, pair));
  }
  return made;
}

// `✓ text`, `! text`, `✗ text` -> its tone, its sign and what follows.
export function signed(text) {
  const found = /^([✓!✗]) (.*)$/s.exec(String(text ?? ""));
  if (!found) return { tone: "plain", sign: "", text: String(text ?? "") };
  return { tone: { "✓": "good", "!": "warn", "✗": "bad" }[found[1]], sign: found[1], text: found[2] };
}
