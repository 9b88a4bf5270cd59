import { expect } from "chai";
import { concat, dataSlice, getAddress, id, toBeHex, ZeroHash } from "ethers";

import { accountKey, createP256Key } from "../client/keys.js";

import {
  ALL_PURPOSES,
  deployAccess,
  enrollForAccount,
  expectReason,
  GRANTABLE,
  grantWord,
  PERMISSION,
  READ,
  sendGrant,
  suspend,
  type Access,
} from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { nextDataGrant, nextRevocation, signDataGrant, signRevocation } from "./support/signed-access.js";
import { structOf } from "./support/struct.js";

const { ReadLive, ReadHistory, Command, Share } = PERMISSION;
const RESERVED = getAddress(toBeHex(0xffff, 20));
const NEVER_ENROLLED = createP256Key().id;

interface Pair {
  device: string;
  subject: string;
}

const errorData = ({ access }: Access, name: string, args: unknown[]): string => {
  return access.interface.encodeErrorResult(name, args as never);
};

/** The events of a transaction of DataAccess, in order: each its name and all its arguments. */
async function eventsOf({ access }: Access, sending: ReturnType<Access["access"]["multicall"]>): Promise<unknown[][]> {
  const receipt = (await (await sending).wait())!;
  return receipt.logs.map((log) => {
    const { name, args } = access.interface.parseLog(log)!;
    return [name, ...(args.toArray() as unknown[])];
  });
}

/** Pairs of the fleet and of others: two that the owner may grant, among some that it may not. */
async function pairsOf(suite: Access) {
  const { devices, actors, fleet, p256Device, accountDevice } = suite;
  const { owner, key } = await enrollForAccount(suite);
  await devices.connect(actors.owner).retire(accountDevice.id);
  const subject = actors.subject.address;
  const refused: [Pair, name: string, args: unknown[]][] = [
    [{ device: NEVER_ENROLLED, subject }, "DeviceNotEnrolled", [NEVER_ENROLLED]],
    [{ device: key.id, subject }, "CallerLacksPermission", [owner.address, actors.owner.address, Share]],
    [{ device: accountDevice.id, subject }, "DeviceNotActive", [accountDevice.id]],
    [{ device: p256Device.id, subject: RESERVED }, "IdReserved", [RESERVED]],
  ];
  return {
    fleet,
    first: { device: p256Device.id, subject },
    second: { device: p256Device.id, subject: fleet },
    refused,
  };
}

