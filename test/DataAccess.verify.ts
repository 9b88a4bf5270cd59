import { expect } from "chai";
import fc from "fast-check";

import { accountKey } from "../client/keys.js";

import {
  ALL_PURPOSES,
  deployAccess,
  GRANTABLE,
  PERMISSION,
  READ,
  REASON,
  reasonName,
  revokeAll,
  sendDevicePolicy,
  sendGrant,
  suspend,
} from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { nextDataGrant, sendSignedRevocation, signDataGrant, type DataGrant } from "./support/signed-access.js";

const { ReadLive, ReadHistory, Command, Share } = PERMISSION;
const STEWARD = 8n;

/** The fleet, with a member that may share what it reads for 20 days, and a wallet that is Admin. */
async function deployVerified() {
  const suite = await deployAccess();
  const { roles, actors, fleet } = suite;
  const byOwner = roles.connect(actors.owner);
  await byOwner.defineRole(fleet, STEWARD, Share | ReadLive | ReadHistory);
  await byOwner.setRoles(fleet, actors.gateway, 1n << STEWARD, 0n, (await now()) + 20n * DAY);
  const wallet = await ethers.deployContract("ERC1271Wallet", [actors.maker]);
  await byOwner.setRoles(fleet, wallet, 1n, 0n, FOR_EVER);
  return { ...suite, wallet: await wallet.getAddress() };
}
type Verified = Awaited<ReturnType<typeof deployVerified>>;

/** What may have happened before a signed grant is shown. */
const EVENTS: Record<string, (suite: Verified) => Promise<unknown>> = {
  "the owner granted": (suite) => grantTo(suite, "owner", { permissions: ReadLive | Command }),
  "the owner granted for later": async (suite) => grantTo(suite, "owner", { notBefore: (await now()) + DAY }),
  "the owner granted for a day": async (suite) => grantTo(suite, "owner", { expiry: (await now()) + DAY }),
  "a member granted": (suite) => grantTo(suite, "gateway", { permissions: ReadHistory, purposes: 0b111n }),
  "the owner revoked": ({ access, actors, p256Device }) =>
    access.connect(actors.owner).revoke(p256Device.id, actors.subject),
  "the subject signed a revocation": (suite) => sendSignedRevocation(suite, suite.actors.subject),
  "a new epoch began": (suite) => revokeAll(suite),
  "the device was suspended": (suite) => suspend(suite),
  "the device was retired": (suite) => suite.devices.connect(suite.actors.owner).retire(suite.p256Device.id),
  "the owner set a policy": (suite) =>
    suite.access.connect(suite.actors.owner).setPolicy(suite.p256Device.id, READ, ReadHistory, 0b11n),
  "the device set a policy": (suite) =>
    sendDevicePolicy(suite, suite.p256Device, { ceiling: ReadLive | Command, publicRead: READ }),
  "the member lost its roles": ({ roles, actors, fleet }) => roles.connect(actors.owner).revokeAllRoles(fleet),
  "the fleet was handed over": async ({ roles, actors, fleet }) => {
    await roles.connect(actors.owner).proposeGovernor(fleet, actors.operator);
    await roles.connect(actors.operator).acceptGovernor(fleet, true);
  },
  "two days passed": () => networkHelpers.time.increase(2n * DAY),
};

function grantTo(suite: Verified, by: "owner" | "gateway", terms: object): Promise<unknown> {
  const { p256Device, actors } = suite;
  return sendGrant(suite, actors[by], { device: p256Device.id, subject: actors.subject.address, ...terms });
}

/** Where an earlier event stands in the way, nothing happens. */
async function ignoreRefusal(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes("reverted with custom error")) throw error;
  }
}

