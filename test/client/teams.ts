import { expect } from "chai";
import fc from "fast-check";

import { FOREVER } from "../../client/arguments.js";
import {
  allPermissions,
  allRoles,
  maskOf,
  numberOf,
  type OwnRole,
  type Permission,
  type Role,
} from "../../client/enumerations.js";
import * as roles from "../../client/roles.js";
import { isSamePair } from "../../client/team-files.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { runnerWith } from "../support/provider.js";
import { deploySuite, type Suite } from "../support/suite.js";

type Wanted = Partial<roles.TeamMember> & { account: string; roles: Role[] };

/** A team as readTeam gives it. */
function teamOf(options: {
  members?: Wanted[];
  roles?: [OwnRole, Permission[]][];
  exclusions?: [Role, Role][];
  fleet?: string;
}): roles.Team {
  return {
    fleet: options.fleet,
    roles: (options.roles ?? []).map(([role, permissions]) => ({ role, name: undefined, permissions })),
    exclusions: options.exclusions ?? [],
    members: (options.members ?? []).map((member) => ({ name: undefined, from: 0n, until: FOREVER, ...member })),
  };
}

/** The team of the fixture's fleet as it is, so that tests say only what they change. */
async function presentTeam({ as, fleet }: Suite): Promise<roles.Team> {
  return roles.exportTeam({ touchstone: as.owner, fleet });
}

const kindsOf = (plan: roles.TeamPlan): string[] => plan.steps.map(({ kind }) => kind);

