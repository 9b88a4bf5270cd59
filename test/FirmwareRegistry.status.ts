import { expect } from "chai";
import { encodeBytes32String, id } from "ethers";

import { accountKey, createP256Key, type Key } from "../client/keys.js";
import { messageDigest, messageTypes, statusChangeMessage } from "../client/typed-data.js";

import { DAY, ethers, loadFixture, networkHelpers, now } from "./support/chain.js";
import {
  QUORUM,
  STATUS,
  V1,
  V2,
  V3,
  deployReleases,
  indexOf,
  makeRelease,
  makeStatusChange,
  maskOf,
  publish,
  setStatus,
  signAll,
  signerKinds,
  type Firmware,
  type Quorum,
  type SignerKeys,
  type SignerProof,
  type Status,
  type StatusChange,
} from "./support/firmware.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";

/** The releases that `deployReleases` publishes as heads: each counts as a message of the Release quorum. */
const PUBLISHED = 2n;

const statusName = (status: Status): string => Object.keys(STATUS)[status]!;

/** Brings the release V1 from Live to a status. */
async function bring(suite: Firmware, status: Status): Promise<void> {
  if (status !== STATUS.Live) await setStatus(suite, await makeStatusChange(suite, { version: V1, status }));
}

/** The nonces and the status of V1: what a status change leaves behind, besides heads. */
async function stateOf({ firmware, productId }: Firmware): Promise<[Status, bigint, bigint]> {
  const { releaseNonce, revokeNonce } = await firmware.productOf(productId);
  const { status } = await firmware.releaseOf(productId, V1);
  return [Number(status) as Status, releaseNonce, revokeNonce];
}

async function headsOf({ firmware, productId }: Firmware): Promise<bigint[]> {
  return Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((channel) => firmware.headOf(productId, channel)));
}

