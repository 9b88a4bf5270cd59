import { writeFile } from "node:fs/promises";

import { expect } from "chai";

import type { FileDigest } from "../../client/files.js";
import * as firmware from "../../client/firmware.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import { releaseMessage } from "../../client/typed-data.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { providerWith } from "../support/provider.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

/** The product of the fixture: 2 of 3 release, 1 of 2 revokes. */
interface Vendor extends Deployed {
  productId: string;
  name: firmware.ProductName;
  signerSet: firmware.SignerSet;
  /** Release and Root. */
  engineer: Key;
  /** Release and Revoke. */
  hsm: Key;
  secureElement: Key;
}

const image: FileDigest = { digest: ethers.id("image"), size: 1_000n };

async function vendor(): Promise<Vendor> {
  const deployed = await deployTouchstone();
  const { touchstone, owner } = deployed;
  const engineer = await accountKey(deployed.other);
  const [hsm, secureElement] = [createP256Key(), createP256Key({ scheme: Scheme.P256Sha256 })];
  const name = { vendor: owner.address, hardwareClass: "meter-3", component: "main" };
  const signerSet = firmware.newSignerSet({
    signers: [
      { key: secureElement, quorums: ["Release", "Revoke"] },
      { key: hsm, quorums: ["Release", "Revoke"] },
      { key: engineer, quorums: ["Root", "Release"] },
    ],
    thresholds: { Root: 1, Release: 2, Revoke: 1 },
  });
  const { productId } = await firmware.createProduct({ touchstone, ...name, signerSet });
  return { ...deployed, productId, name, signerSet, engineer, hsm, secureElement };
}

async function publish(
  { touchstone, productId, engineer, hsm }: Vendor,
  options: { version: bigint; file?: FileDigest; channels?: firmware.Channel[] },
): Promise<firmware.Release> {
  const { version, file = image, channels = [0] } = options;
  const release = await firmware.newRelease({ touchstone, productId, file, version, channels });
  const proofs = [
    await firmware.signRelease({ touchstone, release, key: hsm }),
    await firmware.signRelease({ touchstone, release, key: engineer }),
  ];
  await firmware.publish({ touchstone, release, proofs });
  return release;
}

async function revoke(
  { touchstone, productId, hsm }: Vendor,
  change: Pick<Parameters<typeof firmware.newStatusChange>[0], "version" | "status" | "heads">,
): Promise<void> {
  const message = await firmware.newStatusChange({ touchstone, productId, quorum: "Revoke", ...change });
  const proofs = [await firmware.signStatusChange({ touchstone, change: message, key: hsm })];
  await firmware.setStatus({ touchstone, change: message, proofs });
}

describe("firmware products", () => {
  it("have the id and the signers that the chain gives them", async () => {
    const { touchstone, productId, name, signerSet, owner } = await loadFixture(vendor);
    const [hardwareClass, component] = ["meter-3", "main"].map((text) => ethers.encodeBytes32String(text)) as [
      string,
      string,
    ];
    expect(productId).to.equal(await touchstone.firmwareRegistry.productIdOf(owner, hardwareClass, component));
    expect(firmware.productIdOf({ ...name, hardwareClass, component })).to.equal(productId);
    expect(await firmware.getProduct({ touchstone, productId })).to.deep.equal({
      id: productId,
      highest: 0n,
      releaseNonce: 0n,
      revokeNonce: 0n,
    });
    expect(await firmware.signerSetOf({ touchstone, productId })).to.deep.equal(signerSet);
  });

  it("are not found if there are none", async () => {
    const { touchstone } = await loadFixture(vendor);
    const productId = ethers.id("none");
    expect(await firmware.getProduct({ touchstone, productId })).to.equal(undefined);
    const error = await errorOf("NOT_FOUND", () => firmware.signerSetOf({ touchstone, productId }));
    expect(error.details).to.deep.equal({ productId });
  });

  it("are refused with names that are none", async () => {
    const { touchstone, name, signerSet } = await loadFixture(vendor);
    const wrong = [
      { hardwareClass: "" },
      { hardwareClass: "x".repeat(32) },
      { component: "ä".repeat(16) },
      { vendor: "vendor.eth" },
    ];
    for (const change of wrong) {
      await errorOf("INVALID_ARGUMENT", () => firmware.createProduct({ touchstone, ...name, ...change, signerSet }));
      await errorOf("INVALID_ARGUMENT", () => firmware.productIdOf({ ...name, ...change }));
    }
  });
});

