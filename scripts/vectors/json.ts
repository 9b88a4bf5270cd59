/** What fits into so many characters stands in one line. */
const WIDTH = 160;

/**
 * JSON as the vectors have it: hex in lower case, numbers of the contracts as decimal strings, and what fits in one line.
 */
export function formatVectors(value: unknown): string {
  return `${format(toPlain(value), "")}\n`;
}

type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain };

function toPlain(value: unknown): Plain {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return /^0x[0-9a-fA-F]*$/.test(value) ? value.toLowerCase() : value;
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return Object.fromEntries(members.map(([name, member]) => [name, toPlain(member)]));
  }
  if (typeof value === "number" || typeof value === "boolean" || value === null) return value;
  throw new TypeError(`A vector cannot hold a ${typeof value}.`);
}

function format(value: Plain, indent: string): string {
  const line = JSON.stringify(value);
  if (typeof value !== "object" || value === null || indent.length + line.length <= WIDTH) return line;
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((part) => inner + format(part, inner))
    : Object.entries(value).map(([name, part]) => `${inner}${JSON.stringify(name)}: ${format(part, inner)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return `${open}\n${parts.join(",\n")}\n${indent}${close}`;
}
