import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

import { JsonRpcProvider, Wallet } from "ethers";
import { z } from "zod";

import { connectTouchstone } from "../../client/connect.js";
import { openIngest } from "../../client/ingest.js";
import { loadP256Key, type Key } from "../../client/keys.js";

import { linesOf } from "./ingest.js";

const orderSchema = z.object({
  url: z.string(),
  addresses: z.record(z.string(), z.string()),
  privateKey: z.string(),
  /** Of the device; none for the log of a fleet. */
  pem: z.string().optional(),
  logId: z.string(),
  lines: z.string(),
  spool: z.string(),
  /** To this file goes what the device is asked to sign. */
  signed: z.string(),
  count: z.number(),
  confirmations: z.number(),
  /** The step into the world, a commit or a request to the node, at which the process kills itself; none unless told. */
  killAt: z.number().optional(),
});

export type IngestOrder = z.infer<typeof orderSchema>;

/** Kills the process before or after a step, as SIGKILL does: nothing more is done, not even in other turns. */
function killerAt(last: number | undefined): () => void {
  let steps = 0;
  return () => {
    if (steps++ === last) process.kill(process.pid, "SIGKILL");
  };
}

/** A process of its own that takes a file and anchors it, for tests that kill it. The order is a file. */
async function main(path: string): Promise<void> {
  const order = orderSchema.parse(JSON.parse(await readFile(path, "utf8")));
  const step = killerAt(order.killAt);
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
  class Provider extends JsonRpcProvider {
    override async send(method: string, params: unknown[]): Promise<unknown> {
      step();
      const answer: unknown = await super.send(method, params as never);
      step();
      return answer;
    }
  }
  const runner = new Wallet(order.privateKey, new Provider(order.url));
  const touchstone = await connectTouchstone({ runner, addresses: order.addresses as never });
  const device = order.pem === undefined ? undefined : loadP256Key({ pem: order.pem });
  const key: Key | undefined = device && {
    ...device,
    prove(message) {
      const told = Object.entries(message.value).map(([name, value]) => [name, String(value)]);
      appendFileSync(order.signed, `${JSON.stringify(Object.fromEntries(told))}\n`);
      return device.prove(message);
    },
  };
  const ingest = await openIngest({
    touchstone,
    spool: order.spool,
    logId: order.logId,
    ...(key === undefined ? {} : { key }),
    cut: { count: order.count },
    confirmations: order.confirmations,
    fresh: true,
    limits: { pollInterval: 10, group: 256, items: 3 },
  });
  await ingest.run(linesOf(order.lines));
  await ingest.close();
  process.exit(0);
}

// Test runners load every file of the folder.
const [, script, argument] = process.argv;
if (script?.endsWith("ingest-in-child.ts") && argument !== undefined) await main(argument);
