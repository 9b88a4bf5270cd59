import { expect } from "chai";
import { AbiCoder, concat, getAddress, id, keccak256, toBeHex, ZeroAddress, ZeroHash } from "ethers";
import fc from "fast-check";

import { accountKey, createP256Key, Scheme } from "../client/keys.js";
import {
  anchorMessage,
  enrollmentMessage,
  keyRotationMessage,
  messageDigest,
  messageDomain,
} from "../client/typed-data.js";

import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { enrollDevice, ROLE, wrongCallers, type Actors } from "./support/fleet.js";
import {
  argsOf,
  claimOf,
  deployFactory,
  makeDevices,
  manifestLeafOf,
  NO_VOUCHER,
  proofOf,
  publish,
  SENSOR,
  voucherMessageOf,
  voucherOf,
  type Claim,
  type Factory,
  type FactoryManifest,
  type Listing,
  type ManifestProof,
} from "./support/manifests.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";

const Status = { None: 0n, Active: 1n, Suspended: 2n, Retired: 3n };
const ENROLL = 1n << 8n;
const PUBLISH_MANIFEST = 1n << 14n;
const LAST_MANIFEST = 2n ** 31n - 1n;
const STALE = 30n * DAY;
/** The reasons of RFC 5280 that are for good. */
const REASONS = [0, 1, 2, 3, 4, 5, 9, 10];
const RESERVED = [ZeroAddress, getAddress(toBeHex(0xffff, 20))];

/** Members of the maker's fleet who work there, but do not publish. */
const OTHER_MEMBERS = [
  ["operator", "an operator"],
  ["security", "a member with Suspend"],
  ["gateway", "a gateway"],
] as const satisfies [keyof Actors, string][];

const classIdOf = (vendor: string, hardwareClass: string): string =>
  keccak256(AbiCoder.defaultAbiCoder().encode(["address", "bytes32"], [vendor, hardwareClass]));

const flip = (hash: string): string => toBeHex(BigInt(hash) ^ 1n, 32);

/** A manifest of one device whose enrolments need a voucher. */
async function deployFactoryWithVouchers() {
  const suite = await deployFactory();
  const manifest = await publish(suite, { voucherRequired: true });
  return { ...suite, manifest };
}

/** A manifest of five devices, and what it takes to enrol the third for the customer. */
async function deployFactoryAndClaim() {
  const suite = await deployFactory();
  const manifest = await publish(suite, { listings: await makeDevices(5) });
  const claim = await claimOf(suite, manifest, { index: 3 });
  return { ...suite, manifest, claim };
}

/** Sends a claim as the customer unless told. */
function enroll(suite: Factory, claim: Claim, by = suite.customer, args = argsOf(claim)) {
  return suite.devices.connect(by).enrollFromManifest(...args);
}

/** Enrols a device of the manifest for the customer. */
async function enrollFrom(suite: Factory, manifest: FactoryManifest, index = 0): Promise<Listing["key"]> {
  const claim = await claimOf(suite, manifest, { index });
  await enroll(suite, claim);
  return claim.key;
}

async function expectRefused(suite: Factory, call: Promise<unknown>, error: string, args: unknown[], name?: string) {
  await expect(call, name)
    .to.be.revertedWithCustomError(suite.devices, error)
    .withArgs(...args);
}

