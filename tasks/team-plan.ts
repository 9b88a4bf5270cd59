import { join, parse } from "node:path";

import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { safeTransactions, writeSafeTransactions } from "../client/safe-files.js";
import { planTeam, readTeam, teamTransactions, type Team, type TeamPlan } from "../client/teams.js";
import type { Touchstone } from "../client/connect.js";
import { TouchstoneError } from "../client/errors.js";
import { withNode, type NodePlace } from "./support/logs.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { planAsText } from "./support/teams.js";

interface Arguments extends NodePlace {
  file: string;
  fleet: string | undefined;
  from: string | undefined;
  prune: boolean;
  safe: string | undefined;
}

const teamPlan: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const team = await readTeam({ path: args.file, signal });
    await withNode(hre, args, async (touchstone) => {
      const plan = await planTeam({
        touchstone,
        team,
        prune: args.prune,
        signal,
        ...(args.fleet !== undefined && { fleet: args.fleet }),
        ...(args.from !== undefined && { by: args.from }),
      });
      console.log(planAsText(plan, team).join("\n"));
      if (plan.obstacles.length > 0) {
        throw new TouchstoneError("TEAM_IMPOSSIBLE", "The fleet cannot become this team, for the reasons above.");
      }
      if (args.safe !== undefined && plan.steps.length > 0)
        await writeForSafe({ touchstone, plan, team, path: args.safe, signal });
    });
  });

export default teamPlan;

/**
 * Writes what the owners of a Safe that governs the fleet import to do what the plan says. A Safe sends all of a file at once, and
 * so there is a file for each transaction.
 */
async function writeForSafe(options: {
  touchstone: Touchstone;
  plan: TeamPlan;
  team: Team;
  path: string;
  signal: AbortSignal;
}): Promise<void> {
  const { touchstone, plan, path, signal } = options;
  const description = planAsText(plan, options.team).join("\n");
  const transactions = await teamTransactions({ touchstone, plan });
  for (const [place, transaction] of transactions.entries()) {
    const part = transactions.length === 1 ? "" : `, part ${place + 1} of ${transactions.length}`;
    const file = safeTransactions({
      touchstone,
      safe: plan.by,
      name: `Set up a team${part}`,
      description,
      transactions: [transaction],
    });
    const partPath = place === 0 ? path : numbered(path, place + 1);
    await writeSafeTransactions({ path: partPath, file, signal });
    console.log(`${partPath}: import it in the Transaction Builder of the Safe ${plan.by}${part}.`);
  }
}

/** "team.json" with 2 is "team-2.json". */
function numbered(path: string, number: number): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}-${number}${ext}`);
}
