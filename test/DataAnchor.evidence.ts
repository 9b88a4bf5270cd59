import { expect } from "chai";
import { concat, getBytes, hexlify, id, toBeHex, ZeroHash } from "ethers";

import { createP256Key, Scheme, type Key, type KeyProof } from "../client/keys.js";
import { anchorMessage, messageDigest } from "../client/typed-data.js";

import { DAY, ethers, loadFixture, networkHelpers } from "./support/chain.js";
import { enrollDevice, wrongCallers } from "./support/fleet.js";
import {
  anchorOf,
  deployLogs,
  deviceLogOf,
  eventsOf,
  fleetLogOf,
  Kind,
  prove,
  stateOf,
  Tree,
  type Anchor,
  type Logs,
} from "./support/logs.js";
import { wrongProofs } from "./support/signed-messages.js";
import { rotate } from "./support/transfers.js";

/** Two anchors for one place in a device's log, and what the device signed of both. */
async function forkOf(
  suite: Logs,
  changes: Partial<Anchor> = { root: id("another batch") },
  key: Key = suite.p256Device,
) {
  const first = await anchorOf({ logId: deviceLogOf(key.id) });
  const second = { ...first, ...changes };
  return { first, second, proofs: [await prove(suite, key, first), await prove(suite, key, second)] as const };
}

function report(suite: Logs, fork: Awaited<ReturnType<typeof forkOf>>, by = suite.actors.stranger) {
  const { first, second, proofs } = fork;
  return suite.data.connect(by).reportEquivocation(first, proofs[0], second, proofs[1]);
}

function digestOf({ domain }: Logs, anchor: Anchor): string {
  return messageDigest(anchorMessage(domain, anchor));
}

function equivocated(suite: Logs, { first, second }: { first: Anchor; second: Anchor }, keyId = suite.p256Device.id) {
  return ["Equivocated", first.logId, first.index, keyId, digestOf(suite, first), digestOf(suite, second)];
}

