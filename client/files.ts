import { createHash } from "node:crypto";
import { open, stat, type FileHandle } from "node:fs/promises";

import { TouchstoneError } from "./errors.js";

/** Bytes read and hashed at a time: large enough for full speed, small enough for any machine. */
const CHUNK_BYTES = 2 ** 20;

/** What identifies a file's content. */
export interface FileDigest {
  /** SHA-256 of the exact bytes, 0x-prefixed. */
  digest: string;
  /** Bytes. */
  size: bigint;
}

/** How far the reading of a file has come. */
export interface FileProgress {
  /** Bytes hashed so far. */
  bytes: bigint;
  /** Bytes of the file. */
  size: bigint;
}

/**
 * Hashes a file in chunks of 1 MiB; its size does not matter.
 *
 * @param options.onProgress Called after each chunk; the last call has `bytes` equal to `size`.
 * @param options.signal Cancels the reading.
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, FILE_CHANGED, CANCELLED,
 *         INVALID_ARGUMENT (the path cannot be one).
 */
export async function hashFile(options: {
  path: string;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}): Promise<FileDigest> {
  const { path, onProgress, signal } = options;
  requireNotCancelled(path, signal);
  let file: FileHandle | undefined;
  try {
    // Asked before opening, because to open a pipe is to wait for whoever writes to it.
    requireFile(path, await stat(path));
    file = await open(path, "r");
    const before = await file.stat({ bigint: true });
    const hash = createHash("sha256");
    let bytes = 0n;
    // The next chunk is read while this one is hashed.
    const buffers = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;
    let reading = file.read(buffers[0], 0, CHUNK_BYTES, null);
    for (;;) {
      const { buffer, bytesRead } = await reading;
      if (bytesRead === 0) break;
      requireNotCancelled(path, signal);
      reading = file.read(buffer === buffers[0] ? buffers[1] : buffers[0], 0, CHUNK_BYTES, null);
      // A read that fails while progress is reported is dealt with at the next turn.
      reading.catch(() => undefined);
      hash.update(buffer.subarray(0, bytesRead));
      bytes += BigInt(bytesRead);
      onProgress?.({ bytes, size: before.size });
    }
    const after = await file.stat({ bigint: true });
    if (bytes !== before.size || after.size !== before.size || after.mtimeNs !== before.mtimeNs) {
      throw new TouchstoneError("FILE_CHANGED", `${path} changed while it was read: try again when it is complete.`, {
        details: { path, size: before.size, bytes },
      });
    }
    return { digest: `0x${hash.digest("hex")}`, size: bytes };
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await file?.close();
  }
}

/** What reading a file asks of the system. */
const READING = new Set<unknown>(["stat", "open", "fstat", "read"]);

/** An error of reading a file as one of Touchstone; any other error is returned as it is. */
export function fileError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  const isPathInvalid = error.code === "ERR_INVALID_ARG_VALUE" || error.code === "ERR_INVALID_ARG_TYPE";
  if (!isPathInvalid && !("syscall" in error && READING.has(error.syscall))) return error;
  const options = { details: { path }, cause: error };
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return new TouchstoneError("FILE_MISSING", `There is no file ${path}: correct the path.`, options);
    case "EISDIR":
      return new TouchstoneError("FILE_IS_DIRECTORY", `${path} is a directory: give a file in it.`, options);
    case "ERR_INVALID_ARG_VALUE":
    case "ERR_INVALID_ARG_TYPE":
      return new TouchstoneError("INVALID_ARGUMENT", `${JSON.stringify(path)} cannot be the path of a file.`, options);
    default:
      return new TouchstoneError(
        "FILE_UNREADABLE",
        `${path} cannot be read (${String(error.code)}): check its permissions and where it lies.`,
        options,
      );
  }
}

function requireFile(path: string, stats: { isFile(): boolean; isDirectory(): boolean; size: number }): void {
  const details = { path };
  if (stats.isDirectory()) {
    throw new TouchstoneError("FILE_IS_DIRECTORY", `${path} is a directory: give a file in it.`, { details });
  }
  if (!stats.isFile()) {
    throw new TouchstoneError("FILE_UNREADABLE", `${path} is no regular file: give one.`, { details });
  }
  if (stats.size === 0) {
    throw new TouchstoneError("FILE_EMPTY", `${path} is empty: give a file that has content.`, { details });
  }
}

function requireNotCancelled(path: string, signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new TouchstoneError("CANCELLED", `Reading ${path} was cancelled.`, { details: { path }, cause: signal.reason });
}
