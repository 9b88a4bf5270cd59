import { expect } from "chai";
import { Resolver } from "did-resolver";
import { dataSlice, decodeBase58, toBeHex } from "ethers";
import { getResolver } from "ethr-did-resolver";
import fc from "fast-check";

import {
  didOf,
  KEY_ATTRIBUTE,
  keyAttributeValue,
  parseDid,
  publicKeyInAttribute,
  resolverConfig,
  withMultikeys,
} from "../../client/did.js";
import * as devices from "../../client/devices.js";
import { readEvents } from "../../client/events.js";
import { createP256Key } from "../../client/keys.js";
import { loadFixture } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { deployTouchstone } from "../support/touchstone.js";

const DEVICE = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

describe("DIDs", () => {
  it("name chain and device", () => {
    expect(didOf({ chainId: 31337n, device: DEVICE.toLowerCase() })).to.equal(`did:ethr:0x7a69:${DEVICE}`);
  });

  it("survive the way to text and back", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }), (chainId) => {
        expect(parseDid(didOf({ chainId, device: DEVICE }))).to.deep.equal({ chainId, device: DEVICE });
      }),
    );
  });

  it("are refused if they are none of a device, naming them", async () => {
    const wrong = [
      "",
      DEVICE,
      `did:ethr:${DEVICE}`,
      `did:ethr:sepolia:${DEVICE}`,
      `did:web:0x1:${DEVICE}`,
      `did:ethr:0x1:${DEVICE}#controller`,
      `did:ethr:0x1:0x02${"11".repeat(32)}`,
    ];
    for (const did of wrong) {
      const error = await errorOf("INVALID_ARGUMENT", () => parseDid(did));
      expect(error.details).to.deep.equal({ did });
    }
    await errorOf("INVALID_ARGUMENT", () => parseDid(`did:ethr:0x1:${DEVICE.replace("F", "f")}`));
    await errorOf("INVALID_ARGUMENT", () => didOf({ chainId: 1n, device: "0x12" }));
    await errorOf("INVALID_ARGUMENT", () => didOf({ chainId: -1n, device: DEVICE }));
  });

  it("resolve in the unmodified ethr-did-resolver with nothing but the configuration", async () => {
    const { touchstone, owner, device } = await loadFixture(deployTouchstone);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    const did = didOf({ chainId: touchstone.chainId, device: device.id });

    const resolver = new Resolver(getResolver(resolverConfig({ touchstone })));
    const { didDocument, didResolutionMetadata } = await resolver.resolve(did);

    expect(didResolutionMetadata.error).to.equal(undefined);
    expect(didDocument?.id).to.equal(did);
    expect(didDocument?.verificationMethod).to.deep.equal([
      {
        id: `${did}#controller`,
        type: "EcdsaSecp256k1RecoveryMethod2020",
        controller: did,
        blockchainAccountId: `eip155:31337:${owner.address}`,
      },
      {
        id: `${did}#delegate-1`,
        type: "Multikey",
        controller: did,
        publicKeyHex: keyAttributeValue(device.publicKey).slice(2),
      },
    ]);
  });
});

