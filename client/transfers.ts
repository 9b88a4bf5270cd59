import { ZeroAddress } from "ethers";

import { requireAddress, requireUint } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { get } from "./devices.js";
import { listPublished, removalOf, type Published } from "./did-history.js";
import { TouchstoneError } from "./errors.js";
import type { KeyProof, Prover } from "./keys.js";
import { askProof } from "./proofs.js";
import { presentKeyOf } from "./public-keys.js";
import { ask } from "./reverts.js";
import { deadlineIn, send, type SendOptions, type Sent } from "./transactions.js";
import { redemptionMessage, transferAcceptanceMessage, transferVoucherMessage } from "./typed-data.js";

export type { Published } from "./did-history.js";

/** The message by which an owner gives a device away; the owner's governor signs it. */
export interface TransferVoucher {
  device: string;
  /** An account or a fleet handle; the zero address for a bearer voucher: whoever the device itself names. */
  newOwner: string;
  /** The device's epoch, with which the voucher dies. */
  epoch: bigint;
  /** Unix seconds. */
  deadline: bigint;
}

/** An offer that stands. */
export interface PendingTransfer {
  newOwner: string;
  /** Unix seconds; it can be accepted before. */
  expiry: bigint;
}

/** How a device comes to the sender: by the offer that stands, or by a voucher. */
export interface AcceptOptions extends SendOptions {
  /** The device's id. */
  device: string;
  /** The device's present public key, 64 bytes qx ‖ qy, or "0x" for an account; read from the chain unless told. */
  publicKey?: string;
}

/** How a device comes to its new owner by a voucher. */
export interface RedeemOptions extends SendOptions {
  voucher: TransferVoucher;
  /** The account of the owner's governor, or its proof over the voucher. */
  byOwner: Prover;
  /** Who becomes the owner; needed for a bearer voucher, else whom the voucher names. */
  newOwner?: string;
  /** The account of the new owner's governor, or its proof; left out if it sends. */
  byNewOwner?: Prover;
  /** For a bearer voucher the device's key, or its proof; ignored for a named one. */
  byDevice?: Prover;
  /** The device's present public key, 64 bytes qx ‖ qy, or "0x" for an account; read from the chain unless told. */
  publicKey?: string;
}

// ------------------------------------------------------------------ offers

/**
 * Offers a device to another owner; takes the place of an offer before. By the owner's governor.
 *
 * @param options.newOwner An account or a fleet handle.
 * @param options.validFor Seconds for which the offer stands; 7 days unless told.
 */
export async function propose(
  options: SendOptions & { device: string; newOwner: string; validFor?: bigint },
): Promise<Sent> {
  const { touchstone, validFor = 7n * 86_400n } = options;
  const device = requireAddress("device", options.device);
  const newOwner = requireAddress("newOwner", options.newOwner);
  const expiry = await deadlineIn(touchstone, validFor);
  return send(options, () => touchstone.deviceRegistry.proposeTransfer.populateTransaction(device, newOwner, expiry));
}

/** Takes back an offer. By the owner's governor. */
export async function cancel(options: SendOptions & { device: string }): Promise<Sent> {
  const device = requireAddress("device", options.device);
  return send(options, () => options.touchstone.deviceRegistry.cancelTransfer.populateTransaction(device));
}

/** Takes a device that was offered. By the new owner's governor; `handover` also cleans up after the former owner. */
export async function accept(options: AcceptOptions): Promise<Sent> {
  const { device, publicKey } = await accepting(options);
  return send(options, () => options.touchstone.deviceRegistry.acceptTransfer.populateTransaction(device, publicKey));
}

/** The offer of a device that stands, undefined if there is none. */
export async function pending(options: {
  touchstone: Touchstone;
  device: string;
}): Promise<PendingTransfer | undefined> {
  const device = requireAddress("device", options.device);
  const { newOwner, expiry } = await ask(() => options.touchstone.deviceRegistry.pendingTransferOf(device));
  return newOwner === ZeroAddress ? undefined : { newOwner, expiry };
}

// ------------------------------------------------------------------ vouchers

/**
 * Makes a voucher for the owner's governor to sign.
 *
 * @param options.newOwner An account or a fleet handle; left out for a bearer voucher, which the device itself must redeem.
 * @param options.validFor Seconds until which it can be redeemed; 30 days unless told.
 */
export async function newVoucher(options: {
  touchstone: Touchstone;
  device: string;
  newOwner?: string;
  validFor?: bigint;
}): Promise<TransferVoucher> {
  const { touchstone, newOwner = ZeroAddress, validFor = 30n * 86_400n } = options;
  const { id: device, status, epoch } = await get(options);
  if (status === "None" || status === "Retired") {
    throw new TouchstoneError("INVALID_ARGUMENT", `device: ${device} is ${status}, and nobody can give it away.`, {
      details: { device, status },
    });
  }
  return checkedVoucher({ device, newOwner, epoch, deadline: await deadlineIn(touchstone, validFor) });
}

