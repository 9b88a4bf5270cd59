import { keccak256, toUtf8Bytes, type ContractTransaction } from "ethers";

import { requireAddress, requireHex } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { writeNewFile } from "./text-files.js";

/** A file that the Transaction Builder of Safe imports: calls that the Safe's owners look at, sign and send together. */
export interface SafeTransactionFile {
  version: "1.0";
  /** Decimal. */
  chainId: string;
  /** Unix milliseconds. */
  createdAt: number;
  meta: {
    name: string;
    description: string;
    txBuilderVersion: string;
    createdFromSafeAddress: string;
    createdFromOwnerAddress: string;
    /** By which the Transaction Builder tells whether the file was changed since. */
    checksum: string;
  };
  transactions: {
    to: string;
    /** Wei, decimal. */
    value: string;
    /** 0x hex. */
    data: string;
    contractMethod: null;
    contractInputsValues: null;
  }[];
}

/** The version of the Transaction Builder whose files these are like. */
const BUILDER_VERSION = "1.18.0";

/**
 * What a Safe's owners import to make it send these transactions, all or none.
 *
 * @param options.safe The Safe; files for another one are pointed out when they are imported.
 * @param options.name Shown to the owners, as the description.
 * @param options.transactions As `contract.verb.populateTransaction` gives them.
 * @param options.createdAt Unix milliseconds; now unless told.
 * @throws TouchstoneError INVALID_ARGUMENT for no transaction, or one that says not where to.
 */
export function safeTransactions(options: {
  touchstone: Pick<Touchstone, "chainId">;
  safe: string;
  name: string;
  description?: string;
  transactions: readonly Pick<ContractTransaction, "to" | "data" | "value">[];
  createdAt?: number;
}): SafeTransactionFile {
  const { touchstone, name, description = "", createdAt = Date.now() } = options;
  if (options.transactions.length === 0) {
    throw new TouchstoneError("INVALID_ARGUMENT", "transactions: there is none to send: give at least one.");
  }
  const file = {
    version: "1.0" as const,
    chainId: touchstone.chainId.toString(),
    createdAt,
    meta: {
      name,
      description,
      txBuilderVersion: BUILDER_VERSION,
      createdFromSafeAddress: requireAddress("safe", options.safe),
      createdFromOwnerAddress: "",
    },
    transactions: options.transactions.map(({ to, data, value }) => ({
      to: requireAddress("to", to),
      value: (value ?? 0n).toString(),
      data: requireHex("data", data),
      contractMethod: null,
      contractInputsValues: null,
    })),
  };
  return { ...file, meta: { ...file.meta, checksum: checksumOf(file) } };
}

/**
 * Writes such a file.
 *
 * @throws TouchstoneError FILE_EXISTS, FILE_UNWRITABLE, CANCELLED, INVALID_ARGUMENT.
 */
export async function writeSafeTransactions(options: {
  path: string;
  file: SafeTransactionFile;
  signal?: AbortSignal;
}): Promise<void> {
  const { path, file, signal } = options;
  await writeNewFile({ path, content: [JSON.stringify(file, undefined, 2), "\n"], signal });
}

/** The checksum of the Transaction Builder: of all but itself and the name, which people may change. */
export function checksumOf(file: { meta: object }): string {
  const meta = { ...file.meta, checksum: undefined, name: null };
  return keccak256(toUtf8Bytes(canonical({ ...file, meta })));
}

/** How the Transaction Builder writes a value before it hashes it: keys in order and before the values, each with a comma. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const keys = JSON.stringify(fields.map(([key]) => key));
  return `{${keys}${fields.map(([, field]) => `${canonical(field)},`).join("")}}`;
}
