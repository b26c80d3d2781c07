// All documents: the files that nodes get.

import { dryRun, takingBack } from "../action.js";
import { h, lazy, swap } from "../dom.js";
import { badge } from "../nodes.js";
import {
  byline, command, contentPart, digest, documentDiff, empty, entityLink, facts, heading, livePage, nodeLink,
  positionLink, reasonText, section, thingHeading,
} from "../parts.js";
import { apiPath, commandLine, number, plural, query, sizeText, targetText } from "../text.js";

const ROWS_MAX = 500;
const LIST_PAUSE_MS = 5_000;
const ONE_PAUSE_MS = 15_000;

export function openDocuments(app, root, route) {
  const body = h("div.stack");
  const field = h("input.filter", { type: "search", value: route.params.filter ?? "", placeholder: "Filter by id, path or bundle", "aria-label": "Filter of the documents", "data-key": "filter" });
  let answer = null;
  field.addEventListener("input", () => {
    app.amend({ filter: field.value });
    if (answer) show();
  });
  const show = () => swap(body, drawTable(app, answer, field.value));
  const live = livePage(app, root, {
    load: () => app.connection.list(app.path("/v1/documents")),
    pause: LIST_PAUSE_MS,
    draw: (loaded) => {
      answer = loaded;
      show();
      return [heading("Documents", "A document is a file for the nodes that its target selects."), h("div.choices", field), body];
    },
  });
  return { ...live, keys: { f: () => field.focus() } };
}

function drawTable(app, { items, more }, filter) {
  const wanted = filter.trim().toLowerCase();
  const fits = items.filter((document) => `${document.id}\n${document.path}\n${document.bundle ?? ""}`.toLowerCase().includes(wanted));
  if (!items.length) return empty("There is no document yet.");
  if (!fits.length) return empty("No document fits the filter.");
  const rows = fits.slice(0, ROWS_MAX).map((document) =>
    h("tr",
      h("td", h("a.id", { href: app.href("document", document.id) }, document.id)), h("td", h("code", document.path)),
      h("td", targetText(document.target)), h("td.num", number(document.priority)), h("td.num", String(document.version)),
      h("td.num", sizeText(document.size)), h("td", document.bundle ?? h("span.quiet", "none")), h("td.num", positionLink(app, document.position))));
  const head = ["Document", "Path on the node", "For", "Priority", "Version", "Size", "Bundle", "Put at"];
  return [
    h("p.quiet", { role: "status" }, `${number(fits.length)} of ${plural(items.length, "document")}${more ? ", and there are more" : ""}.`),
    h("div.scrollable", { tabindex: "0", role: "region", "aria-label": "Documents" }, h("table.plaintable",
      h("thead", h("tr", head.map((text, index) => h("th", { scope: "col", class: [3, 4, 5, 7].includes(index) ? "num" : "" }, text)))), h("tbody", rows))),
    fits.length > ROWS_MAX && h("p.quiet", `The first ${number(ROWS_MAX)} are shown: filter for the others.`),
  ];
}

const NODES_MAX = 60;

export function openDocument(app, root, route) {
  const asked = { position: 0 };
  return livePage(app, root, { pause: ONE_PAUSE_MS, load: () => loadDocument(app, route.id, asked), draw: (answer) => drawDocument(app, route.id, answer) });
}

/** `asked` keeps the expensive answers, and the position at which they held. */
async function loadDocument(app, id, asked) {
  const { connection } = app;
  const position = connection.fleet?.position ?? 0;
  const [document, versions] = await Promise.all([
    // One that was removed has its versions still.
    app.get(apiPath("documents", id)).catch((error) => (error.code === "unknown_entity" ? null : Promise.reject(error))),
    connection.list(app.path(apiPath("documents", id, "versions"))),
  ]);
  if (!asked.position || !(await onlyReports(app, asked.position))) {
    const [reach, beside] = await Promise.all([document && reachOf(app, id), document && besideOf(app, document)]);
    Object.assign(asked, { reach, beside });
  }
  asked.position = asked.reach?.problem ? 0 : position;
  return { document, versions, reach: asked.reach, beside: asked.beside };
}

/** Whether nothing came after a position but reports of nodes, which change no document. */
async function onlyReports(app, after) {
  const { items, next } = await app.connection.get(`/v1/events${query({ after, limit: 100 })}`);
  return next === null && items.every((event) => event.type === "ReportChanged");
}

/** The nodes whose files would change if the document were removed, as the server says. */
async function reachOf(app, id) {
  if (app.at) return null;
  try {
    const { preview } = await dryRun(app, [{ type: "remove_document", id }], "");
    return { nodes: preview.nodes.map((each) => each.node), more: preview.more };
  } catch (error) {
    return { problem: error.message };
  }
}

