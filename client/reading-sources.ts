import { createHash } from "node:crypto";
import { open, stat, type FileHandle } from "node:fs/promises";

import { parse } from "csv-parse/sync";
import { z } from "zod";

import { TouchstoneError } from "./errors.js";
import { fileError } from "./files.js";
import { pause, requireNotAborted } from "./retries.js";

// ------------------------------------------------------------------ what a source is

/** A reading, and where its source goes on behind it. */
export interface SourceReading {
  /** Whatever the source needs to go on exactly behind this reading. */
  readonly position: string;
  /** Unix milliseconds, from 10^11, which is March 1973: what is below is kept aside as one of seconds. */
  readonly measuredAt: bigint;
  /** The exact bytes: they are hashed as they are. */
  readonly payload: Uint8Array;
  /** CoAP Content-Format number of the payload (RFC 7252, section 12.3); 0, plain text, unless told. */
  readonly contentFormat?: number;
  /** As it was read, if that is more than the payload. */
  readonly raw?: Uint8Array;
}

/** What was read and is no reading. It is kept aside as it is, and the source goes on. */
export interface SourceFault {
  readonly position: string;
  /** Names the value and the fix. */
  readonly fault: string;
  /** Exactly as it was read. */
  readonly raw: Uint8Array;
}

export type SourceItem = SourceReading | SourceFault;

/** Where readings come from. */
export interface ReadingSource {
  /** Under this name the position is kept: another source of the same spool needs another one. */
  readonly name: string;
  /**
   * Gives readings one by one or several at a time, no faster than they are taken.
   *
   * @param after Position of the last one that is durable; undefined at the very beginning.
   * @param signal Ends the waiting for more.
   */
  read(after: string | undefined, signal: AbortSignal): AsyncIterable<SourceItem | readonly SourceItem[]>;
}

/** What every source that is a file takes. */
export interface FileSourceOptions {
  path: string;
  /** Waits for more at its end, until the signal of the ingest; not unless told. */
  follow?: boolean;
  /**
   * Under this name the position is kept; "file" unless told. Give each file a name of its own where several, such as one for
   * each day, go into one log one after the other.
   */
  name?: string;
  /** Milliseconds between two looks at the file's end when following; 250 unless told. */
  pollInterval?: number;
}

// ------------------------------------------------------------------ ready-made sources

const measuredAtSchema = z
  .int("measuredAt: must be a whole number of Unix milliseconds.")
  .min(0, "measuredAt: must be Unix milliseconds, from 0.")
  .max(2 ** 48 - 1, "measuredAt: must be Unix milliseconds, below 2^48.");

const jsonLine = z.strictObject({
  measuredAt: measuredAtSchema,
  payload: z.string("payload: must be text in quotes."),
  encoding: z.enum(["text", "base64"], 'encoding: must be "text" or "base64".').optional(),
  contentFormat: z
    .int("contentFormat: must be 0 to 65,535.")
    .min(0, "contentFormat: must be 0 to 65,535.")
    .max(0xffff, "contentFormat: must be 0 to 65,535.")
    .optional(),
});

/**
 * Readings from a file of JSON lines in UTF-8: `{"measuredAt": <Unix milliseconds>, "payload": "<text>"}`, with
 * `"encoding": "base64"` where the payload is base64 of bytes, and `"contentFormat"` where it is not plain text. Blank lines
 * are left out.
 */
export function jsonLines(options: FileSourceOptions): ReadingSource {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return fileSource(options, splitAtLineFeeds, (record) => {
    const { bytes } = record;
    if (isBlank(bytes)) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(decoder.decode(bytes));
    } catch (error) {
      return `line ${record.line} is not JSON in UTF-8 (${error instanceof Error ? error.message : String(error)}).`;
    }
    const parsed = jsonLine.safeParse(value);
    if (!parsed.success) {
      return `line ${record.line}: ${parsed.error.issues.map(({ message }) => message).join(" ")}`;
    }
    const { measuredAt, payload, encoding = "text", contentFormat } = parsed.data;
    const content = encoding === "text" ? textBytes(payload) : base64Bytes(payload);
    if (content === undefined) {
      return encoding === "text"
        ? `line ${record.line}: payload: has half a surrogate pair, which is no text: give base64.`
        : `line ${record.line}: payload: is not base64 with its padding.`;
    }
    return {
      measuredAt: BigInt(measuredAt),
      payload: content,
      ...(contentFormat === undefined ? {} : { contentFormat }),
    };
  });
}

