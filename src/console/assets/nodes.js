// The nine states of a node: a shape, a word and a colour each, so that none is told by its colour alone, what it means and what
// to do. The most urgent one comes first, everywhere.

import { h, svg } from "./dom.js";

export const STATES = {
  failed: {
    means: "The node tried what is desired, and rejected it or could not apply it. It goes on running what it ran before.",
    todo: "Read the reason. If a check rejected a file, correct the file or take the change back; if the machine was at fault, mend it and retry.",
    tone: "bad",
  },
  refused: {
    means: "The node would not try what is desired: the record is not from the log that it trusts, or is older than one that it has seen.",
    todo: "Read the code of the reason: a wrong key, an older position or another log each need something else.",
    tone: "bad",
  },
  drifted: {
    means: "Files on the node were changed by hand since they were applied.",
    todo: "The agent repairs them within 30 s, unless it runs with --on-drift report. If it comes back, find what writes there.",
    tone: "warn",
  },
  duplicate: {
    means: "Two agents report under this id.",
    todo: "Stop one of them: each folder belongs to one node.",
    tone: "warn",
  },
  ahead: {
    means: "The node has seen a position that this log does not have: the database was restored, or the log was forked.",
    todo: "Run headwater recover on the server.",
    tone: "warn",
  },
  offline: {
    means: "The node was not heard for more than 30 s. It goes on running what it runs.",
    todo: "Look at the machine and its link.",
    tone: "off",
  },
  unknown: {
    means: "No report of the node was ever heard.",
    todo: "Start the agent on the node; check its id, its NATS address and its keys.",
    tone: "off",
  },
  progressing: {
    means: "The node is on its way to what is desired.",
    todo: "Wait.",
    tone: "move",
  },
  converged: {
    means: "The node runs exactly what is desired, and its own checks accepted it.",
    todo: "Nothing.",
    tone: "good",
  },
};

export const ORDER = Object.keys(STATES);
const RANKS = new Map(ORDER.map((state, index) => [state, index]));

/** The place of a state in the order of urgency; a state that is newer than this page comes first. */
export const rank = (state) => RANKS.get(state) ?? -1;

const SHAPES = {
  failed: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM5.2 4l2.8 2.8L10.8 4 12 5.2 9.2 8l2.8 2.8-1.2 1.2L8 9.2 5.2 12 4 10.8 6.8 8 4 5.2Z",
  refused: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM4 7h8v2H4Z",
  drifted: "M8 .8 15.2 8 8 15.2.8 8ZM7.1 4.6v4.2h1.8V4.6Zm0 5.4v1.7h1.8V10Z",
  duplicate: "M1.5 1.5h9v3h4v10h-9v-3h-4Zm1.8 1.8v6.4h2.2V4.5h3.2V3.3Z",
  ahead: "M8 1.2 15.2 14H.8Z",
  offline: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3Z",
  unknown: "M2 2h12v12H2Zm1.8 1.8v8.4h8.4V3.8ZM7 7h2v2H7Z",
  progressing: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 2v10A5 5 0 0 1 8 3Z",
  converged: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm3.7 3.7 1.2 1.2-5.7 5.7L3.4 7.8l1.2-1.2 2.6 2.6Z",
};

/** Readers of screens pass it over: the word beside it says the same. */
export function shape(state) {
  const path = svg("path", { d: SHAPES[state] ?? SHAPES.unknown, "fill-rule": "evenodd" });
  return svg("svg", { viewBox: "0 0 16 16", class: `shape s-${state}`, "aria-hidden": "true" }, path);
}

export function badge(state) {
  return h("span.badge", { class: `t-${STATES[state]?.tone ?? "off"}`, title: STATES[state]?.means ?? "" }, shape(state), state);
}

// The nodes as the server's table has them: the server judges, this page keeps, filters and sorts.

