import { dataLength, encodeBytes32String, getAddress, isHexString } from "ethers";

import { TouchstoneError } from "./errors.js";

/** The last moment that the contracts can express, 2^40 - 1: as an expiry it means for ever. */
export const FOREVER = 2n ** 40n - 1n;

/** 32 zero bytes: "none" wherever a hash may be left out. */
export const ZERO_HASH = `0x${"00".repeat(32)}`;

/**
 * An address as it must be written: checksummed.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is not an address, or its checksum is wrong.
 */
export function requireAddress(argument: string, value: string): string {
  requireHex(argument, value, 20);
  try {
    return getAddress(value);
  } catch (cause) {
    const fixed = getAddress(value.toLowerCase());
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `${argument}: the checksum of ${value} is wrong, so a character was mistyped. Compare it with its source; if every ` +
        `character is right, write ${fixed}.`,
      { details: { argument, value, fixed }, cause },
    );
  }
}

/**
 * Bytes as 0x-prefixed hex.
 *
 * @param bytes How many there must be; any number unless told.
 * @throws TouchstoneError INVALID_ARGUMENT if it is not hex, or of another length.
 */
export function requireHex(argument: string, value: string, bytes?: number): string {
  // Callers without types reach this too, and ethers would take other text for an ENS name and ask the network.
  const given =
    typeof value === "string" && isHexString(value) && value.length % 2 === 0 ? dataLength(value) : undefined;
  if (given === undefined || (bytes !== undefined && given !== bytes)) {
    const wanted = bytes === undefined ? "whole bytes" : bytesIn(bytes);
    const found = given === undefined ? "is not hex" : `has ${bytesIn(given)}`;
    throw new TouchstoneError("INVALID_ARGUMENT", `${argument}: ${shown(value)} ${found}: give ${wanted} as 0x hex.`, {
      details: { argument, value, bytes },
    });
  }
  return value;
}

/**
 * A whole number from 0 to 2^bits - 1.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is none.
 */
export function requireUint(argument: string, value: bigint, bits: number): bigint {
  const largest = 2n ** BigInt(bits) - 1n;
  if (typeof value !== "bigint" || value < 0n || value > largest) {
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `${argument}: ${shown(value)} is out of range: give a bigint from 0 to ${largest}.`,
      { details: { argument, value, bits } },
    );
  }
  return value;
}

/**
 * The number of a block.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is none.
 */
export function requireBlock(argument: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `${argument}: ${shown(value)} is no number of a block: give 0 or more.`,
    {
      details: { argument, value },
    },
  );
}

/**
 * A name as the contracts take it: 32 bytes as 0x-prefixed hex.
 *
 * @param value 1 to 31 bytes of text, or 32 bytes as 0x hex.
 * @throws TouchstoneError INVALID_ARGUMENT if it is neither.
 */
export function requireName(argument: string, value: string): string {
  if (isHexString(value, 32)) return value;
  try {
    if (value !== "") return encodeBytes32String(value);
  } catch {
    // The message below says what is wrong.
  }
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `${argument}: "${value}" cannot be a name: give 1 to 31 bytes of text, or 32 bytes as 0x hex.`,
    { details: { argument, value } },
  );
}

/** "1 byte", "20 bytes". */
export function bytesIn(count: number): string {
  return count === 1 ? "1 byte" : `${count} bytes`;
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? `"${value}"` : String(value);
  return text.length > 140 ? `${text.slice(0, 140)}…` : text;
}
