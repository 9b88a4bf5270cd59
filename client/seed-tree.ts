import { randomBytes } from "node:crypto";

import { getBytes } from "ethers";

import { requireHex } from "./arguments.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { HASH_BYTES, hashInto } from "./merkle.js";

/** Bytes of a seed, and of a salt. */
export const SEED_BYTES = 16;
const CHILDREN_BYTES = 2 * SEED_BYTES;

/** Height of the root: it covers as many leaves as a contract counts. */
const ROOT_HEIGHT = 32;
const MAX_LEAVES = 2 ** ROOT_HEIGHT;

/** Prefix that keeps what seeds are hashed to from passing for anything else. */
const SEED_PREFIX = 0x04;

/**
 * A node of the tree that the salts of a batch come from. Whoever has its seed has those of all nodes below it, and of no
 * others: left16 ‖ right16 = H(0x04 ‖ logId ‖ seed16). It covers the leaves index · 2^height to (index + 1) · 2^height - 1;
 * leaf i is the i-th reading of the batch from 0, and the seed of a node of height 0 is its salt.
 */
export interface SeedNode {
  /** 0 for a salt, to 32 for the root. */
  height: number;
  /** Place among the nodes of its height, from the left, from 0. */
  index: number;
  /** 16 bytes: as secret as what its salts hide. */
  seed: Uint8Array;
}

/** The seeds that are held of one batch. */
export interface SeedSet {
  /** What the batch is hashed with. */
  hash: TreeHash;
  /** 32 bytes as 0x hex. */
  logId: string;
  /** In any order; none covers another. */
  seeds: readonly SeedNode[];
}

/**
 * The node that all salts of a batch come from. Each batch must have its own.
 *
 * @param seed 16 bytes; fresh random ones unless told.
 * @throws TouchstoneError INVALID_ARGUMENT for a seed of another length.
 */
export function rootSeed(seed: Uint8Array = randomBytes(SEED_BYTES)): SeedNode {
  if (seed.length !== SEED_BYTES) throw invalid(`A seed of ${seed.length} bytes is none: give 16.`, {});
  return { height: ROOT_HEIGHT, index: 0, seed: Uint8Array.from(seed) };
}

/**
 * The salts of leaves that follow each other, 16 bytes each, one after the other.
 *
 * @throws TouchstoneError NOT_FOUND if the seeds do not cover a leaf: `details.leaf` is the first such; INVALID_ARGUMENT.
 */
export function saltsOf(options: SeedSet & { first: number; count: number }): Uint8Array {
  const { first, count } = options;
  requireLeaves(first, count);
  const reader = createSaltReader(options);
  const salts = new Uint8Array(count * SEED_BYTES);
  for (let place = 0; place < count; place += 1) reader.read(first + place, salts, place * SEED_BYTES);
  return salts;
}

/** Reads salts leaf after leaf: keeping the way from the seed down, it takes about one hash for each. */
export interface SaltReader {
  /**
   * Writes the 16 bytes of a leaf's salt to a place in `target`.
   *
   * @throws TouchstoneError NOT_FOUND if the seeds do not cover the leaf.
   */
  read(leaf: number, target: Uint8Array, at: number): void;
}

/**
 * Starts reading the salts of a batch.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for what is no set of seeds.
 */
export function createSaltReader(options: SeedSet): SaltReader {
  const nodes = sorted(options.seeds);
  const starts = nodes.map(firstOf);
  const derive = seedHasher(options);
  // The way to the leaf that was read last: for each height the seeds of both children of the node on the way.
  const way = new Uint8Array((ROOT_HEIGHT + 1) * CHILDREN_BYTES);
  let [node, last]: [SeedNode | undefined, number] = [undefined, 0];

  return {
    read(leaf, target, at) {
      const isBelow = node !== undefined && covers(node, leaf);
      const over = isBelow ? node : nodes[lowerBound(starts, leaf + 1) - 1];
      if (over === undefined || !covers(over, leaf)) throw notFound(leaf);
      node = over;
      // The ways to this leaf and to the last one part below the highest bit in which the two differ.
      const known = isBelow ? Math.max(32 - Math.clz32(last ^ leaf), 1) : node.height + 1;
      for (let height = known - 1; height >= 1; height -= 1) {
        const children = height * CHILDREN_BYTES;
        if (height === node.height) derive(node.seed, 0, way, children);
        else derive(way, children + CHILDREN_BYTES + sideOf(leaf, height), way, children);
      }
      last = leaf;
      if (node.height === 0) target.set(node.seed, at);
      else copySeed(way, CHILDREN_BYTES + sideOf(leaf, 0), target, at);
    },
  };
}

/**
 * The seeds that are left when the salt of a leaf must be gone for ever: in place of the node that covers it the siblings
 * along the way down to it. Erasing a leaf of a batch whose root was held leaves at most log2 of its size. Overwrite what
 * was held before: it still opens the leaf.
 *
 * @param options.index The leaf. Erasing it again changes nothing.
 * @param options.size Number of leaves of the batch: seeds that cover only leaves past it are not kept.
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function eraseSeeds(options: SeedSet & { index: number; size: number }): SeedNode[] {
  return eraseAllSeeds({ ...options, indices: [options.index] });
}

/** Does what eraseSeeds does for many leaves, in any order. */
export function eraseAllSeeds(options: SeedSet & { indices: readonly number[]; size: number }): SeedNode[] {
  const { indices, size } = options;
  requireLeaves(0, size);
  const outside = indices.find((index) => !Number.isInteger(index) || index < 0 || index >= size);
  if (outside !== undefined) {
    throw invalid(`A batch of ${size} has no leaf ${outside}: it has 0 to ${size - 1}.`, { index: outside, size });
  }
  const ascending = [...indices].sort((a, b) => a - b);
  return cut(options, (node) => {
    if (firstOf(node) >= size) return "none";
    const next = ascending[lowerBound(ascending, firstOf(node))];
    return next === undefined || next >= endOf(node) ? "all" : "some";
  });
}

