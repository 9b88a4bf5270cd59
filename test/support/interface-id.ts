import { Interface, toBeHex, type InterfaceAbi } from "ethers";

import { IRegistry__factory } from "../../typechain-types/index.js";

interface Factory {
  abi: InterfaceAbi;
}

/**
 * The ERC-165 id of an interface: the xor of the selectors of the functions that it declares itself.
 *
 * @param inherited The interfaces whose functions it inherits.
 */
export function interfaceIdOf(factory: Factory, ...inherited: Factory[]): string {
  const own = new Set(selectorsOf(factory));
  for (const selector of inherited.flatMap(selectorsOf)) own.delete(selector);
  return toBeHex(
    [...own].reduce((id, selector) => id ^ BigInt(selector), 0n),
    4,
  );
}

function selectorsOf({ abi }: Factory): string[] {
  const selectors: string[] = [];
  new Interface(abi).forEachFunction(({ selector }) => selectors.push(selector));
  return selectors;
}

const ERC165 = { abi: ["function supportsInterface(bytes4) view returns (bool)"] };
const ERC5267 = {
  abi: ["function eip712Domain() view returns (bytes1, string, string, uint256, address, bytes32, uint256[])"],
};

/** The interfaces that every contract of the suite has. */
export const REGISTRY_INTERFACE_IDS = [
  interfaceIdOf(IRegistry__factory, ERC165),
  interfaceIdOf(ERC165),
  interfaceIdOf(ERC5267),
];
