import { AbiCoder, concat, dataSlice, id, toBeHex, ZeroHash, type ContractTransactionResponse } from "ethers";

import type { Key } from "../../client/keys.js";
import { anchorMessage, messageDomain, type MessageDomain } from "../../client/typed-data.js";
import type { DataAnchor, IDataAnchor } from "../../typechain-types/index.js";

import { DAY, ethers, now } from "./chain.js";
import { deployFleet, type Fleet } from "./fleet.js";
import { keccak256, type Hash } from "./rfc9162.js";
import { structOf } from "./struct.js";

export const Kind = { Data: 0n, Gap: 1n, Correction: 2n, Receipts: 3n, AccessLog: 4n };
export const Tree = { Keccak256: 0n, Sha256: 1n };
export const FreshState = { None: 0n, Confirmed: 1n, TooOld: 2n };
export const ANCHOR = 1n << 11n;
export const HOUR_MS = 3_600_000n;
export const STREAM = 7n;

/** The members of a struct as the tests hold them: hex strings, and bigints for all numbers. */
type Members<Struct, Text extends keyof Struct> = { [Name in keyof Struct]: Name extends Text ? string : bigint };
export type Anchor = Members<IDataAnchor.AnchorStruct, "logId" | "freshHash" | "root">;
export type AnchorRecord = Members<IDataAnchor.AnchorRecordStruct, "logId" | "root" | "author">;

export type Reading = Members<IDataAnchor.ReadingStruct, "commitment">;

export interface Logs extends Fleet {
  data: DataAnchor;
  domain: MessageDomain;
  deviceLog: string;
  fleetLog: string;
}

export async function deployLogs(): Promise<Logs> {
  const suite = await deployFleet();
  const data = await ethers.deployContract("DataAnchor", [suite.roles, suite.devices]);
  const domain = messageDomain({ contract: "DataAnchor", chainId: suite.chainId, address: await data.getAddress() });
  return {
    ...suite,
    data,
    domain,
    deviceLog: deviceLogOf(suite.p256Device.id),
    fleetLog: fleetLogOf(suite.fleet),
  };
}

/** The fleet's log with three anchors of ten readings each, and the time in milliseconds when the last was measured. */
export async function deployFilledLog() {
  const suite = await deployLogs();
  const records: AnchorRecord[] = [];
  for (let index = 0n; index < 3n; index++) {
    records.push(await append(suite, { index, firstSeq: index * 10n }));
  }
  return { ...suite, records, lastMeasured: records[2]!.tLast };
}

export function deviceLogOf(device: string, stream = STREAM): string {
  return concat([device, toBeHex(stream, 12)]);
}

export function fleetLogOf(subject: string, stream = STREAM): string {
  return concat([subject, toBeHex(stream | (1n << 95n), 12)]);
}

/** An anchor of ten readings: of the last minute if it is the first of its log, of the last millisecond if it is not. */
export async function anchorOf(changes: Partial<Anchor> & { logId: string }): Promise<Anchor> {
  const time = await now();
  const isFirst = (changes.index ?? 0n) === 0n;
  return {
    index: 0n,
    kind: Kind.Data,
    tree: Tree.Keccak256,
    firstSeq: 0n,
    count: 10n,
    tFirst: time * 1000n - (isFirst ? 60_000n : 1n),
    tLast: time * 1000n - 1n,
    supersedes: 0n,
    freshBlock: 0n,
    freshHash: ZeroHash,
    root: id("batch"),
    deadline: time + DAY,
    ...changes,
  };
}

/** Sends an anchor to the fleet's log, as its gateway unless told. */
export async function send(suite: Logs, changes: Partial<Anchor>, by = suite.actors.gateway) {
  const anchor = await anchorOf({ logId: suite.fleetLog, ...changes });
  return { anchor, sending: suite.data.connect(by).anchorAsMember(anchor) };
}

