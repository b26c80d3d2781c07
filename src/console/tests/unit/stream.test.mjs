// The hub and its stream, what is sent again, labels, and the difference of texts.

import assert from "node:assert/strict";
import test from "node:test";

import { difference, mayBeStored } from "../../assets/action.js";
import { EventReader, Hub } from "../../assets/hub.js";
import { firstRejected, isConcerned } from "../../assets/pages/attention.js";
import { readWindow } from "../../assets/pages/history.js";
import { quote } from "../../assets/nodes.js";
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
  const labels = { site: "lund", rack: "r1", role: "daq" };
  assert.deepEqual(difference(labels, "site=malmo role=daq new=a=b"), { set: { site: "malmo", new: "a=b" }, unset: ["rack"], problem: "" });
  assert.deepEqual(difference(labels, 'site="hall 2, lund" role=daq rack=r1'), { set: { site: "hall 2, lund" }, unset: [], problem: "" });
  for (const wrong of ["site=lund spare", "site=lund =x", "site=a site=b"]) assert.ok(difference(labels, wrong).problem, wrong);
  assert.ok(difference({ "a=b": "c" }, "a=b=c").problem);
});

test("labels that a dialog shows and nobody touches stay as they are", () => {
  const cases = [{ site: "hall 2" }, { said: 'he said "no"' }, { "two words": "" }, JSON.parse('{"__proto__": "x", "constructor": "y z"}'), { quote: '"' }, { a: "1\n2", b: "=" }];
  for (const labels of cases) {
    const text = Object.keys(labels).map((key) => quote(`${key}=${labels[key]}`)).join(" ");
    assert.deepEqual(difference(labels, text), { set: {}, unset: [], problem: "" }, text);
    assert.deepEqual(difference(labels, "").unset, Object.keys(labels));
    assert.deepEqual(Object.entries(difference({}, text).set), Object.entries(labels));
  }
});

test("an answer that does not say that nothing was stored lets the same request be sent again", () => {
  const cases = [
    [0, "unreachable", true], [502, "unreadable", true], [504, "unreadable", true], [500, "internal", true], [503, "timed_out", true], [503, "unavailable", true],
    [503, "overloaded", false], [503, "not_ready", false], [412, "plan_changed", false], [409, "version_conflict", false], [401, "invalid_token", false], [422, "invalid_value", false],
  ];
  for (const [status, code, wanted] of cases) assert.equal(mayBeStored({ status, code }, null), wanted, code);
  // What a later attempt is told says nothing of an earlier one, unless the log decided it.
  for (const [status, code] of [[503, "overloaded"], [401, "invalid_token"]]) assert.ok(mayBeStored({ status, code }, [{}]), code);
  assert.ok(!mayBeStored({ status: 412, code: "plan_changed" }, [{}]));
});

test("a window of the log is complete also where pages end early", async () => {
  const events = Array.from({ length: 40 }, (_, index) => ({ position: index + 1 }));
  // A page has three events at most, whatever is asked for.
  const get = async (path) => {
    const given = new URLSearchParams(path.split("?")[1]);
    const after = Number(given.get("after"));
    const items = events.slice(after, after + Math.min(3, Number(given.get("limit"))));
    return { items, next: items.at(-1)?.position < 40 ? String(items.at(-1).position) : null };
  };
  assert.deepEqual((await readWindow(get, "", 10, 30)).map((event) => event.position), events.slice(10, 30).map((event) => event.position));
  assert.deepEqual((await readWindow(get, "node/a", 30, 40)).length, 10);
  assert.equal(await readWindow(get, "", 0, 40), null, "too many pages");
});

test("only a request that changed a node is told to be the one that it rejects", () => {
  const impact = { nodes: [{ node: "a" }], unchanged: ["b"] };
  assert.deepEqual(["a", "b", "c"].map((id) => isConcerned(impact, id)), [true, true, false]);
  assert.equal(firstRejected({ running: { position: 4 }, reported: { rejected: [{ position: 3 }, { position: 9 }, { position: 7 }] } }), 7);
});

/** A hub whose server gives these answers, and the port of a tab. */
function hubWith(answer) {
  const [asked, told] = [[], []];
  globalThis.fetch = async (path, { headers }) => {
    asked.push(path);
    if (path.startsWith("/v1/fleet/table")) return new Promise(() => undefined);
    const { status = 200, position = 0, body = {} } = answer(path, headers.Authorization.slice("Bearer ".length));
    return new Response(JSON.stringify(body), { status, headers: { "Headwater-Position": String(position) } });
  };
  const port = { postMessage: (message) => told.push(message) };
  new Hub().attach(port);
  const send = async (message) => {
    port.onmessage({ data: message });
    for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done));
  };
  return { asked, told, send, ask: (path, more) => send({ type: "ask", id: 1, path, ...more }) };
}

const people = (_, token) => (token === "bad" ? { status: 401, body: { code: "invalid_token", detail: "" } } : { body: { name: token, role: "admin" } });

test("a link with another token signs nobody out, and asks before it signs somebody else in", async () => {
  const hub = hubWith(people);
  const session = () => hub.told.findLast((message) => message.type === "session").session;
  await hub.send({ type: "sign_in", token: "ann" });
  assert.equal(session().name, "ann");
  await hub.send({ type: "sign_in", token: "bad" });
  assert.deepEqual([session().name, hub.told.at(-1).type], ["ann", "refused"]);
  await hub.send({ type: "sign_in", token: "eve" });
  assert.deepEqual([session().name, hub.told.at(-1)], ["ann", { type: "other", name: "eve", token: "eve" }]);
  await hub.send({ type: "sign_in", token: "eve", replace: true });
  assert.equal(session().name, "eve");
  await hub.send({ type: "sign_out" });
  await hub.send({ type: "sign_in", token: "bad" });
  assert.deepEqual([session().signed_in, session().why], [false, "The token is not valid, or not any more."]);
});

test("no question about the present is answered from before what was seen", async () => {
  const hub = hubWith((path, token) => ({ ...people(path, token), position: path.includes("dry_run") ? 99 : path === "/v1/commands" ? 44 : 7 }));
  await hub.send({ type: "sign_in", token: "ann" });
  await hub.ask("/v1/nodes");
  await hub.ask("/v1/nodes?limit=1");
  await hub.ask("/v1/commands?dry_run=true", { method: "POST", body: "{}" });
  await hub.ask("/v1/commands", { method: "POST", body: "{}" });
  for (const path of ["/v1/nodes", "/v1/nodes?at=3", "/v1/log", "/v1/log/checkpoint", "/readyz"]) await hub.ask(path);
  assert.deepEqual(hub.asked.filter((path) => !/whoami|table/.test(path)), [
    "/v1/nodes", "/v1/nodes?limit=1&min_position=7", "/v1/commands?dry_run=true", "/v1/commands", "/v1/nodes?min_position=44", "/v1/nodes?at=3", "/v1/log", "/v1/log/checkpoint", "/readyz",
  ]);
});

test("figures are read out of the metrics", () => {
  const figures = readFigures('# TYPE headwater_build info\nheadwater_build_info{version="0.1.0"} 1\nheadwater_publish_lag_events 0.0\nheadwater_nodes{state="failed"} 2.0\nheadwater_slot_retained_bytes NaN\n');
  assert.deepEqual(figures, { version: "0.1.0", publish_lag_events: 0, slot_retained_bytes: NaN });
});
