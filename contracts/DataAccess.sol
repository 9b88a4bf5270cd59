// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FleetAuthority} from "./base/FleetAuthority.sol";
import {Registry, IERC165} from "./base/Registry.sol";
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
contract DataAccess is IDataAccess, FleetAuthority {
    // ------------------------------------------------------------------ types

    /// @dev A struct, as a reference to it finds the slot once for reading and writing.
    struct GrantSlot {
        GrantWord word;
    }

    // ------------------------------------------------------------------ constants

    bytes32 private constant DEVICE_POLICY_TYPEHASH = keccak256(
        "DevicePolicy(address device,uint32 ceiling,uint32 publicRead,uint32 purposes,uint24 epoch,uint32 seq,"
        "uint40 deadline)"
    );

    uint8 private constant LAST_PURPOSE = 31;

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
        (, uint24 epoch) = _requireOwnerInService(device);
        _requireUsable(subject);
        require(permissions != 0 && permissions & ~Permissions.GRANTABLE == 0, PermissionsNotGrantable(permissions));
        require(purposes != 0, PurposesMissing());
        require(notBefore < expiry && block.timestamp < expiry, WindowInvalid(notBefore, expiry));

        GrantSlot storage slot = _grants[device][subject];
        uint32 seq = slot.word.seq() + 1;
        GrantWord word = GrantWords.pack(permissions, purposes, notBefore, expiry, epoch, seq);
        slot.word = word;
        emit AccessGranted(device, subject, msg.sender, GrantWord.unwrap(word), termsHash);
    }

    /// @inheritdoc IDataAccess
    function revoke(address device, address subject) external override {
        // The status is not asked for: nothing can block a revoke.
        address owner = DEVICE_REGISTRY.ownerOf(device);
        require(owner != address(0), DeviceNotEnrolled(device));
        _requireGovernor(owner);
        _revoke(device, subject, _grants[device][subject]);
    }

    /// @inheritdoc IDataAccess
    function renounce(address device) external override {
        GrantSlot storage slot = _grants[device][msg.sender];
        require(slot.word.permissions() != 0, GrantMissing(device, msg.sender));
        _revoke(device, msg.sender, slot);
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
        return _isYes(_decide(device, account, permissions, purpose, false));
    }

    /// @inheritdoc IDataAccess
    function explain(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose
    ) external view override returns (bool allowed, Reason reason) {
        reason = _decide(device, account, permissions, purpose, true);
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
        return interfaceId == type(IDataAccess).interfaceId || super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private: writing

    function _revoke(address device, address subject, GrantSlot storage slot) private {
        uint32 seq = slot.word.seq() + 1;
        slot.word = GrantWords.packEnded(seq);
        emit AccessRevoked(device, subject, msg.sender, seq);
    }

    function _requireOwnerInService(address device) private view returns (address owner, uint24 epoch) {
        IDeviceRegistry.Status status;
        (owner, status, epoch) = DEVICE_REGISTRY.stateOf(device);
        require(status != IDeviceRegistry.Status.None, DeviceNotEnrolled(device));
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

    // ------------------------------------------------------------------ private: reading

    /// @dev The one decision. Grant and public come from slots that are read anyway, RoleRegistry is asked only where they
    ///      do not suffice: a yes stays a yes in any order. With `ownerFirst` the reason for it is the first in the
    ///      documented order (owner, grant, public, role), for one more call; without, only whether it is a yes counts.
    function _decide(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose,
        bool ownerFirst
    ) private view returns (Reason reason) {
        if (permissions == 0 || permissions > Permissions.ALL || purpose > LAST_PURPOSE) return Reason.QuestionInvalid;
        (address owner, IDeviceRegistry.Status status, uint24 epoch) = DEVICE_REGISTRY.stateOf(device);
        // Nobody's: never enrolled, or deactivated as an identity before it could be.
        if (owner == address(0)) return Reason.DeviceUnknown;
        if (status == IDeviceRegistry.Status.Retired && permissions & ~Permissions.READ != 0)
            return Reason.DeviceRetired;
        if (account == owner || (ownerFirst && _isGovernor(owner, account))) return Reason.Owner;

        if (status == IDeviceRegistry.Status.Active) {
            reason = _decideForOutsider(device, account, epoch, permissions, purpose);
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
        address device,
        address account,
        uint24 epoch,
        uint32 permissions,
        uint8 purpose
    ) private view returns (Reason reason) {
        PolicyWord policy = _policies[device];
        PolicyHalfWord ownerHalf = policy.ownerHalf(epoch);
        PolicyHalfWord both = ownerHalf.and(policy.deviceHalf());
        reason = _decideByGrant(_grants[device][account].word, epoch, permissions, purpose);
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
