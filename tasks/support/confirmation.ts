import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";

import { TouchstoneError } from "../../client/errors.js";

/**
 * Asks who sits at the terminal to agree.
 *
 * @param options.isAgreed Agreed to already, on the command line.
 * @throws TouchstoneError CONFIRMATION_MISSING if there is nobody to ask, or the answer is not yes.
 */
export async function requireConfirmation(
  hre: HardhatRuntimeEnvironment,
  options: { question: string; isAgreed: boolean; isTerminal?: boolean },
): Promise<void> {
  const { question, isAgreed, isTerminal = process.stdin.isTTY } = options;
  if (isAgreed) return;
  // Without a terminal the question would never be answered. (The types leave out that it is undefined then.)
  if (!isTerminal) {
    throw new TouchstoneError(
      "CONFIRMATION_MISSING",
      "There is no terminal at which to agree to this: read it, and give --yes if it is what you want.",
    );
  }
  const answer = await hre.interruptions.requestInput("Touchstone", `${question} Type yes to agree`);
  if (answer.trim().toLowerCase() === "yes") return;
  throw new TouchstoneError("CONFIRMATION_MISSING", "This was not agreed to: nothing was sent.");
}
