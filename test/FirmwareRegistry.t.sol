// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FirmwareRegistry} from "../contracts/FirmwareRegistry.sol";
import {IFirmwareRegistry as Firmware} from "../contracts/interfaces/IFirmwareRegistry.sol";
import {Scheme} from "../contracts/libraries/KeyProofs.sol";
import {SignedFirmware} from "./support/SignedFirmware.sol";

contract FirmwareRegistryTest is SignedFirmware {
    bytes32 private constant DEPENDENCY_TYPEHASH = keccak256("Dependency(bytes32 productId,uint64 minVersion)");
    bytes32 private constant RELEASE_TYPEHASH = keccak256(
        "Release(bytes32 productId,uint64 version,uint32 securityVersion,bytes32 imageDigest,uint64 size,bytes32 bootDigest,bytes32 manifestDigest,uint8 format,uint8 channels,uint8 heads,uint64 fromMin,uint64 fromMax,uint16 hwRevMin,uint16 hwRevMax,uint16 startBps,uint40 startAt,uint32 rampSeconds,Dependency[] dependencies,uint32 epoch,uint40 deadline)Dependency(bytes32 productId,uint64 minVersion)"
    );

    /// @dev Which words of a release hold less than 32 bytes: all but 4 digests and ids, and the dependencies' offset.
    uint256[15] private _narrowWords = [uint256(1), 2, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19];

    Firmware.SignerSet private _signerSet;
    bytes32 private _productId;
    address private _vendor;

    function setUp() public {
        vm.warp(1_790_000_000);
        deploy();
        _vendor = makeAddr("vendor");
        Firmware.Signer[] memory signers = new Firmware.Signer[](4);
        signers[0] = makeSigner("engineer", Scheme.Account);
        signers[1] = makeSigner("server", Scheme.P256);
        signers[2] = makeSigner("element", Scheme.P256Sha256);
        signers[3] = makeSigner("officer", Scheme.Account);
        Firmware.SignerSet memory signerSet = makeSet(signers, 2, 1);
        (_signerSet.epoch, _signerSet.rootThreshold) = (signerSet.epoch, signerSet.rootThreshold);
        (_signerSet.releaseThreshold, _signerSet.revokeThreshold) = (2, 1);
        for (uint256 i = 0; i < 4; ++i) _signerSet.signers.push(signerSet.signers[i]);
        vm.prank(_vendor);
        _productId = registry.createProduct(_vendor, HARDWARE_CLASS, "application", signerSet);
    }

    // ------------------------------------------------------------------ hashes

    function testFuzz_HashesReleaseAsEip712(Firmware.Release calldata release) public view {
        bytes memory dependencies;
        for (uint256 i = 0; i < release.dependencies.length; ++i) {
            Firmware.Dependency calldata dependency = release.dependencies[i];
            dependencies = abi.encodePacked(
                dependencies,
                keccak256(abi.encode(DEPENDENCY_TYPEHASH, dependency.productId, dependency.minVersion))
            );
        }
        bytes memory start = abi.encode(
            RELEASE_TYPEHASH,
            release.productId,
            release.version,
            release.securityVersion,
            release.imageDigest,
            release.size,
            release.bootDigest,
            release.manifestDigest,
            release.format,
            release.channels,
            release.heads
        );
        bytes memory end = abi.encode(
            release.fromMin,
            release.fromMax,
            release.hwRevMin,
            release.hwRevMax,
            release.startBps,
            release.startAt,
            release.rampSeconds,
            keccak256(dependencies),
            release.epoch,
            release.deadline
        );
        assertEq(registry.hashRelease(release), keccak256(bytes.concat(start, end)));
    }

    /// @dev The hash of a release takes the words as they are, so what does not fit its type must be refused elsewhere:
    ///      even if the quorum signed exactly that.
    function testFuzz_RefusesWordsThatDoNotFit(uint256 which, uint256 dirt) public {
        Firmware.Release memory release = makeRelease(_productId, 1);
        release.dependencies = new Firmware.Dependency[](1);
        uint256 word = _narrowWords[which % _narrowWords.length];
        dirt = bound(dirt, 1, type(uint64).max) << 64;
        bytes memory hashCall = abi.encodeCall(registry.hashRelease, (release));
        _dirty(hashCall, 4 + 32 * (1 + word), dirt);
        (bool hashed, bytes memory releaseHash) = address(registry).staticcall(hashCall);
        assertTrue(hashed);
        bytes32 digest = typedDigest(abi.decode(releaseHash, (bytes32)));
        Firmware.SignerProof[] memory proofs = sign(_signerSet, digest, 3);
        bytes memory publishCall = abi.encodeCall(registry.publish, (release, _signerSet, proofs));
        _dirty(publishCall, 4 + 32 * (3 + word), dirt);

        // solhint-disable-next-line avoid-low-level-calls
        (bool published, bytes memory reason) = address(registry).call(publishCall);

        assertFalse(published);
        assertEq(reason.length, 0);
    }

    function testFuzz_KeepsHashOfSignerSet(uint256 seed, uint8 count, uint32 otherEpoch) public {
        Firmware.SignerSet memory signerSet = _randomSet(seed, 1 + (count % 32));
        vm.prank(_vendor);
        bytes32 productId = registry.createProduct(_vendor, HARDWARE_CLASS, "other", signerSet);
        assertEq(registry.productOf(productId).setHash, keccak256(abi.encode(productId, signerSet)));

        // The same hash is what a set that is passed in is held against.
        if (otherEpoch == 1) return;
        signerSet.epoch = otherEpoch;
        Firmware.Release memory release = makeRelease(productId, 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                Firmware.SignerSetMismatch.selector,
                productId,
                registry.productOf(productId).setHash,
                keccak256(abi.encode(productId, signerSet))
            )
        );
        registry.publish(release, signerSet, new Firmware.SignerProof[](0));
    }

    // ------------------------------------------------------------------ signer sets and quorums

    function testFuzz_TakesSignerSetThatFollowsTheRules(
        uint256 seed,
        uint8 count,
        uint8 mutation,
        uint8 place,
        uint160 value
    ) public {
        Firmware.SignerSet memory signerSet = _randomSet(seed, 1 + (count % 32));
        Firmware.Signer memory signer = signerSet.signers[place % signerSet.signers.length];
        mutation %= 7;
        if (mutation == 1) signer.keyId = address(value);
        if (mutation == 2) signer.keyId = address(uint160(bound(value, 0, 1 << 17)));
        if (mutation == 3) signer.roles = uint8(value);
        if (mutation == 4) signerSet.rootThreshold = uint8(value % 34);
        if (mutation == 5) signerSet.releaseThreshold = uint8(value % 34);
        if (mutation == 6) signerSet.revokeThreshold = uint8(value % 34);
        bool isValid = _followsRules(signerSet);

        vm.prank(_vendor);
        try registry.createProduct(_vendor, HARDWARE_CLASS, "other", signerSet) {
            assertTrue(isValid);
        } catch {
            assertFalse(isValid);
        }
    }

    /// hardhat-config: fuzz.runs = 128
    function testFuzz_CountsOnlySignersOfTheQuorum(uint256 seed, uint8 threshold, uint32 mask) public {
        Firmware.SignerSet memory signerSet = _signerSet;
        uint256 holders;
        uint256 given;
        bool onlyHolders = true;
        mask %= 16;
        for (uint256 i = 0; i < 4; ++i) {
            // Revoke and Root are held by all, so that the set itself is always good.
            bool holds = i == 0 || (seed >> i) & 1 != 0;
            signerSet.signers[i].roles = holds ? 7 : 5;
            if (holds) ++holders;
            if ((mask >> i) & 1 == 0) continue;
            ++given;
            if (!holds) onlyHolders = false;
        }
        signerSet.releaseThreshold = uint8(1 + (threshold % holders));
        vm.prank(_vendor);
        bytes32 productId = registry.createProduct(_vendor, HARDWARE_CLASS, "other", signerSet);
        Firmware.Release memory release = makeRelease(productId, 1);
        Firmware.SignerProof[] memory proofs = sign(signerSet, digestOf(release), mask);

        try registry.publish(release, signerSet, proofs) {
            assertTrue(onlyHolders && given >= signerSet.releaseThreshold);
        } catch {
            assertFalse(onlyHolders && given >= signerSet.releaseThreshold);
        }
    }

    // ------------------------------------------------------------------ releases and heads

    /// hardhat-config: fuzz.runs = 128
    function testFuzz_KeepsWhatWasPublished(
        uint64 version,
        uint32 securityVersion,
        bytes32 imageDigest,
        uint40 size,
        uint8 channels,
        uint8 heads
    ) public {
        Firmware.Release memory release = makeRelease(_productId, uint64(bound(version, 1, type(uint64).max)));
        release.securityVersion = securityVersion;
        release.imageDigest = imageDigest == 0 ? bytes32(uint256(1)) : imageDigest;
        release.size = bound64(size, 1, type(uint40).max);
        release.channels = channels;
        release.heads = heads & channels;
        _publish(release);

        Firmware.ReleaseRecord memory kept = registry.releaseOf(_productId, release.version);
        assertEq(kept.version, release.version);
        assertEq(kept.securityVersion, release.securityVersion);
        assertEq(kept.size, release.size);
        assertEq(uint8(kept.status), uint8(Firmware.Status.Live));
        assertEq(kept.channels, channels);
        assertEq(kept.publishedAt, block.timestamp);
        assertEq(kept.imageDigest, release.imageDigest);
        assertEq(kept.releaseHash, registry.hashRelease(release));
        for (uint8 channel = 0; channel < 8; ++channel) {
            bool isHead = (release.heads >> channel) & 1 != 0;
            assertEq(registry.headOf(_productId, channel), isHead ? release.version : 0);
            assertEq(registry.latest(_productId, channel).releaseHash, isHead ? kept.releaseHash : bytes32(0));
        }
        (bool ok, Firmware.Reason reason, uint64 found) = registry.verify(_productId, kept.imageDigest, kept.size);
        assertTrue(ok && reason == Firmware.Reason.Authorised && found == release.version);
    }

    function testFuzz_ViewsAnswerForAnything(
        bytes32 productId,
        bytes32 imageDigest,
        uint64 size,
        uint64 version,
        uint8 channel
    ) public view {
        vm.assume(productId != _productId);
        (bool ok, Firmware.Reason reason, uint64 found) = registry.verify(productId, imageDigest, size);
        assertTrue(!ok && reason == Firmware.Reason.ProductUnknown && found == 0);
        (ok, reason, found) = registry.verify(_productId, imageDigest, size);
        assertTrue(!ok && reason == Firmware.Reason.DigestUnknown && found == 0);
        assertEq(registry.latest(productId, channel).version, 0);
        assertEq(registry.headOf(productId, channel), 0);
        assertEq(registry.releaseOf(productId, version).imageDigest, 0);
        assertEq(registry.productOf(productId).setHash, 0);
    }

    // ------------------------------------------------------------------ private

    function bound64(uint256 x, uint256 min, uint256 max) private pure returns (uint64) {
        return uint64(bound(x, min, max));
    }

    function _publish(Firmware.Release memory release) private {
        Firmware.SignerProof[] memory proofs = sign(_signerSet, digestOf(release), 3);
        registry.publish(release, _signerSet, proofs);
    }

    /// @dev Flips bits of the word at the offset, which are 0.
    function _dirty(bytes memory data, uint256 offset, uint256 dirt) private pure {
        // Safe: the word at the offset lies within the data, which is of a call that holds it.
        assembly ("memory-safe") {
            let word := add(add(data, 32), offset)
            mstore(word, xor(mload(word), dirt))
        }
    }

    /// @dev A set that follows the rules, with roles and thresholds from the seed.
    function _randomSet(uint256 seed, uint256 count) private pure returns (Firmware.SignerSet memory signerSet) {
        signerSet.epoch = 1;
        signerSet.signers = new Firmware.Signer[](count);
        uint256[3] memory holders;
        uint160 keyId = 1 << 16;
        for (uint256 i = 0; i < count; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            keyId += uint160(1 + ((random >> 16) % (1 << 150)));
            uint8 roles = i == 0 ? 7 : uint8(1 + (random % 7));
            signerSet.signers[i] = Firmware.Signer(address(keyId), Scheme((random >> 8) % 3), roles);
            for (uint256 quorum = 0; quorum < 3; ++quorum) holders[quorum] += (roles >> quorum) & 1;
        }
        signerSet.rootThreshold = uint8(1 + (seed % holders[0]));
        signerSet.releaseThreshold = uint8(1 + ((seed >> 8) % holders[1]));
        signerSet.revokeThreshold = uint8(1 + ((seed >> 16) % holders[2]));
    }

    /// @dev The rules again, each on its own.
    function _followsRules(Firmware.SignerSet memory signerSet) private pure returns (bool) {
        uint256[3] memory holders;
        for (uint256 i = 0; i < signerSet.signers.length; ++i) {
            Firmware.Signer memory signer = signerSet.signers[i];
            if (uint160(signer.keyId) < 65_536) return false;
            if (signer.roles == 0 || signer.roles > 7) return false;
            if (i > 0 && uint160(signer.keyId) <= uint160(signerSet.signers[i - 1].keyId)) return false;
            if (signer.roles % 2 == 1) ++holders[0];
            if (signer.roles % 4 > 1) ++holders[1];
            if (signer.roles > 3) ++holders[2];
        }
        return
            _isBetween(signerSet.rootThreshold, holders[0]) &&
            _isBetween(signerSet.releaseThreshold, holders[1]) &&
            _isBetween(signerSet.revokeThreshold, holders[2]);
    }

    function _isBetween(uint8 threshold, uint256 holders) private pure returns (bool) {
        return threshold > 0 && threshold <= holders;
    }
}

