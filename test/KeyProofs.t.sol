// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {KeyProof, KeyProofs, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Keys} from "./support/Keys.sol";

contract KeyProofsCaller {
    function isValid(
        address keyId,
        Scheme scheme,
        bytes32 digest,
        KeyProof calldata proof
    ) external view returns (bool) {
        return KeyProofs.isValid(keyId, scheme, digest, proof);
    }

    function isPublicKeyOf(address keyId, Scheme scheme, bytes calldata publicKey) external pure returns (bool) {
        return KeyProofs.isPublicKeyOf(keyId, scheme, publicKey);
    }

    function requirePrecompile() external view {
        KeyProofs.requirePrecompile();
    }
}

/// @dev An ERC-1271 wallet that answers as it is told to.
contract Wallet is IERC1271 {
    enum Answer {
        Accept,
        Refuse,
        Revert,
        Garbage,
        Short,
        BurnGas
    }

    Answer private immutable ANSWER;
    bytes32 private immutable DIGEST;
    bytes32 private immutable SIGNATURE_HASH;

    constructor(Answer answer, bytes32 digest, bytes memory signature) {
        ANSWER = answer;
        DIGEST = digest;
        SIGNATURE_HASH = keccak256(signature);
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view override returns (bytes4) {
        if (ANSWER == Answer.Accept) {
            bool isRight = digest == DIGEST && keccak256(signature) == SIGNATURE_HASH;
            return isRight ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
        }
        if (ANSWER == Answer.Refuse) return 0xffffffff;
        if (ANSWER == Answer.Revert) revert("no");
        if (ANSWER == Answer.BurnGas) {
            // Takes all gas that the call was given.
            assembly ("memory-safe") {
                invalid()
            }
        }
        bytes32 word =
            ANSWER == Answer.Garbage
                ? bytes32(IERC1271.isValidSignature.selector) | bytes32(uint256(1))
                : bytes32(IERC1271.isValidSignature.selector);
        uint256 length = ANSWER == Answer.Garbage ? 32 : 4;
        // Safe in a test: returns at once and touches only scratch space.
        assembly {
            mstore(0, word)
            return(0, length)
        }
    }
}

contract KeyProofsTest is Keys {
    KeyProofsCaller private immutable CALLER = new KeyProofsCaller();

    bytes32 private constant DIGEST = keccak256("digest");
    uint256 private constant PRIVATE_KEY = 0xA11CE;

    // ------------------------------------------------------------------ what is accepted

    function testFuzz_AcceptsWhatTheKeySigned(uint256 privateKey, uint8 schemeSeed, bytes32 digest) external view {
        privateKey = boundPrivateKey(privateKey);
        Scheme scheme = Scheme(schemeSeed % 3);
        assertTrue(CALLER.isValid(keyIdOf(privateKey, scheme), scheme, digest, prove(privateKey, scheme, digest)));
    }

    function test_AcceptsAWalletThatAgrees() external {
        Wallet wallet = new Wallet(Wallet.Answer.Accept, DIGEST, "any bytes");
        assertTrue(CALLER.isValid(address(wallet), Scheme.Account, DIGEST, KeyProof("", "any bytes")));
        assertFalse(CALLER.isValid(address(wallet), Scheme.Account, DIGEST, KeyProof("", "other bytes")));
        assertFalse(CALLER.isValid(address(wallet), Scheme.Account, keccak256("other"), KeyProof("", "any bytes")));
    }

    function test_KeepsTheKeyOfAnAccountWithCode() external {
        address account = vm.addr(PRIVATE_KEY);
        vm.etch(account, hex"ef01000000000000000000000000000000000000001234");
        assertTrue(CALLER.isValid(account, Scheme.Account, DIGEST, prove(PRIVATE_KEY, Scheme.Account, DIGEST)));
    }

    // ------------------------------------------------------------------ what is refused: any key

    function testFuzz_RefusesAnotherDigest(
        uint256 privateKey,
        uint8 schemeSeed,
        bytes32 digest,
        bytes32 other
    ) external view {
        vm.assume(digest != other);
        privateKey = boundPrivateKey(privateKey);
        Scheme scheme = Scheme(schemeSeed % 3);
        assertFalse(CALLER.isValid(keyIdOf(privateKey, scheme), scheme, other, prove(privateKey, scheme, digest)));
    }

    function testFuzz_RefusesAnotherKey(
        uint256 privateKey,
        uint256 otherKey,
        uint8 schemeSeed,
        bytes32 digest
    ) external view {
        (privateKey, otherKey) = (boundPrivateKey(privateKey), boundPrivateKey(otherKey));
        vm.assume(privateKey != otherKey);
        Scheme scheme = Scheme(schemeSeed % 3);
        address keyId = keyIdOf(privateKey, scheme);
        assertFalse(CALLER.isValid(keyId, scheme, digest, prove(otherKey, scheme, digest)));
        // Nor under the name of the right key.
        KeyProof memory proof = prove(otherKey, scheme, digest);
        if (scheme != Scheme.Account) proof.publicKey = publicKeyOf(privateKey);
        assertFalse(CALLER.isValid(keyId, scheme, digest, proof));
    }

    function testFuzz_RefusesTheProofOfAnotherScheme(uint256 privateKey, uint8 asSeed, uint8 bySeed) external view {
        privateKey = boundPrivateKey(privateKey);
        (Scheme asScheme, Scheme byScheme) = (Scheme(asSeed % 3), Scheme(bySeed % 3));
        vm.assume(asScheme != byScheme);
        address keyId = keyIdOf(privateKey, asScheme);
        assertFalse(CALLER.isValid(keyId, asScheme, DIGEST, prove(privateKey, byScheme, DIGEST)));
    }

    function testFuzz_RefusesASignatureOfAnotherLength(uint8 schemeSeed, uint8 lengthSeed) external view {
        Scheme scheme = Scheme(schemeSeed % 3);
        KeyProof memory proof = prove(PRIVATE_KEY, scheme, DIGEST);
        bytes memory signature = proof.signature;
        proof.signature = new bytes(lengthSeed % 130);
        if (proof.signature.length == signature.length) return;
        for (uint256 i = 0; i < proof.signature.length && i < signature.length; ++i) {
            proof.signature[i] = signature[i];
        }
        assertFalse(CALLER.isValid(keyIdOf(PRIVATE_KEY, scheme), scheme, DIGEST, proof));
    }

    function testFuzz_RefusesAFlippedBit(uint8 schemeSeed, uint256 bitSeed) external view {
        Scheme scheme = Scheme(schemeSeed % 3);
        KeyProof memory proof = prove(PRIVATE_KEY, scheme, DIGEST);
        uint256 bit = bitSeed % (proof.signature.length * 8);
        proof.signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        assertFalse(CALLER.isValid(keyIdOf(PRIVATE_KEY, scheme), scheme, DIGEST, proof));
    }

    function testFuzz_RefusesReservedIds(uint16 id, uint8 schemeSeed, bytes calldata publicKey) external view {
        Scheme scheme = Scheme(schemeSeed % 3);
        assertFalse(CALLER.isValid(address(uint160(id)), scheme, DIGEST, prove(PRIVATE_KEY, scheme, DIGEST)));
        assertFalse(CALLER.isPublicKeyOf(address(uint160(id)), scheme, publicKey));
    }

    // ------------------------------------------------------------------ what is refused: accounts

    function test_RefusesThatAFailedRecoveryIsTheZeroAddress() external view {
        bytes memory unrecoverable = abi.encodePacked(bytes32(0), bytes32(0), uint8(27));
        assertFalse(CALLER.isValid(address(0), Scheme.Account, DIGEST, KeyProof("", unrecoverable)));
    }

    function test_RefusesAPublicKeyForAnAccount() external view {
        KeyProof memory proof = prove(PRIVATE_KEY, Scheme.Account, DIGEST);
        proof.publicKey = publicKeyOf(PRIVATE_KEY);
        assertFalse(CALLER.isValid(vm.addr(PRIVATE_KEY), Scheme.Account, DIGEST, proof));
    }

    function test_RefusesAHighSOfAnAccount() external view {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PRIVATE_KEY, DIGEST);
        bytes memory high = abi.encodePacked(r, bytes32(SECP256K1_N - uint256(s)), uint8(v == 27 ? 28 : 27));
        assertFalse(CALLER.isValid(vm.addr(PRIVATE_KEY), Scheme.Account, DIGEST, KeyProof("", high)));
    }

    function test_RefusesAWalletThatRefuses() external {
        _assertWalletRefused(Wallet.Answer.Refuse);
    }

    function test_RefusesAWalletThatReverts() external {
        _assertWalletRefused(Wallet.Answer.Revert);
    }

    function test_RefusesAWalletThatReturnsGarbage() external {
        _assertWalletRefused(Wallet.Answer.Garbage);
        _assertWalletRefused(Wallet.Answer.Short);
    }

    function test_SurvivesAWalletThatBurnsAllGas() external {
        _assertWalletRefused(Wallet.Answer.BurnGas);
    }

    function test_RefusesAnAccountWithCodeThatIsNoWallet() external view {
        assertFalse(CALLER.isValid(address(CALLER), Scheme.Account, DIGEST, KeyProof("", "any bytes")));
    }

    // ------------------------------------------------------------------ what is refused: P-256

    function testFuzz_RefusesAPublicKeyOfAnotherLength(uint8 length) external view {
        if (length == 64) return;
        KeyProof memory proof = prove(PRIVATE_KEY, Scheme.P256, DIGEST);
        proof.publicKey = new bytes(length);
        assertFalse(CALLER.isValid(keyIdOf(proof.publicKey), Scheme.P256, DIGEST, proof));
        assertFalse(CALLER.isPublicKeyOf(keyIdOf(proof.publicKey), Scheme.P256, proof.publicKey));
    }

    function testFuzz_RefusesAPointThatIsNotOnTheCurve(uint256 x, uint256 y) external view {
        (uint256 realX, uint256 realY) = vm.publicKeyP256(PRIVATE_KEY);
        // Of all pairs so few are points that chance never finds one; (0, 0) and points moved by one are tried too.
        bytes[3] memory publicKeys = [
            abi.encodePacked(x, y),
            abi.encodePacked(uint256(0), uint256(0)),
            abi.encodePacked(realX, realY ^ 1)
        ];
        KeyProof memory proof = prove(PRIVATE_KEY, Scheme.P256, DIGEST);
        for (uint256 i = 0; i < publicKeys.length; ++i) {
            proof.publicKey = publicKeys[i];
            assertFalse(CALLER.isValid(keyIdOf(proof.publicKey), Scheme.P256, DIGEST, proof));
        }
    }

    function test_RefusesAHighSOfAP256Key() external view {
        (bytes32 r, bytes32 s) = signP256(PRIVATE_KEY, DIGEST);
        _assertP256Refused(r, bytes32(P256_N - uint256(s)));
    }

    function test_RefusesROrSOutsideTheGroup() external view {
        (bytes32 r, bytes32 s) = signP256(PRIVATE_KEY, DIGEST);
        _assertP256Refused(bytes32(0), s);
        _assertP256Refused(r, bytes32(0));
        _assertP256Refused(bytes32(0), bytes32(0));
        _assertP256Refused(bytes32(P256_N), s);
        _assertP256Refused(r, bytes32(P256_N));
        _assertP256Refused(bytes32(type(uint256).max), s);
        _assertP256Refused(r, bytes32(type(uint256).max));
    }

    function testFuzz_KnowsWhichPublicKeyBelongsToAnId(uint256 privateKey, uint256 otherKey) external view {
        (privateKey, otherKey) = (boundPrivateKey(privateKey), boundPrivateKey(otherKey));
        bytes memory publicKey = publicKeyOf(privateKey);
        address keyId = keyIdOf(publicKey);
        assertTrue(CALLER.isPublicKeyOf(keyId, Scheme.P256, publicKey));
        assertTrue(CALLER.isPublicKeyOf(keyId, Scheme.P256Sha256, publicKey));
        assertFalse(CALLER.isPublicKeyOf(keyId, Scheme.Account, publicKey));
        assertTrue(CALLER.isPublicKeyOf(vm.addr(privateKey), Scheme.Account, ""));
        assertEq(CALLER.isPublicKeyOf(keyId, Scheme.P256, publicKeyOf(otherKey)), privateKey == otherKey);
    }

    // ------------------------------------------------------------------ the precompile

    function test_FindsThePrecompile() external view {
        CALLER.requirePrecompile();
    }

    // ------------------------------------------------------------------ private

    function _assertWalletRefused(Wallet.Answer answer) private {
        Wallet wallet = new Wallet(answer, DIGEST, "any bytes");
        assertFalse(CALLER.isValid(address(wallet), Scheme.Account, DIGEST, KeyProof("", "any bytes")));
    }

    function _assertP256Refused(bytes32 r, bytes32 s) private view {
        KeyProof memory proof = KeyProof(publicKeyOf(PRIVATE_KEY), abi.encodePacked(r, s));
        assertFalse(CALLER.isValid(keyIdOf(PRIVATE_KEY, Scheme.P256), Scheme.P256, DIGEST, proof));
    }
}
