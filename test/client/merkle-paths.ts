import { expect } from "chai";
import { concat, getBytes, hexlify } from "ethers";
import fc from "fast-check";

import type { TreeHash } from "../../client/enumerations.js";
import { isConsistent, rootOfPath, rootOfRange } from "../../client/merkle-paths.js";
import { consistencyProofOf, keccak256, pathOf, rangeProofOf, rootOf, sha256, type Hash } from "../support/rfc9162.js";

const hashes: [TreeHash, Hash][] = [
  ["Keccak256", keccak256],
  ["Sha256", sha256],
];

const leaf = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hexlify);
const place = fc
  .array(leaf, { minLength: 1, maxLength: 70 })
  .chain((leaves) => fc.record({ leaves: fc.constant(leaves), index: fc.nat(leaves.length - 1) }));

/** The root as hex that a path as hex leads to. */
function rootFrom(options: { hash: TreeHash; leaf: string; index: number; size: number; path: string[] }): unknown {
  const root = rootOfPath({
    ...options,
    leaf: getBytes(options.leaf),
    path: options.path.map((sibling) => getBytes(sibling)),
  });
  return root === undefined ? undefined : hexlify(root);
}

/** The root as hex that leaves and a proof as hex lead to. */
function rootOver(options: {
  hash: TreeHash;
  leaves: string[];
  first: number;
  size: number;
  proof: string[];
}): unknown {
  const root = rootOfRange({
    ...options,
    leaves: getBytes(concat(options.leaves)),
    proof: options.proof.map((node) => getBytes(node)),
  });
  return root === undefined ? undefined : hexlify(root);
}

interface Consistency {
  hash: TreeHash;
  oldRoot: string;
  oldSize: number;
  newRoot: string;
  newSize: number;
  proof: string[];
}

/** isConsistent of what is given as hex. */
function areConsistent(options: Consistency): boolean {
  return isConsistent({
    ...options,
    oldRoot: getBytes(options.oldRoot),
    newRoot: getBytes(options.newRoot),
    proof: options.proof.map((node) => getBytes(node)),
  });
}

/** As many leaves as are asked for, no two the same. */
const leavesOf = (hash: Hash, size: number): string[] =>
  Array.from({ length: size }, (_, index) => hash(`0x${index.toString(16).padStart(8, "0")}`));

/** Proofs that differ from one: a node altered, missing, there twice, put in between, cut, lengthened, or two swapped. */
function altered(proof: readonly string[]): string[][] {
  const stranger = keccak256("0x57");
  const wrong = [[...proof, stranger]];
  for (const [place, node] of proof.entries()) {
    const flipped = getBytes(node);
    flipped[place % 32]! ^= 1 << (place % 8);
    wrong.push(
      proof.with(place, stranger),
      proof.with(place, hexlify(flipped)),
      proof.toSpliced(place, 1),
      proof.toSpliced(place, 0, node),
      proof.toSpliced(place, 0, stranger),
      proof.with(place, node.slice(0, -2)),
      proof.with(place, `${node}00`),
    );
    for (let other = place + 1; other < proof.length; other += 1) {
      wrong.push(proof.with(place, proof[other]!).with(other, node));
    }
  }
  return wrong;
}

/** A tree, a range of its leaves and the size of a tree before it. */
const within = (max: number) =>
  fc
    .integer({ min: 1, max })
    .chain((size) =>
      fc.record({
        size: fc.constant(size),
        one: fc.nat(size - 1),
        other: fc.nat(size - 1),
        oldSize: fc.integer({ min: 1, max: size }),
      }),
    )
    .map(({ size, one, other, oldSize }) => ({
      size,
      first: Math.min(one, other),
      count: Math.abs(one - other) + 1,
      oldSize,
    }));

