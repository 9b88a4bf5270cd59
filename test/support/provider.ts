import type { ContractRunner, Provider } from "ethers";

import { ethers } from "./chain.js";

/** The shared chain's provider with some of its methods replaced: a node that limits, forgets or fails. */
export function providerWith(replaced: Partial<Provider>): Provider {
  return replace(ethers.provider as unknown as Provider, replaced, "provider");
}

/** A signer or provider with some of its methods replaced. */
export function runnerWith<T extends ContractRunner>(runner: T, replaced: Partial<T>): T {
  return replace(runner, replaced);
}

/** @param self The name of the member that is the object itself. */
function replace<T extends object>(object: T, replaced: Partial<T>, self?: string): T {
  const proxy: T = new Proxy(object, {
    get(target, key) {
      if (key === self) return proxy;
      if (key in replaced) return replaced[key as keyof T];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return proxy;
}
