import type { AnchorKind } from "./enumerations.js";

/** What an audit of a log can find, and the figures that say it. */
export interface FindingFigures {
  // ------------------------------------------------------------------ the node: what it shows is not what the chain has

  /** Anchors of the log are not among the events that the node gave, from this index on. */
  EventsIncomplete: { firstIndex: bigint; count: bigint };
  /** The node gave an event that the contract cannot have made: it would have refused with the error that is the rule. */
  EventsInvalid: { rule: AnchorRule; expected: string; given: string; block: number };
  /** The anchors that the node gave do not hash to the root that the log has. */
  RootMismatch: { expected: string; rebuilt: string };
  /** The anchors that the node gave do not lead to where the log ends. */
  HeadMismatch: { field: "nextSeq" | "lastMeasured" | "lastAnchored"; expected: bigint; rebuilt: bigint };
  /** Another node has something else at the same block. */
  ProvidersDisagree: {
    /** Which of the witnesses, from 0. */
    witness: number;
    field: "hash" | "root" | "head";
    expected: string;
    given: string;
  };

  // ------------------------------------------------------------------ the log: what its author says

  /** The log had no anchor: nobody wrote it, or another one is meant. */
  Empty: { logId: string; block: number };
  /** Readings were declared lost. */
  Gap: {
    firstSeq: bigint;
    count: bigint;
    /** How many of them a correction has brought back. */
    recovered: bigint;
    /** Unix milliseconds between which they were measured. */
    tFirst: bigint;
    tLast: bigint;
  };
  /** Readings were replaced by others, or by the same ones hashed anew. */
  Corrected: { firstSeq: bigint; count: bigint; supersedes: bigint };
  /** A correction replaces what another has replaced, without naming that one: which of them holds? */
  Overlap: { firstSeq: bigint; count: bigint; otherIndex: bigint };
  /** A correction replaces readings that the anchor it names does not have. */
  Misdirected: { firstSeq: bigint; count: bigint; supersedes: bigint };
  /** The device signed two different anchors for one place in the log. No root covers this event: ask several nodes. */
  Conflicting: { key: string; firstDigest: string; secondDigest: string };
  /**
   * Another key or account appended than before; in a fleet's log, where members take turns, one that never did. `rotatedIn` is the
   * block in which the device was given the key; where there is none in a device's log, the node withholds it, and that is an
   * error.
   */
  AuthorChanged: { from: string; to: string; rotatedIn: number | undefined };

  // ------------------------------------------------------------------ time: what the auditor expects

  /** The measurements ended longer before their block than allowed. Milliseconds, and the allowed seconds. */
  Late: { milliseconds: bigint; latestAfter: bigint };
  /** Nothing continued the log for longer than allowed. Unix seconds, and seconds. */
  Silent: { from: bigint; to: bigint; seconds: bigint; longestSilence: bigint };
  /** Nothing was measured for longer than allowed, though no reading is missing. Unix milliseconds, and milliseconds. */
  Paused: { from: bigint; to: bigint; milliseconds: bigint; longestPause: bigint };
  /** The measurements end further ahead of their block than allowed: the clock is wrong. Milliseconds. */
  Future: { milliseconds: bigint; longestAhead: bigint };
  /** Nothing shows that the anchor was not made long before: it names no recent block, or one too old to check. */
  Unfresh: { freshState: "None" | "TooOld"; freshBlock: bigint };

  // ------------------------------------------------------------------ the archive: what the auditor was handed

  /** The archive does not have the readings of the anchor. */
  Missing: { kind: AnchorKind; firstSeq: bigint; count: bigint; root: string };
  /**
   * The readings in the archive are not those that were anchored. Place: they are not as many, or begin elsewhere; Payload: that of
   * the reading `seq`, and maybe of some after it, is not the one it commits to; Root: their times or commitments.
   */
  Altered: { reason: "Place" | "Payload" | "Root"; firstSeq: bigint; count: bigint; seq: bigint | undefined };
  /** The readings are those that were anchored, but not of the times that the anchor says. Unix milliseconds. */
  Misdated: { tFirst: bigint; tLast: bigint; measuredFirst: bigint; measuredLast: bigint };
  /** The archive has readings that were never anchored. */
  Unanchored: { firstSeq: bigint; count: bigint; root: string };
}

