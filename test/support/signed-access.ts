import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { ZeroHash } from "ethers";

import { accountKey, type Key } from "../../client/keys.js";
import { dataGrantMessage, revocationMessage } from "../../client/typed-data.js";

import { PERMISSION, type Access } from "./access.js";
import { DAY, now } from "./chain.js";

/** A grant as it is signed. */
export interface DataGrant {
  grantor: string;
  device: string;
  subject: string;
  permissions: bigint;
  purposes: bigint;
  notBefore: bigint;
  expiry: bigint;
  termsHash: string;
  epoch: bigint;
  seq: bigint;
  deadline: bigint;
}

/** A revoke as it is signed. */
export interface Revocation {
  revoker: string;
  device: string;
  subject: string;
  epoch: bigint;
  seq: bigint;
  deadline: bigint;
}

/** The grant that the owner would sign now: by default ReadLive for purpose 1 for 30 days, of the P-256 device to the subject. */
export async function nextDataGrant(suite: Access, changes: Partial<DataGrant> = {}): Promise<DataGrant> {
  const { access, devices, actors } = suite;
  const { device = suite.p256Device.id, subject = actors.subject.address } = changes;
  return {
    grantor: actors.owner.address,
    device,
    subject,
    permissions: PERMISSION.ReadLive,
    purposes: 0b10n,
    notBefore: 0n,
    expiry: (await now()) + 30n * DAY,
    termsHash: ZeroHash,
    epoch: await devices.epochOf(device),
    seq: (await access.grantOf(device, subject)).seq,
    deadline: (await now()) + DAY,
    ...changes,
  };
}

/** The revocation that the owner would sign now: it reaches past a signed grant that is sent first. */
export async function nextRevocation(suite: Access, changes: Partial<Revocation> = {}): Promise<Revocation> {
  const { access, devices, actors } = suite;
  const { device = suite.p256Device.id, subject = actors.subject.address } = changes;
  return {
    revoker: actors.owner.address,
    device,
    subject,
    epoch: await devices.epochOf(device),
    seq: (await access.grantOf(device, subject)).seq + 2n,
    deadline: (await now()) + DAY,
    ...changes,
  };
}

/** Signs the grant as the key, whoever the message names. */
export async function signDataGrant(suite: Access, dataGrant: DataGrant, key: Key): Promise<string> {
  return (await key.prove(dataGrantMessage(suite.accessDomain, dataGrant))).signature;
}

export async function signRevocation(suite: Access, revocation: Revocation, key: Key): Promise<string> {
  return (await key.prove(revocationMessage(suite.accessDomain, revocation))).signature;
}

/** A grant of the account, signed and relayed. */
export async function sendSignedGrant(suite: Access, by: HardhatEthersSigner, changes: Partial<DataGrant> = {}) {
  const dataGrant = await nextDataGrant(suite, { grantor: by.address, ...changes });
  const signature = await signDataGrant(suite, dataGrant, await accountKey(by));
  return suite.access.connect(suite.actors.relayer).grantWithSignature(dataGrant, signature);
}

/** A revocation of the account, signed and relayed. */
export async function sendSignedRevocation(suite: Access, by: HardhatEthersSigner, changes: Partial<Revocation> = {}) {
  const revocation = await nextRevocation(suite, { revoker: by.address, ...changes });
  const signature = await signRevocation(suite, revocation, await accountKey(by));
  return suite.access.connect(suite.actors.relayer).revokeWithSignature(revocation, signature);
}
