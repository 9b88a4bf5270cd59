import { concat, decodeRlp, getBytes, hexlify, keccak256, toBeHex } from "ethers";

import * as reference from "./reference.js";
import type { Hash } from "./rfc9162.js";

/** A bundle as its JSON has it. */
export interface Bundle {
  chainId: string;
  dataAnchor: string;
  logId: string;
  range: { firstSeq: string; count: string };
  log: { size: string; block: { number: string; hash: string } };
  batches: {
    anchor: Omit<reference.Anchored, "logId">;
    readings: ({ measuredAt: string } & ({ contentFormat: number; payload: string } | { commitment: string }))[];
    seeds: reference.Node[];
    rangeProof: string[];
    peakProof: string[];
    signed?: {
      freshHash: string;
      deadline: string;
      scheme: string;
      publicKey: string;
      signature: string;
    };
  }[];
  state: {
    header: string;
    accountProof: string[];
    headProof: string[];
    peakProofs: { height: number; proof: string[] }[];
  };
}

/**
 * Verifies a bundle of a device's log as docs/integrity.md says, with nothing but it and the hash of a block; throws where it
 * is wrong. Signatures are for the caller to check, with `digests`.
 */
export function verify(bundle: Bundle, known: { blockHash: string; dataAnchor: string }): { digests: string[] } {
  demand(bundle.dataAnchor === known.dataAnchor, "contract");
  const { logId, state, log } = bundle;
  demand(keccak256(state.header) === known.blockHash && log.block.hash === known.blockHash, "header");
  const header = decodeRlp(state.header) as string[];
  demand(BigInt(header[8]!) === BigInt(log.block.number), "block number");

  const account = trieValue(header[3]!, known.dataAnchor, state.accountProof);
  const storageRoot = (decodeRlp(account) as string[])[2]!;
  const wordAt = (slot: bigint, proof: string[]): bigint =>
    BigInt(decodeRlp(trieValue(storageRoot, toBeHex(slot, 32), proof)) as string);
  const headSlot = BigInt(keccak256(concat([logId, toBeHex(2, 32)])));
  const size = BigInt.asUintN(64, wordAt(headSlot, state.headProof) >> 64n);
  demand(size === BigInt(log.size), "size");
  const peaks = new Map(
    state.peakProofs.map(({ height, proof }) => [height, wordAt(headSlot + 1n + BigInt(height), proof)]),
  );

  const first = BigInt(bundle.range.firstSeq);
  const end = first + BigInt(bundle.range.count);
  let [next, last] = [first, -1n];
  const digests: string[] = [];
  for (const { anchor, readings, seeds, rangeProof, peakProof, signed } of bundle.batches) {
    const record = { ...anchor, logId };
    const [index, firstSeq, count] = [BigInt(anchor.index), BigInt(anchor.firstSeq), BigInt(anchor.count)];
    demand(index > last && index < size, "order");
    last = index;

    // In the log.
    const height = (index ^ size).toString(2).length - 1;
    demand(peakProof.length === height, "length of the peak proof");
    demand(BigInt(climb(reference.anchorLeaf(record), index, peakProof)) === peaks.get(height), "peak");

    // All readings of the range that it has.
    const from = firstSeq > first ? firstSeq : first;
    const to = firstSeq + count < end ? firstSeq + count : end;
    demand(BigInt(readings.length) === (anchor.kind === "Gap" ? 0n : to - from), "number of readings");
    if (anchor.kind !== "Correction") {
      demand(from === next, "gap or overlap");
      next = to;
    } else {
      demand(to <= next, "correction of what is not there");
    }

    // With their content.
    if (anchor.kind !== "Gap") {
      const hash = reference.hashOf[anchor.tree]!;
      const offset = Number(from - firstSeq);
      const leaves = readings.map((reading, place) => {
        const salt = reference.saltOf({ hash, logId }, seeds, offset + place);
        demand((salt !== undefined) === "payload" in reading, "seeds");
        const commitment =
          "payload" in reading
            ? reference.commitment(hash, { ...reading, salt: salt!, payload: hexOfBase64(reading.payload) })
            : reading.commitment;
        const measuredAt = BigInt(reading.measuredAt);
        demand(measuredAt >= BigInt(anchor.tFirst) && measuredAt <= BigInt(anchor.tLast), "time");
        return reference.readingLeaf(hash, logId, { seq: from + BigInt(place), measuredAt, commitment });
      });
      demand(rangeRoot(hash, leaves, offset, Number(count), rangeProof) === anchor.root, "root");
    }

    demand(signed !== undefined && BigInt(signed.deadline) >= BigInt(anchor.timestamp), "deadline");
    digests.push(digestOf(bundle, record, signed!));
  }
  demand(next === end, "end of the range");
  return { digests };
}

