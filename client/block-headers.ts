import { decodeRlp, encodeRlp, isHexString, keccak256, stripZerosLeft, type RlpStructuredData } from "ethers";

/** What state proofs need of a block. */
export interface BlockHeader {
  /** 32 bytes as 0x hex: keccak256 of the header. */
  hash: string;
  number: bigint;
  /** Unix seconds. */
  timestamp: bigint;
  /** 32 bytes as 0x hex. */
  stateRoot: string;
}

type Encoding = "bytes" | "number";

/** The fields of a header by the names of JSON-RPC, in their order; forks have added those from baseFeePerGas on, one by one. */
const FIELDS: readonly (readonly [name: string, encoding: Encoding])[] = [
  ["parentHash", "bytes"],
  ["sha3Uncles", "bytes"],
  ["miner", "bytes"],
  ["stateRoot", "bytes"],
  ["transactionsRoot", "bytes"],
  ["receiptsRoot", "bytes"],
  ["logsBloom", "bytes"],
  ["difficulty", "number"],
  ["number", "number"],
  ["gasLimit", "number"],
  ["gasUsed", "number"],
  ["timestamp", "number"],
  ["extraData", "bytes"],
  ["mixHash", "bytes"],
  ["nonce", "bytes"],
  ["baseFeePerGas", "number"],
  ["withdrawalsRoot", "bytes"],
  ["blobGasUsed", "number"],
  ["excessBlobGas", "number"],
  ["parentBeaconBlockRoot", "bytes"],
  ["requestsHash", "bytes"],
];

/** Those of the first Ethereum; none has fewer. */
const OLDEST_FIELDS = 15;
const [STATE_ROOT, NUMBER, TIMESTAMP] = [3, 8, 11] as const;

/**
 * The header of a block in RLP.
 *
 * @param block As a node gives it for eth_getBlockByNumber.
 * @returns undefined if its hash is not the block's: the chain's headers have other fields.
 */
export function encodeHeader(block: Readonly<Record<string, unknown>>): string | undefined {
  const fields: string[] = [];
  for (const [name, encoding] of FIELDS) {
    const value = block[name];
    if (!isHexString(value)) break;
    fields.push(encoding === "bytes" ? value : stripZerosLeft(evenHex(value)));
  }
  if (fields.length < OLDEST_FIELDS || fields.some((field) => field.length % 2 !== 0)) return undefined;
  const header = encodeRlp(fields);
  return keccak256(header) === block.hash ? header : undefined;
}

/**
 * Reads the header of a block. Whether it is that of a block that anyone knows, its hash says.
 *
 * @param header RLP as 0x hex.
 * @returns undefined if it is no header.
 */
export function decodeHeader(header: string): BlockHeader | undefined {
  const fields = decodedList(header);
  if (fields === undefined || fields.length < OLDEST_FIELDS) return undefined;
  const [stateRoot, number, timestamp] = [fields[STATE_ROOT], fields[NUMBER], fields[TIMESTAMP]];
  if (!isHexString(stateRoot, 32)) return undefined;
  return { hash: keccak256(header), number: numberOf(number), timestamp: numberOf(timestamp), stateRoot };
}

/** The items of an RLP list; undefined if it is none. */
export function decodedList(rlp: string): readonly RlpStructuredData[] | undefined {
  try {
    const decoded = decodeRlp(rlp);
    return typeof decoded === "string" ? undefined : decoded;
  } catch {
    return undefined;
  }
}

function numberOf(field: RlpStructuredData | undefined): bigint {
  return typeof field === "string" && field !== "0x" ? BigInt(field) : 0n;
}

function evenHex(quantity: string): string {
  return quantity.length % 2 === 0 ? quantity : `0x0${quantity.slice(2)}`;
}
