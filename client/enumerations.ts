import { TouchstoneError } from "./errors.js";

/** Where a device is in its life; the order is that of IDeviceRegistry.Status. */
export const deviceStatuses = ["None", "Active", "Suspended", "Retired"] as const;
export type DeviceStatus = (typeof deviceStatuses)[number];

/** How keys sign, for people; the order is that of the contracts' Scheme. */
export const schemeNames = ["Account", "P256", "P256Sha256"] as const;
export type SchemeName = (typeof schemeNames)[number];

/** Why a question about access was answered as it was; the order is that of IDataAccess.Reason. */
export const accessReasons = [
  "Owner",
  "Grant",
  "Public",
  "Role",
  "QuestionInvalid",
  "DeviceUnknown",
  "DeviceSuspended",
  "DeviceRetired",
  "NoGrant",
  "Revoked",
  "EpochEnded",
  "NotYetValid",
  "Expired",
  "PermissionNotGranted",
  "PurposeNotGranted",
  "OwnerPolicy",
  "DevicePolicy",
] as const;
export type AccessReason = (typeof accessReasons)[number];

/** What an anchor is; the order is that of IDataAnchor.Kind. */
export const anchorKinds = ["Data", "Gap", "Correction", "Receipts", "AccessLog"] as const;
export type AnchorKind = (typeof anchorKinds)[number];

/** How an anchor's root opens; the order is that of IDataAnchor.Tree. */
export const treeHashes = ["Keccak256", "Sha256"] as const;
export type TreeHash = (typeof treeHashes)[number];

/** What the chain knew of the block an anchor names; the order is that of IDataAnchor.FreshState. */
export const freshStates = ["None", "Confirmed", "TooOld"] as const;
export type FreshState = (typeof freshStates)[number];

/** What a firmware signer may take part in; the order is that of IFirmwareRegistry.Quorum. */
export const quorums = ["Root", "Release", "Revoke"] as const;
export type Quorum = (typeof quorums)[number];

/** Where a release is in its life; the order is that of IFirmwareRegistry.Status. */
export const releaseStatuses = ["None", "Live", "Yanked", "Revoked"] as const;
export type ReleaseStatus = (typeof releaseStatuses)[number];

/** What the registry says of a firmware file; the order is that of IFirmwareRegistry.Reason. */
export const firmwareReasons = [
  "Authorised",
  "ProductUnknown",
  "DigestUnknown",
  "SizeMismatch",
  "Yanked",
  "Revoked",
] as const;
export type FirmwareReason = (typeof firmwareReasons)[number];

/** The permissions by their bit; the order is that of the library Permissions. */
export const allPermissions = [
  "ReadLive",
  "ReadHistory",
  "ReadLocation",
  "ReadMetadata",
  "Command",
  "Configure",
  "Audit",
  "Share",
  "Enroll",
  "Suspend",
  "RotateKey",
  "Anchor",
  "ReportInstall",
  "ApproveFirmware",
  "PublishManifest",
  "ManageRoles",
] as const;
/** What an account may do. */
export type Permission = (typeof allPermissions)[number];

/** What can be made public, by bit. */
export const readPermissions = ["ReadLive", "ReadHistory", "ReadLocation", "ReadMetadata"] as const;
export type ReadPermission = (typeof readPermissions)[number];

/** What an outsider may be granted, by bit. */
export const grantablePermissions = [...readPermissions, "Command", "Configure", "Audit"] as const;
export type GrantablePermission = (typeof grantablePermissions)[number];

/** The built-in roles by their number. */
export const builtInRoles = [
  "Admin",
  "Operator",
  "Security",
  "Gateway",
  "Auditor",
  "Analyst",
  "Installer",
  "Maker",
] as const;
export type BuiltInRole = (typeof builtInRoles)[number];
/** A role that the fleet defines for itself, by its number. */
export type OwnRole = 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15;
/** What an account is in a fleet. */
export type Role = BuiltInRole | OwnRole;

/** The roles by their number. */
export const allRoles: readonly Role[] = [...builtInRoles, 8, 9, 10, 11, 12, 13, 14, 15];

/**
 * The name that a contract's number stands for.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if there is none: the contract is newer than this client.
 */
export function nameOf<T>(names: readonly T[], number: bigint): T {
  const name = names[Number(number)];
  if (name === undefined) {
    throw new TouchstoneError("INVALID_ARGUMENT", `${number} is none of the ${names.length} values ${list(names)}.`, {
      details: { number, names },
    });
  }
  return name;
}

/**
 * The number that a name stands for in the contracts.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is none of the names.
 */
export function numberOf<T>(names: readonly T[], name: T): bigint {
  const number = names.indexOf(name);
  if (number === -1) {
    throw new TouchstoneError("INVALID_ARGUMENT", `${String(name)} is unknown: give one of ${list(names)}.`, {
      details: { name, names },
    });
  }
  return BigInt(number);
}

/**
 * The mask of a set of names: bit n stands for the name with number n.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if one is none of the names.
 */
export function maskOf<T>(names: readonly T[], set: Iterable<T>): bigint {
  let mask = 0n;
  for (const name of set) mask |= 1n << numberOf(names, name);
  return mask;
}

/** The names that the bits of a mask stand for, in their order; bits without a name are left out. */
export function namesIn<T>(names: readonly T[], mask: bigint): T[] {
  return names.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}

function list(names: readonly unknown[]): string {
  return names.map(String).join(", ");
}
