import { createPublicKey, verify } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";

import { p256 } from "@noble/curves/nist.js";
import { expect } from "chai";
import { concat, dataSlice, getAddress, getBytes, keccak256, toBeHex } from "ethers";
import { network } from "hardhat";

import * as client from "../client/bundles.js";
import { bundleFiles } from "../scripts/vectors/bundle.js";
import { vectorFiles } from "../scripts/vectors/files.js";
import * as reference from "./support/reference.js";
import { verify as verifyBundle, type Bundle } from "./support/reference-bundle.js";
import { consistencyProofOf, pathOf, peakPathOf, rangeProofOf, rootOf } from "./support/rfc9162.js";

// ------------------------------------------------------------------ files

interface ReadingVector {
  tree: string;
  logId: string;
  seq: string;
  measuredAt: string;
  salt: string;
  contentFormat: number;
  payload: string;
  commitment: string;
  leaf: string;
}

interface TreeVector {
  hash: string;
  size: number;
  root: string;
  inclusion: { index: number; proof: string[] }[];
  ranges: { first: number; count: number; proof: string[] }[];
  consistency: { oldSize: number; oldRoot: string; proof: string[] }[];
}

interface SeedVector {
  hash: string;
  logId: string;
  seed: string;
  wayDown: { height: number; index: number; seed: string; left: string; right: string }[];
  salts: { leaf: number; salt: string }[];
  erased: { size: number; indices: number[]; nodes: reference.Node[] }[];
  disclosed: { first: number; count: number; nodes: reference.Node[] }[];
  disclosedOfErased: { size: number; indices: number[]; first: number; count: number; nodes: reference.Node[] };
}

interface BatchVector {
  name: string;
  logId: string;
  tree: string;
  firstSeq: string;
  seed: string;
  readings: Omit<ReadingVector, "tree" | "logId" | "seq">[];
  count: string;
  tFirst: string;
  tLast: string;
  root: string;
  ranges: { firstSeq: string; count: string; proof: string[] }[];
  erased: { index: number; root: string; seeds: reference.Node[] };
}

interface DeviceBatchVector {
  device: string;
  stream: string;
  firstSeq: string;
  count: string;
  tFirst: string;
  tLast: string;
  tree: string;
  root: string;
  contentFormat: number;
  payload: string;
}

interface Kept {
  record: reference.Anchored;
  leaf: string;
  span: string;
  context: string;
}

interface AnchorVectors {
  domain: { name: string; version: string; chainId: string; verifyingContract: string };
  domainSeparator: string;
  type: string;
  typeHash: string;
  keys: reference.KeyVector[];
  anchors: (Kept & {
    by: string;
    message: reference.Message;
    structHash: string;
    digest: string;
    proof: { publicKey: string; signature: string };
  })[];
  others: Kept[];
}

interface LogVectors {
  logId: string;
  leaves: string[];
  sizes: {
    size: number;
    root: string;
    peaks: { height: number; hash: string }[];
    peakProofs: { index: number; proof: string[] }[];
    consistency: { oldSize: number; proof: string[] }[];
  }[];
}

interface ManyVectors {
  sender: string;
  fleet: string;
  deadline: string;
  freshBlock: string;
  freshHash: string;
  records: (Kept & { bytes: string })[];
  packed: string;
  others: { record: reference.Anchored; bytes: string }[];
}

interface Expected {
  blockHash: string;
  dataAnchor: string;
  chainId: string;
  ok: boolean;
  levels: Record<string, { status: string; reason?: string }>;
}

async function read<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(`test/vectors/${name}.json`, "utf8")) as T;
}

const hashNamed = (name: string) => reference.hashOf[name]!;

/** The numbers from 0 on, so many. */
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

// ------------------------------------------------------------------ tests

