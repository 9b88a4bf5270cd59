import { readFile } from "node:fs/promises";

import { expect } from "chai";
import fc from "fast-check";

import * as enumerations from "../../client/enumerations.js";
import { allPermissions, allRoles, maskOf, nameOf, namesIn, numberOf } from "../../client/enumerations.js";
import { errorOf } from "../support/errors.js";

/** The members of an enumeration as the contracts' source has them; names of members are in no ABI. */
async function membersOf(file: string, enumeration: string): Promise<string[]> {
  const source = await readFile(new URL(`../../contracts/${file}`, import.meta.url), "utf8");
  const [, body = ""] = new RegExp(`enum ${enumeration} \\{([^}]*)\\}`).exec(source) ?? [];
  return body
    .replaceAll(/\/\/.*$/gm, "")
    .split(",")
    .map((member) => member.trim());
}

/** CONSTANT_CASE constants with their value, as a library's source has them. */
async function constantsOf(file: string, pattern: RegExp): Promise<string[]> {
  const source = await readFile(new URL(`../../contracts/${file}`, import.meta.url), "utf8");
  const found = [...source.matchAll(pattern)].map(([, name = "", value]) => ({ name, value: Number(value) }));
  const pascal = (name: string): string =>
    name
      .toLowerCase()
      .split("_")
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join("");
  return found.sort((a, b) => a.value - b.value).map(({ name }) => pascal(name));
}

describe("enumerations", () => {
  const lists = [
    { file: "interfaces/IDeviceRegistry.sol", enumeration: "Status", names: enumerations.deviceStatuses },
    { file: "libraries/KeyProofs.sol", enumeration: "Scheme", names: enumerations.schemeNames },
    { file: "interfaces/IDataAccess.sol", enumeration: "Reason", names: enumerations.accessReasons },
    { file: "interfaces/IDataAnchor.sol", enumeration: "Kind", names: enumerations.anchorKinds },
    { file: "libraries/MerkleLog.sol", enumeration: "Tree", names: enumerations.treeHashes },
    { file: "interfaces/IDataAnchor.sol", enumeration: "FreshState", names: enumerations.freshStates },
    { file: "interfaces/IFirmwareRegistry.sol", enumeration: "Quorum", names: enumerations.quorums },
    { file: "interfaces/IFirmwareRegistry.sol", enumeration: "Status", names: enumerations.releaseStatuses },
    { file: "interfaces/IFirmwareRegistry.sol", enumeration: "Reason", names: enumerations.firmwareReasons },
  ];
  for (const { file, enumeration, names } of lists) {
    it(`have the names and the order of ${enumeration} in ${file}`, async () => {
      expect(await membersOf(file, enumeration)).to.deep.equal([...names]);
    });
  }

  it("have the permissions by the bits of the library Permissions", async () => {
    expect(await constantsOf("libraries/Permissions.sol", /constant ([A-Z_]+) = 1 << (\d+);/g)).to.deep.equal([
      ...allPermissions,
    ]);
  });

  it("have the built-in roles by the numbers of the library Roles", async () => {
    const constants = await constantsOf("libraries/Roles.sol", /uint8 internal constant ([A-Z]+) = (\d+);/g);
    expect(constants.slice(0, 8)).to.deep.equal([...enumerations.builtInRoles]);
    expect(allRoles).to.deep.equal([...enumerations.builtInRoles, 8, 9, 10, 11, 12, 13, 14, 15]);
  });

  it("turn names into numbers and back", () => {
    for (const [number, role] of allRoles.entries()) {
      expect(numberOf(allRoles, role)).to.equal(BigInt(number));
      expect(nameOf(allRoles, BigInt(number))).to.equal(role);
    }
  });

  it("turn any set of names into a mask and back", () => {
    fc.assert(
      fc.property(fc.subarray([...allPermissions]), (set) => {
        const mask = maskOf(allPermissions, set);
        expect(namesIn(allPermissions, mask)).to.deep.equal(set);
        expect(maskOf(allPermissions, [...set, ...set])).to.equal(mask);
        expect(namesIn(allPermissions, mask | (1n << 31n))).to.deep.equal(set);
      }),
    );
  });

  it("refuse a name and a number that they do not have", async () => {
    const name = await errorOf("INVALID_ARGUMENT", () => maskOf(allPermissions, ["ReadLive", "Fly"]));
    expect(name.message).to.contain("Fly").and.contain("ReadLive, ReadHistory");
    const number = await errorOf("INVALID_ARGUMENT", () => nameOf(enumerations.deviceStatuses, 4n));
    expect(number.message).to.contain("4").and.contain("Retired");
  });
});
