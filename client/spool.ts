import type { DatabaseSync, StatementSync } from "node:sqlite";

import { metaIn, openDatabaseFile, type DatabaseKind } from "./database-files.js";
import { TouchstoneError } from "./errors.js";
import { anchorKinds, freshStates, nameOf, numberOf, type AnchorKind, type FreshState } from "./enumerations.js";
import type { KeyProof } from "./keys.js";
import type { SeedNode } from "./seed-tree.js";

// ------------------------------------------------------------------ what it holds

/** What a spool is about. One that is about anything else cannot be gone on with. */
export interface SpoolBinding {
  chainId: string;
  /** The contract. */
  dataAnchor: string;
  /** 32 bytes as 0x hex. */
  logId: string;
  tree: string;
}

/** Where the log ended when the spool was begun. */
export interface SpoolStart {
  /** Index of the first anchor that is made of the spool. */
  index: bigint;
  /** Sequence number of the first reading in the spool. */
  seq: bigint;
  /** Unix milliseconds of the latest measurement that the log had. */
  lastMeasured: bigint;
  /** The block at which this was so. */
  block: number;
}

/** A reading as the spool keeps it. */
export interface SpooledReading {
  /** Unix milliseconds. */
  measuredAt: bigint;
  contentFormat: number;
  payload: Uint8Array;
}

/** Why something that was read is no reading of the log. */
export type AsideCode =
  /** It is no reading: what it should have been cannot be told from it. */
  | "READING_INVALID"
  /** It was measured before what the log has already: it can go into another stream. */
  | "READING_LATE"
  /** Its time is more than an hour ahead of the clock. */
  | "READING_IN_FUTURE";

/** What was read and is kept, but is no reading of the log. */
export interface Aside {
  /** Counts from 1. */
  number: number;
  code: AsideCode;
  /** Names the value and the fix. */
  message: string;
  /** Where the source had it. */
  position: string;
  /** Exactly as it was read. */
  raw: Uint8Array;
  /** Unix milliseconds, if it could be told. */
  measuredAt?: bigint;
}

/** What is anchored, or will be, as one. From when it is in the spool on, it never changes. */
export interface CutBatch {
  /** Index of its anchor in the log. */
  index: bigint;
  kind: AnchorKind;
  firstSeq: bigint;
  count: bigint;
  tFirst: bigint;
  tLast: bigint;
  /** Index of the anchor that a correction corrects, else 0. */
  supersedes: bigint;
  /** 32 bytes as 0x hex. */
  root: string;
  /** Place of its first reading in the spool; the others follow. */
  firstReading: number;
  /** How many readings it has in the spool: none for a gap. */
  readings: number;
  /** Their payloads' bytes. */
  bytes: number;
}

/** What a device signed of a batch, and with it. */
export interface Signed {
  freshBlock: bigint;
  freshHash: string;
  deadline: bigint;
  proof: KeyProof;
}

/** Where the chain has an anchor. */
export interface Anchored {
  index: bigint;
  block: number;
  blockHash: string;
  transactionHash: string;
  /** Unix seconds. */
  timestamp: bigint;
  author: string;
  freshBlock: bigint;
  freshState: FreshState;
}

/** A transaction that may have been sent. Those with the same nonce are for the same batches, and at most one is mined. */
export interface SpooledAttempt {
  id: number;
  nonce: number;
  /** A block before the transaction. */
  block: number;
  /** Serialised; not signed if the signer's node signs what it sends. */
  transaction: string;
  hash: string | undefined;
  firstIndex: bigint;
  count: number;
}

// ------------------------------------------------------------------ the file

/**
 * What was written is overwritten only where a person's reading is erased, and then in place: rows keep their sizes, so that
 * SQLite never moves one and leaves a copy behind.
 */
