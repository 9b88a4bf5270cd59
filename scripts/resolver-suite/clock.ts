// The clock of a test and of its chain stands still while they work, and goes on only when the test sleeps. Some tests look at what
// lasts for two seconds, and a busy machine would come too late for it.
import { vi } from "vitest";

/** Shorter timers are those of the libraries. */
const SHORTEST_SLEEP = 1000;

vi.useFakeTimers({ toFake: ["Date"] });
const { setTimeout } = globalThis;
globalThis.setTimeout = Object.assign(
  (callback: (...args: unknown[]) => void, milliseconds = 0, ...args: unknown[]) =>
    setTimeout(() => {
      if (milliseconds >= SHORTEST_SLEEP) vi.setSystemTime(Date.now() + milliseconds);
      callback(...args);
    }, milliseconds),
  setTimeout,
);
