import { readFile, stat } from "node:fs/promises";

import { hexlify } from "ethers";

import { isFleetLog, type AnchorRecord } from "./anchors.js";
import { requireAddress, requireBlock, requireHex, requireUint } from "./arguments.js";
import type { Batch, Reading } from "./batches.js";
import { latestBlock } from "./blocks.js";
import { checkChain, peakProver, readLog, requireWhole, type ChainLevel, type LoggedAnchor } from "./bundle-chain.js";
import {
  anchorIn,
  formatBundle,
  invalidBundle,
  MAX_BUNDLE_BYTES,
  parseBundle,
  type BundleBatch,
  type ProofBundle,
} from "./bundle-format.js";
import {
  checkBytes,
  checkRange,
  spanIn,
  unchecked,
  unlessFailed,
  type BundleLevel,
  type BytesLevel,
  type RangeLevel,
} from "./bundle-levels.js";
import { checkSignatures, signedIn } from "./bundle-signatures.js";
import { checkState, fetchState, heightsOf, unavailable } from "./bundle-state.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { fileError } from "./files.js";
import { ask } from "./reverts.js";
import { discloseSeeds } from "./seed-tree.js";
import { requireNotCancelled, writeNewFile } from "./text-files.js";

export type { ChainLevel } from "./bundle-chain.js";
export {
  bundleJsonSchema,
  formatBundle,
  MAX_BUNDLE_BYTES,
  parseBundle,
  signatureSchemes,
  type BundleBatch,
  type BundleReading,
  type BundleSeed,
  type BundleState,
  type ProofBundle,
  type SignatureScheme,
  type SignedAnchor,
} from "./bundle-format.js";
export type { BundleLevel, BundleReason, BytesLevel, LevelStatus, RangeLevel, Span } from "./bundle-levels.js";

// ------------------------------------------------------------------ making

/** A new bundle, and what it does not have. */
export interface CreatedBundle {
  bundle: ProofBundle;
  /**
   * Indexes of the anchors of a device whose signatures are not in the bundle: the transactions do not show them, as
   * another contract sent them. Chain and state prove these anchors nevertheless.
   */
  unsigned: bigint[];
}

/**
 * Makes what proves a range of readings of one log to anyone.
 *
 * @param options.batches Those that the range is of, corrections of it included.
 * @param options.logId The log, 32 bytes as 0x hex; that of the batches unless told.
 * @param options.firstSeq Sequence number of the first reading.
 * @param options.count Number of readings.
 * @param options.withhold The content of readings for which it is true stays out; their commitments stand in its place.
 * @param options.withState Adds what proves the log to who trusts the hash of the block, without a node.
 * @param options.block Number of the block at which the log is proved; the latest unless told. Its state must still be
 *        known to the node for `withState`.
 * @throws TouchstoneError INVALID_ARGUMENT; NOT_FOUND if the log does not have all of the range, a batch is missing or
 *         was not anchored, or the node lacks events of the log; STATE_UNAVAILABLE; CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED.
 */
