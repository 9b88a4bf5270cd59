import { readFile, writeFile } from "node:fs/promises";

import { expect } from "chai";
import { encodeBytes32String, ZeroHash } from "ethers";
import hre from "hardhat";

import { newClaimPackage, parseClaimPackage, type ClaimPackage } from "../../client/claim-packages.js";
import * as devices from "../../client/devices.js";
import { readDeviceList } from "../../client/device-lists.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import { buildManifest, findInManifest, writeManifest, type Manifest } from "../../client/manifest-files.js";
import * as manifests from "../../client/manifests.js";
import { ContractRevertError } from "../../client/reverts.js";
import * as roles from "../../client/roles.js";
import { enrollmentMessage } from "../../client/typed-data.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { factoryDevices } from "../support/factory.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

const CLASS = "prime hub";

interface Published extends Deployed {
  manifest: Manifest;
  number: bigint;
  /** By the keys' names in Deployed. */
  claims: Record<"device" | "hashingDevice" | "accountDevice", ClaimPackage>;
  maker: Key;
}

/** The owner is the maker; `other` buys. */
async function publish(voucherRequired: boolean): Promise<Published> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, device, hashingDevice, accountDevice } = deployed;
  const manifest = await buildManifest({
    vendor: owner.address,
    hardwareClass: CLASS,
    voucherRequired,
    devices: [
      { id: device.id, scheme: device.scheme, publicKey: device.publicKey, serial: "P-1" },
      { id: hashingDevice.id, scheme: hashingDevice.scheme, publicKey: hashingDevice.publicKey, serial: "H-1" },
      { id: accountDevice.id, scheme: Scheme.Account, publicKey: "0x" },
      ...factoryDevices(10),
    ],
  });
  // So that the number of the one is not that of the first by chance.
  await manifests.publish({ touchstone, header: { ...manifest, terms: { ...manifest.terms, count: 5n } } });
  const { manifest: number } = await manifests.publish({ touchstone, header: manifest, uri: "ipfs://label" });
  const entries = [...manifest.entries()];
  const claimOf = ({ id }: Key): ClaimPackage =>
    newClaimPackage({
      header: manifest,
      entry: entries.find((entry) => entry.device === id)!,
      chainId: touchstone.chainId,
      registry: touchstone.addresses.DeviceRegistry,
      manifest: number,
    });
  return {
    ...deployed,
    manifest,
    number,
    claims: {
      device: claimOf(device),
      hashingDevice: claimOf(hashingDevice),
      accountDevice: claimOf(accountDevice),
    },
    maker: await accountKey(owner),
  };
}

async function published(): Promise<Published> {
  return publish(false);
}

async function publishedWithVouchers(): Promise<Published> {
  return publish(true);
}

/** The buyer enrols the device of a package; `byDevice` is the device's key. */
async function enrollAs(
  { touchstone, other }: Pick<Published, "touchstone" | "other">,
  claim: ClaimPackage,
  byDevice: Key,
): ReturnType<typeof manifests.enroll> {
  const buyer = touchstone.connect(other);
  const enrollment = await manifests.newEnrollment({ touchstone: buyer, claim, owner: other.address });
  return manifests.enroll({ touchstone: buyer, claim, enrollment, byDevice });
}

