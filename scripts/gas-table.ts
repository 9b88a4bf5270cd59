// Writes the gas tables of README.md and docs/ from the snapshots; with --check it only says whether they are true.
import { readFileSync, writeFileSync } from "node:fs";

const BEGIN = "<!-- gas table: written by `npm run gas:update` from snapshots/ -->";
const END = "<!-- end of gas table -->";

const rows = [
  ["DeviceRegistry", "identity.enroll", "Enrol a P-256 device, relayed with the owner's signature"],
  ["DeviceRegistry", "identity.enrollOwner", "The same, sent by the owner"],
  ["DeviceRegistry", "identity.manifest", "Publish a manifest, of however many devices"],
  ["DeviceRegistry", "identity.claim", "Enrol a device of a manifest of 10,000, by its owner"],
  ["DeviceRegistry", "identity.suspend", "Suspend a device"],
  ["DeviceRegistry", "identity.voucher", "Hand a device over by a voucher"],
  ["DeviceRegistry", "identity.voucherFirst", "The same, for a seller who sells the first time"],
  ["DeviceRegistry", "identity.rotateFirst", "Rotate a device's key"],
  ["RoleRegistry", "roles.set", "Give an account roles in a fleet"],
  ["DataAnchor", "anchor.fleet", "Anchor a batch of readings in a fleet log, by its owner"],
  ["DataAnchor", "anchor.member", "The same, by a gateway with a role"],
  ["DataAnchor", "anchor.device", "Anchor a batch that a P-256 device signed, relayed"],
  ["DataAnchor", "anchor.many", "Anchor a batch in each of 100 logs of a fleet in one transaction, for each log"],
  ["DataAccess", "access.grant", "Grant an outsider access to a device"],
  [
    "DataAccess",
    "access.grantMany",
    "Grant an outsider access to each of 50 devices in one transaction, for each device",
  ],
  ["DataAccess", "access.grantSigned", "Grant it by the owner's signature, relayed"],
  ["DataAccess", "access.revoke", "Revoke it"],
  ["DataAccess", "access.check", "Ask whether access is allowed, from another contract"],
  ["FirmwareRegistry", "firmware.publish.accounts", "Publish firmware, 2 of 3 accounts"],
  ["FirmwareRegistry", "firmware.publish.p256", "Publish firmware, 2 of 3 P-256 keys"],
] as const;

const snapshots = new Map<string, Record<string, string>>();

function gasOf(contract: string, key: string): string {
  let snapshot = snapshots.get(contract);
  if (snapshot === undefined) {
    snapshot = JSON.parse(readFileSync(`snapshots/${contract}.json`, "utf8")) as Record<string, string>;
    snapshots.set(contract, snapshot);
  }
  const gas = snapshot[key];
  if (gas === undefined) throw new Error(`snapshots/${contract}.json has no "${key}".`);
  return Number(gas).toLocaleString("en-US");
}

/** What the anchoring of one reading comes to, in batches of so many. */
const BATCHES = [60, 1_000, 4_096, 100_000];
const ways = [
  ["anchor.device", "Device log, signed by a P-256 key, one batch in a transaction"],
  ["anchor.deviceAccount", "The same, signed by an account key"],
  ["anchor.member", "Fleet log, by a gateway with a role"],
  ["anchor.many", "100 fleet logs in one transaction, for each log"],
] as const;

function gasOfReading(id: string, readings: number): string {
  const gas = Number(gasOf("DataAnchor", id).replaceAll(",", "")) / readings;
  return gas.toFixed(gas < 1 ? 2 : gas < 100 ? 1 : 0);
}

/** Who may do what, beside others: the operation, then how it is called in the snapshots of each column, if it has it. */
const PEERS = [
  ["RoleRegistry", "Role in a fleet"],
  ["DataAccess", "Grant on a device"],
  ["AccessComparison", "AccessControl"],
  ["AccessComparison", "AccessManager"],
] as const;
const compared = [
  ["Give, to who has nothing", "roles.set", "access.grant", "control.grant", "manager.grant"],
  ["The same to each of 50, in one transaction", "", "access.grantMany", "", "manager.grantMany"],
  ["Change", "roles.change", "access.grantAgain", "", "manager.change"],
  ["End", "roles.remove", "access.revoke", "control.revoke", "manager.revoke"],
  ["End each of 50, in one transaction", "", "access.revokeMany", "", ""],
  ["Give up", "roles.renounce", "access.renounce", "control.renounce", "manager.renounce"],
  ["Give by signature, relayed", "", "access.grantSigned", "", ""],
  ["End by signature, relayed", "", "access.revokeSigned", "", ""],
  ["Give, by a member and not the owner", "roles.setByAdmin", "access.grantMember", "", ""],
  ["Ask for it", "", "access.request", "", ""],
  ["Set the owner's half of a policy", "", "access.setPolicy", "", ""],
  ["Set the device's half, relayed", "", "access.setDevicePolicy", "", ""],
  ["Ask, from a contract: yes", "check.builtIn", "access.check", "control.check", "manager.check"],
  ["Ask, from a contract: may it call this function", "", "", "", "manager.canCall"],
  ["Ask: yes, under both halves of a policy", "", "access.checkPolicy", "", ""],
  ["Ask: yes, as it is public", "", "access.checkPublic", "", ""],
  ["Ask: yes, for the owner", "", "access.checkOwner", "", ""],
  ["Ask: yes, for a member", "", "access.checkRole", "", ""],
  ["Ask: no", "check.stranger", "access.checkStranger", "", ""],
] as const;

const pages = {
  "README.md": [["Operation", "Gas"], ...rows.map(([contract, key, label]) => [label, gasOf(contract, key)])],
  "docs/integrity.md": [
    ["Gas", "of an anchor", ...BATCHES.map((count) => `of a reading, ${count.toLocaleString("en-US")} in a batch`)],
    ...ways.map(([id, label]) => [label, gasOf("DataAnchor", id), ...BATCHES.map((count) => gasOfReading(id, count))]),
  ],
  "docs/access.md": [
    ["Gas", ...PEERS.map(([, name]) => name)],
    ...compared.map(([label, ...ids]) => [
      label,
      ...PEERS.map(([group], column) => (ids[column] ? gasOf(group, ids[column]) : "–")),
    ]),
  ],
};

/** Aligned as prettier would align it: labels to the left, numbers to the right. */
function tableOf(cells: readonly (readonly string[])[]): string {
  const [head = [], ...body] = cells;
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lineOf = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [lineOf(head), lineOf(rule), ...body.map(lineOf)].join("\n");
}

for (const [path, cells] of Object.entries(pages)) {
  const page = readFileSync(path, "utf8");
  const [before, rest] = page.split(`${BEGIN}\n`);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${path} has no place for the gas table.`);
  const updated = `${before}${BEGIN}\n\n${tableOf(cells)}\n\n${END}${after}`;
  if (!process.argv.includes("--check")) {
    writeFileSync(path, updated);
  } else if (updated !== page) {
    console.error(`The gas table in ${path} is not what snapshots/ say: run \`npm run gas:update\`.`);
    process.exitCode = 1;
  }
}
