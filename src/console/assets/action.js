// A change by hand: what it would do is shown first, and it is sent with a reason and only if it still does exactly that.

import { h, setText, swap } from "./dom.js";
import { quote, terms } from "./nodes.js";
import { command, nodeLink } from "./parts.js";
import { commandLine, number, plural } from "./text.js";

/**
 * Opens the dialog of an action: `prepare(reason, now)` gives `{request, preview, note}`, `line(reason)` the command line.
 * `sealsReason` says that the plan covers the reason, so that it is made again with the last one.
 */
export function openAction(app, action) {
  new ActionDialog(app, action).open();
}

export async function dryRun(app, commands, reason, now = false) {
  const request = { ...(reason ? { reason } : {}), ...(now ? { now: true } : {}), commands };
  const preview = await app.connection.post("/v1/commands?dry_run=true", request);
  return { request, preview };
}

class ActionDialog {
  #app;
  #action;
  #prepared = null;
  #key = newKey();
  /** What was sent without an answer that tells what became of it: only the same may be sent again. */
  #sent = null;
  #turn = 0;

  constructor(app, action) {
    this.#app = app;
    this.#action = action;
    this.reason = h("input", {
      type: "text", required: true, maxlength: "1000", placeholder: "why, for those who read the log later",
      oninput: () => this.#refresh(),
    });
    this.now = h("input", { type: "checkbox", onchange: () => this.#prepare() });
    this.nowRow = h("label.check", { hidden: true }, this.now, "Send it although it changes files on more nodes than the guard allows");
    this.preview = h("div.preview", { "aria-live": "polite" });
    this.state = h("p.state", { role: "status" });
    this.line = h("div");
    this.send = h("button.primary", { type: "submit", disabled: true }, action.verb);
    this.dialog = h("dialog.action", { "aria-label": action.title, onclose: () => this.dialog.remove() }, this.#form());
  }

  #form() {
    const action = this.#action;
    const form = h("form", { onsubmit: (event) => this.#submit(event) },
      h("h2", action.title), action.about && h("p", action.about),
      action.fields, this.nowRow,
      h("label.field", "Reason", this.reason),
      h("h3", "What it would do now"), this.preview, this.line, this.state,
      h("div.buttons", h("button", { onclick: () => this.dialog.close() }, "Cancel"), this.send));
    for (const field of action.fields ?? []) field.addEventListener("change", () => this.#prepare());
    return form;
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.reason.focus();
    this.#refresh();
    this.#prepare();
  }

  #refresh() {
    swap(this.line, command(this.#action.line(this.reason.value) + (this.now.checked ? " --now" : "")));
    this.send.disabled = !this.#prepared?.preview?.permitted || this.reason.value.trim() === "";
  }

  // Answers that come after a newer question count for nothing.
  async #prepare() {
    this.#turn += 1;
    const turn = this.#turn;
    this.#prepared = null;
    this.state.textContent = "";
    this.preview.replaceChildren(h("p.quiet", "Asking the server …"));
    this.#refresh();
    try {
      const prepared = await this.#action.prepare(this.reason.value, this.now.checked);
      if (turn !== this.#turn) return;
      this.#prepared = prepared;
      this.nowRow.hidden &&= !prepared.preview?.warnings.some((each) => each.code === "blast_radius");
      swap(this.preview, prepared.note, prepared.preview ? drawPreview(this.#app, prepared.preview) : h("p", "There is nothing to do: everything is so already."));
    } catch (error) {
      if (turn === this.#turn) swap(this.preview, refusal(error));
    }
    this.#refresh();
  }

  async #submit(event) {
    event.preventDefault();
    if (this.send.disabled) return;
    this.#lock(true);
    const sent = this.#sent ?? (await this.#compose());
    if (!sent) return this.#lock(false);
    this.send.disabled = true;
    this.state.textContent = "Sending …";
    try {
      const answer = await this.#app.connection.post("/v1/commands", ...sent);
      this.dialog.close();
      this.#app.tell("Stored at position ", h("a", { href: this.#app.href("request", String(answer.position)) }, number(answer.position)), ". Nodes get it now.");
      this.#app.changed();
    } catch (error) {
      this.#fail(error, sent);
    }
  }

  async #compose() {
    if (this.#action.sealsReason) await this.#prepare();
    if (!this.#prepared?.preview) return null;
    const { request, preview } = this.#prepared;
    const body = { ...request, reason: this.reason.value.trim(), ...(this.now.checked ? { now: true } : {}) };
    return [body, { "Idempotency-Key": this.#key, ...(preview.plan ? { "If-Match": `"${preview.plan}"` } : {}) }];
  }

  #lock(locked) {
    for (const field of this.dialog.querySelectorAll("input")) field.disabled = locked;
  }

  #fail(error, sent) {
    const known = error.code === "idempotency_key_reused";
    this.#sent = mayBeStored(error, this.#sent) ? sent : null;
    this.send.disabled = known;
    if (!this.#sent && !known) {
      this.#key = newKey();
      this.#lock(false);
      if (error.code === "plan_changed") this.#prepare();
    }
    this.send.focus();
    setText(this.state, known ? "It was stored before, as it was sent first: look at the history."
      : this.#sent ? `${error.message} It may have been stored. Send it again: it is stored once.` : `${error.message} (${error.code})`);
  }
}

/** With these a server says that it did not even begin. */
const NOT_BEGUN = ["overloaded", "not_ready", "clock_ahead", "too_many_questions", "position_not_reached"];

/** Whether a request may have been stored although its answer is an error. `sent` is an earlier attempt. */
export function mayBeStored({ status, code }, sent) {
  // Who may not ask any more learns nothing of what was sent before.
  if (sent && (status === 401 || status === 403)) return true;
  return status === 0 || (status >= 500 && (Boolean(sent) || !NOT_BEGUN.includes(code)));
}

function refusal(error) {
  return h("div.problem", { role: "alert" }, h("strong", "It would be refused. "), error.message, " ", error.code && h("code", error.code));
}

// Not randomUUID: a page that came over plain HTTP has none.
function newKey() {
  return `console-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const NODES_SHOWN = 8;

export function drawPreview(app, preview) {
  const changed = preview.nodes.filter((node) => node.files.length);
  const total = preview.nodes.length + preview.more;
  const rows = preview.nodes.slice(0, NODES_SHOWN).map((node) => h("li", nodeLink(app, node.node), h("span.files", nodeText(node))));
  return [
    !preview.permitted && h("p.problem", "Your token may read only: an administrator can send this."),
    preview.warnings.map((warning) => h("p.warning", warning.detail, " ", h("code", warning.code))),
    h("p", h("strong", plural(preview.events.length, "event")), total ? [", and ", h("strong", plural(total, "node")), changed.length ? " would get other files" : " would be concerned"] : ", and no file on any node changes"),
    rows.length > 0 && h("ul.nodes", rows, total > NODES_SHOWN && h("li.quiet", `and ${plural(total - NODES_SHOWN, "more node")}`)),
  ];
}

function nodeText(node) {
  if (node.retired) return "is retired, and keeps no files";
  if (node.may_retry && !node.files.length) return "tries again";
  return node.files.slice(0, 4).map(fileText).join(", ") + (node.files.length > 4 ? ` and ${node.files.length - 4} more` : "");
}

function fileText(file) {
  if (!file.before) return `+ ${file.path}`;
  return `${file.after ? "~" : "−"} ${file.path}`;
}

const withReason = (reason) => (reason ? ["--reason", reason] : []);

function plain(app, { commands, ...action }) {
  openAction(app, {
    ...action,
    prepare: (why, now) => dryRun(app, commands(why), why, now),
  });
}

export function takingBack(app, commandId) {
  if (app.at) return null;
  if (!app.mayWrite) return command(commandLine("undo", commandId), "An administrator takes it back with");
  return h("button.danger", { "data-key": `undo-${commandId}`, onclick: () => takeBack(app, commandId) }, "Take it back …");
}

function takeBack(app, commandId) {
  const anyway = h("input", { type: "checkbox" });
  openAction(app, {
    title: "Take back what this request did",
    verb: "Take it back",
    about: "What the request configured becomes as it was before it, as new events. The log forgets nothing.",
    fields: [h("label.check", anyway, "Take back also what others changed in the same things since")],
    prepare: async (reason) => {
      const question = { command_id: commandId, ...(reason ? { reason } : {}), ...(anyway.checked ? { anyway: true } : {}) };
      const answer = await app.connection.post("/v1/reverts", question);
      const left = answer.left.length + answer.more;
      return { request: answer.request, preview: answer.preview, note: left ? h("p.warning", `${plural(left, "thing")} stays as it is: ${answer.left.slice(0, 3).map((each) => `${each.entity} (${each.why})`).join(", ")}`) : null };
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

export function relabelNode(app, id, labels) {
  const text = words(labels).map(quote).join(" ");
  const input = h("input.wide", { type: "text", value: text, spellcheck: "false", autocomplete: "off" });
  const read = () => difference(labels, input.value);
  openAction(app, {
    title: `Change the labels of ${id}`,
    verb: "Change labels",
    about: 'Labels decide which documents the node gets. Write key=value, with spaces between, or "key=a value".',
    fields: [h("label.field", "Labels", input)],
    prepare: async (reason, now) => {
      const { set, unset, problem } = read();
      if (problem) throw new Error(problem);
      if (!unset.length && !Object.keys(set).length) return { preview: null };
      const note = h("p", [["Sets ", words(set)], ["Takes away ", unset]].map(([verb, list]) => list.length > 0 && [verb, list.map((each) => [h("code", quote(each)), " "])]));
      return { ...(await dryRun(app, [{ type: "relabel_nodes", target: { nodes: [id] }, set, unset }], reason, now)), note };
    },
    line: (reason) => {
      const { set, unset } = read();
      return commandLine("label", "nodes", id, words(set), unset.map((key) => `${key}-`), withReason(reason));
    },
  });
}

const words = (labels) => Object.keys(labels).sort().map((key) => `${key}=${labels[key]}`);

/** What is to be set and unset so that labels are as a text says, and what is wrong with the text. */
export function difference(labels, text) {
  const wanted = {};
  let problem = Object.keys(labels).some((key) => key.includes("=")) ? "A label whose key has a = is changed at the command line only." : "";
  for (const word of terms(text)) {
    const cut = word.indexOf("=");
    const key = word.slice(0, Math.max(0, cut));
    if (!key) problem = `${word} is not key=value.`;
    else if (Object.hasOwn(wanted, key)) problem = `${key} is there twice.`;
    // Not by assignment: a key may have a name that objects treat in their own way.
    else Object.defineProperty(wanted, key, { value: word.slice(cut + 1), enumerable: true });
  }
  const set = Object.fromEntries(Object.entries(wanted).filter(([key, value]) => !Object.hasOwn(labels, key) || labels[key] !== value));
  return { set, unset: Object.keys(labels).filter((key) => !Object.hasOwn(wanted, key)), problem };
}

export function acceptProposal(app, proposal) {
  const anyway = h("input", { type: "checkbox", checked: false });
  const stale = proposal.stale && [h("label.check", anyway, "Accept it although another file is desired now than the node had when it proposed")];
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

export function steerRollout(app, rollout, verb) {
  const [text, about] = ROLLOUT[verb];
  const failures = rollout.failed;
  const limit = h("input", { type: "number", min: String(failures), value: String(failures) });
  const halted = verb === "resume" && rollout.status === "halted";
  plain(app, {
    title: `${text} the rollout ${rollout.id}`,
    verb: text,
    about,
    fields: halted ? [h("label.field", `Failures it goes on with (it has ${number(failures)})`, limit)] : [],
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
