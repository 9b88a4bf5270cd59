// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DataAccess} from "../contracts/DataAccess.sol";
import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDataAccess} from "../contracts/interfaces/IDataAccess.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {GrantWord, GrantWords} from "../contracts/libraries/GrantWord.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {Permissions} from "../contracts/libraries/Permissions.sol";
import {PolicyHalfWord, PolicyHalfWords} from "../contracts/libraries/PolicyHalfWord.sol";
import {PolicyWord} from "../contracts/libraries/PolicyWord.sol";
import {Roles} from "../contracts/libraries/Roles.sol";
import {Keys} from "./support/Keys.sol";
import {dataGrantDigest, devicePolicyDigest, enrollmentDigest, revocationDigest} from "./support/Digests.sol";

/// @dev A P-256 device of an account and an account device of a fleet handle, both governed by one owner.
abstract contract TwoDevices is Keys {
    uint256 internal constant DEVICES_COUNT = 2;

    function deviceAt(uint256 index) public pure returns (uint256 key, address device, Scheme scheme) {
        key = 1000 + index;
        scheme = index == 0 ? Scheme.P256 : Scheme.Account;
        device = keyIdOf(key, scheme);
    }

    function owner() public pure returns (address) {
        return vm.addr(2000);
    }

    /// @dev The fleet that each device belongs to: the owner's account, and its handle.
    function fleetAt(RoleRegistry roles, uint256 index) internal pure returns (address) {
        return index == 0 ? owner() : roles.fleetIdOf(owner(), "fleet");
    }

    function enrollBoth(RoleRegistry roles, DeviceRegistry devices) internal {
        vm.prank(owner());
        roles.createFleet("fleet");
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (uint256 key, address device, Scheme scheme) = deviceAt(i);
            IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
                device: device,
                scheme: scheme,
                owner: fleetAt(roles, i),
                manifest: 0,
                metadataHash: 0,
                deadline: uint40(block.timestamp)
            });
            KeyProof memory proof = prove(key, scheme, enrollmentDigest(address(devices), enrollment));
            vm.prank(owner());
            devices.enroll(enrollment, proof, "");
        }
    }
}

