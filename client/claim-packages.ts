import { readFile } from "node:fs/promises";

import { z } from "zod";

import { requireAddress, requireHex, requireUint } from "./arguments.js";
import { nameOf, schemeNames } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readFactoryKey } from "./factory-keys.js";
import { fileError } from "./files.js";
import { Scheme } from "./keys.js";
import type { ManifestEntry, ManifestHeader } from "./manifest-files.js";
import { manifestRootOf, SERIAL_SALT_BYTES, serialHashOf } from "./manifest-leaves.js";
import { writeNewFile } from "./text-files.js";

const FORMAT = "touchstone-claim/1";
const ASK = "ask the maker for the device's package.";

/** The maker's consent that a device gets this owner, where the manifest asks for it. */
export interface SignedVoucher {
  /** An account or a fleet handle. */
  owner: string;
  /** Unix seconds. */
  deadline: bigint;
  /** Who signed: the vendor's governor or a member with PublishManifest. */
  by: string;
  /** 65 bytes r ‖ s ‖ v, or an ERC-1271 signature. */
  signature: string;
}

/** All that the buyer of a device needs to enrol it, beside the device: its maker gives it, printed or as a file. */
export interface ClaimPackage extends ManifestHeader, ManifestEntry {
  chainId: bigint;
  /** The DeviceRegistry. */
  registry: string;
  /** Number of the manifest; left out if it was not published when the package was made. */
  manifest?: bigint;
  voucher?: SignedVoucher;
}

/**
 * Makes the package for the buyer of a device.
 *
 * @param options.header The manifest's header.
 * @param options.entry The device in the manifest.
 * @param options.registry Address of the DeviceRegistry.
 * @param options.manifest Number that the manifest was published under.
 * @param options.voucher The maker's voucher for this device and its buyer.
 * @throws TouchstoneError INVALID_ARGUMENT; CLAIM_PACKAGE_INVALID if the entry is not one of the manifest's.
 */
export function newClaimPackage(options: {
  header: ManifestHeader;
  entry: ManifestEntry;
  chainId: bigint;
  registry: string;
  manifest?: bigint | undefined;
  voucher?: SignedVoucher | undefined;
}): ClaimPackage {
  const { header, entry, manifest, voucher } = options;
  const claim: ClaimPackage = {
    ...entry,
    terms: header.terms,
    hardwareClass: header.hardwareClass,
    chainId: requireUint("chainId", options.chainId, 53),
    registry: requireAddress("registry", options.registry),
    ...(manifest !== undefined && { manifest: requireManifest(manifest) }),
    ...(voucher !== undefined && { voucher: checkedVoucher(voucher) }),
  };
  verifyClaimPackage(claim);
  return claim;
}

/**
 * Checks a package by itself, without a chain: the key is that of the device, and device, scheme and serial lead to the
 * root. That the maker published this root, and did not revoke it, only the chain can tell.
 *
 * @throws TouchstoneError CLAIM_PACKAGE_INVALID.
 */
export function verifyClaimPackage(claim: ClaimPackage): void {
  const { scheme, publicKey, device, terms } = claim;
  const { isKeyRight, serialHash, root } = possible("The claim package", () => ({
    isKeyRight: scheme === Scheme.Account ? publicKey === "0x" : readFactoryKey(publicKey).id === device,
    serialHash: serialHashOf(claim),
    root: manifestRootOf(claim, terms.count),
  }));
  const refuse = (reason: string): TouchstoneError => invalid(`${reason}: ${ASK}`, { device });
  if (!isKeyRight) throw refuse(`The public key ${publicKey} is not that of the device ${device}`);
  if (serialHash !== claim.serialHash.toLowerCase()) {
    throw refuse(`The serial "${claim.serial ?? ""}" of ${device} and its salt are not what the manifest says`);
  }
  if (root !== terms.root.toLowerCase()) {
    throw refuse(`The manifest with the root ${terms.root} does not list ${device} with this scheme, serial and path`);
  }
}

// ------------------------------------------------------------------ text

const hex = (bytes: number): z.ZodString =>
  z.string("is missing").regex(new RegExp(`^0x[0-9a-f]{${2 * bytes}}$`, "i"), `is not ${bytes} bytes as 0x hex`);
const wholeNumber = z.int("is no whole number").nonnegative("is below 0");
const text = z.string("is no text");

const packageFile = z.strictObject({
  format: z.literal(FORMAT),
  chainId: wholeNumber,
  registry: hex(20),
  manifest: wholeNumber.optional(),
  vendor: hex(20),
  hardwareClass: hex(32),
  root: hex(32),
  count: wholeNumber,
  voucherRequired: z.boolean("is neither true nor false"),
  index: wholeNumber,
  device: hex(20),
  scheme: z.enum(schemeNames, `is none of ${schemeNames.join(", ")}`),
  publicKey: text,
  serial: text.optional(),
  salt: hex(SERIAL_SALT_BYTES).optional(),
  path: z.array(hex(32), "is no list of hashes").max(32, "is longer than any can be"),
  voucher: z.strictObject({ owner: hex(20), deadline: wholeNumber, by: hex(20), signature: text }).optional(),
});

