import { ZeroAddress } from "ethers";

import { requireAddress, requireHex, requireName, requireUint } from "./arguments.js";
import { verifyClaimPackage, type ClaimPackage, type SignedVoucher } from "./claim-packages.js";
import type { Touchstone } from "./connect.js";
import * as devices from "./devices.js";
import { proveEnrollment } from "./enrollments.js";
import { TouchstoneError } from "./errors.js";
import { readEvents } from "./events.js";
import { classIdOf } from "./hardware-classes.js";
import type { Key, Prover } from "./keys.js";
import type { ManifestHeader } from "./manifest-files.js";
import type { ManifestTerms } from "./manifest-leaves.js";
import { askProof } from "./proofs.js";
import { ask } from "./reverts.js";
import { chainTime, deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { makerVoucherMessage } from "./typed-data.js";

/** Why a manifest is revoked, by the numbers of RFC 5280. */
export const revocationReasons = {
  Unspecified: 0,
  KeyCompromise: 1,
  CACompromise: 2,
  AffiliationChanged: 3,
  Superseded: 4,
  CessationOfOperation: 5,
  PrivilegeWithdrawn: 9,
  AACompromise: 10,
} as const;
/** Why a manifest is revoked. */
export type RevocationReason = keyof typeof revocationReasons;

/** A manifest that its maker published. */
export interface PublishedManifest extends ManifestHeader {
  /** From 1. */
  number: bigint;
  /** Where more about it is to be found, as the maker says; may be empty. */
  uri: string;
  /** The account that published it. */
  by: string;
  /** Why it was revoked; undefined if it was not. */
  revoked: RevocationReason | undefined;
}

/** The message by which a maker lets a device of its manifest be enrolled for an owner. */
export interface MakerVoucher {
  manifest: bigint;
  /** The device's id. */
  device: string;
  /** An account or a fleet handle. */
  owner: string;
  /** Unix seconds. */
  deadline: bigint;
}

// ------------------------------------------------------------------ the maker

/**
 * Publishes a manifest. By the vendor's governor or a member with PublishManifest.
 *
 * @param options.header What the manifest promises: as buildManifest made it, or verifyManifest read it.
 * @param options.uri Where more about it is to be found; nowhere unless told.
 * @returns Its number too, which every claim package needs.
 */
export async function publish(
  options: SendOptions & { header: ManifestHeader; uri?: string },
): Promise<Sent & { manifest: bigint }> {
  const { header, uri = "" } = options;
  const { vendor, root, count, voucherRequired } = checkedTerms(header.terms);
  const hardwareClass = requireName("hardwareClass", header.hardwareClass);
  const sent = await send(options, () =>
    options.touchstone.deviceRegistry.publishManifest.populateTransaction(
      vendor,
      hardwareClass,
      root,
      count,
      voucherRequired,
      uri,
    ),
  );
  const published = sent.events.find((event) => event.name === "ManifestPublished");
  if (published === undefined) {
    throw new TouchstoneError(
      "RPC_FAILED",
      `The node's receipt of ${sent.receipt.hash} has no event: ask another node.`,
    );
  }
  return { ...sent, manifest: published.args.manifest };
}

/**
 * Ends enrolments from a manifest for ever; its devices are no longer genuine, but stay in service. By the vendor's governor.
 *
 * @param options.manifest Its number.
 * @param options.terms What it promises; read from the chain unless told.
 */
export async function revoke(
  options: SendOptions & { manifest: bigint; reason: RevocationReason; terms?: ManifestTerms },
): Promise<Sent> {
  const { touchstone } = options;
  const manifest = requireUint("manifest", options.manifest, 32);
  const reason = requireReason(options.reason);
  const terms = checkedTerms(options.terms ?? (await get(options)).terms);
  return send(options, () => touchstone.deviceRegistry.revokeManifest.populateTransaction(manifest, terms, reason));
}

/**
 * Makes the voucher for a device and its buyer, for the maker to sign.
 *
 * @param options.claim The device's claim package.
 * @param options.owner The buyer: an account or a fleet handle.
 * @param options.validFor Seconds until which the device can be enrolled with it; 30 days unless told.
 * @throws TouchstoneError as checkClaim.
 */
export async function newMakerVoucher(options: {
  touchstone: Touchstone;
  claim: ClaimPackage;
  owner: string;
  validFor?: bigint;
}): Promise<MakerVoucher> {
  const { touchstone, claim, validFor = 30n * 86_400n } = options;
  const owner = requireAddress("owner", options.owner);
  const manifest = await checkClaim(options);
  const deadline = await deadlineIn(touchstone, validFor);
  return { manifest, device: claim.device, owner, deadline };
}

/**
 * Has the maker sign a voucher; what comes back belongs into the device's claim package, as `voucher`.
 *
 * @param options.by The account of the vendor's governor, or of a member with PublishManifest.
 * @throws TouchstoneError SIGNING_FAILED, INVALID_ARGUMENT.
 */
export async function signMakerVoucher(options: {
  touchstone: Touchstone;
  voucher: MakerVoucher;
  by: Key;
}): Promise<SignedVoucher> {
  const { touchstone, voucher, by } = options;
  const message = makerVoucherMessage(touchstone.domains.DeviceRegistry, voucher);
  const { signature } = await askProof("by", by, message);
  return { owner: voucher.owner, deadline: voucher.deadline, by: by.id, signature };
}

// ------------------------------------------------------------------ the buyer

/**
 * Checks a claim package by itself and against the chain.
 *
 * @returns The manifest's number; if the package does not say it, the events of its maker do.
 * @throws TouchstoneError CLAIM_PACKAGE_INVALID, WRONG_CHAIN, WRONG_REGISTRY, NOT_FOUND (no such manifest),
 *         MANIFEST_MISMATCH, MANIFEST_REVOKED.
 */
export async function checkClaim(options: { touchstone: Touchstone; claim: ClaimPackage }): Promise<bigint> {
  const { touchstone, claim } = options;
  verifyClaimPackage(claim);
  requirePlace(touchstone, claim);
  const number = claim.manifest ?? (await find(options));
  const revoked = await revocationOf(touchstone, number, claim);
  if (revoked !== undefined) {
    throw new TouchstoneError(
      "MANIFEST_REVOKED",
      `The maker ${claim.terms.vendor} revoked the manifest ${number} of ${claim.device} (${revoked}): no device can be ` +
        "enrolled from it any more. Ask the maker.",
      { details: { manifest: number, device: claim.device, reason: revoked } },
    );
  }
  return number;
}

/**
 * Makes the message by which the device of a claim package is enrolled, for its key and its owner to sign.
 *
 * @param options.owner An account or a fleet handle.
 * @param options.metadataHash 32 bytes; none unless told.
 * @param options.validFor Seconds until which it can be sent, at most 30 days; one day unless told.
 * @throws TouchstoneError as checkClaim.
 */
export async function newEnrollment(options: {
  touchstone: Touchstone;
  claim: ClaimPackage;
  owner: string;
  metadataHash?: string;
  validFor?: bigint;
}): Promise<devices.Enrollment> {
  const { claim, ...rest } = options;
  const manifest = await checkClaim(options);
  const { device: id, scheme } = claim;
  return { ...(await devices.newEnrollment({ ...rest, device: { id, scheme } })), manifest };
}

/**
 * Enrols a device from its maker's manifest, after checking its claim package against the chain.
 *
 * @param options.enrollment As newEnrollment made it.
 * @param options.byDevice The device's key, or its proof over the enrolment.
 * @param options.byOwner The account of the owner's governor, or its proof; left out if the sender is the governor or
 *        a member with Enroll.
 * @throws TouchstoneError as checkClaim; VOUCHER_MISSING, VOUCHER_INVALID, INVALID_ARGUMENT (the enrolment is of another
 *         device or manifest), and as `send`. Nothing was signed or sent then.
 */
export async function enroll(
  options: SendOptions & {
    claim: ClaimPackage;
    enrollment: devices.Enrollment;
    byDevice: Prover;
    byOwner?: Prover;
  },
): Promise<Sent> {
  const { touchstone, claim, enrollment } = options;
  const manifest = await checkClaim(options);
  requireSameDevice(enrollment, { manifest, device: claim.device, scheme: claim.scheme });
  const voucher = await requireVoucher(touchstone, claim, requireAddress("owner", enrollment.owner));
  const { deviceProof, ownerSignature } = await proveEnrollment(touchstone, options);
  const { terms, index, serialHash } = claim;
  const manifestProof = { terms, index, serialHash, path: [...claim.path], ...voucher };
  return send(options, () =>
    touchstone.deviceRegistry.enrollFromManifest.populateTransaction(
      enrollment,
      deviceProof,
      ownerSignature,
      manifestProof,
    ),
  );
}

// ------------------------------------------------------------------ reading

/**
 * A manifest as its maker published it: from the event, checked against what the registry keeps.
 *
 * @throws TouchstoneError NOT_FOUND if there is none, or the node has no events of that time; MANIFEST_MISMATCH if the
 *         node's event is not what was published; as readEvents.
 */
export async function get(options: {
  touchstone: Touchstone;
  manifest: bigint;
  signal?: AbortSignal;
}): Promise<PublishedManifest> {
  const { touchstone, signal } = options;
  const number = requireUint("manifest", options.manifest, 32);
  for await (const event of readEvents({ touchstone, manifests: [number], ...(signal && { signal }) })) {
    if (event.name !== "ManifestPublished") continue;
    const { vendor, hardwareClass, root, count, voucherRequired, uri, by } = event.args;
    const header = { terms: { vendor, root, count, voucherRequired }, hardwareClass };
    return { ...header, number, uri, by, revoked: await revocationOf(touchstone, number, header) };
  }
  throw new TouchstoneError(
    "NOT_FOUND",
    `The node has no event of a manifest ${number}: correct the number, or connect to a node with all events.`,
    { details: { manifest: number } },
  );
}

/** Whether a maker stands for the device: it is of a manifest that is not revoked, and its key goes back to the factory's. */
export async function isGenuine(options: { touchstone: Touchstone; device: string }): Promise<boolean> {
  const device = requireAddress("device", options.device);
  return ask(() => options.touchstone.deviceRegistry.isGenuine(device));
}

/** The number under which the manifest of a claim package was published; the latest one, if it was more than once. */
async function find({ touchstone, claim }: { touchstone: Touchstone; claim: ClaimPackage }): Promise<bigint> {
  const { terms, hardwareClass } = claim;
  const wanted = JSON.stringify([terms.root.toLowerCase(), String(terms.count), terms.voucherRequired, hardwareClass]);
  let number: bigint | undefined;
  for await (const event of readEvents({ touchstone, makers: [terms.vendor] })) {
    if (event.name !== "ManifestPublished") continue;
    const { root, count, voucherRequired } = event.args;
    const given = JSON.stringify([root, String(count), voucherRequired, event.args.hardwareClass]);
    if (given === wanted) number = event.args.manifest;
  }
  if (number !== undefined) return number;
  throw new TouchstoneError(
    "NOT_FOUND",
    `The maker ${terms.vendor} has published no manifest with the root ${terms.root} and the terms of the package: ask the ` +
      "maker to publish it, or connect to a node with all events.",
    { details: { ...terms, hardwareClass } },
  );
}

// ------------------------------------------------------------------ checks

function requirePlace(touchstone: Touchstone, claim: ClaimPackage): void {
  const { chainId, addresses } = touchstone;
  if (claim.chainId !== chainId) {
    throw new TouchstoneError(
      "WRONG_CHAIN",
      `The claim package of ${claim.device} is for chain ${claim.chainId}, but this is chain ${chainId}: connect to the other.`,
      { details: { expected: claim.chainId, chainId } },
    );
  }
  if (requireAddress("registry", claim.registry) !== addresses.DeviceRegistry) {
    throw new TouchstoneError(
      "WRONG_REGISTRY",
      `The claim package of ${claim.device} is for the registry at ${claim.registry}, and not for that at ` +
        `${addresses.DeviceRegistry}: connect to the deployment that its maker uses.`,
      { details: { expected: claim.registry, registry: addresses.DeviceRegistry } },
    );
  }
}

/**
 * Why the manifest was revoked; undefined if it was not.
 *
 * @throws TouchstoneError NOT_FOUND; MANIFEST_MISMATCH if this is not what was published.
 */
async function revocationOf(
  touchstone: Touchstone,
  number: bigint,
  { terms, hardwareClass }: ManifestHeader,
): Promise<RevocationReason | undefined> {
  const { deviceRegistry } = touchstone;
  const [state, isPublished] = await ask(() =>
    Promise.all([deviceRegistry.manifestOf(number), deviceRegistry.hasTerms(number, checkedTerms(terms))]),
  );
  const details = { manifest: number, ...terms, hardwareClass };
  if (BigInt(state.classId) === 0n) {
    throw new TouchstoneError("NOT_FOUND", `There is no manifest ${number}: correct its number, or ask the maker.`, {
      details,
    });
  }
  const classId = classIdOf({ vendor: terms.vendor, hardwareClass });
  if (!isPublished || state.classId !== classId) {
    throw new TouchstoneError(
      "MANIFEST_MISMATCH",
      `The manifest ${number} was not published by ${terms.vendor} with the root ${terms.root}, ${terms.count} devices and ` +
        `the class ${hardwareClass}: correct its number, or ask the maker.`,
      { details },
    );
  }
  return state.isRevoked ? reasonOf(state.reason) : undefined;
}

function requireSameDevice(
  enrollment: devices.Enrollment,
  expected: Pick<devices.Enrollment, "manifest" | "device" | "scheme">,
): void {
  for (const field of ["device", "scheme", "manifest"] as const) {
    if (enrollment[field] === expected[field]) continue;
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `enrollment.${field}: ${enrollment[field]} is not that of the claim package, ${expected[field]}: make the enrolment ` +
        "with manifests.newEnrollment.",
      { details: { field, given: enrollment[field], expected: expected[field] } },
    );
  }
}

