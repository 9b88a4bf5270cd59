import {
  toBeHex,
  type Interface,
  type Log,
  type LogDescription,
  type ParamType,
  type Result,
  type TransactionReceipt,
} from "ethers";

import type {
  DataAccess,
  DataAnchor,
  DeviceRegistry,
  FirmwareRegistry,
  RoleRegistry,
} from "../typechain-types/index.js";
import type { TypedContractEvent, TypedEventLog } from "../typechain-types/common.js";
import { contractNames, type ContractName } from "./abi.js";
import { requireAddress, requireHex, requireUint } from "./arguments.js";
import { latestBlock } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { ask, toTouchstoneError } from "./reverts.js";

// ------------------------------------------------------------------ what an event is

interface ContractTypes {
  RoleRegistry: RoleRegistry;
  DeviceRegistry: DeviceRegistry;
  DataAccess: DataAccess;
  DataAnchor: DataAnchor;
  FirmwareRegistry: FirmwareRegistry;
}

/** The generated typings list each event by its name and by its signature; these are the names of what the contracts emit. */
type NamesOf<Filters> = Exclude<Extract<keyof Filters, string>, `${string}(${string}` | "EIP712DomainChanged">;

/** Structs as plain objects: the generated typings say tuple and object at once. */
type Plain<T> = T extends bigint | string | boolean
  ? T
  : "0" extends keyof T
    ? { -readonly [K in Exclude<keyof T, keyof unknown[] | `${number}`>]: Plain<T[K]> }
    : T extends readonly (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T;

type ArgsOf<E> = E extends TypedContractEvent ? Plain<TypedEventLog<E>["args"]> : never;

/** The place of an event in the chain. As JSON it can be kept, to resume from. */
export interface Cursor {
  /** Number of the block. */
  block: number;
  /** Number of the log in the block. */
  logIndex: number;
}

interface EventPlace {
  /** Give it as `after` to go on behind this event. */
  cursor: Cursor;
  blockHash: string;
  transactionHash: string;
}

type EventOf<C extends ContractName> = {
  [N in NamesOf<ContractTypes[C]["filters"]>]: EventPlace & {
    contract: C;
    name: N;
    /** The arguments by their names, structs as plain objects. */
    args: ArgsOf<ContractTypes[C]["filters"][N]>;
  };
}[NamesOf<ContractTypes[C]["filters"]>];

/** Any event of the contracts: `contract` and `name` say which, and so what `args` has. */
export type TouchstoneEvent = { [C in ContractName]: EventOf<C> }[ContractName];

/** The events of one name. */
export type TouchstoneEventNamed<N extends TouchstoneEvent["name"]> = Extract<TouchstoneEvent, { name: N }>;

// ------------------------------------------------------------------ reading a receipt

/** The events of the contracts that a transaction made, in their order. */
export function eventsIn(touchstone: Touchstone, receipt: TransactionReceipt): TouchstoneEvent[] {
  return receipt.logs.flatMap((log) => parseLog(touchstone, log) ?? []);
}

// ------------------------------------------------------------------ reading the chain

/** Which part of the chain to read, and how. */
export interface ReadRange {
  /** Go on behind this event; takes the place of `fromBlock`. */
  after?: Cursor;
  /** First block to read; that of the deployment unless told. */
  fromBlock?: number;
  /** Last block to read; the chain's latest, at the time of the call, unless told. */
  toBlock?: number;
  /** Blocks to ask for at once, at first; 10,000 unless told. Halved whenever the provider refuses. */
  pageBlocks?: number;
  /** Called when a page was read, also if it held nothing, and before its events are handed out. */
  onPage?: (page: { fromBlock: number; toBlock: number; events: number }) => void;
  signal?: AbortSignal;
}

/** Which events to read: with none of these all; with several those that any of them selects. */
export interface EventFilter {
  /** Events of these contracts only. */
  contracts?: readonly ContractName[];
  /** Events about these devices, in DeviceRegistry and DataAccess, by their ids. */
  devices?: readonly string[];
  /** Anchors of these logs, by their ids. */
  logs?: readonly string[];
  /** Events about these firmware products, by their ids. */
  products?: readonly string[];
  /** Events about these fleets' roles, by the owners' ids. */
  fleets?: readonly string[];
  /** Events about these manifests, by their numbers. */
  manifests?: readonly bigint[];
  /** Events about the manifests of these makers, by the vendors' ids. */
  makers?: readonly string[];
  /** Events of RoleRegistry, DeviceRegistry and DataAccess that name these accounts as whom they concern or who made them. */
  accounts?: readonly string[];
}

/**
 * Reads events in the order of the chain, page by page.
 *
 * @throws TouchstoneError INVALID_ARGUMENT, CHAIN_UNREACHABLE, RPC_FAILED (even a single block is refused), CANCELLED.
 * @example
 * for await (const event of readEvents({ touchstone, devices: [device], after: lastSeen })) {
 *   if (event.name === "AccessGranted") console.log(event.args.subject);
 *   lastSeen = event.cursor;
 * }
 */
export async function* readEvents(
  options: { touchstone: Touchstone } & EventFilter & ReadRange,
): AsyncGenerator<TouchstoneEvent, void, undefined> {
  const { touchstone } = options;
  yield* readQueries(touchstone, queriesOf(touchstone, options), options);
}

/**
 * Reads the events of one block by its hash, in their order. A node that does not have the block says so, where one that is
 * asked for numbers beyond its head may answer that there are no events.
 *
 * @throws TouchstoneError INVALID_ARGUMENT, CHAIN_UNREACHABLE, RPC_FAILED (the node does not have the block, or answers for another).
 */
export async function readBlockEvents(
  options: { touchstone: Touchstone; blockHash: string } & EventFilter,
): Promise<TouchstoneEvent[]> {
  const { touchstone, blockHash } = options;
  const logs = await ask(() => logsOf(touchstone, queriesOf(touchstone, options), { blockHash }));
  const foreign = logs.find((log) => log.blockHash !== blockHash);
  if (foreign !== undefined) {
    throw new TouchstoneError("RPC_FAILED", `The node answered for block ${foreign.blockHash}, not ${blockHash}.`, {
      details: { blockHash, answered: foreign.blockHash },
    });
  }
  return logs.flatMap((log) => parseLog(touchstone, log) ?? []);
}

/** An event in the life of a device, with its time. */
export interface AuditEntry {
  event: TouchstoneEvent;
  /** Unix seconds of the event's block. */
  timestamp: bigint;
}

/**
 * Reads everything about one device from all contracts, in the order of the chain: enrolment, status, DID document, grants
 * and policies, and the anchors of its own logs.
 *
 * @throws TouchstoneError as readEvents.
 */
export async function* auditTrail(
  options: { touchstone: Touchstone; device: string } & ReadRange,
): AsyncGenerator<AuditEntry, void, undefined> {
  const { touchstone } = options;
  const device = requireAddress("device", options.device);
  const keys = await keysOf(touchstone, device, options.signal);
  const queries: LogQuery[] = [
    {
      addresses: [touchstone.addresses.DeviceRegistry, touchstone.addresses.DataAccess],
      topics: [null, [topicOf(device)]],
    },
    // The streams of a device cannot be listed, but one of its keys is the author of whatever its logs hold.
    {
      addresses: [touchstone.addresses.DataAnchor],
      topics: [null, null, null, keys.map(topicOf)],
    },
  ];
  let latest: AuditEntry | undefined;
  for await (const event of readQueries(touchstone, queries, options)) {
    if (event.name === "Anchored" && !event.args.logId.startsWith(device.toLowerCase())) continue;
    const timestamp: bigint =
      latest?.event.cursor.block === event.cursor.block
        ? latest.timestamp
        : await timestampOf(touchstone, event.cursor.block);
    latest = { event, timestamp };
    yield latest;
  }
}

/** Every key that ever spoke for the device: its factory key, and those that were put in its place. */
async function keysOf(touchstone: Touchstone, device: string, signal: AbortSignal | undefined): Promise<string[]> {
  const keys = [device];
  const range = signal === undefined ? {} : { signal };
  for await (const { args } of readKeyRotations({ touchstone, device, ...range })) keys.push(args.newKey);
  return keys;
}

/**
 * Reads when each further key was put in the place of the one before, and nothing else of the device.
 *
 * @param options.device As requireAddress gives it.
 * @throws TouchstoneError as readEvents.
 */
export async function* readKeyRotations(
  options: { touchstone: Touchstone; device: string } & ReadRange,
): AsyncGenerator<TouchstoneEventNamed<"KeyRotated">, void, undefined> {
  const { touchstone, device } = options;
  const query = {
    addresses: [touchstone.addresses.DeviceRegistry],
    topics: [[touchstone.deviceRegistry.filters.KeyRotated.fragment.topicHash], [topicOf(device)]],
  };
  for await (const event of readQueries(touchstone, [query], options)) {
    if (event.name === "KeyRotated") yield event;
  }
}

// ------------------------------------------------------------------ queries

interface LogQuery {
  addresses: string[];
  topics: (null | string[])[];
}

function queriesOf(touchstone: Touchstone, filter: EventFilter): LogQuery[] {
  const { devices, logs, products, fleets, manifests, makers, accounts } = filter;
  const wanted = (contracts: readonly ContractName[]): string[] =>
    contracts
      .filter((contract) => filter.contracts?.includes(contract) ?? true)
      .map((contract) => touchstone.addresses[contract]);
  if ([devices, logs, products, fleets, manifests, makers, accounts].every((ids) => ids === undefined)) {
    return [{ addresses: wanted(contractNames), topics: [] }];
  }
  // Every event of the contracts has the id of what it is about as its first indexed argument.
  const about = (contracts: readonly ContractName[], ids: string[]): LogQuery[] =>
    inParts(ids).map((part) => ({ addresses: wanted(contracts), topics: [null, part] }));
  return [
    ...about(
      ["DeviceRegistry", "DataAccess"],
      (devices ?? []).map((device) => topicOf(requireAddress("devices", device))),
    ),
    ...about(
      ["DataAnchor"],
      (logs ?? []).map((log) => requireHex("logs", log, 32)),
    ),
    ...about(
      ["FirmwareRegistry"],
      (products ?? []).map((product) => requireHex("products", product, 32)),
    ),
    ...about(
      ["RoleRegistry"],
      (fleets ?? []).map((fleet) => topicOf(requireAddress("fleets", fleet))),
    ),
    ...manifestQueries(touchstone, wanted(["DeviceRegistry"]), filter),
    ...accountQueries(wanted(["RoleRegistry", "DeviceRegistry", "DataAccess"]), accounts ?? []),
  ];
}

/** Behind what an event is about, its indexed arguments are accounts. */
function accountQueries(addresses: string[], accounts: readonly string[]): LogQuery[] {
  const ids = accounts.map((account) => topicOf(requireAddress("accounts", account)));
  return inParts(ids).flatMap((part) => [
    { addresses, topics: [null, null, part] },
    { addresses, topics: [null, null, null, part] },
  ]);
}

/** Nodes take no more than 1,000 ids in one place of a query. */
const IDS_AT_ONCE = 500;

function inParts(ids: readonly string[]): string[][] {
  const parts = Math.ceil(ids.length / IDS_AT_ONCE);
  return Array.from({ length: parts }, (_, part) => ids.slice(part * IDS_AT_ONCE, (part + 1) * IDS_AT_ONCE));
}

/** Only these events have the number of a manifest first, and the maker second. */
function manifestQueries(touchstone: Touchstone, addresses: string[], filter: EventFilter): LogQuery[] {
  const { ManifestPublished, ManifestRevoked } = touchstone.deviceRegistry.filters;
  const names = [ManifestPublished, ManifestRevoked].map(({ fragment }) => fragment.topicHash);
  const numbers = (filter.manifests ?? []).map((number) => toBeHex(requireUint("manifests", number, 32), 32));
  const vendors = (filter.makers ?? []).map((maker) => topicOf(requireAddress("makers", maker)));
  return [
    ...(numbers.length === 0 ? [] : [{ addresses, topics: [names, numbers] }]),
    ...(vendors.length === 0 ? [] : [{ addresses, topics: [names, null, vendors] }]),
  ];
}

async function* readQueries(
  touchstone: Touchstone,
  queries: LogQuery[],
  range: ReadRange,
): AsyncGenerator<TouchstoneEvent, void, undefined> {
  const { after, onPage, signal } = range;
  const toBlock = range.toBlock ?? (await latestBlock(touchstone.provider));
  let fromBlock = after?.block ?? range.fromBlock ?? touchstone.firstBlock;
  const largest = requirePageBlocks(range.pageBlocks ?? 10_000);
  let pageBlocks = largest;
  while (fromBlock <= toBlock) {
    if (signal?.aborted)
      throw new TouchstoneError("CANCELLED", "Reading events was cancelled.", { cause: signal.reason });
    const pageEnd = Math.min(toBlock, fromBlock + pageBlocks - 1);
    let logs: Log[];
    try {
      logs = await logsOf(touchstone, queries, { fromBlock, toBlock: pageEnd });
    } catch (error) {
      // Providers limit blocks, results, bytes or seconds, each in words of its own: whatever they say, ask for less.
      const failure = toTouchstoneError(error);
      if (failure.code === "CHAIN_UNREACHABLE" || pageEnd === fromBlock) throw failure;
      pageBlocks = Math.ceil((pageEnd - fromBlock + 1) / 2);
      continue;
    }
    const events = logs.filter((log) => isAfter(log, after)).flatMap((log) => parseLog(touchstone, log) ?? []);
    onPage?.({ fromBlock, toBlock: pageEnd, events: events.length });
    yield* events;
    fromBlock = pageEnd + 1;
    pageBlocks = Math.min(largest, pageBlocks * 2);
  }
}

/** The logs of all queries in the order of the chain, each once. */
async function logsOf(
  touchstone: Touchstone,
  queries: LogQuery[],
  blocks: { fromBlock: number; toBlock: number } | { blockHash: string },
): Promise<Log[]> {
  const answers = await Promise.all(
    queries
      .filter(({ addresses }) => addresses.length > 0)
      .map(({ addresses, topics }) => touchstone.provider.getLogs({ address: addresses, topics, ...blocks })),
  );
  const byPlace = new Map(answers.flat().map((log) => [`${log.blockNumber}/${log.index}`, log]));
  return [...byPlace.values()].sort((a, b) => a.blockNumber - b.blockNumber || a.index - b.index);
}

function isAfter(log: Log, cursor: Cursor | undefined): boolean {
  if (cursor === undefined) return true;
  return log.blockNumber > cursor.block || (log.blockNumber === cursor.block && log.index > cursor.logIndex);
}

/** Undefined for a log that is none of the contracts' typed events. */
function parseLog(touchstone: Touchstone, log: Log): TouchstoneEvent | undefined {
  const contract = contractNames.find((name) => touchstone.addresses[name] === log.address);
  if (contract === undefined) return undefined;
  const interfaces: Record<ContractName, Interface> = {
    RoleRegistry: touchstone.roleRegistry.interface,
    DeviceRegistry: touchstone.deviceRegistry.interface,
    DataAccess: touchstone.dataAccess.interface,
    DataAnchor: touchstone.dataAnchor.interface,
    FirmwareRegistry: touchstone.firmwareRegistry.interface,
  };
  try {
    const parsed: LogDescription | null = interfaces[contract].parseLog(log);
    if (parsed === null) return undefined;
    return {
      contract,
      name: parsed.name,
      args: plainStruct(parsed.fragment.inputs, parsed.args),
      cursor: { block: log.blockNumber, logIndex: log.index },
      blockHash: log.blockHash,
      transactionHash: log.transactionHash,
      // The names and arguments come from the same ABIs as the types.
    } as TouchstoneEvent;
  } catch (cause) {
    throw new TouchstoneError(
      "RPC_FAILED",
      `Log ${log.index} of block ${log.blockNumber} is none that ${contract} can have made: ask another node.`,
      { details: { block: log.blockNumber, logIndex: log.index, contract }, cause },
    );
  }
}

/** `Result.toObject` of ethers makes objects of lists. */
function plainStruct(members: readonly ParamType[], values: Result): Record<string, unknown> {
  return Object.fromEntries(members.map((member, place) => [member.name, plainValue(member, values[place])]));
}

function plainValue(type: ParamType, value: unknown): unknown {
  const { arrayChildren: item, components: members } = type;
  if (item !== null) return Array.from(value as Result, (each: unknown) => plainValue(item, each));
  return members === null ? value : plainStruct(members, value as Result);
}

function topicOf(address: string): string {
  return `0x${"00".repeat(12)}${address.slice(2).toLowerCase()}`;
}

function requirePageBlocks(pageBlocks: number): number {
  if (Number.isSafeInteger(pageBlocks) && pageBlocks > 0) return pageBlocks;
  throw new TouchstoneError("INVALID_ARGUMENT", `pageBlocks: ${pageBlocks} is no number of blocks: give at least 1.`, {
    details: { pageBlocks },
  });
}

async function timestampOf(touchstone: Touchstone, number: number): Promise<bigint> {
  const block = await ask(() => touchstone.provider.getBlock(number));
  if (block === null) {
    throw new TouchstoneError("NOT_FOUND", `The node has no block ${number} any more: read again.`, {
      details: { block: number },
    });
  }
  return BigInt(block.timestamp);
}
