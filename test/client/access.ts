import { expect } from "chai";

import * as access from "../../client/access.js";
import { FOREVER } from "../../client/arguments.js";
import * as devices from "../../client/devices.js";
import type { GrantablePermission, ReadPermission } from "../../client/enumerations.js";
import { allPurposes, type Purpose } from "../../client/purposes.js";
import { devicePolicyMessage } from "../../client/typed-data.js";
import { ethers, loadFixture, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

async function enrolled(): Promise<Deployed & { id: string }> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, device } = deployed;
  const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
  await devices.enroll({ touchstone, enrollment, byDevice: device });
  return { ...deployed, id: device.id };
}

const NO_GRANT: access.Grant = {
  permissions: [],
  purposes: [],
  notBefore: 0n,
  expiry: 0n,
  epoch: 0n,
  seq: 0n,
  byOwner: false,
};
const UNSET: access.PolicyHalf = { isSet: false, ceiling: [], publicRead: [], purposes: [] };

describe("access.grant", () => {
  it("gives permissions for purposes and a time, by their names", async () => {
    const { touchstone, id, other } = await loadFixture(enrolled);
    const [notBefore, expiry] = [await now(), (await now()) + 1_000n];
    const termsHash = ethers.id("terms");
    const { events } = await access.grant({
      touchstone,
      device: id,
      subject: other.address,
      permissions: ["ReadHistory", "ReadLive"],
      purposes: ["ServiceUsageAnalytics", "ServiceProvision"],
      notBefore,
      expiry,
      termsHash,
    });
    const granted: access.Grant = {
      permissions: ["ReadLive", "ReadHistory"],
      purposes: ["ServiceProvision", "ServiceUsageAnalytics"],
      notBefore,
      expiry,
      epoch: 1n,
      seq: 1n,
      byOwner: true,
    };
    expect(await access.grantOf({ touchstone, device: id, subject: other.address })).to.deep.equal(granted);
    const event = events[0]!;
    if (event.name !== "AccessGranted") return expect.fail(event.name);
    expect(access.grantInWord(event.args.word)).to.deep.equal(granted);
    expect(event.args.termsHash).to.equal(termsHash);
  });

  it("is refused with permissions, purposes, times, hashes or addresses that do not exist", async () => {
    const { touchstone, id, other } = await loadFixture(enrolled);
    const right = {
      touchstone,
      device: id,
      subject: other.address,
      permissions: ["ReadLive"] as GrantablePermission[],
      purposes: ["ServiceProvision"] as Purpose[],
      expiry: FOREVER,
    };
    const wrong = [
      { permissions: ["Fly" as "Command"] },
      { purposes: [32 as 24] },
      { purposes: [0 as 24] },
      { notBefore: -1n },
      { expiry: FOREVER + 1n },
      { termsHash: "0x12" },
      { device: "0x12" },
      { subject: "other.eth" },
    ];
    for (const change of wrong) await errorOf("INVALID_ARGUMENT", () => access.grant({ ...right, ...change }));
    const share = { permissions: ["Share" as "Command"] };
    const error = await errorOf("CONTRACT_REVERTED", () => access.grant({ ...right, ...share }));
    expect(error.details).to.deep.include({ errorName: "PermissionsNotGrantable", args: { permissions: 128n } });
  });
});