describe("firmware.newSignerSet", () => {
  const key = (id: string): { id: string; scheme: Scheme } => ({ id, scheme: Scheme.Account });
  const [low, high] = [
    "0x00000000000000000000000000000000000A0000",
    "0xfF00000000000000000000000000000000000000",
  ] as const;

  it("sorts signers by id and quorums by number", () => {
    const set = firmware.newSignerSet({
      signers: [
        { key: key(high), quorums: ["Revoke", "Root"] },
        { key: key(low.toLowerCase()), quorums: ["Release"] },
      ],
      thresholds: { Root: 1, Release: 1, Revoke: 1 },
    });
    expect(set).to.deep.equal({
      epoch: 1n,
      thresholds: { Root: 1, Release: 1, Revoke: 1 },
      signers: [
        { keyId: ethers.getAddress(low.toLowerCase()), scheme: 0, quorums: ["Release"] },
        { keyId: ethers.getAddress(high.toLowerCase()), scheme: 0, quorums: ["Root", "Revoke"] },
      ],
    });
  });

  it("refuses signers that stand twice or have no quorum, and thresholds that cannot be met", async () => {
    const all = ["Root", "Release", "Revoke"] as const;
    const thresholds = { Root: 1, Release: 1, Revoke: 1 };
    const wrong: Parameters<typeof firmware.newSignerSet>[0][] = [
      { signers: [], thresholds },
      { signers: [{ key: key(high.toLowerCase()), quorums: [] }], thresholds },
      { signers: [1, 2].map(() => ({ key: key(high.toLowerCase()), quorums: all })), thresholds },
      { signers: [{ key: key(high.toLowerCase()), quorums: all }], thresholds: { ...thresholds, Release: 2 } },
      { signers: [{ key: key(high.toLowerCase()), quorums: all }], thresholds: { ...thresholds, Root: 0 } },
      { signers: [{ key: key(high.toLowerCase()), quorums: all }], thresholds: { ...thresholds, Revoke: 0.5 } },
      { signers: [{ key: key(high.toLowerCase()), quorums: ["Boss" as "Root"] }], thresholds },
      { signers: [{ key: key("0x12"), quorums: all }], thresholds },
    ];
    for (const options of wrong) await errorOf("INVALID_ARGUMENT", () => firmware.newSignerSet(options));
  });
});

