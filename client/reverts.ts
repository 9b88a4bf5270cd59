import { AbiCoder, dataSlice, isHexString } from "ethers";

import { parseContractError, type ContractErrorArgs, type ContractErrorName } from "./abi.js";
import {
  allPermissions,
  allRoles,
  anchorKinds,
  deviceStatuses,
  namesIn,
  quorums,
  releaseStatuses,
} from "./enumerations.js";
import { TouchstoneError, type ErrorCode } from "./errors.js";

/** A contract refused. `errorName` says why, for programs; the message says it for people, with the fix. */
export class ContractRevertError extends TouchstoneError {
  override readonly name = "ContractRevertError";
  /**
   * The error of the contract; `Error` and `Panic` for those of Solidity itself, undefined if the contract gave no
   * reason or one that Touchstone does not define.
   */
  readonly errorName: ContractErrorName | "Error" | "Panic" | undefined;
  /** The arguments of the error, by their names. */
  readonly args: Readonly<Record<string, unknown>>;
  /** What the contract returned, as 0x hex. */
  readonly data: string;

  constructor(options: {
    errorName: ContractRevertError["errorName"];
    args: Readonly<Record<string, unknown>>;
    data: string;
    message: string;
    cause?: unknown;
  }) {
    const { errorName, args, data, message, cause } = options;
    super("CONTRACT_REVERTED", message, { details: { errorName, args, data }, cause });
    this.errorName = errorName;
    this.args = args;
    this.data = data;
  }
}

/** Whether `error` is a contract's refusal for this reason. Narrows nothing but the name; read `args` by theirs. */
export function isContractError(error: unknown, name: ContractErrorName): error is ContractRevertError {
  return error instanceof ContractRevertError && error.errorName === name;
}

/**
 * What a contract said when it refused, wherever the provider put it.
 *
 * @returns undefined if `error` does not come from a contract.
 */
export function decodeRevert(error: unknown): ContractRevertError | undefined {
  if (error instanceof ContractRevertError) return error;
  const data = findRevertData(error);
  if (data === undefined) return undefined;
  return describeRevert(data, error);
}

/**
 * Any error of a provider, signer or contract as one of Touchstone: a contract's refusal, or a code for what else
 * went wrong. An error of Touchstone is returned as it is.
 */
export function toTouchstoneError(error: unknown): TouchstoneError {
  if (error instanceof TouchstoneError) return error;
  const revert = decodeRevert(error);
  if (revert !== undefined) return revert;
  const code = codeOf(error);
  return new TouchstoneError(code, `${advice[code]} The answer was: ${textOf(error)}`, { cause: error });
}

/**
 * Asks a provider or a contract, and gives whatever goes wrong a code.
 *
 * @throws TouchstoneError as toTouchstoneError.
 */
export async function ask<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw toTouchstoneError(error);
  }
}

// ------------------------------------------------------------------ finding the reason

/** Where providers put what a node answered: ethers, JSON-RPC nodes and Hardhat each have their own place. */
const NESTED = ["data", "error", "info", "cause", "originalError"] as const;

/** The error and everything nested in it, outermost first. */
function* layers(error: unknown): Generator<Record<string, unknown>> {
  const seen = new Set<unknown>();
  const queue = [error];
  for (const layer of queue) {
    if (typeof layer !== "object" || layer === null || seen.has(layer)) continue;
    seen.add(layer);
    const fields = layer as Record<string, unknown>;
    yield fields;
    for (const key of NESTED) queue.push(fields[key]);
  }
}

function findRevertData(error: unknown): string | undefined {
  let isRevert = false;
  for (const { data, code, message } of layers(error)) {
    if (typeof data === "string" && isHexString(data) && data.length >= 10) return data;
    // JSON-RPC code 3 is "execution reverted". Some nodes say so only in words.
    isRevert ||= code === "CALL_EXCEPTION" || code === 3;
    isRevert ||= typeof message === "string" && /\breverted\b/i.test(message);
  }
  return isRevert ? "0x" : undefined;
}

