import { readFile } from "node:fs/promises";

import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";

import * as roles from "../../client/roles.js";
import { checksumOf } from "../../client/safe-files.js";
import { ethers, loadFixture } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { providerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deploySafe, execute } from "../support/safe.js";
import { deploySuite } from "../support/suite.js";

/** The fleet at work, and a Safe of three people of whom two must sign. */
async function deployWithSafe() {
  const suite = await deploySuite();
  const owners = (await ethers.getSigners()).slice(-3) as [
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
  ];
  const safe = await deploySafe({ owners, threshold: 2 });
  return { ...suite, safe, touchstone: suite.as.owner };
}

describe("roles.handover", () => {
  const path = temporaryFolder();

  it("hands a fleet to a Safe, whose owners send exactly what the file says, and then run the team", async () => {
    const { safe, touchstone, fleet, actors, as, roles: registry } = await loadFixture(deployWithSafe);
    const { governor, file, events } = await roles.handover({
      touchstone,
      fleet,
      to: safe.address,
      keepRoles: true,
      contract: "safe",
    });
    expect(events.map(({ name }) => name)).to.deep.equal(["GovernorProposed"]);
    expect(governor).to.deep.equal({
      kind: "Safe",
      safe: { address: safe.address, owners: safe.owners.map(({ address }) => address), threshold: 2n },
    });
    await roles.writeSafeTransactions({ path: path("accept.json"), file: file! });
    const read = JSON.parse(await readFile(path("accept.json"), "utf8")) as roles.SafeTransactionFile;
    expect(read).to.deep.equal(file);
    expect(read).to.deep.include({ version: "1.0", chainId: "31337" });
    expect(read.meta.createdFromSafeAddress).to.equal(safe.address);
    expect(read.meta.checksum).to.equal(checksumOf(read));

    // One signature is not enough.
    await expect(execute(safe, asCall(read), safe.owners.slice(0, 1))).to.revert(ethers);
    await execute(safe, asCall(read));
    expect(await roles.getFleet({ touchstone, fleet })).to.deep.include({
      governor: safe.address,
      pendingGovernor: undefined,
      handovers: 2n,
      roleEpoch: 0n,
    });

    // The Safe gives and takes roles, in one transaction of its own.
    const plan = await roles.planTeam({
      touchstone,
      by: safe.address,
      fleet,
      prune: true,
      team: roles.parseTeam(
        JSON.stringify({
          type: "touchstone-team",
          version: 1,
          roles: [{ role: 8, name: "Dispatcher", permissions: ["Command", "Share"] }],
          exclusions: [{ roles: ["Operator", "Auditor"] }],
          members: [{ account: actors.stranger.address, roles: ["Admin", "Dispatcher"] }],
        }),
      ),
    });
    expect(plan.obstacles).to.deep.equal([]);
    const transactions = await roles.teamTransactions({ touchstone, plan });
    const team = roles.safeTransactions({ touchstone, safe: safe.address, name: "The new team", transactions });
    expect(team.transactions).to.have.length(1);
    await execute(safe, asCall(team));
    const now = await roles.members({ touchstone, fleet });
    expect(
      now.members.filter(({ state }) => state === "Now").map(({ account, roles: held, by }) => [account, held, by]),
    ).to.deep.equal([[actors.stranger.address, ["Admin", 8], safe.address]]);

    // The former governor can do nothing any more, not even take the offer back.
    const former = { touchstone: as.owner, fleet };
    const account = actors.owner.address;
    await refusedAs("CallerLacksPermission", () => roles.setRoles({ ...former, account, roles: ["Maker"] }));
    await refusedAs("CallerNotGovernor", () => roles.cancelProposal(former));
    await refusedAs("CallerNotGovernor", () => roles.revokeAll(former));
    await refusedAs("CallerNotGovernor", () => roles.defineRole({ ...former, role: 8, permissions: [] }));
    await refusedAs("CallerNotPendingGovernor", () => roles.acceptGovernor({ ...former, keepRoles: false }));
    expect(await registry.permissionsOf(fleet, account)).to.equal(0n);
  });

  it("ends all roles where the new governor does not keep them", async () => {
    const { safe, touchstone, fleet } = await loadFixture(deployWithSafe);
    const { file } = await roles.handover({ touchstone, fleet, to: safe.address, keepRoles: false });
    expect(file?.meta.description).to.contain(fleet).and.contain("All roles of its members end.");
    await execute(safe, asCall(file!));
    expect((await roles.getFleet({ touchstone, fleet })).roleEpoch).to.equal(1n);
  });

  it("hands a fleet to somebody's key, also one with code of EIP-7702, without a file", async () => {
    const { touchstone, fleet, actors, as } = await loadFixture(deployWithSafe);
    const to = actors.relayer.address;
    const sent = await roles.handover({ touchstone, fleet, to, keepRoles: true });
    expect([sent.governor, sent.file]).to.deep.equal([{ kind: "Account" }, undefined]);
    await actors.relayer.sendTransaction(sent.accept);
    expect((await roles.getFleet({ touchstone, fleet })).governor).to.equal(to);

    const delegated = providerWith({ getCode: () => Promise.resolve(`0xef0100${"11".repeat(20)}`) });
    const account = actors.stranger.address;
    expect(await roles.inspectGovernor({ touchstone: as.relayer.connect(delegated), account })).to.deep.equal({
      kind: "Account",
    });
  });

  it("refuses a Safe that is not on this chain, and proposes nothing", async () => {
    const { touchstone, fleet, actors } = await loadFixture(deployWithSafe);
    for (const contract of ["safe", "other"] as const) {
      const error = await errorUnsent("GOVERNOR_UNFIT", () =>
        roles.handover({ touchstone, fleet, to: actors.stranger.address, keepRoles: true, contract }),
      );
      expect(error.details).to.deep.equal({ account: actors.stranger.address, reason: "NoContract" });
    }
  });

  it("refuses a contract that is no Safe unless told that it can act", async () => {
    const { touchstone, fleet } = await loadFixture(deployWithSafe);
    const to = touchstone.addresses.DataAnchor;
    for (const expected of [{}, { contract: "safe" as const }]) {
      const error = await errorUnsent("GOVERNOR_UNFIT", () =>
        roles.handover({ touchstone, fleet, to, keepRoles: true, ...expected }),
      );
      expect(error.details).to.deep.equal({ account: to, reason: "NoSafe" });
    }
    const sent = await roles.handover({ touchstone, fleet, to, keepRoles: true, contract: "other" });
    expect([sent.governor, sent.file]).to.deep.equal([{ kind: "Other" }, undefined]);
    expect((await roles.getFleet({ touchstone, fleet })).pendingGovernor).to.equal(to);
  });

  it("refuses a Safe that was never set up, and one that wants more owners than it has", async () => {
    const { touchstone, fleet, safe } = await loadFixture(deployWithSafe);
    const answering = (threshold: bigint) =>
      providerWith({
        call: async (request) =>
          request.data === safe.contract.interface.encodeFunctionData("getThreshold")
            ? ethers.toBeHex(threshold, 32)
            : ethers.provider.call(request),
      });
    for (const threshold of [0n, 4n]) {
      const asked = touchstone.connect(answering(threshold));
      const error = await errorOf("GOVERNOR_UNFIT", () =>
        roles.handover({ touchstone: asked, fleet, to: safe.address, keepRoles: true }),
      );
      expect(error.details).to.deep.equal({ account: safe.address, reason: "NoThreshold" });
    }
    expect((await roles.getFleet({ touchstone, fleet })).pendingGovernor).to.equal(undefined);
  });

  it("refuses nobody, which would withdraw what was offered, and another fleet", async () => {
    const { touchstone, fleet, actors } = await loadFixture(deployWithSafe);
    const newGovernor = actors.relayer.address;
    await roles.proposeGovernor({ touchstone, fleet, newGovernor });
    const { fleet: handle } = await roles.createFleet({ touchstone });
    for (const [to, reason] of [
      [ethers.ZeroAddress, "Nobody"],
      [handle, "Handle"],
    ] as const) {
      const error = await errorUnsent("GOVERNOR_UNFIT", () =>
        roles.handover({ touchstone, fleet, to, keepRoles: true }),
      );
      expect(error.details).to.deep.equal({ account: to, reason });
    }
    expect((await roles.getFleet({ touchstone, fleet })).pendingGovernor).to.equal(newGovernor);
  });

  it("refuses the fleet itself, what is no account, and whoever does not govern", async () => {
    const { touchstone, fleet, safe, as } = await loadFixture(deployWithSafe);
    const error = await errorUnsent("GOVERNOR_UNFIT", () =>
      roles.handover({ touchstone, fleet, to: fleet, keepRoles: true }),
    );
    expect(error.details).to.deep.equal({ account: fleet, reason: "Itself" });
    await errorUnsent("INVALID_ARGUMENT", () => roles.handover({ touchstone, fleet, to: "0x1", keepRoles: true }));
    await refusedAs("CallerNotGovernor", () =>
      roles.handover({ touchstone: as.admin, fleet, to: safe.address, keepRoles: true }),
    );
  });

  it("does not take a node that cannot be asked for a contract that is no Safe", async () => {
    const { touchstone, safe } = await loadFixture(deployWithSafe);
    const account = safe.address;
    const down = () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
    for (const failing of [{ getCode: down }, { call: down }]) {
      const asked = touchstone.connect(providerWith(failing));
      await errorOf("CHAIN_UNREACHABLE", () => roles.inspectGovernor({ touchstone: asked, account }));
    }
  });
});

