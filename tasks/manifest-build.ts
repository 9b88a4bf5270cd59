import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { readDeviceList } from "../client/device-lists.js";
import { buildManifest, readSalts, writeManifest } from "../client/manifest-files.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";

interface Arguments {
  file: string | undefined;
  vendor: string | undefined;
  class: string | undefined;
  out: string | undefined;
  saltsFrom: string | undefined;
  voucher: boolean;
}

const manifestBuild: NewTaskActionFunction<Arguments> = (args): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const file = requireOption("file", args.file);
    const vendor = requireOption("vendor", args.vendor);
    const hardwareClass = requireOption("class", args.class);
    const out = requireOption("out", args.out);

    const devices = await readDeviceList({ path: file, signal });
    const salts = args.saltsFrom === undefined ? undefined : await readSalts({ path: args.saltsFrom, signal });
    const manifest = await buildManifest({
      vendor,
      hardwareClass,
      voucherRequired: args.voucher,
      devices,
      ...(salts && { salts }),
      signal,
    });
    await writeManifest({ path: out, manifest, signal });

    console.log(`${devices.length.toLocaleString("en-US")} devices`);
    console.log(`root   ${manifest.terms.root}`);
    console.log(`class  ${manifest.hardwareClass}`);
    console.log(`${out} holds the serials and their salts: keep it secret, and keep a copy.`);
  });

export default manifestBuild;
