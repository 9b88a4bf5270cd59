import { expect } from "chai";
import { concat, hexlify, keccak256, toBeHex } from "ethers";
import fc from "fast-check";

import { deviceLogId } from "../../client/anchors.js";
import { buildBatch } from "../../client/batches.js";
import {
  auditDeviceBatches,
  decodeDeviceBatch,
  DEVICE_BATCH_BYTES,
  DEVICE_BATCH_FORMAT,
  deviceBatchesIn,
  deviceBatchReading,
  encodeDeviceBatch,
  type DeviceBatch,
  type DeviceBatchEntry,
  type StreamFinding,
} from "../../client/device-batches.js";
import { errorOf } from "../support/errors.js";

const DEVICE = "0xDeaDbeefdEAdbeefdEadbEEFdeadbeEFdEaDbeeF";
const OTHER = "0x4B20993Bc481177ec7E8f571ceCaE8A9e22C02db";
const START = 1_700_000_000_000n;

/** Readings a second apart, of which each has its time by its number. */
function batchOf(firstSeq: bigint, count: bigint, fields: Partial<DeviceBatch> = {}): DeviceBatch {
  return {
    device: DEVICE,
    stream: 3n,
    firstSeq,
    count,
    tFirst: START + firstSeq * 1000n,
    tLast: START + (firstSeq + count - 1n) * 1000n,
    tree: "Sha256",
    root: keccak256(toBeHex(firstSeq * 1000n + count, 32)),
    ...fields,
  };
}

/** The batches in a fleet log, one after the other from reading 100 on. */
function entriesOf(batches: DeviceBatch[]): DeviceBatchEntry[] {
  return batches.map((batch, place) => ({ seq: 100n + BigInt(place), batch }));
}

/** What is found, without the device and the sentence. */
function shortOf(findings: StreamFinding[]): unknown[] {
  return findings.map(({ code, severity, seq, figures }) => [code, severity, seq, figures]);
}

