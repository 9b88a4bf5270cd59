import { concat, id, keccak256, toBeHex, TypedDataEncoder } from "ethers";

import { anchorKinds, freshStates, numberOf, schemeNames, treeHashes } from "../../client/enumerations.js";
import {
  anchors,
  buildTree,
  FOREVER,
  messageDigest,
  messageDomain,
  messageTypes,
  peakProof,
  ZERO_HASH,
  type BatchSummary,
} from "../../client/index.js";
import { anchorMessage } from "../../client/typed-data.js";
import { batches, deviceLog, fleetBatch } from "./batches.js";
import { CHAIN_ID, DATA_ANCHOR, DEADLINE, fixedKeys, HOUR, OLD_BLOCK, OWNER, START, type FixedKey } from "./inputs.js";

const domain = messageDomain({ contract: "DataAnchor", chainId: CHAIN_ID, address: DATA_ANCHOR });

type Content = Partial<Omit<anchors.AnchorRecord, keyof BatchSummary>> & BatchSummary;

/** What is appended; what nothing is said of is nothing. A batch has more members than a record. */
function recordOf(content: Content): anchors.AnchorRecord {
  const { logId, tree, firstSeq, count, tFirst, tLast, root } = content;
  const { index = 0n, kind = "Data", supersedes = 0n, freshBlock = 0n, freshState = "None" } = content;
  const { timestamp = START, author = OWNER } = content;
  return {
    ...{ logId, index, kind, tree, firstSeq, count, tFirst, tLast, supersedes },
    ...{ freshBlock, freshState, root, timestamp, author },
  };
}

const [p256, p256Sha256, account] = fixedKeys as [FixedKey, FixedKey, FixedKey];

const gap: BatchSummary = {
  logId: deviceLog,
  tree: "Keccak256",
  firstSeq: 13n,
  count: 4n,
  tFirst: START * 1000n + 7n * 60_000n,
  tLast: START * 1000n + 11n * 60_000n,
  root: ZERO_HASH,
};
const old = { freshBlock: OLD_BLOCK.number, freshState: "TooOld" } as const;

/** The anchors of one device's log, in their order, and the first of two others'. */
const signed: { by: FixedKey; record: anchors.AnchorRecord }[] = [
  ...[
    batches.first,
    { ...batches.second, ...old },
    { ...gap, kind: "Gap" as const },
    { ...batches.correctionOfFirst, kind: "Correction" as const, supersedes: 0n },
    batches.single,
    { ...batches.correctionOfSecond, kind: "Correction" as const, supersedes: 1n },
    { ...batches.hundred, ...old },
    batches.nine,
  ].map((content, index) => ({ by: p256, content: { ...content, index: BigInt(index) } })),
  { by: p256Sha256, content: batches.ofHashingKey },
  { by: account, content: batches.ofAccount },
].map(({ by, content }, place) => ({
  by,
  record: recordOf({ ...content, timestamp: START + BigInt(place) * HOUR, author: by.key.id }),
}));

/** Anchors of the fleet's logs, all in one call. */
const many = [
  fleetBatch,
  fleetRecord(2n, { kind: "Receipts", tree: "Sha256", count: 2n ** 32n }),
  fleetRecord(3n, { kind: "AccessLog", count: 5n }),
  fleetRecord(3n, { kind: "Correction", index: 1n, firstSeq: 1n, count: 2n }),
  fleetRecord(3n, { kind: "Gap", index: 2n, firstSeq: 5n, count: 7n, tFirst: START * 1000n + 2n, root: ZERO_HASH }),
].map((content) => recordOf({ ...content, ...old, timestamp: START + 20n * HOUR, author: OWNER }));

function fleetRecord(stream: bigint, rest: Partial<Content>): Content {
  const logId = anchors.fleetLogId({ fleet: OWNER, stream });
  const [tFirst, tLast] = [START * 1000n + 1n, START * 1000n + 2n];
  const root = id(`root of stream ${stream}`);
  return { logId, tree: "Keccak256", firstSeq: 0n, count: 1n, tFirst, tLast, root, ...rest };
}

/** Records with numbers that no test waits for. */
const extreme: anchors.AnchorRecord[] = [
  recordOf({ ...batches.first, freshBlock: 23_456_789n, freshState: "Confirmed" }),
  recordOf({
    logId: `0x${"ff".repeat(32)}`,
    index: 2n ** 64n - 1n,
    kind: "AccessLog",
    tree: "Sha256",
    firstSeq: 2n ** 64n - 1n,
    count: 2n ** 32n,
    tFirst: 2n ** 48n - 1n,
    tLast: 2n ** 48n - 1n,
    supersedes: 2n ** 64n - 1n,
    freshBlock: 2n ** 64n - 1n,
    freshState: "TooOld",
    root: `0x${"ff".repeat(32)}`,
    timestamp: FOREVER,
    author: `0x${"ff".repeat(20)}`,
  }),
];

// ------------------------------------------------------------------ vectors

