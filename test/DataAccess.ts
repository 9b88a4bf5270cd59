import { expect } from "chai";
import { getAddress, id, keccak256, toBeHex, ZeroAddress } from "ethers";
import { network } from "hardhat";

import { accountKey, createP256Key, Scheme } from "../client/keys.js";
import { messageDigest } from "../client/typed-data.js";
import {
  IBatch__factory,
  IDataAccess__factory,
  IDeviceRegistry__factory,
  IRegistry__factory,
  KeyProofs__factory,
} from "../typechain-types/index.js";

import {
  ALL_PURPOSES,
  deployAccess,
  enrollForAccount,
  expectReason,
  GRANTABLE,
  grantWord,
  nextDevicePolicy,
  PERMISSION,
  policyMessage,
  READ,
  revokeAll,
  sendDevicePolicy,
  sendGrant,
  suspend,
  UNSET,
  type Access,
} from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { deployFleet, enrollDevice, wrongCallers } from "./support/fleet.js";
import { interfaceIdOf, REGISTRY_INTERFACE_IDS } from "./support/interface-id.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";

const TERMS = id("terms of the maintenance contract");
const { ReadLive, ReadHistory, ReadLocation, ReadMetadata, Command, Audit, Share } = PERMISSION;
const NEVER_ENROLLED = createP256Key().id;
const LAST_RESERVED = getAddress(toBeHex(0xffff, 20));
const FIRST_USABLE = toBeHex(0x10000, 20);
const ARITHMETIC_OVERFLOW = 0x11;

/** The slot of a grant's word: the mapping is the third thing that the contract stores. */
function grantSlot(device: string, subject: string): string {
  const coder = ethers.AbiCoder.defaultAbiCoder();
  const ofDevice = keccak256(coder.encode(["address", "uint256"], [device, 2]));
  return keccak256(coder.encode(["address", "bytes32"], [subject, ofDevice]));
}

function policySlot(device: string): string {
  return keccak256(ethers.AbiCoder.defaultAbiCoder().encode(["address", "uint256"], [device, 3]));
}

async function wordAt({ access }: Access, slot: string): Promise<bigint> {
  return BigInt(await networkHelpers.getStorageAt(await access.getAddress(), slot));
}

