// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IRoleRegistry} from "../contracts/interfaces/IRoleRegistry.sol";
import {Permissions} from "../contracts/libraries/Permissions.sol";
import {Roles} from "../contracts/libraries/Roles.sol";
import {Test} from "./support/Test.sol";

/// @dev A contract that asks RoleRegistry as the other registries do: the first to touch it in the transaction.
contract ColdCaller {
    function costOfHasPermissions(
        IRoleRegistry registry,
        address fleet,
        address account,
        uint32 permissions
    ) external view returns (bool answer, uint256 cost) {
        uint256 before = gasleft();
        answer = registry.hasPermissions(fleet, account, permissions);
        cost = before - gasleft();
    }

    function costOfGovernorOf(IRoleRegistry registry, address fleet) external view returns (uint256 cost) {
        uint256 before = gasleft();
        registry.governorOf(fleet);
        cost = before - gasleft();
    }
}

contract RoleRegistryGasTest is Test {
    uint40 private constant FOR_EVER = type(uint40).max;
    uint32 private constant GATEWAY = uint32(1) << Roles.GATEWAY;
    uint32 private constant OPERATOR = uint32(1) << Roles.OPERATOR;
    uint32 private constant OWN = uint32(1) << 8;

    RoleRegistry private _registry;
    ColdCaller private _caller;
    address private _fleet;
    address private _owner;
    address private _member;
    address private _admin;
    address private _successor;

    function setUp() public {
        _registry = new RoleRegistry();
        _caller = new ColdCaller();
        _fleet = makeAddr("fleet account");
        _owner = makeAddr("owner of the handle");
        _member = makeAddr("member");
        _admin = makeAddr("admin");
        _successor = makeAddr("successor");
        vm.warp(1_800_000_000);
    }

    // ------------------------------------------------------------------ roles

    function test_setRolesFirst() public {
        vm.prank(_fleet);
        _registry.setRoles(_fleet, _member, GATEWAY, 1_800_000_000, 1_831_536_000);
        vm.snapshotGasLastCall("RoleRegistry", "roles.set");
    }

    function test_setRolesFirstTwoRoles() public {
        vm.prank(_fleet);
        _registry.setRoles(_fleet, _member, GATEWAY | OPERATOR, 1_800_000_000, 1_831_536_000);
        vm.snapshotGasLastCall("RoleRegistry", "roles.setTwo");
    }

    function test_setRolesFirstByAdmin() public {
        _give(_admin, uint32(1) << Roles.ADMIN);
        vm.prank(_admin);
        _registry.setRoles(_fleet, _member, GATEWAY, 1_800_000_000, 1_831_536_000);
        vm.snapshotGasLastCall("RoleRegistry", "roles.setByAdmin");
    }

    function test_setRolesChange() public {
        _give(_member, GATEWAY);
        vm.prank(_fleet);
        _registry.setRoles(_fleet, _member, OPERATOR, 1_800_000_000, 1_831_536_000);
        vm.snapshotGasLastCall("RoleRegistry", "roles.change");
    }

    function test_setRolesRemove() public {
        _give(_member, GATEWAY);
        vm.prank(_fleet);
        _registry.setRoles(_fleet, _member, 0, 0, 0);
        vm.snapshotGasLastCall("RoleRegistry", "roles.remove");
    }

    function test_renounceRoles() public {
        _give(_member, GATEWAY);
        vm.prank(_member);
        _registry.renounceRoles(_fleet);
        vm.snapshotGasLastCall("RoleRegistry", "roles.renounce");
    }

    function test_revokeAllRoles() public {
        vm.prank(_fleet);
        _registry.revokeAllRoles(_fleet);
        vm.snapshotGasLastCall("RoleRegistry", "roles.revokeAllFirst");
        vm.prank(_fleet);
        _registry.revokeAllRoles(_fleet);
        vm.snapshotGasLastCall("RoleRegistry", "roles.revokeAll");
    }

    function test_defineRole() public {
        vm.prank(_fleet);
        _registry.defineRole(_fleet, 8, Permissions.READ);
        vm.snapshotGasLastCall("RoleRegistry", "roles.defineFirst");
        vm.prank(_fleet);
        _registry.defineRole(_fleet, 9, Permissions.AUDIT | Permissions.SHARE);
        vm.snapshotGasLastCall("RoleRegistry", "roles.define");
    }

    function test_declareExclusive() public {
        vm.prank(_fleet);
        _registry.declareExclusive(_fleet, Roles.OPERATOR, Roles.AUDITOR);
        vm.snapshotGasLastCall("RoleRegistry", "roles.declareExclusive");
    }

    // ------------------------------------------------------------------ fleet handles

    function test_handover() public {
        vm.prank(_owner);
        address handle = _registry.createFleet(keccak256("north plant"));
        vm.snapshotGasLastCall("RoleRegistry", "fleet.create");
        vm.prank(_owner);
        _registry.proposeGovernor(handle, _successor);
        vm.snapshotGasLastCall("RoleRegistry", "fleet.propose");
        vm.prank(_successor);
        _registry.acceptGovernor(handle, false);
        vm.snapshotGasLastCall("RoleRegistry", "fleet.accept");
    }

    // ------------------------------------------------------------------ checks, cold, from a contract

    function test_checkBuiltInRole() public {
        _give(_member, GATEWAY);
        _snapshotCheck("check.builtIn", _member, Permissions.ANCHOR, true);
    }

    function test_checkLastBuiltInRole() public {
        _give(_member, uint32(1) << Roles.MAKER);
        _snapshotCheck("check.builtInLast", _member, Permissions.PUBLISH_MANIFEST, true);
    }

    function test_checkOwnRole() public {
        _give(_member, OWN);
        vm.prank(_fleet);
        _registry.defineRole(_fleet, 8, Permissions.READ_LOCATION | Permissions.SHARE);
        _snapshotCheck("check.own", _member, Permissions.SHARE, true);
    }

    function test_checkMissingPermission() public {
        _give(_member, GATEWAY);
        _snapshotCheck("check.missing", _member, Permissions.COMMAND, false);
    }

    function test_checkStranger() public {
        _snapshotCheck("check.stranger", _member, Permissions.ANCHOR, false);
    }

    function test_checkGovernorOfHandle() public {
        vm.prank(_owner);
        _fleet = _registry.createFleet(keccak256("north plant"));
        _snapshotCheck("check.governor", _owner, Permissions.ANCHOR, true);
        vm.snapshotValue("RoleRegistry", "check.governorOf", _caller.costOfGovernorOf(_registry, _fleet));
    }

    // ------------------------------------------------------------------ private

    function _give(address account, uint32 roles) private {
        vm.prank(_fleet);
        _registry.setRoles(_fleet, account, roles, 1_790_000_000, FOR_EVER);
    }

    function _snapshotCheck(string memory name, address account, uint32 permissions, bool expected) private {
        (bool answer, uint256 cost) = _caller.costOfHasPermissions(_registry, _fleet, account, permissions);
        assertEq(answer, expected);
        vm.snapshotValue("RoleRegistry", name, cost);
    }
}
