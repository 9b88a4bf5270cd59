// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice How a key signs. The scheme belongs to the key and is fixed when the key is registered.
enum Scheme {
    /// @custom:value0 An Ethereum account: secp256k1 over the digest, or ERC-1271 when it has code.
    Account,
    /// @custom:value1 P-256 over the digest.
    P256,
    /// @custom:value2 P-256 over `sha256("Touchstone.v1" ‖ digest)`, for hardware that always hashes.
    P256Sha256
}

/// @notice What proves that the holder of a key signed a digest.
/// @param publicKey Empty for accounts, else 64 bytes qx ‖ qy.
/// @param signature Accounts: 65 bytes r ‖ s ‖ v, or whatever the ERC-1271 contract takes. P-256: 64 bytes r ‖ s, s low.
struct KeyProof {
    bytes publicKey;
    bytes signature;
}

/// @title KeyProofs
/// @notice Tells whether the key with a 20-byte id signed a digest.
/// @dev An account is its own id. The id of a P-256 key is the last 20 bytes of keccak256(qx ‖ qy), as in EIP-8141.
library KeyProofs {
    /// @notice The chain has no P256VERIFY precompile at 0x100 (EIP-7951): use a chain that has it.
    error P256PrecompileMissing();

    /// @notice Ids below this value (zero, precompiles) are never keys.
    uint160 internal constant RESERVED_IDS = 1 << 16;

    /// @notice Whether the id can belong to a key, an owner or a subject.
    function isUsable(address id) internal pure returns (bool) {
        return uint160(id) >= RESERVED_IDS;
    }

    /// @notice Whether `proof` shows that the key `keyId` signed `digest`.
    /// @dev Reverts only for want of gas: an ERC-1271 contract can burn 63/64 of what is left, and OpenZeppelin takes a
    ///      precompile that has too little for broken and burns all.
    function isValid(
        address keyId,
        Scheme scheme,
        bytes32 digest,
        KeyProof calldata proof
    ) internal view returns (bool) {
        return isValid(keyId, scheme, digest, proof.publicKey, proof.signature);
    }

    /// @notice The same for a proof in its parts.
    function isValid(
        address keyId,
        Scheme scheme,
        bytes32 digest,
        bytes calldata publicKey,
        bytes calldata signature
    ) internal view returns (bool) {
        if (scheme == Scheme.Account) {
            return publicKey.length == 0 && isValidAccountSignature(keyId, digest, signature);
        }
        if (scheme == Scheme.P256Sha256) digest = sha256(abi.encodePacked("Touchstone.v1", digest));
        return isPublicKeyOf(keyId, scheme, publicKey) && _isValidP256(digest, publicKey, signature);
    }

    /// @notice Whether the account `account` signed `digest`: by its key, or through ERC-1271 when it has code.
    /// @dev The key comes first, so that an account with EIP-7702 code keeps it.
    function isValidAccountSignature(
        address account,
        bytes32 digest,
        bytes calldata signature
    ) internal view returns (bool) {
        if (!isUsable(account)) return false;
        (address recovered, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, signature);
        if (err == ECDSA.RecoverError.NoError && recovered == account) return true;
        return
            account.code.length != 0 && SignatureChecker.isValidERC1271SignatureNowCalldata(account, digest, signature);
    }

    /// @notice Whether `publicKey` is what belongs to the key: nothing for an account, else the 64 bytes that hash to its id.
    function isPublicKeyOf(address keyId, Scheme scheme, bytes calldata publicKey) internal pure returns (bool) {
        if (!isUsable(keyId)) return false;
        if (scheme == Scheme.Account) return publicKey.length == 0;
        return publicKey.length == 64 && address(uint160(uint256(keccak256(publicKey)))) == keyId;
    }

    /// @notice Reverts unless the precompile verifies one known signature.
    /// @dev Constructors call it, so that a chain without P-256 is refused at deployment and not at the first device.
    function requirePrecompile() internal view {
        // The signature of RFC 6979, A.2.5, over sha256("sample"), with s lowered to n - s.
        (bool success, bytes memory result) = address(0x100).staticcall(
            abi.encode(
                bytes32(0xaf2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf),
                bytes32(0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716),
                bytes32(0x0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9),
                bytes32(0x60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6),
                bytes32(0x7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299)
            )
        );
        require(success && result.length == 32 && abi.decode(result, (uint256)) == 1, P256PrecompileMissing());
    }

    function _isValidP256(
        bytes32 digest,
        bytes calldata publicKey,
        bytes calldata signature
    ) private view returns (bool) {
        if (signature.length != 64) return false;
        return
            P256.verifyNative(
                digest,
                bytes32(signature[:32]),
                bytes32(signature[32:]),
                bytes32(publicKey[:32]),
                bytes32(publicKey[32:])
            );
    }
}
