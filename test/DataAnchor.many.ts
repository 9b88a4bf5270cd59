import { expect } from "chai";
import { concat, getBytes, hexlify, id, ZeroAddress, ZeroHash } from "ethers";
import fc from "fast-check";

import { createP256Key, Scheme, type Key } from "../client/keys.js";
import { anchorMessage, messageDigest } from "../client/typed-data.js";

import { DAY, ethers, loadFixture, networkHelpers, now } from "./support/chain.js";
import { enrollDevice, ROLE, wrongCallers } from "./support/fleet.js";
import {
  ANCHOR,
  anchorOf,
  append,
  deployFilledLog,
  deployLogs,
  deviceLogOf,
  eventArgsOf,
  eventsOf,
  fleetLogOf,
  FreshState,
  HOUR_MS,
  Kind,
  leafOf,
  packed,
  prove,
  recordOf,
  STREAM,
  stateOf,
  Tree,
  type Anchor,
  type Logs,
} from "./support/logs.js";
import { keccak256, rootOf } from "./support/rfc9162.js";

const RECORD_BYTES = 87;

/** What a call says once for all of its records. */
interface Call {
  fleet: string;
  deadline: bigint;
  freshBlock: bigint;
  freshHash: string;
  records: string;
}

async function callOf(
  suite: Logs,
  anchors: readonly Anchor[],
  changes: Partial<Call> = {},
): Promise<[string, bigint, bigint, string, string]> {
  const call: Call = {
    fleet: suite.fleet,
    deadline: (await now()) + DAY,
    freshBlock: 0n,
    freshHash: ZeroHash,
    records: concat(anchors.map(packed)),
    ...changes,
  };
  return [call.fleet, call.deadline, call.freshBlock, call.freshHash, call.records];
}

/** Sends anchors in one call, as the fleet's gateway unless told. */
async function sendMany(
  suite: Logs,
  anchors: readonly Anchor[],
  changes: Partial<Call> = {},
  by = suite.actors.gateway,
) {
  return suite.data.connect(by).anchorMany(...(await callOf(suite, anchors, changes)));
}

/** The event of an anchor that the gateway's call appended in the latest block. */
async function anchored(suite: Logs, anchor: Anchor, author = suite.actors.gateway.address) {
  return ["Anchored", ...eventArgsOf(await recordOf(anchor, FreshState.None, author))];
}

function skipped(suite: Logs, anchor: Anchor, error: string, args: readonly unknown[]) {
  const reason = suite.data.interface.encodeErrorResult(error, args as never);
  return ["AnchorSkipped", anchor.logId, anchor.index, reason];
}

