import { readFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";

import { expect } from "chai";
import { Wallet, type Provider, type Signer } from "ethers";

import * as anchors from "../../client/anchors.js";
import { commitmentOf, type Measurement } from "../../client/batches.js";
import { connectTouchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { openIngest, type Ingest, type IngestOptions, type IngestStatus } from "../../client/ingest.js";
import { createP256Key } from "../../client/keys.js";
import type { ReadingSource, SourceItem } from "../../client/reading-sources.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import {
  expectLog,
  INGEST_HASTE,
  linesOf,
  sensorLines,
  sourceOf,
  START,
  using,
  writeLines,
} from "../support/ingest.js";
import { providerWith, runnerWith } from "../support/provider.js";
import { deploySuite } from "../support/suite.js";

const HOUR = 3_600_000n;

/** Looks until something is so. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await setTimeout(2);
}

function payloadsOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`reading ${index}`));
}

function withoutKey(options: IngestOptions): IngestOptions {
  const copy = { ...options };
  delete copy.key;
  return copy;
}

function readingsOf(payloads: readonly Buffer[], first = 0): Measurement[] {
  return payloads.map((payload, index) => ({ measuredAt: START + BigInt(first + index + 1) * 1000n, payload }));
}

describe("openIngest", () => {
  const fileIn = temporaryFolder();

  afterEach(async () => {
    await ethers.provider.send("evm_setAutomine", [true]);
  });

  /** A device log whose anchors a wallet sends. */
  async function setUp() {
    const suite = await loadFixture(deploySuite);
    const wallet = new Wallet(ethers.id("gateway"), ethers.provider);
    await suite.actors.relayer.sendTransaction({ to: wallet.address, value: 10n ** 20n });
    const through = (provider: Provider) => suite.as.relayer.connect(wallet.connect(provider));
    const touchstone = suite.as.relayer.connect(wallet);
    const logId = anchors.deviceLogId({ device: suite.p256Device.id });
    const options: IngestOptions = {
      touchstone,
      spool: fileIn("spool"),
      logId,
      key: suite.p256Device,
      cut: { count: 4, age: 600_000 },
      limits: INGEST_HASTE,
    };
    const unsigned = suite.as.relayer.connect(
      runnerWith<Signer>(wallet, { signTransaction: () => Promise.reject(new Error("locked")) }),
    );
    return { ...suite, wallet, through, unsigned, touchstone, logId, options };
  }

  describe("takes readings and", () => {
    it("anchors every line of a file once, in its order, with its exact bytes", async () => {
      const { touchstone, logId, options, wallet } = await setUp();
      const lines = sensorLines(1000);
      await writeLines(fileIn("lines"), lines);
      await using({ ...options, cut: { count: 64 } }, async (ingest) => {
        const status = await ingest.run(linesOf(fileIn("lines")));
        expect(status).to.deep.include({ readings: 1000, pending: 0, aside: 0, state: "Idle", nextSeq: 1000n });
        expect(status.batches).to.deep.equal({ cut: 16, signed: 16, anchored: 16, final: 16 });
        expect(status.waiting).to.deep.equal({ readings: 0, bytes: 0 });
        const records = await expectLog({ touchstone, logId, ingest, payloads: lines });
        expect(records.map(({ count }) => count)).to.deep.equal([...Array<bigint>(15).fill(64n), 40n]);
        // Several batches go in one transaction.
        expect(await wallet.getNonce()).to.be.lessThan(4);
      });
    });

    it("writes the log of a fleet, with no key", async () => {
      const { as, actors, fleet, options } = await setUp();
      const touchstone = as.gateway;
      const logId = anchors.fleetLogId({ fleet });
      const payloads = payloadsOf(10);
      await using({ ...withoutKey(options), touchstone, logId, kind: "Receipts", tree: "Sha256" }, async (ingest) => {
        await ingest.run(sourceOf(payloads));
        const records = await expectLog({ touchstone, logId, ingest, payloads });
        for (const record of records) {
          expect(record).to.include({ kind: "Receipts", tree: "Sha256", author: actors.gateway.address });
        }
      });
    });

    it("takes nothing twice when a source is given again, and goes on with what is new", async () => {
      const { touchstone, logId, options } = await setUp();
      const payloads = payloadsOf(11);
      await using(options, async (ingest) => {
        await ingest.run(sourceOf(payloads.slice(0, 5)));
        await ingest.run(sourceOf(payloads.slice(0, 5)));
        await ingest.run(sourceOf(payloads.slice(0, 9)));
      });
      await using(options, async (ingest) => {
        await ingest.run(sourceOf(payloads));
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("goes on behind what the log had before the spool was begun", async () => {
      const { touchstone, logId, options } = await setUp();
      await using(options, (ingest) => ingest.run(sourceOf(payloadsOf(6))));
      await using({ ...options, spool: fileIn("another") }, async (ingest) => {
        expect(ingest.status()).to.deep.include({ nextSeq: 6n, nextIndex: 2n });
        await ingest.append(readingsOf(payloadsOf(3), 6));
        await ingest.settle();
        expect(ingest.batchOf(8n).firstSeq).to.equal(6n);
        await errorOf("NOT_FOUND", () => ingest.batchOf(5n));
      });
      expect(await anchors.head({ touchstone, logId })).to.include({ nextSeq: 9n, size: 3n });
    });

    it("cuts a batch at once when a reading cannot wait", async () => {
      const { options, logId, touchstone } = await setUp();
      const alarm = ({ payload }: Measurement): boolean => Buffer.from(payload).toString() === "reading 1";
      await using({ ...options, cut: { count: 100, alarm } }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(3)));
        await until(() => ingest.status().batches.final === 1);
        expect(ingest.status()).to.deep.include({ pending: 1 });
        expect((await anchors.head({ touchstone, logId })).nextSeq).to.equal(2n);
      });
    });

    it("cuts a batch when its first reading has waited long enough, also after it was opened again", async () => {
      const { options } = await setUp();
      const cut = { count: 100, age: 30 };
      await using({ ...options, cut }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(3)));
        await until(() => ingest.status().batches.final === 1);
      });
      await using({ ...options, cut: { count: 100 } }, (ingest) => ingest.append(readingsOf(payloadsOf(3), 3)));
      await using({ ...options, cut }, async (ingest) => {
        expect(ingest.status()).to.deep.include({ readings: 6, pending: 3 });
        await until(() => ingest.status().batches.final === 2);
      });
    });

    it("proves each reading to the chain from what it keeps", async () => {
      const { options, touchstone } = await setUp();
      await using(options, async (ingest) => {
        await ingest.run(sourceOf(payloadsOf(6)));
        for (const seq of [0n, 3n, 5n]) {
          const proof = await anchors.proveReading({ touchstone, batch: ingest.batchOf(seq), seq });
          expect(await anchors.verifyReading({ touchstone, proof })).to.equal(true);
        }
        for (const seq of [6n, 2n ** 40n]) await errorOf("NOT_FOUND", () => ingest.batchOf(seq));
      });
    });
  });

  describe("is brought readings and", () => {
    it("has them durable when it answers, also many at once, in the order in which they came", async () => {
      const { options, touchstone, logId } = await setUp();
      const payloads = payloadsOf(50);
      await using(options, async (ingest) => {
        const answers = payloads.map((_, index) => ingest.append(readingsOf([payloads[index]!], index)));
        expect(await answers[10]).to.deep.equal({ added: 1, doubled: 0, aside: 0 });
        expect(ingest.status().readings).to.be.at.least(11);
        await Promise.all(answers);
      });
      await using(options, async (ingest) => {
        expect(ingest.status().readings).to.equal(50);
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("takes what has a position it has seen for what it was taken for before", async () => {
      const { options } = await setUp();
      const positioned = readingsOf(payloadsOf(6)).map((reading, index) => ({ ...reading, position: BigInt(index) }));
      await using(options, async (ingest) => {
        expect(await ingest.append(positioned.slice(0, 4))).to.deep.equal({ added: 4, doubled: 0, aside: 0 });
        expect(await ingest.append(positioned.slice(0, 4))).to.deep.equal({ added: 0, doubled: 4, aside: 0 });
      });
      await using(options, async (ingest) => {
        expect(await ingest.append(positioned.slice(2))).to.deep.equal({ added: 2, doubled: 2, aside: 0 });
        expect(await ingest.append(positioned.slice(5), { source: "other" })).to.include({ added: 1 });
        expect(ingest.status().readings).to.equal(7);
      });
    });

    it("refuses what is no reading, and takes none of those that came with it", async () => {
      const { options } = await setUp();
      const [good] = readingsOf(payloadsOf(1));
      await using(options, async (ingest) => {
        for (const bad of [{ measuredAt: 5 }, { payload: "text" }, { position: -1n }]) {
          await errorOf("INVALID_ARGUMENT", () => ingest.append([good!, { ...good!, ...bad } as never]));
        }
        expect(ingest.status().readings).to.equal(0);
      });
    });

    it("holds no more than may wait, and goes on when some of it is anchored", async () => {
      const { options, touchstone, logId, through } = await setUp();
      let isDown = true;
      const provider: Partial<Provider> = {
        getTransactionCount: (...asked) =>
          isDown
            ? Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }))
            : ethers.provider.getTransactionCount(...asked),
      };
      const limits = { ...INGEST_HASTE, waitingReadings: 10, retries: 0, group: 4 };
      const seen: number[] = [];
      const payloads = payloadsOf(40);
      await using(
        {
          ...options,
          touchstone: through(providerWith(provider)),
          limits,
          onProgress: ({ waiting }) => seen.push(waiting.readings),
        },
        async (ingest) => {
          const running = ingest.run(sourceOf(payloads));
          await until(() => ingest.status().readings >= 8 && ingest.status().state === "Waiting");
          await setTimeout(20);
          expect(ingest.status().readings).to.be.within(8, 10);
          const more = { measuredAt: START + HOUR, payload: Buffer.from("more") };
          const error = await errorOf("INGEST_BEHIND", () => ingest.append([more], { wait: false }));
          expect(error.details).to.include({
            readings: ingest.status().readings,
            waitingReadings: 10,
            state: "Waiting",
          });
          expect(error.message).to.contain("of at most 10");
          isDown = false;
          await running;
          await expectLog({ touchstone, logId, ingest, payloads });
        },
      );
      expect(Math.max(...seen)).to.be.within(8, 10);
    });

    it("cuts what waits rather than to wait for more, and takes at last what is more than may wait at all", async () => {
      const { options } = await setUp();
      const limits = { ...INGEST_HASTE, waitingReadings: 5, waitingBytes: 64 };
      await using({ ...options, cut: { count: 100 }, limits }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(4)));
        await ingest.append(readingsOf(payloadsOf(4), 4));
        await ingest.append([{ measuredAt: START + HOUR, payload: Buffer.alloc(100) }]);
        await ingest.append(
          readingsOf(payloadsOf(9)).map((reading) => ({ ...reading, measuredAt: START + 2n * HOUR })),
        );
        expect((await ingest.settle()).readings).to.equal(18);
      });
    });
  });

  describe("keeps aside what is no reading of the log:", () => {
    it("late ones, future ones and bad ones, exactly as they were read", async () => {
      const { options, touchstone, logId } = await setUp();
      const clock = START + HOUR;
      const at = (position: number, measuredAt: bigint, text = `at ${position}`): SourceItem => ({
        position: `${position}`,
        measuredAt,
        payload: Buffer.from(text),
      });
      const items: SourceItem[] = [
        ...payloadsOf(4).map((payload, index) => at(index, START + BigInt(index + 1) * 1000n, payload.toString())),
        { ...at(4, START + 3999n), raw: Buffer.from("as read \r") },
        at(5, clock + HOUR + 1n),
        { position: "6", fault: "it is not JSON.", raw: Buffer.from([0xff, 0]) },
        at(7, -1n),
        at(8, 2n ** 48n),
        { ...at(9, START + 5000n), contentFormat: 70_000 },
        { ...at(10, START + 5000n), payload: Buffer.alloc(101) },
        at(11, START / 1000n),
        at(12, 10n ** 11n - 1n),
        at(13, START + 5000n, "good"),
      ];
      const source: ReadingSource = {
        name: "mixed",
        async *read(after) {
          await Promise.resolve();
          yield items.filter(({ position }) => Number(position) > Number(after ?? -1));
        },
      };
      const limits = { ...INGEST_HASTE, payloadBytes: 100 };
      await using({ ...options, limits, now: () => clock }, async (ingest) => {
        const status = await ingest.run(source);
        expect(status).to.deep.include({ readings: 5, aside: 9 });
        const payloads = [...payloadsOf(4), Buffer.from("good")];
        await expectLog({ touchstone, logId, ingest, payloads });
        const kept = [...ingest.aside()];
        expect(kept.map(({ number, code, position }) => [number, code, position])).to.deep.equal([
          [1, "READING_LATE", "4"],
          [2, "READING_IN_FUTURE", "5"],
          [3, "READING_INVALID", "6"],
          [4, "READING_INVALID", "7"],
          [5, "READING_INVALID", "8"],
          [6, "READING_INVALID", "9"],
          [7, "READING_INVALID", "10"],
          [8, "READING_INVALID", "11"],
          [9, "READING_INVALID", "12"],
        ]);
        expect(Buffer.from(kept[0]!.raw).toString()).to.equal("as read \r");
        expect([...kept[2]!.raw]).to.deep.equal([0xff, 0]);
        expect(kept[0]!.measuredAt).to.equal(START + 3999n);
        expect(kept[2]!).not.to.have.property("measuredAt");
        expect(kept[0]!.message).to.contain(`${START + 3999n} is before ${START + 4000n}`);
        expect(kept[6]!.message).to.contain("101 bytes");
        expect(kept[7]!.message).to.contain(`${START / 1000n} is before March 1973: give Unix milliseconds`);
        expect(kept[7]!.measuredAt).to.equal(START / 1000n);
      });
    });

    it("times in seconds, of a log that has nothing yet, too", async () => {
      const { options } = await setUp();
      const earliest = { measuredAt: 10n ** 11n, payload: Buffer.from("1973") };
      await using(options, async (ingest) => {
        const inSeconds = readingsOf(payloadsOf(2)).map((reading) => ({ ...reading, measuredAt: START / 1000n }));
        expect(await ingest.append(inSeconds)).to.deep.equal({ added: 0, doubled: 0, aside: 2 });
        expect(await ingest.append([earliest])).to.deep.equal({ added: 1, doubled: 0, aside: 0 });
        const given = { supersedes: 0n, firstSeq: 0n, readings: inSeconds.slice(1) };
        expect((await errorOf("INVALID_ARGUMENT", () => ingest.correct(given))).message).to.contain("milliseconds");
      });
    });

    it("those that a push brings, too", async () => {
      const { options } = await setUp();
      await using(options, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(4)));
        const late = { measuredAt: START, payload: Buffer.from("late"), position: 7n };
        expect(await ingest.append([late])).to.deep.equal({ added: 0, doubled: 0, aside: 1 });
        expect(await ingest.append([late])).to.deep.equal({ added: 0, doubled: 1, aside: 0 });
        expect([...ingest.aside()].map(({ code, position }) => [code, position])).to.deep.equal([
          ["READING_LATE", "7"],
        ]);
      });
    });
  });

  describe("declares and corrects:", () => {
    it("a gap, behind which the log goes on", async () => {
      const { options, touchstone, logId } = await setUp();
      await using(options, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(2)));
        const gap = { count: 5n, tFirst: START + 3000n, tLast: START + 7000n };
        const { details } = await errorOf("LOG_GAP", () => ingest.declareGap({ ...gap, firstSeq: 3n }));
        expect(details).to.deep.equal({ logId, nextSeq: 2n, firstSeq: 3n });
        for (const bad of [
          { count: 0n },
          { count: 2n ** 32n + 1n },
          { tFirst: START },
          { tLast: START + 2999n },
          { tLast: BigInt(Date.now()) + 2n * HOUR },
        ]) {
          await errorOf("INVALID_ARGUMENT", () => ingest.declareGap({ ...gap, ...bad, firstSeq: 2n }));
        }
        expect(await ingest.declareGap({ ...gap, firstSeq: 2n })).to.equal(1n);
        expect(ingest.status().nextSeq).to.equal(7n);
        await ingest.append(readingsOf(payloadsOf(1), 7));
        await ingest.settle();
        expect(ingest.batchOf(7n).firstSeq).to.equal(7n);
        for (const seq of [2n, 6n]) {
          expect((await errorOf("NOT_FOUND", () => ingest.batchOf(seq))).message).to.contain("declared lost");
        }
      });
      const records = await anchors.readAnchors({ touchstone, logId });
      expect(records.map(({ kind, firstSeq, count }) => [kind, firstSeq, count])).to.deep.equal([
        ["Data", 0n, 2n],
        ["Gap", 2n, 5n],
        ["Data", 7n, 1n],
      ]);
    });

    it("readings that are in the log", async () => {
      const { options, touchstone, logId } = await setUp();
      await using(options, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(6)));
        const readings = [{ measuredAt: START + 2000n, payload: Buffer.from("corrected") }];
        for (const bad of [{ supersedes: 2n }, { firstSeq: 6n }, { readings: [] }]) {
          await errorOf("INVALID_ARGUMENT", () => ingest.correct({ supersedes: 0n, firstSeq: 1n, readings, ...bad }));
        }
        const future = [{ measuredAt: BigInt(Date.now()) + 2n * HOUR, payload: Buffer.from("future") }];
        await errorOf("INVALID_ARGUMENT", () => ingest.correct({ supersedes: 0n, firstSeq: 1n, readings: future }));
        expect(await ingest.correct({ supersedes: 0n, firstSeq: 1n, readings })).to.equal(2n);
        await ingest.append(readingsOf(payloadsOf(1), 6));
        await ingest.settle();
        expect(Buffer.from(ingest.batchAt(2n).readings[0]!.payload!).toString()).to.equal("corrected");
        expect(Buffer.from(ingest.batchOf(1n).readings[1]!.payload!).toString()).to.equal("reading 1");
        expect(Buffer.from(ingest.batchOf(6n).readings[0]!.payload!).toString()).to.equal("reading 0");
        await errorOf("NOT_FOUND", () => ingest.batchAt(4n));
      });
      const records = await anchors.readAnchors({ touchstone, logId });
      expect(records.map(({ kind, firstSeq, count, supersedes }) => [kind, firstSeq, count, supersedes])).to.deep.equal(
        [
          ["Data", 0n, 4n, 0n],
          ["Data", 4n, 2n, 0n],
          ["Correction", 1n, 1n, 0n],
          ["Data", 6n, 1n, 0n],
        ],
      );
    });
  });

  it("refuses a correction of readings that the anchor it names does not have, and names those that do", async () => {
    const { options } = await setUp();
    const [a, b] = [Buffer.from("a"), Buffer.from("b")];
    await using(options, async (ingest) => {
      await ingest.append(readingsOf(payloadsOf(8)));
      await ingest.declareGap({ firstSeq: 8n, count: 3n, tFirst: START + HOUR, tLast: START + HOUR });
      expect(await ingest.correct({ supersedes: 1n, firstSeq: 5n, readings: readingsOf([a]) })).to.equal(3n);
      const refused = async (supersedes: bigint, firstSeq: bigint, payloads: Buffer[], fix: string): Promise<void> => {
        const given = { supersedes, firstSeq, readings: readingsOf(payloads) };
        const error = await errorOf("INVALID_ARGUMENT", () => ingest.correct(given));
        expect(error.details).to.deep.include({ argument: "supersedes", value: supersedes });
        expect(error.message).to.contain(fix);
      };
      await refused(0n, 5n, [a], "anchor 0 has the readings 0 to 3");
      await refused(0n, 5n, [a], "anchor 1 has 4 to 7, anchor 3 has 5 to 5");
      await refused(0n, 3n, [a, b], "anchor 0 has 0 to 3, anchor 1 has 4 to 7");
      await refused(3n, 5n, [a, b], "anchor 1 has 4 to 7, anchor 3 has 5 to 5");
      await refused(1n, 9n, [a], "anchor 2 has 8 to 10");
      expect(ingest.status()).to.deep.include({ nextIndex: 4n, readings: 9 });
      expect(await ingest.correct({ supersedes: 3n, firstSeq: 5n, readings: readingsOf([b]) })).to.equal(4n);
      expect(await ingest.correct({ supersedes: 2n, firstSeq: 9n, readings: readingsOf([a, b]) })).to.equal(5n);
      await ingest.settle();
    });
    // What the log had before its spool was begun, the spool cannot know.
    await using({ ...options, spool: fileIn("another") }, async (ingest) => {
      expect(await ingest.correct({ supersedes: 1n, firstSeq: 4n, readings: readingsOf([a]) })).to.equal(6n);
      await ingest.settle();
    });
  });

  it("keeps the order of what comes at the same time: readings, corrections and gaps", async () => {
    const { options, touchstone, logId } = await setUp();
    await using({ ...options, cut: { count: 3 } }, async (ingest) => {
      await ingest.append(readingsOf(payloadsOf(2)));
      const made: Promise<unknown>[] = [];
      for (let index = 2; index < 40; index++) {
        made.push(ingest.append(readingsOf([Buffer.from(`reading ${index}`)], index)));
        if (index % 7 === 0) {
          made.push(ingest.correct({ supersedes: 0n, firstSeq: 0n, readings: readingsOf([Buffer.from("corrected")]) }));
        }
        if (index % 5 === 0) await Promise.resolve();
        if (index % 11 === 0) await made.at(-1);
        if (index % 9 === 0) made.push(ingest.flush());
      }
      await Promise.all(made);
      await ingest.settle();
      const records = await anchors.readAnchors({ touchstone, logId });
      const data = records.filter(({ kind }) => kind === "Data");
      const found = data.flatMap(({ index }) => ingest.batchAt(index).readings.map(({ payload }) => payload!));
      expect(found.map((payload) => Buffer.from(payload).toString())).to.deep.equal(payloadsOf(40).map(String));
      expect(records.filter(({ kind }) => kind === "Correction")).to.have.lengthOf(5);
    });
  });

  describe("erases", () => {
    it("a reading so that neither payload nor salt is in the files, and still proves the others", async () => {
      const { options, touchstone } = await setUp();
      const payloads = Array.from({ length: 300 }, (_, index) =>
        Buffer.from(`person ${index} ${"x".repeat(index === 7 ? 9000 : 20)} end-${index}.`),
      );
      await using({ ...options, cut: { count: 100 } }, async (ingest) => {
        await ingest.append(readingsOf(payloads.slice(0, 250)));
        await ingest.correct({ supersedes: 0n, firstSeq: 7n, readings: readingsOf([payloads[7]!]) });
        await ingest.append(readingsOf(payloads.slice(250), 250));
        const secrets = [0, 7, 99, 100, 150, 299].map((seq) => {
          // The last one is in no batch yet; of the corrected one both are erased.
          if (seq === 299) return { seq, secrets: [payloads[seq]!], commitment: undefined };
          const reading = ingest.batchOf(BigInt(seq)).readings[seq % 100]!;
          const { commitment } = reading;
          const [salt, payload] = [reading.salt!, reading.payload!];
          expect(commitmentOf({ tree: "Keccak256", salt, contentFormat: 0, payload })).to.equal(commitment);
          return { seq, secrets: [Buffer.from(salt), payloads[seq]!, payloads[seq]!.subarray(-9)], commitment };
        });
        const roots = secrets.slice(0, 5).map(({ seq }) => ingest.batchOf(BigInt(seq)).seeds[0]!.seed);
        for (const { seq } of secrets) await ingest.erase(BigInt(seq));
        await ingest.erase(7n);
        await ingest.settle();

        const files = await Promise.all(["", "-wal"].map((suffix) => readFile(`${options.spool}${suffix}`)));
        for (const file of files) {
          for (const { secrets: hidden } of secrets)
            for (const secret of hidden) expect(file.includes(Buffer.from(secret))).to.equal(false);
          for (const root of roots) expect(file.includes(Buffer.from(root))).to.equal(false);
        }
        expect(files[0]!.includes("person 8 ")).to.equal(true);

        for (const { seq, commitment } of secrets) {
          const batch = ingest.batchOf(BigInt(seq));
          const reading = batch.readings[seq - Number(batch.firstSeq)]!;
          expect(reading).not.to.have.any.keys("payload", "salt");
          if (commitment !== undefined) expect(reading.commitment).to.equal(commitment);
          const proof = await anchors.proveReading({ touchstone, batch, seq: BigInt(seq) });
          expect(await anchors.verifyReading({ touchstone, proof })).to.equal(true);
        }
        expect(Buffer.from(ingest.batchOf(8n).readings[8]!.payload!).toString()).to.contain("person 8");
        expect(ingest.batchAt(3n).readings[0]).not.to.have.any.keys("payload", "salt");
        await errorOf("NOT_FOUND", () => ingest.erase(300n));
      });
      await using({ ...options, cut: { count: 100 } }, (ingest) => {
        expect(ingest.batchOf(7n).readings[7]).not.to.have.any.keys("payload", "salt");
        return Promise.resolve();
      });
    });
  });

  describe("survives a chain that", () => {
    it("is down, slow to come back and answers with errors", async () => {
      const { options, touchstone, logId, through } = await setUp();
      const faults = [
        () => Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
        () => new Error("503 Service Unavailable"),
        () => new Error("Internal error"),
        () => new Error("this method is not for you"),
      ];
      let asked = 0;
      let isDown = false;
      const provider = new Proxy(ethers.provider, {
        get(target, name) {
          if (name === "provider") return provider;
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          return (...args: unknown[]): unknown => {
            if (isDown || asked++ % 5 === 3) return Promise.reject(faults[asked % faults.length]!());
            return (value as (...args: unknown[]) => unknown).apply(target, args);
          };
        },
      });
      const payloads = payloadsOf(30);
      const states = new Set<string>();
      const limits = { ...INGEST_HASTE, retries: 1, items: 2 };
      const flaky = { ...options, touchstone: through(provider), limits };
      await using({ ...flaky, onProgress: ({ state }) => states.add(state) }, async (ingest) => {
        const running = ingest.run(sourceOf(payloads));
        isDown = true;
        await until(() => ingest.status().readings === 30 && ingest.status().error !== undefined);
        isDown = false;
        await running;
        await expectLog({ touchstone, logId, ingest, payloads });
      });
      expect([...states]).to.include.members(["Waiting", "Idle"]);
    });

    it("is down when it starts: it takes readings, and anchors them once the chain is there", async () => {
      const { options, touchstone, logId, through } = await setUp();
      await using(options, (ingest) => ingest.settle());
      let isDown = true;
      const provider = new Proxy(ethers.provider, {
        get(target, name) {
          if (name === "provider") return provider;
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          return (...args: unknown[]): unknown =>
            isDown
              ? Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }))
              : (value as (...args: unknown[]) => unknown).apply(target, args);
        },
      });
      const { addresses, chainId } = touchstone;
      const { runner } = through(provider);
      const payloads = payloadsOf(6);
      const open = async (chain: bigint): Promise<IngestOptions> => ({
        ...options,
        touchstone: await connectTouchstone({ runner, unchecked: true, chainId: chain, addresses }),
      });
      await using(await open(chainId), async (ingest) => {
        expect(await ingest.append(readingsOf(payloads))).to.deep.equal({ added: 6, doubled: 0, aside: 0 });
        await until(() => ingest.status().error?.code === "CHAIN_UNREACHABLE");
        isDown = false;
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads });
      });
      const error = await errorOf("WRONG_CHAIN", async () =>
        openIngest({ ...(await open(1n)), spool: fileIn("other") }),
      );
      expect(error.details).to.deep.equal({ expected: 1n, chainId });
    });

    it("does not mine: the fee is raised under the same nonce", async () => {
      const { options, touchstone, logId, wallet } = await setUp();
      const payloads = payloadsOf(4);
      const first = await wallet.getNonce();
      await ethers.provider.send("evm_setAutomine", [false]);
      await using({ ...options, limits: { ...INGEST_HASTE, patience: 1 } }, async (ingest) => {
        const running = ingest.run(sourceOf(payloads));
        const pending = async (): Promise<unknown[]> =>
          ((await ethers.provider.send("eth_getBlockByNumber", ["pending", false])) as { transactions: unknown[] })
            .transactions;
        await until(async () => (await ethers.provider.getTransactionCount(wallet, "pending")) > first);
        expect(await pending()).to.have.lengthOf(1);
        await until(() => ingest.status().error?.code === "TRANSACTION_STUCK");
        expect(ingest.status().error?.details).to.include({ nonce: first, sender: wallet.address });
        const baseFee = 10n ** 12n;
        await networkHelpers.setNextBlockBaseFeePerGas(baseFee);
        await until(async () => {
          await ethers.provider.send("evm_mine", []);
          await setTimeout(10);
          return ingest.status().state === "Idle" && ingest.status().batches.final === 1;
        });
        await running;
        await expectLog({ touchstone, logId, ingest, payloads });
        const { transactionHash } = ingest.anchorAt(0n)!;
        const transaction = (await ethers.provider.getTransaction(transactionHash))!;
        expect(transaction.nonce).to.equal(first);
        expect(transaction.maxFeePerGas! > baseFee / 2n).to.equal(true);
      });
      expect(await wallet.getNonce()).to.equal(first + 1);
    });

    for (const fresh of [false, true]) {
      it(`takes back anchors: they are sent again, the very same${fresh ? ", with another fresh block" : ""}`, async () => {
        const { options, touchstone, logId } = await setUp();
        const payloads = payloadsOf(20);
        const snapshots: string[] = [];
        const snapshot = async (): Promise<void> => {
          snapshots.push((await ethers.provider.send("evm_snapshot", [])) as string);
        };
        await snapshot();
        await using({ ...options, confirmations: 30, fresh }, async (ingest) => {
          await ingest.append(readingsOf(payloads.slice(0, 8)));
          await until(() => ingest.status().batches.anchored === 2);
          const before = await anchors.readAnchors({ touchstone, logId });
          await snapshot();
          await ingest.append(readingsOf(payloads.slice(8, 16), 8));
          await until(() => ingest.status().batches.anchored === 4);
          // First the last two are taken back, then all.
          for (const id of snapshots.reverse()) {
            const { timestamp } = (await ethers.provider.getBlock("latest"))!;
            await ethers.provider.send("evm_revert", [id]);
            await networkHelpers.time.setNextBlockTimestamp(timestamp + 100);
            await networkHelpers.mine(2);
            await until(async () => (await anchors.head({ touchstone, logId })).size === 4n);
            await until(() => ingest.status().batches.anchored === 4);
          }
          await ingest.append(readingsOf(payloads.slice(16), 16));
          const settled = ingest.settle();
          await until(() => ingest.status().batches.anchored === 5);
          expect(ingest.status().batches.final).to.be.lessThan(5);
          await networkHelpers.mine(30);
          expect((await settled).batches).to.deep.equal({ cut: 5, signed: 5, anchored: 5, final: 5 });
          const after = await expectLog({ touchstone, logId, ingest, payloads });
          expect(after.slice(0, 2).map(({ root }) => root)).to.deep.equal(before.map(({ root }) => root));
          expect(after[0]!.timestamp > before[0]!.timestamp).to.equal(true);
          if (fresh) expect(after.every(({ freshState }) => freshState === "Confirmed")).to.equal(true);
        });
      });
    }

    it("has a clock that is behind: what is ahead of it waits", async () => {
      const { options, touchstone, logId } = await setUp();
      const ahead = ((await now()) + 3600n) * 1000n + 500_000n;
      await using({ ...options, now: () => ahead }, async (ingest) => {
        await ingest.append([{ measuredAt: ahead, payload: Buffer.from("ahead") }]);
        const settled = ingest.settle();
        await until(() => ingest.status().state === "Waiting");
        expect(ingest.status().error?.message).to.contain("ahead");
        await networkHelpers.time.increase(501);
        await settled;
      });
      expect((await anchors.head({ touchstone, logId })).lastMeasured).to.equal(ahead);
    });
  });

  describe("says how it stands", () => {
    it("as soon as there is something to anchor, and still when it was closed before it was", async () => {
      const { options } = await setUp();
      const ingest = await openIngest(options);
      try {
        expect((await ingest.settle()).state).to.equal("Idle");
        await ingest.append(readingsOf(payloadsOf(4)));
        expect(ingest.status().state).to.equal("Anchoring");
      } finally {
        await ingest.close();
      }
      expect(ingest.status().state).to.equal("Anchoring");
      expect(ingest.status().batches).to.include({ cut: 1, anchored: 0 });
    });

    it("at the first failure that passes, while it asks again", async () => {
      const { options, through } = await setUp();
      let isDown = true;
      let asked = 0;
      const provider = providerWith({
        getTransactionCount: (...given) => {
          asked++;
          return isDown
            ? Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }))
            : ethers.provider.getTransactionCount(...given);
        },
      });
      const told: (string | undefined)[] = [];
      const limits = { ...INGEST_HASTE, retries: 6, retryDelay: 200 };
      const onProgress = ({ state, error }: IngestStatus): unknown => told.push(`${state} ${error?.code ?? ""}`);
      await using({ ...options, touchstone: through(provider), limits, onProgress }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(4)));
        await until(() => ingest.status().state === "Waiting");
        expect(asked).to.equal(1);
        expect(ingest.status().error?.code).to.equal("CHAIN_UNREACHABLE");
        isDown = false;
        const status = await ingest.settle();
        expect(status).not.to.have.property("error");
        expect(told).to.include("Waiting CHAIN_UNREACHABLE");
      });
    });
  });

  describe("has signed again, with the same content,", () => {
    it("what waited longer than its deadline, under the same nonce", async () => {
      const { options, touchstone, logId, wallet } = await setUp();
      const payloads = payloadsOf(4);
      const first = await wallet.getNonce();
      await ethers.provider.send("evm_setAutomine", [false]);
      await using({ ...options, validFor: 600n }, async (ingest) => {
        const running = ingest.run(sourceOf(payloads));
        await until(async () => (await ethers.provider.getTransactionCount(wallet, "pending")) > first);
        const [hash] = (
          (await ethers.provider.send("eth_getBlockByNumber", ["pending", false])) as { transactions: string[] }
        ).transactions;
        await ethers.provider.send("hardhat_dropTransaction", [hash]);
        await networkHelpers.time.increase(600);
        await ethers.provider.send("evm_setAutomine", [true]);
        await running;
        await expectLog({ touchstone, logId, ingest, payloads });
      });
      expect(await wallet.getNonce()).to.equal(first + 1);
    });

    it("what was signed by a key that is the device's no more", async () => {
      const { options, touchstone, logId, as, p256Device, unsigned } = await setUp();
      const payloads = payloadsOf(4);
      const newKey = createP256Key();
      await using({ ...options, touchstone: unsigned }, async (ingest) => {
        await ingest.append(readingsOf(payloads));
        await until(() => ingest.status().error?.code === "SIGNING_FAILED");
        expect(ingest.status().batches).to.include({ signed: 1, anchored: 0 });
        expect(ingest.status().state).to.equal("Blocked");
      });
      const rotation = await devices.newKeyRotation({ touchstone, device: p256Device.id, newKey });
      await devices.rotateKey({ touchstone: as.owner, rotation, byNewKey: newKey, byOldKey: p256Device });
      await using({ ...options, key: newKey }, async (ingest) => {
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });
  });

  describe("says what is wrong when", () => {
    it("another writer has the same log", async () => {
      const { options, touchstone, logId, p256Device } = await setUp();
      await using({ ...options, spool: fileIn("one") }, async (one) => {
        await using({ ...options, spool: fileIn("two") }, async (two) => {
          await one.run(sourceOf(payloadsOf(4)));
          const error = await errorOf("LOG_CONFLICT", () => two.run(sourceOf(payloadsOf(4).reverse())));
          const [ours, found] = [two.batchAt(0n).root, one.batchAt(0n).root];
          expect(error.details).to.include({ logId, index: 0n, field: "root", ours, found, author: p256Device.id });
          expect(error.message).to.contain(ours).and.to.contain(found);
          expect(two.status()).to.include({ state: "Failed", readings: 4 });
          // What comes later fails at once.
          await errorOf("LOG_CONFLICT", () => two.settle());
          await errorOf("LOG_CONFLICT", () => two.run(sourceOf(payloadsOf(8), "another")));
        });
      });
      expect((await anchors.head({ touchstone, logId })).size).to.equal(1n);
    });

    it("another writer goes on with the log behind its back", async () => {
      const { options, touchstone, logId, p256Device } = await setUp();
      await using({ ...options, confirmations: 3 }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(4)));
        await until(() => ingest.status().batches.anchored === 1);
        const gap = { logId, firstSeq: 4n, count: 1n, tFirst: START + HOUR, tLast: START + HOUR };
        const anchor = await anchors.newGap({ touchstone, gap });
        await anchors.anchor({ touchstone, anchor, byDevice: p256Device });
        const error = await errorOf("LOG_CONFLICT", () => ingest.settle());
        expect(error.details).to.include({ index: 1n });
      });
    });

    it("someone else sent what the device signed: that is anchored all the same", async () => {
      const { options, touchstone, logId, p256Device, as, unsigned } = await setUp();
      const payloads = payloadsOf(4);
      await using({ ...options, touchstone: unsigned }, async (ingest) => {
        await ingest.append(readingsOf(payloads));
        await until(() => ingest.status().state === "Blocked");
        const anchor = await anchors.newAnchor({ touchstone, batch: ingest.batchAt(0n) });
        await anchors.anchor({ touchstone: as.stranger, anchor, byDevice: p256Device });
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("the device is suspended: it goes on when it is resumed", async () => {
      const { options, touchstone, logId, as, p256Device } = await setUp();
      const payloads = payloadsOf(9);
      await devices.suspend({ touchstone: as.owner, device: p256Device.id });
      await using(options, async (ingest) => {
        const running = ingest.run(sourceOf(payloads));
        await until(() => ingest.status().state === "Blocked" && ingest.status().pending === 0);
        expect(ingest.status().error).to.include({ code: "CONTRACT_REVERTED", errorName: "DeviceNotActive" });
        expect(ingest.status()).to.deep.include({ readings: 9 });
        await devices.resume({ touchstone: as.owner, device: p256Device.id });
        await running;
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("the sender cannot pay: it goes on when it can", async () => {
      const { options, touchstone, logId, wallet } = await setUp();
      const payloads = payloadsOf(4);
      await networkHelpers.setBalance(wallet.address, 0);
      await using(options, async (ingest) => {
        const running = ingest.run(sourceOf(payloads));
        await until(() => ingest.status().state === "Blocked");
        expect(ingest.status().error?.code).to.equal("INSUFFICIENT_FUNDS");
        await networkHelpers.setBalance(wallet.address, 10n ** 20n);
        await running;
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("a transaction fails when mined though its rehearsal did not: it is not sent again and again", async () => {
      const { options, touchstone, logId, wallet, through } = await setUp();
      let isWrong = true;
      // What is estimated so low runs out of gas.
      const provider = providerWith({
        estimateGas: (request) => (isWrong ? Promise.resolve(75_000n) : ethers.provider.estimateGas(request)),
      });
      const payloads = payloadsOf(4);
      const first = await wallet.getNonce();
      const limits = { ...INGEST_HASTE, blockedInterval: 600_000 };
      await using({ ...options, touchstone: through(provider), limits }, async (ingest) => {
        await ingest.append(readingsOf(payloads));
        await until(() => ingest.status().state === "Blocked");
        expect(ingest.status().error?.message).to.contain("failed when mined");
        await setTimeout(50);
        expect(await wallet.getNonce()).to.equal(first + 2);
      });
      isWrong = false;
      await using({ ...options, touchstone: through(provider) }, async (ingest) => {
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("the key is another device's", async () => {
      const { options, logId, p256Device } = await setUp();
      const key = createP256Key();
      await using({ ...options, key }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(4)));
        await until(() => ingest.status().state === "Blocked");
        const { error } = ingest.status();
        expect(error).to.include({ code: "CONTRACT_REVERTED", errorName: "KeyProofInvalid" });
        expect(error?.details).to.include({ key: key.id, presentKey: p256Device.id, logId });
        expect(error?.message)
          .to.contain(`signs with the key ${key.id}`)
          .and.to.contain(`present key is ${p256Device.id}: open it with that one`);
      });
    });

    it("the spool is full, and goes on once there is room", async () => {
      const { options, touchstone, logId } = await setUp();
      const payloads = Array.from({ length: 400 }, (_, index) => Buffer.alloc(1000, index));
      const limits = { ...INGEST_HASTE, diskBytes: 200_000, group: 8 };
      await using({ ...options, limits }, async (ingest) => {
        const error = await errorOf("SPOOL_FULL", () => ingest.run(sourceOf(payloads)));
        expect(error.message).to.contain(options.spool).and.to.contain("Nothing that was taken is lost");
        const { readings } = ingest.status();
        expect(readings).to.be.within(50, 200);
        await errorOf("SPOOL_FULL", () => ingest.append([{ measuredAt: START + HOUR, payload: Buffer.alloc(9000) }]));
        // What fits is taken still, and all that was taken is anchored.
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads: payloads.slice(0, readings) });
      });
      await using({ ...options, limits: { ...limits, diskBytes: 2_000_000 } }, async (ingest) => {
        await ingest.run(sourceOf(payloads));
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("the disk fails: it ends, and still tells how it stood", async () => {
      const { options, unsigned } = await setUp();
      // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
      const { exec } = DatabaseSync.prototype;
      await using({ ...options, touchstone: unsigned }, async (ingest) => {
        await ingest.append(readingsOf(payloadsOf(4)));
        await until(() => ingest.status().state === "Blocked");
        try {
          DatabaseSync.prototype.exec = function (sql) {
            if (sql.startsWith("BEGIN")) throw Object.assign(new Error("disk I/O error"), { errcode: 10 });
            exec.call(this, sql);
          };
          await errorOf("SPOOL_FAILED", () => ingest.append(readingsOf(payloadsOf(1), 4)));
        } finally {
          DatabaseSync.prototype.exec = exec;
        }
        await until(() => ingest.status().state === "Failed");
        expect(ingest.status().error?.code).to.equal("SPOOL_FAILED");
        expect(ingest.status().batches).to.include({ cut: 1, signed: 1, anchored: 0 });
        await errorOf("SPOOL_FAILED", () => ingest.settle());
      });
    });

    it("a source fails: what it gave before is anchored", async () => {
      const { options, touchstone, logId } = await setUp();
      const payloads = payloadsOf(5);
      const broken: ReadingSource = {
        name: "list",
        async *read(after, signal) {
          yield* sourceOf(payloads).read(after, signal);
          throw new Error("the sensor is gone");
        },
      };
      await using(options, async (ingest) => {
        let message = "";
        await ingest.run(broken).catch((error: unknown) => {
          ({ message } = error as Error);
        });
        expect(message).to.equal("the sensor is gone");
        await ingest.settle();
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("what it is opened with does not fit", async () => {
      const { options, fleet } = await setUp();
      const fleetLog = anchors.fleetLogId({ fleet });
      const refused: IngestOptions[] = [
        withoutKey(options),
        { ...options, logId: fleetLog },
        { ...options, kind: "Receipts" },
        { ...options, logId: "0x12" },
        { ...options, cut: { count: 0 } },
        { ...options, confirmations: 0 },
        { ...options, validFor: -1n },
        { ...options, validFor: 59n },
        { ...options, limits: { group: 0 } },
        { ...options, limits: { gas: 0n } },
        { ...options, limits: { diskBytes: 0 } },
      ];
      for (const given of refused) await errorOf("INVALID_ARGUMENT", () => openIngest(given));
      for (const [given, argument, known] of [
        [{ ...options, limits: { grup: 5 } }, "limits.grup", "group, "],
        [{ ...options, limits: { count: 5 } }, "limits.count", "diskBytes"],
        [{ ...options, cut: { counts: 5 } }, "cut.counts", "count, age, alarm"],
      ] as const) {
        const { details, message } = await errorOf("INVALID_ARGUMENT", () => openIngest(given as never));
        expect(details).to.include({ argument });
        expect(message).to.contain(`${argument}: `).and.to.contain(known);
      }
      await errorOf("RUNNER_READ_ONLY", () =>
        openIngest({ ...options, touchstone: options.touchstone.connect(ethers.provider) }),
      );
      await errorOf("CANCELLED", () => openIngest({ ...options, signal: AbortSignal.abort() }));
    });

    it("two have one spool, or it is that of another log", async () => {
      const { options, logId } = await setUp();
      await using(options, async () => {
        const { details } = await errorOf("SPOOL_LOCKED", () => openIngest(options));
        expect(details).to.include({ path: options.spool });
      });
      const { details, message } = await errorOf("SPOOL_MISMATCH", () => openIngest({ ...options, tree: "Sha256" }));
      expect(details).to.include({ field: "tree", spool: "Keccak256", given: "Sha256" });
      expect(message).to.contain("Keccak256").and.to.contain("Sha256");
      const other = logId.replace(/.$/, "1");
      const mismatch = await errorOf("SPOOL_MISMATCH", () => openIngest({ ...options, logId: other }));
      expect(mismatch.details).to.include({ field: "logId", spool: logId, given: other });
    });

    it("a source is taken twice at once", async () => {
      const { options } = await setUp();
      await using(options, async (ingest) => {
        const running = ingest.run(sourceOf(payloadsOf(5)));
        await errorOf("INVALID_ARGUMENT", () => ingest.run(sourceOf(payloadsOf(5))));
        await running;
      });
    });
  });

  describe("ends", () => {
    it("when it is cancelled, with all that it took in its spool", async () => {
      const { options, touchstone, logId } = await setUp();
      const payloads = payloadsOf(10);
      const controller = new AbortController();
      const endless: ReadingSource = {
        name: "list",
        async *read(after, signal) {
          yield* sourceOf(payloads.slice(0, 6)).read(after, signal);
          await new Promise(() => undefined);
        },
      };
      await using({ ...options, signal: controller.signal }, async (ingest) => {
        const running = ingest.run(endless);
        await until(() => ingest.status().readings === 6);
        controller.abort();
        await errorOf("CANCELLED", () => running);
        await errorOf("CANCELLED", () => ingest.append([]));
      });
      await using(options, async (ingest) => {
        await ingest.run(sourceOf(payloads));
        await expectLog({ touchstone, logId, ingest, payloads });
      });
    });

    it("when it is closed, although the device or the node never answers", async () => {
      const { options, p256Device, through } = await setUp();
      const silent = { ...p256Device, prove: () => new Promise<never>(() => undefined) };
      const mute = through(providerWith({ estimateGas: () => new Promise<never>(() => undefined) }));
      for (const given of [
        { ...options, key: silent },
        { ...options, touchstone: mute },
      ]) {
        await using(given, async (ingest) => {
          await ingest.append(readingsOf(payloadsOf(4)));
          await setTimeout(20);
        });
      }
      await using(options, async (ingest) => {
        expect((await ingest.settle()).batches.final).to.equal(2);
      });
    });

    it("when it is closed, whatever it does", async () => {
      const { options } = await setUp();
      const seen: IngestStatus[] = [];
      const ingest: Ingest = await openIngest({ ...options, onProgress: (status) => seen.push(status) });
      const running = ingest.run(sourceOf(payloadsOf(100)));
      await until(() => ingest.status().readings > 0);
      await Promise.all([errorOf("CANCELLED", () => running), ingest.close()]);
      await ingest.close();
      const told = seen.length;
      await errorOf("CANCELLED", () => ingest.append([]));
      await setTimeout(10);
      expect(seen.length).to.equal(told);
    });
  });
});
