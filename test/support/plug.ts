import { open, type FileHandle } from "node:fs/promises";

import type { Provider, Signer } from "ethers";

import { ethers } from "./chain.js";
import { providerWith, runnerWith } from "./provider.js";

/** The power is gone: whatever the process would have done next, it does not do. */
export class PowerCut extends Error {}

/** Counts the steps that a process takes into the world, and ends it at one of them. */
export class Plug {
  isOut = false;
  /** Steps taken so far. */
  steps = 0;
  readonly #last: number;

  /** @param last The step that is not taken any more. */
  constructor(last = Infinity) {
    this.#last = last;
  }

  /** Takes a step, after which the power may go just as well. */
  async step<T>(act: () => Promise<T>): Promise<T> {
    this.take();
    const result = await act();
    this.take();
    return result;
  }

  take(): void {
    if (!this.isOut && this.steps++ === this.#last) this.isOut = true;
    if (this.isOut) throw new PowerCut("the power is gone");
  }
}

/** The chain as a process sees it: each request may not arrive, or its answer may not. */
export function providerThrough(plug: Plug, replaced: Partial<Provider> = {}): Provider {
  const real = providerWith(replaced);
  const proxy: Provider = new Proxy(real, {
    get(target, key) {
      if (key === "provider") return proxy;
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => plug.step(() => (value as (...args: unknown[]) => Promise<unknown>)(...args));
    },
  });
  return proxy;
}

/** An account whose requests go through the plug: also the one by which its node sends. */
export function signerThrough(plug: Plug, signer: Signer): Signer {
  return runnerWith(signer, { sendTransaction: (transaction) => plug.step(() => signer.sendTransaction(transaction)) });
}

/** While `act` runs, whatever it writes to files may not arrive, arrive in part, or not be known to have arrived. */
export async function writingThrough<T>(plug: Plug, act: () => Promise<T>): Promise<T> {
  const anyFile = await open(new URL(import.meta.url));
  const handle = Object.getPrototypeOf(anyFile) as Pick<FileHandle, "appendFile" | "sync" | "truncate">;
  await anyFile.close();
  const { appendFile, sync, truncate } = handle;
  handle.appendFile = async function (this: FileHandle, line: string) {
    plug.take();
    const half = Math.ceil(line.length / 2);
    await appendFile.call(this, line.slice(0, half));
    plug.take();
    await appendFile.call(this, line.slice(half));
    plug.take();
  } as FileHandle["appendFile"];
  handle.sync = function (this: FileHandle) {
    return plug.step(() => sync.call(this));
  };
  handle.truncate = function (this: FileHandle, length) {
    return plug.step(() => truncate.call(this, length));
  };
  try {
    return await act();
  } finally {
    Object.assign(handle, { appendFile, sync, truncate });
  }
}

/** Mines blocks by itself only every so many looks at the chain: what is sent waits. */
export function slowChain(): Partial<Provider> {
  let looks = 0;
  return {
    async getTransactionCount(address, block) {
      if (block === "latest" && ++looks % 3 === 0) await ethers.provider.send("evm_mine", []);
      return ethers.provider.getTransactionCount(address, block);
    },
  };
}