export async function createBundle(options: {
  touchstone: Touchstone;
  batches: readonly Batch[];
  logId?: string;
  firstSeq: bigint;
  count: bigint;
  withhold?: (seq: bigint) => boolean;
  withState?: boolean;
  block?: number;
  signal?: AbortSignal;
}): Promise<CreatedBundle> {
  const { touchstone, batches, withState = false, signal } = options;
  const logId = logOf(batches, options.logId);
  const firstSeq = requireUint("firstSeq", options.firstSeq, 64);
  const range = { firstSeq: String(firstSeq), count: String(requireUint("count", options.count, 64)) };
  const block = await blockOf(touchstone, options.block);
  const anchors = await readLog({ touchstone, logId, toBlock: block.number, signal });
  // Of an earlier block the node may have no state any more.
  if (options.block === undefined) await requireWhole({ touchstone, logId, anchors, block: block.number });
  const records = anchors.map(({ record }) => record);
  const proofOf = peakProver(records);
  const wanted = anchors.filter(({ record }) => spanIn(range, record) !== undefined);
  requireComplete(logId, { firstSeq, end: firstSeq + options.count }, records);

  const unsigned: bigint[] = [];
  const parts: BundleBatch[] = [];
  for (const anchor of wanted) {
    requireNotCancelled("Making the bundle", signal);
    const { record } = anchor;
    const signed = isFleetLog(logId) ? undefined : await signedIn({ touchstone, ...anchor });
    if (signed === undefined && !isFleetLog(logId)) unsigned.push(record.index);
    parts.push({
      anchor: anchorIn(record),
      ...readingsOf({ anchor, batches, range, withhold: options.withhold }),
      peakProof: proofOf(record.index),
      ...(signed && { signed }),
    });
  }
  const bundle: ProofBundle = {
    type: "touchstone-proof-bundle",
    version: 1,
    chainId: String(touchstone.chainId),
    dataAnchor: touchstone.addresses.DataAnchor.toLowerCase(),
    logId,
    range,
    log: { size: String(records.length), block: { number: String(block.number), hash: block.hash } },
    batches: parts,
  };
  if (!withState) return { bundle: parseBundle(bundle), unsigned };

  const state = await fetchState({ touchstone, logId, heights: heightsOf(bundle), block });
  const whole = parsedState({ ...bundle, state });
  const { dataAnchor } = whole;
  const { status, message } = await checkState({ bundle: whole, blockHash: block.hash, dataAnchor });
  if (status !== "Proved") throw unavailable(`What the node proves is not what its events say (${message})`);
  return { bundle: whole, unsigned };
}

/** What a node gives for a proof may be anything. */
function parsedState(bundle: ProofBundle): ProofBundle {
  try {
    return parseBundle(bundle);
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    throw unavailable(`The node's proofs are none (${error.message})`, error);
  }
}

function logOf(batches: readonly Batch[], given: string | undefined): string {
  const logs = [...batches.map((batch) => batch.logId), ...(given === undefined ? [] : [given])];
  const [logId, other] = new Set(logs.map((log) => requireHex("logId", log, 32).toLowerCase()));
  if (logId !== undefined && other === undefined) return logId;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    logId === undefined || other === undefined
      ? "batches: there are none: give those that the range is of, or logId where all of it was lost."
      : `batches: they are of the logs ${logId} and ${other}: a bundle is of one.`,
    { details: { logs: [logId, other] } },
  );
}

async function blockOf(touchstone: Touchstone, number: number | undefined): Promise<{ number: number; hash: string }> {
  const wanted = number === undefined ? await latestBlock(touchstone.provider) : requireBlock("block", number);
  const block = await ask(() => touchstone.provider.getBlock(wanted));
  if (block?.hash == null) {
    throw new TouchstoneError("NOT_FOUND", `The node has no block ${wanted}: give one that is mined.`, {
      details: { block: wanted },
    });
  }
  return { number: block.number, hash: block.hash };
}

/** The log has every reading of the range, as it has no holes: so it has the last one. */
function requireComplete(
  logId: string,
  range: { firstSeq: bigint; end: bigint },
  records: readonly AnchorRecord[],
): void {
  const last = records.findLast(({ kind }) => kind !== "Correction");
  const nextSeq = last === undefined ? 0n : last.firstSeq + last.count;
  if (range.end <= nextSeq && range.end > range.firstSeq) return;
  const { firstSeq, end } = range;
  throw end > firstSeq
    ? new TouchstoneError(
        "NOT_FOUND",
        `The log ${logId} ends before reading ${nextSeq}, and does not have all of ${firstSeq} to ${end - 1n}: anchor them first.`,
        { details: { logId, nextSeq, firstSeq, end } },
      )
    : new TouchstoneError("INVALID_ARGUMENT", "count: 0 readings are no range: give at least 1.", {
        details: { firstSeq },
      });
}

