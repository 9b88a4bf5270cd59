import { readFile, writeFile } from "node:fs/promises";

import { expect } from "chai";
import { ZeroAddress } from "ethers";
import fc from "fast-check";

import * as access from "../../client/access.js";
import { FOREVER, ZERO_HASH } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import * as roles from "../../client/roles.js";
import { dataGrantMessage, messageDigest, revocationMessage } from "../../client/typed-data.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { runnerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deployContracts, deployTouchstone, type Deployed } from "../support/touchstone.js";

interface Sharing extends Deployed {
  id: string;
  /** Whoever carries messages. */
  asRelayer: Touchstone;
  /** What the owner grants to `other`. */
  terms: access.GrantTerms & { device: string; subject: string };
}

async function deploySharing(): Promise<Sharing> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, other, relayer, device } = deployed;
  const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
  await devices.enroll({ touchstone, enrollment, byDevice: device });
  const terms = {
    device: device.id,
    subject: other.address,
    permissions: ["ReadLive", "ReadHistory"] as const,
    purposes: ["RepairImpairments", 24] as const,
    expiry: FOREVER,
    termsHash: ethers.id("terms"),
  };
  return { ...deployed, id: device.id, asRelayer: touchstone.connect(relayer), terms };
}

async function signedGrant({ touchstone, owner, terms }: Sharing): Promise<access.SignedGrant> {
  return access.signGrant({ touchstone, grant: await access.newGrant({ touchstone, ...terms }), by: owner });
}

const QUESTION = { permissions: ["ReadLive"], purpose: "RepairImpairments" } as const;