export type FindingCode = keyof FindingFigures;

/** The rules that an anchor keeps, by the names of the contract's errors; TimestampInvalid is of the time of its block. */
export type AnchorRule =
  | "AnchorMalformed"
  | "IndexMismatch"
  | "SequenceMismatch"
  | "CountInvalid"
  | "TimeRegressed"
  | "TimeInFuture"
  | "RootInvalid"
  | "KindNotAllowed"
  | "SupersedesInvalid"
  | "CorrectionOutOfRange"
  | "FreshBlockInvalid"
  | "TimestampInvalid";

/** An error means that the log does not show what it should; a warning is what its author has declared, to be looked at. */
export type Severity = "error" | "warning";

/** What an audit found; `code` says which figures there are. */
export type Finding = {
  [C in FindingCode]: {
    code: C;
    severity: Severity;
    /** Index of the anchor that shows it; undefined where none does. */
    index: bigint | undefined;
    figures: FindingFigures[C];
    /** The same for people, as one sentence. */
    message: string;
  };
}[FindingCode];

/** Of what a node shows: with any of these, nothing else that was found is proven. */
export const EVIDENCE_CODES: readonly FindingCode[] = [
  "EventsIncomplete",
  "EventsInvalid",
  "RootMismatch",
  "HeadMismatch",
  "ProvidersDisagree",
];

/** What the author of a log has declared himself. */
const DECLARED: readonly FindingCode[] = ["Gap", "Corrected", "AuthorChanged"];

/** Makes a finding; an error unless its author declared it, or as told. */
export function findingOf<C extends FindingCode>(
  code: C,
  index: bigint | undefined,
  figures: FindingFigures[C],
  severity: Severity = DECLARED.includes(code) ? "warning" : "error",
): Finding {
  // The compiler cannot tell that the figures are those of the code.
  return { code, severity, index, figures, message: sentences[code](figures, index, severity) } as Finding;
}

