import { appendFile, chmod, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";

import { expect } from "chai";

import { openJournal, type Journal, type JournalBinding, type JournalRecord } from "../../client/journal.js";
import * as lifecycle from "../../client/lifecycle.js";
import { loadFixture } from "../support/chain.js";
import { deviceKeys } from "../support/device-keys.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";
import { deployOperator, enrollmentsOf, HASTE, sentBy } from "../support/lifecycle.js";
import { Plug, PowerCut, writingThrough } from "../support/plug.js";

const ABOUT: JournalBinding = {
  verb: "enroll",
  chainId: "31337",
  contract: "0x0000000000000000000000000000000000010001",
  sender: "0x0000000000000000000000000000000000010002",
  items: 3,
  digest: "0x12",
};
const RECORDS: JournalRecord[] = [
  { record: "found", items: [0] },
  { record: "refused", items: [{ item: 1, reason: "0x12345678" }] },
  { record: "attempt", nonce: 7, items: [2], block: 12, transaction: "0x02" },
  { record: "sent", hash: "0xab" },
  { record: "mined", attempt: 0, hash: "0xab", block: 13, refused: [] },
  { record: "reverted", attempt: 0, hash: "0xAB", block: 13 },
  { record: "taken", block: 13 },
];

describe("openJournal", () => {
  const fileIn = temporaryFolder();

  async function using<T>(path: string, act: (journal: Journal) => Promise<T>, about = ABOUT): Promise<T> {
    const journal = await openJournal(path, about);
    try {
      return await act(journal);
    } finally {
      await journal.close();
    }
  }

  it("gives back what was appended, one line of JSON for each record, for its owner's eyes", async () => {
    const path = fileIn("journal");
    await using(path, async (journal) => {
      expect(journal.records).to.deep.equal([]);
      for (const record of RECORDS) await journal.append(record);
    });
    expect(await using(path, (journal) => Promise.resolve(journal.records))).to.deep.equal(RECORDS);
    const lines = (await readFile(path, "utf8")).split("\n");
    expect(lines.map((line) => (line === "" ? "" : (JSON.parse(line) as unknown)))).to.deep.equal([
      { record: "journal", version: 1, ...ABOUT },
      ...RECORDS,
      "",
    ]);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
  });

  it("cuts off a line that was left half written, wherever it broke off", async () => {
    const path = fileIn("journal");
    await using(path, (journal) => journal.append(RECORDS[0]!));
    const whole = await readFile(path, "utf8");
    const line = JSON.stringify(RECORDS[2]);
    for (const torn of [line, line.slice(0, 1), line.slice(0, -1), "\0".repeat(100)]) {
      await appendFile(path, torn);
      await using(path, async (journal) => {
        expect(journal.records).to.deep.equal([RECORDS[0]]);
        await journal.append(RECORDS[1]!);
      });
      expect(await readFile(path, "utf8")).to.equal(`${whole}${JSON.stringify(RECORDS[1])}\n`);
      await writeFile(path, whole);
    }
  });

  it("begins anew if not even the first line was whole", async () => {
    const path = fileIn("journal");
    await writeFile(path, '{"record":"jour');
    await using(path, (journal) => journal.append(RECORDS[0]!));
    expect(await using(path, (journal) => Promise.resolve(journal.records))).to.deep.equal([RECORDS[0]]);
  });

  for (const field of ["verb", "chainId", "contract", "sender", "items", "digest"] as const) {
    it(`refuses a journal with another ${field}, and says so`, async () => {
      const path = fileIn("journal");
      await using(path, () => Promise.resolve());
      const given = field === "items" ? 4 : "other";
      const error = await errorOf("JOURNAL_MISMATCH", () => openJournal(path, { ...ABOUT, [field]: given }));
      expect(error.details).to.deep.equal({ path, field, journal: ABOUT[field], given });
      expect(error.message).to.contain(String(ABOUT[field])).and.to.contain(String(given));
    });
  }

  it("refuses a file that is no journal, and one that was damaged, naming the line", async () => {
    const path = fileIn("journal");
    await using(path, (journal) => journal.append(RECORDS[0]!));
    const whole = await readFile(path, "utf8");
    const wrong: [string, number][] = [
      ["a text\n", 1],
      ["{}\n", 1],
      [whole.replace('"version":1', '"version":2'), 1],
      [`${whole}{"record":"new"}\n`, 3],
      [`${whole}{"record":"mined"}\n${JSON.stringify(RECORDS[1])}\n`, 3],
      [`${whole}\n`, 3],
    ];
    for (const [text, line] of wrong) {
      await writeFile(path, text);
      const error = await errorOf("JOURNAL_INVALID", () => openJournal(path, ABOUT));
      expect(error.details).to.deep.equal({ path, line });
      expect(await readFile(path, "utf8")).to.equal(text);
    }
  });

  it("is for one user at a time, by whatever name it is opened", async () => {
    const path = fileIn("journal");
    await writeFile(path, "");
    await symlink(path, fileIn("link"));
    await using(path, async (journal) => {
      for (const name of [path, fileIn("link")]) {
        const error = await errorOf("JOURNAL_LOCKED", () => openJournal(name, ABOUT));
        expect(error.details).to.deep.equal({ path: name });
      }
      await journal.append(RECORDS[0]!);
    });
    expect(await using(fileIn("link"), (journal) => Promise.resolve(journal.records))).to.have.lengthOf(1);
  });

  it("takes nothing more after a line that did not reach the disk", async () => {
    const path = fileIn("journal");
    await using(path, async (journal) => {
      const error = await writingThrough(new Plug(1), () =>
        errorOf("JOURNAL_FAILED", () => journal.append(RECORDS[0]!)),
      );
      expect(error.cause).to.be.instanceOf(PowerCut);
      await errorOf("JOURNAL_FAILED", () => journal.append(RECORDS[1]!));
    });
    expect(await using(path, (journal) => Promise.resolve(journal.records))).to.deep.equal([]);
  });

  it("says what is wrong with the path", async () => {
    await mkdir(fileIn("folder"));
    await errorOf("FILE_IS_DIRECTORY", () => openJournal(fileIn("folder"), ABOUT));
    await errorOf("FILE_MISSING", () => openJournal(fileIn("nowhere/journal"), ABOUT));
    await errorOf("INVALID_ARGUMENT", () => openJournal("\0", ABOUT));
    // A folder where the lock should be.
    await mkdir(fileIn("journal.lock"));
    await errorOf("JOURNAL_FAILED", () => openJournal(fileIn("journal"), ABOUT));
    await chmod(fileIn("folder"), 0o700);
  });
});

describe("a journal of work on many devices", () => {
  const fileIn = temporaryFolder();

  it("serves one run at a time", async () => {
    const { touchstone, wallet } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), wallet.address);
    const options = { touchstone: touchstone.connect(wallet), enrollments, journal: fileIn("journal"), limits: HASTE };
    const [first, second] = await Promise.allSettled([lifecycle.enrollMany(options), lifecycle.enrollMany(options)]);
    expect([first.status, second.status].sort()).to.deep.equal(["fulfilled", "rejected"]);
    const failed = first.status === "rejected" ? first : second;
    await errorOf("JOURNAL_LOCKED", () => {
      if (failed.status === "rejected") throw failed.reason;
    });
    expect(await sentBy(touchstone, wallet.address)).to.have.lengthOf(1);
  });

  it("serves no other work", async () => {
    const { touchstone, wallet, relayer } = await loadFixture(deployOperator);
    const enrollments = await enrollmentsOf(touchstone, await deviceKeys(2), wallet.address);
    const options = { touchstone: touchstone.connect(wallet), enrollments, journal: fileIn("journal"), limits: HASTE };
    await lifecycle.enrollMany(options);
    const ids = enrollments.map(({ enrollment }) => enrollment.device);
    const [first, second] = enrollments as [lifecycle.ProvenEnrollment, lifecycle.ProvenEnrollment];
    const later = { ...first, enrollment: { ...first.enrollment, deadline: first.enrollment.deadline + 1n } };
    const others: [string, () => Promise<unknown>][] = [
      ["verb", () => lifecycle.suspendMany({ ...options, devices: ids })],
      ["sender", () => lifecycle.enrollMany({ ...options, touchstone: touchstone.connect(relayer) })],
      ["items", () => lifecycle.enrollMany({ ...options, enrollments: [first] })],
      ["digest", () => lifecycle.enrollMany({ ...options, enrollments: [second, first] })],
      ["digest", () => lifecycle.enrollMany({ ...options, enrollments: [later, second] })],
    ];
    for (const [field, act] of others) {
      expect((await errorOf("JOURNAL_MISMATCH", act)).details).to.include({ field });
    }
    expect(await sentBy(touchstone, wallet.address)).to.have.lengthOf(1);
  });
});
