// All rollouts: changes that reach nodes stage by stage.

import { number, waitText } from "../describe.js";
import { h } from "../dom.js";
import { livePage } from "../page.js";
import { command, empty, heading, when } from "../parts.js";
import { drawOutcomes } from "./rollout.js";

const OVER = new Set(["promoted", "completed", "aborted"]);

export function open(app, root) {
  return livePage(app, root, { load: () => app.connection.list(app.path("/v1/rollouts")), draw: ({ items }) => draw(app, items), concerns: (change, moved) => moved || change.rows.length > 0 });
}

function draw(app, items) {
  const newest = [...items].sort((a, b) => OVER.has(a.status) - OVER.has(b.status) || b.position - a.position);
  return [
    heading(null, "Rollouts", h("p.lead", null, "In a rollout a change reaches a few nodes first, and the others only after those run it well.")),
    newest.length ? h("ul.stack", null, newest.map((rollout) => h("li.card.entry", null, row(app, rollout))))
      : h("div.stack", null, empty("There is no rollout yet."), command("headwater apply -f FOLDER --rollout stages.yaml", "One is started with manifests by")),
  ];
}

function row(app, rollout) {
  return [
    h("a.id", { href: app.href("rollout", rollout.id) }, rollout.id), h("strong", { class: `r-${rollout.status}` }, rollout.status),
    rollout.stage && h("span", null, `stage ${rollout.stage}`), rollout.waiting && h("span.quiet", null, `waits: ${waitText(rollout.waiting)}`),
    h("span", null, drawOutcomes(rollout.counts, rollout.in_flight)), rollout.failed > 0 && h("strong.stale", null, `${number(rollout.failed)} failed`), h("span.push", null, when(app, rollout.at)),
  ];
}
