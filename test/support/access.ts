import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { expect } from "chai";
import type { AddressLike } from "ethers";

import { createP256Key, type Key } from "../../client/keys.js";
import { devicePolicyMessage, messageDomain, type MessageDomain, type TypedMessage } from "../../client/typed-data.js";
import type { DataAccess, IDataAccess } from "../../typechain-types/index.js";

import { DAY, ethers, now } from "./chain.js";
import { deployFleet, enrollDevice, type Fleet } from "./fleet.js";

/** Permissions by name, as masks. */
export const PERMISSION = {
  ReadLive: 1n << 0n,
  ReadHistory: 1n << 1n,
  ReadLocation: 1n << 2n,
  ReadMetadata: 1n << 3n,
  Command: 1n << 4n,
  Configure: 1n << 5n,
  Audit: 1n << 6n,
  Share: 1n << 7n,
  Enroll: 1n << 8n,
  Suspend: 1n << 9n,
  RotateKey: 1n << 10n,
  Anchor: 1n << 11n,
  ReportInstall: 1n << 12n,
  ApproveFirmware: 1n << 13n,
  PublishManifest: 1n << 14n,
  ManageRoles: 1n << 15n,
} as const;

/** Every Read* permission. */
export const READ = 0b1111n;
/** Every permission that can be granted. */
export const GRANTABLE = 0b111_1111n;
/** Every permission there is. */
export const ALL = 0xffffn;
/** Every purpose. */
export const ALL_PURPOSES = 2n ** 32n - 1n;

/** The reasons by name, in their order. */
export const REASON = {
  Owner: 0n,
  Grant: 1n,
  Public: 2n,
  Role: 3n,
  QuestionInvalid: 4n,
  DeviceUnknown: 5n,
  DeviceSuspended: 6n,
  DeviceRetired: 7n,
  NoGrant: 8n,
  Revoked: 9n,
  EpochEnded: 10n,
  NotYetValid: 11n,
  Expired: 12n,
  PermissionNotGranted: 13n,
  PurposeNotGranted: 14n,
  OwnerPolicy: 15n,
  DevicePolicy: 16n,
} as const;
export type ReasonName = keyof typeof REASON;

/** The name of a reason as the contract gives it. */
export function reasonName(reason: bigint): string {
  return Object.entries(REASON).find(([, value]) => value === reason)?.[0] ?? `reason ${reason.toString()}`;
}

export interface Access extends Fleet {
  access: DataAccess;
  accessDomain: MessageDomain;
}

/** The fleet at work, and DataAccess. */
export async function deployAccess(): Promise<Access> {
  const fleet = await deployFleet();
  const access = await ethers.deployContract("DataAccess", [fleet.roles, fleet.devices]);
  const accessDomain = messageDomain({
    contract: "DataAccess",
    chainId: fleet.chainId,
    address: await access.getAddress(),
  });
  return { ...fleet, access, accessDomain };
}

/** A grant, with what most tests need where nothing else is said. */
export interface GrantOptions {
  device: string;
  subject: string;
  permissions?: bigint;
  purposes?: bigint;
  notBefore?: bigint;
  expiry?: bigint;
  termsHash?: string;
}

/** Sends a grant: by default ReadLive for purpose 1 from now on for 30 days. */
export async function sendGrant(suite: Access, by: HardhatEthersSigner, options: GrantOptions) {
  const { device, subject, permissions = PERMISSION.ReadLive, purposes = 0b10n, notBefore = 0n } = options;
  const { expiry = (await now()) + 30n * DAY, termsHash = ethers.ZeroHash } = options;
  return suite.access.connect(by).grant(device, subject, permissions, purposes, notBefore, expiry, termsHash);
}

/** The word of a grant, field by field, as the storage and the events hold it. */
export function grantWord(grant: {
  permissions: bigint;
  purposes: bigint;
  notBefore: bigint;
  expiry: bigint;
  epoch: bigint;
  seq: bigint;
  /** The owner's unless told. */
  byOwner?: boolean;
}): bigint {
  const { permissions, purposes, notBefore, expiry, epoch, seq, byOwner = true } = grant;
  return [
    [byOwner ? 1n : 0n, 1],
    [seq, 32],
    [epoch, 24],
    [expiry, 40],
    [notBefore, 40],
    [purposes, 32],
    [permissions, 32],
  ].reduce((word, [field, bits]) => (word << BigInt(bits!)) | BigInt(field!), 0n);
}

/** A half of a policy that is not set. */
export const UNSET = { isSet: false, ceiling: 0n, publicRead: 0n, purposes: 0n };

/** The policy that a device would sign now: by default all is allowed and nothing public. */
export async function nextDevicePolicy(
  suite: Access,
  key: Key,
  policy: Partial<IDataAccess.DevicePolicyStruct> = {},
): Promise<IDataAccess.DevicePolicyStruct> {
  return {
    device: key.id,
    ceiling: GRANTABLE,
    publicRead: 0n,
    purposes: ALL_PURPOSES,
    epoch: await suite.devices.epochOf(key.id),
    seq: (await suite.access.policyOf(key.id)).deviceSeq,
    deadline: (await now()) + DAY,
    ...policy,
  };
}

/** The message that the device signs for its policy. */
export function policyMessage(suite: Access, policy: IDataAccess.DevicePolicyStruct): TypedMessage {
  return devicePolicyMessage(suite.accessDomain, policy);
}

/** Signs and sends a device's policy. */
export async function sendDevicePolicy(
  suite: Access,
  key: Key,
  policy: Partial<IDataAccess.DevicePolicyStruct> = {},
  by = suite.actors.relayer,
) {
  const signed = await nextDevicePolicy(suite, key, policy);
  return suite.access.connect(by).setDevicePolicy(signed, await key.prove(policyMessage(suite, signed)));
}

/** What the chain says of the question, as a reason's name; both views must agree. */
export async function ask(
  { access }: Access,
  device: string,
  account: AddressLike,
  permissions: bigint,
  purpose = 1n,
): Promise<string> {
  const [allowed, reason] = await access.explain(device, account, permissions, purpose);
  expect(await access.isAllowed(device, account, permissions, purpose), "isAllowed and explain").to.equal(allowed);
  expect(allowed, "only the first four reasons are a yes").to.equal(reason <= REASON.Role);
  return reasonName(reason);
}

export async function expectReason(
  suite: Access,
  device: string,
  account: AddressLike,
  permissions: bigint,
  reason: ReasonName,
  purpose = 1n,
): Promise<void> {
  expect(await ask(suite, device, account, permissions, purpose)).to.equal(reason);
}

/** Suspends the P-256 device of the fixture. */
export async function suspend({ devices, actors, p256Device }: Access): Promise<void> {
  await devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey);
}

/** Starts a new epoch of the P-256 device of the fixture. */
export async function revokeAll({ devices, actors, p256Device }: Access): Promise<void> {
  await devices.connect(actors.owner).revokeAll(p256Device.id, p256Device.publicKey);
}

/** A device owned by an account and not by a fleet handle. */
export async function enrollForAccount(suite: Access): Promise<{ owner: HardhatEthersSigner; key: Key }> {
  const owner = suite.actors.maker;
  const key = createP256Key();
  await enrollDevice(suite, { key, owner: owner.address, by: owner });
  return { owner, key };
}
