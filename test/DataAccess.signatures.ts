import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { expect } from "chai";
import { concat, dataSlice, getAddress, getBytes, hexlify, id, toBeHex } from "ethers";

import { accountKey, createP256Key, type Key } from "../client/keys.js";
import { dataGrantMessage, messageDigest, revocationMessage } from "../client/typed-data.js";

import {
  ALL_PURPOSES,
  deployAccess,
  enrollForAccount,
  expectReason,
  GRANTABLE,
  grantWord,
  PERMISSION,
  READ,
  revokeAll,
  sendDevicePolicy,
  sendGrant,
  suspend,
  type Access,
} from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { enrollDevice } from "./support/fleet.js";
import {
  nextDataGrant,
  nextRevocation,
  sendSignedGrant,
  sendSignedRevocation,
  signDataGrant,
  signRevocation,
  type DataGrant,
  type Revocation,
} from "./support/signed-access.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";

const { ReadLive, ReadHistory, Command, Share } = PERMISSION;
const SUBJECT = getAddress(toBeHex(0x5b1ec7_0000_0001n, 20));

/** Somebody who owns a device, and the key that signs for it. */
interface Grantor {
  /** Who the message names. */
  id: string;
  key: Key;
  device: string;
}

/** Who can own a device, and sign for it. */
const GRANTORS: Record<string, (suite: Access) => Promise<Grantor>> = {
  async "an account"(suite) {
    const { owner, key } = await enrollForAccount(suite);
    return { id: owner.address, key: await accountKey(owner), device: key.id };
  },

  async "the governor of a fleet handle"({ actors, p256Device }) {
    return { id: actors.owner.address, key: await accountKey(actors.owner), device: p256Device.id };
  },

  async "a contract account"(suite) {
    const wallet = await ethers.deployContract("ERC1271Wallet", [suite.actors.maker]);
    return ownerOfNewDevice(suite, await wallet.getAddress(), suite.actors.maker);
  },

  async "an account with EIP-7702 code"(suite) {
    // Its code is a wallet that would say no to its own key: the key comes first.
    const { owner, key } = await enrollForAccount(suite);
    const wallet = await ethers.deployContract("ERC1271Wallet", [suite.actors.stranger]);
    await networkHelpers.setCode(owner.address, concat(["0xef0100", await wallet.getAddress()]));
    return { id: owner.address, key: await accountKey(owner), device: key.id };
  },
};

async function ownerOfNewDevice(suite: Access, owner: string, signer: HardhatEthersSigner): Promise<Grantor> {
  const asOwner = await ethers.getImpersonatedSigner(owner);
  await networkHelpers.setBalance(owner, 10n ** 18n);
  const device = createP256Key();
  await enrollDevice(suite, { key: device, owner, by: asOwner });
  return { id: owner, key: { ...(await accountKey(signer)), id: owner }, device: device.id };
}

/** A wallet whose answers come from nowhere: each is tried where a magic value is due. */
const BROKEN_WALLETS = {
  reverts: "0x5f5ffd",
  "answers nothing": "0x00",
  "answers too little": "0x631626ba7e60e01b5f5260045ff3",
  "answers with the magic value at the wrong end": "0x631626ba7e5f5260205ff3",
  "answers with dirty bits after the magic value":
    "0x7f1626ba7e000000000000000000000000000000000000000000000000000000015f5260205ff3",
  "answers with true": "0x60015f5260205ff3",
  "changes its state first": "0x60015f5d631626ba7e60e01b5f5260205ff3",
  "burns all gas": "0xfe",
} as const;