/// @dev Leads two devices through random lives, with right and wrong callers, and keeps its own account of what was granted
///      and of the policies. A member may share what it reads, while it is one. The stranger calls everything and is never
///      granted anything. A call that ends otherwise than it
///      should reverts, which fails the invariants as they are set to fail on a revert.
contract DataAccessHandler is TwoDevices {
    RoleRegistry public immutable ROLES;
    DeviceRegistry public immutable DEVICES;
    DataAccess public immutable ACCESS;

    /// @dev A grant as it is asked for.
    struct Terms {
        address device;
        address subject;
        uint32 permissions;
        uint32 purposes;
        uint40 notBefore;
        uint40 expiry;
    }

    struct Half {
        uint24 epoch;
        uint32 ceiling;
        uint32 publicRead;
        uint32 purposes;
    }

    /// @dev What was granted last, all but `seq` zero once it was ended.
    mapping(address device => mapping(address subject => IDataAccess.Grant)) private _grants;
    /// @dev Until when the member may share, in both fleets.
    uint40 private _memberUntil;
    mapping(address device => Half) private _ownerHalves;
    mapping(address device => Half) private _deviceHalves;
    mapping(address device => uint32) private _deviceChanges;

    uint256 private constant SUBJECTS_COUNT = 3;
    uint256 private constant CALLERS_COUNT = 4;
    uint256 private constant GRANTORS_COUNT = 5;
    uint8 private constant GRANTABLE_COUNT = 7;

    /// @dev What the member may do.
    uint32 private constant SHARED = Permissions.SHARE | Permissions.READ;

    constructor(RoleRegistry roles, DeviceRegistry devices, DataAccess access) {
        (ROLES, DEVICES, ACCESS) = (roles, devices, access);
    }

    // ------------------------------------------------------------------ what may happen

    function grant(uint256 seed, uint32 permissions, uint32 purposes, uint16 starts, uint16 lasts) external {
        Terms memory terms = _termsOf(seed, permissions, purposes, starts, lasts);
        address grantor = grantorAt(seed >> 16);
        bool isRight = _mayGrant(grantor, terms);
        vm.prank(grantor);
        try
            ACCESS.grant(
                terms.device,
                terms.subject,
                terms.permissions,
                terms.purposes,
                terms.notBefore,
                terms.expiry,
                0
            )
        {
            require(isRight, "granted wrongly");
            _granted(grantor, terms);
        } catch {
            require(!isRight, "not granted");
        }
    }

    function grantMany(uint256 seed, uint32 permissions, uint32 purposes, uint16 starts, uint16 lasts) external {
        Terms memory terms = _termsOf(seed, permissions, purposes, starts, lasts);
        address grantor = grantorAt(seed >> 16);
        IDataAccess.Pair[] memory pairs = _pairs(seed);
        bool haveTerms = _areTerms(terms);
        vm.prank(grantor);
        try ACCESS.grantMany(pairs, terms.permissions, terms.purposes, terms.notBefore, terms.expiry, 0) returns (
            bool[] memory done
        ) {
            require(haveTerms, "granted many wrongly");
            for (uint256 i = 0; i < pairs.length; ++i) {
                (terms.device, terms.subject) = (pairs[i].device, pairs[i].subject);
                require(done[i] == _mayGrant(grantor, terms), "one of many granted wrongly");
                if (done[i]) _granted(grantor, terms);
            }
        } catch {
            require(!haveTerms, "many were not granted");
        }
    }

    function grantWithSignature(
        uint256 seed,
        uint32 permissions,
        uint32 purposes,
        uint16 starts,
        uint16 lasts
    ) external {
        Terms memory terms = _termsOf(seed, permissions, purposes, starts, lasts);
        // One of eight messages is ahead of its turn, one of eight is signed by the stranger.
        uint32 seq = _grants[terms.device][terms.subject].seq + ((seed >> 24) % 8 == 0 ? 1 : 0);
        bool isSigned = (seed >> 32) % 8 != 0;
        address grantor = grantorAt(seed >> 16);
        IDataAccess.DataGrant memory dataGrant = IDataAccess.DataGrant({
            grantor: grantor,
            device: terms.device,
            subject: terms.subject,
            permissions: terms.permissions,
            purposes: terms.purposes,
            notBefore: terms.notBefore,
            expiry: terms.expiry,
            termsHash: 0,
            epoch: DEVICES.epochOf(terms.device),
            seq: seq,
            deadline: uint40(block.timestamp)
        });
        bytes memory signature = signAccount(
            isSigned ? _grantorKeyAt(seed >> 16) : 1,
            dataGrantDigest(address(ACCESS), dataGrant)
        );
        bool isRight = isSigned && (seed >> 24) % 8 != 0 && _mayGrant(grantor, terms);
        (, , bytes memory refusal) = ACCESS.verifyGrant(dataGrant, signature, 1, 1);
        require(isRight == (refusal.length == 0), "a grant was judged wrongly");
        try ACCESS.grantWithSignature(dataGrant, signature) {
            require(isRight, "signed grant given wrongly");
            _granted(grantor, terms);
        } catch (bytes memory reason) {
            require(!isRight && keccak256(reason) == keccak256(refusal), "a signed grant was not given");
        }
    }

    function revoke(uint256 seed) external {
        (, address device, ) = deviceAt(seed % DEVICES_COUNT);
        address subject = callerAt((seed >> 8) % SUBJECTS_COUNT);
        address revoker = grantorAt(seed >> 16);
        bool isRight = _mayShare(revoker);
        vm.prank(revoker);
        try ACCESS.revoke(device, subject) {
            require(isRight, "revoked by a wrong caller");
            _ended(device, subject, 1);
        } catch {
            require(!isRight, "a revoke was blocked");
        }
    }

    function revokeMany(uint256 seed) external {
        IDataAccess.Pair[] memory pairs = _pairs(seed);
        address revoker = grantorAt(seed >> 16);
        vm.prank(revoker);
        bool[] memory done = ACCESS.revokeMany(pairs);
        for (uint256 i = 0; i < pairs.length; ++i) {
            require(done[i] == _mayShare(revoker), "one of many revoked wrongly");
            if (done[i]) _ended(pairs[i].device, pairs[i].subject, 1);
        }
    }

    function revokeWithSignature(uint256 seed) external {
        (, address device, ) = deviceAt(seed % DEVICES_COUNT);
        address subject = callerAt((seed >> 8) % SUBJECTS_COUNT);
        address revoker = grantorAt(seed >> 16);
        uint32 ahead = uint32((seed >> 24) % 4);
        IDataAccess.Revocation memory revocation = IDataAccess.Revocation({
            revoker: revoker,
            device: device,
            subject: subject,
            epoch: DEVICES.epochOf(device),
            seq: _grants[device][subject].seq + ahead,
            deadline: uint40(block.timestamp)
        });
        bytes32 digest = revocationDigest(address(ACCESS), revocation);
        bool isRight = (revoker == subject || _mayShare(revoker)) && (ahead == 1 || ahead == 2);
        try ACCESS.revokeWithSignature(revocation, signAccount(_grantorKeyAt(seed >> 16), digest)) {
            require(isRight, "signed revoke taken wrongly");
            _ended(device, subject, ahead);
        } catch {
            require(!isRight, "a signed revoke was blocked");
        }
    }

    function renounce(uint256 seed) external {
        (, address device, ) = deviceAt(seed % DEVICES_COUNT);
        address caller = callerAt(seed >> 16);
        bool isRight = _grants[device][caller].permissions != 0;
        vm.prank(caller);
        try ACCESS.renounce(device) {
            require(isRight, "renounced nothing");
            _ended(device, caller, 1);
        } catch {
            require(!isRight, "not renounced");
        }
    }

    /// @dev The member may share for some time from now on.
    function setMember(uint24 time) external {
        _memberUntil = uint40(block.timestamp + 1 + time);
        uint32 role = uint32(1) << Roles.FIRST_OWN;
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            address fleet = fleetAt(ROLES, i);
            vm.startPrank(owner());
            ROLES.defineRole(fleet, Roles.FIRST_OWN, SHARED);
            ROLES.setRoles(fleet, grantorAt(CALLERS_COUNT), role, 0, _memberUntil);
            vm.stopPrank();
        }
    }

    function revokeRoles() external {
        _memberUntil = 0;
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            vm.startPrank(owner());
            ROLES.revokeAllRoles(fleetAt(ROLES, i));
            vm.stopPrank();
        }
    }

    function setPolicy(uint256 seed, uint32 ceiling, uint32 publicRead, uint32 purposes) external {
        (, address device, ) = deviceAt(seed % DEVICES_COUNT);
        address caller = callerAt(seed >> 16);
        (ceiling, publicRead) = (ceiling & Permissions.GRANTABLE, publicRead & Permissions.READ);
        bool isRight = caller == owner() && _isInService(device);
        vm.prank(caller);
        try ACCESS.setPolicy(device, ceiling, publicRead, purposes) {
            require(isRight, "a policy was set wrongly");
            _ownerHalves[device] = Half(DEVICES.epochOf(device), ceiling, publicRead, purposes);
        } catch {
            require(!isRight, "a policy was not set");
        }
    }

    function setDevicePolicy(uint256 seed, uint32 ceiling, uint32 publicRead, uint32 purposes) external {
        // Half of the messages are signed by the other device.
        bool isSigned = (seed >> 8) % 2 == 0;
        (uint256 key, address device, Scheme scheme) = deviceAt(seed % DEVICES_COUNT);
        if (!isSigned) (key, , scheme) = deviceAt(DEVICES_COUNT - 1 - (seed % DEVICES_COUNT));
        IDataAccess.DevicePolicy memory policy = IDataAccess.DevicePolicy({
            device: device,
            ceiling: ceiling & Permissions.GRANTABLE,
            publicRead: publicRead & Permissions.READ,
            purposes: purposes,
            epoch: DEVICES.epochOf(device),
            seq: _deviceChanges[device],
            deadline: uint40(block.timestamp)
        });
        KeyProof memory proof = prove(key, scheme, devicePolicyDigest(address(ACCESS), policy));
        bool isRight = isSigned && DEVICES.isActive(device);
        vm.prank(callerAt(seed >> 16));
        try ACCESS.setDevicePolicy(policy, proof) {
            require(isRight, "a device's half was set wrongly");
            _deviceHalves[device] = Half(policy.epoch, policy.ceiling, policy.publicRead, purposes);
            ++_deviceChanges[device];
        } catch {
            require(!isRight, "a device's half was not set");
        }
    }

    function revokeAll(uint256 seed) external {
        (uint256 key, address device, Scheme scheme) = deviceAt(seed % DEVICES_COUNT);
        if (!_isInService(device)) return;
        vm.roll(vm.getBlockNumber() + 1);
        vm.prank(owner());
        DEVICES.revokeAll(device, _publicKey(key, scheme));
    }

    function suspendOrResume(uint256 seed) external {
        (uint256 key, address device, Scheme scheme) = deviceAt(seed % DEVICES_COUNT);
        if (!_isInService(device)) return;
        bool isActive = DEVICES.isActive(device);
        vm.prank(owner());
        if (isActive) DEVICES.suspend(device, _publicKey(key, scheme));
        else DEVICES.resume(device, _publicKey(key, scheme));
    }

    function retire(uint256 seed) external {
        // Retired is final: rarely, or there is soon nothing left to try.
        if (seed % 16 > 0) return;
        (, address device, ) = deviceAt((seed / 16) % DEVICES_COUNT);
        if (!_isInService(device)) return;
        vm.prank(owner());
        DEVICES.retire(device);
    }

    function passTime(uint16 time) external {
        vm.warp(vm.getBlockTimestamp() + time);
    }

    // ------------------------------------------------------------------ what must always hold

    /// @dev Each grant is as it was given last, or ended: every change raised its sequence number, and nothing else moved it.
    function checkGrants() external view {
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (, address device, ) = deviceAt(i);
            for (uint256 j = 0; j < GRANTORS_COUNT; ++j) {
                IDataAccess.Grant memory kept = ACCESS.grantOf(device, grantorAt(j));
                assertEq(abi.encode(kept), abi.encode(_grants[device][grantorAt(j)]));
            }
            assertEq(ACCESS.policyOf(device).deviceSeq, _deviceChanges[device]);
        }
    }

    /// @dev What is not the owner's grant is nothing that the member may not do.
    function checkMembersGrants() external view {
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (, address device, ) = deviceAt(i);
            for (uint256 j = 0; j < SUBJECTS_COUNT; ++j) {
                IDataAccess.Grant memory kept = ACCESS.grantOf(device, callerAt(j));
                assertTrue(kept.byOwner || kept.permissions & ~SHARED == 0);
            }
        }
    }

    /// @dev A grant given in another epoch, or ended, allows nothing; one on a device out of service neither.
    function checkEpochs() external view {
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (, address device, ) = deviceAt(i);
            for (uint256 j = 0; j < CALLERS_COUNT; ++j) {
                bool mayHold =
                    _grants[device][callerAt(j)].epoch == DEVICES.epochOf(device) && DEVICES.isActive(device);
                for (uint8 bit = 0; !mayHold && bit < GRANTABLE_COUNT; ++bit) {
                    assertFalse(_isGranted(device, callerAt(j), uint32(1) << bit, bit));
                }
            }
        }
    }

    /// @dev No grant allows what either half of the policy does not.
    function checkCeilings() external view {
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (, address device, ) = deviceAt(i);
            (uint32 ceiling, uint32 purposes) = _limits(device);
            for (uint256 j = 0; j < SUBJECTS_COUNT; ++j) {
                for (uint8 k = 0; k < GRANTABLE_COUNT; ++k) {
                    if (!_isGranted(device, callerAt(j), uint32(1) << k, k)) continue;
                    assertTrue(ceiling & (uint32(1) << k) != 0);
                    assertTrue(purposes & (uint32(1) << k) != 0);
                }
            }
        }
    }

    /// @dev A stranger may do exactly what is public.
    function checkStranger() external view {
        address stranger = callerAt(SUBJECTS_COUNT);
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            (, address device, ) = deviceAt(i);
            (uint32 publicRead, uint32 purposes) = _public(device);
            for (uint8 bit = 0; bit < 16; ++bit) {
                uint32 permission = uint32(1) << bit;
                bool isPublic = publicRead & permission != 0 && purposes & 2 != 0;
                assertEq(ACCESS.isAllowed(device, stranger, permission, 1), isPublic);
            }
        }
    }

    /// @dev The owner's address, two subjects, and the stranger. The owner may be a subject as well.
    function callerAt(uint256 seed) public pure returns (address) {
        return vm.addr(2000 + (seed % CALLERS_COUNT));
    }

    /// @dev The same, and the member.
    function grantorAt(uint256 seed) public pure returns (address) {
        return vm.addr(_grantorKeyAt(seed));
    }

    // ------------------------------------------------------------------ private

    function _grantorKeyAt(uint256 seed) private pure returns (uint256) {
        return 2000 + (seed % GRANTORS_COUNT);
    }

    function _termsOf(
        uint256 seed,
        uint32 permissions,
        uint32 purposes,
        uint16 starts,
        uint16 lasts
    ) private view returns (Terms memory terms) {
        (, terms.device, ) = deviceAt(seed % DEVICES_COUNT);
        terms.subject = callerAt((seed >> 8) % SUBJECTS_COUNT);
        // Half of them what the member has, so that it may give some.
        terms.permissions = permissions & ((seed >> 40) % 2 == 0 ? Permissions.GRANTABLE : Permissions.READ);
        terms.purposes = purposes;
        terms.notBefore = uint40(block.timestamp + starts - 2 ** 15);
        terms.expiry = terms.notBefore + lasts;
    }

    /// @dev Each device with two of the subjects.
    function _pairs(uint256 seed) private pure returns (IDataAccess.Pair[] memory pairs) {
        pairs = new IDataAccess.Pair[](2 * DEVICES_COUNT);
        for (uint256 i = 0; i < pairs.length; ++i) {
            (, pairs[i].device, ) = deviceAt(i % DEVICES_COUNT);
            pairs[i].subject = callerAt(((seed >> 8) + i / DEVICES_COUNT) % SUBJECTS_COUNT);
        }
    }

    function _areTerms(Terms memory terms) private view returns (bool) {
        bool isWindow = terms.notBefore < terms.expiry && terms.expiry > block.timestamp;
        return isWindow && terms.permissions != 0 && terms.purposes != 0;
    }

    function _mayShare(address account) private view returns (bool) {
        return account == owner() || (account == grantorAt(CALLERS_COUNT) && block.timestamp < _memberUntil);
    }

    /// @dev What must be granted and what refused, written down once more.
    function _mayGrant(address grantor, Terms memory terms) private view returns (bool) {
        if (!_areTerms(terms) || !_mayShare(grantor) || !_isInService(terms.device)) return false;
        if (grantor == owner()) return true;
        IDataAccess.Grant storage former = _grants[terms.device][terms.subject];
        bool isStanding =
            former.byOwner && former.epoch == DEVICES.epochOf(terms.device) && block.timestamp < former.expiry;
        return !isStanding && terms.permissions & ~SHARED == 0 && terms.expiry <= _memberUntil;
    }

    function _granted(address grantor, Terms memory terms) private {
        _grants[terms.device][terms.subject] = IDataAccess.Grant({
            permissions: terms.permissions,
            purposes: terms.purposes,
            notBefore: terms.notBefore,
            expiry: terms.expiry,
            epoch: DEVICES.epochOf(terms.device),
            seq: _grants[terms.device][terms.subject].seq + 1,
            byOwner: grantor == owner()
        });
    }

    function _ended(address device, address subject, uint32 ahead) private {
        uint32 seq = _grants[device][subject].seq + ahead;
        delete _grants[device][subject];
        _grants[device][subject].seq = seq;
    }

    function _isInService(address device) private view returns (bool) {
        return DEVICES.statusOf(device) != IDeviceRegistry.Status.Retired;
    }

    function _isGranted(address device, address subject, uint32 permission, uint8 purpose) private view returns (bool) {
        (, IDataAccess.Reason reason) = ACCESS.explain(device, subject, permission, purpose);
        return reason == IDataAccess.Reason.Grant;
    }

    function _limits(address device) private view returns (uint32 ceiling, uint32 purposes) {
        (ceiling, purposes) = (type(uint32).max, type(uint32).max);
        Half memory half = _ownerHalves[device];
        if (half.epoch == DEVICES.epochOf(device)) (ceiling, purposes) = (half.ceiling, half.purposes);
        if (_deviceChanges[device] == 0) return (ceiling, purposes);
        return (ceiling & _deviceHalves[device].ceiling, purposes & _deviceHalves[device].purposes);
    }

    function _public(address device) private view returns (uint32 publicRead, uint32 purposes) {
        Half memory half = _ownerHalves[device];
        if (!DEVICES.isActive(device) || half.epoch != DEVICES.epochOf(device)) return (0, 0);
        (publicRead, purposes) = _limits(device);
        publicRead &= half.publicRead;
        if (_deviceChanges[device] > 0) publicRead &= _deviceHalves[device].publicRead;
    }

    function _publicKey(uint256 key, Scheme scheme) private pure returns (bytes memory) {
        return scheme == Scheme.Account ? bytes("") : publicKeyOf(key);
    }
}