const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE sources (name TEXT PRIMARY KEY, position TEXT NOT NULL) STRICT;
  CREATE TABLE readings (
    id INTEGER PRIMARY KEY,
    measured_at INTEGER NOT NULL,
    content_format INTEGER NOT NULL,
    payload BLOB NOT NULL
  ) STRICT;
  CREATE TABLE erased (reading INTEGER PRIMARY KEY, commitment BLOB NOT NULL) STRICT;
  CREATE TABLE aside (
    number INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    position TEXT NOT NULL,
    raw BLOB NOT NULL,
    measured_at INTEGER
  ) STRICT;
  CREATE TABLE batches (
    log_index INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    t_first INTEGER NOT NULL,
    t_last INTEGER NOT NULL,
    supersedes INTEGER NOT NULL,
    root TEXT NOT NULL,
    first_reading INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX batches_by_seq ON batches (first_seq);
  CREATE TABLE seeds (
    id INTEGER PRIMARY KEY,
    log_index INTEGER NOT NULL,
    height INTEGER NOT NULL,
    node INTEGER NOT NULL,
    seed BLOB NOT NULL
  ) STRICT;
  CREATE INDEX seeds_by_batch ON seeds (log_index);
  CREATE TABLE signatures (
    id INTEGER PRIMARY KEY,
    log_index INTEGER NOT NULL,
    fresh_block INTEGER NOT NULL,
    fresh_hash TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    public_key TEXT NOT NULL,
    signature TEXT NOT NULL
  ) STRICT;
  CREATE INDEX signatures_by_batch ON signatures (log_index);
  CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    block INTEGER NOT NULL,
    tx TEXT NOT NULL,
    hash TEXT,
    first_index INTEGER NOT NULL,
    count INTEGER NOT NULL,
    closed_at INTEGER
  ) STRICT;
  CREATE INDEX attempts_open ON attempts (sender, closed_at);
  CREATE TABLE anchored (
    log_index INTEGER PRIMARY KEY,
    block INTEGER NOT NULL,
    block_hash TEXT NOT NULL,
    tx_hash TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    author TEXT NOT NULL,
    fresh_block INTEGER NOT NULL,
    fresh_state INTEGER NOT NULL
  ) STRICT;

  CREATE TRIGGER readings_follow BEFORE INSERT ON readings
  WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM readings)
  BEGIN SELECT RAISE(ABORT, 'readings are appended'); END;
  CREATE TRIGGER readings_stay BEFORE DELETE ON readings
  BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
  CREATE TRIGGER readings_erase BEFORE UPDATE ON readings
  WHEN NEW.id IS NOT OLD.id OR NEW.measured_at IS NOT OLD.measured_at OR NEW.content_format IS NOT OLD.content_format
    OR NEW.payload IS NOT zeroblob(length(OLD.payload))
    OR NOT EXISTS (SELECT 1 FROM erased WHERE reading = OLD.id)
  BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
  CREATE TRIGGER batches_follow BEFORE INSERT ON batches
  WHEN NEW.log_index IS NOT (SELECT max(log_index) + 1 FROM batches) AND EXISTS (SELECT 1 FROM batches)
  BEGIN SELECT RAISE(ABORT, 'batches are appended'); END;
  CREATE TRIGGER batches_leave_none_out BEFORE INSERT ON batches
  WHEN NEW.first_reading IS NOT
    coalesce((SELECT first_reading + readings FROM batches ORDER BY log_index DESC LIMIT 1), 1)
  BEGIN SELECT RAISE(ABORT, 'batches leave out no reading'); END;
  CREATE TRIGGER batches_stay BEFORE DELETE ON batches
  BEGIN SELECT RAISE(ABORT, 'batches never change'); END;
  CREATE TRIGGER batches_keep BEFORE UPDATE ON batches
  BEGIN SELECT RAISE(ABORT, 'batches never change'); END;
  CREATE TRIGGER aside_stays BEFORE DELETE ON aside
  BEGIN SELECT RAISE(ABORT, 'what was put aside stays'); END;
