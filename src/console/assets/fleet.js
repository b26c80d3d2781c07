// The nodes as the server's table has them. The server judges; this page only keeps, filters and sorts.

import { rank } from "./states.js";

/**
 * @typedef {{id: string, retired: boolean, state: string, labels: Record<string, string>, desired: number, running: number,
 *   silent_since: string|null, reason: {code: string, detail: string}|null}} FleetRow
 */

/** Rows out of the columns of `GET /v1/fleet/table`. Rows with the same labels share one object. */
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
  /** @param {{position: number, past: boolean, at: string, counts: Record<string, number>, rows: FleetRow[]}} snapshot */
  constructor(snapshot) {
    this.position = snapshot.position;
    this.past = snapshot.past;
    this.at = snapshot.at;
    this.counts = snapshot.counts;
    this.rows = new Map(snapshot.rows.map((row) => [row.id, row]));
  }

  static fromTable(table) {
    return new Fleet({ ...table, rows: rowsOf(table) });
  }

  /** What a new tab needs to have the same fleet. */
  snapshot() {
    const { position, past, at, counts } = this;
    return { position, past, at, counts, rows: [...this.rows.values()] };
  }

  /** Takes a change of the stream. @returns {boolean} whether any row is another one now */
  apply(change) {
    this.position = change.position;
    this.counts = change.counts;
    const known = new Map();
    for (const row of change.rows) {
      const labels = this.#sharedLabels(row, known);
      this.rows.set(row.id, { silent_since: null, reason: null, ...row, labels });
    }
    for (const id of change.gone) this.rows.delete(id);
    return change.rows.length + change.gone.length > 0;
  }

  // Labels that did not change stay the same object, so that their text is not made anew.
  #sharedLabels(row, known) {
    const old = this.rows.get(row.id)?.labels;
    const text = JSON.stringify(row.labels);
    if (old && JSON.stringify(old) === text) return old;
    if (!known.has(text)) known.set(text, row.labels);
    return known.get(text);
  }

  /** How many rows are of each state, of the rows that fit. */
  static count(rows) {
    const counts = {};
    for (const row of rows) counts[row.state] = (counts[row.state] ?? 0) + 1;
    return counts;
  }

  /** The names of all labels, sorted. */
  labelKeys() {
    const sets = new Set();
    for (const row of this.rows.values()) sets.add(row.labels);
    const keys = new Set();
    for (const labels of sets) for (const key of Object.keys(labels)) keys.add(key);
    return [...keys].sort();
  }
}

const COMPARE = {
  id: (a, b) => byId(a, b),
  state: (a, b) => rank(a.state) - rank(b.state),
  labels: (a, b) => compare(JSON.stringify(a.labels), JSON.stringify(b.labels)),
  desired: (a, b) => a.desired - b.desired,
  running: (a, b) => a.running - b.running,
  heard: (a, b) => compare(a.silent_since ?? "9", b.silent_since ?? "9"),
};

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// rack-9 comes before rack-10: numbers inside of ids are compared as numbers.
const collator = new Intl.Collator("en", { numeric: true });
const byId = (a, b) => collator.compare(a.id, b.id);

export const SORTS = Object.keys(COMPARE);

/** The filtered rows in order. @param {string} sort a column, with `-` in front for the reverse; empty: most urgent first */
export function select(fleet, test, sort) {
  const found = [];
  for (const row of fleet.rows.values()) if (test(row)) found.push(row);
  const name = sort.replace(/^-/, "");
  const order = COMPARE[name] ?? COMPARE.state;
  const sign = sort.startsWith("-") ? -1 : 1;
  return found.sort((a, b) => sign * order(a, b) || byId(a, b));
}
