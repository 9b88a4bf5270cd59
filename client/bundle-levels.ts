import { getBytes, hexlify } from "ethers";

import { anchorLeaf, MAX_COUNT, type AnchorRecord } from "./anchors.js";
import { peakHeight } from "./anchor-storage.js";
import { commitmentOf, readingLeaf } from "./batches.js";
import { recordIn, type BundleBatch, type ProofBundle } from "./bundle-format.js";
import { TouchstoneError } from "./errors.js";
import { HASH_BYTES } from "./merkle.js";
import { rootOfPath, rootOfRange } from "./merkle-paths.js";
import { saltsOf, type SeedNode } from "./seed-tree.js";

// ------------------------------------------------------------------ what a verifier says

/** Unchecked: neither shown nor refuted, for `reason`. */
export type LevelStatus = "Proved" | "Refused" | "Unchecked";

/** Why a level was refused, or could not be checked. */
export type BundleReason =
  /** The verifier expects another chain. */
  | "WRONG_CHAIN"
  /** The verifier expects another contract: the log is one that someone else keeps. */
  | "WRONG_CONTRACT"
  /** A batch has no readings in the bundle. */
  | "READINGS_MISSING"
  /** A declared loss has readings. */
  | "READINGS_UNEXPECTED"
  /** A reading was measured outside of the time that its anchor names. */
  | "TIME_OUT_OF_SPAN"
  /** The seeds are not those that cover just the disclosed readings. */
  | "SEEDS_MISMATCH"
  /** The readings do not lead to the root of their anchor. */
  | "ROOT_MISMATCH"
  /** Readings of fleets are not signed by devices: the author of each anchor is a member, and the chain knows it. */
  | "FLEET_LOG"
  /** A log of a fleet has a device's signature. */
  | "SIGNATURE_UNEXPECTED"
  /** The bundle has no signature for an anchor of a device. */
  | "SIGNATURE_MISSING"
  /** The signature is not that of the anchor's author over this anchor. */
  | "SIGNATURE_INVALID"
  /** The public key is not that of the anchor's author. */
  | "KEY_NOT_AUTHOR"
  /** The message was no longer valid when it was anchored. */
  | "DEADLINE_PASSED"
  /** The author is not the factory key of the device, and only chain or state can tell whether it ever was its key. */
  | "KEY_ROTATED"
  /** The author is a contract, which only the chain can ask. */
  | "ACCOUNT_CONTRACT"
  /** No chain was given. */
  | "CHAIN_MISSING"
  /** The chain could not be asked, or the node has not come as far. */
  | "CHAIN_FAILED"
  /** The chain has no such block. */
  | "BLOCK_MISMATCH"
  /** The log has another number of anchors. */
  | "SIZE_MISMATCH"
  /** The log does not have this anchor at this place. */
  | "ANCHOR_NOT_IN_LOG"
  /** The log had a correction of the range that the bundle leaves out. */
  | "CORRECTION_MISSING"
  /** The bundle has no proofs of state. */
  | "STATE_MISSING"
  /** No block hash was given. */
  | "BLOCK_HASH_MISSING"
  /** No contract was named: the log is proved to be one that anyone may have made up. */
  | "CONTRACT_MISSING"
  /** The header is not that of the block. */
  | "HEADER_MISMATCH"
  /** The state of the block does not have the contract, by this proof. */
  | "ACCOUNT_NOT_PROVED"
  /** The contract's storage does not have the head of the log, by this proof. */
  | "HEAD_NOT_PROVED"
  /** The contract's storage does not have the peak of the log, by this proof; or proofs are missing, or too many. */
  | "PEAK_NOT_PROVED"
  /** The range has no readings, or ends past the last sequence number. */
  | "RANGE_INVALID"
  /** The anchors are not in the order of the log. */
  | "ORDER_WRONG"
  /** An anchor has no reading of the range. */
  | "NOT_IN_RANGE"
  /** The readings of two anchors overlap. */
  | "OVERLAP"
  /** The anchors do not have all readings of the range, or a batch has not all that it should. */
  | "READINGS_INCOMPLETE"
  /** The readings are not shown to be those of their anchors: see the level `bytes`. */
  | "BYTES_NOT_PROVED";

/** What one level says. */
export interface BundleLevel {
  status: LevelStatus;
  /** Missing if it is proved. */
  reason?: BundleReason;
  /** For people. */
  message: string;
  /** Which of the bundle's batches it is about, if it is about one. */
  batch?: number;
}

