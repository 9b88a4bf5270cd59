import { expect } from "chai";
import { concat, getBytes, hexlify, keccak256, sha256, toBeHex } from "ethers";

import {
  buildBatch,
  commitmentOf,
  createBatchBuilder,
  readingLeaf,
  type Erased,
  type Measurement,
} from "../../client/batches.js";
import { rootOfRange } from "../../client/merkle-paths.js";
import { eraseAllSeeds, rootSeed, saltsOf } from "../../client/seed-tree.js";
import { errorOf } from "../support/errors.js";
import { rangeProofOf } from "../support/rfc9162.js";

const logId = `0x${"11".repeat(32)}`;
const SALT = Buffer.alloc(16, 7);

/** Measurements whose times go up and down. */
const measure = (count: number): Measurement[] =>
  Array.from({ length: count }, (_, index) => ({
    measuredAt: 1_700_000_000_000n + BigInt((index * 7) % 11),
    payload: Buffer.from(`${20 + index}.5`),
    contentFormat: index,
  }));

describe("Batches of the client", () => {
  it("hash a reading byte by byte as the contract does", () => {
    const payload = Buffer.from("21.5");
    for (const [tree, hash] of [
      ["Keccak256", keccak256],
      ["Sha256", sha256],
    ] as const) {
      const commitment = hash(concat(["0x02", SALT, "0x006e", payload]));
      expect(commitmentOf({ tree, salt: SALT, contentFormat: 110, payload })).to.equal(commitment);
      const leaf = hash(concat(["0x0001", logId, toBeHex(9, 8), toBeHex(1_700_000_000_123n, 6), commitment]));
      const reading = { seq: 9n, measuredAt: 1_700_000_000_123n, commitment };
      expect(readingLeaf({ tree, logId, reading })).to.equal(leaf);
      const batch = buildBatch({
        logId,
        firstSeq: 9n,
        tree,
        readings: [{ measuredAt: 1_700_000_000_123n, payload, contentFormat: 110 }],
        seeds: [{ height: 0, index: 0, seed: SALT }],
      });
      expect(batch.root).to.equal(leaf);
      expect(batch.proofOf(9n)).to.deep.equal([]);
    }
  });

  it("salt each reading, so that equal readings have unequal commitments", () => {
    const readings = Array.from({ length: 3 }, () => ({ measuredAt: 1n, payload: Buffer.from("0") }));
    const batch = buildBatch({ logId, firstSeq: 0n, readings });
    expect(new Set(batch.readings.map(({ commitment }) => commitment)).size).to.equal(3);
    expect(new Set(batch.readings.map(({ salt }) => hexlify(salt!))).size).to.equal(3);
    expect(batch.readings.map(({ salt }) => salt?.length)).to.deep.equal([16, 16, 16]);
  });

  it("refuse a salt of another length", async () => {
    const content = { tree: "Sha256", contentFormat: 0, payload: new Uint8Array() } as const;
    const error = await errorOf("INVALID_ARGUMENT", () => commitmentOf({ ...content, salt: new Uint8Array(15) }));
    expect(error.message).to.equal("A salt of 15 bytes is none: give 16.");
  });

  it("say what they span, whatever the order of the measurements", () => {
    const readings = [5n, 3n, 9n, 4n].map((measuredAt) => ({ measuredAt, payload: new Uint8Array() }));
    const { tFirst, tLast, count, firstSeq } = buildBatch({ logId, firstSeq: 100n, readings });
    expect({ tFirst, tLast, count, firstSeq }).to.deep.equal({ tFirst: 3n, tLast: 9n, count: 4n, firstSeq: 100n });
  });

  it("refuse what is no reading, naming it", async () => {
    const good = { measuredAt: 1n, payload: new Uint8Array() };
    const refused = [
      [{ measuredAt: -1n }, 0n, "-1 is no time of a reading: give Unix milliseconds below 2^48."],
      [{ measuredAt: 2n ** 48n }, 0n, "281474976710656 is no time of a reading: give Unix milliseconds below 2^48."],
      [{ contentFormat: 65_536 }, 0n, "65536 is no content format: give 0 to 65,535."],
      [{}, -1n, "-1 is no sequence number: give 0 to 2^64 - 1."],
      [{}, 2n ** 64n, "18446744073709551616 is no sequence number: give 0 to 2^64 - 1."],
    ] as const;
    for (const [reading, firstSeq, message] of refused) {
      const build = () => buildBatch({ logId, firstSeq, readings: [{ ...good, ...reading }] });
      expect((await errorOf("INVALID_ARGUMENT", build)).message).to.equal(message);
    }
    const empty = await errorOf("INVALID_ARGUMENT", () => buildBatch({ logId, firstSeq: 0n, readings: [] }));
    expect(empty.message).to.equal("0 readings are no batch: give 1 to 33554432.");
    await errorOf("INVALID_ARGUMENT", () => buildBatch({ logId: "0x11", firstSeq: 0n, readings: [good] }));
  });

  it("take their salts from their seeds, so that the same seeds give the same batch", () => {
    const readings = measure(9);
    const batch = buildBatch({ logId, firstSeq: 3n, readings });
    const salts = saltsOf({ hash: "Keccak256", logId, seeds: batch.seeds, first: 0, count: 9 });
    for (const [index, { salt }] of batch.readings.entries()) {
      expect(hexlify(salt!)).to.equal(hexlify(salts.subarray(16 * index, 16 * index + 16)));
    }
    const { root, readings: again, seeds } = buildBatch({ logId, firstSeq: 3n, readings, seeds: batch.seeds });
    expect({ root, again, seeds }).to.deep.equal({ root: batch.root, again: batch.readings, seeds: batch.seeds });
    expect(buildBatch({ logId, firstSeq: 3n, readings }).root).not.to.equal(batch.root);
  });

  it("keep root and proofs when readings were erased, and hold no seed of them", async () => {
    for (const tree of ["Keccak256", "Sha256"] as const) {
      const batch = buildBatch({ logId, firstSeq: 3n, readings: measure(11), tree });
      const erase = (...gone: number[]): (Measurement | Erased)[] =>
        batch.readings.map((reading, index) =>
          gone.includes(index) ? { measuredAt: reading.measuredAt, commitment: reading.commitment } : reading,
        );
      const after = buildBatch({ logId, firstSeq: 3n, readings: erase(0, 4), tree, seeds: batch.seeds });
      expect(after.root).to.equal(batch.root);
      expect(after.proofOf(7n)).to.deep.equal(batch.proofOf(7n));
      expect(after.readings[4]).to.deep.equal({
        seq: 7n,
        measuredAt: batch.readings[4]!.measuredAt,
        commitment: batch.readings[4]!.commitment,
      });
      expect(after.readings[5]).to.deep.equal(batch.readings[5]);
      const held = { hash: tree, logId };
      expect(after.seeds).to.deep.equal(eraseAllSeeds({ ...held, seeds: batch.seeds, indices: [0, 4], size: 11 }));
      const more = buildBatch({ logId, firstSeq: 3n, readings: erase(0, 4, 10), tree, seeds: after.seeds });
      expect(more.root).to.equal(batch.root);
      const revived = () => buildBatch({ logId, firstSeq: 3n, readings: erase(0, 10), tree, seeds: more.seeds });
      expect((await errorOf("NOT_FOUND", revived)).details).to.deep.equal({ leaf: 4 });
    }
  });

  it("keep their seeds and salts whatever becomes of those that were given", () => {
    const given = rootSeed();
    const batch = buildBatch({ logId, firstSeq: 0n, readings: measure(3), seeds: [given] });
    given.seed.fill(0);
    const { root } = buildBatch({ logId, firstSeq: 0n, readings: measure(3), seeds: batch.seeds });
    expect(root).to.equal(batch.root);
    const builder = createBatchBuilder({ logId, firstSeq: 0n });
    for (const [index, reading] of measure(3).entries()) {
      builder.add(reading);
      if (index === 1) builder.finish().seeds[0]!.seed.fill(0);
    }
    const streamed = builder.finish();
    const rebuilt = buildBatch({ logId, firstSeq: 0n, readings: measure(3), seeds: streamed.seeds });
    expect(rebuilt.root).to.equal(streamed.root);
  });

  it("prove that readings which follow each other are all there", () => {
    const batch = buildBatch({ logId, firstSeq: 100n, readings: measure(13), tree: "Sha256" });
    const leaves = batch.readings.map((reading) => readingLeaf({ tree: "Sha256", logId, reading }));
    for (let first = 0; first < 13; first += 1) {
      for (let count = 1; first + count <= 13; count += 1) {
        const proof = batch.rangeProofOf(100n + BigInt(first), BigInt(count));
        expect(proof).to.deep.equal(rangeProofOf(first, count, leaves, sha256));
        const root = rootOfRange({
          hash: "Sha256",
          leaves: getBytes(concat(leaves.slice(first, first + count))),
          first,
          size: 13,
          proof: proof.map((node) => getBytes(node)),
        });
        expect(hexlify(root!)).to.equal(batch.root);
      }
    }
    expect(batch.rangeProofOf(105n, 1n)).to.deep.equal(batch.proofOf(105n));
  });

  it("refuse a commitment that is none for an erased reading", async () => {
    const readings = [{ measuredAt: 1n, commitment: "0x1234" }];
    const error = await errorOf("INVALID_ARGUMENT", () => buildBatch({ logId, firstSeq: 0n, readings }));
    expect(error.message).to.equal('commitment: "0x1234" has 2 bytes: give 32 bytes as 0x hex.');
  });

  it("refuse a proof of readings that they do not have", async () => {
    const batch = buildBatch({ logId, firstSeq: 4n, readings: measure(2) });
    for (const seq of [3n, 6n]) {
      const { message } = await errorOf("NOT_FOUND", () => batch.proofOf(seq));
      expect(message).to.equal(`The batch has no reading ${seq}: it has 4 to 5.`);
    }
    for (const [first, count] of [
      [3n, 2n],
      [4n, 3n],
      [5n, 2n],
      [4n, 0n],
      [5n, -1n],
    ] as const) {
      const { message } = await errorOf("NOT_FOUND", () => batch.rangeProofOf(first, count));
      expect(message).to.equal(`The batch has no ${count} readings from ${first} on: it has 4 to 5.`);
    }
  });
});

