import { resolve } from "node:path";

import { isError, type ContractRunner, type Provider } from "ethers";

import {
  DataAccess__factory,
  DataAnchor__factory,
  DeviceRegistry__factory,
  FirmwareRegistry__factory,
  RoleRegistry__factory,
  type DataAccess,
  type DataAnchor,
  type DeviceRegistry,
  type FirmwareRegistry,
  type RoleRegistry,
} from "../typechain-types/index.js";
import { contractNames, type ContractName } from "./abi.js";
import { requireHex } from "./arguments.js";
import { deploymentPath, readDeployment, requireChecksums, type Addresses, type Deployment } from "./deployments.js";
import { TouchstoneError } from "./errors.js";
import { ask, toTouchstoneError } from "./reverts.js";
import { messageDomain, type MessageDomain, type SigningContract } from "./typed-data.js";

/** The versions of the contracts that this client speaks to begin with this. */
const CONTRACT_VERSION = "0.1.";

/** The contracts of one deployment, ready to be called by whoever the runner is. */
export interface Touchstone {
  readonly chainId: bigint;
  readonly addresses: Addresses;
  /** Number of a block before the first transaction of the contracts: where reading their events may begin. */
  readonly firstBlock: number;
  /** Who calls: a signer sends, a provider only reads. */
  readonly runner: ContractRunner;
  readonly provider: Provider;
  readonly roleRegistry: RoleRegistry;
  readonly deviceRegistry: DeviceRegistry;
  readonly dataAccess: DataAccess;
  readonly dataAnchor: DataAnchor;
  readonly firmwareRegistry: FirmwareRegistry;
  /** The EIP-712 domains of the contracts' messages. */
  readonly domains: Readonly<Record<SigningContract, MessageDomain>>;
  /** Whether each contract was asked what it is. */
  readonly isChecked: boolean;
  /** The same contracts, called by someone else on the same chain. */
  connect(runner: ContractRunner): Touchstone;
}

/** Who calls, and where the contracts are; the first given of the last three counts. */
export interface ConnectOptions {
  /** A signer with a provider, or a provider for reading only. */
  runner: ContractRunner;
  /** The chain that is expected; whatever the runner is connected to unless told. */
  chainId?: bigint;
  addresses?: Addresses;
  /** Path of the file that the deployment wrote. */
  deploymentFile?: string;
  /** Folder with a file for each chain, `<chainId>.json`; `deployments` unless told. */
  deploymentsFolder?: string;
  /**
   * Takes chain and deployment as they are given, and asks the chain nothing: for gateways that have to start while it is down. An
   * ingest asks before it sends anything; whoever does anything else asks with checkDeployment. Not so unless told.
   */
  unchecked?: boolean;
}

/**
 * Connects to the contracts of a deployment, after asking each what it is.
 *
 * @throws TouchstoneError
 *   - RUNNER_READ_ONLY if the runner has no provider, CHAIN_UNREACHABLE, WRONG_CHAIN;
 *   - FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, DEPLOYMENT_NOT_JSON, DEPLOYMENT_INVALID,
 *     ADDRESS_CHECKSUM_WRONG, INVALID_ARGUMENT (what should be an address is none);
 *   - CONTRACT_MISSING, CONTRACT_KIND_WRONG, CONTRACT_VERSION_WRONG, CONTRACTS_MIXED.
 */
export async function connectTouchstone(options: ConnectOptions): Promise<Touchstone> {
  const provider = requireProvider(options.runner);
  if (options.unchecked === true) {
    return touchstoneOf(await locate(options, options.chainId), options.runner, false);
  }
  const { chainId } = await ask(() => provider.getNetwork());
  requireChain({ chainId, expected: options.chainId, source: "The caller" });
  const deployment = await locate(options, chainId);
  await requireContracts(deployment.contracts, provider);
  return touchstoneOf(deployment, options.runner, true);
}

/**
 * Asks the chain and each contract what they are, if nobody did so yet.
 *
 * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED, WRONG_CHAIN, CONTRACT_MISSING, CONTRACT_KIND_WRONG,
 *         CONTRACT_VERSION_WRONG, CONTRACTS_MIXED.
 */
export async function checkDeployment(options: { touchstone: Touchstone }): Promise<void> {
  const { isChecked, chainId: expected, provider, addresses } = options.touchstone;
  if (isChecked) return;
  const { chainId } = await ask(() => provider.getNetwork());
  requireChain({ chainId, expected, source: "The deployment" });
  await requireContracts(addresses, provider);
}

function touchstoneOf(deployment: Deployment, runner: ContractRunner, isChecked: boolean): Touchstone {
  const { chainId, block, contracts } = deployment;
  const domainOf = (contract: SigningContract): MessageDomain =>
    messageDomain({ contract, chainId, address: contracts[contract] });
  return {
    chainId,
    addresses: contracts,
    firstBlock: block,
    runner,
    provider: requireProvider(runner),
    roleRegistry: RoleRegistry__factory.connect(contracts.RoleRegistry, runner),
    deviceRegistry: DeviceRegistry__factory.connect(contracts.DeviceRegistry, runner),
    dataAccess: DataAccess__factory.connect(contracts.DataAccess, runner),
    dataAnchor: DataAnchor__factory.connect(contracts.DataAnchor, runner),
    firmwareRegistry: FirmwareRegistry__factory.connect(contracts.FirmwareRegistry, runner),
    domains: {
      DeviceRegistry: domainOf("DeviceRegistry"),
      DataAccess: domainOf("DataAccess"),
      DataAnchor: domainOf("DataAnchor"),
      FirmwareRegistry: domainOf("FirmwareRegistry"),
    },
    isChecked,
    connect: (other) => touchstoneOf(deployment, other, isChecked),
  };
}

