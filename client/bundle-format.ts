import { z } from "zod";

import type { AnchorRecord } from "./anchors.js";
import { anchorKinds, freshStates, treeHashes } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";

const TYPE = "touchstone-proof-bundle";
const VERSION = 1;

/** A bundle's text is refused beyond this; larger ranges are several bundles. */
export const MAX_BUNDLE_BYTES = 2 ** 25;
/** JSON of a bundle nests six levels deep; more is none. */
const MAX_DEPTH = 8;
const MAX_BATCHES = 4096;
const MAX_READINGS = 2 ** 19;
/** 1.5 MB of payload. */
const MAX_BASE64 = 2 ** 21;
const MAX_BLOB_BYTES = 4096;
/** A tree of 2^64 leaves has proofs of 64 hashes; a proof of a range has two for each level. */
const MAX_PATH = 64;
const MAX_RANGE_PATH = 128;
/** A path in a state trie has a node for each half byte of a hash, at most. */
const MAX_TRIE_PATH = 65;

// ------------------------------------------------------------------ values

/** What is written in one way only, so that no two bundles that differ mean the same. */
const uint = (bits: number): z.ZodString =>
  z
    .string("is no whole number in quotes")
    .regex(
      new RegExp(`^(?:${decimalsUpTo(2n ** BigInt(bits) - 1n)})$`),
      `is no whole number from 0 to 2^${bits} - 1 in quotes, without leading zeros`,
    );

const hex = (bytes: number): z.ZodString =>
  z
    .string("is no hex in quotes")
    .regex(new RegExp(`^0x[0-9a-f]{${2 * bytes}}$`), `is not ${bytes} bytes as lower-case 0x hex`);

/** Values that stand in many places have a name in the schema. */
const uint40 = uint(40).meta({ id: "uint40" });
const uint48 = uint(48).meta({ id: "uint48" });
const uint64 = uint(64).meta({ id: "uint64" });
const hash = hex(32).meta({ id: "bytes32" });
const address = hex(20).meta({ id: "address" });

const blob = z
  .string("is no hex in quotes")
  .max(2 + 2 * MAX_BLOB_BYTES, { error: `has more than ${MAX_BLOB_BYTES} bytes`, abort: true })
  .regex(/^0x(?:[0-9a-f]{2})*$/, "is no whole bytes as lower-case 0x hex")
  .meta({ id: "bytes" });

const base64 = z
  .string("is no base64 in quotes")
  .max(MAX_BASE64, { error: `is longer than ${MAX_BASE64} characters`, abort: true })
  .regex(
    // The last digit before the padding has bits that say nothing: they are zero.
    /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/,
    "is no base64 (RFC 4648, section 4, with padding)",
  );

const smallNumber = (largest: number): z.ZodNumber => {
  const message = `is no whole number from 0 to ${largest}`;
  return z.int(message).min(0, message).max(largest, message);
};

/** Has these fields, and no other. */
const object = <T extends z.core.$ZodLooseShape>(fields: T): z.ZodObject<T, z.core.$strict> =>
  z.strictObject(fields, "is no object");

// ------------------------------------------------------------------ the document

/** How a list is read: for the schema as it is, for the parser up to its first fault. */
type List = <T extends z.ZodType>(item: T, most: number) => z.ZodType<z.output<T>[], z.input<T>[]>;

const reading = z.union(
  [
    object({
      measuredAt: uint48.describe("Unix milliseconds."),
      contentFormat: smallNumber(0xffff).describe("CoAP Content-Format number of the payload (RFC 7252)."),
      payload: base64.describe("The exact bytes that were measured."),
    }),
    object({
      measuredAt: uint48.describe("Unix milliseconds."),
      commitment: hash.describe("Salted hash of the content, which was erased or is withheld."),
    }),
  ],
  "has neither contentFormat and payload, nor a commitment in their place",
);

const seed = object({
  height: smallNumber(32),
  index: smallNumber(2 ** 32 - 1),
  seed: hex(16),
});

