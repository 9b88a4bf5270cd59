import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { expect } from "chai";
import { ZeroHash } from "ethers";

import { accountKey } from "../client/keys.js";
import { dataGrantMessage, messageDigest, revocationMessage } from "../client/typed-data.js";

import {
  ALL_PURPOSES,
  deployAccess,
  GRANTABLE,
  nextDevicePolicy,
  PERMISSION,
  policyMessage,
  READ,
  sendGrant,
  type Access,
} from "./support/access.js";
import { DAY, loadFixture, now } from "./support/chain.js";
import { wrongCallers } from "./support/fleet.js";
import { nextDataGrant, nextRevocation, signDataGrant, signRevocation } from "./support/signed-access.js";
import { structOf } from "./support/struct.js";

const { ReadLive, Share } = PERMISSION;

/** What somebody tries to send. */
interface Attempt {
  sender: HardhatEthersSigner;
  /** The call, encoded. */
  data: string;
  /** The error that a wrong caller gets, and its arguments. */
  error: [name: string, ...args: unknown[]];
}

/** A device with two grants and a policy: one grant to the table's subject, one to somebody else. */
async function deployShared(): Promise<Access> {
  const suite = await deployAccess();
  const { access, actors, accountDevice } = suite;
  for (const { address } of [actors.subject, actors.maker]) {
    await sendGrant(suite, actors.owner, { device: accountDevice.id, subject: address });
  }
  await access.connect(actors.owner).setPolicy(accountDevice.id, READ, 0n, ALL_PURPOSES);
  return suite;
}

/** All that can change of the two devices. */
async function stateOf({ access, actors, p256Device, accountDevice }: Access): Promise<unknown> {
  const state: unknown[] = [];
  for (const device of [p256Device.id, accountDevice.id]) {
    state.push(structOf(await access.policyOf(device)));
    for (const account of Object.values(actors) as HardhatEthersSigner[])
      state.push(structOf(await access.grantOf(device, account)));
  }
  return state;
}

const lacksShare = ({ fleet }: Access, caller: HardhatEthersSigner): Attempt["error"] => {
  return ["CallerLacksPermission", fleet, caller.address, Share];
};

/** The terms of a grant that would do harm: all that there is, to `maker`, from the account device. */
const termsNow = async () => [GRANTABLE, ALL_PURPOSES, 0n, (await now()) + DAY, ZeroHash] as const;

/** Every entry point that changes something, tried by `caller` against the account device. */
const ATTEMPTS: Record<string, (suite: Access, caller: HardhatEthersSigner) => Promise<Attempt>> = {
  async grant(suite, caller) {
    const { access, actors, accountDevice } = suite;
    const data = access.interface.encodeFunctionData("grant", [
      accountDevice.id,
      actors.maker.address,
      ...(await termsNow()),
    ]);
    return { sender: caller, data, error: lacksShare(suite, caller) };
  },

  async "grant to itself"(suite, caller) {
    const { access, accountDevice } = suite;
    const data = access.interface.encodeFunctionData("grant", [
      accountDevice.id,
      caller.address,
      ...(await termsNow()),
    ]);
    return { sender: caller, data, error: lacksShare(suite, caller) };
  },

  async "grantWithSignature as itself"(suite, caller) {
    const { access, actors, accountDevice } = suite;
    const dataGrant = await nextDataGrant(suite, {
      grantor: caller.address,
      device: accountDevice.id,
      subject: actors.maker.address,
      permissions: GRANTABLE,
    });
    const signature = await signDataGrant(suite, dataGrant, await accountKey(caller));
    const data = access.interface.encodeFunctionData("grantWithSignature", [dataGrant, signature]);
    return { sender: actors.relayer, data, error: lacksShare(suite, caller) };
  },

  async "grantWithSignature as the owner"(suite, caller) {
    const { access, actors, accessDomain, accountDevice } = suite;
    const dataGrant = await nextDataGrant(suite, { device: accountDevice.id, subject: actors.maker.address });
    const signature = await signDataGrant(suite, dataGrant, await accountKey(caller));
    const data = access.interface.encodeFunctionData("grantWithSignature", [dataGrant, signature]);
    const digest = messageDigest(dataGrantMessage(accessDomain, dataGrant));
    return { sender: caller, data, error: ["SignatureInvalid", actors.owner.address, digest] };
  },

  async revoke(suite, caller) {
    const { access, actors, accountDevice } = suite;
    const data = access.interface.encodeFunctionData("revoke", [accountDevice.id, actors.maker.address]);
    return Promise.resolve({ sender: caller, data, error: lacksShare(suite, caller) });
  },

  async "revokeWithSignature as itself"(suite, caller) {
    const { access, actors, accountDevice } = suite;
    const revocation = await nextRevocation(suite, {
      revoker: caller.address,
      device: accountDevice.id,
      subject: actors.maker.address,
    });
    const signature = await signRevocation(suite, revocation, await accountKey(caller));
    const data = access.interface.encodeFunctionData("revokeWithSignature", [revocation, signature]);
    return { sender: actors.relayer, data, error: lacksShare(suite, caller) };
  },

  async "revokeWithSignature as the owner"(suite, caller) {
    return revokeInTheNameOf(suite, caller, suite.actors.owner);
  },

  async "revokeWithSignature as the subject"(suite, caller) {
    return revokeInTheNameOf(suite, caller, suite.actors.maker);
  },

  async renounce({ access, accountDevice }, caller) {
    const data = access.interface.encodeFunctionData("renounce", [accountDevice.id]);
    return Promise.resolve({ sender: caller, data, error: ["GrantMissing", accountDevice.id, caller.address] });
  },

  async setPolicy({ access, fleet, accountDevice }, caller) {
    const data = access.interface.encodeFunctionData("setPolicy", [accountDevice.id, GRANTABLE, READ, ALL_PURPOSES]);
    return Promise.resolve({ sender: caller, data, error: ["CallerNotGovernor", fleet, caller.address] });
  },

  async setDevicePolicy(suite, caller) {
    const { access, p256Device } = suite;
    const policy = await nextDevicePolicy(suite, p256Device, { publicRead: READ });
    const message = policyMessage(suite, policy);
    const proof = await (await accountKey(caller)).prove(message);
    const data = access.interface.encodeFunctionData("setDevicePolicy", [policy, proof]);
    return { sender: caller, data, error: ["KeyProofInvalid", p256Device.id, messageDigest(message)] };
  },
};

