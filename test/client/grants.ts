import { expect } from "chai";
import { getAddress, toBeHex } from "ethers";

import * as access from "../../client/access.js";
import { FOREVER } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { createP256Key, type Key } from "../../client/keys.js";
import * as roles from "../../client/roles.js";
import { ethers, loadFixture, now } from "../support/chain.js";
import { runnerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { errorOf } from "../support/errors.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

interface Fleet extends Deployed {
  ids: string[];
  /** Enrolled to `relayer`, who is no part of the fleet. */
  foreign: string;
  asOther: Touchstone;
  terms: access.GrantTerms;
}

async function deployFleet(): Promise<Fleet> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, relayer, other } = deployed;
  const enrol = async (device: Key, ownerId: string, sender: Touchstone): Promise<string> => {
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: ownerId });
    await devices.enroll({ touchstone: sender, enrollment, byDevice: device });
    return device.id;
  };
  const ids: string[] = [];
  for (const key of [createP256Key(), createP256Key(), createP256Key()])
    ids.push(await enrol(key, owner.address, touchstone));
  const foreign = await enrol(createP256Key(), relayer.address, touchstone.connect(relayer));
  const terms: access.GrantTerms = {
    permissions: ["ReadLive", "ReadHistory"],
    purposes: ["RepairImpairments"],
    expiry: FOREVER,
  };
  return { ...deployed, ids, foreign, asOther: touchstone.connect(other), terms };
}

/** Accounts of nobody. */
function accounts(count: number): string[] {
  return Array.from({ length: count }, (_, place) => getAddress(toBeHex(0x1_0000_0000 + place, 20)));
}

function pairsOf(ids: readonly string[], subjects: readonly string[]): access.Pair[] {
  return ids.flatMap((device) => subjects.map((subject) => ({ device, subject })));
}

