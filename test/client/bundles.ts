import { expect } from "chai";
import { concat, dataSlice, id, Log, Signature, type Provider } from "ethers";
import fc from "fast-check";

import { headSlot, peakSlot } from "../../client/anchor-storage.js";
import * as anchors from "../../client/anchors.js";
import { buildBatch, type Batch } from "../../client/batches.js";
import {
  createBundle,
  formatBundle,
  parseBundle,
  verifyBundle,
  type BundleLevel,
  type ProofBundle,
  type VerifiedBundle,
} from "../../client/bundles.js";
import { anchorIn } from "../../client/bundle-format.js";
import { fetchState } from "../../client/bundle-state.js";
import { connectTouchstone, type Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { TouchstoneError } from "../../client/errors.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import { alteredLists, alteredValues, type Mutation } from "../support/bundle-mutations.js";
import { deployLogs, erase, writeLog, type Logs } from "../support/bundles.js";
import { ethers, loadFixture, networkHelpers } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { enrollDevice } from "../support/fleet.js";
import { providerWith } from "../support/provider.js";

type LevelName = keyof VerifiedBundle["levels"];

/** The levels as words, in short. */
function statuses({ levels }: VerifiedBundle): Record<LevelName, string> {
  const word = ({ status, reason }: BundleLevel): string => (reason === undefined ? status : `${status} ${reason}`);
  return {
    bytes: word(levels.bytes),
    signature: word(levels.signature),
    chain: word(levels.chain),
    state: word(levels.state),
    range: word(levels.range),
  };
}

const ALL_PROVED = { bytes: "Proved", signature: "Proved", chain: "Proved", state: "Proved", range: "Proved" };
const OFFLINE = { ...ALL_PROVED, chain: "Unchecked CHAIN_MISSING" };

/** A bundle of readings 3 to 17 of a log with proofs of state: of all of its anchors a part. */
async function bundleOf(
  { as }: Logs,
  { batches }: { batches: Batch[] },
  options: Partial<Parameters<typeof createBundle>[0]> = {},
): Promise<ProofBundle> {
  const { bundle, unsigned } = await createBundle({
    touchstone: as.subject,
    batches,
    firstSeq: 3n,
    count: 15n,
    withState: true,
    ...options,
  });
  expect(unsigned).to.deep.equal([]);
  return bundle;
}

function verifyOffline(bundle: unknown): Promise<VerifiedBundle> {
  const { log, chainId, dataAnchor } = bundle as ProofBundle;
  return verifyBundle({ bundle, blockHash: log.block.hash, chainId: BigInt(chainId), dataAnchor });
}

describe("Proof bundles", () => {
  for (const [name, log] of [
    ["a P-256 device", "p256"],
    ["a P-256 device that hashes what it signs", "hashing"],
    ["a device that is an account", "account"],
  ] as const) {
    it(`prove the readings of ${name}, by chain or with nothing but a block hash and the contract`, async () => {
      const logs = await loadFixture(deployLogs);
      const bundle = await bundleOf(logs, logs[log]);
      const touchstone = logs.as.stranger;
      const { hash } = bundle.log.block;
      const { DataAnchor: dataAnchor } = touchstone.addresses;
      const text = formatBundle(bundle);
      const all = await verifyBundle({ bundle: text, touchstone, blockHash: hash });
      expect({ ok: all.ok, ...statuses(all) }).to.deep.equal({ ok: true, ...ALL_PROVED });
      const offline = await verifyBundle({ bundle: text, blockHash: hash, dataAnchor });
      expect({ ok: offline.ok, ...statuses(offline) }).to.deep.equal({ ok: true, ...OFFLINE });
      expect(offline.levels.state.message).to.contain(bundle.dataAnchor).and.contain(hash);
      const small = { ...bundle };
      delete small.state;
      const online = await verifyBundle({ bundle: small, touchstone });
      expect(statuses(online)).to.deep.equal({ ...ALL_PROVED, state: "Unchecked STATE_MISSING" });
      const alone = await verifyBundle({ bundle: small });
      expect({ ok: alone.ok, ...statuses(alone) }).to.deep.equal({
        ok: true,
        ...OFFLINE,
        state: "Unchecked STATE_MISSING",
      });
      expect(alone.levels.signature.message).to.contain("only chain or state tell");
      expect(offline.levels.signature.message).not.to.contain("only");
      expect(offline.levels.state.message).to.contain("only its chain tells");
    });
  }

  it("prove the readings of a fleet, which no device signs", async () => {
    const logs = await loadFixture(deployLogs);
    const bundle = await bundleOf(logs, logs.fleetLog);
    const blockHash = bundle.log.block.hash;
    const fleet = { ...ALL_PROVED, signature: "Unchecked FLEET_LOG" };
    const all = await verifyBundle({ bundle, touchstone: logs.as.stranger, blockHash });
    expect({ ok: all.ok, ...statuses(all) }).to.deep.equal({ ok: true, ...fleet });
    const offline = await verifyOffline(bundle);
    expect({ ok: offline.ok, ...statuses(offline) }).to.deep.equal({
      ok: true,
      ...fleet,
      chain: "Unchecked CHAIN_MISSING",
    });
    // Without chain and block hash nothing says that it is anybody's.
    const alone = await verifyBundle({ bundle });
    expect({ ok: alone.ok, ...statuses(alone) }).to.deep.equal({
      ok: false,
      ...fleet,
      chain: "Unchecked CHAIN_MISSING",
      state: "Unchecked BLOCK_HASH_MISSING",
    });
    expect(alone.levels.state.message).to.contain(blockHash);
  });

  it("say what was lost, corrected, erased and withheld", async () => {
    const logs = await loadFixture(deployLogs);
    const bundle = await bundleOf(logs, logs.p256, { withhold: (seq) => seq === 9n || seq >= 17n });
    const { levels, ok } = await verifyOffline(bundle);
    expect(ok).to.equal(true);
    // Of anchors 0, 1 and 4 the readings 3 to 4, 5 to 12 and 16 to 17; of the corrections 3, and 3 to 6.
    expect(levels.bytes).to.include({ disclosed: 2 + 8 + 2 + 1 + 4 - 3, withheld: 3 });
    expect(levels.range.lost).to.deep.equal([{ firstSeq: 13n, count: 3n }]);
    expect(levels.range.corrected).to.deep.equal([
      { firstSeq: 3n, count: 1n, index: 3n },
      { firstSeq: 3n, count: 4n, index: 5n },
    ]);
    expect(levels.range.message).to.equal(
      "The readings 3 to 17 are all there, but 3 that were declared lost, with corrections of 5.",
    );
    const [, second] = bundle.batches;
    expect(second!.readings.map((reading) => "payload" in reading)).to.deep.equal(
      [5, 6, 7, 8, 9, 10, 11, 12].map((seq) => seq !== 7 && seq !== 9),
    );
    const text = JSON.stringify(bundle);
    for (const seed of logs.p256.batches.flatMap(({ seeds }) => seeds)) {
      if (seed.height > 3) expect(text).not.to.contain(Buffer.from(seed.seed).toString("hex"));
    }
  });

  it("prove any part of a log, as the contract does", async () => {
    const logs = await loadFixture(deployLogs);
    const { p256, fleetLog, as } = logs;
    for (const { batches } of [p256, fleetLog]) {
      for (let first = 0n; first < 20n; first += 1n) {
        for (let end = first + 1n; end <= 20n; end += first % 3n === 0n ? 1n : 5n) {
          const range = { firstSeq: first, count: end - first };
          const bundle = await bundleOf(logs, { batches }, { ...range, withState: first % 4n === 0n });
          const result = await verifyBundle({ bundle });
          const place = `${first} to ${end}`;
          expect(result.levels.bytes.status, place).to.equal("Proved");
          expect(result.levels.range.status, place).to.equal("Proved");
        }
      }
    }
    const bundle = await bundleOf(logs, p256);
    for (const { anchor, readings, rangeProof, peakProof } of bundle.batches.filter(
      ({ readings }) => readings.length > 0,
    )) {
      const batch = p256.batches.find(({ root }) => root === anchor.root)!;
      const first = BigInt(anchor.firstSeq) > 3n ? BigInt(anchor.firstSeq) : 3n;
      const record = (await anchors.readAnchors({ touchstone: as.subject, logId: bundle.logId }))[
        Number(anchor.index)
      ]!;
      const inRange = batch.readings.slice(Number(first - batch.firstSeq)).slice(0, readings.length);
      const struct = anchors.structOf(record);
      const structs = inRange.map(({ seq, measuredAt, commitment }) => ({ seq, measuredAt, commitment }));
      expect(await logs.anchors.verifyRange(struct, structs, rangeProof, peakProof)).to.equal(true);
    }
  });

  describe("refuse, with the reason,", () => {
    const expected: [path: RegExp, level: LevelName][] = [
      [/^(chainId|dataAnchor|logId|log\.|state\.)/, "state"],
      [/^range\./, "range"],
      [/\.anchor\./, "state"],
      [/\.(readings|seeds|rangeProof)/, "bytes"],
      [/\.peakProof/, "state"],
      [/\.signed\./, "signature"],
    ];

    /** Expects that the mutation is refused in the right level, or is no bundle; returns which. */
    async function refusalOf(
      mutation: Mutation,
      verify: (bundle: unknown) => Promise<VerifiedBundle>,
    ): Promise<string> {
      const place = `${mutation.path}: ${mutation.what}`;
      let result: VerifiedBundle;
      try {
        result = await verify(mutation.document);
      } catch (error) {
        if (!(error instanceof TouchstoneError) || error.code !== "BUNDLE_INVALID") throw error;
        return "BUNDLE_INVALID";
      }
      expect(result.ok, place).to.equal(false);
      const level = expected.find(([path]) => path.test(mutation.path))![1];
      const found = result.levels[level];
      // An altered span may take readings out of what is proved as well as out of the range.
      const isRefused = found.status === "Refused" || (level === "range" && result.levels.bytes.status === "Refused");
      expect(isRefused, `${place}: ${JSON.stringify(statuses(result))}`).to.equal(true);
      for (const { status, reason, message } of Object.values(result.levels)) {
        expect(message, place).to.not.equal("");
        expect(reason === undefined, place).to.equal(status === "Proved");
      }
      return level;
    }

    for (const [name, log, skipped] of [
      // State is proved in the same way whoever writes the log.
      ["a P-256 device", "p256", "state."],
      ["a P-256 device that hashes what it signs", "hashing", "state."],
      ["a device that is an account", "account", "state."],
      ["a fleet", "fleetLog", undefined],
    ] as const) {
      it(`every altered byte of a bundle of ${name}`, async function () {
        this.timeout(120_000);
        const logs = await loadFixture(deployLogs);
        // Of a fleet with corrections; of devices one anchor, as signatures take their time.
        const range = log === "fleetLog" ? { firstSeq: 3n, count: 4n } : { firstSeq: 8n, count: 5n };
        const bundle = await bundleOf(logs, logs[log], range);
        const { hash } = bundle.log.block;
        const { chainId, addresses } = logs.as.subject;
        const verify = (other: unknown): Promise<VerifiedBundle> =>
          verifyBundle({ bundle: other, blockHash: hash, chainId, dataAnchor: addresses.DataAnchor });
        expect((await verify(bundle)).ok).to.equal(true);
        const found = new Set<string>();
        let tried = 0;
        for (const mutation of alteredValues(bundle)) {
          if (skipped !== undefined && mutation.path.startsWith(skipped)) continue;
          found.add(await refusalOf(mutation, verify));
          tried += 1;
        }
        expect(tried).to.be.greaterThan(500);
        const levels = ["BUNDLE_INVALID", "bytes", "range", "state", ...(log === "fleetLog" ? [] : ["signature"])];
        expect([...found].toSorted()).to.deep.equal(levels.toSorted());
      });
    }

    it("items dropped, said twice and swapped", async () => {
      const logs = await loadFixture(deployLogs);
      for (const log of [logs.p256, logs.fleetLog]) {
        const bundle = await bundleOf(logs, log);
        const touchstone = logs.as.stranger;
        for (const { path, what, document } of alteredLists(bundle, ["signed", "state"])) {
          let result: VerifiedBundle;
          try {
            result = await verifyBundle({ bundle: document, blockHash: bundle.log.block.hash, touchstone });
          } catch (error) {
            if (!(error instanceof TouchstoneError) || error.code !== "BUNDLE_INVALID") throw error;
            continue;
          }
          const words = statuses(result);
          const place = `${path}: ${what} ${JSON.stringify(words)}`;
          if (what === "signed dropped") expect(words.signature, place).to.equal("Unchecked SIGNATURE_MISSING");
          else if (what === "state dropped") expect(words.state, place).to.equal("Unchecked STATE_MISSING");
          else
            expect(
              Object.values(result.levels).some(({ status }) => status === "Refused"),
              place,
            ).to.equal(true);
          expect(result.ok, place).to.equal(what === "signed dropped");
        }
      }
    });

    it("any character of the text altered", async () => {
      const logs = await loadFixture(deployLogs);
      const bundle = await bundleOf(logs, logs.p256);
      const text = formatBundle(bundle);
      const character = fc.constantFrom(...Array.from("0123456789abcdefABCDEF\"'\\{}[]:,. \nx+-=/"));
      const flip = fc.record({ at: fc.nat({ max: text.length - 1 }), character });
      await fc.assert(
        fc.asyncProperty(flip, async ({ at, character: other }) => {
          const altered = `${text.slice(0, at)}${other}${text.slice(at + 1)}`;
          try {
            const same = JSON.stringify(parseBundle(altered)) === JSON.stringify(bundle);
            const result = await verifyBundle({
              bundle: altered,
              blockHash: bundle.log.block.hash,
              chainId: BigInt(bundle.chainId),
              dataAnchor: bundle.dataAnchor,
            });
            return result.ok === same;
          } catch (error) {
            if (!(error instanceof TouchstoneError)) throw error;
            return error.code === "BUNDLE_INVALID";
          }
        }),
        { numRuns: 300 },
      );
    });
  });

  // ------------------------------------------------------------------ lies

  /** The bundle as someone changed it, who knew what else to change. */
  function changed(bundle: ProofBundle, change: (copy: ProofBundle) => void): ProofBundle {
    const copy = structuredClone(bundle);
    change(copy);
    return copy;
  }

  async function deployBundle() {
    const logs = await deployLogs();
    return { logs, touchstone: logs.as.stranger, bundle: await bundleOf(logs, logs.p256) };
  }

  it("refuse what does not fit, each for its reason", async () => {
    const { bundle, touchstone } = await loadFixture(deployBundle);
    const zero = `0x${"00".repeat(32)}`;
    const lies: [change: (copy: ProofBundle) => void, level: LevelName, word: string][] = [
      [({ batches }) => (batches[0]!.readings = []), "bytes", "Refused READINGS_MISSING"],
      [({ batches }) => batches[2]!.readings.push(batches[0]!.readings[0]!), "bytes", "Refused READINGS_UNEXPECTED"],
      [({ batches }) => batches[2]!.rangeProof.push(zero), "bytes", "Refused READINGS_UNEXPECTED"],
      [({ batches }) => (batches[2]!.anchor.root = batches[0]!.anchor.root), "bytes", "Refused READINGS_UNEXPECTED"],
      [({ batches }) => (batches[1]!.readings[0]!.measuredAt = "7"), "bytes", "Refused TIME_OUT_OF_SPAN"],
      [
        ({ batches }) => batches[1]!.seeds.push({ height: 0, index: 2, seed: zero.slice(0, 34) }),
        "bytes",
        "Refused SEEDS_MISMATCH",
      ],
      [
        ({ batches }) => (batches[1]!.seeds = [{ height: 32, index: 0, seed: zero.slice(0, 34) }]),
        "bytes",
        "Refused SEEDS_MISMATCH",
      ],
      [({ batches }) => batches[1]!.readings.reverse(), "bytes", "Refused SEEDS_MISMATCH"],
      [
        ({ batches }) =>
          ([batches[1]!.readings[0], batches[1]!.readings[1]] = [batches[1]!.readings[1]!, batches[1]!.readings[0]!]),
        "bytes",
        "Refused ROOT_MISMATCH",
      ],
      [({ batches }) => (batches[1]!.anchor.tree = "Keccak256"), "bytes", "Refused ROOT_MISMATCH"],
      [({ batches }) => (batches[1]!.anchor.count = String(2n ** 64n - 1n)), "bytes", "Refused ROOT_MISMATCH"],
      [({ batches }) => (batches[1]!.anchor.count = String(2n ** 32n)), "bytes", "Refused ROOT_MISMATCH"],
      [({ batches }) => (batches[1]!.anchor.firstSeq = "4"), "bytes", "Refused ROOT_MISMATCH"],
      [({ range }) => (range.count = "0"), "range", "Refused RANGE_INVALID"],
      [({ range }) => (range.count = String(2n ** 64n - 1n)), "range", "Refused RANGE_INVALID"],
      [(copy) => (copy.range = { firstSeq: String(2n ** 64n - 1n), count: "1" }), "range", "Refused NOT_IN_RANGE"],
      [({ range }) => (range.count = "16"), "range", "Refused READINGS_INCOMPLETE"],
      [(copy) => (copy.batches = []), "range", "Refused READINGS_INCOMPLETE"],
      [({ batches }) => batches.splice(1, 1), "range", "Refused READINGS_INCOMPLETE"],
      [({ batches }) => batches.splice(2, 1), "range", "Refused READINGS_INCOMPLETE"],
      [({ batches }) => batches.pop(), "range", "Proved"],
      [({ batches }) => batches[1]!.readings.pop(), "range", "Refused READINGS_INCOMPLETE"],
      [({ batches }) => batches.reverse(), "range", "Refused ORDER_WRONG"],
      [({ batches }) => (batches[0]!.anchor.kind = "Correction"), "range", "Refused ORDER_WRONG"],
      [({ batches }) => (batches[1]!.anchor.firstSeq = "4"), "range", "Refused OVERLAP"],
      [({ batches }) => (batches[1]!.anchor.firstSeq = "6"), "range", "Refused READINGS_INCOMPLETE"],
      [({ batches }) => (batches[2]!.anchor.firstSeq = "12"), "range", "Refused OVERLAP"],
      [({ batches }) => (batches[0]!.anchor.firstSeq = "100"), "range", "Refused NOT_IN_RANGE"],
      [({ batches }) => (batches[0]!.readings[0]!.measuredAt = "7"), "range", "Unchecked BYTES_NOT_PROVED"],
      [({ log }) => (log.size = "5"), "state", "Refused SIZE_MISMATCH"],
      [({ log }) => (log.size = "5"), "chain", "Refused SIZE_MISMATCH"],
      [({ log }) => (log.block.number = "1"), "state", "Refused HEADER_MISMATCH"],
      [({ log }) => (log.block.number = "1"), "chain", "Refused BLOCK_MISMATCH"],
      [({ log }) => (log.block.number = String(2n ** 64n - 1n)), "chain", "Unchecked CHAIN_FAILED"],
      [({ log }) => (log.block.hash = zero), "chain", "Refused BLOCK_MISMATCH"],
      [({ state }) => (state!.header = "0xc0"), "state", "Refused HEADER_MISMATCH"],
      [({ state }) => (state!.accountProof = []), "state", "Refused ACCOUNT_NOT_PROVED"],
      [({ state }) => (state!.headProof = state!.peakProofs[0]!.proof), "state", "Refused HEAD_NOT_PROVED"],
      [({ state }) => state!.peakProofs.pop(), "state", "Refused PEAK_NOT_PROVED"],
      [({ state }) => state!.peakProofs.reverse(), "state", "Refused PEAK_NOT_PROVED"],
      [({ state }) => state!.peakProofs.push({ height: 3, proof: [] }), "state", "Refused PEAK_NOT_PROVED"],
      [({ state }) => (state!.peakProofs[0]!.proof = state!.headProof), "state", "Refused PEAK_NOT_PROVED"],
      [({ batches }) => (batches[0]!.anchor.timestamp = "1"), "state", "Refused ANCHOR_NOT_IN_LOG"],
      [({ batches }) => (batches[0]!.anchor.timestamp = "1"), "chain", "Refused ANCHOR_NOT_IN_LOG"],
      [({ batches }) => (batches[5]!.anchor.index = "6"), "chain", "Refused ANCHOR_NOT_IN_LOG"],
      [({ batches }) => (batches[5]!.anchor.index = String(2n ** 64n - 1n)), "state", "Refused ANCHOR_NOT_IN_LOG"],
      [({ batches }) => batches[0]!.peakProof.pop(), "chain", "Refused ANCHOR_NOT_IN_LOG"],
      [({ batches }) => batches[0]!.peakProof.push(zero), "chain", "Refused ANCHOR_NOT_IN_LOG"],
      [({ batches }) => batches.pop(), "chain", "Refused CORRECTION_MISSING"],
      [({ batches }) => delete batches[1]!.signed, "signature", "Unchecked SIGNATURE_MISSING"],
      [({ batches }) => (batches[1]!.signed!.deadline = "1"), "signature", "Refused DEADLINE_PASSED"],
      [({ batches }) => (batches[1]!.signed!.publicKey = "0x"), "signature", "Refused KEY_NOT_AUTHOR"],
      [
        ({ batches }) => (batches[1]!.signed!.publicKey = `0x${"01".repeat(64)}`),
        "signature",
        "Refused KEY_NOT_AUTHOR",
      ],
      [
        ({ batches }) => (batches[1]!.signed!.publicKey = createP256Key().publicKey),
        "signature",
        "Refused KEY_NOT_AUTHOR",
      ],
      [({ batches }) => (batches[1]!.signed!.scheme = "Account"), "signature", "Refused KEY_NOT_AUTHOR"],
      [({ batches }) => (batches[1]!.signed!.scheme = "P256Sha256"), "signature", "Refused SIGNATURE_INVALID"],
      [({ batches }) => (batches[1]!.signed = batches[0]!.signed), "signature", "Refused SIGNATURE_INVALID"],
      [({ batches }) => (batches[1]!.signed!.signature = "0x"), "signature", "Refused SIGNATURE_INVALID"],
    ];
    for (const [change, level, word] of lies) {
      const result = await verifyBundle({
        bundle: changed(bundle, change),
        touchstone,
        blockHash: bundle.log.block.hash,
      });
      expect(statuses(result)[level], `${String(change)} ${JSON.stringify(statuses(result))}`).to.equal(word);
      if (word !== "Unchecked SIGNATURE_MISSING") expect(result.ok, String(change)).to.equal(false);
    }
  });

  it("open no reading that was withheld, and take no seed for one", async () => {
    const { logs } = await loadFixture(deployBundle);
    const open = await bundleOf(logs, logs.p256, { withState: false });
    const closed = await bundleOf(logs, logs.p256, { withState: false, withhold: (seq) => seq === 9n });
    // Whoever learns a withheld reading later may show it, and then with its seed.
    const [reading, commitment] = [open.batches[1]!.readings[4]!, closed.batches[1]!.readings[4]!];
    expect(reading).to.have.property("payload");
    expect(commitment).to.have.property("commitment");
    const mixed = changed(closed, ({ batches }) => (batches[1]!.readings[4] = reading));
    expect(statuses(await verifyBundle({ bundle: mixed })).bytes).to.equal("Refused SEEDS_MISMATCH");
    const seeded = changed(closed, ({ batches }) => (batches[1]!.seeds = open.batches[1]!.seeds));
    expect(statuses(await verifyBundle({ bundle: seeded })).bytes).to.equal("Refused SEEDS_MISMATCH");
    const reopened = changed(closed, ({ batches }) => (batches[1] = open.batches[1]!));
    expect(statuses(await verifyBundle({ bundle: reopened })).bytes).to.equal("Proved");
  });

  it("tell another chain, another block and another contract apart", async () => {
    const { bundle, touchstone } = await loadFixture(deployBundle);
    const { hash } = bundle.log.block;
    const other = await verifyBundle({ bundle, blockHash: hash, chainId: 1n });
    expect(statuses(other)).to.deep.include({ signature: "Refused WRONG_CHAIN", state: "Refused WRONG_CHAIN" });
    const block = await verifyBundle({ bundle, touchstone, blockHash: `0x${"11".repeat(32)}` });
    expect(statuses(block)).to.deep.equal({ ...ALL_PROVED, state: "Refused HEADER_MISMATCH" });
    expect(block.ok).to.equal(false);
    const contract = await verifyBundle({
      bundle,
      touchstone,
      blockHash: hash,
      dataAnchor: touchstone.addresses.DataAccess,
    });
    expect(statuses(contract)).to.deep.equal({
      ...ALL_PROVED,
      signature: "Refused WRONG_CONTRACT",
      chain: "Refused WRONG_CONTRACT",
      state: "Refused WRONG_CONTRACT",
    });
    await errorOf("INVALID_ARGUMENT", () => verifyBundle({ bundle, blockHash: "0x11" }));
    await errorOf("INVALID_ARGUMENT", () => verifyBundle({ bundle, dataAnchor: "nobody" }));
    for (const chainId of [31337, "31337", -1n, null] as bigint[]) {
      const { message } = await errorOf("INVALID_ARGUMENT", () => verifyBundle({ bundle, chainId }));
      expect(message).to.match(/^chainId: .* give a bigint/);
    }
    await errorOf("BUNDLE_INVALID", () => verifyBundle({ bundle: undefined }));
  });

  it("are not taken in by a contract that looks like the right one", async () => {
    const { logs, touchstone } = await loadFixture(deployBundle);
    const { roles, devices: registry, actors, p256Device } = logs;
    const lookalike = await ethers.deployContract("DataAnchor", [roles, registry], actors.stranger);
    const forger = await connectTouchstone({
      runner: actors.stranger,
      addresses: { ...touchstone.addresses, DataAnchor: await lookalike.getAddress() },
    });
    const log = await writeLog({
      touchstone: forger,
      logId: logs.p256.logId,
      append: (anchor) => anchors.anchor({ touchstone: forger, anchor, byDevice: p256Device }),
    });
    const { bundle } = await createBundle({
      touchstone: forger,
      batches: log.batches,
      firstSeq: 0n,
      count: 20n,
      withState: true,
    });
    const blockHash = bundle.log.block.hash;
    const { levels, ok } = await verifyBundle({ bundle, blockHash });
    expect(ok).to.equal(false);
    expect(levels.state).to.include({ status: "Unchecked", reason: "CONTRACT_MISSING" });
    expect(levels.state.message).to.contain((await lookalike.getAddress()).toLowerCase());
    for (const known of [{ dataAnchor: touchstone.addresses.DataAnchor }, { touchstone }]) {
      const result = await verifyBundle({ bundle, blockHash, ...known });
      expect(result.ok).to.equal(false);
      expect(statuses(result)).to.deep.include({
        signature: "Refused WRONG_CONTRACT",
        state: "Refused WRONG_CONTRACT",
      });
    }
    // To say that the log is in the right contract needs its storage.
    const renamed = { ...bundle, dataAnchor: touchstone.addresses.DataAnchor.toLowerCase() };
    expect(statuses(await verifyBundle({ bundle: renamed, blockHash, touchstone }))).to.deep.equal({
      bytes: "Proved",
      signature: "Refused SIGNATURE_INVALID",
      chain: "Refused ANCHOR_NOT_IN_LOG",
      state: "Refused ACCOUNT_NOT_PROVED",
      range: "Proved",
    });
  });

  it("are not taken in by a contract whose maker filled its storage", async () => {
    const { logs, touchstone } = await loadFixture(deployBundle);
    const { p256Device, roles, devices: registry, actors } = logs;
    const lookalike = await ethers.deployContract("DataAnchor", [roles, registry], actors.stranger);
    const dataAnchor = await lookalike.getAddress();
    const forger = await connectTouchstone({
      runner: actors.stranger,
      addresses: { ...touchstone.addresses, DataAnchor: dataAnchor },
    });
    // A log of the device in which somebody else's key has written.
    const key = createP256Key();
    const logId = anchors.deviceLogId({ device: p256Device.id });
    const readings = [1n, 2n, 3n].map((measuredAt) => ({ measuredAt, payload: Buffer.from("forged") }));
    const batch = buildBatch({ logId, firstSeq: 0n, readings });
    const anchor = await anchors.newAnchor({ touchstone: forger, batch });
    const byForger = await anchors.signAnchor({ touchstone: forger, anchor, key });
    const record: anchors.AnchorRecord = {
      ...{ logId, index: 0n, kind: "Data", tree: batch.tree, firstSeq: 0n, count: 3n, tFirst: 1n, tLast: 3n },
      ...{ supersedes: 0n, freshBlock: 0n, freshState: "None", root: batch.root, timestamp: 1n, author: key.id },
    };
    await networkHelpers.setStorageAt(dataAnchor, headSlot(logId), 3n | (1n << 64n));
    await networkHelpers.setStorageAt(dataAnchor, peakSlot(logId, 0), anchors.anchorLeaf(record));
    await networkHelpers.mine();
    const { number, hash } = (await ethers.provider.getBlock("latest"))!;
    const block = { number, hash: hash! };
    const bundle: ProofBundle = {
      type: "touchstone-proof-bundle",
      version: 1,
      chainId: String(touchstone.chainId),
      dataAnchor: dataAnchor.toLowerCase(),
      logId,
      range: { firstSeq: "0", count: "3" },
      log: { size: "1", block: { number: String(number), hash: block.hash } },
      batches: [
        {
          anchor: anchorIn(record),
          readings: batch.readings.map(({ measuredAt, commitment }) => ({
            measuredAt: String(measuredAt),
            commitment,
          })),
          seeds: [],
          rangeProof: [],
          peakProof: [],
          signed: { freshHash: anchor.freshHash, deadline: String(anchor.deadline), scheme: "P256", ...byForger },
        },
      ],
      state: await fetchState({ touchstone: forger, logId, heights: [0], block }),
    };
    const blockHash = block.hash;
    const { ok, levels, ...rest } = await verifyBundle({ bundle, blockHash });
    expect({ ok, ...statuses({ ok, levels, ...rest }) }).to.deep.equal({
      ok: false,
      ...OFFLINE,
      signature: "Unchecked KEY_ROTATED",
      state: "Unchecked CONTRACT_MISSING",
    });
    expect(levels.state.message).to.contain(dataAnchor.toLowerCase()).and.contain("compare");
    // Whoever trusts that contract gets what it says.
    expect(statuses(await verifyBundle({ bundle, blockHash, dataAnchor }))).to.deep.equal(OFFLINE);
  });

  // ------------------------------------------------------------------ keys

  it("prove what a device signed with each of its keys", async () => {
    const { logs } = await loadFixture(deployBundle);
    const { p256, p256Device, as } = logs;
    const next = createP256Key({ scheme: Scheme.P256Sha256 });
    const touchstone = as.owner;
    const rotation = await devices.newKeyRotation({ touchstone, device: p256Device.id, newKey: next });
    await devices.rotateKey({ touchstone, rotation, byNewKey: next, byOldKey: p256Device });
    const batch = await append(touchstone, p256, 6, (anchor) => anchors.anchor({ touchstone, anchor, byDevice: next }));
    const batches = [...p256.batches, batch];
    const bundle = await bundleOf(logs, { batches }, { firstSeq: 16n, count: 10n });
    expect(bundle.batches.map(({ signed }) => signed!.scheme)).to.deep.equal(["P256", "P256Sha256"]);
    const blockHash = bundle.log.block.hash;
    for (const known of [{ blockHash, dataAnchor: touchstone.addresses.DataAnchor }, { touchstone }]) {
      const result = await verifyBundle({ bundle, ...known });
      expect(result.ok).to.equal(true);
      expect(result.levels.signature.status).to.equal("Proved");
    }
    // Alone, it could be the key of anyone.
    const alone = await verifyBundle({ bundle });
    expect(statuses(alone).signature).to.equal("Unchecked KEY_ROTATED");
    expect(alone.levels.signature).to.include({ batch: 1 });
    expect(alone.ok).to.equal(false);
  });

  it("ask a device that is a contract whether it signed", async () => {
    const { logs } = await loadFixture(deployBundle);
    const { actors, as, fleet } = logs;
    const wallet = await ethers.deployContract("ERC1271Wallet", [actors.device]);
    const id = await wallet.getAddress();
    const account = await accountKey(actors.device);
    const key: Key = { ...account, id, prove: (message) => account.prove(message) };
    await enrollDevice(logs, { key, owner: fleet, by: actors.owner });
    const touchstone = as.relayer;
    const log = { logId: anchors.deviceLogId({ device: id }), batches: [] };
    const batch = await append(touchstone, log, 4, (anchor) => anchors.anchor({ touchstone, anchor, byDevice: key }));
    const bundle = await bundleOf(logs, { batches: [batch] }, { firstSeq: 0n, count: 4n });
    expect(bundle.batches[0]!.signed!.scheme).to.equal("AccountContract");
    const blockHash = bundle.log.block.hash;
    const offline = await verifyOffline(bundle);
    expect({ ok: offline.ok, ...statuses(offline) }).to.deep.equal({
      ok: true,
      ...OFFLINE,
      signature: "Unchecked ACCOUNT_CONTRACT",
    });
    expect(statuses(await verifyBundle({ bundle, touchstone, blockHash }))).to.deep.equal(ALL_PROVED);
    const altered = changed(bundle, ({ batches }) => {
      const { signature } = batches[0]!.signed!;
      batches[0]!.signed!.signature = `${signature.slice(0, -1)}${signature.endsWith("b") ? "c" : "b"}`;
    });
    expect(statuses(await verifyBundle({ bundle: altered, touchstone })).signature).to.equal(
      "Unchecked ACCOUNT_CONTRACT",
    );
    const called = changed(bundle, ({ batches }) => (batches[0]!.signed!.scheme = "Account"));
    expect(statuses(await verifyBundle({ bundle: called, touchstone })).signature).to.equal(
      "Refused SIGNATURE_INVALID",
    );
  });

  it("take the signatures of accounts in their one form alone", async () => {
    const { logs } = await loadFixture(deployBundle);
    const bundle = await bundleOf(logs, logs.account, { firstSeq: 0n, count: 1n });
    const { signature } = bundle.batches[0]!.signed!;
    const parsed = Signature.from(signature);
    const forms = [
      parsed.compactSerialized,
      `${signature.slice(0, -2)}0${parsed.yParity}`,
      `${signature.slice(0, -2)}${(parsed.yParity + 35).toString(16)}`,
    ];
    for (const form of forms) {
      const other = changed(bundle, ({ batches }) => (batches[0]!.signed!.signature = form));
      expect(statuses(await verifyBundle({ bundle: other })).signature, form).to.equal("Refused SIGNATURE_INVALID");
    }
    const asContract = changed(bundle, ({ batches }) => (batches[0]!.signed!.scheme = "AccountContract"));
    expect(statuses(await verifyBundle({ bundle: asContract })).signature).to.equal("Refused SIGNATURE_INVALID");
  });

  it("have no place for signatures in the logs of fleets", async () => {
    const { logs, bundle } = await loadFixture(deployBundle);
    const fleet = await bundleOf(logs, logs.fleetLog);
    const other = changed(fleet, ({ batches }) => (batches[2]!.signed = bundle.batches[2]!.signed));
    const { levels } = await verifyBundle({ bundle: other, blockHash: bundle.log.block.hash });
    expect(levels.signature).to.deep.include({ status: "Refused", reason: "SIGNATURE_UNEXPECTED", batch: 2 });
  });

  // ------------------------------------------------------------------ time goes on

  it("stay true while their log grows, and say what was corrected since", async () => {
    const { logs, bundle, touchstone } = await loadFixture(deployBundle);
    const { p256, p256Device, as } = logs;
    const send = (anchor: anchors.Anchor): Promise<unknown> =>
      anchors.anchor({ touchstone: as.relayer, anchor, byDevice: p256Device });
    let batches = p256.batches;
    for (const count of [1, 2, 3, 1]) batches = [...batches, await append(as.relayer, p256, count, send)];
    const blockHash = bundle.log.block.hash;
    const before = await verifyBundle({ bundle, touchstone, blockHash });
    expect({ ok: before.ok, ...statuses(before) }).to.deep.equal({ ok: true, ...ALL_PROVED });
    expect(before.levels.chain.correctedSince).to.deep.equal([]);

    const readings = batches[0]!.readings
      .slice(3, 4)
      .map(({ measuredAt }) => ({ measuredAt, payload: Buffer.from("0") }));
    const correction = buildBatch({ logId: p256.logId, firstSeq: 3n, readings });
    await send(await anchors.newCorrection({ touchstone, batch: correction, supersedes: 0n }));
    const after = await verifyBundle({ bundle, touchstone, blockHash });
    expect({ ok: after.ok, ...statuses(after) }).to.deep.equal({ ok: true, ...ALL_PROVED });
    expect(after.levels.chain.correctedSince).to.deep.equal([10n]);
    expect(after.levels.chain.message).to.contain("Corrected since, by the anchors 10.");

    const then = Number(bundle.log.block.number);
    const again = await createBundle({ touchstone, batches, firstSeq: 3n, count: 15n, withState: true, block: then });
    expect(again.bundle).to.deep.equal(bundle);
    const now = await bundleOf(logs, { batches: [...batches, correction] });
    expect(now.batches.map(({ anchor }) => anchor.index)).to.deep.equal([
      ...bundle.batches.map(({ anchor }) => anchor.index),
      "10",
    ]);
    expect(statuses(await verifyBundle({ bundle: now, touchstone, blockHash: now.log.block.hash }))).to.deep.equal(
      ALL_PROVED,
    );
  });

  it("leave unchecked what a node does not answer, and end when they are cancelled", async () => {
    const { bundle, touchstone } = await loadFixture(deployBundle);
    const failing = touchstone.connect(providerWith({ getLogs: () => Promise.reject(new Error("socket hang up")) }));
    const { ok, levels } = await verifyBundle({ bundle, touchstone: failing, blockHash: bundle.log.block.hash });
    expect(levels.chain).to.include({ status: "Unchecked", reason: "CHAIN_FAILED" });
    expect(levels.chain.message).to.contain("socket hang up");
    expect([ok, levels.state.status, levels.signature.status]).to.deep.equal([false, "Proved", "Proved"]);
    await errorOf("CANCELLED", () => verifyBundle({ bundle, touchstone, signal: AbortSignal.abort() }));
  });

  it("are not refused by a node that has not come as far as they", async () => {
    const { bundle, touchstone } = await loadFixture(deployBundle);
    const before = Number(bundle.log.block.number) - 1;
    const behind = providerWith({
      send: (method: string, params: unknown[]): Promise<unknown> =>
        method === "eth_blockNumber" ? Promise.resolve(before) : ethers.provider.send(method, params),
    } as Partial<Provider>);
    const { ok, levels } = await verifyBundle({ bundle, touchstone: touchstone.connect(behind) });
    expect(ok).to.equal(false);
    expect(levels.chain).to.include({ status: "Unchecked", reason: "CHAIN_FAILED" });
    expect(levels.chain.message).to.contain(`block ${before}`);
  });

  it("are not refused by a node that has forgotten events, nor made with it", async () => {
    const { logs, bundle, touchstone } = await loadFixture(deployBundle);
    const { batches } = logs.p256;
    for (const forget of [
      (found: Log[]): Log[] => found.slice(1),
      (found: Log[]): Log[] => found.toSpliced(2, 1),
      (found: Log[]): Log[] => found.slice(0, -1),
      (): Log[] => [],
    ]) {
      const getLogs: Provider["getLogs"] = async (filter) => forget(await ethers.provider.getLogs(filter));
      const forgetful = touchstone.connect(providerWith({ getLogs }));
      const { ok, levels } = await verifyBundle({ bundle, touchstone: forgetful });
      expect(ok).to.equal(false);
      expect(levels.chain).to.include({ status: "Unchecked", reason: "CHAIN_FAILED" });
      expect(levels.chain.message).to.contain("does not have the event of anchor");
      await errorOf("NOT_FOUND", () => createBundle({ touchstone: forgetful, batches, firstSeq: 3n, count: 2n }));
    }
  });

  it("are not refused by a node that makes up events, nor made with it", async () => {
    const { logs, bundle, touchstone } = await loadFixture(deployBundle);
    const { batches } = logs.p256;
    for (const place of [0, 1, 2]) {
      const getMade = (log: Log): Log => {
        const { transactionHash, blockHash, blockNumber, removed, address, topics, index, transactionIndex } = log;
        const where = { transactionHash, blockHash, blockNumber, removed, address, topics, index, transactionIndex };
        // The second of three words is the root of the batch.
        const data = concat([dataSlice(log.data, 0, 32), id("made up"), dataSlice(log.data, 64)]);
        return new Log({ ...where, data }, ethers.provider);
      };
      const getLogs: Provider["getLogs"] = async (filter) =>
        (await ethers.provider.getLogs(filter)).map((log, at) => (at === place ? getMade(log) : log));
      const lying = touchstone.connect(providerWith({ getLogs }));
      const { ok, levels } = await verifyBundle({ bundle, touchstone: lying });
      expect(ok).to.equal(false);
      expect(levels.chain).to.include({ status: "Unchecked", reason: "CHAIN_FAILED" });
      expect(levels.chain.message).to.contain("do not lead to the root of the log");
      await errorOf("RPC_FAILED", () => createBundle({ touchstone: lying, batches, firstSeq: 3n, count: 2n }));
    }
  });

  // ------------------------------------------------------------------ making

  it("find what was signed in batches of calls, and say where they do not", async () => {
    const { logs } = await loadFixture(deployBundle);
    const { p256, p256Device, as, actors, anchors: contract } = logs;
    const touchstone = as.relayer;
    const next = await nextBatch(touchstone, p256, 2);
    const anchor = await anchors.newAnchor({ touchstone, batch: next });
    const byDevice = await anchors.signAnchor({ touchstone, anchor, key: p256Device });
    // The same anchor with another deadline comes first and fails, as the proof is not of it.
    const call = (deadline: bigint): string =>
      contract.interface.encodeFunctionData("anchor", [{ ...anchor, deadline }, byDevice]);
    const inner = contract.interface.encodeFunctionData("multicall", [[call(anchor.deadline)]]);
    await contract
      .connect(actors.relayer)
      .tryMulticall([call(anchor.deadline + 1n), contract.interface.encodeFunctionData("head", [p256.logId]), inner]);
    const bundle = await bundleOf(logs, { batches: [...p256.batches, next] }, { firstSeq: 20n, count: 2n });
    expect(bundle.batches[0]!.signed).to.deep.include({ deadline: String(anchor.deadline), scheme: "P256" });

    const forwarder = await deployForwarder(await contract.getAddress());
    const last = await nextBatch(touchstone, p256, 2);
    const sent = await anchors.newAnchor({ touchstone, batch: last });
    const proof = await anchors.signAnchor({ touchstone, anchor: sent, key: p256Device });
    await actors.relayer.sendTransaction({
      to: forwarder,
      data: contract.interface.encodeFunctionData("anchor", [sent, proof]),
    });
    const made = await createBundle({ touchstone, batches: [next, last], firstSeq: 20n, count: 4n, withState: true });
    expect(made.unsigned).to.deep.equal([7n]);
    const result = await verifyBundle({ bundle: made.bundle, touchstone, blockHash: made.bundle.log.block.hash });
    expect({ ok: result.ok, ...statuses(result) }).to.deep.equal({
      ok: true,
      ...ALL_PROVED,
      signature: "Unchecked SIGNATURE_MISSING",
    });
    expect(result.levels.signature.batch).to.equal(1);
  });

  it("are not made of what is not there", async () => {
    const { logs } = await loadFixture(deployBundle);
    const { p256, hashing, as } = logs;
    const { batches } = p256;
    const touchstone = as.subject;
    const make = (options: Partial<Parameters<typeof createBundle>[0]>) => () =>
      createBundle({ touchstone, batches, firstSeq: 0n, count: 5n, ...options });
    expect((await errorOf("NOT_FOUND", make({ count: 21n }))).message).to.contain("ends before reading 20");
    await errorOf("NOT_FOUND", make({ firstSeq: 2n ** 64n - 1n, count: 1n }));
    await errorOf("INVALID_ARGUMENT", make({ count: 0n }));
    await errorOf("INVALID_ARGUMENT", make({ firstSeq: -1n }));
    await errorOf("INVALID_ARGUMENT", make({ batches: [] }));
    await errorOf("INVALID_ARGUMENT", make({ batches: [...batches, ...hashing.batches] }));
    await errorOf("INVALID_ARGUMENT", make({ logId: hashing.logId }));
    await errorOf("INVALID_ARGUMENT", make({ logId: "0x11" }));
    const [first, , correction] = batches;
    expect((await errorOf("NOT_FOUND", make({ batches: [first!] }))).details).to.deep.equal({
      index: 3n,
      root: correction!.root,
    });
    await errorOf("NOT_FOUND", make({ batches: batches.slice(1) }));
    const stranger = buildBatch({ logId: p256.logId, firstSeq: 0n, readings: first!.readings });
    await errorOf("NOT_FOUND", make({ batches: [stranger, ...batches.slice(1)] }));
    await errorOf("NOT_FOUND", make({ block: 10_000 }));
    for (const block of [-1, 1.5, NaN, 2n, "1", null] as number[]) {
      expect((await errorOf("INVALID_ARGUMENT", make({ block }))).message).to.match(
        /^block: .* is no number of a block/,
      );
    }
    await errorOf("INVALID_ARGUMENT", make({ firstSeq: 0 as unknown as bigint }));
    await errorOf("INVALID_ARGUMENT", make({ count: 5 as unknown as bigint }));
    await errorOf("CANCELLED", make({ signal: AbortSignal.abort() }));
    // A range of lost readings has no batch.
    const { bundle } = await make({ batches: [], logId: p256.logId, firstSeq: 13n, count: 3n })();
    expect((await verifyBundle({ bundle, touchstone })).levels.range.lost).to.deep.equal([
      { firstSeq: 13n, count: 3n },
    ]);
  });

  it("are made of batches whose readings were erased since they were anchored", async () => {
    const { logs, touchstone } = await loadFixture(deployBundle);
    const batches = logs.p256.batches.map((batch) =>
      erase(
        batch,
        batch.readings.map(({ seq }) => seq),
      ),
    );
    const bundle = await bundleOf(logs, { batches }, { firstSeq: 0n, count: 20n });
    expect(bundle.batches.flatMap(({ seeds }) => seeds)).to.deep.equal([]);
    const result = await verifyBundle({ bundle, touchstone, blockHash: bundle.log.block.hash });
    expect({ ok: result.ok, ...statuses(result) }).to.deep.equal({ ok: true, ...ALL_PROVED });
    expect(result.levels.bytes).to.include({ disclosed: 0, withheld: 23 });
  });

  it("have no proofs of state where the chain has none, and say so", async () => {
    const { logs, bundle } = await loadFixture(deployBundle);
    const { as, p256 } = logs;
    const answer = (method: string, given: (real: unknown) => unknown): Touchstone =>
      as.subject.connect(
        providerWith({
          send: async (asked: string, params: unknown[]) => {
            const real: unknown = await ethers.provider.send(asked, params);
            return asked === method ? given(real) : real;
          },
        } as Partial<Provider>),
      );
    const fail = (message: string) => (): never => {
      throw new Error(message);
    };
    const change = (fields: object) => (real: unknown) => ({ ...(real as object), ...fields });
    const unable: [name: string, touchstone: Touchstone][] = [
      ["no eth_getProof", answer("eth_getProof", fail("the method eth_getProof does not exist"))],
      ["no such block", answer("eth_getProof", () => null)],
      ["no storage proofs", answer("eth_getProof", change({ storageProof: [] }))],
      ["odd storage proofs", answer("eth_getProof", change({ storageProof: [1, 2, 3] }))],
      ["odd nodes", answer("eth_getProof", change({ accountProof: ["0x1", null] }))],
      ["wrong nodes", answer("eth_getProof", change({ accountProof: ["0x11"] }))],
      ["headers of another kind", answer("eth_getBlockByNumber", change({ sendCount: "0x1", gasUsed: "0x7" }))],
      ["another block", answer("eth_getBlockByNumber", change({ hash: `0x${"11".repeat(32)}` }))],
      ["no block", answer("eth_getBlockByNumber", () => null)],
      ["no requests", as.subject.connect(providerWith({ send: undefined } as Partial<Provider>))],
    ];
    const range = { batches: p256.batches, firstSeq: 3n, count: 15n };
    for (const [name, touchstone] of unable) {
      const error = await errorOf("STATE_UNAVAILABLE", () => createBundle({ touchstone, ...range, withState: true }));
      expect(error.message, name).to.contain("make the bundle without proofs of state");
      const small = { ...bundle };
      delete small.state;
      expect((await createBundle({ touchstone, ...range })).bundle, name).to.deep.equal(small);
    }
    const away = answer("eth_getProof", fail("socket hang up"));
    await errorOf("CHAIN_UNREACHABLE", () => createBundle({ touchstone: away, ...range, withState: true }));
  });

  // ------------------------------------------------------------------ support

  /** A batch that continues the log. */
  async function nextBatch(touchstone: Touchstone, log: { logId: string }, count: number): Promise<Batch> {
    const { nextSeq, lastMeasured } = await anchors.head({ touchstone, logId: log.logId });
    const readings = Array.from({ length: count }, (_, index) => ({
      measuredAt: lastMeasured + BigInt(index),
      payload: Buffer.from(`${index}`),
    }));
    return buildBatch({ logId: log.logId, firstSeq: nextSeq, readings });
  }

  async function append(
    touchstone: Touchstone,
    log: { logId: string },
    count: number,
    send: (anchor: anchors.Anchor) => Promise<unknown>,
  ): Promise<Batch> {
    const batch = await nextBatch(touchstone, log, count);
    await send(await anchors.newAnchor({ touchstone, batch }));
    await networkHelpers.mine();
    return batch;
  }

  /** A contract that passes on what it is called with. */
  async function deployForwarder(target: string): Promise<string> {
    const [deployer] = await ethers.getSigners();
    const runtime = `365f5f375f5f365f5f73${target.slice(2)}5af100`;
    const response = await deployer!.sendTransaction({ data: `0x6021600a5f3960215ff3${runtime}` });
    return (await response.wait())!.contractAddress!;
  }
});
