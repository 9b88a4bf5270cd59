import { TypedDataEncoder, type BigNumberish, type TypedDataDomain, type TypedDataField } from "ethers";

import type { IDataAccess, IDataAnchor, IDeviceRegistry, IFirmwareRegistry } from "../typechain-types/index.js";

/** Domain of the EIP-712 messages of one deployed contract. */
export interface MessageDomain extends TypedDataDomain {
  name: string;
  version: string;
  chainId: bigint;
  verifyingContract: string;
}

/** An EIP-712 message, ready to be signed. */
export interface TypedMessage {
  domain: MessageDomain;
  types: Record<string, TypedDataField[]>;
  value: Record<string, unknown>;
}

/** The contracts that take signed messages. */
export type SigningContract = "DeviceRegistry" | "DataAccess" | "DataAnchor" | "FirmwareRegistry";

/** The EIP-712 types of every message, as the contracts hash them. */
export const messageTypes = {
  Enrollment: fields("address device,uint8 scheme,address owner,uint32 manifest,bytes32 metadataHash,uint40 deadline"),
  MakerVoucher: fields("uint32 manifest,address device,address owner,uint40 deadline"),
  TransferVoucher: fields("address device,address newOwner,uint24 epoch,uint40 deadline"),
  TransferAcceptance: fields("address device,address newOwner,uint24 epoch,uint40 deadline"),
  Redemption: fields("address device,address newOwner,uint24 epoch,uint40 deadline"),
  KeyRotation: fields("address device,address oldKey,address newKey,uint8 newScheme,uint24 epoch,uint40 deadline"),
  Authentication: fields("address device,string audience,bytes32 nonce,uint40 expires"),
  DataGrant: fields(
    "address grantor,address device,address subject,uint32 permissions,uint32 purposes,uint40 notBefore,uint40 expiry," +
      "bytes32 termsHash,uint24 epoch,uint32 seq,uint40 deadline",
  ),
  Revocation: fields("address revoker,address device,address subject,uint24 epoch,uint32 seq,uint40 deadline"),
  DevicePolicy: fields(
    "address device,uint32 ceiling,uint32 publicRead,uint32 purposes,uint24 epoch,uint32 seq,uint40 deadline",
  ),
  Anchor: fields(
    "bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast," +
      "uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline",
  ),
  Dependency: fields("bytes32 productId,uint64 minVersion"),
  Release: fields(
    "bytes32 productId,uint64 version,uint32 securityVersion,bytes32 imageDigest,uint64 size,bytes32 bootDigest," +
      "bytes32 manifestDigest,uint8 format,uint8 channels,uint8 heads,uint64 fromMin,uint64 fromMax,uint16 hwRevMin," +
      "uint16 hwRevMax,uint16 startBps,uint40 startAt,uint32 rampSeconds,Dependency[] dependencies,uint32 epoch," +
      "uint40 deadline",
  ),
  ChannelHead: fields("uint8 channel,uint64 version"),
  StatusChange: fields(
    "bytes32 productId,uint64 version,uint8 status,uint8 quorum,ChannelHead[] heads,uint32 epoch,uint32 nonce," +
      "uint40 deadline",
  ),
};

/** The domain of a contract's messages. */
export function messageDomain(options: { contract: SigningContract; chainId: bigint; address: string }): MessageDomain {
  return {
    name: `Touchstone ${options.contract}`,
    version: "1",
    chainId: options.chainId,
    verifyingContract: options.address,
  };
}

/** The message by which a device names its owner, for the device and for the owner. */
export function enrollmentMessage(domain: MessageDomain, value: IDeviceRegistry.EnrollmentStruct): TypedMessage {
  return { domain, types: { Enrollment: messageTypes.Enrollment }, value: { ...value } };
}

