// Runs before the first paint, so that a dark page is never white.
try {
  document.documentElement.dataset.theme = localStorage.getItem("headwater-theme") || "auto";
} catch {
  document.documentElement.dataset.theme = "auto";
}
