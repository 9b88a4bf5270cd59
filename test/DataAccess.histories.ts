import { expect } from "chai";
import fc from "fast-check";

import { REASON } from "./support/access.js";
import { flawsOfPolicies } from "./support/cedar.js";
import { loadFixture } from "./support/chain.js";
import { MirroredState, openMirror } from "./support/sharing-mirror.js";
import { compareAnswers, takeStep } from "./support/sharing-run.js";
import { anyHistory, type Step } from "./support/sharing-steps.js";
import type { Question } from "./support/sharing-decisions.js";
import { beginHistory, deploySharingWorld } from "./support/sharing-world.js";

/** Of at most so many steps each; together more than 10,000. */
const HISTORIES = 140;
const STEPS = 160;
/** How many questions are asked once more in the end. */
const LATELY = 80;

describe("DataAccess against independent oracles", () => {
  it("is described by policies that Cedar's own validator finds well typed", () => {
    expect(flawsOfPolicies()).to.deep.equal([]);
  });

  it("decides as a model, Cedar and the client's mirror do after each of 10,000 random steps", async function () {
    this.timeout(600_000);
    const reasons = new Set<string>();
    const outcomes = new Set<string>();
    let taken = 0;

    await fc.assert(
      fc.asyncProperty(anyHistory(STEPS), async ({ steps }) => {
        const history = await beginHistory(await loadFixture(deploySharingWorld));
        const state = new MirroredState(history.world);
        const lately: Question[] = [];
        const take = async (step: Step): Promise<void> => {
          const { outcome, questions, answers } = await takeStep(history, step, [state]);
          taken++;
          lately.push(...questions);
          for (const answer of answers) reasons.add(answer);
          for (const told of [...(outcome.events ?? []), outcome.error]) if (told !== undefined) outcomes.add(told[0]);
        };

        // To the mirror the first half is what is past when it opens, and the second what comes.
        const half = Math.floor(steps.length / 2);
        for (const step of steps.slice(0, half)) await take(step);
        const mirror = await openMirror(history);
        try {
          for (const step of steps.slice(half)) await take(step);
          await mirror.catchUp();
          await compareAnswers(history, lately.slice(-LATELY), [state, mirror]);
        } finally {
          await mirror.close();
        }
      }),
      { numRuns: HISTORIES, seed: 20_261_122 },
    );

    // The histories are worth something only if they are long enough and meet everything that can happen.
    expect(taken).to.be.at.least(10_000);
    expect([...reasons].sort()).to.deep.equal(Object.keys(REASON).sort());
    expect([...outcomes].sort()).to.deep.equal(OUTCOMES);
  });
});

/** Every event and every error of the model. */
const OUTCOMES = [
  "AccessGranted",
  "AccessRequested",
  "AccessRevoked",
  "AdminReserved",
  "AllRevoked",
  "AllRolesRevoked",
  "CallSkipped",
  "CallerLacksPermission",
  "CallerNotGovernor",
  "CallerNotPendingGovernor",
  "CeilingInvalid",
  "DeadlinePassed",
  "DeadlineTooFar",
  "DeviceAlreadyEnrolled",
  "DeviceEnrolled",
  "DeviceNotActive",
  "DeviceNotEnrolled",
  "DevicePolicySet",
  "DeviceResumed",
  "DeviceRetired",
  "DeviceStatusInvalid",
  "DeviceSuspended",
  "DeviceTransferred",
  "EpochStale",
  "ExclusionExists",
  "ExclusionInvalid",
  "ExpiryBeyondCaller",
  "ExpiryPassed",
  "FleetNotHandle",
  "GovernorChanged",
  "GovernorProposed",
  "GrantMissing",
  "IdReserved",
  "KeyProofInvalid",
  "KeyRotated",
  "KeyStale",
  "KeyUnchanged",
  "NewOwnerMismatch",
  "NotController",
  "OwnerGrantStands",
  "OwnerUnchanged",
  "PairSkipped",
  "PermissionsBeyondCaller",
  "PermissionsNotAllowed",
  "PermissionsNotGrantable",
  "PolicySet",
  "PolicyWidened",
  "PublicNotReadable",
  "PurposesMissing",
  "RoleDefined",
  "RoleNotDefinable",
  "RolesDeclaredExclusive",
  "RolesExclusive",
  "RolesNotHeld",
  "RolesSet",
  "RolesUnknown",
  "SeqStale",
  "SignatureInvalid",
  "TransferCancelled",
  "TransferNeedsConsent",
  "TransferNotPending",
  "TransferProposed",
  "WindowInvalid",
];
