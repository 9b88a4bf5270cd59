import { createHash } from "node:crypto";

import { dataLength, Transaction, type TransactionReceipt } from "ethers";

import { askMany } from "./batched-reads.js";
import { latestBlock } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { openJournal, type Journal, type JournalRecord } from "./journal.js";
import { openOutbox, transactionHash, type Attempt, type Fate, type Fees, type Outbox } from "./outbox.js";
import { isPassing, pause, persist, requireNotAborted, type Persistence } from "./retries.js";
import { decodeRevert, isContractError, toTouchstoneError } from "./reverts.js";

// ------------------------------------------------------------------ what is to be done

/** One call for each of many items, to a contract that has `tryMulticall`. All that a new verb has to say. */
export interface BulkWork<Item> {
  /** For the journal and for people, such as "enroll". */
  verb: string;
  /** Address of the contract. */
  contract: string;
  items: readonly Item[];
  /** What the item is about, such as a device's id; no two items are about the same. */
  idOf(item: Item): string;
  /** All that makes the item what it is, but not the proofs of it: signatures may differ from run to run. */
  contentOf(item: Item): readonly unknown[];
  /** Encoded call of a view of the contract that never reverts. */
  questionOf(item: Item): string;
  /** Whether the answer says that nothing is left to do. */
  isDone(item: Item, answer: string): boolean;
  /**
   * Whether the answer says that what was done is not so any more, and that the contract takes it again; not merely that it is
   * over. Left out where that cannot be.
   */
  isUndone?(item: Item, answer: string): boolean;
  /** The encoded calls. Asked only for items that are to be sent next, with the state after `block`. */
  encode(items: readonly Item[], block: number): Promise<readonly string[]>;
}

/** How much is sent at once, and for how long is waited and asked again. */
export interface BulkLimits {
  /** Items in one transaction, at most. */
  items: number;
  /** Gas of one transaction, at most. */
  gas: bigint;
  /** Bytes of call data in one transaction, at most. */
  bytes: number;
  /** Wei for one unit of gas, at most; what the node advises unless told. */
  maxFeePerGas?: bigint;
  /** Milliseconds that a transaction may wait to be mined before its fee is raised, or the run ends. */
  patience: number;
  /** Milliseconds between two looks at the chain. */
  pollInterval: number;
  /** How often a request is sent again that failed for a reason that passes. */
  retries: number;
  /** Milliseconds before the first time; doubled each time. */
  retryDelay: number;
}

/** Nodes pass on transactions of at most 128 KiB and, since EIP-7825, chains take at most 2^24 gas in one. */
export const BULK_LIMITS: Readonly<BulkLimits> = {
  items: 500,
  gas: 16_777_216n,
  bytes: 126_000,
  patience: 300_000,
  pollInterval: 1_000,
  retries: 6,
  retryDelay: 250,
};

/** How far the work has come. */
export interface BulkProgress {
  /** Items that were sent, and done. */
  done: number;
  /** Items of which the chain said that nothing was left to do. */
  alreadyDone: number;
  /** Items that the contract refused. */
  refused: number;
  total: number;
  /** The transaction that was mined just now, if that is the news. */
  transactionHash?: string;
}

/** What every verb for many items takes. */
export interface BulkOptions {
  /** The contracts, connected with the signer who sends. A signer that its node signs for must keep the nonces it is given. */
  touchstone: Touchstone;
  /**
   * Path of the file in which the run keeps what it does. The same file goes on with the same run; it never begins another one.
   * So give each run of work a file of its own, never a fixed name: to suspend the same devices again later is new work.
   */
  journal: string;
  /** Called whenever items are settled. */
  onProgress?: (progress: BulkProgress) => void;
  /** Ends the run at the next moment at which it waits or plans. The journal has all that was sent. */
  signal?: AbortSignal;
  /** Blocks to wait for, the transaction's own included; 1 unless told. Take more where the chain may take blocks back. */
  confirmations?: number;
  limits?: Partial<BulkLimits>;
}

/** What became of an item. */
export type BulkItem =
  | { id: string; outcome: "Done"; transactionHash: string }
  /** Nothing was left to do. */
  | { id: string; outcome: "AlreadyDone" }
  /** The contract refused: `error` is what ContractRevertError says of it. Without a hash nothing was sent. */
  | { id: string; outcome: "Refused"; error: TouchstoneError; transactionHash?: string };

