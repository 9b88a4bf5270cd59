import { emptyTask, task } from "hardhat/config";
import { ArgumentType } from "hardhat/types/arguments";
import type { TaskDefinition } from "hardhat/types/tasks";

const file = { type: ArgumentType.FILE_WITHOUT_DEFAULT, defaultValue: undefined } as const;
const text = { type: ArgumentType.STRING_WITHOUT_DEFAULT, defaultValue: undefined } as const;

/** `npx hardhat manifest …`: what a maker does with the devices that left its factory. */
export const manifestTasks: TaskDefinition[] = [
  emptyTask("manifest", "List the devices of a factory, so that each can be enrolled by who buys it").build(),
  task(["manifest", "build"], "Build the manifest of a list of devices")
    .addOption({ name: "file", description: "CSV or JSON lines: publicKey or account, serial, scheme", ...file })
    .addOption({ name: "vendor", description: "The maker's account or fleet handle", ...text })
    .addOption({ name: "class", description: "The kind of hardware: at most 31 bytes of text, or 32 as hex", ...text })
    .addOption({ name: "out", description: "Where to write the manifest; it holds secrets", ...file })
    .addOption({ name: "saltsFrom", description: "An earlier manifest whose salts are used again", ...file })
    .addFlag({ name: "voucher", description: "Ask for the maker's voucher with each enrolment" })
    .setAction(() => import("./manifest-build.js"))
    .build(),
  task(["manifest", "package"], "Make what the buyers of devices need to enrol them")
    .addOption({ name: "manifest", description: "The manifest", ...file })
    .addOption({ name: "deployment", description: "The file of the deployment, deployments/<chain id>.json", ...file })
    .addOption({ name: "number", description: "The number that the manifest was published under", ...text })
    .addOption({ name: "device", description: "The device with this id", ...text })
    .addOption({ name: "serial", description: "The device with this serial", ...text })
    .addFlag({ name: "all", description: "All devices" })
    .addOption({
      name: "out",
      description: "Folder for a file of each device; one device is printed without it",
      ...file,
    })
    .setAction(() => import("./manifest-package.js"))
    .build(),
];
