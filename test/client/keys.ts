import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  verify,
  type KeyObject,
} from "node:crypto";

import { p256 } from "@noble/curves/nist.js";
import { expect } from "chai";
import { concat, dataSlice, getAddress, getBytes, hexlify, keccak256, Signature, toBeHex, Wallet } from "ethers";
import fc from "fast-check";

import {
  accountKey,
  compressPublicKey,
  createP256Key,
  decompressPublicKey,
  isValidProof,
  keyIdOf,
  loadP256Key,
  normalizeP256Signature,
  p256Digest,
  proofBy,
  Scheme,
} from "../../client/keys.js";
import { devicePolicyMessage, messageDigest, messageDomain, type TypedMessage } from "../../client/typed-data.js";
import { errorOf } from "../support/errors.js";

const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** RFC 6979, A.2.5: a public key, and its signature over sha256("sample"), whose s is high. */
const RFC6979 = {
  publicKey:
    "0x60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" +
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
  r: "0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
  s: "0xf7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
  lowS: "0x0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9",
};

/** What `openssl pkeyutl -sign` made of the digest of `policyOf(OPENSSL.keyId)`: DER, once with a high and once with a low s. */
const OPENSSL = {
  keyId: "0x5A6D3Fe68B651EdC1535BD4Aa9424f31cde8bB27",
  publicKey:
    "0xe62106dbdb88d3b2663b845d00b6497efe9f36a6a69e1718c06e15d615c87c3a" +
    "2f6429558106c67890579de5295b758e8967f5fa623bbf3735e715137d018607",
  highS:
    "0x3046022100a78baf3a06fa5cfa8c99a04ad728d61ae80e62774b557ac18ebd2b07661b5680" +
    "022100cf68d6e1cd4a3a4620c554619c2c048aa6c2f230fa059540f03efce9adfb7637",
  lowS:
    "0x304402207b581391077a5da1fb5bf87809c5b12ea8cfec1ebd19438d01ca6dd73637e9b1" +
    "0220692d1c30a09619a41dc45ebb5df9990019b1158f4c6b1688ff7fa5a869c48a9a",
};

const domain = messageDomain({
  contract: "DataAccess",
  chainId: 31337n,
  address: "0x5FbDB2315678afecb367f032d93F642f64180aa3",
});

function policyOf(device: string, seq = 0n): TypedMessage {
  const policy = { device, ceiling: 3n, publicRead: 1n, purposes: 1n, epoch: 1n, seq, deadline: 2_000_000_000n };
  return devicePolicyMessage(domain, policy);
}

function pemOf(privateKey: KeyObject, type: "pkcs8" | "sec1" = "pkcs8"): string {
  return privateKey.export({ type, format: "pem" }) as string;
}