/** What became of all items. */
export interface BulkResult {
  /** In the order of the input. */
  items: BulkItem[];
  done: number;
  alreadyDone: number;
  refused: number;
  /** Hashes of the transactions that were mined for this work, in their order, those of earlier runs included. */
  transactions: string[];
}

// ------------------------------------------------------------------ doing it

/**
 * Does the work in as many transactions as it takes, one after the other. It may be ended at any moment, also by pulling the
 * plug: with the same journal it goes on, and nothing is sent twice.
 *
 * Whatever is sent is in the journal before, with its nonce. Until that nonce is used, by this transaction or by another one,
 * nothing of it is sent with any other nonce; and once it is used, the chain says by what. A refused item is no error of the run.
 *
 * @throws TouchstoneError
 *   - INVALID_ARGUMENT, RUNNER_READ_ONLY, SIGNING_FAILED;
 *   - JOURNAL_LOCKED, JOURNAL_MISMATCH, JOURNAL_INVALID, JOURNAL_FAILED, FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE;
 *   - JOURNAL_ENDED if the journal's work had ended, and was undone since: `details.undone` has the ids;
 *   - to go on after: CHAIN_UNREACHABLE, RPC_FAILED, INSUFFICIENT_FUNDS, NONCE_CONFLICT, TRANSACTION_STUCK, CANCELLED.
 */
export async function carryOut<Item>(options: BulkOptions, work: BulkWork<Item>): Promise<BulkResult> {
  const { touchstone, journal: path, signal } = options;
  const limits = requireLimits({ ...BULK_LIMITS, ...options.limits });
  requireDistinct(work);
  const persistence = { retries: limits.retries, retryDelay: limits.retryDelay, signal };
  const outbox = await openOutbox({ touchstone, persistence, maxFeePerGas: limits.maxFeePerGas });
  const journal = await openJournal(path, {
    verb: work.verb,
    chainId: touchstone.chainId.toString(),
    contract: work.contract,
    sender: outbox.sender,
    items: work.items.length,
    digest: digestOf(work),
  });
  try {
    return await new Run(options, work, { limits, persistence, outbox, journal }).finish();
  } catch (error) {
    if (!(error instanceof TouchstoneError) || isFinal(error)) throw error;
    throw new TouchstoneError(error.code, `${error.message} Run again with the journal ${path} to go on.`, {
      details: { ...error.details, journal: path },
      cause: error,
    });
  } finally {
    await journal.close();
  }
}

/** An item whose call is ready to be sent. */
interface Ready {
  index: number;
  call: string;
}

/** An attempt, and the items that its calls are for. */
interface OpenAttempt extends Attempt {
  items: readonly number[];
}

/** What became of an item, as the journal has it. */
type Outcome =
  | { outcome: "Done"; transactionHash: string }
  | { outcome: "AlreadyDone" }
  | { outcome: "Refused"; reason: string; transactionHash?: string };

class Run<Item> {
  readonly #options: BulkOptions;
  readonly #work: BulkWork<Item>;
  readonly #limits: BulkLimits;
  readonly #persistence: Persistence;
  readonly #outbox: Outbox;
  readonly #journal: Journal;

  // What follows from the journal, and from nothing else.
  readonly #outcomes: (Outcome | undefined)[];
  /** They share one nonce: at most one of them is ever mined. Only the last is sent. */
  #open: OpenAttempt[] = [];
  #nextNonce = 0;
  /** No state before this block counts. */
  #firstBlock = 0;
  #transactions: string[] = [];

  // What can be learnt again.
  readonly #calls = new Map<number, string>();
  #itemsAtOnce: number;

  constructor(
    options: BulkOptions,
    work: BulkWork<Item>,
    parts: { limits: BulkLimits; persistence: Persistence; outbox: Outbox; journal: Journal },
  ) {
    this.#options = options;
    this.#work = work;
    this.#limits = parts.limits;
    this.#persistence = parts.persistence;
    this.#outbox = parts.outbox;
    this.#journal = parts.journal;
    this.#outcomes = work.items.map(() => undefined);
    this.#itemsAtOnce = parts.limits.items;
    for (const record of parts.journal.records) this.#apply(record);
  }

