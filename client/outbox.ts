import {
  isAddressable,
  NonceManager,
  Transaction,
  type ContractRunner,
  type JsonRpcSigner,
  type Signer,
  type TransactionReceipt,
  type TransactionRequest,
  type TransactionResponse,
} from "ethers";

import { latestBlock } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { ask, toTouchstoneError } from "./reverts.js";
import { persist, type Persistence } from "./retries.js";
import { runnerReadOnly } from "./senders.js";
import { askAs } from "./transactions.js";

/** A transaction that may have been sent. All that are open at a time share one nonce, so at most one of them is mined. */
export interface Attempt {
  nonce: number;
  /** A block before the transaction. */
  block: number;
  /** Serialised; not signed if the signer's node signs what it sends. */
  transaction: string;
  /** Known from the start if it is signed, else once the node has told. */
  hash: string | undefined;
}

/** What became of the nonce that the attempts share. */
export type Fate =
  /** One of the attempts was mined; `attempt` is its place among them. */
  | { kind: "mined"; attempt: number; receipt: TransactionReceipt }
  /** Another transaction was, after which block at the latest; its hash is unknown if the node has forgotten the past. */
  | { kind: "taken"; block: number; hash: string | undefined }
  /** The nonce is used, but the block is too young to be relied on; `latest` is the latest block now. */
  | { kind: "settling"; latest: number };

/** What a transaction offers for its gas, in wei. */
export type Fees =
  | { type: 2; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }
  /** On chains without EIP-1559. */
  | { type: 0; gasPrice: bigint };

/** Sends transactions of one account, whose nonces, contents and fates its user keeps. */
export interface Outbox {
  readonly sender: string;
  /** The next nonce, behind all that the node knows of, and all that was mined until `block` in any case. */
  nextNonce(block: number): Promise<number>;
  /** What a transaction should offer now. */
  fees(): Promise<Fees>;
  /** What to offer in place of an attempt that the market has outgrown; undefined if it has not. */
  raisedFees(attempt: Attempt): Promise<Fees | undefined>;
  /** Serialises, and signs if the signer can do so without sending. */
  prepare(options: {
    nonce: number;
    to: string;
    data: string;
    gasLimit: bigint;
    fees: Fees;
  }): Promise<Pick<Attempt, "transaction" | "hash">>;
  /** Sends, however often the same; gives the hash as the node tells it. */
  broadcast(attempt: Attempt): Promise<string>;
  /** Undefined while nothing with the nonce of the attempts is mined. */
  fateOf(attempts: readonly Attempt[], confirmations: number): Promise<Fate | undefined>;
}

/** The hash of a serialised transaction; undefined if it is not signed. */
export function transactionHash(transaction: string): string | undefined {
  return Transaction.from(transaction).hash ?? undefined;
}

/** Wei for one unit of gas, at most. */
export function mostOf(fees: Fees): bigint {
  return fees.type === 2 ? fees.maxFeePerGas : fees.gasPrice;
}

/** Fees that nodes take in place of an attempt: they replace what waits only by what offers a tenth or an eighth more. */
export function outbidding(fees: Fees, attempt: Pick<Attempt, "transaction">): Fees {
  const before = Transaction.from(attempt.transaction);
  const raised = (old: bigint, now: bigint): bigint => {
    const least = old + old / 8n + 1n;
    return now > least ? now : least;
  };
  const most = raised(offeredBy(before), mostOf(fees));
  if (fees.type === 0) return { type: 0, gasPrice: most };
  const tip = raised(before.maxPriorityFeePerGas ?? 0n, fees.maxPriorityFeePerGas);
  return { type: 2, maxFeePerGas: most, maxPriorityFeePerGas: tip > most ? most : tip };
}

/**
 * Opens the outbox of the account that Touchstone is connected with.
 *
 * @param options.maxFeePerGas Wei; nothing is made to offer more.
 * @throws TouchstoneError RUNNER_READ_ONLY.
 */
