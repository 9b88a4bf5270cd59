// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice All that RoleRegistry keeps of a fleet's governance, in one storage word. From the lowest bit:
///         `governor160 | epoch32 | handovers32`. The governor is zero for an account, which governs itself; an account
///         that never revoked all roles has no word at all.
type FleetWord is uint256;

using FleetWords for FleetWord global;

/// @title FleetWords
/// @notice Reads and replaces the fields of a FleetWord.
library FleetWords {
    uint256 private constant EPOCH_AT = 160;
    uint256 private constant HANDOVERS_AT = 192;

    uint256 private constant GOVERNOR_MASK = (1 << EPOCH_AT) - 1;
    uint256 private constant EPOCH_MASK = uint256(type(uint32).max) << EPOCH_AT;
    uint256 private constant HANDOVERS_MASK = uint256(type(uint32).max) << HANDOVERS_AT;

    // ------------------------------------------------------------------ reading

    function isHandle(FleetWord word) internal pure returns (bool) {
        return FleetWord.unwrap(word) & GOVERNOR_MASK != 0;
    }

    /// @param fleet The fleet that the word belongs to.
    function governor(FleetWord word, address fleet) internal pure returns (address) {
        return word.isHandle() ? address(uint160(FleetWord.unwrap(word))) : fleet;
    }

    function epoch(FleetWord word) internal pure returns (uint32) {
        return uint32(FleetWord.unwrap(word) >> EPOCH_AT);
    }

    function handovers(FleetWord word) internal pure returns (uint32) {
        return uint32(FleetWord.unwrap(word) >> HANDOVERS_AT);
    }

    // ------------------------------------------------------------------ writing

    function withGovernor(FleetWord word, address newGovernor) internal pure returns (FleetWord) {
        return FleetWord.wrap((FleetWord.unwrap(word) & ~GOVERNOR_MASK) | uint160(newGovernor));
    }

    function withEpoch(FleetWord word, uint32 newEpoch) internal pure returns (FleetWord) {
        return FleetWord.wrap((FleetWord.unwrap(word) & ~EPOCH_MASK) | (uint256(newEpoch) << EPOCH_AT));
    }

    function withHandovers(FleetWord word, uint32 newHandovers) internal pure returns (FleetWord) {
        return FleetWord.wrap((FleetWord.unwrap(word) & ~HANDOVERS_MASK) | (uint256(newHandovers) << HANDOVERS_AT));
    }
}
