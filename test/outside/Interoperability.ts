import { readFile } from "node:fs/promises";
import { createPrivateKey } from "node:crypto";

import { expect } from "chai";
import { createJWT, ES256KSigner, ES256Signer, type Signer } from "did-jwt";
import { getBytes, Wallet } from "ethers";

import { didOf, keyAttributeValue } from "../../client/did.js";
import { createP256Key, type P256Key } from "../../client/keys.js";
import { expectedFailures } from "../../scripts/resolver-suite/expected-failures.js";
import { deviceOfToken } from "../examples/device-of-token.js";
import { ethers, loadFixture } from "../support/chain.js";
import { enrollDevice } from "../support/fleet.js";
import { deploySuite, type Suite } from "../support/suite.js";

const PAGE = "docs/interoperability.md";
const EXAMPLE = "test/examples/device-of-token.ts";
const AUDIENCE = "https://server.example";

function signerOf(key: P256Key): Signer {
  const { d } = createPrivateKey(key.exportPem()).export({ format: "jwk" });
  return ES256Signer(Buffer.from(d!, "base64url"));
}

interface Login extends Suite {
  did: string;
  owner: Wallet;
  device: P256Key;
}

/** A device that belongs to an account whose private key is at hand. */
async function deployLogin(): Promise<Login> {
  const suite = await deploySuite();
  const owner = new Wallet(Wallet.createRandom().privateKey, ethers.provider);
  await suite.actors.relayer.sendTransaction({ to: owner, value: 10n ** 18n });
  const device = createP256Key();
  await enrollDevice(suite, { key: device, owner: owner.address, by: owner });
  return { ...suite, device, owner, did: didOf({ chainId: suite.chainId, device: device.id }) };
}

/** Whom the server of the example takes the bearer of a token for. */
async function login({ as }: Suite, issuer: string, alg: string, signer: Signer, claims = {}): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + 600;
  const token = await createJWT({ aud: AUDIENCE, exp, ...claims }, { issuer, signer }, { alg });
  return deviceOfToken({ touchstone: as.stranger, token, audience: AUDIENCE });
}

describe(PAGE, () => {
  it("shows the example as the file has it", async () => {
    const shown = /<!-- example: (\S+) -->\n\n```ts\n([^]*?)```\n/.exec(await readFile(PAGE, "utf8"));
    expect(shown?.[1]).to.equal(EXAMPLE);
    expect(shown?.[2]).to.equal(await readFile(EXAMPLE, "utf8"));
  });

  it("names the versions that are installed", async () => {
    const page = await readFile(PAGE, "utf8");
    const packages = ["ethr-did-resolver", "ethr-did", "did-jwt", "ethr-did/node_modules/ethr-did-resolver"];
    for (const name of packages) {
      const text = await readFile(`node_modules/${name}/package.json`, "utf8");
      const { version } = JSON.parse(text) as { version: string };
      expect(page, name).to.include(`\`${name.split("/").at(-1)!}\` ${version}`);
    }
  });

  it("names every test that cannot pass", async () => {
    const page = await readFile(PAGE, "utf8");
    for (const name of Object.keys(expectedFailures)) expect(page).to.include(name.split(": ")[0]!);
    expect(page).to.include(`${99 - Object.keys(expectedFailures).length} of 99`);
  });

  it("has an example that lets a device log in", async () => {
    const suite = await loadFixture(deployLogin);
    expect(await login(suite, suite.did, "ES256", signerOf(suite.device))).to.equal(suite.device.id);
  });

  it("has an example that lets nobody else log in as the device", async () => {
    const suite = await loadFixture(deployLogin);
    const { did, device, owner, devices } = suite;
    const byOwner = ES256KSigner(getBytes(owner.privateKey));
    const added = createP256Key();
    const name = ethers.encodeBytes32String("did/pub/Multikey/veriKey");
    await devices.connect(owner).setAttribute(device.id, name, keyAttributeValue(added.publicKey), 10_000_000n);

    const wrong: [string, () => Promise<string>][] = [
      [`The owner of ${device.id} signed`, () => login(suite, did, "ES256K", byOwner)],
      ["is no DID of a device", () => login(suite, `${did}#controller`, "ES256K", byOwner)],
      ["is no DID of a device", () => login(suite, `${did}#delegate-1`, "ES256", signerOf(device))],
      ["invalid_signature", () => login(suite, did, "ES256", signerOf(added))],
      ["invalid_signature", () => login(suite, did, "ES256", signerOf(createP256Key()))],
      ["unknownNetwork", () => login(suite, didOf({ chainId: 1n, device: device.id }), "ES256", signerOf(device))],
      ["JWT audience", () => login(suite, did, "ES256", signerOf(device), { aud: "https://other.example" })],
      ["for whom", () => login(suite, did, "ES256", signerOf(device), { aud: undefined })],
      ["until when", () => login(suite, did, "ES256", signerOf(device), { exp: undefined })],
      ["JWT has expired", () => login(suite, did, "ES256", signerOf(device), { exp: 1 })],
    ];
    for (const [message, attempt] of wrong) {
      const refused = await attempt().catch((error: unknown) => error as Error);
      expect(refused).to.be.an("error").with.property("message").that.includes(message);
    }
  });
});
