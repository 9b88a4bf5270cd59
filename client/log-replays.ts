import { getBytes, hexlify } from "ethers";

import { ZERO_HASH } from "./arguments.js";
import {
  anchorLeaf,
  CLOCK_TOLERANCE,
  isFleetLog,
  MAX_COUNT,
  recordOf,
  type AnchorRecord,
  type Head,
} from "./anchors.js";
import { findingOf, type AnchorRule, type Finding, type FindingCode, type FindingFigures } from "./audit-findings.js";
import type { BlockPlace } from "./blocks.js";
import { TouchstoneError } from "./errors.js";
import type { TouchstoneEventNamed } from "./events.js";
import { createTreeHasher } from "./merkle.js";
import { createSegments } from "./segments.js";

/** What the auditor of a log expects; what is left out is not checked. */
export interface Expectations {
  /** Seconds that may pass without an anchor that continues the log: between two, and from the last until the audited block. */
  longestSilence?: bigint;
  /** Milliseconds that may pass between the measurements of an anchor and those of the one that it follows. */
  longestPause?: bigint;
  /** Seconds that may pass from the latest measurement of an anchor until its block. */
  latestAfter?: bigint;
  /** Milliseconds that the latest measurement may be ahead of its block, by a clock that is wrong; 0 unless told. */
  longestAhead?: bigint;
  /** Whether each anchor must be shown to be fresh, by a recent block that it names. */
  fresh?: boolean;
  /** Whether readings that are lost, and were not brought back by a correction, are an error. */
  complete?: boolean;
}

/** What the anchors of a log add up to. */
export interface Totals {
  /** Number of anchors. */
  anchors: bigint;
  /** Number of readings that were anchored, without lost ones. */
  readings: bigint;
  /** Number of readings that were declared lost, and not brought back by a correction. */
  lost: bigint;
  /** Number of readings that corrections replace or bring back, each once. */
  corrected: bigint;
}

/** Who appended from an anchor on. */
export interface AuthorChange {
  index: bigint;
  /** Undefined for the author of the first anchor. */
  from: string | undefined;
  to: string;
  /** Blocks between which the change was: that of the anchor before, and that of this one. */
  afterBlock: number;
  block: number;
}

/** Follows a log from its first anchor, keeping to the contract's rules. */
export interface LogReplay {
  /**
   * Takes the next event.
   *
   * @returns The anchor that it tells of; undefined for an event that tells of none.
   */
  take(event: TouchstoneEventNamed<"Anchored">): AnchorRecord | undefined;
  /** Compares what the events led to with what the chain says. */
  finish(state: LogState): { totals: Totals; findings: Finding[]; authors: AuthorChange[] };
}

/** What the chain says of a log at a block. */
export interface LogState {
  block: BlockPlace;
  head: Head;
  root: string;
}

const UINT64_END = 2n ** 64n;

/** What the words of an event take up: see recordOf. */
const SPAN_BITS = 224n;
const CONTEXT_BITS = 216n;

/** What the contract keeps of a log, as the events lead to it. */
interface Ended {
  index: bigint;
  /** Where the anchors that continue the log have led; undefined behind missing ones, until one continues it again. */
  reached: { nextSeq: bigint; lastMeasured: bigint; lastAnchored: bigint } | undefined;
  /** Unix seconds of the latest anchor. */
  timestamp: bigint;
  block: number;
  author: string | undefined;
}

