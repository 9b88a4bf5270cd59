import { expect } from "chai";

import type { ErrorCode, TouchstoneError } from "../../client/errors.js";
import { ContractRevertError } from "../../client/reverts.js";

import { ethers } from "./chain.js";
import { errorOf } from "./errors.js";

/** The error of Touchstone that `act` ends with; fails if a transaction was mined on the way. */
export async function errorUnsent(code: ErrorCode, act: () => unknown): Promise<TouchstoneError> {
  const block = await ethers.provider.getBlockNumber();
  const error = await errorOf(code, act);
  expect(await ethers.provider.getBlockNumber(), "blocks").to.equal(block);
  return error;
}

/** Expects that a contract refuses with this error in the rehearsal, so that nothing is sent; returns the error's arguments. */
export async function refusedAs(errorName: string, act: () => unknown): Promise<Readonly<Record<string, unknown>>> {
  const error = await errorUnsent("CONTRACT_REVERTED", act);
  if (!(error instanceof ContractRevertError)) throw error;
  expect(error.errorName, error.message).to.equal(errorName);
  return error.args;
}
