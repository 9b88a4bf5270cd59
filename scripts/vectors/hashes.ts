import { getBytes } from "ethers";

import {
  buildTree,
  commitmentOf,
  discloseSeeds,
  eraseAllSeeds,
  hashBytes,
  hashLeaf,
  readingLeaf,
  rootSeed,
  saltsOf,
  treeHashes,
  type SeedNode,
} from "../../client/index.js";
import { seedNamed } from "./inputs.js";

const LOG_ID = `0x${"7a".repeat(20)}${"00".repeat(11)}03`;

/** Commitments and leaves of single readings. */
export function readingVectors(): unknown {
  const first = { seq: 0n, measuredAt: 0n };
  const usual = { seq: 1041n, measuredAt: 1_767_225_600_123n };
  const last = { seq: 2n ** 64n - 1n, measuredAt: 2n ** 48n - 1n };
  const contents = [
    { ...first, contentFormat: 0, payload: Buffer.from("21.5") },
    { ...usual, contentFormat: 0, payload: new Uint8Array() },
    { ...usual, contentFormat: 42, payload: getBytes("0x00ff80fe01") },
    { ...usual, contentFormat: 50, payload: Buffer.from('{"t":21.5}') },
    { ...usual, contentFormat: 60, payload: getBytes("0xa16174f94d60") },
    { ...usual, contentFormat: 110, payload: Buffer.from('[{"n":"t","u":"Cel","v":21.5}]') },
    { ...last, contentFormat: 65_535, payload: Buffer.from("Grüße ☃") },
    // Longer than a block of either hash.
    { ...last, contentFormat: 42, payload: Uint8Array.from({ length: 300 }, (_, index) => index % 256) },
  ];
  return treeHashes.flatMap((tree) =>
    contents.map(({ contentFormat, payload, ...place }, index) => {
      const salt = seedNamed(`salt ${index}`);
      const commitment = commitmentOf({ tree, salt, contentFormat, payload });
      const leaf = readingLeaf({ tree, logId: LOG_ID, reading: { ...place, commitment } });
      return { tree, logId: LOG_ID, ...place, salt, contentFormat, payload, commitment, leaf };
    }),
  );
}

/** Trees whose leaf i is the hash of one byte with the value i, and all that is proved of them. */
export function treeVectors(): unknown {
  return treeHashes.flatMap((hash) =>
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((size) => {
      const leafHashes = Array.from({ length: size }, (_, index) => hashLeaf(hash, Uint8Array.of(index)));
      const treeOf = (count: number) => buildTree({ hash, leaves: Buffer.concat(leafHashes.slice(0, count)) });
      const tree = treeOf(size);
      const every = Array.from({ length: size }, (_, index) => index);
      const isLarge = size > 9;
      const indices = isLarge ? [0, 1, 31, 32, 63, 64, 95, 96, 98, 99] : every;
      const ranges = isLarge
        ? [
            [0, 100],
            [1, 98],
            [31, 2],
            [37, 41],
            [64, 36],
            [97, 3],
          ]
        : every.flatMap((first) => every.slice(first).map((last) => [first, last - first + 1]));
      const oldSizes = isLarge ? [1, 2, 31, 32, 33, 63, 64, 65, 96, 97, 99, 100] : every.map((index) => index + 1);
      return {
        hash,
        size,
        root: tree.root,
        inclusion: indices.map((index) => ({ index, proof: tree.proofOf(index) })),
        ranges: ranges.map(([first = 0, count = 0]) => ({ first, count, proof: tree.rangeProofOf(first, count) })),
        consistency: oldSizes.map((oldSize) => ({
          oldSize,
          oldRoot: treeOf(oldSize).root,
          proof: tree.consistencyProofOf(oldSize),
        })),
      };
    }),
  );
}

/** Seeds of a batch: the way down to a leaf, salts, what is left after erasing, and what discloses a range. */
export function seedVectors(): unknown {
  return treeHashes.map((hash) => {
    const seed = seedNamed("seed of a batch");
    const root = rootSeed(seed);
    const held = { hash, logId: LOG_ID };
    const erased = [
      { size: 1, indices: [0] },
      { size: 2, indices: [0] },
      { size: 7, indices: [3] },
      { size: 100, indices: [37] },
      { size: 100, indices: [0, 1, 64, 99] },
    ];
    const disclosed = [
      { first: 0, count: 1 },
      { first: 0, count: 100 },
      { first: 37, count: 41 },
      { first: 2 ** 31 - 1, count: 2 },
      { first: 0, count: 2 ** 32 },
    ];
    const left = eraseAllSeeds({ ...held, seeds: [root], size: 100, indices: [37] });
    return {
      hash,
      logId: LOG_ID,
      seed,
      wayDown: wayDown(hash, seed, 5),
      salts: [0, 1, 2, 3, 5, 99, 2 ** 31, 2 ** 32 - 1].map((leaf) => ({
        leaf,
        salt: saltsOf({ ...held, seeds: [root], first: leaf, count: 1 }),
      })),
      erased: erased.map((which) => ({ ...which, nodes: eraseAllSeeds({ ...held, seeds: [root], ...which }) })),
      disclosed: disclosed.map((range) => ({ ...range, nodes: discloseSeeds({ ...held, seeds: [root], ...range }) })),
      disclosedOfErased: {
        size: 100,
        indices: [37],
        ...{ first: 32, count: 8 },
        nodes: discloseSeeds({ ...held, seeds: left, first: 32, count: 8 }),
      },
    };
  });
}

/** Each node on the way from the root down to a leaf, with the seeds of its children. */
function wayDown(hash: (typeof treeHashes)[number], seed: Uint8Array, leaf: number): unknown[] {
  const way = [];
  let node: SeedNode = { height: 32, index: 0, seed };
  for (; node.height > 0;) {
    const children = hashBytes(hash, Buffer.concat([Uint8Array.of(4), getBytes(LOG_ID), node.seed]));
    const [left, right] = [children.slice(0, 16), children.slice(16)];
    way.push({ ...node, left, right });
    const height = node.height - 1;
    const index = Math.floor(leaf / 2 ** height);
    node = { height, index, seed: index % 2 === 0 ? left : right };
  }
  return way;
}