/** Consecutive readings. */
export interface Span {
  firstSeq: bigint;
  count: bigint;
}

export interface BytesLevel extends BundleLevel {
  /** Readings whose content was compared with what was anchored. */
  disclosed: number;
  /** Readings that are there by their commitment alone. */
  withheld: number;
}

export interface RangeLevel extends BundleLevel {
  /** Readings of the range that were declared lost. */
  lost: Span[];
  /** Readings of the range that were corrected, with the index of the anchor that has the correction. */
  corrected: (Span & { index: bigint })[];
}

export function proved(message: string): BundleLevel {
  return { status: "Proved", message };
}

export function refused(reason: BundleReason, message: string, batch?: number): BundleLevel {
  return { status: "Refused", reason, message, ...(batch !== undefined && { batch }) };
}

export function unchecked(reason: BundleReason, message: string, batch?: number): BundleLevel {
  return { status: "Unchecked", reason, message, ...(batch !== undefined && { batch }) };
}

/** What the verifier knows beforehand. */
export interface Expectation {
  chainId?: bigint | undefined;
  dataAnchor?: string | undefined;
}

/** Refuses a bundle of another chain or contract than the verifier expects. */
export function refuseOther(bundle: ProofBundle, { chainId, dataAnchor }: Expectation): BundleLevel | undefined {
  if (chainId !== undefined && BigInt(bundle.chainId) !== chainId) {
    return refused("WRONG_CHAIN", `The bundle is of the chain ${bundle.chainId}, not of ${chainId}.`);
  }
  if (dataAnchor !== undefined && bundle.dataAnchor !== dataAnchor.toLowerCase()) {
    return refused("WRONG_CONTRACT", `The log is kept by ${bundle.dataAnchor}, not by ${dataAnchor}.`);
  }
  return undefined;
}

// ------------------------------------------------------------------ places

/** The readings of the range that an anchor speaks of; undefined for none. */
export function spanIn(range: ProofBundle["range"], anchor: { firstSeq: bigint; count: bigint }): Span | undefined {
  const [rangeFirst, rangeCount] = [BigInt(range.firstSeq), BigInt(range.count)];
  const firstSeq = anchor.firstSeq > rangeFirst ? anchor.firstSeq : rangeFirst;
  const [end, rangeEnd] = [anchor.firstSeq + anchor.count, rangeFirst + rangeCount];
  const count = (end < rangeEnd ? end : rangeEnd) - firstSeq;
  return count > 0n ? { firstSeq, count } : undefined;
}

/**
 * The peak of the log that the anchor of a batch leads to.
 *
 * @returns undefined if the log has no such anchor, or the proof is not as long as the way.
 */
export function peakOf(bundle: ProofBundle, batch: BundleBatch): { height: number; root: string } | undefined {
  const record = recordIn(bundle, batch);
  const size = BigInt(bundle.log.size);
  if (record.index >= size) return undefined;
  const height = peakHeight(record.index, size);
  if (batch.peakProof.length !== height) return undefined;
  const root = rootOfPath({
    hash: "Keccak256",
    leaf: getBytes(anchorLeaf(record)),
    index: Number(BigInt.asUintN(height, record.index)),
    size: 2 ** height,
    path: batch.peakProof.map((sibling) => getBytes(sibling)),
  });
  return root === undefined ? undefined : { height, root: hexlify(root) };
}

// ------------------------------------------------------------------ bytes

const SALT_BYTES = 16;
/** Sequence numbers, as the contract bounds them. */
const MAX_SEQ = 2n ** 64n;

/** Payloads and salts to commitments, these to leaves, and leaves to the root of each anchor. */
export function checkBytes(bundle: ProofBundle): BytesLevel {
  let [disclosed, withheld] = [0, 0];
  for (const [place, batch] of bundle.batches.entries()) {
    const fault = faultInBytes(bundle, batch, place);
    if (fault !== undefined) return { ...fault, disclosed: 0, withheld: 0 };
    const open = batch.readings.filter((reading) => "payload" in reading).length;
    disclosed += open;
    withheld += batch.readings.length - open;
  }
  const rest = withheld === 0 ? "" : `; of ${withheld} more the content was erased or is withheld`;
  return {
    ...proved(`${disclosed === 1 ? "1 reading is" : `${disclosed} readings are`} what was anchored${rest}.`),
    disclosed,
    withheld,
  };
}

