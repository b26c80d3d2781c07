// Texts about what the log says: pure functions of answers of the API.

/** A word for a shell, quoted only where it must be. */
export function shellWord(text) {
  return /^[A-Za-z0-9_\/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command line: options as `["--reason", text]`, empty ones are left out by the caller. */
export function commandLine(...words) {
  return ["headwater", ...words.flat()].map((word) => shellWord(String(word))).join(" ");
}

/** Which nodes a target selects, in words. */
export function targetText(target) {
  if (!target) return "all nodes";
  if (target.all) return "every node";
  if (target.nodes) return target.nodes.length === 1 ? `node ${target.nodes[0]}` : `nodes ${target.nodes.join(", ")}`;
  const equal = Object.entries(target.match_labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const others = (target.match_expressions ?? []).map(requirementText);
  return `nodes with ${[...equal, ...others].join(" and ")}`;
}

function requirementText({ key, operator, values = [] }) {
  if (operator === "Exists") return `a label ${key}`;
  if (operator === "DoesNotExist") return `no label ${key}`;
  return `${key} ${operator === "In" ? "in" : "not in"} (${values.join(", ")})`;
}

const VERBS = {
  DocumentPut: "put", DocumentRemoved: "removed", NodeEnrolled: "enrolled", NodeLabelled: "labelled", NodeRetired: "retired",
  NodeRetried: "to be tried again by", NodeKeysSet: "new keys of", NodeBarred: "barred", NodeDismissed: "dismissed",
  PrincipalCreated: "created", PrincipalRevoked: "revoked", ReportChanged: "reported by", ControlDefined: "defined",
  ComponentDefined: "defined", AssessmentDefined: "defined", AttestationDefined: "defined", ControlRemoved: "removed",
  ComponentRemoved: "removed", AssessmentRemoved: "removed", AttestationRemoved: "removed", JobClaimed: "claimed",
  JobReleased: "released", JobCompleted: "completed", ClaimExpired: "claim expired on", ClaimRenewed: "claims renewed by",
  JoinTokenCreated: "made", JoinTokenUsed: "used", JoinTokenRevoked: "revoked", BusClosed: "closed the shared password of",
  Proposed: "proposed", ProposalAccepted: "accepted", ProposalRejected: "rejected", ProposalSuperseded: "superseded",
  ProposalWithdrawn: "withdrawn", BundleAssigned: "assigned", BundleRemoved: "ended", Marked: "marked", PlanKept: "sent as planned",
  RolloutOpened: "opened", DocumentStaged: "staged", RemovalStaged: "staged the removal of", RolloutStarted: "started",
  RolloutPaused: "paused", RolloutPromoted: "promoted", RolloutCompleted: "completed", StageOpened: "opened a stage of",
  NodesReleased: "released nodes of", NodesExpected: "expects other records of", NodesOverdue: "nodes overdue in",
  StageApproved: "approved a stage of", StagePassed: "passed a stage of", RolloutResumed: "resumed", RolloutHalted: "halted",
  RolloutAborted: "aborted", GuardSet: "set", LogBegun: "began",
};

/** What an event did: `put document/readout`. A type that is newer than this page is shown by its name. */
export function eventText(event) {
  const entity = event.entity.startsWith("report/") ? event.entity.replace("report/", "node/") : event.entity;
  return `${VERBS[event.type] ?? event.type} ${entity}`;
}

/** Groups of events of a request: the same verb for the same kind is one group. */
export function summarize(events) {
  const groups = new Map();
  for (const event of events) {
    if (event.type === "PlanKept") continue;
    const kind = event.entity.slice(0, event.entity.indexOf("/"));
    const key = `${event.type} ${kind}`;
    if (!groups.has(key)) groups.set(key, { verb: VERBS[event.type] ?? event.type, kind, entities: [] });
    groups.get(key).entities.push(event.entity);
  }
  return [...groups.values()];
}

/** Events of a stretch of the log as requests, the newest first. */
export function requestsOf(events) {
  const requests = new Map();
  for (const event of events) {
    const { command_id, actor, reason, at, count } = event;
    if (!requests.has(command_id)) requests.set(command_id, { command_id, actor, reason, at, count, events: [] });
    requests.get(command_id).events.push(event);
  }
  return [...requests.values()].sort((a, b) => lastOf(b) - lastOf(a));
}

/** The position of a request's last event that is known here. */
export const lastOf = (request) => request.events[request.events.length - 1].position;

/** Whether a person or a program of theirs sent it; the log's own reports and claims are not of interest at first sight. */
export const isByPeople = (request) => !request.actor.startsWith("system/") && !request.actor.startsWith("join/");

/** `91 bytes`, `44.3 KiB`. */
export function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} byte${bytes === 1 ? "" : "s"}`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** `1 node`, `10,000 nodes`. */
export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

const grouped = new Intl.NumberFormat("en");
export const number = (count) => grouped.format(count);

/** The first digits of a digest: enough to tell two apart by eye. */
export const short = (digest) => (digest ? digest.slice(0, 12) : "none");

const WAITS = {
  settle: "nodes apply its changes",
  bake: "the stage proves itself by time",
  approval: "a person must approve the stage",
  offline: "too many nodes are silent",
  evidence: "too few nodes have confirmed the changes, and there are no more to release: label one, or abort",
  other_rollout: "nodes apply the changes of another rollout",
  busy: "nodes are on their way to what was desired before, or rejected it",
  paused: "it is paused, until somebody resumes it",
  halted: "it is halted, because more nodes failed than it goes on with",
};

/** What a rollout waits for, in words. */
export const waitText = (wait) => WAITS[wait.for] ?? wait.for;

/** What an event did for a file: the parts of `GET /v1/why`. */
export const PARTS = {
  put: "put the document", enrolled: "enrolled the node", labelled: "gave the node its labels", overrode: "lost by its priority",
  staged: "staged the document", released: "released the node", opened: "opened the rollout", promoted: "ended the rollout",
  unfit: "does not select the node", left: "left that path", withdrawn: "was taken back with its rollout",
  retired: "retired the node", claimed: "claimed the job", waits: "nobody holds the job since", removed: "removed it",
  attestation: "defined the attestation", assessment: "defined the assessment", control: "defined the control",
  component: "defined the component", respecified: "changed the job's spec", made: "made the job", renewed: "renewed the claim",
  completed: "completed the last run",
};
