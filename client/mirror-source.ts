import { headerOf, type BlockHeader } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { readBlockEvents, readEvents, type EventFilter, type TouchstoneEvent } from "./events.js";
import { inTurns } from "./turns.js";

/** Milliseconds after which a node that does not answer is taken for one that is gone. */
const LONGEST_ANSWER = 30_000;
/** Questions to a node at a time. */
const AT_ONCE = 16;

/**
 * Reads headers and events for a mirror, so that none are missed: of recent blocks by their hash, as a node that is behind the one
 * that named the block says so then, where it would answer a range of numbers with nothing. Ranges are read of old blocks only,
 * together with the header of their end, which one node answers with them or does not have either.
 */
export interface MirrorSource {
  /** @throws TouchstoneError RPC_FAILED if the node does not have the block, CHAIN_UNREACHABLE, CANCELLED. */
  header(block: number | "latest" | { hash: string }): Promise<BlockHeader>;
  /** The headers of these numbers, in order. */
  headers(numbers: readonly number[]): Promise<BlockHeader[]>;
  /** The events of each block, in order. */
  blocks(headers: readonly BlockHeader[], filter: EventFilter): Promise<TouchstoneEvent[][]>;
  /** The events of a range of old blocks, and the header of its end. */
  range(from: number, to: number, filter: EventFilter): Promise<{ events: TouchstoneEvent[]; end: BlockHeader }>;
}

/** @param options.signal Ends each question that is open. */
export function createMirrorSource(options: { touchstone: Touchstone; signal: AbortSignal }): MirrorSource {
  const { touchstone, signal } = options;

  async function header(block: number | "latest" | { hash: string }): Promise<BlockHeader> {
    const named = typeof block === "object" ? block.hash : block;
    const found = await inTime(signal, () => headerOf(touchstone.provider, named));
    if (found !== undefined) return found;
    throw new TouchstoneError("RPC_FAILED", `The node has no block ${named}: block not found, it is behind others.`, {
      details: { block: named },
    });
  }

  async function events(
    range: { fromBlock: number; toBlock: number },
    filter: EventFilter,
  ): Promise<TouchstoneEvent[]> {
    const read: TouchstoneEvent[] = [];
    const reading = readEvents({ touchstone, ...filter, ...range, signal });
    for (;;) {
      const next = await inTime(signal, () => reading.next());
      if (next.done === true) return read;
      read.push(next.value);
    }
  }

  return {
    header,
    headers: (numbers) => inTurns(numbers, AT_ONCE, header),
    blocks: (headers, filter) =>
      inTurns(headers, AT_ONCE, ({ hash: blockHash }) =>
        inTime(signal, () => readBlockEvents({ touchstone, blockHash, ...filter })),
      ),
    async range(from, to, filter) {
      const [read, end] = await Promise.all([events({ fromBlock: from, toBlock: to }, filter), header(to)]);
      return { events: read, end };
    },
  };
}

/** Waits for an answer, but not for ever, and not once the signal says that nobody needs it. */
async function inTime<T>(signal: AbortSignal, question: () => Promise<T>): Promise<T> {
  let stop = (): void => undefined;
  const ending = new Promise<never>((_, reject) => {
    const cancel = (): void => {
      reject(new TouchstoneError("CANCELLED", "The mirror was closed.", { cause: signal.reason }));
    };
    const timer = setTimeout(() => {
      reject(
        new TouchstoneError("CHAIN_UNREACHABLE", `The node did not answer within ${LONGEST_ANSWER / 1000} seconds.`),
      );
    }, LONGEST_ANSWER);
    signal.addEventListener("abort", cancel);
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
    };
    if (signal.aborted) cancel();
  });
  try {
    return await Promise.race([ending, question()]);
  } finally {
    stop();
  }
}
