import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { momentOf, wordsOf } from "../client/access-answers.js";
import { requireAddress } from "../client/arguments.js";
import * as devices from "../client/devices.js";
import { TouchstoneError } from "../client/errors.js";
import { writeHistory } from "../client/sharing-history-files.js";
import { openHistory, type HistoryEntry } from "../client/sharing-history.js";
import { withNode, parseNumber, type NodePlace } from "./support/logs.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";

interface Arguments extends NodePlace {
  id: string;
  csv: string | undefined;
  json: string | undefined;
  toBlock: string | undefined;
}

const accessHistory: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const id = requireAddress("id", args.id);
    const { csv, json } = args;
    const toBlock = parseNumber("to-block", args.toBlock);
    if (csv !== undefined && json !== undefined) {
      throw new TouchstoneError("INVALID_ARGUMENT", "Give one of --csv and --json: a file is written in one format.");
    }
    await withNode(hre, args, async (touchstone) => {
      const { status } = await devices.get({ touchstone, device: id });
      const whose = status === "None" ? { subject: id } : { device: id };
      const options = { touchstone, ...whose, ...(toBlock !== undefined && { toBlock: Number(toBlock) }), signal };
      const path = csv ?? json;
      if (path !== undefined) {
        await writeHistory({ ...options, format: csv === undefined ? "json" : "csv", path });
        console.log(`${path} holds the whole history of the ${status === "None" ? "account" : "device"} ${id}.`);
        return;
      }
      const { block, entries } = await openHistory(options);
      for await (const entry of entries) console.log(lineOf(entry));
      console.log(`That is all by block ${block.number}, ${block.hash}, ${momentOf(block.timestamp)}.`);
    });
  });

export default accessHistory;

function lineOf(entry: HistoryEntry): string {
  const { kind, time, device, fleet, subject, by, owner, newOwner, permissions, purposes, publicRead, roles } = entry;
  const { expiry, notBefore, why, endedSeq, members, transactionHash } = entry;
  const parts = [
    device !== undefined && `device ${device}`,
    fleet !== undefined && `fleet ${fleet}`,
    subject !== undefined && `subject ${subject}`,
    kind === "RolesSet" && (roles?.length === 0 ? "no roles" : `roles ${roles?.join(", ") ?? ""}`),
    kind === "RoleDefined" && `role ${roles?.join() ?? ""}`,
    permissions !== undefined && wordsOf(permissions),
    purposes !== undefined && `for ${purposes.length === 32 ? "any purpose" : wordsOf(purposes)}`,
    publicRead !== undefined && `public ${wordsOf(publicRead)}`,
    notBefore !== undefined && notBefore > time && `from ${momentOf(notBefore)}`,
    expiry !== undefined && `until ${momentOf(expiry)}`,
    // A change and a revoke say so themselves.
    why !== undefined && why !== kind && why,
    kind === "Revoked" && endedSeq === undefined && "none stood",
    owner !== undefined && `owner ${owner}`,
    newOwner !== undefined && `new owner ${newOwner}`,
    members !== undefined && members.length > 0 && `its members ${members.map(({ account }) => account).join(", ")}`,
    by !== undefined && `by ${by}`,
    transactionHash !== undefined && `in ${transactionHash}`,
  ];
  return `${momentOf(time)}  ${kind.padEnd(15)}  ${parts.filter((part) => part !== false).join("; ")}`;
}
