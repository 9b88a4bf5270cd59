import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { readFile } from "node:fs/promises";

import { p256 } from "@noble/curves/nist.js";
import { concat, dataSlice, encodeBytes32String, getBytes, hexlify } from "ethers";
import { z } from "zod";

import { FOREVER, requireAddress, requireHex, requireUint } from "./arguments.js";
import { askMany } from "./batched-reads.js";
import { blockAt, latestBlock } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { keyAttributeValue, publicKeyInAttribute } from "./did.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, type TouchstoneEvent } from "./events.js";
import { fileError } from "./files.js";
import { KEMS, type KeyAgreementCurve } from "./hpke.js";
import { keyIdOf } from "./keys.js";
import { ask } from "./reverts.js";
import { writeNewFile } from "./text-files.js";
import { runnerReadOnly, senderOf } from "./senders.js";
import { send, type SendOptions, type Sent } from "./transactions.js";

export { keyAgreementCurves, type KeyAgreementCurve } from "./hpke.js";

/** The multicodec of an X25519 public key (0xec) as a varint. */
const X25519_MULTICODEC = "0xec01";

/** A year: readers who lose a key without noticing are not sealed to for ever. */
const DEFAULT_VALID_FOR = 365n * 86_400n;

/** Changes of a DID document through which a key is looked for: nobody can make the search for their key endless. */
const MAX_CHANGES = 256;
/** Blocks asked for at the same time. */
const BLOCKS_AT_ONCE = 16;
/** A file that is longer holds no key. */
const MAX_FILE_BYTES = 4096;

/** The public half of a key that data keys are sealed to. */
export interface KeyAgreementPublicKey {
  curve: KeyAgreementCurve;
  /** 32 bytes as 0x hex; for P-256 64 bytes qx ‖ qy. */
  publicKey: string;
  /** RFC 7638 thumbprint of the public key as a JSON Web Key: 32 bytes as 0x hex. */
  id: string;
}

/** A key that opens what was sealed to it: in software, or in hardware that agrees on secrets. */
export interface KeyAgreementKey extends KeyAgreementPublicKey {
  /**
   * The secret that the private key agrees on with a public key: 32 bytes, for P-256 the x coordinate.
   *
   * @param publicKey Of the same curve and written in the same way; a P-256 one is a point of the curve.
   */
  agree(publicKey: string): Promise<Uint8Array>;
}

/** A private key as a JSON Web Key (RFC 7517, RFC 8037), members in base64url. */
export type KeyAgreementJwk =
  { kty: "OKP"; crv: "X25519"; x: string; d: string } | { kty: "EC"; crv: "P-256"; x: string; y: string; d: string };

/** A key-agreement key held in software. */
export interface SoftwareKeyAgreementKey extends KeyAgreementKey {
  /** With the private key: keep it as what it is. */
  exportJwk(): KeyAgreementJwk;
}

// ------------------------------------------------------------------ keys

/**
 * Makes a new key-agreement key. It is no account's key and signs nothing: a wallet never has to give out its own.
 *
 * @param options.curve X25519 unless told; P-256 is what secure elements have.
 */
export function createKeyAgreementKey(options: { curve?: KeyAgreementCurve } = {}): SoftwareKeyAgreementKey {
  const { curve = "X25519" } = options;
  const { privateKey } =
    curve === "X25519" ? generateKeyPairSync("x25519") : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return softwareKey(curve, privateKey);
}

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const jwkSchema = z.discriminatedUnion("kty", [
  z.object({ kty: z.literal("OKP"), crv: z.literal("X25519"), x: coordinate, d: coordinate }),
  z.object({ kty: z.literal("EC"), crv: z.literal("P-256"), x: coordinate, y: coordinate, d: coordinate }),
]);

/**
 * Reads a private key-agreement key.
 *
 * @param options.jwk A JSON Web Key of one of the curves; members that say what it is for are passed over.
 * @throws TouchstoneError INVALID_KEY if it is none, or its public half is another key's.
 */