/** The readings of the range that an anchor has, with what opens them and leads them to its root. */
function readingsOf(options: {
  anchor: LoggedAnchor;
  batches: readonly Batch[];
  range: ProofBundle["range"];
  withhold: ((seq: bigint) => boolean) | undefined;
}): Pick<BundleBatch, "readings" | "seeds" | "rangeProof"> {
  const { anchor, batches, range, withhold } = options;
  const { record } = anchor;
  const span = spanIn(range, record);
  if (record.kind === "Gap" || span === undefined) return { readings: [], seeds: [], rangeProof: [] };
  const batch = batches.find(
    ({ root, firstSeq }) => root.toLowerCase() === record.root && firstSeq === record.firstSeq,
  );
  if (batch === undefined) {
    throw new TouchstoneError(
      "NOT_FOUND",
      `There is no batch of anchor ${record.index}, which has the readings ${record.firstSeq} to ` +
        `${record.firstSeq + record.count - 1n} with the root ${record.root}: give it too.`,
      { details: { index: record.index, root: record.root } },
    );
  }
  const first = Number(span.firstSeq - record.firstSeq);
  const inRange = batch.readings.slice(first, first + Number(span.count));
  const open = inRange.map((reading) => reading.payload !== undefined && withhold?.(reading.seq) !== true);
  const { tree: hash, logId, seeds } = batch;
  return {
    readings: inRange.map((reading, place) => documentOf(reading, open[place] === true)),
    seeds: runsOf(open).flatMap(([start, end]) =>
      discloseSeeds({ hash, logId, seeds, first: first + start, count: end - start }).map(
        ({ height, index, seed }) => ({
          height,
          index,
          seed: hexlify(seed),
        }),
      ),
    ),
    rangeProof: batch.rangeProofOf(span.firstSeq, span.count),
  };
}

function documentOf(reading: Reading, isOpen: boolean): BundleBatch["readings"][number] {
  const measuredAt = String(reading.measuredAt);
  if (!isOpen || reading.payload === undefined) return { measuredAt, commitment: reading.commitment.toLowerCase() };
  const payload = Buffer.from(reading.payload).toString("base64");
  return { measuredAt, contentFormat: reading.contentFormat, payload };
}

/** From where to where the values are true. */
function runsOf(values: readonly boolean[]): [start: number, end: number][] {
  const runs: [number, number][] = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] !== true) continue;
    const start = at;
    while (values[at] === true) at += 1;
    runs.push([start, at]);
  }
  return runs;
}

// ------------------------------------------------------------------ verifying

/**
 * What a bundle proves, level by level. Each is checked by itself, so that a wrong one does not hide what the others say:
 * bytes and range speak of readings and anchors, the other three of anchors alone.
 */
export interface VerifiedBundle {
  /**
   * No level is refused; bytes and range are proved; and so is whatever there was to check against: the chain if
   * `touchstone` was given, the state if `blockHash` was. With neither of the two the signature must be: it shows that the device
   * said so, but not that the chain has it.
   */
  ok: boolean;
  levels: {
    /**
     * Payloads and salts open the commitments, these are in the leaves, and the leaves lead to the root that each anchor of the
     * bundle names, at the places that their sequence numbers say. Of readings that are withheld the time and the
     * commitment are shown, and not the content.
     */
    bytes: BytesLevel;
    /**
     * The author of each anchor signed exactly this anchor, for this contract on this chain; and the author is the key that the
     * device was made with, or any key that the chain took for the device's, if chain or state is proved. Never of logs
     * of fleets: there chain and state alone say who wrote.
     */
    signature: BundleLevel;
    /**
     * A node says that the contract has each anchor in this log, at its index, at its latest block; that the log had as many
     * anchors as the bundle says after the block that it names; and that the bundle has every correction of the range that the
     * log had then. Later ones are in `correctedSince`.
     */
    chain: ChainLevel;
    /**
     * The contract at `dataAnchor` had each anchor in this log after the block with the given hash, by the header, the state
     * and the storage of that block, without any node. Whose contract that is, the verifier must know, and name it. That no further
     * correction was in the log, cannot be seen without a node. A header does not name its chain: the hash stands for it.
     */
    state: BundleLevel;
    /**
     * The anchors hold all readings of the range, each once, with none left out, but those that were declared lost.
     * Corrections come beside the readings that they correct. Anchors are what the other levels say of them.
     */
    range: RangeLevel;
  };
}

