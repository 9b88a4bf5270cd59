// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {KeyProof} from "../libraries/KeyProofs.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title IDataAccess
/// @notice Who outside the fleet may see or do what with a device, for which purpose and until when.
/// @dev Permissions are the bits of the library Permissions. Purposes are ids 0–31; sets of purposes are masks. Deny by
///      default. "By the owner" means by the owner's governor, see IRoleRegistry.
/// @custom:security-contact See SECURITY.md
interface IDataAccess is IRegistry {
    // ------------------------------------------------------------------ structs

    /// @notice Why a question was answered as it was: allowed for the first four, else denied.
    /// @dev Of several reasons for a yes, and of several for a no, the first in this order is given. From NoGrant on, a no
    ///      speaks of the account's grant: what everyone has and what roles permit did not suffice either.
    enum Reason {
        /// @custom:value0 Allowed: the account governs the device's owner. A retired device it can only read.
        Owner,
        /// @custom:value1 Allowed by a grant.
        Grant,
        /// @custom:value2 Allowed to everyone.
        Public,
        /// @custom:value3 Allowed by a role in the owner's fleet. No role commands or configures a suspended device, and a
        ///                retired one it can only read.
        Role,
        /// @custom:value4 Nothing was asked for, or bits or a purpose that do not exist.
        QuestionInvalid,
        /// @custom:value5 The device was never enrolled.
        DeviceUnknown,
        /// @custom:value6 The device is suspended: closed to all but its owner and members.
        DeviceSuspended,
        /// @custom:value7 The device is retired: its last owner and the owner's members may read, nobody else anything.
        DeviceRetired,
        /// @custom:value8 Nothing was ever granted to the account, nor revoked.
        NoGrant,
        /// @custom:value9 What was granted, or could have been by a signature, was revoked or renounced.
        Revoked,
        /// @custom:value10 The grant is of an earlier owner or was ended with all others (epoch).
        EpochEnded,
        /// @custom:value11 The grant does not hold yet.
        NotYetValid,
        /// @custom:value12 The grant holds no longer.
        Expired,
        /// @custom:value13 The grant does not cover these permissions.
        PermissionNotGranted,
        /// @custom:value14 The grant does not cover this purpose.
        PurposeNotGranted,
        /// @custom:value15 The owner's policy does not allow it.
        OwnerPolicy,
        /// @custom:value16 The device's own policy does not allow it.
        DevicePolicy
    }

    /// @notice What was granted last to one subject on one device; all zero but `seq` after a revoke.
    /// @param permissions What it may do.
    /// @param purposes What for, as a mask.
    /// @param notBefore Unix seconds of the first moment it holds.
    /// @param expiry Unix seconds of the first moment it no longer holds.
    /// @param epoch The device's epoch it was given in; it holds in no other.
    /// @param seq Rises by one on every grant, change and revoke, by up to two on a signed revoke, and is never reset; the
    ///        last number stays.
    /// @param byOwner Whether the owner gave it, and not a member with Share.
    struct Grant {
        uint32 permissions;
        uint32 purposes;
        uint40 notBefore;
        uint40 expiry;
        uint24 epoch;
        uint32 seq;
        bool byOwner;
    }

    /// @notice A device and who is granted something on it, or no longer.
    struct Pair {
        address device;
        address subject;
    }

    /// @notice EIP-712 message by which an account gives a grant without sending it.
    /// @param grantor Who signs: the owner's governor, or a member with Share.
    /// @param epoch The device's present epoch.
    /// @param seq The present `seq` of the device and the subject. Of several messages that carry it anyone may send any one:
    ///        revoke before signing a narrower one.
    /// @param deadline Unix seconds until which the message is valid.
    struct DataGrant {
        address grantor;
        address device;
        address subject;
        uint32 permissions;
        uint32 purposes;
        uint40 notBefore;
        uint40 expiry;
        bytes32 termsHash;
        uint24 epoch;
        uint32 seq;
        uint40 deadline;
    }

