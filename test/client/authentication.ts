import { once } from "node:events";
import type { AddressInfo } from "node:net";

import { expect } from "chai";
import { AbiCoder, concat, id, keccak256, ZeroHash, type Provider } from "ethers";
import fc from "fast-check";

import * as authentication from "../../client/authentication.js";
import * as devices from "../../client/devices.js";
import { TouchstoneError } from "../../client/errors.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import {
  authenticationMessage,
  keyRotationMessage,
  messageDigest,
  messageDomain,
  type MessageDomain,
} from "../../client/typed-data.js";
import { logIn, serveDevices } from "../examples/authenticate-over-http.js";
import { DAY, ethers, loadFixture, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { providerWith } from "../support/provider.js";
import { wrongProofs } from "../support/signed-messages.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

const AUDIENCE = "https://gateway.example";
const START = 1_800_000_000;

/** The client's deployment with active devices of all schemes, one of them a contract that signs what `other` signs. */
interface Devices extends Deployed {
  domain: MessageDomain;
  contractDevice: Key;
  strangeKey: Key;
}

async function deployDevices(): Promise<Devices> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, other } = deployed;
  const wallet = await ethers.deployContract("ERC1271Wallet", [other]);
  const contractDevice = { ...(await accountKey(other)), id: await wallet.getAddress() };
  for (const device of [deployed.device, deployed.hashingDevice, deployed.accountDevice, contractDevice]) {
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
  }
  const { DeviceRegistry: domain } = touchstone.domains;
  return { ...deployed, domain, contractDevice, strangeKey: createP256Key() };
}

const kinds: { name: string; keyOf: (deployed: Devices) => Key }[] = [
  { name: "a P-256 device", keyOf: ({ device }) => device },
  { name: "a P-256 device that hashes", keyOf: ({ hashingDevice }) => hashingDevice },
  { name: "an account device", keyOf: ({ accountDevice }) => accountDevice },
  { name: "a device whose account is a contract", keyOf: ({ contractDevice }) => contractDevice },
];

/** A clock that both sides go by. */
class TestClock {
  time = START;
  readonly now = (): number => this.time;
}

/** A server and whoever answers it, on the chain as the fixture left it. */
async function setUp(options: Partial<authentication.VerifierOptions> = {}) {
  const deployed = await loadFixture(deployDevices);
  const { domain } = deployed;
  const clock = new TestClock();
  const verifier = authentication.createVerifier({
    touchstone: deployed.touchstone,
    audience: AUDIENCE,
    clock: clock.now,
    ...options,
  });
  const answer = (key: Key, challenge: unknown): Promise<authentication.AuthenticationResponse> =>
    authentication.respond({ key, domain, audience: AUDIENCE, challenge, clock: clock.now });
  return { ...deployed, clock, verifier, answer };
}

/** The error by which the verifier refuses the response for this reason. */
async function refusal(
  reason: authentication.AuthenticationRefusal,
  verifier: authentication.Verifier,
  response: unknown,
): Promise<TouchstoneError> {
  const error = await errorOf("AUTHENTICATION_REFUSED", () => verifier.verify({ response }));
  expect(error.details.reason, error.message).to.equal(reason);
  return error;
}

/** A node that counts the calls it gets, and does something before each. */
function countingProvider(before: () => void = () => undefined): { provider: Provider; calls: () => number } {
  let calls = 0;
  const call: Provider["call"] = (transaction) => {
    calls++;
    before();
    return ethers.provider.call(transaction);
  };
  return { provider: providerWith({ call }), calls: () => calls };
}

