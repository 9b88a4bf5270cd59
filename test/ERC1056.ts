import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import { concat, hexlify, MaxUint256, toBeHex, toUtf8Bytes, Wallet, zeroPadBytes, ZeroAddress, ZeroHash } from "ethers";
import type { SigningKey, TransactionResponse } from "ethers";
import fc from "fast-check";

import { accountKey, createP256Key, type Key } from "../client/keys.js";
import { enrollmentMessage, keyRotationMessage } from "../client/typed-data.js";
import type { DeviceRegistry } from "../typechain-types/index.js";

import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { anyHistory, deployIdentities, play } from "./support/did-histories.js";
import { resolveDid } from "./support/did-resolver.js";
import { deployFleet, enrollDevice, wrongCallers, type Actors, type Fleet } from "./support/fleet.js";
import {
  encodeDirect,
  encodeSigned,
  firstNonce,
  JUMP,
  legacyDigest,
  signingKeyOf,
  signLegacy,
  withHighS,
  type Action,
  type LegacyMessage,
} from "./support/legacy-signatures.js";
import { deployMarket, enrollFor, redeem, saleOf, type Market, type Party } from "./support/transfers.js";

/** An identity and who speaks for it. */
interface Identity {
  name: string;
  id: string;
  controller: string;
  governor: HardhatEthersSigner;
  isEnrolled: boolean;
}

interface World extends Fleet {
  identities: Identity[];
  /** One that is its own controller, the account `actors.maker`. */
  own: Identity;
  /** The account `actors.gateway`, which `actors.maker` controls. */
  controlled: Identity;
  /** The fleet's P-256 device and its account device. */
  p256: Identity;
  account: Identity;
  /** A device of the account `actors.maker`, and its key. */
  makers: Identity;
  makersKey: Key;
}

type Call = Pick<LegacyMessage, "identity" | "action" | "args">;

const bytes32 = (text: string): string => zeroPadBytes(toUtf8Bytes(text), 32);
const VERI_KEY = bytes32("veriKey");
const SIG_AUTH = bytes32("sigAuth");
const SIG_AUTH_AND_MORE = zeroPadBytes(concat([toUtf8Bytes("sigAuth"), "0x00", toUtf8Bytes("more")]), 32);
const SERVICE = bytes32("did/svc/MessagingService");
const ENDPOINT = hexlify(toUtf8Bytes("https://fleet.example"));
const DELEGATE = "0x00000000000000000000000000000000DeaDBeef";
const NOBODY = { v: 27, r: ZeroHash, s: ZeroHash };

/** All actions, with arguments that all identities but enrolled devices can do each with. */
const CALLS: [Action, LegacyMessage["args"]][] = [
  ["changeOwner", [DELEGATE]],
  ["addDelegate", [VERI_KEY, DELEGATE, DAY]],
  ["revokeDelegate", [VERI_KEY, DELEGATE]],
  ["setAttribute", [SERVICE, ENDPOINT, DAY]],
  ["revokeAttribute", [SERVICE, ENDPOINT]],
];
const ACTIONS = CALLS.map(([action]) => action);
const WAYS = ["sent", "signed"] as const;
/** How a device changes hands. */
const HANDS = ["by offer", "by voucher", "by bearer voucher"] as const;

const IDENTITY_NAMES = [
  "an account that is its own controller",
  "an identity that another account controls",
  "a fleet handle's P-256 device",
  "a fleet handle's account device",
  "an account's device",
] as const;
/** Where the devices begin among the identities. */
const FIRST_DEVICE = 2;

async function deployWorld(): Promise<World> {
  const suite = await deployFleet();
  const { devices, actors, fleet, p256Device, accountDevice } = suite;
  const { owner, maker } = actors;
  const makersKey = createP256Key();
  await enrollDevice(suite, { key: makersKey, owner: maker.address, by: maker });
  await devices.connect(actors.gateway).changeOwner(actors.gateway, maker);
  const byMaker = { controller: maker.address, governor: maker };
  const byOwner = { controller: fleet, governor: owner };
  const own = { name: IDENTITY_NAMES[0], id: maker.address, ...byMaker, isEnrolled: false };
  const controlled = { name: IDENTITY_NAMES[1], id: actors.gateway.address, ...byMaker, isEnrolled: false };
  const p256 = { name: IDENTITY_NAMES[2], id: p256Device.id, ...byOwner, isEnrolled: true };
  const account = { name: IDENTITY_NAMES[3], id: accountDevice.id, ...byOwner, isEnrolled: true };
  const makers = { name: IDENTITY_NAMES[4], id: makersKey.id, ...byMaker, isEnrolled: true };
  const identities: Identity[] = [own, controlled, p256, account, makers];
  return { ...suite, identities, own, controlled, p256, account, makers, makersKey };
}

/** What is needed to sign for an identity. */
type Speaker = Pick<Identity, "id" | "controller" | "governor">;

/** What the governor of the identity signs to let others make this call next. */
async function messageOf({ devices }: Fleet, controller: string, call: Call): Promise<LegacyMessage> {
  return { ...call, registry: await devices.getAddress(), nonce: await devices.nonce(controller) };
}

/** Makes the call: the governor sends it, or signs it for the relayer. */
async function make(
  suite: Fleet,
  { controller, governor }: Pick<Identity, "controller" | "governor">,
  call: Call,
  way: (typeof WAYS)[number] = "sent",
): Promise<TransactionResponse> {
  const { devices, actors } = suite;
  if (way === "sent") return governor.sendTransaction({ to: devices, data: encodeDirect(devices, call) });
  const signature = signLegacy(signingKeyOf(governor.address), await messageOf(suite, controller, call));
  return actors.relayer.sendTransaction({ to: devices, data: encodeSigned(devices, call, signature) });
}

async function blockOf(sent: Promise<TransactionResponse>): Promise<bigint> {
  return BigInt((await (await sent).wait())!.blockNumber);
}

async function revokeAll({ devices, actors }: Fleet, key: Key): Promise<void> {
  await devices.connect(actors.owner).revokeAll(key.id, key.publicKey);
}

/** Hands a device over from its owner's governor to another. */
async function transfer(
  { devices }: Fleet,
  key: Key,
  { from, to, by }: { from: HardhatEthersSigner; to: string; by: HardhatEthersSigner },
): Promise<void> {
  await devices.connect(from).proposeTransfer(key.id, to, FOR_EVER);
  await devices.connect(by).acceptTransfer(key.id, key.publicKey);
}

/** Hands the fleet handle over from its governor to another. */
async function handOverFleet(
  { roles, fleet }: Fleet,
  { from, to }: { from: HardhatEthersSigner; to: HardhatEthersSigner },
): Promise<void> {
  await roles.connect(from).proposeGovernor(fleet, to);
  await roles.connect(to).acceptGovernor(fleet, true);
}

/** Hands a device over in one of the ways there are. */
async function sell(
  suite: Market,
  { key, seller, buyer, hands }: { key: Key; seller: Party; buyer: Party; hands: (typeof HANDS)[number] },
): Promise<void> {
  if (hands === "by offer") {
    const [from, by] = [await ethers.getSigner(seller.key.id), await ethers.getSigner(buyer.key.id)];
    await transfer(suite, key, { from, to: buyer.id, by });
  } else {
    await redeem(suite, await saleOf(suite, { key, seller, buyer, isBearer: hands === "by bearer voucher" }));
  }
}

/** Puts a new account key in place of the device's key. */
async function rotateToAccount(
  { devices, devicesDomain }: Fleet,
  key: Key,
  { owner, to }: { owner: HardhatEthersSigner; to: HardhatEthersSigner },
): Promise<void> {
  const { keyId } = await devices.keyOf(key.id);
  const newKey = await accountKey(to);
  const rotation = {
    device: key.id,
    oldKey: keyId,
    newKey: newKey.id,
    newScheme: newKey.scheme,
    epoch: await devices.epochOf(key.id),
    deadline: (await now()) + DAY,
  };
  const proof = await newKey.prove(keyRotationMessage(devicesDomain, rotation));
  await devices.connect(owner).rotateKey(rotation, proof, { publicKey: key.publicKey, signature: "0x" });
}

