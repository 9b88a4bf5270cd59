import { expect } from "chai";
import { concat, toBeHex, Wallet, ZeroAddress, ZeroHash, zeroPadValue } from "ethers";

import { createP256Key, type Key } from "../client/keys.js";
import { ethers, FOR_EVER, loadFixture, networkHelpers } from "./support/chain.js";
import { deployFleet, enrollDevice, type Fleet } from "./support/fleet.js";
import { deploySuite } from "./support/suite.js";

const SERVICE = ethers.encodeBytes32String("did/svc/Hub");
const VERI_KEY = ethers.encodeBytes32String("veriKey");
const YEAR = 31_536_000n;
const READ_LIVE = 1n;

/** Two accounts that can sign what ERC-1056 has signed, and a P-256 device of the first. */
async function deployWallets() {
  const suite = await deployFleet();
  const [seller, buyer] = await Promise.all([newWallet(), newWallet()]);
  const device = createP256Key();
  await enrollDevice(suite, { key: device, owner: seller.address, by: seller });
  return { ...suite, seller, buyer, device };
}

async function newWallet(): Promise<Wallet> {
  const wallet = new Wallet(ethers.hexlify(ethers.randomBytes(32)), ethers.provider);
  await networkHelpers.setBalance(wallet.address, 10n ** 20n);
  return wallet;
}

/** The signed message of ERC-1056 that publishes a service, with the arguments that carry it to the chain. */
async function signedService(
  { devices }: Pick<Fleet, "devices">,
  options: { signer: Wallet; identity: string; nonce: bigint; value: string },
) {
  const { signer, identity, nonce, value } = options;
  const validity = zeroPadValue(toBeHex(YEAR), 32);
  const action = concat([ethers.toUtf8Bytes("setAttribute"), SERVICE, value, validity]);
  const registry = await devices.getAddress();
  const message = concat(["0x1900", registry, zeroPadValue(toBeHex(nonce), 32), identity, action]);
  const { v, r, s } = signer.signingKey.sign(ethers.keccak256(message));
  return [identity, v, r, s, SERVICE, value, YEAR] as const;
}

/** Hands a device over in two steps. */
async function handOver(
  { devices }: Pick<Fleet, "devices">,
  options: { key: Key; from: Wallet; to: string; by: Wallet },
): Promise<void> {
  const { key, from, to, by } = options;
  await devices.connect(from).proposeTransfer(key.id, to, FOR_EVER);
  await devices.connect(by).acceptTransfer(key.id, key.publicKey);
}

