// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDataAnchor} from "../interfaces/IDataAnchor.sol";

/// @notice An anchor on its way into a log: the 14 words of an IDataAnchor.AnchorRecord in memory, behind the prefix of its
///         leaf. A struct in memory would first be filled with zeros, and its leaf hashed from a copy.
type AnchorEntry is uint256;

using AnchorEntries for AnchorEntry global;

/// @title AnchorEntries
/// @notice Makes an AnchorEntry from a message or a record, and reads it.
library AnchorEntries {
    /// @notice Bytes of a record of `anchorMany`.
    uint256 internal constant RECORD_BYTES = 87;

    // ------------------------------------------------------------------ making

    /// @notice An entry with what all anchors of a call have in common; one of the `read` functions gives it the rest. One
    ///         entry serves many anchors, one after the other.
    /// @param by Id of the key or account that appends.
    function allocate(
        uint64 freshBlock,
        IDataAnchor.FreshState freshState,
        address by
    ) internal view returns (AnchorEntry entry) {
        // Safe: allocates the prefix's word and the 14 of the record, of which it writes those that `read` does not.
        assembly ("memory-safe") {
            let prefix := mload(0x40)
            mstore(0x40, add(prefix, 0x1e0))
            mstore(prefix, 0x0003)
            entry := add(prefix, 0x20)
            mstore(add(entry, 0x120), freshBlock)
            mstore(add(entry, 0x140), freshState)
            mstore(add(entry, 0x180), timestamp())
            mstore(add(entry, 0x1a0), by)
        }
    }

    /// @notice Takes the message that a device signs or a member sends.
    /// @dev The decoder checks the width of a number each time that it is read; this checks them once, but for kind and tree,
    ///      which are left to whoever checks records too. Reverts: AnchorMalformed.
    function readAnchor(AnchorEntry entry, IDataAnchor.Anchor calldata newAnchor) internal pure {
        bytes32 batchRoot = newAnchor.root;
        uint256 in64Bits;
        uint256 in48Bits;
        // Safe: the first nine members of record and message are the same, and the tenth word of the entry is not written.
        assembly ("memory-safe") {
            calldatacopy(entry, newAnchor, 0x120)
            mstore(add(entry, 0x160), batchRoot)
            in64Bits := or(or(mload(add(entry, 0x20)), mload(add(entry, 0x80))), mload(add(entry, 0xa0)))
            in64Bits := or(in64Bits, mload(add(entry, 0x100)))
            in48Bits := or(mload(add(entry, 0xc0)), mload(add(entry, 0xe0)))
        }
        require((in64Bits >> 64) | (in48Bits >> 48) == 0, IDataAnchor.AnchorMalformed());
    }

    /// @notice Takes a record: `stream12 ‖ index8 ‖ kind1 ‖ tree1 ‖ firstSeq8 ‖ count5 ‖ tFirst6 ‖ tLast6 ‖ supersedes8 ‖
    ///         root32`.
    /// @param i Number of the record; there are more than so many, so that nothing behind them is read.
    function readRecord(AnchorEntry entry, address fleet, bytes calldata records, uint256 i) internal pure {
        // Safe: writes the first nine words and the twelfth. The three words that are read overlap to cover the record.
        assembly ("memory-safe") {
            let record := add(records.offset, mul(i, RECORD_BYTES))
            let front := calldataload(record)
            mstore(entry, or(shl(96, fleet), shr(160, front)))
            mstore(add(entry, 0x20), and(shr(96, front), 0xffffffffffffffff))
            mstore(add(entry, 0x40), and(shr(88, front), 0xff))
            mstore(add(entry, 0x60), and(shr(80, front), 0xff))
            mstore(add(entry, 0x80), and(shr(16, front), 0xffffffffffffffff))
            let middle := calldataload(add(record, 23))
            mstore(add(entry, 0xa0), and(shr(160, middle), 0xffffffffff))
            mstore(add(entry, 0xc0), and(shr(112, middle), 0xffffffffffff))
            mstore(add(entry, 0xe0), and(shr(64, middle), 0xffffffffffff))
            mstore(add(entry, 0x100), and(middle, 0xffffffffffffffff))
            mstore(add(entry, 0x160), calldataload(add(record, 55)))
        }
    }

    // ------------------------------------------------------------------ reading

    function logId(AnchorEntry entry) internal pure returns (bytes32) {
        return bytes32(_wordAt(entry, 0x00));
    }

    function index(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0x20);
    }

    /// @dev Not an enumeration: until it was checked it may name one that does not exist.
    function kind(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0x40);
    }

    /// @dev As `kind`.
    function tree(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0x60);
    }

    function firstSeq(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0x80);
    }

    function count(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0xa0);
    }

    function tFirst(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0xc0);
    }

    function tLast(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0xe0);
    }

    function supersedes(AnchorEntry entry) internal pure returns (uint256) {
        return _wordAt(entry, 0x100);
    }

    function root(AnchorEntry entry) internal pure returns (bytes32) {
        return bytes32(_wordAt(entry, 0x160));
    }

    function author(AnchorEntry entry) internal pure returns (address) {
        return address(uint160(_wordAt(entry, 0x1a0)));
    }

    // ------------------------------------------------------------------ what the log keeps of it

    /// @notice The leaf of the record: keccak256(0x00 ‖ 0x03 ‖ abi.encode(record)).
    function leaf(AnchorEntry entry) internal pure returns (bytes32 hash) {
        // Safe: only reads the entry and the prefix in front of it.
        assembly ("memory-safe") {
            hash := keccak256(sub(entry, 2), 0x1c2)
        }
    }

    /// @notice `firstSeq64 | count64 | tFirst48 | tLast48`, from the lowest bit.
    /// @dev The fields cannot run into each other: the widths of all numbers were checked.
    function span(AnchorEntry entry) internal pure returns (uint256) {
        return firstSeq(entry) | (count(entry) << 64) | (tFirst(entry) << 128) | (tLast(entry) << 176);
    }

    /// @notice `kind8 | tree8 | freshState8 | timestamp64 | freshBlock64 | supersedes64`, from the lowest bit.
    /// @dev Nor can these: the block's time is not past a deadline of 40 bits.
    function context(AnchorEntry entry) internal view returns (uint256) {
        uint256 freshBlock = _wordAt(entry, 0x120);
        uint256 freshState = _wordAt(entry, 0x140);
        return
            kind(entry) |
            (tree(entry) << 8) |
            (freshState << 16) |
            (block.timestamp << 24) |
            (freshBlock << 88) |
            (supersedes(entry) << 152);
    }

    // ------------------------------------------------------------------ private

    function _wordAt(AnchorEntry entry, uint256 offset) private pure returns (uint256 word) {
        // Safe: only reads.
        assembly ("memory-safe") {
            word := mload(add(entry, offset))
        }
    }
}
