import { ECDH } from "node:crypto";

import { getAddress } from "ethers";

import { bytesIn } from "./arguments.js";
import { TouchstoneError } from "./errors.js";
import { toHex } from "./manifest-leaves.js";
import { hashBytes } from "./merkle.js";

/** Bytes of a P-256 public key by how it is written, with what each begins with. */
const FORMS: Record<number, readonly number[]> = { 33: [0x02, 0x03], 65: [0x04] };

/** Ids below this are zero and precompiles: they are never keys, and the contracts refuse them. */
const RESERVED_IDS = 2n ** 16n;

/** A P-256 public key with its id. */
export interface FactoryKey {
  /** The checksummed 20-byte address that keyIdOf gives. */
  id: string;
  /** 64 bytes qx ‖ qy. */
  publicKey: string;
}

/**
 * Reads a P-256 public key as factories write them, four times as fast as keyIdOf: OpenSSL checks the point.
 *
 * @param value 64 bytes qx ‖ qy, 65 bytes 04 ‖ qx ‖ qy or 33 bytes compressed, as hex with or without 0x.
 * @throws TouchstoneError INVALID_KEY if it is none, or not a point of the curve. A value as long as a private key is not
 *         repeated in the message.
 */
export function readFactoryKey(value: string): FactoryKey {
  const hex = /^(?:0x)?((?:[0-9a-f]{2})+)$/i.exec(value)?.[1];
  if (hex === undefined) throw invalid(value, "is not hex: give the public key as hex, with or without 0x.");
  const given = Buffer.from(hex, "hex");
  if (given.length === 32) {
    throw new TouchstoneError(
      "INVALID_KEY",
      "32 bytes are no public key, but may be a private one, so they are not shown: give the public key, and keep the " +
        "private one where it is.",
    );
  }
  const point = given.length === 64 ? Buffer.concat([Buffer.of(0x04), given]) : given;
  if (FORMS[point.length]?.includes(point.readUInt8(0)) !== true) {
    throw invalid(
      value,
      `has ${bytesIn(given.length)} and begins with ${hex.slice(0, 2)}: give 64 bytes qx ‖ qy, 65 bytes 04 ‖ qx ‖ qy or ` +
        "33 bytes compressed, which begin with 02 or 03.",
    );
  }
  let checked: Buffer;
  try {
    checked = ECDH.convertKey(point, "prime256v1", undefined, undefined, "uncompressed") as Buffer;
  } catch (cause) {
    throw invalid(value, "is not a point of the curve P-256: copy it again from where it was made.", cause);
  }
  const publicKey = checked.subarray(1);
  const id = hashBytes("Keccak256", publicKey).subarray(12);
  return { id: getAddress(toHex(id)), publicKey: toHex(publicKey) };
}

/** Whether an id is one of those that the contracts never take for a key. */
export function isReservedId(id: string): boolean {
  return BigInt(id) < RESERVED_IDS;
}

function invalid(value: string, reason: string, cause?: unknown): TouchstoneError {
  const shown = value.length > 140 ? `${value.slice(0, 140)}…` : value;
  return new TouchstoneError("INVALID_KEY", `"${shown}" ${reason}`, { details: { publicKey: value }, cause });
}
