import { hash as hashWithNode } from "node:crypto";

import { createKeccak } from "hash-wasm";

import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";

/** Bytes of a hash. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
/** What a node is hashed from: its prefix and two hashes. */
const NODE_BYTES = 1 + 2 * HASH_BYTES;
const LEFT = 1;
const RIGHT = 1 + HASH_BYTES;

/** One instance serves all: each hash is made in one go, so none can disturb another. */
const keccak = await createKeccak(256);

/** Hashes bytes with the hash of a tree. */
export function hashBytes(hash: TreeHash, bytes: Uint8Array): Uint8Array {
  const digest = new Uint8Array(HASH_BYTES);
  hashInto(hash, bytes, digest, 0);
  return digest;
}

/**
 * Hashes bytes as hashBytes does, and writes the 32 bytes to a place in `target`.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for a hash of no tree: a wrong one would go unnoticed, and lose what is erased by it.
 */
export function hashInto(hash: TreeHash, bytes: Uint8Array, target: Uint8Array, at: number): void {
  switch (hash) {
    case "Keccak256":
      target.set(keccak.init().update(bytes).digest("binary"), at);
      return;
    case "Sha256": {
      // Text with a character for each byte: a Buffer would take Node several times as long as the hash does.
      const digest = hashWithNode("sha256", bytes, "binary");
      for (let byte = 0; byte < HASH_BYTES; byte += 1) target[at + byte] = digest.charCodeAt(byte);
      return;
    }
    default:
      throw new TouchstoneError("INVALID_ARGUMENT", `${String(hash)} hashes no tree: give Keccak256 or Sha256.`, {
        details: { hash },
      });
  }
}

/** The hash of a leaf: H(0x00 ‖ content). */
export function hashLeaf(hash: TreeHash, content: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(1 + content.length);
  preimage[0] = LEAF_PREFIX;
  preimage.set(content, 1);
  return hashBytes(hash, preimage);
}

/** Bytes that a node is hashed from, with room for its children: the left one at 1, the right one at 33. */
export function newNodePreimage(): Uint8Array {
  const preimage = new Uint8Array(NODE_BYTES);
  preimage[0] = NODE_PREFIX;
  return preimage;
}

// ------------------------------------------------------------------ trees

/** A tree of RFC 9162, section 2.1: leaves in order, an odd node goes up as it is. */
export interface MerkleTree {
  readonly hash: TreeHash;
  /** Number of leaves. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /**
   * Siblings from a leaf up to the root.
   *
   * @throws RangeError if there is no such leaf.
   */
  proofOf(index: number): Uint8Array[];
  /**
   * What it takes to get from leaves that follow each other to the root: on each level from the leaves up the left sibling
   * of the leftmost known node, then the right sibling of the rightmost one, where they are not known themselves. At most
   * two for each level. Of one leaf it is what proofOf gives.
   *
   * @throws RangeError if there are no such leaves.
   */
  rangeProofOf(first: number, count: number): Uint8Array[];
  /**
   * What shows that the first `oldSize` leaves were the whole tree once (RFC 9162, section 2.1.4.1).
   *
   * @param oldSize 1 to the size of the tree, of which nothing needs to be shown.
   * @throws RangeError if there was no such tree.
   */
  consistencyProofOf(oldSize: number): Uint8Array[];
}

/**
 * Builds a tree.
 *
 * @param options.leaves Hashes of the leaves, 32 bytes each, one after the other. They become part of the tree: leave
 *        them as they are.
 */
export function buildTree(options: { hash: TreeHash; leaves: Uint8Array }): MerkleTree {
  const { hash, leaves } = options;
  if (leaves.length % HASH_BYTES !== 0) throw new RangeError(`${leaves.length} bytes are no row of 32-byte hashes.`);
  const size = leaves.length / HASH_BYTES;
  const levels = [leaves];
  for (let level = leaves; level.length > HASH_BYTES;) {
    level = parentsOf(hash, level);
    levels.push(level);
  }
  const nodeAt = (height: number, index: number): Uint8Array => {
    const level = levels[height];
    if (level === undefined) throw new RangeError(`The tree has no level ${height}.`);
    return level.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  };
  const root = size === 0 ? hashBytes(hash, new Uint8Array()) : nodeAt(levels.length - 1, 0);

  const rangeProofOf = (first: number, count: number): Uint8Array[] => {
    const proof: Uint8Array[] = [];
    let [left, right, last] = [first, first + count - 1, size - 1];
    for (let height = 0; last > 0; height += 1) {
      if (left % 2 === 1) proof.push(nodeAt(height, left - 1));
      // The last node of an odd level has no sibling, and goes up as it is.
      if (right % 2 === 0 && right < last) proof.push(nodeAt(height, right + 1));
      [left, right, last] = [half(left), half(right), half(last)];
    }
    return proof;
  };

  return {
    hash,
    size,
    root,
    proofOf(index) {
      if (!Number.isInteger(index) || index < 0 || index >= size) {
        throw new RangeError(`There is no leaf ${index} in a tree of ${size}.`);
      }
      return rangeProofOf(index, 1);
    },
    rangeProofOf(first, count) {
      const areThere = Number.isInteger(first) && first >= 0 && Number.isInteger(count) && count >= 1;
      if (!areThere || first + count > size) {
        throw new RangeError(`There are no ${count} leaves from ${first} on in a tree of ${size}.`);
      }
      return rangeProofOf(first, count);
    },
    consistencyProofOf(oldSize) {
      if (!Number.isInteger(oldSize) || oldSize < 1 || oldSize > size) {
        throw new RangeError(`A tree of ${size} had no beginning of ${oldSize} leaves.`);
      }
      if (oldSize === size) return [];
      const proof: Uint8Array[] = [];
      let [node, last, height] = [oldSize - 1, size - 1, 0];
      // The way starts at the largest perfect tree that ends where the old tree ends; the whole old tree is known already.
      for (; node % 2 === 1; height += 1) [node, last] = [half(node), half(last)];
      if (node > 0) proof.push(nodeAt(height, node));
      for (; last > 0; height += 1) {
        if (node % 2 === 1) proof.push(nodeAt(height, node - 1));
        else if (node < last) proof.push(nodeAt(height, node + 1));
        [node, last] = [half(node), half(last)];
      }
      return proof;
    },
  };
}