describe("DataAnchor batches", () => {
  describe("anchorMany", () => {
    it("appends each record to its log, of whatever kind and tree", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleet } = suite;
      const kinds = [
        { kind: Kind.Data, tree: Tree.Keccak256 },
        { kind: Kind.Data, tree: Tree.Sha256, count: 2n ** 32n },
        { kind: Kind.Gap, root: ZeroHash },
        { kind: Kind.Receipts, tree: Tree.Sha256 },
        { kind: Kind.AccessLog, count: 1n },
      ];
      const anchors = await Promise.all(
        kinds.map((kind, stream) => anchorOf({ logId: fleetLogOf(fleet, BigInt(stream)), ...kind })),
      );
      const args = await callOf(suite, anchors);

      expect(await data.connect(suite.actors.gateway).anchorMany.staticCall(...args)).to.deep.equal(
        anchors.map(() => true),
      );
      const events = await eventsOf(data, sendMany(suite, anchors));

      expect(events).to.deep.equal(await Promise.all(anchors.map((anchor) => anchored(suite, anchor))));
      for (const anchor of anchors) {
        const record = await recordOf(anchor, FreshState.None, suite.actors.gateway.address);
        expect(await stateOf(data, anchor.logId)).to.deep.equal({
          nextSeq: anchor.count,
          size: 1n,
          lastMeasured: anchor.tLast,
          lastAnchored: await now(),
          root: leafOf(record),
        });
        expect(await data.verifyAnchor(record, [])).to.equal(true);
      }
    });

    it("appends corrections, which move neither sequence nor time", async () => {
      const suite = await loadFixture(deployFilledLog);
      const { data, fleetLog, records } = suite;
      const before = await data.head(fleetLog);
      const correction = await anchorOf({
        logId: fleetLog,
        index: 3n,
        kind: Kind.Correction,
        firstSeq: 10n,
        count: 20n,
        tFirst: 0n,
        tLast: 5n,
        supersedes: 2n,
      });
      const events = await eventsOf(data, sendMany(suite, [correction]));
      expect(events).to.deep.equal([await anchored(suite, correction)]);
      const { nextSeq, size, lastMeasured, lastAnchored } = await data.head(fleetLog);
      expect([nextSeq, size, lastMeasured, lastAnchored]).to.deep.equal([
        30n,
        4n,
        before.lastMeasured,
        before.lastAnchored,
      ]);
      const record = await recordOf(correction, FreshState.None, suite.actors.gateway.address);
      expect(await data.root(fleetLog)).to.equal(rootOf([...records, record].map(leafOf), keccak256));
    });

    it("reads every number of a record in its full width", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleet } = suite;
      const logId = concat([fleet, `0x${"ff".repeat(12)}`]);
      const numbers = { index: 2n ** 64n - 2n, firstSeq: 2n ** 64n - 3n, count: 2n ** 40n - 4n };
      const times = { tFirst: 2n ** 48n - 5n, tLast: 2n ** 48n - 6n, supersedes: 2n ** 64n - 7n };
      const wide = await anchorOf({ logId, ...numbers, ...times });
      expect(await eventsOf(data, sendMany(suite, [wide]))).to.deep.equal([
        skipped(suite, wide, "IndexMismatch", [logId, 0n, numbers.index]),
      ]);
      expect(await eventsOf(data, sendMany(suite, [{ ...wide, index: 0n }]))).to.deep.equal([
        skipped(suite, { ...wide, index: 0n }, "CountInvalid", [numbers.count]),
      ]);
      const counted = { ...wide, index: 0n, firstSeq: 2n ** 64n - 2n ** 32n - 1n, count: 2n ** 32n };
      expect(await eventsOf(data, sendMany(suite, [counted]))).to.deep.equal([
        skipped(suite, counted, "TimeRegressed", [logId, times.tFirst, times.tLast]),
      ]);
      const timed = { ...counted, tFirst: 1n, tLast: 2n };
      expect(await eventsOf(data, sendMany(suite, [timed]))).to.deep.equal([
        skipped(suite, timed, "SupersedesInvalid", [times.supersedes, 0n]),
      ]);
      const unsuperseding = { ...timed, supersedes: 0n };
      expect(await eventsOf(data, sendMany(suite, [unsuperseding]))).to.deep.equal([
        skipped(suite, unsuperseding, "SequenceMismatch", [logId, 0n, counted.firstSeq]),
      ]);
    });

    for (const caller of ["owner", "admin", "gateway"] as const) {
      it(`is for the fleet's ${caller}, who is the author`, async () => {
        const suite = await loadFixture(deployLogs);
        const { data, actors, fleetLog } = suite;
        const anchor = await anchorOf({ logId: fleetLog });
        const events = await eventsOf(data, sendMany(suite, [anchor], {}, actors[caller]));
        expect(events).to.deep.equal([await anchored(suite, anchor, actors[caller].address)]);
      });
    }

    it("is for an account in its own logs", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const fleet = actors.stranger.address;
      const anchor = await anchorOf({ logId: fleetLogOf(fleet) });
      const events = await eventsOf(data, sendMany(suite, [anchor], { fleet }, actors.stranger));
      expect(events).to.deep.equal([await anchored(suite, anchor, fleet)]);
    });

    for (const [caller, name] of wrongCallers) {
      it(`refuses ${name}`, async () => {
        const suite = await loadFixture(deployLogs);
        const { data, actors, fleet, fleetLog } = suite;
        const anchor = await anchorOf({ logId: fleetLog });
        for (const anchors of [[anchor], []]) {
          await expect(sendMany(suite, anchors, {}, actors[caller]))
            .to.be.revertedWithCustomError(data, "CallerLacksPermission")
            .withArgs(fleet, actors[caller].address, ANCHOR);
        }
        expect((await data.head(fleetLog)).size).to.equal(0n);
      });
    }

    it("refuses members with other permissions than Anchor, and everyone for nobody's fleet", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, fleet, fleetLog } = suite;
      const anchor = await anchorOf({ logId: fleetLog });
      for (const caller of ["operator", "security", "maker"] as const) {
        await expect(sendMany(suite, [anchor], {}, actors[caller]))
          .to.be.revertedWithCustomError(data, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, ANCHOR);
      }
      for (const other of [ZeroAddress, suite.otherFleet]) {
        await expect(sendMany(suite, [anchor], { fleet: other }))
          .to.be.revertedWithCustomError(data, "CallerLacksPermission")
          .withArgs(other, actors.gateway.address, ANCHOR);
      }
    });

    it("is for a member until the second in which its role ends", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, roles, actors, fleet, fleetLog } = suite;
      const expiry = (await now()) + 100n;
      await roles.connect(actors.owner).setRoles(fleet, actors.gateway, ROLE.Gateway, 0n, expiry);
      const anchor = await anchorOf({ logId: fleetLog });
      await networkHelpers.time.setNextBlockTimestamp(expiry - 1n);
      expect(await eventsOf(data, sendMany(suite, [anchor]))).to.deep.equal([await anchored(suite, anchor)]);
      await networkHelpers.time.setNextBlockTimestamp(expiry);
      await expect(sendMany(suite, [anchor]))
        .to.be.revertedWithCustomError(data, "CallerLacksPermission")
        .withArgs(fleet, actors.gateway.address, ANCHOR);
    });

    it("writes to no fleet but the one that is named, whatever the records say", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, otherFleet, fleetLog } = suite;
      const elsewhere = await anchorOf({ logId: fleetLogOf(otherFleet) });
      await sendMany(suite, [elsewhere]);
      expect((await data.head(elsewhere.logId)).size).to.equal(0n);
      expect((await data.head(fleetLog)).size).to.equal(1n);
    });

    it("is made in its last second, and not after", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleetLog } = suite;
      const anchor = await anchorOf({ logId: fleetLog });
      const deadline = (await now()) + 100n;
      await networkHelpers.time.setNextBlockTimestamp(deadline);
      await sendMany(suite, [anchor], { deadline });
      expect((await data.head(fleetLog)).lastAnchored).to.equal(deadline);
      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      for (const anchors of [[anchor], []]) {
        await expect(sendMany(suite, anchors, { deadline }))
          .to.be.revertedWithCustomError(data, "DeadlinePassed")
          .withArgs(deadline);
      }
    });

    it("takes the fresh block for all of the records", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, fleet } = suite;
      const block = (await ethers.provider.getBlock("latest"))!;
      const fresh = { freshBlock: BigInt(block.number), freshHash: block.hash! };
      const anchors = await Promise.all(
        [1n, 2n, 3n].map((stream) => anchorOf({ logId: fleetLogOf(fleet, stream), ...fresh })),
      );
      const events = await eventsOf(data, sendMany(suite, anchors, fresh));
      const records = await Promise.all(
        anchors.map((anchor) => recordOf(anchor, FreshState.Confirmed, actors.gateway.address)),
      );
      expect(events).to.deep.equal(records.map((record) => ["Anchored", ...eventArgsOf(record)]));
      for (const record of records) expect(await data.verifyAnchor(record, [])).to.equal(true);
    });

    it("marks all of the records where the fresh block is too old to tell", async () => {
      const suite = await loadFixture(deployLogs);
      await networkHelpers.mine(8200);
      const fresh = { freshBlock: 1n, freshHash: id("whatever") };
      const anchor = await anchorOf({ logId: suite.fleetLog, ...fresh });
      const events = await eventsOf(suite.data, sendMany(suite, [anchor], fresh));
      const record = await recordOf(anchor, FreshState.TooOld, suite.actors.gateway.address);
      expect(events).to.deep.equal([["Anchored", ...eventArgsOf(record)]]);
    });

    it("is refused as a whole with a fresh block that is not one", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleetLog } = suite;
      const anchor = await anchorOf({ logId: fleetLog });
      const latest = BigInt(await networkHelpers.time.latestBlock());
      for (const [freshBlock, freshHash] of [
        [latest, id("another")],
        [latest + 1n, ZeroHash],
        [2n ** 64n - 1n, id("another")],
        [0n, id("hash")],
      ] as const) {
        for (const anchors of [[anchor], []]) {
          await expect(
            data
              .connect(suite.actors.gateway)
              .anchorMany.staticCall(...(await callOf(suite, anchors, { freshBlock, freshHash }))),
          )
            .to.be.revertedWithCustomError(data, "FreshBlockInvalid")
            .withArgs(freshBlock, freshHash);
        }
      }
    });

    it("does nothing with no records", async () => {
      const suite = await loadFixture(deployLogs);
      const args = await callOf(suite, []);
      expect(await suite.data.connect(suite.actors.gateway).anchorMany.staticCall(...args)).to.deep.equal([]);
      expect(await eventsOf(suite.data, sendMany(suite, []))).to.deep.equal([]);
    });

    it("refuses bytes that are no whole number of records", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, fleetLog } = suite;
      const bytes = getBytes(
        concat([packed(await anchorOf({ logId: fleetLog })), `0x${"00".repeat(2 * RECORD_BYTES)}`]),
      );
      for (const length of [1, 32, RECORD_BYTES - 1, RECORD_BYTES + 1, 2 * RECORD_BYTES - 1, 2 * RECORD_BYTES + 1]) {
        await expect(sendMany(suite, [], { records: hexlify(bytes.slice(0, length)) }), `${length} bytes`)
          .to.be.revertedWithCustomError(data, "RecordsMalformed")
          .withArgs(length);
      }
      expect((await data.head(fleetLog)).size).to.equal(0n);
    });

    it("reads a last record that ends where the call data ends, and nothing behind the records", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, fleet } = suite;
      const anchors = await Promise.all([1n, 2n].map((stream) => anchorOf({ logId: fleetLogOf(fleet, stream) })));
      const calldata = data.interface.encodeFunctionData("anchorMany", await callOf(suite, anchors));
      const padding = (32 - ((2 * RECORD_BYTES) % 32)) % 32;
      expect(padding).to.be.greaterThan(0);
      const bare = calldata.slice(0, calldata.length - 2 * padding);
      const start = await networkHelpers.takeSnapshot();
      for (const call of [bare, concat([bare, `0x${"ff".repeat(padding + RECORD_BYTES)}`])]) {
        const receipt = await (await actors.gateway.sendTransaction({ to: data, data: call })).wait();
        const events = receipt!.logs.map((log) => data.interface.parseLog(log)!.args.toArray() as unknown[]);
        expect(events).to.deep.equal(
          (await Promise.all(anchors.map((anchor) => anchored(suite, anchor)))).map(([, ...args]) => args),
        );
        await start.restore();
      }
    });

    it("refuses words that are wider than their types, and records that are cut off", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors } = suite;
      const calldata = data.interface.encodeFunctionData(
        "anchorMany",
        await callOf(suite, [await anchorOf({ logId: suite.fleetLog })]),
      );
      const bits = [
        [0, 160n],
        [1, 40n],
        [2, 64n],
      ] as const;
      const wrong = bits.map(([member, bit]) => {
        const bytes = getBytes(calldata);
        bytes[4 + 32 * member + 31 - Number(bit / 8n)]! |= 1;
        return hexlify(bytes);
      });
      for (const call of [...wrong, calldata.slice(0, calldata.length - 2 * (32 + 9))]) {
        await expect(
          actors.gateway.sendTransaction({ to: data, data: call, gasLimit: 1_000_000n }),
        ).to.be.revertedWithoutReason(ethers);
      }
    });
  });

  describe("a record that its log cannot take", () => {
    interface Refusal {
      name: string;
      changes: Partial<Anchor>;
      error: string;
      /** From the log's id, the time in milliseconds when it was measured last, and the latest time that is taken. */
      args: (log: { logId: string; lastMeasured: bigint; latest: bigint }) => unknown[];
    }

    const CORRECTION = { kind: Kind.Correction, firstSeq: 0n };
    const MAX = 2n ** 64n - 1n;
    const refusals: Refusal[] = [
      { name: "was sent before", changes: { index: 2n }, error: "IndexMismatch", args: ({ logId }) => [logId, 3n, 2n] },
      { name: "comes too early", changes: { index: 4n }, error: "IndexMismatch", args: ({ logId }) => [logId, 3n, 4n] },
      {
        name: "overlaps the log",
        changes: { firstSeq: 29n },
        error: "SequenceMismatch",
        args: ({ logId }) => [logId, 30n, 29n],
      },
      {
        name: "leaves a hole",
        changes: { firstSeq: 31n },
        error: "SequenceMismatch",
        args: ({ logId }) => [logId, 30n, 31n],
      },
      { name: "has no reading", changes: { count: 0n }, error: "CountInvalid", args: () => [0n] },
      {
        name: "has more than 2^32 readings",
        changes: { count: 2n ** 32n + 1n },
        error: "CountInvalid",
        args: () => [2n ** 32n + 1n],
      },
      {
        name: "has as many readings as the record can say",
        changes: { count: 2n ** 40n - 1n },
        error: "CountInvalid",
        args: () => [2n ** 40n - 1n],
      },
      {
        name: "runs out of sequence numbers",
        changes: { firstSeq: MAX - 9n, count: 10n },
        error: "CountInvalid",
        args: () => [10n],
      },
      {
        name: "ends before it begins",
        changes: { tFirst: 1000n, tLast: 999n },
        error: "TimeRegressed",
        args: ({ logId }) => [logId, 1000n, 999n],
      },
      {
        name: "goes back in time",
        changes: { tFirst: 12n },
        error: "TimeRegressed",
        args: ({ logId, lastMeasured }) => [logId, lastMeasured, 12n],
      },
      {
        name: "is of the future",
        changes: { tLast: 2n ** 48n - 1n },
        error: "TimeInFuture",
        args: ({ latest }) => [latest, 2n ** 48n - 1n],
      },
      { name: "has no root", changes: { root: ZeroHash }, error: "RootInvalid", args: () => [Kind.Data, ZeroHash] },
      {
        name: "is a gap with a root",
        changes: { kind: Kind.Gap },
        error: "RootInvalid",
        args: () => [Kind.Gap, id("batch")],
      },
      {
        name: "supersedes though it is no correction",
        changes: { supersedes: 1n },
        error: "SupersedesInvalid",
        args: () => [1n, 3n],
      },
      {
        name: "corrects what is not there",
        changes: { ...CORRECTION, supersedes: 3n },
        error: "SupersedesInvalid",
        args: () => [3n, 3n],
      },
      {
        name: "corrects what can never be there",
        changes: { ...CORRECTION, supersedes: MAX },
        error: "SupersedesInvalid",
        args: () => [MAX, 3n],
      },
      {
        name: "corrects readings behind the end",
        changes: { ...CORRECTION, firstSeq: 21n },
        error: "CorrectionOutOfRange",
        args: () => [30n, 31n],
      },
      { name: "is of no kind", changes: { kind: 5n }, error: "AnchorMalformed", args: () => [] },
      { name: "is of the last kind a byte can say", changes: { kind: 255n }, error: "AnchorMalformed", args: () => [] },
      { name: "is of no tree", changes: { tree: 2n }, error: "AnchorMalformed", args: () => [] },
      { name: "is of the last tree a byte can say", changes: { tree: 255n }, error: "AnchorMalformed", args: () => [] },
    ];

    for (const { name, changes, error, args } of refusals) {
      it(`is skipped where it ${name}, and only that one`, async () => {
        const suite = await loadFixture(deployFilledLog);
        const { data, fleet, fleetLog, lastMeasured } = suite;
        const before = await stateOf(data, fleetLog);
        const first = await anchorOf({ logId: fleetLogOf(fleet, 1n) });
        const wrong = await anchorOf({ logId: fleetLog, index: 3n, firstSeq: 30n, ...changes });
        const last = await anchorOf({ logId: fleetLogOf(fleet, 2n), kind: Kind.Gap, root: ZeroHash });
        const anchors = [first, wrong, last];
        const call = await callOf(suite, anchors);
        const done = await data.connect(suite.actors.gateway).anchorMany.staticCall(...call);
        expect(done).to.deep.equal([true, false, true]);

        const events = await eventsOf(data, sendMany(suite, anchors));

        const latest = (await now()) * 1000n + HOUR_MS;
        expect(events).to.deep.equal([
          await anchored(suite, first),
          skipped(suite, wrong, error, args({ logId: fleetLog, lastMeasured, latest })),
          await anchored(suite, last),
        ]);
        expect(await stateOf(data, fleetLog)).to.deep.equal(before);
        expect((await data.head(first.logId)).size).to.equal(1n);
        expect((await data.head(last.logId)).size).to.equal(1n);
      });
    }

    it("is skipped where the log is a device's, even that of the fleet's own id", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, fleet, fleetLog } = suite;
      const good = await anchorOf({ logId: fleetLog });
      const deviceStream = await anchorOf({ logId: deviceLogOf(fleet) });
      expect(await eventsOf(data, sendMany(suite, [deviceStream, good]))).to.deep.equal([
        skipped(suite, deviceStream, "LogNeedsDevice", [deviceStream.logId]),
        await anchored(suite, good),
      ]);
      // An account that is a device writes its device log with signatures only.
      const device = actors.device.address;
      const own = await anchorOf({ logId: deviceLogOf(device) });
      expect(await eventsOf(data, sendMany(suite, [own], { fleet: device }, actors.device))).to.deep.equal([
        skipped(suite, own, "LogNeedsDevice", [own.logId]),
      ]);
      expect((await data.head(own.logId)).size).to.equal(0n);
    });

    it("is skipped where another gateway was faster, while the rest goes on", async () => {
      const suite = await loadFixture(deployLogs);
      const { data, actors, fleet } = suite;
      const anchors = await Promise.all([1n, 2n, 3n].map((stream) => anchorOf({ logId: fleetLogOf(fleet, stream) })));
      await data.connect(actors.admin).anchorAsMember(anchors[1]!);
      const before = await stateOf(data, anchors[1]!.logId);
      expect(await eventsOf(data, sendMany(suite, anchors))).to.deep.equal([
        await anchored(suite, anchors[0]!),
        skipped(suite, anchors[1]!, "IndexMismatch", [anchors[1]!.logId, 1n, 0n]),
        await anchored(suite, anchors[2]!),
      ]);
      expect(await stateOf(data, anchors[1]!.logId)).to.deep.equal(before);
    });
  });

  describe("records of one log in one call", () => {
    async function chainOf(suite: Logs, length: number): Promise<Anchor[]> {
      const start = await anchorOf({ logId: suite.fleetLog });
      return Array.from({ length }, (_, place) => ({
        ...start,
        index: BigInt(place),
        firstSeq: BigInt(place) * 10n,
        tFirst: place === 0 ? start.tFirst : start.tLast,
        root: id(`batch ${place}`),
      }));
    }

    it("follow each other", async () => {
      const suite = await loadFixture(deployLogs);
      const anchors = await chainOf(suite, 9);
      const events = await eventsOf(suite.data, sendMany(suite, anchors));
      expect(events).to.deep.equal(await Promise.all(anchors.map((anchor) => anchored(suite, anchor))));
      const records = await Promise.all(
        anchors.map((anchor) => recordOf(anchor, FreshState.None, suite.actors.gateway.address)),
      );
      expect(await stateOf(suite.data, suite.fleetLog)).to.deep.equal({
        nextSeq: 90n,
        size: 9n,
        lastMeasured: anchors[8]!.tLast,
        lastAnchored: await now(),
        root: rootOf(records.map(leafOf), keccak256),
      });
    });

    it("are taken in their order only", async () => {
      const suite = await loadFixture(deployLogs);
      const { fleetLog } = suite;
      const [first, second, third] = (await chainOf(suite, 3)) as [Anchor, Anchor, Anchor];
      const events = await eventsOf(suite.data, sendMany(suite, [third, first, third, second, third]));
      expect(events).to.deep.equal([
        skipped(suite, third, "IndexMismatch", [fleetLog, 0n, 2n]),
        await anchored(suite, first),
        skipped(suite, third, "IndexMismatch", [fleetLog, 1n, 2n]),
        await anchored(suite, second),
        await anchored(suite, third),
      ]);
    });

    it("are taken once", async () => {
      const suite = await loadFixture(deployLogs);
      const [first] = (await chainOf(suite, 1)) as [Anchor];
      const events = await eventsOf(suite.data, sendMany(suite, [first, first, first]));
      const again = skipped(suite, first, "IndexMismatch", [suite.fleetLog, 1n, 0n]);
      expect(events).to.deep.equal([await anchored(suite, first), again, again]);
    });

    it("correct each other", async () => {
      const suite = await loadFixture(deployLogs);
      const [first] = (await chainOf(suite, 1)) as [Anchor];
      const correction = { ...first, index: 1n, kind: Kind.Correction, firstSeq: 9n, count: 1n };
      const tooFar = { ...correction, index: 2n, count: 2n };
      const events = await eventsOf(suite.data, sendMany(suite, [first, correction, tooFar]));
      expect(events).to.deep.equal([
        await anchored(suite, first),
        await anchored(suite, correction),
        skipped(suite, tooFar, "CorrectionOutOfRange", [10n, 11n]),
      ]);
    });
  });

  it("take a hundred and fifty logs at once, every third of which cannot go on", async () => {
    const suite = await loadFixture(deployLogs);
    const { data, fleet } = suite;
    const start = await anchorOf({ logId: suite.fleetLog });
    const anchors = Array.from({ length: 150 }, (_, place) => ({
      ...start,
      logId: fleetLogOf(fleet, BigInt(place) << 40n),
      index: place % 3 === 2 ? 1n : 0n,
      root: id(`batch ${place}`),
    }));
    const events = await eventsOf(data, sendMany(suite, anchors));
    const expected: unknown[][] = [];
    for (const anchor of anchors) {
      const refusal = skipped(suite, anchor, "IndexMismatch", [anchor.logId, 0n, 1n]);
      expected.push(anchor.index === 0n ? await anchored(suite, anchor) : refusal);
    }
    expect(events).to.deep.equal(expected);
    for (const anchor of anchors.slice(0, 6)) {
      const record = await recordOf(anchor, FreshState.None, suite.actors.gateway.address);
      expect(await data.verifyAnchor(record, [])).to.equal(anchor.index === 0n);
    }
  });

  it("make of records what anchorAsMember makes of anchors", async function () {
    this.timeout(120_000);
    const suite = await loadFixture(deployFilledLog);
    const { data, fleet, actors } = suite;
    await append(suite, { logId: fleetLogOf(fleet, 8n) });
    const logs = [STREAM, 8n, 9n].map((stream) => fleetLogOf(fleet, stream));
    const start = await networkHelpers.takeSnapshot();
    const time = (await now()) + 60n;

    const anyRecord = fc.record({
      log: fc.integer({ min: 0, max: 3 }),
      kind: fc.bigInt(0n, 4n),
      tree: fc.bigInt(0n, 1n),
      count: fc.oneof(
        { weight: 5, arbitrary: fc.bigInt(1n, 9n) },
        { weight: 1, arbitrary: fc.bigInt(0n, 2n ** 40n - 1n) },
      ),
      duration: fc.bigInt(0n, 5n),
      altered: fc.option(
        fc.record({
          member: fc.constantFrom("index", "firstSeq", "tFirst", "tLast", "supersedes", "root"),
          by: fc.oneof(fc.bigInt(-2n, 2n), fc.bigInt(0n, 2n ** 64n - 1n)),
        }),
        { freq: 2 },
      ),
    });

    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { minLength: 1, maxLength: 12 }), async (steps) => {
        await start.restore();
        const ends = await Promise.all(
          [...logs, deviceLogOf(fleet)].map(async (logId) => ({ logId, ...(await ofHead(logId)) })),
        );
        const anchors = await Promise.all(
          steps.map(async ({ log, kind, tree, count, duration, altered }) => {
            const end = ends[log]!;
            const isCorrection = kind === Kind.Correction && end.nextSeq > 0n;
            const anchor = await anchorOf({
              logId: end.logId,
              index: end.size,
              kind: kind === Kind.Correction && !isCorrection ? Kind.Data : kind,
              tree,
              firstSeq: isCorrection ? end.nextSeq - 1n : end.nextSeq,
              count: isCorrection ? 1n : count,
              tFirst: end.lastMeasured,
              tLast: end.lastMeasured + duration,
              root: kind === Kind.Gap ? ZeroHash : id("batch"),
            });
            if (altered !== null) return alter(anchor, altered.member, altered.by);
            end.size += 1n;
            if (!isCorrection) [end.nextSeq, end.lastMeasured] = [end.nextSeq + count, anchor.tLast];
            return anchor;
          }),
        );

        const atOnce = await outcomeOf(async () => sendMany(suite, anchors));
        await start.restore();
        const calls = anchors.map((anchor) => data.interface.encodeFunctionData("anchorAsMember", [anchor]));
        const oneByOne = await outcomeOf(() => data.connect(actors.gateway).tryMulticall(calls));

        expect(atOnce.events.map(withoutPlace)).to.deep.equal(oneByOne.events.map(withoutPlace));
        expect(atOnce.states).to.deep.equal(oneByOne.states);
      }),
      { numRuns: 60 },
    );

    async function ofHead(logId: string) {
      const { nextSeq, size, lastMeasured } = await data.head(logId);
      return { nextSeq, size, lastMeasured };
    }

    async function outcomeOf(sending: () => ReturnType<typeof sendMany>) {
      await networkHelpers.time.setNextBlockTimestamp(time);
      return {
        events: await eventsOf(data, sending()),
        states: await Promise.all(logs.map((logId) => stateOf(data, logId))),
      };
    }

    /** What both ways say of one record that is skipped is the error. */
    function withoutPlace([name, ...args]: unknown[]): unknown[] {
      return name === "Anchored" ? [name, ...args] : [args[2]];
    }
  });

  describe("of device logs, in multicall and tryMulticall", () => {
    /** Four devices, with all schemes, and a signed anchor of each. */
    async function deployDevices() {
      const suite = await deployLogs();
      const hashing = createP256Key({ scheme: Scheme.P256Sha256 });
      const other = createP256Key();
      for (const key of [hashing, other])
        await enrollDevice(suite, { key, owner: suite.fleet, by: suite.actors.owner });
      const keys: Key[] = [suite.p256Device, suite.accountDevice, hashing, other];
      const anchors = await Promise.all(keys.map((key) => anchorOf({ logId: deviceLogOf(key.id) })));
      const calls = await Promise.all(anchors.map((anchor, place) => callBy(suite, keys[place]!, anchor)));
      return { ...suite, keys, anchors, calls };
    }

    type Devices = Awaited<ReturnType<typeof deployDevices>>;

    async function callBy(suite: Logs, key: Key, anchor: Anchor): Promise<string> {
      return suite.data.interface.encodeFunctionData("anchor", [anchor, await prove(suite, key, anchor)]);
    }

    const skippedCall = (
      { data }: Logs,
      place: bigint,
      verb: "anchor" | "anchorAsMember" | "multicall",
      error: string,
      args: readonly unknown[],
    ) => [
      "CallSkipped",
      place,
      data.interface.getFunction(verb).selector,
      data.interface.encodeErrorResult(error, args as never),
    ];

    const anchoredBy = async (suite: Devices, place: number) =>
      anchored(suite, suite.anchors[place]!, suite.keys[place]!.id);

    for (const batch of ["multicall", "tryMulticall"] as const) {
      it(`appends what several devices signed, whoever carries it, with ${batch}`, async () => {
        const suite = await loadFixture(deployDevices);
        const { data, actors, anchors, calls } = suite;
        const events = await eventsOf(data, data.connect(actors.stranger)[batch](calls));
        expect(events).to.deep.equal(await Promise.all(anchors.map((_, place) => anchoredBy(suite, place))));
        for (const { logId } of anchors) expect((await data.head(logId)).size).to.equal(1n);
      });
    }

    it("appends several anchors of one device in their order", async () => {
      const suite = await loadFixture(deployDevices);
      const { data, actors, anchors, keys, calls } = suite;
      const second = { ...anchors[0]!, index: 1n, firstSeq: 10n, tFirst: anchors[0]!.tLast };
      const call = await callBy(suite, keys[0]!, second);
      const events = await eventsOf(data, data.connect(actors.relayer).tryMulticall([call, calls[0]!, call, call]));
      const { logId } = second;
      expect(events).to.deep.equal([
        skippedCall(suite, 0n, "anchor", "IndexMismatch", [logId, 0n, 1n]),
        await anchoredBy(suite, 0),
        await anchored(suite, second, keys[0]!.id),
        skippedCall(suite, 3n, "anchor", "IndexMismatch", [logId, 2n, 1n]),
      ]);
    });

    it("appends none with multicall where one is refused", async () => {
      const suite = await loadFixture(deployDevices);
      const { data, devices, actors, anchors, keys, calls } = suite;
      await devices.connect(actors.owner).retire(keys[2]!.id);
      await expect(data.connect(actors.relayer).multicall(calls))
        .to.be.revertedWithCustomError(data, "DeviceNotActive")
        .withArgs(keys[2]!.id);
      for (const { logId } of anchors) expect((await data.head(logId)).size).to.equal(0n);
    });

    it("skips with tryMulticall what is refused, and says why", async () => {
      const suite = await loadFixture(deployDevices);
      const { data, devices, domain, actors, fleet, fleetLog, anchors, keys, calls } = suite;
      const deadline = (await now()) + 50n;
      const late = { ...anchors[1]!, deadline };
      const lateCall = await callBy(suite, keys[1]!, late);
      const byOther = data.interface.encodeFunctionData("anchor", [
        anchors[3]!,
        await prove(suite, keys[2]!, anchors[3]!),
      ]);
      const asMember = data.interface.encodeFunctionData("anchorAsMember", [await anchorOf({ logId: fleetLog })]);
      await data.connect(actors.stranger).anchor(anchors[0]!, await prove(suite, keys[0]!, anchors[0]!));
      await devices.connect(actors.owner).suspend(keys[2]!.id, keys[2]!.publicKey);
      await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
      const all = [calls[0]!, lateCall, calls[2]!, byOther, asMember, calls[3]!, calls[1]!];

      const events = await eventsOf(data, data.connect(actors.relayer).tryMulticall(all));

      const digest = messageDigest(anchorMessage(domain, anchors[3]!));
      expect(events).to.deep.equal([
        skippedCall(suite, 0n, "anchor", "IndexMismatch", [anchors[0]!.logId, 1n, 0n]),
        skippedCall(suite, 1n, "anchor", "DeadlinePassed", [deadline]),
        skippedCall(suite, 2n, "anchor", "DeviceNotActive", [keys[2]!.id]),
        skippedCall(suite, 3n, "anchor", "KeyProofInvalid", [keys[3]!.id, digest]),
        skippedCall(suite, 4n, "anchorAsMember", "CallerLacksPermission", [fleet, actors.relayer.address, ANCHOR]),
        await anchoredBy(suite, 3),
        await anchoredBy(suite, 1),
      ]);
      expect((await data.head(anchors[2]!.logId)).size).to.equal(0n);
      expect((await data.head(fleetLog)).size).to.equal(0n);
    });

    it("is refused as a whole where a call is malformed, such as one with an unknown kind", async () => {
      const suite = await loadFixture(deployDevices);
      const { data, actors, calls, anchors } = suite;
      const bytes = getBytes(calls[1]!);
      bytes[4 + 32 * 2 + 31] = 5;
      for (const call of [hexlify(bytes), calls[1]!.slice(0, 10 + 64 * 12), "0x"]) {
        await expect(data.connect(actors.relayer).tryMulticall([calls[0]!, call]))
          .to.be.revertedWithCustomError(data, "CallBroken")
          .withArgs(1n);
      }
      expect((await data.head(anchors[0]!.logId)).size).to.equal(0n);
    });

    it("keeps the sender for what members append, nested in whatever way", async () => {
      const suite = await loadFixture(deployDevices);
      const { data, actors, fleet, calls } = suite;
      const { interface: abi } = data;
      const member = await anchorOf({ logId: fleetLogOf(fleet, 1n) });
      const record = await anchorOf({ logId: fleetLogOf(fleet, 2n) });
      const asMember = abi.encodeFunctionData("anchorAsMember", [member]);
      const many = abi.encodeFunctionData("anchorMany", await callOf(suite, [record, record]));
      const all = [
        abi.encodeFunctionData("tryMulticall", [[calls[0]!, asMember, asMember]]),
        abi.encodeFunctionData("multicall", [[many, calls[1]!]]),
        abi.encodeFunctionData("multicall", [[calls[2]!, asMember]]),
      ];

      const events = await eventsOf(data, data.connect(actors.gateway).tryMulticall(all));

      expect(events).to.deep.equal([
        await anchoredBy(suite, 0),
        await anchored(suite, member),
        skippedCall(suite, 2n, "anchorAsMember", "IndexMismatch", [member.logId, 1n, 0n]),
        await anchored(suite, record),
        skipped(suite, record, "IndexMismatch", [record.logId, 1n, 0n]),
        await anchoredBy(suite, 1),
        skippedCall(suite, 2n, "multicall", "IndexMismatch", [member.logId, 1n, 0n]),
      ]);
      expect((await data.head(suite.anchors[2]!.logId)).size).to.equal(0n);
    });

    for (const [caller, name] of wrongCallers) {
      it(`lets ${name} do no more than by itself`, async () => {
        const suite = await loadFixture(deployDevices);
        const { data, actors, fleet, fleetLog, calls } = suite;
        const { interface: abi } = data;
        const by = actors[caller];
        const anchor = await anchorOf({ logId: fleetLog });
        const refused = [
          abi.encodeFunctionData("anchorAsMember", [anchor]),
          abi.encodeFunctionData("anchorMany", await callOf(suite, [anchor])),
        ];
        const reason = abi.encodeErrorResult("CallerLacksPermission", [fleet, by.address, ANCHOR]);
        const events = await eventsOf(data, data.connect(by).tryMulticall([...refused, calls[3]!]));
        expect(events).to.deep.equal([
          ...refused.map((call, place) => ["CallSkipped", BigInt(place), call.slice(0, 10), reason]),
          await anchoredBy(suite, 3),
        ]);
        for (const call of refused) {
          await expect(data.connect(by).multicall([call]))
            .to.be.revertedWithCustomError(data, "CallerLacksPermission")
            .withArgs(fleet, by.address, ANCHOR);
        }
      });
    }
  });
});

/** The anchor with one member moved by so much, within its width; any other root for the root. */
function alter(
  anchor: Anchor,
  member: "index" | "firstSeq" | "tFirst" | "tLast" | "supersedes" | "root",
  by: bigint,
): Anchor {
  if (member === "root") return { ...anchor, root: anchor.root === ZeroHash ? id("root") : ZeroHash };
  const bits = member === "tFirst" || member === "tLast" ? 48 : 64;
  return { ...anchor, [member]: BigInt.asUintN(bits, anchor[member] + by) };
}
