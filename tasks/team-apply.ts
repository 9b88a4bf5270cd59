import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { applyTeam, planTeam, readTeam } from "../client/teams.js";
import { requireConfirmation } from "./support/confirmation.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";
import { planAsText } from "./support/teams.js";

interface Arguments extends SenderPlace {
  file: string;
  fleet: string | undefined;
  prune: boolean;
  yes: boolean;
}

const teamApply: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const team = await readTeam({ path: args.file, signal });
    await withSigner(hre, args, async (touchstone) => {
      const wanted = { touchstone, team, prune: args.prune, signal };
      const plan = await planTeam({ ...wanted, ...(args.fleet !== undefined && { fleet: args.fleet }) });
      console.log(planAsText(plan, team).join("\n"));
      if (plan.steps.length > 0 && plan.obstacles.length === 0 && !args.yes) {
        await requireConfirmation(hre, { question: `This is sent as ${plan.by}.`, isAgreed: false });
      }
      const { transactions } = await applyTeam({
        touchstone,
        plan,
        signal,
        onProgress: ({ done, total, transactionHash }) => {
          console.log(`${done} of ${total} steps done in ${transactionHash}`);
        },
      });
      if (transactions.length > 0) console.log("The team is as the file says.");
    });
  });

export default teamApply;
