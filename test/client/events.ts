import { expect } from "chai";
import type { Filter, Log } from "ethers";

import * as access from "../../client/access.js";
import { FOREVER } from "../../client/arguments.js";
import * as devices from "../../client/devices.js";
import { auditTrail, eventsIn, readEvents, type Cursor, type TouchstoneEvent } from "../../client/events.js";
import * as roles from "../../client/roles.js";
import { anchorMessage } from "../../client/typed-data.js";
import type { IDataAnchor } from "../../typechain-types/index.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { providerWith } from "../support/provider.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const namesOf = (events: TouchstoneEvent[]): string[] => events.map(({ name }) => name);

/** Two devices with grants, a fleet, and empty blocks in between. */
async function busyChain(): Promise<Deployed & { fleet: string }> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, other } = deployed;
  const { fleet } = await roles.createFleet({ touchstone });
  for (const device of [deployed.device, deployed.accountDevice]) {
    await networkHelpers.mine(5);
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
    await devices.enroll({ touchstone, enrollment, byDevice: device });
    const grant = {
      touchstone,
      device: device.id,
      subject: other.address,
      purposes: ["ServiceProvision" as const],
      expiry: FOREVER,
    };
    await access.grant({ ...grant, permissions: ["ReadLive"] });
  }
  await devices.suspend({ touchstone, device: deployed.device.id });
  return { ...deployed, fleet };
}

const ENROLLED = ["DIDOwnerChanged", "DIDAttributeChanged", "DeviceEnrolled"];
const ENROLLED_ACCOUNT = ["DIDOwnerChanged", "DIDDelegateChanged", "DeviceEnrolled"];
const SUSPENDED = ["DIDAttributeChanged", "DeviceSuspended"];
const ALL = ["FleetCreated", ...ENROLLED, "AccessGranted", ...ENROLLED_ACCOUNT, "AccessGranted", ...SUSPENDED];

