// All rollouts: changes that reach nodes stage by stage.

import { approveStage, steerRollout } from "../action.js";
import { h } from "../dom.js";
import {
  command, digest, empty, entityLink, facts, heading, livePage, nodeLink, positionLink, reasonText, section,
  thingHeading, when,
} from "../parts.js";
import { apiPath, commandLine, number, plural, targetText, waitText } from "../text.js";

const OVER = new Set(["promoted", "completed", "aborted"]);

export function openRollouts(app, root) {
  return livePage(app, root, { load: () => app.connection.list(app.path("/v1/rollouts")), draw: ({ items }) => drawList(app, items), concerns: (change, moved) => moved || change.rows.length > 0 });
}

function drawList(app, items) {
  const newest = [...items].sort((a, b) => OVER.has(a.status) - OVER.has(b.status) || b.position - a.position);
  return [
    heading("Rollouts", "In a rollout a change reaches a few nodes first, and the others only after those run it well."),
    newest.length ? h("ul.stack", newest.map((rollout) => h("li.card.entry", row(app, rollout))))
      : h("div.stack", empty("There is no rollout yet."), command("headwater apply -f FOLDER --rollout stages.yaml", "One is started with manifests by")),
  ];
}

function row(app, rollout) {
  return [
    h("a.id", { href: app.href("rollout", rollout.id) }, rollout.id), h("strong", { class: `r-${rollout.status}` }, rollout.status),
    rollout.stage && h("span", `stage ${rollout.stage}`), rollout.waiting && h("span.quiet", `waits: ${waitText(rollout.waiting)}`),
    h("span", drawOutcomes(rollout.counts, rollout.in_flight)), rollout.failed > 0 && h("strong.stale", `${number(rollout.failed)} failed`), h("span.push", when(app, rollout.at)),
  ];
}

/** Nodes that were not heard are counted apart from those that failed. */
const OUTCOMES = {
  confirmed: "run the changes, and their checks accepted them",
  failed: "rejected the changes",
  late: "were heard, and did not confirm in time",
  lost: "were not heard, and did not confirm in time",
  moot: "have nothing to change",
  shadowed: "have something else in force there",
};

export function openRollout(app, root, route) {
  return livePage(app, root, {
    load: () => app.get(apiPath("rollouts", route.id)),
    draw: (rollout) => drawRollout(app, rollout),
    concerns: (change, moved) => moved || change.rows.length > 0,
  });
}

function drawRollout(app, rollout) {
  const { ended, policy, waiting } = rollout;
  return [
    thingHeading(app, "rollouts", rollout.id, h("strong", { class: `r-${rollout.status}` }, rollout.status), app.mayWrite && h("div.buttons", buttons(app, rollout))),
    waiting && drawWaiting(app, waiting),
    ended && facts(["Ended by", h("strong", ended.by)], ["Why", reasonText(ended.reason)], ["At", positionLink(app, rollout.position)], ["When", when(app, rollout.at)]),
    ended?.failed.length > 0 && section("Nodes that failed, or did not confirm", null, ids(app, ended.failed)),
    facts(["Released", plural(rollout.released, "node")], ["On their way", number(rollout.in_flight)], ["Failures", number(rollout.failed)],
      policy && ["At once", number(policy.max_in_flight)], policy && ["Goes on with", plural(policy.max_failures.count, "failure")], policy && ["Time to confirm", `${number(policy.settle_s)} s`],
      policy && ["With too many", policy.on_failure]),
    rollout.stages.length > 0 && section("Stages", null, h("ol.stages", rollout.stages.map((stage) => drawStage(stage, rollout.stage)))),
    rollout.changes.length > 0 && section("Changes", plural(rollout.changes.length, "document"), h("ul.because", rollout.changes.map((change) =>
      h("li", h("span.part", change.digest ? "becomes another" : "is removed"), entityLink(app, `document/${change.document}`), change.path && h("code", change.path), change.digest && digest(change.digest), positionLink(app, change.position))))),
    h("p", h("a.button", { href: app.href("history", "", { entity: `rollout/${rollout.id}` }) }, "What was done to it")),
    command(commandLine("rollout", "watch", rollout.id)),
  ];
}

function buttons(app, rollout) {
  const steer = (verb, text, kind = "button") => h(kind, { "data-key": verb, onclick: () => steerRollout(app, rollout, verb) }, text);
  const { status, waiting, stages, stage } = rollout;
  const open = stages.find((each) => each.name === stage);
  const going = ["running", "paused", "halted"].includes(status);
  return [
    going && steer("abort", "Abort …", "button.danger"),
    status === "running" && steer("pause", "Pause …"),
    status === "running" && stages.at(-1)?.name === stage && waiting?.for === "offline" && steer("complete", "Complete …"),
    (status === "paused" || status === "halted") && steer("resume", "Resume …"),
    status === "running" && open?.gate === "approval" && !open.approved && h("button.primary", { "data-key": "approve", onclick: () => approveStage(app, rollout) }, `Approve ${stage} …`),
  ];
}

function drawWaiting(app, waiting) {
  return h("div.statement.t-move", h("p", h("strong", "It waits: "), waitText(waiting), waiting.until && [", until ", when(app, waiting.until, false)]),
    waiting.nodes.length > 0 && ids(app, waiting.nodes, waiting.more));
}

function ids(app, nodes, more = 0) {
  return h("div.ids", nodes.map((id) => nodeLink(app, id)), more > 0 && h("span.quiet", `and ${number(more)} more`));
}

function drawStage(stage, here) {
  const open = stage.name === here;
  const rule = [stage.select ? targetText(stage.select) : "all nodes", quotaText(stage), `bakes ${number(stage.bake_s)} s`, stage.gate === "approval" && (stage.approved ? "approved" : "needs approval")].filter(Boolean).join(" · ");
  const settled = Object.values(stage.counts).reduce((sum, count) => sum + count, 0);
  return h("li.card.stage", { class: open ? "open" : "", "aria-current": open ? "step" : null },
    h("div", h("h3", stage.name), open ? h("strong", "open") : h("span.quiet", stage.members || stage.released ? "passed" : "not open yet")),
    h("div.stack", meter(stage, settled), drawOutcomes(stage.counts, stage.released - settled), h("span.note", rule)),
    h("span.quiet", stage.quota ? `${number(stage.released)} of ${number(stage.quota)} released` : "", stage.members ? `, ${plural(stage.members, "node")} in it` : ""));
}

function quotaText({ up_to }) {
  if (up_to.count !== undefined) return `at most ${plural(up_to.count, "node")}`;
  return up_to.percent === 100 ? null : `${up_to.percent} %`;
}

function meter(stage, settled) {
  const parts = [...Object.keys(OUTCOMES).map((outcome) => [outcome, stage.counts[outcome] ?? 0]), ["flight", Math.max(0, stage.released - settled)]];
  const bar = h("div.meter", { "aria-hidden": "true" }, parts.filter(([, count]) => count).map(([outcome, count]) => {
    const part = h("span", { class: `o-${outcome}` });
    part.style.flexGrow = String(count);
    return part;
  }));
  const rest = h("span");
  rest.style.flexGrow = String(Math.max(0, (stage.quota || stage.members) - stage.released));
  bar.append(rest);
  return bar;
}

export function drawOutcomes(counts, flight) {
  const shown = Object.keys(OUTCOMES).filter((outcome) => counts?.[outcome] > 0);
  return h("span.outcomes", shown.map((outcome) => h("span", { title: OUTCOMES[outcome] }, `${number(counts[outcome])} ${outcome}`)), flight > 0 && h("span", `${number(flight)} on their way`));
}
