import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { membersAsPage, membersAsText } from "../client/member-pages.js";
import { members } from "../client/members.js";
import { readTeam } from "../client/teams.js";
import { writeNewFile } from "../client/text-files.js";
import { parseNumber, withNode, type NodePlace } from "./support/logs.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";

interface Arguments extends NodePlace {
  fleet: string | undefined;
  toBlock: string | undefined;
  names: string | undefined;
  html: string | undefined;
  json: boolean;
}

const teamShow: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const fleet = requireOption("fleet", args.fleet);
    const toBlock = parseNumber("to-block", args.toBlock);
    const team = args.names === undefined ? undefined : await readTeam({ path: args.names, signal });
    await withNode(hre, args, async (touchstone) => {
      const range = toBlock === undefined ? {} : { toBlock: Number(toBlock) };
      const found = await members({ touchstone, fleet, signal, ...range });
      if (args.html !== undefined) {
        const page = membersAsPage({ fleet: found, chainId: touchstone.chainId, ...(team && { names: team }) });
        await writeNewFile({ path: args.html, content: [page], signal });
      }
      console.log(args.json ? JSON.stringify(found, withoutBigint, 2) : membersAsText(found, team).join("\n"));
    });
  });

export default teamShow;

/** JSON has no bigint: as text none of its digits are lost. */
function withoutBigint(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
