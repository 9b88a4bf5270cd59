// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {KeyProof, Scheme} from "../libraries/KeyProofs.sol";
import {IBatch} from "./IBatch.sol";
import {IERC1056} from "./IERC1056.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title IDeviceRegistry
/// @notice Who a device is: its id and key, its owner, and whether it may be trusted now.
/// @dev A device's id is the id of its factory key: the account, or the last 20 bytes of keccak256(qx ‖ qy) for P-256.
///      "By the owner" means by the owner's governor, see IRoleRegistry.
/// @custom:security-contact See SECURITY.md
interface IDeviceRegistry is IRegistry, IERC1056, IBatch {
    // ------------------------------------------------------------------ structs

    /// @notice Where a device is in its life.
    enum Status {
        /// @custom:value0 Never enrolled.
        None,
        /// @custom:value1 In service.
        Active,
        /// @custom:value2 Out of service until resumed: nothing its key says is accepted.
        Suspended,
        /// @custom:value3 Out of service for ever.
        Retired
    }

    /// @notice All that the registry knows of a device.
    /// @param owner An account or a fleet handle; the last owner for a retired device.
    /// @param keyId Id of the key that speaks for the device now.
    /// @param scheme How that key signs.
    /// @param status Where the device is in its life.
    /// @param epoch Counts from 1 at enrolment; raised whenever what the owner signed or granted must die.
    /// @param manifest Number of the manifest it was enrolled from; 0 for single devices.
    /// @param changed Block of the latest change to its DID document.
    struct Device {
        address owner;
        address keyId;
        Scheme scheme;
        Status status;
        uint24 epoch;
        uint32 manifest;
        uint40 changed;
    }

    /// @notice EIP-712 message by which a device names its owner, and the owner agrees.
    /// @param device Id of the device's factory key.
    /// @param scheme How that key signs.
    /// @param owner An account or a fleet handle.
    /// @param manifest Number of the manifest that lists the device; 0 for a single device.
    /// @param metadataHash Hash of what the owner keeps about the device off chain; 0 for nothing.
    /// @param deadline Unix seconds until which the message is valid, at most 30 days ahead.
    struct Enrollment {
        address device;
        Scheme scheme;
        address owner;
        uint32 manifest;
        bytes32 metadataHash;
        uint40 deadline;
    }

    // ------------------------------------------------------------------ errors

    /// @notice The device is enrolled already, and not as this message says.
    error DeviceAlreadyEnrolled(address device, address owner);

    /// @notice The device has the status `status`, in which this cannot be done.
    error DeviceStatusInvalid(address device, Status status);

    /// @notice The public key does not belong to the device's key `keyId` (it is empty for account keys).
    error PublicKeyMismatch(address keyId, bytes publicKey);

    /// @notice The DID document changed in this block already; send again in the next one.
    error DeviceChangedInBlock(address device, uint256 blockNumber);

    /// @notice The deadline is further ahead than `latest` (Unix seconds).
    error DeadlineTooFar(uint40 deadline, uint256 latest);

    /// @notice There is no manifest with this number.
    error ManifestUnknown(uint32 manifest);

    /// @notice The epoch is so near its end that only transfers may raise it.
    error EpochExhausted(address device, uint24 epoch);

    // ------------------------------------------------------------------ events

    /// @notice The device proved its key and belongs to its first owner.
    event DeviceEnrolled(
        address indexed device,
        address indexed owner,
        uint32 indexed manifest,
        Scheme scheme,
        bytes32 metadataHash,
        address by
    );

    /// @notice The device was taken out of service.
    event DeviceSuspended(address indexed device, address indexed owner, address indexed by);

    /// @notice The device was taken into service again.
    event DeviceResumed(address indexed device, address indexed owner, address indexed by);

    /// @notice The device left service for ever.
    event DeviceRetired(address indexed device, address indexed owner, address indexed by, uint24 epoch);

    /// @notice All that the owner granted or signed for the device before died.
    event AllRevoked(address indexed device, address indexed owner, address indexed by, uint24 epoch);

    // ------------------------------------------------------------------ lifecycle

    /// @notice Enrols a device: it proves its key and names its owner, and the owner agrees.
    /// @dev Anyone may send. The owner agrees by sending, through a member with Enroll sending, or with
    ///      `ownerSignature` by its governor over the same message. The same enrolment again (device, scheme,
    ///      owner and manifest) does nothing and emits nothing, so a relayer may repeat it: that such a call succeeds
    ///      shows nothing about its proofs. Reverts: ManifestUnknown, IdReserved, DeviceStatusInvalid (retired),
    ///      DeviceAlreadyEnrolled, DeadlinePassed, DeadlineTooFar, KeyProofInvalid, SignatureInvalid,
    ///      CallerLacksPermission (no owner signature given).
    /// @param ownerSignature Empty if the sender speaks for the owner.
    function enroll(Enrollment calldata enrollment, KeyProof calldata byDevice, bytes calldata ownerSignature) external;

    /// @notice Takes an active device out of service; its key leaves the DID document.
    /// @dev By the owner or a member with Suspend. Reverts: CallerLacksPermission, DeviceStatusInvalid, PublicKeyMismatch.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account.
    function suspend(address device, bytes calldata publicKey) external;

    /// @notice Takes a suspended device into service again; its key returns to the DID document.
    /// @dev By the owner or a member with Suspend. Reverts: CallerLacksPermission, DeviceStatusInvalid, PublicKeyMismatch.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account.
    function resume(address device, bytes calldata publicKey) external;

    /// @notice Takes a device out of service for ever and deactivates its DID.
    /// @dev By the owner. Reverts: CallerNotGovernor, DeviceStatusInvalid.
    function retire(address device) external;

    /// @notice Ends all grants on the device and all that the owner signed for it, and clears its DID document of all
    ///         but owner and key.
    /// @dev By the owner. A member with Suspend who changes the device in the same block makes this revert: take such a
    ///      member's roles first. Reverts: CallerNotGovernor, DeviceStatusInvalid, PublicKeyMismatch,
    ///      DeviceChangedInBlock, EpochExhausted.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account and, as the key is
    ///        not in the document then, ignored for a suspended device.
    function revokeAll(address device, bytes calldata publicKey) external;

    // ------------------------------------------------------------------ views

    /// @notice All that the registry knows of the device; all zero for one never enrolled.
    function deviceOf(address device) external view returns (Device memory);

    /// @notice The owner; the last owner for a retired device; zero for one never enrolled.
    function ownerOf(address device) external view returns (address);

    /// @notice The epoch; 0 for a device never enrolled.
    function epochOf(address device) external view returns (uint24);

    /// @notice Where the device is in its life.
    function statusOf(address device) external view returns (Status);

    /// @notice Whether what the device's key says is accepted now.
    function isActive(address device) external view returns (bool);

    /// @notice The key that speaks for the device now; zero for one never enrolled.
    function keyOf(address device) external view returns (address keyId, Scheme scheme);

    /// @notice The key that speaks for the device now; zero unless the device is active. For contracts that take a
    ///         device's proof: the cheapest way to ask both.
    function activeKeyOf(address device) external view returns (address keyId, Scheme scheme);

    /// @notice Whether the device is active and its key signed the digest.
    /// @dev Its use is Authentication: a device logs in to a server, which computes the digest itself, or it would take a
    ///      proof of something else for a login. Reverts only if it runs out of gas, as an account with code
    ///      (ERC-1271) can make it.
    function isValidDeviceProof(address device, bytes32 digest, KeyProof calldata proof) external view returns (bool);
}
