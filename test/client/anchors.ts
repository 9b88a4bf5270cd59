import { expect } from "chai";
import { keccak256 } from "ethers";

import * as anchors from "../../client/anchors.js";
import { buildBatch, type Batch, type Measurement } from "../../client/batches.js";
import { createP256Key, Scheme } from "../../client/keys.js";
import { loadFixture, networkHelpers, now } from "../support/chain.js";
import { enrollDevice } from "../support/fleet.js";
import { errorOf } from "../support/errors.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deploySuite } from "../support/suite.js";

/** Measurements a second apart, in a log that began an hour ago. */
async function measure(count: number, firstSeq = 0n): Promise<Measurement[]> {
  const start = ((await now()) / 3600n - 1n) * 3_600_000n;
  return Array.from({ length: count }, (_, index) => ({
    measuredAt: start + (firstSeq + BigInt(index)) * 1000n,
    payload: Buffer.from(`temperature ${index}`),
  }));
}

/** A device log with three batches of 5, 8 and 1 readings, with SHA-256 for the second. */
async function deployLog() {
  const suite = await deploySuite();
  const logId = anchors.deviceLogId({ device: suite.p256Device.id });
  const batches: Batch[] = [];
  let firstSeq = 0n;
  for (const [count, tree] of [
    [5, "Keccak256"],
    [8, "Sha256"],
    [1, "Keccak256"],
  ] as const) {
    const batch = buildBatch({ logId, firstSeq, readings: await measure(count, firstSeq), tree });
    const anchor = await anchors.newAnchor({ touchstone: suite.as.relayer, batch, fresh: true });
    await anchors.anchor({ touchstone: suite.as.relayer, anchor, byDevice: suite.p256Device });
    batches.push(batch);
    firstSeq += batch.count;
  }
  return { ...suite, logId, batches };
}

