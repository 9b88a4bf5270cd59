import { readFile } from "node:fs/promises";

import { expect } from "chai";

import { isYes } from "../client/access-state.js";
import { accessReasons, allPermissions, allRoles, namesIn } from "../client/enumerations.js";
import { allPurposes, purposeIri, purposeTerms } from "../client/purposes.js";

import { ask, deployAccess, GRANTABLE, PERMISSION, READ, REASON, sendGrant } from "./support/access.js";
import { ethers, loadFixture } from "./support/chain.js";
import { ROLE } from "./support/fleet.js";

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
    const shown = [...page.matchAll(/<!-- example: (\S+) -->\n\n```\w+\n([^]*?)```\n/g)];
    expect(shown.map(([, path]) => path)).to.deep.equal([
      "test/examples/share-a-device.ts",
      "contracts/test/DoorLock.sol",
      "test/examples/guard-a-gateway.ts",
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
      const given = access.connect(owner).grant.staticCall;
      const grant = given(p256Device.id, actors.subject, mask, 1n, 0n, 2n ** 40n - 1n, ethers.ZeroHash);
      if (byGrants === "yes") await grant;
      else await expect(grant).revertedWithCustomError(access, "PermissionsNotGrantable").withArgs(mask);
      const policy = access.connect(owner).setPolicy.staticCall(p256Device.id, GRANTABLE, mask, 1n);
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

  it("has every function that changes something, in the tables of who may call what", async () => {
    const { access, roles } = await loadFixture(deployAccess);
    const rows = [...tableAfter("## Who may call what"), ...tableAfter("| `RoleRegistry`")];
    const section = page.slice(page.indexOf("## Who may call what"), page.indexOf("## What ends what"));
    const writes = [access, roles].flatMap(({ interface: { fragments } }) =>
      fragments.filter(ethers.FunctionFragment.isFragment).filter((fragment) => !fragment.constant),
    );
    expect(rows).not.to.have.length(0);
    for (const { name } of writes) expect(namesOf(section), name).to.include(name);
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
    await roles.connect(actors.owner).setRoles(fleet, actors.operator, ROLE.Analyst, 0n, 2n ** 40n - 1n);
    await refused(actors.operator, "NoGrant");
    await access.connect(actors.owner).revoke(p256Device.id, actors.subject);
    await refused(actors.subject, "Revoked");
  });
});