describe("The batches of devices in a fleet's log", () => {
  it("are 93 bytes that say all of a batch", () => {
    const batch = batchOf(70_000n, 2n ** 32n, { stream: 2n ** 95n - 1n });
    const bytes = encodeDeviceBatch(batch);
    expect(hexlify(bytes)).to.equal(
      concat([
        DEVICE,
        `0x7f${"ff".repeat(11)}`,
        toBeHex(70_000n, 8),
        toBeHex(2n ** 32n, 8),
        toBeHex(batch.tFirst, 6),
        toBeHex(batch.tLast, 6),
        "0x01",
        batch.root,
      ]),
    );
    expect(bytes.length).to.equal(DEVICE_BATCH_BYTES).and.equal(93);
    expect(decodeDeviceBatch(bytes)).to.deep.equal(batch);
    // Wherever in a larger piece of memory they are.
    expect(decodeDeviceBatch(Buffer.concat([Buffer.alloc(7), bytes]).subarray(7))).to.deep.equal(batch);
  });

  it("come back as they were, whatever they say", () => {
    const bytes32 = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => hexlify(Uint8Array.of(...bytes.slice(1), 1)));
    const batches = fc
      .record({
        device: fc.constantFrom(DEVICE, OTHER),
        stream: fc.bigInt({ min: 0n, max: 2n ** 95n - 1n }),
        firstSeq: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n - 2n ** 32n }),
        count: fc.bigInt({ min: 1n, max: 2n ** 32n }),
        times: fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 48n - 1n })),
        tree: fc.constantFrom("Keccak256" as const, "Sha256" as const),
        root: bytes32,
      })
      .map(({ times: [a, b], ...rest }): DeviceBatch => ({ ...rest, tFirst: a < b ? a : b, tLast: a < b ? b : a }));
    fc.assert(
      fc.property(batches, (batch) => {
        expect(decodeDeviceBatch(encodeDeviceBatch(batch))).to.deep.equal(batch);
      }),
    );
  });

  it("are refused as anything that no batch can be, in both directions", async () => {
    const wrong: [Partial<DeviceBatch>, string][] = [
      [{ stream: 2n ** 95n }, `stream ${2n ** 95n} is one of a fleet's`],
      [{ count: 0n }, "0 is no number of readings: 1 to 4294967296"],
      [{ count: 2n ** 32n + 1n }, "4294967297 is no number of readings: 1 to 4294967296"],
      [{ firstSeq: 2n ** 64n - 1n, count: 1n }, `its readings end at ${2n ** 64n}, past 2^64 - 1`],
      [{ tFirst: START + 1n, tLast: START }, `it ends at ${START}, before it begins at ${START + 1n}`],
      [{ root: `0x${"00".repeat(32)}` }, "it has no root"],
    ];
    for (const [fields, words] of wrong) {
      const batch = batchOf(5n, 2n, fields);
      expect((await errorOf("INVALID_ARGUMENT", () => encodeDeviceBatch(batch))).message).to.contain(words);
      const payload = Buffer.from(
        concat([
          DEVICE,
          toBeHex(batch.stream, 12),
          toBeHex(batch.firstSeq, 8),
          toBeHex(batch.count, 8),
          toBeHex(batch.tFirst, 6),
          toBeHex(batch.tLast, 6),
          "0x01",
          batch.root,
        ]).slice(2),
        "hex",
      );
      expect((await errorOf("DEVICE_BATCH_INVALID", () => decodeDeviceBatch(payload))).message).to.contain(words);
    }
    const bytes = encodeDeviceBatch(batchOf(5n, 2n));
    for (const length of [0, 92])
      await errorOf("DEVICE_BATCH_INVALID", () => decodeDeviceBatch(bytes.slice(0, length)));
    await errorOf("DEVICE_BATCH_INVALID", () => decodeDeviceBatch(Buffer.concat([bytes, Buffer.alloc(1)])));
    const { message } = await errorOf("DEVICE_BATCH_INVALID", () =>
      decodeDeviceBatch(bytes.map((byte, at) => (at === 60 ? 2 : byte))),
    );
    expect(message).to.contain("2 is no tree");
    const narrow: Partial<DeviceBatch>[] = [
      { device: "0x11" },
      { root: "0x11" },
      { tLast: 2n ** 48n },
      { firstSeq: -1n },
      { stream: -1n },
    ];
    for (const fields of narrow) await errorOf("INVALID_ARGUMENT", () => encodeDeviceBatch(batchOf(5n, 2n, fields)));
  });

  it("are readings of the fleet's log, and found among others", async () => {
    const batch = buildBatch({
      logId: deviceLogId({ device: DEVICE, stream: 3n }),
      firstSeq: 5n,
      readings: [{ measuredAt: START, payload: Buffer.from("4.5") }],
    });
    const { firstSeq, count, tFirst, tLast, tree, root } = batch;
    const stands: DeviceBatch = { device: DEVICE, stream: 3n, firstSeq, count, tFirst, tLast, tree, root };
    const reading = deviceBatchReading({ batch: stands, takenAt: START + 9n });
    expect(reading).to.deep.include({ measuredAt: START + 9n, contentFormat: DEVICE_BATCH_FORMAT });
    const readings = buildBatch({
      logId: `0x${"11".repeat(32)}`,
      firstSeq: 40n,
      readings: [{ measuredAt: START, payload: Buffer.from("no batch") }, reading],
    }).readings;
    const erased = { seq: 42n, contentFormat: undefined, payload: undefined };
    expect([...deviceBatchesIn([...readings, erased])]).to.deep.equal([{ seq: 41n, batch: stands }]);
    const junk = [{ seq: 1n, contentFormat: DEVICE_BATCH_FORMAT, payload: Buffer.from("junk") }];
    await errorOf("DEVICE_BATCH_INVALID", () => [...deviceBatchesIn(junk)]);
  });
});

