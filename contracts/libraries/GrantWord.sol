// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice All that DataAccess keeps of a grant, in one storage word. From the lowest bit:
///         `permissions32 | purposes32 | notBefore40 | expiry40 | epoch24 | seq32 | byOwner1`.
///         Zero where nothing was ever granted or revoked; all but `seq` is zero after a revoke.
type GrantWord is uint256;

using GrantWords for GrantWord global;

/// @title GrantWords
/// @notice Makes a GrantWord and reads its fields.
library GrantWords {
    uint256 private constant PURPOSES_AT = 32;
    uint256 private constant NOT_BEFORE_AT = 64;
    uint256 private constant EXPIRY_AT = 104;
    uint256 private constant EPOCH_AT = 144;
    uint256 private constant SEQ_AT = 168;
    uint256 private constant BY_OWNER_AT = 200;

    /// @notice No grant has this number or the one before, so that two are always left to end it.
    uint32 internal constant LAST_SEQ = type(uint32).max;

    // ------------------------------------------------------------------ reading

    function permissions(GrantWord word) internal pure returns (uint32) {
        return uint32(GrantWord.unwrap(word));
    }

    function purposes(GrantWord word) internal pure returns (uint32) {
        return uint32(GrantWord.unwrap(word) >> PURPOSES_AT);
    }

    function notBefore(GrantWord word) internal pure returns (uint40) {
        return uint40(GrantWord.unwrap(word) >> NOT_BEFORE_AT);
    }

    function expiry(GrantWord word) internal pure returns (uint40) {
        return uint40(GrantWord.unwrap(word) >> EXPIRY_AT);
    }

    function epoch(GrantWord word) internal pure returns (uint24) {
        return uint24(GrantWord.unwrap(word) >> EPOCH_AT);
    }

    function seq(GrantWord word) internal pure returns (uint32) {
        return uint32(GrantWord.unwrap(word) >> SEQ_AT);
    }

    function byOwner(GrantWord word) internal pure returns (bool) {
        return (GrantWord.unwrap(word) >> BY_OWNER_AT) & 1 != 0;
    }

    /// @dev Whether another grant can follow.
    function hasNext(GrantWord word) internal pure returns (bool) {
        return word.seq() < LAST_SEQ - 2;
    }

    /// @dev The number after a revoke. The last stays: nothing was left to end, and nothing may block a revoke.
    function seqEnded(GrantWord word) internal pure returns (uint32) {
        uint32 seq_ = word.seq();
        return seq_ == LAST_SEQ ? seq_ : seq_ + 1;
    }

    /// @dev Whether the word is a grant of this epoch that is not over: it may not hold yet.
    function isStanding(GrantWord word, uint24 epoch_) internal view returns (bool) {
        return word.permissions() != 0 && word.epoch() == epoch_ && block.timestamp < word.expiry();
    }

    // ------------------------------------------------------------------ writing

    /// @dev What is granted and when it holds: a grant as soon as it is given.
    function packTerms(
        uint32 permissions_,
        uint32 purposes_,
        uint40 notBefore_,
        uint40 expiry_
    ) internal pure returns (GrantWord) {
        return
            GrantWord.wrap(
                permissions_ |
                    (uint256(purposes_) << PURPOSES_AT) |
                    (uint256(notBefore_) << NOT_BEFORE_AT) |
                    (uint256(expiry_) << EXPIRY_AT)
            );
    }

    /// @dev The terms, given in this epoch, by the owner or by a member.
    function given(GrantWord terms, uint24 epoch_, uint32 seq_, bool byOwner_) internal pure returns (GrantWord) {
        uint256 word = GrantWord.unwrap(terms) | (uint256(epoch_) << EPOCH_AT) | (uint256(seq_) << SEQ_AT);
        return GrantWord.wrap(byOwner_ ? word | (1 << BY_OWNER_AT) : word);
    }

    /// @dev No grant, but the place in the sequence: an empty word would bring back to life what was signed for the
    ///      numbers before.
    function packEnded(uint32 seq_) internal pure returns (GrantWord) {
        return GrantWord.wrap(uint256(seq_) << SEQ_AT);
    }
}
