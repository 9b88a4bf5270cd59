import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import { expect } from "chai";
import hre from "hardhat";

import { parseClaimPackage, readClaimPackage } from "../../client/claim-packages.js";
import { verifyManifest } from "../../client/manifest-files.js";
import { temporaryFolder } from "../support/folder.js";
import { ACCOUNT, factoryDevices, VENDOR } from "../support/factory.js";
import { runTask, type TaskOutcome } from "../support/run-task.js";

const REGISTRY = "0x4B20993Bc481177ec7E8f571ceCaE8A9e22C02db";

describe("npx hardhat manifest", () => {
  const path = temporaryFolder();
  const devices = factoryDevices(5);

  beforeEach(async () => {
    const rows = devices.map(({ publicKey, serial }) => `${publicKey},${serial}`);
    await writeFile(path("devices.csv"), ["publicKey,serial", ...rows].join("\n"));
    const contracts = Object.fromEntries(
      ["RoleRegistry", "DeviceRegistry", "DataAccess", "DataAnchor", "FirmwareRegistry"].map((name) => [
        name,
        name === "DeviceRegistry" ? REGISTRY : ACCOUNT,
      ]),
    );
    await writeFile(path("31337.json"), JSON.stringify({ chainId: 31337, contracts }));
  });

  function build(options: Record<string, unknown> = {}): Promise<TaskOutcome> {
    const names = { file: path("devices.csv"), out: path("manifest.jsonl") };
    return runTask(["manifest", "build"], { ...names, vendor: VENDOR, class: "prime hub", ...options });
  }

  function pack(options: Record<string, unknown>): Promise<TaskOutcome> {
    const names = { manifest: path("manifest.jsonl"), deployment: path("31337.json") };
    return runTask(["manifest", "package"], { ...names, ...options });
  }

  describe("build", () => {
    it("writes the manifest and prints its root", async () => {
      const { success, out, error } = await build({ voucher: true });
      expect({ success, error }).to.deep.equal({ success: true, error: "" });
      const { terms } = await verifyManifest({ path: path("manifest.jsonl") });
      expect(terms).to.deep.include({ vendor: VENDOR, count: 5n, voucherRequired: true });
      expect(out).to.contain("5 devices").and.contain(terms.root);
      for (const { serial } of devices) expect(out).not.to.contain(serial);
    });

    it("gives the same root again with the salts of the first time, and says that it overwrites nothing", async () => {
      await build();
      const again = await build();
      expect(again).to.deep.include({ success: false, out: "" });
      expect(again.error).to.match(/^FILE_EXISTS: /);
      expect((await build({ out: path("again.jsonl"), saltsFrom: path("manifest.jsonl") })).success).to.equal(true);
      expect(await readFile(path("again.jsonl"), "utf8")).to.equal(await readFile(path("manifest.jsonl"), "utf8"));
    });

    it("prints every fault of a list, and writes nothing", async () => {
      await writeFile(path("devices.csv"), "publicKey\nzz\nyy\n");
      const { success, error } = await build();
      expect(success).to.equal(false);
      expect(error).to.match(/^DEVICE_LIST_INVALID: .*has 2 faults:\n {2}line 2: .*\n {2}line 3: /);
      expect((await readdir(path("."))).toSorted()).to.deep.equal(["31337.json", "devices.csv"]);
    });

    it("asks for each option that it needs", async () => {
      for (const name of ["file", "vendor", "class", "out"]) {
        for (const value of [undefined, ""]) {
          const { success, error } = await build({ [name]: value });
          expect(success).to.equal(false);
          expect(error).to.contain(`--${name} is missing`);
        }
      }
    });
  });

  describe("package", () => {
    beforeEach(async () => {
      await build();
    });

    it("prints the package of one device, by id or by serial", async () => {
      const [device] = devices;
      for (const wanted of [{ device: device!.id }, { serial: device!.serial }]) {
        const { success, out } = await pack({ ...wanted, number: "7" });
        expect(success).to.equal(true);
        const claim = parseClaimPackage(out);
        expect(claim).to.deep.include({ device: device!.id, serial: "SN-0", manifest: 7n, registry: REGISTRY });
        expect(claim.chainId).to.equal(31337n);
      }
      expect(parseClaimPackage((await pack({ serial: "SN-1" })).out).manifest).to.equal(undefined);
    });

    it("writes a file for one device or for each", async () => {
      const one = await pack({ serial: "SN-3", out: path("one") });
      expect(one.out).to.equal(path(`one/${devices[3]!.id}.json`));
      expect((await readClaimPackage(one.out)).serial).to.equal("SN-3");

      const all = await pack({ all: true, out: path("all") });
      expect(all.out).to.contain("5 packages");
      expect((await readdir(path("all"))).toSorted()).to.deep.equal(devices.map(({ id }) => `${id}.json`).toSorted());
      for (const { id, serial } of devices) {
        expect((await readClaimPackage(path(`all/${id}.json`))).serial).to.equal(serial);
      }
    });

    it("says what is wrong with its options", async () => {
      const wrong: [Record<string, unknown>, string][] = [
        [{}, "INVALID_ARGUMENT: Give one of --device, --serial and --all."],
        [{ all: true, serial: "SN-1" }, "INVALID_ARGUMENT: Give one of"],
        [{ all: true }, "INVALID_ARGUMENT: --out is missing"],
        [{ serial: "SN-1", number: "0" }, 'INVALID_ARGUMENT: --number: "0" is no number'],
        [{ serial: "SN-1", number: "two" }, 'INVALID_ARGUMENT: --number: "two" is no number'],
        [{ serial: "SN-1", number: "4294967296" }, "INVALID_ARGUMENT: manifest:"],
        [{ serial: "SN-9" }, "NOT_FOUND: "],
        [{ serial: "SN-1", manifest: undefined }, "INVALID_ARGUMENT: --manifest is missing"],
        [{ serial: "SN-1", deployment: undefined }, "INVALID_ARGUMENT: --deployment is missing"],
        [{ serial: "SN-1", deployment: path("1.json") }, "FILE_MISSING: "],
        [{ serial: "SN-1", out: path("31337.json") }, "FILE_UNWRITABLE: "],
      ];
      for (const [options, words] of wrong) {
        const { success, out, error } = await pack(options);
        expect({ success, out }).to.deep.equal({ success: false, out: "" });
        expect(error).to.contain(words);
      }
    });
  });

  it("hands on what is no error of its user", async () => {
    const { log } = console;
    const broken = new RangeError("standard output is closed");
    console.log = () => {
      throw broken;
    };
    try {
      const options = { file: path("devices.csv"), out: path("manifest.jsonl"), vendor: VENDOR, class: "prime hub" };
      const task = hre.tasks.getTask(["manifest", "build"]);
      expect(await task.run(options).catch((error: unknown) => error)).to.equal(broken);
    } finally {
      console.log = log;
    }
  });

  it("ends with exit code 1 and one line without a stack on the command line", async function () {
    this.timeout(60_000);
    const cli = promisify(execFile)("node_modules/.bin/hardhat", ["manifest", "build", "--file", path("no.csv")]);
    const error = (await cli.catch((failure: unknown) => failure)) as { code: number; stdout: string; stderr: string };
    expect(error.code).to.equal(1);
    expect(error.stdout).to.equal("");
    expect(error.stderr).to.equal("INVALID_ARGUMENT: --vendor is missing: see --help.\n");
  });
});
