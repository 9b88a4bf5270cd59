import { writeFile } from "node:fs/promises";

import { expect } from "chai";

import * as anchors from "../../client/anchors.js";
import type { Touchstone } from "../../client/connect.js";
import { openIngest, type Ingest, type IngestLimits, type IngestOptions } from "../../client/ingest.js";
import { textLines, type FileSourceOptions, type ReadingSource } from "../../client/reading-sources.js";

/** So that no test waits. */
export const INGEST_HASTE: Partial<IngestLimits> = {
  pollInterval: 5,
  retryDelay: 1,
  blockedInterval: 20,
  groupDelay: 0,
};

/** Measurement times in tests: a second apart, from a day in the past of every chain. */
export const START = 1_700_000_000_000n;

/** Lines of all kinds, among them ragged ones, empty ones and bytes that are no text. */
export function sensorLines(count: number, seed = 1): Buffer[] {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  return Array.from({ length: count }, (_, index) => {
    const kind = random(12);
    if (kind === 0) return Buffer.alloc(0);
    if (kind === 1) return Buffer.from(`$GPGGA,${index},4807.038,N*47\r`);
    if (kind === 2) return Buffer.from([0, 0xff, 0xfe, index & 0xff, 0xc3, 0x28].filter((byte) => byte !== 0x0a));
    return Buffer.from(`{"i":${index},"t":${random(500) / 10}}${" ".repeat(random(60))}`);
  });
}

/** Writes the lines to a file, the last one without an end. */
export async function writeLines(path: string, lines: readonly Buffer[]): Promise<void> {
  await writeFile(path, lines.map((line) => line.toString("latin1")).join("\n"), "latin1");
}

/** The lines of a file, a second apart. */
export function linesOf(path: string, options: Partial<FileSourceOptions> = {}): ReadingSource {
  return textLines({ path, ...options, measuredAt: (_, number) => START + BigInt(number) * 1000n });
}

/** A source of readings that are at hand, one by one. */
export function sourceOf(payloads: readonly Buffer[], name = "list"): ReadingSource {
  return {
    name,
    async *read(after) {
      for (let index = after === undefined ? 0 : Number(after) + 1; index < payloads.length; index++) {
        await Promise.resolve();
        yield { position: `${index}`, measuredAt: START + BigInt(index + 1) * 1000n, payload: payloads[index]! };
      }
    },
  };
}

export async function using<T>(options: IngestOptions, act: (ingest: Ingest) => Promise<T>): Promise<T> {
  const ingest = await openIngest(options);
  try {
    return await act(ingest);
  } finally {
    await ingest.close();
  }
}

/**
 * Says that the log on the chain is, anchor for anchor, what the spool says, without a gap or an overlap, and that its readings
 * are exactly these.
 */
export async function expectLog(options: {
  touchstone: Touchstone;
  logId: string;
  ingest: Ingest;
  payloads: readonly Uint8Array[];
}): Promise<anchors.AnchorRecord[]> {
  const { touchstone, logId, ingest, payloads } = options;
  const records = await anchors.readAnchors({ touchstone, logId });
  const found: Buffer[] = [];
  let nextSeq = 0n;
  for (const [index, record] of records.entries()) {
    expect(record.index).to.equal(BigInt(index));
    expect(record.firstSeq).to.equal(nextSeq);
    nextSeq += record.count;
    const batch = ingest.batchAt(record.index);
    expect(batch.root).to.equal(record.root);
    expect(batch.count).to.equal(record.count);
    for (const reading of batch.readings) {
      found.push(Buffer.from(reading.payload!));
      expect(reading.measuredAt).to.equal(START + (reading.seq + 1n) * 1000n);
    }
    expect(ingest.anchorAt(record.index)).to.include({ author: record.author, timestamp: record.timestamp });
  }
  expect(found.length).to.equal(payloads.length);
  expect(found.every((payload, index) => payload.equals(payloads[index]!))).to.equal(true);
  expect((await anchors.head({ touchstone, logId })).nextSeq).to.equal(BigInt(payloads.length));
  return records;
}
