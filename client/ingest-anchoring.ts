import { Transaction, type Block } from "ethers";

import { anchorOf, recordOf, signAnchor, type Anchor } from "./anchors.js";
import { ZERO_HASH } from "./arguments.js";
import { latestBlock } from "./blocks.js";
import { checkDeployment, type Touchstone } from "./connect.js";
import type { TreeHash } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { eventsIn, readEvents, type TouchstoneEventNamed } from "./events.js";
import type { Key } from "./keys.js";
import { mostOf, outbidding, type Fees, type Outbox } from "./outbox.js";
import { isPassing, pause, persist, type Persistence } from "./retries.js";
import { ContractRevertError, isContractError, toTouchstoneError } from "./reverts.js";
import type { CutBatch, Signed, Spool, SpooledAttempt } from "./spool.js";

/** How the anchoring stands. */
export type AnchoringState =
  /** All that was cut is anchored, as deep as was asked. */
  | "Idle"
  /** It sends, or waits for blocks. */
  | "Anchoring"
  /** Something is in the way that passes: a chain that does not answer, a disk that is full. */
  | "Waiting"
  /** Someone has to do something first; it looks again and again whether they have. */
  | "Blocked"
  /** It has ended: nothing that passes. */
  | "Failed";

/** How much is sent at once, and for how long is waited and asked again. */
export interface AnchoringLimits {
  /** Batches in one transaction, at most. */
  items: number;
  /** Gas of one transaction, at most. */
  gas: bigint;
  /** Bytes of call data in one transaction, at most. */
  bytes: number;
  /** Wei for one unit of gas, at most; what the node advises unless told. */
  maxFeePerGas?: bigint | undefined;
  /** Milliseconds that a transaction may wait to be mined before its fee is raised. */
  patience: number;
  /** Milliseconds between two looks at the chain. */
  pollInterval: number;
  /** Milliseconds between two tries when someone has to do something first. */
  blockedInterval: number;
  /** How often a request is sent again that failed for a reason that passes, before all is looked at anew. */
  retries: number;
  /** Milliseconds before the first time; doubled each time. */
  retryDelay: number;
}

export interface AnchoringOptions {
  touchstone: Touchstone;
  spool: Spool;
  outbox: Outbox;
  logId: string;
  tree: TreeHash;
  /** Of the device; undefined in fleet logs. */
  key: Key | undefined;
  confirmations: number;
  fresh: boolean;
  /** Seconds. */
  validFor: bigint;
  limits: AnchoringLimits;
  persistence: Persistence;
  /** Ends it. */
  signal: AbortSignal;
  /** Called whenever anything is other than before. */
  onChange: () => void;
}

/** What a step came to: something, nothing yet, or that there is nothing to do. */
type Step = "done" | "wait" | "idle";

/** Seconds before its deadline from which on a message is not sent any more. */
const DEADLINE_MARGIN = 60n;
const LONGEST_DELAY = 30_000;
/** Blocks that a chain may take back while a spool is begun. */
const DEEPEST_REORGANISATION = 256;

/**
 * Brings the batches of a spool into their log, in their order, each exactly once, whatever the chain does.
 *
 * The head of the log says what comes next, and what a batch is was settled before it was signed. So it does not matter how
 * often anything is sent, by whom, or whether the chain took it back: for one index there is only one content.
 */
export class Anchoring {
  state: AnchoringState = "Anchoring";
  /** Why it waits, is blocked or has failed. */
  error: TouchstoneError | undefined;
  /** Index of the first batch that is not anchored. */
  next: bigint;
  /** Index of the first batch that is not anchored as deep as was asked. */
  nextFinal: bigint;

