import { z } from "zod";

import { FOREVER, requireAddress } from "./arguments.js";
import {
  allPermissions,
  allRoles,
  builtInRoles,
  type BuiltInRole,
  type OwnRole,
  type Permission,
  type Role,
} from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { isReservedId } from "./factory-keys.js";
import { newFaultList, type FaultList } from "./faults.js";
import { placesIn } from "./json-places.js";
import { readChunks, writeNewFile } from "./text-files.js";

/** Who should hold what in a fleet. */
export interface Team {
  /** An account or a fleet handle; undefined for a file that may be used for any. */
  fleet: string | undefined;
  /** What roles 8 to 15 should permit, by their numbers. */
  roles: TeamRole[];
  /** Pairs of roles that nobody should ever hold together. */
  exclusions: [Role, Role][];
  members: TeamMember[];
}

/** A role of the fleet's own. */
export interface TeamRole {
  role: OwnRole;
  /** For people; the chain keeps numbers only. */
  name: string | undefined;
  permissions: Permission[];
}

/** Somebody who should hold roles. */
export interface TeamMember {
  account: string;
  /** For people; the chain keeps accounts only. */
  name: string | undefined;
  /** In the order of their numbers. */
  roles: Role[];
  /** Unix seconds of the first moment the roles hold; 0 for at once. */
  from: bigint;
  /** Unix seconds of the first moment they no longer hold; FOREVER for never. */
  until: bigint;
}

const TYPE = "touchstone-team";
const VERSION = 1;
const MAX_CHARACTERS = 2 ** 24;
/** A team nests four levels deep. */
const MAX_DEPTH = 6;
const MAX_MEMBERS = 10_000;
const MAX_NAME = 64;
const MAX_NOTE = 1_000;
const YEAR_10000 = 253_402_300_800n;

// ------------------------------------------------------------------ the document

const note = z.string("is no text in quotes").max(MAX_NOTE, `is longer than ${MAX_NOTE} characters`);
const notes = z
  .union([note, z.array(note).max(100, "has more than 100 notes")], "is neither text in quotes nor a list of such")
  .optional()
  .describe("For people; it is not read.");

