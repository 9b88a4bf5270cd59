import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { appendFile, mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import { expect } from "chai";

import { hashFile, type FileProgress } from "../../client/files.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";

const MIB = 2 ** 20;

describe("hashFile", () => {
  const path = temporaryFolder();

  it("gives SHA-256 and size of the exact bytes", async () => {
    await writeFile(path("abc"), "abc");
    expect(await hashFile({ path: path("abc") })).to.deep.equal({
      digest: "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      size: 3n,
    });
  });

  it("gives the same for files that end before, at and after a chunk", async () => {
    for (const size of [MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 7]) {
      const content = randomBytes(size);
      await writeFile(path("image"), content);
      const digest = `0x${createHash("sha256").update(content).digest("hex")}`;
      expect(await hashFile({ path: path("image") })).to.deep.equal({ digest, size: BigInt(size) });
    }
  });

  it("reports progress after each chunk, up to the whole file", async () => {
    await writeFile(path("image"), randomBytes(2 * MIB + 5));
    const seen: FileProgress[] = [];
    await hashFile({ path: path("image"), onProgress: (progress) => seen.push(progress) });
    const size = BigInt(2 * MIB + 5);
    expect(seen).to.deep.equal([
      { bytes: BigInt(MIB), size },
      { bytes: BigInt(2 * MIB), size },
      { bytes: size, size },
    ]);
  });

  it("stops when it is cancelled half way, and before it begins", async () => {
    await writeFile(path("image"), randomBytes(4 * MIB));
    const controller = new AbortController();
    const seen: bigint[] = [];
    const onProgress = ({ bytes }: FileProgress): void => {
      seen.push(bytes);
      if (bytes === BigInt(2 * MIB)) controller.abort();
    };
    const options = { path: path("image"), onProgress, signal: controller.signal };
    const error = await errorOf("CANCELLED", () => hashFile(options));
    expect(error.message).to.contain(path("image"));
    expect(seen).to.deep.equal([BigInt(MIB), BigInt(2 * MIB)]);

    seen.length = 0;
    await errorOf("CANCELLED", () => hashFile(options));
    expect(seen).to.deep.equal([]);
  });

  it("hands on what the progress callback throws", async () => {
    await writeFile(path("image"), randomBytes(2 * MIB));
    const failures = [
      new RangeError("no more room to draw"),
      Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" }),
    ];
    for (const failure of failures) {
      const onProgress = (): never => {
        throw failure;
      };
      expect(await hashFile({ path: path("image"), onProgress }).catch((error: unknown) => error)).to.equal(failure);
    }
  });

  it("refuses a file that is missing", async () => {
    const error = await errorOf("FILE_MISSING", () => hashFile({ path: path("image") }));
    expect(error.details).to.deep.equal({ path: path("image") });
    await writeFile(path("file"), "text");
    await errorOf("FILE_MISSING", () => hashFile({ path: path("file/image") }));
  });

  it("refuses a directory", async () => {
    await mkdir(path("folder"));
    await errorOf("FILE_IS_DIRECTORY", () => hashFile({ path: path("folder") }));
  });

  it("refuses an empty file", async () => {
    await writeFile(path("image"), "");
    await errorOf("FILE_EMPTY", () => hashFile({ path: path("image") }));
  });

  it("refuses what cannot be read: a loop of links, too long a name, a device", async () => {
    await symlink(path("b"), path("a"));
    await symlink(path("a"), path("b"));
    const loop = await errorOf("FILE_UNREADABLE", () => hashFile({ path: path("a") }));
    expect(loop.message).to.contain("ELOOP");
    await errorOf("FILE_UNREADABLE", () => hashFile({ path: path("x".repeat(300)) }));
    await errorOf("FILE_UNREADABLE", () => hashFile({ path: "/dev/null" }));
  });

  it("refuses what cannot be a path", async () => {
    await errorOf("INVALID_ARGUMENT", () => hashFile({ path: "ima\0ge" }));
    await errorOf("INVALID_ARGUMENT", () => hashFile({ path: undefined as never }));
  });

  it("refuses a file that grows or shrinks while it is read", async () => {
    const changes = [() => appendFile(path("image"), "more"), () => truncate(path("image"), MIB)];
    for (const change of changes) {
      await writeFile(path("image"), randomBytes(6 * MIB));
      let changed: Promise<void> | undefined;
      const onProgress = (): void => {
        changed ??= change();
      };
      await errorOf("FILE_CHANGED", () => hashFile({ path: path("image"), onProgress }));
      await changed;
    }
  });

  it("needs less than 100 MB of memory for a file of 1 GiB", async function () {
    this.timeout(60_000);
    await writeFile(path("image"), "");
    await truncate(path("image"), 2 ** 30);
    const program = `
      const { hashFile } = await import(${JSON.stringify(new URL("../../client/files.ts", import.meta.url).href)});
      let bytes = 0;
      const onProgress = () => { bytes = Math.max(bytes, process.memoryUsage.rss()); };
      const { digest } = await hashFile({ path: ${JSON.stringify(path("image"))}, onProgress });
      console.log(JSON.stringify({ digest, bytes }));`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--import",
      "tsx",
      "--input-type=module",
      "--eval",
      program,
    ]);
    const { digest, bytes } = JSON.parse(stdout) as { digest: string; bytes: number };
    expect(digest).to.equal("0x49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14");
    expect(bytes).to.be.lessThan(100_000_000);
  });
});
