import { randomBytes } from "node:crypto";

import { getBytes } from "ethers";

import { requireHex } from "./arguments.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { buildTree, HASH_BYTES, hashBytes, hashLeaf } from "./merkle.js";

/** Prefixes that keep what is hashed for one thing from passing for another. */
const READING = 0x01;
const COMMITMENT = 0x02;

const SALT_BYTES = 16;
/** A contract counts to 2^32; a tree in memory ends earlier. */
const MAX_READINGS = 2 ** 25;

/** A reading as it was measured. */
export interface Measurement {
  /** Unix milliseconds. */
  measuredAt: bigint;
  /** The exact bytes, as the sensor gave them: they are hashed as they are, never a re-serialisation. */
  payload: Uint8Array;
  /** CoAP Content-Format number of the payload (RFC 7252, section 12.3); 0, plain text, unless told. */
  contentFormat?: number;
  /** 16 bytes that keep the payload from being guessed by its hash; fresh random ones unless told. */
  salt?: Uint8Array;
}

/** A reading in its place in a log. Payload and salt are what it takes to open the commitment: keep them. */
export interface Reading extends Required<Measurement> {
  /** Sequence number in the log. */
  seq: bigint;
  /** 32 bytes as 0x hex: what the leaf says of the payload. */
  commitment: string;
}

/** Readings that are anchored together. */
export interface Batch {
  /** 32 bytes as 0x hex. */
  logId: string;
  tree: TreeHash;
  /** Sequence number of the first reading. */
  firstSeq: bigint;
  count: bigint;
  /** Unix milliseconds of the earliest measurement. */
  tFirst: bigint;
  /** Unix milliseconds of the latest measurement. */
  tLast: bigint;
  /** 32 bytes as 0x hex. */
  root: string;
  readings: readonly Reading[];
  /**
   * Siblings from the leaf of a reading up to the root, each 32 bytes as 0x hex.
   *
   * @throws TouchstoneError NOT_FOUND if the batch has no such reading.
   */
  proofOf(seq: bigint): string[];
}

/**
 * Commits to readings that follow each other in a log.
 *
 * @param options.logId 32 bytes as 0x hex.
 * @param options.firstSeq Sequence number of the first reading: where the log ends.
 * @param options.readings In the order in which they were measured.
 * @param options.tree What it is hashed with; Keccak256 unless told. SHA-256 suits readers that have no keccak.
 * @throws TouchstoneError INVALID_ARGUMENT for no or too many readings, or one that is none.
 */
export function buildBatch(options: {
  logId: string;
  firstSeq: bigint;
  readings: readonly Measurement[];
  tree?: TreeHash;
}): Batch {
  const { firstSeq, tree = "Keccak256" } = options;
  const logId = requireHex("logId", options.logId, 32);
  if (options.readings.length === 0 || options.readings.length > MAX_READINGS) {
    throw invalid(`${options.readings.length} readings are no batch: give 1 to ${MAX_READINGS}.`, {
      readings: options.readings.length,
    });
  }
  const salts = randomBytes(options.readings.length * SALT_BYTES);
  const leaves = new Uint8Array(options.readings.length * HASH_BYTES);
  const leafHasher = readingLeafHasher(tree, logId);
  const readings = options.readings.map((measurement, index): Reading => {
    const seq = firstSeq + BigInt(index);
    const { measuredAt, payload, contentFormat = 0 } = measurement;
    const { salt = salts.subarray(index * SALT_BYTES, (index + 1) * SALT_BYTES) } = measurement;
    requirePlace(seq, measuredAt);
    const commitment = hashCommitment({ tree, salt, contentFormat, payload });
    leaves.set(leafHasher({ seq, measuredAt, commitment }), index * HASH_BYTES);
    return { seq, measuredAt, payload, contentFormat, salt, commitment: toHex(commitment) };
  });
  const merkleTree = buildTree({ hash: tree, leaves });
  const times = readings.map(({ measuredAt }) => measuredAt);
  return {
    logId,
    tree,
    firstSeq,
    count: BigInt(readings.length),
    tFirst: times.reduce((earliest, time) => (time < earliest ? time : earliest)),
    tLast: times.reduce((latest, time) => (time > latest ? time : latest)),
    root: toHex(merkleTree.root),
    readings,
    proofOf(seq) {
      const index = seq - firstSeq;
      if (index < 0n || index >= BigInt(readings.length)) {
        const last = firstSeq + BigInt(readings.length) - 1n;
        throw new TouchstoneError("NOT_FOUND", `The batch has no reading ${seq}: it has ${firstSeq} to ${last}.`, {
          details: { seq, firstSeq, last },
        });
      }
      return merkleTree.proofOf(Number(index)).map(toHex);
    },
  };
}

