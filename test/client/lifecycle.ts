import { readFile } from "node:fs/promises";

import { expect } from "chai";
import { Wallet, type Provider } from "ethers";

import * as devices from "../../client/devices.js";
import { createP256Key, Scheme, type Key } from "../../client/keys.js";
import * as lifecycle from "../../client/lifecycle.js";
import { enrollmentMessage } from "../../client/typed-data.js";
import { ethers, loadFixture, now } from "../support/chain.js";
import { deviceKeys } from "../support/device-keys.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import {
  deployOperator,
  enrollmentsOf,
  expectEnrolledOnce,
  HASTE,
  sentBy,
  type Operator,
} from "../support/lifecycle.js";
import { providerWith, runnerWith } from "../support/provider.js";

/** Three account devices and three with P-256 keys, enrolled for the operator. */
async function deployFleetOfSix(): Promise<Operator & { keys: Key[] }> {
  const operator = await deployOperator();
  const { touchstone, wallet } = operator;
  const p256 = [createP256Key(), createP256Key({ scheme: Scheme.P256Sha256 }), createP256Key()];
  const keys: Key[] = [...(await deviceKeys(3)), ...p256];
  const own = touchstone.connect(wallet);
  for (const { enrollment, byDevice } of await enrollmentsOf(own, keys, wallet.address)) {
    await devices.enroll({ touchstone: own, enrollment, byDevice });
  }
  return { ...operator, touchstone: own, keys };
}

