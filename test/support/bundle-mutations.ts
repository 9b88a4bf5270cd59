type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A document that differs from another in one place. */
export interface Mutation {
  /** As `batches[0].anchor.root`. */
  path: string;
  /** What was done there, for people. */
  what: string;
  /** A new value each time. */
  document: unknown;
}

const DECIMAL = /^(0|[1-9]\d*)$/;
const HEX = /^0x([0-9a-f]{2})*$/;

/** Each byte of each hex and base64 value, each number and each word altered, and nothing else. */
export function* alteredValues(document: unknown, under = ""): Generator<Mutation> {
  for (const { path, value, replaced } of leaves(document as Json)) {
    if (!path.startsWith(under)) continue;
    for (const [what, other] of otherValues(value, path)) yield { path, what, document: replaced(other) };
  }
}

/** Each item of each list, and each field that may be missing, dropped; items said twice, and neighbours swapped. */
export function* alteredLists(document: unknown, optional: readonly string[]): Generator<Mutation> {
  for (const { path, value, replaced } of nodes(document as Json)) {
    if (Array.isArray(value)) {
      for (const index of value.keys()) {
        yield { path, what: `item ${index} dropped`, document: replaced(value.toSpliced(index, 1)) };
        yield { path, what: `item ${index} said twice`, document: replaced(value.toSpliced(index, 0, value[index]!)) };
        const next = value[index + 1];
        if (next === undefined || JSON.stringify(next) === JSON.stringify(value[index])) continue;
        const swapped = value.toSpliced(index, 2, next, value[index]!);
        yield { path, what: `items ${index} and ${index + 1} swapped`, document: replaced(swapped) };
      }
    } else if (typeof value === "object" && value !== null) {
      for (const key of optional.filter((each) => each in value)) {
        yield { path, what: `${key} dropped`, document: replaced(without(value, key)) };
      }
    }
  }
}

/** Shapes that are wrong, or nearly: each value replaced by others, each field dropped, and fields that nobody knows. */
export function* alteredShapes(document: unknown): Generator<Mutation> {
  const others: Json[] = [null, true, 0, -1, 1.5, 2 ** 53, "", "0", "0x", "00", "-1", "1e3", [], {}, "__proto__"];
  for (const { path, value, replaced } of nodes(document as Json)) {
    for (const other of others) {
      yield { path, what: `replaced by ${JSON.stringify(other)}`, document: replaced(other) };
    }
    if (typeof value === "string") {
      const texts = [
        value.toUpperCase(),
        `0${value}`,
        ` ${value}`,
        `${value}\n`,
        `${value}0`,
        value.slice(0, -1),
        value + value,
      ];
      for (const other of texts)
        yield { path, what: `replaced by ${JSON.stringify(other)}`, document: replaced(other) };
      yield { path, what: "replaced by 2^64", document: replaced(String(2n ** 64n)) };
    }
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const key of Object.keys(value)) {
        yield { path, what: `${key} dropped`, document: replaced(without(value, key)) };
      }
      yield { path, what: "field added", document: replaced({ ...value, more: 1 }) };
    }
    if (Array.isArray(value)) yield { path, what: "null added", document: replaced([...value, null]) };
  }
}

// ------------------------------------------------------------------ private

function without(object: Record<string, Json>, key: string): Json {
  return Object.fromEntries(Object.entries(object).filter(([each]) => each !== key));
}

interface Node {
  path: string;
  value: Json;
  /** The document with another value here. */
  replaced: (value: Json) => Json;
}

function* nodes(value: Json, path = "", replaced: Node["replaced"] = (other) => other): Generator<Node> {
  yield { path, value, replaced };
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      yield* nodes(item, `${path}[${index}]`, (other) => replaced(value.with(index, other)));
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      yield* nodes(item, path === "" ? key : `${path}.${key}`, (other) => replaced({ ...value, [key]: other }));
    }
  }
}

function* leaves(document: Json): Generator<Node> {
  for (const node of nodes(document)) if (typeof node.value !== "object") yield node;
}

function* otherValues(value: Json, path: string): Generator<[what: string, value: Json]> {
  if (typeof value === "number") {
    for (const other of [value + 1, value - 1]) yield [`${other}`, other];
  } else if (typeof value !== "string") {
    return;
  } else if (path.endsWith("payload")) {
    for (const [what, bytes] of otherBytes(Buffer.from(value, "base64"))) yield [what, bytes.toString("base64")];
  } else if (HEX.test(value)) {
    for (const [what, bytes] of otherBytes(Buffer.from(value.slice(2), "hex")))
      yield [what, `0x${bytes.toString("hex")}`];
  } else if (DECIMAL.test(value)) {
    for (const other of [BigInt(value) + 1n, BigInt(value) * 10n + 7n, BigInt(value) - 1n])
      yield [`${other}`, `${other}`];
  } else {
    const words = ["Data", "Gap", "Correction", "Receipts", "Keccak256", "Sha256", "None", "Confirmed", "TooOld"];
    const schemes = ["Account", "AccountContract", "P256", "P256Sha256"];
    for (const other of [...words, ...schemes, `${value}x`].filter((word) => word !== value)) yield [other, other];
  }
}

/** Each byte with one bit flipped, one byte more and one less. */
function* otherBytes(bytes: Buffer): Generator<[what: string, bytes: Buffer]> {
  for (const index of bytes.keys()) {
    const other = Buffer.from(bytes);
    other.writeUInt8(bytes.readUInt8(index) ^ (1 << (index % 8)), index);
    yield [`byte ${index} altered`, other];
  }
  yield ["a byte added", Buffer.concat([bytes, Buffer.from([0])])];
  if (bytes.length > 0) yield ["a byte dropped", bytes.subarray(0, -1)];
}
