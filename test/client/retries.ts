import { expect } from "chai";

import { pause, persist } from "../../client/retries.js";
import { errorOf } from "../support/errors.js";

const failing = (message: string, code?: string) => Object.assign(new Error(message), { code });

describe("persist", () => {
  const persistence = { retries: 3, retryDelay: 0 };

  /** Fails a number of times and then answers; `asked` counts. */
  function answering(failures: number, error: unknown): { asked: () => number; question: () => Promise<string> } {
    let asked = 0;
    return {
      asked: () => asked,
      async question() {
        await Promise.resolve();
        if (++asked > failures) return "answer";
        throw error;
      },
    };
  }

  const passing = [
    failing("connect ECONNREFUSED 127.0.0.1:8545", "ECONNREFUSED"),
    failing("socket hang up"),
    failing("request timeout", "TIMEOUT"),
    failing("server response 503 Service Unavailable", "SERVER_ERROR"),
    failing("server response 429 Too Many Requests", "SERVER_ERROR"),
    { error: { code: -32005, message: "daily request count exceeded, request rate limited" } },
    { error: { code: -32000, message: "header not found" } },
    { error: { code: -32603, message: "Internal error" } },
  ];
  for (const error of passing) {
    it(`asks again after "${"message" in error ? error.message : error.error.message}"`, async () => {
      const { asked, question } = answering(3, error);
      expect(await persist(persistence, question)).to.equal("answer");
      expect(asked()).to.equal(4);
    });
  }

  const lasting = [
    failing("server response 401 Unauthorized", "SERVER_ERROR"),
    failing("insufficient funds for gas * price + value", "INSUFFICIENT_FUNDS"),
    failing("nonce too low"),
    failing("execution reverted", "CALL_EXCEPTION"),
    failing("the method eth_call does not exist"),
    failing("user rejected action", "ACTION_REJECTED"),
  ];
  for (const error of lasting) {
    it(`does not ask again after "${error.message}"`, async () => {
      const { asked, question } = answering(1, error);
      await persist(persistence, question).then(
        () => expect.fail("answered"),
        () => undefined,
      );
      expect(asked()).to.equal(1);
    });
  }

  it("gives up in the end, with what was said last", async () => {
    const { asked, question } = answering(Infinity, failing("socket hang up"));
    await errorOf("CHAIN_UNREACHABLE", () => persist(persistence, question));
    expect(asked()).to.equal(4);
  });

  it("waits longer each time, but not when it is cancelled", async () => {
    const controller = new AbortController();
    const times: number[] = [];
    const question = (): Promise<never> => {
      times.push(performance.now());
      if (times.length === 3) controller.abort(new Error("enough"));
      return Promise.reject(failing("socket hang up"));
    };
    const options = { retries: 9, retryDelay: 20, signal: controller.signal };
    const error = await errorOf("CANCELLED", () => persist(options, question));
    expect(error.cause).to.equal(controller.signal.reason);
    const [first, second, third] = times as [number, number, number];
    expect(times).to.have.lengthOf(3);
    // Half of the delay at least; timers may be a millisecond early.
    expect(second - first).to.be.at.least(9);
    expect(third - second).to.be.at.least(19);
  });
});

describe("pause", () => {
  it("ends at once when it is cancelled, before or meanwhile", async () => {
    await errorOf("CANCELLED", () => pause(60_000, AbortSignal.abort()));
    await errorOf("CANCELLED", () => pause(60_000, AbortSignal.timeout(5)));
    await pause(1, undefined);
  });
});
