import { FOREVER } from "./arguments.js";
import { allPermissions, type Permission, type Role } from "./enumerations.js";
import type { FleetMember, FleetMembers, FleetWarning, MemberState, Source } from "./members.js";
import { roleName, type Team } from "./team-files.js";

/** What people call accounts and own roles: a team that was read from its file. */
export type TeamNames = Pick<Team, "roles" | "members">;

const NO_NAMES: TeamNames = { roles: [], members: [] };

/** Whether roles hold, for people. */
const STATES: Record<MemberState, string> = {
  Now: "now",
  Later: "later",
  Over: "over",
  Ended: "ended with its epoch",
};

// ------------------------------------------------------------------ as text

/** Who holds what in a fleet, as lines of text. */
export function membersAsText(fleet: FleetMembers, names: TeamNames = NO_NAMES): string[] {
  const rows = fleet.members.map((member) => [
    nameOf(names, member.account),
    member.account,
    member.roles.map((role) => roleName(names, role)).join(", "),
    STATES[member.state],
    windowOf(member),
    ...(member.state === "Now" ? [member.permissions.join(", ")] : []),
  ]);
  const hasNames = rows.some(([name]) => name !== "");
  const { roles, exclusions, warnings } = fleet;
  return [
    `fleet       ${fleet.fleet}`,
    `governor    ${named(names, fleet.governor)}`,
    ...(fleet.pendingGovernor === undefined ? [] : [`offered to  ${named(names, fleet.pendingGovernor)}`]),
    `block       ${fleet.block}, ${timeText(fleet.time)}`,
    `epoch       ${fleet.roleEpoch}`,
    "",
    ...(rows.length === 0 ? ["No members."] : aligned(hasNames ? rows : rows.map((row) => row.slice(1)))),
    ...section(
      "Own roles",
      roles.map(({ role, permissions }) => `${roleTitle(names, role)}: ${permissions.join(", ") || "nothing"}`),
    ),
    ...section(
      "Exclusive",
      exclusions.map(({ roles: pair }) => pairText(names, pair)),
    ),
    ...section(
      "Warnings",
      warnings.map((warning) => warningText(warning, names)),
    ),
  ];
}

/** What somebody should look at, as a sentence. */
export function warningText(warning: FleetWarning, names: TeamNames = NO_NAMES): string {
  switch (warning.kind) {
    case "HoldsBoth":
      return `${named(names, warning.account)} holds ${pairText(names, warning.roles)}, which were declared exclusive after: take one away.`;
    case "JoinsDuties":
      return (
        `${roleTitle(names, warning.role)} joins what ${pairText(names, warning.roles)} are exclusive for: ` +
        `${warning.permissions.join(", ")}. Define it without one side.`
      );
    case "Undefined":
      return `${named(names, warning.account)} holds ${roleTitle(names, warning.role)}, which permits nothing: define it, or take it away.`;
    case "Offered":
      return `The fleet is offered to ${named(names, warning.to)}, who may take it over at any moment: withdraw the offer if that is not meant.`;
  }
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)];
}

/** Columns as wide as their widest cell. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

// ------------------------------------------------------------------ as a page

/**
 * Who holds what in a fleet, as one HTML page that needs nothing else: no scripts, no fonts, no images, no network. All that comes
 * from outside is escaped.
 *
 * @param options.chainId Of the chain that was asked.
 */
