/**
 * Everything that can happen to devices, grants and fleets, at random and by whoever may do it; what is refused all the same is left
 * out. There is no model: what the chain answers is right.
 */
import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { id, ZeroAddress, ZeroHash, type ContractTransactionResponse } from "ethers";
import fc from "fast-check";

import { AccessState } from "../../client/access-state.js";
import { eventsIn, readEvents, type TouchstoneEvent } from "../../client/events.js";
import { accountKey, createP256Key, type Key } from "../../client/keys.js";
import {
  dataGrantMessage,
  devicePolicyMessage,
  enrollmentMessage,
  redemptionMessage,
  revocationMessage,
  transferAcceptanceMessage,
  transferVoucherMessage,
} from "../../client/typed-data.js";

import { ALL_PURPOSES, GRANTABLE, READ } from "./access.js";
import { DAY, ethers, FOR_EVER, networkHelpers, now } from "./chain.js";
import { deploySuite, type Suite } from "./suite.js";

export interface SharingWorld extends Suite {
  /** Two devices of the fleet, others that are enrolled in time, and two accounts with a past of their own. */
  keys: Key[];
  /** Who owns and buys devices: fleets, and accounts. */
  parties: string[];
  /** Who is asked about; the first six are those who are given grants and roles. */
  accounts: string[];
  signers: Map<string, HardhatEthersSigner>;
}

/** The fixture in which every history begins. */
export async function deploySharingWorld(): Promise<SharingWorld> {
  const suite = await deploySuite();
  const { actors, fleet, otherFleet, p256Device, accountDevice } = suite;
  const all = await ethers.getSigners();
  const people = [actors.subject, actors.stranger, actors.operator, actors.maker, actors.owner, actors.formerOwner];
  return {
    ...suite,
    keys: [
      p256Device,
      accountDevice,
      createP256Key(),
      createP256Key(),
      await accountKey(actors.gateway),
      await accountKey(actors.relayer),
    ],
    parties: [fleet, otherFleet, actors.maker.address, actors.subject.address],
    accounts: [
      ...people.map(({ address }) => address),
      ...[actors.admin, actors.memberWithoutPermission, actors.expiredMember].map(({ address }) => address),
      ...[all[0]!.address, fleet, otherFleet, ZeroAddress],
    ],
    signers: new Map(all.map((signer) => [signer.address, signer])),
  };
}

const kinds = {
  grant: 10,
  grantMany: 3,
  grantWithSignature: 6,
  revoke: 2,
  revokeMany: 1,
  revokeWithSignature: 3,
  renounce: 2,
  setPolicy: 4,
  setDevicePolicy: 4,
  revokeAll: 2,
  suspendOrResume: 5,
  retire: 1,
  enroll: 6,
  transfer: 3,
  voucher: 2,
  bearer: 2,
  setRoles: 8,
  renounceRoles: 1,
  defineRole: 4,
  declareExclusive: 1,
  revokeAllRoles: 1,
  handOver: 3,
  createFleet: 1,
  changeOwner: 1,
  sellAndGrant: 1,
  wait: 4,
} as const;
export type SharingKind = keyof typeof kinds;
export const sharingKinds = Object.keys(kinds) as SharingKind[];

/** One thing that happens; each kind takes of it what it needs. */
export interface SharingStep {
  kind: SharingKind;
  device: number;
  party: number;
  subject: number;
  mask: bigint;
  purposes: bigint;
  /** Seconds from now on. */
  begins: bigint;
  ends: bigint;
  flag: boolean;
}

const bits = (all: bigint): fc.Arbitrary<bigint> => fc.oneof(fc.constant(all), fc.bigInt(0n, all));

export const anySharingStep: fc.Arbitrary<SharingStep> = fc.record({
  kind: fc.oneof(...sharingKinds.map((kind) => ({ weight: kinds[kind], arbitrary: fc.constant(kind) }))),
  device: fc.oneof(fc.constantFrom(0, 2), fc.integer({ min: 0, max: 5 })),
  party: fc.integer({ min: 0, max: 3 }),
  subject: fc.integer({ min: 0, max: 5 }),
  mask: bits(0xffffn),
  purposes: fc.oneof(fc.constant(ALL_PURPOSES), fc.bigInt(1n, 0b1111n)),
  begins: fc.oneof(fc.bigInt(-DAY, 0n), fc.bigInt(1n, DAY / 2n)),
  ends: fc.oneof(fc.bigInt(DAY / 2n, 2n * DAY), fc.constant(FOR_EVER)),
  flag: fc.boolean(),
});

/** A question as the contract takes it; devices and accounts by their place in the world. */
export interface SharingQuestion {
  device: number;
  account: number;
  permissions: bigint;
  purpose: bigint;
}

