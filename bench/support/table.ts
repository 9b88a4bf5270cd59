import { TARGETS, timesBetter, type Row, type Unit } from "../targets.js";

const BEGIN = "<!-- speed table: written by `npm run bench` from bench/results.json -->";
const END = "<!-- end of speed table -->";
const HEADER = ["What", "Touchstone", "Others", "Target"];
const RIGHT = new Set(["Touchstone", "Target"]);

/** The rows as a table in Markdown, aligned as prettier would align it. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => [labelOf(row.id), figureOf(row.unit, row.ours), othersOf(row), targetOf(row)]);
  const columns = HEADER.map((title, column) => {
    const width = Math.max(...[HEADER, ...lines].map((line) => line[column]?.length ?? 0));
    return RIGHT.has(title)
      ? { rule: `${"-".repeat(width - 1)}:`, pad: (text: string) => text.padStart(width) }
      : { rule: "-".repeat(width), pad: (text: string) => text.padEnd(width) };
  });
  const joined = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const padded = (line: readonly string[]): string => joined(columns.map(({ pad }, column) => pad(line[column] ?? "")));
  return [padded(HEADER), joined(columns.map(({ rule }) => rule)), ...lines.map(padded)].join("\n");
}

/** A page with the table of these rows in place of the one it has. */
export function withTable(page: string, rows: readonly Row[]): string {
  const [before, rest] = page.split(`${BEGIN}\n`);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error("The page has no place for the speed table.");
  return `${before}${BEGIN}\n\n${tableOf(rows)}\n\n${END}${after}`;
}

function labelOf(id: string): string {
  return TARGETS.find((target) => target.id === id)?.label ?? id;
}

function othersOf({ unit, ours, peers }: Row): string {
  const texts = peers.map(({ name, value }) => {
    const times = timesBetter(unit, ours, value);
    return `${name} ${figureOf(unit, value)} (${times.toFixed(times < 10 ? 2 : 0)}×)`;
  });
  return texts.join(", ") || "–";
}

function targetOf({ id, unit, target }: Row): string {
  const meant = TARGETS.find((known) => known.id === id)?.target ?? target;
  if (meant === null) return "–";
  return typeof meant === "number" ? figureOf(unit, meant) : `${meant.times}×`;
}

function figureOf(unit: Unit, value: number): string {
  const [amount, name] = unit === "bytes" ? [Math.round(value / 1e6), "MB"] : [value, unit];
  return `${amount.toLocaleString("en-US")} ${name}`;
}
