import { expect } from "chai";
import { encodeBytes32String, hexlify, toUtf8Bytes, ZeroAddress, type Signer } from "ethers";

import type { Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { listPublished, type Published } from "../../client/did-history.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import * as roles from "../../client/roles.js";
import * as transfers from "../../client/transfers.js";
import { redemptionMessage, transferAcceptanceMessage, transferVoucherMessage } from "../../client/typed-data.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { resolveDid } from "../support/did-resolver.js";
import { providerWith, runnerWith } from "../support/provider.js";
import { errorUnsent, refusedAs } from "../support/refusals.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

/** Who buys, and the client in the buyer's hands; the buyer is an account, or governs a fleet handle. */
interface Market extends Deployed {
  asOther: Touchstone;
  asRelayer: Touchstone;
  ownerKey: Key;
  otherKey: Key;
  /** Governed by `other`. */
  otherFleet: string;
  /** Governed by `owner`, and owner of `fleetDevice`. */
  ownerFleet: string;
  fleetDevice: Key;
}

async function deployMarket(): Promise<Market> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, other, relayer } = deployed;
  const asOther = touchstone.connect(other);
  const { fleet: otherFleet } = await roles.createFleet({ touchstone: asOther });
  const { fleet: ownerFleet } = await roles.createFleet({ touchstone });
  const fleetDevice = createP256Key();
  for (const device of [deployed.device, deployed.hashingDevice, deployed.accountDevice, fleetDevice]) {
    const ownerId = device === fleetDevice ? ownerFleet : owner.address;
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: ownerId });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
  }
  return {
    ...deployed,
    asOther,
    asRelayer: touchstone.connect(relayer),
    ownerKey: await accountKey(owner),
    otherKey: await accountKey(other),
    otherFleet,
    ownerFleet,
    fleetDevice,
  };
}

const kinds: { name: string; keyOf: (market: Market) => Key }[] = [
  { name: "a P-256 device", keyOf: ({ device }) => device },
  { name: "a P-256 device that hashes", keyOf: ({ hashingDevice }) => hashingDevice },
  { name: "an account device", keyOf: ({ accountDevice }) => accountDevice },
  { name: "a device of a fleet handle", keyOf: ({ fleetDevice }) => fleetDevice },
];
const buyers: { name: string; idOf: (market: Market) => string }[] = [
  { name: "an account", idOf: ({ other }) => other.address },
  { name: "a fleet handle", idOf: ({ otherFleet }) => otherFleet },
];

/** Expects that the device is now the new owner's, in its second epoch, and says so in the last of these events. */
async function expectHandedOver(
  market: Market,
  sent: Pick<transfers.Handover, "events">,
  options: { device: Key; newOwner: string; by: string },
): Promise<void> {
  const { touchstone, owner, ownerFleet, fleetDevice } = market;
  const { device, newOwner, by } = options;
  const event = sent.events.find(({ name }) => name === "DeviceTransferred");
  const former = device === fleetDevice ? ownerFleet : owner.address;
  expect(event?.args).to.deep.equal({ device: device.id, owner: former, newOwner, epoch: 2n, by });
  expect(await devices.get({ touchstone, device: device.id })).to.deep.include({
    owner: newOwner,
    keyId: device.id,
    status: "Active",
    epoch: 2n,
  });
}

/** A key that must not be asked. */
function silent(key: Key): Key {
  return { ...key, prove: () => expect.fail("signed") };
}

