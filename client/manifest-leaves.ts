import { requireHex, ZERO_HASH } from "./arguments.js";
import { TouchstoneError } from "./errors.js";
import type { Scheme } from "./keys.js";
import { rootOfPath } from "./merkle-paths.js";
import { HASH_BYTES, hashBytes, hashLeaf } from "./merkle.js";

/** Prefix that keeps the leaf of a device from passing for another one. */
const DEVICE = 0x04;

/** Bytes of the salt of a serial. */
export const SERIAL_SALT_BYTES = 16;

/** What a maker publishes of a manifest; with a device's place in it this is what its enrolment is checked against. */
export interface ManifestTerms {
  /** The account or fleet handle of the maker. */
  vendor: string;
  /** 32 bytes: root of the tree over the devices. */
  root: string;
  /** Number of devices. */
  count: bigint;
  /** Whether each enrolment needs the maker's voucher, which names device and owner. */
  voucherRequired: boolean;
}

/** A device's place in a manifest, as the chain checks it. */
export interface ManifestPlace {
  device: string;
  scheme: Scheme;
  /** 32 bytes; zero for a device without a serial. */
  serialHash: string;
  /** Counts from 0, in ascending order of the devices' ids. */
  index: bigint;
  /** Siblings from the leaf up to the root, 32 bytes each. */
  path: readonly string[];
}

/**
 * What the chain is told of a serial: keccak256(salt16 ‖ utf8(serial)), or 32 zero bytes for none.
 *
 * @param options.salt 16 bytes as 0x hex that keep the serial from being guessed; left out without a serial.
 * @throws TouchstoneError INVALID_ARGUMENT if one is given without the other, or the salt is of another length.
 */
export function serialHashOf(options: { serial?: string | undefined; salt?: string | undefined }): string {
  const { serial, salt } = options;
  if (serial === undefined && salt === undefined) return ZERO_HASH;
  if (serial === undefined || salt === undefined) {
    const [given, missing] = serial === undefined ? ["salt", "serial"] : ["serial", "salt"];
    throw new TouchstoneError("INVALID_ARGUMENT", `There is a ${given} without a ${missing}: give both, or neither.`, {
      details: { serial, salt },
    });
  }
  return toHex(hashSerial(serial, bytesOf("salt", salt, SERIAL_SALT_BYTES)));
}

/**
 * The leaf of a device: keccak256(0x00 ‖ 0x04 ‖ device20 ‖ scheme1 ‖ serialHash32), as 0x hex.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function manifestLeaf(options: { device: string; scheme: Scheme; serialHash: string }): string {
  const device = bytesOf("device", options.device, 20);
  const serialHash = bytesOf("serialHash", options.serialHash, HASH_BYTES);
  return toHex(hashDevice({ device, scheme: options.scheme, serialHash }));
}

/**
 * The root that a device's place leads to in a manifest of `count` devices.
 *
 * @returns 32 bytes as 0x hex; undefined if such a manifest has no such index, or a path of another length there.
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function manifestRootOf(place: ManifestPlace, count: bigint): string | undefined {
  const root = rootOfPath({
    hash: "Keccak256",
    leaf: bytesOf("leaf", manifestLeaf(place), HASH_BYTES),
    index: Number(place.index),
    size: Number(count),
    path: place.path.map((sibling, height) => bytesOf(`path[${height}]`, sibling, HASH_BYTES)),
  });
  return root === undefined ? undefined : toHex(root);
}

/** The bytes that serialHashOf gives as hex. */
export function hashSerial(serial: string, salt: Uint8Array): Uint8Array {
  return hashBytes("Keccak256", Buffer.concat([salt, Buffer.from(serial, "utf8")]));
}

/** The bytes that manifestLeaf gives as hex. */
export function hashDevice(options: { device: Uint8Array; scheme: Scheme; serialHash: Uint8Array }): Uint8Array {
  const content = new Uint8Array(1 + 20 + 1 + HASH_BYTES);
  content[0] = DEVICE;
  content.set(options.device, 1);
  content[21] = options.scheme;
  content.set(options.serialHash, 22);
  return hashLeaf("Keccak256", content);
}

/** Bytes as 0x hex. */
export function toHex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`;
}

/** The bytes of hex; ethers takes too long for the millions of hashes of a manifest. */
function bytesOf(argument: string, hex: string, bytes: number): Uint8Array {
  return Buffer.from(requireHex(argument, hex, bytes).slice(2), "hex");
}
