import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import type { DIDDocument, VerificationMethod } from "did-resolver";
import {
  hexlify,
  toUtf8Bytes,
  ZeroAddress,
  zeroPadBytes,
  zeroPadValue,
  ZeroHash,
  type TransactionResponse,
} from "ethers";
import fc from "fast-check";

import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import { enrollmentMessage, keyRotationMessage } from "../../client/typed-data.js";

import { DAY, ethers, FOR_EVER, networkHelpers, now } from "./chain.js";
import { ATTRIBUTES, DELEGATE_TYPES, IdentityModel, type ShownDocument } from "./did-model.js";
import { resolveDid } from "./did-resolver.js";
import { deployFleet, type Fleet } from "./fleet.js";
import {
  encodeDirect,
  encodeSigned,
  JUMP,
  signingKeyOf,
  signLegacy,
  type Action,
  type LegacyMessage,
} from "./legacy-signatures.js";

/** The fleet, its handle, two accounts and its two devices: all identities that a history is about. */
export interface Identities extends Fleet {
  models: IdentityModel[];
  /** The nonce of each who controls something, or may come to. */
  nonces: Map<string, bigint>;
  /** Who acts for each controller. */
  governors: Map<string, HardhatEthersSigner>;
  /** Who may become a controller. */
  controllers: string[];
  /** Keys that devices have not had yet. */
  spareKeys: Key[];
}

/** A write of ERC-1056, by number: each number counts around what there is to choose from. */
interface Write {
  action: Action;
  name: number;
  value: number;
  validity: bigint;
}

export type Step =
  | { kind: "write"; identity: number; isSigned: boolean; writes: Write[] }
  | { kind: "wait"; seconds: bigint }
  | { kind: "enroll" | "suspend" | "resume" | "revokeAll" | "retire" | "rotate"; identity: number }
  | { kind: "transfer"; identity: number; to: number };

const VALUES = ["https://a.example", "https://b.example"].map((text) => hexlify(toUtf8Bytes(text)));
const VALIDITIES = [0n, 100n, DAY, FOR_EVER];
const DID_EVENTS = ["DIDOwnerChanged", "DIDDelegateChanged", "DIDAttributeChanged"] as const;
const DOCUMENT_ACTIONS = ["addDelegate", "revokeDelegate", "setAttribute", "revokeAttribute"] as const;

const bytes32 = (text: string): string => zeroPadBytes(toUtf8Bytes(text), 32);
const pick = <T>(values: readonly T[], number: number): T => values[number % values.length]!;

/** Steps in any order; those that cannot be taken are passed over, or tried and refused. */
export function anyHistory(): fc.Arbitrary<Step[]> {
  const number = fc.nat(59);
  const identity = fc.nat(4);
  const writeOf = (actions: readonly Action[]): fc.Arbitrary<Write> =>
    fc.record({
      action: fc.constantFrom(...actions),
      name: number,
      value: number,
      validity: fc.constantFrom(...VALIDITIES),
    });
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        identity,
        isSigned: fc.boolean(),
        writes: fc.array(writeOf(DOCUMENT_ACTIONS), { minLength: 1, maxLength: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        identity,
        isSigned: fc.boolean(),
        writes: fc.tuple(writeOf(["changeOwner"])),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.constantFrom(1n, 99n, 100n, DAY) }),
    },
    {
      weight: 7,
      arbitrary: fc.record({
        kind: fc.constantFrom("enroll" as const, "suspend", "resume", "resume", "revokeAll", "rotate", "rotate"),
        identity,
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("retire" as const), identity }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("transfer" as const), identity, to: number }) },
  );
  return fc.array(step, { minLength: 20, maxLength: 30, size: "max" });
}

