import { expect } from "chai";
import { concat, id, ZeroAddress, ZeroHash } from "ethers";

import { accountKey, compressPublicKey, createP256Key, Scheme, type Key } from "../client/keys.js";
import { enrollmentMessage, messageDigest } from "../client/typed-data.js";
import {
  IBatch__factory,
  IDeviceRegistry__factory,
  IERC1056__factory,
  IRegistry__factory,
} from "../typechain-types/index.js";

import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { deployFleet, ROLE, wrongCallers, type Fleet } from "./support/fleet.js";
import { interfaceIdOf, REGISTRY_INTERFACE_IDS } from "./support/interface-id.js";
import { structOf } from "./support/struct.js";
import { wrongProofs } from "./support/signed-messages.js";

const Status = { None: 0n, Active: 1n, Suspended: 2n, Retired: 3n };
const KEY_ATTRIBUTE = ethers.encodeBytes32String("did/pub/Multikey/sigAuth");
const KEY_DELEGATE = ethers.encodeBytes32String("sigAuth");
const STALE = 30n * DAY;

/** The key's form in DID documents: the multicodec of P-256 and the compressed point. */
const multikeyOf = (key: Key): string => concat(["0x8024", compressPublicKey(key.publicKey)]);

async function enrollmentOf(
  options: Partial<{ owner: string; deadline: bigint; metadataHash: string; manifest: number }> & { key: Key },
) {
  return {
    device: options.key.id,
    scheme: options.key.scheme,
    owner: options.owner ?? ZeroAddress,
    manifest: options.manifest ?? 0,
    metadataHash: options.metadataHash ?? id("metadata"),
    deadline: options.deadline ?? (await now()) + DAY,
  };
}

/** A fleet, and a device with a new key that nobody has enrolled yet. */
async function deployFleetAndNewDevice() {
  const suite = await deployFleet();
  const key = createP256Key();
  const enrollment = await enrollmentOf({ key, owner: suite.fleet });
  const message = enrollmentMessage(suite.devicesDomain, enrollment);
  const proof = await key.prove(message);
  const { signature } = await (await accountKey(suite.actors.owner)).prove(message);
  return { ...suite, key, enrollment, message, proof, ownerSignature: signature };
}

/** The fleet's devices: what holds for one must hold for the other. */
const devicesOf = (suite: Fleet): { name: string; key: Key }[] => [
  { name: "a P-256 device", key: suite.p256Device },
  { name: "an account device", key: suite.accountDevice },
];

