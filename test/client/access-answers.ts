import { expect } from "chai";

import { explainToPeople, momentOf, wordsOf, type AnswerReason } from "../../client/access-answers.js";
import { FOREVER } from "../../client/arguments.js";
import { accessReasons } from "../../client/enumerations.js";
import type { Grant } from "../../client/grants.js";

const DEVICE = `0x${"de".repeat(20)}`;
const ACCOUNT = `0x${"ac".repeat(20)}`;
const question = {
  device: DEVICE,
  account: ACCOUNT,
  permissions: ["ReadLive", "Command"],
  purpose: "CustomerCare",
} as const;
const grant: Grant = {
  permissions: ["ReadLive"],
  purposes: ["ServiceProvision", 24],
  notBefore: 1_900_000_000n,
  expiry: 1_950_000_000n,
  epoch: 1n,
  seq: 1n,
  byOwner: true,
};
const REASONS: readonly AnswerReason[] = [...accessReasons, "Unconfirmed", "Stale"];
const ALLOWED: readonly AnswerReason[] = ["Owner", "Grant", "Public", "Role"];

describe("access.explainToPeople", () => {
  it("has one sentence for each reason, and what to do next for each no", () => {
    const said = new Set<string>();
    for (const reason of REASONS) {
      for (const known of [{}, { grant }]) {
        const { sentence, advice } = explainToPeople({ explanation: { reason }, question, ...known });
        expect(sentence, reason).to.match(/^[^.].*\.$/);
        expect(sentence.match(/\.(?= |$)/g), reason).to.have.lengthOf(1);
        if (ALLOWED.includes(reason)) expect(advice, reason).to.equal("");
        else expect(advice, reason).to.match(/^[A-Z].*\.$/);
        if ("grant" in known) said.add(sentence);
      }
    }
    expect(said.size).to.equal(REASONS.length);
  });

  it("tells when a grant begins and ends, and what it covers", () => {
    const sentenceFor = (reason: AnswerReason, change: Partial<Grant> = {}): string =>
      explainToPeople({ explanation: { reason }, question, grant: { ...grant, ...change } }).sentence;
    expect(sentenceFor("Expired")).to.equal(`The grant of ${ACCOUNT} ended at 2031-10-17T10:40:00Z.`);
    expect(sentenceFor("NotYetValid")).to.equal(
      `The grant of ${ACCOUNT} does not hold yet: it begins at 2030-03-17T17:46:40Z.`,
    );
    expect(sentenceFor("PermissionNotGranted")).to.contain("covers ReadLive, and not all of ReadLive and Command.");
    expect(sentenceFor("PurposeNotGranted")).to.contain(
      "is for ServiceProvision and purpose 24, and not for CustomerCare.",
    );
    expect(sentenceFor("Grant")).to.contain("for CustomerCare, by a grant that ends at 2031-10-17T10:40:00Z.");
    expect(sentenceFor("Grant", { expiry: FOREVER })).to.contain("by a grant that does not end by itself.");
  });

  it("tells apart who can help", () => {
    const adviceFor = (reason: AnswerReason): string => explainToPeople({ explanation: { reason }, question }).advice;
    expect(adviceFor("Expired")).to.equal("Ask the owner for a new one.");
    expect(adviceFor("EpochEnded")).to.equal("Ask the present owner for a new one.");
    expect(adviceFor("DevicePolicy")).to.equal("No owner can widen this: only a policy that the device signs.");
  });
});

describe("the words of answers", () => {
  it("name times and lists", () => {
    expect(momentOf(0n)).to.equal("1970-01-01T00:00:00Z");
    expect(momentOf(FOREVER)).to.equal("for ever");
    expect([wordsOf([]), wordsOf(["a"]), wordsOf(["a", 24, "b"])]).to.deep.equal([
      "nothing",
      "a",
      "a, purpose 24 and b",
    ]);
  });
});
