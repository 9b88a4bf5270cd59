import { expect } from "chai";
import { concat, id } from "ethers";

import { accountKey, createP256Key, Scheme } from "../client/keys.js";
import { decodeRevert } from "../client/reverts.js";
import { enrollmentMessage } from "../client/typed-data.js";
import type { DeviceRegistry } from "../typechain-types/index.js";

import { DAY, ethers, FOR_EVER, loadFixture, now } from "./support/chain.js";
import { wrongCallers } from "./support/fleet.js";
import {
  bareSummary,
  deployMarket,
  documentSummary,
  eventsOf,
  keyEvent,
  redeem,
  saleOf,
  Status,
  SUSPEND,
  type Market,
} from "./support/transfers.js";

const selectorOf = (devices: DeviceRegistry, name: string): string =>
  devices.interface.getFunction(name as never).selector;

/** Calls of the market's devices, encoded. */
function callsOf({ devices, p256Device, hashingDevice, accountDevice }: Market) {
  const { interface: abi } = devices;
  return {
    suspend: abi.encodeFunctionData("suspend", [p256Device.id, p256Device.publicKey]),
    resume: abi.encodeFunctionData("resume", [p256Device.id, p256Device.publicKey]),
    suspendHashing: abi.encodeFunctionData("suspend", [hashingDevice.id, hashingDevice.publicKey]),
    suspendAccount: abi.encodeFunctionData("suspend", [accountDevice.id, "0x"]),
    retire: abi.encodeFunctionData("retire", [p256Device.id]),
    multicall: (calls: string[]) => abi.encodeFunctionData("multicall", [calls]),
    tryMulticall: (calls: string[]) => abi.encodeFunctionData("tryMulticall", [calls]),
    error: (name: string, args: unknown[]) => abi.encodeErrorResult(name, args as never),
  };
}

/** An enrolment of a new device for the fleet: the dearest call there is. */
async function enrollCall({ devices, devicesDomain, fleet }: Market): Promise<string> {
  const key = createP256Key();
  const enrollment = {
    device: key.id,
    scheme: key.scheme,
    owner: fleet,
    manifest: 0,
    metadataHash: id("metadata"),
    deadline: (await now()) + DAY,
  };
  const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
  return devices.interface.encodeFunctionData("enroll", [enrollment, proof, "0x"]);
}

