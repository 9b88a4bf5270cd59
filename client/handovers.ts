import { Interface, ZeroAddress } from "ethers";

import { requireAddress } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { ask, decodeRevert, toTouchstoneError } from "./reverts.js";
import { safeTransactions, type SafeTransactionFile } from "./safe-files.js";
import { send, type SendOptions, type Sent } from "./transactions.js";

/** A Safe as it stands: how many of its owners it takes to act. */
export interface SafeAccount {
  address: string;
  owners: string[];
  threshold: bigint;
}

/** What an account is that should govern a fleet. */
export type GovernorKind =
  /** It has no code of its own: somebody's key. */
  | { kind: "Account" }
  /** A Safe whose owners can act. */
  | { kind: "Safe"; safe: SafeAccount }
  /** A contract that nothing is known of. */
  | { kind: "Other" };

/** What the caller knows of the new governor: nothing, that it is a Safe, or that it is another contract that can act. */
export type ExpectedContract = "safe" | "other";

/**
 * Offers a fleet to an account or a Safe, after looking whether it could act for the fleet at all. The offer changes nothing until
 * it is accepted, and can be withdrawn with cancelProposal. By the governor.
 *
 * @param options.to Who should govern the fleet.
 * @param options.keepRoles Whether the members keep their roles: it is the new governor who says so, with acceptGovernor.
 * @param options.contract "safe" refuses all but a Safe; "other" takes any contract, of which nobody knows whether it can act.
 * @returns `accept`, the transaction that the new governor must send, and `file` for the owners of a Safe to import.
 * @throws TouchstoneError GOVERNOR_UNFIT with `details.reason` NoContract (a Safe on another chain has no code here), NoSafe,
 *         NoThreshold, Itself, Nobody, Handle; all that send throws.
 */
export async function handover(
  options: SendOptions & { fleet: string; to: string; keepRoles: boolean; contract?: ExpectedContract },
): Promise<
  Sent & { governor: GovernorKind; accept: { to: string; data: string }; file: SafeTransactionFile | undefined }
> {
  const { touchstone, keepRoles, contract } = options;
  const fleet = requireAddress("fleet", options.fleet);
  const to = requireAddress("to", options.to);
  if (to === fleet)
    throw unfit(to, "Itself", `${to} is the fleet itself, which has no key: offer it to who should govern it.`);
  await requireSomebody(touchstone, to);
  const governor = await inspectGovernor({ touchstone, account: to, ...(contract && { contract }) });
  const sent = await send(options, () => touchstone.roleRegistry.proposeGovernor.populateTransaction(fleet, to));
  const accept = await touchstone.roleRegistry.acceptGovernor.populateTransaction(fleet, keepRoles);
  const file =
    governor.kind === "Safe"
      ? safeTransactions({
          touchstone,
          safe: to,
          name: "Take over a fleet",
          description:
            `Become the governor of the fleet ${fleet}. ` +
            (keepRoles ? "Its members keep their roles." : "All roles of its members end."),
          transactions: [accept],
        })
      : undefined;
  return { ...sent, governor, accept: { to: accept.to, data: accept.data }, file };
}

/** Offered to nobody, a fleet would lose the offer that stands; a handle has no key to accept with. */
async function requireSomebody(touchstone: Touchstone, to: string): Promise<void> {
  if (to === ZeroAddress) {
    throw unfit(
      to,
      "Nobody",
      `${to} is nobody: offer the fleet to who should govern it, or use cancelProposal to withdraw an offer.`,
    );
  }
  const governor = await ask(() => touchstone.roleRegistry.governorOf(to));
  if (governor === to) return;
  throw unfit(
    to,
    "Handle",
    `${to} is a fleet itself, which has no key: offer it to an account, such as its governor, ${governor}.`,
  );
}

const safeAbi = new Interface([
  "function getThreshold() view returns (uint256)",
  "function getOwners() view returns (address[])",
]);

/**
 * What an account is, and whether it could act.
 *
 * @param options.contract As for handover.
 * @throws TouchstoneError GOVERNOR_UNFIT as handover, CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function inspectGovernor(options: {
  touchstone: Touchstone;
  account: string;
  contract?: ExpectedContract;
}): Promise<GovernorKind> {
  const { touchstone, contract } = options;
  const account = requireAddress("account", options.account);
  const code = await touchstone.provider.getCode(account).catch((error: unknown) => {
    throw toTouchstoneError(error);
  });
  // A key that lets code act for it (EIP-7702) is still a key.
  if (code === "0x" || /^0xef0100/i.test(code)) {
    if (contract === undefined) return { kind: "Account" };
    throw unfit(
      account,
      "NoContract",
      `${account} is no contract on chain ${touchstone.chainId}: a Safe of another chain cannot act here. Deploy it on this chain ` +
        "first, or leave out what kind of contract it is.",
    );
  }
  if (contract === "other") return { kind: "Other" };
  const safe = await askSafe(touchstone, account);
  if (safe === undefined) {
    throw unfit(
      account,
      "NoSafe",
      `${account} is a contract, but does not answer as a Safe does: whether it could act for the fleet is unknown. If it can, say so ` +
        'with contract: "other".',
    );
  }
  const { threshold, owners } = safe;
  if (threshold < 1n || BigInt(owners.length) < threshold) {
    throw unfit(
      account,
      "NoThreshold",
      `The Safe ${account} wants ${threshold} of ${owners.length} owners to act, so that it cannot: it is not set up. Give one that is.`,
    );
  }
  return { kind: "Safe", safe };
}

/** Undefined if the contract does not answer as a Safe. */
async function askSafe(touchstone: Touchstone, address: string): Promise<SafeAccount | undefined> {
  const question = async (name: "getThreshold" | "getOwners"): Promise<unknown> => {
    const data = safeAbi.encodeFunctionData(name);
    const answer = await touchstone.provider.call({ to: address, data }).catch((error: unknown) => {
      // Whoever refuses to answer is no Safe; whoever could not be asked may be one.
      if (decodeRevert(error) !== undefined) return "0x";
      throw toTouchstoneError(error);
    });
    try {
      return safeAbi.decodeFunctionResult(name, answer)[0];
    } catch {
      return undefined;
    }
  };
  const threshold = await question("getThreshold");
  const owners = await question("getOwners");
  if (typeof threshold !== "bigint" || owners === undefined) return undefined;
  return { address, threshold, owners: [...(owners as Iterable<string>)] };
}

function unfit(account: string, reason: string, message: string): TouchstoneError {
  return new TouchstoneError("GOVERNOR_UNFIT", message, { details: { account, reason } });
}
