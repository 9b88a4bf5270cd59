import { createRequire } from "node:module";

import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { concat, Contract, Interface, ZeroAddress, type InterfaceAbi, type TypedDataField } from "ethers";

import { ethers } from "./chain.js";

interface Artifact {
  abi: InterfaceAbi;
  bytecode: string;
}

/** A multisignature account of real people: Safe's own contracts, as they are deployed on public chains. */
export interface Safe {
  address: string;
  contract: Contract;
  owners: readonly HardhatEthersSigner[];
  threshold: number;
}

const require = createRequire(import.meta.url);
const artifactOf = (path: string): Artifact =>
  require(`@safe-global/safe-smart-account/build/artifacts/contracts/${path}.json`) as Artifact;

const SAFE = artifactOf("Safe.sol/Safe");
const FACTORY = artifactOf("proxies/SafeProxyFactory.sol/SafeProxyFactory");
const FALLBACK_HANDLER = artifactOf("handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler");

const CALL = 0;
const SAFE_TX = [
  { name: "to", type: "address" },
  { name: "value", type: "uint256" },
  { name: "data", type: "bytes" },
  { name: "operation", type: "uint8" },
  { name: "safeTxGas", type: "uint256" },
  { name: "baseGas", type: "uint256" },
  { name: "gasPrice", type: "uint256" },
  { name: "gasToken", type: "address" },
  { name: "refundReceiver", type: "address" },
  { name: "nonce", type: "uint256" },
];
const SAFE_MESSAGE = [{ name: "message", type: "bytes" }];

/** Deploys a Safe of these owners through its proxy factory, with the handler that answers for ERC-1271. */
export async function deploySafe(options: {
  owners: readonly HardhatEthersSigner[];
  threshold: number;
}): Promise<Safe> {
  const { owners, threshold } = options;
  const [deployer] = await ethers.getSigners();
  const deploy = async ({ abi, bytecode }: Artifact): Promise<Contract> => {
    const contract = await new ethers.ContractFactory(abi, bytecode, deployer).deploy();
    return new Contract(await contract.getAddress(), abi, deployer);
  };
  const singleton = await deploy(SAFE);
  const factory = await deploy(FACTORY);
  const handler = await deploy(FALLBACK_HANDLER);
  const setup = new Interface(SAFE.abi).encodeFunctionData("setup", [
    owners.map(({ address }) => address),
    threshold,
    ZeroAddress,
    "0x",
    await handler.getAddress(),
    ZeroAddress,
    0n,
    ZeroAddress,
  ]);

  const create = factory.getFunction("createProxyWithNonce");
  const request = [await singleton.getAddress(), setup, 0n] as const;
  const address = (await create.staticCall(...request)) as string;
  await create(...request);
  return { address, contract: new Contract(address, SAFE.abi, deployer), owners, threshold };
}

/**
 * Sends a transaction of the Safe, signed by as many of its owners as it takes. A call that fails reverts the whole.
 *
 * @param transaction What the Safe calls; a populated transaction of a contract will do.
 * @param signers Who signs; the first of the owners unless told.
 */
export async function execute(
  safe: Safe,
  transaction: { to: string; data: string; value?: bigint },
  signers: readonly HardhatEthersSigner[] = safe.owners.slice(0, safe.threshold),
) {
  const { to, data, value = 0n } = transaction;
  const nonce = (await safe.contract.getFunction("nonce")()) as bigint;
  const terms = {
    to,
    value,
    data,
    operation: CALL,
    safeTxGas: 0n,
    baseGas: 0n,
    gasPrice: 0n,
    gasToken: ZeroAddress,
    refundReceiver: ZeroAddress,
  };
  const signatures = await signAll(safe, { SafeTx: SAFE_TX }, { ...terms, nonce }, signers);
  return safe.contract.getFunction("execTransaction").send(...Object.values(terms), signatures);
}

/** What makes the Safe answer, through ERC-1271, that it signed the digest: the signatures of these of its owners. */
export function signAs1271(
  safe: Safe,
  digest: string,
  signers: readonly HardhatEthersSigner[] = safe.owners.slice(0, safe.threshold),
): Promise<string> {
  return signAll(safe, { SafeMessage: SAFE_MESSAGE }, { message: digest }, signers);
}

/** The signatures in the order of the signers' addresses, as a Safe wants them. */
async function signAll(
  safe: Safe,
  types: Record<string, TypedDataField[]>,
  value: Record<string, unknown>,
  signers: readonly HardhatEthersSigner[],
): Promise<string> {
  const { chainId } = await ethers.provider.getNetwork();
  const domain = { chainId, verifyingContract: safe.address };
  const ordered = [...signers].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1));
  return concat(await Promise.all(ordered.map((signer) => signer.signTypedData(domain, types, value))));
}
