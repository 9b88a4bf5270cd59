import { getAddress } from "ethers";

import type { Explanation, Grant, Policy, PolicyHalf } from "./access.js";
import { requireAddress, ZERO_HASH } from "./arguments.js";
import {
  allPermissions,
  allRoles,
  builtInRoles,
  deviceStatuses,
  maskOf,
  namesIn,
  numberOf,
  readPermissions,
  type AccessReason,
  type BuiltInRole,
  type DeviceStatus,
  type Permission,
  type Role,
} from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import type { Cursor, TouchstoneEvent, TouchstoneEventNamed } from "./events.js";
import { allPurposes, type Purpose } from "./purposes.js";
import type { Membership } from "./roles.js";

/** What is asked: may the account do all of this with the device, for the purpose? */
export interface AccessQuestion {
  device: string;
  account: string;
  permissions: readonly Permission[];
  /** What for; ignored for the owner and members. */
  purpose: Purpose;
}

/** What was granted last to a subject on a device. */
export interface GrantOnDevice {
  subject: string;
  grant: Grant;
  /** Who gave or ended it. */
  by: string;
  /** Hash of the agreement it was given under; ZERO_HASH for none. */
  termsHash: string;
  place: Cursor;
}

/** What an account was given last in a fleet. */
export interface MemberOfFleet {
  account: string;
  membership: Membership;
  /** Who gave or took it. */
  by: string;
  place: Cursor;
}

/** Whether what a state allows is allowed for one of the first four reasons. */
export function isYes(reason: AccessReason): boolean {
  return reason === "Owner" || reason === "Grant" || reason === "Public" || reason === "Role";
}

/**
 * The decision of DataAccess a second time, from the events of RoleRegistry, DeviceRegistry and DataAccess: no chain is asked,
 * and one decision takes about a microsecond.
 *
 * It knows what it was told: all events of a device from its enrolment on, and all those of its owner's fleet, in the order of the
 * chain. Ids are taken in any case.
 */
export class AccessState {
  readonly #devices = new Map<string, DeviceRecord>();
  readonly #fleets = new Map<string, FleetRecord>();
  /** Every id that was ever named, by the ways to write it: so that each is kept once, and its checksum computed once. */
  readonly #ids = new Map<string, KnownId>();

  // ------------------------------------------------------------------ what happens

  /**
   * Applies one event; those that no decision depends on change nothing.
   *
   * @returns What takes it back, to be called newest first.
   * @throws TouchstoneError EVENTS_MISSING if the event cannot follow those before: some were left out. Nothing changed.
   */
  apply(event: TouchstoneEvent): () => void {
    switch (event.name) {
      case "DeviceEnrolled":
        return this.#enroll(event);
      case "DeviceSuspended":
        return this.#switch(event, ACTIVE, SUSPENDED);
      case "DeviceResumed":
        return this.#switch(event, SUSPENDED, ACTIVE);
      case "DeviceRetired":
      case "AllRevoked":
      case "DeviceTransferred":
        return this.#beginEpoch(event);
      case "AccessGranted":
      case "AccessRevoked":
        return this.#setGrant(event);
      case "PolicySet":
        return this.#setPolicy(event);
      case "DevicePolicySet":
        return this.#setDevicePolicy(event);
      case "FleetCreated":
        return this.#createFleet(event);
      case "GovernorChanged":
        return this.#changeGovernor(event);
      case "AllRolesRevoked":
        return this.#endRoles(event);
      case "RolesSet":
        return this.#setRoles(event);
      case "RoleDefined":
        return this.#defineRole(event);
      case "RolesDeclaredExclusive":
        return this.#declareExclusive(event);
      default:
        // Proposals, requests, keys, manifests and the DID documents decide nothing: an identity that is no device is unknown,
        // whoever owns it and even if it was deactivated.
        return doNothing;
    }
  }

  // ------------------------------------------------------------------ what is answered

  /**
   * What `explain` of DataAccess answers in a block of this time.
   *
   * @param time Unix seconds.
   * @throws TouchstoneError INVALID_ARGUMENT for ids and names that are none.
   */
  explain(question: AccessQuestion, time: bigint): Explanation {
    const seconds = Number(time);
    const reason = this.explainWithin(this.masksOf(question), seconds, seconds);
    return { allowed: isYes(reason), reason };
  }

