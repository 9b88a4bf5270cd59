import { ZeroAddress, ZeroHash } from "ethers";
import fc from "fast-check";

import { createP256Key, type Key } from "../../client/keys.js";

import { AccessModel } from "./access-model.js";
import {
  ALL_PURPOSES,
  deployAccess,
  enrollForAccount,
  GRANTABLE,
  READ,
  sendDevicePolicy,
  type Access,
} from "./access.js";
import { DAY, ethers, FOR_EVER, networkHelpers, now } from "./chain.js";
import { ROLE } from "./fleet.js";

/** The fleet at work, a third device owned by an account, and everyone and everything that a history can name. */
export interface World extends Access {
  /** The keys of the three devices. */
  keys: Key[];
  /** The three devices, and one that was never enrolled. */
  devicesAsked: string[];
  /** The first four are those who are given grants and roles. */
  accounts: string[];
}

/** The fixture in which every history begins. */
export async function deployWorld(): Promise<World> {
  const suite = await deployAccess();
  const { key } = await enrollForAccount(suite);
  const { actors, fleet } = suite;
  const keys = [suite.p256Device, suite.accountDevice, key];
  return {
    ...suite,
    keys,
    devicesAsked: [...keys.map(({ id }) => id), createP256Key().id],
    accounts: [
      // An outsider twice, a member and a governor.
      ...[actors.subject, actors.stranger, actors.operator, actors.owner].map(({ address }) => address),
      ...[actors.formerOwner, actors.maker, actors.admin, actors.security, actors.gateway].map(
        ({ address }) => address,
      ),
      ...[actors.memberWithoutPermission, actors.expiredMember, actors.device].map(({ address }) => address),
      fleet,
      ZeroAddress,
    ],
  };
}

/** The model of a world in which nothing has happened yet. */
export function modelOf({ actors, fleet, p256Device, accountDevice, keys }: World): AccessModel {
  const model = new AccessModel();
  model.enroll(p256Device.id, fleet);
  model.enroll(accountDevice.id, fleet);
  model.enroll(keys[2]!.id, actors.maker.address);
  model.setGovernor(fleet, actors.owner.address);
  const members = [
    [actors.admin, ROLE.Admin],
    [actors.operator, ROLE.Operator],
    [actors.security, ROLE.Security],
    [actors.gateway, ROLE.Gateway],
    [actors.maker, ROLE.Maker],
    [actors.memberWithoutPermission, ROLE.Auditor],
  ] as const;
  for (const [{ address }, roles] of members) {
    model.setRoles(fleet, address, roles, { notBefore: 0n, expiry: FOR_EVER });
  }
  return model;
}

/** One thing that happens; devices, accounts and subjects by their place in the world. */
type Step =
  | { kind: "grant"; device: number; subject: number; permissions: bigint; purposes: bigint; window: RelativeWindow }
  | { kind: "revoke" | "renounce"; device: number; subject: number }
  | { kind: "ownerPolicy" | "devicePolicy"; device: number; ceiling: bigint; publicRead: bigint; purposes: bigint }
  | { kind: "revokeAll" | "suspendOrResume" | "retire"; device: number }
  | { kind: "setRoles"; device: number; subject: number; roles: bigint; window: RelativeWindow }
  | { kind: "revokeAllRoles"; device: number }
  | { kind: "handOver"; keepRoles: boolean }
  | { kind: "wait"; seconds: bigint };

/** In seconds from now on. */
interface RelativeWindow {
  begins: bigint;
  ends: bigint;
}

// Few devices, subjects and purposes, so that what happens meets what is asked.
const device = fc.integer({ min: 0, max: 2 });
const subject = fc.integer({ min: 0, max: 3 });
const mask = (all: bigint): fc.Arbitrary<bigint> => {
  return fc.oneof({ weight: 2, arbitrary: fc.constant(all) }, { weight: 3, arbitrary: fc.bigInt(0n, all) });
};
const someOf = (all: bigint) => mask(all).map((bits) => (bits === 0n ? all : bits));
const purposes = fc.oneof(
  { weight: 2, arbitrary: fc.constant(ALL_PURPOSES) },
  { weight: 3, arbitrary: fc.bigInt(1n, 0b111n) },
);
const window = fc.record({ begins: fc.bigInt(-DAY, DAY / 2n), ends: fc.bigInt(DAY, 4n * DAY) });
const half = { ceiling: mask(GRANTABLE), publicRead: mask(READ), purposes };

const anyGrant = fc.record({
  kind: fc.constant("grant" as const),
  device,
  subject,
  permissions: someOf(GRANTABLE),
  purposes,
  window,
});

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: anyGrant },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("revoke", "renounce"), device, subject }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("ownerPolicy", "devicePolicy"), device, ...half }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("revokeAll"), device }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("suspendOrResume"), device }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("retire"), device }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("setRoles"), device, subject, roles: someOf(0xffn), window }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("revokeAllRoles"), device }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("handOver"), keepRoles: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("wait"), seconds: fc.bigInt(1n, 2n * DAY) }) },
);

