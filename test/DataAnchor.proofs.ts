import { expect } from "chai";
import { getBytes, hexlify, id, ZeroHash } from "ethers";
import fc from "fast-check";

import { DAY, ethers, loadFixture, networkHelpers, now } from "./support/chain.js";
import {
  append,
  deployFilledLog,
  deployLogs,
  fleetLogOf,
  Kind,
  leafOf,
  readingLeafOf,
  Tree,
  type AnchorRecord,
  type Logs,
  type Reading,
} from "./support/logs.js";
import {
  consistencyProofOf,
  keccak256,
  pathOf,
  peakPathOf,
  rangeProofOf,
  rootOf,
  sha256,
  type Hash,
} from "./support/rfc9162.js";

const hashes: [string, bigint, Hash][] = [
  ["keccak256", Tree.Keccak256, keccak256],
  ["SHA-256", Tree.Sha256, sha256],
];
const SIZES = 9;

interface Batch {
  hash: Hash;
  readings: Reading[];
  leaves: string[];
  record: AnchorRecord;
}

/** The fleet's log with batches of 1, 2, … readings a millisecond apart, and a proof of the place of each. */
async function deployBatches(tree: bigint, hash: Hash) {
  const suite = await deployLogs();
  const start = (await now()) * 1000n - 60_000n;
  const batches: Batch[] = [];
  let seq = 0n;
  for (let size = 1; size <= SIZES; size++) {
    const firstSeq = seq;
    const readings = Array.from({ length: size }, (_, place) => ({
      seq: firstSeq + BigInt(place),
      measuredAt: start + firstSeq + BigInt(place),
      commitment: id(`reading ${firstSeq} ${place}`),
    }));
    seq += BigInt(size);
    const leaves = readings.map((reading) => readingLeafOf(suite.fleetLog, reading, hash));
    const record = await append(suite, {
      index: BigInt(size - 1),
      tree,
      firstSeq,
      count: BigInt(size),
      tFirst: readings[0]!.measuredAt,
      tLast: readings.at(-1)!.measuredAt,
      root: rootOf(leaves, hash),
    });
    batches.push({ hash, readings, leaves, record });
  }
  const records = batches.map(({ record }) => leafOf(record));
  return { ...suite, batches, peakProofOf: (place: number) => peakPathOf(place, records, keccak256) };
}

async function deployKeccakBatches() {
  return deployBatches(Tree.Keccak256, keccak256);
}

async function deploySha256Batches() {
  return deployBatches(Tree.Sha256, sha256);
}

/** The arguments of `verifyRange` for readings of a batch. */
function rangeOf({ hash, readings, leaves, record }: Batch, first: number, count: number) {
  return {
    record,
    readings: readings.slice(first, first + count),
    rangeProof: rangeProofOf(first, count, leaves, hash),
  };
}

type Range = ReturnType<typeof rangeOf> & { peakProof: string[] };

async function verify({ data }: Logs, { record, readings, rangeProof, peakProof }: Range): Promise<boolean> {
  return data.verifyRange(record, readings, rangeProof, peakProof);
}

/** With one bit of it turned. */
function turned(hash: string, bit = 0): string {
  const bytes = getBytes(hash).slice();
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return hexlify(bytes);
}