describe("authentication", () => {
  describe("lets in", () => {
    for (const { name, keyOf } of kinds) {
      it(name, async () => {
        const { verifier, answer, ...deployed } = await setUp();
        const key = keyOf(deployed);
        const response = await answer(key, await verifier.challenge());
        const did = `did:ethr:0x7a69:${key.id}`;
        expect(await verifier.verify({ response })).to.deep.equal({ device: key.id, did });
      });
    }

    it("a device over JSON in both directions, as text or parsed, whatever the case of its hex", async () => {
      const { verifier, answer, device } = await setUp();
      for (const read of [(text: string): unknown => text, (text: string): unknown => JSON.parse(text)]) {
        const challenge = JSON.stringify(await verifier.challenge({ device: device.id }));
        const response = await answer(device, read(challenge));
        const text = JSON.stringify({ ...response, device: response.device.toLowerCase() });
        expect((await verifier.verify({ response: read(text) })).device).to.equal(device.id);
      }
    });

    it("the device that the challenge names", async () => {
      const { verifier, answer, device } = await setUp();
      const challenge = await verifier.challenge({ device: device.id });
      expect(challenge.device).to.equal(device.id);
      const { device: found } = await verifier.verify({ response: await answer(device, challenge) });
      expect(found).to.equal(device.id);
    });

    it("a device until the last second, and not after it", async () => {
      const { verifier, answer, device, clock } = await setUp({ lifetime: 5 });
      const [first, second] = [await verifier.challenge(), await verifier.challenge()];
      clock.time = START + 4.9;
      await verifier.verify({ response: await answer(device, first) });
      clock.time = START + 5;
      const error = await refusal("ChallengeExpired", verifier, await answer(device, second));
      expect(error.details).to.deep.include({ nonce: second.nonce, expires: START + 5, now: START + 5 });
      // The store may have forgotten it by then.
      await verifier.challenge();
      await refusal("ChallengeExpired", verifier, await answer(device, second));
    });

    it("many devices at the same time, each by its own challenge", async () => {
      const { verifier, answer, device, hashingDevice, accountDevice } = await setUp();
      const keys = [device, hashingDevice, accountDevice, device];
      const found = await Promise.all(
        keys.map(async (key) => verifier.verify({ response: await answer(key, await verifier.challenge()) })),
      );
      expect(found.map((who) => who.device)).to.deep.equal(keys.map((key) => key.id));
    });

    it("a device with one call to the chain, for which a provider is enough", async () => {
      const { touchstone, answer, device } = await setUp();
      const { provider, calls } = countingProvider();
      const { verifier } = await setUp({ touchstone: touchstone.connect(provider) });
      await verifier.verify({ response: await answer(device, await verifier.challenge()) });
      expect(calls()).to.equal(1);
    });

    it("a device that is resumed", async () => {
      const { verifier, answer, touchstone, device } = await setUp();
      const response = await answer(device, await verifier.challenge());
      await devices.suspend({ touchstone, device: device.id });
      await refusal("DeviceSuspended", verifier, response);
      await devices.resume({ touchstone, device: device.id });
      expect((await verifier.verify({ response })).device).to.equal(device.id);
    });
  });

  describe("after a key rotation", () => {
    it("lets the device in with its new key under its old id, and no longer with the old key", async () => {
      const { verifier, answer, touchstone, owner, device, domain, clock } = await setUp();
      const newKey = createP256Key({ scheme: Scheme.P256Sha256 });
      const rotation = {
        device: device.id,
        oldKey: device.id,
        newKey: newKey.id,
        newScheme: newKey.scheme,
        epoch: 1n,
        deadline: (await now()) + DAY,
      };
      const byNewKey = await newKey.prove(keyRotationMessage(domain, rotation));
      const byOldKey = { publicKey: device.publicKey, signature: "0x" };
      await touchstone.deviceRegistry.connect(owner).rotateKey(rotation, byNewKey, byOldKey);

      const challenge = await verifier.challenge({ device: device.id });
      await refusal("ProofInvalid", verifier, await answer(device, challenge));
      const options = { domain, audience: AUDIENCE, challenge, clock: clock.now };
      const response = await authentication.respond({ ...options, key: newKey, device: device.id });
      expect((await verifier.verify({ response })).device).to.equal(device.id);
      // The new key's id is no device.
      await refusal("DeviceUnknown", verifier, await answer(newKey, await verifier.challenge()));
    });
  });

  describe("refuses", () => {
    for (const { name, keyOf } of kinds) {
      it(`every proof that ${name} did not make for this challenge, and lets it in after all of them`, async () => {
        const { verifier, answer, domain, strangeKey, ...deployed } = await setUp();
        const key = keyOf({ ...deployed, domain, strangeKey });
        const response = await answer(key, await verifier.challenge());
        const { proof, ...signed } = response;
        const message = authenticationMessage(domain, signed);
        const alter = { audience: "https://other.example" };
        const wrongKeys = key.publicKey === "0x" ? [strangeKey, await accountKey(deployed.relayer)] : [strangeKey];
        const rows = await Promise.all(wrongKeys.map((wrongKey) => wrongProofs({ key, wrongKey, message, alter })));
        for (const { name: how, proof: wrong } of rows.flat()) {
          const { details } = await refusal("ProofInvalid", verifier, { ...response, proof: wrong });
          const registry = domain.verifyingContract;
          expect(details, how).to.deep.include({ device: key.id, chainId: 31337n, registry });
        }
        expect((await verifier.verify({ response: { ...response, proof } })).device).to.equal(key.id);
      });
    }

    it("a response of which a single field is altered, and lets the device in after all of them", async () => {
      const { verifier, answer, device, hashingDevice } = await setUp();
      const response = await answer(device, await verifier.challenge());
      const altered: [authentication.AuthenticationRefusal, Partial<authentication.AuthenticationResponse>][] = [
        ["ProofInvalid", { device: hashingDevice.id }],
        ["AudienceWrong", { audience: `${AUDIENCE}/` }],
        ["ChallengeUnknown", { nonce: ZeroHash }],
        ["ChallengeUnknown", { expires: response.expires + 1 }],
        ["ChallengeUnknown", { expires: response.expires - 1 }],
        ["ProofInvalid", { proof: { ...response.proof, publicKey: hashingDevice.publicKey } }],
        ["ProofInvalid", { proof: { ...response.proof, signature: `0x${"01".repeat(64)}` } }],
        ["ProofInvalid", { proof: { publicKey: "0x", signature: response.proof.signature } }],
        ["ProofInvalid", { proof: { publicKey: "0x", signature: "0x" } }],
      ];
      for (const [reason, fields] of altered) await refusal(reason, verifier, { ...response, ...fields });
      expect((await verifier.verify({ response })).device).to.equal(device.id);
    });

    it("a device that signs for another chain or registry, and says which are right", async () => {
      const { verifier, device, domain, touchstone, clock } = await setUp();
      const { DeviceRegistry: registry, DataAccess: elsewhere } = touchstone.addresses;
      const challenge = await verifier.challenge();
      for (const wrong of [
        messageDomain({ contract: "DeviceRegistry", chainId: 1n, address: registry }),
        messageDomain({ contract: "DeviceRegistry", chainId: domain.chainId, address: elsewhere }),
        messageDomain({ contract: "DataAccess", chainId: domain.chainId, address: registry }),
      ]) {
        const options = { key: device, audience: AUDIENCE, challenge, clock: clock.now };
        const response = await authentication.respond({ ...options, domain: wrong });
        const { message } = await refusal("ProofInvalid", verifier, response);
        expect(message).to.include("31337").and.to.include(registry);
      }
    });

    it("a response for another server, though the device made it", async () => {
      const { verifier, device, domain, clock } = await setUp();
      const evil = "https://evil.example";
      // A server that the device trusts passes on a challenge of the other as its own.
      const challenge = { ...(await verifier.challenge()), audience: evil };
      const response = await authentication.respond({
        key: device,
        domain,
        audience: evil,
        challenge,
        clock: clock.now,
      });
      const error = await refusal("AudienceWrong", verifier, response);
      expect(error.details).to.deep.include({ audience: evil, expected: AUDIENCE });
      await refusal("ProofInvalid", verifier, { ...response, audience: AUDIENCE });
    });

    it("a device that is unknown, suspended or retired, and says which", async () => {
      const { verifier, answer, touchstone, device, hashingDevice, strangeKey } = await setUp();
      await devices.suspend({ touchstone, device: device.id });
      await devices.retire({ touchstone, device: hashingDevice.id });
      const rows = [
        ["DeviceUnknown", strangeKey],
        ["DeviceSuspended", device],
        ["DeviceRetired", hashingDevice],
      ] as const;
      for (const [reason, key] of rows) {
        const { details, message } = await refusal(reason, verifier, await answer(key, await verifier.challenge()));
        expect(details.device).to.equal(key.id);
        expect(message).to.include(key.id);
      }
    });

    it("a response that was used before, also with a new signature or in capital letters", async () => {
      const { verifier, answer, device, hashingDevice, contractDevice } = await setUp();
      const challenge = await verifier.challenge();
      const response = await answer(device, challenge);
      await verifier.verify({ response });
      const again = await answer(device, challenge);
      const capitals = { ...response, nonce: `0x${response.nonce.slice(2).toUpperCase()}` };
      for (const replayed of [response, again, capitals]) {
        const error = await refusal("ChallengeUnknown", verifier, replayed);
        expect(error.details).to.deep.include({ nonce: challenge.nonce, expires: challenge.expires });
      }
      for (const key of [hashingDevice, contractDevice]) {
        await refusal("ChallengeUnknown", verifier, await answer(key, challenge));
      }
    });

    it("all but one of many responses to one challenge at the same time", async () => {
      const { verifier, answer, device, hashingDevice } = await setUp();
      const challenge = await verifier.challenge();
      const responses = await Promise.all([device, hashingDevice, device].map((key) => answer(key, challenge)));
      const attempts = [...responses, ...responses].map((response) => verifier.verify({ response }));
      const results = await Promise.allSettled(attempts);
      expect(results.filter(({ status }) => status === "fulfilled")).to.have.lengthOf(1);
      const reasons = results.flatMap((result) =>
        result.status === "rejected" ? [(result.reason as TouchstoneError).details.reason] : [],
      );
      expect(reasons).to.deep.equal(Array(5).fill("ChallengeUnknown"));
    });

    it("a challenge that it never issued, without a call to the chain", async () => {
      const { touchstone, answer, device } = await setUp();
      const { provider, calls } = countingProvider();
      const { verifier } = await setUp({ touchstone: touchstone.connect(provider) });
      const invented = { audience: AUDIENCE, nonce: id("invented"), expires: START + 60 };
      await refusal("ChallengeUnknown", verifier, await answer(device, invented));
      expect(calls()).to.equal(0);
    });

    it("another device than the one that the challenge names, which can still answer", async () => {
      const { verifier, answer, device, hashingDevice } = await setUp();
      const challenge = await verifier.challenge({ device: device.id });
      const { audience, nonce, expires } = challenge;
      const byOther = await answer(hashingDevice, { audience, nonce, expires });
      const error = await refusal("DeviceWrong", verifier, byOther);
      expect(error.details).to.deep.include({ device: hashingDevice.id, expected: device.id });
      await refusal("ProofInvalid", verifier, { ...byOther, device: device.id });
      expect((await verifier.verify({ response: await answer(device, challenge) })).device).to.equal(device.id);
    });

    it("a challenge that expires while the chain is asked", async () => {
      const { touchstone, answer, device } = await setUp();
      const clock = new TestClock();
      const slow = countingProvider(() => (clock.time += 60));
      const { verifier } = await setUp({ touchstone: touchstone.connect(slow.provider), clock: clock.now });
      await refusal("ChallengeExpired", verifier, await answer(device, await verifier.challenge()));
    });

    it("everyone while the chain gives no answer, and lets the device in when it does", async () => {
      const store = authentication.createMemoryStore();
      const { verifier, answer, touchstone, device } = await setUp({ store });
      const answers: [TouchstoneError["code"], Provider["call"]][] = [
        ["CHAIN_UNREACHABLE", () => Promise.reject(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }))],
        ["CHAIN_UNREACHABLE", () => Promise.reject(Object.assign(new Error("timeout"), { code: "TIMEOUT" }))],
        ["RPC_FAILED", () => Promise.reject(new Error("the node is synchronising"))],
        ["RPC_FAILED", () => Promise.resolve("0x")],
        ["CONTRACT_REVERTED", () => Promise.reject(Object.assign(new Error("out of gas"), { code: "CALL_EXCEPTION" }))],
      ];
      const response = await answer(device, await verifier.challenge());
      for (const [code, call] of answers) {
        const lost = touchstone.connect(providerWith({ call }));
        const { verifier: cutOff } = await setUp({ store, touchstone: lost });
        await errorOf(code, () => cutOff.verify({ response }));
      }
      expect((await verifier.verify({ response })).device).to.equal(device.id);
    });

    it("everyone while its store fails", async () => {
      const { answer, device } = await setUp();
      const kept = authentication.createMemoryStore();
      const lost = (): Promise<never> => Promise.reject(new Error("database is gone"));
      for (const failing of [{ find: lost }, { consume: lost }]) {
        const { verifier } = await setUp({ store: { ...kept, ...failing } });
        const response = await answer(device, await verifier.challenge());
        const outcome = await verifier.verify({ response }).catch((error: unknown) => error);
        expect(outcome).to.be.instanceOf(Error).with.property("message", "database is gone");
      }
    });
  });

  describe("reads what comes over the network", () => {
    it("and refuses all that is no response, with nothing of it in the message", async () => {
      const { verifier, answer, device } = await setUp();
      const right = await answer(device, await verifier.challenge());
      const { proof } = right;
      const long = "x".repeat(100_000);
      const without = (name: string): object =>
        Object.fromEntries(Object.entries(right).filter(([field]) => field !== name));
      const wrong: unknown[] = [
        ...[undefined, null, true, 7, 7n, "", " ", "{", "null", "[]", long, `"${long}"`, [], {}, [right]],
        ...["device", "audience", "nonce", "expires", "proof"].map(without),
        ...["admin", "__proto__", "constructor", long].map((name) =>
          JSON.stringify(right).replace("{", `{${JSON.stringify(name)}:1,`),
        ),
        { ...right, [long]: 1 },
        ...["0x12", "", long, device.id.slice(2), `${device.id}00`, 7, null, "XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS"].map(
          (id) => ({ ...right, device: id }),
        ),
        { ...right, device: device.id.replace(/[a-f]/, (letter) => letter.toUpperCase()) },
        ...["", " ", `${AUDIENCE}\n`, "https://gäteway.example", "\ud800", "a".repeat(256), 7].map((audience) => ({
          ...right,
          audience,
        })),
        ...["0x", right.nonce.slice(2), `${right.nonce}00`, right.nonce.slice(0, -1), 0].map((nonce) => ({
          ...right,
          nonce,
        })),
        ...[-1, 1.5, NaN, Infinity, 2 ** 40, 2 ** 53, "60", `${right.expires}`, null].map((expires) => ({
          ...right,
          expires,
        })),
        ...[
          null,
          "0x",
          [],
          {},
          { publicKey: proof.publicKey },
          { ...proof, scheme: 1 },
          { ...proof, publicKey: "0x12" },
          { ...proof, publicKey: `0x04${proof.publicKey.slice(2)}` },
          { ...proof, signature: "0x" },
          { ...proof, signature: `${proof.signature}00` },
          { publicKey: "0x", signature: "0x1" },
          { publicKey: "0x", signature: `0x${"00".repeat(8_193)}` },
          { publicKey: "", signature: "0x" },
        ].map((of) => ({ ...right, proof: of })),
      ];
      for (const response of wrong) {
        const { message } = await errorOf("AUTHENTICATION_INVALID", () => verifier.verify({ response }));
        expect(message)
          .to.have.lengthOf.below(1_000)
          .and.not.match(/xxx|\n/);
      }
      expect((await verifier.verify({ response: right })).device).to.equal(device.id);
    });

    it("up to the longest response that there is", async () => {
      const { verifier } = await setUp();
      const longest = {
        device: `0x${"A".repeat(40).toLowerCase()}`,
        audience: '"'.repeat(255),
        nonce: ZeroHash,
        expires: 2 ** 40 - 1,
        proof: { publicKey: "0x", signature: `0x${"00".repeat(8_192)}` },
      };
      const text = JSON.stringify(longest, undefined, 2);
      expect(text).to.have.lengthOf.within(0.8 * authentication.MAX_JSON_LENGTH, authentication.MAX_JSON_LENGTH);
      await refusal("AudienceWrong", verifier, text);
      const padded = text + " ".repeat(authentication.MAX_JSON_LENGTH - text.length + 1);
      await errorOf("AUTHENTICATION_INVALID", () => verifier.verify({ response: padded }));
    });

    it("and answers whatever it is with an error of Touchstone", async () => {
      const { verifier, answer, device } = await setUp();
      const right = await answer(device, await verifier.challenge());
      const anything = fc.oneof(fc.json(), fc.string(), fc.jsonValue(), fc.anything());
      const field = fc.constantFrom(...Object.keys(right), "publicKey", "signature");
      const altered = fc
        .tuple(field, anything)
        .map(([name, value]) =>
          name in right ? { ...right, [name]: value } : { ...right, proof: { ...right.proof, [name]: value } },
        );
      const cut = fc.nat(JSON.stringify(right).length - 1).map((length) => JSON.stringify(right).slice(0, length));
      await fc.assert(
        fc.asyncProperty(fc.oneof(anything, altered, cut), async (input) => {
          const outcome: unknown = await verifier.verify({ response: input }).catch((error: unknown) => error);
          expect(outcome).to.be.instanceOf(TouchstoneError);
          expect((outcome as TouchstoneError).code).to.match(/^AUTHENTICATION_(INVALID|REFUSED)$/);
        }),
        { numRuns: 1_000 },
      );
      expect((await verifier.verify({ response: right })).device).to.equal(device.id);
    });
  });
});

