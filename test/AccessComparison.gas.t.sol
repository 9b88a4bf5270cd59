// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessControl, IAccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {AccessManager, IAccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

import {Test} from "./support/Test.sol";

/// @dev The smallest contract with roles of its own.
contract Controlled is AccessControl {
    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }
}

/// @dev A contract that asks about its caller where nothing was touched before, as those in the other files do.
contract Asker {
    function costOfHasRole(
        IAccessControl control,
        bytes32 role,
        address account
    ) external view returns (bool answer, uint256 cost) {
        uint256 before = gasleft();
        answer = control.hasRole(role, account);
        cost = before - gasleft();
    }

    function costOfHasRole(
        IAccessManager manager,
        uint64 role,
        address account
    ) external view returns (bool answer, uint256 cost) {
        uint256 before = gasleft();
        (answer, ) = manager.hasRole(role, account);
        cost = before - gasleft();
    }

    function costOfCanCall(
        IAccessManager manager,
        address caller,
        address target,
        bytes4 selector
    ) external view returns (bool answer, uint256 cost) {
        uint256 before = gasleft();
        (answer, ) = manager.canCall(caller, target, selector);
        cost = before - gasleft();
    }
}

/// @dev What OpenZeppelin's contracts cost for the steps that DataAccess.gas.t.sol and RoleRegistry.gas.t.sol measure of ours
///      in the same run: with accounts of the same kind, each transaction with its 21,000 and its calldata.
contract AccessComparisonGasTest is Test {
    address private immutable ADMIN = makeAddr("owner");
    address private immutable HOLDER = makeAddr("subject");
    address private immutable TARGET = makeAddr("target");

    AccessControl private immutable CONTROL = new Controlled(ADMIN);
    AccessManager private immutable MANAGER = new AccessManager(ADMIN);
    Asker private immutable ASKER = new Asker();

    bytes32 private constant ROLE = keccak256("READER");
    uint64 private constant ROLE_ID = uint64(uint256(ROLE));
    bytes4 private constant SELECTOR = 0x1234abcd;

    /// @dev As many as test_Grant_Many of DataAccess.gas.t.sol.
    uint256 private constant MANY = 50;

    function setUp() external {
        vm.warp(1_800_000_000);
    }

    // ------------------------------------------------------------------ AccessControl

    function test_ControlGrant() external {
        _grant();
        vm.snapshotGasLastCall("AccessComparison", "control.grant");
    }

    function test_ControlRevoke() external {
        _grant();
        vm.prank(ADMIN);
        CONTROL.revokeRole(ROLE, HOLDER);
        vm.snapshotGasLastCall("AccessComparison", "control.revoke");
    }

    function test_ControlRenounce() external {
        _grant();
        vm.prank(HOLDER);
        CONTROL.renounceRole(ROLE, HOLDER);
        vm.snapshotGasLastCall("AccessComparison", "control.renounce");
    }

    function test_ControlCheck() external {
        _grant();
        (bool answer, uint256 cost) = ASKER.costOfHasRole(CONTROL, ROLE, HOLDER);
        assertTrue(answer);
        vm.snapshotValue("AccessComparison", "control.check", cost);
    }

    // ------------------------------------------------------------------ AccessManager

    function test_ManagerGrant() external {
        _grantManaged(0);
        vm.snapshotGasLastCall("AccessComparison", "manager.grant");
    }

    /// @dev All that can change of a membership is the delay of its calls; to have something to shorten would add a word.
    function test_ManagerChange() external {
        _grantManaged(0);
        _grantManaged(1 hours);
        vm.snapshotGasLastCall("AccessComparison", "manager.change");
    }

    function test_ManagerGrantMany() external {
        bytes[] memory calls = new bytes[](MANY);
        for (uint256 i = 0; i < MANY; ++i) {
            address account = address(uint160(uint256(keccak256(abi.encode("account", i)))));
            calls[i] = abi.encodeCall(IAccessManager.grantRole, (ROLE_ID, account, 0));
        }
        vm.prank(ADMIN);
        MANAGER.multicall(calls);
        uint256 cost = vm.snapshotGasLastCall("AccessComparison", "manager.grantMany");
        vm.snapshotValue("AccessComparison", "manager.grantMany", cost / MANY);
    }

    function test_ManagerRevoke() external {
        _grantManaged(0);
        vm.prank(ADMIN);
        MANAGER.revokeRole(ROLE_ID, HOLDER);
        vm.snapshotGasLastCall("AccessComparison", "manager.revoke");
    }

    function test_ManagerRenounce() external {
        _grantManaged(0);
        vm.prank(HOLDER);
        MANAGER.renounceRole(ROLE_ID, HOLDER);
        vm.snapshotGasLastCall("AccessComparison", "manager.renounce");
    }

    function test_ManagerCheckRole() external {
        _grantManaged(0);
        (bool answer, uint256 cost) = ASKER.costOfHasRole(MANAGER, ROLE_ID, HOLDER);
        assertTrue(answer);
        vm.snapshotValue("AccessComparison", "manager.check", cost);
    }

    function test_ManagerCheckCall() external {
        _grantManaged(0);
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = SELECTOR;
        vm.prank(ADMIN);
        MANAGER.setTargetFunctionRole(TARGET, selectors, ROLE_ID);
        (bool answer, uint256 cost) = ASKER.costOfCanCall(MANAGER, HOLDER, TARGET, SELECTOR);
        assertTrue(answer);
        vm.snapshotValue("AccessComparison", "manager.canCall", cost);
    }

    // ------------------------------------------------------------------ private

    function _grant() private {
        vm.prank(ADMIN);
        CONTROL.grantRole(ROLE, HOLDER);
    }

    function _grantManaged(uint32 executionDelay) private {
        vm.prank(ADMIN);
        MANAGER.grantRole(ROLE_ID, HOLDER, executionDelay);
    }
}
