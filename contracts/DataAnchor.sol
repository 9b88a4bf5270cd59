// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry, IERC165} from "./base/Registry.sol";
import {IDataAnchor} from "./interfaces/IDataAnchor.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {KeyProof, KeyProofs, Scheme} from "./libraries/KeyProofs.sol";
import {MerkleLog, Tree} from "./libraries/MerkleLog.sol";
import {Permissions} from "./libraries/Permissions.sol";

/// @title DataAnchor
/// @notice What was measured, and when: append-only logs of batches of readings, without gaps.
/// @custom:security-contact See SECURITY.md
contract DataAnchor is IDataAnchor, FleetAuthority {
    // ------------------------------------------------------------------ types

    /// @dev A log. An append overwrites the head and one peak, and creates a slot only when the log outgrows a power of two.
    /// @param head From the lowest bit: `nextSeq64 | size64 | lastMeasured48 | lastAnchored40`, as in Head.
    /// @param peaks The tree of the log's anchors, see MerkleLog.
    struct Log {
        uint256 head;
        bytes32[64] peaks;
    }

    /// @dev The beginning of an Anchor, with every number as a whole word. The decoder checks the width of a number each
    ///      time that it is read; `_wordsOf` checks all of them once, for a tenth of the gas.
    struct AnchorWords {
        bytes32 logId;
        uint256 index;
        Kind kind;
        Tree tree;
        uint256 firstSeq;
        uint256 count;
        uint256 tFirst;
        uint256 tLast;
        uint256 supersedes;
        uint256 freshBlock;
        bytes32 freshHash;
        bytes32 root;
    }

    // ------------------------------------------------------------------ constants

    bytes32 private constant ANCHOR_TYPEHASH = keccak256(
        "Anchor(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast,uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline)"
    );

    uint256 private constant MAX_COUNT = 1 << 32;

    /// @dev How far a clock may be ahead of the chain's, in milliseconds.
    uint256 private constant CLOCK_TOLERANCE = 1 hours * 1000;

    /// @dev How many blocks the BLOCKHASH instruction reaches back.
    uint256 private constant BLOCKHASH_REACH = 256;

    /// @dev The contract of EIP-2935, and how many blocks it reaches back.
    address private constant BLOCK_HASHES = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant BLOCK_HASHES_REACH = 8191;

    // ------------------------------------------------------------------ immutables

    /// @notice Where devices and their keys are kept.
    IDeviceRegistry public immutable DEVICE_REGISTRY;

    // ------------------------------------------------------------------ storage

    mapping(bytes32 logId => Log) private _logs;

    // ------------------------------------------------------------------ constructor

    constructor(
        IRoleRegistry roleRegistry,
        IDeviceRegistry deviceRegistry
    ) Registry("Touchstone DataAnchor") FleetAuthority(roleRegistry) {
        KeyProofs.requirePrecompile();
        _requireSameRoles(address(deviceRegistry));
        DEVICE_REGISTRY = deviceRegistry;
    }

    // ------------------------------------------------------------------ appending

    /// @inheritdoc IDataAnchor
    function anchor(Anchor calldata newAnchor, KeyProof calldata byDevice) external override {
        bytes32 logId = newAnchor.logId;
        require(!_isFleetLog(logId), LogNeedsMember(logId));
        require(newAnchor.kind <= Kind.Correction, KindNotAllowed(logId, newAnchor.kind));
        _requireInTime(newAnchor.deadline);
        _append(newAnchor, _requireDeviceProof(newAnchor, byDevice));
    }

    /// @inheritdoc IDataAnchor
    function anchorAsMember(Anchor calldata newAnchor) external override {
        bytes32 logId = newAnchor.logId;
        require(_isFleetLog(logId), LogNeedsDevice(logId));
        _requirePermission(_subjectOf(logId), Permissions.ANCHOR);
        _requireInTime(newAnchor.deadline);
        _append(newAnchor, msg.sender);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IDataAnchor
    function head(bytes32 logId) external view override returns (Head memory) {
        uint256 word = _logs[logId].head;
        return
            Head({
                nextSeq: uint64(word),
                size: uint64(word >> 64),
                lastMeasured: uint48(word >> 128),
                lastAnchored: uint40(word >> 176)
            });
    }

    /// @inheritdoc IDataAnchor
    function root(bytes32 logId) external view override returns (bytes32) {
        Log storage log = _logs[logId];
        return MerkleLog.rootOf(log.peaks, _sizeOf(log));
    }

    /// @inheritdoc IDataAnchor
    function leafOf(AnchorRecord calldata anchored) external pure override returns (bytes32) {
        return _leafOf(anchored);
    }

    /// @inheritdoc IDataAnchor
    function verifyAnchor(
        AnchorRecord calldata anchored,
        bytes32[] calldata peakProof
    ) external view override returns (bool) {
        return _isAnchored(anchored, peakProof);
    }

    /// @inheritdoc IDataAnchor
    function verifyReading(
        AnchorRecord calldata anchored,
        Reading calldata reading,
        bytes32[] calldata batchProof,
        bytes32[] calldata peakProof
    ) external view override returns (bool) {
        return _isInBatch(anchored, reading, batchProof) && _isAnchored(anchored, peakProof);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return interfaceId == type(IDataAnchor).interfaceId || super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private: appending

    /// @dev Whoever calls has settled that `author` may append to the log.
    function _append(Anchor calldata newAnchor, address author) private {
        AnchorWords calldata words = _wordsOf(newAnchor);
        Log storage log = _logs[words.logId];
        FreshState freshState = _requireFresh(words.freshBlock, words.freshHash);
        uint64 index = _advance(log, words);
        MerkleLog.append(log.peaks, index, _leafOf(words, freshState, author));
        emit Anchored(words.logId, index, author, _spanOf(words), words.root, _contextOf(words, freshState));
    }

    /// @dev Moves the head of the log past the anchor, which must continue it. Returns the size that the log had.
    function _advance(Log storage log, AnchorWords calldata words) private returns (uint64) {
        uint256 word = log.head;
        uint256 nextSeq = uint64(word);
        uint256 size = uint64(word >> 64);
        uint256 lastMeasured = uint48(word >> 128);

        require(words.index == size, IndexMismatch(words.logId, uint64(size), uint64(words.index)));
        _requireBatch(words);
        _requireSupersedes(words, size);
        // Cannot overflow, nor run into each other in the head: no number is wider than 64 bits, nobody can append 2^64
        // times, and the time is not past a deadline of 40 bits.
        unchecked {
            uint256 pastSeq = words.firstSeq + words.count;
            if (words.kind == Kind.Correction) {
                // It speaks of what is in the log, so it moves neither the sequence nor `lastMeasured`.
                require(pastSeq <= nextSeq, CorrectionOutOfRange(uint64(nextSeq), uint64(pastSeq)));
            } else {
                require(
                    words.firstSeq == nextSeq,
                    SequenceMismatch(words.logId, uint64(nextSeq), uint64(words.firstSeq))
                );
                require(
                    words.tFirst >= lastMeasured,
                    TimeRegressed(words.logId, uint48(lastMeasured), uint48(words.tFirst))
                );
                (nextSeq, lastMeasured) = (pastSeq, words.tLast);
            }
            log.head = nextSeq | ((size + 1) << 64) | (lastMeasured << 128) | (block.timestamp << 176);
        }
        return uint64(size);
    }

    /// @dev Reverts unless the anchor makes sense by itself.
    function _requireBatch(AnchorWords calldata words) private view {
        // Cannot overflow: no number is wider than 64 bits, and the time not wider than 40.
        unchecked {
            require(
                words.count != 0 && words.count <= MAX_COUNT && words.firstSeq + words.count <= type(uint64).max,
                CountInvalid(uint64(words.count))
            );
            require(words.tFirst <= words.tLast, TimeRegressed(words.logId, uint48(words.tFirst), uint48(words.tLast)));
            // Where `latest` does not fit 48 bits, no measurement is later.
            uint256 latest = block.timestamp * 1000 + CLOCK_TOLERANCE;
            require(words.tLast <= latest, TimeInFuture(uint48(latest), uint48(words.tLast)));
        }
        require((words.root == 0) == (words.kind == Kind.Gap), RootInvalid(words.kind, words.root));
    }

    function _requireSupersedes(AnchorWords calldata words, uint256 size) private pure {
        require(
            words.kind == Kind.Correction ? words.supersedes < size : words.supersedes == 0,
            SupersedesInvalid(uint64(words.supersedes), uint64(size))
        );
    }

    /// @dev Reverts if the chain knows better than what was named.
    function _requireFresh(uint256 freshBlock, bytes32 freshHash) private view returns (FreshState) {
        if (freshBlock == 0) {
            require(freshHash == 0, FreshBlockInvalid(0, freshHash));
            return FreshState.None;
        }
        require(freshBlock < block.number, FreshBlockInvalid(uint64(freshBlock), freshHash));
        bytes32 known = _hashOfBlock(freshBlock);
        if (known == 0) return FreshState.TooOld;
        require(freshHash == known, FreshBlockInvalid(uint64(freshBlock), freshHash));
        return FreshState.Confirmed;
    }

    /// @dev Hash of an earlier block; 0 if the chain no longer tells.
    function _hashOfBlock(uint256 number) private view returns (bytes32) {
        uint256 age = block.number - number;
        if (age <= BLOCKHASH_REACH) return blockhash(number);
        if (age > BLOCK_HASHES_REACH) return 0;
        (bool success, bytes memory result) = BLOCK_HASHES.staticcall(abi.encode(number));
        // Where there is no such contract, the call succeeds and returns nothing.
        return success && result.length == 32 ? bytes32(result) : bytes32(0);
    }

    // ------------------------------------------------------------------ private: who and what

    /// @dev Returns the id of the key that signed.
    function _requireDeviceProof(
        Anchor calldata newAnchor,
        KeyProof calldata byDevice
    ) private view returns (address keyId) {
        address subject = _subjectOf(newAnchor.logId);
        Scheme scheme;
        (keyId, scheme) = DEVICE_REGISTRY.activeKeyOf(subject);
        require(keyId != address(0), DeviceNotActive(subject));
        bytes32 digest = _hashTypedDataV4(_structHashOf(newAnchor));
        require(KeyProofs.isValid(keyId, scheme, digest, byDevice), KeyProofInvalid(keyId, digest));
    }

    /// @dev keccak256(abi.encode(ANCHOR_TYPEHASH, newAnchor)), without a check of each member: `_append` checks them all.
    function _structHashOf(Anchor calldata newAnchor) private pure returns (bytes32 structHash) {
        bytes32 typeHash = ANCHOR_TYPEHASH;
        // Safe: the 13 members are words in calldata, and memory is written only past the free memory pointer.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore(preimage, typeHash)
            calldatacopy(add(preimage, 0x20), newAnchor, 0x1a0)
            structHash := keccak256(preimage, 0x1c0)
        }
    }

    function _wordsOf(Anchor calldata newAnchor) private pure returns (AnchorWords calldata words) {
        // Safe: all members of AnchorWords are words in calldata where Anchor has members of the same names.
        assembly ("memory-safe") {
            words := newAnchor
        }
        uint256 in64Bits = words.index | words.firstSeq | words.count | words.supersedes | words.freshBlock;
        uint256 in48Bits = words.tFirst | words.tLast;
        require((in64Bits >> 64) | (in48Bits >> 48) == 0, AnchorMalformed());
    }

    /// @dev The leaf of the record that the anchor becomes.
    function _leafOf(
        AnchorWords calldata words,
        FreshState freshState,
        address author
    ) private view returns (bytes32 leaf) {
        (bytes32 batchRoot, uint256 state, uint256 by) = (words.root, uint256(freshState), uint160(author));
        // Puts together 0x00 ‖ 0x03 ‖ abi.encode(record) without first building the record: the first ten members of
        // the anchor and of the record are the same. Safe: memory is written only past the free memory pointer.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore(preimage, shl(240, 0x0003))
            calldatacopy(add(preimage, 0x02), words, 0x140)
            mstore(add(preimage, 0x142), state)
            mstore(add(preimage, 0x162), batchRoot)
            mstore(add(preimage, 0x182), timestamp())
            mstore(add(preimage, 0x1a2), by)
            leaf := keccak256(preimage, 0x1c2)
        }
    }

    /// @dev The fields cannot run into each other: `_wordsOf` checked the widths of all numbers.
    function _spanOf(AnchorWords calldata words) private pure returns (uint256) {
        return words.firstSeq | (words.count << 64) | (words.tFirst << 128) | (words.tLast << 176);
    }

    /// @dev Nor can these: the block's time is not past a deadline of 40 bits.
    function _contextOf(AnchorWords calldata words, FreshState freshState) private view returns (uint256) {
        return
            uint256(words.kind) |
            (uint256(words.tree) << 8) |
            (uint256(freshState) << 16) |
            (block.timestamp << 24) |
            (words.freshBlock << 88) |
            (words.supersedes << 152);
    }

    // ------------------------------------------------------------------ private: proofs

    function _isAnchored(AnchorRecord calldata anchored, bytes32[] calldata peakProof) private view returns (bool) {
        Log storage log = _logs[anchored.logId];
        return MerkleLog.isUnderPeak(log.peaks, _sizeOf(log), _leafOf(anchored), anchored.index, peakProof);
    }

    /// @dev The sequence number is the reading's place, so no reading can be moved to another.
    function _isInBatch(
        AnchorRecord calldata anchored,
        Reading calldata reading,
        bytes32[] calldata batchProof
    ) private pure returns (bool) {
        if (anchored.kind == Kind.Gap || reading.seq < anchored.firstSeq) return false;
        if (reading.measuredAt < anchored.tFirst || reading.measuredAt > anchored.tLast) return false;
        return
            MerkleLog.isIncluded(
                anchored.tree,
                anchored.root,
                anchored.count,
                _leafOf(anchored.tree, anchored.logId, reading),
                reading.seq - anchored.firstSeq,
                batchProof
            );
    }

    function _leafOf(AnchorRecord calldata anchored) private pure returns (bytes32) {
        return MerkleLog.hashLeaf(Tree.Keccak256, abi.encodePacked(hex"03", abi.encode(anchored)));
    }

    function _leafOf(Tree tree, bytes32 logId, Reading calldata reading) private pure returns (bytes32) {
        return
            MerkleLog.hashLeaf(
                tree,
                abi.encodePacked(hex"01", logId, reading.seq, reading.measuredAt, reading.commitment)
            );
    }

    function _sizeOf(Log storage log) private view returns (uint64) {
        return uint64(log.head >> 64);
    }

    // ------------------------------------------------------------------ private: ids

    function _isFleetLog(bytes32 logId) private pure returns (bool) {
        return (uint256(logId) >> 95) & 1 == 1;
    }

    function _subjectOf(bytes32 logId) private pure returns (address) {
        return address(bytes20(logId));
    }
}