describe("authentication.respond", () => {
  it("answers whatever is no challenge with an error of Touchstone", async () => {
    const { verifier, answer, device } = await setUp();
    const right = await verifier.challenge({ device: device.id });
    const key = { ...device, prove: () => expect.fail("signed") };
    const anything = fc.oneof(fc.json(), fc.string(), fc.jsonValue(), fc.anything());
    const altered = fc
      .tuple(fc.constantFrom("device", "audience", "nonce", "more"), anything)
      .map(([name, value]) => ({ ...right, [name]: value }));
    const cut = fc.nat(JSON.stringify(right).length - 1).map((length) => JSON.stringify(right).slice(0, length));
    await fc.assert(
      fc.asyncProperty(fc.oneof(anything, altered, cut), async (challenge) => {
        const outcome: unknown = await answer(key, challenge).catch((error: unknown) => error);
        expect(outcome).to.be.instanceOf(TouchstoneError);
        expect((outcome as TouchstoneError).code).to.match(/^(AUTHENTICATION_INVALID|CHALLENGE_REFUSED)$/);
      }),
      { numRuns: 1_000 },
    );
    expect((await verifier.verify({ response: await answer(device, right) })).device).to.equal(device.id);
  });

  it("makes a response from the challenge alone, with the device's id and proof", async () => {
    const { verifier, answer, domain, device } = await setUp();
    const challenge = await verifier.challenge();
    const { audience, nonce, expires } = challenge;
    const response = await answer(device, challenge);
    expect(Object.keys(response)).to.deep.equal(["device", "audience", "nonce", "expires", "proof"]);
    expect(response).to.deep.include({ device: device.id, audience, nonce, expires });
    expect(response.proof.publicKey).to.equal(device.publicKey);
    expect(domain.name).to.equal("Touchstone DeviceRegistry");
  });

  it("signs nothing for another server, another device or a longer time than it allows", async () => {
    const { verifier, device, hashingDevice, domain, clock } = await setUp({ lifetime: 301 });
    const key = { ...device, prove: () => expect.fail("signed") };
    const right = await verifier.challenge();
    const rows: [authentication.ChallengeRefusal, unknown, Partial<authentication.RespondOptions>][] = [
      ["AudienceWrong", right, { audience: "https://gateway.example.org" }],
      ["AudienceWrong", { ...right, audience: "https://evil.example" }, {}],
      ["AudienceWrong", { ...right, audience: AUDIENCE.toUpperCase() }, {}],
      ["DeviceWrong", { ...right, device: hashingDevice.id }, {}],
      ["LifetimeTooLong", right, {}],
      ["LifetimeTooLong", right, { longestLifetime: 300 }],
      ["LifetimeTooLong", { ...right, expires: 2 ** 40 - 1 }, { longestLifetime: 86_400 }],
    ];
    for (const [reason, challenge, more] of rows) {
      const options = { key, domain, audience: AUDIENCE, challenge, clock: clock.now, ...more };
      const error = await errorOf("CHALLENGE_REFUSED", () => authentication.respond(options));
      expect(error.details.reason, error.message).to.equal(reason);
    }
  });

  it("leaves it to the server whether the challenge has expired, and does without a clock", async () => {
    const { verifier, device: key, domain, clock } = await setUp({ lifetime: 3_600 });
    const ways: Partial<authentication.RespondOptions>[] = [
      { clock: () => START + 86_400 },
      { clock: () => NaN, longestLifetime: Infinity },
      { clock: clock.now, longestLifetime: 3_600 },
    ];
    for (const more of ways) {
      const challenge = await verifier.challenge();
      const response = await authentication.respond({ key, domain, audience: AUDIENCE, challenge, ...more });
      expect((await verifier.verify({ response })).device).to.equal(key.id);
    }
  });

  it("says that the key did not sign", async () => {
    const { verifier, answer, device } = await setUp();
    const locked: Key = { ...device, prove: () => Promise.reject(new Error("TPM is locked")) };
    const challenge = await verifier.challenge();
    const { message } = await errorOf("SIGNING_FAILED", () => answer(locked, challenge));
    expect(message).to.equal("key did not sign: TPM is locked. Unlock or connect the key.");
  });

  it("refuses wrong arguments", async () => {
    const { verifier, device: key, domain } = await setUp();
    const options = { key, domain, audience: AUDIENCE, challenge: await verifier.challenge() };
    const wrong: Partial<authentication.RespondOptions>[] = [
      { audience: "" },
      { longestLifetime: 0 },
      { longestLifetime: NaN },
      { clock: () => NaN },
      { clock: () => Date.now() },
      { key: { ...key, id: "device.eth" } },
      { device: "0x12" },
    ];
    for (const more of wrong) {
      await errorOf("INVALID_ARGUMENT", () => authentication.respond({ ...options, ...more }));
    }
  });
});