describe("transfers.propose, pending, cancel and accept", () => {
  for (const { name, keyOf } of kinds) {
    for (const { name: buyerName, idOf } of buyers) {
      it(`hand ${name} to ${buyerName}`, async () => {
        const market = await loadFixture(deployMarket);
        const { touchstone, owner, other, ownerFleet, fleetDevice, asOther } = market;
        const [device, newOwner] = [keyOf(market), idOf(market)];
        await networkHelpers.time.increase(1_000_000n);
        const expiry = (await now()) + 7n * DAY;
        const proposed = await transfers.propose({ touchstone, device: device.id, newOwner });
        expect(proposed.events.map(({ args }) => args)).to.deep.equal([
          {
            device: device.id,
            owner: device === fleetDevice ? ownerFleet : owner.address,
            newOwner,
            expiry,
            epoch: 1n,
            by: owner.address,
          },
        ]);
        expect(await transfers.pending({ touchstone, device: device.id })).to.deep.equal({ newOwner, expiry });
        const accepted = await transfers.accept({ touchstone: asOther, device: device.id });
        await expectHandedOver(market, accepted, { device, newOwner, by: other.address });
        expect(await transfers.pending({ touchstone, device: device.id })).to.equal(undefined);
        expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(device.publicKey);
      });
    }
  }

  it("let the next offer take the place of the one before, for as long as asked", async () => {
    const { touchstone, other, relayer, asOther, asRelayer, device } = await loadFixture(deployMarket);
    await transfers.propose({ touchstone, device: device.id, newOwner: other.address });
    const expiry = (await now()) + 60n;
    await transfers.propose({ touchstone, device: device.id, newOwner: relayer.address, validFor: 60n });
    expect(await transfers.pending({ touchstone, device: device.id })).to.deep.equal({
      newOwner: relayer.address,
      expiry,
    });
    expect(
      await refusedAs("CallerNotGovernor", () => transfers.accept({ touchstone: asOther, device: device.id })),
    ).to.deep.equal({ fleet: relayer.address, caller: other.address });
    await transfers.accept({ touchstone: asRelayer, device: device.id, publicKey: device.publicKey });
    expect((await devices.get({ touchstone, device: device.id })).owner).to.equal(relayer.address);
  });

  it("take an offer back", async () => {
    const { touchstone, owner, other, asOther, device } = await loadFixture(deployMarket);
    await transfers.propose({ touchstone, device: device.id, newOwner: other.address });
    const { events } = await transfers.cancel({ touchstone, device: device.id });
    expect(events.map(({ name, args }) => ({ name, args }))).to.deep.equal([
      {
        name: "TransferCancelled",
        args: { device: device.id, owner: owner.address, newOwner: other.address, by: owner.address },
      },
    ]);
    expect(await transfers.pending({ touchstone, device: device.id })).to.equal(undefined);
    const accepting = { touchstone: asOther, device: device.id };
    for (const act of [
      () => transfers.accept(accepting),
      () => transfers.handover(accepting),
      () => transfers.cancel({ touchstone, device: device.id }),
    ]) {
      expect(await refusedAs("TransferNotPending", act)).to.deep.equal({ device: device.id });
    }
  });

  it("let an offer end with its time, and with the epoch", async () => {
    const { touchstone, other, asOther, device, accountDevice } = await loadFixture(deployMarket);
    for (const { id } of [device, accountDevice]) {
      await transfers.propose({ touchstone, device: id, newOwner: other.address, validFor: 60n });
    }
    await devices.revokeAll({ touchstone, device: device.id });
    expect(await transfers.pending({ touchstone, device: device.id })).to.equal(undefined);
    const { expiry } = (await transfers.pending({ touchstone, device: accountDevice.id }))!;
    await networkHelpers.time.increaseTo(expiry);
    expect(await transfers.pending({ touchstone, device: accountDevice.id })).to.equal(undefined);
    for (const { id } of [device, accountDevice]) {
      const accepting = { touchstone: asOther, device: id };
      expect(await refusedAs("TransferNotPending", () => transfers.accept(accepting))).to.deep.equal({ device: id });
      expect(await refusedAs("TransferNotPending", () => transfers.handover(accepting))).to.deep.equal({ device: id });
    }
  });

  it("leave a suspended device suspended, and its new owner resumes it", async () => {
    const { touchstone, other, asOther, device } = await loadFixture(deployMarket);
    await devices.suspend({ touchstone, device: device.id });
    await transfers.propose({ touchstone, device: device.id, newOwner: other.address });
    await transfers.accept({ touchstone: asOther, device: device.id });
    expect(await devices.get({ touchstone, device: device.id })).to.deep.include({
      owner: other.address,
      status: "Suspended",
    });
    await devices.resume({ touchstone: asOther, device: device.id });
    expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(device.publicKey);
  });

  it("pass on why the contract refuses, and send nothing", async () => {
    const { touchstone, owner, other, asOther, device, hashingDevice } = await loadFixture(deployMarket);
    const id = device.id;
    const proposing = { touchstone, device: id, newOwner: other.address };
    for (const act of [
      () => transfers.propose({ ...proposing, touchstone: asOther }),
      () => transfers.cancel({ touchstone: asOther, device: id }),
    ]) {
      expect(await refusedAs("CallerNotGovernor", act)).to.deep.equal({ fleet: owner.address, caller: other.address });
    }
    expect(
      await refusedAs("OwnerUnchanged", () => transfers.propose({ ...proposing, newOwner: owner.address })),
    ).to.deep.equal({ device: id, owner: owner.address });
    expect(
      await refusedAs("IdReserved", () => transfers.propose({ ...proposing, newOwner: ZeroAddress })),
    ).to.deep.equal({ id: ZeroAddress });
    const expiry = await now();
    expect(await refusedAs("ExpiryPassed", () => transfers.propose({ ...proposing, validFor: 0n }))).to.deep.equal({
      expiry,
    });
    await transfers.propose(proposing);
    const { publicKey } = hashingDevice;
    for (const verb of [transfers.accept, transfers.handover]) {
      expect(
        await refusedAs("PublicKeyMismatch", () => verb({ touchstone: asOther, device: id, publicKey })),
      ).to.deep.equal({ keyId: id, publicKey });
    }
    await devices.retire({ touchstone, device: id });
    expect(await refusedAs("DeviceStatusInvalid", () => transfers.propose(proposing))).to.deep.equal({
      device: id,
      status: 3n,
    });
  });

  it("refuse wrong arguments before anything is sent", async () => {
    const { touchstone, other, asOther, device } = await loadFixture(deployMarket);
    const proposing = { touchstone, device: device.id, newOwner: other.address };
    await transfers.propose(proposing);
    const accepting = { touchstone: asOther, device: device.id };
    for (const act of [
      () => transfers.propose({ ...proposing, device: "0x12" }),
      () => transfers.propose({ ...proposing, newOwner: "owner.eth" }),
      () => transfers.propose({ ...proposing, validFor: 2n ** 40n }),
      () => transfers.propose({ ...proposing, validFor: -(2n ** 40n) }),
      () => transfers.cancel({ touchstone, device: "0x12" }),
      () => transfers.pending({ touchstone, device: "0x12" }),
      () => transfers.accept({ ...accepting, device: "0x12" }),
      () => transfers.accept({ ...accepting, publicKey: "0x123" }),
      () => transfers.handover({ ...accepting, device: "0x12" }),
      () => transfers.handover({ ...accepting, publicKey: "0x123" }),
    ]) {
      await errorUnsent("INVALID_ARGUMENT", act);
    }
    for (const verb of [transfers.accept, transfers.handover]) {
      await errorUnsent("INVALID_KEY", () => verb({ ...accepting, publicKey: "0x1234" }));
      await errorUnsent("CANCELLED", () => verb({ ...accepting, signal: AbortSignal.abort() }));
      await errorUnsent("RUNNER_READ_ONLY", () =>
        verb({ ...accepting, touchstone: touchstone.connect(ethers.provider) }),
      );
    }
  });
});