const personName = z
  .string("is no text in quotes")
  .min(1, "is empty: leave it out, or give a name")
  .max(MAX_NAME, `is longer than ${MAX_NAME} characters`)
  .regex(
    /^[^\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$/u,
    "has a control character, such as a line break: take it out",
  )
  .regex(/^(?!\s)[\s\S]*(?<!\s)$/u, "begins or ends with a space: take it out");

const account = z
  .string("is no address in quotes")
  .regex(/^0x[0-9a-fA-F]{40}$/, "is no address: give 20 bytes as 0x hex")
  .meta({ id: "address" });

const ownRole = z
  .int("is no number of a role of the fleet's own: give 8 to 15")
  .min(builtInRoles.length, "is no number of a role of the fleet's own: give 8 to 15")
  .max(allRoles.length - 1, "is no number of a role of the fleet's own: give 8 to 15");

const role = z
  .union(
    [ownRole, z.string().min(1)],
    `is no role: give ${builtInRoles.join(", ")}, or the number or name of one in "roles"`,
  )
  .meta({ id: "role", description: `${builtInRoles.join(", ")}, or the number or the name of a role in "roles".` });

const TIME_HINT = 'is no time: give "2027-01-31", "2027-01-31T08:00:00Z", or Unix seconds as a number';
const time = z
  .union(
    [
      z.iso.date(),
      z.iso.datetime({ offset: true, precision: 0 }),
      z.int().min(0, TIME_HINT).max(Number(FOREVER), TIME_HINT),
    ],
    TIME_HINT,
  )
  .meta({ id: "time" });

const definable = allPermissions.filter((permission) => permission !== "ManageRoles");
const PERMISSION_HINT = `is no permission that a role of the fleet's own can hold: give some of ${definable.join(", ")}`;

const object = <T extends z.core.$ZodLooseShape>(fields: T): z.ZodObject<T, z.core.$strict> =>
  z.strictObject(fields, "is no object");

const teamFile = object({
  $schema: z.string("is no text in quotes").optional(),
  type: z.literal(TYPE, `is not "${TYPE}"`),
  version: z.literal(VERSION, `is not ${VERSION}, the only version there is`),
  note: notes,
  fleet: account.optional().describe("The fleet handle, or the account whose fleet it is."),
  roles: z
    .array(
      object({
        role: ownRole,
        name: personName.optional().describe("For people, and to name the role by in this file."),
        permissions: z.array(z.enum(definable, PERMISSION_HINT), "is no list"),
        note: notes,
      }),
      "is no list",
    )
    .max(8, "has more than 8 roles: a fleet has those from 8 to 15")
    .optional()
    .describe("What the fleet's own roles permit."),
  exclusions: z
    .array(object({ roles: z.tuple([role, role], "is no list of two roles"), note: notes }), "is no list")
    .max(120, "has more exclusions than there are pairs of roles")
    .optional()
    .describe("Pairs of roles that nobody may ever hold together; they are final."),
  members: z
    .array(
      object({
        account,
        name: personName.optional().describe("For people."),
        roles: z
          .array(role, "is no list")
          .min(1, "is empty: give a role, or leave the member out")
          .max(allRoles.length, "has more roles than there are"),
        from: time.optional().describe("The first moment the roles hold; at once if it is left out."),
        until: time.optional().describe("The first moment they no longer hold; never if it is left out."),
        note: notes,
      }),
      "is no list",
    )
    .max(MAX_MEMBERS, `has more than ${MAX_MEMBERS} members`),
});

/** A team as it stands in a file. */
export type TeamFile = z.output<typeof teamFile>;

/** The JSON Schema of team files (draft 2020-12); what contradicts itself only parseTeam finds. */
export function teamJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(teamFile, { target: "draft-2020-12" });
  return {
    $schema,
    $id: "urn:touchstone:team:1",
    title: "Touchstone team",
    description: "Who should hold what in a fleet.",
    ...schema,
  };
}

// ------------------------------------------------------------------ reading and writing

/**
 * Reads the file of a team.
 *
 * @throws TouchstoneError
 *   - TEAM_INVALID with up to 20 faults, each with its line and the fix, in the message and `details.faults`;
 *   - FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, CANCELLED, INVALID_ARGUMENT (the path cannot be one).
 */
export async function readTeam(options: { path: string; signal?: AbortSignal }): Promise<Team> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  for await (const chunk of readChunks(options)) {
    try {
      text += decoder.decode(chunk, { stream: true });
    } catch {
      fail(options.path, text.split("\n").length, "is not UTF-8: save the file as UTF-8.");
    }
    if (text.length > MAX_CHARACTERS) fail(options.path, 1, `the file is longer than ${MAX_CHARACTERS} characters.`);
  }
  try {
    text += decoder.decode();
  } catch {
    fail(options.path, text.split("\n").length, "is not UTF-8: save the file as UTF-8.");
  }
  return parseTeam(text, options.path);
}

/**
 * Reads the text of a team.
 *
 * @param path What people know the text by.
 * @throws TouchstoneError TEAM_INVALID as readTeam.
 */
export function parseTeam(text: string, path = "The team"): Team {
  const places = placesIn(text, MAX_DEPTH);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    const message = "here or just before, the text stops being JSON: look for a comma, a quote or a bracket.";
    return fail(path, places.brokenAt ?? 1, message);
  }
  const faults = newFaultList("TEAM_INVALID", path);
  for (const { key, line } of places.twice)
    faults.add(line, `${shown(key)} stands twice in one object: leave one out.`);
  const parsed = teamFile.safeParse(json);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) faults.add(places.lineOf(issue.path), describeIssue(issue));
    faults.throwIfAny();
    throw new RangeError("Not reached: the file has a fault.");
  }
  const team = teamIn(parsed.data, (place, message) => {
    faults.add(places.lineOf(place), message);
  });
  faults.throwIfAny();
  return team;
}