describe("roles.planTeam and roles.applyTeam", () => {
  it("make a fleet with its whole team in one transaction, and find nothing left to do", async () => {
    const { as, actors } = await loadFixture(deploySuite);
    const touchstone = as.stranger;
    const salt = ethers.id("new plant");
    const until = (await now()) + DAY;
    const team = teamOf({
      roles: [[8, ["ReadLocation"]]],
      exclusions: [["Operator", "Auditor"]],
      members: [
        { account: actors.admin.address, roles: ["Admin"] },
        { account: actors.gateway.address, roles: ["Gateway", 8], until },
      ],
    });
    const plan = await roles.planTeam({ touchstone, team, salt });
    expect(kindsOf(plan)).to.deep.equal(["Create", "Give", "Define", "Exclude", "Give"]);
    expect(plan.obstacles).to.deep.equal([]);
    const done: roles.TeamProgress[] = [];
    const { transactions, events } = await roles.applyTeam({ touchstone, plan, onProgress: (at) => done.push(at) });
    expect(done).to.deep.equal([{ done: 5, total: 5, transactionHash: transactions[0] }]);
    expect(events.map(({ name }) => name)).to.deep.equal([
      "FleetCreated",
      "RolesSet",
      "RoleDefined",
      "RolesDeclaredExclusive",
      "RolesSet",
    ]);
    const { fleet } = plan;
    expect(fleet).to.equal(roles.fleetIdOf({ creator: actors.stranger.address, salt }));
    expect((await roles.getFleet({ touchstone, fleet })).governor).to.equal(actors.stranger.address);
    expect(await roles.exportTeam({ touchstone, fleet })).to.deep.equal({ ...team, fleet });

    const again = await roles.planTeam({ touchstone, team, salt, prune: true });
    expect([again.steps, again.obstacles]).to.deep.equal([[], []]);
    const block = await ethers.provider.getBlockNumber();
    expect(await roles.applyTeam({ touchstone, plan: again })).to.deep.equal({ transactions: [], events: [] });
    expect(await ethers.provider.getBlockNumber()).to.equal(block);
  });

  it("give, change and keep, and take away only when told to", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, fleet, actors } = suite;
    const touchstone = as.owner;
    await roles.defineRole({ touchstone, fleet, role: 9, permissions: ["Share"] });
    const until = (await now()) + DAY;
    const members = [
      { account: actors.admin.address, roles: ["Admin" as const] },
      { account: actors.operator.address, roles: ["Operator" as const], until },
      { account: actors.stranger.address, roles: ["Maker" as const] },
    ];
    const team = teamOf({ members, fleet });
    const plan = await roles.planTeam({ touchstone, team });
    expect(plan.steps.map((step) => [step.kind, "account" in step ? step.account : ""])).to.deep.equal([
      ["Change", actors.operator.address],
      ["Give", actors.stranger.address],
    ]);
    expect(plan.kept.map(({ account }) => account)).to.deep.equal(
      [actors.security, actors.gateway, actors.maker, actors.memberWithoutPermission].map(({ address }) => address),
    );
    expect(plan.keptRoles).to.deep.equal([9]);
    await roles.applyTeam({ touchstone, plan });
    expect((await presentTeam(suite)).members).to.have.length(7);

    const pruning = await roles.planTeam({ touchstone, team, prune: true });
    expect(kindsOf(pruning)).to.deep.equal(["Remove", "Remove", "Remove", "Remove", "Define"]);
    expect(pruning.kept).to.deep.equal([]);
    await roles.applyTeam({ touchstone, plan: pruning });
    expect(await presentTeam(suite)).to.deep.equal(team);
  });

  it("leave windows alone that are open, and give nothing to whose window is over", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, fleet, actors } = suite;
    const touchstone = as.owner;
    const time = await now();
    const team = teamOf({
      fleet,
      members: [
        { account: actors.admin.address, roles: ["Admin"], from: time - 5n },
        { account: actors.gateway.address, roles: ["Gateway"], until: time - 1n },
        { account: actors.stranger.address, roles: ["Gateway"], until: time - 1n },
      ],
    });
    const plan = await roles.planTeam({ touchstone, team });
    expect(plan.steps.map((step) => [step.kind, "account" in step ? step.account : ""])).to.deep.equal([
      ["Remove", actors.gateway.address],
    ]);
    expect(plan.over).to.deep.equal([actors.gateway.address, actors.stranger.address]);
  });

  it("take a role away that will permit more from a later time on, before it does", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, fleet, actors } = suite;
    const touchstone = as.owner;
    const account = actors.stranger.address;
    await roles.setRoles({ touchstone, fleet, account, roles: [8] });
    const present = await presentTeam(suite);
    const from = (await now()) + DAY;
    const members = present.members.map((member) =>
      member.account === account ? { ...member, roles: [8, 9] as roles.TeamMember["roles"], from } : member,
    );
    const defined = teamOf({
      roles: [
        [8, ["Suspend"]],
        [9, ["Audit"]],
      ],
    }).roles;
    const plan = await roles.planTeam({ touchstone, team: { ...present, roles: defined, members } });
    expect(kindsOf(plan)).to.deep.equal(["Remove", "Define", "Define", "Give"]);
    await roles.applyTeam({ touchstone, plan });
    expect((await roles.getMembership({ touchstone, fleet, account })).notBefore).to.equal(from);
  });

  it("shorten what a role is held for before it permits more", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, fleet, actors } = suite;
    const touchstone = as.owner;
    const account = actors.stranger.address;
    await roles.setRoles({ touchstone, fleet, account, roles: [8] });
    const present = await presentTeam(suite);
    const until = (await now()) + DAY;
    const members = present.members.map((member) => (member.account === account ? { ...member, until } : member));
    const defined = teamOf({ roles: [[8, ["Suspend"]]] }).roles;
    const plan = await roles.planTeam({ touchstone, team: { ...present, roles: defined, members } });
    expect(kindsOf(plan)).to.deep.equal(["Change", "Define"]);
  });

  it("read what was exported of a fleet that keeps apart roles it never defined", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, fleet } = suite;
    const touchstone = as.owner;
    await roles.declareExclusive({ touchstone, fleet, roles: ["Operator", 9] });
    const exported = await presentTeam(suite);
    const team = roles.parseTeam(roles.formatTeam(exported));
    expect(team).to.deep.equal(exported);
    expect(team.roles.find(({ role }) => role === 9)?.permissions).to.deep.equal([]);
    const { steps, obstacles } = await roles.planTeam({ touchstone, team, prune: true });
    expect([steps, obstacles]).to.deep.equal([[], []]);
  });

  it("give again what ended with its epoch", async () => {
    const suite = await loadFixture(deploySuite);
    const touchstone = suite.as.owner;
    const team = await presentTeam(suite);
    await roles.revokeAll({ touchstone, fleet: suite.fleet });
    const plan = await roles.planTeam({ touchstone, team });
    expect(new Set(kindsOf(plan))).to.deep.equal(new Set(["Give"]));
    await roles.applyTeam({ touchstone, plan });
    expect(await presentTeam(suite)).to.deep.equal(team);
  });

  it("replace an Admin before it goes, narrow before roles are widened, and part duties before they are declared", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, fleet, actors } = suite;
    const touchstone = as.owner;
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["ReadLive"] });
    const { admin, operator, security, stranger } = actors;
    await roles.setRoles({ touchstone, fleet, account: operator.address, roles: ["Operator", "Auditor", 8] });
    await roles.setRoles({ touchstone, fleet, account: security.address, roles: ["Security", "Gateway"] });
    const team = teamOf({
      fleet,
      roles: [
        [8, ["Command", "Share"]],
        [9, ["Audit"]],
      ],
      exclusions: [["Operator", "Auditor"]],
      members: [
        { account: stranger.address, roles: ["Admin"] },
        { account: operator.address, roles: ["Operator"] },
        { account: security.address, roles: ["Security", 9] },
        { account: admin.address, roles: ["Gateway", 9] },
      ],
    });
    const plan = await roles.planTeam({ touchstone, team, prune: true });
    expect(
      plan.steps.map((step) => [step.kind, "account" in step ? step.account : "role" in step ? step.role : ""]),
    ).to.deep.equal([
      ["Give", stranger.address],
      ...[actors.gateway, actors.maker, actors.memberWithoutPermission].map(({ address }) => ["Remove", address]),
      ["Change", operator.address],
      // What was lost goes first; the new role comes when it means what it should.
      ["Change", security.address],
      ["Remove", admin.address],
      ["Define", 8],
      ["Define", 9],
      ["Exclude", ""],
      ["Change", security.address],
      ["Give", admin.address],
    ]);
    await roles.applyTeam({ touchstone, plan, limits: { steps: 1 } });
    expect((await roles.planTeam({ touchstone, team, prune: true })).steps).to.deep.equal([]);
  });

  it("let an Admin begin earlier before the present one goes", async () => {
    const { as, fleet, actors } = await loadFixture(deploySuite);
    const touchstone = as.owner;
    const account = actors.stranger.address;
    await roles.setRoles({ touchstone, fleet, account, roles: ["Admin"], notBefore: (await now()) + DAY });
    const team = teamOf({ fleet, members: [{ account, roles: ["Admin"] }] });
    const plan = await roles.planTeam({ touchstone, team, prune: true });
    expect(plan.steps[0]).to.deep.include({ kind: "Change", account, from: 0n });
    expect(
      kindsOf(plan)
        .slice(1)
        .every((kind) => kind === "Remove"),
    ).to.equal(true);
  });

  describe("what is impossible", () => {
    /** What is in the way of a team, after checking that it is said before anything is sent. */
    async function obstaclesOf(options: Parameters<typeof roles.planTeam>[0]): Promise<string[]> {
      const plan = await roles.planTeam(options);
      const error = await errorUnsent("TEAM_IMPOSSIBLE", () => roles.applyTeam({ ...options, plan }));
      expect(error.details).to.deep.equal({ fleet: plan.fleet, obstacles: plan.obstacles });
      await errorOf("TEAM_IMPOSSIBLE", () => roles.teamTransactions({ ...options, plan }));
      return plan.obstacles;
    }

    it("an exclusion that the chain has and the file lacks, as it is final", async () => {
      const suite = await loadFixture(deploySuite);
      const { as, fleet, actors } = suite;
      const touchstone = as.owner;
      await roles.declareExclusive({ touchstone, fleet, roles: ["Operator", 8] });
      const team = teamOf({
        fleet,
        roles: [[8, []]],
        members: [{ account: actors.stranger.address, roles: ["Operator", 8] }],
      });
      const obstacles = await obstaclesOf({ touchstone, team });
      expect(obstacles).to.have.length(2);
      expect(obstacles[0]).to.match(/declared Operator and role 8 exclusive, for ever/);
      expect(obstacles[1]).to.contain(`${actors.stranger.address} cannot be given both Operator and role 8`);
    });

    it("a member who is not in the file and holds what it declares exclusive, unless it is taken away", async () => {
      const suite = await loadFixture(deploySuite);
      const { as, fleet, actors } = suite;
      const touchstone = as.owner;
      await roles.setRoles({ touchstone, fleet, account: actors.stranger.address, roles: ["Operator", "Auditor"] });
      const team = teamOf({ fleet, exclusions: [["Operator", "Auditor"]] });
      const obstacles = await obstaclesOf({ touchstone, team });
      expect(obstacles).to.have.length(1);
      expect(obstacles[0]).to.contain(`${actors.stranger.address}, who is not in the file, holds both`);
      expect((await roles.planTeam({ touchstone, team, prune: true })).obstacles).to.deep.equal([]);
    });

    it("a sender who neither governs nor is an Admin now", async () => {
      const { as, fleet, actors } = await loadFixture(deploySuite);
      const team = teamOf({ fleet, members: [{ account: actors.stranger.address, roles: ["Maker"] }] });
      for (const name of ["stranger", "formerOwner", "operator", "expiredMember", "otherAdmin"] as const) {
        const obstacles = await obstaclesOf({ touchstone: as[name], team });
        expect(obstacles).to.deep.equal([
          `${actors[name].address} is neither the governor of ${fleet}, ${actors.owner.address}, nor an Admin: send as one of them.`,
        ]);
      }
    });

    it("what only the governor may do, for an Admin; but what an Admin may do is done", async () => {
      const suite = await loadFixture(deploySuite);
      const { as, fleet, actors } = suite;
      const until = (await now()) + DAY;
      const { admin, operator, stranger, expiredMember } = actors;
      await roles.setRoles({ touchstone: as.owner, fleet, account: admin.address, roles: ["Admin"], expiry: until });
      const touchstone = as.admin;
      const team = teamOf({
        fleet,
        roles: [[8, ["Share"]]],
        exclusions: [["Maker", "Gateway"]],
        members: [
          { account: admin.address, roles: ["Maker"] },
          { account: stranger.address, roles: ["Admin"], until },
          // Was an Admin in this epoch; that its window is over makes no difference.
          { account: expiredMember.address, roles: ["Maker"], until },
          { account: operator.address, roles: ["Operator", "Gateway"] },
        ],
      });
      const obstacles = await obstaclesOf({ touchstone, team });
      expect(obstacles).to.have.members([
        `Only the governor, ${actors.owner.address}, makes ${stranger.address} an Admin.`,
        `Only the governor, ${actors.owner.address}, changes the roles of ${admin.address}, an Admin.`,
        `Only the governor, ${actors.owner.address}, says what role 8 permits.`,
        `Only the governor, ${actors.owner.address}, declares Maker and Gateway exclusive.`,
        `Only the governor, ${actors.owner.address}, changes the roles of ${expiredMember.address}, an Admin.`,
        `${admin.address} is an Admin until ${new Date(Number(until) * 1000).toISOString()}, and cannot give ${operator.address} ` +
          "roles for longer.",
      ]);
      const removing = await roles.planTeam({ touchstone, team: teamOf({ fleet }), prune: true });
      expect(removing.obstacles).to.deep.equal([
        `Only the governor, ${actors.owner.address}, takes roles from ${admin.address}, an Admin.`,
      ]);

      const modest = teamOf({ fleet, members: [{ account: stranger.address, roles: ["Gateway"], until }] });
      const plan = await roles.planTeam({ touchstone, team: modest });
      await roles.applyTeam({ touchstone, plan });
      expect((await roles.planTeam({ touchstone, team: modest })).steps).to.deep.equal([]);
    });

    it("a fleet that nobody named, or that two name differently", async () => {
      const { as, fleet, otherFleet } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const salt = ethers.id("x");
      await errorOf("INVALID_ARGUMENT", () => roles.planTeam({ touchstone, team: teamOf({}) }));
      await errorOf("INVALID_ARGUMENT", () =>
        roles.planTeam({ touchstone, team: teamOf({ fleet }), fleet: otherFleet }),
      );
      await errorOf("INVALID_ARGUMENT", () => roles.planTeam({ touchstone, team: teamOf({ fleet }), salt }));
      await errorOf("INVALID_ARGUMENT", () => roles.planTeam({ touchstone, team: teamOf({}), salt: "0x12" }));
      const reading = touchstone.connect(ethers.provider);
      await errorOf("INVALID_ARGUMENT", () => roles.planTeam({ touchstone: reading, team: teamOf({}), salt }));
      const plan = await roles.planTeam({
        touchstone: reading,
        team: teamOf({ fleet }),
        fleet: fleet.toLowerCase().replace("0x", "0x"),
      });
      expect(plan.by).to.equal(plan.governor);
    });
  });

  describe("sending", () => {
    /** Many accounts, each a member to be. */
    const crowd = (count: number): Wanted[] =>
      Array.from({ length: count }, (_, place) => ({
        account: ethers.getAddress(ethers.toBeHex(0x10_0000 + place, 20)),
        roles: [allRoles[1 + (place % 7)]!],
      }));

    it("takes as few transactions as fit the block, with progress", async function () {
      this.timeout(60_000);
      const { as, fleet } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const team = teamOf({ fleet, members: crowd(520) });
      const plan = await roles.planTeam({ touchstone, team });
      const done: number[] = [];
      const { transactions } = await roles.applyTeam({ touchstone, plan, onProgress: (at) => done.push(at.done) });
      expect(transactions).to.have.length(2);
      expect(done).to.have.length(2);
      expect(done[1]).to.equal(520);
      for (const hash of transactions) {
        const receipt = (await ethers.provider.getTransactionReceipt(hash))!;
        expect(receipt.gasUsed < 2n ** 24n).to.equal(true);
      }
      expect((await roles.planTeam({ touchstone, team })).steps).to.deep.equal([]);
    });

    it("keeps to the limits of gas and bytes, and makes the same pieces for others to send", async () => {
      const { as, fleet } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const plan = await roles.planTeam({ touchstone, team: teamOf({ fleet, members: crowd(12) }) });
      const pieces = await roles.teamTransactions({ touchstone, plan, limits: { bytes: 4 + 64 + 5 * 256 } });
      expect(pieces).to.have.length(3);
      const snapshot = await networkHelpers.takeSnapshot();
      for (const limits of [{ gas: 200_000n }, { bytes: 4 + 64 + 5 * 256 }, { steps: 5 }]) {
        const { transactions } = await roles.applyTeam({ touchstone, plan, limits });
        expect(transactions.length, JSON.stringify(Object.keys(limits))).to.equal(3);
        await snapshot.restore();
      }
    });

    it("goes on where it was interrupted, and sends nothing twice", async () => {
      const { as, fleet } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const team = teamOf({ fleet, members: crowd(9), roles: [[8, ["Share"]]] });
      const controller = new AbortController();
      const plan = await roles.planTeam({ touchstone, team });
      await errorOf("CANCELLED", () =>
        roles.applyTeam({
          touchstone,
          plan,
          limits: { steps: 4 },
          signal: controller.signal,
          onProgress: () => {
            controller.abort();
          },
        }),
      );
      const rest = await roles.planTeam({ touchstone, team });
      expect(rest.steps).to.deep.equal(plan.steps.slice(4));
      await roles.applyTeam({ touchstone, plan: rest, limits: { steps: 4 } });
      expect((await roles.planTeam({ touchstone, team })).steps).to.deep.equal([]);
    });

    it("does all or nothing where one step is refused since the plan was made", async () => {
      const { as, fleet, actors } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const team = teamOf({ fleet, members: crowd(3) });
      const plan = await roles.planTeam({ touchstone, team, prune: true });
      await roles.renounce({ touchstone: as.gateway, fleet });
      const { account } = await refusedAs("RolesNotHeld", () => roles.applyTeam({ touchstone, plan }));
      expect(account).to.equal(actors.gateway.address);
      await roles.applyTeam({ touchstone, plan: await roles.planTeam({ touchstone, team, prune: true }) });
    });

    it("refuses a plan for another chain or sender, and a runner that cannot send", async () => {
      const { as, fleet } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const plan = await roles.planTeam({ touchstone, team: teamOf({ fleet, members: crowd(1) }) });
      await errorUnsent("WRONG_CHAIN", () => roles.applyTeam({ touchstone, plan: { ...plan, chainId: 1n } }));
      await errorUnsent("INVALID_ARGUMENT", () => roles.applyTeam({ touchstone: as.admin, plan }));
      const reading = touchstone.connect(ethers.provider);
      await errorUnsent("RUNNER_READ_ONLY", () => roles.applyTeam({ touchstone: reading, plan }));
    });

    it("does not take a node that is gone for one that has too little gas", async () => {
      const { as, fleet, actors } = await loadFixture(deploySuite);
      const touchstone = as.owner;
      const plan = await roles.planTeam({ touchstone, team: teamOf({ fleet, members: crowd(3) }) });
      const down = () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
      const provider = runnerWith(ethers.provider as never, { estimateGas: down } as never);
      const asked = { ...touchstone, provider, runner: actors.owner };
      await errorUnsent("CHAIN_UNREACHABLE", () =>
        roles.applyTeam({ touchstone: asked, plan, limits: { gas: 100_000n } }),
      );
    });
  });

  // -------------------------------------------------------------- any team on any fleet

  it("lead from any fleet to exactly any team, and on the way nobody ever holds too much", async function () {
    this.timeout(240_000);
    const suite = await loadFixture(deploySuite);
    const touchstone = suite.as.owner;
    const { roleRegistry } = touchstone;
    let number = 0;
    await fc.assert(
      fc.asyncProperty(historyOf, wantedOf, fc.constantFrom(1, 1, 1, 2, 500), async (history, wanted, stepsAtOnce) => {
        const { fleet } = await roles.createFleet({ touchstone, salt: ethers.toBeHex(++number, 32) });
        const start = await now();
        const calls = history.map((each) => callFor(roleRegistry.interface, fleet, each, start));
        await roleRegistry.tryMulticall(calls);
        // So that some windows are over.
        await networkHelpers.time.increase(200);
        const before = await roles.members({ touchstone, fleet });
        const team = possibleTeam(wanted, before, start, fleet);

        const plan = await roles.planTeam({ touchstone, team, prune: true });
        expect(plan.obstacles).to.deep.equal([]);
        await roles.applyTeam({ touchstone, plan, limits: { steps: stepsAtOnce } });
        const after = await roles.members({ touchstone, fleet });
        expect(effectOf(await roles.exportTeam({ touchstone, fleet }), after.time)).to.deep.equal(
          effectOf(team, after.time),
        );
        expect((await roles.planTeam({ touchstone, team, prune: true })).steps).to.deep.equal([]);
        await expectSafeWay(touchstone, fleet, before, after);
      }),
      { numRuns: 80 },
    );
  });
});

