// The difference of two texts, drawn from the unified form in which the server says it.

import { h } from "./dom.js";

const LINES_MAX = 400;

/**
 * Lines of a unified difference, without its file names.
 * @returns {{kind: "same"|"add"|"del"|"hunk", text: string, old: number|null, new: number|null}[]}
 */
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

/** The part of two lines that differs: how much they share at the start and at the end. */
export function changedPart(a, b) {
  let start = 0;
  const most = Math.min(a.length, b.length);
  while (start < most && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < most - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  // Whole words are marked: 70 against 80 differs as a number, and not in a digit.
  while (start > 0 && WORD.test(a[start - 1])) start -= 1;
  while (end > 0 && WORD.test(a[a.length - end])) end -= 1;
  return { start, end };
}

// A removed line and the added line in its place are compared, so that the eye finds the word that changed.
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
      if (part.start + part.end > 2) [a, b].forEach((line) => found.set(line, part));
    }
    index = adds;
  }
  return found;
}

function textOf(line, part) {
  if (!part) return [line.text];
  const end = line.text.length - part.end;
  return [line.text.slice(0, part.start), h("mark", null, line.text.slice(part.start, end)), line.text.slice(end)];
}

const SIGNS = { add: "+", del: "−", same: "", hunk: "" };
const WORDS = { add: "added", del: "removed" };

/** Draws a difference; null says that a text is too large or no text. */
export function drawDiff(unified, before, after) {
  if (unified === null || unified === undefined) return h("p.quiet", null, "The contents are not shown: one of them is no text, or too large.");
  if (unified === "") return h("p.quiet", null, before && after ? "The text is the same." : "The file is empty.");
  const lines = parseUnified(unified);
  const marked = pairs(lines);
  const draw = (list) => list.map((line) => drawLine(line, marked.get(line)));
  const table = h("div.diff", { tabindex: "0", role: "region", "aria-label": "Differences, line by line" }, draw(lines.slice(0, LINES_MAX)));
  if (lines.length <= LINES_MAX) return table;
  const more = h("button.plain", {
    type: "button",
    onclick: () => {
      table.append(...draw(lines.slice(LINES_MAX)));
      more.remove();
    },
  }, `Show ${lines.length - LINES_MAX} more lines`);
  return h("div", null, table, more);
}

function drawLine(line, part) {
  if (line.kind === "hunk") return h("div.line.hunk", null, h("span.no"), h("span.no"), h("span.sign"), h("span.code", null, line.text));
  return h(`div.line.${line.kind}`, null,
    h("span.no", null, line.old ?? ""), h("span.no", null, line.new ?? ""),
    h("span.sign", { title: WORDS[line.kind] ?? null }, SIGNS[line.kind]),
    h("span.code", null, textOf(line, part)));
}
