import { expect } from "chai";

import { expectedFailures } from "../../scripts/resolver-suite/expected-failures.js";
import { runResolverSuite, surprisesOf, type Outcome } from "../../scripts/resolver-suite/run.js";

describe("the tests of ethr-did-resolver", () => {
  it("pass with our registry, but for those that are listed", async function () {
    this.timeout(180_000);
    const outcome = await runResolverSuite("Touchstone");
    expect(surprisesOf(outcome)).to.deep.equal({ failed: [], notFailed: [] });
    expect(outcome.failed).to.have.length(Object.keys(expectedFailures).length);
    // That they ran, and all of them: the version that is installed brings so many.
    expect(outcome.passed.length + outcome.failed.length).to.equal(99);
  });

  it("may neither fail unless listed, nor pass if listed", () => {
    const [listed] = Object.keys(expectedFailures) as [string];
    const unlisted = { name: "errors.test.ts: a test", message: "Error: no" };
    const outcome = (failed: Outcome["failed"]): Outcome => ({ version: "1.0.0", passed: [], failed, excluded: 0 });
    const all = Object.keys(expectedFailures).map((name) => ({ name, message: "" }));
    expect(surprisesOf(outcome(all))).to.deep.equal({ failed: [], notFailed: [] });
    expect(surprisesOf(outcome([...all, unlisted]))).to.deep.equal({ failed: [unlisted], notFailed: [] });
    expect(surprisesOf(outcome(all.slice(1)))).to.deep.equal({ failed: [], notFailed: [listed] });
  });
});
