import { open, realpath, stat } from "node:fs/promises";

import { requireHex } from "./arguments.js";
import { buildBatch, type Batch } from "./batches.js";
import type { Touchstone } from "./connect.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { fileError } from "./files.js";
import { openSpool, type CutBatch, type Spool } from "./spool.js";

/** With this every database of SQLite begins. */
const SQLITE_MAGIC = "SQLite format 3\0";
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

/** To open a spool that is not there would make one, and to open anything else would leave a lock next to it. */
async function requireThere(path: string): Promise<void> {
  try {
    const found = await stat(path);
    // An ingest of this process would lose its locks if the file was opened beside it; where one is, the lock's file is too.
    if (found.size > 0 && (await isThere(`${await realpath(path)}.lock`))) return;
    // To open a pipe would be to wait for whoever writes to it; a directory says itself what it is.
    if ((found.isFile() || found.isDirectory()) && (await isDatabase(path))) return;
  } catch (error) {
    throw fileError(path, error);
  }
  throw noSpool(path);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function isDatabase(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
    return buffer.toString("latin1") === SQLITE_MAGIC;
  } finally {
    await file.close();
  }
}

function noSpool(path: string): TouchstoneError {
  return new TouchstoneError("SPOOL_INVALID", `${path} is no spool: give the one that the readings were taken into.`, {
    details: { path },
  });
}
