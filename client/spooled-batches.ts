import { stat } from "node:fs/promises";

import { requireHex } from "./arguments.js";
import { buildBatch, type Batch } from "./batches.js";
import type { Touchstone } from "./connect.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { fileError } from "./files.js";
import { openSpool, type CutBatch, type Spool } from "./spool.js";

/** Batches read from the database at once. */
const BATCHES_AT_ONCE = 1_000;

/**
 * A batch as it was anchored, of the readings that a spool holds; of those that were erased their commitments are left.
 *
 * @throws TouchstoneError NOT_FOUND for readings that were declared lost.
 */
export function spooledBatch(options: { spool: Spool; logId: string; tree: TreeHash; batch: CutBatch }): Batch {
  const { spool, logId, tree } = options;
  const { index, kind, firstSeq, count, firstReading, readings } = options.batch;
  if (kind === "Gap") {
    const last = firstSeq + count - 1n;
    throw new TouchstoneError("NOT_FOUND", `The readings ${firstSeq} to ${last} were declared lost.`, {
      details: { index, firstSeq, count },
    });
  }
  return buildBatch({
    logId,
    tree,
    firstSeq,
    readings: [...spool.readings(firstReading, readings)].map(({ erased, ...reading }) =>
      erased === undefined
        ? reading
        : { measuredAt: reading.measuredAt, commitment: `0x${Buffer.from(erased).toString("hex")}` },
    ),
    seeds: spool.seedsOf(index),
  });
}

/**
 * The batches in a spool that have readings of a range, corrections included, while no ingest has it open.
 *
 * @param options.spool Path of the spool.
 * @param options.tree What its batches are hashed with; Keccak256 unless told.
 * @throws TouchstoneError
 *   - FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, INVALID_ARGUMENT;
 *   - SPOOL_LOCKED while an ingest works with it, SPOOL_MISMATCH, SPOOL_INVALID, SPOOL_FAILED.
 */
export async function readSpooledBatches(options: {
  touchstone: Touchstone;
  spool: string;
  logId: string;
  tree?: TreeHash;
  firstSeq: bigint;
  count: bigint;
}): Promise<Batch[]> {
  const { touchstone, spool: path, tree = "Keccak256", firstSeq, count } = options;
  const logId = requireHex("logId", options.logId, 32).toLowerCase();
  await requireThere(path);
  const spool = await openSpool({
    path,
    about: { chainId: `${touchstone.chainId}`, dataAnchor: touchstone.addresses.DataAnchor, logId, tree },
    start: () => Promise.reject(noSpool(path)),
  });
  try {
    const found: Batch[] = [];
    let next: bigint | undefined = 0n;
    while (next !== undefined) {
      const page: CutBatch[] = spool.batchesFrom(next, BATCHES_AT_ONCE);
      const inRange = page.filter(
        (batch) => batch.firstSeq < firstSeq + count && batch.firstSeq + batch.count > firstSeq,
      );
      for (const batch of inRange) if (batch.kind !== "Gap") found.push(spooledBatch({ spool, logId, tree, batch }));
      const last = page.at(-1);
      next = last === undefined ? undefined : last.index + 1n;
    }
    return found;
  } finally {
    spool.close();
  }
}

/** To open a spool that is not there would make one. */
async function requireThere(path: string): Promise<void> {
  try {
    if ((await stat(path)).size > 0) return;
  } catch (error) {
    throw fileError(path, error);
  }
  throw noSpool(path);
}

function noSpool(path: string): TouchstoneError {
  return new TouchstoneError("SPOOL_INVALID", `${path} is no spool: give the one that the readings were taken into.`, {
    details: { path },
  });
}
