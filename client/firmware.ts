import { AbiCoder, keccak256 } from "ethers";

import type { IFirmwareRegistry } from "../typechain-types/index.js";
import { requireAddress, requireHex, requireName, requireUint, ZERO_HASH } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import {
  firmwareReasons,
  maskOf,
  nameOf,
  namesIn,
  numberOf,
  quorums,
  releaseStatuses,
  type FirmwareReason,
  type ReleaseStatus,
} from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents } from "./events.js";
import { hashFile, type FileDigest, type FileProgress } from "./files.js";
import { classIdOf } from "./hardware-classes.js";
import type { Key } from "./keys.js";
import { askProof } from "./proofs.js";
import { ask } from "./reverts.js";
import { collectProofs, signerSetFrom, signerSetStruct, type SignerProof, type SignerSet } from "./signer-sets.js";
import { deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { releaseMessage, statusChangeMessage } from "./typed-data.js";

export * from "./signer-sets.js";

/** The channels that a release can be the head of. */
export const allChannels = [0, 1, 2, 3, 4, 5, 6, 7] as const;
export type Channel = (typeof allChannels)[number];

/** The highest version there can be. */
export const MAX_VERSION = 2n ** 64n - 1n;

/** What names a product: a component of a vendor's class of hardware. */
export interface ProductName {
  /** An account or a fleet handle. */
  vendor: string;
  /** Up to 31 bytes of text, or 32 bytes as 0x hex. */
  hardwareClass: string;
  /** Up to 31 bytes of text, or 32 bytes as 0x hex. */
  component: string;
}

/** What the registry keeps of a product. */
export interface Product {
  id: string;
  /** Highest version ever published. */
  highest: bigint;
  releaseNonce: bigint;
  revokeNonce: bigint;
}

/** A release of another product that has to be installed first. */
export interface Dependency {
  productId: string;
  minVersion: bigint;
}

/** The message by which the Release quorum publishes an image; the fields are those of the contract. */
export interface Release {
  productId: string;
  version: bigint;
  securityVersion: bigint;
  imageDigest: string;
  size: bigint;
  bootDigest: string;
  manifestDigest: string;
  format: bigint;
  channels: bigint;
  heads: bigint;
  fromMin: bigint;
  fromMax: bigint;
  hwRevMin: bigint;
  hwRevMax: bigint;
  startBps: bigint;
  startAt: bigint;
  rampSeconds: bigint;
  dependencies: Dependency[];
  epoch: bigint;
  deadline: bigint;
}

/** The message by which a quorum changes the status of a release; the fields are those of the contract. */
export interface StatusChange {
  productId: string;
  version: bigint;
  status: bigint;
  quorum: bigint;
  heads: { channel: bigint; version: bigint }[];
  epoch: bigint;
  nonce: bigint;
  deadline: bigint;
}

/** What the registry keeps of a release. */
export interface ReleaseRecord {
  version: bigint;
  securityVersion: bigint;
  size: bigint;
  status: ReleaseStatus;
  channels: Channel[];
  /** Unix seconds. */
  publishedAt: bigint;
  imageDigest: string;
  releaseHash: string;
}

/** Why a file may be installed, or may not: what the registry says, or that it is older than what is installed. */
export type InstallReason = FirmwareReason | "Rollback";

/** What is known of a file. */
export interface Verification {
  ok: boolean;
  reason: InstallReason;
  /** 0 if the file is no release. */
  version: bigint;
  image: FileDigest;
}

// ------------------------------------------------------------------ products

/** The id of a product. */
export function productIdOf(name: ProductName): string {
  const { component, ...hardware } = checkedName(name);
  return keccak256(AbiCoder.defaultAbiCoder().encode(["bytes32", "bytes32"], [classIdOf(hardware), component]));
}

/**
 * Creates a product with its signers. By the vendor's governor or its member with PublishManifest.
 *
 * @returns `productId`.
 */
export async function createProduct(
  options: SendOptions & ProductName & { signerSet: SignerSet },
): Promise<Sent & { productId: string }> {
  const { vendor, hardwareClass, component } = checkedName(options);
  const signerSet = signerSetStruct(options.signerSet);
  const sent = await send(options, () =>
    options.touchstone.firmwareRegistry.createProduct.populateTransaction(vendor, hardwareClass, component, signerSet),
  );
  return { ...sent, productId: productIdOf(options) };
}

/** What the registry keeps of a product, or undefined if there is none. */
export async function getProduct(options: { touchstone: Touchstone; productId: string }): Promise<Product | undefined> {
  const id = requireHex("productId", options.productId, 32);
  const product = await ask(() => options.touchstone.firmwareRegistry.productOf(id));
  if (product.setHash === ZERO_HASH) return undefined;
  const { highest, releaseNonce, revokeNonce } = product;
  return { id, highest, releaseNonce, revokeNonce };
}

/**
 * The present signer set of a product, read from the chain's events.
 *
 * @throws TouchstoneError NOT_FOUND if there is no such product, or the node has no events of that time.
 */
export async function signerSetOf(options: { touchstone: Touchstone; productId: string }): Promise<SignerSet> {
  const { touchstone } = options;
  const productId = requireHex("productId", options.productId, 32);
  for await (const event of readEvents({ touchstone, products: [productId] })) {
    if (event.name !== "ProductCreated") continue;
    return signerSetFrom(event.args.signerSet);
  }
  throw new TouchstoneError(
    "NOT_FOUND",
    `The node knows no product ${productId}: correct vendor, hardware class and component, or connect to a node with all ` +
      "events.",
    { details: { productId } },
  );
}

// ------------------------------------------------------------------ signing

/**
 * Makes the message by which a file is published as a release.
 *
 * @param options.file Path of the file, or what hashFile said of it.
 * @param options.version Higher than every version before.
 * @param options.securityVersion Devices never go below the one they have; 0 unless told.
 * @param options.channels What it may be the head of.
 * @param options.heads What it is the head of from publication on; all its channels unless told.
 * @param options.validFor Seconds until which it can be sent; one week unless told.
 * @param options.onProgress While the file is hashed.
 * @throws TouchstoneError as hashFile; NOT_FOUND if there is no such product.
 */
export async function newRelease(options: {
  touchstone: Touchstone;
  productId: string;
  file: string | FileDigest;
  version: bigint;
  securityVersion?: bigint;
  channels: readonly Channel[];
  heads?: readonly Channel[];
  /** Hash of what the boot loader checks; none unless told. */
  bootDigest?: string;
  /** SHA-256 of what describes the release; none unless told. */
  manifestDigest?: string;
  /** 0, plain binary, unless told. */
  format?: bigint;
  /** Installed versions that it can be installed over; all unless told. */
  from?: { min: bigint; max: bigint };
  /** Hardware revisions that it runs on; all unless told. */
  hardwareRevisions?: { min: bigint; max: bigint };
  /** Which part of the fleet is offered it and when; all at once unless told. */
  rollout?: { startBps: bigint; startAt: bigint; rampSeconds: bigint };
  dependencies?: readonly Dependency[];
  validFor?: bigint;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}): Promise<Release> {
  const { touchstone, version, channels, heads = channels, validFor = 604_800n } = options;
  const { from = { min: 0n, max: MAX_VERSION }, hardwareRevisions = { min: 0n, max: 65_535n } } = options;
  const { startBps, startAt, rampSeconds } = options.rollout ?? { startBps: 10_000n, startAt: 0n, rampSeconds: 0n };
  const productId = requireHex("productId", options.productId, 32);
  const [image, { epoch }, deadline] = await Promise.all([
    imageOf(options),
    signerSetOf({ touchstone, productId }),
    deadlineIn(touchstone, validFor),
  ]);
  return checkedRelease({
    productId,
    version,
    securityVersion: options.securityVersion ?? 0n,
    imageDigest: image.digest,
    size: image.size,
    bootDigest: options.bootDigest ?? ZERO_HASH,
    manifestDigest: options.manifestDigest ?? ZERO_HASH,
    format: options.format ?? 0n,
    channels: maskOf(allChannels, channels),
    heads: maskOf(allChannels, heads),
    fromMin: from.min,
    fromMax: from.max,
    hwRevMin: hardwareRevisions.min,
    hwRevMax: hardwareRevisions.max,
    startBps,
    startAt,
    rampSeconds,
    dependencies: [...(options.dependencies ?? [])],
    epoch,
    deadline,
  });
}

/**
 * Makes the message by which a quorum changes the status of a release.
 *
 * @param options.heads Channels whose head changes with it; version 0 for none.
 * @param options.validFor Seconds until which it can be sent; one day unless told.
 */
export async function newStatusChange(options: {
  touchstone: Touchstone;
  productId: string;
  version: bigint;
  status: Exclude<ReleaseStatus, "None">;
  quorum: "Release" | "Revoke";
  heads?: readonly { channel: Channel; version: bigint }[];
  validFor?: bigint;
}): Promise<StatusChange> {
  const { touchstone, version, quorum, heads = [], validFor = 86_400n } = options;
  const productId = requireHex("productId", options.productId, 32);
  const [product, { epoch }, deadline] = await Promise.all([
    getProduct({ touchstone, productId }),
    signerSetOf({ touchstone, productId }),
    deadlineIn(touchstone, validFor),
  ]);
  return checkedStatusChange({
    productId,
    version,
    status: numberOf(releaseStatuses, options.status),
    quorum: numberOf(quorums, quorum),
    heads: heads.map((head) => ({ channel: numberOf(allChannels, head.channel), version: head.version })),
    epoch,
    nonce: (quorum === "Release" ? product?.releaseNonce : product?.revokeNonce) ?? 0n,
    deadline,
  });
}

/** Signs a release with one signer's key. */
export async function signRelease(options: {
  touchstone: Touchstone;
  release: Release;
  key: Key;
}): Promise<SignerProof> {
  const { touchstone, key } = options;
  const message = releaseMessage(touchstone.domains.FirmwareRegistry, checkedRelease(options.release));
  return { keyId: key.id, proof: await askProof("key", key, message) };
}

/** Signs a status change with one signer's key. */
export async function signStatusChange(options: {
  touchstone: Touchstone;
  change: StatusChange;
  key: Key;
}): Promise<SignerProof> {
  const { touchstone, key } = options;
  const message = statusChangeMessage(touchstone.domains.FirmwareRegistry, checkedStatusChange(options.change));
  return { keyId: key.id, proof: await askProof("key", key, message) };
}

// ------------------------------------------------------------------ publishing

/**
 * Publishes the release that the Release quorum signed. Anyone may send.
 *
 * @param options.signerSet Read from the chain unless told.
 * @throws TouchstoneError as collectProofs and send.
 */
export async function publish(
  options: SendOptions & { release: Release; proofs: readonly SignerProof[]; signerSet?: SignerSet },
): Promise<Sent> {
  const { touchstone } = options;
  const release = checkedRelease(options.release);
  const signerSet = options.signerSet ?? (await signerSetOf({ touchstone, productId: release.productId }));
  const message = releaseMessage(touchstone.domains.FirmwareRegistry, release);
  const proofs = await collectProofs({ ...options, message, signerSet, quorum: "Release" });
  return send(options, () =>
    touchstone.firmwareRegistry.publish.populateTransaction(release, signerSetStruct(signerSet), proofs),
  );
}

/**
 * Changes the status of a release as its quorum signed it. Anyone may send.
 *
 * @param options.signerSet Read from the chain unless told.
 * @throws TouchstoneError as collectProofs and send.
 */
export async function setStatus(
  options: SendOptions & { change: StatusChange; proofs: readonly SignerProof[]; signerSet?: SignerSet },
): Promise<Sent> {
  const { touchstone } = options;
  const change = checkedStatusChange(options.change);
  const signerSet = options.signerSet ?? (await signerSetOf({ touchstone, productId: change.productId }));
  const message = statusChangeMessage(touchstone.domains.FirmwareRegistry, change);
  const proofs = await collectProofs({ ...options, message, signerSet, quorum: nameOf(quorums, change.quorum) });
  return send(options, () =>
    touchstone.firmwareRegistry.setStatus.populateTransaction(change, signerSetStruct(signerSet), proofs),
  );
}

/** Says where the release's file can be had. By the vendor's governor or its member with PublishManifest. */
export async function announce(options: SendOptions & ProductName & { version: bigint; uri: string }): Promise<Sent> {
  const { vendor, hardwareClass, component } = checkedName(options);
  const version = requireUint("version", options.version, 64);
  return send(options, () =>
    options.touchstone.firmwareRegistry.announce.populateTransaction(
      vendor,
      hardwareClass,
      component,
      version,
      options.uri,
    ),
  );
}

// ------------------------------------------------------------------ installing

/**
 * Whether a file may be installed on a device, by what the chain says of it now.
 *
 * @param options.file Path of the file, or what hashFile said of it.
 * @param options.installedVersion What the device runs; a release below it is a rollback. Left out for a new device.
 * @throws TouchstoneError as hashFile.
 */
export async function verify(options: {
  touchstone: Touchstone;
  productId: string;
  file: string | FileDigest;
  installedVersion?: bigint;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}): Promise<Verification> {
  const { touchstone } = options;
  const productId = requireHex("productId", options.productId, 32);
  // Left out for a new device; a look-up that failed, and gave undefined, must not pass for one.
  const installedVersion =
    "installedVersion" in options ? requireUint("installedVersion", options.installedVersion, 64) : 0n;
  const image = await imageOf(options);
  const { ok, reason, version } = await ask(() =>
    touchstone.firmwareRegistry.verify(productId, image.digest, image.size),
  );
  if (ok && version < installedVersion) return { ok: false, reason: "Rollback", version, image };
  return { ok, reason: nameOf(firmwareReasons, reason), version, image };
}

/**
 * Makes sure that a file may be installed on a device.
 *
 * @param options As for verify.
 * @returns What verify says of it.
 * @throws TouchstoneError FIRMWARE_ROLLBACK if it is older than what is installed, FIRMWARE_REFUSED for any other reason,
 *         both with the Verification as details; and as hashFile.
 */
export async function requireInstallable(options: Parameters<typeof verify>[0]): Promise<Verification> {
  const verification = await verify(options);
  const { ok, reason, version, image } = verification;
  if (ok) return verification;
  const file = typeof options.file === "string" ? options.file : image.digest;
  const details = { ...verification, file, installedVersion: options.installedVersion };
  if (reason === "Rollback") {
    throw new TouchstoneError(
      "FIRMWARE_ROLLBACK",
      `${file} is version ${version}, but version ${options.installedVersion ?? 0n} is installed: give a newer file.`,
      { details },
    );
  }
  throw new TouchstoneError("FIRMWARE_REFUSED", `${file} ${refusals[reason]}`, { details });
}

const refusals: Record<Exclude<InstallReason, "Rollback">, string> = {
  Authorised: "may be installed.",
  ProductUnknown: "cannot be checked, as there is no such product: correct vendor, hardware class and component.",
  DigestUnknown: "is no release of the product: get the file again from the vendor.",
  SizeMismatch: "has not the size of the release: get the file again from the vendor.",
  Yanked: "was withdrawn by its vendor: install the latest release of the channel.",
  Revoked: "was revoked by its vendor and may not run: install the latest release of the channel.",
};

/** The head of a channel while it may be installed, else undefined. */
export async function latest(options: {
  touchstone: Touchstone;
  productId: string;
  channel: Channel;
}): Promise<ReleaseRecord | undefined> {
  const productId = requireHex("productId", options.productId, 32);
  const channel = numberOf(allChannels, options.channel);
  return recordOf(await ask(() => options.touchstone.firmwareRegistry.latest(productId, channel)));
}

/** What the registry keeps of a release, or undefined if there is none. */
export async function getRelease(options: {
  touchstone: Touchstone;
  productId: string;
  version: bigint;
}): Promise<ReleaseRecord | undefined> {
  const productId = requireHex("productId", options.productId, 32);
  const version = requireUint("version", options.version, 64);
  return recordOf(await ask(() => options.touchstone.firmwareRegistry.releaseOf(productId, version)));
}

// ------------------------------------------------------------------ arguments

function checkedName(name: ProductName): ProductName {
  return {
    vendor: requireAddress("vendor", name.vendor),
    hardwareClass: requireName("hardwareClass", name.hardwareClass),
    component: requireName("component", name.component),
  };
}

function checkedRelease(release: Release): Release {
  return {
    productId: requireHex("productId", release.productId, 32),
    version: requireUint("version", release.version, 64),
    securityVersion: requireUint("securityVersion", release.securityVersion, 32),
    imageDigest: requireHex("imageDigest", release.imageDigest, 32),
    size: requireUint("size", release.size, 64),
    bootDigest: requireHex("bootDigest", release.bootDigest, 32),
    manifestDigest: requireHex("manifestDigest", release.manifestDigest, 32),
    format: requireUint("format", release.format, 8),
    channels: requireUint("channels", release.channels, 8),
    heads: requireUint("heads", release.heads, 8),
    fromMin: requireUint("fromMin", release.fromMin, 64),
    fromMax: requireUint("fromMax", release.fromMax, 64),
    hwRevMin: requireUint("hwRevMin", release.hwRevMin, 16),
    hwRevMax: requireUint("hwRevMax", release.hwRevMax, 16),
    startBps: requireUint("startBps", release.startBps, 16),
    startAt: requireUint("startAt", release.startAt, 40),
    rampSeconds: requireUint("rampSeconds", release.rampSeconds, 32),
    dependencies: release.dependencies.map(({ productId, minVersion }) => ({
      productId: requireHex("dependencies", productId, 32),
      minVersion: requireUint("dependencies", minVersion, 64),
    })),
    epoch: requireUint("epoch", release.epoch, 32),
    deadline: requireUint("deadline", release.deadline, 40),
  };
}

function checkedStatusChange(change: StatusChange): StatusChange {
  return {
    productId: requireHex("productId", change.productId, 32),
    version: requireUint("version", change.version, 64),
    status: requireUint("status", change.status, 8),
    quorum: requireUint("quorum", change.quorum, 8),
    heads: change.heads.map(({ channel, version }) => ({
      channel: requireUint("heads", channel, 8),
      version: requireUint("heads", version, 64),
    })),
    epoch: requireUint("epoch", change.epoch, 32),
    nonce: requireUint("nonce", change.nonce, 32),
    deadline: requireUint("deadline", change.deadline, 40),
  };
}

function imageOf(options: {
  file: string | FileDigest;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}): Promise<FileDigest> | FileDigest {
  const { file, ...rest } = options;
  if (typeof file === "string") return hashFile({ path: file, ...rest });
  return { digest: requireHex("file.digest", file.digest, 32), size: requireUint("file.size", file.size, 64) };
}

// ------------------------------------------------------------------ structs

function recordOf(record: IFirmwareRegistry.ReleaseRecordStructOutput): ReleaseRecord | undefined {
  if (record.version === 0n && record.imageDigest === ZERO_HASH) return undefined;
  return {
    version: record.version,
    securityVersion: record.securityVersion,
    size: record.size,
    status: nameOf(releaseStatuses, record.status),
    channels: namesIn(allChannels, record.channels),
    publishedAt: record.publishedAt,
    imageDigest: record.imageDigest,
    releaseHash: record.releaseHash,
  };
}
