import { AccessState, isYes, type AccessQuestion, type MaskedQuestion } from "./access-state.js";
import { FOREVER, requireAddress, ZERO_HASH } from "./arguments.js";
import { grantInWord } from "./access.js";
import type { BlockHeader } from "./blocks.js";
import { checkDeployment, type Touchstone } from "./connect.js";
import { createDeadlines } from "./deadlines.js";
import type { AccessReason } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import type { ContractName } from "./abi.js";
import type { EventFilter, TouchstoneEvent } from "./events.js";
import { createMirrorSource, type MirrorSource } from "./mirror-source.js";
import { newOwnerIn, PendingEvents, subjectOf } from "./pending-events.js";
import { persist } from "./retries.js";

/** Why a mirror answered as it did: as the chain, or for what it does not know yet, or no longer. */
export type MirrorReason =
  | AccessReason
  /** The chain allows it, but not for as many blocks yet as the mirror waits for. */
  | "Unconfirmed"
  /** The mirror has not heard of the chain for too long, or reads it anew: it allows nothing. */
  | "Stale";

/** The answer of a mirror, and what it rests on. */
export interface MirrorAnswer {
  allowed: boolean;
  reason: MirrorReason;
  /** The latest block that the mirror knows. */
  block: number;
  /** The block from which on a yes must have held. */
  confirmedBlock: number;
  /** Seconds, see MirrorState. */
  staleness: bigint;
}

/** How much a mirror knows of the chain. */
export interface MirrorState {
  /** The latest block that the mirror knows, with its hash and its time in Unix seconds. */
  block: number;
  blockHash: string;
  timestamp: bigint;
  /** The block from which on a yes must have held. */
  confirmedBlock: number;
  /** Seconds for which nothing newer was heard: the age of the latest block, or how long ago it came if that is more. */
  staleness: bigint;
  /** Whether every answer is a denial, as the mirror is too old, reads the chain anew, or is closed. */
  isStale: boolean;
  /** Why the chain could not be read the last time; undefined if it could. */
  failure: TouchstoneError | undefined;
}

/** Which chain to follow, and how. */
export interface PolicyMirrorOptions {
  touchstone: Touchstone;
  /** How many blocks must have allowed something before it is allowed, the one that did so first included; 12 unless told. */
  confirmations?: number;
  /**
   * Seconds without a newer block after which nothing is allowed; 60 unless told. Give more than lies between two blocks: a chain
   * that makes blocks on demand needs much more.
   */
  staleAfter?: bigint;
  /** Milliseconds between two looks at the chain; 4,000 unless told. */
  pollingInterval?: number;
  /** Follow only these devices and the fleets that own them; all others are unknown then. All devices unless told. */
  devices?: readonly string[];
  /** Called with each failure to read the chain, after which the mirror tries again, and with what a listener throws. */
  onError?: (error: unknown) => void;
  /** The local clock: Unix milliseconds; Date.now unless told. */
  now?: () => number;
  /** Closes the mirror. */
  signal?: AbortSignal;
}

/** Decides about access from memory, as the chain would; never reaches out to it to answer. */
export interface PolicyMirror {
  /** @throws TouchstoneError INVALID_ARGUMENT for ids and names that are none. */
  explain(question: AccessQuestion): MirrorAnswer;
  /** @throws TouchstoneError as explain. */
  isAllowed(question: AccessQuestion): boolean;
  /** The same as `explain` on masks, for who asks often; only the reason. */
  explainMasks(device: string, account: string, permissions: number, purpose: number): MirrorReason;
  readonly state: MirrorState;
  /**
   * Calls the listener with the devices whose decisions may have changed, so that what goes on is asked about again: after events,
   * when they are confirmed, when windows open and end; "all" after a reorganisation, and when the mirror became stale or is so
   * no longer.
   *
   * @returns What ends it.
   */
  onChange(listener: ChangeListener): () => void;
  /**
   * Reads to the latest block now.
   *
   * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED, CHAIN_REORGANISED (again and again while it was read), EVENTS_MISSING,
   *         CANCELLED (closed). The mirror goes on trying by itself.
   */
  catchUp(): Promise<void>;
  /** Ends all that the mirror does; from then on it allows nothing. */
  close(): Promise<void>;
}

