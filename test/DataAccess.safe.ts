import { expect } from "chai";
import { ZeroHash } from "ethers";

import { accountKey } from "../client/keys.js";
import { dataGrantMessage, messageDigest, revocationMessage } from "../client/typed-data.js";

import { deployAccess, expectReason, grantWord, PERMISSION, type Access } from "./support/access.js";
import { DAY, loadFixture, now } from "./support/chain.js";
import { deploySafe, execute, signAs1271, type Safe } from "./support/safe.js";

const { ReadLive, Share } = PERMISSION;

interface SafeFleet extends Access {
  safe: Safe;
}

/** The fleet in the hands of a Safe: two of three people govern it. */
async function deployUnderSafe(): Promise<SafeFleet> {
  const suite = await deployAccess();
  const { roles, actors, fleet } = suite;
  const safe = await deploySafe({ owners: [actors.operator, actors.security, actors.gateway], threshold: 2 });
  await roles.connect(actors.owner).proposeGovernor(fleet, safe.address);
  await execute(safe, {
    to: await roles.getAddress(),
    data: roles.interface.encodeFunctionData("acceptGovernor", [fleet, true]),
  });
  return { ...suite, safe };
}

async function newGrant({ safe, p256Device, actors }: SafeFleet) {
  return {
    grantor: safe.address,
    device: p256Device.id,
    subject: actors.subject.address,
    permissions: ReadLive,
    purposes: 0b10n,
    notBefore: 0n,
    expiry: (await now()) + 30n * DAY,
    termsHash: ZeroHash,
    epoch: 1n,
    seq: 0n,
    deadline: (await now()) + DAY,
  };
}

describe("DataAccess under a Safe", () => {
  it("follows the fleet that a Safe took over", async () => {
    const suite = await loadFixture(deployUnderSafe);

    expect(await suite.roles.governorOf(suite.fleet)).to.equal(suite.safe.address);
  });

  it("takes grants and revokes that the Safe sends", async () => {
    const suite = await loadFixture(deployUnderSafe);
    const { access, actors, p256Device, safe } = suite;
    const to = await access.getAddress();
    const { subject } = actors;
    const terms = [p256Device.id, subject.address, ReadLive, 0b10n, 0n, (await now()) + DAY, ZeroHash] as const;

    await execute(safe, { to, data: access.interface.encodeFunctionData("grant", [...terms]) });
    expect((await access.grantOf(p256Device.id, subject)).byOwner).to.equal(true);
    await expectReason(suite, p256Device.id, subject, ReadLive, "Grant");
    await execute(safe, { to, data: access.interface.encodeFunctionData("revoke", [p256Device.id, subject.address]) });
    await expectReason(suite, p256Device.id, subject, ReadLive, "Revoked");
  });

  it("takes a grant that two of its owners signed, whichever two", async () => {
    const suite = await loadFixture(deployUnderSafe);
    const { access, actors, accessDomain, p256Device, safe } = suite;
    const dataGrant = await newGrant(suite);
    const [first, second, third] = safe.owners;
    const pairs = [
      [first!, second!],
      [second!, third!],
      [third!, first!],
    ];

    for (const [seq, pair] of pairs.entries()) {
      const next = { ...dataGrant, seq: BigInt(seq) };
      const signature = await signAs1271(safe, messageDigest(dataGrantMessage(accessDomain, next)), pair);
      await expect(access.connect(actors.relayer).grantWithSignature(next, signature))
        .to.emit(access, "AccessGranted")
        .withArgs(
          p256Device.id,
          actors.subject,
          safe.address,
          grantWord({ ...next, seq: next.seq + 1n }),
          dataGrant.termsHash,
        );
    }
    await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
  });

  it("refuses a grant that one of its owners signed, or one and a stranger, or that was signed for another Safe", async () => {
    const suite = await loadFixture(deployUnderSafe);
    const { access, actors, accessDomain, safe } = suite;
    const dataGrant = await newGrant(suite);
    const digest = messageDigest(dataGrantMessage(accessDomain, dataGrant));
    const [first, second] = safe.owners;
    const twin = await deploySafe({ owners: safe.owners, threshold: 2 });
    const signatures = [
      await signAs1271(safe, digest, [first!]),
      await signAs1271(safe, digest, [first!, actors.stranger]),
      await signAs1271(twin, digest, [first!, second!]),
      // An owner's signature of the message itself says nothing for the Safe.
      (await (await accountKey(first!)).prove(dataGrantMessage(accessDomain, dataGrant))).signature,
      "0x",
    ];

    for (const signature of signatures) {
      await expect(access.connect(actors.relayer).grantWithSignature(dataGrant, signature))
        .to.be.revertedWithCustomError(access, "SignatureInvalid")
        .withArgs(safe.address, digest);
    }
  });

  it("takes a revocation that two of its owners signed", async () => {
    const suite = await loadFixture(deployUnderSafe);
    const { access, actors, accessDomain, p256Device, safe } = suite;
    const dataGrant = await newGrant(suite);
    const granted = await signAs1271(safe, messageDigest(dataGrantMessage(accessDomain, dataGrant)));
    const revocation = {
      revoker: safe.address,
      device: p256Device.id,
      subject: actors.subject.address,
      epoch: 1n,
      seq: 2n,
      deadline: (await now()) + DAY,
    };
    const revoked = await signAs1271(safe, messageDigest(revocationMessage(accessDomain, revocation)));

    await access.connect(actors.relayer).grantWithSignature(dataGrant, granted);
    await expect(access.connect(actors.relayer).revokeWithSignature(revocation, revoked))
      .to.emit(access, "AccessRevoked")
      .withArgs(p256Device.id, actors.subject, safe.address, 2n);
    await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
  });

  it("forgets what it signed when the fleet is handed on", async () => {
    const suite = await loadFixture(deployUnderSafe);
    const { access, roles, actors, accessDomain, fleet, safe } = suite;
    const dataGrant = await newGrant(suite);
    const signature = await signAs1271(safe, messageDigest(dataGrantMessage(accessDomain, dataGrant)));
    await execute(safe, {
      to: await roles.getAddress(),
      data: roles.interface.encodeFunctionData("proposeGovernor", [fleet, actors.stranger.address]),
    });
    await roles.connect(actors.stranger).acceptGovernor(fleet, true);

    await expect(access.connect(actors.relayer).grantWithSignature(dataGrant, signature))
      .to.be.revertedWithCustomError(access, "CallerLacksPermission")
      .withArgs(fleet, safe.address, Share);
  });
});
