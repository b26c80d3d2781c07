// Keys that work on every page. None of them takes a key away from a field, or from the browser.

import { openKeys } from "./palette.js";

const PLACES = { f: "fleet", h: "history", d: "documents", p: "proposals", r: "rollouts", x: "proof", s: "server" };
const SECOND_KEY_MS = 1_500;

export class Keyboard {
  #app;
  #prefix = 0;

  constructor(app) {
    this.#app = app;
    addEventListener("keydown", (event) => this.#take(event));
  }

  #take(event) {
    if (!this.#app.frame) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") return this.#do(event, () => this.#app.frame.palette.open());
    if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target) || document.querySelector("dialog[open]")) return undefined;
    const afterG = performance.now() - this.#prefix < SECOND_KEY_MS;
    this.#prefix = 0;
    if (afterG && PLACES[event.key]) return this.#do(event, () => (location.hash = this.#app.href(PLACES[event.key])));
    if (event.key === "g") this.#prefix = performance.now();
    const act = this.#common(event.key) ?? this.#app.page?.keys?.[event.key];
    return act ? this.#do(event, act) : undefined;
  }

  #common(key) {
    const { frame, prefs } = this.#app;
    return {
      "/": () => frame.palette.open(),
      "?": () => openKeys(),
      t: () => frame.tape.focus(),
      n: () => this.#app.at && frame.tape.now(),
      u: () => prefs.switchTime(),
    }[key];
  }

  #do(event, act) {
    event.preventDefault();
    act(event);
  }
}

// The slider of the log keeps its arrows; letters mean the same there as elsewhere.
function isField(element) {
  return element.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
}
