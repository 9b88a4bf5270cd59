// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {KeyProof} from "../libraries/KeyProofs.sol";
import {Tree} from "../libraries/MerkleLog.sol";
import {IBatch} from "./IBatch.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title IDataAnchor
/// @notice What was measured, and when: append-only logs of batches of readings, without gaps.
/// @dev `logId = bytes32(subject20 ‖ stream12)`; there is nothing to open. The top bit of the stream decides for ever who
///      appends. 0: a device log, where the device `subject` signs each anchor and anyone may send it. 1: a fleet log, where
///      the governor of `subject` or a member with Anchor sends. A log keeps the RFC 9162 tree of its anchors as peaks,
///      so every anchor ever made stays provable. Measurement times are Unix milliseconds; other times are Unix seconds.
/// @custom:security-contact See SECURITY.md
interface IDataAnchor is IRegistry, IBatch {
    // ------------------------------------------------------------------ structs

    /// @notice What an anchor is.
    enum Kind {
        /// @custom:value0 A batch of readings.
        Data,
        /// @custom:value1 Readings that were lost, declared: it counts them and has no root.
        Gap,
        /// @custom:value2 A batch that corrects readings anchored before.
        Correction,
        /// @custom:value3 A batch of install receipts (fleet logs only).
        Receipts,
        /// @custom:value4 A batch of records of who read what (fleet logs only).
        AccessLog
    }

    /// @notice What the chain knew of `freshBlock`, which shows that the anchor is not older than that block.
    enum FreshState {
        /// @custom:value0 No block was named.
        None,
        /// @custom:value1 The block has the hash that was named.
        Confirmed,
        /// @custom:value2 The block is too old for the chain to tell.
        TooOld
    }

    /// @notice One committed batch of readings; for device logs also the EIP-712 message that the device signs.
    /// @param logId Subject and stream.
    /// @param index Number of this anchor in its log; it must be the log's size, so nothing can be replayed.
    /// @param kind What the anchor is.
    /// @param tree How the root opens.
    /// @param firstSeq Sequence number of the first reading; it must continue the log.
    /// @param count Number of readings, 1 to 2^32.
    /// @param tFirst Unix milliseconds of the earliest measurement.
    /// @param tLast Unix milliseconds of the latest measurement, at most an hour ahead of the chain.
    /// @param supersedes For a correction the index of the anchor it corrects, else 0.
    /// @param freshBlock Number of a recent block, or 0 for none.
    /// @param freshHash Hash of that block, or 0 for none.
    /// @param root Root of the batch's tree; 0 for a gap.
    /// @param deadline Unix seconds until which the message is valid.
    struct Anchor {
        bytes32 logId;
        uint64 index;
        Kind kind;
        Tree tree;
        uint64 firstSeq;
        uint64 count;
        uint48 tFirst;
        uint48 tLast;
        uint64 supersedes;
        uint64 freshBlock;
        bytes32 freshHash;
        bytes32 root;
        uint40 deadline;
    }

    /// @notice An anchor as the log keeps it: the anchor's leaf is the hash of this.
    /// @param freshState What the chain knew of `freshBlock`.
    /// @param timestamp Unix seconds of the block that the anchor is in.
    /// @param author Id of the key or account that appended it.
    struct AnchorRecord {
        bytes32 logId;
        uint64 index;
        Kind kind;
        Tree tree;
        uint64 firstSeq;
        uint64 count;
        uint48 tFirst;
        uint48 tLast;
        uint64 supersedes;
        uint64 freshBlock;
        FreshState freshState;
        bytes32 root;
        uint64 timestamp;
        address author;
    }

    /// @notice Where a log ends.
    /// @param nextSeq Sequence number that the next reading must have.
    /// @param size Number of anchors.
    /// @param lastMeasured Unix milliseconds of the latest measurement.
    /// @param lastAnchored Unix seconds of the latest anchor that continued the log: a correction does not.
    struct Head {
        uint64 nextSeq;
        uint64 size;
        uint48 lastMeasured;
        uint40 lastAnchored;
    }

    /// @notice A reading as its leaf commits to it.
    /// @param seq Its sequence number in the log.
    /// @param measuredAt Unix milliseconds.
    /// @param commitment Salted hash of its content, by the anchor's tree: H(0x02 ‖ salt16 ‖ contentFormat2 ‖ payload).
    struct Reading {
        uint64 seq;
        uint48 measuredAt;
        bytes32 commitment;
    }

    // ------------------------------------------------------------------ errors

    /// @notice The log belongs to a device: only what its key signed can be appended.
    error LogNeedsDevice(bytes32 logId);

