import { expect } from "chai";
import { getAddress } from "ethers";
import fc from "fast-check";

import { AccessState, type AccessQuestion } from "../../client/access-state.js";
import * as access from "../../client/access.js";
import { accessReasons, allRoles, nameOf } from "../../client/enumerations.js";
import { createP256Key } from "../../client/keys.js";
import * as roles from "../../client/roles.js";
import { REASON } from "../support/access.js";
import { DAY, FOR_EVER, loadFixture, now } from "../support/chain.js";
import { ROLE } from "../support/fleet.js";
import { errorOf } from "../support/errors.js";
import {
  act,
  anySharingQuestion,
  anySharingStep,
  deploySharingWorld,
  eventsOf,
  sharingKinds,
  stateOf,
  type SharingKind,
  type SharingQuestion,
  type SharingWorld,
} from "../support/sharing-histories.js";
import { deploySuite, type Suite } from "../support/suite.js";

const NEVER_ENROLLED = createP256Key().id;
/** Histories, steps of each and questions after each step: 3,840 comparisons. */
const [HISTORIES, STEPS, QUESTIONS] = [12, 40, 8];
const SEED = 20_261_122;

describe("AccessState", () => {
  it("answers every question as the chain does, with the same reason, after anything that can happen", async () => {
    const done = new Set<SharingKind>();
    const reasons = new Set<string>();
    const questions = fc.array(anySharingQuestion, { minLength: QUESTIONS, maxLength: QUESTIONS });
    const anyHistory = fc.array(fc.tuple(anySharingStep, questions), { minLength: STEPS, maxLength: STEPS });

    await fc.assert(
      fc.asyncProperty(anyHistory, async (history) => {
        const world = await loadFixture(deploySharingWorld);
        const state = await stateOf(world);
        for (const [step, asked] of history) {
          const events = await act(world, state, step);
          if (events === undefined) continue;
          done.add(step.kind);
          for (const event of events) state.apply(event);
          for (const reason of await compareAnswers(world, state, asked)) reasons.add(reason);
        }
        await compareViews(world, state);
      }),
      { numRuns: HISTORIES, seed: SEED, endOnFailure: true },
    );

    expect(
      sharingKinds.filter((kind) => !done.has(kind)),
      "kinds of steps that never happened",
    ).to.deep.equal([]);
    const unseen = accessReasons.filter((reason) => !reasons.has(reason));
    expect(unseen, "reasons that were never given").to.deep.equal([]);
  });

  it("is what it was before when events are taken back, however many", async () => {
    const anyHistory = fc.array(anySharingStep, { minLength: 60, maxLength: 60 });
    const anyCounts = fc.array(fc.nat({ max: 8 }), { minLength: 20, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(anyHistory, anyCounts, async (history, counts) => {
        const world = await loadFixture(deploySharingWorld);
        const events = await eventsOf(world);
        const told = await stateOf(world);
        for (const step of history) {
          for (const event of (await act(world, told, step)) ?? []) {
            told.apply(event);
            events.push(event);
          }
        }

        const state = new AccessState();
        const before: unknown[] = [];
        const undos: (() => void)[] = [];
        const forth = (): void => {
          before[undos.length] ??= dump(state);
          undos.push(state.apply(events[undos.length]!));
        };
        for (const count of counts) {
          for (let steps = 0; steps < 12 && undos.length < events.length; steps++) forth();
          for (let steps = 0; steps < count; steps++) {
            undos.pop()!();
            expect(dump(state), `${undos.length} events`).to.deep.equal(before[undos.length]);
          }
        }
        while (undos.length < events.length) forth();
        expect(dump(state)).to.deep.equal(dump(told));
        for (const undo of undos.reverse()) undo();
        expect(dump(state)).to.deep.equal(dump(new AccessState()));
      }),
      { numRuns: 2, seed: SEED, endOnFailure: true },
    );
  });

  it("says QuestionInvalid for masks and purposes that are none, whoever asks", async () => {
    const { fleet, p256Device } = await loadFixture(deploySuite);
    const state = await stateOf(await loadFixture(deploySuite));
    const ask = (permissions: number, purpose: number) =>
      state.explainMasks(p256Device.id, fleet, permissions, purpose, 0n);

    expect(ask(1, 0)).to.equal("Owner");
    for (const permissions of [0, 0x10000, 2 ** 31, 2 ** 32 - 1, 2 ** 32 + 1, -1, 1.5, NaN]) {
      expect(ask(permissions, 0), `permissions ${permissions}`).to.equal("QuestionInvalid");
    }
    for (const purpose of [32, 255, -1, 0.5, NaN]) {
      expect(ask(1, purpose), `purpose ${purpose}`).to.equal("QuestionInvalid");
    }
    expect(state.explainMasks(NEVER_ENROLLED, fleet, 0, 0, 0n)).to.equal("QuestionInvalid");
  });

  it("takes ids in any case, and refuses those with a wrong checksum and names that are none", async () => {
    const { actors, p256Device, ...suite } = await loadFixture(deploySuite);
    const state = await stateOf({ actors, p256Device, ...suite });
    const question: AccessQuestion = {
      device: p256Device.id,
      account: actors.operator.address,
      permissions: ["ReadLive", "Command"],
      purpose: "CustomerCare",
    };
    const lower = { ...question, device: question.device.toLowerCase(), account: question.account.toLowerCase() };

    for (const asked of [question, lower]) {
      expect(state.explain(asked, await now())).to.deep.equal({ allowed: true, reason: "Role" });
    }
    expect(state.deviceOf(lower.device)).to.deep.equal(state.deviceOf(question.device));
    expect(state.governorOf(suite.fleet.toLowerCase())).to.equal(actors.owner.address);
    expect(state.governorOf(lower.account)).to.equal(actors.operator.address);
    const swapped = getAddress(question.device).replace(/[a-f]/, (letter) => letter.toUpperCase());
    for (const wrong of [
      { device: swapped },
      { account: "0x12" },
      { permissions: ["Fly" as "Command"] },
      { purpose: 32 as 31 },
    ]) {
      await errorOf("INVALID_ARGUMENT", () => state.explain({ ...question, ...wrong }, 0n));
    }
  });

  it("holds windows half-open, and where the time is uncertain open only if they are so all the while", async () => {
    const suite = await loadFixture(deploySuite);
    const { actors, access, p256Device, roles, fleet } = suite;
    const begin = (await now()) + DAY;
    const end = begin + DAY;
    await access.connect(actors.owner).grant(p256Device.id, actors.subject, 1n, 1n, begin, end, ZERO);
    await roles.connect(actors.owner).setRoles(fleet, actors.stranger, ROLE.Analyst, begin, end);
    const state = await stateOf(suite);

    for (const [account, yes, early, late] of [
      [actors.subject.address, "Grant", "NotYetValid", "Expired"],
      [actors.stranger.address, "Role", "NoGrant", "NoGrant"],
    ] as const) {
      const at = (earliest: bigint, latest: bigint) =>
        state.explainWithin(
          { device: p256Device.id, account, permissions: 1, purpose: 0 },
          Number(earliest),
          Number(latest),
        );
      expect(at(begin - 1n, begin - 1n)).to.equal(early);
      expect(at(begin, begin)).to.equal(yes);
      expect(at(end - 1n, end - 1n)).to.equal(yes);
      expect(at(end, end)).to.equal(late);
      expect(at(begin - 1n, begin)).to.equal(early);
      expect(at(begin, end - 1n)).to.equal(yes);
      expect(at(end - 1n, end)).to.equal(late);
      expect(at(begin - 1n, end)).to.equal(early);
    }
  });

  it("lists what is granted, who works for a fleet, and what its roles permit", async () => {
    const suite = await loadFixture(deploySuite);
    const { actors, fleet, otherFleet, p256Device, accountDevice, as } = suite;
    const owned = { touchstone: as.owner, device: p256Device.id };
    await roles.defineRole({ touchstone: as.owner, fleet, role: 9, permissions: ["ReadLocation", "Share"] });
    await roles.declareExclusive({ touchstone: as.owner, fleet, roles: ["Operator", 9] });
    const given = await access.grant({
      ...owned,
      subject: actors.subject.address,
      permissions: ["ReadLive"],
      purposes: ["CustomerCare", 24],
      expiry: FOR_EVER,
    });
    const revoked = await access.revoke({ ...owned, subject: actors.stranger.address });
    await access.setPolicy({ ...owned, ceiling: ["ReadLive"], publicRead: ["ReadLive"], purposes: ["CustomerCare"] });
    const state = await stateOf(suite);

    expect(state.devices()).to.have.members([p256Device.id, accountDevice.id]);
    expect(state.devicesOf(fleet)).to.have.members([p256Device.id, accountDevice.id]);
    expect(state.fleets()).to.have.members([fleet, otherFleet]);
    const [grant, ended] = state.grantsOn(p256Device.id);
    expect(grant).to.deep.equal({
      subject: actors.subject.address,
      grant: await access.grantOf({ ...owned, subject: actors.subject.address }),
      by: actors.owner.address,
      termsHash: ZERO,
      place: given.events[0]!.cursor,
    });
    expect(ended).to.deep.equal({
      subject: actors.stranger.address,
      grant: await access.grantOf({ ...owned, subject: actors.stranger.address }),
      by: actors.owner.address,
      termsHash: ZERO,
      place: revoked.events[0]!.cursor,
    });
    expect(state.rolePermissions(fleet, 9)).to.deep.equal(["ReadLocation", "Share"]);
    expect(state.rolePermissions(otherFleet, 9)).to.deep.equal([]);
    expect(state.exclusionsOf(fleet)).to.deep.equal([["Operator", 9]]);
    expect(state.exclusionsOf(otherFleet)).to.deep.equal([]);
    expect(state.handoversOf(fleet)).to.equal(1n);
    expect(state.deviceOf(NEVER_ENROLLED)).to.equal(undefined);
    expect(state.grantsOn(NEVER_ENROLLED)).to.deep.equal([]);
    expect(state.membersOf(NEVER_ENROLLED)).to.deep.equal([]);
    expect(state.devicesOf(NEVER_ENROLLED)).to.deep.equal([]);
    expect(state.policyOf(NEVER_ENROLLED)).to.deep.equal(
      await access.policyOf({ touchstone: as.owner, device: NEVER_ENROLLED }),
    );
    await compareViews(suite, state);
  });

  describe("told of events with some left out", () => {
    const cases: [string, (suite: Suite) => Promise<unknown>[] | Promise<unknown>, string][] = [
      ["an enrolment", () => Promise.resolve(), "DeviceEnrolled"],
      [
        "a grant",
        async (suite) => {
          await grantTwice(suite);
        },
        "AccessGranted",
      ],
      [
        "a suspension",
        async (suite) => {
          await switchTwice(suite);
        },
        "DeviceSuspended",
      ],
      [
        "a new epoch",
        async (suite) => {
          await beginTwice(suite);
        },
        "AllRevoked",
      ],
      [
        "the end of all roles",
        async (suite) => {
          await endRoles(suite);
        },
        "AllRolesRevoked",
      ],
      [
        "a handover",
        async (suite) => {
          await handOverTwice(suite);
        },
        "GovernorChanged",
      ],
    ];
    for (const [name, happen, left] of cases) {
      it(`refuses what cannot follow without ${name}, and changes nothing`, async () => {
        const suite = await loadFixture(deploySuite);
        const start = (await eventsOf(suite)).length;
        await happen(suite);
        const events = await eventsOf(suite);
        const place = events.findIndex(
          (event, at) => event.name === left && (left === "DeviceEnrolled" || at >= start),
        );
        const rest = events.toSpliced(place, 1);
        if (left === "DeviceEnrolled") {
          const { actors, access, p256Device } = suite;
          await access.connect(actors.owner).setPolicy(p256Device.id, 0n, 0n, 0n);
          rest.push((await eventsOf(suite)).at(-1)!);
        }

        const state = new AccessState();
        const errors = rest.flatMap((event) => {
          const before = dump(state);
          try {
            state.apply(event);
            return [];
          } catch (error) {
            expect(dump(state)).to.deep.equal(before);
            return [(error as { code?: string }).code];
          }
        });
        expect(errors.length).to.be.greaterThan(0);
        expect(new Set(errors)).to.deep.equal(new Set(["EVENTS_MISSING"]));
      });
    }
  });
});

const ZERO = `0x${"00".repeat(32)}`;

async function grantTwice({ access, actors, p256Device }: Suite): Promise<void> {
  for (const permissions of [1n, 3n]) {
    await access.connect(actors.owner).grant(p256Device.id, actors.subject, permissions, 1n, 0n, FOR_EVER, ZERO);
  }
}

async function switchTwice({ devices, actors, p256Device }: Suite): Promise<void> {
  await devices.connect(actors.owner).suspend(p256Device.id, p256Device.publicKey);
  await devices.connect(actors.owner).resume(p256Device.id, p256Device.publicKey);
}

async function beginTwice({ devices, actors, p256Device }: Suite): Promise<void> {
  await devices.connect(actors.owner).revokeAll(p256Device.id, p256Device.publicKey);
  await devices.connect(actors.owner).revokeAll(p256Device.id, p256Device.publicKey);
}

async function endRoles({ roles, actors, fleet }: Suite): Promise<void> {
  await roles.connect(actors.owner).revokeAllRoles(fleet);
  await roles.connect(actors.owner).setRoles(fleet, actors.operator, ROLE.Operator, 0n, FOR_EVER);
}

async function handOverTwice({ roles, actors, fleet }: Suite): Promise<void> {
  for (const [from, to] of [
    [actors.owner, actors.stranger],
    [actors.stranger, actors.owner],
  ] as const) {
    await roles.connect(from).proposeGovernor(fleet, to);
    await roles.connect(to).acceptGovernor(fleet, true);
  }
}

/** Asks chain and state the same in the same block, and returns the reasons given. */
async function compareAnswers(
  { access, keys, accounts }: SharingWorld,
  state: AccessState,
  questions: readonly SharingQuestion[],
): Promise<string[]> {
  const time = await now();
  const asked = questions.map(({ device, account, permissions, purpose }) => ({
    device: keys[device]?.id ?? NEVER_ENROLLED,
    account: accounts[account]!,
    permissions,
    purpose,
  }));
  const calls = asked.map(({ device, account, permissions, purpose }) =>
    access.interface.encodeFunctionData("explain", [device, account, permissions, purpose]),
  );
  const answers = await access.multicall.staticCall(calls);
  return answers.map((answer, place) => {
    const { device, account, permissions, purpose } = asked[place]!;
    const [allowed, reason] = access.interface.decodeFunctionResult("explain", answer) as unknown as [boolean, bigint];
    const expected = nameOf(accessReasons, reason);
    const said = state.explainMasks(device, account, Number(permissions), Number(purpose), time);
    expect(said, `${device} ${account} ${permissions} ${purpose} at ${time}`).to.equal(expected);
    expect(allowed).to.equal(reason <= REASON.Role);
    return expected;
  });
}

/** Compares all that the state can tell with what the contracts tell. */
async function compareViews(suite: Suite, state: AccessState): Promise<void> {
  const { devices, roles: registry } = suite;
  const touchstone = suite.as.owner;
  for (const device of [...state.devices(), NEVER_ENROLLED]) {
    const [owner, status, epoch] = await devices.stateOf(device);
    const known = state.deviceOf(device);
    expect(known?.epoch ?? 0n).to.equal(epoch);
    expect(["None", "Active", "Suspended", "Retired"].indexOf(known?.status ?? "None")).to.equal(Number(status));
    if (known !== undefined) expect(known.owner).to.equal(owner);
    expect(state.policyOf(device)).to.deep.equal(await access.policyOf({ touchstone, device }));
    for (const { subject, grant } of state.grantsOn(device)) {
      expect(grant).to.deep.equal(await access.grantOf({ touchstone, device, subject }));
    }
  }
  for (const fleet of state.fleets()) {
    expect(state.governorOf(fleet)).to.equal(await registry.governorOf(fleet));
    expect(state.roleEpochOf(fleet)).to.equal(await registry.roleEpochOf(fleet));
    expect(state.handoversOf(fleet)).to.equal(await registry.handoversOf(fleet));
    for (const role of allRoles) {
      const permissions = await roles.rolePermissions({ touchstone, fleet, role });
      expect(state.rolePermissions(fleet, role)).to.deep.equal(permissions);
    }
    for (const { account, membership } of state.membersOf(fleet)) {
      expect(membership).to.deep.equal(await roles.getMembership({ touchstone, fleet, account }));
    }
  }
}

/** All that a state says. */
function dump(state: AccessState): unknown {
  return {
    devices: state.devices().map((device) => ({
      device,
      ...state.deviceOf(device),
      grants: state.grantsOn(device),
      policy: state.policyOf(device),
    })),
    fleets: state.fleets().map((fleet) => ({
      fleet,
      governor: state.governorOf(fleet),
      handovers: state.handoversOf(fleet),
      epoch: state.roleEpochOf(fleet),
      members: state.membersOf(fleet),
      roles: allRoles.map((role) => state.rolePermissions(fleet, role)),
      exclusions: state.exclusionsOf(fleet),
      devices: state.devicesOf(fleet),
    })),
  };
}