describe("lifecycle.enrollMany", () => {
  const fileIn = temporaryFolder();

  it("enrols hundreds of devices in as few transactions as they fit into, and says how far it is", async function () {
    this.timeout(60_000);
    const { touchstone, relayer, wallet } = await loadFixture(deployOperator);
    const keys: Key[] = Array.from({ length: 520 }, (_, index) =>
      createP256Key({ scheme: index % 2 === 0 ? Scheme.P256 : Scheme.P256Sha256 }),
    );
    const enrollments = await Promise.all(
      (await enrollmentsOf(touchstone, keys, wallet.address)).map(async ({ enrollment, byDevice }) => {
        const message = enrollmentMessage(touchstone.domains.DeviceRegistry, enrollment);
        const signature = await wallet.signTypedData(message.domain, message.types, message.value);
        return { enrollment, byDevice, byOwner: { publicKey: "0x", signature } };
      }),
    );
    const seen: lifecycle.BulkProgress[] = [];
    const result = await lifecycle.enrollMany({
      touchstone: touchstone.connect(relayer),
      enrollments,
      journal: fileIn("journal"),
      onProgress: (progress) => seen.push(progress),
      limits: HASTE,
    });
    await expectEnrolledOnce({ touchstone, sender: relayer.address, enrollments, result });
    expect(result).to.include({ done: 520, alreadyDone: 0, refused: 0 });

    const { transactions } = result;
    expect(transactions).to.have.lengthOf(4);
    for (const hash of transactions) {
      const { data, gasLimit } = (await ethers.provider.getTransaction(hash))!;
      expect(ethers.dataLength(data)).to.be.at.most(126_000);
      expect(gasLimit <= 16_777_216n).to.equal(true);
    }
    expect(seen[0]).to.deep.equal({ done: 0, alreadyDone: 0, refused: 0, total: 520 });
    expect(seen.slice(1).map(({ transactionHash }) => transactionHash)).to.deep.equal(transactions);
    const counts = seen.map(({ done }) => done);
    expect(counts).to.deep.equal([...counts].sort((a, b) => a - b));
    expect(seen.at(-1)).to.deep.equal({
      done: 520,
      alreadyDone: 0,
      refused: 0,
      total: 520,
      transactionHash: transactions[3],
    });
  });

  it("sends nothing when it is run again, whatever has happened since", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const own = touchstone.connect(wallet);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(3), wallet.address);
    const options = { touchstone: own, enrollments, journal: fileIn("journal"), limits: HASTE };
    const first = await lifecycle.enrollMany(options);
    await devices.retire({ touchstone: own, device: enrollments[0]!.enrollment.device });
    const nonce = await wallet.getNonce();
    expect(await lifecycle.enrollMany(options)).to.deep.equal(first);
    expect(await wallet.getNonce()).to.equal(nonce);
  });

  it("leaves out what is done already", async () => {
    const { touchstone, keys, wallet } = await loadFixture(deployFleetOfSix);
    const more = (await deviceKeys(5)).slice(3);
    const enrollments = await enrollmentsOf(touchstone, [...keys, ...more], wallet.address);
    const before = await sentBy(touchstone.connect(wallet), ethers.ZeroAddress);
    expect(before).to.deep.equal([]);
    const { items, ...counts } = await lifecycle.enrollMany({
      touchstone,
      enrollments,
      journal: fileIn("journal"),
      limits: { ...HASTE, items: 4 },
    });
    expect(counts).to.deep.include({ done: 2, alreadyDone: 6, refused: 0 });
    expect(items.slice(0, 6)).to.deep.equal(keys.map(({ id }) => ({ id, outcome: "AlreadyDone" })));
    const sent = await ethers.provider.getTransaction(counts.transactions[0]!);
    const [calls] = touchstone.deviceRegistry.interface.decodeFunctionData("tryMulticall", sent!.data) as unknown as [
      string[],
    ];
    expect(calls).to.have.lengthOf(2);
  });

  it("reports what the contract refuses, pays nothing for it, and enrols the rest", async () => {
    const { touchstone, wallet, owner } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(6), wallet.address);
    const [, late, forged, foreign] = enrollments.map((item) => item);
    late!.enrollment = { ...late!.enrollment, deadline: (await now()) - 1n };
    forged!.byDevice = enrollments[0]!.byDevice;
    foreign!.enrollment = { ...foreign!.enrollment, owner: owner.address };
    const refused = [late!, forged!, foreign!].map(({ enrollment }) => enrollment.device);
    const result = await lifecycle.enrollMany({
      touchstone: touchstone.connect(wallet),
      enrollments,
      journal: fileIn("journal"),
      limits: HASTE,
    });
    expect(result).to.include({ done: 3, alreadyDone: 0, refused: 3 });
    const errors = result.items.flatMap((item) => (item.outcome === "Refused" ? [item] : []));
    expect(errors.map(({ id }) => id)).to.deep.equal(refused);
    expect(errors.map(({ error }) => error.details.errorName)).to.deep.equal([
      "DeadlinePassed",
      "KeyProofInvalid",
      "CallerLacksPermission",
    ]);
    expect(errors.every(({ error }) => error.code === "CONTRACT_REVERTED")).to.equal(true);
    expect(errors[0]!.error.message).to.contain("later deadline");
    expect(errors.every((item) => !("transactionHash" in item))).to.equal(true);
    const sent = await sentBy(touchstone, wallet.address);
    expect(sent).to.have.lengthOf(1);
    expect(sent[0]).to.have.lengthOf(3).and.not.to.include.members(refused);
  });

  it("reports an item that became stale on its way, and the rest is done", async () => {
    const { touchstone, wallet, owner } = await loadFixture(deployOperator);
    const keys = await deviceKeys(4);
    const enrollments = await enrollmentsOf(touchstone, keys, wallet.address);
    let isStale = false;
    // Somebody else is faster, at the last moment.
    const provider = providerWith({
      async broadcastTransaction(transaction) {
        if (!isStale) {
          isStale = true;
          const enrollment = { ...enrollments[2]!.enrollment, owner: owner.address };
          await devices.enroll({ touchstone, enrollment, byDevice: keys[2]! });
        }
        return ethers.provider.broadcastTransaction(transaction);
      },
    });
    const options = {
      touchstone: touchstone.connect(wallet.connect(provider)),
      enrollments,
      journal: fileIn("journal"),
      limits: HASTE,
    };
    const result = await lifecycle.enrollMany(options);
    expect(result.items.map(({ outcome }) => outcome)).to.deep.equal(["Done", "Done", "Refused", "Done"]);
    const stale = result.items[2]!;
    expect(stale).to.include({ id: keys[2]!.id, transactionHash: result.transactions[0] });
    expect(stale.outcome === "Refused" && stale.error.details).to.deep.include({
      errorName: "DeviceAlreadyEnrolled",
      args: { device: keys[2]!.id, owner: owner.address },
    });
    const again = await lifecycle.enrollMany(options);
    expect(again.items.map(({ outcome }) => outcome)).to.deep.equal(["Done", "Done", "Refused", "Done"]);
  });

  const limited: { name: string; limits: Partial<lifecycle.BulkLimits>; least: number }[] = [
    { name: "gas", limits: { gas: 170_000n }, least: 4 },
    { name: "bytes", limits: { bytes: 2_000 }, least: 4 },
    { name: "items", limits: { items: 3 }, least: 4 },
    { name: "gas for a single one at a time", limits: { gas: 110_000n }, least: 10 },
  ];
  for (const { name, limits, least } of limited) {
    it(`splits the work so that each transaction keeps to the limit of ${name}`, async () => {
      const { touchstone, wallet } = await loadFixture(deployOperator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(10), wallet.address);
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(wallet),
        enrollments,
        journal: fileIn("journal"),
        limits: { ...HASTE, ...limits },
      });
      await expectEnrolledOnce({ touchstone, sender: wallet.address, enrollments, result });
      expect(result.transactions.length).to.be.at.least(least);
      for (const hash of result.transactions) {
        const { data, gasLimit } = (await ethers.provider.getTransaction(hash))!;
        if (limits.gas !== undefined) expect(gasLimit <= limits.gas).to.equal(true);
        if (limits.bytes !== undefined) expect(ethers.dataLength(data)).to.be.at.most(limits.bytes);
      }
    });
  }

  const refusing: { name: string; node: (most: number) => Partial<Provider> }[] = [
    {
      name: "to say what it would cost",
      node: (most) => ({
        estimateGas: (transaction) =>
          ethers.dataLength(transaction.data!) > most
            ? Promise.reject(new Error("gas required exceeds allowance"))
            : ethers.provider.estimateGas(transaction),
      }),
    },
    {
      name: "to rehearse it",
      node: (most) => ({
        call: (transaction) =>
          ethers.dataLength(transaction.data!) > most
            ? Promise.reject(new Error("request entity too large"))
            : ethers.provider.call(transaction),
      }),
    },
    {
      name: "the transaction itself",
      node: (most) => ({
        broadcastTransaction: (transaction) =>
          ethers.dataLength(transaction) > most
            ? Promise.reject(new Error("oversized data: transaction size 131073, limit 131072"))
            : ethers.provider.broadcastTransaction(transaction),
      }),
    },
  ];
  for (const { name, node } of refusing) {
    it(`sends less at once when the node refuses ${name}`, async () => {
      const { touchstone, wallet } = await loadFixture(deployOperator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(9), wallet.address);
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(wallet.connect(providerWith(node(2_500)))),
        enrollments,
        journal: fileIn("journal"),
        limits: HASTE,
      });
      await expectEnrolledOnce({ touchstone, sender: wallet.address, enrollments, result });
      expect(result.transactions.length).to.be.at.least(3);
    });
  }

  it("ends with the node's refusal when even one item is too much", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(3), wallet.address);
    const refuse = () => Promise.reject(new Error("the node is in maintenance"));
    for (const replaced of [{ estimateGas: refuse }, { call: refuse }, { broadcastTransaction: refuse }]) {
      const error = await errorOf("RPC_FAILED", () =>
        lifecycle.enrollMany({
          touchstone: touchstone.connect(wallet.connect(providerWith(replaced))),
          enrollments,
          journal: fileIn(`journal-${Object.keys(replaced)[0]}`),
          limits: HASTE,
        }),
      );
      expect(error.message).to.contain("maintenance").and.to.contain("Run again with the journal");
    }
    expect(await sentBy(touchstone, wallet.address)).to.deep.equal([]);
  });

  it("sends less at once when a transaction failed for want of gas, and in the end refuses what always fails", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(4), wallet.address);
    const stingy = (times: number): Provider =>
      providerWith({
        estimateGas: async (transaction) => {
          const estimate = await ethers.provider.estimateGas(transaction);
          return times-- > 0 ? (estimate * 8n) / 10n : estimate;
        },
      });
    const run = (times: number, journal: string) =>
      lifecycle.enrollMany({
        touchstone: touchstone.connect(runnerWith(wallet, { provider: stingy(times) })),
        enrollments,
        journal: fileIn(journal),
        limits: HASTE,
      });
    const never = await run(Infinity, "never");
    expect(never.items.map(({ outcome }) => outcome)).to.deep.equal(["Refused", "Refused", "Refused", "Refused"]);
    const [first] = never.items;
    expect(first?.outcome === "Refused" && first.error.message).to.contain("enough gas");
    // Four at once, two at once, then one by one.
    expect(never.transactions).to.have.lengthOf(6);

    const later = await run(1, "later");
    expect(later.items.map(({ outcome }) => outcome)).to.deep.equal(["Done", "Done", "Done", "Done"]);
    expect(later.transactions).to.have.lengthOf(3);
  });

  it("says who has not enough ether, and goes on when there is some", async () => {
    const { touchstone, other } = await loadFixture(deployOperator);
    const poor = Wallet.createRandom(ethers.provider);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), poor.address);
    const options = { touchstone: touchstone.connect(poor), enrollments, journal: fileIn("journal"), limits: HASTE };
    const error = await errorOf("INSUFFICIENT_FUNDS", () => lifecycle.enrollMany(options));
    expect(error.message).to.contain(poor.address).and.to.contain("Run again");
    await other.sendTransaction({ to: poor.address, value: 10n ** 18n });
    const result = await lifecycle.enrollMany(options);
    await expectEnrolledOnce({ touchstone, sender: poor.address, enrollments, result });
  });

  it("never offers more for gas than it is told", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(1), wallet.address);
    const baseFee = (await ethers.provider.getBlock("latest"))!.baseFeePerGas!;
    const { transactions } = await lifecycle.enrollMany({
      touchstone: touchstone.connect(wallet),
      enrollments,
      journal: fileIn("journal"),
      limits: { ...HASTE, maxFeePerGas: baseFee + 5n },
    });
    const { maxFeePerGas, maxPriorityFeePerGas } = (await ethers.provider.getTransaction(transactions[0]!))!;
    expect(maxFeePerGas).to.equal(baseFee + 5n);
    expect(maxPriorityFeePerGas! <= maxFeePerGas!).to.equal(true);
  });

  it("works on chains without EIP-1559", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(1), wallet.address);
    const provider = providerWith({
      getFeeData: () => Promise.resolve(new ethers.FeeData(10n ** 10n, null, null)),
    });
    const { transactions } = await lifecycle.enrollMany({
      touchstone: touchstone.connect(wallet.connect(provider)),
      enrollments,
      journal: fileIn("journal"),
      limits: HASTE,
    });
    expect(await ethers.provider.getTransaction(transactions[0]!)).to.include({ type: 0, gasPrice: 10n ** 10n });
  });

  it("does nothing, and keeps it, when there is nothing to do", async () => {
    const { touchstone } = await loadFixture(deployOperator);
    const result = await lifecycle.enrollMany({ touchstone, enrollments: [], journal: fileIn("journal") });
    expect(result).to.deep.equal({ items: [], done: 0, alreadyDone: 0, refused: 0, transactions: [] });
    expect((await readFile(fileIn("journal"), "utf8")).split("\n")).to.have.lengthOf(2);
  });

  it("refuses wrong arguments before anything is signed or sent", async () => {
    const { touchstone, owner } = await loadFixture(deployOperator);
    const [item] = await enrollmentsOf(touchstone, await deviceKeys(1), owner.address);
    const options = { touchstone, journal: fileIn("journal") };
    const wrong: [string, unknown][] = [
      ["device", "0x12"],
      ["scheme", 3],
      ["owner", "owner.eth"],
      ["manifest", 2n ** 32n],
      ["metadataHash", "0x12"],
      ["deadline", -1n],
    ];
    for (const [field, value] of wrong) {
      const enrollments = [{ ...item!, enrollment: { ...item!.enrollment, [field]: value } }];
      await errorOf("INVALID_ARGUMENT", () => lifecycle.enrollMany({ ...options, enrollments }));
    }
    const twice = await errorOf("INVALID_ARGUMENT", () =>
      lifecycle.enrollMany({ ...options, enrollments: [item!, { ...item! }] }),
    );
    expect(twice.details).to.deep.equal({ id: item!.enrollment.device });
    const limits = [
      { items: 0 },
      { items: 1.5 },
      { bytes: 0 },
      { gas: 0n },
      { maxFeePerGas: 0n },
      { patience: -1 },
      { pollInterval: NaN },
      { retries: -1 },
      { retryDelay: -1 },
    ];
    for (const limit of limits) {
      const error = await errorOf("INVALID_ARGUMENT", () =>
        lifecycle.enrollMany({ ...options, enrollments: [item!], limits: limit }),
      );
      expect(error.details.limit).to.equal(Object.keys(limit)[0]);
    }
    await errorOf("RUNNER_READ_ONLY", () =>
      lifecycle.enrollMany({ ...options, touchstone: touchstone.connect(ethers.provider), enrollments: [item!] }),
    );
  });

  it("says which key did not sign, and goes on when it does", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), wallet.address);
    const { enrollment, byDevice } = enrollments[1]!;
    const locked = { ...(byDevice as Key), prove: () => Promise.reject(new Error("locked")) };
    const options = { touchstone: touchstone.connect(wallet), journal: fileIn("journal"), limits: HASTE };
    const error = await errorOf("SIGNING_FAILED", () =>
      lifecycle.enrollMany({ ...options, enrollments: [enrollments[0]!, { enrollment, byDevice: locked }] }),
    );
    expect(error.message).to.contain(enrollment.device);
    const result = await lifecycle.enrollMany({ ...options, enrollments });
    await expectEnrolledOnce({ touchstone, sender: wallet.address, enrollments, result });
  });
});

