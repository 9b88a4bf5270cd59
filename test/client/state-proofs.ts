import { createMerkleProof, createMPT } from "@ethereumjs/mpt";
import { expect } from "chai";
import { encodeRlp, getBytes, hexlify, keccak256, toBeHex, ZeroHash } from "ethers";

import { headSlot, peakHeight, peakSlot, sizeInHead } from "../../client/anchor-storage.js";
import { decodeHeader, encodeHeader } from "../../client/block-headers.js";
import { storageRootOf, storageValueOf } from "../../client/state-proofs.js";
import { deployLogs } from "../support/bundles.js";
import { ethers, loadFixture, networkHelpers } from "../support/chain.js";

interface NodeProof {
  accountProof: string[];
  storageHash: string;
  storageProof: { key: string; value: string; proof: string[] }[];
}

async function proofOf(address: string, slots: bigint[]): Promise<NodeProof> {
  const keys = slots.map((slot) => toBeHex(slot, 32));
  return (await ethers.provider.send("eth_getProof", [address, keys, "latest"])) as NodeProof;
}

async function rawBlock(number: number | string): Promise<Record<string, unknown>> {
  return (await ethers.provider.send("eth_getBlockByNumber", [number, false])) as Record<string, unknown>;
}

/** A log of six anchors in the DataAnchor, and another log. */
async function deployProofs() {
  const { anchors, p256, hashing } = await deployLogs();
  const address = await anchors.getAddress();
  const { logId } = p256;
  const slots = [headSlot(logId), peakSlot(logId, 1), peakSlot(logId, 2)];
  const { stateRoot } = (await rawBlock("latest")) as { stateRoot: string };
  return { anchors, address, logId, otherLog: hashing.logId, slots, stateRoot, ...(await proofOf(address, slots)) };
}

/** Proofs that differ from one in a way that must matter. */
function* alteredProofs(proof: readonly string[], stranger: string): Generator<[what: string, proof: string[]]> {
  for (const [index, node] of proof.entries()) {
    yield [`node ${index} dropped`, proof.toSpliced(index, 1)];
    yield [`node ${index} twice`, proof.toSpliced(index, 0, node)];
    for (let at = 0; at < (node.length - 2) / 2; at += 1) {
      const byte = toBeHex(Number(`0x${node.slice(2 + 2 * at, 4 + 2 * at)}`) ^ (1 << (at % 8)), 1);
      const other = `${node.slice(0, 2 + 2 * at)}${byte.slice(2)}${node.slice(4 + 2 * at)}`;
      yield [`byte ${at} of node ${index}`, proof.with(index, other)];
    }
    yield [`node ${index} longer`, proof.with(index, `${node}00`)];
    yield [`node ${index} empty`, proof.with(index, "0x")];
  }
  yield ["a node more", [...proof, stranger]];
  yield ["a node before", [stranger, ...proof]];
  yield ["reversed", proof.toReversed()];
  yield ["none", []];
}

