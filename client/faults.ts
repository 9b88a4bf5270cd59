import { TouchstoneError, type ErrorCode } from "./errors.js";

/** More faults of one file than this help nobody. */
const MAX_FAULTS = 20;

/** What is wrong in a line of a file. */
export interface Fault {
  /** Counts from 1. */
  line: number;
  /** Names the value and the fix. */
  message: string;
}

/** Collects the faults of a file, so that all can be mended at once. */
export interface FaultList {
  /**
   * Notes a fault.
   *
   * @throws TouchstoneError with the code of the list, when there are as many as are worth reading.
   */
  add(line: number, message: string): void;
  /** @throws TouchstoneError with the code of the list if it holds any; `details.faults` has them in order of lines. */
  throwIfAny(): void;
}

/**
 * A list without faults.
 *
 * @param path The file, for people.
 */
export function newFaultList(code: ErrorCode, path: string): FaultList {
  const faults: Fault[] = [];
  const toError = (isAll: boolean): TouchstoneError => {
    faults.sort((a, b) => a.line - b.line);
    const lines = faults.map(({ line, message }) => `line ${line}: ${message}`);
    const message =
      lines.length === 1
        ? `${path}, ${lines.join()}`
        : `${path} has ${isAll ? lines.length : `at least ${lines.length}`} faults:\n${lines.map((line) => `  ${line}`).join("\n")}`;
    return new TouchstoneError(code, message, { details: { path, faults, isAll } });
  };
  return {
    add(line, message) {
      faults.push({ line, message });
      if (faults.length === MAX_FAULTS) throw toError(false);
    },
    throwIfAny() {
      if (faults.length > 0) throw toError(true);
    },
  };
}
