/** One figure: what it is of, and what it has to be. */
export interface Target {
  id: string;
  /** For people. */
  label: string;
  unit: Unit;
  /** So many of the unit, or so many times better than a peer; null if it is only watched. */
  target: number | { times: number; than: string } | null;
  /** What nothing that does the same could do better than, as far as is known. */
  floor: number | null;
}

export type Unit = "ms" | "µs" | "bytes" | "bytes each" | Rate | "gas";

/** So many in a second. */
type Rate = "readings/s" | "decisions/s" | "events/s" | "envelopes/s";

/** What others have for the same. */
export interface Peer {
  name: string;
  value: number;
}

/** A line of `bench/results.json`. */
export interface Row {
  id: string;
  unit: Unit;
  ours: number;
  target: number | null;
  floor: number | null;
  peers: Peer[];
}

export const OPEN_ZEPPELIN = "@openzeppelin/merkle-tree";

/** All rows, in the order in which they are shown. */
export const TARGETS: readonly Target[] = [
  { id: "tree.1k", label: "Merkle tree of 1,000 leaves", unit: "ms", target: null, floor: null },
  { id: "tree.1k.memory", label: "The most memory for it", unit: "bytes", target: null, floor: null },
  {
    id: "tree.100k",
    label: "Merkle tree of 100,000 leaves",
    unit: "ms",
    target: { times: 30, than: OPEN_ZEPPELIN },
    floor: null,
  },
  { id: "tree.100k.memory", label: "The most memory for it", unit: "bytes", target: null, floor: null },
  { id: "tree.1m.time", label: "Merkle tree of 1,000,000 leaves", unit: "ms", target: null, floor: null },
  { id: "tree.1m", label: "The most memory for it", unit: "bytes", target: 300_000_000, floor: null },
  { id: "ingest", label: "Readings: salts, hashes and tree", unit: "readings/s", target: 150_000, floor: null },
  { id: "ingest.whole", label: "From a file: durable, cut, root", unit: "readings/s", target: null, floor: null },
  { id: "mirror.decide", label: "Decide about access, 100,000 grants", unit: "µs", target: 10, floor: null },
  { id: "mirror.rate", label: "The same, one after the other", unit: "decisions/s", target: null, floor: null },
  { id: "mirror.grant", label: "Memory for each grant", unit: "bytes each", target: null, floor: null },
  { id: "mirror.replay", label: "Replay of events", unit: "events/s", target: null, floor: null },
  { id: "seal", label: "Seal readings for those who may read", unit: "readings/s", target: null, floor: null },
  { id: "seal.open", label: "Open them", unit: "readings/s", target: null, floor: null },
  { id: "envelope", label: "Give a reader the key (X25519)", unit: "envelopes/s", target: null, floor: null },
  { id: "envelope.open", label: "Take the key", unit: "envelopes/s", target: null, floor: null },
  { id: "envelope.p256", label: "Give it to a P-256 key", unit: "envelopes/s", target: null, floor: null },
  { id: "anchor.fleet", label: "Anchor in a fleet log, by its owner", unit: "gas", target: 42_000, floor: 27_300 },
  { id: "anchor.member", label: "The same, by a gateway with a role", unit: "gas", target: 50_500, floor: 34_000 },
  { id: "anchor.device", label: "Anchor signed by a P-256 device", unit: "gas", target: 60_000, floor: 45_000 },
  { id: "anchor.many", label: "Each of 100 anchors at once", unit: "gas", target: 19_500, floor: null },
];

/** How far a figure may be behind its target, as a part of it: times vary from run to run, gas does not. */
const NOISE: Record<Unit, number> = {
  ms: 0.1,
  µs: 0.1,
  "readings/s": 0.1,
  "decisions/s": 0.1,
  "events/s": 0.1,
  "envelopes/s": 0.1,
  bytes: 0,
  "bytes each": 0,
  gas: 0,
};

/** @throws Error if the peer that the target names was not measured. */
export function rowOf({ id, unit, target, floor }: Target, ours: number, peers: Peer[]): Row {
  return { id, unit, ours, target: targetOf(target, unit, peers), floor, peers };
}

function targetOf(target: Target["target"], unit: Unit, peers: readonly Peer[]): number | null {
  if (target === null || typeof target === "number") return target;
  const peer = peers.find(({ name }) => name === target.than);
  if (peer === undefined) throw new Error(`${target.than} was not measured.`);
  return rounded(isMoreBetter(unit) ? peer.value * target.times : peer.value / target.times);
}

/** How many times as good the first figure is as the second. */
export function timesBetter(unit: Unit, ours: number, theirs: number): number {
  return isMoreBetter(unit) ? ours / theirs : theirs / ours;
}

/** Whether a row is behind its target by more than noise. */
export function isMissed({ unit, ours, target }: Row): boolean {
  return target !== null && timesBetter(unit, ours, target) < 1 / (1 + NOISE[unit]);
}

/** To what is worth telling of a figure that varies. */
export function rounded(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

function isMoreBetter(unit: Unit): boolean {
  return unit.endsWith("/s");
}
