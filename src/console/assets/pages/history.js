// The history of the log: who changed what, the newest first.

import { isByPeople, lastOf, number, plural, requestsOf } from "../describe.js";
import { h, swap } from "../dom.js";
import { changes, empty, heading, positionLink, problem, reasonText, when } from "../parts.js";
import { query } from "../route.js";

const WINDOW = 500;
const WANTED = 50;
const WINDOWS_MAX = 8;
const FOLLOW_MS = 1_000;

export function open(app, root, route) {
  return new HistoryPage(app, root, route);
}

class HistoryPage {
  #app;
  #entity;
  #events = [];
  #from = null;
  #next = "";
  #closed = false;
  #timer = null;
  #words = { filter: "", all: false };

  constructor(app, root, route) {
    this.#app = app;
    this.#entity = route.params.entity ?? "";
    this.#words = { filter: route.params.filter ?? "", all: route.params.all === "1" || Boolean(this.#entity) };
    this.field = h("input.filter", { type: "search", value: this.#words.filter, placeholder: "Filter by actor, reason or entity", "aria-label": "Filter of the history", oninput: () => this.#choose() });
    this.all = h("input", { type: "checkbox", checked: this.#words.all, onchange: () => this.#choose() });
    this.body = h("div.stack");
    const title = this.#entity ? `History of ${this.#entity}` : "History";
    root.append(heading(this.#entity && h("a", { href: app.href("history") }, "History"), title, h("p.lead", null, "Who changed what, when and why: each line is one request.")),
      h("div.choices", null, this.field, !this.#entity && h("label.check", null, this.all, "Also reports of nodes, and what the log does by itself")), this.body);
    this.onChange = (event) => !app.at && event.detail.moved && this.#soon();
    this.onTime = () => this.#draw();
    app.connection.addEventListener("change", this.onChange);
    app.prefs.addEventListener("time", this.onTime);
    this.#start();
  }

  get keys() {
    return { f: () => this.field.focus() };
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#app.connection.removeEventListener("change", this.onChange);
    this.#app.prefs.removeEventListener("time", this.onTime);
  }

  reload() {
    this.#soon();
  }

  #choose() {
    this.#words = { filter: this.field.value, all: this.all.checked };
    this.#app.amend({ filter: this.field.value, all: this.all.checked && !this.#entity ? "1" : "" });
    this.#draw();
  }

  async #start() {
    try {
      await (this.#entity ? this.#loadEntity() : this.#loadOlder());
    } catch (error) {
      if (!this.#closed) swap(this.body, problem(error));
    }
  }

  /** An entity has few events, and the API gives them from the first on. */
  async #loadEntity() {
    const { items, more } = await this.#app.connection.list(this.#app.path(`/v1/events?entity=${encodeURIComponent(this.#entity)}`), 4000);
    this.#events = items;
    this.#from = more ? items.at(-1).position : 0;
    this.#draw();
  }

  /** Reads windows of the log backwards, until there is enough to show. */
  async #loadOlder() {
    swap(this.body, h("p.quiet", null, "Loading …"));
    if (this.#from === null) this.#from = (await this.#app.connection.get(this.#app.path("/v1/log"))).position;
    const before = this.#shown().length;
    for (let windows = 0; windows < WINDOWS_MAX && this.#from > 0 && this.#shown().length - before < WANTED; windows += 1) {
      const after = Math.max(0, this.#from - WINDOW);
      const { items } = await this.#app.connection.get(`/v1/events${query({ after, limit: this.#from - after })}`);
      this.#events = [...items, ...this.#events];
      this.#from = after;
    }
    this.#draw();
  }

  #soon() {
    this.#timer ??= setTimeout(() => this.#loadNewer(), FOLLOW_MS);
  }

  async #loadNewer() {
    this.#timer = null;
    if (this.#from === null) return;
    const after = this.#events.at(-1)?.position ?? this.#from;
    try {
      const path = this.#entity ? { entity: this.#entity } : {};
      const { items } = await this.#app.connection.get(`/v1/events${query({ ...path, after, limit: WINDOW })}`);
      if (this.#closed || !items.length) return;
      this.#events.push(...items.filter((event) => event.position > after));
      this.#draw();
      if (items.length === WINDOW) this.#soon();
    } catch (error) {
      if (!this.#closed) this.#app.tell(error.message);
    }
  }

  #shown() {
    const wanted = this.#words.filter.trim().toLowerCase();
    return requestsOf(this.#events).filter((request) => {
      if (!this.#words.all && !isByPeople(request)) return false;
      return !wanted || `${request.actor}\n${request.reason ?? ""}\n${request.events.map((event) => event.entity).join("\n")}`.toLowerCase().includes(wanted);
    });
  }

  #draw() {
    if (this.#closed) return;
    const shown = this.#shown();
    const rows = shown.map((request) => this.#row(request));
    const more = !this.#entity && this.#from > 0;
    swap(this.body,
      rows.length ? h("ol.requests", null, rows) : empty(more ? "Nothing of that kind in the newest part of the log." : "Nothing of that kind is in the log."),
      h("div.choices", null,
        more && h("button", { type: "button", "data-key": "older", onclick: () => this.#start() }, "Show older ones"),
        h("span.quiet", { role: "status" }, `${plural(shown.length, "request")}${this.#from > 0 ? `, since position ${number(this.#from + 1)}` : ", since the beginning of the log"}`)));
  }

  #row(request) {
    const last = lastOf(request);
    return h("li", null,
      h("span", null, positionLink(this.#app, last)),
      h("span", null, h("strong.actor", null, request.actor), h("br"), h("span.quiet", null, when(this.#app, request.at))),
      h("span.stack", null, reasonText(request.reason), h("span.quiet", null, changes(this.#app, request.events))));
  }
}