describe("The vectors", () => {
  it("come out the same each time that they are made", async () => {
    const files = await vectorFiles();
    for (const [path, text] of files) expect(await readFile(path, "utf8"), path).to.equal(text);
    const bundles = await bundleFiles();
    const present = (await readdir("test/vectors")).map((name) => `test/vectors/${name}`);
    expect(present).to.have.members([...files.keys(), ...bundles.keys()]);
  });

  it("come out the same but for the state in the bundle, of which the contracts' code is a part", async () => {
    const bundles = await bundleFiles();
    const made = JSON.parse(bundles.get("test/vectors/bundle.json")!) as Bundle;
    const kept = await read<Bundle>("bundle");
    const log = { ...kept.log, block: made.log.block };
    expect({ ...kept, log, state: made.state }).to.deep.equal(made);
    expect(kept.log.block.number).to.equal(made.log.block.number);
    const expected = await read<Expected>("bundle-expected");
    const madeExpected = JSON.parse(bundles.get("test/vectors/bundle-expected.json")!) as Expected;
    expect({ ...expected, blockHash: madeExpected.blockHash }).to.deep.equal(madeExpected);
    expect(expected.ok).to.equal(true);

    const { blockHash, dataAnchor, chainId } = expected;
    const { ok, levels } = await client.verifyBundle({ bundle: kept, blockHash, dataAnchor, chainId: BigInt(chainId) });
    expect(ok).to.equal(true);
    for (const [name, { status }] of Object.entries(levels)) expect(status).to.equal(expected.levels[name]!.status);
  });

  describe("are what an implementation apart from the client makes", () => {
    it("of readings", async () => {
      for (const vector of await read<ReadingVector[]>("readings")) {
        const hash = hashNamed(vector.tree);
        expect(reference.commitment(hash, vector)).to.equal(vector.commitment);
        const { seq, measuredAt, commitment } = vector;
        const reading = { seq: BigInt(seq), measuredAt: BigInt(measuredAt), commitment };
        expect(reference.readingLeaf(hash, vector.logId, reading)).to.equal(vector.leaf);
      }
    });

    it("of trees, with all proofs", async () => {
      const vectors = await read<TreeVector[]>("trees");
      expect(vectors.map(({ size }) => size)).to.deep.equal([...upTo(10), 100, ...upTo(10), 100]);
      for (const { hash: name, size, root, inclusion, ranges, consistency } of vectors) {
        const hash = hashNamed(name);
        const leaves = upTo(size).map((index) => hash(concat(["0x00", toBeHex(index, 1)])));
        expect(rootOf(leaves, hash)).to.equal(root);
        for (const { index, proof } of inclusion) expect(pathOf(index, leaves, hash)).to.deep.equal(proof);
        for (const { first, count, proof } of ranges) {
          expect(rangeProofOf(first, count, leaves, hash)).to.deep.equal(proof);
        }
        for (const { oldSize, oldRoot, proof } of consistency) {
          expect(rootOf(leaves.slice(0, oldSize), hash)).to.equal(oldRoot);
          expect(consistencyProofOf(oldSize, leaves, hash)).to.deep.equal(proof);
        }
        // All that there is of the small ones.
        if (size > 9) continue;
        expect([inclusion.length, ranges.length, consistency.length]).to.deep.equal([
          size,
          (size * (size + 1)) / 2,
          size,
        ]);
      }
    });

    it("of seeds, salts, and what is left or disclosed of them", async () => {
      for (const vector of await read<SeedVector[]>("seeds")) {
        const family = { hash: hashNamed(vector.hash), logId: vector.logId };
        const root = { height: 32, index: 0, seed: vector.seed };
        expect(vector.wayDown.map(({ height }) => height)).to.deep.equal(upTo(32).map((step) => 32 - step));
        for (const { left, right, ...node } of vector.wayDown) {
          expect(reference.childrenOf(family, node).map(({ seed }) => seed)).to.deep.equal([left, right]);
        }
        for (const { leaf, salt } of vector.salts) expect(reference.saltOf(family, [root], leaf)).to.equal(salt);

        const leftOf = (size: number, indices: number[]) =>
          reference.nodesOf(family, root, (from, to) => {
            if (from >= size) return "none";
            if (!indices.some((index) => index >= from && index < to)) return "all";
            return to - from === 1 ? "none" : "some";
          });
        const within = (first: number, count: number) => (from: number, to: number) => {
          if (to <= first || from >= first + count) return "none";
          // Never the root itself.
          return from >= first && to <= first + count && to - from < 2 ** 32 ? "all" : "some";
        };
        for (const { size, indices, nodes } of vector.erased) {
          expect(leftOf(size, indices)).to.deep.equal(nodes);
          const open = upTo(size).filter((leaf) => reference.saltOf(family, nodes, leaf) !== undefined);
          expect(open).to.deep.equal(upTo(size).filter((leaf) => !indices.includes(leaf)));
        }
        for (const { first, count, nodes } of vector.disclosed) {
          expect(reference.nodesOf(family, root, within(first, count))).to.deep.equal(nodes);
        }
        const { size, indices, first, count, nodes } = vector.disclosedOfErased;
        const disclosed = leftOf(size, indices).flatMap((node) =>
          reference.nodesOf(family, node, within(first, count)),
        );
        expect(disclosed).to.deep.equal(nodes);
      }
    });

    it("of batches, from their readings and a seed to their root", async () => {
      for (const vector of await read<BatchVector[]>("batches")) {
        const { logId, readings, erased } = vector;
        const family = { hash: hashNamed(vector.tree), logId };
        const root = { height: 32, index: 0, seed: vector.seed };
        const leaves = readings.map((reading, index) => {
          expect(reference.saltOf(family, [root], index)).to.equal(reading.salt);
          expect(reference.commitment(family.hash, reading)).to.equal(reading.commitment);
          const [seq, measuredAt] = [BigInt(vector.firstSeq) + BigInt(index), BigInt(reading.measuredAt)];
          return reference.readingLeaf(family.hash, logId, { seq, measuredAt, commitment: reading.commitment });
        });
        expect(leaves).to.deep.equal(readings.map(({ leaf }) => leaf));
        expect([rootOf(leaves, family.hash), erased.root]).to.deep.equal([vector.root, vector.root]);
        expect(vector.count).to.equal(String(readings.length));
        const times = readings.map(({ measuredAt }) => Number(measuredAt));
        expect([vector.tFirst, vector.tLast]).to.deep.equal([Math.min(...times), Math.max(...times)].map(String));
        for (const { firstSeq, count, proof } of vector.ranges) {
          const first = Number(BigInt(firstSeq) - BigInt(vector.firstSeq));
          expect(rangeProofOf(first, Number(count), leaves, family.hash)).to.deep.equal(proof);
        }
        const salts = readings.map((_, index) => reference.saltOf(family, erased.seeds, index));
        expect(salts).to.deep.equal(readings.map(({ salt }, index) => (index === erased.index ? undefined : salt)));
      }
    });

    it("of batches of devices in a fleet's log", async () => {
      const vectors = await read<DeviceBatchVector[]>("device-batches");
      for (const { device, stream, firstSeq, count, tFirst, tLast, tree, root, payload } of vectors) {
        const fields = [device, toBeHex(stream, 12), toBeHex(firstSeq, 8), toBeHex(count, 8), toBeHex(tFirst, 6)];
        const rest = [toBeHex(tLast, 6), toBeHex(reference.TREES.indexOf(tree), 1), root];
        expect(concat([...fields, ...rest])).to.equal(payload);
        expect(getBytes(payload).length).to.equal(93);
      }
      const batches = await read<BatchVector[]>("batches");
      const fleetBatch = batches.find(({ name }) => name === "fleetBatch")!;
      const content = ({ contentFormat, payload }: { contentFormat: number; payload: string }) => [
        contentFormat,
        payload,
      ];
      expect(fleetBatch.readings.map(content)).to.deep.equal(vectors.map(content));
      expect(vectors.map(({ contentFormat }) => contentFormat)).to.deep.equal(vectors.map(() => 65_001));
    });

    it("of messages, their digests and signatures", async () => {
      const { domain, domainSeparator, type, typeHash, keys, anchors } = await read<AnchorVectors>("anchors");
      expect(reference.textHash(type)).to.equal(typeHash);
      expect(reference.domainSeparator(domain)).to.equal(domainSeparator);
      for (const key of keys) {
        const point = reference.pointOf(key);
        expect(dataSlice(keccak256(point), 12)).to.equal(key.keyId);
        expect(key.publicKey).to.equal(key.scheme === "Account" ? "0x" : point);
      }
      for (const { by, message, structHash, digest, proof, record } of anchors) {
        const key = keys.find(({ name }) => name === by)!;
        expect(reference.structHash(typeHash, message)).to.equal(structHash);
        expect(reference.digest(domainSeparator, structHash)).to.equal(digest);
        expect(proof).to.deep.equal({ publicKey: key.publicKey, signature: reference.sign(key, digest) });
        // The record says what the message says, and who signed it.
        const kind = String(reference.KINDS.indexOf(record.kind));
        const tree = String(reference.TREES.indexOf(record.tree));
        const { freshHash, deadline } = message;
        expect({ ...record, kind, tree, freshHash, deadline }).to.include(message);
        expect(record.author).to.equal(key.keyId);
      }
      expect(new Set(anchors.map(({ by }) => by)).size).to.equal(3);
    });

    it("of signatures by hardware that hashes what it signs, as Node checks them", async () => {
      const { keys, anchors } = await read<AnchorVectors>("anchors");
      const key = keys.find(({ scheme }) => scheme === "P256Sha256")!;
      const [x, y] = [dataSlice(key.publicKey, 0, 32), dataSlice(key.publicKey, 32)];
      const inBase64 = (hex: string) => Buffer.from(getBytes(hex)).toString("base64url");
      const jwk = { kty: "EC", crv: "P-256", x: inBase64(x), y: inBase64(y) };
      const publicKey = createPublicKey({ key: jwk, format: "jwk" });
      const signed = anchors.filter(({ by }) => by === key.name);
      expect(signed.length).to.equal(1);
      for (const { digest, proof } of signed) {
        const data = Buffer.concat([Buffer.from("Touchstone.v1"), getBytes(digest)]);
        const isSigned = verify(
          "sha256",
          data,
          { key: publicKey, dsaEncoding: "ieee-p1363" },
          getBytes(proof.signature),
        );
        expect(isSigned).to.equal(true);
      }
    });

    it("of what a log keeps of an anchor, and tells of it", async () => {
      const { anchors, others } = await read<AnchorVectors>("anchors");
      const many = await read<ManyVectors>("anchor-many");
      for (const { record, leaf, span, context } of [...anchors, ...others, ...many.records]) {
        expect(reference.anchorLeaf(record)).to.equal(leaf);
        expect(reference.eventWords(record)).to.deep.equal({ span, context });
      }
    });

    it("of a log's peaks, roots and proofs at each size", async () => {
      const { logId, leaves, sizes } = await read<LogVectors>("log");
      const { anchors } = await read<AnchorVectors>("anchors");
      const records = anchors.filter(({ record }) => record.logId === logId);
      expect(records.map(({ leaf }) => leaf)).to.deep.equal(leaves);
      expect(sizes.map(({ size }) => size)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8]);
      for (const { size, root, peaks, peakProofs, consistency } of sizes) {
        const held = leaves.slice(0, size);
        expect(rootOf(held, keccak256)).to.equal(root);
        // From the left the largest perfect tree that there is, and so on.
        let from = 0;
        const expected = [...Array(31).keys()].reverse().flatMap((height) => {
          if (((size >> height) & 1) === 0) return [];
          from += 2 ** height;
          return [{ height, hash: rootOf(held.slice(from - 2 ** height, from), keccak256) }];
        });
        expect(peaks).to.deep.equal(expected.reverse());
        expect(peakProofs).to.deep.equal(
          upTo(size).map((index) => ({ index, proof: peakPathOf(index, held, keccak256) })),
        );
        expect(consistency).to.deep.equal(
          upTo(size).map((index) => ({
            oldSize: index + 1,
            proof: consistencyProofOf(index + 1, held, keccak256),
          })),
        );
      }
    });

    it("of the records of a call for many logs", async () => {
      const { fleet, records, packed, others } = await read<ManyVectors>("anchor-many");
      for (const { record, bytes } of [...records, ...others]) {
        expect(reference.recordBytes(record)).to.equal(bytes);
        expect(getBytes(bytes).length).to.equal(87);
      }
      expect(concat(records.map(({ bytes }) => bytes))).to.equal(packed);
      expect(records.map(({ record }) => dataSlice(record.logId, 0, 20))).to.deep.equal(records.map(() => fleet));
    });
  });

  describe("of a bundle are verified with nothing but it and a block hash", () => {
    it("with each signature, by an implementation apart from the client", async () => {
      const bundle = await read<Bundle>("bundle");
      const { digests } = verifyBundle(bundle, await read<Expected>("bundle-expected"));
      const { keys, anchors } = await read<AnchorVectors>("anchors");
      const key = keys.find(({ scheme }) => scheme === "P256")!;
      for (const [place, { signed, anchor }] of bundle.batches.entries()) {
        expect(anchor.author).to.equal(dataSlice(bundle.logId, 0, 20));
        expect(dataSlice(keccak256(signed!.publicKey), 12)).to.equal(anchor.author);
        const signature = getBytes(signed!.signature);
        const point = getBytes(concat(["0x04", signed!.publicKey]));
        const hash = getBytes(digests[place]!);
        expect(p256.verify(signature, hash, point, { prehash: false, lowS: true })).to.equal(true);
        expect(reference.sign(key, digests[place]!)).to.equal(signed!.signature);
        expect(anchors[Number(anchor.index)]!.digest).to.equal(digests[place]);
      }
      expect(bundle.batches.map(({ anchor }) => anchor.kind)).to.deep.equal([
        "Data",
        "Data",
        "Gap",
        "Data",
        "Correction",
        "Data",
      ]);
    });

    it("and not when anything of it is another", async () => {
      const known = await read<Expected>("bundle-expected");
      const text = JSON.stringify(await read<Bundle>("bundle"));
      const alter: Record<string, (bundle: Bundle) => void> = {
        root: ({ batches: [batch] }) => (batch!.readings[0]!.measuredAt = String(BigInt(batch!.anchor.tFirst) + 1n)),
        time: ({ batches: [batch] }) => (batch!.readings[0]!.measuredAt = "1"),
        seeds: ({ batches: [batch] }) => batch!.seeds.pop(),
        "number of readings": ({ batches: [batch] }) => batch!.readings.pop(),
        "length of the range proof": ({ batches: [batch] }) => batch!.rangeProof.pop(),
        "length of the peak proof": ({ batches: [batch] }) => batch!.peakProof.push(known.blockHash),
        peak: ({ batches: [batch] }) => (batch!.anchor.timestamp = "1767225601"),
        order: ({ batches }) => batches.push(batches[0]!),
        "gap or overlap": ({ batches }) => batches.splice(2, 1),
        "end of the range": ({ batches }) => batches.pop(),
        size: ({ log }) => (log.size = "9"),
        "block number": ({ log }) => (log.block.number = "8213"),
        header: ({ log }) => (log.block.hash = `0x${"00".repeat(32)}`),
        "node of a trie": ({ state }) => state.accountProof.shift(),
        "end of a trie's proof": ({ state }) => state.headProof.push("0x80"),
        contract: (bundle) => (bundle.dataAnchor = `0x${"11".repeat(20)}`),
        deadline: ({ batches: [batch] }) => (batch!.signed!.deadline = "1"),
      };
      for (const [fault, change] of Object.entries(alter)) {
        const bundle = JSON.parse(text) as Bundle;
        change(bundle);
        expect(() => verifyBundle(bundle, known), fault).to.throw(`wrong: ${fault}`);
      }
    });
  });

  describe("are taken by the contract", () => {
    /** A chain of its own: the messages name the contract's address, and the records the time of their blocks. */
    async function replay() {
      const { ethers, networkHelpers } = await network.create({ override: { initialDate: "2025-12-31T00:00:00Z" } });
      const [deployer, owner, relayer] = await ethers.getSigners();
      const roles = await ethers.deployContract("RoleRegistry", deployer);
      const devices = await ethers.deployContract("DeviceRegistry", [roles], deployer);
      await ethers.deployContract("DataAccess", [roles, devices], deployer);
      const contract = await ethers.deployContract("DataAnchor", [roles, devices], deployer);
      // Past what EIP-2935 keeps.
      await networkHelpers.mine(8200);

      const { keys, ...rest } = await read<AnchorVectors>("anchors");
      const deadline = String((await networkHelpers.time.latest()) + 86_400);
      const type =
        "Enrollment(address device,uint8 scheme,address owner,uint32 manifest,bytes32 metadataHash,uint40 deadline)";
      const separator = reference.domainSeparator({
        name: "Touchstone DeviceRegistry",
        version: "1",
        chainId: "31337",
        verifyingContract: await devices.getAddress(),
      });
      for (const key of keys) {
        const scheme = ["Account", "P256", "P256Sha256"].indexOf(key.scheme);
        const enrollment = {
          device: key.keyId,
          scheme,
          owner: owner!.address,
          manifest: 0,
          metadataHash: ethers.ZeroHash,
          deadline,
        };
        const words = Object.values(enrollment).map((value) => toBeHex(value, 32));
        const digest = reference.digest(separator, keccak256(concat([reference.textHash(type), ...words])));
        const proof = { publicKey: key.publicKey, signature: reference.sign(key, digest) };
        await devices.connect(owner).enroll(enrollment, proof, "0x");
      }
      return { ethers, networkHelpers, contract, owner: owner!, relayer: relayer!, keys, ...rest };
    }

    const structOf = (record: reference.Anchored) => ({
      ...record,
      kind: reference.KINDS.indexOf(record.kind),
      tree: reference.TREES.indexOf(record.tree),
      freshState: reference.FRESH_STATES.indexOf(record.freshState),
    });
    const eventOf = ({ record, span, context }: Kept) => [
      record.logId,
      BigInt(record.index),
      getAddress(record.author),
      BigInt(span),
      record.root,
      BigInt(context),
    ];

    it("with their signatures, leaves, events, roots and proofs", async () => {
      const { ethers, networkHelpers, contract, relayer, domain, anchors, others } = await replay();
      expect((await contract.getAddress()).toLowerCase()).to.equal(domain.verifyingContract);
      const log = await read<LogVectors>("log");
      const batches = await read<BatchVector[]>("batches");
      for (const vector of anchors) {
        const { message, proof, record, leaf } = vector;
        await networkHelpers.time.setNextBlockTimestamp(Number(record.timestamp));
        const sent = contract.connect(relayer).anchor(message, proof);
        await expect(sent)
          .to.emit(contract, "Anchored")
          .withArgs(...eventOf(vector));
        expect(await contract.leafOf(structOf(record))).to.equal(leaf);
        if (record.logId !== log.logId) continue;
        const { size, root, peakProofs, consistency } = log.sizes[Number(record.index)]!;
        expect(await contract.root(log.logId)).to.equal(root);
        for (const { index, proof: siblings } of peakProofs) {
          expect(await contract.verifyAnchor(structOf(anchors[index]!.record), siblings)).to.equal(true);
        }
        for (const { oldSize, proof: siblings } of consistency) {
          const oldRoot = log.sizes[oldSize - 1]!.root;
          expect(await contract.verifyConsistency(log.logId, oldSize, oldRoot, siblings)).to.equal(true);
        }
        expect((await contract.head(log.logId)).size).to.equal(BigInt(size));
      }
      for (const { record, leaf } of others) expect(await contract.leafOf(structOf(record))).to.equal(leaf);

      // Now that the log is whole, every reading of every batch, and ranges of them.
      const peakProofs = log.sizes.at(-1)!.peakProofs;
      const verified = batches.filter(({ logId }) => logId === log.logId);
      expect(verified.length).to.equal(7);
      for (const { root, firstSeq, readings, ranges, tree } of verified) {
        const { record } = anchors.find((vector) => vector.record.root === root)!;
        const peakProof = peakProofs[Number(record.index)]!.proof;
        const all = readings.map(({ measuredAt, commitment }, index) => ({
          seq: BigInt(firstSeq) + BigInt(index),
          measuredAt,
          commitment,
        }));
        const leaves = readings.map(({ leaf }) => leaf);
        for (const index of upTo(Math.min(all.length, 10))) {
          const batchProof = pathOf(index, leaves, hashNamed(tree));
          const isThere = contract.verifyReading(structOf(record), all[index]!, batchProof, peakProof);
          expect(await isThere).to.equal(true);
        }
        for (const { firstSeq: first, count, proof } of ranges) {
          const from = Number(BigInt(first) - BigInt(firstSeq));
          const range = all.slice(from, from + Number(count));
          expect(await contract.verifyRange(structOf(record), range, proof, peakProof)).to.equal(true);
        }
      }
      expect(ethers.ZeroHash).to.equal(anchors[2]!.record.root);
    });

    it("as records of a call for many logs", async () => {
      const { networkHelpers, contract, owner } = await replay();
      const { sender, fleet, deadline, freshBlock, freshHash, packed, records } =
        await read<ManyVectors>("anchor-many");
      expect(owner.address.toLowerCase()).to.equal(sender);
      await networkHelpers.time.setNextBlockTimestamp(Number(records[0]!.record.timestamp));
      const sent = contract.connect(owner).anchorMany(fleet, deadline, freshBlock, freshHash, packed);
      await expect(sent).not.to.emit(contract, "AnchorSkipped");
      for (const vector of records) {
        await expect(sent)
          .to.emit(contract, "Anchored")
          .withArgs(...eventOf(vector));
      }
      for (const { record, leaf } of records) expect(await contract.leafOf(structOf(record))).to.equal(leaf);
    });
  });
});
