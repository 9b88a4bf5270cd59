// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {KeyProof, Scheme} from "../libraries/KeyProofs.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title IFirmwareRegistry
/// @notice What code may run: releases that a vendor's quorum signed.
/// @dev `classId = keccak256(abi.encode(vendor, hardwareClass))`, `productId = keccak256(abi.encode(classId, component))`. The signers
///      of a product are kept as one hash and passed in calldata. Every quorum message is EIP-712 and anyone may send it.
/// @custom:security-contact See SECURITY.md
interface IFirmwareRegistry is IRegistry {
    // ------------------------------------------------------------------ structs

    /// @notice What a signer of a product may take part in; a signer may hold several roles.
    enum Quorum {
        /// @custom:value0 Changes the signers and repairs the product.
        Root,
        /// @custom:value1 Publishes releases and moves heads.
        Release,
        /// @custom:value2 Takes releases out of circulation.
        Revoke
    }

    /// @notice Where a release is in its life.
    enum Status {
        /// @custom:value0 Never published.
        None,
        /// @custom:value1 May be installed.
        Live,
        /// @custom:value2 May not be newly installed; what runs it may go on. Can return to Live.
        Yanked,
        /// @custom:value3 May not run. Final.
        Revoked
    }

    /// @notice Why `verify` said what it said: the first that applies.
    enum Reason {
        /// @custom:value0 The file is a release that may be installed.
        Authorised,
        /// @custom:value1 There is no such product.
        ProductUnknown,
        /// @custom:value2 No release of the product has this digest.
        DigestUnknown,
        /// @custom:value3 The release with this digest has another size.
        SizeMismatch,
        /// @custom:value4 The release was yanked.
        Yanked,
        /// @custom:value5 The release was revoked.
        Revoked
    }

    /// @notice One signer of a product.
    /// @param keyId Its id: an account, or the id of a P-256 key.
    /// @param scheme How it signs.
    /// @param roles Mask: bit n stands for Quorum n.
    struct Signer {
        address keyId;
        Scheme scheme;
        uint8 roles;
    }

    /// @notice The signers of a product.
    /// @param epoch Counts from 1; each rotation raises it by 1.
    /// @param rootThreshold Signatures that a Root message needs.
    /// @param releaseThreshold Signatures that a Release message needs.
    /// @param revokeThreshold Signatures that a Revoke message needs.
    /// @param signers At most 32, by strictly ascending keyId.
    struct SignerSet {
        uint32 epoch;
        uint8 rootThreshold;
        uint8 releaseThreshold;
        uint8 revokeThreshold;
        Signer[] signers;
    }

    /// @notice One signature of a quorum message.
    /// @param signer Index in the signer set; strictly ascending within a message.
    struct SignerProof {
        uint8 signer;
        KeyProof proof;
    }

    /// @notice A release of another product that has to be installed first; clients check it.
    struct Dependency {
        bytes32 productId;
        uint64 minVersion;
    }

    /// @notice EIP-712 message by which the Release quorum publishes an image.
    /// @param productId The product.
    /// @param version Higher than every version before.
    /// @param securityVersion Devices never go below the one they have.
    /// @param imageDigest SHA-256 of the exact file.
    /// @param size Bytes of the file, at most 2^40 - 1.
    /// @param bootDigest What the boot loader hashes; 0 for none.
    /// @param manifestDigest SHA-256 of what describes the release (notes, SBOM, provenance); 0 for none.
    /// @param format Format of the file, see docs; 0 for plain binary.
    /// @param channels Mask of the channels 0–7 that the release may be the head of.
    /// @param heads Mask of the channels that it is the head of from publication on, a subset of `channels`.
    /// @param fromMin Lowest installed version that it can be installed over.
    /// @param fromMax Highest installed version that it can be installed over.
    /// @param hwRevMin Lowest hardware revision that it runs on.
    /// @param hwRevMax Highest hardware revision that it runs on.
    /// @param startBps Part of the fleet, in 1/10,000, that it is offered to at `startAt`.
    /// @param startAt Unix seconds at which the rollout starts; 0 for at once.
    /// @param rampSeconds Seconds from `startAt` until all devices are offered it.
    /// @param dependencies At most 8.
    /// @param epoch Epoch of the signer set.
    /// @param deadline Unix seconds until which the message is valid.
    struct Release {
        bytes32 productId;
        uint64 version;
        uint32 securityVersion;
        bytes32 imageDigest;
        uint64 size;
        bytes32 bootDigest;
        bytes32 manifestDigest;
        uint8 format;
        uint8 channels;
        uint8 heads;
        uint64 fromMin;
        uint64 fromMax;
        uint16 hwRevMin;
        uint16 hwRevMax;
        uint16 startBps;
        uint40 startAt;
        uint32 rampSeconds;
        Dependency[] dependencies;
        uint32 epoch;
        uint40 deadline;
    }

    /// @notice Names the head of a channel; version 0 for none.
    struct ChannelHead {
        uint8 channel;
        uint64 version;
    }