const anchorOf = object({
  index: uint64,
  kind: z.enum(anchorKinds, `is none of ${anchorKinds.join(", ")}`),
  tree: z.enum(treeHashes, `is none of ${treeHashes.join(", ")}`),
  firstSeq: uint64,
  count: uint64,
  tFirst: uint48.describe("Unix milliseconds."),
  tLast: uint48.describe("Unix milliseconds."),
  supersedes: uint64,
  freshBlock: uint64,
  freshState: z.enum(freshStates, `is none of ${freshStates.join(", ")}`),
  root: hash,
  timestamp: uint64.describe("Unix seconds of the anchor's block."),
  author: address,
});

/** How the signature of an anchor is checked; an account that is a contract is asked, which takes its chain. */
export const signatureSchemes = ["Account", "AccountContract", "P256", "P256Sha256"] as const;

const signed = object({
  freshHash: hash,
  deadline: uint40.describe("Unix seconds."),
  scheme: z.enum(signatureSchemes, `is none of ${signatureSchemes.join(", ")}`),
  publicKey: z
    .string("is no hex in quotes")
    .regex(/^0x(?:[0-9a-f]{128})?$/, 'is neither 64 bytes as lower-case 0x hex nor "0x"'),
  signature: blob,
});

const batchOf = (list: List) =>
  object({
    anchor: anchorOf.describe("The record of the anchor in the log, without the log's id."),
    readings: list(reading, MAX_READINGS).describe("The readings of the batch that are in the range, in their order."),
    seeds: list(seed, MAX_READINGS).describe("The nodes of the seed tree that cover just the readings with a payload."),
    rangeProof: list(hash, MAX_RANGE_PATH).describe("From the readings to the anchor's root."),
    peakProof: list(hash, MAX_PATH).describe("From the anchor to the peak of the log that holds it."),
    signed: signed.optional().describe("What the device signed besides the record; not in logs of fleets."),
  });

const bundleOf = (list: List) =>
  object({
    type: z.literal(TYPE, `is not "${TYPE}"`),
    version: z.literal(VERSION, `is not ${VERSION}, the version that this client reads`),
    chainId: uint64,
    dataAnchor: address.describe("The contract that holds the log."),
    logId: hash,
    range: object({ firstSeq: uint64, count: uint64 }).describe("The readings that the bundle proves."),
    log: z
      .strictObject({
        size: uint64.describe("Number of anchors in the log after this block."),
        block: object({ number: uint64, hash: hash }),
      })
      .describe("The state of the log that the proofs hold for."),
    batches: list(batchOf(list), MAX_BATCHES).describe("The anchors that touch the range, in the order of the log."),
    state: z
      .strictObject({
        header: blob.describe("The block's header in RLP; its keccak256 is the block's hash."),
        accountProof: list(blob, MAX_TRIE_PATH).describe("From the header's state root to the contract's account."),
        headProof: list(blob, MAX_TRIE_PATH).describe("From the account's storage root to the head of the log."),
        peakProofs: list(object({ height: smallNumber(63), proof: list(blob, MAX_TRIE_PATH) }), MAX_PATH).describe(
          "From the storage root to the peaks of the log, the lowest first.",
        ),
      })
      .optional()
      .describe("What proves the log to who trusts the hash of the block."),
  });

const wholeList: List = (item, most) => z.array(item).max(most);

/** A list of garbage must not make as many faults as it has items: the first is enough. */
const listToFirstFault: List = <T extends z.ZodType>(item: T, most: number) =>
  z
    .array(z.unknown(), "is no list")
    .max(most, `has more than ${most} items`)
    .transform((values, context) => {
      const items: z.output<T>[] = [];
      for (const [index, value] of values.entries()) {
        const parsed = item.safeParse(value);
        if (parsed.success) {
          items.push(parsed.data);
          continue;
        }
        for (const issue of parsed.error.issues) {
          context.issues.push({ ...issue, path: [index, ...issue.path], input: value } as z.core.$ZodRawIssue);
        }
        return z.NEVER;
      }
      return items;
    }) as unknown as z.ZodType<z.output<T>[], z.input<T>[]>;

