import { JsonRpcProvider, type JsonRpcApiProviderOptions } from "ethers";
import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";

import { deviceLogId, fleetLogId } from "../../client/anchors.js";
import { connectTouchstone, type Touchstone } from "../../client/connect.js";
import { TouchstoneError } from "../../client/errors.js";
import { ask } from "../../client/reverts.js";

/** Which node to ask, as it was given on the command line. */
export interface NodePlace {
  rpc: string | undefined;
  deployment: string | undefined;
}

/** Which log, as it was given on the command line. */
export interface LogName {
  logId: string | undefined;
  device: string | undefined;
  fleet: string | undefined;
  stream: string | undefined;
}

/** Which log, and where it is. */
export type LogPlace = LogName & NodePlace;

/**
 * The id of the log that was asked for.
 *
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function logIdOf({ logId, device, fleet, stream }: LogName): string {
  const number = parseNumber("stream", stream);
  const ids = [
    ...(logId === undefined ? [] : [logId]),
    ...(device === undefined ? [] : [deviceLogId({ device, stream: number ?? 0n })]),
    ...(fleet === undefined ? [] : [fleetLogId({ fleet, stream: number ?? 0n })]),
  ];
  const [id] = ids;
  if (id !== undefined && ids.length === 1 && (logId === undefined || number === undefined)) return id;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    "Give one of --log-id, --device and --fleet, and --stream with the last two only.",
    { details: { logId, device, fleet, stream } },
  );
}

/**
 * Connects to the nodes that were named, lets the work be done, and disconnects.
 *
 * @param act The first node's contracts, and those of the witnesses.
 * @throws TouchstoneError as connectTouchstone.
 */
export async function withNodes<T>(
  hre: HardhatRuntimeEnvironment,
  { rpc, deployment }: NodePlace,
  act: (touchstone: Touchstone, witnesses: Touchstone[]) => Promise<T>,
): Promise<T> {
  const deploymentFile = deployment === undefined ? {} : { deploymentFile: deployment };
  if (rpc === undefined) {
    const connection = await hre.network.create();
    const { networkName, networkConfig } = connection;
    try {
      const touchstone = await connectTouchstone({ runner: connection.ethers.provider, ...deploymentFile }).catch(
        (error: unknown) => {
          throw networkConfig.type === "edr-simulated" ? onNewChain(error, networkName, deployment) : error;
        },
      );
      return await act(touchstone, []);
    } finally {
      await connection.close();
    }
  }
  const providers: JsonRpcProvider[] = [];
  try {
    for (const url of rpc.split(",")) providers.push(await providerAt(url.trim()));
    const connected = await Promise.all(providers.map((runner) => connectTouchstone({ runner, ...deploymentFile })));
    const [touchstone, ...witnesses] = connected as [Touchstone, ...Touchstone[]];
    return await act(touchstone, witnesses);
  } finally {
    for (const provider of providers) provider.destroy();
  }
}

/**
 * Does as withNodes does, with one node alone.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if there are more.
 */
export async function withNode<T>(
  hre: HardhatRuntimeEnvironment,
  place: NodePlace,
  act: (touchstone: Touchstone) => Promise<T>,
): Promise<T> {
  if (place.rpc?.includes(",") === true) {
    throw new TouchstoneError("INVALID_ARGUMENT", `--rpc: "${place.rpc}" names several nodes: give one.`, {
      details: { rpc: place.rpc },
    });
  }
  return withNodes(hre, place, act);
}

/** A whole number; undefined if it was not given. */
export function parseNumber(name: string, value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,30}$/.test(value)) return BigInt(value);
  throw new TouchstoneError("INVALID_ARGUMENT", `--${name}: "${value}" is no whole number: give 0 or more.`, {
    details: { [name]: value },
  });
}

/** A network that Hardhat simulates begins with the task, so that nothing was deployed to it. */
function onNewChain(error: unknown, network: string, deployment: string | undefined): unknown {
  if (!(error instanceof TouchstoneError)) return error;
  const { code, details } = error;
  // A deployment's file that was named is missing whatever the network.
  if (code !== "CONTRACT_MISSING" && (code !== "FILE_MISSING" || deployment !== undefined)) return error;
  return new TouchstoneError(
    code,
    `The network "${network}" is a new chain of this task alone, on which there are no contracts: give --network or --rpc.`,
    { details: { ...details, network }, cause: error },
  );
}

/** ethers asks for the network until it gets an answer: without one it would never end. */
async function providerAt(url: string): Promise<JsonRpcProvider> {
  const asking = newProvider(url);
  try {
    const network = await ask(() => asking._detectNetwork());
    return newProvider(url, { staticNetwork: network });
  } finally {
    asking.destroy();
  }
}

function newProvider(url: string, options: JsonRpcApiProviderOptions = {}): JsonRpcProvider {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    throw new TouchstoneError("INVALID_ARGUMENT", `--rpc: "${url}" is no URL of a node: give http://… or https://….`, {
      details: { rpc: url },
    });
  }
  // Not all nodes take batches, and an answer from memory is none of the node.
  return new JsonRpcProvider(url, undefined, { batchMaxCount: 1, cacheTimeout: -1, ...options });
}
