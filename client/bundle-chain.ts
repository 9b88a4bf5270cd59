import { getBytes, hexlify } from "ethers";

import { anchorLeaf, leavesOf, recordOf, type AnchorRecord } from "./anchors.js";
import { peakHeight } from "./anchor-storage.js";
import { latestBlock } from "./blocks.js";
import { recordIn, type ProofBundle } from "./bundle-format.js";
import {
  proved,
  refused,
  refuseOther,
  spanIn,
  unchecked,
  type BundleLevel,
  type Expectation,
} from "./bundle-levels.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { readEvents } from "./events.js";
import { buildTree, createTreeHasher, HASH_BYTES, type MerkleTree } from "./merkle.js";
import { ask } from "./reverts.js";

/** An anchor as the chain's events tell it. */
export interface LoggedAnchor {
  record: AnchorRecord;
  /** Number of its block. */
  block: number;
  transactionHash: string;
}

export interface ChainLevel extends BundleLevel {
  /** Indexes of the anchors that corrected readings of the range after the bundle was made. */
  correctedSince: bigint[];
}

/**
 * All anchors of a log up to a block, read from the chain's events.
 *
 * @throws TouchstoneError NOT_FOUND if the node does not have all of them; CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED.
 */
export async function readLog(options: {
  touchstone: Touchstone;
  logId: string;
  toBlock: number;
  signal?: AbortSignal | undefined;
}): Promise<LoggedAnchor[]> {
  const { touchstone, logId, toBlock, signal } = options;
  const anchors: LoggedAnchor[] = [];
  const range = { toBlock, ...(signal && { signal }) };
  for await (const event of readEvents({ touchstone, logs: [logId], contracts: ["DataAnchor"], ...range })) {
    if (event.name !== "Anchored") continue;
    const { cursor, transactionHash } = event;
    const record = recordOf(event);
    if (record.index !== BigInt(anchors.length)) throw eventsMissing(logId, anchors.length);
    anchors.push({ record, block: cursor.block, transactionHash });
  }
  return anchors;
}

/**
 * Compares what the events of a log say with where the contract says that it ends.
 *
 * @throws TouchstoneError NOT_FOUND if events are missing; RPC_FAILED also if there are others than the contract's; CHAIN_UNREACHABLE.
 */
export async function requireWhole(options: {
  touchstone: Touchstone;
  logId: string;
  anchors: readonly LoggedAnchor[];
  block: number;
}): Promise<void> {
  const { touchstone, logId, anchors, block } = options;
  const { dataAnchor } = touchstone;
  const [{ size }, root] = await Promise.all([
    ask(() => dataAnchor.head(logId, { blockTag: block })),
    ask(() => dataAnchor.root(logId, { blockTag: block })),
  ]);
  if (size !== BigInt(anchors.length)) throw eventsMissing(logId, anchors.length);
  const tree = createTreeHasher({ hash: "Keccak256" });
  for (const { record } of anchors) tree.append(getBytes(anchorLeaf(record)));
  if (hexlify(tree.root()) === root) return;
  const message = `The node's events do not lead to the root of the log ${logId}, after block ${block}: ask another node.`;
  throw new TouchstoneError("RPC_FAILED", message, { details: { logId, block, root } });
}

function eventsMissing(logId: string, index: number): TouchstoneError {
  return new TouchstoneError(
    "NOT_FOUND",
    `The node does not have the event of anchor ${index} of the log ${logId}: ask one that has all events since the ` +
      "contracts were deployed.",
    { details: { logId, index } },
  );
}

/** Makes proofs from anchors to the peaks of their log; builds each peak once, when it is first asked for. */
export function peakProver(records: readonly AnchorRecord[]): (index: bigint) => string[] {
  const leaves = leavesOf(records);
  const trees = new Map<number, MerkleTree>();
  return (index) => {
    const height = peakHeight(index, BigInt(records.length));
    const width = 2 ** height;
    const start = Math.floor(Number(index) / width) * width;
    let tree = trees.get(start);
    if (tree === undefined) {
      tree = buildTree({ hash: "Keccak256", leaves: leaves.slice(start * HASH_BYTES, (start + width) * HASH_BYTES) });
      trees.set(start, tree);
    }
    return tree.proofOf(Number(index) - start).map((node) => hexlify(node));
  };
}

