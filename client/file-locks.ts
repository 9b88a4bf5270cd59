import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const SQLITE_BUSY = 5;

/**
 * Locks a file for this process, by a lock on an empty file `<path>.lock` next to it. The file itself need not be there, and
 * is not touched: a process that opens and closes a file loses its locks on it.
 *
 * @returns What gives the lock back, as the system does when the process ends, however it ends; undefined if someone else
 *          has it.
 * @throws What the system says, unless the lock can be taken.
 */
export async function lockFile(path: string): Promise<(() => void) | undefined> {
  let lock: DatabaseSync | undefined;
  const real = await realPathOf(path);
  try {
    lock = new DatabaseSync(`${real}.lock`);
    lock.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
    const held = lock;
    return () => {
      held.close();
    };
  } catch (error) {
    lock?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
}

/** One file has one lock, under whatever name it is opened. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return join(await realpath(dirname(path)), basename(path));
  }
}
