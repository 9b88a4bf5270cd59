// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";

/// @notice What a manifest promises, and whether it was revoked, in one storage word. From the lowest bit:
///         `revocation8 | termsHash248`; the revocation is 0, or the reason of RFC 5280 plus 1.
type ManifestWord is uint256;

using ManifestWords for ManifestWord global;

/// @title ManifestWords
/// @notice Makes a ManifestWord, reads its fields and revokes it.
library ManifestWords {
    uint256 private constant REVOCATION_MASK = type(uint8).max;

    function pack(
        address vendor,
        bytes32 root,
        uint32 count,
        bool voucherRequired
    ) internal pure returns (ManifestWord) {
        bytes32 termsHash = keccak256(abi.encode(vendor, root, count, voucherRequired));
        return ManifestWord.wrap(uint256(termsHash) & ~REVOCATION_MASK);
    }

    function hasTerms(ManifestWord word, IDeviceRegistry.ManifestTerms calldata terms) internal pure returns (bool) {
        ManifestWord promised = pack(terms.vendor, terms.root, terms.count, terms.voucherRequired);
        return ManifestWord.unwrap(word) & ~REVOCATION_MASK == ManifestWord.unwrap(promised);
    }

    function isRevoked(ManifestWord word) internal pure returns (bool) {
        return ManifestWord.unwrap(word) & REVOCATION_MASK != 0;
    }

    /// @dev The reason of RFC 5280; 0 for a manifest that is not revoked, whose reason `require` computes as well.
    function reason(ManifestWord word) internal pure returns (uint8) {
        return word.isRevoked() ? uint8(ManifestWord.unwrap(word)) - 1 : 0;
    }

    /// @dev For reasons below 255, and a manifest that is not revoked.
    function revoked(ManifestWord word, uint8 reason_) internal pure returns (ManifestWord) {
        return ManifestWord.wrap(ManifestWord.unwrap(word) | (reason_ + 1));
    }
}
