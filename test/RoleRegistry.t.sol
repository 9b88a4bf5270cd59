// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IRoleRegistry} from "../contracts/interfaces/IRoleRegistry.sol";
import {FleetWord} from "../contracts/libraries/FleetWord.sol";
import {Permissions as P} from "../contracts/libraries/Permissions.sol";
import {Test} from "./support/Test.sol";

/// @dev The table of the built-in roles, written down a second time.
function builtIn(uint256 role) pure returns (uint32) {
    if (role == 0) return 0xffff;
    if (role == 1) {
        return P.READ_LIVE | P.READ_HISTORY | P.READ_METADATA | P.COMMAND | P.CONFIGURE | P.ENROLL | P.APPROVE_FIRMWARE;
    }
    if (role == 2) return P.AUDIT | P.SUSPEND | P.ROTATE_KEY;
    if (role == 3) return P.READ_LIVE | P.ANCHOR | P.REPORT_INSTALL;
    if (role == 4) return P.READ_HISTORY | P.READ_METADATA | P.AUDIT;
    if (role == 5) return P.READ_LIVE | P.READ_HISTORY | P.READ_METADATA;
    if (role == 6) return P.READ_METADATA | P.ENROLL | P.REPORT_INSTALL;
    return P.PUBLISH_MANIFEST;
}

