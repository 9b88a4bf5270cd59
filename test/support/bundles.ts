import * as anchors from "../../client/anchors.js";
import { buildBatch, type Batch, type Erased, type Measurement } from "../../client/batches.js";
import type { Touchstone } from "../../client/connect.js";
import type { TreeHash } from "../../client/enumerations.js";
import { createP256Key, Scheme, type Key } from "../../client/keys.js";
import { networkHelpers, now } from "./chain.js";
import { enrollDevice } from "./fleet.js";
import { deploySuite, type Suite } from "./suite.js";

/** A log with anchors of each kind, and the batches in it. */
export interface WrittenLog {
  logId: string;
  batches: Batch[];
}

/** Measurements a second apart, from an hour before the chain's time on. */
async function measure(count: number, firstSeq: bigint): Promise<Measurement[]> {
  const start = ((await now()) / 3600n - 1n) * 3_600_000n;
  return Array.from({ length: count }, (_, index) => ({
    measuredAt: start + (firstSeq + BigInt(index)) * 1000n,
    payload: Buffer.from(`{"t":${20 + index}}`),
    contentFormat: 50,
  }));
}

/** The batch without the payloads and salts of some of its readings. */
export function erase(batch: Batch, seqs: readonly bigint[]): Batch {
  const readings = batch.readings.map((reading): Measurement | Erased =>
    seqs.includes(reading.seq) ? { measuredAt: reading.measuredAt, commitment: reading.commitment } : reading,
  );
  return buildBatch({ ...batch, readings });
}

/**
 * A log with readings 0 to 19: 5 with keccak256, 8 with SHA-256, 3 lost, 4 with keccak256, and corrections of readings 2 to 3
 * and 3 to 6; reading 7 is erased.
 *
 * @param append Sends an anchor.
 */
export async function writeLog(options: {
  touchstone: Touchstone;
  logId: string;
  append: (anchor: anchors.Anchor) => Promise<unknown>;
}): Promise<WrittenLog> {
  const { touchstone, logId, append } = options;
  const batches: Batch[] = [];
  const add = async (firstSeq: bigint, count: number, tree: TreeHash, supersedes?: bigint): Promise<void> => {
    const batch = buildBatch({ logId, firstSeq, readings: await measure(count, firstSeq), tree });
    batches.push(batch);
    await append(
      supersedes === undefined
        ? await anchors.newAnchor({ touchstone, batch, fresh: true })
        : await anchors.newCorrection({ touchstone, batch, supersedes }),
    );
  };
  await add(0n, 5, "Keccak256");
  await add(5n, 8, "Sha256");
  const { tLast } = batches[1]!;
  await append(await anchors.newGap({ touchstone, gap: { logId, firstSeq: 13n, count: 3n, tFirst: tLast, tLast } }));
  await add(2n, 2, "Keccak256", 0n);
  await add(16n, 4, "Keccak256");
  await add(3n, 4, "Sha256", 1n);
  return { logId, batches: batches.map((batch) => erase(batch, batch.root === batches[1]!.root ? [7n] : [])) };
}

export interface Logs extends Suite {
  /** A device that signs digests with P-256. */
  p256: WrittenLog;
  /** A device that signs hashes of digests with P-256. */
  hashing: WrittenLog;
  hashingDevice: Key;
  /** A device that is an account. */
  account: WrittenLog;
  /** A fleet, written by its gateway. */
  fleetLog: WrittenLog;
}

/** The suite with a log of each kind of author. */
export async function deployLogs(): Promise<Logs> {
  const suite = await deploySuite();
  const touchstone = suite.as.relayer;
  const hashingDevice = createP256Key({ scheme: Scheme.P256Sha256 });
  await enrollDevice(suite, { key: hashingDevice, owner: suite.fleet, by: suite.actors.owner });
  const byDevice = (key: Key): Promise<WrittenLog> =>
    writeLog({
      touchstone,
      logId: anchors.deviceLogId({ device: key.id }),
      append: (anchor) => anchors.anchor({ touchstone, anchor, byDevice: key }),
    });
  const logs = {
    p256: await byDevice(suite.p256Device),
    hashing: await byDevice(hashingDevice),
    account: await byDevice(suite.accountDevice),
    fleetLog: await writeLog({
      touchstone: suite.as.gateway,
      logId: anchors.fleetLogId({ fleet: suite.fleet }),
      append: (anchor) => anchors.anchorAsMember({ touchstone: suite.as.gateway, anchor }),
    }),
  };
  // So that the latest block is not that of an anchor.
  await networkHelpers.mine();
  return { ...suite, ...logs, hashingDevice };
}
