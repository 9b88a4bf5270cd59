// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DataAnchor} from "../contracts/DataAnchor.sol";
import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDataAnchor} from "../contracts/interfaces/IDataAnchor.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Tree} from "../contracts/libraries/MerkleLog.sol";
import {Roles} from "../contracts/libraries/Roles.sol";
import {anchorDigest} from "./support/AnchorDigest.sol";
import {enrollmentDigest} from "./support/Digests.sol";
import {Keys} from "./support/Keys.sol";

/// @dev The figure of a warm log is the mean over the appends that make 255 anchors of 128: no peak is created, and the
///      number of peaks that an append merges, which decides its cost, takes all values from none to seven.
contract DataAnchorGasTest is Keys {
    RoleRegistry private immutable ROLES = new RoleRegistry();
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(ROLES);
    DataAnchor private immutable DATA = new DataAnchor(ROLES, DEVICES);

    uint256 private constant WARM = 128;
    uint256 private constant P256_KEY = uint256(keccak256("P-256 device"));
    uint256 private constant ACCOUNT_KEY = uint256(keccak256("account device"));
    address private immutable OWNER = vm.addr(uint256(keccak256("owner")));
    address private immutable MEMBER = vm.addr(uint256(keccak256("gateway")));

    function setUp() external {
        vm.warp(1_800_000_000);
        vm.roll(24_000_000);
        vm.prank(OWNER);
        ROLES.setRoles(OWNER, MEMBER, uint32(1) << Roles.GATEWAY, 1_790_000_000, type(uint40).max);
        _enroll(P256_KEY, Scheme.P256);
        _enroll(ACCOUNT_KEY, Scheme.Account);
    }

    // ------------------------------------------------------------------ fleet logs

    function test_FleetLog_ByTheOwner() external {
        _appendAsMember(OWNER, 0);
        vm.snapshotGasLastCall("DataAnchor", "anchor.fleetFirst");
        for (uint256 i = 1; i < WARM; ++i) _appendAsMember(OWNER, i);
        uint256 sum = 0;
        for (uint256 i = WARM; i < 2 * WARM - 1; ++i) {
            _appendAsMember(OWNER, i);
            sum += vm.snapshotGasLastCall("DataAnchor", "anchor.fleet");
        }
        vm.snapshotValue("DataAnchor", "anchor.fleet", sum / (WARM - 1));
    }

    function test_FleetLog_ByAMember() external {
        for (uint256 i = 0; i < WARM; ++i) _appendAsMember(OWNER, i);
        uint256 sum = 0;
        for (uint256 i = WARM; i < 2 * WARM - 1; ++i) {
            _appendAsMember(MEMBER, i);
            sum += vm.snapshotGasLastCall("DataAnchor", "anchor.member");
        }
        vm.snapshotValue("DataAnchor", "anchor.member", sum / (WARM - 1));
    }

    /// @dev The mean for one of the hundred, over a hundred transactions.
    function test_ManyFleetLogs() external {
        uint256 logs = 100;
        for (uint256 i = 0; i < WARM; ++i) _appendMany(logs, i);
        uint256 sum = 0;
        for (uint256 i = WARM; i < 2 * WARM - 1; ++i) {
            _appendMany(logs, i);
            sum += vm.snapshotGasLastCall("DataAnchor", "anchor.many");
        }
        vm.snapshotValue("DataAnchor", "anchor.many", sum / (WARM - 1) / logs);
    }

    // ------------------------------------------------------------------ device logs

    function test_DeviceLog_P256() external {
        _snapshotDevice("anchor.device", P256_KEY, Scheme.P256, false);
    }

    function test_DeviceLog_P256AndFreshBlock() external {
        _snapshotDevice("anchor.deviceFresh", P256_KEY, Scheme.P256, true);
    }

    function test_DeviceLog_Account() external {
        _snapshotDevice("anchor.deviceAccount", ACCOUNT_KEY, Scheme.Account, false);
    }

    function test_DeviceLog_First() external {
        _appendAsDevice(P256_KEY, Scheme.P256, 0, false);
        vm.snapshotGasLastCall("DataAnchor", "anchor.deviceFirst");
    }

    // ------------------------------------------------------------------ the contract

    function test_CodeSize() external {
        vm.snapshotValue("DataAnchor", "codeSize", address(DATA).code.length);
    }

    // ------------------------------------------------------------------ private

    function _snapshotDevice(string memory row, uint256 key, Scheme scheme, bool isFresh) private {
        for (uint256 i = 0; i < WARM; ++i) _appendAsDevice(key, scheme, i, isFresh);
        uint256 sum = 0;
        for (uint256 i = WARM; i < 2 * WARM - 1; ++i) {
            _appendAsDevice(key, scheme, i, isFresh);
            sum += vm.snapshotGasLastCall("DataAnchor", row);
        }
        vm.snapshotValue("DataAnchor", row, sum / (WARM - 1));
    }

    function _appendAsMember(address sender, uint256 i) private {
        IDataAnchor.Anchor memory next = _anchor((uint256(uint160(OWNER)) << 96) | (1 << 95) | 1, i, false);
        vm.prank(sender);
        DATA.anchorAsMember(next);
    }

    function _appendMany(uint256 logs, uint256 i) private {
        IDataAnchor.Anchor memory next = _anchor(0, i, false);
        bytes memory records = new bytes(87 * logs);
        for (uint256 log = 0; log < logs; ++log) {
            bytes memory record = _record((1 << 95) | (log + 1), next);
            // Safe: there is room for each of the records.
            assembly ("memory-safe") {
                mcopy(add(add(records, 0x20), mul(log, 87)), add(record, 0x20), 87)
            }
        }
        vm.prank(MEMBER);
        DATA.anchorMany(OWNER, next.deadline, 0, 0, records);
    }

    function _record(uint256 stream, IDataAnchor.Anchor memory anchor) private pure returns (bytes memory) {
        return
            abi.encodePacked(
                uint96(stream),
                anchor.index,
                anchor.kind,
                anchor.tree,
                anchor.firstSeq,
                uint40(anchor.count),
                anchor.tFirst,
                anchor.tLast,
                anchor.supersedes,
                keccak256(abi.encode(stream, anchor.root))
            );
    }

    function _appendAsDevice(uint256 key, Scheme scheme, uint256 i, bool isFresh) private {
        IDataAnchor.Anchor memory next = _anchor((uint256(uint160(keyIdOf(key, scheme))) << 96) | 1, i, isFresh);
        DATA.anchor(next, prove(key, scheme, anchorDigest(address(DATA), next)));
    }

    /// @dev An hour of a reading each second, anchored ten minutes later.
    function _anchor(uint256 logId, uint256 i, bool isFresh) private returns (IDataAnchor.Anchor memory next) {
        uint256 start = 1_800_000_000 + i * 3600;
        vm.warp(start + 4200);
        next.logId = bytes32(logId);
        next.index = uint64(i);
        next.tree = Tree.Sha256;
        next.firstSeq = uint64(i * 3600);
        next.count = 3600;
        next.tFirst = uint48(start * 1000 + 17);
        next.tLast = uint48((start + 3599) * 1000 + 17);
        next.root = keccak256(abi.encode(i));
        next.deadline = uint40(start + 7800);
        if (isFresh) {
            next.freshBlock = uint64(block.number - 100);
            next.freshHash = blockhash(block.number - 100);
        }
    }

    function _enroll(uint256 key, Scheme scheme) private {
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: keyIdOf(key, scheme),
            scheme: scheme,
            owner: OWNER,
            manifest: 0,
            metadataHash: 0,
            deadline: 1_800_003_600
        });
        KeyProof memory proof = prove(key, scheme, enrollmentDigest(address(DEVICES), enrollment));
        vm.prank(OWNER);
        DEVICES.enroll(enrollment, proof, "");
    }
}
