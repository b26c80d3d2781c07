// Checkpoints: a C2SP tlog-checkpoint in a signed note, as replay/FORMAT.md has it.

import { concat, fromBase64, sameBytes, sha256 } from "./leaf.js";

const encoder = new TextEncoder();

/**
 * Reads a checkpoint without verifying it.
 * @param {string} note
 * @returns {{name: string, size: number, root: Uint8Array, signed: string, signatures: {name: string, bytes: Uint8Array}[]}}
 */
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

/** The first four bytes of the signature: which key signed. */
export async function keyIdOf(name, key) {
  return (await sha256(concat(encoder.encode(`${name}\n`), Uint8Array.of(1), key))).slice(0, 4);
}

/**
 * Verifies a checkpoint of a log under its key.
 * @returns {Promise<{size: number, root: Uint8Array}>} what the key signed; an error says why it can't be believed
 */
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

/** What was to be verified can't be: neither good nor bad. */
export class UnsupportedError extends Error {}
