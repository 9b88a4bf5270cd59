import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";

import { expect } from "chai";

import { readOutsideFile, type OutsidePackage } from "../../scripts/support/outside-package.js";
import { temporaryFolder } from "../support/folder.js";

async function messageOf(refused: Promise<unknown>): Promise<string> {
  try {
    await refused;
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail("nothing was refused");
}

describe("readOutsideFile", () => {
  const fileIn = temporaryFolder();

  /** A package that was fetched before, with `data.txt` in it. */
  async function fetchedPackage(): Promise<OutsidePackage> {
    await mkdir(fileIn("package"));
    await mkdir(fileIn("kept"));
    await writeFile(fileIn("package/data.txt"), "exact\r\nbytes\0");
    execFileSync("tar", ["-czf", fileIn("kept/scope-name-1.2.3.tgz"), "-C", fileIn("."), "package/data.txt"]);
    const bytes = await readFile(fileIn("kept/scope-name-1.2.3.tgz"));
    return { name: "@scope/name", version: "1.2.3", sha512: createHash("sha512").update(bytes).digest("base64") };
  }

  it("reads the exact bytes of a file of a package that was fetched before", async () => {
    const outside = await fetchedPackage();
    expect((await readOutsideFile(outside, "data.txt", fileIn("kept"))).toString()).to.equal("exact\r\nbytes\0");
  });

  it("refuses a package with other bytes", async () => {
    const outside = await fetchedPackage();
    const found = outside.sha512;
    const message = await messageOf(readOutsideFile({ ...outside, sha512: "AAAA" }, "data.txt", fileIn("kept")));
    expect(message).to.include("kept/scope-name-1.2.3.tgz is not @scope/name@1.2.3").and.include(found);
  });

  it("says that a package has no such file", async () => {
    const outside = await fetchedPackage();
    const message = await messageOf(readOutsideFile(outside, "none.txt", fileIn("kept")));
    expect(message).to.include("none.txt could not be read from");
  });

  it("says what to do when the package cannot be fetched, and leaves nothing behind", async () => {
    const outside = { name: "nowhere", version: "1.0.0", sha512: "AAAA" };
    const path = process.env.PATH;
    process.env.PATH = "";
    const message = await messageOf(readOutsideFile(outside, "data.txt", fileIn("kept"))).finally(() => {
      process.env.PATH = path;
    });
    expect(message).to.include("nowhere@1.0.0 could not be fetched").and.include("connect to an npm registry");
    expect(await readdir(fileIn("kept"))).to.deep.equal([]);
  });
});
