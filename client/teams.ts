import { FOREVER, requireAddress, requireHex } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import {
  allPermissions,
  allRoles,
  maskOf,
  numberOf,
  type OwnRole,
  type Permission,
  type Role,
} from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import type { TouchstoneEvent } from "./events.js";
import { members, type FleetMember, type FleetMembers } from "./members.js";
import { ask, decodeRevert, toTouchstoneError } from "./reverts.js";
import { fleetIdOf } from "./roles.js";
import { isSamePair, type Team, type TeamMember } from "./team-files.js";
import { senderOf } from "./senders.js";
import { send, type SendOptions } from "./transactions.js";

export {
  formatTeam,
  parseTeam,
  readTeam,
  roleName,
  teamJsonSchema,
  writeTeam,
  type Team,
  type TeamFile,
  type TeamMember,
  type TeamRole,
} from "./team-files.js";

/** What must be done so that a fleet becomes a team; in an order in which nobody ever holds too much. */
export type TeamStep =
  /** Creates the fleet handle. */
  | { kind: "Create"; salt: string }
  /** Gives roles to an account that holds none. */
  | { kind: "Give"; account: string; roles: Role[]; from: bigint; until: bigint }
  /** Gives an account other roles or another window. */
  | { kind: "Change"; account: string; roles: Role[]; from: bigint; until: bigint; before: FleetMember }
  /** Takes all roles from an account. */
  | { kind: "Remove"; account: string; before: FleetMember }
  /** Says what one of the fleet's own roles permits. */
  | { kind: "Define"; role: OwnRole; permissions: Permission[]; before: Permission[] }
  /** Separates two duties for ever. */
  | { kind: "Exclude"; roles: [Role, Role] };

/** What it takes to make a fleet's team that of a file. */
export interface TeamPlan {
  chainId: bigint;
  fleet: string;
  governor: string;
  /** Who must send the steps. */
  by: string;
  /** The plan is made for the state after this block. */
  block: number;
  /** In the order in which they must be sent. None if the team is as it should be. */
  steps: TeamStep[];
  /** Why the fleet cannot become this team, or not by this sender: nothing is sent as long as there are any. */
  obstacles: string[];
  /** Members that the file does not have, and that keep their roles as it was not said that the rest be taken away. */
  kept: FleetMember[];
  /** Own roles that the file does not have, and that stay defined for the same reason. */
  keptRoles: OwnRole[];
  /** Accounts of the file whose window is over, so that they are given nothing. */
  over: string[];
}

// ------------------------------------------------------------------ planning

/**
 * Says what it takes to make a fleet's team that of a file, and what is in the way. Nothing is sent.
 *
 * @param options.team As readTeam gives it.
 * @param options.fleet The fleet; that of the file unless told.
 * @param options.prune Also takes away what the file does not have: members, and what own roles permit. Not so unless told.
 * @param options.salt 32 bytes: the fleet is the handle that the sender makes with it, which the plan creates if there is none yet.
 * @param options.by Who will send; the runner if it can, else the governor.
 * @throws TouchstoneError INVALID_ARGUMENT if it is not said which fleet; all that members throws.
 */
export async function planTeam(options: {
  touchstone: Touchstone;
  team: Team;
  fleet?: string;
  prune?: boolean;
  salt?: string;
  by?: string;
  signal?: AbortSignal;
}): Promise<TeamPlan> {
  const { touchstone, team, prune = false, signal } = options;
  const salt = options.salt === undefined ? undefined : requireHex("salt", options.salt, 32);
  const sender = options.by === undefined ? await senderOf(touchstone) : requireAddress("by", options.by);
  const fleet = fleetOf({ team, fleet: options.fleet, salt, sender });
  const present = await members({ touchstone, fleet, ...(signal && { signal }) });
  const isNew = salt !== undefined && present.governor === fleet;
  const governor = isNew && sender !== undefined ? sender : present.governor;
  const by = sender ?? governor;
  const difference = differ(team, present, prune);
  const steps = inOrder(team, present, difference);
  if (isNew) steps.unshift({ kind: "Create", salt });
  return {
    chainId: touchstone.chainId,
    fleet,
    governor,
    by,
    block: present.block,
    steps,
    obstacles: [
      ...obstaclesToSender({ present, governor, by, steps, isNew }),
      ...obstaclesToTeam(team, present, difference.kept),
    ],
    kept: difference.kept,
    keptRoles: difference.keptRoles,
    over: difference.over,
  };
}

