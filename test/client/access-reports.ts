import { expect } from "chai";
import { ZeroAddress } from "ethers";
import fc from "fast-check";

import * as access from "../../client/access.js";
import { FOREVER, ZERO_HASH } from "../../client/arguments.js";
import { allPermissions, type Permission } from "../../client/enumerations.js";
import { allPurposes, type Purpose } from "../../client/purposes.js";
import * as roles from "../../client/roles.js";
import * as devices from "../../client/devices.js";
import { DataAccess__factory } from "../../typechain-types/index.js";
import { suspend } from "../support/access.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import type { Sent } from "../../client/transactions.js";
import { errorOf } from "../support/errors.js";
import { anySharingStep, deploySharingWorld, live, stateOf, type SharingWorld } from "../support/sharing-histories.js";
import { deploySuite, type Suite } from "../support/suite.js";

const PURPOSES: readonly Purpose[] = ["ServiceProvision", "TechnicalServiceProvision", 31];
const HISTORIES = 6;
const STEPS = { minLength: 26, maxLength: 42 };

interface Asked {
  account: string;
  permissions: readonly Permission[];
  purpose: Purpose;
}

/** What the chain answers to many questions about a device, in one call. */
async function answersOf(
  { access: contract }: SharingWorld,
  device: string,
  questions: readonly Asked[],
): Promise<boolean[]> {
  const abi = DataAccess__factory.createInterface();
  const calls = questions.map(({ account, permissions, purpose }) => {
    const mask = permissions.reduce((bits, name) => bits | (1n << BigInt(allPermissions.indexOf(name))), 0n);
    return abi.encodeFunctionData("isAllowed", [device, account, mask, allPurposes.indexOf(purpose)]);
  });
  const answers = await contract.multicall.staticCall(calls);
  return answers.map((answer) => abi.decodeFunctionResult("isAllowed", answer)[0] as boolean);
}

/** The sources that hold now, of an account or of everyone. */
function sourcesFor({ holders }: access.AccessReport, account: string): access.AccessSource[] {
  return holders
    .filter((holder) => holder.account === account || holder.account === "everyone")
    .flatMap(({ sources }) => sources.filter(({ state }) => state === "now"));
}

/** Fails unless the chain allows exactly what the report lists. */
async function expectTrue(world: SharingWorld, report: access.AccessReport): Promise<void> {
  // A fleet handle would be allowed everything, but has no key to ask with.
  const accounts = world.accounts.filter((account) => account !== report.owner || account === report.governor);
  const single = accounts.flatMap((account) =>
    allPermissions.flatMap((permission) =>
      PURPOSES.map((purpose) => ({ account, permissions: [permission], purpose })),
    ),
  );
  // All that one source conveys may be asked for at once.
  const whole = accounts.flatMap((account) =>
    sourcesFor(report, account).map(({ permissions, purposes }) => ({
      account,
      permissions,
      purpose: purposes === "any" ? 31 : purposes[0]!,
    })),
  );
  const answers = await answersOf(world, report.device, [...single, ...whole]);
  const said = single.map(({ account, permissions: [permission], purpose }) =>
    sourcesFor(report, account).some(
      (source) =>
        source.permissions.includes(permission!) && (source.purposes === "any" || source.purposes.includes(purpose)),
    ),
  );
  for (const [place, answer] of answers.entries()) {
    const { account, permissions, purpose } = [...single, ...whole][place]!;
    expect(said[place] ?? true, `${account} ${permissions.join()} for ${purpose}`).to.equal(answer);
  }
  for (const holder of report.holders) expect(holder.sources.length, holder.account).to.be.greaterThan(0);
}

/** When something begins or ends by itself, soonest first. */
function turnsOf(report: access.AccessReport): bigint[] {
  const times = report.holders.flatMap(({ sources }) => sources.flatMap(({ from, until }) => [from, until]));
  return [...new Set(times)].filter((time) => time > report.at && time < FOREVER).sort((a, b) => Number(a - b));
}