/**
 * Readings from a file with one reading in each line, such as NMEA sentences. The payload is all between two line feeds: a
 * carriage return, NUL bytes and what is not UTF-8 are part of it, and an empty line is an empty reading.
 *
 * @param options.measuredAt Unix milliseconds of a line; undefined if the line does not tell. Lines count from 1.
 */
export function textLines(
  options: FileSourceOptions & {
    measuredAt: (line: Buffer, number: number) => bigint | undefined;
    contentFormat?: number;
  },
): ReadingSource {
  const { contentFormat = 0 } = options;
  return fileSource(options, splitAtLineFeeds, ({ bytes, line }) => {
    const measuredAt = options.measuredAt(bytes, line);
    if (measuredAt === undefined) return `line ${line} does not tell when it was measured.`;
    return { measuredAt, payload: bytes, contentFormat };
  });
}

/** How a column tells the time. */
export type TimeFormat = "milliseconds" | "seconds" | "iso";

/**
 * Readings from a CSV file with a header, one in each row. The payload is the exact bytes of the row, without its line end.
 * Quoted fields may have delimiters and line ends in them. Blank lines are left out.
 *
 * @param options.timeColumn Name of the column that has the time.
 * @param options.timeFormat How it tells the time: Unix "milliseconds" unless told, Unix "seconds" (with decimals, if need
 *        be), or "iso", such as 2026-05-01T12:00:00.250Z, with its zone.
 * @param options.delimiter One character; a comma unless told.
 */
export function csvReadings(
  options: FileSourceOptions & {
    timeColumn: string;
    timeFormat?: TimeFormat;
    delimiter?: string;
    contentFormat?: number;
  },
): ReadingSource {
  const { timeColumn, timeFormat = "milliseconds", delimiter = ",", contentFormat = 0 } = options;
  if (!/^[^"\r\n]$/.test(delimiter)) {
    throw new TouchstoneError("INVALID_ARGUMENT", `"${delimiter}" is no delimiter: give one character.`, {
      details: { delimiter },
    });
  }
  const split = csvSplitter(delimiter.charCodeAt(0));
  const fieldsOf = (row: Buffer): string[] | undefined => {
    if (!row.includes(QUOTE)) return row.toString().split(delimiter);
    try {
      const [fields] = parse(row, { delimiter, relax_column_count: true });
      return fields;
    } catch {
      return undefined;
    }
  };
  let column = -1;
  let columns = 0;
  return fileSource(
    options,
    split,
    (record) => {
      const row = withoutReturn(record.bytes);
      if (isBlank(row)) return undefined;
      const fields = record.isWhole ? fieldsOf(row) : undefined;
      if (fields === undefined) return `line ${record.line}: a quote is out of place, or not closed.`;
      if (fields.length !== columns) {
        return `line ${record.line} has ${fields.length} fields and not ${columns} as the header.`;
      }
      const text = (fields[column] ?? "").trim();
      const measuredAt = timeOf(text, timeFormat);
      if (measuredAt === undefined) {
        return `line ${record.line}: ${timeColumn}: ${JSON.stringify(text.slice(0, 140))} is no time in ${timeFormat}.`;
      }
      return { measuredAt, payload: row, contentFormat };
    },
    (header) => {
      const names = fieldsOf(withoutReturn(header))?.map((name, index) =>
        (index === 0 ? name.replace(/^\ufeff/, "") : name).trim(),
      );
      column = names?.indexOf(timeColumn) ?? -1;
      columns = names?.length ?? 0;
      if (column !== -1) return;
      throw new TouchstoneError(
        "INVALID_ARGUMENT",
        `${options.path} has no column ${JSON.stringify(timeColumn)}: its header names ${JSON.stringify(names ?? [])}.`,
        { details: { path: options.path, timeColumn, columns: names } },
      );
    },
  );
}

function timeOf(text: string, format: TimeFormat): bigint | undefined {
  if (format === "milliseconds") return /^\d{1,15}$/.test(text) ? BigInt(text) : undefined;
  if (format === "seconds") {
    const [, whole, decimals = ""] = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
    return whole === undefined ? undefined : BigInt(`${whole}${decimals.slice(0, 3).padEnd(3, "0")}`);
  }
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) || time < 0 ? undefined : BigInt(time);
}

