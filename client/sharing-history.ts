import { AccessState } from "./access-state.js";
import { FOREVER, requireAddress, requireBlock } from "./arguments.js";
import { blockAt, latestBlock, type BlockPlace } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { allPermissions, allRoles, namesIn, nameOf, type Permission, type Role } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, type Cursor, type EventFilter, type TouchstoneEvent } from "./events.js";
import { grantInWord } from "./grants.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { permissionsOf } from "./role-permissions.js";
import { withTimes } from "./timed-events.js";

/** What can happen to who may see a device. */
export const historyKinds = [
  /** A device got its first owner. */
  "Enrolled",
  /** A device got another owner: all grants, and the sight of the former owner's members, ended with that. */
  "Transferred",
  /** A device was closed to outsiders for a while. */
  "Suspended",
  /** A suspended device was opened again. */
  "Resumed",
  /** A device went out of service for good. */
  "Retired",
  /** The owner ended all grants on a device at once. */
  "AllRevoked",
  /** An account asked for something. */
  "Requested",
  /** A grant where none stood. */
  "Granted",
  /** A grant in the place of one that stood. */
  "Changed",
  /** The grant of a subject was ended, or, where none stood, whatever was signed and not yet sent. */
  "Revoked",
  /** A grant ended without being revoked: `why` says by what. */
  "Ended",
  /** The owner set its limits. */
  "OwnerPolicy",
  /** The device set its limits. */
  "DevicePolicy",
  /** A fleet was made, with its first governor. */
  "FleetCreated",
  /** A fleet got another governor; the roles of its members ended with that if `epoch` rose. */
  "GovernorChanged",
  /** An account got other roles; none means that they were taken or given up. */
  "RolesSet",
  /** What one of the fleet's own roles permits was set. */
  "RoleDefined",
  /** All roles of a fleet ended. */
  "AllRolesRevoked",
] as const;
export type HistoryKind = (typeof historyKinds)[number];

/** Why a grant ended. */
export const endReasons = ["Revoked", "Renounced", "Changed", "Expired", "Resold", "AllRevoked", "Retired"] as const;
export type EndReason = (typeof endReasons)[number];

/** Someone who may see or do something with a device by roles. */
export interface HistoryMember {
  account: string;
  roles: Role[];
  permissions: Permission[];
  /** Unix seconds; FOREVER means for ever. */
  notBefore: bigint;
  expiry: bigint;
}

/** How a grant ended. */
export interface GrantEnd {
  why: EndReason;
  /** Unix seconds. */
  time: bigint;
  /** None if it expired. */
  transactionHash?: string;
  by?: string;
}

/** One thing that happened. What its kind does not have is left out. */
export interface HistoryEntry {
  kind: HistoryKind;
  /** Unix seconds. */
  time: bigint;
  /** Where it stands in the chain; none for a grant that expired, as that takes no transaction. */
  cursor?: Cursor;
  transactionHash?: string;
  device?: string;
  fleet?: string;
  /** Whom it was given to or taken from, or who asked for it. */
  subject?: string;
  /** Whose transaction or signature it was. */
  by?: string;
  /** The owner before it; of policies and status the present one. */
  owner?: string;
  /** The owner or governor after it. */
  newOwner?: string;
  /** Of a grant or request what it covers, of a policy its ceiling, of roles what they permit. */
  permissions?: Permission[];
  purposes?: Purpose[];
  /** What a policy makes public. */
  publicRead?: Permission[];
  roles?: Role[];
  /** Unix seconds of the first moment it holds. */
  notBefore?: bigint;
  /** Unix seconds of the first moment it no longer holds; FOREVER means never. */
  expiry?: bigint;
  /** 32 bytes: hash of the agreement. */
  termsHash?: string;
  /** The device's epoch from then on, or the fleet's role epoch. */
  epoch?: bigint;
  /** The number of a grant's change; of a grant that ended, that under which it was given. */
  seq?: bigint;
  /** Why a grant ended. */
  why?: EndReason;
  /** The number under which the grant was given that this took the place of or revoked; none if none stood. */
  endedSeq?: bigint;
  /** Who of the new owner's members may see or do something with the device from then on, within the time of their roles. */
  members?: HistoryMember[];
  /** Of a grant: how it ended, if it did by the end of the history. Not told while entries are streamed. */
  end?: GrantEnd;
}