/** The fixture in which every history begins. */
export async function deployIdentities(): Promise<Identities> {
  const suite = await deployFleet();
  const { devices, actors, fleet, p256Device, accountDevice } = suite;
  const { owner, maker, subject, stranger } = actors;
  const device = async (key: Key): Promise<IdentityModel> =>
    IdentityModel.device(key, fleet, await devices.changed(key.id));
  const models = [
    new IdentityModel(maker.address),
    new IdentityModel(subject.address),
    new IdentityModel(fleet, { hasKey: false }),
    await device(p256Device),
    await device(accountDevice),
  ];
  const governors = new Map([maker, subject, stranger].map((account) => [account.address, account]));
  governors.set(fleet, owner);
  const spareKeys = [createP256Key(), await accountKey(actors.gateway), createP256Key(), createP256Key()];
  const controllers = [...governors.keys()];
  const nonces = new Map<string, bigint>();
  for (const controller of [...controllers, ZeroAddress]) nonces.set(controller, await devices.nonce(controller));
  return { ...suite, models, nonces, governors, controllers, spareKeys };
}

/** Takes the steps; after each one, chain, resolver and model agree about the identity, and in the end about all. */
export async function play(fixture: Identities, history: Step[]): Promise<void> {
  // What a fixture returned is the same object each time.
  const models = fixture.models.map((model) => {
    const fresh = new IdentityModel(model.id, model);
    if (model.key) fresh.enroll(model.key, model.controller, model.blocks[0]!);
    return fresh;
  });
  const world = { ...fixture, models, nonces: new Map(fixture.nonces) };
  const keys = [...world.spareKeys];
  for (const step of history) {
    if (step.kind === "wait") {
      await networkHelpers.time.increase(step.seconds);
      continue;
    }
    const model = models[step.identity]!;
    if (step.kind === "write") await write(world, model, step);
    else await live(world, model, step, keys);
    await expectAgreement(world, model);
  }
  for (const model of models) await expectAgreement(world, model);
}

async function write(
  world: Identities,
  model: IdentityModel,
  { isSigned, writes }: Extract<Step, { kind: "write" }>,
): Promise<void> {
  const { devices, actors } = world;
  const { controller } = model;
  const calls = writes.map((written) => ({ ...written, ...callOf(world, model, written) }));
  // Of an identity that is deactivated, those who could speak for it before have no more to say than anyone.
  const governor = governorOf(world, model);
  const send = async (): Promise<TransactionResponse> => {
    if (!isSigned) {
      return devices.connect(governor).multicall(calls.map(({ call }) => encodeDirect(devices, call)));
    }
    const first = await devices.nonce(controller);
    const registry = await devices.getAddress();
    const signed = calls.map(({ call }, index) => {
      const message = { ...call, registry, nonce: first + BigInt(index) };
      return encodeSigned(devices, call, signLegacy(signingKeyOf(governor.address), message));
    });
    return devices.connect(actors.relayer).multicall(signed);
  };

  const refusal = model.isMute
    ? isSigned
      ? "ControllerSignatureInvalid"
      : "NotController"
    : calls.map(({ action, label }) => model.refusalOf(action, label)).find((error) => error !== undefined);
  if (refusal !== undefined) {
    await expect(send()).to.be.revertedWithCustomError(devices, refusal);
    return;
  }
  const { block, time } = await mined(send());
  model.change(block);
  if (isSigned) count(world, controller, BigInt(calls.length));
  for (const { action, entry, validity, call } of calls) {
    if (action === "changeOwner") model.changeOwner(String(call.args[0]));
    const entries = action.endsWith("Delegate") ? model.delegates : model.attributes;
    if (action === "addDelegate" || action === "setAttribute") entries.set(entry, time + validity);
    if (action === "revokeDelegate" || action === "revokeAttribute") entries.set(entry, 0n);
  }
}

function count({ nonces }: Identities, controller: string, uses: bigint): void {
  nonces.set(controller, nonces.get(controller)! + uses);
}