    /// @notice EIP-712 message by which an account ends a grant without sending it.
    /// @param revoker Who signs: the owner's governor, a member with Share, or the subject itself.
    /// @param epoch The device's present epoch.
    /// @param seq What `seq` is afterwards: the present one plus 1 or, so that one signed grant that is sent first cannot
    ///        escape, plus 2. Two changes void it; a single grant given since does not, and is ended too.
    /// @param deadline Unix seconds until which the message is valid.
    struct Revocation {
        address revoker;
        address device;
        address subject;
        uint24 epoch;
        uint32 seq;
        uint40 deadline;
    }

    /// @notice One half of a device's policy: the most that can be shared with outsiders. Both halves must allow.
    /// @dev Members of the owner's fleet are no outsiders: a role shows them what it permits.
    /// @param isSet Whether it was ever set; an unset half limits nothing and makes nothing public.
    /// @param ceiling The permissions that grants may convey at all.
    /// @param publicRead The Read permissions that everyone may have. The owner's half gives them, within its own ceiling; the
    ///        device's half only limits what the owner gives.
    /// @param purposes The purposes that grants and public reads may serve, as a mask.
    struct PolicyHalf {
        bool isSet;
        uint32 ceiling;
        uint32 publicRead;
        uint32 purposes;
    }

    /// @notice A device's policy.
    /// @param owner The half the owner set, unset again when the epoch ends.
    /// @param device The half the device set; it survives every owner.
    /// @param deviceSeq How often the device set its half.
    struct Policy {
        PolicyHalf owner;
        PolicyHalf device;
        uint32 deviceSeq;
    }

    /// @notice EIP-712 message by which a device says how much of it grants can share at most, whoever owns it.
    /// @param epoch The device's present epoch.
    /// @param seq The present `deviceSeq`.
    /// @param deadline Unix seconds until which the message is valid.
    struct DevicePolicy {
        address device;
        uint32 ceiling;
        uint32 publicRead;
        uint32 purposes;
        uint24 epoch;
        uint32 seq;
        uint40 deadline;
    }

    // ------------------------------------------------------------------ errors

    /// @notice The device was never enrolled.
    error DeviceNotEnrolled(address device);

    /// @notice The device is retired or, for what its key must prove, not in service.
    error DeviceNotActive(address device);

    /// @notice A grant needs permissions, and only such as can be granted.
    error PermissionsNotGrantable(uint32 permissions);

    /// @notice A grant needs at least one purpose.
    error PurposesMissing();

    /// @notice The window is empty or already over: notBefore < expiry and expiry > now are needed.
    error WindowInvalid(uint40 notBefore, uint40 expiry);

    /// @notice A member shares no more than it may do itself.
    error PermissionsBeyondCaller(uint32 permissions, uint32 callerPermissions);

    /// @notice A member shares for no longer than it holds its own roles.
    error ExpiryBeyondCaller(uint40 expiry, uint40 callerExpiry);

    /// @notice The owner's own grant to the subject is not over: members leave it alone, or revoke it.
    error OwnerGrantStands(address device, address subject);

    /// @notice Only Read permissions can be public.
    error PublicNotReadable(uint32 publicRead);

    /// @notice The mask has bits that are no grantable permissions.
    error CeilingInvalid(uint32 ceiling);

    /// @notice There is no grant to end.
    error GrantMissing(address device, address subject);

    /// @notice The key took its place without the consent of each key before: it may only narrow what the device allows.
    error PolicyWidened(address device, address keyId);

    /// @notice The message was made in another epoch of the device.
    error EpochStale(address device, uint24 current, uint24 given);

    /// @notice The message does not carry the present sequence number (a Revocation: one of the two after it): it was used,
    ///         or overtaken by another.
    error SeqStale(address device, uint32 current, uint32 given);

    /// @notice The sequence numbers of the device and the subject are used up: no grant can follow, a revoke still can.
    error SeqExhausted(address device, address subject);

    // ------------------------------------------------------------------ events

