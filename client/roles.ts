import { AbiCoder, dataSlice, getAddress, hexlify, keccak256, randomBytes, ZeroAddress } from "ethers";

import { FOREVER, requireAddress, requireHex, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import {
  allPermissions,
  allRoles,
  maskOf,
  namesIn,
  numberOf,
  type OwnRole,
  type Permission,
  type Role,
} from "./enumerations.js";
import { ask } from "./reverts.js";
import { send, type SendOptions, type Sent } from "./transactions.js";

export * from "./handovers.js";
export * from "./member-pages.js";
export * from "./members.js";
export { safeTransactions, writeSafeTransactions, type SafeTransactionFile } from "./safe-files.js";
export * from "./teams.js";

/** What an account was given in a fleet. */
export interface Membership {
  roles: Role[];
  /** Unix seconds of the first moment the roles hold. */
  notBefore: bigint;
  /** Unix seconds of the first moment they no longer hold; FOREVER means never. */
  expiry: bigint;
  /** The fleet's role epoch they were given in; they hold in no other. */
  epoch: bigint;
}

/** Who governs a fleet. */
export interface Fleet {
  id: string;
  governor: string;
  /** Who the fleet is offered to. */
  pendingGovernor: string | undefined;
  /** How often it was handed over. */
  handovers: bigint;
  roleEpoch: bigint;
}

/** What the verbs about a fleet take. */
export interface FleetOptions extends SendOptions {
  /** An account or a fleet handle. */
  fleet: string;
}

// ------------------------------------------------------------------ members

/**
 * Makes the roles of an account exactly these; none removes it from the fleet. By the governor or an Admin.
 *
 * @param options.notBefore Unix seconds; at once unless told.
 * @param options.expiry Unix seconds; FOREVER unless told.
 */
export async function setRoles(
  options: FleetOptions & { account: string; roles: readonly Role[]; notBefore?: bigint; expiry?: bigint },
): Promise<Sent> {
  const { notBefore = 0n, expiry = FOREVER } = options;
  const fleet = requireAddress("fleet", options.fleet);
  const account = requireAddress("account", options.account);
  const roles = maskOf(allRoles, options.roles);
  requireUint("notBefore", notBefore, 40);
  requireUint("expiry", expiry, 40);
  return send(options, () =>
    options.touchstone.roleRegistry.setRoles.populateTransaction(fleet, account, roles, notBefore, expiry),
  );
}

/** Gives up all roles of the sender in the fleet. */
export async function renounce(options: FleetOptions): Promise<Sent> {
  const fleet = requireAddress("fleet", options.fleet);
  return send(options, () => options.touchstone.roleRegistry.renounceRoles.populateTransaction(fleet));
}

/** Ends all roles of the fleet at once. By the governor. */
export async function revokeAll(options: FleetOptions): Promise<Sent> {
  const fleet = requireAddress("fleet", options.fleet);
  return send(options, () => options.touchstone.roleRegistry.revokeAllRoles.populateTransaction(fleet));
}

// ------------------------------------------------------------------ roles

/** Says what one of the fleet's own roles permits. By the governor. */
export async function defineRole(
  options: FleetOptions & { role: OwnRole; permissions: readonly Permission[] },
): Promise<Sent> {
  const fleet = requireAddress("fleet", options.fleet);
  const role = numberOf(allRoles, options.role);
  const permissions = maskOf(allPermissions, options.permissions);
  return send(options, () => options.touchstone.roleRegistry.defineRole.populateTransaction(fleet, role, permissions));
}

/** Separates two duties for ever: from now on nobody is given both roles. By the governor. */
export async function declareExclusive(options: FleetOptions & { roles: readonly [Role, Role] }): Promise<Sent> {
  const fleet = requireAddress("fleet", options.fleet);
  const [roleA, roleB] = options.roles;
  const [a, b] = [numberOf(allRoles, roleA), numberOf(allRoles, roleB)];
  return send(options, () => options.touchstone.roleRegistry.declareExclusive.populateTransaction(fleet, a, b));
}

// ------------------------------------------------------------------ fleets

/**
 * The id of the fleet handle that an account makes with a salt.
 *
 * @param options.salt 32 bytes.
 */
export function fleetIdOf(options: { creator: string; salt: string }): string {
  const creator = requireAddress("creator", options.creator);
  const salt = requireHex("salt", options.salt, 32);
  const encoded = AbiCoder.defaultAbiCoder().encode(["string", "address", "bytes32"], ["fleet", creator, salt]);
  return getAddress(dataSlice(keccak256(encoded), 12));
}

/**
 * Creates a fleet handle, governed by the sender.
 *
 * @param options.salt 32 bytes; random unless told.
 * @returns `fleet`, the id of the handle.
 */
export async function createFleet(options: SendOptions & { salt?: string }): Promise<Sent & { fleet: string }> {
  const salt = requireHex("salt", options.salt ?? hexlify(randomBytes(32)), 32);
  const sent = await send(options, () => options.touchstone.roleRegistry.createFleet.populateTransaction(salt));
  return { ...sent, fleet: fleetIdOf({ creator: sent.receipt.from, salt }) };
}

/** Offers the fleet to an account, which must accept. By the governor. */
export async function proposeGovernor(options: FleetOptions & { newGovernor: string }): Promise<Sent> {
  const fleet = requireAddress("fleet", options.fleet);
  const newGovernor = requireAddress("newGovernor", options.newGovernor);
  return send(options, () => options.touchstone.roleRegistry.proposeGovernor.populateTransaction(fleet, newGovernor));
}

/** Withdraws the offer of the fleet. By the governor. */
export async function cancelProposal(options: FleetOptions): Promise<Sent> {
  return proposeGovernor({ ...options, newGovernor: ZeroAddress });
}

/**
 * Takes over a fleet that was offered to the sender.
 *
 * @param options.keepRoles Whether the members keep their roles.
 */
export async function acceptGovernor(options: FleetOptions & { keepRoles: boolean }): Promise<Sent> {
  const fleet = requireAddress("fleet", options.fleet);
  return send(options, () =>
    options.touchstone.roleRegistry.acceptGovernor.populateTransaction(fleet, options.keepRoles),
  );
}

// ------------------------------------------------------------------ reading

/** Who governs a fleet. */
export async function getFleet(options: { touchstone: Touchstone; fleet: string }): Promise<Fleet> {
  const { roleRegistry } = options.touchstone;
  const id = requireAddress("fleet", options.fleet);
  const [governor, pendingGovernor, handovers, roleEpoch] = await ask(() =>
    Promise.all([
      roleRegistry.governorOf(id),
      roleRegistry.pendingGovernorOf(id),
      roleRegistry.handoversOf(id),
      roleRegistry.roleEpochOf(id),
    ]),
  );
  return {
    id,
    governor,
    pendingGovernor: pendingGovernor === ZeroAddress ? undefined : pendingGovernor,
    handovers,
    roleEpoch,
  };
}

/** The roles that the account was given, whether they hold now or not. */
export async function getMembership(options: {
  touchstone: Touchstone;
  fleet: string;
  account: string;
}): Promise<Membership> {
  const { touchstone, fleet, account } = checked(options);
  const { roles, notBefore, expiry, epoch } = await ask(() => touchstone.roleRegistry.membershipOf(fleet, account));
  return { roles: namesIn(allRoles, roles), notBefore, expiry, epoch };
}

/** The roles that the account holds now. */
export async function rolesOf(options: { touchstone: Touchstone; fleet: string; account: string }): Promise<Role[]> {
  const { touchstone, fleet, account } = checked(options);
  return namesIn(allRoles, await ask(() => touchstone.roleRegistry.rolesOf(fleet, account)));
}

/** All that the account may do in the fleet now; the governor may do everything. */
export async function permissionsOf(options: {
  touchstone: Touchstone;
  fleet: string;
  account: string;
}): Promise<Permission[]> {
  const { touchstone, fleet, account } = checked(options);
  return namesIn(allPermissions, await ask(() => touchstone.roleRegistry.permissionsOf(fleet, account)));
}

/** What a role permits in the fleet. */
export async function rolePermissions(options: {
  touchstone: Touchstone;
  fleet: string;
  role: Role;
}): Promise<Permission[]> {
  const fleet = requireAddress("fleet", options.fleet);
  const role = numberOf(allRoles, options.role);
  return namesIn(allPermissions, await ask(() => options.touchstone.roleRegistry.rolePermissions(fleet, role)));
}

function checked<T extends { fleet: string; account: string }>(options: T): T {
  return {
    ...options,
    fleet: requireAddress("fleet", options.fleet),
    account: requireAddress("account", options.account),
  };
}