function textBytes(text: string): Buffer | undefined {
  return /\p{Surrogate}/u.test(text) ? undefined : Buffer.from(text);
}

function base64Bytes(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

// ------------------------------------------------------------------ files

const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x22;
const SPACE = 0x20;

/** Bytes read at a time. */
const CHUNK_BYTES = 2 ** 17;
/** What is longer is no reading: a file without line ends must not fill the memory. */
const MAX_RECORD_BYTES = 2 ** 20;
/** By this much of its beginning, and of what comes before the position, a file is known again. */
const HEAD_BYTES = 4096;
const TAIL_BYTES = 1024;

/** A line or row of a file. */
interface FileRecord {
  /** Without the line feed. */
  bytes: Buffer;
  /** Counts from 1. */
  line: number;
  /** False for what only looks like a record, such as a quote that is not closed. */
  isWhole: boolean;
}

/** What a record says; text tells why it says nothing, undefined that there is nothing to say. */
type Content = Omit<SourceReading, "position" | "raw"> | string | undefined;

/**
 * Finds the end of the record that begins at `from`: where its line feed is.
 *
 * @returns -1 if it does not end yet.
 */
type Splitter = (bytes: Buffer, from: number, isAll: boolean) => { end: number; isWhole: boolean };

function splitAtLineFeeds(bytes: Buffer, from: number): { end: number; isWhole: boolean } {
  return { end: bytes.indexOf(LINE_FEED, from), isWhole: true };
}

/** A quote that opens a field hides line feeds until it closes; where it never does, it hides none. */
function csvSplitter(delimiter: number): Splitter {
  const ends = new Set([delimiter, LINE_FEED, RETURN]);
  return (bytes, from, isAll) => {
    const end = bytes.indexOf(LINE_FEED, from);
    const quote = bytes.indexOf(QUOTE, from);
    if (quote === -1 || (end !== -1 && quote > end)) return { end, isWhole: true };
    let isFieldStart = true;
    let isQuoted = false;
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at];
      if (isQuoted) {
        if (byte !== QUOTE) continue;
        const next = bytes[at + 1];
        if (next === undefined && !isAll) return { end: -1, isWhole: true };
        isQuoted = next === QUOTE;
        if (isQuoted) at++;
        // It was opened where it should not be.
        else if (next !== undefined && !ends.has(next)) return { end, isWhole: false };
      } else if (byte === LINE_FEED) {
        return { end: at, isWhole: true };
      } else {
        isQuoted = isFieldStart && byte === QUOTE;
        isFieldStart = byte === delimiter;
      }
    }
    if (isQuoted && (isAll || bytes.length - from > MAX_RECORD_BYTES)) return { end, isWhole: false };
    return { end: -1, isWhole: true };
  };
}

/** Where a file source goes on. */
interface FilePosition {
  /** Bytes before it. */
  offset: number;
  /** Lines that have ended before it. */
  lines: number;
  /** How many of the bytes before it the digest is over. */
  tail: number;
  digest: string;
  /** "line" behind a line feed, "part" within a line that is too long, "end" behind a last line without line feed. */
  at: "line" | "part" | "end";
}

function fileSource(
  options: FileSourceOptions,
  split: Splitter,
  contentOf: (record: FileRecord) => Content,
  onHeader?: (header: Buffer) => void,
): ReadingSource {
  return {
    name: nameOf(options),
    read: (after, signal) => readFileItems({ options, split, contentOf, onHeader, after, signal }),
  };
}

function nameOf({ name = "file" }: FileSourceOptions): string {
  return name;
}

interface FilePlace {
  offset: number;
  lines: number;
  tail: Buffer;
  at: FilePosition["at"];
}

/** An item of a file. Its position is worked out only where it is kept: for one of thousands. */
class FileItem {
  readonly raw: Buffer;
  readonly #file: FileReader;
  readonly #place: FilePlace;

  constructor(file: FileReader, raw: Buffer, place: FilePlace) {
    this.#file = file;
    this.raw = raw;
    this.#place = place;
  }

  get position(): string {
    const { offset, lines, tail, at } = this.#place;
    return `${offset}:${lines}:${tail.length}:${at}:${this.#file.digestAt(offset, tail)}`;
  }
}

class FileReading extends FileItem implements SourceReading {
  readonly measuredAt: bigint;
  readonly payload: Uint8Array;
  readonly contentFormat: number;

