import { createMerkleProof, createMPTFromProof } from "@ethereumjs/mpt";
import { dataLength, decodeRlp, getBytes, hexlify, isHexString, toBeHex } from "ethers";

import { decodedList } from "./block-headers.js";
import { hashBytes } from "./merkle.js";

/** An account of the state: [nonce, balance, storage root, hash of the code]. */
const ACCOUNT_FIELDS = 4;
const STORAGE_ROOT = 2;

/** Nodes of a trie from its root to a value, in RLP as 0x hex, as eth_getProof gives them. */
export type TrieProof = readonly string[];

/**
 * The root of a contract's storage, by a proof of its account.
 *
 * @param options.stateRoot Of the block's header, 32 bytes as 0x hex.
 * @returns undefined if the proof does not show that the state has such an account.
 */
export async function storageRootOf(options: {
  stateRoot: string;
  address: string;
  proof: TrieProof;
}): Promise<string | undefined> {
  const { stateRoot, address, proof } = options;
  const account = await provenValue({ root: stateRoot, key: address, proof });
  const fields = account === undefined ? undefined : decodedList(account);
  if (fields?.length !== ACCOUNT_FIELDS) return undefined;
  const storageRoot = fields[STORAGE_ROOT];
  return isHexString(storageRoot, 32) ? storageRoot : undefined;
}

/**
 * The value of a storage slot, by a proof of it.
 *
 * @param options.slot Number of the slot.
 * @returns undefined if the proof does not show that the storage has this slot. A slot that is zero is not there.
 */
export async function storageValueOf(options: {
  storageRoot: string;
  slot: bigint;
  proof: TrieProof;
}): Promise<bigint | undefined> {
  const { storageRoot, slot, proof } = options;
  const value = await provenValue({ root: storageRoot, key: toBeHex(slot, 32), proof });
  if (value === undefined) return undefined;
  try {
    const decoded = decodeRlp(value);
    const isWord = isHexString(decoded) && decoded !== "0x" && dataLength(decoded) <= 32;
    return isWord ? BigInt(decoded) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The value under a key of a trie whose keys are hashed.
 *
 * @returns undefined if the proof is wrong, or shows that there is no such key; or has nodes that it does not need,
 *          so that a value has one proof alone.
 */
async function provenValue(options: { root: string; key: string; proof: TrieProof }): Promise<string | undefined> {
  const key = getBytes(options.key);
  try {
    const nodes = options.proof.map((node) => getBytes(node));
    // Takes nothing that does not hash to the root, and looks for every further node by its hash.
    const trie = await createMPTFromProof(nodes, {
      root: getBytes(options.root),
      useKeyHashing: true,
      useKeyHashingFunction: (bytes) => hashBytes("Keccak256", bytes),
    });
    const value = await trie.get(key, true);
    if (value === null || value.length === 0) return undefined;
    const needed = await createMerkleProof(trie, key);
    const isMinimal =
      needed.length === nodes.length &&
      needed.every((node, place) => hexlify(node) === options.proof[place]?.toLowerCase());
    return isMinimal ? hexlify(value) : undefined;
  } catch {
    // The library throws for a proof that is wrong, whatever is wrong with it.
    return undefined;
  }
}