describe("rootOfPath", () => {
  for (const [name, hash] of hashes) {
    it(`gives the root of RFC 9162 for every leaf of trees of 1 to 40 (${name})`, () => {
      const all = Array.from({ length: 40 }, (_, index) => hash(`0x0${index % 10}`));
      for (let size = 1; size <= 40; size += 1) {
        const leaves = all.slice(0, size);
        const root = rootOf(leaves, hash);
        for (const [index, own] of leaves.entries()) {
          const path = pathOf(index, leaves, hash);
          expect(rootFrom({ hash: name, leaf: own, index, size, path })).to.equal(root);
        }
      }
    });

    it(`never gives that root for another leaf, index, order or length (${name})`, () => {
      fc.assert(
        fc.property(place, leaf, fc.nat(), ({ leaves, index }, stranger, nonce) => {
          const size = leaves.length;
          const own = leaves[index]!;
          const path = pathOf(index, leaves, hash);
          const root = rootOf(leaves, hash);
          const options = { hash: name, leaf: own, index, size, path };
          expect(rootFrom(options)).to.equal(root);
          fc.pre(!leaves.includes(stranger) && new Set(leaves).size === size);
          expect(rootFrom({ ...options, leaf: stranger })).not.to.equal(root);
          expect(rootFrom({ ...options, path: [...path, stranger] })).to.equal(undefined);
          if (path.length > 0) {
            expect(rootFrom({ ...options, path: path.slice(1) })).not.to.equal(root);
            const height = nonce % path.length;
            expect(rootFrom({ ...options, path: path.with(height, stranger) })).not.to.equal(root);
          }
          const other = nonce % size;
          if (other !== index) expect(rootFrom({ ...options, index: other })).not.to.equal(root);
        }),
        { numRuns: 200 },
      );
    });
  }

  it("gives nothing for an index that the tree has not", () => {
    for (const index of [-1, 1, 0.5, Number.NaN]) {
      expect(rootOfPath({ hash: "Keccak256", leaf: new Uint8Array(32), index, size: 1, path: [] })).to.equal(undefined);
    }
  });

  it("works up to the largest tree that a contract counts", () => {
    const path = Array.from({ length: 32 }, () => new Uint8Array(32));
    const options = { hash: "Keccak256" as const, leaf: new Uint8Array(32), size: 2 ** 32 };
    expect(rootOfPath({ ...options, index: 2 ** 32 - 1, path })).to.have.length(32);
    expect(rootOfPath({ ...options, index: 2 ** 32 - 1, path: path.slice(1) })).to.equal(undefined);
  });

  it("gives nothing for a leaf or a sibling that is no hash", () => {
    const options = {
      hash: "Sha256" as const,
      leaf: new Uint8Array(32),
      index: 0,
      size: 2,
      path: [new Uint8Array(32)],
    };
    expect(rootOfPath(options)).to.have.length(32);
    for (const length of [0, 31, 33, 64]) {
      expect(rootOfPath({ ...options, leaf: new Uint8Array(length) })).to.equal(undefined);
      expect(rootOfPath({ ...options, path: [new Uint8Array(length)] })).to.equal(undefined);
    }
    // Two leaves need no sibling, but are no leaf.
    expect(rootOfPath({ ...options, leaf: new Uint8Array(64), path: [] })).to.equal(undefined);
  });
});

