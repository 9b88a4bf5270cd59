import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import type { network } from "hardhat";

import {
  ask,
  askAs,
  contractNames,
  deploymentPath,
  TouchstoneError,
  type Addresses,
  type Deployment,
} from "../../client/index.js";
import Touchstone from "../../ignition/modules/Touchstone.js";

/** A chain that Hardhat is connected to. */
export type Connection = Awaited<ReturnType<typeof network.create>>;

/** Folder with one file for each chain, from which the client takes the addresses unless told. */
const DEPLOYMENTS = "deployments";
const NO_ACCOUNT = "The network has no account that could deploy: set the variable with its private key, see README.";
/** The id that local chains share, whichever of them is running. */
const LOCAL_CHAIN_ID = 31_337n;

/**
 * Deploys the suite, or finds it deployed, and writes down where it is. A second run changes nothing; one that was cut off
 * goes on where it stopped. Chains that live in this process leave no file.
 *
 * @param folder Where the chain's file is written.
 * @throws TouchstoneError CHAIN_UNREACHABLE, INSUFFICIENT_FUNDS, RPC_FAILED. What was deployed before stays, and is gone on from.
 * @returns The deployment and, unless the chain lives in this process, the path of its file.
 */
export async function deploySuite(
  connection: Connection,
  folder = DEPLOYMENTS,
): Promise<Deployment & { path: string | undefined }> {
  const { provider } = connection.ethers;
  const { chainId } = await ask(() => provider.getNetwork());
  const block = await ask(() => provider.getBlockNumber());
  const deploymentId = await deploymentIdOf(connection, chainId);
  const [deployer] = await connection.ethers.getSigners();
  if (deployer === undefined) throw new TouchstoneError("RUNNER_READ_ONLY", NO_ACCOUNT);
  const deployed = await askAs(deployer, () => connection.ignition.deploy(Touchstone, { deploymentId }));
  const contracts: Addresses = {
    RoleRegistry: await deployed.roleRegistry.getAddress(),
    DeviceRegistry: await deployed.deviceRegistry.getAddress(),
    DataAccess: await deployed.dataAccess.getAddress(),
    DataAnchor: await deployed.dataAnchor.getAddress(),
    FirmwareRegistry: await deployed.firmwareRegistry.getAddress(),
  };
  const deployment = { chainId, block, contracts };
  if (connection.networkConfig.type === "edr-simulated") return { ...deployment, path: undefined };

  const path = deploymentPath({ folder, chainId });
  const written = await readWritten(path);
  const isSame = contractNames.every((name) => written?.contracts?.[name] === contracts[name]);
  // A local chain that was started again has the same addresses, and fewer blocks than the one before.
  if (isSame && written?.block !== undefined && written.block <= block)
    return { ...deployment, block: written.block, path };
  await writeWhole(path, `${JSON.stringify({ chainId: Number(chainId), block, contracts }, null, 2)}\n`);
  return { ...deployment, path };
}

/** A local chain that is started again has the same id and nothing on it: what it calls itself tells it from the one before. */
async function deploymentIdOf({ provider }: Connection, chainId: bigint): Promise<string> {
  if (chainId !== LOCAL_CHAIN_ID) return `chain-${chainId}`;
  const { instanceId } = (await provider.request({ method: "hardhat_metadata" })) as { instanceId: string };
  return `chain-${chainId}-${instanceId.slice(2, 10)}`;
}

interface Written {
  block?: number;
  contracts?: Partial<Addresses>;
}

async function readWritten(path: string): Promise<Written | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Written;
  } catch {
    // Missing or broken: it is written anew, from what the chain has.
    return undefined;
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  await writeFile(part, text);
  await rename(part, path);
}