function describeRevert(data: string, cause: unknown): ContractRevertError {
  const selector = dataSlice(data, 0, Math.min(4, (data.length - 2) / 2));
  if (data === "0x") {
    const message =
      "The contract reverted without a reason: is the address that of the contract, and was there enough gas?";
    return new ContractRevertError({ errorName: undefined, args: {}, data, message, cause });
  }
  try {
    if (selector === "0x08c379a0") {
      const [reason] = AbiCoder.defaultAbiCoder().decode(["string"], dataSlice(data, 4)) as unknown as [string];
      const message = `The contract reverted: ${reason}`;
      return new ContractRevertError({ errorName: "Error", args: { reason }, data, message, cause });
    }
    if (selector === "0x4e487b71") {
      const [code] = AbiCoder.defaultAbiCoder().decode(["uint256"], dataSlice(data, 4)) as unknown as [bigint];
      const kind = PANICS[Number(code)] ?? "an unknown kind";
      const message =
        `The contract panicked with code 0x${code.toString(16)} (${kind}). This is a fault of the contract: ` +
        "report it with the transaction.";
      return new ContractRevertError({ errorName: "Panic", args: { code }, data, message, cause });
    }
    const parsed = parseContractError(data);
    if (parsed !== null) {
      // OpenZeppelin has errors whose arguments have no names.
      const named = parsed.fragment.inputs.map((input, index) => [
        input.name || `${index}`,
        parsed.args[index] as unknown,
      ]);
      const args = Object.fromEntries(named) as Record<string, unknown>;
      // The name comes from the same ABIs as the table.
      const errorName = parsed.name as ContractErrorName;
      const describe = messages[errorName] as (args: Record<string, unknown>) => string;
      return new ContractRevertError({ errorName, args, data, message: describe(args), cause });
    }
  } catch {
    // Data that begins like an error but does not decode as it is an unknown reason.
  }
  const message =
    `The contract reverted with ${selector}, which no contract of Touchstone defines: the address belongs to another ` +
    "contract, or an account contract (ERC-1271) refused.";
  return new ContractRevertError({ errorName: undefined, args: {}, data, message, cause });
}

const PANICS: Record<number, string> = {
  0x01: "assertion",
  0x11: "overflow",
  0x12: "division by zero",
  0x21: "no such enumeration value",
  0x32: "index out of bounds",
  0x41: "out of memory",
  0x51: "call of an uninitialised function",
};

// ------------------------------------------------------------------ other failures

type ProviderCode = Extract<
  ErrorCode,
  | "CANCELLED"
  | "CHAIN_UNREACHABLE"
  | "INSUFFICIENT_FUNDS"
  | "INVALID_ARGUMENT"
  | "NONCE_CONFLICT"
  | "RPC_FAILED"
  | "RUNNER_READ_ONLY"
  | "TRANSACTION_REPLACED"
  | "WRONG_CHAIN"
>;

const advice: Record<ProviderCode, string> = {
  CANCELLED: "The caller or the signer's holder cancelled; nothing was sent.",
  CHAIN_UNREACHABLE: "The chain cannot be reached: check the URL, the network and that the node runs.",
  INSUFFICIENT_FUNDS: "The sender has not enough ether for the transaction: send some to it.",
  INVALID_ARGUMENT: "An argument cannot be encoded; nothing was sent.",
  NONCE_CONFLICT: "Another transaction of the sender has the same nonce: wait until it is mined and send again.",
  RPC_FAILED: "The node did not do what it was asked.",
  RUNNER_READ_ONLY: "The runner cannot send transactions: connect with a signer that has a provider.",
  TRANSACTION_REPLACED: "The sender replaced the transaction by another one: look at that, then send again if needed.",
  WRONG_CHAIN: "The signer is on another chain than the contracts: connect it to theirs.",
};

