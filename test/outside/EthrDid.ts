import { expect } from "chai";
import { Resolver, type DIDDocument, type DIDResolutionResult } from "did-resolver";
import { id, Wallet, type HDNodeWallet, type Signer } from "ethers";
import { DelegateTypes, EthrDID } from "ethr-did";
import { EthrDidController, getResolver } from "ethr-did-resolver";

import { didOf, keyAttributeValue } from "../../client/did.js";
import { createP256Key, type P256Key } from "../../client/keys.js";
import { DAY, ethers, loadFixture, now } from "../support/chain.js";
import { deployFleet, enrollDevice, type Fleet } from "../support/fleet.js";

const HOUR = 3600;
const DELEGATE = ethers.getAddress("0x00000000000000000000000000000000000d3137");

interface Attribute {
  name: string;
  value: string;
}

const SERVICE: Attribute = { name: "did/svc/Telemetry", value: "https://telemetry.example/devices" };
const KEY_AGREEMENT: Attribute = { name: "did/pub/X25519/enc", value: id("a public key") };

/** An identity in the hands of `ethr-did`, and how what its owner wants gets to the chain. */
interface Identity {
  did: EthrDID;
  /** Set if the owner signs, and a relayer sends. */
  signed?: { by: HDNodeWallet; digests: Digests };
}

/** What makes the digests that an owner signs. */
type Digests = Pick<
  EthrDID,
  | "createChangeOwnerHash"
  | "createAddDelegateHash"
  | "createRevokeDelegateHash"
  | "createSetAttributeHash"
  | "createRevokeAttributeHash"
>;

/** A signature as the clients take it. */
interface MetaSignature {
  sigV: number;
  sigR: string;
  sigS: string;
}

function sign(signer: HDNodeWallet, digest: string): MetaSignature {
  const { v, r, s } = signer.signingKey.sign(digest);
  return { sigV: v, sigR: r, sigS: s };
}

/** One kind of write: as the owner sends it, what the owner signs, and as a relayer sends that. */
interface Write {
  send(did: EthrDID): Promise<string>;
  digest(digests: Digests): Promise<string>;
  relay(did: EthrDID, signature: MetaSignature): Promise<string>;
}

function changeOwner(owner: string): Write {
  return {
    send: (did) => did.changeOwner(owner),
    digest: (digests) => digests.createChangeOwnerHash(owner),
    relay: (did, signature) => did.changeOwnerSigned(owner, signature),
  };
}

function addDelegate(delegateType: DelegateTypes): Write {
  const options = { delegateType, expiresIn: HOUR };
  return {
    send: (did) => did.addDelegate(DELEGATE, options),
    digest: (digests) => digests.createAddDelegateHash(delegateType, DELEGATE, HOUR),
    relay: (did, signature) => did.addDelegateSigned(DELEGATE, signature, options),
  };
}

function revokeDelegate(delegateType: DelegateTypes): Write {
  return {
    send: (did) => did.revokeDelegate(DELEGATE, delegateType),
    digest: (digests) => digests.createRevokeDelegateHash(delegateType, DELEGATE),
    relay: (did, signature) => did.revokeDelegateSigned(DELEGATE, delegateType, signature),
  };
}

function setAttribute({ name, value }: Attribute): Write {
  return {
    send: (did) => did.setAttribute(name, value, HOUR),
    digest: (digests) => digests.createSetAttributeHash(name, value, HOUR),
    relay: (did, signature) => did.setAttributeSigned(name, value, HOUR, signature),
  };
}

function revokeAttribute({ name, value }: Attribute): Write {
  return {
    send: (did) => did.revokeAttribute(name, value),
    digest: (digests) => digests.createRevokeAttributeHash(name, value),
    relay: (did, signature) => did.revokeAttributeSigned(name, value, signature),
  };
}

