import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { accountKey } from "../client/keys.js";
import * as firmware from "../client/firmware.js";

import { enrollAndVerify } from "./examples/enroll-and-verify.js";
import { loadFixture } from "./support/chain.js";
import { deploySuite } from "./support/suite.js";

const EXAMPLE = "test/examples/enroll-and-verify.ts";

describe("README", () => {
  it("shows the example as the file has it", async () => {
    const readme = await readFile("README.md", "utf8");
    const shown = /<!-- example: (\S+) -->\n\n```ts\n([^]*?)```\n/.exec(readme);
    expect(shown?.[1]).to.equal(EXAMPLE);
    expect(shown?.[2]).to.equal(await readFile(EXAMPLE, "utf8"));
  });

  it("has an example that enrols a device and verifies a firmware file", async () => {
    const { as, actors, fleet, chainId } = await loadFixture(deploySuite);
    const touchstone = as.owner;
    const folder = await mkdtemp(join(tmpdir(), "touchstone-readme-"));
    const file = join(folder, "image.bin");
    const deploymentFile = join(folder, `${chainId}.json`);
    try {
      await writeFile(file, "an image");
      await writeFile(
        deploymentFile,
        JSON.stringify({ chainId: Number(chainId), block: 0, contracts: touchstone.addresses }),
      );
      const key = await accountKey(actors.owner);
      const { productId } = await firmware.createProduct({
        touchstone,
        vendor: fleet,
        hardwareClass: "sensor",
        component: "application",
        signerSet: firmware.newSignerSet({
          signers: [{ key, quorums: ["Root", "Release", "Revoke"] }],
          thresholds: { Root: 1, Release: 1, Revoke: 1 },
        }),
      });
      const release = await firmware.newRelease({ touchstone, productId, file, version: 7n, channels: [0] });
      const proof = await firmware.signRelease({ touchstone, release, key });
      await firmware.publish({ touchstone, release, proofs: [proof] });

      const { did, status, version } = await enrollAndVerify({
        owner: actors.owner,
        productId,
        file,
        deploymentFile,
      });

      expect(did).to.match(/^did:ethr:0x7a69:0x[0-9a-fA-F]{40}$/);
      expect(status).to.equal("Active");
      expect(version).to.equal(7n);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
