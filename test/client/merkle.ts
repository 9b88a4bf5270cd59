import { expect } from "chai";
import { concat, getBytes, hexlify } from "ethers";
import fc from "fast-check";

import type { TreeHash } from "../../client/enumerations.js";
import { buildTree, createTreeHasher, hashBytes, hashLeaf, peakProof } from "../../client/merkle.js";
import { errorOf } from "../support/errors.js";
import * as model from "../support/rfc9162.js";

const H = { Keccak256: model.keccak256, Sha256: model.sha256 };
const bothHashes = ["Keccak256", "Sha256"] as const;

const leavesOf = (hash: TreeHash, size: number): string[] =>
  Array.from({ length: size }, (_, index) => hexlify(hashLeaf(hash, Buffer.from(`leaf ${index}`))));

const flat = (leaves: readonly string[]): Uint8Array => getBytes(concat(leaves));
const hexes = (nodes: readonly Uint8Array[]): string[] => nodes.map((node) => hexlify(node));

/** A tree, a range of its leaves and the size of a tree before it. */
const treeWithin = (max: number) =>
  fc
    .record({ hash: fc.constantFrom(...bothHashes), size: fc.integer({ min: 1, max }) })
    .chain(({ hash, size }) =>
      fc.record({
        hash: fc.constant(hash),
        size: fc.constant(size),
        first: fc.nat(size - 1),
        past: fc.nat(size - 1),
        oldSize: fc.integer({ min: 1, max: size }),
      }),
    )
    .map(({ first, past, ...tree }) => ({
      ...tree,
      first: Math.min(first, past),
      count: Math.abs(past - first) + 1,
    }));

