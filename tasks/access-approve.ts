import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { approve, readRequests, type ReadRequest } from "../client/access-requests.js";
import { sentenceOf } from "../client/access-sentences.js";
import { requireAddress } from "../client/arguments.js";
import type { Touchstone } from "../client/connect.js";
import type { GrantablePermission } from "../client/enumerations.js";
import { TouchstoneError } from "../client/errors.js";
import type { Purpose } from "../client/purposes.js";
import { chainTime } from "../client/transactions.js";
import { jsonOf, parsePermissions, parsePurposes, parseTime, type TermsArguments } from "./support/access.js";
import { requireConfirmation } from "./support/confirmation.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace, Omit<TermsArguments, "termsHash"> {
  device: string;
  subject: string;
  yes: boolean;
  json: boolean;
}

const accessApprove: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const subject = requireAddress("subject", args.subject);
    await withSigner(hre, args, async (touchstone) => {
      const request = await openRequest({ touchstone, device: args.device, subject, signal });
      const less = lessOf(args, await chainTime(touchstone));
      const { permissions, purposes, notBefore, expiry, termsHash } = request;
      const sentence = sentenceOf({
        ...{ device: request.device, subject, permissions, purposes, notBefore, expiry, termsHash },
        ...less,
      });
      // With --json the sentence is part of what is printed at the end.
      if (!args.json || !args.yes) console.log(sentence);
      await requireConfirmation(hre, { question: "This is what you grant.", isAgreed: args.yes });
      const { receipt } = await approve({ touchstone, request, ...less, signal });
      const { hash, blockNumber } = receipt;
      console.log(
        args.json
          ? jsonOf({ sentence, transactionHash: hash, block: blockNumber })
          : `Granted in ${hash}, block ${blockNumber}.`,
      );
    });
  });

export default accessApprove;

/** The latest request that waits for an answer. */
async function openRequest(options: {
  touchstone: Touchstone;
  device: string;
  subject: string;
  signal: AbortSignal;
}): Promise<ReadRequest> {
  const { touchstone, subject, signal } = options;
  const device = requireAddress("device", options.device);
  const requests = await readRequests({ touchstone, devices: [device], subject, signal });
  const open = requests.findLast(({ answer, stale }) => answer === undefined && stale === undefined);
  if (open !== undefined) return open;
  throw new TouchstoneError(
    "NOT_FOUND",
    `No request of ${subject} for the device ${device} waits for an answer: have one made, or grant without it.`,
    { details: { device, subject } },
  );
}

/** What is granted of what was asked for, where it was given. */
function lessOf(
  { permissions, purposes, notBefore, expiry }: Arguments,
  now: bigint,
): { permissions?: GrantablePermission[]; purposes?: Purpose[]; notBefore?: bigint; expiry?: bigint } {
  return {
    // What was not asked for is refused, and so what cannot be granted.
    ...(permissions !== undefined && { permissions: parsePermissions(permissions) as GrantablePermission[] }),
    ...(purposes !== undefined && { purposes: parsePurposes(purposes) }),
    ...(notBefore !== undefined && { notBefore: parseTime("not-before", notBefore, now) }),
    ...(expiry !== undefined && { expiry: parseTime("expiry", expiry, now) }),
  };
}
