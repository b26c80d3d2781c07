// Leaf, tree and checkpoint against the vectors that every other implementation is held to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  areOfOneLog, entryOf, forget, fromHex, goesOnFrom, innerNode, leafOf, parseNote, parseProof, rootFromInclusion, sha256, toHex, verifyNote, watch,
} from "../../assets/proof.js";

const toBase64 = (bytes) => Buffer.from(bytes).toString("base64");

const vector = (name) => JSON.parse(readFileSync(new URL(`../../../../replay/tests/vectors/${name}.json`, import.meta.url)));
const leafNumber = (index) => {
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setBigUint64(1, BigInt(index));
  return sha256(bytes);
};

test("each event of the vectors has its entry and its leaf", async () => {
  const events = vector("events");
  assert.ok(events.length > 30);
  for (const { event, entry, leaf } of events) {
    const told = { ...event, data_text: event.data };
    assert.equal(toHex(await entryOf(told)), entry, `position ${event.position}`);
    assert.equal(toHex(await leafOf(told)), leaf, `position ${event.position}`);
  }
});

test("a changed column changes the leaf", async () => {
  const { event, leaf } = vector("events")[3];
  for (const change of [{ actor: "mallory" }, { reason: "another" }, { data: `${event.data} ` }, { version: event.version + 1 }, { at: "2026-01-01T00:00:59.000001Z" }]) {
    const told = { ...event, ...change };
    assert.notEqual(toHex(await leafOf({ ...told, data_text: told.data })), leaf, JSON.stringify(change));
  }
});

test("a time is sealed with six digits, and a time in another form is refused", async () => {
  const { event } = vector("events")[0];
  const withTime = (at) => entryOf({ ...event, at, data_text: event.data }).then(toHex);
  assert.equal(await withTime("2026-01-01T00:00:01.5Z"), await withTime("2026-01-01T00:00:01.500000Z"));
  await assert.rejects(withTime("2026-01-01T00:00:01+00:00"));
});

async function pushLeaf(frontier, size, leaf) {
  const next = [...frontier, leaf];
  for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    const right = next.pop();
    next.push(await innerNode(next.pop(), right));
  }
  return next;
}

async function rootOfFrontier(frontier) {
  if (frontier.length === 0) return sha256(new Uint8Array());
  let root = frontier.at(-1);
  for (const left of frontier.slice(0, -1).reverse()) root = await innerNode(left, root);
  return root;
}

test("trees of the vectors have their frontiers and roots", async () => {
  const trees = new Map(vector("trees").map((tree) => [tree.size, tree]));
  let frontier = [];
  for (let size = 0; size <= 70; size += 1) {
    const known = trees.get(size);
    if (known) {
      assert.deepEqual(frontier.map(toHex), known.edge, `size ${size}`);
      assert.equal(toHex(await rootOfFrontier(frontier)), known.root, `size ${size}`);
    }
    frontier = await pushLeaf(frontier, size, await leafNumber(size));
  }
  assert.ok([...trees.keys()].filter((size) => size <= 70).length > 5);
});

/** Proofs by the definition of RFC 6962, which is another algorithm than the one under test. */
async function rootOf(leaves) {
  if (leaves.length === 1) return leaves[0];
  const cut = splitOf(leaves.length);
  return innerNode(await rootOf(leaves.slice(0, cut)), await rootOf(leaves.slice(cut)));
}

function splitOf(size) {
  let cut = 1;
  while (cut * 2 < size) cut *= 2;
  return cut;
}

async function pathOf(index, leaves) {
  if (leaves.length === 1) return [];
  const cut = splitOf(leaves.length);
  if (index < cut) return [...(await pathOf(index, leaves.slice(0, cut))), await rootOf(leaves.slice(cut))];
  return [...(await pathOf(index - cut, leaves.slice(cut))), await rootOf(leaves.slice(0, cut))];
}

async function growth(before, leaves, whole = true) {
  if (before === leaves.length) return whole ? [] : [await rootOf(leaves)];
  const cut = splitOf(leaves.length);
  if (before <= cut) return [...(await growth(before, leaves.slice(0, cut), whole)), await rootOf(leaves.slice(cut))];
  return [...(await growth(before - cut, leaves.slice(cut), false)), await rootOf(leaves.slice(0, cut))];
}

