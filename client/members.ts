import { AccessState, type MemberOfFleet } from "./access-state.js";
import { requireAddress, requireBlock } from "./arguments.js";
import { blockAt, latestBlock, timesOfBlocks } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { allPermissions, allRoles, type OwnRole, type Permission, type Role } from "./enumerations.js";
import { readEvents, type Cursor, type TouchstoneEvent } from "./events.js";

/** Whether roles hold: now, later as their window is not open yet, no more as it is over, or no more as their epoch ended. */
export type MemberState = "Now" | "Later" | "Over" | "Ended";

/** Who said something on the chain, and when. */
export interface Source {
  /** The account that sent. */
  by: string;
  block: number;
  /** Unix seconds of the block. */
  timestamp: bigint;
  transactionHash: string;
}

/** An account that was given roles in a fleet, as last set. */
export interface FleetMember extends Source {
  account: string;
  roles: Role[];
  /** All that the roles permit now; nothing unless they hold now. */
  permissions: Permission[];
  state: MemberState;
  /** Unix seconds of the first moment the roles hold; 0 for at once. */
  from: bigint;
  /** Unix seconds of the first moment they no longer hold; FOREVER means never. */
  until: bigint;
  /** The role epoch they were given in. */
  epoch: bigint;
}

/** A role that the fleet defined for itself. */
export interface OwnRoleDefinition extends Source {
  role: OwnRole;
  permissions: Permission[];
}

/** Two roles that nobody can be given together any more. */
export interface Exclusion extends Source {
  roles: [Role, Role];
}

/** What somebody should look at. */
export type FleetWarning =
  /** The member was given both roles before they were declared exclusive, and keeps them. */
  | { kind: "HoldsBoth"; account: string; roles: [Role, Role] }
  /** The fleet's own role permits what changes things on both sides of an exclusion, so that it undoes what that is for. */
  | { kind: "JoinsDuties"; role: OwnRole; roles: [Role, Role]; permissions: Permission[] }
  /** The role that a member holds permits nothing: it was never defined. */
  | { kind: "Undefined"; account: string; role: OwnRole }
  /** Everyone could do everything by becoming the governor: the fleet is offered to someone. */
  | { kind: "Offered"; to: string };

/** Who holds what in a fleet. */
export interface FleetMembers {
  fleet: string;
  governor: string;
  /** Who the fleet is offered to. */
  pendingGovernor: string | undefined;
  roleEpoch: bigint;
  handovers: bigint;
  /** The state after this block counts. */
  block: number;
  /** Unix seconds of that block. */
  time: bigint;
  /** Everyone who was given roles and not removed since; those that hold now or later come first. */
  members: FleetMember[];
  /** Roles that were ever defined, by their numbers. */
  roles: OwnRoleDefinition[];
  exclusions: Exclusion[];
  warnings: FleetWarning[];
}

/**
 * Who holds what in a fleet, why and until when: replayed from its events, as no contract lists its members.
 *
 * @param options.fleet An account or a fleet handle.
 * @param options.toBlock The state after this block; the latest unless told.
 * @throws TouchstoneError INVALID_ARGUMENT; EVENTS_MISSING if the node left events out; NOT_FOUND if it has no such block;
 *         CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED.
 */
export async function members(options: {
  touchstone: Touchstone;
  fleet: string;
  toBlock?: number;
  signal?: AbortSignal;
}): Promise<FleetMembers> {
  const { touchstone, signal } = options;
  const fleet = requireAddress("fleet", options.fleet);
  const block =
    options.toBlock === undefined ? await latestBlock(touchstone.provider) : requireBlock("toBlock", options.toBlock);
  const { timestamp: time } = await blockAt(touchstone.provider, block);
  const replay = new Replay(fleet);
  const range = { toBlock: block, ...(signal && { signal }) };
  for await (const event of readEvents({ touchstone, contracts: ["RoleRegistry"], fleets: [fleet], ...range })) {
    replay.apply(event);
  }
  return replay.result({ block, time, timestamps: await timesOfBlocks(touchstone.provider, replay.blocks()) });
}

/** The permissions in which both sides of an exclusion meet in one set of permissions, beyond reading; none if they do not. */
export function joinedDuties(
  permissions: readonly Permission[],
  sides: readonly [readonly Permission[], readonly Permission[]],
): Permission[] {
  const [a, b] = sides;
  // What both sides permit separates nobody, and who may only read changes nothing.
  const only = (own: readonly Permission[], other: readonly Permission[]): Permission[] =>
    own.filter((each) => !other.includes(each) && !each.startsWith("Read") && permissions.includes(each));
  const [ofA, ofB] = [only(a, b), only(b, a)];
  if (ofA.length === 0 || ofB.length === 0) return [];
  return allPermissions.filter((each) => ofA.includes(each) || ofB.includes(each));
}

// ------------------------------------------------------------------ replaying

type Said = Omit<Source, "timestamp">;