export const anySharingQuestion: fc.Arbitrary<SharingQuestion> = fc.record({
  device: fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(0, 2) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 6 }) },
  ),
  account: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 5 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 12 }) },
  ),
  permissions: fc.oneof(
    { weight: 20, arbitrary: fc.bigInt(0n, 6n).map((bit) => 1n << bit) },
    { weight: 10, arbitrary: fc.bigInt(1n, GRANTABLE) },
    { weight: 5, arbitrary: fc.bigInt(7n, 15n).map((bit) => 1n << bit) },
    { weight: 2, arbitrary: fc.bigInt(0n, 2n ** 32n - 1n) },
  ),
  purpose: fc.oneof(
    { weight: 40, arbitrary: fc.bigInt(0n, 3n) },
    { weight: 3, arbitrary: fc.bigInt(4n, 31n) },
    { weight: 1, arbitrary: fc.bigInt(32n, 255n) },
  ),
});

/** All that has happened so far. */
export async function eventsOf({ as }: Suite): Promise<TouchstoneEvent[]> {
  const events: TouchstoneEvent[] = [];
  for await (const event of readEvents({ touchstone: as.owner })) events.push(event);
  return events;
}

/** What the client makes of it. */
export async function stateOf(suite: Suite): Promise<AccessState> {
  const state = new AccessState();
  for (const event of await eventsOf(suite)) state.apply(event);
  return state;
}

/** Makes the steps on the chain, those that are not refused. */
export async function live(world: SharingWorld, steps: readonly SharingStep[]): Promise<void> {
  const state = await stateOf(world);
  for (const step of steps) {
    for (const event of (await act(world, state, step)) ?? []) state.apply(event);
  }
}

/**
 * Makes the step on the chain.
 *
 * @param state What happened before, to know who may do it.
 * @returns Its events; undefined if it was refused.
 */
export async function act(
  world: SharingWorld,
  state: AccessState,
  step: SharingStep,
): Promise<TouchstoneEvent[] | undefined> {
  const transactions = await attempt(world, state, step).catch((error: unknown) => {
    if (error instanceof Error && error.message.includes("revert")) return undefined;
    throw error;
  });
  if (transactions === undefined) return undefined;
  const receipts = await Promise.all(transactions.map((transaction) => transaction.wait()));
  return receipts.flatMap((receipt) => eventsIn(world.as.owner, receipt!));
}