describe("authentication.createVerifier", () => {
  it("issues challenges with a nonce of their own, for a minute or the time that it was told", async () => {
    const { verifier } = await setUp();
    const challenges = await Promise.all(Array.from({ length: 100 }, () => verifier.challenge()));
    for (const challenge of challenges) {
      expect(challenge).to.have.all.keys("audience", "nonce", "expires");
      expect(challenge).to.deep.include({ audience: AUDIENCE, expires: START + 60 });
      expect(challenge.nonce).to.match(/^0x[0-9a-f]{64}$/);
    }
    expect(new Set(challenges.map(({ nonce }) => nonce)).size).to.equal(100);
    const { verifier: quick } = await setUp({ lifetime: 1, clock: () => START + 0.9 });
    expect((await quick.challenge()).expires).to.equal(START + 1);
  });

  it("goes by the system's clock unless told", async () => {
    const { touchstone, device, domain } = await setUp();
    const verifier = authentication.createVerifier({ touchstone, audience: AUDIENCE });
    const before = Math.floor(Date.now() / 1_000);
    const challenge = await verifier.challenge();
    expect(challenge.expires).to.be.within(before + 60, Math.floor(Date.now() / 1_000) + 60);
    const response = await authentication.respond({ key: device, domain, audience: AUDIENCE, challenge });
    expect((await verifier.verify({ response })).device).to.equal(device.id);
  });

  it("refuses wrong arguments", async () => {
    const { touchstone, verifier } = await setUp();
    const wrong: Partial<authentication.VerifierOptions>[] = [
      { audience: "" },
      { audience: "my gateway" },
      { audience: "a".repeat(256) },
      { lifetime: 0 },
      { lifetime: 1.5 },
      { lifetime: 3_601 },
    ];
    for (const more of wrong) {
      const options = { touchstone, audience: AUDIENCE, ...more };
      await errorOf("INVALID_ARGUMENT", () => authentication.createVerifier(options));
    }
    await errorOf("INVALID_ARGUMENT", () => verifier.challenge({ device: "0x12" }));
    const { verifier: milliseconds } = await setUp({ clock: () => Date.now() });
    await errorOf("INVALID_ARGUMENT", () => milliseconds.challenge());
    for (const capacity of [0, 1.5, NaN]) {
      await errorOf("INVALID_ARGUMENT", () => authentication.createMemoryStore({ capacity }));
    }
  });
});

