import { setTimeout } from "node:timers/promises";

import { expect } from "chai";
import { id, makeError, ZeroAddress, ZeroHash, type Provider } from "ethers";
import fc from "fast-check";

import { AccessState } from "../../client/access-state.js";
import { accessReasons, nameOf, type GrantablePermission } from "../../client/enumerations.js";
import { TouchstoneError } from "../../client/errors.js";
import type { TouchstoneEvent } from "../../client/events.js";
import { createP256Key } from "../../client/keys.js";
import {
  openPolicyMirror,
  type MirrorReason,
  type PolicyMirror,
  type PolicyMirrorOptions,
} from "../../client/policy-mirror.js";
import { ALL_PURPOSES, GRANTABLE, PERMISSION } from "../support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { enrollDevice, ROLE } from "../support/fleet.js";
import { providerWith } from "../support/provider.js";
import {
  act,
  anySharingQuestion,
  anySharingStep,
  deploySharingWorld,
  eventsOf,
  stateOf,
} from "../support/sharing-histories.js";
import { deploySuite, type Suite } from "../support/suite.js";

const { ReadLive, ReadHistory } = PERMISSION;
/** Blocks below the confirmed one that a mirror can take back. */
const KEPT = 64;
const SEED = 20_261_122;

/** A suite, a mirror of it that looks only when told, and a local clock that stands at the time of the chain. */
interface Mirrored {
  suite: Suite;
  mirror: PolicyMirror;
  clock: { now: number };
  /** What the listener of the mirror was told. */
  told: (readonly string[] | "all")[];
}