/** Takes the ids of devices. What it throws, and what a promise it returns ends with, goes to `onError`. */
export type ChangeListener = (devices: readonly string[] | "all") => unknown;

/**
 * Opens a mirror of who may do what: reads all that was done up to the latest block, and then follows the chain.
 *
 * **When it allows.** Something is allowed if it was after every transaction since the block that is `confirmations` deep. So a grant
 * counts once it is that deep, and a revoke, a suspension, a sale or the end of a role at first sight; what was granted again after it
 * had ended counts anew. A reorganisation that is not deeper than that can take no yes back.
 *
 * **Time.** A window has opened when the latest block and the local clock both have reached its begin; it has ended when the local
 * clock has reached its end, or the latest block's time and the seconds since it came together have. Nobody gets in early by a clock
 * that is fast, nor stays for a chain that is slow.
 *
 * **Staleness.** Without a newer block for longer than `staleAfter` everything is denied as Stale until one comes, whatever the
 * reason: no connection, or a node that stands still.
 *
 * @returns The mirror, as soon as it knows the latest block.
 * @throws TouchstoneError INVALID_ARGUMENT, WRONG_CHAIN and others of connectTouchstone, CHAIN_UNREACHABLE, RPC_FAILED,
 *         CHAIN_REORGANISED, EVENTS_MISSING, CANCELLED.
 * @example
 * const mirror = await openPolicyMirror({ touchstone });
 * mirror.onChange((devices) => askAgain(devices));
 * const { allowed, reason } = mirror.explain({ device, account, permissions: ["ReadLive"], purpose: "CustomerCare" });
 */
export async function openPolicyMirror(options: PolicyMirrorOptions): Promise<PolicyMirror> {
  const mirror = new Mirror(options);
  try {
    await mirror.open();
    return mirror;
  } catch (error) {
    await mirror.close();
    throw error;
  }
}

// ------------------------------------------------------------------ private

/** Blocks below the confirmed one that are kept to be taken back: two epochs of Ethereum, after which blocks are final. */
const KEPT_CONFIRMED = 64;
/** Blocks to read at a time where they are old. */
const PAGE_BLOCKS = 10_000;
/** How often reading begins again when the chain changes meanwhile. */
const MOST_TRIES = 3;
/** Milliseconds: the longest pause after failures, and the longest time that a timer takes. */
const LONGEST_PAUSE = 10_000;
const LONGEST_TIMER = 2 ** 31 - 1;

const DECIDING: readonly ContractName[] = ["RoleRegistry", "DeviceRegistry", "DataAccess"];

interface KeptBlock {
  readonly header: BlockHeader;
  /** The events of each transaction. */
  transactions: TouchstoneEvent[][];
  /** What takes its events back from the confirmed state; undefined while they are pending. */
  undos: (() => void)[] | undefined;
}

/** Events of fleets that were not followed yet, where a device comes to them. */
interface LateEvents {
  fleets: string[];
  /** Of blocks that are not kept. */
  old: TouchstoneEvent[];
  /** By number of a block that is kept. */
  kept: Map<number, TouchstoneEvent[]>;
}

class Mirror implements PolicyMirror {
  readonly #touchstone: Touchstone;
  readonly #confirmations: number;
  readonly #staleAfter: number;
  readonly #pollingInterval: number;
  readonly #devices: readonly string[] | undefined;
  readonly #onError: (error: unknown) => void;
  readonly #now: () => number;
  readonly #signal: AbortSignal | undefined;
  readonly #closing = new AbortController();
  readonly #source: MirrorSource;

  /** The owners of the devices, where only some are followed. */
  readonly #fleets = new Set<string>();
  /** The state of the confirmed block. */
  #base = new AccessState();
  #pending = new PendingEvents([]);
  /** The latest blocks without a gap, the oldest first; of that one nothing is kept but the header. */
  #kept: KeptBlock[] = [];
  /** Whether the kept blocks reach up to the latest; else it reads the chain anew. */
  #isWhole = false;
  #head: BlockHeader | undefined;
  /** Number of the block whose state the base is. */
  #confirmed = 0;
  /** When the latest block came: by the local clock, and by one that nobody sets. */
  #heard = { clock: 0, steady: 0 };
  #failure: TouchstoneError | undefined;
  #failures = 0;

