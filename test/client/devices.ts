import { expect } from "chai";

import * as devices from "../../client/devices.js";
import { didOf } from "../../client/did.js";
import { Scheme, type Key } from "../../client/keys.js";
import { ContractRevertError } from "../../client/reverts.js";
import { enrollmentMessage } from "../../client/typed-data.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { providerWith } from "../support/provider.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

async function enrolled(): Promise<Deployed> {
  const deployed = await deployTouchstone();
  const { touchstone, owner } = deployed;
  for (const device of [deployed.device, deployed.hashingDevice, deployed.accountDevice]) {
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
  }
  return deployed;
}

const kinds: { name: string; keyOf: (deployed: Deployed) => Key }[] = [
  { name: "a P-256 device", keyOf: ({ device }) => device },
  { name: "a P-256 device that hashes", keyOf: ({ hashingDevice }) => hashingDevice },
  { name: "an account device", keyOf: ({ accountDevice }) => accountDevice },
];

describe("devices.enroll", () => {
  for (const { name, keyOf } of kinds) {
    it(`enrols ${name} for the owner who sends`, async () => {
      const deployed = await loadFixture(deployTouchstone);
      const { touchstone, owner } = deployed;
      const device = keyOf(deployed);
      const metadataHash = ethers.id("label");
      const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address, metadataHash });
      const { events, receipt } = await devices.enroll({ touchstone, enrollment, byDevice: device });

      const { args } = events.find((event) => event.name === "DeviceEnrolled")!;
      expect(args).to.deep.equal({
        device: device.id,
        owner: owner.address,
        manifest: 0n,
        scheme: BigInt(device.scheme),
        metadataHash,
        by: owner.address,
      });
      expect(await devices.get({ touchstone, device: device.id })).to.deep.equal({
        id: device.id,
        did: didOf({ chainId: 31337n, device: device.id }),
        owner: owner.address,
        keyId: device.id,
        scheme: device.scheme,
        status: "Active",
        epoch: 1n,
        manifest: 0n,
        changed: BigInt(receipt.blockNumber),
        isContinuous: true,
      });
    });
  }

  it("takes the owner's signature and proofs that were made before, whoever sends", async () => {
    const { touchstone, owner, relayer, device } = await loadFixture(deployTouchstone);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    const message = enrollmentMessage(touchstone.domains.DeviceRegistry, enrollment);
    const byDevice = await device.prove(message);
    const signature = await owner.signTypedData(message.domain, message.types, message.value);
    const { events } = await devices.enroll({
      touchstone: touchstone.connect(relayer),
      enrollment,
      byDevice,
      byOwner: { publicKey: "0x", signature },
    });
    expect(events.map(({ name }) => name)).to.deep.equal(["DIDOwnerChanged", "DIDAttributeChanged", "DeviceEnrolled"]);
  });

  it("may be repeated and changes nothing then", async () => {
    const { touchstone, owner, device } = await loadFixture(deployTouchstone);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    expect((await devices.enroll({ touchstone, enrollment, byDevice: device })).events).to.deep.equal([]);
  });

  it("explains a refusal and sends nothing", async () => {
    const { touchstone, owner, relayer, device } = await loadFixture(deployTouchstone);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    const block = await ethers.provider.getBlockNumber();
    const error = await errorOf("CONTRACT_REVERTED", () =>
      devices.enroll({ touchstone: touchstone.connect(relayer), enrollment, byDevice: device }),
    );
    expect(error).to.be.instanceOf(ContractRevertError);
    expect(error.details).to.deep.include({
      errorName: "CallerLacksPermission",
      args: { fleet: owner.address, caller: relayer.address, permission: 256n },
    });
    expect(error.message).to.contain("Enroll");
    expect(await ethers.provider.getBlockNumber()).to.equal(block);
  });

  it("keeps to the chain's time, and to the time asked for", async () => {
    const { touchstone, owner, device } = await loadFixture(deployTouchstone);
    await networkHelpers.time.increase(1_000_000n);
    const options = { touchstone, device, owner: owner.address };
    expect((await devices.newEnrollment(options)).deadline).to.equal((await now()) + 86_400n);
    expect((await devices.newEnrollment({ ...options, validFor: 60n })).deadline).to.equal((await now()) + 60n);
  });

  it("refuses wrong arguments before anything is signed or sent", async () => {
    const { touchstone, owner, device } = await loadFixture(deployTouchstone);
    const right = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    const wrong: [keyof devices.Enrollment, unknown][] = [
      ["device", "0x12"],
      ["device", device.id.toLowerCase().replace(/[a-f]/, (letter) => letter.toUpperCase())],
      ["scheme", 3],
      ["owner", "owner.eth"],
      ["manifest", 2n ** 32n],
      ["metadataHash", "0x12"],
      ["deadline", -1n],
    ];
    const byDevice = { ...device, prove: () => expect.fail("signed") };
    for (const [field, value] of wrong) {
      const enrollment = { ...right, [field]: value };
      await errorOf("INVALID_ARGUMENT", () => devices.enroll({ touchstone, enrollment, byDevice }));
    }
    for (const proof of [
      { publicKey: "text", signature: "0x" },
      { publicKey: "0x", signature: "0x1" },
    ]) {
      await errorOf("INVALID_ARGUMENT", () => devices.enroll({ touchstone, enrollment: right, byDevice: proof }));
    }
  });
});

