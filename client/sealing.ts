import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

import { requireAddress, requireHex, requireUint } from "./arguments.js";
import type { Measurement } from "./batches.js";
import { nameOf, numberOf } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";

/**
 * What is sealed with keys of its own, so that whoever was not granted it cannot open it: "readings" open to ReadLive and
 * ReadHistory, "location" to ReadLocation, "metadata" to ReadMetadata. The order gives the numbers in bytes, which never change.
 */
export const dataClasses = ["readings", "location", "metadata"] as const;
export type DataClass = (typeof dataClasses)[number];

/** Content format of a sealed reading: from CoAP's range for experiments (RFC 7252, section 12.3). */
export const SEALED_FORMAT = 65_002;

/** Bytes by which a sealed payload is longer than the payload in it, whatever that is. */
export const SEALED_OVERHEAD = 55;

/**
 * Readings that one data key seals, at most. Nonces are random and have 96 bits, so among 2^32 of them two are the same with a
 * chance below 2^-32, which is where NIST SP 800-38D (section 8.3) draws the line.
 */
export const MAX_SEALED_PER_KEY = 2 ** 32;

const VERSION = 1;
const SECRET_BYTES = 32;
const ID_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FORMAT_BYTES = 2;
/** version1 ‖ class1 ‖ epoch3 ‖ keyEpoch4 ‖ keyId16. */
const HEADER_BYTES = 9 + ID_BYTES;
const PREFIX_BYTES = HEADER_BYTES + NONCE_BYTES;

const SEALED_LABEL = Buffer.from("Touchstone.sealed.v1", "ascii");
const KEY_LABEL = Buffer.from("Touchstone.data-key.v1", "ascii");

/** Chain ids beyond are refused: they are eight bytes in what is authenticated. */
export const CHAIN_ID_BITS = 64;
export const EPOCH_BITS = 24;
export const KEY_EPOCH_BITS = 32;

// ------------------------------------------------------------------ keys

/** What a data key is for. */
export interface DataKeyPlace {
  chainId: bigint;
  /** The contract that says who may read. */
  dataAccess: string;
  device: string;
  /** The device's epoch, in which it had one owner. */
  epoch: bigint;
  dataClass: DataClass;
  /** Counts the keys of an owner epoch and a class, from 1. */
  keyEpoch: number;
}

/** A key that seals readings of one class of one device, as long as the same people may read them. */
export interface DataKey extends Readonly<DataKeyPlace> {
  /** 16 bytes as 0x hex: what the key and its place are hashed to. It tells apart keys of one place, and gives none away. */
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  /** How often it has sealed: counted up by sealReading. */
  sealed: number;
}

/**
 * Makes a data key.
 *
 * @param options.secret 32 bytes; fresh random ones unless told.
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function newDataKey(options: DataKeyPlace & { secret?: Uint8Array }): DataKey {
  const secret = Uint8Array.from(options.secret ?? randomBytes(SECRET_BYTES));
  if (secret.length !== SECRET_BYTES) {
    throw new TouchstoneError("INVALID_ARGUMENT", `secret: it has ${secret.length} bytes: give 32.`);
  }
  const { chainId, epoch, dataClass, keyEpoch } = options;
  const place = {
    chainId,
    dataAccess: requireAddress("dataAccess", options.dataAccess),
    device: requireAddress("device", options.device),
    epoch,
    dataClass,
    keyEpoch,
  };
  const id = createHash("sha256").update(KEY_LABEL).update(placeBytes(place)).update(secret).digest();
  return { ...place, id: hexOf(id.subarray(0, ID_BYTES)), secret, sealed: 0 };
}

/** Bytes of placeBytes. */
export const PLACE_BYTES = 56;

