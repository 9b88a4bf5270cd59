import { AccessState } from "./access-state.js";
import { FOREVER, requireAddress, requireBlock, requireUint } from "./arguments.js";
import { blockAt, latestBlock, timesOfBlocks, type BlockPlace } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { allPermissions, type DeviceStatus, type Permission, type Role } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, type Cursor, type TouchstoneEvent } from "./events.js";
import type { Policy } from "./policies.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { permissionsOf } from "./role-permissions.js";

/** What makes that someone may do something, in the order in which the contract looks for it. */
export const accessSources = ["Owner", "Grant", "Public", "Role"] as const;

/**
 * Whether it holds: now; from a later time on; or as soon as the device, which is suspended and so closed to outsiders, is
 * resumed (within its own time).
 */
export type SourceState = "now" | "later" | "suspended";

interface Window {
  /** Unix seconds of the first moment it holds. */
  from: bigint;
  /** Unix seconds of the first moment it no longer holds; FOREVER if it does not end by itself. */
  until: bigint;
  state: SourceState;
}

interface Conveyed extends Window {
  /** All that it really conveys: within the ceilings of both policies, and what the device's status leaves of it. */
  permissions: Permission[];
  /** What for: within both policies; owner and members need none. */
  purposes: Purpose[] | "any";
  /** Unix seconds of the block in which it was given. */
  since: bigint;
  /** Who gave it. */
  by: string;
  transactionHash: string;
}

/** By governing the owner. */
export interface OwnerSource extends Conveyed {
  source: "Owner";
}
/** By a grant. */
export interface GrantSource extends Conveyed {
  source: "Grant";
  /** 32 bytes: hash of the agreement it was given under; ZERO_HASH if there is none. */
  termsHash: string;
  /** The number of the grant's change. */
  seq: bigint;
  /** Whether the owner gave it, and not a member with Share. */
  byOwner: boolean;
}
/** By what the owner made public. */
export interface PublicSource extends Conveyed {
  source: "Public";
}
/** By roles in the owner's fleet. */
export interface RoleSource extends Conveyed {
  source: "Role";
  fleet: string;
  roles: Role[];
}
/** Why someone may do something, and until when. */
export type AccessSource = OwnerSource | GrantSource | PublicSource | RoleSource;

/** Someone who may see or do something with a device, or will. */
export interface Holder {
  /** The account, or "everyone". */
  account: string;
  /** One question is answered by one of them: they do not add up. */
  sources: AccessSource[];
}

/** Who may see or do something with a device. */
export interface AccessReport {
  device: string;
  /** An account or a fleet handle. A handle has no key, so only its governor is a holder. */
  owner: string;
  governor: string;
  status: DeviceStatus;
  epoch: bigint;
  /** The block whose state this is. */
  block: BlockPlace;
  /** Unix seconds of the moment that "now" means. */
  at: bigint;
  /** The governor first, then who has a grant, everyone, and members. */
  holders: Holder[];
}

/**
 * Lists everyone who may see or do something with a device, why and until when, and who will at a later time. It is what the
 * chain would answer, from its events.
 *
 * @param options.at Unix seconds: the moment that is asked about. One that is over is answered from the last block by then; for one
 *        to come, that nothing happens until then. The time of the block unless told.
 * @param options.toBlock The block whose state is meant; the latest unless told.
 * @throws TouchstoneError NOT_FOUND for a device that was not enrolled by then; INVALID_ARGUMENT for a time before the block's
 *         or the deployment's; EVENTS_MISSING if the node withholds some; CHAIN_REORGANISED; as readEvents.
 */
export async function who(options: {
  touchstone: Touchstone;
  device: string;
  at?: bigint;
  toBlock?: number;
  signal?: AbortSignal;
}): Promise<AccessReport> {
  const { touchstone, signal } = options;
  const device = requireAddress("device", options.device);
  const block = await blockOf(options);
  const at = options.at ?? block.timestamp;

  const state = new AccessState();
  const events: TouchstoneEvent[] = [];
  const range = { toBlock: block.number, ...(signal && { signal }) };
  const read = async (filter: { devices: string[] } | { fleets: string[] }): Promise<void> => {
    for await (const event of readEvents({ touchstone, contracts: SHARING_CONTRACTS, ...filter, ...range })) {
      state.apply(event);
      events.push(event);
    }
  };
  await read({ devices: [device] });
  const known = state.deviceOf(device);
  if (known === undefined) {
    throw new TouchstoneError(
      "NOT_FOUND",
      `The device ${device} was not enrolled by block ${block.number}: correct its id, or ask about a later block.`,
      { details: { device, block: block.number } },
    );
  }
  const { owner } = known;
  await read({ fleets: [owner] });

  const governor = state.governorOf(owner);
  const places = await placesOf(touchstone, { events, state, device, owner });
  const { hash } = await blockAt(touchstone.provider, block.number);
  if (hash !== block.hash) {
    throw new TouchstoneError("CHAIN_REORGANISED", `Block ${block.number} was replaced while it was read: ask again.`, {
      details: { block: block.number },
    });
  }
  const about = { device, governor, ...known, block, at };
  return { ...about, holders: holdersOf(sourcesOf(state, about, places)) };
}

