import { expect } from "chai";

import * as anchors from "../../client/anchors.js";
import type { IngestOptions } from "../../client/ingest.js";
import { loadFixture } from "../support/chain.js";
import { temporaryFolder } from "../support/folder.js";
import { expectLog, INGEST_HASTE, linesOf, sensorLines, using, writeLines } from "../support/ingest.js";
import { deploySuite } from "../support/suite.js";

describe("openIngest", () => {
  const fileIn = temporaryFolder();

  async function setUp() {
    const suite = await loadFixture(deploySuite);
    const touchstone = suite.as.relayer;
    const logId = anchors.deviceLogId({ device: suite.p256Device.id });
    const options: IngestOptions = {
      touchstone,
      spool: fileIn("spool"),
      logId,
      key: suite.p256Device,
      limits: INGEST_HASTE,
    };
    return { ...suite, touchstone, logId, options };
  }

  it("anchors every line of a file once, in its order, with its exact bytes", async () => {
    const { touchstone, logId, options } = await setUp();
    const lines = sensorLines(1000);
    await writeLines(fileIn("lines"), lines);
    await using({ ...options, cut: { count: 64 } }, async (ingest) => {
      const status = await ingest.run(linesOf(fileIn("lines")));
      expect(status).to.deep.include({ readings: 1000, pending: 0, aside: 0, state: "Idle" });
      expect(status.batches).to.deep.equal({ cut: 16, signed: 16, anchored: 16, final: 16 });
      await expectLog({ touchstone, logId, ingest, payloads: lines });
    });
  });
});