describe("transfers.newVoucher and transfers.termsOf", () => {
  it("make no voucher for what nobody can give away", async () => {
    const { touchstone, relayer } = await loadFixture(deployTouchstone);
    const error = await errorUnsent("INVALID_ARGUMENT", () =>
      transfers.newVoucher({ touchstone, device: relayer.address }),
    );
    expect(error.message).to.contain(relayer.address).and.contain("None");
  });

  it("make a voucher for the present epoch, for a named owner or for whoever holds it", async () => {
    const { touchstone, other, device } = await loadFixture(deployMarket);
    await devices.revokeAll({ touchstone, device: device.id });
    const options = { touchstone, device: device.id };
    expect(await transfers.newVoucher({ ...options, newOwner: other.address })).to.deep.equal({
      device: device.id,
      newOwner: other.address,
      epoch: 2n,
      deadline: (await now()) + 30n * DAY,
    });
    const bearer = await transfers.newVoucher({ ...options, validFor: 60n });
    expect(bearer).to.deep.equal({
      device: device.id,
      newOwner: ZeroAddress,
      epoch: 2n,
      deadline: (await now()) + 60n,
    });
  });

  it("give the terms that the new owner and the device sign", async () => {
    const { touchstone, other, device } = await loadFixture(deployMarket);
    const bearer = await transfers.newVoucher({ touchstone, device: device.id });
    const named = { ...bearer, newOwner: other.address };
    expect(transfers.termsOf({ voucher: bearer, newOwner: other.address.toLowerCase() })).to.deep.equal(named);
    expect(transfers.termsOf({ voucher: named })).to.deep.equal(named);
  });

  it("refuse what is no voucher, and terms that name nobody", async () => {
    const { touchstone, other, device } = await loadFixture(deployMarket);
    const options = { touchstone, device: device.id };
    for (const wrong of [{ device: "0x12" }, { newOwner: "owner.eth" }, { validFor: 2n ** 40n }]) {
      await errorUnsent("INVALID_ARGUMENT", () => transfers.newVoucher({ ...options, ...wrong }));
    }
    const bearer = await transfers.newVoucher(options);
    for (const wrong of [{}, { newOwner: ZeroAddress }, { newOwner: "owner.eth" }]) {
      await errorUnsent("INVALID_ARGUMENT", () => transfers.termsOf({ voucher: bearer, ...wrong }));
    }
    for (const wrong of [{ device: "0x12" }, { newOwner: "0x" }, { epoch: 2n ** 24n }, { deadline: -1n }]) {
      const voucher = { ...bearer, newOwner: other.address, ...wrong };
      await errorUnsent("INVALID_ARGUMENT", () => transfers.termsOf({ voucher }));
    }
  });
});