describe("roles.safeTransactions", () => {
  const safe = "0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6";

  it("has the checksum that the Transaction Builder itself wrote for a batch of its own", () => {
    const exported = {
      version: "1.0",
      chainId: "1",
      createdAt: 1_761_326_849_944,
      meta: {
        name: "Transactions Batch",
        description: "",
        txBuilderVersion: "1.18.2",
        createdFromSafeAddress: safe,
        createdFromOwnerAddress: "",
        checksum: "0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989",
      },
      transactions: [
        {
          to: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
          value: "0",
          data: null,
          contractMethod: {
            inputs: [
              { internalType: "address", name: "spender", type: "address" },
              { internalType: "uint256", name: "value", type: "uint256" },
            ],
            name: "approve",
            payable: false,
          },
          contractInputsValues: { spender: "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8", value: "100000000000" },
        },
      ],
    };
    expect(checksumOf(exported)).to.equal(exported.meta.checksum);
    // The name may be changed, nothing else.
    const renamed = { ...exported, meta: { ...exported.meta, name: "x" } };
    expect(checksumOf(renamed)).to.equal(exported.meta.checksum);
    const moved = { ...exported, chainId: "2" };
    expect(checksumOf(moved)).to.not.equal(exported.meta.checksum);
  });

  it("puts any populated transactions into a file, value and all", async () => {
    const { touchstone, fleet } = await loadFixture(deployWithSafe);
    const { roleRegistry } = touchstone;
    const transactions = [
      await roleRegistry.revokeAllRoles.populateTransaction(fleet),
      { ...(await roleRegistry.declareExclusive.populateTransaction(fleet, 1, 2)), value: 5n },
    ];
    const file = roles.safeTransactions({
      touchstone,
      safe: safe.toLowerCase(),
      name: "Name",
      transactions,
      createdAt: 7,
    });
    expect(file).to.deep.equal({
      version: "1.0",
      chainId: "31337",
      createdAt: 7,
      meta: {
        name: "Name",
        description: "",
        txBuilderVersion: "1.18.0",
        createdFromSafeAddress: safe,
        createdFromOwnerAddress: "",
        checksum: checksumOf(file),
      },
      transactions: transactions.map(({ to, data }, index) => ({
        to,
        value: index === 0 ? "0" : "5",
        data,
        contractMethod: null,
        contractInputsValues: null,
      })),
    });
  });

  it("refuses none, and those that say not where to", () => {
    const touchstone = { chainId: 1n };
    const options = { touchstone, safe, name: "Name" };
    const [to, data] = [safe, "0x"];
    for (const transactions of [[], [{ to: "name.eth", data }], [{ to, data: "0x1" }]]) {
      expect(() => roles.safeTransactions({ ...options, transactions }))
        .to.throw()
        .with.property("code", "INVALID_ARGUMENT");
    }
  });
});

/** The only transaction of a file, as a Safe's owners send it. */
function asCall({ transactions }: roles.SafeTransactionFile): { to: string; data: string; value: bigint } {
  const [first] = transactions;
  return { to: first!.to, data: first!.data, value: BigInt(first!.value) };
}