async function attempt(
  world: SharingWorld,
  state: AccessState,
  step: SharingStep,
): Promise<ContractTransactionResponse[] | undefined> {
  const { access, devices, roles } = world;
  const { DataAccess: accessDomain, DeviceRegistry: devicesDomain } = world.as.owner.domains;
  const time = await now();
  const deadline = time + DAY;
  const key = world.keys[step.device]!;
  const known = state.deviceOf(key.id);
  const party = world.parties[step.party]!;
  const subject = world.accounts[step.subject]!;
  const signerOf = (account: string): HardhatEthersSigner => world.signers.get(account)!;
  const governor = signerOf(state.governorOf(known?.owner ?? party));
  const partyGovernor = signerOf(state.governorOf(party));
  const grantable = step.mask & GRANTABLE;
  const notBefore = time + step.begins;
  const expiry = step.ends === FOR_EVER ? FOR_EVER : time + step.ends;
  const half = [grantable, (step.mask >> 7n) & READ, step.purposes] as const;
  const seq = state.grantsOn(key.id).find((grant) => grant.subject === subject)?.grant.seq ?? 0n;
  const epoch = known?.epoch ?? 0n;
  const sent = async (transaction: Promise<ContractTransactionResponse>) => [await transaction];

  switch (step.kind) {
    case "grant": {
      // Now and then a member shares.
      const by = step.flag && step.party === 0 ? signerOf(world.accounts[2 + (step.subject % 4)]!) : governor;
      return sent(access.connect(by).grant(key.id, subject, grantable, step.purposes, notBefore, expiry, ZeroHash));
    }
    case "grantMany": {
      const pairs = [0, 1, 2].map((place) => ({ device: world.keys[place]!.id, subject }));
      return sent(access.connect(governor).grantMany(pairs, grantable, step.purposes, notBefore, expiry, id("terms")));
    }
    case "grantWithSignature": {
      const dataGrant = {
        grantor: governor.address,
        device: key.id,
        subject,
        permissions: grantable,
        purposes: step.purposes,
        notBefore,
        expiry,
        termsHash: id("terms"),
        epoch,
        seq,
        deadline,
      };
      const { signature } = await (await accountKey(governor)).prove(dataGrantMessage(accessDomain, dataGrant));
      return sent(access.grantWithSignature(dataGrant, signature));
    }
    case "revoke":
      return sent(access.connect(governor).revoke(key.id, subject));
    case "revokeMany": {
      const pairs = [0, 1, 2].map((place) => ({ device: world.keys[place]!.id, subject }));
      return sent(access.connect(governor).revokeMany(pairs));
    }
    case "revokeWithSignature": {
      const revoker = step.flag ? governor : signerOf(subject);
      const next = seq + (step.party > 1 ? 2n : 1n);
      const revocation = { revoker: revoker.address, device: key.id, subject, epoch, seq: next, deadline };
      const { signature } = await (await accountKey(revoker)).prove(revocationMessage(accessDomain, revocation));
      return sent(access.revokeWithSignature(revocation, signature));
    }
    case "renounce":
      return sent(access.connect(signerOf(subject)).renounce(key.id));
    case "setPolicy":
      return sent(access.connect(governor).setPolicy(key.id, ...half));
    case "setDevicePolicy": {
      const [ceiling, publicRead, purposes] = half;
      const { deviceSeq } = state.policyOf(key.id);
      const policy = { device: key.id, ceiling, publicRead, purposes, epoch, seq: deviceSeq, deadline };
      return sent(access.setDevicePolicy(policy, await key.prove(devicePolicyMessage(accessDomain, policy))));
    }
    case "revokeAll":
      return sent(devices.connect(governor).revokeAll(key.id, key.publicKey));
    case "suspendOrResume":
      if (known?.status === "Suspended") return sent(devices.connect(governor).resume(key.id, key.publicKey));
      return sent(devices.connect(governor).suspend(key.id, key.publicKey));
    case "retire":
      return sent(devices.connect(governor).retire(key.id));
    case "enroll": {
      // The enrolment of one that is there already changes nothing.
      if (known !== undefined) return undefined;
      const owner = party;
      const enrollment = { device: key.id, scheme: key.scheme, owner, manifest: 0, metadataHash: ZeroHash, deadline };
      const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
      return sent(devices.connect(partyGovernor).enroll(enrollment, proof, "0x"));
    }
    case "transfer":
      await devices.connect(governor).proposeTransfer(key.id, party, deadline);
      return sent(devices.connect(partyGovernor).acceptTransfer(key.id, key.publicKey));
    case "voucher":
    case "bearer": {
      const isBearer = step.kind === "bearer";
      const terms = { device: key.id, newOwner: party, epoch, deadline };
      const voucher = { ...terms, newOwner: isBearer ? ZeroAddress : party };
      const { signature } = await (await accountKey(governor)).prove(transferVoucherMessage(devicesDomain, voucher));
      const accepted = await (await accountKey(partyGovernor)).prove(transferAcceptanceMessage(devicesDomain, terms));
      const redeemed = await key.prove(redemptionMessage(devicesDomain, terms));
      return sent(
        devices.redeemVoucher(
          voucher,
          signature,
          { newOwner: party, deadline, signature: accepted.signature },
          { deadline, publicKey: key.publicKey, signature: redeemed.signature },
        ),
      );
    }
    case "setRoles": {
      const given = step.flag ? step.mask & 0xff7en : 0x100n << (step.mask & 7n);
      return sent(roles.connect(partyGovernor).setRoles(party, subject, given, notBefore, expiry));
    }
    case "renounceRoles": {
      const members = state.membersOf(party).filter(({ membership }) => membership.roles.length > 0);
      const leaving = members[step.subject % Math.max(1, members.length)]?.account ?? subject;
      return sent(roles.connect(signerOf(leaving)).renounceRoles(party));
    }
    case "defineRole":
      return sent(roles.connect(partyGovernor).defineRole(party, 8n + (step.purposes & 7n), step.mask & 0x7fffn));
    case "declareExclusive":
      return sent(
        roles.connect(partyGovernor).declareExclusive(party, 8n + (step.mask & 3n), 12n + (step.purposes & 3n)),
      );
    case "revokeAllRoles":
      return sent(roles.connect(partyGovernor).revokeAllRoles(party));
    case "handOver": {
      const to = signerOf(world.accounts[step.subject]!);
      await roles.connect(partyGovernor).proposeGovernor(party, to);
      return sent(roles.connect(to).acceptGovernor(party, step.flag));
    }
    case "createFleet":
      return sent(roles.connect(partyGovernor).createFleet(id(String(step.mask))));
    case "changeOwner": {
      // Before they are devices: the one gets an owner, the other is given up for ever.
      const identity = signerOf(world.keys[step.flag ? 4 : 5]!.id);
      return sent(devices.connect(identity).changeOwner(identity, step.flag ? party : ZeroAddress));
    }
    case "sellAndGrant": {
      await devices.connect(governor).proposeTransfer(key.id, party, deadline);
      const transferred = await devices.connect(partyGovernor).acceptTransfer(key.id, key.publicKey);
      const granted = await access
        .connect(partyGovernor)
        .grant(key.id, subject, GRANTABLE, ALL_PURPOSES, 0n, FOR_EVER, ZeroHash);
      return [transferred, granted];
    }
    case "wait":
      await networkHelpers.time.increase(step.ends === FOR_EVER ? DAY / 2n : step.ends);
      return [];
  }
}
