import { createPrivateKey } from "node:crypto";

import { expect } from "chai";
import { createJWT, ES256KSigner, ES256Signer, verifyJWT, type JWTVerified, type Signer } from "did-jwt";
import { Resolver } from "did-resolver";
import { getBytes, Wallet } from "ethers";
import { getResolver } from "ethr-did-resolver";

import { didOf, keyAttributeValue, resolverConfig, withMultikeys } from "../../client/did.js";
import { accountKey, createP256Key, Scheme, type Key, type P256Key } from "../../client/keys.js";
import { keyRotationMessage } from "../../client/typed-data.js";
import { DAY, ethers, loadFixture, now } from "../support/chain.js";
import { enrollDevice } from "../support/fleet.js";
import { deploySuite, type Suite } from "../support/suite.js";

/** A device with the parts of `did-jwt` that sign for it. */
interface Device {
  key: Key;
  did: string;
  algorithm: "ES256" | "ES256K" | "ES256K-R";
  sign: Signer;
}

interface Tokens extends Suite {
  /** Signs as a secure element does: P-256, SHA-256 over what is signed. */
  p256: Device;
  hashingP256: Device;
  account: Device;
  recoverableAccount: Device;
}

function p256Signer(key: P256Key): Signer {
  const { d } = createPrivateKey(key.exportPem()).export({ format: "jwk" });
  return ES256Signer(Buffer.from(d!, "base64url"));
}

/** A new key for the device, and the parts of `did-jwt` that sign with it. */
async function rotated(suite: Tokens, { key, did }: Device, newKind: "P-256" | "account"): Promise<Device> {
  const wallet = Wallet.createRandom();
  const newP256Key = createP256Key();
  const newKey = newKind === "P-256" ? newP256Key : await accountKey(wallet);
  const rotation = {
    device: key.id,
    oldKey: key.id,
    newKey: newKey.id,
    newScheme: newKey.scheme,
    epoch: await suite.devices.epochOf(key.id),
    deadline: (await now()) + DAY,
  };
  const proof = await newKey.prove(keyRotationMessage(suite.devicesDomain, rotation));
  const byOldKey = { publicKey: key.publicKey, signature: "0x" };
  await suite.devices.connect(suite.actors.security).rotateKey(rotation, proof, byOldKey);
  return newKind === "P-256"
    ? { key: newKey, did, algorithm: "ES256", sign: p256Signer(newP256Key) }
    : { key: newKey, did, algorithm: "ES256K", sign: ES256KSigner(getBytes(wallet.privateKey)) };
}

/** The fleet with devices that sign tokens. */
async function deployTokens(): Promise<Tokens> {
  const suite = await deploySuite();
  const { fleet, actors, p256Device, chainId } = suite;
  const hashing = createP256Key({ scheme: Scheme.P256Sha256 });
  const wallet = Wallet.createRandom();
  const secret = getBytes(wallet.privateKey);
  const account = await accountKey(wallet);
  for (const key of [hashing, account]) await enrollDevice(suite, { key, owner: fleet, by: actors.owner });
  const device = (key: Key, algorithm: Device["algorithm"], sign: Signer): Device => {
    return { key, did: didOf({ chainId, device: key.id }), algorithm, sign };
  };
  return {
    ...suite,
    p256: device(p256Device, "ES256", p256Signer(p256Device)),
    hashingP256: device(hashing, "ES256", p256Signer(hashing)),
    account: device(account, "ES256K", ES256KSigner(secret)),
    recoverableAccount: device(account, "ES256K-R", ES256KSigner(secret, true)),
  };
}

const kinds = [
  { name: "a P-256 device (ES256)", kind: "p256" },
  { name: "a P-256 device that always hashes (ES256)", kind: "hashingP256" },
  { name: "an account device (ES256K)", kind: "account" },
  { name: "an account device (ES256K-R)", kind: "recoverableAccount" },
] as const;

/** A token that says it is from the device, signed by it unless told. */
async function tokenOf({ did, algorithm, sign }: Device, by = sign): Promise<string> {
  return createJWT({ celsius: 21.5 }, { issuer: did, signer: by }, { alg: algorithm });
}

