// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice What a tree is hashed with.
enum Tree {
    /// @custom:value0 keccak256.
    Keccak256,
    /// @custom:value1 SHA-256.
    Sha256
}

/// @title MerkleLog
/// @notice The trees of RFC 9162, section 2.1: leaves in order, an odd node goes up as it is, nothing is sorted or doubled.
/// @dev A leaf is H(0x00 ‖ content), a node H(0x01 ‖ left ‖ right). A proof shows a leaf at one place and has exactly one
///      length. A root does not tell the number of its leaves: the caller must know it from where it knows the root.
library MerkleLog {
    /// @notice Root of a keccak256 tree without leaves.
    bytes32 internal constant EMPTY_ROOT = keccak256("");

    // ------------------------------------------------------------------ a log in storage
    //
    // A log of `size` leaves is kept as its peaks: the roots of the perfect trees that the leaves split into from left to
    // right, one for each bit of `size`. The tree of 2^n leaves is peaks[n], and counts only while bit n of `size` is set:
    // what an append has merged away stays in storage, to be overwritten later at a quarter of the cost.

    /// @notice Appends a leaf to a log of `size` leaves. The caller then counts `size` up.
    function append(bytes32[64] storage peaks, uint64 size, bytes32 leaf) internal {
        uint256 bits = size;
        // Merges the leaf with each peak that is as high as what it has grown to, as a carry runs through a binary number.
        // Safe: the carry stays below peaks[64], as nobody can append 2^64 - 1 leaves, and memory is written only past the
        // free memory pointer, where none has been given out.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 0x01)
            let peak := peaks.slot
            for {} and(bits, 1) {
                bits := shr(1, bits)
                peak := add(peak, 1)
            } {
                mstore(add(preimage, 0x01), sload(peak))
                mstore(add(preimage, 0x21), leaf)
                leaf := keccak256(preimage, 0x41)
            }
            sstore(peak, leaf)
        }
    }

    /// @notice Root of a log of `size` leaves.
    function rootOf(bytes32[64] storage peaks, uint64 size) internal view returns (bytes32 root) {
        if (size == 0) return EMPTY_ROOT;
        uint256 level = 0;
        uint256 bits = size;
        for (; bits & 1 == 0; bits >>= 1) ++level;
        root = peaks[level];
        for (bits >>= 1; bits != 0; bits >>= 1) {
            ++level;
            if (bits & 1 == 1) root = hashNode(Tree.Keccak256, peaks[level], root);
        }
    }

    /// @notice Whether a log of `size` leaves has this leaf at `index`.
    /// @param proof Siblings from the leaf up to the peak that holds it.
    function isUnderPeak(
        bytes32[64] storage peaks,
        uint64 size,
        bytes32 leaf,
        uint64 index,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        if (index >= size) return false;
        // The highest bit in which the two differ is set in the size: it is the peak that holds the leaf.
        uint256 level = Math.log2(index ^ size);
        return proof.length == level && _climb(Tree.Keccak256, leaf, index, proof) == peaks[level];
    }

    // ------------------------------------------------------------------ a tree by its root

    /// @notice Whether the tree of `size` leaves with this root has this leaf at `index` (RFC 9162, section 2.1.3.2).
    /// @param proof Siblings from the leaf up to the root.
    function isIncluded(
        Tree tree,
        bytes32 root,
        uint256 size,
        bytes32 leaf,
        uint256 index,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        if (index >= size) return false;
        // Up to where the ways of this leaf and of the last one meet, there is a sibling on each level, on the side that
        // the index says. From there on siblings are to the left, one for each bit of the index that is set.
        uint256 shared = _bitLength(index ^ (size - 1));
        if (proof.length != shared + _countOnes(index >> shared)) return false;
        return _climb(tree, leaf, index | (type(uint256).max << shared), proof) == root;
    }

    /// @notice Whether the tree of `size` leaves with this root has exactly these leaves from index `first` on.
    /// @dev Takes the place of the leaves in memory. A proof of one leaf is that of `isIncluded`.
    /// @param proof What completes the leaves to the root, level by level from the leaves up: the left sibling of the leftmost
    ///        node that is known, if it has one, then the right sibling of the rightmost, if it has one.
    function isRangeIncluded(
        Tree tree,
        bytes32 root,
        uint256 size,
        bytes32[] memory leaves,
        uint256 first,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        uint256 count = leaves.length;
        if (count == 0 || first >= size || count > size - first) return false;
        uint256 used = 0;
        // `last` is the index of the last node of the whole level, `first` that of the leftmost node that is known.
        for (uint256 last = size - 1; last != 0; last >>= 1) {
            uint256 read = 0;
            uint256 written = 0;
            bool isLastKnown = first + count - 1 == last;
            if (first & 1 == 1) {
                if (used == proof.length) return false;
                leaves[written++] = hashNode(tree, proof[used++], leaves[read++]);
            }
            for (; read + 1 < count; read += 2) leaves[written++] = hashNode(tree, leaves[read], leaves[read + 1]);
            if (read < count) {
                bytes32 node = leaves[read];
                // The last node of a level goes up as it is.
                if (!isLastKnown) {
                    if (used == proof.length) return false;
                    node = hashNode(tree, node, proof[used++]);
                }
                leaves[written++] = node;
            }
            (count, first) = (written, first >> 1);
        }
        return used == proof.length && leaves[0] == root;
    }

    /// @notice Whether the tree of `oldSize` leaves is the beginning of the tree of `newSize` (RFC 9162, section 2.1.4.2).
    /// @dev Nothing can be shown of a tree without leaves. Two trees of one size are shown to be the same by no proof.
    function isConsistent(
        Tree tree,
        bytes32 oldRoot,
        uint256 oldSize,
        bytes32 newRoot,
        uint256 newSize,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        if (oldSize == 0 || oldSize > newSize) return false;
        if (oldSize == newSize) return proof.length == 0 && oldRoot == newRoot;

        // `node` is the last node of the old tree on some level, `last` that of the new one. The way starts at the largest
        // perfect tree that ends where the old tree ends; if that is the whole old tree, its root is known already.
        uint256 node = oldSize - 1;
        uint256 last = newSize - 1;
        uint256 level = _bitLength(node ^ oldSize) - 1;
        node >>= level;
        last >>= level;
        uint256 next = node == 0 ? 0 : 1;
        if (proof.length < next) return false;
        bytes32 oldHash = node == 0 ? oldRoot : proof[0];
        bytes32 newHash = oldHash;

        for (; next < proof.length; ++next) {
            if (last == 0) return false;
            if (node & 1 == 1 || node == last) {
                for (; node & 1 == 0; node >>= 1) last >>= 1;
                oldHash = hashNode(tree, proof[next], oldHash);
                newHash = hashNode(tree, proof[next], newHash);
            } else {
                newHash = hashNode(tree, newHash, proof[next]);
            }
            node >>= 1;
            last >>= 1;
        }
        return last == 0 && oldHash == oldRoot && newHash == newRoot;
    }

    // ------------------------------------------------------------------ hashes

    /// @notice H(0x00 ‖ content).
    function hashLeaf(Tree tree, bytes memory content) internal pure returns (bytes32) {
        bytes memory preimage = abi.encodePacked(hex"00", content);
        return tree == Tree.Sha256 ? sha256(preimage) : keccak256(preimage);
    }

    /// @notice H(0x01 ‖ left ‖ right).
    function hashNode(Tree tree, bytes32 left, bytes32 right) internal pure returns (bytes32 hash) {
        if (tree == Tree.Sha256) return sha256(abi.encodePacked(hex"01", left, right));
        // Safe: memory is written only past the free memory pointer, where none has been given out.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 0x01)
            mstore(add(preimage, 0x01), left)
            mstore(add(preimage, 0x21), right)
            hash := keccak256(preimage, 0x41)
        }
    }

    // ------------------------------------------------------------------ private

    /// @dev Hashes a node with its siblings: bit n of `path` says that it is the right child on level n.
    function _climb(Tree tree, bytes32 node, uint256 path, bytes32[] calldata siblings) private pure returns (bytes32) {
        for (uint256 i = 0; i < siblings.length; ++i) {
            node = path & 1 == 1 ? hashNode(tree, siblings[i], node) : hashNode(tree, node, siblings[i]);
            path >>= 1;
        }
        return node;
    }

    function _bitLength(uint256 bits) private pure returns (uint256) {
        return bits == 0 ? 0 : Math.log2(bits) + 1;
    }

    function _countOnes(uint256 bits) private pure returns (uint256 ones) {
        // Each round clears the lowest bit that is set.
        for (; bits != 0; bits &= bits - 1) ++ones;
    }
}
