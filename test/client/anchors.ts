import { expect } from "chai";
import { keccak256 } from "ethers";

import * as anchors from "../../client/anchors.js";
import { buildBatch, type Batch, type Measurement } from "../../client/batches.js";
import { createP256Key, Scheme } from "../../client/keys.js";
import { loadFixture, networkHelpers, now } from "../support/chain.js";
import { enrollDevice } from "../support/fleet.js";
import { errorOf } from "../support/errors.js";
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
});
