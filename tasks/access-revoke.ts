import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { revoke } from "../client/grants.js";
import { jsonOf } from "./support/access.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace {
  device: string;
  subject: string;
  json: boolean;
}

const accessRevoke: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const { device, subject } = args;
    await withSigner(hre, args, async (touchstone) => {
      const { receipt } = await revoke({ touchstone, device, subject, signal });
      const { hash, blockNumber } = receipt;
      console.log(
        args.json
          ? jsonOf({ device, subject, transactionHash: hash, block: blockNumber })
          : `Revoked from ${subject} in ${hash}, block ${blockNumber}.`,
      );
    });
  });

export default accessRevoke;
