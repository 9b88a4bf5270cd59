import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { formatClaimPackage, newClaimPackage, writeClaimPackage, type ClaimPackage } from "../client/claim-packages.js";
import { readDeployment } from "../client/deployments.js";
import { TouchstoneError } from "../client/errors.js";
import { findInManifest, readManifest, type ManifestEntry, type ManifestHeader } from "../client/manifest-files.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";

interface Arguments {
  manifest: string | undefined;
  deployment: string | undefined;
  number: string | undefined;
  device: string | undefined;
  serial: string | undefined;
  all: boolean;
  out: string | undefined;
}

const manifestPackage: NewTaskActionFunction<Arguments> = (args): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const path = requireOption("manifest", args.manifest);
    const { chainId, contracts } = await readDeployment(requireOption("deployment", args.deployment));
    const manifest = args.number === undefined ? undefined : parseNumber(args.number);
    const claimOf = (found: { header: ManifestHeader; entry: ManifestEntry }): ClaimPackage =>
      newClaimPackage({ ...found, chainId, registry: contracts.DeviceRegistry, manifest });

    const wanted = parseWanted(args);
    if (wanted !== "all") {
      const claim = claimOf(await findInManifest({ path, ...wanted, signal }));
      if (args.out === undefined) console.log(formatClaimPackage(claim).trimEnd());
      else console.log(await writeInto(args.out, claim, signal));
      return;
    }
    const out = requireOption("out", args.out);
    let count = 0;
    for await (const found of readManifest({ path, signal })) {
      await writeInto(out, claimOf(found), signal);
      count += 1;
    }
    console.log(`${count.toLocaleString("en-US")} packages in ${out}: each is for the buyer of its device alone.`);
  });

export default manifestPackage;

async function writeInto(folder: string, claim: ClaimPackage, signal: AbortSignal): Promise<string> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new TouchstoneError("FILE_UNWRITABLE", `${folder} is no folder and cannot be made: give another.`, {
      details: { path: folder },
      cause,
    });
  }
  const path = join(folder, `${claim.device}.json`);
  await writeClaimPackage({ path, claim, signal });
  return path;
}

function parseWanted({ device, serial, all }: Arguments): { device: string } | { serial: string } | "all" {
  const wanted = [
    ...(device === undefined ? [] : [{ device }]),
    ...(serial === undefined ? [] : [{ serial }]),
    ...(all ? ["all" as const] : []),
  ];
  const [first, second] = wanted;
  if (first !== undefined && second === undefined) return first;
  throw new TouchstoneError("INVALID_ARGUMENT", "Give one of --device, --serial and --all.", {
    details: { device, serial, all },
  });
}

function parseNumber(text: string): bigint {
  if (/^[1-9]\d{0,9}$/.test(text)) return BigInt(text);
  throw new TouchstoneError("INVALID_ARGUMENT", `--number: "${text}" is no number of a manifest: give 1 or more.`, {
    details: { number: text },
  });
}
