import { setTimeout } from "node:timers/promises";

import {
  isAddressable,
  isError,
  type Addressable,
  type ContractRunner,
  type ContractTransaction,
  type TransactionReceipt,
  type TransactionResponse,
} from "ethers";

import { requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { eventsIn, type TouchstoneEvent } from "./events.js";
import { ask, toTouchstoneError } from "./reverts.js";
import { runnerReadOnly } from "./senders.js";

/** What every verb that sends takes. */
export interface SendOptions {
  /** The contracts, connected with the signer who sends. */
  touchstone: Touchstone;
  /** Cancels: before sending nothing is sent; after it the transaction may still be mined, only the waiting ends. */
  signal?: AbortSignal;
  /** Blocks to wait for, the transaction's own included; 1 unless told. */
  confirmations?: number;
}

/** What every verb that sends returns. */
export interface Sent {
  receipt: TransactionReceipt;
  /** The events of the contracts that the transaction made. */
  events: TouchstoneEvent[];
}

/** Unix seconds of the latest block: the time that the contracts go by. */
export async function chainTime(touchstone: Touchstone): Promise<bigint> {
  const block = await ask(() => touchstone.provider.getBlock("latest"));
  if (block === null)
    throw new TouchstoneError("RPC_FAILED", "The node has no latest block: wait until it has synchronised.");
  return BigInt(block.timestamp);
}

/**
 * The deadline of a message that is made now.
 *
 * @param validFor Seconds from the latest block.
 * @returns Unix seconds.
 * @throws TouchstoneError INVALID_ARGUMENT unless it is a bigint from 0 that fits 40 bits.
 */
export async function deadlineIn(touchstone: Touchstone, validFor: bigint): Promise<bigint> {
  requireUint("validFor", validFor, 40);
  return requireUint("validFor", (await chainTime(touchstone)) + validFor, 40);
}

/**
 * Sends a transaction that a rehearsal has shown to succeed, and waits until it is mined.
 *
 * @param populate Encodes the call, as `contract.verb.populateTransaction` does.
 * @throws ContractRevertError if a contract refuses, in the rehearsal (nothing is sent then) or when mined.
 * @throws TouchstoneError RUNNER_READ_ONLY, INVALID_ARGUMENT, INSUFFICIENT_FUNDS, NONCE_CONFLICT, WRONG_CHAIN,
 *         CHAIN_UNREACHABLE, TRANSACTION_REPLACED, RPC_FAILED, CANCELLED (with `transactionHash` if it was sent).
 */
export async function send(options: SendOptions, populate: () => Promise<ContractTransaction>): Promise<Sent> {
  const { touchstone, signal } = options;
  const runner = requireSender(touchstone.runner);
  requireNotCancelled(signal);
  const attempt = async (): Promise<TransactionResponse> => {
    const transaction = await populate();
    const gas = await runner.estimateGas(transaction);
    requireNotCancelled(signal);
    // The state may move between rehearsal and block, so that one write costs more than it did.
    return runner.sendTransaction({ ...transaction, gasLimit: gas + gas / 10n });
  };
  const response = await askAs(runner, () => attempt().catch(async (error: unknown) => retryNonce(error, attempt)));
  const receipt = await waitFor(response, options);
  return { receipt, events: eventsIn(touchstone, receipt) };
}

/**
 * Asks as `ask` does, and says who cannot pay where that is the matter.
 *
 * @throws TouchstoneError as ask; INSUFFICIENT_FUNDS with `sender` in its details.
 */
export async function askAs<T>(sender: Addressable, question: () => Promise<T>): Promise<T> {
  try {
    return await ask(question);
  } catch (error) {
    if (!(error instanceof TouchstoneError) || error.code !== "INSUFFICIENT_FUNDS") throw error;
    const address = await sender.getAddress();
    throw new TouchstoneError(error.code, `${address}: ${error.message}`, {
      details: { ...error.details, sender: address },
      cause: error,
    });
  }
}

/** ethers remembers a nonce for a quarter of a second, which is too long for who sends two transactions in a row. */
async function retryNonce<T>(error: unknown, attempt: () => Promise<T>): Promise<T> {
  if (!isError(error, "NONCE_EXPIRED")) throw error;
  await setTimeout(300);
  return attempt();
}

type Sender = Required<Pick<ContractRunner, "estimateGas" | "sendTransaction">> & Addressable;

function requireSender(runner: ContractRunner): Sender {
  if (runner.sendTransaction === undefined || runner.estimateGas === undefined || !isAddressable(runner)) {
    throw runnerReadOnly();
  }
  return runner as Sender;
}

async function waitFor(response: TransactionResponse, options: SendOptions): Promise<TransactionReceipt> {
  const { signal, confirmations = 1 } = options;
  const mined = response.wait(confirmations);
  // Nobody is left to listen when the caller has cancelled.
  mined.catch(() => undefined);
  const done = new AbortController();
  const cancelled = new Promise<never>((_, reject) => {
    const cancel = (): void => {
      reject(waitingCancelled(response.hash, signal));
    };
    signal?.addEventListener("abort", cancel, { signal: done.signal });
  });
  try {
    if (signal?.aborted) throw waitingCancelled(response.hash, signal);
    const receipt = await Promise.race([mined, cancelled]);
    if (receipt === null) throw new TouchstoneError("RPC_FAILED", `The node has no receipt of ${response.hash}.`);
    return receipt;
  } catch (error) {
    // The same transaction with a higher fee is still the same transaction.
    if (isError(error, "TRANSACTION_REPLACED") && error.reason === "repriced") return error.receipt;
    if (isError(error, "CALL_EXCEPTION")) throw await reasonOf(response, error);
    throw toTouchstoneError(error);
  } finally {
    done.abort();
  }
}

/** A receipt says only that a transaction failed: the same call on the state of its block says why. */
async function reasonOf(response: TransactionResponse, failure: Error): Promise<TouchstoneError> {
  try {
    const { from, to, data, value, gasLimit } = response;
    const receipt = await response.provider.getTransactionReceipt(response.hash);
    await response.provider.call({ from, to, data, value, gasLimit, blockTag: receipt?.blockNumber ?? "latest" });
  } catch (error) {
    return toTouchstoneError(error);
  }
  return toTouchstoneError(failure);
}

function waitingCancelled(transactionHash: string, signal: AbortSignal | undefined): TouchstoneError {
  return new TouchstoneError(
    "CANCELLED",
    `Waiting for ${transactionHash} was cancelled, but it was sent and may still be mined: look it up.`,
    { details: { transactionHash }, cause: signal?.reason },
  );
}

function requireNotCancelled(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new TouchstoneError("CANCELLED", "The caller cancelled; nothing was sent.", { cause: signal.reason });
}