/** The message by which a maker lets a device of its manifest be enrolled for an owner. */
export function makerVoucherMessage(
  domain: MessageDomain,
  value: { manifest: BigNumberish; device: string; owner: string; deadline: BigNumberish },
): TypedMessage {
  return { domain, types: { MakerVoucher: messageTypes.MakerVoucher }, value: { ...value } };
}

/** What a transfer's three messages have in common: who gets which device, in which epoch, until when. */
export type TransferTerms = IDeviceRegistry.TransferVoucherStruct;

/** The message by which an owner gives a device away; to whom the device names, if `newOwner` is zero. */
export function transferVoucherMessage(domain: MessageDomain, value: TransferTerms): TypedMessage {
  return { domain, types: { TransferVoucher: messageTypes.TransferVoucher }, value: { ...value } };
}

/** The message by which the new owner takes a device. */
export function transferAcceptanceMessage(domain: MessageDomain, value: TransferTerms): TypedMessage {
  return { domain, types: { TransferAcceptance: messageTypes.TransferAcceptance }, value: { ...value } };
}

/** The message by which a device names the new owner who holds a bearer voucher. */
export function redemptionMessage(domain: MessageDomain, value: TransferTerms): TypedMessage {
  return { domain, types: { Redemption: messageTypes.Redemption }, value: { ...value } };
}

/** The message by which a new key takes over, for the new key and, if it agrees, the old one. */
export function keyRotationMessage(domain: MessageDomain, value: IDeviceRegistry.KeyRotationStruct): TypedMessage {
  return { domain, types: { KeyRotation: messageTypes.KeyRotation }, value: { ...value } };
}

/** The message by which a device shows a server who it is. No contract takes it: the server asks about its digest. */
export function authenticationMessage(
  domain: MessageDomain,
  value: { device: string; audience: string; nonce: string; expires: BigNumberish },
): TypedMessage {
  return { domain, types: { Authentication: messageTypes.Authentication }, value: { ...value } };
}

/** The message by which a grantor gives a grant without sending it. */
export function dataGrantMessage(domain: MessageDomain, value: IDataAccess.DataGrantStruct): TypedMessage {
  return { domain, types: { DataGrant: messageTypes.DataGrant }, value: { ...value } };
}

/** The message by which a grant is ended without sending it. */
export function revocationMessage(domain: MessageDomain, value: IDataAccess.RevocationStruct): TypedMessage {
  return { domain, types: { Revocation: messageTypes.Revocation }, value: { ...value } };
}

/** The message by which a device limits what can be shared of it. */
export function devicePolicyMessage(domain: MessageDomain, value: IDataAccess.DevicePolicyStruct): TypedMessage {
  return { domain, types: { DevicePolicy: messageTypes.DevicePolicy }, value: { ...value } };
}

/** The message by which a device commits to a batch of readings. */
export function anchorMessage(domain: MessageDomain, value: IDataAnchor.AnchorStruct): TypedMessage {
  return { domain, types: { Anchor: messageTypes.Anchor }, value: { ...value } };
}

/** The message by which a Release quorum publishes an image. */
export function releaseMessage(domain: MessageDomain, value: IFirmwareRegistry.ReleaseStruct): TypedMessage {
  const { Release, Dependency } = messageTypes;
  return { domain, types: { Release, Dependency }, value: { ...value } };
}

/** The message by which a quorum changes the status of a release. */
export function statusChangeMessage(domain: MessageDomain, value: IFirmwareRegistry.StatusChangeStruct): TypedMessage {
  const { StatusChange, ChannelHead } = messageTypes;
  return { domain, types: { StatusChange, ChannelHead }, value: { ...value } };
}

/** The 32-byte EIP-712 digest of a message, as 0x-prefixed hex: what the key signs. */
export function messageDigest(message: TypedMessage): string {
  return TypedDataEncoder.hash(message.domain, message.types, message.value);
}

function fields(list: string): TypedDataField[] {
  return list.split(",").map((field) => {
    const [type, name] = field.split(" ") as [string, string];
    return { type, name };
  });
}
