import { execFile } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import { expect } from "chai";

import { deviceLogId } from "../../client/anchors.js";
import {
  createBundle,
  formatBundle,
  readBundle,
  verifyBundle,
  writeBundle,
  type ProofBundle,
} from "../../client/bundles.js";
import type { Touchstone } from "../../client/connect.js";
import type { IngestOptions } from "../../client/ingest.js";
import bundleCreate from "../../tasks/bundle-create.js";
import bundleVerify from "../../tasks/bundle-verify.js";
import { deployLogs } from "../support/bundles.js";
import { connection, loadFixture, networkHelpers } from "../support/chain.js";
import { temporaryFolder } from "../support/folder.js";
import { INGEST_HASTE, START, using } from "../support/ingest.js";
import { deploySuite } from "../support/suite.js";
import { runAction, runTask, type TaskOutcome } from "../support/run-task.js";

async function deployBundle() {
  const { as, p256 } = await deployLogs();
  const touchstone = as.subject;
  const range = { firstSeq: 3n, count: 15n };
  return { touchstone, ...(await createBundle({ touchstone, batches: p256.batches, ...range, withState: true })) };
}

/** The environment of a task with --network, which is the chain of these tests. */
const onChain = {
  globalOptions: { network: "default" },
  network: { create: () => Promise.resolve({ ...connection, close: () => Promise.resolve() }) },
};

