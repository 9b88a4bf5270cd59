import { z } from "zod";

import { requireAddress } from "./arguments.js";
import type { Measurement } from "./batches.js";
import { TouchstoneError } from "./errors.js";
import { HPKE_TAG_BYTES, hpkeOpen, hpkeSeal, KEMS, keyAgreementCurves, type KeyAgreementCurve } from "./hpke.js";
import {
  deserialisedKey,
  keyAgreementPublicKey,
  serialisedKey,
  type KeyAgreementKey,
  type KeyAgreementPublicKey,
} from "./key-agreement.js";
import {
  CHAIN_ID_BITS,
  dataClasses,
  keyMissing,
  newDataKey,
  openReading,
  PLACE_BYTES,
  placeBytes,
  placeIn,
  sealedHeader,
  type DataClass,
  type DataKey,
  type ReadingPlace,
  type SealedReading,
} from "./sealing.js";

const VERSION = 1;
const SECRET_BYTES = 32;
/** version1 ‖ kem2 ‖ place56 ‖ keyId16 ‖ subject20 ‖ recipientKey32. */
const HEADER_BYTES = 3 + PLACE_BYTES + 16 + 20 + 32;
const CIPHERTEXT_BYTES = SECRET_BYTES + HPKE_TAG_BYTES;
const INFO_LABEL = Buffer.from("Touchstone.envelope.v1", "ascii");

/**
 * A data key, sealed to one reader's key-agreement key. It may lie on any server, and it is JSON as it is; who made it is not in it: what
 * the key in it opens is shown to be the device's by its anchor alone.
 */
export interface Envelope {
  version: 1;
  /** Curve of the reader's key. */
  curve: KeyAgreementCurve;
  /** Decimal. */
  chainId: string;
  dataAccess: string;
  device: string;
  dataClass: DataClass;
  /** Owner epoch of the device. */
  epoch: number;
  keyEpoch: number;
  /** Id of the data key: 16 bytes as 0x hex. */
  keyId: string;
  /** The reader's account. */
  subject: string;
  /** Id of the reader's key: 32 bytes as 0x hex. */
  recipientKey: string;
  /** HPKE's encapsulated key: 32 bytes as 0x hex, or 65 bytes for P-256. */
  enc: string;
  /** The data key, sealed: 48 bytes as 0x hex. */
  ciphertext: string;
}

/** A data key that everyone may have, because the device's policy lets everyone read. */
export interface PublicDataKey extends Pick<
  Envelope,
  "version" | "chainId" | "dataAccess" | "device" | "dataClass" | "epoch" | "keyEpoch" | "keyId"
> {
  /** 32 bytes as 0x hex. */
  secret: string;
}

// ------------------------------------------------------------------ sealing and opening

/**
 * Seals a data key to a reader's key-agreement key: HPKE (RFC 9180) in base mode, with DHKEM(X25519 or P-256), HKDF-SHA256 and AES-256-GCM.
 * Its `info` is "Touchstone.envelope.v1" and all that the envelope says, so that none of it can be altered.
 *
 * @param options.subject The reader's account.
 * @throws TouchstoneError INVALID_ARGUMENT, INVALID_KEY.
 */
export async function sealEnvelope(options: {
  key: DataKey;
  subject: string;
  recipient: Pick<KeyAgreementPublicKey, "curve" | "publicKey">;
}): Promise<Envelope> {
  const { key } = options;
  const recipient = keyAgreementPublicKey(options.recipient);
  const unsealed = {
    version: VERSION,
    curve: recipient.curve,
    ...fieldsOf(key),
    subject: requireAddress("subject", options.subject),
    recipientKey: recipient.id,
  } as const;
  const info = Buffer.concat([INFO_LABEL, headerBytes(unsealed)]);
  const { curve } = recipient;
  const { enc, ciphertext } = await hpkeSeal({
    curve,
    publicKey: serialisedKey(recipient),
    info,
    plaintext: key.secret,
  });
  return { ...unsealed, enc: hexOf(enc), ciphertext: hexOf(ciphertext) };
}

