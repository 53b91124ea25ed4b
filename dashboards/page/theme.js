// Before anything is drawn: dark or light, as the address says, else as the system says; paper is light; and the wall's
// large type.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const paper = window.matchMedia("print");
  window.decideTheme = () => {
    const query = new URLSearchParams(location.search);
    const wanted = query.get("theme");
    document.documentElement.dataset.theme = paper.matches ? "light" : wanted === "dark" || wanted === "light" ? wanted : system.matches ? "dark" : "light";
    document.documentElement.classList.toggle("wall", query.get("wall") === "1");
  };
  for (const media of [system, paper]) media.addEventListener("change", window.decideTheme);
  window.decideTheme();
})();