function fleetOf(options: {
  team: Team;
  fleet: string | undefined;
  salt: string | undefined;
  sender: string | undefined;
}): string {
  const { team, salt, sender } = options;
  const given = options.fleet === undefined ? undefined : requireAddress("fleet", options.fleet);
  if (salt !== undefined && sender === undefined) {
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      "by: a fleet that is to be created has no governor yet: say who will send.",
    );
  }
  const made = salt === undefined || sender === undefined ? undefined : fleetIdOf({ creator: sender, salt });
  const named = [...new Set([given, team.fleet, made].filter((fleet) => fleet !== undefined))];
  const [fleet] = named;
  if (fleet !== undefined && named.length === 1) return fleet;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    fleet === undefined
      ? "fleet: neither the file nor the caller says which fleet: give its id."
      : `fleet: the file, the caller and the salt do not mean the same fleet: ${named.join(", ")}. Give only one, or the same.`,
    { details: { fleet: given, ofFile: team.fleet, ofSalt: made } },
  );
}

/** What differs between a team and what is. */
interface Difference {
  /** Members to give something, with what they hold now. */
  changes: { wanted: TeamMember; held: FleetMember | undefined }[];
  removals: FleetMember[];
  definitions: { role: OwnRole; permissions: Permission[]; before: Permission[] }[];
  exclusions: [Role, Role][];
  kept: FleetMember[];
  keptRoles: OwnRole[];
  over: string[];
}

function differ(team: Team, present: FleetMembers, prune: boolean): Difference {
  const { time } = present;
  const holders = new Map(present.members.filter(isHolder).map((member) => [member.account, member]));
  const listed = new Set(team.members.map(({ account }) => account));
  const difference: Difference = {
    changes: [],
    removals: [],
    definitions: [],
    exclusions: team.exclusions.filter((pair) => !present.exclusions.some(({ roles }) => isSamePair(roles, pair))),
    kept: [],
    keptRoles: [],
    over: [],
  };
  for (const wanted of team.members) {
    const held = holders.get(wanted.account);
    if (wanted.until <= time) {
      difference.over.push(wanted.account);
      if (held !== undefined) difference.removals.push(held);
    } else if (held === undefined || !isAsWanted(held, wanted, time)) difference.changes.push({ wanted, held });
  }
  const extra = [...holders.values()].filter(({ account }) => !listed.has(account));
  (prune ? difference.removals : difference.kept).push(...extra);

  for (const { role, permissions } of team.roles) {
    const before = present.roles.find((other) => other.role === role)?.permissions ?? [];
    if (!isSameSet(before, permissions)) difference.definitions.push({ role, permissions, before });
  }
  for (const { role, permissions: before } of present.roles) {
    if (before.length === 0 || team.roles.some((other) => other.role === role)) continue;
    if (prune) difference.definitions.push({ role, permissions: [], before });
    else difference.keptRoles.push(role);
  }
  return difference;
}

/** Who holds roles now or later; the others hold nothing that could be taken away. */
function isHolder({ state }: FleetMember): boolean {
  return state === "Now" || state === "Later";
}

function isAsWanted(held: FleetMember, wanted: TeamMember, time: bigint): boolean {
  // Two windows that are both open do not differ in when they opened.
  const isSameStart = held.from === wanted.from || (held.from <= time && wanted.from <= time);
  return isSameStart && held.until === wanted.until && isSameSet(held.roles, wanted.roles);
}

function isSameSet<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}

/**
 * Puts the steps in an order in which, whatever is sent when, no exclusion is broken that was not broken before, nobody holds a role
 * while it permits more than it did or will, and an Admin that is replaced is replaced before it goes.
 */
function inOrder(team: Team, present: FleetMembers, difference: Difference): TeamStep[] {
  const redefined = new Set<Role>(difference.definitions.map(({ role }) => role));
  const newAdmins: TeamStep[] = [];
  const narrowings: TeamStep[] = [];
  const gives: TeamStep[] = [];
  for (const { wanted, held } of difference.changes) {
    const { account, roles, from, until } = wanted;
    const final = stepOf({ account, roles, from, until }, held);
    const lost = held?.roles.filter((role) => !roles.includes(role)) ?? [];
    const heldNow = held?.state === "Now" ? held.roles : [];
    // Who is to hold its roles from a later time on must not have, until then, what they will permit.
    const beginsLater = held !== undefined && from > present.time && from > held.from;
    const isNarrower = lost.length > 0 || beginsLater || (held !== undefined && until < held.until);
    // Such a role permits what it should only after it was defined.
    const isTooEarly = (role: Role): boolean => redefined.has(role) && (beginsLater || !heldNow.includes(role));
    if (roles.includes("Admin") && !heldNow.includes("Admin")) newAdmins.push(final);
    else if (held === undefined || !isNarrower) gives.push(final);
    else if (!roles.some(isTooEarly)) narrowings.push(final);
    else {
      const left = roles.filter((role) => held.roles.includes(role) && !isTooEarly(role));
      narrowings.push(
        left.length === 0
          ? { kind: "Remove", account, before: held }
          : { kind: "Change", account, roles: left, from, until, before: held },
      );
      gives.push(left.length === 0 ? stepOf({ account, roles, from, until }, undefined) : final);
    }
  }
  return [
    ...newAdmins,
    ...difference.removals.map((before): TeamStep => ({ kind: "Remove", account: before.account, before })),
    ...narrowings,
    ...difference.definitions.map((definition): TeamStep => ({ kind: "Define", ...definition })),
    ...difference.exclusions.map((roles): TeamStep => ({ kind: "Exclude", roles })),
    ...gives,
  ];
}