describe("DataAccess's batches", () => {
  // ------------------------------------------------------------------ grantMany

  describe("grantMany", () => {
    it("gives each pair what `grant` would, and skips what it would refuse, with the same error", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors } = suite;
      const { first, second, refused } = await pairsOf(suite);
      const byOwner = access.connect(actors.owner);
      const terms = { permissions: ReadLive | Command, purposes: 0b101n, notBefore: 7n, expiry: FOR_EVER };
      const args = [terms.permissions, terms.purposes, terms.notBefore, terms.expiry, id("terms")] as const;
      const pairs = [refused[0]![0], first, refused[1]![0], refused[2]![0], second, refused[3]![0], first];
      for (const [{ device, subject }, name, errorArgs] of refused) {
        await expect(byOwner.grant(device, subject, ...args))
          .to.be.revertedWithCustomError(access, name)
          .withArgs(...errorArgs);
      }

      expect(await byOwner.grantMany.staticCall(pairs, ...args)).to.deep.equal([
        ...[false, true, false, false, true, false, true],
      ]);
      const skipped = (index: number): unknown[] => {
        const [pair, name, errorArgs] = refused[index]!;
        return ["PairSkipped", pair.device, pair.subject, errorData(suite, name, errorArgs)];
      };
      const granted = ({ device, subject }: Pair, seq: bigint): unknown[] => {
        const word = grantWord({ ...terms, epoch: 1n, seq });
        return ["AccessGranted", device, subject, actors.owner.address, word, id("terms")];
      };
      expect(await eventsOf(suite, byOwner.grantMany(pairs, ...args))).to.deep.equal([
        skipped(0),
        granted(first, 1n),
        skipped(1),
        skipped(2),
        granted(second, 1n),
        skipped(3),
        granted(first, 2n),
      ]);
      expect(structOf(await access.grantOf(first.device, first.subject))).to.deep.equal({
        ...terms,
        epoch: 1n,
        seq: 2n,
        byOwner: true,
      });
      for (const [{ device, subject }] of refused) expect((await access.grantOf(device, subject)).seq).to.equal(0n);
    });

    it("is a member's too: each pair is attenuated by itself", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, roles, actors, fleet, p256Device, accountDevice } = suite;
      const until = (await now()) + 10n * DAY;
      const member = access.connect(actors.gateway);
      await roles.connect(actors.owner).defineRole(fleet, 8n, Share | ReadLive);
      await roles.connect(actors.owner).setRoles(fleet, actors.gateway, 1n << 8n, 0n, until);
      const pairs = [p256Device.id, accountDevice.id].map((device) => ({ device, subject: actors.subject.address }));
      await sendGrant(suite, actors.owner, pairs[0]!);
      const reasonsOf = async (permissions: bigint, expiry: bigint) => {
        const sent = member.grantMany(pairs, permissions, 1n, 0n, expiry, ZeroHash);
        return (await eventsOf(suite, sent)).map(([name, , , last]) => (name === "PairSkipped" ? last : name));
      };

      const beyond = errorData(suite, "PermissionsBeyondCaller", [ReadHistory, Share | ReadLive]);
      expect(await reasonsOf(ReadHistory, until)).to.deep.equal([beyond, beyond]);
      const later = errorData(suite, "ExpiryBeyondCaller", [until + 1n, until]);
      expect(await reasonsOf(ReadLive, until + 1n)).to.deep.equal([later, later]);
      const stands = errorData(suite, "OwnerGrantStands", [p256Device.id, actors.subject.address]);
      expect(await reasonsOf(ReadLive, until)).to.deep.equal([stands, "AccessGranted"]);
      expect((await access.grantOf(accountDevice.id, actors.subject)).byOwner).to.equal(false);
    });

    it("refuses terms that nobody can be given, even for no pairs", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors } = suite;
      const byOwner = access.connect(actors.owner);
      const time = await now();

      await expect(byOwner.grantMany([], 0n, 1n, 0n, FOR_EVER, ZeroHash))
        .to.be.revertedWithCustomError(access, "PermissionsNotGrantable")
        .withArgs(0n);
      await expect(byOwner.grantMany([], GRANTABLE | Share, 1n, 0n, FOR_EVER, ZeroHash))
        .to.be.revertedWithCustomError(access, "PermissionsNotGrantable")
        .withArgs(GRANTABLE | Share);
      await expect(byOwner.grantMany([], READ, 0n, 0n, FOR_EVER, ZeroHash)).to.be.revertedWithCustomError(
        access,
        "PurposesMissing",
      );
      await expect(byOwner.grantMany([], READ, 1n, 0n, time, ZeroHash))
        .to.be.revertedWithCustomError(access, "WindowInvalid")
        .withArgs(0n, time);
      expect(await byOwner.grantMany.staticCall([], READ, 1n, 0n, FOR_EVER, ZeroHash)).to.deep.equal([]);
    });

    it("skips a pair whose numbers are used up, and goes on", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device, accountDevice } = suite;
      const pairs = [p256Device.id, accountDevice.id].map((device) => ({ device, subject: actors.subject.address }));
      const coder = ethers.AbiCoder.defaultAbiCoder();
      const ofDevice = ethers.keccak256(coder.encode(["address", "uint256"], [p256Device.id, 2]));
      const slot = ethers.keccak256(coder.encode(["address", "bytes32"], [actors.subject.address, ofDevice]));
      await networkHelpers.setStorageAt(await access.getAddress(), slot, toBeHex((2n ** 32n - 1n) << 168n, 32));
      const byOwner = access.connect(actors.owner);

      const exhausted = errorData(suite, "SeqExhausted", [p256Device.id, actors.subject.address]);
      const events = await eventsOf(suite, byOwner.grantMany(pairs, READ, 1n, 0n, FOR_EVER, ZeroHash));
      expect(events.map(([name]) => name)).to.deep.equal(["PairSkipped", "AccessGranted"]);
      expect(events[0]![3]).to.equal(exhausted);
      expect(await byOwner.revokeMany.staticCall(pairs)).to.deep.equal([true, true]);
      const dataGrant = await nextDataGrant(suite, { seq: 2n ** 32n - 1n });
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      expect((await access.verifyGrant(dataGrant, signature, ReadLive, 1n)).refusal).to.equal(exhausted);
    });

    it("refuses pairs with bits that addresses do not have", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const pair = { device: p256Device.id, subject: actors.subject.address };
      const data = access.interface.encodeFunctionData("revokeMany", [[pair]]);

      for (const at of [4 + 64, 4 + 96]) {
        const dirty = toBeHex(BigInt(dataSlice(data, at, at + 32)) | (1n << 160n), 32);
        const spoilt = concat([dataSlice(data, 0, at), dirty, dataSlice(data, at + 32)]);
        await expect(actors.owner.sendTransaction({ to: access, data: spoilt })).to.be.revertedWithoutReason(ethers);
      }
    });
  });

  // ------------------------------------------------------------------ revokeMany

  describe("revokeMany", () => {
    it("ends what `revoke` would, and skips what it would refuse, with the same error", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, accountDevice } = suite;
      const { first, second, refused } = await pairsOf(suite);
      await sendGrant(suite, actors.owner, first);
      await suspend(suite);
      const by = actors.owner.address;
      const [unknown, foreign] = [refused[0]!, refused[1]!];
      // A revoke is taken where a grant is not: of a retired device, and of an id that nobody can have.
      const retired = { device: accountDevice.id, subject: actors.subject.address };
      const pairs = [first, unknown[0], second, foreign[0], retired, refused[3]![0], first];
      const byOwner = access.connect(actors.owner);

      expect(await byOwner.revokeMany.staticCall(pairs)).to.deep.equal([true, false, true, false, true, true, true]);
      const revoked = ({ device, subject }: Pair, seq: bigint) => ["AccessRevoked", device, subject, by, seq];
      const skipped = ([pair, name, args]: (typeof refused)[number]) => {
        return ["PairSkipped", pair.device, pair.subject, errorData(suite, name, args)];
      };
      expect(await eventsOf(suite, byOwner.revokeMany(pairs))).to.deep.equal([
        revoked(first, 2n),
        skipped(unknown),
        revoked(second, 1n),
        skipped(foreign),
        revoked(retired, 1n),
        revoked(refused[3]![0], 1n),
        revoked(first, 3n),
      ]);
      expect((await access.grantOf(first.device, first.subject)).permissions).to.equal(0n);
    });

    it("takes no pairs for nothing to do", async () => {
      const suite = await loadFixture(deployAccess);
      expect(await eventsOf(suite, suite.access.revokeMany([]))).to.deep.equal([]);
    });
  });

  // ------------------------------------------------------------------ tryMulticall

  describe("tryMulticall", () => {
    it("makes what can be made and says of each other call why not", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const { subject } = actors;
      const abi = access.interface;
      const key = await accountKey(actors.owner);
      const dataGrant = await nextDataGrant(suite);
      const signature = await signDataGrant(suite, dataGrant, key);
      const revocation = await nextRevocation(suite);
      const calls = [
        abi.encodeFunctionData("grantWithSignature", [dataGrant, signature]),
        abi.encodeFunctionData("grantWithSignature", [dataGrant, signature]),
        abi.encodeFunctionData("revokeWithSignature", [revocation, await signRevocation(suite, revocation, key)]),
        abi.encodeFunctionData("renounce", [p256Device.id]),
        abi.encodeFunctionData("requestAccess", [p256Device.id, READ, 1n, 0n, FOR_EVER, ZeroHash]),
        abi.encodeFunctionData("setPolicy", [p256Device.id, READ, READ, ALL_PURPOSES]),
      ];
      const bySubject = access.connect(subject);

      expect(await bySubject.tryMulticall.staticCall(calls)).to.deep.equal([true, false, true, false, true, false]);
      const events = await eventsOf(suite, bySubject.tryMulticall(calls));
      expect(events.map(([name]) => name)).to.deep.equal([
        "AccessGranted",
        "CallSkipped",
        "AccessRevoked",
        "CallSkipped",
        "AccessRequested",
        "CallSkipped",
      ]);
      expect(events.filter(([name]) => name === "CallSkipped").map(([, ...args]) => args)).to.deep.equal([
        [1n, dataSlice(calls[1]!, 0, 4), errorData(suite, "SeqStale", [p256Device.id, 1n, 0n])],
        [3n, dataSlice(calls[3]!, 0, 4), errorData(suite, "GrantMissing", [p256Device.id, subject.address])],
        [5n, dataSlice(calls[5]!, 0, 4), errorData(suite, "CallerNotGovernor", [suite.fleet, subject.address])],
      ]);
      await expectReason(suite, p256Device.id, subject, ReadLive, "Revoked");
    });

    it("goes on within itself, and is refused as a whole for a call that breaks", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const abi = access.interface;
      const revoke = abi.encodeFunctionData("revoke", [p256Device.id, actors.subject.address]);
      const refused = abi.encodeFunctionData("revoke", [NEVER_ENROLLED, actors.subject.address]);
      const batch = (calls: string[]) => abi.encodeFunctionData("tryMulticall", [calls]);
      const byOwner = access.connect(actors.owner);

      const events = await eventsOf(suite, byOwner.tryMulticall([revoke, batch([refused, revoke]), refused]));
      expect(events.map(([name]) => name)).to.deep.equal([
        "AccessRevoked",
        "CallSkipped",
        "AccessRevoked",
        "CallSkipped",
      ]);
      for (const broken of ["0x", "0xffffffff", dataSlice(revoke, 0, 40)]) {
        await expect(byOwner.tryMulticall([revoke, broken]))
          .to.be.revertedWithCustomError(access, "CallBroken")
          .withArgs(1n);
        await expect(byOwner.tryMulticall([revoke, revoke, batch([revoke, broken])]))
          .to.be.revertedWithCustomError(access, "CallBroken")
          .withArgs(2n);
      }
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(2n);
    });

    it("keeps to who sends it: nobody else's rights come with a batch", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const abi = access.interface;
      const grant = abi.encodeFunctionData("grant", [
        p256Device.id,
        actors.stranger.address,
        GRANTABLE,
        1n,
        0n,
        FOR_EVER,
        ZeroHash,
      ]);
      // The owner's signed grant in the same batch lends the sender nothing.
      const dataGrant = await nextDataGrant(suite);
      const signed = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      const calls = [abi.encodeFunctionData("grantWithSignature", [dataGrant, signed]), grant];

      expect(await access.connect(actors.stranger).tryMulticall.staticCall(calls)).to.deep.equal([true, false]);
      await expect(access.connect(actors.stranger).multicall(calls))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(suite.fleet, actors.stranger, Share);
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(0n);
    });
  });

  // ------------------------------------------------------------------ requests

  describe("requestAccess", () => {
    it("says in public who asks for what, and keeps nothing", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const bySubject = access.connect(actors.subject);
      const args = [READ | Command, 0b1010n, 5n, FOR_EVER, id("terms")] as const;

      await expect(bySubject.requestAccess(p256Device.id, ...args))
        .to.emit(access, "AccessRequested")
        .withArgs(p256Device.id, actors.subject, ...args);
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(0n);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "NoGrant");
    });

    it("asks of a suspended device too, again and again, and leaves a grant as it is", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });
      const before = structOf(await access.grantOf(p256Device.id, actors.subject));
      await suspend(suite);

      for (const permissions of [READ, Command]) {
        await expect(
          access.connect(actors.subject).requestAccess(p256Device.id, permissions, 1n, 0n, FOR_EVER, ZeroHash),
        )
          .to.emit(access, "AccessRequested")
          .withArgs(p256Device.id, actors.subject, permissions, 1n, 0n, FOR_EVER, ZeroHash);
      }
      expect(structOf(await access.grantOf(p256Device.id, actors.subject))).to.deep.equal(before);
    });

    it("refuses what could not be granted", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      const bySubject = access.connect(actors.subject);
      const time = await now();
      const refusals: [[bigint, bigint, bigint, bigint], string, unknown[]][] = [
        [[0n, 1n, 0n, FOR_EVER], "PermissionsNotGrantable", [0n]],
        [[READ | Share, 1n, 0n, FOR_EVER], "PermissionsNotGrantable", [READ | Share]],
        [[READ, 0n, 0n, FOR_EVER], "PurposesMissing", []],
        [[READ, 1n, FOR_EVER, FOR_EVER], "WindowInvalid", [FOR_EVER, FOR_EVER]],
        [[READ, 1n, 0n, time], "WindowInvalid", [0n, time]],
      ];

      for (const [terms, name, args] of refusals) {
        await expect(bySubject.requestAccess(p256Device.id, ...terms, ZeroHash), name)
          .to.be.revertedWithCustomError(access, name)
          .withArgs(...args);
      }
      await expect(bySubject.requestAccess(NEVER_ENROLLED, READ, 1n, 0n, FOR_EVER, ZeroHash))
        .to.be.revertedWithCustomError(access, "DeviceNotEnrolled")
        .withArgs(NEVER_ENROLLED);
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(bySubject.requestAccess(p256Device.id, READ, 1n, 0n, FOR_EVER, ZeroHash))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
    });
  });
});