describe("access.who", () => {
  it("lists exactly those whom the chain allows something, now, later and earlier, over random histories", async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(fc.array(anySharingStep, STEPS), async (steps) => {
        const world = await loadFixture(deploySharingWorld);
        const touchstone = world.as.stranger;
        await live(world, steps);
        await networkHelpers.mine();
        for (const device of (await stateOf(world)).devices()) {
          const report = await access.who({ touchstone, device });
          await expectTrue(world, report);
          for (const at of turnsOf(report).slice(0, 1)) {
            const foretold = await access.who({ touchstone, device, at, toBlock: report.block.number });
            if (at > (await now())) await networkHelpers.time.increaseTo(at);
            if ((await now()) > at) continue;
            const then = await access.who({ touchstone, device });
            await expectTrue(world, then);
            expect(foretold.holders).to.deep.equal(then.holders);
          }
          const earlier = await access.who({ touchstone, device, at: report.at });
          expect(earlier).to.deep.equal({ ...report, block: earlier.block });
        }
      }),
      { numRuns: HISTORIES, seed: 20_261_122 },
    );
  });

  /** A device with a grant of each kind, a policy, and members. */
  async function shared(): Promise<Suite & { granted: Sent[]; termsHash: string; policySet: Sent }> {
    const suite = await deploySuite();
    const { as, actors, fleet, p256Device } = suite;
    const [device, termsHash, start] = [p256Device.id, ethers.id("terms"), await now()];
    const grant = { touchstone: as.owner, device, permissions: ["ReadLive", "ReadHistory", "Command"] as const };
    const purposes = ["ServiceProvision", "CustomerCare", 24] as const;
    const granted = [
      await access.grant({ ...grant, subject: actors.subject.address, purposes, expiry: start + 10n * DAY, termsHash }),
      await access.grant({
        ...{ ...grant, touchstone: as.admin, subject: actors.operator.address, purposes: ["CustomerCare"] },
        ...{ notBefore: start + 5n * DAY, expiry: start + 9n * DAY },
      }),
    ];
    const policySet = await access.setPolicy({
      ...{
        touchstone: as.owner,
        device,
        ceiling: ["ReadLive", "ReadHistory", "ReadMetadata"],
        publicRead: ["ReadMetadata"],
      },
      purposes: ["ServiceProvision", "CustomerCare"],
    });
    const asOwner = { touchstone: as.owner, fleet };
    await roles.setRoles({ ...asOwner, account: actors.stranger.address, roles: [9], notBefore: start + DAY });
    return { ...suite, granted, termsHash, policySet };
  }

  it("says of each holder why, since when, until when and by whom", async () => {
    const suite = await loadFixture(shared);
    const { as, actors, fleet, p256Device, granted, termsHash, policySet } = suite;
    const [device, touchstone] = [p256Device.id, as.stranger];
    const report = await access.who({ touchstone, device });
    const latest = (await touchstone.provider.getBlock("latest"))!;
    const { holders, ...rest } = report;
    expect(rest).to.deep.equal({
      ...{ device, owner: fleet, governor: actors.owner.address, status: "Active", epoch: 1n, at: await now() },
      block: { number: latest.number, hash: latest.hash, timestamp: BigInt(latest.timestamp) },
    });
    const of = (account: string): access.AccessSource[] =>
      holders.find((holder) => holder.account === account)?.sources ?? [];
    const givenBy = async ({ receipt }: Sent, by: string): Promise<object> => {
      const since = BigInt((await touchstone.provider.getBlock(receipt.blockNumber))!.timestamp);
      return { since, by, transactionHash: receipt.hash };
    };

    const [governing] = of(actors.owner.address);
    expect(governing).to.include({ source: "Owner", purposes: "any", until: FOREVER, state: "now" });
    expect(governing?.permissions).to.deep.equal([...allPermissions]);
    const first = await access.grantOf({ touchstone, device, subject: actors.subject.address });
    const byOwner = await givenBy(granted[0]!, actors.owner.address);
    expect(of(actors.subject.address)).to.deep.equal([
      {
        source: "Grant",
        permissions: ["ReadLive", "ReadHistory"],
        purposes: ["ServiceProvision", "CustomerCare"],
        ...{ from: (byOwner as { since: bigint }).since, until: first.expiry, state: "now" },
        ...byOwner,
        ...{ termsHash, seq: 1n, byOwner: true },
      },
    ]);
    // A member with a grant appears with both.
    const [later, role, ...more] = of(actors.operator.address);
    const second = await access.grantOf({ touchstone, device, subject: actors.operator.address });
    expect(later).to.deep.include({ source: "Grant", state: "later", from: second.notBefore, until: second.expiry });
    expect(later).to.deep.include({ ...(await givenBy(granted[1]!, actors.admin.address)), byOwner: false });
    expect(later).to.deep.include({ permissions: ["ReadLive", "ReadHistory"], termsHash: ZERO_HASH });
    expect(role).to.deep.include({ source: "Role", state: "now", roles: ["Operator"], fleet, purposes: "any" });
    expect(role?.permissions).to.include("Command");
    expect(more).to.deep.equal([]);
    const published = await givenBy(policySet, actors.owner.address);
    expect(of("everyone")).to.deep.equal([
      {
        ...{ source: "Public", permissions: ["ReadMetadata"], purposes: ["ServiceProvision", "CustomerCare"] },
        ...{ from: (published as { since: bigint }).since, until: FOREVER, state: "now", ...published },
      },
    ]);
    // A role that permits nothing makes nobody a holder; defining it does.
    expect(of(actors.stranger.address)).to.deep.equal([]);
    await roles.defineRole({ touchstone: as.owner, fleet, role: 9, permissions: ["ReadLocation", "Share"] });
    const [own] = (await access.who({ touchstone, device })).holders
      .filter(({ account }) => account === actors.stranger.address)
      .flatMap(({ sources }) => sources);
    expect(own).to.deep.include({ roles: [9], permissions: ["ReadLocation", "Share"], state: "later" });
  });

  it("lists the device's own ceiling, and nothing of grants that were revoked or of an earlier epoch", async () => {
    const { as, actors, p256Device } = await loadFixture(shared);
    const [device, touchstone] = [p256Device.id, as.owner];
    const policy = await access.newDevicePolicy({
      touchstone,
      device,
      ceiling: ["ReadLive"],
      purposes: ["CustomerCare"],
    });
    await access.setDevicePolicy({ touchstone, policy, byDevice: p256Device });
    const listed = async (account: string): Promise<access.AccessSource | undefined> =>
      (await access.who({ touchstone, device })).holders.find((holder) => holder.account === account)?.sources[0];
    expect(await listed(actors.subject.address)).to.deep.include({
      permissions: ["ReadLive"],
      purposes: ["CustomerCare"],
    });
    expect(await listed("everyone"), "the device makes nothing public").to.equal(undefined);
    await access.revoke({ touchstone, device, subject: actors.subject.address });
    expect(await listed(actors.subject.address)).to.equal(undefined);
    expect(await listed(actors.operator.address)).to.include({ source: "Grant" });
    await devices.revokeAll({ touchstone, device });
    expect(await listed(actors.operator.address)).to.include({ source: "Role" });
  });

  it("says what comes back when a suspended device is resumed", async () => {
    const suite = await loadFixture(shared);
    const { as, actors, p256Device } = suite;
    const [device, touchstone] = [p256Device.id, as.owner];
    await suspend(suite as never);
    const { status, holders } = await access.who({ touchstone, device });
    expect(status).to.equal("Suspended");
    const states = holders.flatMap(({ account, sources }) =>
      sources.map(({ source, state }) => [account, source, state]),
    );
    expect(states).to.deep.include([actors.subject.address, "Grant", "suspended"]);
    expect(states).to.deep.include(["everyone", "Public", "suspended"]);
    expect(states).to.deep.include([actors.operator.address, "Role", "now"]);
    const operator = holders.find(({ account }) => account === actors.operator.address)?.sources[1];
    expect(operator?.permissions).to.include("ReadLive").and.not.include("Command").and.not.include("Configure");
    await devices.resume({ touchstone, device });
    const question = { touchstone, device, account: actors.subject.address, purpose: "CustomerCare" } as const;
    expect(await access.isAllowed({ ...question, permissions: ["ReadLive", "ReadHistory"] })).to.equal(true);
  });

  it("leaves a retired device to its last owner and members, to read", async () => {
    const { as, actors, p256Device } = await loadFixture(shared);
    const [device, touchstone] = [p256Device.id, as.owner];
    await devices.retire({ touchstone, device });
    const { status, holders, epoch } = await access.who({ touchstone, device });
    expect({ status, epoch }).to.deep.equal({ status: "Retired", epoch: 2n });
    expect(new Set(holders.flatMap(({ sources }) => sources.map(({ source }) => source)))).to.deep.equal(
      new Set(["Owner", "Role"]),
    );
    for (const { sources } of holders) {
      for (const { permissions } of sources)
        expect(permissions.every((each) => each.startsWith("Read"))).to.equal(true);
    }
    expect(holders.map(({ account }) => account)).to.not.include(actors.security.address);
  });

  it("answers for a moment that is over from the last block by then", async () => {
    const { as, actors, p256Device, granted } = await loadFixture(shared);
    const [device, touchstone] = [p256Device.id, as.owner];
    const before = await now();
    await networkHelpers.time.increase(1_000n);
    await access.revoke({ touchstone, device, subject: actors.subject.address });
    const accounts = async (options: { at?: bigint; toBlock?: number }): Promise<string[]> =>
      (await access.who({ touchstone, device, ...options })).holders.map(({ account }) => account);
    expect(await accounts({})).to.not.include(actors.subject.address);
    expect(await accounts({ at: before + 999n })).to.include(actors.subject.address);
    expect(await accounts({ toBlock: granted[0]!.receipt.blockNumber })).to.include(actors.subject.address);
    expect(await accounts({ toBlock: granted[0]!.receipt.blockNumber - 1 })).to.not.include(actors.subject.address);
  });

  it("refuses devices and times of which it knows nothing", async () => {
    const { as, p256Device, granted } = await loadFixture(shared);
    const [device, touchstone] = [p256Device.id, as.owner];
    await errorOf("NOT_FOUND", () => access.who({ touchstone, device: ZeroAddress }));
    await errorOf("NOT_FOUND", () => access.who({ touchstone, device, toBlock: 2 }));
    await errorOf("NOT_FOUND", () => access.who({ touchstone, device, toBlock: 1_000_000 }));
    for (const wrong of [{ device: "0x12" }, { at: -1n }, { toBlock: -1 }, { at: 1_000n }]) {
      await errorOf("INVALID_ARGUMENT", () => access.who({ touchstone, device, ...wrong }));
    }
    const toBlock = granted[0]!.receipt.blockNumber;
    const error = await errorOf("INVALID_ARGUMENT", () => access.who({ touchstone, device, toBlock, at: 1_900n }));
    expect(error.message).to.contain("is too early");
  });
});
