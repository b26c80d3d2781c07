// What is wrong, and since which change: nodes that reject what is desired are grouped by their reason, and a few of each group are
// asked which position they rejected first.

import { takingBack } from "../action.js";
import { h, swap } from "../dom.js";
import { shape } from "../nodes.js";
import { documentDiff, entityLink, nodeLink, requestLine } from "../parts.js";
import { apiPath, number, plural } from "../text.js";

const GROUPS_MAX = 3;
const SAMPLES = 4;
const NAMES_MAX = 6;
const REQUESTS_MAX = 2;
const DOCUMENTS_MAX = 2;
const ASK_MS_MIN = 3_000;

export class Attention {
  #app;
  #setFilter;
  #print = "";
  #turn = 0;
  #asked = 0;
  #timer = null;
  #impacts = new Map();

  constructor(app, setFilter) {
    this.#app = app;
    this.#setFilter = setFilter;
    this.element = h("div.attention", { hidden: true, "aria-label": "What is wrong", role: "region" });
  }

  close() {
    this.#turn += 1;
    clearTimeout(this.#timer);
  }

  /** `rows` are those that the filter lets through: what the reader does not look at is not explained. */
  show(fleet, rows) {
    const groups = groupsOf(rows);
    const print = JSON.stringify(groups.map((group) => [group.code, group.rows.map((row) => `${row.id} ${row.desired}`)]));
    if (print === this.#print) return;
    this.#print = print;
    this.element.hidden = groups.length === 0;
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.#asked + ASK_MS_MIN - Date.now());
    if (groups.length) this.#timer = setTimeout(() => this.#ask(groups, fleet), wait);
    else this.element.replaceChildren();
  }

  async #ask(groups, fleet) {
    this.#asked = Date.now();
    this.#turn += 1;
    const turn = this.#turn;
    const cards = await Promise.all(groups.slice(0, GROUPS_MAX).map((group, index) => this.#card(group, fleet, index === 0)));
    if (turn !== this.#turn) return;
    const rest = groups.slice(GROUPS_MAX);
    const more = rest.length > 0 && h("p.quiet", `and ${plural(rest.length, "other reason")}: ${rest.map((group) => `${group.code} (${number(group.rows.length)})`).join(", ")}`);
    swap(this.element, cards, more);
  }

  async #card(group, fleet, open) {
    const { found, note } = await this.#requests(group);
    const sample = group.rows[0];
    const summary = h("summary", shape(group.state), h("h2", `${plural(group.rows.length, "node")} ${group.state}: ${group.code}`),
      h("span.detail", cutText(sample.reason.detail)));
    const rest = group.rows.length - NAMES_MAX;
    const show = h("div.ids", group.rows.slice(0, NAMES_MAX).map((row) => nodeLink(this.#app, row.id)),
      h("button.plain", { "data-key": `show-${group.code}`, onclick: () => this.#setFilter(`reason=${group.code}*`) }, rest > 0 ? `and ${number(rest)} more: show them in the table` : "Show only these"));
    return h("details.card", { "data-key": `group-${group.state}-${group.code}`, open }, summary, h("div.inside",
      show, found.map((each) => this.#request(each, group, fleet)),
      found.length === 0 && h("p.quiet", note || "No request in the log is known as the first that they rejected.")));
  }

  async #requests(group) {
    // What can't be asked, such as a position that a node made up, hides nothing that the other nodes say.
    let note = "";
    const attempt = (asked) => asked.catch((error) => void (note = error.message));
    const nodes = await Promise.all(group.rows.slice(0, SAMPLES).map((row) => attempt(this.#app.get(apiPath("nodes", row.id)))));
    const positions = new Map();
    for (const node of nodes.filter(Boolean)) {
      const position = firstRejected(node);
      if (position) positions.set(position, [...(positions.get(position) ?? []), node.id]);
    }
    const wanted = [...positions.keys()].sort((a, b) => a - b);
    const found = await Promise.all(wanted.map(async (position) => {
      const known = await attempt(this.#impact(position));
      return known && { ...known, nodes: positions.get(position).filter((id) => isConcerned(known.impact, id)) };
    }));
    return { found: found.filter((each) => each?.nodes.length).slice(0, REQUESTS_MAX), note };
  }

  async #impact(position) {
    if (!this.#impacts.has(position)) {
      const impact = await this.#app.connection.get(`/v1/impact/${position}`);
      const first = impact.events[0].position - 1;
      const documents = impact.events.filter((event) => event.entity.startsWith("document/")).slice(0, DOCUMENTS_MAX);
      const diffs = await Promise.all(documents.map(async (event) => {
        const id = event.entity.slice("document/".length);
        const diff = await documentDiff(this.#app, id, first, impact.position).catch(() => null);
        return diff && { id, ...diff };
      }));
      this.#impacts.set(position, { impact, diffs });
    }
    return this.#impacts.get(position);
  }

  #request({ impact, diffs, nodes }, group, fleet) {
    const failing = impact.nodes.filter(({ node }) => {
      const row = fleet.rows.get(node);
      return row && (row.state === "failed" || row.state === "refused") && row.reason?.code === group.code;
    }).length;
    return h("div.culprit",
      requestLine(this.#app, impact),
      h("p.quiet", `This is the first request that ${namesOf(nodes)} rejected. What it changed:`),
      diffs.map((diff) => diff && this.#diff(diff)),
      h("div.buttons",
        takingBack(this.#app, impact.command_id),
        h("a.button", { href: this.#app.href("request", String(impact.position)) }, "The whole request"),
        h("span.quiet", `It changed files on ${plural(impact.nodes.length, "node")}; ${number(failing)} of them ${failing === 1 ? "fails" : "fail"}${this.#app.at ? "" : " now"}.`)));
  }

  #diff({ id, path, draw }) {
    return h("figure.filechange", h("figcaption", h("code", path), " of ", entityLink(this.#app, `document/${id}`, id)), draw());
  }
}

// The table has the first 160 bytes.
const cutText = (text) => text.trim() + (new TextEncoder().encode(text).length > 156 ? " …" : "");

function namesOf(nodes) {
  if (nodes.length < 3) return nodes.join(" and ");
  return `${nodes[0]}, ${nodes[1]} and ${nodes.length - 2} more`;
}

function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (row.retired || !row.reason || (row.state !== "failed" && row.state !== "refused")) continue;
    const key = `${row.state} ${row.reason.code}`;
    if (!groups.has(key)) groups.set(key, { state: row.state, code: row.reason.code, rows: [] });
    groups.get(key).rows.push(row);
  }
  return [...groups.values()].sort((a, b) => b.rows.length - a.rows.length);
}

/** Whether a request changed the record of a node. Which request a node rejects it says itself, so it may name any. */
export const isConcerned = (impact, id) => impact.unchanged.includes(id) || impact.nodes.some(({ node }) => node === id);

/** The first position since the one that runs which the node rejected; its report names the last few. */
export function firstRejected(node) {
  const runs = node.running?.position ?? 0;
  const rejected = (node.reported?.rejected ?? []).map((record) => record.position).filter((position) => position > runs);
  const attempt = node.reported?.attempt?.code ? node.reported.attempt.position : node.noted?.failed?.position;
  const known = [...rejected, ...(attempt ? [attempt] : [])];
  return known.length ? Math.min(...known) : null;
}