  constructor(item: ConstructorParameters<typeof FileItem>, content: Exclude<Content, string | undefined>) {
    super(...item);
    this.measuredAt = content.measuredAt;
    this.payload = content.payload;
    this.contentFormat = content.contentFormat ?? 0;
  }
}

class FileFault extends FileItem implements SourceFault {
  readonly fault: string;

  constructor(item: ConstructorParameters<typeof FileItem>, fault: string) {
    super(...item);
    this.fault = fault;
  }
}

/** A file that is read from its beginning, or from behind a position in it. */
class FileReader {
  readonly path: string;
  /** Of the source. */
  readonly name: string;
  readonly file: FileHandle;
  #head = Buffer.alloc(0);

  constructor(path: string, name: string, file: FileHandle) {
    this.path = path;
    this.name = name;
    this.file = file;
  }

  async readAt(offset: number, bytes: number, before = 0): Promise<{ buffer: Buffer; bytesRead: number }> {
    const buffer = Buffer.allocUnsafe(before + bytes);
    try {
      const { bytesRead } = await this.file.read(buffer, before, bytes, offset);
      const known = this.#head.length;
      if (offset <= known && known < HEAD_BYTES && offset + bytesRead > known) {
        const more = buffer.subarray(before + known - offset, before + Math.min(bytesRead, HEAD_BYTES - offset));
        this.#head = Buffer.concat([this.#head, more]);
      }
      return { buffer, bytesRead };
    } catch (error) {
      throw fileError(this.path, error);
    }
  }

  digestAt(offset: number, tail: Buffer): string {
    const head = this.#head.subarray(0, Math.min(HEAD_BYTES, offset));
    return createHash("sha256").update(head).update(tail).digest("hex").slice(0, 32);
  }

  /** @throws TouchstoneError SOURCE_CHANGED unless the file has before the position what it had. */
  async requireSame(position: FilePosition): Promise<void> {
    const { offset, tail } = position;
    const { size } = await this.file.stat();
    if (size < offset) throw changed(this, `${offset} bytes of it were read before, and now it has ${size}`);
    if (position.at === "end" && size > offset) {
      throw changed(this, `its last line had no end when it was read, and it went on since, behind byte ${offset}`);
    }
    // Short files are read until their end.
    for (let at = 0; at < Math.min(HEAD_BYTES, offset); at = this.#head.length) {
      const { bytesRead } = await this.readAt(at, HEAD_BYTES - at);
      if (bytesRead === 0) break;
    }
    const { buffer, bytesRead } = await this.readAt(offset - tail, tail);
    if (bytesRead === tail && this.digestAt(offset, buffer) === position.digest) return;
    throw changed(this, `it has other bytes before byte ${offset} than when it was read`);
  }

  /** @throws TouchstoneError SOURCE_CHANGED if there is another file under its name, or it lost what it had. */
  async requireThere(offset: number): Promise<void> {
    const [mine, named] = [await this.file.stat(), await stat(this.path).catch(() => undefined)];
    if (mine.size < offset) {
      throw changed(this, `${offset} bytes of it were read, and now it has ${mine.size}`);
    }
    if (named !== undefined && (named.ino !== mine.ino || named.dev !== mine.dev)) {
      throw changed(this, "another file has its name now; the one before was read to its end");
    }
  }
}

/** A name for each file: what was read under one goes on with that file only. */
function changed({ path, name }: FileReader, reason: string): TouchstoneError {
  return new TouchstoneError(
    "SOURCE_CHANGED",
    `${path} is not what was read before under the name "${name}" of this source, which was another file or had another ` +
      `beginning: ${reason}. Give that file, or give this one a \`name\` of its own.`,
    { details: { path, name } },
  );
}

function parsePosition({ path, name }: FileReader, position: string): FilePosition {
  const [, offset, lines, tail, at, digest] = /^(\d+):(\d+):(\d+):(line|part|end):([0-9a-f]{32})$/.exec(position) ?? [];
  if (digest === undefined) {
    throw new TouchstoneError(
      "SOURCE_CHANGED",
      `"${position}" is no position in a file, so ${path} is not what was read before under the name "${name}" of this source: ` +
        "give this file a `name` of its own.",
      { details: { path, name, position } },
    );
  }
  return {
    offset: Number(offset),
    lines: Number(lines),
    tail: Number(tail),
    digest,
    at: at as FilePosition["at"],
  };
}

