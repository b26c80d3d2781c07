// The leaf of an event, computed from what the event says: replay/FORMAT.md, "Leaf".

const encoder = new TextEncoder();

export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new Error("not hexadecimal");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export const sameBytes = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function bigEndian(number, bytes) {
  const out = new Uint8Array(bytes);
  for (let index = bytes - 1, rest = BigInt(number); index >= 0; index -= 1, rest >>= 8n) out[index] = Number(rest & 255n);
  return out;
}

/** A number in 1, 2, 4 or 8 bytes behind a mark that counts them. */
function packSized(mark, number) {
  const step = [1, 2, 4, 8].findIndex((bytes) => number < 256 ** bytes);
  return concat(Uint8Array.of(mark + step), bigEndian(number, 2 ** step));
}

function packInteger(number) {
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`${number} is no number of an event`);
  return number < 0x80 ? Uint8Array.of(number) : packSized(0xcc, number);
}

function packText(text) {
  const bytes = encoder.encode(text);
  const size = bytes.length;
  return concat(size < 0x20 ? Uint8Array.of(0xa0 | size) : packSized(0xd9, size), bytes);
}

const packDigest = (digest) => concat(Uint8Array.of(0xc4, 32), digest);

export function sealedTime(at) {
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z$/.exec(at);
  if (!parts) throw new Error("the time of an event has another form");
  return `${parts[1]}.${(parts[2] ?? "").padEnd(6, "0")}Z`;
}

/** The MessagePack entry that the leaf seals. */
export async function entryOf(event) {
  const reason = await sha256(encoder.encode(event.reason ?? ""));
  const data = await sha256(encoder.encode(event.data_text));
  return concat(
    Uint8Array.of(0x90 | 14),
    packInteger(event.v), packText(event.log_id), packInteger(event.position), packText(event.event_id),
    packText(event.command_id), packInteger(event.ordinal), packInteger(event.count), packText(event.entity),
    packInteger(event.version), packText(event.type), packText(event.actor), packText(sealedTime(event.at)),
    packDigest(reason), packDigest(data),
  );
}

export async function leafOf(event) {
  return sha256(concat(Uint8Array.of(0), await entryOf(event)));
}

// Proofs of RFC 6962. Numbers of leaves are divided and not shifted: bit operations of this language end at 2^31.

export function innerNode(left, right) {
  return sha256(concat(Uint8Array.of(1), left, right));
}

const half = (number) => Math.floor(number / 2);
const odd = (number) => number % 2 === 1;

/** The root that a leaf and its proof lead to. The index counts from 0; the lowest hash comes first. */
export async function rootFromInclusion(leaf, index, size, hashes) {
  if (!(index >= 0 && index < size)) throw new Error("the event is not in a tree of this size");
  let [place, last, root] = [index, size - 1, leaf];
  for (const hash of hashes) {
    if (last === 0) throw new Error("the proof has too many hashes");
    if (odd(place) || place === last) {
      root = await innerNode(hash, root);
      while (!odd(place) && place !== 0) [place, last] = [half(place), half(last)];
    } else root = await innerNode(root, hash);
    [place, last] = [half(place), half(last)];
  }
  if (last !== 0) throw new Error("the proof has too few hashes");
  return root;
}

export async function goesOnFrom(before, after, hashes) {
  if (before.size > after.size) return false;
  if (before.size === after.size) return hashes.length === 0 && sameBytes(before.root, after.root);
  if (before.size === 0) return hashes.length === 0;
  let [place, last] = [before.size - 1, after.size - 1];
  while (odd(place)) [place, last] = [half(place), half(last)];
  const rest = [...hashes];
  // A smaller tree that is a complete subtree of the larger one is its own first hash, and is left out of the proof.
  let old = place === 0 ? before.root : rest.shift();
  if (!old) return false;
  let root = old;
  for (const hash of rest) {
    if (last === 0) return false;
    if (odd(place) || place === last) {
      [old, root] = [await innerNode(hash, old), await innerNode(hash, root)];
      while (!odd(place) && place !== 0) [place, last] = [half(place), half(last)];
    } else root = await innerNode(root, hash);
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && sameBytes(old, before.root) && sameBytes(root, after.root);
}

/** Whether two checkpoints `{size, root}` are of one log: the larger one goes on from the smaller one. */
export async function areOfOneLog(get, a, b) {
  const [before, after] = a.size <= b.size ? [a, b] : [b, a];
  const { hashes } = before.size === after.size ? { hashes: [] } : await get(`/v1/log/proof/consistency?from=${before.size}&to=${after.size}`);
  return goesOnFrom(before, after, hashes.map(fromHex));
}

// Checkpoints: a C2SP tlog-checkpoint in a signed note, as replay/FORMAT.md has it.

export function parseNote(note) {
  const parts = /^([^\n]+\n)(\d+)\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^\n]+\n)+)$/u.exec(note);
  if (!parts) throw new Error("the checkpoint has another form");
  const [, origin, digits, root, lines] = parts;
  const size = Number(digits);
  if (String(size) !== digits || !Number.isSafeInteger(size)) throw new Error("the checkpoint has no readable size");
  const signatures = lines.trimEnd().split("\n").map((line) => {
    const [, name, text] = line.split(" ");
    return { name, bytes: fromBase64(text ?? "") };
  });
  return { name: origin.trimEnd(), size, root: fromBase64(root), signed: `${origin}${digits}\n${root}\n`, signatures };
}