async function perform({ did, signed }: Identity, write: Write): Promise<void> {
  if (signed === undefined) await write.send(did);
  else await write.relay(did, sign(signed.by, await write.digest(signed.digests)));
}

async function ethrDid({ devices, chainId }: Fleet, identifier: string, txSigner: Signer): Promise<EthrDID> {
  return new EthrDID({
    identifier,
    chainNameOrId: chainId,
    registry: await devices.getAddress(),
    provider: ethers.provider,
    txSigner,
  });
}

/** Resolves as of the latest block, whose time counts then, and not the clock's. */
async function resolve({ devices, chainId }: Fleet, identity: string): Promise<DIDResolutionResult> {
  const networks = [{ chainId, registry: await devices.getAddress(), provider: ethers.provider as never }];
  const block = await ethers.provider.getBlockNumber();
  const result = await new Resolver(getResolver({ networks })).resolve(
    `${didOf({ chainId, device: identity })}?versionId=${block}`,
  );
  expect(result.didResolutionMetadata.error).to.equal(undefined);
  return result;
}

async function documentOf(suite: Fleet, identity: string): Promise<DIDDocument> {
  return (await resolve(suite, identity)).didDocument!;
}

/** The accounts that the document names, controller first. */
const accountsIn = ({ verificationMethod = [] }: DIDDocument): (string | undefined)[] =>
  verificationMethod.map(({ blockchainAccountId }) => blockchainAccountId?.split(":")[2]);

const endpointsIn = ({ service = [] }: DIDDocument): unknown[] => service.map(({ serviceEndpoint }) => serviceEndpoint);

const ways = [
  {
    way: "sent by its owner",
    identify: async (suite: Fleet): Promise<Identity> => {
      const { stranger } = suite.actors;
      return { did: await ethrDid(suite, stranger.address, stranger) };
    },
  },
  {
    way: "signed by its owner, and relayed",
    identify: async (suite: Fleet): Promise<Identity> => {
      const by = Wallet.createRandom();
      const did = await ethrDid(suite, by.address, suite.actors.relayer);
      return { did, signed: { by, digests: did } };
    },
  },
];

describe("ethr-did", () => {
  for (const { way, identify } of ways) {
    describe(`on an identity that was never enrolled, ${way}`, () => {
      it("changes its owner", async () => {
        const suite = await loadFixture(deployFleet);
        const identity = await identify(suite);
        const newOwner = suite.actors.subject.address;
        await perform(identity, changeOwner(newOwner));
        expect(await identity.did.lookupOwner(false)).to.equal(newOwner);
        expect(accountsIn(await documentOf(suite, identity.did.address))).to.deep.equal([newOwner]);
      });

      for (const type of [DelegateTypes.veriKey, DelegateTypes.sigAuth]) {
        it(`adds a ${type} delegate, and revokes it`, async () => {
          const suite = await loadFixture(deployFleet);
          const identity = await identify(suite);
          const { address } = identity.did;
          const typeWord = ethers.encodeBytes32String(type);

          await perform(identity, addDelegate(type));
          expect(await suite.devices.validDelegate(address, typeWord, DELEGATE)).to.equal(true);
          const added = await documentOf(suite, address);
          expect(accountsIn(added)).to.deep.equal([address, DELEGATE]);
          expect(added.assertionMethod).to.have.length(2);
          expect(added.authentication).to.have.length(type === DelegateTypes.sigAuth ? 2 : 1);

          await perform(identity, revokeDelegate(type));
          expect(await suite.devices.validDelegate(address, typeWord, DELEGATE)).to.equal(false);
          expect(accountsIn(await documentOf(suite, address))).to.deep.equal([address]);
        });
      }

      it("sets an attribute, and revokes it", async () => {
        const suite = await loadFixture(deployFleet);
        const identity = await identify(suite);
        await perform(identity, setAttribute(SERVICE));
        expect(endpointsIn(await documentOf(suite, identity.did.address))).to.deep.equal([SERVICE.value]);
        await perform(identity, revokeAttribute(SERVICE));
        expect(endpointsIn(await documentOf(suite, identity.did.address))).to.deep.equal([]);
      });

      it("deactivates it for ever", async () => {
        const suite = await loadFixture(deployFleet);
        const identity = await identify(suite);
        await perform(identity, changeOwner(ethers.ZeroAddress));
        expect(await identity.did.lookupOwner(false)).to.equal(ethers.ZeroAddress);
        const { didDocument, didDocumentMetadata } = await resolve(suite, identity.did.address);
        expect(didDocumentMetadata.deactivated).to.equal(true);
        expect(didDocument?.verificationMethod).to.deep.equal([]);
        const write = addDelegate(DelegateTypes.veriKey);
        const { signed } = identity;
        const [error, what] =
          signed === undefined
            ? ["NotController", suite.actors.stranger]
            : ["ControllerSignatureInvalid", await write.digest(signed.digests)];
        await expect(perform(identity, write))
          .to.be.revertedWithCustomError(suite.devices, error)
          .withArgs(identity.did.address, ethers.ZeroAddress, what);
      });
    });
  }
});

