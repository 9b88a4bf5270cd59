import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { createFleet } from "../client/roles.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace {
  salt: string | undefined;
}

const fleetCreate: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf((signal) =>
    withSigner(hre, args, async (touchstone) => {
      const salt = args.salt === undefined ? {} : { salt: args.salt };
      const { fleet, receipt } = await createFleet({ touchstone, signal, ...salt });
      console.log(`fleet     ${fleet}\ngovernor  ${receipt.from}`);
    }),
  );

export default fleetCreate;