describe("firmware.publish", () => {
  const path = temporaryFolder();

  it("publishes a file that the quorum signed, in whatever order, and whoever sends", async () => {
    const { touchstone, productId, relayer, engineer, hsm, secureElement } = await loadFixture(vendor);
    await writeFile(path("image.bin"), "firmware");
    const progress: bigint[] = [];
    const release = await firmware.newRelease({
      touchstone,
      productId,
      file: path("image.bin"),
      version: 7n,
      securityVersion: 2n,
      channels: [0, 3],
      heads: [3],
      dependencies: [{ productId: ethers.id("radio"), minVersion: 5n }],
      onProgress: ({ bytes }) => progress.push(bytes),
    });
    expect(progress).to.deep.equal([8n]);
    const imageDigest = ethers.sha256(ethers.toUtf8Bytes("firmware"));
    expect(release).to.deep.equal({
      productId,
      version: 7n,
      securityVersion: 2n,
      imageDigest,
      size: 8n,
      bootDigest: ethers.ZeroHash,
      manifestDigest: ethers.ZeroHash,
      format: 0n,
      channels: 0b1001n,
      heads: 0b1000n,
      fromMin: 0n,
      fromMax: firmware.MAX_VERSION,
      hwRevMin: 0n,
      hwRevMax: 65_535n,
      startBps: 10_000n,
      startAt: 0n,
      rampSeconds: 0n,
      dependencies: [{ productId: ethers.id("radio"), minVersion: 5n }],
      epoch: 1n,
      deadline: (await now()) + 604_800n,
    });

    // One more than the quorum needs.
    const keys = [secureElement, engineer, hsm];
    const proofs = await Promise.all(keys.map((key) => firmware.signRelease({ touchstone, release, key })));
    const sent = await firmware.publish({ touchstone: touchstone.connect(relayer), release, proofs });

    const event = sent.events[0]!;
    if (event.name !== "ReleasePublished") return expect.fail(event.name);
    expect(event.args.release).to.deep.equal(release);
    const releaseHash = await touchstone.firmwareRegistry.hashRelease(release);
    const record: firmware.ReleaseRecord = {
      version: 7n,
      securityVersion: 2n,
      size: 8n,
      status: "Live",
      channels: [0, 3],
      publishedAt: await now(),
      imageDigest,
      releaseHash,
    };
    expect(await firmware.getRelease({ touchstone, productId, version: 7n })).to.deep.equal(record);
    expect(await firmware.latest({ touchstone, productId, channel: 3 })).to.deep.equal(record);
    expect(await firmware.latest({ touchstone, productId, channel: 0 })).to.equal(undefined);
    expect(await firmware.getRelease({ touchstone, productId, version: 8n })).to.equal(undefined);
  });

  it("says who could still sign when signatures are missing", async () => {
    const { touchstone, productId, engineer, hsm, secureElement } = await loadFixture(vendor);
    const release = await firmware.newRelease({ touchstone, productId, file: image, version: 1n, channels: [0] });
    const proofs = [await firmware.signRelease({ touchstone, release, key: hsm })];
    const error = await errorOf("SIGNATURES_MISSING", () => firmware.publish({ touchstone, release, proofs }));
    const missing = [engineer.id, secureElement.id].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
    expect(error.details).to.deep.equal({ quorum: "Release", needed: 2, given: 1, missing });
    for (const id of missing) expect(error.message).to.contain(id);
  });

  it("says whose signature is wrong", async () => {
    const { touchstone, productId, engineer, hsm, secureElement } = await loadFixture(vendor);
    const release = await firmware.newRelease({ touchstone, productId, file: image, version: 1n, channels: [0] });
    const other = { ...release, version: 2n };
    for (const key of [engineer, hsm, secureElement]) {
      const rest = [engineer, hsm, secureElement].filter(({ id }) => id !== key.id);
      const proofs = await Promise.all(rest.map((each) => firmware.signRelease({ touchstone, release, key: each })));
      const wrong = await firmware.signRelease({ touchstone, release: other, key });
      const error = await errorOf("SIGNATURE_INVALID", () =>
        firmware.publish({ touchstone, release, proofs: [...proofs, wrong] }),
      );
      expect(error.details).to.deep.equal({ keyId: key.id });
    }
  });

  it("leaves it to the chain whether an account that is a contract signed", async () => {
    const { touchstone, productId, signerSet, engineer, hsm } = await loadFixture(vendor);
    const release = await firmware.newRelease({ touchstone, productId, file: image, version: 1n, channels: [0] });
    await networkHelpers.setCode(engineer.id, "0x00");
    const proofs = [
      await firmware.signRelease({ touchstone, release, key: hsm }),
      { keyId: engineer.id, proof: { publicKey: "0x", signature: "0x1234" } },
    ];
    const message = releaseMessage(touchstone.domains.FirmwareRegistry, release);
    const collected = await firmware.collectProofs({ touchstone, message, signerSet, quorum: "Release", proofs });
    expect(collected).to.have.lengthOf(2);
    const error = await errorOf("CONTRACT_REVERTED", () => firmware.publish({ touchstone, release, proofs }));
    expect(error.details.errorName).to.equal("KeyProofInvalid");
  });

  it("leaves out signers of another quorum, and who is no signer", async () => {
    const { touchstone, productId, engineer } = await loadFixture(vendor);
    const change = await firmware.newStatusChange({
      touchstone,
      productId,
      version: 1n,
      status: "Yanked",
      quorum: "Revoke",
    });
    const stranger = createP256Key();
    const proofs = await Promise.all(
      [engineer, stranger].map((key) => firmware.signStatusChange({ touchstone, change, key })),
    );
    const error = await errorOf("SIGNATURES_MISSING", () => firmware.setStatus({ touchstone, change, proofs }));
    expect(error.details).to.deep.include({ quorum: "Revoke", needed: 1, given: 0 });
  });

  it("explains a refusal of the contract", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId, engineer, hsm } = suite;
    await publish(suite, { version: 5n });
    const file = { ...image, digest: ethers.id("other") };
    const release = await firmware.newRelease({ touchstone, productId, file, version: 5n, channels: [0] });
    const proofs = await Promise.all([engineer, hsm].map((key) => firmware.signRelease({ touchstone, release, key })));
    const error = await errorOf("CONTRACT_REVERTED", () => firmware.publish({ touchstone, release, proofs }));
    expect(error.details).to.deep.include({
      errorName: "VersionNotNewer",
      args: { productId, highest: 5n, given: 5n },
    });
  });

  it("refuses values out of their range before anything is signed", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId, hsm } = suite;
    const right = await firmware.newRelease({ touchstone, productId, file: image, version: 1n, channels: [0] });
    const wrong: Partial<firmware.Release>[] = [
      { productId: "0x12" },
      { version: 2n ** 64n },
      { securityVersion: 2n ** 32n },
      { imageDigest: image.digest.slice(0, -2) },
      { size: -1n },
      { channels: 256n },
      { hwRevMax: 65_536n },
      { startBps: 65_536n },
      { dependencies: [{ productId: "0x12", minVersion: 1n }] },
      { deadline: 2n ** 40n },
    ];
    for (const change of wrong) {
      const release = { ...right, ...change };
      await errorOf("INVALID_ARGUMENT", () => firmware.signRelease({ touchstone, release, key: hsm }));
      await errorOf("INVALID_ARGUMENT", () => firmware.publish({ touchstone, release, proofs: [] }));
    }
    const options = { touchstone, productId, file: image, version: 1n };
    await errorOf("INVALID_ARGUMENT", () => firmware.newRelease({ ...options, channels: [8 as 7] }));
    await errorOf("INVALID_ARGUMENT", () =>
      firmware.newRelease({ ...options, channels: [0], file: { digest: "0x12", size: 1n } }),
    );
    await errorOf("FILE_MISSING", () => firmware.newRelease({ ...options, channels: [0], file: path("none") }));
  });
});