`;

const PAGE_BYTES = 4096;
/** What the anchoring may take when the readings have filled the spool: it is what makes the readings final. */
const RESERVE_BYTES = 16 * 2 ** 20;
/** The largest number of pages that SQLite takes. */
const MAX_PAGES = 4_294_967_294;
/** Rows that are read at once: nothing stays open between them. */
const ROWS_AT_ONCE = 512;

/**
 * Opens a spool, or begins one if there is none. While it is open no other process can open it. Next to it lie the file
 * `<path>-wal`, which belongs to it, and the empty file `<path>.lock`.
 *
 * @param options.start Says where the log ends, when a spool is begun.
 * @param options.maxBytes Of the file that readings may fill; as much as the disk has unless told.
 * @throws TouchstoneError
 *   - SPOOL_LOCKED if another process has it open;
 *   - SPOOL_MISMATCH if it is about something else, with what in `details`; SPOOL_INVALID if it is damaged or none;
 *   - FILE_MISSING (its folder), FILE_IS_DIRECTORY, FILE_UNREADABLE, INVALID_ARGUMENT, SPOOL_FULL, SPOOL_FAILED;
 *   - whatever `start` throws.
 */
export async function openSpool(options: {
  path: string;
  about: SpoolBinding;
  start: () => Promise<SpoolStart>;
  maxBytes?: number | undefined;
}): Promise<Spool> {
  const { path, about, start, maxBytes } = options;
  return openDatabaseFile({
    path,
    kind: SPOOL,
    begin: async () => {
      const { index, seq, lastMeasured, block } = await start();
      return { ...about, index: `${index}`, seq: `${seq}`, lastMeasured: `${lastMeasured}`, block: `${block}` };
    },
    use: (database, unlock) => new Spool({ database, unlock, path, about, maxBytes }),
  });
}

const SPOOL: DatabaseKind = {
  applicationId: 0x5453_5031,
  version: 1,
  schema: SCHEMA,
  locked,
  unlockable: (path, cause) => failed(path, String(cause), cause),
  foreign: (path, version) => {
    const what = version === undefined ? "is no spool" : `is a spool of version ${version}`;
    return new TouchstoneError(
      "SPOOL_INVALID",
      `${path} ${what}: give another path, or use the client that wrote it.`,
      {
        details: { path, version },
      },
    );
  },
  failed: spoolError,
};

/**
 * A database of readings and what became of them. What `write` made is on the disk when it returns, all of it or nothing.
 * Every function throws SPOOL_FULL, SPOOL_FAILED or SPOOL_INVALID.
 */
export class Spool {
  readonly path: string;
  readonly start: SpoolStart;
  readonly #database: DatabaseSync;
  readonly #unlock: () => void;
  readonly #statements = new Map<string, StatementSync>();
  readonly #maxPages: { readings: number; all: number };
  #pagesNow = 0;
  #isWriting = false;
  #broken: TouchstoneError | undefined;

  constructor(options: {
    database: DatabaseSync;
    /** Lets others open it. */
    unlock: () => void;
    path: string;
    about: SpoolBinding;
    maxBytes: number | undefined;
  }) {
    const { database, unlock, path, about, maxBytes } = options;
    this.#database = database;
    this.#unlock = unlock;
    this.path = path;
    const meta = metaIn(database);
    requireSame(path, meta, about);
    const number = (key: string): bigint => {
      const value = meta.get(key);
      if (value === undefined || !/^\d+$/.test(value)) throw damaged(path, `it does not say its ${key}`);
      return BigInt(value);
    };
    this.start = {
      index: number("index"),
      seq: number("seq"),
      lastMeasured: number("lastMeasured"),
      block: Number(number("block")),
    };
    const pages = maxBytes === undefined ? MAX_PAGES : Math.max(1, Math.floor(maxBytes / PAGE_BYTES));
    this.#maxPages = { readings: pages, all: Math.min(MAX_PAGES, pages + RESERVE_BYTES / PAGE_BYTES) };
  }

  /**
   * Makes what `act` writes durable, all at once, or nothing of it.
   *
   * @param what Readings may take the room that is theirs; all else may take what is kept for it too.
   */
  write<T>(what: "readings" | "all", act: () => T): T {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#isWriting) return act();
    return this.#doing(() => {
      this.#limit(this.#maxPages[what]);
      this.#database.exec("BEGIN IMMEDIATE");
      this.#isWriting = true;
      try {
        const result = act();
        this.#database.exec("COMMIT");
        return result;
      } catch (error) {
        this.#rollBack();
        throw error;
      } finally {
        this.#isWriting = false;
      }
    });
  }

  close(): void {
    this.#statements.clear();
    this.#broken = new TouchstoneError("SPOOL_FAILED", `The spool ${this.path} is closed: open it again.`, {
      details: { path: this.path },
    });
    this.#database.close();
    this.#unlock();
  }

  // ---------------------------------------------------------------- readings

  /** The number of readings; the last one has this id. */
  get length(): number {
    return Number(this.#get("SELECT coalesce(max(id), 0) AS value FROM readings")?.value ?? 0);
  }

  append(id: number, { measuredAt, contentFormat, payload }: SpooledReading): void {
    this.#run("INSERT INTO readings VALUES (?, ?, ?, ?)", id, measuredAt, contentFormat, payload);
  }

  /** Readings in their order, from one on. */
  *readings(first: number, count: number): Generator<SpooledReading & { id: number; erased?: Uint8Array }> {
    const sql = `SELECT id, measured_at, content_format, payload, commitment FROM readings
      LEFT JOIN erased ON reading = id WHERE id BETWEEN ? AND ? ORDER BY id`;
    for (let from = first; from < first + count; from += ROWS_AT_ONCE) {
      const to = Math.min(first + count, from + ROWS_AT_ONCE) - 1;
      const rows = this.#all(sql, from, to) as unknown as ReadingRow[];
      if (rows.length !== to - from + 1) throw damaged(this.path, `it lacks one of the readings ${from} to ${to}`);
      for (const { id, measured_at, content_format, payload, commitment } of rows) {
        const reading = { id, measuredAt: BigInt(measured_at), contentFormat: content_format, payload };
        yield commitment === null ? reading : { ...reading, erased: commitment };
      }
    }
  }

  positionOf(source: string): string | undefined {
    return this.#get("SELECT position FROM sources WHERE name = ?", source)?.position as string | undefined;
  }

  setPosition(source: string, position: string): void {
    const sql = "INSERT INTO sources VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET position = ?2";
    this.#run(sql, source, position);
  }

  putAside({ code, message, position, raw, measuredAt }: Omit<Aside, "number">): void {
    const sql = "INSERT INTO aside (code, message, position, raw, measured_at) VALUES (?, ?, ?, ?, ?)";
    this.#run(sql, code, message, position, raw, measuredAt ?? null);
  }

  /** How much is kept aside. */
  get asides(): number {
    return Number(this.#get("SELECT coalesce(max(number), 0) AS value FROM aside")?.value ?? 0);
  }

  *aside(): Generator<Aside> {
    for (let last = 0; ;) {
      const rows = this.#all("SELECT * FROM aside WHERE number > ? ORDER BY number LIMIT 64", last);
      if (rows.length === 0) return;
      for (const row of rows as unknown as AsideRow[]) {
        const { code, message, position, raw, measured_at } = row;
        const number = Number(row.number);
        last = number;
        const told = measured_at === null ? {} : { measuredAt: BigInt(measured_at) };
        yield { number, code, message, position, raw, ...told };
      }
    }
  }

  // ---------------------------------------------------------------- batches

  addBatch(batch: CutBatch, seeds: readonly SeedNode[]): void {
    const { index, kind, firstSeq, count, tFirst, tLast, supersedes, root, firstReading, readings, bytes } = batch;
    const sql = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const kindNumber = numberOf(anchorKinds, kind);
    this.#run(sql, index, kindNumber, firstSeq, count, tFirst, tLast, supersedes, root, firstReading, readings, bytes);
    this.#addSeeds(index, seeds);
  }

  batch(index: bigint): CutBatch | undefined {
    return this.#batches("WHERE log_index = ?", index)[0];
  }

  lastBatch(): CutBatch | undefined {
    return this.#batches("ORDER BY log_index DESC LIMIT 1")[0];
  }

  /** The latest batch that moved the head of the log. */
  lastOfSequence(): CutBatch | undefined {
    return this.#batches("WHERE kind <> ? ORDER BY log_index DESC LIMIT 1", numberOf(anchorKinds, "Correction"))[0];
  }

  /** Batches in their order, from one on. */
  batchesFrom(index: bigint, most: number): CutBatch[] {
    return this.#batches("WHERE log_index >= ? ORDER BY log_index LIMIT ?", index, most);
  }

  /** The batches that have a reading: the first, and those that correct it. */
  batchesWith(seq: bigint): CutBatch[] {
    return this.#batches("WHERE readings > 0 AND first_seq <= ?1 AND first_seq + count > ?1 ORDER BY log_index", seq);
  }

  /** The latest batches that have any of these readings, gaps and corrections too, in their order. */
  batchesAmong(firstSeq: bigint, past: bigint, most: number): CutBatch[] {
    const where = "WHERE first_seq < ? AND first_seq + count > ? ORDER BY log_index DESC LIMIT ?";
    return this.#batches(where, past, firstSeq, most).reverse();
  }

  /** The batch in which a reading was first anchored, or declared lost; corrections of it are others. */
  batchWith(seq: bigint): CutBatch | undefined {
    const where = "WHERE first_seq <= ? AND kind <> ? ORDER BY first_seq DESC, log_index DESC LIMIT 1";
    const [found] = this.#batches(where, seq, numberOf(anchorKinds, "Correction"));
    return found !== undefined && seq < found.firstSeq + found.count ? found : undefined;
  }

  /** What the batches from one on weigh. */
  weightFrom(index: bigint): { readings: number; bytes: number } {
    const sql = "SELECT total(readings) AS readings, total(bytes) AS bytes FROM batches WHERE log_index >= ?";
    const row = this.#get(sql, index);
    return { readings: Number(row?.readings ?? 0), bytes: Number(row?.bytes ?? 0) };
  }

  seedsOf(index: bigint): SeedNode[] {
    const sql = "SELECT height, node, seed FROM seeds WHERE log_index = ? AND seed <> zeroblob(16) ORDER BY id";
    const rows = this.#all(sql, index) as unknown as { height: Whole; node: Whole; seed: Uint8Array }[];
    return rows.map(({ height, node, seed }) => ({ height: Number(height), index: Number(node), seed }));
  }

  /**
   * Overwrites a reading's payload, and the seeds of its batch by others that do not lead to its salt. What stays is its
   * commitment, and how long its payload was.
   */
  erase(options: { id: number; index: bigint; commitment: Uint8Array; seeds: readonly SeedNode[] }): void {
    const { id, index, commitment, seeds } = options;
    this.write("all", () => {
      const old = this.seedsOf(index);
      this.#run("INSERT OR IGNORE INTO erased VALUES (?, ?)", id, commitment);
      this.#run("UPDATE readings SET payload = zeroblob(length(payload)) WHERE id = ?", id);
      const isIn = (nodes: readonly SeedNode[], { height, index: node }: SeedNode): boolean =>
        nodes.some((other) => other.height === height && other.index === node);
      for (const node of old.filter((seed) => !isIn(seeds, seed))) {
        const sql = "UPDATE seeds SET seed = zeroblob(16) WHERE log_index = ? AND height = ? AND node = ?";
        this.#run(sql, index, node.height, node.index);
      }
      this.#addSeeds(
        index,
        seeds.filter((seed) => !isIn(old, seed)),
      );
    });
  }

  /** Empties the file of what was written last, which has what was erased still. */
  clear(): void {
    this.#doing(() => {
      const { busy } = this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
      if (busy !== 0) throw failed(this.path, "what was erased could not be cleared yet");
    });
  }

  #addSeeds(index: bigint, seeds: readonly SeedNode[]): void {
    for (const { height, index: node, seed } of seeds) {
      const sql = "INSERT INTO seeds (log_index, height, node, seed) VALUES (?, ?, ?, ?)";
      this.#run(sql, index, height, node, seed);
    }
  }

  #batches(where: string, ...values: (bigint | number)[]): CutBatch[] {
    const rows = this.#all(`SELECT * FROM batches ${where}`, ...values) as unknown as BatchRow[];
    return rows.map((row) => ({
      index: BigInt(row.log_index),
      kind: nameOf(anchorKinds, BigInt(row.kind)),
      firstSeq: BigInt(row.first_seq),
      count: BigInt(row.count),
      tFirst: BigInt(row.t_first),
      tLast: BigInt(row.t_last),
      supersedes: BigInt(row.supersedes),
      root: row.root,
      firstReading: Number(row.first_reading),
      readings: Number(row.readings),
      bytes: Number(row.bytes),
    }));
  }

  // ---------------------------------------------------------------- signing and sending

  addSignature(index: bigint, { freshBlock, freshHash, deadline, proof }: Signed): void {
    const sql = `INSERT INTO signatures (log_index, fresh_block, fresh_hash, deadline, public_key, signature)
      VALUES (?, ?, ?, ?, ?, ?)`;
    this.#run(sql, index, freshBlock, freshHash, deadline, proof.publicKey, proof.signature);
  }

  /** The latest one. */
  signatureOf(index: bigint): Signed | undefined {
    const row = this.#get("SELECT * FROM signatures WHERE log_index = ? ORDER BY id DESC LIMIT 1", index);
    if (row === undefined) return undefined;
    const { fresh_block, fresh_hash, deadline, public_key, signature } = row as unknown as SignatureRow;
    return {
      freshBlock: BigInt(fresh_block),
      freshHash: fresh_hash,
      deadline: BigInt(deadline),
      proof: { publicKey: public_key, signature },
    };
  }

  /** Index behind the last batch that is signed. */
  get nextToSign(): bigint {
    const row = this.#get("SELECT max(log_index) + 1 AS value FROM signatures");
    return typeof row?.value === "bigint" ? row.value : this.start.index;
  }

  addAttempt(sender: string, attempt: Omit<SpooledAttempt, "id">): void {
    const { nonce, block, transaction, hash, firstIndex, count } = attempt;
    const sql = `INSERT INTO attempts (sender, nonce, block, tx, hash, first_index, count) VALUES (?, ?, ?, ?, ?, ?, ?)`;
    this.#run(sql, sender, nonce, block, transaction, hash ?? null, firstIndex, count);
  }

  setHash(id: number, hash: string): void {
    this.#run("UPDATE attempts SET hash = ? WHERE id = ?", hash, id);
  }

  /** The sender's attempts with the lowest nonce of which it is not known what became of it. */
  openAttempts(sender: string): SpooledAttempt[] {
    const sql = `SELECT * FROM attempts WHERE sender = ?1 AND closed_at IS NULL
      AND nonce = (SELECT min(nonce) FROM attempts WHERE sender = ?1 AND closed_at IS NULL) ORDER BY id`;
    const rows = this.#all(sql, sender) as unknown as AttemptRow[];
    return rows.map(({ id, nonce, block, tx, hash, first_index, count }) => ({
      id: Number(id),
      nonce: Number(nonce),
      block: Number(block),
      transaction: tx,
      hash: hash ?? undefined,
      firstIndex: BigInt(first_index),
      count: Number(count),
    }));
  }

  /** @param block Until which block the nonce was used. */
  closeAttempts(sender: string, nonce: number, block: number): void {
    const sql = "UPDATE attempts SET closed_at = ? WHERE sender = ? AND nonce = ? AND closed_at IS NULL";
    this.#run(sql, block, sender, nonce);
  }

  /** The last block in which one of the sender's nonces was used. */
  lastClosed(sender: string): number {
    const sql = "SELECT coalesce(max(closed_at), 0) AS block FROM attempts WHERE sender = ?";
    return Number(this.#get(sql, sender)?.block ?? 0);
  }

  /** The chain took back the blocks from this one on: what was mined there may be mined again. */
  reopenAttempts(block: number): void {
    this.#run("UPDATE attempts SET closed_at = NULL WHERE closed_at >= ?", block);
  }

  // ---------------------------------------------------------------- anchored

  setAnchored(anchored: Anchored): void {
    const { index, block, blockHash, transactionHash, timestamp, author, freshBlock, freshState } = anchored;
    const sql = "INSERT OR REPLACE INTO anchored VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    const state = numberOf(freshStates, freshState);
    this.#run(sql, index, block, blockHash, transactionHash, timestamp, author, freshBlock, state);
  }

  /** The chain took back the anchors from this one on. */
  forgetAnchored(index: bigint): void {
    this.#run("DELETE FROM anchored WHERE log_index >= ?", index);
  }

  anchoredAt(index: bigint): Anchored | undefined {
    return this.#anchored("WHERE log_index = ?", index)[0];
  }

  /** Those in this block or a later one, the latest first. */
  anchoredSince(block: number, most: number): Anchored[] {
    return this.#anchored("WHERE block >= ? ORDER BY log_index DESC LIMIT ?", block, most);
  }

  /** Index of the first batch that is not anchored. */
  get nextToAnchor(): bigint {
    const row = this.#get("SELECT max(log_index) + 1 AS value FROM anchored");
    return typeof row?.value === "bigint" ? row.value : this.start.index;
  }

  /** Index of the first batch that was not anchored before this block. */
  firstAnchoredSince(block: number): bigint {
    const row = this.#get("SELECT max(log_index) + 1 AS value FROM anchored WHERE block < ?", block);
    return typeof row?.value === "bigint" ? row.value : this.start.index;
  }

  #anchored(where: string, ...values: (bigint | number)[]): Anchored[] {
    const rows = this.#all(`SELECT * FROM anchored ${where}`, ...values) as unknown as AnchoredRow[];
    return rows.map((row) => ({
      index: BigInt(row.log_index),
      block: Number(row.block),
      blockHash: row.block_hash,
      transactionHash: row.tx_hash,
      timestamp: BigInt(row.timestamp),
      author: row.author,
      freshBlock: BigInt(row.fresh_block),
      freshState: nameOf(freshStates, BigInt(row.fresh_state)),
    }));
  }

  // ---------------------------------------------------------------- SQLite

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      // Sequence numbers may be larger than numbers are exact; for the many readings they would only be slow.
      if (!sql.includes("FROM readings\n")) statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, ...values: SqlValue[]): void {
    this.#doing(() => this.#statement(sql).run(...values));
  }

  #get(sql: string, ...values: SqlValue[]): Record<string, unknown> | undefined {
    return this.#doing(() => this.#statement(sql).get(...values));
  }

  #all(sql: string, ...values: SqlValue[]): Record<string, unknown>[] {
    return this.#doing(() => this.#statement(sql).all(...values));
  }

  #doing<T>(act: () => T): T {
    if (this.#broken !== undefined) throw this.#broken;
    try {
      return act();
    } catch (error) {
      const failure = spoolError(this.path, error);
      // What a disk that failed has, only opening the spool again can tell.
      if (failure instanceof TouchstoneError && failure.code === "SPOOL_FAILED") this.#broken = failure;
      throw failure;
    }
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite rolled back by itself, as it does when the disk is full.
    }
  }

  #limit(pages: number): void {
    if (pages === this.#pagesNow) return;
    this.#database.exec(`PRAGMA max_page_count = ${pages}`);
    this.#pagesNow = pages;
  }
}

type SqlValue = string | number | bigint | Uint8Array | null;

interface ReadingRow {
  id: number;
  measured_at: number;
  content_format: number;
  payload: Uint8Array;
  commitment: Uint8Array | null;
}

interface AsideRow {
  number: Whole;
  code: AsideCode;
  message: string;
  position: string;
  raw: Uint8Array;
  measured_at: Whole | null;
}

type Whole = number | bigint;

interface BatchRow extends Record<Exclude<keyof CutBatch, "index" | "root">, Whole> {
  log_index: Whole;
  first_seq: Whole;
  t_first: Whole;
  t_last: Whole;
  first_reading: Whole;
  root: string;
}

interface SignatureRow {
  fresh_block: Whole;
  fresh_hash: string;
  deadline: Whole;
  public_key: string;
  signature: string;
}

interface AttemptRow {
  id: Whole;
  nonce: Whole;
  block: Whole;
  tx: string;
  hash: string | null;
  first_index: Whole;
  count: Whole;
}

interface AnchoredRow {
  log_index: Whole;
  block: Whole;
  block_hash: string;
  tx_hash: string;
  timestamp: Whole;
  author: string;
  fresh_block: Whole;
  fresh_state: Whole;
}

// ------------------------------------------------------------------ errors

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOT_A_DATABASE = 26;

/** An error of SQLite as one of Touchstone; any other error is returned as it is. */
function spoolError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("errcode" in error)) return error;
  const options = { details: { path }, cause: error };
  switch (Number(error.errcode) & 0xff) {
    case SQLITE_BUSY:
      return locked(path, error);
    case SQLITE_FULL:
      return new TouchstoneError(
        "SPOOL_FULL",
        `The spool ${path} is full: make room on its disk, or raise limits.diskBytes. Nothing that was taken is lost, and ` +
          "nothing more was taken: it goes on from there once there is room.",
        options,
      );
    case SQLITE_CORRUPT:
    case SQLITE_NOT_A_DATABASE:
      return damaged(path, error.message, error);
    default:
      return failed(path, error.message, error);
  }
}

function locked(path: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError(
    "SPOOL_LOCKED",
    `Someone else works with ${path} now: wait until they have ended, or give another path for another log.`,
    { details: { path }, cause },
  );
}

function damaged(path: string, reason: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError(
    "SPOOL_INVALID",
    `${path} is no spool, or damaged (${reason}): give another path, or restore the file as it was.`,
    { details: { path }, cause },
  );
}

function failed(path: string, reason: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError(
    "SPOOL_FAILED",
    `The spool ${path} cannot be written (${reason}): see whether its disk or quota is full, or fails, and open it again. ` +
      "Nothing that was taken is lost.",
    { details: { path }, cause },
  );
}

const WORDS: Record<keyof SpoolBinding, string> = {
  chainId: "on the chain",
  dataAnchor: "in the DataAnchor",
  logId: "of the log",
  tree: "with trees of",
};

function requireSame(path: string, meta: ReadonlyMap<string, string>, given: SpoolBinding): void {
  for (const field of Object.keys(WORDS) as (keyof SpoolBinding)[]) {
    const spool = meta.get(field);
    if (spool === given[field]) continue;
    throw new TouchstoneError(
      "SPOOL_MISMATCH",
      `The spool ${path} holds readings ${WORDS[field]} ${spool ?? "unknown"}, and not ${given[field]}: give exactly what it ` +
        "was begun with, or another path.",
      { details: { path, field, spool, given: given[field] } },
    );
  }
}
