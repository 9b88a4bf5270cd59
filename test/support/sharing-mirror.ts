/** The client's decisions in memory: one is told the events of the chain as they come and as reorganisations take them back, the other reads them itself. */
import { getAddress, type TransactionReceipt } from "ethers";

import { AccessState } from "../../client/access-state.js";
import { eventsIn, type TouchstoneEvent } from "../../client/events.js";
import { openPolicyMirror } from "../../client/policy-mirror.js";

import type { Question } from "./sharing-decisions.js";
import type { Other, RawLog, Taken } from "./sharing-run.js";
import type { History, SharingWorld } from "./sharing-world.js";

/** Every how many steps the chain is reorganised, and how many steps it then goes back. */
const REORGANISED_EVERY = 12;
const DEPTH = 5;

interface Page {
  events: TouchstoneEvent[];
  undo: () => void;
  taken: Taken;
  time: bigint;
}

export class MirroredState implements Other {
  readonly name = "AccessState";
  readonly #state = new AccessState();
  readonly #world: SharingWorld;
  readonly #pages: Page[] = [];

  constructor(world: SharingWorld) {
    this.#world = world;
    this.#apply(world.past);
  }

  follow(taken: Taken, { time }: { time: bigint }): void {
    const events = eventsOf(this.#world, taken.logs);
    this.#pages.push({ events, undo: this.#apply(events), taken, time });
    if (this.#pages.length % REORGANISED_EVERY === 0) this.#reorganise();
  }

  answer({ device, account, permissions, purpose }: Question, time: bigint): string {
    return this.#state.explainMasks(device, account, Number(permissions), Number(purpose), time);
  }

  /** Goes back some steps, one by one, and forth again: on the way back it must answer as it did then. */
  #reorganise(): void {
    const undone = this.#pages.splice(-DEPTH);
    for (const page of undone.toReversed()) {
      for (const [place, question] of page.taken.questions.entries()) {
        const answer = this.answer(question, page.time);
        const before = page.taken.answers[place]!;
        if (answer !== before)
          throw new Error(`After a reorganisation AccessState says ${answer}, before it said ${before}.`);
      }
      page.undo();
    }
    for (const page of undone) this.#pages.push({ ...page, undo: this.#apply(page.events) });
  }

  #apply(events: readonly TouchstoneEvent[]): () => void {
    const undos = events.map((event) => this.#state.apply(event));
    return () => {
      for (const undo of undos.toReversed()) undo();
    };
  }
}

/** A mirror that knows the chain as it is now and, after `catchUp`, as it is then. Its clock is the chain's. */
export async function openMirror(
  history: History,
): Promise<Other & { catchUp(): Promise<void>; close(): Promise<void> }> {
  const mirror = await openPolicyMirror({
    touchstone: history.world.as.owner,
    confirmations: 1,
    staleAfter: 2n ** 40n,
    pollingInterval: 600_000,
    now: () => 1000 * Number(history.time),
  });
  return {
    name: "PolicyMirror",
    catchUp: () => mirror.catchUp(),
    close: () => mirror.close(),
    answer: ({ device, account, permissions, purpose }) =>
      mirror.explainMasks(device, account, Number(permissions), Number(purpose)),
  };
}

/** The events as the client reads them from a node. */
function eventsOf({ as }: SharingWorld, logs: readonly RawLog[]): TouchstoneEvent[] {
  const read = logs.map(({ address, topics, data, blockNumber, blockHash, transactionHash, logIndex }) => ({
    address: getAddress(address),
    topics,
    data,
    blockNumber: Number(blockNumber),
    blockHash,
    transactionHash,
    index: Number(logIndex),
  }));
  return eventsIn(as.owner, { logs: read } as unknown as TransactionReceipt);
}