/** What the content of a reading is hashed from. */
interface Content {
  tree: TreeHash;
  /** 16 bytes. */
  salt: Uint8Array;
  contentFormat: number;
  payload: Uint8Array;
}

/**
 * What the leaf of a reading says of its content: H(0x02 ‖ salt16 ‖ contentFormat2 ‖ payload), as 0x hex.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for a salt or format of another width.
 */
export function commitmentOf(options: Content): string {
  return toHex(hashCommitment(options));
}

/**
 * The leaf of a reading: H(0x00 ‖ 0x01 ‖ logId ‖ seq8 ‖ measuredAt6 ‖ commitment), as 0x hex.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function readingLeaf(options: {
  tree: TreeHash;
  logId: string;
  reading: Pick<Reading, "seq" | "measuredAt" | "commitment">;
}): string {
  const { seq, measuredAt } = options.reading;
  requirePlace(seq, measuredAt);
  const commitment = getBytes(requireHex("commitment", options.reading.commitment, 32));
  const leafHasher = readingLeafHasher(options.tree, requireHex("logId", options.logId, 32));
  return toHex(leafHasher({ seq, measuredAt, commitment }));
}

function hashCommitment({ tree, salt, contentFormat, payload }: Content): Uint8Array {
  if (salt.length !== SALT_BYTES) {
    throw invalid(`A salt of ${salt.length} bytes is none: give 16.`, { salt: toHex(salt) });
  }
  if (!Number.isInteger(contentFormat) || contentFormat < 0 || contentFormat > 0xffff) {
    throw invalid(`${contentFormat} is no content format: give 0 to 65,535.`, { contentFormat });
  }
  const preimage = Buffer.allocUnsafe(1 + SALT_BYTES + 2 + payload.length);
  preimage.writeUInt8(COMMITMENT, 0);
  preimage.set(salt, 1);
  preimage.writeUInt16BE(contentFormat, 1 + SALT_BYTES);
  preimage.set(payload, 1 + SALT_BYTES + 2);
  return hashBytes(tree, preimage);
}

function requirePlace(seq: bigint, measuredAt: bigint): void {
  if (seq < 0n || seq >= 2n ** 64n) throw invalid(`${seq} is no sequence number: give 0 to 2^64 - 1.`, { seq });
  if (measuredAt < 0n || measuredAt >= 2n ** 48n) {
    throw invalid(`${measuredAt} is no time of a reading: give Unix milliseconds below 2^48.`, { seq, measuredAt });
  }
}

/** Hashes leaves of one log, writing the content of each into the same bytes. */
function readingLeafHasher(
  tree: TreeHash,
  logId: string,
): (reading: { seq: bigint; measuredAt: bigint; commitment: Uint8Array }) => Uint8Array {
  const content = Buffer.alloc(1 + 32 + 8 + 6 + 32);
  content.writeUInt8(READING, 0);
  content.set(getBytes(logId), 1);
  return ({ seq, measuredAt, commitment }) => {
    content.writeBigUInt64BE(seq, 33);
    content.writeUIntBE(Number(measuredAt), 41, 6);
    content.set(commitment, 47);
    return hashLeaf(tree, content);
  };
}

function toHex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

function invalid(message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", message, { details });
}
