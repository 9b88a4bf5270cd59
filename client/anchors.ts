import { AbiCoder, concat, dataSlice, getBytes, hexlify, toBeHex } from "ethers";

import type { IDataAnchor } from "../typechain-types/index.js";
import { requireAddress, requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import type { Batch, BatchSummary } from "./batches.js";
import type { Touchstone } from "./connect.js";
import {
  anchorKinds,
  freshStates,
  nameOf,
  numberOf,
  treeHashes,
  type AnchorKind,
  type FreshState,
  type TreeHash,
} from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, type TouchstoneEventNamed } from "./events.js";
import type { Key, KeyProof, Prover } from "./keys.js";
import { buildTree, HASH_BYTES, hashLeaf, peakProof } from "./merkle.js";
import { askProof } from "./proofs.js";
import { ask, decodeRevert, type ContractRevertError } from "./reverts.js";
import { deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { anchorMessage } from "./typed-data.js";

/** Seconds until which an anchor can be sent, unless told: a day, as gateways are offline at times. */
export const DEFAULT_VALID_FOR = 86_400n;

/** Milliseconds by which a measurement may be ahead of its anchor's block. */
export const CLOCK_TOLERANCE = 3_600_000n;

/** Readings of one anchor, at most. */
export const MAX_COUNT = 2n ** 32n;

/** The top bit of a stream: set in the logs of fleets. */
const FLEET_STREAM = 1n << 95n;

/** The message by which a device commits to a batch; the fields are those of the contract. */
export interface Anchor {
  logId: string;
  index: bigint;
  kind: bigint;
  tree: bigint;
  firstSeq: bigint;
  count: bigint;
  tFirst: bigint;
  tLast: bigint;
  supersedes: bigint;
  freshBlock: bigint;
  freshHash: string;
  root: string;
  deadline: bigint;
}

/** An anchor as the log keeps it. */
export interface AnchorRecord {
  logId: string;
  index: bigint;
  kind: AnchorKind;
  tree: TreeHash;
  firstSeq: bigint;
  count: bigint;
  /** Unix milliseconds. */
  tFirst: bigint;
  /** Unix milliseconds. */
  tLast: bigint;
  /** Index of the anchor that a correction corrects. */
  supersedes: bigint;
  freshBlock: bigint;
  freshState: FreshState;
  root: string;
  /** Unix seconds of its block. */
  timestamp: bigint;
  /** The key or account that appended it. */
  author: string;
}

/** What an anchor commits to, however often it is signed. */
export type AnchorContent = Omit<AnchorRecord, "freshBlock" | "freshState" | "timestamp" | "author">;

/** Where a log ends. */
export interface Head {
  /** Sequence number that the next reading must have. */
  nextSeq: bigint;
  /** Number of anchors. */
  size: bigint;
  /** Unix milliseconds of the latest measurement. */
  lastMeasured: bigint;
  /** Unix seconds of the latest anchor that continued the log: a correction does not. */
  lastAnchored: bigint;
}

/** Readings that were lost: what is known of them. */
export interface Gap {
  logId: string;
  firstSeq: bigint;
  count: bigint;
  /** Unix milliseconds between which they were measured. */
  tFirst: bigint;
  tLast: bigint;
}

/** What shows the chain that a reading is in a log, at its place. */
export interface ReadingProof {
  anchor: AnchorRecord;
  reading: { seq: bigint; measuredAt: bigint; commitment: string };
  /** From the reading's leaf to the anchor's root. */
  batchProof: string[];
  /** From the anchor's leaf to the peak of the log; it ends where the log grows past the peak: prove again then. */
  peakProof: string[];
}

/** What shows the chain that readings which follow each other are all that a log has there. */
export interface RangeProof {
  anchor: AnchorRecord;
  /** All readings of the range, which lie within one anchor. */
  readings: { seq: bigint; measuredAt: bigint; commitment: string }[];
  /** What completes the leaves of the readings to the anchor's root. */
  rangeProof: string[];
  /** As in ReadingProof. */
  peakProof: string[];
}

/** What shows the chain that a log began with what it was once, at the size that it has now: prove again when it grew. */
export interface ConsistencyProof {
  logId: string;
  /** Number of anchors that the log had then. */
  oldSize: bigint;
  /** As in RFC 9162, section 2.1.4. */
  proof: string[];
}

/** An anchor that a call for many left out, as it would have been refused alone. The others went on. */
export interface SkippedAnchor {
  /** Its place in what was given. */
  place: number;
  anchor: Anchor;
  error: ContractRevertError;
}

/** What every verb for many anchors returns. */
export interface SentMany extends Sent {
  /** In their order; empty if all were appended. */
  skipped: SkippedAnchor[];
}

/** An anchor that a device signed, or signs now. */
export interface SignedAnchor {
  anchor: Anchor;
  /** The device's key, or its proof over the anchor. */
  byDevice: Prover;
}

// ------------------------------------------------------------------ logs

/**
 * The id of a log that a device's key writes.
 *
 * @param options.stream Number of the stream, below 2^95; 0 unless told.
 */
export function deviceLogId(options: { device: string; stream?: bigint }): string {
  return logIdOf(requireAddress("device", options.device), requireUint("stream", options.stream ?? 0n, 95));
}

/**
 * The id of a log that a fleet's governor and members with Anchor write.
 *
 * @param options.fleet An account or a fleet handle.
 * @param options.stream Number of the stream, below 2^95; 0 unless told.
 */
export function fleetLogId(options: { fleet: string; stream?: bigint }): string {
  const stream = requireUint("stream", options.stream ?? 0n, 95);
  return logIdOf(requireAddress("fleet", options.fleet), FLEET_STREAM | stream);
}

/** Whether the governor and members of a fleet write the log; else a device does, and signs. */
export function isFleetLog(logId: string): boolean {
  return (BigInt(logId) & FLEET_STREAM) !== 0n;
}

/** Where a log ends; all zero for one never written. */
export async function head(options: { touchstone: Touchstone; logId: string }): Promise<Head> {
  const logId = requireHex("logId", options.logId, 32);
  const { nextSeq, size, lastMeasured, lastAnchored } = await ask(() => options.touchstone.dataAnchor.head(logId));
  return { nextSeq, size, lastMeasured, lastAnchored };
}

/**
 * Whether nothing has continued a log for more than so many seconds, or ever. The newest readings that are withheld show in
 * nothing else.
 */
export async function isOverdue(options: {
  touchstone: Touchstone;
  logId: string;
  /** Seconds, below 2^40. */
  longestSilence: bigint;
}): Promise<boolean> {
  const logId = requireHex("logId", options.logId, 32);
  const longestSilence = requireUint("longestSilence", options.longestSilence, 40);
  return ask(() => options.touchstone.dataAnchor.isOverdue(logId, longestSilence));
}

/** The RFC 9162 root over a log's anchors, 32 bytes as 0x hex. */
export async function root(options: { touchstone: Touchstone; logId: string }): Promise<string> {
  const logId = requireHex("logId", options.logId, 32);
  return ask(() => options.touchstone.dataAnchor.root(logId));
}

/** All anchors of a log, read from the chain's events. */
export async function readAnchors(options: {
  touchstone: Touchstone;
  logId: string;
  signal?: AbortSignal;
}): Promise<AnchorRecord[]> {
  const logId = requireHex("logId", options.logId, 32);
  const anchors: AnchorRecord[] = [];
  for await (const event of readEvents({ ...options, logs: [logId] })) {
    if (event.name === "Anchored") anchors.push(recordOf(event));
  }
  return anchors;
}

// ------------------------------------------------------------------ appending

/** What every anchor may say besides its batch. */
export interface NewAnchorOptions {
  touchstone: Touchstone;
  /** Names the latest block, so that the anchor is shown to be not older than that; not unless told. */
  fresh?: boolean;
  /** Seconds until which it can be sent; one day unless told. */
  validFor?: bigint;
}

/**
 * Makes the anchor that appends a batch to its log, at the log's present end.
 *
 * @param options.kind Data unless told; Receipts and AccessLog in fleet logs only.
 * @throws TouchstoneError LOG_GAP if the batch does not continue the log.
 */
export async function newAnchor(
  options: NewAnchorOptions & { batch: BatchSummary; kind?: "Data" | "Receipts" | "AccessLog" },
): Promise<Anchor> {
  const { batch, kind = "Data" } = options;
  return appended(options, { ...batch, kind, tree: batch.tree, root: batch.root });
}

/**
 * Makes the anchor that declares readings lost, so that the log can go on behind them.
 *
 * @throws TouchstoneError LOG_GAP if the gap does not begin where the log ends.
 */
export async function newGap(options: NewAnchorOptions & { gap: Gap }): Promise<Anchor> {
  return appended(options, { ...options.gap, kind: "Gap", tree: "Keccak256", root: ZERO_HASH });
}

/**
 * Makes the anchor by which a batch corrects readings that are in the log. Both stay readable.
 *
 * @param options.supersedes Index of the anchor that it corrects.
 */
export async function newCorrection(
  options: NewAnchorOptions & { batch: BatchSummary; supersedes: bigint },
): Promise<Anchor> {
  const { touchstone, batch } = options;
  const { size } = await head({ touchstone, logId: batch.logId });
  return newAnchorAt(options, size, { ...batch, kind: "Correction", supersedes: options.supersedes });
}

/** The message of an anchor, of what it commits to and what is said with it when it is signed. */
export function anchorOf(content: AnchorContent, said: Pick<Anchor, "freshBlock" | "freshHash" | "deadline">): Anchor {
  const { logId, index, firstSeq, count, tFirst, tLast, supersedes, root: batchRoot } = content;
  return {
    logId,
    index,
    kind: numberOf(anchorKinds, content.kind),
    tree: numberOf(treeHashes, content.tree),
    firstSeq,
    count,
    tFirst,
    tLast,
    supersedes,
    freshBlock: said.freshBlock,
    freshHash: said.freshHash,
    root: batchRoot,
    deadline: said.deadline,
  };
}

/** Signs an anchor with the key of the log's device. */
export async function signAnchor(options: { touchstone: Touchstone; anchor: Anchor; key: Key }): Promise<KeyProof> {
  const message = anchorMessage(options.touchstone.domains.DataAnchor, checkedAnchor(options.anchor));
  return askProof("key", options.key, message);
}

/**
 * Appends to a device log. Anyone may send what the device signed.
 *
 * @param options.byDevice The device's key, or its proof over the anchor.
 */
export async function anchor(options: SendOptions & SignedAnchor): Promise<Sent> {
  const { touchstone } = options;
  const { anchor: checked, proof } = await signedAnchor(touchstone, "byDevice", options);
  return send(options, () => touchstone.dataAnchor.anchor.populateTransaction(checked, proof));
}

/** Appends to a fleet log. By the governor of the log's fleet or a member with Anchor. */
export async function anchorAsMember(options: SendOptions & { anchor: Anchor }): Promise<Sent> {
  const checked = checkedAnchor(options.anchor);
  return send(options, () => options.touchstone.dataAnchor.anchorAsMember.populateTransaction(checked));
}

/**
 * Appends to many logs of one fleet at the least cost, and leaves out what a log cannot take. By the fleet's governor or a
 * member with Anchor.
 *
 * Fresh block and deadline are said once for all: what the anchors say of them does not count.
 *
 * @param options.anchors In the order in which they are appended; of one log as many as follow each other.
 * @param options.fresh Names the latest block, as for newAnchor.
 * @param options.validFor Seconds until which the transaction counts; one day unless told.
 * @throws TouchstoneError INVALID_ARGUMENT if there is none, or one of another fleet's logs.
 */
export async function anchorMany(
  options: SendOptions & Omit<NewAnchorOptions, "touchstone"> & { fleet: string; anchors: readonly Anchor[] },
): Promise<SentMany> {
  const { touchstone, validFor = DEFAULT_VALID_FOR } = options;
  const fleet = requireAddress("fleet", options.fleet);
  const anchors = requireSome(options.anchors.map(checkedAnchor));
  const records = concat(anchors.map((each) => packedRecord(fleet, each)));
  const { freshBlock, freshHash } = await freshBlockOf(options);
  const deadline = await deadlineIn(touchstone, validFor);
  const sent = await send(options, () =>
    touchstone.dataAnchor.anchorMany.populateTransaction(fleet, deadline, freshBlock, freshHash, records),
  );
  // There is one event for each record, in their order.
  const outcomes = sent.events.filter(({ name }) => name === "Anchored" || name === "AnchorSkipped");
  const skipped = outcomes.flatMap((event, place) =>
    event.name === "AnchorSkipped" ? skippedAnchor(anchors, place, event.args.reason) : [],
  );
  return { ...sent, skipped };
}

/**
 * Appends to many device logs in one transaction. Anyone may send what the devices signed.
 *
 * @param options.anchors In the order in which they are appended; of one log as many as follow each other.
 * @param options.allOrNone Appends none if one is refused, instead of leaving it out.
 * @throws TouchstoneError INVALID_ARGUMENT if there is none.
 */
export async function anchorAll(
  options: SendOptions & { anchors: readonly SignedAnchor[]; allOrNone?: boolean },
): Promise<SentMany> {
  const { touchstone, allOrNone = false } = options;
  const { dataAnchor } = touchstone;
  const signed: Awaited<ReturnType<typeof signedAnchor>>[] = [];
  for (const [place, each] of requireSome(options.anchors).entries()) {
    signed.push(await signedAnchor(touchstone, `anchors[${place}].byDevice`, each));
  }
  const anchors = signed.map((each) => each.anchor);
  const calls = signed.map((each) => dataAnchor.interface.encodeFunctionData("anchor", [each.anchor, each.proof]));
  if (allOrNone) {
    return { ...(await send(options, () => dataAnchor.multicall.populateTransaction(calls))), skipped: [] };
  }
  const sent = await send(options, () => dataAnchor.tryMulticall.populateTransaction(calls));
  const skipped = sent.events.flatMap((event) =>
    event.contract === "DataAnchor" && event.name === "CallSkipped"
      ? skippedAnchor(anchors, Number(event.args.index), event.args.reason)
      : [],
  );
  return { ...sent, skipped };
}

// ------------------------------------------------------------------ evidence

/**
 * Puts on record that a device signed two different batches for one place in its log. Anyone may send. Two anchors that
 * differ in deadline and fresh block only are one batch, signed again: the contract refuses them.
 */
export async function reportEquivocation(
  options: SendOptions & { first: SignedAnchor; second: SignedAnchor },
): Promise<Sent> {
  const { touchstone } = options;
  const first = await signedAnchor(touchstone, "first.byDevice", options.first);
  const second = await signedAnchor(touchstone, "second.byDevice", options.second);
  return send(options, () =>
    touchstone.dataAnchor.reportEquivocation.populateTransaction(
      first.anchor,
      first.proof,
      second.anchor,
      second.proof,
    ),
  );
}

// ------------------------------------------------------------------ proving

/**
 * Makes what shows the chain that a reading is in a log, from its batch and the log's events.
 *
 * @throws TouchstoneError NOT_FOUND if the batch is not in the log, or has no such reading.
 */
export async function proveReading(options: {
  touchstone: Touchstone;
  batch: Batch;
  seq: bigint;
  signal?: AbortSignal;
}): Promise<ReadingProof> {
  const { batch, seq } = options;
  const batchProof = batch.proofOf(seq);
  const { anchor: record, peakProof: siblings } = await proveBatch(options);
  const [reading] = readingsOf(batch, seq, 1n);
  // Not reached: the batch gave a proof of it.
  if (reading === undefined) throw new RangeError(`The batch has no reading ${seq}.`);
  return { anchor: record, reading, batchProof, peakProof: siblings };
}

/**
 * Makes what shows the chain that readings of one batch are all that its log has from the first to the last of them. A
 * range over several batches is proved batch by batch, as a log leaves no number out.
 *
 * @throws TouchstoneError NOT_FOUND if the batch is not in the log, or has no such readings.
 */
export async function proveRange(options: {
  touchstone: Touchstone;
  batch: Batch;
  firstSeq: bigint;
  count: bigint;
  signal?: AbortSignal;
}): Promise<RangeProof> {
  const { batch, firstSeq, count } = options;
  const rangeProof = batch.rangeProofOf(firstSeq, count);
  const { anchor: record, peakProof: siblings } = await proveBatch(options);
  return { anchor: record, readings: readingsOf(batch, firstSeq, count), rangeProof, peakProof: siblings };
}

/**
 * Makes what shows the chain that a log began with the first `oldSize` of its anchors, for whoever kept the root that it had
 * then.
 *
 * @param options.oldSize 1 to the log's size.
 * @throws TouchstoneError NOT_FOUND if the log has not so many anchors, or for none.
 */
export async function proveConsistency(options: {
  touchstone: Touchstone;
  logId: string;
  oldSize: bigint;
  signal?: AbortSignal;
}): Promise<ConsistencyProof> {
  const { logId, oldSize } = options;
  const anchors = await readAnchors(options);
  if (oldSize < 1n || oldSize > BigInt(anchors.length)) {
    throw new TouchstoneError(
      "NOT_FOUND",
      `The log ${logId} has ${anchors.length} anchors, and cannot be compared with what it was at ${oldSize}: give 1 to ` +
        `${anchors.length}.`,
      { details: { logId, oldSize, size: BigInt(anchors.length) } },
    );
  }
  const tree = buildTree({ hash: "Keccak256", leaves: leavesOf(anchors) });
  return { logId, oldSize, proof: tree.consistencyProofOf(Number(oldSize)).map((node) => hexlify(node)) };
}

/**
 * Whether the chain holds that the reading is in the log, at the place that its sequence number says. The commitment opens
 * with the payload and its salt: see commitmentOf.
 */
export async function verifyReading(options: { touchstone: Touchstone; proof: ReadingProof }): Promise<boolean> {
  const { anchor: record, reading, batchProof, peakProof: siblings } = options.proof;
  return ask(() => options.touchstone.dataAnchor.verifyReading(structOf(record), reading, batchProof, siblings));
}

/** Whether the chain holds that the readings are all that the log has from the first to the last of them. */
export async function verifyRange(options: { touchstone: Touchstone; proof: RangeProof }): Promise<boolean> {
  const { anchor: record, readings, rangeProof, peakProof: siblings } = options.proof;
  return ask(() => options.touchstone.dataAnchor.verifyRange(structOf(record), readings, rangeProof, siblings));
}

/**
 * Whether the chain holds that the log, as it is now, begins with the log of the old size that had this root.
 *
 * @param options.oldRoot As it was read or witnessed then, 32 bytes as 0x hex: never what the proof's maker says now.
 */
export async function verifyConsistency(options: {
  touchstone: Touchstone;
  oldRoot: string;
  proof: ConsistencyProof;
}): Promise<boolean> {
  const { logId, oldSize, proof } = options.proof;
  const oldRoot = requireHex("oldRoot", options.oldRoot, 32);
  return ask(() => options.touchstone.dataAnchor.verifyConsistency(logId, oldSize, oldRoot, proof));
}

/** Whether the chain holds that the anchor is in its log. */
export async function verifyAnchor(options: {
  touchstone: Touchstone;
  anchor: AnchorRecord;
  /** As proveReading gives it. */
  peakProof: readonly string[];
}): Promise<boolean> {
  return ask(() => options.touchstone.dataAnchor.verifyAnchor(structOf(options.anchor), [...options.peakProof]));
}

/** The leaf of an anchor in its log, as 0x hex: keccak256(0x00 ‖ 0x03 ‖ abi.encode(record)). */
export function anchorLeaf(record: AnchorRecord): string {
  const encoded = AbiCoder.defaultAbiCoder().encode([RECORD_TYPE], [structOf(record)]);
  return hexlify(hashLeaf("Keccak256", getBytes(concat([ANCHOR_PREFIX, encoded]))));
}

// ------------------------------------------------------------------ private

const ANCHOR_PREFIX = "0x03";
/** All members are static, so that the struct's encoding is its words. */
const RECORD_TYPE =
  "tuple(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast," +
  "uint64 supersedes,uint64 freshBlock,uint8 freshState,bytes32 root,uint64 timestamp,address author)";

function logIdOf(subject: string, stream: bigint): string {
  return `${subject.toLowerCase()}${stream.toString(16).padStart(24, "0")}`;
}

type NewContent = Omit<AnchorContent, "index" | "supersedes"> & { supersedes?: bigint };

/** At the end of the log, which it must continue. */
async function appended(options: NewAnchorOptions, content: NewContent): Promise<Anchor> {
  const { logId, firstSeq } = content;
  const { size, nextSeq } = await head({ touchstone: options.touchstone, logId });
  if (firstSeq !== nextSeq) {
    throw new TouchstoneError(
      "LOG_GAP",
      `The log ${logId} goes on with reading ${nextSeq}, not ${firstSeq}: send what is missing, declare it lost with newGap, ` +
        "or build the batch anew.",
      { details: { logId, nextSeq, firstSeq } },
    );
  }
  return newAnchorAt(options, size, content);
}

async function newAnchorAt(options: NewAnchorOptions, index: bigint, content: NewContent): Promise<Anchor> {
  const { touchstone, validFor = DEFAULT_VALID_FOR } = options;
  const fresh = await freshBlockOf(options);
  const deadline = await deadlineIn(touchstone, validFor);
  return checkedAnchor(anchorOf({ supersedes: 0n, ...content, index }, { ...fresh, deadline }));
}

/** The latest block if it is to be named, else none. */
async function freshBlockOf({ touchstone, fresh = false }: NewAnchorOptions) {
  const block = fresh ? await ask(() => touchstone.provider.getBlock("latest")) : undefined;
  return { freshBlock: BigInt(block?.number ?? 0), freshHash: block?.hash ?? ZERO_HASH };
}

async function signedAnchor(touchstone: Touchstone, argument: string, { anchor: given, byDevice }: SignedAnchor) {
  const checked = checkedAnchor(given);
  const proof = await askProof(argument, byDevice, anchorMessage(touchstone.domains.DataAnchor, checked));
  return { anchor: checked, proof };
}

function requireSome<T>(anchors: readonly T[]): readonly T[] {
  if (anchors.length > 0) return anchors;
  throw new TouchstoneError("INVALID_ARGUMENT", "anchors: there is none: give at least one.", {
    details: { argument: "anchors" },
  });
}

/** stream12 ‖ index8 ‖ kind1 ‖ tree1 ‖ firstSeq8 ‖ count5 ‖ tFirst6 ‖ tLast6 ‖ supersedes8 ‖ root32 */
function packedRecord(fleet: string, value: Anchor): string {
  if (dataSlice(value.logId, 0, 20) !== fleet.toLowerCase()) {
    throw new TouchstoneError("INVALID_ARGUMENT", `The log ${value.logId} is not one of the fleet ${fleet}.`, {
      details: { logId: value.logId, fleet },
    });
  }
  const { index, kind, tree, firstSeq, count, tFirst, tLast, supersedes } = value;
  return concat([
    dataSlice(value.logId, 20),
    toBeHex(index, 8),
    toBeHex(kind, 1),
    toBeHex(tree, 1),
    toBeHex(firstSeq, 8),
    toBeHex(requireUint("count", count, 40), 5),
    toBeHex(tFirst, 6),
    toBeHex(tLast, 6),
    toBeHex(supersedes, 8),
    value.root,
  ]);
}

function skippedAnchor(anchors: readonly Anchor[], place: number, reason: string): SkippedAnchor[] {
  const skipped = anchors[place];
  const error = decodeRevert({ data: reason });
  // Not reached: the contract numbers what it was given, and says why with at least a selector.
  if (skipped === undefined || error === undefined) throw new RangeError(`There is no anchor ${place}: ${reason}.`);
  return [{ place, anchor: skipped, error }];
}

/** The anchor of a batch, and its way to the peak of the log. */
async function proveBatch(options: { touchstone: Touchstone; batch: Batch; signal?: AbortSignal }) {
  const { logId, root: batchRoot, firstSeq } = options.batch;
  const anchors = await readAnchors({ ...options, logId });
  const index = anchors.findIndex((record) => record.root === batchRoot && record.firstSeq === firstSeq);
  const record = anchors[index];
  if (record === undefined) {
    throw new TouchstoneError(
      "NOT_FOUND",
      `The log ${logId} has no anchor of the batch with root ${batchRoot}: anchor it first.`,
      { details: { logId, root: batchRoot, firstSeq } },
    );
  }
  return { anchor: record, peakProof: peakProof({ leaves: leavesOf(anchors), index }).map((node) => hexlify(node)) };
}

/** Readings that the batch has, without what opens them. */
function readingsOf(batch: Batch, firstSeq: bigint, count: bigint): RangeProof["readings"] {
  const first = Number(firstSeq - batch.firstSeq);
  return batch.readings
    .slice(first, first + Number(count))
    .map(({ seq, measuredAt, commitment }) => ({ seq, measuredAt, commitment }));
}

function checkedAnchor(value: Anchor): Anchor {
  return {
    logId: requireHex("logId", value.logId, 32),
    index: requireUint("index", value.index, 64),
    kind: requireUint("kind", value.kind, 8),
    tree: requireUint("tree", value.tree, 8),
    firstSeq: requireUint("firstSeq", value.firstSeq, 64),
    count: requireUint("count", value.count, 64),
    tFirst: requireUint("tFirst", value.tFirst, 48),
    tLast: requireUint("tLast", value.tLast, 48),
    supersedes: requireUint("supersedes", value.supersedes, 64),
    freshBlock: requireUint("freshBlock", value.freshBlock, 64),
    freshHash: requireHex("freshHash", value.freshHash, 32),
    root: requireHex("root", value.root, 32),
    deadline: requireUint("deadline", value.deadline, 40),
  };
}

/**
 * The anchor that an event tells of, of whose words the fields are, from the lowest bit, span: firstSeq64 | count64 |
 * tFirst48 | tLast48, and context: kind8 | tree8 | freshState8 | timestamp64 | freshBlock64 | supersedes64.
 */
export function recordOf({ args }: TouchstoneEventNamed<"Anchored">): AnchorRecord {
  const { logId, index, author, span, root: batchRoot, context } = args;
  const field = (word: bigint, at: bigint, bits: number): bigint => BigInt.asUintN(bits, word >> at);
  return {
    logId,
    index,
    kind: nameOf(anchorKinds, field(context, 0n, 8)),
    tree: nameOf(treeHashes, field(context, 8n, 8)),
    firstSeq: field(span, 0n, 64),
    count: field(span, 64n, 64),
    tFirst: field(span, 128n, 48),
    tLast: field(span, 176n, 48),
    supersedes: field(context, 152n, 64),
    freshBlock: field(context, 88n, 64),
    freshState: nameOf(freshStates, field(context, 16n, 8)),
    root: batchRoot,
    timestamp: field(context, 24n, 64),
    author,
  };
}

/** The record as the contract takes it. */
export function structOf(record: AnchorRecord): IDataAnchor.AnchorRecordStruct {
  return {
    ...record,
    kind: numberOf(anchorKinds, record.kind),
    tree: numberOf(treeHashes, record.tree),
    freshState: numberOf(freshStates, record.freshState),
  };
}

/** The leaves of a log's tree, 32 bytes each, one after the other. */
export function leavesOf(anchors: readonly AnchorRecord[]): Uint8Array {
  const leaves = new Uint8Array(anchors.length * HASH_BYTES);
  for (const [place, record] of anchors.entries()) leaves.set(getBytes(anchorLeaf(record)), place * HASH_BYTES);
  return leaves;
}
