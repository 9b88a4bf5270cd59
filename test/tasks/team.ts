import { readFile, writeFile } from "node:fs/promises";

import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";

import * as roles from "../../client/roles.js";
import teamApply from "../../tasks/team-apply.js";
import { ethers, loadFixture } from "../support/chain.js";
import { temporaryFolder } from "../support/folder.js";
import { serveChain, type RpcServer } from "../support/rpc-server.js";
import { runAction, runTask, type TaskOutcome } from "../support/run-task.js";
import { deploySafe, execute } from "../support/safe.js";
import { deploySuite, type Suite } from "../support/suite.js";

async function fleetAtWork(): Promise<Suite> {
  return deploySuite();
}

describe("npx hardhat team and fleet", () => {
  const path = temporaryFolder();
  let suite: Suite;
  let server: RpcServer;

  beforeEach(async () => {
    suite = await loadFixture(fleetAtWork);
    server = await serveChain();
    const deployment = { chainId: Number(suite.chainId), contracts: suite.as.owner.addresses };
    await writeFile(path("31337.json"), JSON.stringify(deployment));
    await writeTeamFile([
      { account: suite.actors.admin.address, name: "Ada", roles: ["Admin"] },
      { account: suite.actors.stranger.address, name: "Bo <b>", roles: ["Gateway", "Map reader"], until: "2099-01-01" },
    ]);
  });

  afterEach(async () => {
    await server.close();
  });

  async function writeTeamFile(members: object[], more: object = {}): Promise<void> {
    const file = {
      type: "touchstone-team",
      version: 1,
      fleet: suite.fleet,
      roles: [{ role: 8, name: "Map reader", permissions: ["ReadLocation"] }],
      exclusions: [{ roles: ["Operator", "Auditor"] }],
      members,
      ...more,
    };
    await writeFile(path("team.json"), JSON.stringify(file));
  }

  function run(task: string[], options: Record<string, unknown> = {}): Promise<TaskOutcome> {
    return runTask(task, { deployment: path("31337.json"), rpc: server.url, ...options });
  }
  const plan = (options: Record<string, unknown> = {}): Promise<TaskOutcome> =>
    run(["team", "plan"], { file: path("team.json"), ...options });
  const apply = (options: Record<string, unknown> = {}): Promise<TaskOutcome> =>
    run(["team", "apply"], { file: path("team.json"), from: suite.actors.owner.address, yes: true, ...options });

  describe("team plan", () => {
    it("says what would be done, and sends nothing", async () => {
      const block = await ethers.provider.getBlockNumber();
      const { success, out, error } = await plan({ prune: true });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const { owner, stranger, gateway } = suite.actors;
      expect(out).to.contain(`governor  ${owner.address}`).and.contain(`sender    ${owner.address}`);
      expect(out).to.contain("8 steps:");
      expect(out).to.contain(
        `  give    Bo <b> (${stranger.address}): Gateway, Map reader until 2099-01-01T00:00:00.000Z`,
      );
      expect(out).to.contain(`  remove  ${gateway.address}: Gateway`);
      expect(out).to.contain("  define  Map reader: ReadLocation; before nothing");
      expect(out).to.contain("  exclude Operator, Auditor, for ever");
      expect(await ethers.provider.getBlockNumber()).to.equal(block);
    });

    it("says what stays without --prune, and what is impossible", async () => {
      const { actors, as, fleet } = suite;
      const { out } = await plan();
      expect(out).to.contain(`kept      ${actors.gateway.address}: Gateway; --prune takes it away`);
      await roles.declareExclusive({ touchstone: as.owner, fleet, roles: ["Maker", "Admin"] });
      const impossible = await plan({ from: actors.admin.address });
      expect([impossible.success, impossible.error.slice(0, 15)]).to.deep.equal([false, "TEAM_IMPOSSIBLE"]);
      expect(impossible.out).to.contain("Impossible:").and.contain("declared Maker and Admin exclusive, for ever");
      expect(impossible.out).to.contain(`Only the governor, ${actors.owner.address}, says what role 8 permits.`);
    });

    it("says every fault of a file with its line", async () => {
      await writeFile(path("team.json"), '{\n"type": "touchstone-team",\n"version": 1,\n"members": [7]\n}');
      const { success, out, error } = await plan();
      expect({ success, out }).to.deep.equal({ success: false, out: "" });
      expect(error).to.match(/^TEAM_INVALID: .*team\.json, line 4: members\.0 is no object\.$/);
    });
  });

  describe("team apply", () => {
    it("makes the team as the file says, and does nothing the second time", async () => {
      const { success, out, error } = await apply({ prune: true });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      expect(out).to.match(/8 of 8 steps done in 0x[0-9a-f]{64}\nThe team is as the file says\.$/);
      const block = await ethers.provider.getBlockNumber();
      const again = await apply({ prune: true });
      expect(again).to.deep.include({ success: true, error: "" });
      expect(again.out).to.match(/The team is as the file says: nothing to do\.$/);
      expect(await ethers.provider.getBlockNumber()).to.equal(block);
    });

    it("asks before it sends unless told not to", async () => {
      const { as, actors, fleet } = suite;
      const block = await ethers.provider.getBlockNumber();
      const answers = ["no", " YES "];
      const asked: string[] = [];
      const environment = {
        interruptions: {
          requestInput: (_: string, question: string) => {
            asked.push(question);
            return Promise.resolve(answers.shift()!);
          },
        },
      };
      const args = {
        file: path("team.json"),
        fleet: undefined,
        from: actors.owner.address,
        prune: false,
        yes: false,
        rpc: server.url,
        deployment: path("31337.json"),
      };
      type Args = Parameters<typeof teamApply>[0];
      const { isTTY } = process.stdin;
      try {
        process.stdin.isTTY = false;
        const silent = await runAction(teamApply, args as Args, environment);
        expect(silent.out, "it is shown what would be done").to.contain("  define  Map reader: ReadLocation");
        expect(silent.error).to.match(/^CONFIRMATION_MISSING: There is no terminal/);
        expect(asked).to.deep.equal([]);
        process.stdin.isTTY = true;
        const refused = await runAction(teamApply, args as Args, environment);
        const error = "CONFIRMATION_MISSING: This was not agreed to: nothing was sent.";
        expect([refused.success, refused.error]).to.deep.equal([false, error]);
        expect(asked).to.deep.equal([`This is sent as ${actors.owner.address}. Type yes to agree`]);
        expect(await ethers.provider.getBlockNumber()).to.equal(block);
        expect((await runAction(teamApply, args as Args, environment)).success).to.equal(true);
      } finally {
        process.stdin.isTTY = isTTY;
      }
      const { members } = await roles.members({ touchstone: as.owner, fleet });
      expect(members.some(({ account }) => account === actors.stranger.address)).to.equal(true);
    });

    it("refuses what is impossible, a sender that the node has no key of, and what is none", async () => {
      const { actors } = suite;
      const impossible = await apply({ from: actors.stranger.address });
      expect(impossible.success).to.equal(false);
      expect(impossible.error).to.match(
        /^TEAM_IMPOSSIBLE: The fleet .* cannot become this team:\n {2}.*is neither the governor/,
      );
      const keyless = await apply({ from: suite.fleet });
      expect(keyless.error).to.match(/^RUNNER_READ_ONLY: The network cannot sign for 0x/);
      expect((await apply({ from: "me" })).error).to.match(/^INVALID_ARGUMENT: --from: "me"/);
    });
  });

  describe("team show", () => {
    beforeEach(async () => {
      const { as, actors, fleet } = suite;
      await roles.setRoles({
        touchstone: as.owner,
        fleet,
        account: actors.stranger.address,
        roles: ["Operator", "Auditor"],
      });
      await apply();
      await roles.setRoles({ touchstone: as.owner, fleet, account: actors.gateway.address, roles: ["Gateway", 9] });
      await roles.proposeGovernor({ touchstone: as.owner, fleet, newGovernor: actors.relayer.address });
    });

    it("prints who holds what, own roles, exclusions and warnings", async () => {
      const { actors, fleet } = suite;
      const { success, out, error } = await run(["team", "show"], { fleet, names: path("team.json") });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      expect(out)
        .to.contain(`governor    ${actors.owner.address}`)
        .and.contain(`offered to  ${actors.relayer.address}`);
      expect(out).to.match(
        new RegExp(
          `^Bo <b> +${actors.stranger.address} +Gateway, Map reader +now +until 2099-01-01T00:00:00Z +ReadLive, ReadLocation, Anchor, ReportInstall$`,
          "m",
        ),
      );
      expect(out).to.contain("Own roles\n  Map reader (role 8): ReadLocation");
      expect(out).to.contain("Exclusive\n  Operator and Auditor");
      expect(out).to.contain(`${actors.gateway.address} holds role 9, which permits nothing`);
      const plain = await run(["team", "show"], { fleet });
      expect(plain.out).to.contain("role 8: ReadLocation").and.not.contain("Bo");
    });

    it("writes a page that needs nothing else, with all that comes from outside escaped", async () => {
      const { actors, fleet } = suite;
      const options = { fleet, names: path("team.json"), html: path("team.html") };
      const { success, error } = await run(["team", "show"], options);
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const page = await readFile(path("team.html"), "utf8");
      expect(page).to.match(/^<!doctype html>\n<html lang="en">/);
      expect(page).to.contain("Bo &lt;b&gt;").and.not.contain("<b>");
      for (const outside of [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "http:",
        "https:",
        "url(",
        "@import",
        "javascript:",
      ]) {
        expect(page.toLowerCase(), outside).to.not.contain(outside);
      }
      expect(page).to.contain("default-src 'none'").and.contain("@media print");
      expect(page).to.contain(`<code>${actors.stranger.address}</code>`).and.contain("<td>Gateway, Map reader</td>");
      // Each table has a caption, and headers of columns and rows.
      const tables = page.split("<table").slice(1);
      expect(tables).to.have.length(5);
      for (const table of tables) {
        expect(table).to.contain("<caption>").and.contain('<th scope="col">').and.contain('<th scope="row">');
      }
      // Every element that opens closes.
      const open: string[] = [];
      for (const [, closing, name] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*>/g)) {
        if (["meta", "br"].includes(name!)) continue;
        if (closing === "") open.push(name!);
        else expect(open.pop(), `</${name!}>`).to.equal(name);
      }
      expect(open).to.deep.equal([]);
      expect((await run(["team", "show"], options)).error).to.match(/^FILE_EXISTS: /);
    });

    it("has a yes in the page for each permission of each member, and a dash for all others", async () => {
      const { as, fleet } = suite;
      await run(["team", "show"], { fleet, html: path("team.html") });
      const page = await readFile(path("team.html"), "utf8");
      const { members } = await roles.members({ touchstone: as.owner, fleet });
      const rows = page.split('class="matrix"')[1]!.split("<tbody>")[1]!.split("</tbody>")[0]!.trim().split("\n");
      const holders = members.filter(({ state }) => state === "Now");
      expect(rows).to.have.length(holders.length);
      for (const [place, { account, permissions }] of holders.entries()) {
        const cells = [...rows[place]!.matchAll(/<td>([^<]*)<\/td>/g)].map(([, cell]) => cell);
        expect(rows[place]).to.contain(account);
        expect(cells.filter((cell) => cell === "yes")).to.have.length(permissions.length);
        expect(cells).to.have.length(16);
      }
    });

    it("prints all of it for machines, as it was after a block", async () => {
      const { as, fleet } = suite;
      const toBlock = (await ethers.provider.getBlockNumber()) - 1;
      const { out } = await run(["team", "show"], { fleet, json: true, toBlock: String(toBlock) });
      const expected = await roles.members({ touchstone: as.owner, fleet, toBlock });
      const json = JSON.parse(out) as { members: { until: string }[]; block: number; pendingGovernor?: string };
      expect(json.block).to.equal(toBlock);
      expect(json.pendingGovernor).to.equal(undefined);
      expect(json.members.map(({ until }) => until)).to.deep.equal(expected.members.map(({ until }) => String(until)));
    });

    it("shows a fleet with nobody in it", async () => {
      const fleet = suite.actors.relayer.address;
      const { out } = await run(["team", "show"], { fleet, html: path("empty.html") });
      expect(out).to.contain("No members.").and.not.contain("Warnings");
      expect(await readFile(path("empty.html"), "utf8")).to.contain("Nobody holds a role.");
    });

    it("says what is wrong with its options", async () => {
      const { fleet } = suite;
      for (const [options, words] of [
        [{}, "INVALID_ARGUMENT: --fleet is missing"],
        [{ fleet: "x" }, "INVALID_ARGUMENT: fleet:"],
        [{ fleet, toBlock: "x" }, 'INVALID_ARGUMENT: --to-block: "x"'],
        [{ fleet, names: path("none.json") }, "FILE_MISSING: "],
        [{ fleet, rpc: `${server.url},${server.url}` }, "INVALID_ARGUMENT: --rpc:"],
      ] as const) {
        const { success, error } = await run(["team", "show"], options);
        expect([success, error.startsWith(words)], error).to.deep.equal([false, true]);
      }
    });
  });

  describe("team export", () => {
    it("writes a file that is the team, with the names of another file", async () => {
      await apply({ prune: true });
      const { fleet, actors } = suite;
      const { success, out } = await run(["team", "export"], {
        fleet,
        out: path("out.json"),
        names: path("team.json"),
      });
      expect({ success, out }).to.deep.equal({ success: true, out: `${path("out.json")}: 2 members of ${fleet}` });
      const [written, given] = [
        await roles.readTeam({ path: path("out.json") }),
        await roles.readTeam({ path: path("team.json") }),
      ];
      expect(written).to.deep.equal(given);
      const again = await plan({ file: path("out.json"), prune: true, from: actors.owner.address });
      expect(again.out).to.contain("nothing to do");
    });
  });

  describe("fleet", () => {
    it("is created, handed to an account and accepted", async () => {
      const { actors, as } = suite;
      const salt = ethers.id("salt");
      const created = await run(["fleet", "create"], { from: actors.stranger.address, salt });
      const fleet = roles.fleetIdOf({ creator: actors.stranger.address, salt });
      expect(created.out).to.equal(`fleet     ${fleet}\ngovernor  ${actors.stranger.address}`);
      const to = actors.relayer.address;
      const offered = await run(["fleet", "handover"], { from: actors.stranger.address, fleet, to, keepRoles: true });
      expect(offered).to.deep.include({ success: true, error: "" });
      expect(offered.out).to.contain(`offered   ${fleet}\nto        ${to}\nIt must send 0x`);
      const advice = `With its key: npx hardhat fleet accept --fleet ${fleet} --from ${to} --keep-roles`;
      expect(offered.out.split("\n").at(-1)).to.equal(advice);
      const accepted = await run(["fleet", "accept"], { from: to, fleet, keepRoles: true });
      expect(accepted.out).to.equal(`fleet     ${fleet}\ngovernor  ${to}`);
      expect((await roles.getFleet({ touchstone: as.owner, fleet })).governor).to.equal(to);
      const random = await run(["fleet", "create"], { from: to });
      expect(random.success).to.equal(true);
    });

    it("is handed to a Safe, whose owners import a file to accept, and another to set up the team", async () => {
      const { actors, as, fleet } = suite;
      const owners = (await ethers.getSigners()).slice(-3) as [
        HardhatEthersSigner,
        HardhatEthersSigner,
        HardhatEthersSigner,
      ];
      const safe = await deploySafe({ owners, threshold: 2 });
      const offered = await run(["fleet", "handover"], {
        from: actors.owner.address,
        fleet,
        to: safe.address,
        contract: "safe",
        safe: path("accept.json"),
      });
      expect(offered).to.deep.include({ success: true, error: "" });
      expect(offered.out).to.contain(`owners    2 of 3: ${owners.map(({ address }) => address).join(", ")}`);
      const send = async (name: string): Promise<void> => {
        const file = JSON.parse(await readFile(path(name), "utf8")) as roles.SafeTransactionFile;
        for (const { to, data } of file.transactions) await execute(safe, { to, data });
      };
      await send("accept.json");
      expect(await roles.getFleet({ touchstone: as.owner, fleet })).to.deep.include({
        governor: safe.address,
        roleEpoch: 1n,
      });

      const planned = await plan({ safe: path("setup.json") });
      expect(planned.out).to.contain(`sender    ${safe.address}`).and.contain("import it in the Transaction Builder");
      await send("setup.json");
      const done = await plan({ safe: path("none.json") });
      expect(done).to.deep.include({ success: true, error: "" });
      expect(done.out).to.contain("nothing to do").and.not.contain("none.json");
    });

    it("gives a Safe a file for each transaction of a team that does not fit into one", async () => {
      const members = Array.from({ length: 260 }, (_, place) => ({
        account: ethers.getAddress(ethers.toBeHex(2n ** 150n + BigInt(place), 20)),
        roles: ["Gateway"],
      }));
      await writeTeamFile(members);
      const { success, out, error } = await plan({ safe: path("big.json") });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const parts = [path("big.json"), path("big-2.json")];
      for (const [place, part] of parts.entries()) {
        const file = JSON.parse(await readFile(part, "utf8")) as roles.SafeTransactionFile;
        expect(file.transactions).to.have.length(1);
        expect(file.meta.name).to.equal(`Set up a team, part ${place + 1} of 2`);
        expect(out).to.contain(`${part}: import it in the Transaction Builder`);
      }
    });

    it("is offered to nobody but a Safe where a file for a Safe is wanted", async () => {
      const { actors, as, fleet } = suite;
      const options = { from: actors.owner.address, fleet, to: actors.relayer.address, safe: path("accept.json") };
      const account = await run(["fleet", "handover"], options);
      expect(account.error).to.match(/^GOVERNOR_UNFIT: .* is no contract/);
      const other = await run(["fleet", "handover"], { ...options, contract: "other" });
      expect(other.error).to.match(/^INVALID_ARGUMENT: --safe: /);
      expect((await roles.getFleet({ touchstone: as.owner, fleet })).pendingGovernor).to.equal(undefined);
    });

    it("is not handed to what cannot act, and options that mean nothing are refused", async () => {
      const { actors, fleet, as } = suite;
      const from = actors.owner.address;
      const to = as.owner.addresses.DataAccess;
      for (const [options, words] of [
        [{ fleet, to }, "GOVERNOR_UNFIT: "],
        [{ fleet, to: actors.relayer.address, contract: "safe" }, "GOVERNOR_UNFIT: "],
        [{ fleet, to, contract: "wallet" }, 'INVALID_ARGUMENT: --contract: "wallet" is unknown'],
        [{ fleet }, "INVALID_ARGUMENT: --to is missing"],
        [{ to }, "INVALID_ARGUMENT: --fleet is missing"],
      ] as const) {
        const { success, error } = await run(["fleet", "handover"], { from, ...options });
        expect([success, error.startsWith(words)], error).to.deep.equal([false, true]);
      }
      const other = await run(["fleet", "handover"], { from, fleet, to, contract: "other" });
      expect(other.out).to.contain(`to        ${to}, a contract (Other)`);
    });
  });
});
