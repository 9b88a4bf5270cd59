import { isAddressable } from "ethers";

import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { ask } from "./reverts.js";

/** The account that the client sends as; undefined if it is connected without one. */
export async function senderOf({ runner }: Touchstone): Promise<string | undefined> {
  return isAddressable(runner) ? ask(() => runner.getAddress()) : undefined;
}

export function runnerReadOnly(): TouchstoneError {
  return new TouchstoneError(
    "RUNNER_READ_ONLY",
    "The runner is a provider and cannot send: connect Touchstone with a signer, `touchstone.connect(signer)`.",
  );
}