describe("P-256 keys", () => {
  it("have the last 20 bytes of the hash of their public key as id", () => {
    const id = getAddress(dataSlice(keccak256(RFC6979.publicKey), 12));
    expect(keyIdOf(RFC6979.publicKey)).to.equal(id);
    expect(keyIdOf(OPENSSL.publicKey)).to.equal(OPENSSL.keyId);
  });

  it("are made new each time, with the scheme asked for", () => {
    const [key, other] = [createP256Key(), createP256Key({ scheme: Scheme.P256Sha256 })];
    expect(key.scheme).to.equal(Scheme.P256);
    expect(other.scheme).to.equal(Scheme.P256Sha256);
    expect(key.id).to.not.equal(other.id);
    expect(keyIdOf(key.publicKey)).to.equal(key.id);
  });

  it("survive the way out to PEM and back", () => {
    const key = createP256Key();
    const loaded = loadP256Key({ pem: key.exportPem(), scheme: Scheme.P256Sha256 });
    expect([loaded.id, loaded.publicKey, loaded.scheme]).to.deep.equal([key.id, key.publicKey, Scheme.P256Sha256]);
  });

  it("are read from SEC 1 as from PKCS #8", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(loadP256Key({ pem: pemOf(privateKey, "sec1") }).id).to.equal(loadP256Key({ pem: pemOf(privateKey) }).id);
  });

  it("have 64 bytes of public key also where a coordinate begins with zeros", () => {
    // The smallest private keys whose x and y begin with a zero byte.
    const ecdh = createECDH("prime256v1");
    const padded = Array.from({ length: 600 }, (_, index) => index + 1).filter((scalar) => {
      ecdh.setPrivateKey(Buffer.from(toBeHex(scalar, 32).slice(2), "hex"));
      const point = ecdh.getPublicKey();
      return point[1] === 0 || point[33] === 0;
    });
    expect(padded).to.not.have.lengthOf(0);
    for (const scalar of padded) {
      ecdh.setPrivateKey(Buffer.from(toBeHex(scalar, 32).slice(2), "hex"));
      const point = ecdh.getPublicKey();
      const [d, x, y] = [Buffer.from(toBeHex(scalar, 32).slice(2), "hex"), point.subarray(1, 33), point.subarray(33)];
      const jwk = {
        kty: "EC",
        crv: "P-256",
        d: d.toString("base64url"),
        x: x.toString("base64url"),
        y: y.toString("base64url"),
      };
      const pem = pemOf(createPrivateKey({ key: jwk, format: "jwk" }));
      expect(loadP256Key({ pem }).publicKey).to.equal(hexlify(point.subarray(1)));
    }
  });

  it("of another curve are refused, naming the curve", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
    const error = await errorOf("INVALID_KEY", () => loadP256Key({ pem: pemOf(privateKey) }));
    expect(error.details).to.deep.equal({ curve: "secp256k1" });
    expect(error.message).to.contain("secp256k1");
  });

  it("of another kind are refused, naming the kind", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const error = await errorOf("INVALID_KEY", () => loadP256Key({ pem: pemOf(privateKey) }));
    expect(error.message).to.contain("ed25519");
  });

  it("are refused if the text is a public key or no key at all", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const pem of [publicKey.export({ type: "spki", format: "pem" }) as string, "no key", ""]) {
      await errorOf("INVALID_KEY", () => loadP256Key({ pem }));
    }
  });

  it("sign so that the proof holds for their id, the message and their scheme alone", async () => {
    for (const scheme of [Scheme.P256, Scheme.P256Sha256] as const) {
      const key = createP256Key({ scheme });
      const message = policyOf(key.id);
      const proof = await key.prove(message);
      expect(isValidProof({ keyId: key.id, scheme, message, proof })).to.equal(true);
      expect(isValidProof({ keyId: createP256Key().id, scheme, message, proof })).to.equal(false);
      expect(isValidProof({ keyId: key.id, scheme, message: policyOf(key.id, 1n), proof })).to.equal(false);
      const otherScheme = scheme === Scheme.P256 ? Scheme.P256Sha256 : Scheme.P256;
      expect(isValidProof({ keyId: key.id, scheme: otherScheme, message, proof })).to.equal(false);
    }
  });

  it("always sign with a low s", async () => {
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), fc.boolean(), async (seq, hashes) => {
        const key = createP256Key({ scheme: hashes ? Scheme.P256Sha256 : Scheme.P256 });
        const { signature } = await key.prove(policyOf(key.id, seq));
        expect(BigInt(dataSlice(signature, 32)) <= N / 2n).to.equal(true);
      }),
      { numRuns: 50 },
    );
  });

  it("that hash what they sign make signatures that any ECDSA with SHA-256 verifies", async () => {
    const key = createP256Key({ scheme: Scheme.P256Sha256 });
    const message = policyOf(key.id);
    const { signature } = await key.prove(message);
    const signed = Buffer.concat([Buffer.from("Touchstone.v1"), getBytes(messageDigest(message))]);
    const publicKey = createPublicKey(key.exportPem());
    expect(verify("sha256", signed, { key: publicKey, dsaEncoding: "ieee-p1363" }, getBytes(signature))).to.equal(true);
    expect(hexlify(p256Digest(message, Scheme.P256Sha256))).to.equal(
      `0x${createHash("sha256").update(signed).digest("hex")}`,
    );
  });
});

describe("P-256 public keys", () => {
  it("survive compression", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: N - 1n }), (scalar) => {
        const publicKey = hexlify(p256.Point.BASE.multiply(scalar).toBytes(false).subarray(1));
        expect(decompressPublicKey(compressPublicKey(publicKey))).to.equal(publicKey);
      }),
      { numRuns: 20 },
    );
  });

  it("are compressed to the sign of y and x", () => {
    expect(compressPublicKey(RFC6979.publicKey)).to.equal(concat(["0x03", dataSlice(RFC6979.publicKey, 0, 32)]));
  });

  it("are refused if they are not 64 bytes or not on the curve", async () => {
    const wrong = [
      "0x",
      "qx",
      RFC6979.publicKey.slice(0, -2),
      `0x04${RFC6979.publicKey.slice(2)}`,
      `0x${"11".repeat(64)}`,
    ];
    for (const publicKey of wrong) {
      const error = await errorOf("INVALID_KEY", () => keyIdOf(publicKey));
      expect(error.message).to.contain(publicKey);
      await errorOf("INVALID_KEY", () => compressPublicKey(publicKey));
    }
  });

  it("are refused in a compressed form that is none", async () => {
    const x = dataSlice(RFC6979.publicKey, 0, 32);
    for (const compressed of [
      "0x",
      "text",
      concat(["0x04", x]),
      concat(["0x03", x, "0x00"]),
      `0x02${"ff".repeat(32)}`,
    ]) {
      await errorOf("INVALID_KEY", () => decompressPublicKey(compressed));
    }
  });
});

