import { randomBytes } from "node:crypto";
import { setImmediate } from "node:timers/promises";

import { getBytes } from "ethers";
import { z } from "zod";

import { requireAddress, requireHex, requireName } from "./arguments.js";
import type { FactoryDevice } from "./device-lists.js";
import { nameOf, schemeNames } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readFactoryKey } from "./factory-keys.js";
import { newFaultList, type FaultList } from "./faults.js";
import type { FileProgress } from "./files.js";
import { Scheme } from "./keys.js";
import {
  hashDevice,
  hashSerial,
  manifestRootOf,
  SERIAL_SALT_BYTES,
  serialHashOf,
  toHex,
  type ManifestPlace,
  type ManifestTerms,
} from "./manifest-leaves.js";
import { buildTree, HASH_BYTES } from "./merkle.js";
import { readLines, requireNotCancelled, writeNewFile } from "./text-files.js";

/** What the first line of a manifest's file calls it. */
const FORMAT = "touchstone-manifest/1";
const NO_HEADER = "is not the header of a manifest: give the file that the manifest was written to.";
/** A contract counts to 2^32; a tree in memory ends earlier. */
const MAX_DEVICES = 2 ** 25;
/** Devices between two reports of progress. */
const REPORT_EVERY = 1000;

/** What holds for all devices of a manifest. */
export interface ManifestHeader {
  terms: ManifestTerms;
  /** 32 bytes: the kind of hardware, named by the vendor. */
  hardwareClass: string;
}

/** A device in a manifest, with all that proves it. Serial and salt are the maker's secret until the device is sold. */
export interface ManifestEntry extends ManifestPlace {
  /** "0x" for accounts, else 64 bytes qx ‖ qy. */
  publicKey: string;
  serial?: string;
  /** 16 bytes; there is one where there is a serial. */
  salt?: string;
}

/** The devices that left a factory together. */
export interface Manifest extends ManifestHeader {
  /** @throws TouchstoneError NOT_FOUND if the manifest has no such index. */
  entryAt(index: bigint): ManifestEntry;
  /** All entries, in ascending order of the devices' ids; each is made when it is asked for. */
  entries(): Generator<ManifestEntry, void, undefined>;
}

/** How far work on the devices of a manifest has come. */
export interface ManifestProgress {
  devices: number;
  count: number;
}

// ------------------------------------------------------------------ building

/**
 * Commits to the devices that left a factory: sorts them by id, salts their serials and builds the tree.
 *
 * @param options.vendor The account or fleet handle of the maker.
 * @param options.hardwareClass The kind of hardware: 1 to 31 bytes of text, or 32 bytes as 0x hex.
 * @param options.voucherRequired Whether each enrolment needs the maker's voucher; not unless told.
 * @param options.salts Salts of an earlier build by the devices' ids, as readSalts gives them: the same devices then give
 *        the same root. A device without one gets a random one.
 * @throws TouchstoneError INVALID_ARGUMENT for no or too many devices, or one that is there twice; CANCELLED.
 */
export async function buildManifest(options: {
  vendor: string;
  hardwareClass: string;
  voucherRequired?: boolean;
  devices: readonly FactoryDevice[];
  salts?: ReadonlyMap<string, string>;
  onProgress?: (progress: ManifestProgress) => void;
  signal?: AbortSignal;
}): Promise<Manifest> {
  const vendor = requireAddress("vendor", options.vendor);
  const hardwareClass = requireName("hardwareClass", options.hardwareClass);
  const { voucherRequired = false, salts: earlier, onProgress, signal } = options;
  const devices = sortedDevices(options.devices);
  const count = devices.length;
  const salts = randomBytes(count * SERIAL_SALT_BYTES);
  const saltOf = (index: number): Uint8Array =>
    salts.subarray(index * SERIAL_SALT_BYTES, (index + 1) * SERIAL_SALT_BYTES);
  const leaves = new Uint8Array(count * HASH_BYTES);
  for (const [index, { id, scheme, serial }] of devices.entries()) {
    const salt = earlier?.get(id);
    if (salt !== undefined) saltOf(index).set(getBytes(requireHex("salts", salt, SERIAL_SALT_BYTES)));
    const serialHash = serial === undefined ? new Uint8Array(HASH_BYTES) : hashSerial(serial, saltOf(index));
    leaves.set(hashDevice({ device: getBytes(id), scheme, serialHash }), index * HASH_BYTES);
    if ((index + 1) % REPORT_EVERY !== 0 && index + 1 !== count) continue;
    onProgress?.({ devices: index + 1, count });
    // Whoever wants to cancel needs a turn to do so.
    await setImmediate();
    requireNotCancelled("Building the manifest", signal);
  }
  const tree = buildTree({ hash: "Keccak256", leaves });
  const entryAt = (index: number, device: FactoryDevice): ManifestEntry => {
    const secret = device.serial === undefined ? {} : { serial: device.serial, salt: toHex(saltOf(index)) };
    return {
      index: BigInt(index),
      device: device.id,
      scheme: device.scheme,
      publicKey: device.publicKey,
      ...secret,
      serialHash: serialHashOf(secret),
      path: tree.proofOf(index).map(toHex),
    };
  };
  return {
    terms: { vendor, root: toHex(tree.root), count: BigInt(count), voucherRequired },
    hardwareClass,
    entryAt(index) {
      const device = devices[Number(index)];
      if (device === undefined) {
        throw new TouchstoneError("NOT_FOUND", `The manifest has no device ${index}: it has 0 to ${count - 1}.`, {
          details: { index, count },
        });
      }
      return entryAt(Number(index), device);
    },
    *entries() {
      for (const [index, device] of devices.entries()) yield entryAt(index, device);
    },
  };
}

