import { expect } from "chai";

import { FOREVER } from "../../client/arguments.js";
import { allPermissions, type OwnRole, type Role } from "../../client/enumerations.js";
import * as roles from "../../client/roles.js";
import { ethers, loadFixture, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { deployTouchstone } from "../support/touchstone.js";

const SALT = ethers.id("salt");

describe("roles.createFleet", () => {
  it("creates the handle of sender and salt", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const { fleet, events } = await roles.createFleet({ touchstone, salt: SALT });
    expect(fleet).to.equal(await touchstone.roleRegistry.fleetIdOf(owner, SALT));
    expect(events[0]?.args).to.deep.equal({ fleet, governor: owner.address, salt: SALT });
    expect(await roles.getFleet({ touchstone, fleet })).to.deep.equal({
      id: fleet,
      governor: owner.address,
      pendingGovernor: undefined,
      handovers: 0n,
      roleEpoch: 0n,
    });
  });

  it("takes a new salt each time unless told", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    const [first, second] = [await roles.createFleet({ touchstone }), await roles.createFleet({ touchstone })];
    expect(first.fleet).to.not.equal(second.fleet);
    await errorOf("INVALID_ARGUMENT", () => roles.createFleet({ touchstone, salt: "salt" }));
  });
});

describe("roles.setRoles", () => {
  it("gives roles by their names, for ever unless told", async () => {
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const given: Role[] = ["Operator", "Gateway", 9];
    const { events } = await roles.setRoles({ touchstone, fleet: owner.address, account: other.address, roles: given });
    expect(events[0]?.name).to.equal("RolesSet");
    const question = { touchstone, fleet: owner.address, account: other.address };
    expect(await roles.getMembership(question)).to.deep.equal({
      roles: given,
      notBefore: 0n,
      expiry: FOREVER,
      epoch: 0n,
    });
    expect(await roles.rolesOf(question)).to.deep.equal(given);
    expect(await roles.permissionsOf(question)).to.deep.equal([
      "ReadLive",
      "ReadHistory",
      "ReadMetadata",
      "Command",
      "Configure",
      "Enroll",
      "Anchor",
      "ReportInstall",
      "ApproveFirmware",
    ]);
    expect(await roles.permissionsOf({ ...question, account: owner.address })).to.deep.equal([...allPermissions]);
  });

  it("gives them for a time, and takes them away", async () => {
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const question = { touchstone, fleet: owner.address, account: other.address };
    const [notBefore, expiry] = [(await now()) + 1_000n, (await now()) + 2_000n];
    await roles.setRoles({ ...question, roles: ["Analyst"], notBefore, expiry });
    expect(await roles.getMembership(question)).to.deep.include({ roles: ["Analyst"], notBefore, expiry });
    expect(await roles.rolesOf(question)).to.deep.equal([]);
    await roles.setRoles({ ...question, roles: [] });
    expect((await roles.getMembership(question)).roles).to.deep.equal([]);
  });

  it("refuses roles, times and addresses that do not exist", async () => {
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const right = { touchstone, fleet: owner.address, account: other.address, roles: ["Operator"] as Role[] };
    const wrong = [
      { roles: ["Chief" as Role] },
      { roles: [16 as Role] },
      { notBefore: -1n },
      { expiry: 2n ** 40n },
      { fleet: "0x12" },
      { account: "other.eth" },
    ];
    for (const change of wrong) await errorOf("INVALID_ARGUMENT", () => roles.setRoles({ ...right, ...change }));
  });

  it("explains a refusal", async () => {
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const error = await errorOf("CONTRACT_REVERTED", () =>
      roles.setRoles({
        touchstone: touchstone.connect(other),
        fleet: owner.address,
        account: other.address,
        roles: ["Admin"],
      }),
    );
    expect(error.details).to.deep.include({ errorName: "CallerLacksPermission" });
    expect(error.message).to.contain(owner.address).and.contain(other.address).and.contain("ManageRoles");
  });
});

