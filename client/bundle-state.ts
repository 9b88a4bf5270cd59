import { toBeHex } from "ethers";

import { headSlot, peakHeight, peakSlot, sizeInHead } from "./anchor-storage.js";
import { decodeHeader, encodeHeader } from "./block-headers.js";
import type { BundleState, ProofBundle } from "./bundle-format.js";
import {
  peakOf,
  proved,
  refused,
  refuseOther,
  unchecked,
  type BundleLevel,
  type Expectation,
} from "./bundle-levels.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { toTouchstoneError } from "./reverts.js";
import { storageRootOf, storageValueOf } from "./state-proofs.js";

/**
 * Header to state root, this to the contract's storage, this to the log's peaks, and the anchors to them: what there is to
 * trust is the hash of a block and the address of the contract, as who makes a contract decides what it stores. Asks nobody.
 *
 * @param options.blockHash Of the block that the verifier trusts.
 * @param options.dataAnchor The contract that the verifier trusts.
 */
export async function checkState(
  options: { bundle: ProofBundle; blockHash?: string | undefined } & Expectation,
): Promise<BundleLevel> {
  const { bundle, blockHash } = options;
  const { state, log, logId } = bundle;
  if (state === undefined) return unchecked("STATE_MISSING", "The bundle has no proofs of state.");
  const other = refuseOther(bundle, options);
  if (other !== undefined) return other;

  const header = decodeHeader(state.header);
  if (header?.hash !== log.block.hash || header.number !== BigInt(log.block.number)) {
    return refused("HEADER_MISMATCH", `The header is not that of block ${log.block.number}, ${log.block.hash}.`);
  }
  if (blockHash !== undefined && header.hash !== blockHash.toLowerCase()) {
    return refused(
      "HEADER_MISMATCH",
      `The proofs are of block ${log.block.number}, ${header.hash}, not of ${blockHash}.`,
    );
  }
  const { stateRoot } = header;
  const storageRoot = await storageRootOf({ stateRoot, address: bundle.dataAnchor, proof: state.accountProof });
  if (storageRoot === undefined) {
    return refused("ACCOUNT_NOT_PROVED", `The block does not have the contract ${bundle.dataAnchor}, by this proof.`);
  }
  const head = await storageValueOf({ storageRoot, slot: headSlot(logId), proof: state.headProof });
  if (head === undefined) {
    return refused("HEAD_NOT_PROVED", `The contract does not have the head of the log, by this proof.`);
  }
  const size = sizeInHead(head);
  if (size !== BigInt(log.size)) return refused("SIZE_MISMATCH", `The log has ${size} anchors, not ${log.size}.`);

  const isListed = String(state.peakProofs.map(({ height }) => height)) === String(heightsOf(bundle));
  if (!isListed) return refused("PEAK_NOT_PROVED", "There is not one proof for each peak that holds an anchor.");
  const peaks = new Map<number, string>();
  for (const { height, proof } of state.peakProofs) {
    const peak = await storageValueOf({ storageRoot, slot: peakSlot(logId, height), proof });
    if (peak === undefined) {
      return refused(
        "PEAK_NOT_PROVED",
        `The contract does not have the log's peak of height ${height}, by this proof.`,
      );
    }
    peaks.set(height, toBeHex(peak, 32));
  }
  for (const [place, batch] of bundle.batches.entries()) {
    const peak = peakOf(bundle, batch);
    if (peak === undefined || peaks.get(peak.height) !== peak.root) {
      return refused("ANCHOR_NOT_IN_LOG", `The log does not have anchor ${batch.anchor.index} as it is here.`, place);
    }
  }
  const where = `the log of the contract ${bundle.dataAnchor} after block ${log.block.number}, ${header.hash}`;
  if (blockHash === undefined) {
    return unchecked(
      "BLOCK_HASH_MISSING",
      `By the bundle, the anchors are in ${where}: compare this hash with one that you trust.`,
    );
  }
  if (options.dataAnchor === undefined) {
    return unchecked(
      "CONTRACT_MISSING",
      `By the bundle, the anchors are in ${where}: compare the contract's address with one that you trust.`,
    );
  }
  return proved(`The anchors are in ${where}. Whether the log corrects them by others, only its chain tells.`);
}

/**
 * Asks a node for what proves the log at a block.
 *
 * @param options.heights Heights of the peaks.
 * @throws TouchstoneError STATE_UNAVAILABLE if the node has no such proofs; CHAIN_UNREACHABLE, CANCELLED.
 */
export async function fetchState(options: {
  touchstone: Touchstone;
  logId: string;
  heights: readonly number[];
  block: { number: number; hash: string };
}): Promise<BundleState> {
  const { touchstone, logId, heights, block } = options;
  const number = `0x${block.number.toString(16)}`;
  const slots = [headSlot(logId), ...heights.map((height) => peakSlot(logId, height))].map((slot) => toBeHex(slot, 32));
  const [raw, answer] = await Promise.all([
    askNode(touchstone, "eth_getBlockByNumber", [number, false]),
    askNode(touchstone, "eth_getProof", [touchstone.addresses.DataAnchor, slots, number]),
  ]);
  const header = isObject(raw) && raw.hash === block.hash ? encodeHeader(raw) : undefined;
  if (header === undefined) {
    throw unavailable(`The hash of block ${block.number} is not that of its header, or the block was replaced`);
  }
  const proofs = isObject(answer) && Array.isArray(answer.storageProof) ? (answer.storageProof as unknown[]) : [];
  const [headProof, ...peakProofs] = proofs.map((each) => nodesIn(isObject(each) ? each.proof : undefined));
  if (!isObject(answer) || headProof === undefined || peakProofs.length !== heights.length) {
    throw unavailable("The node's answer to eth_getProof has not what was asked for");
  }
  return {
    header: header.toLowerCase(),
    accountProof: nodesIn(answer.accountProof),
    headProof,
    peakProofs: heights.map((height, place) => ({ height, proof: peakProofs[place] ?? [] })),
  };
}

/** The heights of the peaks that hold the anchors of a bundle, the lowest first. */
export function heightsOf(bundle: Pick<ProofBundle, "batches" | "log">): number[] {
  const size = BigInt(bundle.log.size);
  const indexes = bundle.batches.map(({ anchor }) => BigInt(anchor.index)).filter((index) => index < size);
  return [...new Set(indexes.map((index) => peakHeight(index, size)))].sort((a, b) => a - b);
}

export function unavailable(reason: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError(
    "STATE_UNAVAILABLE",
    `${reason}: make the bundle without proofs of state, or ask a node that has eth_getProof for this block.`,
    { cause },
  );
}

async function askNode(touchstone: Touchstone, method: string, params: unknown[]): Promise<unknown> {
  const provider: unknown = touchstone.provider;
  if (!isObject(provider) || typeof provider.send !== "function") {
    throw unavailable("The provider does not pass requests of JSON-RPC on");
  }
  try {
    return await (provider as { send(method: string, params: unknown[]): Promise<unknown> }).send(method, params);
  } catch (error) {
    const failure = toTouchstoneError(error);
    if (failure.code === "CHAIN_UNREACHABLE" || failure.code === "CANCELLED") throw failure;
    throw unavailable(`The node did not answer ${method} (${failure.message})`, failure);
  }
}

function nodesIn(value: unknown): string[] {
  return Array.isArray(value) ? value.map((node) => String(node).toLowerCase()) : [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