  /**
   * The same on masks, for who asks often.
   *
   * @param permissions A mask; QuestionInvalid is the answer if it is none, as on chain.
   * @param purpose A number, 0 to 31; QuestionInvalid is the answer if it is none.
   */
  explainMasks(device: string, account: string, permissions: number, purpose: number, time: bigint): AccessReason {
    const seconds = Number(time);
    return this.explainWithin({ device, account, permissions, purpose }, seconds, seconds);
  }

  /**
   * The same where the time is only known to lie between two moments, in Unix seconds: a window counts as open if it is open at
   * each moment between.
   */
  explainWithin(question: MaskedQuestion, earliest: number, latest: number): AccessReason {
    const { permissions, purpose } = question;
    if (!(Number.isInteger(permissions) && permissions > 0 && permissions <= ALL)) return "QuestionInvalid";
    if (!(Number.isInteger(purpose) && purpose >= 0 && purpose < allPurposes.length)) return "QuestionInvalid";
    const device = this.#devices.get(this.#keyOf(question.device));
    if (device === undefined) return "DeviceUnknown";
    const { fleet, status } = device;
    if (status === RETIRED && (permissions & ~READ) !== 0) return "DeviceRetired";
    const account = this.#keyOf(question.account);
    if (account === fleet.key || account === fleet.governorKey) return "Owner";

    let reason: AccessReason = status === SUSPENDED ? "DeviceSuspended" : "DeviceRetired";
    if (status === ACTIVE) {
      reason = decideForOutsider(device, account, permissions, purpose, earliest, latest);
      if (reason === "Grant" || reason === "Public") return reason;
    }
    if (status === SUSPENDED && (permissions & COMMAND_OR_CONFIGURE) !== 0) return reason;
    return isPermitted(fleet, account, permissions, earliest, latest) ? "Role" : reason;
  }

  /**
   * The question as the contract takes it.
   *
   * @throws TouchstoneError INVALID_ARGUMENT for ids and names that are none.
   */
  masksOf(question: AccessQuestion): MaskedQuestion {
    return {
      device: this.#requireId("device", question.device),
      account: this.#requireId("account", question.account),
      permissions: Number(maskOf(allPermissions, question.permissions)),
      purpose: Number(numberOf(allPurposes, question.purpose)),
    };
  }

  /** Undefined for what was never enrolled. */
  deviceOf(device: string): { owner: string; status: DeviceStatus; epoch: bigint } | undefined {
    const record = this.#devices.get(this.#keyOf(device));
    if (record === undefined) return undefined;
    return { owner: record.fleet.id, status: statusName(record.status), epoch: BigInt(record.epoch) };
  }

  /** Who speaks for the fleet; an account governs itself. */
  governorOf(fleet: string): string {
    return this.#fleets.get(this.#keyOf(fleet))?.governor ?? requireAddress("fleet", fleet);
  }

