// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title IERC1056
/// @notice The registry of ERC-1056: resolvers of `did:ethr` read it, and its clients write it, unmodified.
/// @dev Names, order and indexing are those of ERC-1056. "By the controller" means by the governor of `identityOwner`; an
///      identity without an owner speaks for itself, which a fleet handle cannot. The
///      functions that take a signature take it over `keccak256(0x19 ‖ 0x00 ‖ registry ‖ nonce ‖ identity ‖ action ‖ arguments)`, the
///      nonce being that of the controller, from anyone. On an enrolled device they leave alone who owns it and what key
///      it has: see IDeviceRegistry. There, delegates die with the epoch.
interface IERC1056 {
    // ------------------------------------------------------------------ errors

    /// @notice The account does not speak for the identity, whose controller is `controller`.
    error NotController(address identity, address controller, address account);

    /// @notice The signature does not show that the controller's governor signed the digest with the controller's nonce.
    error ControllerSignatureInvalid(address identity, address controller, bytes32 digest);

    /// @notice An enrolled device changes hands only with the new owner's consent: propose a transfer.
    error TransferNeedsConsent(address device);

    /// @notice What says which key authenticates an enrolled device is written by the registry alone.
    error KeyReserved(address device, bytes32 name);

    /// @notice The end of the validity (seconds from now) does not fit a time.
    error ValidityTooLong(uint256 validity);

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

    // ------------------------------------------------------------------ writes

    /// @notice Makes another the controller of an identity that is no enrolled device; zero deactivates it for ever.
    /// @dev By the controller. Reverts: IdReserved, NotController, TransferNeedsConsent.
    function changeOwner(address identity, address newOwner) external;

    /// @notice changeOwner, signed. The action is "changeOwner", the argument `newOwner`.
    /// @dev Reverts as changeOwner, with ControllerSignatureInvalid for NotController.
    function changeOwnerSigned(address identity, uint8 sigV, bytes32 sigR, bytes32 sigS, address newOwner) external;

    /// @notice Lets the delegate speak for the identity, in the sense of the type, for `validity` seconds.
    /// @dev By the controller. Reverts: IdReserved, NotController, KeyReserved, ValidityTooLong.
    function addDelegate(address identity, bytes32 delegateType, address delegate, uint256 validity) external;

    /// @notice addDelegate, signed. The action is "addDelegate", the arguments type, delegate and validity.
    /// @dev Reverts as addDelegate, with ControllerSignatureInvalid for NotController.
    function addDelegateSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 delegateType,
        address delegate,
        uint256 validity
    ) external;

    /// @notice Ends what addDelegate began.
    /// @dev By the controller. Reverts: IdReserved, NotController, KeyReserved.
    function revokeDelegate(address identity, bytes32 delegateType, address delegate) external;

    /// @notice revokeDelegate, signed. The action is "revokeDelegate", the arguments type and delegate.
    /// @dev Reverts as revokeDelegate, with ControllerSignatureInvalid for NotController.
    function revokeDelegateSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 delegateType,
        address delegate
    ) external;

    /// @notice Publishes an attribute in the identity's DID document for `validity` seconds.
    /// @dev By the controller. Reverts: IdReserved, NotController, KeyReserved, ValidityTooLong.
    function setAttribute(address identity, bytes32 name, bytes calldata value, uint256 validity) external;

    /// @notice setAttribute, signed. The action is "setAttribute", the arguments name, value and validity.
    /// @dev Reverts as setAttribute, with ControllerSignatureInvalid for NotController.
    function setAttributeSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 name,
        bytes calldata value,
        uint256 validity
    ) external;

    /// @notice Takes an attribute back.
    /// @dev By the controller. Reverts: IdReserved, NotController, KeyReserved.
    function revokeAttribute(address identity, bytes32 name, bytes calldata value) external;

    /// @notice revokeAttribute, signed. The action is "revokeAttribute", the arguments name and value.
    /// @dev Reverts as revokeAttribute, with ControllerSignatureInvalid for NotController.
    function revokeAttributeSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 name,
        bytes calldata value
    ) external;

    // ------------------------------------------------------------------ views

    /// @notice Whether the delegate speaks for the identity, in the sense of the type, now. The account that is an active
    ///         device's key does so as "sigAuth".
    function validDelegate(address identity, bytes32 delegateType, address delegate) external view returns (bool);

    /// @notice What the next signed message of the controller carries. Starts from a number that chain, contract, controller
    ///         and the count of its governors give, so that no message counts on another chain, for another controller, or
    ///         for a governor who comes back.
    function nonce(address controller) external view returns (uint256);

    /// @notice The controller of the identity: its owner, the identity itself if it has none, zero for ever once retired.
    function identityOwner(address identity) external view returns (address);

    /// @notice Block of the identity's latest change, 0 if there was none.
    function changed(address identity) external view returns (uint256);
}
