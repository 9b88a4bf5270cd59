import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { acceptGovernor } from "../client/roles.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace {
  fleet: string | undefined;
  keepRoles: boolean;
}

const fleetAccept: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const fleet = requireOption("fleet", args.fleet);
    await withSigner(hre, args, async (touchstone) => {
      const { receipt } = await acceptGovernor({ touchstone, fleet, keepRoles: args.keepRoles, signal });
      console.log(`fleet     ${fleet}\ngovernor  ${receipt.from}`);
    });
  });

export default fleetAccept;
