// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IRegistry} from "./IRegistry.sol";

/// @title IRoleRegistry
/// @notice Who works for a fleet: governors, members and their roles.
/// @dev A fleet is an owner: an account, which governs itself, or a fleet handle, an id with no key whose governor is kept
///      here. Roles 0–7 are built in: Admin, Operator, Security, Gateway, Auditor, Analyst, Installer, Maker. Roles 8–15
///      are the fleet's own. Sets of roles are masks: bit n stands for role n.
/// @custom:security-contact See SECURITY.md
interface IRoleRegistry is IRegistry {
    // ------------------------------------------------------------------ structs

    /// @notice The roles of one account in one fleet, as last set.
    /// @param roles Mask of roles 0–15; 0 for an account that is no member.
    /// @param notBefore Unix seconds of the first moment the roles hold.
    /// @param expiry Unix seconds of the first moment they no longer hold; the maximum means for ever.
    /// @param epoch The fleet's role epoch they were given in; they hold in no other.
    struct Membership {
        uint32 roles;
        uint40 notBefore;
        uint40 expiry;
        uint32 epoch;
    }

    // ------------------------------------------------------------------ errors

    /// @notice The mask has bits that stand for no role.
    error RolesUnknown(uint32 roles);

    /// @notice The window is empty or already over: notBefore < expiry and expiry > now are needed.
    error WindowInvalid(uint40 notBefore, uint40 expiry);

    /// @notice Only the governor gives or takes the Admin role.
    error AdminReserved(address fleet, address account);

    /// @notice An Admin cannot give roles for longer than it holds its own.
    error ExpiryBeyondCaller(uint40 expiry, uint40 callerExpiry);

    /// @notice The two roles are declared exclusive: nobody may be given both.
    error RolesExclusive(address fleet, uint8 roleA, uint8 roleB);

    /// @notice The account has no roles in this epoch of the fleet.
    error RolesNotHeld(address fleet, address account);

    /// @notice Only roles 8–15 can be defined.
    error RoleNotDefinable(uint8 role);

    /// @notice The mask has bits that no role of the fleet's own may hold (unknown ones, or ManageRoles).
    error PermissionsNotAllowed(uint32 permissions);

    /// @notice A role is exclusive with another one, from 0 to 15.
    error ExclusionInvalid(uint8 roleA, uint8 roleB);

    /// @notice The two roles are already declared exclusive.
    error ExclusionExists(address fleet, uint8 roleA, uint8 roleB);

    /// @notice The handle of this creator and salt already exists.
    error FleetExists(address fleet);

    /// @notice The id is not a fleet handle: an account governs itself and cannot be handed over.
    error FleetNotHandle(address fleet);

    /// @notice The caller is not the account that the fleet was offered to.
    error CallerNotPendingGovernor(address fleet, address caller);

    // ------------------------------------------------------------------ events

    /// @notice The roles of an account became exactly `roles`; 0, with a window of zeros, means it is a member no more.
    event RolesSet(
        address indexed fleet,
        address indexed account,
        address indexed by,
        uint32 roles,
        uint40 notBefore,
        uint40 expiry,
        uint32 epoch
    );

    /// @notice The permissions of one of the fleet's own roles became exactly `permissions`, for all who hold it.
    event RoleDefined(address indexed fleet, uint8 indexed role, address indexed by, uint32 permissions);

    /// @notice Nobody can be given both roles any more.
    event RolesDeclaredExclusive(address indexed fleet, uint8 roleA, uint8 roleB, address indexed by);

    /// @notice All roles given before ended at once.
    event AllRolesRevoked(address indexed fleet, address indexed by, uint32 epoch);

    /// @notice A fleet handle came into being.
    event FleetCreated(address indexed fleet, address indexed governor, bytes32 salt);

    /// @notice The fleet was offered to an account; zero withdraws the offer.
    event GovernorProposed(address indexed fleet, address indexed governor, address indexed newGovernor);

    /// @notice The fleet was handed over; `epoch` is its role epoch from now on.
    event GovernorChanged(
        address indexed fleet,
        address indexed from,
        address indexed to,
        uint32 handovers,
        uint32 epoch
    );

    // ------------------------------------------------------------------ roles

    /// @notice Makes the roles of an account exactly these; 0 removes it from the fleet, whatever the window.
    /// @dev By the governor or an Admin. An Admin cannot touch an account that holds Admin in this epoch, even outside
    ///      its window and even itself, cannot give Admin, and cannot give anything for longer than it holds its own role.
    ///      Reverts: CallerLacksPermission, IdReserved, RolesUnknown, AdminReserved, RolesNotHeld (removing an account that
    ///      is no member), WindowInvalid, ExpiryBeyondCaller, RolesExclusive.
    /// @param notBefore Unix seconds, the first moment the roles hold.
    /// @param expiry Unix seconds, the first moment they no longer hold; type(uint40).max means for ever.
    function setRoles(address fleet, address account, uint32 roles, uint40 notBefore, uint40 expiry) external;

