// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeviceRegistry} from "../contracts/DeviceRegistry.sol";
import {RoleRegistry} from "../contracts/RoleRegistry.sol";
import {IDeviceRegistry} from "../contracts/interfaces/IDeviceRegistry.sol";
import {IRoleRegistry} from "../contracts/interfaces/IRoleRegistry.sol";
import {KeyProof, Scheme} from "../contracts/libraries/KeyProofs.sol";
import {MerkleLog, Tree} from "../contracts/libraries/MerkleLog.sol";
import {Roles} from "../contracts/libraries/Roles.sol";
import {Keys} from "./support/Keys.sol";
import {Vm} from "./support/Test.sol";
import {
    enrollmentDigest,
    keyRotationDigest,
    makerVoucherDigest,
    redemptionDigest,
    transferAcceptanceDigest,
    transferVoucherDigest
} from "./support/Digests.sol";

/// @dev Leads a few devices through random lives: every function, by right and by wrong callers, signers, keys, epochs and
///      deadlines, alone and in batches. It keeps its own account of what must come of it, by plainer rules than the
///      registry's (an offer is forgotten when it dies, and never compared with counters). A call that succeeds against
///      that account, or fails against it, reverts, and so does a check that finds the registry telling otherwise.
contract DeviceRegistryLives is Keys {
    struct Life {
        IDeviceRegistry.Status status;
        address owner;
        uint24 epoch;
        uint32 manifest;
        uint256 key;
        bool isContinuous;
        address offeredTo;
        uint40 offerEnd;
    }

    /// @dev What is random about a redemption.
    struct Redeeming {
        address newOwner;
        address signer;
        address accepting;
        address caller;
        uint256 key;
        bool isBearer;
        bool isSent;
        bool isMismatched;
    }

    /// @dev The registry took what is wrong, or refused what is right.
    error WentWrong(bool isRight, bytes4 selector, bytes result);

    uint256 private constant DEVICES_COUNT = 4;
    uint256 private constant KEYS_COUNT = 7;
    uint256 private constant CALLERS_COUNT = 10;
    uint32 private constant LISTED = 1;
    uint32 private constant VOUCHED = 2;

    bytes32 private constant SERIAL = "serial";
    bytes32 private constant CLASS = "class";
    bytes32 private constant SIG_AUTH = "sigAuth";
    bytes32 private constant VERI_KEY = "veriKey";

    IDeviceRegistry private immutable DEVICES;
    IRoleRegistry private immutable ROLES;
    address private immutable FLEET;

    uint256[] private _privateKeys;
    address[] private _keyIds;
    bytes[] private _publicKeys;
    address[] private _callers;
    mapping(address account => uint256) private _privateKeyOf;

    Life[DEVICES_COUNT] private _lives;
    address private _governor;
    bool private _isStaffed;
    mapping(uint32 manifest => bool) private _isRevoked;
    mapping(address identity => uint256) private _lastEvent;
    mapping(address controller => uint256) private _nonces;
    mapping(uint256 device => mapping(uint24 epoch => mapping(bytes32 delegateType => uint256))) private _delegateEnds;

    constructor(IDeviceRegistry devices, IRoleRegistry roles) {
        (DEVICES, ROLES) = (devices, roles);
        for (uint256 i = 0; i < KEYS_COUNT; ++i) {
            _privateKeys.push(1000 + i);
            _keyIds.push(keyIdOf(1000 + i, _schemeOf(i)));
            _publicKeys.push(_schemeOf(i) == Scheme.Account ? bytes("") : publicKeyOf(1000 + i));
        }
        for (uint256 i = 0; i < CALLERS_COUNT; ++i) {
            // The last two are the keys of the account devices.
            uint256 privateKey = i < 8 ? 2000 + i : 994 + i;
            _callers.push(vm.addr(privateKey));
            _privateKeyOf[_callers[i]] = privateKey;
        }
        _governor = _callers[2];
        vm.prank(_governor);
        FLEET = roles.createFleet("fleet");
        hire();
        for (uint256 i = 0; i < 3; ++i) _nonces[_ownerAt(i)] = devices.nonce(_ownerAt(i));
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            _lives[i].key = i;
            _nonces[_keyIds[i]] = devices.nonce(_keyIds[i]);
        }
        _publish(LISTED);
        _publish(VOUCHED);
    }

    // ------------------------------------------------------------------ enrolment

    function enroll(uint256 deviceSeed, uint256 ownerSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        uint256 i = deviceSeed % DEVICES_COUNT;
        address owner = _ownerAt(ownerSeed);
        address caller = _callerFor(owner, callerSeed);
        IDeviceRegistry.Enrollment memory enrollment = IDeviceRegistry.Enrollment({
            device: _keyIds[i],
            scheme: _schemeOf(i),
            owner: owner,
            manifest: uint32(seed % 3),
            metadataHash: bytes32(seed),
            deadline: _deadline(seed >> 8, 30 days)
        });
        bytes32 digest = enrollmentDigest(address(DEVICES), enrollment);
        bool isRight = _isTimely(enrollment.deadline) && enrollment.deadline <= block.timestamp + 30 days;
        uint256 key = (seed >> 16) % 8 == 0 ? (seed >> 19) % KEYS_COUNT : i;
        isRight = isRight && key == i;
        bytes memory signature;
        if ((seed >> 24) % 2 == 0) {
            isRight = isRight && (_governs(owner, caller) || _isMember(owner, caller, 5));
        } else {
            address signer = _callerFor(owner, seed >> 32);
            isRight = isRight && _governs(owner, signer);
            signature = signAccount(_privateKeyOf[signer], digest);
        }
        KeyProof memory proof = prove(_privateKeys[key], _schemeOf(key), digest);
        Life storage life = _lives[i];
        isRight = isRight && (life.owner == address(0) || life.owner == owner) && !_isChangedNow(i);
        bytes memory call;
        if (enrollment.manifest == 0) {
            call = abi.encodeCall(DEVICES.enroll, (enrollment, proof, signature));
        } else {
            IDeviceRegistry.ManifestProof memory listed;
            (listed, isRight) = _listed(enrollment, isRight, seed >> 64);
            call = abi.encodeCall(DEVICES.enrollFromManifest, (enrollment, proof, signature, listed));
        }
        bool isNew = life.status == IDeviceRegistry.Status.None;
        if (!isNew) {
            isRight = _isInService(life) && life.owner == owner && life.manifest == enrollment.manifest;
        }
        if (_act(caller, call, isRight, seed >> 128) && isNew) {
            (life.status, life.owner, life.epoch) = (IDeviceRegistry.Status.Active, owner, 1);
            (life.manifest, life.key, life.isContinuous) = (enrollment.manifest, i, true);
        }
    }

    function revokeManifest(uint256 seed, uint256 callerSeed, uint8 reason) external {
        seed = _mix(seed);
        // Final: rarely.
        if (seed % 32 > 1) return;
        uint32 manifest = seed % 2 == 0 ? LISTED : VOUCHED;
        IDeviceRegistry.ManifestTerms memory terms = _terms(manifest);
        bool isWrong = (seed >> 8) % 4 == 0;
        if (isWrong) ++terms.count;
        bool isReason = reason <= 5 || reason == 9 || reason == 10;
        address caller = _callerFor(terms.vendor, callerSeed);
        bool isRight = _governs(terms.vendor, caller) && isReason && !isWrong && !_isRevoked[manifest];
        bytes memory call = abi.encodeCall(DEVICES.revokeManifest, (manifest, terms, reason));
        if (_act(caller, call, isRight, seed >> 16)) _isRevoked[manifest] = true;
    }

    // ------------------------------------------------------------------ in service

    function suspend(uint256 deviceSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        _switch(deviceSeed, callerSeed, seed, true);
    }

    function resume(uint256 deviceSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        _switch(deviceSeed, callerSeed, seed, false);
    }

    function revokeAll(uint256 deviceSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        (uint256 i, Life storage life, address caller) = _pick(deviceSeed, callerSeed);
        (bytes memory publicKey, bool isKey) = _publicKeyFor(i, seed);
        bool isRight = _isInService(life) && _governs(life.owner, caller) && !_isChangedNow(i) && isKey;
        bytes memory call = abi.encodeCall(DEVICES.revokeAll, (_keyIds[i], publicKey));
        if (!_act(caller, call, isRight, seed >> 8)) return;
        _nonces[life.owner] += 1 << 64;
        _nextEpoch(life);
    }

    function retire(uint256 deviceSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        // Final: rarely, or there is soon nothing left to try.
        if (deviceSeed % 16 != 0) return;
        (uint256 i, Life storage life, address caller) = _pick(deviceSeed / 16, callerSeed);
        bool isRight = _isInService(life) && _governs(life.owner, caller);
        if (!_act(caller, abi.encodeCall(DEVICES.retire, (_keyIds[i])), isRight, seed)) return;
        life.status = IDeviceRegistry.Status.Retired;
        _nextEpoch(life);
    }

    function rotateKey(uint256 deviceSeed, uint256 keySeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        (uint256 i, Life storage life, address caller) = _pick(deviceSeed, callerSeed);
        uint256 newKey = keySeed % KEYS_COUNT;
        uint256 oldKey = seed % 8 == 0 ? (seed >> 3) % KEYS_COUNT : life.key;
        IDeviceRegistry.KeyRotation memory rotation = IDeviceRegistry.KeyRotation({
            device: _keyIds[i],
            oldKey: _keyIds[oldKey],
            newKey: _keyIds[newKey],
            newScheme: _schemeOf(newKey),
            epoch: _epochAround(life.epoch, seed >> 8),
            deadline: _deadline(seed >> 16, 0)
        });
        bytes32 digest = keyRotationDigest(address(DEVICES), rotation);
        bool isRight = _isInService(life) && (_governs(life.owner, caller) || _isMember(life.owner, caller, 4));
        isRight = isRight && oldKey == life.key && newKey != oldKey;
        isRight = isRight && rotation.epoch == life.epoch && _isTimely(rotation.deadline);

        uint256 newSigner = (seed >> 24) % 8 == 0 ? (seed >> 27) % KEYS_COUNT : newKey;
        KeyProof memory byNewKey = prove(_privateKeys[newSigner], _schemeOf(newSigner), digest);
        isRight = isRight && newSigner == newKey;
        bool isAgreed = (seed >> 32) % 2 == 0;
        KeyProof memory byOldKey;
        bool isActive = life.status == IDeviceRegistry.Status.Active;
        if (isAgreed) {
            uint256 oldSigner = (seed >> 40) % 4 == 0 ? (seed >> 42) % KEYS_COUNT : life.key;
            byOldKey = prove(_privateKeys[oldSigner], _schemeOf(oldSigner), digest);
            isRight = isRight && isActive && oldSigner == life.key;
        } else {
            bool isKey;
            (byOldKey.publicKey, isKey) = _publicKeyFor(i, seed >> 48);
            isRight = isRight && isKey;
        }
        bytes memory call = abi.encodeCall(DEVICES.rotateKey, (rotation, byNewKey, byOldKey));
        if (!_act(caller, call, isRight, seed >> 128)) return;
        life.key = newKey;
        life.isContinuous = newKey == i || (life.isContinuous && isAgreed);
    }

    // ------------------------------------------------------------------ transfer

    function proposeTransfer(uint256 deviceSeed, uint256 ownerSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        (uint256 i, Life storage life, address caller) = _pick(deviceSeed, callerSeed);
        address newOwner = seed % 16 == 0 ? address(0) : _ownerAt(ownerSeed);
        uint40 end = uint40(block.timestamp + ((seed >> 8) % 4) * 1 hours);
        bool isRight = _isInService(life) && _governs(life.owner, caller);
        isRight = isRight && newOwner != address(0) && newOwner != life.owner && end > block.timestamp;
        bytes memory call = abi.encodeCall(DEVICES.proposeTransfer, (_keyIds[i], newOwner, end));
        if (_act(caller, call, isRight, seed >> 128)) (life.offeredTo, life.offerEnd) = (newOwner, end);
    }

    function cancelTransfer(uint256 deviceSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        (uint256 i, Life storage life, address caller) = _pick(deviceSeed, callerSeed);
        // Or nearly every offer would be cancelled before it is accepted.
        if (seed % 4 != 0 && _governs(life.owner, caller)) return;
        bool isRight = _governs(life.owner, caller) && _isOffered(life);
        bytes memory call = abi.encodeCall(DEVICES.cancelTransfer, (_keyIds[i]));
        if (_act(caller, call, isRight, seed >> 8)) life.offeredTo = address(0);
    }

    function acceptTransfer(uint256 deviceSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        uint256 i = deviceSeed % DEVICES_COUNT;
        Life storage life = _lives[i];
        address caller = _callerFor(life.offeredTo, callerSeed);
        (bytes memory publicKey, bool isKey) = _publicKeyFor(i, seed);
        bool isRight = _isOffered(life) && _governs(life.offeredTo, caller) && isKey && !_isChangedNow(i);
        bytes memory call = abi.encodeCall(DEVICES.acceptTransfer, (_keyIds[i], publicKey));
        if (_act(caller, call, isRight, seed >> 8)) _handOver(life, life.offeredTo);
    }

    function redeemVoucher(uint256 deviceSeed, uint256 ownerSeed, uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        uint256 i = deviceSeed % DEVICES_COUNT;
        Life storage life = _lives[i];
        Redeeming memory r;
        r.newOwner = _ownerAt(ownerSeed);
        r.signer = _callerFor(life.owner, callerSeed);
        r.accepting = _callerFor(r.newOwner, seed >> 64);
        r.caller = _callerFor(r.newOwner, seed >> 72);
        r.key = (seed >> 80) % 8 == 0 ? (seed >> 83) % KEYS_COUNT : life.key;
        r.isBearer = (seed >> 88) % 2 == 0;
        r.isSent = (seed >> 96) % 2 == 0;
        r.isMismatched = (seed >> 104) % 8 == 0;
        _redeem(i, r, _epochAround(life.epoch, seed), _deadline(seed >> 8, 0), seed >> 128);
    }

    // ------------------------------------------------------------------ ERC-1056

    function writeDocument(uint256 deviceSeed, uint256 callerSeed, uint256 kind, uint256 seed) external {
        seed = _mix(seed);
        uint256 i = deviceSeed % DEVICES_COUNT;
        Life storage life = _lives[i];
        address controller = _controllerOf(i);
        address account = _callerFor(controller, callerSeed);
        bool isRight = controller == _keyIds[i] ? account == controller : _governs(controller, account);
        uint256 validity = (seed >> 8) % 1 hours;
        bytes32 name = (seed >> 24) % 2 == 0 ? SIG_AUTH : VERI_KEY;
        address newOwner = (seed >> 32) % 16 == 0 ? address(0) : _ownerAt(seed >> 36);
        kind %= 5;
        if (kind > 2) name = _attribute(seed >> 24);
        bool isKeyName = kind > 2 ? (seed >> 24) % 4 < 2 : name == SIG_AUTH;
        // Rarely: the owner from before limits who a device can be enrolled to.
        if (kind == 0 && life.status == IDeviceRegistry.Status.None && seed % 4 != 0) return;
        isRight = isRight && !((kind == 0 || isKeyName) && _isInService(life));
        isRight = isRight && controller != address(0);

        bytes memory call;
        address caller = account;
        bool isSigned = (seed >> 48) % 2 != 0;
        if (!isSigned) {
            call = _direct(kind, _keyIds[i], newOwner, name, validity);
        } else {
            uint256 nonce = DEVICES.nonce(controller);
            bool isStale = (seed >> 56) % 4 == 0;
            if (isStale) (nonce, isRight) = ((seed >> 60) % 2 == 0 ? nonce + 1 : nonce - 1, false);
            call = _signed(kind, _keyIds[i], newOwner, name, validity, account, nonce);
            caller = _callers[7];
        }
        if (!_act(caller, call, isRight, seed >> 128)) return;
        if (isSigned) ++_nonces[controller];
        if (kind == 0) {
            life.owner = newOwner;
            if (newOwner == address(0)) {
                (life.status, life.epoch, life.isContinuous) = (IDeviceRegistry.Status.Retired, life.epoch + 1, true);
            }
        } else if (kind <= 2) {
            _delegateEnds[i][life.epoch][name] = kind == 1 ? block.timestamp + validity : 0;
        }
    }

    /// @dev A fleet handle is no identity, whoever asks.
    function writeFleetDocument(uint256 callerSeed, uint256 seed) external {
        seed = _mix(seed);
        address caller = _callerFor(FLEET, callerSeed);
        _act(caller, _direct(seed % 5, FLEET, caller, VERI_KEY, 1), false, seed >> 8);
    }

    // ------------------------------------------------------------------ around the devices

    function handOverFleet(bool keepRoles, uint256 seed) external {
        seed = _mix(seed);
        if (seed % 4 != 0) return;
        address next = _governor == _callers[2] ? _callers[3] : _callers[2];
        vm.prank(_governor);
        ROLES.proposeGovernor(FLEET, next);
        vm.prank(next);
        ROLES.acceptGovernor(FLEET, keepRoles);
        _governor = next;
        // Nobody who governed the fleet before, and may again, has signed for these.
        require(DEVICES.nonce(FLEET) != _nonces[FLEET], "the nonce of the former governor");
        _nonces[FLEET] = DEVICES.nonce(FLEET);
        if (!keepRoles) _isStaffed = false;
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            if (_lives[i].owner == FLEET) _lives[i].offeredTo = address(0);
        }
    }

    function hire() public {
        uint32[3] memory roles = [
            Roles.maskOf(Roles.SECURITY),
            Roles.maskOf(Roles.INSTALLER) | Roles.maskOf(Roles.MAKER),
            Roles.maskOf(Roles.AUDITOR)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(_governor);
            ROLES.setRoles(FLEET, _callers[4 + i], roles[i], 0, type(uint40).max);
        }
        _isStaffed = true;
    }

    function pass(uint8 blocks, uint16 time) external {
        vm.roll(block.number + (blocks % 4));
        vm.warp(block.timestamp + (time % 4 == 0 ? time : 12));
    }

    // ------------------------------------------------------------------ checks

    /// @dev All that the registry says of each device is what its life made of it.
    function check() external view {
        for (uint256 i = 0; i < DEVICES_COUNT; ++i) {
            _checkState(i, _lives[i]);
            _checkIdentity(i, _lives[i]);
        }
        for (uint256 i = 0; i < 3; ++i) require(DEVICES.nonce(_ownerAt(i)) == _nonces[_ownerAt(i)], "a nonce");
        require(DEVICES.changed(FLEET) == 0, "a fleet handle has a document");
    }

    function _checkState(uint256 i, Life memory life) private view {
        address id = _keyIds[i];
        bool isKnown = life.status != IDeviceRegistry.Status.None;
        IDeviceRegistry.Device memory device = DEVICES.deviceOf(id);
        require(device.status == life.status, "the status");
        require(device.owner == (isKnown ? life.owner : address(0)), "the owner, who consented");
        require(device.epoch == life.epoch, "the epoch");
        require(device.manifest == life.manifest, "the manifest");
        require(device.keyId == (isKnown ? _keyIds[life.key] : address(0)), "the key that proved itself last");
        require(device.scheme == (isKnown ? _schemeOf(life.key) : Scheme.Account), "the scheme");
        require(device.isContinuous == (isKnown && life.isContinuous), "the consent of the keys before");
        require(device.changed == (isKnown ? _lastEvent[id] : 0), "the block of the last event");

        (address owner, IDeviceRegistry.Status status, uint24 epoch) = DEVICES.stateOf(id);
        require(owner == device.owner && status == device.status && epoch == device.epoch, "stateOf");
        require(DEVICES.ownerOf(id) == owner && DEVICES.statusOf(id) == status, "ownerOf, statusOf");
        require(DEVICES.epochOf(id) == epoch, "epochOf");
        bool isActive = status == IDeviceRegistry.Status.Active;
        require(DEVICES.isActive(id) == isActive, "isActive");
        (address keyId, Scheme scheme) = DEVICES.keyOf(id);
        require(keyId == device.keyId && scheme == device.scheme, "keyOf");
        (keyId, scheme) = DEVICES.activeKeyOf(id);
        require(keyId == (isActive ? device.keyId : address(0)), "activeKeyOf");
        require(
            DEVICES.isGenuine(id) == (life.manifest != 0 && !_isRevoked[life.manifest] && life.isContinuous),
            "isGenuine"
        );
    }

    function _checkIdentity(uint256 i, Life memory life) private view {
        address id = _keyIds[i];
        require(DEVICES.changed(id) == _lastEvent[id], "changed");
        require(DEVICES.identityOwner(id) == _controllerOf(i), "identityOwner");
        require(DEVICES.nonce(id) == _nonces[id], "the identity's nonce");
        (address offeredTo, uint40 end) = DEVICES.pendingTransferOf(id);
        bool isOffered = _isOffered(life);
        require(offeredTo == (isOffered ? life.offeredTo : address(0)), "the offer");
        require(end == (isOffered ? life.offerEnd : 0), "the offer's end");

        address delegate = _callers[7];
        require(DEVICES.validDelegate(id, VERI_KEY, delegate) == _isDelegate(i, VERI_KEY), "a delegate");
        require(DEVICES.validDelegate(id, SIG_AUTH, delegate) == _isDelegate(i, SIG_AUTH), "a delegate for the key");
        bool isKeyAccount = life.status == IDeviceRegistry.Status.Active && _schemeOf(life.key) == Scheme.Account;
        require(DEVICES.validDelegate(id, SIG_AUTH, _keyIds[life.key]) == isKeyAccount, "the key as delegate");
    }

    function _isDelegate(uint256 i, bytes32 delegateType) private view returns (bool) {
        return _delegateEnds[i][_lives[i].epoch][delegateType] > block.timestamp;
    }

    // ------------------------------------------------------------------ private: acting

    /// @dev Calls directly or in a batch, and reverts unless it went as it had to.
    function _act(address caller, bytes memory call, bool isRight, uint256 seed) private returns (bool isDone) {
        bytes memory inner = call;
        uint256 way = seed % 4;
        if (way < 2) {
            bytes[] memory calls = new bytes[](1);
            calls[0] = call;
            call =
                way == 0
                    ? abi.encodeCall(DEVICES.tryMulticall, (calls))
                    : abi.encodeWithSignature("multicall(bytes[])", calls);
        }
        vm.recordLogs();
        vm.prank(caller);
        bytes memory result;
        (isDone, result) = address(DEVICES).call(call);
        if (way == 0 && isDone) isDone = abi.decode(result, (bool[]))[0];
        // Logs are recorded even of what was undone.
        if (isDone) _readLogs();
        // Two changes in one block must be tried, but not all the time.
        if ((seed >> 2) % 2 == 0) vm.roll(block.number + 1);
        if (isDone == isRight) return isDone;
        if (way < 2) {
            vm.prank(caller);
            (, result) = address(DEVICES).call(inner);
        }
        revert WentWrong(isRight, bytes4(inner), result);
    }

    /// @dev Notes in which block each identity's last event of ERC-1056 came.
    function _readLogs() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (
                topic == keccak256("DIDOwnerChanged(address,address,uint256)") ||
                topic == keccak256("DIDDelegateChanged(address,bytes32,address,uint256,uint256)") ||
                topic == keccak256("DIDAttributeChanged(address,bytes32,bytes,uint256,uint256)")
            ) _lastEvent[address(uint160(uint256(logs[i].topics[1])))] = block.number;
        }
    }

    function _switch(uint256 deviceSeed, uint256 callerSeed, uint256 seed, bool off) private {
        (uint256 i, Life storage life, address caller) = _pick(deviceSeed, callerSeed);
        bool isWrongKey = seed % 8 == 0;
        bytes memory publicKey = isWrongKey ? bytes("wrong") : _publicKeys[life.key];
        (IDeviceRegistry.Status from, IDeviceRegistry.Status to) = off
            ? (IDeviceRegistry.Status.Active, IDeviceRegistry.Status.Suspended)
            : (IDeviceRegistry.Status.Suspended, IDeviceRegistry.Status.Active);
        bool isRight = life.status == from && !isWrongKey;
        isRight = isRight && (_governs(life.owner, caller) || _isMember(life.owner, caller, 4));
        bytes memory call =
            off
                ? abi.encodeCall(DEVICES.suspend, (_keyIds[i], publicKey))
                : abi.encodeCall(DEVICES.resume, (_keyIds[i], publicKey));
        if (_act(caller, call, isRight, seed >> 8)) life.status = to;
    }

    function _redeem(uint256 i, Redeeming memory r, uint24 epoch, uint40 deadline, uint256 seed) private {
        Life storage life = _lives[i];
        address named = r.isMismatched ? _callers[7] : r.newOwner;
        IDeviceRegistry.TransferVoucher memory voucher = IDeviceRegistry.TransferVoucher({
            device: _keyIds[i],
            newOwner: r.isBearer ? address(0) : named,
            epoch: epoch,
            deadline: deadline
        });
        IDeviceRegistry.TransferVoucher memory terms = IDeviceRegistry.TransferVoucher({
            device: _keyIds[i],
            newOwner: named,
            epoch: epoch,
            deadline: deadline
        });
        IDeviceRegistry.AcceptanceProof memory acceptance = IDeviceRegistry.AcceptanceProof(r.newOwner, deadline, "");
        bytes32 digest = transferAcceptanceDigest(address(DEVICES), terms);
        if (!r.isSent) acceptance.signature = signAccount(_privateKeyOf[r.accepting], digest);
        digest = redemptionDigest(address(DEVICES), terms);
        KeyProof memory byDevice = prove(_privateKeys[r.key], _schemeOf(r.key), digest);
        IDeviceRegistry.RedemptionProof memory redemption = IDeviceRegistry.RedemptionProof({
            deadline: deadline,
            publicKey: byDevice.publicKey,
            signature: byDevice.signature
        });
        digest = transferVoucherDigest(address(DEVICES), voucher);

        bool isRight = _isInService(life) && epoch == life.epoch && _isTimely(deadline) && !_isChangedNow(i);
        isRight = isRight && r.newOwner != life.owner && _governs(life.owner, r.signer);
        isRight = isRight && _governs(r.newOwner, r.isSent ? r.caller : r.accepting);
        // Who is named elsewhere than in what is sent: in the voucher, the signed acceptance or the redemption.
        isRight = isRight && !(r.isMismatched && (!r.isBearer || !r.isSent));
        bool isActive = life.status == IDeviceRegistry.Status.Active;
        if (r.isBearer) isRight = isRight && isActive && r.key == life.key && !r.isMismatched;
        if (isActive) isRight = isRight && keccak256(byDevice.publicKey) == keccak256(_publicKeys[life.key]);
        bytes memory signature = signAccount(_privateKeyOf[r.signer], digest);
        bytes memory call = abi.encodeCall(DEVICES.redeemVoucher, (voucher, signature, acceptance, redemption));
        if (_act(r.caller, call, isRight, seed)) _handOver(life, r.newOwner);
    }

    function _direct(
        uint256 kind,
        address id,
        address newOwner,
        bytes32 name,
        uint256 validity
    ) private view returns (bytes memory) {
        if (kind == 0) return abi.encodeCall(DEVICES.changeOwner, (id, newOwner));
        if (kind == 1) return abi.encodeCall(DEVICES.addDelegate, (id, name, _callers[7], validity));
        if (kind == 2) return abi.encodeCall(DEVICES.revokeDelegate, (id, name, _callers[7]));
        if (kind == 3) return abi.encodeCall(DEVICES.setAttribute, (id, name, "value", validity));
        return abi.encodeCall(DEVICES.revokeAttribute, (id, name, "value"));
    }

    function _signed(
        uint256 kind,
        address id,
        address newOwner,
        bytes32 name,
        uint256 validity,
        address signer,
        uint256 nonce
    ) private view returns (bytes memory) {
        bytes memory action;
        if (kind == 0) action = abi.encodePacked("changeOwner", newOwner);
        if (kind == 1) action = abi.encodePacked("addDelegate", name, _callers[7], validity);
        if (kind == 2) action = abi.encodePacked("revokeDelegate", name, _callers[7]);
        if (kind == 3) action = abi.encodePacked("setAttribute", name, "value", validity);
        if (kind == 4) action = abi.encodePacked("revokeAttribute", name, "value");
        bytes32 digest = keccak256(abi.encodePacked(hex"1900", address(DEVICES), nonce, id, action));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_privateKeyOf[signer], digest);
        if (kind == 0) return abi.encodeCall(DEVICES.changeOwnerSigned, (id, v, r, s, newOwner));
        if (kind == 1) return abi.encodeCall(DEVICES.addDelegateSigned, (id, v, r, s, name, _callers[7], validity));
        if (kind == 2) return abi.encodeCall(DEVICES.revokeDelegateSigned, (id, v, r, s, name, _callers[7]));
        if (kind == 3) return abi.encodeCall(DEVICES.setAttributeSigned, (id, v, r, s, name, "value", validity));
        return abi.encodeCall(DEVICES.revokeAttributeSigned, (id, v, r, s, name, "value"));
    }

    // ------------------------------------------------------------------ private: the account of it

    function _nextEpoch(Life storage life) private {
        ++life.epoch;
        life.offeredTo = address(0);
    }

    function _handOver(Life storage life, address newOwner) private {
        _nonces[life.owner] += 1 << 64;
        life.owner = newOwner;
        _nextEpoch(life);
    }

    function _isInService(Life memory life) private pure returns (bool) {
        return life.status == IDeviceRegistry.Status.Active || life.status == IDeviceRegistry.Status.Suspended;
    }

    function _isOffered(Life memory life) private view returns (bool) {
        return life.offeredTo != address(0) && block.timestamp < life.offerEnd;
    }

    function _isChangedNow(uint256 i) private view returns (bool) {
        return _lastEvent[_keyIds[i]] == block.number;
    }

    function _controllerOf(uint256 i) private view returns (address) {
        Life memory life = _lives[i];
        if (life.status == IDeviceRegistry.Status.Retired) return address(0);
        return life.owner == address(0) ? _keyIds[i] : life.owner;
    }

    function _governorOf(address owner) private view returns (address) {
        return owner == FLEET ? _governor : owner;
    }

    function _governs(address owner, address account) private view returns (bool) {
        return owner != address(0) && account == _governorOf(owner);
    }

    /// @dev The caller number 4 is the fleet's Security, 5 its Installer and Maker.
    function _isMember(address owner, address account, uint256 caller) private view returns (bool) {
        return owner == FLEET && _isStaffed && account == _callers[caller];
    }

    // ------------------------------------------------------------------ private: choosing

    function _schemeOf(uint256 key) private pure returns (Scheme) {
        return
            [
                Scheme.P256,
                Scheme.P256Sha256,
                Scheme.Account,
                Scheme.Account,
                Scheme.P256,
                Scheme.P256Sha256,
                Scheme.Account
            ][key];
    }

    function _ownerAt(uint256 seed) private view returns (address) {
        uint256 index = seed % 3;
        return index == 2 ? FLEET : _callers[index];
    }

    function _pick(
        uint256 deviceSeed,
        uint256 callerSeed
    ) private view returns (uint256 i, Life storage life, address caller) {
        i = deviceSeed % DEVICES_COUNT;
        life = _lives[i];
        caller = _callerFor(life.owner, callerSeed);
    }

    /// @dev The runner likes small numbers, in whose upper bits nothing is random.
    function _mix(uint256 seed) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed)));
    }

    /// @dev Mostly who may, else anybody: other owners, former governors, members, devices, a stranger.
    function _callerFor(address owner, uint256 seed) private view returns (address) {
        address governor = _governorOf(owner);
        return seed % 3 != 0 && _privateKeyOf[governor] != 0 ? governor : _callers[(seed / 3) % CALLERS_COUNT];
    }

    function _publicKeyFor(uint256 i, uint256 seed) private view returns (bytes memory publicKey, bool isRight) {
        Life memory life = _lives[i];
        publicKey = seed % 8 == 0 ? bytes("wrong") : _publicKeys[life.key];
        // It is asked for only where the key stands in the document.
        isRight = seed % 8 != 0 || life.status != IDeviceRegistry.Status.Active;
    }

    /// @dev Now, in an hour, or, seldom, over or (where there is a limit) too late.
    function _deadline(uint256 seed, uint256 limit) private view returns (uint40) {
        if (seed % 16 == 0) return uint40(block.timestamp - 1);
        if (seed % 16 == 1 && limit != 0) return uint40(block.timestamp + limit + 1);
        return uint40(block.timestamp + (seed % 2) * 1 hours);
    }

    function _isTimely(uint40 deadline) private view returns (bool) {
        return block.timestamp <= deadline;
    }

    function _epochAround(uint24 epoch, uint256 seed) private pure returns (uint24) {
        if (seed % 8 == 0 && epoch != 0) return epoch - 1;
        return seed % 8 == 1 ? epoch + 1 : epoch;
    }

    function _attribute(uint256 seed) private pure returns (bytes32) {
        return
            [bytes32("did/pub/Multikey/sigAuth"), "did/pub/Secp256k1/sigAuth/hex", "did/pub/X25519/enc", "did/svc/Hub"][
                seed % 4
            ];
    }

    // ------------------------------------------------------------------ private: manifests

    /// @dev Devices 0 and 1 are in the manifest LISTED of the first owner, 2 and 3 in VOUCHED of the fleet.
    function _publish(uint32 manifest) private {
        IDeviceRegistry.ManifestTerms memory terms = _terms(manifest);
        vm.prank(_governorOf(terms.vendor));
        uint32 number = DEVICES.publishManifest(
            terms.vendor,
            CLASS,
            terms.root,
            terms.count,
            terms.voucherRequired,
            "uri"
        );
        require(number == manifest, "the manifest's number");
    }

    function _terms(uint32 manifest) private view returns (IDeviceRegistry.ManifestTerms memory) {
        uint256 first = manifest == LISTED ? 0 : 2;
        return
            IDeviceRegistry.ManifestTerms({
                vendor: manifest == LISTED ? _callers[0] : FLEET,
                root: MerkleLog.hashNode(Tree.Keccak256, _leaf(first), _leaf(first + 1)),
                count: 2,
                voucherRequired: manifest == VOUCHED
            });
    }

    function _leaf(uint256 i) private view returns (bytes32) {
        return MerkleLog.hashLeaf(Tree.Keccak256, abi.encodePacked(uint8(4), _keyIds[i], _schemeOf(i), SERIAL));
    }

    function _listed(
        IDeviceRegistry.Enrollment memory enrollment,
        bool isRight,
        uint256 seed
    ) private view returns (IDeviceRegistry.ManifestProof memory proof, bool) {
        uint256 i = 0;
        while (_keyIds[i] != enrollment.device) ++i;
        proof.terms = _terms(enrollment.manifest);
        proof.serialHash = SERIAL;
        proof.index = uint32(i % 2);
        proof.path = new bytes32[](1);
        proof.path[0] = _leaf(i ^ 1);
        isRight = isRight && (i < 2) == (enrollment.manifest == LISTED) && !_isRevoked[enrollment.manifest];
        if (!proof.terms.voucherRequired) return (proof, isRight);

        address signer = _callerFor(FLEET, seed);
        proof.voucherBy = signer;
        proof.voucherDeadline = _deadline(seed >> 8, 0);
        bytes32 digest = makerVoucherDigest(address(DEVICES), enrollment, proof.voucherDeadline);
        bool isForged = (seed >> 16) % 8 == 0;
        proof.voucherSignature = signAccount(isForged ? _privateKeyOf[_callers[7]] : _privateKeyOf[signer], digest);
        isRight = isRight && _isTimely(proof.voucherDeadline);
        isRight = isRight && !(isForged && signer != _callers[7]);
        isRight = isRight && (_governs(FLEET, signer) || _isMember(FLEET, signer, 5));
        return (proof, isRight);
    }
}

contract DeviceRegistryInvariantsTest is Keys {
    DeviceRegistryLives private _lives;

    function setUp() external {
        vm.warp(1_800_000_000);
        vm.roll(20_000_000);
        RoleRegistry roles = new RoleRegistry();
        _lives = new DeviceRegistryLives(new DeviceRegistry(roles), roles);
        targetContract(address(_lives));
    }

    /// hardhat-config: invariant.runs = 100
    /// hardhat-config: invariant.depth = 250
    function invariant_EveryDeviceIsWhatItsLifeMadeOfIt() external view {
        _lives.check();
    }
}
