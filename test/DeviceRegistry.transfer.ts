import { expect } from "chai";
import { concat, id, keccak256, Signature, solidityPacked, toBeHex, Wallet, ZeroAddress } from "ethers";

import { accountKey, createP256Key, type Key } from "../client/keys.js";
import { enrollmentMessage, messageDigest } from "../client/typed-data.js";

import { ALL_PURPOSES, PERMISSION, REASON } from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, networkHelpers, now } from "./support/chain.js";
import { wrongCallers } from "./support/fleet.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";
import {
  addBuyerSecurity,
  bareSummary,
  deployMarket,
  documentSummary,
  enrollFor,
  eventsOf,
  handOver,
  keyEvent,
  kinds,
  PARTIES,
  partyNames,
  redeem,
  RESERVED,
  rotate,
  saleOf,
  Status,
  SUSPEND,
  type Market,
  type Sale,
  type SaleOptions,
} from "./support/transfers.js";

/** Who must not sell, besides those of the table: whoever works for the owner but is not the owner. */
const notTheOwner = [
  ...wrongCallers,
  ["admin", "an admin of the fleet"],
  ["security", "a member with Suspend and RotateKey"],
] as const;

/** A market where the P-256 device is offered to the buyer's fleet for a day. */
async function deployOffer() {
  const suite = await deployMarket();
  const { devices, actors, p256Device, buyerFleet } = suite;
  const expiry = (await now()) + DAY;
  await devices.connect(actors.owner).proposeTransfer(p256Device.id, buyerFleet, expiry);
  return { ...suite, expiry, device: p256Device.id, publicKey: p256Device.publicKey };
}

/** A market where the seller gave all away that can be given: grants, a policy, delegates, attributes, signatures. */
async function deployFullDevice() {
  const suite = await deployMarket();
  const { roles, devices, seller, sellers, actors } = suite;
  const access = await ethers.deployContract("DataAccess", [roles, devices]);
  const key = await enrollFor(suite, sellers.account);
  const bySeller = devices.connect(seller);
  const expiry = (await now()) + 30n * DAY;
  await access.connect(seller).grant(key.id, actors.subject, PERMISSION.ReadLive, 2n, 0n, expiry, ethers.ZeroHash);
  await access.connect(seller).setPolicy(key.id, PERMISSION.ReadLive, PERMISSION.ReadLive, ALL_PURPOSES);
  await roles.connect(seller).setRoles(seller, actors.security, 1n << 2n, 0n, FOR_EVER);
  await bySeller.addDelegate(key.id, VERI_KEY, actors.stranger, 30n * DAY);
  await bySeller.setAttribute(key.id, SERVICE, "0x6161", 30n * DAY);
  return { ...suite, access, key };
}

const VERI_KEY = ethers.encodeBytes32String("veriKey");
const SERVICE = ethers.encodeBytes32String("did/svc/Web");

/** Both ways a device changes hands, from the account that sells to the buyer's fleet. */
const WAYS: { name: string; handOver: (suite: Market, key: Key) => Promise<unknown> }[] = [
  {
    name: "an accepted offer",
    handOver: async (suite, key) => {
      const { devices, seller, buyer, buyerFleet } = suite;
      await devices.connect(seller).proposeTransfer(key.id, buyerFleet, (await now()) + DAY);
      await devices.connect(buyer).acceptTransfer(key.id, key.publicKey);
    },
  },
  {
    name: "a named voucher",
    handOver: async (suite, key) => redeem(suite, await saleOf(suite, { key, seller: suite.sellers.account })),
  },
  {
    name: "a bearer voucher",
    handOver: async (suite, key) =>
      redeem(suite, await saleOf(suite, { key, seller: suite.sellers.account, isBearer: true })),
  },
];