    /// @notice The subject holds exactly this grant on the device.
    /// @param word The grant as it is stored, a word of log data where its fields would be six. From the lowest bit:
    ///        permissions32 | purposes32 | notBefore40 | expiry40 | epoch24 | seq32 | byOwner1.
    /// @param termsHash Hash of the agreement it was given under; 0 for none.
    event AccessGranted(
        address indexed device,
        address indexed subject,
        address indexed by,
        uint256 word,
        bytes32 termsHash
    );

    /// @notice The subject holds no grant on the device any more; `by` is who revoked or signed it: the subject itself
    ///         when it renounced. `seq` is the number afterwards; a signed one may pass over one.
    event AccessRevoked(address indexed device, address indexed subject, address indexed by, uint32 seq);

    /// @notice What was to be done with the subject's grant, in `grantMany` or `revokeMany`, was refused with this error, and
    ///         changed nothing; the others went on.
    event PairSkipped(address indexed device, address indexed subject, bytes reason);

    /// @notice The subject asks for this grant. Nothing is kept of it; the answer is a grant, or none.
    /// @param termsHash Hash of the agreement that the subject offers; 0 for none.
    event AccessRequested(
        address indexed device,
        address indexed subject,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    );

    /// @notice The owner's half of the device's policy became exactly this.
    event PolicySet(
        address indexed device,
        address indexed owner,
        address indexed by,
        uint32 ceiling,
        uint32 publicRead,
        uint32 purposes,
        uint24 epoch
    );

    /// @notice The device's own half of its policy became exactly this.
    event DevicePolicySet(
        address indexed device,
        address indexed by,
        uint32 ceiling,
        uint32 publicRead,
        uint32 purposes,
        uint32 seq
    );

    // ------------------------------------------------------------------ grants

    /// @notice Makes the subject's grant on the device exactly this.
    /// @dev By the owner, or by a member with Share: the member gives no more than it may do itself, for no longer than it
    ///      holds its roles, and not where the owner's own grant stands. What it gave, also to itself, outlives its roles:
    ///      take the roles first, then revoke it. A grant may be wider than the policy, which binds every question anew, so
    ///      that what exceeds it holds once the policy allows it; on a suspended device it holds once the device is
    ///      resumed. Reverts: PermissionsNotGrantable, PurposesMissing, WindowInvalid, DeviceNotEnrolled,
    ///      CallerLacksPermission, PermissionsBeyondCaller, ExpiryBeyondCaller, OwnerGrantStands, DeviceNotActive (retired),
    ///      IdReserved, SeqExhausted.
    /// @param permissions What it may do: Read*, Command, Configure, Audit.
    /// @param purposes What for, as a mask.
    /// @param notBefore Unix seconds, the first moment it holds; 0 for at once.
    /// @param expiry Unix seconds, the first moment it no longer holds; type(uint40).max for as long as the epoch.
    /// @param termsHash Hash of the agreement it is given under; 0 for none.
    function grant(
        address device,
        address subject,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    ) external;

    /// @notice The same for many devices and subjects on the same terms; what one refuses does not stop the others.
    /// @dev Emits PairSkipped for a pair that `grant` would refuse. Reverts: PermissionsNotGrantable, PurposesMissing,
    ///      WindowInvalid.
    /// @return done For each pair whether the grant was given.
    function grantMany(
        Pair[] calldata pairs,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    ) external returns (bool[] memory done);

    /// @notice The same by the grantor's signature. Anyone may send.
    /// @dev What the grantor may give is asked when it is sent. Reverts: as `grant`, of the grantor; and DeadlinePassed,
    ///      EpochStale, SeqStale, SignatureInvalid. A grantor that is a contract answers through ERC-1271.
    function grantWithSignature(DataGrant calldata dataGrant, bytes calldata signature) external;

    /// @notice Ends the subject's grant, and voids every signature for it that carries the present `seq` or an earlier one.
    /// @dev A signature made for a later number, or by a member that keeps Share, can still follow: take the role first, or
    ///      end all with DeviceRegistry.revokeAll. By the owner, also of a suspended or retired device, or by a member with
    ///      Share, whoever gave the grant. Works without a grant, to void signatures. Reverts: DeviceNotEnrolled,
    ///      CallerLacksPermission.
    function revoke(address device, address subject) external;

