import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { encodeBytes32String, id, ZeroHash } from "ethers";

import { accountKey, createP256Key, Scheme, type Key, type KeyProof } from "../../client/keys.js";
import {
  messageDomain,
  releaseMessage,
  statusChangeMessage,
  type MessageDomain,
  type TypedMessage,
} from "../../client/typed-data.js";
import type { FirmwareRegistry, IFirmwareRegistry } from "../../typechain-types/index.js";

import { DAY, ethers, now } from "./chain.js";
import { deployFleet, type Fleet } from "./fleet.js";

/** The quorums, as in the contract. */
export const QUORUM = { Root: 0, Release: 1, Revoke: 2 } as const;
export type Quorum = (typeof QUORUM)[keyof typeof QUORUM];

/** Where a release is in its life, as in the contract. */
export const STATUS = { None: 0, Live: 1, Yanked: 2, Revoked: 3 } as const;
export type Status = (typeof STATUS)[keyof typeof STATUS];

/** Why `verify` said what it said, as in the contract. */
export const REASON = {
  Authorised: 0,
  ProductUnknown: 1,
  DigestUnknown: 2,
  SizeMismatch: 3,
  Yanked: 4,
  Revoked: 5,
} as const;

/** The roles of a signer, as masks. */
export const SIGNER_ROLE = { Root: 1, Release: 2, Revoke: 4 } as const;

export type Release = IFirmwareRegistry.ReleaseStruct & { version: bigint; imageDigest: string };
export type StatusChange = IFirmwareRegistry.StatusChangeStruct;
export interface SignerSet {
  epoch: number;
  rootThreshold: number;
  releaseThreshold: number;
  revokeThreshold: number;
  signers: { keyId: string; scheme: Scheme; roles: number }[];
}
export interface SignerProof {
  /** Index in the signer set. */
  signer: number;
  proof: KeyProof;
}

/** The signers of the product, by what they are: one key of every kind. */
export interface SignerKeys {
  /** An Ethereum account: Root and Release. */
  engineer: Key;
  /** A contract account (ERC-1271): Release. */
  wallet: Key;
  /** A P-256 key that signs digests: Release and Revoke. */
  hsm: Key;
  /** A P-256 key that hashes what it signs: Release and Revoke. */
  secureElement: Key;
  /** An Ethereum account: Revoke. */
  officer: Key;
}

/** The kinds of keys that a signer of the Release quorum can have, by the names of the fixture's keys. */
export const signerKinds = [
  ["an account", "engineer"],
  ["a contract account", "wallet"],
  ["a P-256 key", "hsm"],
  ["a P-256 key that hashes", "secureElement"],
] as const satisfies [string, keyof SignerKeys][];

/** Versions as the tests use them: 1.0.0, 2.0.0 and 3.0.0 with 16 bits for each part. */
export const [V1, V2, V3] = [1n << 48n, 2n << 48n, 3n << 48n];

export interface Firmware extends Fleet {
  firmware: FirmwareRegistry;
  firmwareDomain: MessageDomain;
  hardwareClass: string;
  component: string;
  /** The product of the fleet, which is its vendor; 2 of 4 release, 1 of 3 revokes. */
  productId: string;
  keys: SignerKeys;
  signerSet: SignerSet;
}

/** The fleet of `deployFleet` as a vendor: FirmwareRegistry with one product and signers of every kind, no release yet. */
export async function deployFirmware(): Promise<Firmware> {
  const suite = await deployFleet();
  const accounts = await ethers.getSigners();
  const take = (): HardhatEthersSigner => accounts.pop()!;
  const [deployer, engineerAccount, walletOwner, officerAccount] = [take(), take(), take(), take()];
  const firmware = await ethers.deployContract("FirmwareRegistry", [suite.roles], deployer);
  const firmwareDomain = messageDomain({
    contract: "FirmwareRegistry",
    chainId: suite.chainId,
    address: await firmware.getAddress(),
  });

  const wallet = await ethers.deployContract("ERC1271Wallet", [walletOwner], deployer);
  const keys: SignerKeys = {
    engineer: await accountKey(engineerAccount),
    wallet: { ...(await accountKey(walletOwner)), id: await wallet.getAddress() },
    hsm: createP256Key(),
    secureElement: createP256Key({ scheme: Scheme.P256Sha256 }),
    officer: await accountKey(officerAccount),
  };
  const { Root, Release, Revoke } = SIGNER_ROLE;
  const signerSet = makeSignerSet(
    [
      { key: keys.engineer, roles: Root | Release },
      { key: keys.wallet, roles: Release },
      { key: keys.hsm, roles: Release | Revoke },
      { key: keys.secureElement, roles: Release | Revoke },
      { key: keys.officer, roles: Revoke },
    ],
    { root: 1, release: 2, revoke: 1 },
  );

  const hardwareClass = encodeBytes32String("sensor-a2");
  const component = encodeBytes32String("application");
  await firmware.connect(suite.actors.maker).createProduct(suite.fleet, hardwareClass, component, signerSet);
  const productId = await firmware.productIdOf(suite.fleet, hardwareClass, component);
  return { ...suite, firmware, firmwareDomain, hardwareClass, component, productId, keys, signerSet };
}

