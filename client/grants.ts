import { requireAddress, requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { allPermissions, maskOf, namesIn, type GrantablePermission, type Permission } from "./enumerations.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { ask } from "./reverts.js";
import { send, type SendOptions, type Sent } from "./transactions.js";

/** What was granted last to one subject on one device. */
export interface Grant {
  /** Empty if nothing was granted, or it was revoked. */
  permissions: Permission[];
  purposes: Purpose[];
  /** Unix seconds of the first moment it holds. */
  notBefore: bigint;
  /** Unix seconds of the first moment it no longer holds. */
  expiry: bigint;
  /** The device's epoch it was given in; it holds in no other. */
  epoch: bigint;
  /** How often it was changed. */
  seq: bigint;
  byOwner: boolean;
}

// ------------------------------------------------------------------ grants

/**
 * Makes the grant of a subject on a device exactly this. By the owner's governor.
 *
 * @param options.purposes What for, at least one.
 * @param options.notBefore Unix seconds; at once unless told.
 * @param options.expiry Unix seconds of the first moment it no longer holds.
 * @param options.termsHash 32 bytes: hash of the agreement it is given under; none unless told.
 */
export async function grant(
  options: SendOptions & {
    device: string;
    subject: string;
    permissions: readonly GrantablePermission[];
    purposes: readonly Purpose[];
    notBefore?: bigint;
    expiry: bigint;
    termsHash?: string;
  },
): Promise<Sent> {
  const { touchstone, notBefore = 0n, expiry, termsHash = ZERO_HASH } = options;
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  const permissions = maskOf(allPermissions, options.permissions);
  const purposes = maskOf(allPurposes, options.purposes);
  requireUint("notBefore", notBefore, 40);
  requireUint("expiry", expiry, 40);
  requireHex("termsHash", termsHash, 32);
  return send(options, () =>
    touchstone.dataAccess.grant.populateTransaction(
      device,
      subject,
      permissions,
      purposes,
      notBefore,
      expiry,
      termsHash,
    ),
  );
}

/** Ends the grant of a subject on a device. By the owner's governor; nothing can prevent it. */
export async function revoke(options: SendOptions & { device: string; subject: string }): Promise<Sent> {
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  return send(options, () => options.touchstone.dataAccess.revoke.populateTransaction(device, subject));
}

/** Gives up the sender's own grant on a device. */
export async function renounce(options: SendOptions & { device: string }): Promise<Sent> {
  const device = requireAddress("device", options.device);
  return send(options, () => options.touchstone.dataAccess.renounce.populateTransaction(device));
}

// ------------------------------------------------------------------ reading

/** What was granted last to the subject on the device. */
export async function grantOf(options: { touchstone: Touchstone; device: string; subject: string }): Promise<Grant> {
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  return grantFrom(await ask(() => options.touchstone.dataAccess.grantOf(device, subject)));
}

/**
 * The grant that an AccessGranted event tells of.
 *
 * @param word The event's argument of this name: the grant as the contract stores it.
 */
export function grantInWord(word: bigint): Grant {
  requireUint("word", word, 256);
  let rest = word;
  const take = (bits: bigint): bigint => {
    const value = BigInt.asUintN(Number(bits), rest);
    rest >>= bits;
    return value;
  };
  const [permissions, purposes] = [take(32n), take(32n)];
  const [notBefore, expiry, epoch, seq] = [take(40n), take(40n), take(24n), take(32n)];
  return grantFrom({ permissions, purposes, notBefore, expiry, epoch, seq, byOwner: take(1n) === 1n });
}

interface StoredGrant extends Omit<Grant, "permissions" | "purposes"> {
  permissions: bigint;
  purposes: bigint;
}

function grantFrom(grant: StoredGrant): Grant {
  return {
    permissions: namesIn(allPermissions, grant.permissions),
    purposes: namesIn(allPurposes, grant.purposes),
    notBefore: grant.notBefore,
    expiry: grant.expiry,
    epoch: grant.epoch,
    seq: grant.seq,
    byOwner: grant.byOwner,
  };
}
