import { dataSlice, getAddress, id } from "ethers";

import type { AccessQuestion } from "../../client/access-state.js";
import {
  allPermissions,
  allRoles,
  maskOf,
  type GrantablePermission,
  type Permission,
} from "../../client/enumerations.js";
import type { TouchstoneEvent } from "../../client/events.js";
import { allPurposes, type Purpose } from "../../client/purposes.js";

/** A fleet with its devices and members, and what outsiders are granted on them, as the chain would tell of it. */
export interface Sharing {
  owner: string;
  member: string;
  devices: readonly string[];
  grants: readonly SharedGrant[];
}

export interface SharedGrant {
  device: string;
  subject: string;
  permissions: GrantablePermission[];
  purposes: Purpose[];
  notBefore: number;
  expiry: number;
}

/** Unix seconds: when everything is asked. */
export const NOW = 1_800_000_000;
const YEAR = 365 * 86_400;

const SUBJECTS_OF_DEVICE = 10;
/** So many accounts have all the grants. */
const SUBJECTS = 5_000;
const HASH = id("a hash");

const GRANTED: readonly GrantablePermission[][] = [
  ["ReadLive"],
  ["ReadLive", "ReadHistory"],
  ["ReadLive", "ReadHistory", "ReadLocation", "ReadMetadata"],
  ["ReadLive", "Command"],
];
const ASKED: readonly Permission[][] = [["ReadLive"], ["ReadHistory"], ["ReadLive", "ReadMetadata"], ["Command"]];
const SERVED: readonly Purpose[][] = [
  ["ServiceProvision"],
  ["ServiceProvision", "RepairImpairments"],
  ["ScientificResearch", "ServiceOptimisation", "RepairImpairments"],
];
const PURPOSES: readonly Purpose[] = ["ServiceProvision", "RepairImpairments", "Marketing"];

/** So many grants, ten on each device. */
export function sharingOf(grants: number): Sharing {
  const random = randomNumbers();
  const devices = Array.from({ length: Math.ceil(grants / SUBJECTS_OF_DEVICE) }, (_, index) => idOf("device", index));
  return {
    owner: idOf("owner", 0),
    member: idOf("member", 0),
    devices,
    grants: Array.from({ length: grants }, (_, index) => ({
      device: pick(devices, Math.floor(index / SUBJECTS_OF_DEVICE)),
      // Neighbours differ, so no subject has two grants on one device.
      subject: idOf("subject", (index * 7) % SUBJECTS),
      permissions: pick(GRANTED, random()),
      purposes: pick(SERVED, random()),
      notBefore: NOW - YEAR,
      // One of eight is over.
      expiry: random() % 8 === 0 ? NOW - 1 : NOW + YEAR,
    })),
  };
}

/** All that happened, as the reader of events gives it. */
export function* eventsOf({ owner, member, devices, grants }: Sharing): Generator<TouchstoneEvent> {
  let count = 0;
  const event = (contract: string, name: string, args: object): TouchstoneEvent => {
    const cursor = { block: Math.floor(count / 100), logIndex: count % 100 };
    count++;
    return { contract, name, args, cursor, blockHash: HASH, transactionHash: HASH } as TouchstoneEvent;
  };
  const by = checksummed(owner);
  for (const device of devices) {
    yield event("DeviceRegistry", "DeviceEnrolled", { device: checksummed(device), owner: by });
  }
  const window = { notBefore: BigInt(NOW - YEAR), expiry: BigInt(NOW + YEAR) };
  const roles = maskOf(allRoles, ["Analyst"]);
  yield event("RoleRegistry", "RolesSet", { fleet: by, account: checksummed(member), by, roles, ...window, epoch: 0n });
  for (const { device, subject, ...terms } of grants) {
    const args = {
      device: checksummed(device),
      subject: checksummed(subject),
      by,
      word: wordOf(terms),
      termsHash: HASH,
    };
    yield event("DataAccess", "AccessGranted", args);
  }
}

/** Questions of every kind: most by who has a grant, some by the owner, a member and strangers. */
export function questionsAbout({ owner, member, devices, grants }: Sharing, count: number): AccessQuestion[] {
  const random = randomNumbers();
  return Array.from({ length: count }, () => {
    const asked = { permissions: pick(ASKED, random()), purpose: pick(PURPOSES, random()) };
    const device = pick(devices, random());
    switch (random() % 8) {
      case 0:
        return { ...asked, device, account: owner };
      case 1:
        return { ...asked, device, account: member };
      case 2:
        return { ...asked, device, account: idOf("subject", random() % SUBJECTS) };
      default: {
        const grant = pick(grants, random());
        return { ...asked, device: grant.device, account: grant.subject };
      }
    }
  });
}

/** The word of the contract's GrantWord.sol. */
function wordOf({ permissions, purposes, notBefore, expiry }: Omit<SharedGrant, "device" | "subject">): bigint {
  const [epoch, seq, byOwner] = [1n, 1n, 1n];
  const low = maskOf(allPermissions, permissions) | (maskOf(allPurposes, purposes) << 32n);
  const times = (BigInt(notBefore) << 64n) | (BigInt(expiry) << 104n);
  return low | times | (epoch << 144n) | (seq << 168n) | (byOwner << 200n);
}

const checksums = new Map<string, string>();

/** Ids come with their checksum from the chain; who asks often gives them in lower case. */
function checksummed(lowerCase: string): string {
  let address = checksums.get(lowerCase);
  if (address === undefined) checksums.set(lowerCase, (address = getAddress(lowerCase)));
  return address;
}

function idOf(kind: string, index: number): string {
  return dataSlice(id(`${kind} ${index}`), 12);
}

function pick<T>(list: readonly T[], number: number): T {
  const item = list[number % list.length];
  if (item === undefined) throw new RangeError("The list is empty.");
  return item;
}

/** The same whole numbers each time, which look random. */
function randomNumbers(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
}