describe("npx hardhat bundle", () => {
  const path = temporaryFolder();

  async function writeDeployment({ chainId, addresses: contracts }: Touchstone): Promise<void> {
    await writeFile(path("deployment.json"), JSON.stringify({ chainId: Number(chainId), contracts }));
  }

  describe("verify", () => {
    let bundle: ProofBundle;
    let blockHash: string;
    let dataAnchor: string;

    beforeEach(async () => {
      const made = await loadFixture(deployBundle);
      bundle = made.bundle;
      blockHash = bundle.log.block.hash;
      dataAnchor = made.touchstone.addresses.DataAnchor;
      await writeBundle({ path: path("bundle.json"), bundle });
      await writeDeployment(made.touchstone);
    });

    function verify(options: Record<string, unknown> = {}): Promise<TaskOutcome> {
      return runTask(["bundle", "verify"], { file: path("bundle.json"), ...options });
    }

    function verifyOnChain(deployment: string | undefined): Promise<TaskOutcome> {
      const args = {
        file: path("bundle.json"),
        blockHash: undefined,
        dataAnchor: undefined,
        chainId: undefined,
        rpc: undefined,
        deployment,
      };
      return runAction(bundleVerify, args, onChain);
    }

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

    it("says that the device signed, and not that it was anchored, with neither hash nor node", async () => {
      const words =
        `This proves that the device signed the readings 3 to 17 of the log ${bundle.logId}. That they were ever anchored ` +
        "is not shown: give --block-hash with --data-anchor, or --network or --rpc.";
      for (const options of [{}, { dataAnchor, chainId: "31337" }]) {
        const { success, out, error } = await verify(options);
        expect({ success, error }).to.deep.equal({ success: true, error: "" });
        expect(out.split("\n").at(-1)).to.equal(words);
        expect(out).to.match(/^state +Unchecked +BLOCK_HASH_MISSING: By the bundle, the anchors are in the log /m);
      }
    });

    it("asks the chain that --network names", async () => {
      const { success, out, error } = await verifyOnChain(path("deployment.json"));
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      expect(out)
        .to.match(/^chain +Proved/m)
        .and.match(/^state +Unchecked +BLOCK_HASH_MISSING: By the bundle, /m)
        .and.match(/^This proves the readings 3 to 17 /m);
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

    it("fails where the block, the contract or the chain is another than told, or the contract was not told", async () => {
      const others: [options: Record<string, unknown>, words: RegExp][] = [
        [{ blockHash: `0x${"11".repeat(32)}` }, /^state +Refused +HEADER_MISMATCH/m],
        [{ blockHash, dataAnchor: `0x${"11".repeat(20)}` }, /^state +Refused +WRONG_CONTRACT/m],
        [{ blockHash, chainId: "1" }, /^state +Refused +WRONG_CHAIN/m],
        [{ blockHash }, /^state +Unchecked +CONTRACT_MISSING: By the bundle, .*compare/m],
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
        [{ file: path("other.json") }, `BUNDLE_INVALID: ${path("other.json")}: It is no bundle: `],
        [{ blockHash: "0x11" }, "INVALID_ARGUMENT: blockHash: "],
        [{ dataAnchor: "nobody" }, "INVALID_ARGUMENT: dataAnchor: "],
        [{ chainId: "one" }, 'INVALID_ARGUMENT: --chain-id: "one"'],
        [{ rpc: "127.0.0.1:8545" }, '--rpc: "127.0.0.1:8545" is no URL of a node: give http://… or https://….'],
        [{ rpc: "ftp://node" }, "INVALID_ARGUMENT: --rpc: "],
        [{ rpc: "http://127.0.0.1:1" }, "CHAIN_UNREACHABLE: "],
        [{ deployment: path("deployment.json") }, "INVALID_ARGUMENT: --deployment is of no use without a node"],
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
      const contract = ["--data-anchor", dataAnchor];
      const { stdout, stderr } = await run("node_modules/.bin/hardhat", [
        ...task,
        ...contract,
        "--block-hash",
        blockHash,
      ]);
      expect(stderr).to.equal("");
      expect(stdout).to.contain("This proves the readings 3 to 17");
      const other = run("node_modules/.bin/hardhat", [...task, ...contract, "--block-hash", bundle.logId]);
      const error = (await other.catch((failure: unknown) => failure)) as { code: number; stderr: string };
      expect(error.code).to.equal(1);
      expect(error.stderr).to.match(/^BUNDLE_NOT_PROVED: [^\n]*\n$/);
    });
  });

  describe("create", () => {
    let logId: string;
    let ingest: IngestOptions;

    /** A spool with readings 0 to 6, of which 2 is erased, 4 to 5 were lost, and 1 was corrected. */
    beforeEach(async () => {
      const { as, p256Device: key } = await loadFixture(deploySuite);
      logId = deviceLogId({ device: key.id });
      const touchstone = as.relayer;
      ingest = { touchstone, spool: path("spool.db"), logId, key, tree: "Sha256", limits: INGEST_HASTE };
      const readings = (from: number, count: number): { measuredAt: bigint; payload: Buffer }[] =>
        Array.from({ length: count }, (_, index) => ({
          measuredAt: START + BigInt(from + index),
          payload: Buffer.from(`${from + index}`),
        }));
      await using(ingest, async (open) => {
        await open.append(readings(0, 4));
        await open.flush();
        await open.declareGap({ firstSeq: 4n, count: 2n, tFirst: START + 4n, tLast: START + 5n });
        await open.append(readings(6, 1));
        await open.settle();
        await open.correct({ supersedes: 0n, firstSeq: 1n, readings: readings(1, 1) });
        await open.erase(2n);
        await open.settle();
      });
      await networkHelpers.mine();
      await writeDeployment(touchstone);
    });

    function create(options: Record<string, unknown> = {}): Promise<TaskOutcome> {
      const where = { spool: path("spool.db"), out: path("bundle.json"), deployment: path("deployment.json") };
      const what = { logId, firstSeq: "1", count: "6", tree: "Sha256", state: false };
      return runAction(bundleCreate, { ...where, ...what, ...options } as Parameters<typeof bundleCreate>[0], onChain);
    }

    it("proves the readings of a spool, what was erased, lost and corrected with them", async () => {
      const { success, out, error } = await create({ state: true });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const bundle = await readBundle(path("bundle.json"));
      const { hash, number } = bundle.log.block;
      expect(out).to.equal(
        `${path("bundle.json")} proves 6 readings from 1 on, as the log was after block ${number}, ${hash}.`,
      );
      const { ok, levels } = await verifyBundle({ bundle, blockHash: hash, dataAnchor: bundle.dataAnchor });
      expect(ok).to.equal(true);
      expect(levels.signature.status).to.equal("Proved");
      expect(levels.bytes).to.include({ disclosed: 4, withheld: 1 });
      expect(levels.range.lost).to.deep.equal([{ firstSeq: 4n, count: 2n }]);
      expect(levels.range.corrected).to.deep.equal([{ firstSeq: 1n, count: 1n, index: 3n }]);
    });

    it("speaks of a single reading, and a single anchor, as of one", async () => {
      const { success, out } = await create({ firstSeq: "6", count: "1", state: true });
      expect(success).to.equal(true);
      expect(out).to.contain("bundle.json proves reading 6, as the log was");
      const { log, dataAnchor } = await readBundle(path("bundle.json"));
      const known = { blockHash: log.block.hash, dataAnchor };
      const verified = await runTask(["bundle", "verify"], { file: path("bundle.json"), ...known });
      expect(verified.out)
        .to.contain("  1 reading is what was anchored.")
        .and.contain(" signed the one anchor.")
        .and.contain("  The reading 6 is there.")
        .and.contain(`This proves the reading 6 of the log ${logId}.`);
    });

    it("proves that all was lost, where there is no batch", async () => {
      expect(await create({ firstSeq: "4", count: "2" })).to.include({ success: true, error: "" });
      const bundle = await readBundle(path("bundle.json"));
      expect(bundle.state).to.equal(undefined);
      const { ok, levels } = await verifyBundle({ bundle, touchstone: ingest.touchstone });
      expect(ok).to.equal(true);
      expect(levels.range.lost).to.deep.equal([{ firstSeq: 4n, count: 2n }]);
    });

    it("says what is wrong with its options, and writes nothing", async () => {
      await writeFile(path("empty.db"), "");
      await writeFile(path("other.db"), "no database at all");
      const wrong: [Record<string, unknown>, string][] = [
        [{ spool: undefined }, "INVALID_ARGUMENT: --spool is missing"],
        [{ logId: undefined }, "INVALID_ARGUMENT: Give one of --log-id, --device and --fleet"],
        [{ firstSeq: undefined }, "INVALID_ARGUMENT: --first-seq is missing"],
        [{ count: "" }, "INVALID_ARGUMENT: --count is missing"],
        [{ out: undefined }, "INVALID_ARGUMENT: --out is missing"],
        [{ count: "-1" }, 'INVALID_ARGUMENT: --count: "-1" is no whole number'],
        [{ count: "0" }, "INVALID_ARGUMENT: count: "],
        [{ count: "7" }, "NOT_FOUND: "],
        [{ tree: "sha256" }, 'INVALID_ARGUMENT: --tree: "sha256" is none: give Keccak256 or Sha256'],
        [{ tree: undefined }, "SPOOL_MISMATCH: "],
        [{ logId: "0x11" }, "INVALID_ARGUMENT: logId: "],
        [{ logId: `0x${"11".repeat(32)}` }, "SPOOL_MISMATCH: "],
        [{ spool: path("none.db") }, "FILE_MISSING: "],
        [{ spool: path(".") }, "FILE_IS_DIRECTORY: "],
        [{ spool: path("empty.db") }, "SPOOL_INVALID: "],
        [{ spool: path("other.db") }, "SPOOL_INVALID: "],
        [{ deployment: path("none.json") }, "FILE_MISSING: "],
        [{ rpc: "http://127.0.0.1:1,http://127.0.0.1:2" }, "INVALID_ARGUMENT: --rpc: "],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await create(options);
        expect({ success, out }, words).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
      const files = await readdir(path("."));
      expect(files).not.to.include("bundle.json");
      expect(files.filter((file) => /^(none|empty|other)\.db./.test(file) || file === "none.db")).to.deep.equal([]);
    });

    it("leaves a spool alone that an ingest works with", async () => {
      await using(ingest, async () => {
        expect((await create()).error).to.match(/^SPOOL_LOCKED: /);
      });
      expect((await create()).success).to.equal(true);
    });
  });
});
