import { requireAddress, requireUint, ZERO_HASH } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { didOf } from "./did.js";
import { checkedEnrollment, proveEnrollment, schemeOf, type Enrollment, type ProvenEnrollment } from "./enrollments.js";
import { deviceStatuses, nameOf, numberOf, type DeviceStatus } from "./enumerations.js";
import { Scheme, type Prover } from "./keys.js";
import { askProof } from "./proofs.js";
import { presentKeyOf } from "./public-keys.js";
import { ask } from "./reverts.js";
import { deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { keyRotationMessage } from "./typed-data.js";

export type { Enrollment } from "./enrollments.js";

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
    deadline: await deadlineIn(touchstone, validFor),
  });
}

/**
 * Enrols a device. The same enrolment again does nothing, so a relayer may repeat it.
 *
 * @param options.byDevice The device's key, or its proof over the enrolment.
 * @param options.byOwner The account of the owner's governor, or its proof; left out if the sender is the governor or
 *        a member with Enroll.
 */
export async function enroll(options: SendOptions & ProvenEnrollment): Promise<Sent> {
  const { touchstone } = options;
  const enrollment = checkedEnrollment(options.enrollment);
  const { deviceProof, ownerSignature } = await proveEnrollment(touchstone, { ...options, enrollment });
  return send(options, () =>
    touchstone.deviceRegistry.enroll.populateTransaction(enrollment, deviceProof, ownerSignature),
  );
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

// ------------------------------------------------------------------ keys

/** The message by which a new key takes over; the new key signs it, and the old one if it can. */
export interface KeyRotation {
  device: string;
  /** Id of the key that speaks for the device now. */
  oldKey: string;
  /** Id of the key that shall. */
  newKey: string;
  newScheme: Scheme;
  /** The device's epoch, with which the message dies. */
  epoch: bigint;
  /** Unix seconds. */
  deadline: bigint;
}

/**
 * Makes the message by which a new key takes over, for the new key to sign and, if it is not lost, for the old one.
 *
 * @param options.newKey The new key, or its id and scheme.
 * @param options.validFor Seconds until which it can be sent; one day unless told.
 */
export async function newKeyRotation(
  options: { touchstone: Touchstone; device: string; newKey: { id: string; scheme: Scheme } } & { validFor?: bigint },
): Promise<KeyRotation> {
  const { touchstone, newKey, validFor = 86_400n } = options;
  const { id: device, keyId: oldKey, epoch } = await get(options);
  const deadline = await deadlineIn(touchstone, validFor);
  return checkedRotation({ device, oldKey, newKey: newKey.id, newScheme: newKey.scheme, epoch, deadline });
}

/**
 * Lets another key speak for a device. From then on nothing the old key signs is accepted. By the owner's governor or a
 * member with RotateKey.
 *
 * @param options.byNewKey The new key, or its proof over the rotation.
 * @param options.byOldKey The old key, or its proof; left out if it is lost or stolen, and the device is then no longer genuine.
 * @param options.publicKey The old public key, 64 bytes qx ‖ qy, or "0x" for an account; read from the chain unless told, or
 *        known from `byOldKey`.
 */
export async function rotateKey(
  options: SendOptions & { rotation: KeyRotation; byNewKey: Prover; byOldKey?: Prover; publicKey?: string },
): Promise<Sent> {
  const { touchstone, byNewKey, byOldKey } = options;
  const rotation = checkedRotation(options.rotation);
  const message = keyRotationMessage(touchstone.domains.DeviceRegistry, rotation);
  const oldKeyProof =
    byOldKey === undefined
      ? { publicKey: await presentKeyOf({ ...options, device: rotation.device }), signature: "0x" }
      : await askProof("byOldKey", byOldKey, message);
  const newKeyProof = await askProof("byNewKey", byNewKey, message);
  return send(options, () =>
    touchstone.deviceRegistry.rotateKey.populateTransaction(rotation, newKeyProof, oldKeyProof),
  );
}

function checkedRotation(rotation: KeyRotation): KeyRotation {
  return {
    device: requireAddress("device", rotation.device),
    oldKey: requireAddress("oldKey", rotation.oldKey),
    newKey: requireAddress("newKey", rotation.newKey),
    newScheme: schemeOf(numberOf(Object.values(Scheme), rotation.newScheme)),
    epoch: requireUint("epoch", rotation.epoch, 24),
    deadline: requireUint("deadline", rotation.deadline, 40),
  };
}

async function deviceAndKey(options: DeviceKeyOptions): Promise<{ device: string; publicKey: string }> {
  return { device: requireAddress("device", options.device), publicKey: await presentKeyOf(options) };
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
 * The public key that speaks for a device now.
 *
 * @returns 64 bytes qx ‖ qy, or "0x" if the key is an account, or the device was never enrolled.
 * @throws TouchstoneError NOT_FOUND if the node has no events of that time.
 */
export async function publicKeyOf(options: { touchstone: Touchstone; device: string }): Promise<string> {
  return presentKeyOf({ touchstone: options.touchstone, device: options.device });
}