describe("DeviceRegistry: manifests", () => {
  describe("publishManifest", () => {
    it("numbers the manifests of all vendors from 1 and keeps the class and the terms of each", async () => {
      const { devices, actors, fleet, workshop } = await loadFixture(deployFactory);
      const published = [
        { vendor: fleet, by: actors.maker, hardwareClass: SENSOR, count: 1n, voucherRequired: false, uri: "" },
        {
          vendor: fleet,
          by: actors.owner,
          hardwareClass: id("hub"),
          count: 2n,
          voucherRequired: true,
          uri: "ipfs://a",
        },
        {
          vendor: workshop.address,
          by: workshop,
          hardwareClass: SENSOR,
          count: 2n ** 32n - 1n,
          voucherRequired: true,
          uri: "https://example.org/manifests/3",
        },
        { vendor: fleet, by: actors.admin, hardwareClass: ZeroHash, count: 1n, voucherRequired: false, uri: "" },
      ];
      for (const [i, { vendor, by, hardwareClass, count, voucherRequired, uri }] of published.entries()) {
        const number = BigInt(i) + 1n;
        const terms = { vendor, root: id(`root ${i}`), count, voucherRequired };
        const unknown = { classId: ZeroHash, isRevoked: false, reason: 0n };
        expect(structOf(await devices.manifestOf(number))).to.deep.equal(unknown);
        expect(await devices.hasTerms(number, terms)).to.equal(false);
        const args = [vendor, hardwareClass, terms.root, count, voucherRequired, uri] as const;
        expect(await devices.connect(by).publishManifest.staticCall(...args)).to.equal(number);

        const publishing = devices.connect(by).publishManifest(...args);

        await expect(publishing)
          .to.emit(devices, "ManifestPublished")
          .withArgs(number, vendor, hardwareClass, terms.root, count, voucherRequired, uri, by.address);
        expect((await (await publishing).wait())!.logs).to.have.length(1);
        const classId = classIdOf(vendor, hardwareClass);
        expect(structOf(await devices.manifestOf(number))).to.deep.equal({ classId, isRevoked: false, reason: 0n });
        expect(structOf(await devices.manifestOf(number + 1n))).to.deep.equal(unknown);
        expect(await devices.hasTerms(number, terms)).to.equal(true);
      }
    });

    it("is done by the governor, by members with PublishManifest and by a vendor that is an account", async () => {
      const { devices, roles, actors, fleet, workshop, customer } = await loadFixture(deployFactory);
      await roles.connect(actors.owner).defineRole(fleet, 8, PUBLISH_MANIFEST);
      await roles.connect(actors.owner).setRoles(fleet, customer, 1n << 8n, 0n, FOR_EVER);
      await roles.connect(workshop).setRoles(workshop, actors.stranger, ROLE.Maker, 0n, FOR_EVER);
      const publishers = [
        [fleet, actors.owner],
        [fleet, actors.admin],
        [fleet, actors.maker],
        [fleet, customer],
        [workshop.address, workshop],
        [workshop.address, actors.stranger],
      ] as const;
      for (const [i, [vendor, by]] of publishers.entries()) {
        await devices.connect(by).publishManifest(vendor, SENSOR, id("root"), 1n, false, "");
        expect((await devices.manifestOf(i + 1)).classId).to.equal(classIdOf(vendor, SENSOR));
      }
    });

    for (const [caller, name] of [...wrongCallers, ...OTHER_MEMBERS]) {
      it(`refuses ${name}`, async () => {
        const { devices, actors, fleet } = await loadFixture(deployFactory);
        await expect(devices.connect(actors[caller]).publishManifest(fleet, SENSOR, id("root"), 1n, false, ""))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, PUBLISH_MANIFEST);
        expect((await devices.manifestOf(1n)).classId).to.equal(ZeroHash);
      });
    }

    it("refuses a maker whose role was taken, and the governor who handed the vendor over", async () => {
      const { devices, roles, actors, fleet } = await loadFixture(deployFactory);
      await roles.connect(actors.owner).setRoles(fleet, actors.maker, 0n, 0n, FOR_EVER);
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);
      for (const by of [actors.maker, actors.owner]) {
        await expect(devices.connect(by).publishManifest(fleet, SENSOR, id("root"), 1n, false, ""))
          .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
          .withArgs(fleet, by.address, PUBLISH_MANIFEST);
      }
      await devices.connect(actors.stranger).publishManifest(fleet, SENSOR, id("root"), 1n, false, "");
      expect((await devices.manifestOf(1n)).classId).to.equal(classIdOf(fleet, SENSOR));
    });

    it("knows nobody who could publish for a reserved id", async () => {
      const suite = await loadFixture(deployFactory);
      for (const vendor of RESERVED) {
        const publishing = suite.devices
          .connect(suite.workshop)
          .publishManifest(vendor, SENSOR, id("r"), 1n, false, "");
        const { address } = suite.workshop;
        await expectRefused(suite, publishing, "CallerLacksPermission", [vendor, address, PUBLISH_MANIFEST]);
      }
    });

    it("refuses a manifest of no devices or without a root", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, actors, fleet } = suite;
      for (const [root, count] of [
        [ZeroHash, 1n],
        [id("root"), 0n],
        [ZeroHash, 0n],
      ] as const) {
        const publishing = devices.connect(actors.maker).publishManifest(fleet, SENSOR, root, count, false, "");
        await expectRefused(suite, publishing, "ManifestEmpty", [root, count]);
      }
    });

    it("numbers manifests up to 2^31 - 1, which a device keeps whole, and no further", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, actors, fleet, customer } = suite;
      const address = await devices.getAddress();
      const counters = await slotsThatBecome(address, 1n, () => publish(suite));
      expect(counters).to.have.length(1);
      await networkHelpers.setStorageAt(address, counters[0]!, LAST_MANIFEST - 1n);

      const manifest = await publish(suite);
      expect(manifest.number).to.equal(LAST_MANIFEST);
      const { id: device } = await enrollFrom(suite, manifest);

      const changed = BigInt(await networkHelpers.time.latestBlock());
      expect(structOf(await devices.deviceOf(device))).to.deep.equal({
        owner: customer.address,
        keyId: device,
        scheme: BigInt(Scheme.P256),
        status: Status.Active,
        epoch: 1n,
        manifest: LAST_MANIFEST,
        changed,
        isContinuous: true,
      });
      const publishing = devices.connect(actors.maker).publishManifest(fleet, SENSOR, id("root"), 1n, false, "");
      await expectRefused(suite, publishing, "ManifestsExhausted", []);
    });
  });

  describe("revokeManifest", () => {
    it("revokes for each reason that RFC 5280 has for good, and leaves all other manifests as they are", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, actors, fleet } = suite;
      const other = await publish(suite);
      for (const reason of REASONS) {
        const { number, terms } = await publish(suite);

        const revoking = devices.connect(actors.owner).revokeManifest(number, terms, reason);

        await expect(revoking)
          .to.emit(devices, "ManifestRevoked")
          .withArgs(number, fleet, reason, actors.owner.address);
        expect((await (await revoking).wait())!.logs).to.have.length(1);
        const classId = classIdOf(fleet, SENSOR);
        expect(structOf(await devices.manifestOf(number))).to.deep.equal({
          classId,
          isRevoked: true,
          reason: BigInt(reason),
        });
        expect(await devices.hasTerms(number, terms)).to.equal(true);
        expect((await devices.manifestOf(other.number)).isRevoked).to.equal(false);
      }
    });

    it("refuses every other number as a reason", async () => {
      const suite = await loadFixture(deployFactory);
      const { number, terms } = await publish(suite);
      const { revokeManifest } = suite.devices.connect(suite.actors.owner);
      let refused = 0;
      for (let reason = 0; reason <= 255; reason += 1) {
        if (REASONS.includes(reason)) continue;
        const revoking = revokeManifest.staticCall(number, terms, reason);
        await expectRefused(suite, revoking, "RevocationReasonInvalid", [reason], `reason ${reason}`);
        refused += 1;
      }
      expect(refused).to.equal(248);
    });

    for (const [caller, name] of [
      ...wrongCallers,
      ...OTHER_MEMBERS,
      ["maker", "a maker, who may publish"],
      ["admin", "an admin, who may publish"],
    ] as const) {
      it(`refuses ${name}`, async () => {
        const suite = await loadFixture(deployFactory);
        const { devices, actors, fleet } = suite;
        const { number, terms } = await publish(suite);
        const revoking = devices.connect(actors[caller]).revokeManifest(number, terms, 1);
        await expectRefused(suite, revoking, "CallerNotGovernor", [fleet, actors[caller].address]);
        expect((await devices.manifestOf(number)).isRevoked).to.equal(false);
      });
    }

    it("is done by the vendor's governor of today, whoever published", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, roles, actors, fleet, workshop } = suite;
      const { number, terms } = await publish(suite);
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);
      const revoking = devices.connect(actors.owner).revokeManifest(number, terms, 0);
      await expectRefused(suite, revoking, "CallerNotGovernor", [fleet, actors.owner.address]);
      await devices.connect(actors.stranger).revokeManifest(number, terms, 0);
      expect((await devices.manifestOf(number)).isRevoked).to.equal(true);

      const own = await publish(suite, { by: workshop, vendor: workshop.address });
      const byOther = devices.connect(actors.stranger).revokeManifest(own.number, own.terms, 0);
      await expectRefused(suite, byOther, "CallerNotGovernor", [workshop.address, actors.stranger.address]);
      await devices.connect(workshop).revokeManifest(own.number, own.terms, 0);
      expect((await devices.manifestOf(own.number)).isRevoked).to.equal(true);
    });

    it("refuses a manifest that nobody published", async () => {
      const suite = await loadFixture(deployFactory);
      const { number, terms } = await publish(suite);
      for (const unknown of [0n, number + 1n, 2n ** 31n + number, 2n ** 32n - 1n]) {
        const revoking = suite.devices.connect(suite.actors.owner).revokeManifest(unknown, terms, 0);
        await expectRefused(suite, revoking, "ManifestUnknown", [unknown]);
      }
    });

    it("refuses terms of which any field is another", async () => {
      const suite = await loadFixture(deployFactory);
      const { workshop, devices } = suite;
      const manifest = await publish(suite);
      for (const { name, terms } of otherTermsOf(suite, manifest)) {
        // Whoever names himself as the vendor governs that vendor.
        const revoking = devices.connect(workshop).revokeManifest(manifest.number, terms, 0);
        await expectRefused(suite, revoking, "ManifestTermsMismatch", [manifest.number], name);
      }
      expect((await devices.manifestOf(manifest.number)).isRevoked).to.equal(false);
    });

    it("refuses a manifest that is revoked already, and names the first reason", async () => {
      for (const first of REASONS) {
        const suite = await loadFixture(deployFactory);
        const { devices, actors } = suite;
        const { number, terms } = await publish(suite);
        await devices.connect(actors.owner).revokeManifest(number, terms, first);
        for (const second of [0, 1, 10]) {
          const revoking = devices.connect(actors.owner).revokeManifest(number, terms, second);
          await expectRefused(suite, revoking, "ManifestNoLongerValid", [number, first]);
        }
        expect((await devices.manifestOf(number)).reason).to.equal(first);
      }
    });
  });

  describe("hasTerms", () => {
    it("knows the terms of each manifest, and no others", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices } = suite;
      const manifest = await publish(suite);
      const next = await publish(suite, { voucherRequired: true });
      expect(await devices.hasTerms(manifest.number, manifest.terms)).to.equal(true);
      expect(await devices.hasTerms(next.number, next.terms)).to.equal(true);
      expect(await devices.hasTerms(manifest.number, next.terms)).to.equal(false);
      expect(await devices.hasTerms(next.number, manifest.terms)).to.equal(false);
      for (const { name, terms } of otherTermsOf(suite, manifest)) {
        expect(await devices.hasTerms(manifest.number, terms), name).to.equal(false);
      }
    });
  });

  describe("enrollFromManifest", () => {
    it("enrols a device that a relayer carries, and records its manifest", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { devices, actors, customer, claim, manifest, fleet } = suite;
      const { key, enrollment, message } = claim;
      const { signature: ownerSignature } = await (await accountKey(customer)).prove(message);

      const enrolling = enroll(suite, claim, actors.relayer, argsOf(claim, { ownerSignature }));

      await expect(enrolling).to.emit(devices, "DIDOwnerChanged").withArgs(key.id, customer.address, 0n);
      await expect(enrolling)
        .to.emit(devices, "DeviceEnrolled")
        .withArgs(
          key.id,
          customer.address,
          manifest.number,
          key.scheme,
          enrollment.metadataHash,
          actors.relayer.address,
        );
      const receipt = (await (await enrolling).wait())!;
      expect(receipt.logs).to.have.length(3);
      expect(structOf(await devices.deviceOf(key.id))).to.deep.equal({
        owner: customer.address,
        keyId: key.id,
        scheme: BigInt(key.scheme),
        status: Status.Active,
        epoch: 1n,
        manifest: manifest.number,
        changed: BigInt(receipt.blockNumber),
        isContinuous: true,
      });
      expect(await devices.isGenuine(key.id)).to.equal(true);
      expect(await devices.classOf(key.id)).to.equal(classIdOf(fleet, SENSOR));
    });

    for (const size of [1, 2, 3, 5, 8]) {
      it(`enrols each device of a manifest of ${size}`, async () => {
        const suite = await loadFixture(deployFactory);
        const { devices, customer } = suite;
        const manifest = await publish(suite, { listings: await makeDevices(size) });
        for (let index = 0; index < size; index += 1) {
          const claim = await claimOf(suite, manifest, { index });
          await expect(enroll(suite, claim), `index ${index}`)
            .to.emit(devices, "DeviceEnrolled")
            .withArgs(
              claim.key.id,
              customer.address,
              manifest.number,
              claim.key.scheme,
              claim.enrollment.metadataHash,
              customer.address,
            );
          expect(await devices.isGenuine(claim.key.id)).to.equal(true);
          expect(await devices.keyOf(claim.key.id)).to.deep.equal([claim.key.id, BigInt(claim.key.scheme)]);
        }
      });
    }

    it("enrols many devices in one transaction, and skips in a batch what is refused", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, customer } = suite;
      const manifest = await publish(suite, { listings: await makeDevices(4) });
      const claims = await Promise.all([0, 1, 2, 3].map((index) => claimOf(suite, manifest, { index })));
      const calls = claims.map((claim, index) =>
        devices.interface.encodeFunctionData("enrollFromManifest", [
          ...argsOf(claim, index === 1 ? { index: 0n } : {}),
        ]),
      );
      const refusal = [manifest.number, claims[1]!.key.id] as const;
      await expectRefused(suite, devices.connect(customer).multicall(calls), "DeviceNotInManifest", [...refusal]);

      await expect(devices.connect(customer).tryMulticall(calls))
        .to.emit(devices, "CallSkipped")
        .withArgs(
          1n,
          devices.interface.getFunction("enrollFromManifest").selector,
          devices.interface.encodeErrorResult("DeviceNotInManifest", refusal),
        );
      const genuine = await Promise.all(claims.map(({ key }) => devices.isGenuine(key.id)));
      expect(genuine).to.deep.equal([true, false, true, true]);
    });

    it("takes the consent of an owner that is a fleet handle from its governor and its members with Enroll", async () => {
      for (const sender of ["owner", "operator", "admin"] as const) {
        const suite = await loadFixture(deployFactory);
        const manifest = await publish(suite);
        const claim = await claimOf(suite, manifest, { owner: suite.fleet });
        await enroll(suite, claim, suite.actors[sender]);
        expect(await suite.devices.ownerOf(claim.key.id)).to.equal(suite.fleet);
      }
    });

    for (const [caller, name] of [...wrongCallers, ["maker", "the maker"]] as const) {
      it(`takes neither the sending nor the signature of ${name} for the owner's consent`, async () => {
        const suite = await loadFixture(deployFactory);
        const { actors, fleet, devices } = suite;
        const claim = await claimOf(suite, await publish(suite), { owner: fleet });
        const sender = actors[caller];
        await expectRefused(suite, enroll(suite, claim, sender), "CallerLacksPermission", [
          fleet,
          sender.address,
          ENROLL,
        ]);
        const { signature: ownerSignature } = await (await accountKey(sender)).prove(claim.message);
        const signed = enroll(suite, claim, actors.owner, argsOf(claim, { ownerSignature }));
        await expectRefused(suite, signed, "SignatureInvalid", [actors.owner.address, messageDigest(claim.message)]);
        expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
      });
    }

    it("refuses every proof of the device that is not for exactly this message", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { claim, manifest } = suite;
      const { key, message } = await claimOf(suite, manifest, { index: 0 });
      expect(claim.key.scheme).to.equal(Scheme.P256);
      const tried = await claimOf(suite, manifest, { index: 0 });
      const wrong = await wrongProofs({ key, wrongKey: createP256Key(), message, alter: { scheme: Scheme.Account } });
      expect(wrong.map(({ name }) => name)).to.include("with another manifest");
      for (const { name, proof } of wrong) {
        const enrolling = enroll(suite, tried, undefined, argsOf(tried, { byDevice: proof }));
        await expectRefused(suite, enrolling, "KeyProofInvalid", [key.id, messageDigest(message)], name);
      }
      expect(await suite.devices.statusOf(key.id)).to.equal(Status.None);
    });

    it("refuses every signature of the owner that is not for exactly this message", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { actors, customer, thief, claim, devices } = suite;
      const wrong = await wrongProofs({
        key: await accountKey(customer),
        wrongKey: await accountKey(thief),
        message: claim.message,
        alter: { scheme: Scheme.Account },
      });
      for (const { name, proof } of wrong) {
        const args = argsOf(claim, { ownerSignature: proof.signature });
        const enrolling = enroll(suite, claim, actors.relayer, args);
        const refusal = [customer.address, messageDigest(claim.message)];
        await expectRefused(suite, enrolling, "SignatureInvalid", refusal, name);
      }
      expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
    });

    it("refuses a message that is too old or valid for too long", async () => {
      const suite = await loadFixture(deployFactory);
      const manifest = await publish(suite);
      const next = (await now()) + 100n;
      for (const [deadline, error, args] of [
        [next - 1n, "DeadlinePassed", [next - 1n]],
        [next + STALE + 1n, "DeadlineTooFar", [next + STALE + 1n, next + STALE]],
      ] as const) {
        const claim = await claimOf(suite, manifest, { changes: { deadline } });
        await networkHelpers.time.setNextBlockTimestamp(next);
        await expectRefused(suite, enroll(suite, claim), error, [...args]);
      }
    });

    it("refuses reserved ids as device, though a manifest lists them, and as owner", async () => {
      for (const reserved of RESERVED) {
        const suite = await loadFixture(deployFactory);
        const key = { ...(await accountKey(suite.customer)), id: reserved };
        const asDevice = await publish(suite, { listings: [{ key, serialHash: ZeroHash }] });
        await expectRefused(suite, enroll(suite, await claimOf(suite, asDevice)), "IdReserved", [reserved]);

        const claim = await claimOf(suite, await publish(suite), { owner: reserved });
        await expectRefused(suite, enroll(suite, claim), "IdReserved", [reserved]);
      }
    });

    it("never enrols a retired device again", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { devices, customer, claim } = suite;
      await enroll(suite, claim);
      await devices.connect(customer).retire(claim.key.id);
      await expectRefused(suite, enroll(suite, claim), "DeviceStatusInvalid", [claim.key.id, Status.Retired]);
    });
  });

  describe("a device of a manifest", () => {
    it("is not enrolled without proof that the manifest lists it", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { devices, customer, claim, manifest } = suite;
      const enrolling = devices.connect(customer).enroll(claim.enrollment, claim.byDevice, "0x");
      await expectRefused(suite, enrolling, "ManifestProofMissing", [manifest.number]);
    });

    it("is not enrolled from a manifest that nobody published, nor from none", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { manifest } = suite;
      for (const number of [0n, manifest.number + 1n, 2n ** 31n + manifest.number, 2n ** 32n - 1n]) {
        const claim = await claimOf(suite, manifest, { changes: { manifest: number } });
        await expectRefused(suite, enroll(suite, claim), "ManifestUnknown", [number]);
      }
    });

    it("is not enrolled with terms of which any field is another", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { claim, manifest } = suite;
      for (const { name, terms } of otherTermsOf(suite, manifest)) {
        const enrolling = enroll(suite, claim, undefined, argsOf(claim, { terms }));
        await expectRefused(suite, enrolling, "ManifestTermsMismatch", [manifest.number], name);
      }
    });

    it("is not enrolled from a manifest that was revoked, for whatever reason", async () => {
      for (const reason of REASONS) {
        const suite = await loadFixture(deployFactoryAndClaim);
        const { devices, actors, claim, manifest } = suite;
        await devices.connect(actors.owner).revokeManifest(manifest.number, manifest.terms, reason);
        await expectRefused(suite, enroll(suite, claim), "ManifestNoLongerValid", [manifest.number, reason]);
        expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
      }
    });

    it("is not enrolled with a proof that is not its own, whole and in order", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices } = suite;
      for (const size of [1, 2, 3, 5, 8]) {
        const manifest = await publish(suite, { listings: await makeDevices(size) });
        for (let index = 0; index < size; index += 1) {
          const claim = await claimOf(suite, manifest, { index });
          for (const { name, proof } of wrongPlaces(manifest, index)) {
            const enrolling = devices.connect(suite.customer).enrollFromManifest.staticCall(...argsOf(claim, proof));
            const what = `device ${index} of ${size} with ${name}`;
            await expectRefused(suite, enrolling, "DeviceNotInManifest", [manifest.number, claim.key.id], what);
          }
        }
      }
    });

    it("is not enrolled with another scheme than the manifest says, though it signs so", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices } = suite;
      for (const scheme of [Scheme.P256, Scheme.P256Sha256]) {
        const listed = createP256Key({ scheme });
        const manifest = await publish(suite, { listings: [{ key: listed, serialHash: ZeroHash }] });
        const claim = await claimOf(suite, manifest, {
          changes: { scheme: scheme === Scheme.P256 ? Scheme.P256Sha256 : Scheme.P256 },
        });
        await expectRefused(suite, enroll(suite, claim), "DeviceNotInManifest", [manifest.number, listed.id]);
        expect(await devices.statusOf(listed.id)).to.equal(Status.None);
      }
    });

    it("is not enrolled as if an inner node of the tree, or its leaf, were a device", async () => {
      const suite = await loadFixture(deployFactory);
      const manifest = await publish(suite, { listings: await makeDevices(4) });
      const other = (await makeDevices(1))[0]!;
      const claim = await claimOf(suite, { ...manifest, listings: [other] });
      const path = proofOf(manifest, 0).path;
      for (const shorter of [path.slice(1), [], [manifestLeafOf(other), ...path]]) {
        const enrolling = enroll(suite, claim, undefined, argsOf(claim, { path: shorter }));
        await expectRefused(suite, enrolling, "DeviceNotInManifest", [manifest.number, other.key.id]);
      }
    });

    it("is not enrolled under another manifest, whichever terms, place and path come with it", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, workshop } = suite;
      const listings = await makeDevices(3);
      const mine = await publish(suite, { listings });
      const others = await publish(suite, { listings: await makeDevices(3), by: workshop, vendor: workshop.address });
      const claim = await claimOf(suite, mine, { changes: { manifest: others.number } });
      await expectRefused(suite, enroll(suite, claim), "ManifestTermsMismatch", [others.number]);
      const enrolling = enroll(suite, claim, undefined, argsOf(claim, { terms: others.terms }));
      await expectRefused(suite, enrolling, "DeviceNotInManifest", [others.number, claim.key.id]);
      expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
    });

    it("signs for its own manifest only, even where another has the same terms", async () => {
      const suite = await loadFixture(deployFactory);
      const listings = await makeDevices(2);
      const [first, second] = [await publish(suite, { listings }), await publish(suite, { listings })];
      expect(second.terms).to.deep.equal(first.terms);
      const claim = await claimOf(suite, first);

      const enrollment = { ...claim.enrollment, manifest: second.number };
      const digest = messageDigest(enrollmentMessage(suite.devicesDomain, enrollment));
      const moved = enroll(suite, claim, undefined, argsOf(claim, { enrollment }));
      await expectRefused(suite, moved, "KeyProofInvalid", [claim.key.id, digest]);

      await enroll(suite, claim);
      expect((await suite.devices.deviceOf(claim.key.id)).manifest).to.equal(first.number);
    });

    it("is not enrolled again from elsewhere, to another, with another scheme, or by itself", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, customer, thief } = suite;
      const listings = await makeDevices(2);
      const manifest = await publish(suite, { listings });
      const second = await publish(suite, { listings });
      const key = await enrollFrom(suite, manifest);
      const refusal = [key.id, customer.address];

      const others = [
        await claimOf(suite, second),
        await claimOf(suite, manifest, { owner: thief.address }),
        await claimOf(suite, manifest, { changes: { scheme: Scheme.P256Sha256 } }),
        await claimOf(suite, manifest, { changes: { manifest: 0n } }),
      ];
      for (const claim of others) {
        await expectRefused(suite, enroll(suite, claim), "DeviceAlreadyEnrolled", refusal);
      }
      const single = enrollDevice(suite, { key, owner: customer.address, by: customer });
      await expectRefused(suite, single, "DeviceAlreadyEnrolled", refusal);
      expect((await devices.deviceOf(key.id)).manifest).to.equal(manifest.number);
    });

    it("stays a single device, and is never genuine, once it was enrolled as one", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, customer } = suite;
      const manifest = await publish(suite);
      const { key } = manifest.listings[0]!;
      await enrollDevice(suite, { key, owner: customer.address, by: customer });

      const enrolling = enroll(suite, await claimOf(suite, manifest));
      await expectRefused(suite, enrolling, "DeviceAlreadyEnrolled", [key.id, customer.address]);
      expect(await devices.isGenuine(key.id)).to.equal(false);
      expect(await devices.classOf(key.id)).to.equal(ZeroHash);
    });

    it("changes nothing when its enrolment comes again, by anyone and with whatever proof", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { devices, actors, customer, thief, claim, manifest } = suite;
      await enroll(suite, claim);
      const nothing = argsOf(claim, { byDevice: { publicKey: "0x", signature: "0x" }, path: [], index: 9n });
      const repeat = async (): Promise<void> => {
        const before = await devices.deviceOf(claim.key.id);
        const repeats = [
          () => enroll(suite, claim, thief),
          () => enroll(suite, claim, actors.relayer, nothing),
          () => devices.connect(thief).enroll(claim.enrollment, claim.byDevice, "0x"),
        ];
        for (const send of repeats) expect((await (await send()).wait())!.logs).to.have.length(0);
        expect(await devices.deviceOf(claim.key.id)).to.deep.equal(before);
      };

      await repeat();
      await devices.connect(customer).suspend(claim.key.id, claim.key.publicKey);
      await repeat();
      await devices.connect(actors.owner).revokeManifest(manifest.number, manifest.terms, 1);
      await repeat();
      await networkHelpers.time.increase(STALE);
      await repeat();
    });
  });

  describe("the maker's voucher", () => {
    it("is signed by the vendor's governor or a member with PublishManifest", async () => {
      for (const maker of ["owner", "maker", "admin", "stranger"] as const) {
        const suite = await loadFixture(deployFactoryWithVouchers);
        const { devices, roles, actors, fleet, manifest } = suite;
        await roles.connect(actors.owner).defineRole(fleet, 8, PUBLISH_MANIFEST);
        await roles.connect(actors.owner).setRoles(fleet, actors.stranger, 1n << 8n, 0n, FOR_EVER);
        const voucher = await voucherOf(suite, manifest, actors[maker]);
        const claim = await claimOf(suite, manifest, { voucher });
        await enroll(suite, claim);
        expect(await devices.isGenuine(claim.key.id), maker).to.equal(true);
      }
    });

    it("is signed by a vendor that is an account, or by its member", async () => {
      for (const isMember of [false, true]) {
        const suite = await loadFixture(deployFactory);
        const { devices, roles, actors, workshop } = suite;
        await roles.connect(workshop).setRoles(workshop, actors.stranger, ROLE.Maker, 0n, FOR_EVER);
        const manifest = await publish(suite, { by: workshop, vendor: workshop.address, voucherRequired: true });
        const voucher = await voucherOf(suite, manifest, isMember ? actors.stranger : workshop);
        const claim = await claimOf(suite, manifest, { voucher });
        await enroll(suite, claim);
        expect(await devices.isGenuine(claim.key.id)).to.equal(true);
      }
    });

    it("is signed through ERC-1271 by a vendor, or its member, that is a contract", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, roles, actors, fleet, workshop, thief } = suite;
      const wallet = await ethers.deployContract("ERC1271Wallet", [workshop], actors.relayer);
      const vendor = await wallet.getAddress();
      await networkHelpers.setBalance(vendor, ethers.parseEther("1"));
      const asVendor = await ethers.getImpersonatedSigner(vendor);
      await roles.connect(actors.owner).setRoles(fleet, vendor, ROLE.Maker, 0n, FOR_EVER);
      const manifests = [
        await publish(suite, { by: asVendor, vendor, voucherRequired: true }),
        await publish(suite, { voucherRequired: true }),
      ];
      for (const manifest of manifests) {
        const stolen = await voucherOf(suite, manifest, thief, { voucherBy: vendor });
        const digest = messageDigest(await voucherMessageOf(suite, manifest, { deadline: stolen.voucherDeadline }));
        const refused = enroll(suite, await claimOf(suite, manifest, { voucher: stolen }));
        await expectRefused(suite, refused, "SignatureInvalid", [vendor, digest]);

        const voucher = await voucherOf(suite, manifest, workshop, { voucherBy: vendor });
        const claim = await claimOf(suite, manifest, { voucher });
        await enroll(suite, claim);
        expect(await devices.isGenuine(claim.key.id)).to.equal(true);
      }
    });

    for (const [caller, name] of [...wrongCallers, ...OTHER_MEMBERS]) {
      it(`does not count from ${name}`, async () => {
        const suite = await loadFixture(deployFactoryWithVouchers);
        const { devices, actors, fleet, manifest } = suite;
        const voucher = await voucherOf(suite, manifest, actors[caller]);
        const claim = await claimOf(suite, manifest, { voucher });
        await expectRefused(suite, enroll(suite, claim), "MakerInvalid", [fleet, actors[caller].address]);
        expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
      });
    }

    it("does not count from the customer, from nobody or from the handle itself, which has no key", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { customer, fleet, manifest, actors } = suite;
      const byCustomer = await claimOf(suite, manifest, { voucher: await voucherOf(suite, manifest, customer) });
      await expectRefused(suite, enroll(suite, byCustomer), "MakerInvalid", [fleet, customer.address]);
      await expectRefused(suite, enroll(suite, await claimOf(suite, manifest)), "MakerInvalid", [fleet, ZeroAddress]);

      const voucher = await voucherOf(suite, manifest, actors.owner, { voucherBy: fleet });
      const digest = messageDigest(await voucherMessageOf(suite, manifest, { deadline: voucher.voucherDeadline }));
      const byHandle = enroll(suite, await claimOf(suite, manifest, { voucher }));
      await expectRefused(suite, byHandle, "SignatureInvalid", [fleet, digest]);
    });

    const endings: { name: string; end: (suite: Factory, expiry: bigint) => Promise<unknown> }[] = [
      { name: "expired", end: (_, expiry) => networkHelpers.time.increaseTo(expiry) },
      {
        name: "was taken",
        end: ({ roles, actors, fleet }) =>
          roles.connect(actors.owner).setRoles(fleet, actors.stranger, 0n, 0n, FOR_EVER),
      },
      { name: "was renounced", end: ({ roles, actors, fleet }) => roles.connect(actors.stranger).renounceRoles(fleet) },
      {
        name: "went with all others",
        end: ({ roles, actors, fleet }) => roles.connect(actors.owner).revokeAllRoles(fleet),
      },
      {
        name: "ended with the vendor's handover",
        end: async ({ roles, actors, fleet }) => {
          await roles.connect(actors.owner).proposeGovernor(fleet, actors.relayer);
          await roles.connect(actors.relayer).acceptGovernor(fleet, false);
        },
      },
    ];
    for (const { name, end } of endings) {
      it(`dies with the signer's role, which ${name}`, async () => {
        const suite = await loadFixture(deployFactoryWithVouchers);
        const { devices, roles, actors, fleet, manifest, customer } = suite;
        const expiry = (await now()) + DAY;
        await roles.connect(actors.owner).setRoles(fleet, actors.stranger, ROLE.Maker, 0n, expiry);
        const claim = await claimOf(suite, manifest, { voucher: await voucherOf(suite, manifest, actors.stranger) });
        await devices.connect(customer).enrollFromManifest.staticCall(...argsOf(claim));

        await end(suite, expiry);

        await expectRefused(suite, enroll(suite, claim), "MakerInvalid", [fleet, actors.stranger.address]);
        expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
      });
    }

    it("does not count before the signer's role begins", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { devices, roles, actors, fleet, manifest } = suite;
      const start = (await now()) + DAY;
      await roles.connect(actors.owner).setRoles(fleet, actors.stranger, ROLE.Maker, start, FOR_EVER);
      const claim = await claimOf(suite, manifest, { voucher: await voucherOf(suite, manifest, actors.stranger) });
      await expectRefused(suite, enroll(suite, claim), "MakerInvalid", [fleet, actors.stranger.address]);
      await networkHelpers.time.increaseTo(start);
      await enroll(suite, claim);
      expect(await devices.isGenuine(claim.key.id)).to.equal(true);
    });

    it("of a governor dies when the vendor is handed over", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { devices, roles, actors, fleet, manifest } = suite;
      const claim = await claimOf(suite, manifest, { voucher: await voucherOf(suite, manifest, actors.owner) });
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);
      await expectRefused(suite, enroll(suite, claim), "MakerInvalid", [fleet, actors.owner.address]);
      const voucher = await voucherOf(suite, manifest, actors.stranger);
      await enroll(suite, claim, undefined, argsOf(claim, voucher));
      expect(await devices.isGenuine(claim.key.id)).to.equal(true);
    });

    it("is refused unless it is for exactly this message", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { devices, actors, manifest } = suite;
      const voucher = await voucherOf(suite, manifest, actors.maker);
      const claim = await claimOf(suite, manifest, { voucher });
      const message = await voucherMessageOf(suite, manifest, { deadline: voucher.voucherDeadline });
      const wrong = await wrongProofs({
        key: await accountKey(actors.maker),
        wrongKey: await accountKey(actors.owner),
        message,
      });
      for (const field of ["manifest", "device", "owner", "deadline"]) {
        expect(wrong.map(({ name }) => name)).to.include(`with another ${field}`);
      }
      for (const { name, proof } of [...wrong, { name: "none", proof: { signature: "0x" } }]) {
        const args = argsOf(claim, { voucherSignature: proof.signature });
        const refusal = [actors.maker.address, messageDigest(message)];
        await expectRefused(suite, enroll(suite, claim, undefined, args), "SignatureInvalid", refusal, name);
      }
      expect(await devices.statusOf(claim.key.id)).to.equal(Status.None);
    });

    it("for the customer is of no use to a thief who holds the device", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { devices, actors, customer, thief, manifest, devicesDomain } = suite;
      const voucher = await voucherOf(suite, manifest, actors.maker);
      const stolen = await claimOf(suite, manifest, { owner: thief.address, voucher });
      const forThief = await voucherMessageOf(suite, manifest, {
        owner: thief.address,
        deadline: voucher.voucherDeadline,
      });
      const refusal = [actors.maker.address, messageDigest(forThief)];
      await expectRefused(suite, enroll(suite, stolen, thief), "SignatureInvalid", refusal);

      // Nor is the customer's message, which the device has not signed.
      const claim = await claimOf(suite, manifest, { voucher });
      const args = argsOf(claim, { byDevice: stolen.byDevice });
      const digest = messageDigest(enrollmentMessage(devicesDomain, claim.enrollment));
      await expectRefused(suite, enroll(suite, claim, thief, args), "KeyProofInvalid", [claim.key.id, digest]);

      await enroll(suite, claim);
      expect(await devices.ownerOf(claim.key.id)).to.equal(customer.address);
    });

    it("for one device is of no use for another of the manifest", async () => {
      const suite = await loadFixture(deployFactory);
      const { actors } = suite;
      const manifest = await publish(suite, { listings: await makeDevices(2), voucherRequired: true });
      const voucher = await voucherOf(suite, manifest, actors.maker, { index: 0 });
      const claim = await claimOf(suite, manifest, { index: 1, voucher });
      const needed = await voucherMessageOf(suite, manifest, { index: 1, deadline: voucher.voucherDeadline });
      const refusal = [actors.maker.address, messageDigest(needed)];
      await expectRefused(suite, enroll(suite, claim), "SignatureInvalid", refusal);
    });

    it("is taken in its last second and not after", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { devices, actors, manifest } = suite;
      const deadline = (await now()) + 100n;
      const claim = await claimOf(suite, manifest, {
        voucher: await voucherOf(suite, manifest, actors.maker, { deadline }),
      });
      const snapshot = await networkHelpers.takeSnapshot();
      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expectRefused(suite, enroll(suite, claim), "DeadlinePassed", [deadline]);
      await snapshot.restore();

      await networkHelpers.time.setNextBlockTimestamp(deadline);
      await enroll(suite, claim);
      expect(await devices.isGenuine(claim.key.id)).to.equal(true);
    });

    it("cannot be made to last longer by whoever carries it", async () => {
      const suite = await loadFixture(deployFactoryWithVouchers);
      const { actors, manifest } = suite;
      const voucher = await voucherOf(suite, manifest, actors.maker, { deadline: (await now()) + DAY });
      const claim = await claimOf(suite, manifest, { voucher });
      await networkHelpers.time.increase(2n * DAY);
      const voucherDeadline = voucher.voucherDeadline + STALE;
      const message = await voucherMessageOf(suite, manifest, { deadline: voucherDeadline });
      const enrolling = enroll(suite, claim, undefined, argsOf(claim, { voucherDeadline }));
      await expectRefused(suite, enrolling, "SignatureInvalid", [actors.maker.address, messageDigest(message)]);
    });

    it("is not asked for, and not looked at, where the manifest does not require it", async () => {
      const suite = await loadFixture(deployFactoryAndClaim);
      const { devices, thief, manifest } = suite;
      const expired = await voucherOf(suite, manifest, thief, { deadline: 1n });
      for (const [index, voucher] of [expired, { ...expired, voucherSignature: "0x1234" }, NO_VOUCHER].entries()) {
        const claim = await claimOf(suite, manifest, { index, voucher });
        await enroll(suite, claim);
        expect(await devices.isGenuine(claim.key.id)).to.equal(true);
      }
    });
  });

  describe("genuineness", () => {
    it("is that of the class: vendor and hardware class, as FirmwareRegistry names it", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, roles, actors, fleet, workshop } = suite;
      const firmware = await ethers.deployContract("FirmwareRegistry", [roles]);
      const published = [
        { by: actors.maker, vendor: fleet, hardwareClass: SENSOR },
        { by: workshop, vendor: workshop.address, hardwareClass: SENSOR },
        { by: actors.maker, vendor: fleet, hardwareClass: id("hub") },
        { by: actors.maker, vendor: fleet, hardwareClass: ZeroHash },
      ];
      const classes = new Set<string>();
      for (const options of published) {
        const { id: device } = await enrollFrom(suite, await publish(suite, options));
        const classId = classIdOf(options.vendor, options.hardwareClass);
        expect(await devices.isGenuine(device)).to.equal(true);
        expect(await devices.classOf(device)).to.equal(classId);
        expect(await firmware.classIdOf(options.vendor, options.hardwareClass)).to.equal(classId);
        classes.add(classId);
      }
      expect(classes.size).to.equal(published.length);
    });

    it("is not a single device's, nor that of a device never enrolled", async () => {
      const suite = await loadFixture(deployFactory);
      const manifest = await publish(suite);
      for (const device of [suite.p256Device.id, suite.accountDevice.id, manifest.listings[0]!.key.id, ZeroAddress]) {
        expect(await suite.devices.isGenuine(device)).to.equal(false);
        expect(await suite.devices.classOf(device)).to.equal(ZeroHash);
      }
    });

    it("ends with the manifest for all its devices and no others, while they stay in service and anchor", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, actors, fleet } = suite;
      const manifest = await publish(suite, { listings: await makeDevices(3) });
      const keys = [];
      for (const index of [0, 1, 2]) keys.push(await enrollFrom(suite, manifest, index));
      const other = await enrollFrom(suite, await publish(suite));

      await devices.connect(actors.owner).revokeManifest(manifest.number, manifest.terms, 1);

      for (const key of keys) {
        expect(await devices.isGenuine(key.id)).to.equal(false);
        expect(await devices.classOf(key.id)).to.equal(classIdOf(fleet, SENSOR));
        expect(await devices.isActive(key.id)).to.equal(true);
        expect(await devices.activeKeyOf(key.id)).to.deep.equal([key.id, BigInt(key.scheme)]);
        expect(await anchorOnce(suite, key)).to.equal(1n);
      }
      expect(await devices.isGenuine(other.id)).to.equal(true);
    });

    it("says nothing about the status", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, customer } = suite;
      const key = await enrollFrom(suite, await publish(suite));
      const expectGenuine = async (status: bigint): Promise<void> => {
        expect(await devices.statusOf(key.id)).to.equal(status);
        expect(await devices.isGenuine(key.id)).to.equal(true);
      };
      await expectGenuine(Status.Active);
      await devices.connect(customer).suspend(key.id, key.publicKey);
      await expectGenuine(Status.Suspended);
      await devices.connect(customer).resume(key.id, key.publicKey);
      await expectGenuine(Status.Active);
      await devices.connect(customer).revokeAll(key.id, key.publicKey);
      await expectGenuine(Status.Active);
      await devices.connect(customer).retire(key.id);
      await expectGenuine(Status.Retired);
    });

    it("goes with the device to its next owner", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, customer, actors, fleet } = suite;
      const key = await enrollFrom(suite, await publish(suite));
      await devices.connect(customer).proposeTransfer(key.id, actors.stranger, FOR_EVER);
      await devices.connect(actors.stranger).acceptTransfer(key.id, key.publicKey);
      expect(await devices.ownerOf(key.id)).to.equal(actors.stranger.address);
      expect(await devices.isGenuine(key.id)).to.equal(true);
      expect(await devices.classOf(key.id)).to.equal(classIdOf(fleet, SENSOR));
    });

    it("ends with a key that the factory's did not agree to, and returns with the factory's key", async () => {
      const suite = await loadFixture(deployFactory);
      const { devices, customer } = suite;
      const factoryKey = await enrollFrom(suite, await publish(suite));
      const agreed = createP256Key();
      const forced = createP256Key();
      for (const [from, to, isAgreed, isGenuine] of [
        [factoryKey, agreed, true, true],
        [agreed, forced, false, false],
        [forced, agreed, true, false],
        [agreed, factoryKey, false, true],
      ] as const) {
        const rotation = {
          device: factoryKey.id,
          oldKey: from.id,
          newKey: to.id,
          newScheme: to.scheme,
          epoch: 1n,
          deadline: (await now()) + DAY,
        };
        const message = keyRotationMessage(suite.devicesDomain, rotation);
        const { publicKey, signature } = await from.prove(message);
        const byOld = { publicKey, signature: isAgreed ? signature : "0x" };
        await devices.connect(customer).rotateKey(rotation, await to.prove(message), byOld);
        expect(await devices.isGenuine(factoryKey.id)).to.equal(isGenuine);
      }
    });
  });

  describe("trees of any size", () => {
    const places: fc.Arbitrary<Place> = fc
      .record({ size: fc.integer({ min: 1, max: 300 }), place: fc.nat(), seed: fc.nat(), device: fc.nat(2) })
      .map(({ size, place, seed, device }) => ({ size, index: place % size, seed, device }));

    it("have each device enrolled from its place", async () => {
      const suite = await loadFixture(deployFactory);
      const { enrollFromManifest } = suite.devices.connect(suite.customer);
      const made = await makeDevices(3);
      await fc.assert(
        fc.asyncProperty(places, async (place) => {
          const { claim } = await claimAnyPlace(suite, made, place);
          await enrollFromManifest.staticCall(...argsOf(claim));
        }),
        { numRuns: 40 },
      );
    });

    it("have no device enrolled from any other place or by any other path", async () => {
      const suite = await loadFixture(deployFactory);
      const { enrollFromManifest } = suite.devices.connect(suite.customer);
      const made = await makeDevices(3);
      await fc.assert(
        fc.asyncProperty(places, fc.nat(), async (place, choice) => {
          const { manifest, claim } = await claimAnyPlace(suite, made, place);
          const wrong = wrongPlaces(manifest, place.index);
          const { name, proof } = wrong[choice % wrong.length]!;
          const enrolling = enrollFromManifest.staticCall(...argsOf(claim, proof));
          await expectRefused(suite, enrolling, "DeviceNotInManifest", [manifest.number, claim.key.id], name);
        }),
        { numRuns: 60 },
      );
    });
  });
});

