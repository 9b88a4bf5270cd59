import type { Touchstone } from "../../client/connect.js";
import { FOREVER } from "../../client/arguments.js";
import { allPermissions, type GrantablePermission, type Permission } from "../../client/enumerations.js";
import { TouchstoneError } from "../../client/errors.js";
import { allPurposes, type Purpose } from "../../client/purposes.js";
import { chainTime } from "../../client/transactions.js";
import { requireOption } from "./outcome.js";

/** What is granted or asked for, as it was given on the command line. */
export interface TermsArguments {
  permissions: string | undefined;
  purposes: string | undefined;
  notBefore: string | undefined;
  expiry: string | undefined;
  termsHash: string | undefined;
}

/**
 * What is granted or asked for.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export async function termsOf(
  touchstone: Touchstone,
  args: TermsArguments,
): Promise<{
  permissions: GrantablePermission[];
  purposes: Purpose[];
  notBefore?: bigint;
  expiry: bigint;
  termsHash?: string;
}> {
  const { notBefore, termsHash } = args;
  const permissions = parsePermissions(requireOption("permissions", args.permissions));
  const purposes = parsePurposes(requireOption("purposes", args.purposes));
  const expiry = requireOption("expiry", args.expiry);
  const now = await chainTime(touchstone);
  return {
    // The contract says which of them cannot be granted, and why.
    permissions: permissions as GrantablePermission[],
    purposes,
    expiry: parseTime("expiry", expiry, now),
    ...(notBefore !== undefined && { notBefore: parseTime("not-before", notBefore, now) }),
    ...(termsHash !== undefined && { termsHash }),
  };
}

/** Permissions by their names, with commas between them. */
export function parsePermissions(text: string): Permission[] {
  return itemsOf(text).map((name) => {
    const permission = allPermissions.find((each) => each === name);
    if (permission !== undefined) return permission;
    throw invalid("permissions", name, `is none: give of ${allPermissions.join(", ")}`);
  });
}

/** Purposes by their terms in DPV or their numbers from 24 to 31, with commas between them. */
export function parsePurposes(text: string, name = "purposes"): Purpose[] {
  return itemsOf(text).map((item) => {
    const purpose = allPurposes.find((each) => String(each) === item.replace(/^dpv:/, ""));
    if (purpose !== undefined) return purpose;
    const terms = allPurposes.filter((each) => typeof each === "string").join(", ");
    throw invalid(name, item, `is no purpose: give of ${terms}, or the number of one of your own, 24 to 31`);
  });
}

const SECONDS: Readonly<Record<string, bigint>> = { s: 1n, min: 60n, h: 3_600n, d: 86_400n };

/**
 * A time in Unix seconds: a date or time of ISO 8601, or how long from now, or for ever.
 *
 * @param now Unix seconds of the chain.
 */
export function parseTime(name: string, text: string, now: bigint): bigint {
  if (text === "forever") return FOREVER;
  const [, amount = "", unit = ""] = /^(\d{1,9})([a-z]+)$/.exec(text) ?? [];
  const seconds = SECONDS[unit];
  if (seconds !== undefined) return now + BigInt(amount) * seconds;
  // A time without its zone would be another one on each machine.
  const isPlain = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const milliseconds = isPlain ? Date.parse(text) : Number.NaN;
  // Dates such as the 31st of June become another day.
  const isDate =
    !Number.isNaN(milliseconds) && new Date(`${text.slice(0, 10)}T00:00Z`).toISOString().startsWith(text.slice(0, 10));
  if (isDate && milliseconds >= 0) return BigInt(milliseconds) / 1000n;
  throw invalid(name, text, "is no time: give one as in 2027-01-31, 2027-01-31T18:00Z, 30d, 12h or forever");
}

/** All of it as JSON: numbers of the chain do not fit those of JSON, so they are text. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? each.toString() : each), 2);
}

function itemsOf(text: string): string[] {
  return text.split(",").map((item) => item.trim());
}

function invalid(name: string, value: string, advice: string): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", `--${name}: "${value}" ${advice}.`, { details: { [name]: value } });
}
