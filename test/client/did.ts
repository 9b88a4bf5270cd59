import { expect } from "chai";
import { Resolver } from "did-resolver";
import { dataSlice } from "ethers";
import { getResolver } from "ethr-did-resolver";
import fc from "fast-check";

import {
  didOf,
  KEY_ATTRIBUTE,
  keyAttributeValue,
  parseDid,
  publicKeyInAttribute,
  resolverConfig,
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