test("inclusion holds for every leaf of small trees, and for no other leaf, place or size", async () => {
  const leaves = await Promise.all(Array.from({ length: 17 }, (_, index) => leafNumber(index)));
  for (let size = 1; size <= leaves.length; size += 1) {
    const part = leaves.slice(0, size);
    const root = toHex(await rootOf(part));
    for (let index = 0; index < size; index += 1) {
      const path = await pathOf(index, part);
      assert.equal(toHex(await rootFromInclusion(part[index], index, size, path)), root, `${index} of ${size}`);
      assert.notEqual(toHex(await rootFromInclusion(leaves[16 - index] === part[index] ? leaves[0] : leaves[16 - index], index, size, path)), root, `another leaf at ${index} of ${size}`);
      for (const wrong of [[...path, root], path.slice(0, -1)].filter((each) => size > 1 || each.length)) {
        await assert.rejects(rootFromInclusion(part[index], index, size, wrong), `${wrong.length} hashes for ${index} of ${size}`);
      }
    }
    await assert.rejects(rootFromInclusion(part[0], size, size, []));
  }
});

test("consistency holds for every pair of small trees, and for none with a flipped byte", async () => {
  const leaves = await Promise.all(Array.from({ length: 17 }, (_, index) => leafNumber(index)));
  for (let size = 1; size <= leaves.length; size += 1) {
    const after = { size, root: await rootOf(leaves.slice(0, size)) };
    for (let first = 1; first <= size; first += 1) {
      const before = { size: first, root: await rootOf(leaves.slice(0, first)) };
      const hashes = await growth(first, leaves.slice(0, size));
      assert.ok(await goesOnFrom(before, after, hashes), `${first} to ${size}`);
      assert.ok(!(await goesOnFrom({ ...before, root: flipped(before.root) }, after, hashes)), `another beginning, ${first} to ${size}`);
      assert.ok(!(await goesOnFrom(before, { ...after, root: flipped(after.root) }, hashes)), `another end, ${first} to ${size}`);
      if (hashes.length) assert.ok(!(await goesOnFrom(before, after, [flipped(hashes[0]), ...hashes.slice(1)])), `a flipped hash, ${first} to ${size}`);
      if (first < size) assert.ok(!(await goesOnFrom(after, before, hashes)), `a log that shrank, ${size} to ${first}`);
    }
  }
});

const flipped = (bytes) => bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte));

test("the checkpoint of the vectors is verified, and no other key, log or text is believed", async () => {
  const { key, log_id, note, position, root } = vector("checkpoint");
  const good = await verifyNote(note, log_id, fromHex(key));
  assert.deepEqual([good.size, toHex(good.root)], [position, root]);
  await assert.rejects(verifyNote(note, log_id, flipped(fromHex(key))), /no signature of this key/);
  await assert.rejects(verifyNote(note, log_id.replace("0197", "0198"), fromHex(key)), /another log/);
  await assert.rejects(verifyNote(note.replace("\n36\n", "\n37\n"), log_id, fromHex(key)), /wrong/);
  await assert.rejects(verifyNote(note.replace("\n36\n", "\n036\n"), log_id, fromHex(key)), /size/);
  assert.throws(() => parseNote(note.trimEnd()), /form/);
});

test("signatures of others on a checkpoint are passed over", async () => {
  const { key, log_id, note, position } = vector("checkpoint");
  const other = `— witness.example ${toBase64(new Uint8Array(68))}\n`;
  assert.equal((await verifyNote(note.replace("\n\n", `\n\n${other}`), log_id, fromHex(key))).size, position);
});

test("a proof is read as it was written, and another form is refused", () => {
  const { note } = vector("checkpoint");
  const hash = toBase64(new Uint8Array(32).fill(7));
  const text = `c2sp.org/tlog-proof@v1\nindex 43\n${hash}\n${hash}\n\n${note}`;
  const proof = parseProof(text);
  assert.deepEqual([proof.index, proof.hashes.map(toBase64), proof.note], [43, [hash, hash], note]);
  for (const wrong of [text.replace("@v1", "@v2"), text.replace("index 43", "index -1"), text.replace("index 43\n", "")]) assert.throws(() => parseProof(wrong));
});

