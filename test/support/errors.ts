import { expect } from "chai";

import { TouchstoneError, type ErrorCode } from "../../client/errors.js";

/** The error of Touchstone that `act` ends with; fails if it ends well, with another error or with another code. */
export async function errorOf(code: ErrorCode, act: () => unknown): Promise<TouchstoneError> {
  let result: unknown;
  try {
    result = await act();
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    expect(error.code, error.message).to.equal(code);
    return error;
  }
  return expect.fail(`expected ${code}, got ${String(result)}`);
}
