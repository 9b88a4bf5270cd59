import { expect } from "chai";
import { concat, id, keccak256, toBeHex, ZeroAddress, ZeroHash } from "ethers";

import { accountKey, createP256Key, Scheme, type Key, type P256Key } from "../client/keys.js";
import {
  anchorMessage,
  enrollmentMessage,
  messageDigest,
  messageDomain,
  redemptionMessage,
  type TypedMessage,
} from "../client/typed-data.js";

import { nextDevicePolicy, policyMessage, type Access } from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { wrongCallers } from "./support/fleet.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";
import {
  bareSummary,
  deployMarket,
  documentSummary,
  eventsOf,
  handOver,
  KEY_DELEGATE,
  keyEvent,
  KINDS,
  kinds,
  NO_PROOF,
  redeem,
  RESERVED,
  ROTATE_KEY,
  rotate,
  rotationOf,
  saleOf,
  Status,
  type KindName,
  type Market,
  type Rotation,
} from "./support/transfers.js";

/** New keys of every kind; the account is one that the market does not use otherwise. */
const newKeys: Record<KindName, (suite: Market) => Promise<Key>> = {
  p256Device: () => Promise.resolve(createP256Key()),
  hashingDevice: () => Promise.resolve(createP256Key({ scheme: Scheme.P256Sha256 })),
  accountDevice: ({ formerBuyer }) => accountKey(formerBuyer),
};

/** Sends a rotation that was signed, as the owner unless told. */
function send(suite: Market, { rotation, byNewKey, byOldKey }: Rotation, by = suite.actors.owner) {
  return suite.devices.connect(by).rotateKey(rotation, byNewKey, byOldKey);
}

/** Some message that a device signs to log in. */
function loginMessage({ devicesDomain }: Market, device: string): TypedMessage {
  return redemptionMessage(devicesDomain, { device, newOwner: ZeroAddress, epoch: 1, deadline: 1 });
}

/** A market with an active device of a manifest, whose maker is the fleet. */
async function deployGenuineDevice() {
  const suite = await deployMarket();
  const { devices, devicesDomain, actors, fleet } = suite;
  const key = createP256Key();
  const root = keccak256(concat(["0x00", "0x04", key.id, toBeHex(key.scheme, 1), ZeroHash]));
  const terms = { vendor: fleet, root, count: 1, voucherRequired: false };
  await devices.connect(actors.maker).publishManifest(fleet, id("sensor"), root, 1, false, "");
  const enrollment = {
    device: key.id,
    scheme: key.scheme,
    owner: fleet,
    manifest: 1,
    metadataHash: ZeroHash,
    deadline: (await now()) + DAY,
  };
  const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
  await devices.connect(actors.owner).enrollFromManifest(enrollment, proof, "0x", {
    terms,
    index: 0,
    serialHash: ZeroHash,
    path: [],
    voucherBy: ZeroAddress,
    voucherDeadline: 0,
    voucherSignature: "0x",
  });
  return { ...suite, key, terms };
}

/** A market with DataAccess and DataAnchor, and what a device says to them. */
async function deployListeners() {
  const suite = await deployMarket();
  const { roles, devices, chainId } = suite;
  const access = await ethers.deployContract("DataAccess", [roles, devices]);
  const anchors = await ethers.deployContract("DataAnchor", [roles, devices]);
  const accessDomain = messageDomain({ contract: "DataAccess", chainId, address: await access.getAddress() });
  const anchorsDomain = messageDomain({ contract: "DataAnchor", chainId, address: await anchors.getAddress() });
  const logId = concat([suite.p256Device.id, toBeHex(7, 12)]);
  const anchorBy = async (key: Key, index: bigint) => {
    const time = await now();
    const anchor = {
      logId,
      index,
      kind: 0,
      tree: 0,
      firstSeq: index * 10n,
      count: 10n,
      tFirst: time * 1000n - 1n,
      tLast: time * 1000n - 1n,
      supersedes: 0n,
      freshBlock: 0n,
      freshHash: ZeroHash,
      root: id("batch"),
      deadline: time + DAY,
    };
    const message = anchorMessage(anchorsDomain, anchor);
    const proof = await key.prove(message);
    return { digest: messageDigest(message), send: () => anchors.connect(suite.actors.relayer).anchor(anchor, proof) };
  };
  return { ...suite, access, accessDomain, anchors, logId, anchorBy };
}

