import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { requestAccess } from "../client/access-requests.js";
import { jsonOf, termsOf, type TermsArguments } from "./support/access.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace, TermsArguments {
  device: string;
  json: boolean;
}

const accessRequest: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const { device } = args;
    await withSigner(hre, args, async (touchstone) => {
      const terms = await termsOf(touchstone, args);
      const { receipt } = await requestAccess({ touchstone, device, ...terms, signal });
      const { hash, blockNumber, from } = receipt;
      console.log(
        args.json
          ? jsonOf({ device, subject: from, ...terms, transactionHash: hash, block: blockNumber })
          : `Requested by ${from} in ${hash}, block ${blockNumber}. The owner can approve it, or less.`,
      );
    });
  });

export default accessRequest;
