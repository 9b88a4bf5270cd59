import type { TreeHash } from "./enumerations.js";
import { HASH_BYTES, hashBytes } from "./merkle.js";

/**
 * The root that a leaf's siblings lead to in a tree of `size` leaves (RFC 9162, section 2.1.3.2).
 *
 * @param options.leaf The leaf's hash, 32 bytes.
 * @param options.path Siblings from the leaf up to the root, 32 bytes each.
 * @returns undefined if no leaf at this index of such a tree has that many siblings.
 */
export function rootOfPath(options: {
  hash: TreeHash;
  leaf: Uint8Array;
  index: number;
  size: number;
  path: readonly Uint8Array[];
}): Uint8Array | undefined {
  const { hash, index, size } = options;
  if (!Number.isInteger(index) || index < 0 || index >= size) return undefined;
  const preimage = new Uint8Array(1 + 2 * HASH_BYTES);
  preimage[0] = 0x01;
  let [place, last, node] = [index, size - 1, options.leaf];
  for (const sibling of options.path) {
    if (last === 0) return undefined;
    // A node without a right neighbour goes up as it is, until it is one.
    while (place === last && place % 2 === 0) {
      place /= 2;
      last /= 2;
    }
    const isRight = place % 2 === 1;
    preimage.set(isRight ? sibling : node, 1);
    preimage.set(isRight ? node : sibling, 1 + HASH_BYTES);
    node = hashBytes(hash, preimage);
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? node : undefined;
}
