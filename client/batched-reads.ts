import type { Touchstone } from "./connect.js";
import { ask } from "./reverts.js";

/** Far below what nodes let a call cost, or its answer weigh. */
const QUESTIONS_AT_ONCE = 500;

/**
 * Asks a contract that has `multicall` many questions at once, all at one block.
 *
 * @param options.contract The contract's address.
 * @param options.questions Encoded calls of its views, none of which reverts.
 * @param options.block The state after this block counts.
 * @returns The encoded answers.
 * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function askMany(options: {
  touchstone: Touchstone;
  contract: string;
  questions: readonly string[];
  block: number;
}): Promise<string[]> {
  const { touchstone, contract, questions, block } = options;
  // It is the same function in every contract that has it.
  const abi = touchstone.deviceRegistry.interface;
  const answers: string[] = [];
  for (let start = 0; start < questions.length; start += QUESTIONS_AT_ONCE) {
    const page = questions.slice(start, start + QUESTIONS_AT_ONCE);
    const data = abi.encodeFunctionData("multicall", [page]);
    const result = await ask(() => touchstone.provider.call({ to: contract, data, blockTag: block }));
    const [answered] = abi.decodeFunctionResult("multicall", result) as unknown as [string[]];
    answers.push(...answered);
  }
  return answers;
}
