import { expect } from "chai";
import { getBytes, hexlify } from "ethers";
import fc from "fast-check";

import type { TreeHash } from "../../client/enumerations.js";
import { rootOfPath } from "../../client/merkle-paths.js";
import { keccak256, pathOf, rootOf, sha256, type Hash } from "../support/rfc9162.js";

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
});