/** Who signs: in whose name, and with whose key. */
const SIGNERS: Record<string, (suite: Verified) => { grantor: string; key: keyof Verified["actors"] }> = {
  "the owner": ({ actors }) => ({ grantor: actors.owner.address, key: "owner" }),
  "a member with Share": ({ actors }) => ({ grantor: actors.gateway.address, key: "gateway" }),
  "an Admin": ({ actors }) => ({ grantor: actors.admin.address, key: "admin" }),
  "an Admin's wallet": ({ wallet }) => ({ grantor: wallet, key: "maker" }),
  "a member without Share": ({ actors }) => ({ grantor: actors.security.address, key: "security" }),
  "the subject itself": ({ actors }) => ({ grantor: actors.subject.address, key: "subject" }),
  "the subject for the owner": ({ actors }) => ({ grantor: actors.owner.address, key: "subject" }),
};

/** Mostly one of the usual values. */
const anyOf = <T>(usual: T[], others: T[]): fc.Arbitrary<T> => {
  return fc.oneof(
    { weight: 7, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
};

/** Neighbourhoods of what is right, in seconds from now and steps from the present numbers. */
const anyCase = fc.record({
  events: fc.uniqueArray(fc.constantFrom(...Object.keys(EVENTS)), { maxLength: 4 }),
  signer: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("the owner", "a member with Share", "an Admin", "an Admin's wallet") },
    { weight: 1, arbitrary: fc.constantFrom(...Object.keys(SIGNERS)) },
  ),
  permissions: anyOf([ReadLive, ReadLive | ReadHistory, READ, GRANTABLE], [Command, 0n, Share]),
  purposes: anyOf([0b10n, ALL_PURPOSES], [0n, 1n << 31n]),
  begins: anyOf([-DAY], [0n, DAY, 30n * DAY]),
  ends: anyOf([10n * DAY], [0n, 30n * DAY, 1n, -1n]),
  epochStep: anyOf([0n], [1n]),
  seqStep: anyOf([0n], [1n, 2n]),
  deadline: anyOf([DAY], [0n, -1n]),
  isLater: anyOf([false], [true]),
  question: fc.record({
    permissions: anyOf([ReadLive, ReadHistory, Command], [ReadLive | ReadHistory, 0n, Share]),
    purpose: anyOf([1n], [0n, 31n, 32n]),
  }),
});
type Case = typeof anyCase extends fc.Arbitrary<infer T> ? T : never;

/** The data that a call reverts with; nothing if it does not. */
async function revertDataOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return "0x";
  } catch (error) {
    const { data } = error as { data?: unknown };
    if (typeof data !== "string") throw error;
    return data;
  }
}

/** What came out of a case, for counting. */
async function check(suite: Verified, given: Case): Promise<string> {
  const { access, actors, p256Device } = suite;
  for (const event of given.events) await ignoreRefusal(() => EVENTS[event]!(suite));
  const time = await now();
  const { grantor, key } = SIGNERS[given.signer]!(suite);
  const dataGrant: DataGrant = await nextDataGrant(suite, {
    grantor,
    permissions: given.permissions,
    purposes: given.purposes,
    notBefore: time + given.begins,
    expiry: time + given.ends,
    deadline: time + given.deadline,
  });
  dataGrant.epoch += given.epochStep;
  dataGrant.seq += given.seqStep;
  const signature = await signDataGrant(suite, dataGrant, await accountKey(actors[key]));
  if (given.isLater) await networkHelpers.time.increase(2n * DAY);

  const { permissions, purpose } = given.question;
  const explain = async () => {
    const [allowed, reason] = await access.explain(p256Device.id, actors.subject, permissions, purpose);
    return { allowed, reason: reasonName(reason) };
  };
  const shown = await access.verifyGrant(dataGrant, signature, permissions, purpose);
  const answer = { allowed: shown.allowed, reason: reasonName(shown.reason) };
  const byRelayer = access.connect(actors.relayer);
  const refusal = await revertDataOf(() => byRelayer.grantWithSignature.staticCall(dataGrant, signature));

  expect(shown.refusal, "the refusal is what the call reverts with").to.equal(refusal);
  if (refusal !== "0x") {
    expect(answer, "what cannot be sent changes nothing").to.deep.equal(await explain());
    return access.interface.parseError(refusal)!.name;
  }
  await networkHelpers.time.setNextBlockTimestamp(await now());
  await byRelayer.grantWithSignature(dataGrant, signature);
  expect(answer, "what is explained once it was sent").to.deep.equal(await explain());
  return answer.reason;
}

