/** Makes the steps of a history on the chain and in the model, and says where anyone who answers differs. */
import { AbiCoder, dataSlice, toQuantity, type Interface, type LogDescription } from "ethers";

import { REASON, reasonName, type ReasonName } from "./access.js";
import { connection } from "./chain.js";
import { askCedar } from "./cedar.js";
import { callFor, timeOf } from "./sharing-calls.js";
import { answerOf, type Question } from "./sharing-decisions.js";
import { Refused, type SharingModel, type Told } from "./sharing-model.js";
import { PERMISSIONS } from "./sharing-state.js";
import type { Asked, Step } from "./sharing-steps.js";
import type { History, Made } from "./sharing-world.js";

/** How many of the questions after each step Cedar is asked too: it takes most of the time. */
const CEDAR_QUESTIONS = 2;
/** More than any call needs, so that nothing has to be estimated. */
const GAS = toQuantity(16_000_000);

/** A log as a node gives it. */
export interface RawLog {
  address: string;
  topics: string[];
  data: string;
  blockNumber: string;
  blockHash: string;
  transactionHash: string;
  logIndex: string;
}

/** What became of a call: its events, or the error. */
export interface Outcome {
  events?: Told[];
  error?: Told;
}

/** What happened in a step. */
export interface Taken {
  made: Made | null;
  outcome: Outcome;
  logs: RawLog[];
  questions: Question[];
  /** What the model answers to the questions, as do all others. */
  answers: ReasonName[];
}

/** Answers the questions in a block of that time; the chain and Cedar are two of them. */
export interface Other {
  name: string;
  /** Told of every step before it is asked. */
  follow?(taken: Taken, history: History): void;
  answer(question: Question, time: bigint): string;
}

export async function takeStep(history: History, step: Step, others: readonly Other[]): Promise<Taken> {
  const { model } = history;
  const time = timeOf(history, step);
  const made = await callFor(history, step, time);
  history.time = time;
  await request("evm_setNextBlockTimestamp", [toQuantity(time)]);
  const name = nameFor(history);

  let logs: RawLog[] = [];
  let outcome: Outcome = {};
  if (made === null) {
    await request("evm_mine", []);
    history.story.push(`${timeIn(history, time)} ${step.action.what}`);
  } else {
    [outcome, logs] = await send(history, made);
    const inModel = predict(model, made, time);
    const { verb, args } = made.call;
    history.story.push(`${timeIn(history, time)} ${name(made.sender)}: ${verb}${name(args)} → ${name(outcome)}`);
    same(history, "what became of it", name(outcome), name(inModel));
    if (made.about !== null) history.about = made.about;
  }

  const questions = step.asked.map((asked) => questionOf(history, asked));
  const answers = questions.map((question) => answerOf(model.state, question, time));
  const taken = { made, outcome, logs, questions, answers };
  for (const other of others) other.follow?.(taken, history);

  await compareAnswers(history, questions, others);
  for (const [place, question] of questions.slice(0, CEDAR_QUESTIONS).entries()) {
    const expected = answers[place]!;
    const { isAllowed, by } = askCedar(model.state, question, time);
    same(history, `whether Cedar allows ${name(question)}`, isAllowed, REASON[expected] <= REASON.Role);
    same(history, `Cedar's reason for ${name(question)}`, firstReason(by, expected), expected);
  }
  await compareUnsent(history, step, questions[0]!);
  return taken;
}

/** Asks the contract and the others what the model is asked, at the time of the latest block. */
export async function compareAnswers(
  history: History,
  questions: readonly Question[],
  others: readonly Other[],
): Promise<void> {
  const { model, time } = history;
  const name = nameFor(history);
  const onChain = await askChain(history, questions);
  for (const [place, question] of questions.entries()) {
    const expected = answerOf(model.state, question, time);
    same(history, `the contract's answer to ${name(question)}`, onChain[place]!, expected);
    for (const other of others) {
      same(history, `the answer of ${other.name} to ${name(question)}`, other.answer(question, time), expected);
    }
  }
}

