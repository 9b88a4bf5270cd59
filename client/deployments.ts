import { readFile } from "node:fs/promises";

import { getAddress } from "ethers";
import { z } from "zod";

import { contractNames, type ContractName } from "./abi.js";
import { TouchstoneError } from "./errors.js";
import { fileError } from "./files.js";

/** Where each contract is. */
export type Addresses = Readonly<Record<ContractName, string>>;

/** Where the contracts of one deployment are, as its file says it. */
export interface Deployment {
  chainId: bigint;
  /** Number of a block before the first transaction of the contracts; 0 if the file does not say. */
  block: number;
  contracts: Addresses;
}

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, "is no address: 20 bytes as 0x hex");

const deploymentFile = z.object({
  chainId: z.int("is no chain id: a whole number").positive("is no chain id: a whole number"),
  block: z.int("is no block number").nonnegative("is no block number").default(0),
  contracts: z.object({
    RoleRegistry: address,
    DeviceRegistry: address,
    DataAccess: address,
    DataAnchor: address,
    FirmwareRegistry: address,
  }),
});

/** The path of a chain's file in a folder of deployments: `deployments/31337.json`. */
export function deploymentPath(options: { folder: string; chainId: bigint }): string {
  return `${options.folder}/${options.chainId}.json`;
}

/**
 * Reads the file of a deployment.
 *
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, DEPLOYMENT_NOT_JSON,
 *         DEPLOYMENT_INVALID, ADDRESS_CHECKSUM_WRONG.
 */
export async function readDeployment(path: string): Promise<Deployment> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fileError(path, error);
  }
  if (text.trim() === "") {
    throw new TouchstoneError("FILE_EMPTY", `${path} is empty: deploy again, or restore it.`, { details: { path } });
  }
  return parseDeployment(text, path);
}

function parseDeployment(text: string, path: string): Deployment {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TouchstoneError(
      "DEPLOYMENT_NOT_JSON",
      `${path} is not JSON (${String(cause)}): deploy again, or restore it.`,
      {
        details: { path },
        cause,
      },
    );
  }
  const parsed = deploymentFile.safeParse(json);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "all of it"}: ${issue.message}`);
    throw new TouchstoneError(
      "DEPLOYMENT_INVALID",
      `${path} is not the file of a deployment (${issues.join("; ")}): deploy again, or restore it.`,
      { details: { path, issues }, cause: parsed.error },
    );
  }
  const { chainId, block, contracts } = parsed.data;
  return { chainId: BigInt(chainId), block, contracts: requireChecksums(contracts, path) };
}

/**
 * The same addresses, checksummed.
 *
 * @param source Where they come from, for people.
 * @throws TouchstoneError ADDRESS_CHECKSUM_WRONG if one was mistyped.
 */
export function requireChecksums(addresses: Addresses, source: string): Addresses {
  const checked: Partial<Record<ContractName, string>> = {};
  for (const contract of contractNames) {
    const value = addresses[contract];
    try {
      checked[contract] = getAddress(value);
    } catch (cause) {
      throw new TouchstoneError(
        "ADDRESS_CHECKSUM_WRONG",
        `${source}: ${value}, the address of ${contract}, is mistyped, as its checksum is wrong: copy it again from where ` +
          "the contracts were deployed.",
        { details: { source, contract, address: value }, cause },
      );
    }
  }
  return checked as Addresses;
}
