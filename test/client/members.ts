import { expect } from "chai";

import { FOREVER } from "../../client/arguments.js";
import { allPermissions } from "../../client/enumerations.js";
import * as roles from "../../client/roles.js";
import type { Sent } from "../../client/transactions.js";
import { providerWith } from "../support/provider.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { deploySuite, type Suite } from "../support/suite.js";

/** The fleet of the fixture, as its governor's client sees it. */
function asked({ as, fleet }: Suite) {
  return { touchstone: as.owner, fleet };
}

describe("roles.members", () => {
  it("lists who holds what, since when, by whom and until when", async () => {
    const suite = await loadFixture(deploySuite);
    const { actors, fleet } = suite;
    const touchstone = suite.as.admin;
    const until = (await now()) + 1000n;
    const account = actors.stranger.address;
    const { receipt } = await roles.setRoles({
      touchstone,
      fleet,
      account,
      roles: ["Gateway", "Security"],
      expiry: until,
    });
    const found = await roles.members(asked(suite));
    expect(found.members.find((member) => member.account === account)).to.deep.equal({
      account,
      roles: ["Security", "Gateway"],
      permissions: ["ReadLive", "Audit", "Suspend", "RotateKey", "Anchor", "ReportInstall"],
      state: "Now",
      from: 0n,
      until,
      epoch: 0n,
      by: actors.admin.address,
      block: receipt.blockNumber,
      timestamp: await now(),
      transactionHash: receipt.hash,
    });
    expect(found).to.deep.include({
      fleet,
      governor: actors.owner.address,
      pendingGovernor: undefined,
      roleEpoch: 0n,
      handovers: 1n,
      block: receipt.blockNumber,
      time: await now(),
      roles: [],
      exclusions: [],
      warnings: [],
    });
    expect(found.members.map((member) => [member.account, member.state])).to.deep.equal([
      ...["admin", "operator", "security", "gateway", "maker", "memberWithoutPermission", "stranger"].map((name) => [
        actors[name as "admin"].address,
        "Now",
      ]),
      [actors.expiredMember.address, "Over"],
    ]);
  });

  it("says for every member what the contract says, before, in and after the window", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone, fleet } = asked(suite);
    const start = await now();
    const account = suite.actors.stranger.address;
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["ReadLocation", "Share"] });
    await roles.setRoles({
      touchstone,
      fleet,
      account,
      roles: ["Analyst", 8],
      notBefore: start + 100n,
      expiry: start + 200n,
    });
    for (const [moment, state] of [
      [start + 50n, "Later"],
      [start + 100n, "Now"],
      [start + 199n, "Now"],
      [start + 200n, "Over"],
    ] as const) {
      await networkHelpers.time.increaseTo(moment);
      const found = await roles.members({ touchstone, fleet });
      for (const member of found.members) {
        const permissions = await roles.permissionsOf({ touchstone, fleet, account: member.account });
        expect(member.permissions, `${member.account} at ${moment - start}`).to.deep.equal(permissions);
      }
      expect(found.members.find((member) => member.account === account)?.state).to.equal(state);
    }
  });

  it("keeps who was in an epoch that ended, and forgets who was removed or left", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone, fleet } = asked(suite);
    const { admin, operator, gateway, stranger } = suite.actors;
    await roles.setRoles({ touchstone, fleet, account: operator.address, roles: [] });
    await roles.renounce({ touchstone: suite.as.gateway, fleet });
    await roles.revokeAll({ touchstone, fleet });
    await roles.setRoles({ touchstone, fleet, account: stranger.address, roles: ["Maker"] });
    const { members, roleEpoch } = await roles.members({ touchstone, fleet });
    expect(roleEpoch).to.equal(1n);
    expect(members[0]).to.deep.include({ account: stranger.address, state: "Now", epoch: 1n });
    expect(members.find(({ account }) => account === admin.address)).to.deep.include({
      state: "Ended",
      epoch: 0n,
      roles: ["Admin"],
      permissions: [],
    });
    expect(new Set(members.slice(1).map(({ state }) => state))).to.deep.equal(new Set(["Ended"]));
    for (const gone of [operator, gateway]) expect(members.map(({ account }) => account)).to.not.include(gone.address);
  });

  it("tells own roles and exclusions with who declared them", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone, fleet } = asked(suite);
    const by = suite.actors.owner.address;
    const second = await roles.defineRole({ touchstone, fleet, role: 9, permissions: ["Share"] });
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["Audit"] });
    const first = await roles.defineRole({ touchstone, fleet, role: 8, permissions: [] });
    const excluded = await roles.declareExclusive({ touchstone, fleet, roles: ["Maker", "Operator"] });
    const found = await roles.members({ touchstone, fleet });
    const source = async ({ receipt: { blockNumber: block, hash } }: Sent) => ({
      by,
      block,
      timestamp: BigInt((await ethers.provider.getBlock(block))!.timestamp),
      transactionHash: hash,
    });
    expect(found.roles).to.deep.equal([
      { role: 8, permissions: [], ...(await source(first)) },
      { role: 9, permissions: ["Share"], ...(await source(second)) },
    ]);
    expect(found.exclusions).to.deep.equal([{ roles: ["Maker", "Operator"], ...(await source(excluded)) }]);
  });

  it("warns of who holds both sides, of own roles that join them or permit nothing, and of an offer", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone, fleet } = asked(suite);
    const { stranger, relayer } = suite.actors;
    await roles.setRoles({ touchstone, fleet, account: stranger.address, roles: ["Operator", "Security", 10] });
    await roles.declareExclusive({ touchstone, fleet, roles: ["Operator", "Security"] });
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["Command", "Suspend", "ReadLive"] });
    // Reading on both sides joins no duties.
    await roles.defineRole({ touchstone, fleet, role: 9, permissions: ["ReadLive", "ReadHistory", "Audit"] });
    await roles.proposeGovernor({ touchstone, fleet, newGovernor: relayer.address });
    const offered = await roles.members({ touchstone, fleet });
    expect(offered.pendingGovernor).to.equal(relayer.address);
    expect(offered.warnings).to.deep.equal([
      { kind: "Offered", to: relayer.address },
      { kind: "HoldsBoth", account: stranger.address, roles: ["Operator", "Security"] },
      { kind: "JoinsDuties", role: 8, roles: ["Operator", "Security"], permissions: ["Command", "Suspend"] },
      { kind: "Undefined", account: stranger.address, role: 10 },
    ]);

    await roles.cancelProposal({ touchstone, fleet });
    await roles.setRoles({ touchstone, fleet, account: stranger.address, roles: ["Operator"] });
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["Command"] });
    const mended = await roles.members({ touchstone, fleet });
    expect([mended.pendingGovernor, mended.warnings]).to.deep.equal([undefined, []]);
  });

  it("tells how it stood at an earlier block", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone, fleet } = asked(suite);
    const before = await roles.members({ touchstone, fleet });
    await roles.proposeGovernor({ touchstone, fleet, newGovernor: suite.actors.relayer.address });
    await roles.acceptGovernor({ touchstone: suite.as.relayer, fleet, keepRoles: false });
    const after = await roles.members({ touchstone, fleet });
    expect(after).to.deep.include({
      governor: suite.actors.relayer.address,
      pendingGovernor: undefined,
      roleEpoch: 1n,
      handovers: 2n,
    });
    expect(await roles.members({ touchstone, fleet, toBlock: before.block })).to.deep.equal(before);
  });

  it("knows the fleet of an account, with nobody in it, and mixes no two fleets", async () => {
    const suite = await loadFixture(deploySuite);
    const { otherFleet, actors } = suite;
    const touchstone = suite.as.owner;
    const own = await roles.members({ touchstone, fleet: actors.stranger.address });
    expect(own).to.deep.include({ governor: actors.stranger.address, members: [], roleEpoch: 0n });
    const other = await roles.members({ touchstone, fleet: otherFleet });
    expect(other.members.map(({ account, permissions }) => [account, permissions])).to.deep.equal([
      [actors.otherAdmin.address, [...allPermissions]],
    ]);
    expect(other.members[0]?.until).to.equal(FOREVER);
  });

  it("refuses what is no fleet or block, and a node that leaves events out", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone, fleet } = asked(suite);
    await errorOf("INVALID_ARGUMENT", () => roles.members({ touchstone, fleet: "0x12" }));
    await errorOf("INVALID_ARGUMENT", () => roles.members({ touchstone, fleet, toBlock: -1 }));
    await errorOf("NOT_FOUND", () => roles.members({ touchstone, fleet, toBlock: 10_000 }));
    await errorOf("CANCELLED", () => roles.members({ touchstone, fleet, signal: AbortSignal.abort() }));

    await roles.revokeAll({ touchstone, fleet });
    await roles.setRoles({ touchstone, fleet, account: suite.actors.stranger.address, roles: ["Maker"] });
    const forgetful = providerWith({
      getLogs: async (filter) => {
        const logs = await ethers.provider.getLogs(filter);
        const { topicHash } = touchstone.roleRegistry.filters.AllRolesRevoked.fragment;
        return logs.filter(({ topics }) => topics[0] !== topicHash);
      },
    });
    await errorOf("EVENTS_MISSING", () => roles.members({ touchstone: touchstone.connect(forgetful), fleet }));
  });
});