describe("a store of challenges", () => {
  it("lets servers that share it answer for each other, once", async () => {
    const store = authentication.createMemoryStore();
    const { verifier: first, answer, device } = await setUp({ store });
    const { verifier: second } = await setUp({ store });
    const response = await answer(device, await first.challenge());
    const results = await Promise.allSettled([second, first].map((verifier) => verifier.verify({ response })));
    expect(results.map(({ status }) => status).sort()).to.deep.equal(["fulfilled", "rejected"]);
  });

  it("keeps servers apart that do not share it, and audiences that do", async () => {
    const store = authentication.createMemoryStore();
    const { verifier, answer, device, domain, clock } = await setUp({ store });
    const { verifier: elsewhere } = await setUp();
    const { verifier: other } = await setUp({ store, audience: "https://other.example" });
    const challenge = await verifier.challenge();
    const response = await answer(device, challenge);
    await refusal("ChallengeUnknown", elsewhere, response);
    const { audience } = other;
    const options = { key: device, domain, audience, challenge: { ...challenge, audience }, clock: clock.now };
    await refusal("ChallengeUnknown", other, await authentication.respond(options));
    expect((await verifier.verify({ response })).device).to.equal(device.id);
  });

  it("refuses more challenges than it can keep, until some are answered or expire", async () => {
    const store = authentication.createMemoryStore({ capacity: 3 });
    const { verifier, answer, device, clock } = await setUp({ store });
    const kept = [await verifier.challenge(), await verifier.challenge(), await verifier.challenge()];
    for (let attempt = 0; attempt < 10; attempt++) {
      const { details } = await errorOf("CHALLENGES_EXHAUSTED", () => verifier.challenge());
      expect(details).to.deep.equal({ capacity: 3 });
      clock.time++;
    }
    await verifier.verify({ response: await answer(device, kept[0]) });
    await verifier.challenge();
    await errorOf("CHALLENGES_EXHAUSTED", () => verifier.challenge());
    clock.time = START + 59;
    await errorOf("CHALLENGES_EXHAUSTED", () => verifier.challenge());
    await verifier.verify({ response: await answer(device, kept[1]) });
    clock.time = START + 60;
    await verifier.challenge();
    await verifier.challenge();
    expect(await store.find({ nonce: kept[2]!.nonce })).to.equal(undefined);
  });

  it("forgets what has expired, whatever the order and wherever the clock goes", async () => {
    const store = authentication.createMemoryStore();
    const issue = (name: string, expires: number, now: number): Promise<void> =>
      store.issue({ challenge: { audience: AUDIENCE, nonce: id(name), expires }, now });
    await issue("long", 200, 100);
    await issue("short", 110, 100);
    await issue("later", 300, 110);
    const found = (name: string): Promise<unknown> => store.find({ nonce: id(name) });
    expect(await found("short")).to.equal(undefined);
    expect(await found("long")).to.deep.equal({ audience: AUDIENCE, nonce: id("long"), expires: 200 });
    // The clock was a minute ahead.
    await issue("back", 90, 50);
    await issue("again", 400, 90);
    expect(await found("back")).to.equal(undefined);
    expect(await found("long")).to.not.equal(undefined);
    expect(await store.consume({ nonce: id("long") })).to.equal(true);
    expect(await store.consume({ nonce: id("long") })).to.equal(false);
    expect(await store.consume({ nonce: id("never") })).to.equal(false);
  });
});

