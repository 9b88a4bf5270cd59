import { MAX_COUNT } from "./anchors.js";
import { readingsOf, timeOf } from "./audit-findings.js";
import { bytesIn, requireAddress, requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import type { Measurement } from "./batches.js";
import { nameOf, numberOf, treeHashes, type TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";

/**
 * Content format of a reading in a fleet log that stands for one device's batch: from CoAP's range for experiments (RFC
 * 7252, section 12.3).
 */
export const DEVICE_BATCH_FORMAT = 65_001;

/** Bytes of the payload: `device20 ‖ stream12 ‖ firstSeq8 ‖ count8 ‖ tFirst6 ‖ tLast6 ‖ tree1 ‖ root32`, big-endian. */
export const DEVICE_BATCH_BYTES = 93;

/** Streams above are those of fleets. */
const STREAM_BITS = 95;

/**
 * One device's batch, for which a reading of a fleet log stands. Its fields are those of a batch of the log that
 * `deviceLogId({ device, stream })` names, so that proofs of its readings are made as for any batch.
 */
export interface DeviceBatch {
  /** The device's id. */
  device: string;
  /** Number of the stream, below 2^95. */
  stream: bigint;
  /** Sequence number of the first reading in the device's stream. */
  firstSeq: bigint;
  /** Number of readings, 1 to 2^32. */
  count: bigint;
  /** Unix milliseconds of the earliest measurement. */
  tFirst: bigint;
  /** Unix milliseconds of the latest measurement. */
  tLast: bigint;
  tree: TreeHash;
  /** 32 bytes as 0x hex. */
  root: string;
}

/** A device's batch at its place in a fleet log. */
export interface DeviceBatchEntry {
  /** Sequence number in the fleet log. */
  seq: bigint;
  batch: DeviceBatch;
}

// ------------------------------------------------------------------ bytes

/**
 * The payload of the reading that stands for a device's batch.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for what no batch can be.
 */
export function encodeDeviceBatch(batch: DeviceBatch): Uint8Array {
  const fault = faultOf(batch);
  if (fault !== undefined) {
    throw new TouchstoneError("INVALID_ARGUMENT", `This is no batch of a device: ${fault}.`, { details: { batch } });
  }
  const device = requireAddress("device", batch.device);
  const bytes = Buffer.alloc(DEVICE_BATCH_BYTES);
  bytes.write(device.slice(2), 0, "hex");
  bytes.write(requireUint("stream", batch.stream, STREAM_BITS).toString(16).padStart(24, "0"), 20, "hex");
  bytes.writeBigUInt64BE(requireUint("firstSeq", batch.firstSeq, 64), 32);
  bytes.writeBigUInt64BE(batch.count, 40);
  bytes.writeUIntBE(Number(requireUint("tFirst", batch.tFirst, 48)), 48, 6);
  bytes.writeUIntBE(Number(requireUint("tLast", batch.tLast, 48)), 54, 6);
  bytes.writeUInt8(Number(numberOf(treeHashes, batch.tree)), 60);
  bytes.write(requireHex("root", batch.root, 32).slice(2), 61, "hex");
  return bytes;
}

/**
 * Reads the payload of a reading that stands for a device's batch.
 *
 * @throws TouchstoneError DEVICE_BATCH_INVALID if it is none.
 */
export function decodeDeviceBatch(payload: Uint8Array): DeviceBatch {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (bytes.length !== DEVICE_BATCH_BYTES)
    throw invalid(bytes, `it has ${bytesIn(bytes.length)}, not ${DEVICE_BATCH_BYTES}`);
  const tree = bytes.readUInt8(60);
  if (tree >= treeHashes.length) throw invalid(bytes, `${tree} is no tree`);
  const batch: DeviceBatch = {
    device: requireAddress("device", hexOf(bytes.subarray(0, 20))),
    stream: BigInt(hexOf(bytes.subarray(20, 32))),
    firstSeq: bytes.readBigUInt64BE(32),
    count: bytes.readBigUInt64BE(40),
    tFirst: BigInt(bytes.readUIntBE(48, 6)),
    tLast: BigInt(bytes.readUIntBE(54, 6)),
    tree: nameOf(treeHashes, BigInt(tree)),
    root: hexOf(bytes.subarray(61)),
  };
  const fault = faultOf(batch);
  if (fault !== undefined) throw invalid(bytes, fault);
  return batch;
}

/**
 * The reading of a fleet log that stands for a device's batch.
 *
 * @param options.takenAt Unix milliseconds when the gateway took the batch up. A fleet log's times never go back, and batches
 *        come late: those of the device are in the payload.
 * @throws TouchstoneError INVALID_ARGUMENT for what no batch can be.
 */
export function deviceBatchReading(options: { batch: DeviceBatch; takenAt: bigint }): Measurement {
  return {
    measuredAt: options.takenAt,
    payload: encodeDeviceBatch(options.batch),
    contentFormat: DEVICE_BATCH_FORMAT,
  };
}

/**
 * The batches of devices for which readings of a fleet log stand; other readings, and those whose content was erased, are
 * passed over.
 *
 * @throws TouchstoneError DEVICE_BATCH_INVALID if a reading has the content format of a batch, but is none.
 */
export function* deviceBatchesIn(
  readings: Iterable<{ seq: bigint; contentFormat?: number | undefined; payload?: Uint8Array | undefined }>,
): Generator<DeviceBatchEntry, void, undefined> {
  for (const { seq, contentFormat, payload } of readings) {
    if (contentFormat === DEVICE_BATCH_FORMAT && payload !== undefined)
      yield { seq, batch: decodeDeviceBatch(payload) };
  }
}

// ------------------------------------------------------------------ audit

/** What can be wrong with the batches of a device's stream, and the figures that say it. */
export interface StreamFigures {
  /** No batch has these readings. */
  Gap: {
    firstSeq: bigint;
    count: bigint;
    /** Unix milliseconds: they were measured after this and before that, as far as there are readings on both sides. */
    after: bigint | undefined;
    before: bigint;
  };
  /** The same batch stands in the fleet log twice: nothing is wrong with the readings. */
  Repeated: { firstSeq: bigint; count: bigint; otherSeq: bigint };
  /** Another batch has these readings too, with another content: only one of them can be true. */
  Overlap: { firstSeq: bigint; count: bigint; otherSeq: bigint };
  /** The measurements begin before those of the readings that they follow have ended. */
  TimeRegressed: {
    /** Unix milliseconds. */
    tFirst: bigint;
    earliest: bigint;
    otherSeq: bigint;
  };
}

export type StreamFindingCode = keyof StreamFigures;

/** What is wrong with a batch of a device's stream; `code` says which figures there are. */
export type StreamFinding = {
  [C in StreamFindingCode]: {
    code: C;
    /** A warning where no reading is in doubt. */
    severity: "error" | "warning";
    device: string;
    stream: bigint;
    /** Sequence number, in the fleet log, of the batch that shows it. */
    seq: bigint;
    figures: StreamFigures[C];
    message: string;
  };
}[StreamFindingCode];

/** One stream of one device, as the batches in a fleet log show it. */
export interface DeviceStream {
  device: string;
  stream: bigint;
  /** Number of batches. */
  batches: number;
  /** Number of different readings that the batches have. */
  readings: bigint;
  firstSeq: bigint;
  /** Sequence number that the stream goes on with. */
  nextSeq: bigint;
  /** Unix milliseconds of the earliest and the latest measurement. */
  tFirst: bigint;
  tLast: bigint;
  findings: StreamFinding[];
}

/**
 * Checks for each stream of each device that its batches follow each other: one anchor of a fleet log can stand for thousands of
 * devices, of whose sequences the chain knows nothing. Batches may come in any order, late ones included.
 *
 * All entries are kept until the end. That they are in the log is for `auditLog` to say, or for a proof of each.
 *
 * @param entries The batches in the fleet log, as `deviceBatchesIn` finds them.
 * @param options.fromStart Whether a stream must begin with reading 0, as it must where the entries are all of the fleet log's;
 *        true unless told.
 * @returns The streams by device and number.
 */
export function auditDeviceBatches(
  entries: Iterable<DeviceBatchEntry>,
  options: { fromStart?: boolean } = {},
): DeviceStream[] {
  const streams = new Map<string, DeviceBatchEntry[]>();
  for (const entry of entries) {
    const device = requireAddress("device", entry.batch.device);
    const key = `${device}/${entry.batch.stream.toString().padStart(29, "0")}`;
    const found = streams.get(key);
    if (found === undefined) streams.set(key, [entry]);
    else found.push(entry);
  }
  return [...streams.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, found]) => auditStream(found, options.fromStart ?? true));
}

