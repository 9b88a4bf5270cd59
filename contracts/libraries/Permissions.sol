// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title Permissions
/// @notice The permission bits that roles, grants and policies are made of.
library Permissions {
    // ------------------------------------------------------------------ bits that a grant may hold

    uint32 internal constant READ_LIVE = 1 << 0;
    uint32 internal constant READ_HISTORY = 1 << 1;
    uint32 internal constant READ_LOCATION = 1 << 2;
    uint32 internal constant READ_METADATA = 1 << 3;
    uint32 internal constant COMMAND = 1 << 4;
    uint32 internal constant CONFIGURE = 1 << 5;
    uint32 internal constant AUDIT = 1 << 6;

    // ------------------------------------------------------------------ bits that only roles hold

    uint32 internal constant SHARE = 1 << 7;
    uint32 internal constant ENROLL = 1 << 8;
    uint32 internal constant SUSPEND = 1 << 9;
    uint32 internal constant ROTATE_KEY = 1 << 10;
    uint32 internal constant ANCHOR = 1 << 11;
    uint32 internal constant REPORT_INSTALL = 1 << 12;
    uint32 internal constant APPROVE_FIRMWARE = 1 << 13;
    uint32 internal constant PUBLISH_MANIFEST = 1 << 14;
    uint32 internal constant MANAGE_ROLES = 1 << 15;

    // ------------------------------------------------------------------ masks

    /// @notice Every Read* permission: all that can be made public.
    uint32 internal constant READ = READ_LIVE | READ_HISTORY | READ_LOCATION | READ_METADATA;

    /// @notice Every permission that an outsider may be granted.
    uint32 internal constant GRANTABLE = READ | COMMAND | CONFIGURE | AUDIT;

    /// @notice Every permission there is.
    uint32 internal constant ALL = (1 << 16) - 1;
}