/**
 * What the new owner, and for a bearer voucher the device, sign: the voucher with the new owner's name in it.
 * `transferAcceptanceMessage` and `redemptionMessage` make messages of it.
 */
export function termsOf(options: { voucher: TransferVoucher; newOwner?: string }): TransferVoucher {
  const voucher = checkedVoucher(options.voucher);
  const newOwner = options.newOwner === undefined ? voucher.newOwner : requireAddress("newOwner", options.newOwner);
  if (newOwner === ZeroAddress) {
    throw new TouchstoneError("INVALID_ARGUMENT", "newOwner: a bearer voucher names nobody: say who takes the device.");
  }
  return { ...voucher, newOwner };
}

/** Hands a device over by a voucher. Anyone may send, with the consent of all whom it concerns. */
export async function redeem(options: RedeemOptions): Promise<Sent> {
  const redeeming = await redeemingOf(options);
  return send(options, () => options.touchstone.deviceRegistry.redeemVoucher.populateTransaction(...redeeming));
}

// ------------------------------------------------------------------ handover

/** What `handover` did. */
export interface Handover extends Sent {
  /** What former owners published in the DID document and had not taken back. */
  published: Published[];
}

/**
 * Takes a device, by the offer that stands or by a voucher, and takes back in the same transaction all that former owners
 * published in its DID document. A resolver that keeps to ERC-1056 shows none of it after a handover anyway; others, such as
 * indexers that read events without following their links, are told by this. By the new owner's governor, who must send. If so
 * much was published that no transaction holds its removal, take the device with `accept` or `redeem`.
 *
 * @throws TouchstoneError as `accept` and `redeem`; INVALID_ARGUMENT if `byNewOwner` is given, as the new owner must send.
 */
export async function handover(options: AcceptOptions | Omit<RedeemOptions, "byNewOwner">): Promise<Handover> {
  const { touchstone } = options;
  const { interface: abi } = touchstone.deviceRegistry;
  if ("byNewOwner" in options && options.byNewOwner !== undefined) {
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      "byNewOwner: the new owner's governor must send, as it takes back what was published: leave it out, or use `redeem`.",
    );
  }
  const [device, taking] =
    "voucher" in options
      ? [options.voucher.device, abi.encodeFunctionData("redeemVoucher", await redeemingOf(options))]
      : await accepting(options).then(
          ({ device, publicKey }) => [device, abi.encodeFunctionData("acceptTransfer", [device, publicKey])] as const,
        );
  const { signal } = options;
  const published = await listPublished({ touchstone, device, ...(signal === undefined ? {} : { signal }) });
  const removals = published.map((item) => removalOf(abi, item));
  const sent = await send(options, () =>
    touchstone.deviceRegistry.multicall.populateTransaction([taking, ...removals]),
  );
  return { ...sent, published };
}

// ------------------------------------------------------------------ private

async function accepting(options: AcceptOptions): Promise<{ device: string; publicKey: string }> {
  return { device: requireAddress("device", options.device), publicKey: await presentKeyOf(options) };
}

async function redeemingOf(
  options: RedeemOptions,
): Promise<
  [
    TransferVoucher,
    string,
    { newOwner: string; deadline: bigint; signature: string },
    { deadline: bigint; publicKey: string; signature: string },
  ]
> {
  const { touchstone, byOwner, byNewOwner, byDevice } = options;
  const domain = touchstone.domains.DeviceRegistry;
  const terms = termsOf(options);
  const voucher = checkedVoucher(options.voucher);
  const redemption = await redemptionOf();
  const { signature } = await askProof("byOwner", byOwner, transferVoucherMessage(domain, voucher));
  const acceptance =
    byNewOwner === undefined
      ? "0x"
      : (await askProof("byNewOwner", byNewOwner, transferAcceptanceMessage(domain, terms))).signature;
  const { newOwner, deadline } = terms;
  return [voucher, signature, { newOwner, deadline, signature: acceptance }, { deadline, ...redemption }];

  async function redemptionOf(): Promise<KeyProof> {
    if (voucher.newOwner !== ZeroAddress) {
      return { publicKey: await presentKeyOf({ ...options, device: voucher.device }), signature: "0x" };
    }
    if (byDevice === undefined) {
      throw new TouchstoneError(
        "INVALID_ARGUMENT",
        "byDevice: a bearer voucher is redeemed with the device in hand: give its key, or its proof over the redemption.",
      );
    }
    return askProof("byDevice", byDevice, redemptionMessage(domain, terms));
  }
}

function checkedVoucher(voucher: TransferVoucher): TransferVoucher {
  return {
    device: requireAddress("device", voucher.device),
    newOwner: requireAddress("newOwner", voucher.newOwner),
    epoch: requireUint("epoch", voucher.epoch, 24),
    deadline: requireUint("deadline", voucher.deadline, 40),
  };
}
