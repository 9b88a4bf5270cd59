import { dataLength } from "ethers";

import { bytesIn, requireHex } from "./arguments.js";
import { TouchstoneError } from "./errors.js";
import { proofBy, type KeyProof, type Prover } from "./keys.js";
import { ask } from "./reverts.js";
import type { TypedMessage } from "./typed-data.js";

/**
 * Has a key prove a message, or takes the proof that it made elsewhere, and checks the lengths of what comes.
 *
 * @param argument What the caller knows the key by, for messages.
 * @throws TouchstoneError SIGNING_FAILED if the key does not sign; CANCELLED, CHAIN_UNREACHABLE and the like from signers
 *         behind a node; INVALID_ARGUMENT for a public key or signature of another length than the contracts take.
 */
export async function askProof(argument: string, prover: Prover, message: TypedMessage): Promise<KeyProof> {
  // Callers without types reach this too.
  const given: unknown = prover;
  if (typeof given !== "object" || given === null) {
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `${argument}: ${String(given)} is neither a key nor a proof: give the key, or the proof that it made of this message.`,
      { details: { argument } },
    );
  }
  const { publicKey, signature } = await askKey(argument, () => proofBy(prover, message));
  requireHex(`${argument}.publicKey`, publicKey);
  requireHex(`${argument}.signature`, signature);
  if (publicKey !== "0x") {
    requireHex(`${argument}.publicKey`, publicKey, 64);
    if (dataLength(signature) !== 64) {
      throw new TouchstoneError(
        "INVALID_ARGUMENT",
        `${argument}.signature: ${signature} has ${bytesIn(dataLength(signature))}: give 64 bytes r ‖ s, as normalizeP256Signature ` +
          "makes them of DER.",
        { details: { argument, signature } },
      );
    }
  }
  return { publicKey, signature };
}

/** What goes wrong in a key, such as hardware that is locked, is no fault of a node. */
async function askKey<T>(argument: string, question: () => Promise<T>): Promise<T> {
  try {
    return await ask(question);
  } catch (error) {
    if (!(error instanceof TouchstoneError) || error.code !== "RPC_FAILED") throw error;
    const reason = error.cause instanceof Error ? error.cause.message : String(error.cause);
    throw new TouchstoneError("SIGNING_FAILED", `${argument} did not sign: ${reason}. Unlock or connect the key.`, {
      details: { argument },
      cause: error.cause,
    });
  }
}