/// @dev Sends messages of a product's quorums, good and bad ones, and keeps what has to come of them by the rules.
contract FirmwareHandler is SignedFirmware {
    /// @dev Few digests and versions, so that messages meet.
    uint256 private constant DIGESTS = 24;

    struct Expected {
        Firmware.Status status;
        uint8 channels;
        bytes32 imageDigest;
        bytes32 releaseHash;
    }

    Firmware.SignerSet private _signerSet;
    bytes32 public productId;

    // What the registry has to hold.
    uint64 public highest;
    uint32[3] public nonces;
    uint64[8] public heads;
    uint64[] private _versions;
    mapping(uint64 version => Expected) private _expected;
    mapping(bytes32 imageDigest => bool) private _isUsed;

    // What was seen last.
    Firmware.Product private _product;
    mapping(uint64 version => Firmware.ReleaseRecord) private _records;

    /// @dev Messages that were taken or refused against the rules.
    uint256 public surprises;
    /// @dev Observations of something that must never go back and did.
    uint256 public regressions;
    uint256 public published;
    uint256 public changed;

    constructor() {
        vm.warp(1_790_000_000);
        deploy();
        Firmware.Signer[] memory signers = new Firmware.Signer[](1);
        signers[0] = makeSigner("engineer", Scheme.Account);
        Firmware.SignerSet memory signerSet = makeSet(signers, 1, 1);
        (_signerSet.epoch, _signerSet.rootThreshold) = (1, 1);
        (_signerSet.releaseThreshold, _signerSet.revokeThreshold) = (1, 1);
        _signerSet.signers.push(signerSet.signers[0]);
        productId = registry.createProduct(address(this), HARDWARE_CLASS, "application", signerSet);
    }

    modifier observed() {
        _;
        Firmware.Product memory product = registry.productOf(productId);
        if (product.highest < _product.highest) ++regressions;
        if (product.releaseNonce < _product.releaseNonce || product.revokeNonce < _product.revokeNonce) ++regressions;
        _product = product;
        for (uint256 i = 0; i < _versions.length; ++i) {
            Firmware.ReleaseRecord memory record = registry.releaseOf(productId, _versions[i]);
            Firmware.ReleaseRecord storage before = _records[_versions[i]];
            if (before.imageDigest != 0 && before.imageDigest != record.imageDigest) ++regressions;
            if (before.status == Firmware.Status.Revoked && record.status != before.status) ++regressions;
            _records[_versions[i]] = record;
        }
    }

    // ------------------------------------------------------------------ messages

    function publish(uint8 step, uint8 digest, uint8 channels, uint8 newHeads, bool strict) external observed {
        Firmware.Release memory release = makeRelease(productId, highest + (step % 4));
        release.imageDigest = keccak256(abi.encode(digest % DIGESTS));
        release.channels = channels;
        release.heads = strict ? newHeads & channels : newHeads;
        bool isRight =
            release.version > highest && !_isUsed[release.imageDigest] && release.heads | channels == channels;
        Firmware.SignerProof[] memory proofs = sign(_signerSet, digestOf(release), 1);

        try registry.publish(release, _signerSet, proofs) {
            if (!isRight) ++surprises;
            ++published;
            highest = release.version;
            _versions.push(highest);
            _isUsed[release.imageDigest] = true;
            _expected[highest] = Expected({
                status: Firmware.Status.Live,
                channels: channels,
                imageDigest: release.imageDigest,
                releaseHash: registry.hashRelease(release)
            });
            for (uint256 i = 0; i < 8; ++i) {
                if ((release.heads >> i) & 1 != 0) heads[i] = highest;
            }
            if (release.heads != 0) ++nonces[uint8(Firmware.Quorum.Release)];
        } catch {
            if (isRight) ++surprises;
        }
    }

    /// @param which The release, or one that does not exist.
    /// @param kind Status and quorum.
    /// @param channels Mask of the heads that change.
    /// @param to For each channel what its head becomes.
    function setStatus(uint8 which, uint8 kind, uint8 channels, uint256 to, uint8 mischief) external observed {
        Firmware.StatusChange memory change;
        change.productId = productId;
        change.version = _pick(which);
        change.status = Firmware.Status(kind % 4);
        change.quorum = Firmware.Quorum(kind < 16 ? 0 : 1 + ((kind >> 2) % 2));
        change.epoch = 1;
        change.nonce = nonces[uint8(change.quorum)];
        change.deadline = uint40(block.timestamp);
        change.heads = _headsFor(change, channels & uint8(to >> 128), to);
        if (mischief == 0) ++change.nonce;
        if (mischief == 1 && change.heads.length > 0) change.heads[0].channel += 8;
        if (mischief == 2 && change.heads.length > 1) change.heads[1].channel = change.heads[0].channel;
        bool isRight = mischief > 0 && _isRight(change);
        Firmware.SignerProof[] memory proofs = sign(_signerSet, digestOf(change), 1);

        try registry.setStatus(change, _signerSet, proofs) {
            if (!isRight) ++surprises;
            ++changed;
            ++nonces[uint8(change.quorum)];
            if (change.quorum == Firmware.Quorum.Revoke) ++nonces[uint8(Firmware.Quorum.Release)];
            _expected[change.version].status = change.status;
            for (uint256 i = 0; i < change.heads.length; ++i) {
                uint8 channel = change.heads[i].channel;
                if (change.quorum == Firmware.Quorum.Revoke && heads[channel] != change.version) continue;
                heads[channel] = change.heads[i].version;
            }
        } catch {
            if (isRight) ++surprises;
        }
    }

    // ------------------------------------------------------------------ what has to be

    function registryAddress() external view returns (FirmwareRegistry) {
        return registry;
    }

    function versions() external view returns (uint64[] memory) {
        return _versions;
    }

    function expectedOf(uint64 version) external view returns (Expected memory) {
        return _expected[version];
    }

    // ------------------------------------------------------------------ private

    /// @dev A version that was published, mostly.
    function _pick(uint256 seed) private view returns (uint64) {
        seed %= _versions.length + 1;
        return seed == _versions.length ? uint64(highest + 1) : _versions[seed];
    }

    function _headsFor(
        Firmware.StatusChange memory change,
        uint8 channels,
        uint256 to
    ) private view returns (Firmware.ChannelHead[] memory named) {
        uint256 count;
        for (uint256 i = 0; i < 8; ++i) count += (channels >> i) & 1;
        named = new Firmware.ChannelHead[](count);
        uint256 next;
        for (uint8 i = 0; i < 8; ++i) {
            if ((channels >> i) & 1 == 0) continue;
            uint8 choice = uint8(to >> (8 * i));
            uint64 version =
                choice < 100
                    ? 0
                    : choice < 150
                        ? change.version
                        : _pick(choice);
            named[next++] = Firmware.ChannelHead({channel: i, version: version});
        }
    }

    function _isRight(Firmware.StatusChange memory change) private view returns (bool) {
        Firmware.Status from = _expected[change.version].status;
        if (from != Firmware.Status.Live && from != Firmware.Status.Yanked) return false;
        if (change.status == Firmware.Status.None) return false;
        bool byRevoke = change.quorum == Firmware.Quorum.Revoke;
        if (change.quorum == Firmware.Quorum.Root) return false;
        if (byRevoke && change.status != Firmware.Status.Yanked) return false;
        bool changes = change.status != from;
        for (uint256 i = 0; i < change.heads.length; ++i) {
            Firmware.ChannelHead memory head = change.heads[i];
            if (head.channel > 7 || (i > 0 && head.channel <= change.heads[i - 1].channel)) return false;
            if (byRevoke && head.version != 0) return false;
            if (byRevoke && heads[head.channel] != change.version) continue;
            if (head.version != heads[head.channel]) changes = true;
            if (head.version == 0) continue;
            Firmware.Status status = head.version == change.version ? change.status : _expected[head.version].status;
            if (status != Firmware.Status.Live) return false;
            if ((_expected[head.version].channels >> head.channel) & 1 == 0) return false;
        }
        return changes;
    }
}

