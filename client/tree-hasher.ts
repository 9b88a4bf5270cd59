import type { TreeHash } from "./enumerations.js";
import { HASH_BYTES, hashBytes } from "./merkle.js";

/** A tree of RFC 9162 that grows, of which only the roots of its perfect parts are kept. */
export interface TreeHasher {
  readonly size: number;
  append(leafHash: Uint8Array): void;
  root(): Uint8Array;
}

/** Starts a tree without leaves. */
export function createTreeHasher({ hash }: { hash: TreeHash }): TreeHasher {
  const peaks: { height: number; node: Uint8Array }[] = [];
  let size = 0;
  const nodeOf = (left: Uint8Array, right: Uint8Array): Uint8Array => {
    const preimage = new Uint8Array(1 + 2 * HASH_BYTES);
    preimage[0] = 0x01;
    preimage.set(left, 1);
    preimage.set(right, 1 + HASH_BYTES);
    return hashBytes(hash, preimage);
  };
  return {
    get size() {
      return size;
    },
    append(leafHash) {
      let peak = { height: 0, node: leafHash };
      for (let last = peaks.at(-1); last?.height === peak.height; last = peaks.at(-1)) {
        peaks.pop();
        peak = { height: peak.height + 1, node: nodeOf(last.node, peak.node) };
      }
      peaks.push(peak);
      size += 1;
    },
    root() {
      const nodes = peaks.map(({ node }) => node);
      return nodes.length === 0
        ? hashBytes(hash, new Uint8Array())
        : nodes.reduceRight((right, left) => nodeOf(left, right));
    },
  };
}
