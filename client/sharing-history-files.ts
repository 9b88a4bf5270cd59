import { z } from "zod";

import { FOREVER } from "./arguments.js";
import { allPermissions, allRoles, type Role } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { endReasons, historyKinds, openHistory, type HistoryEntry, type HistoryOptions } from "./sharing-history.js";
import { writeNewFile } from "./text-files.js";

const FORMAT = "touchstone-sharing-history";
const VERSION = 1;

// ------------------------------------------------------------------ JSON

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, "is no address");
const hash = z.string().regex(/^0x[0-9a-f]{64}$/, "is no hash");
const number = z.int().nonnegative();
/** Years beyond 9999 have six digits and a sign in ISO 8601. */
const moment = z.string().regex(/^(\d{4}|\+\d{6})-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "is no time in UTC");
const end = z.union([moment, z.literal("forever")]);
const permissions = z.array(z.enum(allPermissions));
const purposes = z.array(z.custom<Purpose>((value) => allPurposes.includes(value as Purpose), "is no purpose"));
const roles = z.array(z.custom<Role>((value) => allRoles.includes(value as Role), "is no role"));

const entryInFile = z.strictObject({
  kind: z.enum(historyKinds).describe("What happened"),
  time: moment.describe("When: the time of the block, or the end of a grant that expired"),
  block: number.optional().describe("Number of the block; none if no transaction did it"),
  logIndex: number.optional().describe("Number of the event in the block"),
  transaction: hash.optional(),
  device: address.optional(),
  fleet: address.optional(),
  subject: address.optional().describe("Whom it was given to or taken from, or who asked for it"),
  by: address.optional().describe("Whose transaction or signature it was"),
  owner: address.optional().describe("The owner or governor before it; of policies and status the present owner"),
  newOwner: address.optional().describe("The owner or governor after it"),
  permissions: permissions
    .optional()
    .describe("What a grant or request covers, a policy allows at most, or roles permit"),
  purposes: purposes.optional().describe("Terms of the W3C Data Privacy Vocabulary, or numbers 24 to 31"),
  publicRead: permissions.optional().describe("What a policy makes public"),
  roles: roles.optional().describe("Names of built-in roles, numbers of the fleet's own"),
  notBefore: moment.optional().describe("First moment it holds"),
  expiry: end.optional().describe("First moment it no longer holds"),
  terms: hash.optional().describe("Hash of the agreement; zeros for none"),
  epoch: number.optional().describe("The device's epoch, or the fleet's role epoch, from then on"),
  seq: number.optional().describe("Number of the grant's change; where it ended, that under which it was given"),
  why: z.enum(endReasons).optional().describe("Why a grant ended"),
  endedSeq: number.optional().describe("Number of the grant that was revoked or replaced"),
  members: z
    .array(z.strictObject({ account: address, roles, permissions, notBefore: moment, expiry: end }))
    .optional()
    .describe("The new owner's members who may see or do something with the device from then on"),
});

/** The file of a sharing history. Times are ISO 8601 in UTC; what an entry's kind does not have is left out. */
export const sharingHistoryFile = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  about: z
    .union([z.strictObject({ device: address }), z.strictObject({ subject: address })])
    .describe("The device or the account whose history it is"),
  chainId: number,
  contracts: z.strictObject({ RoleRegistry: address, DeviceRegistry: address, DataAccess: address }),
  block: z.strictObject({ number, hash, time: moment }).describe("The block in which the history ends"),
  entries: z.array(entryInFile).describe("In the order in which it happened"),
});
export type SharingHistoryFile = z.output<typeof sharingHistoryFile>;

/**
 * Reads the text of a sharing history that was exported as JSON.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is none; the message names the place.
 */
export function parseHistory(text: string): SharingHistoryFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TouchstoneError("INVALID_ARGUMENT", "The history is not JSON: export it again.", { cause });
  }
  const parsed = sharingHistoryFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join(".") ?? "";
  throw new TouchstoneError("INVALID_ARGUMENT", `This is no sharing history: ${path} ${issue?.message ?? ""}.`, {
    details: { path },
    cause: parsed.error,
  });
}

// ------------------------------------------------------------------ exporting

export const historyFormats = ["json", "csv"] as const;
export type HistoryFormat = (typeof historyFormats)[number];

/**
 * The whole sharing history of a device or an account as text, piece by piece: JSON for programs, as `sharingHistoryFile` says,
 * or CSV for people and spreadsheets (RFC 4180). This is what a person is given who asks for it (GDPR, articles 15 and 20).
 *
 * @throws TouchstoneError as history.
 */