/**
 * `chainId8 ‖ dataAccess20 ‖ device20 ‖ class1 ‖ epoch3 ‖ keyEpoch4`, big-endian.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function placeBytes(place: DataKeyPlace): Buffer {
  const bytes = Buffer.alloc(PLACE_BYTES);
  bytes.writeBigUInt64BE(requireUint("chainId", place.chainId, CHAIN_ID_BITS), 0);
  bytes.write(requireAddress("dataAccess", place.dataAccess).slice(2), 8, "hex");
  bytes.write(requireAddress("device", place.device).slice(2), 28, "hex");
  bytes.writeUInt8(Number(numberOf(dataClasses, place.dataClass)), 48);
  bytes.writeUIntBE(Number(requireUint("epoch", place.epoch, EPOCH_BITS)), 49, 3);
  bytes.writeUInt32BE(requireKeyEpoch(place.keyEpoch), 52);
  return bytes;
}

/**
 * Reads placeBytes.
 *
 * @param bytes As many as PLACE_BYTES says.
 * @throws TouchstoneError INVALID_ARGUMENT for a class without a name, or key epoch 0.
 */
export function placeIn(bytes: Buffer): DataKeyPlace {
  return {
    chainId: bytes.readBigUInt64BE(0),
    dataAccess: requireAddress("dataAccess", hexOf(bytes.subarray(8, 28))),
    device: requireAddress("device", hexOf(bytes.subarray(28, 48))),
    dataClass: nameOf(dataClasses, BigInt(bytes.readUInt8(48))),
    epoch: BigInt(bytes.readUIntBE(49, 3)),
    keyEpoch: requireKeyEpoch(bytes.readUInt32BE(52)),
  };
}

function requireKeyEpoch(keyEpoch: number): number {
  if (Number.isInteger(keyEpoch) && keyEpoch > 0 && keyEpoch < 2 ** KEY_EPOCH_BITS) return keyEpoch;
  throw new TouchstoneError("INVALID_ARGUMENT", `keyEpoch: ${keyEpoch} is none: give 1 to 2^32 - 1.`, {
    details: { keyEpoch },
  });
}

// ------------------------------------------------------------------ readings

/** Where a reading stands. */
export interface ReadingPlace {
  /** The log that the reading is in: 32 bytes as 0x hex. */
  logId: string;
  /** Its sequence number there. */
  seq: bigint;
}

/** What a sealed payload says of the key that opens it. */
export interface SealedHeader {
  dataClass: DataClass;
  epoch: bigint;
  keyEpoch: number;
  /** 16 bytes as 0x hex. */
  keyId: string;
}

/**
 * Seals a reading for its place in a log. What is anchored is the sealed payload, under SEALED_FORMAT: batches, proofs and
 * audits know nothing of what is in it.
 *
 * The payload, version 1, integers big-endian:
 *
 * | bytes   | what                                                                        |
 * | ------- | --------------------------------------------------------------------------- |
 * | 0       | version, 1                                                                  |
 * | 1       | data class: 0 readings, 1 location, 2 metadata                              |
 * | 2–4     | owner epoch of the device                                                   |
 * | 5–8     | key epoch                                                                   |
 * | 9–24    | key id: SHA-256("Touchstone.data-key.v1" ‖ chainId8 ‖ DataAccess20 ‖ device20 ‖ class1 ‖ epoch3 ‖ keyEpoch4 ‖ secret32), its first 16 bytes |
 * | 25–36   | nonce, random                                                               |
 * | 37–n-17 | AES-256-GCM of contentFormat2 ‖ payload                                     |
 * | n-16–n-1| tag, 16 bytes                                                               |
 *
 * Authenticated with it: "Touchstone.sealed.v1" ‖ chainId8 ‖ DataAccess20 ‖ device20 ‖ logId32 ‖ seq8 ‖ bytes 0–24. So it opens
 * nowhere but at its place. What it does not hide is when the reading was measured, and how long it is.
 *
 * @param options.key Its `sealed` is counted up.
 * @throws TouchstoneError INVALID_ARGUMENT: no reading, or the log of another device; DATA_KEY_EXHAUSTED: make a new key.
 */
