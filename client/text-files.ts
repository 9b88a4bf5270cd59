import { randomBytes } from "node:crypto";
import { link, open, rename, rm, stat, type FileHandle } from "node:fs/promises";

import { TouchstoneError } from "./errors.js";
import { fileError, type FileProgress } from "./files.js";

/** Bytes read at a time. */
const CHUNK_BYTES = 2 ** 16;
/** Text is collected up to this length before it is written. */
const WRITE_CHARACTERS = 2 ** 16;
/** A line that is longer is none: a file without line breaks must not fill the memory. */
const MAX_LINE_CHARACTERS = 2 ** 16;

const BYTE_ORDER_MARK = "\ufeff";

/** What reading a file can be given. */
export interface ReadOptions {
  path: string;
  /** Called after each chunk. */
  onProgress?: ((progress: FileProgress) => void) | undefined;
  /** Cancels the reading. */
  signal?: AbortSignal | undefined;
}

/** A line of a text file, without its end. */
export interface Line {
  /** Counts from 1. */
  number: number;
  text: string;
}

/**
 * The bytes of a file, a chunk at a time.
 *
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, CANCELLED, INVALID_ARGUMENT.
 */
export async function* readChunks(options: ReadOptions): AsyncGenerator<Buffer, void, undefined> {
  const { path, onProgress, signal } = options;
  requireNotCancelled(`Reading ${path}`, signal);
  let file: FileHandle | undefined;
  try {
    file = await opened(path);
    const { size } = await file.stat({ bigint: true });
    let bytes = 0n;
    for (;;) {
      const chunk = await readChunk(path, file);
      if (chunk.length === 0) break;
      requireNotCancelled(`Reading ${path}`, signal);
      bytes += BigInt(chunk.length);
      yield chunk;
      onProgress?.({ bytes, size });
    }
    if (bytes === 0n) {
      throw new TouchstoneError("FILE_EMPTY", `${path} is empty: give a file that has content.`, { details: { path } });
    }
  } finally {
    await file?.close();
  }
}

/**
 * The lines of a UTF-8 file, ended by LF or CRLF; blank lines are left out, and so is a byte order mark.
 *
 * @param options.onLong Called with the number of a line that is longer than 65,536 characters; nothing follows it.
 * @throws TouchstoneError as readChunks.
 */
export async function* readLines(
  options: ReadOptions & { onLong: (line: number) => void },
): AsyncGenerator<Line, void, undefined> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let number = 0;
  let rest = "";
  const lineOf = (text: string): Line | undefined => {
    number += 1;
    const start = number === 1 && text.startsWith(BYTE_ORDER_MARK) ? 1 : 0;
    const line = text.slice(start, text.endsWith("\r") ? -1 : undefined);
    return line.trim() === "" ? undefined : { number, text: line };
  };
  for await (const chunk of readChunks(options)) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = texts.pop() ?? "";
    for (const text of texts) {
      const line = lineOf(text);
      if (line !== undefined) yield line;
    }
    if (rest.length > MAX_LINE_CHARACTERS) {
      options.onLong(number + 1);
      return;
    }
  }
  const last = lineOf(rest + decoder.decode());
  if (last !== undefined) yield last;
}

/**
 * Writes a new file, of which there is all or nothing: it gets its name when it is complete and was looked at.
 *
 * @param options.content Its text, piece by piece.
 * @param options.isPrivate Only its owner may read it.
 * @param options.isDurable It is on the disk before it gets its name, so that no power cut leaves a name without content.
 * @param options.check Looks at the complete file before it gets its name, under the path that it is given.
 * @throws TouchstoneError FILE_EXISTS (nothing is overwritten), FILE_UNWRITABLE, CANCELLED, INVALID_ARGUMENT; whatever
 *         `content` and `check` throw.
 */
export async function writeNewFile(options: {
  path: string;
  content: Iterable<string> | AsyncIterable<string>;
  isPrivate?: boolean;
  isDurable?: boolean;
  check?: (path: string) => Promise<void>;
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { path, content, isPrivate = false, isDurable = false, check, signal } = options;
  requireNotCancelled(`Writing ${path}`, signal);
  if (await exists(path)) throw existsAlready(path);
  const part = `${path}.${randomBytes(6).toString("hex")}.part`;
  const file = await writing(path, () => open(part, "wx", isPrivate ? 0o600 : 0o666));
  try {
    try {
      let text = "";
      for await (const piece of content) {
        text += piece;
        if (text.length < WRITE_CHARACTERS) continue;
        await writing(path, () => file.writeFile(text));
        text = "";
        requireNotCancelled(`Writing ${path}`, signal);
      }
      await writing(path, () => file.writeFile(text));
      if (isDurable) await writing(path, () => file.sync());
    } finally {
      await file.close();
    }
    await check?.(part);
    await writing(path, () => giveName(part, path));
  } finally {
    await rm(part, { force: true });
  }
}

/** @throws TouchstoneError CANCELLED if the signal says so. */
export function requireNotCancelled(what: string, signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new TouchstoneError("CANCELLED", `${what} was cancelled.`, { cause: signal.reason });
}

// ------------------------------------------------------------------ the system

async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    throw fileError(path, error);
  }
}

async function readChunk(path: string, file: FileHandle): Promise<Buffer> {
  try {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw fileError(path, error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const known = fileError(path, error);
    if (known instanceof TouchstoneError && known.code === "FILE_MISSING") return false;
    throw known;
  }
}

/** A link fails where a file is, and so can never take the place of one that came meanwhile. */
async function giveName(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
  } catch (error) {
    const code = codeOf(error);
    if (code === "EEXIST") throw existsAlready(path);
    // Some file systems, such as those of memory cards, have no links.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
    await rename(part, path);
  }
}

async function writing<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof TouchstoneError || code === undefined) throw error;
    throw new TouchstoneError(
      "FILE_UNWRITABLE",
      `${path} cannot be written (${code}): check that its folder is there, that you may write to it, and that the disk ` +
        "is not full.",
      { details: { path }, cause: error },
    );
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

function existsAlready(path: string): TouchstoneError {
  return new TouchstoneError("FILE_EXISTS", `${path} is there already and is not overwritten: give another path.`, {
    details: { path },
  });
}