/** What the identity's attribute events in a block say of the block before, in their order. */
async function previousChanges(devices: DeviceRegistry, identity: string, block: bigint): Promise<bigint[]> {
  const filter = devices.filters.DIDAttributeChanged(identity);
  const events = await devices.queryFilter(filter, Number(block), Number(block));
  return events.map(({ args }) => args.previousChange);
}

describe("ERC1056", () => {
  for (const [index, name] of IDENTITY_NAMES.entries()) {
    for (const way of WAYS) {
      describe(`the document of ${name}, ${way} by who speaks for it`, () => {
        /** Makes each call twice; both events carry the block of the change before. */
        async function expectWrites(
          action: Action,
          args: LegacyMessage["args"],
          event: string,
          written: (time: bigint) => unknown[],
        ): Promise<void> {
          const suite = await loadFixture(deployWorld);
          const { devices } = suite;
          const identity = suite.identities[index]!;
          let previous = await devices.changed(identity.id);
          let nonce = await devices.nonce(identity.controller);
          for (const round of ["first", "second"]) {
            const time = (await now()) + 10n;
            await networkHelpers.time.setNextBlockTimestamp(time);
            const writing = make(suite, identity, { identity: identity.id, action, args }, way);
            await expect(writing, round)
              .to.emit(devices, event)
              .withArgs(identity.id, ...written(time), previous);
            const receipt = (await (await writing).wait())!;
            expect(receipt.logs).to.have.length(1);
            previous = BigInt(receipt.blockNumber);
            if (way === "signed") ++nonce;
            expect(await devices.changed(identity.id)).to.equal(previous);
            expect(await devices.nonce(identity.controller)).to.equal(nonce);
            expect(await devices.identityOwner(identity.id)).to.equal(identity.controller);
          }
        }

        it("gains a delegate, for as long as is said", async () => {
          await expectWrites("addDelegate", [VERI_KEY, DELEGATE, DAY], "DIDDelegateChanged", (time) => [
            VERI_KEY,
            DELEGATE,
            time + DAY,
          ]);
        });

        it("loses a delegate", async () => {
          await expectWrites("revokeDelegate", [VERI_KEY, DELEGATE], "DIDDelegateChanged", () => [
            VERI_KEY,
            DELEGATE,
            0n,
          ]);
        });

        it("gains an attribute, for as long as is said", async () => {
          await expectWrites("setAttribute", [SERVICE, ENDPOINT, DAY], "DIDAttributeChanged", (time) => [
            SERVICE,
            ENDPOINT,
            time + DAY,
          ]);
        });

        it("loses an attribute", async () => {
          await expectWrites("revokeAttribute", [SERVICE, ENDPOINT], "DIDAttributeChanged", () => [
            SERVICE,
            ENDPOINT,
            0n,
          ]);
        });

        it("takes an attribute with an empty value and one with a long value", async () => {
          for (const value of ["0x", hexlify(new Uint8Array(321).fill(7))]) {
            await expectWrites("setAttribute", [SERVICE, value, 0n], "DIDAttributeChanged", (time) => [
              SERVICE,
              value,
              time,
            ]);
          }
        });

        it("counts a delegate as valid from addDelegate to revokeDelegate", async () => {
          const suite = await loadFixture(deployWorld);
          const { devices } = suite;
          const identity = suite.identities[index]!;
          const write = (action: Action, args: LegacyMessage["args"]): Promise<TransactionResponse> =>
            make(suite, identity, { identity: identity.id, action, args }, way);
          expect(await devices.validDelegate(identity.id, VERI_KEY, DELEGATE)).to.equal(false);
          await write("addDelegate", [VERI_KEY, DELEGATE, DAY]);
          expect(await devices.validDelegate(identity.id, VERI_KEY, DELEGATE)).to.equal(true);
          expect(await devices.validDelegate(identity.id, bytes32("other"), DELEGATE)).to.equal(false);
          expect(await devices.validDelegate(identity.id, VERI_KEY, identity.id)).to.equal(false);
          expect(await devices.validDelegate(DELEGATE, VERI_KEY, DELEGATE)).to.equal(false);
          await write("revokeDelegate", [VERI_KEY, DELEGATE]);
          expect(await devices.validDelegate(identity.id, VERI_KEY, DELEGATE)).to.equal(false);
        });

        it("refuses a validity whose end is no time, and takes the longest", async () => {
          const suite = await loadFixture(deployWorld);
          const { devices } = suite;
          const identity = suite.identities[index]!;
          for (const [action, first, second] of [
            ["addDelegate", VERI_KEY, DELEGATE],
            ["setAttribute", SERVICE, ENDPOINT],
          ] as const) {
            const write = (validity: bigint): Promise<TransactionResponse> =>
              make(suite, identity, { identity: identity.id, action, args: [first, second, validity] }, way);
            const time = (await now()) + 10n;
            const longest = MaxUint256 - time;
            const nonce = await devices.nonce(identity.controller);
            for (const validity of [longest + 1n, MaxUint256]) {
              await networkHelpers.time.setNextBlockTimestamp(time);
              await expect(write(validity))
                .to.be.revertedWithCustomError(devices, "ValidityTooLong")
                .withArgs(validity);
            }
            expect(await devices.nonce(identity.controller)).to.equal(nonce);
            await networkHelpers.time.setNextBlockTimestamp(time + 1n);
            const event = action === "addDelegate" ? "DIDDelegateChanged" : "DIDAttributeChanged";
            const previous = await devices.changed(identity.id);
            await expect(write(longest - 1n))
              .to.emit(devices, event)
              .withArgs(identity.id, first, second, MaxUint256, previous);
          }
        });
      });
    }
  }

  describe("changeOwner", () => {
    for (const way of WAYS) {
      for (const [index, name] of IDENTITY_NAMES.entries()) {
        if (index < FIRST_DEVICE) {
          it(`gives ${name} to another controller, ${way}, from account to fleet handle and back`, async () => {
            const suite = await loadFixture(deployWorld);
            const { devices, actors, fleet } = suite;
            const identity = suite.identities[index]!;
            let previous = await devices.changed(identity.id);
            let by: Pick<Identity, "controller" | "governor"> = identity;
            for (const [newOwner, governor] of [
              [actors.stranger.address, actors.stranger],
              [fleet, actors.owner],
              [identity.id, index === 1 ? actors.gateway : identity.governor],
            ] as const) {
              const nonces = { old: await devices.nonce(by.controller), new: await devices.nonce(newOwner) };
              const call: Call = { identity: identity.id, action: "changeOwner", args: [newOwner] };
              const changing = make(suite, by, call, way);
              await expect(changing).to.emit(devices, "DIDOwnerChanged").withArgs(identity.id, newOwner, previous);
              previous = await blockOf(changing);
              expect((await (await changing).wait())!.logs).to.have.length(1);
              expect(await devices.changed(identity.id)).to.equal(previous);
              expect(await devices.identityOwner(identity.id)).to.equal(newOwner);
              expect(await devices.ownerOf(identity.id)).to.equal(ZeroAddress);
              if (by.controller !== newOwner) {
                const used = way === "signed" ? 1n : 0n;
                expect(await devices.nonce(by.controller)).to.equal(nonces.old + used);
                expect(await devices.nonce(newOwner)).to.equal(nonces.new);
              }
              by = { controller: newOwner, governor };
            }
          });
        } else {
          it(`never gives ${name} away, ${way}`, async () => {
            const suite = await loadFixture(deployWorld);
            const { devices } = suite;
            const identity = suite.identities[index]!;
            const before = [await devices.changed(identity.id), await devices.nonce(identity.controller)];
            for (const newOwner of [DELEGATE, ZeroAddress, identity.controller, identity.id, toBeHex(1, 20)]) {
              const call: Call = { identity: identity.id, action: "changeOwner", args: [newOwner] };
              await expect(make(suite, identity, call, way))
                .to.be.revertedWithCustomError(devices, "TransferNeedsConsent")
                .withArgs(identity.id);
            }
            expect(await devices.identityOwner(identity.id)).to.equal(identity.controller);
            expect([await devices.changed(identity.id), await devices.nonce(identity.controller)]).to.deep.equal(
              before,
            );
          });
        }
      }

      it(`refuses a new owner below 2^16, ${way}, and takes 2^16`, async () => {
        const suite = await loadFixture(deployWorld);
        const { devices, own } = suite;
        const changeTo = (newOwner: string): Promise<TransactionResponse> =>
          make(suite, own, { identity: own.id, action: "changeOwner", args: [newOwner] }, way);
        for (const number of [1n, 0xffffn]) {
          const reserved = ethers.getAddress(toBeHex(number, 20));
          await expect(changeTo(reserved)).to.be.revertedWithCustomError(devices, "IdReserved").withArgs(reserved);
        }
        await changeTo(toBeHex(0x10000n, 20));
        expect(await devices.identityOwner(own.id)).to.equal(ethers.getAddress(toBeHex(0x10000n, 20)));
      });
    }

    it("never gives a suspended device away", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, p256, p256Device } = suite;
      await devices.connect(actors.owner).suspend(p256.id, p256Device.publicKey);
      for (const way of WAYS) {
        await expect(make(suite, p256, { identity: p256.id, action: "changeOwner", args: [DELEGATE] }, way))
          .to.be.revertedWithCustomError(devices, "TransferNeedsConsent")
          .withArgs(p256.id);
      }
    });

    it("leaves an identity's delegates, as ERC-1056 has it, and ends the former controller's say", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, own } = suite;
      await devices.connect(actors.maker).addDelegate(own.id, SIG_AUTH, DELEGATE, DAY);
      await devices.connect(actors.maker).changeOwner(own.id, actors.stranger);
      expect(await devices.validDelegate(own.id, SIG_AUTH, DELEGATE)).to.equal(true);
      for (const [action, args] of CALLS) {
        await expect(make(suite, own, { identity: own.id, action, args }))
          .to.be.revertedWithCustomError(devices, "NotController")
          .withArgs(own.id, actors.stranger.address, actors.maker.address);
      }
    });
  });

  describe("who speaks for an identity", () => {
    const others: [keyof Actors, string][] = [
      ...wrongCallers,
      ["admin", "an admin of the fleet"],
      ["security", "a member with Suspend and RotateKey"],
      ["operator", "a member with Enroll and Configure"],
    ];
    for (const [caller, name] of others) {
      it(`is not ${name}, who sends`, async () => {
        const suite = await loadFixture(deployWorld);
        const { devices, actors } = suite;
        const before = await Promise.all(suite.identities.map(({ id }) => devices.changed(id)));
        for (const { id, controller, name: what } of suite.identities) {
          for (const [action, args] of CALLS) {
            const data = encodeDirect(devices, { identity: id, action, args });
            await expect(actors[caller].sendTransaction({ to: devices, data }), `${action} of ${what}`)
              .to.be.revertedWithCustomError(devices, "NotController")
              .withArgs(id, controller, actors[caller].address);
          }
        }
        expect(await Promise.all(suite.identities.map(({ id }) => devices.changed(id)))).to.deep.equal(before);
      });

      it(`is not ${name}, who signs`, async () => {
        const suite = await loadFixture(deployWorld);
        const { devices, actors } = suite;
        const key = signingKeyOf(actors[caller].address);
        for (const { id, controller, name: what } of suite.identities) {
          for (const [action, args] of CALLS) {
            const message = await messageOf(suite, controller, { identity: id, action, args });
            const ofSigner = { ...message, nonce: await devices.nonce(actors[caller].address) };
            for (const signed of [message, ofSigner]) {
              const data = encodeSigned(devices, message, signLegacy(key, signed));
              await expect(actors.relayer.sendTransaction({ to: devices, data }), `${action} of ${what}`)
                .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
                .withArgs(id, controller, legacyDigest(message));
            }
          }
        }
      });
    }

    it("is not the device's own key, an account that the fleet owns", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, account, actors, fleet } = suite;
      expect(account.id).to.equal(actors.device.address);
      await expect(devices.connect(actors.device).setAttribute(account.id, SERVICE, ENDPOINT, DAY))
        .to.be.revertedWithCustomError(devices, "NotController")
        .withArgs(account.id, fleet, account.id);
    });

    it("is not a delegate, of whatever type", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, own, p256 } = suite;
      for (const type of [VERI_KEY, SIG_AUTH]) {
        await devices.connect(actors.maker).addDelegate(own.id, type, actors.subject, DAY);
      }
      await devices.connect(actors.owner).addDelegate(p256.id, VERI_KEY, actors.subject, DAY);
      for (const { id, controller } of [own, p256]) {
        await expect(devices.connect(actors.subject).addDelegate(id, VERI_KEY, actors.subject, DAY))
          .to.be.revertedWithCustomError(devices, "NotController")
          .withArgs(id, controller, actors.subject.address);
      }
    });

    it("is nobody for ids below 2^16, zero first, not even with garbage that ecrecover takes for zero", async () => {
      const { devices, actors } = await loadFixture(deployWorld);
      const reservedIds = [ZeroAddress, toBeHex(1n, 20), toBeHex(0x100n, 20), toBeHex(0xffffn, 20)];
      for (const identity of reservedIds) {
        for (const [action, args] of CALLS) {
          const data = [
            encodeDirect(devices, { identity, action, args }),
            encodeSigned(devices, { identity, action, args }, NOBODY),
            encodeSigned(devices, { identity, action, args }, { v: 0, r: toBeHex(1, 32), s: toBeHex(1, 32) }),
          ];
          for (const call of data) {
            await expect(actors.stranger.sendTransaction({ to: devices, data: call }), action)
              .to.be.revertedWithCustomError(devices, "IdReserved")
              .withArgs(ethers.getAddress(identity));
          }
        }
        expect(await devices.changed(identity)).to.equal(0n);
      }
    });

    it("is who has the key of 2^16, the first id that is not reserved", async () => {
      const { devices, actors } = await loadFixture(deployWorld);
      const id = ethers.getAddress(toBeHex(0x10000n, 20));
      await expect(devices.connect(actors.stranger).setAttribute(id, SERVICE, ENDPOINT, DAY))
        .to.be.revertedWithCustomError(devices, "NotController")
        .withArgs(id, id, actors.stranger.address);
    });
  });

  describe("a signed message", () => {
    /** What others could try with the governor's key in use, or without it, for a call that it never signed. */
    async function wrongSignatures(suite: World, identity: Identity, message: LegacyMessage) {
      const { chainId, devices, roles, actors, own, makers, fleet } = suite;
      const { controller, id } = identity;
      const handovers = await roles.handoversOf(controller);
      const key = signingKeyOf(identity.governor.address);
      const { registry, nonce, args } = message;
      // What the test below has used before.
      const count = 1n;
      const elsewhere = createP256Key().id;
      const sign = (altered: Partial<LegacyMessage>, by: SigningKey = key) =>
        signLegacy(by, { ...message, ...altered });
      const right = sign({});
      const other = Wallet.createRandom().signingKey;
      const wrong = [
        { name: "by another key", signature: sign({}, other) },
        { name: "by the relayer", signature: sign({}, signingKeyOf(actors.relayer.address)) },
        ...[chainId + 1n, 1n].map((chain) => ({
          name: `for chain ${String(chain)}`,
          signature: sign({ nonce: firstNonce({ chainId: chain, registry, controller, handovers }) + count }),
        })),
        { name: "for another contract", signature: sign({ registry: elsewhere }) },
        {
          name: "for another contract, with its nonce",
          signature: sign({
            registry: elsewhere,
            nonce: firstNonce({ chainId, registry: elsewhere, controller, handovers }) + count,
          }),
        },
        {
          name: "with another contract's nonce",
          signature: sign({ nonce: firstNonce({ chainId, registry: elsewhere, controller, handovers }) + count }),
        },
        {
          name: "with another controller's nonce",
          signature: sign({ nonce: await devices.nonce(controller === fleet ? identity.governor.address : fleet) }),
        },
        ...[0n, 1n, 2n, 2n ** 32n - 1n]
          .filter((others) => others !== handovers)
          .map((others) => ({
            name: `with the nonce of a governor after ${String(others)} handovers`,
            signature: sign({ nonce: firstNonce({ chainId, registry, controller, handovers: others }) + count }),
          })),
        { name: "with the nonce after revokeAll", signature: sign({ nonce: nonce + JUMP }) },
        { name: "with the nonce before", signature: sign({ nonce: nonce - 1n }) },
        { name: "with the nonce after", signature: sign({ nonce: nonce + 1n }) },
        { name: "with a nonce that starts from zero", signature: sign({ nonce: count }) },
        { name: "for another identity", signature: sign({ identity: id === own.id ? makers.id : own.id }) },
        ...args.map((value, place) => ({
          name: `with another argument ${String(place)}`,
          signature: sign({ args: args.map((before, index) => (index === place ? alter(value) : before)) }),
        })),
        ...ACTIONS.filter((action) => action !== message.action).map((action) => ({
          name: `for ${action} with the same bytes`,
          signature: sign({ action }),
        })),
        ...[0, 1, 29, 255, right.v === 27 ? 28 : 27].map((v) => ({
          name: `with v = ${String(v)}`,
          signature: { ...right, v },
        })),
        { name: "with v less 27", signature: { ...right, v: right.v - 27 } },
        { name: "with a high s", signature: withHighS(right) },
        { name: "with a high s and the same v", signature: { ...withHighS(right), v: right.v } },
        { name: "of zeros", signature: NOBODY },
        { name: "of zero s", signature: { ...right, s: ZeroHash } },
        { name: "of zero r", signature: { ...right, r: ZeroHash } },
        { name: "with another r", signature: { ...right, r: toBeHex(BigInt(right.r) ^ 1n, 32) } },
      ];
      return { right, wrong };
    }

    const alter = (value: string | bigint): string | bigint => {
      if (typeof value === "bigint") return value + 1n;
      const last = (parseInt(value.slice(-1), 16) ^ 1).toString(16);
      return value.slice(0, -1) + last;
    };

    for (const [index, name] of IDENTITY_NAMES.entries()) {
      for (const [action, args] of CALLS) {
        it(`to ${action} of ${name} counts once, and only for what was signed`, async () => {
          const suite = await loadFixture(deployWorld);
          const { devices, actors } = suite;
          const identity = suite.identities[index]!;
          const { id, controller, isEnrolled } = identity;
          // A nonce that has moved: the one before was used.
          await make(suite, identity, { identity: id, action: "setAttribute", args: [SERVICE, "0x01", DAY] }, "signed");
          const message = await messageOf(suite, controller, { identity: id, action, args });
          const changed = await devices.changed(id);
          const send = (signature: ReturnType<typeof signLegacy>): Promise<TransactionResponse> =>
            actors.relayer.sendTransaction({ to: devices, data: encodeSigned(devices, message, signature) });

          const { right, wrong } = await wrongSignatures(suite, identity, message);
          for (const { name: why, signature } of wrong) {
            await expect(send(signature), why)
              .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
              .withArgs(id, controller, legacyDigest(message));
          }
          expect(await devices.nonce(controller)).to.equal(message.nonce);
          expect(await devices.changed(id)).to.equal(changed);

          if (action === "changeOwner" && isEnrolled) {
            await expect(send(right)).to.be.revertedWithCustomError(devices, "TransferNeedsConsent").withArgs(id);
            expect(await devices.nonce(controller)).to.equal(message.nonce);
            return;
          }
          await send(right);
          expect(await devices.nonce(controller)).to.equal(message.nonce + 1n);
          const controllerNow = await devices.identityOwner(id);
          await expect(send(right), "replayed")
            .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
            .withArgs(id, controllerNow, legacyDigest({ ...message, nonce: await devices.nonce(controllerNow) }));
        });
      }
    }

    it("has a nonce that starts from chain, contract, controller and its handovers, with room to count", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, chainId, actors, fleet, otherFleet } = suite;
      const registry = await devices.getAddress();
      const expectFirst = async (controller: string, handovers: bigint): Promise<void> => {
        const first = firstNonce({ chainId, registry, controller, handovers });
        expect(await devices.nonce(controller)).to.equal(first);
        expect(first >> 255n).to.equal(0n);
      };
      for (const controller of [actors.stranger.address, actors.owner.address, otherFleet, ZeroAddress]) {
        await expectFirst(controller, 0n);
      }
      await expectFirst(fleet, 1n);
      await handOverFleet(suite, { from: actors.owner, to: actors.stranger });
      await expectFirst(fleet, 2n);
      await handOverFleet(suite, { from: actors.stranger, to: actors.owner });
      await expectFirst(fleet, 3n);
    });

    it("for one deployment says nothing to another", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, roles, actors, own } = suite;
      const second = await ethers.deployContract("DeviceRegistry", [roles], actors.relayer);
      const call: Call = { identity: own.id, action: "setAttribute", args: [SERVICE, ENDPOINT, DAY] };
      const message = await messageOf(suite, own.controller, call);
      const signature = signLegacy(signingKeyOf(own.governor.address), message);
      const atSecond = {
        ...message,
        registry: await second.getAddress(),
        nonce: await second.nonce(own.controller),
      };
      expect(atSecond.nonce).not.to.equal(message.nonce);
      const data = encodeSigned(devices, call, signature);
      await expect(actors.relayer.sendTransaction({ to: second, data }))
        .to.be.revertedWithCustomError(second, "ControllerSignatureInvalid")
        .withArgs(own.id, own.controller, legacyDigest(atSecond));
      await actors.relayer.sendTransaction({ to: devices, data });
      expect(await devices.changed(own.id)).not.to.equal(0n);
    });

    it("for one identity uses up the nonce of all that its controller has", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, own, makers } = suite;
      const call = (identity: string): Call => ({ identity, action: "setAttribute", args: [SERVICE, ENDPOINT, DAY] });
      const key = signingKeyOf(own.governor.address);
      const [first, second] = [
        await messageOf(suite, own.controller, call(own.id)),
        await messageOf(suite, makers.controller, call(makers.id)),
      ];
      await actors.relayer.sendTransaction({
        to: devices,
        data: encodeSigned(devices, first, signLegacy(key, first)),
      });
      await expect(
        actors.relayer.sendTransaction({ to: devices, data: encodeSigned(devices, second, signLegacy(key, second)) }),
      )
        .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
        .withArgs(makers.id, makers.controller, legacyDigest({ ...second, nonce: second.nonce + 1n }));
    });

    type Ahead = Awaited<ReturnType<typeof signedAhead>>;

    /** Something that the controller signed and nobody has sent yet, to be sent after so many others. */
    async function signedAhead(suite: Fleet, { id, controller, governor }: Speaker, after = 0n) {
      const { devices, actors } = suite;
      const call: Call = { identity: id, action: "setAttribute", args: [SERVICE, ENDPOINT, DAY + after] };
      const next = await messageOf(suite, controller, call);
      const message = { ...next, nonce: next.nonce + after };
      const data = encodeSigned(devices, call, signLegacy(signingKeyOf(governor.address), message));
      return { message, send: () => actors.relayer.sendTransaction({ to: devices, data }) };
    }

    /** Several messages about the identities, to be sent one after the other. */
    async function allSignedAhead(suite: Fleet, ...identities: Speaker[]): Promise<Ahead[]> {
      const turns = [0n, 1n, 2n, 3n];
      return Promise.all(
        turns.map((after) => signedAhead(suite, identities[Number(after) % identities.length]!, after)),
      );
    }

    /** Tries to send each message, in the order in which they were to be sent. */
    async function expectDead({ devices }: Fleet, ahead: Ahead[]): Promise<void> {
      for (const { message, send } of ahead) {
        const controller = await devices.identityOwner(message.identity);
        const nonce = await devices.nonce(controller);
        await expect(send())
          .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
          .withArgs(message.identity, controller, legacyDigest({ ...message, nonce }));
      }
    }

    it("counts in its turn where several were signed in advance, each one more", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, own, controlled, makers } = suite;
      const ahead = await allSignedAhead(suite, own, controlled, makers);
      const nonce = await devices.nonce(own.controller);
      for (const [index, { message, send }] of ahead.entries()) {
        await expectDead(suite, ahead.slice(index + 1));
        const previous = await devices.changed(message.identity);
        const time = (await now()) + 10n;
        await networkHelpers.time.setNextBlockTimestamp(time);
        const validTo = time + DAY + BigInt(index);
        await expect(send())
          .to.emit(devices, "DIDAttributeChanged")
          .withArgs(message.identity, SERVICE, ENDPOINT, validTo, previous);
        expect(await devices.nonce(own.controller)).to.equal(nonce + BigInt(index) + 1n);
      }
      await expectDead(suite, ahead);
    });

    it("of a governor dies when the fleet handle is handed over", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, fleet, controlled, p256, account } = suite;
      await devices.connect(actors.maker).changeOwner(controlled.id, fleet);
      const byFleet = { controller: fleet, governor: actors.owner };
      const ahead = await allSignedAhead(suite, { ...controlled, ...byFleet }, p256, account);
      await handOverFleet(suite, { from: actors.owner, to: actors.stranger });
      await expectDead(suite, ahead);
      for (const { message } of ahead) {
        await expect(make(suite, byFleet, message))
          .to.be.revertedWithCustomError(devices, "NotController")
          .withArgs(message.identity, fleet, actors.owner.address);
        for (const way of WAYS) {
          await make(suite, { controller: fleet, governor: actors.stranger }, message, way);
        }
      }
      await expectDead(suite, ahead);
    });

    it("of a governor does not count again when the governor comes back, sent before or not", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, fleet, p256, account } = suite;
      const { owner, stranger } = actors;
      const sent = await signedAhead(suite, p256);
      await sent.send();
      const ahead = [sent, ...(await allSignedAhead(suite, p256, account))];
      const seen = new Set([await devices.nonce(fleet)]);

      await handOverFleet(suite, { from: owner, to: stranger });
      seen.add(await devices.nonce(fleet));
      ahead.push(...(await allSignedAhead(suite, { ...p256, governor: stranger }, { ...account, governor: stranger })));
      await handOverFleet(suite, { from: stranger, to: owner });
      seen.add(await devices.nonce(fleet));
      await expectDead(suite, ahead);

      await handOverFleet(suite, { from: owner, to: stranger });
      seen.add(await devices.nonce(fleet));
      await expectDead(suite, ahead);
      expect(seen).to.have.property("size", 4);

      const fresh = await signedAhead(suite, { ...p256, governor: stranger });
      await fresh.send();
      expect(await devices.nonce(fleet)).to.equal(fresh.message.nonce + 1n);
    });

    it("of a former owner dies when the device is transferred, for all that it controls", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, fleet, own, makers, makersKey } = suite;
      const ahead = await allSignedAhead(suite, makers, own);
      const nonces = { maker: await devices.nonce(actors.maker), fleet: await devices.nonce(fleet) };
      await transfer(suite, makersKey, { from: actors.maker, to: fleet, by: actors.owner });
      expect(await devices.nonce(actors.maker)).to.equal(nonces.maker + JUMP);
      expect(await devices.nonce(fleet)).to.equal(nonces.fleet);
      await expectDead(suite, ahead);
      const { message } = ahead[0]!;
      await expect(make(suite, makers, message))
        .to.be.revertedWithCustomError(devices, "NotController")
        .withArgs(makers.id, fleet, actors.maker.address);
    });

    for (const hands of HANDS) {
      for (const [party, who] of [
        ["account", "an account"],
        ["handle", "a fleet handle"],
      ] as const) {
        it(`of ${who} does not count again when it buys the device back, sold and bought ${hands}`, async () => {
          const suite = await loadFixture(deployMarket);
          const { devices, sellers, buyers } = suite;
          const [seller, buyer] = [sellers[party], buyers[party]];
          const key = await enrollFor(suite, seller);
          const sister = await enrollFor(suite, seller);
          const speakerOf = async (owner: Party, { id }: Key): Promise<Speaker> => {
            return { id, controller: owner.id, governor: await ethers.getSigner(owner.key.id) };
          };
          const sent = await signedAhead(suite, await speakerOf(seller, key));
          await sent.send();
          const [ofKey, ofSister] = [await speakerOf(seller, key), await speakerOf(seller, sister)];
          const ahead = [sent, ...(await allSignedAhead(suite, ofKey, ofSister))];
          const nonces = { seller: await devices.nonce(seller.id), buyer: await devices.nonce(buyer.id) };
          const expectNonces = async (sold: bigint, bought: bigint): Promise<void> => {
            expect(await devices.nonce(seller.id)).to.equal(nonces.seller + sold * JUMP);
            expect(await devices.nonce(buyer.id)).to.equal(nonces.buyer + bought * JUMP);
          };

          await sell(suite, { key, seller, buyer, hands });
          await expectNonces(1n, 0n);
          await expectDead(suite, ahead);
          ahead.push(...(await allSignedAhead(suite, await speakerOf(buyer, key))));
          await sell(suite, { key, seller: buyer, buyer: seller, hands });
          await expectNonces(1n, 1n);
          await expectDead(suite, ahead);

          await sell(suite, { key, seller, buyer, hands });
          await expectNonces(2n, 1n);
          await expectDead(suite, ahead);
          const fresh = await signedAhead(suite, await speakerOf(buyer, key));
          await fresh.send();
          expect(await devices.nonce(buyer.id)).to.equal(nonces.buyer + JUMP + 1n);
        });
      }
    }

    it("of a former controller dies when the identity gets another", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, own } = suite;
      const { message, send } = await signedAhead(suite, own);
      await devices.connect(actors.maker).changeOwner(own.id, actors.stranger);
      const nonce = await devices.nonce(actors.stranger);
      await expect(send())
        .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
        .withArgs(own.id, actors.stranger.address, legacyDigest({ ...message, nonce }));
    });

    it("does not count again when the device moves to a fleet handle that the same account governs", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, roles, actors, makers, makersKey } = suite;
      const { message, send } = await signedAhead(suite, makers);
      await send();
      await roles.connect(actors.maker).createFleet(ZeroHash);
      const handle = await roles.fleetIdOf(actors.maker, ZeroHash);
      await transfer(suite, makersKey, { from: actors.maker, to: handle, by: actors.maker });
      await expect(send())
        .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
        .withArgs(makers.id, handle, legacyDigest({ ...message, nonce: await devices.nonce(handle) }));
    });

    for (const [index, name] of IDENTITY_NAMES.entries()) {
      if (index < FIRST_DEVICE) continue;
      it(`of the owner of ${name} dies with revokeAll, for all that it controls`, async () => {
        const suite = await loadFixture(deployWorld);
        const { devices } = suite;
        const identity = suite.identities[index]!;
        const sister = suite.identities.find(
          ({ id, controller }) => id !== identity.id && controller === identity.controller,
        )!;
        const ahead = await allSignedAhead(suite, identity, sister);
        const nonce = await devices.nonce(identity.controller);
        const { publicKey } = [suite.p256Device, suite.accountDevice, suite.makersKey][index - FIRST_DEVICE]!;
        for (const times of [1n, 2n]) {
          await devices.connect(identity.governor).revokeAll(identity.id, publicKey);
          expect(await devices.nonce(identity.controller)).to.equal(nonce + times * JUMP);
          await expectDead(suite, ahead);
        }
        const fresh = await signedAhead(suite, identity);
        await fresh.send();
        expect(await devices.nonce(identity.controller)).to.equal(nonce + 2n * JUMP + 1n);
      });
    }
  });

  describe("the keys of an enrolled device", () => {
    const RESERVED_TYPES = [
      SIG_AUTH,
      SIG_AUTH_AND_MORE,
      concat([toUtf8Bytes("sigAuth"), "0x00", new Uint8Array(24).fill(0xff)]),
    ];
    const RESERVED_NAMES = [
      bytes32("did/pub/Multikey/sigAuth"),
      bytes32("did/pub/Secp256k1/sigAuth/hex"),
      bytes32("did/pub/Ed25519/sigAuth/base58"),
      bytes32("did/pub/X/sigAuth"),
      bytes32("did/pub//sigAuth"),
      bytes32("did/pub/sigAuth"),
      bytes32("did/pub/X/sigAuthX"),
      bytes32("did/pub/X/Y/sigAuth"),
      zeroPadBytes(concat([toUtf8Bytes("did/pub/X"), "0x00", toUtf8Bytes("/sigAuth")]), 32),
      zeroPadBytes(concat([toUtf8Bytes("did/pub/X/sigAuth"), "0x00", toUtf8Bytes("more")]), 32),
      // As long as a name can be: the ending has the last eight bytes.
      bytes32("did/pub/ABCDEFGHIJKLMNOP/sigAuth"),
      bytes32("did/pub/ABCDEFGHIJKLMNO/sigAuth"),
    ];
    const FREE_TYPES = [VERI_KEY, "enc", "sigAuth2", "sigauth", "xsigAuth", ""].map((type) =>
      type.startsWith("0x") ? type : bytes32(type),
    );
    const FREE_NAMES = [
      "did/svc/MessagingService",
      "did/svc/sigAuth",
      "did/svc/X/sigAuth",
      "did/pub/X25519/enc",
      "did/pub/Ed25519/veriKey/base58",
      "did/pub/X/sigauth",
      "did/pub/X/sigAut",
      "did/pub/ABCDEFGHIJKLMNOPQ/sigAut",
      "did/pubs/X/sigAuth",
      "/did/pub/X/sigAuth",
      "sigAuth",
      "",
    ].map(bytes32);

    const writes = (types: string[], names: string[]): [Action, LegacyMessage["args"]][] => [
      ...types.flatMap((type): [Action, LegacyMessage["args"]][] => [
        ["addDelegate", [type, DELEGATE, DAY]],
        ["revokeDelegate", [type, DELEGATE]],
      ]),
      ...names.flatMap((name): [Action, LegacyMessage["args"]][] => [
        ["setAttribute", [name, ENDPOINT, DAY]],
        ["revokeAttribute", [name, ENDPOINT]],
      ]),
    ];

    for (const [index, name] of IDENTITY_NAMES.entries()) {
      for (const way of WAYS) {
        if (index >= FIRST_DEVICE) {
          it(`are the registry's alone to write for ${name}: neither set nor revoked, ${way}`, async () => {
            const suite = await loadFixture(deployWorld);
            const { devices } = suite;
            const identity = suite.identities[index]!;
            const before = [await devices.changed(identity.id), await devices.nonce(identity.controller)];
            for (const [action, args] of writes(RESERVED_TYPES, RESERVED_NAMES)) {
              await expect(make(suite, identity, { identity: identity.id, action, args }, way), String(args[0]))
                .to.be.revertedWithCustomError(devices, "KeyReserved")
                .withArgs(identity.id, args[0]);
            }
            expect([await devices.changed(identity.id), await devices.nonce(identity.controller)]).to.deep.equal(
              before,
            );
          });
        }

        it(`leave all else to who speaks for ${name}, ${way}`, async () => {
          const suite = await loadFixture(deployWorld);
          const { devices } = suite;
          const identity = suite.identities[index]!;
          const free = identity.isEnrolled
            ? writes(FREE_TYPES, FREE_NAMES)
            : writes([...FREE_TYPES, ...RESERVED_TYPES], [...FREE_NAMES, ...RESERVED_NAMES]);
          for (const [action, args] of free) {
            const event = action.endsWith("Delegate") ? "DIDDelegateChanged" : "DIDAttributeChanged";
            const writing = make(suite, identity, { identity: identity.id, action, args }, way);
            await expect(writing, String(args[0])).to.emit(devices, event);
          }
        });
      }
    }

    it("are the registry's alone to write while the device is suspended, too", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, p256, p256Device } = suite;
      await devices.connect(actors.owner).suspend(p256.id, p256Device.publicKey);
      for (const [action, args] of writes(RESERVED_TYPES.slice(0, 1), RESERVED_NAMES.slice(0, 1))) {
        await expect(make(suite, p256, { identity: p256.id, action, args }))
          .to.be.revertedWithCustomError(devices, "KeyReserved")
          .withArgs(p256.id, args[0]);
      }
    });
  });

  describe("validDelegate", () => {
    it("ends with the second that was said", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, own, p256 } = suite;
      for (const identity of [own, p256]) {
        await make(suite, identity, { identity: identity.id, action: "addDelegate", args: [VERI_KEY, DELEGATE, DAY] });
        const validTo = (await now()) + DAY;
        for (const [time, isValid] of [
          [validTo - 1n, true],
          [validTo, false],
          [validTo + 1n, false],
        ] as const) {
          await networkHelpers.time.increaseTo(time);
          expect(await devices.validDelegate(identity.id, VERI_KEY, DELEGATE)).to.equal(isValid);
        }
      }
    });

    it("never begins for a delegate without validity", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, own } = suite;
      await make(suite, own, { identity: own.id, action: "addDelegate", args: [VERI_KEY, DELEGATE, 0n] });
      expect(await devices.validDelegate(own.id, VERI_KEY, DELEGATE)).to.equal(false);
    });

    it("counts the key of an account device as sigAuth, only while the device is active", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, account } = suite;
      const byOwner = devices.connect(actors.owner);
      const isKey = (): Promise<boolean> => devices.validDelegate(account.id, SIG_AUTH, account.id);
      expect(await isKey()).to.equal(true);
      expect(await devices.validDelegate(account.id, VERI_KEY, account.id)).to.equal(false);
      expect(await devices.validDelegate(account.id, SIG_AUTH_AND_MORE, account.id)).to.equal(false);
      expect(await devices.validDelegate(account.id, SIG_AUTH, actors.owner)).to.equal(false);
      await byOwner.suspend(account.id, "0x");
      expect(await isKey()).to.equal(false);
      await byOwner.resume(account.id, "0x");
      expect(await isKey()).to.equal(true);
      await byOwner.revokeAll(account.id, "0x");
      expect(await isKey()).to.equal(true);
      await byOwner.retire(account.id);
      expect(await isKey()).to.equal(false);
    });

    it("never counts the id of a P-256 device, nor an account that is no device", async () => {
      const { devices, p256Device, actors } = await loadFixture(deployWorld);
      for (const id of [p256Device.id, actors.stranger.address, ZeroAddress]) {
        expect(await devices.validDelegate(id, SIG_AUTH, id)).to.equal(false);
      }
      expect(await devices.validDelegate(p256Device.id, SIG_AUTH, ZeroAddress)).to.equal(false);
    });

    it("follows the key of a device as it is rotated", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, p256Device, accountDevice } = suite;
      for (const key of [p256Device, accountDevice]) {
        await rotateToAccount(suite, key, { owner: actors.owner, to: actors.subject });
        expect(await devices.validDelegate(key.id, SIG_AUTH, actors.subject)).to.equal(true);
        expect(await devices.validDelegate(key.id, SIG_AUTH, key.id)).to.equal(false);
        await devices.connect(actors.owner).suspend(key.id, "0x");
        expect(await devices.validDelegate(key.id, SIG_AUTH, actors.subject)).to.equal(false);
      }
    });
  });

  describe("what was published before", () => {
    const ATTRIBUTES = [SERVICE, bytes32("did/pub/X25519/enc"), bytes32("did/pub/Ed25519/veriKey/base58")];

    async function publish(suite: Fleet, identity: Speaker): Promise<void> {
      for (const name of ATTRIBUTES) {
        const args = [name, ENDPOINT, FOR_EVER];
        await make(suite, identity, { identity: identity.id, action: "setAttribute", args });
      }
      const args = [VERI_KEY, DELEGATE, FOR_EVER];
      await make(suite, identity, { identity: identity.id, action: "addDelegate", args });
    }

    /** How much a document shows besides its controller, and whether the delegate is valid. */
    async function shown(suite: Fleet, id: string) {
      const { didDocument, didResolutionMetadata } = await resolveDid(suite, id);
      expect(didResolutionMetadata.error).to.equal(undefined);
      return {
        controller: didDocument?.verificationMethod?.[0]?.blockchainAccountId?.split(":")[2],
        keys: didDocument?.verificationMethod?.slice(1).length,
        services: didDocument?.service?.length ?? 0,
        agreements: didDocument?.keyAgreement?.length ?? 0,
        isDelegate: await suite.devices.validDelegate(id, VERI_KEY, DELEGATE),
      };
    }
    const all = { keys: 4, services: 1, agreements: 1, isDelegate: true };
    const onlyKey = { keys: 1, services: 0, agreements: 0, isDelegate: false };

    it("of an identity is gone when it is enrolled", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, devicesDomain, own, actors, fleet } = suite;
      await publish(suite, own);
      await devices.connect(actors.maker).addDelegate(own.id, SIG_AUTH, DELEGATE, FOR_EVER);
      expect(await shown(suite, own.id)).to.deep.equal({ ...all, controller: own.id });
      const key = await accountKey(actors.maker);
      await enrollDevice({ devices, devicesDomain }, { key, owner: fleet, by: actors.owner });
      expect(await shown(suite, own.id)).to.deep.equal({ ...onlyKey, controller: fleet });
      expect(await devices.validDelegate(own.id, SIG_AUTH, DELEGATE)).to.equal(false);
      await expect(make(suite, own, { identity: own.id, action: "setAttribute", args: [SERVICE, ENDPOINT, DAY] }))
        .to.be.revertedWithCustomError(devices, "NotController")
        .withArgs(own.id, fleet, own.id);
    });

    for (const [what, act, controller] of [
      ["revokeAll", (suite: World) => revokeAll(suite, suite.p256Device), "fleet"],
      [
        "a transfer",
        (suite: World) =>
          transfer(suite, suite.p256Device, {
            from: suite.actors.owner,
            to: suite.actors.stranger.address,
            by: suite.actors.stranger,
          }),
        "stranger",
      ],
    ] as const) {
      it(`of a device is gone after ${what}, and can be published again`, async () => {
        const suite = await loadFixture(deployWorld);
        const { p256, fleet, actors } = suite;
        const after = controller === "fleet" ? fleet : actors.stranger.address;
        const governor = controller === "fleet" ? actors.owner : actors.stranger;
        await publish(suite, p256);
        expect(await shown(suite, p256.id)).to.deep.equal({ ...all, controller: fleet });
        await act(suite);
        expect(await shown(suite, p256.id)).to.deep.equal({ ...onlyKey, controller: after });
        await publish(suite, { id: p256.id, controller: after, governor });
        expect(await shown(suite, p256.id)).to.deep.equal({ ...all, controller: after });
      });
    }

    it("of a device is gone after it was retired, and its DID is deactivated", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, p256 } = suite;
      await publish(suite, p256);
      await devices.connect(actors.owner).retire(p256.id);
      const { didDocument, didDocumentMetadata } = await resolveDid(suite, p256.id);
      expect(didDocumentMetadata.deactivated).to.equal(true);
      expect(didDocument?.verificationMethod).to.deep.equal([]);
      expect(didDocument?.service).to.equal(undefined);
      expect(await devices.validDelegate(p256.id, VERI_KEY, DELEGATE)).to.equal(false);
    });

    it("of a device stays when its fleet handle is handed over, its key rotated or it is suspended", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, p256, p256Device, fleet } = suite;
      await publish(suite, p256);
      await rotateToAccount(suite, p256Device, { owner: actors.owner, to: actors.subject });
      expect(await shown(suite, p256.id)).to.deep.equal({ ...all, controller: fleet });
      await devices.connect(actors.owner).suspend(p256.id, "0x");
      expect(await shown(suite, p256.id)).to.deep.equal({ ...all, keys: 3, controller: fleet });
      await handOverFleet(suite, { from: actors.owner, to: actors.stranger });
      expect(await shown(suite, p256.id)).to.deep.equal({ ...all, keys: 3, controller: fleet });
    });
  });

  describe("deactivation", () => {
    for (const way of WAYS) {
      for (const [index, name] of IDENTITY_NAMES.entries()) {
        if (index >= FIRST_DEVICE && way === "signed") continue;
        it(`of ${name}, ${way}, is for ever and for everyone`, async () => {
          const suite = await loadFixture(deployWorld);
          const { devices, devicesDomain, actors } = suite;
          const identity = suite.identities[index]!;
          const { id, controller, governor, isEnrolled } = identity;
          await make(suite, identity, { identity: id, action: "addDelegate", args: [VERI_KEY, DELEGATE, FOR_EVER] });
          const previous = await devices.changed(id);
          const signed = await messageOf(suite, controller, {
            identity: id,
            action: "setAttribute",
            args: [SERVICE, ENDPOINT, DAY],
          });

          const ending = isEnrolled
            ? devices.connect(governor).retire(id)
            : make(suite, identity, { identity: id, action: "changeOwner", args: [ZeroAddress] }, way);
          await expect(ending).to.emit(devices, "DIDOwnerChanged").withArgs(id, ZeroAddress, previous);

          const expectEnded = async (): Promise<void> => {
            expect(await devices.identityOwner(id)).to.equal(ZeroAddress);
            expect(await devices.changed(id)).to.equal(await blockOf(ending));
            expect(await devices.validDelegate(id, VERI_KEY, DELEGATE)).to.equal(false);
            expect(await devices.validDelegate(id, SIG_AUTH, id)).to.equal(false);
            const { didDocument, didDocumentMetadata } = await resolveDid(suite, id);
            expect(didDocumentMetadata.deactivated).to.equal(true);
            expect(didDocument?.verificationMethod).to.deep.equal([]);
          };
          await expectEnded();

          const everyone = [governor, actors.gateway, actors.device, actors.admin, actors.stranger];
          const nonce = await devices.nonce(ZeroAddress);
          for (const account of everyone) {
            for (const [action, args] of [...CALLS, ["changeOwner", [ZeroAddress]] as (typeof CALLS)[number]]) {
              const call = { identity: id, action, args };
              await expect(account.sendTransaction({ to: devices, data: encodeDirect(devices, call) }))
                .to.be.revertedWithCustomError(devices, "NotController")
                .withArgs(id, ZeroAddress, account.address);
              const message = { ...signed, ...call, nonce };
              const key = signingKeyOf(account.address);
              const signatures = [
                signLegacy(key, message),
                signLegacy(key, { ...message, nonce: await devices.nonce(account) }),
                NOBODY,
              ];
              for (const signature of signatures) {
                const data = encodeSigned(devices, call, signature);
                await expect(actors.relayer.sendTransaction({ to: devices, data }))
                  .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
                  .withArgs(id, ZeroAddress, legacyDigest(message));
              }
            }
          }
          const data = encodeSigned(devices, signed, signLegacy(signingKeyOf(governor.address), signed));
          await expect(actors.relayer.sendTransaction({ to: devices, data }), "signed before")
            .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
            .withArgs(id, ZeroAddress, legacyDigest({ ...signed, nonce }));

          for (const owner of [actors.stranger, governor]) {
            const enrollment = {
              device: id,
              scheme: 0,
              owner: owner.address,
              manifest: 0,
              metadataHash: ZeroHash,
              deadline: (await now()) + DAY,
            };
            const signer = everyone.find(({ address }) => address === id) ?? governor;
            const proof = await (await accountKey(signer)).prove(enrollmentMessage(devicesDomain, enrollment));
            await expect(devices.connect(owner).enroll(enrollment, proof, "0x"))
              .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
              .withArgs(id, 3n);
          }
          await networkHelpers.time.increase(1000n * DAY);
          await expectEnded();
        });
      }
    }
  });

  describe("changed", () => {
    it("is 0 for an identity that never changed, and leads from block to block to the first change", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, own } = suite;
      expect(await devices.changed(own.id)).to.equal(0n);
      const blocks: bigint[] = [];
      for (let i = 0n; i < 3n; ++i) {
        const args = [SERVICE, ENDPOINT, i];
        blocks.unshift(await blockOf(make(suite, own, { identity: own.id, action: "setAttribute", args })));
        await networkHelpers.mine(2);
      }
      const seen: bigint[] = [];
      for (let block = await devices.changed(own.id); block !== 0n;) {
        seen.push(block);
        [block = 0n] = await previousChanges(devices, own.id, block);
      }
      expect(seen).to.deep.equal(blocks);
      expect(await devices.changed(actors.stranger)).to.equal(0n);
    });

    for (const [index, name] of IDENTITY_NAMES.entries()) {
      it(`leads resolvers on where several writes to ${name} share a block`, async () => {
        const suite = await loadFixture(deployWorld);
        const { devices } = suite;
        const identity = suite.identities[index]!;
        const { id, governor } = identity;
        await make(suite, identity, { identity: id, action: "setAttribute", args: [SERVICE, ENDPOINT, FOR_EVER] });
        const before = await devices.changed(id);
        const endpoints = ["a", "b", "c"].map((text) => hexlify(toUtf8Bytes(`https://${text}.example`)));
        const calls = endpoints.map((value) =>
          encodeDirect(devices, { identity: id, action: "setAttribute", args: [SERVICE, value, FOR_EVER] }),
        );
        const revoking = { identity: id, action: "revokeAttribute", args: [SERVICE, endpoints[1]!] } as const;
        calls.push(encodeDirect(devices, revoking));
        const sent = await devices.connect(governor).multicall(calls);
        const block = BigInt((await sent.wait())!.blockNumber);

        expect(await previousChanges(devices, id, block)).to.deep.equal([before, block, block, block]);
        const { didDocument } = await resolveDid(suite, id);
        expect(didDocument?.service?.map(({ serviceEndpoint }) => serviceEndpoint)).to.deep.equal([
          "https://fleet.example",
          "https://a.example",
          "https://c.example",
        ]);
      });
    }

    it("leads resolvers on where writes of several transactions share a block", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, own, p256 } = suite;
      await networkHelpers.mine();
      const { provider } = ethers;
      await provider.send("evm_setAutomine", [false]);
      try {
        for (const identity of [own, p256]) {
          for (const text of ["a", "b"]) {
            const args = [SERVICE, hexlify(toUtf8Bytes(text)), FOR_EVER];
            const call: Call = { identity: identity.id, action: "setAttribute", args };
            await identity.governor.sendTransaction({
              to: devices,
              data: encodeDirect(devices, call),
              gasLimit: 200_000n,
            });
          }
        }
        await networkHelpers.mine();
      } finally {
        await provider.send("evm_setAutomine", [true]);
      }
      const block = await devices.changed(own.id);
      expect(await devices.changed(p256.id)).to.equal(block);
      for (const { id, controller } of [own, p256]) {
        const { didDocument } = await resolveDid(suite, id);
        expect(didDocument?.service?.map(({ serviceEndpoint }) => serviceEndpoint)).to.deep.equal(["a", "b"]);
        expect(didDocument?.verificationMethod?.[0]?.blockchainAccountId).to.include(controller);
      }
    });

    it("leads resolvers to the same document as a model of ERC-1056, whatever happens", async () => {
      await fc.assert(
        fc.asyncProperty(anyHistory(), async (history) => {
          const world = await loadFixture(deployIdentities);
          await play(world, history);
        }),
        { numRuns: 15, seed: 1056 },
      );
    });
  });

  describe("a fleet handle", () => {
    const TRIED: typeof CALLS = [...CALLS, ["changeOwner", [ZeroAddress]], ["addDelegate", [SIG_AUTH, DELEGATE, DAY]]];

    it("takes nothing from its governor, sent or signed, nor from anyone else", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, fleet, chainId } = suite;
      const expectRefused = async (account: HardhatEthersSigner): Promise<void> => {
        for (const [action, args] of TRIED) {
          const call: Call = { identity: fleet, action, args };
          const by = { controller: fleet, governor: account };
          await expect(make(suite, by, call, "sent"), `${action} sent`)
            .to.be.revertedWithCustomError(devices, "NotController")
            .withArgs(fleet, fleet, account.address);
          const message = await messageOf(suite, fleet, call);
          await expect(make(suite, by, call, "signed"), `${action} signed`)
            .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
            .withArgs(fleet, fleet, legacyDigest(message));
        }
      };
      const nonce = await devices.nonce(fleet);
      for (const account of [actors.owner, actors.formerOwner, actors.admin, actors.stranger]) {
        await expectRefused(account);
      }
      expect(await devices.nonce(fleet)).to.equal(nonce);
      await handOverFleet(suite, { from: actors.owner, to: actors.stranger });
      for (const account of [actors.stranger, actors.owner]) await expectRefused(account);

      expect(await devices.identityOwner(fleet)).to.equal(fleet);
      expect(await devices.changed(fleet)).to.equal(0n);
      const { didDocument } = await resolveDid(suite, fleet);
      expect(didDocument?.verificationMethod?.map(({ blockchainAccountId }) => blockchainAccountId)).to.deep.equal([
        `eip155:${chainId}:${fleet}`,
      ]);
      expect(didDocument?.service).to.equal(undefined);
    });

    it("speaks through its governor for what it owns", async () => {
      const suite = await loadFixture(deployWorld);
      const { devices, actors, fleet, controlled, p256, account } = suite;
      await devices.connect(actors.maker).changeOwner(controlled.id, fleet);
      for (const { id } of [controlled, p256, account]) {
        for (const way of WAYS) {
          const by = { controller: fleet, governor: actors.owner };
          const writing = make(
            suite,
            by,
            { identity: id, action: "setAttribute", args: [SERVICE, ENDPOINT, DAY] },
            way,
          );
          await expect(writing).to.emit(devices, "DIDAttributeChanged");
          expect(await devices.changed(id)).to.equal(await blockOf(writing));
        }
      }
    });
  });
});