/** The devices in ascending order of their ids, each once. */
function sortedDevices(devices: readonly FactoryDevice[]): FactoryDevice[] {
  if (devices.length === 0 || devices.length > MAX_DEVICES) {
    throw invalid(`${devices.length} devices are no manifest: give 1 to ${MAX_DEVICES}.`, { devices: devices.length });
  }
  const serials = new Set<string>();
  const keyed = devices.map((device) => {
    if (device.serial !== undefined) {
      if (serials.has(device.serial)) throw invalid(`The serial "${device.serial}" is there twice.`, { ...device });
      serials.add(device.serial);
    }
    // The case of a checksummed id says nothing of its order.
    return { key: requireHex("devices", device.id, 20).toLowerCase(), device };
  });
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
  const twice = keyed.find(({ key }, index) => key === keyed[index - 1]?.key);
  if (twice !== undefined) throw invalid(`The device ${twice.device.id} is there twice.`, { ...twice.device });
  return keyed.map(({ device }) => device);
}

// ------------------------------------------------------------------ writing

/**
 * Writes a manifest to a new file that only its owner may read, and reads it back before it gets its name. The file
 * is JSON lines: a header, then a line for each device. It holds the salts: who loses it can enrol no device of a
 * manifest that was published, and who reads it learns every serial.
 *
 * @param options.onProgress Called after each 1,000 devices, and after the last.
 * @throws TouchstoneError FILE_EXISTS (nothing is overwritten), FILE_UNWRITABLE, MANIFEST_INVALID (what was written is not
 *         what should be), CANCELLED, INVALID_ARGUMENT.
 */
export async function writeManifest(options: {
  path: string;
  manifest: Manifest;
  onProgress?: (progress: ManifestProgress) => void;
  signal?: AbortSignal;
}): Promise<void> {
  const { path, manifest, onProgress, signal } = options;
  await writeNewFile({
    path,
    content: linesOf(manifest, onProgress),
    isPrivate: true,
    isDurable: true,
    check: async (part) => {
      const { terms } = await verifyManifest({ path: part, ...(signal && { signal }) });
      if (terms.root === manifest.terms.root) return;
      throw new TouchstoneError("MANIFEST_INVALID", `${path} was not written as it should be: write it again.`, {
        details: { path, faults: [], expected: manifest.terms.root, written: terms.root },
      });
    },
    signal,
  });
}

function* linesOf(
  manifest: Manifest,
  onProgress: ((progress: ManifestProgress) => void) | undefined,
): Generator<string, void, undefined> {
  const { terms, hardwareClass } = manifest;
  const { vendor, root, voucherRequired } = terms;
  const count = Number(terms.count);
  yield `${JSON.stringify({ format: FORMAT, vendor, hardwareClass, root, count, voucherRequired })}\n`;
  for (const { index, device, scheme, publicKey, serial, salt, serialHash, path } of manifest.entries()) {
    const place = { index: Number(index), device, scheme: nameOf(schemeNames, BigInt(scheme)), publicKey };
    yield `${JSON.stringify({ ...place, serial, salt, serialHash, path })}\n`;
    const devices = place.index + 1;
    if (devices % REPORT_EVERY === 0 || devices === count) onProgress?.({ devices, count });
  }
}

// ------------------------------------------------------------------ reading

/** What reading a manifest's file takes. */
export interface ReadManifestOptions {
  path: string;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}

