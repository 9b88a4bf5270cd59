import { getBytes, hexlify } from "ethers";

import type { AnchorRecord } from "./anchors.js";
import { findingOf, type Finding, type FindingFigures } from "./audit-findings.js";
import { commitmentOf, readingLeaf } from "./batches.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { createTreeHasher } from "./merkle.js";

/** A reading as it was kept. */
export interface ArchivedReading {
  /** Unix milliseconds. */
  measuredAt: bigint;
  /** 32 bytes as 0x hex. */
  commitment: string;
  /** Opens the commitment; missing where the reading was erased. */
  payload?: Uint8Array | undefined;
  contentFormat?: number | undefined;
  salt?: Uint8Array | undefined;
}

/** A batch as it was kept: what `buildBatch` gives has all of it. The readings are hashed anew, and the root not believed. */
export interface ArchivedBatch {
  /** 32 bytes as 0x hex. */
  logId: string;
  tree: TreeHash;
  /** Sequence number of the first reading. */
  firstSeq: bigint;
  /** 32 bytes as 0x hex: finds the anchor of the batch. */
  root: string;
  readings: readonly ArchivedReading[];
}

/**
 * What was kept of a log: all batches, or where to look up the readings of an anchor; undefined if there are none. A look-up cannot
 * show what it has beyond the log.
 */
export type ArchivedBatches =
  readonly ArchivedBatch[] | ((anchor: AnchorRecord) => ArchivedBatch | undefined | Promise<ArchivedBatch | undefined>);

/** What is compared with the anchors of a log, one after the other. */
export interface Archive {
  compare(anchor: AnchorRecord): Promise<Finding[]>;
  /** What can be said only when all anchors are known. */
  finish(): Finding[];
}

/** @param options.logId Batches of other logs are passed over. */
export function openArchive(options: { logId: string; batches: ArchivedBatches }): Archive {
  const { batches } = options;
  if (typeof batches !== "function") return listedArchive(options.logId, batches);
  return {
    async compare(anchor) {
      if (anchor.kind === "Gap") return [];
      const batch = await batches(anchor);
      return batch === undefined ? [missing(anchor)] : faultsOf(anchor, batch);
    },
    finish: () => [],
  };
}

function listedArchive(logId: string, batches: readonly ArchivedBatch[]): Archive {
  const byRoot = new Map<string, ArchivedBatch[]>();
  for (const batch of batches) {
    if (batch.logId.toLowerCase() !== logId) continue;
    const root = batch.root.toLowerCase();
    byRoot.set(root, [...(byRoot.get(root) ?? []), batch]);
  }
  const anchored = new Set<string>();
  const notFound: AnchorRecord[] = [];
  return {
    compare(anchor) {
      if (anchor.kind === "Gap") return Promise.resolve([]);
      const found = byRoot.get(anchor.root);
      if (found === undefined) notFound.push(anchor);
      else anchored.add(anchor.root);
      return Promise.resolve((found ?? []).flatMap((batch) => faultsOf(anchor, batch)));
    },
    finish() {
      const rest = [...byRoot].flatMap(([root, found]) => (anchored.has(root) ? [] : found));
      const findings = notFound.flatMap((anchor) => {
        // A batch with another root at the same place is what became of the one that was anchored.
        const place = rest.findIndex(
          ({ firstSeq, readings }) => firstSeq === anchor.firstSeq && BigInt(readings.length) === anchor.count,
        );
        const [batch] = place === -1 ? [] : rest.splice(place, 1);
        return batch === undefined ? [missing(anchor)] : faultsOf(anchor, batch);
      });
      const unanchored = rest.map(({ firstSeq, readings, root }) =>
        findingOf("Unanchored", undefined, { firstSeq, count: BigInt(readings.length), root }),
      );
      return [...findings, ...unanchored];
    },
  };
}

// ------------------------------------------------------------------ one batch

function missing({ index, kind, firstSeq, count, root }: AnchorRecord): Finding {
  return findingOf("Missing", index, { kind, firstSeq, count, root });
}

function faultsOf(anchor: AnchorRecord, { firstSeq, readings }: ArchivedBatch): Finding[] {
  const { index, count, tFirst, tLast } = anchor;
  const altered = (reason: FindingFigures["Altered"]["reason"], seq?: bigint): Finding =>
    findingOf("Altered", index, { reason, firstSeq: anchor.firstSeq, count, seq });
  if (firstSeq !== anchor.firstSeq || BigInt(readings.length) !== count) return [altered("Place")];
  const unopened = readings.findIndex((reading) => !opensAs(anchor, reading));
  if (unopened !== -1) return [altered("Payload", firstSeq + BigInt(unopened))];
  if (rootOf(anchor, readings) !== anchor.root) return [altered("Root")];
  const times = readings.map(({ measuredAt }) => measuredAt);
  const measuredFirst = times.reduce((earliest, time) => (time < earliest ? time : earliest));
  const measuredLast = times.reduce((latest, time) => (time > latest ? time : latest));
  if (measuredFirst === tFirst && measuredLast === tLast) return [];
  return [findingOf("Misdated", index, { tFirst, tLast, measuredFirst, measuredLast })];
}

/** Whether the reading's content is what its commitment says; of an erased one nothing can be said. */
function opensAs({ tree }: AnchorRecord, { commitment, payload, contentFormat = 0, salt }: ArchivedReading): boolean {
  if (payload === undefined && salt === undefined) return true;
  if (payload === undefined || salt === undefined) return false;
  return attempt(() => commitmentOf({ tree, salt, contentFormat, payload })) === commitment.toLowerCase();
}

function rootOf({ tree, logId, firstSeq }: AnchorRecord, readings: readonly ArchivedReading[]): string | undefined {
  return attempt(() => {
    const hasher = createTreeHasher({ hash: tree });
    for (const [place, { measuredAt, commitment }] of readings.entries()) {
      const reading = { seq: firstSeq + BigInt(place), measuredAt, commitment };
      hasher.append(getBytes(readingLeaf({ tree, logId, reading })));
    }
    return hexlify(hasher.root());
  });
}

/** What an archive holds may be anything: what cannot be hashed is not what was anchored. */
function attempt(hash: () => string): string | undefined {
  try {
    return hash();
  } catch (error) {
    if (error instanceof TouchstoneError && error.code === "INVALID_ARGUMENT") return undefined;
    throw error;
  }
}
