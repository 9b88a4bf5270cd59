/**
 * What an independent model of sharing knows: names and sets where the contracts have masks and words. It knows nothing of
 * the contracts, nor of the client.
 */

/** Permissions by bit. */
export const PERMISSIONS = [
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
export type PermissionName = (typeof PERMISSIONS)[number];

/** What the built-in roles permit, by their number; 0 is Admin. */
export const BUILT_IN_ROLES: readonly (readonly PermissionName[])[] = [
  PERMISSIONS,
  ["ReadLive", "ReadHistory", "ReadMetadata", "Command", "Configure", "Enroll", "ApproveFirmware"],
  ["Audit", "Suspend", "RotateKey"],
  ["ReadLive", "Anchor", "ReportInstall"],
  ["ReadHistory", "ReadMetadata", "Audit"],
  ["ReadLive", "ReadHistory", "ReadMetadata"],
  ["ReadMetadata", "Enroll", "ReportInstall"],
  ["PublishManifest"],
];
export const ADMIN = 0;
export const NOBODY = "0x0000000000000000000000000000000000000000";
export const FOR_EVER = 2n ** 40n - 1n;

/** Unix seconds: from `notBefore` up to, not with, `expiry`. */
export interface Window {
  notBefore: bigint;
  expiry: bigint;
}

export interface SharedGrant extends Window {
  permissions: Set<PermissionName>;
  purposes: Set<number>;
  epoch: bigint;
  byOwner: boolean;
}

export interface PolicyLimits {
  ceiling: Set<PermissionName>;
  publicRead: Set<PermissionName>;
  purposes: Set<number>;
}

export interface Offer {
  newOwner: string;
  expiry: bigint;
  epoch: bigint;
  handovers: bigint;
}

export interface DeviceState {
  /** Nobody, if it was deactivated as an identity before it could be a device. */
  owner: string;
  status: "active" | "suspended" | "retired";
  epoch: bigint;
  factoryScheme: bigint;
  key: { id: string; publicKey: string };
  isContinuous: boolean;
  offer: Offer | null;
  /** By subject; without a grant once it was revoked. */
  grants: Map<string, { seq: bigint; grant: SharedGrant | null }>;
  ownerPolicy: (PolicyLimits & { epoch: bigint }) | null;
  devicePolicy: PolicyLimits | null;
  deviceSeq: bigint;
}

export interface Membership extends Window {
  roles: Set<number>;
  epoch: bigint;
}

export interface FleetState {
  /** Null for an account, which governs itself. */
  governor: string | null;
  proposed: string | null;
  roleEpoch: bigint;
  handovers: bigint;
  members: Map<string, Membership>;
  ownRoles: Map<number, Set<PermissionName>>;
  /** Pairs of roles, the lower one first. */
  exclusions: [number, number][];
}

export interface SharingState {
  devices: Map<string, DeviceState>;
  fleets: Map<string, FleetState>;
}

export function bitsOf(mask: bigint): Set<number> {
  const digits = Array.from(mask.toString(2)).reverse();
  return new Set(digits.flatMap((digit, place) => (digit === "1" ? [place] : [])));
}

/** The names in a mask; a bit that stands for nothing gets a name that nothing else has. */
export function namesOf(mask: bigint): Set<PermissionName> {
  return new Set([...bitsOf(mask)].map((bit) => PERMISSIONS[bit] ?? (`bit ${bit}` as PermissionName)));
}

export function maskOf(names: ReadonlySet<PermissionName>): bigint {
  return PERMISSIONS.reduce((mask, name, bit) => (names.has(name) ? mask + 2n ** BigInt(bit) : mask), 0n);
}

export function isWithin<T>(some: Iterable<T>, all: ReadonlySet<T>): boolean {
  return [...some].every((each) => all.has(each));
}

export function isReading(asked: Iterable<PermissionName>): boolean {
  return isWithin(asked, new Set(["ReadLive", "ReadHistory", "ReadLocation", "ReadMetadata"] as const));
}

export function holdsAt({ notBefore, expiry }: Window, time: bigint): boolean {
  return notBefore <= time && time < expiry;
}

// ---------------------------------------------------------------------- who works for a fleet

export function fleetOf(state: SharingState, fleet: string): FleetState {
  const known = state.fleets.get(fleet);
  if (known !== undefined) return known;
  const created: FleetState = {
    governor: null,
    proposed: null,
    roleEpoch: 0n,
    handovers: 0n,
    members: new Map(),
    ownRoles: new Map(),
    exclusions: [],
  };
  state.fleets.set(fleet, created);
  return created;
}

export function governorOf(state: SharingState, fleet: string): string {
  return fleetOf(state, fleet).governor ?? fleet;
}

/** What the roles of the account permit together now, and until when; nothing for the governor, who needs no roles. */
export function membershipOf(
  state: SharingState,
  fleet: string,
  account: string,
  time: bigint,
): { permissions: Set<PermissionName>; roles: Set<number>; expiry: bigint } {
  const { members, roleEpoch, ownRoles } = fleetOf(state, fleet);
  const member = members.get(account);
  if (member?.epoch !== roleEpoch || !holdsAt(member, time)) {
    return { permissions: new Set(), roles: new Set(), expiry: 0n };
  }
  const permissions = [...member.roles].flatMap((role) => [...(BUILT_IN_ROLES[role] ?? ownRoles.get(role) ?? [])]);
  return { permissions: new Set(permissions), roles: member.roles, expiry: member.expiry };
}

export function isGovernor(state: SharingState, fleet: string, account: string): boolean {
  return account === fleet || account === governorOf(state, fleet);
}

/** Whether the account governs the fleet or its roles permit this now. */
export function may(
  state: SharingState,
  fleet: string,
  account: string,
  permission: PermissionName,
  time: bigint,
): boolean {
  return isGovernor(state, fleet, account) || membershipOf(state, fleet, account, time).permissions.has(permission);
}
