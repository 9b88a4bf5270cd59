import type { ContractErrorArgs, ContractErrorName } from "./abi.js";
import {
  allPermissions,
  allRoles,
  anchorKinds,
  deviceStatuses,
  namesIn,
  quorums,
  releaseStatuses,
} from "./enumerations.js";

type RevertMessages = { readonly [N in ContractErrorName]: (args: ContractErrorArgs<N>) => string };

/** What to do about a device in the wrong status, by status. */
const statusAdvice: readonly string[] = [
  "enrol it first, or correct the id.",
  "it is in service; suspend it first, if it is to be resumed.",
  "resume it first. A suspended device changes hands by an offer or a named voucher, and rotates its key without the old one's " +
    "consent.",
  "a retired device is out of service for ever.",
];

/** For each error of the contracts: what is wrong, with the value, and what to do about it. */
export const revertMessages: RevertMessages = {
  // Of all contracts
  IdReserved: ({ id }) => `${id} is reserved (zero or a precompile) and can be nobody's id: give another one.`,
  CallerNotGovernor: ({ fleet, caller }) =>
    `Only the governor of the fleet ${fleet} may do this, and ${caller} is not: send from the governor's account, or give its ` +
    "signature where the call takes one.",
  CallerLacksPermission: ({ fleet, caller, permission }) =>
    `${caller} lacks ${permissionList(permission)} in the fleet ${fleet}: send from its governor's account or a member's ` +
    "with that permission, have a role given to the caller, or give the owner's signature where the call takes one.",
  DeadlinePassed: ({ deadline }) =>
    `The message was valid until ${time(deadline)} and no longer: have it signed again with a later deadline.`,
  KeyProofInvalid: ({ keyId, digest }) =>
    `The proof does not show that the key ${keyId} signed ${digest}: sign exactly this message, for this chain and ` +
    "contract, with that key; P-256 signatures need a low s and the key's public key.",
  SignatureInvalid: ({ signer, digest }) =>
    `The signature does not show that ${signer} signed ${digest}: sign exactly this message, for this chain and ` +
    "contract, with that account.",

  CallBroken: ({ index }) =>
    `The call ${index} of the batch failed without a reason: encode it with the contract's ABI, or send fewer calls at once, ` +
    "as the gas did not suffice.",

  // RoleRegistry
  RolesUnknown: ({ roles }) => `The mask ${mask(roles)} has bits above 15, which stand for no role: use roles 0 to 15.`,
  WindowInvalid: ({ notBefore, expiry }) =>
    `The window from ${time(notBefore)} to ${time(expiry)} is empty or already over: end it later than it begins, and ` +
    "later than now.",
  AdminReserved: ({ fleet, account }) =>
    `Only the governor of the fleet ${fleet} gives or takes Admin, and this would for ${account}: send from the governor's ` +
    "account.",
  ExpiryBeyondCaller: ({ expiry, callerExpiry }) =>
    `A member cannot give roles or grants until ${time(expiry)}, because its own roles end at ${time(callerExpiry)}: end them by ` +
    "then, or send from the governor's account.",
  RolesExclusive: ({ fleet, roleA, roleB }) =>
    `In the fleet ${fleet} nobody may be given both ${role(roleA)} and ${role(roleB)}: leave one out.`,
  RolesNotHeld: ({ fleet, account }) =>
    `${account} holds no roles in the fleet ${fleet}: there is nothing to take away.`,
  RoleNotDefinable: ({ role: number }) =>
    `${role(number)} is no role of the fleet's own: define one of the roles 8 to 15.`,
  PermissionsNotAllowed: ({ permissions }) =>
    `A role of the fleet's own cannot hold the mask ${mask(permissions)}: leave out ManageRoles and bits above 15.`,
  ExclusionInvalid: ({ roleA, roleB }) =>
    `The roles ${roleA} and ${roleB} cannot exclude each other: give two different ones from 0 to 15.`,
  ExclusionExists: ({ fleet, roleA, roleB }) =>
    `In the fleet ${fleet} the roles ${role(roleA)} and ${role(roleB)} exclude each other already: nothing is to be done.`,
  FleetExists: ({ fleet }) => `The fleet ${fleet} exists already: use it, or give another salt.`,
  FleetNotHandle: ({ fleet }) =>
    `${fleet} is no fleet handle: an account governs itself and cannot be handed over. Create a fleet for that.`,
  CallerNotPendingGovernor: ({ fleet, caller }) =>
    `The fleet ${fleet} is not offered to ${caller}: have its governor propose this account first.`,

  // DeviceRegistry
  DeviceAlreadyEnrolled: ({ device, owner }) =>
    `The device ${device} is enrolled already and belongs to ${owner}: only that owner can give it away.`,
  DeviceStatusInvalid: ({ device, status }) =>
    `The device ${device} is ${name(deviceStatuses, status)}, and this cannot be done with a device in that status: ` +
    (statusAdvice[Number(status)] ?? "correct the id."),
  PublicKeyMismatch: ({ keyId, publicKey }) =>
    publicKey === "0x"
      ? `No public key was given, and the device's key ${keyId} is a P-256 key: give its 64 bytes qx ‖ qy.`
      : `The public key ${publicKey} is not that of the device's key ${keyId}: give the 64 bytes qx ‖ qy of its present P-256 ` +
        "key, or nothing if the key is an account.",
  DeviceChangedInBlock: ({ device, blockNumber }) =>
    `The DID document of ${device} changed in block ${blockNumber} already: send again in the next block.`,
  DeadlineTooFar: ({ deadline, latest }) =>
    `The deadline ${time(deadline)} is too far ahead: ${time(latest)} is the latest that is accepted now.`,
  EpochExhausted: ({ device, epoch }) =>
    `The epoch ${epoch} of ${device} is so near its end that only transfers may raise it: revoke the grants one by one.`,
  OwnedByAnother: ({ identity, owner }) =>
    `The identity ${identity} belongs to ${owner} since before it is a device: enrol it for that owner, who can then ` +
    "transfer it.",
  ManifestUnknown: ({ manifest }) => `There is no manifest ${manifest}: correct its number.`,
  ManifestProofMissing: ({ manifest }) =>
    `The enrolment names the manifest ${manifest} and comes without proof: enrol it with its claim package, or have the ` +
    "device sign an enrolment with manifest 0.",
  ManifestEmpty: ({ root, count }) =>
    `A manifest of ${count} devices under the root ${root} is empty: publish the root and count of at least one device.`,
  ManifestsExhausted: () => "No further manifest can be numbered: deploy another registry.",
  ManifestTermsMismatch: ({ manifest }) =>
    `These are not the terms of the manifest ${manifest}: give vendor, root, count and voucherRequired as they were published.`,
  ManifestNoLongerValid: ({ manifest, reason }) =>
    `The maker revoked the manifest ${manifest}, with the reason ${reason} of RFC 5280, for good: to enrol a device of it that ` +
    "you trust nevertheless, enrol it as a single one, with manifest 0.",
  RevocationReasonInvalid: ({ reason }) =>
    `${reason} is no reason of RFC 5280 to revoke something for good: give 0 to 5, 9 or 10.`,
  DeviceNotInManifest: ({ manifest, device }) =>
    `The proof does not show that ${device}, with this scheme and serial hash, is in the manifest ${manifest}: take all of it ` +
    "from the device's claim package.",
  MakerInvalid: ({ vendor, signer }) =>
    `${signer} cannot sign vouchers for ${vendor}: have the vendor's governor sign, or a member with PublishManifest.`,
  OwnerUnchanged: ({ device, owner }) => `The device ${device} belongs to ${owner} already: name another new owner.`,
  ExpiryPassed: ({ expiry }) => `The offer would end at ${time(expiry)}, which is over: give a later time.`,
  TransferNotPending: ({ device }) =>
    `The device ${device} is not on offer, or no longer (accepted, cancelled, expired, or its owner or governor changed): have ` +
    "its owner propose the transfer again.",
  NewOwnerMismatch: ({ named, given }) =>
    `The voucher names ${named} as the new owner, and not ${given}: only the one it names can take the device.`,
  KeyStale: ({ device, current, given }) =>
    `The key ${current} speaks for the device ${device}, and not ${given}: have the rotation made and signed again.`,
  KeyUnchanged: ({ device, keyId }) => `The key ${keyId} speaks for the device ${device} already: give a new one.`,
  NotController: ({ identity, controller, account }) =>
    `${account} does not speak for the identity ${identity}: send from the account that governs ${controller}.`,
  ControllerSignatureInvalid: ({ identity, controller, digest }) =>
    `The signature does not show that the governor of ${controller}, the controller of ${identity}, signed ${digest}: sign ` +
    "with the registry's present nonce of the controller.",
  TransferNeedsConsent: ({ device }) =>
    `${device} is an enrolled device, and changes hands only with the new owner's consent: propose a transfer.`,
  KeyReserved: ({ device, name: reserved }) =>
    `${reserved} stands for the key of the enrolled device ${device}, which only the registry writes: rotate the key, or ` +
    "publish under another name.",
  ValidityTooLong: ({ validity }) => `${validity} seconds from now is no time: give a shorter validity.`,

  // DataAccess
  DeviceNotEnrolled: ({ device }) => `The device ${device} was never enrolled: enrol it first, or correct the id.`,
  DeviceNotActive: ({ device }) =>
    `The device ${device} is not in service (suspended, retired or never enrolled): resume it, if it is suspended.`,
  PermissionsNotGrantable: ({ permissions }) =>
    `The mask ${mask(permissions)} cannot be granted: give at least one of the Read permissions, Command, Configure and Audit, ` +
    "and nothing else.",
  PurposesMissing: () => "A grant needs at least one purpose, from 0 to 31: name one.",
  PermissionsBeyondCaller: ({ permissions, callerPermissions }) =>
    `A member shares no more than it may do itself: leave out ${permissionList(permissions & ~callerPermissions)}, or send from ` +
    "the governor's account.",
  OwnerGrantStands: ({ device, subject }) =>
    `${subject} holds a grant of the owner's on ${device}, which a member with Share cannot change: revoke it first, or send from ` +
    "the governor's account.",
  PublicNotReadable: ({ publicRead }) =>
    `The mask ${mask(publicRead)} cannot be made public: only the four Read permissions can.`,
  CeilingInvalid: ({ ceiling }) =>
    `The ceiling ${mask(ceiling)} has bits that are no grantable permissions: use only the Read permissions, Command, ` +
    "Configure and Audit.",
  PolicyWidened: ({ device, keyId }) =>
    `The key ${keyId} took its place in ${device} without the consent of each key before, and may only narrow the device's ` +
    "policy: leave out what the present one does not allow.",
  GrantMissing: ({ device, subject }) => `${subject} has no grant on ${device}: there is nothing to give up.`,
  EpochStale: ({ device, current, given }) =>
    `The message was made in epoch ${given} of ${device}, which is now in epoch ${current}: have it made and signed again.`,
  SeqStale: ({ device, current, given }) =>
    `The message for ${device} carries sequence number ${given}, which does not follow on the present one, ${current}: it was ` +
    "used, or overtaken by another one. Have it made and signed again.",
  SeqExhausted: ({ device, subject }) =>
    `The sequence numbers of ${subject} on ${device} are used up: grant what it needs to another account.`,

  // DataAnchor
  LogNeedsDevice: ({ logId }) =>
    `The log ${logId} belongs to a device: only what the device's key signed can be appended, with its proof.`,
  LogNeedsMember: ({ logId }) =>
    `The log ${logId} belongs to a fleet: its governor or a member with Anchor appends to it, without a device's proof.`,
  AnchorMalformed: () =>
    "A number of the anchor is wider than its type, or names a kind or tree that does not exist: encode it as the contract " +
    "says.",
  RecordsMalformed: ({ length }) =>
    `${length} bytes are no whole number of records of 87 bytes: encode the records again.`,
  AnchorsUnrelated: ({ logId, index, otherLogId, otherIndex }) =>
    `Anchor ${index} of the log ${logId} and anchor ${otherIndex} of the log ${otherLogId} do not compete for one place: give two ` +
    "messages with the same log and index.",
  AnchorsAgree: ({ logId, index }) =>
    `Both messages for anchor ${index} of the log ${logId} commit to the same batch: the device signed it again, which is no ` +
    "evidence of anything.",
  IndexMismatch: ({ logId, expected, given }) =>
    `The log ${logId} takes the anchor ${expected} next, and not ${given}: ` +
    (given < expected
      ? "this one was appended already, or another one took its place."
      : "send the anchors that are missing before it first."),
  SequenceMismatch: ({ logId, expected, given }) =>
    `The log ${logId} goes on with reading ${expected}, and not with ${given}: number the readings on, and declare lost ` +
    "ones with a gap.",
  CountInvalid: ({ count }) => `An anchor covers 1 to 2^32 readings below number 2^64, and not ${count}: split it.`,
  TimeRegressed: ({ logId, earliest, given }) =>
    `The measurements in the log ${logId} cannot go back to ${moment(given)}: the earliest time that is accepted is ` +
    `${moment(earliest)}.`,
  TimeInFuture: ({ latest, given }) =>
    `A measurement at ${moment(given)} is ahead of the chain: ${moment(latest)} is the latest that is accepted. Set the ` +
    "device's clock.",
  RootInvalid: ({ kind, root }) =>
    `The root ${root} does not fit an anchor of the kind ${name(anchorKinds, kind)}: a gap has root 0, everything else has one.`,
  KindNotAllowed: ({ logId, kind }) =>
    `The log ${logId} takes no anchor of the kind ${name(anchorKinds, kind)}: a device's log holds Data, Gap and Correction.`,
  SupersedesInvalid: ({ supersedes, size }) =>
    `The anchor cannot supersede ${supersedes} in a log of ${size}: a correction names an anchor of its log, anything else 0.`,
  CorrectionOutOfRange: ({ nextSeq, end }) =>
    `The correction reaches reading ${end}, but the log has readings below ${nextSeq} only: correct what is there.`,
  FreshBlockInvalid: ({ freshBlock, freshHash }) =>
    `Block ${freshBlock} is not mined yet or has not the hash ${freshHash}: name a block of this chain, or 0 and 0 for none.`,

  // FirmwareRegistry
  SignerEpochStale: ({ productId, current, given }) =>
    `The message was made in epoch ${given} of the signers of ${productId}, which are now in epoch ${current}: have it made ` +
    "and signed again.",
  ProductExists: ({ productId }) => `The product ${productId} exists already: publish releases for it.`,
  ProductUnknown: ({ productId }) =>
    `There is no product ${productId}: create it first, or correct vendor, hardware class and component.`,
  SignerSetInvalid: ({ signers, epoch }) =>
    `A set of ${signers} signers at epoch ${epoch} is not accepted: give 1 to 32 signers, and epoch 1 for a new product.`,
  SignersNotAscending: ({ previous, keyId }) =>
    `The signer ${keyId} stands after ${previous}: sort signers by their id, each once.`,
  SignerRolesInvalid: ({ keyId, roles }) =>
    `The signer ${keyId} has the roles ${mask(roles)}: give at least one of Root, Release and Revoke, and nothing else.`,
  ThresholdInvalid: ({ quorum, threshold, signers }) =>
    `${threshold} signatures cannot be asked of the ${signers} signers with the role ${name(quorums, quorum)}: ask for at least ` +
    "one and at most all.",
  SignerSetMismatch: ({ productId, expected, given }) =>
    `The signer set with hash ${given} is not the present one of the product ${productId} (${expected}): read it from the ` +
    "chain again.",
  ThresholdNotMet: ({ quorum, given, needed }) =>
    `The ${name(quorums, quorum)} quorum needs ${needed} signatures and has ${given}: collect the missing ones.`,
  ProofsNotAscending: ({ previous, signer }) =>
    `The signature of signer ${signer} stands after that of ${previous}: sort signatures by signer, each once.`,
  SignerUnknown: ({ signer }) => `The signer set has no signer number ${signer}: take the number from the present set.`,
  SignerNotInQuorum: ({ keyId, quorum }) =>
    `The signer ${keyId} has not the role ${name(quorums, quorum)}: leave its signature out.`,
  VersionNotNewer: ({ productId, highest, given }) =>
    `Version ${given} of the product ${productId} is not above ${highest}, the highest ever published: give a higher one.`,
  DigestUsed: ({ productId, imageDigest, version }) =>
    `The file ${imageDigest} is version ${version} of the product ${productId} already: the same bytes cannot be two versions.`,
  DigestMissing: () => "The release has no digest: give the SHA-256 of its file.",
  SizeInvalid: ({ size }) => `A file has 1 to 2^40 - 1 bytes, and not ${size}.`,
  ChannelsInvalid: ({ channels, heads }) =>
    `The release lists the channels ${mask(channels)}, so it cannot be the head of ${mask(heads)}: list these channels too.`,
  RangeInvalid: ({ min, max }) => `The range from ${min} to ${max} is empty: the lower bound is above the upper.`,
  RolloutInvalid: ({ startBps }) => `A rollout cannot start at ${startBps} / 10,000 of the fleet: give at most 10,000.`,
  DependenciesInvalid: ({ dependencies }) => `A release has at most 8 dependencies, and not ${dependencies}.`,
  ReleaseUnknown: ({ productId, version }) =>
    `The product ${productId} has no release ${version}: publish it first, or correct the version.`,
  StatusChangeInvalid: ({ productId, version, from, to }) =>
    `Release ${version} of the product ${productId} cannot go from ${name(releaseStatuses, from)} to ` +
    `${name(releaseStatuses, to)}: Live and Yanked go to each other and to Revoked, which is final.`,
  QuorumInsufficient: ({ quorum }) =>
    `The ${name(quorums, quorum)} quorum cannot do this: have the Release quorum sign.`,
  NonceStale: ({ productId, quorum, current, given }) =>
    `The message of the ${name(quorums, quorum)} quorum of the product ${productId} carries nonce ${given}, but ${current} is ` +
    "due: it was used, or overtaken by another one. Have it made and signed again.",
  ChannelUnknown: ({ channel }) => `There is no channel ${channel}: give one from 0 to 7.`,
  ChannelsNotAscending: ({ previous, channel }) =>
    `The head of channel ${channel} stands after that of ${previous}: sort heads by channel, each once.`,
  HeadInvalid: ({ productId, channel, version }) =>
    `Release ${version} of the product ${productId} cannot be the head of channel ${channel}: a head is Live and lists ` +
    "the channel.",

  // OpenZeppelin and KeyProofs
  InvalidShortString: () => "The name of the contract is stored wrongly: this is no contract of Touchstone.",
  StringTooLong: ({ str }) => `The name "${str}" is too long for an EIP-712 domain: give at most 31 bytes.`,
  AddressEmptyCode: ({ target }) => `There is no contract at ${target}: this is no contract of Touchstone.`,
  FailedCall: () => "One of the calls sent together failed without a reason: send them one by one.",
  MissingPrecompile: () =>
    "The chain cannot check P-256 signatures (no precompile at 0x100, EIP-7951): use a chain that can.",
  BlockNumberTooLarge: () => "The chain has more blocks than the contracts can count.",
  RoleRegistryMismatch: ({ other, theirs, ours }) =>
    `The contract at ${other} asks the RoleRegistry at ${theirs}, not that at ${ours}: deploy with the addresses of one deployment.`,
  P256PrecompileMissing: () =>
    "The chain cannot check P-256 signatures (no precompile at 0x100, EIP-7951): deploy to a chain that can.",
};

/** A value that the contracts may have had before this client: never a reason to fail while explaining. */
function name(names: readonly string[], number: bigint): string {
  return names[Number(number)] ?? `number ${number}`;
}

function role(number: bigint): string {
  const known = allRoles[Number(number)];
  return typeof known === "string" ? known : `role ${number}`;
}

function permissionList(set: bigint): string {
  const known = namesIn(allPermissions, set);
  return known.length === 0 ? `the permission mask ${mask(set)}` : known.join(", ");
}

function mask(set: bigint): string {
  return `0x${set.toString(16)}`;
}

/** Unix seconds for people. */
function time(seconds: bigint): string {
  return moment(seconds * 1000n);
}

/** Unix milliseconds for people. */
function moment(milliseconds: bigint): string {
  const date = new Date(Number(milliseconds));
  // JavaScript's dates end in the year 275760, the contracts' a little earlier and later.
  return Number.isNaN(date.getTime()) ? `${milliseconds} ms` : date.toISOString().replace(".000Z", "Z");
}