describe("State proofs", () => {
  it("show the storage root of an account and the values of slots", async () => {
    const { anchors, address, stateRoot, accountProof, storageHash, storageProof, logId } =
      await loadFixture(deployProofs);
    expect(await storageRootOf({ stateRoot, address, proof: accountProof })).to.equal(storageHash);
    const values: (bigint | undefined)[] = [];
    for (const { key, proof } of storageProof) {
      values.push(await storageValueOf({ storageRoot: storageHash, slot: BigInt(key), proof }));
    }
    expect(values).to.deep.equal(storageProof.map(({ value }) => BigInt(value)));
    const { size } = await anchors.head(logId);
    expect(sizeInHead(values[0]!)).to.equal(size);
  });

  it("find head and peaks where the contract keeps them", async () => {
    const { anchors, address, logId } = await loadFixture(deployProofs);
    const read = (slot: bigint): Promise<string> => ethers.provider.getStorage(address, slot);
    const { nextSeq, size, lastMeasured, lastAnchored } = await anchors.head(logId);
    const head = nextSeq | (size << 64n) | (lastMeasured << 128n) | (lastAnchored << 176n);
    expect(BigInt(await read(headSlot(logId)))).to.equal(head);
    // Six anchors have peaks of four and of two.
    expect(size).to.equal(6n);
    const [four, two] = await Promise.all([read(peakSlot(logId, 2)), read(peakSlot(logId, 1))]);
    expect(keccak256(`0x01${four.slice(2)}${two.slice(2)}`)).to.equal(await anchors.root(logId));
    expect([0n, 1n, 2n, 3n, 4n, 5n].map((index) => peakHeight(index, size))).to.deep.equal([2, 2, 2, 2, 1, 1]);
  });

  it("are refused altered in any byte, and with nodes too few, too many or elsewhere", async () => {
    const { address, stateRoot, accountProof, storageHash, storageProof } = await loadFixture(deployProofs);
    const [first, second] = storageProof;
    let tried = 0;
    for (const [what, proof] of alteredProofs(accountProof, first!.proof.at(-1)!)) {
      expect(await storageRootOf({ stateRoot, address, proof }), what).to.equal(undefined);
      tried += 1;
    }
    for (const [what, proof] of alteredProofs(first!.proof, second!.proof.at(-1)!)) {
      expect(await storageValueOf({ storageRoot: storageHash, slot: BigInt(first!.key), proof }), what).to.equal(
        undefined,
      );
      tried += 1;
    }
    expect(tried).to.be.greaterThan(1000);
  });

  it("hold for their key and their root alone", async () => {
    const { address, stateRoot, accountProof, storageHash, storageProof, slots, otherLog } =
      await loadFixture(deployProofs);
    const { proof } = storageProof[0]!;
    for (const slot of [slots[1]!, slots[0]! + 1n, headSlot(otherLog), 0n]) {
      expect(await storageValueOf({ storageRoot: storageHash, slot, proof })).to.equal(undefined);
    }
    expect(await storageValueOf({ storageRoot: stateRoot, slot: slots[0]!, proof })).to.equal(undefined);
    expect(await storageValueOf({ storageRoot: ZeroHash, slot: slots[0]!, proof })).to.equal(undefined);
    for (const other of [`${address.slice(0, -1)}${address.endsWith("0") ? "1" : "0"}`, `0x${"00".repeat(20)}`]) {
      expect(await storageRootOf({ stateRoot, address: other.toLowerCase(), proof: accountProof })).to.equal(undefined);
    }
    expect(await storageRootOf({ stateRoot: storageHash, address, proof: accountProof })).to.equal(undefined);
  });

  it("show no value where there is none", async () => {
    const { address, stateRoot, storageHash, logId } = await loadFixture(deployProofs);
    // The slot of a peak that the log has not had yet, one of a log that was never written, and an account that is none.
    for (const slot of [peakSlot(logId, 63), headSlot(ZeroHash)]) {
      const { storageProof } = await proofOf(address, [slot]);
      const { proof, value } = storageProof[0]!;
      expect(BigInt(value)).to.equal(0n);
      expect(proof.length).to.be.greaterThan(0);
      expect(await storageValueOf({ storageRoot: storageHash, slot, proof })).to.equal(undefined);
    }
    const nobody = `0x${"5a".repeat(20)}`;
    const { accountProof } = await proofOf(nobody, []);
    expect(await storageRootOf({ stateRoot, address: nobody, proof: accountProof })).to.equal(undefined);
  });

  it("take no account for a slot, and no slot for an account", async () => {
    const { address, stateRoot, accountProof, storageHash, storageProof, slots } = await loadFixture(deployProofs);
    expect(await storageValueOf({ storageRoot: stateRoot, slot: BigInt(address), proof: accountProof })).to.equal(
      undefined,
    );
    const { proof } = storageProof[0]!;
    expect(await storageRootOf({ stateRoot: storageHash, address: toBeHex(slots[0]!, 32), proof })).to.equal(undefined);
  });

  it("show nothing of a state that someone made up and that is none", async () => {
    const [slot, account] = [5n, `0x${"22".repeat(20)}`];
    const root = `0x${"33".repeat(32)}`;
    const trieOf = async (key: string, value: string): Promise<{ root: string; proof: string[] }> => {
      const trie = await createMPT({ useKeyHashing: true });
      await trie.put(getBytes(key), getBytes(value));
      const proof = await createMerkleProof(trie, getBytes(key));
      return { root: hexlify(trie.root()), proof: proof.map((node) => hexlify(node)) };
    };
    const valueOf = async (value: string): Promise<bigint | undefined> => {
      const { root: storageRoot, proof } = await trieOf(toBeHex(slot, 32), value);
      return storageValueOf({ storageRoot, slot, proof });
    };
    expect(await valueOf(encodeRlp("0x07"))).to.equal(7n);
    expect(await valueOf(encodeRlp(`0x${"ff".repeat(32)}`))).to.equal(2n ** 256n - 1n);
    const none = [encodeRlp(`0x${"ff".repeat(33)}`), encodeRlp(["0x07"]), encodeRlp("0x"), "0xb8", "0x0707"];
    for (const value of none) expect(await valueOf(value), value).to.equal(undefined);

    const rootOf = async (value: string): Promise<string | undefined> => {
      const { root: stateRoot, proof } = await trieOf(account, value);
      return storageRootOf({ stateRoot, address: account, proof });
    };
    expect(await rootOf(encodeRlp(["0x01", "0x", root, root]))).to.equal(root);
    const others = [
      ["0x01", "0x", root],
      ["0x01", "0x", "0x33", root],
      ["0x01", "0x", [root], root],
      ["0x", "0x", root, root, "0x"],
    ];
    for (const value of [...others.map((each) => encodeRlp(each)), encodeRlp(root), "0xff"]) {
      expect(await rootOf(value), value).to.equal(undefined);
    }
  });
});

