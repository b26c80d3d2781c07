// Addresses, times and command lines.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  apiPath, commandLine, entityRoute, eventText, formatAgo, formatRoute, formatSpan, formatTime, parseMoment, parseRoute, positionAt, printable, query, requestsOf, shellWord, summarize, targetText, ticks, timeAt, tokenOf,
} from "../../assets/text.js";

test("an address is read as it was written", () => {
  for (const [page, id, params] of [
    ["fleet", "", {}], ["node", "node-1", { at: "44", filter: "site=lund state!=converged text" }], ["document", "a/b?c#d", {}], ["request", "01a220da-46b6-7199-bf3a-ab47fddf12c4", { at: "2026-01-01T00:00:00Z" }],
  ]) {
    assert.deepEqual(parseRoute(formatRoute(page, id, params)), { page, id, params });
  }
});

test("one view has one address", () => {
  assert.equal(formatRoute("fleet", "", { sort: "id", filter: "x", at: null }), formatRoute("fleet", "", { filter: "x", sort: "id" }));
  assert.equal(formatRoute("fleet", "", { filter: "" }), "#/fleet");
});

test("an address that means nothing leads to the fleet and is named", () => {
  for (const fragment of ["#/nothing", "#/node", "#/node/", "#node/x/%zz/../.."]) {
    const route = parseRoute(fragment);
    assert.ok(["fleet", "node"].includes(route.page), fragment);
  }
  assert.deepEqual(parseRoute("#/nothing").unknown, "/nothing");
  assert.deepEqual([parseRoute("").page, parseRoute("#").page, parseRoute("#/").page], ["fleet", "fleet", "fleet"]);
});

test("a token is taken from its own address only", () => {
  assert.equal(tokenOf("#token=hw_abc-DEF_1"), "hw_abc-DEF_1");
  for (const fragment of ["#/fleet?token=x", "#token=", "#token=a b", "", "#/token=x"]) assert.equal(tokenOf(fragment), null, fragment);
});

test("a path of the interface keeps its slashes and encodes the rest", () => {
  assert.equal(apiPath("nodes", "n-1", "files", "etc/mo td?#"), "/v1/nodes/n-1/files/etc/mo%20td%3F%23");
  assert.equal(query({ at: "mark:x", limit: null, cursor: "" }), "?at=mark%3Ax");
  assert.equal(query({}), "");
});

test("an entity leads to its page, or to its history", () => {
  assert.equal(entityRoute("document/motd", { at: "4" }), "#/document/motd?at=4");
  assert.equal(entityRoute("report/node-1"), "#/node/node-1");
  assert.equal(entityRoute("principal/ann"), "#/history?entity=principal%2Fann");
});

test("times are in UTC with a Z", () => {
  assert.equal(formatTime("2026-11-28T06:31:45.606384Z"), "2026-11-28 06:31:45Z");
  assert.equal(formatTime("nonsense"), "nonsense");
  assert.match(formatTime("2026-11-28T06:31:45Z", true), /^2026-11-2[789] \d\d:\d\d:45[+-]\d\d:\d\d$/);
});

