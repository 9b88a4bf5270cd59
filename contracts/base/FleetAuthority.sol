// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoleRegistry} from "../interfaces/IRoleRegistry.sol";
import {Registry} from "./Registry.sol";

/// @title FleetAuthority
/// @notice Asks RoleRegistry who acts for a fleet.
/// @dev A fleet that is the caller's own account needs no question: an account always governs itself, and a fleet
///      handle has no key, so it never calls. This saves a cold call of about 9,000 gas.
abstract contract FleetAuthority is Registry {
    // ------------------------------------------------------------------ errors

    /// @notice The contract `other` asks another RoleRegistry: the two would follow different governors for ever.
    error RoleRegistryMismatch(address other, address theirs, address ours);

    // ------------------------------------------------------------------ immutables

    /// @notice Where governors and roles are kept.
    IRoleRegistry public immutable ROLE_REGISTRY;

    // ------------------------------------------------------------------ constructor

    constructor(IRoleRegistry roleRegistry) {
        ROLE_REGISTRY = roleRegistry;
    }

    // ------------------------------------------------------------------ internal

    /// @dev For the constructors of contracts that ask another one.
    function _requireSameRoles(address other) internal view {
        address theirs = address(FleetAuthority(other).ROLE_REGISTRY());
        address ours = address(ROLE_REGISTRY);
        require(theirs == ours, RoleRegistryMismatch(other, theirs, ours));
    }

    function _isGovernor(address fleet, address account) internal view returns (bool) {
        return account == fleet || account == ROLE_REGISTRY.governorOf(fleet);
    }

    function _requireGovernor(address fleet) internal view {
        require(_isGovernor(fleet, msg.sender), CallerNotGovernor(fleet, msg.sender));
    }

    /// @dev The governor has every permission.
    function _hasPermission(address fleet, address account, uint32 permission) internal view returns (bool) {
        return account == fleet || ROLE_REGISTRY.hasPermissions(fleet, account, permission);
    }

    function _requirePermission(address fleet, uint32 permission) internal view {
        require(_hasPermission(fleet, msg.sender, permission), CallerLacksPermission(fleet, msg.sender, permission));
    }
}