// ---------------------------------------------------------------- any fleet and any team

const ACCOUNTS = [1, 2, 3].map((n) => ethers.getAddress(ethers.toBeHex(0x20_0000 + n, 20)));
const OWN: OwnRole[] = [8, 9];
const ROLES: Role[] = ["Admin", "Operator", "Gateway", "Auditor", ...OWN];

// Few of each, so that often the only Admin is replaced and a role is redefined that somebody is about to get.
const anyRoles = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Role[]>(["Admin"]) },
  { weight: 4, arbitrary: fc.subarray(ROLES.slice(1), { minLength: 1, maxLength: 2 }) },
  { weight: 1, arbitrary: fc.subarray(ROLES, { minLength: 1 }) },
);
const anyPermissions = fc.subarray(["ReadLive", "Audit", "Share", "Suspend", "PublishManifest"] as Permission[], {
  maxLength: 2,
});
const anyPair = fc.subarray(ROLES, { minLength: 2, maxLength: 2 }).map(([a, b]) => [a!, b!] as [Role, Role]);
/** Seconds after the start. */
const anyWindow = fc.constantFrom(
  [0, undefined],
  [0, 100],
  [0, 100_000],
  [50_000, undefined],
  [50_000, 100_000],
  [10, 90],
);
const anyMember = fc.record({ account: fc.constantFrom(...ACCOUNTS), roles: anyRoles, window: anyWindow });

