import { expect } from "chai";
import type { Signer } from "ethers";
import fc from "fast-check";

import * as access from "../../client/access.js";
import { FOREVER, ZERO_HASH } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { grantablePermissions, type GrantablePermission } from "../../client/enumerations.js";
import { createP256Key } from "../../client/keys.js";
import { allPurposes, type Purpose } from "../../client/purposes.js";
import * as transfers from "../../client/transfers.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { providerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

interface Asked extends Deployed {
  id: string;
  asOther: Touchstone;
  asRelayer: Touchstone;
  terms: Required<access.GrantTerms>;
  request: access.ReadRequest;
}

/** `other` asks the owner of a device for something until in an hour. */
async function deployAsked(): Promise<Asked> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, other, relayer, device } = deployed;
  const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
  await devices.enroll({ touchstone, enrollment, byDevice: device });
  const [asOther, asRelayer] = [touchstone.connect(other), touchstone.connect(relayer)];
  const start = await now();
  const terms: Required<access.GrantTerms> = {
    permissions: ["ReadLive", "ReadHistory", "Command"],
    purposes: ["RepairImpairments", "CustomerCare", 25],
    notBefore: start,
    expiry: start + 3_600n,
    termsHash: ethers.id("terms"),
  };
  await access.requestAccess({ touchstone: asOther, device: device.id, ...terms });
  const [request] = (await access.readRequests({ touchstone })) as [access.ReadRequest];
  return { ...deployed, id: device.id, asOther, asRelayer, terms, request };
}

/** Another device of the owner. */
async function otherDevice(touchstone: Touchstone): Promise<{ device: string }> {
  const key = createP256Key();
  const owner = await (touchstone.runner as Signer).getAddress();
  const enrollment = await devices.newEnrollment({ touchstone, device: key, owner });
  await devices.enroll({ touchstone, enrollment, byDevice: key });
  return { device: key.id };
}