/** The codes that ethers and Node.js give; the same names may stand in any layer. */
const KNOWN_CODES: Record<string, ProviderCode> = {
  ABORT_ERR: "CANCELLED",
  ACTION_REJECTED: "CANCELLED",
  CANCELLED: "CANCELLED",
  ECONNREFUSED: "CHAIN_UNREACHABLE",
  ECONNRESET: "CHAIN_UNREACHABLE",
  EAI_AGAIN: "CHAIN_UNREACHABLE",
  ENOTFOUND: "CHAIN_UNREACHABLE",
  EHOSTUNREACH: "CHAIN_UNREACHABLE",
  ENETUNREACH: "CHAIN_UNREACHABLE",
  ETIMEDOUT: "CHAIN_UNREACHABLE",
  EPIPE: "CHAIN_UNREACHABLE",
  UND_ERR_SOCKET: "CHAIN_UNREACHABLE",
  UND_ERR_CONNECT_TIMEOUT: "CHAIN_UNREACHABLE",
  NETWORK_ERROR: "CHAIN_UNREACHABLE",
  SERVER_ERROR: "CHAIN_UNREACHABLE",
  TIMEOUT: "CHAIN_UNREACHABLE",
  INSUFFICIENT_FUNDS: "INSUFFICIENT_FUNDS",
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  BAD_DATA: "RPC_FAILED",
  NONCE_EXPIRED: "NONCE_CONFLICT",
  REPLACEMENT_UNDERPRICED: "NONCE_CONFLICT",
  TRANSACTION_REPLACED: "TRANSACTION_REPLACED",
};

/** What nodes say in words only; the first that matches counts. */
const KNOWN_WORDS: [RegExp, ProviderCode][] = [
  [/insufficient funds|enough funds/i, "INSUFFICIENT_FUNDS"],
  [/nonce too (low|high)|already known|replacement transaction|nonce has already/i, "NONCE_CONFLICT"],
  [/incompatible eip155|invalid chain ?id|wrong chain|network changed/i, "WRONG_CHAIN"],
  [/cannot connect to the network|failed to detect network|fetch failed|socket hang up/i, "CHAIN_UNREACHABLE"],
];

function codeOf(error: unknown): ProviderCode {
  const all = [...layers(error)];
  for (const { message } of all) {
    const known = KNOWN_WORDS.find(([words]) => typeof message === "string" && words.test(message));
    if (known !== undefined) return known[1];
  }
  for (const { name, code } of all) {
    if (name === "AbortError") return "CANCELLED";
    if (code === "UNSUPPORTED_OPERATION") return "RUNNER_READ_ONLY";
    const known = typeof code === "string" ? KNOWN_CODES[code] : undefined;
    if (known !== undefined) return known;
  }
  return "RPC_FAILED";
}

function textOf(error: unknown): string {
  // ethers appends the whole request to its messages; shortMessage is what a person reads.
  for (const { shortMessage, message } of layers(error)) {
    const text = typeof shortMessage === "string" ? shortMessage : message;
    if (typeof text === "string" && text !== "" && text !== "could not coalesce error") return text;
  }
  return String(error);
}

// ------------------------------------------------------------------ what the contracts' errors mean

type Messages = { readonly [N in ContractErrorName]: (args: ContractErrorArgs<N>) => string };

