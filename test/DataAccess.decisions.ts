import { ZeroAddress } from "ethers";

import { createP256Key } from "../client/keys.js";

import {
  ALL,
  ALL_PURPOSES,
  deployAccess,
  enrollForAccount,
  expectReason,
  GRANTABLE,
  PERMISSION,
  READ,
  revokeAll,
  sendDevicePolicy,
  sendGrant,
  suspend,
  type ReasonName,
} from "./support/access.js";
import { DAY, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { ROLE } from "./support/fleet.js";

const { ReadLive, ReadHistory, ReadLocation, ReadMetadata, Command, Configure, Audit } = PERMISSION;
const NEVER_ENROLLED = createP256Key().id;

describe("DataAccess decisions", () => {
  it("deny a question about nothing, unknown permissions or an unknown purpose, whoever asks", async () => {
    const suite = await loadFixture(deployAccess);
    const { actors, p256Device } = suite;

    for (const account of [actors.owner, actors.admin, actors.stranger]) {
      for (const device of [p256Device.id, NEVER_ENROLLED]) {
        await expectReason(suite, device, account, 0n, "QuestionInvalid");
        await expectReason(suite, device, account, ReadLive | (1n << 16n), "QuestionInvalid");
        await expectReason(suite, device, account, 1n << 31n, "QuestionInvalid");
        await expectReason(suite, device, account, ReadLive, "QuestionInvalid", 32n);
        await expectReason(suite, device, account, ReadLive, "QuestionInvalid", 255n);
      }
    }
  });

  it("deny everything on a device that was never enrolled", async () => {
    const suite = await loadFixture(deployAccess);

    for (const device of [NEVER_ENROLLED, ZeroAddress]) {
      for (const account of [suite.actors.owner, suite.actors.stranger, NEVER_ENROLLED, ZeroAddress]) {
        await expectReason(suite, device, account, ReadLive, "DeviceUnknown");
      }
    }
  });

  it("allow the owner everything, for any purpose and under any ceiling", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { owner, key } = await enrollForAccount(suite);
    const owned = [
      [p256Device, actors.owner],
      [key, owner],
    ] as const;

    for (const [device, governor] of owned) {
      await access.connect(governor).setPolicy(device.id, 0n, 0n, 0n);
      await sendDevicePolicy(suite, device, { ceiling: 0n, publicRead: 0n, purposes: 0n });
      await expectReason(suite, device.id, governor, ALL, "Owner", 0n);
      await expectReason(suite, device.id, governor, Command, "Owner", 31n);
    }
  });

  it("keep a former governor of the fleet out", async () => {
    const suite = await loadFixture(deployAccess);

    await expectReason(suite, suite.p256Device.id, suite.actors.formerOwner, ReadLive, "NoGrant");
  });

  it("allow by a grant all that it holds, for each of its purposes", async () => {
    const suite = await loadFixture(deployAccess);
    const { actors, p256Device } = suite;
    const { id: device } = p256Device;
    await sendGrant(suite, actors.owner, {
      device,
      subject: actors.subject.address,
      permissions: ReadLive | Configure | Audit,
      purposes: (1n << 0n) | (1n << 31n),
    });

    await expectReason(suite, device, actors.subject, ReadLive | Configure | Audit, "Grant", 0n);
    await expectReason(suite, device, actors.subject, Configure, "Grant", 31n);
    await expectReason(suite, device, actors.subject, ReadLive | Command, "PermissionNotGranted", 0n);
    await expectReason(suite, device, actors.subject, ReadLive, "PurposeNotGranted", 1n);
    await expectReason(suite, device, actors.subject, ReadLive | PERMISSION.Share, "PermissionNotGranted", 0n);
  });

  it("allow by a grant from its first second up to, not with, its expiry", async () => {
    const suite = await loadFixture(deployAccess);
    const { actors, p256Device } = suite;
    const notBefore = (await now()) + DAY;
    const expiry = notBefore + DAY;
    await sendGrant(suite, actors.owner, {
      device: p256Device.id,
      subject: actors.subject.address,
      notBefore,
      expiry,
    });
    const moments = [
      [notBefore - 1n, "NotYetValid"],
      [notBefore, "Grant"],
      [expiry - 1n, "Grant"],
      [expiry, "Expired"],
    ] as const;

    for (const [time, reason] of moments) {
      await networkHelpers.time.increaseTo(time);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, reason);
    }
  });

  it("know a grant for as long as the epoch", async () => {
    const suite = await loadFixture(deployAccess);
    const { actors, p256Device } = suite;
    await sendGrant(suite, actors.owner, {
      device: p256Device.id,
      subject: actors.subject.address,
      expiry: FOR_EVER,
    });
    await networkHelpers.time.increase(365n * 100n * DAY);
    await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");

    await revokeAll(suite);

    await expectReason(suite, p256Device.id, actors.subject, ReadLive, "EpochEnded");
  });

  it("need a grant to be within both halves of the policy", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await sendGrant(suite, actors.owner, {
      device,
      subject: actors.subject.address,
      permissions: GRANTABLE,
      purposes: 0b1111n,
    });
    await access.connect(actors.owner).setPolicy(device, READ | Command, 0n, 0b0111n);
    await sendDevicePolicy(suite, p256Device, { ceiling: READ | Configure, purposes: 0b1110n });

    await expectReason(suite, device, actors.subject, READ, "Grant", 1n);
    await expectReason(suite, device, actors.subject, READ, "Grant", 2n);
    await expectReason(suite, device, actors.subject, ReadLive | Configure, "OwnerPolicy", 1n);
    await expectReason(suite, device, actors.subject, ReadLive | Command, "DevicePolicy", 1n);
    await expectReason(suite, device, actors.subject, Command | Configure, "OwnerPolicy", 1n);
    await expectReason(suite, device, actors.subject, READ, "OwnerPolicy", 3n);
    await expectReason(suite, device, actors.subject, READ, "DevicePolicy", 0n);
  });

  it("allow everyone what the owner made public, for the policy's purposes", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await access.connect(actors.owner).setPolicy(device, GRANTABLE, ReadLive | ReadMetadata, 0b110n);

    for (const account of [actors.stranger, actors.formerOwner, actors.device, ZeroAddress]) {
      await expectReason(suite, device, account, ReadLive | ReadMetadata, "Public", 1n);
      await expectReason(suite, device, account, ReadLive, "Public", 2n);
      await expectReason(suite, device, account, ReadLive, "NoGrant", 0n);
      await expectReason(suite, device, account, ReadLive | ReadHistory, "NoGrant");
      await expectReason(suite, device, account, Command, "NoGrant");
    }
  });

  it("make public only what the owner's ceiling and the device allow too", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await access.connect(actors.owner).setPolicy(device, READ ^ ReadLocation, READ, 0b111n);
    await expectReason(suite, device, actors.stranger, READ ^ ReadLocation, "Public");
    await expectReason(suite, device, actors.stranger, ReadLocation, "NoGrant");

    await sendDevicePolicy(suite, p256Device, {
      ceiling: READ ^ ReadLive,
      publicRead: READ ^ ReadHistory,
      purposes: 0b1010n,
    });

    await expectReason(suite, device, actors.stranger, ReadMetadata, "Public");
    await expectReason(suite, device, actors.stranger, ReadLive, "NoGrant");
    await expectReason(suite, device, actors.stranger, ReadHistory, "NoGrant");
    await expectReason(suite, device, actors.stranger, ReadMetadata, "NoGrant", 2n);
    await expectReason(suite, device, actors.stranger, ReadMetadata, "NoGrant", 3n);
  });

  it("make nothing public that only the device would", async () => {
    const suite = await loadFixture(deployAccess);
    const { actors, p256Device } = suite;
    await sendDevicePolicy(suite, p256Device, { publicRead: READ });

    for (let bit = 0n; bit < 4n; bit++) {
      await expectReason(suite, p256Device.id, actors.stranger, 1n << bit, "NoGrant");
    }
  });

  it("allow members what their roles permit, for any purpose and under any ceiling", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await access.connect(actors.owner).setPolicy(device, 0n, 0n, 0n);
    await sendDevicePolicy(suite, p256Device, { ceiling: 0n, publicRead: 0n, purposes: 0n });

    await expectReason(suite, device, actors.operator, ReadLive | Command | Configure, "Role", 0n);
    await expectReason(suite, device, actors.operator, Command, "Role", 31n);
    await expectReason(suite, device, actors.admin, ALL, "Role");
    await expectReason(suite, device, actors.memberWithoutPermission, ReadHistory | Audit, "Role");
    await expectReason(suite, device, actors.memberWithoutPermission, ReadLive, "NoGrant");
    await expectReason(suite, device, actors.expiredMember, ReadLive, "NoGrant");
    await expectReason(suite, device, actors.otherAdmin, ReadLive, "NoGrant");
  });

  it("never put two sources together", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await access.connect(actors.owner).setPolicy(device, GRANTABLE, ReadHistory, ALL_PURPOSES);
    await sendGrant(suite, actors.owner, { device, subject: actors.gateway.address, permissions: Command });

    // The gateway's role permits ReadLive, its grant Command, and everyone has ReadHistory.
    await expectReason(suite, device, actors.gateway, ReadLive, "Role");
    await expectReason(suite, device, actors.gateway, Command, "Grant");
    await expectReason(suite, device, actors.gateway, ReadHistory, "Public");
    await expectReason(suite, device, actors.gateway, ReadLive | Command, "PermissionNotGranted");
    await expectReason(suite, device, actors.gateway, ReadLive | ReadHistory, "PermissionNotGranted");
    await expectReason(suite, device, actors.gateway, ReadHistory | Command, "PermissionNotGranted");
  });

  it("give the first source for a yes: owner, grant, public, role", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    const accounts = [actors.owner, actors.operator];
    await expectReason(suite, device, actors.operator, ReadLive, "Role");
    await access.connect(actors.owner).setPolicy(device, GRANTABLE, ReadLive, ALL_PURPOSES);
    await expectReason(suite, device, actors.operator, ReadLive, "Public");
    for (const { address } of accounts) await sendGrant(suite, actors.owner, { device, subject: address });

    await expectReason(suite, device, actors.operator, ReadLive, "Grant");
    await expectReason(suite, device, actors.owner, ReadLive, "Owner");
  });

  it("give what is wrong with the grant for a no, in the order of the reasons", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    const given = { device, subject: actors.subject.address };
    const expectNo = (reason: ReasonName) => expectReason(suite, device, actors.subject, Command, reason, 5n);
    await access.connect(actors.owner).setPolicy(device, READ, 0n, 0b10n);
    await sendDevicePolicy(suite, p256Device, { ceiling: READ, purposes: 0b10n });
    const soon = (await now()) + DAY;

    // Each step mends what the reason before spoke of.
    await expectNo("NoGrant");
    await sendGrant(suite, actors.owner, { ...given, notBefore: soon, expiry: soon + DAY });
    await expectNo("NotYetValid");
    await networkHelpers.time.increaseTo(soon + DAY);
    await expectNo("Expired");
    await sendGrant(suite, actors.owner, given);
    await expectNo("PermissionNotGranted");
    await sendGrant(suite, actors.owner, { ...given, permissions: Command });
    await expectNo("PurposeNotGranted");
    await sendGrant(suite, actors.owner, { ...given, permissions: Command, purposes: 1n << 5n });
    await expectNo("OwnerPolicy");
    await access.connect(actors.owner).setPolicy(device, GRANTABLE, 0n, ALL_PURPOSES);
    await expectNo("DevicePolicy");
    await sendDevicePolicy(suite, p256Device);
    await expectNo("Grant");
    await revokeAll(suite);
    await expectNo("EpochEnded");
    await access.connect(actors.owner).revoke(device, actors.subject);
    await expectNo("Revoked");
  });

  it("close a suspended device to outsiders, and to members' commands", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await access.connect(actors.owner).setPolicy(device, GRANTABLE, READ, ALL_PURPOSES);
    await sendGrant(suite, actors.owner, { device, subject: actors.subject.address, permissions: GRANTABLE });
    await sendGrant(suite, actors.owner, { device, subject: actors.operator.address, permissions: GRANTABLE });
    await suspend(suite);

    await expectReason(suite, device, actors.subject, ReadLive, "DeviceSuspended");
    await expectReason(suite, device, actors.stranger, ReadLive, "DeviceSuspended");
    await expectReason(suite, device, actors.operator, ReadLive | ReadHistory, "Role");
    await expectReason(suite, device, actors.operator, Command, "DeviceSuspended");
    await expectReason(suite, device, actors.operator, Configure, "DeviceSuspended");
    await expectReason(suite, device, actors.admin, ReadLive | Command, "DeviceSuspended");
    await expectReason(suite, device, actors.admin, ALL ^ Command ^ Configure, "Role");
    await expectReason(suite, device, actors.memberWithoutPermission, ReadLive, "DeviceSuspended");
    await expectReason(suite, device, actors.owner, ALL, "Owner");
    await expectReason(suite, device, actors.owner, ReadLive, "Owner");
  });

  it("let a retired device be read by its last owner and members, and nothing else", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, devices, actors, p256Device } = suite;
    const { id: device } = p256Device;
    await access.connect(actors.owner).setPolicy(device, GRANTABLE, READ, ALL_PURPOSES);
    await sendGrant(suite, actors.owner, { device, subject: actors.subject.address, permissions: GRANTABLE });
    await devices.connect(actors.owner).retire(device);

    await expectReason(suite, device, actors.owner, READ, "Owner");
    await expectReason(suite, device, actors.admin, READ, "Role");
    await expectReason(suite, device, actors.operator, ReadLive | ReadHistory, "Role");
    await expectReason(suite, device, actors.gateway, ReadHistory, "DeviceRetired");
    await expectReason(suite, device, actors.subject, ReadLive, "DeviceRetired");
    await expectReason(suite, device, actors.stranger, ReadLive, "DeviceRetired");
    for (let bit = 4n; bit < 16n; bit++) {
      await expectReason(suite, device, actors.owner, 1n << bit, "DeviceRetired");
      await expectReason(suite, device, actors.admin, ReadLive | (1n << bit), "DeviceRetired");
    }
  });

  it("follow the roles and their windows as they are now", async () => {
    const suite = await loadFixture(deployAccess);
    const { roles, actors, fleet, p256Device } = suite;
    const { id: device } = p256Device;
    await roles.connect(actors.owner).setRoles(fleet, actors.stranger, ROLE.Analyst, 0n, (await now()) + DAY);
    await expectReason(suite, device, actors.stranger, ReadLive, "Role");

    await networkHelpers.time.increase(DAY);
    await expectReason(suite, device, actors.stranger, ReadLive, "NoGrant");
    await roles.connect(actors.owner).revokeAllRoles(fleet);
    await expectReason(suite, device, actors.admin, ReadLive, "NoGrant");
  });
});