  /** How often the fleet was handed over. */
  handoversOf(fleet: string): bigint {
    return BigInt(this.#fleets.get(this.#keyOf(fleet))?.handovers ?? 0);
  }

  roleEpochOf(fleet: string): bigint {
    return BigInt(this.#fleets.get(this.#keyOf(fleet))?.roleEpoch ?? 0);
  }

  /** What was granted last to each subject that ever had a grant on the device, in the order of the first. */
  grantsOn(device: string): GrantOnDevice[] {
    const grants = this.#devices.get(this.#keyOf(device))?.grants;
    return grants === undefined ? [] : Array.from(grants.values(), grantOnDevice);
  }

  /** The device's policy as it holds now. */
  policyOf(device: string): Policy {
    const record = this.#devices.get(this.#keyOf(device));
    const half = record?.ownerHalf;
    return {
      owner: policyHalf(half?.epoch === record?.epoch ? half : undefined),
      device: policyHalf(record?.deviceHalf),
      deviceSeq: BigInt(record?.deviceSeq ?? 0),
    };
  }

  /** What each account was given last that ever was a member, in this role epoch of the fleet or before: `membership.epoch`. */
  membersOf(fleet: string): MemberOfFleet[] {
    const members = this.#fleets.get(this.#keyOf(fleet))?.members;
    return members === undefined ? [] : Array.from(members.values(), memberOfFleet);
  }

  /** What a role permits in the fleet. */
  rolePermissions(fleet: string, role: Role): Permission[] {
    const number = Number(numberOf(allRoles, role));
    const record = this.#fleets.get(this.#keyOf(fleet));
    const mask = number < FIRST_OWN ? BUILT_IN[number] : record?.ownRoles[number - FIRST_OWN];
    return namesIn(allPermissions, BigInt(mask ?? 0));
  }

  /** The pairs of roles that nobody can be given together any more. */
  exclusionsOf(fleet: string): [Role, Role][] {
    const exclusions = this.#fleets.get(this.#keyOf(fleet))?.exclusions ?? [];
    return exclusions.map(([a, b]) => [roleOf(a), roleOf(b)]);
  }

  /** The devices that the fleet owns now, or owned last if they are retired; always in the same order. */
  devicesOf(fleet: string): string[] {
    const devices = this.#fleets.get(this.#keyOf(fleet))?.devices ?? new Set<DeviceRecord>();
    return Array.from(devices, ({ id }) => id).sort();
  }

  /** Every device that was ever enrolled. */
  devices(): string[] {
    return Array.from(this.#devices.values(), ({ id }) => id);
  }

  /** Every owner of a device, and every fleet in which something was done; always in the same order. */
  fleets(): string[] {
    const used = [...this.#fleets.values()].filter((fleet) => !isUnused(fleet));
    return used.map(({ id }) => id).sort();
  }

  // ------------------------------------------------------------------ private: devices

  #enroll(event: TouchstoneEventNamed<"DeviceEnrolled">): () => void {
    const { device, owner } = event.args;
    const { key, id } = this.#known(device);
    if (this.#devices.has(key)) throw missing(event, "The device is enrolled already");
    const fleet = this.#fleet(owner);
    const record: DeviceRecord = {
      id,
      fleet,
      status: ACTIVE,
      epoch: 1,
      grants: new Map(),
      ownerHalf: undefined,
      deviceHalf: undefined,
      deviceSeq: 0,
    };
    this.#devices.set(key, record);
    fleet.devices.add(record);
    return () => {
      this.#devices.delete(key);
      fleet.devices.delete(record);
    };
  }

  #switch(event: TouchstoneEventNamed<"DeviceSuspended" | "DeviceResumed">, from: number, to: number): () => void {
    const device = this.#deviceIn(event);
    if (device.status !== from) throw missing(event, `The device is ${statusName(device.status)}`);
    device.status = to;
    return () => {
      device.status = from;
    };
  }

  #beginEpoch(event: TouchstoneEventNamed<"DeviceRetired" | "AllRevoked" | "DeviceTransferred">): () => void {
    const device = this.#deviceIn(event);
    const { fleet, status, epoch } = device;
    requireNext(event, "epoch", epoch, event.args.epoch);
    if (status === RETIRED) throw missing(event, "The device is Retired");
    device.epoch = epoch + 1;
    if (event.name === "DeviceRetired") device.status = RETIRED;
    if (event.name === "DeviceTransferred") {
      const to = this.#fleet(event.args.newOwner);
      moveDevice(device, fleet, to);
    }
    return () => {
      device.epoch = epoch;
      device.status = status;
      moveDevice(device, device.fleet, fleet);
    };
  }

  // ------------------------------------------------------------------ private: grants and policies

  #setGrant(event: TouchstoneEventNamed<"AccessGranted" | "AccessRevoked">): () => void {
    const device = this.#device(event);
    const { subject, by } = event.args;
    const known = this.#known(subject);
    const former = device.grants.get(known.key);
    const seq = former?.seq ?? 0;
    const about = { subject: known.id, by: this.#known(by).id, place: event.cursor };
    if (event.name === "AccessGranted") {
      const { word, termsHash } = event.args;
      const record = grantRecord(word, { ...about, termsHash: termsHash === ZERO_HASH ? ZERO_HASH : termsHash });
      requireNext(event, "seq", seq, record.seq);
      if (record.epoch !== device.epoch) throw missing(event, `The device's epoch is ${device.epoch}`);
      return put(device.grants, known.key, record);
    }
    const revoked = Number(event.args.seq);
    // One that was signed raises the number by one or two.
    if (revoked !== seq + 1 && revoked !== seq + 2) throw missing(event, `The grant's seq is ${seq}`);
    // As the contract keeps it: nothing but the place in the sequence.
    return put(device.grants, known.key, grantRecord(BigInt(revoked) << SEQ_AT, { ...about, termsHash: ZERO_HASH }));
  }

  #setPolicy(event: TouchstoneEventNamed<"PolicySet">): () => void {
    const device = this.#deviceIn(event);
    const epoch = Number(event.args.epoch);
    if (epoch !== device.epoch) throw missing(event, `The device's epoch is ${device.epoch}`);
    const former = device.ownerHalf;
    device.ownerHalf = { ...halfIn(event.args), epoch };
    return () => {
      device.ownerHalf = former;
    };
  }

  #setDevicePolicy(event: TouchstoneEventNamed<"DevicePolicySet">): () => void {
    const device = this.#device(event);
    const { deviceHalf, deviceSeq } = device;
    requireNext(event, "seq", deviceSeq, event.args.seq);
    device.deviceHalf = halfIn(event.args);
    device.deviceSeq = deviceSeq + 1;
    return () => {
      device.deviceHalf = deviceHalf;
      device.deviceSeq = deviceSeq;
    };
  }