function stepOf(
  given: { account: string; roles: Role[]; from: bigint; until: bigint },
  held: FleetMember | undefined,
): TeamStep {
  return held === undefined ? { kind: "Give", ...given } : { kind: "Change", ...given, before: held };
}

// ------------------------------------------------------------------ what is in the way

function obstaclesToTeam(team: Team, present: FleetMembers, kept: readonly FleetMember[]): string[] {
  const obstacles: string[] = [];
  for (const { roles: pair } of present.exclusions) {
    if (team.exclusions.some((other) => isSamePair(other, pair))) continue;
    obstacles.push(
      `The fleet declared ${named(pair)} exclusive, for ever, and the file does not: add it to "exclusions" of the file.`,
    );
    for (const { account, roles } of team.members) {
      if (pair.every((role) => roles.includes(role))) {
        obstacles.push(`${account} cannot be given both ${named(pair)}: give one of the two.`);
      }
    }
  }
  for (const pair of team.exclusions) {
    for (const { account, roles } of kept) {
      if (!pair.every((role) => roles.includes(role))) continue;
      obstacles.push(
        `${account}, who is not in the file, holds both ${named(pair)}, which it declares exclusive: list the account with one of ` +
          "them, or take away what the file does not have (prune).",
      );
    }
  }
  return obstacles;
}

function obstaclesToSender(options: {
  present: FleetMembers;
  governor: string;
  by: string;
  steps: readonly TeamStep[];
  isNew: boolean;
}): string[] {
  const { present, governor, by, steps, isNew } = options;
  if (steps.length === 0 || by === governor || isNew) return [];
  const ofEpoch = present.members.filter(({ epoch }) => epoch === present.roleEpoch);
  const sender = ofEpoch.find(({ account, state }) => account === by && state === "Now");
  if (sender?.roles.includes("Admin") !== true) {
    return [`${by} is neither the governor of ${present.fleet}, ${governor}, nor an Admin: send as one of them.`];
  }
  const isAdmin = (account: string): boolean =>
    ofEpoch.some((member) => member.account === account && member.roles.includes("Admin"));
  const obstacles = steps.flatMap((step): string[] => {
    switch (step.kind) {
      case "Define":
        return [`Only the governor, ${governor}, says what role ${step.role} permits.`];
      case "Exclude":
        return [`Only the governor, ${governor}, declares ${named(step.roles)} exclusive.`];
      case "Create":
        return [];
      case "Remove":
        return isAdmin(step.account)
          ? [`Only the governor, ${governor}, takes roles from ${step.account}, an Admin.`]
          : [];
      case "Give":
      case "Change":
        if (step.roles.includes("Admin")) return [`Only the governor, ${governor}, makes ${step.account} an Admin.`];
        if (isAdmin(step.account))
          return [`Only the governor, ${governor}, changes the roles of ${step.account}, an Admin.`];
        return step.until > sender.until
          ? [`${by} is an Admin until ${timeText(sender.until)}, and cannot give ${step.account} roles for longer.`]
          : [];
    }
  });
  return [...new Set(obstacles)];
}

function named([a, b]: readonly [Role, Role]): string {
  return [a, b].map((role) => (typeof role === "number" ? `role ${role}` : role)).join(" and ");
}

function timeText(seconds: bigint): string {
  return seconds === FOREVER ? "for ever" : new Date(Number(seconds) * 1000).toISOString();
}

// ------------------------------------------------------------------ applying

/** How much is sent at once. */
export interface TeamLimits {
  /** Steps in one transaction, at most. */
  steps: number;
  /** Gas of one transaction, at most; that of the block if it is less. */
  gas: bigint;
  /** Bytes of call data in one transaction, at most. */
  bytes: number;
}