/**
 * Checks all of a manifest's file: the root is computed from every device, and every device's path leads to it.
 *
 * @returns The header.
 * @throws TouchstoneError
 *   - MANIFEST_INVALID with up to 20 faults, each with its line, in the message and `details.faults`;
 *   - FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, CANCELLED, INVALID_ARGUMENT (the path cannot be one).
 */
export async function verifyManifest(options: ReadManifestOptions): Promise<ManifestHeader> {
  const faults = newFaultList("MANIFEST_INVALID", options.path);
  let header: ManifestHeader | undefined;
  for await (const part of scan(options, faults)) {
    if ("terms" in part) header = part;
  }
  faults.throwIfAny();
  if (header === undefined) throw new RangeError("Not reached: a file without a header has a fault.");
  return header;
}

/**
 * The devices of a manifest's file, one after the other; each is checked against the header's root before it is given.
 *
 * @throws TouchstoneError as verifyManifest, at the first line that is wrong.
 */
export async function* readManifest(
  options: ReadManifestOptions,
): AsyncGenerator<{ header: ManifestHeader; entry: ManifestEntry }, void, undefined> {
  const faults = newFaultList("MANIFEST_INVALID", options.path);
  let header: ManifestHeader | undefined;
  for await (const part of scan(options, faults)) {
    faults.throwIfAny();
    if ("terms" in part) header = part;
    else if (header !== undefined) yield { header, entry: part };
  }
  faults.throwIfAny();
}

/**
 * The device of a manifest's file with this id or serial.
 *
 * @throws TouchstoneError NOT_FOUND; otherwise as verifyManifest, for the lines up to the device's.
 */
export async function findInManifest(
  options: ReadManifestOptions & ({ device: string } | { serial: string }),
): Promise<{ header: ManifestHeader; entry: ManifestEntry }> {
  const isWanted = wanted(options);
  for await (const found of readManifest(options)) {
    if (isWanted(found.entry)) return found;
  }
  const what = "device" in options ? `device ${options.device}` : `device with the serial "${options.serial}"`;
  throw new TouchstoneError(
    "NOT_FOUND",
    `${options.path} has no ${what}: correct it, or take the manifest that has it.`,
    {
      details: { ...options },
    },
  );
}

function wanted(options: { device: string } | { serial: string }): (entry: ManifestEntry) => boolean {
  if ("serial" in options) return ({ serial }) => serial === options.serial;
  const id = requireAddress("device", options.device);
  return ({ device }) => device === id;
}

/** The salts of a manifest's file by the devices' ids, for buildManifest to use again. */
export async function readSalts(options: ReadManifestOptions): Promise<Map<string, string>> {
  const salts = new Map<string, string>();
  for await (const { entry } of readManifest(options)) {
    if (entry.salt !== undefined) salts.set(entry.device, entry.salt);
  }
  return salts;
}

// ------------------------------------------------------------------ lines

const bytes = (length: number): z.ZodString =>
  z.string("is missing").regex(new RegExp(`^0x[0-9a-f]{${2 * length}}$`, "i"), `is not ${length} bytes as 0x hex`);
const wholeNumber = z.int("is no whole number").nonnegative("is below 0");

const headerLine = z.strictObject({
  format: z.literal(FORMAT),
  vendor: bytes(20),
  hardwareClass: bytes(32),
  root: bytes(32),
  count: wholeNumber,
  voucherRequired: z.boolean("is neither true nor false"),
});
const entryLine = z.strictObject({
  index: wholeNumber,
  device: bytes(20),
  scheme: z.enum(schemeNames, `is none of ${schemeNames.join(", ")}`),
  publicKey: z.string("is missing"),
  serial: z.string("is no text").optional(),
  salt: bytes(SERIAL_SALT_BYTES).optional(),
  serialHash: bytes(HASH_BYTES),
  path: z.array(bytes(HASH_BYTES), "is no list of hashes").max(32, "is longer than any can be"),
});

/** The header of a file and its devices that are right; what is wrong with the others goes to the faults. */
async function* scan(
  options: ReadManifestOptions,
  faults: FaultList,
): AsyncGenerator<ManifestHeader | ManifestEntry, void, undefined> {
  const file = { isWhole: true };
  const onLong = (line: number): void => {
    file.isWhole = false;
    faults.add(line, "is too long to be one of a manifest: restore the file.");
  };
  let checker: EntryChecker | undefined;
  for await (const { number, text } of readLines({ ...options, onLong })) {
    if (checker === undefined) {
      const header = parseHeader(number, text, faults);
      if (header === undefined) return;
      checker = newEntryChecker(header, faults);
      yield header;
      continue;
    }
    const entry = checker.check(number, text);
    if (entry !== undefined) yield entry;
  }
  if (!file.isWhole) return;
  if (checker === undefined) faults.add(1, NO_HEADER);
  else checker.end();
}

