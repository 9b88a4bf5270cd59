import { pipeline } from "node:stream/promises";

import { parse, type CsvError } from "csv-parse";
import { z } from "zod";

import { requireAddress } from "./arguments.js";
import { TouchstoneError } from "./errors.js";
import { isReservedId, readFactoryKey } from "./factory-keys.js";
import { newFaultList, type FaultList } from "./faults.js";
import type { FileProgress } from "./files.js";
import { Scheme } from "./keys.js";
import { readChunks, readLines, type ReadOptions } from "./text-files.js";

/** A device as its factory knows it. */
export interface FactoryDevice {
  /** Id of the factory key: a checksummed 20-byte address. */
  id: string;
  scheme: Scheme;
  /** "0x" for accounts, else 64 bytes qx ‖ qy. */
  publicKey: string;
  /** As it is printed on the device. */
  serial?: string;
}

const COLUMNS = ["publicKey", "account", "serial", "scheme"] as const;
type Column = (typeof COLUMNS)[number];
const SCHEMES: Readonly<Record<string, Scheme>> = { P256: Scheme.P256, P256Sha256: Scheme.P256Sha256 };

const MAX_SERIAL_BYTES = 255;
/** A row of a list has a few hundred; more come of a quote that is not closed. */
const MAX_ROW_BYTES = 2 ** 16;

const text = z.string("must be text in quotes").nullish();
const deviceLine = z.strictObject({ publicKey: text, account: text, serial: text, scheme: text });
type DeviceLine = z.infer<typeof deviceLine>;

/**
 * Reads the list of the devices that left a factory: a CSV file with a header, or a file of JSON lines (its name ends
 * with .jsonl, .ndjson or .json), UTF-8 both; the CSV file may be UTF-16 with a byte order mark.
 *
 * Columns or fields: `publicKey` (P-256: 64 bytes qx ‖ qy, 65 bytes 04 ‖ qx ‖ qy or 33 bytes compressed, as hex with or
 * without 0x) or `account` (20 bytes as hex), one of the two for each device; `serial`, if it has one; `scheme` for a
 * P-256 key, P256 (unless told) or P256Sha256.
 *
 * @throws TouchstoneError
 *   - DEVICE_LIST_INVALID with up to 20 faults, each with its line and the fix, in the message and `details.faults`;
 *   - FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, CANCELLED, INVALID_ARGUMENT (the path cannot be one).
 */
export async function readDeviceList(options: {
  path: string;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}): Promise<FactoryDevice[]> {
  const faults = newFaultList("DEVICE_LIST_INVALID", options.path);
  const list = newDeviceList(faults);
  if (/\.(jsonl|ndjson|json)$/i.test(options.path)) {
    await readJsonLines(options, list, faults);
  } else {
    await readCsv(options, list, faults);
  }
  faults.throwIfAny();
  if (list.devices.length === 0) {
    throw new TouchstoneError("DEVICE_LIST_INVALID", `${options.path} lists no device: add at least one.`, {
      details: { path: options.path, faults: [] },
    });
  }
  return list.devices;
}

// ------------------------------------------------------------------ devices

interface DeviceList {
  readonly devices: FactoryDevice[];
  add(line: number, fields: unknown): void;
}

/** Collects devices and notes what is wrong with them, in themselves and with each other. */
function newDeviceList(faults: FaultList): DeviceList {
  const devices: FactoryDevice[] = [];
  const lineOfId = new Map<string, number>();
  const lineOfSerial = new Map<string, number>();
  return {
    devices,
    add(line, fields) {
      const device = parseDevice(fields, (message) => {
        faults.add(line, message);
      });
      if (device === undefined) return;
      const { id, serial } = device;
      const before = lineOfId.get(id);
      if (before !== undefined) {
        faults.add(line, `the key of ${id} is in line ${before} already: list each device once.`);
        return;
      }
      lineOfId.set(id, line);
      if (serial !== undefined) {
        const sameSerial = lineOfSerial.get(serial);
        if (sameSerial !== undefined) {
          faults.add(
            line,
            `the serial ${JSON.stringify(serial)} is in line ${sameSerial} already: give each its own, or none.`,
          );
          return;
        }
        lineOfSerial.set(serial, line);
      }
      devices.push(device);
    },
  };
}

