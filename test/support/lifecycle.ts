import { expect } from "chai";
import { Wallet, type Provider, type Signer } from "ethers";

import type { Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import type { Key } from "../../client/keys.js";
import type { BulkResult, ProvenEnrollment } from "../../client/lifecycle.js";

import { ethers } from "./chain.js";
import { runnerWith } from "./provider.js";
import { deployTouchstone, type Deployed } from "./touchstone.js";

/** So that no test waits. */
export const HASTE = { pollInterval: 0, retryDelay: 0 };

export interface Operator extends Deployed {
  /** An account whose key is at hand. It owns the devices that it enrols. */
  wallet: Wallet;
}

/** The fixture of the tests of work on many devices. */
export async function deployOperator(): Promise<Operator> {
  const deployed = await deployTouchstone();
  const wallet = new Wallet(ethers.id("operator"), ethers.provider);
  await deployed.other.sendTransaction({ to: wallet.address, value: 10n ** 20n });
  return { ...deployed, wallet };
}

/** The two kinds of accounts; `as` connects one to a provider of the test. */
export const senders = [
  {
    name: "an account that signs itself",
    addressOf: ({ wallet }: Operator) => wallet.address,
    as: ({ wallet }: Operator, provider: Provider): Signer => wallet.connect(provider),
  },
  {
    name: "an account that its node signs for",
    addressOf: ({ relayer }: Operator) => relayer.address,
    as: ({ relayer }: Operator, provider: Provider): Signer => runnerWith(relayer as unknown as Signer, { provider }),
  },
];

/** Enrolments of all keys for one owner. */
export async function enrollmentsOf(
  touchstone: Touchstone,
  keys: readonly Key[],
  owner: string,
): Promise<ProvenEnrollment[]> {
  const template = await devices.newEnrollment({ touchstone, device: keys[0]!, owner });
  return keys.map((key) => ({ enrollment: { ...template, device: key.id, scheme: key.scheme }, byDevice: key }));
}

/** For each transaction of the account to DeviceRegistry that was mined, the devices that its calls are about. */
export async function sentBy(touchstone: Touchstone, sender: string): Promise<string[][]> {
  const { interface: abi } = touchstone.deviceRegistry;
  const found: string[][] = [];
  const latest = await ethers.provider.getBlockNumber();
  for (let number = 0; number <= latest; number++) {
    const block = await ethers.provider.getBlock(number, true);
    for (const { from, to, data } of block!.prefetchedTransactions) {
      if (from !== sender || to !== touchstone.addresses.DeviceRegistry) continue;
      const [calls] = abi.decodeFunctionData("tryMulticall", data) as unknown as [string[]];
      found.push(calls.map((call) => deviceIn(abi.parseTransaction({ data: call })?.args[0])));
    }
  }
  return found;
}

function deviceIn(argument: unknown): string {
  return typeof argument === "string" ? argument : (argument as { device: string }).device;
}

/** Says of every device that it was enrolled by exactly one call in exactly one transaction, and nothing more was sent. */
export async function expectEnrolledOnce(options: {
  touchstone: Touchstone;
  sender: string;
  enrollments: readonly ProvenEnrollment[];
  result: BulkResult;
}): Promise<void> {
  const { touchstone, sender, enrollments, result } = options;
  const ids = enrollments.map(({ enrollment }) => enrollment.device);
  expect(result.items.map(({ id, outcome }) => [id, outcome])).to.deep.equal(ids.map((id) => [id, "Done"]));
  const sent = await sentBy(touchstone, sender);
  expect(sent.flat()).to.have.members(ids).and.to.have.lengthOf(ids.length);
  expect(sent).to.have.lengthOf(result.transactions.length);
  const { deviceRegistry } = touchstone;
  const enrolled = await deviceRegistry.queryFilter(deviceRegistry.filters.DeviceEnrolled);
  expect(enrolled.map(({ args }) => args.device))
    .to.have.members(ids)
    .and.to.have.lengthOf(ids.length);
  for (const item of result.items) {
    const event = enrolled.find(({ args }) => args.device === item.id);
    expect(item).to.have.property("transactionHash", event?.transactionHash);
  }
}
