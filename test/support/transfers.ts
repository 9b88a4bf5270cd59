import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import type { DIDDocument } from "did-resolver";
import { concat, id, ZeroAddress, ZeroHash, type ContractTransactionResponse } from "ethers";

import { accountKey, compressPublicKey, createP256Key, Scheme, type Key, type KeyProof } from "../../client/keys.js";
import {
  enrollmentMessage,
  keyRotationMessage,
  redemptionMessage,
  transferAcceptanceMessage,
  transferVoucherMessage,
  type TypedMessage,
} from "../../client/typed-data.js";
import type { DeviceRegistry, IDeviceRegistry } from "../../typechain-types/index.js";

import { DAY, ethers, FOR_EVER, now } from "./chain.js";
import { resolveDid } from "./did-resolver.js";
import { deployFleet, enrollDevice, ROLE, type Fleet } from "./fleet.js";

export const Status = { None: 0n, Active: 1n, Suspended: 2n, Retired: 3n };
export const SUSPEND = 1n << 9n;
export const ROTATE_KEY = 1n << 10n;
export const KEY_ATTRIBUTE = ethers.encodeBytes32String("did/pub/Multikey/sigAuth");
export const KEY_DELEGATE = ethers.encodeBytes32String("sigAuth");
/** The highest of the ids that nobody can have. */
export const RESERVED = ethers.getAddress(ethers.toBeHex(0xffff, 20));
/** No signature and no public key. */
export const NO_PROOF: KeyProof = { publicKey: "0x", signature: "0x" };

/** An owner, before or after: its id, and the key that signs for it. */
export interface Party {
  id: string;
  key: Key;
}

/** The kinds of owners there are. */
export const PARTIES = {
  account: "an account",
  handle: "a fleet handle",
  wallet: "a contract account",
  walletHandle: "a fleet handle that a contract account governs",
} as const;
export type PartyName = keyof typeof PARTIES;
export const partyNames = Object.keys(PARTIES) as PartyName[];

/** Devices by kind of key. */
export const KINDS = {
  p256Device: "a P-256 device",
  hashingDevice: "a P-256 device that hashes what it signs",
  accountDevice: "an account device",
} as const;
export type KindName = keyof typeof KINDS;
export const kinds = Object.entries(KINDS) as [KindName, string][];

export interface Market extends Fleet {
  /** A third active device of the fleet, with a key of scheme P256Sha256. */
  hashingDevice: Key;
  /** Those who sell; `handle` is the fixture's fleet. */
  sellers: Record<PartyName, Party>;
  /** Those who buy; the account `buyer` governs `handle`. */
  buyers: Record<PartyName, Party>;
  seller: HardhatEthersSigner;
  buyer: HardhatEthersSigner;
  /** Created the buyer's fleet handle and handed it over to the buyer. */
  formerBuyer: HardhatEthersSigner;
  /** Holds every role of the buyer's fleet, Admin included. */
  buyerStaff: HardhatEthersSigner;
  /** The buyer's fleet handle. */
  buyerFleet: string;
}

/** A fleet at work, and all kinds of owners to sell its devices to. */
export async function deployMarket(): Promise<Market> {
  const suite = await deployFleet();
  const { roles, actors } = suite;
  const [seller, sellerWalletOwner, buyer, formerBuyer, buyerStaff] = (await ethers.getSigners()).slice(15) as [
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
  ];
  const hashingDevice = createP256Key({ scheme: Scheme.P256Sha256 });
  await enrollDevice(suite, { key: hashingDevice, owner: suite.fleet, by: actors.owner });

  const salt = id("buyer");
  await roles.connect(formerBuyer).createFleet(salt);
  const buyerFleet = await roles.fleetIdOf(formerBuyer, salt);
  await roles.connect(formerBuyer).proposeGovernor(buyerFleet, buyer);
  await roles.connect(buyer).acceptGovernor(buyerFleet, false);
  await roles.connect(buyer).setRoles(buyerFleet, buyerStaff, 0xffn, 0n, FOR_EVER);

  const sellerWallet = await deployWallet(sellerWalletOwner);
  const buyerWallet = await deployWallet(buyer);
  return {
    ...suite,
    hashingDevice,
    sellers: {
      account: await partyOf(seller),
      handle: { id: suite.fleet, key: await accountKey(actors.owner) },
      wallet: sellerWallet,
      walletHandle: await fleetOfWallet(suite, sellerWallet),
    },
    buyers: {
      account: await partyOf(buyer),
      handle: { id: buyerFleet, key: await accountKey(buyer) },
      wallet: buyerWallet,
      walletHandle: await fleetOfWallet(suite, buyerWallet),
    },
    seller,
    buyer,
    formerBuyer,
    buyerStaff,
    buyerFleet,
  };
}

