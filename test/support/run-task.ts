import hre from "hardhat";
import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";

export interface TaskOutcome {
  success: boolean;
  /** What was printed to standard output. */
  out: string;
  /** What was printed as an error. */
  error: string;
}

/** Runs a task, and keeps what it prints. */
export function runTask(task: string[], options: Record<string, unknown>): Promise<TaskOutcome> {
  return printedBy(() => hre.tasks.getTask(task).run(options));
}

/** Runs the action of a task in another environment. */
export function runAction<T>(
  action: (args: T, environment: HardhatRuntimeEnvironment) => unknown,
  args: T,
  environment: object,
): Promise<TaskOutcome> {
  return printedBy(() => action(args, environment as HardhatRuntimeEnvironment));
}

async function printedBy(act: () => unknown): Promise<TaskOutcome> {
  const printed: { log: string[]; error: string[] } = { log: [], error: [] };
  const { log, error } = console;
  console.log = (text: string) => printed.log.push(text);
  console.error = (text: string) => printed.error.push(text);
  try {
    const { success } = (await act()) as { success: boolean };
    return { success, out: printed.log.join("\n"), error: printed.error.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}
