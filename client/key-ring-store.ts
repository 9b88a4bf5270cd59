import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";
import type { DatabaseSync, SQLInputValue } from "node:sqlite";

import { z } from "zod";

import { FOREVER } from "./arguments.js";
import { metaIn, openDatabaseFile, type DatabaseKind } from "./database-files.js";
import { TouchstoneError } from "./errors.js";
import { dataClasses, newDataKey, placeBytes, type DataClass, type DataKey } from "./sealing.js";

/** What a key ring is about. One that is about anything else cannot be gone on with. */
export interface KeyRingBinding {
  chainId: string;
  dataAccess: string;
  /** Owner of the devices: an account or a fleet. */
  owner: string;
}

/** A data key in the ring. */
export interface StoredKey {
  row: number;
  key: DataKey;
  /** Whether it seals no more. */
  isClosed: boolean;
}

const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    class INTEGER NOT NULL,
    key_epoch INTEGER NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    secret BLOB NOT NULL,
    leased INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    UNIQUE (device, epoch, class, key_epoch)
  ) STRICT;
  CREATE UNIQUE INDEX keys_present ON keys (device, class) WHERE closed = 0;
  CREATE TABLE holders (
    key INTEGER NOT NULL,
    account TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (key, account)
  ) STRICT;
  CREATE TABLE envelopes (
    key INTEGER NOT NULL,
    account TEXT NOT NULL,
    recipient TEXT NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (key, account)
  ) STRICT;

  CREATE TRIGGER keys_stay BEFORE DELETE ON keys
  BEGIN SELECT RAISE(ABORT, 'keys are never deleted'); END;
  CREATE TRIGGER keys_keep BEFORE UPDATE ON keys
  WHEN NEW.secret IS NOT OLD.secret OR NEW.key_id IS NOT OLD.key_id OR NEW.device IS NOT OLD.device
    OR NEW.epoch IS NOT OLD.epoch OR NEW.class IS NOT OLD.class OR NEW.key_epoch IS NOT OLD.key_epoch
    OR NEW.leased < OLD.leased OR NEW.closed < OLD.closed
  BEGIN SELECT RAISE(ABORT, 'keys never change'); END;
