// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PolicyHalfWord} from "./PolicyHalfWord.sol";

/// @notice All that DataAccess keeps of a device's policy, in one storage word. From the lowest bit:
///         `ownerHalf96 | deviceHalf96 | ownerEpoch24 | deviceSeq32 | ownerSet1 | deviceSet1`.
type PolicyWord is uint256;

using PolicyWords for PolicyWord global;

/// @title PolicyWords
/// @notice Reads and replaces the halves of a PolicyWord.
library PolicyWords {
    uint256 private constant DEVICE_HALF_AT = 96;
    uint256 private constant OWNER_EPOCH_AT = 192;
    uint256 private constant DEVICE_SEQ_AT = 216;
    uint256 private constant OWNER_SET = 1 << 248;
    uint256 private constant DEVICE_SET = 1 << 249;

    uint256 private constant OWNER_MASK = type(uint96).max | (uint256(type(uint24).max) << OWNER_EPOCH_AT) | OWNER_SET;
    uint256 private constant DEVICE_MASK =
        (uint256(type(uint96).max) << DEVICE_HALF_AT) | (uint256(type(uint32).max) << DEVICE_SEQ_AT) | DEVICE_SET;

    /// @dev An owner's half that is not set limits nothing and makes nothing public.
    uint96 private constant OWNER_UNSET = type(uint96).max ^ (uint96(type(uint32).max) << 32);

    /// @dev A device's half that is not set limits nothing, public reads neither: it is the owner who makes public.
    uint96 private constant DEVICE_UNSET = type(uint96).max;

    // ------------------------------------------------------------------ reading

    /// @dev The owner's half counts only in the epoch it was set in: another owner, or the same after a new start, begins
    ///      without.
    function isOwnerSet(PolicyWord word, uint24 epoch) internal pure returns (bool) {
        uint256 bits = PolicyWord.unwrap(word);
        return bits & OWNER_SET != 0 && uint24(bits >> OWNER_EPOCH_AT) == epoch;
    }

    function isDeviceSet(PolicyWord word) internal pure returns (bool) {
        return PolicyWord.unwrap(word) & DEVICE_SET != 0;
    }

    /// @dev What the owner's half allows in the epoch.
    function ownerHalf(PolicyWord word, uint24 epoch) internal pure returns (PolicyHalfWord) {
        return PolicyHalfWord.wrap(word.isOwnerSet(epoch) ? uint96(PolicyWord.unwrap(word)) : OWNER_UNSET);
    }

    /// @dev What the device's half allows.
    function deviceHalf(PolicyWord word) internal pure returns (PolicyHalfWord) {
        return
            PolicyHalfWord.wrap(word.isDeviceSet() ? uint96(PolicyWord.unwrap(word) >> DEVICE_HALF_AT) : DEVICE_UNSET);
    }

    function deviceSeq(PolicyWord word) internal pure returns (uint32) {
        return uint32(PolicyWord.unwrap(word) >> DEVICE_SEQ_AT);
    }

    // ------------------------------------------------------------------ writing

    function withOwnerHalf(PolicyWord word, PolicyHalfWord half, uint24 epoch) internal pure returns (PolicyWord) {
        return
            PolicyWord.wrap(
                (PolicyWord.unwrap(word) & ~OWNER_MASK) |
                    PolicyHalfWord.unwrap(half) |
                    (uint256(epoch) << OWNER_EPOCH_AT) |
                    OWNER_SET
            );
    }

    function withDeviceHalf(PolicyWord word, PolicyHalfWord half, uint32 seq) internal pure returns (PolicyWord) {
        return
            PolicyWord.wrap(
                (PolicyWord.unwrap(word) & ~DEVICE_MASK) |
                    (uint256(PolicyHalfWord.unwrap(half)) << DEVICE_HALF_AT) |
                    (uint256(seq) << DEVICE_SEQ_AT) |
                    DEVICE_SET
            );
    }
}