    /// @notice Gives up all roles of the caller in the fleet, whether they hold now or not. Nothing can forbid it.
    /// @dev Reverts: RolesNotHeld.
    function renounceRoles(address fleet) external;

    /// @notice Says what one of the fleet's own roles permits, for all who hold it now or later.
    /// @dev By the governor alone: an Admin could otherwise widen a role that somebody holds for longer than itself, or join
    ///      what declareExclusive separates. Reverts: CallerNotGovernor, RoleNotDefinable, PermissionsNotAllowed.
    function defineRole(address fleet, uint8 role, uint32 permissions) external;

    /// @notice Separates two duties for ever: from now on nobody is given both roles.
    /// @dev By the governor, who also sees to it that no own role permits what is separated. Who holds both already keeps
    ///      them until they are set again: members cannot be listed on chain. Grants are no roles: DataAccess does not
    ///      ask for exclusions. Reverts: CallerNotGovernor, ExclusionInvalid, ExclusionExists.
    function declareExclusive(address fleet, uint8 roleA, uint8 roleB) external;

    /// @notice Ends all roles of the fleet at once. Its own roles and exclusions stay defined; grants that members gave, also to
    ///         themselves, survive.
    /// @dev By the governor. Reverts: CallerNotGovernor.
    function revokeAllRoles(address fleet) external;

    // ------------------------------------------------------------------ fleet handles

    /// @notice Creates the fleet handle of the caller and the salt, governed by the caller.
    /// @dev Reverts: FleetExists.
    function createFleet(bytes32 salt) external returns (address fleet);

    /// @notice Offers the fleet to an account, which must accept; zero withdraws the offer.
    /// @dev By the governor. Replaces an offer made before. Reverts: FleetNotHandle, CallerNotGovernor, IdReserved.
    function proposeGovernor(address fleet, address newGovernor) external;

    /// @notice Takes over a fleet that was offered to the caller.
    /// @dev Voids pending transfers of the fleet's devices. Grants on its devices survive; end them with
    ///      DeviceRegistry.revokeAll. The fleet's own roles, its exclusions and the signers of its firmware products
    ///      survive too: look at them first. Reverts: CallerNotPendingGovernor.
    /// @param keepRoles Whether the members keep their roles. Until this call is mined the old governor can give more: take
    ///        over a team only from someone you trust.
    function acceptGovernor(address fleet, bool keepRoles) external;

    // ------------------------------------------------------------------ views

    /// @notice Who governs the fleet: for an account the account itself, for a handle that does not exist the id itself.
    function governorOf(address fleet) external view returns (address);

    /// @notice Who the fleet is offered to, or zero.
    function pendingGovernorOf(address fleet) external view returns (address);

    /// @notice How often the fleet was handed over.
    function handoversOf(address fleet) external view returns (uint32);

    /// @notice The fleet's role epoch.
    function roleEpochOf(address fleet) external view returns (uint32);

    /// @notice The id of the fleet handle that `creator` makes, or made, with `salt`.
    function fleetIdOf(address creator, bytes32 salt) external pure returns (address);

    /// @notice The roles that the account was given, whether they hold now or not.
    function membershipOf(address fleet, address account) external view returns (Membership memory);

    /// @notice The roles that the account holds now, as a mask.
    function rolesOf(address fleet, address account) external view returns (uint32);

    /// @notice Whether the account holds the role now.
    function hasRole(address fleet, uint8 role, address account) external view returns (bool);

    /// @notice What the role permits in the fleet: nothing, for one of its own that was never defined.
    function rolePermissions(address fleet, uint8 role) external view returns (uint32);

    /// @notice Whether the two roles were declared exclusive.
    function areExclusive(address fleet, uint8 roleA, uint8 roleB) external view returns (bool);

    /// @notice All that the account may do in the fleet now. The governor may do everything, a reserved id nothing.
    function permissionsOf(address fleet, address account) external view returns (uint32);

    /// @notice What the account may do in the fleet now, and until when: for who passes on what another has.
    /// @return isGovernor Whether it governs the fleet: it may do everything, for ever.
    /// @return permissions As permissionsOf.
    /// @return expiry Unix seconds of the first moment the roles no longer hold; 0 without permissions.
    function authorityOf(
        address fleet,
        address account
    ) external view returns (bool isGovernor, uint32 permissions, uint40 expiry);

    /// @notice Whether the account may do all of `permissions` in the fleet now.
    /// @dev For no permission, or one that does not exist, the answer is no, also for the governor.
    function hasPermissions(address fleet, address account, uint32 permissions) external view returns (bool);
}