  // ------------------------------------------------------------------ private: fleets

  #createFleet(event: TouchstoneEventNamed<"FleetCreated">): () => void {
    const fleet = this.#fleet(event.args.fleet);
    if (fleet.governor !== undefined) throw missing(event, "The fleet exists already");
    return setGovernor(fleet, this.#known(event.args.governor));
  }

  #changeGovernor(event: TouchstoneEventNamed<"GovernorChanged">): () => void {
    const fleet = this.#fleet(event.args.fleet);
    const { handovers, roleEpoch } = fleet;
    requireNext(event, "handovers", handovers, event.args.handovers);
    const epoch = Number(event.args.epoch);
    if (epoch !== roleEpoch && epoch !== roleEpoch + 1) throw missing(event, `The role epoch is ${roleEpoch}`);
    const undo = setGovernor(fleet, this.#known(event.args.to));
    fleet.handovers = handovers + 1;
    fleet.roleEpoch = epoch;
    return () => {
      undo();
      fleet.handovers = handovers;
      fleet.roleEpoch = roleEpoch;
    };
  }

  #endRoles(event: TouchstoneEventNamed<"AllRolesRevoked">): () => void {
    const fleet = this.#fleet(event.args.fleet);
    const { roleEpoch } = fleet;
    requireNext(event, "role epoch", roleEpoch, event.args.epoch);
    fleet.roleEpoch = roleEpoch + 1;
    return () => {
      fleet.roleEpoch = roleEpoch;
    };
  }

  #setRoles(event: TouchstoneEventNamed<"RolesSet">): () => void {
    const { account, by, roles, notBefore, expiry, epoch } = event.args;
    const fleet = this.#fleet(event.args.fleet);
    if (Number(epoch) !== fleet.roleEpoch) throw missing(event, `The role epoch is ${fleet.roleEpoch}`);
    const removed = roles === 0n;
    const known = this.#known(account);
    return put(fleet.members, known.key, {
      account: known.id,
      roles: Number(roles),
      notBefore: Number(notBefore),
      expiry: Number(expiry),
      // As the contract keeps it: nothing of a member that was removed.
      epoch: removed ? 0 : Number(epoch),
      by: this.#known(by).id,
      place: event.cursor,
    });
  }

  #defineRole(event: TouchstoneEventNamed<"RoleDefined">): () => void {
    const fleet = this.#fleet(event.args.fleet);
    const { ownRoles } = fleet;
    fleet.ownRoles = ownRoles.with(Number(event.args.role) - FIRST_OWN, Number(event.args.permissions));
    return () => {
      fleet.ownRoles = ownRoles;
    };
  }

  #declareExclusive(event: TouchstoneEventNamed<"RolesDeclaredExclusive">): () => void {
    const fleet = this.#fleet(event.args.fleet);
    const { exclusions } = fleet;
    fleet.exclusions = [...exclusions, [Number(event.args.roleA), Number(event.args.roleB)]];
    return () => {
      fleet.exclusions = exclusions;
    };
  }

  // ------------------------------------------------------------------ private: records

  #device(event: TouchstoneEventNamed<DeviceEventName>): DeviceRecord {
    const device = this.#devices.get(event.args.device.toLowerCase());
    if (device === undefined) throw missing(event, "The device is not enrolled");
    return device;
  }

  /** The device of an event that says whose it is. */
  #deviceIn(event: TouchstoneEventNamed<OwnerEventName>): DeviceRecord {
    const device = this.#device(event);
    if (device.fleet.key !== event.args.owner.toLowerCase()) throw missing(event, `The owner is ${device.fleet.id}`);
    return device;
  }

  /** The record of an owner, made at its first mention; one that is not used any more is as none. */
  #fleet(owner: string): FleetRecord {
    const { key, id } = this.#known(owner);
    const known = this.#fleets.get(key);
    if (known !== undefined) return known;
    const fleet: FleetRecord = {
      id,
      key,
      governor: undefined,
      governorKey: key,
      handovers: 0,
      roleEpoch: 0,
      ownRoles: NO_OWN_ROLES,
      exclusions: [],
      members: new Map(),
      devices: new Set(),
    };
    this.#fleets.set(key, fleet);
    return fleet;
  }

  // ------------------------------------------------------------------ private: ids

  #keyOf(id: string): string {
    return this.#ids.get(id)?.key ?? id.toLowerCase();
  }

  /** The id of an event, which is checksummed unless it was made by hand. */
  #known(given: string): KnownId {
    const known = this.#ids.get(given);
    if (known !== undefined) return known;
    const key = given.toLowerCase();
    const id = this.#ids.get(key) ?? { key, id: given === key ? getAddress(given) : given };
    this.#ids.set(given, id).set(key, id);
    return id;
  }

  #requireId(argument: string, id: string): string {
    return this.#ids.get(id)?.key ?? requireAddress(argument, id).toLowerCase();
  }
}

