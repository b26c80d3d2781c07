// This browser remembers the last checkpoint of each log that it has verified. A log that was rewritten or cut can't go on
// from it, so it is found out at the next visit.

import { fromHex, sameBytes, toHex } from "./leaf.js";
import { UnsupportedError, verifyNote } from "./note.js";
import { goesOnFrom } from "./tree.js";

/**
 * @typedef {{log_id: string, key: string, size: number, root: string, note: string, seen_at: string}} Seen
 * @typedef {{verdict: "good"|"bad"|"unknown", first: boolean, detail: string, seen: Seen|null, now: {size: number, at: string}|null}} Finding
 */

const PREFIX = "headwater-checkpoint:";
const LAST = "headwater-log";

/** @returns {Seen|null} */
export function seenOf(logId, storage = localStorage) {
  try {
    return JSON.parse(storage.getItem(PREFIX + logId));
  } catch {
    return null;
  }
}

/** What the reader saw before is forgotten only if the reader says so. */
export function forget(logId, storage = localStorage) {
  storage.removeItem(PREFIX + logId);
  storage.removeItem(LAST);
}

/** Whether this page may compute proofs at all. */
export const canVerify = () => Boolean(globalThis.crypto?.subtle);

export const CANNOT_VERIFY =
  "This page came over plain HTTP from another machine, and a browser gives no cryptography to such a page. Open it over https, or through a tunnel to localhost.";

/**
 * Compares the newest checkpoint with the one that this browser saw last, and remembers the newest if it goes on from that.
 * @param {(path: string) => Promise<any>} get asks the API
 * @returns {Promise<Finding>}
 */
export async function watch(get, storage = localStorage) {
  if (!canVerify()) return { verdict: "unknown", first: false, detail: CANNOT_VERIFY, seen: null, now: null };
  const log = await get("/v1/log");
  const seen = seenOf(log.log_id, storage);
  const other = storage.getItem(LAST);
  const finding = { verdict: "bad", first: !seen, seen, now: null };
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
    remember(log, checkpoint.note, now, storage);
    return { ...finding, verdict: "good", detail: seen ? "" : "This is the first checkpoint of this log that this browser sees." };
  } catch (error) {
    if (error.status !== undefined) throw error;
    return { ...finding, verdict: error instanceof UnsupportedError ? "unknown" : "bad", detail: sentence(error.message) };
  }
}

/** @returns {Promise<string>} what is wrong; empty if the log goes on */
async function compare(get, seen, now) {
  const before = { size: seen.size, root: fromHex(seen.root) };
  if (now.size < before.size) return `The log has ${now.size} signed events, and had ${before.size} when this browser saw it last: its end was lost.`;
  if (now.size === before.size) {
    return sameBytes(now.root, before.root) ? "" : `The log has other events up to ${before.size} than this browser saw: it was rewritten.`;
  }
  const proof = await get(`/v1/log/proof/consistency?from=${before.size}&to=${now.size}`);
  if (await goesOnFrom(before, now, proof.hashes.map(fromHex))) return "";
  return `The log does not go on from the ${before.size} events that this browser saw: it was rewritten, or the proof was altered on its way.`;
}

function remember(log, note, now, storage) {
  const seen = { log_id: log.log_id, key: log.signing_key, size: now.size, root: toHex(now.root), note, seen_at: new Date().toISOString() };
  storage.setItem(PREFIX + log.log_id, JSON.stringify(seen));
  storage.setItem(LAST, log.log_id);
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
