// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DataAccess} from "../contracts/DataAccess.sol";
import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDataAccess} from "../contracts/interfaces/IDataAccess.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Permissions} from "../contracts/libraries/Permissions.sol";
import {Roles} from "../contracts/libraries/Roles.sol";
import {Keys} from "./support/Keys.sol";
import {dataGrantDigest, devicePolicyDigest, enrollmentDigest, revocationDigest} from "./support/Digests.sol";

/// @dev A contract that asks whether its caller may read: what the question costs where nothing was touched before.
contract Consumer {
    function costOfIsAllowed(
        IDataAccess access,
        address device,
        address account,
        uint32 permissions,
        uint8 purpose
    ) external view returns (bool answer, uint256 cost) {
        uint256 before = gasleft();
        answer = access.isAllowed(device, account, permissions, purpose);
        cost = before - gasleft();
    }
}

contract DataAccessGasTest is Keys {
    RoleRegistry private immutable ROLES = new RoleRegistry();
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(ROLES);
    DataAccess private immutable ACCESS = new DataAccess(ROLES, DEVICES);
    Consumer private immutable CONSUMER = new Consumer();

    uint256 private constant DEVICE_KEY = uint256(keccak256("device"));
    uint256 private constant OWNER_KEY = uint256(keccak256("owner"));
    address private immutable OWNER = vm.addr(OWNER_KEY);
    address private immutable MEMBER = vm.addr(uint256(keccak256("member")));
    address private immutable DEVICE = keyIdOf(DEVICE_KEY, Scheme.P256);
    address private immutable SUBJECT = vm.addr(uint256(keccak256("subject")));
    address private immutable RELAYER = vm.addr(uint256(keccak256("relayer")));

    uint32 private constant PERMISSIONS = Permissions.READ_LIVE | Permissions.READ_HISTORY;
    uint32 private constant PURPOSES = 6;
    uint40 private constant NOT_BEFORE = 1_799_999_000;
    uint40 private constant EXPIRY = 1_831_535_000;
    bytes32 private constant TERMS = keccak256("terms");

    /// @dev So many devices of one fleet in a batch.
    uint256 private constant MANY = 50;

    function setUp() external {
        vm.warp(1_800_000_000);
        vm.roll(20_000_000);
        _enroll(DEVICE_KEY, DEVICE, OWNER, OWNER);
    }

    // ------------------------------------------------------------------ writing

    function test_Grant_ToANewSubject() external {
        _grant();
        vm.snapshotGasLastCall("DataAccess", "access.grant");
    }

    function test_Grant_Again() external {
        _grant();
        _grant();
        vm.snapshotGasLastCall("DataAccess", "access.grantAgain");
    }

    function test_Grant_ByTheGovernorOfAHandle() external {
        (uint256 key, address fleet) = (uint256(keccak256("second device")), _createFleet());
        address device = keyIdOf(key, Scheme.P256);
        _enroll(key, device, fleet, OWNER);
        vm.prank(OWNER);
        ACCESS.grant(device, SUBJECT, PERMISSIONS, PURPOSES, NOT_BEFORE, EXPIRY, TERMS);
        vm.snapshotGasLastCall("DataAccess", "access.grantHandle");
    }

    function test_Grant_ByAMemberWithShare() external {
        vm.startPrank(OWNER);
        ROLES.defineRole(OWNER, Roles.FIRST_OWN, Permissions.SHARE | Permissions.READ);
        ROLES.setRoles(OWNER, MEMBER, uint32(1) << Roles.FIRST_OWN, 0, EXPIRY);
        vm.stopPrank();
        vm.prank(MEMBER);
        ACCESS.grant(DEVICE, SUBJECT, PERMISSIONS, PURPOSES, NOT_BEFORE, EXPIRY, TERMS);
        vm.snapshotGasLastCall("DataAccess", "access.grantMember");
    }

    function test_Grant_BySignature_Relayed() external {
        IDataAccess.DataGrant memory dataGrant = IDataAccess.DataGrant({
            grantor: OWNER,
            device: DEVICE,
            subject: SUBJECT,
            permissions: PERMISSIONS,
            purposes: PURPOSES,
            notBefore: NOT_BEFORE,
            expiry: EXPIRY,
            termsHash: TERMS,
            epoch: 1,
            seq: 0,
            deadline: uint40(block.timestamp + 1 days)
        });
        bytes memory signature = signAccount(OWNER_KEY, dataGrantDigest(address(ACCESS), dataGrant));
        vm.prank(RELAYER);
        ACCESS.grantWithSignature(dataGrant, signature);
        vm.snapshotGasLastCall("DataAccess", "access.grantSigned");
    }

    /// @dev Of fifty devices to one subject, for each.
    function test_Grant_Many() external {
        _grantMany(_enrollMany());
        uint256 gas = vm.snapshotGasLastCall("DataAccess", "access.grantMany");
        vm.snapshotValue("DataAccess", "access.grantMany", gas / MANY);
    }

    function test_Revoke_Many() external {
        IDataAccess.Pair[] memory pairs = _enrollMany();
        _grantMany(pairs);
        vm.prank(OWNER);
        bool[] memory done = ACCESS.revokeMany(pairs);
        uint256 gas = vm.snapshotGasLastCall("DataAccess", "access.revokeMany");
        vm.snapshotValue("DataAccess", "access.revokeMany", gas / MANY);
        for (uint256 i = 0; i < MANY; ++i) assertTrue(done[i]);
    }

    function test_Revoke_BySignature_Relayed() external {
        _grant();
        IDataAccess.Revocation memory revocation = IDataAccess.Revocation({
            revoker: OWNER,
            device: DEVICE,
            subject: SUBJECT,
            epoch: 1,
            seq: 3,
            deadline: uint40(block.timestamp + 1 days)
        });
        bytes memory signature = signAccount(OWNER_KEY, revocationDigest(address(ACCESS), revocation));
        vm.prank(RELAYER);
        ACCESS.revokeWithSignature(revocation, signature);
        vm.snapshotGasLastCall("DataAccess", "access.revokeSigned");
    }

    function test_Request() external {
        vm.prank(SUBJECT);
        ACCESS.requestAccess(DEVICE, PERMISSIONS, PURPOSES, NOT_BEFORE, EXPIRY, TERMS);
        vm.snapshotGasLastCall("DataAccess", "access.request");
    }

    function test_Revoke() external {
        _grant();
        vm.prank(OWNER);
        ACCESS.revoke(DEVICE, SUBJECT);
        vm.snapshotGasLastCall("DataAccess", "access.revoke");
    }

    function test_Renounce() external {
        _grant();
        vm.prank(SUBJECT);
        ACCESS.renounce(DEVICE);
        vm.snapshotGasLastCall("DataAccess", "access.renounce");
    }

    function test_SetPolicy() external {
        _setPolicy();
        vm.snapshotGasLastCall("DataAccess", "access.setPolicy");
    }

    function test_SetDevicePolicy_Relayed() external {
        _setDevicePolicy();
        vm.snapshotGasLastCall("DataAccess", "access.setDevicePolicy");
    }

    // ------------------------------------------------------------------ questions, cold, from a contract

    function test_Check_Grant() external {
        _grant();
        _snapshotCheck("access.check", SUBJECT, PERMISSIONS, true);
    }

    function test_Check_GrantUnderBothHalvesOfThePolicy() external {
        _grant();
        _setPolicy();
        _setDevicePolicy();
        _snapshotCheck("access.checkPolicy", SUBJECT, PERMISSIONS, true);
    }

    function test_Check_Public() external {
        _setPolicy();
        _snapshotCheck("access.checkPublic", RELAYER, Permissions.READ_LIVE, true);
    }

    function test_Check_Owner() external {
        _snapshotCheck("access.checkOwner", OWNER, PERMISSIONS, true);
    }

    function test_Check_Role() external {
        vm.prank(OWNER);
        ROLES.setRoles(OWNER, RELAYER, uint32(1) << Roles.ANALYST, 0, type(uint40).max);
        _snapshotCheck("access.checkRole", RELAYER, PERMISSIONS, true);
    }

    function test_Check_Stranger() external {
        _snapshotCheck("access.checkStranger", RELAYER, PERMISSIONS, false);
    }

    function test_CodeSize() external {
        vm.snapshotValue("DataAccess", "codeSize", address(ACCESS).code.length);
    }

    // ------------------------------------------------------------------ private

    function _grant() private {
        vm.prank(OWNER);
        ACCESS.grant(DEVICE, SUBJECT, PERMISSIONS, PURPOSES, NOT_BEFORE, EXPIRY, TERMS);
    }

    function _enrollMany() private returns (IDataAccess.Pair[] memory pairs) {
        pairs = new IDataAccess.Pair[](MANY);
        for (uint256 i = 0; i < MANY; ++i) {
            uint256 key = uint256(keccak256(abi.encode("device", i)));
            pairs[i] = IDataAccess.Pair(keyIdOf(key, Scheme.P256), SUBJECT);
            _enroll(key, pairs[i].device, OWNER, OWNER);
        }
    }

    function _grantMany(IDataAccess.Pair[] memory pairs) private {
        vm.prank(OWNER);
        bool[] memory done = ACCESS.grantMany(pairs, PERMISSIONS, PURPOSES, NOT_BEFORE, EXPIRY, TERMS);
        for (uint256 i = 0; i < MANY; ++i) assertTrue(done[i]);
    }

    function _setPolicy() private {
        vm.prank(OWNER);
        ACCESS.setPolicy(DEVICE, Permissions.READ, Permissions.READ_LIVE, type(uint32).max);
    }

    function _setDevicePolicy() private {
        IDataAccess.DevicePolicy memory policy = IDataAccess.DevicePolicy({
            device: DEVICE,
            ceiling: Permissions.READ,
            publicRead: Permissions.READ_LIVE,
            purposes: type(uint32).max,
            epoch: 1,
            seq: 0,
            deadline: uint40(block.timestamp + 1 days)
        });
        KeyProof memory proof = prove(DEVICE_KEY, Scheme.P256, devicePolicyDigest(address(ACCESS), policy));
        vm.prank(RELAYER);
        ACCESS.setDevicePolicy(policy, proof);
    }

    function _snapshotCheck(string memory name, address account, uint32 permissions, bool expected) private {
        (bool answer, uint256 cost) = CONSUMER.costOfIsAllowed(ACCESS, DEVICE, account, permissions, 1);
        assertEq(answer, expected);
        vm.snapshotValue("DataAccess", name, cost);
    }

    function _createFleet() private returns (address) {
        vm.prank(OWNER);
        return ROLES.createFleet("fleet");
    }

    function _enroll(uint256 key, address device, address owner, address sender) private {
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: device,
            scheme: Scheme.P256,
            owner: owner,
            manifest: 0,
            metadataHash: 0,
            deadline: uint40(block.timestamp + 1 days)
        });
        KeyProof memory proof = prove(key, Scheme.P256, enrollmentDigest(address(DEVICES), enrollment));
        vm.prank(sender);
        DEVICES.enroll(enrollment, proof, "");
    }
}