/** A question as the contract takes it. */
export interface MaskedQuestion {
  device: string;
  account: string;
  permissions: number;
  purpose: number;
}

// ------------------------------------------------------------------ records

/** An id in lower case, as maps have it, and checksummed, as people have it. */
interface KnownId {
  readonly key: string;
  readonly id: string;
}

/** Times are Unix seconds; sets are masks. */
interface DeviceRecord {
  readonly id: string;
  fleet: FleetRecord;
  status: number;
  epoch: number;
  readonly grants: Map<string, GrantRecord>;
  ownerHalf: (HalfRecord & { epoch: number }) | undefined;
  deviceHalf: HalfRecord | undefined;
  deviceSeq: number;
}

interface GrantRecord {
  readonly permissions: number;
  readonly purposes: number;
  readonly notBefore: number;
  readonly expiry: number;
  readonly epoch: number;
  readonly seq: number;
  readonly byOwner: boolean;
  readonly subject: string;
  readonly by: string;
  readonly termsHash: string;
  readonly place: Cursor;
}

interface HalfRecord {
  readonly ceiling: number;
  readonly publicRead: number;
  readonly purposes: number;
}

interface FleetRecord {
  readonly id: string;
  readonly key: string;
  /** Undefined for an account, which governs itself. */
  governor: string | undefined;
  governorKey: string;
  handovers: number;
  roleEpoch: number;
  /** What roles 8 to 15 permit. */
  ownRoles: readonly number[];
  exclusions: readonly (readonly [number, number])[];
  readonly members: Map<string, MemberRecord>;
  readonly devices: Set<DeviceRecord>;
}

interface MemberRecord {
  readonly account: string;
  readonly roles: number;
  readonly notBefore: number;
  readonly expiry: number;
  readonly epoch: number;
  readonly by: string;
  readonly place: Cursor;
}

type OwnerEventName =
  "DeviceSuspended" | "DeviceResumed" | "DeviceRetired" | "AllRevoked" | "DeviceTransferred" | "PolicySet";
type DeviceEventName = OwnerEventName | "AccessGranted" | "AccessRevoked" | "DevicePolicySet";

// ------------------------------------------------------------------ constants of the contracts

const ACTIVE = deviceStatuses.indexOf("Active");
const SUSPENDED = deviceStatuses.indexOf("Suspended");
const RETIRED = deviceStatuses.indexOf("Retired");

const ALL = maskFor(allPermissions);
const READ = maskFor(readPermissions);
const COMMAND_OR_CONFIGURE = maskFor(["Command", "Configure"]);
const EVERY_BIT = 0xffff_ffff;

const FIRST_OWN = builtInRoles.length;
const NO_OWN_ROLES: readonly number[] = Array<number>(allRoles.length - FIRST_OWN).fill(0);