describe("access.requestAccess and access.readRequests", () => {
  it("ask in public, and tell who asked for what", async () => {
    const { touchstone, other, id, terms } = await loadFixture(deployAsked);
    const { device } = await otherDevice(touchstone);
    const asOther = touchstone.connect(other);
    const sent = await access.requestAccess({
      touchstone: asOther,
      device,
      permissions: ["Audit"],
      purposes: ["LegalCompliance"],
      expiry: FOREVER,
    });
    const requests = await access.readRequests({ touchstone });
    expect(requests).to.have.lengthOf(2);
    const [first, second] = requests;
    expect(first).to.deep.include({ device: id, subject: other.address, ...terms });
    expect(second).to.deep.equal({
      device,
      subject: other.address,
      permissions: ["Audit"],
      purposes: ["LegalCompliance"],
      notBefore: 0n,
      expiry: FOREVER,
      termsHash: ZERO_HASH,
      requestedAt: sent.events[0]!.cursor,
      transactionHash: sent.receipt.hash,
      answer: undefined,
      stale: undefined,
    });
    expect(await access.readRequests({ touchstone, devices: [id] })).to.deep.equal([first]);
    expect(await access.readRequests({ touchstone, devices: [id, device] })).to.deep.equal(requests);
    expect(await access.readRequests({ touchstone, devices: [] })).to.deep.equal([]);
    expect(await access.readRequests({ touchstone, subject: other.address.toLowerCase() })).to.deep.equal(requests);
    expect(await access.readRequests({ touchstone, subject: device })).to.deep.equal([]);
    expect(await access.readRequests({ touchstone, after: first!.requestedAt })).to.deep.equal([second]);
    expect(access.sentenceOf(first!)).to.contain(`${other.address} asks to be allowed to read live measurements`);
  });

  it("say whether a later grant answered: wholly, with less, or under other terms", async () => {
    const { touchstone, owner, other, id, terms } = await loadFixture(deployAsked);
    const give = (change: Partial<access.GrantTerms>) =>
      access.grant({ touchstone, device: id, subject: other.address, ...terms, ...change });
    const answer = async (): Promise<access.RequestAnswer | undefined> =>
      (await access.readRequests({ touchstone }))[0]!.answer;
    const snapshot = await networkHelpers.takeSnapshot();
    for (const { change, extent } of [
      { change: {}, extent: "Whole" },
      { change: { permissions: ["ReadLive"] }, extent: "Less" },
      { change: { purposes: ["CustomerCare"] }, extent: "Less" },
      { change: { notBefore: terms.notBefore + 1n }, extent: "Less" },
      { change: { expiry: terms.expiry - 1n }, extent: "Less" },
      { change: { termsHash: ZERO_HASH }, extent: "OtherTerms" },
      { change: { permissions: ["ReadLive", "Audit"] }, extent: undefined },
      { change: { purposes: ["CustomerCare", "Marketing"] }, extent: undefined },
      { change: { notBefore: terms.notBefore - 1n }, extent: undefined },
      { change: { expiry: terms.expiry + 1n }, extent: undefined },
    ] as { change: Partial<access.GrantTerms>; extent: string | undefined }[]) {
      const { receipt, events } = await give(change);
      const found = await answer();
      expect(found?.extent, JSON.stringify(Object.keys(change))).to.equal(extent);
      if (extent !== undefined) {
        expect(found).to.deep.include({
          by: owner.address,
          transactionHash: receipt.hash,
          answeredAt: events[0]!.cursor,
          termsHash: change.termsHash ?? terms.termsHash,
        });
        expect(found?.grant).to.deep.equal(await access.grantOf({ touchstone, device: id, subject: other.address }));
      }
      await snapshot.restore();
    }
    await give({ permissions: ["ReadLive"] });
    await give({});
    expect((await answer())?.extent, "the first answer counts").to.equal("Less");
  });

  it("let grants to others, for other devices and before the request answer nothing", async () => {
    const { touchstone, other, relayer, asOther, id, terms } = await loadFixture(deployAsked);
    const { device } = await otherDevice(touchstone);
    await access.grant({ touchstone, device: id, subject: relayer.address, ...terms });
    await access.grant({ touchstone, device, subject: other.address, ...terms });
    await access.grant({ touchstone, device: id, subject: other.address, ...terms });
    await access.requestAccess({ touchstone: asOther, device: id, ...terms });
    const [first, second] = await access.readRequests({ touchstone });
    expect(first?.answer?.extent).to.equal("Whole");
    expect(second?.answer).to.equal(undefined);
  });

  it("say which requests can be approved no more", async () => {
    const { touchstone, asOther, asRelayer, relayer, id, terms } = await loadFixture(deployAsked);
    const staleOf = async (): Promise<unknown[]> =>
      (await access.readRequests({ touchstone })).map((request) => request.stale);
    await devices.revokeAll({ touchstone, device: id });
    expect(await staleOf()).to.deep.equal([undefined]);
    await transfers.propose({ touchstone, device: id, newOwner: relayer.address });
    await transfers.accept({ touchstone: asRelayer, device: id });
    await access.requestAccess({ touchstone: asOther, device: id, ...terms });
    expect(await staleOf()).to.deep.equal(["DeviceSold", undefined]);
    await devices.retire({ touchstone: asRelayer, device: id });
    expect(await staleOf()).to.deep.equal(["DeviceSold", "DeviceRetired"]);
    await networkHelpers.time.increaseTo(terms.expiry);
    expect(await staleOf()).to.deep.equal(["DeviceSold", "DeviceRetired"]);
    const { device } = await otherDevice(touchstone);
    await access.requestAccess({ touchstone: asOther, device, ...terms, expiry: terms.expiry + 60n });
    await networkHelpers.time.increaseTo(terms.expiry + 59n);
    expect((await staleOf()).at(-1)).to.equal(undefined);
    await networkHelpers.time.increaseTo(terms.expiry + 60n);
    expect((await staleOf()).at(-1)).to.equal("Expired");
  });

  it("are each answered by the grant of their own, where there are many", async () => {
    const { touchstone, id, terms } = await loadFixture(deployAsked);
    const address = touchstone.addresses.DataAccess;
    await access.grant({ touchstone, device: id, subject: touchstone.addresses.DataAnchor, ...terms });
    const [asked, given] = await ethers.provider.getLogs({ address, fromBlock: 0 });
    const many = 300;
    const subjects = Array.from({ length: many }, (_, place) => ethers.toBeHex(2n ** 150n + BigInt(place), 32));
    // The last one who asks is the first who is answered; the first ones are not.
    const logs = [...subjects, ...subjects.toReversed().slice(0, 200)].map((subject, index) => {
      const log = index < many ? asked! : given!;
      return { ...(log.toJSON() as object), topics: log.topics.with(2, subject), index };
    });
    const reader = touchstone.connect(providerWith({ getLogs: () => Promise.resolve(logs as never) }));
    const requests = await access.readRequests({ touchstone: reader });
    expect(requests.map(({ answer }) => answer?.answeredAt.logIndex)).to.deep.equal([
      ...Array<undefined>(100).fill(undefined),
      ...Array.from({ length: 200 }, (_, place) => many + 199 - place),
    ]);
  });

  it("refuse what cannot be asked", async () => {
    const { touchstone, asOther, id, terms } = await loadFixture(deployAsked);
    const right = { touchstone: asOther, device: id, ...terms };
    for (const change of [{ device: "0x12" }, { expiry: -1n }, { termsHash: "0x" }, { purposes: [3 as 24] }]) {
      await errorUnsent("INVALID_ARGUMENT", () => access.requestAccess({ ...right, ...change }));
    }
    await refusedAs("PermissionsNotGrantable", () => access.requestAccess({ ...right, permissions: [] }));
    await refusedAs("WindowInvalid", () => access.requestAccess({ ...right, notBefore: 1n, expiry: 1n }));
    await errorOf("INVALID_ARGUMENT", () => access.readRequests({ touchstone, devices: ["0x12"] }));
    await errorOf("INVALID_ARGUMENT", () => access.readRequests({ touchstone, subject: "other.eth" }));
    await errorOf("CANCELLED", () => access.readRequests({ touchstone, signal: AbortSignal.abort() }));
  });
});

