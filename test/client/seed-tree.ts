import { expect } from "chai";
import { concat, dataSlice, hexlify, keccak256, sha256 } from "ethers";
import fc from "fast-check";

import {
  createSaltReader,
  discloseSeeds,
  eraseAllSeeds,
  eraseSeeds,
  rootSeed,
  saltsOf,
  type SeedNode,
} from "../../client/seed-tree.js";
import type { TreeHash } from "../../client/enumerations.js";
import { errorOf } from "../support/errors.js";

const logId = `0x${"5e".repeat(32)}`;
const H = { Keccak256: keccak256, Sha256: sha256 };
const ROOT = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const root = rootSeed(ROOT);
const hash: TreeHash = "Keccak256";

/** The seeds of both children of a node, by the definition, each hashed once. */
const known = new Map<string, string>();
function childrenOf(tree: TreeHash, height: number, index: number): string {
  const node = `${tree} ${height} ${index}`;
  const children = known.get(node) ?? H[tree](concat(["0x04", logId, seedAt(tree, height, index)]));
  known.set(node, children);
  return children;
}

/** The seed of a node, by the definition: one hash for each level from the root down. */
function seedAt(tree: TreeHash, height: number, index: number): string {
  if (height === 32) return hexlify(ROOT);
  const siblings = childrenOf(tree, height + 1, Math.floor(index / 2));
  return index % 2 === 0 ? dataSlice(siblings, 0, 16) : dataSlice(siblings, 16);
}

/** The leaves that a node covers. */
const leavesUnder = ({ height, index }: SeedNode): [number, number] => [index * 2 ** height, (index + 1) * 2 ** height];

/** Which of the leaves below `size` the nodes cover. */
function covered(nodes: readonly SeedNode[], size: number): number[] {
  return Array.from({ length: size }, (_, leaf) => leaf).filter((leaf) =>
    nodes.some((node) => {
      const [start, end] = leavesUnder(node);
      return start <= leaf && leaf < end;
    }),
  );
}

/** Fails unless each node has the seed of the definition, and no node covers another. */
function expectGenuine(nodes: readonly SeedNode[], tree: TreeHash = hash): void {
  for (const { height, index, seed } of nodes) expect(hexlify(seed)).to.equal(seedAt(tree, height, index));
  let past = 0;
  for (const node of nodes) {
    const [start, end] = leavesUnder(node);
    expect(start).to.be.at.least(past);
    past = end;
  }
}

/** The fewest aligned ranges of 2^h leaves that make up all leaves from first to past - 1. */
function fewestNodes(first: number, past: number): number {
  if (first >= past) return 0;
  let width = 1;
  while (first % (2 * width) === 0 && first + 2 * width <= past) width *= 2;
  return 1 + fewestNodes(first + width, past);
}

const range = (max: number) =>
  fc.tuple(fc.nat(max - 1), fc.nat(max - 1)).map(([a, b]) => ({ first: Math.min(a, b), count: Math.abs(a - b) + 1 }));