/** A team as the text of a file. */
export function formatTeam(team: Team): string {
  const file: TeamFile = {
    type: TYPE,
    version: VERSION,
    ...(team.fleet !== undefined && { fleet: team.fleet }),
    roles: team.roles.map(({ role: number, name, permissions }) => ({
      role: number,
      ...(name !== undefined && { name }),
      permissions: permissions.filter((permission) => permission !== "ManageRoles"),
    })),
    exclusions: team.exclusions.map(([a, b]) => ({ roles: [a, b] })),
    members: team.members.map(({ account: id, name, roles, from, until }) => ({
      account: id,
      ...(name !== undefined && { name }),
      roles,
      ...(from !== 0n && { from: formatTime(from) }),
      ...(until !== FOREVER && { until: formatTime(until) }),
    })),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/**
 * Writes the file of a team.
 *
 * @throws TouchstoneError FILE_EXISTS, FILE_UNWRITABLE, CANCELLED, INVALID_ARGUMENT.
 */
export async function writeTeam(options: { path: string; team: Team; signal?: AbortSignal }): Promise<void> {
  const { path, team, signal } = options;
  await writeNewFile({ path, content: [formatTeam(team)], signal });
}

// ------------------------------------------------------------------ what the file means

type NoteFault = (place: readonly PropertyKey[], message: string) => void;

function teamIn(file: TeamFile, fault: NoteFault): Team {
  const names = new Map<string, Role>(builtInRoles.map((name) => [name, name]));
  const roles = ownRolesIn(file, names, fault);
  const defined = new Set<Role>([...builtInRoles, ...roles.map(({ role: number }) => number)]);
  const roleAt = (given: number | string, place: readonly PropertyKey[]): Role | undefined => {
    const found = typeof given === "number" ? allRoles[given] : names.get(given);
    if (found === undefined) {
      const known = [...names.keys()].map(shown).join(", ");
      fault(place, `${shown(String(given))} is no role of this team: give one of ${known}.`);
    } else if (!defined.has(found)) {
      fault(place, `role ${found} is not defined: say in "roles" what it permits.`);
    }
    return found;
  };
  const exclusions = exclusionsIn(file, roleAt, fault);
  const members = membersIn(file, roleAt, fault);
  for (const [place, member] of members.entries()) {
    for (const [a, b] of exclusions) {
      if (!member.roles.includes(a) || !member.roles.includes(b)) continue;
      fault(
        ["members", place, "roles"],
        `${member.account} would hold ${a} and ${b}, which this file declares exclusive: give one of the two.`,
      );
    }
  }
  const fleet = file.fleet === undefined ? undefined : addressAt(file.fleet, ["fleet"], fault);
  return { fleet, roles, exclusions, members };
}

function ownRolesIn(file: TeamFile, names: Map<string, Role>, fault: NoteFault): TeamRole[] {
  const roles: TeamRole[] = [];
  for (const [place, { role: number, name, permissions }] of (file.roles ?? []).entries()) {
    if (roles.some((other) => other.role === (number as OwnRole))) {
      fault(["roles", place, "role"], `role ${number} is defined already: define each once.`);
    }
    if (name !== undefined) {
      if (names.has(name) || /^\d+$/.test(name)) {
        fault(["roles", place, "name"], `${shown(name)} means another role already: give a name of its own.`);
      }
      names.set(name, number as OwnRole);
    }
    const set = allPermissions.filter((permission) => (permissions as Permission[]).includes(permission));
    roles.push({ role: number as OwnRole, name, permissions: set });
  }
  return roles.sort((a, b) => a.role - b.role);
}

function exclusionsIn(
  file: TeamFile,
  roleAt: (given: number | string, place: readonly PropertyKey[]) => Role | undefined,
  fault: NoteFault,
): [Role, Role][] {
  const exclusions: [Role, Role][] = [];
  for (const [place, { roles }] of (file.exclusions ?? []).entries()) {
    const at = ["exclusions", place, "roles"];
    const [a, b] = roles.map((given, side) => roleAt(given, [...at, side]));
    if (a === undefined || b === undefined) continue;
    if (a === b) fault(at, `${a} cannot exclude itself: give two roles.`);
    else if (exclusions.some((pair) => isSamePair(pair, [a, b]))) {
      fault(at, `${a} and ${b} are declared exclusive already: leave one out.`);
    } else exclusions.push(inOrder([a, b]));
  }
  return exclusions;
}

function membersIn(
  file: TeamFile,
  roleAt: (given: number | string, place: readonly PropertyKey[]) => Role | undefined,
  fault: NoteFault,
): TeamMember[] {
  const seen = new Set<string>();
  return file.members.map((member, place) => {
    const at = ["members", place];
    const id = addressAt(member.account, [...at, "account"], fault);
    if (seen.has(id.toLowerCase())) {
      fault([...at, "account"], `${id} is a member already: list each account once, with all its roles.`);
    }
    seen.add(id.toLowerCase());
    const roles = member.roles.map((given, index) => roleAt(given, [...at, "roles", index]));
    const from = secondsOf(member.from) ?? 0n;
    const until = secondsOf(member.until) ?? FOREVER;
    if (from < 0n)
      // In other quotes, what follows would look like an import to who searches for those.
      fault([...at, `from`], "begins before 1970, where time on the chain begins: leave it out for at once.");
    if (from >= until) fault([...at, "until"], `the roles of ${id} would end before they begin: give a later end.`);
    return {
      account: id,
      name: member.name,
      roles: allRoles.filter((each) => roles.includes(each)),
      from,
      until,
    };
  });
}

/** Reserved ids and mistyped ones are faults. */
function addressAt(value: string, place: readonly PropertyKey[], fault: NoteFault): string {
  try {
    const id = requireAddress("account", value);
    if (isReservedId(id))
      fault(place, `${id} is reserved: ids below 2^16 are nobody's. Give the account that should act.`);
    return id;
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    fault(place, error.message);
    return value;
  }
}

function secondsOf(value: string | number | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  return typeof value === "number" ? BigInt(value) : BigInt(Date.parse(value)) / 1000n;
}

/** A day as a day; what has no date with four digits of a year as Unix seconds. */
function formatTime(seconds: bigint): string | number {
  if (seconds >= YEAR_10000) return Number(seconds);
  const text = new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
  return text.endsWith("T00:00:00Z") ? text.slice(0, 10) : text;
}

/** Whether two pairs are of the same roles. */
export function isSamePair(a: readonly [Role, Role], b: readonly [Role, Role]): boolean {
  return (a[0] === b[0] && a[1] === b[1]) || (a[0] === b[1] && a[1] === b[0]);
}

function inOrder([a, b]: [Role, Role]): [Role, Role] {
  return allRoles.indexOf(a) < allRoles.indexOf(b) ? [a, b] : [b, a];
}

/** What a role is called in this team. */
export function roleName(team: Pick<Team, "roles">, number: Role): string {
  if (typeof number !== "number") return number satisfies BuiltInRole;
  return team.roles.find(({ role: own }) => own === number)?.name ?? `role ${number}`;
}

// ------------------------------------------------------------------ faults

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.map(String).join(".");
  const about = path === "" ? "the text" : path;
  if (issue.code === "unrecognized_keys") {
    return `${issue.keys.map(shown).join(", ")} is unknown in ${about}: take it out, or write it as "note".`;
  }
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid"))
    return `${about} is missing or no such value.`;
  return `${about} ${issue.message}.`;
}

function fail(path: string, line: number, message: string): never {
  const faults: FaultList = newFaultList("TEAM_INVALID", path);
  faults.add(line, message);
  faults.throwIfAny();
  throw new RangeError("Not reached: the file has a fault.");
}

function shown(value: string): string {
  return JSON.stringify(value.length > 140 ? `${value.slice(0, 140)}…` : value);
}
