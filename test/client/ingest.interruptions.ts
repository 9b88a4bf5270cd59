import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { expect } from "chai";
import { JsonRpcProvider, Wallet, type Signer } from "ethers";
import { network } from "hardhat";

import * as anchors from "../../client/anchors.js";
import { connectTouchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { openIngest, type IngestOptions } from "../../client/ingest.js";
import { createP256Key, type Key } from "../../client/keys.js";
import { ethers, loadFixture } from "../support/chain.js";
import { temporaryFolder } from "../support/folder.js";
import { expectLog, INGEST_HASTE, sensorLines, sourceOf, using, writeLines } from "../support/ingest.js";
import type { IngestOrder } from "../support/ingest-in-child.js";
import { deployOperator } from "../support/lifecycle.js";
import { Plug, PowerCut, providerThrough, slowChain } from "../support/plug.js";
import { deployContracts } from "../support/touchstone.js";

const CHILD = fileURLToPath(new URL("../support/ingest-in-child.ts", import.meta.url));

/** A plug that tells when it is pulled. */
class ToldPlug extends Plug {
  readonly out: Promise<void>;
  #tell: () => void = () => undefined;

  constructor(last = Infinity) {
    super(last);
    this.out = new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  override take(): void {
    try {
      super.take();
    } catch (error) {
      this.#tell();
      throw error;
    }
  }
}

/** While `act` runs, nothing becomes durable any more once the power is gone. */
async function committingThrough<T>(plug: Plug, act: () => Promise<T>): Promise<T> {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own this
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql) {
    if (sql === "COMMIT") plug.take();
    exec.call(this, sql);
    if (sql === "COMMIT") plug.take();
  };
  try {
    return await act();
  } finally {
    DatabaseSync.prototype.exec = exec;
  }
}

const MAY_DIFFER = ["deadline", "freshBlock", "freshHash"];

/** Of what a device was asked to sign: the contents by the index, without what may differ from time to time. */
function contentsByIndex(messages: readonly Record<string, unknown>[]): Map<string, Set<string>> {
  const contents = new Map<string, Set<string>>();
  for (const message of messages) {
    const index = String(message.index);
    const content = Object.entries(message).filter(([name]) => !MAY_DIFFER.includes(name));
    const told = JSON.stringify(content.map(([name, value]) => [name, String(value)]));
    contents.set(index, (contents.get(index) ?? new Set()).add(told));
  }
  return contents;
}

describe("openIngest, when it is interrupted", () => {
  const fileIn = temporaryFolder();

  afterEach(async () => {
    await ethers.provider.send("evm_setAutomine", [true]);
  });

  /** One power cut after each number of steps, then a run without any, on a fresh chain. */
  async function cutAt(steps: readonly number[], isFleet: boolean, isSlow: boolean, spool: string): Promise<boolean> {
    await ethers.provider.send("evm_setAutomine", [true]);
    const { touchstone, wallet, owner } = await loadFixture(deployOperator);
    const device = createP256Key();
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    const messages: Record<string, unknown>[] = [];
    const key: Key = {
      ...device,
      prove(message) {
        messages.push(message.value);
        return device.prove(message);
      },
    };
    const logId = isFleet ? anchors.fleetLogId({ fleet: wallet.address }) : anchors.deviceLogId({ device: device.id });
    const payloads = sensorLines(7);
    const chain = isSlow ? slowChain() : {};
    await ethers.provider.send("evm_setAutomine", [!isSlow]);
    const optionsWith = (signer: Signer): IngestOptions => ({
      touchstone: touchstone.connect(signer),
      spool,
      logId,
      ...(isFleet ? {} : { key }),
      cut: { count: 3 },
      fresh: true,
      limits: { ...INGEST_HASTE, group: 2, items: 2, retries: 1 },
    });
    let wasCut = false;
    for (const step of steps) {
      const plug = new ToldPlug(step);
      await committingThrough(plug, async () => {
        const ingest = await openIngest(optionsWith(wallet.connect(providerThrough(plug, chain)))).catch(
          () => undefined,
        );
        if (ingest === undefined) return;
        await Promise.race([
          plug.out,
          ingest.run(sourceOf(payloads)).catch((error: unknown) => {
            if (!(error instanceof PowerCut)) throw error;
          }),
        ]);
        await ingest.close();
      });
      wasCut = plug.isOut;
    }
    const signer = wallet.connect(providerThrough(new Plug(), chain));
    await using(optionsWith(signer), async (ingest) => {
      await ingest.run(sourceOf(payloads));
      await expectLog({ touchstone, logId, ingest, payloads });
    });
    for (const [index, contents] of contentsByIndex(messages)) expect(contents.size, index).to.equal(1);
    return wasCut;
  }

  for (const [isFleet, isSlow] of [
    [false, false],
    [true, true],
  ] as const) {
    const log = isFleet
      ? "a fleet log on a chain that lets transactions wait"
      : "a device log on a chain that mines at once";

    it(`goes on after a power cut at every single step: ${log}`, async function () {
      this.timeout(300_000);
      let step = 0;
      while (await cutAt([step], isFleet, isSlow, fileIn(`after-${step}`))) step++;
      // Fewer steps would mean that some are not seen.
      expect(step).to.be.greaterThan(40);
    });
  }

  for (const isFleet of [false, true]) {
    it(`goes on after kill -9, as often as it takes: ${isFleet ? "a fleet log" : "a device log"}`, async function () {
      this.timeout(240_000);
      const server = await network.createServer();
      const { address, port } = await server.listen();
      const url = `http://${address}:${port}`;
      const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
      try {
        const faucet = await provider.getSigner(0);
        const addresses = await deployContracts(faucet);
        const wallet = new Wallet(Wallet.createRandom().privateKey, provider);
        await (await faucet.sendTransaction({ to: wallet, value: 10n ** 18n })).wait();
        const touchstone = await connectTouchstone({ runner: wallet, addresses });
        const device = createP256Key();
        const enrollment = await devices.newEnrollment({ touchstone, device, owner: wallet.address });
        await devices.enroll({ touchstone, enrollment, byDevice: device });
        const logId = isFleet
          ? anchors.fleetLogId({ fleet: wallet.address })
          : anchors.deviceLogId({ device: device.id });
        const payloads = sensorLines(5000);
        await writeLines(fileIn("lines"), payloads);
        const order: IngestOrder = {
          url,
          addresses,
          privateKey: wallet.privateKey,
          ...(isFleet ? {} : { pem: device.exportPem() }),
          logId,
          lines: fileIn("lines"),
          spool: fileIn("spool"),
          signed: fileIn("signed"),
          count: 250,
          confirmations: 1,
        };
        const start = async (killAt?: number): Promise<ChildProcess> => {
          await writeFile(fileIn("order"), JSON.stringify({ ...order, ...(killAt === undefined ? {} : { killAt }) }));
          return spawn(process.execPath, ["--import", "tsx", CHILD, fileIn("order")], {
            stdio: ["ignore", "ignore", "inherit"],
          });
        };
        const written = async (): Promise<number> => {
          const sizes = await Promise.all(
            ["", "-wal"].map((suffix) =>
              stat(`${order.spool}${suffix}`).then(
                ({ size }) => size,
                () => 0,
              ),
            ),
          );
          return sizes.reduce((sum, size) => sum + size, 0);
        };

        // At a step: around a commit, or a request to the node.
        let kills = 0;
        for (let round = 0; round < 5; round++) {
          const running = await start(45 + Math.floor(Math.random() * 60));
          const [code, signal] = (await once(running, "exit")) as [number | null, string | null];
          if (signal === "SIGKILL") kills++;
          else expect(code).to.equal(0);
        }
        expect(kills).to.be.greaterThan(1);
        // At any moment, as soon as it has begun to work.
        for (let round = 0; round < 3; round++) {
          const before = await written();
          const running = await start();
          const ended = once(running, "exit");
          while ((await written()) === before && running.exitCode === null) await setTimeout(1);
          await setTimeout(Math.random() * 100);
          running.kill("SIGKILL");
          await ended;
        }
        expect(await once(await start(), "exit")).to.deep.equal([0, null]);

        const options = { touchstone, spool: order.spool, logId, ...(isFleet ? {} : { key: device }) };
        await using(options, (ingest) => expectLog({ touchstone, logId, ingest, payloads }));
        const told = await readFile(order.signed, "utf8").catch(() => "");
        const messages = told
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line) as Record<string, unknown>);
        for (const [index, contents] of contentsByIndex(messages)) expect(contents.size, index).to.equal(1);
        expect(messages.length === 0).to.equal(isFleet);
      } finally {
        provider.destroy();
        await server.close();
      }
    });
  }
});
