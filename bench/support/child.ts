import { fork } from "node:child_process";
import { join } from "node:path";

/** What the processes of measurements are started with, as all of the project's TypeScript is. */
const EXEC_ARGV = ["--import", "tsx"];

/** Anything that JSON has. */
type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/**
 * Runs a file of `bench/` in a process of its own, so that neither its memory nor its speed is that of another measurement.
 *
 * @param file Such as "trees.ts".
 * @param task What `answer` gives it.
 */
export async function measure<Figures>(file: string, task: Json): Promise<Figures> {
  const path = join(import.meta.dirname, "..", file);
  const child = fork(path, [JSON.stringify(task)], {
    execArgv: EXEC_ARGV,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  return new Promise((resolve, reject) => {
    let figures: { value: Figures } | undefined;
    child.on("message", (message) => {
      figures = message as { value: Figures };
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (figures !== undefined) resolve(figures.value);
      else reject(new Error(`${file} ${JSON.stringify(task)} ended with ${code ?? "a signal"} and without figures.`));
    });
  });
}

/** In the process of a measurement: does the task that `measure` was given, and ends the process. */
export async function answer(act: (task: never) => unknown): Promise<void> {
  const value = await act(JSON.parse(process.argv[2] ?? "null") as never);
  process.send?.({ value }, () => process.exit());
}

/** The most memory that this process ever had, in bytes. */
export function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Milliseconds that something takes. */
export function millisecondsOf(act: () => void): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}