test("a length of time is said in its largest unit", () => {
  const cases = [[0, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [3_600_000, "1 h"], [47 * 3_600_000, "47 h"], [48 * 3_600_000, "2 d"], [-5, "0 s"]];
  for (const [milliseconds, text] of cases) assert.equal(formatSpan(milliseconds), text);
  assert.equal(formatAgo(1_000, 61_000), "1 min ago");
  assert.equal(formatAgo(61_000, 1_000), "now");
});

test("a moment is a position, a time or a mark, and everything else is refused", () => {
  assert.deepEqual(parseMoment(" 044 "), { at: "44" });
  assert.deepEqual(parseMoment("mark:first-day"), { at: "mark:first-day" });
  assert.deepEqual(parseMoment("2026-01-31"), { at: "2026-01-31T00:00:00.000Z" });
  assert.deepEqual(parseMoment("2026-01-31 12:00"), { at: "2026-01-31T12:00:00.000Z" });
  assert.deepEqual(parseMoment("2026-01-31T12:00:05+01:00"), { at: "2026-01-31T11:00:05.999999Z" });
  assert.deepEqual(parseMoment("2026-01-31 12:00:05.123456Z"), { at: "2026-01-31T12:00:05.123456Z" });
  assert.deepEqual(parseMoment("2026-01-31 12:00:05.5"), { at: "2026-01-31T12:00:05.5Z" });
  assert.deepEqual(parseMoment("1,234"), { at: "1234" });
  assert.deepEqual(parseMoment("now"), { at: null });
  const now = Date.parse("2026-01-31T12:00:00Z");
  for (const [typed, at] of [
    ["11:59", "2026-01-31T11:59:00.000Z"], ["11:59Z", "2026-01-31T11:59:00.000Z"], ["12:01", "2026-01-30T12:01:00.000Z"], ["11:59:59Z", "2026-01-31T11:59:59.999999Z"],
  ]) {
    assert.deepEqual(parseMoment(typed, false, now), { at }, typed);
  }
  assert.deepEqual(parseMoment("11:59Z", true, now), { at: "2026-01-31T11:59:00.000Z" });
  const before = Date.parse(parseMoment("11:59", true, now).at);
  assert.ok(before <= now && before > now - 25 * 3_600_000);
  for (const typed of ["", "yesterday", "2026-13-01", "2026-01-31 25:00", "25:00", "12:60", "Z", "12:00 12:00", "mark:", "-4", "4.5", "mark:a b"]) {
    assert.ok("problem" in parseMoment(typed), typed);
  }
});

const MOMENTS = [{ position: 1, at: "2026-01-01T00:00:00Z" }, { position: 100, at: "2026-01-01T01:00:00Z" }, { position: 110, at: "2026-01-03T00:00:00Z" }];

test("positions and times lead to each other between known moments", () => {
  assert.equal(timeAt(MOMENTS, 1), Date.parse("2026-01-01T00:00:00Z"));
  assert.equal(timeAt(MOMENTS, 500), Date.parse("2026-01-03T00:00:00Z"));
  assert.equal(timeAt([], 4), null);
  for (const position of [1, 30, 99, 100, 105, 110]) assert.equal(Math.round(positionAt(MOMENTS, timeAt(MOMENTS, position))), position);
});

test("labels of the axis are round times in order, at most one in each slot", () => {
  const labels = ticks(MOMENTS, 8);
  assert.ok(labels.length >= 4 && labels.length <= 8);
  assert.deepEqual(labels.map((each) => each.position), labels.map((each) => each.position).sort((a, b) => a - b));
  assert.ok(labels.some((each) => each.label === "2026-01-02"), JSON.stringify(labels));
  assert.ok(labels.some((each) => each.label === "00:15Z"), JSON.stringify(labels));
  assert.deepEqual(ticks([MOMENTS[0]], 8), []);
});

test("a command line is safe to paste", () => {
  assert.equal(commandLine("undo", "id", ["--reason", "it's wrong; rm -rf $HOME"]), `headwater undo id --reason 'it'\\''s wrong; rm -rf $HOME'`);
  assert.equal(shellWord("a=b"), "a=b");
  for (const word of ["", "a b", "$x", "`x`", "a\nb", "*", "~", "x;y", "a'b"]) assert.match(shellWord(word), /^'/s, word);
});

test("a target is said in words", () => {
  assert.equal(targetText({ all: true }), "every node");
  assert.equal(targetText({ nodes: ["a", "b"] }), "nodes a, b");
  assert.equal(targetText({ match_labels: { site: "lund" }, match_expressions: [{ key: "rack", operator: "NotIn", values: ["r1"] }, { key: "x", operator: "Exists" }] }), "nodes with site=lund and rack not in (r1) and a label x");
});

test("events are grouped into requests, the newest first, and summed up", () => {
  const event = (position, command_id, type, entity) => ({ position, command_id, type, entity, actor: "ann", reason: null, at: "", count: 1 });
  const events = [event(1, "a", "DocumentPut", "document/x"), event(2, "a", "DocumentPut", "document/y"), event(3, "b", "PlanKept", "plan/p"), event(4, "b", "NodeRetired", "node/n")];
  const requests = requestsOf(events);
  assert.deepEqual(requests.map((request) => request.command_id), ["b", "a"]);
  assert.deepEqual(summarize(requests[1].events).map((group) => group.entities), [["document/x", "document/y"]]);
  assert.deepEqual(summarize(requests[0].events).map((group) => group.kind), ["node"]);
  assert.equal(eventText(event(1, "a", "NewerThanThis", "thing/x")), "NewerThanThis thing/x");
});

test("what can't be seen or reorders its neighbours is shown by a mark, as on a terminal", () => {
  // The ranges of the other implementation, beside category Cc.
  const source = readFileSync(new URL("../../../../schema/src/terminal.rs", import.meta.url), "utf8");
  const table = /fn is_unprintable[\s\S]*?\n}\n/.exec(source)[0];
  const ranges = [...table.matchAll(/'\\u\{([0-9a-f]+)\}'(?:\.\.='\\u\{([0-9a-f]+)\}')?/g)].map(([, first, last]) => [first, last ?? first].map((digits) => Number.parseInt(digits, 16)));
  assert.ok(ranges.length > 15);
  for (let point = 0; point <= 0x10ffff; point += 1) {
    if (point >= 0xd800 && point < 0xe000) continue;
    const next = String.fromCodePoint(point);
    const isHidden = next !== "\n" && next !== "\t" && (/\p{Cc}/u.test(next) || ranges.some(([first, last]) => point >= first && point <= last));
    assert.equal(printable(next), isHidden ? "\ufffd" : next, `U+${point.toString(16)}`);
  }
  assert.equal(printable("a\u202eb\n\tc\r\u{e0041}"), "a\ufffdb\n\tc\ufffd\ufffd");
});
