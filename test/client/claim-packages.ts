import { mkdir, readFile, stat, writeFile } from "node:fs/promises";

import { expect } from "chai";
import { ZeroHash } from "ethers";

import {
  formatClaimPackage,
  newClaimPackage,
  parseClaimPackage,
  readClaimPackage,
  verifyClaimPackage,
  writeClaimPackage,
  type ClaimPackage,
  type SignedVoucher,
} from "../../client/claim-packages.js";
import { Scheme } from "../../client/keys.js";
import { buildManifest } from "../../client/manifest-files.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { ACCOUNT, factoryDevices, factoryKey, VENDOR } from "../support/factory.js";

const REGISTRY = "0x4B20993Bc481177ec7E8f571ceCaE8A9e22C02db";
const VOUCHER: SignedVoucher = {
  owner: ACCOUNT,
  deadline: 1_900_000_000n,
  by: VENDOR,
  signature: `0x${"ab".repeat(65)}`,
};

/** Packages of a P-256 device with a serial, and of an account without one, in this order. */
async function claims(options: { manifest?: bigint; voucher?: SignedVoucher } = {}): Promise<ClaimPackage[]> {
  const [device, ...others] = factoryDevices(5);
  const account = { id: ACCOUNT, scheme: Scheme.Account, publicKey: "0x" };
  const manifest = await buildManifest({
    vendor: VENDOR,
    hardwareClass: "prime hub",
    devices: [device!, account, ...others],
    voucherRequired: options.voucher !== undefined,
  });
  const header = { terms: manifest.terms, hardwareClass: manifest.hardwareClass };
  const entries = [...manifest.entries()];
  return [device!, account].map(({ id }) =>
    newClaimPackage({
      header,
      entry: entries.find((entry) => entry.device === id)!,
      chainId: 11_155_111n,
      registry: REGISTRY,
      ...options,
    }),
  );
}