async function besideOf(app, document) {
  const { items, more } = await app.connection.list(app.path("/v1/documents"));
  return { more, items: items.filter((each) => each.path === document.path && each.id !== document.id).sort((a, b) => b.priority - a.priority || (a.id < b.id ? 1 : -1)) };
}

function drawDocument(app, id, { document, versions, reach, beside }) {
  const list = [...versions.items].reverse();
  return [
    thingHeading(app, "documents", id, document ? h("code", document.path) : h("strong", "removed")),
    document && facts(["For", targetText(document.target)], ["Priority", number(document.priority)], ["Media type", document.media_type], ["Size", sizeText(document.size)],
      ["Mode", document.mode ?? "644"], ["Bundle", document.bundle ?? "none"], ["Digest", digest(document.digest)],
      document.proposal && ["Made of", entityLink(app, `proposal/${document.proposal}`, "a proposal")]),
    section("Versions", `${plural(list.length, "version")}, the newest first`, h("div.stack", list.map((version, index) => drawVersion(app, id, version, list[index + 1], index === 0)))),
    document && drawReach(app, reach),
    beside && (beside.items.length > 0 || beside.more) && drawBeside(app, document, beside),
    document && contentPart(app, "content", "The content", document.size, apiPath("documents", id, "content")),
    command(app.at ? app.line("get", `document/${id}`) : commandLine("history", `document/${id}`, "--diff")),
  ];
}

const WORDS = { DocumentPut: "put", DocumentRemoved: "removed", DocumentStaged: "staged in a rollout", RemovalStaged: "its removal staged in a rollout" };

function drawVersion(app, id, version, before, open) {
  const load = async () => {
    // The position before may lie in the same request, whose end would be shown: the first version is compared with nothing.
    const from = before?.position ?? 0;
    const diff = await documentDiff(app, id, from, version.position);
    return [changesOf(version, before), diff.draw(), h("div.buttons",
      takingBack(app, version.command_id),
      h("a.button", { href: app.href("request", String(version.position)) }, "The whole request"))];
  };
  const part = lazy(`version-${version.version}`, [
    h("strong", `version ${version.version}`), h("span.quiet", WORDS[version.type] ?? version.type), reasonText(version.reason), h("span.push", byline(app, version, false)),
  ], load);
  part.open = open;
  return h("div", part);
}

/** What changed beside the content: the difference of texts does not show it. */
function changesOf(version, before) {
  if (!before || version.path === undefined || before.path === undefined) return null;
  const parts = [
    version.path !== before.path && `path ${before.path} → ${version.path}`,
    targetText(version.target) !== targetText(before.target) && `for ${targetText(before.target)} → ${targetText(version.target)}`,
    version.priority !== before.priority && `priority ${before.priority} → ${version.priority}`,
    (version.mode ?? "644") !== (before.mode ?? "644") && `mode ${before.mode ?? "644"} → ${version.mode ?? "644"}`,
  ].filter(Boolean);
  return parts.length ? h("p", h("strong", "Beside the content: "), parts.join("; ")) : null;
}

function drawReach(app, reach) {
  if (!reach) return section("Nodes", null, h("p.quiet", "Which nodes would lose it is shown for the present only."));
  if (reach.problem) return section("Nodes", null, h("p.warning", reach.problem));
  const total = reach.nodes.length + reach.more;
  if (!total) return section("Nodes", "removing it changes no file", empty("Its target selects no node, another document at the path wins there, or the one that would follow has the same content."));
  const shown = reach.nodes.slice(0, NODES_MAX).map((id) => {
    const state = app.connection.fleet?.rows.get(id)?.state;
    return h("span", nodeLink(app, id), " ", state && badge(state));
  });
  return section("Nodes", `removing it changes files on ${plural(total, "node")}`, h("div.ids", shown, total > NODES_MAX && h("span.quiet", `and ${number(total - NODES_MAX)} more`)));
}

function drawBeside(app, document, { items, more }) {
  const wins = (each) => each.priority > document.priority || (each.priority === document.priority && each.id > document.id);
  return section("Other documents at this path", "the highest priority wins on each node; among equals the greatest id",
    more && h("p.warning", "There are more documents than were looked at: this list is cut."),
    h("ul.because", items.map((each) => h("li", h("span.part", wins(each) ? "overrides it" : "loses against it"), entityLink(app, `document/${each.id}`, each.id), h("span.quiet", `priority ${number(each.priority)}, ${targetText(each.target)}`)))));
}
