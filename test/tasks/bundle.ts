import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import { expect } from "chai";

import { createBundle, formatBundle, writeBundle, type ProofBundle } from "../../client/bundles.js";
import bundleVerify from "../../tasks/bundle-verify.js";
import { deployLogs } from "../support/bundles.js";
import { connection, loadFixture } from "../support/chain.js";
import { temporaryFolder } from "../support/folder.js";
import { runAction, runTask, type TaskOutcome } from "../support/run-task.js";

async function deployBundle() {
  const { as, p256 } = await deployLogs();
  const touchstone = as.subject;
  const range = { firstSeq: 3n, count: 15n };
  return { touchstone, ...(await createBundle({ touchstone, batches: p256.batches, ...range, withState: true })) };
}

describe("npx hardhat bundle", () => {
  const path = temporaryFolder();
  let bundle: ProofBundle;
  let blockHash: string;
  let dataAnchor: string;

  beforeEach(async () => {
    const made = await loadFixture(deployBundle);
    bundle = made.bundle;
    blockHash = bundle.log.block.hash;
    dataAnchor = made.touchstone.addresses.DataAnchor;
    await writeBundle({ path: path("bundle.json"), bundle });
    const { chainId, addresses: contracts } = made.touchstone;
    await writeFile(path("deployment.json"), JSON.stringify({ chainId: Number(chainId), contracts }));
  });

  function verify(options: Record<string, unknown> = {}): Promise<TaskOutcome> {
    return runTask(["bundle", "verify"], { file: path("bundle.json"), ...options });
  }

  /** Verifies with --network, which is the chain of these tests. */
  function verifyOnChain(deployment: string | undefined): Promise<TaskOutcome> {
    const args = {
      file: path("bundle.json"),
      blockHash: undefined,
      dataAnchor: undefined,
      chainId: undefined,
      deployment,
    };
    const open = { ...connection, close: () => Promise.resolve() };
    const environment = { globalOptions: { network: "default" }, network: { create: () => Promise.resolve(open) } };
    return runAction(bundleVerify, args, environment);
  }

  describe("verify", () => {
    it("proves a bundle with nothing but a block hash, a line for each level", async () => {
      const { success, out, error } = await verify({ blockHash, dataAnchor, chainId: "31337" });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const lines = out.split("\n");
      expect(lines.map((line) => line.split(/\s+/, 2).join(" "))).to.deep.equal([
        "bytes Proved",
        "signature Proved",
        "chain Unchecked",
        "state Proved",
        "range Proved",
        "This proves",
      ]);
      expect(lines[3]).to.contain(blockHash).and.contain(bundle.dataAnchor);
      expect(lines[5]).to.equal(`This proves the readings 3 to 17 of the log ${bundle.logId}.`);
    });

    it("asks the chain that --network names", async () => {
      const { success, out, error } = await verifyOnChain(path("deployment.json"));
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      expect(out)
        .to.match(/^chain +Proved/m)
        .and.match(/^state +Unchecked +BLOCK_HASH_MISSING: /m);
      const missing = await verifyOnChain(path("none.json"));
      expect(missing).to.include({ success: false, out: "" });
      expect(missing.error).to.match(/^FILE_MISSING: /);
    });

    it("prints why a bundle is refused, and fails", async () => {
      const [first, ...rest] = bundle.batches;
      const readings = [{ ...first!.readings[0]!, measuredAt: first!.anchor.tFirst }, ...first!.readings.slice(1)];
      const forged = { ...bundle, batches: [{ ...first!, readings }, ...rest] };
      await writeFile(path("bundle.json"), formatBundle(forged));
      const { success, out, error } = await verify({ blockHash });
      expect(success).to.equal(false);
      expect(out).to.match(/^bytes +Refused +ROOT_MISMATCH: /);
      expect(error).to.equal(`BUNDLE_NOT_PROVED: This does not prove the readings 3 to 17 of the log ${bundle.logId}.`);
    });

    it("fails where the block, the contract or the chain is another than told", async () => {
      const others: [options: Record<string, unknown>, words: RegExp][] = [
        [{ blockHash: `0x${"11".repeat(32)}` }, /^state +Refused +HEADER_MISMATCH/m],
        [{ blockHash, dataAnchor: `0x${"11".repeat(20)}` }, /^state +Refused +WRONG_CONTRACT/m],
        [{ blockHash, chainId: "1" }, /^state +Refused +WRONG_CHAIN/m],
      ];
      for (const [options, words] of others) {
        const { success, out, error } = await verify(options);
        expect(success).to.equal(false);
        expect(out).to.match(words);
        expect(error).to.match(/^BUNDLE_NOT_PROVED: /);
      }
    });

    it("says what is wrong with its options and its file", async () => {
      await writeFile(path("other.json"), "{}");
      const wrong: [Record<string, unknown>, string][] = [
        [{ file: path("none.json") }, "FILE_MISSING: "],
        [{ file: path("other.json") }, "BUNDLE_INVALID: "],
        [{ blockHash: "0x11" }, "INVALID_ARGUMENT: blockHash: "],
        [{ dataAnchor: "nobody" }, "INVALID_ARGUMENT: dataAnchor: "],
        [{ chainId: "one" }, 'INVALID_ARGUMENT: --chain-id: "one"'],
        [{ deployment: path("deployment.json") }, "INVALID_ARGUMENT: --deployment is of no use without --network"],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await verify(options);
        expect({ success, out }).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
    });

    it("ends with exit code 1 on the command line for what is not proved, and 0 for what is", async function () {
      this.timeout(60_000);
      const run = promisify(execFile);
      const task = ["bundle", "verify", path("bundle.json")];
      const { stdout, stderr } = await run("node_modules/.bin/hardhat", [...task, "--block-hash", blockHash]);
      expect(stderr).to.equal("");
      expect(stdout).to.contain("This proves the readings 3 to 17");
      const other = run("node_modules/.bin/hardhat", [...task, "--block-hash", bundle.logId]);
      const error = (await other.catch((failure: unknown) => failure)) as { code: number; stderr: string };
      expect(error.code).to.equal(1);
      expect(error.stderr).to.match(/^BUNDLE_NOT_PROVED: [^\n]*\n$/);
    });
  });
});