    /// @notice EIP-712 message by which a quorum changes the status of a release, and heads with it.
    /// @dev The Release quorum brings Live to Yanked and back and either of them to Revoked, or changes heads alone, with the
    ///      status as it is. The Revoke quorum brings to Yanked, and the heads that it names to 0 where they are
    ///      still the release; those that have moved on stay as they are, as do all heads that are not named.
    /// @param productId The product.
    /// @param version The release.
    /// @param status What it becomes: Live, Yanked or Revoked.
    /// @param quorum Who signs: Release or Revoke.
    /// @param heads Heads that change with it, by strictly ascending channel.
    /// @param epoch Epoch of the signer set.
    /// @param nonce The product's present count for this quorum, see Product.
    /// @param deadline Unix seconds until which the message is valid.
    struct StatusChange {
        bytes32 productId;
        uint64 version;
        Status status;
        Quorum quorum;
        ChannelHead[] heads;
        uint32 epoch;
        uint32 nonce;
        uint40 deadline;
    }

    /// @notice What the registry keeps of a release.
    /// @param releaseHash EIP-712 hash of the Release struct: every field of it stays provable.
    struct ReleaseRecord {
        uint64 version;
        uint32 securityVersion;
        uint64 size;
        Status status;
        uint8 channels;
        uint40 publishedAt;
        bytes32 imageDigest;
        bytes32 releaseHash;
    }

    /// @notice What the registry keeps of a product.
    /// @param setHash keccak256(abi.encode(productId, signerSet)); 0 for a product that does not exist.
    /// @param highest Highest version ever published.
    /// @param releaseNonce Counts what a status message of the Release quorum must not overlook: the status messages of both
    ///        quorums, and the releases that were published as heads.
    /// @param revokeNonce Counts the status messages of the Revoke quorum.
    struct Product {
        bytes32 setHash;
        uint64 highest;
        uint32 releaseNonce;
        uint32 revokeNonce;
    }

    // ------------------------------------------------------------------ errors

    /// @notice The product exists already.
    error ProductExists(bytes32 productId);

    /// @notice There is no such product.
    error ProductUnknown(bytes32 productId);

    /// @notice A set has 1 to 32 signers and starts at epoch 1.
    error SignerSetInvalid(uint256 signers, uint32 epoch);

    /// @notice Signers stand in strictly ascending order of their keyId, so none stands twice.
    error SignersNotAscending(address previous, address keyId);

    /// @notice A signer holds at least one of the three roles, and no other bits.
    error SignerRolesInvalid(address keyId, uint8 roles);

    /// @notice A threshold is at least 1 and at most the number of signers with that role.
    error ThresholdInvalid(Quorum quorum, uint8 threshold, uint256 signers);

    /// @notice The signer set passed in is not the product's present one.
    error SignerSetMismatch(bytes32 productId, bytes32 expected, bytes32 given);

    /// @notice The message was made for another epoch of the signer set.
    error SignerEpochStale(bytes32 productId, uint32 current, uint32 given);

    /// @notice Fewer signatures than the quorum needs.
    error ThresholdNotMet(Quorum quorum, uint256 given, uint8 needed);

    /// @notice Signatures stand in strictly ascending order of their signer's index, so none counts twice.
    error ProofsNotAscending(uint8 previous, uint8 signer);

    /// @notice The set has no signer with this index.
    error SignerUnknown(uint8 signer);

    /// @notice The signer does not belong to this quorum.
    error SignerNotInQuorum(address keyId, Quorum quorum);

    /// @notice The version is not above the highest one ever published.
    error VersionNotNewer(bytes32 productId, uint64 highest, uint64 given);

    /// @notice The product has a release with this digest already.
    error DigestUsed(bytes32 productId, bytes32 imageDigest, uint64 version);

    /// @notice A release needs a digest.
    error DigestMissing();

    /// @notice A size is 1 to 2^40 - 1 bytes.
    error SizeInvalid(uint64 size);

    /// @notice A release is a head only of channels it lists.
    error ChannelsInvalid(uint8 channels, uint8 heads);

    /// @notice The range is empty: the lower bound is above the upper.
    error RangeInvalid(uint64 min, uint64 max);

    /// @notice A part of the fleet is at most 10,000 / 10,000.
    error RolloutInvalid(uint16 startBps);

    /// @notice A release has at most 8 dependencies.
    error DependenciesInvalid(uint256 dependencies);

    /// @notice The product has no release with this version.
    error ReleaseUnknown(bytes32 productId, uint64 version);

    /// @notice The release cannot go from one status to the other, or the message would change nothing at all.
    error StatusChangeInvalid(bytes32 productId, uint64 version, Status from, Status to);

    /// @notice This quorum cannot do that: it takes the Release quorum.
    error QuorumInsufficient(Quorum quorum);

    /// @notice The message does not carry the present nonce of its quorum: it was used, or overtaken by another.
    error NonceStale(bytes32 productId, Quorum quorum, uint32 current, uint32 given);

    /// @notice There are the channels 0–7.
    error ChannelUnknown(uint8 channel);

    /// @notice Heads stand in strictly ascending order of their channel, so none is named twice.
    error ChannelsNotAscending(uint8 previous, uint8 channel);

