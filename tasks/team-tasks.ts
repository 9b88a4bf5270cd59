import { emptyTask, task } from "hardhat/config";
import { ArgumentType } from "hardhat/types/arguments";
import type { TaskDefinition } from "hardhat/types/tasks";

const file = { type: ArgumentType.FILE_WITHOUT_DEFAULT, defaultValue: undefined } as const;
const text = { type: ArgumentType.STRING_WITHOUT_DEFAULT, defaultValue: undefined } as const;

const rpc = { name: "rpc", description: "URL of a node; that of --network unless given", ...text } as const;
const deployment = {
  name: "deployment",
  description: "The file of the deployment; deployments/<chain id>.json unless given",
  ...file,
} as const;
const from = {
  name: "from",
  description: "The account that sends; the network's first unless given",
  ...text,
} as const;
const fleet = { name: "fleet", description: "The fleet handle, or the account whose fleet it is", ...text } as const;
const names = { name: "names", description: "The file of a team, for the names of people and roles", ...file } as const;
const keepRoles = { name: "keepRoles", description: "The members keep their roles" } as const;

/** `npx hardhat team …` and `npx hardhat fleet …`: who works for a fleet, and who governs it. */
export const teamTasks: TaskDefinition[] = [
  emptyTask("team", "Say in a file who holds what in a fleet, make it so, and show it").build(),
  task(["team", "plan"], "Say what it takes to make a fleet's team that of a file. Sends nothing")
    .addPositionalArgument({ name: "file", description: "The file of the team, as in client/team-schema.json" })
    .addOption({ ...fleet, description: "The fleet; that of the file unless given" })
    .addOption({ name: "from", description: "Who would send; the governor unless given", ...text })
    .addFlag({ name: "prune", description: "Also take away what the file does not have" })
    .addOption({ name: "safe", description: "Where to write what the owners of a Safe that governs import", ...file })
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./team-plan.js"))
    .build(),
  task(["team", "apply"], "Make a fleet's team that of a file. Run it again to go on after an interruption")
    .addPositionalArgument({ name: "file", description: "The file of the team, as in client/team-schema.json" })
    .addOption({ ...fleet, description: "The fleet; that of the file unless given" })
    .addOption(from)
    .addFlag({ name: "prune", description: "Also take away what the file does not have" })
    .addFlag({ name: "yes", description: "Send without asking" })
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./team-apply.js"))
    .build(),
  task(["team", "show"], "Show who holds what in a fleet")
    .addOption(fleet)
    .addOption({ name: "toBlock", description: "As it was after this block; the latest unless given", ...text })
    .addOption(names)
    .addOption({ name: "html", description: "Where to write it as a page, too", ...file })
    .addFlag({ name: "json", description: "Print all as JSON, with the numbers of the chain as text" })
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./team-show.js"))
    .build(),
  task(["team", "export"], "Write a fleet's team as it is into a file")
    .addOption(fleet)
    .addOption({ name: "out", description: "Where to write the file", ...file })
    .addOption(names)
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./team-export.js"))
    .build(),
  emptyTask("fleet", "Create fleets, and hand them over").build(),
  task(["fleet", "create"], "Create a fleet handle, governed by who sends")
    .addOption({ name: "salt", description: "32 bytes as hex; random unless given", ...text })
    .addOption(from)
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./fleet-create.js"))
    .build(),
  task(["fleet", "handover"], "Offer a fleet to an account or a Safe, which must accept")
    .addOption({ ...fleet, description: "The fleet handle" })
    .addOption({ name: "to", description: "Who should govern it", ...text })
    .addOption({ name: "contract", description: "safe: it must be a Safe; other: take any contract", ...text })
    .addFlag(keepRoles)
    .addOption({ name: "safe", description: "Where to write what the Safe's owners import to accept", ...file })
    .addOption(from)
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./fleet-handover.js"))
    .build(),
  task(["fleet", "accept"], "Take over a fleet that was offered to who sends")
    .addOption({ ...fleet, description: "The fleet handle" })
    .addFlag(keepRoles)
    .addOption(from)
    .addOption(rpc)
    .addOption(deployment)
    .setAction(() => import("./fleet-accept.js"))
    .build(),
];