describe("DataAnchor proofs", () => {
  describe("verifyRange", () => {
    for (const [name, tree] of hashes) {
      const fixture = tree === Tree.Keccak256 ? deployKeccakBatches : deploySha256Batches;

      it(`proves every range of every batch of 1 to ${SIZES} readings under ${name}`, async () => {
        const suite = await loadFixture(fixture);
        for (const [place, batch] of suite.batches.entries()) {
          const size = batch.readings.length;
          for (let first = 0; first < size; first++) {
            for (let count = 1; first + count <= size; count++) {
              const range = { ...rangeOf(batch, first, count), peakProof: suite.peakProofOf(place) };
              expect(await verify(suite, range), `${count} from ${first} of ${size}`).to.equal(true);
            }
          }
        }
      });

      it(`takes for one reading the proof of verifyReading, and for all of them none under ${name}`, async () => {
        const suite = await loadFixture(fixture);
        for (const [place, batch] of suite.batches.entries()) {
          const peakProof = suite.peakProofOf(place);
          for (const [index, reading] of batch.readings.entries()) {
            const path = pathOf(index, batch.leaves, batch.hash);
            const range = { record: batch.record, readings: [reading], rangeProof: path, peakProof };
            expect(await verify(suite, range)).to.equal(true);
            expect(await suite.data.verifyReading(batch.record, reading, path, peakProof)).to.equal(true);
          }
          const all = { record: batch.record, readings: batch.readings, rangeProof: [], peakProof };
          expect(await verify(suite, all)).to.equal(true);
        }
      });

      it(`says no to whatever is altered under ${name}`, async function () {
        this.timeout(60_000);
        const suite = await loadFixture(fixture);
        const anyPlace = fc.nat({ max: SIZES - 1 });
        await fc.assert(
          fc.asyncProperty(
            anyPlace,
            fc.nat(),
            fc.nat(),
            fc.nat(),
            fc.nat({ max: 255 }),
            async (place, from, length, at, bit) => {
              const batch = suite.batches[place]!;
              const first = from % batch.readings.length;
              const count = 1 + (length % (batch.readings.length - first));
              const range = { ...rangeOf(batch, first, count), peakProof: suite.peakProofOf(place) };
              expect(await verify(suite, range)).to.equal(true);
              for (const [what, altered] of alterations(suite, batch, range, at, bit)) {
                expect(await verify(suite, altered), what).to.equal(false);
              }
            },
          ),
          { numRuns: 60 },
        );
      });

      it(`proves no range with the other hash than ${name}`, async () => {
        const suite = await loadFixture(fixture);
        for (const [place, batch] of suite.batches.entries()) {
          const record = { ...batch.record, tree: tree ^ 1n };
          const range = { ...rangeOf(batch, 0, batch.readings.length), record, peakProof: suite.peakProofOf(place) };
          expect(await verify(suite, range)).to.equal(false);
        }
      });
    }

    it("proves nothing of no readings", async () => {
      const suite = await loadFixture(deployKeccakBatches);
      for (const [place, batch] of suite.batches.entries()) {
        const peakProof = suite.peakProofOf(place);
        for (const rangeProof of [[], [batch.record.root], batch.leaves]) {
          expect(await verify(suite, { record: batch.record, readings: [], rangeProof, peakProof })).to.equal(false);
        }
      }
    });

    it("proves no range of an anchor that is not in the log, or of which anything is altered", async () => {
      const suite = await loadFixture(deployKeccakBatches);
      const place = SIZES - 1;
      const batch = suite.batches[place]!;
      const range = { ...rangeOf(batch, 2, 5), peakProof: suite.peakProofOf(place) };
      expect(await verify(suite, range)).to.equal(true);
      for (const [name, value] of Object.entries(batch.record)) {
        const altered = typeof value === "bigint" ? value ^ 1n : turned(value);
        const record = { ...batch.record, [name]: altered };
        expect(await verify(suite, { ...range, record }), name).to.equal(false);
      }
      const elsewhere = { ...batch.record, logId: fleetLogOf(suite.fleet, 8n) };
      expect(await verify(suite, { ...range, record: elsewhere })).to.equal(false);
      for (const peakProof of [[id("peak")], [...range.peakProof, id("peak")], suite.peakProofOf(0)]) {
        expect(await verify(suite, { ...range, peakProof })).to.equal(false);
      }
    });

    it("proves no reading that was measured outside the times of its anchor, even if its root holds it", async () => {
      const suite = await loadFixture(deployLogs);
      const start = (await now()) * 1000n - 5000n;
      const readings = [0n, 1n, 2n].map((seq) => ({ seq, measuredAt: start + seq, commitment: id(`reading ${seq}`) }));
      const leaves = readings.map((reading) => readingLeafOf(suite.fleetLog, reading, keccak256));
      const times = { tFirst: start + 1n, tLast: start + 1n };
      const record = await append(suite, { count: 3n, root: rootOf(leaves, keccak256), ...times });
      const isProved = (first: number, count: number) =>
        verify(suite, {
          ...rangeOf({ hash: keccak256, readings, leaves, record }, first, count),
          peakProof: [],
        });
      expect(await isProved(1, 1)).to.equal(true);
      for (const [first, count] of [
        [0, 1],
        [2, 1],
        [0, 2],
        [1, 2],
        [0, 3],
      ] as const) {
        expect(await isProved(first, count), `${count} from ${first}`).to.equal(false);
      }
    });

    it("proves no reading at another place than its number says, even if its root holds it there", async () => {
      const suite = await loadFixture(deployLogs);
      const measuredAt = (await now()) * 1000n - 5000n;
      const readings = [0n, 2n, 1n, 3n].map((seq) => ({ seq, measuredAt, commitment: id(`reading ${seq}`) }));
      const leaves = readings.map((reading) => readingLeafOf(suite.fleetLog, reading, keccak256));
      const times = { tFirst: measuredAt, tLast: measuredAt };
      const record = await append(suite, { count: 4n, root: rootOf(leaves, keccak256), ...times });
      const batch = { hash: keccak256, readings, leaves, record };
      for (const [first, count, isProved] of [
        [0, 1, true],
        [3, 1, true],
        [1, 1, false],
        [2, 1, false],
        [0, 2, false],
        [2, 2, false],
        [0, 4, false],
      ] as const) {
        const range = { ...rangeOf(batch, first, count), peakProof: [] };
        expect(await verify(suite, range), `${count} from ${first}`).to.equal(isProved);
        if (count > 1) continue;
        const path = pathOf(first, leaves, keccak256);
        expect(await suite.data.verifyReading(record, readings[first]!, path, [])).to.equal(isProved);
      }
    });

    it("proves no reading behind the count of its anchor, even if its root holds it", async () => {
      const suite = await loadFixture(deployLogs);
      const measuredAt = (await now()) * 1000n - 5000n;
      const readings = [0n, 1n, 2n, 3n].map((seq) => ({ seq, measuredAt, commitment: id(`reading ${seq}`) }));
      const leaves = readings.map((reading) => readingLeafOf(suite.fleetLog, reading, keccak256));
      const times = { tFirst: measuredAt, tLast: measuredAt };
      const record = await append(suite, { count: 3n, root: rootOf(leaves, keccak256), ...times });
      const batch = { hash: keccak256, readings, leaves, record };
      for (const [first, count] of [
        [3, 1],
        [2, 2],
        [1, 3],
        [0, 4],
      ] as const) {
        const range = { ...rangeOf(batch, first, count), peakProof: [] };
        expect(await verify(suite, range), `${count} from ${first}`).to.equal(false);
      }
      const path = pathOf(3, leaves, keccak256);
      expect(await suite.data.verifyReading(record, readings[3]!, path, [])).to.equal(false);
    });

    it("takes readings in the order of their numbers, whenever they were measured", async () => {
      const suite = await loadFixture(deployLogs);
      const start = (await now()) * 1000n - 5000n;
      const readings = [2n, 0n, 1n].map((delay, place) => ({
        seq: BigInt(place),
        measuredAt: start + delay,
        commitment: id(`reading ${place}`),
      }));
      const leaves = readings.map((reading) => readingLeafOf(suite.fleetLog, reading, keccak256));
      const root = rootOf(leaves, keccak256);
      const record = await append(suite, { count: 3n, root, tFirst: start, tLast: start + 2n });
      expect(await verify(suite, { record, readings, rangeProof: [], peakProof: [] })).to.equal(true);
      const byTime = [1, 2, 0].map((place) => readings[place]!);
      expect(await verify(suite, { record, readings: byTime, rangeProof: [], peakProof: [] })).to.equal(false);
    });

    it("proves ranges of a correction, and none of a gap", async () => {
      const suite = await loadFixture(deployKeccakBatches);
      const { data, batches } = suite;
      const { nextSeq, size, lastMeasured } = await data.head(suite.fleetLog);
      const times = { tFirst: lastMeasured, tLast: lastMeasured };
      const gap = await append(suite, {
        index: size,
        kind: Kind.Gap,
        firstSeq: nextSeq,
        count: 2n,
        root: ZeroHash,
        ...times,
      });
      const batch = batches[4]!;
      const { firstSeq, count, tFirst, tLast, root } = batch.record;
      const correction = await append(suite, {
        index: size + 1n,
        kind: Kind.Correction,
        supersedes: 4n,
        ...{ firstSeq, count, tFirst, tLast, root },
      });
      const records = [...batches.map(({ record }) => record), gap, correction].map(leafOf);
      const peakProof = peakPathOf(records.length - 1, records, keccak256);
      const range = { ...rangeOf(batch, 1, 3), record: correction, peakProof };
      expect(await verify(suite, range)).to.equal(true);

      const ofGap = { record: gap, peakProof: peakPathOf(records.length - 2, records, keccak256) };
      expect(await data.verifyAnchor(gap, ofGap.peakProof)).to.equal(true);
      for (const length of [1, 2]) {
        const lost = Array.from({ length }, (_, place) => ({
          seq: nextSeq + BigInt(place),
          measuredAt: lastMeasured,
          commitment: ZeroHash,
        }));
        expect(await verify(suite, { ...ofGap, readings: lost, rangeProof: [] })).to.equal(false);
        expect(await verify(suite, { ...ofGap, readings: lost, rangeProof: [ZeroHash] })).to.equal(false);
      }
    });

    it("does not take a node for a reading, nor readings of one batch for those of another", async () => {
      const suite = await loadFixture(deployKeccakBatches);
      const [, two, , four] = suite.batches as [Batch, Batch, Batch, Batch];
      const mixed = { ...rangeOf(four, 0, 2), readings: two.readings, peakProof: suite.peakProofOf(3) };
      expect(await verify(suite, mixed)).to.equal(false);
      const renumbered = two.readings.map((reading, place) => ({ ...reading, seq: four.readings[place]!.seq }));
      expect(await verify(suite, { ...mixed, readings: renumbered })).to.equal(false);
      // A range that ends on a whole subtree cannot be shown by fewer readings and the subtree as their sibling's sibling.
      const short = { ...rangeOf(four, 0, 2), readings: four.readings.slice(0, 1), peakProof: suite.peakProofOf(3) };
      expect(await verify(suite, short)).to.equal(false);
    });

    it("answers for the highest numbers that there are", async () => {
      const suite = await loadFixture(deployKeccakBatches);
      const batch = suite.batches[2]!;
      const peakProof = suite.peakProofOf(2);
      const highest = { ...batch.readings[0]!, seq: 2n ** 64n - 1n };
      for (const record of [
        batch.record,
        { ...batch.record, firstSeq: 2n ** 64n - 1n, count: 2n ** 64n - 1n },
        { ...batch.record, firstSeq: 0n, count: 2n ** 64n - 1n },
        { ...batch.record, firstSeq: 2n ** 64n - 1n, count: 0n },
      ]) {
        for (const readings of [[highest], [highest, { ...highest, seq: 0n }]]) {
          expect(await verify(suite, { record, readings, rangeProof: [id("node")], peakProof })).to.equal(false);
        }
      }
    });
  });

  describe("verifyConsistency", () => {
    const LARGEST = 18;

    async function deployLongLog() {
      const suite = await deployLogs();
      const leaves: string[] = [];
      for (let index = 0n; index < LARGEST; index++) {
        leaves.push(leafOf(await append(suite, { index, firstSeq: index * 10n })));
      }
      return { ...suite, leaves };
    }

    it("shows that the log began with each log that it was, at every size", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleetLog } = suite;
      const leaves: string[] = [];
      const roots: string[] = [];
      for (let size = 1; size <= LARGEST; size++) {
        leaves.push(leafOf(await append(suite, { index: BigInt(size - 1), firstSeq: BigInt(size - 1) * 10n })));
        roots.push(await data.root(fleetLog));
        for (const [place, oldRoot] of roots.entries()) {
          const proof = consistencyProofOf(place + 1, leaves, keccak256);
          const isShown = await data.verifyConsistency(fleetLog, place + 1, oldRoot, proof);
          expect(isShown, `${place + 1} of ${size}`).to.equal(true);
        }
      }
    });

    it("says no to whatever is altered", async () => {
      const { data, fleet, fleetLog, leaves } = await loadFixture(deployLongLog);
      for (let oldSize = 1; oldSize <= LARGEST; oldSize++) {
        const oldRoot = rootOf(leaves.slice(0, oldSize), keccak256);
        const proof = consistencyProofOf(oldSize, leaves, keccak256);
        expect(await data.verifyConsistency(fleetLog, oldSize, oldRoot, proof)).to.equal(true);
        expect(await data.verifyConsistency(fleetLog, oldSize, turned(oldRoot), proof)).to.equal(false);
        for (const other of [fleetLogOf(fleet, 8n), turned(fleetLog)]) {
          expect(await data.verifyConsistency(other, oldSize, oldRoot, proof)).to.equal(false);
        }
        for (let other = 0; other <= LARGEST + 2; other++) {
          if (other === oldSize) continue;
          // A root does not tell its size, but the proof of another size has another shape or other nodes.
          expect(await data.verifyConsistency(fleetLog, other, oldRoot, proof), `${other}`).to.equal(false);
        }
        const wrong = [
          [...proof, leaves[0]!],
          [leaves[0]!, ...proof],
        ];
        if (proof.length > 0) wrong.push(proof.slice(1), proof.slice(0, -1), []);
        for (const [place, node] of proof.entries()) {
          wrong.push(proof.with(place, turned(node, place)));
          const next = proof[place + 1];
          if (next !== undefined) wrong.push(proof.with(place, next).with(place + 1, node));
        }
        for (const other of wrong) {
          expect(await data.verifyConsistency(fleetLog, oldSize, oldRoot, other), `${oldSize}`).to.equal(false);
        }
      }
    });

    it("says no to a history that was another, of which one anchor is altered", async () => {
      const { data, fleetLog, leaves } = await loadFixture(deployLongLog);
      for (let oldSize = 1; oldSize <= LARGEST; oldSize++) {
        for (let place = 0; place < oldSize; place++) {
          const forked = leaves.with(place, turned(leaves[place]!));
          const oldRoot = rootOf(forked.slice(0, oldSize), keccak256);
          for (const proof of [
            consistencyProofOf(oldSize, leaves, keccak256),
            consistencyProofOf(oldSize, forked, keccak256),
          ]) {
            expect(await data.verifyConsistency(fleetLog, oldSize, oldRoot, proof)).to.equal(false);
          }
        }
      }
    });

    it("shows nothing of a log without anchors, nor of more anchors than there are", async () => {
      const { data, fleet, fleetLog, leaves } = await loadFixture(deployLongLog);
      const empty = fleetLogOf(fleet, 8n);
      const root = await data.root(fleetLog);
      for (const [logId, oldSize, oldRoot] of [
        [fleetLog, 0n, keccak256("0x")],
        [fleetLog, 0n, root],
        [fleetLog, BigInt(LARGEST) + 1n, root],
        [fleetLog, 2n ** 64n - 1n, root],
        [empty, 0n, keccak256("0x")],
        [empty, 1n, keccak256("0x")],
        [empty, 1n, ZeroHash],
        [empty, 2n ** 64n - 1n, ZeroHash],
      ] as const) {
        for (const proof of [[], [root], leaves]) {
          expect(await data.verifyConsistency(logId, oldSize, oldRoot, proof)).to.equal(false);
        }
      }
    });

    it("takes no proof longer than there are levels, however long", async () => {
      const { data, fleetLog, leaves } = await loadFixture(deployLongLog);
      const proof = consistencyProofOf(5, leaves, keccak256);
      const long = [...proof, ...Array.from({ length: 300 }, () => ZeroHash)];
      const oldRoot = rootOf(leaves.slice(0, 5), keccak256);
      expect(await data.verifyConsistency(fleetLog, 5n, oldRoot, long)).to.equal(false);
    });
  });

  describe("isOverdue", () => {
    const LONGEST = 2n ** 40n - 1n;

    it("says yes of a log that was never written, whatever the silence", async () => {
      const { data, fleetLog, deviceLog } = await loadFixture(deployLogs);
      for (const logId of [fleetLog, deviceLog, ZeroHash]) {
        for (const silence of [0n, DAY, LONGEST]) expect(await data.isOverdue(logId, silence)).to.equal(true);
      }
    });

    it("says yes from the second after the longest silence on", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleetLog } = suite;
      const last = await now();
      for (const silence of [0n, 1n, 60n, DAY]) {
        const answers: boolean[] = [];
        for (const time of [last + silence, last + silence + 1n]) {
          if ((await now()) !== time) await networkHelpers.time.increaseTo(time);
          answers.push(await data.isOverdue(fleetLog, silence, { blockTag: "latest" }));
        }
        expect(answers, `${silence} s`).to.deep.equal([false, true]);
      }
      expect(await data.isOverdue(fleetLog, LONGEST)).to.equal(false);
    });

    it("begins anew with whatever continues the log: data, a gap, receipts, a log of access", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleetLog } = suite;
      for (const [place, kind] of [Kind.Data, Kind.Gap, Kind.Receipts, Kind.AccessLog].entries()) {
        await networkHelpers.time.increase(100);
        expect(await data.isOverdue(fleetLog, 60n)).to.equal(true);
        const root = kind === Kind.Gap ? ZeroHash : id("batch");
        await append(suite, { index: 3n + BigInt(place), kind, firstSeq: 30n + 10n * BigInt(place), root });
        expect(await data.isOverdue(fleetLog, 60n)).to.equal(false);
      }
    });

    it("does not begin anew with a correction, nor with an anchor that is refused", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleetLog } = suite;
      await networkHelpers.time.increase(100);
      await append(suite, { index: 3n, kind: Kind.Correction, firstSeq: 0n });
      expect((await data.head(fleetLog)).size).to.equal(4n);
      expect(await data.isOverdue(fleetLog, 60n)).to.equal(true);
      await expect(append(suite, { index: 3n, firstSeq: 30n })).to.be.revertedWithCustomError(data, "IndexMismatch");
      expect(await data.isOverdue(fleetLog, 60n)).to.equal(true);
    });

    it("says of each log what is so of that one", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleet, fleetLog } = suite;
      await networkHelpers.time.increase(100);
      await append(suite, { logId: fleetLogOf(fleet, 8n) });
      expect(await data.isOverdue(fleetLogOf(fleet, 8n), 60n)).to.equal(false);
      expect(await data.isOverdue(fleetLog, 60n)).to.equal(true);
    });

    it("refuses a silence that is wider than 40 bits", async () => {
      const { data, fleetLog } = await loadFixture(deployFilledLog);
      const call = data.interface.encodeFunctionData("isOverdue", [fleetLog, LONGEST]);
      const bytes = getBytes(call);
      bytes[4 + 32 + 26] = 1;
      await expect(ethers.provider.call({ to: data, data: hexlify(bytes) })).to.be.revertedWithoutReason(ethers);
    });
  });
});