const SHARING_CONTRACTS = ["RoleRegistry", "DeviceRegistry", "DataAccess"] as const;

// ------------------------------------------------------------------ when

async function blockOf(options: { touchstone: Touchstone; at?: bigint; toBlock?: number }): Promise<BlockPlace> {
  const { touchstone, at } = options;
  const { provider } = touchstone;
  if (at !== undefined) requireUint("at", at, 40);
  const last = await blockAt(provider, requireBlock("toBlock", options.toBlock ?? (await latestBlock(provider))));
  if (at === undefined || at >= last.timestamp) return last;
  if (options.toBlock !== undefined) {
    throw invalidTime(at, `block ${last.number} is of ${last.timestamp}. Leave toBlock out, to have the block found`);
  }
  return lastBlockBy(touchstone, at, last.number);
}

/** The last block by a time, found by halving. */
async function lastBlockBy(touchstone: Touchstone, at: bigint, later: number): Promise<BlockPlace> {
  let found = await blockAt(touchstone.provider, touchstone.firstBlock);
  if (found.timestamp > at) throw invalidTime(at, "the contracts were not there yet");
  let after = later;
  while (after - found.number > 1) {
    const middle = await blockAt(touchstone.provider, found.number + Math.floor((after - found.number) / 2));
    if (middle.timestamp <= at) found = middle;
    else after = middle.number;
  }
  return found;
}

function invalidTime(at: bigint, why: string): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", `at: ${at} is too early: ${why}.`, { details: { at } });
}

// ------------------------------------------------------------------ by whom

/** Where and when something was given. */
type Given = Pick<Conveyed, "since" | "by" | "transactionHash">;

interface Places {
  /** How the device came to its owner. */
  owned: Given;
  /** How the owner came to its governor; undefined of an account, which governs itself. */
  governed: Given | undefined;
  /** How the owner's and the device's policy were set last. */
  policies: { owner: Given | undefined; device: Given | undefined };
  at(place: Cursor): Pick<Given, "since" | "transactionHash">;
}

async function placesOf(
  touchstone: Touchstone,
  about: { events: readonly TouchstoneEvent[]; state: AccessState; device: string; owner: string },
): Promise<Places> {
  const { events, state, device, owner } = about;
  const last = (...names: TouchstoneEvent["name"][]): TouchstoneEvent | undefined =>
    events.findLast(({ name }) => names.includes(name));
  const owning = last("DeviceEnrolled", "DeviceTransferred");
  const governing = last("FleetCreated", "GovernorChanged");
  const policies = { owner: last("PolicySet"), device: last("DevicePolicySet") };

  const byPlace = new Map(events.map((event) => [placeName(event.cursor), event]));
  const given = [...state.grantsOn(device), ...state.membersOf(owner)].map(({ place }) =>
    byPlace.get(placeName(place)),
  );
  const needed = [owning, governing, policies.owner, policies.device, ...given].flatMap((event) => event ?? []);
  const times = await timesOfBlocks(
    touchstone.provider,
    needed.map(({ cursor }) => cursor.block),
  );

  const at = (place: Cursor): Pick<Given, "since" | "transactionHash"> => ({
    since: times.get(place.block) ?? 0n,
    transactionHash: byPlace.get(placeName(place))?.transactionHash ?? "",
  });
  const of = (event: TouchstoneEvent | undefined): Given | undefined =>
    event && { ...at(event.cursor), by: byOf(event) };
  return {
    owned: of(owning) ?? { since: 0n, by: owner, transactionHash: "" },
    governed: of(governing),
    policies: { owner: of(policies.owner), device: of(policies.device) },
    at,
  };
}

function byOf({ name, args }: TouchstoneEvent): string {
  if (name === "GovernorChanged") return args.from;
  if (name === "FleetCreated") return args.governor;
  return "by" in args ? args.by : "";
}

function placeName({ block, logIndex }: Cursor): string {
  return `${block}/${logIndex}`;
}

// ------------------------------------------------------------------ what

interface About {
  device: string;
  owner: string;
  governor: string;
  status: DeviceStatus;
  epoch: bigint;
  at: bigint;
}

type Sourced = { account: string } & { source: AccessSource };

