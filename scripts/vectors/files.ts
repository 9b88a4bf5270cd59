import { anchorVectors, logVectors, manyVectors } from "./anchors.js";
import { batchVectors, deviceBatchVectors } from "./batches.js";
import { readingVectors, seedVectors, treeVectors } from "./hashes.js";
import { formatVectors } from "./json.js";

/** Path and text of each file of vectors: the same each time, whatever the machine and the hour. */
export async function vectorFiles(): Promise<Map<string, string>> {
  const vectors = {
    readings: readingVectors(),
    trees: treeVectors(),
    seeds: seedVectors(),
    batches: batchVectors(),
    "device-batches": deviceBatchVectors(),
    anchors: await anchorVectors(),
    log: logVectors(),
    "anchor-many": manyVectors(),
  };
  const entries = Object.entries(vectors);
  return new Map(entries.map(([name, value]) => [`test/vectors/${name}.json`, formatVectors(value)]));
}
