import { setTimeout } from "node:timers/promises";

import { TouchstoneError } from "./errors.js";
import { ask } from "./reverts.js";

/** How often a question is asked again that a node failed to answer for a reason that passes. */
export interface Persistence {
  /** Times to ask again. */
  retries: number;
  /** Milliseconds before the first time; doubled each time, up to 10 seconds, and varied by half. */
  retryDelay: number;
  signal?: AbortSignal | undefined;
  /** Called with each failure after which it asks again. */
  onRetry?: (error: unknown) => void;
}

const LONGEST_DELAY = 10_000;

/** What nodes say of themselves when they will do better in a moment. */
const PASSING =
  /too many requests|rate limit|limit exceeded|exceeded .*(limit|rate)|throttl|try again|tempor|time(d)?[ -]?out|busy|overload|unavailable|bad gateway|internal error|header not found|unknown block|block not found|(block|state|resource) .*not (yet )?(found|available)|missing trie node|pool is full/i;

/** Answers of HTTP servers that mean the same tomorrow, such as 401. */
const FINAL_ANSWER = /server response 4(?!08|25|29)\d\d/;

/**
 * Asks a provider or a contract as `ask` does, and again where the failure is one that passes.
 *
 * @throws TouchstoneError as ask, when it does not pass; CANCELLED while it waits.
 */
export async function persist<T>(options: Persistence, question: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask(question);
    } catch (error) {
      if (attempt >= options.retries || !isPassing(error)) throw error;
      options.onRetry?.(error);
    }
    const delay = Math.min(LONGEST_DELAY, options.retryDelay * 2 ** attempt);
    // Whoever was turned away together does not come back together.
    await pause(delay * (0.5 + Math.random()), options.signal);
  }
}

/** Whether the same question may be answered in a moment. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof TouchstoneError)) return false;
  if (error.code === "CHAIN_UNREACHABLE") return !FINAL_ANSWER.test(error.message);
  return error.code === "RPC_FAILED" && PASSING.test(error.message);
}

/**
 * Waits.
 *
 * @throws TouchstoneError CANCELLED when the signal says so.
 */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  requireNotAborted(signal);
  try {
    await setTimeout(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch {
    requireNotAborted(signal);
  }
}

/** @throws TouchstoneError CANCELLED when the signal says so. */
export function requireNotAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new TouchstoneError("CANCELLED", "The caller cancelled; whatever was sent before may still be mined.", {
    cause: signal.reason,
  });
}
