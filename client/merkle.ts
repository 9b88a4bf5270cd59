import { hash as hashWithNode } from "node:crypto";

import { createKeccak } from "hash-wasm";

import type { TreeHash } from "./enumerations.js";

/** Bytes of a hash. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** One instance serves all: each hash is made in one go, so none can disturb another. */
const keccak = await createKeccak(256);

/** Hashes bytes with the hash of a tree. */
export function hashBytes(hash: TreeHash, bytes: Uint8Array): Uint8Array {
  if (hash === "Keccak256") return keccak.init().update(bytes).digest("binary");
  return hashWithNode("sha256", bytes, "buffer");
}

/** The hash of a leaf: H(0x00 ‖ content). */
export function hashLeaf(hash: TreeHash, content: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(1 + content.length);
  preimage[0] = LEAF_PREFIX;
  preimage.set(content, 1);
  return hashBytes(hash, preimage);
}

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
  const root = size === 0 ? hashBytes(hash, new Uint8Array()) : levelAt(levels, levels.length - 1).slice();
  return {
    hash,
    size,
    root,
    proofOf(index) {
      if (!Number.isInteger(index) || index < 0 || index >= size) {
        throw new RangeError(`There is no leaf ${index} in a tree of ${size}.`);
      }
      const proof: Uint8Array[] = [];
      for (let height = 0, place = index; height < levels.length - 1; height += 1, place >>>= 1) {
        const sibling = nodeAt(levelAt(levels, height), place ^ 1);
        // The last node of an odd level has none, and goes up as it is.
        if (sibling !== undefined) proof.push(sibling);
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

function parentsOf(hash: TreeHash, level: Uint8Array): Uint8Array {
  const pairs = Math.floor(level.length / (2 * HASH_BYTES));
  const isOdd = level.length % (2 * HASH_BYTES) !== 0;
  const parents = new Uint8Array((pairs + (isOdd ? 1 : 0)) * HASH_BYTES);
  const preimage = new Uint8Array(1 + 2 * HASH_BYTES);
  preimage[0] = NODE_PREFIX;
  for (let pair = 0; pair < pairs; pair += 1) {
    preimage.set(level.subarray(pair * 2 * HASH_BYTES, (pair + 1) * 2 * HASH_BYTES), 1);
    parents.set(hashBytes(hash, preimage), pair * HASH_BYTES);
  }
  if (isOdd) parents.set(level.subarray(level.length - HASH_BYTES), pairs * HASH_BYTES);
  return parents;
}

function nodeAt(level: Uint8Array, index: number): Uint8Array | undefined {
  const start = index * HASH_BYTES;
  return start < level.length ? level.subarray(start, start + HASH_BYTES) : undefined;
}

function levelAt(levels: readonly Uint8Array[], height: number): Uint8Array {
  const level = levels[height];
  if (level === undefined) throw new RangeError(`The tree has no level ${height}.`);
  return level;
}
