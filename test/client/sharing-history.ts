import { readFile, stat } from "node:fs/promises";

import { expect } from "chai";
import { parse } from "csv-parse/sync";
import fc from "fast-check";

import * as access from "../../client/access.js";
import { FOREVER, ZERO_HASH } from "../../client/arguments.js";
import * as devices from "../../client/devices.js";
import * as roles from "../../client/roles.js";
import { csvCell } from "../../client/sharing-history-files.js";
import * as transfers from "../../client/transfers.js";
import { DAY, ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { enrollDevice } from "../support/fleet.js";
import { anySharingStep, deploySharingWorld, live, stateOf } from "../support/sharing-histories.js";
import { deploySuite, type Suite } from "../support/suite.js";
import { createP256Key } from "../../client/keys.js";

const TERMS = ethers.id("terms");

/** A device that was shared in every way, sold, shared again and retired. */
async function shared(): Promise<Suite & { id: string }> {
  const suite = await deploySuite();
  const { as, actors, fleet, p256Device } = suite;
  const [device, touchstone] = [p256Device.id, as.owner];
  const terms = { device, permissions: ["ReadLive"], purposes: ["CustomerCare"] } as const;
  const subject = actors.subject.address;
  const expiry = (await now()) + 20n * DAY;
  await access.requestAccess({ touchstone: as.subject, ...terms, expiry, termsHash: TERMS });
  await access.grant({ touchstone, ...terms, subject, expiry, termsHash: TERMS });
  await access.grant({ touchstone: as.admin, ...terms, subject: actors.stranger.address, expiry: expiry - 10n * DAY });
  await access.grant({ touchstone, ...terms, subject, expiry, permissions: ["ReadHistory"] });
  await access.setPolicy({ touchstone, device, ceiling: ["ReadHistory"], publicRead: ["ReadHistory"], purposes: [24] });
  const policy = await access.newDevicePolicy({ touchstone, device, ceiling: [] });
  await access.setDevicePolicy({ touchstone: as.relayer, policy, byDevice: p256Device });
  await access.renounce({ touchstone: as.subject, device });
  await access.revoke({ touchstone, device, subject });
  await roles.defineRole({ touchstone, fleet, role: 9, permissions: ["ReadLocation"] });
  await roles.setRoles({ touchstone, fleet, account: actors.device.address, roles: ["Analyst", 9], expiry });
  await networkHelpers.time.increase(12n * DAY);
  await access.grant({ touchstone, ...terms, subject, expiry: FOREVER });
  await devices.revokeAll({ touchstone, device });
  await access.grant({ touchstone, ...terms, subject, expiry: FOREVER });
  await devices.suspend({ touchstone, device });
  await devices.resume({ touchstone, device });
  await transfers.propose({ touchstone, device, newOwner: actors.maker.address });
  await transfers.accept({ touchstone: as.maker, device });
  // What happens in the fleet that sold it is no longer the device's.
  await roles.setRoles({ touchstone, fleet, account: actors.device.address, roles: [] });
  await access.grant({ touchstone: as.maker, ...terms, subject, expiry: FOREVER });
  await devices.retire({ touchstone: as.maker, device });
  return { ...suite, id: device };
}

/** Kinds, with the reason where something ended. */
function outline(entries: readonly access.HistoryEntry[]): string[] {
  return entries.map(({ kind, why }) => (why === undefined ? kind : `${kind}: ${why}`));
}

describe("access.history", () => {
  it("tells all that happened to the sharing of a device, and why and when each grant ended", async () => {
    const { as, actors, id, fleet } = await loadFixture(shared);
    const { about, block, entries } = await access.history({ touchstone: as.stranger, device: id });
    expect(about).to.deep.equal({ device: id });
    expect(block).to.include({ number: await ethers.provider.getBlockNumber(), timestamp: await now() });
    expect(outline(entries)).to.deep.equal([
      "Enrolled",
      "Requested",
      "Granted",
      "Granted",
      "Changed: Changed",
      "OwnerPolicy",
      "DevicePolicy",
      "Revoked: Renounced",
      "Revoked",
      "RoleDefined",
      "RolesSet",
      "Ended: Expired",
      "Granted",
      "AllRevoked",
      "Ended: AllRevoked",
      "Granted",
      "Suspended",
      "Resumed",
      "Transferred",
      "Ended: Resold",
      "Granted",
      "Retired",
      "Ended: Retired",
    ]);
    const times = entries.map(({ time }) => time);
    expect(times).to.deep.equal([...times].sort((a, b) => Number(a - b)));

    const grants = entries.filter(({ kind }) => kind === "Granted" || kind === "Changed");
    expect(grants.map(({ end }) => end?.why)).to.deep.equal([
      ...["Changed", "Expired", "Renounced", "AllRevoked", "Resold", "Retired"],
    ]);
    const [first, byAdmin, changed] = grants;
    const place = async (entry: access.HistoryEntry): Promise<object> => {
      const { blockNumber, blockHash } = (await ethers.provider.getTransactionReceipt(entry.transactionHash!))!;
      const timestamp = (await ethers.provider.getBlock(blockHash))!.timestamp;
      return { block: blockNumber, time: BigInt(timestamp) };
    };
    expect({ block: first!.cursor!.block, time: first!.time }).to.deep.equal(await place(first!));
    const terms = { permissions: ["ReadLive"], purposes: ["CustomerCare"], termsHash: TERMS, seq: 1n, epoch: 1n };
    expect(first).to.deep.include({ device: id, subject: actors.subject.address, by: actors.owner.address, ...terms });
    expect(first!.end).to.deep.equal({
      ...{ why: "Changed", time: changed!.time, transactionHash: changed!.transactionHash, by: actors.owner.address },
    });
    expect(changed).to.deep.include({ endedSeq: 1n, seq: 2n, permissions: ["ReadHistory"], termsHash: ZERO_HASH });
    expect(byAdmin).to.deep.include({ by: actors.admin.address, subject: actors.stranger.address });
    expect(byAdmin!.end).to.deep.equal({ why: "Expired", time: byAdmin!.expiry });

    const of = (kind: access.HistoryKind): access.HistoryEntry => entries.find((entry) => entry.kind === kind)!;
    expect(of("Requested")).to.deep.include({ subject: actors.subject.address, by: actors.subject.address });
    expect(of("Requested")).to.deep.include({
      permissions: ["ReadLive"],
      purposes: ["CustomerCare"],
      termsHash: TERMS,
    });
    const limits = { permissions: ["ReadHistory"], publicRead: ["ReadHistory"], purposes: [24] };
    expect(of("OwnerPolicy")).to.deep.include({ ...limits, owner: fleet, by: actors.owner.address, epoch: 1n });
    expect(of("DevicePolicy")).to.deep.include({
      permissions: [],
      publicRead: [],
      by: actors.relayer.address,
      seq: 1n,
    });
    expect(of("RolesSet")).to.deep.include({
      ...{ fleet, subject: actors.device.address, by: actors.owner.address, roles: ["Analyst", 9] },
      permissions: ["ReadLive", "ReadHistory", "ReadLocation", "ReadMetadata"],
    });
    expect(of("RoleDefined")).to.deep.include({ fleet, roles: [9], permissions: ["ReadLocation"] });
    expect(of("Transferred")).to.deep.include({ owner: fleet, newOwner: actors.maker.address, epoch: 3n, members: [] });
    const { members, newOwner } = of("Enrolled");
    expect(newOwner).to.equal(fleet);
    const staff = ["admin", "operator", "security", "gateway", "maker", "memberWithoutPermission"] as const;
    expect(members!.map(({ account }) => account)).to.have.members(staff.map((name) => actors[name].address));
    const [analyst] = members!.filter(({ account }) => account === actors.memberWithoutPermission.address);
    expect(analyst).to.deep.include({ roles: ["Auditor"], permissions: ["ReadHistory", "ReadMetadata", "Audit"] });
  });

  it("ends where it is told to, and knows nothing of what came after", async () => {
    const { as, id } = await loadFixture(shared);
    const touchstone = as.stranger;
    const { entries } = await access.history({ touchstone, device: id });
    const sold = entries.find(({ kind }) => kind === "Transferred")!.cursor!.block;
    const before = await access.history({ touchstone, device: id, toBlock: sold - 1 });
    expect(before.block.number).to.equal(sold - 1);
    expect(outline(before.entries)).to.deep.equal(outline(entries).slice(0, before.entries.length));
    expect(before.entries.findLast(({ kind }) => kind === "Granted")).to.not.have.property("end");
  });

  it("tells what an account asked for, was given, gave and held, and of nobody else's grants", async () => {
    const { as, actors, id, fleet } = await loadFixture(shared);
    const touchstone = as.stranger;
    const tell = async (subject: string): Promise<access.HistoryEntry[]> =>
      (await access.history({ touchstone, subject })).entries;

    const reader = await tell(actors.subject.address);
    expect(outline(reader)).to.deep.equal([
      "Requested",
      "Granted",
      "Changed: Changed",
      "OwnerPolicy",
      "DevicePolicy",
      "Revoked: Renounced",
      "Revoked",
      "Granted",
      "AllRevoked",
      "Ended: AllRevoked",
      "Granted",
      "Suspended",
      "Resumed",
      "Transferred",
      "Ended: Resold",
      "Granted",
      "Retired",
      "Ended: Retired",
    ]);
    expect(reader.every(({ subject = actors.subject.address }) => subject === actors.subject.address)).to.equal(true);
    expect(
      reader.some(({ members }) => members !== undefined),
      "others are no part of it",
    ).to.equal(false);

    // Another fleet's own role, and its end, without the fleet's other members.
    await roles.revokeAll({ touchstone: as.owner, fleet });
    await roles.setRoles({ touchstone: as.owner, fleet, account: actors.stranger.address, roles: ["Analyst"] });
    const member = await tell(actors.memberWithoutPermission.address);
    expect(outline(member)).to.deep.equal(["RolesSet", "AllRolesRevoked"]);
    expect(member[0]).to.deep.include({ roles: ["Auditor"], permissions: ["ReadHistory", "ReadMetadata", "Audit"] });
    const own = await tell(actors.device.address);
    expect(outline(own)).to.deep.equal(["RolesSet", "RolesSet"]);
    expect(own[1]).to.deep.include({ roles: [], permissions: [] });

    const giver = await tell(actors.admin.address);
    expect(outline(giver)).to.deep.equal(["RolesSet", "Granted", "AllRolesRevoked"]);
    const buyer = await tell(actors.maker.address);
    expect(outline(buyer)).to.include.members(["Transferred", "Granted", "Retired"]);
    expect(buyer.find(({ kind }) => kind === "Transferred")).to.include({ device: id, newOwner: actors.maker.address });
    const relayer = await tell(actors.relayer.address);
    expect(outline(relayer)).to.deep.equal(["DevicePolicy"]);
    expect(await tell(createP256Key().id)).to.deep.equal([]);
  });

  it("refuses what it cannot tell of", async () => {
    const { as } = await loadFixture(deploySuite);
    const touchstone = as.stranger;
    await errorOf("NOT_FOUND", () => access.history({ touchstone, device: createP256Key().id }));
    await errorOf("INVALID_ARGUMENT", () => access.history({ touchstone, device: "0x12" }));
    await errorOf("INVALID_ARGUMENT", () => access.history({ touchstone } as never));
    const both = { device: createP256Key().id, subject: createP256Key().id };
    await errorOf("INVALID_ARGUMENT", () => access.history({ touchstone, ...both } as never));
    const signal = AbortSignal.abort();
    await errorOf("CANCELLED", () => access.history({ touchstone, subject: both.subject, signal }));
  });

  it("knows of exactly those grants no end that stand on the chain, over random histories", async function () {
    this.timeout(120_000);
    let standing = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(anySharingStep, { minLength: 26, maxLength: 42 }), async (steps) => {
        const world = await loadFixture(deploySharingWorld);
        const touchstone = world.as.stranger;
        await live(world, steps);
        await networkHelpers.mine();
        const time = await now();
        for (const device of (await stateOf(world)).devices()) {
          const { entries } = await access.history({ touchstone, device });
          const epoch = await world.devices.epochOf(device);
          for (const subject of world.accounts.slice(0, 4)) {
            const grant = await access.grantOf({ touchstone, device, subject });
            const stands = grant.permissions.length > 0 && grant.epoch === epoch && time < grant.expiry;
            const open = entries.filter(
              (entry) =>
                (entry.kind === "Granted" || entry.kind === "Changed") &&
                entry.subject === subject &&
                entry.end === undefined,
            );
            expect(open.map(({ seq }) => seq)).to.deep.equal(stands ? [grant.seq] : []);
            standing += open.length;
            // The account's own history tells the same of them.
            const told = (await access.history({ touchstone, subject })).entries.filter(
              (each) => each.device === device,
            );
            const ends = (each: access.HistoryEntry): boolean => each.subject === subject && each.fleet === undefined;
            expect(told.filter(ends)).to.deep.equal(entries.filter(ends));
          }
        }
      }),
      { numRuns: 4, seed: 20_261_122 },
    );
    expect(standing).to.be.greaterThan(0);
  });
});

