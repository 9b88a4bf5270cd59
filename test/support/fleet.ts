import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { id } from "ethers";

import { accountKey, createP256Key, type Key, type P256Key } from "../../client/keys.js";
import { enrollmentMessage, messageDomain, type MessageDomain } from "../../client/typed-data.js";
import type { DeviceRegistry, RoleRegistry } from "../../typechain-types/index.js";

import { DAY, ethers, FOR_EVER, networkHelpers, now } from "./chain.js";

/** Roles by name, as masks. */
export const ROLE = {
  Admin: 1n << 0n,
  Operator: 1n << 1n,
  Security: 1n << 2n,
  Gateway: 1n << 3n,
  Auditor: 1n << 4n,
  Analyst: 1n << 5n,
  Installer: 1n << 6n,
  Maker: 1n << 7n,
} as const;

/** Everyone who may be wrong for a call; see `WRONG_CALLERS`. */
export interface Actors {
  /** Governs the fleet handle. */
  owner: HardhatEthersSigner;
  /** Created the fleet handle and handed it over to the owner. */
  formerOwner: HardhatEthersSigner;
  /** Admin of the fleet. */
  admin: HardhatEthersSigner;
  operator: HardhatEthersSigner;
  security: HardhatEthersSigner;
  gateway: HardhatEthersSigner;
  maker: HardhatEthersSigner;
  /** Auditor of the fleet: reads, but changes nothing. */
  memberWithoutPermission: HardhatEthersSigner;
  /** Held every role of the fleet, Admin included, until yesterday. */
  expiredMember: HardhatEthersSigner;
  /** An outsider that grants are given to. */
  subject: HardhatEthersSigner;
  /** The key of the fleet's account device. */
  device: HardhatEthersSigner;
  /** Admin of another fleet. */
  otherAdmin: HardhatEthersSigner;
  stranger: HardhatEthersSigner;
  /** Carries other people's messages. */
  relayer: HardhatEthersSigner;
}

/** Who must be refused, whatever the call: who may do it is asked for by name in each test. */
export const WRONG_CALLERS = {
  stranger: "a stranger",
  formerOwner: "the former owner",
  memberWithoutPermission: "a member without the permission",
  expiredMember: "a member whose roles expired",
  subject: "the subject of a grant",
  device: "the device",
  otherAdmin: "an admin of another fleet",
} as const satisfies Partial<Record<keyof Actors, string>>;

export type WrongCaller = keyof typeof WRONG_CALLERS;

/** The rows of the table, for tests that are made in a loop. */
export const wrongCallers = Object.entries(WRONG_CALLERS) as [WrongCaller, string][];

export interface Fleet {
  roles: RoleRegistry;
  devices: DeviceRegistry;
  devicesDomain: MessageDomain;
  chainId: bigint;
  actors: Actors;
  /** The fleet handle: it owns both devices. */
  fleet: string;
  /** Another fleet, governed by `stranger`'s colleague: only `otherAdmin` works for it. */
  otherFleet: string;
  /** An active device with a P-256 key. */
  p256Device: P256Key;
  /** An active device whose key is the account `actors.device`. */
  accountDevice: Key;
}

/** RoleRegistry and DeviceRegistry with a fleet at work: named actors, one P-256 device and one account device. */
export async function deployFleet(): Promise<Fleet> {
  const signers = await ethers.getSigners();
  const take = (): HardhatEthersSigner => signers.shift()!;
  const deployer = take();
  const actors: Actors = {
    owner: take(),
    formerOwner: take(),
    admin: take(),
    operator: take(),
    security: take(),
    gateway: take(),
    maker: take(),
    memberWithoutPermission: take(),
    expiredMember: take(),
    subject: take(),
    device: take(),
    otherAdmin: take(),
    stranger: take(),
    relayer: take(),
  };

  // From the artifacts, not the typings: coverage measures only those.
  const roles = await ethers.deployContract("RoleRegistry", deployer);
  const devices = await ethers.deployContract("DeviceRegistry", [roles], deployer);
  const { chainId } = await ethers.provider.getNetwork();
  const devicesDomain = messageDomain({
    contract: "DeviceRegistry",
    chainId,
    address: await devices.getAddress(),
  });

  const salt = id("fleet");
  await roles.connect(actors.formerOwner).createFleet(salt);
  const fleet = await roles.fleetIdOf(actors.formerOwner, salt);
  const byFormerOwner = roles.connect(actors.formerOwner);
  const start = await now();
  await byFormerOwner.setRoles(fleet, actors.expiredMember, 0xffn, 0n, start + DAY);
  await byFormerOwner.proposeGovernor(fleet, actors.owner);
  await roles.connect(actors.owner).acceptGovernor(fleet, true);
  const members = [
    [actors.admin, ROLE.Admin],
    [actors.operator, ROLE.Operator],
    [actors.security, ROLE.Security],
    [actors.gateway, ROLE.Gateway],
    [actors.maker, ROLE.Maker],
    [actors.memberWithoutPermission, ROLE.Auditor],
  ] as const;
  for (const [account, mask] of members) {
    await roles.connect(actors.owner).setRoles(fleet, account, mask, 0n, FOR_EVER);
  }

  await roles.connect(deployer).createFleet(salt);
  const otherFleet = await roles.fleetIdOf(deployer, salt);
  await roles.connect(deployer).setRoles(otherFleet, actors.otherAdmin, ROLE.Admin, 0n, FOR_EVER);
  await networkHelpers.time.increaseTo(start + 2n * DAY);

  const p256Device = createP256Key();
  const accountDevice = await accountKey(actors.device);
  const suite: Fleet = {
    roles,
    devices,
    devicesDomain,
    chainId,
    actors,
    fleet,
    otherFleet,
    p256Device,
    accountDevice,
  };
  for (const key of [p256Device, accountDevice]) await enrollDevice(suite, { key, owner: fleet, by: actors.owner });
  return suite;
}

/** Enrols a device for the owner, who sends. */
export async function enrollDevice(
  suite: Pick<Fleet, "devices" | "devicesDomain">,
  options: { key: Key; owner: string; by: HardhatEthersSigner },
): Promise<void> {
  const enrollment = {
    device: options.key.id,
    scheme: options.key.scheme,
    owner: options.owner,
    manifest: 0,
    metadataHash: ethers.ZeroHash,
    deadline: (await now()) + DAY,
  };
  const proof = await options.key.prove(enrollmentMessage(suite.devicesDomain, enrollment));
  await suite.devices.connect(options.by).enroll(enrollment, proof, "0x");
}