describe("the salts of a seed tree", () => {
  for (const tree of ["Keccak256", "Sha256"] as const) {
    it(`are its leaves, byte for byte (${tree})`, () => {
      for (const leaf of [0, 1, 2, 3, 1023, 1024, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
        const salt = saltsOf({ hash: tree, logId, seeds: [root], first: leaf, count: 1 });
        expect(hexlify(salt), `leaf ${leaf}`).to.equal(seedAt(tree, 0, leaf));
      }
    });
  }

  it("follow each other as they are one by one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 300 }), fc.integer({ min: 1, max: 300 }), (first, count) => {
        const salts = saltsOf({ hash, logId, seeds: [root], first, count });
        expect(salts.length).to.equal(16 * count);
        for (const place of [0, count >> 1, count - 1]) {
          expect(hexlify(salts.subarray(16 * place, 16 * place + 16))).to.equal(seedAt(hash, 0, first + place));
        }
      }),
      { numRuns: 20 },
    );
  });

  it("are the same in whatever order they are read, from whatever seeds are held", () => {
    const salts = saltsOf({ hash, logId, seeds: [root], first: 0, count: 200 });
    const indices = fc.uniqueArray(fc.nat(199), { maxLength: 20 });
    fc.assert(
      fc.property(indices, fc.array(fc.nat(199)), (gone, order) => {
        const seeds = eraseAllSeeds({ hash, logId, seeds: [root], indices: gone, size: 200 });
        const reader = createSaltReader({ hash, logId, seeds: [...seeds].reverse() });
        const salt = new Uint8Array(18);
        for (const leaf of order.filter((index) => !gone.includes(index))) {
          reader.read(leaf, salt, 1);
          expect(hexlify(salt.subarray(1, 17))).to.equal(hexlify(salts.subarray(16 * leaf, 16 * leaf + 16)));
        }
        expect([salt[0], salt[17]]).to.deep.equal([0, 0]);
      }),
    );
  });

  it("are the same after a jump of any length", () => {
    const reader = createSaltReader({ hash, logId, seeds: [root] });
    const salt = new Uint8Array(16);
    const far = [
      0,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32 - 1,
      2 ** 32 - 2,
      0,
      2 ** 31,
      1,
      1,
      2 ** 16,
      2 ** 16 - 1,
      2 ** 32 - 1,
      0,
    ];
    for (const leaf of far) {
      reader.read(leaf, salt, 0);
      expect(hexlify(salt), `leaf ${leaf}`).to.equal(seedAt(hash, 0, leaf));
    }
  });

  it("differ from log to log, from hash to hash and from seed to seed", () => {
    const others = [
      { hash, logId, seeds: [root] },
      { hash, logId: `0x${"5f".repeat(32)}`, seeds: [root] },
      { hash: "Sha256" as const, logId, seeds: [root] },
      { hash, logId, seeds: [rootSeed()] },
      { hash, logId, seeds: [rootSeed()] },
    ];
    const salts = others.flatMap((set) => {
      const two = hexlify(saltsOf({ ...set, first: 0, count: 2 }));
      return [dataSlice(two, 0, 16), dataSlice(two, 16)];
    });
    expect(new Set(salts).size).to.equal(10);
  });

  it("are refused from the first leaf on that no seed covers, naming it", async () => {
    const seeds = eraseAllSeeds({ hash, logId, seeds: [root], indices: [7, 5, 70], size: 100 });
    for (const [first, count, leaf] of [
      [0, 100, 5],
      [5, 1, 5],
      [6, 3, 7],
      [8, 92, 70],
    ] as const) {
      const error = await errorOf("NOT_FOUND", () => saltsOf({ hash, logId, seeds, first, count }));
      expect(error.message).to.equal(
        `There is no seed for the salt of leaf ${leaf}: it was erased, or never disclosed.`,
      );
      expect(error.details).to.deep.equal({ leaf });
    }
    expect(
      (await errorOf("NOT_FOUND", () => saltsOf({ hash, logId, seeds: [], first: 9, count: 1 }))).details,
    ).to.deep.equal({ leaf: 9 });
  });

  it("are read on rightly after one was refused", async () => {
    const seeds = eraseAllSeeds({ hash, logId, seeds: [root], indices: [5, 6, 40], size: 100 });
    const reader = createSaltReader({ hash, logId, seeds });
    const salt = new Uint8Array(16);
    for (const [gone, leaf] of [
      [5, 4],
      [40, 41],
      [6, 99],
      [40, 39],
      [5, 7],
      [6, 0],
    ] as const) {
      await errorOf("NOT_FOUND", () => {
        reader.read(gone, salt, 0);
      });
      reader.read(leaf, salt, 0);
      expect(hexlify(salt), `leaf ${leaf} after ${gone}`).to.equal(seedAt(hash, 0, leaf));
    }
  });

  it("are refused for leaves that no batch has, and from what is no set of seeds", async () => {
    for (const [first, count] of [
      [-1, 1],
      [0.5, 1],
      [0, 0],
      [0, 1.5],
      [2 ** 32, 1],
      [1, 2 ** 32],
    ] as const) {
      for (const ask of [saltsOf, discloseSeeds]) {
        const error = await errorOf("INVALID_ARGUMENT", () => ask({ hash, logId, seeds: [root], first, count }));
        expect(error.message).to.equal(`There are no ${count} leaves from ${first} on: a batch has at most 2^32.`);
      }
    }
    const seed = new Uint8Array(16);
    const refused: [SeedNode[], string][] = [
      [[{ height: 33, index: 0, seed }], "A seed of height 33 is none: give 0 to 32."],
      [[{ height: -1, index: 0, seed }], "A seed of height -1 is none: give 0 to 32."],
      [[{ height: 0.5, index: 0, seed }], "A seed of height 0.5 is none: give 0 to 32."],
      [[{ height: 32, index: 1, seed }], "There is no seed 1 of height 32."],
      [[{ height: 0, index: 2 ** 32, seed }], "There is no seed 4294967296 of height 0."],
      [[{ height: 3, index: -1, seed }], "There is no seed -1 of height 3."],
      [[{ height: 3, index: 1, seed: seed.subarray(1) }], "A seed of 15 bytes is none: give 16."],
      [
        [
          { height: 3, index: 1, seed },
          { height: 0, index: 15, seed },
        ],
        "Two seeds cover leaf 15: give each leaf one at most.",
      ],
      [[root, root], "Two seeds cover leaf 0: give each leaf one at most."],
    ];
    for (const [seeds, message] of refused) {
      for (const ask of [
        () => saltsOf({ hash, logId, seeds, first: 0, count: 1 }),
        () => discloseSeeds({ hash, logId, seeds, first: 0, count: 1 }),
        () => eraseSeeds({ hash, logId, seeds, index: 0, size: 1 }),
      ]) {
        expect((await errorOf("INVALID_ARGUMENT", ask)).message).to.equal(message);
      }
    }
    await errorOf("INVALID_ARGUMENT", () => saltsOf({ hash, logId: "0x5e", seeds: [root], first: 0, count: 1 }));
    const other = "keccak256" as TreeHash;
    await errorOf("INVALID_ARGUMENT", () => eraseSeeds({ hash: other, logId, seeds: [root], index: 0, size: 2 }));
  });
});