const sentences: {
  [C in FindingCode]: (figures: FindingFigures[C], index: bigint | undefined, severity: Severity) => string;
} = {
  EventsIncomplete: ({ firstIndex, count }) =>
    `The node withholds ${count === 1n ? `anchor ${firstIndex}` : `${count} anchors from ${firstIndex} on`}: ask another node.`,
  EventsInvalid: ({ rule, expected, given, block }, index) =>
    `The event of anchor ${index} in block ${block} is made up (${rule}: expected ${expected}, not ${given}): ask another node.`,
  RootMismatch: ({ expected, rebuilt }) =>
    `The anchors that the node shows hash to ${rebuilt}, but the log's root is ${expected}: some are withheld, altered or ` +
    "made up. Ask another node.",
  HeadMismatch: ({ field, expected, rebuilt }) =>
    `The anchors that the node shows lead to ${field} ${rebuilt}, but the log has ${expected}: ask another node.`,
  ProvidersDisagree: ({ witness, field, expected, given }) =>
    `Node ${witness + 1} of the witnesses has ${given} as ${field} where the audited node has ${expected}: one of them is ` +
    "on another chain, or wrong.",
  Empty: ({ logId, block }) =>
    `Nobody had written the log ${logId} by block ${block}: check its id, its stream and the chain.`,
  Gap: ({ recovered, tFirst, tLast, ...range }) =>
    `${capitalised(readingsOf(range))}, measured from ${timeOf(tFirst)} to ${timeOf(tLast)}, ${was(range)} declared lost` +
    (recovered === 0n ? "." : `; ${recovered === range.count ? "all" : recovered} of them came back in corrections.`),
  Corrected: ({ supersedes, ...range }, index) =>
    `Anchor ${index} corrects ${readingsOf(range)} of anchor ${supersedes}.`,
  Overlap: ({ otherIndex, ...range }, index) =>
    `Anchor ${index} corrects ${readingsOf(range)} as anchor ${otherIndex} does, without naming that one: which holds is not said.`,
  Misdirected: ({ supersedes, ...range }, index) =>
    `Anchor ${index} says that it corrects anchor ${supersedes}, which does not have ${readingsOf(range)}.`,
  Conflicting: ({ key, firstDigest, secondDigest }, index) =>
    `The key ${key} signed two different anchors with index ${index}: ${firstDigest} and ${secondDigest}.`,
  AuthorChanged: ({ from, to, rotatedIn }, index, severity) =>
    `Anchor ${index} was made by ${to}, those before it by ${from}` +
    (rotatedIn !== undefined
      ? `: the key was put in place in block ${rotatedIn}.`
      : severity === "error"
        ? ": the node withholds how the device came by this key. Ask another node."
        : "."),
  Late: ({ milliseconds, latestAfter }, index) =>
    `Anchor ${index} came ${durationOf(milliseconds / 1000n)} after its last measurement: ${durationOf(latestAfter)} are allowed.`,
  Silent: ({ from, to, seconds, longestSilence }, index) =>
    `Nothing continued the log from ${timeOf(from * 1000n)} to ${timeOf(to * 1000n)}` +
    `${index === undefined ? ", where the audit ends" : ""}: ${durationOf(seconds)}, where ` +
    `${durationOf(longestSilence)} are allowed.`,
  Paused: ({ from, to, milliseconds, longestPause }) =>
    `Nothing was measured from ${timeOf(from)} to ${timeOf(to)}: ${durationOf(milliseconds / 1000n)}, where ` +
    `${durationOf(longestPause / 1000n)} are allowed.`,
  Future: ({ milliseconds, longestAhead }, index) =>
    `Anchor ${index} has measurements from ${milliseconds} ms after its block: ${longestAhead} ms are allowed.`,
  Unfresh: ({ freshState, freshBlock }, index) =>
    `Anchor ${index} may have been made long before its block: ` +
    (freshState === "None"
      ? "it names no recent block."
      : `the block ${freshBlock} that it names was too old to check.`),
  Missing: ({ kind, root, ...range }, index) =>
    `The archive lacks ${readingsOf(range)}: anchor ${index}, ${kind}, has their root ${root}.`,
  Altered: ({ reason, seq, ...range }, index) =>
    reason === "Place"
      ? `The archive has other readings for anchor ${index} than ${readingsOf(range)}.`
      : reason === "Payload"
        ? `The payload of reading ${seq} in the archive is not what was anchored in ${index}.`
        : `The archive's ${readingsOf(range)} have other times or commitments than those anchored in ${index}.`,
  Misdated: ({ tFirst, tLast, measuredFirst, measuredLast }, index) =>
    `Anchor ${index} says that it was measured from ${timeOf(tFirst)} to ${timeOf(tLast)}, but its readings say from ` +
    `${timeOf(measuredFirst)} to ${timeOf(measuredLast)}.`,
  Unanchored: ({ root, ...range }) =>
    `The archive has ${readingsOf(range)} with root ${root}, which were never anchored.`,
};

// ------------------------------------------------------------------ words

interface Range {
  firstSeq: bigint;
  count: bigint;
}

/** "reading 4", "readings 4 to 9". */
export function readingsOf({ firstSeq, count }: Range): string {
  return count === 1n ? `reading ${firstSeq}` : `readings ${firstSeq} to ${firstSeq + count - 1n}`;
}

/** A time in Unix milliseconds, as ISO 8601. */
export function timeOf(milliseconds: bigint): string {
  // What a node makes up may be beyond what a date can say.
  return milliseconds > 8_640_000_000_000_000n ? `${milliseconds} ms` : new Date(Number(milliseconds)).toISOString();
}

/** Seconds in the two largest units: "2 h 5 min". */
export function durationOf(seconds: bigint): string {
  const units = [
    [seconds / 86_400n, "d"],
    [(seconds / 3600n) % 24n, "h"],
    [(seconds / 60n) % 60n, "min"],
    [seconds % 60n, "s"],
  ] as const;
  const first = units.findIndex(([amount]) => amount > 0n);
  if (first === -1) return "0 s";
  return units
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0n)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

function was({ count }: Range): string {
  return count === 1n ? "was" : "were";
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