describe("FirmwareRegistry.setStatus", () => {
  describe("status", () => {
    const moves = [
      [STATUS.Live, STATUS.Yanked],
      [STATUS.Live, STATUS.Revoked],
      [STATUS.Yanked, STATUS.Live],
      [STATUS.Yanked, STATUS.Revoked],
    ] as const;
    for (const [from, to] of moves) {
      it(`goes from ${statusName(from)} to ${statusName(to)} by the Release quorum, whoever sends`, async () => {
        const suite = await loadFixture(deployReleases);
        await bring(suite, from);
        const [, nonce] = await stateOf(suite);
        const { firmware, productId, keys } = suite;

        await expect(setStatus(suite, await makeStatusChange(suite, { version: V1, status: to })))
          .to.emit(firmware, "StatusChanged")
          .withArgs(productId, V1, from, to, QUORUM.Release, [], nonce, maskOf(suite, [keys.engineer, keys.hsm]));

        expect(await stateOf(suite)).to.deep.equal([to, nonce + 1n, 0n]);
        expect(await headsOf(suite)).to.deep.equal([V1, V2, 0n, 0n, 0n, V1, 0n, 0n]);
      });
    }

    it("goes from Live to Yanked by the Revoke quorum alone", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, productId, keys } = suite;
      const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum: QUORUM.Revoke });

      await expect(setStatus(suite, change))
        .to.emit(firmware, "StatusChanged")
        .withArgs(productId, V1, STATUS.Live, STATUS.Yanked, QUORUM.Revoke, [], 0, maskOf(suite, [keys.officer]));

      expect(await stateOf(suite)).to.deep.equal([STATUS.Yanked, PUBLISHED + 1n, 1n]);
    });

    it("leaves all else of the release as it was", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, productId } = suite;
      const before = structOf(await firmware.releaseOf(productId, V1));

      await setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Yanked }));

      const after = structOf(await firmware.releaseOf(productId, V1));
      expect(after).to.deep.equal({ ...before, status: BigInt(STATUS.Yanked) });
      expect((await firmware.releaseOf(productId, V2)).status).to.equal(STATUS.Live);
    });

    const refusals = [
      [STATUS.Live, STATUS.None],
      [STATUS.Live, STATUS.Live],
      [STATUS.Yanked, STATUS.None],
      [STATUS.Yanked, STATUS.Yanked],
      [STATUS.Revoked, STATUS.None],
      [STATUS.Revoked, STATUS.Live],
      [STATUS.Revoked, STATUS.Yanked],
      [STATUS.Revoked, STATUS.Revoked],
    ] as const;
    for (const [from, to] of refusals) {
      it(`does not go from ${statusName(from)} to ${statusName(to)}`, async () => {
        const suite = await loadFixture(deployReleases);
        await bring(suite, from);

        await expect(setStatus(suite, await makeStatusChange(suite, { version: V1, status: to })))
          .to.be.revertedWithCustomError(suite.firmware, "StatusChangeInvalid")
          .withArgs(suite.productId, V1, from, to);
      });
    }

    it("stays Revoked whatever heads are named", async () => {
      const suite = await loadFixture(deployReleases);
      await bring(suite, STATUS.Revoked);
      const change = { version: V1, status: STATUS.Revoked, heads: [{ channel: 0, version: 0n }] };

      await expect(setStatus(suite, await makeStatusChange(suite, change)))
        .to.be.revertedWithCustomError(suite.firmware, "StatusChangeInvalid")
        .withArgs(suite.productId, V1, STATUS.Revoked, STATUS.Revoked);
    });

    it("stays Yanked for the Revoke quorum that names no head", async () => {
      const suite = await loadFixture(deployReleases);
      await bring(suite, STATUS.Yanked);
      const change = { version: V1, status: STATUS.Yanked, quorum: QUORUM.Revoke };

      await expect(setStatus(suite, await makeStatusChange(suite, change)))
        .to.be.revertedWithCustomError(suite.firmware, "StatusChangeInvalid")
        .withArgs(suite.productId, V1, STATUS.Yanked, STATUS.Yanked);
    });

    it("does not become one that does not exist", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, actors, signerSet } = suite;
      const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked });
      const data = firmware.interface.encodeFunctionData("setStatus", [change, signerSet, []]);
      const at = 10 + 64 * (3 + 2); // after 3 offsets: productId, version, status
      const altered = `${data.slice(0, at)}${"4".padStart(64, "0")}${data.slice(at + 64)}`;

      expect(BigInt(`0x${data.slice(at, at + 64)}`)).to.equal(BigInt(STATUS.Yanked));
      await expect(actors.relayer.sendTransaction({ to: firmware, data: altered })).to.be.revertedWithoutReason(ethers);
    });

    for (const [quorum, to] of [
      [QUORUM.Root, STATUS.Live],
      [QUORUM.Root, STATUS.Yanked],
      [QUORUM.Root, STATUS.Revoked],
      [QUORUM.Revoke, STATUS.Live],
      [QUORUM.Revoke, STATUS.Revoked],
    ] as const) {
      it(`does not become ${statusName(to)} by ${quorum === QUORUM.Root ? "Root" : "Revoke"}`, async () => {
        const suite = await loadFixture(deployReleases);
        const { engineer, officer } = suite.keys;
        await bring(suite, to === STATUS.Live ? STATUS.Yanked : STATUS.Live);
        const change = await makeStatusChange(suite, { version: V1, status: to, quorum });

        await expect(setStatus(suite, change, [quorum === QUORUM.Root ? engineer : officer]))
          .to.be.revertedWithCustomError(suite.firmware, "QuorumInsufficient")
          .withArgs(quorum);
      });
    }

    for (const [version, name] of [
      [0n, "version 0"],
      [V3, "a version"],
    ] as const) {
      it(`cannot be set for ${name} that was never published`, async () => {
        const suite = await loadFixture(deployReleases);
        await expect(setStatus(suite, await makeStatusChange(suite, { version, status: STATUS.Yanked })))
          .to.be.revertedWithCustomError(suite.firmware, "ReleaseUnknown")
          .withArgs(suite.productId, version);
      });
    }

    it("cannot be set in a product that does not exist", async () => {
      const suite = await loadFixture(deployReleases);
      const change = { version: V1, status: STATUS.Yanked, productId: id("nothing") };
      await expect(setStatus(suite, await makeStatusChange(suite, change)))
        .to.be.revertedWithCustomError(suite.firmware, "ProductUnknown")
        .withArgs(id("nothing"));
    });
  });

  describe("heads", () => {
    interface Case {
      name: string;
      /** V1 before; Live unless told. */
      from?: Status;
      status: Status;
      quorum?: Quorum;
      heads: [channel: number, version: bigint][];
      after: bigint[];
    }
    const { Live, Yanked, Revoked } = STATUS;
    const cases: Case[] = [
      {
        name: "move to another release when theirs is yanked",
        status: Yanked,
        heads: [
          [0, V2],
          [5, V2],
        ],
        after: [V2, V2, 0n, 0n, 0n, V2, 0n, 0n],
      },
      {
        name: "are emptied when their release is revoked",
        status: Revoked,
        heads: [[0, 0n]],
        after: [0n, V2, 0n, 0n, 0n, V1, 0n, 0n],
      },
      {
        name: "move back to an older release alone",
        status: Live,
        heads: [[1, V1]],
        after: [V1, V1, 0n, 0n, 0n, V1, 0n, 0n],
      },
      {
        name: "move on to a newer release alone",
        status: Live,
        heads: [[5, V2]],
        after: [V1, V2, 0n, 0n, 0n, V2, 0n, 0n],
      },
      { name: "are emptied alone", status: Live, heads: [[1, 0n]], after: [V1, 0n, 0n, 0n, 0n, V1, 0n, 0n] },
      {
        name: "move away from a release that stays yanked",
        from: Yanked,
        status: Yanked,
        heads: [[0, V2]],
        after: [V2, V2, 0n, 0n, 0n, V1, 0n, 0n],
      },
      {
        name: "move to a release that returns to Live with them",
        from: Yanked,
        status: Live,
        heads: [[1, V1]],
        after: [V1, V1, 0n, 0n, 0n, V1, 0n, 0n],
      },
      {
        name: "may be named as they are, if something else changes",
        status: Live,
        heads: [
          [0, V1],
          [1, V1],
        ],
        after: [V1, V1, 0n, 0n, 0n, V1, 0n, 0n],
      },
      {
        name: "are emptied by the Revoke quorum where they name the release that it yanks",
        status: Yanked,
        quorum: QUORUM.Revoke,
        heads: [
          [0, 0n],
          [5, 0n],
        ],
        after: [0n, V2, 0n, 0n, 0n, 0n, 0n, 0n],
      },
      {
        name: "are emptied by the Revoke quorum where they name a release that is yanked already",
        from: Yanked,
        status: Yanked,
        quorum: QUORUM.Revoke,
        heads: [[5, 0n]],
        after: [V1, V2, 0n, 0n, 0n, 0n, 0n, 0n],
      },
    ];
    for (const { name, from = Live, status, quorum = QUORUM.Release, heads, after } of cases) {
      it(name, async () => {
        const suite = await loadFixture(deployReleases);
        const { firmware, productId, keys } = suite;
        await bring(suite, from);
        const change = await makeStatusChange(suite, {
          version: V1,
          status,
          quorum,
          heads: heads.map(([channel, version]) => ({ channel, version })),
        });
        const by = quorum === QUORUM.Revoke ? [keys.secureElement] : [keys.wallet, keys.hsm];

        await expect(setStatus(suite, change, by))
          .to.emit(firmware, "StatusChanged")
          .withArgs(productId, V1, from, status, quorum, heads, change.nonce, maskOf(suite, by));

        expect(await headsOf(suite)).to.deep.equal(after);
        expect((await stateOf(suite))[0]).to.equal(status);
      });
    }

    it("can all be named at once", async () => {
      const suite = await loadFixture(deployReleases);
      await publish(suite, await makeRelease(suite, { version: V3, channels: 0xff }));
      const heads = Array.from({ length: 8 }, (_, channel) => ({ channel, version: V3 }));

      await setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, heads }));

      expect(await headsOf(suite)).to.deep.equal(Array(8).fill(V3));
    });

    it("stay as they are when they are not named, and come back with their release", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, productId } = suite;
      await bring(suite, STATUS.Yanked);
      expect((await firmware.latest(productId, 0)).version).to.equal(0n);

      await setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Live }));
      expect((await firmware.latest(productId, 0)).version).to.equal(V1);
    });

    const refuse = async (change: Omit<Partial<StatusChange>, "version"> & { status: Status }) => {
      const suite = await loadFixture(deployReleases);
      await publish(suite, await makeRelease(suite, { version: V3, channels: 0b10 }));
      await setStatus(suite, await makeStatusChange(suite, { version: V3, status: STATUS.Yanked }));
      const sent = setStatus(suite, await makeStatusChange(suite, { version: V1, ...change }));
      return { suite, sent };
    };

    for (const channel of [8, 255]) {
      it(`refuses the channel ${channel}`, async () => {
        const { suite, sent } = await refuse({ status: STATUS.Yanked, heads: [{ channel, version: 0n }] });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "ChannelUnknown").withArgs(channel);
      });
    }

    for (const [first, second] of [
      [0, 0],
      [5, 1],
    ] as const) {
      it(`refuses channel ${second} after channel ${first}`, async () => {
        const heads = [first, second].map((channel) => ({ channel, version: 0n }));
        const { suite, sent } = await refuse({ status: STATUS.Yanked, heads });
        await expect(sent)
          .to.be.revertedWithCustomError(suite.firmware, "ChannelsNotAscending")
          .withArgs(first, second);
      });
    }

    for (const [why, status, channel, version] of [
      ["that does not exist", STATUS.Live, 0, V3 + 1n],
      ["that is yanked", STATUS.Live, 1, V3],
      ["that does not list the channel", STATUS.Live, 2, V1],
      ["that the same message yanks", STATUS.Yanked, 1, V1],
      ["that the same message revokes", STATUS.Revoked, 0, V1],
    ] as const) {
      it(`refuses a release ${why}`, async () => {
        const { suite, sent } = await refuse({ status, heads: [{ channel, version }] });
        await expect(sent)
          .to.be.revertedWithCustomError(suite.firmware, "HeadInvalid")
          .withArgs(suite.productId, channel, version);
      });
    }

    it("refuses a message that names heads as they are and changes nothing", async () => {
      const heads = [
        { channel: 0, version: V1 },
        { channel: 2, version: 0n },
      ];
      const { suite, sent } = await refuse({ status: STATUS.Live, heads });
      await expect(sent)
        .to.be.revertedWithCustomError(suite.firmware, "StatusChangeInvalid")
        .withArgs(suite.productId, V1, STATUS.Live, STATUS.Live);
    });

    it("refuses the Revoke quorum to move a head", async () => {
      const heads = [{ channel: 0, version: V2 }];
      const { suite, sent } = await refuse({ status: STATUS.Yanked, quorum: QUORUM.Revoke, heads });
      await expect(sent).to.be.revertedWithCustomError(suite.firmware, "QuorumInsufficient").withArgs(QUORUM.Revoke);
    });

    it("leaves the heads that another release is, or that are empty, to themselves when the Revoke quorum names them", async () => {
      const suite = await loadFixture(deployReleases);
      const before = await headsOf(suite);
      const heads = [0, 1, 2].map((channel) => ({ channel, version: 0n }));
      await setStatus(
        suite,
        await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum: QUORUM.Revoke, heads }),
      );
      expect(before.slice(0, 3)).to.deep.equal([V1, V2, 0n]);
      expect(await headsOf(suite)).to.deep.equal([0n, ...before.slice(1)]);
    });
  });

  describe("nonces", () => {
    it("count each quorum's messages apart, so that neither voids the other's", async () => {
      const suite = await loadFixture(deployReleases);
      const emergency = await makeStatusChange(suite, {
        version: V1,
        status: STATUS.Yanked,
        quorum: QUORUM.Revoke,
        deadline: (await now()) + 7n * DAY,
      });
      await setStatus(suite, await makeStatusChange(suite, { version: V2, status: STATUS.Yanked }));
      await setStatus(suite, await makeStatusChange(suite, { version: V2, status: STATUS.Live }));

      await setStatus(suite, emergency);

      expect(await stateOf(suite)).to.deep.equal([STATUS.Yanked, PUBLISHED + 3n, 1n]);
    });

    it("keep a routine message that is not sent yet from undoing an emergency", async () => {
      const suite = await loadFixture(deployReleases);
      const promotion = await makeStatusChange(suite, {
        version: V1,
        status: STATUS.Live,
        heads: [{ channel: 1, version: V1 }],
      });
      await setStatus(
        suite,
        await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum: QUORUM.Revoke }),
      );

      await expect(setStatus(suite, promotion))
        .to.be.revertedWithCustomError(suite.firmware, "NonceStale")
        .withArgs(suite.productId, QUORUM.Release, PUBLISHED + 1n, PUBLISHED);
      expect(await stateOf(suite)).to.deep.equal([STATUS.Yanked, PUBLISHED + 1n, 1n]);
    });

    it("keep a message about heads that is not sent yet from rolling back a publication", async () => {
      const suite = await loadFixture(deployReleases);
      const back = await makeStatusChange(suite, {
        version: V1,
        status: STATUS.Live,
        heads: [{ channel: 1, version: V1 }],
      });
      await publish(suite, await makeRelease(suite, { version: V3 + 1n, heads: 0b10 }));

      await expect(setStatus(suite, back))
        .to.be.revertedWithCustomError(suite.firmware, "NonceStale")
        .withArgs(suite.productId, QUORUM.Release, PUBLISHED + 1n, PUBLISHED);
      expect((await headsOf(suite))[1]).to.equal(V3 + 1n);
    });

    it("let an emergency through after a publication took the heads that it names", async () => {
      const suite = await loadFixture(deployReleases);
      const emergency = await makeStatusChange(suite, {
        version: V1,
        status: STATUS.Yanked,
        quorum: QUORUM.Revoke,
        heads: [{ channel: 0, version: 0n }],
      });
      await publish(suite, await makeRelease(suite, { version: V3 + 1n, heads: 0b01 }));

      await setStatus(suite, emergency);

      expect(await stateOf(suite)).to.deep.equal([STATUS.Yanked, PUBLISHED + 2n, 1n]);
      expect((await headsOf(suite))[0]).to.equal(V3 + 1n);
    });

    for (const [quorum, name] of [
      [QUORUM.Release, "Release"],
      [QUORUM.Revoke, "Revoke"],
    ] as const) {
      it(`refuse a message of the ${name} quorum that was used`, async () => {
        const suite = await loadFixture(deployReleases);
        const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum });
        await setStatus(suite, change);
        // The release is Live again, so only the nonce stands in the way.
        await setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Live }));
        const current = quorum === QUORUM.Release ? PUBLISHED + 2n : 1n;

        await expect(setStatus(suite, change))
          .to.be.revertedWithCustomError(suite.firmware, "NonceStale")
          .withArgs(suite.productId, quorum, current, change.nonce);
      });
    }

    it("refuse a message ahead of its turn", async () => {
      const suite = await loadFixture(deployReleases);
      await expect(
        setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, nonce: PUBLISHED + 1n })),
      )
        .to.be.revertedWithCustomError(suite.firmware, "NonceStale")
        .withArgs(suite.productId, QUORUM.Release, PUBLISHED, PUBLISHED + 1n);
    });
  });

  describe("message", () => {
    for (const epoch of [0, 2]) {
      it(`is refused with epoch ${epoch} in epoch 1`, async () => {
        const suite = await loadFixture(deployReleases);
        await expect(setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, epoch })))
          .to.be.revertedWithCustomError(suite.firmware, "SignerEpochStale")
          .withArgs(suite.productId, 1, epoch);
      });
    }

    it("is taken at its deadline and refused a second later", async () => {
      const suite = await loadFixture(deployReleases);
      const deadline = (await now()) + DAY;
      const change = { status: STATUS.Yanked, deadline, quorum: QUORUM.Revoke };
      const first = await makeStatusChange(suite, { ...change, version: V1 });
      const second = await makeStatusChange(suite, { ...change, version: V2, nonce: 1 });

      await networkHelpers.time.setNextBlockTimestamp(deadline);
      await setStatus(suite, first);
      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      await expect(setStatus(suite, second))
        .to.be.revertedWithCustomError(suite.firmware, "DeadlinePassed")
        .withArgs(deadline);
    });

    it("is refused with another signer set", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, productId, signerSet } = suite;
      const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked });
      const proofs = await signAll(suite, statusChangeMessage(suite.firmwareDomain, change), [suite.keys.engineer]);
      const { setHash } = await firmware.productOf(productId);

      await expect(firmware.setStatus(change, { ...signerSet, releaseThreshold: 1 }, proofs))
        .to.be.revertedWithCustomError(firmware, "SignerSetMismatch")
        .withArgs(productId, setHash, (hash: string) => hash !== setHash);
    });

    for (const [quorum, names, needed] of [
      [QUORUM.Release, ["engineer"], 2],
      [QUORUM.Revoke, [], 1],
    ] as [Quorum, (keyof SignerKeys)[], number][]) {
      it(`is refused with ${names.length} of ${needed} signatures`, async () => {
        const suite = await loadFixture(deployReleases);
        const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum });
        const keys = names.map((name) => suite.keys[name]);
        await expect(setStatus(suite, change, keys))
          .to.be.revertedWithCustomError(suite.firmware, "ThresholdNotMet")
          .withArgs(quorum, names.length, needed);
      });
    }

    it("is refused with a signature of a signer of another quorum", async () => {
      const suite = await loadFixture(deployReleases);
      const { engineer, wallet, officer, hsm } = suite.keys;
      const byRelease = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked });
      const byRevoke = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum: QUORUM.Revoke });
      const refused = async (change: StatusChange, keys: Key[], signer: Key): Promise<void> => {
        await expect(setStatus(suite, change, keys))
          .to.be.revertedWithCustomError(suite.firmware, "SignerNotInQuorum")
          .withArgs(signer.id, change.quorum);
      };

      await refused(byRelease, [engineer, hsm, officer], officer);
      await refused(byRevoke, [wallet], wallet);
    });

    it("is refused with a signature that stands twice, or by a signer that does not exist", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, keys, signerSet } = suite;
      const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked });
      const message = statusChangeMessage(suite.firmwareDomain, change);
      const [proof] = (await signAll(suite, message, [keys.engineer])) as [SignerProof];

      await expect(firmware.setStatus(change, signerSet, [proof, proof]))
        .to.be.revertedWithCustomError(firmware, "ProofsNotAscending")
        .withArgs(proof.signer, proof.signer);
      await expect(firmware.setStatus(change, signerSet, [proof, { ...proof, signer: 5 }]))
        .to.be.revertedWithCustomError(firmware, "SignerUnknown")
        .withArgs(5);
    });

    const quorums = [
      ["Release", QUORUM.Release],
      ["Revoke", QUORUM.Revoke],
    ] as const;
    for (const [quorumName, quorum] of quorums) {
      // Neither the engineer nor the wallet revokes; the officer does, by an account.
      const kinds: (readonly [string, keyof SignerKeys])[] =
        quorum === QUORUM.Release
          ? [...signerKinds]
          : [["an account", "officer"], ...signerKinds.filter(([, key]) => key === "hsm" || key === "secureElement")];
      for (const [kind, name] of kinds) {
        it(`is refused with every wrong signature of ${kind} of the ${quorumName} quorum`, async () => {
          const suite = await loadFixture(deployReleases);
          const { firmware, actors, keys, signerSet } = suite;
          const key = keys[name];
          const change = await makeStatusChange(suite, {
            version: V1,
            status: STATUS.Yanked,
            quorum,
            heads: [{ channel: 0, version: 0n }],
          });
          const message = statusChangeMessage(suite.firmwareDomain, change);
          const isAccount = key.publicKey === "0x";
          const wrong = await wrongProofs({
            key,
            wrongKey: isAccount ? await accountKey(actors.stranger) : createP256Key(),
            message,
            alter: { heads: [{ channel: 5, version: 0n }] },
          });
          const enough = quorum === QUORUM.Release ? [keys.engineer, keys.wallet, keys.hsm] : [keys.officer, keys.hsm];
          const right = await signAll(
            suite,
            message,
            enough.filter((other) => other !== key),
          );

          expect(wrong).to.have.length(5 + messageTypes.StatusChange.length);
          for (const { name: why, proof } of wrong) {
            const proofs = [...right, { signer: indexOf(suite, key), proof }].sort((a, b) => a.signer - b.signer);
            await expect(firmware.setStatus(change, signerSet, proofs), why)
              .to.be.revertedWithCustomError(firmware, "KeyProofInvalid")
              .withArgs(key.id, messageDigest(message));
          }
        });
      }
    }

    it("is refused with heads left out, put in or altered", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, keys, signerSet } = suite;
      const head = { channel: 0, version: 0n };
      const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, heads: [head] });
      const by = [keys.engineer, keys.hsm];
      const proofs = await signAll(suite, statusChangeMessage(suite.firmwareDomain, change), by);
      const first = signerSet.signers[proofs[0]!.signer]!.keyId;

      for (const heads of [[], [head, { channel: 5, version: 0n }], [{ channel: 0, version: V2 }]]) {
        const altered = { ...change, heads };
        await expect(firmware.setStatus(altered, signerSet, proofs))
          .to.be.revertedWithCustomError(firmware, "KeyProofInvalid")
          .withArgs(first, messageDigest(statusChangeMessage(suite.firmwareDomain, altered)));
      }
    });

    it("is for one product only, though another has the same signers", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, actors, fleet, hardwareClass, keys, signerSet } = suite;
      const radio = encodeBytes32String("radio");
      await firmware.connect(actors.maker).createProduct(fleet, hardwareClass, radio, signerSet);
      const other = { ...suite, productId: await firmware.productIdOf(fleet, hardwareClass, radio) };
      await publish(other, await makeRelease(other, { version: V1 }));
      const change = await makeStatusChange(suite, { version: V1, status: STATUS.Yanked, quorum: QUORUM.Revoke });
      const proofs = await signAll(suite, statusChangeMessage(suite.firmwareDomain, change), [keys.officer]);
      const moved = { ...change, productId: other.productId };

      await expect(firmware.setStatus(moved, signerSet, proofs))
        .to.be.revertedWithCustomError(firmware, "KeyProofInvalid")
        .withArgs(keys.officer.id, messageDigest(statusChangeMessage(suite.firmwareDomain, moved)));
    });
  });
});
