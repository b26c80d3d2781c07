// The history of the log: who changed what, the newest first.

import { takingBack } from "../action.js";
import { h, lazy, swap } from "../dom.js";
import { badge } from "../nodes.js";
import {
  changes, command, digest, documentDiff, empty, entityLink, facts, heading, livePage, nodeLink, positionLink,
  problem, reasonText, section, thingHeading, when,
} from "../parts.js";
import { apiPath, commandLine, eventText, isByPeople, lastOf, number, plural, query, requestsOf } from "../text.js";

const WINDOW = 500;
const WANTED = 50;
const WINDOWS_MAX = 10;
const PAGE = 1_000;
const FOLLOW_MS = 1_000;

export function openHistory(app, root, route) {
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
    root.append(heading(title, "Who changed what, when and why: each line is one request.", this.#entity && h("a", { href: app.href("history") }, "History")),
      h("div.choices", this.field, !this.#entity && h("label.check", this.all, "Also reports of nodes, and what the log does by itself")), this.body);
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
      swap(this.body, h("p.quiet", "Loading …"));
      this.#from ??= (await this.#app.get("/v1/log")).position;
      await this.#loadOlder();
      this.#draw();
    } catch (error) {
      if (!this.#closed) swap(this.body, problem(error));
    }
  }

  /** Reads windows of the log backwards, until there is enough to show. */
  async #loadOlder() {
    const before = this.#shown().length;
    let size = WINDOW;
    for (let windows = 0; windows < WINDOWS_MAX && this.#from > 0 && this.#shown().length - before < WANTED; windows += 1) {
      const after = Math.max(0, this.#from - size);
      const limit = this.#entity ? PAGE : this.#from - after;
      const { items } = await this.#app.connection.get(`/v1/events${query({ entity: this.#entity, after, limit })}`);
      if (items.length === PAGE && items.at(-1).position < this.#from) size = Math.ceil(size / 8);
      else {
        this.#events = [...items.filter((event) => event.position <= this.#from), ...this.#events];
        this.#from = after;
        if (this.#entity) size *= 8;
      }
    }
  }

  #soon() {
    this.#timer ??= setTimeout(() => this.#loadNewer(), FOLLOW_MS);
  }

  async #loadNewer() {
    this.#timer = null;
    if (this.#from === null) return;
    const after = this.#events.at(-1)?.position ?? this.#from;
    try {
      const { items } = await this.#app.connection.get(`/v1/events${query({ entity: this.#entity, after, limit: WINDOW })}`);
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
    const more = this.#from > 0;
    swap(this.body,
      rows.length ? h("ol.requests", rows) : empty(more ? "Nothing of that kind in the newest part of the log." : "Nothing of that kind is in the log."),
      h("div.choices",
        more && h("button", { "data-key": "older", onclick: () => this.#start() }, "Show older ones"),
        h("span.quiet", { role: "status" }, `${plural(shown.length, "request")}${this.#from > 0 ? `, since position ${number(this.#from + 1)}` : ", since the beginning of the log"}`)));
  }

  #row(request) {
    const last = lastOf(request);
    return h("li",
      h("span", positionLink(this.#app, last)),
      h("span", h("strong.actor", request.actor), h("br"), h("span.quiet", when(this.#app, request.at))),
      h("span.stack", reasonText(request.reason), h("span.quiet", changes(this.#app, request.events))));
  }
}

// A request: who sent it, why, what it changed, and on which nodes.

const NODES_MAX = 200;
const OPEN_MAX = 3;
const REQUEST_PAUSE_MS = 5_000;

export function openRequest(app, root, route) {
  let done = null;
  const page = livePage(app, root, {
    load: async () => {
      const answer = await loadRequest(app, route.id);
      // Asked for once, and again after something was sent from here.
      done ??= app.mayWrite && !ofReports(answer.impact) && app.connection.post("/v1/reverts", { command_id: answer.impact.command_id }).then(({ request }) => !request, () => false);
      return { ...answer, done: await done };
    },
    draw: (answer) => drawRequest(app, answer),
    pause: REQUEST_PAUSE_MS,
    concerns: (change) => change.rows.length > 0,
  });
  return { ...page, reload: () => page.reload(done = null) };
}

const ofReports = (impact) => impact.events.every((event) => event.type === "ReportChanged");

async function loadRequest(app, id) {
  const impact = await app.connection.get(apiPath("impact", id));
  const first = impact.events[0].position;
  const { items } = await app.connection.get(`/v1/events?after=${first - 1}&limit=${Math.min(1000, impact.events.length)}`);
  // What its nodes are now is part of the page, so that it shows whether the change arrived.
  const states = !app.at && impact.nodes.slice(0, NODES_MAX).map(({ node }) => app.connection.fleet?.rows.get(node)?.state ?? "");
  return { impact, events: items.filter((event) => event.command_id === impact.command_id), states };
}

function drawRequest(app, { impact, events, states, done }) {
  const [, verb, back] = /^(undo|revert to) ([0-9a-f-]{36}|\d+)\b/.exec(impact.reason) ?? [];
  const first = impact.events[0].position;
  const documents = events.filter((event) => event.entity.startsWith("document/"));
  return [
    thingHeading(app, "history", reasonText(impact.reason), !ofReports(impact) && h("div.buttons", done ? h("span.quiet", "Nothing of it is left to take back.") : takingBack(app, impact.command_id))),
    facts(["Sent by", h("strong", impact.actor)], ["When", when(app, impact.at)],
      ["Positions", first === impact.position ? number(first) : `${number(first)} to ${number(impact.position)}`], ["Request", h("code", impact.command_id)],
      back && ["Takes back", h("a", { href: app.href("request", back) }, verb === "undo" ? back : `all since ${back}`)]),
    documents.length > 0 && section("What it changed in documents", null, h("div.stack", documents.slice(0, 50).map((event, index) => drawPut(app, event, first, impact.position, index < OPEN_MAX))),
      documents.length > 50 && h("p.quiet", `and ${plural(documents.length - 50, "more document")}`)),
    drawNodes(app, impact, states),
    drawEvents(app, events, impact),
    command(Number(app.at ?? 0) < impact.position ? commandLine("impact", impact.command_id) : app.line("impact", impact.command_id)),
  ];
}

function drawPut(app, event, first, last, open) {
  const id = event.entity.slice("document/".length);
  const load = async () => (await documentDiff(app, id, first - 1, last)).drawn;
  const part = lazy(`document-${event.position}`, [h("span", eventText(event)), event.data?.path && h("code", event.data.path), h("span.push", `version ${event.version}`)], load);
  part.open = open;
  return h("div", part);
}

function drawNodes(app, impact, states) {
  const { nodes, unchanged, jobs } = impact;
  if (!nodes.length && !unchanged.length && !jobs.length) return section("Nodes", null, empty("It changed no file on any node."));
  const rows = nodes.slice(0, NODES_MAX).map(({ node, before, after }, index) =>
    h("tr", h("td.tight", nodeLink(app, node)), states && h("td.tight", states[index] ? badge(states[index]) : h("span.quiet", "not enrolled")), h("td", digest(before), " → ", digest(after))));
  return section("Nodes", nodes.length ? `files changed on ${plural(nodes.length, "node")}` : "no files changed",
    rows.length > 0 && h("div.scrollable", h("table.plaintable",
      h("thead", h("tr", h("th", { scope: "col" }, "Node"), states && h("th", { scope: "col" }, "Now"), h("th", { scope: "col" }, "Record before → after"))), h("tbody", rows))),
    nodes.length > NODES_MAX && h("p.quiet", `and ${plural(nodes.length - NODES_MAX, "more node")}`),
    unchanged.length > 0 && h("p.quiet", `${plural(unchanged.length, "node")} got another position with the same files.`),
    jobs.length > 0 && h("p", `Specs of ${plural(jobs.length, "job")} changed.`));
}

function drawEvents(app, events, impact) {
  return section("Events", plural(impact.events.length, "event"),
    h("div.stack", events.slice(0, 100).map((event) =>
      h("details", { "data-key": `event-${event.position}` },
        h("summary", h("span.position", number(event.position)), h("strong", event.type), event.entity, h("span.push", `version ${event.version}`)),
        h("div.inside", h("pre.raw", { tabindex: "0" }, JSON.stringify(event.data, null, 2)),
          facts(["About", entityLink(app, event.entity)], ["Leaf", h("code", event.leaf)]), h("p", h("a.button", { href: app.href("proof", String(event.position)) }, "Prove that it is in the log")))))),
    events.length > 100 && h("p.quiet", "The first hundred are shown. ", positionLink(app, impact.position, "The last one")));
}
