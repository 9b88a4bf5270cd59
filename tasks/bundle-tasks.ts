import { emptyTask, task } from "hardhat/config";
import { ArgumentType } from "hardhat/types/arguments";
import type { TaskDefinition } from "hardhat/types/tasks";

const file = { type: ArgumentType.FILE_WITHOUT_DEFAULT, defaultValue: undefined } as const;
const text = { type: ArgumentType.STRING_WITHOUT_DEFAULT, defaultValue: undefined } as const;

/** `npx hardhat bundle …`: what proves readings to those who were not there. */
export const bundleTasks: TaskDefinition[] = [
  emptyTask("bundle", "Prove readings to anyone, and check what others prove").build(),
  task(["bundle", "verify"], "Say what a bundle proves; asks a node only with --network")
    .addPositionalArgument({ name: "file", description: "The bundle" })
    .addOption({ name: "blockHash", description: "Hash of the block that the proofs of state must be of", ...text })
    .addOption({ name: "dataAnchor", description: "Address of the contract that the log must be of", ...text })
    .addOption({ name: "chainId", description: "The chain that the bundle must be of", ...text })
    .addOption({ name: "deployment", description: "With --network: deployments/<chain id>.json unless told", ...file })
    .setAction(() => import("./bundle-verify.js"))
    .build(),
];
