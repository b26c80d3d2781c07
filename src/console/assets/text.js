// Texts of what the log says, of times and of addresses: pure functions.

// What can't be seen, or changes the order of what stands beside it: the table of schema/src/terminal.rs.
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{DI}\ufff9-\ufffb]/gu;

/** The text as it is shown: nodes and others wrote it, and none of them may hide a part of it. */
export const printable = (text) => text.replace(UNSEEN, "\ufffd");

export function shellWord(text) {
  return /^[A-Za-z0-9_\/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function commandLine(...words) {
  return ["headwater", ...words.flat()].map((word) => shellWord(String(word))).join(" ");
}

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

/** Types whose last word alone would say something else. */
const VERBS = {
  NodeKeysSet: "set the keys of", ReportChanged: "heard from", ClaimExpired: "ended the claim on", ClaimRenewed: "renewed claims of",
  RemovalStaged: "staged the removal of", StageOpened: "opened a stage of", NodesReleased: "released nodes of", NodesExpected: "expects other records in",
  NodesOverdue: "found nodes overdue in", StageApproved: "approved a stage of", StagePassed: "passed a stage of", LogBegun: "began",
};

// DocumentPut put, NodeEnrolled enrolled; a newer type without such a verb is shown by its name.
function verbOf(type) {
  return VERBS[type] ?? (/(?:ed|Put|Set|Withdrawn)$/.test(type) ? /[A-Z][a-z]+$/.exec(type)[0].toLowerCase() : type);
}

export function eventText(event) {
  return `${verbOf(event.type)} ${event.entity.replace("report/", "node/")}`;
}

export function summarize(events) {
  const groups = new Map();
  for (const event of events) {
    if (event.type === "PlanKept") continue;
    const kind = event.entity.slice(0, event.entity.indexOf("/"));
    const key = `${event.type} ${kind}`;
    if (!groups.has(key)) groups.set(key, { verb: verbOf(event.type), kind, entities: [] });
    groups.get(key).entities.push(event.entity);
  }
  return [...groups.values()];
}

export function requestsOf(events) {
  const requests = new Map();
  for (const event of events) {
    const { command_id, actor, reason, at } = event;
    if (!requests.has(command_id)) requests.set(command_id, { command_id, actor, reason, at, events: [] });
    requests.get(command_id).events.push(event);
  }
  return [...requests.values()].sort((a, b) => lastOf(b) - lastOf(a));
}

export const lastOf = (request) => request.events[request.events.length - 1].position;

/** Whether a person or a program of theirs sent it, and not the log itself. */
export const isByPeople = (request) => !request.actor.startsWith("system/") && !request.actor.startsWith("join/");

export function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} byte${bytes === 1 ? "" : "s"}`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

const grouped = new Intl.NumberFormat("en");
export const number = (count) => grouped.format(count);

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

export const waitText = (wait) => WAITS[wait.for] ?? wait.for;

export const PARTS = {
  put: "put the document", enrolled: "enrolled the node", labelled: "gave the node its labels", overrode: "lost by its priority",
  staged: "staged the document", released: "released the node", opened: "opened the rollout", promoted: "ended the rollout",
  unfit: "does not select the node", left: "left that path", withdrawn: "was taken back with its rollout",
  retired: "retired the node", claimed: "claimed the job", waits: "nobody holds the job since", removed: "removed it",
  attestation: "defined the attestation", assessment: "defined the assessment", control: "defined the control",
  component: "defined the component", respecified: "changed the job's spec", made: "made the job", renewed: "renewed the claim",
  completed: "completed the last run",
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (number) => String(number).padStart(2, "0");

export function formatTime(instant, local = false) {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return String(instant);
  const offset = local ? -date.getTimezoneOffset() : 0;
  const text = new Date(date.getTime() + offset * MINUTE).toISOString().slice(0, 19).replace("T", " ");
  if (!local) return `${text}Z`;
  const sign = offset < 0 ? "-" : "+";
  const size = Math.abs(offset);
  return `${text}${sign}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export function formatSpan(milliseconds) {
  const span = Math.max(0, milliseconds);
  if (span < MINUTE) return `${Math.floor(span / SECOND)} s`;
  if (span < HOUR) return `${Math.floor(span / MINUTE)} min`;
  if (span < 2 * DAY) return `${Math.floor(span / HOUR)} h`;
  return `${Math.floor(span / DAY)} d`;
}

/** A time that is ahead of this machine's clock is `now`. */
export function formatAgo(instant, now = Date.now()) {
  const span = now - new Date(instant).getTime();
  if (Number.isNaN(span)) return "";
  return span < 5 * SECOND ? "now" : `${formatSpan(span)} ago`;
}

/** What a reader typed for a moment of the log: `{at}` as the API takes it, or `{problem}`. */
export function parseMoment(text, local = false, now = Date.now()) {
  const typed = text.trim();
  if (typed === "now") return { at: null };
  if (/^\d[\d,]*$/.test(typed)) return { at: String(Number(typed.replaceAll(",", ""))) };
  if (/^mark:[A-Za-z0-9][A-Za-z0-9_-]*$/.test(typed)) return { at: typed };
  const parts = /^(\d{4}-\d\d-\d\d)?(?:(?:^|[T ])(\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(typed);
  if (!parts || !(parts[1] || parts[2])) return { problem: "a position such as 44, a time such as 2026-01-31 12:00Z, or mark:NAME" };
  const [, day, minute = "00:00", second = ":00", zone] = parts;
  const offset = zone ? zone.toUpperCase().replace(/^([+-]\d\d)(\d\d)$/, "$1:$2") : local ? "" : "Z";
  // A time alone is the last one that there was: of today, or of yesterday.
  const on = (instant) => new Date(`${day ?? formatTime(instant, !offset).slice(0, 10)}T${minute}${second}${offset}`);
  const today = on(now);
  const date = day || !(today > now) ? today : on(now - DAY);
  if (Number.isNaN(date.getTime())) return { problem: "there is no such time" };
  // A second without a fraction is meant to its end. Dates of this language end at milliseconds, times of the log do not.
  const fraction = second.slice(3, 10) || (parts[3] ? ".999999" : ".000");
  return { at: `${date.toISOString().slice(0, 19)}${fraction}Z` };
}

/** Round times: the later one in this list, the rounder. */
const STEPS = [SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY];

/** Labels for an axis of positions: in each of `slots` equal stretches the roundest time. */
export function ticks(times, slots, local = false) {
  if (times.length < 2) return [];
  const [first, last] = [times[0].position, times.at(-1).position];
  const found = [];
  for (let slot = 0; slot < slots; slot += 1) {
    const from = timeAt(times, first + ((last - first) * slot) / slots);
    const to = timeAt(times, first + ((last - first) * (slot + 1)) / slots);
    const shift = local ? -new Date(from).getTimezoneOffset() * MINUTE : 0;
    const round = (step) => Math.ceil((from + shift) / step) * step - shift;
    const step = STEPS.findLast((each) => round(each) < to);
    if (step) found.push({ position: positionAt(times, round(step)), label: tickLabel(round(step), step, local) });
  }
  return found;
}

function tickLabel(instant, step, local) {
  const text = formatTime(instant, local);
  if (step >= DAY) return text.slice(0, 10);
  return text.slice(11, step >= MINUTE ? 16 : 19) + (local ? "" : "Z");
}

export function positionAt(times, instant) {
  for (let index = 1; index < times.length; index += 1) {
    const [before, after] = [times[index - 1], times[index]];
    const [start, end] = [Date.parse(before.at), Date.parse(after.at)];
    if (instant > end) continue;
    const part = end > start ? Math.max(0, (instant - start) / (end - start)) : 1;
    return before.position + part * (after.position - before.position);
  }
  return times[times.length - 1].position;
}

export function timeAt(times, position) {
  if (times.length === 0) return null;
  for (let index = 1; index < times.length; index += 1) {
    const [before, after] = [times[index - 1], times[index]];
    if (position > after.position) continue;
    const width = after.position - before.position;
    const part = width > 0 ? Math.max(0, (position - before.position) / width) : 1;
    const start = Date.parse(before.at);
    return start + part * (Date.parse(after.at) - start);
  }
  return Date.parse(times[times.length - 1].at);
}

// Addresses of the console stand in the fragment, so the server never sees them.

export const PAGES = [
  "fleet", "node", "documents", "document", "request", "history", "proposals", "proposal",
  "rollouts", "rollout", "proof", "server",
];

const WITH_ID = new Set(["node", "document", "request", "proposal", "rollout"]);

/** An address as `{page, id, params}`. One that means nothing leads to the fleet, and is named in `unknown`. */
export function parseRoute(fragment) {
  const text = fragment.replace(/^#/, "");
  if (text === "" || text === "/") return { page: "fleet", id: "", params: {} };
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  const params = Object.fromEntries(new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1)));
  const [page, ...rest] = path.replace(/^\//, "").split("/").map(decode);
  const id = rest.join("/");
  if (!PAGES.includes(page) || (WITH_ID.has(page) && id === "")) {
    return { page: "fleet", id: "", params: {}, unknown: text };
  }
  return { page, id, params };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function formatRoute(page, id = "", params = {}) {
  return `#/${page}${id === "" ? "" : `/${encodeURIComponent(id)}`}${query(params)}`;
}

export function tokenOf(fragment) {
  const found = /^#token=([!-~]+)$/.exec(fragment);
  return found ? decode(found[1]) : null;
}

export function apiPath(...segments) {
  return "/v1/" + segments.map((each) => String(each).split("/").map(encodeURIComponent).join("/")).join("/");
}

export function query(params) {
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.sort())}` : "";
}

export function entityRoute(entity, params = {}) {
  const cut = entity.indexOf("/");
  const [kind, id] = [entity.slice(0, cut), entity.slice(cut + 1)];
  if (kind === "report" || kind === "runtime") return formatRoute("node", id, params);
  if (["node", "document", "proposal", "rollout"].includes(kind)) return formatRoute(kind, id, params);
  return formatRoute("history", "", { ...params, entity });
}
