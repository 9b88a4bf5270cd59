import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import { expect } from "chai";
import { Network } from "ethers";

import * as anchors from "../../client/anchors.js";
import logAudit from "../../tasks/log-audit.js";
import { loadFixture, networkHelpers, now } from "../support/chain.js";
import { temporaryFolder } from "../support/folder.js";
import { logWriter, PERIOD, type LogWriter } from "../support/audited-logs.js";
import { providerWith } from "../support/provider.js";
import { serveChain, type RpcServer } from "../support/rpc-server.js";
import { deploySuite, type Suite } from "../support/suite.js";
import { runAction, runTask, type TaskOutcome } from "../support/run-task.js";

interface Written extends Suite {
  log: LogWriter;
  /** Unix seconds of the last anchor. */
  end: bigint;
}

/** The log of a device: three anchors, of which the second is a gap and the third late. */
async function writtenLog(): Promise<Written> {
  const suite = await deploySuite();
  const logId = anchors.deviceLogId({ device: suite.p256Device.id, stream: 2n });
  const start = ((await now()) / 3600n + 1n) * 3600n;
  const log = logWriter({ touchstone: suite.as.relayer, logId, start, by: suite.p256Device });
  await log.write();
  await log.write({ kind: "Gap", count: 3n });
  const end = start + 3n * PERIOD;
  await log.write({ at: end, tLast: end * 1000n - 61_000n });
  return { ...suite, log, end };
}