export function rowsOf(table) {
  const retired = new Set(table.retired);
  return table.ids.map((id, row) => ({
    id,
    retired: retired.has(row),
    state: table.state_names[table.states[row]],
    labels: table.label_sets[table.labels[row]],
    desired: table.desired[row],
    running: table.running[row],
    silent_since: table.silent_since[row] ?? null,
    reason: table.reasons[row] ?? null,
  }));
}

export class Fleet {
  constructor({ position, past, counts, rows }) {
    Object.assign(this, { position, past, counts, places: null });
    this.rows = new Map(rows.map((row) => [row.id, row]));
  }

  /** The place of each id in the order of ids: comparing 10,000 texts takes as long as two frames. */
  placeOf(id) {
    this.places ??= new Map([...this.rows.keys()].sort(collator.compare).map((each, place) => [each, place]));
    return this.places.get(id);
  }

  static fromTable(table) {
    return new Fleet({ ...table, rows: rowsOf(table) });
  }

  snapshot() {
    const { position, past, counts } = this;
    return { position, past, counts, rows: [...this.rows.values()] };
  }

  /** Says whether any row is another one now. */
  apply(change) {
    this.position = change.position;
    this.counts = change.counts;
    const known = new Map();
    for (const row of change.rows) {
      const labels = this.#sharedLabels(row, known);
      if (!this.rows.has(row.id)) this.places = null;
      this.rows.set(row.id, { silent_since: null, reason: null, ...row, labels });
    }
    for (const id of change.gone) this.rows.delete(id);
    return change.rows.length + change.gone.length > 0;
  }

  #sharedLabels(row, known) {
    const old = this.rows.get(row.id)?.labels;
    const text = JSON.stringify(row.labels);
    if (old && JSON.stringify(old) === text) return old;
    if (!known.has(text)) known.set(text, row.labels);
    return known.get(text);
  }

  labelKeys() {
    const sets = new Set();
    for (const row of this.rows.values()) sets.add(row.labels);
    const keys = new Set();
    for (const labels of sets) for (const key of Object.keys(labels)) keys.add(key);
    return [...keys].sort();
  }
}

// rack-9 comes before rack-10: numbers inside of ids are compared as numbers.
const collator = new Intl.Collator("en", { numeric: true });

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const COMPARE = {
  id: () => 0,
  state: (a, b) => rank(a.state) - rank(b.state),
  labels: (a, b) => compare(labelText(a.labels), labelText(b.labels)),
  desired: (a, b) => a.desired - b.desired,
  running: (a, b) => a.running - b.running,
  heard: (a, b) => compare(a.silent_since ?? "9", b.silent_since ?? "9"),
};

export function select(fleet, test, sort) {
  const found = [];
  for (const row of fleet.rows.values()) if (test(row)) found.push(row);
  const name = sort.replace(/^-/, "");
  const order = COMPARE[name] ?? COMPARE.state;
  const sign = sort.startsWith("-") ? -1 : 1;
  const byId = name === "id" ? sign : 1;
  return found.sort((a, b) => sign * order(a, b) || byId * (fleet.placeOf(a.id) - fleet.placeOf(b.id)));
}

// The filter of the fleet: terms between spaces, all of which must hold.
//   site=lund,mal*  site!=lund   a label; state, id, reason and retired likewise (a label of such a name is label.state=…)
//   desired>44  running<=44      positions
//   text  -text                  in the id, a label or the reason, or not in them

const TERM = /^(-?)([A-Za-z0-9_.\/-]+?)(!=|<=|>=|=|<|>)(.*)$/s;
const TEXTS = { id: (row) => row.id, state: (row) => row.state, reason: reasonText, retired: (row) => String(row.retired) };
const NUMBERS = { desired: (row) => row.desired, running: (row) => row.running };

function reasonText(row) {
  return row.reason ? `${row.reason.code} ${row.reason.detail}` : "";
}

