import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { receiptOf, receiptsOf } from "../client/consent-receipts.js";
import { writeNewFile } from "../client/text-files.js";
import { withNode, type NodePlace } from "./support/logs.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";

interface Arguments extends NodePlace {
  device: string;
  subject: string;
  all: boolean;
  out: string | undefined;
}

const accessReceipt: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const { device, subject, all, out } = args;
    await withNode(hre, args, async (touchstone) => {
      const options = { touchstone, device, subject, signal };
      const receipt = all ? await receiptsOf(options) : await receiptOf(options);
      const text = JSON.stringify(receipt, null, 2);
      if (out === undefined) {
        console.log(text);
        return;
      }
      await writeNewFile({ path: out, content: [`${text}\n`], isPrivate: true, signal });
      console.log(`${out} says what was consented to for ${subject}.`);
    });
  });

export default accessReceipt;
