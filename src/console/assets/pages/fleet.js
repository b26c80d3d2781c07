// The fleet: how many nodes are in which state, what is wrong and since which change, and every node in a table.

import { Attention } from "./attention.js";
import { h, setText, swap, VirtualList } from "../dom.js";
import { Fleet, labelText, ORDER, parseFilter, rank, select, shape, STATES, termValue, withTerm } from "../nodes.js";
import { command, problem } from "../parts.js";
import { formatRoute, formatSpan, formatTime, number, plural, printable } from "../text.js";

const ROW_PX = 38;
const REFRESH_MS_MIN = 250;
const CLOCK_MS = 10_000;
const HOLD_MS = 4_000;
const COLUMNS = [["id", "Node"], ["state", "State"], ["labels", "Labels"], ["desired", "Desired"], ["running", "Running"], ["heard", "Heard"]];

export function openFleet(app, root, route) {
  return new FleetPage(app, root, route);
}

class FleetPage {
  #app;
  #root;
  #fleet = null;
  #rows = [];
  #chosen = null;
  #held = false;
  #rest = null;
  #print = "";
  #tail = "";
  #timer = null;
  #clock = null;
  #over = new AbortController();

  constructor(app, root, route) {
    this.#app = app;
    this.#root = root;
    this.filter = route.params.filter ?? "";
    this.sort = route.params.sort ?? "";
    this.#build();
    this.#follow();
    this.#load();
  }

  get keys() {
    return {
      j: () => this.#step(1), ArrowDown: () => this.#step(1), k: () => this.#step(-1), ArrowUp: () => this.#step(-1),
      Enter: (event) => this.#enter(event), f: () => this.field.focus(),
    };
  }