describe("DeviceRegistry under attack", () => {
  describe("what ERC-1056 has signed", () => {
    it("does not count again after the owner moved the device to a fleet of its own", async () => {
      const suite = await loadFixture(deployWallets);
      const { devices, roles, seller, device, actors } = suite;
      const nonce = await devices.nonce(seller.address);
      const signed = await signedService(suite, { signer: seller, identity: device.id, nonce, value: "0xc0de" });
      await devices.connect(actors.relayer).setAttributeSigned(...signed);

      await roles.connect(seller).createFleet(ZeroHash);
      const fleet = await roles.fleetIdOf(seller, ZeroHash);
      await handOver(suite, { key: device, from: seller, to: fleet, by: seller });

      expect(await devices.nonce(fleet)).not.to.equal(nonce);
      await expect(devices.connect(actors.stranger).setAttributeSigned(...signed)).to.be.revertedWithCustomError(
        devices,
        "ControllerSignatureInvalid",
      );
    });

    it("is void after revokeAll, in whatever order it was to be sent", async () => {
      const suite = await loadFixture(deployWallets);
      const { devices, seller, device, actors } = suite;
      const first = await devices.nonce(seller.address);
      const signed = await Promise.all(
        [0n, 1n, 2n, 100n].map((ahead) =>
          signedService(suite, { signer: seller, identity: device.id, nonce: first + ahead, value: "0xc0de" }),
        ),
      );
      await devices.connect(seller).revokeAll(device.id, device.publicKey);
      for (const message of signed) {
        await expect(devices.connect(actors.stranger).setAttributeSigned(...message)).to.be.revertedWithCustomError(
          devices,
          "ControllerSignatureInvalid",
        );
      }
    });
  });

  describe("the identity of a fleet handle", () => {
    it("is nobody's, as what a governor published would outlive its handover", async () => {
      const suite = await loadFixture(deployWallets);
      const { devices, roles, seller } = suite;
      await roles.connect(seller).createFleet(ZeroHash);
      const fleet = await roles.fleetIdOf(seller, ZeroHash);
      const byGovernor = devices.connect(seller);
      const value = "0xc0de";
      const writes = [
        () => byGovernor.changeOwner(fleet, seller.address),
        () => byGovernor.changeOwner(fleet, ZeroAddress),
        () => byGovernor.addDelegate(fleet, VERI_KEY, seller.address, YEAR),
        () => byGovernor.setAttribute(fleet, SERVICE, value, YEAR),
      ];
      for (const write of writes) {
        await expect(write())
          .to.be.revertedWithCustomError(devices, "NotController")
          .withArgs(fleet, fleet, seller.address);
      }
      const nonce = await devices.nonce(fleet);
      const signed = await signedService(suite, { signer: seller, identity: fleet, nonce, value });
      await expect(byGovernor.setAttributeSigned(...signed)).to.be.revertedWithCustomError(
        devices,
        "ControllerSignatureInvalid",
      );
      expect(await devices.changed(fleet)).to.equal(0n);
    });
  });

  describe("an identity that was deactivated and never was a device", () => {
    it("is open to nobody, not to the account zero either", async () => {
      const { devices, access, actors } = await loadFixture(deploySuite);
      const { address } = actors.stranger;
      await devices.connect(actors.stranger).changeOwner(address, ZeroAddress);
      for (const account of [ZeroAddress, address, actors.owner.address]) {
        expect(await access.isAllowed(address, account, READ_LIVE, 0), account).to.equal(false);
      }
    });
  });

  describe("tryMulticall", () => {
    it("never skips for want of gas, in a batch within a batch neither", async () => {
      const { devices, p256Device, actors } = await loadFixture(deployFleet);
      const args: [string, string] = [p256Device.id, p256Device.publicKey];
      const suspend = devices.interface.encodeFunctionData("suspend", args);
      const resume = devices.interface.encodeFunctionData("resume", args);
      // So many that the last 64th of the gas suffices for all that is around them.
      const calls = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? suspend : resume));
      const wrappers = [
        devices.interface.encodeFunctionData("multicall", [calls]),
        devices.interface.encodeFunctionData("tryMulticall", [calls]),
      ];
      const byOwner = devices.connect(actors.owner);
      for (const wrapped of wrappers) {
        const enough = await byOwner.tryMulticall.estimateGas([wrapped]);
        const tried: (boolean | undefined)[] = [];
        for (let eighth = 2n; eighth <= 8n; ++eighth) {
          const trying = byOwner.tryMulticall.staticCall([wrapped], { gasLimit: (enough * eighth) / 8n });
          tried.push((await trying.catch(() => undefined))?.[0]);
        }
        expect(tried).not.to.include(false);
        expect(tried.at(-1)).to.equal(true);
      }
    });

    it("never skips a malformed call, in a batch within a batch neither", async () => {
      const { devices, actors } = await loadFixture(deployFleet);
      const wrappers = [
        devices.interface.encodeFunctionData("multicall", [["0x12345678"]]),
        devices.interface.encodeFunctionData("tryMulticall", [["0x12345678"]]),
      ];
      for (const wrapped of wrappers) {
        await expect(devices.connect(actors.owner).tryMulticall([wrapped]))
          .to.be.revertedWithCustomError(devices, "CallBroken")
          .withArgs(0n);
      }
    });
  });
});
