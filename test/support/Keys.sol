// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {KeyProof, Scheme} from "../../contracts/libraries/KeyProofs.sol";
import {Test} from "./Test.sol";

/// @title Keys
/// @notice Real keys and signatures for Solidity tests.
abstract contract Keys is Test {
    /// @dev Orders of the groups of P-256 and secp256k1.
    uint256 internal constant P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
    uint256 internal constant SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function boundPrivateKey(uint256 privateKey) internal pure returns (uint256) {
        return bound(privateKey, 1, P256_N < SECP256K1_N ? P256_N - 1 : SECP256K1_N - 1);
    }

    function publicKeyOf(uint256 privateKey) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(privateKey);
        return abi.encodePacked(x, y);
    }

    function keyIdOf(bytes memory publicKey) internal pure returns (address) {
        return address(uint160(uint256(keccak256(publicKey))));
    }

    /// @dev The id of the private key under the scheme.
    function keyIdOf(uint256 privateKey, Scheme scheme) internal pure returns (address) {
        return scheme == Scheme.Account ? vm.addr(privateKey) : keyIdOf(publicKeyOf(privateKey));
    }

    function prove(uint256 privateKey, Scheme scheme, bytes32 digest) internal pure returns (KeyProof memory) {
        if (scheme == Scheme.Account) return KeyProof("", signAccount(privateKey, digest));
        if (scheme == Scheme.P256Sha256) digest = sha256(abi.encodePacked("Touchstone.v1", digest));
        (bytes32 r, bytes32 s) = signP256(privateKey, digest);
        return KeyProof(publicKeyOf(privateKey), abi.encodePacked(r, s));
    }

    function signAccount(uint256 privateKey, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev With s at most n / 2.
    function signP256(uint256 privateKey, bytes32 digest) internal pure returns (bytes32 r, bytes32 s) {
        (r, s) = vm.signP256(privateKey, digest);
        if (uint256(s) > P256_N / 2) s = bytes32(P256_N - uint256(s));
    }
}
