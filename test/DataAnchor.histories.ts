import { expect } from "chai";
import fc from "fast-check";

import { loadFixture, now } from "./support/chain.js";
import { anyLogHistory, begin, deployLogWorld, takeStep, type LogWorld } from "./support/log-histories.js";
import type { LogModel } from "./support/log-model.js";
import { structOf } from "./support/struct.js";
import { keccak256, pathOf, rangeProofOf } from "./support/rfc9162.js";

const HISTORIES = 30;

describe("DataAnchor against an independent model", () => {
  it("agrees with it on every step of random histories, and proves all that is in it", async function () {
    this.timeout(240_000);
    const seen = new Set<string>();
    let proved = 0;
    const note = (name: unknown): unknown => seen.add(String(name));

    await fc.assert(
      fc.asyncProperty(anyLogHistory, fc.infiniteStream(fc.nat()), async (history, picks) => {
        const { world, model } = begin(await loadFixture(deployLogWorld));
        for (const step of history) {
          const [onChain, inModel] = await takeStep(world, model, step);
          expect(onChain).to.deep.equal(inModel);
          await expectHeads(world, model);
          note(inModel.error?.[0]);
          for (const event of inModel.events ?? []) {
            note(event[0]);
            if (event[0] === "AnchorSkipped" || event[0] === "CallSkipped") note((event[3] as unknown[])[0]);
          }
        }
        proved += await expectProofs(world, model, (below) => picks.next().value % below);
      }),
      { numRuns: HISTORIES, seed: 20_261_122 },
    );

    // The histories are worth something only if they meet everything that can happen.
    seen.delete("undefined");
    expect([...seen].sort()).to.deep.equal(OUTCOMES);
    expect(proved).to.be.greaterThan(10 * HISTORIES);
  });
});

/** Every event and every error of the model. */
const OUTCOMES = [
  "AnchorMalformed",
  "AnchorSkipped",
  "Anchored",
  "AnchorsAgree",
  "AnchorsUnrelated",
  "CallSkipped",
  "CallerLacksPermission",
  "CorrectionOutOfRange",
  "CountInvalid",
  "DeadlinePassed",
  "DeviceNotActive",
  "Equivocated",
  "FreshBlockInvalid",
  "IndexMismatch",
  "KeyProofInvalid",
  "KindNotAllowed",
  "LogNeedsDevice",
  "LogNeedsMember",
  "RootInvalid",
  "SequenceMismatch",
  "SupersedesInvalid",
  "TimeInFuture",
  "TimeRegressed",
];

async function expectHeads({ data, logs }: LogWorld, model: LogModel): Promise<void> {
  for (const logId of logs) {
    expect(structOf(await data.head(logId)), logId).to.deep.equal(model.headOf(logId));
    expect(await data.root(logId), logId).to.equal(model.rootOf(logId));
  }
}

/**
 * Every anchor, and of each batch a reading and a range; of each log its beginnings, and how long it was silent.
 *
 * @returns How many batches there were.
 */
async function expectProofs(
  { data, logs, batches }: LogWorld,
  model: LogModel,
  pick: (below: number) => number,
): Promise<number> {
  let proved = 0;
  for (const logId of logs) {
    const records = model.recordsOf(logId);
    for (const [index, record] of records.entries()) {
      const peakProof = model.peakProofOf(logId, index);
      expect(await data.verifyAnchor(record, peakProof)).to.equal(true);
      const other = { ...record, timestamp: record.timestamp + 1n };
      expect(await data.verifyAnchor(other, peakProof)).to.equal(false);
      const batch = batches.get(record.root);
      if (batch === undefined) continue;
      const { readings, leaves, hash } = batch;
      // An anchor that was altered and taken may say another number of readings than its root holds: its author's lie.
      const isWhole = record.firstSeq === readings[0]!.seq && record.count === BigInt(readings.length);
      if (!isWhole || record.tree !== (hash === keccak256 ? 0n : 1n)) continue;
      const isHeld = (first: number, count: number): boolean =>
        readings
          .slice(first, first + count)
          .every(({ measuredAt }) => measuredAt >= record.tFirst && measuredAt <= record.tLast);
      const place = pick(readings.length);
      const proof = pathOf(place, leaves, hash);
      const isProved = await data.verifyReading(record, readings[place]!, proof, peakProof);
      expect(isProved).to.equal(isHeld(place, 1));
      const count = 1 + pick(readings.length - place);
      const rangeProof = rangeProofOf(place, count, leaves, hash);
      const range = readings.slice(place, place + count);
      expect(await data.verifyRange(record, range, rangeProof, peakProof)).to.equal(isHeld(place, count));
      const invented = range.with(-1, { ...range.at(-1)!, commitment: record.root });
      expect(await data.verifyRange(record, invented, rangeProof, peakProof)).to.equal(false);
      proved += 1;
    }
    for (let oldSize = 1; oldSize <= records.length; oldSize += 1 + pick(3)) {
      const proof = model.consistencyProofOf(logId, oldSize);
      const oldRoot = model.rootOf(logId, oldSize);
      expect(await data.verifyConsistency(logId, oldSize, oldRoot, proof)).to.equal(true);
      expect(await data.verifyConsistency(logId, oldSize, model.rootOf(logId, oldSize - 1), proof)).to.equal(false);
    }
    const silence = BigInt(pick(10_000));
    const isOverdue = await data.isOverdue(logId, silence, { blockTag: "latest" });
    expect(isOverdue).to.equal(model.isOverdue(logId, silence, await now()));
  }
  return proved;
}