type Happening =
  | { kind: "give"; account: string; roles: Role[]; window: readonly (number | undefined)[] }
  | { kind: "define"; role: OwnRole; permissions: Permission[] }
  | { kind: "exclude"; pair: [Role, Role] }
  | { kind: "end" };

const historyOf: fc.Arbitrary<Happening[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: anyMember.map((member) => ({ kind: "give" as const, ...member })) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("define" as const),
        role: fc.constantFrom(...OWN),
        permissions: anyPermissions,
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("exclude" as const), pair: anyPair }) },
    { weight: 1, arbitrary: fc.constant({ kind: "end" as const }) },
  ),
  { maxLength: 10 },
);

const wantedOf = fc.record({
  members: fc.uniqueArray(anyMember, { minLength: 1, selector: ({ account }) => account }),
  roles: fc.uniqueArray(fc.tuple(fc.constantFrom(...OWN), anyPermissions), { selector: ([role]) => role }),
  exclusions: fc.array(anyPair, { maxLength: 2 }),
});

function callFor(abi: Suite["roles"]["interface"], fleet: string, happening: Happening, start: bigint): string {
  switch (happening.kind) {
    case "give": {
      const { from, until } = windowAt(happening.window, start);
      return abi.encodeFunctionData("setRoles", [
        fleet,
        happening.account,
        maskOf(allRoles, happening.roles),
        from,
        until,
      ]);
    }
    case "define":
      return abi.encodeFunctionData("defineRole", [
        fleet,
        happening.role,
        maskOf(allPermissions, happening.permissions),
      ]);
    case "exclude": {
      const [a, b] = happening.pair.map((role) => numberOf(allRoles, role));
      return abi.encodeFunctionData("declareExclusive", [fleet, a!, b!]);
    }
    case "end":
      return abi.encodeFunctionData("revokeAllRoles", [fleet]);
  }
}