const bundleFile = bundleOf(listToFirstFault);

/**
 * What proves a range of readings, as its JSON has it: see the schema, client/bundle-schema.json. Numbers of the chain are
 * decimal, in quotes; bytes are lower-case 0x hex, payloads base64.
 */
export type ProofBundle = z.output<typeof bundleFile>;
export type BundleBatch = ProofBundle["batches"][number];
export type BundleReading = BundleBatch["readings"][number];
export type BundleSeed = BundleBatch["seeds"][number];
export type BundleState = NonNullable<ProofBundle["state"]>;
export type SignedAnchor = NonNullable<BundleBatch["signed"]>;
export type SignatureScheme = SignedAnchor["scheme"];

/** The JSON Schema of bundles (draft 2020-12): what it takes, parseBundle takes, but for keys that stand twice and for size. */
export function bundleJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(bundleOf(wholeList), { target: "draft-2020-12" });
  return {
    $schema,
    $id: "urn:touchstone:proof-bundle:1",
    title: "Touchstone proof bundle",
    description: "Proves a range of readings of one log.",
    ...schema,
  };
}

// ------------------------------------------------------------------ reading and writing

/**
 * Reads a bundle. What it proves only verifyBundle says.
 *
 * @param input Its text, or what JSON.parse makes of it.
 * @throws TouchstoneError BUNDLE_INVALID, naming the place in the JSON; `details.path` has it.
 */
export function parseBundle(input: unknown): ProofBundle {
  const json = typeof input === "string" ? parseJson(input) : input;
  const parsed = bundleFile.safeParse(json);
  if (!parsed.success) throw invalidAt(parsed.error.issues);
  if (typeof input === "string") requireUniqueKeys(input, json);
  return parsed.data;
}

/**
 * A bundle as text that parseBundle reads.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is larger than a bundle may be.
 */
export function formatBundle(bundle: ProofBundle): string {
  const text = `${JSON.stringify(bundle, undefined, 1)}\n`;
  if (text.length > MAX_BUNDLE_BYTES) {
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `The bundle has ${text.length} bytes, and may have ${MAX_BUNDLE_BYTES}: make several of smaller ranges.`,
      { details: { bytes: text.length, largest: MAX_BUNDLE_BYTES } },
    );
  }
  return text;
}

/** The anchor of a batch, as the chain has it. */
export function recordIn(bundle: Pick<ProofBundle, "logId">, { anchor }: Pick<BundleBatch, "anchor">): AnchorRecord {
  return {
    logId: bundle.logId,
    index: BigInt(anchor.index),
    kind: anchor.kind,
    tree: anchor.tree,
    firstSeq: BigInt(anchor.firstSeq),
    count: BigInt(anchor.count),
    tFirst: BigInt(anchor.tFirst),
    tLast: BigInt(anchor.tLast),
    supersedes: BigInt(anchor.supersedes),
    freshBlock: BigInt(anchor.freshBlock),
    freshState: anchor.freshState,
    root: anchor.root,
    timestamp: BigInt(anchor.timestamp),
    author: anchor.author,
  };
}

/** The anchor as a bundle has it. */
export function anchorIn(record: AnchorRecord): BundleBatch["anchor"] {
  return {
    index: String(record.index),
    kind: record.kind,
    tree: record.tree,
    firstSeq: String(record.firstSeq),
    count: String(record.count),
    tFirst: String(record.tFirst),
    tLast: String(record.tLast),
    supersedes: String(record.supersedes),
    freshBlock: String(record.freshBlock),
    freshState: record.freshState,
    root: record.root.toLowerCase(),
    timestamp: String(record.timestamp),
    author: record.author.toLowerCase(),
  };
}

