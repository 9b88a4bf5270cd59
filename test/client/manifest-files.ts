import { mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";

import { expect } from "chai";
import { encodeBytes32String, ZeroHash } from "ethers";
import fc from "fast-check";

import { readDeviceList, type FactoryDevice } from "../../client/device-lists.js";
import type { TouchstoneError } from "../../client/errors.js";
import type { Fault } from "../../client/faults.js";
import { Scheme } from "../../client/keys.js";
import {
  buildManifest,
  findInManifest,
  readManifest,
  readSalts,
  verifyManifest,
  writeManifest,
  type Manifest,
  type ManifestEntry,
  type ManifestProgress,
} from "../../client/manifest-files.js";
import { manifestLeaf, manifestRootOf, serialHashOf } from "../../client/manifest-leaves.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { ACCOUNT, factoryDevices, factoryKey, leafOf, VENDOR } from "../support/factory.js";
import { keccak256, pathOf, rootOf } from "../support/rfc9162.js";

const CLASS = "prime hub";

function manifestOf(devices: readonly FactoryDevice[], salts?: ReadonlyMap<string, string>): Promise<Manifest> {
  return buildManifest({ vendor: VENDOR, hardwareClass: CLASS, devices, ...(salts && { salts }) });
}

function compareIds(a: { id: string }, b: { id: string }): number {
  return BigInt(a.id) < BigInt(b.id) ? -1 : 1;
}

/** Ids that are no keys: for what never asks for the key. */
const someDevices = fc
  .uniqueArray(
    fc.record({
      id: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => `0x${Buffer.from(bytes).toString("hex")}`),
      scheme: fc.constantFrom(...Object.values(Scheme)),
      serial: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 40, selector: ({ id }) => id },
  )
  .map((all) =>
    all.map(({ serial, ...device }, index): FactoryDevice => {
      const own = serial === undefined ? {} : { serial: `${index} ${serial}` };
      return { ...device, publicKey: "0x", ...own };
    }),
  );

describe("serialHashOf", () => {
  it("hashes salt and serial, and is zero without either", () => {
    const salt = `0x${"07".repeat(16)}`;
    const bytes = Buffer.concat([Buffer.alloc(16, 7), Buffer.from("Prüf 1", "utf8")]);
    expect(serialHashOf({ serial: "Prüf 1", salt })).to.equal(keccak256(`0x${bytes.toString("hex")}`));
    expect(serialHashOf({})).to.equal(ZeroHash);
  });

  it("refuses one without the other, and salts of another length", async () => {
    const salt = `0x${"07".repeat(16)}`;
    await errorOf("INVALID_ARGUMENT", () => serialHashOf({ serial: "A" }));
    await errorOf("INVALID_ARGUMENT", () => serialHashOf({ salt }));
    await errorOf("INVALID_ARGUMENT", () => serialHashOf({ serial: "A", salt: `${salt}00` }));
  });
});

describe("manifestLeaf", () => {
  it("is the hash of what the design says", () => {
    for (const scheme of Object.values(Scheme)) {
      const serialHash = `0x${"cd".repeat(32)}`;
      expect(manifestLeaf({ device: ACCOUNT, scheme, serialHash })).to.equal(
        keccak256(`0x0004${ACCOUNT.slice(2)}0${scheme}${"cd".repeat(32)}`),
      );
    }
  });
});

describe("buildManifest", () => {
  it("gives the root and the paths of RFC 9162 over the devices in the order of their ids", async () => {
    await fc.assert(
      fc.asyncProperty(someDevices, async (devices) => {
        const manifest = await manifestOf(devices);
        const { terms, hardwareClass } = manifest;
        const all = [...manifest.entries()];
        expect(all.map(({ device }) => device)).to.deep.equal([...devices].sort(compareIds).map(({ id }) => id));
        const leaves = all.map(leafOf);
        expect(terms).to.deep.equal({
          vendor: VENDOR,
          root: rootOf(leaves, keccak256),
          count: BigInt(devices.length),
          voucherRequired: false,
        });
        expect(hardwareClass).to.equal(encodeBytes32String(CLASS));
        for (const [index, entry] of all.entries()) {
          expect(entry.index).to.equal(BigInt(index));
          expect(entry.path).to.deep.equal(pathOf(index, leaves, keccak256));
          expect(manifestRootOf(entry, terms.count)).to.equal(terms.root);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("keeps each device as it was, with a salt of its own for its serial", async () => {
    const devices = [
      ...factoryDevices(2),
      { id: ACCOUNT, scheme: Scheme.Account, publicKey: "0x" },
      { id: factoryKey().id, scheme: Scheme.P256Sha256, publicKey: "0x" },
    ];
    const manifest = await manifestOf(devices);
    const salts = new Set<string>();
    for (const { device, scheme, publicKey, serial, salt, serialHash } of manifest.entries()) {
      const { id, ...own } = devices.find((one) => one.id === device)!;
      expect({ scheme, publicKey, ...(serial && { serial }) }).to.deep.equal(own);
      expect(serialHash).to.equal(serialHashOf({ serial, salt }));
      if (serial !== undefined) salts.add(salt!);
      else expect(salt).to.equal(undefined);
      expect(id).to.equal(device);
    }
    expect(salts.size).to.equal(2);
    for (const salt of salts) expect(salt).to.match(/^0x[0-9a-f]{32}$/);
  });

  it("gives the same root for the same salts in whatever order, and another root for others", async () => {
    const devices = factoryDevices(9);
    const first = await manifestOf(devices);
    const salts = new Map([...first.entries()].map(({ device, salt }) => [device, salt!]));
    const again = await manifestOf(devices.toReversed(), salts);
    expect([...again.entries()]).to.deep.equal([...first.entries()]);
    expect(again.terms).to.deep.equal(first.terms);
    expect((await manifestOf(devices)).terms.root).not.to.equal(first.terms.root);
    salts.delete(devices[0]!.id);
    expect((await manifestOf(devices, salts)).terms.root).not.to.equal(first.terms.root);
  });

  it("gives the entry at an index, and refuses one that is not there", async () => {
    const manifest = await manifestOf(factoryDevices(3));
    const all = [...manifest.entries()];
    for (const index of [0n, 1n, 2n]) expect(manifest.entryAt(index)).to.deep.equal(all[Number(index)]);
    for (const index of [3n, -1n]) await errorOf("NOT_FOUND", () => manifest.entryAt(index));
  });

  it("refuses no devices, a device or serial twice, and what is no vendor, class, id or salt", async () => {
    const [first, second] = factoryDevices(2) as [FactoryDevice, FactoryDevice];
    const refused: [string, () => Promise<unknown>][] = [
      ["0 devices", () => manifestOf([])],
      [`${first.id} is there twice`, () => manifestOf([first, second, { ...first, serial: "C" }])],
      [
        '"A" is there twice',
        () =>
          manifestOf([
            { ...first, serial: "A" },
            { ...second, serial: "A" },
          ]),
      ],
      ["devices:", () => manifestOf([{ ...first, id: "0x12" }])],
      ["salts:", () => manifestOf([first], new Map([[first.id, "0x12"]]))],
      ["vendor:", () => buildManifest({ vendor: "maker", hardwareClass: CLASS, devices: [first] })],
      ["hardwareClass:", () => buildManifest({ vendor: VENDOR, hardwareClass: "", devices: [first] })],
    ];
    for (const [words, act] of refused) {
      expect((await errorOf("INVALID_ARGUMENT", act)).message).to.contain(words);
    }
  });

  it("reports progress after each 1,000 devices, and stops when it is cancelled", async () => {
    const id = (index: number): string => `0x${index.toString(16).padStart(40, "0")}`;
    const devices = Array.from({ length: 2500 }, (_, index) => ({
      id: id(index),
      scheme: Scheme.P256,
      publicKey: "0x",
    }));
    const seen: ManifestProgress[] = [];
    const controller = new AbortController();
    const options = {
      vendor: VENDOR,
      hardwareClass: CLASS,
      devices,
      onProgress: (progress: ManifestProgress) => seen.push(progress),
      signal: controller.signal,
    };
    await buildManifest(options);
    expect(seen).to.deep.equal([1000, 2000, 2500].map((done) => ({ devices: done, count: 2500 })));
    setImmediate(() => {
      controller.abort();
    });
    await errorOf("CANCELLED", () => buildManifest(options));
  });
});

describe("the file of a manifest", () => {
  const path = temporaryFolder();

  async function written(devices: readonly FactoryDevice[]): Promise<Manifest> {
    const manifest = await manifestOf(devices);
    await writeManifest({ path: path("manifest.jsonl"), manifest });
    return manifest;
  }

  async function entriesOf(name: string): Promise<ManifestEntry[]> {
    const entries: ManifestEntry[] = [];
    for await (const { entry } of readManifest({ path: path(name) })) entries.push(entry);
    return entries;
  }

  it("gives back what was written, device by device", async () => {
    const devices = [...factoryDevices(5), { id: ACCOUNT, scheme: Scheme.Account, publicKey: "0x" }];
    const manifest = await written(devices);
    const { terms, hardwareClass } = manifest;
    expect(await verifyManifest({ path: path("manifest.jsonl") })).to.deep.equal({ terms, hardwareClass });
    expect(await entriesOf("manifest.jsonl")).to.deep.equal([...manifest.entries()]);
  });

  it("can be read by its owner alone, and leaves nothing else behind", async () => {
    await written(factoryDevices(1));
    expect((await stat(path("manifest.jsonl"))).mode & 0o777).to.equal(0o600);
    expect(await readdir(path("."))).to.deep.equal(["manifest.jsonl"]);
  });

  it("is found by device or serial", async () => {
    const devices = factoryDevices(6);
    const manifest = await written(devices);
    const { terms, hardwareClass } = manifest;
    for (const entry of manifest.entries()) {
      const expected = { header: { terms, hardwareClass }, entry };
      const { device, serial } = entry;
      expect(await findInManifest({ path: path("manifest.jsonl"), device })).to.deep.equal(expected);
      const lower = device.toLowerCase();
      expect(await findInManifest({ path: path("manifest.jsonl"), device: lower })).to.deep.equal(expected);
      expect(await findInManifest({ path: path("manifest.jsonl"), serial: serial! })).to.deep.equal(expected);
    }
    const missing = await errorOf("NOT_FOUND", () => findInManifest({ path: path("manifest.jsonl"), serial: "X" }));
    expect(missing.message).to.contain('the serial "X"');
    await errorOf("NOT_FOUND", () => findInManifest({ path: path("manifest.jsonl"), device: ACCOUNT }));
    await errorOf("INVALID_ARGUMENT", () => findInManifest({ path: path("manifest.jsonl"), device: "0x12" }));
  });

  it("gives the salts for building the same manifest again", async () => {
    const devices = [...factoryDevices(4), { id: ACCOUNT, scheme: Scheme.Account, publicKey: "0x" }];
    const manifest = await written(devices);
    const salts = await readSalts({ path: path("manifest.jsonl") });
    expect(salts.size).to.equal(4);
    expect((await manifestOf(devices, salts)).terms).to.deep.equal(manifest.terms);
  });

  it("is never overwritten, because the salts of a published manifest would be lost", async () => {
    const manifest = await written(factoryDevices(2));
    const before = await readFile(path("manifest.jsonl"), "utf8");
    await errorOf("FILE_EXISTS", () => writeManifest({ path: path("manifest.jsonl"), manifest }));
    expect(await readFile(path("manifest.jsonl"), "utf8")).to.equal(before);
    await symlink(path("nowhere"), path("link"));
    await errorOf("FILE_EXISTS", () => writeManifest({ path: path("link"), manifest }));
    // A file that comes while the manifest is written stays too.
    const onProgress = (): void => {
      void writeFile(path("late"), "mine");
    };
    await errorOf("FILE_EXISTS", () => writeManifest({ path: path("late"), manifest, onProgress }));
    expect(await readFile(path("late"), "utf8")).to.equal("mine");
    expect((await readdir(path("."))).toSorted()).to.deep.equal(["late", "link", "manifest.jsonl"]);
  });

  it("is not there when writing failed or was cancelled", async () => {
    const manifest = await manifestOf(factoryDevices(1200));
    await errorOf("FILE_UNWRITABLE", () => writeManifest({ path: path("no/manifest.jsonl"), manifest }));
    await writeFile(path("file"), "");
    await errorOf("FILE_UNWRITABLE", () => writeManifest({ path: path("file/manifest.jsonl"), manifest }));
    await errorOf("INVALID_ARGUMENT", () => writeManifest({ path: path("mani\0fest"), manifest }));
    const controller = new AbortController();
    const onProgress = (): void => {
      controller.abort();
    };
    const options = { path: path("manifest.jsonl"), manifest, onProgress, signal: controller.signal };
    await errorOf("CANCELLED", () => writeManifest(options));
    await errorOf("CANCELLED", () => writeManifest(options));
    expect(await readdir(path("."))).to.deep.equal(["file"]);
  });

  it("is not there when what was read back is not right", async () => {
    const manifest = await manifestOf(factoryDevices(3));
    const wrong = { ...manifest, terms: { ...manifest.terms, root: ZeroHash } };
    await errorOf("MANIFEST_INVALID", () => writeManifest({ path: path("manifest.jsonl"), manifest: wrong }));
    const [device] = factoryDevices(1);
    const lying = await manifestOf([{ ...device!, publicKey: `0x${factoryKey().raw}` }]);
    await errorOf("MANIFEST_INVALID", () => writeManifest({ path: path("manifest.jsonl"), manifest: lying }));
    expect(await readdir(path("."))).to.deep.equal([]);
  });

  describe("that was changed", () => {
    /** What is wrong with the file after a change of its lines, the first being the header. */
    async function faultsAfter(change: (lines: string[]) => string[] | string): Promise<Fault[]> {
      const lines = (await readFile(path("manifest.jsonl"), "utf8")).trimEnd().split("\n");
      const changed = change(lines);
      await writeFile(path("changed.jsonl"), typeof changed === "string" ? changed : `${changed.join("\n")}\n`);
      const error = await errorOf("MANIFEST_INVALID", () => verifyManifest({ path: path("changed.jsonl") }));
      // Whoever reads device by device is told too, before any device that is wrong.
      const strict: TouchstoneError = await errorOf("MANIFEST_INVALID", () => entriesOf("changed.jsonl"));
      expect((strict.details.faults as Fault[])[0]).to.deep.equal((error.details.faults as Fault[])[0]);
      return error.details.faults as Fault[];
    }

    function edit(line: string, changes: Record<string, unknown>): string {
      return JSON.stringify({ ...(JSON.parse(line) as object), ...changes });
    }

    async function expectFault(line: number, words: string, change: (lines: string[]) => string[]): Promise<void> {
      const faults = await faultsAfter(change);
      expect(faults.map((fault) => fault.line)).to.deep.equal([line]);
      expect(faults[0]!.message).to.contain(words);
    }

    beforeEach(async () => {
      await written(factoryDevices(7));
    });

    it("is refused with the line of a device that was altered in any field", async () => {
      const other = factoryKey();
      const changes: [string, (entry: ManifestEntry) => Record<string, unknown>][] = [
        ["the index is 6 where 3 is due", () => ({ index: 6 })],
        ["the publicKey is not that of", () => ({ device: other.id })],
        ["the publicKey is not that of", () => ({ publicKey: `0x${other.raw}` })],
        [
          "the publicKey is not that of",
          () => ({ publicKey: "0x", scheme: "Account", device: other.id.toLowerCase() }),
        ],
        ["do not lead to the root", () => ({ scheme: "P256Sha256" })],
        ["the serialHash is not that of serial and salt", () => ({ serial: "SN-99" })],
        ["the serialHash is not that of serial and salt", () => ({ salt: `0x${"01".repeat(16)}` })],
        ["the serialHash is not that of serial and salt", () => ({ serialHash: ZeroHash })],
        ["a salt without a serial", () => ({ serial: undefined })],
        ["a serial without a salt", () => ({ salt: undefined })],
        ["do not lead to the root", () => ({ serial: undefined, salt: undefined, serialHash: ZeroHash })],
        ["do not lead to the root", ({ path: own }) => ({ path: own.with(0, ZeroHash) })],
        ["do not lead to the root", ({ path: own }) => ({ path: own.slice(1) })],
        ["path.0 is not 32 bytes", () => ({ path: ["0x12"] })],
        ["scheme is none of", () => ({ scheme: "P384" })],
        ["index is no whole number", () => ({ index: 0.5 })],
        ["Unrecognized key", () => ({ colour: "red" })],
      ];
      for (const [words, changeOf] of changes) {
        const faults = await faultsAfter((lines) =>
          lines.with(4, edit(lines[4]!, changeOf(JSON.parse(lines[4]!) as ManifestEntry))),
        );
        expect(faults[0]!.line, words).to.equal(5);
        expect(faults[0]!.message).to.contain(words);
      }
    });

    it("is refused with the lines of all devices that were altered", async () => {
      const faults = await faultsAfter((lines) =>
        lines.with(2, edit(lines[2]!, { scheme: "P256Sha256" })).with(5, edit(lines[5]!, { scheme: "P256Sha256" })),
      );
      expect(faults.map(({ line }) => line)).to.deep.equal([3, 6]);
    });

    it("is refused with the line where one is missing, is there twice or is no JSON", async () => {
      const swapped = await faultsAfter((lines) => lines.with(3, lines[4]!).with(4, lines[3]!));
      expect(swapped[0]!.line).to.equal(4);
      await expectFault(4, "the index is 3 where 2 is due", (lines) => lines.toSpliced(3, 1));
      await expectFault(5, "the index is 2 where 3 is due", (lines) => lines.toSpliced(4, 0, lines[3]!));
      const cut = await faultsAfter((lines) => lines.with(7, lines[7]!.slice(0, 100)));
      expect(cut.map(({ line }) => line)).to.deep.equal([8, 8]);
      expect(cut[0]!.message).to.contain("is not JSON");
    });

    it("is refused when it was cut, between lines and within one", async () => {
      const { size } = await stat(path("manifest.jsonl"));
      await truncate(path("manifest.jsonl"), size - 10);
      const within = await errorOf("MANIFEST_INVALID", () => verifyManifest({ path: path("manifest.jsonl") }));
      expect((within.details.faults as Fault[])[0]!.line).to.equal(8);
      const between = await faultsAfter((lines) => lines.slice(0, 5));
      expect(between.map(({ line }) => line)).to.deep.equal([5]);
      expect(between[0]!.message).to.contain("the file ends with 4 of 7 devices");
    });

    it("is refused for its header if it is that which is wrong", async () => {
      const headers: [string, Record<string, unknown>][] = [
        ["no device leads to the root", { root: ZeroHash }],
        ["root is not 32 bytes", { root: "0x" }],
        ["the checksum of", { vendor: VENDOR.replace("B", "b") }],
        ["vendor is missing", { vendor: undefined }],
        ["voucherRequired is neither", { voucherRequired: "no" }],
        ['is of the format "touchstone-manifest/2"', { format: "touchstone-manifest/2" }],
        ["is not the header of a manifest", { format: undefined }],
      ];
      for (const [words, change] of headers) {
        await expectFault(1, words, (lines) => lines.with(0, edit(lines[0]!, change)));
      }
      await expectFault(1, "is not the header", (lines) => lines.slice(1));
      await expectFault(1, "is not the header", () => ["publicKey,serial"]);
      const fewer = await faultsAfter((lines) => lines.with(0, edit(lines[0]!, { count: 3 })));
      expect(fewer.length).to.be.greaterThan(0);
    });

    it("is refused when a line has no end", async () => {
      const faults = await faultsAfter((lines) => lines.toSpliced(3, 5, "x".repeat(200_000)));
      expect(faults[0]).to.deep.include({ line: 4 });
      expect(faults[0]!.message).to.contain("is too long");
    });

    it("names at most 20 faults", async () => {
      await writeManifest({ path: path("large.jsonl"), manifest: await manifestOf(factoryDevices(60)) });
      const lines = (await readFile(path("large.jsonl"), "utf8")).trimEnd().split("\n");
      await writeFile(path("large-changed.jsonl"), lines.map((line, at) => (at < 2 ? line : `${line}x`)).join("\n"));
      const error = await errorOf("MANIFEST_INVALID", () => verifyManifest({ path: path("large-changed.jsonl") }));
      expect(error.details.faults).to.have.length(20);
      expect(error.message).to.contain("at least 20 faults");
    });
  });

  it("is refused if it is missing, empty or a folder", async () => {
    await errorOf("FILE_MISSING", () => verifyManifest({ path: path("manifest.jsonl") }));
    await writeFile(path("manifest.jsonl"), "");
    await errorOf("FILE_EMPTY", () => verifyManifest({ path: path("manifest.jsonl") }));
    await mkdir(path("folder"));
    await errorOf("FILE_IS_DIRECTORY", () => verifyManifest({ path: path("folder") }));
    await writeFile(path("manifest.jsonl"), "\n \n");
    await errorOf("MANIFEST_INVALID", () => verifyManifest({ path: path("manifest.jsonl") }));
  });

  it("takes 10,000 devices from a list", async function () {
    this.timeout(120_000);
    const rows = factoryDevices(10_000).map(({ publicKey, serial }) => `${publicKey},${serial}`);
    await writeFile(path("devices.csv"), ["publicKey,serial", ...rows].join("\n"));
    const start = performance.now();
    const devices = await readDeviceList({ path: path("devices.csv") });
    const manifest = await manifestOf(devices);
    await writeManifest({ path: path("manifest.jsonl"), manifest });
    const seconds = (performance.now() - start) / 1000;
    console.log(`      10,000 devices: ${seconds.toFixed(1)} s from the list to the file`);
    expect((await verifyManifest({ path: path("manifest.jsonl") })).terms.count).to.equal(10_000n);
  });
});
