// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Keys} from "./support/Keys.sol";
import {enrollmentDigest, keyRotationDigest, makerVoucherDigest, transferVoucherDigest} from "./support/Digests.sol";

contract DeviceRegistryGasTest is Keys {
    RoleRegistry private immutable ROLES = new RoleRegistry();
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(ROLES);

    uint256 private constant OWNER_KEY = uint256(keccak256("owner"));
    uint256 private constant DEVICE_KEY = uint256(keccak256("device"));
    address private immutable OWNER = vm.addr(OWNER_KEY);
    address private immutable DEVICE = keyIdOf(DEVICE_KEY, Scheme.P256);
    uint256 private constant NEW_KEY = uint256(keccak256("new key"));
    address private immutable RELAYER = vm.addr(uint256(keccak256("relayer")));
    address private immutable BUYER = vm.addr(uint256(keccak256("buyer")));
    uint256 private constant MAKER_KEY = uint256(keccak256("maker"));
    address private immutable MAKER = vm.addr(MAKER_KEY);
    bytes32 private constant SERIAL_HASH = keccak256("serial");
    /// @dev A manifest of 10,000 devices has paths of 14.
    uint32 private constant MANIFEST_SIZE = 10_000;
    uint32 private constant INDEX = 5_000;

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

    function test_Claim_ByTheOwner() external {
        (bytes32 root, bytes32[] memory path) = _manifestTree();
        _publish(keccak256("first"), false);
        uint32 manifest = _publish(root, false);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.manifest");
        _claim(manifest, IDeviceRegistry.ManifestTerms(MAKER, root, MANIFEST_SIZE, false), path, 0, "");
        vm.snapshotGasLastCall("DeviceRegistry", "identity.claim");
    }

    function test_Claim_WithTheMakersVoucher() external {
        (bytes32 root, bytes32[] memory path) = _manifestTree();
        uint32 manifest = _publish(root, true);
        uint40 deadline = uint40(block.timestamp + 30 days);
        (IDeviceRegistry.Enrollment memory enrollment, , ) = _enrollment(OWNER);
        enrollment.manifest = manifest;
        bytes memory signature = signAccount(MAKER_KEY, makerVoucherDigest(address(DEVICES), enrollment, deadline));
        IDeviceRegistry.ManifestTerms memory terms = IDeviceRegistry.ManifestTerms(MAKER, root, MANIFEST_SIZE, true);
        _claim(manifest, terms, path, deadline, signature);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.claimVoucher");
    }

    function test_RevokeManifest() external {
        bytes32 root = keccak256("root");
        uint32 manifest = _publish(root, false);
        vm.prank(MAKER);
        DEVICES.revokeManifest(manifest, IDeviceRegistry.ManifestTerms(MAKER, root, MANIFEST_SIZE, false), 1);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.revokeManifest");
    }

    function test_Transfer_ProposedAndAccepted() external {
        _enroll();
        vm.roll(20_000_001);
        vm.prank(OWNER);
        DEVICES.proposeTransfer(DEVICE, BUYER, uint40(block.timestamp + 7 days));
        vm.snapshotGasLastCall("DeviceRegistry", "identity.propose");
        vm.prank(BUYER);
        DEVICES.acceptTransfer(DEVICE, publicKeyOf(DEVICE_KEY));
        vm.snapshotGasLastCall("DeviceRegistry", "identity.accept");
    }

    function test_Transfer_ByVoucher() external {
        _enroll();
        vm.roll(20_000_001);
        _redeem(1);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.voucherFirst");
        // Back, and sold again: the seller's slot for what it signed exists.
        vm.roll(20_000_002);
        vm.prank(BUYER);
        DEVICES.proposeTransfer(DEVICE, OWNER, uint40(block.timestamp + 7 days));
        vm.prank(OWNER);
        DEVICES.acceptTransfer(DEVICE, publicKeyOf(DEVICE_KEY));
        vm.roll(20_000_003);
        _redeem(3);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.voucher");
    }

    function test_RotateKey() external {
        _enroll();
        vm.roll(20_000_001);
        _rotate(DEVICE_KEY, NEW_KEY);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.rotateFirst");
        vm.roll(20_000_002);
        _rotate(NEW_KEY, DEVICE_KEY);
        vm.snapshotGasLastCall("DeviceRegistry", "identity.rotate");
    }

    function test_CodeSize() external {
        vm.snapshotValue("DeviceRegistry", "codeSize", address(DEVICES).code.length);
    }

    function _enroll() private {
        (IDeviceRegistry.Enrollment memory enrollment, KeyProof memory proof, ) = _enrollment(OWNER);
        vm.prank(OWNER);
        DEVICES.enroll(enrollment, proof, "");
    }

    function _publish(bytes32 root, bool voucherRequired) private returns (uint32 manifest) {
        string memory uri = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
        vm.prank(MAKER);
        return DEVICES.publishManifest(MAKER, "TS-100", root, MANIFEST_SIZE, voucherRequired, uri);
    }

    /// @dev The root over the device and siblings that stand for the rest of the tree: from the leaf in the middle of
    ///      10,000 up to the root there are 14 of them.
    function _manifestTree() private view returns (bytes32 root, bytes32[] memory path) {
        root = keccak256(abi.encodePacked(uint8(0), uint8(4), DEVICE, Scheme.P256, SERIAL_HASH));
        path = new bytes32[](14);
        uint256 index = INDEX;
        uint256 last = MANIFEST_SIZE - 1;
        for (uint256 i = 0; i < path.length; ++i) {
            path[i] = keccak256(abi.encode("sibling", i));
            bool isRight = index & 1 == 1 || index == last;
            root =
                isRight
                    ? keccak256(abi.encodePacked(uint8(1), path[i], root))
                    : keccak256(abi.encodePacked(uint8(1), root, path[i]));
            (index, last) = (index >> 1, last >> 1);
        }
    }

    function _claim(
        uint32 manifest,
        IDeviceRegistry.ManifestTerms memory terms,
        bytes32[] memory path,
        uint40 voucherDeadline,
        bytes memory voucherSignature
    ) private {
        (IDeviceRegistry.Enrollment memory enrollment, , ) = _enrollment(OWNER);
        enrollment.manifest = manifest;
        KeyProof memory proof = prove(DEVICE_KEY, Scheme.P256, enrollmentDigest(address(DEVICES), enrollment));
        IDeviceRegistry.ManifestProof memory manifestProof = IDeviceRegistry.ManifestProof({
            terms: terms,
            index: INDEX,
            serialHash: SERIAL_HASH,
            path: path,
            voucherBy: voucherSignature.length == 0 ? address(0) : MAKER,
            voucherDeadline: voucherDeadline,
            voucherSignature: voucherSignature
        });
        vm.prank(OWNER);
        DEVICES.enrollFromManifest(enrollment, proof, "", manifestProof);
    }

    function _redeem(uint24 epoch) private {
        uint40 deadline = uint40(block.timestamp + 7 days);
        IDeviceRegistry.TransferVoucher memory voucher = IDeviceRegistry.TransferVoucher(
            DEVICE,
            BUYER,
            epoch,
            deadline
        );
        bytes memory signature = signAccount(OWNER_KEY, transferVoucherDigest(address(DEVICES), voucher));
        IDeviceRegistry.AcceptanceProof memory acceptance = IDeviceRegistry.AcceptanceProof(BUYER, 0, "");
        IDeviceRegistry.RedemptionProof memory redemption = IDeviceRegistry.RedemptionProof(
            0,
            publicKeyOf(DEVICE_KEY),
            ""
        );
        vm.prank(BUYER);
        DEVICES.redeemVoucher(voucher, signature, acceptance, redemption);
    }

    /// @dev The old key agrees.
    function _rotate(uint256 oldKey, uint256 newKey) private {
        IDeviceRegistry.KeyRotation memory rotation = IDeviceRegistry.KeyRotation({
            device: DEVICE,
            oldKey: keyIdOf(oldKey, Scheme.P256),
            newKey: keyIdOf(newKey, Scheme.P256),
            newScheme: Scheme.P256,
            epoch: 1,
            deadline: uint40(block.timestamp + 1 days)
        });
        bytes32 digest = keyRotationDigest(address(DEVICES), rotation);
        KeyProof memory byNewKey = prove(newKey, Scheme.P256, digest);
        KeyProof memory byOldKey = prove(oldKey, Scheme.P256, digest);
        vm.prank(OWNER);
        DEVICES.rotateKey(rotation, byNewKey, byOldKey);
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