describe("rootSeed", () => {
  it("is a fresh seed each time, or the bytes that are given, as a copy", async () => {
    expect(hexlify(rootSeed().seed)).not.to.equal(hexlify(rootSeed().seed));
    const bytes = Buffer.alloc(16, 9);
    const node = rootSeed(bytes);
    bytes.fill(0);
    expect({ ...node, seed: hexlify(node.seed) }).to.deep.equal({
      height: 32,
      index: 0,
      seed: `0x${"09".repeat(16)}`,
    });
    const error = await errorOf("INVALID_ARGUMENT", () => rootSeed(new Uint8Array(32)));
    expect(error.message).to.equal("A seed of 32 bytes is none: give 16.");
  });
});

describe("eraseSeeds", () => {
  it("leaves at most log2 of the size in place of the root, for every leaf of every size up to 40", () => {
    for (let size = 1; size <= 40; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const seeds = eraseSeeds({ hash, logId, seeds: [root], index, size });
        expect(seeds.length, `${index} of ${size}`).to.be.at.most(Math.ceil(Math.log2(size)));
        expect(covered(seeds, size)).to.deep.equal(
          Array.from({ length: size }, (_, leaf) => leaf).filter((leaf) => leaf !== index),
        );
        expect(seeds.every((node) => leavesUnder(node)[0] < size)).to.equal(true);
        expectGenuine(seeds);
      }
    }
  });

  it("leaves the same in whatever order leaves are erased, one by one or together", () => {
    const sets = fc.integer({ min: 1, max: 3000 }).chain((size) =>
      fc.record({
        size: fc.constant(size),
        tree: fc.constantFrom("Keccak256" as const, "Sha256" as const),
        order: fc.array(fc.nat(size - 1), { minLength: 1, maxLength: 25 }),
      }),
    );
    fc.assert(
      fc.property(sets, fc.func(fc.integer()), ({ size, tree, order }, shuffle) => {
        const set = { hash: tree, logId };
        const erase = (indices: readonly number[]): SeedNode[] =>
          indices.reduce<SeedNode[]>((seeds, index) => eraseSeeds({ ...set, seeds, index, size }), [root]);
        const seeds = erase(order);
        const other = [...order].sort((a, b) => shuffle(a) - shuffle(b));
        expect(erase(other)).to.deep.equal(seeds);
        expect(eraseAllSeeds({ ...set, seeds: [root], indices: order, size })).to.deep.equal(seeds);
        expectGenuine(seeds, tree);
        const left = Array.from({ length: size }, (_, leaf) => leaf).filter((leaf) => !order.includes(leaf));
        expect(covered(seeds, size)).to.deep.equal(left);
      }),
      { numRuns: 40 },
    );
  });

  it("leaves nothing when every leaf was erased, and what is left untouched when one is erased again", () => {
    const indices = Array.from({ length: 37 }, (_, leaf) => leaf);
    expect(eraseAllSeeds({ hash, logId, seeds: [root], indices, size: 37 })).to.deep.equal([]);
    const once = eraseSeeds({ hash, logId, seeds: [root], index: 9, size: 37 });
    expect(eraseSeeds({ hash, logId, seeds: once, index: 9, size: 37 })).to.deep.equal(once);
  });

  it("gives copies, so that what was held before can be overwritten", () => {
    const before = eraseSeeds({ hash, logId, seeds: [root], index: 9, size: 37 });
    const after = eraseSeeds({ hash, logId, seeds: before, index: 30, size: 37 });
    for (const { seed } of before) seed.fill(0);
    expectGenuine(after);
  });

  it("refuses a leaf that the batch has not, and a size that no batch has", async () => {
    for (const index of [-1, 37, 0.5]) {
      const error = await errorOf("INVALID_ARGUMENT", () =>
        eraseSeeds({ hash, logId, seeds: [root], index, size: 37 }),
      );
      expect(error.message).to.equal(`A batch of 37 has no leaf ${index}: it has 0 to 36.`);
    }
    for (const size of [0, 2 ** 32 + 1, 1.5]) {
      await errorOf("INVALID_ARGUMENT", () => eraseSeeds({ hash, logId, seeds: [root], index: 0, size }));
    }
  });
});