const anyQuestion = fc.record({
  device: fc.oneof({ weight: 40, arbitrary: device }, { weight: 1, arbitrary: fc.constant(3) }),
  account: fc.oneof({ weight: 3, arbitrary: subject }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 13 }) }),
  permissions: fc.oneof(
    { weight: 30, arbitrary: fc.bigInt(0n, 6n).map((bit) => 1n << bit) },
    { weight: 10, arbitrary: fc.bigInt(1n, GRANTABLE) },
    { weight: 5, arbitrary: fc.bigInt(7n, 15n).map((bit) => 1n << bit) },
    { weight: 2, arbitrary: fc.bigInt(0n, 2n ** 32n - 1n) },
  ),
  purpose: fc.oneof(
    { weight: 40, arbitrary: fc.bigInt(0n, 2n) },
    { weight: 3, arbitrary: fc.bigInt(3n, 31n) },
    { weight: 1, arbitrary: fc.bigInt(32n, 255n) },
  ),
});

/** What a history begins with, so that there is something to ask about. */
export const anyBeginning = fc.array(anyGrant, { minLength: 10, maxLength: 10 });

/** Steps, and what is asked after each. */
export const anyHistory = fc.array(fc.tuple(anyStep, fc.array(anyQuestion, { minLength: 4, maxLength: 4 })), {
  minLength: 16,
  maxLength: 32,
});

/** Makes the step on the chain and in the model; what the device's state does not permit is left out of both. */
export async function take(world: World, model: AccessModel, step: Step): Promise<void> {
  const { access, devices, roles, actors, fleet } = world;
  if (step.kind === "wait") {
    await networkHelpers.time.increase(step.seconds);
    return;
  }
  const governor = model.governorOf(fleet) === actors.owner.address ? actors.owner : actors.formerOwner;
  if (step.kind === "handOver") {
    const next = governor === actors.owner ? actors.formerOwner : actors.owner;
    await roles.connect(governor).proposeGovernor(fleet, next);
    await roles.connect(next).acceptGovernor(fleet, step.keepRoles);
    model.setGovernor(fleet, next.address);
    if (!step.keepRoles) model.endRoles(fleet);
    return;
  }

  const key = world.keys[step.device]!;
  const owner = step.device === 2 ? actors.maker : governor;
  const ownerId = step.device === 2 ? actors.maker.address : fleet;
  const status = model.statusOf(key.id);
  switch (step.kind) {
    case "grant": {
      if (status === "retired") return;
      const { permissions, purposes } = step;
      const limits = await absolute(step.window);
      const account = world.accounts[step.subject]!;
      const { notBefore, expiry } = limits;
      await access.connect(owner).grant(key.id, account, permissions, purposes, notBefore, expiry, ZeroHash);
      model.grant(key.id, account, permissions, purposes, limits);
      return;
    }
    case "revoke":
      await access.connect(owner).revoke(key.id, world.accounts[step.subject]!);
      model.revoke(key.id, world.accounts[step.subject]!);
      return;
    case "renounce": {
      const account = world.accounts[step.subject]!;
      if (!model.holdsGrant(key.id, account)) return;
      await access.connect(await ethers.getSigner(account)).renounce(key.id);
      model.revoke(key.id, account);
      return;
    }
    case "ownerPolicy":
      if (status === "retired") return;
      await access.connect(owner).setPolicy(key.id, step.ceiling, step.publicRead, step.purposes);
      model.setOwnerPolicy(key.id, step);
      return;
    case "devicePolicy": {
      if (status !== "active") return;
      const { ceiling, publicRead, purposes } = step;
      await sendDevicePolicy(world, key, { ceiling, publicRead, purposes });
      model.setDevicePolicy(key.id, step);
      return;
    }
    case "revokeAll":
      if (status === "retired") return;
      await devices.connect(owner).revokeAll(key.id, key.publicKey);
      model.revokeAll(key.id);
      return;
    case "suspendOrResume":
      if (status === "retired") return;
      if (status === "active") await devices.connect(owner).suspend(key.id, key.publicKey);
      else await devices.connect(owner).resume(key.id, key.publicKey);
      model.setStatus(key.id, status === "active" ? "suspended" : "active");
      return;
    case "retire":
      if (status === "retired") return;
      await devices.connect(owner).retire(key.id);
      model.setStatus(key.id, "retired");
      return;
    case "setRoles": {
      const limits = await absolute(step.window);
      const account = world.accounts[step.subject]!;
      await roles.connect(owner).setRoles(ownerId, account, step.roles, limits.notBefore, limits.expiry);
      model.setRoles(ownerId, account, step.roles, limits);
      return;
    }
    case "revokeAllRoles":
      await roles.connect(owner).revokeAllRoles(ownerId);
      model.endRoles(ownerId);
  }
}

async function absolute({ begins, ends }: RelativeWindow): Promise<{ notBefore: bigint; expiry: bigint }> {
  const time = await now();
  return { notBefore: time + begins, expiry: time + ends };
}
