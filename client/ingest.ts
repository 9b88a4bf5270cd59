import { CLOCK_TOLERANCE, DEFAULT_VALID_FOR, head, isFleetLog } from "./anchors.js";
import { requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import { commitmentOf, createBatchBuilder, type Batch, type BatchBuilder, type Measurement } from "./batches.js";
import { latestBlock } from "./blocks.js";
import { BULK_LIMITS } from "./bulk.js";
import { checkDeployment, type Touchstone } from "./connect.js";
import type { AnchorKind, TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { Anchoring, type AnchoringLimits, type AnchoringState } from "./ingest-anchoring.js";
import type { Key } from "./keys.js";
import { openOutbox } from "./outbox.js";
import type { ReadingSource, SourceItem } from "./reading-sources.js";
import { persist, requireNotAborted } from "./retries.js";
import { eraseSeeds, saltsOf } from "./seed-tree.js";
import { openSpool, type Anchored, type Aside, type CutBatch, type Spool } from "./spool.js";
import { spooledBatch } from "./spooled-batches.js";

// ------------------------------------------------------------------ what it takes and gives

/** When readings become a batch. One of these is enough; at the end of a source and by `flush` they do so too. */
export interface CutRules {
  /** As soon as there are so many; 4,096 unless told. */
  count?: number;
  /** Milliseconds after the first of them became durable; a minute unless told. */
  age?: number;
  /** As soon as there is one that cannot wait, such as one beyond a threshold. */
  alarm?: (reading: Measurement) => boolean;
}

/** How much is held and sent at once, and for how long is waited. */
export interface IngestLimits extends AnchoringLimits {
  /** Readings made durable at once, at most. */
  group: number;
  /** Milliseconds for which a reading from a source waits for others, to become durable with them. */
  groupDelay: number;
  /** Readings that may be durable and not anchored yet; what comes then waits. */
  waitingReadings: number;
  /** Bytes of their payloads. */
  waitingBytes: number;
  /** Bytes of one payload, at most. */
  payloadBytes: number;
  /** Bytes that readings may fill on the disk; all that it has unless told. */
  diskBytes?: number | undefined;
}

export const INGEST_LIMITS: Readonly<IngestLimits> = {
  ...BULK_LIMITS,
  items: 100,
  blockedInterval: 15_000,
  group: 4_096,
  groupDelay: 5,
  waitingReadings: 10_000_000,
  waitingBytes: 2 ** 31,
  payloadBytes: 2 ** 20,
};

export interface IngestOptions {
  /** The contracts, connected with the signer who sends. */
  touchstone: Touchstone;
  /** Path of the database that readings are kept in. It is that of one log, and of one process at a time. */
  spool: string;
  /** As deviceLogId or fleetLogId give it. Nobody else may write the log. */
  logId: string;
  /** The key of the log's device, whose id is in the log's; none for the log of a fleet. */
  key?: Key;
  /** What batches are hashed with; Keccak256 unless told. */
  tree?: TreeHash;
  /** What the batches are; Data unless told, Receipts and AccessLog in fleet logs only. */
  kind?: "Data" | "Receipts" | "AccessLog";
  cut?: CutRules;
  /** Blocks to wait for, the anchor's own included; 1 unless told. Take more where the chain may take blocks back. */
  confirmations?: number;
  /** Names the latest block in each anchor, which shows that it is not older than that; not unless told. */
  fresh?: boolean;
  /** Seconds until which a signed anchor can be sent, at least 60; one day unless told. */
  validFor?: bigint;
  limits?: Partial<IngestLimits>;
  /** Called whenever something is other than before. */
  onProgress?: (status: IngestStatus) => void;
  /** Ends all work at the next moment at which it waits. What was taken is in the spool. */
  signal?: AbortSignal;
  /** Unix milliseconds; the clock of the system unless told. */
  now?: () => bigint;
}

/** How it stands. */
export interface IngestStatus {
  /** Readings that are durable. */
  readings: number;
  /** Of those the ones in no batch yet. */
  pending: number;
  /** What is kept aside. */
  aside: number;
  /** Numbers of batches, gaps and corrections made of the spool: each is in all that come before it. */
  batches: { cut: number; signed: number; anchored: number; final: number };
  /** What is durable and not anchored. */
  waiting: { readings: number; bytes: number };
  /** Sequence number of the next reading. */
  nextSeq: bigint;
  /** Index of the next batch. */
  nextIndex: bigint;
  state: AnchoringState;
  /** Why it waits, is blocked or has failed. */
  error?: TouchstoneError;
}

/** A reading that someone brings. */
export interface PushedReading extends Measurement {
  /** Its number among all that this someone brings: what is not above the last one was taken before. */
  position?: bigint;
}

/** What became of readings that someone brought. All are durable. */
export interface Taken {
  /** Those that are readings of the log now. */
  added: number;
  /** Those that were taken before. */
  doubled: number;
  /** Those that are kept aside. */
  aside: number;
}

/** Takes readings, keeps them, and anchors them. */
export interface Ingest {
  /**
   * Takes all that the source has, and waits until it is anchored, also while someone has to do something first: `onProgress`
   * tells. A source that was taken before goes on behind the last reading that is durable.
   *
   * @throws TouchstoneError
   *   - SPOOL_FULL, SPOOL_FAILED, and whatever the source throws, such as SOURCE_CHANGED: what was taken is anchored
   *     nevertheless, and the same source goes on from there when it is given again;
   *   - LOG_CONFLICT and all else that `status` has as Failed; CANCELLED.
   */
  run(source: ReadingSource): Promise<IngestStatus>;
  /**
   * Takes readings. When it has returned they are durable, and whoever brought them may forget them.
   *
   * @param options.wait Whether to wait when more readings wait to be anchored than may; it does unless told.
   * @param options.source Under this name the last `position` is kept; "append" unless told.
   * @throws TouchstoneError INVALID_ARGUMENT, INGEST_BEHIND (with `wait: false`), SPOOL_FULL, SPOOL_FAILED, CANCELLED: then
   *         none of them was taken.
   */
  append(readings: readonly PushedReading[], options?: { wait?: boolean; source?: string }): Promise<Taken>;
  /** Makes a batch of the readings that are in none. */
  flush(): Promise<void>;
  /** Does what `flush` does, and waits until all is anchored as deep as was asked. Throws as `run` does. */
  settle(): Promise<IngestStatus>;
  /**
   * Declares readings lost, so that the log can go on behind them.
   *
   * @param gap.firstSeq Where they begin: `nextSeq` of the status.
   * @returns Index that its anchor has.
   * @throws TouchstoneError LOG_GAP if they begin elsewhere; INVALID_ARGUMENT.
   */
  declareGap(gap: { firstSeq: bigint; count: bigint; tFirst: bigint; tLast: bigint }): Promise<bigint>;
  /**
   * Corrects readings that are in the log. Both stay readable.
   *
   * @param correction.supersedes Index of the anchor that has all of them: their batch, gap, or last correction.
   * @returns Index that its anchor has.
   * @throws TouchstoneError INVALID_ARGUMENT, also if the anchor does not have them; of one that is older than the spool, that
   *         cannot be known.
   */
  correct(correction: { supersedes: bigint; firstSeq: bigint; readings: readonly Measurement[] }): Promise<bigint>;
  /** What is kept aside, from the first to the last. */
  aside(): Iterable<Aside>;
  status(): IngestStatus;
  /**
   * The batch that a reading is in, for proofs.
   *
   * @throws TouchstoneError NOT_FOUND if it is in none.
   */
  batchOf(seq: bigint): Batch;
  /**
   * The batch of an anchor, corrections included.
   *
   * @throws TouchstoneError NOT_FOUND if there is none, or it is a gap.
   */
  batchAt(index: bigint): Batch;
  /** Where the chain has the anchor of this index; undefined as long as it has not. */
  anchorAt(index: bigint): Anchored | undefined;
  /**
   * Erases the payload of a reading and its salt, from its corrections too, for ever. The log goes on to prove that it was
   * there, and when; how long its payload was stays known to the spool. What is kept aside stays, and copies of the spool
   * are the caller's to erase.
   *
   * @throws TouchstoneError NOT_FOUND if there is no such reading.
   */
  erase(seq: bigint): Promise<void>;
  /** Ends all work and frees the spool. */
  close(): Promise<void>;
}

/** Anchors that a message names, at most. */
const SHOWN_ANCHORS = 8;
/** March 1973. What is below is no time in milliseconds, but one in seconds, or of a clock that was never set. */
const TIME_BEGIN = 10n ** 11n;
const TOO_EARLY = "is before March 1973: give Unix milliseconds, not seconds, of a clock that is set";
const TIME_END = 2n ** 48n;
/** What is valid for less is over before a chain has taken it. */
const LEAST_VALID_FOR = 60n;

/**
 * Opens an ingest. It begins at once to anchor what its spool holds, and goes on with it until it is closed.
 *
 * Each reading is durable before it is anything else, in the order in which it came. A batch is durable before the device
 * signs it, and never changes after: whatever happens, the device signs one content for one index of the log. Killed at any
 * moment and opened again it goes on; no reading is lost, doubled, or in another place.
 *
 * @throws TouchstoneError
 *   - SPOOL_LOCKED, SPOOL_MISMATCH, SPOOL_INVALID, SPOOL_FULL, SPOOL_FAILED;
 *   - FILE_MISSING (its folder), FILE_IS_DIRECTORY, FILE_UNREADABLE, INVALID_ARGUMENT, RUNNER_READ_ONLY;
 *   - CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED, and what checkDeployment throws, for a new spool: where its log ends, the chain
 *     must tell. With one that was begun before, an ingest also opens while the chain is down: connect with `unchecked`.
 */
export async function openIngest(options: IngestOptions): Promise<Ingest> {
  const { touchstone, key, tree = "Keccak256", limits: given = {}, confirmations = 1 } = options;
  const logId = requireHex("logId", options.logId, 32).toLowerCase();
  const limits = requireLimits({ ...INGEST_LIMITS, ...given }, options.cut ?? {});
  requireFitting(logId, options);
  const validFor = requireUint("validFor", options.validFor ?? DEFAULT_VALID_FOR, 40);
  if (validFor < LEAST_VALID_FOR) throw invalid("validFor", validFor, `give at least ${LEAST_VALID_FOR} seconds`);
  requireWhole("confirmations", confirmations, 1);
  requireNotAborted(options.signal);
  const ended = new AbortController();
  const signal = options.signal === undefined ? ended.signal : AbortSignal.any([ended.signal, options.signal]);
  let anchoring: Anchoring | undefined;
  const onRetry = (error: unknown): void => anchoring?.delayed(error);
  const persistence = { retries: limits.retries, retryDelay: limits.retryDelay, signal, onRetry };
  const outbox = await openOutbox({ touchstone, persistence, maxFeePerGas: limits.maxFeePerGas });
  const spool = await openSpool({
    path: options.spool,
    about: { chainId: `${touchstone.chainId}`, dataAnchor: touchstone.addresses.DataAnchor, logId, tree },
    maxBytes: limits.diskBytes,
    async start() {
      await persist(persistence, () => checkDeployment({ touchstone }));
      const block = await persist(persistence, () => latestBlock(touchstone.provider));
      const { size, nextSeq, lastMeasured } = await persist(persistence, () => head({ touchstone, logId }));
      return { index: size, seq: nextSeq, lastMeasured, block };
    },
  });
  try {
    const { fresh = false } = options;
    return new RunningIngest({ options, spool, logId, tree, limits, ended, signal }, (onChange) => {
      const parts = { touchstone, spool, outbox, logId, tree, key, confirmations, fresh, validFor };
      anchoring = new Anchoring({ ...parts, limits, persistence, signal, onChange });
      return anchoring;
    });
  } catch (error) {
    spool.close();
    throw error;
  }
}

/** Readings that become durable together. */
interface Group {
  source: string;
  items: readonly (SourceItem | PushedItem)[];
  /** Payload bytes. */
  bytes: number;
  resolve: (taken: Taken) => void;
  reject: (error: unknown) => void;
}

/** A reading of `append`; its position is a number, and there may be none. */
interface PushedItem extends Measurement {
  position?: bigint | undefined;
  raw?: undefined;
}

interface Parts {
  options: IngestOptions;
  spool: Spool;
  logId: string;
  tree: TreeHash;
  limits: IngestLimits;
  /** Ends the ingest from within. */
  ended: AbortController;
  signal: AbortSignal;
}

class RunningIngest implements Ingest {
  readonly #options: IngestOptions;
  readonly #spool: Spool;
  readonly #limits: IngestLimits;
  readonly #logId: string;
  readonly #tree: TreeHash;
  readonly #signal: AbortSignal;
  readonly #ended: AbortController;
  readonly #cut: Required<CutRules>;
  readonly #now: () => bigint;
  readonly #anchoring: Anchoring;
  readonly #anchored: Promise<void>;

  /** Waits for something to change: room, the end of the anchoring. */
  readonly #watchers = new Set<() => void>();
  readonly #queue: Group[] = [];
  /** Names of the sources that are being taken. */
  readonly #running = new Set<string>();
  #isCommitting = false;
  #isFull = false;
  #isTelling = false;
  #age: NodeJS.Timeout | undefined;
  #isClosed = false;

  // What follows from the spool.
  #builder: BatchBuilder | undefined;
  #length = 0;
  #asides = 0;
  #firstPending = 1;
  #pendingBytes = 0;
  /** Batches that are cut and not anchored. */
  #unanchored = { readings: 0, bytes: 0 };
  #nextSeq = 0n;
  #nextIndex = 0n;
  #nextToSign = 0n;
  #lastMeasured = 0n;

  constructor(parts: Parts, startAnchoring: (onChange: () => void) => Anchoring) {
    const { options, spool, logId, tree, limits, ended, signal } = parts;
    this.#options = options;
    this.#spool = spool;
    this.#logId = logId;
    this.#tree = tree;
    this.#limits = limits;
    this.#ended = ended;
    this.#signal = signal;
    this.#cut = { count: 4_096, age: 60_000, alarm: () => false, ...options.cut };
    this.#now = options.now ?? (() => BigInt(Date.now()));
    this.#reload();
    this.#anchoring = startAnchoring(() => {
      this.#changed();
    });
    this.#weigh();
    if (this.#pending >= this.#cut.count) this.#flushNow();
    this.#anchored = this.#anchoring.run();
    signal.addEventListener("abort", () => {
      this.#tell();
    });
    this.#setAge();
  }

  // ---------------------------------------------------------------- taking

  async run(source: ReadingSource): Promise<IngestStatus> {
    this.#requireOpen();
    const { name } = source;
    if (this.#running.has(name)) throw invalid("source.name", name, "a source of this name is being taken already");
    this.#running.add(name);
    try {
      await this.#takeAll(source);
    } catch (error) {
      // What has come up to now need not wait for what comes later.
      await this.flush().catch(() => undefined);
      throw error;
    } finally {
      this.#running.delete(name);
    }
    return this.settle();
  }

  async append(readings: readonly PushedReading[], options: { wait?: boolean; source?: string } = {}): Promise<Taken> {
    this.#requireOpen();
    const { wait = true, source = "append" } = options;
    const items = readings.map((reading) => this.#checked(reading));
    const bytes = items.reduce((sum, { payload }) => sum + payload.length, 0);
    if (!wait && (this.#isFull || !this.#hasRoom(items.length, bytes))) throw this.#behind();
    return this.#submit({ source: `append ${source}`, items, bytes });
  }

  async flush(): Promise<void> {
    this.#requireOpen();
    // Behind all that was brought before.
    await this.#submit({ source: "", items: [], bytes: 0 });
    this.#flushNow();
  }

  async settle(): Promise<IngestStatus> {
    await this.flush();
    await this.#until(() => this.#anchoring.nextFinal >= this.#nextIndex && this.#anchoring.state === "Idle");
    return this.status();
  }

  async declareGap(gap: { firstSeq: bigint; count: bigint; tFirst: bigint; tLast: bigint }): Promise<bigint> {
    const firstSeq = requireUint("firstSeq", gap.firstSeq, 64);
    const count = requireUint("count", gap.count, 33);
    const [tFirst, tLast] = [requireUint("tFirst", gap.tFirst, 48), requireUint("tLast", gap.tLast, 48)];
    await this.flush();
    // From here to the end nothing else has its turn.
    this.#flushNow();
    if (firstSeq !== this.#nextSeq) {
      throw new TouchstoneError(
        "LOG_GAP",
        `The next reading of the log ${this.#logId} is ${this.#nextSeq}, not ${firstSeq}: a gap begins there.`,
        { details: { logId: this.#logId, nextSeq: this.#nextSeq, firstSeq } },
      );
    }
    if (count === 0n || count > 2n ** 32n) throw invalid("count", count, "give 1 to 2^32");
    if (tFirst < this.#lastMeasured)
      throw invalid("tFirst", tFirst, `the log has readings until ${this.#lastMeasured}`);
    if (tLast < tFirst) throw invalid("tLast", tLast, `it is before tFirst, ${tFirst}`);
    const latest = this.#now() + CLOCK_TOLERANCE;
    if (tLast > latest) throw invalid("tLast", tLast, "it is more than an hour ahead of the clock");
    const index = this.#nextIndex;
    this.#write(() => {
      const content = { kind: "Gap", firstSeq, count, tFirst, tLast, supersedes: 0n, root: ZERO_HASH } as const;
      this.#addBatch({ index, ...content, firstReading: this.#length + 1, readings: 0, bytes: 0 }, []);
    });
    return index;
  }

  async correct(correction: {
    supersedes: bigint;
    firstSeq: bigint;
    readings: readonly Measurement[];
  }): Promise<bigint> {
    const { firstSeq, supersedes } = correction;
    requireUint("firstSeq", firstSeq, 64);
    const readings = correction.readings.map((reading) => this.#checked(reading));
    if (readings.length === 0) throw invalid("readings", 0n, "give at least one");
    await this.flush();
    // From here to the end nothing else has its turn.
    this.#flushNow();
    if (requireUint("supersedes", supersedes, 64) >= this.#nextIndex) {
      throw invalid("supersedes", supersedes, `the log has the anchors 0 to ${this.#nextIndex - 1n}`);
    }
    const end = firstSeq + BigInt(readings.length);
    if (end > this.#nextSeq)
      throw invalid("firstSeq", firstSeq, `only readings below ${this.#nextSeq} can be corrected`);
    this.#requireHas(supersedes, firstSeq, end);
    const latest = this.#now() + CLOCK_TOLERANCE;
    const index = this.#nextIndex;
    this.#write(() => {
      const builder = createBatchBuilder({ logId: this.#logId, firstSeq, tree: this.#tree });
      let bytes = 0;
      const firstReading = this.#length + 1;
      for (const reading of readings) {
        const { measuredAt, payload, contentFormat = 0 } = reading;
        if (measuredAt < TIME_BEGIN) throw invalid("measuredAt", measuredAt, `it ${TOO_EARLY}`);
        if (measuredAt > latest) throw invalid("measuredAt", measuredAt, "it is more than an hour ahead of the clock");
        this.#spool.append(++this.#length, { measuredAt, payload, contentFormat });
        builder.add(reading);
        bytes += payload.length;
      }
      const { count, tFirst, tLast, root, seeds } = builder.finish();
      const content = { kind: "Correction", firstSeq, count, tFirst, tLast, supersedes, root } as const;
      this.#addBatch({ index, ...content, firstReading, readings: readings.length, bytes }, seeds);
    });
    return index;
  }

  /** What a correction names has all that it corrects: else every audit finds it misdirected. */
  #requireHas(supersedes: bigint, firstSeq: bigint, past: bigint): void {
    const named = this.#spool.batch(supersedes);
    // What came before the spool, only the chain knows.
    if (named === undefined) return;
    const pastNamed = named.firstSeq + named.count;
    if (firstSeq >= named.firstSeq && past <= pastNamed) return;
    const having = this.#spool
      .batchesAmong(firstSeq, past, SHOWN_ANCHORS)
      .map((batch) => `anchor ${batch.index} has ${batch.firstSeq} to ${batch.firstSeq + batch.count - 1n}`);
    throw invalid(
      "supersedes",
      supersedes,
      `anchor ${supersedes} has the readings ${named.firstSeq} to ${pastNamed - 1n}, and not all of ${firstSeq} to ` +
        `${past - 1n}. Name one that has all that you correct, with a correction for each if they are several: ` +
        (having.length === 0 ? "those that have them are not in the spool" : having.join(", ")),
    );
  }

  // ---------------------------------------------------------------- looking

  aside(): Iterable<Aside> {
    return this.#spool.aside();
  }

  status(): IngestStatus {
    const { state, error, next, nextFinal } = this.#anchoring;
    const { index } = this.#spool.start;
    const nextToSign = this.#readSigned();
    return {
      readings: this.#length,
      pending: this.#pending,
      aside: this.#asides,
      batches: {
        cut: Number(this.#nextIndex - index),
        signed: Number((next > nextToSign ? next : nextToSign) - index),
        anchored: Number(next - index),
        final: Number(nextFinal - index),
      },
      waiting: this.#waiting,
      nextSeq: this.#nextSeq + BigInt(this.#pending),
      nextIndex: this.#nextIndex,
      state,
      ...(error === undefined ? {} : { error }),
    };
  }

  batchOf(seq: bigint): Batch {
    const batch = this.#spool.batchWith(seq);
    if (batch !== undefined) return this.#batchOf(batch);
    const isPending = seq >= this.#nextSeq && seq < this.#nextSeq + BigInt(this.#pending);
    throw new TouchstoneError(
      "NOT_FOUND",
      isPending
        ? `The reading ${seq} is in no batch yet: flush first.`
        : `The spool has no reading ${seq}: it has ${this.#spool.start.seq} to ${this.#nextSeq - 1n}.`,
      { details: { seq } },
    );
  }

  batchAt(index: bigint): Batch {
    const batch = this.#spool.batch(index);
    if (batch !== undefined) return this.#batchOf(batch);
    throw new TouchstoneError("NOT_FOUND", `The spool has no batch ${index}.`, { details: { index } });
  }

  anchorAt(index: bigint): Anchored | undefined {
    return this.#spool.anchoredAt(index);
  }

  #batchOf(batch: CutBatch): Batch {
    return spooledBatch({ spool: this.#spool, logId: this.#logId, tree: this.#tree, batch });
  }

  async erase(seq: bigint): Promise<void> {
    // What is in no batch has no salt yet that could be erased.
    await this.flush();
    const batches = this.#spool.batchesWith(requireUint("seq", seq, 64));
    if (batches.length === 0) this.batchOf(seq);
    for (const { index, firstSeq, count, firstReading } of batches) {
      const place = Number(seq - firstSeq);
      const id = firstReading + place;
      const [reading] = this.#spool.readings(id, 1);
      if (reading === undefined || reading.erased !== undefined) continue;
      const held = { hash: this.#tree, logId: this.#logId, seeds: this.#spool.seedsOf(index) };
      const salt = saltsOf({ ...held, first: place, count: 1 });
      const { contentFormat, payload } = reading;
      const commitment = commitmentOf({ tree: this.#tree, salt, contentFormat, payload });
      const seeds = eraseSeeds({ ...held, index: place, size: Number(count) });
      this.#spool.erase({ id, index, commitment: Buffer.from(commitment.slice(2), "hex"), seeds });
    }
    // Also when it was erased before: a crash may have come in between.
    this.#spool.clear();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#age);
    this.#ended.abort();
    await this.#anchored;
    this.#readSigned();
    this.#spool.close();
  }

  // ---------------------------------------------------------------- pulling

  /** Pulls no faster than what was pulled becomes durable. */
  async #takeAll(source: ReadingSource): Promise<void> {
    const { group: most, groupDelay } = this.#limits;
    const signal = this.#signal;
    const name = `run ${source.name}`;
    const iterator = source.read(this.#spool.positionOf(name), signal)[Symbol.asyncIterator]();
    let wake: () => void = () => undefined;
    const answers: ({ result: IteratorResult<SourceItem | readonly SourceItem[]> } | { error: unknown })[] = [];
    let isPulling = false;
    const pull = (): void => {
      isPulling = true;
      iterator.next().then(
        (result) => {
          answers.push({ result });
          wake();
        },
        (error: unknown) => {
          answers.push({ error });
          wake();
        },
      );
    };
    const onAbort = (): void => {
      wake();
    };
    signal.addEventListener("abort", onAbort);
    let items: SourceItem[] = [];
    let isDue = false;
    const isOver = (): boolean => isDue || signal.aborted;
    let timer: NodeJS.Timeout | undefined;
    const submit = async (): Promise<void> => {
      clearTimeout(timer);
      timer = undefined;
      isDue = false;
      const taken = items;
      items = [];
      for (let from = 0; from < taken.length; from += most) {
        const part = taken.length <= most ? taken : taken.slice(from, from + most);
        await this.#submit({
          source: name,
          items: part,
          bytes: part.reduce((sum, item) => sum + sizeOf(item), 0),
        });
      }
    };
    try {
      pull();
      for (;;) {
        if (answers.length === 0 && !isOver()) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        this.#requireOpen();
        this.#requireWorking();
        const got = answers.shift();
        isPulling &&= got === undefined;
        if (got === undefined) {
          if (isOver()) await submit();
          continue;
        }
        if ("error" in got || got.result.done === true) {
          await submit();
          if ("error" in got) throw got.error;
          return;
        }
        const { value } = got.result;
        pull();
        if (isMany(value)) {
          if (items.length === 0) items = [...value];
          else for (const item of value) items.push(item);
        } else items.push(value);
        if (items.length >= most) await submit();
        else if (items.length > 0)
          timer ??= setTimeout(() => {
            isDue = true;
            wake();
          }, groupDelay);
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      // One that is stuck in its own waiting is not waited for.
      const returned = iterator.return?.().catch(() => undefined);
      if (!isPulling) await returned;
    }
  }

  // ---------------------------------------------------------------- committing

  #submit(group: Pick<Group, "source" | "items" | "bytes">): Promise<Taken> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...group, resolve, reject });
      if (this.#isCommitting) return;
      this.#isCommitting = true;
      // What comes in the same turn becomes durable together.
      setImmediate(() => void this.#commitAll());
    });
  }

  async #commitAll(): Promise<void> {
    try {
      for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
        await this.#waitForRoom(first);
        const groups = [];
        let readings = 0;
        let bytes = 0;
        for (const group of this.#queue) {
          readings += group.items.length;
          bytes += group.bytes;
          if (groups.length > 0 && (readings > this.#limits.group || !this.#hasRoom(readings, bytes))) break;
          groups.push(group);
        }
        this.#queue.splice(0, groups.length);
        this.#commit(groups);
      }
    } catch (error) {
      // The anchoring has failed, or all was ended.
      for (const group of this.#queue.splice(0)) group.reject(error);
    } finally {
      this.#isCommitting = false;
    }
  }

  /** Makes groups durable; if they cannot be together, each for itself, so that it is known which can. */
  #commit(groups: readonly Group[]): void {
    try {
      const taken = this.#write(() => groups.map((group) => this.#take(group)), "readings");
      for (const [place, group] of groups.entries()) group.resolve(taken[place] ?? { added: 0, doubled: 0, aside: 0 });
    } catch (error) {
      if (groups.length > 1) for (const group of groups) this.#commit([group]);
      else groups[0]?.reject(error);
    }
  }

  #take({ source, items }: Group): Taken {
    const taken = { added: 0, doubled: 0, aside: 0 };
    const latest = this.#now() + CLOCK_TOLERANCE;
    const [first] = items;
    if (first === undefined) return taken;
    const isPushed = typeof first.position !== "string";
    let last = isPushed ? BigInt(this.#spool.positionOf(source) ?? -1) : 0n;
    for (const item of items) {
      if (typeof item.position === "bigint") {
        if (item.position <= last) {
          taken.doubled++;
          continue;
        }
        last = item.position;
      }
      const refused = this.#refuse(item, latest);
      if (refused === undefined) {
        this.#add(item as Measurement);
        taken.added++;
      } else {
        this.#spool.putAside({ ...refused, position: `${item.position ?? ""}` });
        this.#asides++;
        taken.aside++;
      }
    }
    const position = isPushed ? (last < 0n ? undefined : `${last}`) : items.at(-1)?.position;
    if (position !== undefined) this.#spool.setPosition(source, `${position}`);
    return taken;
  }

  /** Why something is no reading of the log; undefined if it is one. */
  #refuse(item: SourceItem | PushedItem, latest: bigint): Omit<Aside, "number" | "position"> | undefined {
    if ("fault" in item) return { code: "READING_INVALID", message: item.fault, raw: item.raw };
    const { measuredAt, payload, raw = payload, contentFormat = 0 } = item;
    if (measuredAt < 0n || measuredAt >= TIME_END) {
      const message = `measuredAt: ${measuredAt} is no time of a reading: give Unix milliseconds below 2^48.`;
      return { code: "READING_INVALID", message, raw };
    }
    if (measuredAt < TIME_BEGIN) {
      return { code: "READING_INVALID", message: `measuredAt: ${measuredAt} ${TOO_EARLY}.`, raw, measuredAt };
    }
    if (payload.length > this.#limits.payloadBytes) {
      const most = this.#limits.payloadBytes;
      const message = `payload: it has ${payload.length} bytes, more than ${most}: raise limits.payloadBytes, or give less.`;
      return { code: "READING_INVALID", message, raw, measuredAt };
    }
    if (!Number.isInteger(contentFormat) || contentFormat < 0 || contentFormat > 0xffff) {
      const message = `contentFormat: ${contentFormat} is none: give 0 to 65,535.`;
      return { code: "READING_INVALID", message, raw, measuredAt };
    }
    if (measuredAt > latest) {
      const message = `measuredAt: ${measuredAt} is more than an hour ahead of the clock: set the clock that it comes from.`;
      return { code: "READING_IN_FUTURE", message, raw, measuredAt };
    }
    if (measuredAt >= this.#lastMeasured) return undefined;
    const message =
      `measuredAt: ${measuredAt} is before ${this.#lastMeasured}, which the log has reached: give it to a stream of its own ` +
      "for what comes late.";
    return { code: "READING_LATE", message, raw, measuredAt };
  }

  #add(reading: Measurement): void {
    const { measuredAt, payload, contentFormat = 0 } = reading;
    this.#spool.append(++this.#length, { measuredAt, payload, contentFormat });
    this.#build(reading);
    if (this.#pending >= this.#cut.count || this.#cut.alarm(reading)) this.#cutPending();
  }

  #build(reading: Measurement): void {
    this.#builder ??= createBatchBuilder({ logId: this.#logId, firstSeq: this.#nextSeq, tree: this.#tree });
    this.#builder.add(reading);
    this.#pendingBytes += reading.payload.length;
  }

  get #pending(): number {
    return this.#length - this.#firstPending + 1;
  }

  /** Settles for good what the next anchor is of. */
  #cutPending(): void {
    if (this.#builder === undefined) return;
    const { count, tFirst, tLast, root, seeds } = this.#builder.finish();
    const { kind = "Data" } = this.#options;
    const content = { kind, firstSeq: this.#nextSeq, count, tFirst, tLast, supersedes: 0n, root };
    const place = { firstReading: this.#firstPending, readings: this.#pending, bytes: this.#pendingBytes };
    this.#addBatch({ index: this.#nextIndex, ...content, ...place }, seeds);
  }

  #addBatch(batch: CutBatch, seeds: Parameters<Spool["addBatch"]>[1]): void {
    this.#spool.addBatch(batch, seeds);
    this.#moveBehind(batch);
    this.#unanchored.readings += batch.readings;
    this.#unanchored.bytes += batch.bytes;
  }

  #moveBehind(batch: CutBatch): void {
    this.#nextIndex = batch.index + 1n;
    this.#firstPending = batch.firstReading + batch.readings;
    this.#builder = undefined;
    this.#pendingBytes = 0;
    if (batch.kind === "Correction") return;
    this.#nextSeq = batch.firstSeq + batch.count;
    this.#lastMeasured = batch.tLast;
  }

  /** Does what makes readings or batches, all of it durable or nothing. */
  #write<T>(act: () => T, what: "readings" | "all" = "all"): T {
    const index = this.#nextIndex;
    const unanchored = { ...this.#unanchored };
    let result: T;
    try {
      result = this.#spool.write(what, act);
    } catch (error) {
      this.#unanchored = unanchored;
      this.#reload();
      throw error;
    }
    if (this.#nextIndex !== index) this.#anchoring.wake();
    this.#setAge();
    this.#tell();
    return result;
  }

  /** Index behind the last batch that is signed. */
  #readSigned(): bigint {
    try {
      this.#nextToSign = this.#spool.nextToSign;
    } catch {
      // The spool is closed, or its disk has failed: it is what it was.
    }
    return this.#nextToSign;
  }

  /** Learns from the spool where everything stands. */
  #reload(): void {
    const spool = this.#spool;
    const { index, seq, lastMeasured } = spool.start;
    // On a disk that has failed it throws here, and all stays as it was.
    this.#length = spool.length;
    this.#nextIndex = index;
    this.#nextSeq = seq;
    this.#lastMeasured = lastMeasured;
    this.#firstPending = 1;
    this.#builder = undefined;
    this.#pendingBytes = 0;
    this.#asides = spool.asides;
    const sequence = spool.lastOfSequence();
    if (sequence !== undefined) this.#moveBehind(sequence);
    const last = spool.lastBatch();
    if (last !== undefined) this.#moveBehind(last);
    for (const reading of spool.readings(this.#firstPending, this.#pending)) this.#build(reading);
  }

  #flushNow(): void {
    this.#requireOpen();
    if (this.#pending > 0)
      this.#write(() => {
        this.#cutPending();
      });
  }

  #setAge(): void {
    if (this.#pending === 0 || this.#isClosed) {
      clearTimeout(this.#age);
      this.#age = undefined;
      return;
    }
    this.#age ??= setTimeout(() => {
      this.#age = undefined;
      try {
        this.#flushNow();
      } catch {
        // The disk is full: it is tried again after the same time.
        this.#setAge();
      }
    }, this.#cut.age);
  }

  #checked(reading: PushedReading): PushedItem {
    const { measuredAt, payload, contentFormat = 0, position } = reading;
    if (typeof measuredAt !== "bigint") throw invalid("measuredAt", measuredAt, "give a bigint of Unix milliseconds");
    if (!(payload instanceof Uint8Array)) throw invalid("payload", typeof payload, "give bytes");
    if (position !== undefined) requireUint("position", position, 64);
    return { measuredAt, payload, contentFormat, position };
  }

  // ---------------------------------------------------------------- room

  get #waiting(): { readings: number; bytes: number } {
    return {
      readings: this.#unanchored.readings + this.#pending,
      bytes: this.#unanchored.bytes + this.#pendingBytes,
    };
  }

  #hasRoom(readings: number, bytes: number): boolean {
    const waiting = this.#waiting;
    // What is more than may wait at all has to be taken at some time.
    if (waiting.readings === 0) return true;
    const { waitingReadings, waitingBytes } = this.#limits;
    return waiting.readings + readings <= waitingReadings && waiting.bytes + bytes <= waitingBytes;
  }

  async #waitForRoom({ items, bytes }: Group): Promise<void> {
    this.#requireOpen();
    const hasRoom = (): boolean => {
      if (items.length === 0 || this.#hasRoom(items.length, bytes)) return true;
      // Else it would wait for a batch that nothing completes.
      if (this.#unanchored.readings === 0) this.#flushNow();
      return false;
    };
    this.#isFull = true;
    try {
      await this.#until(hasRoom);
    } finally {
      this.#isFull = false;
    }
  }

  #behind(): TouchstoneError {
    const { readings, bytes } = this.#waiting;
    const { waitingReadings, waitingBytes } = this.#limits;
    const { state, error } = this.#anchoring;
    const why = error === undefined ? "" : ` Anchoring is ${state}: ${error.message}`;
    return new TouchstoneError(
      "INGEST_BEHIND",
      `${readings} readings of ${bytes} bytes wait to be anchored, of at most ${waitingReadings} and ${waitingBytes}: bring ` +
        `these again later, or raise limits.waitingReadings and limits.waitingBytes.${why}`,
      { details: { readings, bytes, waitingReadings, waitingBytes, state } },
    );
  }

  // ---------------------------------------------------------------- changes

  /** Something is other than before in the anchoring. */
  #changed(): void {
    try {
      this.#weigh();
    } catch {
      // The disk has failed, which is what is to be told.
    }
    this.#tell();
  }

  #weigh(): void {
    this.#unanchored = this.#spool.weightFrom(this.#anchoring.next);
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
    const { onProgress } = this.#options;
    if (onProgress === undefined || this.#isTelling) return;
    this.#isTelling = true;
    // What happens in one turn is one piece of news, and what a listener throws is no failure of what was done.
    queueMicrotask(() => {
      this.#isTelling = false;
      if (!this.#isClosed) onProgress(this.status());
    });
  }

  /** Waits until something is so, or never will be. */
  async #until(isSo: () => boolean): Promise<void> {
    for (;;) {
      this.#requireOpen();
      if (isSo()) return;
      this.#requireWorking();
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  #requireWorking(): void {
    const { state, error } = this.#anchoring;
    if (state === "Failed" && error !== undefined) throw error;
  }

  #requireOpen(): void {
    if (this.#isClosed) {
      throw new TouchstoneError("CANCELLED", "The ingest is closed. What was taken is in its spool: open it again.");
    }
    requireNotAborted(this.#options.signal);
  }
}

// ------------------------------------------------------------------ small things

function isMany(value: SourceItem | readonly SourceItem[]): value is readonly SourceItem[] {
  return Array.isArray(value);
}

function sizeOf(item: SourceItem): number {
  return "fault" in item ? 0 : item.payload.length;
}

function invalid(argument: string, value: unknown, fix: string): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", `${argument}: ${String(value)} will not do: ${fix}.`, {
    details: { argument, value },
  });
}

