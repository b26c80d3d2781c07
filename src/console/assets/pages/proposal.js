// A proposal: what it would change, line by line, and the decision.

import { acceptProposal, rejectProposal } from "../actions.js";
import { commandLine } from "../describe.js";
import { drawDiff } from "../diff.js";
import { h } from "../dom.js";
import { livePage } from "../page.js";
import { command, digest, entityLink, facts, nodeLink, positionLink, reasonText, section, when } from "../parts.js";
import { apiPath } from "../route.js";

export function open(app, root, route) {
  return livePage(app, root, { load: () => app.connection.get(app.path(apiPath("proposals", route.id))), draw: (proposal) => draw(app, proposal) });
}

const AGAINST = {
  open: "against the file that is desired now",
  accepted: "against the file that the node had",
};

function draw(app, proposal) {
  const { decision } = proposal;
  return [
    h("header.heading", null, h("p.kind", null, h("a", { href: app.href("proposals") }, "Proposals"), " › proposal"),
      h("div.titleline", null, h("h1", null, proposal.path), h("strong", null, proposal.state), app.mayWrite && proposal.state === "open" && h("div.buttons", null,
        h("button.danger", { type: "button", "data-key": "reject", onclick: () => rejectProposal(app, proposal) }, "Reject …"),
        h("button.primary", { type: "button", "data-key": "accept", onclick: () => acceptProposal(app, proposal) }, "Accept …")))),
    facts(["Proposed by", nodeLink(app, proposal.node)], ["When", when(app, proposal.at)], ["At", positionLink(app, proposal.position)], ["Why", reasonText(proposal.reason)], ["File", digest(proposal.after.digest)]),
    proposal.stale && h("p.warning", null, "It is stale: somebody changed the file after the node had looked at it. Accepting it replaces that change on this node."),
    section("What it changes", AGAINST[proposal.state] ?? AGAINST.accepted, drawDiff(proposal.unified, proposal.before, proposal.after)),
    decision && section("Decision", null, facts(["By", h("strong", null, decision.by)], ["When", when(app, decision.at)], ["At", positionLink(app, decision.position)], ["Why", reasonText(decision.reason ?? proposal.code)],
      proposal.document && ["Document", entityLink(app, `document/${proposal.document}`)])),
    command(commandLine("review", proposal.id)),
  ];
}
