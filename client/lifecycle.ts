import { requireAddress, requireHex } from "./arguments.js";
import { carryOut, type BulkOptions, type BulkResult, type BulkWork } from "./bulk.js";
import type { Touchstone } from "./connect.js";
import type { Device } from "./devices.js";
import { checkedEnrollment, proveEnrollment, schemeOf, type ProvenEnrollment } from "./enrollments.js";
import { deviceStatuses, nameOf, type DeviceStatus } from "./enumerations.js";
import { keyIdOf, type Scheme } from "./keys.js";
import { publicKeysOf } from "./public-keys.js";

export type { ProvenEnrollment } from "./enrollments.js";
export type { BulkItem, BulkLimits, BulkOptions, BulkProgress, BulkResult } from "./bulk.js";

/** A device, with its present public key if the caller knows it: 64 bytes qx ‖ qy, or "0x" for an account. */
export interface DeviceAndKey {
  /** The device's id. */
  device: string;
  /** Read from the chain unless told. */
  publicKey?: string;
}

// ------------------------------------------------------------------ verbs

/**
 * Enrols devices. Those that are enrolled in the same way already are left out. Keys that sign now are asked when their device's
 * turn comes, so that a deadline should leave time for all.
 *
 * @throws TouchstoneError as carryOut; INVALID_ARGUMENT for what is no enrolment, or a device that is given twice.
 */
export function enrollMany(options: BulkOptions & { enrollments: readonly ProvenEnrollment[] }): Promise<BulkResult> {
  const { touchstone } = options;
  const { interface: abi } = touchstone.deviceRegistry;
  return carryOut<ProvenEnrollment>(options, {
    ...deviceWork(touchstone, "enroll", ({ enrollment }) => enrollment.device),
    items: options.enrollments.map((item) => ({ ...item, enrollment: checkedEnrollment(item.enrollment) })),
    contentOf: ({ enrollment }) => [
      enrollment.device,
      enrollment.scheme,
      enrollment.owner,
      enrollment.manifest,
      enrollment.metadataHash,
      enrollment.deadline,
    ],
    isDone({ enrollment }, answer) {
      const { status, owner, scheme, manifest } = decodeDevice(touchstone, answer);
      if (status === "None" || status === "Retired") return false;
      return owner === enrollment.owner && scheme === enrollment.scheme && manifest === enrollment.manifest;
    },
    // One that was transferred or retired since cannot be enrolled again; only blocks that the chain took back undo this.
    isUndone: (_, answer) => decodeDevice(touchstone, answer).status === "None",
    encode: (items) =>
      Promise.all(
        items.map(async (item) => {
          const { enrollment } = item;
          const { deviceProof, ownerSignature } = await proveEnrollment(touchstone, item, ` of ${enrollment.device}`);
          return abi.encodeFunctionData("enroll", [enrollment, deviceProof, ownerSignature]);
        }),
      ),
  });
}

/**
 * Takes active devices out of service until they are resumed. By their owners' governor or a member with Suspend.
 *
 * @throws TouchstoneError as carryOut; NOT_FOUND if the node cannot tell a device's public key.
 */
export function suspendMany(
  options: BulkOptions & { devices: readonly (string | DeviceAndKey)[] },
): Promise<BulkResult> {
  return carryOut(options, keyWork(options, "suspend", "Suspended"));
}

/**
 * Takes suspended devices into service again. By their owners' governor or a member with Suspend.
 *
 * @throws TouchstoneError as carryOut; NOT_FOUND if the node cannot tell a device's public key.
 */
export function resumeMany(
  options: BulkOptions & { devices: readonly (string | DeviceAndKey)[] },
): Promise<BulkResult> {
  return carryOut(options, keyWork(options, "resume", "Active"));
}

/**
 * Takes devices out of service for ever. By their owners' governor.
 *
 * @throws TouchstoneError as carryOut.
 */
export function retireMany(options: BulkOptions & { devices: readonly string[] }): Promise<BulkResult> {
  const { touchstone } = options;
  const { interface: abi } = touchstone.deviceRegistry;
  return carryOut<string>(options, {
    ...deviceWork(touchstone, "retire", (device) => device),
    items: options.devices.map((device) => requireAddress("devices", device)),
    contentOf: (device) => [device],
    isDone: (_, answer) => decodeDevice(touchstone, answer).status === "Retired",
    // It is for ever, unless the chain took its blocks back.
    isUndone: (_, answer) => ["Active", "Suspended"].includes(decodeDevice(touchstone, answer).status),
    encode: (items) => Promise.resolve(items.map((device) => abi.encodeFunctionData("retire", [device]))),
  });
}

// ------------------------------------------------------------------ what the verbs have in common

/** What any verb for devices has. */
function deviceWork<Item>(
  touchstone: Touchstone,
  verb: string,
  idOf: (item: Item) => string,
): Pick<BulkWork<Item>, "verb" | "contract" | "idOf" | "questionOf"> {
  const { deviceRegistry, addresses } = touchstone;
  return {
    verb,
    contract: addresses.DeviceRegistry,
    idOf,
    questionOf: (item) => deviceRegistry.interface.encodeFunctionData("deviceOf", [idOf(item)]),
  };
}

/** A verb that writes the device's key into its DID document, or out of it. */
function keyWork(
  options: BulkOptions & { devices: readonly (string | DeviceAndKey)[] },
  verb: "suspend" | "resume",
  outcome: DeviceStatus,
): BulkWork<DeviceAndKey> {
  const { touchstone, signal } = options;
  const { interface: abi } = touchstone.deviceRegistry;
  return {
    ...deviceWork<DeviceAndKey>(touchstone, verb, ({ device }) => device),
    items: options.devices.map(checkedDevice),
    contentOf: ({ device, publicKey = "" }) => [device, publicKey],
    isDone: (_, answer) => decodeDevice(touchstone, answer).status === outcome,
    // A device that is retired by now can be neither suspended nor resumed.
    isUndone: (_, answer) =>
      decodeDevice(touchstone, answer).status === (outcome === "Suspended" ? "Active" : "Suspended"),
    async encode(items, block) {
      const devices = items.filter(({ publicKey }) => publicKey === undefined).map(({ device }) => device);
      const found = await publicKeysOf({ touchstone, devices, block, signal });
      const keys = new Map(devices.map((device, place) => [device, found[place]]));
      return items.map(({ device, publicKey = keys.get(device) ?? "0x" }) =>
        verb === "suspend"
          ? abi.encodeFunctionData("suspend", [device, publicKey])
          : abi.encodeFunctionData("resume", [device, publicKey]),
      );
    },
  };
}

function decodeDevice(
  touchstone: Touchstone,
  answer: string,
): Pick<Device, "owner" | "status" | "manifest"> & { scheme: Scheme } {
  const [device] = touchstone.deviceRegistry.interface.decodeFunctionResult("deviceOf", answer) as unknown as [
    { owner: string; status: bigint; scheme: bigint; manifest: bigint },
  ];
  return {
    owner: device.owner,
    status: nameOf(deviceStatuses, device.status),
    scheme: schemeOf(device.scheme),
    manifest: device.manifest,
  };
}

function checkedDevice(item: string | DeviceAndKey): DeviceAndKey {
  if (typeof item === "string") return { device: requireAddress("devices", item) };
  const device = requireAddress("devices", item.device);
  if (item.publicKey === undefined) return { device };
  const publicKey = requireHex("publicKey", item.publicKey);
  // The contract would refuse it too, but cannot tell what is wrong with it.
  if (publicKey !== "0x") keyIdOf(publicKey);
  return { device, publicKey };
}