describe("a manifest, from the factory to the buyer", () => {
  const path = temporaryFolder();

  it("makes a device genuine whose package was printed", async function () {
    this.timeout(60_000);
    const { touchstone, owner, other } = await loadFixture(deployTouchstone);
    const device = createP256Key();
    const rows = factoryDevices(20).map(({ publicKey, serial }) => `${publicKey},${serial}`);
    await writeFile(path("devices.csv"), ["publicKey,serial", ...rows, `${device.publicKey},"Prüf, 1"`].join("\n"));

    // The maker, with the tasks.
    const { log } = console;
    const printed: string[] = [];
    console.log = (text: string) => printed.push(text);
    let number: bigint;
    try {
      const names = { file: path("devices.csv"), out: path("manifest.jsonl"), vendor: owner.address, class: CLASS };
      await hre.tasks.getTask(["manifest", "build"]).run(names);
      const { header } = await findInManifest({ path: path("manifest.jsonl"), serial: "Prüf, 1" });
      ({ manifest: number } = await manifests.publish({ touchstone, header }));
      const { chainId, addresses } = touchstone;
      await writeFile(path("d.json"), JSON.stringify({ chainId: Number(chainId), contracts: addresses }));
      const files = { manifest: path("manifest.jsonl"), deployment: path("d.json"), number: String(number) };
      printed.length = 0;
      await hre.tasks.getTask(["manifest", "package"]).run({ ...files, serial: "Prüf, 1" });
    } finally {
      console.log = log;
    }

    // The buyer, with what was printed.
    const claim = parseClaimPackage(printed.join("\n"));
    expect(await manifests.isGenuine({ touchstone, device: device.id })).to.equal(false);
    const { events } = await enrollAs({ touchstone, other }, claim, device);
    expect(events.at(-1)?.args).to.deep.include({ device: device.id, owner: other.address, manifest: number });
    expect(await manifests.isGenuine({ touchstone, device: device.id })).to.equal(true);
    expect(await touchstone.deviceRegistry.classOf(device.id)).to.equal(
      ethers.keccak256(
        ethers.AbiCoder.defaultAbiCoder().encode(["address", "bytes32"], [owner.address, encodeBytes32String(CLASS)]),
      ),
    );
  });

  it("takes a file that was written and read", async () => {
    const { manifest, touchstone, other, device, number } = await loadFixture(published);
    await writeManifest({ path: path("manifest.jsonl"), manifest });
    const found = await findInManifest({ path: path("manifest.jsonl"), device: device.id });
    const registry = touchstone.addresses.DeviceRegistry;
    const claim = newClaimPackage({ ...found, chainId: 31337n, registry, manifest: number });
    await enrollAs({ touchstone, other }, claim, device);
    expect(await manifests.isGenuine({ touchstone, device: device.id })).to.equal(true);
    expect(await readFile(path("manifest.jsonl"), "utf8")).to.contain(device.id);
    await errorOf("DEVICE_LIST_INVALID", () => readDeviceList({ path: path("manifest.jsonl") }));
  });
});

describe("manifests.publish and manifests.get", () => {
  it("publish a manifest, and read it as it was published", async () => {
    const { touchstone, owner, manifest, number } = await loadFixture(published);
    expect(number).to.equal(2n);
    expect(await manifests.get({ touchstone, manifest: number })).to.deep.equal({
      terms: manifest.terms,
      hardwareClass: manifest.hardwareClass,
      number,
      uri: "ipfs://label",
      by: owner.address,
      revoked: undefined,
    });
    expect(await manifests.get({ touchstone, manifest: 1n })).to.deep.include({ number: 1n, uri: "" });
  });

  it("let a member with PublishManifest publish for a maker, and nobody else", async () => {
    const { touchstone, owner, other, relayer, manifest } = await loadFixture(published);
    await roles.setRoles({ touchstone, fleet: owner.address, account: other.address, roles: ["Maker"] });
    const sent = await manifests.publish({ touchstone: touchstone.connect(other), header: manifest });
    expect(await manifests.get({ touchstone, manifest: sent.manifest })).to.deep.include({ by: other.address });
    const error = await errorOf("CONTRACT_REVERTED", () =>
      manifests.publish({ touchstone: touchstone.connect(relayer), header: manifest }),
    );
    expect(error.details.errorName).to.equal("CallerLacksPermission");
  });

  it("refuse what cannot be, and numbers that there are not", async () => {
    const { touchstone, manifest } = await loadFixture(published);
    const { terms, hardwareClass } = manifest;
    const wrong = [{ vendor: "maker" }, { root: "0x12" }, { count: 2n ** 32n }];
    for (const change of wrong) {
      const header = { hardwareClass, terms: { ...terms, ...change } };
      await errorOf("INVALID_ARGUMENT", () => manifests.publish({ touchstone, header }));
    }
    await errorOf("INVALID_ARGUMENT", () => manifests.publish({ touchstone, header: { terms, hardwareClass: "" } }));
    for (const number of [0n, 3n]) await errorOf("NOT_FOUND", () => manifests.get({ touchstone, manifest: number }));
    for (const number of [-1n, 2n ** 32n]) {
      await errorOf("INVALID_ARGUMENT", () => manifests.get({ touchstone, manifest: number }));
    }
  });
});

