// The chain under each file of the resolver's tests. Their process loads this file by itself, without the project's loader, so it
// imports packages only.
import { getCreateAddress } from "ethers";
import { defineConfig } from "hardhat/config";
import type { HookContext, NetworkHooks } from "hardhat/types/hooks";
import type { HardhatPlugin } from "hardhat/types/plugins";

/** The last of Hardhat's accounts: the tests use the first. */
const DEPLOYER = "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199";

/** Where each chain has its RoleRegistry. */
export const ROLE_REGISTRY = getCreateAddress({ from: DEPLOYER, nonce: 0 });

/** The tests deploy one contract with no arguments: what it asks must be there before. */
const newConnection: NetworkHooks["newConnection"] = async (context, next) => {
  const connection = await next(context);
  await deployRoleRegistry(context, connection.provider);
  return connection;
};

async function deployRoleRegistry(
  { artifacts }: HookContext,
  provider: { request(call: { method: string; params: unknown[] }): Promise<unknown> },
): Promise<void> {
  const { bytecode } = await artifacts.readArtifact("RoleRegistry");
  await provider.request({ method: "eth_sendTransaction", params: [{ from: DEPLOYER, data: bytecode }] });
  const code = await provider.request({ method: "eth_getCode", params: [ROLE_REGISTRY, "latest"] });
  if (code === "0x") throw new Error(`RoleRegistry is not at ${ROLE_REGISTRY}.`);
}

/** What can mine a block. */
const MINING = new Set(["eth_sendTransaction", "eth_sendRawTransaction", "evm_mine"]);

/** The chain's time is that of the test's clock, see clock.ts. */
const onRequest: NetworkHooks["onRequest"] = async (context, connection, request, next) => {
  if (MINING.has(request.method)) {
    const time = Math.floor(Date.now() / 1000);
    await connection.provider.request({ method: "evm_setNextBlockTimestamp", params: [time] });
  }
  return next(context, connection, request);
};

const plugin: HardhatPlugin = {
  id: "resolver-suite",
  hookHandlers: {
    network: () => Promise.resolve({ default: () => Promise.resolve({ newConnection, onRequest }) }),
  },
};

export default defineConfig({
  plugins: [plugin],
  networks: {
    // Name and chain id are the ones that the tests ask for.
    hardhat: {
      type: "edr-simulated",
      chainId: 1337,
      hardfork: "osaka",
      initialDate: new Date(),
      allowBlocksWithSameTimestamp: true,
    },
  },
});