/** Nodes pass on transactions of at most 128 KiB and, since EIP-7825, chains take at most 2^24 gas in one. */
export const TEAM_LIMITS: Readonly<TeamLimits> = { steps: 500, gas: 16_777_216n, bytes: 126_000 };

/** How far a plan has come. */
export interface TeamProgress {
  /** Steps that were done. */
  done: number;
  total: number;
  /** The transaction that was mined just now. */
  transactionHash: string;
}

/** What came of a plan. */
export interface TeamApplied {
  /** Hashes, in their order; none if nothing was to be done. */
  transactions: string[];
  events: TouchstoneEvent[];
}

/**
 * Does what a plan says, in one transaction if it fits, which is all or nothing, else in as few as do; each is rehearsed before it is
 * sent. Whoever is interrupted makes a new plan and applies that: what was done is not done again.
 *
 * @param options.onProgress Called after each transaction.
 * @param options.signal Between two transactions nothing more is sent.
 * @throws TouchstoneError TEAM_IMPOSSIBLE if there are obstacles; WRONG_CHAIN if the plan is for another; INVALID_ARGUMENT if it is for
 *         another sender; all that send throws.
 */
export async function applyTeam(
  options: SendOptions & {
    plan: TeamPlan;
    limits?: Partial<TeamLimits>;
    onProgress?: (progress: TeamProgress) => void;
  },
): Promise<TeamApplied> {
  const { touchstone, plan, onProgress } = options;
  await requireApplicable(touchstone, plan);
  const limits = { ...TEAM_LIMITS, ...options.limits };
  const result: TeamApplied = { transactions: [], events: [] };
  const total = plan.steps.length;
  for (let done = 0; done < total;) {
    const calls = await fittingCalls(touchstone, plan, plan.steps.slice(done), limits);
    const sent = await send(options, () => touchstone.roleRegistry.multicall.populateTransaction(calls));
    done += calls.length;
    result.transactions.push(sent.receipt.hash);
    result.events.push(...sent.events);
    onProgress?.({ done, total, transactionHash: sent.receipt.hash });
  }
  return result;
}

/**
 * The transactions of a plan for whoever does not send by a signer of ours, such as a Safe: see safeTransactions. They must be sent
 * in this order.
 *
 * @throws TouchstoneError TEAM_IMPOSSIBLE if there are obstacles.
 */
export async function teamTransactions(options: {
  touchstone: Touchstone;
  plan: TeamPlan;
  limits?: Partial<Omit<TeamLimits, "gas">>;
}): Promise<{ to: string; data: string }[]> {
  const { touchstone, plan } = options;
  requirePossible(plan);
  const limits = { ...TEAM_LIMITS, steps: 250, ...options.limits };
  const transactions: { to: string; data: string }[] = [];
  for (let left = plan.steps; left.length > 0;) {
    const calls = firstCalls(touchstone, plan, left, limits);
    left = left.slice(calls.length);
    transactions.push(await touchstone.roleRegistry.multicall.populateTransaction(calls));
  }
  return transactions.map(({ to, data }) => ({ to, data }));
}

async function requireApplicable(touchstone: Touchstone, plan: TeamPlan): Promise<void> {
  requirePossible(plan);
  if (plan.chainId !== touchstone.chainId) {
    throw new TouchstoneError(
      "WRONG_CHAIN",
      `The plan is for chain ${plan.chainId}, and this is ${touchstone.chainId}: make a plan here.`,
      { details: { expected: plan.chainId, chainId: touchstone.chainId } },
    );
  }
  const sender = await senderOf(touchstone);
  if (plan.steps.length === 0 || sender === undefined || sender === plan.by) return;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `The plan is for ${plan.by}, who may do more or less than the sender, ${sender}: make a plan for who sends.`,
    { details: { by: plan.by, sender } },
  );
}

function requirePossible({ fleet, obstacles }: TeamPlan): void {
  if (obstacles.length === 0) return;
  throw new TouchstoneError(
    "TEAM_IMPOSSIBLE",
    `The fleet ${fleet} cannot become this team:${obstacles.map((each) => `\n  ${each}`).join("")}`,
    { details: { fleet, obstacles } },
  );
}

/** No step takes more, call data and its share of the transaction included. */
const MOST_GAS_OF_STEP = 60_000n;

