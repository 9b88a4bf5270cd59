import type { Provider } from "ethers";

import { ask } from "./reverts.js";

/** Providers that pass a request on as it is, as those of ethers and Hardhat that speak JSON-RPC do. */
interface Passing {
  send(method: string, params: unknown[]): Promise<unknown>;
}

/**
 * Number of the latest block. `getBlockNumber` of ethers answers from memory for a quarter of a second, in which whoever has
 * just sent a transaction would not find its events: a provider that can is asked past that memory.
 *
 * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function latestBlock(provider: Provider): Promise<number> {
  return ask(async () =>
    isPassing(provider) ? Number(await provider.send("eth_blockNumber", [])) : provider.getBlockNumber(),
  );
}

function isPassing(provider: Provider): provider is Provider & Passing {
  return "send" in provider && typeof provider.send === "function";
}
