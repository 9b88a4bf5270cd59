import { dataSlice, encodeBytes32String, toUtf8String, type Interface } from "ethers";

import { requireAddress } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { readEvents } from "./events.js";
import { chainTime } from "./transactions.js";

/** Something that was published in a DID document and still stands in the events: it was not taken back, nor is it over. */
export interface Published {
  kind: "attribute" | "delegate";
  device: string;
  /** The attribute's name or the delegate's type, as text if it is text, else as 0x hex. */
  name: string;
  /** The same as 32 bytes. */
  nameBytes: string;
  /** The attribute's bytes, or the delegate's address. */
  value: string;
  /** Unix seconds. */
  validTo: bigint;
  /** Block of its event. */
  block: number;
}

/**
 * What was ever published in a device's DID document and never taken back, handovers notwithstanding. Keys that authenticate
 * are left out: on a device the registry alone writes them, and refuses to take back what an account wrote under such names before
 * it was enrolled.
 *
 * @throws TouchstoneError as readEvents.
 */
export async function listPublished(options: {
  touchstone: Touchstone;
  device: string;
  signal?: AbortSignal;
}): Promise<Published[]> {
  const { touchstone, signal } = options;
  const device = requireAddress("device", options.device);
  const standing = new Map<string, Published>();
  const now = await chainTime(touchstone);
  const range = {
    contracts: ["DeviceRegistry"] as const,
    devices: [device],
    ...(signal === undefined ? {} : { signal }),
  };
  for await (const { name, args, cursor } of readEvents({ touchstone, ...range })) {
    if (name !== "DIDAttributeChanged" && name !== "DIDDelegateChanged") continue;
    const isAttribute = name === "DIDAttributeChanged";
    const nameBytes = isAttribute ? args.name : args.delegateType;
    const value = isAttribute ? args.value : args.delegate;
    const place = `${name}/${nameBytes}/${value}`;
    standing.delete(place);
    if (args.validTo < now || isKey(isAttribute, nameBytes)) continue;
    standing.set(place, {
      kind: isAttribute ? "attribute" : "delegate",
      device,
      name: textOf(nameBytes),
      nameBytes,
      value,
      validTo: args.validTo,
      block: cursor.block,
    });
  }
  return [...standing.values()];
}

/** The call that takes it back. */
export function removalOf(abi: Interface, { kind, device, nameBytes, value }: Published): string {
  return kind === "attribute"
    ? abi.encodeFunctionData("revokeAttribute", [device, nameBytes, value])
    : abi.encodeFunctionData("revokeDelegate", [device, nameBytes, value]);
}

/** Goes by the bytes, as the registry does: what is no text may be such a name too. */
function isKey(isAttribute: boolean, nameBytes: string): boolean {
  if (!isAttribute) return dataSlice(nameBytes, 0, 8) === dataSlice(encodeBytes32String("sigAuth"), 0, 8);
  const name = Buffer.from(nameBytes.slice(2), "hex").toString("latin1");
  return name.startsWith("did/pub/") && name.includes("/sigAuth");
}

function textOf(bytes: string): string {
  try {
    return toUtf8String(bytes).replace(/\0+$/, "");
  } catch {
    return bytes;
  }
}