/** The events of one fleet's roles: who holds what is AccessState's to say, and who said it is kept beside it. */
class Replay {
  readonly #state = new AccessState();
  readonly #fleet: string;
  readonly #hashes = new Map<string, string>();
  readonly #definitions = new Map<Role, Said>();
  readonly #exclusions: Said[] = [];
  #pendingGovernor: string | undefined;

  constructor(fleet: string) {
    this.#fleet = fleet;
  }

  apply(event: TouchstoneEvent): void {
    this.#state.apply(event);
    this.#hashes.set(placeOf(event.cursor), event.transactionHash);
    switch (event.name) {
      case "GovernorProposed":
        this.#pendingGovernor = /^0x0{40}$/.test(event.args.newGovernor) ? undefined : event.args.newGovernor;
        break;
      case "GovernorChanged":
        this.#pendingGovernor = undefined;
        break;
      case "RoleDefined": {
        const role = allRoles[Number(event.args.role)];
        if (role !== undefined) this.#definitions.set(role, saidIn(event, event.args.by));
        break;
      }
      case "RolesDeclaredExclusive":
        this.#exclusions.push(saidIn(event, event.args.by));
        break;
      default:
        // The rest is AccessState's.
        break;
    }
  }

  /** The blocks in which something was said that still counts. */
  blocks(): number[] {
    const places = this.#state.membersOf(this.#fleet).map(({ place }) => place.block);
    const said = [...this.#definitions.values(), ...this.#exclusions].map(({ block }) => block);
    return [...new Set([...places, ...said])];
  }

  result(at: { block: number; time: bigint; timestamps: ReadonlyMap<number, bigint> }): FleetMembers {
    const state = this.#state;
    const fleet = this.#fleet;
    const { block, time } = at;
    const stamped = (said: Said): Source => ({ ...said, timestamp: at.timestamps.get(said.block) ?? 0n });
    const roleEpoch = state.roleEpochOf(fleet);

    const memberFrom = ({ account, membership, by, place }: MemberOfFleet): FleetMember => {
      const { roles, notBefore: from, expiry: until, epoch } = membership;
      const condition: MemberState =
        epoch !== roleEpoch ? "Ended" : time >= until ? "Over" : time < from ? "Later" : "Now";
      const held = condition === "Now" ? roles.flatMap((role) => state.rolePermissions(fleet, role)) : [];
      return {
        account,
        roles,
        permissions: allPermissions.filter((permission) => held.includes(permission)),
        state: condition,
        from,
        until,
        epoch,
        ...stamped({ by, block: place.block, transactionHash: this.#hashes.get(placeOf(place)) ?? "" }),
      };
    };
    const given = state
      .membersOf(fleet)
      .filter(({ membership }) => membership.roles.length > 0)
      .map(memberFrom);
    const order: MemberState[] = ["Now", "Later", "Over", "Ended"];
    given.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));

    const roles = [...this.#definitions]
      .map(([role, said]) => ({
        role: role as OwnRole,
        permissions: state.rolePermissions(fleet, role),
        ...stamped(said),
      }))
      .sort((a, b) => a.role - b.role);
    const exclusions = state
      .exclusionsOf(fleet)
      .map((pair, place) => ({ roles: pair, ...stamped(this.#exclusions[place] ?? NOT_SAID) }));
    const result = {
      fleet,
      governor: state.governorOf(fleet),
      pendingGovernor: this.#pendingGovernor,
      roleEpoch,
      handovers: state.handoversOf(fleet),
      block,
      time,
      members: given,
      roles,
      exclusions,
    };
    const permits = (role: Role): Permission[] => state.rolePermissions(fleet, role);
    return { ...result, warnings: warningsOf(result, permits) };
  }
}

const NOT_SAID: Said = { by: "", block: 0, transactionHash: "" };

function saidIn({ cursor, transactionHash }: TouchstoneEvent, by: string): Said {
  return { by, block: cursor.block, transactionHash };
}

function placeOf({ block, logIndex }: Cursor): string {
  return `${block}/${logIndex}`;
}

function warningsOf(fleet: Omit<FleetMembers, "warnings">, permits: (role: Role) => Permission[]): FleetWarning[] {
  const warnings: FleetWarning[] = [];
  if (fleet.pendingGovernor !== undefined) warnings.push({ kind: "Offered", to: fleet.pendingGovernor });
  const holders = fleet.members.filter(({ state }) => state === "Now" || state === "Later");
  for (const { roles: pair } of fleet.exclusions) {
    for (const { account, roles } of holders) {
      if (pair.every((role) => roles.includes(role))) warnings.push({ kind: "HoldsBoth", account, roles: pair });
    }
    for (const { role, permissions } of fleet.roles) {
      if (pair.includes(role)) continue;
      const joined = joinedDuties(permissions, [permits(pair[0]), permits(pair[1])]);
      if (joined.length > 0) warnings.push({ kind: "JoinsDuties", role, roles: pair, permissions: joined });
    }
  }
  for (const { account, roles } of holders) {
    for (const role of roles) {
      if (typeof role === "number" && permits(role).length === 0) warnings.push({ kind: "Undefined", account, role });
    }
  }
  return warnings;
}