async function opened(path: string): Promise<FileHandle> {
  try {
    // Asked before opening, because to open a pipe is to wait for whoever writes to it.
    const stats = await stat(path);
    if (!stats.isFile() && !stats.isDirectory()) {
      throw new TouchstoneError("FILE_UNREADABLE", `${path} is no regular file: give one.`, { details: { path } });
    }
    const file = await open(path, "r");
    if (!stats.isDirectory()) return file;
    await file.close();
  } catch (error) {
    throw fileError(path, error);
  }
  throw new TouchstoneError("FILE_IS_DIRECTORY", `${path} is a directory: give a file in it.`, { details: { path } });
}

async function* readFileItems(given: {
  options: FileSourceOptions;
  split: Splitter;
  contentOf: (record: FileRecord) => Content;
  onHeader: ((header: Buffer) => void) | undefined;
  after: string | undefined;
  signal: AbortSignal;
}): AsyncGenerator<readonly SourceItem[], void, undefined> {
  const { options, split, contentOf, onHeader, after, signal } = given;
  const { path, follow = false, pollInterval = 250 } = options;
  const file = await opened(path);
  try {
    const reader = new FileReader(path, nameOf(options), file);
    const start = after === undefined ? undefined : parsePosition(reader, after);
    if (start !== undefined) await reader.requireSame(start);
    let offset = start?.offset ?? 0;
    let lines = start?.lines ?? 0;
    let isPart = start?.at === "part";
    let isHeaderDue = onHeader !== undefined;
    if (isHeaderDue && start !== undefined) {
      await readHeader(reader, split, onHeader);
      isHeaderDue = false;
    }
    let rest = Buffer.alloc(0);
    for (;;) {
      requireNotAborted(signal);
      const { buffer, bytesRead } = await reader.readAt(offset + rest.length, CHUNK_BYTES, rest.length);
      buffer.set(rest);
      const bytes = buffer.subarray(0, rest.length + bytesRead);
      const isAll = bytesRead === 0;
      if (isAll && follow) {
        await reader.requireThere(offset + rest.length);
        await pause(pollInterval, signal);
        continue;
      }
      const items: SourceItem[] = [];
      let from = 0;
      while (from < bytes.length) {
        const { end, isWhole } = isPart ? splitAtLineFeeds(bytes, from) : split(bytes, from, isAll);
        const isLong = end === -1 && bytes.length - from > MAX_RECORD_BYTES;
        if (end === -1 && !isAll && !isLong) break;
        const [to, next] = end === -1 ? [bytes.length, bytes.length] : [end, end + 1];
        const tail = bytes.subarray(Math.max(from, next - TAIL_BYTES), next);
        const content = bytes.subarray(from, to);
        const line = lines + 1;
        if (end !== -1) lines += breaksIn(content) + 1;
        const at = end !== -1 ? "line" : isLong ? "part" : "end";
        const place = { offset: offset + next, lines, tail, at } as const;
        if (isHeaderDue) {
          isHeaderDue = false;
          onHeader?.(content);
        } else {
          const said =
            isLong || isPart
              ? `line ${line} is longer than ${MAX_RECORD_BYTES} bytes, which no reading is: it is kept in parts.`
              : contentOf({ bytes: content, line, isWhole });
          if (typeof said === "string") items.push(new FileFault([reader, content, place], said));
          else if (said !== undefined) items.push(new FileReading([reader, content, place], said));
        }
        isPart = isLong;
        from = next;
      }
      if (items.length > 0) yield items;
      if (isAll) return;
      rest = Buffer.from(bytes.subarray(from));
      offset += from;
    }
  } finally {
    await file.close();
  }
}

async function readHeader(reader: FileReader, split: Splitter, onHeader?: (header: Buffer) => void): Promise<void> {
  const { buffer, bytesRead } = await reader.readAt(0, MAX_RECORD_BYTES);
  const bytes = buffer.subarray(0, bytesRead);
  const { end } = split(bytes, 0, true);
  onHeader?.(bytes.subarray(0, end === -1 ? bytes.length : end));
}

function breaksIn(bytes: Buffer): number {
  let breaks = 0;
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) breaks++;
  return breaks;
}

function withoutReturn(bytes: Buffer): Buffer {
  return bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === SPACE || byte === RETURN || byte === 0x09);
}
