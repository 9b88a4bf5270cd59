import { requireAddress, requireHex, requireUint, ZERO_HASH } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { didOf, KEY_ATTRIBUTE, publicKeyInAttribute } from "./did.js";
import { deviceStatuses, nameOf, numberOf, type DeviceStatus } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents } from "./events.js";
import { keyIdOf, Scheme, type Prover } from "./keys.js";
import { askProof } from "./proofs.js";
import { ask } from "./reverts.js";
import { chainTime, send, type SendOptions, type Sent } from "./transactions.js";
import { enrollmentMessage } from "./typed-data.js";

/** The message by which a device names its owner; the device signs it, and the owner too unless it sends. */
export interface Enrollment {
  /** Id of the device's factory key. */
  device: string;
  scheme: Scheme;
  /** An account or a fleet handle. */
  owner: string;
  /** 0 for a single device. */
  manifest: bigint;
  /** 32 bytes: hash of what the owner keeps about the device off chain. */
  metadataHash: string;
  /** Unix seconds. */
  deadline: bigint;
}

/** All that the registry knows of a device. */
export interface Device {
  id: string;
  did: string;
  /** The account or fleet handle that owns it; the last one for a retired device. */
  owner: string;
  /** Id of the key that speaks for it now. */
  keyId: string;
  scheme: Scheme;
  /** None if it was never enrolled; everything else is zero then. */
  status: DeviceStatus;
  epoch: bigint;
  manifest: bigint;
  /** Block of the latest change to its DID document. */
  changed: bigint;
  /** Whether the key is the factory key, or one that came after it with the consent of each key before. */
  isContinuous: boolean;
}

// ------------------------------------------------------------------ enrolment

/**
 * Makes the message by which a device is enrolled, for its key and its owner to sign.
 *
 * @param options.device The device's key, or its id and scheme.
 * @param options.owner An account or a fleet handle.
 * @param options.metadataHash 32 bytes; none unless told.
 * @param options.validFor Seconds until which it can be sent, at most 30 days; one day unless told.
 */
export async function newEnrollment(options: {
  touchstone: Touchstone;
  device: { id: string; scheme: Scheme };
  owner: string;
  metadataHash?: string;
  validFor?: bigint;
}): Promise<Enrollment> {
  const { touchstone, device, owner, metadataHash = ZERO_HASH, validFor = 86_400n } = options;
  return checkedEnrollment({
    device: device.id,
    scheme: device.scheme,
    owner,
    manifest: 0n,
    metadataHash,
    deadline: (await chainTime(touchstone)) + validFor,
  });
}

/**
 * Enrols a device. The same enrolment again does nothing, so a relayer may repeat it.
 *
 * @param options.byDevice The device's key, or its proof over the enrolment.
 * @param options.byOwner The account of the owner's governor, or its proof; left out if the sender is the governor or
 *        a member with Enroll.
 */
export async function enroll(
  options: SendOptions & { enrollment: Enrollment; byDevice: Prover; byOwner?: Prover },
): Promise<Sent> {
  const { touchstone, byDevice, byOwner } = options;
  const enrollment = checkedEnrollment(options.enrollment);
  const message = enrollmentMessage(touchstone.domains.DeviceRegistry, enrollment);
  const deviceProof = await askProof("byDevice", byDevice, message);
  const ownerSignature = byOwner === undefined ? "0x" : (await askProof("byOwner", byOwner, message)).signature;
  return send(options, () =>
    touchstone.deviceRegistry.enroll.populateTransaction(enrollment, deviceProof, ownerSignature),
  );
}

function checkedEnrollment(enrollment: Enrollment): Enrollment {
  return {
    device: requireAddress("device", enrollment.device),
    scheme: schemeOf(numberOf(Object.values(Scheme), enrollment.scheme)),
    owner: requireAddress("owner", enrollment.owner),
    manifest: requireUint("manifest", enrollment.manifest, 32),
    metadataHash: requireHex("metadataHash", enrollment.metadataHash, 32),
    deadline: requireUint("deadline", enrollment.deadline, 40),
  };
}

// ------------------------------------------------------------------ life

/** What the verbs of a device's life take. */
export interface DeviceOptions extends SendOptions {
  /** The device's id. */
  device: string;
}

