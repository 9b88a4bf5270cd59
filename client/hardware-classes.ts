import { AbiCoder, keccak256 } from "ethers";

/**
 * The id of a vendor's class of hardware, as manifests and firmware products have it.
 *
 * @param options.hardwareClass 32 bytes as 0x hex.
 */
export function classIdOf(options: { vendor: string; hardwareClass: string }): string {
  const { vendor, hardwareClass } = options;
  return keccak256(AbiCoder.defaultAbiCoder().encode(["address", "bytes32"], [vendor, hardwareClass]));
}