describe("a claim package", () => {
  const path = temporaryFolder();

  it("is read as it was printed, with and without what may be missing", async () => {
    for (const options of [{}, { manifest: 7n }, { manifest: 2n ** 31n - 1n, voucher: VOUCHER }]) {
      for (const claim of await claims(options)) {
        expect(parseClaimPackage(formatClaimPackage(claim))).to.deep.equal(claim);
      }
    }
  });

  it("has the fields that are documented, and no other", async () => {
    const [claim] = await claims({ manifest: 7n, voucher: VOUCHER });
    const json = JSON.parse(formatClaimPackage(claim!)) as object;
    expect(json).to.deep.equal({
      format: "touchstone-claim/1",
      chainId: 11_155_111,
      registry: REGISTRY,
      manifest: 7,
      vendor: VENDOR,
      hardwareClass: claim!.hardwareClass,
      root: claim!.terms.root,
      count: 6,
      voucherRequired: true,
      index: Number(claim!.index),
      device: claim!.device,
      scheme: "P256",
      publicKey: claim!.publicKey,
      serial: "SN-0",
      salt: claim!.salt,
      path: claim!.path,
      voucher: { ...VOUCHER, deadline: 1_900_000_000 },
    });
  });

  it("is made with arguments that can be, from an entry of the manifest", async () => {
    const [claim] = await claims();
    const { terms, hardwareClass } = claim!;
    const options = { header: { terms, hardwareClass }, entry: claim!, chainId: 1n, registry: REGISTRY };
    newClaimPackage(options);
    const refused: Partial<Parameters<typeof newClaimPackage>[0]>[] = [
      { registry: "0x12" },
      { chainId: -1n },
      { manifest: 0n },
      { manifest: 2n ** 31n },
      { voucher: { ...VOUCHER, owner: "me" } },
      { voucher: { ...VOUCHER, by: "me" } },
      { voucher: { ...VOUCHER, deadline: 2n ** 40n } },
      { voucher: { ...VOUCHER, signature: "signed" } },
    ];
    for (const change of refused) await errorOf("INVALID_ARGUMENT", () => newClaimPackage({ ...options, ...change }));
    const header = { ...options.header, terms: { ...terms, root: ZeroHash } };
    await errorOf("CLAIM_PACKAGE_INVALID", () => newClaimPackage({ ...options, header }));
  });

  it("is refused, without a chain, if any field that the root covers was altered", async () => {
    const [device, account] = (await claims()) as [ClaimPackage, ClaimPackage];
    const other = factoryKey();
    const altered: [ClaimPackage, string][] = [
      [{ ...device, device: other.id }, "is not that of the device"],
      [{ ...device, publicKey: `0x${other.raw}` }, "is not that of the device"],
      [{ ...device, publicKey: "0x" }, "is not hex"],
      [{ ...device, device: other.id, publicKey: `0x${other.raw}` }, "does not list"],
      [{ ...device, scheme: Scheme.P256Sha256 }, "does not list"],
      [{ ...device, scheme: Scheme.Account }, "is not that of the device"],
      [{ ...account, publicKey: `0x${other.raw}` }, "is not that of the device"],
      [{ ...account, device: VENDOR }, "does not list"],
      [{ ...device, serial: "SN-1" }, "and its salt are not what the manifest says"],
      [{ ...device, salt: `0x${"01".repeat(16)}` }, "and its salt are not what the manifest says"],
      [{ ...device, serialHash: ZeroHash }, "and its salt are not what the manifest says"],
      [{ ...account, serial: "SN-1" }, "without a salt"],
      [{ ...device, index: (device.index + 1n) % 6n }, "does not list"],
      [{ ...device, index: 6n }, "does not list"],
      [{ ...device, terms: { ...device.terms, count: 60n } }, "does not list"],
      [{ ...device, terms: { ...device.terms, root: ZeroHash } }, "does not list"],
      [{ ...device, path: device.path.with(0, ZeroHash) }, "does not list"],
      [{ ...device, path: device.path.slice(1) }, "does not list"],
      [{ ...device, path: [...device.path, ZeroHash] }, "does not list"],
    ];
    verifyClaimPackage(device);
    verifyClaimPackage(account);
    for (const [claim, words] of altered) {
      const error = await errorOf("CLAIM_PACKAGE_INVALID", () => {
        verifyClaimPackage(claim);
      });
      expect(error.message).to.contain(words);
    }
  });

  it("is refused with the field that is wrong, and with where it comes from", async () => {
    const [claim] = await claims({ manifest: 7n, voucher: VOUCHER });
    const json = JSON.parse(formatClaimPackage(claim!)) as Record<string, unknown>;
    const refused: [Record<string, unknown>, string][] = [
      [{ format: "touchstone-claim/2" }, 'is of the format "touchstone-claim/2"'],
      [{ format: 1 }, "is no claim package"],
      [{ registry: "0x12" }, "registry is not 20 bytes"],
      [{ registry: REGISTRY.replace("B", "b") }, "registry: the checksum"],
      [{ vendor: undefined }, "vendor is missing"],
      [{ chainId: 0.5 }, "chainId is no whole number"],
      [{ manifest: 0 }, "manifest: 0 is the number of none"],
      [{ manifest: -1 }, "manifest is below 0"],
      [{ count: 2 ** 33 }, "count:"],
      [{ scheme: "P384" }, "scheme is none of"],
      [{ salt: "0x12" }, "salt is not 16 bytes"],
      [{ path: Array.from({ length: 33 }, () => ZeroHash) }, "path is longer"],
      [{ voucher: { ...VOUCHER, deadline: "soon" } }, "voucher.deadline is no whole number"],
      [{ voucher: { ...VOUCHER, deadline: 1, by: ACCOUNT.toLowerCase().replace("b", "B") } }, "voucher.by"],
      [{ colour: "red" }, 'Unrecognized key: "colour"'],
      [{ serial: "SN-1" }, "does not list"],
    ];
    for (const [change, words] of refused) {
      const text = JSON.stringify({ ...json, ...change });
      const error = await errorOf("CLAIM_PACKAGE_INVALID", () => parseClaimPackage(text, "box.json"));
      expect(error.message).to.contain(words);
      expect(error.message).to.match(/^box\.json/);
    }
    for (const text of ["", "{", "[]", "null", '"text"']) {
      await errorOf("CLAIM_PACKAGE_INVALID", () => parseClaimPackage(text));
    }
  });

  it("is written to a file of its own for its buyer alone, and read from it", async () => {
    const [claim, other] = (await claims()) as [ClaimPackage, ClaimPackage];
    await writeClaimPackage({ path: path("box.json"), claim });
    expect((await stat(path("box.json"))).mode & 0o777).to.equal(0o600);
    expect(await readFile(path("box.json"), "utf8")).to.equal(formatClaimPackage(claim));
    expect(await readClaimPackage(path("box.json"))).to.deep.equal(claim);
    await errorOf("FILE_EXISTS", () => writeClaimPackage({ path: path("box.json"), claim: other }));
    expect(await readClaimPackage(path("box.json"))).to.deep.equal(claim);
    const signal = AbortSignal.abort();
    await errorOf("CANCELLED", () => writeClaimPackage({ path: path("other.json"), claim, signal }));
  });

  it("is not read from a file that is missing, empty, a folder, too large or another one", async () => {
    await errorOf("FILE_MISSING", () => readClaimPackage(path("box.json")));
    await writeFile(path("empty.json"), "");
    await errorOf("FILE_EMPTY", () => readClaimPackage(path("empty.json")));
    await mkdir(path("folder"));
    await errorOf("FILE_IS_DIRECTORY", () => readClaimPackage(path("folder")));
    await writeFile(path("large.json"), Buffer.alloc(2 ** 20 + 1));
    await errorOf("CLAIM_PACKAGE_INVALID", () => readClaimPackage(path("large.json")));
    await writeFile(path("other.json"), "{}");
    const error = await errorOf("CLAIM_PACKAGE_INVALID", () => readClaimPackage(path("other.json")));
    expect(error.message).to.contain(path("other.json"));
  });
});