/** Makes a Security role hold for the account in the buyer's fleet. */
export async function addBuyerSecurity({ roles, buyer, buyerFleet }: Market, account: HardhatEthersSigner) {
  await roles.connect(buyer).setRoles(buyerFleet, account, ROLE.Security, 0n, FOR_EVER);
}

async function partyOf(signer: HardhatEthersSigner): Promise<Party> {
  return { id: signer.address, key: await accountKey(signer) };
}

async function deployWallet(owner: HardhatEthersSigner): Promise<Party> {
  const wallet = await ethers.deployContract("ERC1271Wallet", [owner]);
  const address = await wallet.getAddress();
  const ownerKey = await accountKey(owner);
  return { id: address, key: { ...ownerKey, id: address } };
}

async function fleetOfWallet({ roles }: Fleet, wallet: Party): Promise<Party> {
  const asWallet = await ethers.getImpersonatedSigner(wallet.id);
  await ethers.provider.send("hardhat_setBalance", [wallet.id, ethers.toQuantity(10n ** 18n)]);
  await roles.connect(asWallet).createFleet(id("wallet"));
  return { id: await roles.fleetIdOf(wallet.id, id("wallet")), key: wallet.key };
}

/** Enrols a new P-256 device for an owner of any kind, by its signature. */
export async function enrollFor(suite: Market, owner: Party, key: Key = createP256Key()): Promise<Key> {
  const enrollment = {
    device: key.id,
    scheme: key.scheme,
    owner: owner.id,
    manifest: 0,
    metadataHash: ZeroHash,
    deadline: (await now()) + DAY,
  };
  const message = enrollmentMessage(suite.devicesDomain, enrollment);
  const { signature } = await owner.key.prove(message);
  await suite.devices.connect(suite.actors.relayer).enroll(enrollment, await key.prove(message), signature);
  return key;
}

// ---------------------------------------------------------------------- transfers

/** Hands a device of the fleet over by an offer, to the buyer's fleet unless told. */
export async function handOver(suite: Market, key: Key, to = suite.buyerFleet): Promise<void> {
  const { devices, actors, buyer } = suite;
  await devices.connect(actors.owner).proposeTransfer(key.id, to, (await now()) + DAY);
  await devices.connect(buyer).acceptTransfer(key.id, key.publicKey);
}

/** All that `redeemVoucher` takes, and the messages that were signed for it. */
export interface Sale {
  voucher: IDeviceRegistry.TransferVoucherStruct & { device: string; newOwner: string };
  ownerSignature: string;
  acceptance: IDeviceRegistry.AcceptanceProofStruct;
  redemption: IDeviceRegistry.RedemptionProofStruct;
  messages: Record<"voucher" | "acceptance" | "redemption", TypedMessage>;
}

export interface SaleOptions {
  key: Key;
  /** The fixture's fleet unless told. */
  seller?: Party;
  /** The buyer's fleet unless told. */
  buyer?: Party;
  /** Whether the voucher names nobody, and the device says whom. */
  isBearer?: boolean;
  /** Whether the buyer sends itself and signs nothing. */
  isSentByBuyer?: boolean;
  epoch?: bigint;
  deadline?: bigint;
  acceptanceDeadline?: bigint;
  redemptionDeadline?: bigint;
}

/** Signs a sale: the voucher by the seller, the acceptance by the buyer and, for a bearer voucher, the redemption by the device. */
export async function saleOf(suite: Market, options: SaleOptions): Promise<Sale> {
  const { key, seller = suite.sellers.handle, buyer = suite.buyers.handle } = options;
  const deadline = options.deadline ?? (await now()) + DAY;
  const epoch = options.epoch ?? (await suite.devices.epochOf(key.id));
  const terms = { device: key.id, newOwner: buyer.id, epoch };
  const voucher = { ...terms, newOwner: options.isBearer ? ZeroAddress : buyer.id, deadline };
  const acceptanceDeadline = options.acceptanceDeadline ?? (options.isSentByBuyer ? 0n : deadline);
  const redemptionDeadline = options.redemptionDeadline ?? (options.isBearer ? deadline : 0n);
  const messages = {
    voucher: transferVoucherMessage(suite.devicesDomain, voucher),
    acceptance: transferAcceptanceMessage(suite.devicesDomain, { ...terms, deadline: acceptanceDeadline }),
    redemption: redemptionMessage(suite.devicesDomain, { ...terms, deadline: redemptionDeadline }),
  };
  const accepted = options.isSentByBuyer ? NO_PROOF : await buyer.key.prove(messages.acceptance);
  const redeemed = options.isBearer ? await key.prove(messages.redemption) : NO_PROOF;
  return {
    voucher,
    ownerSignature: (await seller.key.prove(messages.voucher)).signature,
    acceptance: { newOwner: buyer.id, deadline: acceptanceDeadline, signature: accepted.signature },
    redemption: { deadline: redemptionDeadline, publicKey: key.publicKey, signature: redeemed.signature },
    messages,
  };
}

