import type { Signer } from "ethers";
import { anchors, connectTouchstone, createBundle, jsonLines, openIngest, writeBundle, type Key } from "touchstone";

/** Takes a device's readings from a file, anchors them, and writes down what proves the first ten to anyone. */
export async function anchorAndProve(options: {
  gateway: Signer;
  device: Key;
  deploymentFile: string;
  readings: string;
  spool: string;
  bundle: string;
}) {
  const { gateway, device, deploymentFile } = options;
  const touchstone = await connectTouchstone({ runner: gateway, deploymentFile });
  const ingest = await openIngest({
    touchstone,
    spool: options.spool,
    logId: anchors.deviceLogId({ device: device.id }),
    key: device,
    cut: { count: 4_096, age: 60_000 },
    onProgress: ({ state, error }) => {
      if (error !== undefined) console.error(`${state}: ${error.code}: ${error.message}`);
    },
  });
  try {
    // Returns when all lines of the file are anchored. Run again, it goes on behind the last line that it took.
    await ingest.run(jsonLines({ path: options.readings }));

    // Or as readings come: when it returns they are on the disk, and anchored in their time.
    const payload = Buffer.from("21.5");
    await ingest.append([{ measuredAt: BigInt(Date.now()), payload }]);
    const { batches, nextSeq } = await ingest.settle();

    const { bundle } = await createBundle({
      touchstone,
      batches: [ingest.batchOf(0n)],
      firstSeq: 0n,
      count: 10n,
      withState: true,
    });
    await writeBundle({ path: options.bundle, bundle });
    return { anchored: batches.anchored, nextSeq, blockHash: bundle.log.block.hash };
  } finally {
    await ingest.close();
  }
}