/** @param options.logId 32 bytes as lower-case 0x hex. */
export function createLogReplay(options: { logId: string; expectations: Expectations }): LogReplay {
  const { logId, expectations } = options;
  const findings: Finding[] = [];
  const tree = createTreeHasher({ hash: "Keccak256" });
  const gaps: AnchorRecord[] = [];
  const corrections = createSegments();
  const places = createPlaces();
  const authors: AuthorChange[] = [];
  const fleetAuthors = new Set<string>();
  const totals: Totals = { anchors: 0n, readings: 0n, lost: 0n, corrected: 0n };
  const end: Ended = {
    index: 0n,
    reached: { nextSeq: 0n, lastMeasured: 0n, lastAnchored: 0n },
    timestamp: 0n,
    block: 0,
    author: undefined,
  };
  const isOfFleet = isFleetLog(logId);
  /** Until an anchor is missing: what follows it cannot be checked against what came before. */
  let isWhole = true;

  const add = <C extends FindingCode>(code: C, index: bigint | undefined, figures: FindingFigures[C]): void => {
    findings.push(findingOf(code, index, figures));
  };

  function take(event: TouchstoneEventNamed<"Anchored">): AnchorRecord | undefined {
    const { block } = event.cursor;
    const refuse = ([rule, expected, given]: Breach): void => {
      add("EventsInvalid", event.args.index, { rule, expected: String(expected), given: String(given), block });
    };
    const record = recordIn(event);
    if (record?.logId !== logId || record.index < end.index) {
      refuse(
        record === undefined
          ? ["AnchorMalformed", "fields that are some", event.args.context]
          : ["IndexMismatch", `${end.index} of ${logId}`, `${record.index} of ${record.logId}`],
      );
      return undefined;
    }
    if (record.index > end.index) {
      add("EventsIncomplete", end.index, { firstIndex: end.index, count: record.index - end.index });
      isWhole = false;
      end.index = record.index;
      end.reached = undefined;
    }
    const breach = breachOf(record, end, { isOfFleet, block });
    if (breach !== undefined) refuse(breach);
    tree.append(getBytes(anchorLeaf(record)));
    checkTimes(record);
    if (record.kind === "Correction") takeCorrection(record);
    takeAuthor(record, block);
    advance(record, block);
    return record;
  }

  function advance(record: AnchorRecord, block: number): void {
    places.add(record);
    totals.anchors += 1n;
    if (record.kind === "Gap") {
      gaps.push(record);
      totals.lost += record.count;
    } else if (record.kind !== "Correction") {
      totals.readings += record.count;
    }
    end.index = record.index + 1n;
    end.timestamp = record.timestamp;
    end.block = block;
    if (record.kind === "Correction") return;
    end.reached = {
      nextSeq: record.firstSeq + record.count,
      lastMeasured: record.tLast,
      lastAnchored: record.timestamp,
    };
  }

  function checkTimes(record: AnchorRecord): void {
    const { index, kind, tFirst, tLast, timestamp, freshState, freshBlock } = record;
    const { longestSilence, longestPause, latestAfter, longestAhead = 0n, fresh } = expectations;
    if (kind !== "Correction" && totals.anchors > 0n && end.reached !== undefined) {
      const { lastAnchored, lastMeasured } = end.reached;
      const seconds = timestamp - lastAnchored;
      if (longestSilence !== undefined && seconds > longestSilence) {
        add("Silent", index, { from: lastAnchored, to: timestamp, seconds, longestSilence });
      }
      const milliseconds = tFirst - lastMeasured;
      if (longestPause !== undefined && milliseconds > longestPause) {
        add("Paused", index, { from: lastMeasured, to: tFirst, milliseconds, longestPause });
      }
    }
    const behind = timestamp * 1000n - tLast;
    if (latestAfter !== undefined && kind !== "Correction" && kind !== "Gap" && behind > latestAfter * 1000n) {
      add("Late", index, { milliseconds: behind, latestAfter });
    }
    if (-behind > longestAhead) add("Future", index, { milliseconds: -behind, longestAhead });
    if (fresh === true && freshState !== "Confirmed") add("Unfresh", index, { freshState, freshBlock });
  }

  function takeCorrection({ index, firstSeq, count, supersedes }: AnchorRecord): void {
    add("Corrected", index, { firstSeq, count, supersedes });
    const past = firstSeq + count;
    const corrected = isWhole ? places.at(supersedes) : undefined;
    if (corrected !== undefined && (firstSeq < corrected.firstSeq || past > corrected.past)) {
      add("Misdirected", index, { firstSeq, count, supersedes });
    }
    // One that names the correction before it says which holds: the later one.
    const other = corrections.put({ first: firstSeq, past, by: index }).findLast(({ by }) => by !== supersedes);
    if (other === undefined) return;
    add("Overlap", index, { firstSeq: other.first, count: other.past - other.first, otherIndex: other.by });
  }

  function takeAuthor({ index, author }: AnchorRecord, block: number): void {
    if (author === end.author) return;
    // The members of a fleet take turns: only who was never there before is new.
    if (!isOfFleet || !fleetAuthors.has(author)) {
      authors.push({ index, from: end.author, to: author, afterBlock: end.block, block });
    }
    fleetAuthors.add(author);
    end.author = author;
  }

  function compare(head: Head, root: string): void {
    const { size } = head;
    if (end.index < size) add("EventsIncomplete", end.index, { firstIndex: end.index, count: size - end.index });
    if (end.index > size) {
      const rule: AnchorRule = "IndexMismatch";
      const figures = { rule, expected: `fewer than ${size} anchors`, given: String(end.index), block: end.block };
      add("EventsInvalid", size, figures);
    }
    if (end.index === size && end.reached !== undefined) {
      for (const field of ["nextSeq", "lastMeasured", "lastAnchored"] as const) {
        const [expected, rebuilt] = [head[field], end.reached[field]];
        if (expected !== rebuilt) add("HeadMismatch", undefined, { field, expected, rebuilt });
      }
    }
    const rebuilt = hexlify(tree.root());
    if (rebuilt !== root) add("RootMismatch", undefined, { expected: root, rebuilt });
  }

  function finish({ block, head, root }: LogState): ReturnType<LogReplay["finish"]> {
    compare(head, root);
    if (head.size === 0n && totals.anchors === 0n) add("Empty", undefined, { logId, block: block.number });
    for (const { index, firstSeq, count, tFirst, tLast } of gaps) {
      const recovered = corrections.within(firstSeq, firstSeq + count);
      totals.lost -= recovered;
      const severity = expectations.complete === true && recovered < count ? "error" : "warning";
      findings.push(findingOf("Gap", index, { firstSeq, count, recovered, tFirst, tLast }, severity));
    }
    totals.corrected = corrections.within(0n, UINT64_END);
    const { longestSilence } = expectations;
    if (longestSilence !== undefined && head.size > 0n) {
      const from = head.lastAnchored;
      const seconds = block.timestamp - from;
      if (seconds > longestSilence) add("Silent", undefined, { from, to: block.timestamp, seconds, longestSilence });
    }
    return { totals, findings, authors };
  }

  return { take, finish };
}