describe("DataAnchor evidence", () => {
  describe("reportEquivocation", () => {
    for (const scheme of [Scheme.P256, Scheme.P256Sha256] as const) {
      it(`puts on record what a device signed twice with scheme ${scheme}`, async () => {
        const suite = await loadFixture(deployLogs);
        const key = createP256Key({ scheme });
        await enrollDevice(suite, { key, owner: suite.fleet, by: suite.actors.owner });
        const fork = await forkOf(suite, { root: id("another batch") }, key);
        const events = await eventsOf(suite.data, report(suite, fork));
        expect(events).to.deep.equal([equivocated(suite, fork, key.id)]);
      });
    }

    it("puts on record what an account device signed twice", async () => {
      const suite = await loadFixture(deployLogs);
      const fork = await forkOf(suite, { root: id("another batch") }, suite.accountDevice);
      const events = await eventsOf(suite.data, report(suite, fork));
      expect(events).to.deep.equal([equivocated(suite, fork, suite.accountDevice.id)]);
    });

    for (const [caller, name] of wrongCallers) {
      it(`takes it from ${name}: the signatures speak`, async () => {
        const suite = await loadFixture(deployLogs);
        const fork = await forkOf(suite);
        const events = await eventsOf(suite.data, report(suite, fork, suite.actors[caller]));
        expect(events).to.deep.equal([equivocated(suite, fork)]);
      });
    }

    it("changes nothing else: the device goes on, whatever was reported", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, devices, actors, p256Device, deviceLog } = suite;
      const fork = await forkOf(suite);
      const before = [await stateOf(data, deviceLog), await devices.deviceOf(p256Device.id)];
      await report(suite, fork);
      expect([await stateOf(data, deviceLog), await devices.deviceOf(p256Device.id)]).to.deep.equal(before);
      await data.connect(actors.relayer).anchor(fork.second, fork.proofs[1]);
      expect((await data.head(deviceLog)).size).to.equal(1n);
    });

    it("takes what is in the log with what is not, in either order, and again", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const fork = await forkOf(suite);
      await data.connect(actors.relayer).anchor(fork.first, fork.proofs[0]);
      const { first, second, proofs } = fork;
      const turned = { first: second, second: first, proofs: [proofs[1], proofs[0]] as const };
      for (const one of [fork, turned, fork]) {
        expect(await eventsOf(data, report(suite, one))).to.deep.equal([equivocated(suite, one)]);
      }
    });

    const differences: [string, Partial<Anchor>][] = [
      ["kind", { kind: Kind.Correction }],
      ["tree", { tree: Tree.Sha256 }],
      ["firstSeq", { firstSeq: 1n }],
      ["count", { count: 11n }],
      ["tFirst", { tFirst: 1n }],
      ["tLast", { tLast: 2n ** 48n - 1n }],
      ["supersedes", { supersedes: 1n }],
      ["root", { root: id("another batch") }],
    ];
    for (const [name, changes] of differences) {
      it(`takes two anchors that differ in ${name} alone`, async () => {
        const suite = await loadFixture(deployLogs);
        const fork = await forkOf(suite, changes);
        const events = await eventsOf(suite.data, report(suite, fork));
        expect(events).to.deep.equal([equivocated(suite, fork)]);
      });
    }

    it("takes a gap that speaks against data, at any place and long past every deadline", async () => {
      const suite = await loadFixture(deployLogs);
      const key = suite.p256Device;
      const first = await anchorOf({ logId: suite.deviceLog, index: 2n ** 64n - 1n, deadline: 1n });
      const second = { ...first, kind: Kind.Gap, root: ZeroHash, deadline: 0n, freshBlock: 9n, freshHash: id("block") };
      const fork = {
        first,
        second,
        proofs: [await prove(suite, key, first), await prove(suite, key, second)] as const,
      };
      await networkHelpers.time.increase(1000n * DAY);
      const events = await eventsOf(suite.data, report(suite, fork));
      expect(events).to.deep.equal([equivocated(suite, fork)]);
    });

    const signedAgain: [string, Partial<Anchor>][] = [
      ["nothing", {}],
      ["deadline", { deadline: 1n }],
      ["fresh block", { freshBlock: 7n, freshHash: id("block") }],
      ["fresh hash", { freshHash: id("block") }],
      ["deadline and fresh block", { deadline: 2n ** 40n - 1n, freshBlock: 2n ** 64n - 1n, freshHash: id("block") }],
    ];
    for (const [name, changes] of signedAgain) {
      it(`does not take one batch that was signed again with another ${name} for two`, async () => {
        const suite = await loadFixture(deployLogs);
        const fork = await forkOf(suite, changes);
        await expect(report(suite, fork))
          .to.be.revertedWithCustomError(suite.data, "AnchorsAgree")
          .withArgs(suite.deviceLog, 0n);
      });
    }

    it("does not take anchors of two places or two logs: each may be true", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device, deviceLog, fleet } = suite;
      const root = id("another batch");
      const others = [
        { index: 1n, root },
        { logId: deviceLogOf(p256Device.id, 8n), root },
        { logId: deviceLogOf(suite.accountDevice.id), root },
        { logId: fleetLogOf(fleet), root },
        { logId: fleetLogOf(p256Device.id), root },
      ];
      for (const changes of others) {
        const fork = await forkOf(suite, changes);
        await expect(report(suite, fork))
          .to.be.revertedWithCustomError(data, "AnchorsUnrelated")
          .withArgs(deviceLog, 0n, fork.second.logId, fork.second.index);
      }
    });

    it("has no say about fleet logs, which no device signs", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device } = suite;
      const logId = fleetLogOf(p256Device.id);
      const first = await anchorOf({ logId });
      const second = { ...first, root: id("another batch") };
      const proofs = [await prove(suite, p256Device, first), await prove(suite, p256Device, second)] as const;
      await expect(report(suite, { first, second, proofs }))
        .to.be.revertedWithCustomError(data, "LogNeedsMember")
        .withArgs(logId);
    });

    it("has no say about a device that was never enrolled, an account neither", async () => {
      const suite = await loadFixture(deployLogs);
      for (const key of [createP256Key(), createP256Key({ scheme: Scheme.P256Sha256 })]) {
        const fork = await forkOf(suite, { root: id("another batch") }, key);
        await expect(report(suite, fork))
          .to.be.revertedWithCustomError(suite.data, "DeviceNotEnrolled")
          .withArgs(key.id);
      }
      const account = suite.actors.stranger.address;
      const first = await anchorOf({ logId: deviceLogOf(account) });
      const second = { ...first, root: id("another batch") };
      const { proofs } = await forkOf(suite);
      await expect(report(suite, { first, second, proofs }))
        .to.be.revertedWithCustomError(suite.data, "DeviceNotEnrolled")
        .withArgs(account);
    });

    it("refuses every proof that is not the device's over exactly the one anchor, in either place", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device, accountDevice, domain, actors } = suite;
      for (const key of [p256Device, accountDevice]) {
        const { first, second, proofs } = await forkOf(suite, { root: id("another batch") }, key);
        const send = (byDevice: KeyProof, alsoByDevice: KeyProof) =>
          data.connect(actors.stranger).reportEquivocation(first, byDevice, second, alsoByDevice);
        const options = { key, wrongKey: createP256Key() };
        const ofFirst = await wrongProofs({ ...options, message: anchorMessage(domain, first) });
        const ofSecond = await wrongProofs({ ...options, message: anchorMessage(domain, second) });
        expect([ofFirst.length, ofSecond.length]).to.deep.equal([18, 18]);
        for (const { name, proof } of [...ofFirst, { name: "over the second", proof: proofs[1] }]) {
          await expect(send(proof, proofs[1]), name)
            .to.be.revertedWithCustomError(data, "KeyProofInvalid")
            .withArgs(key.id, digestOf(suite, first));
        }
        for (const { name, proof } of [...ofSecond, { name: "over the first", proof: proofs[0] }]) {
          await expect(send(proofs[0], proof), name)
            .to.be.revertedWithCustomError(data, "KeyProofInvalid")
            .withArgs(key.id, digestOf(suite, second));
        }
      }
    });

    it("cannot be made up by those the device belongs to, nor with another device's signature", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, accountDevice, p256Device } = suite;
      const { first, second, proofs } = await forkOf(suite);
      for (const by of [actors.owner, actors.admin, actors.gateway, actors.device]) {
        const message = anchorMessage(suite.domain, second);
        const signature = await by.signTypedData(message.domain, message.types, message.value);
        for (const publicKey of ["0x", p256Device.publicKey]) {
          await expect(data.connect(by).reportEquivocation(first, proofs[0], second, { publicKey, signature }))
            .to.be.revertedWithCustomError(data, "KeyProofInvalid")
            .withArgs(p256Device.id, digestOf(suite, second));
        }
      }
      const byOther = await prove(suite, accountDevice, second);
      await expect(data.reportEquivocation(first, proofs[0], second, byOther))
        .to.be.revertedWithCustomError(data, "KeyProofInvalid")
        .withArgs(p256Device.id, digestOf(suite, second));
    });

    it("cannot be made up with words that are wider than their types, which no device signs", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, p256Device } = suite;
      const { first, proofs } = await forkOf(suite, {});
      // The one message twice, the second time with a dirty bit: it has another digest, which the device did not sign.
      const calldata = data.interface.encodeFunctionData("reportEquivocation", [first, proofs[0], first, proofs[0]]);
      const secondAt = 4 + 32 * (13 + 1);
      for (const member of [2, 3, 4, 5, 6, 7, 8]) {
        const bytes = getBytes(calldata);
        bytes[secondAt + 32 * member] = 0x80;
        const words = bytes.slice(secondAt, secondAt + 32 * 13);
        const structHash = ethers.keccak256(concat([ANCHOR_TYPEHASH, words]));
        const separator = ethers.TypedDataEncoder.hashDomain(suite.domain);
        await expect(
          actors.stranger.sendTransaction({ to: data, data: hexlify(bytes), gasLimit: 1_000_000n }),
          `member ${member}`,
        )
          .to.be.revertedWithCustomError(data, "KeyProofInvalid")
          .withArgs(p256Device.id, ethers.keccak256(concat(["0x1901", separator, structHash])));
      }
      for (const [member, bit] of [
        [1, 64n],
        [1, 255n],
      ] as const) {
        for (const at of [4, secondAt]) {
          const bytes = getBytes(calldata);
          bytes.set(getBytes(toBeHex(1n << bit, 32)), at + 32 * member);
          await expect(
            actors.stranger.sendTransaction({ to: data, data: hexlify(bytes), gasLimit: 1_000_000n }),
          ).to.be.revertedWithoutReason(ethers);
        }
      }
    });

    it("holds against a device that is suspended or retired since", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, devices, actors, p256Device } = suite;
      const fork = await forkOf(suite);
      await devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey);
      expect(await eventsOf(data, report(suite, fork))).to.deep.equal([equivocated(suite, fork)]);
      await devices.connect(actors.owner).retire(p256Device.id);
      expect(await eventsOf(data, report(suite, fork))).to.deep.equal([equivocated(suite, fork)]);
    });

    it("holds against the device's present key only", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, p256Device } = suite;
      const fork = await forkOf(suite);
      const newKey = createP256Key();
      await rotate(suite, { device: p256Device.id, oldKey: p256Device, newKey });
      await expect(report(suite, fork))
        .to.be.revertedWithCustomError(data, "KeyProofInvalid")
        .withArgs(newKey.id, digestOf(suite, fork.first));
      const { first, second } = fork;
      const proofs = [await prove(suite, newKey, first), await prove(suite, newKey, second)] as const;
      await expect(report(suite, { first, second, proofs: [proofs[0], fork.proofs[1]] }))
        .to.be.revertedWithCustomError(data, "KeyProofInvalid")
        .withArgs(newKey.id, digestOf(suite, second));
      // The event names the key, so that nobody takes it for what the former one signed.
      expect(await eventsOf(data, report(suite, { first, second, proofs }))).to.deep.equal([
        equivocated(suite, fork, newKey.id),
      ]);
      expect(newKey.id).to.not.equal(p256Device.id);
    });

    it("can be put on record with others in one transaction", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const fork = await forkOf(suite);
      const same = await forkOf(suite, {});
      const call = ({ first, second, proofs }: typeof fork) =>
        data.interface.encodeFunctionData("reportEquivocation", [first, proofs[0], second, proofs[1]]);
      const events = await eventsOf(data, data.connect(actors.stranger).tryMulticall([call(same), call(fork)]));
      expect(events).to.deep.equal([
        [
          "CallSkipped",
          0n,
          data.interface.getFunction("reportEquivocation").selector,
          data.interface.encodeErrorResult("AnchorsAgree", [suite.deviceLog, 0n]),
        ],
        equivocated(suite, fork),
      ]);
    });
  });
});

const ANCHOR_TYPEHASH = id(
  "Anchor(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast,uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline)",
);