describe("firmware.setStatus and firmware.announce", () => {
  it("take a release out of circulation by the small quorum, and the head with it", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId } = suite;
    await publish(suite, { version: 1n });
    await revoke(suite, { version: 1n, status: "Yanked", heads: [{ channel: 0, version: 0n }] });
    expect((await firmware.getRelease({ touchstone, productId, version: 1n }))?.status).to.equal("Yanked");
    expect(await firmware.latest({ touchstone, productId, channel: 0 })).to.equal(undefined);
    const { revokeNonce, releaseNonce } = (await firmware.getProduct({ touchstone, productId }))!;
    expect([revokeNonce, releaseNonce]).to.deep.equal([1n, 2n]);
  });

  it("bring it back by the Release quorum, with the next nonce of that", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId, engineer, secureElement } = suite;
    await publish(suite, { version: 1n });
    await revoke(suite, { version: 1n, status: "Yanked" });
    for (const status of ["Live", "Yanked"] as const) {
      const change = await firmware.newStatusChange({ touchstone, productId, version: 1n, status, quorum: "Release" });
      const proofs = await Promise.all(
        [engineer, secureElement].map((key) => firmware.signStatusChange({ touchstone, change, key })),
      );
      const { events } = await firmware.setStatus({ touchstone, change, proofs });
      expect(events[0]?.name).to.equal("StatusChanged");
      expect((await firmware.getRelease({ touchstone, productId, version: 1n }))?.status).to.equal(status);
    }
  });

  it("say where the file is", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId, name, owner } = suite;
    await publish(suite, { version: 1n });
    const uri = "https://example.com/image.bin";
    const { events } = await firmware.announce({ touchstone, ...name, version: 1n, uri });
    expect(events[0]?.args).to.deep.equal({ productId, version: 1n, by: owner.address, uri });
  });
});

