import { emptyTask, task } from "hardhat/config";
import { ArgumentType } from "hardhat/types/arguments";
import type { TaskDefinition } from "hardhat/types/tasks";

const file = { type: ArgumentType.FILE_WITHOUT_DEFAULT, defaultValue: undefined } as const;
const text = { type: ArgumentType.STRING_WITHOUT_DEFAULT, defaultValue: undefined } as const;

const permissions = { name: "permissions" as const, description: "What for, as in ReadLive,ReadHistory", ...text };
const expiry = {
  name: "expiry" as const,
  description: "When it ends: 2027-01-31, 2027-01-31T18:00Z, 30d, forever",
  ...text,
};
const notBefore = {
  name: "notBefore" as const,
  description: "When it begins, written likewise; at once unless given",
  ...text,
};
const purposes = {
  name: "purposes" as const,
  description: "Terms of the W3C Data Privacy Vocabulary, as in ServiceProvision,CustomerCare, or numbers 24 to 31",
  ...text,
};
const termsHash = {
  name: "termsHash" as const,
  description: "Hash of the agreement, 32 bytes as hex; none unless given",
  ...text,
};
const json = { name: "json" as const, description: "Print all as JSON, with the numbers of the chain as text" };

/** `npx hardhat access …`: who may see or do what with a device, and why. */
export const accessTasks: TaskDefinition[] = [
  emptyTask("access", "Share devices with others, and see who may do what with them").build(),
  reading("who", "List everyone who may see or do something with a device, or will, why and until when")
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addOption({
      name: "at",
      description: "Ask about a moment: a time as in 2027-01-31T18:00Z, or 30d from now",
      ...text,
    })
    .addOption({ name: "toBlock", description: "Ask about the state after a block; the latest unless given", ...text })
    .addFlag(json)
    .setAction(() => import("./access-who.js"))
    .build(),
  reading(
    "explain",
    "Say whether an account may do something with a device, and why. Ends with 0 if it may, else with 1",
  )
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addPositionalArgument({ name: "account", description: "The account that would do it" })
    .addOption({ ...permissions, description: "What it would do, all of it, as in ReadLive,Command" })
    .addOption({
      ...purposes,
      name: "purpose" as const,
      description: "What for: a term of DPV, or a number from 24 to 31",
    })
    .addFlag(json)
    .setAction(() => import("./access-explain.js"))
    .build(),
  sending("request", "Ask the owner of a device for a grant, in public")
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addOption({ ...permissions, description: "What is asked for, as in ReadLive,ReadHistory" })
    .addOption(purposes)
    .addOption(notBefore)
    .addOption(expiry)
    .addOption(termsHash)
    .addFlag(json)
    .setAction(() => import("./access-request.js"))
    .build(),
  sending("approve", "Grant what an account asked for last, or less. Asks for agreement before anything is sent")
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addPositionalArgument({ name: "subject", description: "The account that asked" })
    .addOption({ ...permissions, description: "What is granted; all that was asked for unless given" })
    .addOption({ ...purposes, description: "What for; all that was asked for unless given" })
    .addOption({ ...notBefore, description: "When it begins; as it was asked for unless given" })
    .addOption({ ...expiry, description: "When it ends; as it was asked for unless given" })
    .addFlag({ name: "yes", description: "Agree without being asked" })
    .addFlag(json)
    .setAction(() => import("./access-approve.js"))
    .build(),
  sending("grant", "Let an account see or do something with a device; its former grant ends")
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addPositionalArgument({ name: "subject", description: "The account that it is granted to" })
    .addOption({ ...permissions, description: "What is granted, as in ReadLive,ReadHistory" })
    .addOption(purposes)
    .addOption(notBefore)
    .addOption(expiry)
    .addOption(termsHash)
    .addFlag(json)
    .setAction(() => import("./access-grant.js"))
    .build(),
  sending("revoke", "End the grant of an account on a device, and whatever was signed for it and not yet sent")
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addPositionalArgument({ name: "subject", description: "The account whose grant ends" })
    .addFlag(json)
    .setAction(() => import("./access-revoke.js"))
    .build(),
  reading("history", "Tell the whole sharing history of a device or an account")
    .addPositionalArgument({ name: "id", description: "The device's id, or the account" })
    .addOption({ name: "csv", description: "Write it into this file, for people and spreadsheets", ...file })
    .addOption({ name: "json", description: "Write it into this file, for programs", ...file })
    .addOption({ name: "toBlock", description: "Last block that is told of; the latest unless given", ...text })
    .setAction(() => import("./access-history.js"))
    .build(),
  reading("receipt", "Print the consent receipt of a grant: JSON-LD in the shape of ISO/IEC TS 27560")
    .addPositionalArgument({ name: "device", description: "The device's id" })
    .addPositionalArgument({ name: "subject", description: "The account that it is or was granted to" })
    .addFlag({ name: "all", description: "Those of former owners and of consents that ended too, as a list" })
    .addOption({ name: "out", description: "Write it into this file instead", ...file })
    .setAction(() => import("./access-receipt.js"))
    .build(),
];

function reading(name: string, description: string) {
  return task(["access", name], description)
    .addOption({ name: "rpc", description: "URL of a node; that of --network unless given", ...text })
    .addOption({ name: "deployment", description: "deployments/<chain id>.json unless given", ...file });
}

function sending(name: string, description: string) {
  return reading(name, description).addOption({
    name: "from",
    description: "The account that sends; the network's first unless given",
    ...text,
  });
}
