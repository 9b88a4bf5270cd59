import { expect } from "chai";
import { Resolver, type DIDResolutionResult } from "did-resolver";
import { getResolver } from "ethr-did-resolver";

import { compressPublicKey, type Key } from "../client/keys.js";

import { ethers, loadFixture } from "./support/chain.js";
import { deployFleet, type Fleet } from "./support/fleet.js";

/** Resolves a device's DID with the unmodified npm `ethr-did-resolver`, which reads nothing but our events. */
async function resolve({ devices, chainId }: Fleet, device: string): Promise<DIDResolutionResult> {
  const resolver = new Resolver(
    getResolver({
      networks: [
        // The resolver brings an ethers of its own, whose types are others than ours.
        { chainId, registry: await devices.getAddress(), provider: ethers.provider as never },
      ],
    }),
  );
  return resolver.resolve(didOf(chainId, device));
}

const didOf = (chainId: bigint, device: string): string => `did:ethr:0x${chainId.toString(16)}:${device}`;

/** The document of a device: the owner as controller and, while the device is active, its key. */
function documentOf({ chainId, fleet }: Fleet, key: Key, options: { keyNumber?: number }) {
  const did = didOf(chainId, key.id);
  const controller = {
    id: `${did}#controller`,
    type: "EcdsaSecp256k1RecoveryMethod2020",
    controller: did,
    blockchainAccountId: `eip155:${chainId}:${fleet}`,
  };
  const isAccount = key.publicKey === "0x";
  const { keyNumber } = options;
  const keys =
    keyNumber === undefined
      ? []
      : [
          {
            id: `${did}#delegate-${keyNumber}`,
            controller: did,
            ...(isAccount
              ? { type: "EcdsaSecp256k1RecoveryMethod2020", blockchainAccountId: `eip155:${chainId}:${key.id}` }
              : { type: "Multikey", publicKeyHex: `8024${compressPublicKey(key.publicKey).slice(2)}` }),
          },
        ];
  const ids = [controller, ...keys].map(({ id }) => id);
  return {
    "@context": undefined,
    id: did,
    verificationMethod: [controller, ...keys],
    authentication: ids,
    assertionMethod: ids,
  };
}

describe("DID documents in the unmodified ethr-did-resolver", () => {
  const kinds = [
    { name: "a P-256 device", keyOf: ({ p256Device }: Fleet): Key => p256Device },
    { name: "an account device", keyOf: ({ accountDevice }: Fleet): Key => accountDevice },
  ];
  for (const { name, keyOf } of kinds) {
    it(`of ${name} show its owner and, while it is active, its key`, async () => {
      const suite = await loadFixture(deployFleet);
      const { devices, actors } = suite;
      const key = keyOf(suite);
      const byOwner = devices.connect(actors.owner);
      const document = async (): Promise<unknown> => {
        const { didDocument, didResolutionMetadata } = await resolve(suite, key.id);
        expect(didResolutionMetadata.error).to.equal(undefined);
        return didDocument && { ...didDocument, "@context": undefined };
      };

      expect(await document(), "active").to.deep.equal(documentOf(suite, key, { keyNumber: 1 }));
      await byOwner.suspend(key.id, key.publicKey);
      expect(await document(), "suspended").to.deep.equal(documentOf(suite, key, {}));
      await byOwner.resume(key.id, key.publicKey);
      expect(await document(), "resumed").to.deep.equal(documentOf(suite, key, { keyNumber: 3 }));
      await byOwner.revokeAll(key.id, key.publicKey);
      expect(await document(), "all revoked").to.deep.equal(documentOf(suite, key, { keyNumber: 1 }));
      await byOwner.suspend(key.id, key.publicKey);
      await byOwner.revokeAll(key.id, "0x");
      expect(await document(), "all revoked while suspended").to.deep.equal(documentOf(suite, key, {}));
    });

    it(`of ${name} are deactivated when it is retired`, async () => {
      const suite = await loadFixture(deployFleet);
      const key = keyOf(suite);
      await suite.devices.connect(suite.actors.owner).retire(key.id);
      const { didDocument, didDocumentMetadata } = await resolve(suite, key.id);
      expect(didDocumentMetadata.deactivated).to.equal(true);
      expect(didDocument?.verificationMethod).to.deep.equal([]);
      expect(didDocument?.authentication).to.deep.equal([]);
    });

    it(`of ${name} are right when it is suspended, resumed and suspended in one block`, async () => {
      const suite = await loadFixture(deployFleet);
      const { devices, actors } = suite;
      const key = keyOf(suite);
      const args: [string, string] = [key.id, key.publicKey];
      const suspend = devices.interface.encodeFunctionData("suspend", args);
      const resume = devices.interface.encodeFunctionData("resume", args);
      await devices.connect(actors.owner).multicall([suspend, resume, suspend]);
      const { didDocument } = await resolve(suite, key.id);
      expect(didDocument?.verificationMethod).to.have.length(1);
      await devices.connect(actors.owner).resume(key.id, key.publicKey);
      const resumed = await resolve(suite, key.id);
      expect(resumed.didDocument?.verificationMethod).to.have.length(2);
    });
  }

  it("of an id that was never enrolled show the id itself as controller", async () => {
    const suite = await loadFixture(deployFleet);
    const { address } = suite.actors.stranger;
    const { didDocument } = await resolve(suite, address);
    expect(didDocument?.verificationMethod?.map((method) => method.blockchainAccountId)).to.deep.equal([
      `eip155:${suite.chainId}:${address}`,
    ]);
  });
});
