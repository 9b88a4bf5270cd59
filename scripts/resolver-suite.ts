// Runs the tests of the npm package `ethr-did-resolver` against the registry that it brings, which shows that the run itself is
// sound, and then against ours.
import { expectedFailures } from "./resolver-suite/expected-failures.js";
import { runResolverSuite, surprisesOf, type Outcome, type RegistryName } from "./resolver-suite/run.js";

async function run(registry: RegistryName): Promise<Outcome> {
  const outcome = await runResolverSuite(registry);
  const { version, passed, failed, excluded } = outcome;
  console.log(`ethr-did-resolver ${version} with the ${registry} registry:`);
  console.log(
    `  ${passed.length} passed, ${failed.length} failed, ${excluded} left out because they ask public chains`,
  );
  for (const { name, message } of failed) console.log(`  ✗ ${name}\n    ${expectedFailures[name] ?? message}`);
  return outcome;
}

const reference = await run("reference");
const surprises = surprisesOf(await run("Touchstone"));
for (const name of surprises.notFailed) console.error(`Expected to fail, and did not: ${name}`);
for (const { name } of surprises.failed) console.error(`Not expected to fail, and did: ${name}`);
if (reference.failed.length + surprises.failed.length + surprises.notFailed.length > 0) process.exitCode = 1;
