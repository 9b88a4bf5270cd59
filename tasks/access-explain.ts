import { errorResult } from "hardhat/utils/result";
import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { explainToPeople } from "../client/access-answers.js";
import { explain } from "../client/access.js";
import { grantOf } from "../client/grants.js";
import { TouchstoneError } from "../client/errors.js";
import { jsonOf, parsePermissions, parsePurposes } from "./support/access.js";
import { withNode, type NodePlace } from "./support/logs.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";

interface Arguments extends NodePlace {
  device: string;
  account: string;
  permissions: string | undefined;
  purpose: string | undefined;
  json: boolean;
}

const accessExplain: NewTaskActionFunction<Arguments> = async (args, hre): Promise<Outcome> => {
  const verdict = { isAllowed: false };
  const outcome = await outcomeOf(async () => {
    const { device, account } = args;
    const permissions = parsePermissions(requireOption("permissions", args.permissions));
    const [purpose, ...others] = parsePurposes(requireOption("purpose", args.purpose), "purpose");
    if (purpose === undefined || others.length > 0) {
      throw new TouchstoneError("INVALID_ARGUMENT", `--purpose: "${args.purpose ?? ""}" are several: give one.`);
    }
    await withNode(hre, args, async (touchstone) => {
      const question = { device, account, permissions, purpose };
      const [explanation, grant] = await Promise.all([
        explain({ touchstone, ...question }),
        grantOf({ touchstone, device, subject: account }),
      ]);
      const answer = explainToPeople({ explanation, question, grant });
      verdict.isAllowed = explanation.allowed;
      const words = [answer.sentence, answer.advice].filter((sentence) => sentence !== "").join(" ");
      const word = explanation.allowed ? "Allowed" : "Denied";
      console.log(args.json ? jsonOf({ ...explanation, ...answer }) : `${word}, ${explanation.reason}: ${words}`);
    });
  });
  return outcome.success && !verdict.isAllowed ? errorResult() : outcome;
};

export default accessExplain;
