import { requireAddress, requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import {
  accessReasons,
  allPermissions,
  maskOf,
  nameOf,
  namesIn,
  numberOf,
  type AccessReason,
  type GrantablePermission,
  type Permission,
  type ReadPermission,
} from "./enumerations.js";
import type { Prover } from "./keys.js";
import { askProof } from "./proofs.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { ask } from "./reverts.js";
import { deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { devicePolicyMessage } from "./typed-data.js";

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

/** One half of a device's policy: the most that can be shared. */
export interface PolicyHalf {
  /** An unset half limits nothing and makes nothing public. */
  isSet: boolean;
  /** What grants may convey at all. */
  ceiling: Permission[];
  /** What everyone may read. */
  publicRead: Permission[];
  /** What grants and public reads may serve. */
  purposes: Purpose[];
}

/** A device's policy: both halves must allow. */
export interface Policy {
  owner: PolicyHalf;
  device: PolicyHalf;
  /** How often the device set its half. */
  deviceSeq: bigint;
}

/** The limits that either half of a policy can set. */
export interface Limits {
  /** What grants may convey at all. */
  ceiling: readonly GrantablePermission[];
  /** What everyone may read; nothing unless told. */
  publicRead?: readonly ReadPermission[];
  /** What grants and public reads may serve; every purpose unless told. */
  purposes?: readonly Purpose[];
}

/** The message by which a device limits what can be shared of it; the device signs it. */
export interface DevicePolicy {
  device: string;
  /** Mask of permissions. */
  ceiling: bigint;
  /** Mask of Read permissions. */
  publicRead: bigint;
  /** Mask of purposes. */
  purposes: bigint;
  epoch: bigint;
  seq: bigint;
  /** Unix seconds. */
  deadline: bigint;
}

/** Why an account may do something, or may not. */
export interface Explanation {
  allowed: boolean;
  reason: AccessReason;
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

// ------------------------------------------------------------------ policies

/** Makes the owner's half of a device's policy exactly this. By the owner's governor. */
export async function setPolicy(options: SendOptions & { device: string } & Limits): Promise<Sent> {
  const device = requireAddress("device", options.device);
  const { ceiling, publicRead, purposes } = masksOf(options);
  return send(options, () =>
    options.touchstone.dataAccess.setPolicy.populateTransaction(device, ceiling, publicRead, purposes),
  );
}

/**
 * Makes the message by which a device limits what can be shared of it, whoever owns it.
 *
 * @param options.validFor Seconds until which it can be sent; one day unless told.
 */
export async function newDevicePolicy(
  options: { touchstone: Touchstone; device: string; validFor?: bigint } & Limits,
): Promise<DevicePolicy> {
  const { touchstone, validFor = 86_400n } = options;
  const device = requireAddress("device", options.device);
  const masks = masksOf(options);
  const [epoch, { deviceSeq }, deadline] = await Promise.all([
    ask(() => touchstone.deviceRegistry.epochOf(device)),
    ask(() => touchstone.dataAccess.policyOf(device)),
    deadlineIn(touchstone, validFor),
  ]);
  return { device, ...masks, epoch, seq: deviceSeq, deadline };
}

/**
 * Makes the device's own half of its policy exactly what the device signed. Anyone may send.
 *
 * @param options.byDevice The device's key, or its proof over the policy.
 */
export async function setDevicePolicy(
  options: SendOptions & { policy: DevicePolicy; byDevice: Prover },
): Promise<Sent> {
  const { touchstone, byDevice } = options;
  const policy = checkedPolicy(options.policy);
  const message = devicePolicyMessage(touchstone.domains.DataAccess, policy);
  const proof = await askProof("byDevice", byDevice, message);
  return send(options, () => touchstone.dataAccess.setDevicePolicy.populateTransaction(policy, proof));
}

function masksOf(limits: Limits): { ceiling: bigint; publicRead: bigint; purposes: bigint } {
  return {
    ceiling: maskOf(allPermissions, limits.ceiling),
    publicRead: maskOf(allPermissions, limits.publicRead ?? []),
    purposes: maskOf(allPurposes, limits.purposes ?? allPurposes),
  };
}

function checkedPolicy(policy: DevicePolicy): DevicePolicy {
  return {
    device: requireAddress("policy.device", policy.device),
    ceiling: requireUint("policy.ceiling", policy.ceiling, 32),
    publicRead: requireUint("policy.publicRead", policy.publicRead, 32),
    purposes: requireUint("policy.purposes", policy.purposes, 32),
    epoch: requireUint("policy.epoch", policy.epoch, 24),
    seq: requireUint("policy.seq", policy.seq, 32),
    deadline: requireUint("policy.deadline", policy.deadline, 40),
  };
}

// ------------------------------------------------------------------ questions

/** What is asked: may the account do all of this with the device, for the purpose? */
export interface Question {
  touchstone: Touchstone;
  device: string;
  account: string;
  permissions: readonly Permission[];
  /** What for; ignored for the owner and members. */
  purpose: Purpose;
}

/** Whether an account may do all of this with the device, for the purpose. */
export async function isAllowed(options: Question): Promise<boolean> {
  const { device, account, permissions, purpose } = checkedQuestion(options);
  return ask(() => options.touchstone.dataAccess.isAllowed(device, account, permissions, purpose));
}

/** The same, and why. */
export async function explain(options: Question): Promise<Explanation> {
  const { device, account, permissions, purpose } = checkedQuestion(options);
  const { allowed, reason } = await ask(() =>
    options.touchstone.dataAccess.explain(device, account, permissions, purpose),
  );
  return { allowed, reason: nameOf(accessReasons, reason) };
}

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

/** The policy of a device as it holds now. */
export async function policyOf(options: { touchstone: Touchstone; device: string }): Promise<Policy> {
  const device = requireAddress("device", options.device);
  const policy = await ask(() => options.touchstone.dataAccess.policyOf(device));
  return { owner: halfOf(policy.owner), device: halfOf(policy.device), deviceSeq: policy.deviceSeq };
}

function checkedQuestion(options: Question): {
  device: string;
  account: string;
  permissions: bigint;
  purpose: bigint;
} {
  return {
    device: requireAddress("device", options.device),
    account: requireAddress("account", options.account),
    permissions: maskOf(allPermissions, options.permissions),
    purpose: numberOf(allPurposes, options.purpose),
  };
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

function halfOf(half: { isSet: boolean; ceiling: bigint; publicRead: bigint; purposes: bigint }): PolicyHalf {
  return {
    isSet: half.isSet,
    ceiling: namesIn(allPermissions, half.ceiling),
    publicRead: namesIn(allPermissions, half.publicRead),
    purposes: namesIn(allPurposes, half.purposes),
  };
}