/**
 * The contract has the anchors in its log: it is asked for the log's root now, so that no node needs to have old state, and the
 * log's events, which have to lead to it. They also say whether the bundle leaves out corrections.
 */
export async function checkChain(
  options: { bundle: ProofBundle; touchstone: Touchstone; signal?: AbortSignal | undefined } & Expectation,
): Promise<ChainLevel> {
  const { bundle, touchstone, signal } = options;
  const { chainId, addresses, provider } = touchstone;
  const failed = (level: BundleLevel): ChainLevel => ({ ...level, correctedSince: [] });
  const other = refuseOther(bundle, { chainId, dataAnchor: addresses.DataAnchor }) ?? refuseOther(bundle, options);
  if (other !== undefined) return failed(other);

  const { logId, log } = bundle;
  const latest = await latestBlock(provider);
  const number = BigInt(log.block.number);
  if (number > BigInt(latest)) {
    const message = `The node has come to block ${latest}, and not yet to ${number}: ask another node, or later.`;
    return failed(unchecked("CHAIN_FAILED", message));
  }
  const block = await ask(() => provider.getBlock(Number(number)));
  if (block?.hash !== log.block.hash) {
    return failed(refused("BLOCK_MISMATCH", `The chain has no block ${number} with the hash ${log.block.hash}.`));
  }
  const anchors = await readLog({ touchstone, logId, toBlock: latest, signal });
  await requireWhole({ touchstone, logId, anchors, block: latest });
  const size = anchors.filter((anchor) => BigInt(anchor.block) <= number).length;
  if (BigInt(size) !== BigInt(log.size)) {
    return failed(refused("SIZE_MISMATCH", `The log had ${size} anchors after block ${number}, not ${log.size}.`));
  }
  const records = anchors.map(({ record }) => record);
  const fault = faultInAnchors(bundle, records);
  if (fault !== undefined) return failed(fault);

  const missing = correctionsOf(bundle, records);
  const [left] = missing;
  if (left !== undefined && left < BigInt(size)) {
    const message = `Anchor ${left} corrects readings of the range, and is not in the bundle.`;
    return failed(refused("CORRECTION_MISSING", message));
  }
  const since = missing.length === 0 ? "" : ` Corrected since, by the anchors ${missing.join(", ")}.`;
  const level = proved(
    `The contract ${addresses.DataAnchor} has the anchors in its log, after block ${latest}.${since}`,
  );
  return { ...level, correctedSince: missing };
}

/** @param records What the log has, by the root that the contract gives. */
function faultInAnchors(bundle: ProofBundle, records: readonly AnchorRecord[]): BundleLevel | undefined {
  const size = BigInt(bundle.log.size);
  const proofOf = peakProver(records);
  for (const [place, batch] of bundle.batches.entries()) {
    const record = recordIn(bundle, batch);
    const inLog = record.index < size ? records[Number(record.index)] : undefined;
    if (inLog === undefined || anchorLeaf(inLog) !== anchorLeaf(record)) return notInLog(record, place);
    // The way to the peak that the log had then is the beginning of the way to the one that it has now.
    const beginning = proofOf(record.index).slice(0, peakHeight(record.index, size));
    if (String(beginning) !== String(batch.peakProof)) return notInLog(record, place);
  }
  return undefined;
}

/** The corrections of the range that the bundle does not have, by their indexes. */
function correctionsOf(bundle: ProofBundle, records: readonly AnchorRecord[]): bigint[] {
  const inBundle = new Set(bundle.batches.map(({ anchor }) => anchor.index));
  return records
    .filter((record) => record.kind === "Correction" && !inBundle.has(String(record.index)))
    .filter((record) => spanIn(bundle.range, record) !== undefined)
    .map(({ index }) => index);
}

function notInLog(record: AnchorRecord, place: number): BundleLevel {
  return refused("ANCHOR_NOT_IN_LOG", `The log does not have anchor ${record.index} as it is here.`, place);
}
