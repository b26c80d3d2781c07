// What a reader chose for this browser: the colours, and whether times are local.

const THEMES = ["auto", "light", "dark"];

export class Preferences extends EventTarget {
  theme = stored("headwater-theme", "auto");
  local = stored("headwater-time", "utc") === "local";

  /** Goes on to the next of the three: as the system has it, light, dark. */
  nextTheme() {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
    document.documentElement.dataset.theme = this.theme;
    keep("headwater-theme", this.theme);
    this.dispatchEvent(new Event("theme"));
  }

  switchTime() {
    this.local = !this.local;
    keep("headwater-time", this.local ? "local" : "utc");
    this.dispatchEvent(new Event("time"));
  }
}

// A browser that forbids storage still shows everything.
function stored(key, otherwise) {
  try {
    return localStorage.getItem(key) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}
