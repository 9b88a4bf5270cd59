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
import {AnchorEntries, AnchorEntry} from "./libraries/AnchorEntry.sol";
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

    // ------------------------------------------------------------------ constants

    bytes32 private constant ANCHOR_TYPEHASH = keccak256(
        "Anchor(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast,uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline)"
    );

    /// @dev A count is at most 2^32.
    uint256 private constant COUNT_BITS = 32;

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
        require(records.length % AnchorEntries.RECORD_BYTES == 0, RecordsMalformed(records.length));
        _requirePermission(fleet, Permissions.ANCHOR);
        _requireInTime(deadline);
        AnchorEntry entry = _newEntry(freshBlock, freshHash, msg.sender);
        done = new bool[](records.length / AnchorEntries.RECORD_BYTES);
        for (uint256 i = 0; i < done.length; ++i) {
            entry.readRecord(fleet, records, i);
            bytes memory refusal =
                _isFleetLog(entry.logId())
                    ? _append(entry)
                    : abi.encodeWithSelector(LogNeedsDevice.selector, entry.logId());
            if (refusal.length == 0) done[i] = true;
            else emit AnchorSkipped(entry.logId(), uint64(entry.index()), refusal);
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
        AnchorEntry entry = _newEntry(newAnchor.freshBlock, newAnchor.freshHash, author);
        entry.readAnchor(newAnchor);
        bytes memory refusal = _append(entry);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    /// @dev Returns the error with which the log refuses the entry, encoded; nothing if it was appended.
    function _append(AnchorEntry entry) private returns (bytes memory refusal) {
        Log storage log = _logs[entry.logId()];
        uint256 advanced;
        (refusal, advanced) = _advance(entry, log.head);
        if (refusal.length != 0) return refusal;
        log.head = advanced;
        MerkleLog.append(log.peaks, uint64(entry.index()), entry.leaf());
        emit Anchored(
            entry.logId(),
            uint64(entry.index()),
            entry.author(),
            entry.span(),
            entry.root(),
            entry.context()
        );
    }

    /// @dev The head that a log with this head has behind the entry, or why it cannot take it, as an encoded error: what is
    ///      returned can be reported by whoever goes on with other logs.
    function _advance(AnchorEntry entry, uint256 word) private view returns (bytes memory refusal, uint256 advanced) {
        (bytes32 logId, uint256 index, uint256 kind) = (entry.logId(), entry.index(), entry.kind());
        (uint256 firstSeq, uint256 count) = (entry.firstSeq(), entry.count());
        (uint256 tFirst, uint256 tLast) = (entry.tFirst(), entry.tLast());
        (uint256 supersedes, bytes32 batchRoot) = (entry.supersedes(), entry.root());
        uint256 nextSeq = uint64(word);
        uint256 size = uint64(word >> 64);

        if (kind > uint256(Kind.AccessLog) || entry.tree() > uint256(Tree.Sha256)) {
            return (abi.encodeWithSelector(AnchorMalformed.selector), 0);
        }
        if (index != size) return (abi.encodeWithSelector(IndexMismatch.selector, logId, size, index), 0);
        uint256 pastSeq;
        uint256 latest;
        // Cannot overflow: no number is wider than 64 bits, and the time not wider than 40. A count of 0 is meant to wrap.
        unchecked {
            pastSeq = firstSeq + count;
            latest = block.timestamp * 1000 + CLOCK_TOLERANCE;
            if (((count - 1) >> COUNT_BITS) | (pastSeq >> 64) != 0) {
                return (abi.encodeWithSelector(CountInvalid.selector, count), 0);
            }
        }
        if (tFirst > tLast) return (abi.encodeWithSelector(TimeRegressed.selector, logId, tFirst, tLast), 0);
        if (tLast > latest) return (abi.encodeWithSelector(TimeInFuture.selector, latest, tLast), 0);
        if ((batchRoot == 0) != (kind == uint256(Kind.Gap))) {
            return (abi.encodeWithSelector(RootInvalid.selector, kind, batchRoot), 0);
        }
        if (kind == uint256(Kind.Correction)) {
            if (supersedes >= size) return (abi.encodeWithSelector(SupersedesInvalid.selector, supersedes, size), 0);
            if (pastSeq > nextSeq) return (abi.encodeWithSelector(CorrectionOutOfRange.selector, nextSeq, pastSeq), 0);
            // It speaks of what is in the log: it only counts. Cannot overflow: nobody can append 2^64 times.
            unchecked {
                return (refusal, word + (1 << 64));
            }
        }
        if (supersedes != 0) return (abi.encodeWithSelector(SupersedesInvalid.selector, supersedes, size), 0);
        if (firstSeq != nextSeq) {
            return (abi.encodeWithSelector(SequenceMismatch.selector, logId, nextSeq, firstSeq), 0);
        }
        uint256 lastMeasured = uint48(word >> 128);
        if (tFirst < lastMeasured) {
            return (abi.encodeWithSelector(TimeRegressed.selector, logId, lastMeasured, tFirst), 0);
        }
        // Cannot overflow, nor run into each other: the time is not past a deadline of 40 bits.
        unchecked {
            advanced = pastSeq | ((size + 1) << 64) | (tLast << 128) | (block.timestamp << 176);
        }
    }

    /// @dev Reverts if the chain knows better than the fresh block that was named.
    function _newEntry(uint64 freshBlock, bytes32 freshHash, address author) private view returns (AnchorEntry) {
        return AnchorEntries.allocate(freshBlock, _requireFresh(freshBlock, freshHash), author);
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

    /// @dev keccak256(abi.encode(ANCHOR_TYPEHASH, message)), without a check of each member: `readAnchor` checks what is
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