/** Sends a sale, as the relayer unless told. */
export function redeem(suite: Market, sale: Sale, by = suite.actors.relayer): Promise<ContractTransactionResponse> {
  const { voucher, ownerSignature, acceptance, redemption } = sale;
  return suite.devices.connect(by).redeemVoucher(voucher, ownerSignature, acceptance, redemption);
}

// ---------------------------------------------------------------------- keys

export interface RotationOptions {
  device: string;
  oldKey: Key;
  newKey: Key;
  /** Whether the old key signs too. */
  isAgreed?: boolean;
  /** What the message says else than what is true. */
  changes?: Partial<IDeviceRegistry.KeyRotationStruct>;
}

/** All that `rotateKey` takes, and the message that was signed for it. */
export interface Rotation {
  rotation: IDeviceRegistry.KeyRotationStruct;
  byNewKey: KeyProof;
  byOldKey: KeyProof;
  message: TypedMessage;
}

/** Signs a rotation by the new key and, if it agrees, the old one. */
export async function rotationOf(suite: Fleet, options: RotationOptions): Promise<Rotation> {
  const { device, oldKey, newKey } = options;
  const rotation = {
    device,
    oldKey: oldKey.id,
    newKey: newKey.id,
    newScheme: newKey.scheme,
    epoch: await suite.devices.epochOf(device),
    deadline: (await now()) + DAY,
    ...options.changes,
  };
  const message = keyRotationMessage(suite.devicesDomain, rotation);
  const byOldKey = options.isAgreed
    ? await oldKey.prove(message)
    : { publicKey: oldKey.publicKey, signature: NO_PROOF.signature };
  return { rotation, byNewKey: await newKey.prove(message), byOldKey, message };
}

/** Signs and sends a rotation, as the owner unless told. */
export async function rotate(
  suite: Fleet,
  options: RotationOptions,
  by = suite.actors.owner,
): Promise<ContractTransactionResponse> {
  const { rotation, byNewKey, byOldKey } = await rotationOf(suite, options);
  return suite.devices.connect(by).rotateKey(rotation, byNewKey, byOldKey);
}

// ---------------------------------------------------------------------- what comes out

/** The key's form in DID documents: the multicodec of P-256 and the compressed point. */
export function multikeyOf(key: Key): string {
  return concat(["0x8024", compressPublicKey(key.publicKey)]);
}

/** The DID event that adds the key to the device's document, or takes it out with `validTo` 0, as `eventsOf` gives it. */
export function keyEvent(device: string, key: Key, validTo: bigint, previousChange: bigint): unknown[] {
  return key.scheme === Scheme.Account
    ? ["DIDDelegateChanged", device, KEY_DELEGATE, key.id, validTo, previousChange]
    : ["DIDAttributeChanged", device, KEY_ATTRIBUTE, multikeyOf(key), validTo, previousChange];
}

/** All events of a transaction, in order: each its name and all its arguments. */
export async function eventsOf(
  devices: DeviceRegistry,
  sending: Promise<ContractTransactionResponse>,
): Promise<{ events: unknown[][]; blockNumber: bigint }> {
  const receipt = (await (await sending).wait())!;
  const events = receipt.logs.map((log) => {
    const event = devices.interface.parseLog(log);
    return event === null ? ["unknown"] : [event.name, ...(event.args.toArray() as unknown[])];
  });
  return { events, blockNumber: BigInt(receipt.blockNumber) };
}

/** The device's DID document as the unmodified npm `ethr-did-resolver` reads it from our events. */
export async function documentOf(suite: Fleet, device: string): Promise<DIDDocument> {
  const { didDocument, didResolutionMetadata } = await resolveDid(suite, device);
  if (didDocument === null) throw new Error(`not resolved: ${didResolutionMetadata.error ?? "no reason"}`);
  return didDocument;
}

/** What a document says, short: the accounts and Multikeys that authenticate, and the endpoints of services. */
export async function documentSummary(suite: Fleet, device: string) {
  const { verificationMethod = [], authentication = [], service = [] } = await documentOf(suite, device);
  // As the resolver gives it, in a member that did-resolver's types advise against.
  const methods: { blockchainAccountId?: string; publicKeyHex?: string }[] = verificationMethod;
  return {
    methods: methods.map(({ blockchainAccountId, publicKeyHex }) =>
      blockchainAccountId === undefined ? `0x${publicKeyHex ?? ""}` : blockchainAccountId.split(":")[2],
    ),
    authentication: authentication.length,
    services: service.map(({ serviceEndpoint }) => serviceEndpoint),
  };
}

/** The summary of the document of a device that shows nothing but its owner and, if active, its key. */
export function bareSummary(owner: string, key?: Key) {
  const methods = key === undefined ? [owner] : [owner, key.scheme === Scheme.Account ? key.id : multikeyOf(key)];
  return { methods, authentication: methods.length, services: [] as unknown[] };
}
