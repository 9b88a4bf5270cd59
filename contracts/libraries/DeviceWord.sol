// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {Scheme} from "./KeyProofs.sol";

/// @notice All that DeviceRegistry keeps of a device, in one storage word. From the lowest bit:
///         `owner160 | changed36 | epoch24 | status2 | scheme2 | rotated1 | manifest31`.
type DeviceWord is uint256;

using DeviceWords for DeviceWord global;

/// @title DeviceWords
/// @notice Reads and replaces the fields of a DeviceWord.
library DeviceWords {
    /// @notice The block number does not fit the 36 bits that a device has for it.
    error BlockNumberTooLarge(uint256 blockNumber);

    uint256 private constant CHANGED_AT = 160;
    uint256 private constant EPOCH_AT = 196;
    uint256 private constant STATUS_AT = 220;
    uint256 private constant SCHEME_AT = 222;
    uint256 private constant MANIFEST_AT = 225;

    uint256 private constant OWNER_MASK = type(uint160).max;
    uint256 private constant CHANGED_MASK = ((1 << 36) - 1) << CHANGED_AT;
    uint256 private constant EPOCH_MASK = uint256(type(uint24).max) << EPOCH_AT;
    uint256 private constant STATUS_MASK = 3 << STATUS_AT;
    uint256 private constant ROTATED = 1 << 224;

    // ------------------------------------------------------------------ reading

    function owner(DeviceWord word) internal pure returns (address) {
        return address(uint160(DeviceWord.unwrap(word)));
    }

    function changed(DeviceWord word) internal pure returns (uint40) {
        return uint40((DeviceWord.unwrap(word) & CHANGED_MASK) >> CHANGED_AT);
    }

    function epoch(DeviceWord word) internal pure returns (uint24) {
        return uint24(DeviceWord.unwrap(word) >> EPOCH_AT);
    }

    function status(DeviceWord word) internal pure returns (IDeviceRegistry.Status) {
        return IDeviceRegistry.Status((DeviceWord.unwrap(word) >> STATUS_AT) & 3);
    }

    /// @dev The scheme of the factory key. Only `first` writes it, from a Scheme, so the conversion never fails.
    function scheme(DeviceWord word) internal pure returns (Scheme) {
        return Scheme((DeviceWord.unwrap(word) >> SCHEME_AT) & 3);
    }

    /// @dev Whether another key than the factory's was put in place.
    function isRotated(DeviceWord word) internal pure returns (bool) {
        return DeviceWord.unwrap(word) & ROTATED != 0;
    }

    function manifest(DeviceWord word) internal pure returns (uint32) {
        return uint32(DeviceWord.unwrap(word) >> MANIFEST_AT);
    }

    // ------------------------------------------------------------------ writing

    /// @dev The word of a device that was just enrolled: active, in epoch 1, changed in this block. Manifests are numbered
    ///      below 2^31.
    function first(address owner_, Scheme scheme_, uint32 manifest_) internal view returns (DeviceWord) {
        uint256 bits = uint160(owner_) | (1 << EPOCH_AT) | (uint256(scheme_) << SCHEME_AT);
        return
            DeviceWord
                .wrap(bits | (uint256(manifest_) << MANIFEST_AT))
                .withStatus(IDeviceRegistry.Status.Active)
                .changedNow();
    }

    function withOwner(DeviceWord word, address newOwner) internal pure returns (DeviceWord) {
        return DeviceWord.wrap((DeviceWord.unwrap(word) & ~OWNER_MASK) | uint160(newOwner));
    }

    function withRotated(DeviceWord word) internal pure returns (DeviceWord) {
        return DeviceWord.wrap(DeviceWord.unwrap(word) | ROTATED);
    }

    function withStatus(DeviceWord word, IDeviceRegistry.Status newStatus) internal pure returns (DeviceWord) {
        return DeviceWord.wrap((DeviceWord.unwrap(word) & ~STATUS_MASK) | (uint256(newStatus) << STATUS_AT));
    }

    function withEpoch(DeviceWord word, uint24 newEpoch) internal pure returns (DeviceWord) {
        return DeviceWord.wrap((DeviceWord.unwrap(word) & ~EPOCH_MASK) | (uint256(newEpoch) << EPOCH_AT));
    }

    function changedNow(DeviceWord word) internal view returns (DeviceWord) {
        require(block.number >> 36 == 0, BlockNumberTooLarge(block.number));
        return DeviceWord.wrap((DeviceWord.unwrap(word) & ~CHANGED_MASK) | (block.number << CHANGED_AT));
    }
}
