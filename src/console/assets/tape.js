// The bar of the log at the foot of every page. Its axis is the position; at any place of it the whole console shows the world
// as the log has it there.

import { number } from "./describe.js";
import { h, setText } from "./dom.js";
import { formatTime, parseMoment, ticks, timeAt } from "./times.js";

const POINTS = 200;
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

  constructor(app) {
    this.#app = app;
    this.slider = h("input.slider", {
      type: "range", min: "1", max: "1", step: "1", value: "1", "aria-label": "Position in the log",
      oninput: () => this.#preview(), onchange: () => this.#settle(0), onkeydown: (event) => this.#key(event),
    });
    this.scale = h("div.scale", { "aria-hidden": "true" });
    this.field = h("input", {
      type: "text", placeholder: "position or time", "aria-label": "A position, a time or mark:NAME", spellcheck: "false", autocomplete: "off",
    });
    this.what = h("output.moment", { "aria-live": "polite" });
    this.nowButton = h("button.now", { type: "button", title: "Show the present (n)", onclick: () => this.now() }, "Now");
    const form = h("form", { onsubmit: (event) => this.#typed(event) }, this.field, this.nowButton);
    this.element = h("footer.tape", { "aria-label": "The log" }, this.what, h("div.track", null, this.slider, this.scale), form);
    new ResizeObserver(() => this.#drawScale()).observe(this.scale);
    app.prefs.addEventListener("time", () => this.#refresh());
  }

  /** Shows the moment that the console shows. Asks the log which position a time or a mark is. */
  async show() {
    const { at, connection } = this.#app;
    this.field.setAttribute("aria-invalid", "false");
    if (!at) this.#moment = null;
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

  /** The log has another end. */
  async grow(position) {
    this.#end = Math.max(1, position);
    this.#refresh();
    const now = Date.now();
    if (now - this.#loaded < REFRESH_MS_MIN) return;
    this.#loaded = now;
    try {
      const answer = await this.#app.connection.get(`/v1/log/times?from=1&points=${POINTS}`);
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
    this.nowButton.hidden = !past;
    this.slider.max = String(this.#end);
    if (!past) {
      this.slider.value = String(this.#end);
      this.what.replaceChildren(h("strong", null, "now"), h("span.quiet", null, ` position ${number(this.#end)}`));
    } else if (this.#moment) {
      this.slider.value = String(this.#moment.position);
      this.what.replaceChildren(h("strong", null, number(this.#moment.position)), ` ${formatTime(this.#moment.at, this.#app.prefs.local)}`);
    }
    this.#announce();
    this.#drawScale();
  }

  #announce() {
    const value = Number(this.slider.value);
    const time = timeAt(this.#times, value);
    this.slider.setAttribute("aria-valuetext", `position ${value}${time ? `, ${formatTime(time, this.#app.prefs.local)}` : ""}`);
    const part = this.#end > 1 ? (value - 1) / (this.#end - 1) : 1;
    this.slider.style.setProperty("--part", `${part * 100}%`);
  }

  // While the slider moves only the numbers change; the world is asked for when it rests.
  #preview() {
    const value = Number(this.slider.value);
    const time = timeAt(this.#times, value);
    this.what.replaceChildren(h("strong", null, number(value)), time ? ` about ${formatTime(time, this.#app.prefs.local)}` : "");
    this.#announce();
    this.#settle(SETTLE_MS);
  }

  #settle(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#travel(Number(this.slider.value)), wait);
  }

  #travel(position) {
    this.#app.travel(position >= this.#end ? null : String(position));
  }

  // The server shows a position inside of a request as the request's end. So one step to the right of an end is the next
  // request, and a step to the left goes below the first position of the request that is shown.
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
    this.field.setAttribute("aria-invalid", String("problem" in moment));
    if ("problem" in moment) this.#app.tell(`That is no moment: ${moment.problem}.`);
    else {
      this.field.value = "";
      this.field.blur();
      this.#app.travel(moment.at);
    }
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
      const mark = h("span.tick", null, tick.label);
      mark.style.left = `${x}px`;
      shown.push(mark);
    }
    return this.scale.replaceChildren(...shown);
  }
}
