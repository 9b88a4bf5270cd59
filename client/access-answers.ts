import { FOREVER } from "./arguments.js";
import { timeOf } from "./audit-findings.js";
import type { AccessReason, Permission } from "./enumerations.js";
import type { Grant } from "./grants.js";
import type { Purpose } from "./purposes.js";

/** What the chain answers, or a gateway that keeps a mirror of it: then also that it knows too little to allow anything. */
export type AnswerReason = AccessReason | "Unconfirmed" | "Stale";

/** An answer in words, for the person who asked. */
export interface Answer {
  /** What is so: one sentence. */
  sentence: string;
  /** What to do next: one sentence; empty where there is nothing to be done. */
  advice: string;
}

interface Asked {
  device: string;
  account: string;
  permissions: readonly Permission[];
  purpose: Purpose;
}

/**
 * Says in words why a question about access was answered as it was, and what to do next.
 *
 * @param options.explanation As `explain` gave it, or a mirror.
 * @param options.question What was asked.
 * @param options.grant The account's grant, as `grantOf` gives it: then times and what it covers are told too.
 */
export function explainToPeople(options: {
  explanation: { reason: AnswerReason };
  question: Asked;
  grant?: Grant;
}): Answer {
  return sentences[options.explanation.reason](options.question, options.grant);
}

/** A time of the chain for people; FOREVER is "for ever". */
export function momentOf(seconds: bigint): string {
  return seconds === FOREVER ? "for ever" : timeOf(seconds * 1000n).replace(".000Z", "Z");
}

/** "ReadLive and Command"; "nothing" of nothing. */
export function wordsOf(names: readonly unknown[]): string {
  const words = names.map((name) => (typeof name === "number" ? `purpose ${name}` : String(name)));
  if (words.length < 2) return words[0] ?? "nothing";
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1) ?? ""}`;
}

const sentences: Record<AnswerReason, (asked: Asked, grant: Grant | undefined) => Answer> = {
  Owner: ({ device, account }) => ({
    sentence: `${account} may do this: it governs the owner of the device ${device}.`,
    advice: "",
  }),
  Grant: ({ account, purpose }, grant) => ({
    sentence: `${account} may do this for ${wordsOf([purpose])}, by a grant${untilOf(grant)}.`,
    advice: "",
  }),
  Public: ({ device, purpose }) => ({
    sentence: `Everyone may read this of the device ${device} for ${wordsOf([purpose])}: its owner made it public.`,
    advice: "",
  }),
  Role: ({ device, account }) => ({
    sentence: `${account} may do this by a role in the fleet that owns the device ${device}.`,
    advice: "",
  }),
  QuestionInvalid: ({ permissions, purpose }) => ({
    sentence: `${wordsOf(permissions)} for ${wordsOf([purpose])} cannot be asked about.`,
    advice: "Ask for at least one permission that exists, and for one purpose from 0 to 31.",
  }),
  DeviceUnknown: ({ device }) => ({
    sentence: `There is no device ${device}.`,
    advice: "Correct the id, or have the device enrolled.",
  }),
  DeviceSuspended: ({ device, permissions }) => ({
    sentence: `The device ${device} is suspended: nobody but its owner and members may read it, and only the owner commands it.`,
    advice: `Ask the owner to resume it; then ask for ${wordsOf(permissions)} again.`,
  }),
  DeviceRetired: ({ device }) => ({
    sentence: `The device ${device} is retired, for good: its last owner and the owner's members may read, nobody else anything.`,
    advice: "Ask its last owner for what was kept of it.",
  }),
  NoGrant: ({ account, permissions }) => ({
    sentence: `${account} was never given anything on this device, and what everyone has does not suffice.`,
    advice: `Request ${wordsOf(permissions)} of the owner, or sign in with the account that was given it.`,
  }),
  Revoked: ({ account }) => ({
    sentence: `The grant of ${account} was revoked, or ${account} gave it up.`,
    advice: "Ask the owner for a new one.",
  }),
  EpochEnded: ({ account }) => ({
    sentence: `The grant of ${account} ended when the device changed hands or its owner ended all grants at once.`,
    advice: "Ask the present owner for a new one.",
  }),
  NotYetValid: ({ account }, grant) => ({
    sentence: `The grant of ${account} does not hold yet${grant === undefined ? "" : `: it begins at ${momentOf(grant.notBefore)}`}.`,
    advice: "Wait until then, or ask the owner for one that begins earlier.",
  }),
  Expired: ({ account }, grant) => ({
    sentence: `The grant of ${account} ended${grant === undefined ? " by itself" : ` at ${momentOf(grant.expiry)}`}.`,
    advice: "Ask the owner for a new one.",
  }),
  PermissionNotGranted: ({ account, permissions }, grant) => ({
    sentence: `The grant of ${account} covers ${grant === undefined ? "something else" : wordsOf(grant.permissions)}, and not all of ${wordsOf(permissions)}.`,
    advice: "Ask for less, or ask the owner to grant the rest too.",
  }),
  PurposeNotGranted: ({ account, purpose }, grant) => ({
    sentence: `The grant of ${account} is for ${grant === undefined ? "something else" : wordsOf(grant.purposes)}, and not for ${wordsOf([purpose])}.`,
    advice: "Use the data for what it was granted for, or ask the owner to grant this purpose too.",
  }),
  OwnerPolicy: ({ permissions, purpose }) => ({
    sentence: `The owner's policy of this device lets nobody outside have ${wordsOf(permissions)} for ${wordsOf([purpose])}, whatever was granted.`,
    advice: "Ask the owner to widen it.",
  }),
  DevicePolicy: ({ permissions, purpose }) => ({
    sentence: `The device itself lets nobody outside have ${wordsOf(permissions)} for ${wordsOf([purpose])}, whatever was granted.`,
    advice: "No owner can widen this: only a policy that the device signs.",
  }),
  Unconfirmed: ({ account }) => ({
    sentence: `${account} was given this so shortly ago that it may still be undone.`,
    advice: "Ask again in some blocks.",
  }),
  Stale: () => ({
    sentence: "The mirror of the chain is not up to date, so it allows nothing.",
    advice: "Ask again when its node answers, or ask the chain.",
  }),
};

function untilOf(grant: Grant | undefined): string {
  if (grant === undefined) return "";
  return grant.expiry === FOREVER ? " that does not end by itself" : ` that ends at ${momentOf(grant.expiry)}`;
}
