import { errorResult } from "hardhat/utils/result";
import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { auditLog, type Expectations, type LogAudit } from "../client/audits.js";
import { TouchstoneError } from "../client/errors.js";
import { outcomeOf, type Outcome } from "./support/outcome.js";
import { logIdOf, parseNumber, withNodes, type LogPlace } from "./support/logs.js";

interface Arguments extends LogPlace {
  toBlock: string | undefined;
  longestSilence: string | undefined;
  longestPause: string | undefined;
  latestAfter: string | undefined;
  longestAhead: string | undefined;
  fresh: boolean;
  complete: boolean;
  json: boolean;
}

const logAudit: NewTaskActionFunction<Arguments> = async (args, hre): Promise<Outcome> => {
  let errors = 0;
  const outcome = await outcomeOf(async (signal) => {
    const logId = logIdOf(args);
    const expectations = expectationsOf(args);
    const toBlock = parseNumber("to-block", args.toBlock);
    const audit = await withNodes(hre, args, (touchstone, witnesses) =>
      auditLog({
        touchstone,
        witnesses,
        logId,
        expectations,
        ...(toBlock === undefined ? {} : { toBlock: Number(toBlock) }),
        signal,
      }),
    );
    errors = audit.findings.filter(({ severity }) => severity === "error").length;
    console.log(args.json ? jsonOf(audit) : reportOf(audit));
  });
  return outcome.success && errors > 0 ? errorResult() : outcome;
};

export default logAudit;

function reportOf(audit: LogAudit): string {
  const { block, log, findings } = audit;
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const proven = audit.isProven ? "the anchors lead to it" : "the anchors do NOT lead to it: nothing below is proven";
  const lines = [
    `log       ${audit.logId}`,
    `block     ${block.number}, ${block.hash}, ${new Date(Number(block.timestamp) * 1000).toISOString()}`,
    `root      ${audit.root}: ${proven}`,
    `anchors   ${audit.anchors} of ${log.size}`,
    `readings  ${audit.readings}, and ${audit.lost} lost; ${audit.corrected} corrected`,
    `findings  ${counted(errors, "error")}, ${counted(findings.length - errors, "warning")}`,
    ...findings.map(({ severity, code, message }) => `${severity.padEnd(8)}  ${code}: ${message}`),
  ];
  return lines.join("\n");
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Numbers of the chain do not fit those of JSON. */
function jsonOf(audit: LogAudit): string {
  return JSON.stringify(audit, (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value), 2);
}

function expectationsOf(args: Arguments): Expectations {
  const longestSilence = parseSeconds("longest-silence", args.longestSilence);
  const latestAfter = parseSeconds("latest-after", args.latestAfter);
  const longestPause = parseMilliseconds("longest-pause", args.longestPause);
  const longestAhead = parseMilliseconds("longest-ahead", args.longestAhead);
  return {
    ...(longestSilence === undefined ? {} : { longestSilence }),
    ...(latestAfter === undefined ? {} : { latestAfter }),
    ...(longestPause === undefined ? {} : { longestPause }),
    ...(longestAhead === undefined ? {} : { longestAhead }),
    fresh: args.fresh,
    complete: args.complete,
  };
}

// ------------------------------------------------------------------ durations

const UNITS: Readonly<Record<string, bigint>> = { ms: 1n, s: 1_000n, min: 60_000n, h: 3_600_000n, d: 86_400_000n };

function parseMilliseconds(name: string, value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  const [, amount = "", unit = ""] = /^(\d{1,12})([a-z]+)$/.exec(value) ?? [];
  const milliseconds = UNITS[unit];
  if (milliseconds !== undefined) return BigInt(amount) * milliseconds;
  throw invalid(name, value, "give a number with its unit, as in 500ms, 90s, 15min, 6h or 1d");
}

function parseSeconds(name: string, value: string | undefined): bigint | undefined {
  const milliseconds = parseMilliseconds(name, value);
  if (value === undefined || milliseconds === undefined) return undefined;
  if (milliseconds % 1000n === 0n) return milliseconds / 1000n;
  throw invalid(name, value, "blocks tell whole seconds only");
}

function invalid(name: string, value: string, advice: string): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", `--${name}: "${value}" is no duration: ${advice}.`, {
    details: { [name]: value },
  });
}