describe("openPolicyMirror", () => {
  const open: PolicyMirror[] = [];

  afterEach(async () => {
    await Promise.all(open.splice(0).map((mirror) => mirror.close()));
  });

  async function mirrorOf(suite: Suite, options: Partial<PolicyMirrorOptions> = {}): Promise<Mirrored> {
    const clock = { now: Number(await now()) * 1000 };
    const mirror = await openPolicyMirror({
      touchstone: suite.as.owner,
      confirmations: 3,
      pollingInterval: 3_600_000,
      now: () => clock.now,
      ...options,
    });
    open.push(mirror);
    const told: Mirrored["told"] = [];
    mirror.onChange((devices) => told.push(devices));
    return { suite, mirror, clock, told };
  }

  async function setUp(options: Partial<PolicyMirrorOptions> = {}): Promise<Mirrored> {
    return mirrorOf(await loadFixture(deploySuite), options);
  }

  // ---------------------------------------------------------------- helpers

  async function grant(
    { access, actors, p256Device }: Suite,
    permissions = ReadLive,
    window: { notBefore?: bigint; expiry?: bigint } = {},
  ): Promise<void> {
    const { notBefore = 0n, expiry = FOR_EVER } = window;
    await access
      .connect(actors.owner)
      .grant(p256Device.id, actors.subject, permissions, ALL_PURPOSES, notBefore, expiry, ZeroHash);
  }

  /** Mines blocks, lets the clock follow the chain, and the mirror too. */
  async function proceed({ mirror, clock }: Mirrored, blocks = 0): Promise<void> {
    if (blocks > 0) await networkHelpers.mine(blocks);
    clock.now = Number(await now()) * 1000;
    await mirror.catchUp();
  }

  function reasonFor(
    { mirror, suite }: Mirrored,
    permissions: GrantablePermission[] = ["ReadLive"],
    account: string = suite.actors.subject.address,
  ): MirrorReason {
    const question = { device: suite.p256Device.id, account, permissions, purpose: "CustomerCare" as const };
    const answer = mirror.explain(question);
    expect(mirror.isAllowed(question)).to.equal(answer.allowed);
    expect(answer.allowed).to.equal(["Owner", "Grant", "Public", "Role"].includes(answer.reason));
    const { block, confirmedBlock, staleness } = mirror.state;
    expect(answer).to.deep.include({ block, confirmedBlock, staleness });
    return answer.reason;
  }

  /** The suite's client over a provider of which some methods are replaced. */
  function through(suite: Suite, replaced: object): Suite["as"]["owner"] {
    return suite.as.owner.connect(providerWith(replaced));
  }

  async function send(method: string, params: unknown[]): Promise<unknown> {
    return ethers.provider.send(method, params) as Promise<unknown>;
  }

  // ---------------------------------------------------------------- confirmations

  it("allows what is granted once the block is as deep as it waits for, itself included", async () => {
    const mirrored = await setUp();
    await grant(mirrored.suite);
    const block = await ethers.provider.getBlockNumber();

    for (const [mined, reason] of [
      [0, "Unconfirmed"],
      [1, "Unconfirmed"],
      [1, "Grant"],
    ] as const) {
      await proceed(mirrored, mined);
      expect(reasonFor(mirrored)).to.equal(reason);
    }
    const latest = await ethers.provider.getBlock("latest");
    expect(mirrored.mirror.state).to.deep.equal({
      block: block + 2,
      blockHash: latest!.hash,
      timestamp: BigInt(latest!.timestamp),
      confirmedBlock: block,
      staleness: 0n,
      isStale: false,
      failure: undefined,
    });
  });

  it("waits for 12 blocks unless told, and for none but the first with 1", async () => {
    const suite = await loadFixture(deploySuite);
    const { touchstone } = { touchstone: suite.as.owner };
    const twelve = await mirrorOf(suite, {});
    const clock = twelve.clock;
    const unsaid = await openPolicyMirror({ touchstone, now: () => clock.now });
    open.push(unsaid);
    const one = await mirrorOf(suite, { confirmations: 1 });
    await grant(suite);
    await proceed(one);
    expect(reasonFor(one)).to.equal("Grant");
    await proceed({ ...twelve, mirror: unsaid }, 10);
    expect(reasonFor({ ...twelve, mirror: unsaid })).to.equal("Unconfirmed");
    await proceed({ ...twelve, mirror: unsaid }, 1);
    expect(reasonFor({ ...twelve, mirror: unsaid })).to.equal("Grant");
  });

  const ends: [string, (suite: Suite) => Promise<unknown>, MirrorReason][] = [
    [
      "revoke",
      ({ access, actors, p256Device: { id } }) => access.connect(actors.owner).revoke(id, actors.subject),
      "Revoked",
    ],
    [
      "renunciation",
      ({ access, actors, p256Device: { id } }) => access.connect(actors.subject).renounce(id),
      "Revoked",
    ],
    [
      "suspension",
      ({ devices, actors, p256Device }) => devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey),
      "DeviceSuspended",
    ],
    [
      "retirement",
      ({ devices, actors, p256Device: { id } }) => devices.connect(actors.owner).retire(id),
      "DeviceRetired",
    ],
    [
      "new epoch",
      ({ devices, actors, p256Device }) => devices.connect(actors.owner).revokeAll(p256Device.id, p256Device.publicKey),
      "EpochEnded",
    ],
    ["sale", (suite) => sell(suite), "EpochEnded"],
    [
      "policy",
      ({ access, actors, p256Device: { id } }) =>
        access.connect(actors.owner).setPolicy(id, ReadHistory, 0n, ALL_PURPOSES),
      "OwnerPolicy",
    ],
    ["narrower grant", (suite) => grant(suite, ReadHistory), "PermissionNotGranted"],
  ];
  for (const [name, end, reason] of ends) {
    it(`denies at the first sight of a ${name}`, async () => {
      const mirrored = await setUp();
      await grant(mirrored.suite, ReadLive);
      await proceed(mirrored, 2);
      expect(reasonFor(mirrored)).to.equal("Grant");

      await end(mirrored.suite);
      await proceed(mirrored);
      expect(reasonFor(mirrored)).to.equal(reason);
      await proceed(mirrored, 5);
      expect(reasonFor(mirrored)).to.equal(reason);
    });
  }

  it("denies members at the first sight of the end of their roles, and lets new ones wait", async () => {
    const mirrored = await setUp();
    const { suite } = mirrored;
    const { roles, actors, fleet } = suite;
    const asOwner = roles.connect(actors.owner);
    const of = (account: { address: string }) => reasonFor(mirrored, ["ReadLive"], account.address);
    expect(of(actors.operator)).to.equal("Role");

    await asOwner.setRoles(fleet, actors.operator, 0n, 0n, 0n);
    await proceed(mirrored);
    expect(of(actors.operator)).to.equal("NoGrant");
    expect(of(actors.gateway)).to.equal("Role");

    await asOwner.revokeAllRoles(fleet);
    await asOwner.setRoles(fleet, actors.gateway, ROLE.Gateway, 0n, FOR_EVER);
    await proceed(mirrored);
    // Before and after it is a gateway, but in between it was not.
    expect(of(actors.gateway)).to.equal("Unconfirmed");
    await proceed(mirrored, 2);
    expect(of(actors.gateway)).to.equal("Role");

    await asOwner.defineRole(fleet, 8, ReadLive);
    await asOwner.setRoles(fleet, actors.stranger, 1n << 8n, 0n, FOR_EVER);
    await proceed(mirrored, 3);
    expect(of(actors.stranger)).to.equal("Role");
    await asOwner.defineRole(fleet, 8, ReadHistory);
    await proceed(mirrored);
    expect(of(actors.stranger)).to.equal("NoGrant");
  });

  it("denies a former governor at first sight, and lets the new one wait", async () => {
    const mirrored = await setUp();
    const { roles, actors, fleet } = mirrored.suite;
    await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
    await roles.connect(actors.stranger).acceptGovernor(fleet, false);
    await proceed(mirrored);

    expect(reasonFor(mirrored, ["ReadLive"], actors.owner.address)).to.equal("NoGrant");
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("Unconfirmed");
    expect(reasonFor(mirrored, ["ReadLive"], actors.operator.address)).to.equal("NoGrant");
    await proceed(mirrored, 2);
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("Owner");
  });

  it("goes on to allow what a changed grant still gives, and lets wait what it gives besides", async () => {
    const mirrored = await setUp();
    await grant(mirrored.suite, ReadLive | ReadHistory);
    await proceed(mirrored, 2);
    await grant(mirrored.suite, ReadLive);
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadLive"])).to.equal("Grant");
    expect(reasonFor(mirrored, ["ReadHistory"])).to.equal("PermissionNotGranted");

    await proceed(mirrored, 3);
    await grant(mirrored.suite, GRANTABLE);
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadLive"])).to.equal("Grant");
    expect(reasonFor(mirrored, ["Command"])).to.equal("Unconfirmed");
    expect(reasonFor(mirrored, ["ReadLive", "Command"])).to.equal("Unconfirmed");
    await proceed(mirrored, 2);
    expect(reasonFor(mirrored, ["ReadLive", "Command"])).to.equal("Grant");
  });

  it("lets a grant wait that was given again after its revoke, but not if both are one transaction", async () => {
    const mirrored = await setUp();
    const { access, actors, p256Device } = mirrored.suite;
    await grant(mirrored.suite);
    await proceed(mirrored, 2);
    await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
    await grant(mirrored.suite);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Unconfirmed");
    await proceed(mirrored, 2);
    expect(reasonFor(mirrored)).to.equal("Grant");

    const terms = [p256Device.id, actors.subject.address, ReadLive, ALL_PURPOSES, 0n, FOR_EVER, ZeroHash] as const;
    await access
      .connect(actors.owner)
      .multicall([
        access.interface.encodeFunctionData("revoke", [p256Device.id, actors.subject.address]),
        access.interface.encodeFunctionData("grant", [...terms]),
      ]);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("lets the grant of a new owner wait, though the former owner's held until the sale", async () => {
    const mirrored = await setUp();
    const { suite } = mirrored;
    const { access, actors, p256Device } = suite;
    await grant(suite);
    await proceed(mirrored, 2);
    await sell(suite);
    await access
      .connect(actors.stranger)
      .grant(p256Device.id, actors.subject, ReadLive, ALL_PURPOSES, 0n, FOR_EVER, ZeroHash);
    await proceed(mirrored);

    expect(reasonFor(mirrored)).to.equal("Unconfirmed");
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("Unconfirmed");
    expect(reasonFor(mirrored, ["ReadLive"], actors.owner.address)).to.equal("NoGrant");
    expect(reasonFor(mirrored, ["ReadLive"], actors.operator.address)).to.equal("NoGrant");
    await proceed(mirrored, 2);
    expect(reasonFor(mirrored)).to.equal("Grant");
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("Owner");
  });

  it("lets wait what a policy allows again after it did not", async () => {
    const mirrored = await setUp();
    const { access, actors, p256Device } = mirrored.suite;
    const asOwner = access.connect(actors.owner);
    await asOwner.setPolicy(p256Device.id, ReadLive, ReadLive, ALL_PURPOSES);
    await proceed(mirrored, 2);
    expect(reasonFor(mirrored)).to.equal("Public");

    await asOwner.setPolicy(p256Device.id, 0n, 0n, ALL_PURPOSES);
    await asOwner.setPolicy(p256Device.id, GRANTABLE, ReadLive, ALL_PURPOSES);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Unconfirmed");
    await proceed(mirrored, 2);
    expect(reasonFor(mirrored)).to.equal("Public");
  });

  it("answers as the chain in the latest block, and allows only what each of the last blocks does, after anything", async () => {
    const questions = fc.array(anySharingQuestion, { minLength: 10, maxLength: 10 });
    const anyHistory = fc.array(fc.tuple(anySharingStep, questions), { minLength: 40, maxLength: 40 });
    const seen = new Set<MirrorReason>();

    await fc.assert(
      fc.asyncProperty(anyHistory, async (history) => {
        const world = await loadFixture(deploySharingWorld);
        const { access, keys, accounts } = world;
        const first = await mirrorOf(world, { confirmations: 1 });
        const careful = await mirrorOf(world, { confirmations: 5 });
        const state = new AccessState();
        const events = await eventsOf(world);
        for (const event of events) state.apply(event);
        for (const [step, asked] of history) {
          const done = (await act(world, state, step)) ?? [];
          for (const event of done) state.apply(event);
          events.push(...done);
          await proceed(first);
          await proceed(careful);

          const block = await ethers.provider.getBlockNumber();
          const lately = statesFrom(events, block - 4);
          const time = await now();
          for (const { device, account, permissions, purpose } of asked) {
            const [key, who] = [keys[device]?.id ?? id("never").slice(0, 42), accounts[account]!];
            const [, number] = await access.explain(key, who, permissions, purpose);
            const reason = nameOf(accessReasons, number);
            const numbers = [key, who, Number(permissions), Number(purpose)] as const;
            expect(first.mirror.explainMasks(...numbers)).to.equal(reason);
            const isYes = number <= 3n;
            const isLong = lately.every((each) => YES.includes(each.explainMasks(...numbers, time)));
            const said = careful.mirror.explainMasks(...numbers);
            expect(said).to.equal(isYes && !isLong ? "Unconfirmed" : reason);
            seen.add(said);
          }
        }
      }),
      { numRuns: 4, seed: SEED, endOnFailure: true },
    );
    expect([...seen]).to.include.members(["Owner", "Grant", "Public", "Role", "Unconfirmed", "EpochEnded"]);
  });

  // ---------------------------------------------------------------- time

  it("lets nobody in before the chain and the local clock both are there", async () => {
    const mirrored = await setUp({ confirmations: 1, staleAfter: 10n * DAY });
    const { mirror, clock } = mirrored;
    const begin = (await now()) + 100n;
    await grant(mirrored.suite, ReadLive, { notBefore: begin });
    await mirror.catchUp();

    clock.now = Number(begin) * 1000 + 5000;
    expect(reasonFor(mirrored)).to.equal("NotYetValid");
    await networkHelpers.time.increaseTo(begin);
    await mirror.catchUp();
    clock.now = Number(begin) * 1000 - 1;
    expect(reasonFor(mirrored)).to.equal("NotYetValid");
    clock.now = Number(begin) * 1000;
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("lets nobody stay once the local clock or the chain is past the end", async () => {
    const mirrored = await setUp({ confirmations: 1, staleAfter: 10n * DAY });
    const { mirror, clock } = mirrored;
    const end = (await now()) + 100n;
    await grant(mirrored.suite, ReadLive, { expiry: end });
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Grant");

    clock.now = Number(end) * 1000 - 1;
    expect(reasonFor(mirrored)).to.equal("Grant");
    clock.now = Number(end) * 1000;
    expect(reasonFor(mirrored)).to.equal("Expired");

    // A clock that was set back does not bring back what ended by the chain.
    await networkHelpers.time.increaseTo(end);
    await mirror.catchUp();
    clock.now = Number(end - 50n) * 1000;
    expect(reasonFor(mirrored)).to.equal("Expired");
  });

  it("ends by its own count of seconds too, where the local clock is behind and no block comes", async () => {
    const mirrored = await setUp({ confirmations: 1, staleAfter: DAY });
    const { mirror, clock } = mirrored;
    const end = (await now()) + 100n;
    await grant(mirrored.suite, ReadLive, { notBefore: 0n, expiry: end });
    clock.now -= 3_600_000;
    await mirror.catchUp();
    expect(reasonFor(mirrored)).to.equal("Grant");
    clock.now += 90_000;
    expect(reasonFor(mirrored)).to.equal("Grant");
    clock.now += 10_000;
    expect(reasonFor(mirrored)).to.equal("Expired");
  });

  it("tells of devices when a grant or a role ends, by a timer, so that what goes on can be ended", async () => {
    const suite = await loadFixture(deploySuite);
    const { actors, roles, fleet, p256Device, accountDevice } = suite;
    await networkHelpers.mine(1);
    const end = (await now()) + 4n;
    await grant(suite, ReadLive, { expiry: end });
    await roles.connect(actors.owner).setRoles(fleet, actors.operator, ROLE.Operator, 0n, end + 1n);
    const [start, began] = [Number(await now()) * 1000, performance.now()];
    const mirrored = await mirrorOf(suite, { confirmations: 1, now: () => start + performance.now() - began });
    const { told } = mirrored;
    expect(reasonFor(mirrored)).to.equal("Grant");
    expect(reasonFor(mirrored, ["Command"], actors.operator.address)).to.equal("Role");

    await until(() => told.length === 1);
    expect(told).to.deep.equal([[p256Device.id]]);
    expect(reasonFor(mirrored)).to.equal("Expired");
    await until(() => told.length === 2);
    expect(told[1]).to.have.members([p256Device.id, accountDevice.id]);
    expect(reasonFor(mirrored, ["Command"], actors.operator.address)).to.equal("NoGrant");
  });

  it("tells of a device when a grant begins to hold", async () => {
    const mirrored = await setUp({ confirmations: 1 });
    const begin = (await now()) + 30n;
    await grant(mirrored.suite, ReadLive, { notBefore: begin });
    await proceed(mirrored);
    mirrored.told.length = 0;
    await networkHelpers.time.increaseTo(begin);
    await proceed(mirrored);
    expect(mirrored.told).to.deep.equal([[mirrored.suite.p256Device.id]]);
  });

  // ---------------------------------------------------------------- staleness

  it("allows nothing without a newer block for too long, and says so, until one comes", async () => {
    const mirrored = await setUp({ confirmations: 1, staleAfter: 60n });
    const { mirror, clock, told, suite } = mirrored;
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Owner");
    clock.now += 60_999;
    expect(mirror.state).to.deep.include({ isStale: false, staleness: 60n });
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Owner");
    clock.now += 1;
    expect(mirror.state).to.deep.include({ isStale: true, staleness: 61n });
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Stale");

    // The node answers, but stands still.
    await mirror.catchUp();
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Stale");
    expect(told).to.deep.equal(["all"]);
    await proceed(mirrored, 1);
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Owner");
    expect(told).to.deep.equal(["all", "all"]);
  });

  it("counts the seconds since the latest block came where the local clock is behind that of the chain", async () => {
    const mirrored = await setUp({ confirmations: 1, staleAfter: 60n });
    const { mirror, clock } = mirrored;
    clock.now -= 3_600_000;
    await networkHelpers.mine(1);
    await mirror.catchUp();
    expect(mirror.state).to.deep.include({ isStale: false, staleness: 0n });
    clock.now += 61_000;
    expect(mirror.state).to.deep.include({ isStale: true, staleness: 61n });
  });

  it("says that it became stale by itself, when nothing is heard", async () => {
    const suite = await loadFixture(deploySuite);
    const [start, began] = [Number(await now()) * 1000, performance.now()];
    const mirrored = await mirrorOf(suite, { staleAfter: 1n, now: () => start + performance.now() - began });
    await until(() => mirrored.told.length > 0);
    expect(mirrored.told).to.deep.equal(["all"]);
    expect(mirrored.mirror.state.isStale).to.equal(true);
  });

  it("goes on by itself when a node that was gone is back, and missed nothing", async () => {
    const suite = await loadFixture(deploySuite);
    let isGone = false;
    const touchstone = through(suite, {
      send: async (method: string, params: unknown[]) => {
        if (isGone) throw makeError("connect ECONNREFUSED", "NETWORK_ERROR");
        return send(method, params);
      },
    });
    const errors: unknown[] = [];
    const mirrored = await mirrorOf(suite, {
      touchstone,
      confirmations: 1,
      pollingInterval: 5,
      onError: (error) => errors.push(error),
    });
    const { mirror, clock } = mirrored;
    isGone = true;
    await until(() => errors.length > 1);
    expect(mirror.state.failure?.code).to.equal("CHAIN_UNREACHABLE");
    expect(errors[0]).to.be.instanceOf(TouchstoneError).with.property("code", "CHAIN_UNREACHABLE");
    await errorOf("CHAIN_UNREACHABLE", () => mirror.catchUp());
    clock.now += 100_000;
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Stale");

    await grant(suite);
    await networkHelpers.mine(1);
    isGone = false;
    clock.now = Number(await now()) * 1000;
    await until(() => mirror.state.failure === undefined);
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("fails to open where the chain cannot be read, and leaves nothing behind", async () => {
    const suite = await loadFixture(deploySuite);
    const before = timers();
    const touchstone = through(suite, { send: () => Promise.reject(new Error("execution failed")) });
    await errorOf("RPC_FAILED", () => openPolicyMirror({ touchstone }));
    expect(timers()).to.equal(before);
  });

  // ---------------------------------------------------------------- reorganisations

  it("takes back what a reorganisation drops, and reads what takes its place", async () => {
    const mirrored = await setUp({ confirmations: 2 });
    const { suite, told } = mirrored;
    const { access, actors, p256Device } = suite;
    await grant(suite, ReadLive);
    await proceed(mirrored, 1);
    expect(reasonFor(mirrored)).to.equal("Grant");
    const snapshot = await networkHelpers.takeSnapshot();
    await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Revoked");

    await snapshot.restore();
    told.length = 0;
    await mineOthers(1);
    await grant(suite, ReadLive | ReadHistory);
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadLive"])).to.equal("Grant");
    expect(reasonFor(mirrored, ["ReadHistory"])).to.equal("Unconfirmed");
    expect(told).to.deep.equal(["all"]);
    await proceed(mirrored, 1);
    expect(reasonFor(mirrored, ["ReadHistory"])).to.equal("Grant");
    expect(mirrored.mirror.state.blockHash).to.equal((await ethers.provider.getBlock("latest"))!.hash);
  });

  it("takes back confirmed blocks too, and forgets what they confirmed", async () => {
    const mirrored = await setUp({ confirmations: 2 });
    const { suite } = mirrored;
    const snapshot = await networkHelpers.takeSnapshot();
    await grant(suite);
    await sell(suite);
    await suite.devices.connect(suite.actors.stranger).suspend(suite.p256Device.id, suite.p256Device.publicKey);
    await suite.roles.connect(suite.actors.owner).revokeAllRoles(suite.fleet);
    await proceed(mirrored, 20);
    expect(reasonFor(mirrored)).to.equal("DeviceSuspended");

    await snapshot.restore();
    await mineOthers(30);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("NoGrant");
    expect(reasonFor(mirrored, ["ReadLive"], suite.actors.operator.address)).to.equal("Role");
    expect(reasonFor(mirrored, ["ReadLive"], suite.actors.owner.address)).to.equal("Owner");
    await expectAsChain(mirrored);
  });

  it("follows to a chain that is shorter, and confirms less then", async () => {
    const mirrored = await setUp({ confirmations: 3 });
    const { suite } = mirrored;
    await grant(suite);
    const block = await ethers.provider.getBlockNumber();
    const snapshot = await networkHelpers.takeSnapshot();
    await proceed(mirrored, 10);
    expect(reasonFor(mirrored)).to.equal("Grant");

    await snapshot.restore();
    await mineOthers(1);
    await proceed(mirrored);
    expect(mirrored.mirror.state).to.deep.include({ block: block + 1, confirmedBlock: block - 1 });
    expect(reasonFor(mirrored)).to.equal("Unconfirmed");
    await proceed(mirrored, 1);
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("reads everything anew after a reorganisation that is deeper than what it keeps, and allows nothing meanwhile", async () => {
    const suite = await loadFixture(deploySuite);
    const seen: boolean[] = [];
    const opened: PolicyMirror[] = [];
    const touchstone = through(suite, {
      getLogs: (filter: Parameters<Provider["getLogs"]>[0]) => {
        seen.push(...opened.map(({ state }) => state.isStale));
        return ethers.provider.getLogs(filter);
      },
    });
    const snapshot = await networkHelpers.takeSnapshot();
    await grant(suite);
    await networkHelpers.mine(KEPT + 10);
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 1 });
    expect(reasonFor(mirrored)).to.equal("Grant");
    opened.push(mirrored.mirror);

    await snapshot.restore();
    await mineOthers(KEPT + 30);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("NoGrant");
    expect(new Set(seen)).to.deep.equal(new Set([true]));
    expect(mirrored.told.at(-1)).to.equal("all");
    await expectAsChain(mirrored);
  });

  it("is what the chain is after any number of reorganisations", async () => {
    const anyStep = fc.record({ step: anySharingStep, back: fc.nat({ max: 5 }), look: fc.boolean() });
    const anyHistory = fc.array(anyStep, { minLength: 40, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        anyHistory,
        fc.array(anySharingQuestion, { minLength: 40, maxLength: 40 }),
        async (history, asked) => {
          const world = await loadFixture(deploySharingWorld);
          const mirrored = await mirrorOf(world, { confirmations: 3 });
          const snapshots: Awaited<ReturnType<typeof networkHelpers.takeSnapshot>>[] = [];
          for (const { step, back, look } of history) {
            snapshots.push(await networkHelpers.takeSnapshot());
            // What is not refused changes times, and so hashes.
            await networkHelpers.mine(1, { interval: 3 + snapshots.length });
            await act(world, await stateOf(world), step);
            if (look) await proceed(mirrored);
            if (back === 5 && snapshots.length > 3) {
              const target = snapshots.splice(-3)[0]!;
              await target.restore();
              await networkHelpers.mine(1, { interval: 100 + snapshots.length });
            }
          }
          await proceed(mirrored, 3);
          for (const { device, account, permissions, purpose } of asked) {
            const key = world.keys[device]?.id ?? ZeroAddress;
            const [, reason] = await world.access.explain(key, world.accounts[account]!, permissions, purpose);
            const said = mirrored.mirror.explainMasks(
              key,
              world.accounts[account]!,
              Number(permissions),
              Number(purpose),
            );
            expect(said).to.equal(nameOf(accessReasons, reason));
          }
        },
      ),
      { numRuns: 3, seed: SEED, endOnFailure: true },
    );
  });

  // ---------------------------------------------------------------- nodes

  it("waits for a node that named a block it does not have, and loses none of its events", async () => {
    const suite = await loadFixture(deploySuite);
    let isBehind = false;
    const touchstone = through(suite, {
      getLogs: (filter: Parameters<Provider["getLogs"]>[0]) =>
        isBehind ? Promise.reject(new Error("unknown block")) : ethers.provider.getLogs(filter),
    });
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 1 });
    const { block } = mirrored.mirror.state;
    await grant(suite);
    isBehind = true;
    await errorOf("RPC_FAILED", () => mirrored.mirror.catchUp());
    expect(mirrored.mirror.state.block).to.equal(block);
    expect(reasonFor(mirrored)).to.equal("NoGrant");

    isBehind = false;
    await proceed(mirrored);
    expect(mirrored.mirror.state).to.deep.include({ block: block + 1, failure: undefined });
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("does not take the nothing of a node that is behind for old blocks either", async () => {
    const suite = await loadFixture(deploySuite);
    await grant(suite);
    const end = await ethers.provider.getBlockNumber();
    await networkHelpers.mine(KEPT + 10);
    let refused = 0;
    const touchstone = through(suite, {
      // One node has all blocks but answers by turns with one that has none of them.
      getLogs: (filter: { blockHash?: string }) =>
        filter.blockHash === undefined && refused < 2 ? Promise.resolve([]) : ethers.provider.getLogs(filter),
      send: (method: string, params: unknown[]) => {
        const isOld = method === "eth_getBlockByNumber" && Number(params[0]) >= end && Number(params[0]) < end + 11;
        return isOld && refused++ < 2 ? Promise.resolve(null) : send(method, params);
      },
    });
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 1 });
    expect(refused).to.be.greaterThan(1);
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("keeps what it knows when a node names an older block as the latest", async () => {
    const suite = await loadFixture(deploySuite);
    let latest = "latest";
    const touchstone = through(suite, {
      send: (method: string, params: unknown[]) => send(method, params[0] === "latest" ? [latest, false] : params),
    });
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 1 });
    await grant(suite);
    await proceed(mirrored);
    const { block } = mirrored.mirror.state;
    latest = ethers.toQuantity(block - 2);
    await mirrored.mirror.catchUp();
    expect(mirrored.mirror.state.block).to.equal(block);
    expect(reasonFor(mirrored)).to.equal("Grant");
  });

  it("refuses another block than the one it asked for by its hash", async () => {
    const suite = await loadFixture(deploySuite);
    await networkHelpers.mine(2);
    const snapshot = await networkHelpers.takeSnapshot();
    await grant(suite);
    let asked = 0;
    const touchstone = through(suite, {
      send: async (method: string, params: unknown[]) => {
        if (method !== "eth_getBlockByHash") return send(method, params);
        asked += 1;
        return asked < 20 ? send("eth_getBlockByNumber", ["latest", false]) : null;
      },
    });
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 1 });
    await snapshot.restore();
    await grant(suite, ReadHistory);
    await grant(suite);
    await errorOf("RPC_FAILED", () => mirrored.mirror.catchUp());
    expect(asked).to.equal(1);
  });

  it("refuses events of a node that leaves some out, allows nothing, and reads anew", async () => {
    const suite = await loadFixture(deploySuite);
    let leavesOut = false;
    const touchstone = through(suite, {
      getLogs: async (filter: Parameters<Provider["getLogs"]>[0]) => {
        const logs = await ethers.provider.getLogs(filter);
        return leavesOut ? logs.filter(({ address }) => address !== suite.as.owner.addresses.DataAccess) : logs;
      },
    });
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 1 });
    await grant(suite, ReadLive);
    leavesOut = true;
    await proceed(mirrored);
    leavesOut = false;
    await grant(suite, ReadHistory);
    await errorOf("EVENTS_MISSING", () => mirrored.mirror.catchUp());
    expect(mirrored.mirror.state.failure?.code).to.equal("EVENTS_MISSING");
    expect(reasonFor(mirrored, ["ReadHistory"])).to.equal("Stale");
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadHistory"])).to.equal("Grant");
  });

  it("asks a provider that passes no requests on as it can be asked", async () => {
    const suite = await loadFixture(deploySuite);
    const mirrored = await mirrorOf(suite, { touchstone: through(suite, { send: undefined }), confirmations: 1 });
    const snapshot = await networkHelpers.takeSnapshot();
    await grant(suite);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Grant");
    await snapshot.restore();
    await mineOthers(3);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("NoGrant");
  });

  it("catches up with many blocks at once", async () => {
    const mirrored = await setUp({ confirmations: 2 });
    const { suite, told } = mirrored;
    await grant(suite, ReadLive);
    await proceed(mirrored);
    await networkHelpers.mine(40);
    await sell(suite);
    await networkHelpers.mine(KEPT + 40);
    await suite.access
      .connect(suite.actors.stranger)
      .grant(suite.p256Device.id, suite.actors.subject, ReadLive, ALL_PURPOSES, 0n, FOR_EVER, ZeroHash);
    await networkHelpers.mine(30);
    await proceed(mirrored);
    expect(reasonFor(mirrored)).to.equal("Grant");
    expect(reasonFor(mirrored, ["ReadLive"], suite.actors.stranger.address)).to.equal("Owner");
    expect(told.at(-1)).to.equal("all");
    await expectAsChain(mirrored);
  });

  // ---------------------------------------------------------------- listeners

  it("tells which devices changed, when it happens and when it is confirmed", async () => {
    const mirrored = await setUp({ confirmations: 2 });
    const { suite, told } = mirrored;
    const { roles, actors, fleet, p256Device, accountDevice } = suite;
    await grant(suite);
    await proceed(mirrored);
    expect(told.splice(0)).to.deep.equal([[p256Device.id]]);
    await proceed(mirrored, 1);
    expect(told.splice(0)).to.deep.equal([[p256Device.id]]);
    await proceed(mirrored, 1);
    expect(told).to.deep.equal([]);

    await roles.connect(actors.owner).setRoles(fleet, actors.stranger, ROLE.Analyst, 0n, FOR_EVER);
    await proceed(mirrored);
    expect(told.splice(0)[0]).to.have.members([p256Device.id, accountDevice.id]);
    // A device that comes to the fleet, and what happens there before it has come for sure.
    const key = createP256Key();
    await enrollDevice(suite, { key, owner: fleet, by: actors.owner });
    await roles.connect(actors.owner).revokeAllRoles(fleet);
    await proceed(mirrored);
    expect(told[0]).to.have.members([p256Device.id, accountDevice.id, key.id]);
  });

  it("goes on when a listener throws, and tells none that ended", async () => {
    const errors: unknown[] = [];
    const mirrored = await setUp({
      confirmations: 1,
      onError: (error) => {
        errors.push(error);
        throw new Error("and again");
      },
    });
    const { mirror, suite, told } = mirrored;
    const failure = new Error("a listener's");
    const endThrowing = mirror.onChange(() => {
      throw failure;
    });
    const after: unknown[] = [];
    const endAfter = mirror.onChange((devices) => after.push(devices));
    await grant(suite);
    await proceed(mirrored);
    expect(errors).to.deep.equal([failure]);
    expect(told).to.deep.equal([[suite.p256Device.id]]);
    expect(after).to.deep.equal(told);

    endThrowing();
    endAfter();
    await grant(suite);
    await proceed(mirrored);
    expect([errors.length, told.length, after.length]).to.deep.equal([1, 2, 1]);
  });

  it("goes on when a listener fails later, and tells one that ends and begins again once", async () => {
    const errors: unknown[] = [];
    const mirrored = await setUp({ confirmations: 1, onError: (error) => errors.push(error) });
    const { mirror, suite } = mirrored;
    const failure = new Error("a listener's");
    mirror.onChange(() => Promise.reject(failure));
    let times = 0;
    const again = (): void => {
      end();
      times += 1;
      if (times < 10) end = mirror.onChange(again);
    };
    let end = mirror.onChange(again);
    await grant(suite);
    await proceed(mirrored);
    await setTimeout(1);
    expect(errors).to.deep.equal([failure]);
    expect(times).to.equal(1);
  });

  // ---------------------------------------------------------------- some devices only

  it("follows some devices and whoever owns them, and knows nothing of others", async () => {
    const suite = await loadFixture(deploySuite);
    const { access, devices, roles, actors, otherFleet, p256Device, accountDevice } = suite;
    const [deployer] = await ethers.getSigners();
    let logs = 0;
    const touchstone = through(suite, {
      getLogs: async (filter: Parameters<Provider["getLogs"]>[0]) => {
        const found = await ethers.provider.getLogs(filter);
        logs += found.length;
        return found;
      },
    });
    const mirrored = await mirrorOf(suite, { touchstone, confirmations: 3, devices: [p256Device.id.toLowerCase()] });
    expect(reasonFor(mirrored, ["ReadLive"], actors.operator.address)).to.equal("Role");
    const question = { permissions: ["ReadLive"] as const, purpose: "CustomerCare" as const };
    const other = mirrored.mirror.explain({ ...question, device: accountDevice.id, account: suite.fleet });
    expect(other.reason).to.equal("DeviceUnknown");
    logs = 0;
    await access.connect(actors.owner).setPolicy(accountDevice.id, 0n, 0n, 0n);
    await proceed(mirrored, 1);
    expect(logs).to.equal(0);

    // A fleet that was not followed, with a past from before and from among the blocks that are kept.
    await roles.connect(deployer).setRoles(otherFleet, actors.stranger, ROLE.Analyst, 0n, FOR_EVER);
    await proceed(mirrored, 1);
    const snapshot = await networkHelpers.takeSnapshot();
    await devices.connect(actors.owner).proposeTransfer(p256Device.id, otherFleet, FOR_EVER);
    await devices.connect(deployer).acceptTransfer(p256Device.id, p256Device.publicKey);
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadLive"], actors.operator.address)).to.equal("NoGrant");
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("Unconfirmed");
    await roles.connect(deployer).setRoles(otherFleet, actors.gateway, ROLE.Gateway, 0n, FOR_EVER);
    await proceed(mirrored, 2);
    for (const account of [actors.stranger, actors.otherAdmin, actors.gateway]) {
      expect(reasonFor(mirrored, ["ReadLive"], account.address)).to.equal("Role");
    }

    await snapshot.restore();
    await mineOthers(3);
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("NoGrant");
    expect(reasonFor(mirrored, ["ReadLive"], actors.operator.address)).to.equal("Role");
    await sell(suite);
    await networkHelpers.mine(KEPT + 20);
    await proceed(mirrored);
    expect(reasonFor(mirrored, ["ReadLive"], actors.stranger.address)).to.equal("Owner");
  });

  it("reads the past of a new owner where the sale is long ago", async () => {
    const suite = await loadFixture(deploySuite);
    const { devices, actors, otherFleet, p256Device } = suite;
    const [deployer] = await ethers.getSigners();
    await devices.connect(actors.owner).proposeTransfer(p256Device.id, otherFleet, FOR_EVER);
    await devices.connect(deployer).acceptTransfer(p256Device.id, p256Device.publicKey);
    await networkHelpers.mine(KEPT + 20);
    const mirrored = await mirrorOf(suite, { devices: [p256Device.id] });
    expect(reasonFor(mirrored, ["ReadLive"], actors.otherAdmin.address)).to.equal("Role");
    expect(reasonFor(mirrored, ["ReadLive"], actors.operator.address)).to.equal("NoGrant");
  });

  // ---------------------------------------------------------------- the end

  it("allows nothing once it is closed, leaves no timer, and can be closed again", async () => {
    const suite = await loadFixture(deploySuite);
    const before = timers();
    const mirrored = await mirrorOf(suite, { confirmations: 1, pollingInterval: 50 });
    const { mirror, told } = mirrored;
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Owner");
    expect(timers()).to.be.greaterThan(before);
    await mirror.close();
    await mirror.close();
    expect(timers()).to.equal(before);
    expect(reasonFor(mirrored, ["ReadLive"], suite.fleet)).to.equal("Stale");
    expect(mirror.state.isStale).to.equal(true);
    expect(told).to.deep.equal(["all"]);
    await errorOf("CANCELLED", () => mirror.catchUp());
    expect(timers()).to.equal(before);
  });

  it("is closed by its signal, also while a node does not answer", async () => {
    const suite = await loadFixture(deploySuite);
    const before = timers();
    let hangs = false;
    const touchstone = through(suite, {
      send: (method: string, params: unknown[]) => (hangs ? new Promise(() => undefined) : send(method, params)),
    });
    const closing = new AbortController();
    const { mirror } = await mirrorOf(suite, { touchstone, signal: closing.signal });
    hangs = true;
    const reading = mirror.catchUp();
    closing.abort();
    await errorOf("CANCELLED", () => reading);
    expect(mirror.state.isStale).to.equal(true);
    await mirror.close();
    expect(timers()).to.equal(before);
    await errorOf("CANCELLED", () => openPolicyMirror({ touchstone: suite.as.owner, signal: closing.signal }));
  });

  it("refuses options that make no sense", async () => {
    const { as } = await loadFixture(deploySuite);
    for (const options of [
      { confirmations: 0 },
      { confirmations: 1.5 },
      { staleAfter: 0n },
      { pollingInterval: 0 },
      { devices: ["0x12"] },
    ]) {
      await errorOf("INVALID_ARGUMENT", () => openPolicyMirror({ touchstone: as.owner, ...options }));
    }
  });

  /** Compares everyone's answers about both devices with the chain's. */
  async function expectAsChain({ suite, mirror }: Mirrored): Promise<void> {
    const { access, actors, p256Device, accountDevice } = suite;
    for (const { address } of Object.values(actors) as { address: string }[]) {
      for (const device of [p256Device.id, accountDevice.id]) {
        const { reason } = await access.explain(device, address, ReadLive, 1n);
        expect(mirror.explainMasks(device, address, 1, 1)).to.equal(nameOf(accessReasons, reason));
      }
    }
  }
});

