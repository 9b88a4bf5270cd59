import type { NewTaskActionFunction } from "hardhat/types/tasks";

import { TouchstoneError } from "../client/errors.js";
import { handover, type ExpectedContract } from "../client/handovers.js";
import { writeSafeTransactions } from "../client/safe-files.js";
import { outcomeOf, requireOption, type Outcome } from "./support/outcome.js";
import { withSigner, type SenderPlace } from "./support/signers.js";

interface Arguments extends SenderPlace {
  fleet: string | undefined;
  to: string | undefined;
  contract: string | undefined;
  keepRoles: boolean;
  safe: string | undefined;
}

const fleetHandover: NewTaskActionFunction<Arguments> = (args, hre): Promise<Outcome> =>
  outcomeOf(async (signal) => {
    const fleet = requireOption("fleet", args.fleet);
    const to = requireOption("to", args.to);
    const { keepRoles, safe: path } = args;
    const contract = contractIn(args.contract, path);
    await withSigner(hre, args, async (touchstone) => {
      const offer = { touchstone, fleet, to, keepRoles, signal, ...(contract && { contract }) };
      const { governor, accept, file } = await handover(offer);
      console.log(
        `offered   ${fleet}\nto        ${to}${governor.kind === "Account" ? "" : `, a contract (${governor.kind})`}`,
      );
      if (governor.kind === "Safe") {
        const { owners, threshold } = governor.safe;
        console.log(`owners    ${threshold} of ${owners.length}: ${owners.join(", ")}`);
      }
      console.log(`It must send ${accept.data} to ${accept.to}.`);
      if (governor.kind === "Account") {
        const flag = keepRoles ? " --keep-roles" : "";
        console.log(`With its key: npx hardhat fleet accept --fleet ${fleet} --from ${to}${flag}`);
      }
      if (file === undefined || path === undefined) return;
      await writeSafeTransactions({ path, file, signal });
      console.log(`${path}: import it in the Transaction Builder of the Safe.`);
    });
  });

export default fleetHandover;

/** Who wants a file for a Safe's owners says that it is a Safe: to any other nothing is offered. */
function contractIn(value: string | undefined, path: string | undefined): ExpectedContract | undefined {
  if (path !== undefined && (value ?? "safe") === "safe") return "safe";
  if (path === undefined && (value === undefined || value === "safe" || value === "other")) return value;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    value === "other"
      ? "--safe: only the owners of a Safe import such a file: leave it out, or give --contract safe."
      : `--contract: "${value ?? ""}" is unknown: give safe or other, or leave it out.`,
    { details: { contract: value, safe: path } },
  );
}
