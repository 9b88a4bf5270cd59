// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BinaryMerkleTree} from "@fuel-contracts/merkle-sol/contracts/tree/binary/BinaryMerkleTree.sol";

/// @notice Deploys the binary Merkle tree of Fuel, a library, as it is. Its functions are pure: anyone can call them.
contract FuelMerkleTree {
    address public immutable LIBRARY;

    constructor() {
        bytes memory code = type(BinaryMerkleTree).creationCode;
        address deployed;
        // Safe: it only reads the code that was copied to memory above.
        assembly ("memory-safe") {
            deployed := create(0, add(code, 0x20), mload(code))
        }
        LIBRARY = deployed;
    }
}