describe("auditDeviceBatches", () => {
  it("finds nothing where each stream goes on, in whatever order the batches came", () => {
    const late = [batchOf(0n, 10n), batchOf(15n, 5n), batchOf(10n, 5n), batchOf(20n, 1n)];
    const [found, ...rest] = auditDeviceBatches(entriesOf(late));
    expect(rest).to.deep.equal([]);
    expect(found).to.deep.equal({
      device: DEVICE,
      stream: 3n,
      batches: 4,
      readings: 21n,
      firstSeq: 0n,
      nextSeq: 21n,
      tFirst: START,
      tLast: START + 20_000n,
      findings: [],
    });
    expect(auditDeviceBatches([])).to.deep.equal([]);
  });

  it("keeps the streams of a device, and the devices, apart", () => {
    const mixed = [
      batchOf(0n, 5n, { stream: 10n }),
      batchOf(0n, 4n, { stream: 9n }),
      batchOf(0n, 3n, { device: OTHER }),
      batchOf(5n, 5n, { stream: 10n }),
    ];
    const streams = auditDeviceBatches(entriesOf(mixed));
    expect(streams.map(({ device, stream, nextSeq }) => [device, stream, nextSeq])).to.deep.equal([
      [OTHER, 3n, 3n],
      [DEVICE, 9n, 4n],
      [DEVICE, 10n, 10n],
    ]);
    expect(streams.flatMap(({ findings }) => findings)).to.deep.equal([]);
  });

  it("finds the readings that no batch has, between two and before the first", () => {
    const batches = [batchOf(12n, 5n), batchOf(2n, 9n)];
    const [found] = auditDeviceBatches(entriesOf(batches));
    expect(shortOf(found!.findings)).to.deep.equal([
      ["Gap", "error", 101n, { firstSeq: 0n, count: 2n, after: undefined, before: START + 2_000n }],
      ["Gap", "error", 100n, { firstSeq: 11n, count: 1n, after: START + 10_000n, before: START + 12_000n }],
    ]);
    expect(found!.findings.map(({ message }) => message)).to.deep.equal([
      "No batch has readings 0 to 1.",
      "No batch has reading 11.",
    ]);
    expect(found!.readings).to.equal(14n);
    const [amid] = auditDeviceBatches(entriesOf(batches), { fromStart: false });
    expect(amid!.findings.map(({ figures }) => figures)).to.have.deep.members([found!.findings[1]!.figures]);
  });

  it("tells a batch that came twice from two that have the same readings", () => {
    const batches = [
      batchOf(0n, 5n),
      batchOf(0n, 5n),
      batchOf(5n, 5n),
      batchOf(5n, 5n, { root: keccak256("0x01") }),
      batchOf(8n, 4n),
      batchOf(6n, 2n),
    ];
    const [found] = auditDeviceBatches(entriesOf(batches));
    const [first, second] = BigInt(batches[2]!.root) < BigInt(batches[3]!.root) ? [102n, 103n] : [103n, 102n];
    expect(shortOf(found!.findings)).to.deep.equal([
      ["Repeated", "warning", 101n, { firstSeq: 0n, count: 5n, otherSeq: 100n }],
      ["Overlap", "error", second, { firstSeq: 5n, count: 5n, otherSeq: first }],
      ["Overlap", "error", 105n, { firstSeq: 6n, count: 2n, otherSeq: first }],
      ["Overlap", "error", 104n, { firstSeq: 8n, count: 2n, otherSeq: first }],
    ]);
    expect([found!.readings, found!.nextSeq, found!.batches]).to.deep.equal([12n, 12n, 6]);
  });

  it("finds times that go back from one batch to the next, across missing readings too", () => {
    const batches = [
      batchOf(0n, 5n),
      batchOf(5n, 5n, { tFirst: START + 3_999n }),
      batchOf(12n, 1n, { tFirst: START, tLast: START }),
    ];
    const [found] = auditDeviceBatches(entriesOf(batches));
    expect(shortOf(found!.findings)).to.deep.equal([
      ["TimeRegressed", "error", 101n, { tFirst: START + 3_999n, earliest: START + 4_000n, otherSeq: 100n }],
      ["Gap", "error", 102n, { firstSeq: 10n, count: 2n, after: START + 9_000n, before: START }],
      ["TimeRegressed", "error", 102n, { tFirst: START, earliest: START + 9_000n, otherSeq: 101n }],
    ]);
  });

  it("agrees with a count of each single reading, in random streams", () => {
    const ranges = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 8 })), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(ranges, (pairs) => {
        // Each batch has a root of its own, so that none comes twice.
        const batches = pairs.map(([first, count], place) =>
          batchOf(BigInt(first), BigInt(count), { root: keccak256(toBeHex(place + 1, 32)) }),
        );
        const times = new Map<number, number>();
        for (const [first, count] of pairs) {
          for (let seq = first; seq < first + count; seq += 1) times.set(seq, (times.get(seq) ?? 0) + 1);
        }
        const end = Math.max(...times.keys()) + 1;
        const missing = Array.from({ length: end }, (_, seq) => seq).filter((seq) => !times.has(seq));
        const [found] = auditDeviceBatches(entriesOf(batches));
        const of = (code: string): StreamFinding[] => found!.findings.filter((finding) => finding.code === code);
        const shown = of("Gap").flatMap(({ figures }) => {
          const { firstSeq, count } = figures as { firstSeq: bigint; count: bigint };
          return Array.from({ length: Number(count) }, (_, at) => Number(firstSeq) + at);
        });
        expect(shown).to.deep.equal(missing);
        expect([found!.readings, found!.nextSeq]).to.deep.equal([BigInt(times.size), BigInt(end)]);
        expect(of("Overlap").length > 0).to.equal([...times.values()].some((count) => count > 1));
        expect(of("Repeated").length + of("TimeRegressed").length).to.equal(0);
      }),
    );
  });
});
