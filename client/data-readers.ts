import { ZeroAddress } from "ethers";

import { AccessState, isYes } from "./access-state.js";
import { FOREVER } from "./arguments.js";
import { blockAt, latestBlock, type BlockPlace } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { allPermissions, maskOf, type Permission } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readBlockEvents, readEvents, type EventFilter, type TouchstoneEvent } from "./events.js";
import { subjectOf } from "./pending-events.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { requireNotAborted } from "./retries.js";
import { dataClasses, type DataClass } from "./sealing.js";
import { inTurns } from "./turns.js";

/** Stands for all accounts where a device's policy lets everyone read. */
export const EVERYONE = "everyone";

/**
 * What the present key of a class takes, and what its former keys take. One source must give both: who may see where a device
 * is, and apart from that the history of its readings, may not see where it was.
 */
const PERMISSIONS: Record<DataClass, { live: readonly Permission[]; history: readonly Permission[] }> = {
  readings: { live: ["ReadLive"], history: ["ReadHistory"] },
  location: { live: ["ReadLocation"], history: ["ReadLocation", "ReadHistory"] },
  metadata: { live: ["ReadMetadata"], history: ["ReadMetadata", "ReadHistory"] },
};
const masks = new Map(
  dataClasses.map((dataClass) => {
    const { live, history } = PERMISSIONS[dataClass];
    return [
      dataClass,
      { live: Number(maskOf(allPermissions, live)), history: Number(maskOf(allPermissions, history)) },
    ];
  }),
);

/** What someone may read of one class of one device. */
export interface Reader {
  /** What is measured from now on. */
  live: boolean;
  /** What was measured in this owner epoch before. */
  history: boolean;
  /** Unix seconds of the first moment at which the right to read live may end with no event to tell. */
  until: bigint;
}

/** Who may read a device, by class and account; EVERYONE is an account here. */
export interface DeviceReaders {
  owner: string;
  epoch: bigint;
  classes: Map<DataClass, Map<string, Reader>>;
  /** Unix seconds of the earliest moment at which someone may start to read with no event to tell; undefined if there is none. */
  nextStart: bigint | undefined;
}

/**
 * Who may read a device, for any purpose at all: a key cannot tell what it is used for, the terms of a grant do.
 *
 * @param earliest Unix seconds.
 * @param latest Unix seconds, not before: who may read has to be allowed to from `earliest` to `latest`.
 * @returns Undefined for what was never enrolled.
 */
export function readersOf(
  state: AccessState,
  device: string,
  earliest: bigint,
  latest: bigint,
): DeviceReaders | undefined {
  const found = state.deviceOf(device);
  if (found === undefined) return undefined;
  const { owner, epoch } = found;
  let nextStart: bigint | undefined;
  const startsAt = (time: bigint): void => {
    if (time > earliest && (nextStart === undefined || time < nextStart)) nextStart = time;
  };
  interface Candidate {
    purposes: readonly Purpose[];
    grantUntil: bigint;
    roleUntil: bigint;
  }
  // The purpose is ignored for the owner and members.
  const nobody: Candidate = { purposes: [allPurposes[0] ?? 24], grantUntil: FOREVER, roleUntil: FOREVER };
  const candidates = new Map<string, Candidate>([[state.governorOf(owner), nobody]]);
  const roleEpoch = state.roleEpochOf(owner);
  for (const { account, membership } of state.membersOf(owner)) {
    const { roles, epoch: given, notBefore, expiry } = membership;
    if (roles.length === 0 || given !== roleEpoch || expiry <= latest) continue;
    startsAt(notBefore);
    candidates.set(account, { ...nobody, roleUntil: expiry });
  }
  for (const { subject, grant } of state.grantsOn(device)) {
    if (grant.permissions.length === 0 || grant.epoch !== epoch || grant.expiry <= latest) continue;
    startsAt(grant.notBefore);
    const { roleUntil } = candidates.get(subject) ?? nobody;
    candidates.set(subject, { purposes: grant.purposes, grantUntil: grant.expiry, roleUntil });
  }
  const [from, to] = [Number(earliest), Number(latest)];
  const numbers = (purposes: readonly Purpose[]): number[] => purposes.map((purpose) => allPurposes.indexOf(purpose));
  const reasonFor = (account: string, permissions: number, purposes: readonly number[]): string | undefined =>
    purposes
      .map((purpose) => state.explainWithin({ device, account, permissions, purpose }, from, to))
      .find((reason) => isYes(reason));
  const classes = new Map<DataClass, Map<string, Reader>>();
  const everyPurpose = allPurposes.map((_, purpose) => purpose);
  for (const [dataClass, { live, history }] of masks) {
    const readers = new Map<string, Reader>();
    const add = (account: string, key: string, purposes: readonly number[], candidate: Candidate): void => {
      const reason = reasonFor(account, live, purposes);
      const isHistory = reasonFor(account, history, purposes) !== undefined;
      if (reason === undefined && !isHistory) return;
      const { grantUntil, roleUntil } = candidate;
      const until = reason === "Grant" ? grantUntil : reason === "Role" ? roleUntil : FOREVER;
      readers.set(key, { live: reason !== undefined, history: isHistory, until });
    };
    for (const [account, candidate] of candidates) add(account, account, numbers(candidate.purposes), candidate);
    // No account has this address, so what it may do everyone may.
    add(ZeroAddress, EVERYONE, everyPurpose, nobody);
    classes.set(dataClass, readers);
  }
  return { owner, epoch, classes, nextStart };
}

