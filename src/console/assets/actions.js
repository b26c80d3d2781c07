// The changes that this console offers. Each is a command of the API, and has its command line.

import { dryRun, openAction } from "./action.js";
import { commandLine, number, plural } from "./describe.js";
import { h } from "./dom.js";

const withReason = (reason) => (reason ? ["--reason", reason] : []);

/** An action of plain commands. */
function plain(app, { commands, ...action }) {
  openAction(app, {
    ...action,
    prepare: (why, now) => dryRun(app, commands(why), why, now),
  });
}

/** Takes back what one request did. */
export function takeBack(app, commandId) {
  const anyway = h("input", { type: "checkbox" });
  openAction(app, {
    title: "Take back what this request did",
    verb: "Take it back",
    about: "What the request configured becomes as it was before it, as new events. The log forgets nothing.",
    fields: [h("label.check", null, anyway, "Take back also what others changed in the same things since")],
    prepare: async (reason) => {
      const question = { command_id: commandId, ...(reason ? { reason } : {}), ...(anyway.checked ? { anyway: true } : {}) };
      const answer = await app.connection.post("/v1/reverts", question);
      const left = answer.left.length + answer.more;
      return { request: answer.request, preview: answer.preview, note: left ? h("p.warning", null, `${plural(left, "thing")} stays as it is: ${answer.left.slice(0, 3).map((each) => `${each.entity} (${each.why})`).join(", ")}`) : null };
    },
    line: (reason) => commandLine("undo", commandId, anyway.checked ? ["--anyway"] : [], withReason(reason)),
  });
}

export function retryNode(app, id) {
  plain(app, {
    title: `Let ${id} try again`,
    verb: "Retry",
    about: "The node tries what its check or hook rejected once more. That helps after the cause on the machine is gone; if the file is at fault, it is rejected again.",
    commands: () => [{ type: "retry_node", id }],
    line: (reason) => commandLine("retry", id, withReason(reason)),
  });
}

/** Changes labels: the labels decide which documents a node gets. */
export function relabelNode(app, id, labels) {
  const text = Object.keys(labels).sort().map((key) => `${key}=${labels[key]}`).join(" ");
  const input = h("input.wide", { type: "text", value: text, spellcheck: "false", autocomplete: "off" });
  const read = () => difference(labels, input.value);
  plain(app, {
    title: `Change the labels of ${id}`,
    verb: "Change labels",
    about: "Labels decide which documents the node gets. Write key=value, with spaces between.",
    fields: [h("label.field", null, "Labels", input)],
    commands: () => {
      const { set, unset } = read();
      return [{ type: "relabel_nodes", target: { nodes: [id] }, set, unset }];
    },
    line: (reason) => {
      const { set, unset } = read();
      const words = [...Object.entries(set).map(([key, value]) => `${key}=${value}`), ...unset.map((key) => `${key}-`)];
      return commandLine("label", "nodes", id, words, withReason(reason));
    },
  });
}

/** What must be set and unset so that labels become those of a text. */
export function difference(labels, text) {
  const wanted = Object.fromEntries(text.split(/\s+/).filter((word) => word.includes("=")).map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
  const set = Object.fromEntries(Object.entries(wanted).filter(([key, value]) => labels[key] !== value));
  return { set, unset: Object.keys(labels).filter((key) => !(key in wanted)) };
}

export function acceptProposal(app, proposal) {
  const anyway = h("input", { type: "checkbox", checked: false });
  const stale = proposal.stale && [h("label.check", null, anyway, "Accept it although another file is desired now than the node had when it proposed")];
  plain(app, {
    title: `Accept ${proposal.path} of ${proposal.node}`,
    verb: "Accept",
    about: "The file becomes a document for this node alone, with priority 1000. Documents that nodes share stay as they are.",
    fields: stale || [],
    commands: () => [{ type: "accept_proposal", id: proposal.id, ...(anyway.checked ? { anyway: true } : {}) }],
    line: (reason) => commandLine("accept", proposal.id, anyway.checked ? ["--anyway"] : [], withReason(reason)),
  });
}

export function rejectProposal(app, proposal) {
  plain(app, {
    title: `Reject ${proposal.path} of ${proposal.node}`,
    verb: "Reject",
    about: "The operator of the node reads the reason. The node may propose again.",
    commands: (reason) => [{ type: "reject_proposal", id: proposal.id, reason: reason || "not given yet" }],
    sealsReason: true,
    line: (reason) => commandLine("reject", proposal.id, withReason(reason)),
  });
}

const ROLLOUT = {
  pause: ["Pause", "No other node gets the changes until somebody resumes it. Nodes that have them keep them."],
  resume: ["Resume", "The open stage bakes anew: paused time proves nothing."],
  abort: ["Abort", "Every node that got the changes gets back what it had before, at once."],
  complete: ["Complete", "The last stage ends although nodes are silent. Those get the changes when they return."],
};

/** Steers a rollout: `pause`, `resume`, `abort`, `complete`. */
export function steerRollout(app, rollout, verb) {
  const [text, about] = ROLLOUT[verb];
  const failures = rollout.failed;
  const limit = h("input", { type: "number", min: String(failures), value: String(failures) });
  const halted = verb === "resume" && rollout.status === "halted";
  plain(app, {
    title: `${text} the rollout ${rollout.id}`,
    verb: text,
    about,
    fields: halted ? [h("label.field", null, `Failures it goes on with (it has ${number(failures)})`, limit)] : [],
    commands: () => [{ type: `${verb}_rollout`, id: rollout.id, ...(halted ? { max_failures: { count: Number(limit.value) } } : {}) }],
    line: (reason) => commandLine("rollout", verb, rollout.id, halted ? ["--max-failures", limit.value] : [], withReason(reason)),
  });
}

export function approveStage(app, rollout) {
  plain(app, {
    title: `Approve stage ${rollout.stage} of ${rollout.id}`,
    verb: "Approve",
    about: "The stage may pass once its nodes have confirmed the changes and it has proved itself by time.",
    commands: () => [{ type: "approve_stage", id: rollout.id, stage: rollout.stage }],
    line: (reason) => commandLine("rollout", "approve", rollout.id, rollout.stage, withReason(reason)),
  });
}
