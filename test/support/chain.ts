import { network } from "hardhat";

/** The one chain that all test files share; `loadFixture` puts it back before each test. */
export const connection = await network.create();
export const { ethers, networkHelpers, ignition } = connection;

/** Puts the chain back to where the fixture, a named function, left it; its clock too, which else goes on by the system's. */
export async function loadFixture<T>(fixture: () => Promise<T>): Promise<T> {
  const made = await networkHelpers.loadFixture(fixture);
  await networkHelpers.time.setNextBlockTimestamp((await networkHelpers.time.latest()) + 1);
  return made;
}

/** For ever, as a time. */
export const FOR_EVER = 2n ** 40n - 1n;
export const DAY = 86_400n;

/** Unix seconds of the latest block, as bigint. */
export async function now(): Promise<bigint> {
  return BigInt(await networkHelpers.time.latest());
}
