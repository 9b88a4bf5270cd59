import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new folder for each test, removed after it; the function gives the path of a name in it. */
export function temporaryFolder(): (name: string) => string {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "touchstone-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });
  return (name) => join(folder, name);
}
