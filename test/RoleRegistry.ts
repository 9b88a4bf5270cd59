import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import type { ContractTransactionResponse } from "ethers";

import {
  IBatch__factory,
  IRegistry__factory,
  IRoleRegistry__factory,
  type RoleRegistry,
} from "../typechain-types/index.js";

import { ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { deployFleet, wrongCallers } from "./support/fleet.js";
import { interfaceIdOf, REGISTRY_INTERFACE_IDS } from "./support/interface-id.js";

const { time } = networkHelpers;

// ---------------------------------------------------------------- what the design says, in the test's own words

const PERMISSIONS = [
  "ReadLive",
  "ReadHistory",
  "ReadLocation",
  "ReadMetadata",
  "Command",
  "Configure",
  "Audit",
  "Share",
  "Enroll",
  "Suspend",
  "RotateKey",
  "Anchor",
  "ReportInstall",
  "ApproveFirmware",
  "PublishManifest",
  "ManageRoles",
] as const;
type Permission = (typeof PERMISSIONS)[number];

const BUILT_IN: readonly (readonly [string, readonly Permission[]])[] = [
  ["Admin", PERMISSIONS],
  ["Operator", ["ReadLive", "ReadHistory", "ReadMetadata", "Command", "Configure", "Enroll", "ApproveFirmware"]],
  ["Security", ["Audit", "Suspend", "RotateKey"]],
  ["Gateway", ["ReadLive", "Anchor", "ReportInstall"]],
  ["Auditor", ["ReadHistory", "ReadMetadata", "Audit"]],
  ["Analyst", ["ReadLive", "ReadHistory", "ReadMetadata"]],
  ["Installer", ["ReadMetadata", "Enroll", "ReportInstall"]],
  ["Maker", ["PublishManifest"]],
];

const [ADMIN, OPERATOR, SECURITY, GATEWAY, AUDITOR, ANALYST, MAKER] = [0n, 1n, 2n, 3n, 4n, 5n, 7n] as const;
const ALL = permissions(...PERMISSIONS);
const MANAGE_ROLES = permissions("ManageRoles");
/** All that a role of the fleet's own can permit. */
const DEFINABLE = ALL - MANAGE_ROLES;
/** A role of the fleet's own. */
const OWN = 8n;

function permissions(...names: Permission[]): bigint {
  return mask(...names.map((name) => BigInt(PERMISSIONS.indexOf(name))));
}

/** The set of these roles. */
function mask(...bits: bigint[]): bigint {
  return bits.reduce((set, bit) => set | (1n << bit), 0n);
}

/** The id with this number. */
function idOf(number: number): string {
  return ethers.getAddress(ethers.toBeHex(number, 20));
}

// ---------------------------------------------------------------- fixtures

const NORTH = ethers.id("north plant");
const SOUTH = ethers.id("south plant");

/** The fleet of an ordinary account, with nobody in it. */
async function deploy() {
  const registry = await ethers.deployContract("RoleRegistry");
  const names = ["account", "member", "colleague", "admin", "secondAdmin", "successor", "stranger"] as const;
  const signers = await ethers.getSigners();
  const actors = Object.fromEntries(names.map((name, i) => [name, signers[i]])) as Record<
    (typeof names)[number],
    HardhatEthersSigner
  >;
  return { registry, fleet: actors.account.address, ...actors };
}

/** Everyone who might take themselves for a manager of the contested fleet, and is not. */
const NEVER_MANAGERS = [
  ...wrongCallers,
  ["adminOfFormerEpoch", "an Admin of a former epoch"],
  ["adminWhoRenounced", "an Admin who renounced"],
  ["futureAdmin", "an Admin whose window is not open yet"],
  ["successor", "the account that the fleet is offered to"],
  ["otherOwner", "the owner of another fleet"],
] as const;

/**
 * A fleet handle with a history: handed over once, all roles revoked once, offered again. `memberWithoutPermission` holds
 * every role but Admin, one of the fleet's own that permits all that such a role can among them.
 */
async function deployContested() {
  const { roles: registry, fleet, actors } = await deployFleet();
  const signers = await ethers.getSigners();
  // The fleet's fixture takes the first signers, the other fleet's owner before all.
  const otherOwner = signers[0]!;
  const adminOfFormerEpoch = signers.at(-1)!;
  const adminWhoRenounced = signers.at(-2)!;
  const futureAdmin = signers.at(-3)!;
  const successor = signers.at(-4)!;
  const byOwner = registry.connect(actors.owner);
  const start = await now();

  await byOwner.setRoles(fleet, adminOfFormerEpoch, mask(ADMIN), 0, FOR_EVER);
  await byOwner.revokeAllRoles(fleet);
  await byOwner.defineRole(fleet, OWN, DEFINABLE);
  await byOwner.setRoles(fleet, actors.admin, mask(ADMIN), 0, FOR_EVER);
  await byOwner.setRoles(fleet, adminWhoRenounced, mask(ADMIN), 0, FOR_EVER);
  await registry.connect(adminWhoRenounced).renounceRoles(fleet);
  await byOwner.setRoles(fleet, actors.expiredMember, 0xffff, 0, start + 100n);
  await byOwner.setRoles(fleet, futureAdmin, mask(ADMIN), start + 10_000n, FOR_EVER);
  await byOwner.setRoles(fleet, actors.memberWithoutPermission, 0xfffe, 0, FOR_EVER);
  await byOwner.proposeGovernor(fleet, successor);
  await time.increaseTo(start + 100n);
  return { registry, fleet, ...actors, adminOfFormerEpoch, adminWhoRenounced, futureAdmin, successor, otherOwner };
}

/** The transaction emitted this event with these arguments, and nothing else. */
async function expectOnlyEvent(
  registry: RoleRegistry,
  sent: Promise<ContractTransactionResponse>,
  event: string,
  ...args: unknown[]
) {
  const transaction = await sent;
  await expect(transaction)
    .to.emit(registry, event)
    .withArgs(...args);
  expect((await transaction.wait())?.logs).to.have.length(1);
}

/** What is stored of a member, as plain values: roles, notBefore, expiry, epoch. */
async function membership(registry: RoleRegistry, fleet: string, account: string) {
  return [...(await registry.membershipOf(fleet, account))];
}

/** Puts a fleet's word in place of the stored one: governor160 | epoch32 | handovers32, from the lowest bit. */
async function storeFleetWord(registry: RoleRegistry, fleet: string, word: bigint) {
  const slot = ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(["address", "uint256"], [fleet, 2]));
  await networkHelpers.setStorageAt(await registry.getAddress(), slot, word);
}

// ---------------------------------------------------------------- tests

