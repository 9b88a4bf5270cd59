import { expect } from "chai";
import type { DIDDocument } from "did-resolver";
import { concat, encodeBytes32String, hexlify, id, toBeHex, toUtf8Bytes, Wallet, ZeroAddress } from "ethers";

import { accountKey, createP256Key } from "../client/keys.js";
import { messageDigest } from "../client/typed-data.js";

import { DAY, ethers, loadFixture, networkHelpers } from "./support/chain.js";
import { resolveDid } from "./support/did-resolver.js";
import {
  argsOf,
  claimOf,
  deployFactory,
  publish,
  type Claim,
  type Factory,
  type FactoryManifest,
} from "./support/manifests.js";

const Status = { None: 0n, Active: 1n, Suspended: 2n, Retired: 3n };
const YEAR = 365n * DAY;
const KEY_DELEGATE = encodeBytes32String("sigAuth");
const ASSERTION = encodeBytes32String("veriKey");
const SERVICE = encodeBytes32String("did/svc/Hub");
const ENDPOINT = hexlify(toUtf8Bytes("https://example.org/hub"));
const AGREEMENT_KEY = encodeBytes32String("did/pub/X25519/enc");
const OWN_KEY = encodeBytes32String("did/pub/Multikey/sigAuth");

/** An account that has used ERC-1056 before it is enrolled as a device, which `workshop` is; a manifest lists it. */
interface Legacy extends Factory {
  identity: Factory["workshop"];
  manifest: FactoryManifest;
}

async function deployLegacy(): Promise<Legacy> {
  const suite = await deployFactory();
  const identity = suite.workshop;
  const manifest = await publish(suite, {
    listings: [{ key: await accountKey(identity), serialHash: id("salt and serial") }],
  });
  return { ...suite, identity, manifest };
}

/** Both ways to enrol a device. */
const ways = [
  { name: "enroll", isListed: false },
  { name: "enrollFromManifest", isListed: true },
] as const;
type Way = (typeof ways)[number];

/** The identity's enrolment for an owner, who signs. */
async function consentedClaimOf(suite: Legacy, way: Way, owner: string, by: Factory["workshop"]): Promise<Claim> {
  const claim = await claimOf(suite, suite.manifest, {
    owner,
    changes: way.isListed ? {} : { manifest: 0n },
  });
  const { signature } = await (await accountKey(by)).prove(claim.message);
  return { ...claim, ownerSignature: signature };
}

function encode({ devices }: Legacy, { isListed }: Way, claim: Claim): string {
  const [enrollment, byDevice, ownerSignature, manifestProof] = argsOf(claim);
  return isListed
    ? devices.interface.encodeFunctionData("enrollFromManifest", [enrollment, byDevice, ownerSignature, manifestProof])
    : devices.interface.encodeFunctionData("enroll", [enrollment, byDevice, ownerSignature]);
}

/** Sends the enrolment as a relayer. */
async function enroll(suite: Legacy, way: Way, claim: Claim, by = suite.actors.relayer) {
  return by.sendTransaction({ to: await suite.devices.getAddress(), data: encode(suite, way, claim) });
}

async function expectRefused(suite: Legacy, call: Promise<unknown>, error: string, args: unknown[], name?: string) {
  await expect(call, name)
    .to.be.revertedWithCustomError(suite.devices, error)
    .withArgs(...args);
}

/** What the unmodified npm `ethr-did-resolver` makes of the identity. */
async function resolve(suite: Legacy, device: string): Promise<DIDDocument> {
  const { didDocument, didResolutionMetadata } = await resolveDid(suite, device);
  expect(didResolutionMetadata.error).to.equal(undefined);
  return didDocument!;
}

/** The accounts of a document, each key that is no account as "key", and its services. */
function contentsOf(document: DIDDocument) {
  return {
    methods: (document.verificationMethod ?? []).map(({ blockchainAccountId }) => blockchainAccountId ?? "key"),
    services: (document.service ?? []).map(({ serviceEndpoint }) => serviceEndpoint),
  };
}

