import { expect } from "chai";
import { concat, Interface, JsonRpcProvider, toBeHex, Wallet, type Provider, type Signer } from "ethers";
import { network } from "hardhat";

import { contractErrorSignatures } from "../../client/abi.js";
import { TouchstoneError, type ErrorCode } from "../../client/errors.js";
import type { ContractRevertError } from "../../client/reverts.js";
import { ask, decodeRevert, isContractError, toTouchstoneError } from "../../client/reverts.js";
import { errorOf } from "../support/errors.js";

const ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const HASH = `0x${"ab".repeat(32)}`;

const errors = new Interface([
  "error IndexMismatch(bytes32 logId, uint64 expected, uint64 given)",
  "error CallerLacksPermission(address fleet, address caller, uint32 permission)",
  "error EpochStale(address device, uint24 current, uint24 given)",
  "error Foreign(uint256 value)",
]);
const INDEX_MISMATCH = errors.encodeErrorResult("IndexMismatch", [HASH, 7n, 5n]);

function revertOf(error: unknown): ContractRevertError {
  const decoded = decodeRevert(error);
  if (decoded === undefined) throw new Error("nothing was decoded", { cause: error });
  return decoded;
}

describe("decodeRevert", () => {
  it("names the error and its arguments, and says what to do", () => {
    const error = revertOf({ data: INDEX_MISMATCH });
    expect(error.code).to.equal("CONTRACT_REVERTED");
    expect(error.errorName).to.equal("IndexMismatch");
    expect(error.args).to.deep.equal({ logId: HASH, expected: 7n, given: 5n });
    expect(error.data).to.equal(INDEX_MISMATCH);
    expect(error.message).to.contain(HASH).and.contain("7").and.contain("5").and.contain("appended already");
    if (!isContractError(error, "IndexMismatch")) return expect.fail(error.message);
    expect(error.args.expected - error.args.given).to.equal(2n);
    expect(isContractError(error, "SequenceMismatch")).to.equal(false);
    expect(isContractError(new Error("IndexMismatch"), "IndexMismatch")).to.equal(false);
  });

  it("tells errors of one name and other arguments apart", () => {
    const device = revertOf({ data: errors.encodeErrorResult("EpochStale", [ADDRESS, 3n, 2n]) });
    expect(device.args).to.deep.equal({ device: ADDRESS, current: 3n, given: 2n });
    expect(device.message).to.contain(ADDRESS).and.contain("epoch 2").and.contain("epoch 3");
    const firmware = new Interface(["error SignerEpochStale(bytes32 productId, uint32 current, uint32 given)"]);
    const product = revertOf({ data: firmware.encodeErrorResult("SignerEpochStale", [HASH, 3n, 2n]) });
    expect(product.args).to.deep.equal({ productId: HASH, current: 3n, given: 2n });
    expect(product.message).to.contain(HASH);
  });

  it("says permissions, times and statuses in words", () => {
    const data = errors.encodeErrorResult("CallerLacksPermission", [ADDRESS, ADDRESS, (1n << 8n) | (1n << 9n)]);
    expect(revertOf({ data }).message).to.contain("Enroll, Suspend");
    const deadline = new Interface(["error DeadlinePassed(uint40 deadline)"]);
    const passed = revertOf({ data: deadline.encodeErrorResult("DeadlinePassed", [1_700_000_000n]) });
    expect(passed.message).to.contain("2023-11-14T22:13:20Z");
    const far = revertOf({ data: deadline.encodeErrorResult("DeadlinePassed", [2n ** 40n - 1n]) });
    expect(far.errorName).to.equal("DeadlinePassed");
    const status = new Interface(["error DeviceStatusInvalid(address device, uint8 status)"]);
    const suspended = status.encodeErrorResult("DeviceStatusInvalid", [ADDRESS, 2]);
    expect(revertOf({ data: suspended }).message).to.contain("Suspended");
    const newer = status.encodeErrorResult("DeviceStatusInvalid", [ADDRESS, 9]);
    expect(revertOf({ data: newer }).message).to.contain("number 9");
  });

  for (const signature of contractErrorSignatures()) {
    it(`explains ${signature} with its values`, () => {
      const contract = new Interface([`error ${signature}`]);
      const inputs = contract.getError(signature)?.inputs ?? [];
      const values = inputs.map(({ type }) => {
        if (type === "address") return ADDRESS;
        if (type === "bytes32") return HASH;
        if (type === "bytes") return "0x1234";
        return type === "string" ? "text" : 1n;
      });
      const { errorName, args, message } = revertOf({ data: contract.encodeErrorResult(signature, values) });
      expect(errorName).to.equal(signature.split("(")[0]);
      expect(Object.values(args)).to.deep.equal(values);
      expect(message)
        .to.match(/^.{30,}[.]$/)
        .and.not.match(/undefined|\[object|NaN/);
      if (errorName === "MissingPrecompile") return;
      for (const value of values) if (typeof value === "string") expect(message).to.contain(value);
    });
  }

  it("reads the errors of Solidity itself", () => {
    const solidity = new Interface(["error Error(string reason)", "error Panic(uint256 code)"]);
    const text = revertOf({ data: solidity.encodeErrorResult("Error", ["bad_actor"]) });
    expect([text.errorName, text.args]).to.deep.equal(["Error", { reason: "bad_actor" }]);
    expect(text.message).to.contain("bad_actor");
    const panic = revertOf({ data: solidity.encodeErrorResult("Panic", [0x11]) });
    expect([panic.errorName, panic.args]).to.deep.equal(["Panic", { code: 0x11n }]);
    expect(panic.message).to.contain("0x11").and.contain("overflow");
    expect(revertOf({ data: solidity.encodeErrorResult("Panic", [0x99]) }).message).to.contain("0x99");
  });

  it("says so when it does not know the reason, or there is none", () => {
    const foreign = revertOf({ data: errors.encodeErrorResult("Foreign", [1n]) });
    expect([foreign.errorName, foreign.args]).to.deep.equal([undefined, {}]);
    expect(foreign.message).to.contain(errors.getError("Foreign")?.selector);
    // The selector of a known error, but not its arguments.
    expect(revertOf({ data: INDEX_MISMATCH.slice(0, 20) }).errorName).to.equal(undefined);
    expect(revertOf({ data: `0x08c379a0${"ff".repeat(8)}` }).errorName).to.equal(undefined);
    const silent = revertOf({ code: 3, message: "execution reverted", data: "0x" });
    expect([silent.errorName, silent.data]).to.deep.equal([undefined, "0x"]);
    expect(silent.message).to.contain("without a reason");
  });

  it("finds the data wherever a provider may put it", () => {
    const data = INDEX_MISMATCH;
    const shapes = [
      { data },
      { data: { data } },
      { data: { message: "reverted", txHash: HASH, data } },
      { error: { data } },
      { error: { error: { data } } },
      { info: { error: { code: 3, data } } },
      { cause: { data } },
      new Error("outer", { cause: new Error("inner", { cause: { error: { data: { data } } } }) }),
      { code: "CALL_EXCEPTION", data: null, info: { error: { data } } },
    ];
    for (const shape of shapes) expect(revertOf(shape).errorName).to.equal("IndexMismatch");
  });

  it("does not take the data of a request for that of an answer", () => {
    const request = {
      transaction: { data: INDEX_MISMATCH },
      info: { payload: { params: [{ data: INDEX_MISMATCH }] } },
    };
    expect(decodeRevert(request)).to.equal(undefined);
    expect(decodeRevert({ ...request, code: "CALL_EXCEPTION" })?.errorName).to.equal(undefined);
  });

  it("finds nothing in what is no error of a contract, even if it is circular", () => {
    const circular: Record<string, unknown> = { message: "nonsense" };
    circular.cause = circular;
    for (const error of [circular, undefined, null, "text", 7, new Error("timeout"), { data: "0x12" }]) {
      expect(decodeRevert(error)).to.equal(undefined);
    }
  });

  it("leaves what is decoded as it is", () => {
    const error = revertOf({ data: INDEX_MISMATCH });
    expect(decodeRevert(error)).to.equal(error);
    expect(toTouchstoneError(error)).to.equal(error);
  });
});

describe("decodeRevert over the errors of real providers", () => {
  /** Reverts with the data it is called with: calldatacopy(0, 0, calldatasize) revert(0, calldatasize). */
  const ECHO = "0x365f5f37365ffd";
  const DEPLOY_ECHO = concat([`0x66${ECHO.slice(2)}`, "0x5f526007", "0x6019", "0xf3"]);

  interface Chain {
    provider: Provider;
    signer: Signer;
  }
  const chains: Record<string, () => Promise<Chain>> = {};
  let close: () => Promise<void>;

  before(async () => {
    const inProcess = await network.create();
    const server = await network.createServer();
    const { address, port } = await server.listen();
    const url = `http://${address}:${port}`;
    const providers: JsonRpcProvider[] = [];
    const remote = (): JsonRpcProvider => {
      // ethers answers a second question for the nonce from its cache.
      const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
      providers.push(provider);
      return provider;
    };
    chains["a provider in the process"] = async () => {
      const [signer] = await inProcess.ethers.getSigners();
      return { provider: inProcess.ethers.provider as unknown as Provider, signer: signer as unknown as Signer };
    };
    chains["a node with its own accounts"] = async () => {
      const provider = remote();
      return { provider, signer: await provider.getSigner(0) };
    };
    chains["a node and a local wallet"] = async () => {
      const provider = remote();
      const wallet = Wallet.createRandom(provider);
      await (await provider.getSigner(0)).sendTransaction({ to: wallet, value: 10n ** 18n });
      return { provider, signer: wallet };
    };
    close = async () => {
      for (const provider of providers) provider.destroy();
      await server.close();
      await inProcess.close();
    };
  });

  after(() => close());

  for (const name of ["a provider in the process", "a node with its own accounts", "a node and a local wallet"]) {
    it(`decodes calls, estimates and transactions of ${name}`, async () => {
      const { provider, signer } = await chains[name]!();
      const receipt = await (await signer.sendTransaction({ data: DEPLOY_ECHO })).wait();
      const to = receipt!.contractAddress!;
      expect(await provider.getCode(to)).to.equal(ECHO);
      const request = { to, data: INDEX_MISMATCH };
      const acts: Record<string, () => Promise<unknown>> = {
        "provider.call": () => provider.call(request),
        "provider.estimateGas": () => provider.estimateGas(request),
        "signer.call": () => signer.call(request),
        "signer.estimateGas": () => signer.estimateGas(request),
        "signer.sendTransaction": () => signer.sendTransaction(request),
        "signer.sendTransaction with a gas limit": async () =>
          (await signer.sendTransaction({ ...request, gasLimit: 1_000_000n })).wait(),
      };
      for (const [act, run] of Object.entries(acts)) {
        const failure: unknown = await run().then(
          () => expect.fail(`${act} did not fail`),
          (error: unknown) => error,
        );
        const { errorName, args } = revertOf(failure);
        expect(errorName, act).to.equal("IndexMismatch");
        expect(args, act).to.deep.equal({ logId: HASH, expected: 7n, given: 5n });
      }
      const silent = await provider.call({ to, data: "0x" }).catch((error: unknown) => error);
      expect(revertOf(silent).data).to.equal("0x");
    });
  }
});

describe("toTouchstoneError", () => {
  const cases: { name: string; error: unknown; code: ErrorCode }[] = [
    {
      name: "a refused connection",
      error: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
      code: "CHAIN_UNREACHABLE",
    },
    {
      name: "a host without address",
      error: new Error("x", { cause: { code: "ENOTFOUND" } }),
      code: "CHAIN_UNREACHABLE",
    },
    { name: "fetch that failed", error: new TypeError("fetch failed"), code: "CHAIN_UNREACHABLE" },
    { name: "a timeout", error: { code: "TIMEOUT", message: "timeout" }, code: "CHAIN_UNREACHABLE" },
    {
      name: "too little ether, by ethers",
      error: { code: "INSUFFICIENT_FUNDS", message: "x" },
      code: "INSUFFICIENT_FUNDS",
    },
    {
      name: "too little ether, by a node",
      error: { error: { code: -32000, message: "Sender doesn't have enough funds to send tx" } },
      code: "INSUFFICIENT_FUNDS",
    },
    { name: "a used nonce, by ethers", error: { code: "NONCE_EXPIRED", message: "x" }, code: "NONCE_CONFLICT" },
    { name: "a used nonce, by a node", error: { error: { message: "nonce too low" } }, code: "NONCE_CONFLICT" },
    { name: "a cheaper replacement", error: { code: "REPLACEMENT_UNDERPRICED" }, code: "NONCE_CONFLICT" },
    { name: "a wallet whose holder said no", error: { code: "ACTION_REJECTED", message: "x" }, code: "CANCELLED" },
    { name: "an aborted request", error: new DOMException("aborted", "AbortError"), code: "CANCELLED" },
    {
      name: "a signer on another chain",
      error: { code: "NETWORK_ERROR", message: "network changed: 1 => 5" },
      code: "WRONG_CHAIN",
    },
    {
      name: "an argument that ethers refuses",
      error: { code: "INVALID_ARGUMENT", message: "x" },
      code: "INVALID_ARGUMENT",
    },
    {
      name: "a signer without provider",
      error: { code: "UNSUPPORTED_OPERATION", message: "x" },
      code: "RUNNER_READ_ONLY",
    },
    { name: "anything else", error: { error: { code: -32601, message: "method not found" } }, code: "RPC_FAILED" },
    { name: "what is no error at all", error: "boom", code: "RPC_FAILED" },
  ];
  for (const { name, error, code } of cases) {
    it(`gives ${name} the code ${code}`, () => {
      const result = toTouchstoneError(error);
      expect(result).to.be.instanceOf(TouchstoneError);
      expect(result.code).to.equal(code);
      expect(result.cause).to.equal(error);
    });
  }

  it("quotes what a person can read of the answer", () => {
    const answer = {
      message: "could not coalesce error (…)",
      shortMessage: "could not coalesce error",
      error: { message: "disk full" },
    };
    expect(toTouchstoneError(answer).message).to.contain("disk full").and.not.contain("coalesce");
  });

  it("is what ask makes of whatever goes wrong", async () => {
    expect(await ask(() => Promise.resolve(toBeHex(7)))).to.equal("0x07");
    await errorOf("RPC_FAILED", () => ask(() => Promise.reject(new Error("boom"))));
  });
});
