// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleLog, Tree} from "../contracts/libraries/MerkleLog.sol";
import {Rfc9162} from "./support/Rfc9162.sol";
import {Test} from "./support/Test.sol";

contract MerkleLogCaller {
    bytes32[64] private _peaks;
    uint64 private _size;

    function append(bytes32 leaf) external {
        MerkleLog.append(_peaks, _size, leaf);
        ++_size;
    }

    function root() external view returns (bytes32) {
        return MerkleLog.rootOf(_peaks, _size);
    }

    function isUnderPeak(bytes32 leaf, uint64 index, bytes32[] calldata proof) external view returns (bool) {
        return MerkleLog.isUnderPeak(_peaks, _size, leaf, index, proof);
    }

    function isUnderPeakOf(
        uint64 size,
        bytes32 leaf,
        uint64 index,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return MerkleLog.isUnderPeak(_peaks, size, leaf, index, proof);
    }

    function isIncluded(
        Tree tree,
        bytes32 root_,
        uint256 size,
        bytes32 leaf,
        uint256 index,
        bytes32[] calldata proof
    ) external pure returns (bool) {
        return MerkleLog.isIncluded(tree, root_, size, leaf, index, proof);
    }

    function isRangeIncluded(
        Tree tree,
        bytes32 root_,
        uint256 size,
        bytes32[] memory leaves,
        uint256 first,
        bytes32[] calldata proof
    ) external pure returns (bool) {
        return MerkleLog.isRangeIncluded(tree, root_, size, leaves, first, proof);
    }

    function isConsistent(
        Tree tree,
        bytes32 oldRoot,
        uint256 oldSize,
        bytes32 newRoot,
        uint256 newSize,
        bytes32[] calldata proof
    ) external pure returns (bool) {
        return MerkleLog.isConsistent(tree, oldRoot, oldSize, newRoot, newSize, proof);
    }

    function hashLeaf(Tree tree, bytes calldata content) external pure returns (bytes32) {
        return MerkleLog.hashLeaf(tree, content);
    }
}