function sourcesOf(state: AccessState, about: About, places: Places): Sourced[] {
  const all = [
    ownerSource(about, places),
    ...grantSources(state, about, places),
    ...publicSources(state, about, places),
    ...roleSources(state, about, places),
  ];
  return all.filter(({ source }) => {
    return source.permissions.length > 0 && source.purposes.length > 0 && about.at < source.until;
  });
}

function ownerSource({ governor, status }: About, { owned, governed }: Places): Sourced {
  const given = governed !== undefined && governed.since > owned.since ? governed : owned;
  const permissions = status === "Retired" ? allPermissions.filter(isRead) : [...allPermissions];
  const conveyed = { permissions, purposes: "any", from: given.since, until: FOREVER, state: "now" } as const;
  return { account: governor, source: { source: "Owner", ...conveyed, ...given } };
}

function grantSources(state: AccessState, about: About, places: Places): Sourced[] {
  const { device, epoch, status } = about;
  if (status === "Retired") return [];
  const policy = state.policyOf(device);
  return state
    .grantsOn(device)
    .filter(({ grant }) => grant.epoch === epoch)
    .map(({ subject, grant, by, termsHash, place }) => {
      const given = { ...places.at(place), by };
      const window = windowOf(about, { ...grant, since: given.since }, status === "Suspended");
      const { permissions, purposes } = within(policy, grant);
      const { seq, byOwner } = grant;
      const source = { source: "Grant", permissions, purposes, ...window, ...given, termsHash, seq, byOwner } as const;
      return { account: subject, source };
    });
}

function publicSources(state: AccessState, about: About, places: Places): Sourced[] {
  const { device, status } = about;
  const { policies } = places;
  const policy = state.policyOf(device);
  if (status === "Retired" || !policy.owner.isSet || policies.owner === undefined) return [];
  const everything = { permissions: policy.owner.publicRead, purposes: [...allPurposes] };
  const { permissions, purposes } = within(policy, everything);
  const shown = policy.device.isSet
    ? permissions.filter((permission) => policy.device.publicRead.includes(permission))
    : permissions;
  const since = later(policies.owner.since, policies.device?.since ?? 0n);
  const window = windowOf(about, { notBefore: since, expiry: FOREVER, since }, status === "Suspended");
  const source = { source: "Public", permissions: shown, purposes, ...window, ...policies.owner } as const;
  return [{ account: EVERYONE, source }];
}

function roleSources(state: AccessState, about: About, places: Places): Sourced[] {
  const { owner, status } = about;
  const epoch = state.roleEpochOf(owner);
  return state
    .membersOf(owner)
    .filter(({ membership }) => membership.epoch === epoch)
    .map(({ account, membership, by, place }) => {
      const { roles, notBefore, expiry } = membership;
      const given = { ...places.at(place), by };
      // A member sees nothing of a device that is not yet its fleet's.
      const window = windowOf(about, { notBefore, expiry, since: later(given.since, places.owned.since) }, false);
      const permissions = permissionsOf(state, owner, roles).filter((permission) => {
        if (status === "Retired") return isRead(permission);
        return status !== "Suspended" || !OWNERS_WHILE_SUSPENDED.includes(permission);
      });
      const source = {
        source: "Role",
        permissions,
        purposes: "any",
        ...window,
        ...given,
        fleet: owner,
        roles,
      } as const;
      return { account, source };
    });
}

const EVERYONE = "everyone";
const OWNERS_WHILE_SUSPENDED: readonly Permission[] = ["Command", "Configure"];

function isRead(permission: Permission): boolean {
  return permission.startsWith("Read");
}

function windowOf(
  { at }: About,
  { notBefore, expiry, since }: { notBefore: bigint; expiry: bigint; since: bigint },
  isClosed: boolean,
): Window {
  const from = later(notBefore, since);
  return { from, until: expiry, state: isClosed ? "suspended" : at < from ? "later" : "now" };
}

/** What both halves of the policy leave. */
function within(
  { owner, device }: Policy,
  given: { permissions: readonly Permission[]; purposes: readonly Purpose[] },
): { permissions: Permission[]; purposes: Purpose[] } {
  const halves = [owner, device].filter(({ isSet }) => isSet);
  return {
    permissions: given.permissions.filter((each) => halves.every(({ ceiling }) => ceiling.includes(each))),
    purposes: given.purposes.filter((each) => halves.every(({ purposes }) => purposes.includes(each))),
  };
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function holdersOf(all: readonly Sourced[]): Holder[] {
  const holders = new Map<string, Holder>();
  for (const { account, source } of all) {
    const holder = holders.get(account) ?? { account, sources: [] };
    holder.sources.push(source);
    holders.set(account, holder);
  }
  return [...holders.values()];
}
