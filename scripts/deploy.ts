import { network } from "hardhat";

import { deploySuite } from "./support/deploy-suite.js";

const connection = await network.create();
const { chainId, contracts, path } = await deploySuite(connection);
console.log(`Touchstone on chain ${chainId}:`);
for (const [name, address] of Object.entries(contracts)) console.log(`  ${name.padEnd(16)} ${address}`);
console.log(path === undefined ? "This chain ends with this process." : `Addresses are in ${path}.`);
await connection.close();