async function revokeInTheNameOf(
  suite: Access,
  caller: HardhatEthersSigner,
  revoker: HardhatEthersSigner,
): Promise<Attempt> {
  const { access, actors, accessDomain, accountDevice } = suite;
  const revocation = await nextRevocation(suite, {
    revoker: revoker.address,
    device: accountDevice.id,
    subject: actors.maker.address,
  });
  const signature = await signRevocation(suite, revocation, await accountKey(caller));
  const data = access.interface.encodeFunctionData("revokeWithSignature", [revocation, signature]);
  const digest = messageDigest(revocationMessage(accessDomain, revocation));
  return { sender: caller, data, error: ["SignatureInvalid", revoker.address, digest] };
}

describe("DataAccess's entry points", () => {
  for (const [entry, attemptOf] of Object.entries(ATTEMPTS)) {
    describe(entry, () => {
      for (const [caller, who] of wrongCallers) {
        // Its own grant the subject may give up.
        if (entry === "renounce" && caller === "subject") continue;

        it(`refuses ${who}, alone and in batches`, async () => {
          const suite = await loadFixture(deployShared);
          const { access, actors } = suite;
          const to = await access.getAddress();
          const before = await stateOf(suite);
          const { sender, data, error } = await attemptOf(suite, actors[caller]);
          const [name, ...args] = error;

          for (const sent of [
            () => sender.sendTransaction({ to, data }),
            () => access.connect(sender).multicall([data]),
            () => access.connect(sender).multicall([access.interface.encodeFunctionData("multicall", [[data]])]),
          ]) {
            await expect(sent())
              .to.be.revertedWithCustomError(access, name)
              .withArgs(...args);
          }
          const reason = access.interface.encodeErrorResult(name, args as never);
          expect(await access.connect(sender).tryMulticall.staticCall([data])).to.deep.equal([false]);
          await expect(access.connect(sender).tryMulticall([data]))
            .to.emit(access, "CallSkipped")
            .withArgs(0n, data.slice(0, 10), reason);
          expect(await stateOf(suite)).to.deep.equal(before);
        });
      }
    });
  }

  for (const entry of ["grantMany", "revokeMany"] as const) {
    describe(entry, () => {
      for (const [caller, who] of wrongCallers) {
        it(`skips every pair for ${who}, alone and in batches`, async () => {
          const suite = await loadFixture(deployShared);
          const { access, actors, p256Device, accountDevice } = suite;
          const sender = actors[caller];
          const pairs = [
            { device: accountDevice.id, subject: actors.maker.address },
            { device: p256Device.id, subject: actors.maker.address },
          ];
          const byCaller = access.connect(sender);
          const before = await stateOf(suite);
          const [name, ...args] = lacksShare(suite, sender);
          const reason = access.interface.encodeErrorResult(name, args as never);
          const terms = await termsNow();
          const data =
            entry === "grantMany"
              ? access.interface.encodeFunctionData("grantMany", [pairs, ...terms])
              : access.interface.encodeFunctionData("revokeMany", [pairs]);
          const done =
            entry === "grantMany"
              ? await byCaller.grantMany.staticCall(pairs, ...terms)
              : await byCaller.revokeMany.staticCall(pairs);

          expect(done).to.deep.equal([false, false]);
          for (const sent of [
            () => sender.sendTransaction({ to: access, data }),
            () => byCaller.multicall([data]),
            () => byCaller.tryMulticall([data]),
          ]) {
            const transaction = await sent();
            for (const { device, subject } of pairs) {
              await expect(transaction).to.emit(access, "PairSkipped").withArgs(device, subject, reason);
            }
          }
          expect(await stateOf(suite)).to.deep.equal(before);
        });
      }
    });
  }

  it("take from the owner what they refuse everyone else", async () => {
    const suite = await loadFixture(deployShared);
    const { access, actors } = suite;
    const names = ["grant", "grant to itself", "grantWithSignature as itself", "revoke", "setPolicy"];
    for (const name of [...names, "revokeWithSignature as itself"]) {
      const before = await stateOf(suite);
      const { sender, data } = await ATTEMPTS[name]!(suite, actors.owner);
      await sender.sendTransaction({ to: await access.getAddress(), data });
      expect(await stateOf(suite), name).not.to.deep.equal(before);
    }
  });

  it("leave others' grants alone when the subject of one gives up its own", async () => {
    const suite = await loadFixture(deployShared);
    const { access, actors, accountDevice } = suite;
    await access.connect(actors.subject).renounce(accountDevice.id);

    expect((await access.grantOf(accountDevice.id, actors.subject)).permissions).to.equal(0n);
    expect((await access.grantOf(accountDevice.id, actors.maker)).permissions).to.equal(ReadLive);
  });
});
