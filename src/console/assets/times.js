// Times are shown in UTC with a `Z`; one switch shows the time of the reader's own place, with its offset.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (number) => String(number).padStart(2, "0");

/** `2026-11-28 06:31:45Z`, or with `local` `2026-11-28 07:31:45+01:00`. */
export function formatTime(instant, local = false) {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return String(instant);
  if (!local) return `${date.toISOString().slice(0, 19).replace("T", " ")}Z`;
  const offset = -date.getTimezoneOffset();
  const shifted = new Date(date.getTime() + offset * MINUTE);
  const sign = offset < 0 ? "-" : "+";
  const size = Math.abs(offset);
  return `${shifted.toISOString().slice(0, 19).replace("T", " ")}${sign}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** A length of time in its largest unit: `3 min`, `2 h`, `5 d`. */
export function formatSpan(milliseconds) {
  const span = Math.max(0, milliseconds);
  if (span < MINUTE) return `${Math.floor(span / SECOND)} s`;
  if (span < HOUR) return `${Math.floor(span / MINUTE)} min`;
  if (span < 2 * DAY) return `${Math.floor(span / HOUR)} h`;
  return `${Math.floor(span / DAY)} d`;
}

/** `3 min ago`; a time that is ahead of this machine's clock is `now`. */
export function formatAgo(instant, now = Date.now()) {
  const span = now - new Date(instant).getTime();
  if (Number.isNaN(span)) return "";
  return span < 5 * SECOND ? "now" : `${formatSpan(span)} ago`;
}

/**
 * Reads what a reader typed into the field for a moment of the log.
 * @returns {{at: string} | {problem: string}} `at` as the API takes it: a position, an RFC 3339 time or `mark:NAME`
 */
export function parseMoment(text, local = false) {
  const typed = text.trim();
  if (/^\d+$/.test(typed)) return { at: String(Number(typed)) };
  if (/^mark:[A-Za-z0-9][A-Za-z0-9_-]*$/.test(typed)) return { at: typed };
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(typed);
  if (!parts) return { problem: "a position such as 44, a time such as 2026-01-31 12:00Z, or mark:NAME" };
  const [, day, minute = "00:00", second = ":00", zone] = parts;
  const offset = zone ? zone.toUpperCase().replace(/^([+-]\d\d)(\d\d)$/, "$1:$2") : local ? "" : "Z";
  const date = new Date(`${day}T${minute}${second}${offset}`);
  if (Number.isNaN(date.getTime())) return { problem: "there is no such time" };
  return { at: date.toISOString() };
}

/** Round times: the later one in this list, the rounder. */
const STEPS = [SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY];

/**
 * Labels for an axis of positions: in each of `slots` equal stretches of it the roundest time. The axis is not even in time:
 * where much happened, hours lie far apart.
 * @param {{position: number, at: string}[]} times known moments, in order
 * @returns {{position: number, label: string}[]}
 */
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

/** The position at a time, between the two known moments around it. */
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

/** The time at a position, between the two known moments around it; null if none is known. */
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
