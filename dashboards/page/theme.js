// Before anything is drawn: dark or light, as the address says, else as the system says; and the wall's large type.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  window.decideTheme = () => {
    const query = new URLSearchParams(location.search);
    const wanted = query.get("theme");
    document.documentElement.dataset.theme = wanted === "dark" || wanted === "light" ? wanted : system.matches ? "dark" : "light";
    document.documentElement.classList.toggle("wall", query.get("wall") === "1");
  };
  system.addEventListener("change", window.decideTheme);
  window.decideTheme();
})();
