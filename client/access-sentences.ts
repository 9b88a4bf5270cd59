import { FOREVER, requireAddress, requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import { allPermissions, grantablePermissions, maskOf, namesIn, type GrantablePermission } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { requireGrantable, type GrantTerms } from "./grant-terms.js";
import { allPurposes, purposeLabel, type Purpose } from "./purposes.js";
import type { DataGrant } from "./signed-messages.js";

/** What the sentence speaks of: a grant that is to be given, one that is to be signed, or what somebody asks for. */
export type Sayable =
  | DataGrant
  | (GrantTerms & {
      device: string;
      subject: string;
      /** Set in what readRequests gives, which asks and does not allow. */
      requestedAt?: unknown;
    });

/** What each permission allows, to stand behind "may". */
const deeds: Record<GrantablePermission, string> = {
  ReadLive: "read live measurements",
  ReadHistory: "read past measurements",
  ReadLocation: "see its location",
  ReadMetadata: "read its description",
  Command: "send it commands",
  Configure: "change its settings",
  Audit: "read its audit records",
};

/**
 * The sentence that a person reads before it signs or sends: who may do what with which device, for what, from when until when,
 * under which terms. The same input gives the same sentence, and all that is allowed is in it: bits that mean nothing are
 * refused, not left out.
 *
 * Names only stand beside ids, in quotes and without anything that could move, hide or continue the text; they come from
 * whoever gives them, and the ids are what counts.
 *
 * @param options.names What the reader calls ids, by id.
 * @throws TouchstoneError INVALID_ARGUMENT for what nobody can grant.
 */
export function sentenceOf(said: Sayable, options: { names?: Readonly<Record<string, string>> } = {}): string {
  const nameOf = namer(options.names ?? {});
  const isMessage = "grantor" in said;
  const device = requireAddress("device", said.device);
  const subject = requireAddress("subject", said.subject);
  const notBefore = requireUint("notBefore", said.notBefore ?? 0n, 40);
  const expiry = requireUint("expiry", said.expiry, 40);
  const termsHash = requireHex("termsHash", said.termsHash ?? ZERO_HASH, 32).toLowerCase();
  const permissions = isMessage
    ? requireUint("permissions", said.permissions, 32)
    : maskOf(allPermissions, said.permissions);
  const purposes = isMessage ? requireUint("purposes", said.purposes, 32) : maskOf(allPurposes, said.purposes);
  requireGrantable({ permissions, purposes, notBefore, expiry });
  const hasTerms = termsHash !== ZERO_HASH;

  const who = isMessage
    ? `${nameOf(requireAddress("grantor", said.grantor))} allows ${nameOf(subject)} to`
    : said.requestedAt === undefined
      ? `${nameOf(subject)} may`
      : `${nameOf(subject)} asks to be allowed to`;
  const what = listed(namesIn(grantablePermissions, permissions).map((permission) => deeds[permission]));
  const why = purposesIn(namesIn(allPurposes, purposes), hasTerms);
  const when = `${notBefore === 0n ? "from now on" : `from ${time(notBefore)}`} until ${end(expiry)}`;
  const terms = hasTerms ? `under the terms with the hash ${termsHash}` : "under no written terms";
  const use = isMessage ? ` The signature can be used until ${time(requireUint("deadline", said.deadline, 40))}.` : "";
  return `On the device ${nameOf(device)}, ${who} ${what}, for ${why}, ${when}, ${terms}.${use}`;
}

// ------------------------------------------------------------------ parts

/** "a", "a and b", "a, b and c". */
function listed(parts: readonly string[]): string {
  const last = parts.at(-1) ?? "";
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(", ")} and ${last}`;
}

/** Terms of DPV first, then the purposes that only the agreement says something of. */
function purposesIn(purposes: readonly Purpose[], hasTerms: boolean): string {
  const known = purposes.filter((purpose) => typeof purpose === "string").map(purposeLabel);
  const own = purposes.filter((purpose) => typeof purpose === "number");
  if (own.length === 0) return listed(known);
  const numbered = `${own.length === 1 ? "purpose" : "purposes"} ${listed(own.map(String))}`;
  const meaning = hasTerms ? "agreed in the terms" : "of which no terms say what they are";
  return known.length === 0 ? `${numbered}, ${meaning}` : `${listed(known)}, and for ${numbered}, ${meaning}`;
}

function end(expiry: bigint): string {
  return expiry === FOREVER
    ? "it is revoked or the device is sold"
    : `${time(expiry)} (sooner if it is revoked or the device is sold)`;
}

/** Years can have more than four digits: what the contracts express ends in the year 36812. */
function time(seconds: bigint): string {
  const [date = "", clock = ""] = new Date(Number(seconds) * 1_000).toISOString().split("T");
  return `${date.replace(/^\+0*/, "")} ${clock.slice(0, 8)} UTC`;
}

// ------------------------------------------------------------------ names

/** Longer names are cut: they could push what counts out of sight. */
const LONGEST_NAME = 48;

/** What a name may be made of. All that is invisible, breaks the line, quotes or turns the direction is not among it. */
const PLAIN = /^[\p{L}\p{N}\p{M} .,&+'()/_@#-]$/u;
const INVISIBLE = /^\p{Default_Ignorable_Code_Point}$/u;
const MARK = /^\p{M}$/u;
/** What a mark can stand on: over a blank, some look like quotes. */
const MARKED = /^[\p{L}\p{N}\p{M}]$/u;
/** Letters that look like a quote, which would seem to end the name: U+02BA, U+02EE. */
const QUOTE_LIKE = /^[\u02ba\u02ee]$/u;
/** What is written from right to left turns the signs around it, too, unless it is isolated. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

function namer(names: Readonly<Record<string, string>>): (id: string) => string {
  const byId = new Map<string, string>();
  for (const [id, name] of Object.entries(names)) {
    if (typeof name !== "string") {
      throw new TouchstoneError("INVALID_ARGUMENT", `names: the name of ${id} is no text: give text.`, {
        details: { argument: "names", id },
      });
    }
    byId.set(requireAddress("names", id), name);
  }
  return (id) => {
    const name = plain(byId.get(id) ?? "");
    return name === "" ? id : `${id} (called "${name}")`;
  };
}

function plain(name: string): string {
  const characters = Array.from(name.normalize("NFC").trim());
  let text = "";
  for (const [place, character] of characters.entries()) {
    const isPlain = PLAIN.test(character) && !INVISIBLE.test(character) && !QUOTE_LIKE.test(character);
    // Marks pile up, and could cover other lines.
    const before = characters.slice(Math.max(0, place - 2), place);
    const isPiled =
      MARK.test(character) &&
      (!MARKED.test(before.at(-1) ?? "") || (before.length === 2 && before.every((each) => MARK.test(each))));
    const next = isPlain && !isPiled ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
    if (text.length + next.length > LONGEST_NAME) {
      text += "…";
      break;
    }
    text += next;
  }
  // A name that looks like an id could be taken for one.
  text = text.replaceAll(/0(?=x)/gi, "\\u{30}");
  return RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text;
}
