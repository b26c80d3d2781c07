// What nodes propose: files that an administrator accepts or rejects.

import { acceptProposal, rejectProposal } from "../action.js";
import { h } from "../dom.js";
import {
  command, digest, drawDiff, empty, entityLink, facts, heading, livePage, nodeLink, positionLink, reasonText,
  section, thingHeading, when,
} from "../parts.js";
import { apiPath, commandLine, plural, query } from "../text.js";

const CHOICES = [["open", "Open"], ["accepted", "Accepted"], ["rejected", "Rejected"], ["superseded", "Superseded"], ["withdrawn", "Withdrawn"]];

export function openProposals(app, root, route) {
  const state = CHOICES.some(([name]) => name === route.params.state) ? route.params.state : "open";
  return livePage(app, root, {
    load: () => app.connection.list(app.path(`/v1/proposals${query({ state })}`)),
    draw: (answer) => drawList(app, state, answer),
  });
}

function drawList(app, state, { items, more }) {
  const choices = CHOICES.map(([name, text]) => h("a", { href: app.href("proposals", "", { state: name === "open" ? "" : name }), "aria-current": name === state ? "page" : null }, text));
  return [
    heading("Proposals", "A node proposes a file for itself, such as a calibration made on the spot. Nothing changes before an administrator accepts it."),
    h("nav.tabs", { "aria-label": "Which proposals" }, choices),
    items.length ? h("ul.stack", items.map((proposal) => h("li.card.entry", row(app, proposal)))) : empty(state === "open" ? "No proposal waits for a decision." : `No proposal is ${state}.`),
    more && h("p.quiet", `The first ${plural(items.length, "proposal")} are shown.`),
  ];
}

function row(app, proposal) {
  return [
    h("a", { href: app.href("proposal", proposal.id) }, h("code", proposal.path)), h("span", "by ", nodeLink(app, proposal.node)), reasonText(proposal.reason),
    proposal.stale && h("strong.stale", "stale"), h("span.push", when(app, proposal.at)),
  ];
}

export function openProposal(app, root, route) {
  return livePage(app, root, { load: () => app.get(apiPath("proposals", route.id)), draw: (proposal) => drawProposal(app, proposal) });
}

const AGAINST = {
  open: "against the file that is desired now",
  accepted: "against the file that the node had",
};

function drawProposal(app, proposal) {
  const { decision } = proposal;
  return [
    thingHeading(app, "proposals", proposal.path, h("strong", proposal.state), app.mayWrite && proposal.state === "open" && h("div.buttons",
        h("button.danger", { "data-key": "reject", onclick: () => rejectProposal(app, proposal) }, "Reject …"),
        h("button.primary", { "data-key": "accept", onclick: () => acceptProposal(app, proposal) }, "Accept …"))),
    facts(["Proposed by", nodeLink(app, proposal.node)], ["When", when(app, proposal.at)], ["At", positionLink(app, proposal.position)], ["Why", reasonText(proposal.reason)], ["File", digest(proposal.after.digest)]),
    proposal.stale && h("p.warning", "It is stale: somebody changed the file after the node had looked at it. Accepting it replaces that change on this node."),
    section("What it changes", AGAINST[proposal.state] ?? AGAINST.accepted, drawDiff(proposal.unified, proposal.before, proposal.after)),
    decision && section("Decision", null, facts(["By", h("strong", decision.by)], ["When", when(app, decision.at)], ["At", positionLink(app, decision.position)], ["Why", reasonText(decision.reason ?? proposal.code)],
      proposal.document && ["Document", entityLink(app, `document/${proposal.document}`)])),
    command(commandLine("review", proposal.id)),
  ];
}