describe("access.newGrant, signGrant and grantWithSignature", () => {
  it("give what the owner signed, whoever sends", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, asRelayer, owner, other, id, terms } = sharing;
    const grant = await access.newGrant({ touchstone, ...terms });
    expect(grant).to.deep.equal({
      grantor: owner.address,
      device: id,
      subject: other.address,
      permissions: 3n,
      purposes: (1n << 7n) | (1n << 24n),
      notBefore: 0n,
      expiry: FOREVER,
      termsHash: ethers.id("terms"),
      epoch: 1n,
      seq: 0n,
      deadline: (await now()) + 7n * DAY,
    });
    const signed = await access.signGrant({ touchstone, grant, by: owner });
    expect(signed).to.deep.include({ chainId: 31337n, contract: touchstone.addresses.DataAccess, grant });
    const { events } = await access.grantWithSignature({ touchstone: asRelayer, signed });
    expect(events.map(({ name }) => name)).to.deep.equal(["AccessGranted"]);
    expect(await access.grantOf({ touchstone, device: id, subject: other.address })).to.deep.equal({
      permissions: ["ReadLive", "ReadHistory"],
      purposes: ["RepairImpairments", 24],
      notBefore: 0n,
      expiry: FOREVER,
      epoch: 1n,
      seq: 1n,
      byOwner: true,
    });
    expect(
      await refusedAs("SeqStale", () => access.grantWithSignature({ touchstone: asRelayer, signed })),
    ).to.deep.equal({ device: id, current: 1n, given: 0n });
    expect((await access.newGrant({ touchstone, ...terms })).seq).to.equal(1n);
  });

  it("sign no grant that the next revokes or the next owner would leave alive", async () => {
    const { touchstone, owner, other, id, terms } = await loadFixture(deploySharing);
    const grant = await access.newGrant({ touchstone, ...terms });
    for (const [argument, value, reached] of [
      ["seq", 1n, 0n],
      ["epoch", 2n, 1n],
    ] as const) {
      const ahead = { ...grant, [argument]: value };
      const error = await errorOf("INVALID_ARGUMENT", () => access.signGrant({ touchstone, grant: ahead, by: owner }));
      expect(error.details).to.deep.equal({ argument: `grant.${argument}`, value, reached });
    }
    await access.revoke({ touchstone, device: id, subject: other.address });
    // What the chain has passed is of no use, and does no harm.
    expect((await access.signGrant({ touchstone, grant, by: owner })).grant.seq).to.equal(0n);
  });

  it("give what a member with Share signed, and name it", async () => {
    const { touchstone, asRelayer, owner, relayer, accountDevice, id, terms } = await loadFixture(deploySharing);
    const [, , , , , member] = await ethers.getSigners();
    await roles.defineRole({ touchstone, fleet: owner.address, role: 8, permissions: ["ReadLive", "Share"] });
    await roles.setRoles({ touchstone, fleet: owner.address, account: member!.address, roles: [8] });
    const options = { touchstone, ...terms, permissions: ["ReadLive"] as const, grantor: member!.address };
    const signed = await access.signGrant({ touchstone, grant: await access.newGrant(options), by: member! });
    const { events } = await access.grantWithSignature({ touchstone: asRelayer, signed });
    expect(events[0]?.args).to.deep.include({ by: member!.address });
    const byStranger = await access.newGrant({ ...options, grantor: relayer.address, subject: accountDevice.id });
    const refused = await access.signGrant({ touchstone, grant: byStranger, by: relayer });
    expect(
      await refusedAs("CallerLacksPermission", () => access.grantWithSignature({ touchstone, signed: refused })),
    ).to.deep.equal({ fleet: owner.address, caller: relayer.address, permission: 128n });
    expect(id).to.equal(terms.device);
  });

  it("take what a contract account signed (ERC-1271), and leave it to the chain whether it did", async () => {
    const { touchstone, asRelayer, owner, relayer, device, id, terms } = await loadFixture(deploySharing);
    const wallet = await (await ethers.deployContract("ERC1271Wallet", [owner])).getAddress();
    await devices.revokeAll({ touchstone, device: id });
    const { fleet } = await roles.createFleet({ touchstone });
    await touchstone.deviceRegistry.proposeTransfer(id, fleet, (await now()) + DAY);
    await touchstone.deviceRegistry.acceptTransfer(id, device.publicKey);
    await roles.setRoles({ touchstone, fleet, account: wallet, roles: ["Admin"] });
    const grant = await access.newGrant({ touchstone, ...terms, grantor: wallet });
    const signature = await owner.signTypedData(
      ...(Object.values(dataGrantMessage(touchstone.domains.DataAccess, grant)) as Parameters<
        typeof owner.signTypedData
      >),
    );
    const signed = await access.signGrant({ touchstone, grant, by: signature });
    expect(await access.signGrant({ touchstone, grant, by: owner })).to.deep.equal(signed);
    const wrong = await access.signGrant({ touchstone, grant, by: relayer });
    await refusedAs("SignatureInvalid", () => access.grantWithSignature({ touchstone: asRelayer, signed: wrong }));
    const { events } = await access.grantWithSignature({ touchstone: asRelayer, signed });
    expect(events[0]?.args).to.deep.include({ by: wallet });
  });

  it("are refused before anything is signed or sent where it cannot be right", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, owner, other, id, terms } = sharing;
    for (const change of [
      { device: "0x12" },
      { device: other.address },
      { subject: "other.eth" },
      { grantor: "0x" },
      { permissions: [] },
      { permissions: ["Share" as "Command"] },
      { permissions: ["Fly" as "Command"] },
      { purposes: [] },
      { purposes: [0 as 24] },
      { notBefore: 10n, expiry: 10n },
      { expiry: FOREVER + 1n },
      { termsHash: "0x12" },
      { validFor: 2n ** 40n },
    ]) {
      await errorUnsent("INVALID_ARGUMENT", () => access.newGrant({ touchstone, ...terms, ...change }));
    }
    const readOnly = touchstone.connect(ethers.provider);
    await errorUnsent("INVALID_ARGUMENT", () => access.newGrant({ touchstone: readOnly, ...terms }));
    const grant = await access.newGrant({ touchstone: readOnly, ...terms, grantor: owner.address });
    const silent = runnerWith(other, { signTypedData: () => expect.fail("signed") });
    const error = await errorUnsent("INVALID_ARGUMENT", () => access.signGrant({ touchstone, grant, by: silent }));
    expect(error.details).to.deep.equal({ argument: "by", signer: other.address, account: owner.address });
    const rejecting = runnerWith(owner, {
      signTypedData: () => Promise.reject(Object.assign(new Error("rejected"), { code: "ACTION_REJECTED" })),
    });
    await errorUnsent("CANCELLED", () => access.signGrant({ touchstone, grant, by: rejecting }));
    await errorUnsent("INVALID_ARGUMENT", () => access.signGrant({ touchstone, grant, by: "text" }));
    await errorUnsent("SIGNATURE_INVALID", () => access.signGrant({ touchstone, grant, by: "0x" }));

    await devices.retire({ touchstone, device: id });
    await errorUnsent("INVALID_ARGUMENT", () => access.newGrant({ touchstone, ...terms }));
  });

  it("are refused before anything is sent with another chain, contract, signer or any field altered", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, owner, other } = sharing;
    const signed = await signedGrant(sharing);
    const send = (change: Partial<access.SignedGrant>) => () =>
      access.grantWithSignature({ touchstone, signed: { ...signed, ...change } });
    const chain = await errorUnsent("WRONG_CHAIN", send({ chainId: 1n }));
    expect(chain.details).to.deep.equal({ expected: 31337n, chainId: 1n });
    const registry = await errorUnsent("WRONG_REGISTRY", send({ contract: other.address }));
    expect(registry.details).to.deep.equal({ expected: touchstone.addresses.DataAccess, contract: other.address });
    const [deployer] = await ethers.getSigners();
    const contracts = await deployContracts(deployer!);
    const elsewhere = { ...touchstone, addresses: contracts };
    await errorOf("WRONG_REGISTRY", () => access.verifyGrant({ touchstone: elsewhere, signed, ...QUESTION }));
    const altered: Partial<access.DataGrant>[] = [
      { grantor: other.address },
      { device: other.address },
      { subject: owner.address },
      { permissions: 7n },
      { purposes: 1n },
      { notBefore: 1n },
      { expiry: 2n ** 39n },
      { termsHash: ZERO_HASH },
      { epoch: 2n },
      { seq: 1n },
      { deadline: signed.grant.deadline + 1n },
    ];
    expect(altered).to.have.lengthOf(Object.keys(signed.grant).length);
    for (const change of altered) {
      const grant = { ...signed.grant, ...change };
      const error = await errorUnsent("SIGNATURE_INVALID", send({ grant }));
      expect(error.details.account).to.equal(grant.grantor);
    }
    for (const change of [
      { permissions: 2n ** 32n },
      { purposes: -1n },
      { epoch: 2n ** 24n },
      { seq: 2n ** 32n },
      { deadline: 2n ** 40n },
      { notBefore: 2n ** 40n },
      { termsHash: "0x" },
      { device: "0x12" },
    ]) {
      await errorUnsent("INVALID_ARGUMENT", send({ grant: { ...signed.grant, ...change } }));
    }
  });
});