contract DataAccessTest is TwoDevices {
    RoleRegistry private immutable ROLES = new RoleRegistry();
    DeviceRegistry private immutable DEVICES = new DeviceRegistry(ROLES);
    DataAccess private immutable ACCESS = new DataAccess(ROLES, DEVICES);
    DataAccessHandler private immutable HANDLER = new DataAccessHandler(ROLES, DEVICES, ACCESS);

    address private immutable DEVICE;
    address private constant SUBJECT = address(0x5B1EC7);

    constructor() {
        (, DEVICE, ) = deviceAt(0);
    }

    function setUp() external {
        vm.warp(1_800_000_000);
        enrollBoth(ROLES, DEVICES);
        targetContract(address(HANDLER));
    }

    // ------------------------------------------------------------------ invariants

    /// hardhat-config: invariant.runs = 24
    /// hardhat-config: invariant.depth = 100
    function invariant_GrantsAreAsTheyWereGivenLast() external view {
        HANDLER.checkGrants();
    }

    /// hardhat-config: invariant.runs = 12
    /// hardhat-config: invariant.depth = 60
    function invariant_NoMemberGivesMoreThanItHas() external view {
        HANDLER.checkMembersGrants();
    }

    /// hardhat-config: invariant.runs = 12
    /// hardhat-config: invariant.depth = 60
    function invariant_TheEndOfAnEpochEndsEveryGrant() external view {
        HANDLER.checkEpochs();
    }

    /// hardhat-config: invariant.runs = 12
    /// hardhat-config: invariant.depth = 60
    function invariant_NoGrantGoesBeyondEitherHalfOfThePolicy() external view {
        HANDLER.checkCeilings();
    }

    /// hardhat-config: invariant.runs = 12
    /// hardhat-config: invariant.depth = 60
    function invariant_AStrangerMayDoExactlyWhatIsPublic() external view {
        HANDLER.checkStranger();
    }

    // ------------------------------------------------------------------ fuzz: grants and policies

    function testFuzz_KeepsAGrantAsItWasGiven(
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry
    ) external {
        bytes memory refusal;
        if (permissions == 0 || permissions > Permissions.GRANTABLE) {
            refusal = abi.encodeWithSelector(IDataAccess.PermissionsNotGrantable.selector, permissions);
        } else if (purposes == 0) {
            refusal = abi.encodeWithSelector(IDataAccess.PurposesMissing.selector);
        } else if (notBefore >= expiry || expiry <= block.timestamp) {
            refusal = abi.encodeWithSelector(IDataAccess.WindowInvalid.selector, notBefore, expiry);
        }
        if (refusal.length != 0) vm.expectRevert(refusal);
        vm.prank(owner());
        ACCESS.grant(DEVICE, SUBJECT, permissions, purposes, notBefore, expiry, 0);
        if (refusal.length != 0) return;

        IDataAccess.Grant memory kept = ACCESS.grantOf(DEVICE, SUBJECT);
        assertEq(abi.encode(kept), abi.encode(IDataAccess.Grant(permissions, purposes, notBefore, expiry, 1, 1, true)));
    }

    function testFuzz_TakesGrantsAndPoliciesFromNobodyButTheOwner(address caller) external {
        vm.assume(caller != owner());
        bytes memory refusal = abi.encodeWithSelector(
            IRegistry.CallerLacksPermission.selector,
            owner(),
            caller,
            Permissions.SHARE
        );
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        ACCESS.grant(DEVICE, SUBJECT, 1, 1, 0, type(uint40).max, 0);
        vm.expectRevert(refusal);
        ACCESS.revoke(DEVICE, SUBJECT);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CallerNotGovernor.selector, owner(), caller));
        ACCESS.setPolicy(DEVICE, 0, 0, 0);
        vm.stopPrank();
        assertEq(ACCESS.grantOf(DEVICE, SUBJECT).seq, 0);
        assertFalse(ACCESS.policyOf(DEVICE).owner.isSet);
    }

    function testFuzz_RefusesADevicePolicyThatNobodySigned(
        IDataAccess.DevicePolicy memory policy,
        bytes calldata publicKey,
        bytes calldata signature
    ) external {
        (policy.device, policy.epoch, policy.seq) = (DEVICE, 1, 0);
        policy.ceiling &= Permissions.GRANTABLE;
        policy.publicRead &= Permissions.READ;
        policy.deadline = uint40(bound(policy.deadline, block.timestamp, type(uint40).max));
        bytes32 digest = devicePolicyDigest(address(ACCESS), policy);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.KeyProofInvalid.selector, DEVICE, digest));
        ACCESS.setDevicePolicy(policy, KeyProof(publicKey, signature));
    }

    function testFuzz_RefusesAGrantThatNobodySigned(
        IDataAccess.DataGrant memory dataGrant,
        bytes calldata signature
    ) external {
        (dataGrant.grantor, dataGrant.device, dataGrant.subject) = (owner(), DEVICE, SUBJECT);
        (dataGrant.permissions, dataGrant.purposes) = (Permissions.READ, dataGrant.purposes | 1);
        (dataGrant.notBefore, dataGrant.expiry) = (0, type(uint40).max);
        (dataGrant.epoch, dataGrant.seq) = (1, 0);
        dataGrant.deadline = uint40(bound(dataGrant.deadline, block.timestamp, type(uint40).max));
        bytes memory refusal = abi.encodeWithSelector(
            IRegistry.SignatureInvalid.selector,
            owner(),
            dataGrantDigest(address(ACCESS), dataGrant)
        );
        (, , bytes memory judged) = ACCESS.verifyGrant(dataGrant, signature, 1, 1);
        assertEq(judged, refusal);
        vm.expectRevert(refusal);
        ACCESS.grantWithSignature(dataGrant, signature);
    }

    function testFuzz_RefusesARevocationThatNobodySigned(bytes calldata signature, uint40 deadline) external {
        deadline = uint40(bound(deadline, block.timestamp, type(uint40).max));
        IDataAccess.Revocation memory revocation = IDataAccess.Revocation(owner(), DEVICE, SUBJECT, 1, 2, deadline);
        bytes32 digest = revocationDigest(address(ACCESS), revocation);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.SignatureInvalid.selector, owner(), digest));
        ACCESS.revokeWithSignature(revocation, signature);
    }

    /// @dev Whatever the message says, it is answered and never reverts; if it can be sent, nothing was wrong with it.
    function testFuzz_JudgesEveryMessage(
        IDataAccess.DataGrant memory dataGrant,
        bytes calldata signature,
        uint32 permissions,
        uint8 purpose
    ) external view {
        (bool isAllowed, , bytes memory refusal) = ACCESS.verifyGrant(dataGrant, signature, permissions, purpose);
        assertFalse(isAllowed);
        assertTrue(refusal.length >= 4);
    }

    function testFuzz_KeepsADevicePolicyAsItWasSigned(uint32 ceiling, uint32 publicRead, uint32 purposes) external {
        (ceiling, publicRead) = (ceiling & Permissions.GRANTABLE, publicRead & Permissions.READ);
        _setDevicePolicy(ceiling, publicRead, purposes);
        IDataAccess.Policy memory kept = ACCESS.policyOf(DEVICE);
        assertEq(abi.encode(kept.device), abi.encode(IDataAccess.PolicyHalf(true, ceiling, publicRead, purposes)));
        assertEq(abi.encode(kept.owner), abi.encode(IDataAccess.PolicyHalf(false, 0, 0, 0)));
        assertEq(kept.deviceSeq, 1);
    }

    // ------------------------------------------------------------------ fuzz: decisions

    /// @dev Grant, policies and question are random; what the answer must be is written down once more, in plain words.
    function testFuzz_DecidesByGrantAndPolicy(
        uint32[8] memory masks,
        uint32 permissions,
        uint8 purpose,
        uint40 time
    ) external {
        uint32[8] memory m = masks;
        for (uint256 i = 0; i < 6; i += 2) m[i] &= Permissions.GRANTABLE;
        if (m[0] == 0 || m[1] == 0) return;
        (uint32 ownerPublic, uint32 devicePublic) = (m[6] & Permissions.READ, m[7] & Permissions.READ);
        // One, two or all of the grantable permissions, so that some answers are yes.
        permissions = permissions % 4 == 0 ? permissions & Permissions.ALL : uint32(1) << (permissions % 7);
        purpose = uint8(purpose % 33);

        vm.startPrank(owner());
        ACCESS.grant(DEVICE, SUBJECT, m[0], m[1], 1_800_000_000, 1_900_000_000, 0);
        ACCESS.setPolicy(DEVICE, m[2], ownerPublic, m[3]);
        vm.stopPrank();
        _setDevicePolicy(m[4], devicePublic, m[5]);
        time = uint40(bound(time, 1_800_000_000, 2_000_000_000));
        vm.warp(time);

        bool isQuestion = permissions != 0 && purpose < 32;
        uint256 served = purpose < 32 ? (uint256(m[3]) & m[5]) >> purpose : 0;
        bool isWithinPolicy = isQuestion && served & 1 == 1 && permissions & ~(m[2] & m[4]) == 0;
        bool isPublic = isWithinPolicy && permissions & ~(ownerPublic & devicePublic) == 0;
        bool isGranted = isWithinPolicy && permissions & ~m[0] == 0 && (m[1] >> purpose) & 1 == 1;
        assertEq(
            ACCESS.isAllowed(DEVICE, SUBJECT, permissions, purpose),
            isPublic || (isGranted && time < 1_900_000_000)
        );
        assertEq(ACCESS.isAllowed(DEVICE, address(this), permissions, purpose), isPublic);
        assertEq(ACCESS.isAllowed(DEVICE, owner(), permissions, purpose), isQuestion);
    }

    function testFuzz_AnswersEveryQuestion(
        address device,
        address account,
        uint32 permissions,
        uint8 purpose
    ) external view {
        if (device == DEVICE || account == owner()) return;
        (bool isAllowed, IDataAccess.Reason reason) = ACCESS.explain(device, account, permissions, purpose);
        assertFalse(isAllowed);
        assertFalse(ACCESS.isAllowed(device, account, permissions, purpose));
        bool isQuestion = permissions != 0 && permissions <= Permissions.ALL && purpose < 32;
        IDataAccess.Reason expected =
            isQuestion ? IDataAccess.Reason.DeviceUnknown : IDataAccess.Reason.QuestionInvalid;
        assertEq(uint256(reason), uint256(expected));
        assertEq(ACCESS.grantOf(device, account).seq, 0);
        assertEq(ACCESS.policyOf(device).deviceSeq, 0);
    }

    // ------------------------------------------------------------------ fuzz: words

    function testFuzz_PacksAGrantWithoutLoss(
        uint32 permissions,
        uint32 purposes,
        uint40 notBefore,
        uint40 expiry,
        uint24 epoch,
        uint32 seq,
        bool byOwner
    ) external view {
        GrantWord word = GrantWords.packTerms(permissions, purposes, notBefore, expiry).given(epoch, seq, byOwner);
        assertEq(word.permissions(), permissions);
        assertEq(word.purposes(), purposes);
        assertEq(word.notBefore(), notBefore);
        assertEq(word.expiry(), expiry);
        assertEq(word.epoch(), epoch);
        assertEq(word.seq(), seq);
        assertEq(word.byOwner(), byOwner);
        assertEq(GrantWord.unwrap(word) >> 201, 0);
        assertEq(GrantWord.unwrap(GrantWords.packEnded(seq)), uint256(seq) << 168);
        bool stands = permissions != 0 && expiry > block.timestamp;
        assertEq(word.isStanding(epoch), stands);
        assertFalse(word.isStanding(epoch ^ 1));
    }

    /// @dev A grant that can be given leaves two numbers to end it, and a revoke never comes round to a number before.
    function testFuzz_KeepsNumbersToEndAGrant(uint32 seq) external pure {
        if (seq % 2 == 0) seq = type(uint32).max - (seq % 8);
        GrantWord word = GrantWords.packEnded(seq);
        assertEq(word.hasNext(), seq < type(uint32).max - 2);
        assertGe(word.seqEnded(), seq);
        assertEq(word.seqEnded() == seq, seq == type(uint32).max);
    }

    function testFuzz_ReplacesOneHalfOfAPolicyAndNothingElse(
        uint256 bits,
        uint96 halfBits,
        uint24 epoch,
        uint32 seq
    ) external pure {
        PolicyWord word = PolicyWord.wrap(bits);
        PolicyHalfWord half = PolicyHalfWord.wrap(halfBits);
        uint256 ownerMask = type(uint96).max | (uint256(type(uint24).max) << 192) | (1 << 248);
        uint256 deviceMask = (uint256(type(uint96).max) << 96) | (uint256(type(uint32).max) << 216) | (1 << 249);

        PolicyWord byOwner = word.withOwnerHalf(half, epoch);
        assertEq(PolicyWord.unwrap(byOwner) & ~ownerMask, bits & ~ownerMask);
        assertTrue(byOwner.isOwnerSet(epoch));
        assertFalse(byOwner.isOwnerSet(epoch ^ 1));
        assertEq(PolicyHalfWord.unwrap(byOwner.ownerHalf(epoch)), halfBits);

        PolicyWord byDevice = word.withDeviceHalf(half, seq);
        assertEq(PolicyWord.unwrap(byDevice) & ~deviceMask, bits & ~deviceMask);
        assertTrue(byDevice.isDeviceSet());
        assertEq(byDevice.deviceSeq(), seq);
        assertEq(PolicyHalfWord.unwrap(byDevice.deviceHalf()), halfBits);
    }

    function testFuzz_PacksAHalfWithoutLoss(uint32 ceiling, uint32 publicRead, uint32 purposes) external pure {
        PolicyHalfWord half = PolicyHalfWords.pack(ceiling, publicRead, purposes);
        assertEq(half.ceiling(), ceiling);
        assertEq(half.publicRead(), publicRead);
        assertEq(half.purposes(), purposes);
    }

    // ------------------------------------------------------------------ private

    function _setDevicePolicy(uint32 ceiling, uint32 publicRead, uint32 purposes) private {
        (uint256 key, address device, Scheme scheme) = deviceAt(0);
        IDataAccess.DevicePolicy memory policy = IDataAccess.DevicePolicy({
            device: device,
            ceiling: ceiling,
            publicRead: publicRead,
            purposes: purposes,
            epoch: 1,
            seq: 0,
            deadline: uint40(block.timestamp)
        });
        KeyProof memory proof = prove(key, scheme, devicePolicyDigest(address(ACCESS), policy));
        ACCESS.setDevicePolicy(policy, proof);
    }
}
