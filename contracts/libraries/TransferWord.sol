// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The offer of a device to another owner, in one storage word. From the lowest bit:
///         `newOwner160 | expiry40 | epoch24 | handovers32`.
type TransferWord is uint256;

using TransferWords for TransferWord global;

/// @title TransferWords
/// @notice Makes a TransferWord and reads its fields.
library TransferWords {
    uint256 private constant EXPIRY_AT = 160;
    uint256 private constant EPOCH_AT = 200;
    uint256 private constant HANDOVERS_AT = 224;

    /// @param epoch_ The device's; the offer dies with it.
    /// @param handovers_ How often the owner's governor had changed; the offer dies with the next time.
    function pack(
        address newOwner_,
        uint40 expiry_,
        uint24 epoch_,
        uint32 handovers_
    ) internal pure returns (TransferWord) {
        return
            TransferWord.wrap(
                uint160(newOwner_) |
                    (uint256(expiry_) << EXPIRY_AT) |
                    (uint256(epoch_) << EPOCH_AT) |
                    (uint256(handovers_) << HANDOVERS_AT)
            );
    }

    function newOwner(TransferWord word) internal pure returns (address) {
        return address(uint160(TransferWord.unwrap(word)));
    }

    function expiry(TransferWord word) internal pure returns (uint40) {
        return uint40(TransferWord.unwrap(word) >> EXPIRY_AT);
    }

    function epoch(TransferWord word) internal pure returns (uint24) {
        return uint24(TransferWord.unwrap(word) >> EPOCH_AT);
    }

    function handovers(TransferWord word) internal pure returns (uint32) {
        return uint32(TransferWord.unwrap(word) >> HANDOVERS_AT);
    }
}