describe("DataAccess's verifyGrant", () => {
  it("answers what explain answers once the grant was sent, or why it cannot be sent, whatever happened before", async function () {
    this.timeout(120_000);
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(anyCase, async (given) => {
        const outcome = await check(await loadFixture(deployVerified), given);
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      }),
      { numRuns: 500, seed: 20_261_122 },
    );

    const refusals = ["PermissionsNotGrantable", "PurposesMissing", "WindowInvalid", "CallerLacksPermission"];
    const attenuations = ["PermissionsBeyondCaller", "ExpiryBeyondCaller", "OwnerGrantStands", "DeviceNotActive"];
    const stale = ["DeadlinePassed", "EpochStale", "SeqStale", "SignatureInvalid"];
    const answers = ["Grant", "NotYetValid", "PermissionNotGranted", "PurposeNotGranted", "QuestionInvalid"];
    const policies = ["DeviceSuspended", "OwnerPolicy", "DevicePolicy"];
    expect([...seen.keys()]).to.include.members([...refusals, ...attenuations, ...stale, ...answers, ...policies]);
  });

  it("lets a gateway that was shown a grant answer as the chain will", async () => {
    const suite = await loadFixture(deployVerified);
    const { access, actors, p256Device } = suite;
    const dataGrant = await nextDataGrant(suite);
    const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
    const show = async () => {
      const [allowed, reason, refusal] = await access.verifyGrant(dataGrant, signature, ReadLive, 1n);
      const name = refusal === "0x" ? "" : access.interface.parseError(refusal)!.name;
      return [allowed, reasonName(reason), name];
    };

    expect(await show()).to.deep.equal([true, "Grant", ""]);
    expect(await access.isAllowed(p256Device.id, actors.subject, ReadLive, 1n)).to.equal(false);
    await access.grantWithSignature(dataGrant, signature);
    expect(await show(), "sent: what is on chain goes on to hold").to.deep.equal([true, "Grant", "SeqStale"]);
    await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
    expect(await show(), "revoked: it ends for the gateway too").to.deep.equal([false, "Revoked", "SeqStale"]);
  });

  it("shows the subject's own rights, where it has some besides", async () => {
    const suite = await loadFixture(deployVerified);
    const { access, actors } = suite;
    for (const [subject, reason] of [
      [actors.owner, REASON.Owner],
      [actors.operator, REASON.Role],
    ] as const) {
      const dataGrant = await nextDataGrant(suite, { subject: subject.address });
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      const [allowed, given, refusal] = await access.verifyGrant(dataGrant, signature, ReadHistory, 1n);
      expect([allowed, given, refusal]).to.deep.equal([true, reason, "0x"]);
    }
  });

  it("of a narrower grant narrows: it takes the place of the one on chain", async () => {
    const suite = await loadFixture(deployVerified);
    const { access, actors, p256Device } = suite;
    const subject = actors.subject.address;
    await sendGrant(suite, actors.owner, { device: p256Device.id, subject, permissions: READ });
    const dataGrant = await nextDataGrant(suite, { permissions: ReadLive });
    const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));

    expect([...(await access.verifyGrant(dataGrant, signature, ReadHistory, 1n))]).to.deep.equal([
      false,
      REASON.PermissionNotGranted,
      "0x",
    ]);
    expect((await access.explain(p256Device.id, subject, ReadHistory, 1n)).reason).to.equal(REASON.Grant);
  });
});
