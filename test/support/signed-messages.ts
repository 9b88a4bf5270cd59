import { getBytes, hexlify, isHexString } from "ethers";

import type { Key, KeyProof } from "../../client/keys.js";
import type { TypedMessage } from "../../client/typed-data.js";

/** A proof that must not be accepted for the message it is sent with, and why. */
export interface WrongProof {
  name: string;
  proof: KeyProof;
}

/**
 * Proofs that anyone could try for a message: by another key, for another chain or contract, and over the message with
 * each single field altered. The message that is sent is always the unaltered one.
 *
 * @param options.alter Fields that are structs or lists need a value to be altered to; others are altered by themselves.
 */
export async function wrongProofs(options: {
  key: Key;
  wrongKey: Key;
  message: TypedMessage;
  alter?: Record<string, unknown>;
}): Promise<WrongProof[]> {
  const { key, wrongKey, message } = options;
  const { domain, value } = message;
  const primary = Object.values(message.types)[0]!;
  const signed = (altered: TypedMessage): Promise<KeyProof> => key.prove(altered);
  const byWrongKey = await wrongKey.prove(message);
  const proofs: WrongProof[] = [
    { name: "by another key", proof: byWrongKey },
    { name: "by another key under this key's name", proof: { ...byWrongKey, publicKey: key.publicKey } },
    {
      name: "for another chain",
      proof: await signed({ ...message, domain: { ...domain, chainId: domain.chainId + 1n } }),
    },
    {
      name: "for another contract",
      proof: await signed({ ...message, domain: { ...domain, verifyingContract: wrongKey.id } }),
    },
    { name: "for another domain", proof: await signed({ ...message, domain: { ...domain, name: "Other" } }) },
  ];
  for (const { name, type } of primary) {
    const altered = options.alter?.[name] ?? alterValue(value[name], type);
    proofs.push({
      name: `with another ${name}`,
      proof: await signed({ ...message, value: { ...value, [name]: altered } }),
    });
  }
  return proofs;
}

/** A neighbouring value of the same type. */
function alterValue(value: unknown, type: string): unknown {
  if (type.startsWith("uint")) return BigInt(value as bigint | number) ^ 1n;
  if (isHexString(value)) {
    const bytes = getBytes(value, "value").slice();
    bytes[bytes.length - 1]! ^= 1;
    return hexlify(bytes);
  }
  throw new Error(`No way to alter a ${type}: say what to in "alter".`);
}
