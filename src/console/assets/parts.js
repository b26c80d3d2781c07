// Pieces that several pages show in the same way.

import { h, lazy, swap } from "./dom.js";
import { apiPath, entityRoute, formatAgo, formatTime, number, PARTS, short, sizeText, summarize } from "./text.js";

export function when(app, instant, ago = true) {
  if (!instant) return h("span.quiet", "not known");
  const text = formatTime(instant, app.prefs.local);
  return h("time", { datetime: instant, title: formatTime(instant, !app.prefs.local) }, text, ago && h("span.ago", ` ${formatAgo(instant)}`));
}

const UUID = /([0-9a-f]{8})-[0-9a-f-]{27}$/;

export function entityLink(app, entity, text = entity.replace(UUID, "$1")) {
  const target = entityRoute(entity, app.keptParams());
  return h("a", { href: target }, text);
}

export const nodeLink = (app, id) => h("a.id", { href: app.href("node", id) }, id);

export function positionLink(app, position, text = number(position)) {
  return h("a.position", { href: app.href("request", String(position)), title: "the request at this position" }, text);
}

export function labels(map) {
  const keys = Object.keys(map).sort();
  if (!keys.length) return h("span.quiet", "no labels");
  return h("span.labels", keys.map((key) => h("span.label", h("span.key", key), map[key])));
}

export const digest = (value) => h("code.digest", { title: value ?? "" }, short(value));

export function facts(...rows) {
  return h("dl.facts", rows.filter(Boolean).map(([name, ...value]) => h("div", h("dt", name), h("dd", value))));
}

export function section(title, note, ...children) {
  return h("section", h("h2", title, note && h("span.note", note)), children);
}

export const empty = (...text) => h("p.empty", text);

export function heading(title, lead, above) {
  return h("header.heading", above && h("p.kind", above), h("h1", title), h("p.lead", lead));
}

export function thingHeading(app, page, title, ...line) {
  const name = page.charAt(0).toUpperCase() + page.slice(1);
  return h("header.heading", h("p.kind", h("a", { href: app.href(page) }, name), " ›"), h("div.titleline", h("h1", title), line));
}

const TEXT_MAX = 200_000;

export function contentPart(app, key, title, size, path) {
  return lazy(key, [title, h("span.push", sizeText(size))], async () => {
    const { body } = await app.connection.ask({ path: app.path(path), accept: "*/*" });
    if (body.includes("\u0000") || body.includes("\ufffd")) return h("p.quiet", "It is no text.");
    return h("pre.raw", { tabindex: "0" }, body.slice(0, TEXT_MAX), body.length > TEXT_MAX && " …");
  });
}

export async function documentDiff(app, id, from, to) {
  const diff = await app.connection.get(`${apiPath("diff", "documents", id)}?from=${from}&to=${to}`);
  return { path: (diff.after ?? diff.before)?.path ?? "", draw: () => drawDiff(diff.unified, diff.before, diff.after) };
}

export function problem(error, title = "This can't be shown: ") {
  return h("div.problem", { role: "alert" }, h("strong", title), error.message, " ", error.code && h("code", error.code));
}

