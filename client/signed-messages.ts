import type { Signer } from "ethers";

import { requireAddress, requireHex, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { accountKey, isValidProof, Scheme } from "./keys.js";
import { askProof } from "./proofs.js";
import { ask } from "./reverts.js";
import type { TypedMessage } from "./typed-data.js";

/** An account that signs now, or what it signed before: of an account that is a contract (ERC-1271), what it takes. */
export type SignedBy = Signer | string;

/** The contract and the chain that a signed message is for. */
export interface MessagePlace {
  chainId: bigint;
  /** The DataAccess. */
  contract: string;
}

/** The message by which an account gives a grant without sending it; the fields are those of the contract. */
export interface DataGrant {
  /** Who signs: the owner's governor, or a member with Share. */
  grantor: string;
  device: string;
  subject: string;
  /** Mask of permissions. */
  permissions: bigint;
  /** Mask of purposes. */
  purposes: bigint;
  /** Unix seconds. */
  notBefore: bigint;
  expiry: bigint;
  termsHash: string;
  /** The device's epoch, with which it dies. */
  epoch: bigint;
  /** Every grant and revoke of the subject on the device raises it, and voids what was signed before. */
  seq: bigint;
  /** Unix seconds until which it can be sent, or shown instead of being sent. */
  deadline: bigint;
}

/** The message by which an account ends a grant without sending it; the fields are those of the contract. */
export interface Revocation {
  /** Who signs: the owner's governor, a member with Share, or the subject itself. */
  revoker: string;
  device: string;
  subject: string;
  epoch: bigint;
  /** What the grant's seq is afterwards. */
  seq: bigint;
  /** Unix seconds until which it can be sent. */
  deadline: bigint;
}

/** A grant, as whoever holds it can send it or show it to a gateway. */
export interface SignedGrant extends MessagePlace {
  grant: DataGrant;
  /** 65 bytes r ‖ s ‖ v, or what a contract (ERC-1271) takes. */
  signature: string;
}

/** A revocation, as whoever holds it can send it. */
export interface SignedRevocation extends MessagePlace {
  revocation: Revocation;
  /** 65 bytes r ‖ s ‖ v, or what a contract (ERC-1271) takes. */
  signature: string;
}

// ------------------------------------------------------------------ signing

/**
 * Has an account sign a message, or takes what it signed elsewhere.
 *
 * @param account Whose signature the message needs.
 * @throws TouchstoneError INVALID_ARGUMENT before anything is signed, if another account would sign; SIGNATURE_INVALID if the
 *         signature is not the account's; SIGNING_FAILED, CANCELLED.
 */
export async function signatureOf(
  touchstone: Touchstone,
  account: string,
  message: TypedMessage,
  by: SignedBy,
): Promise<string> {
  if (typeof by !== "string") await requireOwnSigner(touchstone, account, by);
  const prover = typeof by === "string" ? { publicKey: "0x", signature: by } : await accountKey(by);
  const { signature } = await askProof("by", prover, message);
  await requireFitting(touchstone, account, message, signature);
  return signature;
}

/**
 * Checks a signature as far as that is possible without a contract's code: of an account that is a contract, only that contract
 * can tell.
 *
 * @throws TouchstoneError SIGNATURE_INVALID.
 */
export async function requireFitting(
  touchstone: Touchstone,
  account: string,
  message: TypedMessage,
  signature: string,
): Promise<void> {
  if (isValidProof({ keyId: account, scheme: Scheme.Account, message, proof: { publicKey: "0x", signature } })) return;
  if (await isContract(touchstone, account)) return;
  throw new TouchstoneError(
    "SIGNATURE_INVALID",
    `The signature is not one of ${account} over this message: have exactly this message signed by that account, for this ` +
      "chain and contract.",
    { details: { account, signature } },
  );
}

/** @throws TouchstoneError WRONG_CHAIN, WRONG_REGISTRY if the message is for another chain or contract. */
export function requirePlace(touchstone: Touchstone, { chainId, contract }: MessagePlace): void {
  const { chainId: expected, addresses } = touchstone;
  if (chainId !== expected) {
    throw new TouchstoneError(
      "WRONG_CHAIN",
      `The message was signed for chain ${chainId}, and this is chain ${expected}: connect to the other chain.`,
      { details: { expected, chainId } },
    );
  }
  if (contract !== addresses.DataAccess) {
    throw new TouchstoneError(
      "WRONG_REGISTRY",
      `The message was signed for the DataAccess at ${contract}, and this deployment's is at ${addresses.DataAccess}: ` +
        "connect to the other deployment.",
      { details: { expected: addresses.DataAccess, contract } },
    );
  }
}

async function requireOwnSigner(touchstone: Touchstone, account: string, signer: Signer): Promise<void> {
  const address = requireAddress("by", await ask(() => signer.getAddress()));
  if (address === account || (await isContract(touchstone, account))) return;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `by: ${address} would sign, and the message needs the signature of ${account}: give that account's signer.`,
    { details: { argument: "by", signer: address, account } },
  );
}

async function isContract({ provider }: Touchstone, account: string): Promise<boolean> {
  return (await ask(() => provider.getCode(account))) !== "0x";
}

// ------------------------------------------------------------------ arguments

/** @throws TouchstoneError INVALID_ARGUMENT for what the contract cannot take. */
export function checkedSignedGrant(signed: SignedGrant): SignedGrant {
  return {
    ...checkedPlace(signed),
    grant: checkedGrant(signed.grant),
    signature: requireHex("signed.signature", signed.signature),
  };
}

/** @throws TouchstoneError INVALID_ARGUMENT for what the contract cannot take. */
export function checkedSignedRevocation(signed: SignedRevocation): SignedRevocation {
  return {
    ...checkedPlace(signed),
    revocation: checkedRevocation(signed.revocation),
    signature: requireHex("signed.signature", signed.signature),
  };
}

function checkedPlace({ chainId, contract }: MessagePlace): MessagePlace {
  return {
    chainId: requireUint("signed.chainId", chainId, 256),
    contract: requireAddress("signed.contract", contract),
  };
}

/** @throws TouchstoneError INVALID_ARGUMENT for what the contract cannot take. */
export function checkedGrant(grant: DataGrant): DataGrant {
  return {
    grantor: requireAddress("grant.grantor", grant.grantor),
    device: requireAddress("grant.device", grant.device),
    subject: requireAddress("grant.subject", grant.subject),
    permissions: requireUint("grant.permissions", grant.permissions, 32),
    purposes: requireUint("grant.purposes", grant.purposes, 32),
    notBefore: requireUint("grant.notBefore", grant.notBefore, 40),
    expiry: requireUint("grant.expiry", grant.expiry, 40),
    termsHash: requireHex("grant.termsHash", grant.termsHash, 32),
    epoch: requireUint("grant.epoch", grant.epoch, 24),
    seq: requireUint("grant.seq", grant.seq, 32),
    deadline: requireUint("grant.deadline", grant.deadline, 40),
  };
}

/** @throws TouchstoneError INVALID_ARGUMENT for what the contract cannot take. */
export function checkedRevocation(revocation: Revocation): Revocation {
  return {
    revoker: requireAddress("revocation.revoker", revocation.revoker),
    device: requireAddress("revocation.device", revocation.device),
    subject: requireAddress("revocation.subject", revocation.subject),
    epoch: requireUint("revocation.epoch", revocation.epoch, 24),
    seq: requireUint("revocation.seq", revocation.seq, 32),
    deadline: requireUint("revocation.deadline", revocation.deadline, 40),
  };
}
