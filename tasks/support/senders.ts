import type { Signer } from "ethers";
import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";

import { requireAddress } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import { TouchstoneError } from "../../client/errors.js";
import { withNode, type NodePlace } from "./logs.js";

/** Which node to ask, and who sends. */
export interface SenderPlace extends NodePlace {
  account: string | undefined;
}

/**
 * Does as withNode does, with an account of the network to send from: the one that was named, or else its first.
 *
 * @throws TouchstoneError as withNode; RUNNER_READ_ONLY if there is no such account.
 */
export async function withSender<T>(
  hre: HardhatRuntimeEnvironment,
  place: SenderPlace,
  act: (touchstone: Touchstone) => Promise<T>,
): Promise<T> {
  const account = place.account === undefined ? undefined : requireAddress("--account", place.account);
  return withNode(hre, place, async (touchstone) => act(touchstone.connect(await signerOf(touchstone, account))));
}

async function signerOf({ provider }: Touchstone, account: string | undefined): Promise<Signer> {
  try {
    // Those of ethers and of Hardhat that speak to a node both have it.
    return await (provider as unknown as { getSigner(name: string | number): Promise<Signer> }).getSigner(account ?? 0);
  } catch (cause) {
    const whose = account === undefined ? "no account" : `no account ${account}`;
    throw new TouchstoneError(
      "RUNNER_READ_ONLY",
      `The network has ${whose} to send from: give --network with a key in its configuration, or another --account.`,
      { details: { account }, cause },
    );
  }
}