describe("createBatchBuilder", () => {
  it("gives what buildBatch gives of the same readings and seed, at every size up to 40", () => {
    for (const tree of ["Keccak256", "Sha256"] as const) {
      const readings = measure(40);
      const seed = Buffer.alloc(16, 3);
      const builder = createBatchBuilder({ logId, firstSeq: 7n, tree, seed });
      expect(builder.count).to.equal(0n);
      for (const [index, reading] of readings.entries()) {
        builder.add(reading);
        expect(builder.count).to.equal(BigInt(index + 1));
        const { seeds, ...streamed } = builder.finish();
        const batch = buildBatch({ logId, firstSeq: 7n, readings: readings.slice(0, index + 1), tree, seeds });
        const { count, tFirst, tLast, root } = batch;
        expect(streamed).to.deep.equal({ logId, tree, firstSeq: 7n, count, tFirst, tLast, root });
      }
    }
  });

  it("takes payloads of all lengths, whatever becomes of their bytes afterwards", () => {
    const lengths = [0, 1, 256, 257, 300, 64, 20_000, 0, 40_000, 64, 237, 238];
    const readings = lengths.map((length, index) => ({
      measuredAt: 9n,
      payload: Buffer.alloc(length, index + 1),
      contentFormat: index * 5957,
    }));
    const builder = createBatchBuilder({ logId, firstSeq: 0n });
    for (const { payload, ...rest } of readings) {
      const bytes = Buffer.from(payload);
      builder.add({ ...rest, payload: bytes });
      bytes.fill(0);
    }
    const { root, seeds } = builder.finish();
    const batch = buildBatch({ logId, firstSeq: 0n, readings, seeds });
    expect(root).to.equal(batch.root);
    for (const { commitment, payload, salt, contentFormat } of batch.readings) {
      const preimage = concat(["0x02", salt!, toBeHex(contentFormat!, 2), payload!]);
      expect(commitment).to.equal(keccak256(preimage));
    }
  });

  it("has a seed of its own unless told", () => {
    const [one, other] = [0, 1].map(() => {
      const builder = createBatchBuilder({ logId, firstSeq: 0n });
      builder.add({ measuredAt: 1n, payload: new Uint8Array() });
      return builder.finish();
    });
    expect(one!.root).not.to.equal(other!.root);
    expect(one!.seeds.map(({ height, index }) => [height, index])).to.deep.equal([[32, 0]]);
  });

  it("refuses what is no reading, and goes on without it", async () => {
    const good = { measuredAt: 5n, payload: Buffer.from("21.5") };
    const builder = createBatchBuilder({ logId, firstSeq: 2n ** 64n - 2n, seed: Buffer.alloc(16) });
    const none = await errorOf("INVALID_ARGUMENT", () => builder.finish());
    expect(none.message).to.equal("0 readings are no batch: add one.");
    builder.add(good);
    const before = builder.finish();
    const refused: [object, string][] = [
      [{ measuredAt: -1n }, "-1 is no time of a reading: give Unix milliseconds below 2^48."],
      [{ measuredAt: 2n ** 48n }, "281474976710656 is no time of a reading: give Unix milliseconds below 2^48."],
      [{ contentFormat: 65_536 }, "65536 is no content format: give 0 to 65,535."],
      [{ contentFormat: -1 }, "-1 is no content format: give 0 to 65,535."],
      [{ contentFormat: 0.5 }, "0.5 is no content format: give 0 to 65,535."],
      [{ payload: "21.5" }, "A payload is bytes: give a Uint8Array."],
    ];
    for (const [wrong, message] of refused) {
      const add = () => {
        builder.add({ ...good, ...wrong });
      };
      expect((await errorOf("INVALID_ARGUMENT", add)).message).to.equal(message);
    }
    expect(builder.finish()).to.deep.equal(before);
    builder.add(good);
    const past = await errorOf("INVALID_ARGUMENT", () => {
      builder.add(good);
    });
    expect(past.message).to.equal("18446744073709551616 is no sequence number: give 0 to 2^64 - 1.");
    expect(builder.count).to.equal(2n);
  });

  it("refuses a log or a seed that is none", async () => {
    await errorOf("INVALID_ARGUMENT", () => createBatchBuilder({ logId: "0x11", firstSeq: 0n }));
    await errorOf("INVALID_ARGUMENT", () => createBatchBuilder({ logId, firstSeq: 0n, seed: Buffer.alloc(17) }));
  });
});
