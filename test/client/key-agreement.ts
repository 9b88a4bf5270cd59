import type { webcrypto } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";

import { CipherSuite, Aes128Gcm, Aes256Gcm, DhkemP256HkdfSha256, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { expect } from "chai";
import { encodeBytes32String, getBytes, hexlify } from "ethers";

import { hpkeOpen, hpkeSeal } from "../../client/hpke.js";
import {
  createKeyAgreementKey,
  deserialisedKey,
  keyAgreementAttribute,
  keyAgreementCall,
  keyAgreementCurves,
  keyAgreementKeyOf,
  keyAgreementKeysOf,
  keyAgreementPublicKey,
  loadKeyAgreementKey,
  publishKeyAgreementKey,
  readKeyAgreementKey,
  revokeKeyAgreementKey,
  serialisedKey,
  writeKeyAgreementKey,
} from "../../client/key-agreement.js";
import { DAY, ethers, loadFixture, networkHelpers } from "../support/chain.js";
import { resolveDid } from "../support/did-resolver.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { providerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deploySuite, type Suite } from "../support/suite.js";

/** Vectors of RFC 9180 in base mode: X25519 from its test-vectors.json (AEAD 2), P-256 from its appendix A.3 (AEAD 1). */
const INFO = "4f6465206f6e2061204772656369616e2055726e";
const AAD = "436f756e742d30";
const PLAINTEXT = "4265617574792069732074727574682c20747275746820626561757479";
const VECTORS = {
  X25519: {
    ikmE: "2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9",
    skRm: "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
    pkRm: "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c",
    enc: "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
    ciphertext: "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a",
  },
  "P-256": {
    ikmE: "4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e",
    skRm: "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
    pkRm:
      "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82" +
      "6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
    enc:
      "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9" +
      "8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
    ciphertext: "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434",
  },
} as const;

const bytes = (hex: string): Buffer => Buffer.from(hex, "hex");

describe("Key-agreement keys", () => {
  const fileIn = temporaryFolder();

  it("agree on the same secret from both sides, on both curves", async () => {
    for (const curve of keyAgreementCurves) {
      const [a, b] = [createKeyAgreementKey({ curve }), createKeyAgreementKey({ curve })];
      const secret = await a.agree(b.publicKey);
      expect(secret.length).to.equal(32);
      expect(secret).to.deep.equal(await b.agree(a.publicKey));
      expect(secret).to.not.deep.equal(await a.agree(a.publicKey));
    }
  });

  it("are named by the thumbprint of RFC 7638, as RFC 8037 has it", () => {
    // RFC 8037, appendix A.6: the public key of Bob.
    const publicKey = "0xde9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    const { id, curve } = keyAgreementPublicKey({ curve: "X25519", publicKey });
    expect(curve).to.equal("X25519");
    expect(id).to.equal(
      ethers.sha256(
        Buffer.from('{"crv":"X25519","kty":"OKP","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}', "utf8"),
      ),
    );
    const p256 = createKeyAgreementKey({ curve: "P-256" });
    const { x, y } = p256.exportJwk() as { x: string; y: string };
    expect(p256.id).to.equal(ethers.sha256(Buffer.from(JSON.stringify({ crv: "P-256", kty: "EC", x, y }), "utf8")));
  });

  it("are written for their owner's eyes, and read again", async () => {
    for (const curve of keyAgreementCurves) {
      const key = createKeyAgreementKey({ curve });
      const path = fileIn(`${curve}.jwk`);
      await writeKeyAgreementKey({ path, key });
      expect((await stat(path)).mode & 0o777).to.equal(0o600);
      expect(JSON.parse(await readFile(path, "utf8"))).to.deep.equal(key.exportJwk());
      const read = await readKeyAgreementKey({ path });
      expect(read.id).to.equal(key.id);
      const other = createKeyAgreementKey({ curve });
      expect(await read.agree(other.publicKey)).to.deep.equal(await key.agree(other.publicKey));
      await errorOf("FILE_EXISTS", () => writeKeyAgreementKey({ path, key }));
    }
  });

  it("refuse a file that holds no such key, and never show what it holds", async () => {
    const path = fileIn("key.jwk");
    await errorOf("FILE_MISSING", () => readKeyAgreementKey({ path }));
    const jwk = createKeyAgreementKey().exportJwk();
    for (const text of ["", "no JSON but a d3cret", JSON.stringify({ ...jwk, d: "d3cret" }), " ".repeat(5000)]) {
      await writeFile(path, text);
      const error = await errorOf("INVALID_KEY", () => readKeyAgreementKey({ path }));
      expect(`${error.message}${String(error.cause)}`).to.not.include("d3cret");
    }
  });

  it("refuse halves that do not belong together, other curves, and public keys that are none", async () => {
    const [one, other] = [createKeyAgreementKey(), createKeyAgreementKey()].map((key) => key.exportJwk());
    await errorOf("INVALID_KEY", () => loadKeyAgreementKey({ jwk: { ...one, x: other!.x } }));
    const points = [createKeyAgreementKey({ curve: "P-256" }), createKeyAgreementKey({ curve: "P-256" })];
    const [point, another] = points.map((key) => key.exportJwk());
    await errorOf("INVALID_KEY", () => loadKeyAgreementKey({ jwk: { ...another, d: point!.d } }));
    await errorOf("INVALID_KEY", () => loadKeyAgreementKey({ jwk: { ...one, crv: "Ed25519" } }));
    await errorOf("INVALID_KEY", () => loadKeyAgreementKey({ jwk: undefined }));
    for (const publicKey of [`0x${"00".repeat(32)}`, `0x01${"00".repeat(31)}`, `0x${"11".repeat(31)}`]) {
      await errorOf("INVALID_KEY", () => keyAgreementPublicKey({ curve: "X25519", publicKey }));
      expect(deserialisedKey("X25519", getBytes(publicKey))).to.equal(undefined);
    }
    for (const publicKey of [`0x${"11".repeat(64)}`, `0x${"00".repeat(64)}`]) {
      await errorOf("INVALID_KEY", () => keyAgreementPublicKey({ curve: "P-256", publicKey }));
    }
    const { publicKey } = points[0]!;
    const serialised = serialisedKey({ curve: "P-256", publicKey });
    expect(deserialisedKey("P-256", serialised)).to.equal(publicKey);
    expect(deserialisedKey("P-256", Uint8Array.of(2, ...serialised.subarray(1)))).to.equal(undefined);
    expect(deserialisedKey("P-256", serialised.subarray(1))).to.equal(undefined);
  });
});

describe("HPKE", () => {
  it("gives the vectors of RFC 9180 for both suites", async () => {
    for (const curve of keyAgreementCurves) {
      const { ikmE, pkRm, enc, ciphertext } = VECTORS[curve];
      const kem = curve === "X25519" ? new DhkemX25519HkdfSha256() : new DhkemP256HkdfSha256();
      // The vector for P-256 is of AES-128: it shows that the KEM is right, which the next test takes to AES-256.
      const aead = curve === "X25519" ? new Aes256Gcm() : new Aes128Gcm();
      const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead });
      const ekm = (await suite.kem.deriveKeyPair(bytes(ikmE))) as webcrypto.CryptoKeyPair;
      const recipientPublicKey = (await suite.kem.deserializePublicKey(bytes(pkRm))) as webcrypto.CryptoKey;
      const sealed = await suite.seal({ recipientPublicKey, info: bytes(INFO), ekm }, bytes(PLAINTEXT), bytes(AAD));
      expect(Buffer.from(sealed.enc).toString("hex")).to.equal(enc);
      expect(Buffer.from(sealed.ct).toString("hex")).to.equal(ciphertext);
    }
  });

  it("opens what the keys of the vectors were sent, without the private key leaving its holder", async () => {
    for (const curve of keyAgreementCurves) {
      const { skRm, pkRm } = VECTORS[curve];
      const publicKey = bytes(pkRm);
      const coordinates = curve === "X25519" ? publicKey : publicKey.subarray(1);
      const [x, y] = [coordinates.subarray(0, 32), coordinates.subarray(32)].map((part) => part.toString("base64url"));
      const d = bytes(skRm).toString("base64url");
      const key = loadKeyAgreementKey({
        jwk: curve === "X25519" ? { kty: "OKP", crv: curve, x, d } : { kty: "EC", crv: curve, x, y, d },
      });
      expect(serialisedKey(key)).to.deep.equal(new Uint8Array(publicKey));
      const kem = curve === "X25519" ? new DhkemX25519HkdfSha256() : new DhkemP256HkdfSha256();
      const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes256Gcm() });
      const ekm = (await suite.kem.deriveKeyPair(bytes(VECTORS[curve].ikmE))) as webcrypto.CryptoKeyPair;
      const recipientPublicKey = (await suite.kem.deserializePublicKey(publicKey)) as webcrypto.CryptoKey;
      const sent = await suite.seal({ recipientPublicKey, info: bytes(INFO), ekm }, bytes(PLAINTEXT));
      const opened = {
        curve,
        publicKey,
        agree: (enc: Uint8Array) => key.agree(deserialisedKey(curve, enc)!),
        info: bytes(INFO),
        enc: new Uint8Array(sent.enc),
        ciphertext: new Uint8Array(sent.ct),
      };
      expect(Buffer.from((await hpkeOpen(opened))!).toString("hex")).to.equal(PLAINTEXT);
      expect(await hpkeOpen({ ...opened, info: bytes(`${INFO}00`) })).to.equal(undefined);
      expect(await hpkeOpen({ ...opened, ciphertext: opened.ciphertext.subarray(0, 15) })).to.equal(undefined);
    }
  });

  it("is opened by another implementation, and opens what that sealed", async () => {
    for (const curve of keyAgreementCurves) {
      const key = createKeyAgreementKey({ curve });
      const publicKey = serialisedKey(key);
      const kem = curve === "X25519" ? new DhkemX25519HkdfSha256() : new DhkemP256HkdfSha256();
      const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes256Gcm() });
      const [info, plaintext] = [Buffer.from("info"), Buffer.alloc(32, 7)];
      const sealed = await hpkeSeal({ curve, publicKey, info, plaintext });
      const imported = async (jwk: object, isPublic: boolean): Promise<webcrypto.CryptoKey> =>
        (await suite.kem.importKey("jwk", jwk, isPublic)) as webcrypto.CryptoKey;
      const recipientKey = {
        privateKey: await imported(key.exportJwk(), false),
        publicKey: await imported({ ...key.exportJwk(), d: undefined }, true),
      };
      const opened = await suite.open({ recipientKey, enc: sealed.enc, info }, sealed.ciphertext);
      expect(Buffer.from(opened)).to.deep.equal(plaintext);
    }
  });
});