describe("DataAccess's signed messages", () => {
  // ------------------------------------------------------------------ who may sign

  for (const [who, grantorOf] of Object.entries(GRANTORS)) {
    describe(`of ${who}`, () => {
      it("give a grant exactly as it was signed, whoever sends it", async () => {
        const suite = await loadFixture(deployAccess);
        const { access, actors } = suite;
        const { id: grantor, key, device } = await grantorOf(suite);
        const dataGrant = await nextDataGrant(suite, {
          grantor,
          device,
          permissions: ReadLive | Command,
          purposes: 0b101n,
          notBefore: (await now()) - 5n,
          termsHash: id("terms"),
        });
        const signature = await signDataGrant(suite, dataGrant, key);
        const word = grantWord({ ...dataGrant, seq: 1n });

        await expect(access.connect(actors.stranger).grantWithSignature(dataGrant, signature))
          .to.emit(access, "AccessGranted")
          .withArgs(device, actors.subject, grantor, word, id("terms"));
        const { permissions, purposes, notBefore, expiry } = dataGrant;
        expect(structOf(await access.grantOf(device, actors.subject))).to.deep.equal({
          permissions,
          purposes,
          notBefore,
          expiry,
          epoch: 1n,
          seq: 1n,
          byOwner: true,
        });
        await expectReason(suite, device, actors.subject, Command, "Grant", 2n);
      });

      it("end a grant, whoever sends them", async () => {
        const suite = await loadFixture(deployAccess);
        const { access, actors } = suite;
        const { id: grantor, key, device } = await grantorOf(suite);
        const dataGrant = await nextDataGrant(suite, { grantor, device });
        await access.grantWithSignature(dataGrant, await signDataGrant(suite, dataGrant, key));
        const revocation = await nextRevocation(suite, { revoker: grantor, device });

        await expect(
          access.connect(actors.stranger).revokeWithSignature(revocation, await signRevocation(suite, revocation, key)),
        )
          .to.emit(access, "AccessRevoked")
          .withArgs(device, actors.subject, grantor, 3n);
        expect(structOf(await access.grantOf(device, actors.subject))).to.deep.equal({
          permissions: 0n,
          purposes: 0n,
          notBefore: 0n,
          expiry: 0n,
          epoch: 0n,
          seq: 3n,
          byOwner: false,
        });
      });

      it("refuse every signature that is not of this message", async () => {
        const suite = await loadFixture(deployAccess);
        const { access, actors, accessDomain } = suite;
        const { id: grantor, key, device } = await grantorOf(suite);
        const wrongKey = { ...(await accountKey(actors.stranger)) };
        const dataGrant = await nextDataGrant(suite, { grantor, device, notBefore: 8n, termsHash: id("terms") });
        const revocation = await nextRevocation(suite, { revoker: grantor, device });
        const messages = [
          {
            message: dataGrantMessage(accessDomain, dataGrant),
            send: (signature: string) => access.grantWithSignature(dataGrant, signature),
          },
          {
            message: revocationMessage(accessDomain, revocation),
            send: (signature: string) => access.revokeWithSignature(revocation, signature),
          },
        ];
        // A wallet that EIP-7702 put in place may say what the stranger signed: there another account is the wrong key.
        const isDelegated = (await ethers.provider.getCode(grantor)).startsWith("0xef0100");
        const wrong = isDelegated ? await accountKey(actors.relayer) : wrongKey;

        for (const { message, send } of messages) {
          const digest = messageDigest(message);
          const proofs = await wrongProofs({ key, wrongKey: wrong, message });
          const { signature } = await key.prove(message);
          const s = BigInt(dataSlice(signature, 32, 64));
          const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
          const flipped = getBytes(signature)[64] === 27 ? "0x1c" : "0x1b";
          const forms = [
            ["empty", "0x"],
            ["too short", dataSlice(signature, 0, 64)],
            ["too long", concat([signature, "0x00"])],
            ["with a high s", concat([dataSlice(signature, 0, 32), toBeHex(n - s, 32), flipped])],
            ["with the other v", concat([dataSlice(signature, 0, 64), flipped])],
            ["all zero", hexlify(new Uint8Array(65))],
          ] as const;
          for (const [name, wrongSignature] of [
            ...proofs.map(({ name, proof }) => [name, proof.signature] as const),
            ...forms,
          ]) {
            await expect(send(wrongSignature), name)
              .to.be.revertedWithCustomError(access, "SignatureInvalid")
              .withArgs(grantor, digest);
          }
          await expect(send(signature), "the right one").not.to.be.revert(ethers);
        }
      });
    });
  }

  it("may be those that the code of an account with EIP-7702 takes", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors } = suite;
    const { id: grantor, device } = await GRANTORS["an account with EIP-7702 code"]!(suite);
    const dataGrant = await nextDataGrant(suite, { grantor, device });
    await access.grantWithSignature(
      dataGrant,
      await signDataGrant(suite, dataGrant, await accountKey(actors.stranger)),
    );

    await expectReason(suite, device, actors.subject, ReadLive, "Grant");
  });

  for (const [what, code] of Object.entries(BROKEN_WALLETS)) {
    it(`take nothing from a wallet that ${what}`, async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, accessDomain } = suite;
      const wallet = await ethers.deployContract("ERC1271Wallet", [actors.maker]);
      const { id: grantor, key, device } = await ownerOfNewDevice(suite, await wallet.getAddress(), actors.maker);
      const dataGrant = await nextDataGrant(suite, { grantor, device });
      const signature = await signDataGrant(suite, dataGrant, key);
      const revocation = await nextRevocation(suite, { revoker: grantor, device });
      await networkHelpers.setCode(grantor, code);
      const gasLimit = 2_000_000n;

      await expect(access.grantWithSignature(dataGrant, signature, { gasLimit }))
        .to.be.revertedWithCustomError(access, "SignatureInvalid")
        .withArgs(grantor, messageDigest(dataGrantMessage(accessDomain, dataGrant)));
      await expect(
        access.revokeWithSignature(revocation, await signRevocation(suite, revocation, key), { gasLimit }),
      ).to.be.revertedWithCustomError(access, "SignatureInvalid");
      const [allowed, , refusal] = await access.verifyGrant(dataGrant, signature, ReadLive, 1n, { gasLimit });
      expect(allowed).to.equal(false);
      expect(access.interface.parseError(refusal)?.name).to.equal("SignatureInvalid");
    });
  }

  // ------------------------------------------------------------------ when a message is taken

  describe("grantWithSignature", () => {
    it("refuses a message a second time, one that was overtaken, and one ahead of its turn", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const dataGrant = await nextDataGrant(suite);
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      const send = () => access.connect(actors.relayer).grantWithSignature(dataGrant, signature);
      await send();

      await expect(send()).to.be.revertedWithCustomError(access, "SeqStale").withArgs(p256Device.id, 1n, 0n);
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });
      await expect(send()).to.be.revertedWithCustomError(access, "SeqStale").withArgs(p256Device.id, 2n, 0n);
      for (const seq of [1n, 3n, 2n ** 32n - 1n]) {
        await expect(sendSignedGrant(suite, actors.owner, { seq }))
          .to.be.revertedWithCustomError(access, "SeqStale")
          .withArgs(p256Device.id, 2n, seq);
      }
    });

    it("refuses a message of another epoch", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const dataGrant = await nextDataGrant(suite);
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      await revokeAll(suite);

      await expect(access.grantWithSignature(dataGrant, signature))
        .to.be.revertedWithCustomError(access, "EpochStale")
        .withArgs(p256Device.id, 2n, 1n);
      await expect(sendSignedGrant(suite, actors.owner, { epoch: 3n }))
        .to.be.revertedWithCustomError(access, "EpochStale")
        .withArgs(p256Device.id, 2n, 3n);
    });

    it("takes a message until its deadline and not a second longer", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const deadline = (await now()) + DAY;
      const dataGrant = await nextDataGrant(suite, { deadline });
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      const snapshot = await networkHelpers.takeSnapshot();

      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expect(access.grantWithSignature(dataGrant, signature))
        .to.be.revertedWithCustomError(access, "DeadlinePassed")
        .withArgs(deadline);
      await snapshot.restore();
      await networkHelpers.time.setNextBlockTimestamp(deadline);
      await access.grantWithSignature(dataGrant, signature);
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(1n);
    });

    it("says all that `grant` would say, before it asks for the signature", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device, accountDevice } = suite;
      const time = await now();
      const unknown = createP256Key().id;
      const reserved = getAddress(toBeHex(1, 20));
      const send = async (changes: Partial<DataGrant>) =>
        access.grantWithSignature(await nextDataGrant(suite, changes), "0x");

      const refusals: [Partial<DataGrant>, string, unknown[]][] = [
        [{ permissions: 0n }, "PermissionsNotGrantable", [0n]],
        [{ permissions: Share }, "PermissionsNotGrantable", [Share]],
        [{ permissions: GRANTABLE + (1n << 31n) }, "PermissionsNotGrantable", [GRANTABLE + (1n << 31n)]],
        [{ purposes: 0n }, "PurposesMissing", []],
        [{ notBefore: FOR_EVER, expiry: FOR_EVER }, "WindowInvalid", [FOR_EVER, FOR_EVER]],
        [{ expiry: time }, "WindowInvalid", [0n, time]],
        [{ device: unknown }, "DeviceNotEnrolled", [unknown]],
        [{ subject: reserved }, "IdReserved", [reserved]],
      ];
      for (const [changes, name, args] of refusals) {
        await expect(send(changes), name)
          .to.be.revertedWithCustomError(access, name)
          .withArgs(...args);
      }
      await devices.connect(actors.owner).retire(p256Device.id);
      await expect(send({})).to.be.revertedWithCustomError(access, "DeviceNotActive").withArgs(p256Device.id);
      await expect(send({ device: accountDevice.id })).to.be.revertedWithCustomError(access, "SignatureInvalid");
    });

    it("refuses words with bits that their types do not have", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors } = suite;
      const dataGrant = await nextDataGrant(suite);
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.owner));
      const data = access.interface.encodeFunctionData("grantWithSignature", [dataGrant, signature]);
      const widths = [160, 160, 160, 32, 32, 40, 40, 256, 24, 32, 40];
      const to = await access.getAddress();

      for (const [index, bits] of widths.entries()) {
        if (bits === 256) continue;
        const at = 4 + 32 * index;
        const dirty = BigInt(dataSlice(data, at, at + 32)) | (1n << BigInt(bits));
        const spoilt = concat([dataSlice(data, 0, at), toBeHex(dirty, 32), dataSlice(data, at + 32)]);
        await expect(actors.relayer.sendTransaction({ to, data: spoilt })).to.be.revertedWithoutReason(ethers);
        await expect(access.tryMulticall([spoilt]))
          .to.be.revertedWithCustomError(access, "CallBroken")
          .withArgs(0n);
      }
      await actors.relayer.sendTransaction({ to, data });
    });
  });

  // ------------------------------------------------------------------ revocations

  describe("revokeWithSignature", () => {
    it("is the subject's too", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });

      await expect(sendSignedRevocation(suite, actors.subject))
        .to.emit(access, "AccessRevoked")
        .withArgs(p256Device.id, actors.subject, actors.subject, 3n);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
    });

    it("is the subject's for its own grant alone", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, fleet, p256Device } = suite;
      for (const { address } of [actors.subject, actors.stranger]) {
        await sendGrant(suite, actors.owner, { device: p256Device.id, subject: address });
      }

      await expect(sendSignedRevocation(suite, actors.subject, { subject: actors.stranger.address }))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(fleet, actors.subject, Share);
    });

    it("takes the number after the present one, or the one after that, and no other", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const key = await accountKey(actors.owner);
      for (let count = 0; count < 3; count++) await access.connect(actors.owner).revoke(p256Device.id, SUBJECT);
      const snapshot = await networkHelpers.takeSnapshot();

      for (const seq of [0n, 1n, 2n, 3n, 6n, 7n, 2n ** 32n - 1n]) {
        await expect(sendSignedRevocation(suite, actors.owner, { subject: SUBJECT, seq }))
          .to.be.revertedWithCustomError(access, "SeqStale")
          .withArgs(p256Device.id, 3n, seq);
      }
      for (const seq of [4n, 5n]) {
        const revocation = await nextRevocation(suite, { subject: SUBJECT, seq });
        await expect(access.revokeWithSignature(revocation, await signRevocation(suite, revocation, key)))
          .to.emit(access, "AccessRevoked")
          .withArgs(p256Device.id, SUBJECT, actors.owner, seq);
        expect((await access.grantOf(p256Device.id, SUBJECT)).seq).to.equal(seq);
        await snapshot.restore();
      }
    });

    it("cannot be replayed, nor after the grant was given anew", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const key = await accountKey(actors.owner);
      const terms = { device: p256Device.id, subject: actors.subject.address };
      for (const ahead of [1n, 2n]) {
        const { seq } = await access.grantOf(p256Device.id, actors.subject);
        const revocation = await nextRevocation(suite, { seq: seq + ahead });
        const signature = await signRevocation(suite, revocation, key);
        const send = () => access.connect(actors.relayer).revokeWithSignature(revocation, signature);
        await send();
        await expect(send())
          .to.be.revertedWithCustomError(access, "SeqStale")
          .withArgs(p256Device.id, seq + ahead, seq + ahead);
        await sendGrant(suite, actors.owner, terms);
        await expect(send())
          .to.be.revertedWithCustomError(access, "SeqStale")
          .withArgs(p256Device.id, seq + ahead + 1n, seq + ahead);
        await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
      }
    });

    it("refuses a message of another epoch, or past its deadline", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const key = await accountKey(actors.owner);
      const deadline = (await now()) + DAY;
      const revocation = await nextRevocation(suite, { deadline });
      const signature = await signRevocation(suite, revocation, key);
      const snapshot = await networkHelpers.takeSnapshot();

      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expect(access.revokeWithSignature(revocation, signature))
        .to.be.revertedWithCustomError(access, "DeadlinePassed")
        .withArgs(deadline);
      await snapshot.restore();
      await revokeAll(suite);
      await expect(access.revokeWithSignature(revocation, signature))
        .to.be.revertedWithCustomError(access, "EpochStale")
        .withArgs(p256Device.id, 2n, 1n);
      const current = await nextRevocation(suite, { deadline });
      await networkHelpers.time.setNextBlockTimestamp(deadline);
      await access.revokeWithSignature(current, await signRevocation(suite, current, key));
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(2n);
    });

    it("works on a suspended and on a retired device, and where nothing was granted", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: SUBJECT });
      for (const become of [() => suspend(suite), () => devices.connect(actors.owner).retire(p256Device.id)]) {
        await become();
        const { seq } = await access.grantOf(p256Device.id, SUBJECT);
        await expect(sendSignedRevocation(suite, actors.owner, { subject: SUBJECT }))
          .to.emit(access, "AccessRevoked")
          .withArgs(p256Device.id, SUBJECT, actors.owner, seq + 2n);
      }
    });

    it("refuses a device that was never enrolled, even to the subject", async () => {
      const suite = await loadFixture(deployAccess);
      const device = createP256Key().id;

      for (const by of [suite.actors.owner, suite.actors.subject]) {
        await expect(sendSignedRevocation(suite, by, { device }))
          .to.be.revertedWithCustomError(suite.access, "DeviceNotEnrolled")
          .withArgs(device);
      }
    });

    it("reads nothing into a signature for the other kind of message", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors } = suite;
      const key = await accountKey(actors.owner);
      const dataGrant = await nextDataGrant(suite);
      const revocation = await nextRevocation(suite);

      await expect(
        access.grantWithSignature(dataGrant, await signRevocation(suite, revocation, key)),
      ).to.be.revertedWithCustomError(access, "SignatureInvalid");
      await expect(
        access.revokeWithSignature(revocation, await signDataGrant(suite, dataGrant, key)),
      ).to.be.revertedWithCustomError(access, "SignatureInvalid");
    });
  });

  // ------------------------------------------------------------------ a revoke kills what was signed

  describe("a revoke", () => {
    /** Every way to end a grant. */
    const ENDS: Record<string, (suite: Access) => Promise<unknown>> = {
      revoke: ({ access, actors, p256Device }) => access.connect(actors.owner).revoke(p256Device.id, actors.subject),
      "revoke by a member": ({ access, actors, p256Device }) =>
        access.connect(actors.admin).revoke(p256Device.id, actors.subject),
      revokeMany: ({ access, actors, p256Device }) =>
        access.connect(actors.owner).revokeMany([{ device: p256Device.id, subject: actors.subject.address }]),
      revokeWithSignature: (suite) => sendSignedRevocation(suite, suite.actors.owner),
      "revokeWithSignature by the subject": (suite) => sendSignedRevocation(suite, suite.actors.subject),
      renounce: ({ access, actors, p256Device }) => access.connect(actors.subject).renounce(p256Device.id),
      "another grant": (suite) =>
        sendGrant(suite, suite.actors.owner, {
          device: suite.p256Device.id,
          subject: suite.actors.subject.address,
          permissions: ReadHistory,
        }),
    };

    for (const [how, end] of Object.entries(ENDS)) {
      it(`kills every signature not yet sent: ${how}`, async () => {
        const suite = await loadFixture(deployAccess);
        const { access, actors, p256Device } = suite;
        await sendGrant(suite, actors.owner, { device: p256Device.id, subject: actors.subject.address });
        const signers = [actors.owner, actors.admin];
        const signed: { dataGrant: DataGrant; signature: string }[] = [];
        for (const signer of signers) {
          const dataGrant = await nextDataGrant(suite, { grantor: signer.address, permissions: GRANTABLE });
          signed.push({ dataGrant, signature: await signDataGrant(suite, dataGrant, await accountKey(signer)) });
        }
        await end(suite);
        const { seq } = await access.grantOf(p256Device.id, actors.subject);

        for (const { dataGrant, signature } of signed) {
          const isStanding = dataGrant.grantor === actors.admin.address && how === "another grant";
          const refused = expect(access.connect(actors.subject).grantWithSignature(dataGrant, signature)).to.be;
          if (isStanding) await refused.revertedWithCustomError(access, "OwnerGrantStands");
          else await refused.revertedWithCustomError(access, "SeqStale").withArgs(p256Device.id, seq, 1n);
        }
      });
    }

    it("is not escaped by a signed grant that is sent first", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const key = await accountKey(actors.owner);
      const dataGrant = await nextDataGrant(suite, { expiry: FOR_EVER });
      const granted = await signDataGrant(suite, dataGrant, key);
      const revocation = await nextRevocation(suite);
      const revoked = await signRevocation(suite, revocation, key);

      // The subject sees the revocation on its way, and is quicker.
      await access.connect(actors.subject).grantWithSignature(dataGrant, granted);
      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Grant");
      await access.connect(actors.relayer).revokeWithSignature(revocation, revoked);

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
      expect((await access.grantOf(p256Device.id, actors.subject)).seq).to.equal(2n);
      await expect(access.grantWithSignature(dataGrant, granted)).to.be.revertedWithCustomError(access, "SeqStale");
    });

    it("kills, unhurried, what was signed for the number that it passes over", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const key = await accountKey(actors.owner);
      const ahead = await nextDataGrant(suite, { seq: 1n });
      const signature = await signDataGrant(suite, ahead, key);
      await sendSignedRevocation(suite, actors.owner);

      await expect(access.grantWithSignature(ahead, signature))
        .to.be.revertedWithCustomError(access, "SeqStale")
        .withArgs(p256Device.id, 2n, 1n);
    });

    it("by its direct call ends a grant that was sent first", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await sendSignedGrant(suite, actors.owner);
      await access.connect(actors.owner).revoke(p256Device.id, actors.subject);

      await expectReason(suite, p256Device.id, actors.subject, ReadLive, "Revoked");
    });

    it("cannot be blocked by a subject that is a contract and takes nothing", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      await networkHelpers.setCode(SUBJECT, "0x5f5ffd");
      const pair = { device: p256Device.id, subject: SUBJECT };
      const ends = [
        () => access.connect(actors.owner).revoke(p256Device.id, SUBJECT),
        () => access.connect(actors.owner).revokeMany([pair]),
        () => sendSignedRevocation(suite, actors.owner, pair),
      ];

      for (const end of ends) {
        await sendGrant(suite, actors.owner, pair);
        await end();
        await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "Revoked");
      }
    });
  });

  // ------------------------------------------------------------------ what dies, what survives

  describe("when the device or the fleet passes on", () => {
    interface Signed {
      dataGrant: DataGrant;
      granted: string;
      revocation: Revocation;
      revoked: string;
    }

    /** A grant, a policy of each half, and what was signed and not sent. */
    async function prepare(suite: Access): Promise<Signed> {
      const { access, actors, p256Device } = suite;
      const key = await accountKey(actors.owner);
      await sendGrant(suite, actors.owner, { device: p256Device.id, subject: SUBJECT, expiry: FOR_EVER });
      await access.connect(actors.owner).setPolicy(p256Device.id, READ, PERMISSION.ReadMetadata, ALL_PURPOSES);
      await sendDevicePolicy(suite, p256Device, { ceiling: READ, publicRead: READ });
      const dataGrant = await nextDataGrant(suite, { subject: SUBJECT, deadline: FOR_EVER, expiry: FOR_EVER });
      const revocation = await nextRevocation(suite, { subject: SUBJECT, deadline: FOR_EVER });
      return {
        dataGrant,
        granted: await signDataGrant(suite, dataGrant, key),
        revocation,
        revoked: await signRevocation(suite, revocation, key),
      };
    }

    it("resale kills every grant, signature and the owner's policy, and spares the device's", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      const { dataGrant, granted, revocation, revoked } = await prepare(suite);
      const buyer = actors.stranger;
      await devices.connect(actors.owner).proposeTransfer(p256Device.id, buyer, (await now()) + DAY);
      await devices.connect(buyer).acceptTransfer(p256Device.id, p256Device.publicKey);

      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "EpochEnded");
      await expectReason(suite, p256Device.id, actors.relayer, PERMISSION.ReadMetadata, "NoGrant");
      await expectReason(suite, p256Device.id, actors.owner, ReadLive, "NoGrant");
      for (const sent of [
        () => access.grantWithSignature(dataGrant, granted),
        () => access.revokeWithSignature(revocation, revoked),
        () => access.connect(actors.owner).revoke(p256Device.id, SUBJECT),
        () => access.connect(actors.admin).revoke(p256Device.id, SUBJECT),
      ]) {
        await expect(sent()).to.be.revertedWithCustomError(access, "CallerLacksPermission");
      }
      const policy = await access.policyOf(p256Device.id);
      expect({ owner: policy.owner.isSet, device: policy.device.isSet }).to.deep.equal({ owner: false, device: true });
      // What the buyer gives lies under the device's half as before.
      await sendGrant(suite, buyer, { device: p256Device.id, subject: SUBJECT, permissions: GRANTABLE });
      await expectReason(suite, p256Device.id, SUBJECT, Command, "DevicePolicy");
      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "Grant");
    });

    it("resale and back again revives nothing", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, fleet, p256Device } = suite;
      const { dataGrant, granted, revocation, revoked } = await prepare(suite);
      const buyer = actors.stranger;
      await devices.connect(actors.owner).proposeTransfer(p256Device.id, buyer, (await now()) + DAY);
      await devices.connect(buyer).acceptTransfer(p256Device.id, p256Device.publicKey);
      await devices.connect(buyer).proposeTransfer(p256Device.id, fleet, (await now()) + DAY);
      await devices.connect(actors.owner).acceptTransfer(p256Device.id, p256Device.publicKey);

      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "EpochEnded");
      await expectReason(suite, p256Device.id, actors.relayer, PERMISSION.ReadMetadata, "NoGrant");
      for (const sent of [
        () => access.grantWithSignature(dataGrant, granted),
        () => access.revokeWithSignature(revocation, revoked),
      ]) {
        await expect(sent()).to.be.revertedWithCustomError(access, "EpochStale").withArgs(p256Device.id, 3n, 1n);
      }
    });

    it("revokeAll kills the same, for the same owner", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, actors, p256Device } = suite;
      const { dataGrant, granted, revocation, revoked } = await prepare(suite);
      await revokeAll(suite);

      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "EpochEnded");
      await expectReason(suite, p256Device.id, actors.relayer, PERMISSION.ReadMetadata, "NoGrant");
      for (const sent of [
        () => access.grantWithSignature(dataGrant, granted),
        () => access.revokeWithSignature(revocation, revoked),
      ]) {
        await expect(sent()).to.be.revertedWithCustomError(access, "EpochStale").withArgs(p256Device.id, 2n, 1n);
      }
      expect((await access.policyOf(p256Device.id)).device.isSet).to.equal(true);
    });

    it("retirement closes the device to all outsiders, and leaves the last owner its revokes", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, devices, actors, p256Device } = suite;
      const { dataGrant, granted } = await prepare(suite);
      await devices.connect(actors.owner).retire(p256Device.id);

      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "DeviceRetired");
      await expectReason(suite, p256Device.id, actors.relayer, PERMISSION.ReadMetadata, "DeviceRetired");
      await expect(access.grantWithSignature(dataGrant, granted))
        .to.be.revertedWithCustomError(access, "DeviceNotActive")
        .withArgs(p256Device.id);
      await sendSignedRevocation(suite, actors.owner, { subject: SUBJECT });
      expect((await access.grantOf(p256Device.id, SUBJECT)).permissions).to.equal(0n);
    });

    it("a handover of the fleet spares grants and policies, and kills what the former governor signed", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, roles, actors, fleet, p256Device } = suite;
      const { dataGrant, granted, revocation, revoked } = await prepare(suite);
      await roles.connect(actors.owner).proposeGovernor(fleet, actors.stranger);
      await roles.connect(actors.stranger).acceptGovernor(fleet, true);

      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "Grant");
      await expectReason(suite, p256Device.id, actors.relayer, PERMISSION.ReadMetadata, "Public");
      for (const sent of [
        () => access.grantWithSignature(dataGrant, granted),
        () => access.revokeWithSignature(revocation, revoked),
      ]) {
        await expect(sent())
          .to.be.revertedWithCustomError(access, "CallerLacksPermission")
          .withArgs(fleet, actors.owner, Share);
      }
      await access.connect(actors.stranger).revoke(p256Device.id, SUBJECT);
      await expectReason(suite, p256Device.id, SUBJECT, ReadLive, "Revoked");
    });

    it("a member's signed grant dies with the member's role", async () => {
      const suite = await loadFixture(deployAccess);
      const { access, roles, actors, fleet } = suite;
      const dataGrant = await nextDataGrant(suite, { grantor: actors.admin.address });
      const signature = await signDataGrant(suite, dataGrant, await accountKey(actors.admin));
      await roles.connect(actors.owner).setRoles(fleet, actors.admin, 0n, 0n, 0n);

      await expect(access.grantWithSignature(dataGrant, signature))
        .to.be.revertedWithCustomError(access, "CallerLacksPermission")
        .withArgs(fleet, actors.admin, Share);
    });
  });
});
