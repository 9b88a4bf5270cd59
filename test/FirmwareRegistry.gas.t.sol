// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FirmwareRegistry} from "../contracts/FirmwareRegistry.sol";
import {IFirmwareRegistry as Firmware} from "../contracts/interfaces/IFirmwareRegistry.sol";
import {Scheme} from "../contracts/libraries/KeyProofs.sol";
import {SignedFirmware} from "./support/SignedFirmware.sol";

/// @dev A contract that asks whether a file may be installed, as one that pays for updates would.
contract Updater {
    function gasOfVerify(
        FirmwareRegistry registry,
        bytes32 productId,
        bytes32 imageDigest,
        uint64 size
    ) external view returns (bool authorised, uint256 used) {
        uint256 before = gasleft();
        (authorised, , ) = registry.verify(productId, imageDigest, size);
        used = before - gasleft();
    }
}

/// @dev Whole transactions, with calldata as it is sent; `firmware.verify` is a cold call from a contract. Products have three
///      signers, each with all roles, and the thresholds 2 (Release) and 1 (Revoke). A publication is signed by 2 of them;
///      `….p256SignaturesOf2` says how many of the 2 are P-256 keys. But for `accountsFirst`, the product has a release, and
///      the new one replaces it as the head of channel 0. One account yanks, two revoke, and both empty the head.
contract FirmwareRegistryGasTest is SignedFirmware {
    bytes32 internal byAccounts;
    bytes32 internal byP256;
    bytes32 internal byOneP256;
    Updater internal updater;

    Firmware.SignerSet internal accounts;
    Firmware.SignerSet internal p256;
    Firmware.SignerSet internal oneP256;

    function setUp() public {
        vm.warp(1_790_000_000);
        deploy();
        updater = new Updater();
        byAccounts = _create("application", accounts, [Scheme.Account, Scheme.Account, Scheme.Account]);
        byP256 = _create("radio", p256, [Scheme.P256, Scheme.P256, Scheme.P256]);
        byOneP256 = _create("boot", oneP256, [Scheme.Account, Scheme.P256, Scheme.Account]);
        _publish(byAccounts, accounts, 1 << 48, 3);
        _publish(byP256, p256, 1 << 48, 3);
        _publish(byOneP256, oneP256, 1 << 48, 3);
    }

    function test_codeSize() public {
        vm.snapshotValue("FirmwareRegistry", "codeSize", address(registry).code.length);
    }

    function test_createProduct() public {
        Firmware.SignerSet memory signerSet = accounts;
        address vendor = makeAddr("another vendor");
        vm.prank(vendor);
        registry.createProduct(vendor, HARDWARE_CLASS, "application", signerSet);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.createProduct");
    }

    function test_publishFirst() public {
        Firmware.SignerSet memory signerSet = accounts;
        address vendor = makeAddr("vendor");
        vm.prank(vendor);
        bytes32 productId = registry.createProduct(vendor, HARDWARE_CLASS, "sensor", signerSet);
        _publish(productId, signerSet, 1 << 48, 3);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.publish.accountsFirst");
    }

    function test_publishAccounts() public {
        _publish(byAccounts, accounts, 2 << 48, 3);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.publish.accounts");
        vm.snapshotValue("FirmwareRegistry", "firmware.publish.accounts.p256SignaturesOf2", 0);
    }

    function test_publishP256() public {
        _publish(byP256, p256, 2 << 48, 3);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.publish.p256");
        vm.snapshotValue("FirmwareRegistry", "firmware.publish.p256.p256SignaturesOf2", 2);
    }

    function test_publishOneP256() public {
        uint32 mask;
        for (uint8 i = 0; i < 3; ++i) {
            if (oneP256.signers[i].scheme == Scheme.P256) mask = i == 0 ? 3 : uint32(1) | (uint32(1) << i);
        }
        _publish(byOneP256, oneP256, 2 << 48, mask);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.publish.accountAndP256");
        vm.snapshotValue("FirmwareRegistry", "firmware.publish.accountAndP256.p256SignaturesOf2", 1);
    }

    function test_yank() public {
        _setStatus(Firmware.Status.Yanked, Firmware.Quorum.Revoke, 1);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.yank");
    }

    function test_revoke() public {
        _setStatus(Firmware.Status.Revoked, Firmware.Quorum.Release, 3);
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.revoke");
    }

    function test_announce() public {
        vm.prank(makeAddr("vendor"));
        registry.announce(
            makeAddr("vendor"),
            HARDWARE_CLASS,
            "application",
            1 << 48,
            "https://firmware.example.com/sensor-a2/application/1.0.0.bin"
        );
        vm.snapshotGasLastCall("FirmwareRegistry", "firmware.announce");
    }

    function test_verify() public {
        Firmware.ReleaseRecord memory release = registry.releaseOf(byAccounts, 1 << 48);
        (bool authorised, uint256 used) = updater.gasOfVerify(registry, byAccounts, release.imageDigest, release.size);
        assertTrue(authorised);
        vm.snapshotValue("FirmwareRegistry", "firmware.verify", used);
    }

    function _create(
        bytes32 component,
        Firmware.SignerSet storage kept,
        Scheme[3] memory schemes
    ) private returns (bytes32) {
        Firmware.Signer[] memory signers = new Firmware.Signer[](3);
        signers[0] = makeSigner("release engineer", schemes[0]);
        signers[1] = makeSigner("build server", schemes[1]);
        signers[2] = makeSigner("security officer", schemes[2]);
        Firmware.SignerSet memory signerSet = makeSet(signers, 2, 1);
        kept.epoch = 1;
        (kept.rootThreshold, kept.releaseThreshold, kept.revokeThreshold) = (1, 2, 1);
        for (uint256 i = 0; i < 3; ++i) kept.signers.push(signerSet.signers[i]);
        address vendor = makeAddr("vendor");
        vm.prank(vendor);
        return registry.createProduct(vendor, HARDWARE_CLASS, component, signerSet);
    }

    function _publish(bytes32 productId, Firmware.SignerSet memory signerSet, uint64 version, uint32 mask) private {
        Firmware.Release memory release = makeRelease(productId, version);
        Firmware.SignerProof[] memory proofs = sign(signerSet, digestOf(release), mask);
        registry.publish(release, signerSet, proofs);
    }

    function _setStatus(Firmware.Status status, Firmware.Quorum quorum, uint32 mask) private {
        Firmware.StatusChange memory change;
        change.productId = byAccounts;
        change.version = 1 << 48;
        change.status = status;
        change.quorum = quorum;
        change.heads = new Firmware.ChannelHead[](1);
        change.epoch = 1;
        if (quorum == Firmware.Quorum.Release) change.nonce = registry.productOf(byAccounts).releaseNonce;
        change.deadline = uint40(block.timestamp + 1 days);
        Firmware.SignerSet memory signerSet = accounts;
        Firmware.SignerProof[] memory proofs = sign(signerSet, digestOf(change), mask);
        registry.setStatus(change, signerSet, proofs);
    }
}