export function loadKeyAgreementKey(options: { jwk: unknown }): SoftwareKeyAgreementKey {
  const parsed = jwkSchema.safeParse(options.jwk);
  if (!parsed.success) {
    throw new TouchstoneError(
      "INVALID_KEY",
      "The value is no private key of X25519 or P-256: give a JSON Web Key with kty, crv, x, d, and y for P-256.",
      { cause: parsed.error },
    );
  }
  const jwk = parsed.data;
  const mismatch = (cause?: unknown): TouchstoneError =>
    new TouchstoneError(
      "INVALID_KEY",
      "The public half of the key does not belong to the private one: make a new key.",
      {
        details: { x: jwk.x },
        cause,
      },
    );
  try {
    const key = softwareKey(jwk.crv, createPrivateKey({ key: jwk, format: "jwk" }));
    const point =
      jwk.crv === "X25519"
        ? Buffer.from(jwk.x, "base64url")
        : Buffer.from(p256.getPublicKey(Buffer.from(jwk.d, "base64url"), false)).subarray(1);
    if (hexlify(point) === key.publicKey) return key;
  } catch (cause) {
    throw mismatch(cause);
  }
  throw mismatch();
}

/**
 * The public half of a key-agreement key, looked at.
 *
 * @param options.publicKey 32 bytes as 0x hex; for P-256 64 bytes qx ‖ qy.
 * @throws TouchstoneError INVALID_KEY if it is none.
 */
export function keyAgreementPublicKey(options: { curve: KeyAgreementCurve; publicKey: string }): KeyAgreementPublicKey {
  const { curve } = options;
  const publicKey = requireHex("publicKey", options.publicKey).toLowerCase();
  const object = publicObject(curve, publicKey);
  const { x, y } = object.export({ format: "jwk" });
  // The members that RFC 7638 hashes, in its order and without blanks.
  const members = curve === "X25519" ? { crv: curve, kty: "OKP", x } : { crv: curve, kty: "EC", x, y };
  return { curve, publicKey, id: `0x${createHash("sha256").update(JSON.stringify(members)).digest("hex")}` };
}

/**
 * The public key as HPKE serialises it, 32 or 65 bytes.
 *
 * @throws TouchstoneError INVALID_KEY.
 */
export function serialisedKey({ curve, publicKey }: Pick<KeyAgreementPublicKey, "curve" | "publicKey">): Uint8Array {
  return getBytes(curve === "X25519" ? requireHex("publicKey", publicKey, 32) : concat(["0x04", publicKey]));
}

/** What serialisedKey serialised; undefined if it is no public key of the curve. */
export function deserialisedKey(curve: KeyAgreementCurve, bytes: Uint8Array): string | undefined {
  if (bytes.length !== KEMS[curve].bytes || (curve === "P-256" && bytes[0] !== 4)) return undefined;
  const publicKey = hexlify(curve === "X25519" ? bytes : bytes.subarray(1));
  try {
    publicObject(curve, publicKey);
    return publicKey;
  } catch {
    return undefined;
  }
}

function softwareKey(curve: KeyAgreementCurve, privateKey: KeyObject): SoftwareKeyAgreementKey {
  const jwk = privateKey.export({ format: "jwk" });
  const { x = "", y = "", d = "" } = jwk;
  const publicKey = hexlify(Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]));
  return {
    ...keyAgreementPublicKey({ curve, publicKey }),
    // eslint-disable-next-line @typescript-eslint/require-await -- what it throws is what the promise ends with
    async agree(other) {
      return new Uint8Array(diffieHellman({ privateKey, publicKey: publicObject(curve, other) }));
    },
    exportJwk: () => (curve === "X25519" ? { kty: "OKP", crv: curve, x, d } : { kty: "EC", crv: curve, x, y, d }),
  };
}

/** @throws TouchstoneError INVALID_KEY if the bytes are no public key, or one with which nothing secret can be agreed on. */
function publicObject(curve: KeyAgreementCurve, publicKey: string): KeyObject {
  const base64 = (start: number, end: number): string =>
    Buffer.from(getBytes(dataSlice(publicKey, start, end))).toString("base64url");
  try {
    if (curve === "P-256") {
      // Asks whether it is a point of the curve.
      keyIdOf(publicKey);
      return createPublicKey({
        key: { kty: "EC", crv: curve, x: base64(0, 32), y: base64(32, 64) },
        format: "jwk",
      });
    }
    requireHex("publicKey", publicKey, 32);
    const key = createPublicKey({ key: { kty: "OKP", crv: curve, x: base64(0, 32) }, format: "jwk" });
    // With points of low order every key agrees on zero: OpenSSL refuses to.
    diffieHellman({ privateKey: PROBE, publicKey: key });
    return key;
  } catch (cause) {
    throw new TouchstoneError(
      "INVALID_KEY",
      `${publicKey} is no public key of ${curve}: give ${curve === "X25519" ? "32 bytes" : "64 bytes qx ‖ qy"} as 0x hex.`,
      { details: { curve, publicKey }, cause },
    );
  }
}

