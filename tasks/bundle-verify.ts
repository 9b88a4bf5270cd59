import type { HardhatEthers } from "@nomicfoundation/hardhat-ethers/types";
import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";
import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { readBundle, verifyBundle, type BundleLevel } from "../client/bundles.js";
import { connectTouchstone, type Touchstone } from "../client/connect.js";
import { TouchstoneError } from "../client/errors.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";

interface Arguments {
  file: string;
  blockHash: string | undefined;
  dataAnchor: string | undefined;
  chainId: string | undefined;
  deployment: string | undefined;
}

const bundleVerify: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const { blockHash, dataAnchor } = args;
    const chainId = args.chainId === undefined ? undefined : parseChainId(args.chainId);
    const bundle = await readBundle(args.file);
    const { ok, levels } = await withChain(hre, args.deployment, (touchstone) =>
      verifyBundle({
        bundle,
        ...(touchstone && { touchstone }),
        ...(blockHash !== undefined && { blockHash }),
        ...(dataAnchor !== undefined && { dataAnchor }),
        ...(chainId !== undefined && { chainId }),
        signal,
      }),
    );
    for (const [name, level] of Object.entries(levels)) console.log(lineOf(name, level));
    const { firstSeq, count } = bundle.range;
    const readings = `the readings ${firstSeq} to ${BigInt(firstSeq) + BigInt(count) - 1n} of the log ${bundle.logId}`;
    if (ok) {
      console.log(`This proves ${readings}.`);
      return;
    }
    throw new TouchstoneError("BUNDLE_NOT_PROVED", `This does not prove ${readings}.`, { details: { levels } });
  });

export default bundleVerify;

function lineOf(name: string, { status, reason, message }: BundleLevel): string {
  const words = reason === undefined ? message : `${reason}: ${message}`;
  return `${name.padEnd(9)}  ${status.padEnd(9)}  ${words}`;
}

/** Connects to the chain of --network; without it nobody is asked. */
async function withChain<T>(
  hre: HardhatRuntimeEnvironment,
  deployment: string | undefined,
  act: (touchstone: Touchstone | undefined) => Promise<T>,
): Promise<T> {
  // Hardhat types it as a text, and leaves it out without --network.
  const { network } = hre.globalOptions as { network?: string };
  if (network === undefined) {
    if (deployment === undefined) return act(undefined);
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      "--deployment is of no use without --network: give both, or neither.",
    );
  }
  const connection = await hre.network.create();
  try {
    const { ethers } = connection as unknown as { ethers: HardhatEthers };
    const where = deployment === undefined ? {} : { deploymentFile: deployment };
    return await act(await connectTouchstone({ runner: ethers.provider, ...where }));
  } finally {
    await connection.close();
  }
}

function parseChainId(text: string): bigint {
  if (/^[1-9]\d*$/.test(text)) return BigInt(text);
  throw new TouchstoneError("INVALID_ARGUMENT", `--chain-id: "${text}" is no number of a chain.`, {
    details: { chainId: text },
  });
}