describe("anchors", () => {
  it("name logs by subject and stream, with the top bit for fleets", () => {
    const device = "0xDeaDbeefdEAdbeefdEadbEEFdeadbeEFdEaDbeeF";
    expect(anchors.deviceLogId({ device })).to.equal(`0x${"deadbeef".repeat(5)}${"00".repeat(12)}`);
    expect(anchors.deviceLogId({ device, stream: 2n })).to.equal(`0x${"deadbeef".repeat(5)}${"00".repeat(11)}02`);
    expect(anchors.fleetLogId({ fleet: device, stream: 1n })).to.equal(
      `0x${"deadbeef".repeat(5)}80${"00".repeat(10)}01`,
    );
    expect(() => anchors.deviceLogId({ device, stream: 2n ** 95n })).to.throw("stream");
  });

  it("append what a device signed and a gateway relays, and read it back from the events", async () => {
    const { as, logId, batches, p256Device, anchors: contract } = await loadFixture(deployLog);
    expect(await anchors.head({ touchstone: as.relayer, logId })).to.deep.equal({
      nextSeq: 14n,
      size: 3n,
      lastMeasured: batches[2]!.tLast,
      lastAnchored: await now(),
    });
    const records = await anchors.readAnchors({ touchstone: as.relayer, logId });
    expect(
      records.map(({ index, kind, tree, firstSeq, count, freshState, author, root }) => ({
        index,
        kind,
        tree,
        firstSeq,
        count,
        freshState,
        author,
        root,
      })),
    ).to.deep.equal(
      batches.map(({ tree, firstSeq, count, root }, index) => ({
        index: BigInt(index),
        kind: "Data",
        tree,
        firstSeq,
        count,
        freshState: "Confirmed",
        author: p256Device.id,
        root,
      })),
    );
    const [first] = records;
    const struct = { ...first!, kind: 0, tree: 0, freshState: 1 };
    expect(anchors.anchorLeaf(first!)).to.equal(await contract.leafOf(struct));
  });

  it("prove every reading on chain, and no reading that is another", async () => {
    const { as, batches } = await loadFixture(deployLog);
    const touchstone = as.subject;
    for (const batch of batches) {
      for (const { seq } of batch.readings) {
        const proof = await anchors.proveReading({ touchstone, batch, seq });
        expect(await anchors.verifyReading({ touchstone, proof }), `reading ${seq}`).to.equal(true);
        expect(await anchors.verifyAnchor({ touchstone, ...proof })).to.equal(true);
      }
    }
    const proof = await anchors.proveReading({ touchstone, batch: batches[1]!, seq: 7n });
    const forged = [
      { ...proof, reading: { ...proof.reading, commitment: keccak256("0x") } },
      { ...proof, reading: { ...proof.reading, seq: 8n } },
      { ...proof, reading: { ...proof.reading, measuredAt: proof.reading.measuredAt + 1n } },
      { ...proof, anchor: { ...proof.anchor, firstSeq: proof.anchor.firstSeq + 1n } },
      { ...proof, anchor: { ...proof.anchor, timestamp: proof.anchor.timestamp - 1n } },
      { ...proof, batchProof: proof.batchProof.slice(1) },
      { ...proof, peakProof: [...proof.peakProof, keccak256("0x")] },
    ];
    for (const [index, other] of forged.entries()) {
      expect(await anchors.verifyReading({ touchstone, proof: other }), `forgery ${index}`).to.equal(false);
    }
  });

  it("append to a fleet log by a member with Anchor, gaps and corrections too", async () => {
    const { as, fleet, actors } = await loadFixture(deploySuite);
    const touchstone = as.gateway;
    const logId = anchors.fleetLogId({ fleet });
    const batch = buildBatch({ logId, firstSeq: 0n, readings: await measure(3) });
    await anchors.anchorAsMember({ touchstone, anchor: await anchors.newAnchor({ touchstone, batch }) });
    const gap = { logId, firstSeq: 3n, count: 10n, tFirst: batch.tLast, tLast: batch.tLast };
    await anchors.anchorAsMember({ touchstone, anchor: await anchors.newGap({ touchstone, gap }) });
    const correction = buildBatch({ logId, firstSeq: 1n, readings: await measure(2, 1n) });
    const corrected = await anchors.newCorrection({ touchstone, batch: correction, supersedes: 0n });
    await anchors.anchorAsMember({ touchstone, anchor: corrected });
    const receipts = buildBatch({ logId, firstSeq: 13n, readings: await measure(1, 13n) });
    await anchors.anchorAsMember({
      touchstone,
      anchor: await anchors.newAnchor({ touchstone, batch: receipts, kind: "Receipts" }),
    });

    const records = await anchors.readAnchors({ touchstone, logId });
    expect(records.map(({ kind, firstSeq, supersedes }) => ({ kind, firstSeq, supersedes }))).to.deep.equal([
      { kind: "Data", firstSeq: 0n, supersedes: 0n },
      { kind: "Gap", firstSeq: 3n, supersedes: 0n },
      { kind: "Correction", firstSeq: 1n, supersedes: 0n },
      { kind: "Receipts", firstSeq: 13n, supersedes: 0n },
    ]);
    expect(new Set(records.map(({ author }) => author))).to.deep.equal(new Set([actors.gateway.address]));
    const proof = await anchors.proveReading({ touchstone, batch: correction, seq: 2n });
    expect(await anchors.verifyReading({ touchstone, proof })).to.equal(true);
  });

  it("take the proof of a device that signed elsewhere, by hardware that hashes", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, actors } = suite;
    const touchstone = as.relayer;
    const device = createP256Key({ scheme: Scheme.P256Sha256 });
    await enrollDevice(suite, { key: device, owner: actors.owner.address, by: actors.owner });
    const batch = buildBatch({
      logId: anchors.deviceLogId({ device: device.id }),
      firstSeq: 0n,
      readings: await measure(2),
    });
    const anchor = await anchors.newAnchor({ touchstone, batch });
    const byDevice = await anchors.signAnchor({ touchstone, anchor, key: device });
    const { events } = await anchors.anchor({ touchstone, anchor, byDevice });
    expect(events.map(({ name }) => name)).to.deep.equal(["Anchored"]);
  });

  it("refuse a batch that does not continue its log, before anything is sent", async () => {
    const { as, logId } = await loadFixture(deployLog);
    const batch = buildBatch({ logId, firstSeq: 15n, readings: await measure(1, 15n) });
    const error = await errorOf("LOG_GAP", () => anchors.newAnchor({ touchstone: as.relayer, batch }));
    expect(error.details).to.deep.equal({ logId, nextSeq: 14n, firstSeq: 15n });
  });

  it("say which anchor is missing when a batch was never anchored", async () => {
    const { as, logId } = await loadFixture(deployLog);
    const batch = buildBatch({ logId, firstSeq: 14n, readings: await measure(1, 14n) });
    const touchstone = as.relayer;
    const error = await errorOf("NOT_FOUND", () => anchors.proveReading({ touchstone, batch, seq: 14n }));
    expect(error.message).to.include(batch.root);
  });

  it("refuse a replayed anchor by the name of the contract's error", async () => {
    const { as, logId, p256Device } = await loadFixture(deployLog);
    const touchstone = as.relayer;
    const batch = buildBatch({ logId, firstSeq: 14n, readings: await measure(1, 14n) });
    const anchor = await anchors.newAnchor({ touchstone, batch });
    await anchors.anchor({ touchstone, anchor, byDevice: p256Device });
    await networkHelpers.mine();
    const replay = () => anchors.anchor({ touchstone, anchor, byDevice: p256Device });
    expect(await errorOf("CONTRACT_REVERTED", replay)).to.have.property("errorName", "IndexMismatch");
  });

  describe("of many logs at once", () => {
    /** A batch of readings for each of the fleet's streams. */
    async function fleetBatches(fleet: string, streams: readonly bigint[], count = 3) {
      const readings = await measure(count);
      return streams.map((stream) =>
        buildBatch({ logId: anchors.fleetLogId({ fleet, stream }), firstSeq: 0n, readings }),
      );
    }

    it("append by a member with Anchor, of whatever kind and tree", async () => {
      const { as, fleet, actors } = await loadFixture(deploySuite);
      const touchstone = as.gateway;
      const [first, second] = (await fleetBatches(fleet, [1n, 2n])) as [Batch, Batch];
      const sha = buildBatch({ ...first, logId: anchors.fleetLogId({ fleet, stream: 3n }), tree: "Sha256" });
      const gap = {
        logId: anchors.fleetLogId({ fleet, stream: 4n }),
        firstSeq: 0n,
        count: 2n ** 32n,
        tFirst: 1n,
        tLast: 2n,
      };
      const start = await anchors.newAnchor({ touchstone, batch: first });
      const given = [
        start,
        await anchors.newAnchor({ touchstone, batch: second, kind: "Receipts" }),
        await anchors.newAnchor({ touchstone, batch: sha, kind: "AccessLog" }),
        await anchors.newGap({ touchstone, gap }),
        // The first log again, behind its first anchor.
        { ...start, index: 1n, firstSeq: 3n, tFirst: start.tLast },
      ];

      const { events, skipped } = await anchors.anchorMany({ touchstone, fleet, anchors: given, fresh: true });

      expect(skipped).to.deep.equal([]);
      expect(events.map(({ name }) => name)).to.deep.equal(given.map(() => "Anchored"));
      const records = await Promise.all(
        [1n, 2n, 3n, 4n].map((stream) =>
          anchors.readAnchors({ touchstone, logId: anchors.fleetLogId({ fleet, stream }) }),
        ),
      );
      expect(records.map((log) => log.map(({ kind, tree }) => [kind, tree]))).to.deep.equal([
        [
          ["Data", "Keccak256"],
          ["Data", "Keccak256"],
        ],
        [["Receipts", "Keccak256"]],
        [["AccessLog", "Sha256"]],
        [["Gap", "Keccak256"]],
      ]);
      for (const record of records.flat()) {
        expect([record.freshState, record.author]).to.deep.equal(["Confirmed", actors.gateway.address]);
      }
      const proof = await anchors.proveReading({ touchstone, batch: sha, seq: 2n });
      expect(await anchors.verifyReading({ touchstone, proof })).to.equal(true);
    });

    it("say which a log did not take and why, and append the others", async () => {
      const { as, fleet } = await loadFixture(deploySuite);
      const touchstone = as.gateway;
      const batches = await fleetBatches(fleet, [1n, 2n, 3n]);
      const given = await Promise.all(batches.map((batch) => anchors.newAnchor({ touchstone, batch })));
      await anchors.anchorAsMember({ touchstone: as.admin, anchor: given[1]! });
      const late = { ...given[2]!, count: 0n };

      const { skipped } = await anchors.anchorMany({ touchstone, fleet, anchors: [late, given[1]!, given[0]!] });

      expect(skipped.map(({ place, anchor }) => [place, anchor])).to.deep.equal([
        [0, late],
        [1, given[1]],
      ]);
      expect(skipped.map(({ error }) => [error.errorName, error.args])).to.deep.equal([
        ["CountInvalid", { count: 0n }],
        ["IndexMismatch", { logId: given[1]!.logId, expected: 1n, given: 0n }],
      ]);
      const heads = await Promise.all(given.map(({ logId }) => anchors.head({ touchstone, logId })));
      expect(heads.map(({ size }) => size)).to.deep.equal([1n, 1n, 0n]);
    });

    it("count for as long as they are told", async () => {
      const { as, fleet } = await loadFixture(deploySuite);
      const touchstone = as.gateway;
      const [batch] = (await fleetBatches(fleet, [1n])) as [Batch];
      const anchor = await anchors.newAnchor({ touchstone, batch, validFor: 0n });
      await networkHelpers.time.increase(100);
      const { skipped } = await anchors.anchorMany({ touchstone, fleet, anchors: [anchor], validFor: 60n });
      expect(skipped).to.deep.equal([]);
      const refused = () => anchors.anchorMany({ touchstone, fleet, anchors: [anchor], validFor: 0n });
      await networkHelpers.time.setNextBlockTimestamp((await now()) + 10n);
      expect(await errorOf("CONTRACT_REVERTED", refused)).to.have.property("errorName", "DeadlinePassed");
    });

    it("are refused before anything is sent if there is none, or one is another fleet's or cannot be written", async () => {
      const { as, fleet, otherFleet } = await loadFixture(deploySuite);
      const touchstone = as.gateway;
      const [batch] = (await fleetBatches(fleet, [1n])) as [Batch];
      const anchor = await anchors.newAnchor({ touchstone, batch });
      const foreign = { ...anchor, logId: anchors.fleetLogId({ fleet: otherFleet }) };
      const wide = { ...anchor, count: 2n ** 40n };
      const messages: string[] = [];
      for (const given of [[], [anchor, foreign], [wide], [{ ...anchor, kind: 256n }]]) {
        const act = () => anchors.anchorMany({ touchstone, fleet, anchors: given });
        messages.push((await errorUnsent("INVALID_ARGUMENT", act)).message);
      }
      messages.push(
        (await errorUnsent("INVALID_ARGUMENT", () => anchors.anchorAll({ touchstone, anchors: [] }))).message,
      );
      expect(messages[0]).to.equal("anchors: there is none: give at least one.");
      expect(messages[1]).to.equal(`The log ${foreign.logId} is not one of the fleet ${fleet}.`);
      expect(messages[2]).to.match(/^count: /);
      expect(messages[3]).to.match(/^kind: /);
      expect(messages[4]).to.equal(messages[0]);
    });

    it("append what several devices signed, and say which was refused and why", async () => {
      const suite = await loadFixture(deployLog);
      const { as, logId, p256Device, accountDevice } = suite;
      const touchstone = as.relayer;
      const next = buildBatch({ logId, firstSeq: 14n, readings: await measure(2, 14n) });
      const other = buildBatch({
        logId: anchors.deviceLogId({ device: accountDevice.id }),
        firstSeq: 0n,
        readings: await measure(2),
      });
      const anchor = await anchors.newAnchor({ touchstone, batch: next });
      const again = { anchor, byDevice: p256Device };
      const byWrong = { anchor: await anchors.newAnchor({ touchstone, batch: other }), byDevice: p256Device };
      const right = { ...byWrong, byDevice: await anchors.signAnchor({ touchstone, ...byWrong, key: accountDevice }) };

      const { skipped, events } = await anchors.anchorAll({ touchstone, anchors: [again, again, byWrong, right] });

      expect(skipped.map(({ place, error }) => [place, error.errorName])).to.deep.equal([
        [1, "IndexMismatch"],
        [2, "KeyProofInvalid"],
      ]);
      expect(skipped.map((each) => each.anchor)).to.deep.equal([anchor, byWrong.anchor]);
      expect(events.map(({ name }) => name)).to.deep.equal(["Anchored", "CallSkipped", "CallSkipped", "Anchored"]);
      const proof = await anchors.proveReading({ touchstone, batch: other, seq: 1n });
      expect(await anchors.verifyReading({ touchstone, proof })).to.equal(true);
    });

    it("append all that devices signed or none, if told", async () => {
      const { as, logId, p256Device } = await loadFixture(deployLog);
      const touchstone = as.relayer;
      const batch = buildBatch({ logId, firstSeq: 14n, readings: await measure(2, 14n) });
      const signed = { anchor: await anchors.newAnchor({ touchstone, batch }), byDevice: p256Device };
      const twice = () => anchors.anchorAll({ touchstone, anchors: [signed, signed], allOrNone: true });
      expect(await refusedAs("IndexMismatch", twice)).to.deep.equal({ logId, expected: 4n, given: 3n });
      const { skipped } = await anchors.anchorAll({ touchstone, anchors: [signed], allOrNone: true });
      expect(skipped).to.deep.equal([]);
      expect((await anchors.head({ touchstone, logId })).size).to.equal(4n);
    });
  });

  it("prove every range of a batch on chain, and none of which anything is missing", async () => {
    const { as, batches } = await loadFixture(deployLog);
    const touchstone = as.subject;
    for (const batch of batches) {
      const { count } = batch;
      for (let first = 0n; first < count; first++) {
        for (let length = 1n; first + length <= count; length++) {
          const proof = await anchors.proveRange({
            touchstone,
            batch,
            firstSeq: batch.firstSeq + first,
            count: length,
          });
          expect(proof.readings.map(({ seq }) => seq - batch.firstSeq - first)).to.deep.equal(
            Array.from({ length: Number(length) }, (_, place) => BigInt(place)),
          );
          expect(await anchors.verifyRange({ touchstone, proof }), `${length} from ${first}`).to.equal(true);
        }
      }
    }
    const batch = batches[1]!;
    const proof = await anchors.proveRange({ touchstone, batch, firstSeq: 6n, count: 4n });
    const forged = [
      { ...proof, readings: proof.readings.slice(1) },
      { ...proof, readings: proof.readings.toSpliced(1, 1) },
      { ...proof, readings: proof.readings.with(2, { ...proof.readings[2]!, commitment: keccak256("0x") }) },
      { ...proof, rangeProof: proof.rangeProof.slice(1) },
      { ...proof, peakProof: [] },
      { ...proof, anchor: { ...proof.anchor, index: 0n } },
    ];
    for (const [index, other] of forged.entries()) {
      expect(await anchors.verifyRange({ touchstone, proof: other }), `forgery ${index}`).to.equal(false);
    }
    for (const [firstSeq, count] of [
      [4n, 2n],
      [12n, 2n],
      [6n, 0n],
    ] as const) {
      await errorOf("NOT_FOUND", () => anchors.proveRange({ touchstone, batch, firstSeq, count }));
    }
    const unsent = buildBatch({ ...batch, firstSeq: 14n });
    const missing = () => anchors.proveRange({ touchstone, batch: unsent, firstSeq: 14n, count: 1n });
    expect((await errorOf("NOT_FOUND", missing)).message).to.include(unsent.root);
  });

  it("prove that a log began with what it was, and refuse what it never was", async () => {
    const { as, logId, p256Device } = await loadFixture(deployLog);
    const touchstone = as.subject;
    const roots = new Map([[3n, await anchors.root({ touchstone, logId })]]);
    for (const size of [4n, 5n, 6n]) {
      const batch = buildBatch({ logId, firstSeq: 10n + size, readings: await measure(1, 10n + size) });
      const anchor = await anchors.newAnchor({ touchstone, batch });
      await anchors.anchor({ touchstone: as.relayer, anchor, byDevice: p256Device });
      roots.set(size, await anchors.root({ touchstone, logId }));
    }
    for (const [oldSize, oldRoot] of roots) {
      const proof = await anchors.proveConsistency({ touchstone, logId, oldSize });
      expect(await anchors.verifyConsistency({ touchstone, oldRoot, proof })).to.equal(true);
      expect(await anchors.verifyConsistency({ touchstone, oldRoot: keccak256("0x"), proof })).to.equal(false);
      const other = { ...proof, oldSize: oldSize - 1n };
      expect(await anchors.verifyConsistency({ touchstone, oldRoot, proof: other })).to.equal(false);
    }
    for (const oldSize of [0n, 7n]) {
      const error = await errorOf("NOT_FOUND", () => anchors.proveConsistency({ touchstone, logId, oldSize }));
      expect(error.details).to.deep.equal({ logId, oldSize, size: 6n });
    }
  });

  it("say whether a log is overdue", async () => {
    const { as, logId, fleet } = await loadFixture(deployLog);
    const touchstone = as.subject;
    const never = anchors.fleetLogId({ fleet });
    expect(await anchors.isOverdue({ touchstone, logId, longestSilence: 60n })).to.equal(false);
    expect(await anchors.isOverdue({ touchstone, logId: never, longestSilence: 60n })).to.equal(true);
    await networkHelpers.time.increase(100);
    expect(await anchors.isOverdue({ touchstone, logId, longestSilence: 60n })).to.equal(true);
    await errorOf("INVALID_ARGUMENT", () => anchors.isOverdue({ touchstone, logId, longestSilence: 2n ** 40n }));
  });

  it("put on record that a device signed two batches for one place, and nothing that agrees", async () => {
    const { as, logId, p256Device } = await loadFixture(deployLog);
    const touchstone = as.stranger;
    const readings = await measure(2, 14n);
    const signed = async (some: Measurement[]) => {
      const batch = buildBatch({ logId, firstSeq: 14n, readings: some });
      return { anchor: await anchors.newAnchor({ touchstone, batch }), byDevice: p256Device };
    };
    const [first, second] = [await signed(readings), await signed(readings.slice(1))];
    const { events } = await anchors.reportEquivocation({ touchstone, first, second });
    expect(events.map(({ name, args }) => [name, "keyId" in args && args.keyId])).to.deep.equal([
      ["Equivocated", p256Device.id],
    ]);
    const again = { ...first, anchor: { ...first.anchor, deadline: first.anchor.deadline + 1n } };
    const agreeing = () => anchors.reportEquivocation({ touchstone, first, second: again });
    expect(await refusedAs("AnchorsAgree", agreeing)).to.deep.equal({ logId, index: 3n });
  });
});
