import { network } from "hardhat";

import { TouchstoneError } from "../client/index.js";
import { deploySuite } from "./support/deploy-suite.js";

const connection = await network.create();
try {
  const { chainId, contracts, path } = await deploySuite(connection);
  console.log(`Touchstone on chain ${chainId}:`);
  for (const [name, address] of Object.entries(contracts)) console.log(`  ${name.padEnd(16)} ${address}`);
  console.log(path === undefined ? "This chain ends with this process." : `Addresses are in ${path}.`);
} catch (error) {
  if (!(error instanceof TouchstoneError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await connection.close();
}
