import { network } from "hardhat";

import {
  anchors,
  connectTouchstone,
  createBundle,
  devices,
  formatBundle,
  verifyBundle,
  type Batch,
  type VerifiedBundle,
} from "../../client/index.js";
import { buildBatch } from "../../client/batches.js";
import { signedAnchors } from "./anchors.js";
import { batches, deviceLog } from "./batches.js";
import { fixedKeys } from "./inputs.js";
import { formatVectors } from "./json.js";

/** What is proved: over the end of a batch, another one with a correction, a gap, and the beginning of a third. */
const RANGE = { firstSeq: 4n, count: 30n };
/** Readings of which the content is withheld, and one of which it was erased. */
const WITHHELD = [7n, 20n];
const ERASED = 10n;

/**
 * A bundle with the state of a simulated chain on which the device's log stands as the vectors have it. The state holds the
 * contracts' code: with other contracts the bundle has another block hash.
 */
export async function bundleFiles(): Promise<Map<string, string>> {
  const connection = await network.create({ override: { initialDate: "2025-12-31T00:00:00Z" } });
  try {
    const { ethers, networkHelpers } = connection;
    const [deployer, owner] = await ethers.getSigners();
    if (deployer === undefined || owner === undefined) throw new Error("The simulator has no accounts.");
    const deploy = async (name: string, args: string[] = []) =>
      (await ethers.deployContract(name, args, deployer)).getAddress();
    const RoleRegistry = await deploy("RoleRegistry");
    const DeviceRegistry = await deploy("DeviceRegistry", [RoleRegistry]);
    const DataAccess = await deploy("DataAccess", [RoleRegistry, DeviceRegistry]);
    const DataAnchor = await deploy("DataAnchor", [RoleRegistry, DeviceRegistry]);
    const FirmwareRegistry = await deploy("FirmwareRegistry", [RoleRegistry]);
    const addresses = { RoleRegistry, DeviceRegistry, DataAccess, DataAnchor, FirmwareRegistry };
    const touchstone = await connectTouchstone({ runner: owner, addresses });
    await networkHelpers.mine(8200);

    for (const { key } of fixedKeys.slice(0, 1)) {
      const enrollment = await devices.newEnrollment({ touchstone, device: key, owner: owner.address });
      await devices.enroll({ touchstone, enrollment, byDevice: key });
    }
    for (const { message, record, by } of signedAnchors().filter(({ record: { logId } }) => logId === deviceLog)) {
      await networkHelpers.time.setNextBlockTimestamp(record.timestamp);
      await anchors.anchor({ touchstone, anchor: message, byDevice: by.key });
    }

    const { bundle } = await createBundle({
      touchstone,
      batches: Object.values(batches)
        .filter(({ logId }) => logId === deviceLog)
        .map(withErased),
      ...RANGE,
      withhold: (seq) => WITHHELD.includes(seq),
      withState: true,
    });
    const known = { blockHash: bundle.log.block.hash, dataAnchor: bundle.dataAnchor, chainId: BigInt(bundle.chainId) };
    const { ok, levels } = await verifyBundle({ bundle, ...known });
    return new Map([
      ["test/vectors/bundle.json", formatBundle(bundle)],
      ["test/vectors/bundle-expected.json", formatVectors({ ...known, ok, levels: withoutWords(levels) })],
    ]);
  } finally {
    await connection.close();
  }
}

/** What each level says, without the sentence for people. */
function withoutWords(levels: VerifiedBundle["levels"]): unknown {
  const entries = Object.entries(levels).map(([name, level]) => [name, { ...level, message: undefined }]);
  return Object.fromEntries(entries) as unknown;
}

/** The batch after one of its readings was erased, if it has that one. */
function withErased(batch: Batch): Batch {
  const readings = batch.readings.map((reading) =>
    reading.seq === ERASED ? { measuredAt: reading.measuredAt, commitment: reading.commitment } : reading,
  );
  return buildBatch({ ...batch, readings });
}