describe("transfers.redeem", () => {
  for (const { name, keyOf } of kinds) {
    for (const { name: buyerName, idOf } of buyers) {
      for (const isBearer of [false, true]) {
        it(`hands ${name} to ${buyerName} by a ${isBearer ? "bearer" : "named"} voucher, whoever sends`, async () => {
          const market = await loadFixture(deployMarket);
          const { touchstone, other, relayer, ownerKey, otherKey, asOther, asRelayer } = market;
          const [device, newOwner] = [keyOf(market), idOf(market)];
          const voucher = await transfers.newVoucher({
            touchstone,
            device: device.id,
            ...(isBearer ? {} : { newOwner }),
          });
          const common = { voucher, byOwner: ownerKey, ...(isBearer ? { newOwner, byDevice: device } : {}) };
          const before = await networkHelpers.takeSnapshot();
          const sent = await transfers.redeem({ ...common, touchstone: asOther });
          await expectHandedOver(market, sent, { device, newOwner, by: other.address });
          await before.restore();
          const relayed = await transfers.redeem({ ...common, touchstone: asRelayer, byNewOwner: otherKey });
          await expectHandedOver(market, relayed, { device, newOwner, by: relayer.address });
        });
      }
    }
  }

  it("takes proofs that were made before, and the device's key that the caller gives", async () => {
    const market = await loadFixture(deployMarket);
    const { touchstone, asRelayer, relayer, ownerKey, otherKey, otherFleet, device, hashingDevice } = market;
    const domain = touchstone.domains.DeviceRegistry;
    const newOwner = otherFleet;
    for (const [key, isBearer] of [
      [device, true],
      [hashingDevice, false],
    ] as const) {
      const voucher = await transfers.newVoucher({ touchstone, device: key.id, ...(isBearer ? {} : { newOwner }) });
      const terms = transfers.termsOf({ voucher, newOwner });
      const sent = await transfers.redeem({
        touchstone: asRelayer,
        voucher,
        newOwner,
        byOwner: await ownerKey.prove(transferVoucherMessage(domain, voucher)),
        byNewOwner: await otherKey.prove(transferAcceptanceMessage(domain, terms)),
        ...(isBearer
          ? { byDevice: await key.prove(redemptionMessage(domain, terms)) }
          : { publicKey: key.publicKey, byDevice: silent(key) }),
      });
      await expectHandedOver(market, sent, { device: key, newOwner, by: relayer.address });
    }
  });

  it("hands a suspended device over by a named voucher, and not by a bearer's", async () => {
    const { touchstone, other, asOther, ownerKey, device } = await loadFixture(deployMarket);
    await devices.suspend({ touchstone, device: device.id });
    const bearer = await transfers.newVoucher({ touchstone, device: device.id });
    const common = { touchstone: asOther, byOwner: ownerKey };
    expect(
      await refusedAs("DeviceStatusInvalid", () =>
        transfers.redeem({ ...common, voucher: bearer, newOwner: other.address, byDevice: device }),
      ),
    ).to.deep.equal({ device: device.id, status: 2n });
    const voucher = await transfers.newVoucher({ touchstone, device: device.id, newOwner: other.address });
    await transfers.redeem({ ...common, voucher });
    expect(await devices.get({ touchstone, device: device.id })).to.deep.include({
      owner: other.address,
      status: "Suspended",
    });
  });

  it("passes on why the contract refuses, and sends nothing", async () => {
    const market = await loadFixture(deployMarket);
    const { touchstone, owner, other, relayer, asOther, asRelayer, ownerKey, otherKey, device, hashingDevice } = market;
    const newOwner = other.address;
    const voucher = await transfers.newVoucher({ touchstone, device: device.id, newOwner });
    const bearer = { ...voucher, newOwner: ZeroAddress };
    const named = { touchstone: asOther, voucher, byOwner: ownerKey };
    const borne = { ...named, voucher: bearer, newOwner, byDevice: device };

    for (const right of [named, borne]) {
      const bySigner = await refusedAs("SignatureInvalid", () => transfers.redeem({ ...right, byOwner: otherKey }));
      expect(bySigner.signer).to.equal(owner.address);
      const relayed = { ...right, touchstone: asRelayer };
      expect(await refusedAs("CallerNotGovernor", () => transfers.redeem(relayed))).to.deep.equal({
        fleet: newOwner,
        caller: relayer.address,
      });
      const byBuyer = await refusedAs("SignatureInvalid", () => transfers.redeem({ ...relayed, byNewOwner: ownerKey }));
      expect(byBuyer.signer).to.equal(newOwner);
      const changed = (changes: Partial<transfers.TransferVoucher>) => () =>
        transfers.redeem({ ...right, voucher: { ...right.voucher, ...changes } });
      const deadline = (await now()) - 1n;
      expect(await refusedAs("DeadlinePassed", changed({ deadline }))).to.deep.equal({ deadline });
      expect(await refusedAs("EpochStale", changed({ epoch: 2n }))).to.deep.equal({
        device: device.id,
        current: 1n,
        given: 2n,
      });
    }
    expect(
      await refusedAs("NewOwnerMismatch", () => transfers.redeem({ ...named, newOwner: relayer.address })),
    ).to.deep.equal({ named: newOwner, given: relayer.address });
    const { publicKey } = hashingDevice;
    expect(await refusedAs("PublicKeyMismatch", () => transfers.redeem({ ...named, publicKey }))).to.deep.equal({
      keyId: device.id,
      publicKey,
    });
    expect(
      await refusedAs("OwnerUnchanged", () => transfers.redeem({ ...borne, touchstone, newOwner: owner.address })),
    ).to.deep.equal({ device: device.id, owner: owner.address });
    const byDevice = await refusedAs("KeyProofInvalid", () => transfers.redeem({ ...borne, byDevice: hashingDevice }));
    expect(byDevice.keyId).to.equal(device.id);

    await transfers.redeem(named);
    for (const again of [named, borne]) {
      expect(await refusedAs("EpochStale", () => transfers.redeem(again))).to.deep.equal({
        device: device.id,
        current: 2n,
        given: 1n,
      });
    }
  });

  it("refuses wrong arguments before anything is signed or sent", async () => {
    const { touchstone, other, asOther, ownerKey, otherKey, device } = await loadFixture(deployMarket);
    const newOwner = other.address;
    const voucher = await transfers.newVoucher({ touchstone, device: device.id, newOwner });
    const named = { touchstone: asOther, voucher, byOwner: silent(ownerKey), byNewOwner: silent(otherKey) };
    const bearer = { ...named, voucher: { ...voucher, newOwner: ZeroAddress } };
    for (const act of [
      ...[{ device: "0x12" }, { newOwner: "owner.eth" }, { epoch: -1n }, { deadline: 2n ** 40n }].map(
        (wrong) => () => transfers.redeem({ ...named, voucher: { ...voucher, ...wrong } }),
      ),
      () => transfers.redeem({ ...named, newOwner: "owner.eth" }),
      () => transfers.redeem({ ...named, publicKey: "0x123" }),
      () => transfers.redeem({ ...bearer, byDevice: silent(device) }),
      () => transfers.redeem({ ...bearer, newOwner }),
    ]) {
      await errorUnsent("INVALID_ARGUMENT", act);
    }
    const notHex = { publicKey: "0x", signature: "0x1" };
    const right = { touchstone: asOther, voucher, byOwner: ownerKey };
    for (const wrong of [{ byOwner: notHex }, { byNewOwner: notHex }]) {
      await errorUnsent("INVALID_ARGUMENT", () => transfers.redeem({ ...right, ...wrong }));
    }
    await errorUnsent("INVALID_ARGUMENT", () =>
      transfers.redeem({ ...right, voucher: bearer.voucher, newOwner, byDevice: notHex }),
    );
    await errorUnsent("CANCELLED", () => transfers.redeem({ ...right, signal: AbortSignal.abort() }));
  });
});

