import type { FleetMember } from "../../client/members.js";
import { roleName, type Team, type TeamPlan, type TeamStep } from "../../client/teams.js";
import { FOREVER } from "../../client/arguments.js";
import type { Role } from "../../client/enumerations.js";

/** What a plan does and does not do, as lines of text. */
export function planAsText(plan: TeamPlan, team: Team): string[] {
  const { fleet, governor, by, block, steps, obstacles, kept, keptRoles, over } = plan;
  const person = (account: string): string => {
    const name = team.members.find((member) => member.account === account)?.name;
    return name === undefined ? account : `${name} (${account})`;
  };
  return [
    `fleet     ${fleet}`,
    `governor  ${governor}`,
    `sender    ${by}`,
    `block     ${block}`,
    steps.length === 0
      ? "The team is as the file says: nothing to do."
      : `${steps.length} ${steps.length === 1 ? "step" : "steps"}:`,
    ...steps.map((step) => `  ${stepAsText(step, team, person)}`),
    ...kept.map((member) => `kept      ${person(member.account)}: ${heldBy(member, team)}; --prune takes it away`),
    ...keptRoles.map((role) => `kept      role ${role}; --prune makes it permit nothing`),
    ...over.map((account) => `over      ${person(account)}: the window in the file is over`),
    ...(obstacles.length === 0 ? [] : ["Impossible:", ...obstacles.map((each) => `  ${each}`)]),
  ];
}

function stepAsText(step: TeamStep, team: Team, person: (account: string) => string): string {
  const names = (roles: readonly Role[]): string => roles.map((role) => roleName(team, role)).join(", ");
  switch (step.kind) {
    case "Create":
      return `create the fleet with the salt ${step.salt}`;
    case "Give":
      return `give    ${person(step.account)}: ${names(step.roles)}${windowOf(step)}`;
    case "Change":
      return `change  ${person(step.account)}: ${names(step.roles)}${windowOf(step)}; before ${heldBy(step.before, team)}`;
    case "Remove":
      return `remove  ${person(step.account)}: ${heldBy(step.before, team)}`;
    case "Define":
      return (
        `define  ${roleName(team, step.role)}: ${step.permissions.join(", ") || "nothing"}; before ` +
        (step.before.join(", ") || "nothing")
      );
    case "Exclude":
      return `exclude ${names(step.roles)}, for ever`;
  }
}

function heldBy({ roles, from, until }: FleetMember, team: Team): string {
  return `${roles.map((role) => roleName(team, role)).join(", ")}${windowOf({ from, until })}`;
}

function windowOf({ from, until }: { from: bigint; until: bigint }): string {
  return (from === 0n ? "" : ` from ${timeText(from)}`) + (until === FOREVER ? "" : ` until ${timeText(until)}`);
}

/** Past what a Date can hold, the number says as much. */
function timeText(seconds: bigint): string {
  return seconds < 253_402_300_800n ? new Date(Number(seconds) * 1000).toISOString() : `${seconds}`;
}
