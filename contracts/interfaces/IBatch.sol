// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title IBatch
/// @notice Many calls in one transaction that do not share one fate.
/// @custom:security-contact See SECURITY.md
interface IBatch {
    // ------------------------------------------------------------------ errors

    /// @notice The call with this index failed without saying why: it is malformed, or the gas did not suffice.
    error CallBroken(uint256 index);

    // ------------------------------------------------------------------ events

    /// @notice The call with this index was refused with this error, and changed nothing; the others went on.
    event CallSkipped(uint256 indexed index, bytes4 indexed selector, bytes reason);

    // ------------------------------------------------------------------ functions

    /// @notice Makes each of the calls to this contract as the sender, in order, and skips what the contract refuses, so
    ///         that one call that has become stale never undoes the rest. `multicall` is all or nothing.
    /// @dev A call that fails without an error reverts the whole, in a batch within the batch too: for want of gas no call
    ///      is skipped, unless it is a signer's contract (ERC-1271) that runs out of it. Such a contract can burn so much
    ///      that the whole batch fails: carry together only what trusts each other. Reverts: CallBroken.
    /// @param calls Encoded calls of this contract's functions.
    /// @return done For each call whether it was made.
    function tryMulticall(bytes[] calldata calls) external returns (bool[] memory done);
}