function windowAt([from, until]: readonly (number | undefined)[], start: bigint): { from: bigint; until: bigint } {
  return {
    from: from === 0 ? 0n : start + BigInt(from ?? 0),
    until: until === undefined ? FOREVER : start + BigInt(until),
  };
}

/** The wanted team with what is final on chain, and without what that makes impossible. */
function possibleTeam(
  wanted: typeof wantedOf extends fc.Arbitrary<infer W> ? W : never,
  present: roles.FleetMembers,
  start: bigint,
  fleet: string,
): roles.Team {
  const exclusions = present.exclusions.map(({ roles: pair }) => pair);
  for (const pair of wanted.exclusions) {
    if (!exclusions.some((other) => isSamePair(other, pair))) exclusions.push(pair);
  }
  const members = wanted.members.map(({ account, roles: asked, window }) => {
    const held = asked.filter((role, place) =>
      exclusions.every((pair) => !pair.includes(role) || !asked.slice(0, place).some((other) => pair.includes(other))),
    );
    return { account, roles: held, ...windowAt(window, start) };
  });
  const used = new Set(members.flatMap((member) => member.roles));
  const defined: [OwnRole, Permission[]][] = OWN.filter(
    (role) => used.has(role) || wanted.roles.some(([other]) => other === role),
  ).map((role) => [role, wanted.roles.find(([other]) => other === role)?.[1] ?? []]);
  return teamOf({ fleet, members, roles: defined, exclusions });
}