const SERVICE = "did/svc/Telemetry";
const ENCRYPTION = "did/pub/X25519/enc/base64";
const VERI_KEY = "veriKey";
const ENDPOINT = hexlify(toUtf8Bytes("https://telemetry.example"));
const OLDER_ENDPOINT = hexlify(toUtf8Bytes("https://older.example"));
const ENCRYPTION_KEY = ethers.id("X25519");

/** What two owners, one after the other, published of the device and what still stands of it. */
async function publishAll(market: Market, device: Key): Promise<{ standing: Published[]; asOwner: Touchstone }> {
  const { touchstone, relayer, asRelayer } = market;
  const standing: Published[] = [];
  const note = async (item: Pick<Published, "kind" | "name" | "value">, validity: bigint): Promise<void> => {
    const [validTo, block] = [(await now()) + validity, await ethers.provider.getBlockNumber()];
    standing.push({ ...item, device: device.id, nameBytes: encodeBytes32String(item.name), validTo, block });
  };
  const attribute = async (as: Touchstone, name: string, value: string, validity: bigint): Promise<void> => {
    await as.deviceRegistry.setAttribute(device.id, encodeBytes32String(name), value, validity);
    await note({ kind: "attribute", name, value }, validity);
  };
  await attribute(touchstone, SERVICE, OLDER_ENDPOINT, 300n * DAY);
  await transfers.propose({ touchstone, device: device.id, newOwner: relayer.address });
  await transfers.accept({ touchstone: asRelayer, device: device.id });
  await attribute(asRelayer, SERVICE, ENDPOINT, 300n * DAY);
  await attribute(asRelayer, ENCRYPTION, ENCRYPTION_KEY, 300n * DAY);
  const delegate = ethers.getAddress(ethers.dataSlice(ethers.id("delegate"), 12));
  await asRelayer.deviceRegistry.addDelegate(device.id, encodeBytes32String(VERI_KEY), delegate, 300n * DAY);
  await note({ kind: "delegate", name: VERI_KEY, value: delegate }, 300n * DAY);
  // These do not stand: one is over, the others were taken back.
  await asRelayer.deviceRegistry.setAttribute(device.id, encodeBytes32String("did/svc/Over"), ENDPOINT, 10n);
  await asRelayer.deviceRegistry.setAttribute(device.id, encodeBytes32String("did/svc/Back"), ENDPOINT, 300n * DAY);
  await asRelayer.deviceRegistry.revokeAttribute(device.id, encodeBytes32String("did/svc/Back"), ENDPOINT);
  await asRelayer.deviceRegistry.addDelegate(device.id, encodeBytes32String(VERI_KEY), relayer, 300n * DAY);
  await asRelayer.deviceRegistry.revokeDelegate(device.id, encodeBytes32String(VERI_KEY), relayer);
  await networkHelpers.time.increase(11n);
  return { standing, asOwner: asRelayer };
}

