// The frame around every page: where one can go, who one is, whether the page is live, and the bar of the log.

import { h, setText, swap } from "./dom.js";
import { Palette, PLACES } from "./keys.js";
import { watch } from "./proof.js";
import { formatAgo, formatSpan, formatTime, number, parseMoment, plural, ticks, timeAt } from "./text.js";

const PARENTS = { node: "fleet", document: "documents", request: "history", proposal: "proposals", rollout: "rollouts" };
const WATCH_MS = 300_000;
const TELL_MS = 8_000;
const COUNT_MS = 5_000;

export class Frame {
  #app;
  #over = new AbortController();
  #timers = [];

  constructor(app) {
    this.#app = app;
    const { session } = app.connection;
    this.palette = new Palette(app);
    this.tape = new Tape(app);
    this.links = new Map();
    this.live = h("button.live", { onclick: () => (location.hash = app.href("server")) });
    this.shield = h("a.shield", { href: app.href("proof") }, "Log: checking");
    this.alarm = h("div.alarm", { role: "alert", hidden: true });
    this.past = h("div.banner", { role: "status", hidden: true });
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.message = h("div.toast", { role: "status", hidden: true });
    this.theme = h("button.plain", { onclick: () => app.prefs.nextTheme() });
    this.zone = h("button.plain", { title: "Times in UTC or local (u)", onclick: () => app.prefs.switchTime() });
    const who = h("span.who", { title: `log ${session.log_id}` }, h("strong", session.name), h("span.role", session.role));
    const out = h("button.plain", { onclick: () => app.connection.signOut() }, "Sign out");
    const search = h("button.search", { onclick: () => this.palette.open() }, "Search", h("kbd", "/"));
    this.navigation = h("nav", { "aria-label": "Pages" }, PLACES.map(([page, name]) => this.#link(page, name)));
    this.element = h("div.frame",
      h("a.skip", { href: "#main", onclick: (event) => this.#skip(event) }, "To the content"),
      h("header.top", h("a.brand", { href: "#/fleet" }, "Headwater"), this.navigation,
        h("div.tools", search, this.live, this.shield, this.zone, this.theme, who, out)),
      h("div.notices", this.alarm, this.past), this.main, this.tape.element, this.message);
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

  #follow() {
    const { connection, prefs } = this.#app;
    connection.addEventListener("link", () => this.#drawLive(), this.#over);
    connection.addEventListener("fleet", () => this.#grow(), this.#over);
    connection.addEventListener("change", (event) => this.#grow(event.detail.moved), this.#over);
    prefs.addEventListener("theme", () => this.#drawChoices(), this.#over);
    prefs.addEventListener("time", () => this.#drawChoices(), this.#over);
    this.#timers.push(setInterval(() => this.#tick(), 1_000), setInterval(() => this.watch(), WATCH_MS));
    this.#drawChoices();
    this.#drawLive();
    this.#grow();
    this.watch();
  }

  close() {
    this.#over.abort();
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.counting);
  }

  #grow(moved) {
    const { fleet } = this.#app.connection;
    if (fleet) this.tape.grow(fleet.position);
    if (moved) this.counting ??= setTimeout(() => this.#countOpen(), COUNT_MS);
  }

  #drawChoices() {
    const { prefs } = this.#app;
    const theme = { auto: "Auto", light: "Light", dark: "Dark" }[prefs.theme];
    setText(this.theme, theme);
    this.theme.setAttribute("aria-label", `Colours: ${theme}`);
    setText(this.zone, prefs.local ? "Local" : "UTC");
    this.zone.setAttribute("aria-label", prefs.local ? "Times: local" : "Times: UTC");
  }

  #tick() {
    this.#drawLive();
    for (const ago of this.main.querySelectorAll("time > .ago")) setText(ago, ` ${formatAgo(ago.parentElement.dateTime)}`);
  }

  #drawLive() {
    const { state, since, detail } = this.#app.connection.link;
    const texts = { live: this.#app.at ? "Past" : "Live", connecting: "Connecting", lost: `No connection for ${formatSpan(Date.now() - since)}`, off: "Off" };
    this.live.dataset.state = state;
    this.live.title = state === "lost" ? `${detail} What you see is as it was then; the page tries again by itself.` : `The page ${this.#app.at ? "shows the past" : "follows the log"}`;
    setText(this.live, texts[state]);
  }

  async #countOpen() {
    clearTimeout(this.counting);
    this.counting = null;
    const { count } = this.links.get("proposals");
    try {
      const { items, next } = await this.#app.connection.get("/v1/proposals?state=open");
      count.hidden = items.length === 0;
      setText(count, next ? `${items.length}+` : String(items.length));
    } catch {
      count.hidden = true;
    }
  }

  async watch() {
    try {
      this.drawFinding(await watch((path) => this.#app.connection.get(path)));
    } catch (error) {
      this.drawFinding({ verdict: "unknown", detail: error.message });
    }
  }

  drawFinding({ verdict, detail, now }) {
    // An answer that did not come takes no alarm away.
    if (verdict === "unknown" && this.shield.dataset.verdict === "bad") return;
    const names = { good: "Log verified", bad: "Log altered", unknown: "Log not verified" };
    this.shield.dataset.verdict = verdict;
    this.shield.title = detail || `This browser verified the signature over ${plural(now.size, "event")}, and that the log goes on from what it saw before.`;
    setText(this.shield, names[verdict]);
    this.alarm.hidden = verdict !== "bad";
    if (verdict === "bad") swap(this.alarm, h("strong", "The log is not the one that this browser saw. "), detail, " ", h("a", { href: this.#app.href("proof") }, "What this means"));
  }

  show(route, root) {
    const here = PARENTS[route.page] ?? route.page;
    for (const [page, { link }] of this.links) {
      link.href = this.#app.href(page);
      if (page === here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.shield.href = this.#app.href("proof");
    document.title = `${route.id || PLACES.find(([page]) => page === here)[1]} · Headwater`;
    this.main.replaceChildren(root);
    this.main.scrollTop = 0;
    // What had the focus went with the page before: the keyboard goes on from the new one.
    if (document.activeElement === document.body) this.main.focus({ preventScroll: true });
    this.#drawPast();
    this.#drawLive();
    this.#countOpen();
    this.tape.show();
  }

  #drawPast() {
    const { at } = this.#app;
    this.past.hidden = !at;
    this.element.classList.toggle("in-past", Boolean(at));
    if (!at) return;
    this.past.replaceChildren(this.tape.said,
      "What nodes ran is what the log had noted of them by then, so nobody is offline here. ",
      h("button.plain", { onclick: () => this.#app.travel(null) }, "Back to now", h("kbd", "n")));
  }

  tell(message) {
    clearTimeout(this.telling);
    swap(this.message, message);
    this.message.hidden = false;
    this.telling = setTimeout(() => (this.message.hidden = true), TELL_MS);
  }
}

// The bar of the log: at any place of it the whole console shows the world as it was there.

const TICK_PX = 116;
const SETTLE_MS = 200;
const REFRESH_MS_MIN = 15_000;

export class Tape {
  #app;
  #times = [];
  #timer = null;
  #loaded = 0;
  #end = 1;
  #moment = null;
  #moving = false;

  constructor(app) {
    this.#app = app;
    this.slider = h("input.slider", {
      type: "range", min: "1", max: "1", step: "1", value: "1", "aria-label": "Position in the log",
      oninput: () => this.#preview(), onchange: () => this.#settle(0), onkeydown: (event) => this.#key(event),
    });
    this.scale = h("div.scale", { "aria-hidden": "true" });
    this.field = h("input", {
      type: "text", placeholder: "position or time", "aria-label": "A position, a time or mark:NAME", spellcheck: "false", autocomplete: "off",
      oninput: () => this.#judge(""), onkeydown: (event) => event.key === "Escape" && this.#leave(),
    });
    this.said = h("strong");
    this.what = h("div.moment");
    this.nowButton = h("button.now", { title: "Show the present (n)", onclick: () => this.now() }, "Now");
    const form = h("form", { onsubmit: (event) => this.#typed(event) }, this.field, this.nowButton);
    this.element = h("footer.tape", { "aria-label": "The log" }, this.what, h("div.track", this.slider, this.scale), form);
    new ResizeObserver(() => this.#drawScale()).observe(this.scale);
    app.prefs.addEventListener("time", () => this.#refresh());
  }

  async show() {
    const { at, connection } = this.#app;
    this.#moving = false;
    this.field.setAttribute("aria-invalid", "false");
    // A position is shown at once; what it is in the log, the end of its request and its time, comes a moment later.
    this.#moment = /^\d+$/.test(at ?? "") ? { position: Number(at), at: null } : null;
    this.#refresh();
    if (!at) return;
    try {
      const log = await connection.get(`/v1/log?at=${encodeURIComponent(at)}`);
      if (this.#app.at !== at) return;
      this.#moment = { position: log.position, at: log.at };
      this.#refresh();
    } catch (error) {
      if (this.#app.at === at) setText(this.what, error.message);
    }
  }

  async grow(position) {
    this.#end = Math.max(1, position);
    this.#refresh();
    const now = Date.now();
    if (now - this.#loaded < REFRESH_MS_MIN) return;
    this.#loaded = now;
    try {
      const answer = await this.#app.connection.get("/v1/log/times");
      this.#times = answer.times;
      this.#refresh();
    } catch {
      this.#times = [];
    }
  }

  now() {
    this.#app.travel(null);
  }

  focus() {
    this.field.focus();
    this.field.select();
  }

  #refresh() {
    const past = Boolean(this.#app.at);
    this.element.classList.toggle("past", past);
    this.slider.max = String(this.#end);
    const { position, at } = this.#moment ?? {};
    const time = at ? `, ${formatTime(at, this.#app.prefs.local)}` : "";
    setText(this.said, `You see the past${position ? `: position ${number(position)}${time}` : ""}. `);
    if (this.#moving) return this.#announce();
    if (!past) {
      this.slider.value = String(this.#end);
      this.what.replaceChildren(h("strong", "now"), h("span.quiet", ` position ${number(this.#end)}`));
    } else if (position) {
      this.slider.value = String(position);
      this.what.replaceChildren(h("strong", number(position)), time);
    }
    this.#announce();
    return this.#drawScale();
  }

  #announce() {
    const value = Number(this.slider.value);
    const time = timeAt(this.#times, value);
    this.slider.setAttribute("aria-valuetext", `position ${value}${time ? `, ${formatTime(time, this.#app.prefs.local)}` : ""}`);
    const part = this.#end > 1 ? (value - 1) / (this.#end - 1) : 1;
    this.slider.style.setProperty("--part", `${part * 100}%`);
  }

  #preview() {
    this.#moving = true;
    const value = Number(this.slider.value);
    const time = timeAt(this.#times, value);
    this.what.replaceChildren(h("strong", number(value)), time ? ` about ${formatTime(time, this.#app.prefs.local)}` : "");
    this.#announce();
    this.#settle(SETTLE_MS);
  }

  #settle(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#travel(Number(this.slider.value)), wait);
  }

  #travel(position) {
    this.#moving = false;
    this.#app.travel(position >= this.#end ? null : String(position));
  }

  // The server shows a position inside of a request as the request's end: a step to the left goes below its first position.
  async #key(event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 0.01, PageDown: -0.01 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const from = Number(this.slider.value);
    let size = Number.isInteger(step) ? 1 : Math.max(1, Math.round(this.#end / 100));
    if (step === -1) size = await this.#requestSize(from);
    this.slider.value = String(Math.max(1, Math.min(this.#end, from + Math.sign(step) * size)));
    this.#preview();
  }

  async #requestSize(position) {
    const page = await this.#app.connection.get(`/v1/events?after=${position - 1}&limit=1`);
    return page.items[0]?.ordinal ?? 1;
  }

  #typed(event) {
    event.preventDefault();
    const moment = parseMoment(this.field.value, this.#app.prefs.local);
    this.#judge(moment.problem);
    if (moment.problem) return;
    this.#leave();
    this.#app.travel(moment.at);
  }

  #leave() {
    this.field.value = "";
    this.field.blur();
    this.#judge("");
  }

  #judge(problem) {
    this.field.setAttribute("aria-invalid", String(Boolean(problem)));
    if (problem) this.#app.tell(`That is no moment: ${problem}.`);
    else this.#app.frame.message.hidden = true;
  }

  #drawScale() {
    const width = this.scale.clientWidth;
    if (!width || this.#times.length < 2) return this.scale.replaceChildren();
    const span = Math.max(1, this.#end - 1);
    let free = 0;
    const shown = [];
    for (const tick of ticks(this.#times, Math.floor(width / TICK_PX), this.#app.prefs.local)) {
      const x = ((tick.position - 1) / span) * width;
      if (x < free || x > width - TICK_PX / 2) continue;
      free = x + TICK_PX / 1.6;
      const mark = h("span.tick", tick.label);
      mark.style.left = `${x}px`;
      shown.push(mark);
    }
    return this.scale.replaceChildren(...shown);
  }
}