function callOf(
  { controllers }: Identities,
  { id: identity }: IdentityModel,
  { action, name, value, validity }: Write,
) {
  const call = (label: string, entry: string, args: LegacyMessage["args"]) => ({
    label,
    entry,
    call: { identity, action, args },
  });
  if (action === "changeOwner") return call("", "", [pick([...controllers, identity, ZeroAddress], name)]);
  const isDelegate = action.endsWith("Delegate");
  const label = pick(Object.keys(isDelegate ? DELEGATE_TYPES : ATTRIBUTES), name);
  const content = pick(isDelegate ? controllers : VALUES, value);
  const until = action === "addDelegate" || action === "setAttribute" ? [validity] : [];
  return call(label, `${label} ${content}`, [bytes32(label), content, ...until]);
}

function governorOf({ governors, actors }: Identities, { controller }: IdentityModel): HardhatEthersSigner {
  return governors.get(controller) ?? actors.stranger;
}

/** What a device goes through, where it can. */
async function live(
  world: Identities,
  model: IdentityModel,
  step: Exclude<Step, { kind: "write" | "wait" }>,
  spareKeys: Key[],
): Promise<void> {
  const { devices, controllers } = world;
  if (step.kind === "enroll") return enroll(world, model);
  const { key, id } = model;
  if (!model.isDevice || !key) return;
  const governor = governorOf(world, model);
  const byOwner = devices.connect(governor);

  if (step.kind === "suspend" && model.status === "active") {
    model.change((await mined(byOwner.suspend(id, key.publicKey))).block);
    model.status = "suspended";
  } else if (step.kind === "resume" && model.status === "suspended") {
    model.change((await mined(byOwner.resume(id, key.publicKey))).block);
    model.status = "active";
  } else if (step.kind === "revokeAll") {
    model.begin(model.controller, (await mined(byOwner.revokeAll(id, key.publicKey))).block);
    count(world, model.controller, JUMP);
  } else if (step.kind === "retire") {
    model.change((await mined(byOwner.retire(id))).block);
    model.end();
  } else if (step.kind === "transfer") {
    const newOwner = pick(
      controllers.filter((controller) => controller !== model.controller),
      step.to,
    );
    await byOwner.proposeTransfer(id, newOwner, FOR_EVER);
    count(world, model.controller, JUMP);
    const byNewOwner = devices.connect(world.governors.get(newOwner));
    model.begin(newOwner, (await mined(byNewOwner.acceptTransfer(id, key.publicKey))).block);
  } else if (step.kind === "rotate") {
    const newKey = spareKeys.shift();
    if (newKey) await rotate(world, model, newKey);
  }
}

async function enroll(world: Identities, model: IdentityModel): Promise<void> {
  const { devices, devicesDomain, actors, fleet } = world;
  const signer = [actors.maker, actors.subject].find(({ address }) => address === model.id);
  if (model.status !== "none" || !signer) return;
  const key = await accountKey(signer);
  const owner = model.hasOwner ? model.controller : fleet;
  const enrollment = {
    device: key.id,
    scheme: Scheme.Account,
    owner,
    manifest: 0,
    metadataHash: ZeroHash,
    deadline: (await now()) + DAY,
  };
  const proof = await key.prove(enrollmentMessage(devicesDomain, enrollment));
  const enrolling = devices.connect(world.governors.get(owner)).enroll(enrollment, proof, "0x");
  model.enroll(key, owner, (await mined(enrolling)).block);
}

async function rotate(world: Identities, model: IdentityModel, newKey: Key): Promise<void> {
  const { devices, devicesDomain } = world;
  const oldKey = model.key!;
  const rotation = {
    device: model.id,
    oldKey: oldKey.id,
    newKey: newKey.id,
    newScheme: newKey.scheme,
    epoch: await devices.epochOf(model.id),
    deadline: (await now()) + DAY,
  };
  const byNewKey = await newKey.prove(keyRotationMessage(devicesDomain, rotation));
  const byOldKey = { publicKey: oldKey.publicKey, signature: "0x" };
  const rotating = devices.connect(governorOf(world, model)).rotateKey(rotation, byNewKey, byOldKey);
  const { block } = await mined(rotating);
  // The document shows no key of a suspended device.
  if (model.status === "active") model.change(block);
  model.key = newKey;
}

