// Draws the curves of a report, and lays the bars of issues under the chart of events.
import { use } from "./format.js";
import { chart, forget, refit } from "./chart.js";

const data = JSON.parse(document.getElementById("data").textContent);
const bars = document.getElementById("bars");
use(data.palette);

function draw() {
  for (const { slug, title, unit, series, marks, from, until } of data.panels) {
    forget(slug);
    const panel = { slug, title, unit, thresholds: [], content: { series } };
    chart(panel, document.getElementById(slug), { from, to: until, now: until, marks });
  }
  align();
}

// The bars share the chart's axis of time: they begin and end where its plot does.
function align() {
  const over = document.querySelector("#volume .u-over");
  if (!bars || !over) return;
  const [plot, list] = [over.getBoundingClientRect(), bars.getBoundingClientRect()];
  bars.parentElement.style.setProperty("--left", `${plot.left - list.left}px`);
  bars.parentElement.style.setProperty("--right", `${list.right - plot.right}px`);
}

draw();
new ResizeObserver(() => requestAnimationFrame(align)).observe(document.getElementById("figures"));
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
window.addEventListener("beforeprint", () => { document.documentElement.classList.add("paper"); refit(); align(); });
window.addEventListener("afterprint", () => { document.documentElement.classList.remove("paper"); refit(); align(); });
