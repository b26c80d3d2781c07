// The frame around every page: where one can go, who one is, whether the page is live, and the bar of the log.

import { plural } from "./describe.js";
import { h, setText } from "./dom.js";
import { Palette } from "./palette.js";
import { Tape } from "./tape.js";
import { formatSpan } from "./times.js";
import { watch } from "./witness.js";

const NAVIGATION = [
  ["fleet", "Fleet"], ["history", "History"], ["documents", "Documents"], ["proposals", "Proposals"], ["rollouts", "Rollouts"],
  ["proof", "Proof"], ["server", "Server"],
];
const PARENTS = { node: "fleet", document: "documents", request: "history", proposal: "proposals", rollout: "rollouts" };
const THEME_NAMES = { auto: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };
const WATCH_MS = 300_000;
const TELL_MS = 8_000;

export class Frame {
  #app;
  #listeners = [];
  #timers = [];

  constructor(app) {
    this.#app = app;
    const { session } = app.connection;
    this.palette = new Palette(app);
    this.tape = new Tape(app);
    this.links = new Map();
    this.live = h("button.live", { type: "button", onclick: () => (location.hash = app.href("server")) });
    this.shield = h("a.shield", { href: app.href("proof") }, "Log: checking");
    this.alarm = h("div.alarm", { role: "alert", hidden: true });
    this.past = h("div.banner", { role: "status", hidden: true });
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.message = h("div.toast", { role: "status", hidden: true });
    this.theme = h("button.plain", { type: "button", onclick: () => app.prefs.nextTheme() });
    this.zone = h("button.plain", { type: "button", title: "Times in UTC or local (u)", onclick: () => app.prefs.switchTime() });
    const who = h("span.who", { title: `log ${session.log_id}` }, h("strong", null, session.name), h("span.role", null, session.role));
    const out = h("button.plain", { type: "button", onclick: () => app.connection.signOut() }, "Sign out");
    const search = h("button.search", { type: "button", onclick: () => this.palette.open() }, "Search", h("kbd", null, "/"));
    this.navigation = h("nav", { "aria-label": "Pages" }, NAVIGATION.map(([page, name]) => this.#link(page, name)));
    this.element = h("div.frame", null,
      h("a.skip", { href: "#main", onclick: (event) => this.#skip(event) }, "To the content"),
      h("header.top", null, h("a.brand", { href: "#/fleet" }, "Headwater"), this.navigation,
        h("div.tools", null, search, this.live, this.shield, this.zone, this.theme, who, out)),
      h("div.notices", null, this.alarm, this.past), this.main, this.tape.element, this.message);
    this.#follow();
  }

  #link(page, name) {
    const count = h("span.count", { hidden: true });
    const link = h("a", { href: this.#app.href(page) }, name, count);
    this.links.set(page, { link, count });
    return link;
  }

  #skip(event) {
    event.preventDefault();
    this.main.focus();
  }

  #on(target, type, act) {
    target.addEventListener(type, act);
    this.#listeners.push(() => target.removeEventListener(type, act));
  }

  #follow() {
    const { connection, prefs } = this.#app;
    this.#on(connection, "link", () => this.#drawLive());
    this.#on(connection, "fleet", () => this.#grow());
    this.#on(connection, "change", () => this.#grow());
    this.#on(prefs, "theme", () => this.#drawChoices());
    this.#on(prefs, "time", () => this.#drawChoices());
    this.#timers.push(setInterval(() => this.#drawLive(), 1_000), setInterval(() => this.watch(), WATCH_MS));
    this.#drawChoices();
    this.#drawLive();
    this.#grow();
    this.watch();
    this.#countOpen();
  }

  close() {
    for (const end of this.#listeners) end();
    for (const timer of this.#timers) clearInterval(timer);
  }

  #grow() {
    const { fleet } = this.#app.connection;
    if (fleet) this.tape.grow(fleet.position);
  }

  #drawChoices() {
    const { prefs } = this.#app;
    setText(this.theme, { auto: "Auto", light: "Light", dark: "Dark" }[prefs.theme]);
    this.theme.setAttribute("aria-label", THEME_NAMES[prefs.theme]);
    this.theme.title = THEME_NAMES[prefs.theme];
    setText(this.zone, prefs.local ? "Local" : "UTC");
    this.zone.setAttribute("aria-label", prefs.local ? "Times: local" : "Times: UTC");
  }

  #drawLive() {
    const { state, since, detail } = this.#app.connection.link;
    const texts = { live: "Live", connecting: "Connecting", lost: `No connection for ${formatSpan(Date.now() - since)}`, off: "Off" };
    this.live.dataset.state = state;
    this.live.title = state === "lost" ? `${detail}. What you see is as it was then; the page tries again by itself.` : "The page follows the log";
    setText(this.live, texts[state]);
  }

  // The numbers beside Proposals and Rollouts are what waits for a person.
  async #countOpen() {
    for (const [page, path] of [["proposals", "/v1/proposals?state=open&limit=100"]]) {
      try {
        const { items, next } = await this.#app.connection.get(path);
        const { count } = this.links.get(page);
        count.hidden = items.length === 0;
        setText(count, next ? `${items.length}+` : String(items.length));
      } catch {
        this.links.get(page).count.hidden = true;
      }
    }
  }

  /** Compares the log with what this browser saw of it before. */
  async watch() {
    try {
      const finding = await watch((path) => this.#app.connection.get(path));
      this.finding = finding;
      this.drawFinding(finding);
    } catch (error) {
      this.drawFinding({ verdict: "unknown", detail: error.message });
    }
  }

  drawFinding({ verdict, detail, now }) {
    const names = { good: "Log verified", bad: "Log altered", unknown: "Log not verified" };
    this.shield.dataset.verdict = verdict;
    this.shield.title = detail || `This browser verified the signature over ${plural(now.size, "event")}, and that the log goes on from what it saw before.`;
    setText(this.shield, names[verdict]);
    this.alarm.hidden = verdict !== "bad";
    if (verdict === "bad") this.alarm.replaceChildren(h("strong", null, "The log is not the one that this browser saw. "), detail, " ", h("a", { href: this.#app.href("proof") }, "What this means"));
  }

  /** Shows a page. */
  show(route, root) {
    const here = PARENTS[route.page] ?? route.page;
    for (const [page, { link }] of this.links) {
      link.href = this.#app.href(page);
      if (page === here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.shield.href = this.#app.href("proof");
    document.title = `${route.id || NAVIGATION.find(([page]) => page === here)[1]} · Headwater`;
    this.main.replaceChildren(root);
    this.main.scrollTop = 0;
    this.#drawPast();
    this.tape.show();
  }

  #drawPast() {
    const { at } = this.#app;
    this.past.hidden = !at;
    this.element.classList.toggle("in-past", Boolean(at));
    if (!at) return;
    this.past.replaceChildren(h("strong", null, "You see the past. "),
      "What nodes ran is what the log had noted of them by then, so nobody is offline here. ",
      h("button.plain", { type: "button", onclick: () => this.#app.travel(null) }, "Back to now", h("kbd", null, "n")));
  }

  /** Says something for a few seconds. */
  tell(message) {
    clearTimeout(this.telling);
    this.message.replaceChildren(...message);
    this.message.hidden = false;
    this.telling = setTimeout(() => (this.message.hidden = true), TELL_MS);
  }
}