describe("access.exportHistory", () => {
  const path = temporaryFolder();

  async function textOf(options: Parameters<typeof access.exportHistory>[0]): Promise<string> {
    let text = "";
    for await (const piece of access.exportHistory(options)) text += piece;
    return text;
  }

  it("writes JSON that its schema describes, with all that the history has", async () => {
    const { as, id, chainId } = await loadFixture(shared);
    const touchstone = as.stranger;
    const text = await textOf({ touchstone, device: id, format: "json" });
    const file = access.parseHistory(text);
    const { block, entries } = await access.history({ touchstone, device: id });
    const { RoleRegistry, DeviceRegistry, DataAccess } = touchstone.addresses;
    expect(file).to.deep.include({
      ...{ format: "touchstone-sharing-history", version: 1, about: { device: id }, chainId: Number(chainId) },
      contracts: { RoleRegistry, DeviceRegistry, DataAccess },
    });
    expect(file.block).to.deep.equal({ number: block.number, hash: block.hash, time: isoOf(block.timestamp) });
    expect(file.entries).to.have.lengthOf(entries.length);
    for (const [
      place,
      { kind, time, notBefore, expiry, termsHash, seq, cursor, transactionHash },
    ] of entries.entries()) {
      const told = file.entries[place]!;
      expect(told).to.include({ kind, time: isoOf(time) });
      expect(told.notBefore).to.equal(notBefore === undefined ? undefined : isoOf(notBefore));
      expect(told.expiry).to.equal(expiry === undefined ? undefined : expiry === FOREVER ? "forever" : isoOf(expiry));
      expect([told.terms, told.transaction, told.block]).to.deep.equal([termsHash, transactionHash, cursor?.block]);
      expect(told.seq).to.equal(seq === undefined ? undefined : Number(seq));
    }
    expect(file.entries[0]!.members).to.have.lengthOf(entries[0]!.members!.length);
    const empty = await textOf({ touchstone, subject: createP256Key().id, format: "json" });
    expect(access.parseHistory(empty).entries).to.deep.equal([]);
  });

  it("writes CSV that says the same", async () => {
    const { as, id } = await loadFixture(shared);
    const touchstone = as.stranger;
    const rows: Record<string, string>[] = parse(await textOf({ touchstone, device: id, format: "csv" }), {
      columns: true,
    });
    const { entries } = access.parseHistory(await textOf({ touchstone, device: id, format: "json" }));
    const listed = (list: readonly unknown[] | undefined): string => (list ?? []).join(" ");
    expect(rows).to.deep.equal(
      entries.map((entry, place) => ({
        members: rows[place]!.members,
        ...{ time: entry.time, kind: entry.kind, device: entry.device ?? "", fleet: entry.fleet ?? "" },
        ...{ subject: entry.subject ?? "", by: entry.by ?? "", permissions: listed(entry.permissions) },
        ...{ purposes: listed(entry.purposes), roles: listed(entry.roles), notBefore: entry.notBefore ?? "" },
        ...{ expiry: entry.expiry ?? "", why: entry.why ?? "", terms: entry.terms ?? "", owner: entry.owner ?? "" },
        ...{ newOwner: entry.newOwner ?? "", publicRead: listed(entry.publicRead), epoch: String(entry.epoch ?? "") },
        ...{ seq: String(entry.seq ?? ""), endedSeq: String(entry.endedSeq ?? ""), block: String(entry.block ?? "") },
        ...{ logIndex: String(entry.logIndex ?? ""), transaction: entry.transaction ?? "" },
      })),
    );
    const [first] = entries[0]!.members!;
    expect(rows[0]!.members).to.match(new RegExp(`^${first!.account} / Admin / ReadLive .* / 1970-.*Z / forever; 0x`));
  });

  it("writes no cell that a spreadsheet takes for a formula", () => {
    const formulas = [
      "=1+1",
      "+1",
      "-1",
      "@SUM(A1)",
      "|cmd",
      "%0A",
      "\t=1",
      "\r=1",
      "\n=1",
      " =1",
      "＝1",
      "\u200b=1",
      '="x"',
    ];
    for (const text of formulas) {
      const cell = csvCell(text);
      const [[read]] = parse(`${cell}\r\n`, { relax_column_count: true }) as [[string]];
      expect(read, JSON.stringify(text)).to.equal(`'${text}`);
    }
    for (const text of ["", "ReadLive", "0x12", "2026-01-01T00:00:00Z", "a = b"]) {
      expect(csvCell(text), text).to.equal(text);
    }
    expect(csvCell('a "b", c')).to.equal('"a ""b"", c"');
    // The last moment that the contracts know has a year with a sign.
    expect(csvCell("+036812-02-20T00:36:14Z")).to.equal(`"'+036812-02-20T00:36:14Z"`);
  });

  it("writes new files for their owner alone, and none if it is cancelled", async () => {
    const { as, id } = await loadFixture(shared);
    const options = { touchstone: as.stranger, device: id, format: "json", path: path("history.json") } as const;
    await access.writeHistory(options);
    expect(access.parseHistory(await readFile(options.path, "utf8")).about).to.deep.equal({ device: id });
    expect((await stat(options.path)).mode & 0o777).to.equal(0o600);
    await errorOf("FILE_EXISTS", () => access.writeHistory(options));
    const signal = AbortSignal.abort();
    await errorOf("CANCELLED", () => access.writeHistory({ ...options, path: path("other.json"), signal }));
    expect(await stat(path("other.json")).catch(() => "none")).to.equal("none");
  });

  it("streams thousands of entries", async function () {
    this.timeout(60_000);
    const suite = await loadFixture(deploySuite);
    const { as, actors, fleet } = suite;
    const key = createP256Key();
    await enrollDevice(suite, { key, owner: fleet, by: actors.owner });
    const expiry = (await now()) + DAY;
    const pairs = Array.from({ length: 1_200 }, (_, place) => ({
      device: key.id,
      subject: ethers.getAddress(ethers.toBeHex(2n ** 100n + BigInt(place), 20)),
    }));
    const terms = { permissions: ["ReadLive"], purposes: ["CustomerCare"], expiry } as const;
    await access.grantMany({ touchstone: as.owner, pairs, ...terms });
    await networkHelpers.time.increase(2n * DAY);
    let [pieces, longest] = [0, 0];
    for await (const piece of access.exportHistory({ touchstone: as.owner, device: key.id, format: "csv" })) {
      pieces += 1;
      longest = Math.max(longest, piece.length);
    }
    expect(pieces).to.equal(1 + 1 + 1_200 + 1_200);
    expect(longest).to.be.lessThan(5_000);
  });

  it("is read back only if it is a history", async () => {
    const { as, id } = await loadFixture(shared);
    const text = await textOf({ touchstone: as.stranger, device: id, format: "json" });
    const file = JSON.parse(text) as Record<string, unknown> & { entries: Record<string, unknown>[] };
    const wrong: [unknown, string][] = [
      [{ ...file, format: "other" }, "format"],
      [{ ...file, version: 2 }, "version"],
      [{ ...file, note: "" }, ""],
      [{ ...file, about: {} }, "about"],
      [{ ...file, entries: [{ ...file.entries[0], time: "yesterday" }] }, "entries.0.time"],
      [{ ...file, entries: [{ ...file.entries[0], kind: "Stolen" }] }, "entries.0.kind"],
      [{ ...file, entries: [{ ...file.entries[2], purposes: [23] }] }, "entries.0.purposes.0"],
      [{ ...file, entries: [{ ...file.entries[2], roles: [7] }] }, "entries.0.roles.0"],
    ];
    for (const [json, place] of wrong) {
      const error = await errorOf("INVALID_ARGUMENT", () => access.parseHistory(JSON.stringify(json)));
      expect(error.details.path).to.equal(place);
    }
    await errorOf("INVALID_ARGUMENT", () => access.parseHistory("no JSON"));
  });
});

function isoOf(seconds: bigint): string {
  return new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
}
