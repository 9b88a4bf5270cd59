import { expect } from "chai";
import { ZeroHash } from "ethers";

import * as access from "../../client/access.js";
import * as authentication from "../../client/authentication.js";
import * as anchors from "../../client/anchors.js";
import { buildBatch } from "../../client/batches.js";
import * as devices from "../../client/devices.js";
import { keyAttributeValue } from "../../client/did.js";
import { auditTrail } from "../../client/events.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import * as lifecycle from "../../client/lifecycle.js";
import * as roles from "../../client/roles.js";
import * as transfers from "../../client/transfers.js";
import { keyRotationMessage } from "../../client/typed-data.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { providerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

const AUDIENCE = "https://gateway.example";

type DeviceName = "device" | "hashingDevice" | "accountDevice";

/** The three devices in service, and a key of each kind that none of them has. */
interface Enrolled extends Deployed {
  newKeys: Record<DeviceName, Key>;
}

const kinds: { kind: DeviceName; name: string }[] = [
  { kind: "device", name: "a P-256 key" },
  { kind: "hashingDevice", name: "a P-256 key that hashes" },
  { kind: "accountDevice", name: "an account" },
];
/** Each kind of key follows each. */
const changes = kinds.flatMap((from) => kinds.map((to) => ({ from, to, name: `${to.name} for ${from.name}` })));

async function enrolled(): Promise<Enrolled> {
  const deployed = await deployTouchstone();
  const { touchstone, owner } = deployed;
  for (const { kind } of kinds) {
    const device = deployed[kind];
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
  }
  const accountDevice = await accountKey((await ethers.getSigners())[5]!);
  const newKeys = {
    device: createP256Key(),
    hashingDevice: createP256Key({ scheme: Scheme.P256Sha256 }),
    accountDevice,
  };
  return { ...deployed, newKeys };
}

/** Puts the new key in the place of the old one, with its consent if it is given. */
async function rotate(
  { touchstone }: Pick<Deployed, "touchstone">,
  options: { device: string; newKey: Key; byOldKey?: Key },
): Promise<devices.KeyRotation> {
  const { device, newKey, byOldKey } = options;
  const rotation = await devices.newKeyRotation({ touchstone, device, newKey });
  const consent = byOldKey === undefined ? {} : { byOldKey };
  await devices.rotateKey({ touchstone, rotation, byNewKey: newKey, ...consent });
  return rotation;
}

/** Anchors one reading in the device's log, signed by the key. */
async function anchorBy({ touchstone }: Pick<Deployed, "touchstone">, device: string, key: Key): Promise<void> {
  const logId = anchors.deviceLogId({ device });
  const { nextSeq } = await anchors.head({ touchstone, logId });
  const measuredAt = (await now()) * 1_000n;
  const batch = buildBatch({ logId, firstSeq: nextSeq, readings: [{ measuredAt, payload: Buffer.from("21.5") }] });
  await anchors.anchor({ touchstone, anchor: await anchors.newAnchor({ touchstone, batch }), byDevice: key });
}

/** Logs the device in with the key. */
async function logIn(
  { touchstone }: Pick<Deployed, "touchstone">,
  device: string,
  key: Key,
): Promise<authentication.Authenticated> {
  const verifier = authentication.createVerifier({ touchstone, audience: AUDIENCE });
  const challenge = await verifier.challenge();
  const response = await authentication.respond({
    key,
    device,
    domain: touchstone.domains.DeviceRegistry,
    audience: AUDIENCE,
    challenge,
  });
  return verifier.verify({ response });
}