/** Cedar names every permit that applies, and no reason for what nothing allows nor bars. */
function firstReason(by: readonly string[], expected: ReasonName): string {
  const names = Object.keys(REASON).filter((reason) => by.includes(reason));
  return names[0] ?? expected;
}

function questionOf({ world, about }: History, asked: Asked): Question {
  const { permissions, purpose, isAboutStep } = asked;
  if (isAboutStep) return { device: about.device, account: about.subject, permissions, purpose };
  return { device: world.devicesAsked[asked.device]!, account: world.accounts[asked.account]!, permissions, purpose };
}

// ---------------------------------------------------------------------- the model

function predict(model: SharingModel, { call, sender }: Made, time: bigint): Outcome {
  try {
    return { events: model.make(call, sender, time) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { error: error.told };
  }
}

// ---------------------------------------------------------------------- the chain

async function send({ world }: History, { sender, to, data }: Made): Promise<[Outcome, RawLog[]]> {
  try {
    const hash = await request("eth_sendTransaction", [{ from: sender, to, data, gas: GAS }]);
    const { logs } = (await request("eth_getTransactionReceipt", [hash])) as { logs: RawLog[] };
    const events = logs.map((log) => eventOf(world, log)).filter((event) => event !== undefined);
    return [{ events }, logs];
  } catch (error) {
    const reason = (error as { data?: unknown }).data;
    if (typeof reason !== "string") throw error;
    return [{ error: errorOf(world, reason) }, []];
  }
}

/** The events of who shares what; those of the DID document are others' to check. */
function eventOf(world: History["world"], log: RawLog): Told | undefined {
  const { roles, devices, access } = world;
  const abi: Interface = [roles, devices, access].find(
    (_, place) => Object.values(world.addresses)[place]!.toLowerCase() === log.address.toLowerCase(),
  )!.interface;
  const event: LogDescription = abi.parseLog(log)!;
  if (event.name.startsWith("DID")) return undefined;
  const args: unknown[] = event.args.toArray();
  switch (event.name) {
    case "AccessGranted":
      return [event.name, ...args.slice(0, 3), fieldsOf(args[3] as bigint), args[4]];
    case "PairSkipped":
      return [event.name, ...args.slice(0, 2), errorOf(world, args[2] as string)];
    case "CallSkipped": {
      const [index, selector, reason] = args as [bigint, string, string];
      return [event.name, index, abi.getFunction(selector)!.name, errorOf(world, reason)];
    }
    default:
      return [event.name, ...args];
  }
}

/** The fields of a grant's word, from the lowest bit on. */
function fieldsOf(word: bigint): Record<string, bigint | boolean> {
  const widths = { permissions: 32n, purposes: 32n, notBefore: 40n, expiry: 40n, epoch: 24n, seq: 32n };
  let rest = word;
  const fields = Object.entries(widths).map(([name, bits]): [string, bigint] => {
    const field = rest % 2n ** bits;
    rest /= 2n ** bits;
    return [name, field];
  });
  return { ...Object.fromEntries(fields), byOwner: rest === 1n };
}

function errorOf({ roles, devices, access }: History["world"], reason: string): Told {
  for (const { interface: abi } of [access, devices, roles]) {
    const error = abi.parseError(reason);
    if (error !== null) return [error.name, ...(error.args.toArray() as unknown[])];
  }
  return [reason];
}

/** All questions in one call of the contract; `explain` and `isAllowed` must agree. */
async function askChain({ world }: History, questions: readonly Question[]): Promise<string[]> {
  const abi = world.access.interface;
  const calls = questions.flatMap(({ device, account, permissions, purpose }) => [
    abi.encodeFunctionData("explain", [device, account, permissions, purpose]),
    abi.encodeFunctionData("isAllowed", [device, account, permissions, purpose]),
  ]);
  const data = abi.encodeFunctionData("multicall", [calls]);
  const answer = (await request("eth_call", [{ to: world.addresses.access, data, gas: GAS }, "latest"])) as string;
  const [results] = AbiCoder.defaultAbiCoder().decode(["bytes[]"], answer) as unknown as [string[]];
  return questions.map((_, place) => {
    const [isAllowed, reason] = [0, 32].map((start) => BigInt(dataSlice(results[2 * place]!, start, start + 32)));
    const isYes = BigInt(results[2 * place + 1]!);
    if (isAllowed !== isYes || (isYes === 1n) !== reason! <= REASON.Role) {
      return `${reasonName(reason!)}, and explain says ${isAllowed}, isAllowed ${isYes}`;
    }
    return reasonName(reason!);
  });
}

/** What a signed grant would do that was not sent, or was: the contract's answer and the model's, and Cedar's. */
async function compareUnsent(history: History, { action }: Step, question: Question): Promise<void> {
  const { world, model, time } = history;
  const grants = history.signed.flatMap(({ call }) => (call.verb === "grantWithSignature" ? [call] : []));
  const call = action.what === "signGrant" || action.what === "sendSigned" ? grants.at(-1) : grants[Number(time) % 40];
  if (call === undefined) return;
  const [message, signature] = call.args;
  const { permissions, purpose } = question;
  const ahead = model.copy();
  const { error } = predict(ahead, { call, sender: message.grantor, to: "", data: "", about: null }, time);
  const asked = { device: message.device, account: message.subject, permissions, purpose };
  const expected = answerOf(ahead.state, asked, time);
  const result = await world.access.verifyGrant.staticCall(message, signature, permissions, purpose, {
    blockTag: "latest",
  });
  const [isAllowed, reason, refusal] = result;
  const name = nameFor(history);
  const about = `${name(call.args)} and ${name(asked)}`;
  same(history, `verifyGrant's reason for ${about}`, reasonName(reason), expected);
  same(history, `whether verifyGrant allows ${about}`, isAllowed, reason <= REASON.Role);
  const told = refusal === "0x" ? undefined : errorOf(world, refusal);
  same(history, `verifyGrant's refusal of ${about}`, name(told), name(error));
  const verdict = askCedar(ahead.state, asked, time);
  same(history, `whether Cedar allows ${about}`, verdict.isAllowed, isAllowed);
}

export function request(method: string, params: unknown[]): Promise<unknown> {
  return connection.provider.request({ method, params });
}

// ---------------------------------------------------------------------- telling

/** Fails with all that happened, told so that a person can follow it. */
function same(history: History, what: string, given: unknown, expected: unknown): void {
  if (given === expected) return;
  const story = history.story.map((line, place) => `${place + 1}. ${line}`).join("\n");
  throw new Error(`${what}: ${String(given)}, and by the model: ${String(expected)}. What happened:\n${story}`);
}

function timeIn({ start }: History, time: bigint): string {
  return `t+${time - start}`;
}

const MASKS = new Set(["permissions", "ceiling", "publicRead"]);

/** Names of accounts, devices and keys instead of addresses, and times from the beginning of the history. */
function nameFor(history: History): (value: unknown, label?: string) => string {
  const { world, start } = history;
  const name = (value: unknown, label = ""): string => {
    if (typeof value === "bigint") {
      if (MASKS.has(label)) return PERMISSIONS.filter((_, bit) => (value >> BigInt(bit)) % 2n === 1n).join("|") || "0";
      if (value > start - 10_000_000n && value < start + 100_000_000n) return timeIn(history, value);
      return value < 1000n ? String(value) : `0x${value.toString(16)}`;
    }
    if (typeof value === "string") {
      return world.names.get(value) ?? (value.length > 42 ? `${value.slice(0, 10)}…` : value);
    }
    if (Array.isArray(value)) return `(${value.map((each) => name(each)).join(", ")})`;
    if (typeof value !== "object" || value === null) return String(value);
    return `{${Object.entries(value)
      .map(([key, each]) => `${key}: ${name(each, key)}`)
      .join(", ")}}`;
  };
  return name;
}
