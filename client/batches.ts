import { getBytes } from "ethers";

import { requireHex } from "./arguments.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { buildTree, createTreeHasher, HASH_BYTES, hashInto } from "./merkle.js";
import { createSaltReader, eraseAllSeeds, rootSeed, SEED_BYTES, type SeedNode } from "./seed-tree.js";

/** Prefixes that keep what is hashed for one thing from passing for another. */
const LEAF = 0x00;
const READING = 0x01;
const COMMITMENT = 0x02;

/** A tree in memory ends earlier than the 2^32 readings that a contract counts, and that a stream can reach. */
const MAX_READINGS = 2 ** 25;
const MAX_STREAMED = 2 ** 32;
const SEQ_END = 2n ** 64n;
const TIME_END = 2n ** 48n;

/** A reading as it was measured. */
export interface Measurement {
  /** Unix milliseconds. */
  measuredAt: bigint;
  /** The exact bytes, as the sensor gave them: they are hashed as they are, never a re-serialisation. */
  payload: Uint8Array;
  /** CoAP Content-Format number of the payload (RFC 7252, section 12.3); 0, plain text, unless told. */
  contentFormat?: number;
}

/** What remains of a reading whose payload and salt were erased. */
export interface Erased {
  /** Unix milliseconds. */
  measuredAt: bigint;
  /** 32 bytes as 0x hex. */
  commitment: string;
  payload?: undefined;
}

/** A reading in its place in a log: of an erased one only what its leaf says is left. */
export type Reading = OpenReading | ErasedReading;

/** A reading with what it takes to open its commitment: keep payload and salt, or the batch's seeds. */
export interface OpenReading extends Required<Measurement> {
  /** Sequence number in the log. */
  seq: bigint;
  /** 32 bytes as 0x hex: what the leaf says of the payload. */
  commitment: string;
  /** 16 bytes that keep the payload from being guessed by its hash. */
  salt: Uint8Array;
}

export interface ErasedReading extends Erased {
  /** Sequence number in the log. */
  seq: bigint;
  contentFormat?: undefined;
  salt?: undefined;
}

/** What an anchor says of readings that are anchored together. */
export interface BatchSummary {
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
}

/** A batch whose readings are kept elsewhere. With them, its seeds and buildBatch it becomes a whole one again. */
export interface StreamedBatch extends BatchSummary {
  /** Where the salts come from; keep them as secret as the payloads. */
  seeds: readonly SeedNode[];
}

/** Readings that are anchored together. */
export interface Batch extends StreamedBatch {
  readings: readonly Reading[];
  /**
   * Siblings from the leaf of a reading up to the root, each 32 bytes as 0x hex.
   *
   * @throws TouchstoneError NOT_FOUND if the batch has no such reading.
   */
  proofOf(seq: bigint): string[];
  /**
   * What shows that readings which follow each other are all that the batch has there, each 32 bytes as 0x hex.
   *
   * @throws TouchstoneError NOT_FOUND if the batch has no such readings.
   */
  rangeProofOf(firstSeq: bigint, count: bigint): string[];
}

/**
 * Commits to readings that follow each other in a log. A batch that was anchored comes out the same again from its
 * readings and its seeds.
 *
 * @param options.logId 32 bytes as 0x hex.
 * @param options.firstSeq Sequence number of the first reading: where the log ends.
 * @param options.readings In the order in which they were measured.
 * @param options.tree What it is hashed with; Keccak256 unless told. SHA-256 suits readers that have no keccak.
 * @param options.seeds Where the salts come from; a fresh random seed unless told. The batch keeps none that opens a
 *        reading which was erased.
 * @throws TouchstoneError INVALID_ARGUMENT for no or too many readings, or one that is none; NOT_FOUND for a reading that
 *         was not erased and whose salt was.
 */
