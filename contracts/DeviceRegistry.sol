// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch} from "./base/Batch.sol";
import {ERC1056} from "./base/ERC1056.sol";
import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry, IERC165} from "./base/Registry.sol";
import {IBatch} from "./interfaces/IBatch.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IERC1056} from "./interfaces/IERC1056.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {DeviceWord, DeviceWords} from "./libraries/DeviceWord.sol";
import {KeyProof, KeyProofs, Scheme} from "./libraries/KeyProofs.sol";
import {KeyWord, KeyWords} from "./libraries/KeyWord.sol";
import {ManifestWord, ManifestWords} from "./libraries/ManifestWord.sol";
import {MerkleLog, Tree} from "./libraries/MerkleLog.sol";
import {Permissions} from "./libraries/Permissions.sol";
import {TransferWord, TransferWords} from "./libraries/TransferWord.sol";

/// @title DeviceRegistry
/// @notice Who a device is: its id and key, its owner, and whether it may be trusted now.
/// @custom:security-contact See SECURITY.md
contract DeviceRegistry is IDeviceRegistry, ERC1056, Batch {
    // ------------------------------------------------------------------ types

    struct ManifestRecord {
        bytes32 classId;
        ManifestWord word;
    }

    // ------------------------------------------------------------------ constants

    /// @dev How far ahead an enrolment may be signed, so that a forgotten message cannot surface years later.
    uint256 private constant MAX_ENROLLMENT_AGE = 30 days;

    /// @dev `revokeAll` leaves this many epochs, so that its owner can never make a device untransferable.
    uint24 private constant RESERVED_EPOCHS = 1 << 16;

    /// @dev The device's word has 31 bits for the number of its manifest.
    uint256 private constant LAST_MANIFEST = (1 << 31) - 1;

    /// @dev Distinguishes the leaves of manifests from those of all other trees.
    uint8 private constant MANIFEST_LEAF = 4;

    /// @dev The reasons of RFC 5280 for which something is revoked for good: 0 to 5, 9 and 10.
    uint256 private constant REVOCATION_REASONS = 0x63f;

    bytes32 private constant ENROLLMENT_TYPEHASH = keccak256(
        "Enrollment(address device,uint8 scheme,address owner,uint32 manifest,bytes32 metadataHash,uint40 deadline)"
    );
    bytes32 private constant MAKER_VOUCHER_TYPEHASH = keccak256(
        "MakerVoucher(uint32 manifest,address device,address owner,uint40 deadline)"
    );
    bytes32 private constant TRANSFER_VOUCHER_TYPEHASH = keccak256(
        "TransferVoucher(address device,address newOwner,uint24 epoch,uint40 deadline)"
    );
    bytes32 private constant TRANSFER_ACCEPTANCE_TYPEHASH = keccak256(
        "TransferAcceptance(address device,address newOwner,uint24 epoch,uint40 deadline)"
    );
    bytes32 private constant REDEMPTION_TYPEHASH = keccak256(
        "Redemption(address device,address newOwner,uint24 epoch,uint40 deadline)"
    );
    bytes32 private constant KEY_ROTATION_TYPEHASH = keccak256(
        "KeyRotation(address device,address oldKey,address newKey,uint8 newScheme,uint24 epoch,uint40 deadline)"
    );

    // ------------------------------------------------------------------ storage

    mapping(address device => DeviceWord) private _devices;

    /// @dev The keys of the devices that are marked as rotated.
    mapping(address device => KeyWord) private _keys;

    mapping(address device => TransferWord) private _transfers;

    mapping(uint32 manifest => ManifestRecord) private _manifests;

    /// @dev At most LAST_MANIFEST; a whole word of its own is cheaper to write.
    uint256 private _lastManifest;

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
        if (_isRepeated(enrollment)) return;
        require(enrollment.manifest == 0, ManifestProofMissing(enrollment.manifest));
        _enroll(enrollment, byDevice, ownerSignature);
    }

    /// @inheritdoc IDeviceRegistry
    function enrollFromManifest(
        Enrollment calldata enrollment,
        KeyProof calldata byDevice,
        bytes calldata ownerSignature,
        ManifestProof calldata manifestProof
    ) external override {
        if (_isRepeated(enrollment)) return;
        _requireListed(enrollment, manifestProof);
        if (manifestProof.terms.voucherRequired) _requireMakerVoucher(enrollment, manifestProof);
        _enroll(enrollment, byDevice, ownerSignature);
    }

    /// @inheritdoc IDeviceRegistry
    function suspend(address device, bytes calldata publicKey) external override {
        DeviceWord word = _switch(device, Status.Active, Status.Suspended);
        (address keyId, Scheme scheme) = _requirePublicKey(device, word, publicKey);
        _removeKey(device, keyId, scheme, publicKey, word.changed());
        emit DeviceSuspended(device, word.owner(), msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function resume(address device, bytes calldata publicKey) external override {
        DeviceWord word = _switch(device, Status.Suspended, Status.Active);
        (address keyId, Scheme scheme) = _requirePublicKey(device, word, publicKey);
        _addKey(device, keyId, scheme, publicKey, word.changed());
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
        address owner = word.owner();
        _requireGovernor(owner);
        uint24 epoch = word.epoch() + 1;
        require(epoch <= type(uint24).max - RESERVED_EPOCHS, EpochExhausted(device, word.epoch()));

        _beginEpoch(device, word, owner, epoch, publicKey);
        emit AllRevoked(device, owner, msg.sender, epoch);
    }

    // ------------------------------------------------------------------ transfer

    /// @inheritdoc IDeviceRegistry
    function proposeTransfer(address device, address newOwner, uint40 expiry) external override {
        DeviceWord word = _inService(device);
        address owner = word.owner();
        _requireGovernor(owner);
        _requireUsable(newOwner);
        require(newOwner != owner, OwnerUnchanged(device, owner));
        require(block.timestamp < expiry, ExpiryPassed(expiry));

        uint24 epoch = word.epoch();
        _transfers[device] = TransferWords.pack(newOwner, expiry, epoch, ROLE_REGISTRY.handoversOf(owner));
        emit TransferProposed(device, owner, newOwner, expiry, epoch, msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function cancelTransfer(address device) external override {
        DeviceWord word = _devices[device];
        _requireGovernor(word.owner());
        TransferWord pending = _transfers[device];
        require(_isPending(pending, word), TransferNotPending(device));

        _transfers[device] = TransferWord.wrap(0);
        emit TransferCancelled(device, word.owner(), pending.newOwner(), msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function acceptTransfer(address device, bytes calldata publicKey) external override {
        DeviceWord word = _devices[device];
        TransferWord pending = _transfers[device];
        require(_isPending(pending, word), TransferNotPending(device));
        _requireGovernor(pending.newOwner());

        _transfers[device] = TransferWord.wrap(0);
        _handOver(device, word, pending.newOwner(), publicKey);
    }

    /// @inheritdoc IDeviceRegistry
    function redeemVoucher(
        TransferVoucher calldata voucher,
        bytes calldata ownerSignature,
        AcceptanceProof calldata acceptance,
        RedemptionProof calldata redemption
    ) external override {
        DeviceWord word = _inService(voucher.device);
        address newOwner = acceptance.newOwner;
        _requireRedeemable(voucher, word, newOwner);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(TRANSFER_VOUCHER_TYPEHASH, voucher)));
        _requireSignature(word.owner(), digest, ownerSignature);
        _requireAcceptance(voucher, acceptance);
        if (voucher.newOwner == address(0)) _requireRedemption(voucher, word, newOwner, redemption);

        _handOver(voucher.device, word, newOwner, redemption.publicKey);
    }

    // ------------------------------------------------------------------ keys

    /// @inheritdoc IDeviceRegistry
    function rotateKey(
        KeyRotation calldata rotation,
        KeyProof calldata byNewKey,
        KeyProof calldata byOldKey
    ) external override {
        (address device, address newKey, Scheme newScheme) = (rotation.device, rotation.newKey, rotation.newScheme);
        DeviceWord word = _inService(device);
        _requirePermission(word.owner(), Permissions.ROTATE_KEY);
        (address oldKey, Scheme oldScheme, bool isContinuous) = _keyOf(device, word);
        _requireCurrent(rotation, word, oldKey);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(KEY_ROTATION_TYPEHASH, rotation)));
        require(KeyProofs.isValid(newKey, newScheme, digest, byNewKey), KeyProofInvalid(newKey, digest));
        bool isAgreed = byOldKey.signature.length != 0;
        if (isAgreed) {
            require(word.status() == Status.Active, DeviceStatusInvalid(device, word.status()));
            require(KeyProofs.isValid(oldKey, oldScheme, digest, byOldKey), KeyProofInvalid(oldKey, digest));
        }

        // Before the new key is stored: what it is asked about is the old one.
        if (word.status() == Status.Active) _requirePublicKey(device, word, byOldKey.publicKey);

        isContinuous = newKey == device || (isContinuous && isAgreed);
        _keys[device] = KeyWords.pack(newKey, newScheme, isContinuous);
        if (word.status() == Status.Active) {
            _devices[device] = word.withRotated().changedNow();
            _removeKey(device, oldKey, oldScheme, byOldKey.publicKey, word.changed());
            _addKey(device, newKey, newScheme, byNewKey.publicKey, word.changed());
        } else {
            // The document shows no key of a suspended device, so that it does not change.
            _devices[device] = word.withRotated();
        }
        emit KeyRotated(device, oldKey, newKey, newScheme, byNewKey.publicKey, isContinuous, msg.sender);
    }

    // ------------------------------------------------------------------ manifests

    /// @inheritdoc IDeviceRegistry
    function publishManifest(
        address vendor,
        bytes32 hardwareClass,
        bytes32 root,
        uint32 count,
        bool voucherRequired,
        string calldata uri
    ) external override returns (uint32 manifest) {
        _requirePermission(vendor, Permissions.PUBLISH_MANIFEST);
        require(root != 0 && count != 0, ManifestEmpty(root, count));
        uint256 number = _lastManifest + 1;
        require(number <= LAST_MANIFEST, ManifestsExhausted());

        _lastManifest = number;
        manifest = uint32(number);
        _manifests[manifest] = ManifestRecord({
            classId: keccak256(abi.encode(vendor, hardwareClass)),
            word: ManifestWords.pack(vendor, root, count, voucherRequired)
        });
        emit ManifestPublished(manifest, vendor, hardwareClass, root, count, voucherRequired, uri, msg.sender);
    }

    /// @inheritdoc IDeviceRegistry
    function revokeManifest(uint32 manifest, ManifestTerms calldata terms, uint8 reason) external override {
        ManifestWord word = _requireValid(manifest, terms);
        _requireGovernor(terms.vendor);
        require((REVOCATION_REASONS >> reason) & 1 != 0, RevocationReasonInvalid(reason));

        _manifests[manifest].word = word.revoked(reason);
        emit ManifestRevoked(manifest, terms.vendor, reason, msg.sender);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IDeviceRegistry
    function deviceOf(address device) external view override returns (Device memory state) {
        DeviceWord word = _devices[device];
        Status status = word.status();
        if (status == Status.None) return state;
        (state.keyId, state.scheme, state.isContinuous) = _keyOf(device, word);
        state.owner = word.owner();
        state.status = status;
        state.epoch = word.epoch();
        state.manifest = word.manifest();
        state.changed = word.changed();
    }

    /// @inheritdoc IDeviceRegistry
    function stateOf(address device) external view override returns (address owner, Status status, uint24 epoch) {
        DeviceWord word = _devices[device];
        status = word.status();
        if (status != Status.None) (owner, epoch) = (word.owner(), word.epoch());
    }

    /// @inheritdoc IDeviceRegistry
    function ownerOf(address device) external view override returns (address) {
        DeviceWord word = _devices[device];
        return word.status() == Status.None ? address(0) : word.owner();
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
        if (word.status() != Status.None) (keyId, scheme, ) = _keyOf(device, word);
    }

    /// @inheritdoc IDeviceRegistry
    function activeKeyOf(address device) external view override returns (address keyId, Scheme scheme) {
        DeviceWord word = _devices[device];
        if (word.status() == Status.Active) (keyId, scheme, ) = _keyOf(device, word);
    }

    /// @inheritdoc IDeviceRegistry
    function isGenuine(address device) external view override returns (bool) {
        DeviceWord word = _devices[device];
        (, , bool isContinuous) = _keyOf(device, word);
        uint32 manifest = word.manifest();
        return manifest != 0 && isContinuous && !_manifests[manifest].word.isRevoked();
    }

    /// @inheritdoc IDeviceRegistry
    function classOf(address device) external view override returns (bytes32) {
        return _manifests[_devices[device].manifest()].classId;
    }

    /// @inheritdoc IDeviceRegistry
    function manifestOf(uint32 manifest) external view override returns (Manifest memory) {
        ManifestRecord storage entry = _manifests[manifest];
        ManifestWord word = entry.word;
        return Manifest({classId: entry.classId, isRevoked: word.isRevoked(), reason: word.reason()});
    }

    /// @inheritdoc IDeviceRegistry
    function hasTerms(uint32 manifest, ManifestTerms calldata terms) external view override returns (bool) {
        return _manifests[manifest].word.hasTerms(terms);
    }

    /// @inheritdoc IDeviceRegistry
    function pendingTransferOf(address device) external view override returns (address newOwner, uint40 expiry) {
        TransferWord pending = _transfers[device];
        if (_isPending(pending, _devices[device])) return (pending.newOwner(), pending.expiry());
    }

    /// @inheritdoc IDeviceRegistry
    function isValidDeviceProof(
        address device,
        bytes32 digest,
        KeyProof calldata proof
    ) external view override returns (bool) {
        DeviceWord word = _devices[device];
        if (word.status() != Status.Active) return false;
        (address keyId, Scheme scheme, ) = _keyOf(device, word);
        return KeyProofs.isValid(keyId, scheme, digest, proof);
    }

    /// @inheritdoc IERC1056
    function changed(address identity) external view override returns (uint256) {
        return _devices[identity].changed();
    }

    /// @inheritdoc IERC1056
    function identityOwner(address identity) public view override(ERC1056, IERC1056) returns (address) {
        DeviceWord word = _devices[identity];
        if (word.status() == Status.Retired) return address(0);
        address owner = word.owner();
        return owner == address(0) ? identity : owner;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return
            interfaceId == type(IDeviceRegistry).interfaceId ||
            interfaceId == type(IERC1056).interfaceId ||
            interfaceId == type(IBatch).interfaceId ||
            super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ for ERC-1056

    function _isDevice(address identity) internal view override returns (bool) {
        Status status = _devices[identity].status();
        return status == Status.Active || status == Status.Suspended;
    }

    function _isKeyOfDevice(address identity, address account) internal view override returns (bool) {
        DeviceWord word = _devices[identity];
        if (word.status() != Status.Active) return false;
        (address keyId, Scheme scheme, ) = _keyOf(identity, word);
        return scheme == Scheme.Account && keyId == account;
    }

    function _epochOf(address identity) internal view override returns (uint24) {
        return _devices[identity].epoch();
    }

    function _touch(address identity) internal override returns (uint256 previousChange) {
        DeviceWord word = _devices[identity];
        _devices[identity] = word.changedNow();
        return word.changed();
    }

    function _setOwner(address identity, address newOwner) internal override returns (uint256 previousChange) {
        DeviceWord word = _devices[identity];
        previousChange = word.changed();
        word = word.withOwner(newOwner).changedNow();
        // A new epoch ends its delegates.
        if (newOwner == address(0)) word = word.withStatus(Status.Retired).withEpoch(word.epoch() + 1);
        _devices[identity] = word;
    }

    // ------------------------------------------------------------------ private: enrolment

    /// @dev A relayer may repeat what it sent: the same enrolment is no error, and needs no proof as nothing changes.
    function _isRepeated(Enrollment calldata enrollment) private view returns (bool) {
        address device = enrollment.device;
        DeviceWord word = _devices[device];
        if (word.status() == Status.None) return false;
        require(word.status() != Status.Retired, DeviceStatusInvalid(device, Status.Retired));
        bool isSame =
            enrollment.owner == word.owner() &&
                enrollment.scheme == word.scheme() &&
                enrollment.manifest == word.manifest();
        require(isSame, DeviceAlreadyEnrolled(device, word.owner()));
        return true;
    }

    function _enroll(
        Enrollment calldata enrollment,
        KeyProof calldata byDevice,
        bytes calldata ownerSignature
    ) private {
        (address device, address owner, Scheme scheme) = (enrollment.device, enrollment.owner, enrollment.scheme);
        _requireUsable(device);
        _requireUsable(owner);
        _requireEnrollmentTime(enrollment.deadline);
        _requireFree(device, owner);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(ENROLLMENT_TYPEHASH, enrollment)));
        require(KeyProofs.isValid(device, scheme, digest, byDevice), KeyProofInvalid(device, digest));
        _requireConsent(owner, digest, ownerSignature);

        _devices[device] = DeviceWords.first(owner, scheme, enrollment.manifest);
        emit DIDOwnerChanged(device, owner, 0);
        _addKey(device, device, scheme, byDevice.publicKey, 0);
        emit DeviceEnrolled(device, owner, enrollment.manifest, scheme, enrollment.metadataHash, msg.sender);
    }

    function _requireEnrollmentTime(uint40 deadline) private view {
        _requireInTime(deadline);
        uint256 latest = block.timestamp + MAX_ENROLLMENT_AGE;
        require(deadline <= latest, DeadlineTooFar(deadline, latest));
    }

    /// @dev What the identity did before it is a device must not take it from another, nor survive in its document.
    function _requireFree(address device, address owner) private view {
        DeviceWord word = _devices[device];
        address ownerBefore = word.owner();
        require(ownerBefore == address(0) || ownerBefore == owner, OwnedByAnother(device, ownerBefore));
        _requireUnchanged(device, word);
    }

    function _requireConsent(address owner, bytes32 digest, bytes calldata ownerSignature) private view {
        if (ownerSignature.length == 0) return _requirePermission(owner, Permissions.ENROLL);
        _requireSignature(owner, digest, ownerSignature);
    }

    function _requireListed(Enrollment calldata enrollment, ManifestProof calldata proof) private view {
        _requireValid(enrollment.manifest, proof.terms);
        bytes memory content = abi.encodePacked(MANIFEST_LEAF, enrollment.device, enrollment.scheme, proof.serialHash);
        bool isListed = MerkleLog.isIncluded(
            Tree.Keccak256,
            proof.terms.root,
            proof.terms.count,
            MerkleLog.hashLeaf(Tree.Keccak256, content),
            proof.index,
            proof.path
        );
        require(isListed, DeviceNotInManifest(enrollment.manifest, enrollment.device));
    }

    function _requireMakerVoucher(Enrollment calldata enrollment, ManifestProof calldata proof) private view {
        (address vendor, address signer, uint40 deadline) = (
            proof.terms.vendor,
            proof.voucherBy,
            proof.voucherDeadline
        );
        require(_hasPermission(vendor, signer, Permissions.PUBLISH_MANIFEST), MakerInvalid(vendor, signer));
        _requireInTime(deadline);
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(MAKER_VOUCHER_TYPEHASH, enrollment.manifest, enrollment.device, enrollment.owner, deadline)
            )
        );
        require(
            KeyProofs.isValidAccountSignature(signer, digest, proof.voucherSignature),
            SignatureInvalid(signer, digest)
        );
    }

    function _requireValid(uint32 manifest, ManifestTerms calldata terms) private view returns (ManifestWord word) {
        word = _manifests[manifest].word;
        require(ManifestWord.unwrap(word) != 0, ManifestUnknown(manifest));
        require(word.hasTerms(terms), ManifestTermsMismatch(manifest));
        require(!word.isRevoked(), ManifestNoLongerValid(manifest, word.reason()));
    }

    // ------------------------------------------------------------------ private: transfer

    function _isPending(TransferWord pending, DeviceWord word) private view returns (bool) {
        return
            block.timestamp < pending.expiry() &&
            pending.epoch() == word.epoch() &&
            pending.handovers() == ROLE_REGISTRY.handoversOf(word.owner());
    }

    function _requireRedeemable(TransferVoucher calldata voucher, DeviceWord word, address newOwner) private view {
        address device = voucher.device;
        require(voucher.epoch == word.epoch(), EpochStale(device, word.epoch(), voucher.epoch));
        _requireInTime(voucher.deadline);
        require(
            voucher.newOwner == address(0) || voucher.newOwner == newOwner,
            NewOwnerMismatch(voucher.newOwner, newOwner)
        );
        _requireUsable(newOwner);
        require(newOwner != word.owner(), OwnerUnchanged(device, newOwner));
    }

    function _requireAcceptance(TransferVoucher calldata voucher, AcceptanceProof calldata acceptance) private view {
        address newOwner = acceptance.newOwner;
        if (acceptance.signature.length == 0) return _requireGovernor(newOwner);
        uint40 deadline = acceptance.deadline;
        _requireInTime(deadline);
        bytes32 digest = _hashTransfer(TRANSFER_ACCEPTANCE_TYPEHASH, voucher, newOwner, deadline);
        _requireSignature(newOwner, digest, acceptance.signature);
    }

    /// @dev A device in the hand shows more than a voucher that was copied.
    function _requireRedemption(
        TransferVoucher calldata voucher,
        DeviceWord word,
        address newOwner,
        RedemptionProof calldata redemption
    ) private view {
        address device = voucher.device;
        require(word.status() == Status.Active, DeviceStatusInvalid(device, word.status()));
        _requireInTime(redemption.deadline);
        bytes32 digest = _hashTransfer(REDEMPTION_TYPEHASH, voucher, newOwner, redemption.deadline);
        (address keyId, Scheme scheme, ) = _keyOf(device, word);
        bool isValid = KeyProofs.isValid(keyId, scheme, digest, redemption.publicKey, redemption.signature);
        require(isValid, KeyProofInvalid(keyId, digest));
    }

    function _hashTransfer(
        bytes32 typeHash,
        TransferVoucher calldata voucher,
        address newOwner,
        uint40 deadline
    ) private view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(typeHash, voucher.device, newOwner, voucher.epoch, deadline)));
    }

    /// @dev The new owner has agreed.
    function _handOver(address device, DeviceWord word, address newOwner, bytes calldata publicKey) private {
        uint24 epoch = word.epoch() + 1;
        _beginEpoch(device, word, newOwner, epoch, publicKey);
        emit DeviceTransferred(device, word.owner(), newOwner, epoch, msg.sender);
    }

    /// @dev Begins the DID document anew, with nothing but the owner and, if the device is active, its key.
    function _beginEpoch(
        address device,
        DeviceWord word,
        address owner,
        uint24 epoch,
        bytes calldata publicKey
    ) private {
        _requireUnchanged(device, word);
        // What is signed as ERC-1056 has it carries no epoch, and would count again if the device came back.
        _voidSignatures(word.owner());
        _devices[device] = word.withOwner(owner).withEpoch(epoch).changedNow();
        emit DIDOwnerChanged(device, owner, 0);
        if (word.status() != Status.Active) return;
        (address keyId, Scheme scheme) = _requirePublicKey(device, word, publicKey);
        _addKey(device, keyId, scheme, publicKey, 0);
    }

    // ------------------------------------------------------------------ private: keys

    function _requireCurrent(KeyRotation calldata rotation, DeviceWord word, address oldKey) private view {
        (address device, address newKey) = (rotation.device, rotation.newKey);
        require(rotation.oldKey == oldKey, KeyStale(device, oldKey, rotation.oldKey));
        require(newKey != oldKey, KeyUnchanged(device, newKey));
        _requireUsable(newKey);
        require(rotation.epoch == word.epoch(), EpochStale(device, word.epoch(), rotation.epoch));
        _requireInTime(rotation.deadline);
    }

    /// @dev The key that speaks for a device that was enrolled.
    function _keyOf(
        address device,
        DeviceWord word
    ) private view returns (address keyId, Scheme scheme, bool isContinuous) {
        if (!word.isRotated()) return (device, word.scheme(), true);
        KeyWord key = _keys[device];
        return (key.keyId(), key.scheme(), key.isContinuous());
    }

    function _requirePublicKey(
        address device,
        DeviceWord word,
        bytes calldata publicKey
    ) private view returns (address keyId, Scheme scheme) {
        (keyId, scheme, ) = _keyOf(device, word);
        require(KeyProofs.isPublicKeyOf(keyId, scheme, publicKey), PublicKeyMismatch(keyId, publicKey));
    }

    // ------------------------------------------------------------------ private: all

    /// @dev The signature is tried on the owner itself first, which saves an account the question who governs it; a
    ///      fleet handle has neither key nor code, so that for it only its governor's signature counts.
    function _requireSignature(address owner, bytes32 digest, bytes calldata signature) private view {
        if (KeyProofs.isValidAccountSignature(owner, digest, signature)) return;
        address governor = ROLE_REGISTRY.governorOf(owner);
        require(
            governor != owner && KeyProofs.isValidAccountSignature(governor, digest, signature),
            SignatureInvalid(governor, digest)
        );
    }

    /// @dev A resolver sees all events of a block together, so what was published in this one would survive a new start.
    function _requireUnchanged(address device, DeviceWord word) private view {
        require(word.changed() != block.number, DeviceChangedInBlock(device, block.number));
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
}