export async function keyIdOf(name, key) {
  return (await sha256(concat(encoder.encode(`${name}\n`), Uint8Array.of(1), key))).slice(0, 4);
}

/** What the key of a log signed, `{size, root}`. An error says why the note can't be believed. */
export async function verifyNote(note, logId, key) {
  const checkpoint = parseNote(note);
  if (checkpoint.name !== `headwater/${logId}`) throw new Error("the checkpoint is of another log");
  const id = await keyIdOf(checkpoint.name, key);
  const made = checkpoint.signatures.find(
    (each) => each.name === checkpoint.name && each.bytes.length === 68 && sameBytes(each.bytes.slice(0, 4), id),
  );
  if (!made) throw new Error("the checkpoint has no signature of this key");
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    throw new UnsupportedError("this browser can't verify Ed25519");
  }
  const good = await crypto.subtle.verify({ name: "Ed25519" }, imported, made.bytes.slice(4), encoder.encode(checkpoint.signed));
  if (!good) throw new Error("the signature of the checkpoint is wrong");
  return { size: checkpoint.size, root: checkpoint.root };
}

export function parseProof(text) {
  const cut = text.indexOf("\n\n");
  const [name, index, ...hashes] = text.slice(0, cut).split("\n");
  if (name !== "c2sp.org/tlog-proof@v1" || !/^index \d+$/.test(index)) throw new Error("the proof has another form");
  return { index: Number(index.slice("index ".length)), hashes: hashes.map(fromBase64), note: text.slice(cut + 2) };
}

/** What was to be verified can't be: neither good nor bad. */
export class UnsupportedError extends Error {}

// This browser remembers the last checkpoint of each log: a log that was rewritten or cut can't go on from it.

const PREFIX = "headwater-checkpoint:";
const LAST = "headwater-log";

// A browser that forbids storage throws already where it is named, and still shows everything.
export function kept() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

export function seenOf(logId, storage = kept()) {
  try {
    return JSON.parse(storage.getItem(PREFIX + logId));
  } catch {
    return null;
  }
}

export function forget(logId, storage = kept()) {
  storage.removeItem(PREFIX + logId);
  storage.removeItem(LAST);
}

export const canVerify = () => Boolean(globalThis.crypto?.subtle);

export const CANNOT_VERIFY =
  "This page came over plain HTTP from another machine, and a browser gives no cryptography to such a page. Open it over https, or through a tunnel to localhost.";

/** Compares the newest checkpoint with the last one, and remembers it if it goes on from that. */
export async function watch(get, storage = kept()) {
  if (!canVerify()) return { verdict: "unknown", detail: CANNOT_VERIFY };
  const log = await get("/v1/log");
  const seen = seenOf(log.log_id, storage);
  const other = storage?.getItem(LAST);
  const finding = { verdict: "bad", log, seen, now: null };
  if (seen && seen.key !== log.signing_key) {
    return { ...finding, detail: "The log is signed with another key than the one that this browser saw before." };
  }
  if (!seen && other && other !== log.log_id) {
    return { ...finding, detail: `This is another log than the one that this browser saw here before (${other}).` };
  }
  const checkpoint = await get("/v1/log/checkpoint");
  finding.now = { size: checkpoint.position, at: checkpoint.at };
  try {
    const now = await verifyNote(checkpoint.note, log.log_id, fromHex(log.signing_key));
    const detail = seen ? await compare(get, seen, now) : "";
    if (detail) return { ...finding, detail };
    finding.now = { ...finding.now, ...now };
  } catch (error) {
    if (error.status !== undefined) throw error;
    return { ...finding, verdict: error instanceof UnsupportedError ? "unknown" : "bad", detail: sentence(error.message) };
  }
  const notes = [!seen && "This is the first checkpoint of this log that this browser sees.", remember(log, checkpoint.note, finding.now, storage)];
  return { ...finding, verdict: "good", detail: notes.filter(Boolean).join(" ") };
}

async function compare(get, seen, now) {
  const before = { size: seen.size, root: fromHex(seen.root) };
  if (now.size < before.size) return `The log has ${now.size} signed events, and had ${before.size} when this browser saw it last: its end was lost.`;
  if (now.size === before.size) {
    return sameBytes(now.root, before.root) ? "" : `The log has other events up to ${before.size} than this browser saw: it was rewritten.`;
  }
  if (await areOfOneLog(get, before, now)) return "";
  return `The log does not go on from the ${before.size} events that this browser saw: it was rewritten, or the proof was altered on its way.`;
}

/** Says what kept the checkpoint from being remembered. */
function remember(log, note, now, storage) {
  // Another tab may have been faster: what is stored never becomes older.
  if (seenOf(log.log_id, storage)?.size > now.size) return "";
  const seen = { log_id: log.log_id, key: log.signing_key, size: now.size, root: toHex(now.root), note, seen_at: new Date().toISOString() };
  try {
    storage.setItem(PREFIX + log.log_id, JSON.stringify(seen));
    storage.setItem(LAST, log.log_id);
    return "";
  } catch {
    return "It could not be kept in this browser.";
  }
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
