// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The roles of one account in one fleet, as last set, in one storage word. From the lowest bit:
///         `roles32 | notBefore40 | expiry40 | epoch32`. Zero for an account that never was a member, or was removed.
type MemberWord is uint256;

using MemberWords for MemberWord global;

/// @title MemberWords
/// @notice Makes a MemberWord and reads its fields.
library MemberWords {
    uint256 private constant NOT_BEFORE_AT = 32;
    uint256 private constant EXPIRY_AT = 72;
    uint256 private constant EPOCH_AT = 112;

    function pack(uint32 roles_, uint40 notBefore_, uint40 expiry_, uint32 epoch_) internal pure returns (MemberWord) {
        return
            MemberWord.wrap(
                roles_ |
                    (uint256(notBefore_) << NOT_BEFORE_AT) |
                    (uint256(expiry_) << EXPIRY_AT) |
                    (uint256(epoch_) << EPOCH_AT)
            );
    }

    function roles(MemberWord word) internal pure returns (uint32) {
        return uint32(MemberWord.unwrap(word));
    }

    function notBefore(MemberWord word) internal pure returns (uint40) {
        return uint40(MemberWord.unwrap(word) >> NOT_BEFORE_AT);
    }

    function expiry(MemberWord word) internal pure returns (uint40) {
        return uint40(MemberWord.unwrap(word) >> EXPIRY_AT);
    }

    function epoch(MemberWord word) internal pure returns (uint32) {
        return uint32(MemberWord.unwrap(word) >> EPOCH_AT);
    }

    /// @dev The roles given in this epoch of the fleet, whether their window is open or not.
    function rolesIn(MemberWord word, uint32 fleetEpoch) internal pure returns (uint32) {
        return word.epoch() == fleetEpoch ? word.roles() : 0;
    }

    /// @dev The roles that hold in this block, if this is the epoch of the fleet. The window is half-open.
    function rolesNow(MemberWord word, uint32 fleetEpoch) internal view returns (uint32) {
        bool isOpen = block.timestamp >= word.notBefore() && block.timestamp < word.expiry();
        return isOpen ? word.rolesIn(fleetEpoch) : 0;
    }
}