/** What the verbs take that write the device's key into its DID document, or out of it. */
export interface DeviceKeyOptions extends DeviceOptions {
  /** The device's present public key, 64 bytes qx ‖ qy, or "0x" for an account; read from the chain unless told. */
  publicKey?: string;
}

/** Takes an active device out of service until it is resumed. By the owner's governor or a member with Suspend. */
export async function suspend(options: DeviceKeyOptions): Promise<Sent> {
  const { device, publicKey } = await deviceAndKey(options);
  return send(options, () => options.touchstone.deviceRegistry.suspend.populateTransaction(device, publicKey));
}

/** Takes a suspended device into service again. By the owner's governor or a member with Suspend. */
export async function resume(options: DeviceKeyOptions): Promise<Sent> {
  const { device, publicKey } = await deviceAndKey(options);
  return send(options, () => options.touchstone.deviceRegistry.resume.populateTransaction(device, publicKey));
}

/** Takes a device out of service for ever. By the owner's governor. */
export async function retire(options: DeviceOptions): Promise<Sent> {
  const device = requireAddress("device", options.device);
  return send(options, () => options.touchstone.deviceRegistry.retire.populateTransaction(device));
}

/** Ends all grants on the device and all that the owner signed for it. By the owner's governor. */
export async function revokeAll(options: DeviceKeyOptions): Promise<Sent> {
  const { device, publicKey } = await deviceAndKey(options);
  return send(options, () => options.touchstone.deviceRegistry.revokeAll.populateTransaction(device, publicKey));
}

async function deviceAndKey(options: DeviceKeyOptions): Promise<{ device: string; publicKey: string }> {
  const device = requireAddress("device", options.device);
  if (options.publicKey === undefined) {
    return { device, publicKey: await publicKeyOf({ touchstone: options.touchstone, device }) };
  }
  const publicKey = requireHex("publicKey", options.publicKey);
  // The contract would refuse it too, but cannot tell what is wrong with it.
  if (publicKey !== "0x") keyIdOf(publicKey);
  return { device, publicKey };
}

// ------------------------------------------------------------------ reading

/** All that the registry knows of a device; its status is None if it was never enrolled. */
export async function get(options: { touchstone: Touchstone; device: string }): Promise<Device> {
  const { touchstone } = options;
  const id = requireAddress("device", options.device);
  const device = await ask(() => touchstone.deviceRegistry.deviceOf(id));
  return {
    id,
    did: didOf({ chainId: touchstone.chainId, device: id }),
    owner: device.owner,
    keyId: device.keyId,
    scheme: schemeOf(device.scheme),
    status: nameOf(deviceStatuses, device.status),
    epoch: device.epoch,
    manifest: device.manifest,
    changed: device.changed,
    isContinuous: device.isContinuous,
  };
}

/**
 * The public key that speaks for a device now, as its DID document shows or last showed it.
 *
 * @returns 64 bytes qx ‖ qy, or "0x" if the key is an account, or the device was never enrolled.
 * @throws TouchstoneError NOT_FOUND if the node has no events of that time.
 */
export async function publicKeyOf(options: { touchstone: Touchstone; device: string }): Promise<string> {
  const { touchstone } = options;
  const device = await get(options);
  if (device.scheme === Scheme.Account) return "0x";
  // The events of a DID document are a linked list of blocks, from the latest change backwards.
  let block = Number(device.changed);
  while (block !== 0) {
    let previous = 0;
    for await (const event of readEvents({ touchstone, devices: [device.id], fromBlock: block, toBlock: block })) {
      if (!("previousChange" in event.args)) continue;
      const change = Number(event.args.previousChange);
      if (change < block) previous = Math.max(previous, change);
      if (event.name !== "DIDAttributeChanged" || event.args.name !== KEY_ATTRIBUTE) continue;
      const publicKey = publicKeyInAttribute(event.args.value);
      if (keyIdOf(publicKey) === device.keyId) return publicKey;
    }
    block = previous;
  }
  throw new TouchstoneError(
    "NOT_FOUND",
    `The node has no event with the public key of ${device.id}: give the key, or connect to a node with all events.`,
    { details: { device: device.id } },
  );
}

function schemeOf(number: bigint): Scheme {
  return nameOf<Scheme>(Object.values(Scheme), number);
}