describe("firmware.verify and firmware.requireInstallable", () => {
  const path = temporaryFolder();

  it("let a published file pass, hashed from the disk", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId } = suite;
    await writeFile(path("image.bin"), "firmware");
    const file = { digest: ethers.sha256(ethers.toUtf8Bytes("firmware")), size: 8n };
    await publish(suite, { version: 4n, file });
    const options = { touchstone, productId, file: path("image.bin") };
    const verification = { ok: true, reason: "Authorised", version: 4n, image: file };
    expect(await firmware.verify(options)).to.deep.equal(verification);
    expect(await firmware.requireInstallable({ ...options, installedVersion: 4n })).to.deep.equal(verification);
    expect(await firmware.requireInstallable({ ...options, installedVersion: 3n })).to.deep.equal(verification);
  });

  it("refuse a release that is older than what is installed", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId } = suite;
    await publish(suite, { version: 4n });
    await publish(suite, { version: 5n, file: { ...image, digest: ethers.id("newer") } });
    const options = { touchstone, productId, file: image, installedVersion: 5n };
    const verification = { ok: false, reason: "Rollback", version: 4n, image };
    expect(await firmware.verify(options)).to.deep.equal(verification);
    const error = await errorOf("FIRMWARE_ROLLBACK", () => firmware.requireInstallable(options));
    expect(error.details).to.deep.equal({ ...verification, file: image.digest, installedVersion: 5n });
    expect(error.message).to.contain("version 4").and.contain("version 5");
  });

  it("refuse whatever the chain refuses, and say why", async () => {
    const suite = await loadFixture(vendor);
    const { touchstone, productId } = suite;
    await writeFile(path("changed.bin"), "firmwarf");
    await publish(suite, { version: 1n });
    const revoked = { ...image, digest: ethers.id("revoked") };
    await publish(suite, { version: 2n, file: revoked });
    await revoke(suite, { version: 1n, status: "Yanked" });
    const change = await firmware.newStatusChange({
      touchstone,
      productId,
      version: 2n,
      status: "Revoked",
      quorum: "Release",
      heads: [{ channel: 0, version: 0n }],
    });
    const keys = [suite.engineer, suite.hsm];
    const proofs = await Promise.all(keys.map((key) => firmware.signStatusChange({ touchstone, change, key })));
    await firmware.setStatus({ touchstone, change, proofs });

    const cases = [
      { file: path("changed.bin"), reason: "DigestUnknown", version: 0n },
      { file: { ...image, size: 1_001n }, reason: "SizeMismatch", version: 1n },
      { file: image, reason: "Yanked", version: 1n },
      { file: revoked, reason: "Revoked", version: 2n },
    ];
    for (const { file, reason, version } of cases) {
      // What the chain refuses is refused for its reason, even if it is a rollback too.
      const options = { touchstone, productId, file, installedVersion: 9n };
      const { ok, ...found } = await firmware.verify(options);
      expect([ok, found.reason, found.version]).to.deep.equal([false, reason, version]);
      const error = await errorOf("FIRMWARE_REFUSED", () => firmware.requireInstallable(options));
      expect(error.details.reason).to.equal(reason);
      expect(error.message).to.contain(typeof file === "string" ? file : file.digest);
    }
    const unknown = { touchstone, productId: ethers.id("none"), file: image };
    expect((await firmware.verify(unknown)).reason).to.equal("ProductUnknown");
  });

  it("refuse files that cannot be read and versions that are none", async () => {
    const { touchstone, productId } = await loadFixture(vendor);
    await errorOf("FILE_MISSING", () => firmware.verify({ touchstone, productId, file: path("none") }));
    await writeFile(path("empty"), "");
    await errorOf("FILE_EMPTY", () => firmware.verify({ touchstone, productId, file: path("empty") }));
    await errorOf("INVALID_ARGUMENT", () =>
      firmware.verify({ touchstone, productId, file: image, installedVersion: 2n ** 64n }),
    );
    const lost = { touchstone, productId, file: image, installedVersion: undefined as unknown as bigint };
    expect((await errorOf("INVALID_ARGUMENT", () => firmware.verify(lost))).message).to.include("installedVersion");
    const signal = AbortSignal.abort();
    await writeFile(path("image.bin"), "firmware");
    await errorOf("CANCELLED", () => firmware.verify({ touchstone, productId, file: path("image.bin"), signal }));
  });

  it("say that the chain is gone", async () => {
    const { touchstone, productId } = await loadFixture(vendor);
    const call = (): never => {
      throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    };
    const gone = touchstone.connect(providerWith({ call }));
    await errorOf("CHAIN_UNREACHABLE", () => firmware.verify({ touchstone: gone, productId, file: image }));
  });
});
