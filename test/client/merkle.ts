import { createHash } from "node:crypto";

import { expect } from "chai";
import { concat, getBytes, hexlify, keccak256 } from "ethers";
import fc from "fast-check";

import { buildTree, hashLeaf, peakProof } from "../../client/merkle.js";
import type { TreeHash } from "../../client/enumerations.js";

// ------------------------------------------------------------------ an independent model: RFC 9162, sections 2.1.1 and 2.1.3

const H: Record<TreeHash, (hex: string) => string> = {
  Keccak256: keccak256,
  Sha256: (hex) => `0x${createHash("sha256").update(getBytes(hex)).digest("hex")}`,
};

/** The largest power of two below n. */
const split = (n: number): number => 2 ** Math.ceil(Math.log2(n) - 1);

/** MTH over hashes of leaves. */
function modelRoot(hash: TreeHash, leaves: readonly string[]): string {
  if (leaves.length === 0) return H[hash]("0x");
  if (leaves.length === 1) return leaves[0]!;
  const k = split(leaves.length);
  return H[hash](concat(["0x01", modelRoot(hash, leaves.slice(0, k)), modelRoot(hash, leaves.slice(k))]));
}

/** PATH(m, D[n]). */
function modelPath(hash: TreeHash, index: number, leaves: readonly string[]): string[] {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return index < k
    ? [...modelPath(hash, index, leaves.slice(0, k)), modelRoot(hash, leaves.slice(k))]
    : [...modelPath(hash, index - k, leaves.slice(k)), modelRoot(hash, leaves.slice(0, k))];
}

const leavesOf = (hash: TreeHash, size: number): string[] =>
  Array.from({ length: size }, (_, index) => hexlify(hashLeaf(hash, Buffer.from(`leaf ${index}`))));

const flat = (leaves: readonly string[]): Uint8Array => getBytes(concat(leaves));
const hexes = (nodes: readonly Uint8Array[]): string[] => nodes.map((node) => hexlify(node));
const hashes = fc.constantFrom<TreeHash>("Keccak256", "Sha256");

describe("Merkle trees of the client", () => {
  it("have the roots and proofs of RFC 9162 at every size up to 70", () => {
    for (const hash of ["Keccak256", "Sha256"] as const) {
      for (let size = 0; size <= 70; size += 1) {
        const leaves = leavesOf(hash, size);
        const tree = buildTree({ hash, leaves: flat(leaves) });
        expect(hexlify(tree.root), `${hash}, ${size}`).to.equal(modelRoot(hash, leaves));
        for (let index = 0; index < size; index += 1) {
          expect(hexes(tree.proofOf(index)), `${hash}, ${index} of ${size}`).to.deep.equal(
            modelPath(hash, index, leaves),
          );
        }
      }
    }
  });

  it("have the roots and proofs of RFC 9162 at random sizes up to 5,000", () => {
    fc.assert(
      fc.property(hashes, fc.integer({ min: 1, max: 5000 }), fc.nat(), (hash, size, place) => {
        const leaves = leavesOf(hash, size);
        const tree = buildTree({ hash, leaves: flat(leaves) });
        const index = place % size;
        expect(hexlify(tree.root)).to.equal(modelRoot(hash, leaves));
        expect(hexes(tree.proofOf(index))).to.deep.equal(modelPath(hash, index, leaves));
      }),
      { numRuns: 12 },
    );
  });

  it("have the known roots of Certificate Transparency's test tree, with SHA-256", () => {
    // The eight entries and some roots that implementations of RFC 6962 test themselves with.
    const entries = [
      "",
      "00",
      "10",
      "2021",
      "3031",
      "40414243",
      "5051525354555657",
      "606162636465666768696a6b6c6d6e6f",
    ];
    const roots: [number, string][] = [
      [0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
      [1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"],
      [2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
      [3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"],
      [8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
    ];
    const leaves = entries.map((entry) => hexlify(hashLeaf("Sha256", Buffer.from(entry, "hex"))));
    for (const [size, root] of roots) {
      const tree = buildTree({ hash: "Sha256", leaves: flat(leaves.slice(0, size)) });
      expect(hexlify(tree.root), `${size}`).to.equal(`0x${root}`);
    }
  });

  it("give the proof of an anchor up to its peak, the perfect tree that holds it", () => {
    for (let size = 1; size <= 40; size += 1) {
      const leaves = leavesOf("Keccak256", size);
      let start = 0;
      for (let width = 32; width >= 1; width /= 2) {
        if ((size & width) === 0) continue;
        const perfect = leaves.slice(start, start + width);
        for (let index = 0; index < width; index += 1) {
          expect(
            hexes(peakProof({ leaves: flat(leaves), index: start + index })),
            `${start + index} of ${size}`,
          ).to.deep.equal(modelPath("Keccak256", index, perfect));
        }
        start += width;
      }
    }
  });

  it("refuse leaves that are not there and rows that are no hashes", () => {
    const tree = buildTree({ hash: "Keccak256", leaves: flat(leavesOf("Keccak256", 3)) });
    for (const index of [-1, 3, 0.5]) {
      expect(() => tree.proofOf(index)).to.throw(RangeError, `There is no leaf ${index} in a tree of 3.`);
      expect(() => peakProof({ leaves: flat(leavesOf("Keccak256", 3)), index })).to.throw(
        RangeError,
        `There is no anchor ${index} in a log of 3.`,
      );
    }
    expect(() => buildTree({ hash: "Keccak256", leaves: new Uint8Array(33) })).to.throw(RangeError, "33 bytes");
  });
});
