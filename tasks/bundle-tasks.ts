import { emptyTask, task } from "hardhat/config";
import { ArgumentType } from "hardhat/types/arguments";
import type { TaskDefinition } from "hardhat/types/tasks";

const file = { type: ArgumentType.FILE_WITHOUT_DEFAULT, defaultValue: undefined } as const;
const text = { type: ArgumentType.STRING_WITHOUT_DEFAULT, defaultValue: undefined } as const;

/** `npx hardhat bundle …`: what proves readings to those who were not there. */
export const bundleTasks: TaskDefinition[] = [
  emptyTask("bundle", "Prove readings to anyone, and check what others prove").build(),
  task(["bundle", "verify"], "Say what a bundle proves. Asks nobody, unless a node is named")
    .addPositionalArgument({ name: "file", description: "The bundle" })
    .addOption({ name: "blockHash", description: "Hash of the block that the proofs of state must be of", ...text })
    .addOption({
      name: "dataAnchor",
      description: "Address of the contract that the log must be of; --block-hash proves nothing without it",
      ...text,
    })
    .addOption({ name: "chainId", description: "The chain that the bundle must be of", ...text })
    .addOption({ name: "rpc", description: "URL of a node to ask too; that of --network, if given", ...text })
    .addOption({ name: "deployment", description: "With a node: deployments/<chain id>.json unless given", ...file })
    .setAction(() => import("./bundle-verify.js"))
    .build(),
  task(["bundle", "create"], "Make what proves readings of a spool, while no ingest works with it")
    .addOption({ name: "spool", description: "The spool that the readings were taken into", ...file })
    .addOption({ name: "logId", description: "The log's id, 32 bytes as hex", ...text })
    .addOption({ name: "device", description: "Instead of an id: the device whose log it is", ...text })
    .addOption({ name: "fleet", description: "Instead of an id: the fleet whose log it is", ...text })
    .addOption({ name: "stream", description: "Number of the device's or fleet's stream; 0 unless given", ...text })
    .addOption({ name: "firstSeq", description: "Sequence number of the first reading", ...text })
    .addOption({ name: "count", description: "Number of readings", ...text })
    .addOption({ name: "out", description: "Where to write the bundle", ...file })
    .addOption({
      name: "tree",
      description: "What the log is hashed with: Keccak256, unless given, or Sha256",
      ...text,
    })
    .addFlag({ name: "state", description: "Add what proves it to who has no node, but the hash of a block" })
    .addOption({ name: "rpc", description: "URL of a node; that of --network unless given", ...text })
    .addOption({ name: "deployment", description: "deployments/<chain id>.json unless given", ...file })
    .setAction(() => import("./bundle-create.js"))
    .build(),
];