/** What stands between spaces; `"` keeps spaces together, and stands for itself where it is doubled in between. */
export function terms(text) {
  const found = text.match(/(?:"(?:[^"]|"")*"?|[^\s"])+/g) ?? [];
  return found.map((term) => term.replace(/"((?:[^"]|"")*)"?/g, (_, quoted) => quoted.replaceAll('""', '"'))).filter(Boolean);
}

export function parseFilter(text) {
  const tests = [];
  const problems = [];
  const keys = [];
  let retired = false;
  for (const term of terms(text)) {
    const parts = TERM.exec(term);
    if (!parts || parts[1]) {
      tests.push(textTest(term));
      continue;
    }
    const [, , key, operator, value] = parts;
    retired ||= key === "retired";
    if (key in NUMBERS) tests.push(numberTest(key, operator, value, problems));
    else if (operator === "=" || operator === "!=") tests.push(valueTest(key, operator, value, keys));
    else problems.push(`${key} has no order: use = or != with it`);
  }
  const test = (row) => {
    // Retired nodes are shown only to who says something of them.
    if (row.retired && !retired) return false;
    for (const each of tests) if (!each(row)) return false;
    return true;
  };
  return { test, problems, keys };
}

function textTest(term) {
  const negative = term.length > 1 && term.startsWith("-");
  const wanted = (negative ? term.slice(1) : term).toLowerCase();
  return (row) => searchText(row).includes(wanted) !== negative;
}

// Rows with the same labels share one object, and its text.
const labelTexts = new WeakMap();

function searchText(row) {
  return `${row.id}\n${labelText(row.labels)}\n${row.state}\n${reasonText(row)}`.toLowerCase();
}

export function labelText(labels) {
  let text = labelTexts.get(labels);
  if (text === undefined) {
    text = Object.keys(labels).sort().map((key) => `${key}=${labels[key]}`).join(" ");
    labelTexts.set(labels, text);
  }
  return text;
}

function numberTest(key, operator, value, problems) {
  const wanted = Number(value);
  if (value === "" || !Number.isInteger(wanted)) {
    problems.push(`${key} is compared with a position, a whole number`);
    return () => true;
  }
  const read = NUMBERS[key];
  const compare = {
    "=": (a) => a === wanted, "!=": (a) => a !== wanted, "<": (a) => a < wanted,
    "<=": (a) => a <= wanted, ">": (a) => a > wanted, ">=": (a) => a >= wanted,
  }[operator];
  return (row) => compare(read(row));
}

function valueTest(key, operator, value, keys) {
  const fits = alternatives(value);
  const wanted = operator === "=";
  if (key in TEXTS) {
    const read = TEXTS[key];
    return (row) => fits(read(row)) === wanted;
  }
  const label = key.startsWith("label.") ? key.slice("label.".length) : key;
  keys.push(label);
  return (row) => {
    const has = Object.hasOwn(row.labels, label);
    return (has && fits(row.labels[label])) === wanted;
  };
}

function alternatives(value) {
  const patterns = value.split(",").map(pattern);
  return (text) => patterns.some((each) => each(text));
}

function pattern(wanted) {
  if (!wanted.includes("*")) return (text) => text === wanted;
  const escaped = wanted.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  const expression = new RegExp(`^${escaped}$`, "s");
  return (text) => expression.test(text);
}

/** The filter with this term for `key`, or with none if `value` is empty. */
export function withTerm(text, key, value) {
  const rest = terms(text).filter((term) => TERM.exec(term)?.[2] !== key).map(quote);
  return [...(value ? [`${key}=${value}`] : []), ...rest].join(" ");
}

export function quote(term) {
  return /[\s"]/.test(term) ? `"${term.replaceAll('"', '""')}"` : term;
}

export function termValue(text, key) {
  for (const term of terms(text)) {
    const parts = TERM.exec(term);
    if (parts && parts[2] === key && parts[3] === "=") return parts[4];
  }
  return "";
}