    /// @notice The log belongs to a fleet: only its governor and members with Anchor append.
    error LogNeedsMember(bytes32 logId);

    /// @notice The device is not active.
    error DeviceNotActive(address device);

    /// @notice The anchor's index is not the log's size: it was sent before, or one before it is missing.
    error IndexMismatch(bytes32 logId, uint64 expected, uint64 given);

    /// @notice The first sequence number is not the one that continues the log.
    error SequenceMismatch(bytes32 logId, uint64 expected, uint64 given);

    /// @notice A count is 1 to 2^32, and sequence numbers stay below 2^64.
    error CountInvalid(uint64 count);

    /// @notice The measurements go back before what the log has, or end before they begin.
    error TimeRegressed(bytes32 logId, uint48 earliest, uint48 given);

    /// @notice The measurement is further ahead of the chain than an hour.
    error TimeInFuture(uint48 latest, uint48 given);

    /// @notice A gap has no root, everything else has one.
    error RootInvalid(Kind kind, bytes32 root);

    /// @notice Device logs hold data, gaps and corrections only.
    error KindNotAllowed(bytes32 logId, Kind kind);

    /// @notice Only corrections supersede, and only an anchor that is in the log.
    error SupersedesInvalid(uint64 supersedes, uint64 size);

    /// @notice A correction covers only readings that are in the log.
    error CorrectionOutOfRange(uint64 nextSeq, uint64 end);

    /// @notice A number of the anchor is wider than its type, or names a kind or tree that does not exist: it was not encoded
    ///         as the ABI says.
    error AnchorMalformed();

    /// @notice So many bytes are no whole number of records.
    error RecordsMalformed(uint256 length);

    /// @notice The block that was named is not mined yet, or has another hash; with no block, there is no hash.
    error FreshBlockInvalid(uint64 freshBlock, bytes32 freshHash);

    /// @notice The device was never enrolled.
    error DeviceNotEnrolled(address device);

    /// @notice The two anchors are not of one place in one log: each may be true.
    error AnchorsUnrelated(bytes32 logId, uint64 index, bytes32 otherLogId, uint64 otherIndex);

    /// @notice The two anchors commit to the same batch: a device may sign one again.
    error AnchorsAgree(bytes32 logId, uint64 index);

    // ------------------------------------------------------------------ events

    /// @notice The anchor is in the log. All of its AnchorRecord is here, in three words, as each word of an event costs 256
    ///         gas.
    /// @param span From the lowest bit: `firstSeq64 | count64 | tFirst48 | tLast48`.
    /// @param context From the lowest bit: `kind8 | tree8 | freshState8 | timestamp64 | freshBlock64 | supersedes64`.
    event Anchored(
        bytes32 indexed logId,
        uint64 indexed index,
        address indexed author,
        uint256 span,
        bytes32 root,
        uint256 context
    );

    /// @notice The record of `anchorMany` for this place in the log was refused with this error, and changed nothing; the
    ///         others went on.
    event AnchorSkipped(bytes32 indexed logId, uint64 indexed index, bytes reason);

    /// @notice The device signed two different batches for one place in its log: at most one of them is in it, and what the
    ///         device says of itself cannot be relied on.
    /// @param keyId The device's key, which signed both.
    /// @param firstDigest EIP-712 digest of the one message.
    /// @param secondDigest EIP-712 digest of the other.
    event Equivocated(
        bytes32 indexed logId,
        uint64 indexed index,
        address indexed keyId,
        bytes32 firstDigest,
        bytes32 secondDigest
    );

    // ------------------------------------------------------------------ appending

    /// @notice Appends to a device log what the device signed. Anyone may send.
    /// @dev The device must be active, and the proof by its present key. Reverts: LogNeedsMember, KindNotAllowed,
    ///      DeadlinePassed, DeviceNotActive, KeyProofInvalid, and all that `anchorAsMember` reverts with from
    ///      FreshBlockInvalid on.
    function anchor(Anchor calldata newAnchor, KeyProof calldata byDevice) external;

    /// @notice Appends to a fleet log.
    /// @dev By the governor of the log's subject or a member with Anchor. The deadline holds here too. Reverts:
    ///      LogNeedsDevice, CallerLacksPermission, DeadlinePassed, FreshBlockInvalid, AnchorMalformed, IndexMismatch,
    ///      CountInvalid, TimeRegressed, TimeInFuture, RootInvalid, SupersedesInvalid, CorrectionOutOfRange,
    ///      SequenceMismatch.
    function anchorAsMember(Anchor calldata newAnchor) external;

