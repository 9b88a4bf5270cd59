import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { grant } from "../client/grants.js";
import { jsonOf, termsOf, type TermsArguments } from "./support/access.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace, TermsArguments {
  device: string;
  subject: string;
  json: boolean;
}

const accessGrant: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const { device, subject } = args;
    await withSigner(hre, args, async (touchstone) => {
      const terms = await termsOf(touchstone, args);
      const { receipt } = await grant({ touchstone, device, subject, ...terms, signal });
      const { hash, blockNumber } = receipt;
      console.log(
        args.json
          ? jsonOf({ device, subject, ...terms, transactionHash: hash, block: blockNumber })
          : `Granted to ${subject} in ${hash}, block ${blockNumber}.`,
      );
    });
  });

export default accessGrant;
