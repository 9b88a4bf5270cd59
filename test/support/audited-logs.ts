import { concat, keccak256, toBeHex } from "ethers";

import * as anchors from "../../client/anchors.js";
import { ZERO_HASH } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import { anchorKinds, numberOf, treeHashes, type AnchorKind, type TreeHash } from "../../client/enumerations.js";
import type { Key } from "../../client/keys.js";

import { FOR_EVER, ethers, networkHelpers } from "./chain.js";

/** Seconds from one anchor to the next. */
export const PERIOD = 600n;

/** What an anchor is to be; what is left out goes on as it should. */
export interface AnchorPlan {
  kind?: AnchorKind;
  /** Unix seconds of its block. */
  at?: bigint;
  firstSeq?: bigint;
  count?: bigint;
  /** Unix milliseconds. */
  tFirst?: bigint;
  tLast?: bigint;
  supersedes?: bigint;
  tree?: TreeHash;
  root?: string;
  /** The latest block unless told; undefined for none. */
  freshBlock?: bigint | undefined;
}

/** An anchor as it was planned, in its place. */
export type WrittenAnchor = Required<Omit<AnchorPlan, "freshBlock">> & { index: bigint };

/** Writes a log as whoever may: each period an anchor of ten readings, from twenty seconds after the last one to ten before. */
export interface LogWriter {
  readonly logId: string;
  readonly written: readonly WrittenAnchor[];
  /** @param by The key of a device's log, the member of a fleet's; the first one unless told. */
  write(plan?: AnchorPlan, by?: Key | Touchstone): Promise<WrittenAnchor>;
  /** One that goes on from here, for a chain that is put back to here. */
  copy(): LogWriter;
}

/**
 * @param options.start Unix seconds when the log begins.
 * @param options.by The device's key, or the client of a member of the fleet.
 */
export function logWriter(options: {
  touchstone: Touchstone;
  logId: string;
  start: bigint;
  by: Key | Touchstone;
}): LogWriter {
  return writerFrom(options, [], [0n, options.start * 1000n - 10_000n, options.start]);
}

type Options = Parameters<typeof logWriter>[0];
type End = [nextSeq: bigint, lastMeasured: bigint, lastBlock: bigint];

function writerFrom(options: Options, before: readonly WrittenAnchor[], end: End): LogWriter {
  const { touchstone, logId } = options;
  const written = [...before];
  let [nextSeq, lastMeasured, lastBlock] = end;
  return {
    logId,
    written,
    copy: () => writerFrom(options, written, [nextSeq, lastMeasured, lastBlock]),
    async write(plan = {}, by = options.by) {
      const latest = (await ethers.provider.getBlock("latest"))!;
      const { kind = "Data", at = lastBlock + PERIOD, count = 10n } = plan;
      const { tFirst = lastMeasured + 30_000n, tLast = at * 1000n - 10_000n } = plan;
      const { firstSeq = nextSeq, supersedes = 0n, tree = "Keccak256" } = plan;
      const index = BigInt(written.length);
      const { root = kind === "Gap" ? ZERO_HASH : keccak256(concat([logId, toBeHex(index, 32)])) } = plan;
      const freshBlock = "freshBlock" in plan ? (plan.freshBlock ?? 0n) : BigInt(latest.number);
      const fresh = await ethers.provider.getBlock(Number(freshBlock));
      const record = { index, kind, at, firstSeq, count, tFirst, tLast, supersedes, tree, root };
      const anchor: anchors.Anchor = {
        ...{ logId, index, firstSeq, count, tFirst, tLast, supersedes, root, freshBlock },
        kind: numberOf(anchorKinds, kind),
        tree: numberOf(treeHashes, tree),
        freshHash: freshBlock === 0n ? ZERO_HASH : fresh!.hash!,
        deadline: FOR_EVER,
      };
      await networkHelpers.time.setNextBlockTimestamp(at);
      if ("prove" in by) await anchors.anchor({ touchstone, anchor, byDevice: by });
      else await anchors.anchorAsMember({ touchstone: by, anchor });
      written.push(record);
      lastBlock = at;
      if (kind !== "Correction") [nextSeq, lastMeasured] = [firstSeq + count, tLast];
      return record;
    },
  };
}