describe("manifests.revoke", () => {
  it("ends enrolments, and makes devices no longer genuine but leaves them in service", async () => {
    const deployed = await loadFixture(published);
    const { touchstone, claims, device, hashingDevice, number } = deployed;
    await enrollAs(deployed, claims.device, device);
    const { events } = await manifests.revoke({ touchstone, manifest: number, reason: "KeyCompromise" });
    expect(events.map(({ name, args }) => [name, args])).to.deep.equal([
      ["ManifestRevoked", { manifest: number, vendor: deployed.owner.address, reason: 1n, by: deployed.owner.address }],
    ]);
    expect((await manifests.get({ touchstone, manifest: number })).revoked).to.equal("KeyCompromise");
    expect(await manifests.isGenuine({ touchstone, device: device.id })).to.equal(false);
    expect((await devices.get({ touchstone, device: device.id })).status).to.equal("Active");
    const error = await errorOf("MANIFEST_REVOKED", () => enrollAs(deployed, claims.hashingDevice, hashingDevice));
    expect(error.details).to.deep.include({ manifest: number, reason: "KeyCompromise" });
  });

  for (const [reason, number] of Object.entries(manifests.revocationReasons)) {
    it(`takes the reason ${reason}, which is ${number} in RFC 5280`, async () => {
      const {
        touchstone,
        number: manifest,
        manifest: { terms },
      } = await loadFixture(published);
      const options = { touchstone, manifest, terms, reason: reason as manifests.RevocationReason };
      const { events } = await manifests.revoke(options);
      expect(events[0]!.args).to.deep.include({ reason: BigInt(number) });
      expect((await manifests.get({ touchstone, manifest })).revoked).to.equal(reason);
    });
  }

  it("refuses other reasons, other terms and other senders", async () => {
    const {
      touchstone,
      other,
      number: manifest,
      manifest: { terms },
    } = await loadFixture(published);
    const reason = "Hold" as manifests.RevocationReason;
    await errorOf("INVALID_ARGUMENT", () => manifests.revoke({ touchstone, manifest, reason }));
    const count = terms.count + 1n;
    const mismatch = await errorOf("CONTRACT_REVERTED", () =>
      manifests.revoke({ touchstone, manifest, terms: { ...terms, count }, reason: "Unspecified" }),
    );
    expect(mismatch.details.errorName).to.equal("ManifestTermsMismatch");
    const stranger = touchstone.connect(other);
    const refusal = await errorOf("CONTRACT_REVERTED", () =>
      manifests.revoke({ touchstone: stranger, manifest, reason: "Unspecified" }),
    );
    expect(refusal.details.errorName).to.equal("CallerNotGovernor");
  });
});