/** What the unmodified resolver shows: methods by type and value, and the endpoints of services. */
async function shownBy({ touchstone }: Market, device: string): Promise<{ methods: string[]; services: unknown[] }> {
  const { deviceRegistry, chainId } = touchstone;
  const { didDocument } = await resolveDid({ devices: deviceRegistry, chainId }, device);
  const { verificationMethod = [], service = [] } = didDocument!;
  return {
    methods: verificationMethod.map(({ type, blockchainAccountId }) =>
      blockchainAccountId === undefined ? type : blockchainAccountId.split(":")[2]!,
    ),
    services: service.map(({ serviceEndpoint }) => serviceEndpoint),
  };
}

/** How a device comes to its new owner; what `handover` takes besides the client. */
type Way = (options: {
  market: Market;
  asOwner: Touchstone;
  device: Key;
  newOwner: string;
}) => Promise<{ device: string } | Pick<transfers.RedeemOptions, "voucher" | "byOwner" | "newOwner" | "byDevice">>;

const ways: { name: string; way: Way }[] = [
  {
    name: "an offer",
    async way({ asOwner, device, newOwner }) {
      await transfers.propose({ touchstone: asOwner, device: device.id, newOwner });
      return { device: device.id };
    },
  },
  {
    name: "a named voucher",
    async way({ asOwner, device, newOwner }) {
      const voucher = await transfers.newVoucher({ touchstone: asOwner, device: device.id, newOwner });
      return { voucher, byOwner: await accountKey(asOwner.runner as Signer) };
    },
  },
  {
    name: "a bearer voucher",
    async way({ asOwner, device, newOwner }) {
      const voucher = await transfers.newVoucher({ touchstone: asOwner, device: device.id });
      return { voucher, byOwner: await accountKey(asOwner.runner as Signer), newOwner, byDevice: device };
    },
  },
];