describe("rootOfRange", () => {
  for (const [name, hash] of hashes) {
    it(`gives the root of RFC 9162 for every range of trees of 1 to 17 (${name})`, () => {
      const all = leavesOf(hash, 17);
      for (let size = 1; size <= 17; size += 1) {
        const leaves = all.slice(0, size);
        const root = rootOf(leaves, hash);
        for (let first = 0; first < size; first += 1) {
          for (let past = first + 1; past <= size; past += 1) {
            const proof = rangeProofOf(first, past - first, leaves, hash);
            expect(
              rootOver({ hash: name, leaves: leaves.slice(first, past), first, size, proof }),
              `${first} to ${past} of ${size}`,
            ).to.equal(root);
          }
        }
      }
    });

    it(`gives the root for ranges of random trees of up to 5,000 leaves (${name})`, () => {
      fc.assert(
        fc.property(within(5000), ({ size, first, count }) => {
          const leaves = leavesOf(hash, size);
          const proof = rangeProofOf(first, count, leaves, hash);
          const range = leaves.slice(first, first + count);
          expect(rootOver({ hash: name, leaves: range, first, size, proof })).to.equal(rootOf(leaves, hash));
        }),
        { numRuns: 6 },
      );
    });

    it(`never gives that root with a proof or a range that is another (${name})`, () => {
      fc.assert(
        fc.property(within(70), fc.nat(), ({ size, first, count }, nonce) => {
          const leaves = leavesOf(hash, size);
          const root = rootOf(leaves, hash);
          const range = leaves.slice(first, first + count);
          const options = { hash: name, leaves: range, first, size, proof: rangeProofOf(first, count, leaves, hash) };
          expect(rootOver(options)).to.equal(root);
          for (const proof of altered(options.proof)) expect(rootOver({ ...options, proof })).not.to.equal(root);
          const place = nonce % count;
          const stranger = hash("0x57");
          for (const wrong of [
            range.toSpliced(place, 1),
            range.toSpliced(place, 0, stranger),
            range.with(place, stranger),
            range.toSpliced(place, 0, range[place]!),
          ]) {
            expect(rootOver({ ...options, leaves: wrong })).not.to.equal(root);
          }
          if (count > 1) {
            const other = (place + 1) % count;
            const swapped = range.with(place, range[other]!).with(other, range[place]!);
            expect(rootOver({ ...options, leaves: swapped })).not.to.equal(root);
          }
          const elsewhere = nonce % size;
          if (elsewhere !== first) expect(rootOver({ ...options, first: elsewhere })).not.to.equal(root);
        }),
        { numRuns: 60 },
      );
    });
  }

  it("takes exactly one number of hashes, each of 32 bytes", () => {
    const node = new Uint8Array(32);
    for (let size = 1; size <= 12; size += 1) {
      for (let first = 0; first < size; first += 1) {
        for (let count = 1; first + count <= size; count += 1) {
          const right = rangeProofOf(first, count, leavesOf(keccak256, size), keccak256).length;
          for (let length = 0; length <= 10; length += 1) {
            const proof = Array.from({ length }, () => node);
            const root = rootOfRange({ hash: "Sha256", leaves: new Uint8Array(32 * count), first, size, proof });
            expect(root !== undefined, `${length} for ${count} from ${first} of ${size}`).to.equal(length === right);
          }
        }
      }
    }
  });

  it("gives nothing for no leaves, parts of leaves and leaves that the tree has not", () => {
    const node = new Uint8Array(32);
    const options = { hash: "Keccak256" as const, leaves: new Uint8Array(64), first: 2, size: 4, proof: [node] };
    expect(rootOfRange(options)).to.have.length(32);
    for (const wrong of [
      { leaves: new Uint8Array() },
      { leaves: new Uint8Array(63) },
      { leaves: new Uint8Array(96) },
      { first: 3 },
      { first: -1 },
      { first: 1.5 },
      { first: Number.NaN },
      { size: 3 },
      { size: 0 },
      { size: 4.5 },
      { size: Number.NaN },
      { size: Number.POSITIVE_INFINITY },
      { size: 2 ** 53 },
    ]) {
      expect(rootOfRange({ ...options, ...wrong }), JSON.stringify(wrong)).to.equal(undefined);
    }
    expect(rootOfRange({ hash: "Keccak256", leaves: new Uint8Array(), first: 0, size: 0, proof: [] })).to.equal(
      undefined,
    );
  });

  it("works up to the largest tree that a contract counts", () => {
    const size = 2 ** 32;
    const leaves = new Uint8Array(3 * 32);
    const proofOf = (length: number) => Array.from({ length }, () => new Uint8Array(32));
    const root = (first: number, length: number) =>
      rootOfRange({ hash: "Sha256", leaves, first, size, proof: proofOf(length) });
    // The last three: a sibling to the left on the lowest level, then one on each from the third up.
    expect(root(size - 3, 31)).to.have.length(32);
    expect(root(size - 3, 30)).to.equal(undefined);
    expect(root(size - 2, 31)).to.equal(undefined);
    // Three in the very middle have two siblings on the lowest levels.
    expect(root(2 ** 31 - 1, 61)).to.have.length(32);
    expect(root(2 ** 31 - 1, 62)).to.equal(undefined);
  });
});