export function sealReading(options: ReadingPlace & { key: DataKey; reading: Measurement }): Required<Measurement> {
  const { key, reading } = options;
  const { measuredAt, payload, contentFormat = 0 } = reading;
  if (!Number.isInteger(contentFormat) || contentFormat < 0 || contentFormat > 0xffff) {
    throw invalid(`contentFormat: ${contentFormat} is none: give 0 to 65,535.`, { contentFormat });
  }
  // Callers without types reach this too.
  if (!(payload instanceof Uint8Array)) throw invalid("payload: it is no bytes: give a Uint8Array.", {});
  if (key.sealed >= MAX_SEALED_PER_KEY) {
    throw new TouchstoneError(
      "DATA_KEY_EXHAUSTED",
      `The key ${key.id} sealed ${MAX_SEALED_PER_KEY} readings, which is all it may: go on with a new one.`,
      { details: { keyId: key.id, sealed: key.sealed } },
    );
  }
  if (!isLogOf(options.logId, key.device)) {
    throw invalid(`logId: ${options.logId} is no log of ${key.device}: give its log, or the key of the log's device.`, {
      logId: options.logId,
      device: key.device,
    });
  }
  const sealed = Buffer.allocUnsafe(SEALED_OVERHEAD + payload.length);
  const place = placeOf(key);
  sealed[0] = VERSION;
  // The class, the epoch and the key epoch follow each other there as here.
  place.copy(sealed, 1, 48);
  sealed.write(key.id.slice(2), 9, "hex");
  const nonce = randomBytes(NONCE_BYTES);
  nonce.copy(sealed, HEADER_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key.secret, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(options, place, sealed));
  const plaintext = Buffer.allocUnsafe(FORMAT_BYTES + payload.length);
  plaintext.writeUInt16BE(contentFormat, 0);
  plaintext.set(payload, FORMAT_BYTES);
  key.sealed += 1;
  cipher.update(plaintext).copy(sealed, PREFIX_BYTES);
  cipher.final();
  cipher.getAuthTag().copy(sealed, sealed.length - TAG_BYTES);
  return { measuredAt, payload: sealed, contentFormat: SEALED_FORMAT };
}

/**
 * Seals readings one after the other, as they come.
 *
 * @param options.firstSeq Sequence number of the first one; the others follow.
 * @throws TouchstoneError as sealReading.
 */
export async function* sealReadings(options: {
  key: DataKey;
  logId: string;
  firstSeq: bigint;
  readings: Iterable<Measurement> | AsyncIterable<Measurement>;
}): AsyncGenerator<Required<Measurement>, void, undefined> {
  const { key, logId } = options;
  let seq = options.firstSeq;
  for await (const reading of options.readings) yield sealReading({ key, logId, seq: seq++, reading });
}

/** A reading as it comes from an archive, a proof bundle or a broker. */
export interface SealedReading {
  /** Unix milliseconds. */
  measuredAt: bigint;
  payload: Uint8Array;
  contentFormat?: number | undefined;
}

/**
 * Opens a sealed reading.
 *
 * @param options.key The key that it names, see sealedHeader.
 * @throws TouchstoneError
 *   - SEALED_INVALID if it is no sealed reading;
 *   - DATA_KEY_MISSING if it names another key;
 *   - SEALED_REFUSED if it was altered, or sealed for another log or another sequence number;
 *   - INVALID_ARGUMENT.
 */
