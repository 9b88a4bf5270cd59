// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";

import {Batch} from "./base/Batch.sol";
import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry, IERC165} from "./base/Registry.sol";
import {IBatch} from "./interfaces/IBatch.sol";
import {IDataAccess} from "./interfaces/IDataAccess.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {GrantWord, GrantWords} from "./libraries/GrantWord.sol";
import {KeyProof, KeyProofs, Scheme} from "./libraries/KeyProofs.sol";
import {Permissions} from "./libraries/Permissions.sol";
import {PolicyHalfWord, PolicyHalfWords} from "./libraries/PolicyHalfWord.sol";
import {PolicyWord} from "./libraries/PolicyWord.sol";

/// @title DataAccess
/// @notice Who outside the fleet may see or do what with a device, for which purpose and until when.
/// @custom:security-contact See SECURITY.md
contract DataAccess is IDataAccess, FleetAuthority, Batch {
    // ------------------------------------------------------------------ types

    /// @dev A struct, as a reference to it finds the slot once for reading and writing.
    struct GrantSlot {
        GrantWord word;
    }

    // ------------------------------------------------------------------ constants

    bytes32 private constant DATA_GRANT_TYPEHASH = keccak256(
        "DataGrant(address grantor,address device,address subject,uint32 permissions,uint32 purposes,uint40 notBefore,"
        "uint40 expiry,bytes32 termsHash,uint24 epoch,uint32 seq,uint40 deadline)"
    );
    bytes32 private constant REVOCATION_TYPEHASH = keccak256(
        "Revocation(address revoker,address device,address subject,uint24 epoch,uint32 seq,uint40 deadline)"
    );
    bytes32 private constant DEVICE_POLICY_TYPEHASH = keccak256(
        "DevicePolicy(address device,uint32 ceiling,uint32 publicRead,uint32 purposes,uint24 epoch,uint32 seq,"
        "uint40 deadline)"
    );

    uint8 private constant LAST_PURPOSE = 31;

    /// @dev Where a question is about what is on chain alone.
    GrantWord private constant NOTHING_UNSENT = GrantWord.wrap(0);

    // ------------------------------------------------------------------ immutables

    /// @notice Where devices, their owners and epochs are kept.
    IDeviceRegistry public immutable DEVICE_REGISTRY;

    // ------------------------------------------------------------------ storage

    mapping(address device => mapping(address subject => GrantSlot)) private _grants;
    mapping(address device => PolicyWord) private _policies;

    // ------------------------------------------------------------------ constructor

    constructor(
        IRoleRegistry roleRegistry,
        IDeviceRegistry deviceRegistry
    ) Registry("Touchstone DataAccess") FleetAuthority(roleRegistry) {
        KeyProofs.requirePrecompile();
        _requireSameRoles(address(deviceRegistry));
        DEVICE_REGISTRY = deviceRegistry;
    }

    // ------------------------------------------------------------------ grants

    /// @inheritdoc IDataAccess
    function grant(
        address device,
        address subject,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    ) external override {
        GrantWord terms = _requireTerms(permissions, purposes, notBefore, expiry);
        bytes memory refusal = _grant(device, subject, terms, termsHash);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    /// @inheritdoc IDataAccess
    function grantMany(
        Pair[] calldata pairs,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    ) external override returns (bool[] memory done) {
        GrantWord terms = _requireTerms(permissions, purposes, notBefore, expiry);
        done = new bool[](pairs.length);
        for (uint256 i = 0; i < done.length; ++i) {
            (address device, address subject) = (pairs[i].device, pairs[i].subject);
            done[i] = _isDone(device, subject, _grant(device, subject, terms, termsHash));
        }
    }

    /// @inheritdoc IDataAccess
    function grantWithSignature(DataGrant calldata dataGrant, bytes calldata signature) external override {
        (bytes memory refusal, GrantWord word) = _admitSigned(dataGrant, signature);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);

        (address device, address subject) = (dataGrant.device, dataGrant.subject);
        _grants[device][subject].word = word;
        emit AccessGranted(device, subject, dataGrant.grantor, GrantWord.unwrap(word), dataGrant.termsHash);
    }

    /// @inheritdoc IDataAccess
    function revoke(address device, address subject) external override {
        bytes memory refusal = _revokeAsCaller(device, subject);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    /// @inheritdoc IDataAccess
    function revokeMany(Pair[] calldata pairs) external override returns (bool[] memory done) {
        done = new bool[](pairs.length);
        for (uint256 i = 0; i < done.length; ++i) {
            (address device, address subject) = (pairs[i].device, pairs[i].subject);
            done[i] = _isDone(device, subject, _revokeAsCaller(device, subject));
        }
    }

    /// @inheritdoc IDataAccess
    function revokeWithSignature(Revocation calldata revocation, bytes calldata signature) external override {
        (address device, address subject, address revoker) = (
            revocation.device,
            revocation.subject,
            revocation.revoker
        );
        (address owner, , uint24 epoch) = DEVICE_REGISTRY.stateOf(device);
        require(owner != address(0), DeviceNotEnrolled(device));
        require(
            revoker == subject || _hasPermission(owner, revoker, Permissions.SHARE),
            CallerLacksPermission(owner, revoker, Permissions.SHARE)
        );
        _requireInTime(revocation.deadline);
        require(revocation.epoch == epoch, EpochStale(device, epoch, revocation.epoch));
        GrantSlot storage slot = _grants[device][subject];
        uint256 seq = slot.word.seq();
        // One number more than a revoke takes: a signed grant that comes first can use up only one. No more than that, or the
        // numbers could be brought to their end.
        require(revocation.seq > seq && revocation.seq <= seq + 2, SeqStale(device, uint32(seq), revocation.seq));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(REVOCATION_TYPEHASH, revocation)));
        require(KeyProofs.isValidAccountSignature(revoker, digest, signature), SignatureInvalid(revoker, digest));

        _end(device, subject, revoker, slot, revocation.seq);
    }

    /// @inheritdoc IDataAccess
    function renounce(address device) external override {
        GrantSlot storage slot = _grants[device][msg.sender];
        require(slot.word.permissions() != 0, GrantMissing(device, msg.sender));
        _end(device, msg.sender, msg.sender, slot, slot.word.seqEnded());
    }

    /// @inheritdoc IDataAccess
    function requestAccess(
        address device,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    ) external override {
        _requireTerms(permissions, purposes, notBefore, expiry);
        (address owner, IDeviceRegistry.Status status, ) = DEVICE_REGISTRY.stateOf(device);
        require(owner != address(0), DeviceNotEnrolled(device));
        require(status != IDeviceRegistry.Status.Retired, DeviceNotActive(device));

        emit AccessRequested(device, msg.sender, permissions, purposes, notBefore, expiry, termsHash);
    }

    // ------------------------------------------------------------------ policy

    /// @inheritdoc IDataAccess
    function setPolicy(address device, uint32 ceiling, uint32 publicRead, uint32 purposes) external override {
        (address owner, uint24 epoch) = _requireOwnerInService(device);
        PolicyHalfWord half = _toHalf(ceiling, publicRead, purposes);

        _policies[device] = _policies[device].withOwnerHalf(half, epoch);
        emit PolicySet(device, owner, msg.sender, ceiling, publicRead, purposes, epoch);
    }

    /// @inheritdoc IDataAccess
    function setDevicePolicy(DevicePolicy calldata policy, KeyProof calldata byDevice) external override {
        address device = policy.device;
        (address keyId, Scheme scheme, bool isContinuous) = _requireCurrent(policy);
        PolicyWord word = _policies[device];
        uint32 seq = word.deviceSeq();
        require(policy.seq == seq, SeqStale(device, seq, policy.seq));
        PolicyHalfWord half = _toHalf(policy.ceiling, policy.publicRead, policy.purposes);
        // Else an owner could put a key of its own in place and widen what the device itself allowed.
        require(isContinuous || half.isWithin(word.deviceHalf()), PolicyWidened(device, keyId));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(DEVICE_POLICY_TYPEHASH, policy)));
        require(KeyProofs.isValid(keyId, scheme, digest, byDevice), KeyProofInvalid(keyId, digest));

        _policies[device] = word.withDeviceHalf(half, ++seq);
        emit DevicePolicySet(device, msg.sender, policy.ceiling, policy.publicRead, policy.purposes, seq);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IDataAccess
    function isAllowed(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose
    ) external view override returns (bool) {
        return _isYes(_decide(device, account, permissions, purpose, false, NOTHING_UNSENT));
    }

    /// @inheritdoc IDataAccess
    function explain(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose
    ) external view override returns (bool allowed, Reason reason) {
        reason = _decide(device, account, permissions, purpose, true, NOTHING_UNSENT);
        allowed = _isYes(reason);
    }

    /// @inheritdoc IDataAccess
    function verifyGrant(
        DataGrant calldata dataGrant,
        bytes calldata signature,
        uint32 permissions,
        uint8 purpose
    ) external view override returns (bool allowed, Reason reason, bytes memory refusal) {
        GrantWord word;
        (refusal, word) = _admitSigned(dataGrant, signature);
        reason = _decide(dataGrant.device, dataGrant.subject, permissions, purpose, true, word);
        allowed = _isYes(reason);
    }

    /// @inheritdoc IDataAccess
    function grantOf(address device, address subject) external view override returns (Grant memory) {
        GrantWord word = _grants[device][subject].word;
        return
            Grant({
                permissions: word.permissions(),
                purposes: word.purposes(),
                notBefore: word.notBefore(),
                expiry: word.expiry(),
                epoch: word.epoch(),
                seq: word.seq(),
                byOwner: word.byOwner()
            });
    }

    /// @inheritdoc IDataAccess
    function policyOf(address device) external view override returns (Policy memory policy) {
        PolicyWord word = _policies[device];
        uint24 epoch = DEVICE_REGISTRY.epochOf(device);
        if (word.isOwnerSet(epoch)) policy.owner = _fromHalf(word.ownerHalf(epoch));
        if (word.isDeviceSet()) policy.device = _fromHalf(word.deviceHalf());
        policy.deviceSeq = word.deviceSeq();
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return
            interfaceId == type(IDataAccess).interfaceId ||
            interfaceId == type(IBatch).interfaceId ||
            super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private: writing

    /// @dev Returns the error with which the caller's grant is refused, encoded; nothing if it was given.
    function _grant(
        address device,
        address subject,
        GrantWord terms,
        bytes32 termsHash
    ) private returns (bytes memory refusal) {
        GrantSlot storage slot = _grants[device][subject];
        GrantWord word;
        (refusal, word) = _admit(msg.sender, device, subject, terms, slot.word);
        if (refusal.length != 0) return refusal;

        slot.word = word;
        emit AccessGranted(device, subject, msg.sender, GrantWord.unwrap(word), termsHash);
    }

    /// @dev Returns the error with which the caller's revoke is refused, encoded; nothing if the grant was ended. The status
    ///      is not asked for: nothing can block a revoke.
    function _revokeAsCaller(address device, address subject) private returns (bytes memory refusal) {
        address owner = DEVICE_REGISTRY.ownerOf(device);
        if (owner == address(0)) return abi.encodeWithSelector(DeviceNotEnrolled.selector, device);
        if (!_hasPermission(owner, msg.sender, Permissions.SHARE)) return _lacksShare(owner, msg.sender);

        GrantSlot storage slot = _grants[device][subject];
        _end(device, subject, msg.sender, slot, slot.word.seqEnded());
    }

    function _end(address device, address subject, address by, GrantSlot storage slot, uint32 seq) private {
        slot.word = GrantWords.packEnded(seq);
        emit AccessRevoked(device, subject, by, seq);
    }

    /// @dev For one of a batch: says so if it was refused.
    function _isDone(address device, address subject, bytes memory refusal) private returns (bool) {
        if (refusal.length == 0) return true;
        emit PairSkipped(device, subject, refusal);
        return false;
    }

    function _requireTerms(
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry
    ) private view returns (GrantWord terms) {
        terms = GrantWords.packTerms(permissions, purposes, notBefore, expiry);
        bytes memory refusal = _refusalOfTerms(terms);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    function _requireOwnerInService(address device) private view returns (address owner, uint24 epoch) {
        IDeviceRegistry.Status status;
        (owner, status, epoch) = DEVICE_REGISTRY.stateOf(device);
        require(owner != address(0), DeviceNotEnrolled(device));
        _requireGovernor(owner);
        require(status != IDeviceRegistry.Status.Retired, DeviceNotActive(device));
    }

    /// @dev Returns the key that must have signed.
    function _requireCurrent(
        DevicePolicy calldata policy
    ) private view returns (address keyId, Scheme scheme, bool isContinuous) {
        IDeviceRegistry.Device memory state = DEVICE_REGISTRY.deviceOf(policy.device);
        require(state.status == IDeviceRegistry.Status.Active, DeviceNotActive(policy.device));
        _requireInTime(policy.deadline);
        require(policy.epoch == state.epoch, EpochStale(policy.device, state.epoch, policy.epoch));
        return (state.keyId, state.scheme, state.isContinuous);
    }

    function _toHalf(uint32 ceiling, uint32 publicRead, uint32 purposes) private pure returns (PolicyHalfWord) {
        require(ceiling & ~Permissions.GRANTABLE == 0, CeilingInvalid(ceiling));
        require(publicRead & ~Permissions.READ == 0, PublicNotReadable(publicRead));
        return PolicyHalfWords.pack(ceiling, publicRead, purposes);
    }

    // ------------------------------------------------------------------ private: what may be granted

    /// @dev Of these functions each returns the error of what it refuses, encoded, so that a batch can go on and a view can
    ///      tell; empty if there is none.
    function _refusalOfTerms(GrantWord terms) private view returns (bytes memory refusal) {
        uint32 permissions = terms.permissions();
        if (permissions == 0 || permissions & ~Permissions.GRANTABLE != 0) {
            return abi.encodeWithSelector(PermissionsNotGrantable.selector, permissions);
        }
        if (terms.purposes() == 0) return abi.encodeWithSelector(PurposesMissing.selector);
        (uint40 notBefore, uint40 expiry) = (terms.notBefore(), terms.expiry());
        if (notBefore >= expiry || block.timestamp >= expiry) {
            return abi.encodeWithSelector(WindowInvalid.selector, notBefore, expiry);
        }
    }

    /// @dev The grant that a signed message becomes.
    function _admitSigned(
        DataGrant calldata dataGrant,
        bytes calldata signature
    ) private view returns (bytes memory refusal, GrantWord word) {
        (address grantor, address device, address subject) = (dataGrant.grantor, dataGrant.device, dataGrant.subject);
        GrantWord terms = GrantWords.packTerms(
            dataGrant.permissions,
            dataGrant.purposes,
            dataGrant.notBefore,
            dataGrant.expiry
        );
        refusal = _refusalOfTerms(terms);
        if (refusal.length != 0) return (refusal, word);
        GrantWord former = _grants[device][subject].word;
        (refusal, word) = _admit(grantor, device, subject, terms, former);
        if (refusal.length != 0) return (refusal, word);
        refusal = _refusalOfMessage(dataGrant, signature, word.epoch(), former.seq());
        if (refusal.length != 0) word = NOTHING_UNSENT;
    }

    function _refusalOfMessage(
        DataGrant calldata dataGrant,
        bytes calldata signature,
        uint24 epoch,
        uint32 seq
    ) private view returns (bytes memory refusal) {
        (address grantor, address device) = (dataGrant.grantor, dataGrant.device);
        if (block.timestamp > dataGrant.deadline) {
            return abi.encodeWithSelector(DeadlinePassed.selector, dataGrant.deadline);
        }
        if (dataGrant.epoch != epoch) {
            return abi.encodeWithSelector(EpochStale.selector, device, epoch, dataGrant.epoch);
        }
        if (dataGrant.seq != seq) return abi.encodeWithSelector(SeqStale.selector, device, seq, dataGrant.seq);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(DATA_GRANT_TYPEHASH, dataGrant)));
        if (!KeyProofs.isValidAccountSignature(grantor, digest, signature)) {
            return abi.encodeWithSelector(SignatureInvalid.selector, grantor, digest);
        }
    }

    /// @dev The grant that the terms become if this grantor gives them in place of the former.
    function _admit(
        address grantor,
        address device,
        address subject,
        GrantWord terms,
        GrantWord former
    ) private view returns (bytes memory refusal, GrantWord word) {
        (address owner, IDeviceRegistry.Status status, uint24 epoch) = DEVICE_REGISTRY.stateOf(device);
        // Nobody's: never enrolled, or deactivated as an identity before it could be.
        if (owner == address(0)) return (abi.encodeWithSelector(DeviceNotEnrolled.selector, device), word);
        bool byOwner = grantor == owner;
        if (!byOwner) {
            uint32 permissions;
            uint40 expiry;
            (byOwner, permissions, expiry) = ROLE_REGISTRY.authorityOf(owner, grantor);
            if (!byOwner) {
                if (permissions & Permissions.SHARE == 0) return (_lacksShare(owner, grantor), word);
                refusal = _refusalOfShare(device, subject, terms, former, epoch, permissions, expiry);
                if (refusal.length != 0) return (refusal, word);
            }
        }
        if (status == IDeviceRegistry.Status.Retired) {
            return (abi.encodeWithSelector(DeviceNotActive.selector, device), word);
        }
        if (!KeyProofs.isUsable(subject)) return (abi.encodeWithSelector(IdReserved.selector, subject), word);
        if (!former.hasNext()) return (abi.encodeWithSelector(SeqExhausted.selector, device, subject), word);
        // Safe: it has a next one.
        unchecked {
            word = terms.given(epoch, former.seq() + 1, byOwner);
        }
    }

    /// @dev What a member with Share may give: nothing that it has not itself, and nothing in place of the owner's.
    function _refusalOfShare(
        address device,
        address subject,
        GrantWord terms,
        GrantWord former,
        uint24 epoch,
        uint32 permissions,
        uint40 expiry
    ) private view returns (bytes memory refusal) {
        if (terms.permissions() & ~permissions != 0) {
            return abi.encodeWithSelector(PermissionsBeyondCaller.selector, terms.permissions(), permissions);
        }
        if (terms.expiry() > expiry) {
            return abi.encodeWithSelector(ExpiryBeyondCaller.selector, terms.expiry(), expiry);
        }
        if (former.byOwner() && former.isStanding(epoch)) {
            return abi.encodeWithSelector(OwnerGrantStands.selector, device, subject);
        }
    }

    function _lacksShare(address owner, address account) private pure returns (bytes memory) {
        return abi.encodeWithSelector(CallerLacksPermission.selector, owner, account, Permissions.SHARE);
    }

    // ------------------------------------------------------------------ private: reading

    /// @dev The one decision. Grant and public come from slots that are read anyway, RoleRegistry is asked only where they
    ///      do not suffice: a yes stays a yes in any order. With `ownerFirst` the reason for it is the first in the
    ///      documented order (owner, grant, public, role), for one more call; without, only whether it is a yes counts. A
    ///      grant `unsent` takes the place of that on chain.
    function _decide(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose,
        bool ownerFirst,
        GrantWord unsent
    ) private view returns (Reason reason) {
        if (permissions == 0 || permissions > Permissions.ALL || purpose > LAST_PURPOSE) return Reason.QuestionInvalid;
        (address owner, IDeviceRegistry.Status status, uint24 epoch) = DEVICE_REGISTRY.stateOf(device);
        // Nobody's: never enrolled, or deactivated as an identity before it could be.
        if (owner == address(0)) return Reason.DeviceUnknown;
        if (status == IDeviceRegistry.Status.Retired && permissions & ~Permissions.READ != 0)
            return Reason.DeviceRetired;
        if (account == owner || (ownerFirst && _isGovernor(owner, account))) return Reason.Owner;

        if (status == IDeviceRegistry.Status.Active) {
            GrantWord word = GrantWord.unwrap(unsent) == 0 ? _grants[device][account].word : unsent;
            reason = _decideForOutsider(_policies[device], word, epoch, permissions, purpose);
            if (_isYes(reason)) return reason;
        } else {
            reason = status == IDeviceRegistry.Status.Suspended ? Reason.DeviceSuspended : Reason.DeviceRetired;
        }

        if (
            status == IDeviceRegistry.Status.Suspended &&
            permissions & (Permissions.COMMAND | Permissions.CONFIGURE) != 0
        ) {
            return _isGovernor(owner, account) ? Reason.Owner : reason;
        }
        return _hasPermission(owner, account, permissions) ? Reason.Role : reason;
    }

    function _decideForOutsider(
        PolicyWord policy,
        GrantWord word,
        uint24 epoch,
        uint32 permissions,
        uint8 purpose
    ) private view returns (Reason reason) {
        PolicyHalfWord ownerHalf = policy.ownerHalf(epoch);
        PolicyHalfWord both = ownerHalf.and(policy.deviceHalf());
        reason = _decideByGrant(word, epoch, permissions, purpose);
        if (reason == Reason.Grant) {
            if (both.allows(permissions, purpose)) return reason;
            reason = ownerHalf.allows(permissions, purpose) ? Reason.DevicePolicy : Reason.OwnerPolicy;
        }
        if (both.isPublic(permissions, purpose)) return Reason.Public;
    }

    function _decideByGrant(
        GrantWord word,
        uint24 epoch,
        uint32 permissions,
        uint8 purpose
    ) private view returns (Reason) {
        if (GrantWord.unwrap(word) == 0) return Reason.NoGrant;
        if (word.permissions() == 0) return Reason.Revoked;
        if (word.epoch() != epoch) return Reason.EpochEnded;
        if (block.timestamp < word.notBefore()) return Reason.NotYetValid;
        if (block.timestamp >= word.expiry()) return Reason.Expired;
        if (permissions & ~word.permissions() != 0) return Reason.PermissionNotGranted;
        if ((word.purposes() >> purpose) & 1 == 0) return Reason.PurposeNotGranted;
        return Reason.Grant;
    }

    /// @dev The reasons for a yes are the first of the enum.
    function _isYes(Reason reason) private pure returns (bool) {
        return reason <= Reason.Role;
    }

    function _fromHalf(PolicyHalfWord half) private pure returns (PolicyHalf memory) {
        return
            PolicyHalf({
                isSet: true,
                ceiling: half.ceiling(),
                publicRead: half.publicRead(),
                purposes: half.purposes()
            });
    }
}
