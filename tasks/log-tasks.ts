import { emptyTask, task } from "hardhat/config";
import { ArgumentType } from "hardhat/types/arguments";
import type { TaskDefinition } from "hardhat/types/tasks";

const file = { type: ArgumentType.FILE_WITHOUT_DEFAULT, defaultValue: undefined } as const;
const text = { type: ArgumentType.STRING_WITHOUT_DEFAULT, defaultValue: undefined } as const;

/** `npx hardhat log …`: what a log holds, and whether it can be relied on. */
export const logTasks: TaskDefinition[] = [
  emptyTask("log", "Look at the logs in which devices and fleets anchor what they measured").build(),
  ofLog("audit", "Audit a log: replay its anchors and rebuild its root. Ends with 1 if there are errors")
    .addOption({ name: "toBlock", description: "Number of the block to audit at; the latest unless given", ...text })
    .addOption({ name: "longestSilence", description: "Allowed without an anchor, as in 90s, 15min, 6h, 1d", ...text })
    .addOption({
      name: "longestPause",
      description: "Allowed between measurements of two anchors, as in 500ms",
      ...text,
    })
    .addOption({ name: "latestAfter", description: "Allowed from a measurement to its block, as in 15min", ...text })
    .addOption({ name: "longestAhead", description: "Allowed of a clock that is ahead; 0s unless given", ...text })
    .addFlag({ name: "fresh", description: "Each anchor must name a recent block" })
    .addFlag({ name: "complete", description: "Readings that stay lost are errors" })
    .addFlag({ name: "json", description: "Print all as JSON, with the numbers of the chain as text" })
    .setAction(() => import("./log-audit.js"))
    .build(),
  ofLog("show", "Show where a log ends and its latest anchors, as the node gives them: audit a log to rely on it")
    .addOption({ name: "last", description: "How many anchors to show; 10 unless given", ...text })
    .setAction(() => import("./log-show.js"))
    .build(),
];

/** A task that says which log, and where it is. */
function ofLog(name: string, description: string) {
  return task(["log", name], description)
    .addOption({ name: "logId", description: "The log's id, 32 bytes as hex", ...text })
    .addOption({ name: "device", description: "Instead of an id: the device whose log it is", ...text })
    .addOption({ name: "fleet", description: "Instead of an id: the fleet whose log it is", ...text })
    .addOption({ name: "stream", description: "Number of the device's or fleet's stream; 0 unless given", ...text })
    .addOption({
      name: "rpc",
      description: "URL of a node, and after commas those that must agree; that of --network unless given",
      ...text,
    })
    .addOption({
      name: "deployment",
      description: "The file of the deployment; deployments/<chain id>.json unless given",
      ...file,
    });
}
