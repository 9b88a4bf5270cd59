import { readFile } from "node:fs/promises";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

import { expect } from "chai";
import hre from "hardhat";
import { ArgumentType } from "hardhat/types/arguments";

import * as access from "../client/access.js";
import { isYes } from "../client/access-state.js";
import { accessReasons, allPermissions, allRoles, namesIn } from "../client/enumerations.js";
import { TouchstoneError } from "../client/errors.js";
import { parseTeam } from "../client/team-files.js";
import { openPolicyMirror } from "../client/policy-mirror.js";
import { allPurposes, purposeIri, purposeTerms } from "../client/purposes.js";

import { createGateway } from "./examples/guard-a-gateway.js";
import { becomeReader, openReading, sealReading } from "./examples/seal-for-readers.js";
import { answerRequests, askForAccess, mailGrant, mayRead } from "./examples/share-a-device.js";
import { ask, deployAccess, GRANTABLE, PERMISSION, READ, REASON, sendGrant } from "./support/access.js";
import { DAY, ethers, FOR_EVER, loadFixture, now } from "./support/chain.js";
import { ROLE } from "./support/fleet.js";
import { temporaryFolder } from "./support/folder.js";
import { deploySuite } from "./support/suite.js";

const PAGE = "docs/access.md";
const page = await readFile(PAGE, "utf8");

/** The cells of the table behind a marker or heading, without its head. */
function tableAfter(mark: string): string[][] {
  const [, rest = ""] = page.split(`${mark}\n`);
  const lines = rest.slice(rest.indexOf("\n|") + 1).split("\n");
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(2, end).map((line) =>
    line
      .slice(1, -1)
      .split(" | ")
      .map((cell) => cell.trim()),
  );
}

