import { concat, keccak256, sha256 } from "ethers";

/**
 * The trees of RFC 9162, section 2.1, word for word: recursive, slow, and written apart from what is tested. Leaves are
 * hashed already; all hashes are 0x-prefixed hex.
 */
export type Hash = (data: string) => string;
export { keccak256, sha256 };

/** MTH(D[n]), section 2.1.1. */
export function rootOf(leaves: readonly string[], hash: Hash): string {
  if (leaves.length === 0) return hash("0x");
  if (leaves.length === 1) return leaves[0]!;
  const k = split(leaves.length);
  return hash(concat(["0x01", rootOf(leaves.slice(0, k), hash), rootOf(leaves.slice(k), hash)]));
}

/** PATH(m, D[n]), section 2.1.3.1. */
export function pathOf(index: number, leaves: readonly string[], hash: Hash): string[] {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k
    ? [...pathOf(index, left, hash), rootOf(right, hash)]
    : [...pathOf(index - k, right, hash), rootOf(left, hash)];
}

/** The path of a leaf up to the perfect tree that holds it, when the leaves split into perfect trees from the left. */
export function peakPathOf(index: number, leaves: readonly string[], hash: Hash): string[] {
  let width = 1;
  while (width * 2 <= leaves.length) width *= 2;
  return index < width
    ? pathOf(index, leaves.slice(0, width), hash)
    : peakPathOf(index - width, leaves.slice(width), hash);
}

/** PROOF(m, D[n]), section 2.1.4.1. */
export function consistencyProofOf(oldSize: number, leaves: readonly string[], hash: Hash): string[] {
  return subproof(oldSize, leaves, true, hash);
}

/** SUBPROOF(m, D[n], b), section 2.1.4.1. */
function subproof(m: number, leaves: readonly string[], isWhole: boolean, hash: Hash): string[] {
  if (m === leaves.length) return isWhole ? [] : [rootOf(leaves, hash)];
  const k = split(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return m <= k
    ? [...subproof(m, left, isWhole, hash), rootOf(right, hash)]
    : [...subproof(m - k, right, false, hash), rootOf(left, hash)];
}

/**
 * What leads from a range of leaves to the root, by the recursion of section 2.1.1: the roots of all parts that a split
 * makes and that hold no leaf of the range. Parts of smaller splits come first, and the left of one split before the right.
 */
export function rangeProofOf(first: number, count: number, leaves: readonly string[], hash: Hash): string[] {
  const parts: { width: number; start: number; root: string }[] = [];
  const visit = (start: number, part: readonly string[], width: number): void => {
    const end = start + part.length;
    if (end <= first || start >= first + count) {
      parts.push({ width, start, root: rootOf(part, hash) });
    } else if (part.length > 1 && (start < first || end > first + count)) {
      const k = split(part.length);
      visit(start, part.slice(0, k), k);
      visit(start + k, part.slice(k), k);
    }
  };
  visit(0, leaves, 0);
  return parts.sort((a, b) => a.width - b.width || a.start - b.start).map(({ root }) => root);
}

/** The largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
