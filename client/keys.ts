import { createHash, createPrivateKey, generateKeyPairSync, sign as signWithNode, type KeyObject } from "node:crypto";

import { p256 } from "@noble/curves/nist.js";
import {
  concat,
  dataLength,
  dataSlice,
  getAddress,
  getBytes,
  hexlify,
  isHexString,
  keccak256,
  recoverAddress,
  toBeHex,
} from "ethers";
import type { Signer } from "ethers";

import { TouchstoneError } from "./errors.js";
import { messageDigest, type TypedMessage } from "./typed-data.js";

/** How a key signs; the same numbers as in the contracts. */
export const Scheme = {
  /** An Ethereum account, secp256k1 or ERC-1271. */
  Account: 0,
  /** P-256 over the EIP-712 digest. */
  P256: 1,
  /** P-256 over sha256("Touchstone.v1" ‖ digest), for hardware that always hashes what it signs. */
  P256Sha256: 2,
} as const;
export type Scheme = (typeof Scheme)[keyof typeof Scheme];
export type P256Scheme = typeof Scheme.P256 | typeof Scheme.P256Sha256;

/** What proves to the contracts that a key signed a message. */
export interface KeyProof {
  /** "0x" for accounts, else 64 bytes qx ‖ qy. */
  publicKey: string;
  /** 65 bytes r ‖ s ‖ v or an ERC-1271 signature for accounts; 64 bytes r ‖ s with low s for P-256. */
  signature: string;
}

/** A key that can sign for a device or a release: in software, or in hardware behind the same two members. */
export interface Key {
  /** The key's id: a checksummed 20-byte address. */
  readonly id: string;
  readonly scheme: Scheme;
  /** "0x" for accounts, else 64 bytes qx ‖ qy. */
  readonly publicKey: string;
  /** Signs an EIP-712 message. */
  prove(message: TypedMessage): Promise<KeyProof>;
}

/** A key that signs now, or what a key signed before. */
export type Prover = Key | KeyProof;

/** A P-256 key held in software. */
export interface P256Key extends Key {
  readonly scheme: P256Scheme;
  /** The private key as PKCS #8 PEM: keep it as what it is. */
  exportPem(): string;
}

/** The order of the P-256 group. */
const N = p256.Point.Fn.ORDER;
const SHA256_SCHEME_PREFIX = Buffer.from("Touchstone.v1", "ascii");

/**
 * Makes a new P-256 key.
 *
 * @param options.scheme How it will sign; P256 unless told.
 */
export function createP256Key(options: { scheme?: P256Scheme } = {}): P256Key {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return p256Key(privateKey, options.scheme ?? Scheme.P256);
}

/**
 * Reads a P-256 private key.
 *
 * @param options.pem The key as PEM (PKCS #8 or SEC 1), as `openssl` writes it.
 * @param options.scheme How it signs; P256 unless told.
 * @throws TouchstoneError INVALID_KEY if it is not a P-256 private key.
 */
export function loadP256Key(options: { pem: string; scheme?: P256Scheme }): P256Key {
  let key: KeyObject;
  try {
    key = createPrivateKey(options.pem);
  } catch (cause) {
    throw new TouchstoneError("INVALID_KEY", "The text is not a private key in PEM: give PKCS #8 or SEC 1.", { cause });
  }
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    const curve = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType;
    throw new TouchstoneError("INVALID_KEY", `The key is of the kind ${curve ?? "unknown"}: give a P-256 key.`, {
      details: { curve },
    });
  }
  return p256Key(key, options.scheme ?? Scheme.P256);
}

/** The key of an Ethereum account: any ethers signer that signs typed data. */
export async function accountKey(signer: Signer): Promise<Key> {
  const id = getAddress(await signer.getAddress());
  return {
    id,
    scheme: Scheme.Account,
    publicKey: "0x",
    async prove(message) {
      return { publicKey: "0x", signature: await signer.signTypedData(message.domain, message.types, message.value) };
    },
  };
}

/** The proof that `prover` signed the message: made now by a key, or the one that was given. */
export function proofBy(prover: Prover, message: TypedMessage): Promise<KeyProof> {
  return "prove" in prover ? prover.prove(message) : Promise.resolve(prover);
}

/** r ‖ s ‖ v with v 27 or 28: the contracts take no other form, ethers does. */
const ACCOUNT_SIGNATURE = /^0x[0-9a-f]{128}1[bc]$/i;

/**
 * Whether a proof shows that the key with this id signed the message, by the rules of the contracts. For an account that
 * is a contract (ERC-1271) only the chain can tell: the answer is then false.
 */
export function isValidProof(options: {
  keyId: string;
  scheme: Scheme;
  message: TypedMessage;
  proof: KeyProof;
}): boolean {
  const { keyId, scheme, message, proof } = options;
  try {
    if (scheme === Scheme.Account) {
      if (proof.publicKey !== "0x" || !ACCOUNT_SIGNATURE.test(proof.signature)) return false;
      return recoverAddress(messageDigest(message), proof.signature) === getAddress(keyId);
    }
    const point = getBytes(concat(["0x04", proof.publicKey]));
    const verification = { prehash: false, lowS: true };
    return (
      keyIdOf(proof.publicKey) === getAddress(keyId) &&
      p256.verify(getBytes(proof.signature), p256Digest(message, scheme), point, verification)
    );
  } catch {
    return false;
  }
}

