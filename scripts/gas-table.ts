// Writes the gas table of README.md from the snapshots; with --check it only says whether the table is true.
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

const cells = rows.map(([contract, key, label]): [string, string] => [label, gasOf(contract, key)]);
const width = (column: 0 | 1): number =>
  Math.max(...[["Operation", "Gas"], ...cells].map((row) => row[column]?.length ?? 0));
const [left, right] = [width(0), width(1)];
const line = (label: string, gas: string): string => `| ${label.padEnd(left)} | ${gas.padStart(right)} |`;
// Aligned as prettier would align it.
const table = [
  line("Operation", "Gas"),
  `| ${"-".repeat(left)} | ${"-".repeat(right - 1)}: |`,
  ...cells.map(([label, gas]) => line(label, gas)),
].join("\n");

const readme = readFileSync("README.md", "utf8");
const [before, rest] = readme.split(`${BEGIN}\n`);
const after = rest?.split(END)[1];
if (before === undefined || after === undefined) throw new Error("README.md has no place for the gas table.");
const updated = `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;

if (process.argv.includes("--check")) {
  if (updated !== readme) {
    console.error("The gas table in README.md is not what snapshots/ say: run `npm run gas:update`.");
    process.exitCode = 1;
  }
} else {
  writeFileSync("README.md", updated);
}
