import { createRequire } from "node:module";

import hardhatToolbox from "@nomicfoundation/hardhat-toolbox-mocha-ethers";
import { configVariable, defineConfig, overrideTask } from "hardhat/config";

import { accessTasks } from "./tasks/access-tasks.js";
import { bundleTasks } from "./tasks/bundle-tasks.js";
import { logTasks } from "./tasks/log-tasks.js";
import { manifestTasks } from "./tasks/manifest-tasks.js";
import { teamTasks } from "./tasks/team-tasks.js";

const require = createRequire(import.meta.url);

/** One compiler setting for tests, coverage, benchmarks and release: what is tested is what ships. */
const compiler = {
  version: "0.8.37",
  path: require.resolve("solc/soljson.js"),
  settings: {
    evmVersion: "osaka",
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none" as const },
  },
};

export default defineConfig({
  plugins: [hardhatToolbox],
  tasks: [
    overrideTask("build")
      .setAction(() => import("./tasks/build.js"))
      .build(),
    ...accessTasks,
    ...bundleTasks,
    ...logTasks,
    ...manifestTasks,
    ...teamTasks,
  ],
  solidity: { profiles: { default: compiler, production: compiler } },
  typechain: { outDir: "typechain-types" },
  test: {
    solidity: {
      isolate: true,
      // A handler that reverts has found something: what may revert, it catches.
      invariant: { failOnRevert: true },
    },
  },
  networks: {
    default: {
      type: "edr-simulated",
      hardfork: "osaka",
      allowBlocksWithSameTimestamp: true,
    },
    localhost: { type: "http", url: "http://127.0.0.1:8545" },
    sepolia: {
      type: "http",
      chainType: "l1",
      chainId: 11_155_111,
      url: configVariable("SEPOLIA_URL"),
      accounts: [configVariable("SEPOLIA_PRIVATE_KEY")],
    },
    baseSepolia: {
      type: "http",
      chainType: "op",
      chainId: 84_532,
      url: configVariable("BASE_SEPOLIA_URL"),
      accounts: [configVariable("BASE_SEPOLIA_PRIVATE_KEY")],
    },
  },
});