  readonly #listeners = new Set<ChangeListener>();
  readonly #begins = createDeadlines();
  readonly #ends = createDeadlines();
  /** Of devices and fleets, as `keyOf` has them. */
  #changed: Set<string> | "all" = new Set();
  #wasStale = true;

  #running: Promise<void> = Promise.resolve();
  #pollTimer: NodeJS.Timeout | undefined;
  #dueTimer: NodeJS.Timeout | undefined;

  constructor(options: PolicyMirrorOptions) {
    this.#touchstone = options.touchstone;
    this.#confirmations = requireCount("confirmations", options.confirmations ?? 12);
    this.#staleAfter = requireCount("staleAfter", Number(options.staleAfter ?? 60n));
    this.#pollingInterval = requireCount("pollingInterval", options.pollingInterval ?? 4000);
    this.#devices = options.devices?.map((device) => requireAddress("devices", device));
    this.#onError = options.onError ?? ignore;
    this.#now = options.now ?? Date.now;
    this.#signal = options.signal;
    this.#source = createMirrorSource({ touchstone: options.touchstone, signal: this.#closing.signal });
  }

  async open(): Promise<void> {
    this.#signal?.addEventListener("abort", this.#abort);
    if (this.#signal?.aborted === true) this.#abort();
    await checkDeployment({ touchstone: this.#touchstone });
    const { signal } = this.#closing;
    await persist({ retries: MOST_TRIES, retryDelay: 500, signal }, () => this.catchUp());
    this.#scheduleLook();
  }

  // ---------------------------------------------------------------- answers

  explain(question: AccessQuestion): MirrorAnswer {
    const masked = this.#base.masksOf(question);
    const { block, confirmedBlock, staleness } = this.state;
    const reason = this.#decide(masked);
    return {
      allowed: reason !== "Unconfirmed" && reason !== "Stale" && isYes(reason),
      reason,
      block,
      confirmedBlock,
      staleness,
    };
  }

  isAllowed(question: AccessQuestion): boolean {
    const reason = this.#decide(this.#base.masksOf(question));
    return reason !== "Unconfirmed" && reason !== "Stale" && isYes(reason);
  }

  explainMasks(device: string, account: string, permissions: number, purpose: number): MirrorReason {
    return this.#decide({ device, account, permissions, purpose });
  }

  get state(): MirrorState {
    return {
      block: this.#head?.number ?? 0,
      blockHash: this.#head?.hash ?? "",
      timestamp: this.#head?.timestamp ?? 0n,
      confirmedBlock: this.#confirmed,
      staleness: BigInt(Math.floor(this.#staleness())),
      isStale: this.#isStale(),
      failure: this.#failure,
    };
  }

  #decide(question: MaskedQuestion): MirrorReason {
    if (this.#isStale()) return "Stale";
    const { earliest, latest } = this.#present();
    return this.#pending.decide(this.#base, question, earliest, latest);
  }

  // ---------------------------------------------------------------- time

  /** The moments between which the present is, in Unix seconds: see openPolicyMirror. */
  #present(): { earliest: number; latest: number } {
    const block = Number(this.#head?.timestamp ?? 0n);
    const local = this.#now() / 1000;
    return { earliest: Math.min(block, local), latest: Math.max(block + this.#sinceHeard(), local) };
  }

  /** Seconds since the latest block came: a clock that is set back does not make them fewer. */
  #sinceHeard(): number {
    const { clock, steady } = this.#heard;
    return Math.max(0, this.#now() - clock, performance.now() - steady) / 1000;
  }

  #staleness(): number {
    const age = this.#now() / 1000 - Number(this.#head?.timestamp ?? 0n);
    return Math.max(age, this.#sinceHeard());
  }

  #isStale(): boolean {
    return this.#closing.signal.aborted || !this.#isWhole || Math.floor(this.#staleness()) > this.#staleAfter;
  }

  #setHead(header: BlockHeader): void {
    if (this.#head?.hash === header.hash) return;
    this.#head = header;
    this.#heard = { clock: this.#now(), steady: performance.now() };
  }

  // ---------------------------------------------------------------- listeners

  onChange(listener: ChangeListener): () => void {
    // A function of its own each time, so that who listens twice can end one.
    const own: ChangeListener = (devices) => listener(devices);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  /** Tells of what changed meanwhile, by events and by time, and sets the timer for what will change next. */
  #tell(): void {
    const isStale = this.#isStale();
    if (isStale !== this.#wasStale) this.#changed = "all";
    this.#wasStale = isStale;
    const { earliest, latest } = this.#present();
    for (const key of [...this.#begins.takeUntil(earliest), ...this.#ends.takeUntil(latest)]) this.#note(key);

    const changed = this.#changed;
    this.#changed = new Set();
    const devices = changed === "all" ? changed : this.#devicesAt(changed);
    if (devices === "all" || devices.length > 0) {
      // Those of now: one that ends and begins again while it is told would else be told for ever.
      for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) this.#inform(listener, devices);
    }
    this.#setDueTimer(latest, isStale);
  }

  #setDueTimer(latest: number, isStale: boolean): void {
    clearTimeout(this.#dueTimer);
    if (this.#closing.signal.aborted) return;
    const untilEnd = (this.#ends.next() ?? Infinity) - latest;
    const untilStale = isStale ? Infinity : this.#staleAfter + 1 - this.#staleness();
    const seconds = Math.min(untilEnd, untilStale);
    if (seconds === Infinity) return;
    const delay = Math.min(LONGEST_TIMER, Math.max(1, Math.ceil(seconds * 1000)));
    this.#dueTimer = setTimeout(() => {
      this.#tell();
    }, delay);
  }

  #note(key: string): void {
    if (this.#changed !== "all") this.#changed.add(key);
  }

  #noteEvent(event: TouchstoneEvent): void {
    const subject = subjectOf(event);
    if (subject !== undefined) this.#note(keyOf(subject));
  }

  #devicesAt(keys: Set<string>): string[] {
    const devices = new Set<string>();
    for (const key of keys) {
      const id = key.slice(1);
      if (key.startsWith(DEVICE)) devices.add(id);
      else for (const each of [...this.#base.devicesOf(id), ...this.#pending.newDevicesOf(id)]) devices.add(each);
    }
    return [...devices];
  }

  #inform(listener: ChangeListener, devices: readonly string[] | "all"): void {
    const report = (error: unknown): void => {
      this.#report(error);
    };
    try {
      const told = listener(devices);
      // Nobody else waits for one that is asynchronous: its failure would end the process.
      if (told instanceof Promise) told.catch(report);
    } catch (error) {
      report(error);
    }
  }

  #report(error: unknown): void {
    try {
      this.#onError(error);
    } catch {
      // What is told of errors must not stop what goes on.
    }
  }

  // ---------------------------------------------------------------- following

  catchUp(): Promise<void> {
    // One after the other: what is read depends on what is known.
    this.#running = this.#running.catch(ignore).then(() => this.#look());
    return this.#running;
  }

  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#abort();
    await this.#running.catch(ignore);
  }

  readonly #abort = (): void => {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(this.#signal?.reason);
    clearTimeout(this.#pollTimer);
    this.#tell();
    this.#listeners.clear();
  };

  #scheduleLook(): void {
    if (this.#closing.signal.aborted) return;
    const delay = this.#pollingInterval * 2 ** Math.min(Math.max(0, this.#failures - 1), 16);
    const longest = Math.min(LONGEST_TIMER, Math.max(this.#pollingInterval, LONGEST_PAUSE));
    this.#pollTimer = setTimeout(
      () => {
        void this.catchUp()
          .catch((error: unknown) => {
            this.#report(error);
          })
          .then(() => {
            this.#scheduleLook();
          });
      },
      Math.min(delay, longest),
    );
  }

  async #look(): Promise<void> {
    try {
      await this.#lookAgain();
      this.#failure = undefined;
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      if (error instanceof TouchstoneError) this.#failure = error;
      throw error;
    } finally {
      this.#tell();
    }
  }

  async #lookAgain(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#follow();
        return;
      } catch (error) {
        const isReorganised = error instanceof TouchstoneError && error.code === "CHAIN_REORGANISED";
        if (!isReorganised || tries === MOST_TRIES) throw error;
      }
    }
  }

  async #follow(): Promise<void> {
    const latest = await this.#source.header("latest");
    if (this.#kept.length === 0) {
      // Before it nothing was done.
      this.#keepFrom(await this.#source.header(this.#touchstone.firstBlock));
    }
    const known = this.#keptAt(latest.number);
    if (known?.header.hash !== latest.hash) {
      this.#requireWithin(latest);
      while (latest.number - this.#end().header.number > this.#depth()) await this.#readOld(latest);
      await this.#readRecent(latest);
    }
    // A node that is behind what is known already tells nothing: what was seen stays until other blocks take its place.
    if (this.#end().header.number >= latest.number) this.#isWhole = true;
  }

  /** How many blocks are read by their hash, and kept. */
  #depth(): number {
    return this.#confirmations + KEPT_CONFIRMED;
  }

  #requireWithin(latest: BlockHeader): void {
    const oldest = this.#kept[0]?.header.number ?? 0;
    if (latest.number >= oldest) return;
    throw new TouchstoneError(
      "RPC_FAILED",
      `The node's latest block is ${latest.number}, but block ${oldest} is known: it is behind, ask another.`,
      { details: { latest: latest.number, known: oldest } },
    );
  }

  // ---------------------------------------------------------------- old blocks

  /** Reads a page of what is too far behind to be kept; nothing is allowed until all is read. */
  async #readOld(latest: BlockHeader): Promise<void> {
    const former = this.#end().header;
    if (this.#isWhole) {
      this.#isWhole = false;
      this.#tell();
    }
    if ((await this.#source.header(former.number)).hash !== former.hash) throw this.#lost();
    const to = Math.min(former.number + PAGE_BLOCKS, latest.number - this.#depth());
    const { events, end } = await this.#source.range(former.number + 1, to, this.#filter());
    const { fleets } = this.#newOwners(events);
    const late =
      fleets.length === 0 ? [] : (await this.#source.range(this.#touchstone.firstBlock, to, { fleets })).events;
    this.#orLose(() => {
      for (const block of this.#kept) {
        if (block.undos === undefined) this.#settle(block);
      }
      for (const event of [...late, ...events]) this.#takeOld(event);
      for (const fleet of fleets) this.#fleets.add(fleet);
      this.#keepFrom(end);
    });
  }

  #takeOld(event: TouchstoneEvent): void {
    this.#base.apply(event);
    this.#expect(event);
  }

  #keepFrom(header: BlockHeader): void {
    this.#kept = [{ header, transactions: [], undos: [] }];
    this.#pending = new PendingEvents([]);
    this.#confirmed = header.number;
    this.#setHead(header);
  }

