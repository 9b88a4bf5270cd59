import { keccak256, concat, toBeHex } from "ethers";

/** Where DataAnchor keeps its mapping of logs; its tests compare it with what the contract stores. */
const LOGS_SLOT = 2n;

/** The slot of a log's head. */
export function headSlot(logId: string): bigint {
  return BigInt(keccak256(concat([logId, toBeHex(LOGS_SLOT, 32)])));
}

/** The slot of the root of the log's perfect tree of 2^height anchors: a peak, if the log has one of this height. */
export function peakSlot(logId: string, height: number): bigint {
  return BigInt.asUintN(256, headSlot(logId) + 1n + BigInt(height));
}

/** The number of a log's anchors, of the word of its head. */
export function sizeInHead(head: bigint): bigint {
  return BigInt.asUintN(64, head >> 64n);
}

/**
 * The height of the peak that holds an anchor.
 *
 * @param index Number of the anchor, below `size`.
 */
export function peakHeight(index: bigint, size: bigint): number {
  // The highest bit in which the two differ is set in the size: it is that of the peak.
  return (index ^ size).toString(2).length - 1;
}