describe("DeviceRegistry", () => {
  describe("enroll", () => {
    it("enrols a P-256 device that a relayer carries, with the owner's signature", async () => {
      const suite = await loadFixture(deployFleetAndNewDevice);
      const { devices, actors, key, enrollment, proof, ownerSignature } = suite;

      const enrolling = devices.connect(actors.relayer).enroll(enrollment, proof, ownerSignature);

      await expect(enrolling).to.emit(devices, "DIDOwnerChanged").withArgs(key.id, suite.fleet, 0n);
      await expect(enrolling)
        .to.emit(devices, "DIDAttributeChanged")
        .withArgs(key.id, KEY_ATTRIBUTE, multikeyOf(key), FOR_EVER, 0n);
      await expect(enrolling)
        .to.emit(devices, "DeviceEnrolled")
        .withArgs(key.id, suite.fleet, 0n, Scheme.P256, enrollment.metadataHash, actors.relayer.address);
      const receipt = (await (await enrolling).wait())!;
      expect(receipt.logs).to.have.length(3);
      expect(structOf(await devices.deviceOf(key.id))).to.deep.equal({
        owner: suite.fleet,
        keyId: key.id,
        scheme: BigInt(Scheme.P256),
        status: Status.Active,
        epoch: 1n,
        manifest: 0n,
        changed: BigInt(receipt.blockNumber),
        isContinuous: true,
      });
      expect(await devices.ownerOf(key.id)).to.equal(suite.fleet);
      expect(await devices.epochOf(key.id)).to.equal(1n);
      expect(await devices.statusOf(key.id)).to.equal(Status.Active);
      expect(await devices.isActive(key.id)).to.equal(true);
      expect(await devices.keyOf(key.id)).to.deep.equal([key.id, BigInt(Scheme.P256)]);
      expect(await devices.identityOwner(key.id)).to.equal(suite.fleet);
      expect(await devices.changed(key.id)).to.equal(receipt.blockNumber);
    });

    it("enrols a device whose hardware hashes what it signs", async () => {
      const { devices, devicesDomain, actors } = await loadFixture(deployFleet);
      const key = createP256Key({ scheme: Scheme.P256Sha256 });
      const enrollment = await enrollmentOf({ key, owner: actors.owner.address });
      const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));

      await devices.connect(actors.owner).enroll(enrollment, proof, "0x");

      expect(await devices.keyOf(key.id)).to.deep.equal([key.id, BigInt(Scheme.P256Sha256)]);
    });

    it("enrols an account device, which shows as a delegate in its DID document", async () => {
      const { devices, devicesDomain, actors } = await loadFixture(deployFleet);
      const key = await accountKey(actors.stranger);
      const enrollment = await enrollmentOf({ key, owner: actors.owner.address });
      const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));

      const enrolling = devices.connect(actors.owner).enroll(enrollment, proof, "0x");

      await expect(enrolling)
        .to.emit(devices, "DIDDelegateChanged")
        .withArgs(key.id, KEY_DELEGATE, key.id, FOR_EVER, 0n);
      await expect(enrolling)
        .to.emit(devices, "DeviceEnrolled")
        .withArgs(key.id, actors.owner.address, 0n, Scheme.Account, enrollment.metadataHash, actors.owner.address);
      expect(await devices.keyOf(key.id)).to.deep.equal([key.id, BigInt(Scheme.Account)]);
    });

    it("takes the owner's consent from an owner that is an account and signs", async () => {
      const { devices, devicesDomain, actors, key } = await loadFixture(deployFleetAndNewDevice);
      const enrollment = await enrollmentOf({ key, owner: actors.stranger.address });
      const message = enrollmentMessage(devicesDomain, enrollment);
      const { signature } = await (await accountKey(actors.stranger)).prove(message);

      await devices.connect(actors.relayer).enroll(enrollment, await key.prove(message), signature);

      expect(await devices.ownerOf(key.id)).to.equal(actors.stranger.address);
    });

    it("takes the owner's consent from its governor and from a member with Enroll, who send", async () => {
      for (const sender of ["owner", "operator", "admin"] as const) {
        const { devices, actors, key, enrollment, proof, fleet } = await loadFixture(deployFleetAndNewDevice);
        await devices.connect(actors[sender]).enroll(enrollment, proof, "0x");
        expect(await devices.ownerOf(key.id)).to.equal(fleet);
      }
    });

    for (const [caller, name] of wrongCallers) {
      it(`does not take ${name} who sends for the owner's consent`, async () => {
        const { devices, actors, enrollment, proof, fleet, key } = await loadFixture(deployFleetAndNewDevice);
        await expect(devices.connect(actors[caller]).enroll(enrollment, proof, "0x"))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, 1n << 8n);
        expect(await devices.statusOf(key.id)).to.equal(Status.None);
      });

      it(`does not take the signature of ${name} for the owner's consent`, async () => {
        const suite = await loadFixture(deployFleetAndNewDevice);
        const { devices, actors, enrollment, message, proof } = suite;
        const { signature } = await (await accountKey(actors[caller])).prove(message);
        await expect(devices.connect(actors.owner).enroll(enrollment, proof, signature))
          .to.be.revertedWithCustomError(devices, "SignatureInvalid")
          .withArgs(actors.owner.address, messageDigest(message));
      });
    }

    it("does not take a member's signature for the owner's consent: members send", async () => {
      const { devices, actors, enrollment, message, proof } = await loadFixture(deployFleetAndNewDevice);
      const { signature } = await (await accountKey(actors.admin)).prove(message);
      await expect(devices.connect(actors.relayer).enroll(enrollment, proof, signature))
        .to.be.revertedWithCustomError(devices, "SignatureInvalid")
        .withArgs(actors.owner.address, messageDigest(message));
    });

    it("names the account itself when an account's consent is refused", async () => {
      const { devices, devicesDomain, actors, key } = await loadFixture(deployFleetAndNewDevice);
      const enrollment = await enrollmentOf({ key, owner: actors.stranger.address });
      const message = enrollmentMessage(devicesDomain, enrollment);
      const { signature } = await (await accountKey(actors.relayer)).prove(message);
      await expect(devices.connect(actors.relayer).enroll(enrollment, await key.prove(message), signature))
        .to.be.revertedWithCustomError(devices, "SignatureInvalid")
        .withArgs(actors.stranger.address, messageDigest(message));
    });

    it("refuses every proof of the device that is not for exactly this message", async () => {
      const suite = await loadFixture(deployFleetAndNewDevice);
      const { devices, actors, key, enrollment, message } = suite;
      const wrong = await wrongProofs({ key, wrongKey: createP256Key(), message, alter: { scheme: Scheme.Account } });
      expect(wrong.map(({ name }) => name)).to.include("with another metadataHash");
      for (const { name, proof } of wrong) {
        await expect(devices.connect(actors.owner).enroll(enrollment, proof, "0x"), name)
          .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
          .withArgs(key.id, messageDigest(message));
      }
      expect(await devices.statusOf(key.id)).to.equal(Status.None);
    });

    it("refuses every signature of the owner that is not for exactly this message", async () => {
      const suite = await loadFixture(deployFleetAndNewDevice);
      const { devices, actors, enrollment, message, proof } = suite;
      const wrong = await wrongProofs({
        key: await accountKey(actors.owner),
        wrongKey: await accountKey(actors.formerOwner),
        message,
        alter: { scheme: Scheme.Account },
      });
      for (const { name, proof: byOwner } of wrong) {
        await expect(devices.connect(actors.relayer).enroll(enrollment, proof, byOwner.signature), name)
          .to.be.revertedWithCustomError(devices, "SignatureInvalid")
          .withArgs(actors.owner.address, messageDigest(message));
      }
    });

    it("refuses a message that is too old or valid for too long", async () => {
      const { devices, devicesDomain, actors, key, fleet } = await loadFixture(deployFleetAndNewDevice);
      const next = (await now()) + 100n;
      const tried = [
        { deadline: next - 1n, error: "DeadlinePassed", args: [next - 1n] },
        { deadline: next + STALE + 1n, error: "DeadlineTooFar", args: [next + STALE + 1n, next + STALE] },
      ];
      for (const { deadline, error, args } of tried) {
        const enrollment = await enrollmentOf({ key, owner: fleet, deadline });
        const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
        await networkHelpers.time.setNextBlockTimestamp(next);
        await expect(devices.connect(actors.owner).enroll(enrollment, proof, "0x"))
          .to.be.revertedWithCustomError(devices, error)
          .withArgs(...args);
      }
    });

    it("takes a message in its last second, and one that is valid for exactly 30 days", async () => {
      for (const ahead of [0n, STALE]) {
        const { devices, devicesDomain, actors, key, fleet } = await loadFixture(deployFleetAndNewDevice);
        const next = (await now()) + 100n;
        const enrollment = await enrollmentOf({ key, owner: fleet, deadline: next + ahead });
        const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
        await networkHelpers.time.setNextBlockTimestamp(next);
        await devices.connect(actors.owner).enroll(enrollment, proof, "0x");
        expect(await devices.isActive(key.id)).to.equal(true);
      }
    });

    it("refuses reserved ids as device or owner", async () => {
      const { devices, devicesDomain, actors, key } = await loadFixture(deployFleetAndNewDevice);
      const reserved = ethers.getAddress(ethers.toBeHex(0xffff, 20));
      const byDevice = { publicKey: "0x", signature: "0x" };
      const enrollment = await enrollmentOf({ key, owner: actors.owner.address });
      await expect(devices.connect(actors.owner).enroll({ ...enrollment, device: reserved }, byDevice, "0x"))
        .to.be.revertedWithCustomError(devices, "IdReserved")
        .withArgs(reserved);

      const toNobody = await enrollmentOf({ key, owner: ZeroAddress });
      const proof = await key.prove(enrollmentMessage(devicesDomain, toNobody));
      await expect(devices.connect(actors.owner).enroll(toNobody, proof, "0x"))
        .to.be.revertedWithCustomError(devices, "IdReserved")
        .withArgs(ZeroAddress);
    });

    it("refuses a manifest that does not exist", async () => {
      const { devices, devicesDomain, actors, key, fleet } = await loadFixture(deployFleetAndNewDevice);
      const enrollment = await enrollmentOf({ key, owner: fleet, manifest: 7 });
      const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
      await expect(devices.connect(actors.owner).enroll(enrollment, proof, "0x"))
        .to.be.revertedWithCustomError(devices, "ManifestProofMissing")
        .withArgs(7n);
    });

    it("does nothing and emits nothing when the same enrolment comes again", async () => {
      const suite = await loadFixture(deployFleetAndNewDevice);
      const { devices, actors, key, enrollment, proof, ownerSignature } = suite;
      await devices.connect(actors.relayer).enroll(enrollment, proof, ownerSignature);
      await devices.connect(actors.owner).suspend(key.id, key.publicKey);
      const before = await devices.deviceOf(key.id);

      const again = await devices.connect(actors.stranger).enroll(enrollment, proof, ownerSignature);

      expect((await again.wait())!.logs).to.have.length(0);
      expect(await devices.deviceOf(key.id)).to.deep.equal(before);
    });

    it("refuses to enrol a device again to another owner or with another scheme or manifest", async () => {
      const suite = await loadFixture(deployFleetAndNewDevice);
      const { devices, actors, key, enrollment, proof, ownerSignature, fleet } = suite;
      await devices.connect(actors.relayer).enroll(enrollment, proof, ownerSignature);
      const others = [
        { ...enrollment, owner: actors.stranger.address },
        { ...enrollment, scheme: Scheme.P256Sha256 },
        { ...enrollment, manifest: 1 },
      ];
      for (const other of others) {
        await expect(devices.connect(actors.stranger).enroll(other, proof, "0x"))
          .to.be.revertedWithCustomError(devices, "DeviceAlreadyEnrolled")
          .withArgs(key.id, fleet);
      }
    });

    it("never enrols a retired device again", async () => {
      const suite = await loadFixture(deployFleetAndNewDevice);
      const { devices, actors, key, enrollment, proof, ownerSignature } = suite;
      await devices.connect(actors.relayer).enroll(enrollment, proof, ownerSignature);
      await devices.connect(actors.owner).retire(key.id);
      await expect(devices.connect(actors.relayer).enroll(enrollment, proof, ownerSignature))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(key.id, Status.Retired);
    });
  });

  describe("suspend and resume", () => {
    it("take a device out of service and back, for the owner and members with Suspend", async () => {
      for (const sender of ["owner", "security", "admin"] as const) {
        const suite = await loadFixture(deployFleet);
        const { devices, actors, fleet } = suite;
        const device = suite.p256Device;
        const enrolledAt = await devices.changed(device.id);

        const suspending = devices.connect(actors[sender]).suspend(device.id, device.publicKey);
        await expect(suspending)
          .to.emit(devices, "DIDAttributeChanged")
          .withArgs(device.id, KEY_ATTRIBUTE, multikeyOf(device), 0n, enrolledAt);
        await expect(suspending).to.emit(devices, "DeviceSuspended").withArgs(device.id, fleet, actors[sender].address);
        const suspendedAt = (await (await suspending).wait())!.blockNumber;
        expect(await devices.statusOf(device.id)).to.equal(Status.Suspended);
        expect(await devices.isActive(device.id)).to.equal(false);
        expect(await devices.changed(device.id)).to.equal(suspendedAt);
        expect(await devices.epochOf(device.id)).to.equal(1n);

        const resuming = devices.connect(actors[sender]).resume(device.id, device.publicKey);
        await expect(resuming)
          .to.emit(devices, "DIDAttributeChanged")
          .withArgs(device.id, KEY_ATTRIBUTE, multikeyOf(device), FOR_EVER, suspendedAt);
        await expect(resuming).to.emit(devices, "DeviceResumed").withArgs(device.id, fleet, actors[sender].address);
        expect(await devices.statusOf(device.id)).to.equal(Status.Active);
        expect(await devices.epochOf(device.id)).to.equal(1n);
      }
    });

    it("take the key of an account device out of its document as a delegate", async () => {
      const { devices, actors, accountDevice } = await loadFixture(deployFleet);
      const enrolledAt = await devices.changed(accountDevice.id);
      const suspending = devices.connect(actors.owner).suspend(accountDevice.id, "0x");
      await expect(suspending)
        .to.emit(devices, "DIDDelegateChanged")
        .withArgs(accountDevice.id, KEY_DELEGATE, accountDevice.id, 0n, enrolledAt);
      const suspendedAt = (await (await suspending).wait())!.blockNumber;
      await expect(devices.connect(actors.owner).resume(accountDevice.id, "0x"))
        .to.emit(devices, "DIDDelegateChanged")
        .withArgs(accountDevice.id, KEY_DELEGATE, accountDevice.id, FOR_EVER, suspendedAt);
    });

    for (const [caller, name] of wrongCallers) {
      it(`refuse ${name}`, async () => {
        const { devices, actors, fleet, p256Device } = await loadFixture(deployFleet);
        const byCaller = devices.connect(actors[caller]);
        await expect(byCaller.suspend(p256Device.id, p256Device.publicKey))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, 1n << 9n);
        await devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey);
        await expect(byCaller.resume(p256Device.id, p256Device.publicKey))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, 1n << 9n);
      });
    }

    it("refuse a public key that is not the device's", async () => {
      const suite = await loadFixture(deployFleet);
      const { devices, actors } = suite;
      const other = createP256Key().publicKey;
      for (const { key } of devicesOf(suite)) {
        for (const publicKey of [other, key.publicKey === "0x" ? "0x00" : "0x"]) {
          await expect(devices.connect(actors.owner).suspend(key.id, publicKey))
            .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
            .withArgs(key.id, publicKey);
        }
        await devices.connect(actors.owner).suspend(key.id, key.publicKey);
        await expect(devices.connect(actors.owner).resume(key.id, other))
          .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
          .withArgs(key.id, other);
      }
    });

    it("refuse a device in any other status", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployFleet);
      const { publicKey, id: device } = p256Device;
      const byOwner = devices.connect(actors.owner);
      const refused = async (call: Promise<unknown>, of: string, status: bigint) => {
        await expect(call).to.be.revertedWithCustomError(devices, "DeviceStatusInvalid").withArgs(of, status);
      };
      const unknown = actors.stranger.address;
      await refused(byOwner.suspend(unknown, "0x"), unknown, Status.None);
      await refused(byOwner.resume(unknown, "0x"), unknown, Status.None);
      await refused(byOwner.resume(device, publicKey), device, Status.Active);
      await byOwner.suspend(device, publicKey);
      await refused(byOwner.suspend(device, publicKey), device, Status.Suspended);
      await byOwner.retire(device);
      await refused(byOwner.suspend(device, publicKey), device, Status.Retired);
      await refused(byOwner.resume(device, publicKey), device, Status.Retired);
    });
  });

  describe("retire", () => {
    it("takes a device out of service for ever, active or suspended, and deactivates its DID", async () => {
      for (const suspended of [false, true]) {
        const { devices, actors, fleet, p256Device } = await loadFixture(deployFleet);
        if (suspended) await devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey);
        const before = await devices.changed(p256Device.id);

        const retiring = devices.connect(actors.owner).retire(p256Device.id);

        await expect(retiring).to.emit(devices, "DIDOwnerChanged").withArgs(p256Device.id, ZeroAddress, before);
        await expect(retiring)
          .to.emit(devices, "DeviceRetired")
          .withArgs(p256Device.id, fleet, actors.owner.address, 2n);
        const { blockNumber } = (await (await retiring).wait())!;
        expect(structOf(await devices.deviceOf(p256Device.id))).to.deep.equal({
          owner: fleet,
          keyId: p256Device.id,
          scheme: BigInt(Scheme.P256),
          status: Status.Retired,
          epoch: 2n,
          manifest: 0n,
          changed: BigInt(blockNumber),
          isContinuous: true,
        });
        expect(await devices.identityOwner(p256Device.id)).to.equal(ZeroAddress);
        expect(await devices.ownerOf(p256Device.id)).to.equal(fleet);
      }
    });

    it("refuses a device that is retired already or was never enrolled", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployFleet);
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(devices.connect(actors.owner).retire(p256Device.id))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(p256Device.id, Status.Retired);
      await expect(devices.connect(actors.owner).retire(actors.stranger.address))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(actors.stranger.address, Status.None);
    });
  });

  describe("revokeAll", () => {
    it("raises the epoch and leaves a document of owner and key alone", async () => {
      const suite = await loadFixture(deployFleet);
      const { devices, actors, fleet } = suite;
      for (const { key } of devicesOf(suite)) {
        const revoking = devices.connect(actors.owner).revokeAll(key.id, key.publicKey);
        await expect(revoking).to.emit(devices, "DIDOwnerChanged").withArgs(key.id, fleet, 0n);
        await (key.scheme === Scheme.Account
          ? expect(revoking).to.emit(devices, "DIDDelegateChanged").withArgs(key.id, KEY_DELEGATE, key.id, FOR_EVER, 0n)
          : expect(revoking)
              .to.emit(devices, "DIDAttributeChanged")
              .withArgs(key.id, KEY_ATTRIBUTE, multikeyOf(key), FOR_EVER, 0n));
        await expect(revoking).to.emit(devices, "AllRevoked").withArgs(key.id, fleet, actors.owner.address, 2n);
        const { blockNumber } = (await (await revoking).wait())!;
        expect(await devices.epochOf(key.id)).to.equal(2n);
        expect(await devices.statusOf(key.id)).to.equal(Status.Active);
        expect(await devices.changed(key.id)).to.equal(blockNumber);
      }
    });

    it("leaves the key of a suspended device out of its document", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployFleet);
      await devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey);
      const revoking = devices.connect(actors.owner).revokeAll(p256Device.id, "0x");
      await expect(revoking).to.emit(devices, "AllRevoked");
      await expect(revoking).not.to.emit(devices, "DIDAttributeChanged");
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Suspended);
    });

    it("refuses a public key that is not the device's", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployFleet);
      await expect(devices.connect(actors.owner).revokeAll(p256Device.id, "0x"))
        .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
        .withArgs(p256Device.id, "0x");
      expect(await devices.epochOf(p256Device.id)).to.equal(1n);
    });

    it("refuses a second change in one block, which resolvers could not tell apart", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployFleet);
      const byOwner = devices.connect(actors.owner);
      const { id: device, publicKey } = p256Device;
      const calls = [
        devices.interface.encodeFunctionData("suspend", [device, publicKey]),
        devices.interface.encodeFunctionData("revokeAll", [device, publicKey]),
      ];
      const next = BigInt(await networkHelpers.time.latestBlock()) + 1n;
      await expect(byOwner.multicall(calls))
        .to.be.revertedWithCustomError(devices, "DeviceChangedInBlock")
        .withArgs(device, next);
    });

    it("refuses a device that is retired or was never enrolled", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployFleet);
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(devices.connect(actors.owner).revokeAll(p256Device.id, p256Device.publicKey))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(p256Device.id, Status.Retired);
      await expect(devices.connect(actors.owner).revokeAll(actors.stranger.address, "0x"))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(actors.stranger.address, Status.None);
    });
  });

  describe("what only the owner does", () => {
    const callers = [
      ...wrongCallers,
      ["admin", "an admin of the fleet"],
      ["security", "a member with Suspend"],
    ] as const;
    for (const [caller, name] of callers) {
      it(`is refused to ${name}: retire and revokeAll`, async () => {
        const { devices, actors, fleet, p256Device } = await loadFixture(deployFleet);
        const byCaller = devices.connect(actors[caller]);
        for (const call of [byCaller.retire(p256Device.id), byCaller.revokeAll(p256Device.id, p256Device.publicKey)]) {
          await expect(call)
            .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
            .withArgs(fleet, actors[caller].address);
        }
        expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
        expect(await devices.epochOf(p256Device.id)).to.equal(1n);
      });
    }

    it("is the new governor's after a handover of the fleet", async () => {
      const { devices, roles, actors, fleet, p256Device } = await loadFixture(deployFleet);
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, false);
      await expect(devices.connect(actors.owner).retire(p256Device.id))
        .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
        .withArgs(fleet, actors.owner.address);
      await expect(devices.connect(actors.security).suspend(p256Device.id, p256Device.publicKey))
        .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
        .withArgs(fleet, actors.security.address, 1n << 9n);
      await devices.connect(actors.stranger).retire(p256Device.id);
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Retired);
    });
  });

  describe("views", () => {
    it("know nothing of a device that was never enrolled", async () => {
      const { devices, actors } = await loadFixture(deployFleet);
      const device = actors.stranger.address;
      expect(structOf(await devices.deviceOf(device))).to.deep.equal({
        owner: ZeroAddress,
        keyId: ZeroAddress,
        scheme: 0n,
        status: Status.None,
        epoch: 0n,
        manifest: 0n,
        changed: 0n,
        isContinuous: false,
      });
      expect(await devices.ownerOf(device)).to.equal(ZeroAddress);
      expect(await devices.epochOf(device)).to.equal(0n);
      expect(await devices.isActive(device)).to.equal(false);
      expect(await devices.keyOf(device)).to.deep.equal([ZeroAddress, 0n]);
      expect(await devices.activeKeyOf(device)).to.deep.equal([ZeroAddress, 0n]);
      expect(await devices.identityOwner(device)).to.equal(device);
      expect(await devices.changed(device)).to.equal(0n);
    });

    it("accept a device's proof while it is active, and only its own", async () => {
      const suite = await loadFixture(deployFleet);
      const { devices, devicesDomain, actors } = suite;
      for (const { key, name } of devicesOf(suite)) {
        const message = enrollmentMessage(devicesDomain, await enrollmentOf({ key }));
        const digest = messageDigest(message);
        const proof = await key.prove(message);
        expect(await devices.isValidDeviceProof(key.id, digest, proof), name).to.equal(true);
        expect(await devices.activeKeyOf(key.id)).to.deep.equal([key.id, BigInt(key.scheme)]);
        expect(await devices.isValidDeviceProof(key.id, ZeroHash, proof), name).to.equal(false);
        const byOther = await createP256Key().prove(message);
        expect(await devices.isValidDeviceProof(key.id, digest, byOther), name).to.equal(false);
        await devices.connect(actors.owner).suspend(key.id, key.publicKey);
        expect(await devices.isValidDeviceProof(key.id, digest, proof), name).to.equal(false);
        expect((await devices.activeKeyOf(key.id)).keyId).to.equal(ZeroAddress);
        await devices.connect(actors.owner).resume(key.id, key.publicKey);
        expect(await devices.isValidDeviceProof(key.id, digest, proof), name).to.equal(true);
        await devices.connect(actors.owner).retire(key.id);
        expect(await devices.isValidDeviceProof(key.id, digest, proof), name).to.equal(false);
      }
    });

    it("do not accept the proof of a key that is no device", async () => {
      const { devices, devicesDomain } = await loadFixture(deployFleet);
      const key = createP256Key();
      const message = enrollmentMessage(devicesDomain, await enrollmentOf({ key }));
      expect(await devices.isValidDeviceProof(key.id, messageDigest(message), await key.prove(message))).to.equal(
        false,
      );
    });

    it("say what the contract is", async () => {
      const { devices, roles, devicesDomain } = await loadFixture(deployFleet);
      expect(await devices.version()).to.equal("0.1.0");
      expect(await devices.ROLE_REGISTRY()).to.equal(await roles.getAddress());
      const domain = await devices.eip712Domain();
      expect([domain.name, domain.version, domain.chainId, domain.verifyingContract]).to.deep.equal([
        devicesDomain.name,
        devicesDomain.version,
        devicesDomain.chainId,
        devicesDomain.verifyingContract,
      ]);
      const known = [
        interfaceIdOf(IDeviceRegistry__factory, IRegistry__factory, IERC1056__factory, IBatch__factory),
        interfaceIdOf(IBatch__factory),
        interfaceIdOf(IERC1056__factory),
        ...REGISTRY_INTERFACE_IDS,
      ];
      for (const interfaceId of known) {
        expect(await devices.supportsInterface(interfaceId), interfaceId).to.equal(true);
      }
      expect(await devices.supportsInterface("0xffffffff")).to.equal(false);
    });

    it("take no ether", async () => {
      const { devices, actors } = await loadFixture(deployFleet);
      await expect(actors.owner.sendTransaction({ to: devices, value: 1n })).to.be.revertedWithoutReason(ethers);
    });
  });

  it("cannot be deployed to a chain without the P-256 precompile", async () => {
    const { network } = await import("hardhat");
    const prague = await network.create({ network: "default", override: { hardfork: "prague" } });
    const [deployer] = await prague.ethers.getSigners();
    const factory = await prague.ethers.getContractFactory("DeviceRegistry", deployer);
    await expect(factory.deploy(deployer!.address)).to.be.revertedWithCustomError(factory, "P256PrecompileMissing");
    await prague.close();
  });

  it("gives members with an own role what the role says", async () => {
    const { devices, roles, actors, fleet, p256Device } = await loadFixture(deployFleet);
    await roles.connect(actors.owner).defineRole(fleet, 8, 1n << 9n);
    await roles.connect(actors.owner).setRoles(fleet, actors.stranger, (1n << 8n) | ROLE.Analyst, 0n, FOR_EVER);
    await devices.connect(actors.stranger).suspend(p256Device.id, p256Device.publicKey);
    expect(await devices.statusOf(p256Device.id)).to.equal(Status.Suspended);
  });
});