describe("the message of an authentication", () => {
  it("is hashed as EIP-712 says, in the domain of DeviceRegistry", async () => {
    const { domain, device } = await setUp();
    const value = { device: device.id, audience: AUDIENCE, nonce: id("nonce"), expires: START };
    const coder = AbiCoder.defaultAbiCoder();
    const separator = keccak256(
      coder.encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [
          id("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
          id("Touchstone DeviceRegistry"),
          id("1"),
          31337n,
          domain.verifyingContract,
        ],
      ),
    );
    const struct = keccak256(
      coder.encode(
        ["bytes32", "address", "bytes32", "bytes32", "uint40"],
        [
          id("Authentication(address device,string audience,bytes32 nonce,uint40 expires)"),
          value.device,
          id(AUDIENCE),
          value.nonce,
          value.expires,
        ],
      ),
    );
    const digest = keccak256(concat(["0x1901", separator, struct]));
    expect(messageDigest(authenticationMessage(domain, value))).to.equal(digest);
  });
});

describe("authentication over HTTP", () => {
  it("lets a device in, and nobody who listened", async () => {
    const { touchstone, device, strangeKey, domain } = await loadFixture(deployDevices);
    const verifier = authentication.createVerifier({ touchstone, audience: AUDIENCE });
    const heard: unknown[] = [];
    const server = serveDevices({
      ...verifier,
      verify({ response }) {
        heard.push(response);
        return verifier.verify({ response });
      },
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const post = async (body: string): Promise<object> => {
      const answer = await fetch(`${url}/session`, { method: "POST", body });
      return { status: answer.status, ...((await answer.json()) as object) };
    };
    try {
      const login = { url, audience: AUDIENCE, domain };
      const did = `did:ethr:0x7a69:${device.id}`;
      expect(await logIn({ ...login, key: device })).to.deep.equal({ device: device.id, did });
      const refusedAs = (reason: string): object => ({ code: "AUTHENTICATION_REFUSED", reason });
      expect(await logIn({ ...login, key: strangeKey })).to.deep.equal(refusedAs("DeviceUnknown"));

      const [recorded] = heard as [string];
      const recording = JSON.parse(recorded) as authentication.AuthenticationResponse;
      expect(recording.device).to.equal(device.id);
      expect(await post(recorded)).to.deep.equal({ status: 401, ...refusedAs("ChallengeUnknown") });
      // Whoever listened may ask for a challenge too, but has no signature for it.
      const answer = await fetch(`${url}/challenge`, { method: "POST" });
      const spliced = { ...recording, ...((await answer.json()) as authentication.Challenge) };
      expect(await post(JSON.stringify(spliced))).to.deep.equal({ status: 401, ...refusedAs("ProofInvalid") });

      const malformed = { status: 400, code: "AUTHENTICATION_INVALID" };
      for (const body of ["", "{", "x".repeat(1_000_000)]) expect(await post(body)).to.deep.equal(malformed);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