// ------------------------------------------------------------------ private

/** What an anchor does not keep to, with what that asks for and what there is. */
type Breach = [AnchorRule, unknown, unknown];

/** Undefined if its numbers have no meaning, or there is something where nothing belongs. */
function recordIn(event: TouchstoneEventNamed<"Anchored">): AnchorRecord | undefined {
  if (event.args.span >> SPAN_BITS !== 0n || event.args.context >> CONTEXT_BITS !== 0n) return undefined;
  try {
    return recordOf(event);
  } catch (error) {
    if (error instanceof TouchstoneError) return undefined;
    throw error;
  }
}

/** The first rule of the contract that the anchor breaks. */
function breachOf(
  record: AnchorRecord,
  end: Ended,
  { isOfFleet, block }: { isOfFleet: boolean; block: number },
): Breach | undefined {
  const { kind, firstSeq, count, tFirst, tLast, supersedes, freshBlock, freshState, root, timestamp } = record;
  const past = firstSeq + count;
  const isCorrection = kind === "Correction";
  const latest = timestamp * 1000n + CLOCK_TOLERANCE;
  const isSuperseding = isCorrection ? supersedes < record.index : supersedes === 0n;
  const { nextSeq, lastMeasured } = end.reached ?? { nextSeq: undefined, lastMeasured: 0n };
  const rules: [boolean, ...Breach][] = [
    [timestamp >= end.timestamp, "TimestampInvalid", `at least ${end.timestamp}`, timestamp],
    [isOfFleet || !FLEET_KINDS.includes(kind), "KindNotAllowed", "Data, Gap or Correction", kind],
    [freshBlock < BigInt(block), "FreshBlockInvalid", `below ${block}`, freshBlock],
    [(freshBlock === 0n) === (freshState === "None"), "FreshBlockInvalid", "None without a block", freshState],
    [count >= 1n && count <= MAX_COUNT && past < UINT64_END, "CountInvalid", `1 to ${MAX_COUNT}`, count],
    [tFirst <= tLast, "TimeRegressed", `at least ${tFirst}`, tLast],
    [tLast <= latest, "TimeInFuture", `at most ${latest}`, tLast],
    [(root === ZERO_HASH) === (kind === "Gap"), "RootInvalid", kind === "Gap" ? "none" : "a root", root],
    [isSuperseding, "SupersedesInvalid", isCorrection ? `below ${record.index}` : 0n, supersedes],
    [!isCorrection || past <= (nextSeq ?? past), "CorrectionOutOfRange", `at most ${nextSeq}`, past],
    [isCorrection || firstSeq === (nextSeq ?? firstSeq), "SequenceMismatch", nextSeq, firstSeq],
    [isCorrection || tFirst >= lastMeasured, "TimeRegressed", `at least ${lastMeasured}`, tFirst],
  ];
  const [, ...breach] = rules.find(([isKept]) => !isKept) ?? [];
  return breach.length === 0 ? undefined : breach;
}

const FLEET_KINDS: readonly string[] = ["Receipts", "AccessLog"];

/** Which readings each anchor has: 16 bytes for each, as corrections may speak of any of them. */
function createPlaces(): {
  add(record: AnchorRecord): void;
  at(index: bigint): { firstSeq: bigint; past: bigint } | undefined;
} {
  let places = new BigUint64Array(64);
  let size = 0;
  return {
    add({ firstSeq, count }) {
      if (2 * size === places.length) {
        const longer = new BigUint64Array(2 * places.length);
        longer.set(places);
        places = longer;
      }
      places.set([firstSeq, firstSeq + count], 2 * size);
      size += 1;
    },
    at(index) {
      const [firstSeq, past] = index < size ? places.subarray(2 * Number(index), 2 * Number(index) + 2) : [];
      return firstSeq === undefined || past === undefined ? undefined : { firstSeq, past };
    },
  };
}
