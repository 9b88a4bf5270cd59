import { expect } from "chai";
import { network } from "hardhat";

import { TouchstoneError } from "../../client/index.js";
import { Story } from "../../scripts/demo/story.js";
import { tellWholeStory } from "../../scripts/demo/whole-story.js";
import { temporaryFolder } from "../support/folder.js";

const refuse = () => Promise.reject(new TouchstoneError("FIRMWARE_REFUSED", "no"));

function newStory(): { story: Story; lines: string[] } {
  const lines: string[] = [];
  return { story: new Story((line) => lines.push(line)), lines };
}

/** The message of the error that a story ends with. */
async function endOf(tell: () => unknown): Promise<string> {
  try {
    await tell();
  } catch (error) {
    return (error as Error).message;
  }
  return "The story went on.";
}

describe("the demo's story", () => {
  const path = temporaryFolder();

  it("is told to its end, each attack refused for the reason that it says", async () => {
    const { story, lines } = newStory();
    const connection = await network.create();
    try {
      await tellWholeStory({ story, connection, folder: path(".") });
      story.end();
    } finally {
      await connection.close();
    }
    expect(lines.at(-1)).to.equal("\ndemo: 8 steps, 10 attacks refused");
  });

  it("counts its steps and the attacks that were refused", async () => {
    const { story, lines } = newStory();
    await story.step("first", async () => {
      await story.attack("one", "FIRMWARE_REFUSED", refuse);
      await story.question("two", () => Promise.resolve("because"));
    });
    await story.step("second", () => {
      story.claim("so it is", true);
      return Promise.resolve();
    });
    story.end();
    expect(lines.at(-1)).to.equal("\ndemo: 2 steps, 2 attacks refused");
    expect(lines).to.include("     FIRMWARE_REFUSED: no");
  });

  it("ends when a claim does not hold", async () => {
    const { story } = newStory();
    expect(
      await endOf(() => {
        story.claim("pigs fly", false);
      }),
    ).to.equal('The demo claims "pigs fly", which is not so.');
  });

  it("ends when an attack is not refused, or for another reason than it said", async () => {
    const { story } = newStory();
    const succeed = () => Promise.resolve();
    expect(await endOf(() => story.attack("one", "FIRMWARE_REFUSED", succeed))).to.equal(
      'The attack "one" was not refused.',
    );
    expect(await endOf(() => story.question("two", () => Promise.resolve(undefined)))).to.equal(
      'The attack "two" was not refused.',
    );
    expect(await endOf(() => story.attack("three", "FIRMWARE_ROLLBACK", refuse))).to.equal(
      'The attack "three" was refused for another reason than FIRMWARE_ROLLBACK.',
    );
    expect(await endOf(() => story.attack("four", "Error", () => Promise.reject(new Error("a bug"))))).to.include(
      "four",
    );
  });
});