  readonly #options: AnchoringOptions;
  #wake: () => void = () => undefined;
  #isWoken = false;
  #failures = 0;
  /** Nonce of what was sent by this process, and since when it waits. */
  #sent: { id: number; since: number } | undefined;
  /** Why what was sent is not mined, if that takes long. */
  #stuck: TouchstoneError | undefined;
  /** How often in a row a single anchor failed when mined. */
  #reverts = 0;
  /** What this process had signed: its key is the present one. */
  readonly #signed = new Set<bigint>();
  /** What has to be signed again, whatever the spool has. */
  readonly #stale = new Set<bigint>();
  /** Which blocks are those of the chain: asked once in a step. */
  readonly #known = new Map<string, boolean>();
  #itemsAtOnce: number;
  #isChecked = false;

  constructor(options: AnchoringOptions) {
    this.#options = options;
    this.next = options.spool.nextToAnchor;
    this.nextFinal = options.spool.start.index;
    this.#itemsAtOnce = options.limits.items;
  }

  /** There is more to anchor. */
  wake(): void {
    this.#isWoken = true;
    if (this.state === "Idle") this.#become("Anchoring");
    this.#wake();
  }

  /** A question failed for a reason that passes, and is asked again. */
  delayed(cause: unknown): void {
    if (!this.#isOver()) this.#become("Waiting", toTouchstoneError(cause));
  }

  /** Works until the signal ends it, or something is wrong that waiting does not mend: the state is then Failed. */
  async run(): Promise<void> {
    const { limits } = this.#options;
    while (!this.#isOver()) {
      let delay = 0;
      try {
        this.#known.clear();
        const step = await unlessAborted(this.#options.signal, this.#step());
        this.#failures = 0;
        if (step === "idle" && !this.#isWoken) this.#become("Idle");
        else this.#become(this.#stuck === undefined ? "Anchoring" : "Waiting", this.#stuck);
        if (step !== "done") delay = step === "idle" ? Infinity : limits.pollInterval;
      } catch (cause) {
        if (this.#isOver()) return;
        const error = toTouchstoneError(cause);
        const kind = kindOf(error);
        this.#become(kind, error);
        if (kind === "Failed") return;
        delay =
          kind === "Blocked"
            ? limits.blockedInterval
            : Math.min(LONGEST_DELAY, Math.max(limits.retryDelay * 2 ** this.#failures++, limits.pollInterval));
      }
      await this.#pause(delay);
    }
  }

  #isOver(): boolean {
    return this.#options.signal.aborted;
  }

  /** What waits for the chain is not hurried by more work; what has nothing to do is. */
  async #pause(delay: number): Promise<void> {
    const { signal } = this.#options;
    if (delay < Infinity) {
      await pause(delay, signal).catch(() => undefined);
      return;
    }
    if (this.#isWoken) return;
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await unlessAborted(signal, woken).catch(() => undefined);
  }

  #become(state: AnchoringState, error?: TouchstoneError): void {
    const isNews = state !== this.state || error?.message !== this.error?.message;
    this.state = state;
    this.error = error;
    if (isNews) this.#options.onChange();
  }

  // ---------------------------------------------------------------- one step

  async #step(): Promise<Step> {
    const { touchstone, spool, outbox } = this.#options;
    this.#isWoken = false;
    if (!this.#isChecked) await this.#ask(() => checkDeployment({ touchstone }));
    this.#isChecked = true;
    const open = spool.openAttempts(outbox.sender);
    if (open.length > 0) return this.#settle(open);
    const last = spool.lastBatch();
    if (last === undefined) return "idle";
    if (this.next <= last.index || this.nextFinal <= last.index) {
      const seen = await this.#observe();
      if (seen !== "idle") return seen;
    }
    if (this.next <= last.index) return this.#begin();
    return this.nextFinal <= last.index ? "wait" : "idle";
  }

  /**
   * Compares what is anchored by the spool with what is by the chain.
   *
   * @returns idle if both say the same.
   */
  async #observe(): Promise<Step> {
    const { touchstone, spool, confirmations, logId } = this.#options;
    const latest = await this.#ask(() => latestBlock(touchstone.provider));
    const [top] = spool.anchoredSince(0, 1);
    if (top !== undefined && !(await this.#isThere(top.block, top.blockHash))) return this.#takeBack();
    const { size } = await this.#ask(() => touchstone.dataAnchor.head(logId, { blockTag: latest }));
    // The block is there, and yet the log is shorter: the node that answered is behind.
    if (size < this.next) return "wait";
    if (size > this.next) {
      const from = top?.block ?? Math.max(0, spool.start.block - DEEPEST_REORGANISATION);
      if (!(await this.#find(from))) return "wait";
    }
    this.#finalise(latest - confirmations + 1);
    return size > this.next ? "done" : "idle";
  }

  #finalise(block: number): void {
    const nextFinal = this.#options.spool.firstAnchoredSince(block + 1);
    if (nextFinal === this.nextFinal) return;
    this.nextFinal = nextFinal;
    this.#options.onChange();
  }

  /** The chain took back blocks: whatever was mined in them is sent again, the very same. */
  async #takeBack(): Promise<Step> {
    const { spool } = this.#options;
    let gone = 0;
    for (;;) {
      const [top] = spool.anchoredSince(0, 1);
      if (top === undefined || (await this.#isThere(top.block, top.blockHash))) break;
      gone = top.block;
      spool.write("all", () => {
        spool.forgetAnchored(spool.firstAnchoredSince(gone));
        spool.reopenAttempts(gone);
      });
    }
    this.#sent = undefined;
    this.#moved();
    return "done";
  }

  #moved(): void {
    const { spool } = this.#options;
    this.next = spool.nextToAnchor;
    if (this.nextFinal > this.next) this.nextFinal = this.next;
    this.#options.onChange();
  }

  async #isThere(number: number, hash: string): Promise<boolean> {
    const block = await this.#ask(() => this.#options.touchstone.provider.getBlock(number));
    return block?.hash === hash;
  }

  /** Reads the anchors that the log has from the next one on. */
  async #find(fromBlock: number): Promise<boolean> {
    const { touchstone, logId, signal } = this.#options;
    const events: TouchstoneEventNamed<"Anchored">[] = [];
    for await (const event of readEvents({ touchstone, logs: [logId], fromBlock, signal })) {
      if (event.name === "Anchored" && event.args.index >= this.next) events.push(event);
    }
    return this.#record(events);
  }

  /** Writes down what is anchored. @returns Whether anything was. */
  #record(events: readonly TouchstoneEventNamed<"Anchored">[]): boolean {
    const { spool } = this.#options;
    let next = this.next;
    spool.write("all", () => {
      for (const event of events) {
        const record = recordOf(event);
        if (record.index !== next) continue;
        const batch = spool.batch(next);
        const flaw = batch === undefined ? "nothing" : flawOf(batch, record, this.#options.tree);
        if (batch === undefined || flaw !== undefined) throw conflict(batch, record, flaw ?? "nothing");
        const { author, timestamp, freshBlock, freshState } = record;
        this.#signed.delete(next);
        spool.setAnchored({
          index: next++,
          block: event.cursor.block,
          blockHash: event.blockHash,
          transactionHash: event.transactionHash,
          timestamp,
          author,
          freshBlock,
          freshState,
        });
      }
    });
    if (next === this.next) return false;
    this.#moved();
    return true;
  }

  // ---------------------------------------------------------------- beginning an attempt

  /** Chooses what is sent next, has it signed, and writes it down. */
  async #begin(): Promise<Step> {
    const { outbox } = this.#options;
    const block = await this.#latest();
    const plan = await this.#plan(block);
    if (plan === undefined) return "wait";
    const after = this.#options.spool.lastClosed(outbox.sender);
    const nonce = await outbox.nextNonce(Math.min(after, block.number));
    await this.#attempt({ ...plan, nonce, block: block.number, fees: await outbox.fees() });
    return "done";
  }

  async #attempt(plan: Plan & { nonce: number; block: number; fees: Fees }): Promise<void> {
    const { spool, outbox, touchstone } = this.#options;
    const { nonce, block, data, gasLimit, fees, firstIndex, count } = plan;
    const { transaction, hash } = await outbox.prepare({
      nonce,
      to: touchstone.addresses.DataAnchor,
      data,
      gasLimit,
      fees,
    });
    spool.write("all", () => {
      spool.addAttempt(outbox.sender, { nonce, block, transaction, hash, firstIndex, count });
    });
  }

  /** @returns undefined if nothing can be sent now. */
  async #plan(block: Block): Promise<Plan | undefined> {
    const { spool, limits, touchstone } = this.#options;
    const batches = spool.batchesFrom(this.next, this.#itemsAtOnce);
    const calls: string[] = [];
    let bytes = 4 + 64;
    for (const batch of batches) {
      const call = this.#callOf(batch, await this.#messageOf(batch, block));
      // An offset, a length and whole words.
      bytes += 64 + Math.ceil(call.length / 64) * 32;
      if (calls.length > 0 && bytes > limits.bytes) break;
      calls.push(call);
    }
    const most = block.gasLimit < limits.gas ? block.gasLimit : limits.gas;
    for (;;) {
      const data = this.#encode(calls);
      try {
        const { sender: from } = this.#options.outbox;
        const request = { from, to: touchstone.addresses.DataAnchor, data };
        const gas = await this.#ask(() => touchstone.provider.estimateGas(request));
        // The state may move between estimate and block, so that one write costs more than it did.
        const gasLimit = gas + gas / 10n;
        if (gasLimit <= most || calls.length === 1) {
          this.#itemsAtOnce = Math.min(limits.items, Math.max(this.#itemsAtOnce, calls.length) * 2);
          return { data, gasLimit: gasLimit < most ? gasLimit : most, firstIndex: this.next, count: calls.length };
        }
        calls.length = Math.max(1, Math.min(calls.length - 1, Number((BigInt(calls.length) * most) / gasLimit)));
      } catch (error) {
        const isRefusal = error instanceof TouchstoneError && ["RPC_FAILED", "CONTRACT_REVERTED"].includes(error.code);
        if (!isRefusal || isPassing(error)) throw error;
        if (calls.length === 1) {
          this.#refused(error);
          return undefined;
        }
        // The first alone says what is wrong with it; if it is another one, it goes without it.
        calls.length = calls.length > 2 && !(error instanceof ContractRevertError) ? Math.ceil(calls.length / 2) : 1;
      }
      this.#itemsAtOnce = calls.length;
    }
  }

  /** The chain would refuse the next anchor: throws what, unless it may take it in a moment. */
  #refused(error: TouchstoneError): void {
    // The log moved since its head was read.
    if (isContractError(error, "IndexMismatch")) return;
    // Another signature may be what it takes: the key was changed, blocks were taken back, or time has passed.
    const mayBeOld = ["KeyProofInvalid", "FreshBlockInvalid", "DeadlinePassed"] as const;
    if (mayBeOld.some((name) => isContractError(error, name)) && !this.#signed.has(this.next)) {
      this.#stale.add(this.next);
      return;
    }
    this.#signed.delete(this.next);
    const { key, logId } = this.#options;
    if (key !== undefined && isContractError(error, "KeyProofInvalid") && error.args.keyId !== key.id) {
      throw wrongKey(error, key.id, logId);
    }
    throw error;
  }

  /** What is signed for a batch, by the device, or by nobody in fleet logs. */
  async #messageOf(batch: CutBatch, block: Block): Promise<Signed> {
    const { spool, touchstone, key, fresh, validFor } = this.#options;
    const before = this.#stale.has(batch.index) ? undefined : spool.signatureOf(batch.index);
    if (before !== undefined && (await this.#holds(before, block))) return before;
    // The latest block is the one that is taken back most easily, and some nodes rehearse as if the next were not yet due.
    const isNamed = fresh && block.number > 0;
    const unsigned = {
      freshBlock: isNamed ? BigInt(block.number - 1) : 0n,
      freshHash: isNamed ? block.parentHash : ZERO_HASH,
      deadline: BigInt(block.timestamp) + validFor,
      proof: { publicKey: "0x", signature: "0x" },
    };
    const anchor = this.#anchorOf(batch, unsigned);
    const proof = key === undefined ? unsigned.proof : await signAnchor({ touchstone, anchor, key });
    const signed = { ...unsigned, proof };
    spool.write("all", () => {
      spool.addSignature(batch.index, signed);
    });
    this.#signed.add(batch.index);
    this.#stale.delete(batch.index);
    return signed;
  }

  async #holds({ deadline, freshBlock, freshHash }: Signed, block: Block): Promise<boolean> {
    const { validFor } = this.#options;
    const margin = validFor / 2n < DEADLINE_MARGIN ? validFor / 2n : DEADLINE_MARGIN;
    if (deadline <= BigInt(block.timestamp) + margin) return false;
    if (freshBlock === 0n) return true;
    const known = this.#known.get(freshHash) ?? (await this.#isThere(Number(freshBlock), freshHash));
    this.#known.set(freshHash, known);
    return known;
  }

  #anchorOf(batch: CutBatch, signed: Signed): Anchor {
    const { logId } = this.#options;
    const tree = batch.kind === "Gap" ? "Keccak256" : this.#options.tree;
    return anchorOf({ ...batch, logId, tree }, signed);
  }

