import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { network } from "hardhat";

import { TouchstoneError } from "../client/index.js";
import { Story } from "./demo/story.js";
import { tellWholeStory } from "./demo/whole-story.js";

const connection = await network.create();
const folder = await mkdtemp(join(tmpdir(), "touchstone-demo-"));
const story = new Story((line) => {
  console.log(line);
});
try {
  await tellWholeStory({ story, connection, folder });
  story.end();
} catch (error) {
  console.error(error instanceof TouchstoneError ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
  await connection.close();
}