function resolverOf({ as }: Tokens): Resolver {
  return new Resolver(withMultikeys(getResolver(resolverConfig({ touchstone: as.stranger }))));
}

async function verify(suite: Tokens, token: string): Promise<JWTVerified> {
  return verifyJWT(token, { resolver: resolverOf(suite) });
}

/** What `did-jwt` says of a token that it refuses. */
async function refusalOf(verification: Promise<JWTVerified>): Promise<string> {
  try {
    await verification;
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail("The token was accepted.");
}

/** No key in the document could have signed, or none of those that could did. */
const REFUSED = /^(no_suitable_keys|invalid_signature): /;

describe("tokens of devices in the unmodified did-jwt", () => {
  for (const { name, kind } of kinds) {
    describe(`of ${name}`, () => {
      it("are accepted, as signed by the key that the registry names", async () => {
        const suite = await loadFixture(deployTokens);
        const { did, key } = suite[kind];
        const { verified, issuer, payload, signer } = await verify(suite, await tokenOf(suite[kind]));
        expect({ verified, issuer }).to.deep.equal({ verified: true, issuer: did });
        expect(payload.celsius).to.equal(21.5);
        expect(signer.id).to.equal(`${did}#delegate-1`);
        if (key.scheme === Scheme.Account) expect(signer.blockchainAccountId).to.equal(`eip155:31337:${key.id}`);
        else expect(signer.publicKeyMultibase).to.match(/^zDn/);
      });

      it("are accepted for logging in and for making statements", async () => {
        const suite = await loadFixture(deployTokens);
        const token = await tokenOf(suite[kind]);
        for (const proofPurpose of ["authentication", "assertionMethod"] as const) {
          const { verified } = await verifyJWT(token, { resolver: resolverOf(suite), proofPurpose });
          expect(verified, proofPurpose).to.equal(true);
        }
      });

      it("are refused while the device is suspended, and accepted when it is resumed", async () => {
        const suite = await loadFixture(deployTokens);
        const { key } = suite[kind];
        const byOwner = suite.devices.connect(suite.actors.owner);
        const token = await tokenOf(suite[kind]);
        await byOwner.suspend(key.id, key.publicKey);
        expect(await refusalOf(verify(suite, token))).to.match(REFUSED);
        await byOwner.resume(key.id, key.publicKey);
        expect((await verify(suite, token)).verified).to.equal(true);
      });

      it("are accepted after all grants were revoked", async () => {
        const suite = await loadFixture(deployTokens);
        const { key } = suite[kind];
        const token = await tokenOf(suite[kind]);
        await suite.devices.connect(suite.actors.owner).revokeAll(key.id, key.publicKey);
        expect((await verify(suite, token)).verified).to.equal(true);
      });

      it("are refused when the device is retired", async () => {
        const suite = await loadFixture(deployTokens);
        const token = await tokenOf(suite[kind]);
        await suite.devices.connect(suite.actors.owner).retire(suite[kind].key.id);
        expect(await refusalOf(verify(suite, token))).to.match(/^no_suitable_keys: /);
      });

      for (const newKind of ["P-256", "account"] as const) {
        it(`are accepted from its new ${newKind} key after a rotation, and refused from the old one`, async () => {
          const suite = await loadFixture(deployTokens);
          const before = await tokenOf(suite[kind]);
          const device = await rotated(suite, suite[kind], newKind);
          expect((await verify(suite, await tokenOf(device))).verified).to.equal(true);
          // Whatever the old key signed, before or after: a document has no past.
          for (const token of [before, await tokenOf(suite[kind])]) {
            expect(await refusalOf(verify(suite, token))).to.match(REFUSED);
          }
        });
      }

      it("are refused if another key signed", async () => {
        const suite = await loadFixture(deployTokens);
        const isP256 = suite[kind].algorithm === "ES256";
        const stranger = isP256
          ? p256Signer(createP256Key())
          : ES256KSigner(getBytes(Wallet.createRandom().privateKey), kind === "recoverableAccount");
        const otherDevice = isP256 ? suite[kind === "p256" ? "hashingP256" : "p256"].sign : stranger;
        for (const sign of [stranger, otherDevice]) {
          expect(await refusalOf(verify(suite, await tokenOf(suite[kind], sign)))).to.match(/^invalid_signature: /);
        }
      });

      it("are refused if they were altered", async () => {
        const suite = await loadFixture(deployTokens);
        const [header, payload, signature] = (await tokenOf(suite[kind])).split(".") as [string, string, string];
        const text = Buffer.from(payload, "base64url").toString().replace("21.5", "21.6");
        const altered = [header, Buffer.from(text).toString("base64url"), signature].join(".");
        expect(await refusalOf(verify(suite, altered))).to.match(/^invalid_signature: /);
      });
    });
  }

  it("of a P-256 device that was never enrolled are refused", async () => {
    const suite = await loadFixture(deployTokens);
    const key = createP256Key();
    const did = didOf({ chainId: suite.chainId, device: key.id });
    const token = await tokenOf({ key, did, algorithm: "ES256", sign: p256Signer(key) });
    expect(await refusalOf(verify(suite, token))).to.match(/^no_suitable_keys: /);
  });

  it("can be signed with a key that the owner adds, but then log in nowhere", async () => {
    const suite = await loadFixture(deployTokens);
    const { devices, actors, p256 } = suite;
    const added = createP256Key();
    const names = ["did/pub/Multikey/veriKey", "did/pub/Multikey/enc"].map(ethers.encodeBytes32String);
    for (const name of names) {
      await devices
        .connect(actors.owner)
        .setAttribute(p256.key.id, name, keyAttributeValue(added.publicKey), 10n * DAY);
      const token = await tokenOf(p256, p256Signer(added));
      expect((await verify(suite, token)).verified).to.equal(true);
      const login = verifyJWT(token, { resolver: resolverOf(suite), proofPurpose: "authentication" });
      expect(await refusalOf(login)).to.match(/^invalid_signature: /);
      await devices.connect(actors.owner).revokeAttribute(p256.key.id, name, keyAttributeValue(added.publicKey));
      expect(await refusalOf(verify(suite, token))).to.match(/^invalid_signature: /);
    }
  });

  it("can be signed by an owner that is an account, as the controller and not as the device", async () => {
    const suite = await loadFixture(deployTokens);
    const owner = Wallet.createRandom();
    const { actors, chainId, devicesDomain, devices } = suite;
    await actors.relayer.sendTransaction({ to: owner, value: 10n ** 18n });
    const key = createP256Key();
    const sender = owner.connect(actors.relayer.provider);
    await enrollDevice({ devices, devicesDomain }, { key, owner: owner.address, by: sender });
    const did = didOf({ chainId, device: key.id });
    const sign = ES256KSigner(getBytes(owner.privateKey));
    const token = await tokenOf({ key, did, algorithm: "ES256K", sign });
    expect((await verify(suite, token)).signer.id).to.equal(`${did}#controller`);
  });

  it("cannot be signed by whoever governs a fleet handle", async () => {
    const suite = await loadFixture(deployTokens);
    const governor = Wallet.createRandom();
    const { roles, fleet, actors } = suite;
    await actors.relayer.sendTransaction({ to: governor, value: 10n ** 18n });
    await roles.connect(actors.owner).proposeGovernor(fleet, governor);
    await roles.connect(governor.connect(actors.relayer.provider)).acceptGovernor(fleet, true);
    const token = await tokenOf({
      ...suite.p256,
      algorithm: "ES256K",
      sign: ES256KSigner(getBytes(governor.privateKey)),
    });
    expect(await refusalOf(verify(suite, token))).to.match(/^invalid_signature: /);
  });

  it("are refused for ES256 as long as the resolver writes a Multikey as plain hex", async () => {
    const suite = await loadFixture(deployTokens);
    const resolver = new Resolver(getResolver(resolverConfig({ touchstone: suite.as.stranger })));
    const { didDocument } = await resolver.resolve(suite.p256.did);
    expect(didDocument?.verificationMethod?.[1]).to.have.property("publicKeyHex").that.matches(/^8024/);
    const token = await tokenOf(suite.p256);
    expect(await refusalOf(verifyJWT(token, { resolver }))).to.match(/^invalid_signature: /);
  });
});
