import { readFile, writeFile } from "node:fs/promises";

import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "chai";

import { FOREVER } from "../../client/arguments.js";
import {
  formatTeam,
  parseTeam,
  readTeam,
  roleName,
  teamJsonSchema,
  writeTeam,
  type Team,
} from "../../client/team-files.js";
import type { TouchstoneError } from "../../client/errors.js";
import type { Fault } from "../../client/faults.js";
import { errorOf } from "../support/errors.js";
import { temporaryFolder } from "../support/folder.js";

const FLEET = "0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6";
const ANNA = "0x4B20993Bc481177ec7E8f571ceCaE8A9e22C02db";
const BEN = "0x78731D3Ca6b7E34aC0F824c42a7cC18A495cabaB";

const FULL = {
  $schema: "urn:touchstone:team:1",
  type: "touchstone-team",
  version: 1,
  note: ["The night shift", "of the north plant"],
  fleet: FLEET,
  roles: [{ role: 9, name: "Map reader", permissions: ["Share", "ReadLocation"], note: "for the map" }],
  exclusions: [{ roles: ["Map reader", "Operator"], note: "since the audit" }],
  members: [
    { account: ANNA, name: "Anna", roles: ["Gateway", 9, "Admin"], note: "on call" },
    { account: BEN.toLowerCase(), roles: ["Operator"], from: "2027-01-31", until: "2027-02-01T08:30:00+01:00" },
    { account: `0x${"0".repeat(35)}10000`, roles: ["Auditor"], from: 5, until: 2 ** 40 - 2 },
  ],
};

/** The faults of a text, as line and message. */
async function faultsOf(text: string): Promise<[number, string][]> {
  const error: TouchstoneError = await errorOf("TEAM_INVALID", () => parseTeam(text, "team.json"));
  expect(error.message).to.match(/^team\.json/);
  return (error.details.faults as Fault[]).map(({ line, message }) => [line, message]);
}

/** The text of a file that has these fields, a line each. */
function fileWith(fields: Record<string, unknown>): string {
  return JSON.stringify({ type: "touchstone-team", version: 1, members: [], ...fields }, undefined, 1);
}