/** For each error of the contracts: what is wrong, with the value, and what to do about it. */
const messages: Messages = {
  // Of all contracts
  IdReserved: ({ id }) => `${id} is reserved (zero or a precompile) and can be nobody's id: give another one.`,
  CallerNotGovernor: ({ fleet, caller }) =>
    `Only the governor of the fleet ${fleet} may do this, and ${caller} is not: send from the governor's account.`,
  CallerLacksPermission: ({ fleet, caller, permission }) =>
    `${caller} lacks ${permissionList(permission)} in the fleet ${fleet}: send from its governor's account or a member's ` +
    "with that permission, or have a role given to the caller.",
  DeadlinePassed: ({ deadline }) =>
    `The message was valid until ${time(deadline)} and no longer: have it signed again with a later deadline.`,
  KeyProofInvalid: ({ keyId, digest }) =>
    `The proof does not show that the key ${keyId} signed ${digest}: sign exactly this message, for this chain and ` +
    "contract, with that key; P-256 signatures need a low s and the key's public key.",
  SignatureInvalid: ({ signer, digest }) =>
    `The signature does not show that ${signer} signed ${digest}: sign exactly this message, for this chain and ` +
    "contract, with that account.",

  // RoleRegistry
  RolesUnknown: ({ roles }) => `The mask ${mask(roles)} has bits above 15, which stand for no role: use roles 0 to 15.`,
  WindowInvalid: ({ notBefore, expiry }) =>
    `The window from ${time(notBefore)} to ${time(expiry)} is empty or already over: end it later than it begins, and ` +
    "later than now.",
  AdminReserved: ({ fleet, account }) =>
    `Only the governor of the fleet ${fleet} gives or takes Admin, and this would for ${account}: send from the governor's ` +
    "account.",
  ExpiryBeyondCaller: ({ expiry, callerExpiry }) =>
    `An Admin cannot give roles until ${time(expiry)}, because its own end at ${time(callerExpiry)}: end them by then, or send ` +
    "from the governor's account.",
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
    `The device ${device} is ${name(deviceStatuses, status)}, and this cannot be done with a device in that status.`,
  PublicKeyMismatch: ({ keyId, publicKey }) =>
    `${publicKey === "0x" ? "No public key was given, but" : `The public key ${publicKey} is not that of`} the device's key ` +
    `${keyId}: give the 64 bytes qx ‖ qy of its present P-256 key, or nothing if the key is an account.`,
  DeviceChangedInBlock: ({ device, blockNumber }) =>
    `The DID document of ${device} changed in block ${blockNumber} already: send again in the next block.`,
  DeadlineTooFar: ({ deadline, latest }) =>
    `The deadline ${time(deadline)} is too far ahead: ${time(latest)} is the latest that is accepted now.`,
  ManifestUnknown: ({ manifest }) => `There is no manifest ${manifest}: give 0 for a single device.`,
  EpochExhausted: ({ device, epoch }) =>
    `The epoch ${epoch} of ${device} is so near its end that only transfers may raise it: revoke the grants one by one.`,

  // DataAccess
  DeviceNotEnrolled: ({ device }) => `The device ${device} was never enrolled: enrol it first, or correct the id.`,
  DeviceNotActive: ({ device }) =>
    `The device ${device} is not in service (suspended, retired or never enrolled): resume it, if it is suspended.`,
  PermissionsNotGrantable: ({ permissions }) =>
    `The mask ${mask(permissions)} cannot be granted: give at least one of the Read permissions, Command, Configure and Audit, ` +
    "and nothing else.",
  PurposesMissing: () => "A grant needs at least one purpose, from 0 to 31: name one.",
  PublicNotReadable: ({ publicRead }) =>
    `The mask ${mask(publicRead)} cannot be made public: only the four Read permissions can.`,
  CeilingInvalid: ({ ceiling }) =>
    `The ceiling ${mask(ceiling)} has bits that are no grantable permissions: use only the Read permissions, Command, ` +
    "Configure and Audit.",
  GrantMissing: ({ device, subject }) => `${subject} has no grant on ${device}: there is nothing to give up.`,
  EpochStale: (args) =>
    `The message was made in epoch ${args.given} of ${"device" in args ? args.device : args.productId}, which is now in ` +
    `epoch ${args.current}: have it made and signed again.`,
  SeqStale: ({ device, current, given }) =>
    `The message for ${device} carries sequence number ${given}, but ${current} is due: it was used, or overtaken by ` +
    "another one. Have it made and signed again.",

  // DataAnchor
  LogNeedsDevice: ({ logId }) =>
    `The log ${logId} belongs to a device: only what the device's key signed can be appended, with its proof.`,
  LogNeedsMember: ({ logId }) =>
    `The log ${logId} belongs to a fleet: its governor or a member with Anchor appends to it, without a device's proof.`,
  AnchorMalformed: () => "A number of the anchor is wider than its type: encode the call with the contract's ABI.",
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
  SafeCastOverflowedUintDowncast: ({ bits, value }) => `${value} has more than ${bits} bits: give a smaller value.`,
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
