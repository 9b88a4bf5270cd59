import { id, Wallet } from "ethers";

import { accountKey, type Key } from "../../client/keys.js";

/** Account keys of devices: the same in every process. */
export async function deviceKeys(count: number): Promise<Key[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => accountKey(new Wallet(id(`device ${index}`)))));
}