export async function* exportHistory(
  options: HistoryOptions & { format: HistoryFormat },
): AsyncGenerator<string, void, undefined> {
  const { about, block, entries } = await openHistory(options);
  if (options.format === "csv") {
    yield rowOf(CSV_COLUMNS);
    for await (const entry of entries) yield csvRowOf(entry);
    return;
  }
  const { chainId, addresses } = options.touchstone;
  const { RoleRegistry, DeviceRegistry, DataAccess } = addresses;
  const head: Omit<SharingHistoryFile, "entries"> = {
    format: FORMAT,
    version: VERSION,
    about,
    chainId: Number(chainId),
    contracts: { RoleRegistry, DeviceRegistry, DataAccess },
    block: { number: block.number, hash: block.hash, time: isoOf(block.timestamp) },
  };
  yield `${JSON.stringify(head).slice(0, -1)},"entries":[`;
  let separator = "\n";
  for await (const entry of entries) {
    yield separator + JSON.stringify(inFile(entry));
    separator = ",\n";
  }
  yield "\n]}\n";
}

/**
 * Writes the same to a new file, readable by its owner alone: of it there is all or nothing.
 *
 * @throws TouchstoneError as exportHistory; FILE_EXISTS, FILE_UNWRITABLE, CANCELLED.
 */
export async function writeHistory(options: HistoryOptions & { format: HistoryFormat; path: string }): Promise<void> {
  const { path, signal } = options;
  await writeNewFile({ path, content: exportHistory(options), isPrivate: true, signal });
}

type EntryInFile = SharingHistoryFile["entries"][number];

function inFile(entry: HistoryEntry): EntryInFile {
  const { time, cursor, transactionHash, notBefore, expiry, termsHash, epoch, seq, endedSeq, members } = entry;
  const { kind, device, fleet, subject, by, owner, newOwner, permissions, purposes, publicRead, roles, why } = entry;
  const fields: { [K in keyof EntryInFile]: EntryInFile[K] | undefined } = {
    ...{ kind, device, fleet, subject, by, owner, newOwner, permissions, purposes, publicRead, roles, why },
    time: isoOf(time),
    block: cursor?.block,
    logIndex: cursor?.logIndex,
    transaction: transactionHash,
    notBefore: notBefore === undefined ? undefined : isoOf(notBefore),
    expiry: expiry === undefined ? undefined : endOf(expiry),
    terms: termsHash,
    epoch: epoch === undefined ? undefined : Number(epoch),
    seq: seq === undefined ? undefined : Number(seq),
    endedSeq: endedSeq === undefined ? undefined : Number(endedSeq),
    members: members?.map(({ account, roles, permissions, notBefore, expiry }) => {
      return { account, roles, permissions, notBefore: isoOf(notBefore), expiry: endOf(expiry) };
    }),
  };
  // What is undefined is left out of JSON.
  return fields as EntryInFile;
}

function isoOf(seconds: bigint): string {
  return new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
}

function endOf(seconds: bigint): string {
  return seconds === FOREVER ? "forever" : isoOf(seconds);
}

// ------------------------------------------------------------------ CSV

/** Members last, as they are many. */
const CSV_COLUMNS = [
  "time",
  "kind",
  "device",
  "fleet",
  "subject",
  "by",
  "permissions",
  "purposes",
  "roles",
  "notBefore",
  "expiry",
  "why",
  "terms",
  "owner",
  "newOwner",
  "publicRead",
  "epoch",
  "seq",
  "endedSeq",
  "block",
  "logIndex",
  "transaction",
  "members",
] as const satisfies readonly (keyof EntryInFile)[];

function csvRowOf(entry: HistoryEntry): string {
  const fields = inFile(entry);
  return rowOf(
    CSV_COLUMNS.map((column) => {
      if (column !== "members") return textOf(fields[column]);
      return (fields.members ?? [])
        .map(({ account, roles, permissions, notBefore, expiry }) =>
          [account, textOf(roles), textOf(permissions), notBefore, expiry].join(" / "),
        )
        .join("; ");
    }),
  );
}

function textOf(value: string | number | readonly (string | number)[] | undefined): string {
  if (value === undefined) return "";
  return typeof value === "object" ? value.join(" ") : String(value);
}

function rowOf(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}

/**
 * A cell that is text to every spreadsheet: what one of them could take for a formula gets an apostrophe before it, also behind
 * blanks, which some leave out.
 */
export function csvCell(text: string): string {
  const harmless = /^[\s\p{Cf}]*[=+\-@|%＝＋－＠]|^[\t\r\n]/u.test(text) ? `'${text}` : text;
  return /[",;\r\n\t']/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