describe("access.verifyGrant", () => {
  it("answers for a grant that was not sent as if it was, for the same grant once sent, and no more after a revoke", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, id, other } = sharing;
    const signed = await signedGrant(sharing);
    const reader = touchstone.connect(ethers.provider);
    const ask = (question: { permissions: readonly access.Grant["permissions"][number][] } = QUESTION) =>
      access.verifyGrant({ touchstone: reader, signed, ...QUESTION, ...question });
    expect(await ask()).to.deep.equal({ allowed: true, reason: "Grant", refusal: undefined });
    expect(await ask({ permissions: ["Command"] })).to.deep.equal({
      allowed: false,
      reason: "PermissionNotGranted",
      refusal: undefined,
    });
    expect((await access.grantOf({ touchstone, device: id, subject: other.address })).seq).to.equal(0n);

    await access.grantWithSignature({ touchstone, signed });
    const used = await ask();
    expect(used).to.deep.include({ allowed: true, reason: "Grant" });
    expect(used.refusal?.errorName).to.equal("SeqStale");

    await access.revoke({ touchstone, device: id, subject: other.address });
    const ended = await ask();
    expect(ended).to.deep.include({ allowed: false, reason: "Revoked" });
    expect(ended.refusal?.args).to.deep.equal({ device: id, current: 2n, given: 0n });
    expect(ended.refusal?.code).to.equal("CONTRACT_REVERTED");
  });

  it("dies with the owner's time and with its deadline, and says why", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, id } = sharing;
    const signed = await signedGrant(sharing);
    const ask = () => access.verifyGrant({ touchstone, signed, ...QUESTION });
    await devices.revokeAll({ touchstone, device: id });
    const sold = await ask();
    expect(sold).to.deep.include({ allowed: false, reason: "NoGrant" });
    expect(sold.refusal?.errorName).to.equal("EpochStale");
    await networkHelpers.time.increaseTo(signed.grant.deadline + 1n);
    expect((await ask()).refusal?.errorName).to.equal("DeadlinePassed");
  });

  it("does not take another's signature for the grantor's", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, other, owner } = sharing;
    const signed = await signedGrant(sharing);
    const { domain, types, value } = dataGrantMessage(touchstone.domains.DataAccess, signed.grant);
    const forged = { ...signed, signature: await other.signTypedData(domain, types, value) };
    const verdict = await access.verifyGrant({ touchstone, signed: forged, ...QUESTION });
    expect(verdict).to.deep.include({ allowed: false, reason: "NoGrant" });
    expect(verdict.refusal?.errorName).to.equal("SignatureInvalid");
    expect(verdict.refusal?.args).to.deep.equal({
      signer: owner.address,
      digest: messageDigest(dataGrantMessage(touchstone.domains.DataAccess, signed.grant)),
    });
    await errorOf("INVALID_ARGUMENT", () => access.verifyGrant({ touchstone, signed, ...QUESTION, purpose: 32 as 24 }));
  });
});

