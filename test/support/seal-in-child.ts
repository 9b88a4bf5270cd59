import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

import { JsonRpcProvider } from "ethers";
import { z } from "zod";

import { connectTouchstone } from "../../client/connect.js";
import { openKeyRing } from "../../client/key-rings.js";

const orderSchema = z.object({
  url: z.string(),
  addresses: z.record(z.string(), z.string()),
  ring: z.string(),
  owner: z.string(),
  device: z.string(),
  logId: z.string(),
  /** To this file goes what leaves the process: sealed readings and envelopes, a line each. */
  out: z.string(),
  /** Unix seconds for each round: the clock goes on between them, so that rights expire. */
  rounds: z.array(z.string()),
  /** The commit, counted before and after, at which the process kills itself; none unless told. */
  killAt: z.number().optional(),
});

export type SealOrder = z.infer<typeof orderSchema>;

/** A process of its own that seals readings and updates the ring in turn, for tests that kill it. The order is a file. */
async function main(path: string): Promise<void> {
  const order = orderSchema.parse(JSON.parse(await readFile(path, "utf8")));
  let steps = 0;
  const step = (): void => {
    if (steps++ === order.killAt) process.kill(process.pid, "SIGKILL");
  };
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own this
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql) {
    if (sql !== "COMMIT") {
      exec.call(this, sql);
      return;
    }
    step();
    exec.call(this, sql);
    step();
  };
  const provider = new JsonRpcProvider(order.url, undefined, { batchMaxCount: 1 });
  const touchstone = await connectTouchstone({ runner: provider, addresses: order.addresses as never });
  const { owner, device, logId } = order;
  let now = 0n;
  const ring = await openKeyRing({ touchstone, path: order.ring, owner, confirmations: 0, clock: () => now });
  const leave = (what: object): void => {
    appendFileSync(order.out, `${JSON.stringify(what)}\n`);
  };
  for (const [round, time] of order.rounds.entries()) {
    now = BigInt(time);
    if (round % 2 === 0) {
      const { envelopes } = await ring.update({ touchstone, devices: [device] });
      for (const envelope of envelopes) leave({ envelope });
    }
    for (let place = 0; place < 3; place += 1) {
      const seq = BigInt(round * 3 + place);
      const reading = { measuredAt: 1n, payload: Buffer.from(`reading ${seq}`) };
      const { payload } = ring.seal({ device, dataClass: "readings", logId, seq, reading });
      leave({ seq: seq.toString(), payload: Buffer.from(payload).toString("hex"), now: now.toString() });
    }
  }
  await ring.close();
  process.exit(0);
}

// Test runners load every file of the folder.
const [, script, argument] = process.argv;
if (script?.endsWith("seal-in-child.ts") && argument !== undefined) await main(argument);
