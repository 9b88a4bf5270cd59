import { readdir, readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";

import { expect } from "chai";

import * as client from "../../client/index.js";

const FOLDER = new URL("../../client/", import.meta.url);

describe("the client", () => {
  it("has a namespace for each noun, and the rest flat", () => {
    expect(client.devices.enroll).to.be.a("function");
    expect(client.roles.setRoles).to.be.a("function");
    expect(client.access.grant).to.be.a("function");
    expect(client.lifecycle.enrollMany).to.be.a("function");
    expect(client.sharing.openKeyRing).to.be.a("function");
    expect(client.firmware.publish).to.be.a("function");
    expect(client.connectTouchstone).to.be.a("function");
    expect(client.TouchstoneError).to.be.a("function");
  });

  it("needs only its dependencies, itself and the typings at run time", async () => {
    const { dependencies } = JSON.parse(await readFile(new URL("../package.json", FOLDER), "utf8")) as {
      dependencies: Record<string, string>;
    };
    const files = await readdir(FOLDER);
    expect(files).to.include("index.ts");
    for (const file of files.filter((name) => name.endsWith(".ts"))) {
      const source = await readFile(new URL(file, FOLDER), "utf8");
      for (const [, from = ""] of source.matchAll(/(?:from|import\()\s*"([^"]+)"/g)) {
        const name = from
          .split("/")
          .slice(0, from.startsWith("@") ? 2 : 1)
          .join("/");
        const isAllowed =
          isBuiltin(from) || name in dependencies || name === "." || from.startsWith("../typechain-types/");
        expect(isAllowed, `${file} imports ${from}`).to.equal(true);
      }
    }
  });
});
