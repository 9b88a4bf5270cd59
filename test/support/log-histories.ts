import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { concat, id, ZeroHash } from "ethers";
import fc from "fast-check";

import { createP256Key, type Key } from "../../client/keys.js";
import { anchorMessage, messageDigest } from "../../client/typed-data.js";
import type { DataAnchor } from "../../typechain-types/index.js";

import { DAY, ethers, FOR_EVER, networkHelpers, now } from "./chain.js";
import { ROLE } from "./fleet.js";
import {
  deployLogs,
  deviceLogOf,
  fleetLogOf,
  packed,
  prove,
  readingLeafOf,
  type Anchor,
  type Logs,
  type Reading,
} from "./logs.js";
import { LogModel, Refused, type ModelBlock, type ModelCall } from "./log-model.js";
import { keccak256, rootOf, sha256, type Hash } from "./rfc9162.js";
import { rotate } from "./transfers.js";

/** How far back the chain of these histories knows its blocks: nothing keeps more hashes than the instruction reaches. */
const HASHES_KEPT = 256n;
const BLOCK_HASHES = "0x0000F90827F1C53a10cb7A02335B175320002935";

/** What a batch of a history holds; found by its root. */
export interface BatchMade {
  hash: Hash;
  readings: Reading[];
  leaves: string[];
}

export interface LogWorld extends Logs {
  /** Two device logs, two logs of the fleet, and one of an account that is its own fleet. */
  logs: string[];
  /** The keys of the two devices now, and those they had. */
  keys: Map<string, Key>;
  formerKeys: Map<string, Key>;
  /** Hashes of the blocks that the chain still knows. */
  hashes: Map<bigint, string>;
  batches: Map<string, BatchMade>;
  /** All that was sent, to be sent again. */
  sent: Made[];
}

/** A call as the model and as the contract take it. */
interface Made {
  call: ModelCall;
  calldata: string;
}

/** The fixture in which every history begins. */
export async function deployLogWorld(): Promise<LogWorld> {
  const suite = await deployLogs();
  const { fleet, p256Device, accountDevice, actors } = suite;
  await networkHelpers.setCode(BLOCK_HASHES, "0x");
  await networkHelpers.mine(300);
  const world: LogWorld = {
    ...suite,
    logs: [
      deviceLogOf(p256Device.id),
      deviceLogOf(accountDevice.id),
      fleetLogOf(fleet),
      fleetLogOf(fleet, 8n),
      fleetLogOf(actors.stranger.address),
    ],
    keys: new Map(),
    formerKeys: new Map(),
    hashes: new Map(),
    batches: new Map(),
    sent: [],
  };
  await lookAtBlocks(world);
  return world;
}

/** A world of its own for one history: the fixture gives the same objects again. */
export function begin(world: LogWorld): { world: LogWorld; model: LogModel } {
  const { p256Device, accountDevice, actors, fleet } = world;
  const model = new LogModel();
  for (const { id: device } of [p256Device, accountDevice]) model.setDevice(device, {});
  for (const { address } of [actors.owner, actors.admin, actors.gateway]) model.setMember(fleet, address, FOR_EVER);
  return {
    world: {
      ...world,
      keys: new Map([p256Device, accountDevice].map((key) => [key.id, key])),
      formerKeys: new Map(),
      hashes: new Map(world.hashes),
      batches: new Map(),
      sent: [],
    },
    model,
  };
}

// ------------------------------------------------------------------ what can happen

/** The anchor that would continue a log, and what is wrong with it. */
interface Draft {
  log: number;
  kind: bigint;
  tree: bigint;
  count: bigint;
  duration: bigint;
  fresh: (typeof FRESH)[number];
  life: bigint;
  signer: "right" | "former" | "other";
  wrong: { member: (typeof MEMBERS)[number]; by: bigint } | null;
}

type Sender = "right" | "owner" | "admin" | "stranger" | "memberWithoutPermission";

type Step =
  | { what: "send"; draft: Draft; isCrossed: boolean; sender: Sender }
  | { what: "many"; isOwn: boolean; drafts: Draft[]; sender: Sender }
  | { what: "batch"; verb: "multicall" | "tryMulticall"; drafts: Draft[]; many: Draft[]; sender: Sender }
  | { what: "equivocate"; draft: Draft; otherwise: Draft["wrong"]; byOther: boolean; sender: Sender }
  | { what: "replay"; which: number; sender: Sender }
  | { what: "wait"; seconds: bigint }
  | { what: "rotate" | "suspendOrResume"; device: number }
  | { what: "limitGateway"; seconds: bigint };

