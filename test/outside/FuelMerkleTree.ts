import { expect } from "chai";
import { concat, getBytes, hexlify, keccak256, toBeHex } from "ethers";
import fc from "fast-check";

import { rootOfPath } from "../../client/merkle-paths.js";
import { buildTree, hashLeaf, type MerkleTree } from "../../client/merkle.js";
import { ethers, loadFixture } from "../support/chain.js";

const hash = "Sha256";

/** The binary Merkle tree of Fuel, unmodified, in Solidity. */
interface FuelTree {
  computeRoot(contents: string[]): Promise<string>;
  verify(root: string, content: string, proof: string[], index: bigint, size: bigint): Promise<boolean>;
  append(size: bigint, content: string, proof: string[]): Promise<[root: string, isValid: boolean]>;
  deriveAppendProofFromLastProof(lastProof: string[], lastContent: string, index: bigint): Promise<string[]>;
}

async function deployFuelTree(): Promise<FuelTree> {
  const deployer = await ethers.deployContract("FuelMerkleTree");
  const abi = [
    "function computeRoot(bytes[]) pure returns (bytes32)",
    "function verify(bytes32, bytes, bytes32[], uint256, uint256) pure returns (bool)",
    "function append(uint256, bytes, bytes32[]) pure returns (bytes32, bool)",
    "function deriveAppendProofFromLastProof(bytes32[], bytes32, uint256) pure returns (bytes32[])",
  ];
  return ethers.getContractAt(abi, (await deployer.getFunction("LIBRARY")()) as string) as unknown as FuelTree;
}

/** Contents of leaves, 32 bytes each: what is derived from proofs takes no others. */
const contentsOf = (size: number): string[] => Array.from({ length: size }, (_, index) => keccak256(toBeHex(index, 4)));

const leafOf = (content: string): Uint8Array => hashLeaf(hash, getBytes(content));

const treeOf = (contents: readonly string[]): MerkleTree =>
  buildTree({ hash, leaves: getBytes(concat(contents.map(leafOf).map(hexlify))) });

const proofOf = (tree: MerkleTree, index: number): string[] => tree.proofOf(index).map((node) => hexlify(node));

describe("trees as @fuel-contracts/merkle-sol builds and checks them, with SHA-256", () => {
  it("have the same roots", async () => {
    const fuel = await loadFixture(deployFuelTree);
    for (const size of [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 33, 64, 100]) {
      const contents = contentsOf(size);
      expect(await fuel.computeRoot(contents), `${size}`).to.equal(hexlify(treeOf(contents).root));
    }
    const lengths = [0, 1, 31, 33, 200].map((length) => `0x${"5a".repeat(length)}`);
    expect(await fuel.computeRoot(lengths)).to.equal(hexlify(treeOf(lengths).root));
  });

  it("have the same inclusion proofs, and refuse what is altered, missing, too much or elsewhere", async () => {
    const fuel = await loadFixture(deployFuelTree);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70 }), fc.nat(), async (size, nonce) => {
        const contents = contentsOf(size);
        const index = nonce % size;
        const tree = treeOf(contents);
        const root = hexlify(tree.root);
        const proof = proofOf(tree, index);
        const content = contents[index]!;
        const takes = (other: { content?: string; proof?: string[]; index?: number }): Promise<boolean> =>
          fuel.verify(root, other.content ?? content, other.proof ?? proof, BigInt(other.index ?? index), BigInt(size));
        const weTake = (other: { content?: string; proof?: string[]; index?: number }): boolean => {
          const path = (other.proof ?? proof).map((node) => getBytes(node));
          const leaf = leafOf(other.content ?? content);
          const reached = rootOfPath({ hash, leaf, index: other.index ?? index, size, path });
          return reached !== undefined && hexlify(reached) === root;
        };
        expect([await takes({}), weTake({})]).to.deep.equal([true, true]);

        const stranger = keccak256("0x57");
        const place = nonce % Math.max(proof.length, 1);
        const forgeries = [
          { content: stranger },
          { proof: [...proof, stranger] },
          { index: index + size },
          ...(size > 1 ? [{ index: (index + 1) % size }, { proof: proof.with(place, stranger) }] : []),
          ...(size > 1 ? [{ proof: proof.toSpliced(place, 1) }, { proof: proof.toSpliced(place, 0, stranger) }] : []),
          ...(proof.length > 1 ? [{ proof: [...proof.slice(1), proof[0]!] }] : []),
        ];
        for (const forgery of forgeries) {
          expect([await takes(forgery), weTake(forgery)], JSON.stringify(forgery)).to.deep.equal([false, false]);
        }
      }),
      { numRuns: 25 },
    );
  });

  it("grow leaf by leaf to the same roots, by proofs of ours and by proofs that Fuel's tree derives from them", async () => {
    const fuel = await loadFixture(deployFuelTree);
    const contents = contentsOf(34);
    for (let size = 1; size < contents.length; size += 1) {
      const [before, after] = [treeOf(contents.slice(0, size)), treeOf(contents.slice(0, size + 1))];
      const ours = proofOf(after, size);
      expect(await fuel.append(BigInt(size), contents[size]!, ours), `${size}`).to.deep.equal([
        hexlify(after.root),
        true,
      ]);
      const lastProof = proofOf(before, size - 1);
      const theirs = await fuel.deriveAppendProofFromLastProof(lastProof, contents[size - 1]!, BigInt(size));
      expect([...theirs], `${size}`).to.deep.equal(ours);
      const path = theirs.map((node) => getBytes(node));
      const root = rootOfPath({ hash, leaf: leafOf(contents[size]!), index: size, size: size + 1, path });
      expect(hexlify(root!), `${size}`).to.equal(hexlify(after.root));
    }
  });
});
