import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { AbiCoder, concat } from "ethers";
import { artifacts } from "hardhat";

import { expectedFailures } from "./expected-failures.js";
import { ROLE_REGISTRY } from "./hardhat.config.js";

const require = createRequire(import.meta.url);
const RESOLVER = dirname(dirname(require.resolve("ethr-did-resolver")));
const VITEST = join(dirname(require.resolve("vitest/package.json")), "vitest.mjs");
const CHAIN = fileURLToPath(new URL("./hardhat.config.ts", import.meta.url));
const CLOCK = fileURLToPath(new URL("./clock.ts", import.meta.url));

/** Where the resolver's sources keep the registry that their tests deploy. */
const REGISTRY_SOURCE = join("src", "config", "EthereumDIDRegistry.ts");
const TESTS = join("src", "__tests__");
/** These ask public chains. */
const EXCLUDED = "networks.integration.test.ts";
/** Milliseconds for each test: for a busy machine. */
const TIMEOUT = 60_000;

/** Whose registry the tests run against: the one that they bring, or ours. */
export type RegistryName = "reference" | "Touchstone";

export interface FailedTest {
  /** File and full name. */
  name: string;
  /** The first line of what went wrong. */
  message: string;
}

export interface Outcome {
  /** Version of `ethr-did-resolver`. */
  version: string;
  /** Names of the tests that passed. */
  passed: string[];
  failed: FailedTest[];
  /** Number of tests that were left out because they ask public chains. */
  excluded: number;
}

/** How an outcome differs from what is expected. */
export interface Surprises {
  failed: FailedTest[];
  /** Names of tests that should have failed, and did not. */
  notFailed: string[];
}

/**
 * Runs the tests that the npm package `ethr-did-resolver` ships, on its own sources, against a registry. Sources and tests are
 * copied to a temporary folder, and nothing in them is changed but the bytecode of the registry.
 *
 * @throws Error if the tests did not run at all.
 */
export async function runResolverSuite(registry: RegistryName): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "touchstone-resolver-"));
  try {
    const suite = await copySuite(folder);
    if (registry === "Touchstone") await replaceRegistry(join(suite, REGISTRY_SOURCE));
    const report = join(folder, "report.json");
    const printed = await runVitest(suite, report);
    const files = await readReport(report, printed);
    const excluded = await readFile(join(suite, TESTS, EXCLUDED), "utf8");
    const { version } = JSON.parse(await readFile(join(RESOLVER, "package.json"), "utf8")) as { version: string };
    return { version, ...outcomeOf(files), excluded: excluded.match(/\bit\(/g)?.length ?? 0 };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Compares what happened with our registry with the list of expected failures. */
export function surprisesOf({ failed }: Outcome): Surprises {
  const names = new Set(failed.map(({ name }) => name));
  return {
    failed: failed.filter(({ name }) => expectedFailures[name] === undefined),
    notFailed: Object.keys(expectedFailures).filter((name) => !names.has(name)),
  };
}

/** Lays sources and tests out so that they find the resolver's own dependencies first, then the project's. */
async function copySuite(folder: string): Promise<string> {
  const suite = join(folder, "suite");
  const [ownModules, nextModules] = [join(RESOLVER, "node_modules"), join(suite, "node_modules")];
  await mkdir(nextModules, { recursive: true });
  await cp(join(RESOLVER, "src"), join(suite, "src"), { recursive: true });
  // npm nests only the dependencies that the project has in another version.
  const nested = existsSync(ownModules) ? await readdir(ownModules) : [];
  for (const name of nested) await symlink(join(ownModules, name), join(nextModules, name));
  await symlink(dirname(RESOLVER), join(folder, "node_modules"));
  await writeFile(join(suite, "package.json"), `{ "type": "module" }`);
  return suite;
}

async function replaceRegistry(path: string): Promise<void> {
  const { bytecode } = await artifacts.readArtifact("DeviceRegistry");
  const creationCode = concat([bytecode, AbiCoder.defaultAbiCoder().encode(["address"], [ROLE_REGISTRY])]);
  const source = await readFile(path, "utf8");
  const parts = source.split(/(?<=\bbytecode:\s*')0x[0-9a-f]+(?=')/);
  if (parts.length !== 2) throw new Error(`${path} holds ${parts.length - 1} bytecodes: 1 was expected.`);
  await writeFile(path, parts.join(creationCode));
}

/** Runs all tests to the end, whatever fails; returns what was printed. */
async function runVitest(suite: string, report: string): Promise<string> {
  const test = {
    include: ["src/**/*.test.ts"],
    exclude: [`**/${EXCLUDED}`],
    setupFiles: [CLOCK],
    testTimeout: TIMEOUT,
    hookTimeout: TIMEOUT,
    reporters: ["json"],
    outputFile: report,
  };
  await writeFile(join(suite, "vitest.config.mjs"), `export default ${JSON.stringify({ test })};`);
  const child = spawn(process.execPath, [VITEST, "run"], {
    cwd: suite,
    env: { ...process.env, HARDHAT_CONFIG: CHAIN },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (printed += text));
  }
  await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  return printed;
}

/** The parts of a report that matter here. */
interface TestFile {
  name: string;
  status: string;
  message: string;
  assertionResults: { fullName: string; status: string; failureMessages?: string[] }[];
}

async function readReport(path: string, printed: string): Promise<TestFile[]> {
  try {
    return (JSON.parse(await readFile(path, "utf8")) as { testResults: TestFile[] }).testResults;
  } catch (cause) {
    throw new Error(`The tests of ethr-did-resolver did not run:\n${printed}`, { cause });
  }
}

function outcomeOf(files: TestFile[]): Pick<Outcome, "passed" | "failed"> {
  const passed: string[] = [];
  const failed: FailedTest[] = [];
  for (const { name: path, status, message, assertionResults } of files) {
    const file = basename(path);
    const failedBefore = failed.length;
    for (const { fullName, status: testStatus, failureMessages = [] } of assertionResults) {
      const name = `${file}: ${fullName}`;
      // A test that was skipped, as all are after a failed hook, has shown nothing.
      if (testStatus === "passed") passed.push(name);
      else failed.push({ name, message: firstLine(failureMessages[0] ?? `It was ${testStatus}. ${message}`) });
    }
    if (status !== "passed" && failed.length === failedBefore) failed.push({ name: file, message: firstLine(message) });
  }
  return { passed, failed };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
