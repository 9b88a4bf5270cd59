// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IFirmwareRegistry} from "../interfaces/IFirmwareRegistry.sol";

/// @notice What FirmwareRegistry looks at of a release, in one storage word. From the lowest bit:
///         `status8 | channels8 | version64 | securityVersion32 | size40 | publishedAt40`. Zero for none.
type ReleaseWord is uint256;

using ReleaseWords for ReleaseWord global;

/// @title ReleaseWords
/// @notice Reads and replaces the fields of a ReleaseWord.
library ReleaseWords {
    uint256 private constant CHANNELS_AT = 8;
    uint256 private constant VERSION_AT = 16;
    uint256 private constant SECURITY_VERSION_AT = 80;
    uint256 private constant SIZE_AT = 112;
    uint256 private constant PUBLISHED_AT_AT = 152;

    uint256 private constant STATUS_MASK = type(uint8).max;

    // ------------------------------------------------------------------ reading

    /// @dev Only `first` and `withStatus` write it, from a Status, so the conversion never fails.
    function status(ReleaseWord word) internal pure returns (IFirmwareRegistry.Status) {
        return IFirmwareRegistry.Status(ReleaseWord.unwrap(word) & STATUS_MASK);
    }

    function channels(ReleaseWord word) internal pure returns (uint8) {
        return uint8(ReleaseWord.unwrap(word) >> CHANNELS_AT);
    }

    function version(ReleaseWord word) internal pure returns (uint64) {
        return uint64(ReleaseWord.unwrap(word) >> VERSION_AT);
    }

    function securityVersion(ReleaseWord word) internal pure returns (uint32) {
        return uint32(ReleaseWord.unwrap(word) >> SECURITY_VERSION_AT);
    }

    function size(ReleaseWord word) internal pure returns (uint40) {
        return uint40(ReleaseWord.unwrap(word) >> SIZE_AT);
    }

    function publishedAt(ReleaseWord word) internal pure returns (uint40) {
        return uint40(ReleaseWord.unwrap(word) >> PUBLISHED_AT_AT);
    }

    /// @notice Whether the release may be the head of the channel, from 0 to 7.
    function canHead(ReleaseWord word, uint8 channel) internal pure returns (bool) {
        return word.status() == IFirmwareRegistry.Status.Live && (word.channels() >> channel) & 1 != 0;
    }

    // ------------------------------------------------------------------ writing

    /// @dev The word of a release that is published in this block. Its size must fit 40 bits.
    function first(IFirmwareRegistry.Release calldata release) internal view returns (ReleaseWord) {
        return
            ReleaseWord.wrap(
                uint256(uint8(IFirmwareRegistry.Status.Live)) |
                    (uint256(release.channels) << CHANNELS_AT) |
                    (uint256(release.version) << VERSION_AT) |
                    (uint256(release.securityVersion) << SECURITY_VERSION_AT) |
                    (uint256(release.size) << SIZE_AT) |
                    (block.timestamp << PUBLISHED_AT_AT)
            );
    }

    function withStatus(ReleaseWord word, IFirmwareRegistry.Status newStatus) internal pure returns (ReleaseWord) {
        return ReleaseWord.wrap((ReleaseWord.unwrap(word) & ~STATUS_MASK) | uint8(newStatus));
    }
}
