import { open } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

import { TouchstoneError } from "./errors.js";
import { lockFile } from "./file-locks.js";
import { fileError } from "./files.js";

/** What one kind of file is, and how it says what is wrong with it. */
export interface DatabaseKind {
  /** Four bytes that SQLite keeps in the file. */
  applicationId: number;
  version: number;
  /** Statements that make an empty one; with a table `meta` of keys and values. */
  schema: string;
  /** The error if someone else has it open. */
  locked: (path: string) => TouchstoneError;
  /** The error if it cannot be locked. */
  unlockable: (path: string, cause: unknown) => unknown;
  /** The error if it is something else or, where the version is given, one of another version. */
  foreign: (path: string, version?: number) => TouchstoneError;
  /** The error for what SQLite says; any other is returned as it is. */
  failed: (path: string, error: unknown) => unknown;
}

/**
 * Opens a database that belongs to this process and its owner alone, or begins one if there is none: locked, durable with each
 * transaction, and without traces of what was deleted.
 *
 * @param options.begin What stands in `meta` when it is begun.
 * @param options.use Makes what is returned; after an error of it the file is given back.
 * @throws TouchstoneError FILE_MISSING (its folder), FILE_IS_DIRECTORY, FILE_UNREADABLE, INVALID_ARGUMENT; those of the kind;
 *         whatever `begin` and `use` throw.
 */
export async function openDatabaseFile<T>(options: {
  path: string;
  kind: DatabaseKind;
  begin: () => Record<string, string> | Promise<Record<string, string>>;
  use: (database: DatabaseSync, unlock: () => void) => T;
}): Promise<T> {
  const { path, kind, begin, use } = options;
  const unlock = await lockOf(path, kind);
  let database: DatabaseSync | undefined;
  try {
    await keepToOwner(path);
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE");
    const isNew = isEmpty(database, path, kind);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON");
    database.exec("PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY");
    if (isNew) fill(database, kind, await begin());
    return use(database, unlock);
  } catch (error) {
    database?.close();
    unlock();
    throw kind.failed(path, fileError(path, error));
  }
}

/** All that stands in `meta`. */
export function metaIn(database: DatabaseSync): Map<string, string> {
  const rows = database.prepare("SELECT key, value FROM meta").all() as { key: string; value: string }[];
  return new Map(rows.map(({ key, value }) => [key, value]));
}

async function lockOf(path: string, kind: DatabaseKind): Promise<() => void> {
  let unlock: (() => void) | undefined;
  try {
    unlock = await lockFile(path);
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!isMissing) throw kind.unlockable(path, error);
    throw new TouchstoneError(
      "FILE_MISSING",
      `There is no folder for the file ${path}: make it, or correct the path.`,
      {
        details: { path },
        cause: error,
      },
    );
  }
  if (unlock === undefined) throw kind.locked(path);
  return unlock;
}

/**
 * Makes the file where there is none, for its owner's eyes: SQLite would let everyone read it. One that is empty yet may have been
 * made by someone who did not know what it is for.
 */
async function keepToOwner(path: string): Promise<void> {
  const file = await open(path, "a+", 0o600);
  try {
    const { size } = await file.stat();
    // Some file systems, such as those of memory cards, know no permissions.
    if (size === 0) await file.chmod(0o600).catch(() => undefined);
  } finally {
    await file.close();
  }
}

function isEmpty(database: DatabaseSync, path: string, kind: DatabaseKind): boolean {
  const pragma = (name: string): number =>
    Number((database.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>)[name]);
  const [id, version] = [pragma("application_id"), pragma("user_version")];
  if (id === kind.applicationId && version === kind.version) return false;
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number };
  if (id === 0 && tables === 0) return true;
  throw id === kind.applicationId ? kind.foreign(path, version) : kind.foreign(path);
}

/** All at once, so that there is a whole one or none. */
function fill(
  database: DatabaseSync,
  { applicationId, version, schema }: DatabaseKind,
  meta: Record<string, string>,
): void {
  database.exec("BEGIN IMMEDIATE");
  database.exec(schema);
  const insert = database.prepare("INSERT INTO meta VALUES (?, ?)");
  for (const [key, value] of Object.entries(meta)) insert.run(key, value);
  database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}; COMMIT`);
}