    /// @notice Appends to many logs of one fleet, in the order of the records, and skips what a log cannot take, so that one
    ///         record that has become stale never undoes the rest.
    /// @dev By the governor of the fleet or a member with Anchor. A record is 87 bytes, big-endian: `stream12 ‖ index8 ‖ kind1
    ///      ‖ tree1 ‖ firstSeq8 ‖ count5 ‖ tFirst6 ‖ tLast6 ‖ supersedes8 ‖ root32`, and its log is `fleet ‖ stream`. Emits
    ///      AnchorSkipped for a record that `anchorAsMember` would refuse. Reverts: RecordsMalformed,
    ///      CallerLacksPermission, DeadlinePassed, FreshBlockInvalid.
    /// @param fleet An account or a fleet handle.
    /// @param deadline Unix seconds until which the call is valid.
    /// @param freshBlock Number of a recent block, for all records, or 0 for none.
    /// @param freshHash Hash of that block, or 0 for none.
    /// @param records The records, one after the other.
    /// @return done For each record whether it was appended.
    function anchorMany(
        address fleet,
        uint40 deadline,
        uint64 freshBlock,
        bytes32 freshHash,
        bytes calldata records
    ) external returns (bool[] memory done);

    // ------------------------------------------------------------------ evidence

    /// @notice Puts on record that a device signed two different batches for one place in its log. Anyone may send.
    /// @dev The proofs are by the device's present key, whatever its status; deadlines do not count, nor whether a log would
    ///      take the anchors. Two messages that differ in deadline and fresh block only are one batch, signed again: so
    ///      whoever has a device sign keeps the batch first, and never builds it anew. Nothing else follows from the record:
    ///      what to do with the device is its owner's to say. A key that was rotated away can no longer be reported, and a
    ///      new key can speak of old places: compare `keyId` with the author of the anchor there. Reverts: LogNeedsMember,
    ///      AnchorsUnrelated, AnchorsAgree, DeviceNotEnrolled, KeyProofInvalid.
    function reportEquivocation(
        Anchor calldata first,
        KeyProof calldata byDevice,
        Anchor calldata second,
        KeyProof calldata alsoByDevice
    ) external;

    // ------------------------------------------------------------------ views

    /// @notice Where the log ends; all zero for one never written.
    function head(bytes32 logId) external view returns (Head memory);

    /// @notice Whether nothing has continued the log for more than so many seconds, or ever. What the log then lacks, it may
    ///         still get: silence is all that shows when its newest readings are withheld.
    /// @dev A gap continues the log, a correction does not. How old the measurements are is in `head`.
    function isOverdue(bytes32 logId, uint40 longestSilence) external view returns (bool);

    /// @notice RFC 9162 root over the log's anchors; keccak256 of nothing for an empty log.
    function root(bytes32 logId) external view returns (bytes32);

    /// @notice The leaf of an anchor: keccak256(0x00 ‖ 0x03 ‖ abi.encode(record)).
    function leafOf(AnchorRecord calldata anchored) external pure returns (bytes32);

    /// @notice Whether the anchor is in the log.
    /// @param peakProof Siblings from the anchor's leaf up to the peak of the log that holds it.
    function verifyAnchor(AnchorRecord calldata anchored, bytes32[] calldata peakProof) external view returns (bool);

    /// @notice Whether the reading is in the anchor, at the place that its sequence number says, and the anchor in the log.
    /// @param batchProof Siblings from the reading's leaf up to the anchor's root, as in RFC 9162, section 2.1.3.
    /// @param peakProof Siblings from the anchor's leaf up to the peak of the log that holds it.
    function verifyReading(
        AnchorRecord calldata anchored,
        Reading calldata reading,
        bytes32[] calldata batchProof,
        bytes32[] calldata peakProof
    ) external view returns (bool);

    /// @notice Whether these are all the readings of the anchor from the first to the last of them, in their order, and the
    ///         anchor is in the log. A range over several anchors is proved anchor by anchor, as the log has no gaps.
    /// @param rangeProof The hashes that complete the range to the anchor's root, level by level from the leaves up, on each
    ///        level the left one before the right one.
    /// @param peakProof Siblings from the anchor's leaf up to the peak of the log that holds it.
    function verifyRange(
        AnchorRecord calldata anchored,
        Reading[] calldata readings,
        bytes32[] calldata rangeProof,
        bytes32[] calldata peakProof
    ) external view returns (bool);

    /// @notice Whether the log, as it is now, begins with the log of `oldSize` anchors that had this root.
    /// @dev False for an `oldSize` of 0, of which there is nothing to show.
    /// @param proof As in RFC 9162, section 2.1.4, from the old size to the present one.
    function verifyConsistency(
        bytes32 logId,
        uint64 oldSize,
        bytes32 oldRoot,
        bytes32[] calldata proof
    ) external view returns (bool);
}
