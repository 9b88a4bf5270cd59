import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { exportTeam, readTeam, writeTeam } from "../client/teams.js";
import { withNode, type NodePlace } from "./support/logs.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";

interface Arguments extends NodePlace {
  fleet: string | undefined;
  names: string | undefined;
  out: string | undefined;
}

const teamExport: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const fleet = requireOption("fleet", args.fleet);
    const path = requireOption("out", args.out);
    const names = args.names === undefined ? undefined : await readTeam({ path: args.names, signal });
    await withNode(hre, args, async (touchstone) => {
      const team = await exportTeam({ touchstone, fleet, signal, ...(names && { names }) });
      await writeTeam({ path, team, signal });
      console.log(`${path}: ${team.members.length} members of ${team.fleet ?? fleet}`);
    });
  });

export default teamExport;
