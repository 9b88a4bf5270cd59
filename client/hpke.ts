import { createDecipheriv, createHmac, type webcrypto } from "node:crypto";

import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";

/** How keys are agreed on, by the names of JSON Web Keys. */
export const keyAgreementCurves = ["X25519", "P-256"] as const;
export type KeyAgreementCurve = (typeof keyAgreementCurves)[number];

/** The KEM of each curve by its number in RFC 9180, and the bytes of its public keys. */
export const KEMS = { X25519: { id: 0x0020, bytes: 32 }, "P-256": { id: 0x0010, bytes: 65 } } as const;

const KDF_HKDF_SHA256 = 0x0001;
const AEAD_AES_256_GCM = 0x0002;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const MODE_BASE = 0x00;
const EMPTY = new Uint8Array(0);

/** What only the holder of a private key opens. */
export interface Encapsulated {
  /** The ephemeral public key. */
  enc: Uint8Array;
  /** As many bytes as what was sealed, and 16. */
  ciphertext: Uint8Array;
}

/** Bytes by which `ciphertext` is longer than what was sealed. */
export const HPKE_TAG_BYTES = TAG_BYTES;

/**
 * Seals to a public key: HPKE (RFC 9180) in base mode, with HKDF-SHA256 and AES-256-GCM.
 *
 * @param options.publicKey As HPKE serialises it: 32 bytes, or 65 bytes for P-256.
 * @throws What @hpke/core does if the public key is none.
 */
export async function hpkeSeal(options: {
  curve: KeyAgreementCurve;
  publicKey: Uint8Array;
  info: Uint8Array;
  plaintext: Uint8Array;
}): Promise<Encapsulated> {
  const { curve, publicKey, info, plaintext } = options;
  const suite = suiteOf(curve);
  const recipientPublicKey = (await suite.kem.deserializePublicKey(publicKey)) as webcrypto.CryptoKey;
  const { enc, ct } = await suite.seal({ recipientPublicKey, info }, plaintext);
  return { enc: new Uint8Array(enc), ciphertext: new Uint8Array(ct) };
}

/**
 * Opens what was sealed to a public key. The private key is asked for nothing but the agreed secret, so that it may lie in
 * hardware.
 *
 * @param options.publicKey The recipient's own, as HPKE serialises it.
 * @param options.agree The secret agreed on with the ephemeral public key `enc`, 32 bytes.
 * @returns Undefined if it was sealed to another key, with another info, or altered.
 */
export async function hpkeOpen(options: {
  curve: KeyAgreementCurve;
  publicKey: Uint8Array;
  agree: (enc: Uint8Array) => Promise<Uint8Array>;
  info: Uint8Array;
  enc: Uint8Array;
  ciphertext: Uint8Array;
}): Promise<Uint8Array | undefined> {
  const { curve, publicKey, agree, info, enc, ciphertext } = options;
  const kem = Buffer.concat([ascii("KEM"), uint16(KEMS[curve].id)]);
  const dh = await agree(enc);
  const prk = labeledExtract(kem, EMPTY, "eae_prk", dh);
  const shared = labeledExpand(kem, prk, "shared_secret", Buffer.concat([enc, publicKey]), KEY_BYTES);

  const suite = Buffer.concat([
    ascii("HPKE"),
    uint16(KEMS[curve].id),
    uint16(KDF_HKDF_SHA256),
    uint16(AEAD_AES_256_GCM),
  ]);
  const context = Buffer.concat([
    Uint8Array.of(MODE_BASE),
    labeledExtract(suite, EMPTY, "psk_id_hash", EMPTY),
    labeledExtract(suite, EMPTY, "info_hash", info),
  ]);
  const secret = labeledExtract(suite, shared, "secret", EMPTY);
  const key = labeledExpand(suite, secret, "key", context, KEY_BYTES);
  const nonce = labeledExpand(suite, secret, "base_nonce", context, NONCE_BYTES);

  const end = ciphertext.length - TAG_BYTES;
  if (end < 0) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(ciphertext.subarray(end));
  try {
    return new Uint8Array(Buffer.concat([decipher.update(ciphertext.subarray(0, end)), decipher.final()]));
  } catch {
    return undefined;
  }
}

/** A suite keeps state while it is set up, so each use has its own. */
function suiteOf(curve: KeyAgreementCurve): CipherSuite {
  const kem = curve === "X25519" ? new DhkemX25519HkdfSha256() : new DhkemP256HkdfSha256();
  return new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes256Gcm() });
}

// ------------------------------------------------------------------ HKDF, with the labels of RFC 9180

function labeledExtract(suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Buffer {
  // An empty key and one of zeros are the same to HMAC.
  return hmac(salt, [ascii("HPKE-v1"), suite, ascii(label), ikm]);
}

/** @param length At most 32 bytes, so that one block of HKDF is enough. */
function labeledExpand(suite: Uint8Array, prk: Uint8Array, label: string, info: Uint8Array, length: number): Buffer {
  const block = hmac(prk, [uint16(length), ascii("HPKE-v1"), suite, ascii(label), info, Uint8Array.of(1)]);
  return block.subarray(0, length);
}

function hmac(key: Uint8Array, parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

function ascii(text: string): Buffer {
  return Buffer.from(text, "ascii");
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}