/** The batch that the stream reaches to, as far as it was checked. */
interface Reached {
  entry: DeviceBatchEntry;
  nextSeq: bigint;
}

function auditStream(entries: DeviceBatchEntry[], fromStart: boolean): DeviceStream {
  const sorted = entries.sort(inSequence);
  const [first] = sorted as [DeviceBatchEntry];
  const device = requireAddress("device", first.batch.device);
  const { stream } = first.batch;
  const found: DeviceStream = {
    device,
    stream,
    batches: sorted.length,
    readings: 0n,
    firstSeq: first.batch.firstSeq,
    nextSeq: first.batch.firstSeq,
    tFirst: first.batch.tFirst,
    tLast: first.batch.tLast,
    findings: [],
  };
  const add = <C extends StreamFindingCode>(code: C, seq: bigint, figures: StreamFigures[C], message: string): void => {
    const severity = code === "Repeated" ? "warning" : "error";
    // The figures are those of the code.
    found.findings.push({ code, severity, device, stream, seq, figures, message } as StreamFinding);
  };
  let reached: Reached | undefined;
  let previous: DeviceBatchEntry | undefined;
  for (const entry of sorted) {
    const { seq, batch } = entry;
    const end = batch.firstSeq + batch.count;
    const expected: bigint = reached?.nextSeq ?? (fromStart ? 0n : batch.firstSeq);
    found.tFirst = batch.tFirst < found.tFirst ? batch.tFirst : found.tFirst;
    found.tLast = batch.tLast > found.tLast ? batch.tLast : found.tLast;
    if (previous !== undefined && isSame(previous.batch, batch)) {
      const figures = { firstSeq: batch.firstSeq, count: batch.count, otherSeq: previous.seq };
      add(
        "Repeated",
        seq,
        figures,
        `The batch with ${readingsOf(figures)} stands at ${previous.seq} and again at ${seq}.`,
      );
      continue;
    }
    previous = entry;
    if (batch.firstSeq > expected) {
      const after = reached?.entry.batch.tLast;
      const figures = { firstSeq: expected, count: batch.firstSeq - expected, after, before: batch.tFirst };
      add("Gap", seq, figures, `No batch has ${readingsOf(figures)}.`);
    }
    if (reached !== undefined) {
      const other = reached.entry;
      if (batch.firstSeq < expected) {
        const count = (end < expected ? end : expected) - batch.firstSeq;
        const figures = { firstSeq: batch.firstSeq, count, otherSeq: other.seq };
        add("Overlap", seq, figures, `The batches at ${other.seq} and at ${seq} both have ${readingsOf(figures)}.`);
      } else if (batch.tFirst < other.batch.tLast) {
        const figures = { tFirst: batch.tFirst, earliest: other.batch.tLast, otherSeq: other.seq };
        add(
          "TimeRegressed",
          seq,
          figures,
          `Reading ${batch.firstSeq} and those after it begin at ${timeOf(batch.tFirst)}, before what they follow ends at ` +
            `${timeOf(other.batch.tLast)}.`,
        );
      }
    }
    if (end > expected || reached === undefined) {
      found.readings += end - (batch.firstSeq > expected ? batch.firstSeq : expected);
      reached = { entry, nextSeq: end };
      found.nextSeq = end;
    }
  }
  return found;
}

