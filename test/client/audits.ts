import { expect } from "chai";
import { concat, hexlify, id, keccak256, Log, toBeHex, type LogParams, type Provider } from "ethers";
import fc from "fast-check";

import * as anchors from "../../client/anchors.js";
import * as audits from "../../client/audits.js";
import { buildBatch, type Batch } from "../../client/batches.js";
import { connectTouchstone, type Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import type { AnchorKind } from "../../client/enumerations.js";
import { TouchstoneError } from "../../client/errors.js";
import { createP256Key, type Key } from "../../client/keys.js";
import { ethers, FOR_EVER, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { logWriter, PERIOD, type AnchorPlan, type LogWriter } from "../support/audited-logs.js";
import { providerWith } from "../support/provider.js";
import { keccak256 as rfcKeccak, rootOf } from "../support/rfc9162.js";
import { deploySuite, type Suite } from "../support/suite.js";

/** What a log that is written each period, soon and without losses keeps to. */
const STRICT: audits.Expectations = {
  longestSilence: PERIOD,
  longestPause: 30_000n,
  latestAfter: 10n,
  longestAhead: 0n,
  fresh: true,
  complete: true,
};

type Kind = "device" | "fleet";
const KINDS: readonly Kind[] = ["device", "fleet"];

interface Logs extends Suite {
  touchstone: Touchstone;
  logs: Record<Kind, LogWriter>;
}

/** A log of a device and one of a fleet, each with four anchors, none of which has anything to find. */
async function cleanLogs(): Promise<Logs> {
  const suite = await deploySuite();
  // So that block 1 is too old for the chain to tell its hash.
  await networkHelpers.mine(8_200);
  const touchstone = suite.as.stranger;
  const { id: device } = suite.p256Device;
  const writers = {
    device: { logId: anchors.deviceLogId({ device }), by: suite.p256Device },
    fleet: { logId: anchors.fleetLogId({ fleet: suite.fleet }), by: suite.as.gateway },
  };
  const start = ((await now()) / 3600n + 1n) * 3600n;
  const of = (kind: Kind): LogWriter => {
    // The blocks of one log lie between those of the other.
    const offset = kind === "device" ? 0n : 100n;
    return logWriter({ touchstone: suite.as.relayer, ...writers[kind], start: start + offset });
  };
  const logs = { device: of("device"), fleet: of("fleet") };
  for (let anchor = 0; anchor < 4; anchor += 1) for (const kind of KINDS) await logs[kind].write();
  return { ...suite, touchstone, logs };
}

/** The writers go on from where the chain is put back to. */
async function loadLogs<T extends Logs>(fixture: () => Promise<T>): Promise<T> {
  const loaded = await loadFixture(fixture);
  const { device, fleet } = loaded.logs;
  return { ...loaded, logs: { device: device.copy(), fleet: fleet.copy() } };
}

/** The audited parts of a finding: its sentence is for people. */
type Found = [code: audits.FindingCode, index: bigint | undefined, figures: object, severity: audits.Severity];

function shortOf(findings: audits.Finding[]): Found[] {
  return findings.map(({ code, index, figures, severity }) => [code, index, figures, severity]);
}

function codesOf(findings: audits.Finding[]): string[] {
  return findings.map(({ code, index }) => `${code} ${index ?? "-"}`).toSorted();
}

/** The contracts through a node that answers some questions otherwise. */
async function through(touchstone: Touchstone, replaced: Parameters<typeof providerWith>[0]): Promise<Touchstone> {
  return connectTouchstone({ runner: providerWith(replaced), addresses: touchstone.addresses });
}

const askLogs: Provider["getLogs"] = (filter) => ethers.provider.getLogs(filter);

/** A node that gives other events of a log. */
async function withEvents(touchstone: Touchstone, change: (logs: Log[]) => Log[]): Promise<Touchstone> {
  return through(touchstone, { getLogs: async (filter) => change(await askLogs(filter)) });
}

describe("auditLog", () => {
  for (const kind of KINDS) {
    describe(`of a ${kind}'s log`, () => {
      it("finds nothing in a log that keeps to all that is expected, and says what it holds", async () => {
        const { touchstone, logs, anchors: contract } = await loadLogs(cleanLogs);
        const { logId, written } = logs[kind];
        const toBlock = await ethers.provider.getBlockNumber();
        const audit = await audits.auditLog({ touchstone, logId, expectations: STRICT });
        const block = (await ethers.provider.getBlock(toBlock))!;
        expect(audit).to.deep.equal({
          logId,
          block: { number: toBlock, hash: block.hash, timestamp: BigInt(block.timestamp) },
          log: { nextSeq: 40n, size: 4n, lastMeasured: written[3]!.tLast, lastAnchored: written[3]!.at },
          root: await contract.root(logId),
          anchors: 4n,
          readings: 40n,
          lost: 0n,
          corrected: 0n,
          isProven: true,
          findings: [],
        });
      });

      it("finds nothing but what it is told to expect", async () => {
        const { touchstone, logs } = await loadLogs(cleanLogs);
        const log = logs[kind];
        await log.write({
          at: log.written[3]!.at + 10n * PERIOD,
          tLast: log.written[3]!.tLast + 30_000n,
          freshBlock: undefined,
        });
        await networkHelpers.time.increase(100n * PERIOD);
        const { findings } = await audits.auditLog({ touchstone, logId: log.logId });
        expect(findings).to.deep.equal([]);
      });

      /** One more anchor, or two, and the one thing that there is to find. */
      const single: {
        name: string;
        plans: (log: LogWriter) => AnchorPlan[];
        found: (log: LogWriter) => Found;
        totals?: Partial<audits.Totals>;
      }[] = [
        {
          name: "readings that were declared lost",
          plans: () => [{ kind: "Gap", count: 7n }],
          found: ({ written }) => {
            const { tFirst, tLast } = written[4]!;
            return ["Gap", 4n, { firstSeq: 40n, count: 7n, recovered: 0n, tFirst, tLast }, "error"];
          },
          totals: { anchors: 5n, readings: 40n, lost: 7n },
        },
        {
          name: "a correction",
          plans: () => [{ kind: "Correction", firstSeq: 12n, count: 8n, supersedes: 1n }, {}],
          found: () => ["Corrected", 4n, { firstSeq: 12n, count: 8n, supersedes: 1n }, "warning"],
          totals: { anchors: 6n, readings: 50n, corrected: 8n },
        },
        {
          name: "an anchor that came late",
          plans: ({ written }) => [{ tLast: (written[3]!.at + PERIOD) * 1000n - 10_001n }],
          found: () => ["Late", 4n, { milliseconds: 10_001n, latestAfter: 10n }, "error"],
        },
        {
          name: "a silence between two anchors",
          plans: ({ written }) => [{ at: written[3]!.at + PERIOD + 1n }],
          found: ({ written }) => {
            const [from, to] = [written[3]!.at, written[4]!.at];
            return ["Silent", 4n, { from, to, seconds: 601n, longestSilence: 600n }, "error"];
          },
        },
        {
          name: "a time without measurements",
          plans: ({ written }) => [{ tFirst: written[3]!.tLast + 30_001n }],
          found: ({ written }) => {
            const [from, to] = [written[3]!.tLast, written[4]!.tFirst];
            return ["Paused", 4n, { from, to, milliseconds: 30_001n, longestPause: 30_000n }, "error"];
          },
        },
        {
          name: "a measurement from the future",
          plans: ({ written }) => [{ tLast: (written[3]!.at + PERIOD) * 1000n + 1n }],
          found: () => ["Future", 4n, { milliseconds: 1n, longestAhead: 0n }, "error"],
        },
        {
          name: "an anchor that names no block",
          plans: () => [{ freshBlock: undefined }],
          found: () => ["Unfresh", 4n, { freshState: "None", freshBlock: 0n }, "error"],
        },
        {
          name: "an anchor that names a block which is too old",
          plans: () => [{ freshBlock: 1n }],
          found: () => ["Unfresh", 4n, { freshState: "TooOld", freshBlock: 1n }, "error"],
        },
      ];
      for (const { name, plans, found, totals = {} } of single) {
        it(`finds ${name}, and nothing else`, async () => {
          const { touchstone, logs } = await loadLogs(cleanLogs);
          const log = logs[kind];
          for (const plan of plans(log)) await log.write(plan);
          // An anchor without a wait of its own is not the end of the log: only the block after the correction's silence is.
          const audit = await audits.auditLog({
            touchstone,
            logId: log.logId,
            expectations: expectationsOf(plans(log)),
          });
          expect(shortOf(audit.findings)).to.deep.equal([found(log)]);
          expect(audit.isProven).to.equal(true);
          expect(audit).to.deep.include(totals);
        });
      }

      it("finds a silence that lasts until the audited block", async () => {
        const { touchstone, logs } = await loadLogs(cleanLogs);
        const { logId, written } = logs[kind];
        const from = written[3]!.at;
        await networkHelpers.time.increaseTo(from + PERIOD);
        expect((await audits.auditLog({ touchstone, logId, expectations: STRICT })).findings).to.deep.equal([]);
        const toBlock = await ethers.provider.getBlockNumber();
        await networkHelpers.time.increaseTo(from + PERIOD + 5n);
        const { findings } = await audits.auditLog({ touchstone, logId, expectations: STRICT });
        const figures = { from, to: from + PERIOD + 5n, seconds: PERIOD + 5n, longestSilence: PERIOD };
        expect(shortOf(findings)).to.deep.equal([["Silent", undefined, figures, "error"]]);
        expect((await audits.auditLog({ touchstone, logId, expectations: STRICT, toBlock })).findings).to.deep.equal(
          [],
        );
      });

      it("finds a log that nobody wrote, whatever it is told to expect", async () => {
        const { touchstone, fleet, p256Device } = await loadLogs(cleanLogs);
        const stream = 9n;
        const unwritten =
          kind === "fleet"
            ? anchors.fleetLogId({ fleet, stream })
            : anchors.deviceLogId({ device: p256Device.id, stream });
        for (const expectations of [{}, STRICT]) {
          const empty = await audits.auditLog({ touchstone, logId: unwritten, expectations });
          const { number: block } = empty.block;
          expect(shortOf(empty.findings)).to.deep.equal([["Empty", undefined, { logId: unwritten, block }, "error"]]);
          expect(empty).to.deep.include({ anchors: 0n, isProven: true, root: keccak256("0x") });
          expect(empty.findings[0]!.message).to.equal(
            `Nobody had written the log ${unwritten} by block ${block}: check its id, its stream and the chain.`,
          );
        }
      });

      it("audits a log as it was at an earlier block", async () => {
        const { touchstone, logs, anchors: contract } = await loadLogs(cleanLogs);
        const log = logs[kind];
        const toBlock = await ethers.provider.getBlockNumber();
        const root = await contract.root(log.logId);
        await log.write({ at: log.written[3]!.at + 10n * PERIOD });
        const audit = await audits.auditLog({ touchstone, logId: log.logId, expectations: STRICT, toBlock });
        expect(audit).to.deep.include({ anchors: 4n, readings: 40n, root, isProven: true, findings: [] });
        expect(audit.log).to.include({ size: 4n, nextSeq: 40n, lastAnchored: log.written[3]!.at });
      });

      it("counts lost readings as recovered when a correction brings them back", async () => {
        const { touchstone, logs } = await loadLogs(cleanLogs);
        const log = logs[kind];
        const { tFirst, tLast } = await log.write({ kind: "Gap", count: 7n });
        await log.write({ kind: "Correction", firstSeq: 41n, count: 6n, supersedes: 4n });
        const expectations = { complete: true };
        const some = await audits.auditLog({ touchstone, logId: log.logId, expectations });
        const figures = { firstSeq: 40n, count: 7n, tFirst, tLast };
        expect(shortOf(some.findings)[0]).to.deep.equal(["Gap", 4n, { ...figures, recovered: 6n }, "error"]);
        expect(some).to.deep.include({ lost: 1n, corrected: 6n, readings: 40n });
        expect(some.findings[0]!.message).to.match(/^Readings 40 to 46, .* were declared lost; 6 of them came back/);

        await log.write({ kind: "Correction", firstSeq: 40n, count: 1n, supersedes: 4n });
        const all = await audits.auditLog({ touchstone, logId: log.logId, expectations });
        expect(shortOf(all.findings)[0]).to.deep.equal(["Gap", 4n, { ...figures, recovered: 7n }, "warning"]);
        expect(codesOf(all.findings)).to.deep.equal(["Corrected 5", "Corrected 6", "Gap 4"]);
        expect(all).to.deep.include({ lost: 0n, corrected: 7n });
      });

      it("finds corrections of which it is not said which holds, and one that names the wrong anchor", async () => {
        const { touchstone, logs } = await loadLogs(cleanLogs);
        const log = logs[kind];
        const corrections: AnchorPlan[] = [
          { firstSeq: 12n, count: 4n, supersedes: 1n },
          // Names the one before, of the same readings: fine.
          { firstSeq: 13n, count: 2n, supersedes: 4n },
          // Names the first, though the second holds for two of them.
          { firstSeq: 12n, count: 4n, supersedes: 4n },
          { firstSeq: 15n, count: 5n, supersedes: 1n },
          { firstSeq: 8n, count: 3n, supersedes: 0n },
          // The second of these leaves readings of the first on both sides: of those the third says nothing.
          { firstSeq: 30n, count: 8n, supersedes: 3n },
          { firstSeq: 33n, count: 2n, supersedes: 9n },
          { firstSeq: 31n, count: 6n, supersedes: 10n },
        ];
        for (const plan of corrections) await log.write({ kind: "Correction", ...plan });
        const { findings, corrected } = await audits.auditLog({ touchstone, logId: log.logId });
        expect(shortOf(findings.filter(({ code }) => code !== "Corrected"))).to.deep.equal([
          ["Overlap", 6n, { firstSeq: 13n, count: 2n, otherIndex: 5n }, "error"],
          ["Overlap", 7n, { firstSeq: 15n, count: 1n, otherIndex: 6n }, "error"],
          ["Misdirected", 8n, { firstSeq: 8n, count: 3n, supersedes: 0n }, "error"],
          ["Misdirected", 11n, { firstSeq: 31n, count: 6n, supersedes: 10n }, "error"],
          ["Overlap", 11n, { firstSeq: 31n, count: 6n, otherIndex: 9n }, "error"],
        ]);
        expect(corrected).to.equal(19n);
      });
    });
  }

  // ------------------------------------------------------------------ who

  it("finds that a device signed two anchors for one place, once however often it is reported", async () => {
    const { touchstone, logs, as, p256Device } = await loadLogs(cleanLogs);
    const { logId, written } = logs.device;
    const signed = async (root: string) => {
      const { firstSeq, count, tFirst, tLast } = written[2]!;
      const anchor: anchors.Anchor = {
        ...{ logId, index: 2n, kind: 0n, tree: 0n, firstSeq, count, tFirst, tLast, supersedes: 0n },
        ...{ freshBlock: 0n, freshHash: ethers.ZeroHash, root, deadline: FOR_EVER },
      };
      return [anchor, await anchors.signAnchor({ touchstone, anchor, key: p256Device })] as const;
    };
    const [first, second] = [await signed(id("one")), await signed(id("other"))];
    const report = as.relayer.dataAnchor;
    for (const [one, other] of [
      [first, second],
      [first, second],
      [second, first],
    ] as const) {
      await (await report.reportEquivocation(one[0], one[1], other[0], other[1])).wait();
    }
    const { findings } = await audits.auditLog({
      touchstone,
      logId,
      expectations: { ...STRICT, longestSilence: 10n * PERIOD },
    });
    expect(findings.map(({ code, index, severity }) => [code, index, severity])).to.deep.equal([
      ["Conflicting", 2n, "error"],
    ]);
    expect(findings[0]!.figures).to.have.property("key", p256Device.id);
    expect((await audits.auditLog({ touchstone, logId: logs.fleet.logId })).findings).to.deep.equal([]);
    // Nor if the node gives what was not asked for.
    const { topicHash } = touchstone.dataAnchor.filters.Equivocated.fragment;
    const [reported] = await ethers.provider.getLogs({ topics: [topicHash], fromBlock: 0 });
    const careless = await withEvents(touchstone, (all) => [...all, reported!]);
    expect((await audits.auditLog({ touchstone: careless, logId: logs.fleet.logId })).findings).to.deep.equal([]);
  });

  async function rotate({ as, p256Device }: Logs, byOldKey: Key, newKey: Key): Promise<number> {
    const touchstone = as.owner;
    const rotation = await devices.newKeyRotation({ touchstone, device: p256Device.id, newKey });
    const options = { touchstone, rotation, byNewKey: newKey, byOldKey };
    return (await devices.rotateKey(options)).receipt.blockNumber;
  }

  it("finds the anchor from which on another key signs, and where the key was put in place", async () => {
    const suite = await loadLogs(cleanLogs);
    const { touchstone, logs, p256Device } = suite;
    const log = logs.device;
    const [second, third, fourth] = [createP256Key(), createP256Key(), createP256Key()];
    const first = await rotate(suite, p256Device, second);
    await log.write({}, second);
    await log.write({}, second);
    await rotate(suite, second, third);
    const last = await rotate(suite, third, fourth);
    await log.write({}, fourth);
    const { findings } = await audits.auditLog({ touchstone, logId: log.logId });
    expect(shortOf(findings)).to.deep.equal([
      ["AuthorChanged", 4n, { from: p256Device.id, to: second.id, rotatedIn: first }, "warning"],
      ["AuthorChanged", 6n, { from: second.id, to: fourth.id, rotatedIn: last }, "warning"],
    ]);

    // A stream that only a later key ever wrote had no change.
    const other = anchors.deviceLogId({ device: p256Device.id, stream: 1n });
    const start = await now();
    await logWriter({ touchstone: suite.as.relayer, logId: other, start, by: fourth }).write();
    expect((await audits.auditLog({ touchstone, logId: other })).findings).to.deep.equal([]);
  });

  it("takes it for an error if the node shows no rotation to the key of a device's log", async () => {
    const suite = await loadLogs(cleanLogs);
    const log = suite.logs.device;
    const newKey = createP256Key();
    await rotate(suite, suite.p256Device, newKey);
    await log.write({}, newKey);
    const rotated = suite.touchstone.deviceRegistry.filters.KeyRotated.fragment.topicHash;
    const touchstone = await withEvents(suite.touchstone, (all) => all.filter(({ topics }) => topics[0] !== rotated));
    const { findings } = await audits.auditLog({ touchstone, logId: log.logId });
    const figures = { from: suite.p256Device.id, to: newKey.id, rotatedIn: undefined };
    expect(shortOf(findings)).to.deep.equal([["AuthorChanged", 4n, figures, "error"]]);
    expect(findings[0]!.message).to.contain("Ask another node");

    const other = anchors.deviceLogId({ device: suite.p256Device.id, stream: 1n });
    await logWriter({ touchstone: suite.as.relayer, logId: other, start: await now(), by: newKey }).write();
    const never = await audits.auditLog({ touchstone, logId: other });
    expect(shortOf(never.findings)).to.deep.equal([["AuthorChanged", 0n, figures, "error"]]);
  });

  it("takes no other rotation, and none of before, for the one that the node withholds", async () => {
    const suite = await loadLogs(cleanLogs);
    const { logs, p256Device } = suite;
    const log = logs.device;
    const [second, third] = [createP256Key(), createP256Key()];
    const keys = [p256Device, second, third, second];
    for (const [place, key] of keys.entries()) {
      if (place > 0) await rotate(suite, keys[place - 1]!, key);
      await log.write({}, key);
    }
    // Two at once: the first does not stand for the second.
    const [between, last] = [createP256Key(), createP256Key()];
    await rotate(suite, second, between);
    await rotate(suite, between, last);
    await log.write({}, last);
    const rotated = suite.touchstone.deviceRegistry.filters.KeyRotated.fragment.topicHash;
    for (const [withheld, index] of [
      [0, 5n],
      [1, 6n],
      [2, 7n],
      [4, 8n],
    ] as const) {
      const touchstone = await withEvents(suite.touchstone, (all) => {
        const rotations = all.filter(({ topics }) => topics[0] === rotated);
        return all.filter((event) => event !== rotations[withheld]);
      });
      const { findings } = await audits.auditLog({ touchstone, logId: log.logId });
      const unexplained = findings.filter(({ code, severity }) => code === "AuthorChanged" && severity === "error");
      expect(unexplained.map((finding) => finding.index)).to.deep.equal([index]);
    }
  });

  it("finds who appends to a fleet's log for the first time, and not that members take turns", async () => {
    const { touchstone, logs, as, actors } = await loadLogs(cleanLogs);
    const log = logs.fleet;
    for (const member of [as.owner, as.gateway, as.owner]) await log.write({}, member);
    const { findings } = await audits.auditLog({ touchstone, logId: log.logId });
    const figures = { from: actors.gateway.address, to: actors.owner.address, rotatedIn: undefined };
    expect(shortOf(findings)).to.deep.equal([["AuthorChanged", 4n, figures, "warning"]]);
    expect(findings[0]!.message).not.to.contain("node");
  });

  // ------------------------------------------------------------------ the archive

  /** A fleet's log of three batches and a gap between them. */
  async function archivedLog(): Promise<Logs & { logId: string; batches: Batch[] }> {
    const suite = await cleanLogs();
    const logId = anchors.fleetLogId({ fleet: suite.fleet, stream: 5n });
    const log = logWriter({ touchstone: suite.as.relayer, logId, start: await now(), by: suite.as.gateway });
    const batches: Batch[] = [];
    for (const firstSeq of [0n, 5n, 12n]) {
      if (firstSeq === 12n) await log.write({ kind: "Gap", count: 2n });
      const at = (await now()) + PERIOD;
      const readings = Array.from({ length: 5 }, (_, place) => ({
        measuredAt: at * 1000n - 20_000n + BigInt(place),
        payload: Buffer.from(`${firstSeq + BigInt(place)} °C`),
      }));
      const tree = firstSeq === 5n ? "Sha256" : "Keccak256";
      const batch = buildBatch({ logId, firstSeq, readings, tree });
      const { count, tFirst, tLast, root } = batch;
      await log.write({ at, count, tFirst, tLast, tree, root });
      batches.push(batch);
    }
    return { ...suite, logId, batches };
  }

  const altered = (batch: Batch, place: number, fields: object): audits.ArchivedBatch => ({
    ...batch,
    readings: batch.readings.map((reading, at) => (at === place ? { ...reading, ...fields } : reading)),
  });

  it("finds nothing in an archive that has all that was anchored, listed or looked up", async () => {
    const { touchstone, logId, batches } = await loadLogs(archivedLog);
    const other = buildBatch({
      logId: `0x${"11".repeat(32)}`,
      firstSeq: 0n,
      readings: [{ measuredAt: 1n, payload: Buffer.from("0") }],
    });
    const erased = altered(batches[1]!, 2, { payload: undefined, contentFormat: undefined, salt: undefined });
    for (const archive of [batches, [...batches, other], [batches[2]!, erased, batches[0]!]]) {
      const codes = codesOf((await audits.auditLog({ touchstone, logId, batches: archive })).findings);
      expect(codes).to.deep.equal(["Gap 2"]);
    }
    const asked: bigint[] = [];
    const lookUp = ({ index, root }: anchors.AnchorRecord) => {
      asked.push(index);
      return Promise.resolve(batches.find((batch) => batch.root === root));
    };
    expect(codesOf((await audits.auditLog({ touchstone, logId, batches: lookUp })).findings)).to.deep.equal(["Gap 2"]);
    expect(asked).to.deep.equal([0n, 1n, 3n]);
  });

  it("finds what an archive lacks, what was altered in it, and what was never anchored", async () => {
    const { touchstone, logId, batches } = await loadLogs(archivedLog);
    const [first, second, third] = batches as [Batch, Batch, Batch];
    const place = { firstSeq: 5n, count: 5n };
    const missing: Found = ["Missing", 1n, { kind: "Data", ...place, root: second.root }, "error"];
    const alteredAs = (reason: string, seq?: bigint): Found => ["Altered", 1n, { reason, ...place, seq }, "error"];
    const rehashed = buildBatch({
      logId,
      firstSeq: 5n,
      tree: "Sha256",
      readings: second.readings.map(({ measuredAt }) => ({ measuredAt, payload: Buffer.from("4 °C") })),
    });
    const elsewhere = buildBatch({
      logId,
      firstSeq: 17n,
      readings: second.readings.map(({ measuredAt }) => ({ measuredAt, payload: Buffer.from("4 °C") })),
    });
    const unanchored: Found = ["Unanchored", undefined, { firstSeq: 17n, count: 5n, root: elsewhere.root }, "error"];
    const cases: [string, audits.ArchivedBatch | undefined, Found[]][] = [
      ["no batch", undefined, [missing]],
      ["another payload", altered(second, 2, { payload: Buffer.from("4 °C") }), [alteredAs("Payload", 7n)]],
      ["another format", altered(second, 0, { contentFormat: 60 }), [alteredAs("Payload", 5n)]],
      ["another salt", altered(second, 4, { salt: Buffer.alloc(16) }), [alteredAs("Payload", 9n)]],
      ["no whole salt", altered(second, 4, { salt: Buffer.alloc(15) }), [alteredAs("Payload", 9n)]],
      ["no salt", altered(second, 4, { salt: undefined }), [alteredAs("Payload", 9n)]],
      ["no payload", altered(second, 4, { payload: undefined }), [alteredAs("Payload", 9n)]],
      ["another time", altered(second, 2, { measuredAt: second.tFirst }), [alteredAs("Root")]],
      ["no time", altered(second, 2, { measuredAt: -1n }), [alteredAs("Root")]],
      ["one reading less", { ...second, readings: second.readings.slice(1) }, [alteredAs("Place")]],
      ["another place", { ...second, firstSeq: 6n }, [alteredAs("Place")]],
      ["other readings with a root of their own", rehashed, [alteredAs("Root")]],
      ["as many readings elsewhere", elsewhere, [missing, unanchored]],
    ];
    for (const [name, batch, expected] of cases) {
      const archive = batch === undefined ? [first, third] : [first, batch, third];
      const { findings, isProven } = await audits.auditLog({ touchstone, logId, batches: archive });
      expect(shortOf(findings.filter(({ code }) => code !== "Gap")), name).to.deep.equal(expected);
      expect(isProven, name).to.equal(true);
    }
    const lookUp = ({ index }: anchors.AnchorRecord) => [first, rehashed][Number(index)];
    const looked = await audits.auditLog({ touchstone, logId, batches: lookUp });
    expect(codesOf(looked.findings)).to.deep.equal(["Altered 1", "Gap 2", "Missing 3"]);
  });

  it("finds an anchor that dates its readings otherwise than they do", async () => {
    const { touchstone, logs, as } = await loadLogs(cleanLogs);
    const log = logs.fleet;
    const measured = log.written[3]!.tLast + 5n;
    const readings = [{ measuredAt: measured, payload: Buffer.from("1") }];
    const batch = buildBatch({ logId: log.logId, firstSeq: 40n, readings });
    const { tFirst, tLast } = await log.write({ count: 1n, root: batch.root }, as.gateway);
    const batches = (anchor: anchors.AnchorRecord) => (anchor.index === 4n ? batch : undefined);
    const { findings } = await audits.auditLog({ touchstone, logId: log.logId, batches });
    const figures = { tFirst, tLast, measuredFirst: measured, measuredLast: measured };
    expect(shortOf(findings).filter(([code]) => code !== "Missing")).to.deep.equal([
      ["Misdated", 4n, figures, "error"],
    ]);
  });

  // ------------------------------------------------------------------ lies

  const isAnchor = ({ topics, address }: Log, { addresses, dataAnchor }: Touchstone): boolean =>
    address === addresses.DataAnchor && topics[0] === dataAnchor.filters.Anchored.fragment.topicHash;

  /** A node that changes the events of anchors. */
  function lying(touchstone: Touchstone, change: (anchored: Log[]) => Log[]): Promise<Touchstone> {
    return withEvents(touchstone, (all) => change(all.filter((log) => isAnchor(log, touchstone))));
  }

  function changed(log: Log, fields: Partial<LogParams>): Log {
    const { address, blockHash, blockNumber, data, index, removed, topics, transactionHash, transactionIndex } = log;
    const same = { address, blockHash, blockNumber, data, index, removed, topics, transactionHash, transactionIndex };
    return new Log({ ...same, ...fields }, log.provider);
  }

  async function lies(kind: Kind, change: (anchored: Log[]) => Log[]): Promise<audits.LogAudit> {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { logId } = logs[kind];
    return audits.auditLog({ touchstone: await lying(touchstone, change), logId });
  }

  for (const kind of KINDS) {
    it(`finds a node out that withholds an anchor of a ${kind}'s log, whichever`, async () => {
      for (let dropped = 0; dropped < 4; dropped += 1) {
        const { findings, isProven } = await lies(kind, (all) => all.filter((_, place) => place !== dropped));
        const incomplete = findings.filter(({ code }) => code === "EventsIncomplete");
        expect(incomplete.map(({ figures }) => figures)).to.deep.equal([{ firstIndex: BigInt(dropped), count: 1n }]);
        expect(codesOf(findings)).to.deep.equal([`EventsIncomplete ${dropped}`, "RootMismatch -"]);
        expect(isProven).to.equal(false);
      }
      const none = await lies(kind, () => []);
      expect(codesOf(none.findings)).to.deep.equal(["EventsIncomplete 0", "RootMismatch -"]);
    });

    it(`finds a node out that changes the order, repeats or makes up anchors of a ${kind}'s log`, async () => {
      const swapped = await lies(kind, ([first, second, third, ...rest]) => [
        first!,
        changed(second!, { blockNumber: third!.blockNumber, index: third!.index }),
        changed(third!, { blockNumber: second!.blockNumber, index: second!.index }),
        ...rest,
      ]);
      expect(codesOf(swapped.findings)).to.include.members(["EventsIncomplete 1", "EventsInvalid 1", "RootMismatch -"]);

      const twice = await lies(kind, (all) => [
        ...all,
        changed(all[0]!, { blockNumber: all[1]!.blockNumber, index: 999 }),
      ]);
      expect(codesOf(twice.findings)).to.deep.equal(["EventsInvalid 0"]);
      expect([twice.isProven, twice.anchors]).to.deep.equal([false, 4n]);

      const made = await lies(kind, (all) => {
        const last = all[3]!;
        const [logTopic, author] = [last.topics[1]!, last.topics[3]!];
        const topics = [last.topics[0]!, logTopic, toBeHex(4n, 32), author];
        const word = (at: number): bigint => BigInt(`0x${last.data.slice(2 + 64 * at, 66 + 64 * at)}`);
        const data = concat([toBeHex(word(0) + 10n, 32), id("made up"), toBeHex(word(2), 32)]);
        return [...all, changed(last, { topics, data, index: 999 })];
      });
      expect(codesOf(made.findings)).to.deep.equal(["EventsInvalid 4", "EventsInvalid 4", "RootMismatch -"]);
      expect(made.isProven).to.equal(false);
    });
  }

  /** Puts a field of a word of an event, by its place from the lowest bit. */
  function put(log: Log, word: 0 | 1 | 2, at: number, bits: number, value: bigint): Log {
    const words = [0, 1, 2].map((place) => BigInt(`0x${log.data.slice(2 + 64 * place, 66 + 64 * place)}`));
    const cleared = words[word]! & ~((2n ** BigInt(bits) - 1n) << BigInt(at));
    words[word] = cleared | (value << BigInt(at));
    return changed(log, { data: concat(words.map((each) => toBeHex(each, 32))) });
  }

  it("names the rule that an anchor breaks which the contract cannot have taken", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { written } = logs.device;
    const { at, tFirst } = written[2]!;
    const tooLate = at * 1000n + 3_600_001n;
    const rules: [audits.AnchorRule, (log: Log) => Log, string, string][] = [
      [
        "TimestampInvalid",
        (log) => put(log, 2, 24, 64, at - PERIOD - 1n),
        `at least ${at - PERIOD}`,
        `${at - PERIOD - 1n}`,
      ],
      ["KindNotAllowed", (log) => put(log, 2, 0, 8, 3n), "Data, Gap or Correction", "Receipts"],
      ["FreshBlockInvalid", (log) => put(log, 2, 88, 64, BigInt(log.blockNumber)), "", ""],
      ["FreshBlockInvalid", (log) => put(log, 2, 16, 8, 0n), "None without a block", "None"],
      ["CountInvalid", (log) => put(log, 0, 64, 64, 0n), "1 to 4294967296", "0"],
      ["CountInvalid", (log) => put(log, 0, 64, 64, 2n ** 32n + 1n), "1 to 4294967296", "4294967297"],
      ["TimeRegressed", (log) => put(log, 0, 176, 48, tFirst - 1n), `at least ${tFirst}`, `${tFirst - 1n}`],
      ["TimeInFuture", (log) => put(log, 0, 176, 48, tooLate), `at most ${tooLate - 1n}`, `${tooLate}`],
      ["RootInvalid", (log) => put(log, 1, 0, 256, 0n), "a root", ethers.ZeroHash],
      ["RootInvalid", (log) => put(log, 2, 0, 8, 1n), "none", written[2]!.root],
      ["SupersedesInvalid", (log) => put(log, 2, 152, 64, 1n), "0", "1"],
      ["SupersedesInvalid", (log) => put(put(log, 2, 0, 8, 2n), 2, 152, 64, 2n), "below 2", "2"],
      ["CorrectionOutOfRange", (log) => put(log, 2, 0, 8, 2n), "at most 20", "30"],
      ["SequenceMismatch", (log) => put(log, 0, 0, 64, 21n), "20", "21"],
      ["TimeRegressed", (log) => put(log, 0, 128, 48, 1n), `at least ${written[1]!.tLast}`, "1"],
      ["AnchorMalformed", (log) => put(log, 2, 0, 8, 5n), "fields that are some", ""],
      ["AnchorMalformed", (log) => put(log, 0, 224, 32, 1n), "fields that are some", ""],
      ["AnchorMalformed", (log) => put(log, 2, 216, 40, 1n), "fields that are some", ""],
    ];
    for (const [rule, change, expected, given] of rules) {
      const liar = await lying(touchstone, (all) => all.map((log, place) => (place === 2 ? change(log) : log)));
      const { findings, isProven } = await audits.auditLog({ touchstone: liar, logId: logs.device.logId });
      const found = findings.find(({ code }) => code === "EventsInvalid")?.figures;
      expect(found, `${rule} ${given}`).to.deep.include({
        rule,
        ...(expected && { expected }),
        ...(given && { given }),
      });
      expect(isProven).to.equal(false);
    }
  });

  it("goes on behind anchors that are withheld, without finding more than that", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const log = logs.device;
    await log.write({ kind: "Correction", firstSeq: 15n, count: 5n, supersedes: 1n });
    await log.write();
    for (const [from, to] of [
      [0, 4],
      [1, 3],
      [2, 4],
    ] as const) {
      const liar = await lying(touchstone, (all) => [...all.slice(0, from), ...all.slice(to)]);
      const { findings } = await audits.auditLog({
        touchstone: liar,
        logId: log.logId,
        expectations: { ...STRICT, longestSilence: 2n * PERIOD },
      });
      expect(codesOf(findings)).to.deep.equal(["Corrected 4", `EventsIncomplete ${from}`, "RootMismatch -"]);
      const incomplete = findings.find(({ code }) => code === "EventsIncomplete");
      expect(incomplete?.figures).to.deep.equal({ firstIndex: BigInt(from), count: BigInt(to - from) });
    }
  });

  it("finds a node out whatever bits of whatever anchor it alters", async function () {
    this.timeout(60_000);
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const bits = fc.record({
      kind: fc.constantFrom(...KINDS),
      anchor: fc.nat({ max: 3 }),
      word: fc.nat({ max: 5 }),
      bit: fc.nat({ max: 255 }),
    });
    const property = fc.asyncProperty(bits, async ({ kind, anchor, word, bit }) => {
      // An index has 64 bits: what is above them in its topic says nothing to whoever reads it.
      const flipped = BigInt(word === 1 ? bit % 64 : bit);
      const flip = (hex: string): string => toBeHex(BigInt(hex) ^ (1n << flipped), 32);
      const liar = await lying(touchstone, (all) =>
        all.map((log, place) => {
          if (place !== anchor) return log;
          if (word < 3)
            return changed(log, { topics: log.topics.map((topic, at) => (at === word + 1 ? flip(topic) : topic)) });
          const words = [0, 1, 2].map((at) => `0x${log.data.slice(2 + 64 * at, 66 + 64 * at)}`);
          return changed(log, { data: concat(words.map((each, at) => (at === word - 3 ? flip(each) : each))) });
        }),
      );
      const audited = audits.auditLog({ touchstone: liar, logId: logs[kind].logId, expectations: STRICT });
      // What does not even decode is refused.
      const isProven = await audited.then(
        (audit) => audit.isProven,
        (error: unknown) => !(error instanceof TouchstoneError) || error.code !== "RPC_FAILED",
      );
      expect(isProven).to.equal(false);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it("finds a node out whose events, root or head are older than the rest", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { logId } = logs.device;
    const old = (await ethers.provider.getBlockNumber()) - 3;
    const asks = (data: string | null | undefined, name: "root" | "head"): boolean =>
      data?.startsWith(touchstone.dataAnchor.interface.getFunction(name).selector) ?? false;
    const stale = (...names: ("root" | "head")[]) =>
      through(touchstone, {
        call: (transaction) =>
          ethers.provider.call(
            names.some((name) => asks(transaction.data, name)) ? { ...transaction, blockTag: old } : transaction,
          ),
      });
    const codesAt = async (node: Touchstone) => codesOf((await audits.auditLog({ touchstone: node, logId })).findings);
    expect(await codesAt(await lying(touchstone, (all) => all.slice(0, -1)))).to.deep.equal([
      "EventsIncomplete 3",
      "RootMismatch -",
    ]);
    expect(await codesAt(await stale("root"))).to.deep.equal(["RootMismatch -"]);
    expect(await codesAt(await stale("head"))).to.deep.equal(["EventsInvalid 3"]);
    expect(await codesAt(await stale("root", "head"))).to.deep.equal(["EventsInvalid 3", "RootMismatch -"]);

    // Old in all that it says of the log, a node agrees with itself: a witness tells.
    const whole = await through(touchstone, {
      getLogs: async (filter) => (await askLogs(filter)).filter(({ blockNumber }) => blockNumber <= old),
      call: (transaction) => ethers.provider.call({ ...transaction, blockTag: old }),
    });
    expect(await codesAt(whole)).to.deep.equal([]);
    const { findings, root, isProven } = await audits.auditLog({
      touchstone: whole,
      logId,
      witnesses: [whole, touchstone],
    });
    const { root: expected } = await audits.auditLog({ touchstone, logId, witnesses: [touchstone] });
    const figures = { witness: 1, field: "root", expected: root, given: expected };
    expect(shortOf(findings)).to.deep.equal([["ProvidersDisagree", undefined, figures, "error"]]);
    expect(isProven).to.equal(false);
  });

  /** A node that says that the log ends elsewhere. */
  function misleading(touchstone: Touchstone, field: keyof anchors.Head): Promise<Touchstone> {
    const abi = touchstone.dataAnchor.interface;
    return through(touchstone, {
      call: async (transaction) => {
        const answer = await ethers.provider.call(transaction);
        if (!transaction.data?.startsWith(abi.getFunction("head").selector)) return answer;
        const [{ nextSeq, size, lastMeasured, lastAnchored }] = abi.decodeFunctionResult("head", answer) as unknown as [
          anchors.Head,
        ];
        const head = { nextSeq, size, lastMeasured, lastAnchored };
        return abi.encodeFunctionResult("head", [{ ...head, [field]: head[field] + 1n }]);
      },
    });
  }

  it("finds a node out that says that the log ends elsewhere", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { logId, written } = logs.fleet;
    const of = async (field: keyof anchors.Head): Promise<Found[]> =>
      shortOf((await audits.auditLog({ touchstone: await misleading(touchstone, field), logId })).findings);
    const rebuilt = { nextSeq: 40n, lastMeasured: written[3]!.tLast, lastAnchored: written[3]!.at };
    for (const field of ["nextSeq", "lastMeasured", "lastAnchored"] as const) {
      const figures = { field, expected: rebuilt[field] + 1n, rebuilt: rebuilt[field] };
      expect(await of(field)).to.deep.equal([["HeadMismatch", undefined, figures, "error"]]);
    }
    expect(await of("size")).to.deep.equal([["EventsIncomplete", 4n, { firstIndex: 4n, count: 1n }, "error"]]);
  });

  it("finds a witness out that has another head or another block", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { logId } = logs.fleet;
    const fields = async (witness: Touchstone) =>
      (await audits.auditLog({ touchstone, logId, witnesses: [witness] })).findings.map(({ figures }) => figures);
    expect(await fields(await misleading(touchstone, "size"))).to.have.nested.property("[0].field", "head");
    const otherBlock = await through(touchstone, {
      send: async (method: string, params: unknown[]) => {
        const answer = (await ethers.provider.send(method, params)) as { hash: string };
        return method === "eth_getBlockByNumber" ? { ...answer, hash: id("other") } : answer;
      },
    } as object);
    expect(await fields(otherBlock)).to.have.nested.property("[0].field", "hash");
    const noBlock = await through(touchstone, { send: () => Promise.resolve({ number: "0x1" }) } as object);
    await errorOf("RPC_FAILED", () => fields(noBlock));
  });

  it("says so when the chain is reorganised meanwhile", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { logId } = logs.device;
    // The events may already be those of the other block.
    const event = await lying(touchstone, (all) => all.map((log) => changed(log, { blockHash: id("other") })));
    // The latest block has an anchor of the fleet, the one before it one of the device.
    const anchored = (await ethers.provider.getBlockNumber()) - 1;
    await errorOf("CHAIN_REORGANISED", () => audits.auditLog({ touchstone: event, logId, toBlock: anchored }));
    for (const blocks of [1, 0]) {
      const snapshot = await networkHelpers.takeSnapshot();
      await networkHelpers.mine();
      const toBlock = await ethers.provider.getBlockNumber();
      const reorganised = await through(touchstone, {
        getLogs: async (filter) => {
          const found = await askLogs(filter);
          await snapshot.restore();
          if (blocks > 0) await networkHelpers.time.increase(17);
          return found;
        },
      });
      const { details } = await errorOf("CHAIN_REORGANISED", () =>
        audits.auditLog({ touchstone: reorganised, logId, toBlock }),
      );
      expect(details.block).to.equal(toBlock);
      expect(details.found === "gone").to.equal(blocks === 0);
    }
  });

  // ------------------------------------------------------------------ histories

  it("agrees with a model of each single reading, in random histories", async function () {
    this.timeout(120_000);
    const { touchstone, fleet, as } = await loadLogs(cleanLogs);
    let stream = 100n;
    const steps = fc.array(
      fc.record({
        kind: fc.constantFrom<AnchorKind>("Data", "Data", "Gap", "Correction", "Correction", "Receipts", "AccessLog"),
        count: fc.bigInt({ min: 1n, max: 5n }),
        wait: fc.constantFrom(PERIOD, PERIOD, PERIOD + 1n, 3n * PERIOD),
        pause: fc.constantFrom(30_000n, 30_000n, 30_001n),
        behind: fc.constantFrom(10_000n, 10_000n, 9_999n, 10_001n, 0n, -1n, -60_000n),
        isFresh: fc.boolean(),
        byOwner: fc.boolean(),
        place: fc.nat(),
        names: fc.nat(),
      }),
      { minLength: 1, maxLength: 12 },
    );
    const property = fc.asyncProperty(steps, async (plans) => {
      stream += 1n;
      const logId = anchors.fleetLogId({ fleet, stream });
      const log = logWriter({ touchstone: as.relayer, logId, start: (await now()) + PERIOD, by: as.gateway });
      const expected: string[] = [];
      /** For each reading: whether it was declared lost, and by which correction it was replaced last. */
      const readings: { isLost: boolean; by: number | undefined }[] = [];
      const ranges: [first: number, past: number][] = [];
      const gaps: number[] = [];
      let [at, last, measured] = [(await now()) + PERIOD, 0n, 0n];
      const authors = new Set<boolean>();
      for (const step of plans) {
        const index = ranges.length;
        const kind: AnchorKind = step.kind === "Correction" && index === 0 ? "Data" : step.kind;
        const count = Number(step.count);
        const first = kind === "Correction" ? step.place % Math.max(1, readings.length - count) : readings.length;
        const past = kind === "Correction" ? Math.min(first + count, readings.length) : first + count;
        const supersedes = kind === "Correction" ? step.names % index : 0;
        at += step.wait;
        const tLast = at * 1000n - step.behind;
        const tFirst = measured === 0n ? tLast - 100_000n : measured + step.pause;
        await log.write(
          {
            kind,
            at,
            firstSeq: BigInt(first),
            count: BigInt(past - first),
            supersedes: BigInt(supersedes),
            tFirst,
            tLast,
            ...(step.isFresh ? {} : { freshBlock: undefined }),
          },
          step.byOwner ? as.owner : as.gateway,
        );
        // What the model expects of it.
        if (!authors.has(step.byOwner) && index > 0) expected.push(`AuthorChanged ${index}`);
        authors.add(step.byOwner);
        if (!step.isFresh) expected.push(`Unfresh ${index}`);
        if (step.behind < 0n) expected.push(`Future ${index}`);
        if (step.behind > 10_000n && kind !== "Gap" && kind !== "Correction") expected.push(`Late ${index}`);
        ranges.push([first, past]);
        if (kind === "Correction") {
          expected.push(`Corrected ${index}`);
          const [from, to] = ranges[supersedes]!;
          if (first < from || past > to) expected.push(`Misdirected ${index}`);
          const before = readings.slice(first, past).map(({ by }) => by);
          if (before.some((by) => by !== undefined && by !== supersedes)) expected.push(`Overlap ${index}`);
          for (const reading of readings.slice(first, past)) reading.by = index;
          continue;
        }
        if (last !== 0n && at - last > PERIOD) expected.push(`Silent ${index}`);
        if (measured !== 0n && step.pause > 30_000n) expected.push(`Paused ${index}`);
        if (kind === "Gap") gaps.push(index);
        for (let seq = first; seq < past; seq += 1) readings.push({ isLost: kind === "Gap", by: undefined });
        [last, measured] = [at, tLast];
      }
      for (const index of gaps) expected.push(`Gap ${index}`);
      if (at - last > PERIOD) expected.push("Silent -");

      const audit = await audits.auditLog({ touchstone, logId, expectations: STRICT });
      expect(codesOf(audit.findings)).to.deep.equal(expected.toSorted());
      expect(audit).to.deep.include({
        isProven: true,
        anchors: BigInt(plans.length),
        readings: BigInt(readings.filter(({ isLost }) => !isLost).length),
        lost: BigInt(readings.filter(({ isLost, by }) => isLost && by === undefined).length),
        corrected: BigInt(readings.filter(({ by }) => by !== undefined).length),
      });
      const incomplete = audit.findings.filter(({ code, severity }) => code === "Gap" && severity === "error");
      const lost = gaps.filter((index) => readings.slice(...ranges[index]!).some(({ by }) => by === undefined));
      expect(incomplete.map(({ index }) => Number(index))).to.deep.equal(lost);
    });
    await fc.assert(property, { numRuns: 40 });
  });

  it("audits a log of 2,000 anchors page by page, and proves it", async function () {
    this.timeout(120_000);
    const { touchstone, fleet, as } = await loadLogs(cleanLogs);
    const stream = 7n;
    const logId = anchors.fleetLogId({ fleet, stream });
    const gateway = as.gateway.dataAnchor;
    const measured = (await now()) * 1000n;
    for (let page = 0; page < 40; page += 1) {
      const records = Array.from({ length: 50 }, (_, place) => {
        const index = BigInt(page * 50 + place);
        return concat([
          `0x${logId.slice(42)}`,
          ...[toBeHex(index, 8), "0x00", "0x00", toBeHex(index * 3n, 8), toBeHex(3n, 5)],
          ...[toBeHex(measured, 6), toBeHex(measured, 6), toBeHex(0n, 8), id(`batch ${index}`)],
        ]);
      });
      await gateway.anchorMany(fleet, FOR_EVER, 0n, ethers.ZeroHash, concat(records));
    }
    const toBlock = await ethers.provider.getBlockNumber();
    const progress: audits.AuditProgress[] = [];
    const audit = await audits.auditLog({ touchstone, logId, onProgress: (each) => progress.push(each) });
    expect(audit).to.deep.include({ anchors: 2_000n, readings: 6_000n, isProven: true, findings: [] });
    expect(progress.at(-1)).to.include({ block: toBlock, toBlock });
    const records = await anchors.readAnchors({ touchstone, logId });
    expect(audit.root).to.equal(rootOf(records.map(anchors.anchorLeaf), rfcKeccak));
  });

  // ------------------------------------------------------------------ arguments

  it("refuses what is no log, no block and no expectation", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const { logId } = logs.device;
    const wrong: Partial<audits.AuditOptions>[] = [
      { logId: "0x11" },
      { toBlock: -1 },
      { toBlock: 1.5 },
      { expectations: { longestSilence: -1n } },
      { expectations: { latestAfter: 2n ** 64n } },
    ];
    for (const options of wrong) {
      await errorOf("INVALID_ARGUMENT", () => audits.auditLog({ touchstone, logId, ...options }));
    }
    const toBlock = (await ethers.provider.getBlockNumber()) + 1;
    await errorOf("NOT_FOUND", () => audits.auditLog({ touchstone, logId, toBlock }));
    const signal = AbortSignal.abort();
    await errorOf("CANCELLED", () => audits.auditLog({ touchstone, logId, signal }));
  });

  it("takes a log's id in any case", async () => {
    const { touchstone, logs } = await loadLogs(cleanLogs);
    const logId = `0x${logs.fleet.logId.slice(2).toUpperCase()}`;
    const audit = await audits.auditLog({ touchstone, logId });
    expect(audit).to.deep.include({ logId: logs.fleet.logId, isProven: true, anchors: 4n });
    expect(hexlify(audit.logId)).to.equal(logs.fleet.logId);
  });
});

/** A correction continues nothing, and a gap is no silence either: only what comes after it is checked for waits. */
function expectationsOf(plans: AnchorPlan[]): audits.Expectations {
  const hasCorrection = plans.some(({ kind }) => kind === "Correction");
  return hasCorrection ? { ...STRICT, longestSilence: 2n * PERIOD } : STRICT;
}