/** Every write of ERC-1056 that an identity can make of itself, and keep itself. */
const writes: { name: string; encode: (suite: Legacy) => string }[] = [
  {
    name: "named its owner",
    encode: ({ devices, identity, customer }) =>
      devices.interface.encodeFunctionData("changeOwner", [identity.address, customer.address]),
  },
  {
    name: "added a delegate",
    encode: ({ devices, identity, thief }) =>
      devices.interface.encodeFunctionData("addDelegate", [identity.address, KEY_DELEGATE, thief.address, YEAR]),
  },
  {
    name: "revoked a delegate",
    encode: ({ devices, identity, thief }) =>
      devices.interface.encodeFunctionData("revokeDelegate", [identity.address, KEY_DELEGATE, thief.address]),
  },
  {
    name: "set an attribute",
    encode: ({ devices, identity }) =>
      devices.interface.encodeFunctionData("setAttribute", [identity.address, SERVICE, ENDPOINT, YEAR]),
  },
  {
    name: "revoked an attribute",
    encode: ({ devices, identity }) =>
      devices.interface.encodeFunctionData("revokeAttribute", [identity.address, SERVICE, ENDPOINT]),
  },
];

describe("DeviceRegistry: identities that used ERC-1056 before", () => {
  for (const way of ways) {
    describe(way.name, () => {
      it("enrols an identity that has an owner to that owner only", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer, thief } = suite;
        await devices.connect(identity).changeOwner(identity, customer);
        expect(await devices.identityOwner(identity)).to.equal(customer.address);
        expect(await devices.ownerOf(identity)).to.equal(ZeroAddress);
        expect(await devices.statusOf(identity)).to.equal(Status.None);

        for (const other of [thief, identity]) {
          const claim = await consentedClaimOf(suite, way, other.address, other);
          const refusal = [identity.address, customer.address];
          await expectRefused(suite, enroll(suite, way, claim), "OwnedByAnother", refusal);
          await expectRefused(suite, enroll(suite, way, claim, other), "OwnedByAnother", refusal);
        }
        expect(await devices.statusOf(identity)).to.equal(Status.None);

        const claim = await consentedClaimOf(suite, way, customer.address, customer);
        await expect(enroll(suite, way, claim))
          .to.emit(devices, "DeviceEnrolled")
          .withArgs(
            identity.address,
            customer.address,
            claim.enrollment.manifest,
            claim.key.scheme,
            claim.enrollment.metadataHash,
            suite.actors.relayer.address,
          );
        expect(await devices.ownerOf(identity)).to.equal(customer.address);
        expect(await devices.isActive(identity)).to.equal(true);
      });

      it("enrols to the identity's latest owner, whom the one before made its owner", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer, thief } = suite;
        await devices.connect(identity).changeOwner(identity, thief);
        await devices.connect(thief).changeOwner(identity, customer);
        const byFormer = await consentedClaimOf(suite, way, thief.address, thief);
        const refusal = [identity.address, customer.address];
        await expectRefused(suite, enroll(suite, way, byFormer), "OwnedByAnother", refusal);
        await enroll(suite, way, await consentedClaimOf(suite, way, customer.address, customer));
        expect(await devices.ownerOf(identity)).to.equal(customer.address);
      });

      it("enrols an identity that is its own owner to itself only", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer } = suite;
        await devices.connect(identity).changeOwner(identity, identity);
        const toOther = await consentedClaimOf(suite, way, customer.address, customer);
        const refusal = [identity.address, identity.address];
        await expectRefused(suite, enroll(suite, way, toOther), "OwnedByAnother", refusal);
        await enroll(suite, way, await consentedClaimOf(suite, way, identity.address, identity));
        expect(await devices.ownerOf(identity)).to.equal(identity.address);
      });

      it("enrols an identity that a fleet handle owns to that fleet only", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer, fleet, actors } = suite;
        await devices.connect(identity).changeOwner(identity, fleet);
        // Who governs the owner is not the owner.
        for (const other of [customer, actors.owner]) {
          const claim = await consentedClaimOf(suite, way, other.address, other);
          await expectRefused(suite, enroll(suite, way, claim), "OwnedByAnother", [identity.address, fleet]);
        }
        await enroll(suite, way, await consentedClaimOf(suite, way, fleet, actors.owner));
        expect(await devices.ownerOf(identity)).to.equal(fleet);
      });

      it("still needs the owner's consent and the device's proof", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer, thief, actors } = suite;
        await devices.connect(identity).changeOwner(identity, customer);
        const claim = await consentedClaimOf(suite, way, customer.address, customer);
        const digest = messageDigest(claim.message);

        const byThief = await (await accountKey(thief)).prove(claim.message);
        const unsigned = enroll(suite, way, { ...claim, ownerSignature: "0x" });
        const refusal = [customer.address, actors.relayer.address, 1n << 8n];
        await expectRefused(suite, unsigned, "CallerLacksPermission", refusal);
        const forged = enroll(suite, way, { ...claim, ownerSignature: byThief.signature });
        await expectRefused(suite, forged, "SignatureInvalid", [customer.address, digest]);
        // What the legacy owner can do to the identity does not make its key sign.
        const unproved = enroll(suite, way, { ...claim, byDevice: byThief }, customer);
        await expectRefused(suite, unproved, "KeyProofInvalid", [identity.address, digest]);
      });

      for (const { name, encode: encodeWrite } of writes) {
        it(`refuses an identity that ${name} in this block, and takes it in the next`, async () => {
          const suite = await loadFixture(deployLegacy);
          const { devices, identity, customer, actors } = suite;
          const claim = await consentedClaimOf(suite, way, customer.address, customer);
          const calls = [encodeWrite(suite), encode(suite, way, claim)];
          const next = BigInt(await networkHelpers.time.latestBlock()) + 1n;
          const inOne = devices.connect(identity).multicall(calls);
          await expectRefused(suite, inOne, "DeviceChangedInBlock", [identity.address, next]);

          // The same as two transactions of two senders.
          const to = await devices.getAddress();
          await ethers.provider.send("evm_setAutomine", [false]);
          const gasLimit = 1_000_000n;
          await identity.sendTransaction({ to, data: calls[0]!, gasLimit });
          const early = await actors.relayer.sendTransaction({ to, data: calls[1]!, gasLimit });
          await networkHelpers.mine();
          await ethers.provider.send("evm_setAutomine", [true]);
          const receipt = (await ethers.provider.getTransactionReceipt(early.hash))!;
          expect(await devices.changed(identity)).to.equal(receipt.blockNumber);
          expect(receipt.status).to.equal(0);
          expect(await devices.statusOf(identity)).to.equal(Status.None);

          await actors.relayer.sendTransaction({ to, data: calls[1]! });
          expect(await devices.isActive(identity)).to.equal(true);
        });
      }

      it("skips in a batch an identity that changed in this block", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer } = suite;
        const claim = await consentedClaimOf(suite, way, customer.address, customer);
        const data = encode(suite, way, claim);
        const next = BigInt(await networkHelpers.time.latestBlock()) + 1n;
        await expect(devices.connect(identity).tryMulticall([writes[3]!.encode(suite), data]))
          .to.emit(devices, "CallSkipped")
          .withArgs(
            1n,
            data.slice(0, 10),
            devices.interface.encodeErrorResult("DeviceChangedInBlock", [identity.address, next]),
          );
        expect(await devices.statusOf(identity)).to.equal(Status.None);
      });

      it("never enrols an identity that was deactivated, by itself or by its owner", async () => {
        for (const byOwner of [false, true]) {
          const suite = await loadFixture(deployLegacy);
          const { devices, identity, customer, thief } = suite;
          if (byOwner) await devices.connect(identity).changeOwner(identity, customer);
          await devices.connect(byOwner ? customer : identity).changeOwner(identity, ZeroAddress);
          expect(await devices.identityOwner(identity)).to.equal(ZeroAddress);

          for (const owner of [customer, thief, identity]) {
            const claim = await consentedClaimOf(suite, way, owner.address, owner);
            const refusal = [identity.address, Status.Retired];
            await expectRefused(suite, enroll(suite, way, claim), "DeviceStatusInvalid", refusal);
          }
          const toNobody = await claimOf(suite, suite.manifest, {
            owner: ZeroAddress,
            changes: way.isListed ? {} : { manifest: 0n },
          });
          const refusal = [identity.address, Status.Retired];
          await expectRefused(suite, enroll(suite, way, toNobody, identity), "DeviceStatusInvalid", refusal);
          expect(await devices.statusOf(identity)).to.equal(Status.Retired);
          expect(await devices.isActive(identity)).to.equal(false);
        }
      });

      it("leaves nothing in the document of what the identity published before", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer, thief, chainId } = suite;
        const account = (address: string): string => `eip155:${chainId}:${address}`;
        const byIdentity = devices.connect(identity);
        await byIdentity.addDelegate(identity, KEY_DELEGATE, thief, YEAR);
        await byIdentity.addDelegate(identity, ASSERTION, suite.actors.stranger, YEAR);
        await byIdentity.setAttribute(identity, SERVICE, ENDPOINT, YEAR);
        await byIdentity.setAttribute(identity, AGREEMENT_KEY, toBeHex(7n, 32), YEAR);
        await byIdentity.setAttribute(identity, OWN_KEY, concat(["0x802402", toBeHex(9n, 32)]), YEAR);
        const before = contentsOf(await resolve(suite, identity.address));
        expect(before.methods).to.deep.equal([
          ...[identity.address, thief.address, suite.actors.stranger.address].map(account),
          "key",
          "key",
        ]);
        expect(before.services).to.deep.equal(["https://example.org/hub"]);
        expect(await devices.validDelegate(identity, KEY_DELEGATE, thief)).to.equal(true);
        expect(await devices.validDelegate(identity, ASSERTION, suite.actors.stranger)).to.equal(true);

        await enroll(suite, way, await consentedClaimOf(suite, way, customer.address, customer));

        const document = await resolve(suite, identity.address);
        expect(contentsOf(document)).to.deep.equal({
          methods: [customer.address, identity.address].map(account),
          services: [],
        });
        expect(document.keyAgreement ?? []).to.deep.equal([]);
        const ids = document.verificationMethod!.map((method) => method.id);
        expect(document.authentication).to.deep.equal(ids);
        expect(document.assertionMethod).to.deep.equal(ids);
        expect(await devices.validDelegate(identity, KEY_DELEGATE, thief)).to.equal(false);
        expect(await devices.validDelegate(identity, ASSERTION, suite.actors.stranger)).to.equal(false);
        expect(await devices.validDelegate(identity, KEY_DELEGATE, identity)).to.equal(true);
      });

      it("leaves nothing in the document of what a legacy owner published, who becomes the device's", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity, customer, thief, chainId } = suite;
        await devices.connect(identity).addDelegate(identity, KEY_DELEGATE, thief, YEAR);
        await devices.connect(identity).changeOwner(identity, customer);
        await devices.connect(customer).setAttribute(identity, SERVICE, ENDPOINT, YEAR);
        expect(contentsOf(await resolve(suite, identity.address)).services).to.have.length(1);

        await enroll(suite, way, await consentedClaimOf(suite, way, customer.address, customer));

        expect(contentsOf(await resolve(suite, identity.address))).to.deep.equal({
          methods: [customer.address, identity.address].map((address) => `eip155:${chainId}:${address}`),
          services: [],
        });
      });

      it("ends the power of the key over its own document, sent or signed before", async () => {
        const suite = await loadFixture(deployLegacy);
        const { devices, identity: sender, customer, actors } = suite;
        const key = Wallet.createRandom();
        const manifest = await publish(suite, { listings: [{ key: await accountKey(key), serialHash: id("serial") }] });
        const legacy = { ...suite, manifest };
        const nonce = await devices.nonce(key.address);
        const action = concat([toUtf8Bytes("setAttribute"), SERVICE, ENDPOINT, toBeHex(YEAR, 32)]);
        const digest = ethers.keccak256(
          concat(["0x1900", await devices.getAddress(), toBeHex(nonce, 32), key.address, action]),
        );
        const { v, r, s } = key.signingKey.sign(digest);
        const send = devices.connect(actors.relayer).setAttributeSigned;
        const args = [key.address, v, r, s, SERVICE, ENDPOINT, YEAR] as const;
        await send.staticCall(...args);

        await enroll(legacy, way, await consentedClaimOf(legacy, way, customer.address, customer));

        const ownersNonce = await devices.nonce(customer.address);
        const asked = ethers.keccak256(
          concat(["0x1900", await devices.getAddress(), toBeHex(ownersNonce, 32), key.address, action]),
        );
        const refusal = [key.address, customer.address, asked];
        await expectRefused(legacy, send(...args), "ControllerSignatureInvalid", refusal);
        const sent = devices.connect(sender).setAttribute(key.address, SERVICE, ENDPOINT, YEAR);
        await expectRefused(legacy, sent, "NotController", [key.address, customer.address, sender.address]);
      });
    });
  }

  it("cannot be owned by whoever is not their key: nobody can hinder an enrolment", async () => {
    const suite = await loadFixture(deployLegacy);
    const { devices, identity, customer, thief } = suite;
    for (const device of [identity.address, createP256Key().id]) {
      const taking = devices.connect(thief).changeOwner(device, thief);
      await expectRefused(suite, taking, "NotController", [device, device, thief.address]);
    }
    const way = ways[0];
    await enroll(suite, way, await consentedClaimOf(suite, way, customer.address, customer));
    expect(await devices.ownerOf(identity)).to.equal(customer.address);
  });
});
