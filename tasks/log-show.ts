import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { head, readAnchors, root, type AnchorRecord } from "../client/anchors.js";
import { readingsOf, timeOf } from "../client/audit-findings.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { logIdOf, parseNumber, withNodes, type LogPlace } from "./support/logs.js";

interface Arguments extends LogPlace {
  last: string | undefined;
}

const logShow: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const logId = logIdOf(args);
    const last = Number(parseNumber("last", args.last) ?? 10n);
    await withNodes(hre, args, async (touchstone) => {
      const { size, nextSeq, lastMeasured, lastAnchored } = await head({ touchstone, logId });
      const anchors = size === 0n ? [] : await readAnchors({ touchstone, logId, signal });
      const lines = [
        `log       ${logId}`,
        `root      ${await root({ touchstone, logId })}`,
        `anchors   ${size}`,
        ...(size === 0n
          ? []
          : [
              `next      reading ${nextSeq}`,
              `measured  ${timeOf(lastMeasured)}`,
              `anchored  ${timeOf(lastAnchored * 1000n)}`,
            ]),
        ...anchors.slice(Math.max(0, anchors.length - last)).map(lineOf),
      ];
      console.log(lines.join("\n"));
    });
  });

export default logShow;

function lineOf(record: AnchorRecord): string {
  const { index, kind, tFirst, tLast, timestamp, author } = record;
  return (
    `${index.toString().padStart(8)}  ${kind}, ${readingsOf(record)}, measured ${timeOf(tFirst)} to ${timeOf(tLast)}, anchored ` +
    `${timeOf(timestamp * 1000n)} by ${author}`
  );
}
