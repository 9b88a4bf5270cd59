import type { Result } from "ethers";

/** A struct that a contract returned, as a plain object of its named members. */
export function structOf(output: object): Record<string, unknown> {
  return (output as Result).toObject(true);
}