/**
 * Says what a bundle proves. Asks nobody, unless `touchstone` is given.
 *
 * @param options.bundle The bundle, or its text.
 * @param options.touchstone The chain to ask for the level `chain`, and for accounts that are contracts.
 * @param options.blockHash Hash of the block that the proofs of state are compared with, from whom the verifier trusts.
 * @param options.dataAnchor The contract that the log must be of; that of `touchstone` unless told. Without either, state
 *        proves nothing, as anyone can make a contract whose storage says what he likes.
 * @param options.chainId The chain that the bundle must be of.
 * @throws TouchstoneError BUNDLE_INVALID for what is no bundle; INVALID_ARGUMENT for another argument; CANCELLED. What is
 *         wrong with a bundle is no error: its level is refused, with the reason.
 */
export async function verifyBundle(options: {
  bundle: unknown;
  touchstone?: Touchstone;
  blockHash?: string;
  dataAnchor?: string;
  chainId?: bigint;
  signal?: AbortSignal;
}): Promise<VerifiedBundle> {
  const { touchstone, signal } = options;
  const blockHash = options.blockHash === undefined ? undefined : requireHex("blockHash", options.blockHash, 32);
  const given = options.dataAnchor === undefined ? undefined : requireAddress("dataAnchor", options.dataAnchor);
  const chainId = options.chainId === undefined ? undefined : requireUint("chainId", options.chainId, 64);
  const expected = {
    dataAnchor: given ?? touchstone?.addresses.DataAnchor,
    chainId: chainId ?? touchstone?.chainId,
  };
  const bundle = parseBundle(options.bundle);

  const bytes = checkBytes(bundle);
  const range = checkRange(bundle, bytes);
  const state = await checkState({ bundle, blockHash, ...expected });
  const chain = await chainLevel(() =>
    touchstone === undefined ? undefined : checkChain({ bundle, touchstone, signal, ...expected }),
  );
  const isAnchored = chain.status === "Proved" || state.status === "Proved";
  const signature = await checkSignatures({ bundle, isAnchored, touchstone, ...expected });

  const levels = { bytes, signature, chain, state, range };
  const needed = [
    bytes,
    range,
    ...(touchstone === undefined ? [] : [chain]),
    ...(blockHash === undefined ? [] : [state]),
    ...(touchstone === undefined && blockHash === undefined ? [signature] : []),
  ];
  const isRefused = Object.values(levels).some(({ status }) => status === "Refused");
  return { ok: !isRefused && needed.every(({ status }) => status === "Proved"), levels };
}

async function chainLevel(check: () => Promise<ChainLevel> | undefined): Promise<ChainLevel> {
  let checked: ChainLevel | undefined;
  const level = await unlessFailed(async () => {
    checked = await check();
    return checked ?? unchecked("CHAIN_MISSING", "No chain was given to ask.");
  });
  return { ...level, correctedSince: checked?.correctedSince ?? [] };
}

// ------------------------------------------------------------------ files

/**
 * Reads a bundle's file.
 *
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, BUNDLE_INVALID, INVALID_ARGUMENT.
 */
export async function readBundle(path: string): Promise<ProofBundle> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > MAX_BUNDLE_BYTES) {
      throw invalidBundle(`${path} has ${size} bytes, and a bundle at most ${MAX_BUNDLE_BYTES}: give a bundle.`, {
        path,
      });
    }
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(path, error);
  }
  if (bytes.length === 0) {
    throw new TouchstoneError("FILE_EMPTY", `${path} is empty: give a bundle.`, { details: { path } });
  }
  try {
    return parseBundle(bytes.toString("utf8"));
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    throw new TouchstoneError(error.code, `${path}: ${error.message}`, {
      details: { ...error.details, file: path },
      cause: error,
    });
  }
}

/**
 * Writes a bundle to a new file.
 *
 * @throws TouchstoneError FILE_EXISTS (nothing is overwritten), FILE_UNWRITABLE, CANCELLED, INVALID_ARGUMENT (too large).
 */
export async function writeBundle(options: { path: string; bundle: ProofBundle; signal?: AbortSignal }): Promise<void> {
  const { path, bundle, signal } = options;
  await writeNewFile({ path, content: [formatBundle(bundle)], signal });
}
