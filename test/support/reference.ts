import { createHash } from "node:crypto";

import { p256 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { concat, dataSlice, getBytes, hexlify, keccak256, toBeHex } from "ethers";

import type { Hash } from "./rfc9162.js";

/**
 * The formats of docs/integrity.md, written from that page alone and without a line of the client: as short as can be, and slow.
 * All bytes are 0x-prefixed hex.
 */
export function sha256(data: string): string {
  return hexlify(createHash("sha256").update(getBytes(data)).digest());
}

export const hashOf: Record<string, Hash> = { Keccak256: keccak256, Sha256: sha256 };

/** Numbers of the names, by their order in the contracts. */
export const KINDS = ["Data", "Gap", "Correction", "Receipts", "AccessLog"];
export const TREES = ["Keccak256", "Sha256"];
export const FRESH_STATES = ["None", "Confirmed", "TooOld"];

// ------------------------------------------------------------------ readings

export function commitment(hash: Hash, reading: { salt: string; contentFormat: number; payload: string }): string {
  return hash(concat(["0x02", reading.salt, toBeHex(reading.contentFormat, 2), reading.payload]));
}

export function readingLeaf(
  hash: Hash,
  logId: string,
  reading: { seq: bigint; measuredAt: bigint; commitment: string },
): string {
  const { seq, measuredAt } = reading;
  return hash(concat(["0x0001", logId, toBeHex(seq, 8), toBeHex(measuredAt, 6), reading.commitment]));
}

// ------------------------------------------------------------------ seeds

export interface Node {
  height: number;
  index: number;
  seed: string;
}

export interface Family {
  hash: Hash;
  logId: string;
}

export function childrenOf({ hash, logId }: Family, node: Node): [Node, Node] {
  const seeds = hash(concat(["0x04", logId, node.seed]));
  const [height, index] = [node.height - 1, 2 * node.index];
  return [
    { height, index, seed: dataSlice(seeds, 0, 16) },
    { height, index: index + 1, seed: dataSlice(seeds, 16) },
  ];
}

/** The salt of a leaf, from the node that covers it; nothing if none does. */
export function saltOf(family: Family, nodes: readonly Node[], leaf: number): string | undefined {
  const node = nodes.find(({ height, index }) => Math.floor(leaf / 2 ** height) === index);
  if (node === undefined) return undefined;
  return node.height === 0 ? node.seed : saltOf(family, childrenOf(family, node), leaf);
}

/** The highest nodes that cover leaves of `wanted` alone, where `wanted` is asked about from a leaf to before another. */
export function nodesOf(
  family: Family,
  node: Node,
  wanted: (from: number, to: number) => "all" | "some" | "none",
): Node[] {
  const width = 2 ** node.height;
  const part = wanted(node.index * width, (node.index + 1) * width);
  if (part === "none") return [];
  return part === "all" ? [node] : childrenOf(family, node).flatMap((child) => nodesOf(family, child, wanted));
}

// ------------------------------------------------------------------ anchors

export interface Anchored {
  logId: string;
  index: string;
  kind: string;
  tree: string;
  firstSeq: string;
  count: string;
  tFirst: string;
  tLast: string;
  supersedes: string;
  freshBlock: string;
  freshState: string;
  root: string;
  timestamp: string;
  author: string;
}

/** The 14 words of a record. */
export function recordWords(record: Anchored): string {
  return concat([
    record.logId,
    word(record.index),
    word(KINDS.indexOf(record.kind)),
    word(TREES.indexOf(record.tree)),
    word(record.firstSeq),
    word(record.count),
    word(record.tFirst),
    word(record.tLast),
    word(record.supersedes),
    word(record.freshBlock),
    word(FRESH_STATES.indexOf(record.freshState)),
    record.root,
    word(record.timestamp),
    word(record.author),
  ]);
}

export function anchorLeaf(record: Anchored): string {
  return keccak256(concat(["0x0003", recordWords(record)]));
}

/** The words `span` and `context` of the event: fields side by side, the last of the list in the highest bits. */
export function eventWords(record: Anchored): { span: string; context: string } {
  const { tLast, tFirst, count, firstSeq, supersedes, freshBlock, timestamp } = record;
  return {
    span: padded([toBeHex(tLast, 6), toBeHex(tFirst, 6), toBeHex(count, 8), toBeHex(firstSeq, 8)]),
    context: padded([
      toBeHex(supersedes, 8),
      toBeHex(freshBlock, 8),
      toBeHex(timestamp, 8),
      toBeHex(FRESH_STATES.indexOf(record.freshState), 1),
      toBeHex(TREES.indexOf(record.tree), 1),
      toBeHex(KINDS.indexOf(record.kind), 1),
    ]),
  };
}

/** The record as anchorMany takes it. */
export function recordBytes(record: Anchored): string {
  return concat([
    dataSlice(record.logId, 20),
    toBeHex(record.index, 8),
    toBeHex(KINDS.indexOf(record.kind), 1),
    toBeHex(TREES.indexOf(record.tree), 1),
    toBeHex(record.firstSeq, 8),
    toBeHex(record.count, 5),
    toBeHex(record.tFirst, 6),
    toBeHex(record.tLast, 6),
    toBeHex(record.supersedes, 8),
    record.root,
  ]);
}

/** The message of a device, its numbers as decimal strings. */
export interface Message {
  logId: string;
  index: string;
  kind: string;
  tree: string;
  firstSeq: string;
  count: string;
  tFirst: string;
  tLast: string;
  supersedes: string;
  freshBlock: string;
  freshHash: string;
  root: string;
  deadline: string;
}

export function structHash(typeHash: string, message: Message): string {
  return keccak256(
    concat([
      typeHash,
      message.logId,
      word(message.index),
      word(message.kind),
      word(message.tree),
      word(message.firstSeq),
      word(message.count),
      word(message.tFirst),
      word(message.tLast),
      word(message.supersedes),
      word(message.freshBlock),
      message.freshHash,
      message.root,
      word(message.deadline),
    ]),
  );
}

export function domainSeparator(domain: {
  name: string;
  version: string;
  chainId: string;
  verifyingContract: string;
}): string {
  const type = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
  return keccak256(
    concat([
      textHash(type),
      textHash(domain.name),
      textHash(domain.version),
      word(domain.chainId),
      word(domain.verifyingContract),
    ]),
  );
}

export function digest(separator: string, hash: string): string {
  return keccak256(concat(["0x1901", separator, hash]));
}

export function textHash(text: string): string {
  return keccak256(hexlify(Buffer.from(text)));
}

// ------------------------------------------------------------------ keys

export interface KeyVector {
  name: string;
  scheme: "Account" | "P256" | "P256Sha256";
  privateKey: string;
  publicKey: string;
  keyId: string;
}

/** 64 bytes qx ‖ qy of any key, of which the last 20 bytes of the hash are the id. */
export function pointOf({ scheme, privateKey }: KeyVector): string {
  const curve = scheme === "Account" ? secp256k1 : p256;
  return hexlify(curve.getPublicKey(getBytes(privateKey), false).slice(1));
}

/** What the key signs with ECDSA for a message. */
export function signedHash({ scheme }: KeyVector, messageDigest: string): string {
  return scheme === "P256Sha256"
    ? sha256(concat([hexlify(Buffer.from("Touchstone.v1")), messageDigest]))
    : messageDigest;
}

/** With the nonce of RFC 6979 and a low s: r ‖ s, and for accounts v behind them. */
export function sign(key: KeyVector, messageDigest: string): string {
  const [hash, secret] = [getBytes(signedHash(key, messageDigest)), getBytes(key.privateKey)];
  if (key.scheme !== "Account") return hexlify(p256.sign(hash, secret, { prehash: false, lowS: true }));
  const recovered = secp256k1.sign(hash, secret, { prehash: false, lowS: true, format: "recovered" });
  return hexlify(concat([recovered.slice(1), Uint8Array.of(27 + recovered[0]!)]));
}

// ------------------------------------------------------------------ private

function word(value: string | number): string {
  return toBeHex(value, 32);
}

function padded(fields: string[]): string {
  return toBeHex(concat(fields), 32);
}