/** Appends to the fleet's log and returns the record that the contract made of the anchor. */
export async function append(
  suite: Logs,
  changes: Partial<Anchor>,
  freshState = FreshState.None,
): Promise<AnchorRecord> {
  const { anchor, sending } = await send(suite, changes);
  await sending;
  return recordOf(anchor, freshState, suite.actors.gateway.address);
}

export async function recordOf(anchor: Anchor, freshState: bigint, author: string): Promise<AnchorRecord> {
  const { logId, index, kind, tree, firstSeq, count, tFirst, tLast, supersedes, freshBlock, root } = anchor;
  const batch = { kind, tree, firstSeq, count, tFirst, tLast, supersedes, root };
  return { logId, index, ...batch, freshBlock, freshState, timestamp: await now(), author };
}

/** Signs an anchor with a device's key. */
export async function prove(suite: Logs, key: Key, anchor: Anchor) {
  return key.prove(anchorMessage(suite.domain, anchor));
}

/** All arguments of the event that the record must have caused. */
export function eventArgsOf(record: AnchorRecord): (bigint | string)[] {
  const { logId, index, author, root } = record;
  const span = record.firstSeq | (record.count << 64n) | (record.tFirst << 128n) | (record.tLast << 176n);
  const context =
    record.kind |
    (record.tree << 8n) |
    (record.freshState << 16n) |
    (record.timestamp << 24n) |
    (record.freshBlock << 88n) |
    (record.supersedes << 152n);
  return [logId, index, author, span, root, context];
}

/** keccak256(0x00 ‖ 0x03 ‖ abi.encode(record)), written out. */
export function leafOf(record: AnchorRecord): string {
  const types =
    "bytes32,uint64,uint8,uint8,uint64,uint64,uint48,uint48,uint64,uint64,uint8,bytes32,uint64,address".split(",");
  const { logId, index, kind, tree, firstSeq, count, tFirst, tLast } = record;
  const { supersedes, freshBlock, freshState, root, timestamp, author } = record;
  const values = [logId, index, kind, tree, firstSeq, count, tFirst, tLast];
  const rest = [supersedes, freshBlock, freshState, root, timestamp, author];
  return keccak256(concat(["0x0003", AbiCoder.defaultAbiCoder().encode(types, [...values, ...rest])]));
}

/** H(0x00 ‖ 0x01 ‖ logId ‖ seq ‖ measuredAt ‖ commitment), written out. */
export function readingLeafOf(logId: string, reading: Reading, hash: Hash): string {
  const { seq, measuredAt, commitment } = reading;
  return hash(concat(["0x0001", logId, toBeHex(seq, 8), toBeHex(measuredAt, 6), commitment]));
}

/** The 87 bytes of an anchor in `anchorMany`: all of it but fleet, fresh block and deadline, which are those of the call. */
export function packed(anchor: Anchor): string {
  const { logId, index, kind, tree, firstSeq, count, tFirst, tLast, supersedes, root } = anchor;
  const numbers = [
    [index, 8],
    [kind, 1],
    [tree, 1],
    [firstSeq, 8],
    [count, 5],
    [tFirst, 6],
    [tLast, 6],
    [supersedes, 8],
  ] as const;
  return concat([dataSlice(logId, 20), ...numbers.map(([number, bytes]) => toBeHex(number, bytes)), root]);
}

/** The events of a transaction to DataAnchor, each as its name and all of its arguments. */
export async function eventsOf(data: DataAnchor, sending: Promise<ContractTransactionResponse>): Promise<unknown[][]> {
  const receipt = await (await sending).wait();
  return receipt!.logs.map((log) => {
    const event = data.interface.parseLog(log)!;
    return [event.name, ...(event.args.toArray() as unknown[])];
  });
}

/** Everything that the contract says of a log. */
export async function stateOf(data: DataAnchor, logId: string) {
  return { ...structOf(await data.head(logId)), root: await data.root(logId) };
}
