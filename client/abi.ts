import { Interface, type ErrorDescription } from "ethers";

import {
  DataAccess__factory,
  DataAnchor__factory,
  DeviceRegistry__factory,
  FirmwareRegistry__factory,
  RoleRegistry__factory,
} from "../typechain-types/index.js";

/** The contracts of Touchstone, in the order in which they are deployed. */
export const contractNames = [
  "RoleRegistry",
  "DeviceRegistry",
  "DataAccess",
  "DataAnchor",
  "FirmwareRegistry",
] as const;
export type ContractName = (typeof contractNames)[number];

type AbiEntry =
  | (typeof RoleRegistry__factory.abi)[number]
  | (typeof DeviceRegistry__factory.abi)[number]
  | (typeof DataAccess__factory.abi)[number]
  | (typeof DataAnchor__factory.abi)[number]
  | (typeof FirmwareRegistry__factory.abi)[number];

type AbiError = Extract<AbiEntry, { type: "error" }>;

/** How ethers hands over a value of a Solidity type. */
type ValueOf<T extends string> = T extends `uint${string}` ? bigint : T extends "bool" ? boolean : string;

/**
 * The arguments of each error, by their names. Made once, with errors of one name taken together (they have the same
 * arguments in all contracts): asking the ABIs for each error anew takes the type checker minutes.
 */
type ErrorArgs = {
  readonly [E in AbiError as E["name"]]: { readonly [I in E["inputs"][number] as I["name"]]: ValueOf<I["type"]> };
};

/** The names of all errors that the contracts define. */
export type ContractErrorName = keyof ErrorArgs;

/** The arguments of an error, by their names. */
export type ContractErrorArgs<N extends ContractErrorName> = ErrorArgs[N];

/** Every error that the contracts define, once. */
const errors = new Interface(
  [
    RoleRegistry__factory.abi,
    DeviceRegistry__factory.abi,
    DataAccess__factory.abi,
    DataAnchor__factory.abi,
    FirmwareRegistry__factory.abi,
  ].flatMap((abi) => abi.filter((entry) => entry.type === "error")),
);

/** Reads revert data as an error that the contracts define; null if it is none of them. */
export function parseContractError(data: string): ErrorDescription | null {
  return errors.parseError(data);
}

/** Every error that the contracts define, as its signature: `IndexMismatch(bytes32,uint64,uint64)`. */
export function contractErrorSignatures(): string[] {
  return errors.fragments.map((fragment) => fragment.format("sighash"));
}