describe("DeviceRegistry batches", () => {
  describe("multicall", () => {
    it("makes all of the calls in order", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device, hashingDevice } = suite;
      const { suspend, resume, suspendHashing } = callsOf(suite);
      const p256Changed = await devices.changed(p256Device.id);
      const hashingChanged = await devices.changed(hashingDevice.id);
      const by = actors.security.address;

      const batch = devices.connect(actors.security).multicall([suspend, suspendHashing, resume]);

      const { events, blockNumber } = await eventsOf(devices, batch);
      expect(events).to.deep.equal([
        keyEvent(p256Device.id, p256Device, 0n, p256Changed),
        ["DeviceSuspended", p256Device.id, fleet, by],
        keyEvent(hashingDevice.id, hashingDevice, 0n, hashingChanged),
        ["DeviceSuspended", hashingDevice.id, fleet, by],
        keyEvent(p256Device.id, p256Device, FOR_EVER, blockNumber),
        ["DeviceResumed", p256Device.id, fleet, by],
      ]);
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
      expect(await devices.statusOf(hashingDevice.id)).to.equal(Status.Suspended);
    });

    it("gives back what each call returned", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet } = suite;
      const publish = devices.interface.encodeFunctionData("publishManifest", [
        fleet,
        id("class"),
        id("root"),
        3,
        false,
        "",
      ]);
      const view = devices.interface.encodeFunctionData("epochOf", [suite.p256Device.id]);
      const [first, second, epoch] = await devices.connect(actors.maker).multicall.staticCall([publish, publish, view]);
      expect([first, second, epoch].map((word) => BigInt(word!))).to.deep.equal([1n, 2n, 1n]);
    });

    it("is undone by one call that is refused, with that call's error", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device, hashingDevice } = suite;
      const { suspend, suspendHashing } = callsOf(suite);
      await expect(devices.connect(actors.owner).multicall([suspendHashing, suspend, suspend]))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(p256Device.id, Status.Suspended);
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
      expect(await devices.statusOf(hashingDevice.id)).to.equal(Status.Active);
    });

    for (const [caller, name] of wrongCallers) {
      it(`lets ${name} do no more than by itself`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, fleet } = suite;
        await expect(devices.connect(actors[caller]).multicall([callsOf(suite).suspend]))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, SUSPEND);
      });
    }
  });

  describe("tryMulticall", () => {
    it("skips what is refused, says which and why, and makes the others", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device, hashingDevice } = suite;
      const { suspend, suspendHashing, retire, error } = callsOf(suite);
      const p256Changed = await devices.changed(p256Device.id);
      const hashingChanged = await devices.changed(hashingDevice.id);
      const bySecurity = devices.connect(actors.security);
      const by = actors.security.address;
      const calls = [suspend, suspend, retire, suspendHashing];

      expect(await bySecurity.tryMulticall.staticCall(calls)).to.deep.equal([true, false, false, true]);
      const { events } = await eventsOf(devices, bySecurity.tryMulticall(calls));

      expect(events).to.deep.equal([
        keyEvent(p256Device.id, p256Device, 0n, p256Changed),
        ["DeviceSuspended", p256Device.id, fleet, by],
        [
          "CallSkipped",
          1n,
          selectorOf(devices, "suspend"),
          error("DeviceStatusInvalid", [p256Device.id, Status.Suspended]),
        ],
        ["CallSkipped", 2n, selectorOf(devices, "retire"), error("CallerNotGovernor", [fleet, by])],
        keyEvent(hashingDevice.id, hashingDevice, 0n, hashingChanged),
        ["DeviceSuspended", hashingDevice.id, fleet, by],
      ]);
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Suspended);
      expect(await devices.statusOf(hashingDevice.id)).to.equal(Status.Suspended);
      expect(await devices.epochOf(p256Device.id)).to.equal(1n);
    });

    it("does nothing with no calls", async () => {
      const { devices, actors } = await loadFixture(deployMarket);
      expect(await devices.connect(actors.stranger).tryMulticall.staticCall([])).to.deep.equal([]);
      const { events } = await eventsOf(devices, devices.connect(actors.stranger).tryMulticall([]));
      expect(events).to.deep.equal([]);
    });

    it("undoes all that a refused call had done before it was refused", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      // The status is written before the public key is looked at.
      const call = devices.interface.encodeFunctionData("suspend", [p256Device.id, "0x"]);
      const before = await devices.deviceOf(p256Device.id);
      const { events } = await eventsOf(devices, devices.connect(actors.owner).tryMulticall([call]));
      expect(events).to.deep.equal([
        ["CallSkipped", 0n, call.slice(0, 10), callsOf(suite).error("PublicKeyMismatch", [p256Device.id, "0x"])],
      ]);
      expect(await devices.deviceOf(p256Device.id)).to.deep.equal(before);
    });

    it("sells what can be sold when one voucher of a batch was used before", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device, hashingDevice, buyerFleet } = suite;
      const used = await saleOf(suite, { key: p256Device });
      const fresh = await saleOf(suite, { key: hashingDevice, isBearer: true });
      const calls = [used, fresh].map(({ voucher, ownerSignature, acceptance, redemption }) =>
        devices.interface.encodeFunctionData("redeemVoucher", [voucher, ownerSignature, acceptance, redemption]),
      );
      await redeem(suite, used);

      const { events } = await eventsOf(devices, devices.connect(actors.relayer).tryMulticall(calls));

      expect(events[0]).to.deep.equal([
        "CallSkipped",
        0n,
        selectorOf(devices, "redeemVoucher"),
        callsOf(suite).error("EpochStale", [p256Device.id, 2n, 1n]),
      ]);
      expect(events.slice(1).map(([name]) => name)).to.deep.equal([
        "DIDOwnerChanged",
        "DIDAttributeChanged",
        "DeviceTransferred",
      ]);
      expect(await devices.ownerOf(hashingDevice.id)).to.equal(buyerFleet);
    });

    it("skips a second change that resolvers could not tell apart, which leaves the document right", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device } = suite;
      const service = ethers.encodeBytes32String("did/svc/Web");
      const publish = devices.interface.encodeFunctionData("setAttribute", [p256Device.id, service, "0x6161", DAY]);
      const revokeAll = devices.interface.encodeFunctionData("revokeAll", [p256Device.id, p256Device.publicKey]);

      const { events, blockNumber } = await eventsOf(
        devices,
        devices.connect(actors.owner).tryMulticall([publish, revokeAll]),
      );

      expect(events[1]).to.deep.equal([
        "CallSkipped",
        1n,
        selectorOf(devices, "revokeAll"),
        callsOf(suite).error("DeviceChangedInBlock", [p256Device.id, blockNumber]),
      ]);
      expect(await documentSummary(suite, p256Device.id)).to.deep.equal({
        ...bareSummary(fleet, p256Device),
        services: ["aa"],
      });
    });

    for (const [caller, name] of wrongCallers) {
      it(`lets ${name} do no more than by itself`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, fleet, p256Device } = suite;
        const { suspend, error } = callsOf(suite);
        const by = actors[caller];
        const { events } = await eventsOf(devices, devices.connect(by).tryMulticall([suspend]));
        expect(events).to.deep.equal([
          [
            "CallSkipped",
            0n,
            selectorOf(devices, "suspend"),
            error("CallerLacksPermission", [fleet, by.address, SUSPEND]),
          ],
        ]);
        expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
      });
    }

    it("is refused as a whole where a call is malformed", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      const { suspend } = callsOf(suite);
      const rotation = devices.interface.encodeFunctionData("rotateKey", [
        {
          device: p256Device.id,
          oldKey: p256Device.id,
          newKey: actors.stranger.address,
          newScheme: Scheme.P256,
          epoch: 1,
          deadline: 1,
        },
        { publicKey: "0x", signature: "0x" },
        { publicKey: "0x", signature: "0x" },
      ]);
      const unknownScheme = concat([
        rotation.slice(0, 10 + 3 * 64),
        ethers.toBeHex(3, 32),
        `0x${rotation.slice(10 + 4 * 64)}`,
      ]);
      const malformed = [
        { name: "nothing at all", call: "0x" },
        { name: "less than a selector", call: suspend.slice(0, 8) },
        { name: "an unknown function", call: "0xdeadbeef" },
        { name: "a selector without arguments", call: suspend.slice(0, 10) },
        { name: "arguments that are cut off", call: suspend.slice(0, -64) },
        { name: "an address that is too long", call: concat([suspend.slice(0, 10), `0x${"ff".repeat(96)}`]) },
        { name: "a scheme that there is not", call: unknownScheme },
      ];
      for (const { name, call } of malformed) {
        await expect(devices.connect(actors.owner).tryMulticall([suspend, call]), name)
          .to.be.revertedWithCustomError(devices, "CallBroken")
          .withArgs(1n);
        expect(await devices.statusOf(p256Device.id), name).to.equal(Status.Active);
      }
    });

    it("never skips a call for want of gas, whatever the limit", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors } = suite;
      const call = await enrollCall(suite);
      await expectNoSkipForGas(suite, call, 150_000n);
      // Somewhere between nothing and enough the batch has the gas to say what is wrong, and says that and nothing else.
      const batch = devices.connect(actors.owner).tryMulticall;
      const enough = await batch.estimateGas([call]);
      const refusals = new Set<string | undefined>();
      for (let step = 1n; step < 50n; ++step) {
        await batch
          .staticCall([call], { gasLimit: 30_000n + ((enough - 30_000n) * step) / 50n })
          .catch((error: unknown) => refusals.add(decodeRevert(error)?.errorName));
      }
      expect([...refusals].filter((name) => name !== undefined)).to.deep.equal(["CallBroken"]);
    });
  });

  describe("nested batches", () => {
    it("keep the sender, at any depth", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device } = suite;
      const { suspend, multicall, tryMulticall } = callsOf(suite);
      const nested = multicall([tryMulticall([multicall([suspend])])]);
      await expect(devices.connect(actors.security).tryMulticall([nested]))
        .to.emit(devices, "DeviceSuspended")
        .withArgs(p256Device.id, fleet, actors.security.address);
    });

    it("let a group of calls stand or fall together among others", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device, hashingDevice, accountDevice } = suite;
      const { suspend, suspendHashing, suspendAccount, multicall, error } = callsOf(suite);
      const byOwner = devices.connect(actors.owner);
      await byOwner.suspend(hashingDevice.id, hashingDevice.publicKey);

      const { events } = await eventsOf(
        devices,
        byOwner.tryMulticall([multicall([suspend, suspendHashing]), suspendAccount]),
      );

      expect(events[0]).to.deep.equal([
        "CallSkipped",
        0n,
        selectorOf(devices, "multicall"),
        error("DeviceStatusInvalid", [hashingDevice.id, Status.Suspended]),
      ]);
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
      expect(await devices.statusOf(accountDevice.id)).to.equal(Status.Suspended);
    });

    it("number what they skip each for itself", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device } = suite;
      const { suspend, suspendHashing, suspendAccount, tryMulticall, error } = callsOf(suite);
      const { stranger } = actors;
      const calls = [suspendHashing, tryMulticall([suspendAccount, suspend])];
      const { events } = await eventsOf(devices, devices.connect(stranger).tryMulticall(calls));
      const reason = error("CallerLacksPermission", [fleet, stranger.address, SUSPEND]);
      const selector = selectorOf(devices, "suspend");
      expect(events).to.deep.equal([0n, 0n, 1n].map((index) => ["CallSkipped", index, selector, reason]));
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
    });

    it("are refused as a whole where a call within is malformed", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      const { suspend, multicall, tryMulticall } = callsOf(suite);
      for (const nested of [multicall(["0xdeadbeef"]), tryMulticall(["0xdeadbeef"])]) {
        for (const call of [nested, tryMulticall([nested]), multicall([nested])]) {
          await expect(devices.connect(actors.owner).tryMulticall([suspend, call]))
            .to.be.revertedWithCustomError(devices, "CallBroken")
            .withArgs(1n);
        }
      }
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Active);
    });

    it("never skip a call for want of gas either", async () => {
      const suite = await loadFixture(deployMarket);
      const { multicall, tryMulticall } = callsOf(suite);
      for (const nest of [multicall, tryMulticall]) {
        const enrollments: string[] = [];
        for (let i = 0; i < 8; i++) enrollments.push(await enrollCall(suite));
        await expectNoSkipForGas(suite, nest(enrollments), 800_000n);
      }
    });
  });

  it("carry an owner's signatures for others as well", async () => {
    const suite = await loadFixture(deployMarket);
    const { devices, devicesDomain, actors, fleet } = suite;
    const key = createP256Key();
    const enrollment = {
      device: key.id,
      scheme: key.scheme,
      owner: fleet,
      manifest: 0,
      metadataHash: id("metadata"),
      deadline: (await now()) + DAY,
    };
    const message = enrollmentMessage(devicesDomain, enrollment);
    const { signature } = await (await accountKey(actors.owner)).prove(message);
    const call = devices.interface.encodeFunctionData("enroll", [enrollment, await key.prove(message), signature]);
    await devices.connect(actors.relayer).tryMulticall([call, call]);
    expect(await devices.ownerOf(key.id)).to.equal(fleet);
  });
});

/** Whatever the gas, the call is made or the transaction reverts: nothing in between succeeds. */
async function expectNoSkipForGas({ devices, actors }: Market, call: string, enough: bigint): Promise<void> {
  const byOwner = devices.connect(actors.owner);
  const outcomes = new Set<string>();
  for (let gasLimit = 40_000n; gasLimit <= enough; gasLimit += 2_500n) {
    const outcome = await byOwner.tryMulticall.staticCall([call], { gasLimit }).then(String, () => "reverted");
    expect(outcome, `with ${gasLimit.toString()} gas`).to.be.oneOf(["true", "reverted"]);
    outcomes.add(outcome);
  }
  expect(outcomes, "some limit suffices and some does not").to.have.length(2);
}
