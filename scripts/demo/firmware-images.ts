import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { encodeHubName, FirmwareReader } from "@pybricks/firmware";

/** A firmware image: what it is called, and where its file is. */
export interface FirmwareImage {
  name: string;
  path: string;
}

/** The hub whose firmware the demo publishes, as `@pybricks/firmware` names it. */
const HUB = "primehub";

/**
 * Unpacks the firmware of a LEGO hub from npm `@pybricks/firmware` (MIT).
 *
 * @param folder Where the file is written.
 */
export async function unpackFirmware(folder: string): Promise<FirmwareImage> {
  const reader = await readPackage();
  const path = join(folder, `${HUB}.bin`);
  await writeFile(path, await reader.readFirmwareBase());
  const metadata = await reader.readMetadata();
  return { name: `Pybricks ${metadata["firmware-version"]} for ${HUB}`, path };
}

/**
 * Makes the next image of the same firmware: with another name of the hub, written where its metadata say, as Pybricks
 * itself does before it installs.
 */
export async function renameHub(
  image: FirmwareImage,
  options: { hubName: string; folder: string },
): Promise<FirmwareImage> {
  const metadata = await (await readPackage()).readMetadata();
  if (!("hub-name-offset" in metadata)) throw new Error(`The metadata of ${HUB} do not say where its name stands.`);
  const bytes = await readFile(image.path);
  bytes.set(encodeHubName(options.hubName, metadata), metadata["hub-name-offset"]);
  const path = join(options.folder, `${HUB}-renamed.bin`);
  await writeFile(path, bytes);
  return { name: `${image.name}, named ${options.hubName}`, path };
}

/** Copies an image with one bit flipped in its middle. */
export async function flipOneBit(image: FirmwareImage, folder: string): Promise<FirmwareImage> {
  const bytes = await readFile(image.path);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  const path = join(folder, `${HUB}-flipped.bin`);
  await writeFile(path, bytes);
  return { name: `${image.name}, one bit flipped`, path };
}

async function readPackage(): Promise<FirmwareReader> {
  const build = dirname(createRequire(import.meta.url).resolve("@pybricks/firmware"));
  return FirmwareReader.load(await readFile(join(build, `${HUB}.zip`)));
}
