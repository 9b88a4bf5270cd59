// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1056} from "../interfaces/IERC1056.sol";
import {Scheme} from "../libraries/KeyProofs.sol";

/// @title ERC1056
/// @notice Writes the DID document of a device as the events that resolvers of `did:ethr` read.
/// @dev Resolvers read only events, from the block `changed` backwards along `previousChange`. So each transaction that
///      moves `changed` emits one of these events, and where `previousChange` is 0 the walk ends and nothing older survives.
abstract contract ERC1056 is IERC1056 {
    /// @dev "For ever" for a resolver: it fits the dates of JavaScript.
    uint256 private constant FOR_EVER = type(uint40).max;
    /// @dev Resolvers take any time before now as "no longer"; 0 is so in the block of the change too.
    uint256 private constant NO_LONGER = 0;

    bytes32 private constant KEY_ATTRIBUTE = "did/pub/Multikey/sigAuth";
    bytes32 private constant KEY_DELEGATE = "sigAuth";

    // ------------------------------------------------------------------ internal

    function _addKey(
        address identity,
        address keyId,
        Scheme scheme,
        bytes calldata publicKey,
        uint256 previousChange
    ) internal {
        _emitKey(identity, keyId, scheme, publicKey, FOR_EVER, previousChange);
    }

    function _removeKey(
        address identity,
        address keyId,
        Scheme scheme,
        bytes calldata publicKey,
        uint256 previousChange
    ) internal {
        _emitKey(identity, keyId, scheme, publicKey, NO_LONGER, previousChange);
    }

    // ------------------------------------------------------------------ private

    /// @dev `publicKey` is known to belong to `keyId`. A P-256 key appears as Multikey, 0x8024 (its multicodec) and the
    ///      compressed point; an account as a delegate.
    function _emitKey(
        address identity,
        address keyId,
        Scheme scheme,
        bytes calldata publicKey,
        uint256 validTo,
        uint256 previousChange
    ) private {
        if (scheme == Scheme.Account) {
            emit DIDDelegateChanged(identity, KEY_DELEGATE, keyId, validTo, previousChange);
        } else {
            bytes1 sign = bytes1(2 | (uint8(publicKey[63]) & 1));
            bytes memory multikey = abi.encodePacked(hex"8024", sign, publicKey[:32]);
            emit DIDAttributeChanged(identity, KEY_ATTRIBUTE, multikey, validTo, previousChange);
        }
    }
}
