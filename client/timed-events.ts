import type { TouchstoneEvent } from "./events.js";
import { blockAt } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { inTurns } from "./turns.js";

/** Events whose times are asked for at once. */
const EVENTS_AT_ONCE = 256;
/** Blocks that a node is asked for at a time. */
const BLOCKS_AT_ONCE = 16;

/** An event with the time of its block, in Unix seconds. */
export interface TimedEvent {
  event: TouchstoneEvent;
  time: bigint;
}

/**
 * Adds the times of their blocks to events, in their order.
 *
 * @throws TouchstoneError as the events' reader; CHAIN_REORGANISED if a block is another one by now.
 */
export async function* withTimes(
  touchstone: Touchstone,
  events: AsyncIterable<TouchstoneEvent>,
): AsyncGenerator<TimedEvent, void, undefined> {
  const known = new Map<number, bigint>();
  const timed = async (waiting: TouchstoneEvent[]): Promise<TimedEvent[]> => {
    const placed = new Map(waiting.map((event) => [event.cursor.block, event.blockHash]));
    const missing = [...placed].filter(([block]) => !known.has(block));
    const times = await inTurns(missing, BLOCKS_AT_ONCE, ([block, hash]) => timeOfBlock(touchstone, block, hash));
    missing.forEach(([block], place) => known.set(block, times[place] ?? 0n));
    const result = waiting.map((event) => ({ event, time: known.get(event.cursor.block) ?? 0n }));
    // Events come in order: only the last block can have more of them.
    const last = waiting.at(-1)?.cursor.block;
    for (const block of known.keys()) if (block !== last) known.delete(block);
    return result;
  };
  let waiting: TouchstoneEvent[] = [];
  for await (const event of events) {
    waiting.push(event);
    if (waiting.length < EVENTS_AT_ONCE) continue;
    yield* await timed(waiting);
    waiting = [];
  }
  yield* await timed(waiting);
}

async function timeOfBlock(touchstone: Touchstone, number: number, expected: string): Promise<bigint> {
  const { hash, timestamp } = await blockAt(touchstone.provider, number);
  if (hash === expected) return timestamp;
  throw new TouchstoneError("CHAIN_REORGANISED", `Block ${number} was replaced while events were read: read again.`, {
    details: { block: number },
  });
}
