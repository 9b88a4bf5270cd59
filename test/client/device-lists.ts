import { mkdir, writeFile } from "node:fs/promises";

import { expect } from "chai";
import fc from "fast-check";

import { readDeviceList } from "../../client/device-lists.js";
import type { Fault } from "../../client/faults.js";
import type { FileProgress } from "../../client/files.js";
import { Scheme } from "../../client/keys.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { ACCOUNT, factoryDevices, factoryKey } from "../support/factory.js";

const KEY = factoryKey();
const OTHER = factoryKey();
/** A point that is not on the curve. */
const OFF_CURVE = `${KEY.raw.slice(0, -1)}${KEY.raw.endsWith("0") ? "1" : "0"}`;

describe("readDeviceList", () => {
  const path = temporaryFolder();

  async function listOf(content: string | Buffer, name = "devices.csv"): ReturnType<typeof readDeviceList> {
    await writeFile(path(name), content);
    return readDeviceList({ path: path(name) });
  }

  /** The faults of a list that is refused. */
  async function faultsOf(content: string | Buffer, name = "devices.csv"): Promise<Fault[]> {
    const error = await errorOf("DEVICE_LIST_INVALID", () => listOf(content, name));
    expect(error.details.path).to.equal(path(name));
    expect(error.message).to.contain(path(name));
    const faults = error.details.faults as Fault[];
    for (const { line, message } of faults) expect(error.message).to.contain(`line ${line}: ${message}`);
    return faults;
  }

  /** Lines and messages begin like this, one fault each. */
  async function expectFaults(expected: [number, string][], content: string | Buffer, name?: string): Promise<void> {
    const faults = await faultsOf(content, name);
    expect(faults.map(({ line }) => line)).to.deep.equal(expected.map(([line]) => line));
    for (const [index, [, words]] of expected.entries()) expect(faults[index]!.message).to.contain(words);
  }

  describe("of a CSV file", () => {
    it("reads public keys in each of the three forms, with and without 0x", async () => {
      const device = { id: KEY.id, scheme: Scheme.P256, publicKey: `0x${KEY.raw}`, serial: "A" };
      for (const form of [KEY.raw, KEY.uncompressed, KEY.compressed]) {
        for (const value of [form, `0x${form}`, form.toUpperCase()]) {
          expect(await listOf(`publicKey,serial\n${value},A\n`)).to.deep.equal([device]);
        }
      }
    });

    it("reads accounts, and lists of both kinds of keys", async () => {
      const list = await listOf(`account,publicKey,serial\n${ACCOUNT},,A\n,${KEY.raw},B\n${"ab".repeat(20)},,\n`);
      expect(list).to.deep.equal([
        { id: ACCOUNT, scheme: Scheme.Account, publicKey: "0x", serial: "A" },
        { id: KEY.id, scheme: Scheme.P256, publicKey: `0x${KEY.raw}`, serial: "B" },
        { id: "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB", scheme: Scheme.Account, publicKey: "0x" },
      ]);
    });

    it("reads the scheme of a P-256 key", async () => {
      const list = await listOf(`publicKey,scheme\n${KEY.raw},P256Sha256\n${OTHER.raw},P256\n`);
      expect(list.map(({ scheme }) => scheme)).to.deep.equal([Scheme.P256Sha256, Scheme.P256]);
    });

    it("reads columns in any order, spaces around fields, blank rows, CRLF and a byte order mark", async () => {
      const list = await listOf(`\ufeffserial , publicKey\r\n\r\n A 1 , ${KEY.raw}\r\n  \r\n,\r\n"B",${OTHER.raw}`);
      expect(list.map(({ id, serial }) => [id, serial])).to.deep.equal([
        [KEY.id, "A 1"],
        [OTHER.id, "B"],
      ]);
    });

    it("reads UTF-16 with a byte order mark, as spreadsheets write it", async () => {
      const content = Buffer.from(`\ufeffpublicKey,serial\r\n${KEY.raw},Prüf 1\r\n`, "utf16le");
      expect((await listOf(content)).map(({ serial }) => serial)).to.deep.equal(["Prüf 1"]);
    });

    it("reads quoted fields with commas and quotes, and serials beyond ASCII", async () => {
      const list = await listOf(`publicKey,serial\n${KEY.raw},"A, ""1"""\n${OTHER.raw},Prüf-№ 7 📡\n`);
      expect(list.map(({ serial }) => serial)).to.deep.equal(['A, "1"', "Prüf-№ 7 📡"]);
    });

    it("takes any serials, as a table writes them, for what they are", async () => {
      const serials = fc.uniqueArray(
        fc
          .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
          .filter((text) => text.trim() === text && text !== "" && !/[\p{Cc}\p{Cs}\ufffd]/u.test(text)),
        { minLength: 1, maxLength: 5 },
      );
      const keys = Array.from({ length: 5 }, () => factoryKey().raw);
      await fc.assert(
        fc.asyncProperty(serials, async (all) => {
          const rows = all.map((serial, index) => `${keys[index]},"${serial.replaceAll('"', '""')}"`);
          const list = await listOf(["publicKey,serial", ...rows].join("\n"));
          expect(list.map(({ serial }) => serial)).to.deep.equal(all);
        }),
        { numRuns: 50 },
      );
    });

    it("names every fault of a file at once, in the order of lines", async () => {
      const rows = [
        "publicKey,account,serial,scheme",
        `${KEY.raw},,A,`,
        "zz,,B,",
        `${KEY.compressed},,C,`,
        `${OTHER.raw},,A,`,
        `${OFF_CURVE},,,`,
        ",0x0000000000000000000000000000000000000100,,",
        `,${ACCOUNT.replace("A", "a")},,`,
        `,${ACCOUNT},,P256`,
        `${KEY.raw},${ACCOUNT},,`,
        ",,D,",
        `${OTHER.raw},,,P384`,
        `${OTHER.raw},,E`,
      ];
      await expectFaults(
        [
          [3, 'publicKey: "zz" is not hex'],
          [4, `the key of ${KEY.id} is in line 2 already`],
          [5, 'the serial "A" is in line 2 already'],
          [6, `publicKey: "${OFF_CURVE}" is not a point of the curve P-256`],
          [7, "the account 0x0000000000000000000000000000000000000100 is reserved"],
          [8, "the checksum of"],
          [9, 'the scheme "P256" does not go with an account'],
          [10, "there is both a publicKey and an account"],
          [11, "there is no key"],
          [12, 'the scheme "P384" is unknown'],
          [13, "has 3 fields and not 4 as the header"],
        ],
        rows.join("\n"),
      );
    });

    it("says which lengths and beginnings a public key has", async () => {
      const values = ["", "04", KEY.raw.slice(2), `05${KEY.raw}`, `04${KEY.compressed.slice(2)}`, `06${KEY.raw}`, "00"];
      for (const value of values.slice(1)) {
        await expectFaults([[2, "give 64 bytes qx ‖ qy, 65 bytes 04 ‖ qx ‖ qy"]], `publicKey\n${value}\n`);
      }
      await expectFaults([[2, "is not a point"]], `publicKey\n${"00".repeat(64)}\n`);
      await expectFaults([[2, "is not a point"]], `publicKey\n02${"ff".repeat(32)}\n`);
    });

    it("does not repeat what may be a private key", async () => {
      const secret = "5a".repeat(32);
      const [fault] = await faultsOf(`publicKey\n${secret}\n`);
      expect(fault!.message).to.contain("may be a private one");
      expect(fault!.message).not.to.contain(secret);
    });

    it("refuses serials that no buyer could type again", async () => {
      const flaws: [string, string][] = [
        ['"A\nB"', "has a control character"],
        ['"A\tB"', "has a control character"],
        ['" A"', "begins or ends with a space"],
        [`"A\u00a0"`, "begins or ends with a space"],
        ["é".repeat(128), "has 256 bytes: give at most 255"],
      ];
      for (const [serial, words] of flaws) {
        await expectFaults([[2, words]], `publicKey,serial\n${KEY.raw},${serial}\n`);
      }
    });

    it("counts lines as an editor does, beyond fields with line breaks", async () => {
      const content = `publicKey,serial\n\n${KEY.raw},"A\nB"\n${OTHER.raw},A\nzz,C\n`;
      await expectFaults(
        [
          [3, "has a control character"],
          [6, "is not hex"],
        ],
        content,
      );
    });

    it("refuses a header that is none, is incomplete, or has a column it does not know", async () => {
      const headers: [string, string][] = [
        [KEY.raw, "the first line names the columns"],
        ["publicKey;serial", '"publicKey;serial" is no column'],
        ["publickey,serial", '"publickey" is no column'],
        ["publicKey,serial,colour", '"colour" is no column'],
        ["publicKey,serial,", '"" is no column'],
        ["serial,scheme", "there is no column with keys"],
        ["publicKey,serial,serial", "the column serial is there twice"],
        ['{"publicKey": "x"}', "looks like JSON"],
      ];
      for (const [header, words] of headers) {
        await expectFaults([[1, words]], `${header}\n${KEY.raw},A\n`);
      }
    });

    it("refuses text that is not UTF-8", async () => {
      await expectFaults([[1, "is not UTF-8"]], Buffer.from("publicKey,serial\n", "utf16le"));
      await expectFaults([[2, "is not UTF-8"]], Buffer.from(`publicKey,serial\n${KEY.raw},Prüfling\n`, "latin1"));
    });

    it("names a quote out of place with the faults before it, and none of what it makes of the rest", async () => {
      const quotes: [string, number, string][] = [
        ['"A"B', 4, "a quote is out of place"],
        ['"A', 4, "a quote opens here"],
        ['A"B', 4, "a quote is out of place"],
      ];
      for (const [field, line, words] of quotes) {
        await expectFaults(
          [
            [2, "is not hex"],
            [line, words],
          ],
          `publicKey,serial\nzz,A\n${KEY.raw},B\n${OTHER.raw},${field}\nzz,C\nzz,D\n`,
        );
      }
    });

    it("does not read a row without end into memory", async () => {
      await expectFaults([[2, "does not end"]], `publicKey,serial\n${KEY.raw},"${"A\n".repeat(50_000)}`);
    });

    it("ends at 20 faults", async () => {
      const faults = await faultsOf(`publicKey\n${"zz\n".repeat(1000)}`);
      expect(faults.map(({ line }) => line)).to.deep.equal(Array.from({ length: 20 }, (_, index) => index + 2));
    });

    it("refuses a list without devices", async () => {
      const error = await errorOf("DEVICE_LIST_INVALID", () => listOf("publicKey,serial\n"));
      expect(error.message).to.contain("lists no device");
    });
  });

  describe("of JSON lines", () => {
    it("reads what a CSV file says too, and null for what is missing", async () => {
      const lines = [
        { publicKey: KEY.raw, serial: "A", scheme: "P256Sha256" },
        { account: ACCOUNT, serial: null, publicKey: null },
      ];
      const content = `\ufeff${lines.map((line) => JSON.stringify(line)).join("\r\n\n")}`;
      for (const name of ["devices.jsonl", "devices.ndjson", "devices.JSON"]) {
        expect(await listOf(content, name)).to.deep.equal([
          { id: KEY.id, scheme: Scheme.P256Sha256, publicKey: `0x${KEY.raw}`, serial: "A" },
          { id: ACCOUNT, scheme: Scheme.Account, publicKey: "0x" },
        ]);
      }
    });

    it("names every fault with its line", async () => {
      const lines = [
        JSON.stringify({ publicKey: KEY.raw, serial: "A" }),
        "{ publicKey: 1 }",
        JSON.stringify({ publicKey: OTHER.raw, serial: 12 }),
        "",
        JSON.stringify([1]),
        "7",
        JSON.stringify({ publicKey: OTHER.raw, colour: "red", key: 1 }),
        '{"publicKey": "00", "serial": "\\ud800"}',
      ];
      await expectFaults(
        [
          [2, '"{ publicKey: 1 }" is not JSON'],
          [3, "serial must be text in quotes"],
          [5, "is no JSON object"],
          [6, "is no JSON object"],
          [7, '"colour", "key" is unknown'],
          [8, "has 1 byte and"],
          [8, "is not UTF-8"],
        ],
        lines.join("\n"),
        "devices.jsonl",
      );
    });

    it("refuses an array, and a line without end", async () => {
      await expectFaults([[1, "JSON array"]], "[\n{}\n]\n", "devices.json");
      await expectFaults([[2, "too long"]], `\n{"publicKey": "${"0".repeat(200_000)}"}\n`, "devices.jsonl");
    });
  });

  it("refuses files that are missing, empty, folders, or cannot be read", async () => {
    await errorOf("FILE_MISSING", () => readDeviceList({ path: path("devices.csv") }));
    for (const name of ["devices.csv", "devices.jsonl"]) await errorOf("FILE_EMPTY", () => listOf("", name));
    await mkdir(path("folder.csv"));
    await errorOf("FILE_IS_DIRECTORY", () => readDeviceList({ path: path("folder.csv") }));
    await errorOf("FILE_UNREADABLE", () => readDeviceList({ path: path("x".repeat(300)) }));
    await errorOf("INVALID_ARGUMENT", () => readDeviceList({ path: "dev\0ices.csv" }));
  });

  it("reports progress up to the whole file, and stops when it is cancelled", async () => {
    const rows = factoryDevices(1000).map(({ publicKey, serial }) => `${publicKey},${serial}`);
    const content = ["publicKey,serial", ...rows].join("\n");
    await writeFile(path("devices.csv"), content);
    const seen: FileProgress[] = [];
    await readDeviceList({ path: path("devices.csv"), onProgress: (progress) => seen.push(progress) });
    const size = BigInt(content.length);
    expect(seen.at(-1)).to.deep.equal({ bytes: size, size });
    expect(seen.length).to.be.greaterThan(1);

    const controller = new AbortController();
    const options = {
      path: path("devices.csv"),
      onProgress: () => {
        controller.abort();
      },
      signal: controller.signal,
    };
    await errorOf("CANCELLED", () => readDeviceList(options));
    await errorOf("CANCELLED", () => readDeviceList(options));
  });
});