/** Whose history is told, and until when. */
export type HistoryOptions = {
  touchstone: Touchstone;
  /** Last block that is told of; the latest unless told. */
  toBlock?: number;
  signal?: AbortSignal;
} & ({ device: string; subject?: undefined } | { subject: string; device?: undefined });

/** All that is known of the sharing of a device, or with and by an account. */
export interface SharingHistory {
  about: { device: string } | { subject: string };
  /** The block in which it ends; what expired by its time is told. */
  block: BlockPlace;
  /** In the order in which it happened. */
  entries: HistoryEntry[];
}

/**
 * Tells the whole sharing history of a device (what was requested, granted and taken of it, its policies, owners and epochs,
 * and the roles in its owners' fleets while they owned it), or of an account (what it asked for, was given, gave and took,
 * and the roles it held). A fleet handle is an account of its own: what was done in its name is told of it.
 *
 * @throws TouchstoneError as readEvents; NOT_FOUND for a device that was never enrolled; CHAIN_REORGANISED.
 */
export async function history(options: HistoryOptions): Promise<SharingHistory> {
  const { about, block, entries } = await openHistory(options);
  const told: HistoryEntry[] = [];
  const given = new Map<string, HistoryEntry>();
  for await (const entry of entries) {
    told.push(entry);
    const { kind, device = "", subject = "", seq, why, time, transactionHash, by } = entry;
    const ended = given.get(placeOf(device, subject, kind === "Ended" ? seq : entry.endedSeq));
    if (ended !== undefined && why !== undefined) {
      ended.end = {
        why,
        time,
        ...(transactionHash !== undefined && { transactionHash }),
        ...(by !== undefined && { by }),
      };
    }
    if (kind === "Granted" || kind === "Changed") given.set(placeOf(device, subject, seq), entry);
  }
  return { about, block, entries: told };
}

/**
 * The same, an entry at a time, for histories of any length.
 *
 * @throws TouchstoneError as history; while reading as readEvents.
 */
export async function openHistory(options: HistoryOptions): Promise<{
  about: SharingHistory["about"];
  block: BlockPlace;
  entries: AsyncGenerator<HistoryEntry, void, undefined>;
}> {
  const { touchstone } = options;
  const toBlock = requireBlock("toBlock", options.toBlock ?? (await latestBlock(touchstone.provider)));
  const block = await blockAt(touchstone.provider, toBlock);
  const range = { toBlock, ...(options.signal && { signal: options.signal }) };
  const about = aboutOf(options);
  const { filter, teller } =
    "device" in about
      ? await ofDevice(touchstone, about.device, range)
      : await ofSubject(touchstone, about.subject, range);
  const events = readEvents({ touchstone, contracts: SHARING_CONTRACTS, ...filter, ...range });
  return { about, block, entries: tell(touchstone, events, teller, block.timestamp) };
}

const SHARING_CONTRACTS = ["RoleRegistry", "DeviceRegistry", "DataAccess"] as const;

function aboutOf(options: HistoryOptions): SharingHistory["about"] {
  // Callers without types reach this too.
  const { device, subject } = options as { device?: string | undefined; subject?: string | undefined };
  if (device !== undefined && subject === undefined) return { device: requireAddress("device", device) };
  if (subject !== undefined && device === undefined) return { subject: requireAddress("subject", subject) };
  throw new TouchstoneError("INVALID_ARGUMENT", "Give one of device and subject: a history is of one of them.");
}

function placeOf(device: string, subject: string, seq: bigint | undefined): string {
  return `${device}/${subject}/${String(seq)}`;
}

// ------------------------------------------------------------------ what is read

interface Range {
  toBlock: number;
  signal?: AbortSignal;
}

/** Which of the events that were read belong to the history. */
interface Teller {
  /** @param standing Whether a grant of whom the history is about stands on the device. */
  tells(event: TouchstoneEvent, isStanding: (device: string) => boolean): boolean;
  /** Whether it is told how this subject's grants end. */
  follows(subject: string): boolean;
  /** Whether all events were read that this one builds on. */
  knows(event: TouchstoneEvent): boolean;
}

interface Plan {
  filter: EventFilter;
  teller: Teller;
}

