import { expect } from "chai";
import { concat, getBytes, hexlify, id, toBeHex, ZeroAddress, ZeroHash } from "ethers";
import { network } from "hardhat";

import { createP256Key, Scheme } from "../client/keys.js";
import { anchorMessage, messageDigest } from "../client/typed-data.js";
import {
  IBatch__factory,
  IDataAnchor__factory,
  IRegistry__factory,
  KeyProofs__factory,
} from "../typechain-types/index.js";

import { ethers, loadFixture, networkHelpers, now } from "./support/chain.js";
import { deployFleet, enrollDevice, wrongCallers } from "./support/fleet.js";
import { interfaceIdOf, REGISTRY_INTERFACE_IDS } from "./support/interface-id.js";
import {
  ANCHOR,
  anchorOf,
  append,
  deployFilledLog,
  deployLogs,
  deviceLogOf,
  eventArgsOf,
  fleetLogOf,
  FreshState,
  HOUR_MS,
  Kind,
  leafOf,
  prove,
  recordOf,
  send,
  Tree,
  type Anchor,
  type AnchorRecord,
  type Logs,
} from "./support/logs.js";
import { keccak256, pathOf, peakPathOf, rootOf, sha256, type Hash } from "./support/rfc9162.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";

/** The contract of EIP-2935 and its code, as on mainnet. */
const BLOCK_HASHES = "0x0000F90827F1C53a10cb7A02335B175320002935";
const BLOCK_HASHES_CODE =
  "0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";
const BLOCK_HASHES_KEPT = 8191;

/** The calldata with another word for a member of the anchor, as no encoder would write it. */
function withWord(calldata: string, member: number, word: string): string {
  const bytes = getBytes(calldata);
  bytes.set(getBytes(word), 4 + 32 * member);
  return hexlify(bytes);
}