export function command(text, note = "The same at the command line") {
  const button = h("button.plain", { "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without https a page may not write to the clipboard.
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return h("div.command", note && h("span.note", note), h("code", { tabindex: "0" }, text), button);
}

/** Who did something and when, in one line; without a link where it stands inside of a control. */
export function byline(app, event, linked = true) {
  return h("span.byline", h("strong.actor", event.actor), " ", when(app, event.at), " at ", linked ? positionLink(app, event.position) : number(event.position));
}

export const reasonText = (reason) => (reason ? h("q.why", reason) : h("span.quiet", "no reason given"));

export function changes(app, events, most = 3) {
  const groups = summarize(events);
  const shown = groups.slice(0, most).map((group) =>
    h("span.change", `${group.verb} `,
      group.entities.length === 1
        ? entityLink(app, group.entities[0])
        : `${number(group.entities.length)} ${group.kind}s`));
  return h("span.changes", shown, groups.length > most && h("span.quiet", ` and ${groups.length - most} more`));
}

export function requestLine(app, request) {
  return h("p", h("strong.actor", request.actor), " ", changes(app, request.events), ", ", when(app, request.at), ": ", reasonText(request.reason));
}

export function because(app, answer) {
  const rows = answer.because.map((event) =>
    h("li",
      h("span.part", PARTS[event.part] ?? event.part), entityLink(app, event.entity),
      h("span.version", `version ${event.version}`), byline(app, event), event.reason && reasonText(event.reason)));
  return h("ol.because", rows, answer.more > 0 && h("li.quiet", `and ${number(answer.more)} more, which are not listed`));
}

export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const LINES_MAX = 400;

/** Lines of a unified difference: `{kind: "same"|"add"|"del"|"hunk", text, old, new}`. */
export function parseUnified(unified) {
  const lines = [];
  let [before, after] = [0, 0];
  for (const line of unified.replace(/\n$/, "").split("\n")) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (hunk) {
      [before, after] = [Number(hunk[1]), Number(hunk[2])];
      lines.push({ kind: "hunk", text: line, old: null, new: null });
    } else if (lines.length === 0) continue;
    else if (line.startsWith("+")) lines.push({ kind: "add", text: line.slice(1), old: null, new: after++ });
    else if (line.startsWith("-")) lines.push({ kind: "del", text: line.slice(1), old: before++, new: null });
    else if (line.startsWith("\\")) lines.push({ kind: "hunk", text: line.slice(2), old: null, new: null });
    else lines.push({ kind: "same", text: line.slice(1), old: before++, new: after++ });
  }
  return lines;
}

const WORD = /[A-Za-z0-9_]/;

export function changedPart(a, b) {
  let start = 0;
  const most = Math.min(a.length, b.length);
  while (start < most && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < most - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  // Whole words are marked.
  while (start > 0 && WORD.test(a[start - 1])) start -= 1;
  while (end > 0 && WORD.test(a[a.length - end])) end -= 1;
  return { start, end };
}

// A removed line is compared with the added line in its place.
function pairs(lines) {
  const found = new Map();
  for (let index = 0; index < lines.length; ) {
    if (lines[index].kind !== "del") {
      index += 1;
      continue;
    }
    let dels = index;
    while (lines[dels]?.kind === "del") dels += 1;
    let adds = dels;
    while (lines[adds]?.kind === "add") adds += 1;
    for (let each = 0; each < Math.min(dels - index, adds - dels); each += 1) {
      const [a, b] = [lines[index + each], lines[dels + each]];
      const part = changedPart(a.text, b.text);
      // Lines that share little are two lines, and not one that changed.
      if (2 * (part.start + part.end) >= Math.min(a.text.length, b.text.length)) [a, b].forEach((line) => found.set(line, part));
    }
    index = adds;
  }
  return found;
}

function textOf(line, part) {
  if (!part) return [line.text];
  const end = line.text.length - part.end;
  return [line.text.slice(0, part.start), h("mark", line.text.slice(part.start, end)), line.text.slice(end)];
}

const SIGNS = { add: "+", del: "−", same: "", hunk: "" };
const WORDS = { add: "added", del: "removed" };

export function drawDiff(unified, before, after) {
  if (unified === null || unified === undefined) return h("p.quiet", "The contents are not shown: one of them is no text, or too large.");
  if (unified === "") return h("p.quiet", before && after ? "The text is the same." : "The file is empty.");
  const lines = parseUnified(unified);
  const marked = pairs(lines);
  const draw = (list) => list.map((line) => drawLine(line, marked.get(line)));
  const table = h("div.diff", { tabindex: "0", role: "region", "aria-label": "Differences, line by line" }, draw(lines.slice(0, LINES_MAX)));
  if (lines.length <= LINES_MAX) return table;
  const more = h("button.plain", {
    onclick: () => {
      table.append(...draw(lines.slice(LINES_MAX)));
      more.remove();
    },
  }, `Show ${lines.length - LINES_MAX} more lines`);
  return h("div", table, more);
}

function drawLine(line, part) {
  if (line.kind === "hunk") return h("div.line.hunk", h("span.no"), h("span.no"), h("span.sign"), h("span.code", line.text));
  return h(`div.line.${line.kind}`,
    h("span.no", line.old ?? ""), h("span.no", line.new ?? ""),
    h("span.sign", { title: WORDS[line.kind] ?? null }, SIGNS[line.kind]),
    h("span.code", textOf(line, part)));
}

// A page that shows answers of the API, and follows the log while it shows the present.

const RELOAD_MS_MIN = 1_000;
const BUSY_MS = 5_000;

// These members differ in every answer, and no page shows more of them than their size.
const VOLATILE = new Set(["silence_ms", "seq"]);

/** `concerns(change, moved)`: whether the live change matters here; unless given, each new event does. */
export function livePage(app, root, { load, draw, pause = RELOAD_MS_MIN, concerns = (_, moved) => moved }) {
  let [closed, running, again, shown, timer, note] = [false, false, false, null, null, null];
  root.replaceChildren(h("p.quiet.loading", "Loading …"));

  async function reload() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    clearTimeout(timer);
    timer = null;
    try {
      const answer = await load();
      const print = JSON.stringify(answer, (key, value) => (VOLATILE.has(key) ? undefined : value));
      note?.remove();
      if (!closed && print !== shown) swap(root, draw(answer));
      shown = print;
    } catch (error) {
      if (error.status === undefined) console.error(error);
      if (!closed) fail(error);
    }
    running = false;
    if (again && !closed) soon(pause);
  }

  // A server that is busy, or away, takes nothing from the page that was shown, and is asked again.
  function fail(error) {
    const passing = error.status === 0 || error.status === 503;
    note?.remove();
    if (passing && shown !== null) root.prepend((note = problem(error, "This is as it was: ")));
    else swap(root, problem(error));
    if (!passing) shown = null;
    else if (!app.at) soon(Math.max(pause, BUSY_MS));
  }

  function soon(wait) {
    again = false;
    // Not begun anew: where something changes all the time it would never end.
    timer ??= setTimeout(reload, wait);
  }

  const over = new AbortController();
  app.connection.addEventListener("change", ({ detail }) => !app.at && concerns(detail.change, detail.moved) && soon(pause), over);
  app.connection.addEventListener("fleet", () => !app.at && soon(pause), over);
  app.prefs.addEventListener("time", () => {
    shown = null;
    reload();
  }, over);
  reload();
  return {
    reload,
    close() {
      closed = true;
      clearTimeout(timer);
      over.abort();
    },
  };
}