/// @dev Drives the registry with a few actors and fleets, and keeps a model of it that knows no words and no epochs: a
///      revocation of all roles simply empties the fleet. What must never happen is noted in `violation`.
contract RoleRegistryHandler is Test {
    struct Member {
        uint32 roles;
        uint40 notBefore;
        uint40 expiry;
    }

    struct Fleet {
        bool isHandle;
        address governor;
        address pending;
        uint32 epoch;
        uint32 handovers;
        mapping(address account => Member) members;
        mapping(uint256 role => uint32) ownRoles;
        mapping(uint256 roleA => mapping(uint256 roleB => bool)) exclusive;
    }

    uint256 private constant ACTORS = 5;
    uint256 private constant FLEETS = 3;
    address private constant NOBODY = address(0);
    address private constant EVERYBODY = address(1);
    bytes32 private constant SALT = keccak256("plant");

    RoleRegistry public immutable REGISTRY;

    address[] public actors;
    address[] public fleets;
    string public violation;
    /// @dev How often each action went through, for the test that the handler is not idle.
    mapping(bytes4 action => uint256) public successes;

    mapping(address fleet => Fleet) private _model;
    mapping(address fleet => mapping(address account => bool)) private _wasAdmin;
    mapping(address fleet => uint32) private _lastEpoch;
    mapping(address fleet => uint32) private _lastHandovers;

    constructor(RoleRegistry registry) {
        REGISTRY = registry;
        for (uint256 i = 0; i < ACTORS; ++i)
            actors.push(makeAddr(string.concat("actor ", string(abi.encodePacked(uint8(48 + i))))));
        // An account's fleet, a handle that exists and one that does not yet.
        fleets.push(actors[0]);
        fleets.push(registry.fleetIdOf(actors[1], SALT));
        fleets.push(registry.fleetIdOf(actors[2], SALT));
        for (uint256 i = 0; i < FLEETS; ++i) _model[fleets[i]].governor = fleets[i];
        createFleet(1);
    }

    // ------------------------------------------------------------------ actions

    function wait(uint256 duration) external {
        vm.warp(block.timestamp + bound(duration, 1, 100));
    }

    /// @dev Who is a member is what the rules are about, so most calls set roles.
    function setManyRoles(uint256 seed) external {
        for (uint256 i = 0; i < 6; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            setRoles(seed >> 8, seed >> 16, seed >> 48, uint256(keccak256(abi.encode(~seed))));
        }
    }

    function setRoles(uint256 fleetSeed, uint256 callerSeed, uint256 accountSeed, uint256 seed) public {
        address fleet = _fleet(fleetSeed);
        address caller = _caller(fleet, callerSeed);
        address account = seed % 61 == 0 ? address(uint160(seed % 0x10000)) : _actor(accountSeed);
        uint32 roles = _sparse(seed);
        uint40 notBefore = uint40(seed % 3 == 0 ? block.timestamp + ((seed >> 64) % 500) : 0);
        uint40 expiry = uint40(seed % 5 < 2 ? type(uint40).max : block.timestamp + ((seed >> 80) % 3000));
        bool expected = _maySetRoles(fleet, caller, account, Member(roles, notBefore, expiry));

        vm.prank(caller);
        try REGISTRY.setRoles(fleet, account, roles, notBefore, expiry) {
            _expect(expected, "setRoles went through against the rules");
            if (roles == 0) delete _model[fleet].members[account];
            else _model[fleet].members[account] = Member(roles, notBefore, expiry);
            _checkExclusive(fleet, account);
            _succeeded(this.setRoles.selector);
        } catch {
            _expect(!expected, "setRoles was refused against the rules");
        }
        _observe(fleet, caller == _model[fleet].governor ? account : NOBODY);
    }

    function renounceRoles(uint256 fleetSeed, uint256 callerSeed) external {
        address fleet = _fleet(fleetSeed);
        address caller = _actor(callerSeed);
        bool expected = _model[fleet].members[caller].roles != 0;

        vm.prank(caller);
        try REGISTRY.renounceRoles(fleet) {
            _expect(expected, "renounceRoles went through against the rules");
            delete _model[fleet].members[caller];
            _succeeded(this.renounceRoles.selector);
        } catch {
            _expect(!expected, "renounceRoles was refused against the rules");
        }
        _observe(fleet, caller);
    }

    function defineRole(uint256 fleetSeed, uint256 callerSeed, uint256 seed) external {
        address fleet = _fleet(fleetSeed);
        address caller = _caller(fleet, callerSeed);
        uint8 role = uint8(7 + (seed % 10));
        uint32 permissions = uint32(seed >> 32) & (seed % 7 == 0 ? 0x1ffff : 0x7fff);
        bool expected = caller == _model[fleet].governor && role >= 8 && role < 16 && permissions < 0x8000;

        vm.prank(caller);
        try REGISTRY.defineRole(fleet, role, permissions) {
            _expect(expected, "defineRole went through against the rules");
            _model[fleet].ownRoles[role] = permissions;
            _succeeded(this.defineRole.selector);
        } catch {
            _expect(!expected, "defineRole was refused against the rules");
        }
        _observe(fleet, NOBODY);
    }

    function declareExclusive(uint256 fleetSeed, uint256 callerSeed, uint8 roleA, uint8 roleB) external {
        address fleet = _fleet(fleetSeed);
        address caller = _caller(fleet, callerSeed);
        roleA %= 17;
        roleB %= 17;
        Fleet storage model = _model[fleet];
        bool expected = caller == model.governor && roleA < 16 && roleB < 16;
        expected = expected && roleA != roleB && !model.exclusive[roleA][roleB];

        vm.prank(caller);
        try REGISTRY.declareExclusive(fleet, roleA, roleB) {
            _expect(expected, "declareExclusive went through against the rules");
            model.exclusive[roleA][roleB] = true;
            model.exclusive[roleB][roleA] = true;
            _succeeded(this.declareExclusive.selector);
        } catch {
            _expect(!expected, "declareExclusive was refused against the rules");
        }
        _observe(fleet, NOBODY);
    }

    function revokeAllRoles(uint256 fleetSeed, uint256 callerSeed) external {
        address fleet = _fleet(fleetSeed);
        address caller = callerSeed % 4 == 0 ? _caller(fleet, callerSeed >> 8) : _actor(callerSeed);
        bool expected = caller == _model[fleet].governor;

        vm.prank(caller);
        try REGISTRY.revokeAllRoles(fleet) {
            _expect(expected, "revokeAllRoles went through against the rules");
            _endEpoch(fleet);
            _succeeded(this.revokeAllRoles.selector);
        } catch {
            _expect(!expected, "revokeAllRoles was refused against the rules");
        }
        _observe(fleet, expected ? EVERYBODY : NOBODY);
    }

    function createFleet(uint256 creatorSeed) public {
        address creator = _actor(creatorSeed);
        address fleet = REGISTRY.fleetIdOf(creator, SALT);
        bool expected = !_model[fleet].isHandle;
        if (expected && fleet != fleets[1] && fleet != fleets[2]) return;

        vm.prank(creator);
        try REGISTRY.createFleet(SALT) returns (address created) {
            _expect(expected && created == fleet, "createFleet went through against the rules");
            _model[fleet].isHandle = true;
            _model[fleet].governor = creator;
            _succeeded(this.createFleet.selector);
        } catch {
            _expect(!expected, "createFleet was refused against the rules");
        }
    }

    function proposeGovernor(uint256 fleetSeed, uint256 callerSeed, uint256 toSeed) external {
        address fleet = _fleet(fleetSeed);
        address caller = _caller(fleet, callerSeed);
        address to = toSeed % 7 == 0 ? address(uint160(toSeed % 2)) : _actor(toSeed);
        bool expected = _model[fleet].isHandle && caller == _model[fleet].governor && to != address(1);

        vm.prank(caller);
        try REGISTRY.proposeGovernor(fleet, to) {
            _expect(expected, "proposeGovernor went through against the rules");
            _model[fleet].pending = to;
            _succeeded(this.proposeGovernor.selector);
        } catch {
            _expect(!expected, "proposeGovernor was refused against the rules");
        }
        _observe(fleet, NOBODY);
    }

    function acceptGovernor(uint256 fleetSeed, uint256 callerSeed, bool keepRoles) external {
        address fleet = _fleet(fleetSeed);
        Fleet storage model = _model[fleet];
        address caller = callerSeed % 2 == 0 && model.pending != address(0) ? model.pending : _actor(callerSeed);
        bool expected = caller == model.pending;

        vm.prank(caller);
        try REGISTRY.acceptGovernor(fleet, keepRoles) {
            _expect(expected, "acceptGovernor went through against the rules");
            model.governor = caller;
            model.pending = address(0);
            ++model.handovers;
            if (!keepRoles) _endEpoch(fleet);
            _succeeded(this.acceptGovernor.selector);
        } catch {
            _expect(!expected, "acceptGovernor was refused against the rules");
        }
        _observe(fleet, expected && !keepRoles ? EVERYBODY : NOBODY);
    }

    // ------------------------------------------------------------------ the model's answers

    function actorCount() external pure returns (uint256) {
        return ACTORS;
    }

    function fleetCount() external pure returns (uint256) {
        return FLEETS;
    }

    function governance(address fleet) external view returns (address, address, uint32, uint32) {
        Fleet storage model = _model[fleet];
        return (model.governor, model.pending, model.epoch, model.handovers);
    }

    function rolesOf(address fleet, address account) public view returns (uint32) {
        Member storage member = _model[fleet].members[account];
        bool holds = member.notBefore <= block.timestamp && block.timestamp < member.expiry;
        return holds ? member.roles : 0;
    }

    function permissionsOf(address fleet, address account) external view returns (uint32 permissions) {
        if (account == _model[fleet].governor) return 0xffff;
        uint32 roles = rolesOf(fleet, account);
        for (uint256 role = 0; role < 16; ++role) {
            if ((roles >> role) & 1 == 0) continue;
            permissions |= role < 8 ? builtIn(role) : _model[fleet].ownRoles[role];
        }
    }

    /// @dev Until when the actor may do what it may do now; 0 if that is nothing.
    function expiryOf(address fleet, address account) external view returns (uint40) {
        if (account == _model[fleet].governor) return type(uint40).max;
        return this.permissionsOf(fleet, account) == 0 ? 0 : _model[fleet].members[account].expiry;
    }

    // ------------------------------------------------------------------ private

    function _mayManage(address fleet, address caller) private view returns (bool) {
        return caller == _model[fleet].governor || rolesOf(fleet, caller) & 1 != 0;
    }

    function _maySetRoles(
        address fleet,
        address caller,
        address account,
        Member memory next
    ) private view returns (bool) {
        if (!_mayManage(fleet, caller) || uint160(account) < 0x10000 || next.roles > 0xffff) return false;
        uint32 held = _model[fleet].members[account].roles;
        bool byGovernor = caller == _model[fleet].governor;
        if (!byGovernor && (held & 1 != 0 || next.roles & 1 != 0)) return false;
        if (next.roles == 0) return held != 0;
        if (next.notBefore >= next.expiry || next.expiry <= block.timestamp) return false;
        if (!byGovernor && next.expiry > _model[fleet].members[caller].expiry) return false;
        return !_hasExclusivePair(fleet, next.roles);
    }

    function _hasExclusivePair(address fleet, uint32 roles) private view returns (bool) {
        for (uint256 a = 0; a < 16; ++a) {
            if ((roles >> a) & 1 == 0) continue;
            for (uint256 b = 0; b < a; ++b) {
                if ((roles >> b) & 1 != 0 && _model[fleet].exclusive[a][b]) return true;
            }
        }
        return false;
    }

    function _endEpoch(address fleet) private {
        ++_model[fleet].epoch;
        for (uint256 i = 0; i < ACTORS; ++i) delete _model[fleet].members[actors[i]];
    }

    function _expect(bool condition, string memory whatHappened) private {
        if (!condition && bytes(violation).length == 0) violation = whatHappened;
    }

    /// @dev What the registry itself says was given holds no exclusive pair.
    function _checkExclusive(address fleet, address account) private {
        uint32 given = REGISTRY.membershipOf(fleet, account).roles;
        _expect(!_hasExclusivePair(fleet, given), "exclusive roles were given");
    }

    /// @dev Looks at the registry alone: nobody may have become or ceased to be an Admin, in or out of its window, but the
    ///      one whom the action was about if it was the governor's, or who renounced; and no counter may have fallen.
    function _observe(address fleet, address mayChange) private {
        uint32 epoch = REGISTRY.roleEpochOf(fleet);
        uint32 handovers = REGISTRY.handoversOf(fleet);
        _expect(epoch >= _lastEpoch[fleet], "the role epoch fell");
        _expect(handovers >= _lastHandovers[fleet], "the handovers fell");
        (_lastEpoch[fleet], _lastHandovers[fleet]) = (epoch, handovers);

        for (uint256 i = 0; i < ACTORS; ++i) {
            IRoleRegistry.Membership memory membership = REGISTRY.membershipOf(fleet, actors[i]);
            bool isAdmin = membership.epoch == epoch && membership.roles & 1 != 0;
            bool free = mayChange == EVERYBODY || mayChange == actors[i];
            _expect(free || isAdmin == _wasAdmin[fleet][actors[i]], "an Admin was given or taken");
            _wasAdmin[fleet][actors[i]] = isAdmin;
        }
    }

    function _succeeded(bytes4 action) private {
        ++successes[action];
    }

    function _fleet(uint256 seed) private view returns (address) {
        return fleets[seed % FLEETS];
    }

    function _actor(uint256 seed) private view returns (address) {
        return actors[seed % ACTORS];
    }

    /// @dev The governor, an Admin or anyone: so that about half of all calls may go through.
    function _caller(address fleet, uint256 seed) private view returns (address) {
        if (seed % 3 == 0 && (_model[fleet].isHandle || fleet == fleets[0])) return _model[fleet].governor;
        for (uint256 i = 0; i < ACTORS && seed % 3 == 1; ++i) {
            if (_model[fleet].members[actors[i]].roles & 1 != 0) return actors[i];
        }
        return _actor(seed >> 8);
    }

    /// @dev Mostly a few roles, now and then none or one that does not exist.
    function _sparse(uint256 seed) private pure returns (uint32) {
        uint256 roles = (seed >> 96) & (seed >> 112) & (seed >> 128) & 0xffff;
        if (seed % 4 == 0) roles |= 1;
        if (seed % 11 == 0) roles = 0;
        if (seed % 29 == 0) roles |= 1 << (16 + (seed % 16));
        return uint32(roles);
    }
}

