import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where packages are kept once they were fetched. */
const FOLDER = join("cache", "outside");
const MAX_FILE_BYTES = 2 ** 28;

/** An npm package of which only files are used, and none of its code is run: neither it nor what it needs is installed. */
export interface OutsidePackage {
  name: string;
  version: string;
  /** SHA-512 of the package as the registry has it, in base64. */
  sha512: string;
}

/** Real NMEA 0183 lines, in `samples/`. Apache-2.0. */
export const SIGNALK_SERVER: OutsidePackage = {
  name: "signalk-server",
  version: "2.32.0",
  sha512: "z9jEkY02zEoFY/MVObQR+HO/WpwOWlmQuL+vkMRlevQTA41gwVjHMfC6YBEF5QAkhTcmVBA0twiNsE0E/72Kqg==",
};

/** The Ethereum Attestation Service, compiled by its makers. MIT. */
export const EAS_CONTRACTS: OutsidePackage = {
  name: "@ethereum-attestation-service/eas-contracts",
  version: "1.9.0",
  sha512: "L60y1fgKlY3a45xxnPlgRbiGQY8RF/lF+AzF1iVoR7/aEzitS0Nuyyjq8+IXs1sSSU0dl2+yGSmELxVeB6FelA==",
};

/**
 * Reads a file of a package, which is fetched the first time, and checked each time.
 *
 * @param path As in the package, such as "samples/plaka.log".
 * @param folder Where packages are kept.
 * @throws Error if the package cannot be fetched, is not the one that is meant, or has no such file.
 */
export async function readOutsideFile(outside: OutsidePackage, path: string, folder = FOLDER): Promise<Buffer> {
  const file = join(folder, `${outside.name.replace("@", "").replace("/", "-")}-${outside.version}.tgz`);
  let bytes = await readFile(file).catch(() => undefined);
  if (bytes === undefined) {
    await fetchTo(file, outside, folder);
    bytes = await readFile(file);
  }
  requireSame(outside, bytes, file);
  try {
    const options = { encoding: "buffer", maxBuffer: MAX_FILE_BYTES } as const;
    return (await run("tar", ["-xzOf", file, `package/${path}`], options)).stdout;
  } catch (cause) {
    throw new Error(`${path} could not be read from ${file}: is it in the package, and \`tar\` installed?`, { cause });
  }
}

/** Fetches into a folder of its own, so that nobody ever sees half a package. */
async function fetchTo(file: string, outside: OutsidePackage, folder: string): Promise<void> {
  const { name, version } = outside;
  await mkdir(folder, { recursive: true });
  const temporary = await mkdtemp(join(folder, "fetch-"));
  try {
    await run("npm", ["pack", `${name}@${version}`, "--ignore-scripts", "--pack-destination", temporary]).catch(
      (cause: unknown) => {
        throw new Error(
          `${name}@${version} could not be fetched with \`npm pack\`: connect to an npm registry once, after that ` +
            `${file} is kept. ${cause instanceof Error ? cause.message.trim() : String(cause)}`,
          { cause },
        );
      },
    );
    const [fetched] = (await readdir(temporary)).filter((entry) => entry.endsWith(".tgz"));
    if (fetched === undefined) throw new Error(`\`npm pack ${name}@${version}\` left no package.`);
    const path = join(temporary, fetched);
    requireSame(outside, await readFile(path), basename(path));
    await rename(path, file);
  } finally {
    await rm(temporary, { recursive: true });
  }
}

function requireSame({ name, version, sha512 }: OutsidePackage, bytes: Buffer, file: string): void {
  const found = createHash("sha512").update(bytes).digest("base64");
  if (found === sha512) return;
  throw new Error(
    `${file} is not ${name}@${version} as it was when its SHA-512 was noted (${sha512}): it is ${found}. Delete it, and ` +
      "trust neither its registry nor its copy before you know why.",
  );
}
