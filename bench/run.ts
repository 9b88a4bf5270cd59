// Measures how fast Touchstone is, side by side with others, prints it, and writes bench/results.json and the table of
// README.md. Ends with 1 if a target is missed.
import { readFile, writeFile } from "node:fs/promises";

import type { Decider, DecisionsFigures, DecisionsTask } from "./decisions.js";
import type { GasFigures, GasTask } from "./gas.js";
import type { IngestFigures, IngestTask } from "./ingest.js";
import type { SealingFigures, SealingTask } from "./sealing.js";
import { measure } from "./support/child.js";
import { tableOf, withTable } from "./support/table.js";
import { isMissed, OPEN_ZEPPELIN, rounded, rowOf, TARGETS, type Peer, type Row } from "./targets.js";
import type { TreeBuilder, TreeFigures, TreeTask } from "./trees.js";
import type { WholeIngestFigures, WholeIngestTask } from "./whole-ingest.js";

const RESULTS = "bench/results.json";
const README = "README.md";
const SNAPSHOT = "snapshots/DataAnchor.json";

const PAYLOAD_BYTES = 64;
const MERKLETREEJS = "merkletreejs";
const CEDAR = "Cedar";

// Read before the minutes of measuring, in case that something is missing.
const ourGas = await readGas();
/** What was measured, by the id of its row. */
const figures = new Map<string, { ours: number; peers: Peer[] }>();

await measureTrees({ leaves: 1000, time: "tree.1k", memory: "tree.1k.memory", rounds: 3, patience: 1500 });
await measureTrees({ leaves: 100_000, time: "tree.100k", memory: "tree.100k.memory", rounds: 3, patience: 2000 });
await measureTrees({ leaves: 1_000_000, time: "tree.1m.time", memory: "tree.1m", rounds: 3, patience: 0 });
await measureIngest();
await measureDecisions();
await measureSealing();
await measureGas();

const rows = TARGETS.map((target): Row => {
  const measured = figures.get(target.id);
  if (measured === undefined) throw new Error(`${target.id} was not measured.`);
  return rowOf(target, measured.ours, measured.peers);
});
console.log(`\n${tableOf(rows)}\n`);
await writeFile(RESULTS, `${JSON.stringify(rows, null, 2)}\n`);
await writeFile(README, withTable(await readFile(README, "utf8"), rows));
for (const row of rows.filter(isMissed)) {
  console.error(`Missed: ${row.id} is ${row.ours} ${row.unit}, and should be ${row.target ?? ""}.`);
  process.exitCode = 1;
}

/** Builds trees in turn, each in a process of its own; of each builder the best round counts. */
async function measureTrees(options: {
  leaves: number;
  /** Ids of the rows. */
  time: string;
  memory: string;
  rounds: number;
  patience: number;
}): Promise<void> {
  const { leaves, rounds, patience } = options;
  // A million leaves take @openzeppelin/merkle-tree minutes and gigabytes.
  const others: TreeBuilder[] = leaves < 1_000_000 ? [OPEN_ZEPPELIN, MERKLETREEJS] : [MERKLETREEJS];
  const best = new Map<TreeBuilder, TreeFigures>();
  for (let round = 1; round <= rounds; round++) {
    for (const builder of ["touchstone", ...others] as const) {
      console.log(`Tree of ${leaves.toLocaleString("en-US")} leaves, round ${round} of ${rounds}: ${builder}`);
      const task: TreeTask = { builder, leaves, patience };
      const { milliseconds, peak } = await measure<TreeFigures>("trees.ts", { ...task });
      const before = best.get(builder) ?? { milliseconds: Infinity, peak: Infinity };
      const better = { milliseconds: Math.min(before.milliseconds, milliseconds), peak: Math.min(before.peak, peak) };
      best.set(builder, better);
    }
  }
  const note = (row: string, figure: keyof TreeFigures): void => {
    const valueOf = (builder: TreeBuilder): number => rounded(best.get(builder)?.[figure] ?? NaN);
    figures.set(row, { ours: valueOf("touchstone"), peers: others.map((name) => ({ name, value: valueOf(name) })) });
  };
  note(options.time, "milliseconds");
  note(options.memory, "peak");
}

