// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {DeviceWord, DeviceWords} from "../contracts/libraries/DeviceWord.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Keys} from "./support/Keys.sol";
import {enrollmentDigest} from "./support/Digests.sol";

contract DeviceRegistryTest is Keys {
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(new RoleRegistry());

    /// @dev Where the registry keeps its devices; the four slots before it are of OpenZeppelin's EIP712 and ERC1056.
    uint256 private constant DEVICES_SLOT = 4;

    // ------------------------------------------------------------------ fuzz

    function testFuzz_EnrolsWithBothSignatures(
        uint256 deviceKey,
        uint256 ownerKey,
        uint8 schemeSeed,
        bytes32 metadataHash,
        uint40 ahead
    ) external {
        (deviceKey, ownerKey) = (boundPrivateKey(deviceKey), boundPrivateKey(ownerKey));
        Scheme scheme = Scheme(schemeSeed % 3);
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: keyIdOf(deviceKey, scheme),
            scheme: scheme,
            owner: vm.addr(ownerKey),
            manifest: 0,
            metadataHash: metadataHash,
            deadline: uint40(block.timestamp + bound(ahead, 0, 30 days))
        });
        bytes32 digest = enrollmentDigest(address(DEVICES), enrollment);
        DEVICES.enroll(enrollment, prove(deviceKey, scheme, digest), signAccount(ownerKey, digest));
        assertEq(DEVICES.ownerOf(enrollment.device), enrollment.owner);
        assertTrue(DEVICES.isActive(enrollment.device));
    }

    function testFuzz_RefusesAnEnrolmentThatNobodySigned(
        address device,
        uint8 schemeSeed,
        uint40 deadline,
        bytes calldata publicKey,
        bytes calldata signature
    ) external {
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: device,
            scheme: Scheme(schemeSeed % 3),
            owner: address(this),
            manifest: 0,
            metadataHash: 0,
            deadline: deadline
        });
        vm.expectRevert();
        DEVICES.enroll(enrollment, KeyProof(publicKey, signature), "");
        assertEq(DEVICES.ownerOf(device), address(0));
    }

    function test_KeepsEnoughEpochsForTransfers() external {
        (uint256 key, address owner) = (0xA11CE, address(0xA11CE));
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: keyIdOf(key, Scheme.Account),
            scheme: Scheme.Account,
            owner: owner,
            manifest: 0,
            metadataHash: 0,
            deadline: uint40(block.timestamp)
        });
        KeyProof memory proof = prove(key, Scheme.Account, enrollmentDigest(address(DEVICES), enrollment));
        vm.prank(owner);
        DEVICES.enroll(enrollment, proof, "");

        // Sixteen million epochs take too long to live through: the one before the last is written into the device's word.
        uint24 last = type(uint24).max - (1 << 16);
        bytes32 slot = keccak256(abi.encode(enrollment.device, DEVICES_SLOT));
        uint256 word = uint256(vm.load(address(DEVICES), slot));
        assertEq(DeviceWord.wrap(word).owner(), owner);
        vm.store(address(DEVICES), slot, bytes32((word - (1 << 196)) | (uint256(last - 1) << 196)));
        vm.roll(block.number + 1);
        vm.prank(owner);
        DEVICES.revokeAll(enrollment.device, "");
        assertEq(DEVICES.epochOf(enrollment.device), last);
        vm.roll(block.number + 2);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IDeviceRegistry.EpochExhausted.selector, enrollment.device, last));
        DEVICES.revokeAll(enrollment.device, "");
        vm.prank(owner);
        DEVICES.retire(enrollment.device);
        assertEq(DEVICES.epochOf(enrollment.device), last + 1);
    }

    // ------------------------------------------------------------------ the word

    function testFuzz_ChangesNoOtherFieldOfTheWord(
        uint256 bits,
        uint24 epoch,
        uint8 statusSeed,
        uint256 number
    ) external {
        bits = bits & ~(uint256(3) << 222);
        DeviceWord word = DeviceWord.wrap(bits);
        IDeviceRegistry.Status status = IDeviceRegistry.Status(statusSeed % 4);
        vm.roll(bound(number, 0, (1 << 36) - 1));
        DeviceWord all = word.withEpoch(epoch).withStatus(status).changedNow();
        assertEq(all.owner(), word.owner());
        assertEq(all.manifest(), word.manifest());
        assertEq(uint256(all.scheme()), uint256(word.scheme()));
        assertEq(all.epoch(), epoch);
        assertEq(uint256(all.status()), uint256(status));
        assertEq(all.changed(), block.number);
    }

    function testFuzz_RefusesABlockNumberThatDoesNotFit(uint256 number) external {
        number = bound(number, 1 << 36, type(uint64).max);
        vm.roll(number);
        vm.expectRevert(abi.encodeWithSelector(DeviceWords.BlockNumberTooLarge.selector, number));
        this.touch(DeviceWord.wrap(0));
    }

    function touch(DeviceWord word) external view returns (DeviceWord) {
        return word.changedNow();
    }
}
