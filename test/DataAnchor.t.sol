// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DataAnchor} from "../contracts/DataAnchor.sol";
import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDataAnchor} from "../contracts/interfaces/IDataAnchor.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Tree} from "../contracts/libraries/MerkleLog.sol";
import {Roles} from "../contracts/libraries/Roles.sol";
import {anchorDigest} from "./support/AnchorDigest.sol";
import {enrollmentDigest} from "./support/Digests.sol";
import {Keys} from "./support/Keys.sol";
import {Rfc9162} from "./support/Rfc9162.sol";
import {Vm} from "./support/Test.sol";

/// @dev Ids of logs, and devices that are enrolled.
abstract contract DataAnchorSetup is Keys {
    uint256 internal constant P256_KEY = 1001;
    uint256 internal constant ACCOUNT_KEY = 1002;

    function deviceLogOf(address device) internal pure returns (bytes32) {
        return bytes32((uint256(uint160(device)) << 96) | 1);
    }

    function fleetLogOf(address subject) internal pure returns (bytes32) {
        return bytes32((uint256(uint160(subject)) << 96) | (1 << 95) | 1);
    }

    function enroll(DeviceRegistry devices, uint256 key, Scheme scheme, address owner) internal {
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: keyIdOf(key, scheme),
            scheme: scheme,
            owner: owner,
            manifest: 0,
            metadataHash: 0,
            deadline: uint40(block.timestamp)
        });
        KeyProof memory proof = prove(key, scheme, enrollmentDigest(address(devices), enrollment));
        vm.prank(owner);
        devices.enroll(enrollment, proof, "");
    }

    /// @dev The bytes of an anchor in `anchorMany`.
    function packed(IDataAnchor.Anchor memory next) internal pure returns (bytes memory) {
        return
            abi.encodePacked(
                bytes12(uint96(uint256(next.logId))),
                abi.encodePacked(next.index, next.kind, next.tree, next.firstSeq, uint40(next.count)),
                abi.encodePacked(next.tFirst, next.tLast, next.supersedes, next.root)
            );
    }

    /// @dev The record that the contract makes of an anchor that names no block.
    function recordOf(
        IDataAnchor.Anchor memory next,
        address author
    ) internal view returns (IDataAnchor.AnchorRecord memory) {
        return
            IDataAnchor.AnchorRecord({
                logId: next.logId,
                index: next.index,
                kind: next.kind,
                tree: next.tree,
                firstSeq: next.firstSeq,
                count: next.count,
                tFirst: next.tFirst,
                tLast: next.tLast,
                supersedes: next.supersedes,
                freshBlock: 0,
                freshState: IDataAnchor.FreshState.None,
                root: next.root,
                timestamp: uint64(vm.getBlockTimestamp()),
                author: author
            });
    }
}