describe("discloseSeeds", () => {
  it("gives the fewest seeds that cover just the leaves, never the root", () => {
    fc.assert(
      fc.property(range(5000), fc.constantFrom("Keccak256" as const, "Sha256" as const), ({ first, count }, tree) => {
        const nodes = discloseSeeds({ hash: tree, logId, seeds: [root], first, count });
        expectGenuine(nodes, tree);
        expect(nodes.reduce((sum, { height }) => sum + 2 ** height, 0)).to.equal(count);
        expect(covered(nodes, 5001)).to.deep.equal(Array.from({ length: count }, (_, place) => first + place));
        expect(nodes.length).to.equal(fewestNodes(first, first + count));
        expect(nodes.length).to.be.at.most(Math.max(2 * Math.ceil(Math.log2(count)), 1));
        expect(hexlify(saltsOf({ hash: tree, logId, seeds: nodes, first, count }))).to.equal(
          hexlify(saltsOf({ hash: tree, logId, seeds: [root], first, count })),
        );
      }),
      { numRuns: 40 },
    );
  });

  it("discloses both halves of the root for the largest batch there is", () => {
    const nodes = discloseSeeds({ hash, logId, seeds: [root], first: 0, count: 2 ** 32 });
    expect(nodes.map(({ height, index }) => [height, index])).to.deep.equal([
      [31, 0],
      [31, 1],
    ]);
    expectGenuine(nodes);
  });

  it("opens no leaf outside the range and none that was erased, from whatever is held", () => {
    const sizes = fc.integer({ min: 1, max: 2000 });
    fc.assert(
      fc.property(
        sizes.chain((size) =>
          fc.record({
            size: fc.constant(size),
            gone: fc.array(fc.nat(size - 1), { maxLength: 20 }),
            asked: range(size),
          }),
        ),
        ({ size, gone, asked: { first, count } }) => {
          const held = { hash, logId, seeds: eraseAllSeeds({ hash, logId, seeds: [root], indices: gone, size }) };
          const nodes = discloseSeeds({ ...held, first, count });
          expectGenuine(nodes);
          // A seed leads down only: what the nodes cover is all that they open. No node may reach past the range either.
          const wanted = Array.from({ length: count }, (_, place) => first + place).filter(
            (leaf) => !gone.includes(leaf),
          );
          expect(covered(nodes, size)).to.deep.equal(wanted);
          expect(nodes.reduce((sum, { height }) => sum + 2 ** height, 0)).to.equal(wanted.length);
          // Disclosing from what was disclosed gives nothing more.
          expect(discloseSeeds({ ...held, seeds: nodes, first: 0, count: size })).to.deep.equal(nodes);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("gives nothing of leaves that were all erased", () => {
    const seeds = eraseAllSeeds({ hash, logId, seeds: [root], indices: [3, 4, 5], size: 10 });
    expect(discloseSeeds({ hash, logId, seeds, first: 3, count: 3 })).to.deep.equal([]);
  });
});
