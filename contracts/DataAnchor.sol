// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";

import {Batch} from "./base/Batch.sol";
import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry, IERC165} from "./base/Registry.sol";
import {IBatch} from "./interfaces/IBatch.sol";
import {IDataAnchor} from "./interfaces/IDataAnchor.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {KeyProof, KeyProofs, Scheme} from "./libraries/KeyProofs.sol";
import {MerkleLog, Tree} from "./libraries/MerkleLog.sol";
import {Permissions} from "./libraries/Permissions.sol";

/// @title DataAnchor
/// @notice What was measured, and when: append-only logs of batches of readings, without gaps.
/// @custom:security-contact See SECURITY.md
contract DataAnchor is IDataAnchor, FleetAuthority, Batch {
    // ------------------------------------------------------------------ types

    /// @dev A log. An append overwrites the head and one peak, and creates a slot only when the log outgrows a power of two.
    /// @param head From the lowest bit: `nextSeq64 | size64 | lastMeasured48 | lastAnchored40`, as in Head.
    /// @param peaks The tree of the log's anchors, see MerkleLog.
    struct Log {
        uint256 head;
        bytes32[64] peaks;
    }

    /// @dev An AnchorRecord with every number as a whole word, whose width is checked once. `_newEntry` allocates it.
    struct Entry {
        bytes32 logId;
        uint256 index;
        uint256 kind;
        uint256 tree;
        uint256 firstSeq;
        uint256 count;
        uint256 tFirst;
        uint256 tLast;
        uint256 supersedes;
        uint256 freshBlock;
        uint256 freshState;
        bytes32 root;
        uint256 timestamp;
        uint256 author;
    }

    // ------------------------------------------------------------------ constants

    bytes32 private constant ANCHOR_TYPEHASH = keccak256(
        "Anchor(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast,uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline)"
    );

    uint256 private constant MAX_COUNT = 1 << 32;

    /// @dev Bytes of a record of `anchorMany`.
    uint256 private constant RECORD_BYTES = 87;

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
        address device = _subjectOf(logId);
        (address keyId, Scheme scheme) = DEVICE_REGISTRY.activeKeyOf(device);
        require(keyId != address(0), DeviceNotActive(device));
        _requireKeyProof(keyId, scheme, newAnchor, byDevice);
        _appendOrRevert(newAnchor, keyId);
    }

    /// @inheritdoc IDataAnchor
    function anchorAsMember(Anchor calldata newAnchor) external override {
        bytes32 logId = newAnchor.logId;
        require(_isFleetLog(logId), LogNeedsDevice(logId));
        _requirePermission(_subjectOf(logId), Permissions.ANCHOR);
        _requireInTime(newAnchor.deadline);
        _appendOrRevert(newAnchor, msg.sender);
    }

    /// @inheritdoc IDataAnchor
    function anchorMany(
        address fleet,
        uint40 deadline,
        uint64 freshBlock,
        bytes32 freshHash,
        bytes calldata records
    ) external override returns (bool[] memory done) {
        require(records.length % RECORD_BYTES == 0, RecordsMalformed(records.length));
        _requirePermission(fleet, Permissions.ANCHOR);
        _requireInTime(deadline);
        Entry memory entry = _newEntry(freshBlock, freshHash, msg.sender);
        done = new bool[](records.length / RECORD_BYTES);
        for (uint256 i = 0; i < done.length; ++i) {
            _readRecord(entry, fleet, records, i);
            bytes memory refusal = _refusalOfRecord(entry);
            if (refusal.length == 0) refusal = _append(entry);
            if (refusal.length == 0) done[i] = true;
            else emit AnchorSkipped(entry.logId, uint64(entry.index), refusal);
        }
    }

    // ------------------------------------------------------------------ evidence

    /// @inheritdoc IDataAnchor
    function reportEquivocation(
        Anchor calldata first,
        KeyProof calldata byDevice,
        Anchor calldata second,
        KeyProof calldata alsoByDevice
    ) external override {
        (bytes32 logId, uint64 index) = (first.logId, first.index);
        require(!_isFleetLog(logId), LogNeedsMember(logId));
        require(
            second.logId == logId && second.index == index,
            AnchorsUnrelated(logId, index, second.logId, second.index)
        );
        require(_contentHashOf(first) != _contentHashOf(second), AnchorsAgree(logId, index));
        address device = _subjectOf(logId);
        (address keyId, Scheme scheme) = DEVICE_REGISTRY.keyOf(device);
        require(keyId != address(0), DeviceNotEnrolled(device));
        bytes32 firstDigest = _requireKeyProof(keyId, scheme, first, byDevice);
        bytes32 secondDigest = _requireKeyProof(keyId, scheme, second, alsoByDevice);
        emit Equivocated(logId, index, keyId, firstDigest, secondDigest);
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
    function isOverdue(bytes32 logId, uint40 longestSilence) external view override returns (bool) {
        uint256 lastAnchored = uint40(_logs[logId].head >> 176);
        return lastAnchored == 0 || block.timestamp > lastAnchored + longestSilence;
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

    /// @inheritdoc IDataAnchor
    function verifyRange(
        AnchorRecord calldata anchored,
        Reading[] calldata readings,
        bytes32[] calldata rangeProof,
        bytes32[] calldata peakProof
    ) external view override returns (bool) {
        return _areInBatch(anchored, readings, rangeProof) && _isAnchored(anchored, peakProof);
    }

    /// @inheritdoc IDataAnchor
    function verifyConsistency(
        bytes32 logId,
        uint64 oldSize,
        bytes32 oldRoot,
        bytes32[] calldata proof
    ) external view override returns (bool) {
        Log storage log = _logs[logId];
        uint64 size = _sizeOf(log);
        return MerkleLog.isConsistent(Tree.Keccak256, oldRoot, oldSize, MerkleLog.rootOf(log.peaks, size), size, proof);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return
            interfaceId == type(IDataAnchor).interfaceId ||
            interfaceId == type(IBatch).interfaceId ||
            super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private: appending

    /// @dev Whoever calls has settled that `author` may append to the log.
    function _appendOrRevert(Anchor calldata newAnchor, address author) private {
        Entry memory entry = _newEntry(newAnchor.freshBlock, newAnchor.freshHash, author);
        _readAnchor(entry, newAnchor);
        bytes memory refusal = _append(entry);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    /// @dev Returns the error with which the log refuses the entry, encoded; nothing if it was appended.
    function _append(Entry memory entry) private returns (bytes memory refusal) {
        Log storage log = _logs[entry.logId];
        uint256 word = log.head;
        refusal = _refusalOf(entry, word);
        if (refusal.length != 0) return refusal;
        log.head = _headAfter(entry, word);
        MerkleLog.append(log.peaks, uint64(entry.index), _leafOf(entry));
        emit Anchored(
            entry.logId,
            uint64(entry.index),
            address(uint160(entry.author)),
            _spanOf(entry),
            entry.root,
            _contextOf(entry)
        );
    }

    function _headAfter(Entry memory entry, uint256 word) private pure returns (uint256) {
        // Cannot overflow, nor run into each other: no number is wider than 64 bits, nobody can append 2^64 times, and the
        // time is not past a deadline of 40 bits.
        unchecked {
            // A correction speaks of what is in the log: it only counts.
            if (entry.kind == uint256(Kind.Correction)) return word + (1 << 64);
            return
                (entry.firstSeq + entry.count) |
                ((entry.index + 1) << 64) |
                (entry.tLast << 128) |
                (entry.timestamp << 176);
        }
    }

    /// @dev Why a log with this head cannot take the entry, as an encoded error; nothing if it can. An error that is returned
    ///      can be reported by whoever goes on with other logs.
    function _refusalOf(Entry memory entry, uint256 word) private pure returns (bytes memory refusal) {
        uint256 nextSeq = uint64(word);
        uint256 size = uint64(word >> 64);
        uint256 lastMeasured = uint48(word >> 128);
        bytes32 logId = entry.logId;
        uint256 kind = entry.kind;

        if (entry.index != size) return abi.encodeWithSelector(IndexMismatch.selector, logId, size, entry.index);
        // Cannot overflow: no number is wider than 64 bits, and the time not wider than 40.
        uint256 pastSeq;
        uint256 latest;
        unchecked {
            pastSeq = entry.firstSeq + entry.count;
            latest = entry.timestamp * 1000 + CLOCK_TOLERANCE;
        }
        if (entry.count == 0 || entry.count > MAX_COUNT || pastSeq > type(uint64).max) {
            return abi.encodeWithSelector(CountInvalid.selector, entry.count);
        }
        if (entry.tFirst > entry.tLast) {
            return abi.encodeWithSelector(TimeRegressed.selector, logId, entry.tFirst, entry.tLast);
        }
        if (entry.tLast > latest) return abi.encodeWithSelector(TimeInFuture.selector, latest, entry.tLast);
        if ((entry.root == 0) != (kind == uint256(Kind.Gap))) {
            return abi.encodeWithSelector(RootInvalid.selector, kind, entry.root);
        }
        if (kind == uint256(Kind.Correction)) {
            if (entry.supersedes >= size) {
                return abi.encodeWithSelector(SupersedesInvalid.selector, entry.supersedes, size);
            }
            if (pastSeq > nextSeq) return abi.encodeWithSelector(CorrectionOutOfRange.selector, nextSeq, pastSeq);
        } else {
            if (entry.supersedes != 0) {
                return abi.encodeWithSelector(SupersedesInvalid.selector, entry.supersedes, size);
            }
            if (entry.firstSeq != nextSeq) {
                return abi.encodeWithSelector(SequenceMismatch.selector, logId, nextSeq, entry.firstSeq);
            }
            if (entry.tFirst < lastMeasured) {
                return abi.encodeWithSelector(TimeRegressed.selector, logId, lastMeasured, entry.tFirst);
            }
        }
    }

    /// @dev Why a record cannot go into any log: what the ABI's decoder refuses of an Anchor, and whose log it is.
    function _refusalOfRecord(Entry memory entry) private pure returns (bytes memory refusal) {
        if (entry.kind > uint256(Kind.AccessLog) || entry.tree > uint256(Tree.Sha256)) {
            return abi.encodeWithSelector(AnchorMalformed.selector);
        }
        if (!_isFleetLog(entry.logId)) return abi.encodeWithSelector(LogNeedsDevice.selector, entry.logId);
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

    // ------------------------------------------------------------------ private: messages

    /// @dev Returns the digest that the key signed.
    function _requireKeyProof(
        address keyId,
        Scheme scheme,
        Anchor calldata message,
        KeyProof calldata proof
    ) private view returns (bytes32 digest) {
        digest = _hashTypedDataV4(_structHashOf(message));
        require(KeyProofs.isValid(keyId, scheme, digest, proof), KeyProofInvalid(keyId, digest));
    }

    /// @dev keccak256(abi.encode(ANCHOR_TYPEHASH, message)), without a check of each member: `_readAnchor` checks what is
    ///      appended, and evidence counts as it was signed.
    function _structHashOf(Anchor calldata message) private pure returns (bytes32 structHash) {
        bytes32 typeHash = ANCHOR_TYPEHASH;
        // Safe: the 13 members are words in calldata, and memory is written only past the free memory pointer.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore(preimage, typeHash)
            calldatacopy(add(preimage, 0x20), message, 0x1a0)
            structHash := keccak256(preimage, 0x1c0)
        }
    }

    /// @dev Hash of what is committed to: of all but fresh block and deadline, which change when a batch is signed again.
    function _contentHashOf(Anchor calldata message) private pure returns (bytes32 hash) {
        bytes32 batchRoot = message.root;
        // Safe: the first nine members are words in calldata, and memory is written only past the free memory pointer.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            calldatacopy(preimage, message, 0x120)
            mstore(add(preimage, 0x120), batchRoot)
            hash := keccak256(preimage, 0x140)
        }
    }

    // ------------------------------------------------------------------ private: entries

    /// @dev Reverts if the chain knows better than the fresh block that was named.
    function _newEntry(uint64 freshBlock, bytes32 freshHash, address author) private view returns (Entry memory entry) {
        FreshState freshState = _requireFresh(freshBlock, freshHash);
        // Safe: allocates the 14 members, which all are written before they are read, and in front of them the word that
        // `_leafOf` needs.
        assembly ("memory-safe") {
            let prefix := mload(0x40)
            mstore(prefix, 0x0003)
            entry := add(prefix, 0x20)
            mstore(0x40, add(entry, 0x1c0))
        }
        entry.freshBlock = freshBlock;
        entry.freshState = uint256(freshState);
        entry.timestamp = block.timestamp;
        entry.author = uint160(author);
    }

    /// @dev The decoder checks the width of a number each time that it is read; this checks all of them once.
    function _readAnchor(Entry memory entry, Anchor calldata newAnchor) private pure {
        // Safe: the first nine members of an Entry are words, those of an Anchor with the same names are words in calldata.
        assembly ("memory-safe") {
            calldatacopy(entry, newAnchor, 0x120)
        }
        entry.root = newAnchor.root;
        (entry.kind, entry.tree) = (uint256(newAnchor.kind), uint256(newAnchor.tree));
        uint256 in64Bits = entry.index | entry.firstSeq | entry.count | entry.supersedes;
        uint256 in48Bits = entry.tFirst | entry.tLast;
        require((in64Bits >> 64) | (in48Bits >> 48) == 0, AnchorMalformed());
    }

    /// @dev `stream12 ‖ index8 ‖ kind1 ‖ tree1 ‖ firstSeq8 ‖ count5 ‖ tFirst6 ‖ tLast6 ‖ supersedes8 ‖ root32`. There are more
    ///      than `i` records, so nothing behind them is read.
    function _readRecord(Entry memory entry, address fleet, bytes calldata records, uint256 i) private pure {
        uint256 head1;
        uint256 head2;
        bytes32 batchRoot;
        // Safe: only reads calldata; the three words overlap to cover the record's 87 bytes.
        assembly ("memory-safe") {
            let record := add(records.offset, mul(i, RECORD_BYTES))
            head1 := calldataload(record)
            head2 := calldataload(add(record, 23))
            batchRoot := calldataload(add(record, 55))
        }
        entry.logId = bytes32((uint256(uint160(fleet)) << 96) | (head1 >> 160));
        entry.index = uint64(head1 >> 96);
        entry.kind = uint8(head1 >> 88);
        entry.tree = uint8(head1 >> 80);
        entry.firstSeq = uint64(head1 >> 16);
        entry.count = uint40(head2 >> 160);
        entry.tFirst = uint48(head2 >> 112);
        entry.tLast = uint48(head2 >> 64);
        entry.supersedes = uint64(head2);
        entry.root = batchRoot;
    }

    /// @dev The leaf of the record that the entry is: keccak256(0x00 ‖ 0x03 ‖ abi.encode(record)).
    function _leafOf(Entry memory entry) private pure returns (bytes32 leaf) {
        // Safe: `_newEntry` wrote 0x0003 into the word in front of the 14 members, and nothing else has been given that word.
        assembly ("memory-safe") {
            leaf := keccak256(sub(entry, 2), 0x1c2)
        }
    }

    /// @dev The fields cannot run into each other: the widths of all numbers were checked.
    function _spanOf(Entry memory entry) private pure returns (uint256) {
        return entry.firstSeq | (entry.count << 64) | (entry.tFirst << 128) | (entry.tLast << 176);
    }

    /// @dev Nor can these: the block's time is not past a deadline of 40 bits.
    function _contextOf(Entry memory entry) private pure returns (uint256) {
        return
            entry.kind |
            (entry.tree << 8) |
            (entry.freshState << 16) |
            (entry.timestamp << 24) |
            (entry.freshBlock << 88) |
            (entry.supersedes << 152);
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
        if (!_canHold(anchored, reading)) return false;
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

    /// @dev Each reading has the number after the one before it.
    function _areInBatch(
        AnchorRecord calldata anchored,
        Reading[] calldata readings,
        bytes32[] calldata rangeProof
    ) private pure returns (bool) {
        if (readings.length == 0) return false;
        uint256 first = readings[0].seq;
        bytes32[] memory leaves = new bytes32[](readings.length);
        for (uint256 i = 0; i < readings.length; ++i) {
            if (readings[i].seq != first + i || !_canHold(anchored, readings[i])) return false;
            leaves[i] = _leafOf(anchored.tree, anchored.logId, readings[i]);
        }
        return
            MerkleLog.isRangeIncluded(
                anchored.tree,
                anchored.root,
                anchored.count,
                leaves,
                first - anchored.firstSeq,
                rangeProof
            );
    }

    function _canHold(AnchorRecord calldata anchored, Reading calldata reading) private pure returns (bool) {
        return
            anchored.kind != Kind.Gap &&
            reading.seq >= anchored.firstSeq &&
            reading.measuredAt >= anchored.tFirst &&
            reading.measuredAt <= anchored.tLast;
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