describe("manifests.enroll", () => {
  for (const name of ["device", "hashingDevice", "accountDevice"] as const) {
    it(`enrols the ${name} for the buyer who sends`, async () => {
      const deployed = await loadFixture(published);
      const { touchstone, other, number } = deployed;
      const key = deployed[name];
      const { events } = await enrollAs(deployed, deployed.claims[name], key);
      expect(events.at(-1)?.args).to.deep.equal({
        device: key.id,
        owner: other.address,
        manifest: number,
        scheme: BigInt(key.scheme),
        metadataHash: ZeroHash,
        by: other.address,
      });
      expect((await devices.get({ touchstone, device: key.id })).manifest).to.equal(number);
      expect(await manifests.isGenuine({ touchstone, device: key.id })).to.equal(true);
    });
  }

  it("takes proofs that were made before, whoever sends, and repeats nothing", async () => {
    const { touchstone, other, relayer, claims, device } = await loadFixture(published);
    const claim = claims.device;
    const metadataHash = ethers.id("label");
    const options = { touchstone, claim, owner: other.address, metadataHash, validFor: 60n };
    const enrollment = await manifests.newEnrollment(options);
    expect(enrollment).to.deep.include({ metadataHash, deadline: (await now()) + 60n });
    const message = enrollmentMessage(touchstone.domains.DeviceRegistry, enrollment);
    const byDevice = await device.prove(message);
    const signature = await other.signTypedData(message.domain, message.types, message.value);
    const byOwner = { publicKey: "0x", signature };
    const relayed = { touchstone: touchstone.connect(relayer), claim, enrollment, byDevice, byOwner };
    expect((await manifests.enroll(relayed)).events.at(-1)?.name).to.equal("DeviceEnrolled");
    expect((await manifests.enroll(relayed)).events).to.deep.equal([]);
  });

  it("finds the number of a package that was printed before the manifest was published", async () => {
    const deployed = await loadFixture(published);
    const claim = { ...deployed.claims.device };
    delete claim.manifest;
    expect(await manifests.checkClaim({ touchstone: deployed.touchstone, claim })).to.equal(deployed.number);
    await enrollAs(deployed, claim, deployed.device);
    const device = { touchstone: deployed.touchstone, device: claim.device };
    expect((await devices.get(device)).manifest).to.equal(deployed.number);
    const wrong = [{ voucherRequired: true }, { vendor: deployed.other.address }];
    for (const change of wrong) {
      const unpublished = { ...claim, terms: { ...claim.terms, ...change } };
      await errorOf("NOT_FOUND", () => manifests.checkClaim({ touchstone: deployed.touchstone, claim: unpublished }));
    }
  });

  it("refuses a package that is not right here, before anything is signed or sent", async () => {
    const { touchstone, other, claims, device, number } = await loadFixture(published);
    const claim = claims.device;
    const enrollment = await manifests.newEnrollment({ touchstone, claim, owner: other.address });
    const block = await ethers.provider.getBlockNumber();
    const byDevice = { ...device, prove: () => expect.fail("signed") };
    const { terms } = claim;
    const wrong: [Parameters<typeof errorOf>[0], Partial<ClaimPackage>][] = [
      ["WRONG_CHAIN", { chainId: 1n }],
      ["WRONG_REGISTRY", { registry: touchstone.addresses.DataAnchor }],
      ["NOT_FOUND", { manifest: 3n }],
      ["MANIFEST_MISMATCH", { manifest: 1n }],
      ["MANIFEST_MISMATCH", { hardwareClass: encodeBytes32String("other hub") }],
      ["MANIFEST_MISMATCH", { terms: { ...terms, voucherRequired: true } }],
      ["MANIFEST_MISMATCH", { terms: { ...terms, vendor: other.address } }],
      ["CLAIM_PACKAGE_INVALID", { terms: { ...terms, root: ZeroHash } }],
      ["CLAIM_PACKAGE_INVALID", { path: claim.path.slice(1) }],
      ["CLAIM_PACKAGE_INVALID", { serial: "P-2" }],
    ];
    for (const [code, change] of wrong) {
      const altered = { ...claim, ...change };
      await errorOf(code, () => manifests.enroll({ touchstone, claim: altered, enrollment, byDevice }));
      await errorOf(code, () => manifests.newEnrollment({ touchstone, claim: altered, owner: other.address }));
    }
    const others: Partial<devices.Enrollment>[] = [
      { device: claims.hashingDevice.device },
      { scheme: Scheme.P256Sha256 },
      { manifest: number - 1n },
    ];
    for (const change of others) {
      const altered = { ...enrollment, ...change };
      await errorOf("INVALID_ARGUMENT", () => manifests.enroll({ touchstone, claim, enrollment: altered, byDevice }));
    }
    expect(await ethers.provider.getBlockNumber()).to.equal(block);
  });

  it("hands on what the contract refuses, such as the proof of another key", async () => {
    const deployed = await loadFixture(published);
    const error = await errorOf("CONTRACT_REVERTED", () => enrollAs(deployed, deployed.claims.device, createP256Key()));
    expect(error).to.be.instanceOf(ContractRevertError);
    expect(error.details.errorName).to.equal("KeyProofInvalid");
  });
});