describe("P-256 signatures", () => {
  it("get their low s, as in the vector of RFC 6979", () => {
    const expected = concat([RFC6979.r, RFC6979.lowS]);
    expect(normalizeP256Signature(concat([RFC6979.r, RFC6979.s]))).to.equal(expected);
    expect(normalizeP256Signature(expected)).to.equal(expected);
  });

  it("of openssl in DER become proofs, whether their s is high or low", () => {
    const message = policyOf(OPENSSL.keyId);
    for (const der of [OPENSSL.highS, OPENSSL.lowS]) {
      const proof = { publicKey: OPENSSL.publicKey, signature: normalizeP256Signature(der) };
      expect(isValidProof({ keyId: OPENSSL.keyId, scheme: Scheme.P256, message, proof })).to.equal(true);
    }
  });

  it("with a high s prove nothing, as the contracts refuse them", () => {
    const message = policyOf(OPENSSL.keyId);
    const signature = normalizeP256Signature(OPENSSL.lowS);
    const highS = concat([dataSlice(signature, 0, 32), toBeHex(N - BigInt(dataSlice(signature, 32)), 32)]);
    const proof = { publicKey: OPENSSL.publicKey, signature: highS };
    expect(isValidProof({ keyId: OPENSSL.keyId, scheme: Scheme.P256, message, proof })).to.equal(false);
  });

  it("come out the same from s and from n - s, once or twice normalised", () => {
    const scalar = fc.bigInt({ min: 1n, max: N - 1n });
    fc.assert(
      fc.property(scalar, scalar, (r, s) => {
        const normalized = normalizeP256Signature(concat([toBeHex(r, 32), toBeHex(s, 32)]));
        expect(normalizeP256Signature(concat([toBeHex(r, 32), toBeHex(N - s, 32)]))).to.equal(normalized);
        expect(normalizeP256Signature(normalized)).to.equal(normalized);
        expect(BigInt(dataSlice(normalized, 32)) <= N / 2n).to.equal(true);
      }),
    );
  });

  it("are refused if they are neither r and s nor DER", async () => {
    const zero = `0x${"00".repeat(64)}`;
    for (const signature of ["0x", "0x1234", "text", zero, `0x${"ff".repeat(64)}`, `${OPENSSL.lowS}00`]) {
      const error = await errorOf("INVALID_ARGUMENT", () => normalizeP256Signature(signature));
      expect(error.message).to.contain(signature);
    }
  });
});

describe("account keys", () => {
  it("have the account's address as id and sign typed data", async () => {
    const wallet = Wallet.createRandom();
    const key = await accountKey(wallet);
    expect([key.id, key.scheme, key.publicKey]).to.deep.equal([wallet.address, Scheme.Account, "0x"]);
    const message = policyOf(key.id);
    const proof = await key.prove(message);
    expect(isValidProof({ keyId: key.id, scheme: Scheme.Account, message, proof })).to.equal(true);
    expect(isValidProof({ keyId: Wallet.createRandom().address, scheme: Scheme.Account, message, proof })).to.equal(
      false,
    );
    expect(isValidProof({ keyId: key.id, scheme: Scheme.P256, message, proof })).to.equal(false);
  });

  it("prove nothing with a signature in a form that the contracts do not take", async () => {
    const key = await accountKey(Wallet.createRandom());
    const message = policyOf(key.id);
    const { signature } = await key.prove(message);
    const { r, s, yParity, compactSerialized } = Signature.from(signature);
    const forms = [compactSerialized, concat([r, s, toBeHex(yParity, 1)]), concat([r, s, toBeHex(35 + yParity, 1)])];
    for (const other of forms) {
      const proof = { publicKey: "0x", signature: other };
      expect(isValidProof({ keyId: key.id, scheme: Scheme.Account, message, proof }), other).to.equal(false);
    }
  });

  it("prove nothing with a public key or a broken signature", async () => {
    const key = await accountKey(Wallet.createRandom());
    const message = policyOf(key.id);
    const { signature } = await key.prove(message);
    const check = (proof: { publicKey: string; signature: string }): boolean =>
      isValidProof({ keyId: key.id, scheme: Scheme.Account, message, proof });
    expect(check({ publicKey: RFC6979.publicKey, signature })).to.equal(false);
    expect(check({ publicKey: "0x", signature: "0x" })).to.equal(false);
  });
});

describe("proofBy", () => {
  it("asks a key to sign, and hands on a proof that was made before", async () => {
    const key = createP256Key();
    const message = policyOf(key.id);
    const made = await proofBy(key, message);
    expect(isValidProof({ keyId: key.id, scheme: key.scheme, message, proof: made })).to.equal(true);
    expect(await proofBy(made, message)).to.equal(made);
  });
});