describe("DataAnchor", () => {
  describe("anchor", () => {
    for (const scheme of [Scheme.P256, Scheme.P256Sha256] as const) {
      it(`appends what a P-256 device signed with scheme ${scheme}, whoever carries it`, async () => {
        const suite = await loadFixture(deployLogs);
        const { data, actors } = suite;
        const key = createP256Key({ scheme });
        await enrollDevice(suite, { key, owner: suite.fleet, by: actors.owner });
        const anchor = await anchorOf({ logId: deviceLogOf(key.id) });

        const sending = data.connect(actors.relayer).anchor(anchor, await prove(suite, key, anchor));

        await sending;
        const record = await recordOf(anchor, FreshState.None, key.id);
        await expect(sending)
          .to.emit(data, "Anchored")
          .withArgs(...eventArgsOf(record));
        expect((await (await sending).wait())!.logs).to.have.length(1);
        expect(structOf(await data.head(anchor.logId))).to.deep.equal({
          nextSeq: 10n,
          size: 1n,
          lastMeasured: anchor.tLast,
          lastAnchored: await now(),
        });
        expect(await data.root(anchor.logId)).to.equal(leafOf(record));
        expect(await data.verifyAnchor(record, [])).to.equal(true);
      });
    }

    it("appends what an account device signed", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, accountDevice } = suite;
      const anchor = await anchorOf({ logId: deviceLogOf(accountDevice.id) });

      const sending = data.connect(actors.relayer).anchor(anchor, await prove(suite, accountDevice, anchor));

      await sending;
      await expect(sending)
        .to.emit(data, "Anchored")
        .withArgs(...eventArgsOf(await recordOf(anchor, FreshState.None, accountDevice.id)));
    });

    it("takes data, gaps and corrections, one after the other", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, p256Device, deviceLog } = suite;
      const steps: Partial<Anchor>[] = [
        { kind: Kind.Data, firstSeq: 0n },
        { kind: Kind.Gap, firstSeq: 10n, root: ZeroHash },
        { kind: Kind.Correction, firstSeq: 5n, count: 15n, supersedes: 1n },
      ];
      const start = await anchorOf({ logId: deviceLog });
      for (const [index, step] of steps.entries()) {
        const anchor = { ...start, tFirst: start.tLast, index: BigInt(index), ...step };
        await data.connect(actors.relayer).anchor(anchor, await prove(suite, p256Device, anchor));
      }
      const { nextSeq, size } = await data.head(deviceLog);
      expect([nextSeq, size]).to.deep.equal([20n, 3n]);
    });

    it("lets anyone carry what the device signed", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, p256Device, deviceLog } = suite;
      const start = await anchorOf({ logId: deviceLog });
      for (const [index, [caller]] of wrongCallers.entries()) {
        const anchor = { ...start, tFirst: start.tLast, index: BigInt(index), firstSeq: BigInt(index) * 10n };
        const sending = data.connect(actors[caller]).anchor(anchor, await prove(suite, p256Device, anchor));
        await sending;
        await expect(sending)
          .to.emit(data, "Anchored")
          .withArgs(...eventArgsOf(await recordOf(anchor, FreshState.None, p256Device.id)));
      }
    });

    it("refuses every proof that is not the device's over exactly this anchor", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, p256Device, accountDevice, domain } = suite;
      for (const key of [p256Device, accountDevice]) {
        const anchor = await anchorOf({ logId: deviceLogOf(key.id) });
        const message = anchorMessage(domain, anchor);
        const wrong = await wrongProofs({ key, wrongKey: createP256Key(), message });
        expect(wrong).to.have.length(5 + 13);
        for (const { name, proof } of wrong) {
          await expect(data.connect(actors.relayer).anchor(anchor, proof), name)
            .to.be.revertedWithCustomError(data, "KeyProofInvalid")
            .withArgs(key.id, messageDigest(message));
        }
        expect((await data.head(anchor.logId)).size).to.equal(0n);
      }
    });

    it("refuses the owner's and the members' word for the device's", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, deviceLog } = suite;
      const anchor = await anchorOf({ logId: deviceLog });
      for (const caller of ["owner", "admin", "gateway"] as const) {
        await expect(data.connect(actors[caller]).anchorAsMember(anchor))
          .to.be.revertedWithCustomError(data, "LogNeedsDevice")
          .withArgs(deviceLog);
      }
    });

    it("refuses an anchor that was sent before", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, p256Device, deviceLog } = suite;
      const anchor = await anchorOf({ logId: deviceLog });
      const proof = await prove(suite, p256Device, anchor);
      await data.connect(actors.relayer).anchor(anchor, proof);
      await expect(data.connect(actors.stranger).anchor(anchor, proof))
        .to.be.revertedWithCustomError(data, "IndexMismatch")
        .withArgs(deviceLog, 1n, 0n);
    });

    it("refuses a fleet log", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device } = suite;
      const logId = fleetLogOf(p256Device.id);
      const anchor = await anchorOf({ logId });
      await expect(data.anchor(anchor, await prove(suite, p256Device, anchor)))
        .to.be.revertedWithCustomError(data, "LogNeedsMember")
        .withArgs(logId);
    });

    it("refuses the kinds that only fleets have", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device, deviceLog } = suite;
      for (const kind of [Kind.Receipts, Kind.AccessLog]) {
        const anchor = await anchorOf({ logId: deviceLog, kind });
        await expect(data.anchor(anchor, await prove(suite, p256Device, anchor)))
          .to.be.revertedWithCustomError(data, "KindNotAllowed")
          .withArgs(deviceLog, kind);
      }
    });

    it("refuses a device that was never enrolled", async () => {
      const suite = await loadFixture(deployLogs);
      const key = createP256Key();
      const anchor = await anchorOf({ logId: deviceLogOf(key.id) });
      await expect(suite.data.anchor(anchor, await prove(suite, key, anchor)))
        .to.be.revertedWithCustomError(suite.data, "DeviceNotActive")
        .withArgs(key.id);
    });

    it("refuses a device while it is suspended, and once it is retired", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, devices, actors, p256Device, deviceLog } = suite;
      const byOwner = devices.connect(actors.owner);
      const anchor = await anchorOf({ logId: deviceLog });
      const sent = [anchor, await prove(suite, p256Device, anchor)] as const;
      const next = { ...anchor, index: 1n, firstSeq: 10n, tFirst: anchor.tLast };

      await byOwner.suspend(p256Device.id, p256Device.publicKey);
      await expect(data.anchor(...sent))
        .to.be.revertedWithCustomError(data, "DeviceNotActive")
        .withArgs(p256Device.id);
      await byOwner.resume(p256Device.id, p256Device.publicKey);
      await data.anchor(...sent);
      await byOwner.retire(p256Device.id);
      await expect(data.anchor(next, await prove(suite, p256Device, next)))
        .to.be.revertedWithCustomError(data, "DeviceNotActive")
        .withArgs(p256Device.id);
    });

    it("takes an anchor in its last second, and not after", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device, deviceLog } = suite;
      const deadline = (await now()) + 100n;
      const anchor = await anchorOf({ logId: deviceLog, deadline });
      const proof = await prove(suite, p256Device, anchor);

      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expect(data.anchor(anchor, proof)).to.be.revertedWithCustomError(data, "DeadlinePassed").withArgs(deadline);

      const again = await loadFixture(deployLogs);
      await networkHelpers.time.setNextBlockTimestamp(deadline);
      // The fixture makes new keys, so the anchor is made and signed again.
      const inTime = { ...anchor, logId: again.deviceLog };
      await again.data.anchor(inTime, await prove(again, again.p256Device, inTime));
      expect((await again.data.head(again.deviceLog)).lastAnchored).to.equal(deadline);
    });
  });

  describe("anchorAsMember", () => {
    for (const caller of ["owner", "admin", "gateway"] as const) {
      it(`appends to the fleet's log for its ${caller}`, async () => {
        const suite = await loadFixture(deployLogs);
        const { data, actors, fleetLog } = suite;

        const { anchor, sending } = await send(suite, { tree: Tree.Sha256 }, actors[caller]);

        await sending;
        const record = await recordOf(anchor, FreshState.None, actors[caller].address);
        await expect(sending)
          .to.emit(data, "Anchored")
          .withArgs(...eventArgsOf(record));
        expect((await (await sending).wait())!.logs).to.have.length(1);
        expect(structOf(await data.head(fleetLog))).to.deep.equal({
          nextSeq: 10n,
          size: 1n,
          lastMeasured: anchor.tLast,
          lastAnchored: await now(),
        });
        expect(await data.verifyAnchor(record, [])).to.equal(true);
      });
    }

    it("appends to the log of an account for itself", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const { anchor, sending } = await send(suite, { logId: fleetLogOf(actors.device.address) }, actors.device);
      await sending;
      await expect(sending)
        .to.emit(data, "Anchored")
        .withArgs(...eventArgsOf(await recordOf(anchor, FreshState.None, actors.device.address)));
    });

    for (const [caller, name] of wrongCallers) {
      it(`refuses ${name}`, async () => {
        const suite = await loadFixture(deployLogs);
        const { data, actors, fleet, fleetLog } = suite;
        await expect((await send(suite, {}, actors[caller])).sending)
          .to.be.revertedWithCustomError(data, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, ANCHOR);
        expect((await data.head(fleetLog)).size).to.equal(0n);
      });
    }

    it("refuses a member with other permissions than Anchor", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, fleet } = suite;
      for (const caller of ["operator", "security", "maker"] as const) {
        await expect((await send(suite, {}, actors[caller])).sending)
          .to.be.revertedWithCustomError(data, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, ANCHOR);
      }
    });

    it("refuses everyone for a subject that has neither key nor governor", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      await expect((await send(suite, { logId: fleetLogOf(ZeroAddress) }, actors.owner)).sending)
        .to.be.revertedWithCustomError(data, "CallerLacksPermission")
        .withArgs(ZeroAddress, actors.owner.address, ANCHOR);
    });

    it("refuses a device log, even for the account that is the device", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const logId = deviceLogOf(actors.device.address);
      await expect((await send(suite, { logId }, actors.device)).sending)
        .to.be.revertedWithCustomError(data, "LogNeedsDevice")
        .withArgs(logId);
    });

    it("takes an anchor in its last second, and not after", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleetLog } = suite;
      const deadline = (await now()) + 100n;
      const { anchor, sending } = await send(suite, { deadline });
      await sending;
      await networkHelpers.time.setNextBlockTimestamp(deadline);
      const last = { ...anchor, index: 1n, firstSeq: 10n, tFirst: anchor.tLast };
      await data.connect(suite.actors.gateway).anchorAsMember(last);
      expect((await data.head(fleetLog)).lastAnchored).to.equal(deadline);
      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expect(data.connect(suite.actors.gateway).anchorAsMember({ ...last, index: 2n, firstSeq: 20n }))
        .to.be.revertedWithCustomError(data, "DeadlinePassed")
        .withArgs(deadline);
    });

    it("refuses an anchor with a number that is wider than its type", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const anchor = await anchorOf({ logId: suite.fleetLog });
      const calldata = data.interface.encodeFunctionData("anchorAsMember", [anchor]);
      const widths = { 1: 64n, 4: 64n, 5: 64n, 6: 48n, 7: 48n, 8: 64n };
      for (const [member, width] of Object.entries(widths)) {
        for (const bit of [width, 255n]) {
          const word = BigInt(
            hexlify(
              getBytes(calldata)
                .slice(4 + 32 * Number(member))
                .slice(0, 32),
            ),
          );
          const tampered = withWord(calldata, Number(member), toBeHex(word | (1n << bit), 32));
          await expect(
            actors.gateway.sendTransaction({ to: data, data: tampered, gasLimit: 1_000_000n }),
            `member ${member}, bit ${bit.toString()}`,
          ).to.be.revertedWithCustomError(data, "AnchorMalformed");
        }
      }
    });

    it("refuses a kind and a tree that do not exist", async () => {
      const { data, actors, calldata } = await encodedAnchor();
      const words: [number, bigint][] = [
        [2, 5n],
        [2, 1n << 8n],
        [3, 2n],
        [3, 1n << 8n],
      ];
      for (const [member, word] of words) {
        const tampered = withWord(calldata, member, toBeHex(word, 32));
        await expect(
          actors.gateway.sendTransaction({ to: data, data: tampered, gasLimit: 1_000_000n }),
          `member ${member}`,
        ).to.be.revertedWithCustomError(data, "AnchorMalformed");
      }
    });

    it("refuses a fresh block and a deadline that are wider than their types", async () => {
      const { data, actors, calldata } = await encodedAnchor();
      const words: [number, bigint][] = [
        [9, 1n << 64n],
        [12, 1n << 40n],
      ];
      for (const [member, word] of words) {
        const tampered = withWord(calldata, member, toBeHex(word, 32));
        await expect(
          actors.gateway.sendTransaction({ to: data, data: tampered, gasLimit: 1_000_000n }),
          `member ${member}`,
        ).to.be.revertedWithoutReason(ethers);
      }
    });

    async function encodedAnchor() {
      const suite = await loadFixture(deployLogs);
      const anchor = await anchorOf({ logId: suite.fleetLog });
      return { ...suite, calldata: suite.data.interface.encodeFunctionData("anchorAsMember", [anchor]) };
    }
  });

  describe("what continues a log", () => {
    it("is an anchor whose index is the log's size", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const index of [0n, 2n, 4n]) {
        await expect((await send(suite, { index, firstSeq: 30n })).sending)
          .to.be.revertedWithCustomError(suite.data, "IndexMismatch")
          .withArgs(suite.fleetLog, 3n, index);
      }
    });

    it("is an anchor whose first reading follows the last", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const firstSeq of [0n, 29n, 31n]) {
        await expect((await send(suite, { index: 3n, firstSeq })).sending)
          .to.be.revertedWithCustomError(suite.data, "SequenceMismatch")
          .withArgs(suite.fleetLog, 30n, firstSeq);
      }
    });

    it("has at least one reading and at most 2^32", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const count of [0n, 2n ** 32n + 1n, 2n ** 64n - 1n]) {
        await expect((await send(suite, { index: 3n, firstSeq: 30n, count })).sending)
          .to.be.revertedWithCustomError(suite.data, "CountInvalid")
          .withArgs(count);
      }
      await append(suite, { index: 3n, firstSeq: 30n, count: 2n ** 32n });
      await append(suite, { index: 4n, firstSeq: 30n + 2n ** 32n, count: 1n });
      expect((await suite.data.head(suite.fleetLog)).nextSeq).to.equal(31n + 2n ** 32n);
    });

    it("has sequence numbers that stay below 2^64", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const kind of [Kind.Data, Kind.Correction]) {
        for (const [firstSeq, count] of [
          [2n ** 64n - 1n, 1n],
          [2n ** 64n - 10n, 10n],
        ] as const) {
          await expect((await send(suite, { index: 3n, kind, firstSeq, count })).sending)
            .to.be.revertedWithCustomError(suite.data, "CountInvalid")
            .withArgs(count);
        }
      }
      await expect((await send(suite, { index: 3n, firstSeq: 2n ** 64n - 2n, count: 1n })).sending)
        .to.be.revertedWithCustomError(suite.data, "SequenceMismatch")
        .withArgs(suite.fleetLog, 30n, 2n ** 64n - 2n);
    });

    it("begins no earlier than the last measurement", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleetLog, lastMeasured } = suite;
      await expect((await send(suite, { index: 3n, firstSeq: 30n, tFirst: lastMeasured - 1n })).sending)
        .to.be.revertedWithCustomError(data, "TimeRegressed")
        .withArgs(fleetLog, lastMeasured, lastMeasured - 1n);
      await append(suite, { index: 3n, firstSeq: 30n, tFirst: lastMeasured, tLast: lastMeasured });
      expect((await data.head(fleetLog)).lastMeasured).to.equal(lastMeasured);
    });

    it("does not end before it begins", async () => {
      const suite = await loadFixture(deployLogs);
      for (const kind of [Kind.Data, Kind.Correction]) {
        const { anchor, sending } = await send(suite, { kind, tLast: 999n, tFirst: 1000n });
        await expect(sending)
          .to.be.revertedWithCustomError(suite.data, "TimeRegressed")
          .withArgs(anchor.logId, 1000n, 999n);
      }
    });

    it("ends at most an hour ahead of the chain", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleetLog } = suite;
      const next = (await now()) + 50n;
      const latest = next * 1000n + HOUR_MS;
      for (const kind of [Kind.Data, Kind.Correction]) {
        const step = { index: 3n, kind, firstSeq: kind === Kind.Data ? 30n : 0n, tLast: latest + 1n };
        await networkHelpers.time.setNextBlockTimestamp(next);
        await expect((await send(suite, step)).sending)
          .to.be.revertedWithCustomError(data, "TimeInFuture")
          .withArgs(latest, latest + 1n);
      }
      await networkHelpers.time.setNextBlockTimestamp(next + 1n);
      await (
        await send(suite, { index: 3n, firstSeq: 30n, tLast: latest + 1000n })
      ).sending;
      expect((await data.head(fleetLog)).lastMeasured).to.equal(latest + 1000n);
    });

    it("has a root unless it is a gap", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const kind of [Kind.Data, Kind.Correction, Kind.Receipts, Kind.AccessLog]) {
        const firstSeq = kind === Kind.Correction ? 0n : 30n;
        await expect((await send(suite, { index: 3n, kind, firstSeq, root: ZeroHash })).sending)
          .to.be.revertedWithCustomError(suite.data, "RootInvalid")
          .withArgs(kind, ZeroHash);
      }
      await expect((await send(suite, { index: 3n, kind: Kind.Gap, firstSeq: 30n, root: id("root") })).sending)
        .to.be.revertedWithCustomError(suite.data, "RootInvalid")
        .withArgs(Kind.Gap, id("root"));
    });

    for (const kind of [Kind.Data, Kind.Gap, Kind.Receipts, Kind.AccessLog]) {
      it(`moves sequence and time if it is of kind ${kind.toString()}, and supersedes nothing`, async () => {
        const suite = await loadFixture(deployFilledLog);
        const { data, actors, fleetLog } = suite;
        const step = { index: 3n, kind, firstSeq: 30n, root: kind === Kind.Gap ? ZeroHash : id("root") };

        await expect((await send(suite, { ...step, supersedes: 1n })).sending)
          .to.be.revertedWithCustomError(data, "SupersedesInvalid")
          .withArgs(1n, 3n);
        const { anchor, sending } = await send(suite, step);

        await sending;
        await expect(sending)
          .to.emit(data, "Anchored")
          .withArgs(...eventArgsOf(await recordOf(anchor, FreshState.None, actors.gateway.address)));
        expect(structOf(await data.head(fleetLog))).to.deep.equal({
          nextSeq: 40n,
          size: 4n,
          lastMeasured: anchor.tLast,
          lastAnchored: await now(),
        });
      });
    }

    it("moves neither sequence nor time if it is a correction", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, actors, fleetLog, lastMeasured } = suite;
      const step = { index: 3n, kind: Kind.Correction, firstSeq: 5n, count: 25n, supersedes: 2n };
      const { lastAnchored } = await data.head(fleetLog);

      const { anchor, sending } = await send(suite, { ...step, tFirst: 1n, tLast: 2n });

      await sending;
      await expect(sending)
        .to.emit(data, "Anchored")
        .withArgs(...eventArgsOf(await recordOf(anchor, FreshState.None, actors.gateway.address)));
      expect(structOf(await data.head(fleetLog))).to.deep.equal({
        nextSeq: 30n,
        size: 4n,
        lastMeasured,
        lastAnchored,
      });
    });

    it("supersedes an anchor of the log if it is a correction", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const supersedes of [3n, 2n ** 64n - 1n]) {
        await expect((await send(suite, { index: 3n, kind: Kind.Correction, supersedes })).sending)
          .to.be.revertedWithCustomError(suite.data, "SupersedesInvalid")
          .withArgs(supersedes, 3n);
      }
      const empty = await send(suite, { logId: fleetLogOf(suite.fleet, 8n), kind: Kind.Correction });
      await expect(empty.sending).to.be.revertedWithCustomError(suite.data, "SupersedesInvalid").withArgs(0n, 0n);
    });

    it("corrects only readings that the log has", async () => {
      const suite = await loadFixture(deployFilledLog);
      for (const firstSeq of [21n, 30n, 2n ** 64n - 11n]) {
        await expect((await send(suite, { index: 3n, kind: Kind.Correction, firstSeq })).sending)
          .to.be.revertedWithCustomError(suite.data, "CorrectionOutOfRange")
          .withArgs(30n, firstSeq + 10n);
      }
    });

    it("leaves every other log alone", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleet } = suite;
      const other = fleetLogOf(fleet, 8n);
      expect((await data.head(other)).size).to.equal(0n);
      await append(suite, { logId: other });
      expect((await data.head(other)).size).to.equal(1n);
      expect((await data.head(suite.fleetLog)).size).to.equal(3n);
    });
  });

  describe("the block that shows how fresh an anchor is", () => {
    /** Number and hash of the block that will be `age` blocks before the next one. */
    async function blockBack(age: number) {
      const number = (await networkHelpers.time.latestBlock()) + 1 - age;
      return { freshBlock: BigInt(number), freshHash: (await ethers.provider.getBlock(number))!.hash! };
    }

    async function expectState(suite: Logs, fresh: Partial<Anchor>, freshState: bigint) {
      const { anchor, sending } = await send(suite, fresh);
      await sending;
      const record = await recordOf(anchor, freshState, suite.actors.gateway.address);
      await expect(sending)
        .to.emit(suite.data, "Anchored")
        .withArgs(...eventArgsOf(record));
      expect(await suite.data.verifyAnchor(record, [])).to.equal(true);
    }

    async function expectInvalid(suite: Logs, fresh: { freshBlock: bigint; freshHash: string }) {
      await expect((await send(suite, fresh)).sending)
        .to.be.revertedWithCustomError(suite.data, "FreshBlockInvalid")
        .withArgs(fresh.freshBlock, fresh.freshHash);
    }

    async function deployOnLongChain() {
      const suite = await deployLogs();
      await networkHelpers.mine(BLOCK_HASHES_KEPT + 10);
      return suite;
    }

    /** The chain keeps the hashes of the blocks `ages` before the next one, as EIP-2935 says. */
    async function keepHashes(ages: number[]) {
      await networkHelpers.setCode(BLOCK_HASHES, BLOCK_HASHES_CODE);
      for (const age of ages) {
        const { freshBlock, freshHash } = await blockBack(age);
        await networkHelpers.setStorageAt(BLOCK_HASHES, freshBlock % BigInt(BLOCK_HASHES_KEPT), freshHash);
      }
    }

    for (const age of [1, 2, 256]) {
      it(`is confirmed if it is ${age} blocks old`, async () => {
        const suite = await loadFixture(deployOnLongChain);
        await expectState(suite, await blockBack(age), FreshState.Confirmed);
      });

      it(`is refused with another hash if it is ${age} blocks old`, async () => {
        const suite = await loadFixture(deployOnLongChain);
        const { freshBlock } = await blockBack(age);
        await expectInvalid(suite, { freshBlock, freshHash: id("another") });
        await expectInvalid(suite, { freshBlock, freshHash: ZeroHash });
      });
    }

    for (const ahead of [0n, 1n, 1000n]) {
      it(`is refused if it is not mined yet, ${ahead.toString()} blocks after this one`, async () => {
        const suite = await loadFixture(deployOnLongChain);
        const freshBlock = BigInt(await networkHelpers.time.latestBlock()) + 1n + ahead;
        await expectInvalid(suite, { freshBlock, freshHash: ZeroHash });
        await expectInvalid(suite, { freshBlock, freshHash: id("hash") });
      });
    }

    it("has no hash if none is named", async () => {
      const suite = await loadFixture(deployLogs);
      await expectInvalid(suite, { freshBlock: 0n, freshHash: id("hash") });
    });

    for (const age of [257, BLOCK_HASHES_KEPT]) {
      it(`is confirmed if it is ${age} blocks old and the chain keeps hashes`, async () => {
        const suite = await loadFixture(deployOnLongChain);
        await keepHashes([age]);
        await expectState(suite, await blockBack(age), FreshState.Confirmed);
      });

      it(`is refused with another hash if it is ${age} blocks old and the chain keeps hashes`, async () => {
        const suite = await loadFixture(deployOnLongChain);
        await keepHashes([age]);
        const { freshBlock } = await blockBack(age);
        await expectInvalid(suite, { freshBlock, freshHash: id("another") });
      });

      it(`is too old if it is ${age} blocks old and the chain kept no hashes then`, async () => {
        const suite = await loadFixture(deployOnLongChain);
        await keepHashes([]);
        await expectState(suite, await blockBack(age), FreshState.TooOld);
      });
    }

    it("is too old if the chain keeps hashes, but not for so long", async () => {
      const suite = await loadFixture(deployOnLongChain);
      await keepHashes([BLOCK_HASHES_KEPT + 1]);
      await expectState(suite, await blockBack(BLOCK_HASHES_KEPT + 1), FreshState.TooOld);
    });

    it("is too old beyond 256 blocks where what should keep hashes reverts", async () => {
      const suite = await loadFixture(deployOnLongChain);
      await networkHelpers.setCode(BLOCK_HASHES, "0x5f5ffd");
      await expectState(suite, await blockBack(257), FreshState.TooOld);
    });

    it("is too old beyond 256 blocks where nothing keeps hashes", async () => {
      const suite = await loadFixture(deployOnLongChain);
      await networkHelpers.setCode(BLOCK_HASHES, "0x");
      await expectState(suite, await blockBack(257), FreshState.TooOld);
    });

    it("is taken with whatever hash once it is too old to tell", async () => {
      const suite = await loadFixture(deployOnLongChain);
      await expectState(suite, { freshBlock: 1n, freshHash: id("another") }, FreshState.TooOld);
    });
  });

  describe("a log and its proofs", () => {
    it("is empty before its first anchor", async () => {
      const { data, fleetLog } = await loadFixture(deployLogs);
      expect(structOf(await data.head(fleetLog))).to.deep.equal({
        nextSeq: 0n,
        size: 0n,
        lastMeasured: 0n,
        lastAnchored: 0n,
      });
      expect(await data.root(fleetLog)).to.equal(keccak256("0x"));
    });

    it("proves each of its anchors at every size", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleetLog } = suite;
      const records: AnchorRecord[] = [];
      for (let size = 1; size <= 18; size++) {
        records.push(await append(suite, { index: BigInt(size - 1), firstSeq: BigInt(size - 1) * 10n }));
        const leaves = records.map(leafOf);
        expect(await data.root(fleetLog)).to.equal(rootOf(leaves, keccak256));
        expect(await data.leafOf(records[size - 1]!)).to.equal(leaves[size - 1]);
        for (const [index, record] of records.entries()) {
          const proof = peakPathOf(index, leaves, keccak256);
          expect(await data.verifyAnchor(record, proof)).to.equal(true);
        }
      }
    });

    it("does not prove an anchor of which anything is altered", async () => {
      const { data, records } = await loadFixture(deployFilledLog);
      const record = records[1]!;
      const proof = peakPathOf(1, records.map(leafOf), keccak256);
      expect(await data.verifyAnchor(record, proof)).to.equal(true);
      expect(Object.keys(record)).to.have.length(14);
      for (const [name, value] of Object.entries(record)) {
        const altered = typeof value === "bigint" ? value ^ 1n : hexlify(getBytes(value).map((byte) => byte ^ 1));
        expect(await data.verifyAnchor({ ...record, [name]: altered }, proof), name).to.equal(false);
      }
    });

    it("does not prove an anchor with a proof that is altered, too long or too short", async () => {
      const { data, records } = await loadFixture(deployFilledLog);
      const [first, , last] = records as [AnchorRecord, AnchorRecord, AnchorRecord];
      const leaves = records.map(leafOf);
      const proof = peakPathOf(0, leaves, keccak256);
      expect(proof).to.deep.equal([leaves[1]]);
      for (const wrong of [[], [id("sibling")], [...proof, leaves[2]!], [...proof, ...proof]]) {
        expect(await data.verifyAnchor(first, wrong)).to.equal(false);
      }
      expect(await data.verifyAnchor(last, [])).to.equal(true);
      expect(await data.verifyAnchor(last, [leaves[1]!])).to.equal(false);
    });

    it("proves nothing of a log that was never written", async () => {
      const { data, fleet, records } = await loadFixture(deployFilledLog);
      const elsewhere = { ...records[0]!, logId: fleetLogOf(fleet, 8n) };
      expect(await data.verifyAnchor(elsewhere, [])).to.equal(false);
    });
  });

  describe("verifyReading", () => {
    const READINGS = 11;

    /** A log of three anchors, the second of which holds eleven readings that are 1 s apart. */
    async function readingsIn(tree: bigint) {
      const suite = await loadFixture(deployLogs);
      const hash: Hash = tree === Tree.Keccak256 ? keccak256 : sha256;
      const start = (await now()) * 1000n - 30_000n;
      const readings = Array.from({ length: READINGS }, (_, place) => ({
        seq: 10n + BigInt(place),
        measuredAt: start + BigInt(place) * 1000n,
        commitment: id(`reading ${place}`),
      }));
      const leaves = readings.map(({ seq, measuredAt, commitment }) =>
        hash(concat(["0x0001", suite.fleetLog, toBeHex(seq, 8), toBeHex(measuredAt, 6), commitment])),
      );
      const batch = { tree, root: rootOf(leaves, hash), tFirst: start, tLast: readings.at(-1)!.measuredAt };
      const records = [
        await append(suite, { tFirst: 0n, tLast: start }),
        await append(suite, { ...batch, index: 1n, firstSeq: 10n, count: BigInt(READINGS) }),
        await append(suite, {
          index: 2n,
          firstSeq: 21n,
          count: 1n,
          kind: Kind.Gap,
          root: ZeroHash,
          tFirst: batch.tLast,
        }),
      ];
      const peakProof = peakPathOf(1, records.map(leafOf), keccak256);
      const proofOf = (place: number): string[] => pathOf(place, leaves, hash);
      return { ...suite, readings, leaves, records, record: records[1]!, peakProof, proofOf };
    }

    for (const [name, tree] of Object.entries(Tree)) {
      it(`proves every reading of a batch under ${name}`, async () => {
        const { data, readings, record, peakProof, proofOf } = await readingsIn(tree);
        for (const [place, reading] of readings.entries()) {
          expect(await data.verifyReading(record, reading, proofOf(place), peakProof)).to.equal(true);
        }
      });

      it(`does not prove a reading at another place of a batch under ${name}`, async () => {
        const { data, readings, record, peakProof, proofOf } = await readingsIn(tree);
        const reading = readings[4]!;
        for (const seq of [0n, 9n, 13n, 15n, 20n, 21n, 2n ** 64n - 1n]) {
          const moved = { ...reading, seq };
          expect(await data.verifyReading(record, moved, proofOf(4), peakProof)).to.equal(false);
        }
      });

      it(`does not prove a reading of which anything is altered under ${name}`, async () => {
        const { data, readings, record, peakProof, proofOf } = await readingsIn(tree);
        const reading = readings[4]!;
        const proof = proofOf(4);
        const wrong = [
          { reading: { ...reading, commitment: id("another") }, proof },
          { reading: { ...reading, measuredAt: reading.measuredAt + 1n }, proof },
          { reading, proof: proof.slice(1) },
          { reading, proof: [...proof, ZeroHash] },
          { reading, proof: [id("sibling"), ...proof.slice(1)] },
          { reading, proof: proofOf(5) },
        ];
        for (const { reading: other, proof: otherProof } of wrong) {
          expect(await data.verifyReading(record, other, otherProof, peakProof)).to.equal(false);
        }
      });
    }

    it("does not prove a reading that was measured outside the times of its anchor, even if its root holds it", async () => {
      const suite = await loadFixture(deployLogs);
      const measuredAt = (await now()) * 1000n - 5000n;
      const reading = { seq: 0n, measuredAt, commitment: id("reading") };
      const leaf = keccak256(
        concat(["0x0001", suite.fleetLog, toBeHex(0n, 8), toBeHex(measuredAt, 6), reading.commitment]),
      );
      const times = [
        { tFirst: measuredAt, tLast: measuredAt, isProved: true },
        { tFirst: measuredAt + 1n, tLast: measuredAt + 1n, isProved: false },
        { tFirst: measuredAt - 2n, tLast: measuredAt - 1n, isProved: false },
      ];
      for (const [stream, { tFirst, tLast, isProved }] of times.entries()) {
        const logId = fleetLogOf(suite.fleet, BigInt(stream + 100));
        const own = keccak256(concat(["0x0001", logId, toBeHex(0n, 8), toBeHex(measuredAt, 6), reading.commitment]));
        const record = await append(suite, { logId, count: 1n, root: own, tFirst, tLast });
        expect(await suite.data.verifyReading(record, reading, [], [])).to.equal(isProved);
      }
      // The leaf binds the log: the same reading under another log's id is another leaf.
      const foreign = await append(suite, { count: 1n, root: leaf, tFirst: measuredAt, tLast: measuredAt });
      expect(await suite.data.verifyReading(foreign, reading, [], [])).to.equal(true);
      const misplaced = await append(suite, {
        logId: fleetLogOf(suite.fleet, 200n),
        count: 1n,
        root: leaf,
        tFirst: measuredAt,
        tLast: measuredAt,
      });
      expect(await suite.data.verifyReading(misplaced, reading, [], [])).to.equal(false);
    });

    it("does not prove a reading of an anchor that is not in the log", async () => {
      const { data, readings, record, records, peakProof, proofOf } = await readingsIn(Tree.Keccak256);
      const invented = { ...record, timestamp: record.timestamp + 1n };
      expect(await data.verifyReading(invented, readings[0]!, proofOf(0), peakProof)).to.equal(false);
      const wrongPeakProof = [leafOf(records[2]!)];
      expect(await data.verifyReading(record, readings[0]!, proofOf(0), wrongPeakProof)).to.equal(false);
    });

    it("proves a reading of a correction, and none of a gap", async () => {
      const suite = await readingsIn(Tree.Keccak256);
      const { data, records, readings, leaves, proofOf } = suite;
      const correction = await append(suite, {
        index: 3n,
        kind: Kind.Correction,
        firstSeq: 10n,
        count: BigInt(READINGS),
        supersedes: 1n,
        root: rootOf(leaves, keccak256),
        tFirst: readings[0]!.measuredAt,
      });
      const all = [...records, correction].map(leafOf);
      const proof = [proofOf(3), peakPathOf(3, all, keccak256)] as const;
      expect(await data.verifyReading(correction, readings[3]!, ...proof)).to.equal(true);

      const gap = records[2]!;
      const lost = { seq: 21n, measuredAt: gap.tLast, commitment: ZeroHash };
      const peakProof = peakPathOf(2, all, keccak256);
      expect(await data.verifyAnchor(gap, peakProof)).to.equal(true);
      expect(await data.verifyReading(gap, lost, [], peakProof)).to.equal(false);
    });
  });

  describe("the contract", () => {
    it("says what it is", async () => {
      const { data, domain } = await loadFixture(deployLogs);
      const { name, version, chainId, verifyingContract } = await data.eip712Domain();
      expect({ name, version, chainId, verifyingContract }).to.deep.equal(domain);
      expect(await data.version()).to.equal("0.1.0");
    });

    it("knows the registries that it asks", async () => {
      const { data, roles, devices } = await loadFixture(deployLogs);
      expect(await data.ROLE_REGISTRY()).to.equal(await roles.getAddress());
      expect(await data.DEVICE_REGISTRY()).to.equal(await devices.getAddress());
    });

    it("has the interfaces that it says it has, and no other", async () => {
      const { data } = await loadFixture(deployLogs);
      const own = [
        interfaceIdOf(IDataAnchor__factory, IRegistry__factory, IBatch__factory),
        interfaceIdOf(IBatch__factory),
      ];
      for (const interfaceId of [...own, ...REGISTRY_INTERFACE_IDS]) {
        expect(await data.supportsInterface(interfaceId), interfaceId).to.equal(true);
      }
      for (const interfaceId of ["0xffffffff", "0x00000000"]) {
        expect(await data.supportsInterface(interfaceId), interfaceId).to.equal(false);
      }
    });

    it("is refused by a chain that cannot check P-256 signatures", async () => {
      const older = await network.create({ override: { hardfork: "prague" } });
      await expect(
        older.ethers.deployContract("DataAnchor", [BLOCK_HASHES, BLOCK_HASHES]),
      ).to.be.revertedWithCustomError({ interface: KeyProofs__factory.createInterface() }, "P256PrecompileMissing");
    });

    it("takes no ether", async () => {
      const { data, actors } = await loadFixture(deployLogs);
      await expect(actors.owner.sendTransaction({ to: data, value: 1n })).to.be.revertedWithoutReason(ethers);
    });
  });
});

describe("DataAnchor's deployment", () => {
  it("refuses a DeviceRegistry that asks another RoleRegistry", async () => {
    const { devices, roles } = await loadFixture(deployFleet);
    const others = await ethers.deployContract("RoleRegistry");
    const factory = await ethers.getContractFactory("DataAnchor");
    await expect(factory.deploy(others, devices))
      .to.be.revertedWithCustomError(factory, "RoleRegistryMismatch")
      .withArgs(await devices.getAddress(), await roles.getAddress(), await others.getAddress());
  });
});