/**
 * Siblings from a leaf up to the peak that holds it, in a log of all these leaves, as DataAnchor checks them.
 *
 * A log of n leaves splits from left to right into perfect trees, one for each bit of n: the peaks are their roots.
 *
 * @param options.leaves Hashes of all leaves of the log, 32 bytes each, one after the other.
 * @throws RangeError if there is no such leaf.
 */
export function peakProof(options: { leaves: Uint8Array; index: number }): Uint8Array[] {
  const { leaves, index } = options;
  const size = leaves.length / HASH_BYTES;
  if (!Number.isInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`There is no anchor ${index} in a log of ${size}.`);
  }
  let start = 0;
  for (let width = 2 ** Math.floor(Math.log2(size)); width >= 1; width /= 2) {
    if (start + width > size) continue;
    if (index < start + width) {
      const perfect = leaves.subarray(start * HASH_BYTES, (start + width) * HASH_BYTES);
      return buildTree({ hash: "Keccak256", leaves: perfect }).proofOf(index - start);
    }
    start += width;
  }
  // Not reached: the widths of the bits of the size add up to the size.
  throw new RangeError(`There is no anchor ${index} in a log of ${size}.`);
}

// ------------------------------------------------------------------ streams

/** Hashes leaves as they come, keeping one hash for each level of the tree. */
export interface TreeHasher {
  /** Number of leaves. */
  readonly size: number;
  /**
   * Appends a leaf.
   *
   * @param leafHash 32 bytes.
   */
  append(leafHash: Uint8Array): void;
  /** Root of the tree over all leaves up to now, 32 bytes. */
  root(): Uint8Array;
}

/** Starts a tree without leaves. */
export function createTreeHasher(options: { hash: TreeHash }): TreeHasher {
  const { hash } = options;
  /** For each level what the next node is hashed from; its left child is there while the bit of the level is set in the size. */
  const preimages = [newNodePreimage()];
  let size = 0;
  const preimageAt = (level: number): Uint8Array => (preimages[level] ??= newNodePreimage());
  return {
    get size() {
      return size;
    },
    append(leafHash) {
      if (leafHash.length !== HASH_BYTES) throw new RangeError(`A hash of ${leafHash.length} bytes is no leaf.`);
      let preimage = preimageAt(0);
      preimage.set(leafHash, size % 2 === 0 ? LEFT : RIGHT);
      // Two children make a node of the next level, as a carry runs through a binary number.
      let level = 0;
      for (let rest = size; rest % 2 === 1;) {
        rest = half(rest);
        level += 1;
        const parent = preimageAt(level);
        hashInto(hash, preimage, parent, rest % 2 === 0 ? LEFT : RIGHT);
        preimage = parent;
      }
      size += 1;
    },
    root() {
      let root: Uint8Array | undefined;
      for (let level = 0, rest = size; rest > 0; level += 1, rest = half(rest)) {
        if (rest % 2 === 0) continue;
        const preimage = preimageAt(level);
        if (root === undefined) {
          root = preimage.slice(LEFT, RIGHT);
        } else {
          preimage.set(root, RIGHT);
          root = hashBytes(hash, preimage);
        }
      }
      return root ?? hashBytes(hash, new Uint8Array());
    },
  };
}

// ------------------------------------------------------------------ private

function parentsOf(hash: TreeHash, level: Uint8Array): Uint8Array {
  const pairs = Math.floor(level.length / (2 * HASH_BYTES));
  const isOdd = level.length % (2 * HASH_BYTES) !== 0;
  const parents = new Uint8Array((pairs + (isOdd ? 1 : 0)) * HASH_BYTES);
  const preimage = newNodePreimage();
  for (let pair = 0; pair < pairs; pair += 1) {
    preimage.set(level.subarray(pair * 2 * HASH_BYTES, (pair + 1) * 2 * HASH_BYTES), LEFT);
    hashInto(hash, preimage, parents, pair * HASH_BYTES);
  }
  if (isOdd) parents.set(level.subarray(level.length - HASH_BYTES), pairs * HASH_BYTES);
  return parents;
}

/** Where a node's parent is on the next level. Sizes go past 32 bits. */
function half(index: number): number {
  return Math.floor(index / 2);
}
