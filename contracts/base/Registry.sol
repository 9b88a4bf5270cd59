// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ERC165, IERC165} from "@openzeppelin/contracts/utils/introspection/ERC165.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";

import {IRegistry} from "../interfaces/IRegistry.sol";
import {KeyProofs} from "../libraries/KeyProofs.sol";

/// @title Registry
/// @notice What all contracts of Touchstone have in common.
abstract contract Registry is IRegistry, EIP712, ERC165 {
    /// @dev `name` is the EIP-712 domain's name: "Touchstone " and the contract's, as a wallet shows it.
    constructor(string memory name) EIP712(name, "1") {}

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRegistry
    function version() external pure override returns (string memory) {
        return "0.1.0";
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view virtual override(ERC165, IERC165) returns (bool) {
        return
            interfaceId == type(IRegistry).interfaceId ||
            interfaceId == type(IERC5267).interfaceId ||
            super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ internal

    function _requireUsable(address id) internal pure {
        require(KeyProofs.isUsable(id), IdReserved(id));
    }

    function _requireInTime(uint40 deadline) internal view {
        require(block.timestamp <= deadline, DeadlinePassed(deadline));
    }
}
