import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import * as anchors from "../../client/anchors.js";
import { commitmentOf, type Batch, type Reading } from "../../client/batches.js";
import type { Touchstone } from "../../client/connect.js";
import type { IngestStatus } from "../../client/ingest.js";
import { textLines } from "../../client/reading-sources.js";
import { readOutsideFile, SIGNALK_SERVER } from "../../scripts/support/outside-package.js";
import { loadFixture } from "../support/chain.js";
import { INGEST_HASTE, using } from "../support/ingest.js";
import { deploySuite } from "../support/suite.js";

/** Four hours of a ship's instruments, as they came over the wire. */
const SAMPLE = "samples/plaka.log";
/** 115,999 lines end with a line feed; behind them is the last one, which has none. */
const LINES = 116_000;
/** The sentences tell the time of day and no date: it is taken to be this one. */
const MIDNIGHT = BigInt(Date.UTC(2024, 5, 1));
/** hhmmss in the two kinds of sentences that carry it: $GPZDA,hhmmss and $GPGLL,lat,N,lon,E,hhmmss. */
const TIME = /^\$GP(?:ZDA|GLL(?:,[^,]*){4}),(\d\d)(\d\d)(\d\d)/;
const SECOND = 1000n;

/** Unix milliseconds that a sentence tells. */
function timeOf(line: string): bigint | undefined {
  const [, hours, minutes, seconds] = TIME.exec(line) ?? [];
  return seconds === undefined ? undefined : at(`${hours}:${minutes}:${seconds}`);
}

function at(time: string): bigint {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(":").map(Number);
  return MIDNIGHT + BigInt((hours * 60 + minutes) * 60 + seconds) * SECOND;
}

describe("all 115,999 NMEA lines of a ship, and a last one that does not end", function () {
  this.timeout(180_000);

  let folder: string;
  let file: Buffer;
  let touchstone: Touchstone;
  let logId: string;
  let device: string;
  let status: IngestStatus;
  let records: anchors.AnchorRecord[];
  let batches: Batch[];
  let readings: Reading[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "touchstone-nmea-"));
    file = await readOutsideFile(SIGNALK_SERVER, SAMPLE);
    const path = join(folder, "plaka.log");
    await writeFile(path, file);

    const { as, p256Device } = await loadFixture(deploySuite);
    device = p256Device.id;
    touchstone = as.relayer;
    logId = anchors.deviceLogId({ device });
    // A sentence without a time was measured when the last one before it with a time was; the first ones, when the first was.
    let time = file
      .toString("latin1")
      .split("\n")
      .map(timeOf)
      .find((found) => found !== undefined);
    const source = textLines({ path, measuredAt: (line) => (time = timeOf(line.toString("latin1")) ?? time) });
    const spool = join(folder, "spool");
    await using({ touchstone, spool, logId, key: p256Device, limits: INGEST_HASTE }, async (ingest) => {
      status = await ingest.run(source);
      records = await anchors.readAnchors({ touchstone, logId });
      batches = records.map(({ index }) => ingest.batchAt(index));
    });
    readings = batches.flatMap((batch) => batch.readings);
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  it("are in the device's log, each with its exact bytes, none aside", async () => {
    expect(status).to.deep.include({ readings: LINES, pending: 0, aside: 0, state: "Idle", nextSeq: BigInt(LINES) });
    expect(readings.length).to.equal(LINES);
    const lineFeed = Buffer.from("\n");
    const bytes = Buffer.concat(readings.flatMap(({ payload }) => [lineFeed, payload!]));
    expect(bytes.subarray(1).equals(file)).to.equal(true);
    expect(file.toString("latin1").match(/\n/g)).to.have.length(LINES - 1);
    const head = await anchors.head({ touchstone, logId });
    expect(head).to.deep.include({ nextSeq: BigInt(LINES), size: 29n, lastMeasured: at("14:03:24") });
  });

  it("are anchored by the device in 29 batches without a gap", () => {
    expect(status.batches).to.deep.equal({ cut: 29, signed: 29, anchored: 29, final: 29 });
    expect(records.map(({ count }) => count)).to.deep.equal([...Array<bigint>(28).fill(4096n), 1312n]);
    for (const [index, { firstSeq, root, author, kind }] of records.entries()) {
      expect({ firstSeq, root, author, kind }).to.deep.equal({
        firstSeq: BigInt(index) * 4096n,
        root: batches[index]!.root,
        author: device,
        kind: "Data",
      });
    }
    expect(records[0]!.tFirst).to.equal(at("09:55:59"));
  });

  it("are shown to the chain to be all of a minute", async () => {
    const [from, to] = [at("11:00:00"), at("11:01:00")];
    const inMinute = readings.filter(({ measuredAt }) => measuredAt >= from && measuredAt < to);
    expect(inMinute.length).to.equal(464);
    // The neighbours on both sides are of other minutes: as nothing is between, nothing of the minute is missing.
    const first = inMinute[0]!.seq - 1n;
    const range = readings.slice(Number(first), Number(first) + inMinute.length + 2);
    expect(range[0]!.measuredAt < from && range.at(-1)!.measuredAt >= to).to.equal(true);
    const batch = batches.find(({ firstSeq, count }) => first >= firstSeq && first < firstSeq + count)!;
    const proof = await anchors.proveRange({ touchstone, batch, firstSeq: first, count: BigInt(range.length) });
    const verify = (shown: anchors.RangeProof["readings"]): Promise<boolean> =>
      anchors.verifyRange({ touchstone, proof: { ...proof, readings: shown } });

    const { readings: all } = proof;
    expect(all.map(({ commitment }) => commitment)).to.deep.equal(range.map(({ commitment }) => commitment));
    expect(await verify(all)).to.equal(true);
    expect(await verify(all.toSpliced(200, 1))).to.equal(false);
    expect(await verify(all.with(200, { ...all[200]!, commitment: all[201]!.commitment }))).to.equal(false);
  });

  it("are proved one by one on the chain, down to their bytes", async () => {
    const seq = 77_777n;
    const batch = batches[Number(seq / 4096n)]!;
    const { tree } = batch;
    const { payload, salt, contentFormat, commitment } = readings[Number(seq)]!;
    const line = file.toString("latin1").split("\n")[Number(seq)]!;
    expect(line).to.match(/^\$[A-Z]{5},.*\*[0-9A-F]{2}\r$/);
    expect(Buffer.from(payload!).toString("latin1")).to.equal(line);
    expect(commitmentOf({ tree, salt: salt!, contentFormat: contentFormat!, payload: payload! })).to.equal(commitment);

    const proof = await anchors.proveReading({ touchstone, batch, seq });
    expect(proof.reading.commitment).to.equal(commitment);
    expect(await anchors.verifyReading({ touchstone, proof })).to.equal(true);

    // One bit of the line is another.
    const altered = Uint8Array.from(payload!);
    altered[10]! ^= 1;
    const other = commitmentOf({ tree, salt: salt!, contentFormat: contentFormat!, payload: altered });
    const forged = { ...proof, reading: { ...proof.reading, commitment: other } };
    expect(await anchors.verifyReading({ touchstone, proof: forged })).to.equal(false);
  });
});
