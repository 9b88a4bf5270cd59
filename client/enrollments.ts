import { requireAddress, requireHex, requireUint } from "./arguments.js";
import { nameOf, numberOf } from "./enumerations.js";
import { Scheme } from "./keys.js";

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

/** @throws TouchstoneError INVALID_ARGUMENT for what is no enrolment. */
export function checkedEnrollment(enrollment: Enrollment): Enrollment {
  return {
    device: requireAddress("device", enrollment.device),
    scheme: schemeOf(numberOf(Object.values(Scheme), enrollment.scheme)),
    owner: requireAddress("owner", enrollment.owner),
    manifest: requireUint("manifest", enrollment.manifest, 32),
    metadataHash: requireHex("metadataHash", enrollment.metadataHash, 32),
    deadline: requireUint("deadline", enrollment.deadline, 40),
  };
}

/** The scheme with this number. */
export function schemeOf(number: bigint): Scheme {
  return nameOf<Scheme>(Object.values(Scheme), number);
}