/** A device in a tree of random leaves. */
interface Place {
  size: number;
  index: number;
  seed: number;
  /** Which of the devices that were made. */
  device: number;
}

/** Publishes a tree of random leaves, one of which is a device, and makes its claim. */
async function claimAnyPlace(suite: Factory, made: Listing[], { size, index, seed, device }: Place) {
  const listing = { key: made[device]!.key, serialHash: id(`serial ${seed}`) };
  const leaves = Array.from({ length: size }, (_, i) => id(`leaf ${seed} ${i}`));
  leaves[index] = manifestLeafOf(listing);
  const listings: Listing[] = [];
  listings[index] = listing;
  const manifest = await publish(suite, { listings, leaves });
  return { manifest, claim: await claimOf(suite, manifest, { index }) };
}

/** The terms of the manifest with each field altered. */
function otherTermsOf({ workshop }: Factory, { terms }: FactoryManifest) {
  return [
    { name: "another vendor", terms: { ...terms, vendor: workshop.address } },
    { name: "another root", terms: { ...terms, root: flip(terms.root) } },
    { name: "one device more", terms: { ...terms, count: terms.count + 1n } },
    { name: "one device less", terms: { ...terms, count: terms.count - 1n } },
    { name: "another need of vouchers", terms: { ...terms, voucherRequired: !terms.voucherRequired } },
  ];
}

