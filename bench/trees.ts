// Builds Merkle trees of 32-byte leaves, each builder as fast as it goes with leaves in the form that it takes at once.
import { createCipheriv } from "node:crypto";

import { answer, millisecondsOf, peakBytes } from "./support/child.js";

/** Who builds. */
export const TREE_BUILDERS = ["touchstone", "@openzeppelin/merkle-tree", "merkletreejs"] as const;
export type TreeBuilder = (typeof TREE_BUILDERS)[number];

export interface TreeTask {
  builder: TreeBuilder;
  leaves: number;
  /** Milliseconds after which no further tree is begun; one is built in any case. */
  patience: number;
}

export interface TreeFigures {
  /** Of the fastest build. */
  milliseconds: number;
  /** Bytes that the process had at most until its first tree was built, the leaves included. */
  peak: number;
}

/** The same bytes each time, which look like hashes. */
function leafBytes(leaves: number): Buffer {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(leaves * 32));
}

function rowOf(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length / 32 }, (_, index) => bytes.subarray(index * 32, (index + 1) * 32));
}

/** Prepares a build, which returns the tree's root. Only the builder that is asked for is loaded. */
const builders: Record<TreeBuilder, (leaves: number) => Promise<() => unknown>> = {
  async touchstone(leaves) {
    const { buildTree } = await import("../client/merkle.js");
    const bytes = leafBytes(leaves);
    return () => buildTree({ hash: "Keccak256", leaves: bytes }).root;
  },
  // Unsorted as ours is. Hashes as hexadecimal are what it keeps itself.
  async "@openzeppelin/merkle-tree"(leaves) {
    const { SimpleMerkleTree } = await import("@openzeppelin/merkle-tree");
    const values = rowOf(leafBytes(leaves)).map((leaf) => `0x${leaf.toString("hex")}`);
    return () => SimpleMerkleTree.of(values, { sortLeaves: false }).root;
  },
  // With the fastest keccak256 there is for it, and neither sorted nor hashing its leaves once more.
  async merkletreejs(leaves) {
    const [{ MerkleTree }, { createKeccak }] = [await import("merkletreejs"), await import("hash-wasm")];
    const keccak = await createKeccak(256);
    const hash = (bytes: Buffer): Buffer => Buffer.from(keccak.init().update(bytes).digest("binary").buffer);
    const values = rowOf(leafBytes(leaves));
    return () => new MerkleTree(values, hash).getRoot();
  },
};

await answer(async ({ builder, leaves, patience }: TreeTask): Promise<TreeFigures> => {
  const build = await builders[builder](leaves);
  const start = performance.now();
  let milliseconds = millisecondsOf(build);
  const peak = peakBytes();
  while (performance.now() - start < patience) milliseconds = Math.min(milliseconds, millisecondsOf(build));
  return { milliseconds, peak };
});
