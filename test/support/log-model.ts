import { concat, getAddress, toBeHex, ZeroHash } from "ethers";

import { consistencyProofOf, keccak256, peakPathOf, rootOf } from "./rfc9162.js";

/** An anchor as it is sent; every number as a bigint, also one that no contract would take. */
export interface ModelAnchor {
  logId: string;
  index: bigint;
  kind: bigint;
  tree: bigint;
  firstSeq: bigint;
  count: bigint;
  tFirst: bigint;
  tLast: bigint;
  supersedes: bigint;
  freshBlock: bigint;
  freshHash: string;
  root: string;
  deadline: bigint;
}

/** An anchor that is in a log. */
export interface ModelRecord extends Omit<ModelAnchor, "freshHash" | "deadline"> {
  freshState: bigint;
  timestamp: bigint;
  author: string;
}

/** What a device's key is said to have signed: by which key it was, and which digest it signs to. */
interface Signed {
  anchor: ModelAnchor;
  signer: string;
  digest: string;
}

export type ModelCall =
  | { verb: "anchor"; signed: Signed }
  | { verb: "anchorAsMember"; anchor: ModelAnchor }
  | {
      verb: "anchorMany";
      fleet: string;
      deadline: bigint;
      freshBlock: bigint;
      freshHash: string;
      records: ModelAnchor[];
    }
  | { verb: "reportEquivocation"; first: Signed; second: Signed }
  | { verb: "multicall" | "tryMulticall"; calls: ModelCall[] };

/** The block that a call is in. */
export interface ModelBlock {
  number: bigint;
  time: bigint;
  /** Hashes of the blocks before it that the chain still knows, by their numbers. */
  hashes: ReadonlyMap<bigint, string>;
}

/** Why something was refused: the error and its arguments. */
export class Refused extends Error {
  constructor(
    readonly error: string,
    readonly args: readonly unknown[],
  ) {
    super(error);
  }

  /** As it stands in the events of what was skipped. */
  get told(): unknown[] {
    return [this.error, ...this.args];
  }
}

const KIND = { data: 0n, gap: 1n, correction: 2n, accessLog: 4n };
const LAST_TREE = 1n;
const ANCHOR = 1n << 11n;
const HOUR = 3600n;

interface ModelDevice {
  key: string;
  isActive: boolean;
}

/**
 * What DataAnchor must do, written apart from it: a log is the list of its records and nothing else, and all that is said of
 * it is worked out from the whole list each time.
 */
export class LogModel {
  #logs = new Map<string, readonly ModelRecord[]>();
  readonly #devices = new Map<string, ModelDevice>();
  /** By fleet and account, the second from which on the account may anchor no more. */
  readonly #members = new Map<string, bigint>();

  // ------------------------------------------------------------------ who is who

  setDevice(device: string, state: Partial<ModelDevice>): void {
    this.#devices.set(device, { key: device, isActive: true, ...this.#devices.get(device), ...state });
  }

  deviceOf(device: string): ModelDevice {
    return this.#devices.get(device) ?? { key: device, isActive: false };
  }

  setMember(fleet: string, account: string, end: bigint): void {
    this.#members.set(fleet + account, end);
  }

  // ------------------------------------------------------------------ what is so

  recordsOf(logId: string): readonly ModelRecord[] {
    return this.#logs.get(logId) ?? [];
  }

  headOf(logId: string) {
    const records = this.recordsOf(logId);
    const continuing = records.filter(({ kind }) => kind !== KIND.correction);
    const last = continuing.at(-1);
    return {
      nextSeq: continuing.reduce((sum, { count }) => sum + count, 0n),
      size: BigInt(records.length),
      lastMeasured: last?.tLast ?? 0n,
      lastAnchored: last?.timestamp ?? 0n,
    };
  }