const YES: readonly string[] = ["Owner", "Grant", "Public", "Role"];

/** Sells the P-256 device of the fleet to the stranger. */
async function sell({ devices, actors, p256Device }: Suite): Promise<void> {
  await devices.connect(actors.owner).proposeTransfer(p256Device.id, actors.stranger, FOR_EVER);
  await devices.connect(actors.stranger).acceptTransfer(p256Device.id, p256Device.publicKey);
}

/** The states after this block and after each transaction since. */
function statesFrom(events: readonly TouchstoneEvent[], block: number): AccessState[] {
  const ends = events.flatMap(({ transactionHash, cursor }, place) => {
    const isEnd = events[place + 1]?.transactionHash !== transactionHash;
    return isEnd && (cursor.block > block || events[place + 1] === undefined) ? [place + 1] : [];
  });
  const confirmed = events.filter(({ cursor }) => cursor.block <= block).length;
  return [...new Set([confirmed, ...ends])].map((count) => {
    const state = new AccessState();
    for (const event of events.slice(0, count)) state.apply(event);
    return state;
  });
}

/** Mines blocks that differ from those that were mined in their place before. */
async function mineOthers(blocks: number): Promise<void> {
  await networkHelpers.time.increase(7);
  if (blocks > 1) await networkHelpers.mine(blocks - 1);
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
}

async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > end) throw new Error("it did not happen in 20 seconds");
    await setTimeout(5);
  }
}
