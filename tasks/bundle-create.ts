import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { createBundle, writeBundle } from "../client/bundles.js";
import { treeHashes } from "../client/enumerations.js";
import { TouchstoneError } from "../client/errors.js";
import { readSpooledBatches } from "../client/spooled-batches.js";
import { logIdOf, parseNumber, withNode, type LogPlace } from "./support/logs.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";

interface Arguments extends LogPlace {
  spool: string | undefined;
  firstSeq: string | undefined;
  count: string | undefined;
  out: string | undefined;
  tree: string | undefined;
  state: boolean;
}

const bundleCreate: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const spool = requireOption("spool", args.spool);
    const logId = logIdOf(args);
    const range = { firstSeq: requireNumber("first-seq", args.firstSeq), count: requireNumber("count", args.count) };
    const out = requireOption("out", args.out);
    const tree = treeHashes.find((each) => each === (args.tree ?? "Keccak256"));
    if (tree === undefined) {
      throw new TouchstoneError(
        "INVALID_ARGUMENT",
        `--tree: "${args.tree ?? ""}" is none: give ${treeHashes.join(" or ")}.`,
        {
          details: { tree: args.tree },
        },
      );
    }

    await withNode(hre, args, async (touchstone) => {
      const batches = await readSpooledBatches({ touchstone, spool, logId, tree, ...range });
      const options = { touchstone, batches, logId, ...range, signal };
      const { bundle, unsigned } = await createBundle({ ...options, withState: args.state });
      await writeBundle({ path: out, bundle, signal });
      const { number, hash } = bundle.log.block;
      const what =
        range.count === 1n ? `reading ${range.firstSeq}` : `${range.count} readings from ${range.firstSeq} on`;
      console.log(`${out} proves ${what}, as the log was after block ${number}, ${hash}.`);
      if (unsigned.length > 0) {
        console.log(`It has no signatures of the anchors ${unsigned.join(", ")}: another contract sent them.`);
      }
    });
  });

export default bundleCreate;

function requireNumber(name: string, value: string | undefined): bigint {
  return parseNumber(name, requireOption(name, value)) ?? 0n;
}
