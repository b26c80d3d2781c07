// The live stream, and the difference of texts.

import assert from "node:assert/strict";
import test from "node:test";

import { difference } from "../../assets/action.js";
import { EventReader } from "../../assets/hub.js";
import { readFigures } from "../../assets/pages/server.js";
import { changedPart, parseUnified } from "../../assets/parts.js";

test("events come out of any pieces of the stream", () => {
  const text = ": alive\n\nevent: table\ndata: {\"a\":1}\n\nid: 4\nevent: change\ndata: one\ndata: two\n\ndata:\n\n";
  const whole = new EventReader().push(text);
  assert.deepEqual(whole, [{ event: "table", data: '{"a":1}' }, { event: "change", data: "one\ntwo" }, { event: "message", data: "" }]);
  for (let size = 1; size < 9; size += 1) {
    const reader = new EventReader();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)));
    assert.deepEqual(found, whole, `pieces of ${size}`);
  }
});

test("an event that is not complete yet is not given", () => {
  const reader = new EventReader();
  assert.deepEqual(reader.push("event: table\ndata: x\n"), []);
  assert.deepEqual(reader.push("\n"), [{ event: "table", data: "x" }]);
});

test("a unified difference becomes lines with their numbers", () => {
  const lines = parseUnified("--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@\n same\n--- old\n+++ new\n end\n\\ No newline at end of file\n");
  assert.deepEqual(lines.map((line) => [line.kind, line.text, line.old, line.new]).slice(1), [
    ["same", "same", 3, 3], ["del", "-- old", 4, null], ["add", "++ new", null, 4], ["same", "end", 5, 5], ["hunk", "No newline at end of file", null, null],
  ]);
});

test("whole words are marked as changed", () => {
  const part = (a, b) => {
    const { start, end } = changedPart(a, b);
    return [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  };
  assert.deepEqual(part("window: 70,", "window: 80,"), ["70", "80"]);
  assert.deepEqual(part("[1, 2]", "[1, 2, 3]"), ["2", "2, 3"]);
});

test("labels are set and unset as their text says", () => {
  assert.deepEqual(difference({ site: "lund", rack: "r1", role: "daq" }, "site=malmo role=daq new=a=b"), { set: { site: "malmo", new: "a=b" }, unset: ["rack"] });
});

test("figures are read out of the metrics", () => {
  const figures = readFigures('# TYPE headwater_build info\nheadwater_build_info{version="0.1.0"} 1\nheadwater_publish_lag_events 0.0\nheadwater_nodes{state="failed"} 2.0\nheadwater_slot_retained_bytes NaN\n');
  assert.deepEqual(figures, { version: "0.1.0", publish_lag_events: 0, slot_retained_bytes: NaN });
});
