import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { expect } from "chai";
import { getAddress, id, toBeHex } from "ethers";

import { accountKey, createP256Key } from "../client/keys.js";

import {
  deployAccess,
  enrollForAccount,
  expectReason,
  GRANTABLE,
  grantWord,
  PERMISSION,
  READ,
  revokeAll,
  sendGrant,
  suspend,
  type Access,
} from "./support/access.js";
import { DAY, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { enrollDevice, ROLE } from "./support/fleet.js";
import { sendSignedGrant, sendSignedRevocation } from "./support/signed-access.js";
import { structOf } from "./support/struct.js";

const { ReadLive, ReadHistory, ReadLocation, ReadMetadata, Command, Audit, Share } = PERMISSION;
/** The fleet's own role that lets its members share what they read. */
const DATA_STEWARD = 8n;
/** What a data steward may do. */
const STEWARDSHIP = Share | ReadLive | ReadHistory;

interface SharedFleet extends Access {
  /** A member with Share in the fleet's own role, for 100 days. */
  steward: HardhatEthersSigner;
  /** Unix seconds of the first moment at which the steward is no longer one. */
  until: bigint;
}

async function deployShare(): Promise<SharedFleet> {
  const suite = await deployAccess();
  const { roles, actors, fleet } = suite;
  const until = (await now()) + 100n * DAY;
  await roles.connect(actors.owner).defineRole(fleet, DATA_STEWARD, STEWARDSHIP);
  await roles.connect(actors.owner).setRoles(fleet, actors.gateway, 1n << DATA_STEWARD, 0n, until);
  return { ...suite, steward: actors.gateway, until };
}

/** A grant of the P-256 device to the subject. */
const given = ({ p256Device, actors }: Access) => ({ device: p256Device.id, subject: actors.subject.address });

describe("DataAccess's members with Share", () => {
  // ------------------------------------------------------------------ what they give

  describe("grants", () => {
    it("are given as they are asked for, and say that they are not the owner's", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device, steward, until } = suite;
      const terms = {
        permissions: ReadLive | ReadHistory,
        purposes: 0b110n,
        notBefore: (await now()) - DAY,
        expiry: until,
        epoch: 1n,
        seq: 1n,
      };

      await expect(sendGrant(suite, steward, { ...given(suite), ...terms, termsHash: id("terms") }))
        .to.emit(access, "AccessGranted")
        .withArgs(p256Device.id, actors.subject, steward, grantWord({ ...terms, byOwner: false }), id("terms"));

      expect(structOf(await access.grantOf(p256Device.id, actors.subject))).to.deep.equal({ ...terms, byOwner: false });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive | ReadHistory, "Grant", 2n);
    });

    it("can be signed and relayed", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device, steward } = suite;
      await sendSignedGrant(suite, steward);

      expect((await access.grantOf(p256Device.id, actors.subject)).byOwner).to.equal(false);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
    });

    it("hold nothing that the member may not do itself", async () => {
      const suite = await loadFixture(deployShare);
      const { access, steward } = suite;

      for (let bit = 0n; bit < 7n; bit++) {
        const permissions = 1n << bit;
        if ((STEWARDSHIP & permissions) !== 0n) {
          await sendGrant(suite, steward, { ...given(suite), permissions });
          continue;
        }
        for (const mask of [permissions, permissions | ReadLive]) {
          await expect(sendGrant(suite, steward, { ...given(suite), permissions: mask }))
            .to.be.revertedWithCustomError(access, "PermissionsBeyondCaller")
            .withArgs(mask, STEWARDSHIP);
          await expect(sendSignedGrant(suite, steward, { permissions: mask }))
            .to.be.revertedWithCustomError(access, "PermissionsBeyondCaller")
            .withArgs(mask, STEWARDSHIP);
        }
      }
    });

    it("never pass Share on, whoever gives", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, steward } = suite;

      for (const by of [steward, actors.admin, actors.owner]) {
        await expect(sendGrant(suite, by, { ...given(suite), permissions: Share | ReadLive }))
          .to.be.revertedWithCustomError(access, "PermissionsNotGrantable")
          .withArgs(Share | ReadLive);
      }
    });

    it("put together what several roles of the member permit", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet, p256Device, steward, until } = suite;
      await roles.connect(actors.owner).setRoles(fleet, steward, (1n << DATA_STEWARD) | ROLE.Auditor, 0n, until);
      await sendGrant(suite, steward, { ...given(suite), permissions: ReadLive | ReadMetadata | Audit });

      expect((await access.grantOf(p256Device.id, actors.subject)).permissions).to.equal(
        ReadLive | ReadMetadata | Audit,
      );
      await expect(sendGrant(suite, steward, { ...given(suite), permissions: ReadLocation }))
        .to.be.revertedWithCustomError(access, "PermissionsBeyondCaller")
        .withArgs(ReadLocation, STEWARDSHIP | ReadMetadata | Audit);
    });

    it("end no later than the member's roles", async () => {
      const suite = await loadFixture(deployShare);
      const { access, steward, until } = suite;

      for (const expiry of [until + 1n, FOR_EVER]) {
        await expect(sendGrant(suite, steward, { ...given(suite), expiry }))
          .to.be.revertedWithCustomError(access, "ExpiryBeyondCaller")
          .withArgs(expiry, until);
        await expect(sendSignedGrant(suite, steward, { expiry }))
          .to.be.revertedWithCustomError(access, "ExpiryBeyondCaller")
          .withArgs(expiry, until);
      }
      await sendGrant(suite, steward, { ...given(suite), expiry: until });
    });

    it("may serve any purpose, and begin before or after the member did", async () => {
      const suite = await loadFixture(deployShare);
      const { actors, p256Device, steward, until } = suite;
      const purposes = 2n ** 32n - 1n;
      await sendGrant(suite, steward, { ...given(suite), purposes, notBefore: 0n });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant", 31n);
      await sendGrant(suite, steward, { ...given(suite), purposes, notBefore: until - 1n, expiry: until });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "NotYetValid", 31n);
    });

    it("are an Admin's too: all that can be granted, for ever", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device } = suite;
      await sendGrant(suite, actors.admin, { ...given(suite), permissions: GRANTABLE, expiry: FOR_EVER });

      const { permissions, byOwner } = await access.grantOf(p256Device.id, actors.subject);
      expect({ permissions, byOwner }).to.deep.equal({ permissions: GRANTABLE, byOwner: false });
    });

    it("need Share now: not before the membership, not from its last moment on, and not without the bit", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet, p256Device } = suite;
      const member = actors.security;
      const [begins, ends] = [(await now()) + 10n * DAY, (await now()) + 20n * DAY];
      await roles.connect(actors.owner).setRoles(fleet, member, 1n << DATA_STEWARD, begins, ends);
      const grant = () => sendGrant(suite, member, { ...given(suite), expiry: ends });
      const expectRefused = (sent: Promise<unknown>) =>
        expect(sent).to.be.revertedWithCustomError(access, "CallerLacksPermission").withArgs(fleet, member, Share);

      await networkHelpers.time.setNextBlockTimestamp(begins - 1n);
      await expectRefused(grant());
      await networkHelpers.time.setNextBlockTimestamp(begins);
      await grant();
      await networkHelpers.time.setNextBlockTimestamp(ends - 1n);
      await grant();
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(2n);
      await networkHelpers.time.setNextBlockTimestamp(ends);
      await expectRefused(sendGrant(suite, member, { ...given(suite), expiry: ends + 1n }));
      await expectRefused(access.connect(member).revoke(p256Device.id, actors.subject));

      await roles.connect(actors.owner).setRoles(fleet, member, 1n << DATA_STEWARD, 0n, FOR_EVER);
      await roles.connect(actors.owner).defineRole(fleet, DATA_STEWARD, ReadLive | ReadHistory);
      await expectRefused(sendGrant(suite, member, given(suite)));
      await expectRefused(sendSignedGrant(suite, member));
    });

    it("are not a member's of another fleet, nor of an earlier role epoch", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet, steward } = suite;
      const { owner, key } = await enrollForAccount(suite);

      await expect(sendGrant(suite, steward, { device: key.id, subject: actors.subject.address }))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(owner, steward, Share);
      await roles.connect(actors.owner).revokeAllRoles(fleet);
      await expect(sendGrant(suite, steward, given(suite)))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(fleet, steward, Share);
    });

    it("outlive the role of who gave them, until somebody revokes them", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet, p256Device, steward } = suite;
      await sendGrant(suite, steward, given(suite));
      await roles.connect(actors.owner).setRoles(fleet, steward, 0n, 0n, 0n);

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
      await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
    });

    it("stay within the policy, which only the owner and the device set", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, fleet, p256Device, steward } = suite;
      await access.connect(actors.owner).setPolicy(p256Device.id, ReadHistory, 0n, 0b10n);
      await sendGrant(suite, steward, { ...given(suite), permissions: ReadLive | ReadHistory });

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "OwnerPolicy");
      await expectReason(suite, p256Device.id, actors.subject, ReadHistory, "Grant");
      for (const member of [steward, actors.admin]) {
        await expect(access.connect(member).setPolicy(p256Device.id, GRANTABLE, READ, 0b10n))
          .to.be.revertedWithCustomError(access, "CallerNotGovernor")
          .withArgs(fleet, member);
      }
    });

    it("are refused on a retired device, for a reserved id and for what nobody enrolled", async () => {
      const suite = await loadFixture(deployShare);
      const { access, devices, actors, p256Device, accountDevice, steward } = suite;
      const reserved = getAddress(toBeHex(0xffff, 20));
      const unknown = createP256Key().id;

      await expect(sendGrant(suite, steward, { device: accountDevice.id, subject: reserved }))
        .to.be.revertedWithCustomError(access, "IdReserved")
        .withArgs(reserved);
      await expect(sendGrant(suite, steward, { ...given(suite), device: unknown }))
        .to.be.revertedWithCustomError(access, "DeviceNotEnrolled")
        .withArgs(unknown);
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(sendGrant(suite, steward, given(suite)))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
    });
  });

  // ------------------------------------------------------------------ the owner's grants

  describe("the owner's grants", () => {
    const refusedAsStanding = async (suite: SharedFleet) => {
      const { access, actors, p256Device, steward } = suite;
      const before = structOf(await access.grantOf(p256Device.id, actors.subject));
      for (const member of [steward, actors.admin]) {
        for (const sent of [() => sendGrant(suite, member, given(suite)), () => sendSignedGrant(suite, member)]) {
          await expect(sent())
            .to.be.revertedWithCustomError(access, "OwnerGrantStands")
            .withArgs(p256Device.id, actors.subject);
        }
      }
      expect(structOf(await access.grantOf(p256Device.id, actors.subject))).to.deep.equal(before);
    };

    it("stand: a member neither widens nor narrows them", async () => {
      const suite = await loadFixture(deployShare);
      await sendGrant(suite, suite.actors.owner, { ...given(suite), permissions: ReadLive });
      await refusedAsStanding(suite);
    });

    it("stand also if they were signed, or do not hold yet", async () => {
      const suite = await loadFixture(deployShare);
      await sendSignedGrant(suite, suite.actors.owner, { notBefore: (await now()) + 5n * DAY });
      await refusedAsStanding(suite);
    });

    it("stand while the device is suspended, and after the governor changed", async () => {
      const suite = await loadFixture(deployShare);
      const { roles, actors, fleet } = suite;
      await sendGrant(suite, actors.owner, given(suite));
      await suspend(suite);
      await refusedAsStanding(suite);
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);
      await refusedAsStanding(suite);
    });

    it("stand to their last second, and give way when they expired", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device, steward } = suite;
      const expiry = (await now()) + DAY;
      await sendGrant(suite, actors.owner, { ...given(suite), expiry });
      await networkHelpers.time.setNextBlockTimestamp(expiry - 1n);
      await expect(sendGrant(suite, steward, given(suite))).to.be.revertedWithCustomError(access, "OwnerGrantStands");
      await networkHelpers.time.setNextBlockTimestamp(expiry);
      await sendGrant(suite, steward, given(suite));

      const { byOwner, seq } = await access.grantOf(p256Device.id, actors.subject);
      expect({ byOwner, seq }).to.deep.equal({ byOwner: false, seq: 2n });
    });

    it("give way when the epoch ended, when they were revoked and when they were renounced", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device, steward } = suite;
      const ends = [
        () => revokeAll(suite),
        () => access.connect(actors.owner).revoke(p256Device.id, actors.subject),
        () => access.connect(steward).revoke(p256Device.id, actors.subject),
        () => access.connect(actors.subject).renounce(p256Device.id),
      ];

      for (const end of ends) {
        await sendGrant(suite, actors.owner, given(suite));
        await end();
        await sendGrant(suite, steward, given(suite));
        expect((await access.grantOf(p256Device.id, actors.subject)).byOwner).to.equal(false);
      }
    });

    it("replace what a member gave, and a member replaces what a member gave", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device, steward } = suite;
      const now_ = async () => {
        const { permissions, byOwner, seq } = await access.grantOf(p256Device.id, actors.subject);
        return { permissions, byOwner, seq };
      };
      await sendGrant(suite, actors.admin, { ...given(suite), permissions: GRANTABLE });
      await sendGrant(suite, steward, { ...given(suite), permissions: ReadHistory });
      expect(await now_()).to.deep.equal({ permissions: ReadHistory, byOwner: false, seq: 2n });
      await sendGrant(suite, actors.owner, { ...given(suite), permissions: Command });
      expect(await now_()).to.deep.equal({ permissions: Command, byOwner: true, seq: 3n });
    });

    it("are the governor's of a handle, and the account's own where no handle is", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device } = suite;
      const { owner, key } = await enrollForAccount(suite);
      await sendGrant(suite, actors.owner, given(suite));
      await sendGrant(suite, owner, { device: key.id, subject: actors.subject.address });
      await sendSignedGrant(suite, owner, { device: key.id });

      expect((await access.grantOf(p256Device.id, actors.subject)).byOwner).to.equal(true);
      expect((await access.grantOf(key.id, actors.subject)).byOwner).to.equal(true);
    });

    it("are the governor's also where the governor is a member besides", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet, p256Device, until } = suite;
      await roles.connect(actors.owner).setRoles(fleet, actors.owner, 1n << DATA_STEWARD, 0n, until);
      await sendGrant(suite, actors.owner, { ...given(suite), permissions: GRANTABLE, expiry: FOR_EVER });

      expect((await access.grantOf(p256Device.id, actors.subject)).byOwner).to.equal(true);
    });
  });

  // ------------------------------------------------------------------ what they end

  describe("revokes", () => {
    it("end whatever anyone gave, on a device in whatever state", async () => {
      const suite = await loadFixture(deployShare);
      const { access, devices, actors, p256Device, steward } = suite;
      const revoke = () => access.connect(steward).revoke(p256Device.id, actors.subject);
      const states = [
        () => Promise.resolve(),
        () => suspend(suite),
        () => devices.connect(actors.owner).retire(p256Device.id),
      ];
      const gives = [
        () => sendGrant(suite, actors.owner, { ...given(suite), permissions: GRANTABLE, expiry: FOR_EVER }),
        () => sendGrant(suite, actors.owner, given(suite)),
        () => Promise.resolve(),
      ];

      for (const [index, become] of states.entries()) {
        await gives[index]!();
        await become();
        await expect(revoke())
          .to.emit(access, "AccessRevoked")
          .withArgs(p256Device.id, actors.subject, steward, [2n, 4n, 5n][index]);
        expect((await access.grantOf(p256Device.id, actors.subject)).permissions).to.equal(0n);
      }
    });

    it("can be signed and relayed", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, p256Device, steward } = suite;
      await sendGrant(suite, actors.owner, given(suite));

      await expect(sendSignedRevocation(suite, steward))
        .to.emit(access, "AccessRevoked")
        .withArgs(p256Device.id, actors.subject, steward, 3n);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
    });
  });

  // ------------------------------------------------------------------ mixed-up authority

  describe("authority", () => {
    it("is not lent by ids: a fleet handle, a device and a zero grantor give nothing", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, fleet, otherFleet, p256Device, accountDevice } = suite;
      const relayer = access.connect(actors.relayer);
      const terms = {
        ...given(suite),
        permissions: ReadLive,
        purposes: 0b10n,
        notBefore: 0n,
        expiry: FOR_EVER,
        termsHash: id("terms"),
        epoch: 1n,
        seq: 0n,
        deadline: FOR_EVER,
      };
      const precompile = getAddress(toBeHex(1, 20));

      // The handle owns the device, but has no key: whatever is sent in its name is no signature of it.
      for (const signature of ["0x", `0x${"00".repeat(65)}`, `0x${"00".repeat(64)}1b`]) {
        await expect(relayer.grantWithSignature({ ...terms, grantor: fleet }, signature)).to.be.revertedWithCustomError(
          access,
          "SignatureInvalid",
        );
      }
      for (const grantor of [otherFleet, p256Device.id, accountDevice.id, `0x${"00".repeat(20)}`, precompile]) {
        await expect(relayer.grantWithSignature({ ...terms, grantor }, "0x"), grantor)
          .to.be.revertedWithCustomError(access, "CallerLacksPermission")
          .withArgs(fleet, grantor, Share);
      }
    });

    it("is not lent by another fleet: its governor gives nothing of this fleet's device", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet } = suite;
      await roles.connect(actors.stranger).createFleet(id("stranger's"));

      for (const sent of [
        () => sendGrant(suite, actors.stranger, given(suite)),
        () => sendSignedGrant(suite, actors.stranger),
      ]) {
        await expect(sent())
          .to.be.revertedWithCustomError(access, "CallerLacksPermission")
          .withArgs(fleet, actors.stranger, Share);
      }
    });

    it("of a former governor who stayed as a member is a member's", async () => {
      const suite = await loadFixture(deployShare);
      const { access, roles, actors, fleet, p256Device, until } = suite;
      await roles.connect(actors.owner).setRoles(fleet, actors.owner, 1n << DATA_STEWARD, 0n, until);
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);

      await expect(sendGrant(suite, actors.owner, { ...given(suite), permissions: Command }))
        .to.be.revertedWithCustomError(access, "PermissionsBeyondCaller")
        .withArgs(Command, STEWARDSHIP);
      await sendSignedGrant(suite, actors.owner);
      expect((await access.grantOf(p256Device.id, actors.subject)).byOwner).to.equal(false);
    });

    it("of a device over itself is its owner's alone, unless it owns itself", async () => {
      const suite = await loadFixture(deployShare);
      const { access, actors, fleet, accountDevice } = suite;
      const terms = { device: accountDevice.id, subject: actors.subject.address };

      await expect(sendGrant(suite, actors.device, terms))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(fleet, actors.device, Share);
      const own = await accountKey(actors.maker);
      await enrollDevice(suite, { key: own, owner: own.id, by: actors.maker });
      await sendGrant(suite, actors.maker, { ...terms, device: own.id });
      expect((await access.grantOf(own.id, actors.subject)).byOwner).to.equal(true);
    });

    it("of a member over its own access goes as far as over others'", async () => {
      const suite = await loadFixture(deployShare);
      const { access, p256Device, steward, until } = suite;
      const own = { device: p256Device.id, subject: steward.address };

      await expect(sendGrant(suite, steward, { ...own, permissions: Command }))
        .to.be.revertedWithCustomError(access, "PermissionsBeyondCaller")
        .withArgs(Command, STEWARDSHIP);
      await expect(sendGrant(suite, steward, { ...own, expiry: FOR_EVER }))
        .to.be.revertedWithCustomError(access, "ExpiryBeyondCaller")
        .withArgs(FOR_EVER, until);
    });
  });
});