contract RoleRegistryTest is Test {
    uint40 private constant FOR_EVER = type(uint40).max;
    uint256 private constant START = 1_800_000_000;

    RoleRegistry private _registry;
    RoleRegistryHandler private _handler;
    address private _fleet;
    address private _member;

    function setUp() public {
        vm.warp(START);
        _registry = new RoleRegistry();
        _fleet = makeAddr("fleet");
        _member = makeAddr("member");
        _handler = new RoleRegistryHandler(_registry);
        targetContract(address(_handler));
    }

    // ------------------------------------------------------------------ what roles permit

    function testFuzz_PermissionsAreTheUnionOfTheRoles(uint256 masks, uint16 roles) public {
        uint32 expected;
        for (uint8 role = 0; role < 16; ++role) {
            uint32 mask = role < 8 ? builtIn(role) : uint32(masks >> (32 * (role - 8))) & 0x7fff;
            if (role >= 8) _define(role, mask);
            if ((roles >> role) & 1 != 0) expected |= mask;
            assertEq(_registry.rolePermissions(_fleet, role), mask);
        }
        if (roles != 0) _give(roles, 0, FOR_EVER);
        assertEq(_registry.permissionsOf(_fleet, _member), expected);
    }

    function testFuzz_HasPermissionsIsASubsetOfPermissionsOf(
        uint32 mask,
        uint16 roles,
        uint32 asked,
        uint8 width
    ) public {
        _define(8, mask & 0x7fff);
        _define(15, (mask >> 16) & 0x7fff);
        if (roles != 0) _give(roles, 0, FOR_EVER);
        asked >>= width % 32;
        bool expected = asked != 0 && asked & ~_registry.permissionsOf(_fleet, _member) == 0;
        assertEq(_registry.hasPermissions(_fleet, _member, asked), expected);
        assertEq(_registry.hasPermissions(_fleet, _fleet, asked), asked != 0 && asked <= 0xffff);
    }

    function testFuzz_AuthorityAgreesWithTheOtherViews(
        uint256 masks,
        uint16 roles,
        uint40 notBefore,
        uint40 expiry,
        uint40 moment,
        bool isEpochOver
    ) public {
        for (uint8 role = 8; role < 16; ++role) _define(role, uint32(masks >> (32 * (role - 8))) & 0x7fff);
        notBefore = uint40(bound(notBefore, 0, FOR_EVER - 1));
        expiry = uint40(bound(expiry, notBefore < START ? START + 1 : notBefore + 1, FOR_EVER));
        if (roles != 0) _give(roles, notBefore, expiry);
        if (isEpochOver) {
            vm.prank(_fleet);
            _registry.revokeAllRoles(_fleet);
        }
        vm.warp(bound(moment, notBefore < START ? START : notBefore - 1, expiry));

        (bool isGovernor, uint32 permissions, uint40 until) = _registry.authorityOf(_fleet, _member);
        assertFalse(isGovernor);
        assertEq(permissions, _registry.permissionsOf(_fleet, _member));
        assertEq(_registry.hasPermissions(_fleet, _member, permissions), permissions != 0);
        assertEq(until, permissions == 0 ? 0 : expiry);
        (isGovernor, permissions, until) = _registry.authorityOf(_fleet, _fleet);
        assertTrue(isGovernor);
        assertEq(permissions, P.ALL);
        assertEq(until, FOR_EVER);
    }

    function testFuzz_RolesHoldInAHalfOpenWindow(uint40 notBefore, uint40 expiry, uint40 moment, uint8 offset) public {
        notBefore = uint40(bound(notBefore, 0, FOR_EVER - 1));
        expiry = uint40(bound(expiry, notBefore < START ? START + 1 : notBefore + 1, FOR_EVER));
        _give(0xfff, notBefore, expiry);

        // Half of the moments lie within a few seconds of an edge.
        if (offset < 64) moment = notBefore;
        else if (offset < 128) moment = expiry;
        uint256 time = bound(uint256(moment) + (offset % 4), START + 1, FOR_EVER) - 1;
        vm.warp(time);
        bool holds = notBefore <= time && time < expiry;
        assertEq(_registry.rolesOf(_fleet, _member), holds ? 0xfff : 0);
        assertEq(_registry.hasRole(_fleet, 11, _member), holds);
        assertEq(_registry.hasPermissions(_fleet, _member, P.MANAGE_ROLES), holds);
    }

    function testFuzz_MembershipIsKeptAsGiven(address account, uint16 roles, uint40 notBefore, uint40 expiry) public {
        vm.assume(uint160(account) >= 0x10000 && roles != 0);
        notBefore = uint40(bound(notBefore, 0, FOR_EVER - 1));
        expiry = uint40(bound(expiry, notBefore < START ? START + 1 : notBefore + 1, FOR_EVER));
        vm.prank(_fleet);
        _registry.setRoles(_fleet, account, roles, notBefore, expiry);

        IRoleRegistry.Membership memory membership = _registry.membershipOf(_fleet, account);
        assertEq(membership.roles, roles);
        assertEq(membership.notBefore, notBefore);
        assertEq(membership.expiry, expiry);
        assertEq(membership.epoch, 0);
    }

    function testFuzz_WindowsThatAreEmptyOrOverAreRefused(uint40 notBefore, uint40 expiry) public {
        bool valid = notBefore < expiry && expiry > START;
        if (!valid) vm.expectRevert(abi.encodeWithSelector(IRoleRegistry.WindowInvalid.selector, notBefore, expiry));
        _give(1, notBefore, expiry);
        assertEq(_registry.membershipOf(_fleet, _member).roles, valid ? 1 : 0);
    }

    // ------------------------------------------------------------------ exclusions

    function testFuzz_ExclusiveRolesAreNeverGivenTogether(uint8[6] memory pairs, uint16 roles) public {
        vm.assume(roles != 0);
        for (uint256 i = 0; i < pairs.length; ++i) {
            (uint8 a, uint8 b) = (pairs[i] >> 4, pairs[i] & 15);
            if (a == b || _registry.areExclusive(_fleet, a, b)) continue;
            vm.prank(_fleet);
            _registry.declareExclusive(_fleet, a, b);
        }
        (bool found, uint8 low, uint8 high) = _lowestExclusivePair(pairs, roles);
        if (found) vm.expectRevert(abi.encodeWithSelector(IRoleRegistry.RolesExclusive.selector, _fleet, low, high));
        _give(roles, 0, FOR_EVER);
        assertEq(_registry.rolesOf(_fleet, _member), found ? 0 : roles);
    }

    // ------------------------------------------------------------------ storage

    function testFuzz_FieldsOfTheFleetWordDoNotTouchEachOther(
        uint256 word,
        address governor,
        uint32 epoch,
        uint32 handovers
    ) public pure {
        FleetWord before = FleetWord.wrap(word);
        FleetWord changed = before.withGovernor(governor);
        assertEq(changed.governor(address(1)), governor == address(0) ? address(1) : governor);
        assertEq(changed.isHandle(), governor != address(0));
        assertEq(FleetWord.unwrap(changed) >> 160, word >> 160);

        changed = before.withEpoch(epoch);
        assertEq(changed.epoch(), epoch);
        assertEq(FleetWord.unwrap(changed.withEpoch(before.epoch())), word);

        changed = before.withHandovers(handovers);
        assertEq(changed.handovers(), handovers);
        assertEq(FleetWord.unwrap(changed.withHandovers(before.handovers())), word);
    }

    // ------------------------------------------------------------------ invariants

    /// @dev Calls go through exactly when the model says so, only the governor gives or takes Admin, no exclusive roles
    ///      are given, and no role epoch or handover count falls.
    ///
    /// hardhat-config: invariant.runs = 40
    /// hardhat-config: invariant.depth = 80
    function invariant_NothingHappensThatTheRulesForbid() public view {
        assertEq(_handler.violation(), "");
    }

    /// hardhat-config: invariant.runs = 20
    /// hardhat-config: invariant.depth = 60
    function invariant_PermissionsAreTheModels() public view {
        for (uint256 i = 0; i < _handler.fleetCount(); ++i) {
            address fleet = _handler.fleets(i);
            for (uint256 j = 0; j < _handler.actorCount(); ++j) {
                address actor = _handler.actors(j);
                uint32 expected = _handler.permissionsOf(fleet, actor);
                assertEq(_registry.rolesOf(fleet, actor), _handler.rolesOf(fleet, actor));
                assertEq(_registry.permissionsOf(fleet, actor), expected);
                assertEq(_registry.hasPermissions(fleet, actor, expected), expected != 0);
                if (expected != P.ALL) assertFalse(_registry.hasPermissions(fleet, actor, expected | (expected + 1)));
                (bool isGovernor, uint32 permissions, uint40 expiry) = _registry.authorityOf(fleet, actor);
                assertEq(isGovernor, actor == _registry.governorOf(fleet));
                assertEq(permissions, expected);
                assertEq(expiry, _handler.expiryOf(fleet, actor));
            }
        }
    }

    /// hardhat-config: invariant.runs = 20
    /// hardhat-config: invariant.depth = 60
    function invariant_GovernanceIsTheModels() public view {
        for (uint256 i = 0; i < _handler.fleetCount(); ++i) {
            address fleet = _handler.fleets(i);
            (address governor, address pending, uint32 epoch, uint32 handovers) = _handler.governance(fleet);
            assertEq(_registry.governorOf(fleet), governor);
            assertEq(_registry.pendingGovernorOf(fleet), pending);
            assertEq(_registry.roleEpochOf(fleet), epoch);
            assertEq(_registry.handoversOf(fleet), handovers);
        }
    }

    /// @dev The invariants say something only if the handler gets through: each action often enough, in a fixed walk.
    function test_TheHandlerIsNotIdle() public {
        for (uint256 i = 0; i < 600; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            (uint256 a, uint256 b, uint256 c) = (seed >> 32, seed >> 96, seed >> 160);
            uint256 action = seed % 9;
            if (action == 0) _handler.wait(a);
            else if (action == 1) _handler.renounceRoles(a, b);
            else if (action == 2) _handler.defineRole(a, b, c);
            else if (action == 3) _handler.declareExclusive(a, b, uint8(c), uint8(c >> 8));
            else if (action == 4) _handler.revokeAllRoles(a, b);
            else if (action == 5) _handler.createFleet(a);
            else if (action == 6) _handler.proposeGovernor(a, b, c);
            else if (action == 7) _handler.acceptGovernor(a, b, c % 2 == 0);
            if (action > 4) _handler.setRoles(a, b, c, seed);
        }
        assertEq(_handler.violation(), "");
        assertGe(_handler.successes(_handler.setRoles.selector), 50);
        assertGe(_handler.successes(_handler.renounceRoles.selector), 5);
        assertGe(_handler.successes(_handler.defineRole.selector), 5);
        assertGe(_handler.successes(_handler.declareExclusive.selector), 5);
        assertGe(_handler.successes(_handler.revokeAllRoles.selector), 5);
        assertGe(_handler.successes(_handler.createFleet.selector), 2);
        assertGe(_handler.successes(_handler.proposeGovernor.selector), 5);
        assertGe(_handler.successes(_handler.acceptGovernor.selector), 5);
    }

    // ------------------------------------------------------------------ private

    function _give(uint32 roles, uint40 notBefore, uint40 expiry) private {
        vm.prank(_fleet);
        _registry.setRoles(_fleet, _member, roles, notBefore, expiry);
    }

    function _define(uint8 role, uint32 permissions) private {
        vm.prank(_fleet);
        _registry.defineRole(_fleet, role, permissions);
    }

    function _lowestExclusivePair(
        uint8[6] memory pairs,
        uint16 roles
    ) private pure returns (bool found, uint8 low, uint8 high) {
        for (uint256 i = 0; i < pairs.length; ++i) {
            (uint8 a, uint8 b) = (pairs[i] >> 4, pairs[i] & 15);
            if (a > b) (a, b) = (b, a);
            if (a == b || (roles >> a) & 1 == 0 || (roles >> b) & 1 == 0) continue;
            if (!found || a < low || (a == low && b < high)) (found, low, high) = (true, a, b);
        }
    }
}