/**
 * The seeds by which others get the salts of leaves that follow each other, and no other salts: as few as can be, at most
 * 2 · log2 of the count. What was erased of them stays so. Never the root.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function discloseSeeds(options: SeedSet & { first: number; count: number }): SeedNode[] {
  const { first, count } = options;
  requireLeaves(first, count);
  return cut(options, (node) => {
    if (endOf(node) <= first || firstOf(node) >= first + count) return "none";
    const isInside = firstOf(node) >= first && endOf(node) <= first + count;
    return isInside && node.height < ROOT_HEIGHT ? "all" : "some";
  });
}

// ------------------------------------------------------------------ private

/**
 * The highest nodes at or below the held ones that `partOf` wants all of, in order of their leaves, as copies. Where it
 * wants some of a node, its children are asked; of a leaf it never gets them.
 */
function cut(options: SeedSet, partOf: (node: SeedNode) => "all" | "some" | "none"): SeedNode[] {
  const derive = seedHasher(options);
  const wanted: SeedNode[] = [];
  const visit = (node: SeedNode): void => {
    const part = partOf(node);
    if (part === "all") wanted.push({ ...node, seed: Uint8Array.from(node.seed) });
    if (part !== "some" || node.height === 0) return;
    const children = new Uint8Array(CHILDREN_BYTES);
    derive(node.seed, 0, children, 0);
    const [height, index] = [node.height - 1, 2 * node.index];
    visit({ height, index, seed: children.subarray(0, SEED_BYTES) });
    visit({ height, index: index + 1, seed: children.subarray(SEED_BYTES) });
  };
  sorted(options.seeds).forEach(visit);
  return wanted;
}

/** Derives the seeds of both children of the node whose seed is at a place in `seeds`, and writes them to one in `target`. */
type Derive = (seeds: Uint8Array, at: number, target: Uint8Array, to: number) => void;

function seedHasher({ hash, logId }: Omit<SeedSet, "seeds">): Derive {
  const preimage = new Uint8Array(1 + HASH_BYTES + SEED_BYTES);
  preimage[0] = SEED_PREFIX;
  preimage.set(getBytes(requireHex("logId", logId, HASH_BYTES)), 1);
  return (seeds, at, target, to) => {
    copySeed(seeds, at, preimage, 1 + HASH_BYTES);
    hashInto(hash, preimage, target, to);
  };
}

function copySeed(seeds: Uint8Array, at: number, target: Uint8Array, to: number): void {
  target.set(seeds.subarray(at, at + SEED_BYTES), to);
}

/** Where the seed of the node of this height over a leaf is among its parent's children. */
function sideOf(leaf: number, height: number): number {
  return ((leaf >>> height) & 1) * SEED_BYTES;
}

function firstOf({ height, index }: SeedNode): number {
  return index * 2 ** height;
}

function endOf({ height, index }: SeedNode): number {
  return (index + 1) * 2 ** height;
}

function covers(node: SeedNode, leaf: number): boolean {
  return leaf >= firstOf(node) && leaf < endOf(node);
}

/** The nodes in order of their leaves. */
function sorted(seeds: readonly SeedNode[]): SeedNode[] {
  for (const { height, index, seed } of seeds) {
    if (!Number.isInteger(height) || height < 0 || height > ROOT_HEIGHT) {
      throw invalid(`A seed of height ${height} is none: give 0 to ${ROOT_HEIGHT}.`, { height, index });
    }
    if (!Number.isInteger(index) || index < 0 || index >= 2 ** (ROOT_HEIGHT - height)) {
      throw invalid(`There is no seed ${index} of height ${height}.`, { height, index });
    }
    if (seed.length !== SEED_BYTES) {
      throw invalid(`A seed of ${seed.length} bytes is none: give 16.`, { height, index });
    }
  }
  const nodes = [...seeds].sort((a, b) => firstOf(a) - firstOf(b));
  for (const [place, node] of nodes.entries()) {
    const next = nodes[place + 1];
    if (next !== undefined && firstOf(next) < endOf(node)) {
      const message = `Two seeds cover leaf ${firstOf(next)}: give each leaf one at most.`;
      throw invalid(message, { leaf: firstOf(next) });
    }
  }
  return nodes;
}

/** Place of the first of ascending numbers that is not below `value`. */
function lowerBound(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((ascending[middle] ?? 0) >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function requireLeaves(first: number, count: number): void {
  if (!Number.isInteger(first) || first < 0 || !Number.isInteger(count) || count < 1 || first + count > MAX_LEAVES) {
    throw invalid(`There are no ${count} leaves from ${first} on: a batch has at most 2^${ROOT_HEIGHT}.`, {
      first,
      count,
    });
  }
}

function notFound(leaf: number): TouchstoneError {
  const message = `There is no seed for the salt of leaf ${leaf}: it was erased, or never disclosed.`;
  return new TouchstoneError("NOT_FOUND", message, { details: { leaf } });
}

function invalid(message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", message, { details });
}