describe("access.approve and access.newApproval", () => {
  it("grant what was asked for, under the terms that the subject offered", async () => {
    const { touchstone, other, id, terms, request } = await loadFixture(deployAsked);
    const { events } = await access.approve({ touchstone, request });
    expect(events).to.have.lengthOf(1);
    expect(events[0]!.args).to.deep.include({ device: id, subject: other.address, termsHash: terms.termsHash });
    const { permissions, purposes, notBefore, expiry } = terms;
    expect(await access.grantOf({ touchstone, device: id, subject: other.address })).to.deep.include({
      permissions,
      purposes: purposes.toSorted((a, b) => allPurposes.indexOf(a) - allPurposes.indexOf(b)),
      notBefore,
      expiry,
    });
    const [read] = await access.readRequests({ touchstone });
    expect(read?.answer?.extent).to.equal("Whole");
  });

  it("grant less, by a transaction or by a signature that the subject sends", async () => {
    const { touchstone, owner, asOther, other, id, terms, request } = await loadFixture(deployAsked);
    const less = {
      permissions: ["ReadLive"] as const,
      purposes: ["CustomerCare"] as const,
      notBefore: terms.notBefore + 10n,
      expiry: terms.expiry - 10n,
    };
    const grant = await access.newApproval({ touchstone: asOther, request, ...less, grantor: owner.address });
    expect(grant).to.deep.include({ permissions: 1n, purposes: 256n, termsHash: terms.termsHash, seq: 0n });
    const signed = await access.signGrant({ touchstone, grant, by: owner });
    await access.grantWithSignature({ touchstone: asOther, signed });
    const expected = { permissions: ["ReadLive"], purposes: ["CustomerCare"], ...pick(less) };
    const grantOf = () => access.grantOf({ touchstone, device: id, subject: other.address });
    expect(await grantOf()).to.deep.include({ ...expected, seq: 1n });
    await access.approve({ touchstone, request, ...less });
    expect(await grantOf()).to.deep.include({ ...expected, seq: 2n });
    expect((await access.newApproval({ touchstone, request, validFor: 60n })).deadline).to.equal((await now()) + 60n);
  });

  it("refuse more than was asked for, and name what exceeds", async () => {
    const { touchstone, other, id, terms, request } = await loadFixture(deployAsked);
    const { notBefore, expiry } = terms;
    const cases: { change: Partial<access.Approval>; exceeds: access.Exceeding; word: string }[] = [
      { change: { permissions: ["ReadLive", "Audit"] }, exceeds: { permissions: ["Audit"] }, word: "Audit" },
      { change: { purposes: ["Marketing", 25] }, exceeds: { purposes: ["Marketing"] }, word: "purpose Marketing" },
      {
        change: { notBefore: notBefore - 1n },
        exceeds: { notBefore: { asked: notBefore, given: notBefore - 1n } },
        word: `from ${notBefore - 1n} instead of ${notBefore}`,
      },
      {
        change: { expiry: FOREVER, permissions: ["Configure"] },
        exceeds: { permissions: ["Configure"], expiry: { asked: expiry, given: FOREVER } },
        word: `Configure, until ${FOREVER} instead of ${expiry}`,
      },
    ];
    for (const { change, exceeds, word } of cases) {
      for (const verb of [access.approve, access.newApproval]) {
        const error = await errorUnsent("REQUEST_EXCEEDED", () => verb({ touchstone, request, ...change }));
        const { requestedAt } = request;
        expect(error.details).to.deep.equal({ exceeds, device: id, subject: other.address, requestedAt });
        expect(error.message).to.contain(word);
      }
    }
  });

  it("refuse a request that does not stand in the chain as it is given", async () => {
    const { touchstone, other, id, request, terms } = await loadFixture(deployAsked);
    const { block, logIndex } = request.requestedAt;
    const changes: Partial<access.AccessRequest>[] = [
      { subject: touchstone.addresses.DataAccess },
      { permissions: ["ReadLive"] },
      { permissions: [...grantablePermissions] },
      { purposes: ["CustomerCare"] },
      { notBefore: terms.notBefore - 1n },
      { expiry: FOREVER },
      { termsHash: ZERO_HASH },
      { transactionHash: ZERO_HASH },
      { requestedAt: { block, logIndex: logIndex + 7 } },
      { requestedAt: { block: block - 1, logIndex } },
      { requestedAt: { block: block + 50, logIndex } },
    ];
    for (const change of changes) {
      for (const verb of [access.approve, access.newApproval]) {
        const changed = { ...request, ...change };
        const error = await errorUnsent("NOT_FOUND", () => verb({ touchstone, request: changed }));
        expect(error.details).to.deep.equal({ device: id, requestedAt: changed.requestedAt });
      }
    }
    const reordered = { ...request, device: id.toLowerCase(), permissions: request.permissions.toReversed() };
    const { events } = await access.approve({ touchstone, request: reordered });
    expect(events[0]?.args).to.deep.include({ device: id, subject: other.address, termsHash: request.termsHash });
  });

  it("refuse what is stale, and say why", async () => {
    const { touchstone, asRelayer, relayer, terms, id, request } = await loadFixture(deployAsked);
    const snapshot = await networkHelpers.takeSnapshot();
    const cases: { reason: string; before: () => Promise<unknown>; by: Touchstone }[] = [
      { reason: "Expired", by: touchstone, before: () => networkHelpers.time.increaseTo(terms.expiry) },
      { reason: "DeviceRetired", by: touchstone, before: () => devices.retire({ touchstone, device: id }) },
      {
        reason: "DeviceSold",
        by: asRelayer,
        before: async () => {
          await transfers.propose({ touchstone, device: id, newOwner: relayer.address });
          await transfers.accept({ touchstone: asRelayer, device: id });
        },
      },
    ];
    for (const { reason, before, by } of cases) {
      await before();
      for (const verb of [access.approve, access.newApproval]) {
        const error = await errorUnsent("REQUEST_STALE", () => verb({ touchstone: by, request }));
        expect(error.details).to.deep.include({ reason, device: id, requestedAt: request.requestedAt });
      }
      await snapshot.restore();
    }
  });

  it("are the owner's, and take nothing that is no grant", async () => {
    const { touchstone, owner, other, asOther, request } = await loadFixture(deployAsked);
    expect(
      await refusedAs("CallerLacksPermission", () => access.approve({ touchstone: asOther, request })),
    ).to.deep.equal({ fleet: owner.address, caller: other.address, permission: 128n });
    await refusedAs("PermissionsNotGrantable", () => access.approve({ touchstone, request, permissions: [] }));
    await errorUnsent("INVALID_ARGUMENT", () => access.newApproval({ touchstone, request, permissions: [] }));
    for (const change of [{ permissions: ["Fly" as "Command"] }, { purposes: [1 as 24] }, { expiry: -1n }]) {
      await errorUnsent("INVALID_ARGUMENT", () => access.approve({ touchstone, request, ...change }));
    }
    const device = { ...request, device: "0x12" };
    await errorUnsent("INVALID_ARGUMENT", () => access.approve({ touchstone, request: device }));
    await errorUnsent("CANCELLED", () => access.approve({ touchstone, request, signal: AbortSignal.abort() }));
  });

  it("never widen: of any request and any approval, what is granted lies within what was asked for", async () => {
    const { touchstone, asOther, other, id } = await loadFixture(deployAsked);
    const start = await now();
    const someOf = <T>(all: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...all], { minLength: 1 });
    const when = fc.bigInt({ min: start, max: start + 10n });
    const until = fc.bigInt({ min: start + 1_000_000n, max: start + 1_000_005n });
    const terms = {
      permissions: someOf<GrantablePermission>(grantablePermissions.slice(0, 3)),
      purposes: someOf<Purpose>(["ServiceProvision", "Marketing", 24]),
      notBefore: when,
      expiry: until,
    };
    let granted = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.record(terms), fc.record(terms, { requiredKeys: [] }), async (asked, change) => {
        await access.requestAccess({ touchstone: asOther, device: id, ...asked });
        const request = (await access.readRequests({ touchstone })).at(-1)!;
        const before = await access.grantOf({ touchstone, device: id, subject: other.address });
        const wanted = { ...asked, ...change };
        const isWithin =
          wanted.permissions.every((each) => asked.permissions.includes(each)) &&
          wanted.purposes.every((each) => asked.purposes.includes(each)) &&
          wanted.notBefore >= asked.notBefore &&
          wanted.expiry <= asked.expiry;
        if (isWithin) {
          await access.approve({ touchstone, request, ...change });
          granted += 1;
        } else {
          await errorUnsent("REQUEST_EXCEEDED", () => access.approve({ touchstone, request, ...change }));
          refused += 1;
        }
        const after = await access.grantOf({ touchstone, device: id, subject: other.address });
        if (isWithin) {
          expect(new Set(after.permissions)).to.deep.equal(new Set(wanted.permissions));
          expect(new Set(after.purposes)).to.deep.equal(new Set(wanted.purposes));
          expect(after).to.deep.include({ notBefore: wanted.notBefore, expiry: wanted.expiry });
        } else {
          expect(after).to.deep.equal(before);
        }
      }),
      { numRuns: 100, seed: 4 },
    );
    expect(granted).to.be.greaterThan(5);
    expect(refused).to.be.greaterThan(5);
  });
});

function pick({ notBefore, expiry }: { notBefore: bigint; expiry: bigint }): { notBefore: bigint; expiry: bigint } {
  return { notBefore, expiry };
}
