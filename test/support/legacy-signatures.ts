import {
  concat,
  HDNodeWallet,
  hexlify,
  keccak256,
  Mnemonic,
  toBeHex,
  toUtf8Bytes,
  type Interface,
  type SigningKey,
} from "ethers";

import type { DeviceRegistry } from "../../typechain-types/index.js";

/** What ERC-1056 lets others send for a controller. */
export type Action = "changeOwner" | "addDelegate" | "revokeDelegate" | "setAttribute" | "revokeAttribute";

/** A message of ERC-1056. What each action's arguments are: see `encodeArguments`. */
export interface LegacyMessage {
  /** Address of the contract. */
  registry: string;
  nonce: bigint;
  identity: string;
  action: Action;
  args: readonly (string | bigint)[];
}

/** What the functions whose names end in Signed take. */
export interface LegacySignature {
  v: number;
  r: string;
  s: string;
}

/** What the simulated chain derives its accounts from. */
const accounts = HDNodeWallet.fromMnemonic(
  Mnemonic.fromPhrase("test test test test test test test test test test test junk"),
  "m/44'/60'/0'/0",
);
const signingKeys = new Map<string, SigningKey>();

/** The private key of one of the simulated chain's accounts, which signs what no wallet would. */
export function signingKeyOf(address: string): SigningKey {
  for (let index = signingKeys.size; !signingKeys.has(address) && index < 20; ++index) {
    const account = accounts.deriveChild(index);
    signingKeys.set(account.address, account.signingKey);
  }
  return signingKeys.get(address)!;
}

/** The order of the secp256k1 group. */
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** The arguments, packed: addresses in 20 bytes, numbers in 32, all else as it is. */
export function encodeArguments(args: LegacyMessage["args"]): string {
  return concat(args.map((value) => (typeof value === "bigint" ? toBeHex(value, 32) : value)));
}

/** `keccak256(0x19 ‖ 0x00 ‖ registry ‖ nonce ‖ identity ‖ action ‖ arguments)`. */
export function legacyDigest({ registry, nonce, identity, action, args }: LegacyMessage): string {
  const name = hexlify(toUtf8Bytes(action));
  return keccak256(concat(["0x1900", registry, toBeHex(nonce, 32), identity, name, encodeArguments(args)]));
}

/** Signs the digest as it is, without the prefix that wallets put before messages. */
export function signLegacy(key: SigningKey, message: LegacyMessage): LegacySignature {
  const { v, r, s } = key.sign(legacyDigest(message));
  return { v, r, s };
}

/** The other signature that the same key could have made for the same digest, which ecrecover takes as well. */
export function withHighS({ v, r, s }: LegacySignature): LegacySignature {
  return { v: v === 27 ? 28 : 27, r, s: toBeHex(N - BigInt(s), 32) };
}

/** How far the nonces of an owner jump when it revokes all or hands a device over: more than anyone signs in advance. */
export const JUMP = 1n << 64n;

/** The number from which the nonces of a controller start. */
export function firstNonce(options: {
  chainId: bigint;
  registry: string;
  controller: string;
  /** How often the controller, a fleet handle, was handed over; 0 for all others. */
  handovers: bigint;
}): bigint {
  const { chainId, registry, controller, handovers } = options;
  const words = [chainId, BigInt(registry), BigInt(controller), handovers].map((word) => toBeHex(word, 32));
  return BigInt(keccak256(concat(words))) >> 1n;
}

/** The call by which anyone sends what was signed. */
export function encodeSigned(
  devices: DeviceRegistry,
  message: Pick<LegacyMessage, "identity" | "action" | "args">,
  { v, r, s }: LegacySignature,
): string {
  return encode(devices, `${message.action}Signed`, [message.identity, v, r, s, ...message.args]);
}

/** The call by which the controller does the same itself. */
export function encodeDirect(
  devices: DeviceRegistry,
  { identity, action, args }: Pick<LegacyMessage, "identity" | "action" | "args">,
): string {
  return encode(devices, action, [identity, ...args]);
}

function encode(devices: DeviceRegistry, name: Action | `${Action}Signed`, values: unknown[]): string {
  // One name with its own arguments each: all names together have none in common.
  const { interface: abi }: { interface: Interface } = devices;
  return abi.encodeFunctionData(name, values);
}