/** Keys, signed messages, and what the log keeps of them. */
export async function anchorVectors(): Promise<unknown> {
  return {
    domain,
    domainSeparator: TypedDataEncoder.hashDomain(domain),
    type: TypedDataEncoder.from({ Anchor: messageTypes.Anchor }).encodeType("Anchor"),
    typeHash: keccak256(Buffer.from(TypedDataEncoder.from({ Anchor: messageTypes.Anchor }).encodeType("Anchor"))),
    keys: fixedKeys.map(({ name, privateKey, key }) => ({
      name,
      scheme: schemeNames[key.scheme],
      privateKey,
      publicKey: key.publicKey,
      keyId: key.id,
    })),
    anchors: await Promise.all(
      signed.map(async ({ by, record }) => {
        const message = messageOf(record);
        const typed = anchorMessage(domain, message);
        return {
          by: by.name,
          message,
          structHash: TypedDataEncoder.hashStruct("Anchor", typed.types, typed.value),
          digest: messageDigest(typed),
          proof: await by.key.prove(typed),
          ...keptOf(record),
        };
      }),
    ),
    others: extreme.map(keptOf),
  };
}

/** What each device signs, and what its log keeps of it. */
export function signedAnchors(): { by: FixedKey; message: anchors.Anchor; record: anchors.AnchorRecord }[] {
  return signed.map(({ by, record }) => ({ by, message: messageOf(record), record }));
}

/** Peaks, roots and proofs of the device's log, of each size that it had. */
export function logVectors(): unknown {
  const records = signed.map(({ record }) => record).filter(({ logId }) => logId === deviceLog);
  const leaves = records.map((record) => Buffer.from(anchors.anchorLeaf(record).slice(2), "hex"));
  const treeOf = (from: number, to: number) =>
    buildTree({ hash: "Keccak256", leaves: Buffer.concat(leaves.slice(from, to)) });
  const sizes = leaves.map((_, index) => index + 1);
  return {
    logId: deviceLog,
    leaves,
    sizes: sizes.map((size) => ({
      size,
      root: treeOf(0, size).root,
      peaks: peakHeights(size).map((height) => {
        const end = Math.floor(size / 2 ** height) * 2 ** height;
        return { height, hash: treeOf(end - 2 ** height, end).root };
      }),
      peakProofs: leaves
        .slice(0, size)
        .map((_, index) => ({ index, proof: peakProof({ leaves: Buffer.concat(leaves.slice(0, size)), index }) })),
      consistency: sizes
        .slice(0, size)
        .map((oldSize) => ({ oldSize, proof: treeOf(0, size).consistencyProofOf(oldSize) })),
    })),
  };
}

/** A call of anchorMany. */
export function manyVectors(): unknown {
  const records = many.map((record) => ({ ...keptOf(record), bytes: packed(record) }));
  return {
    sender: OWNER,
    fleet: OWNER,
    deadline: DEADLINE,
    freshBlock: OLD_BLOCK.number,
    freshHash: OLD_BLOCK.hash,
    records,
    packed: concat(records.map(({ bytes }) => bytes)),
    others: extreme.map((record) => ({ record, bytes: packed(record) })),
  };
}

// ------------------------------------------------------------------ formats

function messageOf(record: anchors.AnchorRecord): anchors.Anchor {
  const { logId, index, firstSeq, count, tFirst, tLast, supersedes, freshBlock, root } = record;
  const [kind, tree] = [numberOf(anchorKinds, record.kind), numberOf(treeHashes, record.tree)];
  const freshHash = freshBlock === 0n ? ZERO_HASH : OLD_BLOCK.hash;
  return {
    ...{ logId, index, kind, tree, firstSeq, count, tFirst, tLast, supersedes },
    ...{ freshBlock, freshHash, root, deadline: DEADLINE },
  };
}

/** The record with its leaf and the words of its event. */
function keptOf(record: anchors.AnchorRecord): {
  record: anchors.AnchorRecord;
  leaf: string;
  span: string;
  context: string;
} {
  const { firstSeq, count, tFirst, tLast, timestamp, freshBlock, supersedes } = record;
  const span = firstSeq | (count << 64n) | (tFirst << 128n) | (tLast << 176n);
  const context =
    numberOf(anchorKinds, record.kind) |
    (numberOf(treeHashes, record.tree) << 8n) |
    (numberOf(freshStates, record.freshState) << 16n) |
    (timestamp << 24n) |
    (freshBlock << 88n) |
    (supersedes << 152n);
  return { record, leaf: anchors.anchorLeaf(record), span: toBeHex(span, 32), context: toBeHex(context, 32) };
}

/** `stream12 ‖ index8 ‖ kind1 ‖ tree1 ‖ firstSeq8 ‖ count5 ‖ tFirst6 ‖ tLast6 ‖ supersedes8 ‖ root32`. */
function packed(record: anchors.AnchorRecord): string {
  return concat([
    `0x${record.logId.slice(42)}`,
    toBeHex(record.index, 8),
    toBeHex(numberOf(anchorKinds, record.kind), 1),
    toBeHex(numberOf(treeHashes, record.tree), 1),
    toBeHex(record.firstSeq, 8),
    toBeHex(record.count, 5),
    toBeHex(record.tFirst, 6),
    toBeHex(record.tLast, 6),
    toBeHex(record.supersedes, 8),
    record.root,
  ]);
}

function peakHeights(size: number): number[] {
  return Array.from({ length: 31 }, (_, height) => height).filter((height) => (size >> height) & 1);
}
