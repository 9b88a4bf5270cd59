// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IFirmwareRegistry} from "../interfaces/IFirmwareRegistry.sol";

/// @title FirmwareMessages
/// @notice The EIP-712 hashes of the structs that the signers of a product sign.
library FirmwareMessages {
    bytes32 private constant DEPENDENCY_TYPEHASH = keccak256("Dependency(bytes32 productId,uint64 minVersion)");
    bytes32 private constant RELEASE_TYPEHASH = keccak256(
        "Release(bytes32 productId,uint64 version,uint32 securityVersion,bytes32 imageDigest,uint64 size,bytes32 bootDigest,bytes32 manifestDigest,uint8 format,uint8 channels,uint8 heads,uint64 fromMin,uint64 fromMax,uint16 hwRevMin,uint16 hwRevMax,uint16 startBps,uint40 startAt,uint32 rampSeconds,Dependency[] dependencies,uint32 epoch,uint40 deadline)Dependency(bytes32 productId,uint64 minVersion)"
    );
    bytes32 private constant CHANNEL_HEAD_TYPEHASH = keccak256("ChannelHead(uint8 channel,uint64 version)");
    bytes32 private constant STATUS_CHANGE_TYPEHASH = keccak256(
        "StatusChange(bytes32 productId,uint64 version,uint8 status,uint8 quorum,ChannelHead[] heads,uint32 epoch,uint32 nonce,uint40 deadline)ChannelHead(uint8 channel,uint64 version)"
    );

    // ------------------------------------------------------------------ internal

    function hash(IFirmwareRegistry.Release calldata release) internal pure returns (bytes32 releaseHash) {
        bytes32 typeHash = RELEASE_TYPEHASH;
        bytes32 dependencies = _hash(release.dependencies);
        // Safe: it writes above the memory in use only, what abi.encode would: the type's hash and the 20 words of the
        // struct, with the hash of the dependencies in place of their offset (word 18). A word that does not fit its
        // type gives a hash that no release can have: publish encodes all of them for its event, which checks it.
        assembly ("memory-safe") {
            let encoded := mload(0x40)
            mstore(encoded, typeHash)
            calldatacopy(add(encoded, 32), release, 640)
            mstore(add(encoded, 576), dependencies)
            releaseHash := keccak256(encoded, 672)
        }
    }

    function hash(IFirmwareRegistry.StatusChange calldata change) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    STATUS_CHANGE_TYPEHASH,
                    change.productId,
                    change.version,
                    change.status,
                    change.quorum,
                    _hash(change.heads),
                    change.epoch,
                    change.nonce,
                    change.deadline
                )
            );
    }

    // ------------------------------------------------------------------ private

    function _hash(IFirmwareRegistry.Dependency[] calldata dependencies) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](dependencies.length);
        for (uint256 i = 0; i < dependencies.length; ++i) {
            hashes[i] = keccak256(abi.encode(DEPENDENCY_TYPEHASH, dependencies[i]));
        }
        return keccak256(abi.encodePacked(hashes));
    }

    function _hash(IFirmwareRegistry.ChannelHead[] calldata heads) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](heads.length);
        for (uint256 i = 0; i < heads.length; ++i) {
            hashes[i] = keccak256(abi.encode(CHANNEL_HEAD_TYPEHASH, heads[i]));
        }
        return keccak256(abi.encodePacked(hashes));
    }
}
