import { expect } from "chai";

import { carryOut, type BulkWork } from "../../client/bulk.js";
import * as devices from "../../client/devices.js";
import { ethers, loadFixture } from "../support/chain.js";
import { deviceKeys } from "../support/device-keys.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { deployOperator, enrollmentsOf, HASTE, type Operator } from "../support/lifecycle.js";

async function deployDevices(): Promise<Operator & { ids: string[] }> {
  const operator = await deployOperator();
  const { wallet } = operator;
  const touchstone = operator.touchstone.connect(wallet);
  const enrollments = await enrollmentsOf(touchstone, await deviceKeys(5), wallet.address);
  for (const item of enrollments) await devices.enroll({ touchstone, ...item });
  return { ...operator, touchstone, ids: enrollments.map(({ enrollment }) => enrollment.device) };
}

/** What is to be written for a new verb: here for `revokeAll`, of devices whose keys are accounts. */
function revokeAll({
  touchstone,
  ids,
}: Pick<Awaited<ReturnType<typeof deployDevices>>, "touchstone" | "ids">): BulkWork<string> {
  const { interface: abi } = touchstone.deviceRegistry;
  return {
    verb: "revokeAll",
    contract: touchstone.addresses.DeviceRegistry,
    items: ids,
    idOf: (id) => id,
    contentOf: (id) => [id],
    questionOf: (id) => abi.encodeFunctionData("epochOf", [id]),
    isDone: (_, answer) => BigInt(answer) > 1n,
    encode: (items) => Promise.resolve(items.map((id) => abi.encodeFunctionData("revokeAll", [id, "0x"]))),
  };
}

describe("carryOut", () => {
  const fileIn = temporaryFolder();

  it("does any work that says what to call, and how to tell that it is done", async () => {
    const fleet = await loadFixture(deployDevices);
    const { touchstone, ids } = fleet;
    await devices.revokeAll({ touchstone, device: ids[2]! });
    const result = await carryOut({ touchstone, journal: fileIn("journal"), limits: HASTE }, revokeAll(fleet));
    expect(result.items.map(({ outcome }) => outcome)).to.deep.equal(["Done", "Done", "AlreadyDone", "Done", "Done"]);
    for (const id of ids) expect((await devices.get({ touchstone, device: id })).epoch).to.equal(2n);
  });

  for (const broken of [0, 2, 4]) {
    it(`refuses a call that fails without a reason as number ${broken}, and makes the others`, async () => {
      const fleet = await loadFixture(deployDevices);
      const { touchstone, ids } = fleet;
      const work = revokeAll(fleet);
      const encode: typeof work.encode = async (items, block) => {
        const calls = await work.encode(items, block);
        return calls.map((call, place) => (items[place] === ids[broken] ? "0x12345678" : call));
      };
      const options = { touchstone, journal: fileIn("journal"), limits: HASTE };
      const { items, ...counts } = await carryOut(options, { ...work, encode });
      expect(counts).to.include({ done: 4, refused: 1 });
      const item = items[broken]!;
      expect(item.outcome === "Refused" && item.error.details).to.deep.include({
        errorName: "CallBroken",
        args: { index: 0n },
      });
    });
  }

  it("says so if there is no such contract", async () => {
    const fleet = await loadFixture(deployDevices);
    const { touchstone } = fleet;
    const work = { ...revokeAll(fleet), contract: ethers.ZeroAddress };
    await errorOf("RPC_FAILED", () => carryOut({ touchstone, journal: fileIn("journal"), limits: HASTE }, work));
  });
});