/** Proofs that do not show that the device is in the manifest. */
function wrongPlaces(manifest: FactoryManifest, index: number): { name: string; proof: Partial<ManifestProof> }[] {
  const { path, serialHash } = proofOf(manifest, index);
  const { count } = manifest.terms;
  const places = new Set([0n, count - 1n, count, count + 1n, BigInt(index ^ 1), BigInt(index) + 1n, 2n ** 32n - 1n]);
  places.delete(BigInt(index));
  const wrong: { name: string; proof: Partial<ManifestProof> }[] = [
    { name: "another serial number", proof: { serialHash: flip(serialHash) } },
    { name: "a path with one more", proof: { path: [...path, id("more")] } },
    { name: "a path that begins with its own leaf", proof: { path: [manifest.leaves[index]!, ...path] } },
    { name: "a path that goes on to the root", proof: { path: [...path, manifest.terms.root] } },
  ];
  for (const place of places) wrong.push({ name: `place ${place}`, proof: { index: place } });
  for (const [level, sibling] of path.entries()) {
    const [before, after] = [path.slice(0, level), path.slice(level + 1)];
    wrong.push({ name: `no sibling on level ${level}`, proof: { path: [...before, ...after] } });
    wrong.push({ name: `another sibling on level ${level}`, proof: { path: [...before, flip(sibling), ...after] } });
  }
  if (path.length > 1) wrong.push({ name: "its path from the top", proof: { path: [...path].reverse() } });
  for (const other of manifest.listings.keys()) {
    if (other === index || manifest.listings[other] === undefined) continue;
    const proof = proofOf(manifest, other);
    wrong.push({ name: `the proof of device ${other}`, proof: { ...proof, ...NO_VOUCHER } });
  }
  return wrong;
}