export function buildBatch(options: {
  logId: string;
  firstSeq: bigint;
  readings: readonly (Measurement | Erased)[];
  tree?: TreeHash;
  seeds?: readonly SeedNode[];
}): Batch {
  const { firstSeq, tree = "Keccak256" } = options;
  const logId = requireHex("logId", options.logId, 32);
  const size = options.readings.length;
  if (size === 0 || size > MAX_READINGS) {
    throw invalid(`${size} readings are no batch: give 1 to ${MAX_READINGS}.`, { readings: size });
  }
  const erased = [...options.readings.keys()].filter((index) => options.readings[index]?.payload === undefined);
  const held = { hash: tree, logId, seeds: options.seeds ?? [rootSeed()] };
  // Copies, so that whoever gave the seeds may overwrite them.
  const seeds = eraseAllSeeds({ ...held, indices: erased, size });
  const salts = createSaltReader({ ...held, seeds });
  const hashCommitment = commitmentHasher(tree);
  const hashLeaf = leafHasher(tree, logId);
  const leaves = new Uint8Array(size * HASH_BYTES);
  const times = newSpan();
  const readings = options.readings.map((reading, index): Reading => {
    const seq = firstSeq + BigInt(index);
    const { measuredAt } = reading;
    requirePlace(seq, measuredAt);
    times.add(measuredAt);
    if (reading.payload === undefined) {
      const commitment = requireHex("commitment", reading.commitment, HASH_BYTES);
      hashLeaf(seq, measuredAt, getBytes(commitment), leaves, index * HASH_BYTES);
      return { seq, measuredAt, commitment };
    }
    const { payload, contentFormat = 0 } = reading;
    const salt = new Uint8Array(SEED_BYTES);
    const commitment = new Uint8Array(HASH_BYTES);
    salts.read(index, salt, 0);
    hashCommitment(salt, contentFormat, payload, commitment);
    hashLeaf(seq, measuredAt, commitment, leaves, index * HASH_BYTES);
    return { seq, measuredAt, payload, contentFormat, salt, commitment: toHex(commitment) };
  });
  const merkleTree = buildTree({ hash: tree, leaves });
  const placeOf = (first: bigint, count: bigint): number => {
    const index = first - firstSeq;
    if (index < 0n || count < 1n || index + count > BigInt(size)) {
      const last = firstSeq + BigInt(size) - 1n;
      const asked = count === 1n ? `reading ${first}` : `${count} readings from ${first} on`;
      throw new TouchstoneError("NOT_FOUND", `The batch has no ${asked}: it has ${firstSeq} to ${last}.`, {
        details: { seq: first, count, firstSeq, last },
      });
    }
    return Number(index);
  };
  return {
    logId,
    tree,
    firstSeq,
    count: BigInt(size),
    ...times.get(),
    root: toHex(merkleTree.root),
    readings,
    seeds,
    proofOf: (seq) => merkleTree.proofOf(placeOf(seq, 1n)).map(toHex),
    rangeProofOf: (first, count) => merkleTree.rangeProofOf(placeOf(first, count), Number(count)).map(toHex),
  };
}

/** Commits to readings as they come, in memory that does not grow with their number. */
export interface BatchBuilder {
  /** Number of readings up to now. */
  readonly count: bigint;
  /**
   * Takes the next reading.
   *
   * @throws TouchstoneError INVALID_ARGUMENT if it is none, or one too many: it is not in the batch then.
   */
  add(measurement: Measurement): void;
  /**
   * The batch of the readings up to now. More can be added after; but of all batches that one builder gives, only one may
   * be anchored, as they have their salts in common.
   *
   * @throws TouchstoneError INVALID_ARGUMENT if there is no reading.
   */
  finish(): StreamedBatch;
}