/** Two releases: V1 the head of channels 0 and 5, V2 the head of channel 1. Both list the channels 0, 1 and 5. */
export async function deployReleases(): Promise<Firmware> {
  const suite = await deployFirmware();
  await publish(suite, await makeRelease(suite, { version: V1, channels: 0b100011, heads: 0b100001 }));
  await publish(suite, await makeRelease(suite, { version: V2, channels: 0b100011, heads: 0b000010 }));
  return suite;
}

/** A signer set of epoch 1, its signers in the order that the contract wants. */
export function makeSignerSet(
  signers: { key: Pick<Key, "id" | "scheme">; roles: number }[],
  thresholds: { root: number; release: number; revoke: number },
): SignerSet {
  return {
    epoch: 1,
    rootThreshold: thresholds.root,
    releaseThreshold: thresholds.release,
    revokeThreshold: thresholds.revoke,
    signers: signers
      .map(({ key, roles }) => ({ keyId: key.id, scheme: key.scheme, roles }))
      .sort((a, b) => (BigInt(a.keyId) < BigInt(b.keyId) ? -1 : 1)),
  };
}

/** A release of the product for all its devices, in channels 0 and 1, the head of none. */
export async function makeRelease(
  suite: Pick<Firmware, "productId">,
  options: Partial<Release> & { version: bigint },
): Promise<Release> {
  return {
    productId: suite.productId,
    securityVersion: 3,
    imageDigest: id(`image ${options.version}`),
    size: 412_160,
    bootDigest: id(`boot ${options.version}`),
    manifestDigest: ZeroHash,
    format: 1,
    channels: 0b11,
    heads: 0,
    fromMin: 0,
    fromMax: 2n ** 64n - 1n,
    hwRevMin: 1,
    hwRevMax: 4,
    startBps: 500,
    startAt: 0,
    rampSeconds: 604_800,
    dependencies: [],
    epoch: 1,
    deadline: (await now()) + DAY,
    ...options,
  };
}

/** A status change of the product as the registry would take it now, by the Release quorum unless told. */
export async function makeStatusChange(
  suite: Pick<Firmware, "productId" | "firmware">,
  options: Partial<StatusChange> & { version: bigint; status: Status },
): Promise<StatusChange> {
  const { releaseNonce, revokeNonce } = await suite.firmware.productOf(suite.productId);
  const quorum = options.quorum ?? QUORUM.Release;
  return {
    productId: suite.productId,
    quorum,
    heads: [],
    epoch: 1,
    nonce: quorum === QUORUM.Revoke ? revokeNonce : releaseNonce,
    deadline: (await now()) + DAY,
    ...options,
  };
}

/** The place of the key in the product's signer set. */
export function indexOf(suite: Pick<Firmware, "signerSet">, key: Key): number {
  return suite.signerSet.signers.findIndex((signer) => signer.keyId === key.id);
}

/** The mask of the keys in the product's signer set. */
export function maskOf(suite: Pick<Firmware, "signerSet">, keys: Key[]): number {
  return keys.reduce((mask, key) => mask | (1 << indexOf(suite, key)), 0);
}

/** The signatures of the keys, in the order that the contract wants. */
export async function signAll(
  suite: Pick<Firmware, "signerSet">,
  message: TypedMessage,
  keys: Key[],
): Promise<SignerProof[]> {
  const proofs = await Promise.all(
    keys.map(async (key) => ({ signer: indexOf(suite, key), proof: await key.prove(message) })),
  );
  return proofs.sort((a, b) => a.signer - b.signer);
}

/** Publishes the release with the signatures of these keys, by default of the engineer and the HSM; a relayer sends. */
export async function publish(
  suite: Firmware,
  release: Release,
  by: Key[] = [suite.keys.engineer, suite.keys.hsm],
): Promise<Awaited<ReturnType<FirmwareRegistry["publish"]>>> {
  const proofs = await signAll(suite, releaseMessage(suite.firmwareDomain, release), by);
  return suite.firmware.connect(suite.actors.relayer).publish(release, suite.signerSet, proofs);
}

/** Sends the status change with the signatures of these keys, by default two of the Release or one of the Revoke quorum. */
export async function setStatus(
  suite: Firmware,
  change: StatusChange,
  by: Key[] = change.quorum === QUORUM.Revoke ? [suite.keys.officer] : [suite.keys.engineer, suite.keys.hsm],
): Promise<Awaited<ReturnType<FirmwareRegistry["setStatus"]>>> {
  const proofs = await signAll(suite, statusChangeMessage(suite.firmwareDomain, change), by);
  return suite.firmware.connect(suite.actors.relayer).setStatus(change, suite.signerSet, proofs);
}