function inSequence(a: DeviceBatchEntry, b: DeviceBatchEntry): number {
  // Those that may be the same batch come together, and the longest of those that begin together first.
  const order = (one: DeviceBatchEntry, other: DeviceBatchEntry): [bigint | string, bigint | string][] => [
    [one.batch.firstSeq, other.batch.firstSeq],
    [other.batch.count, one.batch.count],
    [one.batch.root.toLowerCase(), other.batch.root.toLowerCase()],
    [one.batch.tFirst, other.batch.tFirst],
    [one.batch.tLast, other.batch.tLast],
    [one.batch.tree, other.batch.tree],
    [one.seq, other.seq],
  ];
  const differing = order(a, b).find(([one, other]) => one !== other);
  if (differing === undefined) return 0;
  return differing[0] < differing[1] ? -1 : 1;
}

/** Of batches of one stream. */
function isSame(one: DeviceBatch, other: DeviceBatch): boolean {
  return (
    one.firstSeq === other.firstSeq &&
    one.count === other.count &&
    one.tFirst === other.tFirst &&
    one.tLast === other.tLast &&
    one.tree === other.tree &&
    one.root.toLowerCase() === other.root.toLowerCase()
  );
}

// ------------------------------------------------------------------ private

/** What is wrong with the fields beyond their widths. */
function faultOf({ stream, firstSeq, count, tFirst, tLast, root }: DeviceBatch): string | undefined {
  if (stream >= 2n ** BigInt(STREAM_BITS)) return `stream ${stream} is one of a fleet's`;
  if (count < 1n || count > MAX_COUNT) return `${count} is no number of readings: 1 to ${MAX_COUNT}`;
  if (firstSeq + count >= 2n ** 64n) return `its readings end at ${firstSeq + count}, past 2^64 - 1`;
  if (tFirst > tLast) return `it ends at ${tLast}, before it begins at ${tFirst}`;
  if (root === ZERO_HASH) return "it has no root";
  return undefined;
}

function hexOf(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

function invalid(payload: Uint8Array, fault: string): TouchstoneError {
  return new TouchstoneError(
    "DEVICE_BATCH_INVALID",
    `The payload is no batch of a device: ${fault}. Was the reading written by something else under content format ` +
      `${DEVICE_BATCH_FORMAT}?`,
    { details: { payload: hexOf(payload) } },
  );
}