describe("transfers.handover", () => {
  for (const { name, way } of ways) {
    for (const { name: kindName, keyOf } of kinds) {
      for (const { name: buyerName, idOf } of buyers) {
        it(`takes ${kindName} by ${name} for ${buyerName}, and takes back all that two owners published`, async () => {
          const market = await loadFixture(deployMarket);
          const { touchstone, other, relayer, asOther } = market;
          const [device, newOwner] = [keyOf(market), idOf(market)];
          const { standing, asOwner } = await publishAll(market, device);
          const method = device.scheme === Scheme.Account ? device.id : "Multikey";
          expect(await listPublished({ touchstone, device: device.id })).to.deep.equal(standing);
          expect((await shownBy(market, device.id)).services).to.deep.equal(["https://telemetry.example"]);
          const taking = await way({ market, asOwner, device, newOwner });

          const nonce = await other.getNonce();
          const { published, events, receipt } = await transfers.handover({ touchstone: asOther, ...taking });
          expect(await other.getNonce()).to.equal(nonce + 1);
          expect(receipt.status).to.equal(1);
          expect(published).to.deep.equal(standing);
          const [ownerChanged, , transferred, ...removals] = events;
          expect(ownerChanged?.args).to.deep.equal({ identity: device.id, owner: newOwner, previousChange: 0n });
          expect(transferred?.name).to.equal("DeviceTransferred");
          expect(transferred?.args).to.deep.equal({
            device: device.id,
            owner: relayer.address,
            newOwner,
            epoch: 3n,
            by: other.address,
          });
          const previousChange = BigInt(receipt.blockNumber);
          expect(removals.map((event) => ({ name: event.name, args: event.args }))).to.deep.equal(
            standing.map(({ kind, nameBytes, value }) => ({
              name: kind === "attribute" ? "DIDAttributeChanged" : "DIDDelegateChanged",
              args: {
                identity: device.id,
                ...(kind === "attribute" ? { name: nameBytes, value } : { delegateType: nameBytes, delegate: value }),
                validTo: 0n,
                previousChange,
              },
            })),
          );
          expect(await devices.get({ touchstone, device: device.id })).to.deep.include({
            owner: newOwner,
            keyId: device.id,
            status: "Active",
            epoch: 3n,
            changed: previousChange,
          });
          expect(await listPublished({ touchstone, device: device.id })).to.deep.equal([]);
          expect(await shownBy(market, device.id)).to.deep.equal({ methods: [newOwner, method], services: [] });
          expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(device.publicKey);
        });
      }
    }

    it(`is one transaction by ${name} where nothing was published`, async () => {
      const market = await loadFixture(deployMarket);
      const { touchstone, owner, other, asOther, device } = market;
      const newOwner = other.address;
      const taking = await way({ market, asOwner: touchstone, device, newOwner });
      const nonce = await other.getNonce();
      const handedOver = await transfers.handover({ touchstone: asOther, ...taking });
      expect(await other.getNonce()).to.equal(nonce + 1);
      expect(handedOver.published).to.deep.equal([]);
      expect(handedOver.events.map((event) => event.name)).to.deep.equal([
        "DIDOwnerChanged",
        "DIDAttributeChanged",
        "DeviceTransferred",
      ]);
      await expectHandedOver(market, handedOver, { device, newOwner, by: other.address });

      // Nor does the next owner find anything.
      const back = await way({ market, asOwner: asOther, device, newOwner: owner.address });
      expect((await transfers.handover({ touchstone, ...back })).published).to.deep.equal([]);
    });

    it(`is refused by ${name} to whom it is not given, and nothing is sent`, async () => {
      const market = await loadFixture(deployMarket);
      const { touchstone, relayer, asRelayer, otherFleet, device } = market;
      await touchstone.deviceRegistry.setAttribute(device.id, encodeBytes32String(SERVICE), ENDPOINT, DAY);
      const taking = await way({ market, asOwner: touchstone, device, newOwner: otherFleet });
      expect(
        await refusedAs("CallerNotGovernor", () => transfers.handover({ touchstone: asRelayer, ...taking })),
      ).to.deep.equal({ fleet: otherFleet, caller: relayer.address });
      expect(await listPublished({ touchstone, device: device.id })).to.have.lengthOf(1);
    });
  }

  it("is not stopped by what an account published in its own name before it was enrolled", async () => {
    const { touchstone, owner, other, asOther } = await loadFixture(deployMarket);
    const account = (await ethers.getSigners())[6]!;
    const device = await accountKey(account);
    const registry = touchstone.deviceRegistry.connect(account);
    const type = ethers.zeroPadBytes(ethers.concat([toUtf8Bytes("sigAuth"), "0x0001"]), 32);
    await registry.addDelegate(device.id, type, other, DAY);
    const name = ethers.zeroPadBytes(ethers.concat([toUtf8Bytes("did/pub/X/sigAuth"), "0xff"]), 32);
    await registry.setAttribute(device.id, name, "0x01", DAY);
    await registry.setAttribute(device.id, encodeBytes32String(SERVICE), ENDPOINT, DAY);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    await transfers.propose({ touchstone, device: device.id, newOwner: other.address });
    const { published } = await transfers.handover({ touchstone: asOther, device: device.id });
    expect(published.map((item) => item.name)).to.deep.equal([SERVICE]);
  });

  it("takes a suspended device and its past, and leaves it suspended", async () => {
    const { touchstone, other, asOther, device } = await loadFixture(deployMarket);
    await touchstone.deviceRegistry.setAttribute(device.id, encodeBytes32String(SERVICE), ENDPOINT, DAY);
    await devices.suspend({ touchstone, device: device.id });
    await transfers.propose({ touchstone, device: device.id, newOwner: other.address });
    const { published } = await transfers.handover({ touchstone: asOther, device: device.id });
    expect(published.map((item) => item.name)).to.deep.equal([SERVICE]);
    expect((await devices.get({ touchstone, device: device.id })).status).to.equal("Suspended");
    await devices.resume({ touchstone: asOther, device: device.id });
    expect(await devices.publicKeyOf({ touchstone, device: device.id })).to.equal(device.publicKey);
  });

  it("is refused where the new owner would not send, before anything is signed or sent", async () => {
    const { touchstone, other, asOther, ownerKey, otherKey, device } = await loadFixture(deployMarket);
    const newOwner = other.address;
    const voucher = await transfers.newVoucher({ touchstone, device: device.id, newOwner });
    const redeeming = { touchstone: asOther, voucher, byOwner: silent(ownerKey), byNewOwner: silent(otherKey) };
    await errorUnsent("INVALID_ARGUMENT", () => transfers.handover(redeeming));
    const bearer = { touchstone: asOther, voucher: { ...voucher, newOwner: ZeroAddress }, byOwner: silent(ownerKey) };
    await errorUnsent("INVALID_ARGUMENT", () => transfers.handover({ ...bearer, byDevice: silent(device) }));
    await errorUnsent("INVALID_ARGUMENT", () => transfers.handover({ ...bearer, newOwner }));
    await errorUnsent("INVALID_ARGUMENT", () =>
      transfers.handover({ ...bearer, voucher: { ...voucher, device: "0x12" } }),
    );
  });

  it("can be cancelled until it is sent", async () => {
    const { touchstone, other, asOther, device } = await loadFixture(deployMarket);
    await transfers.propose({ touchstone, device: device.id, newOwner: other.address });
    const { publicKey } = device;
    const unread = asOther.connect(other.connect(providerWith({ getLogs: () => expect.fail("asked for events") })));
    await errorUnsent("CANCELLED", () =>
      transfers.handover({ touchstone: unread, device: device.id, publicKey, signal: AbortSignal.abort() }),
    );
    const controller = new AbortController();
    const runner = runnerWith(other, {
      async estimateGas(transaction) {
        const gas = await other.estimateGas(transaction);
        controller.abort();
        return gas;
      },
    });
    await errorUnsent("CANCELLED", () =>
      transfers.handover({ touchstone: asOther.connect(runner), device: device.id, signal: controller.signal }),
    );
  });
});