  async finish(): Promise<BulkResult> {
    if (this.#journal.records.length > 0 && this.#hasEnded()) await this.#requireLasting();
    this.#tell();
    for (;;) {
      requireNotAborted(this.#options.signal);
      if (this.#open.length > 0) await this.#settle();
      else if (this.#hasEnded()) return this.#result();
      else await this.#begin();
    }
  }

  #hasEnded(): boolean {
    return this.#open.length === 0 && this.#outcomes.every((outcome) => outcome !== undefined);
  }

  /**
   * A journal that has ended answers for what it did, not for what somebody undid later: whoever gives it again may well want
   * that to be done again. What can never be done again, as of a device that is retired by now, is no such case.
   */
  async #requireLasting(): Promise<void> {
    const { touchstone, journal } = this.#options;
    const work = this.#work;
    const { contract } = work;
    if (work.isUndone === undefined) return;
    const done = work.items.filter((_, index) => this.#outcomes[index]?.outcome !== "Refused");
    const questions = done.map((item) => work.questionOf(item));
    const block = await this.#latest();
    const answers = await persist(this.#persistence, () => askMany({ touchstone, contract, questions, block }));
    const undone = done
      .filter((item, place) => work.isUndone?.(item, at(answers, place)) === true)
      .map((item) => work.idOf(item));
    if (undone.length === 0) return;
    throw new TouchstoneError(
      "JOURNAL_ENDED",
      `The work of ${journal} ended, and ${undone.length} of ${done.length} devices are not so any more: ` +
        "give a new journal to do it again.",
      { details: { journal, undone, done: done.length } },
    );
  }

  // ---------------------------------------------------------------- records

  async #record(record: JournalRecord): Promise<void> {
    await this.#journal.append(record);
    this.#apply(record);
    if (record.record === "mined") this.#tell(record.hash);
    if (record.record === "found" || record.record === "refused") this.#tell();
  }

  /** The one place where the state of the work changes: what was read back leads to the same as what was written. */
  #apply(record: JournalRecord): void {
    switch (record.record) {
      case "found":
        for (const index of record.items) this.#outcomes[index] = { outcome: "AlreadyDone" };
        break;
      case "refused":
        for (const { item, reason } of record.items) this.#outcomes[item] = { outcome: "Refused", reason };
        break;
      case "attempt":
        this.#open.push({ ...record, hash: transactionHash(record.transaction) });
        break;
      case "sent": {
        const attempt = this.#open.at(-1);
        if (attempt !== undefined) attempt.hash = record.hash;
        break;
      }
      case "mined": {
        const { hash, block } = record;
        for (const index of this.#open[record.attempt]?.items ?? []) {
          this.#outcomes[index] = { outcome: "Done", transactionHash: hash };
        }
        for (const { item, reason } of record.refused) {
          this.#outcomes[item] = { outcome: "Refused", reason, transactionHash: hash };
        }
        this.#transactions.push(hash);
        this.#close(block);
        break;
      }
      case "reverted":
        this.#transactions.push(record.hash);
        this.#close(record.block);
        break;
      case "taken":
        this.#close(record.block);
        break;
    }
  }

  #close(block: number): void {
    this.#firstBlock = Math.max(this.#firstBlock, block);
    this.#nextNonce = (this.#open[0]?.nonce ?? -1) + 1;
    this.#open = [];
  }

  #tell(transactionHash?: string): void {
    const { done, alreadyDone, refused } = this.#count();
    this.#options.onProgress?.({
      done,
      alreadyDone,
      refused,
      total: this.#outcomes.length,
      ...(transactionHash === undefined ? {} : { transactionHash }),
    });
  }

  #count(): Pick<BulkResult, "done" | "alreadyDone" | "refused"> {
    const count = (wanted: Outcome["outcome"]): number =>
      this.#outcomes.filter((outcome) => outcome?.outcome === wanted).length;
    return { done: count("Done"), alreadyDone: count("AlreadyDone"), refused: count("Refused") };
  }

  #result(): BulkResult {
    const items = this.#work.items.map((item, index): BulkItem => {
      const id = this.#work.idOf(item);
      const outcome = this.#outcomes[index] ?? { outcome: "AlreadyDone" };
      if (outcome.outcome !== "Refused") return { id, ...outcome };
      const { reason, ...rest } = outcome;
      return { id, ...rest, error: refusal(reason) };
    });
    return { items, ...this.#count(), transactions: this.#transactions };
  }

  // ---------------------------------------------------------------- beginning an attempt

  /** Chooses what is sent next, and writes it down. */
  async #begin(): Promise<void> {
    const block = await this.#latest();
    const ready = await this.#choose(block);
    if (ready.length === 0) return;
    const rehearsed = await this.#rehearse(ready, block);
    if (rehearsed.length === 0) return;
    const fitting = await this.#fit(rehearsed);
    if (fitting === undefined) return;
    const nonce = Math.max(await this.#outbox.nextNonce(block), this.#nextNonce);
    await this.#attempt({ nonce, block, ...fitting, fees: await this.#outbox.fees() });
  }

  async #attempt(plan: { nonce: number; block: number; batch: Ready[]; gasLimit: bigint; fees: Fees }): Promise<void> {
    const { nonce, block, batch, gasLimit, fees } = plan;
    const { transaction } = await this.#outbox.prepare({
      nonce,
      to: this.#work.contract,
      data: this.#encode(batch),
      gasLimit,
      fees,
    });
    const items = batch.map(({ index }) => index);
    await this.#record({ record: "attempt", nonce, items, block, transaction });
  }

  /** The latest block, or a later one that the node must yet come to know: it may be behind what another one told. */
  async #latest(): Promise<number> {
    const latest = await persist(this.#persistence, () => latestBlock(this.#options.touchstone.provider));
    return Math.max(latest, this.#firstBlock);
  }

  /** The next items that are not done, as many as may be sent together. */
  async #choose(block: number): Promise<Ready[]> {
    const { touchstone } = this.#options;
    const work = this.#work;
    const { contract } = work;
    const left = [...this.#outcomes.keys()].filter((index) => this.#outcomes[index] === undefined);
    const ready: Ready[] = [];
    let bytes = 4 + 64;
    while (left.length > 0 && ready.length < this.#itemsAtOnce) {
      const page = left.splice(0, this.#itemsAtOnce - ready.length);
      const questions = page.map((index) => work.questionOf(at(work.items, index)));
      const answers = await persist(this.#persistence, () => askMany({ touchstone, contract, questions, block }));
      const found = page.filter((index, place) => work.isDone(at(work.items, index), at(answers, place)));
      if (found.length > 0) await this.#record({ record: "found", items: found });

      const undone = page.filter((index) => this.#outcomes[index] === undefined);
      const unknown = undone.filter((index) => !this.#calls.has(index));
      const encoded = await persist(this.#persistence, () =>
        work.encode(
          unknown.map((index) => at(work.items, index)),
          block,
        ),
      );
      for (const [place, index] of unknown.entries()) this.#calls.set(index, at(encoded, place));
      for (const index of undone) {
        const call = this.#calls.get(index) ?? "0x";
        // An offset, a length and whole words.
        bytes += 64 + Math.ceil(dataLength(call) / 32) * 32;
        if (bytes > this.#limits.bytes && ready.length > 0) return ready;
        ready.push({ index, call });
      }
    }
    return ready;
  }

  /** Leaves out what the contract would refuse: nobody should pay to learn that. May leave less than it could. */
  async #rehearse(ready: Ready[], block: number): Promise<Ready[]> {
    const { touchstone } = this.#options;
    const { interface: abi } = touchstone.deviceRegistry;
    let batch = ready;
    while (batch.length > 0) {
      const asked = batch;
      const attempted = await this.#try(asked, async () => {
        const result = await this.#call(this.#encode(asked), block);
        const [done] = abi.decodeFunctionResult("tryMulticall", result) as unknown as [boolean[]];
        return done;
      });
      if (!("result" in attempted)) {
        batch = attempted.fewer;
        continue;
      }
      const doubtful = batch.filter((_, place) => attempted.result[place] !== true);
      const refused: { item: number; reason: string }[] = [];
      for (let start = 0; start < doubtful.length; start += 16) {
        const page = doubtful.slice(start, start + 16);
        const reasons = await Promise.all(page.map(({ call }) => this.#reasonOf(call)));
        // What is refused only among the others, or in a block that is over, is for the chain to decide.
        for (const [place, { index }] of page.entries()) {
          const reason = reasons[place];
          if (reason !== undefined) refused.push({ item: index, reason });
        }
      }
      if (refused.length > 0) await this.#record({ record: "refused", items: refused });
      return batch.filter(({ index }) => this.#outcomes[index] === undefined);
    }
    return [];
  }

  /** As much of the batch as fits into one transaction, and the gas that it needs; undefined if that is nothing. */
  async #fit(rehearsed: Ready[]): Promise<{ batch: Ready[]; gasLimit: bigint } | undefined> {
    const { provider } = this.#options.touchstone;
    const { sender } = this.#outbox;
    const most = await this.#mostGas();
    let batch = rehearsed;
    for (;;) {
      const asked = batch;
      const data = this.#encode(asked);
      const attempted = await this.#try(asked, () =>
        persist(this.#persistence, () => provider.estimateGas({ from: sender, to: this.#work.contract, data })),
      );
      if (!("result" in attempted)) {
        if (attempted.fewer.length === 0) return undefined;
        batch = attempted.fewer;
        continue;
      }
      // The state may move between estimate and block, so that one write costs more than it did.
      const gasLimit = attempted.result + attempted.result / 10n;
      if (gasLimit <= most) return { batch, gasLimit };
      if (batch.length === 1) return { batch, gasLimit: most };
      const share = Number((BigInt(batch.length) * most) / gasLimit);
      this.#itemsAtOnce = Math.max(1, Math.min(share, batch.length - 1));
      batch = batch.slice(0, this.#itemsAtOnce);
    }
  }

  /**
   * Asks something of a whole batch. If it is too much for the node, or one call breaks all, says with which fewer to try
   * again; a single item that breaks is refused, and none are left.
   */
  async #try<T>(batch: Ready[], question: () => Promise<T>): Promise<{ result: T } | { fewer: Ready[] }> {
    try {
      return { result: await question() };
    } catch (error) {
      const [first] = batch;
      if (isContractError(error, "CallBroken")) {
        const broken = Number(error.args.index);
        if (broken > 0) return { fewer: batch.slice(0, broken) };
        if (batch.length > 1) return { fewer: batch.slice(0, 1) };
      }
      const isRefusal = error instanceof TouchstoneError && ["RPC_FAILED", "CONTRACT_REVERTED"].includes(error.code);
      if (!isRefusal || first === undefined) throw error;
      if (batch.length > 1) {
        this.#itemsAtOnce = Math.ceil(batch.length / 2);
        return { fewer: batch.slice(0, this.#itemsAtOnce) };
      }
      const revert = decodeRevert(error);
      if (revert === undefined) throw error;
      await this.#record({ record: "refused", items: [{ item: first.index, reason: revert.data }] });
      return { fewer: [] };
    }
  }

  /** Why the contract would refuse a call in the next block; undefined if it would not. */
  async #reasonOf(call: string): Promise<string | undefined> {
    try {
      await this.#call(call, "pending");
      return undefined;
    } catch (error) {
      const revert = decodeRevert(error);
      if (revert === undefined) throw error;
      return revert.data;
    }
  }

  async #call(data: string, block: number | "pending"): Promise<string> {
    const { provider } = this.#options.touchstone;
    const gasLimit = await this.#mostGas();
    const request = { from: this.#outbox.sender, to: this.#work.contract, data, gasLimit, blockTag: block };
    return persist(this.#persistence, () => provider.call(request));
  }

  #encode(batch: Ready[]): string {
    const { interface: abi } = this.#options.touchstone.deviceRegistry;
    return abi.encodeFunctionData("tryMulticall", [batch.map(({ call }) => call)]);
  }

  #blockGas: bigint | undefined;

  async #mostGas(): Promise<bigint> {
    if (this.#blockGas === undefined) {
      const block = await persist(this.#persistence, () => this.#options.touchstone.provider.getBlock("latest"));
      this.#blockGas = block?.gasLimit ?? this.#limits.gas;
    }
    return this.#blockGas < this.#limits.gas ? this.#blockGas : this.#limits.gas;
  }

  // ---------------------------------------------------------------- settling the open attempts

  /** Sends the last attempt, again if need be, until the nonce of the open ones is used; then writes down by what. */
  async #settle(): Promise<void> {
    const { signal, confirmations = 1 } = this.#options;
    let isSent = false;
    let since = performance.now();
    let latest = -1;
    for (;;) {
      const fate = await this.#outbox.fateOf(this.#open, confirmations);
      if (fate !== undefined && fate.kind !== "settling") return this.#conclude(fate);
      if (fate === undefined && !isSent) {
        isSent = true;
        const failure = await this.#send();
        if (failure === undefined) continue;
        const after = await this.#outbox.fateOf(this.#open, confirmations);
        if (after !== undefined) continue;
        return this.#yieldTo(failure);
      }
      // What is mined needs only blocks, as long as some come.
      if (fate !== undefined && fate.latest > latest) {
        latest = fate.latest;
        since = performance.now();
      } else if (performance.now() - since > this.#limits.patience) {
        if (fate !== undefined) throw this.#unsettled(fate.latest);
        if (!(await this.#raise())) throw this.#stuck();
        isSent = false;
        since = performance.now();
      }
      await pause(this.#limits.pollInterval, signal);
    }
  }

  /** @returns The node's refusal, unless it only says that it has the transaction, or another one with its nonce. */
  async #send(): Promise<TouchstoneError | undefined> {
    const attempt = at(this.#open, this.#open.length - 1);
    try {
      const hash = await this.#outbox.broadcast(attempt);
      if (attempt.hash === undefined) await this.#record({ record: "sent", hash });
      return undefined;
    } catch (error) {
      const failure = toTouchstoneError(error);
      if (failure.code === "JOURNAL_FAILED") throw failure;
      return failure.code === "NONCE_CONFLICT" ? undefined : failure;
    }
  }

  /** The node refuses what is not mined yet: it may offer too little, or be too large. The nonce stays the same. */
  async #yieldTo(failure: TouchstoneError): Promise<void> {
    if (failure.code !== "RPC_FAILED" || isPassing(failure)) throw failure;
    if (/\bfee|underpriced|gas ?price/i.test(failure.message)) {
      if (await this.#raise()) return;
      throw failure;
    }
    const attempt = at(this.#open, this.#open.length - 1);
    const half = Math.ceil(attempt.items.length / 2);
    if (half === attempt.items.length) throw failure;
    this.#itemsAtOnce = half;
    const fitting = await this.#fit(this.#callsOf(attempt).slice(0, half));
    if (fitting === undefined) throw failure;
    const { nonce, block } = attempt;
    await this.#attempt({ nonce, block, ...fitting, fees: await this.#outbox.fees() });
  }

  /** Makes the same transaction again with a higher fee, if the market has outgrown the one that waits. */
  async #raise(): Promise<boolean> {
    const attempt = at(this.#open, this.#open.length - 1);
    const fees = await this.#outbox.raisedFees(attempt);
    if (fees === undefined) return false;
    const { gasLimit } = Transaction.from(attempt.transaction);
    const { nonce, block } = attempt;
    await this.#attempt({ nonce, block, batch: this.#callsOf(attempt), gasLimit, fees });
    return true;
  }

  #callsOf(attempt: OpenAttempt): Ready[] {
    const { interface: abi } = this.#options.touchstone.deviceRegistry;
    const { data } = Transaction.from(attempt.transaction);
    const [calls] = abi.decodeFunctionData("tryMulticall", data) as unknown as [string[]];
    return attempt.items.map((index, place) => ({ index, call: at(calls, place) }));
  }

  async #conclude(fate: Exclude<Fate, { kind: "settling" }>): Promise<void> {
    if (fate.kind === "taken") {
      const { block, hash } = fate;
      return this.#record({ record: "taken", block, ...(hash === undefined ? {} : { hash }) });
    }
    const { attempt, receipt } = fate;
    const { hash, status, blockNumber: block } = receipt;
    const { items } = at(this.#open, attempt);
    const [first = 0] = items;
    if (status !== 0) {
      return this.#record({
        record: "mined",
        attempt,
        hash,
        block,
        refused: skippedIn(this.#options, this.#work, items, receipt),
      });
    }
    // A single call that fails by itself when mined would do so again, at a price.
    if (items.length === 1) {
      return this.#record({ record: "mined", attempt, hash, block, refused: [{ item: first, reason: "0x" }] });
    }
    this.#itemsAtOnce = Math.ceil(items.length / 2);
    return this.#record({ record: "reverted", attempt, hash, block });
  }

  #stuck(): TouchstoneError {
    const { nonce, hash } = at(this.#open, this.#open.length - 1);
    return new TouchstoneError(
      "TRANSACTION_STUCK",
      `The transaction ${hash ?? "without a known hash"} with nonce ${nonce} of ${this.#outbox.sender} is not mined after ` +
        `${this.#limits.patience} ms: see whether transactions with lower nonces wait, and whether limits.maxFeePerGas is too low.`,
      { details: { nonce, transactionHash: hash, sender: this.#outbox.sender } },
    );
  }

  #unsettled(block: number): TouchstoneError {
    const { nonce, hash } = at(this.#open, this.#open.length - 1);
    const { sender } = this.#outbox;
    return new TouchstoneError(
      "TRANSACTION_STUCK",
      `Nonce ${nonce} of ${sender} is used, but not settled, and no block followed block ${block} in ` +
        `${this.#limits.patience} ms: see whether the chain makes blocks, as many as confirmations asks for.`,
      { details: { nonce, transactionHash: hash, sender, block } },
    );
  }
}

// ------------------------------------------------------------------ small things

/** The items whose calls the contract skipped, with its reasons. */
function skippedIn(
  { touchstone }: BulkOptions,
  { contract }: Pick<BulkWork<never>, "contract">,
  items: readonly number[],
  receipt: TransactionReceipt,
): { item: number; reason: string }[] {
  const skipped: { item: number; reason: string }[] = [];
  for (const log of receipt.logs) {
    if (log.address !== contract) continue;
    const event = touchstone.deviceRegistry.interface.parseLog(log);
    if (event?.name !== "CallSkipped") continue;
    const { index, reason } = event.args as unknown as { index: bigint; reason: string };
    skipped.push({ item: at(items, Number(index)), reason });
  }
  return skipped;
}

/** What a contract returned, as the error that it stands for. */
function refusal(reason: string): TouchstoneError {
  return toTouchstoneError({ code: "CALL_EXCEPTION", data: reason });
}

function digestOf<Item>(work: BulkWork<Item>): string {
  const hash = createHash("sha256");
  for (const item of work.items) hash.update(`${JSON.stringify(work.contentOf(item).map(String))}\n`);
  return `0x${hash.digest("hex")}`;
}

/** Whether the same again would end in the same way. */
function isFinal({ code }: TouchstoneError): boolean {
  return code === "CONTRACT_REVERTED" || code === "INVALID_ARGUMENT" || code === "JOURNAL_ENDED";
}

function requireLimits(limits: BulkLimits): BulkLimits {
  const { gas, maxFeePerGas = 1n, items, bytes, patience, pollInterval, retries, retryDelay } = limits;
  const least: [keyof BulkLimits, number | bigint, number][] = [
    ["items", items, 1],
    ["bytes", bytes, 1],
    ["gas", gas, 1],
    ["maxFeePerGas", maxFeePerGas, 1],
    ["patience", patience, 0],
    ["pollInterval", pollInterval, 0],
    ["retries", retries, 0],
    ["retryDelay", retryDelay, 0],
  ];
  for (const [name, value, smallest] of least) {
    const isNumber = typeof value === "bigint" || Number.isSafeInteger(value);
    if (isNumber && value >= smallest) continue;
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `limits.${name}: ${value} is too little: give at least ${smallest}.`,
      {
        details: { limit: name, value },
      },
    );
  }
  return limits;
}

/** What must be there, because the journal or the contract answers for it. */
function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`There is no item ${index} among ${list.length}.`);
  return item;
}

function requireDistinct<Item>(work: BulkWork<Item>): void {
  const seen = new Set<string>();
  for (const item of work.items) {
    const id = work.idOf(item);
    if (seen.has(id)) {
      throw new TouchstoneError("INVALID_ARGUMENT", `${id} is given twice: give each once, so that one call decides.`, {
        details: { id },
      });
    }
    seen.add(id);
  }
}