describe("devices.suspend and devices.resume", () => {
  for (const { name, keyOf } of kinds) {
    it(`take ${name} out of service and back, with its key from the chain`, async () => {
      const deployed = await loadFixture(enrolled);
      const { touchstone } = deployed;
      const { id, publicKey } = keyOf(deployed);
      const suspended = await devices.suspend({ touchstone, device: id });
      expect(suspended.events.at(-1)?.name).to.equal("DeviceSuspended");
      expect((await devices.get({ touchstone, device: id })).status).to.equal("Suspended");
      expect(await devices.publicKeyOf({ touchstone, device: id })).to.equal(publicKey);
      const resumed = await devices.resume({ touchstone, device: id });
      expect(resumed.events.at(-1)?.name).to.equal("DeviceResumed");
      expect((await devices.get({ touchstone, device: id })).status).to.equal("Active");
    });
  }

  it("take the key that the caller gives", async () => {
    const { touchstone, device, hashingDevice } = await loadFixture(enrolled);
    await devices.suspend({ touchstone, device: device.id, publicKey: device.publicKey });
    const { publicKey } = hashingDevice;
    const error = await errorOf("CONTRACT_REVERTED", () =>
      devices.resume({ touchstone, device: device.id, publicKey }),
    );
    expect(error.details).to.deep.include({ errorName: "PublicKeyMismatch", args: { keyId: device.id, publicKey } });
    await errorOf("INVALID_KEY", () => devices.resume({ touchstone, device: device.id, publicKey: "0x1234" }));
    await errorOf("INVALID_ARGUMENT", () => devices.resume({ touchstone, device: device.id, publicKey: "0x123" }));
  });
});

describe("devices.retire and devices.revokeAll", () => {
  it("end the device, and all that was granted on it", async () => {
    const { touchstone, device } = await loadFixture(enrolled);
    const revoked = await devices.revokeAll({ touchstone, device: device.id });
    expect(revoked.events.at(-1)?.name).to.equal("AllRevoked");
    expect((await devices.get({ touchstone, device: device.id })).epoch).to.equal(2n);
    const retired = await devices.retire({ touchstone, device: device.id });
    expect(retired.events.at(-1)?.name).to.equal("DeviceRetired");
    expect((await devices.get({ touchstone, device: device.id })).status).to.equal("Retired");
  });

  it("refuse what is no id", async () => {
    const { touchstone } = await loadFixture(enrolled);
    for (const verb of [devices.suspend, devices.resume, devices.retire, devices.revokeAll]) {
      await errorOf("INVALID_ARGUMENT", () => verb({ touchstone, device: "0x12" }));
    }
    await errorOf("INVALID_ARGUMENT", () => devices.get({ touchstone, device: "0x12" }));
  });
});

describe("devices.get", () => {
  it("says that a device was never enrolled", async () => {
    const { touchstone, device } = await loadFixture(deployTouchstone);
    expect(await devices.get({ touchstone, device: device.id })).to.deep.equal({
      id: device.id,
      did: didOf({ chainId: 31337n, device: device.id }),
      owner: ethers.ZeroAddress,
      keyId: ethers.ZeroAddress,
      scheme: Scheme.Account,
      status: "None",
      epoch: 0n,
      manifest: 0n,
      changed: 0n,
      isContinuous: false,
    });
  });
});

describe("devices.publicKeyOf", () => {
  it("walks back through the changes of a document", async () => {
    const { touchstone, device, accountDevice } = await loadFixture(enrolled);
    for (let round = 0; round < 3; round++) {
      await devices.suspend({ touchstone, device: device.id });
      await devices.resume({ touchstone, device: device.id });
    }
    await devices.suspend({ touchstone, device: device.id });
    await devices.retire({ touchstone, device: device.id });
    expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(device.publicKey);
    expect(await devices.publicKeyOf({ touchstone, device: accountDevice.id })).to.equal("0x");
  });

  it("says so if the node has no events of that time", async () => {
    const { touchstone, device } = await loadFixture(enrolled);
    const forgetful = providerWith({ getLogs: () => Promise.resolve([]) });
    const error = await errorOf("NOT_FOUND", () =>
      devices.publicKeyOf({ touchstone: touchstone.connect(forgetful), device: device.id }),
    );
    expect(error.details).to.deep.equal({ device: device.id });
  });
});