describe("access.revoke and access.renounce", () => {
  it("end a grant", async () => {
    const { touchstone, id, other } = await loadFixture(enrolled);
    const grant = {
      touchstone,
      device: id,
      subject: other.address,
      purposes: ["ServiceProvision"] as const,
      expiry: FOREVER,
    };
    for (const end of [
      () => access.revoke({ touchstone, device: id, subject: other.address }),
      () => access.renounce({ touchstone: touchstone.connect(other), device: id }),
    ]) {
      await access.grant({ ...grant, permissions: ["ReadLive"] });
      const { events } = await end();
      expect(events[0]?.name).to.equal("AccessRevoked");
      const question = { touchstone, device: id, account: other.address, purpose: "ServiceProvision" as const };
      expect(await access.explain({ ...question, permissions: ["ReadLive"] })).to.deep.equal({
        allowed: false,
        reason: "Revoked",
      });
    }
    expect(await access.grantOf({ touchstone, device: id, subject: other.address })).to.deep.equal({
      ...NO_GRANT,
      seq: 4n,
    });
  });

  it("say that there is no grant to give up", async () => {
    const { touchstone, id, other } = await loadFixture(enrolled);
    const error = await errorOf("CONTRACT_REVERTED", () =>
      access.renounce({ touchstone: touchstone.connect(other), device: id }),
    );
    expect(error.details).to.deep.include({
      errorName: "GrantMissing",
      args: { device: id, subject: other.address },
    });
  });
});

describe("access.isAllowed and access.explain", () => {
  it("say who may do what, and why", async () => {
    const { touchstone, id, owner, other, relayer } = await loadFixture(enrolled);
    await access.grant({
      touchstone,
      device: id,
      subject: other.address,
      permissions: ["ReadLive"],
      purposes: ["ServicePersonalisation"],
      expiry: FOREVER,
    });
    const asked = { touchstone, device: id, permissions: ["ReadLive"], purpose: "ServicePersonalisation" } as const;
    const answers = [
      { question: { ...asked, account: owner.address }, allowed: true, reason: "Owner" },
      { question: { ...asked, account: other.address }, allowed: true, reason: "Grant" },
      {
        question: { ...asked, account: other.address, purpose: "ServiceOptimisation" as const },
        allowed: false,
        reason: "PurposeNotGranted",
      },
      {
        question: { ...asked, account: other.address, permissions: ["ReadLive", "Command"] as const },
        allowed: false,
        reason: "PermissionNotGranted",
      },
      { question: { ...asked, account: relayer.address }, allowed: false, reason: "NoGrant" },
      { question: { ...asked, account: relayer.address, permissions: [] }, allowed: false, reason: "QuestionInvalid" },
      {
        question: { ...asked, account: other.address, device: other.address },
        allowed: false,
        reason: "DeviceUnknown",
      },
    ];
    for (const { question, allowed, reason } of answers) {
      expect(await access.explain(question)).to.deep.equal({ allowed, reason });
      expect(await access.isAllowed(question)).to.equal(allowed);
    }
  });

  it("refuse questions that cannot be asked", async () => {
    const { touchstone, id, other } = await loadFixture(enrolled);
    const right = {
      touchstone,
      device: id,
      account: other.address,
      permissions: ["ReadLive"] as const,
      purpose: "ServiceProvision" as const,
    };
    for (const change of [{ purpose: 32 as 24 }, { purpose: 0 as 24 }, { device: "0x12" }, { account: "x.eth" }]) {
      await errorOf("INVALID_ARGUMENT", () => access.explain({ ...right, ...change }));
      await errorOf("INVALID_ARGUMENT", () => access.isAllowed({ ...right, ...change }));
    }
  });
});

describe("access.setPolicy", () => {
  it("limits what the owner shares", async () => {
    const { touchstone, id, relayer } = await loadFixture(enrolled);
    expect(await access.policyOf({ touchstone, device: id })).to.deep.equal({
      owner: UNSET,
      device: UNSET,
      deviceSeq: 0n,
    });
    await access.setPolicy({
      touchstone,
      device: id,
      ceiling: ["ReadLive", "ReadHistory"],
      publicRead: ["ReadLive"],
      purposes: ["RequestedServiceProvision", "TechnicalServiceProvision"],
    });
    expect((await access.policyOf({ touchstone, device: id })).owner).to.deep.equal({
      isSet: true,
      ceiling: ["ReadLive", "ReadHistory"],
      publicRead: ["ReadLive"],
      purposes: ["RequestedServiceProvision", "TechnicalServiceProvision"],
    });
    const question = { touchstone, device: id, account: relayer.address, permissions: ["ReadLive"] as const };
    expect(await access.explain({ ...question, purpose: "RequestedServiceProvision" })).to.deep.equal({
      allowed: true,
      reason: "Public",
    });
  });

  it("makes nothing public and allows every purpose unless told", async () => {
    const { touchstone, id } = await loadFixture(enrolled);
    await access.setPolicy({ touchstone, device: id, ceiling: ["Audit"] });
    const { owner } = await access.policyOf({ touchstone, device: id });
    expect(owner).to.deep.equal({ isSet: true, ceiling: ["Audit"], publicRead: [], purposes: [...allPurposes] });
    expect(allPurposes).to.have.lengthOf(32);
    const wrong = { publicRead: ["Command" as ReadPermission] };
    const error = await errorOf("CONTRACT_REVERTED", () =>
      access.setPolicy({ touchstone, device: id, ceiling: ["Audit", "Command"], ...wrong }),
    );
    expect(error.details.errorName).to.equal("PublicNotReadable");
  });
});

