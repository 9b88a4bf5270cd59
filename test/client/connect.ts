import { mkdir, symlink, writeFile } from "node:fs/promises";

import { expect } from "chai";
import { JsonRpcProvider, Wallet, type Provider } from "ethers";

import { contractNames } from "../../client/abi.js";
import { checkDeployment, connectTouchstone, type Touchstone } from "../../client/connect.js";
import { deploymentPath, readDeployment, type Addresses } from "../../client/deployments.js";
import { ethers, loadFixture, networkHelpers } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { providerWith } from "../support/provider.js";
import { deployContracts, deployTouchstone } from "../support/touchstone.js";

function fileOf(touchstone: Touchstone, change: Record<string, unknown> = {}): string {
  return JSON.stringify({ chainId: Number(touchstone.chainId), contracts: touchstone.addresses, ...change });
}

describe("connectTouchstone", () => {
  const path = temporaryFolder();

  it("connects to the five contracts and knows their domains", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    expect(touchstone.chainId).to.equal(31337n);
    expect(await touchstone.roleRegistry.governorOf(owner)).to.equal(owner.address);
    for (const contract of contractNames) {
      const name = `${contract.charAt(0).toLowerCase()}${contract.slice(1)}` as "dataAccess";
      expect(await touchstone[name].getAddress()).to.equal(touchstone.addresses[contract]);
      const { chainId, name: domainName, verifyingContract, version } = await touchstone[name].eip712Domain();
      if (contract === "RoleRegistry") continue;
      expect(touchstone.domains[contract]).to.deep.equal({ name: domainName, version, chainId, verifyingContract });
    }
  });

  it("lets someone else call the same contracts", async () => {
    const { touchstone, other } = await loadFixture(deployTouchstone);
    const connected = touchstone.connect(other);
    expect(connected.runner).to.equal(other);
    expect(connected.addresses).to.deep.equal(touchstone.addresses);
    await connected.roleRegistry.createFleet(ethers.ZeroHash);
    const fleet = await connected.roleRegistry.fleetIdOf(other, ethers.ZeroHash);
    expect(await touchstone.roleRegistry.governorOf(fleet)).to.equal(other.address);
  });

  it("takes a provider, to read only", async () => {
    const { touchstone } = await loadFixture(deployTouchstone);
    const reading = await connectTouchstone({ runner: ethers.provider, addresses: touchstone.addresses });
    expect(await reading.deviceRegistry.version()).to.equal("0.1.0");
  });

  it("finds the contracts in a file, and in a folder by the chain", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    await writeFile(path("31337.json"), fileOf(touchstone, { block: 3, deployer: owner.address }));
    for (const where of [{ deploymentFile: path("31337.json") }, { deploymentsFolder: path("") }]) {
      const connected = await connectTouchstone({ runner: owner, chainId: 31337n, ...where });
      expect(connected.addresses).to.deep.equal(touchstone.addresses);
      expect(connected.firstBlock).to.equal(3);
    }
    expect(deploymentPath({ folder: "deployments", chainId: 10n })).to.equal("deployments/10.json");
  });

  it("takes addresses without checksum, and gives them one", async () => {
    const { touchstone, owner } = await loadFixture(deployTouchstone);
    const entries = Object.entries(touchstone.addresses).map(([name, address]) => [name, address.toLowerCase()]);
    const addresses = Object.fromEntries(entries) as Addresses;
    const connected = await connectTouchstone({ runner: owner, addresses });
    expect(connected.addresses).to.deep.equal(touchstone.addresses);
  });

  describe("without asking the chain", () => {
    it("takes a deployment at its word, and checks it later", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      await writeFile(path("31337.json"), fileOf(touchstone, { block: 3, deployer: owner.address }));
      let isDown = true;
      const getNetwork: Provider["getNetwork"] = () =>
        isDown
          ? Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }))
          : ethers.provider.getNetwork();
      const runner = providerWith({ getNetwork });
      const connected = await connectTouchstone({ runner, unchecked: true, deploymentFile: path("31337.json") });
      expect([connected.chainId, connected.isChecked]).to.deep.equal([31337n, false]);
      expect(connected.addresses).to.deep.equal(touchstone.addresses);
      expect(connected.domains).to.deep.equal(touchstone.domains);
      expect(connected.connect(owner).isChecked).to.equal(false);
      await errorOf("CHAIN_UNREACHABLE", () => checkDeployment({ touchstone: connected }));
      isDown = false;
      await checkDeployment({ touchstone: connected });
      expect(touchstone.isChecked).to.equal(true);
    });

    it("finds out later what is wrong", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      const other = await connectTouchstone({ runner: owner, unchecked: true, chainId: 1n, addresses });
      const { details } = await errorOf("WRONG_CHAIN", () => checkDeployment({ touchstone: other }));
      expect(details).to.deep.equal({ expected: 1n, chainId: 31337n });
      const mixed = { ...addresses, DataAnchor: addresses.DataAccess };
      const wrong = await connectTouchstone({ runner: owner, unchecked: true, chainId: 31337n, addresses: mixed });
      await errorOf("CONTRACT_KIND_WRONG", () => checkDeployment({ touchstone: wrong }));
    });

    it("has to be told which chain it is, unless a file says so", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      for (const where of [{ addresses: touchstone.addresses }, { deploymentsFolder: path("") }]) {
        const { message } = await errorOf("INVALID_ARGUMENT", () =>
          connectTouchstone({ runner: owner, unchecked: true, ...where }),
        );
        expect(message).to.contain("chainId");
      }
    });
  });

  describe("refuses a file", () => {
    it("that is missing", async () => {
      const { owner } = await loadFixture(deployTouchstone);
      const error = await errorOf("FILE_MISSING", () =>
        connectTouchstone({ runner: owner, deploymentsFolder: path("none") }),
      );
      expect(error.message).to.contain(path("none/31337.json"));
    });

    it("that is a directory", async () => {
      const { owner } = await loadFixture(deployTouchstone);
      await mkdir(path("31337.json"));
      await errorOf("FILE_IS_DIRECTORY", () =>
        connectTouchstone({ runner: owner, deploymentFile: path("31337.json") }),
      );
    });

    it("that cannot be read", async () => {
      const { owner } = await loadFixture(deployTouchstone);
      await symlink(path("31337.json"), path("31337.json"));
      await errorOf("FILE_UNREADABLE", () => connectTouchstone({ runner: owner, deploymentFile: path("31337.json") }));
    });

    it("that is empty", async () => {
      const { owner } = await loadFixture(deployTouchstone);
      for (const text of ["", " \n"]) {
        await writeFile(path("31337.json"), text);
        await errorOf("FILE_EMPTY", () => connectTouchstone({ runner: owner, deploymentFile: path("31337.json") }));
      }
    });

    it("that is not JSON", async () => {
      const { owner } = await loadFixture(deployTouchstone);
      await writeFile(path("31337.json"), '{ "chainId": 31337, ');
      const error = await errorOf("DEPLOYMENT_NOT_JSON", () =>
        connectTouchstone({ runner: owner, deploymentFile: path("31337.json") }),
      );
      expect(error.details).to.deep.equal({ path: path("31337.json") });
    });

    it("that has another shape, naming each place that is wrong", async () => {
      const { touchstone } = await loadFixture(deployTouchstone);
      const wrong: [unknown, string[]][] = [
        [null, ["all of it"]],
        [[], ["all of it"]],
        ["text", ["all of it"]],
        [{}, ["chainId", "contracts"]],
        [{ chainId: "31337", contracts: touchstone.addresses }, ["chainId"]],
        [{ chainId: 1.5, contracts: touchstone.addresses }, ["chainId"]],
        [{ chainId: 0, contracts: touchstone.addresses }, ["chainId"]],
        [{ chainId: 31337, block: -1, contracts: touchstone.addresses }, ["block"]],
        [{ chainId: 31337, contracts: { ...touchstone.addresses, DataAccess: undefined } }, ["contracts.DataAccess"]],
        [
          { chainId: 31337, contracts: { ...touchstone.addresses, DataAnchor: "0x12", DeviceRegistry: 5 } },
          ["contracts.DeviceRegistry", "contracts.DataAnchor"],
        ],
      ];
      for (const [content, places] of wrong) {
        await writeFile(path("31337.json"), JSON.stringify(content));
        const { details, message } = await errorOf("DEPLOYMENT_INVALID", () => readDeployment(path("31337.json")));
        expect((details.issues as string[]).map((issue) => issue.split(":")[0])).to.deep.equal(places);
        expect(message).to.contain(path("31337.json"));
      }
    });

    it("with an address whose checksum is wrong, naming contract and address", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const address = touchstone.addresses.DataAnchor.replace(/[a-f]/, (letter) => letter.toUpperCase());
      await writeFile(
        path("31337.json"),
        fileOf(touchstone, { contracts: { ...touchstone.addresses, DataAnchor: address } }),
      );
      const error = await errorOf("ADDRESS_CHECKSUM_WRONG", () =>
        connectTouchstone({ runner: owner, deploymentFile: path("31337.json") }),
      );
      expect(error.details).to.deep.equal({ source: path("31337.json"), contract: "DataAnchor", address });
    });

    it("of another chain", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      await writeFile(path("10.json"), fileOf(touchstone, { chainId: 10 }));
      const error = await errorOf("WRONG_CHAIN", () =>
        connectTouchstone({ runner: owner, deploymentFile: path("10.json") }),
      );
      expect(error.details).to.deep.equal({ expected: 10n, chainId: 31337n });
      expect(error.message).to.contain(path("10.json"));
    });
  });

  describe("refuses a chain", () => {
    it("that is not the expected one", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      const error = await errorOf("WRONG_CHAIN", () => connectTouchstone({ runner: owner, addresses, chainId: 1n }));
      expect(error.details).to.deep.equal({ expected: 1n, chainId: 31337n });
    });

    it("that cannot be reached, at once", async () => {
      const { touchstone } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      const provider = new JsonRpcProvider("http://127.0.0.1:1");
      try {
        await errorOf("CHAIN_UNREACHABLE", () => connectTouchstone({ runner: provider, addresses }));
      } finally {
        provider.destroy();
      }
      const known = new JsonRpcProvider("http://127.0.0.1:1", 31337n, { staticNetwork: true });
      try {
        await errorOf("CHAIN_UNREACHABLE", () => connectTouchstone({ runner: known, addresses }));
      } finally {
        known.destroy();
      }
    });

    it("whose node does not answer the question", async () => {
      const { touchstone } = await loadFixture(deployTouchstone);
      const runner = providerWith({ call: () => Promise.reject(new Error("rate limit exceeded")) });
      await errorOf("RPC_FAILED", () => connectTouchstone({ runner, addresses: touchstone.addresses }));
    });

    it("that the signer is not connected to", async () => {
      const { touchstone } = await loadFixture(deployTouchstone);
      const runner = Wallet.createRandom();
      await errorOf("RUNNER_READ_ONLY", () => connectTouchstone({ runner, addresses: touchstone.addresses }));
    });
  });

  describe("refuses an address", () => {
    it("that is none, or has a wrong checksum", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      const none = await errorOf("INVALID_ARGUMENT", () =>
        connectTouchstone({ runner: owner, addresses: { ...addresses, DataAccess: "0x12" } }),
      );
      expect(none.message).to.contain("addresses.DataAccess").and.contain("0x12");
      const mistyped = addresses.DataAccess.replace(/[A-F]/, (letter) => letter.toLowerCase());
      const wrong = await errorOf("ADDRESS_CHECKSUM_WRONG", () =>
        connectTouchstone({ runner: owner, addresses: { ...addresses, DataAccess: mistyped } }),
      );
      expect(wrong.details).to.deep.equal({ source: "addresses", contract: "DataAccess", address: mistyped });
    });

    it("without a contract", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const address = Wallet.createRandom().address;
      const error = await errorOf("CONTRACT_MISSING", () =>
        connectTouchstone({ runner: owner, addresses: { ...touchstone.addresses, DataAnchor: address } }),
      );
      expect(error.details).to.deep.equal({ contract: "DataAnchor", address });
    });

    it("with another contract of Touchstone", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      for (const contract of contractNames) {
        const other = contract === "RoleRegistry" ? "DeviceRegistry" : "RoleRegistry";
        const error = await errorOf("CONTRACT_KIND_WRONG", () =>
          connectTouchstone({ runner: owner, addresses: { ...addresses, [contract]: addresses[other] } }),
        );
        expect(error.details).to.deep.equal({ contract, address: addresses[other], found: `Touchstone ${other}` });
      }
    });

    it("with a contract that is not of Touchstone", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const address = Wallet.createRandom().address;
      // Answers every question with nothing.
      await networkHelpers.setCode(address, "0x00");
      const error = await errorOf("CONTRACT_KIND_WRONG", () =>
        connectTouchstone({ runner: owner, addresses: { ...touchstone.addresses, DataAccess: address } }),
      );
      expect(error.details).to.deep.equal({ contract: "DataAccess", address, found: undefined });
    });

    it("with a contract of another version", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      const code = await ethers.provider.getCode(addresses.DataAccess);
      // "0.1.0" and "7.1.0" as the compiler writes them, without the last four bits, which are zero.
      const newer = code.replaceAll("302e312e3", "372e312e3");
      expect(newer).to.not.equal(code);
      await networkHelpers.setCode(addresses.DataAccess, newer);
      const error = await errorOf("CONTRACT_VERSION_WRONG", () => connectTouchstone({ runner: owner, addresses }));
      expect(error.details).to.deep.equal({ contract: "DataAccess", address: addresses.DataAccess, version: "7.1.0" });
      expect(error.message).to.contain("7.1.0");
    });

    it("with a contract of another deployment", async () => {
      const { touchstone, owner } = await loadFixture(deployTouchstone);
      const { addresses } = touchstone;
      const others = await deployContracts(owner);
      const mixed: [keyof Addresses, keyof Addresses][] = [
        ["DeviceRegistry", "RoleRegistry"],
        ["FirmwareRegistry", "RoleRegistry"],
        ["DataAccess", "RoleRegistry"],
        ["DataAnchor", "RoleRegistry"],
      ];
      for (const [contract, other] of mixed) {
        const error = await errorOf("CONTRACTS_MIXED", () =>
          connectTouchstone({ runner: owner, addresses: { ...addresses, [contract]: others[contract] } }),
        );
        expect(error.details).to.deep.equal({
          contract,
          address: others[contract],
          other,
          asked: others[other],
          given: addresses[other],
        });
      }
    });
  });
});
