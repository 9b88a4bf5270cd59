import { expect } from "chai";
import fc from "fast-check";

import { sentenceOf, type DataGrant, type Sayable } from "../../client/access.js";
import { FOREVER, ZERO_HASH } from "../../client/arguments.js";
import { errorOf } from "../support/errors.js";

const GRANTOR = "0x1111111111111111111111111111111111111111";
const DEVICE = "0x2222222222222222222222222222222222222222";
const SUBJECT = "0x3333333333333333333333333333333333333333";
const HASH = `0x${"ab".repeat(32)}`;

const MESSAGE: DataGrant = {
  grantor: GRANTOR,
  device: DEVICE,
  subject: SUBJECT,
  permissions: 0b11n,
  purposes: 1n << 7n,
  notBefore: 1_800_000_000n,
  expiry: 1_900_000_000n,
  termsHash: HASH,
  epoch: 3n,
  seq: 5n,
  deadline: 1_790_000_000n,
};

const TERMS = {
  device: DEVICE,
  subject: SUBJECT,
  permissions: ["Command"],
  purposes: ["ServiceProvision"],
  expiry: FOREVER,
} as const;

describe("access.sentenceOf", () => {
  it("says a message that is to be signed: who, what, which device, what for, when, under which terms", () => {
    expect(sentenceOf(MESSAGE)).to.equal(
      `On the device ${DEVICE}, ${GRANTOR} allows ${SUBJECT} to read live measurements and read past measurements, ` +
        "for repairing impairments, from 2027-01-15 08:00:00 UTC until 2030-03-17 17:46:40 UTC (sooner if it is revoked or " +
        `the device is sold), under the terms with the hash ${HASH}. The signature can be used until ` +
        "2026-09-21 14:13:20 UTC.",
    );
  });

  it("says a grant and a request in other words, and for ever and no terms as what they are", () => {
    const rest =
      "send it commands, for service provision, from now on until it is revoked or the device is sold, under no written terms.";
    expect(sentenceOf(TERMS)).to.equal(`On the device ${DEVICE}, ${SUBJECT} may ${rest}`);
    expect(sentenceOf({ ...TERMS, notBefore: 0n, termsHash: ZERO_HASH })).to.equal(sentenceOf(TERMS));
    expect(sentenceOf({ ...TERMS, requestedAt: { block: 1, logIndex: 0 } })).to.equal(
      `On the device ${DEVICE}, ${SUBJECT} asks to be allowed to ${rest}`,
    );
  });

  it("lists every permission and purpose, and says of own purposes where they are explained", () => {
    const all = sentenceOf({ ...MESSAGE, permissions: 0x7fn, purposes: (1n << 24n) | (1n << 31n) | 1n | (1n << 23n) });
    expect(all).to.contain(
      "to read live measurements, read past measurements, see its location, read its description, send it commands, " +
        "change its settings and read its audit records, for service provision and marketing, and for purposes 24 and 31, " +
        "agreed in the terms, from",
    );
    expect(sentenceOf({ ...TERMS, purposes: [24], termsHash: HASH })).to.contain(
      ", for purpose 24, agreed in the terms, from",
    );
    expect(sentenceOf({ ...TERMS, purposes: [24] })).to.contain(
      ", for purpose 24, of which no terms say what they are,",
    );
    const sentence = sentenceOf({ ...MESSAGE, purposes: 0xffff_ffffn });
    expect(/ and for purposes 24, 25, 26, 27, 28, 29, 30 and 31, /.exec(sentence)).not.to.equal(null);
  });

  it("tells the last moments apart that the contracts can express", () => {
    expect(sentenceOf({ ...TERMS, expiry: FOREVER - 1n })).to.contain("until 36812-02-20 00:36:14 UTC (sooner");
    expect(sentenceOf({ ...TERMS, notBefore: 1n })).to.contain("from 1970-01-01 00:00:01 UTC until");
  });

  it("shows names beside ids, never in their place", () => {
    const names = { [SUBJECT]: "Acme Repair, Inc.", [DEVICE.toLowerCase()]: "Möbius' pump #4", [GRANTOR]: " " };
    expect(sentenceOf(MESSAGE, { names })).to.contain(
      `On the device ${DEVICE} (called "Möbius' pump #4"), ${GRANTOR} allows ${SUBJECT} (called "Acme Repair, Inc.") to read`,
    );
    expect(sentenceOf(TERMS, { names: { [`0x${"44".repeat(20)}`]: "nobody here" } })).to.equal(sentenceOf(TERMS));
  });

  it("lets no name forge, hide or move anything", () => {
    const shown = (name: string): string => {
      const sentence = sentenceOf(TERMS, { names: { [SUBJECT]: name } });
      const [, inQuotes = ""] = /\(called "([^"]*)"\) may send it commands/.exec(sentence) ?? [];
      return inQuotes;
    };
    const cases: [name: string, shown: string][] = [
      ['x") may read nothing, for', "x\\u{22}) may read nothing, for"],
      ["a\nb\r\tc", "a\\u{a}b\\u{d}\\u{9}c"],
      ["a\u2028b\u0085c", "a\\u{2028}b\\u{85}c"],
      ["\u202egnirts", "\\u{202e}gnirts"],
      ["\u2066a\u2069", "\\u{2066}a\\u{2069}"],
      ["a\u200bb\u00adc\ufeffd", "a\\u{200b}b\\u{ad}c\\u{feff}d"],
      ["\u3164\u115f", "\\u{3164}\\u{115f}"],
      ["a\u00a0b", "a\\u{a0}b"],
      ["“fine”", "\\u{201c}fine\\u{201d}"],
      ["x\u02ba), y\u02ee", "x\\u{2ba}), y\\u{2ee}"],
      ["x \u030e) .\u030b", "x \\u{30e}) .\\u{30b}"],
      ["back\\u{41}", "back\\u{5c}u\\u{7b}41\\u{7d}"],
      ["<b>bold</b>", "\\u{3c}b\\u{3e}bold\\u{3c}/b\\u{3e}"],
      [`really ${GRANTOR.slice(0, 20)}`, `really \\u{30}x${"1".repeat(18)}`],
      ["\u0301acute", "\\u{301}acute"],
      ["z\u0335\u0336\u0337\u0338", "z\u0335\u0336\\u{337}\\u{338}"],
      ["\ud800", "\\u{d800}"],
      ["שלום", "\u2068שלום\u2069"],
      ["a".repeat(500), `${"a".repeat(48)}…`],
      ["\u202e".repeat(500), `${"\\u{202e}".repeat(6)}…`],
    ];
    for (const [name, expected] of cases) expect(shown(name), JSON.stringify(name)).to.equal(expected);
  });

  it("stays the same around any name, and the same for the same input", () => {
    const bare = sentenceOf(MESSAGE);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (name) => {
        const sentence = sentenceOf(MESSAGE, { names: { [SUBJECT]: name } });
        expect(sentenceOf(MESSAGE, { names: { [SUBJECT]: name } })).to.equal(sentence);
        const [before, inQuotes, after, ...more] = sentence.split('"');
        if (inQuotes === undefined) {
          expect(sentence).to.equal(bare);
          return;
        }
        expect(more).to.deep.equal([]);
        expect(`${before!.replace(/ \(called $/, "")}${after!.replace(/^\)/, "")}`).to.equal(bare);
        expect(inQuotes.length).to.be.at.most(120);
        expect(inQuotes).not.to.match(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066\u2067]/u);
      }),
      { numRuns: 500, seed: 5573 },
    );
  });

  it("refuses what nobody can grant instead of leaving it out", async () => {
    const wrong: Sayable[] = [
      { ...MESSAGE, permissions: 0n },
      { ...MESSAGE, permissions: 0b1000_0001n },
      { ...MESSAGE, permissions: (1n << 20n) | 1n },
      { ...MESSAGE, permissions: 2n ** 32n },
      { ...MESSAGE, purposes: 0n },
      { ...MESSAGE, purposes: 2n ** 32n },
      { ...MESSAGE, notBefore: 5n, expiry: 5n },
      { ...MESSAGE, expiry: 2n ** 40n },
      { ...MESSAGE, deadline: 2n ** 40n },
      { ...MESSAGE, termsHash: "0x12" },
      { ...MESSAGE, grantor: "owner.eth" },
      { ...MESSAGE, device: "0x12" },
      { ...TERMS, permissions: [] },
      { ...TERMS, permissions: ["ManageRoles" as "Command"] },
      { ...TERMS, purposes: [] },
      { ...TERMS, purposes: [32 as 24] },
    ];
    for (const said of wrong) await errorOf("INVALID_ARGUMENT", () => sentenceOf(said));
    await errorOf("INVALID_ARGUMENT", () => sentenceOf(MESSAGE, { names: { owner: "me" } }));
    await errorOf("INVALID_ARGUMENT", () => sentenceOf(MESSAGE, { names: { [SUBJECT]: 5 as unknown as string } }));
  });
});