function digestOf(
  { chainId, dataAnchor }: Bundle,
  record: reference.Anchored,
  { freshHash, deadline }: { freshHash: string; deadline: string },
): string {
  const type =
    "Anchor(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast," +
    "uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline)";
  const kind = String(reference.KINDS.indexOf(record.kind));
  const tree = String(reference.TREES.indexOf(record.tree));
  const message = { ...record, kind, tree, freshHash, deadline };
  const domain = { name: "Touchstone DataAnchor", version: "1", chainId, verifyingContract: dataAnchor };
  return reference.digest(reference.domainSeparator(domain), reference.structHash(reference.textHash(type), message));
}

/** Bit n of the index says on which side the sibling of level n is. */
function climb(leaf: string, index: bigint, siblings: string[]): string {
  return siblings.reduce(
    (node, sibling, level) =>
      keccak256(concat(["0x01", ...((index >> BigInt(level)) & 1n ? [sibling, node] : [node, sibling])])),
    leaf,
  );
}

/** The root to which consecutive leaves lead, by the recursion of RFC 9162, section 2.1.1. */
export function rangeRoot(hash: Hash, leaves: string[], first: number, size: number, proof: string[]): string {
  const end = first + leaves.length;
  const parts: { start: number; length: number; width: number }[] = [];
  const collect = (start: number, length: number, width: number): void => {
    if (start >= end || start + length <= first) {
      parts.push({ start, length, width });
    } else if (length > 1 && (start < first || start + length > end)) {
      const k = split(length);
      collect(start, k, k);
      collect(start + k, length - k, k);
    }
  };
  collect(0, size, 0);
  parts.sort((a, b) => a.width - b.width || a.start - b.start);
  demand(parts.length === proof.length, "length of the range proof");
  const given = new Map(parts.map(({ start, length }, place) => [`${start}/${length}`, proof[place]!]));
  const rootOf = (start: number, length: number): string => {
    const part = given.get(`${start}/${length}`);
    if (part !== undefined) return part;
    if (length === 1) return leaves[start - first]!;
    const k = split(length);
    return hash(concat(["0x01", rootOf(start, k), rootOf(start + k, length - k)]));
  };
  return rootOf(0, size);
}

/** The largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

type Rlp = ReturnType<typeof decodeRlp>;

/** The value under a key of a Merkle Patricia trie whose keys are hashed (yellow paper, appendix D). */
function trieValue(root: string, key: string, proof: string[]): string {
  let nibbles = keccak256(key).slice(2);
  let expected: Rlp = root;
  const nodes = [...proof];
  for (;;) {
    let node: Rlp = expected;
    if (typeof expected === "string") {
      const encoded = nodes.shift();
      demand(encoded !== undefined && keccak256(encoded) === expected, "node of a trie");
      node = decodeRlp(encoded!);
    }
    demand(Array.isArray(node), "node of a trie");
    const items = node as Rlp[];
    let isLeaf = nibbles === "";
    if (items.length === 17) {
      expected = items[isLeaf ? 16 : parseInt(nibbles[0]!, 16)]!;
      nibbles = nibbles.slice(1);
    } else {
      // The first half byte says whether the path ends here, and whether it has an odd number of half bytes.
      const path = (items[0] as string).slice(2);
      const flags = parseInt(path[0]!, 16);
      const rest = path.slice(flags & 1 ? 1 : 2);
      demand(nibbles.startsWith(rest), "path in a trie");
      nibbles = nibbles.slice(rest.length);
      isLeaf = (flags & 2) !== 0;
      expected = items[1]!;
    }
    if (!isLeaf) continue;
    demand(nibbles === "" && nodes.length === 0 && typeof expected === "string", "end of a trie's proof");
    return expected as string;
  }
}

function hexOfBase64(text: string): string {
  return hexlify(getBytes(Buffer.from(text, "base64")));
}

function demand(condition: boolean, what: string): void {
  if (!condition) throw new Error(`wrong: ${what}`);
}
