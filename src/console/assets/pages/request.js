// A request: who sent it, why, what it changed, and on which nodes.

import { takeBack } from "../actions.js";
import { commandLine, eventText, number, plural } from "../describe.js";
import { drawDiff } from "../diff.js";
import { h, lazy } from "../dom.js";
import { livePage } from "../page.js";
import { command, digest, empty, entityLink, facts, heading, nodeLink, positionLink, reasonText, section, when } from "../parts.js";
import { apiPath } from "../route.js";
import { badge } from "../states.js";

const NODES_MAX = 200;
const OPEN_MAX = 3;

export function open(app, root, route) {
  return livePage(app, root, {
    load: () => load(app, route.id),
    draw: (answer) => draw(app, answer),
    concerns: (change) => change.rows.length > 0,
  });
}

async function load(app, id) {
  const impact = await app.connection.get(apiPath("impact", id));
  const first = impact.events[0].position;
  const { items } = await app.connection.get(`/v1/events?after=${first - 1}&limit=${Math.min(1000, impact.events.length)}`);
  // What its nodes are now is part of the page, so that it shows whether the change arrived.
  const states = impact.nodes.slice(0, NODES_MAX).map(({ node }) => app.connection.fleet?.rows.get(node)?.state ?? "");
  return { impact, events: items.filter((event) => event.command_id === impact.command_id), states };
}

function draw(app, { impact, events, states }) {
  const first = impact.events[0].position;
  const documents = events.filter((event) => event.entity.startsWith("document/"));
  return [
    h("header.heading", null, h("p.kind", null, h("a", { href: app.href("history") }, "History"), " › request"),
      h("div.titleline", null, h("h1", null, reasonText(impact.reason)),
        app.mayWrite && h("div.buttons", null, h("button.danger", { type: "button", "data-key": "undo", onclick: () => takeBack(app, impact.command_id) }, "Take it back …")))),
    facts(["Sent by", h("strong", null, impact.actor)], ["When", when(app, impact.at)],
      ["Positions", first === impact.position ? number(first) : `${number(first)} to ${number(impact.position)}`], ["Request", h("code", null, impact.command_id)]),
    documents.length > 0 && section("What it changed in documents", null, h("div.stack", null, documents.slice(0, 50).map((event, index) => drawDocument(app, event, first, impact.position, index < OPEN_MAX))),
      documents.length > 50 && h("p.quiet", null, `and ${plural(documents.length - 50, "more document")}`)),
    drawNodes(app, impact, states),
    drawEvents(app, events, impact),
    command(commandLine("impact", impact.command_id)),
    !app.mayWrite && !app.at && command(commandLine("undo", impact.command_id), "An administrator takes it back with"),
  ];
}

function drawDocument(app, event, first, last, open) {
  const id = event.entity.slice("document/".length);
  const load = async () => {
    const diff = await app.connection.get(`${apiPath("diff", "documents", id)}?from=${first - 1}&to=${last}`);
    return drawDiff(diff.unified, diff.before, diff.after);
  };
  const part = lazy(`document-${event.position}`, [h("span", null, eventText(event)), event.data?.path && h("code", null, event.data.path), h("span.push", null, `version ${event.version}`)], load);
  part.open = open;
  return h("div", null, part);
}

function drawNodes(app, impact, states) {
  const { nodes, unchanged, jobs } = impact;
  if (!nodes.length && !unchanged.length && !jobs.length) return section("Nodes", null, empty("It changed no file on any node."));
  const rows = nodes.slice(0, NODES_MAX).map(({ node, before, after }, index) =>
    h("tr", null, h("td.tight", null, nodeLink(app, node)), h("td.tight", null, states[index] ? badge(states[index]) : h("span.quiet", null, "not enrolled")), h("td", null, digest(before), " → ", digest(after))));
  return section("Nodes", nodes.length ? `files changed on ${plural(nodes.length, "node")}` : "no files changed",
    rows.length > 0 && h("div.scrollable", null, h("table.plaintable", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Node"), h("th", { scope: "col" }, "Now"), h("th", { scope: "col" }, "Record before → after"))), h("tbody", null, rows))),
    nodes.length > NODES_MAX && h("p.quiet", null, `and ${plural(nodes.length - NODES_MAX, "more node")}`),
    unchanged.length > 0 && h("p.quiet", null, `${plural(unchanged.length, "node")} got another position with the same files.`),
    jobs.length > 0 && h("p", null, `Specs of ${plural(jobs.length, "job")} changed.`));
}

function drawEvents(app, events, impact) {
  return section("Events", plural(impact.events.length, "event"),
    h("div.stack", null, events.slice(0, 100).map((event) =>
      h("details", { "data-key": `event-${event.position}` },
        h("summary", null, h("span.position", null, number(event.position)), h("strong", null, event.type), entityLink(app, event.entity), h("span.push", null, `version ${event.version}`)),
        h("div.inside", null, h("pre.raw", { tabindex: "0" }, JSON.stringify(event.data, null, 2)),
          facts(["Leaf", h("code", null, event.leaf)]), h("p", null, h("a.button", { href: app.href("proof", String(event.position)) }, "Prove that it is in the log")))))),
    events.length > 100 && h("p.quiet", null, "The first hundred are shown. ", positionLink(app, impact.position, "The last one")));
}
