// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice One half of a device's policy. From the lowest bit: `ceiling32 | publicRead32 | purposes32`.
type PolicyHalfWord is uint96;

using PolicyHalfWords for PolicyHalfWord global;

/// @title PolicyHalfWords
/// @notice Makes a PolicyHalfWord, reads its fields and answers what it allows.
library PolicyHalfWords {
    uint96 private constant PUBLIC_READ_AT = 32;
    uint96 private constant PURPOSES_AT = 64;

    // ------------------------------------------------------------------ reading

    function ceiling(PolicyHalfWord half) internal pure returns (uint32) {
        return uint32(PolicyHalfWord.unwrap(half));
    }

    function publicRead(PolicyHalfWord half) internal pure returns (uint32) {
        return uint32(PolicyHalfWord.unwrap(half) >> PUBLIC_READ_AT);
    }

    function purposes(PolicyHalfWord half) internal pure returns (uint32) {
        return uint32(PolicyHalfWord.unwrap(half) >> PURPOSES_AT);
    }

    /// @dev The half that allows what both allow: all fields are masks.
    function and(PolicyHalfWord half, PolicyHalfWord other) internal pure returns (PolicyHalfWord) {
        return PolicyHalfWord.wrap(PolicyHalfWord.unwrap(half) & PolicyHalfWord.unwrap(other));
    }

    /// @dev Whether the half allows nothing that `other` does not.
    function isWithin(PolicyHalfWord half, PolicyHalfWord other) internal pure returns (bool) {
        return PolicyHalfWord.unwrap(half.and(other)) == PolicyHalfWord.unwrap(half);
    }

    /// @dev Whether a grant may convey all of `permissions` for the purpose.
    function allows(PolicyHalfWord half, uint32 permissions, uint8 purpose) internal pure returns (bool) {
        return permissions & ~half.ceiling() == 0 && (half.purposes() >> purpose) & 1 != 0;
    }

    /// @dev Whether everyone has all of `permissions` for the purpose, if this is what both halves allow.
    function isPublic(PolicyHalfWord both, uint32 permissions, uint8 purpose) internal pure returns (bool) {
        return permissions & ~both.publicRead() == 0 && both.allows(permissions, purpose);
    }

    // ------------------------------------------------------------------ writing

    function pack(uint32 ceiling_, uint32 publicRead_, uint32 purposes_) internal pure returns (PolicyHalfWord) {
        return
            PolicyHalfWord.wrap(
                ceiling_ | (uint96(publicRead_) << PUBLIC_READ_AT) | (uint96(purposes_) << PURPOSES_AT)
            );
    }
}
