// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IERC1056} from "../interfaces/IERC1056.sol";
import {Scheme} from "../libraries/KeyProofs.sol";
import {FleetAuthority} from "./FleetAuthority.sol";

/// @title ERC1056
/// @notice The registry of ERC-1056. Any address is an identity; those that are enrolled as devices follow stricter rules.
/// @dev Resolvers read only events, from the block `changed` backwards along `previousChange`. So each transaction that
///      moves `changed` emits one of these events, and where `previousChange` is 0 the walk ends and nothing older survives.
abstract contract ERC1056 is FleetAuthority, IERC1056 {
    // ------------------------------------------------------------------ constants

    /// @dev "For ever" for a resolver: it fits the dates of JavaScript.
    uint256 private constant FOR_EVER = type(uint40).max;
    /// @dev Resolvers take any time before now as "no longer"; 0 is so in the block of the change too.
    uint256 private constant NO_LONGER = 0;

    bytes32 private constant KEY_ATTRIBUTE = "did/pub/Multikey/sigAuth";
    bytes32 private constant KEY_DELEGATE = "sigAuth";

    // ------------------------------------------------------------------ storage

    /// @dev By epoch, so that all delegates of a device die at once.
    mapping(address identity => mapping(uint24 epoch => mapping(bytes32 delegateType => mapping(address delegate => uint256 validTo))))
        private _delegates;

    mapping(address controller => uint256 count) private _nonces;

    // ------------------------------------------------------------------ writes

    /// @inheritdoc IERC1056
    function changeOwner(address identity, address newOwner) external override {
        _requireController(identity);
        _changeOwner(identity, newOwner);
    }

    /// @inheritdoc IERC1056
    function changeOwnerSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        address newOwner
    ) external override {
        _requireSigned(identity, sigV, sigR, sigS, abi.encodePacked("changeOwner", newOwner));
        _changeOwner(identity, newOwner);
    }

    /// @inheritdoc IERC1056
    function addDelegate(address identity, bytes32 delegateType, address delegate, uint256 validity) external override {
        _requireController(identity);
        _addDelegate(identity, delegateType, delegate, validity);
    }

    /// @inheritdoc IERC1056
    function addDelegateSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 delegateType,
        address delegate,
        uint256 validity
    ) external override {
        bytes memory action = abi.encodePacked("addDelegate", delegateType, delegate, validity);
        _requireSigned(identity, sigV, sigR, sigS, action);
        _addDelegate(identity, delegateType, delegate, validity);
    }

    /// @inheritdoc IERC1056
    function revokeDelegate(address identity, bytes32 delegateType, address delegate) external override {
        _requireController(identity);
        _revokeDelegate(identity, delegateType, delegate);
    }

    /// @inheritdoc IERC1056
    function revokeDelegateSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 delegateType,
        address delegate
    ) external override {
        bytes memory action = abi.encodePacked("revokeDelegate", delegateType, delegate);
        _requireSigned(identity, sigV, sigR, sigS, action);
        _revokeDelegate(identity, delegateType, delegate);
    }

    /// @inheritdoc IERC1056
    function setAttribute(address identity, bytes32 name, bytes calldata value, uint256 validity) external override {
        _requireController(identity);
        _writeAttribute(identity, name, value, _endOf(validity));
    }

    /// @inheritdoc IERC1056
    function setAttributeSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 name,
        bytes calldata value,
        uint256 validity
    ) external override {
        _requireSigned(identity, sigV, sigR, sigS, abi.encodePacked("setAttribute", name, value, validity));
        _writeAttribute(identity, name, value, _endOf(validity));
    }

    /// @inheritdoc IERC1056
    function revokeAttribute(address identity, bytes32 name, bytes calldata value) external override {
        _requireController(identity);
        _writeAttribute(identity, name, value, NO_LONGER);
    }

    /// @inheritdoc IERC1056
    function revokeAttributeSigned(
        address identity,
        uint8 sigV,
        bytes32 sigR,
        bytes32 sigS,
        bytes32 name,
        bytes calldata value
    ) external override {
        _requireSigned(identity, sigV, sigR, sigS, abi.encodePacked("revokeAttribute", name, value));
        _writeAttribute(identity, name, value, NO_LONGER);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IERC1056
    function validDelegate(
        address identity,
        bytes32 delegateType,
        address delegate
    ) external view override returns (bool) {
        if (delegateType == KEY_DELEGATE && _isKeyOfDevice(identity, delegate)) return true;
        return _delegates[identity][_epochOf(identity)][delegateType][delegate] > block.timestamp;
    }

    /// @inheritdoc IERC1056
    function nonce(address controller) public view override returns (uint256) {
        // Clients read it and sign it, and so sign for this chain, contract, controller and governor, which their message
        // does not name: who governs two fleets, or one of them twice, would else sign for both. Half of the numbers leave
        // room to count.
        uint32 handovers = ROLE_REGISTRY.handoversOf(controller);
        uint256 start = uint256(keccak256(abi.encode(block.chainid, address(this), controller, handovers))) >> 1;
        return start + _nonces[controller];
    }

    /// @inheritdoc IERC1056
    function identityOwner(address identity) public view virtual override returns (address);

    // ------------------------------------------------------------------ for the registry of devices

    /// @dev Whether the identity is a device in service.
    function _isDevice(address identity) internal view virtual returns (bool);

    /// @dev Whether the account is the key of an active device.
    function _isKeyOfDevice(address identity, address account) internal view virtual returns (bool);

    /// @dev What delegates are bound to; 0 as long as the identity is no device.
    function _epochOf(address identity) internal view virtual returns (uint24);

    /// @dev Records the change, and returns the block of the one before.
    function _touch(address identity) internal virtual returns (uint256 previousChange);

    /// @dev Records the change and the new owner of an identity that is no device; zero deactivates it for ever.
    function _setOwner(address identity, address newOwner) internal virtual returns (uint256 previousChange);

    /// @dev Voids what the controller signed and nobody sent yet, also what was to be sent one after the other.
    function _voidSignatures(address controller) internal {
        _nonces[controller] += 1 << 64;
    }

    function _addKey(
        address identity,
        address keyId,
        Scheme scheme,
        bytes calldata publicKey,
        uint256 previousChange
    ) internal {
        _emitKey(identity, keyId, scheme, publicKey, FOR_EVER, previousChange);
    }

    function _removeKey(
        address identity,
        address keyId,
        Scheme scheme,
        bytes calldata publicKey,
        uint256 previousChange
    ) internal {
        _emitKey(identity, keyId, scheme, publicKey, NO_LONGER, previousChange);
    }

    // ------------------------------------------------------------------ private: who

    function _requireController(address identity) private view {
        _requireUsable(identity);
        address controller = identityOwner(identity);
        require(_speaksFor(identity, controller, msg.sender), NotController(identity, controller, msg.sender));
    }

    /// @dev `action` is the name of the action and its arguments, packed.
    function _requireSigned(address identity, uint8 sigV, bytes32 sigR, bytes32 sigS, bytes memory action) private {
        _requireUsable(identity);
        address controller = identityOwner(identity);
        bytes32 digest = keccak256(abi.encodePacked(hex"1900", this, nonce(controller), identity, action));
        (address signer, ECDSA.RecoverError err, ) = ECDSA.tryRecover(digest, sigV, sigR, sigS);
        require(
            err == ECDSA.RecoverError.NoError && _speaksFor(identity, controller, signer),
            ControllerSignatureInvalid(identity, controller, digest)
        );
        ++_nonces[controller];
    }

    /// @dev An identity without an owner takes nothing but its own key. So a fleet handle is no identity: what its governor
    ///      published would outlive the handover of the fleet.
    function _speaksFor(address identity, address controller, address account) private view returns (bool) {
        return controller == identity ? account == identity : _isGovernor(controller, account);
    }

    // ------------------------------------------------------------------ private: what

    function _changeOwner(address identity, address newOwner) private {
        require(!_isDevice(identity), TransferNeedsConsent(identity));
        if (newOwner != address(0)) _requireUsable(newOwner);
        emit DIDOwnerChanged(identity, newOwner, _setOwner(identity, newOwner));
    }

    function _addDelegate(address identity, bytes32 delegateType, address delegate, uint256 validity) private {
        _requireFreeType(identity, delegateType);
        uint256 validTo = _endOf(validity);
        _delegates[identity][_epochOf(identity)][delegateType][delegate] = validTo;
        emit DIDDelegateChanged(identity, delegateType, delegate, validTo, _touch(identity));
    }

    function _revokeDelegate(address identity, bytes32 delegateType, address delegate) private {
        _requireFreeType(identity, delegateType);
        delete _delegates[identity][_epochOf(identity)][delegateType][delegate];
        emit DIDDelegateChanged(identity, delegateType, delegate, NO_LONGER, _touch(identity));
    }

    function _writeAttribute(address identity, bytes32 name, bytes calldata value, uint256 validTo) private {
        require(!(_isKeyAttribute(name) && _isDevice(identity)), KeyReserved(identity, name));
        emit DIDAttributeChanged(identity, name, value, validTo, _touch(identity));
    }

    function _endOf(uint256 validity) private view returns (uint256) {
        require(validity <= type(uint256).max - block.timestamp, ValidityTooLong(validity));
        return block.timestamp + validity;
    }

    /// @dev "sigAuth", whatever follows its end.
    function _requireFreeType(address identity, bytes32 delegateType) private view {
        bool isKey = bytes8(delegateType) == bytes8(KEY_DELEGATE);
        require(!(isKey && _isDevice(identity)), KeyReserved(identity, delegateType));
    }

    /// @dev Resolvers parse such names, and not all alike: any "did/pub/…" with "/sigAuth" anywhere counts.
    function _isKeyAttribute(bytes32 name) private pure returns (bool) {
        if (bytes8(name) != "did/pub/") return false;
        for (uint256 i = 7; i <= 24; ++i) {
            if (bytes8(name << (8 * i)) == "/sigAuth") return true;
        }
        return false;
    }

    /// @dev `publicKey` is known to belong to `keyId`. A P-256 key appears as Multikey, 0x8024 (its multicodec) and the
    ///      compressed point; an account as a delegate.
    function _emitKey(
        address identity,
        address keyId,
        Scheme scheme,
        bytes calldata publicKey,
        uint256 validTo,
        uint256 previousChange
    ) private {
        if (scheme == Scheme.Account) {
            emit DIDDelegateChanged(identity, KEY_DELEGATE, keyId, validTo, previousChange);
        } else {
            bytes1 sign = bytes1(2 | (uint8(publicKey[63]) & 1));
            bytes memory multikey = abi.encodePacked(hex"8024", sign, publicKey[:32]);
            emit DIDAttributeChanged(identity, KEY_ATTRIBUTE, multikey, validTo, previousChange);
        }
    }
}
