// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

import {Batch} from "./base/Batch.sol";
import {Registry} from "./base/Registry.sol";
import {IBatch} from "./interfaces/IBatch.sol";
import {IRoleRegistry} from "./interfaces/IRoleRegistry.sol";
import {FleetWord} from "./libraries/FleetWord.sol";
import {KeyProofs} from "./libraries/KeyProofs.sol";
import {MemberWord, MemberWords} from "./libraries/MemberWord.sol";
import {Permissions} from "./libraries/Permissions.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title RoleRegistry
/// @notice Who works for a fleet: governors, members and their roles.
/// @dev A governor is never a fleet handle: it is whoever called createFleet or acceptGovernor, and handles have no key to
///      call with. So asking for a governor takes one step, and everything in here is by msg.sender alone.
/// @custom:security-contact See SECURITY.md
contract RoleRegistry is IRoleRegistry, Registry, Batch {
    // ------------------------------------------------------------------ constants

    uint32 private constant ADMIN_MASK = uint32(1) << Roles.ADMIN;
    uint40 private constant FOR_EVER = type(uint40).max;

    // ------------------------------------------------------------------ storage

    mapping(address fleet => FleetWord) private _fleets;
    mapping(address fleet => address) private _pendingGovernors;
    mapping(address fleet => mapping(address account => MemberWord)) private _members;

    /// @dev What roles 8–15 permit: eight masks of 32 bits, role 8 in the lowest.
    mapping(address fleet => uint256 masks) private _ownRoles;

    /// @dev Sixteen rows of 16 bits, row 0 in the lowest: bit b of row a is set if roles a and b are exclusive, and so
    ///      is bit a of row b.
    mapping(address fleet => uint256 rows) private _exclusions;

    // ------------------------------------------------------------------ constructor

    constructor() Registry("Touchstone RoleRegistry") {}

    // ------------------------------------------------------------------ roles

    /// @inheritdoc IRoleRegistry
    function setRoles(address fleet, address account, uint32 roles, uint40 notBefore, uint40 expiry) external override {
        FleetWord state = _fleets[fleet];
        bool byGovernor = msg.sender == state.governor(fleet);
        uint40 latest = byGovernor ? FOR_EVER : _requireAdmin(fleet, state);
        _requireUsable(account);
        require(roles >> Roles.COUNT == 0, RolesUnknown(roles));
        uint32 given = _members[fleet][account].rolesIn(state.epoch());
        require(byGovernor || (given | roles) & ADMIN_MASK == 0, AdminReserved(fleet, account));
        if (roles == 0) return _removeMember(fleet, account, given, state.epoch());
        require(notBefore < expiry && block.timestamp < expiry, WindowInvalid(notBefore, expiry));
        require(expiry <= latest, ExpiryBeyondCaller(expiry, latest));
        _requireCompatible(fleet, roles);

        _members[fleet][account] = MemberWords.pack(roles, notBefore, expiry, state.epoch());
        emit RolesSet(fleet, account, msg.sender, roles, notBefore, expiry, state.epoch());
    }

    /// @inheritdoc IRoleRegistry
    function renounceRoles(address fleet) external override {
        uint32 epoch = _fleets[fleet].epoch();
        _removeMember(fleet, msg.sender, _members[fleet][msg.sender].rolesIn(epoch), epoch);
    }

    /// @inheritdoc IRoleRegistry
    function defineRole(address fleet, uint8 role, uint32 permissions) external override {
        _requireGovernor(fleet, _fleets[fleet]);
        require(role >= Roles.FIRST_OWN && role < Roles.COUNT, RoleNotDefinable(role));
        require(permissions & ~Roles.DEFINABLE == 0, PermissionsNotAllowed(permissions));

        uint256 shift = 32 * uint256(role - Roles.FIRST_OWN);
        uint256 others = _ownRoles[fleet] & ~(uint256(type(uint32).max) << shift);
        _ownRoles[fleet] = others | (uint256(permissions) << shift);
        emit RoleDefined(fleet, role, msg.sender, permissions);
    }

    /// @inheritdoc IRoleRegistry
    function declareExclusive(address fleet, uint8 roleA, uint8 roleB) external override {
        _requireGovernor(fleet, _fleets[fleet]);
        require(roleA < Roles.COUNT && roleB < Roles.COUNT && roleA != roleB, ExclusionInvalid(roleA, roleB));
        uint256 rows = _exclusions[fleet];
        require(rows & _exclusionBit(roleA, roleB) == 0, ExclusionExists(fleet, roleA, roleB));

        _exclusions[fleet] = rows | _exclusionBit(roleA, roleB) | _exclusionBit(roleB, roleA);
        emit RolesDeclaredExclusive(fleet, roleA, roleB, msg.sender);
    }

    /// @inheritdoc IRoleRegistry
    function revokeAllRoles(address fleet) external override {
        FleetWord state = _fleets[fleet];
        _requireGovernor(fleet, state);

        state = state.withEpoch(state.epoch() + 1);
        _fleets[fleet] = state;
        emit AllRolesRevoked(fleet, msg.sender, state.epoch());
    }

    // ------------------------------------------------------------------ fleet handles

    /// @inheritdoc IRoleRegistry
    function createFleet(bytes32 salt) external override returns (address fleet) {
        fleet = fleetIdOf(msg.sender, salt);
        FleetWord state = _fleets[fleet];
        require(!state.isHandle(), FleetExists(fleet));

        _fleets[fleet] = state.withGovernor(msg.sender);
        emit FleetCreated(fleet, msg.sender, salt);
    }

    /// @inheritdoc IRoleRegistry
    function proposeGovernor(address fleet, address newGovernor) external override {
        FleetWord state = _fleets[fleet];
        require(state.isHandle(), FleetNotHandle(fleet));
        _requireGovernor(fleet, state);
        if (newGovernor != address(0)) _requireUsable(newGovernor);

        _pendingGovernors[fleet] = newGovernor;
        emit GovernorProposed(fleet, msg.sender, newGovernor);
    }

    /// @inheritdoc IRoleRegistry
    function acceptGovernor(address fleet, bool keepRoles) external override {
        require(msg.sender == _pendingGovernors[fleet], CallerNotPendingGovernor(fleet, msg.sender));

        FleetWord state = _fleets[fleet];
        address from = state.governor(fleet);
        state = state.withGovernor(msg.sender).withHandovers(state.handovers() + 1);
        if (!keepRoles) state = state.withEpoch(state.epoch() + 1);
        _fleets[fleet] = state;
        delete _pendingGovernors[fleet];
        emit GovernorChanged(fleet, from, msg.sender, state.handovers(), state.epoch());
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRoleRegistry
    function governorOf(address fleet) external view override returns (address) {
        return _fleets[fleet].governor(fleet);
    }

    /// @inheritdoc IRoleRegistry
    function pendingGovernorOf(address fleet) external view override returns (address) {
        return _pendingGovernors[fleet];
    }

    /// @inheritdoc IRoleRegistry
    function handoversOf(address fleet) external view override returns (uint32) {
        return _fleets[fleet].handovers();
    }

    /// @inheritdoc IRoleRegistry
    function roleEpochOf(address fleet) external view override returns (uint32) {
        return _fleets[fleet].epoch();
    }

    /// @inheritdoc IRoleRegistry
    function fleetIdOf(address creator, bytes32 salt) public pure override returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("fleet", creator, salt)))));
    }

    /// @inheritdoc IRoleRegistry
    function membershipOf(address fleet, address account) external view override returns (Membership memory) {
        MemberWord member = _members[fleet][account];
        return Membership(member.roles(), member.notBefore(), member.expiry(), member.epoch());
    }

    /// @inheritdoc IRoleRegistry
    function rolesOf(address fleet, address account) public view override returns (uint32) {
        return _members[fleet][account].rolesNow(_fleets[fleet].epoch());
    }

    /// @inheritdoc IRoleRegistry
    function hasRole(address fleet, uint8 role, address account) external view override returns (bool) {
        return (rolesOf(fleet, account) >> role) & 1 != 0;
    }

    /// @inheritdoc IRoleRegistry
    function rolePermissions(address fleet, uint8 role) external view override returns (uint32) {
        return _union(fleet, uint256(1) << role);
    }

    /// @inheritdoc IRoleRegistry
    function areExclusive(address fleet, uint8 roleA, uint8 roleB) external view override returns (bool) {
        bool exist = roleA < Roles.COUNT && roleB < Roles.COUNT;
        return exist && _exclusions[fleet] & _exclusionBit(roleA, roleB) != 0;
    }

    /// @inheritdoc IRoleRegistry
    function permissionsOf(address fleet, address account) external view override returns (uint32) {
        if (!KeyProofs.isUsable(account)) return 0;
        FleetWord state = _fleets[fleet];
        if (account == state.governor(fleet)) return Permissions.ALL;
        return _union(fleet, _members[fleet][account].rolesNow(state.epoch()));
    }

    /// @inheritdoc IRoleRegistry
    function authorityOf(
        address fleet,
        address account
    ) external view override returns (bool isGovernor, uint32 permissions, uint40 expiry) {
        if (!KeyProofs.isUsable(account)) return (false, 0, 0);
        FleetWord state = _fleets[fleet];
        if (account == state.governor(fleet)) return (true, Permissions.ALL, FOR_EVER);
        MemberWord member = _members[fleet][account];
        permissions = _union(fleet, member.rolesNow(state.epoch()));
        if (permissions != 0) expiry = member.expiry();
    }

    /// @inheritdoc IRoleRegistry
    function hasPermissions(address fleet, address account, uint32 permissions) external view override returns (bool) {
        if (permissions == 0 || permissions > Permissions.ALL || !KeyProofs.isUsable(account)) return false;
        FleetWord state = _fleets[fleet];
        if (account == state.governor(fleet)) return true;

        uint32 roles = _members[fleet][account].rolesNow(state.epoch());
        uint32 missing = permissions & ~Roles.union(Roles.BUILT_IN, uint8(roles));
        if (missing == 0) return true;
        // Other contracts call this cold: the fleet's own roles are read only where they can matter.
        uint32 ownRoles = roles >> Roles.FIRST_OWN;
        return ownRoles != 0 && missing & ~Roles.union(_ownRoles[fleet], ownRoles) == 0;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(Registry, IERC165) returns (bool) {
        return
            interfaceId == type(IRoleRegistry).interfaceId ||
            interfaceId == type(IBatch).interfaceId ||
            super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ private

    /// @param given The roles that the account has in this epoch.
    function _removeMember(address fleet, address account, uint32 given, uint32 epoch) private {
        require(given != 0, RolesNotHeld(fleet, account));

        _members[fleet][account] = MemberWord.wrap(0);
        emit RolesSet(fleet, account, msg.sender, 0, 0, 0, epoch);
    }

    function _requireGovernor(address fleet, FleetWord state) private view {
        require(msg.sender == state.governor(fleet), CallerNotGovernor(fleet, msg.sender));
    }

    /// @dev Returns until when the caller is an Admin: the one role that manages roles, as a fleet's own never may.
    function _requireAdmin(address fleet, FleetWord state) private view returns (uint40 expiry) {
        MemberWord caller = _members[fleet][msg.sender];
        require(
            caller.rolesNow(state.epoch()) & ADMIN_MASK != 0,
            CallerLacksPermission(fleet, msg.sender, Permissions.MANAGE_ROLES)
        );
        return caller.expiry();
    }

    /// @dev Reverts with the lowest pair of the roles that is exclusive.
    function _requireCompatible(address fleet, uint32 roles) private view {
        // A single role excludes nothing, so the common case reads no storage.
        if (roles & (roles - 1) == 0) return;

        uint256 rows = _exclusions[fleet];
        for (uint8 roleA = 0; rows != 0; ++roleA) {
            if (roles & Roles.maskOf(roleA) != 0 && rows & roles != 0) {
                uint8 roleB = roleA + 1;
                while (rows & roles & Roles.maskOf(roleB) == 0) ++roleB;
                revert RolesExclusive(fleet, roleA, roleB);
            }
            rows >>= Roles.COUNT;
        }
    }

    function _union(address fleet, uint256 roles) private view returns (uint32) {
        uint32 permissions = Roles.union(Roles.BUILT_IN, uint8(roles));
        uint8 ownRoles = uint8(roles >> Roles.FIRST_OWN);
        return ownRoles == 0 ? permissions : permissions | Roles.union(_ownRoles[fleet], ownRoles);
    }

    function _exclusionBit(uint8 roleA, uint8 roleB) private pure returns (uint256) {
        return uint256(1) << (uint256(roleA) * Roles.COUNT + roleB);
    }
}