/** Appends the device's first anchor and returns how many its log has. */
async function anchorOnce(suite: Factory, key: Listing["key"]): Promise<bigint> {
  const data = await ethers.deployContract("DataAnchor", [suite.roles, suite.devices]);
  const domain = messageDomain({
    contract: "DataAnchor",
    chainId: suite.chainId,
    address: await data.getAddress(),
  });
  const time = await now();
  const anchor = {
    logId: concat([key.id, toBeHex(1n, 12)]),
    index: 0n,
    kind: 0n,
    tree: 0n,
    firstSeq: 0n,
    count: 1n,
    tFirst: time * 1000n,
    tLast: time * 1000n,
    supersedes: 0n,
    freshBlock: 0n,
    freshHash: ZeroHash,
    root: id("batch"),
    deadline: time + DAY,
  };
  await data.connect(suite.actors.relayer).anchor(anchor, await key.prove(anchorMessage(domain, anchor)));
  return (await data.head(anchor.logId)).size;
}

/** The numbers of the contract's first storage slots that were 0 and become `value` by the act. */
async function slotsThatBecome(address: string, value: bigint, act: () => Promise<unknown>): Promise<number[]> {
  const read = (): Promise<bigint[]> =>
    Promise.all(Array.from({ length: 16 }, async (_, slot) => BigInt(await ethers.provider.getStorage(address, slot))));
  const before = await read();
  await act();
  const after = await read();
  return after.flatMap((word, slot) => (before[slot] === 0n && word === value ? [slot] : []));
}
