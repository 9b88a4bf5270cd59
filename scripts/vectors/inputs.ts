import { p256 } from "@noble/curves/nist.js";
import { concat, getBytes, hexlify, id, Wallet } from "ethers";

import {
  accountKey,
  keyIdOf,
  normalizeP256Signature,
  p256Digest,
  Scheme,
  type Key,
  type Measurement,
  type P256Scheme,
} from "../../client/index.js";

/** Unix seconds of the first anchor: 2026-01-01 00:00:00 UTC. The others follow an hour apart each. */
export const START = 1_767_225_600n;
export const HOUR = 3600n;
/** Unix seconds until which all messages are valid. */
export const DEADLINE = START + 30n * 24n * HOUR;
/** A block of which no chain tells the hash any more, so that no chain contradicts it. */
export const OLD_BLOCK = { number: 1n, hash: id("an old block") };

/** Where the simulator's first account, which deploys the suite, puts DataAnchor. */
export const CHAIN_ID = 31_337n;
export const DATA_ANCHOR = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9";
/** The simulator's second account: it owns all devices, and writes the fleet log. */
export const OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/** A key with what it is made of, and a signature that is the same each time. */
export interface FixedKey {
  name: string;
  privateKey: string;
  key: Key;
}

export const fixedKeys: readonly FixedKey[] = [
  fixedP256Key("P256", Scheme.P256),
  fixedP256Key("P256Sha256", Scheme.P256Sha256),
  await fixedAccountKey("Account"),
];

/** Measurements a minute apart, in several formats, with some that have no bytes or bytes that are no text. */
export function measurements(options: { from: bigint; count: number }): Measurement[] {
  const contents: { contentFormat?: number; payload: Uint8Array }[] = [
    { payload: Buffer.from("21.5") },
    { contentFormat: 50, payload: Buffer.from('{"t":21.5}') },
    { contentFormat: 60, payload: getBytes("0xa16174f94d60") },
    { contentFormat: 110, payload: Buffer.from('[{"n":"t","u":"Cel","v":21.5}]') },
    { contentFormat: 42, payload: new Uint8Array() },
    { contentFormat: 42, payload: getBytes("0x00ff80fe01") },
  ];
  return Array.from({ length: options.count }, (_, index) => ({
    measuredAt: options.from * 1000n + BigInt(index) * 60_000n,
    ...(contents[index % contents.length] ?? { payload: new Uint8Array() }),
  }));
}

/** The first 16 bytes of the hash of a name. */
export function seedNamed(name: string): Uint8Array {
  return getBytes(id(name)).slice(0, 16);
}

function fixedP256Key(name: string, scheme: P256Scheme): FixedKey {
  const privateKey = id(`touchstone ${name} key`);
  const publicKey = hexlify(p256.getPublicKey(getBytes(privateKey), false).slice(1));
  const key: Key = {
    id: keyIdOf(publicKey),
    scheme,
    publicKey,
    // With the nonce of RFC 6979, for both schemes.
    prove(message) {
      const signature = p256.sign(p256Digest(message, scheme), getBytes(privateKey), { prehash: false });
      return Promise.resolve({ publicKey, signature: normalizeP256Signature(concat([signature])) });
    },
  };
  return { name, privateKey, key };
}

async function fixedAccountKey(name: string): Promise<FixedKey> {
  const privateKey = id(`touchstone ${name} key`);
  return { name, privateKey, key: await accountKey(new Wallet(privateKey)) };
}