function parseDevice(fields: unknown, fault: (message: string) => void): FactoryDevice | undefined {
  const parsed = deviceLine.safeParse(fields);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) fault(describeIssue(issue));
    return undefined;
  }
  const device = parseKey(parsed.data, fault);
  const { serial } = parsed.data;
  if (!isGiven(serial)) return device;
  const flaw = flawOfSerial(serial);
  if (flaw !== undefined) {
    fault(`the serial ${shown(serial)} ${flaw}.`);
    return undefined;
  }
  return device === undefined ? undefined : { ...device, serial };
}

function parseKey(fields: DeviceLine, fault: (message: string) => void): FactoryDevice | undefined {
  const { publicKey, account, scheme } = fields;
  if (isGiven(publicKey) && isGiven(account)) {
    fault("there is both a publicKey and an account: give the one that the device signs with.");
    return undefined;
  }
  try {
    if (isGiven(publicKey)) return parsePublicKey(publicKey, scheme, fault);
    if (isGiven(account)) return parseAccount(account, scheme, fault);
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    fault(error.code === "INVALID_KEY" ? `publicKey: ${error.message}` : error.message);
    return undefined;
  }
  fault("there is no key: give a publicKey (P-256) or an account.");
  return undefined;
}

function parsePublicKey(
  publicKey: string,
  scheme: string | null | undefined,
  fault: (message: string) => void,
): FactoryDevice | undefined {
  const known = isGiven(scheme) ? SCHEMES[scheme] : Scheme.P256;
  if (known === undefined) {
    fault(`the scheme ${shown(String(scheme))} is unknown: give P256, P256Sha256, or leave it out for P256.`);
    return undefined;
  }
  return { ...readFactoryKey(publicKey), scheme: known };
}

function parseAccount(
  account: string,
  scheme: string | null | undefined,
  fault: (message: string) => void,
): FactoryDevice | undefined {
  const id = requireAddress("account", /^0x/i.test(account) ? account : `0x${account}`);
  if (isReservedId(id)) {
    fault(`the account ${id} is reserved: ids below 2^16 are never keys. Give the account that the device signs with.`);
    return undefined;
  }
  if (isGiven(scheme)) {
    fault(`the scheme ${shown(scheme)} does not go with an account: leave it out, or give a publicKey.`);
    return undefined;
  }
  return { id, publicKey: "0x", scheme: Scheme.Account };
}

/** What is wrong with a serial, as the end of a sentence. */
function flawOfSerial(serial: string): string | undefined {
  if (/[\p{Cs}\ufffd]/u.test(serial)) return "is not UTF-8: save the list as UTF-8";
  // A line break or a space that nobody sees would keep a buyer from typing the same serial.
  if (/\p{Cc}/u.test(serial)) return "has a control character, such as a line break: take it out";
  if (serial.trim() !== serial) return "begins or ends with a space: take it out";
  const bytes = Buffer.byteLength(serial);
  if (bytes > MAX_SERIAL_BYTES) return `has ${bytes} bytes: give at most ${MAX_SERIAL_BYTES}`;
  return undefined;
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") return unknownColumns(issue.keys);
  if (issue.path.length === 0) return 'is no JSON object: write each device as {"publicKey": "…", "serial": "…"}.';
  return `${issue.path.join(".")} ${issue.message}.`;
}

function unknownColumns(names: readonly string[]): string {
  const known = `publicKey or account, serial and scheme`;
  return `${names.map(shown).join(", ")} is unknown: the columns are ${known}.`;
}

// ------------------------------------------------------------------ JSON lines

async function readJsonLines(options: ReadOptions, list: DeviceList, faults: FaultList): Promise<void> {
  const onLong = (line: number): void => {
    faults.add(line, "is too long: write one device a line.");
  };
  let isFirst = true;
  for await (const { number, text: line } of readLines({ ...options, onLong })) {
    if (isFirst && line.trimStart().startsWith("[")) {
      faults.add(number, "is the beginning of a JSON array: write one object a line, without brackets and commas.");
      return;
    }
    isFirst = false;
    let fields: unknown;
    try {
      fields = JSON.parse(line);
    } catch {
      faults.add(number, `${shown(line)} is not JSON: write each device as {"publicKey": "…", "serial": "…"}.`);
      continue;
    }
    list.add(number, fields);
  }
}

