import type { ContractTransaction } from "ethers";

import { requireAddress, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { allPermissions, namesIn, type Permission } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import type { TouchstoneEvent } from "./events.js";
import { checkedTerms, type GrantTerms } from "./grant-terms.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { ask, ContractRevertError, decodeRevert } from "./reverts.js";
import { requireNotCancelled } from "./text-files.js";
import { send, type SendOptions, type Sent } from "./transactions.js";

export type { GrantTerms } from "./grant-terms.js";

/** What was granted last to one subject on one device. */
export interface Grant {
  /** Empty if nothing was granted, or it was revoked. */
  permissions: Permission[];
  purposes: Purpose[];
  /** Unix seconds of the first moment it holds. */
  notBefore: bigint;
  /** Unix seconds of the first moment it no longer holds. */
  expiry: bigint;
  /** The device's epoch it was given in; it holds in no other. */
  epoch: bigint;
  /** How often it was changed. */
  seq: bigint;
  byOwner: boolean;
}

/** A device, and who is granted something on it, or no longer. */
export interface Pair {
  device: string;
  subject: string;
}

// ------------------------------------------------------------------ one at a time

/**
 * Makes the grant of a subject on a device exactly this, in place of what it had. By the owner's governor, or by a member with
 * Share: it gives no more than it may do itself, for no longer than it holds its roles, and not where the owner's grant stands.
 */
export async function grant(options: SendOptions & Pair & GrantTerms): Promise<Sent> {
  const { dataAccess } = options.touchstone;
  const { device, subject } = checkedPair(options);
  const terms = checkedTerms(options);
  return send(options, () => dataAccess.grant.populateTransaction(device, subject, ...terms));
}

/** Ends the grant of a subject on a device. By the owner's governor or a member with Share; nothing can prevent it. */
export async function revoke(options: SendOptions & Pair): Promise<Sent> {
  const { device, subject } = checkedPair(options);
  return send(options, () => options.touchstone.dataAccess.revoke.populateTransaction(device, subject));
}

/** Gives up the sender's own grant on a device. */
export async function renounce(options: SendOptions & { device: string }): Promise<Sent> {
  const device = requireAddress("device", options.device);
  return send(options, () => options.touchstone.dataAccess.renounce.populateTransaction(device));
}

// ------------------------------------------------------------------ many at once

/** What became of one of many pairs: a pair that was skipped was refused for this reason, and the others went on. */
export type PairOutcome = Pair & { transactionHash: string } & (
    { outcome: "Done" } | { outcome: "Skipped"; error: ContractRevertError }
  );

/** How far the work has come. */
export interface PairProgress {
  done: number;
  skipped: number;
  total: number;
  /** The transaction that was mined just now. */
  transactionHash: string;
}

/** What every verb for many pairs takes. */
export interface ManyPairsOptions extends SendOptions {
  /** Each once. */
  pairs: readonly Pair[];
  /** In one transaction, at most; 400 unless told. Fewer are sent where that is too much for a block. */
  pairsAtOnce?: number;
  /** Called after each transaction. */
  onProgress?: (progress: PairProgress) => void;
}

/** What every verb for many pairs returns. */
export interface ManyPairsResult {
  /** In the order of the pairs. */
  outcomes: PairOutcome[];
  /** One for each transaction, in their order. */
  sent: Sent[];
}

/**
 * Some of many pairs were done before the work ended. Of `remaining` nothing is known to have happened: give them to the same
 * verb to go on. A pair that was done meanwhile is made the same once more.
 */
export class PairsRemainingError extends TouchstoneError {
  override readonly name = "PairsRemainingError";
  /** What became of the pairs before. */
  readonly outcomes: readonly PairOutcome[];
  readonly remaining: readonly Pair[];

  constructor(failure: TouchstoneError, outcomes: readonly PairOutcome[], remaining: readonly Pair[]) {
    super(
      failure.code,
      `${failure.message} ${outcomes.length} pairs are settled, ${remaining.length} are not: give \`remaining\` to go on.`,
      { details: { ...failure.details, outcomes, remaining }, cause: failure },
    );
    this.outcomes = outcomes;
    this.remaining = remaining;
  }
}

/**
 * Makes the grants of many subjects and devices exactly this, in as many transactions as it takes; leaves out and names what is
 * refused. By the owners' governor, or by a member with Share.
 *
 * @throws PairsRemainingError with the code of what ended it, if transactions were sent before or one may have been.
 * @throws TouchstoneError INVALID_ARGUMENT for no pair, or one given twice; else as send, and nothing was sent.
 */
export async function grantMany(options: ManyPairsOptions & GrantTerms): Promise<ManyPairsResult> {
  const { dataAccess } = options.touchstone;
  const terms = checkedTerms(options);
  return inChunks(options, "AccessGranted", (pairs) => dataAccess.grantMany.populateTransaction([...pairs], ...terms));
}

/**
 * Ends the grants of many subjects and devices, in as many transactions as it takes; leaves out and names what is refused. By
 * the owners' governor, or by a member with Share.
 *
 * @throws TouchstoneError as grantMany.
 */
export async function revokeMany(options: ManyPairsOptions): Promise<ManyPairsResult> {
  const { dataAccess } = options.touchstone;
  return inChunks(options, "AccessRevoked", (pairs) => dataAccess.revokeMany.populateTransaction([...pairs]));
}

/** A new grant costs about 30,000 gas, half as much again for a member; chains take 2^24 in one transaction (EIP-7825). */
const PAIRS_AT_ONCE = 400;
const MOST_GAS = 2n ** 24n;
/** Nodes pass on transactions of at most 128 KiB. */
const MOST_PAIRS = 1_900;

type Populate = (pairs: readonly Pair[]) => Promise<ContractTransaction>;

async function inChunks(
  options: ManyPairsOptions,
  doneEvent: "AccessGranted" | "AccessRevoked",
  populate: Populate,
): Promise<ManyPairsResult> {
  const { onProgress, signal, pairsAtOnce = PAIRS_AT_ONCE } = options;
  const pairs = checkedPairs(options.pairs);
  let atOnce = Math.min(requireCount(pairsAtOnce), MOST_PAIRS);
  const outcomes: PairOutcome[] = [];
  const sent: Sent[] = [];
  while (outcomes.length < pairs.length) {
    try {
      requireNotCancelled("Granting and revoking", signal);
      const next = pairs.slice(outcomes.length, outcomes.length + atOnce);
      const chunk = await fitting(options, next, populate);
      atOnce = chunk.length;
      const transaction = await send(options, () => populate(chunk));
      outcomes.push(...outcomesOf(chunk, transaction, doneEvent));
      sent.push(transaction);
    } catch (error) {
      if (!(error instanceof TouchstoneError)) throw error;
      if (sent.length === 0 && isUnsent(error)) throw error;
      throw new PairsRemainingError(error, outcomes, pairs.slice(outcomes.length));
    }
    const done = outcomes.filter(({ outcome }) => outcome === "Done").length;
    onProgress?.({
      done,
      skipped: outcomes.length - done,
      total: pairs.length,
      transactionHash: sent.at(-1)?.receipt.hash ?? "",
    });
  }
  return { outcomes, sent };
}

/** As many of the pairs as one transaction takes. */
async function fitting(options: SendOptions, pairs: readonly Pair[], populate: Populate): Promise<readonly Pair[]> {
  const { runner, provider } = options.touchstone;
  const estimate = runner.estimateGas?.bind(runner);
  // `send` says what is wrong with a runner that cannot send.
  if (estimate === undefined) return pairs;
  const block = await ask(() => provider.getBlock("latest"));
  const most = block === null || block.gasLimit > MOST_GAS ? MOST_GAS : block.gasLimit;
  for (let chunk = pairs; ;) {
    const transaction = await ask(() => populate(chunk));
    const gas = await ask(() => estimate(transaction)).catch((error: unknown) => tooMuch(error, chunk, most));
    // What `send` adds for a state that moves.
    const needed = gas + gas / 10n;
    if (needed <= most || chunk.length === 1) return chunk;
    const share = Number((BigInt(chunk.length) * most) / needed);
    chunk = chunk.slice(0, Math.max(1, Math.min(share, chunk.length - 1)));
  }
}

/** A node that is asked for more gas than there is refuses in words of its own, or runs out of it: half may do. */
function tooMuch(error: unknown, chunk: readonly Pair[], most: bigint): bigint {
  const isRefusal = error instanceof ContractRevertError && error.errorName !== undefined;
  const mayBeSize = error instanceof TouchstoneError && ["RPC_FAILED", "CONTRACT_REVERTED"].includes(error.code);
  if (isRefusal || !mayBeSize || chunk.length === 1) throw error;
  return 2n * most;
}

/** Whether the error itself says that its transaction was not sent, or changed nothing. */
function isUnsent({ code, details }: TouchstoneError): boolean {
  if (code === "CANCELLED") return details.transactionHash === undefined;
  return ["CONTRACT_REVERTED", "INVALID_ARGUMENT", "INSUFFICIENT_FUNDS", "RUNNER_READ_ONLY", "WRONG_CHAIN"].includes(
    code,
  );
}

/** The contract says of each pair, in their order, that it was done or why not. */
function outcomesOf(chunk: readonly Pair[], { receipt, events }: Sent, doneEvent: string): PairOutcome[] {
  const said = events.filter(({ name }) => name === doneEvent || name === "PairSkipped");
  const transactionHash = receipt.hash;
  return chunk.map((pair, place) => {
    const event = said[place];
    if (event === undefined || !isOf(pair, event)) {
      throw new TouchstoneError(
        "RPC_FAILED",
        `The transaction ${transactionHash} does not say what became of ${pair.subject} on ${pair.device}: look it up.`,
        { details: { ...pair, transactionHash } },
      );
    }
    if (event.name !== "PairSkipped") return { ...pair, transactionHash, outcome: "Done" };
    const error = decodeRevert({ data: event.args.reason });
    // Not reached: the contract says why with at least a selector.
    if (error === undefined) throw new RangeError(`The pair ${place} was skipped for ${event.args.reason}.`);
    return { ...pair, transactionHash, outcome: "Skipped", error };
  });
}

function isOf({ device, subject }: Pair, { args }: TouchstoneEvent): boolean {
  return "device" in args && "subject" in args && args.device === device && args.subject === subject;
}

// ------------------------------------------------------------------ reading

/** What was granted last to the subject on the device. */
export async function grantOf(options: { touchstone: Touchstone; device: string; subject: string }): Promise<Grant> {
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  return grantFrom(await ask(() => options.touchstone.dataAccess.grantOf(device, subject)));
}

/**
 * The grant that an AccessGranted event tells of.
 *
 * @param word The event's argument of this name: the grant as the contract stores it.
 */
export function grantInWord(word: bigint): Grant {
  requireUint("word", word, 256);
  let rest = word;
  const take = (bits: bigint): bigint => {
    const value = BigInt.asUintN(Number(bits), rest);
    rest >>= bits;
    return value;
  };
  const [permissions, purposes] = [take(32n), take(32n)];
  const [notBefore, expiry, epoch, seq] = [take(40n), take(40n), take(24n), take(32n)];
  return grantFrom({ permissions, purposes, notBefore, expiry, epoch, seq, byOwner: take(1n) === 1n });
}

interface StoredGrant extends Omit<Grant, "permissions" | "purposes"> {
  permissions: bigint;
  purposes: bigint;
}

function grantFrom(grant: StoredGrant): Grant {
  return {
    permissions: namesIn(allPermissions, grant.permissions),
    purposes: namesIn(allPurposes, grant.purposes),
    notBefore: grant.notBefore,
    expiry: grant.expiry,
    epoch: grant.epoch,
    seq: grant.seq,
    byOwner: grant.byOwner,
  };
}

// ------------------------------------------------------------------ arguments

function checkedPair(pair: Pair): Pair {
  return { device: requireAddress("device", pair.device), subject: requireAddress("subject", pair.subject) };
}

function checkedPairs(given: readonly Pair[]): Pair[] {
  const pairs = given.map(checkedPair);
  if (pairs.length === 0) {
    throw new TouchstoneError("INVALID_ARGUMENT", "pairs: there is none: give at least one.", {
      details: { argument: "pairs" },
    });
  }
  const seen = new Set<string>();
  for (const { device, subject } of pairs) {
    const pair = `${device}/${subject}`;
    if (seen.has(pair)) {
      throw new TouchstoneError(
        "INVALID_ARGUMENT",
        `pairs: the device ${device} and the subject ${subject} are given twice: give each pair once.`,
        { details: { argument: "pairs", device, subject } },
      );
    }
    seen.add(pair);
  }
  return pairs;
}

function requireCount(pairsAtOnce: number): number {
  if (Number.isSafeInteger(pairsAtOnce) && pairsAtOnce > 0) return pairsAtOnce;
  throw new TouchstoneError("INVALID_ARGUMENT", `pairsAtOnce: ${pairsAtOnce} is too few: give at least 1.`, {
    details: { argument: "pairsAtOnce", value: pairsAtOnce },
  });
}
