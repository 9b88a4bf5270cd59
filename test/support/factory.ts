import { createECDH } from "node:crypto";

import { concat, keccak256, toUtf8Bytes } from "ethers";

import type { FactoryDevice } from "../../client/device-lists.js";
import { keyIdOf, Scheme } from "../../client/keys.js";
import type { ManifestEntry } from "../../client/manifest-files.js";

export const VENDOR = "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4";
export const ACCOUNT = "0xAb8483F64d9C6d1EcF9b849Ae677dD3315835cb2";

/** A P-256 public key of which nobody keeps the private one, in each way that factories write it. */
export function factoryKey(): { id: string; raw: string; uncompressed: string; compressed: string } {
  const key = createECDH("prime256v1");
  const uncompressed = key.generateKeys("hex");
  const raw = uncompressed.slice(2);
  return { id: keyIdOf(`0x${raw}`), raw, uncompressed, compressed: key.getPublicKey("hex", "compressed") };
}

/** Devices with a serial each. */
export function factoryDevices(count: number): FactoryDevice[] {
  return Array.from({ length: count }, (_, index) => {
    const { id, raw } = factoryKey();
    return { id, scheme: Scheme.P256, publicKey: `0x${raw}`, serial: `SN-${index}` };
  });
}

/** The leaf of an entry by the words of the design, written apart from what is tested. */
export function leafOf(entry: Pick<ManifestEntry, "device" | "scheme" | "serial" | "salt">): string {
  const { device, scheme, serial, salt } = entry;
  const serialHash = serial === undefined ? `0x${"00".repeat(32)}` : keccak256(concat([salt!, toUtf8Bytes(serial)]));
  return keccak256(concat(["0x00", "0x04", device, `0x0${scheme}`, serialHash]));
}