export function invalidBundle(
  message: string,
  details: Record<string, unknown> = {},
  cause?: unknown,
): TouchstoneError {
  return new TouchstoneError("BUNDLE_INVALID", message, { details, cause });
}

// ------------------------------------------------------------------ private

function parseJson(text: string): unknown {
  if (text.length > MAX_BUNDLE_BYTES) {
    throw invalidBundle(
      `The text has ${text.length} characters, and a bundle at most ${MAX_BUNDLE_BYTES}: ask for bundles of smaller ranges.`,
      { length: text.length, largest: MAX_BUNDLE_BYTES },
    );
  }
  if (depthOf(text) > MAX_DEPTH) throw invalidBundle("The text nests deeper than any bundle: give a bundle.");
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw invalidBundle(`The text is no bundle: it is not JSON (${String(cause)}).`, {}, cause);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Calls with each character outside of strings. Where the text is not JSON, the parser says so. */
function forStructure(text: string, act: (character: number) => boolean): void {
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (inString) {
      if (character === BACKSLASH) at += 1;
      else if (character === QUOTE) inString = false;
    } else if (character === QUOTE) {
      inString = true;
    } else if (!act(character)) {
      return;
    }
  }
}

/** How deep lists and objects nest, as far as MAX_DEPTH is not passed. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  forStructure(text, (character) => {
    if (character === 0x5b || character === 0x7b) depth += 1;
    if (character === 0x5d || character === 0x7d) depth -= 1;
    deepest = Math.max(deepest, depth);
    return deepest <= MAX_DEPTH;
  });
  return deepest;
}

/** JSON.parse takes the last of keys that stand twice, other readers the first: then the two would read different bundles. */
function requireUniqueKeys(text: string, json: unknown): void {
  let written = 0;
  forStructure(text, (character) => {
    if (character === COLON) written += 1;
    return true;
  });
  if (written !== membersOf(json)) {
    throw invalidBundle("The text has a key twice in one object: which of the two counts, no reader can know.");
  }
}

/** Number of keys; the shape of the value is known by now, and so how deep it is. */
function membersOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  let members = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const each of Object.values(value)) members += membersOf(each);
  return members;
}

/** The fault that reaches deepest into the document: of the two things that a reading may be, what it nearly is. */
function invalidAt(issues: readonly z.core.$ZodIssue[]): TouchstoneError {
  const [issue] = issues;
  if (issue === undefined) return invalidBundle("It is no bundle.");
  const nested =
    issue.code === "invalid_union" ? issue.errors.toSorted((a, b) => a.length - b.length)[0]?.[0] : undefined;
  const inner = nested === undefined || nested.code === "unrecognized_keys" ? issue : nested;
  const keys = inner.code === "unrecognized_keys" ? inner.keys : [];
  const path = pathOf(inner === issue ? issue.path : [...issue.path, ...inner.path]);
  const [unknown] = keys;
  if (unknown !== undefined) {
    const field = path === "" ? unknown : `${path}.${unknown}`;
    return invalidBundle(`It is no bundle: ${shortened(field)} is a field that no bundle has.`, { path: field });
  }
  return invalidBundle(`It is no bundle: ${path === "" ? "it" : path} ${inner.message}.`, { path });
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text === "" ? "" : "."}${String(key)}`),
    "",
  );
}

function shortened(text: string): string {
  return text.length > 140 ? `${text.slice(0, 140)}…` : text;
}

/** A pattern of the decimals from 0 to `largest`, which has at least two digits. */
function decimalsUpTo(largest: bigint): string {
  const digits = String(largest);
  const patterns = ["0", `[1-9][0-9]{0,${digits.length - 2}}`];
  for (let place = 0; place < digits.length; place += 1) {
    const lowest = place === 0 ? 1 : 0;
    const digit = Number(digits[place]);
    if (digit <= lowest) continue;
    patterns.push(`${digits.slice(0, place)}[${lowest}-${digit - 1}][0-9]{${digits.length - 1 - place}}`);
  }
  return [...patterns, digits].join("|");
}
