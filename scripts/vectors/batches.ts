import { id } from "ethers";

import {
  anchors,
  buildBatch,
  DEVICE_BATCH_FORMAT,
  deviceBatchReading,
  encodeDeviceBatch,
  readingLeaf,
  type Batch,
  type DeviceBatch,
  type Measurement,
  type TreeHash,
} from "../../client/index.js";
import { fixedKeys, HOUR, measurements, OWNER, seedNamed, START } from "./inputs.js";

const [p256, p256Sha256, account] = fixedKeys.map(({ key }) => key.id) as [string, string, string];

/** The log whose whole history the vectors have. */
export const deviceLog = anchors.deviceLogId({ device: p256 });

function batchOf(options: {
  logId: string;
  firstSeq: bigint;
  tree: TreeHash;
  seed: string;
  readings: Measurement[];
}): Batch {
  const { seed, ...batch } = options;
  return buildBatch({ ...batch, seeds: [{ height: 32, index: 0, seed: seedNamed(seed) }] });
}

/** A batch of the log, with readings from so many minutes after the start on. */
function ofDevice(logId: string, firstSeq: bigint, count: number, minute: bigint, tree: TreeHash): Batch {
  const readings = measurements({ from: START + minute * 60n, count });
  return batchOf({ logId, firstSeq, tree, seed: `seed of ${firstSeq} to ${count} at ${minute}`, readings });
}

/** The batches of the logs of devices, by the name of what they are. */
export const batches = {
  first: ofDevice(deviceLog, 0n, 6, -10n, "Keccak256"),
  second: ofDevice(deviceLog, 6n, 7, 0n, "Sha256"),
  correctionOfFirst: ofDevice(deviceLog, 2n, 2, -8n, "Keccak256"),
  single: ofDevice(deviceLog, 17n, 1, 200n, "Keccak256"),
  correctionOfSecond: ofDevice(deviceLog, 6n, 1, 0n, "Sha256"),
  hundred: ofDevice(deviceLog, 18n, 100, 210n, "Sha256"),
  nine: ofDevice(deviceLog, 118n, 9, 400n, "Keccak256"),
  ofHashingKey: ofDevice(anchors.deviceLogId({ device: p256Sha256, stream: 5n }), 0n, 3, 0n, "Sha256"),
  ofAccount: ofDevice(anchors.deviceLogId({ device: account, stream: 2n ** 95n - 1n }), 0n, 3, 0n, "Keccak256"),
};

/** Batches of devices as a gateway takes them into a fleet's log. */
export const deviceBatches: readonly DeviceBatch[] = [
  deviceBatch(p256, 7n, { firstSeq: 0n, count: 60n, tree: "Keccak256" }),
  deviceBatch(p256Sha256, 0n, { firstSeq: 1041n, count: 1n, tree: "Sha256" }),
  deviceBatch(account, 2n ** 95n - 1n, { firstSeq: 2n ** 64n - 1n - 2n ** 32n, count: 2n ** 32n, tree: "Keccak256" }),
];

export const fleetBatch = batchOf({
  logId: anchors.fleetLogId({ fleet: OWNER, stream: 1n }),
  firstSeq: 0n,
  tree: "Keccak256",
  seed: "seed of a fleet's batch",
  readings: deviceBatches.map((batch, index) =>
    deviceBatchReading({ batch, takenAt: (START + BigInt(index)) * 1000n }),
  ),
});

function deviceBatch(
  device: string,
  stream: bigint,
  rest: Pick<DeviceBatch, "firstSeq" | "count" | "tree">,
): DeviceBatch {
  const tFirst = START * 1000n;
  return { device, stream, ...rest, tFirst, tLast: tFirst + HOUR * 1000n - 1n, root: id(`root of stream ${stream}`) };
}

// ------------------------------------------------------------------ vectors

/** What leads from measurements and a seed to a root. */
export function batchVectors(): unknown {
  return Object.entries({ ...batches, fleetBatch }).map(([name, batch]) => {
    const { logId, tree, firstSeq, count, tFirst, tLast, root, readings, seeds } = batch;
    const ranges = [
      [firstSeq, 1n],
      [firstSeq, count],
      [firstSeq + count / 3n, count - count / 3n],
      [firstSeq + count / 2n, (count + 5n) / 6n],
    ] as const;
    const leaves = readings.map((reading) => readingLeaf({ tree, logId, reading }));
    // The reading in the middle erased: the same root, from fewer seeds.
    const erased = Number(count / 2n);
    const left = buildBatch({
      logId,
      tree,
      firstSeq,
      seeds,
      readings: readings.map((reading, index) => {
        const { measuredAt, commitment } = reading;
        return index === erased || reading.payload === undefined ? { measuredAt, commitment } : reading;
      }),
    });
    return {
      name,
      logId,
      tree,
      firstSeq,
      seed: seeds[0]?.seed,
      readings: readings.map(({ measuredAt, contentFormat, payload, salt, commitment }, index) => ({
        measuredAt,
        contentFormat,
        payload,
        salt,
        commitment,
        leaf: leaves[index],
      })),
      count,
      tFirst,
      tLast,
      root,
      ranges: ranges.map(([first, of]) => ({ firstSeq: first, count: of, proof: batch.rangeProofOf(first, of) })),
      erased: { index: erased, root: left.root, seeds: left.seeds },
    };
  });
}

/** Payloads of readings that stand for batches of devices. */
export function deviceBatchVectors(): unknown {
  return deviceBatches.map((batch) => ({
    ...batch,
    contentFormat: DEVICE_BATCH_FORMAT,
    payload: encodeDeviceBatch(batch),
  }));
}
