import { expect } from "chai";
import {
  AbiCoder,
  concat,
  keccak256,
  toUtf8Bytes,
  TypedDataEncoder,
  Wallet,
  type Interface,
  type ParamType,
} from "ethers";

import {
  anchorMessage,
  devicePolicyMessage,
  enrollmentMessage,
  messageDigest,
  messageDomain,
  messageTypes,
  releaseMessage,
  statusChangeMessage,
} from "../../client/typed-data.js";
import {
  IDataAccess__factory,
  IDataAnchor__factory,
  IDeviceRegistry__factory,
  IFirmwareRegistry__factory,
} from "../../typechain-types/index.js";

const address = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const domain = messageDomain({ contract: "DataAccess", chainId: 31337n, address });
const policy = { device: address, ceiling: 3n, publicRead: 1n, purposes: 1n, epoch: 1n, seq: 0n, deadline: 2n };

/** The fields of a struct that a function takes, as its ABI says; nested structs are tuples there. */
function structIn(contract: { createInterface(): Interface }, call: string, struct: string): object[] {
  const parameter = contract
    .createInterface()
    .getFunction(call)
    ?.inputs.find(({ name }) => name === struct);
  return fieldsOf(parameter?.components ?? []);
}

function fieldsOf(parameters: readonly ParamType[]): object[] {
  return parameters.map(({ type, name, arrayChildren }) =>
    arrayChildren === null ? { type, name } : { type, name, of: fieldsOf(arrayChildren.components ?? []) },
  );
}

describe("messages", () => {
  it("are of the domain that their contract has", () => {
    expect(domain).to.deep.equal({
      name: "Touchstone DataAccess",
      version: "1",
      chainId: 31337n,
      verifyingContract: address,
    });
  });

  it("have a digest made as EIP-712 says", () => {
    const coder = AbiCoder.defaultAbiCoder();
    const hash = (text: string): string => keccak256(toUtf8Bytes(text));
    const separator = keccak256(
      coder.encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [
          hash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
          hash("Touchstone DataAccess"),
          hash("1"),
          31337n,
          address,
        ],
      ),
    );
    const type =
      "DevicePolicy(address device,uint32 ceiling,uint32 publicRead,uint32 purposes,uint24 epoch,uint32 seq,uint40 deadline)";
    const struct = keccak256(
      coder.encode(
        ["bytes32", "address", "uint32", "uint32", "uint32", "uint24", "uint32", "uint40"],
        [hash(type), ...Object.values(policy)],
      ),
    );
    const digest = keccak256(concat(["0x1901", separator, struct]));
    expect(messageDigest(devicePolicyMessage(domain, policy))).to.equal(digest);
  });

  it("have the fields, types and order of the structs that the contracts take", () => {
    const structs = [
      { fields: messageTypes.Enrollment, abi: IDeviceRegistry__factory, call: "enroll", name: "enrollment" },
      { fields: messageTypes.DevicePolicy, abi: IDataAccess__factory, call: "setDevicePolicy", name: "policy" },
      { fields: messageTypes.Anchor, abi: IDataAnchor__factory, call: "anchor", name: "newAnchor" },
      { fields: messageTypes.Release, abi: IFirmwareRegistry__factory, call: "publish", name: "release" },
      { fields: messageTypes.StatusChange, abi: IFirmwareRegistry__factory, call: "setStatus", name: "change" },
    ];
    const nested: Record<string, object[]> = {
      "Dependency[]": messageTypes.Dependency,
      "ChannelHead[]": messageTypes.ChannelHead,
    };
    for (const { fields, abi, call, name } of structs) {
      const expected = structIn(abi, call, name);
      expect(expected, call).to.not.have.lengthOf(0);
      const found = fields.map((field) => {
        const of = nested[field.type];
        return of === undefined ? field : { type: "tuple[]", name: field.name, of };
      });
      expect(found).to.deep.equal(expected);
    }
  });

  it("are of one type for each action", () => {
    const zero = `0x${"00".repeat(32)}`;
    const enrollment = { device: address, scheme: 1n, owner: address, manifest: 0n, metadataHash: zero, deadline: 1n };
    const anchor = {
      logId: zero,
      index: 0n,
      kind: 0n,
      tree: 0n,
      firstSeq: 0n,
      count: 1n,
      tFirst: 0n,
      tLast: 0n,
      supersedes: 0n,
      freshBlock: 0n,
      freshHash: zero,
      root: zero,
      deadline: 1n,
    };
    const release = {
      productId: zero,
      version: 1n,
      securityVersion: 0n,
      imageDigest: zero,
      size: 1n,
      bootDigest: zero,
      manifestDigest: zero,
      format: 0n,
      channels: 1n,
      heads: 1n,
      fromMin: 0n,
      fromMax: 0n,
      hwRevMin: 0n,
      hwRevMax: 0n,
      startBps: 0n,
      startAt: 0n,
      rampSeconds: 0n,
      dependencies: [{ productId: zero, minVersion: 1n }],
      epoch: 1n,
      deadline: 1n,
    };
    const change = {
      productId: zero,
      version: 1n,
      status: 2n,
      quorum: 1n,
      heads: [{ channel: 0n, version: 0n }],
      epoch: 1n,
      nonce: 0n,
      deadline: 1n,
    };
    const messages = [
      enrollmentMessage(domain, enrollment),
      anchorMessage(domain, anchor),
      devicePolicyMessage(domain, policy),
      releaseMessage(domain, release),
      statusChangeMessage(domain, change),
    ];
    const primary = messages.map(({ types }) => TypedDataEncoder.from(types).primaryType);
    expect(primary).to.deep.equal(["Enrollment", "Anchor", "DevicePolicy", "Release", "StatusChange"]);
    expect(new Set(messages.map(messageDigest)).size).to.equal(messages.length);
  });

  it("are what wallets sign", async () => {
    const wallet = Wallet.createRandom();
    const message = devicePolicyMessage(domain, policy);
    const signature = await wallet.signTypedData(message.domain, message.types, message.value);
    expect(wallet.signingKey.sign(messageDigest(message)).serialized).to.equal(signature);
  });

  it("have another digest on another chain, for another contract and with another address", () => {
    const others = [
      messageDomain({ contract: "DataAccess", chainId: 1n, address }),
      messageDomain({ contract: "DataAnchor", chainId: 31337n, address }),
      messageDomain({ contract: "DataAccess", chainId: 31337n, address: "0x000000000000000000000000000000000000dEaD" }),
    ];
    const digests = [domain, ...others].map((other) => messageDigest(devicePolicyMessage(other, policy)));
    expect(new Set(digests).size).to.equal(4);
  });
});