function faultInBytes(bundle: ProofBundle, batch: BundleBatch, place: number): BundleLevel | undefined {
  const record = recordIn(bundle, batch);
  const refuse = (reason: BundleReason, message: string): BundleLevel => refused(reason, message, place);
  if (record.kind === "Gap") {
    const isEmpty = batch.readings.length + batch.seeds.length + batch.rangeProof.length === 0;
    if (isEmpty && BigInt(record.root) === 0n) return undefined;
    return refuse("READINGS_UNEXPECTED", `Anchor ${record.index} declares readings lost, and has a root or readings.`);
  }
  if (batch.readings.length === 0) {
    return refuse("READINGS_MISSING", `The bundle has no reading of anchor ${record.index}.`);
  }
  const late = batch.readings.findIndex(
    ({ measuredAt }) => BigInt(measuredAt) < record.tFirst || BigInt(measuredAt) > record.tLast,
  );
  if (late !== -1) {
    return refuse("TIME_OUT_OF_SPAN", `Reading ${late} of anchor ${record.index} is outside of the anchor's time.`);
  }
  const start = spanIn(bundle.range, record)?.firstSeq;
  if (start === undefined) return refuse("ROOT_MISMATCH", `Anchor ${record.index} has no reading of the range.`);
  if (
    start + BigInt(batch.readings.length) > record.firstSeq + record.count ||
    record.count > MAX_COUNT ||
    record.firstSeq + record.count > MAX_SEQ
  ) {
    return refuse("ROOT_MISMATCH", `Anchor ${record.index} has not as many readings as the bundle gives it.`);
  }
  const first = Number(start - record.firstSeq);
  const commitments = commitmentsOf(record, batch, first);
  if (commitments === undefined) {
    return refuse("SEEDS_MISMATCH", `The seeds of anchor ${record.index} do not cover just its disclosed readings.`);
  }
  const leaves = new Uint8Array(batch.readings.length * HASH_BYTES);
  for (const [index, { measuredAt }] of batch.readings.entries()) {
    const commitment = commitments[index] ?? "0x";
    const seq = start + BigInt(index);
    const leaf = readingLeaf({
      tree: record.tree,
      logId: record.logId,
      reading: { seq, measuredAt: BigInt(measuredAt), commitment },
    });
    leaves.set(getBytes(leaf), index * HASH_BYTES);
  }
  const root = rootOfRange({
    hash: record.tree,
    leaves,
    first,
    size: Number(record.count),
    proof: batch.rangeProof.map((sibling) => getBytes(sibling)),
  });
  if (root !== undefined && hexlify(root) === record.root) return undefined;
  return refuse(
    "ROOT_MISMATCH",
    `The readings of anchor ${record.index} do not lead to its root: one of them, a seed or the proof was altered.`,
  );
}

/** @returns undefined if the seeds are not those that cover just the disclosed readings. */
function commitmentsOf(record: AnchorRecord, batch: BundleBatch, first: number): string[] | undefined {
  const { readings } = batch;
  const commitments: string[] = [];
  let nextSeed = 0;
  for (let at = 0; at < readings.length;) {
    const reading = readings[at];
    if (reading === undefined || "commitment" in reading) {
      commitments.push(reading?.commitment ?? "0x");
      at += 1;
      continue;
    }
    // The readings that are disclosed from here on have seeds of their own: asked for all seeds, each would cost more.
    let end = at;
    while (end < readings.length && "payload" in (readings[end] ?? {})) end += 1;
    const seeds: SeedNode[] = [];
    for (const node of cover(first + at, first + end)) {
      const seed = batch.seeds[nextSeed];
      if (seed?.height !== node.height || seed.index !== node.index) return undefined;
      seeds.push({ ...node, seed: getBytes(seed.seed) });
      nextSeed += 1;
    }
    const salts = saltsOf({
      hash: record.tree,
      logId: record.logId,
      seeds,
      first: first + at,
      count: end - at,
    });
    for (let index = at; index < end; index += 1) {
      const open = readings[index];
      if (open === undefined || !("payload" in open)) continue;
      const salt = salts.subarray((index - at) * SALT_BYTES, (index - at + 1) * SALT_BYTES);
      const payload = Buffer.from(open.payload, "base64");
      commitments.push(commitmentOf({ tree: record.tree, salt, contentFormat: open.contentFormat, payload }));
    }
    at = end;
  }
  return nextSeed === batch.seeds.length ? commitments : undefined;
}

