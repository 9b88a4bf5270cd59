import { requireAddress, requireHex } from "./arguments.js";
import { askMany } from "./batched-reads.js";
import { latestBlock } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { KEY_ATTRIBUTE, publicKeyInAttribute } from "./did.js";
import { TouchstoneError } from "./errors.js";
import { readEvents } from "./events.js";
import { keyIdOf, Scheme } from "./keys.js";
import { inTurns } from "./turns.js";

/** Blocks asked for at the same time. */
const BLOCKS_AT_ONCE = 16;

/**
 * The public keys that speak for devices now, as their DID documents show or last showed them. Reads each block in
 * which any of them changed once, so devices that were enrolled together cost one request together. The key of a device that
 * was suspended when its key or its owner changed is in no such block: it is looked for in all events of the device.
 *
 * @param options.devices Checksummed ids.
 * @param options.block The state after this block counts.
 * @returns For each device 64 bytes qx ‖ qy, or "0x" if the key is an account, or the device was never enrolled.
 * @throws TouchstoneError NOT_FOUND if the node has no events of that time; CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED.
 */
export async function publicKeysOf(options: {
  touchstone: Touchstone;
  devices: readonly string[];
  block: number;
  signal?: AbortSignal | undefined;
}): Promise<string[]> {
  const { touchstone, devices, block, signal } = options;
  const { interface: abi } = touchstone.deviceRegistry;
  const answers = await askMany({
    touchstone,
    contract: touchstone.addresses.DeviceRegistry,
    questions: devices.map((device) => abi.encodeFunctionData("deviceOf", [device])),
    block,
  });
  const keys = new Map<string, string>();
  /** The devices whose key is still to be found, by the block in which to look for it. */
  let wanted = new Map<number, Map<string, string>>();
  /** Keys that no document showed yet, by device. */
  const unseen = new Map<string, string>();
  for (const [index, device] of devices.entries()) {
    const [{ scheme, keyId, changed }] = abi.decodeFunctionResult("deviceOf", answers[index] ?? "0x") as unknown as [
      { scheme: bigint; keyId: string; changed: bigint },
    ];
    if (Number(scheme) === Scheme.Account) keys.set(device, "0x");
    else addTo(wanted, Number(changed), device, keyId);
  }
  // The events of a DID document are a linked list of blocks, from the latest change backwards.
  while (wanted.size > 0) {
    const next = new Map<number, Map<string, string>>();
    await inTurns([...wanted], BLOCKS_AT_ONCE, ([number, keyIds]) => lookIn(number, keyIds, next));
    wanted = next;
  }
  if (unseen.size > 0) await lookInAllEvents();
  return devices.map((device) => keys.get(device) ?? "0x");

  async function lookIn(
    number: number,
    keyIds: ReadonlyMap<string, string>,
    next: Map<number, Map<string, string>>,
  ): Promise<void> {
    const previous = new Map<string, number>();
    for await (const { name, args } of readEvents({
      touchstone,
      contracts: ["DeviceRegistry"],
      fromBlock: number,
      toBlock: number,
      ...(signal === undefined ? {} : { signal }),
    })) {
      if (!("previousChange" in args)) continue;
      const keyId = keyIds.get(args.identity);
      if (keyId === undefined) continue;
      const change = Number(args.previousChange);
      if (change < number) previous.set(args.identity, Math.max(previous.get(args.identity) ?? 0, change));
      if (name !== "DIDAttributeChanged" || args.name !== KEY_ATTRIBUTE) continue;
      const publicKey = keyShownBy(args.value);
      if (publicKey !== undefined && keyIdOf(publicKey) === keyId) keys.set(args.identity, publicKey);
    }
    for (const [device, keyId] of keyIds) {
      if (keys.has(device)) continue;
      const change = previous.get(device) ?? 0;
      if (change === 0) unseen.set(device, keyId);
      else addTo(next, change, device, keyId);
    }
  }

  async function lookInAllEvents(): Promise<void> {
    for await (const { name, args } of readEvents({
      touchstone,
      contracts: ["DeviceRegistry"],
      devices: [...unseen.keys()],
      toBlock: block,
      ...(signal === undefined ? {} : { signal }),
    })) {
      if (name === "KeyRotated") found(args.device, args.publicKey);
      else if (name === "DIDAttributeChanged" && args.name === KEY_ATTRIBUTE)
        found(args.identity, keyShownBy(args.value));
    }
    for (const device of unseen.keys()) throw missing(device);
  }

  function found(device: string, publicKey = "0x"): void {
    if (publicKey === "0x" || keyIdOf(publicKey) !== unseen.get(device)) return;
    keys.set(device, publicKey);
    unseen.delete(device);
  }
}

/**
 * The device's present public key as the caller knows it, or as the chain does.
 *
 * @throws TouchstoneError INVALID_ARGUMENT, INVALID_KEY, or as publicKeysOf.
 */
export async function presentKeyOf(options: {
  touchstone: Touchstone;
  device: string;
  publicKey?: string;
}): Promise<string> {
  const { touchstone } = options;
  const device = requireAddress("device", options.device);
  if (options.publicKey === undefined) {
    const block = await latestBlock(touchstone.provider);
    const [publicKey = "0x"] = await publicKeysOf({ touchstone, devices: [device], block });
    return publicKey;
  }
  const publicKey = requireHex("publicKey", options.publicKey);
  // The contract would refuse it too, but cannot tell what is wrong with it.
  if (publicKey !== "0x") keyIdOf(publicKey);
  return publicKey;
}

/** Undefined for what an account wrote under this name before it was enrolled, which may be anything. */
function keyShownBy(value: string): string | undefined {
  try {
    return publicKeyInAttribute(value);
  } catch {
    return undefined;
  }
}

function addTo(wanted: Map<number, Map<string, string>>, block: number, device: string, keyId: string): void {
  const there = wanted.get(block);
  if (there === undefined) wanted.set(block, new Map([[device, keyId]]));
  else there.set(device, keyId);
}

function missing(device: string): TouchstoneError {
  return new TouchstoneError(
    "NOT_FOUND",
    `The node has no event with the public key of ${device}: give the key, or connect to a node with all events.`,
    { details: { device } },
  );
}