describe("access.newRevocation, signRevocation and revokeWithSignature", () => {
  it("end a grant by the owner's or the subject's signature, whoever sends", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, asRelayer, owner, other, id, terms } = sharing;
    for (const [turn, by] of [owner, other].entries()) {
      await access.grant({ touchstone, ...terms });
      const options = { touchstone, device: id, subject: other.address, revoker: by.address };
      const revocation = await access.newRevocation(options);
      const seq = BigInt(3 * turn + 3);
      expect(revocation).to.deep.equal({
        revoker: by.address,
        device: id,
        subject: other.address,
        epoch: 1n,
        seq,
        deadline: (await now()) + 7n * DAY,
      });
      const signed = await access.signRevocation({ touchstone, revocation, by });
      const { events } = await access.revokeWithSignature({ touchstone: asRelayer, signed });
      expect(events.map(({ args }) => args)).to.deep.equal([
        { device: id, subject: other.address, by: by.address, seq },
      ]);
    }
  });

  it("let no signed grant escape that is sent first", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, asRelayer, owner, other, id } = sharing;
    const grant = await signedGrant(sharing);
    const revocation = await access.newRevocation({ touchstone, device: id, subject: other.address });
    const signed = await access.signRevocation({ touchstone, revocation, by: owner });
    await access.grantWithSignature({ touchstone: asRelayer, signed: grant });
    await access.revokeWithSignature({ touchstone: asRelayer, signed });
    expect(await access.verifyGrant({ touchstone, signed: grant, ...QUESTION })).to.deep.include({
      allowed: false,
      reason: "Revoked",
    });
  });

  it("are refused where it cannot be right, before anything is signed or sent", async () => {
    const { touchstone, owner, other, relayer, id } = await loadFixture(deploySharing);
    const options = { touchstone, device: id, subject: other.address };
    for (const change of [{ device: "0x" }, { subject: "x.eth" }, { revoker: "0x" }, { validFor: -1n }]) {
      await errorUnsent("INVALID_ARGUMENT", () => access.newRevocation({ ...options, ...change }));
    }
    const revocation = await access.newRevocation(options);
    await errorUnsent("INVALID_ARGUMENT", () => access.signRevocation({ touchstone, revocation, by: other }));
    const signed = await access.signRevocation({ touchstone, revocation, by: owner });
    const send = (change: Partial<access.SignedRevocation>) => () =>
      access.revokeWithSignature({ touchstone, signed: { ...signed, ...change } });
    await errorUnsent("WRONG_CHAIN", send({ chainId: 1n }));
    await errorUnsent("WRONG_REGISTRY", send({ contract: other.address }));
    await errorUnsent("INVALID_ARGUMENT", send({ signature: "text" }));
    const altered: Partial<access.Revocation>[] = [
      { revoker: other.address },
      { device: other.address },
      { subject: owner.address },
      { epoch: 2n },
      { seq: 1n },
      { deadline: 1n },
    ];
    expect(altered).to.have.lengthOf(Object.keys(revocation).length);
    for (const change of altered) {
      await errorUnsent("SIGNATURE_INVALID", send({ revocation: { ...revocation, ...change } }));
    }
    const { domain, types, value } = revocationMessage(touchstone.domains.DataAccess, {
      ...revocation,
      revoker: relayer.address,
    });
    const byStranger = {
      revocation: { ...revocation, revoker: relayer.address },
      signature: await relayer.signTypedData(domain, types, value),
    };
    await refusedAs("CallerLacksPermission", send(byStranger));
  });
});

