import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { expect } from "chai";
import { JsonRpcProvider, Wallet, type Provider } from "ethers";
import fc from "fast-check";
import { network } from "hardhat";

import { connectTouchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import * as lifecycle from "../../client/lifecycle.js";
import { ethers, loadFixture, networkHelpers } from "../support/chain.js";
import { deviceKeys } from "../support/device-keys.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { deployOperator, enrollmentsOf, expectEnrolledOnce, HASTE, senders, sentBy } from "../support/lifecycle.js";
import { Plug, providerThrough, signerThrough, slowChain, writingThrough } from "../support/plug.js";
import { providerWith, runnerWith } from "../support/provider.js";
import { deployContracts } from "../support/touchstone.js";

describe("lifecycle, when it is interrupted", () => {
  const fileIn = temporaryFolder();

  afterEach(async () => {
    await ethers.provider.send("evm_setAutomine", [true]);
  });

  for (const { name, addressOf, as } of senders) {
    /** One power cut after each number of steps, then a run without any, on a fresh chain. */
    async function cutAt(steps: readonly number[], isSlow: boolean, journal: string): Promise<boolean> {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(3), sender);
      const chain = isSlow ? slowChain() : {};
      await ethers.provider.send("evm_setAutomine", [!isSlow]);
      const run = (plug: Plug): Promise<lifecycle.BulkResult> => {
        const signer = signerThrough(plug, as(operator, providerThrough(plug, chain)));
        const limits = { ...HASTE, items: 2 };
        const options = { touchstone: touchstone.connect(signer), enrollments, journal, limits };
        return writingThrough(plug, () => lifecycle.enrollMany(options));
      };
      let wasCut = true;
      for (const step of steps) {
        const plug = new Plug(step);
        await run(plug).catch(() => expect(plug.isOut).to.equal(true));
        wasCut = plug.isOut;
      }
      const result = await run(new Plug());
      await expectEnrolledOnce({ touchstone, sender, enrollments, result });
      expect(result.transactions).to.have.lengthOf(2);
      return wasCut;
    }

    for (const isSlow of [false, true]) {
      const chain = isSlow ? "lets transactions wait" : "mines at once";

      it(`goes on after a power cut at every single step: ${name}, on a chain that ${chain}`, async function () {
        this.timeout(300_000);
        let step = 0;
        while (await cutAt([step], isSlow, fileIn(`after-${step}`))) step++;
        // Fewer steps would mean that some are not seen.
        expect(step).to.be.greaterThan(60);
      });
    }

    it(`goes on after power cuts in the runs that go on: ${name}`, async function () {
      this.timeout(300_000);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(60), { minLength: 2, maxLength: 6 }), fc.boolean(), async (steps, isSlow) => {
          await cutAt(steps, isSlow, fileIn(`run-${run++}`));
        }),
        { numRuns: 15 },
      );
    });

    it(`asks again when the node fails to answer, and sends nothing twice: ${name}`, async function () {
      this.timeout(300_000);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.infiniteStream(fc.nat(9)), async (dice) => {
          const operator = await loadFixture(deployOperator);
          const { touchstone } = operator;
          const sender = addressOf(operator);
          const enrollments = await enrollmentsOf(touchstone, await deviceKeys(4), sender);
          /** Two requests of ten never arrive, the answers to two others get lost. */
          const flaky = async <T>(request: () => Promise<T>): Promise<T> => {
            const face = dice.next().value as number;
            if (face < 2) throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
            const answer = await request();
            if (face < 4) throw new Error("503 Service Unavailable");
            return answer;
          };
          const provider: Provider = new Proxy(providerWith({}), {
            get(target, key) {
              if (key === "provider") return provider;
              const value: unknown = Reflect.get(target, key, target);
              if (typeof value !== "function") return value;
              return (...args: unknown[]) => flaky(() => (value as (...args: unknown[]) => Promise<unknown>)(...args));
            },
          });
          const signer = as(operator, provider);
          const result = await lifecycle.enrollMany({
            touchstone: touchstone.connect(
              runnerWith(signer, {
                sendTransaction: (transaction) => flaky(() => signer.sendTransaction(transaction)),
              }),
            ),
            enrollments,
            journal: fileIn(`run-${run++}`),
            limits: { ...HASTE, items: 2, retries: 30 },
          });
          await expectEnrolledOnce({ touchstone, sender, enrollments, result });
        }),
        { numRuns: 15 },
      );
    });

    it(`plans again when another transaction of the account was mined with the nonce: ${name}`, async () => {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(3), sender);
      const other = as(operator, ethers.provider);
      let others = 0;
      // Whoever asks for fees is about to sign.
      const provider = providerWith({
        async getFeeData() {
          if (others++ < 2) await other.sendTransaction({ to: sender });
          return ethers.provider.getFeeData();
        },
      });
      const journal = fileIn("journal");
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(as(operator, provider)),
        enrollments,
        journal,
        limits: { ...HASTE, items: 2 },
      });
      await expectEnrolledOnce({ touchstone, sender, enrollments, result });
      const records = (await readFile(journal, "utf8")).split("\n").filter((line) => line.includes('"taken"'));
      expect(records).to.have.lengthOf(2);
    });

    it(`plans again when the nonce was used before the attempt, though no block follows: ${name}`, async () => {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), sender);
      await as(operator, ethers.provider).sendTransaction({ to: sender });
      // Until somebody asks for fees, and so is about to sign, the node tells what was so before.
      let isBehind = true;
      const provider = providerWith({
        async getTransactionCount(address, block) {
          return (await ethers.provider.getTransactionCount(address, block)) - (isBehind ? 1 : 0);
        },
        getFeeData() {
          isBehind = false;
          return ethers.provider.getFeeData();
        },
      });
      const journal = fileIn("journal");
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(as(operator, provider)),
        enrollments,
        journal,
        limits: HASTE,
      });
      await expectEnrolledOnce({ touchstone, sender, enrollments, result });
      const records = (await readFile(journal, "utf8")).split("\n").filter((line) => line.includes('"taken"'));
      expect(records).to.have.lengthOf(1);
    });

    it(`takes no nonce that is used already from a provider that remembers: ${name}`, async () => {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), sender);
      const remembered = await ethers.provider.getTransactionCount(sender, "pending");
      await as(operator, ethers.provider).sendTransaction({ to: sender });
      const provider = providerWith({
        getTransactionCount: (address, block) =>
          block === "pending" ? Promise.resolve(remembered) : ethers.provider.getTransactionCount(address, block),
      });
      const journal = fileIn("journal");
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(as(operator, provider)),
        enrollments,
        journal,
        limits: HASTE,
      });
      await expectEnrolledOnce({ touchstone, sender, enrollments, result });
      expect(await readFile(journal, "utf8")).not.to.contain('"taken"');
    });

    it(`waits behind another transaction of the account that took the nonce: ${name}`, async () => {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), sender);
      const other = as(operator, ethers.provider);
      await ethers.provider.send("evm_setAutomine", [false]);
      let others = 0;
      const provider = providerWith({
        ...slowChain(),
        async getFeeData() {
          const fees = await ethers.provider.getFeeData();
          if (others++ > 0) return fees;
          await other.sendTransaction({ to: sender, gasLimit: 21_000n, maxFeePerGas: fees.maxFeePerGas! * 2n });
          return fees;
        },
      });
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(as(operator, provider)),
        enrollments,
        journal: fileIn("journal"),
        limits: HASTE,
      });
      expect(others).to.equal(2);
      await expectEnrolledOnce({ touchstone, sender, enrollments, result });
    });

    it(`raises the fee of a transaction that the market has outgrown, with the same nonce: ${name}`, async () => {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), sender);
      const baseFee = 10n ** 12n;
      await ethers.provider.send("evm_setAutomine", [false]);
      let looks = 0;
      const provider = providerWith({
        async getTransactionCount(address, block) {
          if (block === "latest" && ++looks === 2) await networkHelpers.setNextBlockBaseFeePerGas(baseFee);
          if (block === "latest" && looks >= 2) await ethers.provider.send("evm_mine", []);
          return ethers.provider.getTransactionCount(address, block);
        },
      });
      const journal = fileIn("journal");
      const result = await lifecycle.enrollMany({
        touchstone: touchstone.connect(as(operator, provider)),
        enrollments,
        journal,
        limits: { ...HASTE, patience: 1 },
      });
      await expectEnrolledOnce({ touchstone, sender, enrollments, result });
      const { maxFeePerGas } = (await ethers.provider.getTransaction(result.transactions[0]!))!;
      expect(maxFeePerGas! > baseFee / 2n).to.equal(true);
      const records = (await readFile(journal, "utf8"))
        .split("\n")
        .filter((line) => line.includes('"attempt","nonce"'));
      expect(records).to.have.lengthOf(2);
    });

    it(`gives up waiting when nothing is mined, and waits on when run again: ${name}`, async () => {
      const operator = await loadFixture(deployOperator);
      const { touchstone } = operator;
      const sender = addressOf(operator);
      const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), sender);
      await ethers.provider.send("evm_setAutomine", [false]);
      const journal = fileIn("journal");
      const run = () =>
        lifecycle.enrollMany({
          touchstone: touchstone.connect(as(operator, providerWith({}))),
          enrollments,
          journal,
          limits: { ...HASTE, patience: 30 },
        });
      for (let round = 0; round < 2; round++) {
        const { details, message } = await errorOf("TRANSACTION_STUCK", run);
        expect(details).to.include({ sender, journal });
        expect(details.transactionHash).to.match(/^0x[0-9a-f]{64}$/);
        expect(message).to.match(/Run again with the journal .* to go on\.$/);
      }
      await networkHelpers.mine();
      await expectEnrolledOnce({ touchstone, sender, enrollments, result: await run() });
    });
  }

  it("decides by what the chain says when the node has forgotten which transaction took the nonce", async () => {
    const operator = await loadFixture(deployOperator);
    const { touchstone, relayer } = operator;
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(3), relayer.address);
    const journal = fileIn("journal");
    const limits = { ...HASTE, items: 2, retries: 0 };
    // The node takes the first transaction and is gone: nobody knows its hash.
    let isGone = false;
    const gone = () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
    const dying = runnerWith(relayer, {
      async sendTransaction(transaction) {
        await relayer.sendTransaction(transaction);
        isGone = true;
        return gone();
      },
      provider: providerWith({
        getTransactionCount: (...asked) => (isGone ? gone() : ethers.provider.getTransactionCount(...asked)),
      }),
    });
    const options = { enrollments, journal, limits };
    await errorOf("CHAIN_UNREACHABLE", () =>
      lifecycle.enrollMany({ ...options, touchstone: touchstone.connect(dying) }),
    );

    const forgetful = runnerWith(relayer, {
      provider: providerWith({
        getBlock: (block) =>
          block === "latest" ? ethers.provider.getBlock(block) : Promise.reject(new Error("pruned")),
      }),
    });
    const { items, transactions } = await lifecycle.enrollMany({
      ...options,
      touchstone: touchstone.connect(forgetful),
    });
    expect(items.map(({ outcome }) => outcome)).to.deep.equal(["AlreadyDone", "AlreadyDone", "Done"]);
    expect(transactions).to.have.lengthOf(1);
    for (const { enrollment } of enrollments) {
      expect((await devices.get({ touchstone, device: enrollment.device })).status).to.equal("Active");
    }
  });

  it("waits for as many blocks as it is told", async () => {
    const operator = await loadFixture(deployOperator);
    const { touchstone, wallet } = operator;
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(1), wallet.address);
    // Each look finds a new block, so that there is always something to wait for.
    const provider = providerWith({
      async getTransactionReceipt(hash) {
        const receipt = await ethers.provider.getTransactionReceipt(hash);
        if (receipt !== null) await networkHelpers.mine();
        return receipt;
      },
    });
    const options = { enrollments, journal: fileIn("journal"), confirmations: 4, limits: { ...HASTE, patience: 0 } };
    const { transactions } = await lifecycle.enrollMany({
      ...options,
      touchstone: touchstone.connect(wallet.connect(provider)),
    });
    const receipt = await ethers.provider.getTransactionReceipt(transactions[0]!);
    expect(await ethers.provider.getBlockNumber()).to.be.at.least(receipt!.blockNumber + 3);
  });

  it("gives up waiting for blocks that do not come, and goes on when they do", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), wallet.address);
    const journal = fileIn("journal");
    const options = { touchstone: touchstone.connect(wallet), enrollments, journal, confirmations: 3 };
    const run = () => lifecycle.enrollMany({ ...options, limits: { ...HASTE, patience: 30 } });
    for (let round = 0; round < 2; round++) {
      const { details, message } = await errorOf("TRANSACTION_STUCK", run);
      expect(details).to.include({ sender: wallet.address, journal, block: await ethers.provider.getBlockNumber() });
      expect(message)
        .to.contain("confirmations")
        .and.to.match(/Run again with the journal .* to go on\.$/);
    }
    await networkHelpers.mine(2);
    await expectEnrolledOnce({ touchstone, sender: wallet.address, enrollments, result: await run() });
  });

  it("ends when it is cancelled, and goes on later", async () => {
    const operator = await loadFixture(deployOperator);
    const { touchstone, wallet } = operator;
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(6), wallet.address);
    const controller = new AbortController();
    const seen: lifecycle.BulkProgress[] = [];
    const options = {
      touchstone: touchstone.connect(wallet),
      enrollments,
      journal: fileIn("journal"),
      limits: { ...HASTE, items: 2 },
    };
    const error = await errorOf("CANCELLED", () =>
      lifecycle.enrollMany({
        ...options,
        signal: controller.signal,
        onProgress(progress) {
          seen.push(progress);
          if (progress.done === 2) controller.abort(new Error("enough"));
        },
      }),
    );
    expect(error.message).to.contain("Run again with the journal");
    expect(seen.at(-1)?.done).to.equal(2);
    expect(await sentBy(touchstone, wallet.address)).to.have.lengthOf(1);
    const result = await lifecycle.enrollMany(options);
    await expectEnrolledOnce({ touchstone, sender: wallet.address, enrollments, result });
  });

  it("ends when it is cancelled while a transaction waits", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(1), wallet.address);
    await ethers.provider.send("evm_setAutomine", [false]);
    const options = { touchstone: touchstone.connect(wallet), enrollments, journal: fileIn("journal") };
    await errorOf("CANCELLED", () => lifecycle.enrollMany({ ...options, signal: AbortSignal.timeout(100) }));
    await networkHelpers.mine();
    const result = await lifecycle.enrollMany(options);
    await expectEnrolledOnce({ touchstone, sender: wallet.address, enrollments, result });
  });

  it("does one run after the other through a provider that remembers its answers, as those of ethers do", async function () {
    this.timeout(60_000);
    const server = await network.createServer();
    const { address, port } = await server.listen();
    const provider = new JsonRpcProvider(`http://${address}:${port}`);
    try {
      const faucet = await provider.getSigner(0);
      const addresses = await deployContracts(faucet);
      const wallet = new Wallet(Wallet.createRandom().privateKey, provider);
      await (await faucet.sendTransaction({ to: wallet, value: 10n ** 18n })).wait();
      const keys = await deviceKeys(4);
      for (const [place, runner] of [wallet, await provider.getSigner(1)].entries()) {
        const touchstone = await connectTouchstone({ runner, addresses });
        const own = keys.slice(place * 2, place * 2 + 2);
        const ids = own.map(({ id }) => id);
        const enrollments = await enrollmentsOf(touchstone, own, await runner.getAddress());
        const journal = (name: string) => fileIn(`${name}-${place}`);
        const limits = { ...HASTE, patience: 5_000 };
        const results = [
          await lifecycle.enrollMany({ touchstone, enrollments, journal: journal("enrolled"), limits }),
          await lifecycle.suspendMany({ touchstone, devices: ids, journal: journal("suspended"), limits }),
          await lifecycle.resumeMany({ touchstone, devices: ids, journal: journal("resumed"), limits }),
          await lifecycle.retireMany({ touchstone, devices: ids, journal: journal("retired"), limits }),
        ];
        for (const result of results) expect(result).to.include({ done: 2, alreadyDone: 0, refused: 0 });
      }
    } finally {
      provider.destroy();
      await server.close();
    }
  });

  it("goes on after kill -9, as often as it takes", async function () {
    this.timeout(60_000);
    const server = await network.createServer();
    const { address, port } = await server.listen();
    const url = `http://${address}:${port}`;
    const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
    try {
      const faucet = await provider.getSigner(0);
      const addresses = await deployContracts(faucet);
      const wallet = Wallet.createRandom(provider);
      await (await faucet.sendTransaction({ to: wallet, value: 10n ** 18n })).wait();
      const touchstone = await connectTouchstone({ runner: wallet, addresses });
      const [order, journal] = [fileIn("order"), fileIn("journal")];
      const keys = await deviceKeys(30);
      const template = await devices.newEnrollment({ touchstone, device: keys[0]!, owner: wallet.address });
      await writeFile(
        order,
        JSON.stringify({
          url,
          addresses,
          privateKey: wallet.privateKey,
          deadline: Number(template.deadline),
          journal,
          devices: 30,
        }),
      );
      const child = fileURLToPath(new URL("../support/enroll-in-child.ts", import.meta.url));
      const start = (): ChildProcess =>
        spawn(process.execPath, ["--import", "tsx", child, order], { stdio: ["ignore", "ignore", "inherit"] });
      const attempts = async (): Promise<number> =>
        (await readFile(journal, "utf8").catch(() => "")).split('"record":"attempt"').length - 1;

      for (const until of [1, 3, 4]) {
        const running = start();
        const ended = once(running, "exit");
        while ((await attempts()) < until && running.exitCode === null)
          await new Promise((done) => setTimeout(done, 1));
        running.kill("SIGKILL");
        expect(await ended).to.deep.equal([null, "SIGKILL"]);
      }
      expect(await once(start(), "exit")).to.deep.equal([0, null]);

      const { deviceRegistry } = touchstone;
      const enrolled = await deviceRegistry.queryFilter(deviceRegistry.filters.DeviceEnrolled);
      expect(enrolled.map(({ args }) => args.device)).to.deep.equal(keys.map(({ id }) => id));
      // Five at a time, each sent once.
      expect(await wallet.getNonce()).to.equal(6);
      expect(new Set(enrolled.map((event) => event.transactionHash)).size).to.equal(6);
    } finally {
      provider.destroy();
      await server.close();
    }
  });
});
