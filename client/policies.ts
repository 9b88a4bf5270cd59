import { requireAddress, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import {
  allPermissions,
  maskOf,
  namesIn,
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

// ------------------------------------------------------------------ limits

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

// ------------------------------------------------------------------ reading

/** The policy of a device as it holds now. */
export async function policyOf(options: { touchstone: Touchstone; device: string }): Promise<Policy> {
  const device = requireAddress("device", options.device);
  const policy = await ask(() => options.touchstone.dataAccess.policyOf(device));
  return { owner: halfOf(policy.owner), device: halfOf(policy.device), deviceSeq: policy.deviceSeq };
}

// ------------------------------------------------------------------ private

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

function halfOf(half: { isSet: boolean; ceiling: bigint; publicRead: bigint; purposes: bigint }): PolicyHalf {
  return {
    isSet: half.isSet,
    ceiling: namesIn(allPermissions, half.ceiling),
    publicRead: namesIn(allPermissions, half.publicRead),
    purposes: namesIn(allPurposes, half.purposes),
  };
}