/** The largest nodes of a seed tree that cover the leaves from `first` to before `end`, and no other. */
export function cover(first: number, end: number): { height: number; index: number }[] {
  const nodes: { height: number; index: number }[] = [];
  for (let at = first; at < end;) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= end) height += 1;
    nodes.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return nodes;
}

// ------------------------------------------------------------------ range

/** Every reading of the range is in one anchor, at its place, or declared lost; corrections come beside. */
export function checkRange(bundle: ProofBundle, bytes: BundleLevel): RangeLevel {
  const lost: Span[] = [];
  const corrected: RangeLevel["corrected"] = [];
  const end = BigInt(bundle.range.firstSeq) + BigInt(bundle.range.count);
  const fault = faultInRange(bundle, { lost, corrected, end });
  if (fault !== undefined) return { ...fault, lost: [], corrected: [] };
  if (bytes.status !== "Proved") {
    const level = unchecked(
      "BYTES_NOT_PROVED",
      "Whether these are the readings of their anchors, is not shown: see bytes.",
    );
    return { ...level, lost, corrected };
  }
  const count = (spans: Span[]): bigint => spans.reduce((sum, span) => sum + span.count, 0n);
  const parts = [
    bundle.range.count === "1"
      ? `The reading ${bundle.range.firstSeq} is there`
      : `The readings ${bundle.range.firstSeq} to ${end - 1n} are all there`,
    ...(lost.length === 0 ? [] : [`but ${count(lost)} that were declared lost`]),
    ...(corrected.length === 0 ? [] : [`with corrections of ${count(corrected)}`]),
  ];
  return { ...proved(`${parts.join(", ")}.`), lost, corrected };
}

function faultInRange(
  bundle: ProofBundle,
  found: Pick<RangeLevel, "lost" | "corrected"> & { end: bigint },
): BundleLevel | undefined {
  const { lost, corrected, end } = found;
  const first = BigInt(bundle.range.firstSeq);
  if (end === first || end > MAX_SEQ) {
    return refused("RANGE_INVALID", `${bundle.range.count} readings from ${first} on are no range.`);
  }
  let next = first;
  let last = -1n;
  for (const [place, batch] of bundle.batches.entries()) {
    const { index, kind, firstSeq, count } = recordIn(bundle, batch);
    const refuse = (reason: BundleReason, message: string): BundleLevel => refused(reason, message, place);
    if (index <= last) return refuse("ORDER_WRONG", `Anchor ${index} stands behind anchor ${last}.`);
    last = index;
    const span = spanIn(bundle.range, { firstSeq, count });
    if (span === undefined) return refuse("NOT_IN_RANGE", `Anchor ${index} has no reading of the range.`);
    const readings = BigInt(batch.readings.length);
    if (readings !== (kind === "Gap" ? 0n : span.count)) {
      return refuse(
        "READINGS_INCOMPLETE",
        `Anchor ${index} has ${span.count} readings of the range, and ${readings} are in the bundle.`,
      );
    }
    if (kind === "Correction") {
      if (span.firstSeq + span.count > next) {
        return refuse("ORDER_WRONG", `Anchor ${index} corrects readings that stand behind it.`);
      }
      corrected.push({ ...span, index });
      continue;
    }
    if (next !== first && firstSeq < next) {
      return refuse("OVERLAP", `Anchor ${index} begins with reading ${firstSeq}, which the one before it has.`);
    }
    if (firstSeq > next) return refuse("READINGS_INCOMPLETE", missing(next, firstSeq));
    if (next !== first && next >= end) return refuse("NOT_IN_RANGE", `Anchor ${index} has no reading of the range.`);
    if (kind === "Gap") lost.push(span);
    next = firstSeq + count;
  }
  return next >= end ? undefined : refused("READINGS_INCOMPLETE", missing(next, end));
}

function missing(from: bigint, to: bigint): string {
  return `The readings ${from} to ${to - 1n} are missing.`;
}

/** What a check that asks others came to; that they failed is no word about the bundle. */
export async function unlessFailed(check: () => Promise<BundleLevel>): Promise<BundleLevel> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof TouchstoneError) || error.code === "CANCELLED") throw error;
    return unchecked("CHAIN_FAILED", `The chain could not be asked: ${error.message}`);
  }
}
