// Proofs about the log's Merkle tree (RFC 6962). Numbers of leaves are below 2^53, so they are divided and not shifted:
// bit operations of this language end at 2^31.

import { concat, sameBytes, sha256 } from "./leaf.js";

/** The hash of an inner node. */
export function innerNode(left, right) {
  return sha256(concat(Uint8Array.of(1), left, right));
}

const half = (number) => Math.floor(number / 2);
const odd = (number) => number % 2 === 1;

/**
 * The root that a leaf and its proof lead to.
 * @param {Uint8Array} leaf
 * @param {number} index from 0
 * @param {number} size
 * @param {Uint8Array[]} hashes the lowest first
 * @returns {Promise<Uint8Array>}
 */
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

/**
 * Whether a tree goes on from a smaller one: the proof leads from both roots to one another.
 * @param {{size: number, root: Uint8Array}} before
 * @param {{size: number, root: Uint8Array}} after
 * @param {Uint8Array[]} hashes
 */
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

/** Adds a leaf to the frontier of a tree of `size` leaves. */
export async function pushLeaf(frontier, size, leaf) {
  const next = [...frontier, leaf];
  for (let rest = size; odd(rest); rest = half(rest)) {
    const right = next.pop();
    next.push(await innerNode(next.pop(), right));
  }
  return next;
}

/** The root of the tree with this frontier. */
export async function rootOfFrontier(frontier) {
  if (frontier.length === 0) return sha256(new Uint8Array());
  let root = frontier[frontier.length - 1];
  for (let index = frontier.length - 2; index >= 0; index -= 1) root = await innerNode(frontier[index], root);
  return root;
}