const permissionsOfRoles: Record<BuiltInRole, readonly Permission[]> = {
  Admin: allPermissions,
  Operator: ["ReadLive", "ReadHistory", "ReadMetadata", "Command", "Configure", "Enroll", "ApproveFirmware"],
  Security: ["Audit", "Suspend", "RotateKey"],
  Gateway: ["ReadLive", "Anchor", "ReportInstall"],
  Auditor: ["ReadHistory", "ReadMetadata", "Audit"],
  Analyst: ["ReadLive", "ReadHistory", "ReadMetadata"],
  Installer: ["ReadMetadata", "Enroll", "ReportInstall"],
  Maker: ["PublishManifest"],
};
/** What the built-in roles permit, by their number. */
const BUILT_IN: readonly number[] = builtInRoles.map((role) => maskFor(permissionsOfRoles[role]));

/** A half that is not set limits nothing. The owner's makes nothing public; the device's only limits what the owner's does. */
const OWNER_UNSET: HalfRecord = { ceiling: EVERY_BIT, publicRead: 0, purposes: EVERY_BIT };
const DEVICE_UNSET: HalfRecord = { ceiling: EVERY_BIT, publicRead: EVERY_BIT, purposes: EVERY_BIT };

const SEQ_AT = 168n;

// ------------------------------------------------------------------ private: deciding

function decideForOutsider(
  device: DeviceRecord,
  account: string,
  permissions: number,
  purpose: number,
  earliest: number,
  latest: number,
): AccessReason {
  const ownerHalf = device.ownerHalf?.epoch === device.epoch ? device.ownerHalf : OWNER_UNSET;
  const deviceHalf = device.deviceHalf ?? DEVICE_UNSET;
  const byOwner = allows(ownerHalf, permissions, purpose);
  const byBoth = byOwner && allows(deviceHalf, permissions, purpose);
  let reason = decideByGrant(device, account, permissions, purpose, earliest, latest);
  if (reason === "Grant") {
    if (byBoth) return reason;
    reason = byOwner ? "DevicePolicy" : "OwnerPolicy";
  }
  const publicRead = ownerHalf.publicRead & deviceHalf.publicRead;
  return byBoth && (permissions & ~publicRead) === 0 ? "Public" : reason;
}

function decideByGrant(
  device: DeviceRecord,
  account: string,
  permissions: number,
  purpose: number,
  earliest: number,
  latest: number,
): AccessReason {
  const grant = device.grants.get(account);
  if (grant === undefined) return "NoGrant";
  if (grant.permissions === 0) return "Revoked";
  if (grant.epoch !== device.epoch) return "EpochEnded";
  if (earliest < grant.notBefore) return "NotYetValid";
  if (latest >= grant.expiry) return "Expired";
  if ((permissions & ~grant.permissions) !== 0) return "PermissionNotGranted";
  return has(grant.purposes, purpose) ? "Grant" : "PurposeNotGranted";
}

function allows(half: HalfRecord, permissions: number, purpose: number): boolean {
  return (permissions & ~half.ceiling) === 0 && has(half.purposes, purpose);
}

function isPermitted(
  fleet: FleetRecord,
  account: string,
  permissions: number,
  earliest: number,
  latest: number,
): boolean {
  const member = fleet.members.get(account);
  if (member?.epoch !== fleet.roleEpoch) return false;
  if (earliest < member.notBefore || latest >= member.expiry) return false;
  let missing = permissions;
  for (let role = 0; role < FIRST_OWN; role++) {
    if (has(member.roles, role)) missing &= ~(BUILT_IN[role] ?? 0);
  }
  for (let role = FIRST_OWN; role < allRoles.length; role++) {
    if (has(member.roles, role)) missing &= ~(fleet.ownRoles[role - FIRST_OWN] ?? 0);
  }
  return missing === 0;
}

function has(mask: number, bit: number): boolean {
  return ((mask >>> bit) & 1) === 1;
}

// ------------------------------------------------------------------ private: applying

function doNothing(): void {
  // Nothing was done.
}

function put<K, V>(map: Map<K, V>, key: K, value: V): () => void {
  const former = map.get(key);
  map.set(key, value);
  return () => {
    if (former === undefined) map.delete(key);
    else map.set(key, former);
  };
}