describe("parseTeam", () => {
  it("reads roles by name, number and name of their own, times, and checksums", () => {
    expect(parseTeam(JSON.stringify(FULL))).to.deep.equal({
      fleet: FLEET,
      roles: [{ role: 9, name: "Map reader", permissions: ["ReadLocation", "Share"] }],
      exclusions: [["Operator", 9]],
      members: [
        { account: ANNA, name: "Anna", roles: ["Admin", "Gateway", 9], from: 0n, until: FOREVER },
        { account: BEN, name: undefined, roles: ["Operator"], from: 1_801_353_600n, until: 1_801_467_000n },
        {
          account: "0x0000000000000000000000000000000000010000",
          name: undefined,
          roles: ["Auditor"],
          from: 5n,
          until: FOREVER - 1n,
        },
      ],
    } satisfies Team);
  });

  it("takes what a file must have and no more", () => {
    expect(parseTeam(fileWith({}))).to.deep.equal({ fleet: undefined, roles: [], exclusions: [], members: [] });
  });

  it("comes out the same when it was written", () => {
    const team = parseTeam(JSON.stringify(FULL));
    expect(parseTeam(formatTeam(team))).to.deep.equal(team);
    expect(formatTeam(team)).to.contain('"from": "2027-01-31"').and.contain('"until": "2027-02-01T07:30:00Z"');
    expect(formatTeam(team)).to.contain(`"until": ${2 ** 40 - 2}`);
  });

  const member = (fields: object): object => ({ account: ANNA, roles: ["Maker"], ...fields });
  const WRONG: [what: string, fields: Record<string, unknown>, line: number, message: RegExp][] = [
    ["another type", { type: "team" }, 2, /^type is not "touchstone-team"\.$/],
    ["another version", { version: 2 }, 3, /^version is not 1/],
    ["an unknown field", { member: [] }, 1, /^"member" is unknown in the text/],
    ["an unknown field of a member", { members: [member({ role: "Maker" })] }, 5, /^"role" is unknown in members\.0/],
    ["no list of members", { members: {} }, 4, /^members is no list\.$/],
    ["a member without an account", { members: [{ roles: ["Maker"] }] }, 5, /^members\.0\.account is no address/],
    ["what is no address", { members: [member({ account: "anna.eth" })] }, 6, /^members\.0\.account is no address/],
    [
      "a mistyped address",
      { members: [member({ account: ANNA.replace("4B", "4b") })] },
      6,
      /checksum of 0x4b.* is wrong/,
    ],
    ["a mistyped fleet", { fleet: ANNA.replace("4B", "4b") }, 5, /checksum of 0x4b.* is wrong/],
    ["a reserved id", { members: [member({ account: `0x${"0".repeat(36)}ffff` })] }, 6, /is reserved/],
    ["a reserved fleet", { fleet: `0x${"0".repeat(40)}` }, 5, /is reserved/],
    [
      "an account that is there twice, in any case",
      { members: [member({}), member({ account: ANNA.toLowerCase() })] },
      12,
      /is a member already/,
    ],
    ["no roles", { members: [member({ roles: [] })] }, 7, /^members\.0\.roles is empty/],
    [
      "an unknown role",
      { members: [member({ roles: ["Maker", "Boss"] })] },
      9,
      /^"Boss" is no role of this team: .*"Admin"/,
    ],
    ["a role above 15", { members: [member({ roles: [16] })] }, 8, /^members\.0\.roles\.0 is no number of a role/],
    [
      "a built-in role by its number",
      { members: [member({ roles: [0] })] },
      8,
      /^members\.0\.roles\.0 is no number of a role/,
    ],
    ["an own role that is not defined", { members: [member({ roles: [8] })] }, 8, /^role 8 is not defined/],
    ["what is no time", { members: [member({ until: "tomorrow" })] }, 10, /^members\.0\.until is no time/],
    ["a day that is none", { members: [member({ from: "2027-02-30" })] }, 10, /^members\.0\.from is no time/],
    ["a time without its zone", { members: [member({ from: "2027-02-03T00:00:00" })] }, 10, /from is no time/],
    ["a time before 1970", { members: [member({ from: "1969-12-31" })] }, 10, /^begins before 1970/],
    ["a time past the chain's", { members: [member({ until: 2 ** 40 })] }, 10, /until is no time/],
    ["an empty window", { members: [member({ from: 9, until: 9 })] }, 11, /end before they begin/],
    ["an empty name", { members: [member({ name: "" })] }, 10, /^members\.0\.name is empty/],
    ["a name with a line separator", { members: [member({ name: "A\u2028B" })] }, 10, /control character/],
    ["a name with a mark of direction", { members: [member({ name: "A\u200fB" })] }, 10, /control character/],
    ["a name with a line break", { members: [member({ name: "A\nB" })] }, 10, /control character/],
    [
      "ManageRoles in a role",
      { roles: [{ role: 8, permissions: ["ManageRoles"] }] },
      9,
      /is no permission that a role/,
    ],
    ["a built-in role that is defined", { roles: [{ role: 7, permissions: [] }] }, 7, /give 8 to 15/],
    [
      "a role that is defined twice",
      { roles: [{ role: 8, permissions: [] }, { role: 8, permissions: [] }] }, // prettier-ignore
      11,
      /^role 8 is defined already/,
    ],
    [
      "a name of another role",
      { roles: [{ role: 8, name: "Admin", permissions: [] }] },
      8,
      /^"Admin" means another role/,
    ],
    ["a name that is a number", { roles: [{ role: 8, name: "9", permissions: [] }] }, 8, /^"9" means another role/],
    ["one role as an exclusion", { exclusions: [{ roles: ["Maker"] }] }, 7, /^exclusions\.0\.roles/],
    ["a role that excludes itself", { exclusions: [{ roles: ["Maker", "Maker"] }] }, 7, /^Maker cannot exclude itself/],
    [
      "an exclusion that is there twice",
      { exclusions: [{ roles: ["Maker", "Admin"] }, { roles: ["Admin", "Maker"] }] },
      13,
      /^Admin and Maker are declared exclusive already/,
    ],
    [
      "a member who holds both sides of an exclusion",
      { exclusions: [{ roles: ["Maker", "Admin"] }], members: [member({ roles: ["Admin", "Gateway", "Maker"] })] },
      7,
      /^0x4B20.* would hold Admin and Maker, which this file declares exclusive/,
    ],
  ];
  for (const [what, fields, line, message] of WRONG) {
    it(`refuses ${what}, with the line`, async () => {
      const faults = await faultsOf(fileWith(fields));
      expect(faults).to.have.length(1);
      expect(faults[0]![1]).to.match(message);
      expect(faults[0]![0]).to.equal(line);
    });
  }

  it("names all faults of the shape at once, and then all of the meaning, in the order of the lines", async () => {
    const shapes = fileWith({ members: [member({ until: "x" }), member({}), member({ account: "0x" })], type: "team" });
    expect((await faultsOf(shapes)).map(([line]) => line)).to.deep.equal([2, 10, 19]);
    const meanings = fileWith({
      members: [member({ roles: ["Boss"] }), member({}), member({ until: 0 })],
      exclusions: [{ roles: ["Maker", "Maker"] }],
    });
    expect((await faultsOf(meanings)).map(([line]) => line)).to.deep.equal([8, 12, 18, 22, 27]);
  });

  it("refuses keys that stand twice, of which JSON would take the last", async () => {
    const text = fileWith({}).replace('"members"', '"members": [],\n "members"');
    expect(await faultsOf(text)).to.deep.equal([[5, '"members" stands twice in one object: leave one out.']]);
    const escaped = text.replace('"members"', '"m\\u0065mbers"');
    expect((await faultsOf(escaped))[0]![1]).to.match(/stands twice/);
  });

  it("names the line where the text stops being JSON", async () => {
    for (const [text, line] of [
      ["{\n  \"type\": 'x'\n}", 2],
      ['{\n"type": "touchstone-team",\n"version": 1,\n}', 4],
      ['{\n"type": [', 2],
      ["", 1],
      ['{\n"a": 1\n}\nmore', 4],
    ] as const) {
      const [[found, message]] = (await faultsOf(text)) as [[number, string]];
      expect([found, message.includes("stops being JSON")], text).to.deep.equal([line, true]);
    }
  });

  it("refuses what nests far deeper than a team", async () => {
    const text = `{"type":"touchstone-team","version":1,"members":[],"note":${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
    expect((await faultsOf(text))[0]![1]).to.match(/^note/);
  });
});

describe("readTeam", () => {
  const path = temporaryFolder();

  it("reads what writeTeam wrote, and does not write over it", async () => {
    const team = parseTeam(JSON.stringify(FULL));
    await writeTeam({ path: path("team.json"), team });
    expect(await readTeam({ path: path("team.json") })).to.deep.equal(team);
    await errorOf("FILE_EXISTS", () => writeTeam({ path: path("team.json"), team }));
  });

  it("takes a byte order mark, and refuses other bytes than UTF-8, no file and an empty one", async () => {
    await writeFile(path("bom.json"), `\ufeff${fileWith({})}`);
    expect((await readTeam({ path: path("bom.json") })).members).to.deep.equal([]);
    await writeFile(path("latin.json"), Buffer.from(fileWith({ note: "é" }), "latin1"));
    expect((await errorOf("TEAM_INVALID", () => readTeam({ path: path("latin.json") }))).message).to.match(/UTF-8/);
    await writeFile(path("cut.json"), Buffer.from([0x7b, 0xc3]));
    expect((await errorOf("TEAM_INVALID", () => readTeam({ path: path("cut.json") }))).message).to.match(/UTF-8/);
    await writeFile(path("empty.json"), "");
    await errorOf("FILE_EMPTY", () => readTeam({ path: path("empty.json") }));
    await errorOf("FILE_MISSING", () => readTeam({ path: path("none.json") }));
  });
});

describe("teamJsonSchema", () => {
  it("is what client/team-schema.json holds", async () => {
    const file = await readFile("client/team-schema.json", "utf8");
    const advice = "stale: hardhat run --no-compile scripts/team-schema.ts";
    expect(JSON.parse(file), advice).to.deep.equal(teamJsonSchema());
  });

  it("takes what parseTeam takes, and refuses what is of another shape", () => {
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(teamJsonSchema());
    expect(validate(FULL), JSON.stringify(validate.errors)).to.equal(true);
    expect(validate({ ...FULL, version: 2 })).to.equal(false);
    expect(validate({ ...FULL, extra: 1 })).to.equal(false);
    expect(validate({ ...FULL, members: [{ account: ANNA, roles: [] }] })).to.equal(false);
  });
});

describe("roleName", () => {
  it("is that of the file where there is one", () => {
    const team = parseTeam(JSON.stringify(FULL));
    expect([roleName(team, "Admin"), roleName(team, 9), roleName(team, 8)]).to.deep.equal([
      "Admin",
      "Map reader",
      "role 8",
    ]);
  });
});
