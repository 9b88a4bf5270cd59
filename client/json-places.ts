/** Where the values of a JSON text stand. */
export interface JsonPlaces {
  /** The line of the value with this path, or of the innermost one around it; lines count from 1. */
  lineOf(path: readonly PropertyKey[]): number;
  /** Keys that stand twice in one object: JSON.parse would take the last, and nobody would see the first. */
  twice: readonly { key: string; line: number }[];
  /** The line in which the text stops being JSON; undefined if it does not. The errors of JSON.parse seldom tell. */
  brokenAt: number | undefined;
}

const SCALAR = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![^\s,\]}])/y;

/**
 * Finds the lines of all values of a JSON text.
 *
 * @param deepest Nothing beyond this level is looked at, nor what follows it.
 */
export function placesIn(text: string, deepest: number): JsonPlaces {
  const scanner = new Scanner(text, deepest);
  const brokenAt = scanner.scan();
  const { lines, twice } = scanner;
  return {
    twice,
    brokenAt,
    lineOf(path) {
      for (let length = path.length; length > 0; length--) {
        const found = lines.get(keyOf(path.slice(0, length)));
        if (found !== undefined) return found;
      }
      return lines.get("") ?? 1;
    },
  };
}

function keyOf(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key)}`).join("");
}

class Broken extends Error {}
class TooDeep extends Error {}

class Scanner {
  readonly lines = new Map<string, number>();
  readonly twice: { key: string; line: number }[] = [];
  readonly #text: string;
  readonly #deepest: number;
  #at = 0;
  #line = 1;

  constructor(text: string, deepest: number) {
    this.#text = text;
    this.#deepest = deepest;
  }

  scan(): number | undefined {
    try {
      this.#value([]);
      if (this.#at < this.#text.length) throw new Broken();
      return undefined;
    } catch (error) {
      if (error instanceof TooDeep) return undefined;
      if (error instanceof Broken) return this.#line;
      throw error;
    }
  }

  #value(path: readonly string[]): void {
    this.#space();
    this.lines.set(keyOf(path), this.#line);
    const first = this.#next();
    if (first === '"') this.#string();
    else if (first === "{" || first === "[") {
      if (path.length >= this.#deepest) throw new TooDeep();
      this.#members(path, first === "{");
    } else {
      SCALAR.lastIndex = this.#at;
      if (!SCALAR.test(this.#text)) throw new Broken();
      this.#at = SCALAR.lastIndex;
    }
    this.#space();
  }

  #members(path: readonly string[], isObject: boolean): void {
    const end = isObject ? "}" : "]";
    const keys = new Set<string>();
    this.#at++;
    this.#space();
    if (this.#take(end)) return;
    for (let index = 0; ; index++) {
      this.#space();
      let key = String(index);
      if (isObject) {
        key = this.#string();
        if (keys.has(key)) this.twice.push({ key, line: this.#line });
        keys.add(key);
        this.#space();
        if (!this.#take(":")) throw new Broken();
      }
      this.#value([...path, key]);
      if (this.#take(end)) return;
      if (!this.#take(",")) throw new Broken();
    }
  }

  #string(): string {
    const start = this.#at;
    if (!this.#take('"')) throw new Broken();
    while (this.#next() !== '"') {
      if (this.#next() === "" || this.#next() === "\n") throw new Broken();
      this.#at += this.#next() === "\\" ? 2 : 1;
    }
    this.#at++;
    try {
      return String(JSON.parse(this.#text.slice(start, this.#at)));
    } catch {
      throw new Broken();
    }
  }

  #space(): void {
    for (; /[ \t\r\n]/.test(this.#next()); this.#at++) if (this.#next() === "\n") this.#line++;
  }

  #take(character: string): boolean {
    const isNext = this.#next() === character;
    if (isNext) this.#at++;
    return isNext;
  }

  #next(): string {
    return this.#text.charAt(this.#at);
  }
}