function requireWhole(argument: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw invalid(argument, value, `give a whole number from ${least}`);
}

/** A name that is mistyped would leave what it is to limit as it is. */
function requireKnown(argument: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const name = `${argument}.${unknown}`;
  throw new TouchstoneError("INVALID_ARGUMENT", `${name}: there is no such name: give ${known.join(", ")}.`, {
    details: { argument: name, known },
  });
}

function requireLimits(limits: IngestLimits, cut: CutRules): IngestLimits {
  requireKnown("limits", limits, [...Object.keys(INGEST_LIMITS), "maxFeePerGas", "diskBytes"]);
  requireKnown("cut", cut, ["count", "age", "alarm"]);
  for (const name of ["items", "bytes", "group", "waitingReadings", "waitingBytes", "payloadBytes"] as const) {
    requireWhole(`limits.${name}`, limits[name], 1);
  }
  for (const name of ["patience", "pollInterval", "blockedInterval", "retries", "retryDelay", "groupDelay"] as const) {
    requireWhole(`limits.${name}`, limits[name], 0);
  }
  if (limits.diskBytes !== undefined) requireWhole("limits.diskBytes", limits.diskBytes, 1);
  if (limits.gas < 1n) throw invalid("limits.gas", limits.gas, "give at least 1");
  if (cut.count !== undefined) requireWhole("cut.count", cut.count, 1);
  if (cut.age !== undefined) requireWhole("cut.age", cut.age, 0);
  return limits;
}

/** What one kind of log needs, the other has no use for. */
function requireFitting(logId: string, { key, kind = "Data" }: IngestOptions): void {
  const isOfFleet = isFleetLog(logId);
  const allowed: readonly AnchorKind[] = isOfFleet ? ["Data", "Receipts", "AccessLog"] : ["Data"];
  if (!allowed.includes(kind)) throw invalid("kind", kind, `this log takes ${allowed.join(", ")}`);
  if (isOfFleet && key !== undefined) {
    throw invalid("key", key.id, `the log ${logId} is a fleet's: leave it out, or give the log of the device`);
  }
  if (!isOfFleet && key === undefined) {
    throw invalid(
      "key",
      "none",
      `the log ${logId} is a device's: give the key that it signs with, or the log of a fleet`,
    );
  }
}
