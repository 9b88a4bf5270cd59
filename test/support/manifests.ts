import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { concat, id, toBeHex, Wallet, ZeroAddress, ZeroHash, type Signer } from "ethers";

import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import { enrollmentMessage, makerVoucherMessage, type TypedMessage } from "../../client/typed-data.js";

import { DAY, ethers, now } from "./chain.js";
import { deployFleet, type Fleet } from "./fleet.js";
import { keccak256, pathOf, rootOf } from "./rfc9162.js";

export const SENSOR = id("sensor");

/** The fleet of `deployFleet` makes devices: its governor is `owner`, its member with PublishManifest is `maker`. */
export interface Factory extends Fleet {
  /** Buys devices; an account that has nothing to do with any fleet. */
  customer: HardhatEthersSigner;
  /** Has stolen a device in transit. */
  thief: HardhatEthersSigner;
  /** Another vendor, which is an account. */
  workshop: HardhatEthersSigner;
}

/** A device that left the factory. */
export interface Listing {
  key: Key;
  serialHash: string;
}

export interface Terms {
  vendor: string;
  root: string;
  count: bigint;
  voucherRequired: boolean;
}

/** A manifest that was published, and the devices that it lists. */
export interface FactoryManifest {
  number: bigint;
  hardwareClass: string;
  terms: Terms;
  listings: Listing[];
  leaves: string[];
}

export interface Voucher {
  voucherBy: string;
  voucherDeadline: bigint;
  voucherSignature: string;
}

export interface ManifestProof extends Voucher {
  terms: Terms;
  index: bigint;
  serialHash: string;
  path: string[];
}

export interface Enrollment {
  device: string;
  scheme: Scheme;
  owner: string;
  manifest: bigint;
  metadataHash: string;
  deadline: bigint;
}

/** All that is sent to enrol a device of a manifest. */
export interface Claim {
  key: Key;
  enrollment: Enrollment;
  message: TypedMessage;
  byDevice: { publicKey: string; signature: string };
  ownerSignature: string;
  manifestProof: ManifestProof;
}

export const NO_VOUCHER: Voucher = { voucherBy: ZeroAddress, voucherDeadline: 0n, voucherSignature: "0x" };

/** Makers, a customer and a thief. */
export async function deployFactory(): Promise<Factory> {
  const suite = await deployFleet();
  const others = (await ethers.getSigners()).slice(15);
  return { ...suite, customer: others[0]!, thief: others[1]!, workshop: others[2]! };
}

/** New devices: keys of all schemes in turn, and every third without a serial number. */
export async function makeDevices(count: number): Promise<Listing[]> {
  const make = [
    () => createP256Key(),
    () => createP256Key({ scheme: Scheme.P256Sha256 }),
    () => accountKey(new Wallet(Wallet.createRandom().privateKey)),
  ];
  const listings: Listing[] = [];
  for (let i = 0; i < count; i += 1) {
    listings.push({ key: await make[i % 3]!(), serialHash: i % 3 === 2 ? ZeroHash : id(`salt and serial ${i}`) });
  }
  return listings;
}

/** keccak256(0x00 ‖ 0x04 ‖ device20 ‖ scheme1 ‖ serialHash32), written out. */
export function manifestLeafOf({ key, serialHash }: Listing): string {
  return keccak256(concat(["0x00", "0x04", key.id, toBeHex(key.scheme, 1), serialHash]));
}

