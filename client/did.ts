import { concat, dataLength, dataSlice, encodeBytes32String, isHexString } from "ethers";

import { requireAddress, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { compressPublicKey, decompressPublicKey } from "./keys.js";

/** The name of the attribute under which a P-256 key stands in a DID document, as the registry emits it. */
export const KEY_ATTRIBUTE = encodeBytes32String("did/pub/Multikey/sigAuth");

/** The multicodec of a P-256 public key (0x1200) as a varint. */
const P256_MULTICODEC = "0x8024";

/**
 * The DID of a device: `did:ethr:0x<chain>:0x<id>`.
 *
 * @param options.device The device's id.
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function didOf(options: { chainId: bigint; device: string }): string {
  const chainId = requireUint("chainId", options.chainId, 256);
  return `did:ethr:0x${chainId.toString(16)}:${requireAddress("device", options.device)}`;
}

/**
 * The chain and the device that a DID speaks of.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is not the DID of a device: another method, a network by name, or a public
 *         key in place of an id.
 */
export function parseDid(did: string): { chainId: bigint; device: string } {
  const [, chainId, device] = /^did:ethr:(0x[0-9a-f]{1,64}):(0x[0-9a-f]{40})$/i.exec(did) ?? [];
  if (chainId === undefined || device === undefined) {
    throw new TouchstoneError("INVALID_ARGUMENT", `${did} is no DID of a device: give did:ethr:0x<chain>:0x<id>.`, {
      details: { did },
    });
  }
  return { chainId: BigInt(chainId), device: requireAddress("did", device) };
}

/** What `getResolver` of the npm package `ethr-did-resolver` takes. */
export interface ResolverConfig {
  networks: {
    name: string;
    chainId: bigint;
    registry: string;
    /** An ethers provider: the resolver alone uses it, and calls its type by the name of another copy of ethers. */
    provider: never;
  }[];
}

/**
 * Makes the resolver of `did:ethr` resolve devices of this deployment.
 *
 * @example
 * const resolver = new Resolver(getResolver(resolverConfig({ touchstone })));
 * await resolver.resolve(didOf({ chainId: touchstone.chainId, device }));
 */
export function resolverConfig(options: { touchstone: Touchstone }): ResolverConfig {
  const { chainId, addresses, provider } = options.touchstone;
  const name = `0x${chainId.toString(16)}`;
  return { networks: [{ name, chainId, registry: addresses.DeviceRegistry, provider: provider as never }] };
}

/**
 * A P-256 public key as the value of its DID attribute: the Multikey 0x8024 ‖ compressed key.
 *
 * @param publicKey 64 bytes qx ‖ qy.
 * @throws TouchstoneError INVALID_KEY.
 */
export function keyAttributeValue(publicKey: string): string {
  return concat([P256_MULTICODEC, compressPublicKey(publicKey)]);
}

/**
 * The P-256 public key, 64 bytes qx ‖ qy, that the value of a DID attribute holds.
 *
 * @throws TouchstoneError INVALID_KEY if it holds none.
 */
export function publicKeyInAttribute(value: string): string {
  if (!isHexString(value) || dataLength(value) !== 35 || dataSlice(value, 0, 2) !== P256_MULTICODEC) {
    throw new TouchstoneError("INVALID_KEY", `${value} is no P-256 Multikey: give 0x8024 and 33 bytes.`, {
      details: { value },
    });
  }
  return decompressPublicKey(dataSlice(value, 2));
}