/// @dev Appends to two device logs and a fleet log, with right and wrong anchors, and keeps its own account of them.
contract DataAnchorHandler is DataAnchorSetup {
    struct Expected {
        uint256 nextSeq;
        uint256 lastMeasured;
        uint256 lastAnchored;
        bytes32[] leaves;
        /// @dev What the contract said the root was, and at which sizes.
        bytes32[] roots;
        uint256[] sizes;
    }

    DataAnchor public immutable DATA;
    DeviceRegistry public immutable DEVICES;
    address public immutable OWNER;
    address public immutable MEMBER;

    uint256 private constant LOGS_COUNT = 3;

    mapping(bytes32 logId => Expected) private _expected;
    mapping(bytes32 logId => IDataAnchor.AnchorRecord[]) private _records;
    mapping(bytes32 logId => IDataAnchor.Head) private _lastHead;

    /// @dev Whatever happens, no number of any log goes back.
    modifier watched() {
        _;
        for (uint256 i = 0; i < LOGS_COUNT; ++i) {
            bytes32 logId = logAt(i);
            IDataAnchor.Head memory before = _lastHead[logId];
            IDataAnchor.Head memory head = DATA.head(logId);
            require(head.size >= before.size && head.nextSeq >= before.nextSeq, "a log became shorter");
            require(head.lastMeasured >= before.lastMeasured, "a measurement was forgotten");
            require(head.lastAnchored >= before.lastAnchored, "a time went back");
            if (head.size == before.size) continue;
            _lastHead[logId] = head;
            _expected[logId].roots.push(DATA.root(logId));
            _expected[logId].sizes.push(head.size);
        }
    }

    constructor(DataAnchor data, DeviceRegistry devices, address owner, address member) {
        (DATA, DEVICES, OWNER, MEMBER) = (data, devices, owner, member);
    }

    /// @dev An anchor that continues its log must be taken, whatever its kind and size.
    function appendRight(
        uint256 logSeed,
        uint256 kindSeed,
        uint256 countSeed,
        uint256 timeSeed,
        bytes32 root
    ) external watched {
        bytes32 logId = logAt(logSeed);
        IDataAnchor.Anchor memory next = _rightAnchor(logId, kindSeed, countSeed, timeSeed, root);
        require(_send(next, logSeed), "a right anchor was refused");
        _account(next, logSeed);
    }

    /// @dev An anchor of which one thing is wrong must be refused.
    function appendWrong(uint256 logSeed, uint256 wrongSeed, uint256 by, uint256 kindSeed) external watched {
        bytes32 logId = logAt(logSeed);
        IDataAnchor.Anchor memory next = _rightAnchor(logId, kindSeed, 1, 0, "root");
        bool isWrong = _makeWrong(next, wrongSeed, by);
        require(_send(next, logSeed) != isWrong, "an anchor met the wrong fate");
        if (!isWrong) _account(next, logSeed);
    }

    /// @dev Of several records in one call the right ones must be taken, and the wrong ones skipped.
    function appendMany(uint256 memberSeed, uint256[5] calldata seeds) external watched {
        uint256 logSeed = 2 + 3 * (memberSeed % 2);
        bytes32 logId = logAt(logSeed);
        uint256 count = memberSeed % 6;
        bytes memory records;
        bool[] memory areRight = new bool[](count);
        for (uint256 i = 0; i < count; ++i) {
            // A seed gives kind, number of readings and times; every third is wrong.
            IDataAnchor.Anchor memory next = _rightAnchor(logId, seeds[i], seeds[i] >> 8, seeds[i], bytes32(seeds[i]));
            areRight[i] = seeds[i] % 3 != 0 || !_makeWrong(next, seeds[i] >> 16, seeds[i] >> 32);
            if (next.count > type(uint40).max) next.count = type(uint40).max;
            records = abi.encodePacked(records, packed(next));
            // The next one continues the log behind this one.
            if (areRight[i]) _account(next, logSeed);
        }
        vm.prank(_authorOf(logSeed));
        bool[] memory done = DATA.anchorMany(OWNER, uint40(block.timestamp), 0, 0, records);
        for (uint256 i = 0; i < count; ++i) require(done[i] == areRight[i], "a record met the wrong fate");
    }

    /// @dev Returns whether something is wrong now: the number that is altered may have stayed as it was.
    function _makeWrong(IDataAnchor.Anchor memory next, uint256 wrongSeed, uint256 by) private view returns (bool) {
        bytes32 logId = next.logId;
        bool isCorrection = next.kind == IDataAnchor.Kind.Correction;
        uint256 wrong = wrongSeed % 8;
        if (wrong == 0) next.index += uint64(bound(by, 1, 1000));
        if (wrong == 1) next.index -= uint64(bound(by, 0, next.index));
        if (wrong == 2) next.firstSeq += uint64(bound(by, isCorrection ? _expected[logId].nextSeq : 1, 2 ** 40));
        if (wrong == 3) next.count = 0;
        if (wrong == 4) next.count = uint64(bound(by, 2 ** 32 + 1, type(uint64).max));
        if (wrong == 5) next.tLast = uint48(bound(by, block.timestamp * 1000 + 3_600_001, type(uint48).max));
        if (wrong == 6) next.root = next.root == 0 ? bytes32("root") : bytes32(0);
        if (wrong == 7) next.supersedes = uint64(bound(by, isCorrection ? next.index : 1, type(uint64).max));
        return wrong != 1 || next.index != _expected[logId].leaves.length;
    }

    function passTime(uint16 time) external {
        vm.warp(vm.getBlockTimestamp() + time);
    }

    /// @dev The contract says of each log what this account of it says, and its root is that of an RFC 9162 tree.
    function checkHeadsAndRoots() external view {
        for (uint256 i = 0; i < LOGS_COUNT; ++i) {
            bytes32 logId = logAt(i);
            Expected memory expected = _expected[logId];
            IDataAnchor.Head memory head = DATA.head(logId);
            assertEq(head.nextSeq, expected.nextSeq);
            assertEq(head.size, expected.leaves.length);
            assertEq(head.lastMeasured, expected.lastMeasured);
            assertEq(head.lastAnchored, expected.lastAnchored);
            assertEq(DATA.root(logId), Rfc9162.root(expected.leaves, 0, expected.leaves.length, false));
        }
    }

    /// @dev Data, gaps, receipts and access logs follow each other without a hole or an overlap, in sequence and time.
    function checkContinuity() external view {
        for (uint256 i = 0; i < LOGS_COUNT; ++i) {
            IDataAnchor.AnchorRecord[] memory records = _records[logAt(i)];
            uint256 nextSeq = 0;
            uint256 lastMeasured = 0;
            for (uint256 j = 0; j < records.length; ++j) {
                IDataAnchor.AnchorRecord memory record = records[j];
                assertEq(record.index, j);
                uint256 pastSeq = uint256(record.firstSeq) + record.count;
                if (record.kind == IDataAnchor.Kind.Correction) {
                    assertLe(pastSeq, nextSeq);
                    continue;
                }
                assertEq(record.firstSeq, nextSeq);
                assertGe(record.tFirst, lastMeasured);
                (nextSeq, lastMeasured) = (pastSeq, record.tLast);
            }
        }
    }

    /// @dev Every anchor ever made is provable now.
    function checkProofs() external view {
        for (uint256 i = 0; i < LOGS_COUNT; ++i) {
            bytes32 logId = logAt(i);
            bytes32[] memory leaves = _expected[logId].leaves;
            for (uint256 j = 0; j < leaves.length; ++j) {
                (uint256 from, uint256 to) = _peakOf(j, leaves.length);
                bytes32[] memory proof = Rfc9162.path(leaves, j - from, from, to, false);
                assertTrue(DATA.verifyAnchor(_records[logId][j], proof));
            }
        }
    }

    /// @dev Every root that a log ever had is that of a beginning of the log as it is now.
    function checkConsistency() external view {
        for (uint256 i = 0; i < LOGS_COUNT; ++i) {
            bytes32 logId = logAt(i);
            Expected memory expected = _expected[logId];
            uint256 size = expected.leaves.length;
            for (uint256 j = 0; j < expected.sizes.length; ++j) {
                uint256 oldSize = expected.sizes[j];
                bytes32[] memory proof = Rfc9162.consistency(expected.leaves, oldSize, size, false);
                assertTrue(DATA.verifyConsistency(logId, uint64(oldSize), expected.roots[j], proof));
                assertFalse(DATA.verifyConsistency(logId, uint64(oldSize), ~expected.roots[j], proof));
            }
        }
    }

    function logAt(uint256 seed) public view returns (bytes32) {
        uint256 place = seed % LOGS_COUNT;
        if (place == 0) return deviceLogOf(keyIdOf(P256_KEY, Scheme.P256));
        return place == 1 ? deviceLogOf(vm.addr(ACCOUNT_KEY)) : fleetLogOf(OWNER);
    }

    function _rightAnchor(
        bytes32 logId,
        uint256 kindSeed,
        uint256 countSeed,
        uint256 timeSeed,
        bytes32 root
    ) private view returns (IDataAnchor.Anchor memory next) {
        Expected storage expected = _expected[logId];
        bool isFleetLog = (uint256(logId) >> 95) & 1 == 1;
        next.logId = logId;
        next.index = uint64(expected.leaves.length);
        next.kind = IDataAnchor.Kind(kindSeed % (isFleetLog ? 5 : 3));
        if (next.kind == IDataAnchor.Kind.Correction && expected.nextSeq == 0) next.kind = IDataAnchor.Kind.Data;
        next.tree = Tree(kindSeed % 2);
        next.deadline = uint40(block.timestamp);
        uint256 latest = block.timestamp * 1000 + 3_600_000;
        next.tFirst = uint48(bound(timeSeed, expected.lastMeasured, latest));
        next.tLast = uint48(bound(timeSeed >> 128, next.tFirst, latest));
        if (next.kind == IDataAnchor.Kind.Correction) {
            next.firstSeq = uint64(bound(countSeed, 0, expected.nextSeq - 1));
            next.count = uint64(bound(countSeed >> 128, 1, _least(expected.nextSeq - next.firstSeq, 2 ** 32)));
            next.supersedes = uint64(countSeed % expected.leaves.length);
        } else {
            next.firstSeq = uint64(expected.nextSeq);
            next.count = uint64(bound(countSeed, 1, 2 ** 32));
        }
        if (next.kind != IDataAnchor.Kind.Gap) next.root = root == 0 ? bytes32("root") : root;
    }

    function _send(IDataAnchor.Anchor memory next, uint256 logSeed) private returns (bool) {
        uint256 place = logSeed % LOGS_COUNT;
        if (place == 2) {
            vm.prank(_authorOf(logSeed));
            try DATA.anchorAsMember(next) {
                return true;
            } catch {
                return false;
            }
        }
        (uint256 key, Scheme scheme) = place == 0 ? (P256_KEY, Scheme.P256) : (ACCOUNT_KEY, Scheme.Account);
        KeyProof memory proof = prove(key, scheme, anchorDigest(address(DATA), next));
        try DATA.anchor(next, proof) {
            return true;
        } catch {
            return false;
        }
    }

    function _account(IDataAnchor.Anchor memory next, uint256 logSeed) private {
        Expected storage expected = _expected[next.logId];
        if (next.kind != IDataAnchor.Kind.Correction) {
            expected.nextSeq += next.count;
            expected.lastMeasured = next.tLast;
            expected.lastAnchored = block.timestamp;
        }
        IDataAnchor.AnchorRecord memory record = recordOf(next, _authorOf(logSeed));
        expected.leaves.push(keccak256(abi.encodePacked(bytes2(0x0003), abi.encode(record))));
        _records[next.logId].push(record);
    }

    function _authorOf(uint256 logSeed) private view returns (address) {
        uint256 place = logSeed % LOGS_COUNT;
        if (place == 0) return keyIdOf(P256_KEY, Scheme.P256);
        if (place == 1) return vm.addr(ACCOUNT_KEY);
        return (logSeed / LOGS_COUNT) % 2 == 0 ? OWNER : MEMBER;
    }

    /// @dev The perfect tree that holds the leaf, when the leaves split into perfect trees from the left.
    function _peakOf(uint256 index, uint256 size) private pure returns (uint256 from, uint256 to) {
        for (uint256 height = 64; height-- > 0;) {
            uint256 width = 1 << height;
            if (size & width == 0) continue;
            if (index < from + width) return (from, from + width);
            from += width;
        }
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}

contract DataAnchorTest is DataAnchorSetup {
    DataAnchor private _data;
    DataAnchorHandler private _handler;
    address private _owner;
    address private _member;

    function setUp() external {
        vm.warp(1_800_000_000);
        vm.roll(20_000_000);
        _owner = makeAddr("owner");
        _member = makeAddr("gateway");
        RoleRegistry roles = new RoleRegistry();
        DeviceRegistry devices = new DeviceRegistry(roles);
        _data = new DataAnchor(roles, devices);
        vm.prank(_owner);
        roles.setRoles(_owner, _member, uint32(1) << Roles.GATEWAY, 0, type(uint40).max);
        enroll(devices, P256_KEY, Scheme.P256, _owner);
        enroll(devices, ACCOUNT_KEY, Scheme.Account, _owner);
        _handler = new DataAnchorHandler(_data, devices, _owner, _member);
        targetContract(address(_handler));
    }

    // ------------------------------------------------------------------ invariants

    /// hardhat-config: invariant.runs = 12
    /// hardhat-config: invariant.depth = 40
    function invariant_HeadsAndRootsAreWhatWasAppended() external view {
        _handler.checkHeadsAndRoots();
    }

    /// hardhat-config: invariant.runs = 12
    /// hardhat-config: invariant.depth = 40
    function invariant_SequencesHaveNoHoleAndNoOverlap() external view {
        _handler.checkContinuity();
    }

    /// hardhat-config: invariant.runs = 6
    /// hardhat-config: invariant.depth = 40
    function invariant_EveryAnchorStaysProvable() external view {
        _handler.checkProofs();
    }

    /// hardhat-config: invariant.runs = 6
    /// hardhat-config: invariant.depth = 40
    function invariant_EveryEarlierRootStaysConsistent() external view {
        _handler.checkConsistency();
    }

    // ------------------------------------------------------------------ fuzz

    /// @dev One call for many records does to the logs what one call for each would do, and says of each what that would say.
    /// hardhat-config: fuzz.runs = 128
    function testFuzz_ManyIsEachByItself(uint256[8] calldata seeds, uint256 count) external {
        count = bound(count, 0, seeds.length);
        bytes memory records;
        IDataAnchor.Anchor[] memory anchors = new IDataAnchor.Anchor[](count);
        uint64[4] memory sizes;
        uint64[4] memory seqs;
        for (uint256 i = 0; i < count; ++i) {
            anchors[i] = _anchorFrom(seeds[i], sizes, seqs);
            records = abi.encodePacked(records, packed(anchors[i]));
        }
        (bool[] memory areRight, bytes[] memory reasons, bytes32 state) = this.oneByOne(anchors);

        vm.recordLogs();
        vm.prank(_owner);
        bool[] memory done = _data.anchorMany(_owner, uint40(block.timestamp), 0, 0, records);

        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(_stateOfLogs(), state);
        assertEq(done.length, count);
        assertEq(logs.length, count);
        for (uint256 i = 0; i < count; ++i) {
            assertEq(done[i], areRight[i]);
            assertEq(logs[i].topics[1], anchors[i].logId);
            assertEq(uint256(logs[i].topics[2]), anchors[i].index);
            if (done[i]) assertEq(logs[i].topics[0], IDataAnchor.Anchored.selector);
            else assertEq(logs[i].topics[0], IDataAnchor.AnchorSkipped.selector);
            if (!done[i]) assertEq(abi.decode(logs[i].data, (bytes)), reasons[i]);
        }
    }

    /// @dev What `anchorAsMember` would do, undone again.
    function oneByOne(
        IDataAnchor.Anchor[] calldata anchors
    ) external returns (bool[] memory done, bytes[] memory reasons, bytes32 state) {
        try this.oneByOneUndone(anchors) {
            revert("not undone");
        } catch (bytes memory outcome) {
            return abi.decode(outcome, (bool[], bytes[], bytes32));
        }
    }

    function oneByOneUndone(IDataAnchor.Anchor[] calldata anchors) external {
        bool[] memory done = new bool[](anchors.length);
        bytes[] memory reasons = new bytes[](anchors.length);
        for (uint256 i = 0; i < anchors.length; ++i) {
            vm.prank(_owner);
            try _data.anchorAsMember(anchors[i]) {
                done[i] = true;
            } catch (bytes memory reason) {
                reasons[i] = reason;
            }
        }
        bytes memory outcome = abi.encode(done, reasons, _stateOfLogs());
        assembly ("memory-safe") {
            revert(add(outcome, 0x20), mload(outcome))
        }
    }

    /// @dev What is signed counts as one batch however fresh block and deadline are, and as another if anything else differs.
    function testFuzz_EquivocationIsAnotherBatch(
        uint256 changed,
        uint256 by,
        uint64[3] calldata fresh,
        bytes32 freshHash
    ) external {
        IDataAnchor.Anchor memory first;
        first.logId = deviceLogOf(keyIdOf(P256_KEY, Scheme.P256));
        (first.index, first.count, first.root) = (fresh[2], 1, "root");
        (uint256 member, uint256 delta) = (changed % 9, bound(by, 1, type(uint48).max));
        IDataAnchor.Anchor memory second = abi.decode(abi.encode(first), (IDataAnchor.Anchor));
        (second.freshBlock, second.freshHash, second.deadline) = (fresh[0], freshHash, uint40(fresh[1]));
        if (member == 1) second.kind = IDataAnchor.Kind(1 + (delta % 4));
        if (member == 2) second.tree = Tree.Sha256;
        if (member == 3) second.firstSeq += uint64(delta);
        if (member == 4) second.count += uint64(delta);
        if (member == 5) second.tFirst += uint48(delta);
        if (member == 6) second.tLast += uint48(delta);
        if (member == 7) second.supersedes += uint64(delta);
        if (member == 8) second.root = ~bytes32(delta);
        KeyProof memory firstProof = prove(P256_KEY, Scheme.P256, anchorDigest(address(_data), first));
        KeyProof memory secondProof = prove(P256_KEY, Scheme.P256, anchorDigest(address(_data), second));
        if (member == 0) {
            vm.expectRevert(abi.encodeWithSelector(IDataAnchor.AnchorsAgree.selector, first.logId, first.index));
            _data.reportEquivocation(first, firstProof, second, secondProof);
            return;
        }
        _data.reportEquivocation(first, firstProof, second, secondProof);
        // Whoever takes one of the two for the other is refused.
        vm.expectRevert();
        _data.reportEquivocation(first, secondProof, second, firstProof);
    }

    /// @dev What is stored is the leaf of exactly this record, whatever its numbers.
    function testFuzz_LeafIsTheHashOfTheRecord(
        bytes12 stream,
        uint64 count,
        uint48 tFirst,
        uint48 tLast,
        bytes32 root,
        bool isSha256,
        uint40 time
    ) external {
        time = uint40(bound(time, 1_800_000_000, type(uint40).max));
        vm.warp(time);
        uint256 latest = uint256(time) * 1000 + 3_600_000;
        if (latest > type(uint48).max) latest = type(uint48).max;
        IDataAnchor.Anchor memory next;
        next.logId = bytes32((uint256(uint160(_owner)) << 96) | (1 << 95) | uint96(stream));
        next.tree = isSha256 ? Tree.Sha256 : Tree.Keccak256;
        next.count = uint64(bound(count, 1, 2 ** 32));
        next.tFirst = uint48(bound(tFirst, 0, latest));
        next.tLast = uint48(bound(tLast, next.tFirst, latest));
        next.root = root == 0 ? bytes32("root") : root;
        next.deadline = time;

        vm.prank(_owner);
        _data.anchorAsMember(next);

        IDataAnchor.AnchorRecord memory record = recordOf(next, _owner);
        assertEq(_data.leafOf(record), keccak256(abi.encodePacked(bytes2(0x0003), abi.encode(record))));
        assertEq(_data.root(next.logId), _data.leafOf(record));
        assertTrue(_data.verifyAnchor(record, new bytes32[](0)));
        IDataAnchor.Head memory head = _data.head(next.logId);
        assertEq(head.nextSeq, next.count);
        assertEq(head.size, 1);
        assertEq(head.lastMeasured, next.tLast);
        assertEq(head.lastAnchored, time);
    }

    /// @dev The head has 40 bits for the time: no deadline reaches further.
    function testFuzz_TimeBeyond40BitsIsPastEveryDeadline(uint256 time) external {
        time = bound(time, 2 ** 40, 2 ** 63);
        IDataAnchor.Anchor memory next;
        next.logId = fleetLogOf(_owner);
        next.count = 1;
        next.root = "root";
        next.deadline = type(uint40).max;
        vm.warp(time);
        vm.prank(_owner);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.DeadlinePassed.selector, next.deadline));
        _data.anchorAsMember(next);
    }

    /// @dev The views take whatever record and proof there is, and find nothing in a log that does not hold it.
    function testFuzz_ViewsNeverRevert(
        bytes32 logId,
        uint256 kindSeed,
        uint64[6] calldata numbers,
        uint48[2] calldata times,
        IDataAnchor.Reading calldata reading,
        bytes32[] calldata batchProof,
        bytes32[] calldata peakProof
    ) external {
        // One anchor, so that the log that is asked is not always empty.
        IDataAnchor.Anchor memory next;
        next.logId = fleetLogOf(_owner);
        (next.count, next.root, next.deadline) = (1, "root", type(uint40).max);
        vm.prank(_owner);
        _data.anchorAsMember(next);

        IDataAnchor.AnchorRecord memory record;
        record.logId = kindSeed % 2 == 0 ? next.logId : logId;
        record.index = kindSeed % 3 == 0 ? 0 : numbers[0];
        record.kind = IDataAnchor.Kind(kindSeed % 5);
        record.tree = Tree((kindSeed / 5) % 2);
        (record.firstSeq, record.count) = (numbers[1], numbers[2]);
        (record.tFirst, record.tLast) = (times[0], times[1]);
        (record.supersedes, record.freshBlock, record.timestamp) = (numbers[3], numbers[4], numbers[5]);
        assertFalse(_data.verifyAnchor(record, peakProof));
        assertFalse(_data.verifyReading(record, reading, batchProof, peakProof));
        IDataAnchor.Reading[] memory readings = new IDataAnchor.Reading[](1 + (kindSeed % 3));
        for (uint256 i = 0; i < readings.length; ++i) readings[i] = reading;
        assertFalse(_data.verifyRange(record, readings, batchProof, peakProof));
        assertFalse(_data.verifyConsistency(record.logId, numbers[0], reading.commitment, peakProof));
        assertEq(_data.isOverdue(record.logId, uint40(numbers[1])), record.logId != next.logId);
        if (record.logId != next.logId) assertEq(_data.root(record.logId), keccak256(""));
    }

    // ------------------------------------------------------------------ private

    /// @dev An anchor of one of three fleet logs or, wrongly, a device log, that continues it unless the seed says otherwise.
    function _anchorFrom(
        uint256 seed,
        uint64[4] memory sizes,
        uint64[4] memory seqs
    ) private view returns (IDataAnchor.Anchor memory next) {
        uint256 place = seed % 16 == 0 ? 3 : seed % 3;
        next.logId = _logAt(place);
        next.index = sizes[place];
        next.kind = IDataAnchor.Kind((seed >> 8) % 5);
        next.tree = Tree((seed >> 16) % 2);
        next.count = 1 + uint64((seed >> 24) % 8);
        next.tFirst = next.tLast = uint48(block.timestamp * 1000);
        next.deadline = uint40(block.timestamp);
        if (next.kind == IDataAnchor.Kind.Correction && seqs[place] == 0) next.kind = IDataAnchor.Kind.Data;
        bool isCorrection = next.kind == IDataAnchor.Kind.Correction;
        if (isCorrection) next.count = 1;
        next.firstSeq = isCorrection ? seqs[place] - 1 : seqs[place];
        if (next.kind != IDataAnchor.Kind.Gap) next.root = bytes32(seed | 1);

        uint256 wrong = (seed >> 64) % 20;
        uint64 by = uint64(seed >> 128);
        if (wrong == 0) next.index = by;
        if (wrong == 1) next.firstSeq = by;
        if (wrong == 2) next.count = uint40(by);
        if (wrong == 3) next.tFirst = uint48(by);
        if (wrong == 4) next.tLast = uint48(by);
        if (wrong == 5) next.supersedes = by;
        if (wrong == 6) next.root = next.root == 0 ? bytes32("root") : bytes32(0);
        if (wrong > 6) {
            ++sizes[place];
            if (!isCorrection) seqs[place] += next.count;
        }
    }

    function _logAt(uint256 place) private view returns (bytes32) {
        return place == 3 ? deviceLogOf(_owner) : bytes32(uint256(fleetLogOf(_owner)) + place);
    }

    function _stateOfLogs() private view returns (bytes32 state) {
        for (uint256 i = 0; i < 4; ++i) {
            state = keccak256(abi.encode(state, _data.head(_logAt(i)), _data.root(_logAt(i))));
        }
    }
}
