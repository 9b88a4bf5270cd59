import { concat, dataLength, dataSlice, encodeBase58, encodeBytes32String, isHexString } from "ethers";

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

/** A DID method as `did-resolver` takes it; `getResolver` of `ethr-did-resolver` gives them by name. */
type DidMethods<Arguments extends unknown[], Result> = Record<string, (...args: Arguments) => Promise<Result>>;

/** The JSON-LD context that says what a Multikey is. */
const MULTIKEY_CONTEXT = "https://w3id.org/security/multikey/v1";

/**
 * Makes verifiers of ES256 (`did-jwt`) find the P-256 keys of devices. `ethr-did-resolver` 11 writes a Multikey as
 * `publicKeyHex`, multicodec included, which verifiers take for a bare key of the wrong length; later versions write the
 * standard `publicKeyMultibase`, and there this changes nothing.
 *
 * @param methods What `getResolver` of `ethr-did-resolver` returned.
 * @example
 * const resolver = new Resolver(withMultikeys(getResolver(resolverConfig({ touchstone }))));
 * await verifyJWT(token, { resolver });
 */
export function withMultikeys<Arguments extends unknown[], Result extends { didDocument: object | null }>(
  methods: DidMethods<Arguments, Result>,
): DidMethods<Arguments, Result> {
  const entries = Object.entries(methods).map(([name, resolve]) => [
    name,
    async (...args: Arguments): Promise<Result> => {
      const result = await resolve(...args);
      return { ...result, didDocument: documentWithMultikeys(result.didDocument) };
    },
  ]);
  return Object.fromEntries(entries) as DidMethods<Arguments, Result>;
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

/** The parts of a DID document that matter to its keys. */
interface DidDocument {
  "@context"?: unknown;
  verificationMethod?: VerificationMethod[];
}

interface VerificationMethod {
  type: string;
  publicKeyHex?: string;
}

function documentWithMultikeys(document: DidDocument | null): DidDocument | null {
  const methods = document?.verificationMethod ?? [];
  if (!methods.some(isHexMultikey)) return document;
  const context = document?.["@context"];
  return {
    ...document,
    ...(Array.isArray(context) && { "@context": [...(context as unknown[]), MULTIKEY_CONTEXT] }),
    verificationMethod: methods.map((method) => {
      if (!isHexMultikey(method)) return method;
      const { publicKeyHex, ...rest } = method;
      return { ...rest, publicKeyMultibase: `z${encodeBase58(`0x${publicKeyHex}`)}` };
    }),
  };
}

function isHexMultikey(method: VerificationMethod): method is VerificationMethod & { publicKeyHex: string } {
  const hex = method.publicKeyHex ?? "";
  return method.type === "Multikey" && hex !== "" && isHexString(`0x${hex}`, true);
}
