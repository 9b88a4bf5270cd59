import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** A line of a sensor's log: the exact bytes, and when they were measured. */
export interface Measurement {
  /** Unix milliseconds. */
  measuredAt: bigint;
  payload: Uint8Array;
}

/** A year of hourly weather in Seattle, as npm `vega-datasets` (BSD-3-Clause) has it: one reading a line, as it stands there. */
export async function readWeather(): Promise<Measurement[]> {
  const main = createRequire(import.meta.url).resolve("vega-datasets");
  const path = join(dirname(main), "..", "data", "seattle-weather-hourly-normals.csv");
  const [, ...lines] = (await readFile(path, "utf8")).trim().split("\n");
  return lines.map((line) => {
    const [date] = line.split(",", 1);
    return { measuredAt: BigInt(Date.parse(`${date ?? ""}Z`)), payload: Buffer.from(line, "utf8") };
  });
}