describe("isConsistent", () => {
  for (const [name, hash] of hashes) {
    it(`takes every beginning of trees of 1 to 40 by the proof of RFC 9162 (${name})`, () => {
      const all = leavesOf(hash, 40);
      const roots = all.map((_, index) => rootOf(all.slice(0, index + 1), hash));
      for (let newSize = 1; newSize <= 40; newSize += 1) {
        for (let oldSize = 1; oldSize <= newSize; oldSize += 1) {
          const proof = consistencyProofOf(oldSize, all.slice(0, newSize), hash);
          const [oldRoot, newRoot] = [roots[oldSize - 1]!, roots[newSize - 1]!];
          expect(
            areConsistent({ hash: name, oldRoot, oldSize, newRoot, newSize, proof }),
            `${oldSize} of ${newSize}`,
          ).to.equal(true);
        }
      }
    });

    it(`takes those of random trees of up to 5,000 leaves (${name})`, () => {
      fc.assert(
        fc.property(within(5000), ({ size, oldSize }) => {
          const leaves = leavesOf(hash, size);
          const options = {
            hash: name,
            oldRoot: rootOf(leaves.slice(0, oldSize), hash),
            oldSize,
            newRoot: rootOf(leaves, hash),
            newSize: size,
            proof: consistencyProofOf(oldSize, leaves, hash),
          };
          expect(areConsistent(options)).to.equal(true);
        }),
        { numRuns: 6 },
      );
    });

    it(`refuses proofs, roots and sizes that are others (${name})`, () => {
      fc.assert(
        fc.property(within(70), ({ size, oldSize }) => {
          const leaves = leavesOf(hash, size);
          const options = {
            hash: name,
            oldRoot: rootOf(leaves.slice(0, oldSize), hash),
            oldSize,
            newRoot: rootOf(leaves, hash),
            newSize: size,
            proof: consistencyProofOf(oldSize, leaves, hash),
          };
          expect(areConsistent(options)).to.equal(true);
          for (const proof of altered(options.proof)) expect(areConsistent({ ...options, proof })).to.equal(false);
          const stranger = hash("0x57");
          expect(areConsistent({ ...options, oldRoot: stranger })).to.equal(false);
          expect(areConsistent({ ...options, newRoot: stranger })).to.equal(false);
          if (oldSize < size) {
            expect(areConsistent({ ...options, oldRoot: options.newRoot })).to.equal(false);
            expect(areConsistent({ ...options, newRoot: options.oldRoot })).to.equal(false);
            expect(areConsistent({ ...options, oldSize: size, newSize: oldSize })).to.equal(false);
          }
        }),
        { numRuns: 60 },
      );
    });

    it(`refuses a tree that replaced, dropped or swapped an old leaf, with the proof that it makes itself (${name})`, () => {
      fc.assert(
        fc.property(within(70), fc.nat(), ({ size, oldSize }, nonce) => {
          const leaves = leavesOf(hash, size);
          const oldRoot = rootOf(leaves.slice(0, oldSize), hash);
          const place = nonce % oldSize;
          const rewritten = [leaves.with(place, hash("0x57")), leaves.toSpliced(place, 1).concat(hash("0x58"))];
          if (oldSize > 1) {
            const other = (place + 1) % oldSize;
            rewritten.push(leaves.with(place, leaves[other]!).with(other, leaves[place]!));
          }
          for (const others of rewritten) {
            const proof = consistencyProofOf(oldSize, others, hash);
            const newRoot = rootOf(others, hash);
            expect(areConsistent({ hash: name, oldRoot, oldSize, newRoot, newSize: size, proof })).to.equal(false);
          }
        }),
        { numRuns: 60 },
      );
    });
  }

  it("refuses the proof of a smaller tree for one of which its root is only a part", () => {
    for (const newSize of [2, 4, 8, 16]) {
      const leaves = leavesOf(sha256, newSize);
      for (let oldSize = 1; oldSize < newSize; oldSize += 1) {
        const options = {
          hash: "Sha256" as const,
          oldRoot: rootOf(leaves.slice(0, oldSize), sha256),
          oldSize,
          newRoot: rootOf(leaves, sha256),
          proof: consistencyProofOf(oldSize, leaves, sha256),
        };
        expect(areConsistent({ ...options, newSize })).to.equal(true);
        for (const claimed of [newSize + 1, 2 * newSize, 4 * newSize]) {
          expect(areConsistent({ ...options, newSize: claimed }), `${oldSize} of ${claimed}`).to.equal(false);
        }
      }
    }
  });

  it("shows nothing of a tree without leaves, and takes no proof for two trees of one size", () => {
    const [root, other] = [keccak256("0x01"), keccak256("0x02")];
    const options = { hash: "Keccak256" as const, oldRoot: root, oldSize: 5, newRoot: root, newSize: 5, proof: [] };
    expect(areConsistent(options)).to.equal(true);
    expect(areConsistent({ ...options, newRoot: other })).to.equal(false);
    expect(areConsistent({ ...options, proof: [other] })).to.equal(false);
    expect(areConsistent({ ...options, oldRoot: keccak256("0x"), oldSize: 0 })).to.equal(false);
    expect(areConsistent({ ...options, oldSize: 0, newSize: 0 })).to.equal(false);
    for (const size of [-1, 4.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(areConsistent({ ...options, oldSize: size, newSize: size }), `${size}`).to.equal(false);
    }
    expect(areConsistent({ ...options, oldRoot: "0x12", newRoot: "0x12" })).to.equal(false);
  });
});