  #build() {
    this.title = h("h1", "Fleet");
    this.sentence = h("p.lead");
    this.bar = h("div.proportions", { "aria-hidden": "true" });
    this.strip = h("div.strip", { role: "group", "aria-label": "Filter by state" });
    this.meaning = h("p.meaning");
    this.attention = new Attention(this.#app, (filter) => this.#setFilter(filter));
    this.field = h("input.filter", {
      type: "search", value: this.filter, placeholder: "Filter: site=lund state!=converged text", "aria-label": "Filter of the nodes",
      spellcheck: "false", autocomplete: "off", list: "filter-words", oninput: () => this.#setFilter(this.field.value, true),
      onkeydown: (event) => this.#leaveField(event),
    });
    this.words = h("datalist", { id: "filter-words" });
    this.count = h("span", { role: "status" });
    this.retired = h("button.plain", { hidden: true, onclick: () => this.#setFilter("retired=true") });
    this.problems = h("p.problem", { role: "alert", hidden: true });
    this.head = h("div.row.head", { role: "row" }, COLUMNS.map((column) => this.#headCell(column)));
    this.body = h("div.rows", { role: "rowgroup" });
    this.grid = h("div.table", { role: "grid", "aria-label": "Nodes", tabindex: "0" }, h("div.sticky", { role: "rowgroup" }, this.head), this.body);
    this.none = h("div.none", { hidden: true });
    this.#root.append(
      h("header.heading", this.title, this.sentence), this.strip, this.bar, this.meaning, this.attention.element,
      h("div.filterline", this.field, this.words, h("p.quiet.shown", this.count, " ", this.retired)), this.problems, this.grid, this.none);
    this.list = new VirtualList({
      scroller: this.#app.frame.main, root: this.body, height: ROW_PX, make: () => this.#makeRow(), draw: (row, id, index) => this.#drawRow(row, id, index),
    });
  }

  #headCell([name, text]) {
    const button = h("button.plain", { onclick: () => this.#setSort(name) }, text);
    return h("div.cell", { role: "columnheader", class: `c-${name}`, "data-sort": name }, button);
  }

  #follow() {
    const on = (target, type, act) => target.addEventListener(type, act, this.#over);
    on(this.#app.connection, "fleet", () => !this.#app.at && this.#load());
    on(this.#app.connection, "change", (event) => !this.#app.at && event.detail.rowsChanged && this.#soon());
    on(this.#app.prefs, "time", () => this.list.repaint());
    // Rows must not move away below a pointer that is about to choose one. One that rests chooses none.
    on(this.grid, "pointermove", (event) => event.pointerType === "mouse" && this.#hold(true));
    on(this.grid, "pointerleave", () => this.#hold(false));
    this.#clock = setInterval(() => this.list.repaint(), CLOCK_MS);
  }

  close() {
    this.#over.abort();
    for (const timer of [this.#clock, this.#timer, this.#rest]) clearTimeout(timer);
    this.list.close();
    this.attention.close();
  }

  async #load() {
    try {
      this.#fleet = this.#app.at ? Fleet.fromTable(await this.#app.get("/v1/fleet/table")) : this.#app.connection.fleet;
    } catch (error) {
      swap(this.none, problem(error));
      this.none.hidden = false;
      return;
    }
    if (this.#fleet) this.#refresh();
    else setText(this.sentence, "Waiting for the server …");
  }

  reload() {
    this.#soon();
  }

  update(route) {
    this.filter = route.params.filter ?? "";
    this.sort = route.params.sort ?? "";
    if (this.field.value !== this.filter) this.field.value = this.filter;
    this.#refresh();
  }

  #soon() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#refresh();
    }, REFRESH_MS_MIN);
  }

  #hold(held) {
    clearTimeout(this.#rest);
    this.#rest = held && setTimeout(() => this.#hold(false), HOLD_MS);
    const was = this.#held;
    this.#held = held;
    if (was && !held) this.#refresh();
  }

  #setFilter(text, typed = false) {
    this.filter = text;
    if (!typed) this.field.value = text;
    this.#app.amend({ filter: text });
    this.#held = false;
    this.#refresh();
  }

  #setSort(name) {
    const now = this.sort || "state";
    this.sort = now === name ? `-${name}` : name === "state" ? "" : name;
    this.#app.amend({ sort: this.sort });
    this.#held = false;
    this.#refresh();
  }

  #refresh() {
    if (!this.#fleet) return;
    const filter = parseFilter(this.filter);
    this.#tail = formatRoute("node", "", { ...this.#app.keptParams(), filter: this.filter, sort: this.sort }).slice("#/node".length);
    this.#drawHead(filter);
    const fitting = select(this.#fleet, filter.test, this.sort);
    // While the order is held the same nodes stay in their places; everything else tells of all that fit.
    this.#rows = this.#held ? this.#rows.map(({ id }) => this.#fleet.rows.get(id)).filter(Boolean) : fitting;
    this.list.items = this.#rows.map((row) => row.id);
    this.grid.setAttribute("aria-rowcount", String(this.#rows.length + 1));
    this.#drawNone(fitting.length);
    this.attention.show(this.#fleet, fitting);
  }

  #drawHead(filter) {
    const { counts } = this.#fleet;
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    setText(this.sentence, sentenceOf(counts, total));
    this.#drawStrip(counts, total);
    const keys = this.#fleet.labelKeys();
    if (this.words.childElementCount !== keys.length) this.words.replaceChildren(...keys.map((key) => h("option", { value: `${key}=` })));
    const unknown = filter.keys.filter((key) => !keys.includes(key)).map((key) => `no node has a label ${key}`);
    const problems = [...filter.problems, ...unknown];
    this.problems.hidden = problems.length === 0;
    setText(this.problems, problems.join("; "));
    for (const cell of this.head.children) {
      const name = cell.dataset.sort;
      const here = (this.sort.replace(/^-/, "") || "state") === name;
      cell.setAttribute("aria-sort", here ? (this.sort.startsWith("-") ? "descending" : "ascending") : "none");
    }
  }

  #drawStrip(counts, total) {
    const chosen = termValue(this.filter, "state");
    const print = JSON.stringify([counts, chosen]);
    if (print === this.#print) return;
    this.#print = print;
    const states = Object.keys(counts).filter((state) => counts[state] > 0 || state === chosen || state === "failed" || state === "converged");
    states.sort((a, b) => rank(a) - rank(b));
    const chip = (state, count, text) => {
      const on = chosen === state;
      return h("button.chip", {
        class: `t-${STATES[state]?.tone ?? "all"}${count ? "" : " zero"}`, "aria-pressed": String(on), "data-key": `chip-${state}`,
        title: STATES[state]?.means ?? "", onclick: () => this.#setFilter(withTerm(this.filter, "state", on ? "" : state)),
      }, h("span.number", number(count)), h("span.word", state && shape(state), text));
    };
    swap(this.strip, chip("", total, "all"), states.map((state) => chip(state, counts[state] ?? 0, state)));
    this.bar.replaceChildren(...ORDER.filter((state) => counts[state]).map((state) => {
      const part = h("span", { class: `b-${state}` });
      part.style.flexGrow = String(counts[state]);
      return part;
    }));
    const meaning = STATES[chosen];
    swap(this.meaning, meaning && [h("strong", `${chosen}: `), meaning.means, " ", !this.#app.at && meaning.todo]);
    this.meaning.hidden = !meaning;
  }

  #drawNone(fitting) {
    const all = this.#fleet.rows.size;
    const total = Object.values(this.#fleet.counts).reduce((sum, count) => sum + count, 0);
    const order = this.#held ? " The order is held while the pointer moves on the table." : "";
    setText(this.count, `${number(fitting)} of ${plural(total, "node")}.${order}`);
    this.retired.hidden = all <= total || this.filter.includes("retired");
    setText(this.retired, `${number(all - total)} retired`);
    this.none.hidden = this.#rows.length > 0;
    this.grid.hidden = this.#rows.length === 0;
    if (this.#rows.length) return;
    if (all) swap(this.none, h("p.empty", "No node fits the filter. ", h("button.plain", { onclick: () => this.#setFilter("") }, "Show all nodes")));
    else swap(this.none, h("div.empty", h("p", this.#app.at ? "No node was enrolled then." : "No node is enrolled yet. A node joins with a token, which an administrator makes:"), !this.#app.at && command("headwater node token create --node node-1", "")));
  }

  #makeRow() {
    const cells = Object.fromEntries(COLUMNS.map(([name]) => [name, h("div.cell", { role: "gridcell", class: `c-${name}` })]));
    const row = h("div.row", { role: "row", onclick: (event) => this.#clicked(event, row) }, Object.values(cells));
    row.cells = cells;
    cells.id.append(h("a.id", { tabindex: "-1" }));
    cells.state.append(h("span.badge"), h("span.reason"));
    return row;
  }

  #drawRow(element, id, index) {
    const row = this.#fleet.rows.get(id);
    element.setAttribute("aria-rowindex", String(index + 2));
    element.id = `row-${index}`;
    element.dataset.id = id;
    this.#mark(element);
    const { cells } = element;
    const link = cells.id.firstChild;
    link.href = this.#hrefOf(id);
    setText(link, id);
    if (!row) {
      element.classList.add("gone");
      return;
    }
    element.classList.toggle("gone", row.retired);
    drawState(cells.state, row);
    const text = printable(labelText(row.labels));
    setText(cells.labels, text);
    cells.labels.title = text;
    setText(cells.desired, number(row.desired));
    // The same content has another position where nothing had to be switched.
    const same = row.state === "converged";
    setText(cells.running, same ? "as desired" : row.running ? number(row.running) : "–");
    cells.running.title = same ? `position ${number(row.running)}` : "";
    cells.running.classList.toggle("quiet", same);
    cells.running.classList.toggle("behind", STATES[row.state]?.tone === "bad");
    setText(cells.heard, this.#heard(row));
    cells.heard.title = row.silent_since ? formatTime(row.silent_since, this.#app.prefs.local) : "";
  }

  #heard(row) {
    if (row.silent_since) return `${formatSpan(Date.now() - Date.parse(row.silent_since))} ago`;
    if (this.#fleet.past) return "not kept";
    return row.state === "unknown" ? "never" : "< 30 s";
  }

  #hrefOf(id) {
    return `#/node/${encodeURIComponent(id)}${this.#tail}`;
  }

  #clicked(event, row) {
    // The link inside does it by itself, also in a new tab.
    if (event.target.closest("a") || getSelection().toString()) return;
    location.hash = this.#hrefOf(row.dataset.id);
  }

  #mark(element) {
    element.setAttribute("aria-selected", String(element.dataset.id === this.#chosen));
  }

  #step(by) {
    if (!this.#rows.length) return;
    const now = this.#rows.findIndex((row) => row.id === this.#chosen);
    const next = Math.max(0, Math.min(this.#rows.length - 1, now < 0 ? 0 : now + by));
    this.#chosen = this.#rows[next].id;
    this.grid.focus({ preventScroll: true });
    this.list.reveal(next);
    for (const element of this.body.children) this.#mark(element);
    this.grid.setAttribute("aria-activedescendant", `row-${next}`);
  }

  #enter(event) {
    const control = event.target.closest("a, button, summary");
    if (control) control.click();
    else if (this.#chosen) location.hash = this.#hrefOf(this.#chosen);
  }

  #leaveField(event) {
    if (event.key === "Escape" && this.filter) this.#setFilter("");
    else if (event.key === "Escape" || event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      this.#chosen = null;
      this.#step(1);
    }
  }
}

function drawState(cell, row) {
  const [badge, reason] = cell.children;
  if (cell.dataset.state !== row.state) {
    cell.dataset.state = row.state;
    badge.className = `badge t-${STATES[row.state]?.tone ?? "off"}`;
    badge.replaceChildren(shape(row.state), row.state);
  }
  const text = printable(row.retired ? "retired" : row.reason ? `${row.reason.code}: ${row.reason.detail.trim()}` : "");
  setText(reason, text);
  reason.title = text;
}

const SAID = {
  failed: ["rejects it", "reject it"],
  refused: ["refuses it", "refuse it"],
  drifted: ["was changed by hand", "were changed by hand"],
  duplicate: ["reports twice", "report twice"],
  ahead: ["is ahead of the log", "are ahead of the log"],
  offline: ["is offline", "are offline"],
  unknown: ["was never heard", "were never heard"],
  progressing: ["is on its way", "are on their way"],
};

export function sentenceOf(counts, total) {
  if (total === 0) return "There is no node yet.";
  const good = counts.converged ?? 0;
  if (good === total) return total === 1 ? "The one node runs what is desired." : `All ${number(total)} nodes run what is desired.`;
  const rest = ORDER.filter((state) => counts[state] && SAID[state]).map((state) => `${number(counts[state])} ${SAID[state][counts[state] === 1 ? 0 : 1]}`);
  const said = rest.length > 1 ? `${rest.slice(0, -1).join(", ")} and ${rest.at(-1)}` : rest.join("");
  return `${number(good)} of ${plural(total, "node")} ${good === 1 ? "runs" : "run"} what is desired${said ? `; ${said}` : ""}.`;
}
