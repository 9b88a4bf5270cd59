import { readFile, writeFile } from "node:fs/promises";

import { expect } from "chai";

import { verifyBundle } from "../client/bundles.js";
import { readBundle } from "../client/index.js";

import { anchorAndProve } from "./examples/anchor-and-prove.js";
import { loadFixture } from "./support/chain.js";
import { temporaryFolder } from "./support/folder.js";
import { runTask } from "./support/run-task.js";
import { deploySuite } from "./support/suite.js";

const PAGE = "docs/integrity.md";
const EXAMPLE = "test/examples/anchor-and-prove.ts";

describe("docs/integrity.md", () => {
  const fileIn = temporaryFolder();

  it("shows the example as the file has it", async () => {
    const page = await readFile(PAGE, "utf8");
    const shown = /<!-- example: (\S+) -->\n\n```ts\n([^]*?)```\n/.exec(page);
    expect(shown?.[1]).to.equal(EXAMPLE);
    expect(shown?.[2]).to.equal(await readFile(EXAMPLE, "utf8"));
  });

  it("has an example that anchors a file, goes on with it, and proves readings to who knows a block hash", async () => {
    const { as, actors, p256Device, chainId } = await loadFixture(deploySuite);
    const touchstone = as.relayer;
    const lines = Array.from({ length: 20 }, (_, index) =>
      JSON.stringify({ measuredAt: Date.now() - 60_000 + index * 1000, payload: `${20 + index}.5` }),
    );
    await writeFile(fileIn("readings.jsonl"), `${lines.join("\n")}\n`);
    await writeFile(
      fileIn("deployment.json"),
      JSON.stringify({ chainId: Number(chainId), block: 0, contracts: touchstone.addresses }),
    );
    const options = {
      gateway: actors.gateway,
      device: p256Device,
      deploymentFile: fileIn("deployment.json"),
      readings: fileIn("readings.jsonl"),
      spool: fileIn("spool"),
    };

    const { anchored, nextSeq, blockHash } = await anchorAndProve({ ...options, bundle: fileIn("first.json") });
    expect({ anchored, nextSeq }).to.deep.equal({ anchored: 2, nextSeq: 21n });
    const bundle = await readBundle(fileIn("first.json"));
    const { ok, levels } = await verifyBundle({ bundle, blockHash, dataAnchor: touchstone.addresses.DataAnchor });
    expect(ok).to.equal(true);
    expect(levels.bytes.disclosed).to.equal(10);

    const again = await anchorAndProve({ ...options, bundle: fileIn("second.json") });
    expect(again.nextSeq).to.equal(22n);
  });

  it("shows what the verifier says of the bundle of the vectors", async () => {
    const page = await readFile(PAGE, "utf8");
    const [, file = "", options = "", shown = ""] =
      /```sh\nnpx hardhat bundle verify (\S+) ([^]*?)\n```\n\n```text\n([^]*?)\n```\n/.exec(page) ?? [];
    const given = new Map([...options.matchAll(/--([a-z-]+) (\S+)/g)].map(([, name, value]) => [name, value]));
    const { out, success } = await runTask(["bundle", "verify"], {
      file,
      blockHash: given.get("block-hash"),
      dataAnchor: given.get("data-anchor"),
      chainId: given.get("chain-id"),
      rpc: undefined,
      deployment: undefined,
    });
    expect(success).to.equal(true);
    expect(out).to.equal(shown);
  });
});