describe("roles.renounce and roles.revokeAll", () => {
  it("end the sender's roles, and everyone's", async () => {
    const { touchstone, owner, other, relayer } = await loadFixture(deployTouchstone);
    const fleet = owner.address;
    for (const { address: account } of [other, relayer]) {
      await roles.setRoles({ touchstone, fleet, account, roles: ["Auditor"] });
    }
    await roles.renounce({ touchstone: touchstone.connect(other), fleet });
    expect(await roles.rolesOf({ touchstone, fleet, account: other.address })).to.deep.equal([]);
    expect(await roles.rolesOf({ touchstone, fleet, account: relayer.address })).to.deep.equal(["Auditor"]);
    const { events } = await roles.revokeAll({ touchstone, fleet });
    expect(events[0]?.args).to.deep.equal({ fleet, by: owner.address, epoch: 1n });
    expect(await roles.rolesOf({ touchstone, fleet, account: relayer.address })).to.deep.equal([]);
  });
});

describe("roles.defineRole and roles.declareExclusive", () => {
  it("make a fleet's own role, and separate duties", async () => {
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const fleet = owner.address;
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["Share", "ReadLocation"] });
    expect(await roles.rolePermissions({ touchstone, fleet, role: 8 })).to.deep.equal(["ReadLocation", "Share"]);
    expect(await roles.rolePermissions({ touchstone, fleet, role: "Maker" })).to.deep.equal(["PublishManifest"]);
    await roles.declareExclusive({ touchstone, fleet, roles: ["Security", 8] });
    const error = await errorOf("CONTRACT_REVERTED", () =>
      roles.setRoles({ touchstone, fleet, account: other.address, roles: ["Security", 8] }),
    );
    expect(error.details).to.deep.include({ errorName: "RolesExclusive", args: { fleet, roleA: 2n, roleB: 8n } });
    expect(error.message).to.contain("Security").and.contain("role 8");
  });

  it("refuse to define a built-in role", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const error = await errorOf("CONTRACT_REVERTED", () =>
      roles.defineRole({ touchstone, fleet: owner.address, role: "Admin" as unknown as OwnRole, permissions: [] }),
    );
    expect(error.details.errorName).to.equal("RoleNotDefinable");
  });
});

describe("roles.proposeGovernor and roles.acceptGovernor", () => {
  it("hand a fleet over in two steps", async () => {
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const { fleet } = await roles.createFleet({ touchstone });
    await roles.proposeGovernor({ touchstone, fleet, newGovernor: other.address });
    expect((await roles.getFleet({ touchstone, fleet })).pendingGovernor).to.equal(other.address);
    const { events } = await roles.acceptGovernor({ touchstone: touchstone.connect(other), fleet, keepRoles: false });
    const args = { fleet, from: owner.address, to: other.address, handovers: 1n, epoch: 1n };
    expect(events[0]?.args).to.deep.equal(args);
    expect(await roles.getFleet({ touchstone, fleet })).to.deep.equal({
      id: fleet,
      governor: other.address,
      pendingGovernor: undefined,
      handovers: 1n,
      roleEpoch: 1n,
    });
  });

  it("let the governor withdraw the offer", async () => {
    const { touchstone, other } = await loadFixture(deployTouchstone);
    const { fleet } = await roles.createFleet({ touchstone });
    await roles.proposeGovernor({ touchstone, fleet, newGovernor: other.address });
    await roles.cancelProposal({ touchstone, fleet });
    expect((await roles.getFleet({ touchstone, fleet })).pendingGovernor).to.equal(undefined);
    const error = await errorOf("CONTRACT_REVERTED", () =>
      roles.acceptGovernor({ touchstone: touchstone.connect(other), fleet, keepRoles: true }),
    );
    expect(error.details.errorName).to.equal("CallerNotPendingGovernor");
  });
});
