// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IFirmwareRegistry} from "../interfaces/IFirmwareRegistry.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {KeyProofs} from "./KeyProofs.sol";

/// @title SignerSets
/// @notice The signers of a product: what makes a good set, its hash, and whether enough of it signed.
library SignerSets {
    uint256 private constant MAX_SIGNERS = 32;
    uint256 private constant QUORUMS = 3;

    // ------------------------------------------------------------------ internal

    /// @notice keccak256(abi.encode(productId, signerSet)): all that the chain keeps of a set.
    function hashOf(
        bytes32 productId,
        IFirmwareRegistry.SignerSet calldata signerSet
    ) internal pure returns (bytes32 setHash) {
        IFirmwareRegistry.Signer[] calldata signers = signerSet.signers;
        // Safe: it writes above the memory in use only, what abi.encode would: 2 words, 4 of numbers, 2 for where and how
        // many the signers are, and 3 for each of them. That every word fits its type needs no check here: createProduct
        // encodes each of them for its event, which checks it, and later a set with other words has another hash.
        assembly ("memory-safe") {
            let encoded := mload(0x40)
            mstore(encoded, productId)
            mstore(add(encoded, 32), 64)
            calldatacopy(add(encoded, 64), signerSet, 128)
            mstore(add(encoded, 192), 160)
            mstore(add(encoded, 224), signers.length)
            let size := mul(signers.length, 96)
            calldatacopy(add(encoded, 256), signers.offset, size)
            setHash := keccak256(encoded, add(256, size))
        }
    }

    /// @notice Reverts unless signers, roles and thresholds are as they have to be.
    function requireValid(IFirmwareRegistry.SignerSet calldata signerSet) internal pure {
        uint256 count = signerSet.signers.length;
        require(count != 0 && count <= MAX_SIGNERS, IFirmwareRegistry.SignerSetInvalid(count, signerSet.epoch));
        uint256[QUORUMS] memory holders;
        address previous;
        for (uint256 i = 0; i < count; ++i) {
            IFirmwareRegistry.Signer calldata signer = signerSet.signers[i];
            address keyId = signer.keyId;
            uint8 roles = signer.roles;
            require(KeyProofs.isUsable(keyId), IRegistry.IdReserved(keyId));
            require(keyId > previous, IFirmwareRegistry.SignersNotAscending(previous, keyId));
            previous = keyId;
            require(roles != 0 && roles >> QUORUMS == 0, IFirmwareRegistry.SignerRolesInvalid(keyId, roles));
            for (uint256 quorum = 0; quorum < QUORUMS; ++quorum) holders[quorum] += (roles >> quorum) & 1;
        }
        for (uint256 i = 0; i < QUORUMS; ++i) {
            IFirmwareRegistry.Quorum quorum = IFirmwareRegistry.Quorum(i);
            uint8 threshold = thresholdOf(signerSet, quorum);
            require(
                threshold != 0 && threshold <= holders[i],
                IFirmwareRegistry.ThresholdInvalid(quorum, threshold, holders[i])
            );
        }
    }

    /// @notice Reverts unless enough signers of the quorum signed the digest. A proof that does not hold is never skipped.
    /// @return signedBy Mask: bit n stands for signer n.
    function requireQuorum(
        IFirmwareRegistry.SignerSet calldata signerSet,
        IFirmwareRegistry.Quorum quorum,
        bytes32 digest,
        IFirmwareRegistry.SignerProof[] calldata proofs
    ) internal view returns (uint32 signedBy) {
        IFirmwareRegistry.Signer[] calldata signers = signerSet.signers;
        uint8 needed = thresholdOf(signerSet, quorum);
        require(proofs.length >= needed, IFirmwareRegistry.ThresholdNotMet(quorum, proofs.length, needed));
        uint8 previous;
        for (uint256 i = 0; i < proofs.length; ++i) {
            IFirmwareRegistry.SignerProof calldata given = proofs[i];
            uint8 index = given.signer;
            require(i == 0 || index > previous, IFirmwareRegistry.ProofsNotAscending(previous, index));
            previous = index;
            require(index < signers.length, IFirmwareRegistry.SignerUnknown(index));
            IFirmwareRegistry.Signer calldata signer = signers[index];
            address keyId = signer.keyId;
            require((signer.roles >> uint8(quorum)) & 1 != 0, IFirmwareRegistry.SignerNotInQuorum(keyId, quorum));
            require(
                KeyProofs.isValid(keyId, signer.scheme, digest, given.proof),
                IRegistry.KeyProofInvalid(keyId, digest)
            );
            signedBy |= uint32(1) << index;
        }
    }

    function thresholdOf(
        IFirmwareRegistry.SignerSet calldata signerSet,
        IFirmwareRegistry.Quorum quorum
    ) internal pure returns (uint8) {
        if (quorum == IFirmwareRegistry.Quorum.Root) return signerSet.rootThreshold;
        return quorum == IFirmwareRegistry.Quorum.Release ? signerSet.releaseThreshold : signerSet.revokeThreshold;
    }
}