/**
 * The id of a P-256 public key: the last 20 bytes of keccak256(qx ‖ qy), as a checksummed address.
 *
 * @param publicKey 64 bytes qx ‖ qy as 0x-prefixed hex.
 * @throws TouchstoneError INVALID_KEY if it is not 64 bytes, or not a point of the curve.
 */
export function keyIdOf(publicKey: string): string {
  requirePublicKey(publicKey);
  return getAddress(dataSlice(keccak256(publicKey), 12));
}

/**
 * The 33-byte compressed form of a P-256 public key, 0x-prefixed.
 *
 * @param publicKey 64 bytes qx ‖ qy as 0x-prefixed hex.
 * @throws TouchstoneError INVALID_KEY if it is not 64 bytes, or not a point of the curve.
 */
export function compressPublicKey(publicKey: string): string {
  requirePublicKey(publicKey);
  const isOdd = BigInt(dataSlice(publicKey, 63)) % 2n === 1n;
  return concat([isOdd ? "0x03" : "0x02", dataSlice(publicKey, 0, 32)]);
}

/**
 * The public key that compressPublicKey compressed: 64 bytes qx ‖ qy, 0x-prefixed.
 *
 * @param compressed 33 bytes as 0x-prefixed hex.
 * @throws TouchstoneError INVALID_KEY if it is not the compressed form of a point of the curve.
 */
export function decompressPublicKey(compressed: string): string {
  try {
    if (dataLength(compressed) !== 33) throw new Error("not 33 bytes");
    return dataSlice(hexlify(p256.Point.fromBytes(getBytes(compressed)).toBytes(false)), 1);
  } catch (cause) {
    throw new TouchstoneError(
      "INVALID_KEY",
      `${compressed} is not a compressed P-256 public key: give 33 bytes as 0x hex.`,
      {
        details: { compressed },
        cause,
      },
    );
  }
}

/**
 * The form of a P-256 signature that the contracts take: half of all hardware signatures have a high s, which they refuse.
 *
 * @param signature 64 bytes r ‖ s, or DER, as 0x-prefixed hex.
 * @returns 64 bytes r ‖ s with s at most n / 2, as 0x-prefixed hex.
 * @throws TouchstoneError INVALID_ARGUMENT if it is neither.
 */
export function normalizeP256Signature(signature: string): string {
  let parsed;
  try {
    const bytes = getBytes(signature);
    parsed = p256.Signature.fromBytes(bytes, bytes.length === 64 ? "compact" : "der");
  } catch (cause) {
    throw new TouchstoneError("INVALID_ARGUMENT", `${signature} is not a P-256 signature: give r ‖ s or DER.`, {
      details: { signature },
      cause,
    });
  }
  const s = parsed.s > N / 2n ? N - parsed.s : parsed.s;
  return concat([toBeHex(parsed.r, 32), toBeHex(s, 32)]);
}

/**
 * What a P-256 key signs with ECDSA for a message: the digest itself, or its hash for keys that always hash.
 * For hardware that takes a digest.
 */
export function p256Digest(message: TypedMessage, scheme: P256Scheme): Uint8Array {
  const digest = getBytes(messageDigest(message));
  if (scheme === Scheme.P256) return digest;
  return createHash("sha256").update(SHA256_SCHEME_PREFIX).update(digest).digest();
}

function p256Key(privateKey: KeyObject, scheme: P256Scheme): P256Key {
  const jwk = privateKey.export({ format: "jwk" });
  const [x, y, d] = [jwk.x, jwk.y, jwk.d].map((part) => Buffer.from(part ?? "", "base64url")) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const publicKey = hexlify(Buffer.concat([x, y]));
  return {
    id: keyIdOf(publicKey),
    scheme,
    publicKey,
    exportPem: () => privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    prove(message) {
      const digest = getBytes(messageDigest(message));
      // node:crypto signs only what it hashes itself; a digest that comes as it is goes to @noble/curves.
      const signature =
        scheme === Scheme.P256Sha256
          ? signWithNode("sha256", Buffer.concat([SHA256_SCHEME_PREFIX, digest]), {
              key: privateKey,
              dsaEncoding: "ieee-p1363",
            })
          : p256.sign(digest, d, { prehash: false });
      return Promise.resolve({ publicKey, signature: normalizeP256Signature(hexlify(signature)) });
    },
  };
}

function requirePublicKey(publicKey: string): void {
  if (!isHexString(publicKey) || dataLength(publicKey) !== 64) {
    throw new TouchstoneError(
      "INVALID_KEY",
      `${publicKey} is not a P-256 public key: give 64 bytes qx ‖ qy as 0x hex.`,
      {
        details: { publicKey },
      },
    );
  }
  try {
    p256.Point.fromBytes(getBytes(concat(["0x04", publicKey]))).assertValidity();
  } catch (cause) {
    throw new TouchstoneError("INVALID_KEY", `${publicKey} is not a point of the curve P-256.`, {
      details: { publicKey },
      cause,
    });
  }
}