class Memory {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => this.#items.set(key, value);
  removeItem = (key) => this.#items.delete(key);
}

test("a browser remembers a checkpoint, and finds a log that is shorter, rewritten or signed by another key", async () => {
  const { key, log_id, note, position, root } = vector("checkpoint");
  const log = { log_id, signing_key: key };
  const server = (more = {}) => async (path) => ({ "/v1/log": { ...log, ...more }, "/v1/log/checkpoint": { note, position, at: "2026-01-01T00:00:00Z" } })[path];
  const storage = new Memory();
  const first = await watch(server(), storage);
  assert.deepEqual([first.verdict, first.seen, toHex(first.now.root)], ["good", null, root]);
  const again = await watch(server(), storage);
  assert.deepEqual([again.verdict, again.seen.size], ["good", position]);
  const seen = (change) => storage.setItem(`headwater-checkpoint:${log_id}`, JSON.stringify({ ...again.seen, ...change }));
  seen({ size: position + 1 });
  assert.match((await watch(server(), storage)).detail, /end was lost/);
  seen({ root: toHex(flipped(fromHex(root))) });
  assert.match((await watch(server(), storage)).detail, /rewritten/);
  seen({ key: toHex(flipped(fromHex(key))) });
  assert.match((await watch(server(), storage)).detail, /another key/);
  forget(log_id, storage);
  assert.equal((await watch(server(), storage)).verdict, "good");
  assert.match((await watch(server({ log_id: log_id.replace("0197", "0198") }), storage)).detail, /another log/i);
});

test("storage that is full or forbidden makes a good log no bad one", async () => {
  const { key, log_id, note, position } = vector("checkpoint");
  const get = async (path) => ({ "/v1/log": { log_id, signing_key: key }, "/v1/log/checkpoint": { note, position, at: "" } })[path];
  const full = new Memory();
  full.setItem = () => {
    throw new Error("the quota is used up");
  };
  for (const storage of [full, null]) {
    const { verdict, detail } = await watch(get, storage);
    assert.equal(verdict, "good");
    assert.match(detail, /could not be kept/);
  }
});

test("a slow tab does not replace a newer checkpoint with an older one", async () => {
  const { key, log_id, note, position } = vector("checkpoint");
  const storage = new Memory();
  const newer = JSON.stringify({ key, size: position + 1, root: "00" });
  const get = async (path) => {
    // Another tab is faster while this one waits for an answer.
    if (path === "/v1/log/checkpoint") storage.setItem(`headwater-checkpoint:${log_id}`, newer);
    return { "/v1/log": { log_id, signing_key: key }, "/v1/log/checkpoint": { note, position, at: "" } }[path];
  };
  assert.equal((await watch(get, storage)).verdict, "good");
  assert.equal(storage.getItem(`headwater-checkpoint:${log_id}`), newer);
});

test("two checkpoints are of one log only if one goes on from the other", async () => {
  const leaves = await Promise.all(Array.from({ length: 9 }, (_, index) => leafNumber(index)));
  const at = async (size, of = leaves) => ({ size, root: await rootOf(of.slice(0, size)) });
  const asked = [];
  const get = async (path) => {
    const [, from, to] = /from=(\d+)&to=(\d+)$/.exec(path);
    asked.push([Number(from), Number(to)]);
    return { hashes: (await growth(Number(from), leaves.slice(0, Number(to)))).map(toHex) };
  };
  assert.ok(await areOfOneLog(get, await at(4), await at(9)));
  assert.ok(await areOfOneLog(get, await at(9), await at(4)));
  assert.ok(await areOfOneLog(get, await at(9), await at(9)));
  assert.deepEqual(asked, [[4, 9], [4, 9]]);
  // What a server that keeps two trees answers: the event is in one of them, and this browser saw the other.
  const other = [...leaves.slice(0, 3), leaves[8], ...leaves.slice(4)];
  for (const size of [4, 9]) {
    assert.ok(!(await areOfOneLog(get, await at(9), await at(size, other))), `a tree of ${size}`);
  }
});