/** A fleet whose governor holds its own private key, as `ethr-did` wants to sign with it. */
interface Governed extends Fleet {
  governor: HDNodeWallet;
  /** Belongs to the governor's account. */
  accountOwned: P256Key;
  /** Belongs to a fleet handle that the account governs. */
  handleOwned: P256Key;
  handle: string;
}

async function deployGoverned(): Promise<Governed> {
  const fleet = await deployFleet();
  const { roles, actors } = fleet;
  const governor = Wallet.createRandom(ethers.provider);
  await actors.relayer.sendTransaction({ to: governor, value: 10n ** 18n });
  await roles.connect(governor).createFleet(id("ethr-did"));
  const handle = await roles.fleetIdOf(governor, id("ethr-did"));
  const [accountOwned, handleOwned] = [createP256Key(), createP256Key()];
  await enrollDevice(fleet, { key: accountOwned, owner: governor.address, by: governor });
  await enrollDevice(fleet, { key: handleOwned, owner: handle, by: governor });
  return { ...fleet, governor, accountOwned, handleOwned, handle };
}

const owners = [
  {
    name: "an account",
    of: ({ accountOwned, governor }: Governed) => ({ device: accountOwned, owner: governor.address }),
  },
  {
    name: "a fleet handle",
    of: ({ handleOwned, handle }: Governed) => ({ device: handleOwned, owner: handle }),
  },
];

async function sent(suite: Governed, device: string): Promise<Identity> {
  return { did: await ethrDid(suite, device, suite.governor) };
}

async function relayed(suite: Governed, device: string): Promise<Required<Identity>> {
  const { devices, governor, actors } = suite;
  const registry = await devices.getAddress();
  const did = await ethrDid(suite, device, actors.relayer);
  // The nonce is the controller's; EthrDID, which cannot be told, counts those of attributes by the identity.
  const legacyNonce = false;
  const digests = new EthrDidController(
    device,
    undefined,
    undefined,
    "device",
    // Its types are those of another build of ethers.
    ethers.provider as never,
    undefined,
    registry,
    legacyNonce,
  );
  return { did, signed: { by: governor, digests } };
}

