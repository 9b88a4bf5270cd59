import { readFile } from "node:fs/promises";

import { expect } from "chai";

import { allPurposes, purposeIri, purposeLabel, purposeTerms, type Purpose } from "../../client/purposes.js";
import { errorOf } from "../support/errors.js";

describe("the table of purposes", () => {
  it("has the terms of DPV under the numbers that they have for ever", async () => {
    const { purposes } = JSON.parse(await readFile("test/support/dpv-purposes.json", "utf8")) as { purposes: string[] };
    expect(purposeTerms.map(purposeIri)).to.deep.equal(purposes);
    expect(allPurposes).to.have.lengthOf(32);
    expect(allPurposes.slice(24)).to.deep.equal([24, 25, 26, 27, 28, 29, 30, 31]);
    expect(new Set(allPurposes).size).to.equal(32);
  });

  it("calls each by a label of its own, in plain words", () => {
    const labels = allPurposes.map(purposeLabel);
    expect(new Set(labels).size).to.equal(32);
    for (const label of labels) expect(label).to.match(/^[a-z][a-z0-9 ]+$/);
    expect(labels.slice(0, 8)).to.deep.equal([
      "service provision",
      "requested service provision",
      "technical service provision",
      "service personalisation",
      "service optimisation",
      "service usage analytics",
      "improving existing products and services",
      "repairing impairments",
    ]);
    expect(labels.slice(22, 25)).to.deep.equal(["improving transport and mobility", "marketing", "purpose 24"]);
  });

  it("has no IRI for what only the terms of a grant explain, and nothing for what is no purpose", async () => {
    for (const own of [24, 31] as const) await errorOf("INVALID_ARGUMENT", () => purposeIri(own));
    for (const none of [23, 32, "Fly", "dpv:Marketing", "__proto__", undefined]) {
      await errorOf("INVALID_ARGUMENT", () => purposeIri(none as Purpose));
      await errorOf("INVALID_ARGUMENT", () => purposeLabel(none as Purpose));
    }
  });
});