/** The names in backticks of a cell. */
function namesOf(cell = ""): string[] {
  return [...cell.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
}

describe("docs/access.md", () => {
  it("shows the examples as the files have them", async () => {
    const shown = [...page.matchAll(/<!-- example: (\S+) -->\n\n(?:<!-- prettier-ignore -->\n)?```\w+\n([^]*?)```\n/g)];
    expect(shown.map(([, path]) => path)).to.deep.equal([
      "test/examples/share-a-device.ts",
      "contracts/test/DoorLock.sol",
      "test/examples/guard-a-gateway.ts",
      "test/examples/seal-for-readers.ts",
    ]);
    for (const [, path = "", text] of shown) expect(text, path).to.equal(await readFile(path, "utf8"));
  });

  it("lists the permissions, and who can have them, as client and contracts do", async () => {
    const { access, roles, actors, p256Device, fleet } = await loadFixture(deployAccess);
    const rows = tableAfter("<!-- permissions: tested against client/enumerations.ts and the contracts -->");
    expect(rows.map(([bit, name]) => [bit, ...namesOf(name)])).to.deep.equal(
      allPermissions.map((name, bit) => [`${bit}`, name]),
    );

    const owner = actors.owner;
    for (const [bit, [, , , byRoles, byGrants, isPublic]] of rows.entries()) {
      const mask = 1n << BigInt(bit);
      const byOwner = access.connect(owner);
      const subject = actors.subject.address;
      const grant = byOwner.grant.staticCall(p256Device.id, subject, mask, 1n, 0n, FOR_EVER, ethers.ZeroHash);
      if (byGrants === "yes") await grant;
      else await expect(grant).revertedWithCustomError(access, "PermissionsNotGrantable").withArgs(mask);
      const policy = byOwner.setPolicy.staticCall(p256Device.id, GRANTABLE, mask, 1n);
      if (isPublic === "yes") await policy;
      else await expect(policy).revertedWithCustomError(access, "PublicNotReadable").withArgs(mask);
      const ownRole = roles.connect(owner).defineRole.staticCall(fleet, 8, mask);
      if (byRoles === "yes") await ownRole;
      else await expect(ownRole).revertedWithCustomError(roles, "PermissionsNotAllowed").withArgs(mask);
    }
    expect(rows.filter(([, , , , , isPublic]) => isPublic === "yes")).to.have.length(4);
  });

  it("lists what each role permits as the contract does", async () => {
    const { roles, fleet } = await loadFixture(deployAccess);
    const rows = tableAfter("<!-- roles: tested against rolePermissions of the contract -->");
    for (const [number, name, permits = ""] of rows.slice(0, -1)) {
      const permissions = namesIn(allPermissions, await roles.rolePermissions(fleet, Number(number)));
      expect(name).to.equal(allRoles[Number(number)]);
      expect(permits === "Everything" ? [...allPermissions] : namesOf(permits), name).to.deep.equal(permissions);
    }
    expect(rows.slice(0, -1)).to.have.length(8);
    for (const role of allRoles.slice(8)) expect(await roles.rolePermissions(fleet, Number(role))).to.equal(0n);
  });

  it("lists the purposes with their numbers and IRIs as the client does", () => {
    const rows = tableAfter("<!-- purposes: tested against client/purposes.ts -->");
    const expected = purposeTerms.map((term, number) => [`${number}`, `\`${term}\``, `\`${purposeIri(term)}\``]);
    expect(rows.slice(0, -1)).to.deep.equal(expected);
    expect(rows.at(-1)?.[0]).to.equal(`${allPurposes.indexOf(24)}–${allPurposes.length - 1}`);
  });

  it("lists every reason for a no, in the order of the contract", () => {
    const rows = tableAfter("### Why the answer is no");
    expect(rows.map(([name]) => namesOf(name)[0])).to.deep.equal(accessReasons.filter((reason) => !isYes(reason)));
    expect(Object.keys(REASON)).to.deep.equal([...accessReasons]);
  });

  it("has no command but of tasks and options that there are", () => {
    // Comments of the shell are none of a command.
    const commands = [...page.matchAll(/npx hardhat ((?:access|team|fleet) [^`\n#]*)/g)].map(([, words = ""]) =>
      words.trim().split(/\s+/),
    );
    expect(commands.length).to.be.greaterThan(20);
    for (const words of commands) {
      const { options, positionalArguments } = hre.tasks.getTask(words.slice(0, 2));
      const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      const flags = new Map([...options.values()].map(({ name, type }) => [`--${kebab(name)}`, type]));
      let given = 0;
      for (let place = 2; place < words.length; place++) {
        const word = words[place] ?? "";
        if (word === "…") given = positionalArguments.length;
        else if (!word.startsWith("--")) given++;
        else if (word === "--network") place++;
        else {
          expect([...flags.keys()], words.join(" ")).to.include(word);
          if (flags.get(word) !== ArgumentType.FLAG) place++;
        }
      }
      // A command is named alone in a sentence, or whole.
      if (words.length > 2) expect(given, words.join(" ")).to.equal(positionalArguments.length);
    }
  });

  it("has a team file that is one", () => {
    const [, text = ""] = /<!-- team file: read by the tests -->\n\n```json\n([^]*?)```/.exec(page) ?? [];
    const { fleet, roles, exclusions, members } = parseTeam(text);
    expect(fleet).to.match(/^0x/);
    expect([roles.length, exclusions.length, members.length]).to.deep.equal([1, 1, 2]);
  });

  it("has every function that changes something, in the tables of who may call what", async () => {
    const { access, roles } = await loadFixture(deployAccess);
    const section = page.slice(page.indexOf("## Who may call what"), page.indexOf("## What ends what"));
    const names: string[] = [];
    for (const { interface: face } of [access, roles]) {
      face.forEachFunction(({ name, constant }) => {
        if (!constant) names.push(name);
      });
    }
    expect(names).to.include.members(["grantMany", "acceptGovernor"]);
    for (const name of names) expect(namesOf(section)).to.include(name);
  });
});

describe("DoorLock, the contract of docs/access.md", () => {
  it("opens for who has Command for its purpose, and tells the others why not", async () => {
    const suite = await loadFixture(deployAccess);
    const { access, actors, p256Device, roles, fleet } = suite;
    const lock = await ethers.deployContract("DoorLock", [access, p256Device.id]);
    expect(await lock.ACCESS()).to.equal(await access.getAddress());
    expect(await lock.DEVICE()).to.equal(p256Device.id);
    const refused = (by: typeof actors.subject, reason: keyof typeof REASON) =>
      expect(lock.connect(by).open()).revertedWithCustomError(lock, "NotAllowed").withArgs(by.address, REASON[reason]);

    await refused(actors.subject, "NoGrant");
    const terms = { device: p256Device.id, subject: actors.subject.address, permissions: PERMISSION.Command };
    await sendGrant(suite, actors.owner, { ...terms, purposes: 0b10n });
    await refused(actors.subject, "PurposeNotGranted");
    await sendGrant(suite, actors.owner, { ...terms, permissions: READ, purposes: 0b1n });
    await refused(actors.subject, "PermissionNotGranted");
    await sendGrant(suite, actors.owner, { ...terms, purposes: 0b1n });
    await expect(lock.connect(actors.subject).open()).emit(lock, "Opened").withArgs(actors.subject.address);
    expect(await ask(suite, p256Device.id, actors.subject, PERMISSION.Command, 0n)).to.equal("Grant");

    // The governor and operators, without a grant.
    for (const by of [actors.owner, actors.operator]) {
      await expect(lock.connect(by).open()).emit(lock, "Opened").withArgs(by.address);
    }
    await roles.connect(actors.owner).setRoles(fleet, actors.operator, ROLE.Analyst, 0n, FOR_EVER);
    await refused(actors.operator, "NoGrant");
    await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
    await refused(actors.subject, "Revoked");
  });
});

describe("the examples of docs/access.md", () => {
  const fileIn = temporaryFolder();

  it("ask for access, approve less of it after one sentence, and do it once", async () => {
    const { as, actors, p256Device } = await loadFixture(deploySuite);
    const device = p256Device.id;
    const until = (await now()) + 30n * DAY;
    await askForAccess({ touchstone: as.subject, device, until, terms: "Repairs only. Reference 7f3a." });

    const read: string[] = [];
    const agree = (answer: boolean) => (sentence: string) => {
      read.push(sentence);
      return Promise.resolve(answer);
    };
    const options = { touchstone: as.owner, devices: [device] };
    expect(await answerRequests({ ...options, agree: agree(false) })).to.deep.equal([]);
    const [approved] = await answerRequests({ ...options, agree: agree(true) });
    expect(approved?.subject).to.equal(actors.subject.address);
    expect(await answerRequests({ ...options, agree: agree(true) })).to.deep.equal([]);
    expect(read).to.have.length(2);
    expect(read[0]).to.include("live measurements").and.to.include("past measurements");
    expect(read[0]).to.include("repairing impairments").and.not.to.include("send commands");

    const { subject } = actors;
    const question = {
      touchstone: as.stranger,
      device,
      account: subject.address,
      purpose: "RepairImpairments",
    } as const;
    expect(await access.explain({ ...question, permissions: ["ReadHistory"] })).to.deep.equal({
      allowed: true,
      reason: "Grant",
    });
    expect(await access.isAllowed({ ...question, permissions: ["Command"] })).to.equal(false);
  });

  it("mail a grant, that counts for its subject until it is revoked", async () => {
    const { as, actors, p256Device } = await loadFixture(deploySuite);
    const device = p256Device.id;
    await askForAccess({ touchstone: as.subject, device, until: (await now()) + 30n * DAY, terms: "Repairs only." });
    const [request] = await access.readRequests({ touchstone: as.owner, devices: [device] });
    const path = fileIn("grant.json");
    await mailGrant({ touchstone: as.owner, request: request!, owner: actors.owner, path });

    const server = { touchstone: as.stranger, path };
    expect(await mayRead({ ...server, loggedIn: actors.subject.address })).to.equal(true);
    expect(await mayRead({ ...server, loggedIn: actors.stranger.address })).to.equal(false);
    await access.revoke({ touchstone: as.owner, device, subject: actors.subject.address });
    expect(await mayRead({ ...server, loggedIn: actors.subject.address })).to.equal(false);
  });

  it("serve live readings as long as the reader may read, and not a moment longer", async () => {
    const { as, actors, p256Device } = await loadFixture(deploySuite);
    const device = p256Device.id;
    const reader = actors.subject.address;
    const mirror = await openPolicyMirror({ touchstone: as.gateway, confirmations: 1, staleAfter: 10n ** 9n });
    const { server, publish } = createGateway({ mirror, accountOf: ({ headers }) => headers.from });
    try {
      await once(server.listen(0, "127.0.0.1"), "listening");
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/devices/${device}/live`;
      const get = (from?: string) => fetch(url, from === undefined ? {} : { headers: { from } });

      expect((await get()).status).to.equal(401);
      expect((await fetch(`http://127.0.0.1:${port}/devices/0x1/live`)).status).to.equal(404);
      const refused = await get(reader);
      expect([refused.status, await refused.text()]).to.deep.equal([403, "NoGrant"]);

      const terms = { device, subject: reader, purposes: ["ServiceProvision"], expiry: (await now()) + DAY } as const;
      await access.grant({ touchstone: as.owner, ...terms, permissions: ["ReadLive"] });
      await mirror.catchUp();
      const { status, body } = await get(reader);
      expect(status).to.equal(200);
      const lines = createInterface({ input: Readable.fromWeb(body as never) })[Symbol.asyncIterator]();
      publish(device, "21.5");
      expect(await lines.next()).to.deep.equal({ value: "21.5", done: false });
      publish(actors.device.address, "another device's");

      // Nothing is published, and the session ends all the same.
      await access.revoke({ touchstone: as.owner, device, subject: reader });
      await mirror.catchUp();
      expect((await lines.next()).done).to.equal(true);
      publish(device, "22.0");
      expect((await get(reader)).status).to.equal(403);
    } finally {
      server.closeAllConnections();
      server.close();
      await mirror.close();
    }
  });

  it("seal readings for who may read, until the grant is revoked", async () => {
    const { as, actors, p256Device, fleet } = await loadFixture(deploySuite);
    const device = p256Device.id;
    const reader = actors.subject.address;
    const terms = { permissions: ["ReadLive"], purposes: ["ServiceProvision"], expiry: (await now()) + DAY } as const;
    await access.grant({ touchstone: as.owner, device, subject: reader, ...terms });
    const keyFile = fileIn("reader.jwk");
    await becomeReader({ touchstone: as.subject, keyFile });

    const gateway = { touchstone: as.gateway, ringFile: fileIn("ring"), secret: "a passphrase", owner: fleet };
    const seal = (seq: bigint, text: string) =>
      sealReading({ ...gateway, device, reader, seq, payload: Buffer.from(text), confirmations: 0 });
    const first = await seal(0n, "21.5");
    const reading = { touchstone: as.stranger, keyFile, device };
    const opened = await openReading({ ...reading, ...first, seq: 0n });
    expect(Buffer.from(opened.payload).toString()).to.equal("21.5");
    expect(Buffer.from(first.sealed.payload).includes("21.5")).to.equal(false);

    await access.revoke({ touchstone: as.owner, device, subject: reader });
    const { sealed } = await seal(1n, "22.0");
    const error: unknown = await openReading({ ...reading, sealed, envelopes: first.envelopes, seq: 1n }).catch(
      (caught: unknown) => caught,
    );
    expect(error).to.be.instanceOf(TouchstoneError).with.property("code", "DATA_KEY_MISSING");
  });
});