/**
 * Opens an envelope.
 *
 * @param options.envelope As parseEnvelope or decodeEnvelope gives it.
 * @param options.key The reader's key, in software or in hardware.
 * @throws TouchstoneError ENVELOPE_REFUSED if it is for another key, or was altered; ENVELOPE_INVALID.
 */
export async function openEnvelope(options: { envelope: Envelope; key: KeyAgreementKey }): Promise<DataKey> {
  const { key } = options;
  const envelope = parseEnvelope(options.envelope);
  const { curve, recipientKey } = envelope;
  const refused = (what: string): TouchstoneError =>
    new TouchstoneError("ENVELOPE_REFUSED", `The envelope for ${envelope.subject} ${what}.`, { details: { envelope } });
  if (recipientKey !== key.id || curve !== key.curve) {
    throw refused(`is sealed to the key ${recipientKey}, not to ${key.id}: open it with that one, or ask for another`);
  }
  const header = headerBytes(envelope);
  const enc = bytesOf(envelope.enc);
  const ephemeral = deserialisedKey(curve, enc);
  const secret =
    ephemeral === undefined
      ? undefined
      : await hpkeOpen({
          curve,
          publicKey: serialisedKey(key),
          agree: () => key.agree(ephemeral),
          info: Buffer.concat([INFO_LABEL, header]),
          enc,
          ciphertext: bytesOf(envelope.ciphertext),
        });
  if (secret === undefined) throw refused("was altered: take it from where the owner put it");
  const opened = newDataKey({ ...placeIn(header.subarray(3, 3 + PLACE_BYTES)), secret });
  if (opened.id !== envelope.keyId) throw refused("holds another key than it says: ask its owner for another");
  return opened;
}

/**
 * A data key for everyone, see PublicDataKey.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function publicDataKey(key: DataKey): PublicDataKey {
  return { version: VERSION, ...fieldsOf(key), secret: hexOf(key.secret) };
}

// ------------------------------------------------------------------ JSON

const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^0x[0-9a-f]{${2 * bytes}}$`));
const address = z.string().refine((text) => {
  try {
    return requireAddress("address", text) === text;
  } catch {
    return false;
  }
});
const fields = {
  version: z.literal(VERSION),
  chainId: z
    .string()
    .regex(/^(0|[1-9][0-9]*)$/)
    .refine((text) => BigInt(text) < 2n ** BigInt(CHAIN_ID_BITS)),
  dataAccess: address,
  device: address,
  dataClass: z.enum(dataClasses),
  epoch: z
    .int()
    .min(0)
    .max(2 ** 24 - 1),
  keyEpoch: z
    .int()
    .min(1)
    .max(2 ** 32 - 1),
  keyId: hex(16),
};
const envelopeSchema = z
  .strictObject({
    ...fields,
    curve: z.enum(keyAgreementCurves),
    subject: address,
    recipientKey: hex(32),
    enc: z.string(),
    ciphertext: hex(CIPHERTEXT_BYTES),
  })
  .refine(({ curve, enc }) => hex(KEMS[curve].bytes).safeParse(enc).success, { path: ["enc"] });
const publicKeySchema = z.strictObject({ ...fields, secret: hex(SECRET_BYTES) });

/**
 * Looks at an envelope that came as JSON.
 *
 * @throws TouchstoneError ENVELOPE_INVALID; `details.path` names the place in it.
 */
export function parseEnvelope(value: unknown): Envelope {
  return parsed(envelopeSchema, value, "envelope of a data key");
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const path = result.error.issues[0]?.path.map(String).join(".") ?? "";
  const place = path === "" ? "" : `: see ${path}`;
  throw new TouchstoneError("ENVELOPE_INVALID", `The value is no ${what}${place}.`, {
    details: { path },
    cause: result.error,
  });
}

// ------------------------------------------------------------------ bytes

