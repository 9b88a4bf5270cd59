import type { Signer } from "ethers";
import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";

import { requireAddress } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import { TouchstoneError } from "../../client/errors.js";
import { ask } from "../../client/reverts.js";
import { withNode, type NodePlace } from "./logs.js";

/** Which node to ask, and who sends, as it was given on the command line. */
export interface SenderPlace extends NodePlace {
  from: string | undefined;
}

/** Providers that know accounts to send with: those of a node, or of Hardhat's configuration. */
interface Keeper {
  getSigner(account: number | string): Promise<Signer>;
}

/**
 * Does as withNode does, with the contracts in the hands of the account that sends: the one that was named, or the first that the
 * network has.
 *
 * @throws TouchstoneError RUNNER_READ_ONLY if the network cannot sign for it, and all that withNode throws.
 */
export async function withSigner<T>(
  hre: HardhatRuntimeEnvironment,
  place: SenderPlace,
  act: (touchstone: Touchstone) => Promise<T>,
): Promise<T> {
  const from = place.from === undefined ? undefined : requireAddress("--from", place.from);
  return withNode(hre, place, async (touchstone) => {
    const keeper = touchstone.provider as unknown as Keeper;
    const signer = await ask(() => keeper.getSigner(from ?? 0)).catch((cause: unknown) => {
      throw new TouchstoneError(
        "RUNNER_READ_ONLY",
        `The network cannot sign for ${from ?? "anyone"}: configure its key for --network, or give another account with --from.`,
        { details: { from }, cause },
      );
    });
    return act(touchstone.connect(signer));
  });
}
