// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Scheme} from "./KeyProofs.sol";

/// @notice The key that took the place of a device's factory key, in one storage word. From the lowest bit:
///         `keyId160 | scheme2 | continuous1`.
type KeyWord is uint256;

using KeyWords for KeyWord global;

/// @title KeyWords
/// @notice Makes a KeyWord and reads its fields.
library KeyWords {
    uint256 private constant SCHEME_AT = 160;
    uint256 private constant CONTINUOUS = 1 << 162;

    function pack(address keyId_, Scheme scheme_, bool isContinuous_) internal pure returns (KeyWord) {
        return KeyWord.wrap(uint160(keyId_) | (uint256(scheme_) << SCHEME_AT) | (isContinuous_ ? CONTINUOUS : 0));
    }

    function keyId(KeyWord word) internal pure returns (address) {
        return address(uint160(KeyWord.unwrap(word)));
    }

    /// @dev Only `pack` writes it, from a Scheme, so the conversion never fails.
    function scheme(KeyWord word) internal pure returns (Scheme) {
        return Scheme((KeyWord.unwrap(word) >> SCHEME_AT) & 3);
    }

    function isContinuous(KeyWord word) internal pure returns (bool) {
        return KeyWord.unwrap(word) & CONTINUOUS != 0;
    }
}
