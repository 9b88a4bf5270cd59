import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";

import { expect } from "chai";

import * as access from "../../client/access.js";
import * as anchors from "../../client/anchors.js";
import type { Measurement } from "../../client/batches.js";
import * as devices from "../../client/devices.js";
import type { GrantablePermission } from "../../client/enumerations.js";
import {
  createKeyAgreementKey,
  publishKeyAgreementKey,
  revokeKeyAgreementKey,
  type SoftwareKeyAgreementKey,
} from "../../client/key-agreement.js";
import { ReaderKeys, type Envelope } from "../../client/key-envelopes.js";
import { openKeyRing, type KeyRing, type KeyRingUpdate } from "../../client/key-rings.js";
import { createP256Key } from "../../client/keys.js";
import * as roles from "../../client/roles.js";
import { sealedHeader, type DataClass, type DataKey } from "../../client/sealing.js";
import * as transfers from "../../client/transfers.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { enrollDevice, type Actors } from "../support/fleet.js";
import { temporaryFolder } from "../support/folder.js";
import { providerWith } from "../support/provider.js";
import { serveChain } from "../support/rpc-server.js";
import type { SealOrder } from "../support/seal-in-child.js";
import { deploySuite, type Suite } from "../support/suite.js";

const CHILD = fileURLToPath(new URL("../support/seal-in-child.ts", import.meta.url));

const READERS = ["owner", "operator", "subject", "stranger", "otherAdmin", "memberWithoutPermission"] as const;
type ReaderName = (typeof READERS)[number];

interface Shared extends Suite {
  keys: Record<ReaderName, SoftwareKeyAgreementKey>;
  device: string;
  logId: string;
}

/** The fleet at work; everyone who may come to read has published a key. */
async function deployShared(): Promise<Shared> {
  const suite = await deploySuite();
  const keys = {} as Shared["keys"];
  for (const [index, name] of READERS.entries()) {
    keys[name] = createKeyAgreementKey({ curve: index % 2 === 0 ? "X25519" : "P-256" });
    await publishKeyAgreementKey({ touchstone: suite.as[name], key: keys[name] });
  }
  const device = suite.p256Device.id;
  return { ...suite, keys, device, logId: anchors.deviceLogId({ device }) };
}

const LIVE: GrantablePermission[] = ["ReadLive"];
const LIVE_AND_HISTORY: GrantablePermission[] = ["ReadLive", "ReadHistory"];