describe("lifecycle.suspendMany, resumeMany and retireMany", () => {
  const fileIn = temporaryFolder();

  async function statusesOf({ touchstone, keys }: Awaited<ReturnType<typeof deployFleetOfSix>>): Promise<string[]> {
    return Promise.all(keys.map(async ({ id }) => (await devices.get({ touchstone, device: id })).status));
  }

  it("take devices of every kind out of service and back, with their keys from the chain, and then for ever", async () => {
    const fleet = await loadFixture(deployFleetOfSix);
    const { touchstone, keys } = fleet;
    const ids = keys.map(({ id }) => id);
    const verbs = [
      { verb: lifecycle.suspendMany, status: "Suspended" },
      { verb: lifecycle.resumeMany, status: "Active" },
      { verb: lifecycle.suspendMany, status: "Suspended" },
      { verb: lifecycle.retireMany, status: "Retired" },
    ];
    for (const [index, { verb, status }] of verbs.entries()) {
      const options = { touchstone, devices: ids, limits: { ...HASTE, items: 4 } };
      const result = await verb({ ...options, journal: fileIn(`journal-${index}`) });
      expect(result).to.include({ done: 6, refused: 0 });
      expect(result.transactions).to.have.lengthOf(2);
      expect(await statusesOf(fleet)).to.deep.equal(ids.map(() => status));
      const again = await verb({ ...options, journal: fileIn(`again-${index}`) });
      expect(again).to.include({ done: 0, alreadyDone: 6 });
      expect(again.transactions).to.deep.equal([]);
    }
  });

  it("do not take what a journal once did for what is so now", async () => {
    const fleet = await loadFixture(deployFleetOfSix);
    const { touchstone, keys, wallet } = fleet;
    const ids = keys.map(({ id }) => id);
    const options = { touchstone, devices: ids, limits: HASTE };
    const suspend = { ...options, journal: fileIn("suspended") };
    const resume = { ...options, journal: fileIn("resumed") };
    const first = await lifecycle.suspendMany(suspend);
    expect(await lifecycle.suspendMany(suspend)).to.deep.equal(first);
    const second = await lifecycle.resumeMany(resume);

    const nonce = await wallet.getNonce();
    const error = await errorOf("JOURNAL_ENDED", () => lifecycle.suspendMany(suspend));
    expect(error.message).to.equal(
      `The work of ${suspend.journal} ended, and 6 of 6 devices are not so any more: give a new journal to do it again.`,
    );
    expect(error.details).to.deep.equal({ journal: suspend.journal, undone: ids, done: 6 });
    expect(await lifecycle.resumeMany(resume)).to.deep.equal(second);
    expect(await wallet.getNonce()).to.equal(nonce);

    await lifecycle.suspendMany({ ...suspend, devices: ids.slice(0, 2), journal: fileIn("two") });
    const { details } = await errorOf("JOURNAL_ENDED", () => lifecycle.resumeMany(resume));
    expect(details).to.deep.equal({ journal: resume.journal, undone: ids.slice(0, 2), done: 6 });
    expect(await lifecycle.suspendMany({ ...suspend, journal: fileIn("anew") })).to.include({
      done: 4,
      alreadyDone: 2,
    });
  });

  it("treat work on devices as ended that can never be done again, and count none that was refused", async () => {
    const { touchstone, keys } = await loadFixture(deployFleetOfSix);
    const [retired, ...rest] = keys.map(({ id }) => id) as [string, ...string[]];
    const options = { touchstone, limits: HASTE };
    await lifecycle.retireMany({ ...options, devices: [retired], journal: fileIn("retired") });
    const suspend = { ...options, devices: [retired, ...rest], journal: fileIn("suspended") };
    const first = await lifecycle.suspendMany(suspend);
    expect(first).to.include({ done: 5, refused: 1 });
    await lifecycle.retireMany({ ...options, devices: rest, journal: fileIn("rest") });
    const { items, ...counts } = await lifecycle.suspendMany(suspend);
    expect(items).to.have.lengthOf(6);
    expect(counts).to.deep.equal({ done: 5, alreadyDone: 0, refused: 1, transactions: first.transactions });
  });

  it("find a key behind other changes of the document", async () => {
    const fleet = await loadFixture(deployFleetOfSix);
    const { touchstone, keys } = fleet;
    const ids = keys.map(({ id }) => id);
    await lifecycle.suspendMany({ touchstone, devices: ids, journal: fileIn("suspended"), limits: HASTE });
    // A node that has lost the events of the latest change: the walk goes on to the one before.
    const latest = await ethers.provider.getBlockNumber();
    const { deviceRegistry } = touchstone;
    const attribute = deviceRegistry.interface.getEvent("DIDAttributeChanged").topicHash;
    const provider = providerWith({
      async getLogs(filter) {
        const logs = await ethers.provider.getLogs(filter);
        return logs.map((log) => {
          if (log.blockNumber !== latest || log.topics[0] !== attribute) return log;
          // As if an attribute with another name had been set.
          const data = `0x${"11".repeat(32)}${log.data.slice(66)}`;
          return Object.assign(Object.create(Object.getPrototypeOf(log) as object) as typeof log, log, { data });
        });
      },
    });
    const result = await lifecycle.resumeMany({
      touchstone: touchstone.connect(fleet.wallet.connect(provider)),
      devices: ids,
      journal: fileIn("resumed"),
      limits: HASTE,
    });
    expect(result).to.include({ done: 6, refused: 0 });
  });

  it("take the keys that the caller gives, and say which device has none on the chain", async () => {
    const fleet = await loadFixture(deployFleetOfSix);
    const { keys, wallet } = fleet;
    const provider = providerWith({ getLogs: () => Promise.resolve([]) });
    const touchstone = fleet.touchstone.connect(wallet.connect(provider));
    const options = { touchstone, journal: fileIn("journal"), limits: HASTE };
    const error = await errorOf("NOT_FOUND", () =>
      lifecycle.suspendMany({ ...options, devices: keys.map(({ id }) => id) }),
    );
    expect(error.details.device).to.be.oneOf(keys.slice(3).map(({ id }) => id));
    const given = keys.map(({ id, publicKey }) => ({ device: id, publicKey }));
    const result = await lifecycle.suspendMany({ ...options, devices: given, journal: fileIn("given") });
    expect(result).to.include({ done: 6 });
  });

  it("report devices that are not theirs, retired or unknown, and do the rest", async () => {
    const { touchstone, keys, owner } = await loadFixture(deployFleetOfSix);
    const foreign = createP256Key();
    const theirs = touchstone.connect(owner);
    const enrollment = await devices.newEnrollment({ touchstone, device: foreign, owner: owner.address });
    await devices.enroll({ touchstone: theirs, enrollment, byDevice: foreign });
    await devices.retire({ touchstone, device: keys[0]!.id });
    const unknown = createP256Key();
    const result = await lifecycle.suspendMany({
      touchstone,
      devices: [foreign.id, keys[0]!.id, unknown.id, keys[1]!.id],
      journal: fileIn("journal"),
      limits: HASTE,
    });
    const names = result.items.map((item) =>
      item.outcome === "Refused" ? item.error.details.errorName : item.outcome,
    );
    expect(names).to.deep.equal(["CallerLacksPermission", "DeviceStatusInvalid", "DeviceStatusInvalid", "Done"]);
  });

  it("refuse wrong arguments before anything is sent", async () => {
    const { touchstone, keys } = await loadFixture(deployFleetOfSix);
    const options = { touchstone, journal: fileIn("journal") };
    const [key] = keys;
    for (const verb of [lifecycle.suspendMany, lifecycle.resumeMany]) {
      await errorOf("INVALID_ARGUMENT", () => verb({ ...options, devices: ["0x12"] }));
      await errorOf("INVALID_ARGUMENT", () => verb({ ...options, devices: [{ device: key!.id, publicKey: "0x1" }] }));
      await errorOf("INVALID_KEY", () => verb({ ...options, devices: [{ device: key!.id, publicKey: "0x12" }] }));
      await errorOf("INVALID_ARGUMENT", () => verb({ ...options, devices: [key!.id, { device: key!.id }] }));
    }
    await errorOf("INVALID_ARGUMENT", () => lifecycle.retireMany({ ...options, devices: ["0x12"] }));
  });
});
