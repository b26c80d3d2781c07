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
const PAGES_MAX = 8;
const PAGE = 1_000;
const FOLLOW_MS = 1_000;
const REQUESTS_MAX = 2_000;

export function openHistory(app, root, route) {
  return new HistoryPage(app, root, route);
}

/** All events of a window, null if they are too many. A server ends a page also where it has enough bytes, and says so in `next`. */
export async function readWindow(get, entity, after, to) {
  const found = [];
  for (let pages = 0, from = after; pages < PAGES_MAX; pages += 1) {
    const { items, next } = await get(`/v1/events${query({ entity, after: from, limit: Math.min(PAGE, to - from) })}`);
    found.push(...items.filter((event) => event.position <= to));
    from = Number(next);
    if (next === null || from >= to) return found;
  }
  return null;
}

class HistoryPage {
  #app;
  #entity;
  #events = [];
  // The part of the log that was read: after the first position, up to the second.
  #from = null;
  #to = 0;
  #over = new AbortController();
  #timer = null;
  #loading = Promise.resolve();
  #print = "";

  constructor(app, root, route) {
    this.#app = app;
    this.#entity = route.params.entity ?? "";
    this.field = h("input.filter", { type: "search", value: route.params.filter ?? "", placeholder: "Filter by actor, reason or entity", "aria-label": "Filter of the history", oninput: () => this.#choose() });
    this.all = h("input", { type: "checkbox", checked: route.params.all === "1" || Boolean(this.#entity), onchange: () => this.#choose(true) });
    this.body = h("div.stack", h("p.quiet", "Loading …"));
    const title = this.#entity ? `History of ${this.#entity}` : "History";
    root.append(heading(title, "Who changed what, when and why: each line is one request.", this.#entity && h("a", { href: app.href("history") }, "History")),
      h("div.choices", this.field, !this.#entity && h("label.check", this.all, "Also reports of nodes, and what the log does by itself")), this.body);
    app.connection.addEventListener("change", ({ detail }) => !app.at && detail.moved && this.reload(), this.#over);
    app.prefs.addEventListener("time", () => this.#draw((this.#print = "")), this.#over);
    this.#run(() => this.#loadOlder());
  }

  get keys() {
    return { f: () => this.field.focus() };
  }

  close() {
    this.#over.abort();
    clearTimeout(this.#timer);
  }

  reload() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#run(() => this.#loadNewer());
    }, FOLLOW_MS);
  }

  #choose(anew = false) {
    this.#app.amend({ filter: this.field.value, all: this.all.checked && !this.#entity ? "1" : "" });
    if (!anew) return this.#draw();
    // What the choice hid was not kept.
    return this.#run(() => {
      [this.#events, this.#from] = [[], null];
      return this.#loadOlder();
    });
  }

  /** One load after the other: two at once would read the same events. */
  #run(load) {
    this.#loading = this.#loading.then(() => this.#closed || load()).then(() => this.#draw(), (error) => this.#fail(error));
  }

  #fail(error) {
    if (this.#closed) return;
    if (this.#print) this.#app.tell(error.message);
    else swap(this.body, problem(error));
  }

  async #loadOlder() {
    const { connection, at } = this.#app;
    if (this.#from === null) {
      // Of several servers, another one may have told of later events.
      const { position } = await this.#app.get("/v1/log");
      this.#from = this.#to = Math.max(position, at ? 0 : connection.fleet?.position ?? 0);
    }
    const before = this.#shown().length;
    let size = WINDOW;
    for (let windows = 0; windows < WINDOWS_MAX && this.#from > 0 && this.#shown().length - before < WANTED; windows += 1) {
      const after = Math.max(0, this.#from - size);
      const found = await readWindow((path) => connection.get(path), this.#entity, after, this.#from);
      if (!found) size = Math.ceil(size / 8);
      else {
        this.#events.unshift(...this.#kept(found));
        this.#from = after;
        if (this.#entity && found.length < WANTED) size *= 8;
      }
    }
  }

  async #loadNewer() {
    if (this.#from === null) return;
    const { items, next } = await this.#app.connection.get(`/v1/events${query({ entity: this.#entity, after: this.#to, limit: WINDOW })}`);
    if (!items.length) return;
    this.#events.push(...this.#kept(items));
    this.#to = items.at(-1).position;
    const [dropped] = requestsOf(this.#events).slice(REQUESTS_MAX);
    if (dropped) {
      this.#from = lastOf(dropped);
      this.#events = this.#events.filter((event) => event.position > this.#from);
    }
    if (next !== null) this.reload();
  }

  /** Of each event what a line shows; what the choice hides is not kept at all. */
  #kept(events) {
    const shown = events.filter((event) => this.all.checked || isByPeople(event));
    return shown.map(({ position, command_id, actor, reason, at, type, entity }) => ({ position, command_id, actor, reason, at, type, entity }));
  }

  #shown() {
    const wanted = this.field.value.trim().toLowerCase();
    const fits = (request) => `${request.actor}\n${request.reason ?? ""}\n${request.events.map((event) => event.entity).join("\n")}`.toLowerCase().includes(wanted);
    return requestsOf(this.#events).filter(fits);
  }

  #draw() {
    if (this.#closed || this.#from === null) return;
    const shown = this.#shown();
    const print = JSON.stringify([this.#from, shown.map((request) => [request.command_id, request.events.length])]);
    if (print === this.#print) return;
    this.#print = print;
    const rows = shown.map((request) => this.#row(request));
    const more = this.#from > 0 && shown.length < REQUESTS_MAX;
    swap(this.body,
      rows.length ? h("ol.requests", rows) : empty(this.#from > 0 ? "Nothing of that kind in the newest part of the log." : "Nothing of that kind is in the log."),
      h("div.choices",
        more && h("button", { "data-key": "older", onclick: () => this.#run(() => this.#loadOlder()) }, "Show older ones"),
        h("span.quiet", { role: "status" }, `${plural(shown.length, "request")}, since ${this.#from > 0 ? `position ${number(this.#from + 1)}` : "the beginning of the log"}`)));
  }

  get #closed() {
    return this.#over.signal.aborted;
  }

  #row(request) {
    const last = lastOf(request);
    return h("li",
      h("span", positionLink(this.#app, last)),
      h("span", h("strong.actor", request.actor), h("br"), h("span.quiet", when(this.#app, request.at))),
      h("span.stack", reasonText(request.reason), h("span.quiet", changes(this.#app, request.events))));
  }
}

const NODES_MAX = 200;
const OPEN_MAX = 3;
const EVENTS_SHOWN = 100;
const REQUEST_PAUSE_MS = 5_000;

export function openRequest(app, root, route) {
  let [known, done] = [null, null];
  const page = livePage(app, root, {
    load: async () => {
      // What a request changed stays so for ever: it is asked for once.
      known ??= await loadRequest(app, route.id);
      const { impact } = known;
      done ??= app.mayWrite && !ofReports(impact) && app.connection.post("/v1/reverts", { command_id: impact.command_id }).then(({ request }) => !request, () => false);
      const states = !app.at && impact.nodes.slice(0, NODES_MAX).map(({ node }) => app.connection.fleet?.rows.get(node)?.state ?? "");
      return { states, done: await done };
    },
    draw: (answer) => drawRequest(app, { ...known, ...answer }),
    pause: REQUEST_PAUSE_MS,
    concerns: (change) => change.rows.length > 0,
  });
  return { ...page, reload: () => page.reload(done = null) };
}

const ofReports = (impact) => impact.events.every((event) => event.type === "ReportChanged");

async function loadRequest(app, id) {
  const impact = await app.connection.get(apiPath("impact", id));
  const { items } = await app.connection.get(`/v1/events${query({ after: impact.events[0].position - 1, limit: Math.min(EVENTS_SHOWN, impact.events.length) })}`);
  return { impact, events: items };
}

function drawRequest(app, { impact, events, states, done }) {
  const [, verb, back] = /^(undo|revert to) ([0-9a-f-]{36}|\d+)\b/.exec(impact.reason) ?? [];
  const first = impact.events[0].position;
  const known = new Map(events.map((event) => [event.position, event]));
  const documents = impact.events.filter((event) => event.entity.startsWith("document/")).map((event) => known.get(event.position) ?? event);
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
  const load = async () => (await documentDiff(app, id, first - 1, last)).draw();
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
    h("div.stack", events.map((event) =>
      h("details", { "data-key": `event-${event.position}` },
        h("summary", h("span.position", number(event.position)), h("strong", event.type), event.entity, h("span.push", `version ${event.version}`)),
        h("div.inside", h("pre.raw", { tabindex: "0" }, JSON.stringify(event.data, null, 2)),
          facts(["About", entityLink(app, event.entity)], ["Leaf", h("code", event.leaf)]), h("p", h("a.button", { href: app.href("proof", String(event.position)) }, "Prove that it is in the log")))))),
    events.length < impact.events.length && h("p.quiet", `The first ${number(events.length)} are shown. `, positionLink(app, impact.position, "The last one")));
}
