import { requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import { allPermissions, grantablePermissions, maskOf, namesIn, type GrantablePermission } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { allPurposes, type Purpose } from "./purposes.js";

/** What a subject is, or is to be, allowed. */
export interface GrantTerms {
  permissions: readonly GrantablePermission[];
  /** What for, at least one. */
  purposes: readonly Purpose[];
  /** Unix seconds of the first moment it holds; at once unless told. */
  notBefore?: bigint;
  /** Unix seconds of the first moment it no longer holds; FOREVER for as long as the device has the same owner. */
  expiry: bigint;
  /** 32 bytes: hash of the agreement it is given under; none unless told. */
  termsHash?: string;
}

/** What is granted, as the contract takes it. */
export function checkedTerms(
  options: GrantTerms,
): [permissions: bigint, purposes: bigint, notBefore: bigint, expiry: bigint, termsHash: string] {
  const { notBefore = 0n, expiry, termsHash = ZERO_HASH } = options;
  return [
    maskOf(allPermissions, options.permissions),
    maskOf(allPurposes, options.purposes),
    requireUint("notBefore", notBefore, 40),
    requireUint("expiry", expiry, 40),
    requireHex("termsHash", termsHash, 32),
  ];
}

/**
 * Checks what no contract has looked at yet.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for what nobody can grant.
 */
export function requireGrantable(terms: {
  permissions: bigint;
  purposes: bigint;
  notBefore: bigint;
  expiry: bigint;
}): void {
  const { permissions, purposes, notBefore, expiry } = terms;
  const grantable = maskOf(grantablePermissions, grantablePermissions);
  if (permissions === 0n || (permissions & ~grantable) !== 0n) {
    const beyond = namesIn(allPermissions, permissions & ~grantable);
    throw invalid(
      "permissions",
      permissions === 0n
        ? "there is none"
        : `${beyond.length > 0 ? beyond.join(", ") : `0x${permissions.toString(16)}`} cannot be granted`,
      `give some of ${grantablePermissions.join(", ")}`,
    );
  }
  if (purposes === 0n) throw invalid("purposes", "there is none", "say what it is for");
  if (notBefore >= expiry) throw invalid("expiry", `${expiry} is not after notBefore, ${notBefore}`, "end it later");
}

function invalid(argument: string, fault: string, fix: string): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", `${argument}: ${fault}: ${fix}.`, { details: { argument } });
}
