import { readFile, stat } from "node:fs/promises";

import { z } from "zod";

import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { fileError } from "./files.js";
import { checkedSignedGrant, requirePlace, type SignedGrant } from "./signed-messages.js";
import { writeNewFile } from "./text-files.js";

const FORMAT = "touchstone-signed-grant/1";
const ASK = "ask whoever gave it for the file";

/** Larger files are no signed grant, whatever a contract takes for a signature. */
const MAX_SIGNED_GRANT_BYTES = 2 ** 18;

// ------------------------------------------------------------------ text

const address = z.string("is missing").regex(/^0x[0-9a-f]{40}$/i, "is no address");
const hash = z.string("is missing").regex(/^0x[0-9a-f]{64}$/i, "is not 32 bytes as 0x hex");
/** Numbers of the chain are decimal strings, which every reader of JSON keeps whole. */
const decimal = z
  .string("is no decimal string")
  .max(78, "is too long")
  .regex(/^(0|[1-9][0-9]*)$/, "is no whole number in decimal")
  .transform((text) => BigInt(text));

const signedGrantFile = z.strictObject({
  format: z.literal(FORMAT),
  chainId: decimal,
  contract: address,
  grant: z.strictObject({
    grantor: address,
    device: address,
    subject: address,
    permissions: decimal,
    purposes: decimal,
    notBefore: decimal,
    expiry: decimal,
    termsHash: hash,
    epoch: decimal,
    seq: decimal,
    deadline: decimal,
  }),
  signature: z.string("is missing").regex(/^0x([0-9a-f]{2})*$/i, "is not 0x hex"),
});

const KEYS = Object.keys(signedGrantFile.shape).length + Object.keys(signedGrantFile.shape.grant.shape).length;

/** A signed grant as text, to mail or to print: JSON that parseSignedGrant reads. */
export function formatSignedGrant(signed: SignedGrant): string {
  const { chainId, contract, grant, signature } = checkedSignedGrant(signed);
  const fields: z.input<typeof signedGrantFile> = {
    format: FORMAT,
    chainId: String(chainId),
    contract,
    grant: {
      ...grant,
      permissions: String(grant.permissions),
      purposes: String(grant.purposes),
      notBefore: String(grant.notBefore),
      expiry: String(grant.expiry),
      epoch: String(grant.epoch),
      seq: String(grant.seq),
      deadline: String(grant.deadline),
    },
    signature,
  };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

/**
 * Reads a signed grant. What it allows only verifyGrant says.
 *
 * @param options.touchstone The deployment that it must be for; any unless told.
 * @param options.source Where the text comes from, for people.
 * @throws TouchstoneError SIGNED_GRANT_INVALID; WRONG_CHAIN, WRONG_REGISTRY if it is for another deployment.
 */
export function parseSignedGrant(
  text: string,
  options: { touchstone?: Touchstone | undefined; source?: string } = {},
): SignedGrant {
  const { touchstone, source = "The text" } = options;
  const refuse = (fault: string, path: string, cause?: unknown): TouchstoneError =>
    new TouchstoneError("SIGNED_GRANT_INVALID", `${source} ${fault}: ${ASK}.`, { details: { source, path }, cause });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refuse(`is not JSON (${String(cause)})`, "", cause);
  }
  const { format } = z.looseObject({ format: z.unknown() }).safeParse(json).data ?? {};
  if (typeof format === "string" && format !== FORMAT) {
    throw refuse(`is of the format ${JSON.stringify(format.slice(0, 60))}, and this client reads ${FORMAT}`, "format");
  }
  const parsed = signedGrantFile.safeParse(json);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "it"}: ${issue.message}`);
    const path = parsed.error.issues[0]?.path.join(".") ?? "";
    throw refuse(`is no signed grant (${issues.join("; ").slice(0, 300)})`, path, parsed.error);
  }
  // JSON.parse takes the last of keys that stand twice, other readers the first. No value has a colon.
  if (text.split(":").length - 1 !== KEYS) throw refuse("has a key twice", "");
  let signed: SignedGrant;
  try {
    signed = checkedSignedGrant(parsed.data);
  } catch (error) {
    if (!(error instanceof TouchstoneError)) throw error;
    throw refuse(`is no signed grant (${error.message})`, String(error.details.argument), error);
  }
  if (touchstone !== undefined) requirePlace(touchstone, signed);
  return signed;
}

// ------------------------------------------------------------------ files

/**
 * Writes a signed grant to a new file, that only its owner may read: it says who shares what with whom, and whoever has it can
 * send it.
 *
 * @throws TouchstoneError FILE_EXISTS (nothing is overwritten), FILE_UNWRITABLE, CANCELLED, INVALID_ARGUMENT.
 */
export async function writeSignedGrant(options: {
  path: string;
  signed: SignedGrant;
  signal?: AbortSignal;
}): Promise<void> {
  const { path, signed, signal } = options;
  await writeNewFile({ path, content: [formatSignedGrant(signed)], isPrivate: true, signal });
}

/**
 * Reads a signed grant's file.
 *
 * @param options.touchstone The deployment that it must be for; any unless told.
 * @throws TouchstoneError FILE_MISSING, FILE_IS_DIRECTORY, FILE_UNREADABLE, FILE_EMPTY, INVALID_ARGUMENT (the path cannot be
 *         one); as parseSignedGrant.
 */
export async function readSignedGrant(options: { path: string; touchstone?: Touchstone }): Promise<SignedGrant> {
  const { path, touchstone } = options;
  let content: string;
  try {
    const { size } = await stat(path);
    if (size > MAX_SIGNED_GRANT_BYTES) {
      throw new TouchstoneError(
        "SIGNED_GRANT_INVALID",
        `${path} has ${size} bytes, which is too much for a signed grant: give the right file.`,
        { details: { source: path, path: "" } },
      );
    }
    content = await readFile(path, "utf8");
  } catch (error) {
    throw fileError(path, error);
  }
  if (content === "") {
    throw new TouchstoneError("FILE_EMPTY", `${path} is empty: ${ASK}.`, { details: { path } });
  }
  return parseSignedGrant(content, { touchstone, source: path });
}
