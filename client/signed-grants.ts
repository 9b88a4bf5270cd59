import { requireAddress } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import type { Explanation } from "./access.js";
import {
  accessReasons,
  allPermissions,
  deviceStatuses,
  maskOf,
  nameOf,
  numberOf,
  type Permission,
} from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { checkedTerms, requireGrantable, type GrantTerms } from "./grant-terms.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { ask, decodeRevert, type ContractRevertError } from "./reverts.js";
import {
  checkedGrant,
  checkedRevocation,
  checkedSignedGrant,
  checkedSignedRevocation,
  requireFitting,
  requirePlace,
  signatureOf,
  type DataGrant,
  type MessagePlace,
  type Revocation,
  type SignedBy,
  type SignedGrant,
  type SignedRevocation,
} from "./signed-messages.js";
import { senderOf } from "./senders.js";
import { deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { dataGrantMessage, revocationMessage } from "./typed-data.js";

export type {
  DataGrant,
  MessagePlace,
  Revocation,
  SignedBy,
  SignedGrant,
  SignedRevocation,
} from "./signed-messages.js";

/** Seconds until which a signed grant can be sent or shown, unless told: a week. */
const GRANT_VALID_FOR = 7n * 86_400n;

/** What a signed grant allows now, as `explain` says it. */
export interface GrantVerdict extends Explanation {
  /**
   * Why the signed grant could not be sent now; undefined if it could. The answer is then of what is on chain, so that it can
   * be a yes all the same: a grant that was sent has been used up.
   */
  refusal: ContractRevertError | undefined;
}

// ------------------------------------------------------------------ grants

/**
 * Makes the message of a grant for its grantor to sign, in place of whatever the subject has.
 *
 * @param options.grantor Who will sign; the sender unless told.
 * @param options.validFor Seconds until which it can be sent or shown; a week unless told.
 * @throws TouchstoneError INVALID_ARGUMENT also for a device that is not enrolled or is retired, and for what nobody can grant:
 *         no permission or purpose, one that is for members only, or a window that is empty.
 */
export async function newGrant(
  options: {
    touchstone: Touchstone;
    device: string;
    subject: string;
    grantor?: string;
    validFor?: bigint;
  } & GrantTerms,
): Promise<DataGrant> {
  const { touchstone, validFor = GRANT_VALID_FOR } = options;
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  const [permissions, purposes, notBefore, expiry, termsHash] = checkedTerms(options);
  requireGrantable({ permissions, purposes, notBefore, expiry });
  const grantor = await accountOf(touchstone, "grantor", options.grantor);
  const [{ status, epoch }, { seq }, deadline] = await Promise.all([
    ask(() => touchstone.deviceRegistry.stateOf(device)),
    ask(() => touchstone.dataAccess.grantOf(device, subject)),
    deadlineIn(touchstone, validFor),
  ]);
  const name = nameOf(deviceStatuses, status);
  if (name === "None" || name === "Retired") {
    throw new TouchstoneError("INVALID_ARGUMENT", `device: ${device} is ${name}, and nothing can be granted on it.`, {
      details: { device, status: name },
    });
  }
  return { grantor, device, subject, permissions, purposes, notBefore, expiry, termsHash, epoch, seq, deadline };
}

/**
 * Has the grantor sign. Let it read `sentenceOf` before.
 *
 * @param options.grant As newGrant makes it. One with an epoch or a seq that the chain has not reached is refused, as the next
 *        revokes would not end it.
 * @param options.by The grantor's signer, or its signature: of a grantor that is a contract (ERC-1271) what it takes.
 * @throws TouchstoneError INVALID_ARGUMENT; SIGNATURE_INVALID, SIGNING_FAILED, CANCELLED.
 */
export async function signGrant(options: {
  touchstone: Touchstone;
  grant: DataGrant;
  by: SignedBy;
}): Promise<SignedGrant> {
  const { touchstone, by } = options;
  const grant = checkedGrant(options.grant);
  await requireReached(touchstone, grant);
  const message = dataGrantMessage(touchstone.domains.DataAccess, grant);
  return { ...placeOf(touchstone), grant, signature: await signatureOf(touchstone, grant.grantor, message, by) };
}

/**
 * Gives a grant by its grantor's signature. Anyone may send.
 *
 * @throws TouchstoneError WRONG_CHAIN, WRONG_REGISTRY, SIGNATURE_INVALID before anything is sent.
 */
export async function grantWithSignature(options: SendOptions & { signed: SignedGrant }): Promise<Sent> {
  const { touchstone } = options;
  const signed = checkedSignedGrant(options.signed);
  requirePlace(touchstone, signed);
  const { grant, signature } = signed;
  const message = dataGrantMessage(touchstone.domains.DataAccess, grant);
  await requireFitting(touchstone, grant.grantor, message, signature);
  return send(options, () => touchstone.dataAccess.grantWithSignature.populateTransaction(grant, signature));
}

/**
 * What the subject of a signed grant may do now, whether the grant was sent or not: for gateways that are shown one. The whole
 * decision is the chain's, so that a revoke, a policy or a resale counts as for any grant. It says nothing of who shows the
 * grant: have the subject log in first.
 *
 * @throws TouchstoneError WRONG_CHAIN, WRONG_REGISTRY, INVALID_ARGUMENT.
 */
export async function verifyGrant(options: {
  touchstone: Touchstone;
  signed: SignedGrant;
  permissions: readonly Permission[];
  purpose: Purpose;
}): Promise<GrantVerdict> {
  const { touchstone } = options;
  const signed = checkedSignedGrant(options.signed);
  requirePlace(touchstone, signed);
  const { grant, signature } = signed;
  const permissions = maskOf(allPermissions, options.permissions);
  const purpose = numberOf(allPurposes, options.purpose);
  const { allowed, reason, refusal } = await ask(() =>
    touchstone.dataAccess.verifyGrant(grant, signature, permissions, purpose),
  );
  return {
    allowed,
    reason: nameOf(accessReasons, reason),
    refusal: refusal === "0x" ? undefined : decodeRevert({ data: refusal }),
  };
}

// ------------------------------------------------------------------ revocations

/**
 * Makes the message that ends a grant, also one that was signed and not sent yet: of those it takes the next one's number too,
 * so that one which is sent first does not escape it. Two do: a member who keeps granting loses its role first.
 *
 * @param options.revoker Who will sign; the sender unless told.
 * @param options.validFor Seconds until which it can be sent; a week unless told.
 */
export async function newRevocation(options: {
  touchstone: Touchstone;
  device: string;
  subject: string;
  revoker?: string;
  validFor?: bigint;
}): Promise<Revocation> {
  const { touchstone, validFor = GRANT_VALID_FOR } = options;
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  const revoker = await accountOf(touchstone, "revoker", options.revoker);
  const [epoch, { seq }, deadline] = await Promise.all([
    ask(() => touchstone.deviceRegistry.epochOf(device)),
    ask(() => touchstone.dataAccess.grantOf(device, subject)),
    deadlineIn(touchstone, validFor),
  ]);
  return { revoker, device, subject, epoch, seq: seq + 2n, deadline };
}

/**
 * Has the revoker sign.
 *
 * @param options.by As for signGrant.
 * @throws TouchstoneError as signGrant.
 */
export async function signRevocation(options: {
  touchstone: Touchstone;
  revocation: Revocation;
  by: SignedBy;
}): Promise<SignedRevocation> {
  const { touchstone, by } = options;
  const revocation = checkedRevocation(options.revocation);
  const message = revocationMessage(touchstone.domains.DataAccess, revocation);
  return {
    ...placeOf(touchstone),
    revocation,
    signature: await signatureOf(touchstone, revocation.revoker, message, by),
  };
}

/**
 * Ends a grant by the revoker's signature. Anyone may send.
 *
 * @throws TouchstoneError WRONG_CHAIN, WRONG_REGISTRY, SIGNATURE_INVALID before anything is sent.
 */
export async function revokeWithSignature(options: SendOptions & { signed: SignedRevocation }): Promise<Sent> {
  const { touchstone } = options;
  const signed = checkedSignedRevocation(options.signed);
  requirePlace(touchstone, signed);
  const { revocation, signature } = signed;
  const message = revocationMessage(touchstone.domains.DataAccess, revocation);
  await requireFitting(touchstone, revocation.revoker, message, signature);
  return send(options, () => touchstone.dataAccess.revokeWithSignature.populateTransaction(revocation, signature));
}

// ------------------------------------------------------------------ arguments

/** No sentence says these numbers: who signs one that is still to come keeps a grant alive beyond the revokes until then. */
async function requireReached(touchstone: Touchstone, { device, subject, epoch, seq }: DataGrant): Promise<void> {
  const [current, stored] = await Promise.all([
    ask(() => touchstone.deviceRegistry.epochOf(device)),
    ask(() => touchstone.dataAccess.grantOf(device, subject)),
  ]);
  for (const [argument, value, reached] of [
    ["epoch", epoch, current],
    ["seq", seq, stored.seq],
  ] as const) {
    if (value <= reached) continue;
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `grant.${argument}: ${value} is ahead of the chain, which is at ${reached}, so that a revoke would not end this grant: make ` +
        "it anew with newGrant.",
      { details: { argument: `grant.${argument}`, value, reached } },
    );
  }
}

function placeOf({ chainId, addresses }: Touchstone): MessagePlace {
  return { chainId, contract: addresses.DataAccess };
}

async function accountOf(touchstone: Touchstone, argument: string, account: string | undefined): Promise<string> {
  if (account !== undefined) return requireAddress(argument, account);
  const sender = await senderOf(touchstone);
  if (sender !== undefined) return requireAddress(argument, sender);
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `${argument}: the client is connected without an account: say whose signature it will be.`,
    { details: { argument } },
  );
}