describe("DeviceRegistry transfers", () => {
  describe("proposeTransfer", () => {
    it("offers a device until the expiry and changes nothing else", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet } = suite;
      for (const [kind, name] of kinds) {
        const device = suite[kind].id;
        const before = await devices.deviceOf(device);
        const expiry = (await now()) + DAY;

        const proposing = devices.connect(actors.owner).proposeTransfer(device, suite.buyerFleet, expiry);

        const { events } = await eventsOf(devices, proposing);
        const offer = ["TransferProposed", device, fleet, suite.buyerFleet, expiry, 1n, actors.owner.address];
        expect(events, name).to.deep.equal([offer]);
        expect(await devices.pendingTransferOf(device)).to.deep.equal([suite.buyerFleet, expiry]);
        expect(await devices.deviceOf(device)).to.deep.equal(before);
      }
    });

    it("offers a suspended device as well, and one whose owner is an account", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, seller, sellers, buyer } = suite;
      const key = await enrollFor(suite, sellers.account);
      const expiry = (await now()) + DAY;
      await devices.connect(seller).suspend(key.id, key.publicKey);
      const { events } = await eventsOf(devices, devices.connect(seller).proposeTransfer(key.id, buyer, expiry));
      expect(events).to.deep.equal([
        ["TransferProposed", key.id, seller.address, buyer.address, expiry, 1n, seller.address],
      ]);
      expect(await devices.pendingTransferOf(key.id)).to.deep.equal([buyer.address, expiry]);
    });

    it("takes the place of the offer before", async () => {
      const { devices, actors, device, publicKey, buyer, buyerFleet } = await loadFixture(deployOffer);
      const expiry = (await now()) + 2n * DAY;
      await devices.connect(actors.owner).proposeTransfer(device, actors.relayer, expiry);
      expect(await devices.pendingTransferOf(device)).to.deep.equal([actors.relayer.address, expiry]);
      await expect(devices.connect(buyer).acceptTransfer(device, publicKey))
        .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
        .withArgs(actors.relayer.address, buyer.address);
      await devices.connect(actors.relayer).acceptTransfer(device, publicKey);
      expect(await devices.ownerOf(device))
        .to.equal(actors.relayer.address)
        .and.not.equal(buyerFleet);
    });

    for (const [caller, name] of notTheOwner) {
      it(`is refused to ${name}`, async () => {
        const { devices, actors, fleet, p256Device, buyerFleet } = await loadFixture(deployMarket);
        const expiry = (await now()) + DAY;
        await expect(devices.connect(actors[caller]).proposeTransfer(p256Device.id, buyerFleet, expiry))
          .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
          .withArgs(fleet, actors[caller].address);
        expect(await devices.pendingTransferOf(p256Device.id)).to.deep.equal([ZeroAddress, 0n]);
      });
    }

    it("refuses a device that is retired or was never enrolled", async () => {
      const { devices, actors, p256Device, buyerFleet } = await loadFixture(deployMarket);
      const byOwner = devices.connect(actors.owner);
      const expiry = (await now()) + DAY;
      await byOwner.retire(p256Device.id);
      await expect(byOwner.proposeTransfer(p256Device.id, buyerFleet, expiry))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(p256Device.id, Status.Retired);
      await expect(byOwner.proposeTransfer(actors.owner.address, buyerFleet, expiry))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(actors.owner.address, Status.None);
    });

    it("refuses a reserved id as new owner", async () => {
      const { devices, actors, p256Device } = await loadFixture(deployMarket);
      for (const newOwner of [ZeroAddress, RESERVED]) {
        await expect(devices.connect(actors.owner).proposeTransfer(p256Device.id, newOwner, FOR_EVER))
          .to.be.revertedWithCustomError(devices, "IdReserved")
          .withArgs(newOwner);
      }
    });

    it("refuses the present owner as new owner, but not its governor", async () => {
      const { devices, actors, fleet, p256Device } = await loadFixture(deployMarket);
      const byOwner = devices.connect(actors.owner);
      await expect(byOwner.proposeTransfer(p256Device.id, fleet, FOR_EVER))
        .to.be.revertedWithCustomError(devices, "OwnerUnchanged")
        .withArgs(p256Device.id, fleet);
      await byOwner.proposeTransfer(p256Device.id, actors.owner, FOR_EVER);
      expect(await devices.pendingTransferOf(p256Device.id)).to.deep.equal([actors.owner.address, FOR_EVER]);
    });

    it("refuses an expiry that is not after this second", async () => {
      const { devices, actors, p256Device, buyerFleet } = await loadFixture(deployMarket);
      const byOwner = devices.connect(actors.owner);
      const next = (await now()) + 100n;
      await networkHelpers.time.setNextBlockTimestamp(next);
      await expect(byOwner.proposeTransfer(p256Device.id, buyerFleet, next))
        .to.be.revertedWithCustomError(devices, "ExpiryPassed")
        .withArgs(next);
      await networkHelpers.time.setNextBlockTimestamp(next + 1n);
      await byOwner.proposeTransfer(p256Device.id, buyerFleet, next + 2n);
      expect(await devices.pendingTransferOf(p256Device.id)).to.deep.equal([buyerFleet, next + 2n]);
    });
  });

  describe("cancelTransfer", () => {
    it("takes back an offer", async () => {
      const { devices, actors, fleet, device, publicKey, buyer, buyerFleet } = await loadFixture(deployOffer);
      const before = await devices.deviceOf(device);
      const { events } = await eventsOf(devices, devices.connect(actors.owner).cancelTransfer(device));
      expect(events).to.deep.equal([["TransferCancelled", device, fleet, buyerFleet, actors.owner.address]]);
      expect(await devices.pendingTransferOf(device)).to.deep.equal([ZeroAddress, 0n]);
      expect(await devices.deviceOf(device)).to.deep.equal(before);
      await expect(devices.connect(buyer).acceptTransfer(device, publicKey))
        .to.be.revertedWithCustomError(devices, "TransferNotPending")
        .withArgs(device);
    });

    for (const [caller, name] of notTheOwner) {
      it(`is refused to ${name}`, async () => {
        const { devices, actors, fleet, device, buyerFleet, expiry } = await loadFixture(deployOffer);
        await expect(devices.connect(actors[caller]).cancelTransfer(device))
          .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
          .withArgs(fleet, actors[caller].address);
        expect(await devices.pendingTransferOf(device)).to.deep.equal([buyerFleet, expiry]);
      });
    }

    it("is refused to the new owner, who need not accept", async () => {
      const { devices, fleet, device, buyer } = await loadFixture(deployOffer);
      await expect(devices.connect(buyer).cancelTransfer(device))
        .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
        .withArgs(fleet, buyer.address);
    });

    it("refuses where nothing is offered, or no longer", async () => {
      const { devices, actors, device, hashingDevice, expiry } = await loadFixture(deployOffer);
      const byOwner = devices.connect(actors.owner);
      const refused = async (of: string) => {
        await expect(byOwner.cancelTransfer(of))
          .to.be.revertedWithCustomError(devices, "TransferNotPending")
          .withArgs(of);
      };
      await refused(hashingDevice.id);
      await networkHelpers.time.increaseTo(expiry);
      await refused(device);
      await byOwner.proposeTransfer(device, actors.relayer, FOR_EVER);
      await byOwner.cancelTransfer(device);
      await refused(device);
      await byOwner.proposeTransfer(device, actors.relayer, FOR_EVER);
      await byOwner.retire(device);
      await refused(device);
    });

    it("refuses everyone for a device that was never enrolled", async () => {
      const { devices, actors } = await loadFixture(deployMarket);
      await expect(devices.connect(actors.stranger).cancelTransfer(actors.stranger.address))
        .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
        .withArgs(ZeroAddress, actors.stranger.address);
    });
  });

  describe("acceptTransfer", () => {
    for (const [kind, name] of kinds) {
      for (const newOwnerKind of ["account", "handle"] as const) {
        it(`makes ${PARTIES[newOwnerKind]} the owner of ${name}, in a new epoch and with a new document`, async () => {
          const suite = await loadFixture(deployMarket);
          const { devices, actors, fleet, buyer } = suite;
          const key = suite[kind];
          const newOwner = suite.buyers[newOwnerKind].id;
          await devices.connect(actors.owner).proposeTransfer(key.id, newOwner, FOR_EVER);

          const accepting = devices.connect(buyer).acceptTransfer(key.id, key.publicKey);

          const { events, blockNumber } = await eventsOf(devices, accepting);
          expect(events).to.deep.equal([
            ["DIDOwnerChanged", key.id, newOwner, 0n],
            keyEvent(key.id, key, FOR_EVER, 0n),
            ["DeviceTransferred", key.id, fleet, newOwner, 2n, buyer.address],
          ]);
          expect(structOf(await devices.deviceOf(key.id))).to.deep.equal({
            owner: newOwner,
            keyId: key.id,
            scheme: BigInt(key.scheme),
            status: Status.Active,
            epoch: 2n,
            manifest: 0n,
            changed: blockNumber,
            isContinuous: true,
          });
          expect(await devices.stateOf(key.id)).to.deep.equal([newOwner, Status.Active, 2n]);
          expect(await devices.identityOwner(key.id)).to.equal(newOwner);
          expect(await devices.changed(key.id)).to.equal(blockNumber);
          expect(await devices.pendingTransferOf(key.id)).to.deep.equal([ZeroAddress, 0n]);
          expect(await documentSummary(suite, key.id)).to.deep.equal(bareSummary(newOwner, key));
        });
      }
    }

    it("leaves a suspended device suspended, whatever public key is given, until the new owner resumes it", async () => {
      const suite = await loadFixture(deployOffer);
      const { devices, actors, fleet, device, publicKey, p256Device, buyer, buyerFleet } = suite;
      await devices.connect(actors.security).suspend(device, publicKey);

      const { events, blockNumber } = await eventsOf(devices, devices.connect(buyer).acceptTransfer(device, "0x1234"));

      expect(events).to.deep.equal([
        ["DIDOwnerChanged", device, buyerFleet, 0n],
        ["DeviceTransferred", device, fleet, buyerFleet, 2n, buyer.address],
      ]);
      expect(await devices.stateOf(device)).to.deep.equal([buyerFleet, Status.Suspended, 2n]);
      expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(buyerFleet));
      const resuming = await eventsOf(devices, devices.connect(buyer).resume(device, publicKey));
      expect(resuming.events[0]).to.deep.equal(keyEvent(device, p256Device, FOR_EVER, blockNumber));
      expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(buyerFleet, p256Device));
    });

    it("survives that the device is suspended and resumed, and that its key is rotated", async () => {
      const suite = await loadFixture(deployOffer);
      const { devices, actors, device, publicKey, p256Device, buyer, buyerFleet } = suite;
      const newKey = createP256Key();
      await devices.connect(actors.owner).suspend(device, publicKey);
      await devices.connect(actors.owner).resume(device, publicKey);
      await rotate(suite, { device, oldKey: p256Device, newKey });
      await expect(devices.connect(buyer).acceptTransfer(device, publicKey))
        .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
        .withArgs(newKey.id, publicKey);
      await devices.connect(buyer).acceptTransfer(device, newKey.publicKey);
      expect(await devices.ownerOf(device)).to.equal(buyerFleet);
      expect((await devices.keyOf(device)).keyId).to.equal(newKey.id);
      expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(buyerFleet, newKey));
    });

    const notTheBuyer = [
      ...notTheOwner,
      ["owner", "the present owner"],
      ["formerBuyer", "the new owner's former governor"],
      ["buyerStaff", "an admin of the new owner's fleet"],
    ] as const;
    for (const [caller, name] of notTheBuyer) {
      it(`is refused to ${name}`, async () => {
        const suite = await loadFixture(deployOffer);
        const { devices, fleet, device, publicKey, buyerFleet } = suite;
        const by = caller === "formerBuyer" || caller === "buyerStaff" ? suite[caller] : suite.actors[caller];
        await expect(devices.connect(by).acceptTransfer(device, publicKey))
          .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
          .withArgs(buyerFleet, by.address);
        expect(await devices.ownerOf(device)).to.equal(fleet);
      });
    }

    it("is its new governor's after a handover of the new owner's fleet", async () => {
      const { roles, devices, actors, device, publicKey, buyer, buyerFleet } = await loadFixture(deployOffer);
      await roles.connect(buyer).proposeGovernor(buyerFleet, actors.relayer);
      await roles.connect(actors.relayer).acceptGovernor(buyerFleet, false);
      await expect(devices.connect(buyer).acceptTransfer(device, publicKey))
        .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
        .withArgs(buyerFleet, buyer.address);
      await devices.connect(actors.relayer).acceptTransfer(device, publicKey);
      expect(await devices.ownerOf(device)).to.equal(buyerFleet);
    });

    it("refuses a public key that is not the device's", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, buyer, buyerFleet } = suite;
      const other = createP256Key().publicKey;
      for (const [kind] of kinds) {
        const key = suite[kind];
        await devices.connect(actors.owner).proposeTransfer(key.id, buyerFleet, FOR_EVER);
        for (const publicKey of [other, key.publicKey === "0x" ? "0x00" : "0x"]) {
          await expect(devices.connect(buyer).acceptTransfer(key.id, publicKey))
            .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
            .withArgs(key.id, publicKey);
        }
        expect(await devices.ownerOf(key.id)).to.equal(fleet);
        expect(await devices.pendingTransferOf(key.id)).to.deep.equal([buyerFleet, FOR_EVER]);
      }
    });

    it("can be made in the last second before the expiry, and not at it", async () => {
      for (const { ahead, isAccepted } of [
        { ahead: 1n, isAccepted: true },
        { ahead: 0n, isAccepted: false },
      ]) {
        const { devices, device, publicKey, buyer, expiry } = await loadFixture(deployOffer);
        await networkHelpers.time.setNextBlockTimestamp(expiry - ahead);
        const accepting = devices.connect(buyer).acceptTransfer(device, publicKey);
        await (isAccepted
          ? expect(accepting).to.emit(devices, "DeviceTransferred")
          : expect(accepting).to.be.revertedWithCustomError(devices, "TransferNotPending").withArgs(device));
      }
    });

    const deaths: { name: string; kill: (suite: Awaited<ReturnType<typeof deployOffer>>) => Promise<unknown> }[] = [
      {
        name: "cancelled it",
        kill: ({ devices, actors, device }) => devices.connect(actors.owner).cancelTransfer(device),
      },
      {
        name: "revoked all",
        kill: ({ devices, actors, device, publicKey }) => devices.connect(actors.owner).revokeAll(device, publicKey),
      },
      {
        name: "retired the device",
        kill: ({ devices, actors, device }) => devices.connect(actors.owner).retire(device),
      },
      {
        name: "handed the device over by voucher",
        kill: async (suite) =>
          redeem(suite, await saleOf(suite, { key: suite.p256Device, buyer: suite.buyers.account })),
      },
      {
        name: "handed the device over by this very offer",
        kill: ({ devices, device, publicKey, buyer }) => devices.connect(buyer).acceptTransfer(device, publicKey),
      },
      ...[true, false].map((keepRoles) => ({
        name: `handed its fleet over, ${keepRoles ? "with" : "without"} its team`,
        kill: async ({ roles, actors, fleet }: Market) => {
          await roles.connect(actors.owner).proposeGovernor(fleet, actors.relayer);
          await roles.connect(actors.relayer).acceptGovernor(fleet, keepRoles);
        },
      })),
      {
        name: "handed its fleet over and got it back",
        kill: async ({ roles, actors, fleet }: Market) => {
          await roles.connect(actors.owner).proposeGovernor(fleet, actors.relayer);
          await roles.connect(actors.relayer).acceptGovernor(fleet, true);
          await roles.connect(actors.relayer).proposeGovernor(fleet, actors.owner);
          await roles.connect(actors.owner).acceptGovernor(fleet, true);
        },
      },
    ];
    for (const { name, kill } of deaths) {
      it(`refuses an offer whose owner ${name}`, async () => {
        const suite = await loadFixture(deployOffer);
        const { devices, device, publicKey, buyer } = suite;
        await kill(suite);
        expect(await devices.pendingTransferOf(device)).to.deep.equal([ZeroAddress, 0n]);
        await networkHelpers.mine();
        const before = await devices.deviceOf(device);
        await expect(devices.connect(buyer).acceptTransfer(device, publicKey))
          .to.be.revertedWithCustomError(devices, "TransferNotPending")
          .withArgs(device);
        expect(await devices.deviceOf(device)).to.deep.equal(before);
      });
    }

    it("refuses everyone where nothing was ever offered, enrolled or not", async () => {
      const { devices, actors, p256Device, buyer } = await loadFixture(deployMarket);
      for (const device of [p256Device.id, actors.stranger.address]) {
        await expect(devices.connect(buyer).acceptTransfer(device, p256Device.publicKey))
          .to.be.revertedWithCustomError(devices, "TransferNotPending")
          .withArgs(device);
      }
    });

    it("refuses a second change in one block, which resolvers could not tell apart", async () => {
      const { devices, actors, device, publicKey } = await loadFixture(deployOffer);
      const byOwner = devices.connect(actors.owner);
      await byOwner.proposeTransfer(device, actors.owner, FOR_EVER);
      const next = BigInt(await networkHelpers.time.latestBlock()) + 1n;
      const calls = [
        devices.interface.encodeFunctionData("setAttribute", [device, SERVICE, "0x6161", DAY]),
        devices.interface.encodeFunctionData("acceptTransfer", [device, publicKey]),
      ];
      await expect(byOwner.multicall(calls))
        .to.be.revertedWithCustomError(devices, "DeviceChangedInBlock")
        .withArgs(device, next);
    });

    it("can be sent again after a seller who published something in the same block", async () => {
      const suite = await loadFixture(deployOffer);
      const { devices, actors, fleet, device, publicKey, p256Device, buyer, buyerFleet } = suite;
      await ethers.provider.send("evm_setAutomine", [false]);
      try {
        const gasLimit = 300_000n;
        await devices
          .connect(actors.owner)
          .setAttribute(device, SERVICE, "0x6161", DAY, { gasLimit, gasPrice: 10n ** 11n });
        const tooEarly = await devices
          .connect(buyer)
          .acceptTransfer(device, publicKey, { gasLimit, gasPrice: 10n ** 10n });
        await networkHelpers.mine();
        expect((await ethers.provider.getTransactionReceipt(tooEarly.hash))!.status).to.equal(0);
        expect(await devices.ownerOf(device)).to.equal(fleet);
      } finally {
        await ethers.provider.send("evm_setAutomine", [true]);
      }
      await devices.connect(buyer).acceptTransfer(device, publicKey);
      expect(await documentSummary(suite, device)).to.deep.equal(bareSummary(buyerFleet, p256Device));
    });
  });

  describe("redeemVoucher", () => {
    for (const seller of partyNames) {
      for (const buyer of partyNames) {
        for (const isBearer of [false, true]) {
          it(`hands a device from ${PARTIES[seller]} to ${PARTIES[buyer]} by a ${isBearer ? "bearer" : "named"} voucher`, async () => {
            const suite = await loadFixture(deployMarket);
            const { devices, actors } = suite;
            const [from, to] = [suite.sellers[seller], suite.buyers[buyer]];
            const key = await enrollFor(suite, from);
            const sale = await saleOf(suite, { key, seller: from, buyer: to, isBearer });

            const { events, blockNumber } = await eventsOf(devices, redeem(suite, sale));

            expect(events).to.deep.equal([
              ["DIDOwnerChanged", key.id, to.id, 0n],
              keyEvent(key.id, key, FOR_EVER, 0n),
              ["DeviceTransferred", key.id, from.id, to.id, 2n, actors.relayer.address],
            ]);
            expect(structOf(await devices.deviceOf(key.id))).to.deep.equal({
              owner: to.id,
              keyId: key.id,
              scheme: BigInt(key.scheme),
              status: Status.Active,
              epoch: 2n,
              manifest: 0n,
              changed: blockNumber,
              isContinuous: true,
            });
            expect(await documentSummary(suite, key.id)).to.deep.equal(bareSummary(to.id, key));
          });
        }
      }
    }

    for (const [kind, name] of kinds) {
      it(`hands ${name} over by either voucher, the buyer sending and not signing`, async () => {
        for (const isBearer of [false, true]) {
          for (const newOwner of ["account", "handle"] as const) {
            const suite = await loadFixture(deployMarket);
            const { devices, fleet, buyer, buyers } = suite;
            const key = suite[kind];
            const sale = await saleOf(suite, { key, buyer: buyers[newOwner], isBearer, isSentByBuyer: true });
            const { events } = await eventsOf(devices, redeem(suite, sale, buyer));
            expect(events).to.deep.equal([
              ["DIDOwnerChanged", key.id, buyers[newOwner].id, 0n],
              keyEvent(key.id, key, FOR_EVER, 0n),
              ["DeviceTransferred", key.id, fleet, buyers[newOwner].id, 2n, buyer.address],
            ]);
            expect(await devices.ownerOf(key.id)).to.equal(buyers[newOwner].id);
          }
        }
      });
    }

    it("leaves a suspended device suspended, by a named voucher", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device, buyerFleet } = suite;
      await devices.connect(actors.security).suspend(p256Device.id, p256Device.publicKey);
      const sale = await saleOf(suite, { key: p256Device });
      sale.redemption.publicKey = "0x1234";
      const { events } = await eventsOf(devices, redeem(suite, sale));
      expect(events).to.deep.equal([
        ["DIDOwnerChanged", p256Device.id, buyerFleet, 0n],
        ["DeviceTransferred", p256Device.id, fleet, buyerFleet, 2n, actors.relayer.address],
      ]);
      expect(await devices.statusOf(p256Device.id)).to.equal(Status.Suspended);
      expect(await documentSummary(suite, p256Device.id)).to.deep.equal(bareSummary(buyerFleet));
    });

    it("refuses a bearer voucher for a suspended device, whose key says nothing that counts", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, fleet, p256Device } = suite;
      const sale = await saleOf(suite, { key: p256Device, isBearer: true });
      await devices.connect(actors.security).suspend(p256Device.id, p256Device.publicKey);
      await expect(redeem(suite, sale))
        .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
        .withArgs(p256Device.id, Status.Suspended);
      expect(await devices.ownerOf(p256Device.id)).to.equal(fleet);
    });

    it("refuses a device that is retired or was never enrolled", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, actors, p256Device } = suite;
      const unknown = createP256Key();
      await devices.connect(actors.owner).retire(p256Device.id);
      for (const { key, status } of [
        { key: p256Device, status: Status.Retired },
        { key: unknown, status: Status.None },
      ]) {
        for (const isBearer of [false, true]) {
          await expect(redeem(suite, await saleOf(suite, { key, isBearer })))
            .to.be.revertedWithCustomError(devices, "DeviceStatusInvalid")
            .withArgs(key.id, status);
        }
      }
    });

    it("refuses what was signed in another epoch, and what was redeemed before", async () => {
      for (const isBearer of [false, true]) {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, p256Device } = suite;
        const { id: device, publicKey } = p256Device;
        const refused = async (sale: Sale, current: bigint, given: bigint) => {
          await expect(redeem(suite, sale))
            .to.be.revertedWithCustomError(devices, "EpochStale")
            .withArgs(device, current, given);
        };
        await refused(await saleOf(suite, { key: p256Device, isBearer, epoch: 2n }), 1n, 2n);
        const first = await saleOf(suite, { key: p256Device, isBearer });
        await devices.connect(actors.owner).revokeAll(device, publicKey);
        await refused(first, 2n, 1n);
        const second = await saleOf(suite, { key: p256Device, isBearer });
        await redeem(suite, second);
        await refused(second, 3n, 2n);
      }
    });

    it("takes each message in its last second, and refuses it after", async () => {
      const parts = [
        { part: "deadline", isBearer: false },
        { part: "deadline", isBearer: true },
        { part: "acceptanceDeadline", isBearer: false },
        { part: "acceptanceDeadline", isBearer: true },
        { part: "redemptionDeadline", isBearer: true },
      ] as const;
      for (const { part, isBearer } of parts) {
        for (const late of [0n, 1n]) {
          const suite = await loadFixture(deployMarket);
          const { devices, p256Device } = suite;
          const next = (await now()) + 100n;
          const later = { deadline: FOR_EVER, acceptanceDeadline: FOR_EVER };
          const options: SaleOptions = { key: p256Device, isBearer, ...later, [part]: next - late };
          if (part === "deadline" && isBearer) options.redemptionDeadline = FOR_EVER;
          const sale = await saleOf(suite, options);
          await networkHelpers.time.setNextBlockTimestamp(next);
          await (late === 0n
            ? expect(redeem(suite, sale), part).to.emit(devices, "DeviceTransferred")
            : expect(redeem(suite, sale), part)
                .to.be.revertedWithCustomError(devices, "DeadlinePassed")
                .withArgs(next - 1n));
        }
      }
    });

    it("refuses another new owner than the voucher names", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device, buyer, buyerFleet } = suite;
      const named = await saleOf(suite, { key: p256Device });
      const other = await saleOf(suite, { key: p256Device, buyer: suite.buyers.account });
      await expect(redeem(suite, { ...named, acceptance: other.acceptance }))
        .to.be.revertedWithCustomError(devices, "NewOwnerMismatch")
        .withArgs(buyerFleet, buyer.address);
    });

    it("refuses a reserved id as new owner", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device } = suite;
      for (const newOwner of [ZeroAddress, RESERVED]) {
        const sale = await saleOf(suite, {
          key: p256Device,
          buyer: { ...suite.buyers.account, id: newOwner },
          isBearer: true,
        });
        await expect(redeem(suite, sale)).to.be.revertedWithCustomError(devices, "IdReserved").withArgs(newOwner);
      }
    });

    it("refuses the present owner as new owner", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, fleet, p256Device, sellers } = suite;
      for (const isBearer of [false, true]) {
        const sale = await saleOf(suite, { key: p256Device, buyer: sellers.handle, isBearer });
        await expect(redeem(suite, sale))
          .to.be.revertedWithCustomError(devices, "OwnerUnchanged")
          .withArgs(p256Device.id, fleet);
      }
    });

    it("refuses every owner's signature that is not for exactly this voucher", async () => {
      for (const party of partyNames) {
        const suite = await loadFixture(deployMarket);
        const { devices, sellers } = suite;
        const seller = sellers[party];
        const key = await enrollFor(suite, seller);
        const sale = await saleOf(suite, { key, seller });
        const wrongKey = await accountKey(suite.actors.formerOwner);
        const wrong = await wrongProofs({ key: seller.key, wrongKey, message: sale.messages.voucher });
        for (const { name, proof } of wrong) {
          await expect(redeem(suite, { ...sale, ownerSignature: proof.signature }), `${party} ${name}`)
            .to.be.revertedWithCustomError(devices, "SignatureInvalid")
            .withArgs(seller.key.id, messageDigest(sale.messages.voucher));
        }
        expect(await devices.ownerOf(key.id)).to.equal(seller.id);
      }
    });

    it("refuses every signature of the new owner that is not for exactly this transfer", async () => {
      for (const party of partyNames) {
        for (const isBearer of [false, true]) {
          const suite = await loadFixture(deployMarket);
          const { devices, fleet, p256Device } = suite;
          const buyer = suite.buyers[party];
          const sale = await saleOf(suite, { key: p256Device, buyer, isBearer });
          const wrongKey = await accountKey(suite.formerBuyer);
          const wrong = await wrongProofs({ key: buyer.key, wrongKey, message: sale.messages.acceptance });
          for (const { name, proof } of wrong) {
            const acceptance = { ...sale.acceptance, signature: proof.signature };
            await expect(redeem(suite, { ...sale, acceptance }), `${party} ${name}`)
              .to.be.revertedWithCustomError(devices, "SignatureInvalid")
              .withArgs(buyer.key.id, messageDigest(sale.messages.acceptance));
          }
          expect(await devices.ownerOf(p256Device.id)).to.equal(fleet);
        }
      }
    });

    for (const [kind, name] of kinds) {
      it(`refuses every proof of ${name} that is not for exactly this new owner`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, fleet, otherFleet } = suite;
        const key = suite[kind];
        const sale = await saleOf(suite, { key, isBearer: true });
        const wrongKey = kind === "accountDevice" ? await accountKey(suite.actors.stranger) : createP256Key();
        const wrong = await wrongProofs({ key, wrongKey, message: sale.messages.redemption });
        const { message: forOther } = {
          message: { ...sale.messages.redemption, value: { ...sale.messages.redemption.value, newOwner: otherFleet } },
        };
        wrong.push({ name: "for another new owner", proof: await key.prove(forOther) });
        wrong.push({ name: "none", proof: { publicKey: key.publicKey, signature: "0x" } });
        for (const { name: wrongName, proof } of wrong) {
          const redemption = { ...sale.redemption, ...proof };
          await expect(redeem(suite, { ...sale, redemption }), wrongName)
            .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
            .withArgs(key.id, messageDigest(sale.messages.redemption));
        }
        expect(await devices.ownerOf(key.id)).to.equal(fleet);
      });
    }

    it("asks the key that speaks for the device now, and no longer the factory's", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device, buyerFleet } = suite;
      const newKey = createP256Key();
      const before = await saleOf(suite, { key: p256Device, isBearer: true });
      await rotate(suite, { device: p256Device.id, oldKey: p256Device, newKey });
      await expect(redeem(suite, before))
        .to.be.revertedWithCustomError(devices, "KeyProofInvalid")
        .withArgs(newKey.id, messageDigest(before.messages.redemption));
      const byNewKey = await newKey.prove(before.messages.redemption);
      await redeem(suite, { ...before, redemption: { ...before.redemption, ...byNewKey } });
      expect(await devices.ownerOf(p256Device.id)).to.equal(buyerFleet);
    });

    it("takes a named voucher without the device, but not without its public key", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device, buyerFleet } = suite;
      const sale = await saleOf(suite, { key: p256Device });
      for (const publicKey of ["0x", createP256Key().publicKey]) {
        await expect(redeem(suite, { ...sale, redemption: { ...sale.redemption, publicKey } }))
          .to.be.revertedWithCustomError(devices, "PublicKeyMismatch")
          .withArgs(p256Device.id, publicKey);
      }
      await redeem(suite, { ...sale, redemption: { ...sale.redemption, deadline: 1n, signature: "0x1234" } });
      expect(await devices.ownerOf(p256Device.id)).to.equal(buyerFleet);
    });

    for (const [caller, name] of notTheOwner) {
      it(`does not take the voucher of ${name} for the owner's`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, fleet, p256Device } = suite;
        const key = await accountKey(actors[caller]);
        for (const isBearer of [false, true]) {
          const sale = await saleOf(suite, { key: p256Device, seller: { id: fleet, key }, isBearer });
          await expect(redeem(suite, sale))
            .to.be.revertedWithCustomError(devices, "SignatureInvalid")
            .withArgs(actors.owner.address, messageDigest(sale.messages.voucher));
        }
        expect(await devices.ownerOf(p256Device.id)).to.equal(fleet);
      });
    }

    const notTheBuyer = [
      ...notTheOwner,
      ["owner", "the present owner"],
      ["relayer", "a relayer"],
      ["formerBuyer", "the new owner's former governor"],
      ["buyerStaff", "an admin of the new owner's fleet"],
    ] as const;
    for (const [caller, name] of notTheBuyer) {
      it(`does not take ${name} who sends or signs for the new owner's consent`, async () => {
        const suite = await loadFixture(deployMarket);
        const { devices, fleet, p256Device, buyer, buyerFleet } = suite;
        const by = caller === "formerBuyer" || caller === "buyerStaff" ? suite[caller] : suite.actors[caller];
        for (const isBearer of [false, true]) {
          const sent = await saleOf(suite, { key: p256Device, isBearer, isSentByBuyer: true });
          await expect(redeem(suite, sent, by))
            .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
            .withArgs(buyerFleet, by.address);
          const key = await accountKey(by);
          const signed = await saleOf(suite, { key: p256Device, buyer: { id: buyerFleet, key }, isBearer });
          await expect(redeem(suite, signed))
            .to.be.revertedWithCustomError(devices, "SignatureInvalid")
            .withArgs(buyer.address, messageDigest(signed.messages.acceptance));
        }
        expect(await devices.ownerOf(p256Device.id)).to.equal(fleet);
      });
    }

    it("refuses the voucher and the acceptance of a governor who handed the fleet over", async () => {
      for (const side of ["seller", "buyer"] as const) {
        const suite = await loadFixture(deployMarket);
        const { roles, devices, actors, fleet, p256Device, buyer, buyerFleet } = suite;
        const sale = await saleOf(suite, { key: p256Device });
        const [handle, governor] = side === "seller" ? [fleet, actors.owner] : [buyerFleet, buyer];
        await roles.connect(governor).proposeGovernor(handle, actors.relayer);
        await roles.connect(actors.relayer).acceptGovernor(handle, true);
        const message = side === "seller" ? sale.messages.voucher : sale.messages.acceptance;
        await expect(redeem(suite, sale), side)
          .to.be.revertedWithCustomError(devices, "SignatureInvalid")
          .withArgs(actors.relayer.address, messageDigest(message));
        expect(await devices.ownerOf(p256Device.id)).to.equal(fleet);
      }
    });

    it("refuses a second change in one block, which resolvers could not tell apart", async () => {
      for (const isBearer of [false, true]) {
        const suite = await loadFixture(deployMarket);
        const { devices, actors, p256Device } = suite;
        const { voucher, ownerSignature, acceptance, redemption } = await saleOf(suite, { key: p256Device, isBearer });
        const next = BigInt(await networkHelpers.time.latestBlock()) + 1n;
        const calls = [
          devices.interface.encodeFunctionData("addDelegate", [p256Device.id, VERI_KEY, actors.stranger.address, DAY]),
          devices.interface.encodeFunctionData("redeemVoucher", [voucher, ownerSignature, acceptance, redemption]),
        ];
        await expect(devices.connect(actors.owner).multicall(calls))
          .to.be.revertedWithCustomError(devices, "DeviceChangedInBlock")
          .withArgs(p256Device.id, next);
      }
    });

    it("lets a device be sold on at once, but not in the same block", async () => {
      const suite = await loadFixture(deployMarket);
      const { devices, p256Device, sellers, buyers, actors } = suite;
      const first = await saleOf(suite, { key: p256Device });
      const second = await saleOf(suite, { key: p256Device, seller: buyers.handle, buyer: sellers.handle, epoch: 2n });
      const calls = [first, second].map((sale) =>
        devices.interface.encodeFunctionData("redeemVoucher", [
          sale.voucher,
          sale.ownerSignature,
          sale.acceptance,
          sale.redemption,
        ]),
      );
      const next = BigInt(await networkHelpers.time.latestBlock()) + 1n;
      await expect(devices.connect(actors.relayer).multicall(calls))
        .to.be.revertedWithCustomError(devices, "DeviceChangedInBlock")
        .withArgs(p256Device.id, next);
      await redeem(suite, first);
      await redeem(suite, second);
      expect(await devices.stateOf(p256Device.id)).to.deep.equal([sellers.handle.id, Status.Active, 3n]);
    });
  });

  for (const { name: way, handOver: change } of WAYS) {
    describe(`after ${way}, of what the former owner did`, () => {
      it("no member, role or ownership works any longer", async () => {
        const suite = await loadFixture(deployFullDevice);
        const { devices, actors, key, seller, buyerFleet } = suite;
        await change(suite, key);
        for (const by of [actors.security, seller]) {
          await expect(devices.connect(by).suspend(key.id, key.publicKey))
            .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
            .withArgs(buyerFleet, by.address, SUSPEND);
        }
        const bySeller = devices.connect(seller);
        for (const call of [
          () => bySeller.retire(key.id),
          () => bySeller.revokeAll(key.id, key.publicKey),
          () => bySeller.proposeTransfer(key.id, seller, FOR_EVER),
          () => bySeller.cancelTransfer(key.id),
        ]) {
          await expect(call())
            .to.be.revertedWithCustomError(devices, "CallerNotGovernor")
            .withArgs(buyerFleet, seller.address);
        }
        await expect(bySeller.addDelegate(key.id, VERI_KEY, seller, DAY))
          .to.be.revertedWithCustomError(devices, "NotController")
          .withArgs(key.id, buyerFleet, seller.address);
        expect(await devices.stateOf(key.id)).to.deep.equal([buyerFleet, Status.Active, 2n]);
      });

      it("no grant and no policy holds any longer", async () => {
        const suite = await loadFixture(deployFullDevice);
        const { access, actors, key, seller, buyer, buyerFleet } = suite;
        const question = [PERMISSION.ReadLive, 1n] as const;
        expect(await access.explain(key.id, actors.subject, ...question)).to.deep.equal([true, REASON.Grant]);
        expect(await access.explain(key.id, actors.stranger, ...question)).to.deep.equal([true, REASON.Public]);
        expect(await access.isAllowed(key.id, seller, ...question)).to.equal(true);

        await change(suite, key);

        expect(await access.explain(key.id, actors.subject, ...question)).to.deep.equal([false, REASON.EpochEnded]);
        expect(await access.explain(key.id, actors.stranger, ...question)).to.deep.equal([false, REASON.NoGrant]);
        expect(await access.explain(key.id, seller, ...question)).to.deep.equal([false, REASON.NoGrant]);
        expect((await access.policyOf(key.id)).owner.isSet).to.equal(false);
        expect(await access.explain(key.id, buyer, ...question)).to.deep.equal([true, REASON.Owner]);
        const expiry = (await now()) + DAY;
        const bySeller = access.connect(seller);
        for (const call of [
          () => bySeller.grant(key.id, seller, PERMISSION.ReadLive, 2n, 0n, expiry, ethers.ZeroHash),
          () => bySeller.revoke(key.id, actors.subject),
        ]) {
          await expect(call())
            .to.be.revertedWithCustomError(access, "CallerLacksPermission")
            .withArgs(buyerFleet, seller.address, PERMISSION.Share);
        }
        await expect(bySeller.setPolicy(key.id, 0n, 0n, 0n))
          .to.be.revertedWithCustomError(access, "CallerNotGovernor")
          .withArgs(buyerFleet, seller.address);
      });

      it("nothing stands in the DID document, and no delegate is valid", async () => {
        const suite = await loadFixture(deployFullDevice);
        const { devices, actors, key, seller, buyerFleet } = suite;
        expect(await documentSummary(suite, key.id)).to.deep.equal({
          methods: [...bareSummary(seller.address, key).methods, actors.stranger.address],
          authentication: 2,
          services: ["aa"],
        });
        expect(await devices.validDelegate(key.id, VERI_KEY, actors.stranger)).to.equal(true);

        await change(suite, key);

        expect(await documentSummary(suite, key.id)).to.deep.equal(bareSummary(buyerFleet, key));
        expect(await devices.validDelegate(key.id, VERI_KEY, actors.stranger)).to.equal(false);
      });
    });
  }

  it("stay possible in the epochs that are kept for them, where revokeAll no longer is", async () => {
    const suite = await loadFixture(deployMarket);
    const { devices, actors, p256Device, sellers, buyers, buyer } = suite;
    const { id: device, publicKey } = p256Device;
    const last = 2n ** 24n - 1n - 2n ** 16n;
    await setEpoch(suite, device, last - 1n);
    await devices.connect(actors.owner).revokeAll(device, publicKey);
    expect(await devices.epochOf(device)).to.equal(last);
    await expect(devices.connect(actors.owner).revokeAll(device, publicKey))
      .to.be.revertedWithCustomError(devices, "EpochExhausted")
      .withArgs(device, last);
    await redeem(suite, await saleOf(suite, { key: p256Device }));
    const back = await saleOf(suite, { key: p256Device, seller: buyers.handle, buyer: sellers.handle, isBearer: true });
    await redeem(suite, back);
    await devices.connect(actors.owner).proposeTransfer(device, buyer, FOR_EVER);
    await devices.connect(buyer).acceptTransfer(device, publicKey);
    expect(await devices.stateOf(device)).to.deep.equal([buyer.address, Status.Active, last + 3n]);
  });

  it("leave nothing that the former owner signed and nobody sent yet: voucher, enrolment, ERC-1056", async () => {
    const suite = await loadFixture(deployMarket);
    const { devices, devicesDomain, actors, sellers, buyerFleet } = suite;
    const wallet = Wallet.createRandom();
    const key = await enrollFor(suite, { id: wallet.address, key: await accountKey(wallet) });
    const seller = { id: wallet.address, key: await accountKey(wallet) };
    const named = await saleOf(suite, { key, seller, buyer: sellers.account });
    const bearer = await saleOf(suite, { key, seller, buyer: sellers.account, isBearer: true });
    const enrollment = {
      device: key.id,
      scheme: key.scheme,
      owner: wallet.address,
      manifest: 0,
      metadataHash: id("metadata"),
      deadline: (await now()) + DAY,
    };
    const enrollMessage = enrollmentMessage(devicesDomain, enrollment);
    const enrolling = [
      enrollment,
      await key.prove(enrollMessage),
      (await seller.key.prove(enrollMessage)).signature,
    ] as const;
    const action = solidityPacked(["string", "bytes32", "bytes", "uint256"], ["setAttribute", SERVICE, "0x6161", DAY]);
    const digestFor = async (controller: string): Promise<string> =>
      keccak256(
        concat(["0x1900", await devices.getAddress(), toBeHex(await devices.nonce(controller), 32), key.id, action]),
      );
    const { v, r, s } = Signature.from(wallet.signingKey.sign(await digestFor(wallet.address)));

    await redeem(suite, await saleOf(suite, { key, seller }));

    const byRelayer = devices.connect(actors.relayer);
    for (const sale of [named, bearer]) {
      await expect(redeem(suite, sale)).to.be.revertedWithCustomError(devices, "EpochStale").withArgs(key.id, 2n, 1n);
    }
    await expect(byRelayer.enroll(...enrolling))
      .to.be.revertedWithCustomError(devices, "DeviceAlreadyEnrolled")
      .withArgs(key.id, buyerFleet);
    await expect(byRelayer.setAttributeSigned(key.id, v, r, s, SERVICE, "0x6161", DAY))
      .to.be.revertedWithCustomError(devices, "ControllerSignatureInvalid")
      .withArgs(key.id, buyerFleet, await digestFor(buyerFleet));
    expect(await documentSummary(suite, key.id)).to.deep.equal(bareSummary(buyerFleet, key));
    expect(await devices.ownerOf(key.id)).to.equal(buyerFleet);
    expect(await devices.isActive(key.id)).to.equal(true);
  });

  it("give the new owner's staff the device with the transfer", async () => {
    const suite = await loadFixture(deployMarket);
    const { devices, actors, p256Device, buyerFleet } = suite;
    await addBuyerSecurity(suite, actors.relayer);
    await expect(devices.connect(actors.relayer).suspend(p256Device.id, p256Device.publicKey))
      .to.be.revertedWithCustomError(devices, "CallerLacksPermission")
      .withArgs(suite.fleet, actors.relayer.address, SUSPEND);
    await handOver(suite, p256Device);
    await expect(devices.connect(actors.relayer).suspend(p256Device.id, p256Device.publicKey))
      .to.emit(devices, "DeviceSuspended")
      .withArgs(p256Device.id, buyerFleet, actors.relayer.address);
  });
});

/** Writes the epoch of a device into the contract's storage: nobody can raise it so high otherwise. */
async function setEpoch({ devices }: Market, device: string, epoch: bigint): Promise<void> {
  const registry = await devices.getAddress();
  const before = await devices.epochOf(device);
  const epochBits = (2n ** 24n - 1n) << 196n;
  for (let position = 0n; position < 20n; position++) {
    const slot = keccak256(concat([toBeHex(device, 32), toBeHex(position, 32)]));
    const word = BigInt(await ethers.provider.getStorage(registry, slot));
    if (word === 0n || (word & epochBits) >> 196n !== before) continue;
    await networkHelpers.setStorageAt(registry, slot, toBeHex((word & ~epochBits) | (epoch << 196n), 32));
    if ((await devices.epochOf(device)) === epoch) return;
    await networkHelpers.setStorageAt(registry, slot, toBeHex(word, 32));
  }
  throw new Error("the word of the device was not found");
}
