// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch} from "./base/Batch.sol";
import {ERC1056} from "./base/ERC1056.sol";
import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry, IERC165} from "./base/Registry.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IERC1056} from "./interfaces/IERC1056.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {DeviceWord, DeviceWords} from "./libraries/DeviceWord.sol";
import {KeyProof, KeyProofs, Scheme} from "./libraries/KeyProofs.sol";
import {Permissions} from "./libraries/Permissions.sol";

/// @title DeviceRegistry
/// @notice Who a device is: its id and key, its owner, and whether it may be trusted now.
/// @custom:security-contact See SECURITY.md
contract DeviceRegistry is IDeviceRegistry, FleetAuthority, ERC1056, Batch {
    // ------------------------------------------------------------------ constants

    /// @dev How far ahead an enrolment may be signed, so that a forgotten message cannot surface years later.
    uint256 private constant MAX_ENROLLMENT_AGE = 30 days;

    /// @dev `revokeAll` leaves this many epochs, so that its owner can never make a device untransferable.
    uint24 private constant RESERVED_EPOCHS = 1 << 16;

    bytes32 private constant ENROLLMENT_TYPEHASH = keccak256(
        "Enrollment(address device,uint8 scheme,address owner,uint32 manifest,bytes32 metadataHash,uint40 deadline)"
    );

    // ------------------------------------------------------------------ storage

    mapping(address device => DeviceWord) private _devices;

    // ------------------------------------------------------------------ constructor

    constructor(IRoleRegistry roleRegistry) Registry("Touchstone DeviceRegistry") FleetAuthority(roleRegistry) {
        KeyProofs.requirePrecompile();
    }

    // ------------------------------------------------------------------ lifecycle

    /// @inheritdoc IDeviceRegistry
    function enroll(
        Enrollment calldata enrollment,
        KeyProof calldata byDevice,
        bytes calldata ownerSignature
    ) external override {
        (address device, address owner, Scheme scheme) = (enrollment.device, enrollment.owner, enrollment.scheme);
        DeviceWord word = _devices[device];
        if (word.status() != Status.None) return _requireSameEnrollment(enrollment, word);

        require(enrollment.manifest == 0, ManifestUnknown(enrollment.manifest));
        _requireUsable(device);
        _requireUsable(owner);
        _requireEnrollmentTime(enrollment.deadline);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(ENROLLMENT_TYPEHASH, enrollment)));
        require(KeyProofs.isValid(device, scheme, digest, byDevice), KeyProofInvalid(device, digest));
        _requireConsent(owner, digest, ownerSignature);

        _devices[device] = DeviceWords.first(owner, scheme);
        emit DIDOwnerChanged(device, owner, 0);
        _addKey(device, device, scheme, byDevice.publicKey, 0);
        emit DeviceEnrolled(device, owner, enrollment.manifest, scheme, enrollment.metadataHash, msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function suspend(address device, bytes calldata publicKey) external override {
        DeviceWord word = _switch(device, Status.Active, Status.Suspended);
        _requirePublicKey(device, word, publicKey);
        _removeKey(device, device, word.scheme(), publicKey, word.changed());
        emit DeviceSuspended(device, word.owner(), msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function resume(address device, bytes calldata publicKey) external override {
        DeviceWord word = _switch(device, Status.Suspended, Status.Active);
        _requirePublicKey(device, word, publicKey);
        _addKey(device, device, word.scheme(), publicKey, word.changed());
        emit DeviceResumed(device, word.owner(), msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function retire(address device) external override {
        DeviceWord word = _inService(device);
        _requireGovernor(word.owner());

        uint24 epoch = word.epoch() + 1;
        _devices[device] = word.withStatus(Status.Retired).withEpoch(epoch).changedNow();
        emit DIDOwnerChanged(device, address(0), word.changed());
        emit DeviceRetired(device, word.owner(), msg.sender, epoch);
    }

    /// @inheritdoc IDeviceRegistry
    function revokeAll(address device, bytes calldata publicKey) external override {
        DeviceWord word = _inService(device);
        _requireGovernor(word.owner());
        // A resolver sees all events of a block together, so what was published in this one would survive.
        require(word.changed() != block.number, DeviceChangedInBlock(device, block.number));
        uint24 epoch = word.epoch() + 1;
        require(epoch <= type(uint24).max - RESERVED_EPOCHS, EpochExhausted(device, word.epoch()));

        _devices[device] = word.withEpoch(epoch).changedNow();
        emit DIDOwnerChanged(device, word.owner(), 0);
        if (word.status() == Status.Active) {
            _requirePublicKey(device, word, publicKey);
            _addKey(device, device, word.scheme(), publicKey, 0);
        }
        emit AllRevoked(device, word.owner(), msg.sender, epoch);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IDeviceRegistry
    function deviceOf(address device) external view override returns (Device memory) {
        DeviceWord word = _devices[device];
        Status status = word.status();
        return
            Device({
                owner: word.owner(),
                keyId: status == Status.None ? address(0) : device,
                scheme: word.scheme(),
                status: status,
                epoch: word.epoch(),
                manifest: word.manifest(),
                changed: word.changed()
            });
    }

    /// @inheritdoc IDeviceRegistry
    function ownerOf(address device) external view override returns (address) {
        return _devices[device].owner();
    }

    /// @inheritdoc IDeviceRegistry
    function epochOf(address device) external view override returns (uint24) {
        return _devices[device].epoch();
    }

    /// @inheritdoc IDeviceRegistry
    function statusOf(address device) external view override returns (Status) {
        return _devices[device].status();
    }

    /// @inheritdoc IDeviceRegistry
    function isActive(address device) external view override returns (bool) {
        return _devices[device].status() == Status.Active;
    }

    /// @inheritdoc IDeviceRegistry
    function keyOf(address device) external view override returns (address keyId, Scheme scheme) {
        DeviceWord word = _devices[device];
        return (word.status() == Status.None ? address(0) : device, word.scheme());
    }

    /// @inheritdoc IDeviceRegistry
    function activeKeyOf(address device) external view override returns (address keyId, Scheme scheme) {
        DeviceWord word = _devices[device];
        return (word.status() == Status.Active ? device : address(0), word.scheme());
    }

    /// @inheritdoc IDeviceRegistry
    function isValidDeviceProof(
        address device,
        bytes32 digest,
        KeyProof calldata proof
    ) external view override returns (bool) {
        DeviceWord word = _devices[device];
        return word.status() == Status.Active && KeyProofs.isValid(device, word.scheme(), digest, proof);
    }

    /// @inheritdoc IERC1056
    function identityOwner(address identity) external view override returns (address) {
        DeviceWord word = _devices[identity];
        Status status = word.status();
        if (status == Status.None) return identity;
        return status == Status.Retired ? address(0) : word.owner();
    }

    /// @inheritdoc IERC1056
    function changed(address identity) external view override returns (uint256) {
        return _devices[identity].changed();
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return
            interfaceId == type(IDeviceRegistry).interfaceId ||
            interfaceId == type(IERC1056).interfaceId ||
            super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private

    /// @dev A relayer may repeat what it sent: the same enrolment is no error, and needs no proof as nothing changes.
    function _requireSameEnrollment(Enrollment calldata enrollment, DeviceWord word) private pure {
        address device = enrollment.device;
        require(word.status() != Status.Retired, DeviceStatusInvalid(device, Status.Retired));
        bool isSame =
            enrollment.owner == word.owner() &&
                enrollment.scheme == word.scheme() &&
                enrollment.manifest == word.manifest();
        require(isSame, DeviceAlreadyEnrolled(device, word.owner()));
    }

    function _requireEnrollmentTime(uint40 deadline) private view {
        _requireInTime(deadline);
        uint256 latest = block.timestamp + MAX_ENROLLMENT_AGE;
        require(deadline <= latest, DeadlineTooFar(deadline, latest));
    }

    /// @dev The signature is tried on the owner itself first, which saves an account the question who governs it; a
    ///      fleet handle has neither key nor code, so that for it only its governor's signature counts.
    function _requireConsent(address owner, bytes32 digest, bytes calldata ownerSignature) private view {
        if (ownerSignature.length == 0) return _requirePermission(owner, Permissions.ENROLL);
        if (KeyProofs.isValidAccountSignature(owner, digest, ownerSignature)) return;
        address governor = ROLE_REGISTRY.governorOf(owner);
        require(
            governor != owner && KeyProofs.isValidAccountSignature(governor, digest, ownerSignature),
            SignatureInvalid(governor, digest)
        );
    }

    /// @dev Changes the status for the owner or a member with Suspend, and returns the word as it was before.
    function _switch(address device, Status from, Status to) private returns (DeviceWord word) {
        word = _devices[device];
        require(word.status() == from, DeviceStatusInvalid(device, word.status()));
        _requirePermission(word.owner(), Permissions.SUSPEND);
        _devices[device] = word.withStatus(to).changedNow();
    }

    function _inService(address device) private view returns (DeviceWord word) {
        word = _devices[device];
        Status status = word.status();
        require(status == Status.Active || status == Status.Suspended, DeviceStatusInvalid(device, status));
    }

    function _requirePublicKey(address device, DeviceWord word, bytes calldata publicKey) private pure {
        require(KeyProofs.isPublicKeyOf(device, word.scheme(), publicKey), PublicKeyMismatch(device, publicKey));
    }
}
