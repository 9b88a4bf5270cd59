import { spawnSync } from "node:child_process";
import { readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

import { expect } from "chai";

import { TouchstoneError } from "../../client/errors.js";
import { openSpool, type CutBatch, type Spool, type SpoolBinding } from "../../client/spool.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";

const ABOUT: SpoolBinding = { chainId: "31337", dataAnchor: "0x01", logId: "0x02", tree: "Keccak256" };
const START = { index: 3n, seq: 100n, lastMeasured: 7n, block: 12 };
const READING = { measuredAt: 2n ** 48n - 1n, contentFormat: 65_535, payload: Buffer.from("payload") };
const BATCH: CutBatch = {
  index: 3n,
  kind: "Data",
  firstSeq: 2n ** 60n,
  count: 2n ** 32n,
  tFirst: 1n,
  tLast: 2n ** 48n - 1n,
  supersedes: 0n,
  root: "0x12",
  firstReading: 1,
  readings: 2,
  bytes: 14,
};

const SPOOL = new URL("../../client/spool.ts", import.meta.url).href;

/** Runs a module in a process of its own. */
function inChild(before: string, script: string, argument: string): { stdout: string; stderr: string } {
  const command = `${before} exec "$0" --import tsx --input-type=module --eval "$1" "$2"`;
  return spawnSync("bash", ["-c", command, process.execPath, script, argument], { encoding: "utf8" });
}

describe("openSpool", () => {
  const fileIn = temporaryFolder();
  const opened: Spool[] = [];

  afterEach(() => {
    for (const spool of opened.splice(0)) spool.close();
  });

  async function open(options: Partial<Parameters<typeof openSpool>[0]> = {}): Promise<Spool> {
    const start = () => Promise.resolve(START);
    const spool = await openSpool({ path: fileIn("spool"), about: ABOUT, start, ...options });
    opened.push(spool);
    return spool;
  }

  function close(): void {
    opened.pop()?.close();
  }

  function fill(spool: Spool, count: number, first = 1): void {
    spool.write("readings", () => {
      for (let id = first; id < first + count; id++) spool.append(id, READING);
    });
  }

  it("begins with what the chain tells, once, for its owner's eyes", async () => {
    expect((await open()).start).to.deep.equal(START);
    close();
    expect((await open({ start: () => Promise.reject(new Error("asked again")) })).start).to.deep.equal(START);
    for (const suffix of ["", "-wal"]) {
      expect((await stat(`${fileIn("spool")}${suffix}`)).mode & 0o777).to.equal(0o600);
    }
  });

  it("is begun anew where it was not begun to its end", async () => {
    const start = () => Promise.reject(new TouchstoneError("CHAIN_UNREACHABLE", "nobody there"));
    await errorOf("CHAIN_UNREACHABLE", () => open({ start }));
    expect((await open()).start).to.deep.equal(START);
  });

  it("gives back what was written, large numbers and all", async () => {
    const spool = await open();
    const root = { height: 32, index: 0, seed: Buffer.alloc(16, 5) };
    const signed = {
      freshBlock: 2n ** 40n,
      freshHash: "0x01",
      deadline: 2n ** 40n - 1n,
      proof: { publicKey: "0x", signature: "0x03" },
    };
    const attempt = { nonce: 7, block: 12, transaction: "0x02", hash: undefined, firstIndex: 3n, count: 1 };
    const anchored = {
      index: 3n,
      block: 13,
      blockHash: "0x04",
      transactionHash: "0x05",
      timestamp: 2n ** 33n,
      author: "0x06",
      freshBlock: 5n,
      freshState: "TooOld",
    } as const;
    spool.write("all", () => {
      spool.append(1, READING);
      spool.append(2, READING);
      spool.setPosition("run file", "a");
      spool.setPosition("run file", "b");
      spool.putAside({
        code: "READING_LATE",
        message: "late",
        position: "p",
        raw: Buffer.from([0, 255]),
        measuredAt: 5n,
      });
      spool.addBatch(BATCH, [root]);
      spool.addSignature(3n, { ...signed, deadline: 1n });
      spool.addSignature(3n, signed);
      spool.addAttempt("0xaa", attempt);
      spool.addAttempt("0xbb", { ...attempt, nonce: 1 });
      spool.setAnchored(anchored);
    });
    close();
    const again = await open();
    expect(again.length).to.equal(2);
    const [first] = again.readings(1, 2);
    expect(first).to.deep.equal({ id: 1, ...READING, payload: new Uint8Array(READING.payload) });
    expect(again.positionOf("run file")).to.equal("b");
    expect(again.positionOf("other")).to.equal(undefined);
    expect([...again.aside()]).to.deep.equal([
      {
        number: 1,
        code: "READING_LATE",
        message: "late",
        position: "p",
        raw: new Uint8Array([0, 255]),
        measuredAt: 5n,
      },
    ]);
    expect(again.asides).to.equal(1);
    for (const batch of [again.batch(3n), again.lastBatch(), again.lastOfSequence(), again.batchWith(2n ** 60n + 1n)]) {
      expect(batch).to.deep.equal(BATCH);
    }
    expect(again.batchWith(2n ** 60n + 2n ** 32n)).to.equal(undefined);
    expect(again.seedsOf(3n)).to.deep.equal([{ ...root, seed: new Uint8Array(root.seed) }]);
    expect(again.signatureOf(3n)).to.deep.equal(signed);
    expect(again.openAttempts("0xaa")).to.deep.equal([{ id: 1, ...attempt }]);
    again.write("all", () => {
      again.setHash(1, "0xcc");
    });
    expect(again.openAttempts("0xaa")[0]).to.include({ hash: "0xcc" });
    expect(again.anchoredAt(3n)).to.deep.equal(anchored);
    expect([again.nextToAnchor, again.nextToSign, again.firstAnchoredSince(13)]).to.deep.equal([4n, 4n, 3n]);
  });

  it("gives the attempts of the lowest nonce, until they are closed, and again when they are opened again", async () => {
    const spool = await open();
    const attempt = { block: 1, transaction: "0x", hash: undefined, firstIndex: 3n, count: 1 };
    for (const nonce of [6, 5, 5]) spool.addAttempt("0xaa", { ...attempt, nonce });
    expect(spool.openAttempts("0xaa").map(({ id }) => id)).to.deep.equal([2, 3]);
    spool.closeAttempts("0xaa", 5, 20);
    expect(spool.openAttempts("0xaa").map(({ id }) => id)).to.deep.equal([1]);
    spool.closeAttempts("0xaa", 6, 21);
    expect(spool.lastClosed("0xaa")).to.equal(21);
    spool.reopenAttempts(21);
    expect(spool.openAttempts("0xaa").map(({ id }) => id)).to.deep.equal([1]);
    spool.reopenAttempts(20);
    expect(spool.openAttempts("0xaa").map(({ id }) => id)).to.deep.equal([2, 3]);
  });

  it("writes all or nothing", async () => {
    const spool = await open();
    expect(() => {
      spool.write("readings", () => {
        spool.append(1, READING);
        throw new Error("on the way");
      });
    }).to.throw("on the way");
    expect(spool.length).to.equal(0);
    fill(spool, 3);
    expect(spool.length).to.equal(3);
  });

  it("refuses to change, remove or leave out what was written", async () => {
    const spool = await open();
    fill(spool, 3);
    spool.write("all", () => {
      spool.addBatch(BATCH, []);
      spool.putAside({ code: "READING_INVALID", message: "", position: "", raw: new Uint8Array() });
    });
    await errorOf("SPOOL_FAILED", () => {
      spool.append(5, READING);
    });
    close();
    const database = new DatabaseSync(fileIn("spool"));
    for (const sql of [
      "UPDATE readings SET payload = x'00' WHERE id = 1",
      "UPDATE readings SET payload = zeroblob(7) WHERE id = 1",
      "UPDATE readings SET measured_at = 1 WHERE id = 1",
      "DELETE FROM readings WHERE id = 3",
      "INSERT INTO readings VALUES (2, 1, 1, x'00')",
      "INSERT INTO readings VALUES (9, 1, 1, x'00')",
      "UPDATE batches SET root = '0x'",
      "DELETE FROM batches",
      "INSERT INTO batches SELECT 9, kind, first_seq, count, t_first, t_last, supersedes, root, first_reading, readings, bytes FROM batches",
      "INSERT INTO batches SELECT 4, kind, first_seq, count, t_first, t_last, supersedes, root, 4, readings, bytes FROM batches",
      "DELETE FROM aside",
    ]) {
      expect(() => {
        database.exec(sql);
      }, sql).to.throw();
    }
    database.close();
  });

  it("is refused to a second one, in this process and in another", async () => {
    await open();
    await errorOf("SPOOL_LOCKED", () => open());
    // What is read here must not cost the lock: the system would take it from whoever closes the file.
    await readFile(fileIn("spool"));
    await symlink(fileIn("spool"), fileIn("same"));
    await errorOf("SPOOL_LOCKED", () => open({ path: fileIn("same") }));
    const script = `
      import { openSpool } from ${JSON.stringify(SPOOL)};
      await openSpool({ path: process.argv[1], about: ${JSON.stringify(ABOUT)} }).catch(({ code }) => console.log(code));`;
    const { stdout } = inChild("", script, fileIn("spool"));
    expect(stdout).to.equal("SPOOL_LOCKED\n");
    close();
    await open({ path: fileIn("same") });
  });

  it("is refused for other work, naming both", async () => {
    await open();
    close();
    for (const field of ["chainId", "dataAnchor", "logId", "tree"] as const) {
      const error = await errorOf("SPOOL_MISMATCH", () => open({ about: { ...ABOUT, [field]: "other" } }));
      expect(error.details).to.include({ path: fileIn("spool"), field, spool: ABOUT[field], given: "other" });
      expect(error.message).to.contain(ABOUT[field]).and.to.contain("other");
    }
  });

  it("is refused if it is none, and left as it was", async () => {
    await writeFile(fileIn("spool"), "this is a letter to somebody, and no database at all");
    await errorOf("SPOOL_INVALID", () => open());
    expect(await readFile(fileIn("spool"), "utf8")).to.contain("a letter");

    const other = new DatabaseSync(fileIn("other"));
    other.exec("CREATE TABLE letters (text TEXT)");
    other.close();
    const before = await readFile(fileIn("other"));
    await errorOf("SPOOL_INVALID", () => open({ path: fileIn("other") }));
    expect((await readFile(fileIn("other"))).equals(before)).to.equal(true);

    await open({ path: fileIn("newer") });
    close();
    const newer = new DatabaseSync(fileIn("newer"));
    newer.exec("PRAGMA user_version = 2");
    newer.close();
    expect((await errorOf("SPOOL_INVALID", () => open({ path: fileIn("newer") }))).message).to.contain("version 2");
  });

  it("says when it is damaged", async () => {
    const spool = await open();
    fill(spool, 2000);
    close();
    await truncate(fileIn("spool"), 20_000);
    await errorOf("SPOOL_INVALID", async () => {
      const damaged = await open();
      return [...damaged.readings(1, 2000)];
    });
  });

  it("is refused in a folder that is not there, or as one", async () => {
    await errorOf("FILE_MISSING", () => open({ path: fileIn("missing/spool") }));
    await errorOf("FILE_IS_DIRECTORY", () => open({ path: fileIn(".") }));
  });

  it("says when it is full, takes what comes when there is room, and keeps room for all else", async () => {
    const spool = await open({ maxBytes: 150_000 });
    const large = { ...READING, payload: Buffer.alloc(1000) };
    let length = 0;
    const error = await errorOf("SPOOL_FULL", () => {
      for (;;) {
        spool.write("readings", () => {
          spool.append(length + 1, large);
        });
        length++;
      }
    });
    expect(error.message).to.contain("full").and.to.contain("Nothing that was taken is lost");
    expect(spool.length).to.equal(length);
    spool.write("all", () => {
      for (let index = 0; index < 1000; index++) spool.setPosition(`source ${index}`, "x".repeat(100));
    });
    close();
    const larger = await open({ maxBytes: 1_000_000 });
    fill(larger, 1, length + 1);
    expect(larger.length).to.equal(length + 1);
  });

  it("loses nothing when its disk is full in the middle of it", async function () {
    this.timeout(20_000);
    // The system ends whoever writes more than it may to a file, unless it is asked to refuse instead.
    const script = `
      import { openSpool } from ${JSON.stringify(SPOOL)};
      process.on("SIGXFSZ", () => undefined);
      const spool = await openSpool({ path: process.argv[1], about: ${JSON.stringify(ABOUT)},
        start: async () => ({ index: 3n, seq: 100n, lastMeasured: 7n, block: 12 }) });
      let id = 0;
      try {
        for (;;) {
          spool.write("readings", () => {
            for (let place = 1; place <= 10; place++) {
              spool.append(id + place, { measuredAt: 1n, contentFormat: 0, payload: Buffer.alloc(1000) });
            }
          });
          id += 10;
        }
      } catch (error) {
        console.log(JSON.stringify({ id, code: error.code, message: error.message }));
      }`;
    const { stdout, stderr } = inChild("ulimit -f 2000;", script, fileIn("spool"));
    expect(stdout, stderr).to.match(/^\{/);
    const told = JSON.parse(stdout) as { id: number; code: string };
    expect(["SPOOL_FULL", "SPOOL_FAILED"]).to.include(told.code);
    expect(told.id).to.be.greaterThan(100);
    const again = await open();
    expect(again.length).to.equal(told.id);
    expect([...again.readings(1, told.id)].every(({ payload }) => payload.length === 1000)).to.equal(true);
    fill(again, 1, told.id + 1);
  });

  it("serves nobody after it was closed", async () => {
    const spool = await open();
    close();
    await errorOf("SPOOL_FAILED", () => spool.length);
  });
});
