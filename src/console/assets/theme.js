// Runs before the first paint, so that a reader who chose the dark page sees no white one.
try {
  document.documentElement.dataset.theme = localStorage.getItem("headwater-theme") || "auto";
} catch {
  document.documentElement.dataset.theme = "auto";
}