`;

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_LABEL = Buffer.from("Touchstone.key-ring.v1", "ascii");

/** What OWASP's cheat sheet on storing passwords asks of scrypt: 128 MiB and some tenths of a second. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 };
const SCRYPT_MEMORY = 256 * 2 ** 20;

const base64 = z.base64();
const lockSchema = z.discriminatedUnion("kdf", [
  z.object({ kdf: z.literal("none"), key: base64 }),
  z.object({
    kdf: z.literal("scrypt"),
    // What takes more memory than SCRYPT_MEMORY is refused here, as scrypt refuses what is no power of two.
    N: z
      .int()
      .min(2)
      .max(SCRYPT.N)
      .refine((N) => Number.isInteger(Math.log2(N))),
    r: z.int().min(1).max(SCRYPT.r),
    p: z.int().min(1).max(16),
    salt: base64,
    key: base64,
  }),
]);

/** The file of a key ring. While it is open no other process can open it. */
export class KeyRingStore {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #unlock: () => void;
  readonly #binding: KeyRingBinding;
  readonly #fileKey: Buffer;
  #isOpen = true;

  private constructor(options: {
    path: string;
    database: DatabaseSync;
    unlock: () => void;
    binding: KeyRingBinding;
    fileKey: Buffer;
  }) {
    this.path = options.path;
    this.#database = options.database;
    this.#unlock = options.unlock;
    this.#binding = options.binding;
    this.#fileKey = options.fileKey;
  }

  /** @throws TouchstoneError as openKeyRing says. */
  static async open(options: {
    path: string;
    binding: KeyRingBinding;
    secret: string | Uint8Array | undefined;
  }): Promise<KeyRingStore> {
    const { path, binding, secret } = options;
    return openDatabaseFile({
      path,
      kind: KEY_RING,
      begin: () => ({ ...binding, lock: JSON.stringify(newLock(secret)) }),
      use: (database, unlock) => {
        const meta = metaIn(database);
        requireSame(path, meta, binding);
        const fileKey = unlockFileKey(path, meta.get("lock"), secret);
        return new KeyRingStore({ path, database, unlock, binding, fileKey });
      },
    });
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#fileKey.fill(0);
    this.#database.close();
    this.#unlock();
  }

  /** Makes what `act` writes durable, all at once, or nothing of it. */
  write<T>(act: () => T): T {
    return this.#doing(() => {
      this.#database.exec("BEGIN IMMEDIATE");
      try {
        const result = act();
        this.#database.exec("COMMIT");
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
        throw error;
      }
    });
  }

  // ---------------------------------------------------------------- keys

  addKey(key: DataKey): number {
    const secret = this.#seal(key);
    const { lastInsertRowid } = this.#run(
      "INSERT INTO keys (device, epoch, class, key_epoch, key_id, secret, leased, closed) VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
      key.device,
      key.epoch,
      dataClasses.indexOf(key.dataClass),
      key.keyEpoch,
      key.id,
      secret,
    );
    return Number(lastInsertRowid);
  }

  /** It seals no more, and nobody is held to have it alone. */
  closeKey(row: number): void {
    this.#run("UPDATE keys SET closed = 1 WHERE id = ?", row);
    this.#run("DELETE FROM holders WHERE key = ?", row);
  }

  /** Readings up to this count may have been sealed with it. */
  lease(row: number, count: number): void {
    this.#run("UPDATE keys SET leased = ? WHERE id = ?", count, row);
  }

  presentKey(device: string, dataClass: DataClass): StoredKey | undefined {
    const place = [device, dataClasses.indexOf(dataClass)];
    return this.#keys("device = ? AND class = ? AND closed = 0", ...place)[0];
  }

  keysOf(device: string, epoch: bigint, dataClass: DataClass): StoredKey[] {
    return this.#keys("device = ? AND epoch = ? AND class = ?", device, epoch, dataClasses.indexOf(dataClass));
  }

  keyNamed(id: string): StoredKey | undefined {
    return this.#keys("key_id = ?", id)[0];
  }

  // ---------------------------------------------------------------- who has them

  /** Accounts to which the key was or will be given while it is the present one, and Unix seconds until when. */
  holdersOf(row: number): Map<string, bigint> {
    const rows = this.#all("SELECT account, until FROM holders WHERE key = ?", row);
    return new Map(rows.map(({ account, until }) => [String(account), BigInt(Number(until))]));
  }

  /** Unix seconds of the first moment at which a holder of a present key loses it, unless that is for ever. */
  firstEnd(): bigint | undefined {
    const [row] = this.#all("SELECT min(until) AS until FROM holders WHERE until < ?", FOREVER);
    return typeof row?.until === "number" ? BigInt(row.until) : undefined;
  }

  setHolder(row: number, account: string, until: bigint): void {
    this.#run("INSERT OR REPLACE INTO holders VALUES (?, ?, ?)", row, account, until);
  }

  // ---------------------------------------------------------------- envelopes

  /** Ids of the recipients' keys by account. */
  recipientsOf(row: number): Map<string, string> {
    const rows = this.#all("SELECT account, recipient FROM envelopes WHERE key = ?", row);
    return new Map(rows.map(({ account, recipient }) => [String(account), String(recipient)]));
  }

  setEnvelope(row: number, account: string, recipient: string, envelope: Uint8Array): void {
    this.#run("INSERT OR REPLACE INTO envelopes VALUES (?, ?, ?, ?)", row, account, recipient, envelope);
  }

  removeEnvelope(row: number, account: string): void {
    this.#run("DELETE FROM envelopes WHERE key = ? AND account = ?", row, account);
  }

  /** Of all epochs of the device but this one. */
  removeFormerEnvelopes(device: string, epoch: bigint): void {
    this.#run(
      "DELETE FROM envelopes WHERE key IN (SELECT id FROM keys WHERE device = ? AND epoch <> ?)",
      device,
      epoch,
    );
  }

  envelopes(filter: { device?: string | undefined; account?: string | undefined }): Uint8Array[] {
    const { device = null, account = null } = filter;
    const sql = `SELECT envelope FROM envelopes JOIN keys ON keys.id = envelopes.key
      WHERE (?1 IS NULL OR device = ?1) AND (?2 IS NULL OR account = ?2) ORDER BY keys.id, account`;
    return this.#all(sql, device, account).map(({ envelope }) => envelope as Uint8Array);
  }

  // ---------------------------------------------------------------- time

  /** Unix seconds: the latest time that was ever seen. */
  get seen(): bigint {
    const [row] = this.#all("SELECT value FROM meta WHERE key = 'seen'");
    return BigInt((row?.value ?? "0") as string);
  }

  set seen(time: bigint) {
    this.#run("INSERT OR REPLACE INTO meta VALUES ('seen', ?)", `${time}`);
  }

  // ---------------------------------------------------------------- private

  #keys(condition: string, ...values: SQLInputValue[]): StoredKey[] {
    const rows = this.#all(`SELECT * FROM keys WHERE ${condition} ORDER BY epoch, key_epoch`, ...values);
    return rows.map((row) => {
      const place = {
        chainId: BigInt(this.#binding.chainId),
        dataAccess: this.#binding.dataAccess,
        device: String(row.device),
        epoch: BigInt(Number(row.epoch)),
        dataClass: dataClasses[Number(row.class)] ?? "readings",
        keyEpoch: Number(row.key_epoch),
      };
      const bytes = Buffer.from(row.secret as Uint8Array);
      const secret = openBytes(this.#fileKey, Buffer.concat([KEY_LABEL, placeBytes(place)]), bytes);
      if (secret === undefined) throw damaged(this.path, `key ${String(row.key_id)} does not open`);
      const key = newDataKey({ ...place, secret });
      if (key.id !== row.key_id) throw damaged(this.path, `key ${String(row.key_id)} is another`);
      key.sealed = Number(row.leased);
      return { row: Number(row.id), key, isClosed: row.closed === 1 };
    });
  }

  #seal(key: DataKey): Buffer {
    return sealBytes(this.#fileKey, Buffer.concat([KEY_LABEL, placeBytes(key)]), key.secret);
  }

  #all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#doing(() => this.#database.prepare(sql).all(...values));
  }

  #run(sql: string, ...values: SQLInputValue[]): { lastInsertRowid: number | bigint } {
    return this.#doing(() => this.#database.prepare(sql).run(...values));
  }

  #doing<T>(act: () => T): T {
    if (!this.#isOpen) {
      throw new TouchstoneError("KEY_RING_FAILED", `The key ring ${this.path} is closed: open it again.`, {
        details: { path: this.path },
      });
    }
    try {
      return act();
    } catch (error) {
      throw ringError(this.path, error);
    }
  }
}

// ------------------------------------------------------------------ the file

const KEY_RING: DatabaseKind = {
  applicationId: 0x5453_4b31,
  version: 1,
  schema: SCHEMA,
  locked: (path) =>
    new TouchstoneError("KEY_RING_LOCKED", `Another process has the key ring ${path} open: end it first.`, {
      details: { path },
    }),
  unlockable: ringError,
  foreign: (path, version) =>
    damaged(path, version === undefined ? "it is something else" : `it is of version ${version}`),
  failed: ringError,
};

function requireSame(path: string, meta: ReadonlyMap<string, string>, binding: KeyRingBinding): void {
  for (const [name, expected] of Object.entries(binding)) {
    const found = meta.get(name);
    if (found === expected) continue;
    throw new TouchstoneError(
      "KEY_RING_MISMATCH",
      `The key ring ${path} has ${name} ${found ?? "none"}, not ${String(expected)}: give another path.`,
      { details: { path, name, found, expected } },
    );
  }
}

// ------------------------------------------------------------------ the key of the file

function newLock(secret: string | Uint8Array | undefined): z.infer<typeof lockSchema> {
  const fileKey = randomBytes(SECRET_BYTES);
  if (secret === undefined) return { kdf: "none", key: fileKey.toString("base64") };
  const salt = randomBytes(16);
  const wrapped = sealBytes(stretch(secret, salt, SCRYPT), KEY_LABEL, fileKey);
  return { kdf: "scrypt", ...SCRYPT, salt: salt.toString("base64"), key: wrapped.toString("base64") };
}

function unlockFileKey(path: string, text: string | undefined, secret: string | Uint8Array | undefined): Buffer {
  let lock;
  try {
    lock = lockSchema.parse(JSON.parse(text ?? ""));
  } catch (cause) {
    // What is no JSON is shown in part by the error for it, and may be most of a key.
    throw damaged(path, "it does not say how it is locked", cause instanceof z.ZodError ? cause : undefined);
  }
  const wrong = (message: string): TouchstoneError =>
    new TouchstoneError("KEY_RING_SECRET_WRONG", `${path}: ${message}.`, { details: { path } });
  const bytes = Buffer.from(lock.key, "base64");
  if (lock.kdf === "none") {
    // Whoever gives a secret relies on it.
    if (secret !== undefined) throw wrong("the key ring was made without a secret: open it without, or begin another");
    return bytes;
  }
  if (secret === undefined) throw wrong("the key ring opens with a secret: give it");
  const fileKey = openBytes(stretch(secret, Buffer.from(lock.salt, "base64"), lock), KEY_LABEL, bytes);
  if (fileKey === undefined) throw wrong("this is not the secret that the key ring opens with");
  return fileKey;
}

function stretch(secret: string | Uint8Array, salt: Uint8Array, { N, r, p }: typeof SCRYPT): Buffer {
  return scryptSync(secret, salt, SECRET_BYTES, { N, r, p, maxmem: SCRYPT_MEMORY });
}

/** nonce12 ‖ AES-256-GCM ‖ tag16. */
function sealBytes(key: Uint8Array, about: Uint8Array, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(about);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function openBytes(key: Uint8Array, about: Uint8Array, sealed: Buffer): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  if (end < NONCE_BYTES) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(about);
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
  } catch {
    return undefined;
  }
}

// ------------------------------------------------------------------ errors

const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

function damaged(path: string, fault: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError("KEY_RING_INVALID", `${path} is no key ring that can be gone on with: ${fault}.`, {
    details: { path },
    cause,
  });
}

function ringError(path: string, error: unknown): unknown {
  if (error instanceof TouchstoneError || !(error instanceof Error) || !("errcode" in error)) return error;
  const code = Number(error.errcode) & 0xff;
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) return damaged(path, error.message, error);
  return new TouchstoneError(
    "KEY_RING_FAILED",
    `The key ring ${path} cannot be written (${error.message}): make room, or mend what is wrong with the disk.`,
    { details: { path }, cause: error },
  );
}
