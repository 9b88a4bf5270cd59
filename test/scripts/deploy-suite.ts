import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";
import { network } from "hardhat";

import { connectTouchstone } from "../../client/index.js";
import { deploySuite, type Connection } from "../../scripts/support/deploy-suite.js";
import { connection as inProcess } from "../support/chain.js";

/** Where Ignition keeps what it did on each chain. */
const JOURNALS = "ignition/deployments";

/** A local node with nothing on it, as `npm run node` starts it, on a port of its own. */
async function withNode(use: (connection: Connection, folder: string) => Promise<void>): Promise<void> {
  const before: string[] = await readdir(JOURNALS).catch(() => []);
  const server = await network.createServer({ network: "default" }, "127.0.0.1", 0);
  const folder = await mkdtemp(join(tmpdir(), "touchstone-deployments-"));
  try {
    const { address, port } = await server.listen();
    const connection = await network.create({
      network: "localhost",
      override: { url: `http://${address}:${port}` },
    });
    await use(connection, folder);
    await connection.close();
  } finally {
    await rm(folder, { recursive: true });
    await server.close();
    const after = await readdir(JOURNALS);
    for (const journal of after.filter((name) => !before.includes(name))) {
      await rm(join(JOURNALS, journal), { recursive: true });
    }
  }
}

describe("deploySuite", () => {
  it("leaves no file for a chain that lives in this process", async () => {
    const deployment = await deploySuite(inProcess);
    expect(deployment.path).to.equal(undefined);
    const [runner] = await inProcess.ethers.getSigners();
    await connectTouchstone({ runner: runner!, addresses: deployment.contracts });
  });

  it("writes where the contracts are, for the client to find them, and a second run changes nothing", async () => {
    await withNode(async (connection, folder) => {
      const first = await deploySuite(connection, folder);
      const path = join(folder, "31337.json");
      expect(first.path).to.equal(path);
      const written = { text: await readFile(path, "utf8"), changed: (await stat(path)).mtimeMs };
      const [runner] = await connection.ethers.getSigners();
      const touchstone = await connectTouchstone({ runner: runner!, deploymentFile: path });
      expect(touchstone.addresses).to.deep.equal(first.contracts);
      const block = await connection.ethers.provider.getBlockNumber();

      const second = await deploySuite(connection, folder);

      expect(second).to.deep.equal(first);
      expect(await connection.ethers.provider.getBlockNumber()).to.equal(block);
      expect({ text: await readFile(path, "utf8"), changed: (await stat(path)).mtimeMs }).to.deep.equal(written);
    });
  });

  it("mends a file that is broken or of a longer chain, and deploys anew to a node that was started again", async () => {
    let before: unknown;
    await withNode(async (connection, folder) => {
      const first = await deploySuite(connection, folder);
      before = first.contracts;
      const whole = { chainId: 31337, block: 1000, contracts: first.contracts };
      for (const broken of ['{ "chainId": 31', JSON.stringify(whole)]) {
        await writeFile(first.path!, broken);
        const { block } = await deploySuite(connection, folder);
        expect(block).to.equal(await connection.ethers.provider.getBlockNumber());
        expect(JSON.parse(await readFile(first.path!, "utf8"))).to.deep.equal({ ...whole, block });
      }
    });
    await withNode(async (connection, folder) => {
      const again = await deploySuite(connection, folder);
      expect(again.contracts).to.deep.equal(before);
      expect(await connection.ethers.provider.getCode(again.contracts.DataAnchor)).not.to.equal("0x");
    });
  });
});