async function measureIngest(): Promise<void> {
  const rounds = 3;
  const best = { builder: 0, whole: 0 };
  for (let round = 1; round <= rounds; round++) {
    console.log(`Ingest, round ${round} of ${rounds}`);
    const task: IngestTask = { readings: 250_000, payloadBytes: PAYLOAD_BYTES };
    const { readingsPerSecond } = await measure<IngestFigures>("ingest.ts", { ...task });
    best.builder = Math.max(best.builder, readingsPerSecond);
    // Forty batches of the size that the ingest cuts unless told.
    const wholeTask: WholeIngestTask = { readings: 40 * 4096, payloadBytes: PAYLOAD_BYTES };
    const whole = await measure<WholeIngestFigures>("whole-ingest.ts", { ...wholeTask });
    best.whole = Math.max(best.whole, whole.readingsPerSecond);
  }
  figures.set("ingest", { ours: rounded(best.builder), peers: [] });
  figures.set("ingest.whole", { ours: rounded(best.whole), peers: [] });
}

/** Of each decider the best round counts; both decide the same questions, and alike. */
async function measureDecisions(): Promise<void> {
  const rounds = 3;
  const best = new Map<Decider, DecisionsFigures>();
  for (let round = 1; round <= rounds; round++) {
    for (const decider of ["touchstone", CEDAR] as const) {
      console.log(`Decisions, round ${round} of ${rounds}: ${decider}`);
      const task: DecisionsTask = { decider, grants: 100_000, questions: 5_000 };
      const figure = await measure<DecisionsFigures>("decisions.ts", { ...task });
      best.set(decider, betterOf(best.get(decider) ?? figure, figure));
    }
  }
  const [ours, theirs] = [best.get("touchstone"), best.get(CEDAR)];
  if (ours?.state === undefined || theirs === undefined) throw new Error("A decider was not measured.");
  if (ours.allowed !== theirs.allowed) throw new Error(`${CEDAR} allows ${theirs.allowed}, and not ${ours.allowed}.`);
  const beside = (id: string, figure: "microseconds" | "decisionsPerSecond"): void => {
    figures.set(id, { ours: rounded(ours[figure]), peers: [{ name: CEDAR, value: rounded(theirs[figure]) }] });
  };
  beside("mirror.decide", "microseconds");
  beside("mirror.rate", "decisionsPerSecond");
  figures.set("mirror.grant", { ours: rounded(ours.state.bytesOfGrant), peers: [] });
  figures.set("mirror.replay", { ours: rounded(ours.state.eventsPerSecond), peers: [] });
}

async function measureSealing(): Promise<void> {
  console.log("Sealing");
  const task: SealingTask = { readings: 100_000, payloadBytes: PAYLOAD_BYTES, envelopes: 500 };
  const { sealed, opened, cipherAlone, envelopes } = await measure<SealingFigures>("sealing.ts", { ...task });
  const peers = [{ name: "AES-256-GCM alone", value: rounded(cipherAlone) }];
  figures.set("seal", { ours: rounded(sealed), peers });
  figures.set("seal.open", { ours: rounded(opened), peers: [] });
  figures.set("envelope", { ours: rounded(envelopes.X25519.sealed), peers: [] });
  figures.set("envelope.open", { ours: rounded(envelopes.X25519.opened), peers: [] });
  figures.set("envelope.p256", { ours: rounded(envelopes["P-256"].sealed), peers: [] });
}

function betterOf(one: DecisionsFigures, other: DecisionsFigures): DecisionsFigures {
  const { state, allowed } = other;
  return {
    microseconds: Math.min(one.microseconds, other.microseconds),
    decisionsPerSecond: Math.max(one.decisionsPerSecond, other.decisionsPerSecond),
    allowed,
    ...(state !== undefined && {
      state: {
        bytesOfGrant: state.bytesOfGrant,
        eventsPerSecond: Math.max(one.state?.eventsPerSecond ?? 0, state.eventsPerSecond),
      },
    }),
  };
}

/** Ours, as `npm run gas` checks it. */
async function readGas(): Promise<Map<string, number>> {
  const snapshot = JSON.parse(await readFile(SNAPSHOT, "utf8")) as Record<string, string | undefined>;
  const ids = TARGETS.filter(({ unit }) => unit === "gas").map(({ id }) => id);
  return new Map(
    ids.map((id) => {
      const gas = snapshot[id];
      if (gas === undefined) throw new Error(`${SNAPSHOT} has no "${id}": run \`npm run gas:update\`.`);
      return [id, Number(gas)];
    }),
  );
}

async function measureGas(): Promise<void> {
  console.log("Gas");
  const task: GasTask = { transactions: 128, items: 100 };
  const eas = await measure<GasFigures>("gas.ts", { ...task });
  const peers: Partial<Record<string, Peer[]>> = {
    "anchor.fleet": [{ name: "EAS timestamp", value: rounded(eas.timestamp) }],
    "anchor.many": [{ name: "EAS multiTimestamp", value: rounded(eas.multiTimestamp) }],
  };
  for (const [id, ours] of ourGas) figures.set(id, { ours, peers: peers[id] ?? [] });
}