describe("DataAccess", () => {
  // ------------------------------------------------------------------ the contract

  describe("deployment", () => {
    it("keeps the registries that it asks", async () => {
      const { access, roles, devices } = await loadFixture(deployAccess);

      expect(await access.ROLE_REGISTRY()).to.equal(await roles.getAddress());
      expect(await access.DEVICE_REGISTRY()).to.equal(await devices.getAddress());
    });

    it("says its version and its EIP-712 domain", async () => {
      const { access, chainId } = await loadFixture(deployAccess);

      const domain = await access.eip712Domain();
      expect(await access.version()).to.equal("0.1.0");
      expect(domain.name).to.equal("Touchstone DataAccess");
      expect(domain.version).to.equal("1");
      expect(domain.chainId).to.equal(chainId);
      expect(domain.verifyingContract).to.equal(await access.getAddress());
    });

    it("names the interfaces that it has, and no others", async () => {
      const { access } = await loadFixture(deployAccess);
      const own = interfaceIdOf(IDataAccess__factory, IRegistry__factory);

      for (const interfaceId of [own, interfaceIdOf(IBatch__factory), ...REGISTRY_INTERFACE_IDS]) {
        expect(await access.supportsInterface(interfaceId), interfaceId).to.equal(true);
      }
      for (const interfaceId of ["0xffffffff", "0x00000000", interfaceIdOf(IDeviceRegistry__factory)]) {
        expect(await access.supportsInterface(interfaceId), interfaceId).to.equal(false);
      }
    });

    it("is refused by a chain that cannot check P-256 signatures", async () => {
      const older = await network.create({ override: { hardfork: "prague" } });

      await expect(
        older.ethers.deployContract("DataAccess", [FIRST_USABLE, FIRST_USABLE]),
      ).to.be.revertedWithCustomError({ interface: KeyProofs__factory.createInterface() }, "P256PrecompileMissing");
    });
  });

  // ------------------------------------------------------------------ grants

  describe("grant", () => {
    it("gives the subject exactly this, and emits the word that is stored", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const expected = {
        permissions: ReadLive | Command,
        purposes: 0b110n,
        notBefore: (await now()) - DAY,
        expiry: (await now()) + DAY,
        epoch: 1n,
        seq: 1n,
      };

      const given = { device: p256Device.id, subject: actors.subject.address, ...expected, termsHash: TERMS };
      await expect(sendGrant(suite, actors.owner, given))
        .to.emit(access, "AccessGranted")
        .withArgs(p256Device.id, actors.subject, actors.owner, grantWord(expected), TERMS);

      expect(structOf(await access.grantOf(p256Device.id, actors.subject))).to.deep.equal({
        ...expected,
        byOwner: true,
      });
      expect(await wordAt(suite, grantSlot(p256Device.id, actors.subject.address))).to.equal(grantWord(expected));
      await expectReason(suite, p256Device.id, actors.subject, ReadLive | Command, "Grant", 2n);
    });

    it("is the owner's, also where the owner is an account", async () => {
      const suite = await loadFixture(deployAccess);
      const { owner, key } = await enrollForAccount(suite);

      await sendGrant(suite, owner, { device: key.id, subject: suite.actors.subject.address });

      await expectReason(suite, key.id, suite.actors.subject, ReadLive, "Grant");
    });

    it("follows the fleet to its next governor", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, roles, actors, fleet, p256Device } = suite;
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);
      const given = { device: p256Device.id, subject: actors.subject.address };

      await expect(sendGrant(suite, actors.owner, given))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(fleet, actors.owner, Share);
      await sendGrant(suite, actors.stranger, given);

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
    });

    it("replaces what the subject held, and raises seq", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const given = { device: p256Device.id, subject: actors.subject.address };
      await sendGrant(suite, actors.owner, { ...given, permissions: READ });
      await sendGrant(suite, actors.owner, { ...given, permissions: Audit, purposes: 0b1n });

      const { permissions, purposes, seq } = await access.grantOf(p256Device.id, actors.subject);
      expect({ permissions, purposes, seq }).to.deep.equal({ permissions: Audit, purposes: 0b1n, seq: 2n });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "PermissionNotGranted");
      await expectReason(suite, p256Device.id, actors.subject, Audit, "Grant", 0n);
    });

    it("belongs to one subject and one device", async () => {
      const suite = await loadFixture(deployAccess);
      const { actors, p256Device, accountDevice } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });

      await expectReason(suite, accountDevice.id, actors.subject, ReadLive, "NoGrant");
      await expectReason(suite, p256Device.id, actors.stranger, ReadLive, "NoGrant");
    });

    it("goes on counting in the next epoch", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const given = { device: p256Device.id, subject: actors.subject.address };
      await sendGrant(suite, actors.owner, given);
      await revokeAll(suite);
      await sendGrant(suite, actors.owner, given);

      const { epoch, seq } = await access.grantOf(p256Device.id, actors.subject);
      expect({ epoch, seq }).to.deep.equal({ epoch: 2n, seq: 2n });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
    });

    it("can be prepared while the device is suspended", async () => {
      const suite = await loadFixture(deployAccess);
      const { devices, actors, p256Device } = suite;
      await suspend(suite);
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "DeviceSuspended");

      await devices.connect(actors.owner).resume(p256Device.id, p256Device.publicKey);

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
    });

    it("can be wider than the policy, and then holds as far as the policy goes", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await access.connect(actors.owner).setPolicy(p256Device.id, ReadLive, 0n, ALL_PURPOSES);
      await sendGrant(suite, actors.owner, {
        device: p256Device.id,
        subject: actors.subject.address,
        permissions: ReadLive | ReadLocation,
      });

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
      await expectReason(suite, p256Device.id, actors.subject, ReadLocation, "OwnerPolicy");
    });

    it("takes every permission that can be granted, and no other", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const given = { device: p256Device.id, subject: actors.subject.address };

      for (let bit = 0n; bit < 32n; bit++) {
        const permissions = 1n << bit;
        if ((GRANTABLE & permissions) !== 0n) {
          await sendGrant(suite, actors.owner, { ...given, permissions });
          expect((await access.grantOf(p256Device.id, actors.subject)).permissions).to.equal(permissions);
        } else {
          await expect(sendGrant(suite, actors.owner, { ...given, permissions: permissions | ReadLive }))
            .to.be.revertedWithCustomError(access, "PermissionsNotGrantable")
            .withArgs(permissions | ReadLive);
        }
      }
    });

    it("refuses to grant nothing", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const given = { device: p256Device.id, subject: actors.subject.address };

      await expect(sendGrant(suite, actors.owner, { ...given, permissions: 0n }))
        .to.be.revertedWithCustomError(access, "PermissionsNotGrantable")
        .withArgs(0n);
      await expect(sendGrant(suite, actors.owner, { ...given, purposes: 0n })).to.be.revertedWithCustomError(
        access,
        "PurposesMissing",
      );
    });

    it("refuses a window that is empty or over, and takes the last second of one", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const given = { device: p256Device.id, subject: actors.subject.address };
      const time = (await now()) + DAY;
      const windows = [
        [time + 5n, time + 5n],
        [time + 6n, time + 5n],
        [FOR_EVER, FOR_EVER],
        [0n, time],
        [0n, 0n],
      ] as const;

      for (const [notBefore, expiry] of windows) {
        await networkHelpers.time.setNextBlockTimestamp(time);
        await expect(sendGrant(suite, actors.owner, { ...given, notBefore, expiry }))
          .to.be.revertedWithCustomError(access, "WindowInvalid")
          .withArgs(notBefore, expiry);
      }
      await networkHelpers.time.setNextBlockTimestamp(time);
      await sendGrant(suite, actors.owner, { ...given, notBefore: time, expiry: time + 1n });

      expect(await now()).to.equal(time);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
    });

    it("refuses reserved ids as subjects", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;

      for (const subject of [ZeroAddress, getAddress(toBeHex(1, 20)), LAST_RESERVED]) {
        await expect(sendGrant(suite, actors.owner, { device: p256Device.id, subject }))
          .to.be.revertedWithCustomError(access, "IdReserved")
          .withArgs(subject);
      }
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: FIRST_USABLE });
    });

    it("refuses a device that was never enrolled, or is retired", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      const subject = actors.subject.address;
      await devices.connect(actors.owner).retire(p256Device.id);

      await expect(sendGrant(suite, actors.owner, { device: NEVER_ENROLLED, subject }))
        .to.be.revertedWithCustomError(access, "DeviceNotEnrolled")
        .withArgs(NEVER_ENROLLED);
      await expect(sendGrant(suite, actors.owner, { device: p256Device.id, subject }))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
    });

    it("is of no device whose identity was given up before it was one", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors } = suite;
      const { address } = actors.stranger;
      await devices.connect(actors.stranger).changeOwner(address, ZeroAddress);
      const byOwner = access.connect(actors.owner);

      for (const call of [
        () => sendGrant(suite, actors.owner, { device: address, subject: FIRST_USABLE }),
        () => byOwner.setPolicy(address, 0n, 0n, 0n),
        () => byOwner.requestAccess(address, ReadLive, 1n, 0n, FOR_EVER, ethers.ZeroHash),
        () => byOwner.revoke(address, FIRST_USABLE),
      ]) {
        await expect(call()).to.be.revertedWithCustomError(access, "DeviceNotEnrolled").withArgs(address);
      }
    });

    it("ends before its sequence numbers do, and can be revoked to the last", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const subject = actors.subject.address;
      const last = 2n ** 32n - 1n;
      const grant = () => sendGrant(suite, actors.owner, { device: p256Device.id, subject });
      const revoke = () => access.connect(actors.owner).revoke(p256Device.id, subject);
      const slot = grantSlot(p256Device.id, subject);
      await networkHelpers.setStorageAt(await access.getAddress(), slot, toBeHex((last - 3n) << 168n, 32));

      await grant();
      expect((await access.grantOf(p256Device.id, subject)).seq).to.equal(last - 2n);
      await expect(grant()).to.be.revertedWithCustomError(access, "SeqExhausted").withArgs(p256Device.id, subject);
      for (const seq of [last - 1n, last, last]) {
        await expect(revoke()).to.emit(access, "AccessRevoked").withArgs(p256Device.id, subject, actors.owner, seq);
        await expectReason(suite, p256Device.id, subject, ReadLive, "Revoked");
        await expect(grant()).to.be.revertedWithCustomError(access, "SeqExhausted");
      }
    });
  });

  describe("revoke", () => {
    it("ends the grant, and leaves nothing but seq", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });

      await expect(access.connect(actors.owner).revoke(p256Device.id, actors.subject))
        .to.emit(access, "AccessRevoked")
        .withArgs(p256Device.id, actors.subject, actors.owner, 2n);

      expect(structOf(await access.grantOf(p256Device.id, actors.subject))).to.deep.equal({
        permissions: 0n,
        purposes: 0n,
        notBefore: 0n,
        expiry: 0n,
        epoch: 0n,
        seq: 2n,
        byOwner: false,
      });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
    });

    it("works without a grant and again and again, to void what was signed", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;

      for (const seq of [1n, 2n, 3n]) {
        await expect(access.connect(actors.owner).revoke(p256Device.id, actors.subject))
          .to.emit(access, "AccessRevoked")
          .withArgs(p256Device.id, actors.subject, actors.owner, seq);
      }
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });

      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(4n);
    });

    it("works on a suspended and on a retired device, and after the epoch ended", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });
      const revoke = () => access.connect(actors.owner).revoke(p256Device.id, actors.subject);

      await revokeAll(suite);
      await expect(revoke()).to.emit(access, "AccessRevoked").withArgs(p256Device.id, actors.subject, actors.owner, 2n);
      await suspend(suite);
      await expect(revoke()).to.emit(access, "AccessRevoked").withArgs(p256Device.id, actors.subject, actors.owner, 3n);
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(revoke()).to.emit(access, "AccessRevoked").withArgs(p256Device.id, actors.subject, actors.owner, 4n);
    });

    it("leaves other subjects' grants alone", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });
      await access.connect(actors.owner).revoke(p256Device.id, actors.stranger);

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
    });

    it("refuses a device that was never enrolled", async () => {
      const { access, actors } = await loadFixture(deployAccess);

      await expect(access.connect(actors.owner).revoke(NEVER_ENROLLED, actors.subject))
        .to.be.revertedWithCustomError(access, "DeviceNotEnrolled")
        .withArgs(NEVER_ENROLLED);
    });
  });

  describe("renounce", () => {
    it("gives up the caller's own grant", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });

      await expect(access.connect(actors.subject).renounce(p256Device.id))
        .to.emit(access, "AccessRevoked")
        .withArgs(p256Device.id, actors.subject, actors.subject, 2n);

      const { permissions, seq } = await access.grantOf(p256Device.id, actors.subject);
      expect({ permissions, seq }).to.deep.equal({ permissions: 0n, seq: 2n });
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
    });

    it("works whatever became of the device and of the grant", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      const outsiders = [actors.subject, actors.stranger, actors.relayer, actors.maker];
      for (const { address } of outsiders) {
        await sendGrant(suite, actors.owner, { device: p256Device.id, subject: address, expiry: (await now()) + DAY });
      }
      const changes = [
        () => networkHelpers.time.increase(2n * DAY),
        () => revokeAll(suite),
        () => suspend(suite),
        () => devices.connect(actors.owner).retire(p256Device.id),
      ];

      for (const [index, change] of changes.entries()) {
        await change();
        const subject = outsiders[index]!;
        await expect(access.connect(subject).renounce(p256Device.id))
          .to.emit(access, "AccessRevoked")
          .withArgs(p256Device.id, subject, subject, 2n);
      }
    });

    it("refuses a second time, and after a revoke", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const given = { device: p256Device.id, subject: actors.subject.address };
      const renounce = () => access.connect(actors.subject).renounce(p256Device.id);
      await sendGrant(suite, actors.owner, given);
      await renounce();

      await expect(renounce())
        .to.be.revertedWithCustomError(access, "GrantMissing")
        .withArgs(p256Device.id, actors.subject);
      await sendGrant(suite, actors.owner, given);
      await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
      await expect(renounce())
        .to.be.revertedWithCustomError(access, "GrantMissing")
        .withArgs(p256Device.id, actors.subject);
    });
  });

  // ------------------------------------------------------------------ policy

  describe("setPolicy", () => {
    it("makes the owner's half exactly this", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, fleet, p256Device } = suite;

      await expect(access.connect(actors.owner).setPolicy(p256Device.id, READ | Audit, ReadLive, 0b1010n))
        .to.emit(access, "PolicySet")
        .withArgs(p256Device.id, fleet, actors.owner, READ | Audit, ReadLive, 0b1010n, 1n);

      const policy = await access.policyOf(p256Device.id);
      expect(structOf(policy.owner)).to.deep.equal({
        isSet: true,
        ceiling: READ | Audit,
        publicRead: ReadLive,
        purposes: 0b1010n,
      });
      expect(policy.device.isSet).to.equal(false);
      const half = READ | Audit | (ReadLive << 32n) | (0b1010n << 64n);
      expect(await wordAt(suite, policySlot(p256Device.id))).to.equal(half | (1n << 192n) | (1n << 248n));
    });

    it("replaces what it was, and leaves the device's half as it is", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendDevicePolicy(suite, p256Device, { ceiling: READ, publicRead: ReadMetadata, purposes: 0xffn });
      await access.connect(actors.owner).setPolicy(p256Device.id, GRANTABLE, READ, ALL_PURPOSES);
      await access.connect(actors.owner).setPolicy(p256Device.id, 0n, 0n, 0n);

      const policy = await access.policyOf(p256Device.id);
      expect(structOf(policy.owner)).to.deep.equal({ isSet: true, ceiling: 0n, publicRead: 0n, purposes: 0n });
      expect(structOf(policy.device)).to.deep.equal({
        isSet: true,
        ceiling: READ,
        publicRead: ReadMetadata,
        purposes: 0xffn,
      });
      expect(policy.deviceSeq).to.equal(1n);
    });

    it("ends with the epoch", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await access.connect(actors.owner).setPolicy(p256Device.id, READ, ReadLive, ALL_PURPOSES);
      await expectReason(suite, p256Device.id, actors.stranger, ReadLive, "Public");
      await revokeAll(suite);

      expect(structOf((await access.policyOf(p256Device.id)).owner)).to.deep.equal(UNSET);
      await expectReason(suite, p256Device.id, actors.stranger, ReadLive, "NoGrant");
      await sendGrant(suite, actors.owner, {
        device: p256Device.id,
        subject: actors.subject.address,
        permissions: Command,
      });
      await expectReason(suite, p256Device.id, actors.subject, Command, "Grant");
    });

    it("can be set while the device is suspended", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await suspend(suite);
      await access.connect(actors.owner).setPolicy(p256Device.id, READ, 0n, ALL_PURPOSES);

      expect((await access.policyOf(p256Device.id)).owner.isSet).to.equal(true);
    });

    it("refuses a device that was never enrolled, or is retired", async () => {
      const { access, devices, actors, p256Device } = await loadFixture(deployAccess);
      await devices.connect(actors.owner).retire(p256Device.id);

      await expect(access.connect(actors.owner).setPolicy(NEVER_ENROLLED, READ, 0n, 1n))
        .to.be.revertedWithCustomError(access, "DeviceNotEnrolled")
        .withArgs(NEVER_ENROLLED);
      await expect(access.connect(actors.owner).setPolicy(p256Device.id, READ, 0n, 1n))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
    });

    it("refuses a ceiling of what cannot be granted, and making public what is no reading", async () => {
      const { access, actors, p256Device } = await loadFixture(deployAccess);
      const byOwner = access.connect(actors.owner);

      for (let bit = 0n; bit < 32n; bit++) {
        const mask = 1n << bit;
        if ((GRANTABLE & mask) === 0n) {
          await expect(byOwner.setPolicy(p256Device.id, mask | ReadLive, 0n, 1n))
            .to.be.revertedWithCustomError(access, "CeilingInvalid")
            .withArgs(mask | ReadLive);
        }
        if ((READ & mask) === 0n) {
          await expect(byOwner.setPolicy(p256Device.id, GRANTABLE, mask | ReadLive, 1n))
            .to.be.revertedWithCustomError(access, "PublicNotReadable")
            .withArgs(mask | ReadLive);
        }
      }
    });

    it("refuses a member, even an admin", async () => {
      const { access, actors, fleet, accountDevice } = await loadFixture(deployAccess);

      await expect(access.connect(actors.admin).setPolicy(accountDevice.id, GRANTABLE, READ, ALL_PURPOSES))
        .to.be.revertedWithCustomError(access, "CallerNotGovernor")
        .withArgs(fleet, actors.admin);
    });
  });

  describe("setDevicePolicy", () => {
    it("makes the device's half what the device signed, whoever sends it", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const sent = sendDevicePolicy(suite, p256Device, { ceiling: READ, publicRead: ReadLive, purposes: 0b1010n });

      await expect(sent)
        .to.emit(access, "DevicePolicySet")
        .withArgs(p256Device.id, actors.relayer, READ, ReadLive, 0b1010n, 1n);

      const policy = await access.policyOf(p256Device.id);
      expect(structOf(policy.device)).to.deep.equal({
        isSet: true,
        ceiling: READ,
        publicRead: ReadLive,
        purposes: 0b1010n,
      });
      expect(policy.owner.isSet).to.equal(false);
      expect(policy.deviceSeq).to.equal(1n);
      const half = READ | (ReadLive << 32n) | (0b1010n << 64n);
      expect(await wordAt(suite, policySlot(p256Device.id))).to.equal((half << 96n) | (1n << 216n) | (1n << 249n));
    });

    it("takes the proof of every kind of key", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, fleet, accountDevice } = suite;
      const hashing = createP256Key({ scheme: Scheme.P256Sha256 });
      await enrollDevice(suite, { key: hashing, owner: fleet, by: actors.owner });

      for (const key of [accountDevice, hashing]) {
        await sendDevicePolicy(suite, key, { ceiling: ReadMetadata });
        expect((await access.policyOf(key.id)).device.ceiling).to.equal(ReadMetadata);
      }
    });

    for (const [caller, who] of wrongCallers) {
      it(`can be carried by ${who}`, async () => {
        const suite = await loadFixture(deployAccess);
        const { access, actors, p256Device } = suite;
        await sendDevicePolicy(suite, p256Device, { ceiling: READ }, actors[caller]);

        expect((await access.policyOf(p256Device.id)).device.ceiling).to.equal(READ);
      });
    }

    it("can be changed again, to wider too, and leaves the owner's half as it is", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await access.connect(actors.owner).setPolicy(p256Device.id, READ, ReadHistory, 0b11n);
      await sendDevicePolicy(suite, p256Device, { ceiling: 0n, publicRead: 0n, purposes: 0n });
      await sendDevicePolicy(suite, p256Device, { ceiling: GRANTABLE, publicRead: READ, purposes: ALL_PURPOSES });

      const policy = await access.policyOf(p256Device.id);
      expect(structOf(policy.device)).to.deep.equal({
        isSet: true,
        ceiling: GRANTABLE,
        publicRead: READ,
        purposes: ALL_PURPOSES,
      });
      expect(structOf(policy.owner)).to.deep.equal({
        isSet: true,
        ceiling: READ,
        publicRead: ReadHistory,
        purposes: 0b11n,
      });
      expect(policy.deviceSeq).to.equal(2n);
    });

    it("survives the epoch: no owner can widen it", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendDevicePolicy(suite, p256Device, { ceiling: READ, publicRead: ReadMetadata, purposes: 0b10n });
      await revokeAll(suite);
      await access.connect(actors.owner).setPolicy(p256Device.id, GRANTABLE, READ, ALL_PURPOSES);
      await sendGrant(suite, actors.owner, {
        device: p256Device.id,
        subject: actors.subject.address,
        permissions: GRANTABLE,
        purposes: ALL_PURPOSES,
      });

      expect((await access.policyOf(p256Device.id)).device.isSet).to.equal(true);
      await expectReason(suite, p256Device.id, actors.subject, Command, "DevicePolicy");
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "DevicePolicy", 2n);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
      await expectReason(suite, p256Device.id, actors.stranger, ReadLive, "NoGrant");
      await expectReason(suite, p256Device.id, actors.stranger, ReadMetadata, "Public");
    });

    it("refuses every proof that is not of this message by this device", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device, accountDevice } = suite;

      for (const key of [p256Device, accountDevice]) {
        const policy = await nextDevicePolicy(suite, key, { ceiling: READ, publicRead: ReadLive, purposes: 0b10n });
        const message = policyMessage(suite, policy);
        const wrongKey = key.scheme === Scheme.Account ? await accountKey(actors.stranger) : createP256Key();
        for (const { name, proof } of await wrongProofs({ key, wrongKey, message })) {
          await expect(access.connect(actors.relayer).setDevicePolicy(policy, proof), name)
            .to.be.revertedWithCustomError(access, "KeyProofInvalid")
            .withArgs(key.id, messageDigest(message));
        }
        expect((await access.policyOf(key.id)).device.isSet).to.equal(false);
      }
    });

    it("refuses a message a second time, one that was overtaken, and one ahead of its turn", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const first = await nextDevicePolicy(suite, p256Device, { ceiling: READ });
      const proof = await p256Device.prove(policyMessage(suite, first));
      const send = () => access.connect(actors.relayer).setDevicePolicy(first, proof);
      await send();

      await expect(send()).to.be.revertedWithCustomError(access, "SeqStale").withArgs(p256Device.id, 1n, 0n);
      await sendDevicePolicy(suite, p256Device, { ceiling: GRANTABLE });
      await expect(send()).to.be.revertedWithCustomError(access, "SeqStale").withArgs(p256Device.id, 2n, 0n);
      await expect(sendDevicePolicy(suite, p256Device, { seq: 3n }))
        .to.be.revertedWithCustomError(access, "SeqStale")
        .withArgs(p256Device.id, 2n, 3n);
      expect((await access.policyOf(p256Device.id)).device.ceiling).to.equal(GRANTABLE);
    });

    it("refuses a message of another epoch", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const signed = await nextDevicePolicy(suite, p256Device);
      const proof = await p256Device.prove(policyMessage(suite, signed));
      await revokeAll(suite);

      await expect(access.connect(actors.relayer).setDevicePolicy(signed, proof))
        .to.be.revertedWithCustomError(access, "EpochStale")
        .withArgs(p256Device.id, 2n, 1n);
      await expect(sendDevicePolicy(suite, p256Device, { epoch: 3n }))
        .to.be.revertedWithCustomError(access, "EpochStale")
        .withArgs(p256Device.id, 2n, 3n);
    });

    it("takes a message until its deadline and not a second longer", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const deadline = (await now()) + DAY;
      const policy = await nextDevicePolicy(suite, p256Device, { deadline });
      const proof = await p256Device.prove(policyMessage(suite, policy));
      const send = () => access.connect(actors.relayer).setDevicePolicy(policy, proof);
      const snapshot = await networkHelpers.takeSnapshot();

      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expect(send()).to.be.revertedWithCustomError(access, "DeadlinePassed").withArgs(deadline);
      await snapshot.restore();
      await networkHelpers.time.setNextBlockTimestamp(deadline);
      await send();

      expect((await access.policyOf(p256Device.id)).deviceSeq).to.equal(1n);
    });

    it("refuses a device that is not in service", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      const unknown = createP256Key();

      await expect(sendDevicePolicy(suite, unknown))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(unknown.id);
      await suspend(suite);
      await expect(sendDevicePolicy(suite, p256Device))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(sendDevicePolicy(suite, p256Device))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
    });

    it("refuses a ceiling of what cannot be granted, and making public what is no reading", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, p256Device } = suite;

      await expect(sendDevicePolicy(suite, p256Device, { ceiling: PERMISSION.Share }))
        .to.be.revertedWithCustomError(access, "CeilingInvalid")
        .withArgs(PERMISSION.Share);
      await expect(sendDevicePolicy(suite, p256Device, { publicRead: Command }))
        .to.be.revertedWithCustomError(access, "PublicNotReadable")
        .withArgs(Command);
    });

    it("never lets the sequence number come round", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, p256Device } = suite;
      const last = 2n ** 32n - 1n;
      const word = toBeHex((last << 216n) | (1n << 249n), 32);
      await networkHelpers.setStorageAt(await access.getAddress(), policySlot(p256Device.id), word);

      await expect(sendDevicePolicy(suite, p256Device, { seq: last })).to.be.revertedWithPanic(ARITHMETIC_OVERFLOW);
    });
  });

  // ------------------------------------------------------------------ views

  describe("grantOf and policyOf", () => {
    it("are all zero where nothing was ever set", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;

      for (const device of [p256Device.id, NEVER_ENROLLED]) {
        expect(Object.values(structOf(await access.grantOf(device, actors.subject)))).to.deep.equal([
          ...Array<bigint>(6).fill(0n),
          false,
        ]);
        expect(structOf(await access.policyOf(device))).to.deep.equal({ owner: UNSET, device: UNSET, deviceSeq: 0n });
      }
    });
  });
});

describe("DataAccess's deployment", () => {
  it("refuses a DeviceRegistry that asks another RoleRegistry", async () => {
    const { devices, roles } = await loadFixture(deployFleet);
    const others = await ethers.deployContract("RoleRegistry");
    const factory = await ethers.getContractFactory("DataAccess");
    await expect(factory.deploy(others, devices))
      .to.be.revertedWithCustomError(factory, "RoleRegistryMismatch")
      .withArgs(await devices.getAddress(), await roles.getAddress(), await others.getAddress());
  });
});
