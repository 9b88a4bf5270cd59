import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import { expect } from "chai";

import * as access from "../../client/access.js";
import { FOREVER } from "../../client/arguments.js";
import accessApprove from "../../tasks/access-approve.js";
import { parsePurposes, parseTime } from "../../tasks/support/access.js";
import { requireConfirmation } from "../../tasks/support/confirmation.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { serveChain, type RpcServer } from "../support/rpc-server.js";
import { runAction, runTask, type TaskOutcome } from "../support/run-task.js";
import { deploySuite, type Suite } from "../support/suite.js";

const HASH = /0x[0-9a-f]{64}/;

describe("npx hardhat access", () => {
  const path = temporaryFolder();
  let suite: Suite;
  let server: RpcServer;

  beforeEach(async () => {
    suite = await loadFixture(deploySuite);
    server = await serveChain();
    const { chainId, as } = suite;
    const deployment = { chainId: Number(chainId), contracts: as.owner.addresses };
    await writeFile(path("31337.json"), JSON.stringify(deployment));
  });

  afterEach(async () => {
    await server.close();
  });

  function run(verb: string, options: Record<string, unknown>): Promise<TaskOutcome> {
    const place = { rpc: server.url, deployment: path("31337.json") };
    return runTask(["access", verb], { device: suite.p256Device.id, ...place, ...options });
  }

  /** Grants the subject ReadLive and ReadHistory for CustomerCare for 30 days. */
  function give(options: Record<string, unknown> = {}): Promise<TaskOutcome> {
    const { owner, subject } = suite.actors;
    const terms = { permissions: "ReadLive,ReadHistory", purposes: "CustomerCare", expiry: "30d" };
    return run("grant", { subject: subject.address, from: owner.address, ...terms, ...options });
  }

  describe("grant and revoke", () => {
    it("send from the account that was named, and say in which transaction", async () => {
      const { as, actors, p256Device } = suite;
      const termsHash = ethers.id("terms");
      const start = await now();
      const { success, out, error } = await give({
        purposes: "dpv:CustomerCare, 24",
        notBefore: "2100-01-01",
        expiry: "2100-02-01T00:00:01+01:00",
        termsHash,
      });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      expect(out).to.match(new RegExp(`^Granted to ${actors.subject.address} in 0x[0-9a-f]{64}, block \\d+\\.$`));
      const of = { touchstone: as.owner, device: p256Device.id, subject: actors.subject.address };
      expect(await access.grantOf(of)).to.deep.include({
        permissions: ["ReadLive", "ReadHistory"],
        purposes: ["CustomerCare", 24],
        notBefore: 4_102_444_800n,
        expiry: 4_105_119_601n,
      });
      const json = await give({ json: true, expiry: "30d" });
      const printed = JSON.parse(json.out) as Record<string, unknown>;
      expect(printed).to.include({ device: p256Device.id, subject: actors.subject.address });
      expect(printed.transactionHash).to.match(HASH);
      const ends = BigInt(printed.expiry as string) - 30n * DAY;
      expect(ends >= start && ends <= (await now())).to.equal(true);

      const revoked = await run("revoke", { subject: actors.subject.address, from: actors.owner.address });
      expect(revoked.out).to.match(new RegExp(`^Revoked from ${actors.subject.address} in `));
      expect((await access.grantOf(of)).permissions).to.deep.equal([]);
      const again = await run("revoke", { subject: actors.subject.address, from: actors.owner.address, json: true });
      expect(JSON.parse(again.out)).to.have.keys(["device", "subject", "transactionHash", "block"]);
    });

    it("say what is wrong with their options, and send nothing", async () => {
      const { actors } = suite;
      const block = await ethers.provider.getBlockNumber();
      const wrong: [Record<string, unknown>, string][] = [
        [{ permissions: undefined }, "INVALID_ARGUMENT: --permissions is missing: see --help."],
        [{ permissions: "Fly" }, 'INVALID_ARGUMENT: --permissions: "Fly" is none: give of ReadLive, '],
        [{ purposes: undefined }, "INVALID_ARGUMENT: --purposes is missing"],
        [{ purposes: "Fun" }, 'INVALID_ARGUMENT: --purposes: "Fun" is no purpose: give of ServiceProvision, '],
        [{ purposes: "23" }, 'INVALID_ARGUMENT: --purposes: "23" is no purpose'],
        [{ expiry: undefined }, "INVALID_ARGUMENT: --expiry is missing"],
        [{ expiry: "soon" }, 'INVALID_ARGUMENT: --expiry: "soon" is no time'],
        [{ notBefore: "2027-01-31T18:00" }, 'INVALID_ARGUMENT: --not-before: "2027-01-31T18:00" is no time'],
        [{ termsHash: "0x12" }, "INVALID_ARGUMENT: termsHash: "],
        [{ subject: "0x12" }, "INVALID_ARGUMENT: subject: "],
        [{ from: "0x12" }, "INVALID_ARGUMENT: --from: "],
        [{ from: `0x${"77".repeat(20)}` }, "RUNNER_READ_ONLY: The network cannot sign for 0x7777"],
        [{ permissions: "Share" }, "CONTRACT_REVERTED: "],
        [{ from: actors.stranger.address }, "CONTRACT_REVERTED: "],
        [{ rpc: `${server.url},${server.url}` }, "INVALID_ARGUMENT: --rpc: "],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await give(options);
        expect({ success, out }, words).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
      expect(await ethers.provider.getBlockNumber()).to.equal(block);
    });
  });

  describe("explain", () => {
    it("ends well if the account may, and with 1 if it may not, and says why", async () => {
      const { actors } = suite;
      const asked = { account: actors.subject.address, permissions: "ReadLive", purpose: "CustomerCare" };
      const before = await run("explain", asked);
      expect(before).to.deep.include({ success: false, error: "" });
      expect(before.out).to.equal(
        `Denied, NoGrant: ${actors.subject.address} was never given anything on this device, and what everyone has does not ` +
          "suffice. Request ReadLive of the owner, or sign in with the account that was given it.",
      );
      await give();
      const { success, out, error } = await run("explain", asked);
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      expect(out).to.match(/^Allowed, Grant: .* by a grant that ends at 20\d\d-\d\d-\d\dT.*Z\.$/);
      await networkHelpers.time.increase(31n * DAY);
      await networkHelpers.mine();
      const json = await run("explain", { ...asked, json: true });
      expect(json.success).to.equal(false);
      expect(JSON.parse(json.out)).to.deep.include({
        allowed: false,
        reason: "Expired",
        advice: "Ask the owner for a new one.",
      });
    });

    it("ends with exit code 0 or 1 and its answer alone on the command line", async function () {
      this.timeout(60_000);
      await give();
      const { subject, stranger } = suite.actors;
      const question = ["--permissions", "ReadLive", "--purpose", "CustomerCare", "--json"];
      const place = ["--rpc", server.url, "--deployment", path("31337.json")];
      const ask = async (account: string): Promise<{ code: number; stdout: string; stderr: string }> => {
        const options = [suite.p256Device.id, account, ...question, ...place];
        const cli = promisify(execFile)("node_modules/.bin/hardhat", ["access", "explain", ...options]);
        return cli.then(
          (ended) => ({ code: 0, ...ended }),
          (failure: unknown) => failure as { code: number; stdout: string; stderr: string },
        );
      };
      const [allowed, denied] = [await ask(subject.address), await ask(stranger.address)];
      expect([allowed.code, allowed.stderr, denied.code, denied.stderr]).to.deep.equal([0, "", 1, ""]);
      expect(JSON.parse(allowed.stdout)).to.include({ allowed: true, reason: "Grant" });
      expect(JSON.parse(denied.stdout)).to.include({ allowed: false, reason: "NoGrant" });
    });

    it("fails without an answer if it cannot ask", async () => {
      const asked = { account: suite.actors.subject.address, permissions: "ReadLive", purpose: "CustomerCare" };
      const wrong: [Record<string, unknown>, string][] = [
        [{ purpose: undefined }, "INVALID_ARGUMENT: --purpose is missing"],
        [{ purpose: "CustomerCare,24" }, 'INVALID_ARGUMENT: --purpose: "CustomerCare,24" are several: give one.'],
        [{ account: "0x12" }, "INVALID_ARGUMENT: "],
        [{ rpc: "http://127.0.0.1:1" }, "CHAIN_UNREACHABLE: "],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await run("explain", { ...asked, ...options });
        expect({ success, out }, words).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
    });
  });

  describe("who", () => {
    it("lists everyone, why and until when, for people and for machines", async () => {
      const { actors, fleet, p256Device, as } = suite;
      const granted = await give({ notBefore: "10d", termsHash: ethers.id("terms") });
      const [transaction] = HASH.exec(granted.out)!;
      const { success, out, error } = await run("who", {});
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const lines = out.split("\n");
      expect(lines.slice(0, 2)).to.deep.equal([
        `device  ${p256Device.id}, Active, epoch 1`,
        `owner   ${fleet}, governed by ${actors.owner.address}`,
      ]);
      expect(lines[2]).to.match(/^block {3}\d+, 0x[0-9a-f]{64}, 20.*Z$/);
      const place = lines.indexOf(actors.subject.address);
      expect(lines[place + 1]).to.match(
        /^ {2}Grant {5}ReadLive and ReadHistory for CustomerCare, from 20.*Z until 20.*Z; by /,
      );
      expect(lines[place + 1]).to.contain(
        `; by ${actors.owner.address} in ${transaction}, terms ${ethers.id("terms")}`,
      );
      expect(lines[lines.indexOf(actors.operator.address) + 1]).to.match(
        /^ {2}Role Operator {2}ReadLive, .*, for ever; by /,
      );

      const json = JSON.parse((await run("who", { json: true })).out) as { holders: { account: string }[] };
      const { holders } = await access.who({ touchstone: as.owner, device: p256Device.id });
      expect(json.holders.map(({ account }) => account)).to.deep.equal(holders.map(({ account }) => account));

      const later = await run("who", { at: "11d" });
      expect(later.out)
        .to.match(/\nat {6}20/)
        .and.match(/ for CustomerCare, until 20/);
      const earlier = await run("who", { toBlock: String((await ethers.provider.getBlockNumber()) - 1) });
      expect(earlier.out).to.not.contain(actors.subject.address);
      const unknown = await run("who", { device: actors.subject.address });
      expect(unknown).to.deep.include({ success: false, out: "" });
      expect(unknown.error).to.match(/^NOT_FOUND: The device 0x/);
    });
  });

  describe("request and approve", () => {
    async function ask(): Promise<TaskOutcome> {
      const terms = { permissions: "ReadLive,ReadHistory", purposes: "CustomerCare", expiry: "30d" };
      return run("request", { from: suite.actors.subject.address, ...terms });
    }

    it("grant what was asked for, once it was read and agreed to", async () => {
      const { as, actors, p256Device } = suite;
      const { success, out } = await ask();
      expect(success).to.equal(true);
      expect(out).to.match(new RegExp(`^Requested by ${actors.subject.address} in 0x[0-9a-f]{64}, block \\d+\\. `));
      const answer = { subject: actors.subject.address, from: actors.owner.address };
      const approved = await run("approve", { ...answer, yes: true, permissions: "ReadLive" });
      expect({ success: approved.success, error: approved.error }).to.deep.equal({ success: true, error: "" });
      const [sentence, done, ...more] = approved.out.split("\n");
      expect(sentence).to.contain(actors.subject.address).and.contain("live measurements").and.not.contain("past");
      expect(done).to.match(/^Granted in 0x[0-9a-f]{64}, block \d+\.$/);
      expect(more).to.deep.equal([]);
      const grant = await access.grantOf({
        touchstone: as.owner,
        device: p256Device.id,
        subject: actors.subject.address,
      });
      expect(grant.permissions).to.deep.equal(["ReadLive"]);
      const again = await run("approve", { ...answer, yes: true });
      expect(again).to.deep.include({ success: false, out: "" });
      expect(again.error).to.match(/^NOT_FOUND: No request of 0x\w+ for the device 0x\w+ waits for an answer/);
      await ask();
      const json = await run("approve", { ...answer, yes: true, json: true });
      expect(JSON.parse(json.out)).to.have.keys(["sentence", "transactionHash", "block"]);
    });

    it("grant no more than was asked for", async () => {
      const { actors } = suite;
      await ask();
      const answer = { subject: actors.subject.address, from: actors.owner.address, yes: true };
      for (const more of [{ permissions: "ReadLive,Command" }, { purposes: "Marketing" }, { expiry: "31d" }]) {
        const { success, error } = await run("approve", { ...answer, ...more });
        expect(success).to.equal(false);
        expect(error).to.match(/^REQUEST_EXCEEDED: /);
      }
    });

    it("send nothing without agreement", async () => {
      const { actors, p256Device, as } = suite;
      await ask();
      const block = await ethers.provider.getBlockNumber();
      const answer = { subject: actors.subject.address, from: actors.owner.address };
      const args = {
        ...{
          device: p256Device.id,
          ...answer,
          rpc: server.url,
          deployment: path("31337.json"),
          yes: false,
          json: false,
        },
        ...{ permissions: undefined, purposes: undefined, notBefore: undefined, expiry: undefined },
      };
      const { isTTY } = process.stdin;
      try {
        process.stdin.isTTY = false;
        const silent = await runAction(accessApprove, args, {});
        expect(silent.success).to.equal(false);
        expect(silent.out, "it is shown what it would be").to.contain("live measurements");
        expect(silent.error).to.match(/^CONFIRMATION_MISSING: There is no terminal/);
        process.stdin.isTTY = true;
        const said: string[] = [];
        const answering = (words: string): object => ({
          interruptions: {
            requestInput: (_: string, question: string) => {
              said.push(question);
              return Promise.resolve(words);
            },
          },
        });
        const refused = await runAction(accessApprove, args, answering("y"));
        expect(refused.error).to.equal("CONFIRMATION_MISSING: This was not agreed to: nothing was sent.");
        expect(await ethers.provider.getBlockNumber()).to.equal(block);
        const agreed = await runAction(accessApprove, args, answering(" Yes "));
        expect(agreed.success, agreed.error).to.equal(true);
        expect(said).to.deep.equal(Array(2).fill("This is what you grant. Type yes to agree"));
      } finally {
        process.stdin.isTTY = isTTY;
      }
      const question = { touchstone: as.owner, device: p256Device.id, account: actors.subject.address } as const;
      expect(await access.isAllowed({ ...question, permissions: ["ReadHistory"], purpose: "CustomerCare" })).to.equal(
        true,
      );
    });
  });

  describe("history", () => {
    it("tells a device's and an account's, and writes them into files", async () => {
      const { actors, p256Device } = suite;
      await give();
      await run("revoke", { subject: actors.subject.address, from: actors.owner.address });
      const device = await runTask(["access", "history"], { id: p256Device.id, ...place() });
      expect({ success: device.success, error: device.error }).to.deep.equal({ success: true, error: "" });
      const kinds = device.out.split("\n").map((line) => line.split(/ +/)[1]);
      expect(kinds).to.deep.equal(["Enrolled", "Granted", "Revoked", "is"]);
      expect(device.out).to.contain(`subject ${actors.subject.address}; by ${actors.owner.address}; in 0x`);

      const account = await runTask(["access", "history"], { id: actors.subject.address, ...place() });
      expect(account.out.split("\n").map((line) => line.split(/ +/)[1])).to.deep.equal(["Granted", "Revoked", "is"]);

      const [csv, json] = [path("history.csv"), path("history.json")];
      const written = await runTask(["access", "history"], { id: p256Device.id, csv, ...place() });
      expect(written.out).to.equal(`${csv} holds the whole history of the device ${p256Device.id}.`);
      expect((await readFile(csv, "utf8")).split("\r\n")).to.have.lengthOf(5);
      await runTask(["access", "history"], { id: actors.subject.address, json, ...place() });
      expect(access.parseHistory(await readFile(json, "utf8")).entries.map(({ kind }) => kind)).to.deep.equal([
        "Granted",
        "Revoked",
      ]);
      const wrong: [Record<string, unknown>, string][] = [
        [{ json }, "FILE_EXISTS: "],
        [{ csv: path("a"), json: path("b") }, "INVALID_ARGUMENT: Give one of --csv and --json"],
        [{ id: "0x12" }, "INVALID_ARGUMENT: id: "],
        [{ toBlock: "x" }, "INVALID_ARGUMENT: --to-block: "],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await runTask(["access", "history"], {
          id: p256Device.id,
          ...place(),
          ...options,
        });
        expect({ success, out }).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
    });

    function place(): Record<string, unknown> {
      return { rpc: server.url, deployment: path("31337.json") };
    }
  });

  describe("receipt", () => {
    it("prints a consent receipt, or writes it", async () => {
      const { actors } = suite;
      await give();
      const subject = actors.subject.address;
      const { success, out } = await run("receipt", { subject });
      expect(success).to.equal(true);
      const receipt = access.parseConsentReceipt(out);
      const written = await run("receipt", { subject, out: path("receipt.json") });
      expect(written.out).to.equal(`${path("receipt.json")} says what was consented to for ${subject}.`);
      expect(access.parseConsentReceipt(await readFile(path("receipt.json"), "utf8"))).to.deep.equal(receipt);
      expect(JSON.parse((await run("receipt", { subject, all: true })).out)).to.have.lengthOf(1);
      expect((await run("receipt", { subject: actors.stranger.address })).error).to.match(/^NOT_FOUND: /);
    });
  });
});

describe("what tasks take", () => {
  it("is times as dates, with their zone, or from now on", async () => {
    const start = 1_000_000n;
    const times: [string, bigint][] = [
      ["forever", FOREVER],
      ["30s", start + 30n],
      ["15min", start + 900n],
      ["12h", start + 43_200n],
      ["30d", start + 30n * DAY],
      ["2027-01-31", 1_801_353_600n],
      ["2027-01-31T18:00Z", 1_801_418_400n],
      ["2027-01-31T18:00:01+02:00", 1_801_411_201n],
    ];
    for (const [text, time] of times) expect(parseTime("expiry", text, start), text).to.equal(time);
    const wrong = [
      "",
      "30",
      "30w",
      "30 d",
      "2027-02-30",
      "2027-13-01",
      "2027-01-31T18:00",
      "2027-01-31T25:00Z",
      "1969-01-01",
    ];
    for (const text of wrong) await errorOf("INVALID_ARGUMENT", () => parseTime("expiry", text, start));
  });

  it("is purposes by their names or own numbers", async () => {
    expect(parsePurposes("CustomerCare,dpv:Marketing, 31")).to.deep.equal(["CustomerCare", "Marketing", 31]);
    for (const text of ["", "customercare", "0", "32", "CustomerCare,,Marketing"]) {
      await errorOf("INVALID_ARGUMENT", () => parsePurposes(text));
    }
  });

  it("is agreement only in so many words", async () => {
    const environment = { interruptions: { requestInput: () => Promise.resolve("") } };
    const options = { question: "Really?", isAgreed: false, isTerminal: true };
    await errorOf("CONFIRMATION_MISSING", () => requireConfirmation(environment as never, options));
  });
});
