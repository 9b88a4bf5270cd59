import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";
import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { readingsOf } from "../client/audit-findings.js";
import { readBundle, verifyBundle, type BundleLevel, type VerifiedBundle } from "../client/bundles.js";
import { TouchstoneError } from "../client/errors.js";
import type { Touchstone } from "../client/connect.js";
import { parseNumber, withNode } from "./support/logs.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";

interface Arguments {
  file: string;
  blockHash: string | undefined;
  dataAnchor: string | undefined;
  chainId: string | undefined;
  rpc: string | undefined;
  deployment: string | undefined;
}

const bundleVerify: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const { blockHash, dataAnchor } = args;
    const chainId = parseNumber("chain-id", args.chainId);
    const bundle = await readBundle(args.file);
    const verify = (touchstone?: Touchstone): Promise<VerifiedBundle> =>
      verifyBundle({
        bundle,
        ...(touchstone && { touchstone }),
        ...(blockHash !== undefined && { blockHash }),
        ...(dataAnchor !== undefined && { dataAnchor }),
        ...(chainId !== undefined && { chainId }),
        signal,
      });
    const offline = isOffline(hre, args);
    const { ok, levels } = offline ? await verify() : await withNode(hre, args, verify);
    for (const [name, level] of Object.entries(levels)) console.log(lineOf(name, level));
    const { firstSeq, count } = bundle.range;
    const range = readingsOf({ firstSeq: BigInt(firstSeq), count: BigInt(count) });
    const readings = `the ${range} of the log ${bundle.logId}`;
    if (ok) {
      console.log(offline && blockHash === undefined ? signedAlone(readings) : `This proves ${readings}.`);
      return;
    }
    throw new TouchstoneError("BUNDLE_NOT_PROVED", `This does not prove ${readings}.`, { details: { levels } });
  });

export default bundleVerify;

function lineOf(name: string, { status, reason, message }: BundleLevel): string {
  const words = reason === undefined ? message : `${reason}: ${message}`;
  return `${name.padEnd(9)}  ${status.padEnd(9)}  ${words}`;
}

/** What is shown where there was nothing to check the chain by. */
function signedAlone(readings: string): string {
  return (
    `This proves that the device signed ${readings}. That they were ever anchored is not shown: give --block-hash with ` +
    "--data-anchor, or --network or --rpc."
  );
}

/** Nobody is asked unless a node is named. */
function isOffline(hre: HardhatRuntimeEnvironment, { rpc, deployment }: Arguments): boolean {
  // Hardhat types it as a text, and leaves it out without --network.
  const { network } = hre.globalOptions as { network?: string };
  if (network !== undefined || rpc !== undefined) return false;
  if (deployment === undefined) return true;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    "--deployment is of no use without a node: give --rpc or --network too.",
  );
}