// ------------------------------------------------------------------ DID documents

interface Shown {
  keyAgreement?: string[];
  verificationMethod?: Record<string, string>[];
}

/** The keys under `keyAgreement` in the document that the unmodified resolver makes. */
async function shownFor(suite: Suite, identity: string): Promise<Record<string, string>[]> {
  const { didDocument } = await resolveDid(suite, identity);
  const { keyAgreement = [], verificationMethod = [] } = didDocument as unknown as Shown;
  return keyAgreement.flatMap((id) => verificationMethod.filter((method) => method.id === id));
}

describe("Key-agreement keys in DID documents", () => {
  it("stand under keyAgreement for the unmodified resolver, on both curves, and are found without it", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, actors } = suite;
    const account = actors.subject.address;
    await errorOf("KEY_AGREEMENT_MISSING", () => keyAgreementKeyOf({ touchstone: as.stranger, account }));

    const x25519 = createKeyAgreementKey();
    await publishKeyAgreementKey({ touchstone: as.subject, key: x25519 });
    expect(await shownFor(suite, account)).to.deep.include.members([
      {
        id: `did:ethr:0x${suite.chainId.toString(16)}:${account}#delegate-1`,
        type: "X25519KeyAgreementKey2019",
        controller: `did:ethr:0x${suite.chainId.toString(16)}:${account}`,
        publicKeyHex: x25519.publicKey.slice(2),
      },
    ]);
    const { curve, publicKey, id } = x25519;
    expect(await keyAgreementKeyOf({ touchstone: as.stranger, account })).to.deep.equal({ curve, publicKey, id });

    const p256 = createKeyAgreementKey({ curve: "P-256" });
    await publishKeyAgreementKey({ touchstone: as.subject, key: p256 });
    const shown = await shownFor(suite, account);
    expect(shown.map(({ type }) => type)).to.deep.equal(["X25519KeyAgreementKey2019", "Multikey"]);
    expect(`0x${shown[1]!.publicKeyHex}`).to.equal(keyAgreementAttribute(p256).value);
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id).to.equal(p256.id);
    // The one published last counts, and one can be published again.
    await publishKeyAgreementKey({ touchstone: as.subject, key: x25519 });
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id).to.equal(x25519.id);
  });

  it("are gone when they are taken back, and the one before counts again", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, actors } = suite;
    const account = actors.subject.address;
    const [first, second] = [createKeyAgreementKey(), createKeyAgreementKey()];
    await publishKeyAgreementKey({ touchstone: as.subject, key: first });
    await publishKeyAgreementKey({ touchstone: as.subject, key: second });
    await revokeKeyAgreementKey({ touchstone: as.subject, key: second });
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id).to.equal(first.id);
    expect((await shownFor(suite, account)).map(({ publicKeyHex }) => `0x${publicKeyHex}`)).to.deep.equal([
      first.publicKey,
    ]);
    await revokeKeyAgreementKey({ touchstone: as.subject, key: first });
    const error = await errorOf("KEY_AGREEMENT_MISSING", () => keyAgreementKeyOf({ touchstone: as.stranger, account }));
    expect(error.details).to.deep.equal({ account, isContract: false });
    expect(error.message).to.include("publishKeyAgreementKey");
    expect(await shownFor(suite, account)).to.deep.equal([]);
  });

  it("end with their validity, to the second", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, actors } = suite;
    const account = actors.subject.address;
    const key = createKeyAgreementKey();
    const { receipt } = await publishKeyAgreementKey({ touchstone: as.subject, key, validFor: DAY });
    const { timestamp } = (await ethers.provider.getBlock(receipt.blockNumber))!;
    await networkHelpers.time.increaseTo(BigInt(timestamp) + DAY);
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id).to.equal(key.id);
    expect(await shownFor(suite, account)).to.have.lengthOf(1);
    await networkHelpers.time.increaseTo(BigInt(timestamp) + DAY + 1n);
    await errorOf("KEY_AGREEMENT_MISSING", () => keyAgreementKeyOf({ touchstone: as.stranger, account }));
    expect(await shownFor(suite, account)).to.have.lengthOf(0);
    // The past still shows it.
    const block = receipt.blockNumber;
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account, block })).id).to.equal(key.id);
  });

  it("are found under the names that others use, and passed over where the bytes are no key", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, actors, devices } = suite;
    const account = actors.subject.address;
    const { publicKey, id } = createKeyAgreementKey();
    const set = (name: string, value: string) =>
      devices.connect(actors.subject).setAttribute(account, encodeBytes32String(name), value, DAY);
    for (const [name, value] of [
      ["did/pub/X25519/enc/base64", publicKey],
      ["did/pub/X25519/enc/hex", publicKey],
      ["did/pub/Multikey/enc/base58", `0xec01${publicKey.slice(2)}`],
    ] as const) {
      await set(name, value);
      expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id, name).to.equal(id);
      expect(await shownFor(suite, account), name).to.not.have.lengthOf(0);
    }
    for (const [name, value] of [
      ["did/pub/X25519/enc", `0x${"00".repeat(32)}`],
      ["did/pub/X25519/enc", "0x"],
      ["did/pub/Multikey/enc", "0x80"],
      ["did/pub/Multikey/enc", `0x802402${"ff".repeat(32)}`],
      ["did/pub/X25519/sigAuth", createKeyAgreementKey().publicKey],
      ["did/svc/HubService", "0x68"],
    ] as const) {
      await set(name, value);
      expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id, name).to.equal(id);
    }
  });

  it("are found behind other changes, several of them in one block, and through many blocks", async () => {
    const { as, actors, devices } = await loadFixture(deploySuite);
    const account = actors.subject.address;
    const key = createKeyAgreementKey();
    await publishKeyAgreementKey({ touchstone: as.subject, key });
    const other = encodeBytes32String("did/svc/HubService");
    await ethers.provider.send("evm_setAutomine", [false]);
    for (let change = 0; change < 3; change += 1) {
      await devices.connect(actors.subject).setAttribute(account, other, hexlify(Uint8Array.of(change)), DAY);
    }
    await ethers.provider.send("evm_mine", []);
    await ethers.provider.send("evm_setAutomine", [true]);
    for (let change = 3; change < 6; change += 1) {
      await devices.connect(actors.subject).setAttribute(account, other, hexlify(Uint8Array.of(change)), DAY);
    }
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account })).id).to.equal(key.id);
  });

  it("of many accounts are read at once, and not again until their documents change", async () => {
    const { as, actors } = await loadFixture(deploySuite);
    const keys = [createKeyAgreementKey(), createKeyAgreementKey({ curve: "P-256" })];
    await publishKeyAgreementKey({ touchstone: as.subject, key: keys[0]! });
    await publishKeyAgreementKey({ touchstone: as.operator, key: keys[1]! });
    const accounts = [actors.operator.address, actors.stranger.address, actors.subject.address];
    const known = new Map<string, never>();
    const look = async (): Promise<(string | undefined)[]> =>
      (await keyAgreementKeysOf({ touchstone: as.stranger, accounts, known })).map((key) => key?.id);
    expect(await look()).to.deep.equal([keys[1]!.id, undefined, keys[0]!.id]);
    const getLogs = ethers.provider.getLogs.bind(ethers.provider);
    let asked = 0;
    ethers.provider.getLogs = (filter) => {
      asked += 1;
      return getLogs(filter);
    };
    try {
      expect(await look()).to.deep.equal([keys[1]!.id, undefined, keys[0]!.id]);
      expect(asked).to.equal(0);
      await revokeKeyAgreementKey({ touchstone: as.subject, key: keys[0]! });
      expect(await look()).to.deep.equal([keys[1]!.id, undefined, undefined]);
      expect(asked).to.be.greaterThan(0);
    } finally {
      ethers.provider.getLogs = getLogs;
    }
  });

  it("are not taken for missing when a node has not heard of the latest change yet", async () => {
    const { as, actors } = await loadFixture(deploySuite);
    const key = createKeyAgreementKey();
    await publishKeyAgreementKey({ touchstone: as.subject, key });
    const known = new Map<string, never>();
    const look = (touchstone = as.stranger): ReturnType<typeof keyAgreementKeysOf> =>
      keyAgreementKeysOf({ touchstone, accounts: [actors.subject.address], known });
    const behind = as.stranger.connect(providerWith({ getLogs: () => Promise.resolve([]) }));
    await errorOf("RPC_FAILED", () => look(behind));
    expect((await look()).map((found) => found?.id)).to.deep.equal([key.id]);
  });

  it("of a device are its owner's to publish, and end with the owner's epoch", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, p256Device, devices, actors } = suite;
    const key = createKeyAgreementKey();
    await refusedAs("NotController", () =>
      publishKeyAgreementKey({ touchstone: as.stranger, key, identity: p256Device.id }),
    );
    await publishKeyAgreementKey({ touchstone: as.owner, key, identity: p256Device.id });
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account: p256Device.id })).id).to.equal(key.id);
    expect(await shownFor(suite, p256Device.id)).to.have.lengthOf(1);
    await devices.connect(actors.owner).revokeAll(p256Device.id, p256Device.publicKey);
    await errorOf("KEY_AGREEMENT_MISSING", () =>
      keyAgreementKeyOf({ touchstone: as.stranger, account: p256Device.id }),
    );
    expect(await shownFor(suite, p256Device.id)).to.have.lengthOf(0);
  });

  it("of a contract are published by the contract, and the error says so", async () => {
    const suite = await loadFixture(deploySuite);
    const { as, actors } = suite;
    const wallet = await (await ethers.deployContract("ERC1271Wallet", [actors.owner.address])).getAddress();
    const error = await errorOf("KEY_AGREEMENT_MISSING", () =>
      keyAgreementKeyOf({ touchstone: as.stranger, account: wallet }),
    );
    expect(error.details).to.deep.equal({ account: wallet, isContract: true });
    expect(error.message).to.include(wallet).and.include("keyAgreementCall");
    const key = createKeyAgreementKey();
    await refusedAs("NotController", () => publishKeyAgreementKey({ touchstone: as.owner, key, identity: wallet }));
    await networkHelpers.impersonateAccount(wallet);
    await networkHelpers.setBalance(wallet, 10n ** 18n);
    const call = keyAgreementCall({ touchstone: as.owner, key, identity: wallet });
    await (await ethers.getSigner(wallet)).sendTransaction(call);
    expect((await keyAgreementKeyOf({ touchstone: as.stranger, account: wallet })).id).to.equal(key.id);
    expect(await shownFor(suite, wallet)).to.have.lengthOf(1);
  });

  it("of an identity that was deactivated are none", async () => {
    const { as, actors, devices } = await loadFixture(deploySuite);
    const key = createKeyAgreementKey();
    await publishKeyAgreementKey({ touchstone: as.subject, key });
    const account = actors.subject.address;
    await devices.connect(actors.subject).changeOwner(account, ethers.ZeroAddress);
    await errorOf("KEY_AGREEMENT_MISSING", () => keyAgreementKeyOf({ touchstone: as.stranger, account }));
  });

  it("refuse what is no key, no time and no account before anything is sent", async () => {
    const { as } = await loadFixture(deploySuite);
    const key = createKeyAgreementKey();
    await errorUnsent("INVALID_KEY", () =>
      publishKeyAgreementKey({ touchstone: as.subject, key: { ...key, publicKey: `0x${"00".repeat(32)}` } }),
    );
    await errorUnsent("INVALID_ARGUMENT", () => publishKeyAgreementKey({ touchstone: as.subject, key, validFor: -1n }));
    await errorUnsent("INVALID_ARGUMENT", () =>
      publishKeyAgreementKey({ touchstone: as.subject, key, identity: "subject.eth" }),
    );
    const reading = as.subject.connect(as.subject.provider);
    await errorUnsent("RUNNER_READ_ONLY", () => publishKeyAgreementKey({ touchstone: reading, key }));
  });
});