function moveDevice(device: DeviceRecord, from: FleetRecord, to: FleetRecord): void {
  if (from === to) return;
  from.devices.delete(device);
  to.devices.add(device);
  device.fleet = to;
}

function setGovernor(fleet: FleetRecord, { key, id }: KnownId): () => void {
  const { governor, governorKey } = fleet;
  fleet.governor = id;
  fleet.governorKey = key;
  return () => {
    fleet.governor = governor;
    fleet.governorKey = governorKey;
  };
}

/** The fields of GrantWord.sol; written out, so that all records have one shape, which takes less room. */
function grantRecord(
  word: bigint,
  { subject, by, termsHash, place }: Pick<GrantRecord, "subject" | "by" | "termsHash" | "place">,
): GrantRecord {
  return {
    permissions: Number(BigInt.asUintN(32, word)),
    purposes: Number(BigInt.asUintN(32, word >> 32n)),
    notBefore: Number(BigInt.asUintN(40, word >> 64n)),
    expiry: Number(BigInt.asUintN(40, word >> 104n)),
    epoch: Number(BigInt.asUintN(24, word >> 144n)),
    seq: Number(BigInt.asUintN(32, word >> SEQ_AT)),
    byOwner: BigInt.asUintN(1, word >> 200n) === 1n,
    subject,
    by,
    termsHash,
    place,
  };
}

function halfIn(args: { ceiling: bigint; publicRead: bigint; purposes: bigint }): HalfRecord {
  return {
    ceiling: Number(args.ceiling),
    publicRead: Number(args.publicRead),
    purposes: Number(args.purposes),
  };
}

function requireNext(event: TouchstoneEvent, field: string, former: number, given: bigint | number): void {
  if (Number(given) !== former + 1) throw missing(event, `The ${field} before is ${former}, after it ${given}`);
}

function missing(event: TouchstoneEvent, contradiction: string): TouchstoneError {
  const { name, cursor } = event;
  return new TouchstoneError(
    "EVENTS_MISSING",
    `${name} in block ${cursor.block} cannot follow the events before: ${contradiction}. Some are missing: read all from the ` +
      "deployment on, from a node that leaves none out.",
    { details: { event, contradiction } },
  );
}

// ------------------------------------------------------------------ private: names and ids

function maskFor(permissions: readonly Permission[]): number {
  return Number(maskOf(allPermissions, permissions));
}

function statusName(status: number): DeviceStatus {
  return deviceStatuses[status] ?? "None";
}

function roleOf(number: number): Role {
  const role = allRoles[number];
  if (role !== undefined) return role;
  throw new TouchstoneError("INVALID_ARGUMENT", `${number} is no role.`, { details: { number } });
}

function isUnused(fleet: FleetRecord): boolean {
  const { governor, roleEpoch, ownRoles, exclusions, members, devices } = fleet;
  const isTouched = governor !== undefined || roleEpoch !== 0 || ownRoles !== NO_OWN_ROLES || exclusions.length > 0;
  return !isTouched && members.size === 0 && devices.size === 0;
}

function grantOnDevice({ subject, by, termsHash, place, ...grant }: GrantRecord): GrantOnDevice {
  return {
    subject,
    grant: {
      permissions: namesIn(allPermissions, BigInt(grant.permissions)),
      purposes: namesIn(allPurposes, BigInt(grant.purposes)),
      notBefore: BigInt(grant.notBefore),
      expiry: BigInt(grant.expiry),
      epoch: BigInt(grant.epoch),
      seq: BigInt(grant.seq),
      byOwner: grant.byOwner,
    },
    by,
    termsHash,
    place,
  };
}

function memberOfFleet({ account, by, place, ...member }: MemberRecord): MemberOfFleet {
  return {
    account,
    membership: {
      roles: namesIn(allRoles, BigInt(member.roles)),
      notBefore: BigInt(member.notBefore),
      expiry: BigInt(member.expiry),
      epoch: BigInt(member.epoch),
    },
    by,
    place,
  };
}

function policyHalf(half: HalfRecord | undefined): PolicyHalf {
  return {
    isSet: half !== undefined,
    ceiling: namesIn(allPermissions, BigInt(half?.ceiling ?? 0)),
    publicRead: namesIn(allPermissions, BigInt(half?.publicRead ?? 0)),
    purposes: namesIn(allPurposes, BigInt(half?.purposes ?? 0)),
  };
}