describe("Merkle trees of the client", () => {
  it("have the roots and proofs of RFC 9162 at every size up to 40", () => {
    for (const hash of bothHashes) {
      const all = leavesOf(hash, 40);
      for (let size = 0; size <= 40; size += 1) {
        const leaves = all.slice(0, size);
        const tree = buildTree({ hash, leaves: flat(leaves) });
        expect(hexlify(tree.root), `${hash}, ${size}`).to.equal(model.rootOf(leaves, H[hash]));
        for (let index = 0; index < size; index += 1) {
          const path = model.pathOf(index, leaves, H[hash]);
          expect(hexes(tree.proofOf(index)), `${hash}, ${index} of ${size}`).to.deep.equal(path);
          expect(hexes(tree.rangeProofOf(index, 1)), `${hash}, ${index} of ${size}`).to.deep.equal(path);
        }
      }
    }
  });

  it("prove every range and every beginning at every size up to 20", () => {
    const all = leavesOf("Keccak256", 20);
    for (let size = 1; size <= 20; size += 1) {
      const leaves = all.slice(0, size);
      const tree = buildTree({ hash: "Keccak256", leaves: flat(leaves) });
      for (let first = 0; first < size; first += 1) {
        for (let count = 1; first + count <= size; count += 1) {
          expect(hexes(tree.rangeProofOf(first, count)), `${count} from ${first} of ${size}`).to.deep.equal(
            model.rangeProofOf(first, count, leaves, H.Keccak256),
          );
        }
        expect(hexes(tree.consistencyProofOf(first + 1)), `${first + 1} of ${size}`).to.deep.equal(
          model.consistencyProofOf(first + 1, leaves, H.Keccak256),
        );
      }
    }
  });

  it("have the roots and proofs of RFC 9162 at random sizes up to 5,000", () => {
    fc.assert(
      fc.property(treeWithin(5000), ({ hash, size, first, count, oldSize }) => {
        const leaves = leavesOf(hash, size);
        const tree = buildTree({ hash, leaves: flat(leaves) });
        expect(hexlify(tree.root)).to.equal(model.rootOf(leaves, H[hash]));
        expect(hexes(tree.proofOf(first))).to.deep.equal(model.pathOf(first, leaves, H[hash]));
        const rangeProof = hexes(tree.rangeProofOf(first, count));
        expect(rangeProof).to.deep.equal(model.rangeProofOf(first, count, leaves, H[hash]));
        expect(rangeProof.length).to.be.at.most(2 * Math.ceil(Math.log2(size)));
        expect(hexes(tree.consistencyProofOf(oldSize))).to.deep.equal(
          model.consistencyProofOf(oldSize, leaves, H[hash]),
        );
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
      for (let index = 0; index < size; index += 1) {
        expect(hexes(peakProof({ leaves: flat(leaves), index })), `${index} of ${size}`).to.deep.equal(
          model.peakPathOf(index, leaves, H.Keccak256),
        );
      }
    }
  });

  it("keep their nodes whatever is done to a proof", () => {
    const leaves = leavesOf("Sha256", 5);
    const tree = buildTree({ hash: "Sha256", leaves: flat(leaves) });
    for (const proofOf of [() => tree.proofOf(0), () => tree.rangeProofOf(1, 2), () => tree.consistencyProofOf(3)]) {
      const before = hexes(proofOf());
      for (const node of proofOf()) node.fill(0);
      expect(hexes(proofOf())).to.deep.equal(before);
    }
  });

  it("refuse leaves that are not there and rows that are no hashes", () => {
    const tree = buildTree({ hash: "Keccak256", leaves: flat(leavesOf("Keccak256", 3)) });
    for (const index of [-1, 3, 0.5, Number.NaN]) {
      expect(() => tree.proofOf(index)).to.throw(RangeError, `There is no leaf ${index} in a tree of 3.`);
      expect(() => peakProof({ leaves: flat(leavesOf("Keccak256", 3)), index })).to.throw(
        RangeError,
        `There is no anchor ${index} in a log of 3.`,
      );
    }
    for (const [first, count] of [
      [0, 0],
      [0, 4],
      [2, 2],
      [3, 1],
      [-1, 2],
      [0.5, 1],
      [0, 1.5],
      [0, -1],
    ] as const) {
      expect(() => tree.rangeProofOf(first, count)).to.throw(
        RangeError,
        `There are no ${count} leaves from ${first} on in a tree of 3.`,
      );
    }
    for (const oldSize of [0, 4, 1.5, -1]) {
      expect(() => tree.consistencyProofOf(oldSize)).to.throw(
        RangeError,
        `A tree of 3 had no beginning of ${oldSize} leaves.`,
      );
    }
    expect(() => buildTree({ hash: "Keccak256", leaves: new Uint8Array(33) })).to.throw(RangeError, "33 bytes");
  });
});

describe("createTreeHasher", () => {
  it("has the root of the whole tree after each leaf, and again when it is asked again", () => {
    for (const hash of bothHashes) {
      const leaves = leavesOf(hash, 70);
      const hasher = createTreeHasher({ hash });
      for (let size = 0; size <= 70; size += 1) {
        const root = model.rootOf(leaves.slice(0, size), H[hash]);
        expect(hasher.size).to.equal(size);
        expect([hexlify(hasher.root()), hexlify(hasher.root())], `${hash}, ${size}`).to.deep.equal([root, root]);
        if (size < 70) hasher.append(getBytes(leaves[size]!));
      }
    }
  });

  it("agrees with the tree in memory at random sizes, whatever becomes of the leaf's bytes", () => {
    fc.assert(
      fc.property(fc.constantFrom(...bothHashes), fc.integer({ min: 0, max: 5000 }), (hash, size) => {
        const hasher = createTreeHasher({ hash });
        const leaves = new Uint8Array(size * 32);
        const leaf = new Uint8Array(32);
        for (let index = 0; index < size; index += 1) {
          new DataView(leaf.buffer).setUint32(4, index * 2_654_435_761);
          leaves.set(leaf, index * 32);
          hasher.append(leaf);
        }
        expect(hexlify(hasher.root())).to.equal(hexlify(buildTree({ hash, leaves }).root));
      }),
      { numRuns: 30 },
    );
  });

  it("refuses what is no hash, and goes on without it", () => {
    const hasher = createTreeHasher({ hash: "Sha256" });
    hasher.append(new Uint8Array(32));
    const before = hexlify(hasher.root());
    for (const length of [0, 31, 33]) {
      expect(() => {
        hasher.append(new Uint8Array(length));
      }).to.throw(RangeError, `A hash of ${length} bytes is no leaf.`);
    }
    expect([hasher.size, hexlify(hasher.root())]).to.deep.equal([1, before]);
  });

  it("takes no hash but the two that there are", async () => {
    const hash = "sha256" as TreeHash;
    const error = await errorOf("INVALID_ARGUMENT", () => createTreeHasher({ hash }).root());
    expect(error.message).to.equal("sha256 hashes no tree: give Keccak256 or Sha256.");
    await errorOf("INVALID_ARGUMENT", () => hashBytes(hash, new Uint8Array()));
  });
});
