// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Permissions} from "./Permissions.sol";

/// @title Roles
/// @notice The roles that every fleet has, and what they permit. Roles 8–15 are each fleet's own.
library Roles {
    // ------------------------------------------------------------------ numbers

    uint8 internal constant ADMIN = 0;
    uint8 internal constant OPERATOR = 1;
    uint8 internal constant SECURITY = 2;
    uint8 internal constant GATEWAY = 3;
    uint8 internal constant AUDITOR = 4;
    uint8 internal constant ANALYST = 5;
    uint8 internal constant INSTALLER = 6;
    uint8 internal constant MAKER = 7;

    /// @notice The lowest role that is the fleet's own.
    uint8 internal constant FIRST_OWN = 8;

    /// @notice How many roles there are.
    uint8 internal constant COUNT = 16;

    // ------------------------------------------------------------------ permissions

    uint32 internal constant OPERATOR_PERMISSIONS =
        Permissions.READ_LIVE |
            Permissions.READ_HISTORY |
            Permissions.READ_METADATA |
            Permissions.COMMAND |
            Permissions.CONFIGURE |
            Permissions.ENROLL |
            Permissions.APPROVE_FIRMWARE;
    uint32 internal constant SECURITY_PERMISSIONS = Permissions.AUDIT | Permissions.SUSPEND | Permissions.ROTATE_KEY;
    uint32 internal constant GATEWAY_PERMISSIONS =
        Permissions.READ_LIVE | Permissions.ANCHOR | Permissions.REPORT_INSTALL;
    uint32 internal constant AUDITOR_PERMISSIONS =
        Permissions.READ_HISTORY | Permissions.READ_METADATA | Permissions.AUDIT;
    uint32 internal constant ANALYST_PERMISSIONS =
        Permissions.READ_LIVE | Permissions.READ_HISTORY | Permissions.READ_METADATA;
    uint32 internal constant INSTALLER_PERMISSIONS =
        Permissions.READ_METADATA | Permissions.ENROLL | Permissions.REPORT_INSTALL;
    uint32 internal constant MAKER_PERMISSIONS = Permissions.PUBLISH_MANIFEST;

    /// @notice What roles 0–7 permit: eight masks of 32 bits, role 0 in the lowest.
    uint256 internal constant BUILT_IN =
        uint256(Permissions.ALL) |
            (uint256(OPERATOR_PERMISSIONS) << 32) |
            (uint256(SECURITY_PERMISSIONS) << 64) |
            (uint256(GATEWAY_PERMISSIONS) << 96) |
            (uint256(AUDITOR_PERMISSIONS) << 128) |
            (uint256(ANALYST_PERMISSIONS) << 160) |
            (uint256(INSTALLER_PERMISSIONS) << 192) |
            (uint256(MAKER_PERMISSIONS) << 224);

    /// @notice What a fleet's own role may hold: who manages roles is Admin's alone.
    uint32 internal constant DEFINABLE = Permissions.ALL ^ Permissions.MANAGE_ROLES;

    // ------------------------------------------------------------------ functions

    /// @notice The set of roles that holds only this one.
    function maskOf(uint8 role) internal pure returns (uint32) {
        return uint32(1) << role;
    }

    /// @notice All that the roles permit together.
    /// @param masks What each role permits: eight masks of 32 bits.
    /// @param roles Which of the eight, as a mask.
    function union(uint256 masks, uint256 roles) internal pure returns (uint32) {
        uint256 permissions;
        // The mask of the role in turn is the lowest; what is above it is cut off at the end.
        for (; roles != 0; roles >>= 1) {
            if (roles & 1 != 0) permissions |= masks;
            masks >>= 32;
        }
        return uint32(permissions);
    }
}