    /// @notice A head is a live release that lists the channel.
    error HeadInvalid(bytes32 productId, uint8 channel, uint64 version);

    // ------------------------------------------------------------------ events

    /// @notice The product exists, with these signers.
    event ProductCreated(
        bytes32 indexed productId,
        address indexed vendor,
        bytes32 indexed classId,
        bytes32 hardwareClass,
        bytes32 component,
        address by,
        SignerSet signerSet
    );

    /// @notice The release is authorised.
    /// @param signedBy Mask: bit n stands for signer n of the set.
    event ReleasePublished(
        bytes32 indexed productId,
        uint64 indexed version,
        bytes32 indexed imageDigest,
        bytes32 releaseHash,
        uint32 signedBy,
        Release release
    );

    /// @notice The status of the release became `status`, and the heads named are as they say; those that the Revoke quorum
    ///         named and that were not the release are as they were.
    /// @param signedBy Mask: bit n stands for signer n of the set.
    event StatusChanged(
        bytes32 indexed productId,
        uint64 indexed version,
        Status from,
        Status status,
        Quorum quorum,
        ChannelHead[] heads,
        uint32 nonce,
        uint32 signedBy
    );

    /// @notice Where the release's file can be had: a hint, the digest decides.
    event ReleaseAnnounced(bytes32 indexed productId, uint64 indexed version, address indexed by, string uri);

    // ------------------------------------------------------------------ products and releases

    /// @notice Creates a product with its signers.
    /// @dev By the vendor's governor or its member with PublishManifest, for good: the id says nothing about the signers,
    ///      so check them (ProductCreated) before devices trust it, and give PublishManifest to whom you trust with it.
    ///      Reverts: CallerLacksPermission, ProductExists,
    ///      SignerSetInvalid, IdReserved, SignersNotAscending, SignerRolesInvalid, ThresholdInvalid.
    function createProduct(
        address vendor,
        bytes32 hardwareClass,
        bytes32 component,
        SignerSet calldata signerSet
    ) external returns (bytes32 productId);

    /// @notice Publishes the image that the Release quorum signed for. Anyone may send.
    /// @dev Reverts: ProductUnknown, SignerSetMismatch, SignerEpochStale, DeadlinePassed, VersionNotNewer, DigestMissing,
    ///      SizeInvalid, ChannelsInvalid, RangeInvalid, RolloutInvalid, DependenciesInvalid, DigestUsed, ThresholdNotMet,
    ///      ProofsNotAscending, SignerUnknown, SignerNotInQuorum, KeyProofInvalid.
    function publish(Release calldata release, SignerSet calldata signerSet, SignerProof[] calldata proofs) external;

    /// @notice Changes the status of a release, and the heads named with it. Anyone may send.
    /// @dev Reverts: ProductUnknown, SignerSetMismatch, SignerEpochStale, DeadlinePassed, QuorumInsufficient, NonceStale,
    ///      ReleaseUnknown, StatusChangeInvalid, ThresholdNotMet, ProofsNotAscending, SignerUnknown, SignerNotInQuorum,
    ///      KeyProofInvalid, ChannelUnknown, ChannelsNotAscending, HeadInvalid.
    function setStatus(
        StatusChange calldata change,
        SignerSet calldata signerSet,
        SignerProof[] calldata proofs
    ) external;

    /// @notice Says where the release's file can be had.
    /// @dev By the vendor's governor or its member with PublishManifest, as often as wanted. Reverts: CallerLacksPermission,
    ///      ReleaseUnknown.
    function announce(
        address vendor,
        bytes32 hardwareClass,
        bytes32 component,
        uint64 version,
        string calldata uri
    ) external;

    // ------------------------------------------------------------------ views

    /// @notice Whether the file with this digest and size may be installed, why not, and which version it is.
    /// @param imageDigest SHA-256 of the exact file.
    /// @param size Bytes of the file.
    function verify(
        bytes32 productId,
        bytes32 imageDigest,
        uint64 size
    ) external view returns (bool ok, Reason reason, uint64 version);

    /// @notice The head of the channel while it may be installed; all zero otherwise.
    function latest(bytes32 productId, uint8 channel) external view returns (ReleaseRecord memory);

    /// @notice The head of the channel as last set, whatever its status.
    function headOf(bytes32 productId, uint8 channel) external view returns (uint64 version);

    /// @notice What the registry keeps of a release; all zero if there is none.
    function releaseOf(bytes32 productId, uint64 version) external view returns (ReleaseRecord memory);

    /// @notice What the registry keeps of a product; all zero if there is none.
    function productOf(bytes32 productId) external view returns (Product memory);

    /// @notice EIP-712 hash of a Release struct, as kept in its record.
    function hashRelease(Release calldata release) external pure returns (bytes32);

    /// @notice The id of a vendor's class of hardware.
    function classIdOf(address vendor, bytes32 hardwareClass) external pure returns (bytes32);

    /// @notice The id of a component of a vendor's class of hardware.
    function productIdOf(address vendor, bytes32 hardwareClass, bytes32 component) external pure returns (bytes32);
}
