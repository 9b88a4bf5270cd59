import { RFC9162 } from "@transmute/rfc9162";
import { expect } from "chai";
import { hexlify } from "ethers";
import fc from "fast-check";

import { isConsistent, rootOfPath } from "../../client/merkle-paths.js";
import { buildTree, createTreeHasher, hashLeaf, type MerkleTree } from "../../client/merkle.js";

const hash = "Sha256";

const entriesOf = (size: number): Uint8Array[] =>
  Array.from({ length: size }, (_, index) => Buffer.from(`entry ${index}`));

const treeOf = (entries: readonly Uint8Array[]): MerkleTree =>
  buildTree({ hash, leaves: Buffer.concat(entries.map((entry) => hashLeaf(hash, entry))) });

const hexes = (nodes: readonly Uint8Array[]): string[] => nodes.map((node) => hexlify(node));

/** The proof with one bit of one hash flipped. */
function flipped(proof: readonly Uint8Array[], nonce: number): Uint8Array[] {
  const place = nonce % proof.length;
  const node = Uint8Array.from(proof[place]!);
  node[nonce % 32]! ^= 1 << (nonce % 8);
  return proof.with(place, node);
}

const isPowerOfTwo = (n: number): boolean => Number.isInteger(Math.log2(n));

describe("trees as @transmute/rfc9162 builds and checks them", () => {
  it("have the same roots", async () => {
    for (const size of [0, 1, 2, 3, 5, 8, 31, 64, 100, 200]) {
      const entries = entriesOf(size);
      const root = hexlify(await RFC9162.treeHead(entries));
      expect(hexlify(treeOf(entries).root), `${size}`).to.equal(root);
      const hasher = createTreeHasher({ hash });
      for (const entry of entries) hasher.append(hashLeaf(hash, entry));
      expect(hexlify(hasher.root()), `${size}`).to.equal(root);
      if (size > 0) expect(await RFC9162.verifyTree(treeOf(entries).root, entries), `${size}`).to.equal(true);
    }
  });

  it("have the same inclusion proofs, and each takes the other's, unless a bit was flipped", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 120 }), fc.nat(), async (size, nonce) => {
        const entries = entriesOf(size);
        const index = nonce % size;
        const tree = treeOf(entries);
        const leaf = hashLeaf(hash, entries[index]!);
        const theirs = await RFC9162.inclusionProof(entries[index]!, entries);
        const ours = tree.proofOf(index);
        expect(hexes(ours)).to.deep.equal(hexes(theirs.inclusion_path));

        const check = (inclusion_path: Uint8Array[]) =>
          RFC9162.verifyInclusionProof(tree.root, leaf, { ...theirs, inclusion_path });
        expect(await check(ours)).to.equal(true);
        const root = rootOfPath({ hash, leaf, index, size, path: theirs.inclusion_path });
        expect(hexlify(root!)).to.equal(hexlify(await RFC9162.treeHead(entries)));
        if (size > 1) {
          const path = flipped(ours, nonce);
          expect(await check(path)).to.equal(false);
          expect(hexlify(rootOfPath({ hash, leaf, index, size, path })!)).not.to.equal(hexlify(tree.root));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("have the same consistency proofs, and each takes the other's, unless a bit was flipped", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 120 }), fc.nat(), async (newSize, nonce) => {
        const oldSize = 1 + (nonce % (newSize - 1));
        const entries = entriesOf(newSize);
        const [oldTree, newTree] = [treeOf(entries.slice(0, oldSize)), treeOf(entries)];
        const atOldSize = { log_id: "", tree_size: oldSize, leaf_index: 0, inclusion_path: [] };
        const theirs = await RFC9162.consistencyProof(atOldSize, entries);
        // They keep the old root in the proof where RFC 9162 leaves it out, because the verifier knows it already.
        const known = isPowerOfTwo(oldSize) ? [oldTree.root] : [];
        const ours = newTree.consistencyProofOf(oldSize);
        expect(hexes([...known, ...ours])).to.deep.equal(hexes(theirs.consistency_path));

        const theyTake = (path: readonly Uint8Array[]) =>
          RFC9162.verifyConsistencyProof(oldTree.root, newTree.root, {
            ...theirs,
            consistency_path: [...known, ...path],
          });
        const weTake = (proof: readonly Uint8Array[]) =>
          isConsistent({ hash, oldRoot: oldTree.root, oldSize, newRoot: newTree.root, newSize, proof });
        expect(await theyTake(ours)).to.equal(true);
        expect(weTake(theirs.consistency_path.slice(known.length))).to.equal(true);
        const wrong = flipped(ours, nonce);
        expect(await theyTake(wrong)).to.equal(false);
        expect(weTake(wrong)).to.equal(false);
      }),
      { numRuns: 60 },
    );
  });
});
