import { AbiCoder, dataSlice, isHexString } from "ethers";

import { parseContractError, type ContractErrorArgs, type ContractErrorName } from "./abi.js";
import { TouchstoneError, type ErrorCode } from "./errors.js";
import { revertMessages } from "./revert-messages.js";

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
    /** What else the message speaks of. */
    details?: Record<string, unknown>;
    cause?: unknown;
  }) {
    const { errorName, args, data, message, cause } = options;
    super("CONTRACT_REVERTED", message, { details: { ...options.details, errorName, args, data }, cause });
    this.errorName = errorName;
    this.args = args;
    this.data = data;
  }
}

/** Whether `error` is a contract's refusal for this reason; its `args` are then those of the reason. */
export function isContractError<N extends ContractErrorName>(
  error: unknown,
  name: N,
): error is ContractRevertError & { errorName: N; args: ContractErrorArgs<N> } {
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
      const describe = revertMessages[errorName] as (args: Record<string, unknown>) => string;
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
  [/nonce too (low|high)|already known|known transaction|replacement transaction|nonce has already/i, "NONCE_CONFLICT"],
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