/**
 * An envelope as bytes: 207, or 240 for P-256, integers big-endian.
 *
 * | bytes   | what                                                     |
 * | ------- | -------------------------------------------------------- |
 * | 0       | version, 1                                               |
 * | 1–2     | KEM of RFC 9180: 0x0020 X25519, 0x0010 P-256             |
 * | 3–10    | chain id                                                 |
 * | 11–30   | DataAccess                                               |
 * | 31–50   | device                                                   |
 * | 51      | data class: 0 readings, 1 location, 2 metadata           |
 * | 52–54   | owner epoch                                              |
 * | 55–58   | key epoch                                                |
 * | 59–74   | id of the data key                                       |
 * | 75–94   | the reader's account                                     |
 * | 95–126  | id of the reader's key                                   |
 * | 127–    | HPKE's enc, 32 bytes or 65, then its ciphertext, 48 bytes |
 *
 * @throws TouchstoneError ENVELOPE_INVALID.
 */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const { enc, ciphertext } = parseEnvelope(envelope);
  return new Uint8Array(Buffer.concat([headerBytes(envelope), bytesOf(enc), bytesOf(ciphertext)]));
}

/**
 * Reads an envelope from bytes, see encodeEnvelope.
 *
 * @throws TouchstoneError ENVELOPE_INVALID.
 */