describe("access.setDevicePolicy", () => {
  it("limits for ever what can be shared, by the device's word and whoever sends", async () => {
    const { touchstone, id, relayer, device } = await loadFixture(enrolled);
    const policy = await access.newDevicePolicy({
      touchstone,
      device: id,
      ceiling: ["ReadLive"],
      purposes: ["RepairImpairments"],
    });
    expect(policy).to.deep.equal({
      device: id,
      ceiling: 1n,
      publicRead: 0n,
      purposes: 128n,
      epoch: 1n,
      seq: 0n,
      deadline: (await now()) + 86_400n,
    });
    const byRelayer = touchstone.connect(relayer);
    const { events } = await access.setDevicePolicy({ touchstone: byRelayer, policy, byDevice: device });
    expect(events[0]?.name).to.equal("DevicePolicySet");
    expect(await access.policyOf({ touchstone, device: id })).to.deep.equal({
      owner: UNSET,
      device: { isSet: true, ceiling: ["ReadLive"], publicRead: [], purposes: ["RepairImpairments"] },
      deviceSeq: 1n,
    });
    expect((await access.newDevicePolicy({ touchstone, device: id, ceiling: [] })).seq).to.equal(1n);
  });

  it("takes a proof that was made before, once", async () => {
    const { touchstone, id, device } = await loadFixture(enrolled);
    const policy = await access.newDevicePolicy({ touchstone, device: id, ceiling: ["ReadLive"] });
    const byDevice = await device.prove(devicePolicyMessage(touchstone.domains.DataAccess, policy));
    await access.setDevicePolicy({ touchstone, policy, byDevice });
    const error = await errorOf("CONTRACT_REVERTED", () => access.setDevicePolicy({ touchstone, policy, byDevice }));
    expect(error.details).to.deep.include({ errorName: "SeqStale", args: { device: id, current: 1n, given: 0n } });
  });

  it("refuses wrong arguments before anything is signed or sent", async () => {
    const { touchstone, id, device } = await loadFixture(enrolled);
    const right = await access.newDevicePolicy({ touchstone, device: id, ceiling: ["ReadLive"] });
    const byDevice = { ...device, prove: () => expect.fail("signed") };
    const wrong: Partial<access.DevicePolicy>[] = [
      { device: "0x12" },
      { ceiling: 2n ** 32n },
      { publicRead: -1n },
      { purposes: 2n ** 32n },
      { epoch: 2n ** 24n },
      { seq: 2n ** 32n },
      { deadline: 2n ** 40n },
    ];
    for (const change of wrong) {
      const policy = { ...right, ...change };
      await errorOf("INVALID_ARGUMENT", () => access.setDevicePolicy({ touchstone, policy, byDevice }));
    }
    const proof = { publicKey: "0x", signature: "text" };
    await errorOf("INVALID_ARGUMENT", () => access.setDevicePolicy({ touchstone, policy: right, byDevice: proof }));
    const options = { touchstone, device: id, ceiling: ["ReadLive"] as const };
    await errorOf("INVALID_ARGUMENT", () => access.newDevicePolicy({ ...options, validFor: 2n ** 40n }));
  });
});
