import { expect } from "chai";
import { JsonRpcProvider, Wallet, type TransactionResponse } from "ethers";
import { network } from "hardhat";

import { connectTouchstone } from "../../client/connect.js";
import { readEvents } from "../../client/events.js";
import * as roles from "../../client/roles.js";
import { chainTime, deadlineIn, send } from "../../client/transactions.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { providerWith, runnerWith } from "../support/provider.js";
import { deployContracts, deployTouchstone, type Deployed } from "../support/touchstone.js";

const SALT = ethers.id("salt");
const createFleet = (touchstone: Deployed["touchstone"]) => () =>
  touchstone.roleRegistry.createFleet.populateTransaction(SALT);

/** Transactions wait in the pool until a block is mined. */
async function withoutAutomine<T>(act: () => Promise<T>): Promise<T> {
  await ethers.provider.send("evm_setAutomine", [false]);
  try {
    return await act();
  } finally {
    await ethers.provider.send("evm_setAutomine", [true]);
  }
}

/** Waits until so many transactions are in the pool, and gives the hash of the last. */
async function pending(count: number): Promise<string> {
  for (;;) {
    const block = (await ethers.provider.send("eth_getBlockByNumber", ["pending", false])) as {
      transactions: string[];
    };
    const hash = block.transactions[count - 1];
    if (hash !== undefined) return hash;
  }
}

describe("send", () => {
  it("returns the receipt and the events", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const { receipt, events } = await send({ touchstone }, createFleet(touchstone));
    expect([receipt.status, receipt.from]).to.deep.equal([1, owner.address]);
    expect(events).to.deep.equal([
      {
        contract: "RoleRegistry",
        name: "FleetCreated",
        args: { fleet: roles.fleetIdOf({ creator: owner.address, salt: SALT }), governor: owner.address, salt: SALT },
        cursor: { block: receipt.blockNumber, logIndex: 0 },
        blockHash: receipt.blockHash,
        transactionHash: receipt.hash,
      },
    ]);
  });

  it("sends nothing that a contract would refuse", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    await send({ touchstone }, createFleet(touchstone));
    const nonce = await owner.getNonce();
    const error = await errorOf("CONTRACT_REVERTED", () => send({ touchstone }, createFleet(touchstone)));
    expect(error.details.errorName).to.equal("FleetExists");
    expect(await owner.getNonce()).to.equal(nonce);
  });

  it("says why a transaction failed that was fine in the rehearsal", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    // A node that does not yet know what is in the pool.
    const late = touchstone.connect(runnerWith(owner, { estimateGas: () => Promise.resolve(100_000n) }));
    await withoutAutomine(async () => {
      const first = send({ touchstone }, createFleet(touchstone));
      await pending(1);
      const second = errorOf("CONTRACT_REVERTED", () => send({ touchstone: late }, createFleet(late)));
      await pending(2);
      await networkHelpers.mine();
      expect((await first).events).to.have.lengthOf(1);
      const fleet = roles.fleetIdOf({ creator: owner.address, salt: SALT });
      expect((await second).details).to.deep.include({ errorName: "FleetExists", args: { fleet } });
    });
  });

  it("refuses to send as a provider", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    const reading = touchstone.connect(ethers.provider);
    const error = await errorOf("RUNNER_READ_ONLY", () => send({ touchstone: reading }, createFleet(reading)));
    expect(error.message).to.contain("signer");
  });

  it("sends nothing when it was cancelled before", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const before = await owner.getNonce();
    await errorOf("CANCELLED", () => send({ touchstone, signal: AbortSignal.abort() }, createFleet(touchstone)));

    const controller = new AbortController();
    const slow = runnerWith(owner, {
      estimateGas: (transaction) => {
        controller.abort();
        return owner.estimateGas(transaction);
      },
    });
    const { signal } = controller;
    const error = await errorOf("CANCELLED", () =>
      send({ touchstone: touchstone.connect(slow), signal }, createFleet(touchstone)),
    );
    expect(error.details).to.deep.equal({});
    expect(await owner.getNonce()).to.equal(before);
  });

  it("stops waiting when it is cancelled after, and says what was sent", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    await withoutAutomine(async () => {
      const controller = new AbortController();
      const sent = errorOf("CANCELLED", () => send({ touchstone, signal: controller.signal }, createFleet(touchstone)));
      const hash = await pending(1);
      controller.abort(new Error("enough"));
      const { details, message, cause } = await sent;
      expect(details).to.deep.equal({ transactionHash: hash });
      expect(message).to.contain(hash);
      expect(cause).to.equal(controller.signal.reason);
      await networkHelpers.mine();
      expect((await ethers.provider.getTransactionReceipt(hash))?.status).to.equal(1);
    });
  });

  it("waits for as many blocks as it is told", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    let done = false;
    const sent = send({ touchstone, confirmations: 3 }, createFleet(touchstone)).then((result) => {
      done = true;
      return result;
    });
    await networkHelpers.mine(1);
    expect(done).to.equal(false);
    const ticking = setInterval(() => void networkHelpers.mine(1), 50);
    const { receipt } = await sent;
    clearInterval(ticking);
    expect(await ethers.provider.getBlockNumber()).to.be.at.least(receipt.blockNumber + 2);
  });

  it("takes a replacement with a higher fee for the same transaction, and no other one", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const receipt = { status: 1, logs: [] };
    for (const reason of ["repriced", "cancelled", "replaced"]) {
      const replacedBy = Object.assign(new Error("replaced"), { code: "TRANSACTION_REPLACED", reason, receipt });
      const replaced = runnerWith(owner, {
        sendTransaction: () =>
          Promise.resolve({
            hash: ethers.id("x"),
            wait: () => Promise.reject(replacedBy),
          } as unknown as TransactionResponse),
      });
      const act = () => send({ touchstone: touchstone.connect(replaced) }, createFleet(touchstone));
      if (reason === "repriced") expect((await act()).receipt).to.equal(receipt);
      else await errorOf("TRANSACTION_REPLACED", act);
    }
  });

  it("says that the sender has not enough ether", async () => {
    const { touchstone, other } = await loadFixture(deployTouchstone);
    await networkHelpers.setBalance(other.address, 1_000n);
    const poor = touchstone.connect(other);
    const error = await errorOf("INSUFFICIENT_FUNDS", () => send({ touchstone: poor }, createFleet(poor)));
    expect(error.details).to.have.property("sender", other.address);
    expect(error.message).to.match(new RegExp(`^${other.address}: The sender has not enough ether`));
  });

  it("says that the chain is gone", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const gone = () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
    const cut = touchstone.connect(runnerWith(owner, { estimateGas: gone }));
    await errorOf("CHAIN_UNREACHABLE", () => send({ touchstone: cut }, createFleet(touchstone)));
  });

  it("gives some gas more than the rehearsal took", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const estimate = await owner.estimateGas(await createFleet(touchstone)());
    const { receipt } = await send({ touchstone }, createFleet(touchstone));
    const { gasLimit } = (await ethers.provider.getTransaction(receipt.hash))!;
    expect(gasLimit).to.equal(estimate + estimate / 10n);
  });
});