/** The range with one thing altered, each with a name of what it is. */
function alterations(suite: Logs, batch: Batch, range: Range, at: number, bit: number): [string, Range][] {
  const { readings, rangeProof, peakProof, record } = range;
  const place = at % readings.length;
  const reading = readings[place]!;
  const withReading = (changes: Partial<Reading>) => readings.with(place, { ...reading, ...changes });
  const altered: [string, Partial<Range>][] = [
    ["another commitment", { readings: withReading({ commitment: turned(reading.commitment, bit) }) }],
    ["measured earlier", { readings: withReading({ measuredAt: reading.measuredAt - 1n }) }],
    ["measured later", { readings: withReading({ measuredAt: reading.measuredAt + 1n }) }],
    ["another number", { readings: withReading({ seq: reading.seq + 1n }) }],
    ["all numbers up", { readings: readings.map((one) => ({ ...one, seq: one.seq + 1n })) }],
    ["a reading twice", { readings: readings.toSpliced(place, 0, reading) }],
    [
      "a reading invented behind",
      { readings: [...readings, { ...readings.at(-1)!, seq: readings.at(-1)!.seq + 1n, commitment: id("invented") }] },
    ],
    ["a longer proof", { rangeProof: [...rangeProof, id("node")] }],
    ["a proof that begins otherwise", { rangeProof: [id("node"), ...rangeProof] }],
    ["a longer peak proof", { peakProof: [...peakProof, id("node")] }],
    ["more readings claimed", { record: { ...record, count: record.count + 1n } }],
  ];
  if (readings[0]!.seq > 0n) {
    altered.push(["all numbers down", { readings: readings.map((one) => ({ ...one, seq: one.seq - 1n })) }]);
  }
  if (readings.length > 1) {
    altered.push(["a reading left out", { readings: readings.toSpliced(place, 1) }]);
    altered.push(["the other way round", { readings: readings.toReversed() }]);
    const swapped = readings.toReversed().map((one, index) => ({ ...one, seq: readings[index]!.seq }));
    altered.push(["the other way round with the right numbers", { readings: swapped }]);
  }
  for (const name of ["rangeProof", "peakProof"] as const) {
    const proof = range[name];
    const node = proof[at % Math.max(proof.length, 1)];
    if (node === undefined) continue;
    const index = proof.indexOf(node);
    altered.push([`another node in ${name}`, { [name]: proof.with(index, turned(node, bit)) }]);
    altered.push([`a node less in ${name}`, { [name]: proof.toSpliced(index, 1) }]);
    if (proof.length > 1) altered.push([`${name} turned round`, { [name]: proof.toReversed() }]);
  }
  const next = batch.readings[readings.length + batch.readings.indexOf(readings[0]!)];
  if (next !== undefined) altered.push(["one reading more", { readings: [...readings, next] }]);
  return altered.map(([name, changes]) => [name, { ...range, ...changes }]);
}