describe("ethr-did on an enrolled device", () => {
  for (const { name: ownerName, of } of owners) {
    for (const { way, identify } of [
      { way: "sent by", identify: sent },
      { way: "signed by", identify: relayed },
    ]) {
      const who = ownerName === "an account" ? "the owner, an account" : "the governor of its fleet handle";
      describe(`${way} ${who}`, () => {
        it("publishes a service, and takes it back", async () => {
          const suite = await loadFixture(deployGoverned);
          const { device } = of(suite);
          const identity = await identify(suite, device.id);
          await perform(identity, setAttribute(SERVICE));
          expect(endpointsIn(await documentOf(suite, device.id))).to.deep.equal([SERVICE.value]);
          await perform(identity, revokeAttribute(SERVICE));
          expect(endpointsIn(await documentOf(suite, device.id))).to.deep.equal([]);
        });

        it("publishes a key for key agreement, and takes it back", async () => {
          const suite = await loadFixture(deployGoverned);
          const { device } = of(suite);
          const identity = await identify(suite, device.id);
          await perform(identity, setAttribute(KEY_AGREEMENT));
          const { verificationMethod, keyAgreement, authentication } = await documentOf(suite, device.id);
          const method = verificationMethod?.[2];
          expect(method).to.deep.include({
            type: "X25519KeyAgreementKey2019",
            publicKeyHex: KEY_AGREEMENT.value.slice(2),
          });
          expect(keyAgreement).to.deep.equal([method?.id]);
          expect(authentication).not.to.include(method?.id);
          await perform(identity, revokeAttribute(KEY_AGREEMENT));
          expect((await documentOf(suite, device.id)).verificationMethod).to.have.length(2);
        });

        it("adds a delegate that makes statements, and revokes it", async () => {
          const suite = await loadFixture(deployGoverned);
          const { device, owner } = of(suite);
          const identity = await identify(suite, device.id);
          const { veriKey } = DelegateTypes;
          await perform(identity, addDelegate(veriKey));
          const added = await documentOf(suite, device.id);
          expect(accountsIn(added)).to.have.members([owner, undefined, DELEGATE]);
          expect([added.assertionMethod?.length, added.authentication?.length]).to.deep.equal([3, 2]);
          await perform(identity, revokeDelegate(veriKey));
          expect(accountsIn(await documentOf(suite, device.id))).to.deep.equal([owner, undefined]);
        });

        it("cannot change the owner", async () => {
          const suite = await loadFixture(deployGoverned);
          const { device, owner } = of(suite);
          const identity = await identify(suite, device.id);
          for (const newOwner of [suite.actors.subject.address, ethers.ZeroAddress]) {
            await expect(perform(identity, changeOwner(newOwner)))
              .to.be.revertedWithCustomError(suite.devices, "TransferNeedsConsent")
              .withArgs(device.id);
          }
          expect(await identity.did.lookupOwner(false)).to.equal(owner);
        });

        it("cannot say which key logs in for the device", async () => {
          const suite = await loadFixture(deployGoverned);
          const { device } = of(suite);
          const identity = await identify(suite, device.id);
          const before = await documentOf(suite, device.id);
          const name = "did/pub/Multikey/sigAuth";
          const attribute = { name, value: keyAttributeValue(device.publicKey) };
          const refused: [Write, string][] = [
            [addDelegate(DelegateTypes.sigAuth), DelegateTypes.sigAuth],
            [revokeDelegate(DelegateTypes.sigAuth), DelegateTypes.sigAuth],
            [setAttribute({ name, value: keyAttributeValue(createP256Key().publicKey) }), name],
            [revokeAttribute(attribute), name],
          ];
          for (const [write, type] of refused) {
            await expect(perform(identity, write))
              .to.be.revertedWithCustomError(suite.devices, "KeyReserved")
              .withArgs(device.id, ethers.encodeBytes32String(type));
          }
          expect(await documentOf(suite, device.id)).to.deep.equal(before);
        });
      });
    }
  }

  it("is refused to a stranger, who sends or signs", async () => {
    const suite = await loadFixture(deployGoverned);
    const { devices, handle, handleOwned, actors } = suite;
    const identity = await relayed(suite, handleOwned.id);
    const write = setAttribute(SERVICE);
    await expect(write.send(await ethrDid(suite, handleOwned.id, actors.stranger)))
      .to.be.revertedWithCustomError(devices, "NotController")
      .withArgs(handleOwned.id, handle, actors.stranger);
    const digest = await write.digest(identity.signed.digests);
    await expect(write.relay(identity.did, sign(Wallet.createRandom(), digest)))
      .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
      .withArgs(handleOwned.id, handle, digest);
  });

  it("counts a signed message once", async () => {
    const suite = await loadFixture(deployGoverned);
    const { devices, handle, handleOwned, governor } = suite;
    const { did, signed } = await relayed(suite, handleOwned.id);
    const write = setAttribute(SERVICE);
    const signature = sign(governor, await write.digest(signed.digests));
    await write.relay(did, signature);
    await expect(write.relay(did, signature))
      .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
      .withArgs(handleOwned.id, handle, await write.digest(signed.digests));
  });

  it("makes no digests of attributes that count, if EthrDID itself makes them", async () => {
    const suite = await loadFixture(deployGoverned);
    const { devices, handle, handleOwned, governor } = suite;
    const { did, signed } = await relayed(suite, handleOwned.id);
    const identity = { did, signed: { by: governor, digests: did } };
    for (const write of [setAttribute(SERVICE), revokeAttribute(SERVICE)]) {
      await expect(perform(identity, write))
        .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
        .withArgs(handleOwned.id, handle, await write.digest(signed.digests));
    }
    // Delegates count by the owner in all versions.
    await perform(identity, addDelegate(DelegateTypes.veriKey));
    expect(accountsIn(await documentOf(suite, handleOwned.id))).to.include(DELEGATE);
  });

  it("publishes nothing that survives the end of the epoch", async () => {
    const suite = await loadFixture(deployGoverned);
    const { devices, handleOwned, governor } = suite;
    const identity = await sent(suite, handleOwned.id);
    const before = await documentOf(suite, handleOwned.id);
    for (const write of [setAttribute(SERVICE), setAttribute(KEY_AGREEMENT), addDelegate(DelegateTypes.veriKey)]) {
      await perform(identity, write);
    }
    const veriKey = ethers.encodeBytes32String(DelegateTypes.veriKey);
    expect(await devices.validDelegate(handleOwned.id, veriKey, DELEGATE)).to.equal(true);
    await devices.connect(governor).revokeAll(handleOwned.id, handleOwned.publicKey);
    expect(await documentOf(suite, handleOwned.id)).to.deep.equal(before);
    expect(await devices.validDelegate(handleOwned.id, veriKey, DELEGATE)).to.equal(false);
  });

  it("leaves nothing to a former owner: not what was published, nor what was signed", async () => {
    const suite = await loadFixture(deployGoverned);
    const { devices, accountOwned, governor, actors } = suite;
    const { did, signed } = await relayed(suite, accountOwned.id);
    await perform({ did, signed }, setAttribute(SERVICE));
    await perform({ did, signed }, addDelegate(DelegateTypes.veriKey));
    const write = setAttribute({ ...SERVICE, value: "https://former.example" });
    const signature = sign(governor, await write.digest(signed.digests));

    const { subject } = actors;
    await devices.connect(governor).proposeTransfer(accountOwned.id, subject, (await now()) + DAY);
    await devices.connect(subject).acceptTransfer(accountOwned.id, accountOwned.publicKey);

    const document = await documentOf(suite, accountOwned.id);
    expect(accountsIn(document)).to.deep.equal([subject.address, undefined]);
    expect(endpointsIn(document)).to.deep.equal([]);
    await expect(write.relay(did, signature))
      .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
      .withArgs(accountOwned.id, subject, await write.digest(signed.digests));
    await expect(write.send(await ethrDid(suite, accountOwned.id, governor)))
      .to.be.revertedWithCustomError(devices, "NotController")
      .withArgs(accountOwned.id, subject, governor);
    await perform({ did: await ethrDid(suite, accountOwned.id, subject) }, setAttribute(SERVICE));
    expect(endpointsIn(await documentOf(suite, accountOwned.id))).to.deep.equal([SERVICE.value]);
  });
});
