// What the Ethereum Attestation Service costs on the simulator that our own gas is measured on.
import { keccak256, toBeHex, type BaseContract, type ContractTransactionResponse } from "ethers";
import { network } from "hardhat";

import { EAS_CONTRACTS, readOutsideFile } from "../scripts/support/outside-package.js";

import { answer } from "./support/child.js";

export interface GasTask {
  /** Transactions of each kind that are sent one after the other; the first one is not counted. */
  transactions: number;
  /** Hashes in one transaction of `multiTimestamp`. */
  items: number;
}

/** Mean gas of whole transactions, the 21,000 that each one costs included. */
export interface GasFigures {
  timestamp: number;
  /** For each of the items. */
  multiTimestamp: number;
}

/** What is called of EAS. */
interface Eas extends BaseContract {
  timestamp(data: string): Promise<ContractTransactionResponse>;
  multiTimestamp(data: readonly string[]): Promise<ContractTransactionResponse>;
}

interface Artifact {
  abi: [];
  bytecode: string;
}

async function artifactOf(contract: string): Promise<Artifact> {
  const file = await readOutsideFile(EAS_CONTRACTS, `artifacts/contracts/${contract}.sol/${contract}.json`);
  return JSON.parse(file.toString()) as Artifact;
}

await answer(async ({ transactions, items }: GasTask): Promise<GasFigures> => {
  const { ethers } = await network.create();
  const deploy = async (contract: string, ...args: unknown[]): Promise<BaseContract> => {
    const { abi, bytecode } = await artifactOf(contract);
    const [signer] = await ethers.getSigners();
    const deployed = await new ethers.ContractFactory(abi, bytecode, signer).deploy(...args);
    return deployed.waitForDeployment();
  };
  const eas = (await deploy("EAS", await deploy("SchemaRegistry"))) as Eas;

  // It has one new storage slot for each hash, whatever was stamped before; what is warm is the sender's account.
  let hashes = 0;
  const nextHash = (): string => keccak256(toBeHex(++hashes, 32));
  const meanGas = async (send: () => Promise<ContractTransactionResponse>): Promise<number> => {
    await send();
    let sum = 0n;
    for (let sent = 1; sent < transactions; sent++) {
      const receipt = await (await send()).wait();
      sum += receipt?.gasUsed ?? 0n;
    }
    return Number(sum) / (transactions - 1);
  };
  const timestamp = await meanGas(() => eas.timestamp(nextHash()));
  const multiTimestamp = await meanGas(() => eas.multiTimestamp(Array.from({ length: items }, nextHash)));
  return { timestamp, multiTimestamp: multiTimestamp / items };
});