/** What the contract takes of the package's voucher; nothing if the manifest asks for none. */
async function requireVoucher(
  touchstone: Touchstone,
  claim: ClaimPackage,
  owner: string,
): Promise<{ voucherBy: string; voucherDeadline: bigint; voucherSignature: string }> {
  const { device, terms, voucher } = claim;
  if (!terms.voucherRequired) return { voucherBy: ZeroAddress, voucherDeadline: 0n, voucherSignature: "0x" };
  if (voucher === undefined) {
    throw new TouchstoneError(
      "VOUCHER_MISSING",
      `The maker ${terms.vendor} asks for its voucher with each enrolment, and the claim package of ${device} has none: ask ` +
        `the maker for one that names the owner ${owner}.`,
      { details: { device, owner, vendor: terms.vendor } },
    );
  }
  const refuse = (reason: string): TouchstoneError =>
    new TouchstoneError("VOUCHER_INVALID", `The maker's voucher for ${device} ${reason}: ask the maker for another.`, {
      details: { device, buyer: owner, ...voucher },
    });
  if (voucher.owner !== owner) throw refuse(`names the owner ${voucher.owner}, and not ${owner}`);
  const now = await chainTime(touchstone);
  if (voucher.deadline < now) {
    throw refuse(`ended at ${new Date(Number(voucher.deadline) * 1000).toISOString()}`);
  }
  return { voucherBy: voucher.by, voucherDeadline: voucher.deadline, voucherSignature: voucher.signature };
}

function checkedTerms({ vendor, root, count, voucherRequired }: ManifestTerms): ManifestTerms {
  return {
    vendor: requireAddress("vendor", vendor),
    root: requireHex("root", root, 32),
    count: requireUint("count", count, 32),
    voucherRequired,
  };
}

function requireReason(reason: RevocationReason): number {
  // Callers without types reach this too.
  const number = (revocationReasons as Readonly<Record<string, number | undefined>>)[reason];
  if (number !== undefined) return number;
  const known = Object.keys(revocationReasons).join(", ");
  throw new TouchstoneError("INVALID_ARGUMENT", `reason: "${reason}" is unknown: give one of ${known}.`, {
    details: { reason },
  });
}

/** The name of a reason; a contract that is newer than this client may have more. */
function reasonOf(number: bigint): RevocationReason {
  const names = Object.keys(revocationReasons) as RevocationReason[];
  return names.find((name) => BigInt(revocationReasons[name]) === number) ?? "Unspecified";
}
