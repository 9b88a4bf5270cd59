import { appendFile, mkdir, readFile, rename, truncate, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { setTimeout } from "node:timers/promises";

import { expect } from "chai";
import fc from "fast-check";

import {
  csvReadings,
  jsonLines,
  textLines,
  type ReadingSource,
  type SourceItem,
  type SourceReading,
} from "../../client/reading-sources.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { sensorLines, writeLines } from "../support/ingest.js";

const DATA = createRequire(import.meta.url).resolve("vega-datasets");
const HOURLY_WEATHER = resolve(DATA, "../../data/seattle-weather-hourly-normals.csv");
const NEVER = new AbortController().signal;

/** All that a source gives. */
async function all(source: ReadingSource, after?: string, signal = NEVER): Promise<SourceItem[]> {
  const items: SourceItem[] = [];
  for await (const given of source.read(after, signal))
    items.push(...(Array.isArray(given) ? (given as SourceItem[]) : [given as SourceItem]));
  return items;
}

function isReading(item: SourceItem): item is SourceReading {
  return "payload" in item;
}

/** What a test says of an item: time and text of a reading, or the fault. */
function told(item: SourceItem): unknown {
  return isReading(item) ? [item.measuredAt, Buffer.from(item.payload).toString()] : item.fault;
}

const byNumber = (_: Buffer, number: number): bigint => BigInt(number);

describe("Sources of readings", () => {
  const fileIn = temporaryFolder();

  describe("textLines", () => {
    it("gives all between two line feeds, as it is", async () => {
      const lines = ["a\r", "", "\0b", "\xff\xfe", " c ", "", "last"];
      await writeFile(fileIn("lines"), lines.join("\n"), "latin1");
      const items = await all(textLines({ path: fileIn("lines"), measuredAt: byNumber, contentFormat: 42 }));
      expect(items.map((item) => isReading(item) && Buffer.from(item.payload).toString("latin1"))).to.deep.equal(lines);
      expect(items.map((item) => isReading(item) && item.measuredAt)).to.deep.equal([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
      expect(items.every((item) => isReading(item) && item.contentFormat === 42)).to.equal(true);
    });

    it("gives nothing of an empty file, and no line behind the last line feed", async () => {
      await writeFile(fileIn("empty"), "");
      expect(await all(textLines({ path: fileIn("empty"), measuredAt: byNumber }))).to.deep.equal([]);
      await writeFile(fileIn("ended"), "a\n");
      expect(await all(textLines({ path: fileIn("ended"), measuredAt: byNumber }))).to.have.lengthOf(1);
    });

    it("keeps aside a line that does not tell its time", async () => {
      await writeFile(fileIn("lines"), "a\nb");
      const measuredAt = (line: Buffer): bigint | undefined => (line.toString() === "a" ? undefined : 5n);
      const items = await all(textLines({ path: fileIn("lines"), measuredAt }));
      expect(items.map(told)).to.deep.equal(["line 1 does not tell when it was measured.", [5n, "b"]]);
    });

    it("goes on exactly behind every position, also where chunks end", async () => {
      const lines = sensorLines(20_000);
      await writeLines(fileIn("lines"), lines);
      const source = textLines({ path: fileIn("lines"), measuredAt: byNumber });
      const items = await all(source);
      expect(items).to.have.lengthOf(20_000);
      for (let index = 0; index < 20_000; index += 997) {
        const rest = await all(source, items[index]!.position);
        expect(rest.length).to.equal(20_000 - index - 1);
        expect(told(rest[0]!)).to.deep.equal(told(items[index + 1]!));
        expect(rest.at(-1)!.position).to.equal(items.at(-1)!.position);
      }
      expect(await all(source, items.at(-1)!.position)).to.deep.equal([]);
    });

    it("keeps a line that is too long in parts, of which nothing is lost", async () => {
      const long = Buffer.alloc(3_000_000, "x");
      await writeFile(fileIn("lines"), Buffer.concat([Buffer.from("a\n"), long, Buffer.from("\nb\n")]));
      const source = textLines({ path: fileIn("lines"), measuredAt: byNumber });
      const items = await all(source);
      expect(told(items[0]!)).to.deep.equal([1n, "a"]);
      expect(told(items.at(-1)!)).to.deep.equal([3n, "b"]);
      const parts = items.slice(1, -1);
      expect(parts.length).to.be.greaterThan(1);
      expect(Buffer.concat(parts.map((item) => ("fault" in item ? item.raw : new Uint8Array()))).equals(long)).to.equal(
        true,
      );
      for (const part of parts)
        expect(told(part)).to.equal("line 2 is longer than 1048576 bytes, which no reading is: it is kept in parts.");
      // Also behind a position within it.
      const rest = await all(source, parts[0]!.position);
      expect(rest.map(told)).to.deep.equal(items.slice(2).map(told));
    });
  });

  describe("a file that is followed", () => {
    it("gives what is appended, whole lines only, until it is ended", async () => {
      await writeFile(fileIn("lines"), "a\nb");
      const controller = new AbortController();
      const source = textLines({ path: fileIn("lines"), follow: true, pollInterval: 1, measuredAt: byNumber });
      const items: unknown[] = [];
      const ended = errorOf("CANCELLED", async () => {
        for await (const given of source.read(undefined, controller.signal)) {
          for (const item of given as readonly SourceItem[]) items.push(told(item));
          if (items.length === 1) await appendFile(fileIn("lines"), "c\n");
          if (items.length === 2) await appendFile(fileIn("lines"), "\nd");
          if (items.length === 3) controller.abort();
        }
      });
      await ended;
      expect(items).to.deep.equal([
        [1n, "a"],
        [2n, "bc"],
        [3n, ""],
      ]);
    });

    it("says when another file took its name, or it was cut", async () => {
      for (const change of [
        async () => {
          await rename(fileIn("lines"), fileIn("rotated"));
          await writeFile(fileIn("lines"), "new\n");
        },
        () => truncate(fileIn("lines"), 1),
      ]) {
        await writeFile(fileIn("lines"), "a\nb\n");
        const source = textLines({ path: fileIn("lines"), follow: true, pollInterval: 1, measuredAt: byNumber });
        const error = await errorOf("SOURCE_CHANGED", async () => {
          for await (const given of source.read(undefined, NEVER)) {
            expect(given).to.have.lengthOf(2);
            await change();
          }
        });
        expect(error.details).to.deep.equal({ path: fileIn("lines"), name: "file" });
      }
    });
  });

  describe("a file that was read before", () => {
    it("is refused if it is not the same any more", async () => {
      const path = fileIn("lines");
      const source = textLines({ path, measuredAt: byNumber });
      const content = `${"head ".repeat(10)}\nb\n${"c".repeat(3000)}\nd\n`;
      await writeFile(path, content);
      const items = await all(source);
      const after = items[2]!.position;
      const changes = [content.slice(0, 60), content.replace("head", "HEAD"), content.replace("cc\n", "cx\n"), ""];
      for (const changed of changes) {
        await writeFile(path, changed);
        const { message, details } = await errorOf("SOURCE_CHANGED", () => all(source, after));
        expect(details).to.deep.equal({ path, name: "file" });
        expect(message).to.contain('under the name "file" of this source').and.to.contain("`name` of its own");
      }
      const named = textLines({ path, name: "day 2", measuredAt: byNumber });
      const { message } = await errorOf("SOURCE_CHANGED", () => all(named, after));
      expect(message).to.contain('under the name "day 2" of this source');
      await writeFile(path, `${content}e\n`);
      expect((await all(source, after)).map(told)).to.deep.equal([
        [4n, "d"],
        [5n, "e"],
      ]);
      await errorOf("SOURCE_CHANGED", () => all(source, "17"));
    });

    it("is refused if its last line went on", async () => {
      const path = fileIn("lines");
      const source = textLines({ path, measuredAt: byNumber });
      await writeFile(path, "a\nb");
      const [, last] = await all(source);
      expect(await all(source, last!.position)).to.deep.equal([]);
      await appendFile(path, "c\n");
      expect((await errorOf("SOURCE_CHANGED", () => all(source, last!.position))).message).to.contain("byte 3");
    });

    it("is known again while it grows past what it is known by", async () => {
      const path = fileIn("lines");
      const source = textLines({ path, follow: true, pollInterval: 1, measuredAt: byNumber });
      await writeFile(path, "first\n");
      const [first] = await all(textLines({ path, measuredAt: byNumber }));
      const positions: string[] = [];
      const controller = new AbortController();
      const ended = errorOf("CANCELLED", async () => {
        for await (const given of source.read(first!.position, controller.signal)) {
          positions.push(...(given as readonly SourceItem[]).map(({ position }) => position));
        }
      });
      for (let round = 0; round < 12; round++) {
        await appendFile(path, `${"x".repeat(700)}\n`);
        while (positions.length <= round) await setTimeout(1);
      }
      controller.abort();
      await ended;
      for (const [index, position] of positions.entries()) {
        expect(await all(textLines({ path, measuredAt: byNumber }), position)).to.have.lengthOf(11 - index);
      }
    });

    it("is missing, a folder, or no file", async () => {
      await mkdir(fileIn("folder"));
      for (const [code, path] of [
        ["FILE_MISSING", fileIn("missing")],
        ["FILE_IS_DIRECTORY", fileIn("folder")],
        ["FILE_UNREADABLE", "/dev/null"],
      ] as const) {
        await errorOf(code, () => all(textLines({ path, measuredAt: byNumber })));
      }
    });
  });

  describe("jsonLines", () => {
    it("gives text, bytes and content formats", async () => {
      const lines = [
        { measuredAt: 5, payload: "21.5 °C" },
        { measuredAt: 0, payload: "AP8=", encoding: "base64", contentFormat: 60 },
        { measuredAt: 2 ** 48 - 1, payload: "", encoding: "text" },
      ];
      await writeFile(fileIn("lines"), `${lines.map((line) => JSON.stringify(line)).join("\r\n")}\n\n \t\n`);
      const items = (await all(jsonLines({ path: fileIn("lines") }))) as SourceReading[];
      expect(items.map(({ measuredAt }) => measuredAt)).to.deep.equal([5n, 0n, 2n ** 48n - 1n]);
      expect(items.map(({ contentFormat }) => contentFormat)).to.deep.equal([0, 60, 0]);
      expect(Buffer.from(items[0]!.payload).toString()).to.equal("21.5 °C");
      expect([...items[1]!.payload]).to.deep.equal([0, 255]);
    });

    it("keeps aside what is none, with its line and the reason, and goes on", async () => {
      const bad: [string, string][] = [
        ["{", "line 1 is not JSON"],
        ['{"measuredAt":1.5,"payload":""}', "measuredAt: must be a whole number"],
        ['{"measuredAt":-1,"payload":""}', "measuredAt: must be Unix milliseconds, from 0."],
        ['{"measuredAt":281474976710656,"payload":""}', "measuredAt: must be Unix milliseconds, below 2^48."],
        ['{"measuredAt":"5","payload":""}', "measuredAt: must be a whole number"],
        ['{"measuredAt":5,"payload":7}', "payload: must be text in quotes."],
        ['{"measuredAt":5}', "payload: must be text in quotes."],
        ['{"measuredAt":5,"payload":"","encoding":"hex"}', 'encoding: must be "text" or "base64".'],
        ['{"measuredAt":5,"payload":"A","encoding":"base64"}', "payload: is not base64 with its padding."],
        ['{"measuredAt":5,"payload":"\\ud800"}', "payload: has half a surrogate pair"],
        ['{"measuredAt":5,"payload":"","contentFormat":65536}', "contentFormat: must be 0 to 65,535."],
        ['{"measuredAt":5,"payload":"","unit":"K"}', "unit"],
        ["[]", "line 13"],
        ['{"measuredAt":5,"payload":"\xff"}', "line 14 is not JSON in UTF-8"],
      ];
      const good = '{"measuredAt":9,"payload":"good"}';
      await writeFile(fileIn("lines"), [...bad.map(([line]) => line), good].join("\n"), "latin1");
      const items = await all(jsonLines({ path: fileIn("lines") }));
      for (const [index, [line, message]] of bad.entries()) {
        const item = items[index]!;
        expect(told(item))
          .to.contain(message)
          .and.to.contain(`line ${index + 1}`);
        expect("fault" in item && Buffer.from(item.raw).toString("latin1")).to.equal(line);
      }
      expect(told(items.at(-1)!)).to.deep.equal([9n, "good"]);
    });
  });

  describe("csvReadings", () => {
    const rows = [
      "\ufefftime,place,value",
      "5,here,1.50",
      "",
      '6,"a, b",2',
      '7,"line\nfeed ""quoted""",3',
      " 8 ,x,4\r",
      '9,5" pipe,5',
    ];

    it("gives the exact bytes of each row, and goes on behind each", async () => {
      await writeFile(fileIn("csv"), rows.join("\n"));
      const source = csvReadings({ path: fileIn("csv"), timeColumn: "time" });
      const items = await all(source);
      expect(items.map(told)).to.deep.equal([
        [5n, "5,here,1.50"],
        [6n, '6,"a, b",2'],
        [7n, '7,"line\nfeed ""quoted""",3'],
        [8n, " 8 ,x,4"],
        "line 8: a quote is out of place, or not closed.",
      ]);
      for (const [index, item] of items.entries()) {
        const again = csvReadings({ path: fileIn("csv"), timeColumn: "time" });
        expect((await all(again, item.position)).map(told)).to.deep.equal(items.slice(index + 1).map(told));
      }
    });

    it("keeps aside rows that cannot be read, and loses none behind them", async () => {
      const bad = ["time;v", "x;1", "1", "1;2;3", '"2;2', "3;3", '"4;4'];
      await writeFile(fileIn("csv"), bad.join("\n"));
      const items = await all(csvReadings({ path: fileIn("csv"), timeColumn: "time", delimiter: ";" }));
      expect(items.map(told)).to.deep.equal([
        'line 2: time: "x" is no time in milliseconds.',
        "line 3 has 1 fields and not 2 as the header.",
        "line 4 has 3 fields and not 2 as the header.",
        "line 5: a quote is out of place, or not closed.",
        [3n, "3;3"],
        "line 7: a quote is out of place, or not closed.",
      ]);
    });

    it("reads times of each format", async () => {
      const times = {
        milliseconds: [
          ["1700000000123", 1_700_000_000_123n],
          ["1e3", undefined],
          ["", undefined],
        ],
        seconds: [
          ["1700000000.1239", 1_700_000_000_123n],
          ["7", 7000n],
          ["7.", undefined],
          ["-7", undefined],
        ],
        iso: [
          ["2026-05-01T12:00:00.250Z", 1_777_636_800_250n],
          ["2026-05-01T14:00+02:00", 1_777_636_800_000n],
          ["2026-05-01T12:00:00", undefined],
          ["2026-13-01T12:00:00Z", undefined],
          ["1969-12-31T23:59:59Z", undefined],
        ],
      } as const;
      for (const [timeFormat, cases] of Object.entries(times)) {
        await writeFile(fileIn("csv"), `t,v\n${cases.map(([text]) => `${text},1`).join("\n")}\n`);
        const source = csvReadings({ path: fileIn("csv"), timeColumn: "t", timeFormat: timeFormat as "iso" });
        const items = await all(source);
        expect(items.map((item) => (isReading(item) ? item.measuredAt : undefined))).to.deep.equal(
          cases.map(([, time]) => time),
        );
      }
    });

    it("refuses a file without the column, and what is no delimiter", async () => {
      await writeFile(fileIn("csv"), "a,b\n1,2\n");
      const source = csvReadings({ path: fileIn("csv"), timeColumn: "time" });
      const { message } = await errorOf("INVALID_ARGUMENT", () => all(source));
      expect(message).to.contain('no column "time": its header names ["a","b"]');
      for (const delimiter of ["", ",,", '"', "\n"]) {
        await errorOf("INVALID_ARGUMENT", () => csvReadings({ path: fileIn("csv"), timeColumn: "a", delimiter }));
      }
    });

    it("gives every row of a real file once, with its bytes", async () => {
      const hourly = await readFile(HOURLY_WEATHER, "latin1");
      // The file has no zones.
      await writeFile(fileIn("csv"), hourly.replaceAll(/^([0-9T:-]{19}),/gm, "$1-08:00,"), "latin1");
      const rows = (await readFile(fileIn("csv"), "latin1")).split("\n").slice(1, -1);
      const items = await all(csvReadings({ path: fileIn("csv"), timeColumn: "date", timeFormat: "iso" }));
      expect(items.every(isReading)).to.equal(true);
      expect(items.map((item) => isReading(item) && Buffer.from(item.payload).toString("latin1"))).to.deep.equal(rows);
      expect(rows.length).to.be.greaterThan(8000);
    });

    it("loses no byte, whatever the file is", async function () {
      this.timeout(20_000);
      const piece = fc.constantFrom('"', ",", "\n", "\r", "a", '""', ",\n", "1", "\0");
      await fc.assert(
        fc.asyncProperty(fc.array(piece, { maxLength: 60 }), fc.nat(20), async (pieces, at) => {
          const body = pieces.join("");
          await writeFile(fileIn("any"), `t,v\n${body}`, "latin1");
          const source = csvReadings({ path: fileIn("any"), timeColumn: "t" });
          const items = await all(source);
          const found = items.map((item) => Buffer.from(isReading(item) ? item.payload : item.raw).toString("latin1"));
          const essence = (text: string): string => text.replaceAll(/[\r\n]/g, "");
          expect(essence(found.join(""))).to.equal(essence(body));
          const item = items[at];
          if (item === undefined) return;
          expect((await all(source, item.position)).map(told)).to.deep.equal(items.slice(at + 1).map(told));
        }),
        { numRuns: 200 },
      );
    });
  });
});