describe("RoleRegistry", () => {
  describe("as a contract of the suite", () => {
    it("names its EIP-712 domain after itself and this chain", async () => {
      const { registry } = await loadFixture(deploy);
      const domain = await registry.eip712Domain();
      expect([domain.name, domain.version, domain.chainId, domain.verifyingContract]).to.deep.equal([
        "Touchstone RoleRegistry",
        "1",
        (await ethers.provider.getNetwork()).chainId,
        await registry.getAddress(),
      ]);
    });

    it("tells its version", async () => {
      const { registry } = await loadFixture(deploy);
      expect(await registry.version()).to.equal("0.1.0");
    });

    it("supports ERC-165, ERC-5267, IRegistry, IRoleRegistry and IBatch, and nothing else", async () => {
      const { registry } = await loadFixture(deploy);
      const ids = [interfaceIdOf(IRoleRegistry__factory, IRegistry__factory), interfaceIdOf(IBatch__factory)];
      for (const id of [...ids, ...REGISTRY_INTERFACE_IDS]) {
        expect(await registry.supportsInterface(id), id).to.equal(true);
      }
      for (const id of ["0xffffffff", "0x00000000", "0x7965db0b"]) {
        expect(await registry.supportsInterface(id), id).to.equal(false);
      }
    });

    it("takes no ether", async () => {
      const { registry, account } = await loadFixture(deploy);
      await expect(account.sendTransaction({ to: registry, value: 1n })).to.revert(ethers);
    });
  });

  // -------------------------------------------------------------- what roles permit

  describe("what roles permit", () => {
    for (const [role, [name, permitted]] of BUILT_IN.entries()) {
      it(`${name} permits ${role === 0 ? "everything" : permitted.join(", ")}`, async () => {
        const { registry, fleet, account, member } = await loadFixture(deploy);
        await registry.connect(account).setRoles(fleet, member.address, mask(BigInt(role)), 0, FOR_EVER);

        const expected = permissions(...permitted);
        expect(await registry.rolePermissions(fleet, role)).to.equal(expected);
        expect(await registry.permissionsOf(fleet, member.address)).to.equal(expected);
        for (const [bit, permission] of PERMISSIONS.entries()) {
          const answer = await registry.hasPermissions(fleet, member.address, mask(BigInt(bit)));
          expect(answer, permission).to.equal(permitted.includes(permission));
        }
        expect(await registry.hasPermissions(fleet, member.address, expected)).to.equal(true);
      });
    }

    it("an account with several roles may do what any of them permits", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).defineRole(fleet, 9, permissions("ReadLocation"));
      await registry.connect(account).setRoles(fleet, member.address, mask(SECURITY, ANALYST, 9n), 0, FOR_EVER);

      const expected = permissions(
        "Audit",
        "Suspend",
        "RotateKey",
        "ReadLive",
        "ReadHistory",
        "ReadMetadata",
        "ReadLocation",
      );
      expect(await registry.permissionsOf(fleet, member.address)).to.equal(expected);
      expect(await registry.hasPermissions(fleet, member.address, expected)).to.equal(true);
      expect(await registry.hasPermissions(fleet, member.address, expected | permissions("Share"))).to.equal(false);
    });

    it("a role above 15 permits nothing and is held by nobody", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, 0xffffn, 0, FOR_EVER);
      for (const role of [16, 31, 32, 255]) {
        expect(await registry.rolePermissions(fleet, role)).to.equal(0n);
        expect(await registry.hasRole(fleet, role, member.address)).to.equal(false);
      }
    });

    it("the governor may do everything, without a role", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      await registry.connect(account).createFleet(NORTH);
      for (const id of [fleet, await registry.fleetIdOf(account.address, NORTH)]) {
        expect(await registry.permissionsOf(id, account.address)).to.equal(ALL);
        expect(await registry.hasPermissions(id, account.address, ALL)).to.equal(true);
        expect(await registry.rolesOf(id, account.address)).to.equal(0n);
        expect(await registry.hasRole(id, ADMIN, account.address)).to.equal(false);
      }
    });

    it("a stranger may do nothing", async () => {
      const { registry, fleet, stranger } = await loadFixture(deploy);
      expect(await registry.permissionsOf(fleet, stranger.address)).to.equal(0n);
      expect(await registry.hasPermissions(fleet, stranger.address, permissions("ReadLive"))).to.equal(false);
    });

    it("asking for no permission, or for one that does not exist, is denied to everyone", async () => {
      const { registry, fleet, account, admin } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, admin.address, mask(ADMIN), 0, FOR_EVER);
      for (const who of [account.address, admin.address]) {
        for (const asked of [0n, 1n << 16n, 1n << 31n, ALL + 1n, ALL | (1n << 20n)]) {
          expect(await registry.hasPermissions(fleet, who, asked), String(asked)).to.equal(false);
        }
      }
    });

    it("a reserved id may do nothing, even in the fleet of the same id", async () => {
      const { registry } = await loadFixture(deploy);
      for (const id of [ethers.ZeroAddress, idOf(0xffff)]) {
        expect(await registry.permissionsOf(id, id)).to.equal(0n);
        expect(await registry.hasPermissions(id, id, permissions("ReadLive"))).to.equal(false);
      }
      const first = idOf(0x10000);
      expect(await registry.permissionsOf(first, first)).to.equal(ALL);
      expect(await registry.hasPermissions(first, first, ALL)).to.equal(true);
    });

    it("a role in one fleet permits nothing in another", async () => {
      const { registry, fleet, account, member, stranger } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, mask(ADMIN), 0, FOR_EVER);
      expect(await registry.rolesOf(stranger.address, member.address)).to.equal(0n);
      expect(await registry.permissionsOf(stranger.address, member.address)).to.equal(0n);
    });
  });

  // -------------------------------------------------------------- authorityOf

  describe("authorityOf", () => {
    /** What authorityOf says, after checking that the other views say no other thing. */
    async function authority(registry: RoleRegistry, fleet: string, account: string) {
      const [isGovernor, permitted, expiry] = await registry.authorityOf(fleet, account);
      expect(await registry.permissionsOf(fleet, account)).to.equal(permitted);
      expect(await registry.hasPermissions(fleet, account, permitted)).to.equal(permitted !== 0n);
      if (permitted !== ALL) {
        expect(await registry.hasPermissions(fleet, account, permitted | (permitted + 1n))).to.equal(false);
      }
      return [isGovernor, permitted, expiry];
    }
    const NOTHING = [false, 0n, 0n];

    it("tells the governor of an account's fleet and of a handle from everyone else", async () => {
      const { registry, fleet, account, stranger } = await loadFixture(deploy);
      await registry.connect(account).createFleet(NORTH);
      const handle = await registry.fleetIdOf(account.address, NORTH);
      for (const id of [fleet, handle]) {
        expect(await authority(registry, id, account.address)).to.deep.equal([true, ALL, FOR_EVER]);
        expect(await authority(registry, id, stranger.address)).to.deep.equal(NOTHING);
      }
      expect(await authority(registry, handle, handle)).to.deep.equal(NOTHING);
    });

    it("tells the governor as governor, whatever roles it gave itself", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, account.address, mask(GATEWAY), 0, (await now()) + 100n);
      expect(await authority(registry, fleet, account.address)).to.deep.equal([true, ALL, FOR_EVER]);
    });

    it("goes with the fleet to its new governor", async () => {
      const { registry, fleet, owner, successor } = await loadFixture(deployContested);
      expect(await authority(registry, fleet, successor.address)).to.deep.equal(NOTHING);
      await registry.connect(successor).acceptGovernor(fleet, true);
      expect(await authority(registry, fleet, successor.address)).to.deep.equal([true, ALL, FOR_EVER]);
      expect(await authority(registry, fleet, owner.address)).to.deep.equal(NOTHING);
    });

    it("says what a member may do and until when, in its window and not a second before or after", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const opens = (await now()) + 1000n;
      const closes = opens + 1000n;
      await registry.connect(account).setRoles(fleet, member.address, mask(SECURITY, GATEWAY), opens, closes);

      const held = [
        false,
        permissions("Audit", "Suspend", "RotateKey", "ReadLive", "Anchor", "ReportInstall"),
        closes,
      ] as const;
      expect(await authority(registry, fleet, member.address)).to.deep.equal(NOTHING);
      for (const [moment, expected] of [
        [opens - 1n, NOTHING],
        [opens, held],
        [closes - 1n, held],
        [closes, NOTHING],
      ] as const) {
        await time.increaseTo(moment);
        expect(await authority(registry, fleet, member.address), String(moment - opens)).to.deep.equal(expected);
      }
    });

    it("gives an Admin all permissions, but does not call it governor", async () => {
      const { registry, fleet, admin } = await loadFixture(deployContested);
      expect(await authority(registry, fleet, admin.address)).to.deep.equal([false, ALL, FOR_EVER]);
    });

    it("counts a role of the fleet's own, as it is defined now", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const byAccount = registry.connect(account);
      await byAccount.setRoles(fleet, member.address, mask(OWN), 0, FOR_EVER);
      // A role that permits nothing gives nothing that could end.
      expect(await authority(registry, fleet, member.address)).to.deep.equal(NOTHING);
      for (const defined of [permissions("ReadLocation", "Share"), permissions("Share"), DEFINABLE]) {
        await byAccount.defineRole(fleet, OWN, defined);
        expect(await authority(registry, fleet, member.address)).to.deep.equal([false, defined, FOR_EVER]);
      }
      await byAccount.defineRole(fleet, OWN, 0);
      expect(await authority(registry, fleet, member.address)).to.deep.equal(NOTHING);
    });

    it("gives nothing for roles of an epoch that ended", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, mask(ADMIN), 0, FOR_EVER);
      await registry.connect(account).revokeAllRoles(fleet);
      expect(await authority(registry, fleet, member.address)).to.deep.equal(NOTHING);
      expect(await authority(registry, fleet, account.address)).to.deep.equal([true, ALL, FOR_EVER]);
    });

    it("gives nothing to whoever holds no roles any more, or not yet, in a fleet with a history", async () => {
      const { registry, fleet, ...actors } = await loadFixture(deployContested);
      for (const [name, description] of NEVER_MANAGERS) {
        if (name === "memberWithoutPermission") continue;
        expect(await authority(registry, fleet, actors[name].address), description).to.deep.equal(NOTHING);
      }
      const member = actors.memberWithoutPermission.address;
      expect(await authority(registry, fleet, member)).to.deep.equal([false, DEFINABLE, FOR_EVER]);
    });

    it("gives nothing to a reserved id, even in the fleet of the same id", async () => {
      const { registry } = await loadFixture(deploy);
      for (const id of [ethers.ZeroAddress, idOf(1), idOf(0xffff)]) {
        expect(await authority(registry, id, id)).to.deep.equal(NOTHING);
      }
      const first = idOf(0x10000);
      expect(await authority(registry, first, first)).to.deep.equal([true, ALL, FOR_EVER]);
    });
  });

  // -------------------------------------------------------------- setRoles

  describe("setRoles", () => {
    it("gives roles in the fleet of the sending account", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const start = await now();
      const roles = mask(GATEWAY, AUDITOR);
      await expectOnlyEvent(
        registry,
        registry.connect(account).setRoles(fleet, member.address, roles, start - 5n, start + 500n),
        "RolesSet",
        fleet,
        member.address,
        account.address,
        roles,
        start - 5n,
        start + 500n,
        0n,
      );
      expect(await membership(registry, fleet, member.address)).to.deep.equal([roles, start - 5n, start + 500n, 0n]);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(roles);
      expect(await registry.hasRole(fleet, GATEWAY, member.address)).to.equal(true);
      expect(await registry.hasRole(fleet, ANALYST, member.address)).to.equal(false);
    });

    it("gives roles in the fleet of a handle, by its governor, in the current epoch", async () => {
      const { registry, fleet, owner, stranger } = await loadFixture(deployContested);
      await expectOnlyEvent(
        registry,
        registry.connect(owner).setRoles(fleet, stranger.address, mask(ADMIN), 0, FOR_EVER),
        "RolesSet",
        fleet,
        stranger.address,
        owner.address,
        mask(ADMIN),
        0n,
        FOR_EVER,
        1n,
      );
      expect(await membership(registry, fleet, stranger.address)).to.deep.equal([mask(ADMIN), 0n, FOR_EVER, 1n]);
    });

    it("makes the roles exactly what is given, not more than that", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, mask(ADMIN, GATEWAY), 0, FOR_EVER);
      const expiry = (await now()) + 50n;
      await registry.connect(account).setRoles(fleet, member.address, mask(ANALYST), 7, expiry);
      expect(await membership(registry, fleet, member.address)).to.deep.equal([mask(ANALYST), 7n, expiry, 0n]);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(ANALYST));
    });

    it("gives a role of the fleet's own that is not yet defined, which permits nothing", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, mask(15n), 0, FOR_EVER);
      expect(await registry.hasRole(fleet, 15, member.address)).to.equal(true);
      expect(await registry.permissionsOf(fleet, member.address)).to.equal(0n);
      expect(await registry.hasPermissions(fleet, member.address, permissions("ReadLive"))).to.equal(false);
    });

    it("takes the lowest id that is not reserved, and refuses those below", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      for (const id of [ethers.ZeroAddress, idOf(1), idOf(0xffff)]) {
        await expect(registry.connect(account).setRoles(fleet, id, mask(GATEWAY), 0, FOR_EVER))
          .to.be.revertedWithCustomError(registry, "IdReserved")
          .withArgs(id);
      }
      const first = idOf(0x10000);
      await registry.connect(account).setRoles(fleet, first, mask(GATEWAY), 0, FOR_EVER);
      expect(await registry.rolesOf(fleet, first)).to.equal(mask(GATEWAY));
    });

    it("takes all sixteen roles, and refuses bits that stand for none", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      for (const roles of [1n << 16n, 1n << 31n, 0x1_ffffn]) {
        await expect(registry.connect(account).setRoles(fleet, member.address, roles, 0, FOR_EVER))
          .to.be.revertedWithCustomError(registry, "RolesUnknown")
          .withArgs(roles);
      }
      await registry.connect(account).setRoles(fleet, member.address, 0xffffn, 0, FOR_EVER);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(0xffffn);
    });

    describe("window", () => {
      it("opens at notBefore and is closed from expiry on", async () => {
        const { registry, fleet, account, member } = await loadFixture(deploy);
        const opens = (await now()) + 1000n;
        const closes = opens + 1000n;
        await registry.connect(account).setRoles(fleet, member.address, mask(GATEWAY, OWN), opens, closes);

        const holds = async () => [
          await registry.rolesOf(fleet, member.address),
          await registry.hasRole(fleet, GATEWAY, member.address),
          await registry.permissionsOf(fleet, member.address),
          await registry.hasPermissions(fleet, member.address, permissions("Anchor")),
        ];
        const yes = [mask(GATEWAY, OWN), true, permissions("ReadLive", "Anchor", "ReportInstall"), true];
        const no = [0n, false, 0n, false];
        expect(await holds()).to.deep.equal(no);
        for (const [moment, expected] of [
          [opens - 1n, no],
          [opens, yes],
          [closes - 1n, yes],
          [closes, no],
        ] as const) {
          await time.increaseTo(moment);
          expect(await holds(), String(moment - opens)).to.deep.equal(expected);
        }
        const stored = [mask(GATEWAY, OWN), opens, closes, 0n];
        expect(await membership(registry, fleet, member.address)).to.deep.equal(stored);
      });

      it("with the greatest expiry stays open for ever", async () => {
        const { registry, fleet, account, member } = await loadFixture(deploy);
        await registry.connect(account).setRoles(fleet, member.address, mask(GATEWAY), 0, FOR_EVER);
        await time.increase(10_000n * 365n * 86_400n);
        expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(GATEWAY));
      });

      it("may not be empty", async () => {
        const { registry, fleet, account, member } = await loadFixture(deploy);
        const later = (await now()) + 1000n;
        for (const [notBefore, expiry] of [
          [later, later],
          [later + 1n, later],
          [FOR_EVER, FOR_EVER],
        ] as const) {
          await expect(registry.connect(account).setRoles(fleet, member.address, mask(GATEWAY), notBefore, expiry))
            .to.be.revertedWithCustomError(registry, "WindowInvalid")
            .withArgs(notBefore, expiry);
        }
      });

      it("may not be over already", async () => {
        const { registry, fleet, account, member } = await loadFixture(deploy);
        const end = (await now()) + 100n;
        await time.setNextBlockTimestamp(end);
        await expect(registry.connect(account).setRoles(fleet, member.address, mask(GATEWAY), 0, end))
          .to.be.revertedWithCustomError(registry, "WindowInvalid")
          .withArgs(0n, end);

        const next = end + 100n;
        await time.setNextBlockTimestamp(next);
        await registry.connect(account).setRoles(fleet, member.address, mask(GATEWAY), 0, next + 1n);
        expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(GATEWAY));
      });
    });

    describe("with no roles", () => {
      it("removes a member, whatever the window", async () => {
        const { registry, fleet, account, member } = await loadFixture(deploy);
        await registry.connect(account).setRoles(fleet, member.address, mask(ADMIN), 0, FOR_EVER);
        await expectOnlyEvent(
          registry,
          registry.connect(account).setRoles(fleet, member.address, 0, 9, 3),
          "RolesSet",
          fleet,
          member.address,
          account.address,
          0n,
          0n,
          0n,
          0n,
        );
        expect(await membership(registry, fleet, member.address)).to.deep.equal([0n, 0n, 0n, 0n]);
        expect(await registry.permissionsOf(fleet, member.address)).to.equal(0n);
      });

      it("removes a member whose window is over, or not yet open", async () => {
        const { registry, fleet, owner, expiredMember, futureAdmin } = await loadFixture(deployContested);
        for (const gone of [expiredMember, futureAdmin]) {
          await registry.connect(owner).setRoles(fleet, gone.address, 0, 0, 0);
          expect(await membership(registry, fleet, gone.address)).to.deep.equal([0n, 0n, 0n, 0n]);
        }
      });

      it("refuses an account that is no member: never one, removed before, or of a former epoch", async () => {
        const { registry, fleet, owner, stranger, adminWhoRenounced, adminOfFormerEpoch } =
          await loadFixture(deployContested);
        for (const { address } of [stranger, adminWhoRenounced, adminOfFormerEpoch]) {
          await expect(registry.connect(owner).setRoles(fleet, address, 0, 0, 0))
            .to.be.revertedWithCustomError(registry, "RolesNotHeld")
            .withArgs(fleet, address);
        }
      });
    });

    describe("by an Admin", () => {
      async function deployWithAdmin() {
        const actors = await deploy();
        const { registry, account, fleet, admin, secondAdmin, member } = actors;
        const expiry = (await now()) + 10_000n;
        await registry.connect(account).setRoles(fleet, admin.address, mask(ADMIN), 0, expiry);
        await registry.connect(account).setRoles(fleet, secondAdmin.address, mask(ADMIN, OPERATOR), 0, FOR_EVER);
        await registry.connect(account).setRoles(fleet, member.address, mask(GATEWAY), 0, FOR_EVER);
        return { ...actors, expiry, byAdmin: registry.connect(admin) };
      }

      it("gives every role but Admin, until its own end at most", async () => {
        const { registry, fleet, admin, colleague, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        await expectOnlyEvent(
          registry,
          byAdmin.setRoles(fleet, colleague.address, 0xfffen, 1, expiry),
          "RolesSet",
          fleet,
          colleague.address,
          admin.address,
          0xfffen,
          1n,
          expiry,
          0n,
        );
        expect(await registry.rolesOf(fleet, colleague.address)).to.equal(0xfffen);
      });

      it("cannot give anything for longer than it holds its own role", async () => {
        const { registry, fleet, colleague, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        for (const tooLate of [expiry + 1n, FOR_EVER]) {
          await expect(byAdmin.setRoles(fleet, colleague.address, mask(GATEWAY), 0, tooLate))
            .to.be.revertedWithCustomError(registry, "ExpiryBeyondCaller")
            .withArgs(tooLate, expiry);
        }
      });

      it("gives roles for ever if it is Admin for ever", async () => {
        const { registry, fleet, secondAdmin, colleague } = await loadFixture(deployWithAdmin);
        await registry.connect(secondAdmin).setRoles(fleet, colleague.address, mask(GATEWAY), 0, FOR_EVER);
        expect(await membership(registry, fleet, colleague.address)).to.deep.equal([mask(GATEWAY), 0n, FOR_EVER, 0n]);
      });

      it("changes and removes members, also those given for longer", async () => {
        const { registry, fleet, member, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        await byAdmin.setRoles(fleet, member.address, mask(ANALYST), 0, expiry);
        expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(ANALYST));
        await byAdmin.setRoles(fleet, member.address, 0, 0, 0);
        expect(await registry.rolesOf(fleet, member.address)).to.equal(0n);
      });

      it("cannot give Admin, alone or with others", async () => {
        const { registry, fleet, colleague, member, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        for (const { address } of [colleague, member]) {
          for (const roles of [mask(ADMIN), mask(ADMIN, GATEWAY)]) {
            await expect(byAdmin.setRoles(fleet, address, roles, 0, expiry))
              .to.be.revertedWithCustomError(registry, "AdminReserved")
              .withArgs(fleet, address);
          }
        }
      });

      it("cannot touch an Admin: not another, not itself", async () => {
        const { registry, fleet, admin, secondAdmin, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        for (const { address } of [admin, secondAdmin]) {
          for (const roles of [0n, mask(GATEWAY), mask(ADMIN)]) {
            await expect(byAdmin.setRoles(fleet, address, roles, 0, expiry))
              .to.be.revertedWithCustomError(registry, "AdminReserved")
              .withArgs(fleet, address);
          }
        }
      });

      it("cannot touch an Admin whose window is over, or not yet open", async () => {
        const { registry, fleet, admin, expiredMember, futureAdmin } = await loadFixture(deployContested);
        for (const { address } of [expiredMember, futureAdmin]) {
          for (const roles of [0n, mask(GATEWAY)]) {
            await expect(registry.connect(admin).setRoles(fleet, address, roles, 0, FOR_EVER))
              .to.be.revertedWithCustomError(registry, "AdminReserved")
              .withArgs(fleet, address);
          }
        }
      });

      it("may give roles to an Admin of a former epoch", async () => {
        const { registry, fleet, admin, adminOfFormerEpoch } = await loadFixture(deployContested);
        await registry.connect(admin).setRoles(fleet, adminOfFormerEpoch.address, mask(GATEWAY), 0, FOR_EVER);
        const stored = [mask(GATEWAY), 0n, FOR_EVER, 1n];
        expect(await membership(registry, fleet, adminOfFormerEpoch.address)).to.deep.equal(stored);
      });

      it("is bound by all the other rules", async () => {
        const { registry, fleet, colleague, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        const zero = ethers.ZeroAddress;
        await expect(byAdmin.setRoles(fleet, zero, mask(GATEWAY), 0, expiry))
          .to.be.revertedWithCustomError(registry, "IdReserved")
          .withArgs(zero);
        await expect(byAdmin.setRoles(fleet, colleague.address, 1n << 16n, 0, expiry))
          .to.be.revertedWithCustomError(registry, "RolesUnknown")
          .withArgs(1n << 16n);
        await expect(byAdmin.setRoles(fleet, colleague.address, mask(GATEWAY), expiry, expiry))
          .to.be.revertedWithCustomError(registry, "WindowInvalid")
          .withArgs(expiry, expiry);
        await expect(byAdmin.setRoles(fleet, colleague.address, 0, 0, 0))
          .to.be.revertedWithCustomError(registry, "RolesNotHeld")
          .withArgs(fleet, colleague.address);
      });

      it("ends with the Admin's own window, to the second", async () => {
        const { registry, fleet, admin, colleague, expiry, byAdmin } = await loadFixture(deployWithAdmin);
        await time.setNextBlockTimestamp(expiry - 1n);
        await byAdmin.setRoles(fleet, colleague.address, mask(GATEWAY), 0, expiry);
        await time.setNextBlockTimestamp(expiry);
        await expect(byAdmin.setRoles(fleet, colleague.address, 0, 0, 0))
          .to.be.revertedWithCustomError(registry, "CallerLacksPermission")
          .withArgs(fleet, admin.address, MANAGE_ROLES);
      });
    });
  });

  // -------------------------------------------------------------- renounceRoles

  describe("renounceRoles", () => {
    it("gives up all roles of the caller", async () => {
      const { registry, fleet, memberWithoutPermission: member } = await loadFixture(deployContested);
      await expectOnlyEvent(
        registry,
        registry.connect(member).renounceRoles(fleet),
        "RolesSet",
        fleet,
        member.address,
        member.address,
        0n,
        0n,
        0n,
        1n,
      );
      expect(await membership(registry, fleet, member.address)).to.deep.equal([0n, 0n, 0n, 0n]);
      expect(await registry.permissionsOf(fleet, member.address)).to.equal(0n);
    });

    it("is open to an Admin, in its window, before it and after it", async () => {
      const { registry, fleet, admin, expiredMember, futureAdmin } = await loadFixture(deployContested);
      for (const leaving of [admin, expiredMember, futureAdmin]) {
        await registry.connect(leaving).renounceRoles(fleet);
        expect(await membership(registry, fleet, leaving.address)).to.deep.equal([0n, 0n, 0n, 0n]);
      }
    });

    const WITHOUT_ROLES = [
      ...NEVER_MANAGERS.filter(([name]) => !["memberWithoutPermission", "expiredMember", "futureAdmin"].includes(name)),
      ["owner", "the governor itself"],
    ] as const;
    for (const [name, description] of WITHOUT_ROLES) {
      it(`is refused to ${description}, who has no roles in this epoch`, async () => {
        const { registry, fleet, [name]: caller } = await loadFixture(deployContested);
        await expect(registry.connect(caller).renounceRoles(fleet))
          .to.be.revertedWithCustomError(registry, "RolesNotHeld")
          .withArgs(fleet, caller.address);
      });
    }
  });

  // -------------------------------------------------------------- defineRole

  describe("defineRole", () => {
    it("says what a role permits, for those who hold it already too", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, mask(8n), 0, FOR_EVER);
      const permitted = permissions("ReadLocation", "Share");
      await expectOnlyEvent(
        registry,
        registry.connect(account).defineRole(fleet, 8, permitted),
        "RoleDefined",
        fleet,
        8n,
        account.address,
        permitted,
      );
      expect(await registry.rolePermissions(fleet, 8)).to.equal(permitted);
      expect(await registry.permissionsOf(fleet, member.address)).to.equal(permitted);
      expect(await registry.hasPermissions(fleet, member.address, permitted)).to.equal(true);
    });

    it("keeps the eight roles of a fleet apart from each other, and from other fleets", async () => {
      const { registry, fleet, account, stranger } = await loadFixture(deploy);
      const defined = [8, 9, 10, 11, 12, 13, 14, 15].map((role, i) => [role, DEFINABLE - (1n << BigInt(i))] as const);
      for (const [role, permitted] of defined) await registry.connect(account).defineRole(fleet, role, permitted);
      for (const [role, permitted] of defined) {
        expect(await registry.rolePermissions(fleet, role)).to.equal(permitted);
        expect(await registry.rolePermissions(stranger.address, role)).to.equal(0n);
      }
    });

    it("redefines a role, down to nothing", async () => {
      const { registry, fleet, owner, memberWithoutPermission: member } = await loadFixture(deployContested);
      expect(await registry.hasPermissions(fleet, member.address, DEFINABLE)).to.equal(true);
      await registry.connect(owner).defineRole(fleet, OWN, 0);
      expect(await registry.rolePermissions(fleet, OWN)).to.equal(0n);
      expect(await registry.hasPermissions(fleet, member.address, permissions("ReadLocation"))).to.equal(false);
      expect(await registry.hasPermissions(fleet, member.address, permissions("Anchor"))).to.equal(true);
    });

    it("refuses the built-in roles and numbers above 15", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      for (const role of [0, 1, 7, 16, 255]) {
        await expect(registry.connect(account).defineRole(fleet, role, permissions("ReadLive")))
          .to.be.revertedWithCustomError(registry, "RoleNotDefinable")
          .withArgs(role);
      }
    });

    it("refuses ManageRoles and permissions that do not exist", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      for (const permitted of [MANAGE_ROLES, ALL, 1n << 16n, 1n << 31n]) {
        await expect(registry.connect(account).defineRole(fleet, 8, permitted))
          .to.be.revertedWithCustomError(registry, "PermissionsNotAllowed")
          .withArgs(permitted);
      }
      await registry.connect(account).defineRole(fleet, 8, DEFINABLE);
      expect(await registry.rolePermissions(fleet, 8)).to.equal(DEFINABLE);
    });
  });

  // -------------------------------------------------------------- declareExclusive

  describe("declareExclusive", () => {
    async function deploySeparated() {
      const actors = await deploy();
      const { registry, account, fleet } = actors;
      const byOwner = registry.connect(account);
      await byOwner.declareExclusive(fleet, AUDITOR, OPERATOR);
      return { ...actors, byOwner };
    }

    it("separates two roles, whichever is named first", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      await expectOnlyEvent(
        registry,
        registry.connect(account).declareExclusive(fleet, AUDITOR, OPERATOR),
        "RolesDeclaredExclusive",
        fleet,
        AUDITOR,
        OPERATOR,
        account.address,
      );
      expect(await registry.areExclusive(fleet, AUDITOR, OPERATOR)).to.equal(true);
      expect(await registry.areExclusive(fleet, OPERATOR, AUDITOR)).to.equal(true);
    });

    it("separates nothing else: no other pair, in no other fleet", async () => {
      const { registry, fleet, byOwner, stranger } = await loadFixture(deploySeparated);
      await byOwner.declareExclusive(fleet, 0, 15);
      for (let a = 0; a < 18; a++) {
        for (let b = a; b < 18; b++) {
          const declared = (a === 1 && b === 4) || (a === 0 && b === 15);
          expect(await registry.areExclusive(fleet, a, b), `${a}, ${b}`).to.equal(declared);
        }
      }
      expect(await registry.areExclusive(fleet, 255, 1)).to.equal(false);
      expect(await registry.areExclusive(fleet, 1, 255)).to.equal(false);
      expect(await registry.areExclusive(stranger.address, OPERATOR, AUDITOR)).to.equal(false);
    });

    it("has nobody given both, by the governor or an Admin, as a new member or a change", async () => {
      const { registry, fleet, byOwner, admin, member, colleague } = await loadFixture(deploySeparated);
      await byOwner.setRoles(fleet, admin.address, mask(ADMIN), 0, FOR_EVER);
      await byOwner.setRoles(fleet, member.address, mask(OPERATOR, ANALYST), 0, FOR_EVER);
      for (const by of [byOwner, registry.connect(admin)]) {
        for (const { address } of [member, colleague]) {
          await expect(by.setRoles(fleet, address, mask(OPERATOR, GATEWAY, AUDITOR), 0, FOR_EVER))
            .to.be.revertedWithCustomError(registry, "RolesExclusive")
            .withArgs(fleet, OPERATOR, AUDITOR);
        }
      }
    });

    it("leaves each of the two roles to be given alone, or with others", async () => {
      const { registry, fleet, byOwner, member } = await loadFixture(deploySeparated);
      for (const roles of [mask(OPERATOR), mask(AUDITOR), mask(OPERATOR, GATEWAY), mask(AUDITOR, ANALYST, SECURITY)]) {
        await byOwner.setRoles(fleet, member.address, roles, 0, FOR_EVER);
        expect(await registry.rolesOf(fleet, member.address)).to.equal(roles);
      }
    });

    it("binds Admin and the fleet's own roles like all others", async () => {
      const { registry, fleet, byOwner, member } = await loadFixture(deploySeparated);
      await byOwner.declareExclusive(fleet, 15, ADMIN);
      await expect(byOwner.setRoles(fleet, member.address, mask(ADMIN, 15n), 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "RolesExclusive")
        .withArgs(fleet, ADMIN, 15n);
      await byOwner.setRoles(fleet, member.address, mask(ADMIN, OPERATOR), 0, FOR_EVER);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(ADMIN, OPERATOR));
    });

    it("names the lowest exclusive pair of several", async () => {
      const { registry, fleet, byOwner, member } = await loadFixture(deploySeparated);
      await byOwner.declareExclusive(fleet, 15, 14);
      await byOwner.declareExclusive(fleet, 3, 9);
      await byOwner.declareExclusive(fleet, 3, 7);
      await expect(byOwner.setRoles(fleet, member.address, 0xffffn, 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "RolesExclusive")
        .withArgs(fleet, 1n, 4n);
      await expect(byOwner.setRoles(fleet, member.address, 0xffffn - mask(1n), 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "RolesExclusive")
        .withArgs(fleet, 3n, 7n);
      await expect(byOwner.setRoles(fleet, member.address, 0xffffn - mask(1n, 3n), 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "RolesExclusive")
        .withArgs(fleet, 14n, 15n);
    });

    it("leaves who holds both already alone, until they are set again", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const both = mask(OPERATOR, AUDITOR);
      await registry.connect(account).setRoles(fleet, member.address, both, 0, FOR_EVER);
      await registry.connect(account).declareExclusive(fleet, OPERATOR, AUDITOR);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(both);
      await expect(registry.connect(account).setRoles(fleet, member.address, both, 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "RolesExclusive")
        .withArgs(fleet, OPERATOR, AUDITOR);
    });

    it("is final: it outlives a new epoch and a handover", async () => {
      const { registry, fleet, owner, successor, stranger } = await loadFixture(deployContested);
      await registry.connect(owner).declareExclusive(fleet, OPERATOR, AUDITOR);
      await registry.connect(owner).revokeAllRoles(fleet);
      await registry.connect(successor).acceptGovernor(fleet, false);
      await expect(registry.connect(successor).setRoles(fleet, stranger.address, mask(OPERATOR, AUDITOR), 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "RolesExclusive")
        .withArgs(fleet, OPERATOR, AUDITOR);
    });

    it("refuses a role with itself, and numbers above 15", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      for (const [a, b] of [
        [3, 3],
        [16, 3],
        [3, 16],
        [255, 0],
        [16, 16],
      ] as const) {
        await expect(registry.connect(account).declareExclusive(fleet, a, b))
          .to.be.revertedWithCustomError(registry, "ExclusionInvalid")
          .withArgs(a, b);
      }
    });

    it("refuses a pair that is declared already, in either order", async () => {
      const { registry, fleet, byOwner } = await loadFixture(deploySeparated);
      for (const [a, b] of [
        [AUDITOR, OPERATOR],
        [OPERATOR, AUDITOR],
      ] as const) {
        await expect(byOwner.declareExclusive(fleet, a, b))
          .to.be.revertedWithCustomError(registry, "ExclusionExists")
          .withArgs(fleet, a, b);
      }
    });
  });

  // -------------------------------------------------------------- revokeAllRoles

  describe("revokeAllRoles", () => {
    it("ends all roles at once", async () => {
      const { registry, fleet, account, member, admin } = await loadFixture(deploy);
      const byOwner = registry.connect(account);
      await byOwner.defineRole(fleet, OWN, DEFINABLE);
      await byOwner.setRoles(fleet, admin.address, mask(ADMIN), 0, FOR_EVER);
      await byOwner.setRoles(fleet, member.address, mask(GATEWAY, OWN), 0, FOR_EVER);
      await expectOnlyEvent(registry, byOwner.revokeAllRoles(fleet), "AllRolesRevoked", fleet, account.address, 1n);

      expect(await registry.roleEpochOf(fleet)).to.equal(1n);
      for (const { address } of [admin, member]) {
        expect(await registry.rolesOf(fleet, address)).to.equal(0n);
        expect(await registry.permissionsOf(fleet, address)).to.equal(0n);
        expect(await registry.hasPermissions(fleet, address, permissions("Anchor"))).to.equal(false);
      }
      expect(await membership(registry, fleet, admin.address)).to.deep.equal([mask(ADMIN), 0n, FOR_EVER, 0n]);
    });

    it("leaves the governor, the fleet's own roles and its handovers as they are", async () => {
      const { registry, fleet, owner } = await loadFixture(deployContested);
      await registry.connect(owner).revokeAllRoles(fleet);
      expect(await registry.roleEpochOf(fleet)).to.equal(2n);
      expect(await registry.governorOf(fleet)).to.equal(owner.address);
      expect(await registry.handoversOf(fleet)).to.equal(1n);
      expect(await registry.rolePermissions(fleet, OWN)).to.equal(DEFINABLE);
    });

    it("leaves an account its own governor", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      await registry.connect(account).revokeAllRoles(fleet);
      expect(await registry.governorOf(fleet)).to.equal(account.address);
      expect(await registry.hasPermissions(fleet, account.address, ALL)).to.equal(true);
    });

    it("lets roles be given again, in the new epoch", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const byOwner = registry.connect(account);
      await byOwner.setRoles(fleet, member.address, mask(ADMIN), 0, FOR_EVER);
      await byOwner.revokeAllRoles(fleet);
      await byOwner.setRoles(fleet, member.address, mask(ANALYST), 0, FOR_EVER);
      expect(await membership(registry, fleet, member.address)).to.deep.equal([mask(ANALYST), 0n, FOR_EVER, 1n]);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(ANALYST));
    });

    it("touches no other fleet", async () => {
      const { registry, fleet, account, member, stranger } = await loadFixture(deploy);
      await registry.connect(stranger).setRoles(stranger.address, member.address, mask(GATEWAY), 0, FOR_EVER);
      await registry.connect(account).revokeAllRoles(fleet);
      expect(await registry.rolesOf(stranger.address, member.address)).to.equal(mask(GATEWAY));
    });

    it("reverts rather than start the epochs again", async () => {
      const { registry, fleet, account } = await loadFixture(deploy);
      await storeFleetWord(registry, fleet, 0xffff_fffen << 160n);
      await registry.connect(account).revokeAllRoles(fleet);
      expect(await registry.roleEpochOf(fleet)).to.equal(0xffff_ffffn);
      await expect(registry.connect(account).revokeAllRoles(fleet)).to.be.revertedWithPanic(0x11);
    });
  });

  // -------------------------------------------------------------- fleet handles

  describe("createFleet", () => {
    it("creates the handle of the caller and the salt, governed by the caller", async () => {
      const { registry, account } = await loadFixture(deploy);
      const encoded = ethers.AbiCoder.defaultAbiCoder().encode(
        ["string", "address", "bytes32"],
        ["fleet", account.address, NORTH],
      );
      const handle = ethers.getAddress(ethers.dataSlice(ethers.keccak256(encoded), 12));
      expect(await registry.fleetIdOf(account.address, NORTH)).to.equal(handle);
      expect(await registry.connect(account).createFleet.staticCall(NORTH)).to.equal(handle);

      await expectOnlyEvent(
        registry,
        registry.connect(account).createFleet(NORTH),
        "FleetCreated",
        handle,
        account.address,
        NORTH,
      );
      expect(await registry.governorOf(handle)).to.equal(account.address);
      expect(await registry.pendingGovernorOf(handle)).to.equal(ethers.ZeroAddress);
      expect(await registry.handoversOf(handle)).to.equal(0n);
      expect(await registry.roleEpochOf(handle)).to.equal(0n);
    });

    it("gives one account as many fleets as it has salts, and each account its own for one salt", async () => {
      const { registry, account, stranger } = await loadFixture(deploy);
      await registry.connect(account).createFleet(NORTH);
      await registry.connect(account).createFleet(SOUTH);
      await registry.connect(stranger).createFleet(NORTH);
      const governors = [
        await registry.governorOf(await registry.fleetIdOf(account.address, NORTH)),
        await registry.governorOf(await registry.fleetIdOf(account.address, SOUTH)),
        await registry.governorOf(await registry.fleetIdOf(stranger.address, NORTH)),
      ];
      expect(governors).to.deep.equal([account.address, account.address, stranger.address]);
    });

    it("refuses a handle that exists", async () => {
      const { registry, account } = await loadFixture(deploy);
      await registry.connect(account).createFleet(NORTH);
      await expect(registry.connect(account).createFleet(NORTH))
        .to.be.revertedWithCustomError(registry, "FleetExists")
        .withArgs(await registry.fleetIdOf(account.address, NORTH));
    });

    it("does not give a handle back to its creator once it was handed over", async () => {
      const { registry, account, successor } = await loadFixture(deploy);
      await registry.connect(account).createFleet(NORTH);
      const handle = await registry.fleetIdOf(account.address, NORTH);
      await registry.connect(account).proposeGovernor(handle, successor);
      await registry.connect(successor).acceptGovernor(handle, false);
      await expect(registry.connect(account).createFleet(NORTH))
        .to.be.revertedWithCustomError(registry, "FleetExists")
        .withArgs(handle);
      expect(await registry.governorOf(handle)).to.equal(successor.address);
    });
  });

  describe("governorOf", () => {
    it("is the account itself for an account, and the id itself for a handle that does not exist", async () => {
      const { registry, account, stranger } = await loadFixture(deploy);
      expect(await registry.governorOf(account.address)).to.equal(account.address);
      const unborn = await registry.fleetIdOf(stranger.address, NORTH);
      expect(await registry.governorOf(unborn)).to.equal(unborn);
      expect(await registry.permissionsOf(unborn, stranger.address)).to.equal(0n);
    });
  });

  describe("proposeGovernor", () => {
    it("offers the fleet, and changes nothing else", async () => {
      const { registry, account, successor } = await loadFixture(deploy);
      await registry.connect(account).createFleet(NORTH);
      const handle = await registry.fleetIdOf(account.address, NORTH);
      await expectOnlyEvent(
        registry,
        registry.connect(account).proposeGovernor(handle, successor.address),
        "GovernorProposed",
        handle,
        account.address,
        successor.address,
      );
      expect(await registry.pendingGovernorOf(handle)).to.equal(successor.address);
      expect(await registry.governorOf(handle)).to.equal(account.address);
      expect(await registry.handoversOf(handle)).to.equal(0n);
      expect(await registry.hasPermissions(handle, successor.address, permissions("ReadLive"))).to.equal(false);
    });

    it("withdraws an offer with zero, and replaces it with another account", async () => {
      const { registry, fleet, owner, successor, stranger } = await loadFixture(deployContested);
      for (const next of [stranger.address, ethers.ZeroAddress]) {
        await expectOnlyEvent(
          registry,
          registry.connect(owner).proposeGovernor(fleet, next),
          "GovernorProposed",
          fleet,
          owner.address,
          next,
        );
        expect(await registry.pendingGovernorOf(fleet)).to.equal(next);
      }
      for (const late of [successor, stranger]) {
        await expect(registry.connect(late).acceptGovernor(fleet, true))
          .to.be.revertedWithCustomError(registry, "CallerNotPendingGovernor")
          .withArgs(fleet, late.address);
      }
    });

    it("refuses a fleet that is no handle: an account, also after it revoked all roles, or a handle not yet created", async () => {
      const { registry, fleet, account, successor } = await loadFixture(deploy);
      await registry.connect(account).revokeAllRoles(fleet);
      for (const id of [fleet, successor.address, await registry.fleetIdOf(account.address, NORTH)]) {
        await expect(registry.connect(account).proposeGovernor(id, successor.address))
          .to.be.revertedWithCustomError(registry, "FleetNotHandle")
          .withArgs(id);
      }
    });

    it("refuses reserved ids", async () => {
      const { registry, fleet, owner } = await loadFixture(deployContested);
      for (const id of [idOf(1), idOf(0xffff)]) {
        await expect(registry.connect(owner).proposeGovernor(fleet, id))
          .to.be.revertedWithCustomError(registry, "IdReserved")
          .withArgs(id);
      }
    });
  });

  describe("acceptGovernor", () => {
    it("hands the fleet over and ends all roles", async () => {
      const { registry, fleet, owner, successor, admin } = await loadFixture(deployContested);
      await expectOnlyEvent(
        registry,
        registry.connect(successor).acceptGovernor(fleet, false),
        "GovernorChanged",
        fleet,
        owner.address,
        successor.address,
        2n,
        2n,
      );
      expect(await registry.governorOf(fleet)).to.equal(successor.address);
      expect(await registry.pendingGovernorOf(fleet)).to.equal(ethers.ZeroAddress);
      expect(await registry.handoversOf(fleet)).to.equal(2n);
      expect(await registry.roleEpochOf(fleet)).to.equal(2n);
      expect(await registry.rolesOf(fleet, admin.address)).to.equal(0n);
      expect(await registry.permissionsOf(fleet, successor.address)).to.equal(ALL);
      expect(await registry.permissionsOf(fleet, owner.address)).to.equal(0n);
      expect(await registry.rolePermissions(fleet, OWN)).to.equal(DEFINABLE);
    });

    it("keeps the roles when the new governor wants them", async () => {
      const { registry, fleet, owner, successor, admin } = await loadFixture(deployContested);
      await expectOnlyEvent(
        registry,
        registry.connect(successor).acceptGovernor(fleet, true),
        "GovernorChanged",
        fleet,
        owner.address,
        successor.address,
        2n,
        1n,
      );
      expect(await registry.roleEpochOf(fleet)).to.equal(1n);
      expect(await registry.handoversOf(fleet)).to.equal(2n);
      expect(await registry.rolesOf(fleet, admin.address)).to.equal(mask(ADMIN));
      expect(await registry.permissionsOf(fleet, owner.address)).to.equal(0n);
    });

    it("works once for each offer", async () => {
      const { registry, fleet, successor } = await loadFixture(deployContested);
      await registry.connect(successor).acceptGovernor(fleet, true);
      await expect(registry.connect(successor).acceptGovernor(fleet, true))
        .to.be.revertedWithCustomError(registry, "CallerNotPendingGovernor")
        .withArgs(fleet, successor.address);
    });

    it("reverts rather than count handovers or epochs from the start again", async () => {
      const { registry, fleet, successor } = await loadFixture(deployContested);
      const governor = BigInt(await registry.governorOf(fleet));
      await storeFleetWord(registry, fleet, governor | (0xffff_ffffn << 192n));
      await expect(registry.connect(successor).acceptGovernor(fleet, true)).to.be.revertedWithPanic(0x11);

      await storeFleetWord(registry, fleet, governor | (0xffff_ffffn << 160n));
      await expect(registry.connect(successor).acceptGovernor(fleet, false)).to.be.revertedWithPanic(0x11);
      await registry.connect(successor).acceptGovernor(fleet, true);
      expect(await registry.roleEpochOf(fleet)).to.equal(0xffff_ffffn);
      expect(await registry.handoversOf(fleet)).to.equal(1n);
    });
  });

  // -------------------------------------------------------------- wrong callers

  describe("wrong callers", () => {
    type Contested = Awaited<ReturnType<typeof deployContested>>;
    type Attempt = (by: RoleRegistry, fixture: Contested, caller: HardhatEthersSigner) => Promise<unknown>;

    const BY_GOVERNOR_OR_ADMIN: Record<string, Attempt> = {
      "setRoles that gives roles": (by, { fleet, stranger }) =>
        by.setRoles(fleet, stranger, mask(GATEWAY), 0, FOR_EVER),
      "setRoles that removes a member": (by, { fleet, memberWithoutPermission: member }) =>
        by.setRoles(fleet, member, 0, 0, 0),
    };
    const BY_GOVERNOR: Record<string, Attempt> = {
      defineRole: (by, { fleet }) => by.defineRole(fleet, OWN, permissions("ReadLive")),
      declareExclusive: (by, { fleet }) => by.declareExclusive(fleet, OPERATOR, AUDITOR),
      revokeAllRoles: (by, { fleet }) => by.revokeAllRoles(fleet),
      "proposeGovernor to oneself": (by, { fleet }, caller) => by.proposeGovernor(fleet, caller),
      "proposeGovernor that withdraws": (by, { fleet }) => by.proposeGovernor(fleet, ethers.ZeroAddress),
    };

    for (const [action, attempt] of Object.entries(BY_GOVERNOR_OR_ADMIN)) {
      for (const [name, description] of NEVER_MANAGERS) {
        it(`${action} is refused to ${description}`, async () => {
          const fixture = await loadFixture(deployContested);
          const { registry, fleet, [name]: caller } = fixture;
          await expect(attempt(registry.connect(caller), fixture, caller))
            .to.be.revertedWithCustomError(registry, "CallerLacksPermission")
            .withArgs(fleet, caller.address, MANAGE_ROLES);
        });
      }

      it(`${action} is open to the governor and to an Admin`, async () => {
        for (const name of ["owner", "admin"] as const) {
          const fixture = await loadFixture(deployContested);
          const { registry, [name]: caller } = fixture;
          await expect(attempt(registry.connect(caller), fixture, caller)).to.emit(registry, "RolesSet");
        }
      });
    }

    for (const [action, attempt] of Object.entries(BY_GOVERNOR)) {
      for (const [name, description] of [...NEVER_MANAGERS, ["admin", "an Admin of the fleet"]] as const) {
        it(`${action} is refused to ${description}`, async () => {
          const fixture = await loadFixture(deployContested);
          const { registry, fleet, [name]: caller } = fixture;
          await expect(attempt(registry.connect(caller), fixture, caller))
            .to.be.revertedWithCustomError(registry, "CallerNotGovernor")
            .withArgs(fleet, caller.address);
        });
      }
    }

    const NEVER_SUCCESSORS = [
      ...NEVER_MANAGERS.filter(([name]) => name !== "successor"),
      ["admin", "an Admin of the fleet"],
      ["owner", "the governor itself"],
    ] as const;
    for (const [name, description] of NEVER_SUCCESSORS) {
      it(`acceptGovernor is refused to ${description}`, async () => {
        const { registry, fleet, [name]: caller } = await loadFixture(deployContested);
        for (const keepRoles of [true, false]) {
          await expect(registry.connect(caller).acceptGovernor(fleet, keepRoles))
            .to.be.revertedWithCustomError(registry, "CallerNotPendingGovernor")
            .withArgs(fleet, caller.address);
        }
      });
    }

    it("nobody acts for another's account, whatever roles they hold in their own fleet", async () => {
      const { registry, account, stranger, member } = await loadFixture(deploy);
      const byStranger = registry.connect(stranger);
      await byStranger.setRoles(stranger.address, stranger.address, 0xffffn, 0, FOR_EVER);
      await expect(byStranger.setRoles(account.address, member.address, mask(GATEWAY), 0, FOR_EVER))
        .to.be.revertedWithCustomError(registry, "CallerLacksPermission")
        .withArgs(account.address, stranger.address, MANAGE_ROLES);
      await expect(byStranger.revokeAllRoles(account.address))
        .to.be.revertedWithCustomError(registry, "CallerNotGovernor")
        .withArgs(account.address, stranger.address);
    });
  });

  // -------------------------------------------------------------- batches

  describe("batches", () => {
    /** The calls that make a fleet with its whole team, for an account. */
    async function wholeTeam({ registry, account, admin, member, successor }: Awaited<ReturnType<typeof deploy>>) {
      const fleet = await registry.fleetIdOf(account.address, NORTH);
      const encode = registry.interface;
      const calls = [
        encode.encodeFunctionData("createFleet", [NORTH]),
        encode.encodeFunctionData("defineRole", [fleet, 8, permissions("ReadLocation")]),
        encode.encodeFunctionData("declareExclusive", [fleet, OPERATOR, AUDITOR]),
        encode.encodeFunctionData("setRoles", [fleet, admin.address, mask(ADMIN), 0, FOR_EVER]),
        encode.encodeFunctionData("setRoles", [fleet, member.address, mask(GATEWAY, 8n), 0, FOR_EVER]),
        encode.encodeFunctionData("proposeGovernor", [fleet, successor.address]),
      ];
      return { fleet, calls };
    }

    async function eventNames(registry: RoleRegistry, sent: ContractTransactionResponse) {
      return (await sent.wait())?.logs.map((log) => registry.interface.parseLog(log)?.name);
    }

    for (const batch of ["multicall", "tryMulticall"] as const) {
      it(`${batch} creates a fleet with its whole team in one transaction`, async () => {
        const actors = await loadFixture(deploy);
        const { registry, account, admin, member, successor } = actors;
        const { fleet, calls } = await wholeTeam(actors);
        const sent = await registry.connect(account)[batch](calls);

        expect(await eventNames(registry, sent)).to.deep.equal([
          "FleetCreated",
          "RoleDefined",
          "RolesDeclaredExclusive",
          "RolesSet",
          "RolesSet",
          "GovernorProposed",
        ]);
        expect(await registry.governorOf(fleet)).to.equal(account.address);
        expect(await registry.permissionsOf(fleet, admin.address)).to.equal(ALL);
        expect(await registry.permissionsOf(fleet, member.address)).to.equal(
          permissions("ReadLive", "ReadLocation", "Anchor", "ReportInstall"),
        );
        expect(await registry.areExclusive(fleet, AUDITOR, OPERATOR)).to.equal(true);
        expect(await registry.pendingGovernorOf(fleet)).to.equal(successor.address);
      });

      it(`${batch} takes no ether`, async () => {
        const { registry, account } = await loadFixture(deploy);
        const data = registry.interface.encodeFunctionData(batch as "multicall", [[]]);
        await expect(account.sendTransaction({ to: registry, data, value: 1n })).to.revert(ethers);
      });
    }

    it("multicall is all or nothing, with the error of the call that failed", async () => {
      const { registry, fleet, account, member, stranger } = await loadFixture(deploy);
      const encode = registry.interface;
      await expect(
        registry
          .connect(account)
          .multicall([
            encode.encodeFunctionData("setRoles", [fleet, member.address, mask(GATEWAY), 0, FOR_EVER]),
            encode.encodeFunctionData("revokeAllRoles", [stranger.address]),
          ]),
      )
        .to.be.revertedWithCustomError(registry, "CallerNotGovernor")
        .withArgs(stranger.address, account.address);
      expect(await registry.rolesOf(fleet, member.address)).to.equal(0n);
    });

    it("multicall answers questions, all of one block", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      await registry.connect(account).setRoles(fleet, member.address, mask(MAKER), 3, FOR_EVER);
      const answers = await registry.multicall.staticCall([
        registry.interface.encodeFunctionData("governorOf", [fleet]),
        registry.interface.encodeFunctionData("authorityOf", [fleet, member.address]),
      ]);
      expect(registry.interface.decodeFunctionResult("governorOf", answers[0]!)[0]).to.equal(account.address);
      const authority = registry.interface.decodeFunctionResult("authorityOf", answers[1]!);
      expect([...authority]).to.deep.equal([false, permissions("PublishManifest"), FOR_EVER]);
    });

    it("tryMulticall skips what is refused, says which and why, and does the rest", async () => {
      const actors = await loadFixture(deploy);
      const { registry, account, admin, member, stranger, colleague } = actors;
      const { fleet, calls } = await wholeTeam(actors);
      const encode = registry.interface;
      const byAccount = registry.connect(account);
      const [createFleet, defineRole, declareExclusive, giveAdmin, giveMember, propose] = calls as [
        string,
        string,
        string,
        string,
        string,
        string,
      ];
      const refused: [call: string, error: string, args: unknown[]][] = [
        [createFleet, "FleetExists", [fleet]],
        [encode.encodeFunctionData("defineRole", [fleet, 7, permissions("ReadLive")]), "RoleNotDefinable", [7]],
        [encode.encodeFunctionData("defineRole", [fleet, 8, MANAGE_ROLES]), "PermissionsNotAllowed", [MANAGE_ROLES]],
        [
          encode.encodeFunctionData("declareExclusive", [fleet, AUDITOR, OPERATOR]),
          "ExclusionExists",
          [fleet, AUDITOR, OPERATOR],
        ],
        [
          encode.encodeFunctionData("setRoles", [fleet, colleague.address, mask(OPERATOR, AUDITOR), 0, FOR_EVER]),
          "RolesExclusive",
          [fleet, OPERATOR, AUDITOR],
        ],
        [
          encode.encodeFunctionData("setRoles", [fleet, colleague.address, 0, 0, 0]),
          "RolesNotHeld",
          [fleet, colleague.address],
        ],
        [encode.encodeFunctionData("setRoles", [fleet, idOf(9), mask(GATEWAY), 0, FOR_EVER]), "IdReserved", [idOf(9)]],
        [
          encode.encodeFunctionData("setRoles", [fleet, colleague.address, mask(GATEWAY), 5, 5]),
          "WindowInvalid",
          [5, 5],
        ],
        [
          encode.encodeFunctionData("revokeAllRoles", [stranger.address]),
          "CallerNotGovernor",
          [stranger.address, account.address],
        ],
        [encode.encodeFunctionData("renounceRoles", [fleet]), "RolesNotHeld", [fleet, account.address]],
        [
          encode.encodeFunctionData("acceptGovernor", [fleet, true]),
          "CallerNotPendingGovernor",
          [fleet, account.address],
        ],
        [
          encode.encodeFunctionData("proposeGovernor", [stranger.address, account.address]),
          "FleetNotHandle",
          [stranger.address],
        ],
      ];
      const all = [
        ...[createFleet, defineRole, declareExclusive, giveAdmin],
        ...refused.map(([call]) => call),
        ...[giveMember, propose],
      ];
      const done = await byAccount.tryMulticall.staticCall(all);
      expect([...done]).to.deep.equal(all.map((_, i) => i < 4 || i >= 4 + refused.length));

      const sent = await byAccount.tryMulticall(all);
      const logs = (await sent.wait())?.logs.map((log) => registry.interface.parseLog(log)!) ?? [];
      const skipped = logs.filter(({ name }) => name === "CallSkipped").map(({ args }) => [...args] as unknown[]);
      expect(skipped).to.deep.equal(
        refused.map(([call, error, args], i) => [
          BigInt(4 + i),
          call.slice(0, 10),
          registry.interface.encodeErrorResult(error as "FleetExists", args as [string]),
        ]),
      );
      expect(logs).to.have.length(6 + refused.length);
      expect(await registry.rolesOf(fleet, admin.address)).to.equal(mask(ADMIN));
      expect(await registry.rolesOf(fleet, member.address)).to.equal(mask(GATEWAY, 8n));
      expect(await registry.rolesOf(fleet, colleague.address)).to.equal(0n);
      expect(await registry.rolePermissions(fleet, 8)).to.equal(permissions("ReadLocation"));
    });

    it("a later call of a batch sees what an earlier one did", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const encode = registry.interface;
      const give = encode.encodeFunctionData("setRoles", [fleet, member.address, mask(OPERATOR, AUDITOR), 0, FOR_EVER]);
      const exclude = encode.encodeFunctionData("declareExclusive", [fleet, OPERATOR, AUDITOR]);
      const done = await registry.connect(account).tryMulticall.staticCall([give, exclude, give]);
      expect([...done]).to.deep.equal([true, true, false]);
    });

    it("tryMulticall reverts for a call that fails without a reason, and names it", async () => {
      const { registry, fleet, account, member } = await loadFixture(deploy);
      const give = registry.interface.encodeFunctionData("setRoles", [
        fleet,
        member.address,
        mask(GATEWAY),
        0,
        FOR_EVER,
      ]);
      for (const broken of [
        "0x",
        "0x12345678",
        give.slice(0, -2),
        registry.interface.getFunction("setRoles").selector,
      ]) {
        await expect(registry.connect(account).tryMulticall([give, broken]))
          .to.be.revertedWithCustomError(registry, "CallBroken")
          .withArgs(1);
      }
      expect(await registry.rolesOf(fleet, member.address)).to.equal(0n);
    });

    describe("by a wrong caller", () => {
      const ZERO = ethers.ZeroAddress;

      for (const [name, description] of NEVER_MANAGERS) {
        it(`do nothing for ${description}`, async () => {
          const fixture = await loadFixture(deployContested);
          const { registry, fleet, stranger, [name]: caller } = fixture;
          const { address } = caller;
          const encode = registry.interface;
          const notManager = encode.encodeErrorResult("CallerLacksPermission", [fleet, address, MANAGE_ROLES]);
          const notGovernor = encode.encodeErrorResult("CallerNotGovernor", [fleet, address]);
          const tries: [call: string, reason: string][] = [
            [encode.encodeFunctionData("setRoles", [fleet, stranger.address, mask(GATEWAY), 0, FOR_EVER]), notManager],
            [encode.encodeFunctionData("setRoles", [fleet, address, mask(ADMIN), 0, FOR_EVER]), notManager],
            [encode.encodeFunctionData("defineRole", [fleet, OWN, permissions("ReadLive")]), notGovernor],
            [encode.encodeFunctionData("declareExclusive", [fleet, OPERATOR, AUDITOR]), notGovernor],
            [encode.encodeFunctionData("revokeAllRoles", [fleet]), notGovernor],
            [encode.encodeFunctionData("proposeGovernor", [fleet, address]), notGovernor],
            [encode.encodeFunctionData("proposeGovernor", [fleet, ZERO]), notGovernor],
          ];
          if (name !== "successor") {
            const notPending = encode.encodeErrorResult("CallerNotPendingGovernor", [fleet, address]);
            tries.push([encode.encodeFunctionData("acceptGovernor", [fleet, true]), notPending]);
          }
          const calls = tries.map(([call]) => call);
          // A batch in a batch is still the sender's own.
          const nested = encode.encodeFunctionData("tryMulticall", [calls]);
          for (const [batch, copies] of [
            [calls, 1],
            [[nested, ...calls], 2],
          ] as const) {
            const sent = await registry.connect(caller).tryMulticall([...batch]);
            const skipped = (await sent.wait())!.logs.map((log) => registry.interface.parseLog(log)!);
            expect(new Set(skipped.map((event) => event.name))).to.deep.equal(new Set(["CallSkipped"]));
            const reasons = Array.from({ length: copies }, () => tries.map(([, reason]) => reason)).flat();
            expect(skipped.map(({ args }) => args.reason as string)).to.deep.equal(reasons);
          }
          for (const call of calls) await expect(registry.connect(caller).multicall([call])).to.revert(ethers);
        });
      }
    });
  });
});