describe("readEvents", () => {
  it("gives all events of all contracts in the order of the chain", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const events = await collect(readEvents({ touchstone }));
    expect(namesOf(events)).to.deep.equal(ALL);
    const places = events.map(({ cursor }) => cursor.block * 1_000 + cursor.logIndex);
    expect(places).to.deep.equal([...places].sort((a, b) => a - b));
  });

  it("gives arguments by their names, structs as plain objects, and the place in the chain", async () => {
    const { touchstone, owner, device } = await loadFixture(busyChain);
    const events = await collect(readEvents({ touchstone, devices: [device.id] }));
    const enrolled = events.find((event) => event.name === "DeviceEnrolled")!;
    expect(enrolled.contract).to.equal("DeviceRegistry");
    expect(enrolled.args).to.deep.equal({
      device: device.id,
      owner: owner.address,
      manifest: 0n,
      scheme: 1n,
      metadataHash: ethers.ZeroHash,
      by: owner.address,
    });
    const receipt = (await ethers.provider.getTransactionReceipt(enrolled.transactionHash))!;
    expect([receipt.blockHash, receipt.blockNumber]).to.deep.equal([enrolled.blockHash, enrolled.cursor.block]);
    expect(eventsIn(touchstone, receipt)).to.deep.include(enrolled);
  });

  it("selects by device, fleet, log, product and contract, or by any of several", async () => {
    const { touchstone, device, accountDevice, fleet } = await loadFixture(busyChain);
    const read = async (filter: object): Promise<string[]> =>
      namesOf(await collect(readEvents({ touchstone, ...filter })));
    expect(await read({ devices: [device.id] })).to.deep.equal([...ENROLLED, "AccessGranted", ...SUSPENDED]);
    expect(await read({ devices: [device.id, accountDevice.id] })).to.deep.equal(ALL.slice(1));
    expect(await read({ fleets: [fleet] })).to.deep.equal(["FleetCreated"]);
    expect(await read({ fleets: [fleet], devices: [device.id] })).to.deep.equal([
      "FleetCreated",
      ...ENROLLED,
      "AccessGranted",
      ...SUSPENDED,
    ]);
    expect(await read({ contracts: ["DataAccess"] })).to.deep.equal(["AccessGranted", "AccessGranted"]);
    expect(await read({ contracts: ["DataAccess"], devices: [device.id] })).to.deep.equal(["AccessGranted"]);
    expect(await read({ contracts: ["DataAnchor"], devices: [device.id] })).to.deep.equal([]);
    expect(await read({ devices: [] })).to.deep.equal([]);
    expect(await read({ logs: [ethers.ZeroHash], products: [ethers.ZeroHash] })).to.deep.equal([]);
  });

  it("selects by the accounts that are concerned or made it", async () => {
    const { touchstone, owner, other, relayer, device, fleet } = await loadFixture(busyChain);
    const read = async (filter: object): Promise<string[]> =>
      namesOf(await collect(readEvents({ touchstone, ...filter })));
    expect(await read({ accounts: [other.address] })).to.deep.equal(["AccessGranted", "AccessGranted"]);
    const byOwner = [
      "FleetCreated",
      "DeviceEnrolled",
      "AccessGranted",
      "DeviceEnrolled",
      "AccessGranted",
      "DeviceSuspended",
    ];
    expect(await read({ accounts: [owner.address] })).to.deep.equal(byOwner);
    expect(await read({ accounts: [owner.address, other.address] })).to.deep.equal(byOwner);
    expect(await read({ accounts: [other.address], contracts: ["DeviceRegistry"] })).to.deep.equal([]);
    expect(await read({ accounts: [other.address], fleets: [fleet] })).to.deep.equal([
      "FleetCreated",
      "AccessGranted",
      "AccessGranted",
    ]);
    expect(await read({ accounts: [relayer.address, device.id] })).to.deep.equal([]);
    expect(await read({ accounts: [] })).to.deep.equal([]);
    await errorOf("INVALID_ARGUMENT", () => read({ accounts: ["other.eth"] }));
  });

  it("selects by more ids than a node takes at once", async () => {
    const { touchstone, device, other } = await loadFixture(busyChain);
    let most = 0;
    const getLogs = (filter: Filter): Promise<Log[]> => {
      for (const topic of filter.topics ?? []) most = Math.max(most, topic?.length ?? 0);
      return ethers.provider.getLogs(filter);
    };
    const limited = touchstone.connect(providerWith({ getLogs }));
    const strangers = Array.from({ length: 1_500 }, (_, place) => ethers.toBeHex(2n ** 90n + BigInt(place), 20));
    const named = await collect(readEvents({ touchstone: limited, devices: [...strangers, device.id] }));
    expect(namesOf(named)).to.deep.equal([...ENROLLED, "AccessGranted", ...SUSPENDED]);
    const concerned = await collect(readEvents({ touchstone: limited, accounts: [...strangers, other.address] }));
    expect(namesOf(concerned)).to.deep.equal(["AccessGranted", "AccessGranted"]);
    expect(most).to.be.within(2, 1_000);
  });

  it("goes on behind any event, wherever it stopped", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const all = await collect(readEvents({ touchstone }));
    for (const [index, { cursor }] of all.entries()) {
      const kept = JSON.parse(JSON.stringify(cursor)) as Cursor;
      expect(await collect(readEvents({ touchstone, after: kept }))).to.deep.equal(all.slice(index + 1));
    }
  });

  it("reads from one block to another", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const all = await collect(readEvents({ touchstone }));
    const [fromBlock, toBlock] = [all[4]!.cursor.block, all[7]!.cursor.block];
    const between = all.filter(({ cursor }) => cursor.block >= fromBlock && cursor.block <= toBlock);
    expect(await collect(readEvents({ touchstone, fromBlock, toBlock }))).to.deep.equal(between);
    expect(await collect(readEvents({ touchstone, fromBlock: toBlock + 1, toBlock }))).to.deep.equal([]);
  });

  it("gives the same whatever the pages, and reports each", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const all = await collect(readEvents({ touchstone }));
    const latest = await ethers.provider.getBlockNumber();
    for (const pageBlocks of [1, 2, 3, 7, 1_000]) {
      const pages: { fromBlock: number; toBlock: number; events: number }[] = [];
      const onPage = (page: (typeof pages)[0]): void => void pages.push(page);
      expect(await collect(readEvents({ touchstone, pageBlocks, onPage }))).to.deep.equal(all);
      expect(pages[0]?.fromBlock).to.equal(0);
      expect(pages.at(-1)?.toBlock).to.equal(latest);
      expect(pages.slice(1).map(({ fromBlock }) => fromBlock)).to.deep.equal(
        pages.slice(0, -1).map(({ toBlock }) => toBlock + 1),
      );
      expect(pages.reduce((sum, { events }) => sum + events, 0)).to.equal(all.length);
      expect(Math.max(...pages.map(({ fromBlock, toBlock }) => toBlock - fromBlock + 1))).to.be.at.most(pageBlocks);
    }
  });

  it("asks for less when the provider refuses, and for more again after", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const all = await collect(readEvents({ touchstone }));
    const asked: number[] = [];
    const limited = providerWith({
      getLogs: (filter) => {
        const { fromBlock, toBlock } = filter as Filter & { fromBlock: number; toBlock: number };
        asked.push(toBlock - fromBlock + 1);
        if (toBlock - fromBlock + 1 <= 4) return ethers.provider.getLogs(filter);
        return Promise.reject(new Error("query returned more than 10000 results"));
      },
    });
    expect(await collect(readEvents({ touchstone: touchstone.connect(limited), pageBlocks: 16 }))).to.deep.equal(all);
    expect(asked.slice(0, 4)).to.deep.equal([16, 8, 4, 8]);
  });

  it("gives up when even one block is refused, or the chain is gone", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const failing = (code: string) =>
      touchstone.connect(providerWith({ getLogs: () => Promise.reject(Object.assign(new Error("no"), { code })) }));
    await errorOf("RPC_FAILED", () => collect(readEvents({ touchstone: failing("LIMIT") })));
    await errorOf("CHAIN_UNREACHABLE", () => collect(readEvents({ touchstone: failing("ECONNREFUSED") })));
  });

  it("stops when it is cancelled", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const controller = new AbortController();
    const seen: string[] = [];
    const error = await errorOf("CANCELLED", async () => {
      for await (const { name } of readEvents({ touchstone, pageBlocks: 1, signal: controller.signal })) {
        seen.push(name);
        controller.abort();
      }
    });
    expect(seen).to.deep.equal(["FleetCreated"]);
    expect(error.cause).to.equal(controller.signal.reason);
  });

  it("refuses filters and pages that make no sense", async () => {
    const { touchstone } = await loadFixture(busyChain);
    const wrong = [
      { devices: ["0x12"] },
      { fleets: ["fleet.eth"] },
      { logs: ["0x12"] },
      { products: ["0x12"] },
      { pageBlocks: 0 },
      { pageBlocks: 1.5 },
    ];
    for (const options of wrong) {
      await errorOf("INVALID_ARGUMENT", () => collect(readEvents({ touchstone, ...options })));
    }
  });
});

