// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IDataAccess} from "../../contracts/interfaces/IDataAccess.sol";
import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";

/// @dev The EIP-712 digest of a message's struct hash for the contract that takes it.
function digestFor(address target, bytes32 structHash) view returns (bytes32) {
    (, string memory name, string memory version, uint256 chainId, address verifyingContract, , ) = IERC5267(target)
        .eip712Domain();
    bytes32 domainSeparator = keccak256(
        abi.encode(
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
            keccak256(bytes(name)),
            keccak256(bytes(version)),
            chainId,
            verifyingContract
        )
    );
    return MessageHashUtils.toTypedDataHash(domainSeparator, structHash);
}

/// @dev What a device and its owner sign to enrol it.
function enrollmentDigest(address devices, IDeviceRegistry.Enrollment memory enrollment) view returns (bytes32) {
    bytes32 typeHash = keccak256(
        "Enrollment(address device,uint8 scheme,address owner,uint32 manifest,bytes32 metadataHash,uint40 deadline)"
    );
    return digestFor(devices, keccak256(abi.encode(typeHash, enrollment)));
}

/// @dev What a maker signs to let a device of its manifest be enrolled for an owner.
function makerVoucherDigest(
    address devices,
    IDeviceRegistry.Enrollment memory enrollment,
    uint40 deadline
) view returns (bytes32) {
    bytes32 typeHash = keccak256("MakerVoucher(uint32 manifest,address device,address owner,uint40 deadline)");
    bytes32 structHash = keccak256(
        abi.encode(typeHash, enrollment.manifest, enrollment.device, enrollment.owner, deadline)
    );
    return digestFor(devices, structHash);
}

/// @dev What an owner signs to give a device away; to whom the device names, if the new owner is zero.
function transferVoucherDigest(address devices, IDeviceRegistry.TransferVoucher memory terms) view returns (bytes32) {
    bytes32 typeHash = keccak256("TransferVoucher(address device,address newOwner,uint24 epoch,uint40 deadline)");
    return digestFor(devices, keccak256(abi.encode(typeHash, terms)));
}

/// @dev What the new owner signs to take a device.
function transferAcceptanceDigest(
    address devices,
    IDeviceRegistry.TransferVoucher memory terms
) view returns (bytes32) {
    bytes32 typeHash = keccak256("TransferAcceptance(address device,address newOwner,uint24 epoch,uint40 deadline)");
    return digestFor(devices, keccak256(abi.encode(typeHash, terms)));
}

/// @dev What a device signs to name the new owner who holds a bearer voucher.
function redemptionDigest(address devices, IDeviceRegistry.TransferVoucher memory terms) view returns (bytes32) {
    bytes32 typeHash = keccak256("Redemption(address device,address newOwner,uint24 epoch,uint40 deadline)");
    return digestFor(devices, keccak256(abi.encode(typeHash, terms)));
}

/// @dev What a new key signs to take over, and the old one to agree.
function keyRotationDigest(address devices, IDeviceRegistry.KeyRotation memory rotation) view returns (bytes32) {
    bytes32 typeHash = keccak256(
        "KeyRotation(address device,address oldKey,address newKey,uint8 newScheme,uint24 epoch,uint40 deadline)"
    );
    return digestFor(devices, keccak256(abi.encode(typeHash, rotation)));
}

/// @dev What a grantor signs to give a grant without sending it.
function dataGrantDigest(address access, IDataAccess.DataGrant memory dataGrant) view returns (bytes32) {
    bytes32 typeHash = keccak256(
        "DataGrant(address grantor,address device,address subject,uint32 permissions,uint32 purposes,uint40 notBefore,"
        "uint40 expiry,bytes32 termsHash,uint24 epoch,uint32 seq,uint40 deadline)"
    );
    return digestFor(access, keccak256(abi.encode(typeHash, dataGrant)));
}

/// @dev What a revoker signs to end a grant without sending it.
function revocationDigest(address access, IDataAccess.Revocation memory revocation) view returns (bytes32) {
    bytes32 typeHash = keccak256(
        "Revocation(address revoker,address device,address subject,uint24 epoch,uint32 seq,uint40 deadline)"
    );
    return digestFor(access, keccak256(abi.encode(typeHash, revocation)));
}

/// @dev What a device signs to limit what can be shared of it.
function devicePolicyDigest(address access, IDataAccess.DevicePolicy memory policy) view returns (bytes32) {
    bytes32 typeHash = keccak256(
        "DevicePolicy(address device,uint32 ceiling,uint32 publicRead,uint32 purposes,uint24 epoch,uint32 seq,"
        "uint40 deadline)"
    );
    return digestFor(access, keccak256(abi.encode(typeHash, policy)));
}