describe("withMultikeys", () => {
  const PUBLIC_KEY = createP256Key().publicKey;
  const publicKeyHex = keyAttributeValue(PUBLIC_KEY).slice(2);
  const controller = {
    id: "#controller",
    type: "EcdsaSecp256k1RecoveryMethod2020",
    blockchainAccountId: "eip155:1:0x",
  };
  const otherHex = { id: "#2", type: "X25519KeyAgreementKey2019", publicKeyHex: "11" };
  const didDocumentMetadata = { versionId: "7" };

  /** What comes out where the resolver answers with this document. */
  async function documentOf(didDocument: object | null): Promise<Record<string, unknown> | null> {
    const asked: unknown[] = [];
    const ethr = (...args: unknown[]): Promise<{ didDocument: object | null; didDocumentMetadata: object }> => {
      asked.push(...args);
      return Promise.resolve({ didDocument, didDocumentMetadata });
    };
    const result = await withMultikeys({ ethr }).ethr!("did:ethr:0x1", { parsed: true });
    expect(asked).to.deep.equal(["did:ethr:0x1", { parsed: true }]);
    expect(result.didDocumentMetadata).to.equal(didDocumentMetadata);
    return result.didDocument as Record<string, unknown> | null;
  }

  it("writes a Multikey as publicKeyMultibase, and leaves all else as it was", async () => {
    const before = {
      "@context": ["https://www.w3.org/ns/did/v1"],
      id: "did:ethr:0x1",
      verificationMethod: [controller, { id: "#1", type: "Multikey", publicKeyHex }, otherHex],
      authentication: ["#controller", "#1"],
    };
    const frozen = structuredClone(before);
    const { verificationMethod, "@context": context, ...rest } = (await documentOf(before))!;
    const [first, multikey, third] = verificationMethod as Record<string, string>[];
    expect([first, third]).to.deep.equal([controller, otherHex]);
    const { publicKeyMultibase, ...others } = multikey!;
    expect(others).to.deep.equal({ id: "#1", type: "Multikey" });
    expect(publicKeyMultibase![0]).to.equal("z");
    expect(publicKeyInAttribute(toBeHex(decodeBase58(publicKeyMultibase!.slice(1))))).to.equal(PUBLIC_KEY);
    expect(context).to.deep.equal(["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]);
    expect(rest).to.deep.equal({ id: before.id, authentication: before.authentication });
    expect(before, "what came in").to.deep.equal(frozen);
  });

  it("adds no context where there is none", async () => {
    const document = await documentOf({ verificationMethod: [{ type: "Multikey", publicKeyHex }] });
    expect(document).to.have.all.keys("verificationMethod");
  });

  it("returns documents without such keys as they are", async () => {
    const documents = [
      null,
      { id: "did:ethr:0x1" },
      { verificationMethod: [controller, otherHex] },
      { verificationMethod: [{ type: "Multikey", publicKeyMultibase: "zDn" }] },
      { verificationMethod: [{ type: "Multikey" }, { type: "Multikey", publicKeyHex: "" }] },
      { verificationMethod: [{ type: "Multikey", publicKeyHex: "no hex" }] },
    ];
    for (const document of documents) expect(await documentOf(document)).to.equal(document);
  });
});

describe("the key attribute of a DID document", () => {
  it("is what the registry emits", async () => {
    const { touchstone, owner, device } = await loadFixture(deployTouchstone);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    for await (const event of readEvents({ touchstone, devices: [device.id] })) {
      if (event.name !== "DIDAttributeChanged") continue;
      expect(event.args.name).to.equal(KEY_ATTRIBUTE);
      expect(event.args.value).to.equal(keyAttributeValue(device.publicKey));
      expect(publicKeyInAttribute(event.args.value)).to.equal(device.publicKey);
      return;
    }
    expect.fail("no attribute");
  });

  it("is 0x8024 and the compressed key", () => {
    const { publicKey } = createP256Key();
    const value = keyAttributeValue(publicKey);
    expect(dataSlice(value, 0, 2)).to.equal("0x8024");
    expect(dataSlice(value, 3)).to.equal(dataSlice(publicKey, 0, 32));
    expect(publicKeyInAttribute(value)).to.equal(publicKey);
  });

  it("is refused if it holds no P-256 key", async () => {
    const value = keyAttributeValue(createP256Key().publicKey);
    const wrong = ["0x", "text", value.slice(0, -2), value.replace("0x8024", "0x8023"), `0x802402${"ff".repeat(32)}`];
    for (const each of wrong) await errorOf("INVALID_KEY", () => publicKeyInAttribute(each));
    await errorOf("INVALID_KEY", () => keyAttributeValue("0x12"));
  });
});