describe("the file of a signed grant", () => {
  const path = temporaryFolder();

  it("is read as it was written, and shown to a gateway", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone } = sharing;
    const signed = await signedGrant(sharing);
    await access.writeSignedGrant({ path: path("grant.json"), signed });
    const read = await access.readSignedGrant({ path: path("grant.json"), touchstone });
    expect(read).to.deep.equal(signed);
    expect((await access.verifyGrant({ touchstone, signed: read, ...QUESTION })).allowed).to.equal(true);
    await errorOf("FILE_EXISTS", () => access.writeSignedGrant({ path: path("grant.json"), signed }));
    expect(JSON.parse(await readFile(path("grant.json"), "utf8"))).to.deep.include({
      format: "touchstone-signed-grant/1",
      chainId: "31337",
    });
  });

  it("keeps every number of the chain", () => {
    const address = fc
      .uint8Array({ minLength: 20, maxLength: 20 })
      .map((bytes) => ethers.getAddress(ethers.hexlify(bytes)));
    const uint = (bits: number): fc.Arbitrary<bigint> => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
    const any = fc.record({
      chainId: uint(256),
      contract: address,
      grant: fc.record({
        grantor: address,
        device: address,
        subject: address,
        permissions: uint(32),
        purposes: uint(32),
        notBefore: uint(40),
        expiry: uint(40),
        termsHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => ethers.hexlify(bytes)),
        epoch: uint(24),
        seq: uint(32),
        deadline: uint(40),
      }),
      signature: fc.uint8Array({ maxLength: 300 }).map((bytes) => ethers.hexlify(bytes)),
    });
    fc.assert(
      fc.property(any, (signed) => {
        expect(access.parseSignedGrant(access.formatSignedGrant(signed))).to.deep.equal(signed);
      }),
      { numRuns: 200, seed: 27560 },
    );
  });

  it("is refused for another chain or contract, where it is told which", async () => {
    const sharing = await loadFixture(deploySharing);
    const { touchstone, other } = sharing;
    const signed = await signedGrant(sharing);
    for (const { change, code } of [
      { change: { chainId: 1n }, code: "WRONG_CHAIN" },
      { change: { contract: other.address }, code: "WRONG_REGISTRY" },
    ] as const) {
      const text = access.formatSignedGrant({ ...signed, ...change });
      await errorOf(code, () => access.parseSignedGrant(text, { touchstone }));
      expect(access.parseSignedGrant(text)).to.deep.include(change);
    }
  });

  it("is refused for whatever is no signed grant, with the place", async () => {
    const sharing = await loadFixture(deploySharing);
    const signed = await signedGrant(sharing);
    const text = access.formatSignedGrant(signed);
    const changed = (from: string, to: string): string => {
      const result = text.replace(from, to);
      expect(result).not.to.equal(text);
      return result;
    };
    const wrong: { text: string; path: string }[] = [
      { text: "{", path: "" },
      { text: "null", path: "" },
      { text: "[]", path: "" },
      { text: "{}", path: "format" },
      { text: changed("grant/1", "grant/2"), path: "format" },
      { text: changed('"31337"', "31337"), path: "chainId" },
      { text: changed('"31337"', '"0x7a69"'), path: "chainId" },
      { text: changed('"31337"', '"031337"'), path: "chainId" },
      { text: changed('"seq": "0"', '"seq": "-1"'), path: "grant.seq" },
      { text: changed('"seq": "0"', '"seq": "4294967296"'), path: "grant.seq" },
      { text: changed('"epoch": "1"', '"epoch": "1", "note": "x"'), path: "grant" },
      { text: changed('"epoch": "1"', '"epoch": "9", "epoch": "1"'), path: "" },
      { text: changed('"epoch": "1",', ""), path: "grant.epoch" },
      { text: changed(signed.grant.device, `${signed.grant.device}0`), path: "grant.device" },
      { text: changed(signed.signature, "0x123"), path: "signature" },
    ];
    for (const { text: input, path: place } of wrong) {
      const error = await errorOf("SIGNED_GRANT_INVALID", () => access.parseSignedGrant(input, { source: "mail" }));
      expect(error.details, input).to.deep.equal({ source: "mail", path: place });
      expect(error.message).to.match(/^mail /);
    }
    const [lower, upper] = [signed.grant.device.toLowerCase(), signed.grant.device];
    const mistyped = upper.replace(/[a-f]/, (letter) => letter.toUpperCase());
    if (mistyped !== upper)
      await errorOf("SIGNED_GRANT_INVALID", () => access.parseSignedGrant(changed(upper, mistyped)));
    expect(access.parseSignedGrant(changed(upper, lower)).grant.device).to.equal(upper);
  });

  it("is refused where no file can be read", async () => {
    await errorOf("FILE_MISSING", () => access.readSignedGrant({ path: path("none.json") }));
    await errorOf("FILE_IS_DIRECTORY", () => access.readSignedGrant({ path: path(".") }));
    await writeFile(path("empty.json"), "");
    await errorOf("FILE_EMPTY", () => access.readSignedGrant({ path: path("empty.json") }));
    await writeFile(path("large.json"), " ".repeat(2 ** 18 + 1));
    await errorOf("SIGNED_GRANT_INVALID", () => access.readSignedGrant({ path: path("large.json") }));
    const grant = { grantor: ZeroAddress } as access.DataGrant;
    const signed = { chainId: 1n, contract: ZeroAddress, grant, signature: "0x" };
    await errorOf("INVALID_ARGUMENT", () => access.writeSignedGrant({ path: path("new.json"), signed }));
    await errorOf("FILE_MISSING", () => access.readSignedGrant({ path: path("new.json") }));
  });
});