contract FirmwareRegistryInvariants is SignedFirmware {
    FirmwareHandler private _handler;
    bytes32 private _productId;

    function setUp() public {
        _handler = new FirmwareHandler();
        registry = _handler.registryAddress();
        _productId = _handler.productId();
        targetContract(address(_handler));
    }

    /// @dev The handler reaches both kinds of messages, so the invariants do not hold for nothing.
    function test_HandlerIsTaken() public {
        _handler.publish(1, 0, 3, 1, true);
        _handler.publish(2, 1, 3, 3, true);
        _handler.publish(0, 2, 3, 3, true);
        _handler.setStatus(0, 18, 1, uint256(1) << 128, 7);
        assertEq(_handler.published(), 2);
        assertEq(_handler.changed(), 1);
        assertEq(uint8(registry.releaseOf(_productId, 1).status), uint8(Firmware.Status.Yanked));
        assertEq(registry.headOf(_productId, 0), 0);
        assertEq(registry.headOf(_productId, 1), 3);
    }

    /// @dev No message is taken or refused against the rules, and the highest version and the nonces never fall, no
    ///      version's digest ever changes, and what is Revoked stays so.
    /// hardhat-config: invariant.runs = 24
    /// hardhat-config: invariant.depth = 120
    function invariant_MessagesFollowTheRulesAndNothingGoesBack() public view {
        assertEq(_handler.surprises(), 0);
        assertEq(_handler.regressions(), 0);
    }

    /// @dev The registry holds exactly what the messages that were taken say.
    /// hardhat-config: invariant.runs = 24
    /// hardhat-config: invariant.depth = 60
    function invariant_StateIsWhatTheMessagesSay() public view {
        Firmware.Product memory product = registry.productOf(_productId);
        assertEq(product.highest, _handler.highest());
        assertEq(product.releaseNonce, _handler.nonces(1));
        assertEq(product.revokeNonce, _handler.nonces(2));
        for (uint8 channel = 0; channel < 8; ++channel) {
            assertEq(registry.headOf(_productId, channel), _handler.heads(channel));
        }
        uint64[] memory versions = _handler.versions();
        for (uint256 i = 0; i < versions.length; ++i) {
            FirmwareHandler.Expected memory expected = _handler.expectedOf(versions[i]);
            Firmware.ReleaseRecord memory record = registry.releaseOf(_productId, versions[i]);
            assertEq(record.version, versions[i]);
            assertEq(uint8(record.status), uint8(expected.status));
            assertEq(record.channels, expected.channels);
            assertEq(record.imageDigest, expected.imageDigest);
            assertEq(record.releaseHash, expected.releaseHash);
            (bool ok, , uint64 version) = registry.verify(_productId, record.imageDigest, record.size);
            assertEq(ok, expected.status == Firmware.Status.Live);
            assertEq(version, versions[i]);
        }
    }

    /// @dev A head is none or a release that lists the channel, and only a Live one is the latest.
    /// hardhat-config: invariant.runs = 24
    /// hardhat-config: invariant.depth = 60
    function invariant_HeadsListTheirChannel() public view {
        for (uint8 channel = 0; channel < 8; ++channel) {
            uint64 head = registry.headOf(_productId, channel);
            Firmware.ReleaseRecord memory record = registry.releaseOf(_productId, head);
            Firmware.ReleaseRecord memory latest = registry.latest(_productId, channel);
            assertTrue(head == 0 || (record.channels >> channel) & 1 != 0);
            assertEq(latest.version, record.status == Firmware.Status.Live ? head : 0);
            assertEq(latest.releaseHash, record.status == Firmware.Status.Live ? record.releaseHash : bytes32(0));
        }
    }
}