  /** The root of the first `size` anchors. */
  rootOf(logId: string, size = this.recordsOf(logId).length): string {
    return rootOf(this.#leavesOf(logId).slice(0, size), keccak256);
  }

  peakProofOf(logId: string, index: number): string[] {
    return peakPathOf(index, this.#leavesOf(logId), keccak256);
  }

  consistencyProofOf(logId: string, oldSize: number): string[] {
    return consistencyProofOf(oldSize, this.#leavesOf(logId), keccak256);
  }

  isOverdue(logId: string, longestSilence: bigint, time: bigint): boolean {
    const { size, lastAnchored } = this.headOf(logId);
    return size === 0n || time - lastAnchored > longestSilence;
  }

  #leavesOf(logId: string): string[] {
    return this.recordsOf(logId).map(leafOf);
  }

  /** What is so now, to try things on. */
  copy(): LogModel {
    const copy = new LogModel();
    copy.#logs = new Map(this.#logs);
    for (const [device, state] of this.#devices) copy.#devices.set(device, state);
    for (const [member, end] of this.#members) copy.#members.set(member, end);
    return copy;
  }

  // ------------------------------------------------------------------ what happens

  /**
   * Makes a call and returns its events; those of what was skipped end with the refusal.
   *
   * @throws Refused, and then nothing has changed.
   */
  make(call: ModelCall, sender: string, block: ModelBlock): unknown[][] {
    const before = new Map(this.#logs);
    try {
      return this.#make(call, sender, block);
    } catch (error) {
      this.#logs = before;
      throw error;
    }
  }

  #make(call: ModelCall, sender: string, block: ModelBlock): unknown[][] {
    switch (call.verb) {
      case "anchor":
        return this.#anchor(call.signed, block);
      case "anchorAsMember":
        return this.#anchorAsMember(call.anchor, sender, block);
      case "anchorMany":
        return this.#anchorMany(call, sender, block);
      case "reportEquivocation":
        return this.#report(call.first, call.second);
      case "multicall":
        return call.calls.flatMap((each) => this.#make(each, sender, block));
      case "tryMulticall":
        return call.calls.flatMap((each, place) =>
          this.#unlessRefused(
            () => this.make(each, sender, block),
            (refused) => ["CallSkipped", BigInt(place), each.verb, refused.told],
          ),
        );
    }
  }

  #unlessRefused(act: () => unknown[][], told: (refused: Refused) => unknown[]): unknown[][] {
    try {
      return act();
    } catch (error) {
      if (error instanceof Refused) return [told(error)];
      throw error;
    }
  }

  #anchor({ anchor, signer, digest }: Signed, block: ModelBlock): unknown[][] {
    const { logId, kind, deadline } = anchor;
    const device = subjectOf(logId);
    const { key, isActive } = this.deviceOf(device);
    refuseIf(isFleetLog(logId), "LogNeedsMember", [logId]);
    refuseIf(kind > KIND.correction, "KindNotAllowed", [logId, kind]);
    refuseIf(block.time > deadline, "DeadlinePassed", [deadline]);
    refuseIf(!isActive, "DeviceNotActive", [device]);
    refuseIf(signer !== key, "KeyProofInvalid", [key, digest]);
    return [this.#append(anchor, freshStateOf(anchor, block), key, block)];
  }

  #anchorAsMember(anchor: ModelAnchor, sender: string, block: ModelBlock): unknown[][] {
    const { logId, deadline } = anchor;
    refuseIf(!isFleetLog(logId), "LogNeedsDevice", [logId]);
    this.#requireMember(subjectOf(logId), sender, block);
    refuseIf(block.time > deadline, "DeadlinePassed", [deadline]);
    return [this.#append(anchor, freshStateOf(anchor, block), sender, block)];
  }

  #anchorMany(call: ModelCall & { verb: "anchorMany" }, sender: string, block: ModelBlock): unknown[][] {
    const { fleet, deadline, freshBlock } = call;
    this.#requireMember(fleet, sender, block);
    refuseIf(block.time > deadline, "DeadlinePassed", [deadline]);
    const freshState = freshStateOf(call, block);
    return call.records.flatMap((record) => {
      const anchor = { ...record, freshBlock };
      return this.#unlessRefused(
        () => {
          refuseIf(!isFleetLog(anchor.logId), "LogNeedsDevice", [anchor.logId]);
          refuseIf(anchor.kind > KIND.accessLog || anchor.tree > LAST_TREE, "AnchorMalformed", []);
          return [this.#append(anchor, freshState, sender, block)];
        },
        (refused) => ["AnchorSkipped", anchor.logId, anchor.index, refused.told],
      );
    });
  }

  #report(first: Signed, second: Signed): unknown[][] {
    const { logId, index } = first.anchor;
    const device = subjectOf(logId);
    const isEnrolled = this.#devices.has(device);
    const { key } = this.deviceOf(device);
    refuseIf(isFleetLog(logId), "LogNeedsMember", [logId]);
    refuseIf(second.anchor.logId !== logId || second.anchor.index !== index, "AnchorsUnrelated", [
      ...[logId, index],
      ...[second.anchor.logId, second.anchor.index],
    ]);
    const isOneBatch = (["kind", "tree", "firstSeq", "count", "tFirst", "tLast", "supersedes", "root"] as const).every(
      (name) => first.anchor[name] === second.anchor[name],
    );
    refuseIf(isOneBatch, "AnchorsAgree", [logId, index]);
    refuseIf(!isEnrolled, "DeviceNotEnrolled", [device]);
    for (const { signer, digest } of [first, second]) refuseIf(signer !== key, "KeyProofInvalid", [key, digest]);
    return [["Equivocated", logId, index, key, first.digest, second.digest]];
  }

  #requireMember(fleet: string, account: string, { time }: ModelBlock): void {
    const isMember = account === fleet || time < (this.#members.get(fleet + account) ?? 0n);
    refuseIf(!isMember, "CallerLacksPermission", [fleet, account, ANCHOR]);
  }

  /** Returns the event. */
  #append(anchor: ModelAnchor, freshState: bigint, author: string, block: ModelBlock): unknown[] {
    const { logId, index, kind, tree, firstSeq, count, tFirst, tLast, supersedes, freshBlock, root } = anchor;
    const { size, nextSeq, lastMeasured } = this.headOf(logId);
    const end = firstSeq + count;
    const latest = (block.time + HOUR) * 1000n;
    const isCorrection = kind === KIND.correction;
    refuseIf(index !== size, "IndexMismatch", [logId, size, index]);
    refuseIf(count < 1n || count > 2n ** 32n || end >= 2n ** 64n, "CountInvalid", [count]);
    refuseIf(tFirst > tLast, "TimeRegressed", [logId, tFirst, tLast]);
    refuseIf(tLast > latest, "TimeInFuture", [latest, tLast]);
    refuseIf((kind === KIND.gap) !== (root === ZeroHash), "RootInvalid", [kind, root]);
    refuseIf(isCorrection ? supersedes >= size : supersedes > 0n, "SupersedesInvalid", [supersedes, size]);
    refuseIf(isCorrection && end > nextSeq, "CorrectionOutOfRange", [nextSeq, end]);
    refuseIf(!isCorrection && firstSeq !== nextSeq, "SequenceMismatch", [logId, nextSeq, firstSeq]);
    refuseIf(!isCorrection && tFirst < lastMeasured, "TimeRegressed", [logId, lastMeasured, tFirst]);

    const batch = { kind, tree, firstSeq, count, tFirst, tLast, supersedes, freshBlock };
    const record = { logId, index, ...batch, freshState, root, timestamp: block.time, author };
    this.#logs.set(logId, [...this.recordsOf(logId), record]);
    const span = wordOf([firstSeq, 64n], [count, 64n], [tFirst, 48n], [tLast, 48n]);
    const times = [
      [block.time, 64n],
      [freshBlock, 64n],
    ] as const;
    const context = wordOf([kind, 8n], [tree, 8n], [freshState, 8n], ...times, [supersedes, 64n]);
    return ["Anchored", logId, index, author, span, root, context];
  }
}

