// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Keys} from "./support/Keys.sol";
import {enrollmentDigest} from "./support/Digests.sol";

contract DeviceRegistryGasTest is Keys {
    RoleRegistry private immutable ROLES = new RoleRegistry();
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(ROLES);

    uint256 private constant OWNER_KEY = uint256(keccak256("owner"));
    uint256 private constant DEVICE_KEY = uint256(keccak256("device"));
    address private immutable OWNER = vm.addr(OWNER_KEY);
    address private immutable DEVICE = keyIdOf(DEVICE_KEY, Scheme.P256);
    address private immutable RELAYER = vm.addr(uint256(keccak256("relayer")));

    function setUp() external {
        vm.warp(1_800_000_000);
        vm.roll(20_000_000);
    }

    function test_Enroll_RelayedWithTheOwnersSignature() external {
        (IDeviceRegistry.Enrollment memory enrollment, KeyProof memory proof, bytes32 digest) = _enrollment(OWNER);
        bytes memory signature = signAccount(OWNER_KEY, digest);
        vm.prank(RELAYER);
        DEVICES.enroll(enrollment, proof, signature);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.enroll");
    }

    function test_Enroll_RelayedWithTheGovernorsSignature() external {
        vm.prank(OWNER);
        address fleet = ROLES.createFleet("fleet");
        (IDeviceRegistry.Enrollment memory enrollment, KeyProof memory proof, bytes32 digest) = _enrollment(fleet);
        bytes memory signature = signAccount(OWNER_KEY, digest);
        vm.prank(RELAYER);
        DEVICES.enroll(enrollment, proof, signature);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.enrollHandle");
    }

    function test_Enroll_ByTheOwner() external {
        _enroll();
        vm.snapshotGasLastCall("DeviceRegistry", "identity.enrollOwner");
    }

    function test_SuspendAndResume_ByTheOwner() external {
        _enroll();
        vm.roll(20_000_001);
        vm.prank(OWNER);
        DEVICES.suspend(DEVICE, publicKeyOf(DEVICE_KEY));
        vm.snapshotGasLastCall("DeviceRegistry", "identity.suspend");
        vm.roll(20_000_002);
        vm.prank(OWNER);
        DEVICES.resume(DEVICE, publicKeyOf(DEVICE_KEY));
        vm.snapshotGasLastCall("DeviceRegistry", "identity.resume");
    }

    function test_RevokeAll() external {
        _enroll();
        vm.roll(20_000_001);
        vm.prank(OWNER);
        DEVICES.revokeAll(DEVICE, publicKeyOf(DEVICE_KEY));
        vm.snapshotGasLastCall("DeviceRegistry", "identity.revokeAll");
    }

    function test_Retire() external {
        _enroll();
        vm.roll(20_000_001);
        vm.prank(OWNER);
        DEVICES.retire(DEVICE);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.retire");
    }

    function test_CodeSize() external {
        vm.snapshotValue("DeviceRegistry", "codeSize", address(DEVICES).code.length);
    }

    function _enroll() private {
        (IDeviceRegistry.Enrollment memory enrollment, KeyProof memory proof, ) = _enrollment(OWNER);
        vm.prank(OWNER);
        DEVICES.enroll(enrollment, proof, "");
    }

    function _enrollment(
        address owner
    ) private view returns (IDeviceRegistry.Enrollment memory enrollment, KeyProof memory proof, bytes32 digest) {
        enrollment = IDeviceRegistry.Enrollment({
            device: DEVICE,
            scheme: Scheme.P256,
            owner: owner,
            manifest: 0,
            metadataHash: keccak256("metadata"),
            deadline: uint40(block.timestamp + 1 days)
        });
        digest = enrollmentDigest(address(DEVICES), enrollment);
        proof = prove(DEVICE_KEY, Scheme.P256, digest);
    }
}
