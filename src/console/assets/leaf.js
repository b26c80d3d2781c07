// The leaf of an event, computed from what the event says: replay/FORMAT.md, "Leaf".

const encoder = new TextEncoder();

/** SHA-256. @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new Error("not hexadecimal");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
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

function packInteger(number) {
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`${number} is no number of an event`);
  if (number < 0x80) return Uint8Array.of(number);
  if (number < 0x100) return Uint8Array.of(0xcc, number);
  if (number < 0x10000) return concat(Uint8Array.of(0xcd), bigEndian(number, 2));
  if (number < 0x100000000) return concat(Uint8Array.of(0xce), bigEndian(number, 4));
  return concat(Uint8Array.of(0xcf), bigEndian(number, 8));
}

function packText(text) {
  const bytes = encoder.encode(text);
  const size = bytes.length;
  if (size < 0x20) return concat(Uint8Array.of(0xa0 | size), bytes);
  if (size < 0x100) return concat(Uint8Array.of(0xd9, size), bytes);
  if (size < 0x10000) return concat(Uint8Array.of(0xda), bigEndian(size, 2), bytes);
  return concat(Uint8Array.of(0xdb), bigEndian(size, 4), bytes);
}

const packDigest = (digest) => concat(Uint8Array.of(0xc4, 32), digest);

/** `2026-01-01T00:00:01.5Z` as the leaf has it: with six digits of fraction. */
export function sealedTime(at) {
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z$/.exec(at);
  if (!parts) throw new Error("the time of an event has another form");
  return `${parts[1]}.${(parts[2] ?? "").padEnd(6, "0")}Z`;
}

/**
 * The MessagePack entry that the leaf seals.
 * @param {object} event as `GET /v1/events?data_text=true` gives it; `data_text` is the stored text of its data
 */
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

/** The leaf of an event, from its other columns. */
export async function leafOf(event) {
  return sha256(concat(Uint8Array.of(0), await entryOf(event)));
}