const FRESH = ["none", "latest", "recent", "tooOld", "wrong", "future", "noBlock"] as const;
const MEMBERS = ["index", "firstSeq", "count", "tFirst", "tLast", "supersedes", "root", "kind", "tree"] as const;

const mostly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 3, arbitrary: fc.constantFrom(...others) });

const anyWrong = fc.record({
  member: fc.constantFrom(...MEMBERS),
  by: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(-1n, 1n) },
    { weight: 2, arbitrary: fc.bigInt(-20n, 20n) },
    { weight: 1, arbitrary: fc.bigInt(0n, 2n ** 64n - 1n) },
  ),
});

const anyDraft: fc.Arbitrary<Draft> = fc.record({
  log: fc.integer({ min: 0, max: 4 }),
  kind: fc.oneof({ weight: 3, arbitrary: fc.constant(0n) }, { weight: 2, arbitrary: fc.bigInt(1n, 4n) }),
  tree: fc.bigInt(0n, 1n),
  count: fc.bigInt(1n, 6n),
  duration: fc.bigInt(0n, 5000n),
  fresh: mostly<Draft["fresh"]>("none", ...FRESH),
  life: mostly(DAY, 0n, 1n, 5n),
  signer: fc.oneof(
    { weight: 12, arbitrary: fc.constant("right" as const) },
    { weight: 1, arbitrary: fc.constantFrom("former" as const, "other" as const) },
  ),
  wrong: fc.option(anyWrong, { freq: 3, nil: null }),
});
const anySender = mostly<Sender>("right", "owner", "admin", "stranger", "memberWithoutPermission");
const anyDrafts = fc.array(anyDraft, { maxLength: 5 });
const device = fc.integer({ min: 0, max: 1 });

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      what: fc.constant("send" as const),
      draft: anyDraft,
      isCrossed: mostly(false, false, true),
      sender: anySender,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant("many" as const),
      isOwn: mostly(false, true),
      drafts: anyDrafts,
      sender: anySender,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant("batch" as const),
      verb: mostly<"multicall" | "tryMulticall">("tryMulticall", "multicall"),
      drafts: anyDrafts,
      many: anyDrafts,
      sender: anySender,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("equivocate" as const),
      draft: anyDraft,
      otherwise: fc.option(anyWrong, { nil: null }),
      byOther: mostly(false, true),
      sender: anySender,
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("replay" as const), which: fc.nat(), sender: anySender }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("wait" as const),
      seconds: fc.oneof(fc.bigInt(1n, 60n), fc.bigInt(1n, 2n * DAY)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("rotate" as const), device }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("suspendOrResume" as const), device }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("limitGateway" as const), seconds: fc.bigInt(60n, DAY) }),
  },
);

export const anyLogHistory = fc.array(anyStep, { minLength: 24, maxLength: 40 });

// ------------------------------------------------------------------ making it happen

/** What became of a step: the events, or the error. */
interface Outcome {
  events?: unknown[][];
  error?: unknown[];
}

