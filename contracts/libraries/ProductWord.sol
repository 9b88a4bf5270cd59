// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IFirmwareRegistry} from "../interfaces/IFirmwareRegistry.sol";

/// @notice What changes with every publication of a product, in one storage word. From the lowest bit:
///         `highest64 | releaseNonce32 | revokeNonce32 | head64`. The head is that of channel 0; those of the other
///         channels have words of their own, so a publication to channel 0 alone writes this one only.
type ProductWord is uint256;

using ProductWords for ProductWord global;

/// @title ProductWords
/// @notice Reads and replaces the fields of a ProductWord.
library ProductWords {
    uint256 private constant RELEASE_NONCE_AT = 64;
    uint256 private constant REVOKE_NONCE_AT = 96;
    uint256 private constant HEAD_AT = 128;

    uint256 private constant HIGHEST_MASK = type(uint64).max;
    uint256 private constant HEAD_MASK = uint256(type(uint64).max) << HEAD_AT;

    // ------------------------------------------------------------------ reading

    function highest(ProductWord word) internal pure returns (uint64) {
        return uint64(ProductWord.unwrap(word));
    }

    /// @param quorum Release or Revoke.
    function nonce(ProductWord word, IFirmwareRegistry.Quorum quorum) internal pure returns (uint32) {
        return uint32(ProductWord.unwrap(word) >> _nonceAt(quorum));
    }

    function head(ProductWord word) internal pure returns (uint64) {
        return uint64(ProductWord.unwrap(word) >> HEAD_AT);
    }

    // ------------------------------------------------------------------ writing

    function withHighest(ProductWord word, uint64 newHighest) internal pure returns (ProductWord) {
        return ProductWord.wrap((ProductWord.unwrap(word) & ~HIGHEST_MASK) | newHighest);
    }

    /// @dev Reverts after 2^32 - 1 messages, as the next one could be a message of old.
    /// @param quorum Release or Revoke.
    function withNextNonce(ProductWord word, IFirmwareRegistry.Quorum quorum) internal pure returns (ProductWord) {
        uint256 shift = _nonceAt(quorum);
        uint256 others = ProductWord.unwrap(word) & ~(uint256(type(uint32).max) << shift);
        return ProductWord.wrap(others | (uint256(word.nonce(quorum) + 1) << shift));
    }

    function withHead(ProductWord word, uint64 newHead) internal pure returns (ProductWord) {
        return ProductWord.wrap((ProductWord.unwrap(word) & ~HEAD_MASK) | (uint256(newHead) << HEAD_AT));
    }

    // ------------------------------------------------------------------ private

    function _nonceAt(IFirmwareRegistry.Quorum quorum) private pure returns (uint256) {
        return quorum == IFirmwareRegistry.Quorum.Release ? RELEASE_NONCE_AT : REVOKE_NONCE_AT;
    }
}
