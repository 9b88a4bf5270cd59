// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";

import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry} from "./base/Registry.sol";
import {IFirmwareRegistry} from "./interfaces/IFirmwareRegistry.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {FirmwareMessages} from "./libraries/FirmwareMessages.sol";
import {KeyProofs} from "./libraries/KeyProofs.sol";
import {Permissions} from "./libraries/Permissions.sol";
import {ProductWord} from "./libraries/ProductWord.sol";
import {ReleaseWord, ReleaseWords} from "./libraries/ReleaseWord.sol";
import {SignerSets} from "./libraries/SignerSets.sol";

/// @title FirmwareRegistry
/// @notice What code may run: releases that a vendor's quorum signed.
/// @dev It calls others only statically (RoleRegistry, precompiles, ERC-1271 signers), so nothing changes under it while it
///      works. Signatures are checked before anything is written.
/// @custom:security-contact See SECURITY.md
contract FirmwareRegistry is IFirmwareRegistry, FleetAuthority, Multicall {
    using FirmwareMessages for Release;
    using FirmwareMessages for StatusChange;
    using SignerSets for SignerSet;

    // ------------------------------------------------------------------ types

    /// @param setHash See SignerSets.hashOf; 0 for a product that does not exist.
    /// @param lowHeads Heads of the channels 1–3; that of channel c is at bit 64 · (c mod 4).
    /// @param highHeads Heads of the channels 4–7, in the same way.
    struct ProductState {
        bytes32 setHash;
        ProductWord word;
        uint256 lowHeads;
        uint256 highHeads;
    }

    /// @param releaseHash EIP-712 hash of the Release struct.
    struct ReleaseState {
        ReleaseWord word;
        bytes32 releaseHash;
    }

    // ------------------------------------------------------------------ constants

    uint8 private constant CHANNELS = 8;
    uint64 private constant MAX_SIZE = type(uint40).max;
    uint16 private constant ALL_DEVICES = 10_000;
    uint256 private constant MAX_DEPENDENCIES = 8;

    // ------------------------------------------------------------------ storage

    mapping(bytes32 productId => ProductState) private _products;
    mapping(bytes32 productId => mapping(uint64 version => bytes32 imageDigest)) private _digests;

    /// @dev No release has the digest 0, so what is there for it is always zero.
    mapping(bytes32 productId => mapping(bytes32 imageDigest => ReleaseState)) private _releases;

    // ------------------------------------------------------------------ constructor

    constructor(IRoleRegistry roleRegistry) Registry("Touchstone FirmwareRegistry") FleetAuthority(roleRegistry) {
        KeyProofs.requirePrecompile();
    }

    // ------------------------------------------------------------------ products and releases

    /// @inheritdoc IFirmwareRegistry
    function createProduct(
        address vendor,
        bytes32 hardwareClass,
        bytes32 component,
        SignerSet calldata signerSet
    ) external override returns (bytes32 productId) {
        _requirePermission(vendor, Permissions.PUBLISH_MANIFEST);
        bytes32 classId = classIdOf(vendor, hardwareClass);
        productId = _productIdOf(classId, component);
        ProductState storage product = _products[productId];
        require(product.setHash == 0, ProductExists(productId));
        require(signerSet.epoch == 1, SignerSetInvalid(signerSet.signers.length, signerSet.epoch));
        signerSet.requireValid();

        product.setHash = SignerSets.hashOf(productId, signerSet);

        emit ProductCreated(productId, vendor, classId, hardwareClass, component, msg.sender, signerSet);
    }

    /// @inheritdoc IFirmwareRegistry
    function publish(
        Release calldata release,
        SignerSet calldata signerSet,
        SignerProof[] calldata proofs
    ) external override {
        bytes32 productId = release.productId;
        ProductState storage product = _products[productId];
        _requireSignerSet(productId, product.setHash, signerSet, release.epoch);
        _requireInTime(release.deadline);
        ProductWord word = product.word;
        require(release.version > word.highest(), VersionNotNewer(productId, word.highest(), release.version));
        _requirePublishable(release);
        ReleaseState storage state = _releases[productId][release.imageDigest];
        _requireUnused(release, state.word);
        bytes32 releaseHash = release.hash();
        uint32 signedBy = signerSet.requireQuorum(Quorum.Release, _hashTypedDataV4(releaseHash), proofs);

        word = word.withHighest(release.version);
        if (release.heads & 1 != 0) word = word.withHead(release.version);
        // A message about heads that was signed before and not yet sent must not roll this back.
        product.word = release.heads == 0 ? word : word.withNextNonce(Quorum.Release);
        _setPublishedHeads(product, release.heads, release.version);
        _digests[productId][release.version] = release.imageDigest;
        state.word = ReleaseWords.first(release);
        state.releaseHash = releaseHash;

        emit ReleasePublished(productId, release.version, release.imageDigest, releaseHash, signedBy, release);
    }

    /// @inheritdoc IFirmwareRegistry
    function setStatus(
        StatusChange calldata change,
        SignerSet calldata signerSet,
        SignerProof[] calldata proofs
    ) external override {
        ProductState storage product = _products[change.productId];
        _requireSignerSet(change.productId, product.setHash, signerSet, change.epoch);
        _requireInTime(change.deadline);
        // The Revoke quorum is the small one: it only ever takes releases out of circulation, and not for good.
        require(
            change.quorum == Quorum.Release || (change.quorum == Quorum.Revoke && change.status == Status.Yanked),
            QuorumInsufficient(change.quorum)
        );
        _requireNonce(change, product.word.nonce(change.quorum));
        ReleaseState storage state = _releases[change.productId][_digests[change.productId][change.version]];
        ReleaseWord word = state.word;
        Status from = word.status();
        _requireTransition(change, from);
        uint32 signedBy = signerSet.requireQuorum(change.quorum, _hashTypedDataV4(change.hash()), proofs);

        product.word = _afterMessageOf(change.quorum, product.word);
        bool changed = change.status != from;
        if (changed) state.word = word.withStatus(change.status);
        if (_setHeads(product, change)) changed = true;
        require(changed, StatusChangeInvalid(change.productId, change.version, from, change.status));

        emit StatusChanged(
            change.productId,
            change.version,
            from,
            change.status,
            change.quorum,
            change.heads,
            change.nonce,
            signedBy
        );
    }

    /// @inheritdoc IFirmwareRegistry
    function announce(
        address vendor,
        bytes32 hardwareClass,
        bytes32 component,
        uint64 version,
        string calldata uri
    ) external override {
        _requirePermission(vendor, Permissions.PUBLISH_MANIFEST);
        bytes32 productId = productIdOf(vendor, hardwareClass, component);
        require(_digests[productId][version] != 0, ReleaseUnknown(productId, version));

        emit ReleaseAnnounced(productId, version, msg.sender, uri);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IFirmwareRegistry
    function verify(
        bytes32 productId,
        bytes32 imageDigest,
        uint64 size
    ) external view override returns (bool ok, Reason reason, uint64 version) {
        ReleaseWord word = _releases[productId][imageDigest].word;
        Status status = word.status();
        if (status == Status.None) {
            return (false, _products[productId].setHash == 0 ? Reason.ProductUnknown : Reason.DigestUnknown, 0);
        }
        version = word.version();
        if (size != word.size()) return (false, Reason.SizeMismatch, version);
        if (status == Status.Live) return (true, Reason.Authorised, version);
        return (false, status == Status.Yanked ? Reason.Yanked : Reason.Revoked, version);
    }

    /// @inheritdoc IFirmwareRegistry
    function latest(bytes32 productId, uint8 channel) external view override returns (ReleaseRecord memory record) {
        record = releaseOf(productId, headOf(productId, channel));
        if (record.status != Status.Live) delete record;
    }

    /// @inheritdoc IFirmwareRegistry
    function headOf(bytes32 productId, uint8 channel) public view override returns (uint64) {
        return channel < CHANNELS ? _headOf(_products[productId], channel) : 0;
    }

    /// @inheritdoc IFirmwareRegistry
    function releaseOf(bytes32 productId, uint64 version) public view override returns (ReleaseRecord memory) {
        bytes32 imageDigest = _digests[productId][version];
        ReleaseState storage state = _releases[productId][imageDigest];
        ReleaseWord word = state.word;
        return
            ReleaseRecord({
                version: word.version(),
                securityVersion: word.securityVersion(),
                size: word.size(),
                status: word.status(),
                channels: word.channels(),
                publishedAt: word.publishedAt(),
                imageDigest: imageDigest,
                releaseHash: state.releaseHash
            });
    }

    /// @inheritdoc IFirmwareRegistry
    function productOf(bytes32 productId) external view override returns (Product memory) {
        ProductState storage product = _products[productId];
        ProductWord word = product.word;
        return
            Product({
                setHash: product.setHash,
                highest: word.highest(),
                releaseNonce: word.nonce(Quorum.Release),
                revokeNonce: word.nonce(Quorum.Revoke)
            });
    }

    /// @inheritdoc IFirmwareRegistry
    function hashRelease(Release calldata release) external pure override returns (bytes32) {
        return release.hash();
    }

    /// @inheritdoc IFirmwareRegistry
    function classIdOf(address vendor, bytes32 hardwareClass) public pure override returns (bytes32) {
        return keccak256(abi.encode(vendor, hardwareClass));
    }

    /// @inheritdoc IFirmwareRegistry
    function productIdOf(
        address vendor,
        bytes32 hardwareClass,
        bytes32 component
    ) public pure override returns (bytes32) {
        return _productIdOf(classIdOf(vendor, hardwareClass), component);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return interfaceId == type(IFirmwareRegistry).interfaceId || super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private: rules

    function _productIdOf(bytes32 classId, bytes32 component) private pure returns (bytes32) {
        return keccak256(abi.encode(classId, component));
    }

    /// @param epoch What the message carries.
    function _requireSignerSet(
        bytes32 productId,
        bytes32 setHash,
        SignerSet calldata signerSet,
        uint32 epoch
    ) private pure {
        require(setHash != 0, ProductUnknown(productId));
        bytes32 given = SignerSets.hashOf(productId, signerSet);
        require(given == setHash, SignerSetMismatch(productId, setHash, given));
        require(epoch == signerSet.epoch, SignerEpochStale(productId, signerSet.epoch, epoch));
    }

    /// @dev The rules of a release that need no storage.
    function _requirePublishable(Release calldata release) private pure {
        require(release.imageDigest != 0, DigestMissing());
        require(release.size != 0 && release.size <= MAX_SIZE, SizeInvalid(release.size));
        require(release.heads & ~release.channels == 0, ChannelsInvalid(release.channels, release.heads));
        require(release.fromMin <= release.fromMax, RangeInvalid(release.fromMin, release.fromMax));
        require(release.hwRevMin <= release.hwRevMax, RangeInvalid(release.hwRevMin, release.hwRevMax));
        require(release.startBps <= ALL_DEVICES, RolloutInvalid(release.startBps));
        require(release.dependencies.length <= MAX_DEPENDENCIES, DependenciesInvalid(release.dependencies.length));
    }

    /// @param word What is kept under the digest of the new release.
    function _requireUnused(Release calldata release, ReleaseWord word) private pure {
        require(word.status() == Status.None, DigestUsed(release.productId, release.imageDigest, word.version()));
    }

    /// @dev Every way from Live or Yanked to a status that exists is open; one that changes nothing is refused later.
    function _requireTransition(StatusChange calldata change, Status from) private pure {
        require(from != Status.None, ReleaseUnknown(change.productId, change.version));
        require(
            from != Status.Revoked && change.status != Status.None,
            StatusChangeInvalid(change.productId, change.version, from, change.status)
        );
    }

    function _requireNonce(StatusChange calldata change, uint32 nonce) private pure {
        require(change.nonce == nonce, NonceStale(change.productId, change.quorum, nonce, change.nonce));
    }

    /// @dev An emergency also voids the routine messages that were signed before it, so that none can undo it. The other way
    ///      round, no routine message voids an emergency.
    function _afterMessageOf(Quorum quorum, ProductWord word) private pure returns (ProductWord) {
        word = word.withNextNonce(quorum);
        return quorum == Quorum.Revoke ? word.withNextNonce(Quorum.Release) : word;
    }

    // ------------------------------------------------------------------ private: heads

    /// @dev Makes a new release the head of those channels in the mask that have their heads outside of the product's word.
    function _setPublishedHeads(ProductState storage product, uint8 channels, uint64 version) private {
        if (channels & 0x0e != 0) product.lowHeads = _withHeads(product.lowHeads, channels & 0x0e, version);
        if (channels & 0xf0 != 0) product.highHeads = _withHeads(product.highHeads, channels >> 4, version);
    }

    /// @dev Sets the heads that the message names, once the status of its release is what it says.
    /// @return changed Whether any of them is another one than before.
    function _setHeads(ProductState storage product, StatusChange calldata change) private returns (bool changed) {
        uint8 previous;
        for (uint256 i = 0; i < change.heads.length; ++i) {
            uint8 channel = change.heads[i].channel;
            uint64 version = change.heads[i].version;
            require(channel < CHANNELS, ChannelUnknown(channel));
            require(i == 0 || channel > previous, ChannelsNotAscending(previous, channel));
            previous = channel;
            uint64 current = _headOf(product, channel);
            if (change.quorum == Quorum.Revoke) {
                require(version == 0, QuorumInsufficient(change.quorum));
                // The head has moved on: that must not hold up the emergency.
                if (current != change.version) continue;
            }
            require(
                version == 0 || _releases[change.productId][_digests[change.productId][version]].word.canHead(channel),
                HeadInvalid(change.productId, channel, version)
            );
            if (version == current) continue;
            _setHead(product, channel, version);
            changed = true;
        }
    }

    function _setHead(ProductState storage product, uint8 channel, uint64 version) private {
        uint8 mask = uint8(1) << (channel & 3);
        if (channel == 0) product.word = product.word.withHead(version);
        else if (channel < 4) product.lowHeads = _withHeads(product.lowHeads, mask, version);
        else product.highHeads = _withHeads(product.highHeads, mask, version);
    }

    function _headOf(ProductState storage product, uint8 channel) private view returns (uint64) {
        if (channel == 0) return product.word.head();
        uint256 heads = channel < 4 ? product.lowHeads : product.highHeads;
        // Safe: the cast keeps the 64 bits of the channel.
        return uint64(heads >> (64 * (channel & 3)));
    }

    /// @dev The word of four heads with `version` at the places in the mask.
    function _withHeads(uint256 heads, uint8 mask, uint64 version) private pure returns (uint256) {
        for (uint256 place = 0; place < 4; ++place) {
            if ((mask >> place) & 1 == 0) continue;
            uint256 shift = 64 * place;
            heads = (heads & ~(uint256(type(uint64).max) << shift)) | (uint256(version) << shift);
        }
        return heads;
    }
}