describe("Block headers", () => {
  it("of the simulator encode to their hash, whatever is in the block", async () => {
    await loadFixture(deployLogs);
    await networkHelpers.mine(3);
    const latest = await ethers.provider.getBlockNumber();
    for (let number = 0; number <= latest; number += 1) {
      const block = await rawBlock(`0x${number.toString(16)}`);
      const header = encodeHeader(block);
      expect(keccak256(header!), `block ${number}`).to.equal(block.hash);
      expect(decodeHeader(header!)).to.deep.equal({
        hash: block.hash,
        number: BigInt(number),
        timestamp: BigInt(block.timestamp as string),
        stateRoot: block.stateRoot,
      });
    }
  });

  it("of the first Ethereum encode to their hash", () => {
    const empty = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
    const first = {
      hash: "0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6",
      parentHash: "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
      sha3Uncles: "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
      miner: "0x05a56e2d52c817161883f50c441c3228cfe54d9f",
      stateRoot: "0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3",
      transactionsRoot: empty,
      receiptsRoot: empty,
      logsBloom: `0x${"00".repeat(256)}`,
      difficulty: "0x3ff800000",
      number: "0x1",
      gasLimit: "0x1388",
      gasUsed: "0x0",
      timestamp: "0x55ba4224",
      extraData: "0x476574682f76312e302e302f6c696e75782f676f312e342e32",
      mixHash: "0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59",
      nonce: "0x539bd4979fef1ec4",
    };
    expect(keccak256(encodeHeader(first)!)).to.equal(first.hash);
    expect(encodeHeader({ ...first, gasUsed: "0x1" })).to.equal(undefined);
    expect(encodeHeader({ ...first, nonce: undefined })).to.equal(undefined);
    expect(encodeHeader({ ...first, miner: "0x0" })).to.equal(undefined);
    expect(encodeHeader({})).to.equal(undefined);
  });

  it("are no other RLP", () => {
    for (const other of ["0x", "0xc0", "0x80", "0xf8", "0xc180", `0xcf${"80".repeat(15)}`, `0x${"ff".repeat(600)}`]) {
      expect(decodeHeader(other), other).to.equal(undefined);
    }
  });
});