/**
 * Starts a batch of readings that follow each other in a log. It comes out the same as by buildBatch.
 *
 * @param options.logId 32 bytes as 0x hex.
 * @param options.firstSeq Sequence number of the first reading: where the log ends.
 * @param options.tree What it is hashed with; Keccak256 unless told.
 * @param options.seed 16 bytes that all salts come from, used for no other batch; fresh random ones unless told.
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function createBatchBuilder(options: {
  logId: string;
  firstSeq: bigint;
  tree?: TreeHash;
  seed?: Uint8Array;
}): BatchBuilder {
  const { firstSeq, tree = "Keccak256" } = options;
  const logId = requireHex("logId", options.logId, 32);
  const root = rootSeed(options.seed);
  const salts = createSaltReader({ hash: tree, logId, seeds: [root] });
  const hashCommitment = commitmentHasher(tree);
  const hashLeaf = leafHasher(tree, logId);
  const hasher = createTreeHasher({ hash: tree });
  const times = newSpan();
  const [salt, commitment, leaf] = [new Uint8Array(SEED_BYTES), new Uint8Array(HASH_BYTES), new Uint8Array(HASH_BYTES)];
  return {
    get count() {
      return BigInt(hasher.size);
    },
    add({ measuredAt, payload, contentFormat = 0 }) {
      const index = hasher.size;
      if (index === MAX_STREAMED) throw invalid("A batch has at most 2^32 readings: begin another one.", {});
      const seq = firstSeq + BigInt(index);
      requirePlace(seq, measuredAt);
      salts.read(index, salt, 0);
      hashCommitment(salt, contentFormat, payload, commitment);
      hashLeaf(seq, measuredAt, commitment, leaf, 0);
      hasher.append(leaf);
      times.add(measuredAt);
    },
    finish() {
      if (hasher.size === 0) throw invalid("0 readings are no batch: add one.", { readings: 0 });
      const count = BigInt(hasher.size);
      const seeds = [rootSeed(root.seed)];
      return { logId, tree, firstSeq, count, ...times.get(), root: toHex(hasher.root()), seeds };
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
export function commitmentOf({ tree, salt, contentFormat, payload }: Content): string {
  if (salt.length !== SEED_BYTES) {
    throw invalid(`A salt of ${salt.length} bytes is none: give 16.`, { salt: toHex(salt) });
  }
  const commitment = new Uint8Array(HASH_BYTES);
  commitmentHasher(tree)(salt, contentFormat, payload, commitment);
  return toHex(commitment);
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
  const commitment = getBytes(requireHex("commitment", options.reading.commitment, HASH_BYTES));
  const leaf = new Uint8Array(HASH_BYTES);
  leafHasher(options.tree, requireHex("logId", options.logId, 32))(seq, measuredAt, commitment, leaf, 0);
  return toHex(leaf);
}

// ------------------------------------------------------------------ private

/** Hashes commitments, writing what each is hashed from into the same bytes. */
function commitmentHasher(
  tree: TreeHash,
): (salt: Uint8Array, contentFormat: number, payload: Uint8Array, commitment: Uint8Array) => void {
  const header = 1 + SEED_BYTES + 2;
  let room = new Uint8Array(header + 256);
  let preimage = room;
  return (salt, contentFormat, payload, commitment) => {
    if (!Number.isInteger(contentFormat) || contentFormat < 0 || contentFormat > 0xffff) {
      throw invalid(`${contentFormat} is no content format: give 0 to 65,535.`, { contentFormat });
    }
    // Callers without types reach this too, and text would be taken for as many zero bytes.
    if (!(payload instanceof Uint8Array)) throw invalid("A payload is bytes: give a Uint8Array.", { payload });
    const length = header + payload.length;
    if (room.length < length) room = new Uint8Array(2 * length);
    if (preimage.length !== length) preimage = room.subarray(0, length);
    preimage[0] = COMMITMENT;
    preimage.set(salt, 1);
    preimage[1 + SEED_BYTES] = contentFormat >>> 8;
    preimage[2 + SEED_BYTES] = contentFormat & 0xff;
    preimage.set(payload, header);
    hashInto(tree, preimage, commitment, 0);
  };
}

/** Hashes leaves of one log, writing what each is hashed from into the same bytes. */
function leafHasher(
  tree: TreeHash,
  logId: string,
): (seq: bigint, measuredAt: bigint, commitment: Uint8Array, target: Uint8Array, at: number) => void {
  const preimage = new Uint8Array(2 + 32 + 8 + 6 + HASH_BYTES);
  const view = new DataView(preimage.buffer);
  preimage.set([LEAF, READING]);
  preimage.set(getBytes(logId), 2);
  return (seq, measuredAt, commitment, target, at) => {
    // The upper two of eight bytes of the time are zero: the sequence number is written over them.
    view.setBigUint64(40, measuredAt);
    view.setBigUint64(34, seq);
    preimage.set(commitment, 48);
    hashInto(tree, preimage, target, at);
  };
}

function requirePlace(seq: bigint, measuredAt: bigint): void {
  if (seq < 0n || seq >= SEQ_END) throw invalid(`${seq} is no sequence number: give 0 to 2^64 - 1.`, { seq });
  if (measuredAt < 0n || measuredAt >= TIME_END) {
    throw invalid(`${measuredAt} is no time of a reading: give Unix milliseconds below 2^48.`, { seq, measuredAt });
  }
}

/** The times between which readings were measured. */
function newSpan(): { add(measuredAt: bigint): void; get(): { tFirst: bigint; tLast: bigint } } {
  let [tFirst, tLast] = [TIME_END, 0n];
  return {
    add(measuredAt) {
      if (measuredAt < tFirst) tFirst = measuredAt;
      if (measuredAt > tLast) tLast = measuredAt;
    },
    get: () => ({ tFirst, tLast }),
  };
}

function toHex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`;
}

function invalid(message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", message, { details });
}