describe("devices.newKeyRotation", () => {
  it("makes the message for the present key and epoch, valid for a day or as long as asked", async () => {
    const { touchstone, device, newKeys } = await loadFixture(enrolled);
    const newKey = newKeys.hashingDevice;
    const options = { touchstone, device: device.id, newKey: { id: newKey.id, scheme: newKey.scheme } };
    await networkHelpers.time.increase(1_000_000n);
    expect(await devices.newKeyRotation(options)).to.deep.equal({
      device: device.id,
      oldKey: device.id,
      newKey: newKey.id,
      newScheme: Scheme.P256Sha256,
      epoch: 1n,
      deadline: (await now()) + DAY,
    });
    await devices.revokeAll({ touchstone, device: device.id });
    await rotate({ touchstone }, { device: device.id, newKey });
    expect(await devices.newKeyRotation({ ...options, newKey: device, validFor: 60n })).to.deep.equal({
      device: device.id,
      oldKey: newKey.id,
      newKey: device.id,
      newScheme: Scheme.P256,
      epoch: 2n,
      deadline: (await now()) + 60n,
    });
  });

  it("refuses what is no device, key or time", async () => {
    const { touchstone, device, newKeys } = await loadFixture(enrolled);
    const right = { touchstone, device: device.id, newKey: newKeys.device };
    for (const wrong of [
      { device: "0x12" },
      { newKey: { id: "key.eth", scheme: Scheme.P256 } },
      { newKey: { id: newKeys.device.id, scheme: 3 as Scheme } },
      { validFor: 2n ** 40n },
    ]) {
      await errorOf("INVALID_ARGUMENT", () => devices.newKeyRotation({ ...right, ...wrong }));
    }
  });
});