/** Takes the step on the chain and in the model, and returns what became of it on both. */
export async function takeStep(
  world: LogWorld,
  model: LogModel,
  step: Step,
): Promise<[chain: Outcome, model: Outcome]> {
  const { actors, devices, roles, fleet } = world;
  const nothing: [Outcome, Outcome] = [{}, {}];
  switch (step.what) {
    case "wait":
      await networkHelpers.time.increase(step.seconds);
      await lookAtBlocks(world);
      return nothing;
    case "limitGateway": {
      const end = (await now()) + step.seconds;
      await roles.connect(actors.owner).setRoles(fleet, actors.gateway, ROLE.Gateway, 0n, end);
      model.setMember(fleet, actors.gateway.address, end);
      await lookAtBlocks(world);
      return nothing;
    }
    case "suspendOrResume": {
      const [name, key] = keyAt(world, step.device);
      const { isActive } = model.deviceOf(name);
      const byOwner = devices.connect(actors.owner);
      await (isActive ? byOwner.suspend(name, key.publicKey) : byOwner.resume(name, key.publicKey));
      model.setDevice(name, { isActive: !isActive });
      await lookAtBlocks(world);
      return nothing;
    }
    case "rotate": {
      const [name, oldKey] = keyAt(world, step.device);
      const newKey = createP256Key();
      await rotate(world, { device: name, oldKey, newKey });
      world.keys.set(name, newKey);
      world.formerKeys.set(name, oldKey);
      model.setDevice(name, { key: newKey.id });
      await lookAtBlocks(world);
      return nothing;
    }
    case "replay": {
      const made = world.sent[step.which % Math.max(world.sent.length, 1)];
      return made === undefined ? nothing : run(world, model, made, senderOf(world, step.sender));
    }
    case "send": {
      const made = await callFor(world, model.copy(), step.draft, step.isCrossed);
      return run(world, model, made, senderOf(world, step.sender, world.logs[step.draft.log]));
    }
    case "many": {
      const made = await manyFor(world, model.copy(), step.drafts, step.isOwn);
      return run(world, model, made, senderOf(world, step.isOwn && step.sender === "right" ? "stranger" : step.sender));
    }
    case "batch": {
      const ahead = model.copy();
      const made: Made[] = [];
      for (const draft of step.drafts) made.push(await callFor(world, ahead, draft, false));
      if (step.many.length > 0) made.push(await manyFor(world, ahead, step.many, false));
      return run(world, model, batchOf(world.data, step.verb, made), senderOf(world, step.sender));
    }
    case "equivocate": {
      const first = await anchorFor(world, model, { ...step.draft, log: step.draft.log % 3 });
      const second = step.otherwise === null ? { ...first, deadline: 1n } : altered(first, step.otherwise);
      const signed = [
        await signedBy(world, first, "right"),
        await signedBy(world, second, step.byOther ? "other" : "right"),
      ];
      const [one, two] = signed as [Proved, Proved];
      const calldata = world.data.interface.encodeFunctionData("reportEquivocation", [
        first,
        one.proof,
        second,
        two.proof,
      ]);
      const call: ModelCall = { verb: "reportEquivocation", first: one, second: two };
      return run(world, model, { call, calldata }, senderOf(world, step.sender));
    }
  }
}

/** Makes a call on the chain, in a block of its own, and in the model. */
async function run(
  world: LogWorld,
  model: LogModel,
  made: Made,
  sender: HardhatEthersSigner,
): Promise<[chain: Outcome, model: Outcome]> {
  const block: ModelBlock = {
    number: BigInt(await networkHelpers.time.latestBlock()) + 1n,
    time: (await now()) + 1n,
    hashes: new Map(world.hashes),
  };
  world.sent.push(made);
  await networkHelpers.time.setNextBlockTimestamp(block.time);
  const onChain = await outcomeOf(world.data, sender, made.calldata);
  await lookAtBlocks(world);
  try {
    return [onChain, { events: model.make(made.call, sender.address, block) }];
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return [onChain, { error: error.told }];
  }
}

/** With a limit of gas, so that nothing is estimated and what is refused is mined too. */
async function outcomeOf(data: DataAnchor, sender: HardhatEthersSigner, calldata: string): Promise<Outcome> {
  try {
    const sending = await sender.sendTransaction({ to: data, data: calldata, gasLimit: 16_000_000n });
    const receipt = (await sending.wait())!;
    return { events: receipt.logs.map((log) => eventOf(data, data.interface.parseLog(log)!)) };
  } catch (error) {
    const reason = (error as { data?: unknown }).data;
    if (typeof reason !== "string") throw error;
    return { error: errorOf(data, reason) };
  }
}

function eventOf(data: DataAnchor, event: { name: string; args: { toArray(): unknown[] } }): unknown[] {
  const args = event.args.toArray();
  if (event.name === "AnchorSkipped") return [event.name, ...args.slice(0, 2), errorOf(data, args[2] as string)];
  if (event.name !== "CallSkipped") return [event.name, ...args];
  const [place, selector, reason] = args as [bigint, string, string];
  return [event.name, place, data.interface.getFunction(selector as "anchor").name, errorOf(data, reason)];
}

function errorOf(data: DataAnchor, reason: string): unknown[] {
  const error = data.interface.parseError(reason);
  return error === null ? [reason] : [error.name, ...(error.args.toArray() as unknown[])];
}

