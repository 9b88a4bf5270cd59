import { readFile } from "node:fs/promises";

import { expect } from "chai";

import { tableOf, withTable } from "../../bench/support/table.js";
import { isMissed, OPEN_ZEPPELIN, rounded, rowOf, TARGETS, type Row, type Target } from "../../bench/targets.js";
import { EAS_CONTRACTS } from "../../scripts/support/outside-package.js";

const results = JSON.parse(await readFile("bench/results.json", "utf8")) as Row[];

function targetNamed(id: string): Target {
  return TARGETS.find((target) => target.id === id)!;
}

describe("bench/results.json", () => {
  it("has every row, with its target and its floor", () => {
    const expected = TARGETS.map((target) => {
      const row = results.find(({ id }) => id === target.id)!;
      return rowOf(target, row.ours, row.peers);
    });
    expect(results).to.deep.equal(expected);
  });

  it("misses no target", () => {
    expect(results.filter(isMissed).map(({ id }) => id)).to.deep.equal([]);
  });

  it("has the gas of the snapshots, else `npm run bench` writes it anew", async () => {
    const snapshot = JSON.parse(await readFile("snapshots/DataAnchor.json", "utf8")) as Record<string, string>;
    const rows = results.filter(({ unit }) => unit === "gas");
    expect(rows).to.have.length(4);
    for (const { id, ours } of rows) expect(`${ours}`, id).to.equal(snapshot[id]);
  });

  it("is what README shows", async () => {
    const readme = await readFile("README.md", "utf8");
    expect(withTable(readme, results)).to.equal(readme);
  });
});

describe("README", () => {
  it("names the versions that are measured", async () => {
    const readme = await readFile("README.md", "utf8");
    for (const name of ["@openzeppelin/merkle-tree", "merkletreejs", "@cedar-policy/cedar-wasm"]) {
      const text = await readFile(`node_modules/${name}/package.json`, "utf8");
      const { version } = JSON.parse(text) as { version: string };
      expect(readme).to.include(`\`${name}\` ${version} `);
    }
    expect(readme.replaceAll("\n", " ")).to.include(`the Ethereum Attestation Service ${EAS_CONTRACTS.version} `);
  });
});

describe("a target of the benchmark", () => {
  const row = (id: string, ours: number): Row => rowOf(targetNamed(id), ours, []);

  it("is missed by a rate that is lower by more than noise", () => {
    expect(isMissed(row("ingest", 140_000))).to.equal(false);
    expect(isMissed(row("ingest", 130_000))).to.equal(true);
  });

  it("is missed by a single gas or byte too many", () => {
    expect(isMissed(row("anchor.fleet", 42_000))).to.equal(false);
    expect(isMissed(row("anchor.fleet", 42_001))).to.equal(true);
    expect(isMissed(row("tree.1m", 300_000_000))).to.equal(false);
    expect(isMissed(row("tree.1m", 300_000_001))).to.equal(true);
  });

  it("is so many times what a peer needs in the same run", () => {
    const of = (ours: number): Row => rowOf(targetNamed("tree.100k"), ours, [{ name: OPEN_ZEPPELIN, value: 3000 }]);
    expect(of(100).target).to.equal(100);
    expect(isMissed(of(109))).to.equal(false);
    expect(isMissed(of(111))).to.equal(true);
    expect(() => row("tree.100k", 100)).to.throw(`${OPEN_ZEPPELIN} was not measured.`);
  });

  it("is never missed where there is none", () => {
    expect(isMissed(row("tree.1k", 1e9))).to.equal(false);
  });
});

describe("the table of the benchmark", () => {
  it("says how many times better ours is, whatever better means", () => {
    const rows: Row[] = [
      { ...rowOf(targetNamed("tree.1k"), 2, [{ name: "slower", value: 5 }]) },
      { ...rowOf(targetNamed("ingest"), 200_000, [{ name: "faster", value: 400_000 }]) },
      { ...rowOf(targetNamed("tree.1m"), 1.5e8, [{ name: "larger", value: 3e9 }]) },
    ];
    expect(tableOf(rows).split("\n")).to.deep.equal([
      "| What                             |         Touchstone | Others                            |             Target |",
      "| -------------------------------- | -----------------: | --------------------------------- | -----------------: |",
      "| Merkle tree of 1,000 leaves      |               2 ms | slower 5 ms (2.50×)               |                  – |",
      "| Readings: salts, hashes and tree | 200,000 readings/s | faster 400,000 readings/s (0.50×) | 150,000 readings/s |",
      "| The most memory for it           |             150 MB | larger 3,000 MB (20×)             |             300 MB |",
    ]);
  });

  it("shows a target as it is set", () => {
    const row = rowOf(targetNamed("tree.100k"), 100, [{ name: OPEN_ZEPPELIN, value: 3000 }]);
    expect(tableOf([row])).to.match(/ 100 ms .* 3,000 ms \(30×\) \| +30× \|$/);
  });

  it("needs a place on the page", () => {
    expect(() => withTable("# A page", [])).to.throw("The page has no place for the speed table.");
  });

  it("has figures of as many digits as are worth telling", () => {
    expect([0.123456, 12.3456, 123.456, 1234.56, 150_000_000].map(rounded)).to.deep.equal([
      0.123, 12.3, 123, 1235, 150_000_000,
    ]);
  });
});