  // ---------------------------------------------------------------- recent blocks

  async #readRecent(latest: BlockHeader): Promise<void> {
    const headers = await this.#newHeaders(latest);
    const filter = this.#filter();
    const events = await this.#source.blocks(headers, filter);
    const late = await this.#readLate(headers, events.flat());
    this.#orLose(() => {
      this.#take(headers, events, late);
    });
  }

  /** The headers from behind the newest block that is kept and on the chain, up to the latest. */
  async #newHeaders(latest: BlockHeader): Promise<BlockHeader[]> {
    const from = this.#end().header.number + 1;
    const numbers = Array.from({ length: Math.max(0, latest.number - from) }, (_, place) => from + place);
    const headers = [...(await this.#source.headers(numbers)), latest];
    if (headers.some((header, place) => place > 0 && !isAfter(header, headers[place - 1]))) {
      throw reorganised("The chain changed while its blocks were read.");
    }
    for (let first = headers[0] ?? latest; ;) {
      const parent = this.#keptAt(first.number - 1);
      if (parent === undefined) throw this.#lost();
      if (parent.header.hash === first.parentHash) return headers;
      first = await this.#source.header(isNamed(first) ? { hash: first.parentHash } : first.number - 1);
      if (parent.header.hash === first.hash) return headers;
      headers.unshift(first);
    }
  }

  /** Where only some devices are followed: all that was done in fleets that own one of them from now on. */
  async #readLate(headers: readonly BlockHeader[], events: readonly TouchstoneEvent[]): Promise<LateEvents> {
    const { fleets } = this.#newOwners(events);
    const [oldest, ...kept] = this.#kept;
    if (fleets.length === 0 || oldest === undefined) return { fleets, old: [], kept: new Map() };
    const ancestor = (headers[0]?.number ?? 0) - 1;
    const { firstBlock } = this.#touchstone;
    const blocks = [...kept.map(({ header }) => header).filter(({ number }) => number <= ancestor), ...headers];
    const [{ events: old, end }, recent] = [
      await this.#source.range(firstBlock, oldest.header.number, { fleets }),
      await this.#source.blocks(blocks, { fleets }),
    ];
    if (end.hash !== oldest.header.hash) throw this.#lost();
    return { fleets, old, kept: new Map(blocks.map(({ number }, place) => [number, recent[place] ?? []])) };
  }

  /** All at once, so that no answer is given in between. */
  #take(headers: readonly BlockHeader[], events: readonly TouchstoneEvent[][], late: LateEvents): void {
    const ancestor = (headers[0]?.number ?? 0) - 1;
    for (let last = this.#end(); last.header.number > ancestor; last = this.#end()) {
      this.#unsettle(last);
      this.#kept.pop();
      this.#changed = "all";
    }
    this.#takeLate(late);
    headers.forEach((header, place) => {
      const own = [...(events[place] ?? []), ...(late.kept.get(header.number) ?? [])];
      own.sort((a, b) => a.cursor.logIndex - b.cursor.logIndex);
      for (const event of own) {
        this.#noteEvent(event);
        this.#expect(event);
      }
      this.#kept.push({ header, transactions: transactionsIn(own), undos: undefined });
    });
    this.#confirm();
    this.#setHead(this.#end().header);
  }

  #takeLate(late: LateEvents): void {
    for (const event of late.old) this.#takeOld(event);
    for (const block of this.#kept) {
      const events = late.kept.get(block.header.number) ?? [];
      for (const event of events) this.#expect(event);
      // They concern no other record than those of their fleet, which nothing knew: so they can be applied after what followed.
      block.undos?.push(...events.map((event) => this.#base.apply(event)));
      const all = [...block.transactions.flat(), ...events].sort((a, b) => a.cursor.logIndex - b.cursor.logIndex);
      block.transactions = transactionsIn(all);
    }
    for (const fleet of late.fleets) this.#fleets.add(fleet);
  }

  /** Brings the base to the confirmed block, and makes all else pending. */
  #confirm(): void {
    const confirmed = this.#end().header.number - this.#confirmations + 1;
    // A chain that became shorter confirms less than before.
    for (const block of this.#kept.slice(1).reverse()) {
      if (block.header.number > confirmed) this.#unsettle(block);
    }
    for (const block of this.#kept) {
      if (block.undos !== undefined || block.header.number > confirmed) continue;
      this.#settle(block);
      if (this.#confirmations > 1)
        block.transactions.flat().forEach((event) => {
          this.#noteEvent(event);
        });
    }
    while (this.#kept.length > this.#depth() + 1) this.#kept.shift();
    const oldest = this.#kept[0];
    if (oldest !== undefined) Object.assign(oldest, { transactions: [], undos: [] });
    this.#confirmed = this.#kept.findLast(({ undos }) => undos !== undefined)?.header.number ?? 0;
    const transactions = this.#kept.filter(({ undos }) => undos === undefined).flatMap((block) => block.transactions);
    this.#requireComplete(transactions);
    this.#pending = new PendingEvents(transactions);
  }

  /** So that no answer can fail: what is pending must follow from the base. */
  #requireComplete(transactions: readonly (readonly TouchstoneEvent[])[]): void {
    const undos = transactions.flat().map((event) => this.#base.apply(event));
    for (const undo of undos.reverse()) undo();
  }

  #settle(block: KeptBlock): void {
    block.undos = block.transactions.flat().map((event) => this.#base.apply(event));
  }

  #unsettle(block: KeptBlock): void {
    for (const undo of block.undos?.reverse() ?? []) undo();
    block.undos = undefined;
  }

  // ---------------------------------------------------------------- what is followed

  #filter(): EventFilter {
    if (this.#devices === undefined) return { contracts: DECIDING };
    return { devices: this.#devices, fleets: [...this.#fleets] };
  }

  #newOwners(events: readonly TouchstoneEvent[]): { fleets: string[] } {
    if (this.#devices === undefined) return { fleets: [] };
    const owners = new Set(events.flatMap((event) => newOwnerIn(event) ?? []));
    return { fleets: [...owners].filter((owner) => !this.#fleets.has(owner)) };
  }

  /** Remembers when the windows of a grant or of roles open and end. */
  #expect(event: TouchstoneEvent): void {
    const subject = subjectOf(event);
    const window = windowIn(event);
    if (subject === undefined || window === undefined) return;
    const { earliest, latest } = this.#present();
    const [begin, end] = [Number(window.notBefore), Number(window.expiry)];
    if (begin > earliest) this.#begins.add(begin, keyOf(subject));
    if (window.expiry !== FOREVER && end > latest) this.#ends.add(end, keyOf(subject));
  }

  // ---------------------------------------------------------------- the blocks

  #end(): KeptBlock {
    const last = this.#kept.at(-1);
    if (last !== undefined) return last;
    throw this.#lost();
  }

  #keptAt(number: number): KeptBlock | undefined {
    return this.#kept[number - (this.#kept[0]?.header.number ?? 0)];
  }

  /** Forgets everything, where what is known does not lead to what the chain is now. */
  #lost(): TouchstoneError {
    this.#forget();
    return reorganised("The chain is another than the one that was read, deeper than what is kept: it is read anew.");
  }

  #orLose(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  #forget(): void {
    this.#base = new AccessState();
    this.#pending = new PendingEvents([]);
    this.#kept = [];
    this.#fleets.clear();
    this.#begins.clear();
    this.#ends.clear();
    this.#isWhole = false;
    this.#changed = "all";
    this.#tell();
  }
}