export function membersAsPage(options: { fleet: FleetMembers; chainId: bigint; names?: TeamNames }): string {
  const { fleet, chainId, names = NO_NAMES } = options;
  const holders = fleet.members.filter(({ state }) => state === "Now" || state === "Later");
  const former = fleet.members.filter(({ state }) => state === "Over" || state === "Ended");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Who holds what in the fleet ${escaped(fleet.fleet)}</title>
<style>
${STYLE}</style>
</head>
<body>
<main>
<h1>Who holds what in a fleet</h1>
<dl>
${[
  ["Fleet", code(fleet.fleet)],
  ["Governor, who may do everything", person(names, fleet.governor)],
  ...(fleet.pendingGovernor === undefined ? [] : [["Offered to", person(names, fleet.pendingGovernor)]]),
  ["As of", `block ${fleet.block} of chain ${chainId}, ${moment(fleet.time)}`],
  ["Role epoch", String(fleet.roleEpoch)],
  ["Handed over", fleet.handovers === 1n ? "once" : `${fleet.handovers} times`],
]
  .map(([term, description]) => `<dt>${term ?? ""}</dt><dd>${description ?? ""}</dd>`)
  .join("\n")}
</dl>
${warningsPart(fleet, names)}
<h2>Members</h2>
${holders.length === 0 ? "<p>Nobody holds a role.</p>" : membersTable(holders, names)}
<h2>What each may do</h2>
${holders.length === 0 ? "<p>Nobody but the governor may do anything.</p>" : permissionsTable(holders, names)}
<h2>Own roles</h2>
${fleet.roles.length === 0 ? "<p>The fleet defined no roles of its own.</p>" : rolesTable(fleet, names)}
<h2>Exclusions</h2>
${fleet.exclusions.length === 0 ? "<p>No roles were declared exclusive.</p>" : exclusionsTable(fleet, names)}
<h2>Former members</h2>
${former.length === 0 ? "<p>No membership is over.</p>" : membersTable(former, names)}
</main>
</body>
</html>
`;
}

/** Dark ink on white, so that it prints as it looks; wide tables scroll on a screen and shrink on paper. */
const STYLE = `:root { color-scheme: light; }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; } dt { font-weight: 600; } dd { margin: 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { border: 1px solid #767676; padding: .3rem .5rem; text-align: left; vertical-align: top; }
thead th { background: #eee; }
code { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
.matrix thead th { writing-mode: vertical-rl; white-space: nowrap; }
.matrix thead th:first-child { writing-mode: horizontal-tb; }
.matrix td { text-align: center; }
.warnings { border: 2px solid #8a4b00; padding: .5rem 1rem; }
@media print {
  body { margin: 0; max-width: none; font-size: 9pt; }
  .table { overflow: visible; }
  thead { display: table-header-group; }
  tr, .warnings { break-inside: avoid; }
  h2 { break-after: avoid; }
}
`;

function warningsPart(fleet: FleetMembers, names: TeamNames): string {
  if (fleet.warnings.length === 0) return "<h2>Warnings</h2>\n<p>None.</p>";
  const items = fleet.warnings.map((warning) => `<li>${escaped(warningText(warning, names))}</li>`);
  return `<h2>Warnings</h2>\n<ul class="warnings">\n${items.join("\n")}\n</ul>`;
}

function membersTable(rows: readonly FleetMember[], names: TeamNames): string {
  return table({
    caption: "Their roles, from when until when, and who gave them.",
    head: ["Account", "Roles", "Holds", "From", "Until", "Given"],
    rows: rows.map((member) => [
      person(names, member.account),
      member.roles.map((role) => escaped(roleName(names, role))).join(", "),
      STATES[member.state],
      member.from === 0n ? "at once" : moment(member.from),
      member.until === FOREVER ? "for ever" : moment(member.until),
      source(names, member),
    ]),
  });
}

/** Members × permissions. */
function permissionsTable(rows: readonly FleetMember[], names: TeamNames): string {
  return table({
    isMatrix: true,
    caption: "What the roles permit at this moment; a dash for what they do not.",
    head: ["Account", ...allPermissions],
    rows: rows.map(({ account, permissions }) => [
      person(names, account),
      ...allPermissions.map((permission: Permission) => (permissions.includes(permission) ? "yes" : "–")),
    ]),
  });
}

function rolesTable({ roles }: FleetMembers, names: TeamNames): string {
  return table({
    caption: "What the fleet says that its own roles permit.",
    head: ["Role", "Permits", "Defined"],
    rows: roles.map(({ role, permissions, ...said }) => [
      escaped(roleTitle(names, role)),
      permissions.join(", ") || "nothing",
      source(names, said),
    ]),
  });
}

function exclusionsTable({ exclusions }: FleetMembers, names: TeamNames): string {
  return table({
    caption: "Roles that nobody can be given together any more.",
    head: ["Roles", "Declared"],
    rows: exclusions.map(({ roles: pair, ...said }) => [escaped(pairText(names, pair)), source(names, said)]),
  });
}

/** @param options.rows Cells of HTML; the first of each row names it. */
function table(options: {
  caption: string;
  head: readonly string[];
  rows: readonly (readonly string[])[];
  isMatrix?: boolean;
}): string {
  const { caption, head, rows, isMatrix = false } = options;
  const cells = ([first = "", ...others]: readonly string[]): string =>
    `<tr><th scope="row">${first}</th>${others.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  // A part that scrolls must be reached with the keyboard too.
  return `<div class="table" role="region" tabindex="0" aria-label="${escaped(caption)}">
<table${isMatrix ? ' class="matrix"' : ""}>
<caption>${escaped(caption)}</caption>
<thead><tr>${head.map((title) => `<th scope="col">${escaped(title)}</th>`).join("")}</tr></thead>
<tbody>
${rows.map(cells).join("\n")}
</tbody>
</table>
</div>`;
}

function person(names: TeamNames, account: string): string {
  const name = nameOf(names, account);
  return name === "" ? code(account) : `${escaped(name)}<br>${code(account)}`;
}

function source(names: TeamNames, { by, timestamp, transactionHash }: Source): string {
  return `${moment(timestamp)} by ${person(names, by)}<br>in ${code(transactionHash)}`;
}

function code(text: string): string {
  return `<code>${escaped(text)}</code>`;
}

function moment(seconds: bigint): string {
  const text = escaped(timeText(seconds));
  return `<time>${text}</time>`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

// ------------------------------------------------------------------ names and times

function nameOf(names: TeamNames, account: string): string {
  return names.members.find((member) => member.account === account)?.name ?? "";
}

function named(names: TeamNames, account: string): string {
  const name = nameOf(names, account);
  return name === "" ? account : `${name} (${account})`;
}

/** An own role with its number, by which the chain knows it. */
function roleTitle(names: TeamNames, role: Role): string {
  const name = roleName(names, role);
  return typeof role !== "number" || name === `role ${role}` ? name : `${name} (role ${role})`;
}

function pairText(names: TeamNames, [a, b]: readonly [Role, Role]): string {
  return `${roleName(names, a)} and ${roleName(names, b)}`;
}

function windowOf({ from, until }: FleetMember): string {
  const end = until === FOREVER ? "for ever" : `until ${timeText(until)}`;
  return from === 0n ? end : `from ${timeText(from)} ${end}`;
}

const YEAR_10000 = 253_402_300_800n;

/** To the second, in UTC; what has no year of four digits as Unix seconds. */
function timeText(seconds: bigint): string {
  return seconds < YEAR_10000
    ? new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z")
    : `${seconds} Unix seconds`;
}
