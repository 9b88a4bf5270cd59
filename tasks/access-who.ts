import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { momentOf, wordsOf } from "../client/access-answers.js";
import { who, type AccessReport, type AccessSource } from "../client/access-reports.js";
import { FOREVER, ZERO_HASH } from "../client/arguments.js";
import { chainTime } from "../client/transactions.js";
import { jsonOf, parseTime } from "./support/access.js";
import { parseNumber, withNode, type NodePlace } from "./support/logs.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";

interface Arguments extends NodePlace {
  device: string;
  at: string | undefined;
  toBlock: string | undefined;
  json: boolean;
}

const accessWho: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const toBlock = parseNumber("to-block", args.toBlock);
    await withNode(hre, args, async (touchstone) => {
      const at = args.at === undefined ? undefined : parseTime("at", args.at, await chainTime(touchstone));
      const range = { ...(at !== undefined && { at }), ...(toBlock !== undefined && { toBlock: Number(toBlock) }) };
      const report = await who({ touchstone, device: args.device, ...range, signal });
      console.log(args.json ? jsonOf(report) : textOf(report));
    });
  });

export default accessWho;

function textOf(report: AccessReport): string {
  const { device, owner, governor, status, epoch, block, at, holders } = report;
  return [
    `device  ${device}, ${status}, epoch ${epoch}`,
    `owner   ${owner}${owner === governor ? "" : `, governed by ${governor}`}`,
    `block   ${block.number}, ${block.hash}, ${momentOf(block.timestamp)}`,
    ...(at === block.timestamp ? [] : [`at      ${momentOf(at)}`]),
    ...holders.flatMap(({ account, sources }) => [account, ...sources.map(lineOf)]),
  ].join("\n");
}

function lineOf(source: AccessSource): string {
  const { permissions, purposes, from, until, state, by, transactionHash } = source;
  const what = source.source === "Role" ? `Role ${source.roles.join(", ")}` : source.source;
  const when = { now: "", later: `from ${momentOf(from)} `, suspended: "once the device is resumed " }[state];
  const end = until === FOREVER ? "for ever" : `until ${momentOf(until)}`;
  const purpose = purposes === "any" ? "" : ` for ${wordsOf(purposes)}`;
  const terms = source.source === "Grant" && source.termsHash !== ZERO_HASH ? `, terms ${source.termsHash}` : "";
  return `  ${what.padEnd(8)}  ${wordsOf(permissions)}${purpose}, ${when}${end}; by ${by} in ${transactionHash}${terms}`;
}
