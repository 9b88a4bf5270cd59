// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FirmwareRegistry} from "../../contracts/FirmwareRegistry.sol";
import {IFirmwareRegistry as Firmware} from "../../contracts/interfaces/IFirmwareRegistry.sol";
import {IRoleRegistry} from "../../contracts/interfaces/IRoleRegistry.sol";
import {Scheme} from "../../contracts/libraries/KeyProofs.sol";
import {digestFor} from "./Digests.sol";
import {Keys} from "./Keys.sol";

/// @title SignedFirmware
/// @dev A registry, signer sets with their keys, and messages that those keys sign.
abstract contract SignedFirmware is Keys {
    bytes32 private constant CHANNEL_HEAD_TYPEHASH = keccak256("ChannelHead(uint8 channel,uint64 version)");
    bytes32 private constant STATUS_CHANGE_TYPEHASH = keccak256(
        "StatusChange(bytes32 productId,uint64 version,uint8 status,uint8 quorum,ChannelHead[] heads,uint32 epoch,uint32 nonce,uint40 deadline)ChannelHead(uint8 channel,uint64 version)"
    );

    bytes32 internal constant HARDWARE_CLASS = "sensor-a2";
    uint8 internal constant ALL_ROLES = 7;

    FirmwareRegistry internal registry;
    /// @dev Of every signer that was made.
    mapping(address keyId => uint256 privateKey) private _privateKeys;

    /// @dev The vendors here are accounts that send themselves, so RoleRegistry is never asked.
    function deploy() internal {
        registry = new FirmwareRegistry(IRoleRegistry(address(0x1000000)));
    }

    /// @dev A signer with all roles, whose key follows from `seed`.
    function makeSigner(string memory seed, Scheme scheme) internal returns (Firmware.Signer memory signer) {
        uint256 privateKey = boundPrivateKey(uint256(keccak256(bytes(seed))));
        address keyId = keyIdOf(privateKey, scheme);
        _privateKeys[keyId] = privateKey;
        return Firmware.Signer({keyId: keyId, scheme: scheme, roles: ALL_ROLES});
    }

    /// @dev A set of epoch 1 with these signers, in the order that the registry wants.
    function makeSet(
        Firmware.Signer[] memory signers,
        uint8 releaseThreshold,
        uint8 revokeThreshold
    ) internal pure returns (Firmware.SignerSet memory) {
        for (uint256 i = 1; i < signers.length; ++i) {
            for (uint256 j = i; j > 0 && signers[j].keyId < signers[j - 1].keyId; --j) {
                (signers[j], signers[j - 1]) = (signers[j - 1], signers[j]);
            }
        }
        return
            Firmware.SignerSet({
                epoch: 1,
                rootThreshold: 1,
                releaseThreshold: releaseThreshold,
                revokeThreshold: revokeThreshold,
                signers: signers
            });
    }

    /// @dev A plain release without dependencies for all devices, the head of channel 0.
    function makeRelease(bytes32 productId, uint64 version) internal view returns (Firmware.Release memory release) {
        release.productId = productId;
        release.version = version;
        release.securityVersion = 3;
        release.imageDigest = sha256(abi.encode("image", productId, version));
        release.size = 412_160;
        release.bootDigest = sha256(abi.encode("boot", productId, version));
        release.manifestDigest = sha256(abi.encode("manifest", productId, version));
        release.format = 1;
        release.channels = 3;
        release.heads = 1;
        release.fromMax = type(uint64).max;
        release.hwRevMax = type(uint16).max;
        release.startBps = 500;
        release.startAt = uint40(block.timestamp + 1 hours);
        release.rampSeconds = 7 days;
        release.epoch = 1;
        release.deadline = uint40(block.timestamp + 1 days);
    }

    function digestOf(Firmware.Release memory release) internal view returns (bytes32) {
        return typedDigest(registry.hashRelease(release));
    }

    function digestOf(Firmware.StatusChange memory change) internal view returns (bytes32) {
        bytes memory heads;
        for (uint256 i = 0; i < change.heads.length; ++i) {
            heads = abi.encodePacked(heads, keccak256(abi.encode(CHANNEL_HEAD_TYPEHASH, change.heads[i])));
        }
        return
            typedDigest(
                keccak256(
                    abi.encode(
                        STATUS_CHANGE_TYPEHASH,
                        change.productId,
                        change.version,
                        change.status,
                        change.quorum,
                        keccak256(heads),
                        change.epoch,
                        change.nonce,
                        change.deadline
                    )
                )
            );
    }

    /// @dev The signatures of the signers in the mask: bit n stands for signer n.
    function sign(
        Firmware.SignerSet memory signerSet,
        bytes32 digest,
        uint32 mask
    ) internal view returns (Firmware.SignerProof[] memory proofs) {
        uint256 count;
        for (uint8 i = 0; i < signerSet.signers.length; ++i) count += (mask >> i) & 1;
        proofs = new Firmware.SignerProof[](count);
        uint256 next;
        for (uint8 i = 0; i < signerSet.signers.length; ++i) {
            if ((mask >> i) & 1 == 0) continue;
            Firmware.Signer memory signer = signerSet.signers[i];
            proofs[next++] = Firmware.SignerProof({
                signer: i,
                proof: prove(_privateKeys[signer.keyId], signer.scheme, digest)
            });
        }
    }

    /// @dev What is signed for a struct with this hash.
    function typedDigest(bytes32 structHash) internal view returns (bytes32) {
        return digestFor(address(registry), structHash);
    }
}
