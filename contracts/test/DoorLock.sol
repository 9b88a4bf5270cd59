// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDataAccess} from "../interfaces/IDataAccess.sol";
import {Permissions} from "../libraries/Permissions.sol";

/// @title DoorLock
/// @notice A lock that opens for whoever may command its device. An example of docs/access.md, for tests only.
contract DoorLock {
    /// @dev ServiceProvision: what the door is opened for, which a grant must serve.
    uint8 private constant PURPOSE = 0;

    IDataAccess public immutable ACCESS;
    address public immutable DEVICE;

    event Opened(address indexed by);

    error NotAllowed(address account, IDataAccess.Reason reason);

    constructor(IDataAccess access, address device) {
        ACCESS = access;
        DEVICE = device;
    }

    /// @notice Opens the door for the caller.
    function open() external {
        // About the caller itself: an account that the caller names could be anybody's.
        if (!ACCESS.isAllowed(DEVICE, msg.sender, Permissions.COMMAND, PURPOSE)) {
            // Only who is refused pays for the reason.
            (, IDataAccess.Reason reason) = ACCESS.explain(DEVICE, msg.sender, Permissions.COMMAND, PURPOSE);
            revert NotAllowed(msg.sender, reason);
        }
        emit Opened(msg.sender);
    }
}