describe("npx hardhat log", () => {
  const path = temporaryFolder();
  const servers: RpcServer[] = [];
  let written: Written;

  async function serve(...answer: Parameters<typeof serveChain>): Promise<string> {
    const server = await serveChain(...answer);
    servers.push(server);
    return server.url;
  }

  beforeEach(async () => {
    written = await loadFixture(writtenLog);
    const { chainId, as } = written;
    const deployment = { chainId: Number(chainId), contracts: as.owner.addresses };
    await writeFile(path("31337.json"), JSON.stringify(deployment));
  });

  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  async function audit(options: Record<string, unknown> = {}): Promise<TaskOutcome> {
    const { log } = written;
    return runTask(["log", "audit"], {
      logId: log.logId,
      deployment: path("31337.json"),
      rpc: await serve(),
      ...options,
    });
  }

  describe("audit", () => {
    it("prints what a log holds, and ends well with warnings alone", async () => {
      const { log, end } = written;
      const { success, out, error } = await audit();
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const root = await anchors.root({ touchstone: written.as.owner, logId: log.logId });
      const { hash, number } = (await written.as.owner.provider.getBlock("latest"))!;
      expect(out.split("\n")).to.deep.equal([
        `log       ${log.logId}`,
        `block     ${number}, ${hash}, ${new Date(Number(end) * 1000).toISOString()}`,
        `root      ${root}: the anchors lead to it`,
        "anchors   3 of 3",
        "readings  20, and 3 lost; 0 corrected",
        "findings  0 errors, 1 warning",
        `warning   Gap: Readings 10 to 12, measured from ${iso(log.written[1]!.tFirst)} to ${iso(log.written[1]!.tLast)}, were ` +
          "declared lost.",
      ]);
    });

    it("fails when something is not as it was expected, and says what", async () => {
      const { success, out, error } = await audit({ latestAfter: "1min", complete: true });
      expect({ success, error }).to.deep.equal({ success: false, error: "" });
      expect(out).to.contain("findings  2 errors, 0 warnings").and.contain("error     Gap: Readings 10 to 12");
      expect(out).to.contain("error     Late: Anchor 2 came 1 min 1 s after its last measurement: 1 min are allowed.");
      await networkHelpers.time.increaseTo(written.end + 2n * 3600n);
      expect((await audit({ latestAfter: "61s", longestSilence: "2h", longestPause: "30000ms" })).success).to.equal(
        true,
      );
      const strict = await audit({ longestSilence: "119min", longestPause: "29s", longestAhead: "0s", fresh: true });
      expect(strict.success).to.equal(false);
      expect(strict.out).to.contain("where the audit ends: 2 h, where 1 h 59 min are allowed");
      expect(strict.out).to.contain("error     Paused: ").and.not.contain("Unfresh");
    });

    it("finds a log by device or fleet and stream", async () => {
      const { log, p256Device, fleet } = written;
      const byDevice = await audit({ logId: undefined, device: p256Device.id, stream: "2" });
      expect(byDevice.out).to.contain(log.logId).and.contain("anchors   3 of 3");
      const byFleet = await audit({ logId: undefined, fleet });
      expect(byFleet.out).to.contain(anchors.fleetLogId({ fleet })).and.contain("anchors   0 of 0");
    });

    it("fails when nobody wrote the log", async () => {
      const { fleet } = written;
      const { success, out, error } = await audit({ logId: undefined, fleet });
      expect({ success, error }).to.deep.equal({ success: false, error: "" });
      expect(out).to.contain("findings  1 error, 0 warnings");
      expect(out).to.contain(`error     Empty: Nobody had written the log ${anchors.fleetLogId({ fleet })} by block `);
    });

    it("prints all of it for machines, at the block that was asked for", async () => {
      const toBlock = await written.as.owner.provider.getBlockNumber();
      await networkHelpers.mine(3);
      const { success, out } = await audit({ json: true, latestAfter: "60s", toBlock: String(toBlock) });
      expect(success).to.equal(false);
      const json = JSON.parse(out) as Record<string, unknown> & { findings: Record<string, unknown>[] };
      expect(json).to.deep.include({
        logId: written.log.logId,
        isProven: true,
        anchors: "3",
        readings: "20",
        lost: "3",
      });
      expect(json.block).to.include({ number: toBlock, timestamp: String(written.end) });
      expect(json.findings.map(({ code, severity, index }) => [code, severity, index])).to.deep.equal([
        ["Gap", "warning", "1"],
        ["Late", "error", "2"],
      ]);
      expect(json.findings[1]!.figures).to.deep.equal({ milliseconds: "61000", latestAfter: "60" });
    });

    it("fails when the node withholds an anchor, or another node disagrees", async () => {
      const liar = (method: string, result: unknown): unknown =>
        method === "eth_getLogs" ? (result as unknown[]).slice(1) : result;
      const { success, out } = await audit({ rpc: await serve(liar) });
      expect(success).to.equal(false);
      expect(out)
        .to.contain("the anchors do NOT lead to it")
        .and.contain("error     EventsIncomplete: The node withholds anchor 0");

      const other = (method: string, result: unknown): unknown =>
        method === "eth_getBlockByNumber" ? { ...(result as object), hash: `0x${"11".repeat(32)}` } : result;
      const [honest, alsoHonest, disagreeing] = [await serve(), await serve(), await serve(other)];
      expect((await audit({ rpc: `${honest}, ${alsoHonest}` })).success).to.equal(true);
      const disputed = await audit({ rpc: `${honest},${alsoHonest},${disagreeing}` });
      expect(disputed.success).to.equal(false);
      expect(disputed.out).to.contain("error     ProvidersDisagree: Node 2 of the witnesses has 0x1111");
    });

    it("says what is wrong with its options", async () => {
      const device = written.p256Device.id;
      const wrong: [Record<string, unknown>, string][] = [
        [{ logId: undefined }, "INVALID_ARGUMENT: Give one of --log-id, --device and --fleet"],
        [{ device }, "INVALID_ARGUMENT: Give one of"],
        [{ stream: "2" }, "INVALID_ARGUMENT: Give one of"],
        [{ logId: "0x11" }, "INVALID_ARGUMENT: logId: "],
        [{ logId: undefined, device, stream: "two" }, 'INVALID_ARGUMENT: --stream: "two" is no whole number'],
        [{ toBlock: "-1" }, 'INVALID_ARGUMENT: --to-block: "-1" is no whole number'],
        [{ toBlock: "999999999" }, "NOT_FOUND: The node has no block 999999999"],
        [
          { longestSilence: "900" },
          'INVALID_ARGUMENT: --longest-silence: "900" is no duration: give a number with its unit',
        ],
        [{ longestPause: "3weeks" }, 'INVALID_ARGUMENT: --longest-pause: "3weeks" is no duration'],
        [
          { latestAfter: "1500ms" },
          'INVALID_ARGUMENT: --latest-after: "1500ms" is no duration: blocks tell whole seconds only.',
        ],
        [{ rpc: "nowhere" }, 'INVALID_ARGUMENT: --rpc: "nowhere" is no URL of a node: give http://… or https://….'],
        [{ rpc: "http://127.0.0.1:1,ws://127.0.0.1" }, "CHAIN_UNREACHABLE: "],
        [{ rpc: "ws://127.0.0.1:1" }, 'INVALID_ARGUMENT: --rpc: "ws://127.0.0.1:1" is no URL'],
        [{ rpc: "http://127.0.0.1:1" }, "CHAIN_UNREACHABLE: "],
        [{ deployment: path("1.json") }, "FILE_MISSING: "],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await audit(options);
        expect({ success, out }, words).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
    });

    it("asks the network of Hardhat where no node is named", async () => {
      const words =
        'The network "default" is a new chain of this task alone, on which there are no contracts: give --network or --rpc.';
      const { success, error } = await audit({ rpc: undefined });
      expect({ success, error }).to.deep.equal({ success: false, error: `CONTRACT_MISSING: ${words}` });
      const missing = await audit({ rpc: undefined, deployment: path("1.json") });
      expect(missing.error)
        .to.match(/^FILE_MISSING: /)
        .and.contain(path("1.json"));
    });

    it("says to name a node where there is no deployment of the network of Hardhat", async () => {
      const fresh = { create: () => connectionOf("edr-simulated") };
      const args = { ...NO_OPTIONS, logId: written.log.logId };
      const { success, error } = await runAction(logAudit, args, { network: fresh });
      expect(success).to.equal(false);
      expect(error).to.match(/^FILE_MISSING: The network "elsewhere" is a new chain .*: give --network or --rpc\.$/);
      const other = await runAction(logAudit, args, { network: { create: () => connectionOf("http") } });
      expect(other.error).to.match(/^FILE_MISSING: There is no deployment of the chain 4242 /);
    });

    it("ends with exit code 1 and its report alone on the command line", async function () {
      this.timeout(60_000);
      const options = ["--log-id", written.log.logId, "--deployment", path("31337.json"), "--rpc", await serve()];
      const cli = promisify(execFile)("node_modules/.bin/hardhat", ["log", "audit", ...options, "--complete"]);
      const error = (await cli.catch((failure: unknown) => failure)) as {
        code: number;
        stdout: string;
        stderr: string;
      };
      expect(error.code).to.equal(1);
      expect(error.stdout).to.contain("findings  1 error, 0 warnings");
      expect(error.stderr).to.equal("");
    });
  });

  describe("show", () => {
    it("prints where a log ends, and its latest anchors", async () => {
      const { log, p256Device, fleet, end } = written;
      const options = { deployment: path("31337.json"), rpc: await serve() };
      const { success, out, error } = await runTask(["log", "show"], { ...options, logId: log.logId, last: "1" });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const { tFirst, tLast } = log.written[2]!;
      expect(out.split("\n")).to.deep.equal([
        `log       ${log.logId}`,
        `root      ${await anchors.root({ touchstone: written.as.owner, logId: log.logId })}`,
        "anchors   3",
        "next      reading 23",
        `measured  ${iso(tLast)}`,
        `anchored  ${iso(end * 1000n)}`,
        `       2  Data, readings 13 to 22, measured ${iso(tFirst)} to ${iso(tLast)}, anchored ${iso(end * 1000n)} by ` +
          p256Device.id,
      ]);
      const all = await runTask(["log", "show"], { ...options, logId: log.logId });
      expect(
        all.out
          .split("\n")
          .slice(6)
          .map((line) => line.trim().slice(0, 6)),
      ).to.deep.equal(["0  Dat", "1  Gap", "2  Dat"]);
      const empty = await runTask(["log", "show"], { ...options, fleet });
      expect(empty.out.split("\n").slice(2)).to.deep.equal(["anchors   0"]);
      const wrong = await runTask(["log", "show"], { ...options, fleet, last: "all" });
      expect(wrong.error).to.contain('INVALID_ARGUMENT: --last: "all" is no whole number');
    });
  });
});

const NO_OPTIONS = {
  device: undefined,
  fleet: undefined,
  stream: undefined,
  rpc: undefined,
  deployment: undefined,
  toBlock: undefined,
  longestSilence: undefined,
  longestPause: undefined,
  latestAfter: undefined,
  longestAhead: undefined,
  fresh: false,
  complete: false,
  json: false,
};

/** A network with a chain of which there is no deployment. */
function connectionOf(type: string): Promise<object> {
  const provider = providerWith({ getNetwork: () => Promise.resolve(new Network("elsewhere", 4242n)) });
  const close = (): Promise<void> => Promise.resolve();
  return Promise.resolve({ ethers: { provider }, networkName: "elsewhere", networkConfig: { type }, close });
}

function iso(milliseconds: bigint): string {
  return new Date(Number(milliseconds)).toISOString();
}
