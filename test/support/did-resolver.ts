import { Resolver, type DIDResolutionResult } from "did-resolver";
import { getResolver } from "ethr-did-resolver";

import { ethers, networkHelpers } from "./chain.js";
import type { Fleet } from "./fleet.js";

/** The DID of an identity on a chain. */
export const didOf = (chainId: bigint, identity: string): string => `did:ethr:0x${chainId.toString(16)}:${identity}`;

/**
 * Resolves an identity's DID with the unmodified npm `ethr-did-resolver`, which reads nothing but our events, as of the
 * latest block: else the resolver asks the wall clock what has expired, which knows nothing of the chain's time.
 */
export async function resolveDid(
  { devices, chainId }: Pick<Fleet, "devices" | "chainId">,
  identity: string,
): Promise<DIDResolutionResult> {
  const resolver = new Resolver(
    getResolver({
      networks: [
        // The resolver brings an ethers of its own, whose types are others than ours.
        { chainId, registry: await devices.getAddress(), provider: ethers.provider as never },
      ],
    }),
  );
  return resolver.resolve(`${didOf(chainId, identity)}?versionId=${await networkHelpers.time.latestBlock()}`);
}