/** Publishes a manifest: of the factory's fleet, by its maker, of one device and without vouchers unless told. */
export async function publish(
  suite: Factory,
  options: Partial<{
    by: Signer;
    vendor: string;
    hardwareClass: string;
    listings: Listing[];
    /** Leaves in place of those of the listings, which then are some of the tree's. */
    leaves: string[];
    voucherRequired: boolean;
  }> = {},
): Promise<FactoryManifest> {
  const { by = suite.actors.maker, vendor = suite.fleet, hardwareClass = SENSOR } = options;
  const listings = options.listings ?? (await makeDevices(1));
  const leaves = options.leaves ?? listings.map(manifestLeafOf);
  const terms: Terms = {
    vendor,
    root: rootOf(leaves, keccak256),
    count: BigInt(leaves.length),
    voucherRequired: options.voucherRequired ?? false,
  };
  const { publishManifest } = suite.devices.connect(by);
  const args = [vendor, hardwareClass, terms.root, terms.count, terms.voucherRequired, ""] as const;
  const number = await publishManifest.staticCall(...args);
  await publishManifest(...args);
  return { number, hardwareClass, terms, listings, leaves };
}

/** The proof that the device at `index` is in the manifest. */
export function proofOf(manifest: FactoryManifest, index = 0): ManifestProof {
  return {
    terms: manifest.terms,
    index: BigInt(index),
    serialHash: manifest.listings[index]!.serialHash,
    path: pathOf(index, manifest.leaves, keccak256),
    ...NO_VOUCHER,
  };
}

/**
 * What is sent to enrol a device of a manifest: the first one for the customer, without the owner's signature, unless told.
 *
 * @param options.changes To the message before the device signs it.
 */
export async function claimOf(
  suite: Factory,
  manifest: FactoryManifest,
  options: Partial<{ index: number; owner: string; changes: Partial<Enrollment>; voucher: Voucher }> = {},
): Promise<Claim> {
  const { index = 0, owner = suite.customer.address } = options;
  const { key } = manifest.listings[index]!;
  const enrollment: Enrollment = {
    device: key.id,
    scheme: key.scheme,
    owner,
    manifest: manifest.number,
    metadataHash: id("metadata"),
    deadline: (await now()) + 10n * DAY,
    ...options.changes,
  };
  const message = enrollmentMessage(suite.devicesDomain, enrollment);
  return {
    key,
    enrollment,
    message,
    byDevice: await key.prove(message),
    ownerSignature: "0x",
    manifestProof: { ...proofOf(manifest, index), ...options.voucher },
  };
}

/** The arguments of `enrollFromManifest`, some of them replaced. */
export function argsOf(claim: Claim, replaced: Partial<Omit<Claim, "manifestProof">> & Partial<ManifestProof> = {}) {
  const { enrollment, byDevice, ownerSignature, ...proof } = { ...claim, ...replaced };
  const { terms, index, serialHash, path, voucherBy, voucherDeadline, voucherSignature } = {
    ...claim.manifestProof,
    ...proof,
  };
  const manifestProof = { terms, index, serialHash, path, voucherBy, voucherDeadline, voucherSignature };
  return [enrollment, byDevice, ownerSignature, manifestProof] as const;
}

/** The message of a voucher for the first device of the manifest and the customer unless told. */
export async function voucherMessageOf(
  suite: Factory,
  manifest: FactoryManifest,
  options: Partial<{ index: number; owner: string; deadline: bigint }> = {},
): Promise<TypedMessage> {
  return makerVoucherMessage(suite.devicesDomain, {
    manifest: manifest.number,
    device: manifest.listings[options.index ?? 0]!.key.id,
    owner: options.owner ?? suite.customer.address,
    deadline: options.deadline ?? (await now()) + 10n * DAY,
  });
}

/** A voucher by the signer, in whose name it stands unless told. */
export async function voucherOf(
  suite: Factory,
  manifest: FactoryManifest,
  signer: Signer,
  options: Partial<{ voucherBy: string; index: number; owner: string; deadline: bigint }> = {},
): Promise<Voucher> {
  const message = await voucherMessageOf(suite, manifest, options);
  return {
    voucherBy: options.voucherBy ?? (await signer.getAddress()),
    voucherDeadline: message.value.deadline as bigint,
    voucherSignature: (await (await accountKey(signer)).prove(message)).signature,
  };
}
