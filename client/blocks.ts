import { toQuantity, type Provider } from "ethers";
import { z } from "zod";

import { TouchstoneError } from "./errors.js";
import { ask } from "./reverts.js";
import { inTurns } from "./turns.js";

/** Providers that pass a request on as it is, as those of ethers and Hardhat that speak JSON-RPC do. */
interface Passing {
  send(method: string, params: unknown[]): Promise<unknown>;
}

/**
 * Number of the latest block. `getBlockNumber` of ethers answers from memory for a quarter of a second, in which whoever has
 * just sent a transaction would not find its events: a provider that can is asked past that memory.
 *
 * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function latestBlock(provider: Provider): Promise<number> {
  return ask(async () =>
    isPassing(provider) ? Number(await provider.send("eth_blockNumber", [])) : provider.getBlockNumber(),
  );
}

/** What names a block for ever, and its time. */
export interface BlockPlace {
  number: number;
  /** 32 bytes as 0x hex. */
  hash: string;
  /** Unix seconds. */
  timestamp: bigint;
}

/** A block and the one that it continues. */
export interface BlockHeader extends BlockPlace {
  parentHash: string;
}

const hash = z.string().regex(/^0x[0-9a-f]{64}$/i);
const blockAnswer = z.object({ hash, timestamp: z.coerce.bigint() });
const headerAnswer = z.object({ number: z.coerce.number(), hash, parentHash: hash, timestamp: z.coerce.bigint() });

/**
 * The block that has this number now; past the memory of ethers, as above.
 *
 * @throws TouchstoneError NOT_FOUND if there is none, CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function blockAt(provider: Provider, number: number): Promise<BlockPlace> {
  const answer = await ask(() =>
    isPassing(provider)
      ? provider.send("eth_getBlockByNumber", [toQuantity(number), false])
      : provider.getBlock(number),
  );
  if (answer === null) {
    throw new TouchstoneError("NOT_FOUND", `The node has no block ${number}: wait until it has, or ask another.`, {
      details: { block: number },
    });
  }
  const parsed = blockAnswer.safeParse(answer);
  if (!parsed.success) {
    throw new TouchstoneError("RPC_FAILED", `The node's answer for block ${number} is no block: ask another node.`, {
      details: { block: number },
      cause: parsed.error,
    });
  }
  return { number, ...parsed.data };
}

/**
 * The header of a block, by its number, its hash or as the latest; past the memory of ethers, as above.
 *
 * @returns Undefined if the node has none.
 * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function headerOf(provider: Provider, block: number | string): Promise<BlockHeader | undefined> {
  const answer = await ask(() => {
    if (!isPassing(provider)) return provider.getBlock(block);
    const isHash = typeof block === "string" && block !== "latest";
    const tag = typeof block === "number" ? toQuantity(block) : block;
    return provider.send(isHash ? "eth_getBlockByHash" : "eth_getBlockByNumber", [tag, false]);
  });
  if (answer === null) return undefined;
  const parsed = headerAnswer.safeParse(answer);
  const isThat = parsed.success && (block === "latest" || parsed.data.number === block || parsed.data.hash === block);
  if (isThat) return parsed.data;
  throw new TouchstoneError("RPC_FAILED", `The node's answer for block ${block} is not that block: ask another node.`, {
    details: { block },
    cause: parsed.error,
  });
}

/** Blocks that a node is asked for at a time: more would look like an attack to it. */
const BLOCKS_AT_ONCE = 16;

/**
 * Unix seconds of the blocks that have these numbers now.
 *
 * @throws TouchstoneError as blockAt.
 */
export async function timesOfBlocks(provider: Provider, numbers: Iterable<number>): Promise<Map<number, bigint>> {
  const blocks = await inTurns([...new Set(numbers)], BLOCKS_AT_ONCE, (number) => blockAt(provider, number));
  return new Map(blocks.map(({ number, timestamp }) => [number, timestamp]));
}

function isPassing(provider: Provider): provider is Provider & Passing {
  return "send" in provider && typeof provider.send === "function";
}