// ------------------------------------------------------------------ CSV

/** What the parser says of each row. */
interface Row {
  record: string[];
  info: { lines: number };
}

async function readCsv(options: ReadOptions, list: DeviceList, faults: FaultList): Promise<void> {
  let columns: Column[] | undefined;
  let lastLine = 0;
  let broken: CsvError | undefined;
  const parser = parse({
    bom: true,
    info: true,
    trim: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: MAX_ROW_BYTES,
    // The parser would throw away what it has read before a broken row.
    skip_records_with_error: true,
    on_skip: (error) => {
      broken ??= error;
      return undefined;
    },
  });
  await pipeline(refuseJson(readChunks(options), faults), parser, async (rows: AsyncIterable<Row>) => {
    for await (const { record, info } of rows) {
      // What follows a quote out of place is not what its writer meant.
      if (broken !== undefined && info.lines >= Number(broken.lines)) continue;
      const line = info.lines - record.reduce((breaks, field) => breaks + field.split("\n").length - 1, 0);
      lastLine = info.lines;
      if (columns === undefined) columns = parseHeader(line, record, faults);
      else addRow({ line, record, columns, list, faults });
    }
  });
  if (broken !== undefined) faults.add(...describeBroken(broken, lastLine));
}

/** The quotes of JSON would only be called out of place. */
async function* refuseJson(chunks: AsyncIterable<Buffer>, faults: FaultList): AsyncGenerator<Buffer, void, undefined> {
  let isFirst = true;
  for await (const chunk of chunks) {
    if (isFirst && /^\ufeff?\s*[{[]/.test(chunk.toString("utf8", 0, 100))) {
      faults.add(1, "looks like JSON: name a file of JSON lines so that it ends with .jsonl.");
      faults.throwIfAny();
    }
    isFirst = false;
    yield chunk;
  }
}

/** The columns that the header names; without them no row can be read. */
function parseHeader(line: number, header: readonly string[], faults: FaultList): Column[] {
  const stop = (message: string): never => {
    faults.add(line, message);
    faults.throwIfAny();
    throw new RangeError("Not reached: the list has a fault.");
  };
  const all = header.join();
  if (/[\ufffd\0]/.test(all)) stop("is not UTF-8: save the list as UTF-8.");
  const hint = "the first line names the columns, separated by commas: publicKey or account, serial, scheme.";
  const unknown = header.filter((name) => !isColumn(name));
  if (unknown.length > 0) stop(`${unknown.map(shown).join(", ")} is no column: ${hint}`);
  const columns = header.filter(isColumn);
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twice !== undefined) stop(`the column ${twice} is there twice: leave one out.`);
  if (!columns.includes("publicKey") && !columns.includes("account")) stop(`there is no column with keys: ${hint}`);
  return columns;
}

function addRow(options: {
  line: number;
  record: readonly string[];
  columns: readonly Column[];
  list: DeviceList;
  faults: FaultList;
}): void {
  const { line, record, columns, list, faults } = options;
  // Spreadsheets leave rows of nothing but commas behind.
  if (record.every((field) => field === "")) return;
  if (record.length !== columns.length) {
    faults.add(
      line,
      `has ${record.length} fields and not ${columns.length} as the header: separate the fields by commas, and put a ` +
        "field that has commas in quotes.",
    );
    return;
  }
  list.add(line, Object.fromEntries(columns.map((column, index) => [column, record[index]])));
}

function describeBroken(error: CsvError, lastLine: number): [line: number, message: string] {
  switch (error.code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return [lastLine + 1, "a quote opens here or soon after and is not closed: close it, or write it twice."];
    case "CSV_MAX_RECORD_SIZE":
      return [lastLine + 1, "the row that begins here does not end: close its quotes."];
    default:
      return [
        Number(error.lines),
        "a quote is out of place: put the whole field in quotes, and write those in it twice.",
      ];
  }
}

function isColumn(name: string): name is Column {
  return (COLUMNS as readonly string[]).includes(name);
}

function isGiven(value: string | null | undefined): value is string {
  return value !== undefined && value !== null && value !== "";
}

function shown(value: string): string {
  return JSON.stringify(value.length > 140 ? `${value.slice(0, 140)}…` : value);
}