/** Signs and sends a policy of the P-256 device by any key: what it allows, and everything public that can be. */
async function policyBy(suite: Access, key: Key, policy: { ceiling: bigint; publicRead?: bigint; purposes?: bigint }) {
  const signed = await nextDevicePolicy(suite, suite.p256Device, policy);
  const message = policyMessage(suite, signed);
  const proof = await key.prove(message);
  return {
    digest: messageDigest(message),
    send: () => suite.access.connect(suite.actors.relayer).setDevicePolicy(signed, proof),
  };
}

describe("DeviceRegistry keys", () => {
  describe("rotateKey", () => {
    for (const [from, fromName] of kinds) {
      for (const [to] of kinds) {
        for (const isAgreed of [true, false]) {
          const how = isAgreed ? "with" : "without";
          it(`gives ${fromName} the key of ${KINDS[to]}, ${how} the old key's consent`, async () => {
            const suite = await loadFixture(deployMarket);
            const { devices, actors, fleet } = suite;
            const oldKey = suite[from];
            const device = oldKey.id;
            const newKey = await newKeys[to](suite);
            const before = await devices.changed(device);

            const rotating = rotate(suite, { device, oldKey, newKey, isAgreed });

            const { events, blockNumber } = await eventsOf(devices, rotating);
            expect(events).to.deep.equal([
              keyEvent(device, oldKey, 0n, before),
              keyEvent(device, newKey, FOR_EVER, before),
              [
                "KeyRotated",
                device,
                oldKey.id,
                newKey.id,
                BigInt(newKey.scheme),
                newKey.publicKey,
                isAgreed,
                actors.owner.address,
              ],
            ]);
            expect(structOf(await devices.deviceOf(device))).to.deep.equal({
              owner: fleet,
              keyId: newKey.id,
              scheme: BigInt(newKey.scheme),
              status: Status.Active,
              epoch: 1n,
              manifest: 0n,
              changed: blockNumber,
              isContinuous: isAgreed,
            });
            expect(await devices.keyOf(device)).to.deep.equal([newKey.id, BigInt(newKey.scheme)]);
            expect(await devices.activeKeyOf(device)).to.deep.equal([newKey.id, BigInt(newKey.scheme)]);
            expect(await devices.statusOf(newKey.id)).to.equal(Status.None);
            expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(fleet, newKey));
          });
        }
      }
    }

    it("is done by the owner and by members with RotateKey", async () => {
      for (const sender of ["owner", "admin", "security"] as const) {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, p256Device } = suite;
        const newKey = createP256Key();
        const options = { device: p256Device.id, oldKey: p256Device, newKey };
        const { events } = await eventsOf(devices, rotate(suite, options, actors[sender]));
        expect(events[2]!.at(-1)).to.equal(actors[sender].address);
        expect((await devices.keyOf(p256Device.id)).keyId).to.equal(newKey.id);
      }
    });

    for (const [caller, name] of wrongCallers) {
      it(`is refused to ${name}`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, fleet, p256Device, accountDevice } = suite;
        for (const oldKey of [p256Device, accountDevice]) {
          const options = { device: oldKey.id, oldKey, newKey: createP256Key(), isAgreed: true };
          await expect(rotate(suite, options, actors[caller]))
            .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
            .withArgs(fleet, actors[caller].address, ROTATE_KEY);
          expect((await devices.keyOf(oldKey.id)).keyId).to.equal(oldKey.id);
        }
      });
    }

    it("is the new owner's after a transfer, whose staff the former owner's is not", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device, buyer, buyerFleet } = suite;
      await handOver(suite, p256Device);
      const newKey = createP256Key();
      const options = { device: p256Device.id, oldKey: p256Device, newKey };
      for (const by of [actors.owner, actors.security]) {
        await expect(rotate(suite, options, by))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(buyerFleet, by.address, ROTATE_KEY);
      }
      await rotate(suite, options, buyer);
      expect((await devices.keyOf(p256Device.id)).keyId).to.equal(newKey.id);
    });

    it("refuses a device that is retired or was never enrolled", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      const unknown = createP256Key();
      await devices.connect(actors.owner).retire(p256Device.id);
      for (const { key, status } of [
        { key: p256Device, status: Status.Retired },
        { key: unknown, status: Status.None },
      ]) {
        await expect(rotate(suite, { device: key.id, oldKey: key, newKey: createP256Key() }))
          .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
          .withArgs(key.id, status);
      }
    });

    it("refuses a message that names another key than the present one", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device, hashingDevice } = suite;
      const { id: device } = p256Device;
      await expect(rotate(suite, { device, oldKey: hashingDevice, newKey: createP256Key() }))
        .to.be.revertedWithCustomError(devices, "KeyStale")
        .withArgs(device, device, hashingDevice.id);
    });

    it("refuses a message that was used before, also after the key has changed again", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device } = suite;
      const device = p256Device.id;
      const [second, third] = [createP256Key(), createP256Key()];
      const first = await rotationOf(suite, { device, oldKey: p256Device, newKey: second, isAgreed: true });
      await send(suite, first);
      await expect(send(suite, first))
        .to.be.revertedWithCustomError(devices, "KeyStale")
        .withArgs(device, second.id, p256Device.id);
      await rotate(suite, { device, oldKey: second, newKey: third });
      await expect(send(suite, first))
        .to.be.revertedWithCustomError(devices, "KeyStale")
        .withArgs(device, third.id, p256Device.id);
    });

    it("refuses the present key as new key, also with another scheme", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device } = suite;
      const device = p256Device.id;
      for (const newScheme of [Scheme.P256, Scheme.P256Sha256]) {
        const options = { device, oldKey: p256Device, newKey: p256Device, changes: { newScheme } };
        await expect(rotate(suite, options))
          .to.be.revertedWithCustomError(devices, "KeyUnchanged")
          .withArgs(device, device);
      }
    });

    it("refuses a reserved id as new key", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device } = suite;
      for (const newKey of [ZeroAddress, RESERVED]) {
        const options = { device: p256Device.id, oldKey: p256Device, newKey: createP256Key(), changes: { newKey } };
        await expect(rotate(suite, options)).to.be.revertedWithCustomError(devices, "IdReserved").withArgs(newKey);
      }
    });

    it("refuses what was signed in another epoch", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      const device = p256Device.id;
      const options = { device, oldKey: p256Device, newKey: createP256Key(), isAgreed: true };
      const early = await rotationOf(suite, { ...options, changes: { epoch: 2 } });
      await expect(send(suite, early)).to.be.revertedWithCustomError(devices, "EpochStale").withArgs(device, 1n, 2n);
      const late = await rotationOf(suite, options);
      await devices.connect(actors.owner).revokeAll(device, p256Device.publicKey);
      await expect(send(suite, late)).to.be.revertedWithCustomError(devices, "EpochStale").withArgs(device, 2n, 1n);
    });

    it("takes a message in its last second, and refuses it after", async () => {
      for (const late of [0n, 1n]) {
        const suite = await loadFixture(deployMarket);
        const { devices, p256Device } = suite;
        const next = (await now()) + 100n;
        const signed = await rotationOf(suite, {
          device: p256Device.id,
          oldKey: p256Device,
          newKey: createP256Key(),
          changes: { deadline: next - late },
        });
        await networkHelpers.time.setNextBlockTimestamp(next);
        await (late === 0n
          ? expect(send(suite, signed)).to.emit(devices, "KeyRotated")
          : expect(send(suite, signed))
              .to.be.revertedWithCustomError(devices, "DeadlinePassed")
              .withArgs(next - 1n));
      }
    });

    for (const [kind] of kinds) {
      it(`refuses every proof of a new key like that of ${KINDS[kind]} that is not for exactly this message`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, p256Device } = suite;
        const newKey = await newKeys[kind](suite);
        const signed = await rotationOf(suite, { device: p256Device.id, oldKey: p256Device, newKey });
        const wrongKey = kind === "accountDevice" ? await accountKey(suite.actors.stranger) : createP256Key();
        const alter = { newScheme: newKey.scheme === Scheme.Account ? Scheme.P256 : Scheme.Account };
        const wrong = await wrongProofs({ key: newKey, wrongKey, message: signed.message, alter });
        expect(wrong.map(({ name }) => name)).to.include("with another oldKey");
        wrong.push({ name: "none", proof: { publicKey: newKey.publicKey, signature: "0x" } });
        for (const { name, proof } of wrong) {
          await expect(send(suite, { ...signed, byNewKey: proof }), name)
            .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
            .withArgs(newKey.id, messageDigest(signed.message));
        }
        expect((await devices.keyOf(p256Device.id)).keyId).to.equal(p256Device.id);
      });

      it(`refuses every proof of the old key of ${KINDS[kind]} that is not for exactly this message`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices } = suite;
        const oldKey = suite[kind];
        const signed = await rotationOf(suite, { device: oldKey.id, oldKey, newKey: createP256Key(), isAgreed: true });
        const wrongKey = kind === "accountDevice" ? await accountKey(suite.actors.stranger) : createP256Key();
        const wrong = await wrongProofs({ key: oldKey, wrongKey, message: signed.message, alter: { newScheme: 2 } });
        for (const { name, proof } of wrong) {
          await expect(send(suite, { ...signed, byOldKey: proof }), name)
            .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
            .withArgs(oldKey.id, messageDigest(signed.message));
        }
        expect((await devices.keyOf(oldKey.id)).keyId).to.equal(oldKey.id);
      });
    }

    it("does not take a proof by one scheme for a key of another", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device } = suite;
      const newKey = createP256Key();
      const options = { device: p256Device.id, oldKey: p256Device, newKey, changes: { newScheme: Scheme.P256Sha256 } };
      const signed = await rotationOf(suite, options);
      await expect(send(suite, signed))
        .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
        .withArgs(newKey.id, messageDigest(signed.message));
    });

    it("refuses a public key of the old key that is not its own, with nobody's consent to check it", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices } = suite;
      const other = createP256Key().publicKey;
      for (const [kind] of kinds) {
        const oldKey = suite[kind];
        for (const publicKey of [other, oldKey.publicKey === "0x" ? "0x00" : "0x"]) {
          const signed = await rotationOf(suite, { device: oldKey.id, oldKey, newKey: createP256Key() });
          await expect(send(suite, { ...signed, byOldKey: { publicKey, signature: "0x" } }))
            .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
            .withArgs(oldKey.id, publicKey);
        }
      }
    });

    it("gives a device the key of a contract account, by ERC-1271", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, devicesDomain, p256Device, buyers } = suite;
      const device = p256Device.id;
      const newKey = buyers.wallet.key;
      await rotate(suite, { device, oldKey: p256Device, newKey, isAgreed: true });
      expect(await devices.keyOf(device)).to.deep.equal([buyers.wallet.id, BigInt(Scheme.Account)]);
      const message = redemptionMessage(devicesDomain, { device, newOwner: ZeroAddress, epoch: 1, deadline: 1 });
      expect(await devices.isValidDeviceProof(device, messageDigest(message), await newKey.prove(message))).to.equal(
        true,
      );
    });
  });

  describe("a rotation while the device is suspended", () => {
    it("changes the key and not the document, which shows the new key when the device is resumed", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet } = suite;
      for (const [from] of kinds) {
        const oldKey = suite[from];
        const device = oldKey.id;
        const newKey = createP256Key();
        await devices.connect(actors.owner).suspend(device, oldKey.publicKey);
        const suspendedAt = await devices.changed(device);
        const signed = await rotationOf(suite, { device, oldKey, newKey });

        const rotating = send(suite, { ...signed, byOldKey: { publicKey: "0x1234", signature: "0x" } });

        const { events } = await eventsOf(devices, rotating);
        expect(events).to.deep.equal([
          ["KeyRotated", device, oldKey.id, newKey.id, 1n, newKey.publicKey, false, actors.owner.address],
        ]);
        const state = await devices.deviceOf(device);
        expect([state.keyId, state.status, state.changed]).to.deep.equal([newKey.id, Status.Suspended, suspendedAt]);
        expect(await devices.activeKeyOf(device)).to.deep.equal([ZeroAddress, 0n]);
        expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(fleet));
        await expect(devices.connect(actors.owner).resume(device, oldKey.publicKey))
          .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
          .withArgs(newKey.id, oldKey.publicKey);
        const resuming = await eventsOf(devices, devices.connect(actors.owner).resume(device, newKey.publicKey));
        expect(resuming.events[0]).to.deep.equal(keyEvent(device, newKey, FOR_EVER, suspendedAt));
        expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(fleet, newKey));
      }
    });

    it("takes no consent of the old key, which says nothing that counts", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      const { id: device, publicKey } = p256Device;
      const options = { device, oldKey: p256Device, newKey: createP256Key(), isAgreed: true };
      const signed = await rotationOf(suite, options);
      await devices.connect(actors.owner).suspend(device, publicKey);
      await expect(send(suite, signed))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(device, Status.Suspended);
      await send(suite, { ...signed, byOldKey: NO_PROOF });
      expect((await devices.deviceOf(device)).isContinuous).to.equal(false);
    });

    it("lets the factory key return, and the device is itself again", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device } = suite;
      const { id: device, publicKey } = p256Device;
      const other = createP256Key();
      await rotate(suite, { device, oldKey: p256Device, newKey: other });
      await devices.connect(actors.owner).suspend(device, other.publicKey);
      await rotate(suite, { device, oldKey: other, newKey: p256Device });
      await devices.connect(actors.owner).resume(device, publicKey);
      expect((await devices.deviceOf(device)).isContinuous).to.equal(true);
      expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(fleet, p256Device));
    });
  });

  describe("from a rotation on, only the new key", () => {
    for (const [kind, name] of kinds) {
      it(`logs ${name} in`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices } = suite;
        const oldKey = suite[kind];
        const device = oldKey.id;
        const newKey = await newKeys[kind](suite);
        const message = loginMessage(suite, device);
        const isValid = async (key: Key): Promise<boolean> =>
          devices.isValidDeviceProof(device, messageDigest(message), await key.prove(message));
        expect([await isValid(oldKey), await isValid(newKey)]).to.deep.equal([true, false]);
        await rotate(suite, { device, oldKey, newKey });
        expect([await isValid(oldKey), await isValid(newKey)]).to.deep.equal([false, true]);
      });

      it(`names ${name} in what suspends, resumes and renews it, and goes with it to a new owner`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, fleet, buyer, buyerFleet } = suite;
        const oldKey = suite[kind];
        const device = oldKey.id;
        const newKey = await newKeys[kind === "accountDevice" ? "p256Device" : "accountDevice"](suite);
        await rotate(suite, { device, oldKey, newKey });
        const byOwner = devices.connect(actors.owner);
        const steps = [
          {
            call: (publicKey: string) => byOwner.suspend(device, publicKey),
            event: (changed: bigint) => keyEvent(device, newKey, 0n, changed),
          },
          {
            call: (publicKey: string) => byOwner.resume(device, publicKey),
            event: (changed: bigint) => keyEvent(device, newKey, FOR_EVER, changed),
          },
          {
            call: (publicKey: string) => byOwner.revokeAll(device, publicKey),
            event: () => keyEvent(device, newKey, FOR_EVER, 0n),
          },
          {
            call: (publicKey: string) => devices.connect(buyer).acceptTransfer(device, publicKey),
            event: () => keyEvent(device, newKey, FOR_EVER, 0n),
          },
        ];
        for (const { call, event } of steps) {
          if (call === steps.at(-1)!.call) await byOwner.proposeTransfer(device, buyerFleet, FOR_EVER);
          await expect(call(oldKey.publicKey))
            .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
            .withArgs(newKey.id, oldKey.publicKey);
          const changed = await devices.changed(device);
          const { events } = await eventsOf(devices, call(newKey.publicKey));
          expect(events).to.deep.include(event(changed));
        }
        expect(await devices.ownerOf(device))
          .to.equal(buyerFleet)
          .and.not.equal(fleet);
        expect(await devices.keyOf(device)).to.deep.equal([newKey.id, BigInt(newKey.scheme)]);
        expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(buyerFleet, newKey));
      });
    }

    it("speaks for the identity, if it is an account and the device active", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, accountDevice, formerBuyer } = suite;
      const device = accountDevice.id;
      const newKey = await accountKey(formerBuyer);
      const speaks = async (): Promise<boolean[]> => [
        await devices.validDelegate(device, KEY_DELEGATE, accountDevice.id),
        await devices.validDelegate(device, KEY_DELEGATE, newKey.id),
      ];
      expect(await speaks()).to.deep.equal([true, false]);
      await rotate(suite, { device, oldKey: accountDevice, newKey });
      expect(await speaks()).to.deep.equal([false, true]);
      await devices.connect(actors.owner).suspend(device, "0x");
      expect(await speaks()).to.deep.equal([false, false]);
      await devices.connect(actors.owner).resume(device, "0x");
      await rotate(suite, { device, oldKey: newKey, newKey: createP256Key() });
      expect(await speaks()).to.deep.equal([false, false]);
    });

    it("appends to the device's log, whose anchors before stay", async () => {
      const suite = await loadFixture(deployListeners);
      const { anchors, anchorBy, logId, p256Device } = suite;
      const newKey = createP256Key({ scheme: Scheme.P256Sha256 });
      await (await anchorBy(p256Device, 0n)).send();
      const unsent = await anchorBy(p256Device, 1n);
      await rotate(suite, { device: p256Device.id, oldKey: p256Device, newKey });
      await expect(unsent.send())
        .to.be.revertedWithCustomError(anchors, "KeyProofInvalid")
        .withArgs(newKey.id, unsent.digest);
      expect((await anchors.head(logId)).size).to.equal(1n);
      await (await anchorBy(newKey, 1n)).send();
      expect((await anchors.head(logId)).size).to.equal(2n);
    });

    it("sets the device's policy", async () => {
      const suite = await loadFixture(deployListeners);
      const { access, p256Device } = suite;
      const newKey = createP256Key();
      const unsent = await policyBy(suite, p256Device, { ceiling: 0b11n });
      await rotate(suite, { device: p256Device.id, oldKey: p256Device, newKey, isAgreed: true });
      await expect(unsent.send())
        .to.be.revertedWithCustomError(access, "KeyProofInvalid")
        .withArgs(newKey.id, unsent.digest);
      await (await policyBy(suite, newKey, { ceiling: 0b11n })).send();
      expect((await access.policyOf(p256Device.id)).device.ceiling).to.equal(0b11n);
    });

    it("redeems a bearer voucher", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device, buyerFleet } = suite;
      const newKey = createP256Key();
      const sale = await saleOf(suite, { key: p256Device, isBearer: true });
      await rotate(suite, { device: p256Device.id, oldKey: p256Device, newKey });
      await expect(redeem(suite, sale))
        .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
        .withArgs(newKey.id, messageDigest(sale.messages.redemption));
      const proof = await newKey.prove(sale.messages.redemption);
      await redeem(suite, { ...sale, redemption: { ...sale.redemption, ...proof } });
      expect(await devices.ownerOf(p256Device.id)).to.equal(buyerFleet);
    });
  });

  describe("the continuity of keys", () => {
    /** Rotates along a chain of keys, and tells after each step whether the device is continuous and genuine. */
    async function follow(
      suite: Market & { key: P256Key },
      steps: readonly { newKey: Key; isAgreed: boolean }[],
    ): Promise<boolean[]> {
      const { devices, key } = suite;
      const seen: boolean[] = [];
      let oldKey: Key = key;
      for (const { newKey, isAgreed } of steps) {
        await rotate(suite, { device: key.id, oldKey, newKey, isAgreed });
        oldKey = newKey;
        const { isContinuous } = await devices.deviceOf(key.id);
        expect(await devices.isGenuine(key.id)).to.equal(isContinuous);
        seen.push(isContinuous);
      }
      return seen;
    }

    it("holds as long as each key agrees to the next", async () => {
      const suite = await loadFixture(deployGenuineDevice);
      expect(await suite.devices.isGenuine(suite.key.id)).to.equal(true);
      const keys = [createP256Key(), await newKeys.accountDevice(suite), createP256Key({ scheme: Scheme.P256Sha256 })];
      const steps = keys.map((newKey) => ({ newKey, isAgreed: true }));
      expect(await follow(suite, steps)).to.deep.equal([true, true, true]);
    });

    it("ends with a key that the one before did not agree to, whatever comes after", async () => {
      const suite = await loadFixture(deployGenuineDevice);
      const steps = [true, false, true, true].map((isAgreed) => ({ newKey: createP256Key(), isAgreed }));
      expect(await follow(suite, steps)).to.deep.equal([true, false, false, false]);
    });

    it("comes back with the factory key, whoever agrees, and can be lost again", async () => {
      for (const isAgreed of [true, false]) {
        const suite = await loadFixture(deployGenuineDevice);
        const steps = [
          { newKey: createP256Key(), isAgreed: false },
          { newKey: suite.key, isAgreed },
          { newKey: createP256Key(), isAgreed: true },
          { newKey: createP256Key(), isAgreed: false },
        ];
        expect(await follow(suite, steps)).to.deep.equal([false, true, true, false]);
      }
    });

    it("survives transfers, renewals and suspensions, lost or held", async () => {
      for (const isAgreed of [true, false]) {
        const suite = await loadFixture(deployGenuineDevice);
        const { devices, actors, key, buyer } = suite;
        const newKey = createP256Key();
        await rotate(suite, { device: key.id, oldKey: key, newKey, isAgreed });
        await devices.connect(actors.owner).suspend(key.id, newKey.publicKey);
        await devices.connect(actors.owner).resume(key.id, newKey.publicKey);
        await devices.connect(actors.owner).revokeAll(key.id, newKey.publicKey);
        await handOver(suite, { ...newKey, id: key.id });
        await devices.connect(buyer).revokeAll(key.id, newKey.publicKey);
        expect((await devices.deviceOf(key.id)).isContinuous).to.equal(isAgreed);
        expect(await devices.isGenuine(key.id)).to.equal(isAgreed);
      }
    });

    it("does not make a device genuine that is in no manifest, or in one that was revoked", async () => {
      const suite = await loadFixture(deployGenuineDevice);
      const { devices, actors, key, terms, p256Device } = suite;
      expect((await devices.deviceOf(p256Device.id)).isContinuous).to.equal(true);
      expect(await devices.isGenuine(p256Device.id)).to.equal(false);
      await rotate(suite, { device: key.id, oldKey: key, newKey: createP256Key(), isAgreed: true });
      await devices.connect(actors.owner).revokeManifest(1, terms, 1);
      expect((await devices.deviceOf(key.id)).isContinuous).to.equal(true);
      expect(await devices.isGenuine(key.id)).to.equal(false);
    });

    it("lets a key that the factory's did not agree to narrow the device's policy only", async () => {
      const suite = await loadFixture(deployListeners);
      const { access, p256Device } = suite;
      const device = p256Device.id;
      const [first, second] = [createP256Key(), createP256Key()];
      await (await policyBy(suite, p256Device, { ceiling: 0b111n, publicRead: 0b11n, purposes: 0b111n })).send();
      await rotate(suite, { device, oldKey: p256Device, newKey: first });
      const wider = [
        { ceiling: 0b1111n, publicRead: 0b11n, purposes: 0b111n },
        { ceiling: 0b111n, publicRead: 0b111n, purposes: 0b111n },
        { ceiling: 0b111n, publicRead: 0b11n, purposes: 0b1111n },
      ];
      for (const policy of wider) {
        await expect((await policyBy(suite, first, policy)).send())
          .to.be.revertedWithCustomError(access, "PolicyWidened")
          .withArgs(device, first.id);
      }
      await (await policyBy(suite, first, { ceiling: 0b11n, publicRead: 0b1n, purposes: 0b11n })).send();
      await rotate(suite, { device, oldKey: first, newKey: second, isAgreed: true });
      await expect((await policyBy(suite, second, wider[0]!)).send())
        .to.be.revertedWithCustomError(access, "PolicyWidened")
        .withArgs(device, second.id);
      expect((await access.policyOf(device)).device).to.deep.equal([true, 0b11n, 0b1n, 0b11n]);

      await rotate(suite, { device, oldKey: second, newKey: p256Device });
      await (await policyBy(suite, p256Device, wider[0]!)).send();
      expect((await access.policyOf(device)).device).to.deep.equal([true, 0b1111n, 0b11n, 0b111n]);
    });

    it("keeps the device's own policy through a transfer, which no owner can widen with a key of its own", async () => {
      const suite = await loadFixture(deployListeners);
      const { access, p256Device, buyer } = suite;
      const device = p256Device.id;
      const ownKey = createP256Key();
      await (await policyBy(suite, p256Device, { ceiling: 0b1n })).send();
      await handOver(suite, p256Device);
      await rotate(suite, { device, oldKey: p256Device, newKey: ownKey }, buyer);
      await expect((await policyBy(suite, ownKey, { ceiling: 0b11n })).send())
        .to.be.revertedWithCustomError(access, "PolicyWidened")
        .withArgs(device, ownKey.id);
      expect((await access.policyOf(device)).device.ceiling).to.equal(0b1n);
    });
  });
});