function parseHeader(line: number, text: string, faults: FaultList): ManifestHeader | undefined {
  const json = parseJson(text);
  const { format } = z.looseObject({ format: z.unknown() }).safeParse(json).data ?? {};
  if (format !== FORMAT) {
    faults.add(
      line,
      typeof format === "string"
        ? `is of the format "${format}", and this client reads ${FORMAT}: use the client that wrote it.`
        : NO_HEADER,
    );
    return undefined;
  }
  const parsed = headerLine.safeParse(json);
  if (!parsed.success) {
    faults.add(line, `${issuesOf(parsed.error)}: restore the file.`);
    return undefined;
  }
  const { hardwareClass, root, count, voucherRequired } = parsed.data;
  try {
    const vendor = requireAddress("vendor", parsed.data.vendor);
    return { terms: { vendor, root, count: BigInt(count), voucherRequired }, hardwareClass };
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    faults.add(line, error.message);
    return undefined;
  }
}

interface EntryChecker {
  /** The entry of a line if it is right. */
  check(line: number, text: string): ManifestEntry | undefined;
  /** Checks what only the whole file shows. */
  end(): void;
}

function newEntryChecker({ terms }: ManifestHeader, faults: FaultList): EntryChecker {
  let next = 0n;
  let previous = "";
  let lastLine = 1;
  let isRootRight = false;
  // Lines that lead to another root: it is the header that is wrong if all do.
  const strays: number[] = [];
  const addStrays = (): void => {
    for (const line of strays.splice(0)) {
      faults.add(line, "its device, scheme, serial and path do not lead to the root: restore the line.");
    }
  };
  return {
    check(line, text) {
      lastLine = line;
      const fault = (message: string): void => {
        faults.add(line, `${message}: restore the line.`);
      };
      const entry = parseEntry(text, fault);
      if (entry === undefined) return undefined;
      const expected = next;
      next = entry.index + 1n;
      if (entry.index !== expected) {
        fault(`the index is ${entry.index} where ${expected} is due`);
        return undefined;
      }
      const key = entry.device.toLowerCase();
      if (key <= previous) {
        fault(`the device ${entry.device} does not stand in the order of ids`);
        return undefined;
      }
      previous = key;
      if (manifestRootOf(entry, terms.count) !== terms.root.toLowerCase()) {
        strays.push(line);
        if (isRootRight) addStrays();
        return undefined;
      }
      isRootRight = true;
      addStrays();
      return entry;
    },
    end() {
      if (strays.length > 1 && !isRootRight) {
        faults.add(1, `no device leads to the root ${terms.root} of a manifest of ${terms.count}: restore the header.`);
      } else {
        addStrays();
      }
      if (next !== terms.count) {
        faults.add(
          lastLine,
          `is the last one, and the file ends with ${next} of ${terms.count} devices: restore the rest.`,
        );
      }
    },
  };
}

function parseEntry(text: string, fault: (message: string) => void): ManifestEntry | undefined {
  const json = parseJson(text);
  if (json === undefined) {
    fault("is not JSON");
    return undefined;
  }
  const parsed = entryLine.safeParse(json);
  if (!parsed.success) {
    fault(issuesOf(parsed.error));
    return undefined;
  }
  const { index, scheme, serial, salt, ...rest } = parsed.data;
  try {
    const entry: ManifestEntry = {
      ...rest,
      index: BigInt(index),
      scheme: Scheme[scheme],
      ...(serial !== undefined && { serial }),
      ...(salt !== undefined && { salt }),
    };
    if (idOf(entry) !== entry.device) {
      fault(`the publicKey is not that of ${entry.device}`);
    } else if (serialHashOf(entry) !== entry.serialHash.toLowerCase()) {
      fault("the serialHash is not that of serial and salt");
    } else {
      return entry;
    }
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    fault(error.message.replace(/\.$/, ""));
  }
  return undefined;
}

/** The id of an entry's key. */
function idOf({ scheme, publicKey, device }: ManifestEntry): string | undefined {
  if (scheme === Scheme.Account) return publicKey === "0x" ? requireAddress("device", device) : undefined;
  return readFactoryKey(publicKey).id;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function issuesOf(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join(".") || "it"} ${issue.message}`).join("; ");
}

function invalid(message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", message, { details });
}