const PROBE = generateKeyPairSync("x25519").privateKey;

// ------------------------------------------------------------------ files

/**
 * Writes a private key-agreement key to a new file, as a JSON Web Key that only its owner may read.
 *
 * @throws TouchstoneError FILE_EXISTS, FILE_UNWRITABLE, INVALID_ARGUMENT.
 */
export async function writeKeyAgreementKey(options: { path: string; key: SoftwareKeyAgreementKey }): Promise<void> {
  const content = [`${JSON.stringify(options.key.exportJwk(), undefined, 2)}\n`];
  await writeNewFile({ path: options.path, content, isPrivate: true, isDurable: true });
}

/**
 * Reads a private key-agreement key from a file.
 *
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, INVALID_ARGUMENT; INVALID_KEY if it holds none.
 */
export async function readKeyAgreementKey(options: { path: string }): Promise<SoftwareKeyAgreementKey> {
  const { path } = options;
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fileError(path, error);
  }
  try {
    if (text.length > MAX_FILE_BYTES) throw new Error("it is too long");
    return loadKeyAgreementKey({ jwk: JSON.parse(text) });
  } catch (cause) {
    // What the file holds is never shown: it may be most of a private key.
    throw new TouchstoneError("INVALID_KEY", `${path} holds no private key-agreement key: give a JSON Web Key.`, {
      details: { path },
      ...(cause instanceof TouchstoneError ? { cause } : {}),
    });
  }
}

// ------------------------------------------------------------------ publishing

/** Names under which such keys stand, by what the bytes are: what may follow says only how documents show them. */
const NAMES = new Map(
  (["X25519", "Multikey"] as const).flatMap((kind) =>
    ["", "/hex", "/base64", "/base58"].map((encoding) => [encodeBytes32String(`did/pub/${kind}/enc${encoding}`), kind]),
  ),
);

/** An attribute of a DID document, as `setAttribute` of the registry takes it. */
export interface KeyAgreementAttribute {
  /** 32 bytes as 0x hex. */
  name: string;
  /** Bytes as 0x hex. */
  value: string;
}

/**
 * The attribute by which a key stands under `keyAgreement` in a DID document: `did/pub/X25519/enc` with the 32 bytes of the
 * key, or `did/pub/Multikey/enc` with 0x8024 ‖ compressed P-256 key.
 *
 * @throws TouchstoneError INVALID_KEY.
 */
export function keyAgreementAttribute(key: Pick<KeyAgreementPublicKey, "curve" | "publicKey">): KeyAgreementAttribute {
  const { curve, publicKey } = keyAgreementPublicKey(key);
  return curve === "X25519"
    ? { name: encodeBytes32String("did/pub/X25519/enc"), value: publicKey }
    : { name: encodeBytes32String("did/pub/Multikey/enc"), value: keyAttributeValue(publicKey) };
}

/** Whose document, and for how long. */
export interface Publication {
  key: Pick<KeyAgreementPublicKey, "curve" | "publicKey">;
  /** Account or device in whose document it stands. */
  identity: string;
  /** Seconds for which it stands there; a year unless told. */
  validFor?: bigint;
}

/**
 * The call that publishes a key, for accounts that are contracts: they send it as they send anything, a Safe when its owners
 * confirmed it.
 *
 * @throws TouchstoneError INVALID_KEY, INVALID_ARGUMENT.
 */
export function keyAgreementCall(options: { touchstone: Touchstone } & Publication): {
  to: string;
  data: string;
  value: bigint;
} {
  const { touchstone, validFor = DEFAULT_VALID_FOR } = options;
  const { name, value } = keyAgreementAttribute(options.key);
  const identity = requireAddress("identity", options.identity);
  requireUint("validFor", validFor, 40);
  return {
    to: touchstone.addresses.DeviceRegistry,
    data: touchstone.deviceRegistry.interface.encodeFunctionData("setAttribute", [identity, name, value, validFor]),
    value: 0n,
  };
}

/**
 * Publishes a key in a DID document, where who shares readings finds it. The key published last is the one that is sealed
 * to. By the account itself; in a device's document by its owner's governor.
 *
 * @param options.identity The sender unless told.
 * @throws TouchstoneError INVALID_KEY, INVALID_ARGUMENT.
 */