    /// @notice The same for many devices and subjects; what one refuses does not stop the others.
    /// @dev Emits PairSkipped for a pair that `revoke` would refuse.
    /// @return done For each pair whether the grant was ended.
    function revokeMany(Pair[] calldata pairs) external returns (bool[] memory done);

    /// @notice The same by the revoker's signature, who may also be the subject. Anyone may send.
    /// @dev One signed grant that is sent at the last moment does not stop it, two do, see Revocation; nothing stops
    ///      `revoke`. Reverts: DeviceNotEnrolled,
    ///      CallerLacksPermission, DeadlinePassed, EpochStale, SeqStale, SignatureInvalid. A revoker that is a contract
    ///      answers through ERC-1271.
    function revokeWithSignature(Revocation calldata revocation, bytes calldata signature) external;

    /// @notice Gives up the caller's own grant on the device. Nothing can prevent it.
    /// @dev Reverts: GrantMissing.
    function renounce(address device) external;

    /// @notice Asks the owner for a grant, in public. Anyone may ask; the caller is the subject.
    /// @dev Reverts: PermissionsNotGrantable, PurposesMissing, WindowInvalid, DeviceNotEnrolled, DeviceNotActive (retired).
    /// @param termsHash Hash of the agreement that the caller offers; 0 for none.
    function requestAccess(
        address device,
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        bytes32 termsHash
    ) external;

    // ------------------------------------------------------------------ policy

    /// @notice Makes the owner's half of the device's policy exactly this.
    /// @dev By the owner. Reverts: DeviceNotEnrolled, CallerNotGovernor, DeviceNotActive (retired), CeilingInvalid,
    ///      PublicNotReadable.
    function setPolicy(address device, uint32 ceiling, uint32 publicRead, uint32 purposes) external;

    /// @notice Makes the device's own half of its policy exactly what the device signed. Anyone may send. A key that took the
    ///         factory key's place without the consent of each key before may only narrow it.
    /// @dev Reverts: DeviceNotActive, DeadlinePassed, EpochStale, SeqStale, CeilingInvalid, PublicNotReadable,
    ///      PolicyWidened, KeyProofInvalid. A device that is a contract answers through ERC-1271.
    function setDevicePolicy(DevicePolicy calldata policy, KeyProof calldata byDevice) external;

    // ------------------------------------------------------------------ views

    /// @notice Whether the account may do all of `permissions` with the device for the purpose, from one source.
    /// @dev Deny by default; never reverts. A fleet handle counts as governing itself, as in FleetAuthority: it has no key, so
    ///      nobody can ask in its name.
    /// @param purpose An id 0–31: what a grant or the public must serve; the owner and members need none, any id will do.
    function isAllowed(address device, address account, uint32 permissions, uint8 purpose) external view returns (bool);

    /// @notice The same, and why.
    function explain(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose
    ) external view returns (bool allowed, Reason reason);

    /// @notice What `explain` would answer to the subject of a signed grant if it was sent now: for gateways that are shown one
    ///         that is not on chain.
    /// @dev A grant that cannot be sent, or not any more, changes nothing: the answer is that of `explain`, so what was sent
    ///      in the meantime goes on to hold, and a revoke ends it here too. Never reverts, but for want of gas, which a
    ///      grantor that is a contract (ERC-1271) can cause.
    /// @return allowed Whether the subject may do all of `permissions` for the purpose.
    /// @return reason Why, or why not.
    /// @return refusal Empty if the grant could be sent now, else the error with which grantWithSignature refuses it.
    function verifyGrant(
        DataGrant calldata dataGrant,
        bytes calldata signature,
        uint32 permissions,
        uint8 purpose
    ) external view returns (bool allowed, Reason reason, bytes memory refusal);

    /// @notice What was granted last to the subject on the device.
    function grantOf(address device, address subject) external view returns (Grant memory);

    /// @notice The device's policy as it holds now.
    function policyOf(address device) external view returns (Policy memory);
}