describe("devices.rotateKey", () => {
  const fileIn = temporaryFolder();

  for (const { from, to, name } of changes) {
    it(`puts ${name}, with the old key's consent`, async () => {
      const deployed = await loadFixture(enrolled);
      const { touchstone, owner, newKeys } = deployed;
      const [oldKey, newKey] = [deployed[from.kind], newKeys[to.kind]];
      const device = oldKey.id;
      const rotation = await devices.newKeyRotation({ touchstone, device, newKey });
      const { events, receipt } = await devices.rotateKey({ touchstone, rotation, byNewKey: newKey, byOldKey: oldKey });

      const ofKey = (key: Key): string =>
        key.scheme === Scheme.Account ? "DIDDelegateChanged" : "DIDAttributeChanged";
      expect(events.map((event) => event.name)).to.deep.equal([ofKey(oldKey), ofKey(newKey), "KeyRotated"]);
      expect(events.at(-1)?.args).to.deep.equal({
        device,
        oldKey: oldKey.id,
        newKey: newKey.id,
        newScheme: BigInt(newKey.scheme),
        publicKey: newKey.publicKey,
        isContinuous: true,
        by: owner.address,
      });
      expect(await devices.get({ touchstone, device })).to.deep.include({
        keyId: newKey.id,
        scheme: newKey.scheme,
        status: "Active",
        epoch: 1n,
        changed: BigInt(receipt.blockNumber),
        isContinuous: true,
      });
      expect(await devices.publicKeyOf({ touchstone, device })).to.equal(newKey.publicKey);
      await devices.suspend({ touchstone, device });
      await devices.resume({ touchstone, device });
      expect(await devices.get({ touchstone, device })).to.deep.include({ status: "Active", keyId: newKey.id });
      expect(await devices.publicKeyOf({ touchstone, device })).to.equal(newKey.publicKey);
    });

    it(`puts ${name} while the device is suspended, and resumes it with the new key`, async () => {
      const deployed = await loadFixture(enrolled);
      const { touchstone, newKeys } = deployed;
      const [oldKey, newKey] = [deployed[from.kind], newKeys[to.kind]];
      const device = oldKey.id;
      await devices.suspend({ touchstone, device });
      await rotate(deployed, { device, newKey });
      expect(await devices.get({ touchstone, device })).to.deep.include({
        status: "Suspended",
        keyId: newKey.id,
        scheme: newKey.scheme,
        isContinuous: false,
      });
      expect(await devices.publicKeyOf({ touchstone, device })).to.equal(newKey.publicKey);

      const { events } = await devices.resume({ touchstone, device });
      const [shown, resumed] = events;
      if (shown?.name === "DIDAttributeChanged") {
        expect(shown.args.value).to.equal(keyAttributeValue(newKey.publicKey));
      } else {
        expect(shown?.name === "DIDDelegateChanged" && shown.args.delegate).to.equal(newKey.id);
      }
      expect(resumed?.name).to.equal("DeviceResumed");
      expect(await devices.publicKeyOf({ touchstone, device })).to.equal(newKey.publicKey);
      expect((await logIn(deployed, device, newKey)).device).to.equal(device);
    });
  }

  it("finds the latest of the keys that a suspended device was given", async () => {
    const deployed = await loadFixture(enrolled);
    const { touchstone, device, newKeys } = deployed;
    await devices.suspend({ touchstone, device: device.id });
    for (const newKey of [newKeys.device, newKeys.accountDevice, newKeys.hashingDevice]) {
      await rotate(deployed, { device: device.id, newKey });
      expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(newKey.publicKey);
    }
    await rotate(deployed, { device: device.id, newKey: device });
    expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(device.publicKey);
    await devices.resume({ touchstone, device: device.id });
    expect((await logIn(deployed, device.id, device)).device).to.equal(device.id);
  });

  it("resumes many at once whose keys no document shows", async () => {
    const deployed = await loadFixture(enrolled);
    const { touchstone, newKeys } = deployed;
    const ids = kinds.map(({ kind }) => deployed[kind].id);
    for (const { kind } of kinds) {
      await devices.suspend({ touchstone, device: deployed[kind].id });
      await rotate(deployed, { device: deployed[kind].id, newKey: newKeys[kind] });
    }
    const result = await lifecycle.resumeMany({ touchstone, devices: ids, journal: fileIn("journal") });
    expect(result).to.include({ done: 3, refused: 0 });
    for (const { kind } of kinds) {
      const found = await devices.publicKeyOf({ touchstone, device: deployed[kind].id });
      expect(found).to.equal(newKeys[kind].publicKey);
    }
  });
  for (const { name, begin } of [
    {
      name: "handed over",
      begin: async ({ touchstone, other }: Enrolled, device: string) => {
        await transfers.propose({ touchstone, device, newOwner: other.address });
        await transfers.accept({ touchstone: touchstone.connect(other), device });
        return touchstone.connect(other);
      },
    },
    {
      name: "cleared by revokeAll",
      begin: async ({ touchstone }: Enrolled, device: string) => {
        await devices.revokeAll({ touchstone, device });
        return touchstone;
      },
    },
  ]) {
    it(`finds the key of a device that was ${name} while it was suspended`, async () => {
      const deployed = await loadFixture(enrolled);
      const { device, hashingDevice, newKeys } = deployed;
      for (const [{ id }, newKey] of [
        [device, undefined],
        [hashingDevice, newKeys.device],
      ] as const) {
        if (newKey !== undefined) await rotate(deployed, { device: id, newKey });
        await devices.suspend({ touchstone: deployed.touchstone, device: id });
        const touchstone = await begin(deployed, id);
        const { publicKey } = newKey ?? device;
        expect(await devices.publicKeyOf({ touchstone, device: id })).to.equal(publicKey);
        await devices.resume({ touchstone, device: id });
        expect(await devices.get({ touchstone, device: id })).to.deep.include({ status: "Active", epoch: 2n });
        expect(await devices.publicKeyOf({ touchstone, device: id })).to.equal(publicKey);
      }
    });
  }

  it("is not misled by what an account wrote under the name of keys before it was enrolled", async () => {
    const { touchstone, owner, newKeys } = await loadFixture(enrolled);
    const account = (await ethers.getSigners())[6]!;
    const device = await accountKey(account);
    const registry = touchstone.deviceRegistry.connect(account);
    const name = ethers.encodeBytes32String("did/pub/Multikey/sigAuth");
    await registry.setAttribute(device.id, name, "0x1234", DAY);
    await registry.setAttribute(device.id, name, keyAttributeValue(createP256Key().publicKey), DAY);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    await devices.suspend({ touchstone, device: device.id });
    await rotate({ touchstone }, { device: device.id, newKey: newKeys.device });
    expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(newKeys.device.publicKey);
  });

  it("says so if the node has no events of the rotation", async () => {
    const deployed = await loadFixture(enrolled);
    const { touchstone, device, newKeys } = deployed;
    await devices.suspend({ touchstone, device: device.id });
    await rotate(deployed, { device: device.id, newKey: newKeys.device });
    const { topicHash } = touchstone.deviceRegistry.filters.KeyRotated.fragment;
    const forgetful = providerWith({
      getLogs: async (filter) =>
        (await ethers.provider.getLogs(filter)).filter(({ topics }) => topics[0] !== topicHash),
    });
    const error = await errorOf("NOT_FOUND", () =>
      devices.publicKeyOf({ touchstone: touchstone.connect(forgetful), device: device.id }),
    );
    expect(error.details).to.deep.equal({ device: device.id });
  });

  it("takes proofs that were made before, and an old key that the caller gives, and asks the chain for none", async () => {
    const { touchstone, device, hashingDevice, newKeys } = await loadFixture(enrolled);
    const withoutEvents = touchstone.connect(
      (await ethers.getSigners())[1]!.connect(providerWith({ getLogs: () => expect.fail("asked for events") })),
    );
    const newKey = newKeys.device;
    for (const [{ id, publicKey }, isAgreed] of [
      [device, true],
      [hashingDevice, false],
    ] as const) {
      const rotation = await devices.newKeyRotation({ touchstone, device: id, newKey });
      const message = keyRotationMessage(touchstone.domains.DeviceRegistry, rotation);
      const byNewKey = await newKey.prove(message);
      const old = isAgreed ? { byOldKey: await device.prove(message) } : { publicKey };
      await devices.rotateKey({ touchstone: withoutEvents, rotation, byNewKey, ...old });
      expect(await devices.get({ touchstone, device: id })).to.deep.include({
        keyId: newKey.id,
        isContinuous: isAgreed,
      });
    }
  });

  it("may be sent by a member with RotateKey", async () => {
    const { touchstone, owner, other, device, newKeys } = await loadFixture(enrolled);
    const rotation = await devices.newKeyRotation({ touchstone, device: device.id, newKey: newKeys.device });
    const sending = { touchstone: touchstone.connect(other), rotation, byNewKey: newKeys.device };
    await refusedAs("CallerLacksPermission", () => devices.rotateKey(sending));
    await roles.setRoles({ touchstone, fleet: owner.address, account: other.address, roles: ["Security"] });
    const { events } = await devices.rotateKey(sending);
    expect(events.at(-1)?.args).to.deep.include({ newKey: newKeys.device.id, by: other.address });
  });

  it("makes a device discontinuous for as long as a key came without the consent of the one before", async () => {
    const deployed = await loadFixture(enrolled);
    const { touchstone, device, newKeys } = deployed;
    const isContinuous = async (): Promise<boolean> =>
      (await devices.get({ touchstone, device: device.id })).isContinuous;
    await rotate(deployed, { device: device.id, newKey: newKeys.device, byOldKey: device });
    expect(await isContinuous()).to.equal(true);
    await rotate(deployed, { device: device.id, newKey: newKeys.hashingDevice });
    expect(await isContinuous()).to.equal(false);
    await rotate(deployed, {
      device: device.id,
      newKey: newKeys.accountDevice,
      byOldKey: newKeys.hashingDevice,
    });
    expect(await isContinuous()).to.equal(false);
    await rotate(deployed, { device: device.id, newKey: device, byOldKey: newKeys.accountDevice });
    expect(await isContinuous()).to.equal(true);
  });

  for (const { kind, name } of kinds) {
    it(`refuses anchors, logins and policies of the old key, ${name}, and takes those of the new one`, async () => {
      const deployed = await loadFixture(enrolled);
      const { touchstone, newKeys } = deployed;
      const [oldKey, newKey] = [deployed[kind], newKeys[kind]];
      const device = oldKey.id;
      await anchorBy(deployed, device, oldKey);
      expect((await logIn(deployed, device, oldKey)).device).to.equal(device);
      await rotate(deployed, { device, newKey, byOldKey: oldKey });

      const args = await refusedAs("KeyProofInvalid", () => anchorBy(deployed, device, oldKey));
      expect(args.keyId).to.equal(newKey.id);
      const error = await errorOf("AUTHENTICATION_REFUSED", () => logIn(deployed, device, oldKey));
      expect(error.details.reason).to.equal("ProofInvalid");
      const policy = await access.newDevicePolicy({ touchstone, device, ceiling: ["ReadLive"] });
      await refusedAs("KeyProofInvalid", () => access.setDevicePolicy({ touchstone, policy, byDevice: oldKey }));

      await anchorBy(deployed, device, newKey);
      expect((await logIn(deployed, device, newKey)).device).to.equal(device);
      await access.setDevicePolicy({ touchstone, policy, byDevice: newKey });
    });
  }

  it("leaves one audit trail of what all keys signed, and of no other device", async () => {
    const deployed = await loadFixture(enrolled);
    const { touchstone, device, hashingDevice, newKeys } = deployed;
    const order = [device, newKeys.accountDevice, newKeys.hashingDevice, device];
    for (const [place, key] of order.entries()) {
      if (place === 2) {
        await devices.suspend({ touchstone, device: device.id });
        await rotate(deployed, { device: device.id, newKey: key });
        await devices.resume({ touchstone, device: device.id });
      } else if (place > 0) {
        await rotate(deployed, { device: device.id, newKey: key, byOldKey: order[place - 1]! });
      }
      await anchorBy(deployed, device.id, key);
    }
    // The same key may speak for two devices.
    await rotate(deployed, { device: hashingDevice.id, newKey: newKeys.accountDevice });
    await anchorBy(deployed, hashingDevice.id, newKeys.accountDevice);

    const authors: string[] = [];
    const rotations: string[] = [];
    for await (const { event } of auditTrail({ touchstone, device: device.id })) {
      if (event.name === "Anchored") authors.push(event.args.author);
      if (event.name === "KeyRotated") rotations.push(event.args.newKey);
    }
    expect(authors).to.deep.equal(order.map(({ id }) => id));
    expect(rotations).to.deep.equal(order.slice(1).map(({ id }) => id));
  });

  it("lets the audit trail be cancelled before its keys are known", async () => {
    const { touchstone, device } = await loadFixture(enrolled);
    const silent = touchstone.connect(providerWith({ getLogs: () => expect.fail("asked for events") }));
    await errorOf("CANCELLED", () =>
      auditTrail({ touchstone: silent, device: device.id, signal: AbortSignal.abort() }).next(),
    );
  });

  it("passes on why the contract refuses, and sends nothing", async () => {
    const deployed = await loadFixture(enrolled);
    const { touchstone, owner, other, device, hashingDevice, newKeys } = deployed;
    const newKey = newKeys.device;
    const id = device.id;
    const rotation = await devices.newKeyRotation({ touchstone, device: id, newKey });
    const right = { touchstone, rotation, byNewKey: newKey };
    const changed = (changes: Partial<devices.KeyRotation>) => () =>
      devices.rotateKey({ ...right, rotation: { ...rotation, ...changes } });

    expect(
      await refusedAs("CallerLacksPermission", () =>
        devices.rotateKey({ ...right, touchstone: touchstone.connect(other) }),
      ),
    ).to.deep.equal({ fleet: owner.address, caller: other.address, permission: 1n << 10n });
    expect(await refusedAs("KeyStale", changed({ oldKey: hashingDevice.id }))).to.deep.equal({
      device: id,
      current: id,
      given: hashingDevice.id,
    });
    expect(await refusedAs("KeyUnchanged", changed({ newKey: id }))).to.deep.equal({ device: id, keyId: id });
    expect(await refusedAs("EpochStale", changed({ epoch: 2n }))).to.deep.equal({
      device: id,
      current: 1n,
      given: 2n,
    });
    const deadline = (await now()) - 1n;
    expect(await refusedAs("DeadlinePassed", changed({ deadline }))).to.deep.equal({ deadline });
    const byDifferentNew = await refusedAs("KeyProofInvalid", () =>
      devices.rotateKey({ ...right, byNewKey: hashingDevice }),
    );
    expect(byDifferentNew.keyId).to.equal(newKey.id);
    const byDifferentOld = await refusedAs("KeyProofInvalid", () => devices.rotateKey({ ...right, byOldKey: newKey }));
    expect(byDifferentOld.keyId).to.equal(id);
    const { publicKey } = hashingDevice;
    expect(await refusedAs("PublicKeyMismatch", () => devices.rotateKey({ ...right, publicKey }))).to.deep.equal({
      keyId: id,
      publicKey,
    });

    await devices.suspend({ touchstone, device: id });
    expect(
      await refusedAs("DeviceStatusInvalid", () => devices.rotateKey({ ...right, byOldKey: device })),
    ).to.deep.equal({ device: id, status: 2n });
    await devices.rotateKey(right);
    expect(await refusedAs("KeyStale", () => devices.rotateKey(right)), "sent twice").to.deep.equal({
      device: id,
      current: newKey.id,
      given: id,
    });
    await devices.retire({ touchstone, device: id });
    expect(await refusedAs("DeviceStatusInvalid", () => devices.rotateKey(right))).to.deep.equal({
      device: id,
      status: 3n,
    });
  });

  it("refuses wrong arguments before anything is signed or sent", async () => {
    const { touchstone, device, newKeys } = await loadFixture(enrolled);
    const rotation = await devices.newKeyRotation({ touchstone, device: device.id, newKey: newKeys.device });
    const silent = { ...newKeys.device, prove: () => expect.fail("signed") };
    const wrong: [keyof devices.KeyRotation, unknown][] = [
      ["device", "0x12"],
      ["oldKey", "key.eth"],
      ["newKey", ZeroHash],
      ["newScheme", 3],
      ["epoch", 2n ** 24n],
      ["deadline", -1n],
    ];
    for (const [field, value] of wrong) {
      await errorUnsent("INVALID_ARGUMENT", () =>
        devices.rotateKey({ touchstone, rotation: { ...rotation, [field]: value }, byNewKey: silent }),
      );
    }
    const right = { touchstone, rotation };
    const notHex = { publicKey: "text", signature: "0x" };
    await errorUnsent("INVALID_ARGUMENT", () => devices.rotateKey({ ...right, byNewKey: notHex }));
    await errorUnsent("INVALID_ARGUMENT", () =>
      devices.rotateKey({ ...right, byNewKey: newKeys.device, byOldKey: notHex }),
    );
    await errorUnsent("INVALID_ARGUMENT", () => devices.rotateKey({ ...right, byNewKey: silent, publicKey: "0x123" }));
    await errorUnsent("INVALID_KEY", () => devices.rotateKey({ ...right, byNewKey: silent, publicKey: "0x1234" }));
    const locked = { ...newKeys.device, prove: () => Promise.reject(new Error("locked")) };
    const error = await errorUnsent("SIGNING_FAILED", () => devices.rotateKey({ ...right, byNewKey: locked }));
    expect(error.details).to.deep.equal({ argument: "byNewKey" });
    await errorUnsent("RUNNER_READ_ONLY", () =>
      devices.rotateKey({ ...right, touchstone: touchstone.connect(ethers.provider), byNewKey: newKeys.device }),
    );
    await errorUnsent("CANCELLED", () =>
      devices.rotateKey({ ...right, byNewKey: newKeys.device, signal: AbortSignal.abort() }),
    );
  });
});
