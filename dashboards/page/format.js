// Values -> text and elements. Text always goes in as text, never as markup.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const TONES = {
  open: "bad", escalating: "bad", regressed: "bad", recovering: "warn", resolved: "good", "no data": "bad", late: "warn",
  ok: "good", sent: "good", pending: "info", held: "warn", failed: "bad", expired: "warn", unknown: "warn",
  waiting: "warn", gone: "bad", "accepts nothing": "warn",
};

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== "") made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function number(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return `${one.format(value * 100)} %`;
  if (unit === "per_second") return `${value < 10 ? two.format(value) : one.format(value)}/s`;
  if (unit === "per_minute") return one.format(value);
  if (unit === "seconds") return duration(value);
  if (unit === "lag") return value < 1 ? "now" : duration(value);
  return whole.format(value);
}

// In as many decimals as the currency has; the label says which it is.
export function money(value, currency) {
  if (value === null || value === undefined) return "–";
  let digits = 2;
  try {
    digits = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  } catch { /* no currency is named */ }
  return new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function duration(seconds) {
  if (seconds < 1) return "–";
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

export function moment(ms, now, aged) {
  const made = element("span", { title: new Date(ms).toISOString() });
  const same = now && day(ms) === day(now);
  made.append(same ? clock(ms, false) : `${day(ms).slice(5)} ${clock(ms, false)}`);
  if (aged && now && now - ms >= 60000) made.append(element("span", { class: "ago" }, `${duration((now - ms) / 1000)} ago`));
  return made;
}

export function badge(text) {
  return element("span", { class: `badge ${TONES[text] ?? ""}`.trim() }, String(text));
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