async function mined(sent: Promise<TransactionResponse>): Promise<{ block: bigint; time: bigint }> {
  const { blockNumber } = (await (await sent).wait())!;
  return { block: BigInt(blockNumber), time: await now() };
}

async function expectAgreement(world: Identities, model: IdentityModel): Promise<void> {
  const { devices, chainId, controllers, nonces } = world;
  const { id } = model;
  for (const [controller, nonce] of nonces) expect(await devices.nonce(controller)).to.equal(nonce);
  expect(await devices.identityOwner(id)).to.equal(model.controller);
  expect(await walk(world, id)).to.deep.equal(model.blocks.toReversed());

  const time = await now();
  for (const type of Object.keys(DELEGATE_TYPES)) {
    for (const account of [...controllers, model.key?.id ?? id]) {
      const isDelegate = await devices.validDelegate(id, bytes32(type), account);
      expect(isDelegate, `${type} ${account}`).to.equal(model.isDelegate(type, account, time));
    }
  }

  const { didDocument, didDocumentMetadata, didResolutionMetadata } = await resolveDid(world, id);
  expect(didResolutionMetadata.error, didResolutionMetadata.message as string | undefined).to.equal(undefined);
  expect(didDocumentMetadata.deactivated ?? false).to.equal(model.status === "ended");
  expect(sorted(shownBy(didDocument!))).to.deep.equal(sorted(model.document(time, chainId)));
}

/** The blocks that lead from `changed` to the beginning, as a resolver finds them. */
async function walk({ devices }: Identities, identity: string): Promise<bigint[]> {
  const address = await devices.getAddress();
  const didTopics = DID_EVENTS.map((name) => devices.interface.getEvent(name).topicHash);
  const blocks: bigint[] = [];
  for (let block = await devices.changed(identity); block !== 0n;) {
    blocks.push(block);
    const topics = [didTopics, zeroPadValue(identity, 32)];
    const logs = await ethers.provider.getLogs({ address, topics, fromBlock: block, toBlock: block });
    expect(logs, `DID events in block ${String(block)}`).not.to.have.length(0);
    const previous = logs.map((log) => devices.interface.parseLog(log)!.args.previousChange as bigint);
    const next = previous[0]!;
    expect(next < block, "the first event leads back").to.equal(true);
    for (const other of previous) expect([next, block]).to.include(other);
    block = next;
  }
  return blocks;
}

/** What the document says, without the resolver's numbers. */
function shownBy(document: DIDDocument): ShownDocument {
  const relations = ["authentication", "assertionMethod", "keyAgreement"] as const;
  const keys = (document.verificationMethod ?? []).map((method) => ({
    type: method.type,
    material: materialOf(method),
    uses: relations.filter((relation) => document[relation]?.includes(method.id)),
  }));
  const services = (document.service ?? []).map(({ type, serviceEndpoint }) => ({
    type: type,
    endpoint: serviceEndpoint as string,
  }));
  // A resolver may go on naming the key agreement that was revoked; it points to nothing then.
  for (const relation of ["authentication", "assertionMethod"] as const) {
    const ids = document.verificationMethod?.map(({ id }) => id) ?? [];
    for (const reference of document[relation] ?? []) expect(ids).to.include(reference);
  }
  return { keys, services };
}

/** The one property in which a verification method holds its key. */
function materialOf(method: VerificationMethod): string {
  const names = ["blockchainAccountId", "publicKeyHex", "publicKeyBase58"] as const;
  return names.map((name) => method[name]).find((material) => material !== undefined) ?? "none";
}

function sorted({ keys, services }: ShownDocument): string[] {
  return [...keys.map(({ uses, ...key }) => ({ ...key, uses: uses.toSorted() })), ...services]
    .map((shown) => JSON.stringify(shown, Object.keys(shown).toSorted()))
    .toSorted();
}