/** All of a team that has an effect from this moment on. */
function effectOf(team: roles.Team, time: bigint) {
  return {
    roles: team.roles.filter(({ permissions }) => permissions.length > 0),
    exclusions: new Set(
      team.exclusions.map((pair) =>
        pair
          .map((role) => numberOf(allRoles, role))
          .sort()
          .join("-"),
      ),
    ),
    members: team.members
      .filter(({ until }) => until > time)
      .map(({ account, roles: held, from, until }) => ({ account, held, from: from <= time ? 0n : from, until }))
      .sort((a, b) => (a.account < b.account ? -1 : 1)),
  };
}

/** Looks at each block between: what no step may ever lead through. */
async function expectSafeWay(
  touchstone: Suite["as"]["owner"],
  fleet: string,
  before: roles.FleetMembers,
  after: roles.FleetMembers,
): Promise<void> {
  const conflicts = ({ warnings }: roles.FleetMembers): string[] =>
    warnings.flatMap((each) => (each.kind === "HoldsBoth" ? [`${each.account} ${each.roles.join()}`] : []));
  const hasAdmin = ({ members }: roles.FleetMembers): boolean =>
    members.some(({ state, roles: held }) => state === "Now" && held.includes("Admin"));
  const permitted = ({ members }: roles.FleetMembers, account: string): Permission[] =>
    members.find((member) => member.account === account)?.permissions ?? [];
  for (let block = before.block + 1; block < after.block; block++) {
    const between = await roles.members({ touchstone, fleet, toBlock: block });
    for (const conflict of conflicts(between)) expect(conflicts(before)).to.include(conflict);
    if (hasAdmin(before) && hasAdmin(after)) expect(hasAdmin(between), "an Admin").to.equal(true);
    for (const { account, permissions } of between.members) {
      const allowed = [...permitted(before, account), ...permitted(after, account)];
      for (const permission of permissions) expect(allowed, `${account} in block ${block}`).to.include(permission);
    }
  }
  expect(conflicts(after)).to.deep.equal([]);
}
