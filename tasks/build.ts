import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { TaskOverrideActionFunction } from "hardhat/types/tasks";

/** A line of `hardhat.d.ts` that is one of a list of overloads by contract name. */
const OVERLOAD = /^\s*(getContractFactory|getContractAt|deployContract)\(name: /;
/** A line of `index.ts` that is not its header. */
const EXPORT = /^(import|export) /;

/**
 * Builds, then sorts the lists in the typings: they come in the order of compilation, which is another on each machine, and
 * the typings are committed.
 */
const build: TaskOverrideActionFunction = async (taskArguments, hre, runSuper) => {
  const result: unknown = await runSuper(taskArguments);
  const { outDir } = hre.config.typechain;
  if (outDir !== undefined && !hre.globalOptions.noTypechain) {
    await sortLines(join(outDir, "index.ts"), EXPORT);
    await sortLines(join(outDir, "hardhat.d.ts"), OVERLOAD);
  }
  return result;
};

export default build;

/** Sorts each run of lines of a file that match, and leaves all others where they are. */
async function sortLines(path: string, pattern: RegExp): Promise<void> {
  const text = await readFile(path, "utf8");
  const sorted: string[] = [];
  let run: string[] = [];
  const endRun = (): void => {
    sorted.push(...run.sort());
    run = [];
  };
  for (const line of text.split("\n")) {
    if (pattern.test(line)) {
      run.push(line.trim());
    } else {
      endRun();
      sorted.push(line);
    }
  }
  endRun();
  const result = sorted.join("\n");
  if (result !== text) await writeFile(path, result);
}