describe("access.grantMany and access.revokeMany", () => {
  it("give and end grants of many devices and subjects in one transaction", async () => {
    const { touchstone, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf(ids, accounts(2));
    const progress: access.PairProgress[] = [];
    const granted = await access.grantMany({
      touchstone,
      pairs,
      ...terms,
      termsHash: ethers.id("terms"),
      onProgress: (each) => progress.push(each),
    });
    const [sent] = granted.sent;
    expect(granted.sent).to.have.lengthOf(1);
    expect(granted.outcomes).to.deep.equal(
      pairs.map((pair) => ({ ...pair, outcome: "Done", transactionHash: sent!.receipt.hash })),
    );
    expect(progress).to.deep.equal([{ done: 6, skipped: 0, total: 6, transactionHash: sent!.receipt.hash }]);
    for (const pair of pairs) {
      expect(await access.grantOf({ touchstone, ...pair })).to.deep.equal({
        permissions: ["ReadLive", "ReadHistory"],
        purposes: ["RepairImpairments"],
        notBefore: 0n,
        expiry: FOREVER,
        epoch: 1n,
        seq: 1n,
        byOwner: true,
      });
    }
    const revoked = await access.revokeMany({ touchstone, pairs: pairs.slice(1) });
    expect(revoked.outcomes.map(({ outcome }) => outcome)).to.deep.equal(pairs.slice(1).map(() => "Done"));
    const left = await Promise.all(pairs.map((pair) => access.grantOf({ touchstone, ...pair })));
    expect(left.map(({ permissions }) => permissions.length)).to.deep.equal([2, 0, 0, 0, 0, 0]);
  });

  it("leave out what is refused, name it and say why", async () => {
    const { touchstone, owner, relayer, ids, foreign, terms } = await loadFixture(deployFleet);
    const [subject] = accounts(1) as [string];
    await devices.retire({ touchstone, device: ids[1]! });
    const unknown = getAddress(toBeHex(0x2_0000_0000, 20));
    const reserved = getAddress(toBeHex(1, 20));
    const pairs = [
      { device: foreign, subject },
      { device: ids[0]!, subject },
      { device: ids[1]!, subject },
      { device: unknown, subject },
      { device: ids[2]!, subject: reserved },
    ];
    const { outcomes } = await access.grantMany({ touchstone, pairs, ...terms });
    const reasons = outcomes.map((each) =>
      each.outcome === "Skipped"
        ? { name: each.error.errorName, args: each.error.args, code: each.error.code }
        : "Done",
    );
    const code = "CONTRACT_REVERTED";
    expect(reasons).to.deep.equal([
      {
        name: "CallerLacksPermission",
        args: { fleet: relayer.address, caller: owner.address, permission: 128n },
        code,
      },
      "Done",
      { name: "DeviceNotActive", args: { device: ids[1] }, code },
      { name: "DeviceNotEnrolled", args: { device: unknown }, code },
      { name: "IdReserved", args: { id: reserved }, code },
    ]);
    expect(outcomes.map(({ device }) => device)).to.deep.equal(pairs.map(({ device }) => device));
    const revoked = await access.revokeMany({ touchstone, pairs });
    expect(revoked.outcomes.map(({ outcome }) => outcome)).to.deep.equal([
      "Skipped",
      "Done",
      "Done",
      "Skipped",
      "Done",
    ]);
  });

  it("share as a member with Share what the member has, and leave the owner's grants alone", async () => {
    const { touchstone, owner, other, asOther, ids, terms } = await loadFixture(deployFleet);
    const fleet = owner.address;
    await roles.defineRole({ touchstone, fleet, role: 8, permissions: ["ReadLive", "Share"] });
    const expiry = (await now()) + 10_000n;
    await roles.setRoles({ touchstone, fleet, account: other.address, roles: [8], expiry });
    const [first, second] = accounts(2) as [string, string];
    const device = ids[0]!;
    await access.grant({ touchstone, device, subject: first, ...terms });
    const pairs = pairsOf([device], [first, second]);
    const own = { ...terms, permissions: ["ReadLive"] as const, expiry };
    const { outcomes } = await access.grantMany({ touchstone: asOther, pairs, ...own });
    const [stands, done] = outcomes;
    expect(done?.outcome).to.equal("Done");
    if (stands?.outcome !== "Skipped") return expect.fail("granted");
    expect(stands.error.errorName).to.equal("OwnerGrantStands");
    expect(stands.error.args).to.deep.equal({ device, subject: first });
    for (const { change, name } of [
      { change: { permissions: ["Command"] as const }, name: "PermissionsBeyondCaller" },
      { change: { expiry: expiry + 1n }, name: "ExpiryBeyondCaller" },
    ]) {
      await refusedAs(name, () => access.grant({ touchstone: asOther, device, subject: second, ...own, ...change }));
    }
    const revoked = await access.revokeMany({ touchstone: asOther, pairs });
    expect(revoked.outcomes.map(({ outcome }) => outcome)).to.deep.equal(["Done", "Done"]);
  });

  it("send as few transactions as a block's gas allows", async () => {
    const { touchstone, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf([ids[0]!], accounts(1_500));
    const progress: number[] = [];
    const { outcomes, sent } = await access.grantMany({
      touchstone,
      pairs,
      ...terms,
      pairsAtOnce: 1_500,
      onProgress: ({ done }) => progress.push(done),
    });
    expect(outcomes.every(({ outcome }) => outcome === "Done")).to.equal(true);
    expect(outcomes.map(({ subject }) => subject)).to.deep.equal(pairs.map(({ subject }) => subject));
    expect(sent.length).to.be.within(2, 5);
    for (const { receipt } of sent) expect(receipt.gasUsed < 2n ** 24n).to.equal(true);
    expect(progress.at(-1)).to.equal(1_500);
    expect(progress).to.have.lengthOf(sent.length);
  }).timeout(120_000);

  it("take half where a node does not say that it is too much", async () => {
    const { touchstone, owner, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf([ids[0]!], accounts(8));
    const runner = runnerWith(owner, {
      estimateGas(transaction) {
        if (transaction.data!.length > 1_200) throw new Error("request timed out");
        return owner.estimateGas(transaction);
      },
    });
    const { outcomes, sent } = await access.grantMany({ touchstone: touchstone.connect(runner), pairs, ...terms });
    expect(sent.length).to.be.greaterThan(1);
    expect(outcomes.map(({ subject }) => subject)).to.deep.equal(pairs.map(({ subject }) => subject));
  });

  it("say what remains when they are cancelled between two transactions, and go on with that", async () => {
    const { touchstone, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf(ids, accounts(2));
    const controller = new AbortController();
    const options = { touchstone, pairs, ...terms, pairsAtOnce: 2 };
    const error = await errorOf("CANCELLED", () =>
      access.grantMany({
        ...options,
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done === 4) controller.abort();
        },
      }),
    );
    if (!(error instanceof access.PairsRemainingError)) throw error;
    expect(error.outcomes.map(({ device, subject }) => ({ device, subject }))).to.deep.equal(pairs.slice(0, 4));
    expect(error.remaining).to.deep.equal(pairs.slice(4));
    expect(error.details).to.deep.include({ remaining: error.remaining, outcomes: error.outcomes });
    expect(error.message).to.contain("4 pairs are settled, 2 are not");
    const { outcomes } = await access.grantMany({ ...options, pairs: error.remaining });
    expect(outcomes.map(({ outcome }) => outcome)).to.deep.equal(["Done", "Done"]);
  });

  it("count a chunk whose transaction may have been sent among what remains", async () => {
    const { touchstone, owner, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf([ids[0]!], accounts(3));
    const runner = runnerWith(owner, {
      async sendTransaction(transaction) {
        await owner.sendTransaction(transaction);
        throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
      },
    });
    const error = await errorOf("CHAIN_UNREACHABLE", () =>
      access.grantMany({ touchstone: touchstone.connect(runner), pairs, ...terms }),
    );
    if (!(error instanceof access.PairsRemainingError)) throw error;
    expect(error.outcomes).to.deep.equal([]);
    expect(error.remaining).to.deep.equal(pairs);
    await access.grantMany({ touchstone, pairs: error.remaining, ...terms });
    const { seq, permissions } = await access.grantOf({ touchstone, ...pairs[0]! });
    expect({ seq, permissions }).to.deep.equal({ seq: 2n, permissions: ["ReadLive", "ReadHistory"] });
  });

  it("take nothing for done that the transaction does not say", async () => {
    const { touchstone, owner, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf([ids[0]!], accounts(2));
    // As a wallet that puts transactions in a queue of its own would.
    const runner = runnerWith(owner, { sendTransaction: () => owner.sendTransaction({ to: owner.address }) });
    const error = await errorOf("RPC_FAILED", () =>
      access.grantMany({ touchstone: touchstone.connect(runner), pairs, ...terms }),
    );
    if (!(error instanceof access.PairsRemainingError)) throw error;
    expect(error.details).to.deep.include({ ...pairs[0]!, outcomes: [], remaining: pairs });
  });

  it("refuse what no pair could take, before anything is sent", async () => {
    const { touchstone, ids, terms } = await loadFixture(deployFleet);
    const pairs = pairsOf([ids[0]!], accounts(2));
    const right = { touchstone, pairs, ...terms };
    for (const change of [
      { pairs: [] },
      { pairs: [...pairs, { ...pairs[0]!, device: ids[0]!.toLowerCase() }] },
      { pairs: [{ device: "0x12", subject: ids[0]! }] },
      { pairs: [{ device: ids[0]!, subject: "other.eth" }] },
      { pairsAtOnce: 0 },
      { pairsAtOnce: 1.5 },
    ]) {
      await errorUnsent("INVALID_ARGUMENT", () => access.grantMany({ ...right, ...change }));
      await errorUnsent("INVALID_ARGUMENT", () => access.revokeMany({ touchstone, pairs, ...change }));
    }
    for (const change of [{ expiry: FOREVER + 1n }, { termsHash: "0x" }, { permissions: ["Fly" as "Command"] }]) {
      await errorUnsent("INVALID_ARGUMENT", () => access.grantMany({ ...right, ...change }));
    }
    expect(await refusedAs("PurposesMissing", () => access.grantMany({ ...right, purposes: [] }))).to.deep.equal({});
    expect(
      await refusedAs("WindowInvalid", () => access.grantMany({ ...right, notBefore: 5n, expiry: 5n })),
    ).to.deep.equal({ notBefore: 5n, expiry: 5n });
    await errorUnsent("CANCELLED", () => access.grantMany({ ...right, signal: AbortSignal.abort() }));
    await errorUnsent("RUNNER_READ_ONLY", () =>
      access.grantMany({ ...right, touchstone: touchstone.connect(ethers.provider) }),
    );
    expect((await access.grantOf({ touchstone, ...pairs[0]! })).seq).to.equal(0n);
  });
});
