// Commits to readings as they come: their salts, their hashes and the tree, by the streaming builder.
import { randomFillSync } from "node:crypto";

import { createBatchBuilder } from "../client/batches.js";

import { answer, millisecondsOf } from "./support/child.js";

export interface IngestTask {
  readings: number;
  payloadBytes: number;
}

export interface IngestFigures {
  readingsPerSecond: number;
}

const LOG_ID = `0x${"5a".repeat(32)}`;
const START = 1_700_000_000_000;
/** Payloads are taken from so many in turn, so that making them is no part of the figure. */
const PAYLOADS = 1024;

await answer(({ readings, payloadBytes }: IngestTask): IngestFigures => {
  const payloads = Array.from({ length: PAYLOADS }, () => randomFillSync(new Uint8Array(payloadBytes)));
  const milliseconds = millisecondsOf(() => {
    const builder = createBatchBuilder({ logId: LOG_ID, firstSeq: 0n });
    for (let index = 0; index < readings; index++) {
      const payload = payloads[index % PAYLOADS] ?? new Uint8Array();
      builder.add({ measuredAt: BigInt(START + index), payload });
    }
    if (builder.finish().count !== BigInt(readings)) throw new Error("Readings are missing.");
  });
  return { readingsPerSecond: (readings / milliseconds) * 1000 };
});