/** Notes the hashes of the blocks since the last look, and forgets those that the chain forgets. */
async function lookAtBlocks({ hashes }: Pick<LogWorld, "hashes">): Promise<void> {
  const latest = BigInt(await networkHelpers.time.latestBlock());
  const known = [...hashes.keys()].reduce((most, number) => (number > most ? number : most), latest - HASHES_KEPT);
  for (let number = known + 1n; number <= latest; number++) {
    hashes.set(number, (await ethers.provider.getBlock(Number(number)))!.hash!);
  }
  for (const number of hashes.keys()) if (latest + 1n - number > HASHES_KEPT) hashes.delete(number);
}

function keyAt({ keys, p256Device, accountDevice }: LogWorld, place: number): [device: string, key: Key] {
  const name = [p256Device, accountDevice][place]!.id;
  return [name, keys.get(name)!];
}

function senderOf({ actors, logs }: LogWorld, sender: Sender, logId?: string): HardhatEthersSigner {
  if (sender !== "right") return actors[sender];
  return logId === logs[4] ? actors.stranger : actors.gateway;
}

// ------------------------------------------------------------------ drafts

/** The call of a draft, with which the model goes on if it takes it. */
async function callFor(world: LogWorld, ahead: LogModel, draft: Draft, isCrossed: boolean): Promise<Made> {
  const anchor = await anchorFor(world, ahead, draft);
  const made = await callOf(world, anchor, draft.signer, draft.log < 2 !== isCrossed);
  await tryAhead(world, ahead, made.call, draft);
  return made;
}

async function manyFor(world: LogWorld, ahead: LogModel, drafts: readonly Draft[], isOwn: boolean): Promise<Made> {
  const fleet = isOwn ? world.actors.stranger.address : world.fleet;
  const { fresh, life } = drafts[0] ?? { fresh: "none", life: DAY };
  const of = { ...(await freshOf(world, fresh)), deadline: (await now()) + life };
  const records: Anchor[] = [];
  for (const draft of drafts) {
    const own = { ...draft, log: isOwn ? 4 : draft.log === 4 ? 3 : draft.log };
    const anchor = { ...(await anchorFor(world, ahead, own)), ...of };
    // What names a device's log names a stream of the fleet without the fleet's bit.
    const record = own.log < 2 ? { ...anchor, logId: deviceLogOf(fleet) } : anchor;
    // A record can name any kind and tree that a byte holds.
    const { wrong } = draft;
    if (wrong?.member === "kind" || wrong?.member === "tree") record[wrong.member] = BigInt.asUintN(8, wrong.by);
    records.push(record);
    await tryAhead(world, ahead, { verb: "anchorAsMember", anchor: record }, own);
  }
  const call: ModelCall = { verb: "anchorMany", fleet, ...of, records };
  const args = [fleet, of.deadline, of.freshBlock, of.freshHash, concat(records.map(packed))] as const;
  return { call, calldata: world.data.interface.encodeFunctionData("anchorMany", [...args]) };
}

function batchOf(data: DataAnchor, verb: "multicall" | "tryMulticall", made: readonly Made[]): Made {
  const calldata = data.interface.encodeFunctionData(verb as "multicall", [made.map((each) => each.calldata)]);
  return { call: { verb, calls: made.map(({ call }) => call) }, calldata };
}

