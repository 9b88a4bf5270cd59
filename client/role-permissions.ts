import type { AccessState } from "./access-state.js";
import { allPermissions, type Permission, type Role } from "./enumerations.js";

/** What roles together permit in a fleet, in the order of the permissions. */
export function permissionsOf(state: AccessState, fleet: string, roles: readonly Role[]): Permission[] {
  const all = new Set(roles.flatMap((role) => state.rolePermissions(fleet, role)));
  return allPermissions.filter((permission) => all.has(permission));
}