describe("manifests.newMakerVoucher and manifests.signMakerVoucher", () => {
  async function vouched(
    deployed: Published,
    options: { owner?: string; by?: Key; validFor?: bigint } = {},
  ): Promise<ClaimPackage> {
    const { touchstone, other, maker, claims } = deployed;
    const { owner = other.address, by = maker, validFor } = options;
    const claim = claims.device;
    const voucher = await manifests.newMakerVoucher({ touchstone, claim, owner, ...(validFor && { validFor }) });
    return { ...claim, voucher: await manifests.signMakerVoucher({ touchstone, voucher, by }) };
  }

  it("let the buyer whom the maker named enrol the device", async () => {
    const deployed = await loadFixture(publishedWithVouchers);
    const { touchstone, other, owner, device } = deployed;
    const claim = await vouched(deployed);
    expect(claim.voucher).to.deep.include({
      owner: other.address,
      by: owner.address,
      deadline: (await now()) + 30n * DAY,
    });
    await enrollAs(deployed, claim, device);
    expect(await manifests.isGenuine({ touchstone, device: device.id })).to.equal(true);
  });

  it("let a member with PublishManifest sign for the maker, and nobody else", async () => {
    const deployed = await loadFixture(publishedWithVouchers);
    const { touchstone, owner, relayer, device } = deployed;
    const by = await accountKey(relayer);
    const claim = await vouched(deployed, { by });
    const error = await errorOf("CONTRACT_REVERTED", () => enrollAs(deployed, claim, device));
    expect(error.details).to.deep.include({
      errorName: "MakerInvalid",
      args: { vendor: owner.address, signer: relayer.address },
    });
    await roles.setRoles({ touchstone, fleet: owner.address, account: relayer.address, roles: ["Maker"] });
    await enrollAs(deployed, claim, device);
    expect(await manifests.isGenuine({ touchstone, device: device.id })).to.equal(true);
  });

  it("are asked for where the maker wants them, for this owner and in time", async () => {
    const deployed = await loadFixture(publishedWithVouchers);
    const { claims, device, other, owner } = deployed;
    const missing = await errorOf("VOUCHER_MISSING", () => enrollAs(deployed, claims.device, device));
    expect(missing.message).to.contain(other.address).and.contain(owner.address);
    const elsewhere = await vouched(deployed, { owner: owner.address });
    const stranger = await errorOf("VOUCHER_INVALID", () => enrollAs(deployed, elsewhere, device));
    expect(stranger.message).to.contain(`names the owner ${owner.address}`);
    const short = await vouched(deployed, { validFor: 60n });
    await networkHelpers.time.increase(61n);
    const late = await errorOf("VOUCHER_INVALID", () => enrollAs(deployed, short, device));
    expect(late.message).to.contain("ended at");
  });

  it("are refused by the contract if another key signed, or another message", async () => {
    const deployed = await loadFixture(publishedWithVouchers);
    const { relayer, device, claims, touchstone, other, maker, number } = deployed;
    const forged = await vouched(deployed, { by: { ...(await accountKey(relayer)), id: maker.id } });
    const deadline = (await now()) + DAY;
    const right = { manifest: number, device: device.id, owner: other.address, deadline };
    const changes = [{ manifest: 1n }, { device: claims.hashingDevice.device }, { owner: relayer.address }];
    const signed = changes.map(async (change) => {
      const voucher = { ...right, ...change };
      const { by, signature } = await manifests.signMakerVoucher({ touchstone, voucher, by: maker });
      return { ...claims.device, voucher: { owner: other.address, deadline, by, signature } };
    });
    for (const claim of [forged, ...(await Promise.all(signed))]) {
      const error = await errorOf("CONTRACT_REVERTED", () => enrollAs(deployed, claim, device));
      expect(error.details.errorName).to.equal("SignatureInvalid");
    }
  });

  it("are made for packages that are right only", async () => {
    const { touchstone, other, claims, number } = await loadFixture(publishedWithVouchers);
    const claim = claims.device;
    const wrong = { ...claim, chainId: 1n };
    await errorOf("WRONG_CHAIN", () => manifests.newMakerVoucher({ touchstone, claim: wrong, owner: other.address }));
    await errorOf("INVALID_ARGUMENT", () => manifests.newMakerVoucher({ touchstone, claim, owner: "me" }));
    await manifests.revoke({ touchstone, manifest: number, reason: "Superseded" });
    await errorOf("MANIFEST_REVOKED", () => manifests.newMakerVoucher({ touchstone, claim, owner: other.address }));
  });
});
