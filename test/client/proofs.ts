import { expect } from "chai";

import { createP256Key, type Key } from "../../client/keys.js";
import { askProof } from "../../client/proofs.js";
import { enrollmentMessage, messageDomain } from "../../client/typed-data.js";

import { errorOf } from "../support/errors.js";

const key = createP256Key();
const domain = messageDomain({ contract: "DeviceRegistry", chainId: 1n, address: key.id });
const message = enrollmentMessage(domain, {
  device: key.id,
  scheme: key.scheme,
  owner: key.id,
  manifest: 0n,
  metadataHash: `0x${"00".repeat(32)}`,
  deadline: 1n,
});

describe("askProof", () => {
  it("gives what the key signed, or the proof as it was made elsewhere", async () => {
    const proof = await key.prove(message);
    expect(Object.keys(await askProof("byDevice", key, message))).to.deep.equal(["publicKey", "signature"]);
    expect(await askProof("byDevice", proof, message)).to.deep.equal(proof);
  });

  it("names what is neither a key nor a proof", async () => {
    for (const nothing of [undefined, null, "0x12"]) {
      const error = await errorOf("INVALID_ARGUMENT", () => askProof("byOwner", nothing as never, message));
      expect(error.message).to.contain("byOwner").and.contain(String(nothing));
    }
  });

  it("says that the key did not sign, and why", async () => {
    const locked: Key = { ...key, prove: () => Promise.reject(new Error("TPM is locked")) };
    const error = await errorOf("SIGNING_FAILED", () => askProof("byDevice", locked, message));
    expect(error.message).to.equal("byDevice did not sign: TPM is locked. Unlock or connect the key.");
  });

  it("refuses the forms in which hardware and openssl give keys and signatures, naming the one that is needed", async () => {
    const { publicKey, signature } = await key.prove(message);
    const forms = [
      [{ publicKey: `0x04${publicKey.slice(2)}`, signature }, "byDevice.publicKey", "64 bytes"],
      [{ publicKey: `0x02${publicKey.slice(2, 66)}`, signature }, "byDevice.publicKey", "64 bytes"],
      [{ publicKey, signature: `0x3044${signature.slice(2)}` }, "byDevice.signature", "normalizeP256Signature"],
      [{ publicKey, signature: "0x00" }, "byDevice.signature", "normalizeP256Signature"],
    ] as const;
    for (const [proof, argument, fix] of forms) {
      const { message: text } = await errorOf("INVALID_ARGUMENT", () => askProof("byDevice", proof, message));
      expect(text).to.include(argument).and.to.include(fix);
    }
  });
});