export async function openOutbox(options: {
  touchstone: Touchstone;
  persistence: Persistence;
  maxFeePerGas: bigint | undefined;
}): Promise<Outbox> {
  const { touchstone, persistence, maxFeePerGas } = options;
  const { provider, chainId } = touchstone;
  const signer = requireSigner(touchstone.runner);
  const sender = await ask(() => signer.getAddress());
  let canSign = true;

  const countAt = (block: number | "latest" | "pending"): Promise<number> =>
    persist(persistence, () => provider.getTransactionCount(sender, block));

  const fees = async (): Promise<Fees> => {
    const now = await persist(persistence, () => provider.getFeeData());
    const capped = (fee: bigint): bigint => (maxFeePerGas !== undefined && fee > maxFeePerGas ? maxFeePerGas : fee);
    if (now.maxFeePerGas !== null && now.maxPriorityFeePerGas !== null) {
      const most = capped(now.maxFeePerGas);
      const tip = now.maxPriorityFeePerGas > most ? most : now.maxPriorityFeePerGas;
      return { type: 2, maxFeePerGas: most, maxPriorityFeePerGas: tip };
    }
    if (now.gasPrice !== null) return { type: 0, gasPrice: capped(now.gasPrice) };
    throw new TouchstoneError("RPC_FAILED", "The node does not say what gas costs: wait until it has synchronised.");
  };

  const sign = async (fields: TransactionRequest): Promise<string | undefined> => {
    if (!canSign) return undefined;
    try {
      return await signer.signTransaction(fields);
    } catch (error) {
      if (isMissing(error)) {
        canSign = false;
        return undefined;
      }
      const failure = toTouchstoneError(error);
      if (failure.code !== "RPC_FAILED") throw failure;
      throw new TouchstoneError("SIGNING_FAILED", `${sender} did not sign: ${failure.message} Unlock or connect it.`, {
        details: { sender },
        cause: error,
      });
    }
  };

  /** The transaction of the account that used the nonce in one of the blocks; undefined if the node cannot tell. */
  const findUser = async (nonce: number, after: number, until: number): Promise<TransactionResponse | undefined> => {
    try {
      let [before, since] = [after, until];
      while (since - before > 1) {
        const middle = Math.floor((before + since) / 2);
        if ((await countAt(middle)) > nonce) since = middle;
        else before = middle;
      }
      const transactions = await persist(persistence, async () => {
        const block = await provider.getBlock(since, true);
        // Behind one address there may be several nodes, of which one lags.
        if (block === null) throw new TouchstoneError("RPC_FAILED", `The node answered: unknown block ${since}.`);
        return block.prefetchedTransactions;
      });
      return transactions.find((transaction) => transaction.from === sender && transaction.nonce === nonce);
    } catch (error) {
      // Nodes forget the states of old blocks, and each says so in its own words.
      if (error instanceof TouchstoneError && !["CHAIN_UNREACHABLE", "CANCELLED"].includes(error.code))
        return undefined;
      throw error;
    }
  };

  return {
    sender,
    // Providers of ethers answer the same question from memory for a quarter of a second; the state after a block stays true.
    nextNonce: async (block) => Math.max(await countAt("pending"), await countAt(block)),
    fees,
    async raisedFees(attempt) {
      const now = await fees();
      if (mostOf(now) <= offeredBy(Transaction.from(attempt.transaction))) return undefined;
      const raised = outbidding(now, attempt);
      return maxFeePerGas !== undefined && mostOf(raised) > maxFeePerGas ? undefined : raised;
    },
    async prepare({ fees: offered, ...call }) {
      const fields = { ...call, ...offered, chainId, value: 0n };
      const transaction = (await sign({ ...fields, from: sender })) ?? Transaction.from(fields).unsignedSerialized;
      return { transaction, hash: transactionHash(transaction) };
    },
    async broadcast({ transaction }) {
      const parsed = Transaction.from(transaction);
      return persist(persistence, () =>
        askAs(signer, async () => {
          if (parsed.isSigned()) return (await provider.broadcastTransaction(transaction)).hash;
          const request = requestOf(parsed, sender);
          // Others wait until their node shows what it has just taken, if need be for ever.
          if (isNodeSigner(signer)) return signer.sendUncheckedTransaction(request);
          return (await signer.sendTransaction(request)).hash;
        }),
      );
    },
    async fateOf(attempts, confirmations) {
      const first = attempts[0];
      if (first === undefined) return undefined;
      for (const [index, { hash }] of attempts.entries()) {
        if (hash === undefined) continue;
        const receipt = await persist(persistence, () => provider.getTransactionReceipt(hash));
        if (receipt === null) continue;
        if (confirmations <= 1) return { kind: "mined", attempt: index, receipt };
        const latest = await persist(persistence, () => latestBlock(provider));
        const isDeep = latest - receipt.blockNumber + 1 >= confirmations;
        return isDeep ? { kind: "mined", attempt: index, receipt } : { kind: "settling", latest };
      }
      // Asked in this order, because a block may be mined in between.
      if ((await countAt("latest")) <= first.nonce) return undefined;
      const latest = await persist(persistence, () => latestBlock(provider));
      const block = latest - (confirmations - 1);
      // A node that lags behind the one that answered before, or a block that is too young.
      if (block < 0 || (await countAt(block)) <= first.nonce) return { kind: "settling", latest };
      // It was used before the attempts, so that none of them can be mined: no later block needs to come.
      if (block <= first.block) return { kind: "taken", block: first.block, hash: undefined };
      const user = await findUser(first.nonce, first.block, block);
      if (user === undefined) return { kind: "taken", block, hash: undefined };
      const index = attempts.findIndex((attempt) => isSameCall(Transaction.from(attempt.transaction), user));
      if (index === -1) return { kind: "taken", block, hash: user.hash };
      const receipt = await persist(persistence, () => provider.getTransactionReceipt(user.hash));
      return receipt === null ? { kind: "settling", latest } : { kind: "mined", attempt: index, receipt };
    },
  };
}

function offeredBy({ maxFeePerGas, gasPrice }: Transaction): bigint {
  return maxFeePerGas ?? gasPrice ?? 0n;
}

function requireSigner(runner: ContractRunner): Signer {
  // It would count nonces of its own.
  const signer = runner instanceof NonceManager ? runner.signer : runner;
  if (isAddressable(signer) && "signTransaction" in signer && "sendTransaction" in signer) return signer as Signer;
  throw runnerReadOnly();
}

function isNodeSigner(signer: Signer): signer is JsonRpcSigner {
  return "sendUncheckedTransaction" in signer;
}

/** Whether a signer, or the node behind it, has no way to sign without sending. */
function isMissing(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code === "UNSUPPORTED_OPERATION" || code === -32601) return true;
  return (
    typeof message === "string" &&
    /not (implemented|supported|available)|unsupported|not found|not exist/i.test(message)
  );
}

function requestOf(transaction: Transaction, from: string): TransactionRequest {
  const { type, to, nonce, gasLimit, data, value, chainId, gasPrice, maxFeePerGas, maxPriorityFeePerGas } = transaction;
  const fees = type === 0 ? { gasPrice } : { maxFeePerGas, maxPriorityFeePerGas };
  return { type, from, to, nonce, gasLimit, data, value, chainId, ...fees };
}

function isSameCall(transaction: Transaction, other: TransactionResponse): boolean {
  return transaction.to === other.to && transaction.data === other.data;
}