export function openReading(options: ReadingPlace & { key: DataKey; reading: SealedReading }): Required<Measurement> {
  const { key, logId, seq, reading } = options;
  if (reading.contentFormat !== undefined && reading.contentFormat !== SEALED_FORMAT) {
    throw notSealed(`its content format is ${reading.contentFormat}, not ${SEALED_FORMAT}`);
  }
  const header = sealedHeader(reading.payload);
  const isNamed =
    header.keyId === key.id &&
    header.dataClass === key.dataClass &&
    header.epoch === key.epoch &&
    header.keyEpoch === key.keyEpoch;
  if (!isNamed) throw keyMissing(header, key.device);
  const refused = (cause?: unknown): TouchstoneError =>
    new TouchstoneError(
      "SEALED_REFUSED",
      `Reading ${seq} of the log ${logId} was altered, or sealed for another place: take it from where it was anchored.`,
      { details: { logId, seq, device: key.device, ...header }, cause },
    );
  if (!isLogOf(logId, key.device)) throw refused();
  const bytes = bufferOf(reading.payload);
  const end = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key.secret, bytes.subarray(HEADER_BYTES, PREFIX_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(authenticated(options, placeOf(key), bytes));
  decipher.setAuthTag(bytes.subarray(end));
  const plaintext = decipher.update(bytes.subarray(PREFIX_BYTES, end));
  try {
    decipher.final();
  } catch (cause) {
    throw refused(cause);
  }
  const payload = Uint8Array.from(plaintext.subarray(FORMAT_BYTES));
  return { measuredAt: reading.measuredAt, payload, contentFormat: plaintext.readUInt16BE(0) };
}

/**
 * What a sealed payload says of the key that opens it. Nothing shows that it is true before it was opened.
 *
 * @throws TouchstoneError SEALED_INVALID if it is no sealed reading.
 */
export function sealedHeader(payload: Uint8Array): SealedHeader {
  const bytes = bufferOf(payload);
  if (bytes.length < SEALED_OVERHEAD) {
    throw notSealed(`it has ${bytes.length} bytes, fewer than ${SEALED_OVERHEAD}`);
  }
  const [version = 0, dataClass = 0] = bytes;
  if (version !== VERSION) throw notSealed(`it is of version ${version}, not ${VERSION}`);
  const name = dataClasses[dataClass];
  if (name === undefined) throw notSealed(`${dataClass} is no data class`);
  const keyEpoch = bytes.readUInt32BE(5);
  if (keyEpoch === 0) throw notSealed("0 is no key epoch");
  return {
    dataClass: name,
    epoch: BigInt(bytes.readUIntBE(2, 3)),
    keyEpoch,
    keyId: hexOf(bytes.subarray(9, HEADER_BYTES)),
  };
}

/** The error for a reading that none of the keys at hand opens. */
export function keyMissing(header: SealedHeader, device: string): TouchstoneError {
  const { dataClass, epoch, keyEpoch, keyId } = header;
  return new TouchstoneError(
    "DATA_KEY_MISSING",
    `The reading is sealed with key ${keyEpoch} of the ${dataClass} of ${device} in epoch ${epoch} (${keyId}): ask its owner ` +
      "for an envelope of it.",
    { details: { device, ...header } },
  );
}

// ------------------------------------------------------------------ private

/** The checksum of an address costs more than to seal a reading: each key is looked at once. */
const places = new WeakMap<DataKey, Buffer>();

function placeOf(key: DataKey): Buffer {
  const known = places.get(key);
  if (known !== undefined) return known;
  const place = placeBytes(key);
  places.set(key, place);
  return place;
}

/** The place of the reading and the header: what has to be the same when it is opened. */
function authenticated({ logId, seq }: ReadingPlace, place: Buffer, sealed: Buffer): Buffer {
  const log = Buffer.from(logId.slice(2), "hex");
  requireUint("seq", seq, 64);
  const bytes = Buffer.allocUnsafe(SEALED_LABEL.length + 48 + 32 + 8 + HEADER_BYTES);
  let at = SEALED_LABEL.copy(bytes);
  at += place.copy(bytes, at, 0, 48);
  at += log.copy(bytes, at);
  at = bytes.writeBigUInt64BE(seq, at);
  sealed.copy(bytes, at, 0, HEADER_BYTES);
  return bytes;
}

/** Logs of fleets, of which the top bit of the stream is set, have readings of any device. */
function isLogOf(logId: string, device: string): boolean {
  const log = Buffer.from(requireHex("logId", logId, 32).slice(2), "hex");
  return log.readUInt8(20) >= 0x80 || log.toString("hex", 0, 20) === device.slice(2).toLowerCase();
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hexOf(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

function notSealed(fault: string): TouchstoneError {
  return new TouchstoneError("SEALED_INVALID", `The payload is no sealed reading: ${fault}.`);
}

function invalid(message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", message, { details });
}