/** Lets the model go on as if the call will be taken, so that the next draft can continue the log. */
async function tryAhead(world: LogWorld, ahead: LogModel, call: ModelCall, draft: Draft): Promise<void> {
  const time = (await now()) + 1n;
  const number = BigInt(await networkHelpers.time.latestBlock()) + 1n;
  const sender = senderOf(world, "right", world.logs[draft.log]).address;
  try {
    ahead.make(call, sender, { number, time, hashes: world.hashes });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

async function callOf(world: LogWorld, anchor: Anchor, signer: Draft["signer"], byDevice: boolean): Promise<Made> {
  const { interface: abi } = world.data;
  if (!byDevice) {
    return { call: { verb: "anchorAsMember", anchor }, calldata: abi.encodeFunctionData("anchorAsMember", [anchor]) };
  }
  const signed = await signedBy(world, anchor, signer);
  return { call: { verb: "anchor", signed }, calldata: abi.encodeFunctionData("anchor", [anchor, signed.proof]) };
}

type Proved = Awaited<ReturnType<typeof signedBy>>;

async function signedBy(world: LogWorld, anchor: Anchor, signer: Draft["signer"]) {
  const { keys, formerKeys, p256Device, accountDevice } = world;
  const isFirst = anchor.logId === world.logs[0];
  const own = isFirst ? p256Device.id : accountDevice.id;
  const other = isFirst ? accountDevice.id : p256Device.id;
  const key =
    (signer === "former" ? formerKeys.get(own) : signer === "other" ? keys.get(other) : undefined) ?? keys.get(own)!;
  const proof = await prove(world, key, anchor);
  return { anchor, signer: key.id, digest: messageDigest(anchorMessage(world.domain, anchor)), proof };
}

/** The anchor that continues the log as the model has it, with readings of its own, and then altered as the draft says. */
async function anchorFor(world: LogWorld, model: LogModel, draft: Draft): Promise<Anchor> {
  const logId = world.logs[draft.log]!;
  const { nextSeq, size, lastMeasured } = model.headOf(logId);
  const time = await now();
  const isCorrection = draft.kind === 2n && nextSeq > 0n;
  const kind = draft.kind === 2n && !isCorrection ? 0n : draft.kind;
  const count = isCorrection && draft.count > nextSeq ? nextSeq : draft.count;
  const tFirst = lastMeasured === 0n || isCorrection ? time * 1000n - 3_000_000n : lastMeasured;
  const anchor = {
    logId,
    index: size,
    kind,
    tree: draft.tree,
    firstSeq: isCorrection ? nextSeq - count : nextSeq,
    count,
    tFirst,
    tLast: tFirst + draft.duration,
    supersedes: isCorrection ? draft.duration % size : 0n,
    ...(await freshOf(world, draft.fresh)),
    root: ZeroHash,
    deadline: time + draft.life,
  };
  if (kind !== 1n) anchor.root = rootOfReadings(world, anchor);
  return draft.wrong === null ? anchor : altered(anchor, draft.wrong);
}

function rootOfReadings(world: LogWorld, anchor: Anchor): string {
  const { logId, tree, firstSeq, count, tFirst, tLast } = anchor;
  const hash = tree === 0n ? keccak256 : sha256;
  const readings = Array.from({ length: Number(count) }, (_, place) => ({
    seq: firstSeq + BigInt(place),
    measuredAt: place === 0 ? tFirst : tLast,
    commitment: id(`reading ${world.batches.size} ${place}`),
  }));
  const leaves = readings.map((reading) => readingLeafOf(logId, reading, hash));
  const root = rootOf(leaves, hash);
  world.batches.set(root, { hash, readings, leaves });
  return root;
}

async function freshOf({ hashes }: LogWorld, fresh: Draft["fresh"]): Promise<Pick<Anchor, "freshBlock" | "freshHash">> {
  const latest = BigInt(await networkHelpers.time.latestBlock());
  switch (fresh) {
    case "none":
      return { freshBlock: 0n, freshHash: ZeroHash };
    case "latest":
      return { freshBlock: latest, freshHash: hashes.get(latest)! };
    case "recent":
      return { freshBlock: latest - 100n, freshHash: hashes.get(latest - 100n)! };
    case "tooOld":
      return { freshBlock: latest - HASHES_KEPT, freshHash: id("whatever") };
    case "wrong":
      return { freshBlock: latest - 1n, freshHash: id("whatever") };
    case "future":
      return { freshBlock: latest + 1n, freshHash: ZeroHash };
    case "noBlock":
      return { freshBlock: 0n, freshHash: id("whatever") };
  }
}

const WIDTHS = { index: 64, firstSeq: 64, count: 40, tFirst: 48, tLast: 48, supersedes: 64 } as const;

/** One member moved by so much, within the width that a record has for it; a kind or tree that there may not be. */
function altered(anchor: Anchor, { member, by }: NonNullable<Draft["wrong"]>): Anchor {
  if (member === "root") return { ...anchor, root: anchor.root === ZeroHash ? id("root") : ZeroHash };
  if (member === "kind") return { ...anchor, kind: BigInt.asUintN(2, by) };
  if (member === "tree") return { ...anchor, tree: anchor.tree ^ 1n };
  return { ...anchor, [member]: BigInt.asUintN(WIDTHS[member], anchor[member] + by) };
}
