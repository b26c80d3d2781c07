// What nodes propose: files that an administrator accepts or rejects.

import { plural } from "../describe.js";
import { h } from "../dom.js";
import { livePage } from "../page.js";
import { empty, heading, nodeLink, reasonText, when } from "../parts.js";
import { query } from "../route.js";

const CHOICES = [["open", "Open"], ["accepted", "Accepted"], ["rejected", "Rejected"], ["superseded", "Superseded"], ["withdrawn", "Withdrawn"]];

export function open(app, root, route) {
  const state = CHOICES.some(([name]) => name === route.params.state) ? route.params.state : "open";
  return livePage(app, root, {
    load: () => app.connection.list(app.path(`/v1/proposals${query({ state })}`)),
    draw: (answer) => draw(app, state, answer),
  });
}

function draw(app, state, { items, more }) {
  const choices = CHOICES.map(([name, text]) => h("a", { href: app.href("proposals", "", { state: name === "open" ? "" : name }), "aria-current": name === state ? "page" : null }, text));
  return [
    heading(null, "Proposals", h("p.lead", null, "A node proposes a file for itself, such as a calibration made on the spot. Nothing changes before an administrator accepts it.")),
    h("nav.tabs", { "aria-label": "Which proposals" }, choices),
    items.length ? h("ul.stack", null, items.map((proposal) => h("li.card.entry", null, row(app, proposal)))) : empty(state === "open" ? "No proposal waits for a decision." : `No proposal is ${state}.`),
    more && h("p.quiet", null, `The first ${plural(items.length, "proposal")} are shown.`),
  ];
}

function row(app, proposal) {
  return [
    h("a", { href: app.href("proposal", proposal.id) }, h("code", null, proposal.path)), h("span", null, "by ", nodeLink(app, proposal.node)), reasonText(proposal.reason),
    proposal.stale && h("strong.stale", null, "stale"), h("span.push", null, when(app, proposal.at)),
  ];
}