  #callOf(batch: CutBatch, signed: Signed): string {
    const { touchstone, key } = this.#options;
    const { interface: abi } = touchstone.dataAnchor;
    const anchor = this.#anchorOf(batch, signed);
    return key === undefined
      ? abi.encodeFunctionData("anchorAsMember", [anchor])
      : abi.encodeFunctionData("anchor", [anchor, signed.proof]);
  }

  #encode(calls: readonly string[]): string {
    const [only] = calls;
    if (calls.length === 1 && only !== undefined) return only;
    return this.#options.touchstone.dataAnchor.interface.encodeFunctionData("multicall", [[...calls]]);
  }

  async #latest(): Promise<Block> {
    const { provider } = this.#options.touchstone;
    return this.#ask(async () => {
      const number = await latestBlock(provider);
      const block = await provider.getBlock(number);
      if (block !== null) return block;
      // Behind one address there may be several nodes, of which one lags.
      throw new TouchstoneError("RPC_FAILED", `The node answered: unknown block ${number}.`);
    });
  }

  #ask<T>(question: () => Promise<T>): Promise<T> {
    return persist(this.#options.persistence, question);
  }

  // ---------------------------------------------------------------- settling the open attempts

  /** Looks what became of the open attempts; sends the last one, again or with a higher fee, as long as nothing did. */
  async #settle(open: SpooledAttempt[]): Promise<Step> {
    const { spool, outbox, touchstone, limits } = this.#options;
    const attempt = open.at(-1);
    if (attempt === undefined) return "idle";
    const fate = await outbox.fateOf(open, 1);
    if (fate?.kind === "settling") return "wait";
    if (fate !== undefined) {
      const block = fate.kind === "mined" ? fate.receipt.blockNumber : fate.block;
      spool.write("all", () => {
        spool.closeAttempts(outbox.sender, attempt.nonce, block);
      });
      this.#sent = undefined;
      this.#stuck = undefined;
      if (fate.kind === "mined") {
        if (fate.receipt.status === 0) this.#reverted(attempt, fate.receipt.hash);
        else this.#reverts = 0;
        const events = eventsIn(touchstone, fate.receipt);
        const { logId } = this.#options;
        const isOurs = (event: (typeof events)[number]): event is TouchstoneEventNamed<"Anchored"> =>
          event.name === "Anchored" && event.args.logId === logId;
        this.#record(events.filter(isOurs));
      }
      return "done";
    }
    const block = await this.#latest();
    if (!(await this.#isWanted(attempt, block))) return this.#replace(attempt, block);
    if (this.#sent?.id !== attempt.id) {
      const failure = await this.#send(attempt);
      if (failure === undefined) {
        this.#sent = { id: attempt.id, since: performance.now() };
        return "done";
      }
      if ((await outbox.fateOf(open, 1)) !== undefined) return "done";
      const isTooCheap = failure.code === "RPC_FAILED" && /\bfee|underpriced|gas ?price/i.test(failure.message);
      if (isTooCheap && (await this.#raise(attempt))) return "done";
      throw failure;
    }
    if (performance.now() - this.#sent.since < limits.patience) return "wait";
    // A node may have forgotten it, or the market outgrown it.
    this.#sent = undefined;
    if (!(await this.#raise(attempt))) this.#stuck = stuck(attempt, outbox.sender, limits.patience);
    return "wait";
  }

  /** What failed when mined goes one by one; and what fails by itself does not go again and again, at a price. */
  #reverted({ count }: SpooledAttempt, hash: string): void {
    this.#itemsAtOnce = 1;
    if (count > 1 || ++this.#reverts < 2) return;
    throw new TouchstoneError(
      "CONTRACT_REVERTED",
      `The transaction ${hash} of anchor ${this.next} failed when mined, and so did the one before, though their rehearsals did ` +
        "not: see why before it is tried again.",
      { details: { transactionHash: hash, index: this.next } },
    );
  }

  /** Whether the attempt is still what should be mined next. */
  async #isWanted({ firstIndex, count }: SpooledAttempt, block: Block): Promise<boolean> {
    const { spool, touchstone, logId } = this.#options;
    const { size } = await this.#ask(() => touchstone.dataAnchor.head(logId, { blockTag: block.number }));
    if (size !== firstIndex) return false;
    for (let index = firstIndex; index < firstIndex + BigInt(count); index++) {
      const signed = spool.signatureOf(index);
      if (signed === undefined || !(await this.#holds(signed, block))) return false;
    }
    return true;
  }

  /** Sends what is wanted now instead, with the same nonce; if that is nothing, what was sent is left to itself. */
  async #replace(attempt: SpooledAttempt, block: Block): Promise<Step> {
    const { spool, outbox } = this.#options;
    const seen = await this.#observe();
    if (seen !== "idle") return seen;
    const last = spool.lastBatch();
    if (last === undefined || this.next > last.index) {
      spool.write("all", () => {
        spool.closeAttempts(outbox.sender, attempt.nonce, block.number);
      });
      return "done";
    }
    const plan = await this.#plan(block);
    if (plan === undefined) return "wait";
    const fees = outbidding(await outbox.fees(), attempt);
    const { maxFeePerGas: most } = this.#options.limits;
    if (most !== undefined && mostOf(fees) > most) {
      this.#stuck = stuck(attempt, outbox.sender, this.#options.limits.patience);
      return "wait";
    }
    await this.#attempt({ ...plan, nonce: attempt.nonce, block: attempt.block, fees });
    return "done";
  }

  /** @returns The node's refusal, unless it only says that it has the transaction, or another one with its nonce. */
  async #send(attempt: SpooledAttempt): Promise<TouchstoneError | undefined> {
    const { spool, outbox } = this.#options;
    try {
      const hash = await outbox.broadcast(attempt);
      if (attempt.hash === undefined) {
        spool.write("all", () => {
          spool.setHash(attempt.id, hash);
        });
      }
      return undefined;
    } catch (error) {
      const failure = toTouchstoneError(error);
      return failure.code === "NONCE_CONFLICT" ? undefined : failure;
    }
  }

  /** Makes the same transaction again with a higher fee, if the market has outgrown the one that waits. */
  async #raise(attempt: SpooledAttempt): Promise<boolean> {
    const { outbox } = this.#options;
    const fees = await outbox.raisedFees(attempt);
    if (fees === undefined) return false;
    const { gasLimit, data } = Transaction.from(attempt.transaction);
    await this.#attempt({ ...attempt, data, gasLimit, fees });
    this.#stuck = undefined;
    return true;
  }
}

/** What comes of a promise, unless it is over before: a node or a key may never answer. */
async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  if (signal.aborted) throw new TouchstoneError("CANCELLED", "The ingest was ended.", { cause: signal.reason });
  const done = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const abort = (): void => {
      reject(new TouchstoneError("CANCELLED", "The ingest was ended.", { cause: signal.reason }));
    };
    signal.addEventListener("abort", abort, { signal: done.signal });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    done.abort();
  }
}

/** What is sent in one transaction. */
interface Plan {
  data: string;
  gasLimit: bigint;
  firstIndex: bigint;
  count: number;
}

/** What an error of the anchoring means for it. */
function kindOf(error: TouchstoneError): "Waiting" | "Blocked" | "Failed" {
  if (isPassing(error) || isContractError(error, "TimeInFuture")) return "Waiting";
  switch (error.code) {
    case "CHAIN_UNREACHABLE":
    case "SPOOL_FULL":
      return "Waiting";
    case "LOG_CONFLICT":
    case "SPOOL_FAILED":
    case "SPOOL_INVALID":
    case "RUNNER_READ_ONLY":
    case "INVALID_ARGUMENT":
      return "Failed";
    default:
      return "Blocked";
  }
}

type AnchoredRecord = ReturnType<typeof recordOf>;

/** The field in which an anchor is not that of the batch. */
function flawOf(batch: CutBatch, record: AnchoredRecord, tree: TreeHash): keyof AnchoredRecord | undefined {
  const fields = ["kind", "firstSeq", "count", "tFirst", "tLast", "supersedes", "root"] as const;
  if (record.tree !== (batch.kind === "Gap" ? "Keccak256" : tree)) return "tree";
  return fields.find((field) => record[field] !== batch[field]);
}

function conflict(batch: CutBatch | undefined, record: AnchoredRecord, field: string): TouchstoneError {
  const { logId, index, root, author } = record;
  const ours = batch === undefined ? "nothing of the spool" : `the root ${batch.root}`;
  return new TouchstoneError(
    "LOG_CONFLICT",
    `Anchor ${index} of the log ${logId} has the root ${root}, by ${author}, where ${ours} should be: another writer has the ` +
      "same log. Find it and stop it, and give this spool's readings to a new spool, which goes on where the log ends now.",
    { details: { logId, index, field, found: root, ours: batch?.root, author } },
  );
}

function wrongKey(
  refusal: ContractRevertError & { args: { keyId: string } },
  key: string,
  logId: string,
): ContractRevertError {
  const { errorName, args, data } = refusal;
  return new ContractRevertError({
    errorName,
    args,
    data,
    message:
      `The ingest signs with the key ${key}, but the log ${logId} is of a device whose present key is ${args.keyId}: open it ` +
      "with that one.",
    details: { key, presentKey: args.keyId, logId },
    cause: refusal,
  });
}

function stuck({ nonce, hash }: SpooledAttempt, sender: string, patience: number): TouchstoneError {
  return new TouchstoneError(
    "TRANSACTION_STUCK",
    `The transaction ${hash ?? "without a known hash"} with nonce ${nonce} of ${sender} is not mined after ${patience} ms: ` +
      "see whether transactions with lower nonces wait, and whether limits.maxFeePerGas is too low.",
    { details: { nonce, transactionHash: hash, sender } },
  );
}