/** The calls of the next steps, as many as fit into one transaction. */
async function fittingCalls(
  touchstone: Touchstone,
  plan: TeamPlan,
  steps: readonly TeamStep[],
  limits: TeamLimits,
): Promise<string[]> {
  const { provider, roleRegistry, addresses } = touchstone;
  const block = await ask(() => provider.getBlock("latest"));
  const most = block === null || block.gasLimit > limits.gas ? limits.gas : block.gasLimit;
  let calls = firstCalls(touchstone, plan, steps, limits);
  while (calls.length > 1 && BigInt(calls.length) * MOST_GAS_OF_STEP > most) {
    const data = roleRegistry.interface.encodeFunctionData("multicall", [calls]);
    let gas: bigint;
    try {
      gas = await provider.estimateGas({ from: plan.by, to: addresses.RoleRegistry, data });
    } catch (error) {
      const reason = decodeRevert(error)?.errorName;
      // What a contract refuses with a reason, it refuses in smaller pieces too; without one, the gas did not suffice.
      if (reason !== undefined && reason !== "FailedCall") throw toTouchstoneError(error);
      const failure = toTouchstoneError(error);
      if (failure.code !== "RPC_FAILED" && failure.code !== "CONTRACT_REVERTED") throw failure;
      gas = 2n * most;
    }
    // As send does: the state may move between rehearsal and block.
    const wanted = gas + gas / 10n;
    if (wanted <= most) return calls;
    const share = Number((BigInt(calls.length) * most) / wanted);
    calls = calls.slice(0, Math.max(1, Math.min(share, calls.length - 1)));
  }
  return calls;
}

/** The calls of the first steps, as many as the bytes allow. */
function firstCalls(
  touchstone: Touchstone,
  plan: TeamPlan,
  steps: readonly TeamStep[],
  limits: Omit<TeamLimits, "gas">,
): string[] {
  const calls: string[] = [];
  let bytes = 4 + 64;
  for (const step of steps.slice(0, Math.max(1, limits.steps))) {
    const call = callOf(touchstone, plan.fleet, step);
    // An offset, a length and whole words.
    bytes += 64 + Math.ceil((call.length - 2) / 64) * 32;
    if (bytes > limits.bytes && calls.length > 0) break;
    calls.push(call);
  }
  return calls;
}

function callOf({ roleRegistry }: Touchstone, fleet: string, step: TeamStep): string {
  const { interface: abi } = roleRegistry;
  switch (step.kind) {
    case "Create":
      return abi.encodeFunctionData("createFleet", [step.salt]);
    case "Give":
    case "Change":
      return abi.encodeFunctionData("setRoles", [
        fleet,
        step.account,
        maskOf(allRoles, step.roles),
        step.from,
        step.until,
      ]);
    case "Remove":
      return abi.encodeFunctionData("setRoles", [fleet, step.account, 0n, 0n, 0n]);
    case "Define":
      return abi.encodeFunctionData("defineRole", [fleet, step.role, maskOf(allPermissions, step.permissions)]);
    case "Exclude": {
      const [a, b] = step.roles;
      return abi.encodeFunctionData("declareExclusive", [fleet, numberOf(allRoles, a), numberOf(allRoles, b)]);
    }
  }
}

// ------------------------------------------------------------------ exporting

/**
 * A fleet's team as it is: whoever holds roles now or later, what own roles permit and what is exclusive. A plan of it has no steps,
 * unless members hold what was declared exclusive after.
 *
 * @param options.names What people call accounts and own roles, to be kept in the file: a team that was read before.
 * @param options.toBlock The state after this block; the latest unless told.
 * @throws TouchstoneError as members.
 */
export async function exportTeam(options: {
  touchstone: Touchstone;
  fleet: string;
  names?: Team;
  toBlock?: number;
  signal?: AbortSignal;
}): Promise<Team> {
  const { names, ...asked } = options;
  const present = await members(asked);
  const holders = present.members.filter(isHolder);
  // A file must define every role that it names, even one that permits nothing.
  const named = [...holders, ...present.exclusions]
    .flatMap(({ roles }): Role[] => roles)
    .filter((role) => typeof role === "number");
  const defined = present.roles.filter(({ role, permissions }) => permissions.length > 0 || named.includes(role));
  const undefinedYet = [...new Set(named)].filter((role) => !defined.some((other) => other.role === role));
  const nameOfRole = (role: OwnRole): string | undefined => names?.roles.find((other) => other.role === role)?.name;
  return {
    fleet: present.fleet,
    roles: [...defined, ...undefinedYet.map((role) => ({ role, permissions: [] }))]
      .map(({ role, permissions }) => ({ role, name: nameOfRole(role), permissions }))
      .sort((a, b) => a.role - b.role),
    exclusions: present.exclusions.map(({ roles }) => roles),
    members: holders.map(({ account, roles, from, until }) => ({
      account,
      name: names?.members.find((other) => other.account === account)?.name,
      roles,
      from,
      until,
    })),
  };
}