export function decodeEnvelope(value: Uint8Array): Envelope {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const invalid = (fault: string, cause?: unknown): TouchstoneError =>
    new TouchstoneError("ENVELOPE_INVALID", `The bytes are no envelope of a data key: ${fault}.`, { cause });
  if (bytes.length < HEADER_BYTES) throw invalid(`they are ${bytes.length}`);
  if (bytes[0] !== VERSION) throw invalid(`they are of version ${bytes[0] ?? 0}, not ${VERSION}`);
  const kem = bytes.readUInt16BE(1);
  const curve = keyAgreementCurves.find((name) => KEMS[name].id === kem);
  if (curve === undefined) throw invalid(`${kem} is no KEM that is used`);
  const end = HEADER_BYTES + KEMS[curve].bytes;
  if (bytes.length !== end + CIPHERTEXT_BYTES) throw invalid(`they are ${bytes.length}, not ${end + CIPHERTEXT_BYTES}`);
  const at = 3 + PLACE_BYTES;
  try {
    const { chainId, epoch, ...place } = placeIn(bytes.subarray(3, at));
    return {
      version: VERSION,
      curve,
      chainId: chainId.toString(),
      ...place,
      epoch: Number(epoch),
      keyId: hexOf(bytes.subarray(at, at + 16)),
      subject: requireAddress("subject", hexOf(bytes.subarray(at + 16, at + 36))),
      recipientKey: hexOf(bytes.subarray(at + 36, HEADER_BYTES)),
      enc: hexOf(bytes.subarray(HEADER_BYTES, end)),
      ciphertext: hexOf(bytes.subarray(end)),
    };
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function headerBytes(envelope: Omit<Envelope, "enc" | "ciphertext">): Buffer {
  const { curve, chainId, epoch, keyId, subject, recipientKey } = envelope;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(VERSION, 0);
  header.writeUInt16BE(KEMS[curve].id, 1);
  placeBytes({ ...envelope, chainId: BigInt(chainId), epoch: BigInt(epoch) }).copy(header, 3);
  const at = 3 + PLACE_BYTES;
  header.write(keyId.slice(2), at, "hex");
  header.write(subject.slice(2), at + 16, "hex");
  header.write(recipientKey.slice(2), at + 36, "hex");
  return header;
}

function fieldsOf(key: DataKey): Omit<PublicDataKey, "version" | "secret"> {
  const { chainId, dataAccess, device, dataClass, epoch, keyEpoch, id } = key;
  return { chainId: chainId.toString(), dataAccess, device, dataClass, epoch: Number(epoch), keyEpoch, keyId: id };
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice(2), "hex");
}

function hexOf(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`;
}

// ------------------------------------------------------------------ the reader's keys

/** The data keys that a reader was given, from envelopes that can be fetched again: nothing is written. */
export class ReaderKeys {
  readonly #chainId: bigint;
  readonly #dataAccess: string;
  readonly #own: readonly KeyAgreementKey[];
  readonly #keys = new Map<string, DataKey>();

  /**
   * @param options.keys The reader's keys, former ones too: what was sealed to them opens with them alone.
   * @param options.dataAccess The contract; envelopes for another one, or another chain, are refused.
   */
  constructor(options: { chainId: bigint; dataAccess: string; keys: readonly KeyAgreementKey[] }) {
    this.#chainId = options.chainId;
    this.#dataAccess = requireAddress("dataAccess", options.dataAccess);
    this.#own = [...options.keys];
  }

  /** Number of data keys. */
  get size(): number {
    return this.#keys.size;
  }

  /** The data keys, in the order in which they came. */
  keys(): DataKey[] {
    return [...this.#keys.values()];
  }

  /**
   * Takes the key out of an envelope.
   *
   * @param envelope An envelope, as JSON or as bytes.
   * @throws TouchstoneError ENVELOPE_INVALID; ENVELOPE_REFUSED, also for another chain or contract.
   */
  async add(envelope: unknown): Promise<DataKey> {
    const found = envelope instanceof Uint8Array ? decodeEnvelope(envelope) : parseEnvelope(envelope);
    this.#requireHere(found);
    const key = this.#own.find(({ id }) => id === found.recipientKey) ?? this.#own[0];
    if (key === undefined) {
      throw new TouchstoneError("ENVELOPE_REFUSED", "There is no key to open envelopes with: give the reader's own.");
    }
    return this.#keep(await openEnvelope({ envelope: found, key }));
  }

  /**
   * Takes a key that everyone may have.
   *
   * @throws TouchstoneError ENVELOPE_INVALID; ENVELOPE_REFUSED if it is of another chain or contract, or not what it says.
   */
  addPublic(value: unknown): DataKey {
    const found = parsed(publicKeySchema, value, "public data key");
    this.#requireHere(found);
    const { chainId, epoch, keyId, secret, ...place } = found;
    const key = newDataKey({
      ...place,
      chainId: BigInt(chainId),
      epoch: BigInt(epoch),
      secret: bytesOf(secret),
    });
    if (key.id === keyId) return this.#keep(key);
    throw new TouchstoneError("ENVELOPE_REFUSED", `The public key ${keyId} is another than it says: it is ${key.id}.`, {
      details: { keyId, found: key.id },
    });
  }

  /**
   * Opens a sealed reading with the key that it names.
   *
   * @throws TouchstoneError DATA_KEY_MISSING if the reader was not given it; SEALED_INVALID, SEALED_REFUSED, INVALID_ARGUMENT.
   */
  open(options: ReadingPlace & { reading: SealedReading }): Required<Measurement> {
    const header = sealedHeader(options.reading.payload);
    const key = this.#keys.get(header.keyId);
    if (key === undefined) throw keyMissing(header, `the device of log ${options.logId}`);
    return openReading({ ...options, key });
  }

  #keep(key: DataKey): DataKey {
    const before = this.#keys.get(key.id);
    if (before !== undefined) return before;
    this.#keys.set(key.id, key);
    return key;
  }

  #requireHere({ chainId, dataAccess }: Pick<Envelope, "chainId" | "dataAccess">): void {
    if (BigInt(chainId) === this.#chainId && dataAccess === this.#dataAccess) return;
    throw new TouchstoneError(
      "ENVELOPE_REFUSED",
      `The key is for DataAccess at ${dataAccess} on chain ${chainId}, not for that at ${this.#dataAccess} on ` +
        `${this.#chainId}: connect to that one.`,
      { details: { chainId, dataAccess } },
    );
  }
}
