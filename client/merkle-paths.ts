import type { TreeHash } from "./enumerations.js";
import { HASH_BYTES, hashBytes, hashInto, newNodePreimage } from "./merkle.js";

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
  const { leaf, index, path, ...tree } = options;
  return leaf.length === HASH_BYTES ? rootOfRange({ ...tree, leaves: leaf, first: index, proof: path }) : undefined;
}

/**
 * The root that leaves which follow each other lead to in a tree of `size` leaves, so that none was left out.
 *
 * @param options.leaves Hashes of the leaves, 32 bytes each, one after the other.
 * @param options.first Index of the first of them.
 * @param options.proof As MerkleTree.rangeProofOf gives it, 32 bytes each.
 * @returns undefined for no leaves, or if such leaves of such a tree have no proof of that many hashes.
 */
export function rootOfRange(options: {
  hash: TreeHash;
  leaves: Uint8Array;
  first: number;
  size: number;
  proof: readonly Uint8Array[];
}): Uint8Array | undefined {
  const { hash, leaves, first, size, proof } = options;
  const count = leaves.length / HASH_BYTES;
  if (!isSize(size) || !isSize(count) || !Number.isSafeInteger(first) || first < 0 || first + count > size) {
    return undefined;
  }
  if (!proof.every(isHash)) return undefined;

  // Known nodes of one level, with room for a sibling on either side; the next level is written over them.
  const row = new Uint8Array((count + 2) * HASH_BYTES);
  row.set(leaves, HASH_BYTES);
  const preimage = newNodePreimage();
  let used = 0;
  for (let [left, right, last] = [first, first + count - 1, size - 1]; last > 0;) {
    let [start, end] = [1, 1 + right - left + 1];
    if (left % 2 === 1) {
      const sibling = proof[used];
      if (sibling === undefined) return undefined;
      start -= 1;
      row.set(sibling, start * HASH_BYTES);
      used += 1;
    }
    if (right % 2 === 0 && right < last) {
      const sibling = proof[used];
      if (sibling === undefined) return undefined;
      row.set(sibling, end * HASH_BYTES);
      end += 1;
      used += 1;
    }
    let parent = 1;
    for (let node = start; node < end; node += 2, parent += 1) {
      if (node + 1 === end) {
        // The last node of an odd level goes up as it is.
        row.copyWithin(parent * HASH_BYTES, node * HASH_BYTES, end * HASH_BYTES);
      } else {
        preimage.set(row.subarray(node * HASH_BYTES, (node + 2) * HASH_BYTES), 1);
        hashInto(hash, preimage, row, parent * HASH_BYTES);
      }
    }
    [left, right, last] = [Math.floor(left / 2), Math.floor(right / 2), Math.floor(last / 2)];
  }
  return used === proof.length ? row.slice(HASH_BYTES, 2 * HASH_BYTES) : undefined;
}

/**
 * Whether the tree of `oldSize` leaves is the beginning of the tree of `newSize` (RFC 9162, section 2.1.4.2), as DataAnchor
 * checks it: nothing can be shown of a tree without leaves, and two trees of one size need no proof to be the same.
 *
 * @param options.oldRoot 32 bytes.
 * @param options.newRoot 32 bytes.
 * @param options.proof As MerkleTree.consistencyProofOf gives it, 32 bytes each.
 */
export function isConsistent(options: {
  hash: TreeHash;
  oldRoot: Uint8Array;
  oldSize: number;
  newRoot: Uint8Array;
  newSize: number;
  proof: readonly Uint8Array[];
}): boolean {
  const { hash, oldRoot, oldSize, newRoot, newSize, proof } = options;
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize) return false;
  if (![oldRoot, newRoot, ...proof].every(isHash)) return false;
  if (oldSize === newSize) return proof.length === 0 && areEqual(oldRoot, newRoot);

  let [node, last] = [oldSize - 1, newSize - 1];
  // The way starts at the largest perfect tree that ends where the old tree ends; the whole old tree is known already.
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  const [start, siblings] = node === 0 ? [oldRoot, proof] : [proof[0], proof.slice(1)];
  if (start === undefined) return false;

  const preimage = newNodePreimage();
  const hashNode = (left: Uint8Array, right: Uint8Array): Uint8Array => {
    preimage.set(left, 1);
    preimage.set(right, 1 + HASH_BYTES);
    return hashBytes(hash, preimage);
  };
  let [oldHash, newHash] = [start, start];
  for (const sibling of siblings) {
    if (last === 0) return false;
    // A node without a right neighbour goes up as it is, until it is one.
    while (node === last && node % 2 === 0) [node, last] = [node / 2, last / 2];
    if (node % 2 === 1) {
      oldHash = hashNode(sibling, oldHash);
      newHash = hashNode(sibling, newHash);
    } else {
      newHash = hashNode(newHash, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && areEqual(oldHash, oldRoot) && areEqual(newHash, newRoot);
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size > 0;
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES;
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
