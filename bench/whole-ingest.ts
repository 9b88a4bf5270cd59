// Takes a file of readings through the whole ingest: each becomes durable in the spool, then part of a batch with its root.
import { randomFillSync } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { network } from "hardhat";

import * as anchors from "../client/anchors.js";
import { connectTouchstone } from "../client/connect.js";
import { enroll, newEnrollment } from "../client/devices.js";
import { openIngest, type IngestStatus } from "../client/ingest.js";
import { createP256Key, type Key } from "../client/keys.js";
import { textLines } from "../client/reading-sources.js";
import { deploySuite } from "../scripts/support/deploy-suite.js";

import { answer } from "./support/child.js";

export interface WholeIngestTask {
  readings: number;
  payloadBytes: number;
}

export interface WholeIngestFigures {
  /** From the file until the last batch is cut. */
  readingsPerSecond: number;
}

const START = 1_700_000_000_000;
/** Decimal digits of the time that each line begins with. */
const TIME_DIGITS = 13;
const LINE_FEED = 0x0a;

await answer(async ({ readings, payloadBytes }: WholeIngestTask): Promise<WholeIngestFigures> => {
  // Not where temporary files go: on many machines that is memory, where to be durable costs nothing.
  await mkdir("cache", { recursive: true });
  const folder = await mkdtemp(join("cache", "bench-"));
  try {
    const path = join(folder, "readings");
    await writeFile(path, linesOf(readings, payloadBytes));
    const connection = await network.create();
    const { contracts } = await deploySuite(connection);
    const owner = await connection.ethers.provider.getSigner(0);
    const touchstone = await connectTouchstone({ runner: owner, addresses: contracts });
    const device = createP256Key();
    const enrollment = await newEnrollment({ touchstone, device, owner: owner.address });
    await enroll({ touchstone, enrollment, byDevice: device });
    const logId = anchors.deviceLogId({ device: device.id });

    // The secure element answers only when all is cut: what the chain costs is no part of the figure.
    let open: () => void = () => undefined;
    const isCut = new Promise<void>((resolve) => (open = resolve));
    const key: Key = {
      ...device,
      async prove(message) {
        await isCut;
        return device.prove(message);
      },
    };
    let end = 0;
    const onProgress = (status: IngestStatus): void => {
      if (end > 0 || status.readings < readings || status.pending > 0) return;
      end = performance.now();
      open();
    };
    const ingest = await openIngest({ touchstone, spool: join(folder, "spool"), logId, key, onProgress });
    try {
      const start = performance.now();
      const measuredAt = (line: Buffer): bigint => BigInt(line.toString("latin1", 0, TIME_DIGITS));
      await ingest.run(textLines({ path, measuredAt }));
      const { nextSeq } = await anchors.head({ touchstone, logId });
      if (nextSeq !== BigInt(readings)) throw new Error(`The log has ${nextSeq} readings, and not ${readings}.`);
      return { readingsPerSecond: (readings / (end - start)) * 1000 };
    } finally {
      open();
      await ingest.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Lines that begin with the time of the reading, a millisecond apart. */
function linesOf(readings: number, payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(readings * (payloadBytes + 1));
  randomFillSync(bytes);
  // No byte is a line feed.
  for (let at = 0; at < bytes.length; at++) bytes[at] = 0x40 | (bytes[at] ?? 0);
  for (let line = 0; line < readings; line++) {
    const at = line * (payloadBytes + 1);
    bytes.write(`${START + line}`, at, "latin1");
    bytes[at + payloadBytes] = LINE_FEED;
  }
  return bytes;
}