const DEVICE = "d";
const FLEET = "f";

function keyOf({ kind, id }: { kind: "device" | "fleet"; id: string }): string {
  return `${kind === "device" ? DEVICE : FLEET}${id}`;
}

function windowIn(event: TouchstoneEvent): { notBefore: bigint; expiry: bigint } | undefined {
  if (event.name === "AccessGranted") return grantInWord(event.args.word);
  return event.name === "RolesSet" ? event.args : undefined;
}

/** Events that follow each other in one transaction belong together. */
function transactionsIn(events: readonly TouchstoneEvent[]): TouchstoneEvent[][] {
  const transactions: TouchstoneEvent[][] = [];
  for (const event of events) {
    const last = transactions.at(-1);
    if (last?.[0]?.transactionHash === event.transactionHash) last.push(event);
    else transactions.push([event]);
  }
  return transactions;
}

/** The simulator of Hardhat mines many blocks at once that name no parent; other chains have no such block but their first. */
function isNamed({ parentHash }: BlockHeader): boolean {
  return parentHash !== ZERO_HASH;
}

function isAfter(header: BlockHeader, before: BlockHeader | undefined): boolean {
  return !isNamed(header) || header.parentHash === before?.hash;
}

function reorganised(message: string): TouchstoneError {
  return new TouchstoneError("CHAIN_REORGANISED", message);
}

function requireCount(argument: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new TouchstoneError("INVALID_ARGUMENT", `${argument}: ${value} is no whole number from 1 on.`, {
    details: { argument, value },
  });
}

function ignore(): void {
  // Told elsewhere.
}