/** The latest blocks, which are read by their hash: nodes that serve together are no further apart. */
const RECENT_BLOCKS = 64;
/** Questions to a node at a time. */
const AT_ONCE = 16;

/** Who could read devices at two blocks: one that is as good as final, and the latest. */
export interface Sight {
  /** Who could since, after each block: what was given again after it had ended counts anew. */
  confirmed: Map<string, DeviceReaders>;
  latest: Map<string, DeviceReaders>;
  block: number;
  /** Unix seconds of the latest block. */
  timestamp: bigint;
}

/**
 * Follows who may read an owner's devices. What is confirmed is read once; what is not is read, looked at and forgotten each time,
 * so a reorganisation leaves nothing behind.
 */
export class ReaderWatch {
  readonly #owner: string;
  readonly #confirmations: number;
  #state = new AccessState();
  #devices: ReadonlySet<string> = new Set();
  #confirmed: BlockPlace | undefined;
  /** Number of the latest block that was ever looked at. */
  #latest = 0;

  constructor(options: { owner: string; confirmations: number }) {
    this.#owner = options.owner;
    this.#confirmations = options.confirmations;
  }

  /**
   * @param options.now Unix seconds by the caller's clock, which may be ahead of the latest block.
   * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED, EVENTS_MISSING, NOT_FOUND, CANCELLED.
   */
  async look(options: {
    touchstone: Touchstone;
    devices: readonly string[];
    now: bigint;
    signal: AbortSignal | undefined;
  }): Promise<Sight> {
    const { touchstone, devices, now, signal } = options;
    const { provider, firstBlock } = touchstone;
    const block = await blockAt(provider, await latestBlock(provider));
    this.#requireNotBehind(block.number);
    const { timestamp } = block;
    const [earliest, latest] = [timestamp, now > timestamp ? now : timestamp];
    await this.#startAgainIfNeeded(touchstone, devices);
    const range = { latest: block, signal };
    const target = block.number - this.#confirmations;
    const fromBlock = this.#confirmed === undefined ? firstBlock : this.#confirmed.number + 1;
    if (target >= fromBlock) {
      try {
        for await (const event of this.#events(touchstone, { ...range, fromBlock, toBlock: target })) {
          this.#state.apply(event);
        }
        this.#confirmed = await blockAt(provider, target);
      } catch (error) {
        // Half of a page may have been applied.
        this.#startAgain();
        throw error;
      }
    }
    const confirmed = this.#readers(devices, earliest, latest);
    const undo: (() => void)[] = [];
    try {
      const rest = this.#confirmed === undefined ? firstBlock : this.#confirmed.number + 1;
      let before = rest;
      const changed = new Set<string>();
      const endBlock = (): void => {
        for (const device of changed) narrow(confirmed, device, readersOf(this.#state, device, earliest, latest));
        changed.clear();
      };
      for await (const event of this.#events(touchstone, { ...range, fromBlock: rest, toBlock: block.number })) {
        if (event.cursor.block !== before) endBlock();
        before = event.cursor.block;
        undo.push(this.#state.apply(event));
        const subject = subjectOf(event);
        if (subject?.kind === "device") changed.add(subject.id);
        if (subject?.kind === "fleet") for (const device of devices) changed.add(device);
      }
      endBlock();
      this.#latest = block.number;
      return { confirmed, latest: this.#readers(devices, earliest, latest), block: block.number, timestamp };
    } finally {
      for (const takeBack of undo.toReversed()) takeBack();
    }
  }

  /** A node that is behind would bring back whoever lost a right since. */
  #requireNotBehind(number: number): void {
    if (number >= this.#latest) return;
    throw new TouchstoneError(
      "RPC_FAILED",
      `The node's latest block is ${number}, but block ${this.#latest} was read: it is behind, ask another, or again later.`,
      { details: { latest: number, known: this.#latest } },
    );
  }

  /** Of recent blocks by their hash: a node that has not got one says so then, where it would answer a range with nothing. */
  async *#events(
    touchstone: Touchstone,
    range: { fromBlock: number; toBlock: number; latest: BlockPlace; signal: AbortSignal | undefined },
  ): AsyncGenerator<TouchstoneEvent, void, undefined> {
    const { fromBlock, toBlock, latest, signal } = range;
    const filter: EventFilter = { devices: [...this.#devices], fleets: [this.#owner] };
    const recent = Math.max(fromBlock, latest.number - RECENT_BLOCKS + 1);
    const old = { fromBlock, toBlock: Math.min(toBlock, recent - 1) };
    yield* readEvents({ touchstone, ...filter, ...old, ...(signal === undefined ? {} : { signal }) });
    const numbers = Array.from({ length: Math.max(toBlock - recent + 1, 0) }, (_, place) => recent + place);
    const blocks = await inTurns(numbers, AT_ONCE, async (number) => {
      requireNotAborted(signal);
      const { hash } = number === latest.number ? latest : await blockAt(touchstone.provider, number);
      return readBlockEvents({ touchstone, blockHash: hash, ...filter });
    });
    yield* blocks.flat();
  }

  #readers(devices: readonly string[], earliest: bigint, latest: bigint): Map<string, DeviceReaders> {
    const found = new Map<string, DeviceReaders>();
    for (const device of devices) {
      const readers = readersOf(this.#state, device, earliest, latest);
      if (readers !== undefined) found.set(device, readers);
    }
    return found;
  }

  /** What was confirmed is read anew if a device is new, or if the chain does not have it any more. */
  async #startAgainIfNeeded(touchstone: Touchstone, devices: readonly string[]): Promise<void> {
    const isNew = devices.some((device) => !this.#devices.has(device));
    const before = this.#confirmed;
    const isGone =
      before !== undefined &&
      (await blockAt(touchstone.provider, before.number).catch(() => undefined))?.hash !== before.hash;
    if (isNew) this.#devices = new Set([...this.#devices, ...devices]);
    if (isNew || isGone) this.#startAgain();
  }

  #startAgain(): void {
    this.#state = new AccessState();
    this.#confirmed = undefined;
  }
}

// ------------------------------------------------------------------ private

/** Leaves of who could read a device those who still can. */
function narrow(before: Map<string, DeviceReaders>, device: string, now: DeviceReaders | undefined): void {
  const then = before.get(device);
  if (then === undefined) return;
  if (now?.epoch !== then.epoch || now.owner !== then.owner) {
    before.delete(device);
    return;
  }
  for (const [dataClass, readers] of then.classes) {
    for (const [account, reader] of readers) {
      const still = now.classes.get(dataClass)?.get(account);
      readers.set(account, {
        live: reader.live && still?.live === true,
        history: reader.history && still?.history === true,
        until: reader.until,
      });
    }
  }
}
