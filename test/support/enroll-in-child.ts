import { readFile } from "node:fs/promises";

import { JsonRpcProvider, Wallet } from "ethers";
import { z } from "zod";

import { connectTouchstone } from "../../client/connect.js";
import * as lifecycle from "../../client/lifecycle.js";

import { deviceKeys } from "./device-keys.js";

const order = z.object({
  url: z.string(),
  addresses: z.record(z.string(), z.string()),
  privateKey: z.string(),
  deadline: z.number(),
  journal: z.string(),
  devices: z.number(),
});

/** A process of its own that enrols devices, for tests that kill it. The order is a file. */
async function main(path: string): Promise<void> {
  const given = order.parse(JSON.parse(await readFile(path, "utf8")));
  const runner = new Wallet(given.privateKey, new JsonRpcProvider(given.url));
  const touchstone = await connectTouchstone({ runner, addresses: given.addresses as never });
  const keys = await deviceKeys(given.devices);
  await lifecycle.enrollMany({
    touchstone,
    enrollments: keys.map((byDevice) => ({
      enrollment: {
        device: byDevice.id,
        scheme: byDevice.scheme,
        owner: runner.address,
        manifest: 0n,
        metadataHash: `0x${"00".repeat(32)}`,
        deadline: BigInt(given.deadline),
      },
      byDevice,
    })),
    journal: given.journal,
    limits: { items: 5, pollInterval: 20 },
  });
  process.exit(0);
}

// Test runners load every file of the folder.
const [, script, argument] = process.argv;
if (script?.endsWith("enroll-in-child.ts") && argument !== undefined) await main(argument);