describe("auditTrail", () => {
  it("tells the whole life of one device, with the times", async () => {
    const { touchstone, device } = await loadFixture(busyChain);
    const trail = await collect(auditTrail({ touchstone, device: device.id }));
    expect(trail.map(({ event }) => event)).to.deep.equal(
      await collect(readEvents({ touchstone, devices: [device.id] })),
    );
    for (const { event, timestamp } of trail) {
      const block = (await ethers.provider.getBlock(event.cursor.block))!;
      expect(timestamp).to.equal(BigInt(block.timestamp));
    }
  });

  it("has the anchors of all logs of the device, and of no other log", async () => {
    const { touchstone, owner, device, accountDevice } = await loadFixture(busyChain);
    await devices.resume({ touchstone, device: device.id });
    const logOf = (subject: string, stream: string): string => `${subject.toLowerCase()}${stream.padStart(24, "0")}`;
    const time = (await now()) * 1_000n;
    const anchorOf = async (logId: string): Promise<IDataAnchor.AnchorStruct> => ({
      logId,
      index: 0n,
      kind: 0n,
      tree: 0n,
      firstSeq: 0n,
      count: 1n,
      tFirst: time,
      tLast: time,
      supersedes: 0n,
      freshBlock: 0n,
      freshHash: ethers.ZeroHash,
      root: ethers.id("root"),
      deadline: (await now()) + 1_000n,
    });
    const logs = [logOf(device.id, "0"), logOf(device.id, "7"), logOf(accountDevice.id, "0")];
    for (const [place, logId] of logs.entries()) {
      const anchor = await anchorOf(logId);
      const key = place === 2 ? accountDevice : device;
      const proof = await key.prove(anchorMessage(touchstone.domains.DataAnchor, anchor));
      await touchstone.dataAnchor.anchor(anchor, proof);
    }
    await touchstone.dataAnchor.anchorAsMember(await anchorOf(logOf(owner.address, `8${"0".repeat(23)}`)));

    const anchored = (await collect(readEvents({ touchstone, contracts: ["DataAnchor"] }))).map(({ args }) => args);
    expect(anchored).to.have.lengthOf(4);
    const trail = await collect(auditTrail({ touchstone, device: device.id }));
    expect(trail.slice(-2).map(({ event }) => event.args)).to.deep.equal(anchored.slice(0, 2));
    expect(trail.filter(({ event }) => event.name === "Anchored")).to.have.lengthOf(2);
    expect(await collect(readEvents({ touchstone, logs: logs.slice(1) }))).to.have.lengthOf(2);
  });

  it("has nothing of a device that was never enrolled", async () => {
    const { touchstone, hashingDevice } = await loadFixture(busyChain);
    expect(await collect(auditTrail({ touchstone, device: hashingDevice.id }))).to.deep.equal([]);
  });

  it("goes on behind any event", async () => {
    const { touchstone, device } = await loadFixture(busyChain);
    const trail = await collect(auditTrail({ touchstone, device: device.id }));
    const after = trail[2]!.event.cursor;
    expect(await collect(auditTrail({ touchstone, device: device.id, after }))).to.deep.equal(trail.slice(3));
  });

  it("refuses what is no device, and says so if a block is gone", async () => {
    const { touchstone, device } = await loadFixture(busyChain);
    await errorOf("INVALID_ARGUMENT", () => collect(auditTrail({ touchstone, device: "0x12" })));
    const forgetful = touchstone.connect(providerWith({ getBlock: () => Promise.resolve(null) }));
    await errorOf("NOT_FOUND", () => collect(auditTrail({ touchstone: forgetful, device: device.id })));
  });
});