// ------------------------------------------------------------------ the chain

function requireProvider(runner: ContractRunner): Provider {
  if (runner.provider === null) {
    throw new TouchstoneError(
      "RUNNER_READ_ONLY",
      "The runner has no provider, so it can neither read nor send: connect the signer to one.",
    );
  }
  return runner.provider;
}

function requireChain(options: { chainId: bigint; expected: bigint | undefined; source: string }): void {
  const { chainId, expected, source } = options;
  if (expected === undefined || expected === chainId) return;
  throw new TouchstoneError(
    "WRONG_CHAIN",
    `${source} says chain ${expected}, but the provider is connected to chain ${chainId}: connect to the other chain, or ` +
      "name the deployment on this one.",
    { details: { expected, chainId } },
  );
}

// ------------------------------------------------------------------ the contracts

async function locate(options: ConnectOptions, chainId: bigint | undefined): Promise<Deployment> {
  const { addresses, deploymentFile, deploymentsFolder: folder = "deployments" } = options;
  if (addresses !== undefined) {
    for (const contract of contractNames) requireHex(`addresses.${contract}`, addresses[contract], 20);
    return { chainId: requireKnown(chainId), block: 0, contracts: requireChecksums(addresses, "addresses") };
  }
  const path = deploymentFile ?? deploymentPath({ folder, chainId: requireKnown(chainId) });
  const deployment = await readDeployment(path).catch((error: unknown) => {
    if (!(error instanceof TouchstoneError) || error.code !== "FILE_MISSING") throw error;
    throw new TouchstoneError(
      error.code,
      `There is no deployment${chainId === undefined ? "" : ` of the chain ${chainId}`} at ${resolve(path)}: deploy to it, start in the project's folder, or give ` +
        "deploymentFile or addresses.",
      { details: { ...error.details, path: resolve(path), chainId }, cause: error },
    );
  });
  if (chainId !== undefined) requireChain({ chainId, expected: deployment.chainId, source: path });
  return deployment;
}

function requireKnown(chainId: bigint | undefined): bigint {
  if (chainId !== undefined) return chainId;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    "chainId: it is not given, and a chain that is not asked does not tell it: give it, or deploymentFile.",
  );
}

async function requireContracts(addresses: Addresses, provider: Provider): Promise<void> {
  await Promise.all(contractNames.map((contract) => requireContract(contract, addresses, provider)));
}

async function requireContract(contract: ContractName, addresses: Addresses, provider: Provider): Promise<void> {
  const address = addresses[contract];
  const details = { contract, address };
  const { name, version, asks } = await describe(contract, address, provider);
  if (name !== domainName(contract)) {
    throw new TouchstoneError(
      "CONTRACT_KIND_WRONG",
      `At ${address} is ${name === undefined ? "a contract that is not of Touchstone" : `"${name}"`}, not "${domainName(contract)}": ` +
        "correct the addresses.",
      { details: { ...details, found: name } },
    );
  }
  if (!version?.startsWith(CONTRACT_VERSION)) {
    throw new TouchstoneError(
      "CONTRACT_VERSION_WRONG",
      `${contract} at ${address} has version ${version ?? "unknown"}, but this client speaks to ${CONTRACT_VERSION}x: use ` +
        "the client of that version.",
      { details: { ...details, version } },
    );
  }
  for (const other of contractNames) {
    const asked = asks[other];
    if (asked === undefined || asked === addresses[other]) continue;
    throw new TouchstoneError(
      "CONTRACTS_MIXED",
      `${contract} at ${address} asks the ${other} at ${asked}, not that at ${addresses[other]}: give the addresses of one ` +
        "deployment.",
      { details: { ...details, other, asked, given: addresses[other] } },
    );
  }
}

interface Description {
  name: string | undefined;
  version: string | undefined;
  /** The contracts that it asks, as far as it does. */
  asks: Partial<Record<ContractName, string | undefined>>;
}

async function describe(contract: ContractName, address: string, provider: Provider): Promise<Description> {
  // Any contract of Touchstone answers the same questions; those of DataAccess are all there are.
  const deployed = DataAccess__factory.connect(address, provider);
  try {
    const { name } = await deployed.eip712Domain();
    // Another contract need not answer the rest, and its name says enough.
    if (name !== domainName(contract)) return { name, version: undefined, asks: {} };
    const asksRoles = contract !== "RoleRegistry";
    const asksDevices = contract === "DataAccess" || contract === "DataAnchor";
    const [version, roleRegistry, deviceRegistry] = await Promise.all([
      deployed.version(),
      asksRoles ? deployed.ROLE_REGISTRY() : undefined,
      asksDevices ? deployed.DEVICE_REGISTRY() : undefined,
    ]);
    return { name, version, asks: { RoleRegistry: roleRegistry, DeviceRegistry: deviceRegistry } };
  } catch (cause) {
    // Refusing the question, or answering with something else, is the contract's doing; all else is the node's.
    const failure = toTouchstoneError(cause);
    if (failure.code !== "CONTRACT_REVERTED" && !isError(cause, "BAD_DATA")) throw failure;
    if ((await ask(() => provider.getCode(address))) === "0x") {
      throw new TouchstoneError(
        "CONTRACT_MISSING",
        `There is no contract at ${address}, where ${contract} should be: deploy to this chain, or correct the addresses.`,
        { details: { contract, address }, cause },
      );
    }
    return { name: undefined, version: undefined, asks: {} };
  }
}

function domainName(contract: ContractName): string {
  return `Touchstone ${contract}`;
}
