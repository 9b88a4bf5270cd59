import { expect } from "chai";
import { encodeBytes32String } from "ethers";

import * as devices from "../../client/devices.js";
import { listPublished, removalOf, type Published } from "../../client/did-history.js";
import { accountKey, createP256Key } from "../../client/keys.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { providerWith } from "../support/provider.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

const SERVICE = encodeBytes32String("did/svc/Telemetry");
const ENDPOINT = ethers.hexlify(ethers.toUtf8Bytes("https://telemetry.example"));
const ENCRYPTION = encodeBytes32String("did/pub/X25519/enc/base64");
const ENCRYPTION_KEY = ethers.id("X25519");
const VERI_KEY = encodeBytes32String("veriKey");
/** A name that is no text. */
const BYTES = `0xff${"01".repeat(31)}`;

async function enrolled(): Promise<Deployed> {
  const deployed = await deployTouchstone();
  const { touchstone, owner } = deployed;
  for (const device of [deployed.device, deployed.accountDevice]) {
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
  }
  return deployed;
}

const namesOf = (published: Published[]): string[] => published.map(({ name }) => name);

describe("listPublished", () => {
  it("lists attributes and delegates with all that is known of them, in the order in which they were published", async () => {
    const { touchstone, relayer, device } = await loadFixture(enrolled);
    const { deviceRegistry } = touchstone;
    const expected: Published[] = [];
    const note = async (item: Omit<Published, "device" | "validTo" | "block">, validity: bigint): Promise<void> => {
      const validTo = (await now()) + validity;
      const block = await ethers.provider.getBlockNumber();
      expected.push({ ...item, device: device.id, validTo, block });
    };
    await deviceRegistry.setAttribute(device.id, SERVICE, ENDPOINT, DAY);
    await note({ kind: "attribute", name: "did/svc/Telemetry", nameBytes: SERVICE, value: ENDPOINT }, DAY);
    await deviceRegistry.addDelegate(device.id, VERI_KEY, relayer, 60n);
    await note({ kind: "delegate", name: "veriKey", nameBytes: VERI_KEY, value: relayer.address }, 60n);
    await deviceRegistry.setAttribute(device.id, ENCRYPTION, ENCRYPTION_KEY, 2n ** 200n);
    await note(
      { kind: "attribute", name: "did/pub/X25519/enc/base64", nameBytes: ENCRYPTION, value: ENCRYPTION_KEY },
      2n ** 200n,
    );
    await deviceRegistry.setAttribute(device.id, BYTES, "0x", DAY);
    await note({ kind: "attribute", name: BYTES, nameBytes: BYTES, value: "0x" }, DAY);
    await deviceRegistry.addDelegate(device.id, BYTES, relayer, DAY);
    await note({ kind: "delegate", name: BYTES, nameBytes: BYTES, value: relayer.address }, DAY);

    expect(await listPublished({ touchstone, device: device.id })).to.deep.equal(expected);
    expect(await listPublished({ touchstone, device: device.id.toLowerCase() })).to.deep.equal(expected);
  });

  it("lists what was published again once, as it was published last", async () => {
    const { touchstone, device } = await loadFixture(enrolled);
    const { deviceRegistry } = touchstone;
    await deviceRegistry.setAttribute(device.id, SERVICE, "0x01", DAY);
    await deviceRegistry.setAttribute(device.id, SERVICE, "0x02", DAY);
    await deviceRegistry.setAttribute(device.id, SERVICE, "0x01", 2n * DAY);
    const validTo = (await now()) + 2n * DAY;
    const published = await listPublished({ touchstone, device: device.id });
    expect(published.map(({ value }) => value)).to.deep.equal(["0x02", "0x01"]);
    expect(published[1]).to.include({ validTo, block: await ethers.provider.getBlockNumber() });
  });

  it("does not list what was taken back or replaced by something that is over, and lists it when it returns", async () => {
    const { touchstone, relayer, device } = await loadFixture(enrolled);
    const { deviceRegistry } = touchstone;
    const list = async (): Promise<string[]> => namesOf(await listPublished({ touchstone, device: device.id }));
    await deviceRegistry.setAttribute(device.id, SERVICE, ENDPOINT, DAY);
    await deviceRegistry.addDelegate(device.id, VERI_KEY, relayer, DAY);
    // Of the same name and type, but other things.
    await deviceRegistry.revokeAttribute(device.id, SERVICE, "0x");
    await deviceRegistry.revokeDelegate(device.id, VERI_KEY, device.id);
    expect(await list()).to.deep.equal(["did/svc/Telemetry", "veriKey"]);
    await deviceRegistry.revokeAttribute(device.id, SERVICE, ENDPOINT);
    expect(await list()).to.deep.equal(["veriKey"]);
    await deviceRegistry.addDelegate(device.id, VERI_KEY, relayer, 0n);
    await networkHelpers.time.increase(1n);
    expect(await list()).to.deep.equal([]);
    await deviceRegistry.setAttribute(device.id, SERVICE, ENDPOINT, DAY);
    expect(await list()).to.deep.equal(["did/svc/Telemetry"]);
  });

  it("lists until the last second, as resolvers do, and no longer", async () => {
    const { touchstone, device } = await loadFixture(enrolled);
    await touchstone.deviceRegistry.setAttribute(device.id, SERVICE, ENDPOINT, 100n);
    const end = (await now()) + 100n;
    await networkHelpers.time.increaseTo(end);
    expect(await listPublished({ touchstone, device: device.id })).to.have.lengthOf(1);
    await networkHelpers.time.increaseTo(end + 1n);
    expect(await listPublished({ touchstone, device: device.id })).to.deep.equal([]);
  });

  it("lists no keys that authenticate, whoever wrote them, and all else that an account wrote before it was enrolled", async () => {
    const { touchstone, owner, relayer } = await loadFixture(enrolled);
    const account = (await ethers.getSigners())[6]!;
    const device = await accountKey(account);
    const registry = touchstone.deviceRegistry.connect(account);
    const textAndBytes = (text: string, rest: string): string =>
      ethers.zeroPadBytes(ethers.concat([ethers.toUtf8Bytes(text), rest]), 32);
    const attributes = [
      encodeBytes32String("did/pub/Secp256k1/sigAuth/hex"),
      // The registry goes by these bytes alone, whatever the rest is.
      textAndBytes("did/pub/X/sigAuth", "0xff"),
      textAndBytes("did/pub/", ethers.concat(["0xff", ethers.toUtf8Bytes("/sigAuth")])),
    ];
    const types = [
      encodeBytes32String("sigAuth"),
      textAndBytes("sigAuth", "0x0001"),
      textAndBytes("sigAuth", "0x00ff"),
    ];
    const others = [textAndBytes("did/pub", "0xff"), encodeBytes32String("did/svc/sigAuth")];
    const otherTypes = [encodeBytes32String("sigAut"), encodeBytes32String("sigAuth2")];
    for (const name of [...attributes, ...others]) await registry.setAttribute(device.id, name, "0x01", DAY);
    for (const type of [...types, ...otherTypes]) await registry.addDelegate(device.id, type, relayer, DAY);
    await networkHelpers.mine();
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    const newKey = createP256Key();
    const rotation = await devices.newKeyRotation({ touchstone, device: device.id, newKey });
    await devices.rotateKey({ touchstone, rotation, byNewKey: newKey });

    const published = await listPublished({ touchstone, device: device.id });
    expect(published.map(({ nameBytes }) => nameBytes)).to.deep.equal([...others, ...otherTypes]);
    // What is left out could not be taken back, and what is listed can be.
    const { interface: abi } = touchstone.deviceRegistry;
    await touchstone.deviceRegistry.multicall(published.map((item) => removalOf(abi, item)));
    expect(await listPublished({ touchstone, device: device.id })).to.deep.equal([]);
    for (const name of attributes) {
      await expect(touchstone.deviceRegistry.revokeAttribute(device.id, name, "0x01"))
        .to.be.revertedWithCustomError(touchstone.deviceRegistry, "KeyReserved")
        .withArgs(device.id, name);
    }
    for (const type of types) {
      await expect(touchstone.deviceRegistry.revokeDelegate(device.id, type, relayer))
        .to.be.revertedWithCustomError(touchstone.deviceRegistry, "KeyReserved")
        .withArgs(device.id, type);
    }
  });

  it("lists nothing of other devices, nor of what was never written", async () => {
    const { touchstone, device, accountDevice, hashingDevice } = await loadFixture(enrolled);
    await touchstone.deviceRegistry.setAttribute(device.id, SERVICE, ENDPOINT, DAY);
    for (const { id } of [accountDevice, hashingDevice]) {
      expect(await listPublished({ touchstone, device: id })).to.deep.equal([]);
    }
  });

  it("refuses what is no device, and passes on what the node or the caller ends it with", async () => {
    const { touchstone, device } = await loadFixture(enrolled);
    await errorOf("INVALID_ARGUMENT", () => listPublished({ touchstone, device: "0x12" }));
    await errorOf("CANCELLED", () => listPublished({ touchstone, device: device.id, signal: AbortSignal.abort() }));
    const refused = Object.assign(new Error("no"), { code: "ECONNREFUSED" });
    const gone = touchstone.connect(providerWith({ getLogs: () => Promise.reject(refused) }));
    await errorOf("CHAIN_UNREACHABLE", () => listPublished({ touchstone: gone, device: device.id }));
  });
});

describe("removalOf", () => {
  it("encodes the call that takes the item back", async () => {
    const { touchstone, relayer, device } = await loadFixture(enrolled);
    const { interface: abi } = touchstone.deviceRegistry;
    const common = { device: device.id, name: "unused", validTo: 1n, block: 1 };
    const attribute = { ...common, kind: "attribute" as const, nameBytes: BYTES, value: "0x1234" };
    expect([...abi.decodeFunctionData("revokeAttribute", removalOf(abi, attribute))]).to.deep.equal([
      device.id,
      BYTES,
      "0x1234",
    ]);
    const delegate = { ...common, kind: "delegate" as const, nameBytes: VERI_KEY, value: relayer.address };
    expect([...abi.decodeFunctionData("revokeDelegate", removalOf(abi, delegate))]).to.deep.equal([
      device.id,
      VERI_KEY,
      relayer.address,
    ]);
  });
});
