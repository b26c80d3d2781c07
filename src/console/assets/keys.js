// The palette: one field that leads everywhere. And the table of keys.

import { h, setText } from "./dom.js";
import { entityRoute } from "./text.js";

const ASK_MS = 120;

export const PLACES = [
  ["fleet", "Fleet", "f", "all nodes and their states"],
  ["history", "History", "h", "who changed what, and why"],
  ["documents", "Documents", "d", "the files that nodes get"],
  ["proposals", "Proposals", "p", "files that nodes propose"],
  ["rollouts", "Rollouts", "r", "changes on their way, stage by stage"],
  ["proof", "Proof", "x", "that the log only grew, and what is in it"],
  ["server", "Server", "s", "whether it can do its work"],
];

function positions(app, text) {
  if (!/^\d+$/.test(text)) return [];
  return [
    { name: `Request at ${text}`, note: "what happened at this position", href: app.href("request", text) },
    { name: `Fleet at ${text}`, note: "the world as it was then", href: app.hrefAt("fleet", "", text) },
    { name: `Proof of ${text}`, note: "that this event is in the log", href: app.href("proof", text) },
  ];
}

export class Palette {
  #app;
  #found = [];
  #chosen = 0;
  #turn = 0;
  #timer = null;

  constructor(app) {
    this.#app = app;
    this.field = h("input", {
      type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list",
      "aria-label": "Search", placeholder: "a node, a document, a position, a page …", spellcheck: "false", autocomplete: "off",
      oninput: () => this.#search(), onkeydown: (event) => this.#key(event),
    });
    this.list = h("ul", { role: "listbox", id: "palette-list", "aria-label": "Found" });
    this.note = h("p.quiet.foot", { role: "status" });
    this.dialog = h("dialog.palette", {
      "aria-label": "Search", onclose: () => this.dialog.remove(),
      onclick: (event) => event.target === this.dialog && this.dialog.close(),
    }, this.field, this.list, this.note);
  }

  open() {
    if (this.dialog.isConnected) return;
    document.body.append(this.dialog);
    this.field.value = "";
    this.dialog.showModal();
    this.field.focus();
    this.#search();
  }

  #search() {
    const text = this.field.value.trim();
    this.#turn += 1;
    const places = PLACES.map(([page, name, , note]) => ({ name, note, href: this.#app.href(page) }));
    const fits = (place) => `${place.name} ${place.note}`.toLowerCase().includes(text.toLowerCase());
    this.#offer([...positions(this.#app, text), ...places.filter(fits)], "");
    clearTimeout(this.#timer);
    if (text) this.#timer = setTimeout(() => this.#ask(text, this.#turn), ASK_MS);
  }

  async #ask(text, turn) {
    const fixed = this.#found;
    try {
      const answer = await this.#app.connection.get(`/v1/search?q=${encodeURIComponent(text)}`);
      if (turn !== this.#turn) return;
      const items = answer.items.map(({ kind, id }) => ({ name: id, note: kind, href: entityRoute(`${kind}/${id}`, this.#app.keptParams()) }));
      const note = answer.more ? "There is more: go on typing." : items.length + fixed.length ? "" : "Nothing begins with that.";
      this.#offer([...items, ...fixed], note);
    } catch (error) {
      if (turn === this.#turn) setText(this.note, error.message);
    }
  }

  #offer(found, note) {
    this.#found = found;
    this.#chosen = 0;
    this.note.textContent = note;
    this.list.replaceChildren(...found.map((each, index) =>
      h("li", { role: "option", id: `palette-${index}`, onclick: () => this.#go(index) },
        h("span.name", each.name), h("span.note", each.note))));
    this.#mark();
  }

  #mark() {
    [...this.list.children].forEach((row, index) => row.setAttribute("aria-selected", String(index === this.#chosen)));
    this.field.setAttribute("aria-activedescendant", this.#found.length ? `palette-${this.#chosen}` : "");
    this.list.children[this.#chosen]?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key === "Enter") this.#go(this.#chosen);
    else if (!(event.key in steps)) return;
    else if (this.#found.length) this.#chosen = (this.#chosen + steps[event.key] + this.#found.length) % this.#found.length;
    event.preventDefault();
    this.#mark();
  }

  #go(index) {
    const found = this.#found[index];
    if (!found) return;
    this.dialog.close();
    location.hash = found.href;
  }
}

const KEYS = [
  ["/ or Ctrl K", "search everything"],
  ...PLACES.map(([, name, key]) => [`g ${key}`, name]),
  ["j k or ↓ ↑", "next and previous row"],
  ["Enter", "open the row"],
  ["f", "the filter of the fleet"],
  ["] [", "on a node: next and previous of the filtered list"],
  ["t", "go to a position or a time"],
  ["← → · PageUp PageDown", "on the bar of the log: one request · 1 %"],
  ["n", "now"],
  ["u", "times in UTC or local"],
  ["?", "this table"],
];

export function openKeys() {
  const rows = KEYS.map(([keys, meaning]) => h("div", h("dt", keys.split(" ").map((part) => (/^(or|·)$/.test(part) ? ` ${part} ` : h("kbd", part)))), h("dd", meaning)));
  const dialog = h("dialog.action.keys", { "aria-label": "Keys", onclose: () => dialog.remove() },
    h("h2", "Keys"), h("dl", rows), h("form", { method: "dialog" }, h("div.buttons", h("button", "Close"))));
  document.body.append(dialog);
  dialog.showModal();
}

// Keys that work on every page.

const SECOND_KEY_MS = 1_500;

export class Keyboard {
  #app;
  #prefix = 0;

  constructor(app) {
    this.#app = app;
    addEventListener("keydown", (event) => this.#take(event));
  }

  #take(event) {
    // What took the key for itself has it: the slider its arrows, a dialog its Escape.
    if (!this.#app.frame || event.defaultPrevented) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") return this.#do(event, () => this.#app.frame.palette.open());
    if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target) || document.querySelector("dialog[open]")) return undefined;
    const afterG = performance.now() - this.#prefix < SECOND_KEY_MS;
    this.#prefix = 0;
    const place = afterG && PLACES.find(([, , key]) => key === event.key);
    if (place) return this.#do(event, () => (location.hash = this.#app.href(place[0])));
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