describe("Key rings", () => {
  const fileIn = temporaryFolder();
  const rings: KeyRing[] = [];
  afterEach(async () => {
    for (const ring of rings.splice(0)) await ring.close();
  });

  /** A ring of the owner, with what is done to it in most tests, and what each reader holds of it. */
  class Gateway {
    readonly readers = new Map<ReaderName, ReaderKeys>();
    /** Of the reading that comes next. */
    seq = 0n;
    time = 0n;
    constructor(
      readonly shared: Shared,
      readonly ring: KeyRing,
    ) {}

    static async open(shared: Shared, options: Partial<Parameters<typeof openKeyRing>[0]> = {}): Promise<Gateway> {
      const touchstone = shared.as.gateway;
      const clock = { now: (): bigint => 0n };
      const ring = await openKeyRing({
        touchstone,
        path: fileIn("ring"),
        owner: shared.fleet,
        confirmations: 0,
        clock: () => clock.now(),
        ...options,
      });
      rings.push(ring);
      const gateway = new Gateway(shared, ring);
      clock.now = () => gateway.time;
      return gateway;
    }

    async update(): Promise<KeyRingUpdate> {
      const update = await this.ring.update({ touchstone: this.shared.as.gateway, devices: [this.shared.device] });
      await this.deliver(update.envelopes);
      return update;
    }

    async deliver(envelopes: readonly Envelope[]): Promise<void> {
      for (const envelope of envelopes) {
        const name = READERS.find((reader) => this.shared.actors[reader].address === envelope.subject);
        if (name !== undefined) await this.reader(name).add(envelope);
      }
    }

    reader(name: ReaderName): ReaderKeys {
      const { chainId, keys, as } = this.shared;
      const known =
        this.readers.get(name) ??
        new ReaderKeys({ chainId, dataAccess: as.owner.addresses.DataAccess, keys: [keys[name]] });
      this.readers.set(name, known);
      return known;
    }

    seal(dataClass: DataClass = "readings"): { seq: bigint; reading: Required<Measurement> } {
      const { device, logId } = this.shared;
      const seq = this.seq++;
      const reading = { measuredAt: seq, payload: Buffer.from(`${dataClass} ${seq}`) };
      return { seq, reading: this.ring.seal({ device, dataClass, logId, seq, reading }) };
    }

    /** Who can open a reading, by their names. */
    whoOpens(sealed: { seq: bigint; reading: Required<Measurement> }): ReaderName[] {
      const { logId } = this.shared;
      return READERS.filter((name) => {
        try {
          const { payload } = this.reader(name).open({ logId, ...sealed });
          expect(Buffer.from(payload).toString()).to.match(new RegExp(` ${sealed.seq}$`));
          return true;
        } catch (error) {
          expect(error).to.have.property("code", "DATA_KEY_MISSING");
          return false;
        }
      });
    }
  }

  async function grant(
    { as, actors, device }: Shared,
    subject: keyof Actors,
    permissions: readonly GrantablePermission[],
    changes: { expiry?: bigint; notBefore?: bigint } = {},
  ): Promise<void> {
    const { expiry = (await now()) + 30n * DAY } = changes;
    const purposes = ["Marketing"] as const;
    const to = { device, subject: actors[subject].address };
    await access.grant({ touchstone: as.owner, ...to, permissions, purposes, ...changes, expiry });
  }

  const revoke = ({ as, actors, device }: Shared, subject: keyof Actors): Promise<unknown> =>
    access.revoke({ touchstone: as.owner, device, subject: actors[subject].address });

  const STAFF: ReaderName[] = ["owner", "operator"];

  it("give keys to the governor, to members by their roles, and to grantees, and to nobody else", async () => {
    const shared = await loadFixture(deployShared);
    await grant(shared, "subject", LIVE);
    const gateway = await Gateway.open(shared);
    const update = await gateway.update();
    expect(
      update.rotations.map(({ dataClass, epoch, keyEpoch, cause }) => [dataClass, epoch, keyEpoch, cause]),
    ).to.deep.equal(["readings", "location", "metadata"].map((dataClass) => [dataClass, 1n, 1, "First"]));
    expect(update.notOwned).to.deep.equal([]);
    expect(update.publicKeys).to.deep.equal([]);
    const { actors } = shared;
    // They hold roles that read, and published no key.
    expect(update.missing.sort()).to.deep.equal([actors.admin.address, actors.gateway.address].sort());
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal([...STAFF, "subject"]);
    expect(gateway.whoOpens(gateway.seal("location"))).to.deep.equal(["owner"]);
    // An auditor reads metadata and history, but no live data.
    expect(gateway.whoOpens(gateway.seal("metadata"))).to.deep.equal([...STAFF, "memberWithoutPermission"]);
    // Nothing has changed: nothing is made.
    const again = await gateway.update();
    expect([again.rotations, again.envelopes]).to.deep.equal([[], []]);
    for (const envelope of gateway.ring.envelopes())
      expect(JSON.parse(JSON.stringify(envelope))).to.deep.equal(envelope);
    expect(gateway.ring.envelopes({ account: actors.subject.address })).to.have.lengthOf(1);
    expect(gateway.ring.envelopes({ device: actors.subject.address })).to.have.lengthOf(0);
  });

  it("have a new key after a revoke, which the revoked reader cannot open", async () => {
    const shared = await loadFixture(deployShared);
    await grant(shared, "subject", LIVE_AND_HISTORY);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    const before = gateway.seal();
    await revoke(shared, "subject");
    const { rotations } = await gateway.update();
    expect(rotations).to.deep.equal([
      {
        device: shared.device,
        dataClass: "readings",
        epoch: 1n,
        keyEpoch: 2,
        cause: "ReaderLost",
        accounts: [shared.actors.subject.address],
      },
    ]);
    const after = gateway.seal();
    // What was read cannot be unread.
    expect(gateway.whoOpens(before)).to.include("subject");
    expect(gateway.whoOpens(after)).to.deep.equal(STAFF);
    expect(gateway.ring.envelopes({ account: shared.actors.subject.address })).to.deep.equal([]);
    // Nobody outside gets it back by being granted something else.
    await grant(shared, "subject", ["ReadMetadata"]);
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
    expect(gateway.whoOpens(after)).to.deep.equal(STAFF);
  });

  it("keep what was before from a new reader without ReadHistory, and give it to one with", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    const first = gateway.seal();
    await grant(shared, "subject", LIVE);
    const joined = await gateway.update();
    expect(joined.rotations.map(({ keyEpoch, cause }) => [keyEpoch, cause])).to.deep.equal([[2, "ReaderJoined"]]);
    const second = gateway.seal();
    expect(gateway.whoOpens(first)).to.not.include("subject");
    expect(gateway.whoOpens(second)).to.include("subject");
    await grant(shared, "stranger", LIVE_AND_HISTORY);
    expect((await gateway.update()).rotations).to.deep.equal([]);
    const third = gateway.seal();
    for (const sealed of [first, second, third]) expect(gateway.whoOpens(sealed)).to.include("stranger");
    // An auditor has the history alone: the present key comes to it when it is no longer present.
    expect(gateway.whoOpens(first)).to.include("memberWithoutPermission");
    expect(gateway.whoOpens(third)).to.not.include("memberWithoutPermission");
  });

  it("keep the key that sealed nothing yet: whoever joins can read nothing of before", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    await grant(shared, "subject", LIVE);
    expect((await gateway.update()).rotations).to.deep.equal([]);
    expect(gateway.whoOpens(gateway.seal())).to.include("subject");
  });

  it("have a new key when a role ends, when roles are taken, and when all of them are", async () => {
    const shared = await loadFixture(deployShared);
    const { as, actors, fleet } = shared;
    const gateway = await Gateway.open(shared);
    await gateway.update();
    gateway.seal();
    await roles.setRoles({ touchstone: as.owner, fleet, account: actors.operator.address, roles: ["Security"] });
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(["owner"]);
    const expiry = (await now()) + DAY;
    await roles.setRoles({ touchstone: as.owner, fleet, account: actors.stranger.address, roles: ["Analyst"], expiry });
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(["owner", "stranger"]);
    expect(gateway.ring.nextExpiry()).to.equal(expiry);
    await roles.revokeAll({ touchstone: as.owner, fleet });
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(["owner"]);
    expect(gateway.ring.nextExpiry()).to.equal(undefined);
  });

  it("have a new key at the moment of an expiry, even if the chain is not asked", async () => {
    const shared = await loadFixture(deployShared);
    const expiry = (await now()) + DAY;
    await grant(shared, "subject", LIVE, { expiry });
    await grant(shared, "stranger", LIVE, { expiry: expiry + DAY });
    const gateway = await Gateway.open(shared);
    await gateway.update();
    expect(gateway.ring.nextExpiry()).to.equal(expiry);
    gateway.time = expiry - 1n;
    const before = gateway.seal();
    gateway.time = expiry;
    const after = gateway.seal();
    expect(sealedHeader(before.reading.payload).keyEpoch).to.equal(1);
    expect(sealedHeader(after.reading.payload).keyEpoch).to.equal(2);
    expect(gateway.ring.nextExpiry()).to.equal(expiry + DAY);
    await networkHelpers.time.increaseTo(expiry);
    const { rotations } = await gateway.update();
    expect(rotations.filter(({ dataClass }) => dataClass === "readings")).to.deep.equal([]);
    expect(gateway.whoOpens(before)).to.include("subject");
    expect(gateway.whoOpens(after)).to.deep.equal([...STAFF, "stranger"]);
    // A clock that is put back brings nobody back.
    gateway.time = 0n;
    expect(sealedHeader(gateway.seal().reading.payload).keyEpoch).to.equal(2);
  });

  it("give no key to whom a right expired while the chain was being read", async () => {
    const shared = await loadFixture(deployShared);
    const expiry = (await now()) + DAY;
    await grant(shared, "subject", LIVE, { expiry });
    const gateway = await Gateway.open(shared);
    await gateway.update();
    gateway.seal();
    const { provider } = shared.as.gateway;
    const getLogs = provider.getLogs.bind(provider);
    const sealed: ReturnType<Gateway["seal"]>[] = [];
    provider.getLogs = async (filter) => {
      const logs = await getLogs(filter);
      if (sealed.length > 0) return logs;
      gateway.time = expiry;
      sealed.push(gateway.seal());
      return logs;
    };
    await networkHelpers.mine();
    try {
      await gateway.update();
    } finally {
      provider.getLogs = getLogs;
    }
    sealed.push(gateway.seal());
    await gateway.update();
    expect(sealed).to.have.lengthOf(2);
    for (const each of sealed) expect(gateway.whoOpens(each)).to.deep.equal(STAFF);
  });

  it("say when someone will start to read, and give the key then", async () => {
    const shared = await loadFixture(deployShared);
    const notBefore = (await now()) + DAY;
    await grant(shared, "subject", LIVE, { notBefore });
    const gateway = await Gateway.open(shared);
    await gateway.update();
    expect(gateway.ring.nextStart()).to.equal(notBefore);
    const early = gateway.seal();
    await networkHelpers.time.increaseTo(notBefore);
    await gateway.update();
    expect(gateway.ring.nextStart()).to.equal(undefined);
    expect(gateway.whoOpens(early)).to.not.include("subject");
    expect(gateway.whoOpens(gateway.seal())).to.include("subject");
  });

  it("have a new key when the ceiling is lowered, and when the device is suspended; resuming gives a third", async () => {
    const shared = await loadFixture(deployShared);
    const { as, device, p256Device } = shared;
    await grant(shared, "subject", [...LIVE, "ReadMetadata"]);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    gateway.seal();
    await access.setPolicy({ touchstone: as.owner, device, ceiling: ["ReadMetadata"] });
    const narrowed = await gateway.update();
    expect(narrowed.rotations.map(({ dataClass, cause }) => [dataClass, cause])).to.deep.equal([
      ["readings", "ReaderLost"],
    ]);
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
    expect(gateway.whoOpens(gateway.seal("metadata"))).to.include("subject");
    await devices.suspend({ touchstone: as.owner, device, publicKey: p256Device.publicKey });
    await gateway.update();
    const closed = gateway.seal("metadata");
    expect(gateway.whoOpens(closed)).to.deep.equal([...STAFF, "memberWithoutPermission"]);
    await devices.resume({ touchstone: as.owner, device, publicKey: p256Device.publicKey });
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal("metadata"))).to.include("subject");
    expect(gateway.whoOpens(closed)).to.not.include("subject");
  });

  it("give the keys of what is public to everyone, and take the next one back", async () => {
    const shared = await loadFixture(deployShared);
    const { as, device, logId, chainId } = shared;
    const gateway = await Gateway.open(shared);
    await gateway.update();
    const secret = gateway.seal();
    const ceiling: GrantablePermission[] = ["ReadLive", "ReadHistory", "ReadLocation", "ReadMetadata"];
    await access.setPolicy({ touchstone: as.owner, device, ceiling, publicRead: ["ReadLive"] });
    const anyone = new ReaderKeys({ chainId, dataAccess: as.owner.addresses.DataAccess, keys: [] });
    const opened = await gateway.update();
    expect(opened.rotations.map(({ dataClass, cause }) => [dataClass, cause])).to.deep.equal([
      ["readings", "ReaderJoined"],
    ]);
    expect(opened.rotations[0]!.accounts).to.include("everyone");
    const open = gateway.seal();
    for (const key of opened.publicKeys) anyone.addPublic(key);
    expect(Buffer.from(anyone.open({ logId, ...open }).payload).toString()).to.equal("readings 1");
    await errorOf("DATA_KEY_MISSING", () => anyone.open({ logId, ...secret }));
    await access.setPolicy({ touchstone: as.owner, device, ceiling });
    const narrowed = await gateway.update();
    expect(narrowed.publicKeys).to.deep.equal([]);
    await errorOf("DATA_KEY_MISSING", () => anyone.open({ logId, ...gateway.seal() }));
  });

  it("are worth nothing to a new owner for what came before, nor to the former one for what comes", async () => {
    const shared = await loadFixture(deployShared);
    const { as, actors, device, logId, p256Device } = shared;
    await grant(shared, "subject", LIVE_AND_HISTORY);
    const seller = await Gateway.open(shared);
    await seller.update();
    const before = seller.seal();
    await transfers.propose({ touchstone: as.owner, device, newOwner: actors.stranger.address });
    await transfers.accept({ touchstone: as.stranger, device, publicKey: p256Device.publicKey });
    const sold = await seller.update();
    expect(sold.notOwned).to.deep.equal([device]);
    expect([sold.envelopes, seller.ring.envelopes()]).to.deep.equal([[], []]);
    const error = await errorOf("DEVICE_NOT_OWNED", () => seller.seal());
    expect(error.details).to.deep.equal({ device, owner: shared.fleet });

    const buyer = await Gateway.open(shared, { path: fileIn("buyer"), owner: actors.stranger.address });
    buyer.seq = 10n;
    const bought = await buyer.update();
    expect(bought.rotations.map(({ epoch, keyEpoch }) => [epoch, keyEpoch])).to.deep.equal([
      [2n, 1],
      [2n, 1],
      [2n, 1],
    ]);
    const after = buyer.seal();
    expect(buyer.whoOpens(after)).to.deep.equal(["stranger"]);
    expect(buyer.whoOpens(before)).to.deep.equal([]);
    await errorOf("DATA_KEY_MISSING", () => buyer.ring.open({ logId, ...before }));
    // The former owner, the staff and the former grantee go on to read what was theirs, and nothing else.
    expect(seller.whoOpens(before)).to.deep.equal([...STAFF, "subject"]);
    expect(seller.whoOpens(after)).to.deep.equal([]);
    expect(Buffer.from(seller.ring.open({ logId, ...before }).payload).toString()).to.equal("readings 0");
    await errorOf("DATA_KEY_MISSING", () => seller.ring.open({ logId, ...after }));
  });

  it("begin anew with each owner epoch, of the same owner too", async () => {
    const shared = await loadFixture(deployShared);
    const { as, device, p256Device } = shared;
    await grant(shared, "subject", LIVE_AND_HISTORY);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    const before = gateway.seal();
    await devices.revokeAll({ touchstone: as.owner, device, publicKey: p256Device.publicKey });
    await gateway.update();
    const after = gateway.seal();
    expect(sealedHeader(after.reading.payload)).to.include({ epoch: 2n, keyEpoch: 1 });
    expect(gateway.whoOpens(after)).to.deep.equal(STAFF);
    await grant(shared, "stranger", LIVE_AND_HISTORY);
    await gateway.update();
    expect(gateway.whoOpens(after)).to.include("stranger");
    expect(gateway.whoOpens(before)).to.not.include("stranger");
  });

  it("have a new key when a reader takes a key back, and reach the reader at the next one", async () => {
    const shared = await loadFixture(deployShared);
    const { as, actors, keys } = shared;
    await grant(shared, "subject", LIVE);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    gateway.seal();
    await revokeKeyAgreementKey({ touchstone: as.subject, key: keys.subject });
    const taken = await gateway.update();
    expect(taken.missing).to.include(actors.subject.address);
    expect(taken.rotations.map(({ cause, accounts }) => [cause, accounts])).to.deep.equal([
      ["RecipientChanged", [actors.subject.address]],
    ]);
    const stolen = gateway.seal();
    expect(gateway.whoOpens(stolen)).to.deep.equal(STAFF);
    expect((await gateway.update()).rotations).to.deep.equal([]);
    const next = createKeyAgreementKey();
    await publishKeyAgreementKey({ touchstone: as.subject, key: next });
    const { envelopes } = await gateway.ring.update({ touchstone: as.gateway, devices: [shared.device] });
    expect(envelopes.map(({ subject, recipientKey }) => [subject, recipientKey])).to.deep.equal([
      [actors.subject.address, next.id],
    ]);
  });

  it("give keys only after confirmations, and take them at first sight", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared, { confirmations: 3 });
    await networkHelpers.mine(3);
    await gateway.update();
    await grant(shared, "subject", LIVE);
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
    await networkHelpers.mine(3);
    await gateway.update();
    const given = gateway.seal();
    expect(gateway.whoOpens(given)).to.include("subject");
    await revoke(shared, "subject");
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
  });

  it("let who was revoked and granted again wait like anyone new", async () => {
    const shared = await loadFixture(deployShared);
    const { as, device, p256Device } = shared;
    await grant(shared, "subject", LIVE_AND_HISTORY);
    const gateway = await Gateway.open(shared, { confirmations: 6 });
    await networkHelpers.mine(6);
    await gateway.update();
    await revoke(shared, "subject");
    await gateway.update();
    const between = gateway.seal();
    await grant(shared, "subject", LIVE_AND_HISTORY);
    await gateway.update();
    expect(gateway.whoOpens(between)).to.deep.equal(STAFF);
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
    await networkHelpers.mine(6);
    await gateway.update();
    expect(gateway.whoOpens(between)).to.include("subject");
    expect(gateway.whoOpens(gateway.seal())).to.include("subject");

    // So do all whom a suspension ended.
    await devices.suspend({ touchstone: as.owner, device, publicKey: p256Device.publicKey });
    await gateway.update();
    await devices.resume({ touchstone: as.owner, device, publicKey: p256Device.publicKey });
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
    await networkHelpers.mine(6);
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.include("subject");
  });

  it("give nothing back to a revoked reader when a node that is behind answers", async () => {
    const shared = await loadFixture(deployShared);
    await grant(shared, "subject", LIVE);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    const before = await ethers.provider.getBlockNumber();
    await revoke(shared, "subject");
    await gateway.update();
    const present = gateway.seal();
    const behind = async (replaced: object): Promise<void> => {
      const touchstone = shared.as.gateway.connect(providerWith(replaced));
      await errorOf("RPC_FAILED", async () => {
        const { envelopes } = await gateway.ring.update({ touchstone, devices: [shared.device] });
        await gateway.deliver(envelopes);
      });
      expect(gateway.whoOpens(present)).to.deep.equal(STAFF);
      expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
    };
    const send = (method: string, params: unknown[]): Promise<unknown> =>
      ethers.provider.send(method, params) as Promise<unknown>;
    await behind({
      send: (method: string, params: unknown[]) =>
        method === "eth_blockNumber" ? Promise.resolve(ethers.toQuantity(before)) : send(method, params),
    });
    // The node that answers for events has not heard of the block yet that another one named as the latest.
    await grant(shared, "stranger", LIVE);
    await behind({
      getLogs: ({ blockHash }: { blockHash?: string }) =>
        blockHash === undefined ? Promise.resolve([]) : Promise.reject(new Error("unknown block")),
    });
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal([...STAFF, "stranger"]);
  });

  it("survive a reorganisation that undoes what they saw", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared, { confirmations: 1 });
    await networkHelpers.mine(2);
    const snapshot = await networkHelpers.takeSnapshot();
    await grant(shared, "subject", LIVE);
    await networkHelpers.mine(4);
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.include("subject");
    await snapshot.restore();
    await networkHelpers.mine(6);
    await gateway.update();
    expect(gateway.whoOpens(gateway.seal())).to.deep.equal(STAFF);
  });

  it("are one file for its owner's eyes that shows no key, and go on where they ended", async () => {
    const shared = await loadFixture(deployShared);
    const { device, logId } = shared;
    const secret = "correct horse battery staple";
    const gateway = await Gateway.open(shared, { secret });
    await gateway.update();
    const before = gateway.seal();
    const owners = gateway.reader("owner").keys();
    await gateway.ring.close();
    expect((await stat(fileIn("ring"))).mode & 0o777).to.equal(0o600);
    const bytes = await readFile(fileIn("ring"));
    expect(owners).to.have.lengthOf(3);
    for (const key of owners) expect(bytes.includes(Buffer.from(key.secret))).to.equal(false);

    const error = await errorOf("KEY_RING_SECRET_WRONG", () => Gateway.open(shared, { secret: "wrong" }));
    expect(error.message).to.not.include(secret);
    await errorOf("KEY_RING_SECRET_WRONG", () => Gateway.open(shared));
    await errorOf("INVALID_ARGUMENT", () => Gateway.open(shared, { secret: "" }));
    const again = await Gateway.open(shared, { secret });
    expect((await again.update()).rotations).to.deep.equal([]);
    expect(Buffer.from(again.ring.open({ logId, ...before }).payload).toString()).to.equal("readings 0");
    const after = again.ring.seal({ device, dataClass: "readings", logId, seq: 1n, reading: before.reading });
    expect(sealedHeader(after.payload).keyId).to.equal(sealedHeader(before.reading.payload).keyId);
  });

  it("are open to one process, for one owner, chain and contract, and no other file passes for one", async () => {
    const shared = await loadFixture(deployShared);
    const { as, actors, fleet } = shared;
    const gateway = await Gateway.open(shared);
    await errorOf("KEY_RING_LOCKED", () => Gateway.open(shared));
    const elsewhere = { ...as.gateway, chainId: 1n };
    await errorOf("KEY_RING_MISMATCH", () => gateway.ring.update({ touchstone: elsewhere, devices: [] }));
    await gateway.ring.close();
    await gateway.ring.close();
    await errorOf("KEY_RING_FAILED", () => gateway.seal());
    await errorOf("KEY_RING_MISMATCH", () => Gateway.open(shared, { owner: actors.owner.address }));
    await errorOf("KEY_RING_MISMATCH", () => Gateway.open(shared, { touchstone: elsewhere }));
    await errorOf("KEY_RING_SECRET_WRONG", () => Gateway.open(shared, { secret: "there is none" }));
    await errorOf("INVALID_ARGUMENT", () => Gateway.open(shared, { confirmations: -1 }));
    await errorOf("FILE_MISSING", () => Gateway.open(shared, { path: fileIn("none/ring") }));
    await writeFile(fileIn("text"), "no key ring ".repeat(1000));
    await errorOf("KEY_RING_INVALID", () => Gateway.open(shared, { path: fileIn("text") }));
    new DatabaseSync(fileIn("other")).exec("CREATE TABLE things (id)");
    await errorOf("KEY_RING_INVALID", () => Gateway.open(shared, { path: fileIn("other") }));
    const reopened = await Gateway.open(shared, { owner: fleet });
    expect(reopened.ring.path).to.equal(fileIn("ring"));
  });

  it("keep an empty file that was there to its owner, and show nothing of the lock of one that was altered", async () => {
    const shared = await loadFixture(deployShared);
    const path = fileIn("ring");
    await writeFile(path, "");
    await chmod(path, 0o644);
    await (await Gateway.open(shared)).ring.close();
    expect((await stat(path)).mode & 0o777).to.equal(0o600);

    const inFile = <T>(act: (database: DatabaseSync) => T): T => {
      const database = new DatabaseSync(path);
      try {
        return act(database);
      } finally {
        database.close();
      }
    };
    const meta = inFile((database) => database.prepare("SELECT value FROM meta WHERE key = 'lock'").get());
    const { key } = JSON.parse((meta as { value: string }).value) as { key: string };
    const scrypt = { kdf: "scrypt", N: 2 ** 17, r: 8, p: 1, salt: key, key };
    const locks = [
      `{"kdf":"none","key":Z${key}"}`,
      ...[{ N: 3 }, { N: 2 ** 18 }, { r: 16 }].map((changed) => JSON.stringify({ ...scrypt, ...changed })),
    ];
    for (const lock of locks) {
      inFile((database) => database.prepare("UPDATE meta SET value = ? WHERE key = 'lock'").run(lock));
      const error = await errorOf("KEY_RING_INVALID", () => Gateway.open(shared, { secret: "any" }));
      expect(inspect(error, { depth: null })).to.not.include(key.slice(0, 8));
    }
  });

  it("notice that a key in the file was altered, and let none be deleted", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    await gateway.ring.close();
    const database = new DatabaseSync(fileIn("ring"));
    expect(() => {
      database.exec("DELETE FROM keys");
    }).to.throw("keys are never deleted");
    expect(() => {
      database.exec("UPDATE keys SET closed = 1; UPDATE keys SET closed = 0");
    }).to.throw("keys never change");
    database.exec(
      "UPDATE keys SET closed = 0 WHERE 0; DROP TRIGGER keys_keep; UPDATE keys SET secret = zeroblob(60), closed = 0",
    );
    database.close();
    const altered = await Gateway.open(shared);
    await errorOf("KEY_RING_INVALID", () => altered.seal());
  });

  it("change the key that sealed all it may, counting what a process that died may have sealed", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    expect(sealedHeader(gateway.seal().reading.payload).keyEpoch).to.equal(1);
    await gateway.ring.close();
    const database = new DatabaseSync(fileIn("ring"));
    expect(database.prepare("SELECT max(leased) AS leased FROM keys").get()).to.deep.include({ leased: 65_536 });
    database.exec(`UPDATE keys SET leased = ${2 ** 32 - 1} WHERE leased > 0`);
    database.exec(`UPDATE keys SET leased = ${2 ** 32} WHERE leased > 0`);
    database.close();
    const again = await Gateway.open(shared);
    expect(sealedHeader(again.seal().reading.payload).keyEpoch).to.equal(2);
    await again.update();
    expect(again.whoOpens(again.seal())).to.deep.equal(STAFF);
  });

  it("refuse a device that no update found to be the owner's", async () => {
    const shared = await loadFixture(deployShared);
    const gateway = await Gateway.open(shared);
    await errorOf("DEVICE_NOT_OWNED", () => gateway.seal());
    const { as, actors } = shared;
    const { notOwned } = await gateway.ring.update({ touchstone: as.gateway, devices: [actors.stranger.address] });
    expect(notOwned).to.deep.equal([actors.stranger.address]);
    await errorOf("INVALID_ARGUMENT", () => gateway.ring.update({ touchstone: as.gateway, devices: ["0x"] }));
  });

  it("rotate even if the readers' keys cannot be read, and make the envelopes later", async () => {
    const shared = await loadFixture(deployShared);
    await grant(shared, "subject", LIVE);
    const gateway = await Gateway.open(shared);
    await gateway.update();
    gateway.seal();
    await revoke(shared, "subject");
    const { provider } = shared.as.gateway;
    const call = provider.call.bind(provider);
    provider.call = () => Promise.reject(new Error("the node is gone"));
    try {
      await errorOf("RPC_FAILED", () => gateway.update());
    } finally {
      provider.call = call;
    }
    const after = gateway.seal();
    expect(sealedHeader(after.reading.payload).keyEpoch).to.equal(2);
    const { envelopes, rotations } = await gateway.update();
    expect(rotations).to.deep.equal([]);
    expect(envelopes.map(({ keyEpoch }) => keyEpoch)).to.include(2);
    expect(gateway.whoOpens(after)).to.deep.equal(STAFF);
  });

  it("seal streams by the thousands, and hold many devices", async function () {
    this.timeout(60_000);
    const shared = await loadFixture(deployShared);
    const { as, actors, fleet, logId, device } = shared;
    const many = [device];
    for (let count = 0; count < 10; count += 1) {
      const key = createP256Key();
      await enrollDevice(shared, { key, owner: fleet, by: actors.owner });
      many.push(key.id);
    }
    const gateway = await Gateway.open(shared);
    const { rotations, envelopes } = await gateway.ring.update({ touchstone: as.gateway, devices: many });
    expect(rotations).to.have.lengthOf(33);
    // Owner and operator; three classes for one, two for the other, and metadata for the auditor.
    expect(envelopes).to.have.lengthOf(11 * 6);
    const readings = Array.from({ length: 5_000 }, (_, index) => ({
      measuredAt: BigInt(index),
      payload: Buffer.from(`reading ${index}`),
    }));
    let seq = 0n;
    for await (const reading of gateway.ring.sealAll({
      device,
      dataClass: "readings",
      logId,
      firstSeq: 0n,
      readings,
    })) {
      if (seq % 499n === 0n) {
        expect(Buffer.from(gateway.ring.open({ logId, seq, reading }).payload).toString()).to.equal(`reading ${seq}`);
      }
      seq += 1n;
    }
    expect(seq).to.equal(5_000n);
  });

  it("lose nothing that left the process, whenever it is killed", async function () {
    this.timeout(240_000);
    const shared = await loadFixture(deployShared);
    const { device, logId, fleet, as } = shared;
    const start = await now();
    await grant(shared, "subject", LIVE, { expiry: start + DAY });
    await grant(shared, "stranger", LIVE, { expiry: start + 2n * DAY });
    const server = await serveChain();
    const out = fileIn("out");
    await writeFile(out, "");
    const order: SealOrder = {
      url: server.url,
      addresses: { ...as.owner.addresses },
      ring: fileIn("ring"),
      owner: fleet,
      device,
      logId,
      out,
      rounds: [start, start + DAY - 1n, start + DAY, start + 2n * DAY].map(String),
    };
    const run = async (killAt?: number): Promise<string> => {
      await writeFile(fileIn("order"), JSON.stringify({ ...order, ...(killAt === undefined ? {} : { killAt }) }));
      const child = spawn(process.execPath, ["--import", "tsx", CHILD, fileIn("order")], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
      return signal ?? String(code);
    };
    try {
      const ends: string[] = [];
      // Around each of the first commits of a new ring, and of one that goes on.
      for (const killAt of [0, 1, 2, 3, 4, 5, 6, 7, 9]) ends.push(await run(killAt));
      expect(ends.filter((end) => end === "SIGKILL")).to.have.lengthOf.greaterThan(5);
      expect(await run()).to.equal("0");
    } finally {
      await server.close();
    }
    const left = (await readFile(out, "utf8"))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { seq: string; payload: string; now: string } | { envelope: Envelope });
    const gateway = await Gateway.open(shared);
    const keys = new Map<string, DataKey["id"]>();
    for (const each of left) {
      if ("envelope" in each) {
        await gateway.deliver([each.envelope]);
        continue;
      }
      const reading = { measuredAt: 1n, payload: Buffer.from(each.payload, "hex") };
      const opened = gateway.ring.open({ logId, seq: BigInt(each.seq), reading });
      expect(Buffer.from(opened.payload).toString()).to.equal(`reading ${each.seq}`);
      const { epoch, keyEpoch, keyId } = sealedHeader(reading.payload);
      // No key epoch ever had two keys.
      const before = keys.get(`${epoch}/${keyEpoch}`) ?? keyId;
      expect(keyId).to.equal(before);
      keys.set(`${epoch}/${keyEpoch}`, keyId);
    }
    // What was made and did not leave is still to be had, and the next update makes what was not.
    await gateway.deliver(gateway.ring.envelopes());
    gateway.time = start + 2n * DAY;
    await gateway.update();
    for (const each of left) {
      if ("envelope" in each) continue;
      const reading = { measuredAt: 1n, payload: Buffer.from(each.payload, "hex"), contentFormat: 65_002 };
      const who = gateway.whoOpens({ seq: BigInt(each.seq), reading });
      const time = BigInt(each.now);
      expect(who).to.include("owner");
      if (time >= start + DAY) expect(who).to.not.include("subject");
      if (time >= start + 2n * DAY) expect(who).to.not.include("stranger");
    }
  });
});