/** Everything of the device; of the fleets that owned it only what happened while they did. */
async function ofDevice(touchstone: Touchstone, device: string, range: Range): Promise<Plan> {
  const owners = new Set<string>();
  const registry = { contracts: ["DeviceRegistry"] as const, devices: [device] };
  for await (const event of readEvents({ touchstone, ...registry, ...range })) {
    if (event.name === "DeviceEnrolled") owners.add(event.args.owner);
    if (event.name === "DeviceTransferred") owners.add(event.args.newOwner);
  }
  if (owners.size === 0) {
    throw new TouchstoneError("NOT_FOUND", `The device ${device} was never enrolled: correct its id.`, {
      details: { device },
    });
  }
  let owner: string | undefined;
  return {
    filter: { devices: [device], fleets: [...owners] },
    teller: {
      follows: () => true,
      knows: () => true,
      tells(event) {
        if (event.name === "DeviceEnrolled") owner = event.args.owner;
        if (event.name === "DeviceTransferred") owner = event.args.newOwner;
        return event.contract !== "RoleRegistry" || ("fleet" in event.args && event.args.fleet === owner);
      },
    },
  };
}

/** What names the account, and what ended or limited what it had. */
async function ofSubject(touchstone: Touchstone, subject: string, range: Range): Promise<Plan> {
  const devices = new Set<string>();
  const fleets = new Set<string>();
  const named = { contracts: SHARING_CONTRACTS, accounts: [subject] };
  for await (const event of readEvents({ touchstone, ...named, ...range })) {
    if (event.name === "AccessGranted" && event.args.subject === subject) devices.add(event.args.device);
    if (event.name === "RolesSet") fleets.add(event.args.fleet);
  }
  const rolesIn = new Map<string, { roles: bigint; epoch: bigint }>();
  return {
    filter: { accounts: [subject], devices: [...devices], fleets: [...fleets] },
    teller: {
      follows: (other) => other === subject,
      knows: ({ contract, args }) => contract === "RoleRegistry" && "fleet" in args && fleets.has(args.fleet),
      tells(event, isStanding) {
        const names = Object.values(event.args).includes(subject);
        switch (event.name) {
          case "AccessGranted":
          case "AccessRevoked":
          case "AccessRequested":
            return names;
          case "RolesSet": {
            const { fleet, account, roles, epoch } = event.args;
            if (account === subject) rolesIn.set(fleet, { roles, epoch });
            return names;
          }
          case "RoleDefined": {
            const { fleet, role } = event.args;
            return names || ((rolesIn.get(fleet)?.roles ?? 0n) >> role) % 2n === 1n;
          }
          case "AllRolesRevoked":
          case "GovernorChanged": {
            const { fleet, epoch } = event.args;
            const held = rolesIn.get(fleet);
            if (held !== undefined && held.epoch !== epoch) rolesIn.delete(fleet);
            return names || (held !== undefined && held.roles !== 0n);
          }
          default:
            return names || ("device" in event.args && isStanding(event.args.device));
        }
      },
    },
  };
}

// ------------------------------------------------------------------ what is told

interface StandingGrant {
  device: string;
  subject: string;
  seq: bigint;
  expiry: bigint;
}

/** The grants whose end is told and has not come. */
class StandingGrants {
  /** By device, then by subject: one account can have grants on a great many devices. */
  readonly #byDevice = new Map<string, Map<string, StandingGrant>>();
  /** None ends before this: else all would be looked at for each event. */
  #earliest = FOREVER;

  get({ device, subject }: { device: string; subject: string }): StandingGrant | undefined {
    return this.#byDevice.get(device)?.get(subject);
  }

