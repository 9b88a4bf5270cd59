import type { Result } from "hardhat/types/utils";
import { errorResult, successfulResult } from "hardhat/utils/result";

import { TouchstoneError } from "../../client/errors.js";

/** How a task ended: a failure makes the process end with exit code 1. */
export type Outcome = Result<undefined, undefined>;

/** Runs a task, and prints an error that its user can do something about as one line, without a stack. */
export async function outcomeOf(act: (signal: AbortSignal) => Promise<void>): Promise<Outcome> {
  const controller = new AbortController();
  const cancel = (): void => {
    controller.abort();
  };
  // A task that is cancelled takes away what it has half done.
  process.once("SIGINT", cancel);
  try {
    await act(controller.signal);
    return successfulResult();
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    console.error(`${error.code}: ${error.message}`);
    return errorResult();
  } finally {
    process.off("SIGINT", cancel);
  }
}

/**
 * The value of an option that the task cannot do without.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it was not given.
 */
export function requireOption(name: string, value: string | undefined): string {
  if (value !== undefined && value !== "") return value;
  throw new TouchstoneError("INVALID_ARGUMENT", `--${name} is missing: see --help.`, { details: { name } });
}