export async function publishKeyAgreementKey(
  options: SendOptions & Omit<Publication, "identity"> & { identity?: string },
): Promise<Sent> {
  const { touchstone, validFor = DEFAULT_VALID_FOR } = options;
  const { name, value } = keyAgreementAttribute(options.key);
  requireUint("validFor", validFor, 40);
  const identity = await identityOf(options);
  return send(options, () =>
    touchstone.deviceRegistry.setAttribute.populateTransaction(identity, name, value, validFor),
  );
}

/**
 * Takes a key back: nothing is sealed to it any more, but what was stays readable with it. Documents that `ethr-did-resolver` 11
 * makes go on to list its number under `keyAgreement`, without the key.
 *
 * @param options.identity The sender unless told.
 * @throws TouchstoneError INVALID_KEY, INVALID_ARGUMENT.
 */
export async function revokeKeyAgreementKey(
  options: SendOptions & Pick<Publication, "key"> & { identity?: string },
): Promise<Sent> {
  const { name, value } = keyAgreementAttribute(options.key);
  const identity = await identityOf(options);
  return send(options, () =>
    options.touchstone.deviceRegistry.revokeAttribute.populateTransaction(identity, name, value),
  );
}

async function identityOf(options: { touchstone: Touchstone; identity?: string }): Promise<string> {
  if (options.identity !== undefined) return requireAddress("identity", options.identity);
  const sender = await senderOf(options.touchstone);
  if (sender === undefined) throw runnerReadOnly();
  return sender;
}

// ------------------------------------------------------------------ looking up

/**
 * The key that is sealed to for an account or a device: of those that its DID document shows, the one published last.
 *
 * @param options.block The state after this block counts; the latest unless told.
 * @throws TouchstoneError KEY_AGREEMENT_MISSING if it shows none, and others as keyAgreementKeysOf.
 */
export async function keyAgreementKeyOf(options: {
  touchstone: Touchstone;
  account: string;
  block?: number;
  signal?: AbortSignal;
}): Promise<KeyAgreementPublicKey> {
  const { touchstone } = options;
  const account = requireAddress("account", options.account);
  const [key] = await keyAgreementKeysOf({ ...options, accounts: [account] });
  if (key !== undefined) return key;
  const code = await ask(() => touchstone.provider.getCode(account));
  throw keyAgreementMissing(account, code !== "0x" && !code.startsWith("0xef0100"));
}

/**
 * The same for many accounts, which need not have one. Nothing but the registry's events is read, as resolvers do: from the latest
 * change of each document backwards, until there is a key that still stands.
 *
 * @param options.known What was found before; what is found now is added to it, and no document is read again that did not change.
 * @returns For each account its key, or undefined: of one whose key lies behind 256 later changes too, which it then publishes
 *          again.
 * @throws TouchstoneError INVALID_ARGUMENT, NOT_FOUND (the node has not that block), CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED.
 */
export async function keyAgreementKeysOf(options: {
  touchstone: Touchstone;
  accounts: readonly string[];
  block?: number;
  known?: KnownKeys;
  signal?: AbortSignal;
}): Promise<(KeyAgreementPublicKey | undefined)[]> {
  const { touchstone, signal } = options;
  const known: KnownKeys = options.known ?? new Map<string, never>();
  const accounts = options.accounts.map((account) => requireAddress("accounts", account));
  const block = options.block ?? (await latestBlock(touchstone.provider));
  const { timestamp } = await blockAt(touchstone.provider, block);
  const { interface: abi } = touchstone.deviceRegistry;
  const answers = await askMany({
    touchstone,
    contract: touchstone.addresses.DeviceRegistry,
    questions: accounts.map((account) => abi.encodeFunctionData("changed", [account])),
    block,
  });
  const searches = new Map<string, Search>();
  for (const [index, account] of accounts.entries()) {
    const [changed] = abi.decodeFunctionResult("changed", answers[index] ?? "0x") as unknown as [bigint];
    const before = known.get(account);
    if (before?.changed === Number(changed) && before.validTo >= timestamp) continue;
    searches.set(account, {
      changed: Number(changed),
      next: Number(changed),
      changes: 0,
      later: new Set(),
      key: undefined,
      validTo: FOREVER,
    });
  }
  for (;;) {
    const wanted = new Map<number, string[]>();
    for (const [account, { next }] of searches) {
      if (next !== 0) wanted.set(next, [...(wanted.get(next) ?? []), account]);
    }
    if (wanted.size === 0) break;
    const blocks = [...wanted];
    for (let start = 0; start < blocks.length; start += BLOCKS_AT_ONCE) {
      await Promise.all(
        blocks.slice(start, start + BLOCKS_AT_ONCE).map(async ([number, there]) => {
          const events = await changesIn(touchstone, number, there, signal);
          for (const account of there) {
            searchIn(searches.get(account), number, requireChanges(events.get(account), account, number), timestamp);
          }
        }),
      );
    }
  }
  for (const [account, { changed, key, validTo }] of searches) known.set(account, { changed, key, validTo });
  return accounts.map((account) => known.get(account)?.key);
}

