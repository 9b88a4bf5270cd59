import { readFile, writeFile } from "node:fs/promises";

import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "chai";
import fc from "fast-check";

import {
  bundleJsonSchema,
  createBundle,
  formatBundle,
  MAX_BUNDLE_BYTES,
  parseBundle,
  readBundle,
  writeBundle,
  type ProofBundle,
} from "../../client/bundles.js";
import { TouchstoneError } from "../../client/errors.js";
import { alteredLists, alteredShapes, alteredValues } from "../support/bundle-mutations.js";
import { deployLogs } from "../support/bundles.js";
import { loadFixture } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";

/** A bundle of a device with every field that there is. */
async function makeBundle(): Promise<ProofBundle> {
  const { as, p256 } = await loadFixture(deployLogs);
  const { batches } = p256;
  const range = { firstSeq: 3n, count: 11n };
  return (await createBundle({ touchstone: as.subject, batches, ...range, withState: true })).bundle;
}

function accepts(document: unknown): boolean {
  try {
    parseBundle(document);
    return true;
  } catch (error) {
    if (error instanceof TouchstoneError && error.code === "BUNDLE_INVALID") return false;
    throw error;
  }
}

describe("The format of proof bundles", () => {
  const path = temporaryFolder();
  let bundle: ProofBundle;

  before(async () => {
    bundle = await makeBundle();
  });

  /** The bundle with other values under some of its names. */
  const altered = (fields: Record<string, unknown>): unknown => ({ ...bundle, ...fields });

  it("is the same read and written again, as text and as what JSON.parse makes of it", () => {
    expect(parseBundle(formatBundle(bundle))).to.deep.equal(bundle);
    expect(parseBundle(JSON.parse(JSON.stringify(bundle)))).to.deep.equal(bundle);
    expect(JSON.parse(formatBundle(bundle))).to.deep.equal(bundle);
  });

  describe("has a JSON Schema", () => {
    const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(bundleJsonSchema());

    it("which is in the file that is handed out", async () => {
      const file = await readFile("client/bundle-schema.json", "utf8");
      const advice = "stale: hardhat run --no-compile scripts/bundle-schema.ts";
      expect(JSON.parse(file), advice).to.deep.equal(bundleJsonSchema());
    });

    it("which takes what the parser takes, and refuses what it refuses", () => {
      expect(validate(bundle), JSON.stringify(validate.errors)).to.equal(true);
      let [taken, refused] = [0, 0];
      for (const mutations of [alteredShapes, alteredValues]) {
        for (const { path: place, what, document } of mutations(bundle)) {
          const isTaken = accepts(document);
          expect(validate(document), `${place}: ${what}`).to.equal(isTaken);
          if (isTaken) taken += 1;
          else refused += 1;
        }
      }
      for (const { path: place, what, document } of alteredLists(bundle, ["signed", "state", "range", "seeds"])) {
        expect(validate(document), `${place}: ${what}`).to.equal(accepts(document));
      }
      expect(taken).to.be.greaterThan(1000);
      expect(refused).to.be.greaterThan(1000);
    });

    it("whose numbers end where those of the chain do", () => {
      for (const [field, bits] of [
        ["index", 64n],
        ["tFirst", 48n],
      ] as const) {
        const take = (value: string): boolean => {
          const [batch, ...rest] = bundle.batches;
          const document = altered({ batches: [{ ...batch, anchor: { ...batch!.anchor, [field]: value } }, ...rest] });
          expect(validate(document), value).to.equal(accepts(document));
          return accepts(document);
        };
        const end = 2n ** bits;
        fc.assert(fc.property(fc.bigInt({ min: 0n, max: end - 1n }), (value) => take(String(value))));
        fc.assert(fc.property(fc.bigInt({ min: end, max: end * 1000n }), (value) => !take(String(value))));
        expect([0n, 9n, 10n, end - 1n].map((value) => take(String(value)))).to.deep.equal([true, true, true, true]);
        expect([end, end + 1n, -1n].map((value) => take(String(value)))).to.deep.equal([false, false, false]);
        expect(["", "00", "01", "+1", "1.0", "1e1", "0x1", " 1", "1\n", "١"].map(take)).to.not.include(true);
      }
    });
  });

  it("names the place of what is wrong", async () => {
    const [batch, ...rest] = bundle.batches;
    const inBatch = (fields: object): unknown => altered({ batches: [{ ...batch, ...fields }, ...rest] });
    const inReading = (fields: object): unknown =>
      inBatch({ readings: [batch!.readings[0], { ...batch!.readings[1], ...fields }] });
    const wrong: [document: unknown, path: string, words: string][] = [
      [null, "", "it is no object"],
      ["null", "", "it is no object"],
      [[], "", "it is no object"],
      [{}, "type", 'type is not "touchstone-proof-bundle"'],
      [altered({ version: 2 }), "version", "version is not 1, the version that this client reads"],
      [altered({ version: "1" }), "version", "version is not 1"],
      [altered({ note: 1 }), "note", "note is a field that no bundle has"],
      [altered({ range: { ...bundle.range, step: "1" } }), "range.step", "range.step is a field that no bundle has"],
      [altered({ chainId: 31337 }), "chainId", "chainId is no whole number in quotes"],
      [altered({ chainId: "0x7a69" }), "chainId", "without leading zeros"],
      [altered({ dataAnchor: bundle.dataAnchor.toUpperCase() }), "dataAnchor", "20 bytes as lower-case 0x hex"],
      [altered({ batches: {} }), "batches", "batches is no list"],
      [altered({ batches: Array(4097).fill(0) }), "batches", "batches has more than 4096 items"],
      [altered({ batches: [batch, 7] }), "batches[1]", "batches[1] is no object"],
      [inBatch({ anchor: { ...batch!.anchor, tFirst: "01" } }), "batches[0].anchor.tFirst", "is no whole number"],
      [inBatch({ anchor: { ...batch!.anchor, kind: "data" } }), "batches[0].anchor.kind", "is none of Data, Gap"],
      [inBatch({ rangeProof: ["0x00"] }), "batches[0].rangeProof[0]", "is not 32 bytes"],
      [inReading({ payload: "AB==" }), "batches[0].readings[1].payload", "is no base64"],
      [inReading({ contentFormat: 65_536 }), "batches[0].readings[1].contentFormat", "from 0 to 65535"],
      [inReading({ salt: "0x" }), "batches[0].readings[1].salt", "is a field that no bundle has"],
      [inReading({ commitment: bundle.logId }), "batches[0].readings[1]", "neither contentFormat and payload"],
      [inBatch({ readings: [7] }), "batches[0].readings[0]", "batches[0].readings[0] is no object"],
      [inBatch({ seeds: [{ height: 33, index: 0, seed: "0x" }] }), "batches[0].seeds[0].height", "from 0 to 32"],
      [altered({ state: { ...bundle.state, header: "0x0" } }), "state.header", "is no whole bytes"],
    ];
    for (const [document, place, words] of wrong) {
      const { message, details } = await errorOf("BUNDLE_INVALID", () => parseBundle(document));
      expect(details.path, message).to.equal(place);
      expect(message).to.contain(words);
    }
  });

  it("takes base64 in its one canonical form", () => {
    const [batch, ...rest] = bundle.batches;
    const take = (payload: string): boolean => {
      const readings = [{ ...batch!.readings[0], payload }, ...batch!.readings.slice(1)];
      return accepts(altered({ batches: [{ ...batch, readings }, ...rest] }));
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => take(Buffer.from(bytes).toString("base64"))));
    for (const other of ["AA", "AA=", "AB==", "AAB=", "A===", "====", "AAA A", "AA-_", "AAAA=", "AA==AAAA", "AAAA\n"]) {
      expect(take(other), other).to.equal(false);
    }
  });

  it("refuses keys that stand twice, wherever they do", async () => {
    const text = formatBundle(bundle);
    const twice = [
      text.replace('"version": 1', '"version": 2, "version": 1'),
      text.replace('"version": 1', '"version": 1, "version": 1'),
      text.replace('"version": 1', '"\\u0076ersion": 2, "version": 1'),
      text.replace('"kind": "Data"', '"kind": "Gap", "kind": "Data"'),
      text.replace('"contentFormat": 50', '"contentFormat": 0, "contentFormat": 50'),
    ];
    for (const other of twice) {
      expect(JSON.parse(other)).to.deep.equal(bundle);
      expect((await errorOf("BUNDLE_INVALID", () => parseBundle(other))).message).to.contain("a key twice");
    }
  });

  it("takes no prototypes for fields", async () => {
    const text = formatBundle(bundle);
    const hostile = [
      text.replace("{", '{"__proto__": {"state": 1},'),
      text.replace('"range": {', '"range": {"__proto__": {"count": "7"},'),
      text.replace('"range": {', '"range": {"constructor": {},'),
    ];
    for (const other of hostile) {
      const { message } = await errorOf("BUNDLE_INVALID", () => parseBundle(other));
      expect(message).to.contain("is a field that no bundle has");
    }
    expect(({} as Record<string, unknown>).state).to.equal(undefined);
  });

  it("refuses what is too deep, too wide or too large, and soon", async () => {
    const text = formatBundle(bundle);
    const wide = (count: number): string => `[${"0,".repeat(count)}0]`;
    const hostile: [text: string, words: string][] = [
      ["[".repeat(10_000_000), "nests deeper"],
      ['{"a":'.repeat(1_000_000), "nests deeper"],
      [text.replace('"batches": [', `"batches": [${"[".repeat(1000)}${"]".repeat(1000)},`), "nests deeper"],
      [wide(8_000_000), "it is no object"],
      [text.replace('"rangeProof": [', `"rangeProof": [${"0,".repeat(5_000_000)}`), "has more than 128 items"],
      [text.replace('"readings": [', `"readings": [${"0,".repeat(500_000)}`), "readings[0] is no object"],
      [text.replace('"payload": "', `"payload": "${"A".repeat(20_000_000)}`), "is longer than"],
      [text.replace('"chainId": "', `"chainId": "${"1".repeat(20_000_000)}`), "is no whole number"],
      [" ".repeat(MAX_BUNDLE_BYTES + 1), `a bundle at most ${MAX_BUNDLE_BYTES}`],
      [`${text}${" ".repeat(MAX_BUNDLE_BYTES)}`, "ask for bundles of smaller ranges"],
      ['"'.repeat(1_000_001), "not JSON"],
      ["{", "not JSON"],
      ["", "not JSON"],
    ];
    for (const [other, words] of hostile) {
      const start = Date.now();
      expect((await errorOf("BUNDLE_INVALID", () => parseBundle(other))).message).to.contain(words);
      expect(Date.now() - start, `milliseconds of ${words}`).to.be.lessThan(5000);
    }
  });

  it("names what it refuses in few words, however long that is", async () => {
    const { message } = await errorOf("BUNDLE_INVALID", () => parseBundle(altered({ ["x".repeat(1_000_000)]: 1 })));
    expect(message.length).to.be.lessThan(300);
  });

  it("does not write what it would not read", async () => {
    const payload = Buffer.alloc(1_500_000).toString("base64");
    const [batch, ...rest] = bundle.batches;
    const readings = Array.from({ length: 20 }, () => ({ measuredAt: "1", contentFormat: 0, payload }));
    const large: ProofBundle = { ...bundle, batches: [{ ...batch!, readings }, ...rest] };
    const { message } = await errorOf("INVALID_ARGUMENT", () => formatBundle(large));
    expect(message).to.contain("make several of smaller ranges");
  });

  it("is read from files and written to them", async () => {
    await writeBundle({ path: path("bundle.json"), bundle });
    expect(await readBundle(path("bundle.json"))).to.deep.equal(bundle);
    await errorOf("FILE_EXISTS", () => writeBundle({ path: path("bundle.json"), bundle }));
    await errorOf("FILE_MISSING", () => readBundle(path("none.json")));
    await errorOf("FILE_IS_DIRECTORY", () => readBundle(path(".")));
    await writeFile(path("empty.json"), "");
    await errorOf("FILE_EMPTY", () => readBundle(path("empty.json")));
    await writeFile(path("large.json"), Buffer.alloc(MAX_BUNDLE_BYTES + 1));
    const { message } = await errorOf("BUNDLE_INVALID", () => readBundle(path("large.json")));
    expect(message).to.contain(`${MAX_BUNDLE_BYTES + 1} bytes`);
    await writeFile(path("text.json"), "bundle");
    const text = await errorOf("BUNDLE_INVALID", () => readBundle(path("text.json")));
    expect(text.message).to.contain(`${path("text.json")}: The text is no bundle: it is not JSON`);
    await writeFile(path("field.json"), JSON.stringify({ ...bundle, version: 2 }));
    const field = await errorOf("BUNDLE_INVALID", () => readBundle(path("field.json")));
    expect(field.message).to.equal(
      `${path("field.json")}: It is no bundle: version is not 1, the version that this client reads.`,
    );
    expect(field.details).to.deep.equal({ path: "version", file: path("field.json") });
  });
});
