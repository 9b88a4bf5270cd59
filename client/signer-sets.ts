import type { IFirmwareRegistry } from "../typechain-types/index.js";
import { requireAddress, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { maskOf, namesIn, nameOf, quorums, type Quorum } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import type { TouchstoneEventNamed } from "./events.js";
import { isValidProof, Scheme, type KeyProof } from "./keys.js";
import { ask } from "./reverts.js";
import type { TypedMessage } from "./typed-data.js";

/** One signer of a product. */
export interface Signer {
  /** An account, or the id of a P-256 key. */
  keyId: string;
  scheme: Scheme;
  quorums: Quorum[];
}

/** Who signs for a product, and how many of them it takes. */
export interface SignerSet {
  epoch: bigint;
  /** Signatures that a message of each quorum needs. */
  thresholds: Record<Quorum, number>;
  /** By ascending keyId. */
  signers: Signer[];
}

/** What one signer signed. */
export interface SignerProof {
  keyId: string;
  proof: KeyProof;
}

// ------------------------------------------------------------------ sets

/**
 * Makes the signer set of a new product.
 *
 * @param options.signers In any order.
 * @throws TouchstoneError INVALID_ARGUMENT if a signer stands twice, has no quorum, or a threshold cannot be met.
 */
export function newSignerSet(options: {
  signers: readonly { key: { id: string; scheme: Scheme }; quorums: readonly Quorum[] }[];
  thresholds: Record<Quorum, number>;
}): SignerSet {
  const signers = options.signers.map(({ key, quorums: of }) => ({
    keyId: requireAddress("signers", key.id),
    scheme: key.scheme,
    quorums: namesIn(quorums, maskOf(quorums, of)),
  }));
  signers.sort((a, b) => (BigInt(a.keyId) < BigInt(b.keyId) ? -1 : 1));
  const invalid = (message: string, details: Record<string, unknown>): TouchstoneError =>
    new TouchstoneError("INVALID_ARGUMENT", message, { details });
  for (const [index, { keyId, quorums: of }] of signers.entries()) {
    if (of.length === 0) throw invalid(`The signer ${keyId} has no quorum: give it at least one.`, { keyId });
    if (signers[index + 1]?.keyId === keyId)
      throw invalid(`The signer ${keyId} stands twice: give it once.`, { keyId });
  }
  for (const quorum of quorums) {
    const threshold = options.thresholds[quorum];
    const holders = signers.filter((signer) => signer.quorums.includes(quorum)).length;
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > holders) {
      throw invalid(`${threshold} of the ${holders} signers of ${quorum} cannot be asked for: give 1 to ${holders}.`, {
        quorum,
        threshold,
        holders,
      });
    }
  }
  return { epoch: 1n, thresholds: { ...options.thresholds }, signers };
}

/** A signer set as the contract takes it. */
export function signerSetStruct(set: SignerSet): IFirmwareRegistry.SignerSetStruct {
  return {
    epoch: requireUint("signerSet.epoch", set.epoch, 32),
    rootThreshold: set.thresholds.Root,
    releaseThreshold: set.thresholds.Release,
    revokeThreshold: set.thresholds.Revoke,
    signers: set.signers.map(({ keyId, scheme, quorums: of }) => ({
      keyId: requireAddress("signerSet.signers", keyId),
      scheme,
      roles: maskOf(quorums, of),
    })),
  };
}

/** A signer set as the contract tells it. */
export function signerSetFrom(set: TouchstoneEventNamed<"ProductCreated">["args"]["signerSet"]): SignerSet {
  return {
    epoch: set.epoch,
    thresholds: {
      Root: Number(set.rootThreshold),
      Release: Number(set.releaseThreshold),
      Revoke: Number(set.revokeThreshold),
    },
    signers: set.signers.map(({ keyId, scheme, roles }) => ({
      keyId,
      scheme: nameOf<Scheme>(Object.values(Scheme), scheme),
      quorums: namesIn(quorums, roles),
    })),
  };
}

// ------------------------------------------------------------------ signatures

/**
 * Checks the signers' proofs and puts them into the order that the contract takes.
 *
 * @param options.proofs In any order; more than the quorum needs are left out.
 * @throws TouchstoneError SIGNATURE_INVALID (names the signer), SIGNATURES_MISSING (names who could still sign).
 */
export async function collectProofs(options: {
  touchstone: Touchstone;
  message: TypedMessage;
  signerSet: SignerSet;
  quorum: Quorum;
  proofs: readonly SignerProof[];
}): Promise<IFirmwareRegistry.SignerProofStruct[]> {
  const { touchstone, message, signerSet, quorum, proofs } = options;
  const byKey = new Map(proofs.map(({ keyId, proof }) => [requireAddress("proofs", keyId), proof]));
  const collected: IFirmwareRegistry.SignerProofStruct[] = [];
  const missing: string[] = [];
  for (const [signer, { keyId, scheme, quorums: of }] of signerSet.signers.entries()) {
    const proof = byKey.get(keyId);
    if (!of.includes(quorum)) continue;
    if (proof === undefined) {
      missing.push(keyId);
      continue;
    }
    if (!(await mayBeValid({ touchstone, keyId, scheme, message, proof }))) {
      throw new TouchstoneError(
        "SIGNATURE_INVALID",
        `The proof of ${keyId} does not show that it signed this message: have it sign again, for this chain and contract.`,
        { details: { keyId } },
      );
    }
    collected.push({ signer, proof });
  }
  const needed = signerSet.thresholds[quorum];
  if (collected.length < needed) {
    throw new TouchstoneError(
      "SIGNATURES_MISSING",
      `The ${quorum} quorum needs ${needed} signatures and has ${collected.length}: have ${missing.join(" or ")} sign.`,
      { details: { quorum, needed, given: collected.length, missing } },
    );
  }
  return collected.slice(0, needed);
}

/** An account may be a contract (ERC-1271): then the rehearsal of the transaction tells. */
async function mayBeValid(options: {
  touchstone: Touchstone;
  keyId: string;
  scheme: Scheme;
  message: TypedMessage;
  proof: KeyProof;
}): Promise<boolean> {
  const { touchstone, keyId, scheme } = options;
  if (isValidProof(options)) return true;
  return scheme === Scheme.Account && (await ask(() => touchstone.provider.getCode(keyId))) !== "0x";
}