/** What was found of accounts, by the block of their latest change. */
export type KnownKeys = Map<string, { changed: number; key: KeyAgreementPublicKey | undefined; validTo: bigint }>;

/** How far the way back through one document has come. */
interface Search {
  /** The block of the latest change. */
  changed: number;
  /** The block to look into; 0 when the search is over. */
  next: number;
  changes: number;
  /** Attributes of which a later event was seen, which alone counts. */
  later: Set<string>;
  key: KeyAgreementPublicKey | undefined;
  /** Unix seconds up to which what was found holds, if the document does not change. */
  validTo: bigint;
}

type Change = Extract<TouchstoneEvent["args"], { previousChange: bigint }>;

async function changesIn(
  touchstone: Touchstone,
  number: number,
  accounts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, Change[]>> {
  const found = new Map<string, Change[]>();
  for await (const { args } of readEvents({
    touchstone,
    contracts: ["DeviceRegistry"],
    devices: accounts,
    fromBlock: number,
    toBlock: number,
    ...(signal === undefined ? {} : { signal }),
  })) {
    if (!("previousChange" in args)) continue;
    found.set(args.identity, [...(found.get(args.identity) ?? []), args]);
  }
  return found;
}

/** The registry says that the document changed there: a node that knows of nothing is behind the one that said so. */
function requireChanges(changes: readonly Change[] | undefined, account: string, number: number): readonly Change[] {
  if (changes !== undefined) return changes;
  throw new TouchstoneError(
    "RPC_FAILED",
    `The DID document of ${account} changed in block ${number}, but the node has no event of that: block not found, it is behind others.`,
    { details: { account, block: number } },
  );
}

function searchIn(search: Search | undefined, number: number, changes: readonly Change[], time: bigint): void {
  if (search === undefined) return;
  let previous = 0;
  for (const change of changes.toReversed()) {
    search.changes += 1;
    // A change before this one lies in an earlier block, or in this one, which is read to its end.
    if (Number(change.previousChange) < number) previous = Math.max(previous, Number(change.previousChange));
    if ("owner" in change && BigInt(change.owner) === 0n) {
      // The identity ended, and with it all that was published.
      previous = 0;
      break;
    }
    if (!("name" in change)) continue;
    const place = `${change.name}${change.value}`;
    if (search.later.has(place)) continue;
    search.later.add(place);
    // Resolvers take the last second as one of validity too.
    search.key = change.validTo >= time ? keyIn(change.name, change.value) : undefined;
    if (search.key === undefined) continue;
    search.validTo = change.validTo;
    break;
  }
  search.next = search.key === undefined && search.changes < MAX_CHANGES ? previous : 0;
}

/** Undefined for what is no such key, whatever its name says. */
function keyIn(name: string, value: string): KeyAgreementPublicKey | undefined {
  const kind = NAMES.get(name);
  try {
    if (kind === "X25519") return keyAgreementPublicKey({ curve: "X25519", publicKey: value });
    if (kind !== "Multikey") return undefined;
    return dataSlice(value, 0, 2) === X25519_MULTICODEC
      ? keyAgreementPublicKey({ curve: "X25519", publicKey: dataSlice(value, 2) })
      : keyAgreementPublicKey({ curve: "P-256", publicKey: publicKeyInAttribute(value) });
  } catch {
    return undefined;
  }
}

/**
 * The error for an account without a key.
 *
 * @param isContract Whether the account is a contract, as far as is known.
 */
export function keyAgreementMissing(account: string, isContract?: boolean): TouchstoneError {
  const fix =
    isContract === true
      ? "the account is a contract and has to send what keyAgreementCall gives, itself"
      : "it has to publish one with publishKeyAgreementKey, or publish it again";
  return new TouchstoneError(
    "KEY_AGREEMENT_MISSING",
    `${account} has no key-agreement key in its DID document that readings could be shared with: ${fix}.`,
    { details: { account, isContract } },
  );
}
