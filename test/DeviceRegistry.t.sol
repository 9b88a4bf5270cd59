// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {DeviceWord, DeviceWords} from "../contracts/libraries/DeviceWord.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Keys} from "./support/Keys.sol";
import {enrollmentDigest} from "./support/Digests.sol";

/// @dev Leads a few devices through random lives, with right and wrong callers, and keeps its own account of them.
contract DeviceRegistryHandler is Keys {
    struct Expected {
        IDeviceRegistry.Status status;
        address owner;
        uint24 epoch;
        uint40 changed;
    }

    DeviceRegistry public immutable DEVICES;
    mapping(uint256 privateKey => Expected) private _expected;

    uint256 private constant DEVICES_COUNT = 4;
    uint256 private constant CALLERS_COUNT = 3;

    constructor(DeviceRegistry devices) {
        DEVICES = devices;
    }

    function enroll(uint256 deviceSeed, uint256 ownerSeed, uint256 callerSeed) external {
        (uint256 key, address device, Scheme scheme) = deviceAt(deviceSeed);
        address owner = callerAt(ownerSeed);
        address caller = callerAt(callerSeed);
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: device,
            scheme: scheme,
            owner: owner,
            manifest: 0,
            metadataHash: bytes32(ownerSeed),
            deadline: uint40(block.timestamp)
        });
        KeyProof memory proof = prove(key, scheme, enrollmentDigest(address(DEVICES), enrollment));
        Expected storage expected = _expected[key];
        vm.prank(caller);
        try DEVICES.enroll(enrollment, proof, "") {
            if (expected.status == IDeviceRegistry.Status.None) {
                require(caller == owner, "a stranger enrolled");
                _expected[key] = Expected(IDeviceRegistry.Status.Active, owner, 1, uint40(block.number));
            } else {
                require(expected.status != IDeviceRegistry.Status.Retired, "a retired device was enrolled");
                require(expected.owner == owner, "enrolled to another owner");
            }
        } catch {
            require(expected.status != IDeviceRegistry.Status.None || caller != owner, "an enrolment was refused");
        }
    }

    function suspend(uint256 deviceSeed, uint256 callerSeed) external {
        (uint256 key, address device, Scheme scheme) = deviceAt(deviceSeed);
        Expected storage expected = _expected[key];
        bool isRight = _before(expected, callerSeed) && expected.status == IDeviceRegistry.Status.Active;
        bytes memory publicKey = scheme == Scheme.Account ? bytes("") : publicKeyOf(key);
        vm.prank(callerAt(callerSeed));
        try DEVICES.suspend(device, publicKey) {
            require(isRight, "suspended wrongly");
            _changed(expected, IDeviceRegistry.Status.Suspended, expected.epoch);
        } catch {
            require(!isRight, "not suspended");
        }
    }

    function resume(uint256 deviceSeed, uint256 callerSeed) external {
        (uint256 key, address device, Scheme scheme) = deviceAt(deviceSeed);
        Expected storage expected = _expected[key];
        bool isRight = _before(expected, callerSeed) && expected.status == IDeviceRegistry.Status.Suspended;
        bytes memory publicKey = scheme == Scheme.Account ? bytes("") : publicKeyOf(key);
        vm.prank(callerAt(callerSeed));
        try DEVICES.resume(device, publicKey) {
            require(isRight, "resumed wrongly");
            _changed(expected, IDeviceRegistry.Status.Active, expected.epoch);
        } catch {
            require(!isRight, "not resumed");
        }
    }

    function revokeAll(uint256 deviceSeed, uint256 callerSeed) external {
        (uint256 key, address device, Scheme scheme) = deviceAt(deviceSeed);
        Expected storage expected = _expected[key];
        bool isRight = _before(expected, callerSeed) && expected.changed != block.number;
        bytes memory publicKey = scheme == Scheme.Account ? bytes("") : publicKeyOf(key);
        vm.prank(callerAt(callerSeed));
        try DEVICES.revokeAll(device, publicKey) {
            require(isRight, "all revoked wrongly");
            _changed(expected, expected.status, expected.epoch + 1);
        } catch {
            require(!isRight, "not all revoked");
        }
    }

    function retire(uint256 deviceSeed, uint256 callerSeed) external {
        // Retired is final: rarely, or there is soon nothing left to try.
        if (deviceSeed % 8 != 0) return;
        (uint256 key, address device, ) = deviceAt(deviceSeed / 8);
        Expected storage expected = _expected[key];
        bool isRight = _before(expected, callerSeed);
        vm.prank(callerAt(callerSeed));
        try DEVICES.retire(device) {
            require(isRight, "retired wrongly");
            _changed(expected, IDeviceRegistry.Status.Retired, expected.epoch + 1);
        } catch {
            require(!isRight, "not retired");
        }
    }

    function passBlocks(uint8 blocks) external {
        vm.roll(vm.getBlockNumber() + blocks);
    }

    /// @dev All that the registry says of each device is what this account of it says.
    function check() external view {
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (uint256 key, address id, Scheme scheme) = deviceAt(i);
            Expected memory expected = _expected[key];
            IDeviceRegistry.Device memory device = DEVICES.deviceOf(id);
            bool isKnown = expected.status != IDeviceRegistry.Status.None;
            assertEq(uint256(device.status), uint256(expected.status));
            assertEq(device.owner, expected.owner);
            assertEq(device.epoch, expected.epoch);
            assertEq(device.changed, expected.changed);
            assertEq(device.manifest, 0);
            assertEq(device.keyId, isKnown ? id : address(0));
            assertEq(uint256(device.scheme), isKnown ? uint256(scheme) : 0);
        }
    }

    function deviceAt(uint256 seed) public pure returns (uint256 key, address device, Scheme scheme) {
        uint256 index = seed % DEVICES_COUNT;
        key = 1000 + index;
        scheme = Scheme(index % 3);
        device = keyIdOf(key, scheme);
    }

    function callerAt(uint256 seed) public pure returns (address) {
        return vm.addr(2000 + (seed % CALLERS_COUNT));
    }

    function _before(Expected storage expected, uint256 callerSeed) private view returns (bool) {
        bool isInService =
            expected.status == IDeviceRegistry.Status.Active || expected.status == IDeviceRegistry.Status.Suspended;
        return isInService && callerAt(callerSeed) == expected.owner;
    }

    function _changed(Expected storage expected, IDeviceRegistry.Status status, uint24 epoch) private {
        (expected.status, expected.epoch, expected.changed) = (status, epoch, uint40(block.number));
    }
}

contract DeviceRegistryTest is Keys {
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(new RoleRegistry());
    DeviceRegistryHandler private immutable HANDLER = new DeviceRegistryHandler(DEVICES);

    /// @dev Where the registry keeps its devices; the two slots before it are of OpenZeppelin's EIP712.
    uint256 private constant DEVICES_SLOT = 2;

    function setUp() external {
        targetContract(address(HANDLER));
    }

    // ------------------------------------------------------------------ invariants

    /// hardhat-config: invariant.runs = 48
    /// hardhat-config: invariant.depth = 120
    function invariant_EveryDeviceIsWhatItsHistoryMadeIt() external view {
        HANDLER.check();
    }

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
