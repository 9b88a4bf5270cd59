// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title IERC1056
/// @notice What a resolver of `did:ethr` reads of an identity: its controller and the linked list of its events.
/// @dev Names, order and indexing of the events are those of ERC-1056; unmodified resolvers depend on them.
interface IERC1056 {
    // ------------------------------------------------------------------ events

    /// @notice The controller of the identity became `owner`; zero deactivates the identity.
    /// @param previousChange Block of the identity's change before this one; 0 where a resolver's walk ends.
    event DIDOwnerChanged(address indexed identity, address owner, uint256 previousChange);

    /// @notice The delegate speaks for the identity until `validTo` (Unix seconds).
    event DIDDelegateChanged(
        address indexed identity,
        bytes32 delegateType,
        address delegate,
        uint256 validTo,
        uint256 previousChange
    );

    /// @notice The attribute belongs to the identity until `validTo` (Unix seconds).
    event DIDAttributeChanged(
        address indexed identity,
        bytes32 name,
        bytes value,
        uint256 validTo,
        uint256 previousChange
    );

    // ------------------------------------------------------------------ views

    /// @notice The controller of the identity: its owner, the identity itself if it has none, zero for ever once retired.
    function identityOwner(address identity) external view returns (address);

    /// @notice Block of the identity's latest change, 0 if there was none.
    function changed(address identity) external view returns (uint256);
}
