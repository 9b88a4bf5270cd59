// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// @title IRegistry
/// @notice What all contracts of Touchstone have in common: a version, and the errors that mean the same everywhere.
/// @custom:security-contact See SECURITY.md
interface IRegistry is IERC165 {
    // ------------------------------------------------------------------ errors

    /// @notice Ids below 2^16 (zero, precompiles) are neither keys nor owners nor subjects.
    error IdReserved(address id);

    /// @notice Only the governor of the fleet (for an account: the account itself) may do this.
    error CallerNotGovernor(address fleet, address caller);

    /// @notice The caller, or who signed in its place, neither governs the fleet nor has a role in it with this permission.
    error CallerLacksPermission(address fleet, address caller, uint32 permission);

    /// @notice The message was valid until `deadline` (Unix seconds) only: ask for a new signature.
    error DeadlinePassed(uint40 deadline);

    /// @notice The proof does not show that the key `keyId` signed the EIP-712 digest `digest`.
    error KeyProofInvalid(address keyId, bytes32 digest);

    /// @notice The signature does not show that the account `signer` signed the EIP-712 digest `digest`.
    error SignatureInvalid(address signer, bytes32 digest);

    // ------------------------------------------------------------------ views

    /// @notice The version of the contract's source, as in semantic versioning.
    function version() external pure returns (string memory);
}