describe("send, over JSON-RPC with a local wallet", () => {
  it("works twice in a row, and names refusals and missing ether", async () => {
    const server = await network.createServer();
    const { address, port } = await server.listen();
    const provider = new JsonRpcProvider(`http://${address}:${port}`);
    try {
      const faucet = await provider.getSigner(0);
      const addresses = await deployContracts(faucet);
      const wallet = Wallet.createRandom(provider);
      await (await faucet.sendTransaction({ to: wallet, value: 10n ** 18n })).wait();
      const touchstone = await connectTouchstone({ runner: wallet, addresses });

      const { fleet } = await roles.createFleet({ touchstone, salt: SALT });
      const { events } = await roles.setRoles({ touchstone, fleet, account: faucet.address, roles: ["Operator"] });
      expect(events.map(({ name }) => name)).to.deep.equal(["RolesSet"]);
      // ethers remembers the number of the latest block for a while: what was just sent is read all the same.
      const read: string[] = [];
      for await (const { name } of readEvents({ touchstone, fleets: [fleet] })) read.push(name);
      expect(read).to.deep.equal(["FleetCreated", "RolesSet"]);

      const error = await errorOf("CONTRACT_REVERTED", () => roles.createFleet({ touchstone, salt: SALT }));
      expect(error.details).to.deep.include({ errorName: "FleetExists", args: { fleet } });

      const poor = touchstone.connect(Wallet.createRandom(provider));
      await errorOf("INSUFFICIENT_FUNDS", () => roles.createFleet({ touchstone: poor }));
    } finally {
      provider.destroy();
      await server.close();
    }
  });
});

describe("chainTime", () => {
  it("is the time of the latest block", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    await networkHelpers.time.increase(12_345n);
    expect(await chainTime(touchstone)).to.equal(await now());
  });

  it("is what deadlines count from, in seconds as bigint", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    expect(await deadlineIn(touchstone, 60n)).to.equal((await now()) + 60n);
    for (const wrong of [-1n, 2n ** 40n, 3600 as never, "60" as never]) {
      const error = await errorOf("INVALID_ARGUMENT", () => deadlineIn(touchstone, wrong));
      expect(error.message).to.contain("validFor").and.contain(String(wrong));
    }
  });

  it("says so if the node has no block", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    const empty = touchstone.connect(providerWith({ getBlock: () => Promise.resolve(null) }));
    await errorOf("RPC_FAILED", () => chainTime(empty));
  });
});