  set(grant: StandingGrant): void {
    const onDevice = this.#byDevice.get(grant.device) ?? new Map<string, StandingGrant>();
    this.#byDevice.set(grant.device, onDevice.set(grant.subject, grant));
    if (grant.expiry < this.#earliest) this.#earliest = grant.expiry;
  }

  delete({ device, subject }: { device: string; subject: string }): void {
    const onDevice = this.#byDevice.get(device);
    onDevice?.delete(subject);
    if (onDevice?.size === 0) this.#byDevice.delete(device);
  }

  has(device: string): boolean {
    return this.#byDevice.has(device);
  }

  on(device: string): StandingGrant[] {
    return [...(this.#byDevice.get(device)?.values() ?? [])];
  }

  /** Takes out those that ended by themselves by a time, in the order of their ends. */
  takeExpired(time: bigint): StandingGrant[] {
    if (time < this.#earliest) return [];
    const over: StandingGrant[] = [];
    this.#earliest = FOREVER;
    for (const onDevice of this.#byDevice.values()) {
      for (const grant of onDevice.values()) {
        if (grant.expiry <= time) over.push(grant);
        else if (grant.expiry < this.#earliest) this.#earliest = grant.expiry;
      }
    }
    for (const grant of over) this.delete(grant);
    return over.sort((a, b) => Number(a.expiry - b.expiry));
  }
}

async function* tell(
  touchstone: Touchstone,
  events: AsyncIterable<TouchstoneEvent>,
  teller: Teller,
  end: bigint,
): AsyncGenerator<HistoryEntry, void, undefined> {
  const state = new AccessState();
  const standing = new StandingGrants();
  const isStanding = (device: string): boolean => standing.has(device);

  for await (const { event, time } of withTimes(touchstone, events)) {
    yield* expired(standing, time);
    if (teller.knows(event)) state.apply(event);
    const place = { time, cursor: event.cursor, transactionHash: event.transactionHash };
    if (teller.tells(event, isStanding)) yield* entriesOf(event, place, state, standing);
    track(event, teller, standing);
    const reason = epochEndOf(event);
    if (reason === undefined) continue;
    const { device, by, epoch, why } = reason;
    for (const grant of standing.on(device)) {
      standing.delete(grant);
      yield { kind: "Ended", ...place, device, subject: grant.subject, by, epoch, seq: grant.seq, why };
    }
  }
  yield* expired(standing, end);
}

function* expired(standing: StandingGrants, time: bigint): Generator<HistoryEntry, void, undefined> {
  for (const { device, subject, seq, expiry } of standing.takeExpired(time)) {
    yield { kind: "Ended", time: expiry, device, subject, seq, why: "Expired" };
  }
}

function track(event: TouchstoneEvent, teller: Teller, standing: StandingGrants): void {
  if (event.name === "AccessRevoked") standing.delete(event.args);
  if (event.name !== "AccessGranted" || !teller.follows(event.args.subject)) return;
  const { device, subject, word } = event.args;
  const { seq, expiry } = grantInWord(word);
  standing.set({ device, subject, seq, expiry });
}

/** What ended all grants on a device, if the event did. */
function epochEndOf(event: TouchstoneEvent): { device: string; by: string; epoch: bigint; why: EndReason } | undefined {
  switch (event.name) {
    case "DeviceTransferred":
      return { ...event.args, why: "Resold" };
    case "AllRevoked":
      return { ...event.args, why: "AllRevoked" };
    case "DeviceRetired":
      return { ...event.args, why: "Retired" };
    default:
      return undefined;
  }
}

type Place = Pick<HistoryEntry, "time" | "cursor" | "transactionHash">;

/** The entry that an event is told as; none for what gives and takes nothing. */
function* entriesOf(
  event: TouchstoneEvent,
  place: Place,
  state: AccessState,
  standing: StandingGrants,
): Generator<HistoryEntry, void, undefined> {
  switch (event.name) {
    case "DeviceEnrolled": {
      const { device, owner, by } = event.args;
      yield { kind: "Enrolled", ...place, device, newOwner: owner, by, ...membersIn(state, place.time, device, owner) };
      return;
    }
    case "DeviceTransferred": {
      const { device, owner, newOwner, epoch, by } = event.args;
      yield {
        kind: "Transferred",
        ...place,
        device,
        owner,
        newOwner,
        by,
        epoch,
        ...membersIn(state, place.time, device, newOwner),
      };
      return;
    }
    case "DeviceSuspended":
    case "DeviceResumed": {
      const { device, owner, by } = event.args;
      yield { kind: event.name === "DeviceSuspended" ? "Suspended" : "Resumed", ...place, device, owner, by };
      return;
    }
    case "DeviceRetired":
    case "AllRevoked": {
      const { device, owner, by, epoch } = event.args;
      yield { kind: event.name === "DeviceRetired" ? "Retired" : "AllRevoked", ...place, device, owner, by, epoch };
      return;
    }
    case "AccessRequested": {
      const { device, subject, permissions, purposes, ...rest } = event.args;
      yield {
        kind: "Requested",
        ...place,
        device,
        subject,
        by: subject,
        ...termsOf({ permissions, purposes, ...rest }),
      };
      return;
    }
    case "AccessGranted": {
      const { device, subject, by, word, termsHash } = event.args;
      const { permissions, purposes, notBefore, expiry, epoch, seq } = grantInWord(word);
      const former = standing.get(event.args);
      const terms = { permissions, purposes, notBefore, expiry, termsHash, epoch, seq };
      yield former === undefined
        ? { kind: "Granted", ...place, device, subject, by, ...terms }
        : { kind: "Changed", ...place, device, subject, by, ...terms, why: "Changed", endedSeq: former.seq };
      return;
    }
    case "AccessRevoked": {
      const { device, subject, by, seq } = event.args;
      const former = standing.get(event.args);
      const why = by === subject ? "Renounced" : "Revoked";
      yield { kind: "Revoked", ...place, device, subject, by, seq, ...(former && { why, endedSeq: former.seq }) };
      return;
    }
    case "PolicySet": {
      const { device, owner, by, epoch } = event.args;
      yield { kind: "OwnerPolicy", ...place, device, owner, by, epoch, ...limitsOf(event.args) };
      return;
    }
    case "DevicePolicySet": {
      const { device, by, seq } = event.args;
      yield { kind: "DevicePolicy", ...place, device, by, seq, ...limitsOf(event.args) };
      return;
    }
    case "FleetCreated": {
      const { fleet, governor } = event.args;
      yield { kind: "FleetCreated", ...place, fleet, newOwner: governor, by: governor };
      return;
    }
    case "GovernorChanged": {
      const { fleet, from, to, epoch } = event.args;
      yield { kind: "GovernorChanged", ...place, fleet, owner: from, newOwner: to, by: to, epoch };
      return;
    }
    case "RolesSet": {
      const { fleet, account, by, roles: mask, epoch } = event.args;
      const roles = namesIn(allRoles, mask);
      const held = { roles, permissions: permissionsOf(state, fleet, roles), epoch };
      const { notBefore, expiry } = event.args;
      yield {
        kind: "RolesSet",
        ...place,
        fleet,
        subject: account,
        by,
        ...held,
        ...(mask !== 0n && { notBefore, expiry }),
      };
      return;
    }
    case "RoleDefined": {
      const { fleet, role, by, permissions } = event.args;
      const defined = { roles: [nameOf(allRoles, role)], permissions: namesIn(allPermissions, permissions) };
      yield { kind: "RoleDefined", ...place, fleet, by, ...defined };
      return;
    }
    case "AllRolesRevoked": {
      const { fleet, by, epoch } = event.args;
      yield { kind: "AllRolesRevoked", ...place, fleet, by, epoch };
    }
  }
}

function termsOf(terms: {
  permissions: bigint;
  purposes: bigint;
  notBefore: bigint;
  expiry: bigint;
  termsHash: string;
}): Pick<HistoryEntry, "permissions" | "purposes" | "notBefore" | "expiry" | "termsHash"> {
  const { permissions, purposes, notBefore, expiry, termsHash } = terms;
  const names = { permissions: namesIn(allPermissions, permissions), purposes: namesIn(allPurposes, purposes) };
  return { ...names, notBefore, expiry, termsHash };
}

function limitsOf(masks: {
  ceiling: bigint;
  publicRead: bigint;
  purposes: bigint;
}): Pick<HistoryEntry, "permissions" | "publicRead" | "purposes"> {
  return {
    permissions: namesIn(allPermissions, masks.ceiling),
    publicRead: namesIn(allPermissions, masks.publicRead),
    purposes: namesIn(allPurposes, masks.purposes),
  };
}

/** Who works for the fleet that a device comes to; not told in the history of an account, as others are no part of it. */
function membersIn(state: AccessState, time: bigint, device: string, fleet: string): Pick<HistoryEntry, "members"> {
  if (state.deviceOf(device) === undefined) return {};
  const epoch = state.roleEpochOf(fleet);
  const members = state
    .membersOf(fleet)
    .filter(({ membership }) => membership.epoch === epoch && membership.expiry > time)
    .map(({ account, membership: { roles, notBefore, expiry } }) => {
      return { account, roles, permissions: permissionsOf(state, fleet, roles), notBefore, expiry };
    })
    .filter(({ permissions }) => permissions.length > 0);
  return { members };
}
