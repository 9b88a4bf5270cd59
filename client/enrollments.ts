import { requireAddress, requireHex, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { nameOf, numberOf } from "./enumerations.js";
import { Scheme, type KeyProof, type Prover } from "./keys.js";
import { askProof } from "./proofs.js";
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

/** An enrolment with what proves it. */
export interface ProvenEnrollment {
  enrollment: Enrollment;
  /** The device's key, or its proof over the enrolment. */
  byDevice: Prover;
  /** The account of the owner's governor, or its proof; left out if the sender is the governor or a member with Enroll. */
  byOwner?: Prover;
}

/**
 * Has device and owner prove an enrolment.
 *
 * @param suffix Behind the names of the keys, in messages.
 * @returns What the contract takes: no owner signature if the sender speaks for the owner.
 * @throws TouchstoneError as askProof.
 */
export async function proveEnrollment(
  touchstone: Touchstone,
  { enrollment, byDevice, byOwner }: ProvenEnrollment,
  suffix = "",
): Promise<{ deviceProof: KeyProof; ownerSignature: string }> {
  const message = enrollmentMessage(touchstone.domains.DeviceRegistry, enrollment);
  const deviceProof = await askProof(`byDevice${suffix}`, byDevice, message);
  const ownerSignature =
    byOwner === undefined ? "0x" : (await askProof(`byOwner${suffix}`, byOwner, message)).signature;
  return { deviceProof, ownerSignature };
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