function refuseIf(isWrong: boolean, error: string, args: readonly unknown[]): void {
  if (isWrong) throw new Refused(error, args);
}

function freshStateOf({ freshBlock, freshHash }: { freshBlock: bigint; freshHash: string }, block: ModelBlock): bigint {
  if (freshBlock === 0n) {
    refuseIf(freshHash !== ZeroHash, "FreshBlockInvalid", [freshBlock, freshHash]);
    return 0n;
  }
  const hash = block.hashes.get(freshBlock);
  const isOld = freshBlock < block.number && hash === undefined;
  refuseIf(!isOld && hash !== freshHash, "FreshBlockInvalid", [freshBlock, freshHash]);
  return isOld ? 2n : 1n;
}

/** The numbers side by side, from the lowest bit, each as wide as it says. */
function wordOf(...numbers: readonly (readonly [number: bigint, width: bigint])[]): bigint {
  return numbers.reduceRight((word, [number, width]) => (word << width) | number, 0n);
}

/** keccak256(0x00 ‖ 0x03 ‖ the fourteen words of the record). */
export function leafOf(record: ModelRecord): string {
  const { logId, index, kind, tree, firstSeq, count, tFirst, tLast } = record;
  const { supersedes, freshBlock, freshState, root, timestamp, author } = record;
  const words = [logId, index, kind, tree, firstSeq, count, tFirst, tLast, supersedes, freshBlock, freshState, root];
  return keccak256(concat(["0x0003", ...[...words, timestamp, author].map((word) => toBeHex(word, 32))]));
}

function subjectOf(logId: string): string {
  return getAddress(logId.slice(0, 42));
}

function isFleetLog(logId: string): boolean {
  return (BigInt(logId) >> 95n) % 2n === 1n;
}