/** A package as text, for a file or for printing: JSON that parseClaimPackage reads. */
export function formatClaimPackage(claim: ClaimPackage): string {
  const { chainId, registry, manifest, terms, hardwareClass, index, device, scheme, publicKey, voucher } = claim;
  const fields: z.input<typeof packageFile> = {
    format: FORMAT,
    chainId: Number(chainId),
    registry,
    manifest: manifest === undefined ? undefined : Number(manifest),
    vendor: terms.vendor,
    hardwareClass,
    root: terms.root,
    count: Number(terms.count),
    voucherRequired: terms.voucherRequired,
    index: Number(index),
    device,
    scheme: nameOf(schemeNames, BigInt(scheme)),
    publicKey,
    serial: claim.serial,
    salt: claim.salt,
    path: [...claim.path],
    voucher: voucher === undefined ? undefined : { ...voucher, deadline: Number(voucher.deadline) },
  };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

/**
 * Reads a package and checks it as verifyClaimPackage does.
 *
 * @param source Where the text comes from, for people.
 * @throws TouchstoneError CLAIM_PACKAGE_INVALID.
 */
export function parseClaimPackage(text: string, source = "The text"): ClaimPackage {
  const refuse = (reason: string, cause?: unknown): TouchstoneError =>
    invalid(`${source} ${reason}: ${ASK}`, { source }, cause);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refuse(`is not JSON (${String(cause)})`, cause);
  }
  const { format } = z.looseObject({ format: z.unknown() }).safeParse(json).data ?? {};
  if (format !== FORMAT) {
    throw refuse(
      typeof format === "string"
        ? `is of the format "${format}", and this client reads ${FORMAT}`
        : "is no claim package",
    );
  }
  const parsed = packageFile.safeParse(json);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "it"} ${issue.message}`);
    throw refuse(`is no claim package (${issues.join("; ")})`, parsed.error);
  }
  return possible(source, () => {
    const claim = claimOf(parsed.data);
    verifyClaimPackage(claim);
    return claim;
  });
}

function claimOf(file: z.output<typeof packageFile>): ClaimPackage {
  const { serial, salt, manifest, voucher } = file;
  return {
    terms: {
      vendor: requireAddress("vendor", file.vendor),
      root: file.root,
      count: requireUint("count", BigInt(file.count), 32),
      voucherRequired: file.voucherRequired,
    },
    hardwareClass: file.hardwareClass,
    index: requireUint("index", BigInt(file.index), 32),
    device: requireAddress("device", file.device),
    scheme: Scheme[file.scheme],
    publicKey: file.publicKey,
    ...(serial !== undefined && { serial }),
    ...(salt !== undefined && { salt }),
    serialHash: serialHashOf({ serial, salt }),
    path: file.path,
    chainId: BigInt(file.chainId),
    registry: requireAddress("registry", file.registry),
    ...(manifest !== undefined && { manifest: requireManifest(BigInt(manifest)) }),
    ...(voucher !== undefined && { voucher: checkedVoucher({ ...voucher, deadline: BigInt(voucher.deadline) }) }),
  };
}

// ------------------------------------------------------------------ files

/** Larger files are no package: a path has at most 32 hashes. */
const MAX_PACKAGE_BYTES = 2 ** 20;

/**
 * Reads a package's file.
 *
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, CLAIM_PACKAGE_INVALID,
 *         INVALID_ARGUMENT (the path cannot be one).
 */
export async function readClaimPackage(path: string): Promise<ClaimPackage> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(path, error);
  }
  if (bytes.length === 0) {
    throw new TouchstoneError("FILE_EMPTY", `${path} is empty: ${ASK}`, {
      details: { path },
    });
  }
  if (bytes.length > MAX_PACKAGE_BYTES) {
    throw invalid(`${path} has ${bytes.length} bytes, which is too much for a claim package: give the right file.`, {
      path,
    });
  }
  return parseClaimPackage(bytes.toString("utf8"), path);
}

/**
 * Writes a package to a new file that only its owner may read: whoever has it and the device can claim the device.
 *
 * @throws TouchstoneError FILE_EXISTS (nothing is overwritten), FILE_UNWRITABLE, CANCELLED.
 */
export async function writeClaimPackage(options: {
  path: string;
  claim: ClaimPackage;
  signal?: AbortSignal;
}): Promise<void> {
  const { path, claim, signal } = options;
  await writeNewFile({ path, content: [formatClaimPackage(claim)], isPrivate: true, signal });
}

// ------------------------------------------------------------------ arguments

function requireManifest(manifest: bigint): bigint {
  if (manifest > 0n) return requireUint("manifest", manifest, 31);
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `manifest: ${manifest} is the number of none: give the one that it was published under, or leave it out.`,
    { details: { manifest } },
  );
}

function checkedVoucher({ owner, deadline, by, signature }: SignedVoucher): SignedVoucher {
  return {
    owner: requireAddress("voucher.owner", owner),
    deadline: requireUint("voucher.deadline", deadline, 40),
    by: requireAddress("voucher.by", by),
    signature: requireHex("voucher.signature", signature),
  };
}

/** What `read` gives; values that cannot be are a fault of the package. */
function possible<T>(subject: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    throw invalid(`${subject}: ${error.message}`, error.details, error);
  }
}

function invalid(message: string, details: Record<string, unknown> = {}, cause?: unknown): TouchstoneError {
  return new TouchstoneError("CLAIM_PACKAGE_INVALID", message, { details, cause });
}