contract MerkleLogTest is Test {
    uint256 private constant MAX_SIZE = 40;

    MerkleLogCaller private _log;

    function setUp() public {
        _log = new MerkleLogCaller();
    }

    // ------------------------------------------------------------------ a log in storage

    function test_emptyLogHasTheRootOfNothing() public view {
        assertEq(_log.root(), keccak256(""));
        assertFalse(_log.isUnderPeak(0, 0, new bytes32[](0)));
    }

    function test_rootAndEveryLeafAtEverySize() public {
        bytes32[] memory leaves = _leaves(MAX_SIZE, 1);
        for (uint256 size = 1; size <= MAX_SIZE; ++size) {
            _log.append(leaves[size - 1]);
            assertEq(_log.root(), Rfc9162.root(leaves, 0, size, false));
            for (uint256 index = 0; index < size; ++index) {
                assertTrue(_log.isUnderPeak(leaves[index], uint64(index), _peakProof(leaves, size, index)));
            }
        }
    }

    /// hardhat-config: fuzz.runs = 64
    function testFuzz_logHoldsALeafAtOnePlaceOnly(uint256 seed, uint256 size, uint256 index, uint256 other) public {
        size = bound(size, 1, MAX_SIZE);
        index = bound(index, 0, size - 1);
        bytes32[] memory leaves = _filledLog(size, seed);
        bytes32[] memory proof = _peakProof(leaves, size, index);
        assertTrue(_log.isUnderPeak(leaves[index], uint64(index), proof));
        other = bound(other, 0, type(uint64).max);
        if (other != index) assertFalse(_log.isUnderPeak(leaves[index], uint64(other), proof));
        for (uint256 i = 0; i < size + 2; ++i) {
            if (i != index) assertFalse(_log.isUnderPeak(leaves[index], uint64(i), proof));
        }
    }

    /// hardhat-config: fuzz.runs = 64
    function testFuzz_logRefusesAnAlteredProof(uint256 seed, uint256 size, uint256 index, uint256 place) public {
        size = bound(size, 1, MAX_SIZE);
        index = bound(index, 0, size - 1);
        bytes32[] memory leaves = _filledLog(size, seed);
        bytes32[] memory proof = _peakProof(leaves, size, index);
        assertFalse(_log.isUnderPeak(leaves[index] ^ bytes32(uint256(1)), uint64(index), proof));
        assertFalse(_log.isUnderPeak(leaves[index], uint64(index), _longer(proof)));
        if (proof.length == 0) return;
        assertFalse(_log.isUnderPeak(leaves[index], uint64(index), _shorter(proof)));
        proof[bound(place, 0, proof.length - 1)] ^= bytes32(uint256(1));
        assertFalse(_log.isUnderPeak(leaves[index], uint64(index), proof));
    }

    /// @dev A peak that was merged away is still in storage, and must count no more: at 3 leaves peaks[1] is the tree of
    ///      the first two, at 4 it is stale.
    function test_stalePeakDoesNotCount() public {
        bytes32[] memory leaves = _filledLog(4, 1);
        bytes32[] memory proof = _peakProof(leaves, 3, 0);
        assertFalse(_log.isUnderPeak(leaves[0], 0, proof));
        assertTrue(_log.isUnderPeakOf(3, leaves[0], 0, proof));
    }

    // ------------------------------------------------------------------ inclusion in a root

    function test_everyLeafIsIncludedAtEverySize() public view {
        bytes32[] memory leaves = _leaves(24, 2);
        for (uint256 size = 1; size <= leaves.length; ++size) {
            for (uint256 index = 0; index < size; ++index) {
                _assertIncluded(leaves, size, index, Tree.Keccak256);
                _assertIncluded(leaves, size, index, Tree.Sha256);
            }
        }
    }

    function testFuzz_treeHoldsALeafAtOnePlaceOnly(
        uint256 seed,
        uint256 size,
        uint256 index,
        uint256 other,
        bool sha
    ) public view {
        size = bound(size, 1, MAX_SIZE);
        index = bound(index, 0, size - 1);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.path(leaves, index, 0, size, sha);
        assertTrue(_log.isIncluded(_tree(sha), root, size, leaves[index], index, proof));
        if (other != index) assertFalse(_log.isIncluded(_tree(sha), root, size, leaves[index], other, proof));
        other = bound(other, 0, size);
        if (other != index) assertFalse(_log.isIncluded(_tree(sha), root, size, leaves[index], other, proof));
    }

    function testFuzz_treeRefusesAnAlteredProof(
        uint256 seed,
        uint256 size,
        uint256 index,
        uint256 place,
        bool sha
    ) public view {
        size = bound(size, 1, MAX_SIZE);
        index = bound(index, 0, size - 1);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.path(leaves, index, 0, size, sha);
        bytes32 leaf = leaves[index];
        assertFalse(_log.isIncluded(_tree(sha), root, size, ~leaf, index, proof));
        assertFalse(_log.isIncluded(_tree(sha), ~root, size, leaf, index, proof));
        assertFalse(_log.isIncluded(_tree(sha), root, size, leaf, index, _longer(proof)));
        if (proof.length == 0) return;
        // With no sibling there is nothing to hash, so only then both trees are the same.
        assertFalse(_log.isIncluded(_tree(!sha), root, size, leaf, index, proof));
        assertFalse(_log.isIncluded(_tree(sha), root, size, leaf, index, _shorter(proof)));
        place = bound(place, 0, proof.length - 1);
        proof[place] = ~proof[place];
        assertFalse(_log.isIncluded(_tree(sha), root, size, leaf, index, proof));
    }

    /// @dev A size is refused where it gives the place another way to the root, which is all that a root can tell.
    function testFuzz_treeRefusesAnotherSize(
        uint256 seed,
        uint256 size,
        uint256 index,
        uint256 other,
        bool sha
    ) public view {
        size = bound(size, 1, MAX_SIZE);
        index = bound(index, 0, size - 1);
        other = bound(other, 0, 2 * MAX_SIZE);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.path(leaves, index, 0, size, sha);
        assertEq(
            _log.isIncluded(_tree(sha), root, other, leaves[index], index, proof),
            index < other && _wayOf(index, size) == _wayOf(index, other)
        );
    }

    function testFuzz_inclusionNeverReverts(
        bytes32 root,
        uint256 size,
        bytes32 leaf,
        uint256 index,
        bytes32[] calldata proof
    ) public view {
        assertFalse(_log.isIncluded(Tree.Keccak256, root, size, leaf, index, proof));
        assertFalse(_log.isIncluded(Tree.Sha256, root, size, leaf, index, proof));
        assertFalse(_log.isUnderPeakOf(uint64(size), leaf, uint64(index), proof));
    }

    // ------------------------------------------------------------------ ranges in a root

    function test_everyRangeIsIncludedAtEverySize() public view {
        for (uint256 size = 1; size <= MAX_SIZE; ++size) {
            // A call of its own for each, so that memory does not add up.
            for (uint256 first = 0; first < size; ++first) this.checkRangesFrom(first, size, false);
        }
        for (uint256 size = 1; size <= 17; ++size) {
            for (uint256 first = 0; first < size; ++first) this.checkRangesFrom(first, size, true);
        }
    }

    function checkRangesFrom(uint256 first, uint256 size, bool sha) external view {
        bytes32[] memory leaves = _leaves(size, 5);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        for (uint256 end = first + 1; end <= size; ++end) {
            bytes32[] memory proof = Rfc9162.range(leaves, first, end, 0, size, sha);
            assertTrue(_log.isRangeIncluded(_tree(sha), root, size, _slice(leaves, first, end), first, proof));
        }
    }

    /// @dev With no leaves there is nothing that could be included.
    function testFuzz_noLeavesAreNoRange(
        bytes32 root,
        uint256 size,
        uint256 first,
        bytes32[] calldata proof
    ) public view {
        assertFalse(_log.isRangeIncluded(Tree.Keccak256, root, size, new bytes32[](0), first, proof));
        assertFalse(_log.isRangeIncluded(Tree.Sha256, root, size, new bytes32[](0), first, new bytes32[](0)));
    }

    /// @dev The proof of one leaf is that of `isIncluded`, whatever it says.
    function testFuzz_rangeOfOneLeafIsInclusion(
        uint256 seed,
        uint256 size,
        uint256 index,
        uint256 other,
        bool sha
    ) public view {
        size = bound(size, 1, MAX_SIZE);
        index = bound(index, 0, size - 1);
        other = bound(other, 0, size);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.path(leaves, index, 0, size, sha);
        bytes32[] memory leaf = _slice(leaves, index, index + 1);
        assertTrue(_log.isRangeIncluded(_tree(sha), root, size, leaf, index, proof));
        assertEq(
            _log.isRangeIncluded(_tree(sha), root, size, leaf, other, proof),
            _log.isIncluded(_tree(sha), root, size, leaf[0], other, proof)
        );
    }

    function testFuzz_rangeIsAtOnePlaceOnly(
        uint256 seed,
        uint256 size,
        uint256 first,
        uint256 end,
        uint256 other,
        bool sha
    ) public view {
        (size, first, end) = _boundRange(size, first, end);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.range(leaves, first, end, 0, size, sha);
        leaves = _slice(leaves, first, end);
        assertTrue(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, proof));
        if (other != first) assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, other, proof));
        for (uint256 i = 0; i < size + 2; ++i) {
            if (i != first) assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, i, proof));
        }
    }

    function testFuzz_rangeRefusesAnAlteredProof(
        uint256 seed,
        uint256 size,
        uint256 first,
        uint256 end,
        uint256 place,
        bool sha
    ) public view {
        (size, first, end) = _boundRange(size, first, end);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.range(leaves, first, end, 0, size, sha);
        leaves = _slice(leaves, first, end);
        assertTrue(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, proof));
        assertFalse(_log.isRangeIncluded(_tree(sha), ~root, size, leaves, first, proof));
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, _longer(proof)));
        // One leaf that is the whole tree is its root, and hashed with nothing.
        if (size > 1) assertFalse(_log.isRangeIncluded(_tree(!sha), root, size, leaves, first, proof));
        if (proof.length == 0) return;
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, _shorter(proof)));
        place = bound(place, 0, proof.length - 1);
        bytes32 node = proof[place];
        proof[place] = ~node;
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, proof));
        if (proof.length == 1) return;
        uint256 next = (place + 1) % proof.length;
        (proof[place], proof[next]) = (proof[next], node);
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, proof));
    }

    /// @dev A leaf altered, left out at any place, doubled, or two in each other's place.
    function testFuzz_rangeRefusesOtherLeaves(
        uint256 seed,
        uint256 size,
        uint256 first,
        uint256 end,
        uint256 place,
        bool sha
    ) public view {
        (size, first, end) = _boundRange(size, first, end);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.range(leaves, first, end, 0, size, sha);
        leaves = _slice(leaves, first, end);
        place = bound(place, 0, leaves.length - 1);
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, _without(leaves, place), first, proof));
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, _doubled(leaves, place), first, proof));
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, _longer(leaves), first, proof));
        bytes32 leaf = leaves[place];
        leaves[place] = ~leaf;
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, proof));
        if (leaves.length == 1) return;
        uint256 next = (place + 1) % leaves.length;
        (leaves[place], leaves[next]) = (leaves[next], leaf);
        assertFalse(_log.isRangeIncluded(_tree(sha), root, size, leaves, first, proof));
    }

    /// @dev As for one leaf, a size is refused where it gives any of the places another way to the root.
    function testFuzz_rangeRefusesAnotherSize(
        uint256 seed,
        uint256 size,
        uint256 first,
        uint256 end,
        uint256 other,
        bool sha
    ) public view {
        (size, first, end) = _boundRange(size, first, end);
        other = bound(other, 0, 2 * MAX_SIZE);
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32 root = Rfc9162.root(leaves, 0, size, sha);
        bytes32[] memory proof = Rfc9162.range(leaves, first, end, 0, size, sha);
        bool isSame = end <= other;
        for (uint256 i = first; isSame && i < end; ++i) isSame = _wayOf(i, size) == _wayOf(i, other);
        leaves = _slice(leaves, first, end);
        assertEq(_log.isRangeIncluded(_tree(sha), root, other, leaves, first, proof), isSame);
    }

    function testFuzz_rangeNeverReverts(
        bytes32 root,
        uint256 size,
        bytes32[] calldata leaves,
        uint256 first,
        bytes32[] calldata proof
    ) public view {
        bool isItself = leaves.length == 1 && leaves[0] == root;
        if (isItself) return;
        assertFalse(_log.isRangeIncluded(Tree.Keccak256, root, size, leaves, first, proof));
        assertFalse(_log.isRangeIncluded(Tree.Sha256, root, size, leaves, first, proof));
        // Near the end of the tree, where the numbers are largest.
        if (size >= leaves.length) first = size - leaves.length;
        assertFalse(_log.isRangeIncluded(Tree.Keccak256, root, size, leaves, first, proof));
        assertFalse(_log.isRangeIncluded(Tree.Keccak256, root, type(uint256).max, leaves, first, proof));
        size = bound(size, 0, 2 * leaves.length + 1);
        assertFalse(_log.isRangeIncluded(Tree.Keccak256, root, size, leaves, bound(first, 0, size), proof));
    }

    // ------------------------------------------------------------------ consistency of two roots

    function test_everyBeginningIsConsistentAtEverySize() public view {
        bytes32[] memory leaves = _leaves(20, 3);
        for (uint256 newSize = 2; newSize <= leaves.length; ++newSize) {
            for (uint256 oldSize = 1; oldSize < newSize; ++oldSize) {
                _assertConsistent(leaves, oldSize, newSize, false);
                _assertConsistent(leaves, oldSize, newSize, true);
            }
        }
    }

    function test_consistencyRefusesAnEmptyProofOfDifferentSizes() public view {
        bytes32[] memory leaves = _leaves(5, 4);
        for (uint256 oldSize = 1; oldSize < 5; ++oldSize) {
            bytes32 oldRoot = Rfc9162.root(leaves, 0, oldSize, false);
            bytes32 newRoot = Rfc9162.root(leaves, 0, 5, false);
            assertFalse(_log.isConsistent(Tree.Keccak256, oldRoot, oldSize, newRoot, 5, new bytes32[](0)));
        }
    }

    function testFuzz_consistencyRefusesWhatIsAltered(
        uint256 seed,
        uint256 oldSize,
        uint256 newSize,
        uint256 place,
        bool sha
    ) public view {
        newSize = bound(newSize, 2, MAX_SIZE);
        oldSize = bound(oldSize, 1, newSize - 1);
        bytes32[] memory leaves = _leaves(newSize, seed);
        bytes32 oldRoot = Rfc9162.root(leaves, 0, oldSize, sha);
        bytes32 newRoot = Rfc9162.root(leaves, 0, newSize, sha);
        bytes32[] memory proof = Rfc9162.consistency(leaves, oldSize, newSize, sha);
        assertTrue(_log.isConsistent(_tree(sha), oldRoot, oldSize, newRoot, newSize, proof));
        assertFalse(_log.isConsistent(_tree(sha), ~oldRoot, oldSize, newRoot, newSize, proof));
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, oldSize, ~newRoot, newSize, proof));
        assertFalse(_log.isConsistent(_tree(!sha), oldRoot, oldSize, newRoot, newSize, proof));
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, oldSize, newRoot, newSize, _longer(proof)));
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, oldSize, newRoot, newSize, _shorter(proof)));
        place = bound(place, 0, proof.length - 1);
        proof[place] = ~proof[place];
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, oldSize, newRoot, newSize, proof));
    }

    /// @dev A root that was kept is that of one size only, with the proof of either.
    function testFuzz_consistencyRefusesAnotherOldSize(
        uint256 seed,
        uint256 oldSize,
        uint256 newSize,
        uint256 other,
        bool sha
    ) public view {
        newSize = bound(newSize, 2, MAX_SIZE);
        oldSize = bound(oldSize, 1, newSize - 1);
        other = bound(other, 1, newSize - 1);
        if (other == oldSize) return;
        bytes32[] memory leaves = _leaves(newSize, seed);
        bytes32 oldRoot = Rfc9162.root(leaves, 0, oldSize, sha);
        bytes32 newRoot = Rfc9162.root(leaves, 0, newSize, sha);
        bytes32[] memory proof = Rfc9162.consistency(leaves, oldSize, newSize, sha);
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, other, newRoot, newSize, proof));
        proof = Rfc9162.consistency(leaves, other, newSize, sha);
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, other, newRoot, newSize, proof));
        assertFalse(_log.isConsistent(_tree(sha), oldRoot, oldSize, newRoot, newSize, proof));
    }

    /// @dev The old tree with one leaf altered is no beginning of the new one.
    function testFuzz_consistencyRefusesAForkedHistory(
        uint256 seed,
        uint256 oldSize,
        uint256 newSize,
        uint256 place,
        bool sha
    ) public view {
        newSize = bound(newSize, 2, MAX_SIZE);
        oldSize = bound(oldSize, 1, newSize - 1);
        bytes32[] memory leaves = _leaves(newSize, seed);
        bytes32 newRoot = Rfc9162.root(leaves, 0, newSize, sha);
        bytes32[] memory proof = Rfc9162.consistency(leaves, oldSize, newSize, sha);
        place = bound(place, 0, oldSize - 1);
        leaves[place] = ~leaves[place];
        bytes32 forkedRoot = Rfc9162.root(leaves, 0, oldSize, sha);
        assertFalse(_log.isConsistent(_tree(sha), forkedRoot, oldSize, newRoot, newSize, proof));
        proof = Rfc9162.consistency(leaves, oldSize, newSize, sha);
        assertFalse(_log.isConsistent(_tree(sha), forkedRoot, oldSize, newRoot, newSize, proof));
    }

    function testFuzz_treesOfOneSizeAreConsistentWhenTheyAreTheSame(
        bytes32 root,
        bytes32 other,
        uint256 size
    ) public view {
        if (other == root) other = ~root;
        bytes32[] memory none = new bytes32[](0);
        assertEq(_log.isConsistent(Tree.Keccak256, root, size, root, size, none), size != 0);
        assertFalse(_log.isConsistent(Tree.Keccak256, root, size, other, size, none));
        assertFalse(_log.isConsistent(Tree.Keccak256, root, size, root, size, _longer(none)));
    }

    function testFuzz_consistencyNeverReverts(
        bytes32 oldRoot,
        uint256 oldSize,
        bytes32 newRoot,
        uint256 newSize,
        bytes32[] calldata proof
    ) public view {
        if (oldSize == newSize) return;
        assertFalse(_log.isConsistent(Tree.Keccak256, oldRoot, oldSize, newRoot, newSize, proof));
        assertFalse(_log.isConsistent(Tree.Sha256, oldRoot, oldSize, newRoot, newSize, proof));
    }

    // ------------------------------------------------------------------ hashes

    function testFuzz_leafIsPrefixed(bytes calldata content) public view {
        assertEq(_log.hashLeaf(Tree.Keccak256, content), keccak256(abi.encodePacked(bytes1(0x00), content)));
        assertEq(_log.hashLeaf(Tree.Sha256, content), sha256(abi.encodePacked(bytes1(0x00), content)));
    }

    // ------------------------------------------------------------------ private

    function _assertIncluded(bytes32[] memory leaves, uint256 size, uint256 index, Tree tree) private view {
        bool sha = tree == Tree.Sha256;
        bytes32[] memory proof = Rfc9162.path(leaves, index, 0, size, sha);
        assertTrue(_log.isIncluded(tree, Rfc9162.root(leaves, 0, size, sha), size, leaves[index], index, proof));
    }

    function _assertConsistent(bytes32[] memory leaves, uint256 oldSize, uint256 newSize, bool sha) private view {
        bytes32 oldRoot = Rfc9162.root(leaves, 0, oldSize, sha);
        bytes32 newRoot = Rfc9162.root(leaves, 0, newSize, sha);
        bytes32[] memory proof = Rfc9162.consistency(leaves, oldSize, newSize, sha);
        assertTrue(_log.isConsistent(_tree(sha), oldRoot, oldSize, newRoot, newSize, proof));
    }

    function _filledLog(uint256 size, uint256 seed) private returns (bytes32[] memory leaves) {
        leaves = _leaves(size, seed);
        for (uint256 i = 0; i < size; ++i) _log.append(leaves[i]);
    }

    function _leaves(uint256 size, uint256 seed) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) leaves[i] = keccak256(abi.encode(seed, i));
    }

    /// @dev The way from the leaf to the peak that holds it, found by walking over the peaks from the left.
    function _peakProof(bytes32[] memory leaves, uint256 size, uint256 index) private pure returns (bytes32[] memory) {
        uint256 from = 0;
        for (uint256 height = 64; height-- > 0;) {
            uint256 width = 1 << height;
            if (size & width == 0) continue;
            if (index < from + width) return Rfc9162.path(leaves, index - from, from, from + width, false);
            from += width;
        }
        revert("no such leaf");
    }

    /// @dev The turns from the root down to a leaf: a 1, then for each level 0 for left and 1 for right.
    function _wayOf(uint256 index, uint256 size) private pure returns (uint256 way) {
        way = 1;
        while (size > 1) {
            uint256 k = 1;
            while (k * 2 < size) k *= 2;
            way = (way << 1) | (index < k ? 0 : 1);
            if (index < k) {
                size = k;
            } else {
                index -= k;
                size -= k;
            }
        }
    }

    function _boundRange(
        uint256 size,
        uint256 first,
        uint256 end
    ) private pure returns (uint256 boundSize, uint256 boundFirst, uint256 boundEnd) {
        boundSize = bound(size, 1, MAX_SIZE);
        boundFirst = bound(first, 0, boundSize - 1);
        boundEnd = bound(end, boundFirst + 1, boundSize);
    }

    function _slice(bytes32[] memory leaves, uint256 from, uint256 to) private pure returns (bytes32[] memory slice) {
        slice = new bytes32[](to - from);
        for (uint256 i = from; i < to; ++i) slice[i - from] = leaves[i];
    }

    function _without(bytes32[] memory leaves, uint256 place) private pure returns (bytes32[] memory fewer) {
        fewer = new bytes32[](leaves.length - 1);
        for (uint256 i = 0; i < fewer.length; ++i) fewer[i] = leaves[i < place ? i : i + 1];
    }

    function _doubled(bytes32[] memory leaves, uint256 place) private pure returns (bytes32[] memory more) {
        more = new bytes32[](leaves.length + 1);
        for (uint256 i = 0; i < more.length; ++i) more[i] = leaves[i <= place ? i : i - 1];
    }

    function _longer(bytes32[] memory proof) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](proof.length + 1);
        for (uint256 i = 0; i < proof.length; ++i) longer[i] = proof[i];
    }

    function _shorter(bytes32[] memory proof) private pure returns (bytes32[] memory shorter) {
        shorter = new bytes32[](proof.length - 1);
        for (uint256 i = 0; i < shorter.length; ++i) shorter[i] = proof[i];
    }

    function _tree(bool sha) private pure returns (Tree) {
        return sha ? Tree.Sha256 : Tree.Keccak256;
    }
}
