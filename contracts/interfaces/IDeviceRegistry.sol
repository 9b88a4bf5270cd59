// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {KeyProof, Scheme} from "../libraries/KeyProofs.sol";
import {IBatch} from "./IBatch.sol";
import {IERC1056} from "./IERC1056.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title IDeviceRegistry
/// @notice Who a device is: its id and key, its owner, and whether it may be trusted now.
/// @dev A device's id is the id of its factory key: the account, or the last 20 bytes of keccak256(qx ‖ qy) for P-256.
///      "By the owner" means by the owner's governor, see IRoleRegistry.
/// @custom:security-contact See SECURITY.md
interface IDeviceRegistry is IRegistry, IERC1056, IBatch {
    // ------------------------------------------------------------------ structs

    /// @notice Where a device is in its life.
    enum Status {
        /// @custom:value0 Never enrolled.
        None,
        /// @custom:value1 In service.
        Active,
        /// @custom:value2 Out of service until resumed: nothing its key says is accepted.
        Suspended,
        /// @custom:value3 Out of service for ever.
        Retired
    }

    /// @notice All that the registry knows of a device.
    /// @param owner An account or a fleet handle; the last owner for a retired device.
    /// @param keyId Id of the key that speaks for the device now.
    /// @param scheme How that key signs.
    /// @param status Where the device is in its life.
    /// @param epoch Counts from 1 at enrolment; raised whenever what the owner signed or granted must die.
    /// @param manifest Number of the manifest it was enrolled from; 0 for single devices.
    /// @param changed Block of the latest change to its DID document.
    /// @param isContinuous Whether the key is the factory key, or one that came after it with the consent of each key before.
    struct Device {
        address owner;
        address keyId;
        Scheme scheme;
        Status status;
        uint24 epoch;
        uint32 manifest;
        uint40 changed;
        bool isContinuous;
    }

    /// @notice EIP-712 message by which a device names its owner, and the owner agrees.
    /// @param device Id of the device's factory key.
    /// @param scheme How that key signs.
    /// @param owner An account or a fleet handle.
    /// @param manifest Number of the manifest that lists the device; 0 for a single device.
    /// @param metadataHash Hash of what the owner keeps about the device off chain; 0 for nothing.
    /// @param deadline Unix seconds until which the message is valid, at most 30 days ahead.
    struct Enrollment {
        address device;
        Scheme scheme;
        address owner;
        uint32 manifest;
        bytes32 metadataHash;
        uint40 deadline;
    }

    /// @notice What a maker publishes about the devices that left its factory; the registry keeps only its hash.
    /// @param vendor The maker: an account or a fleet handle.
    /// @param root Root of the keccak256 tree (RFC 9162) over the devices: the leaf of a device is
    ///        `keccak256(0x00 ‖ 0x04 ‖ device20 ‖ scheme1 ‖ serialHash32)`.
    /// @param count How many devices the tree has.
    /// @param voucherRequired Whether the maker must also sign for each enrolment.
    struct ManifestTerms {
        address vendor;
        bytes32 root;
        uint32 count;
        bool voucherRequired;
    }

    /// @notice Shows that a device is in a manifest and, where the maker asks for it, that it may be enrolled.
    /// @param terms What the maker published.
    /// @param index The device's place in the tree.
    /// @param serialHash Salted hash of its serial number; 0 for none.
    /// @param path Siblings from the device's leaf up to the root.
    /// @param voucherBy The vendor's governor, or its member with PublishManifest, who signed the voucher.
    /// @param voucherDeadline Unix seconds until which the voucher is valid.
    /// @param voucherSignature Over `MakerVoucher(uint32 manifest,address device,address owner,uint40 deadline)`.
    struct ManifestProof {
        ManifestTerms terms;
        uint32 index;
        bytes32 serialHash;
        bytes32[] path;
        address voucherBy;
        uint40 voucherDeadline;
        bytes voucherSignature;
    }

    /// @notice What the registry can tell of a manifest by its number; all zero for an unknown one.
    /// @param classId `keccak256(abi.encode(vendor, hardwareClass))`, as in IFirmwareRegistry.
    /// @param isRevoked Whether the maker revoked it.
    /// @param reason Why, as in RFC 5280.
    struct Manifest {
        bytes32 classId;
        bool isRevoked;
        uint8 reason;
    }

    /// @notice EIP-712 message by which the owner gives a device away.
    /// @param newOwner An account or a fleet handle; zero for a bearer voucher: whoever the device itself names.
    /// @param epoch The device's epoch, with which the voucher dies.
    /// @param deadline Unix seconds.
    struct TransferVoucher {
        address device;
        address newOwner;
        uint24 epoch;
        uint40 deadline;
    }

    /// @notice The new owner's consent to a voucher.
    /// @param newOwner Who becomes the owner.
    /// @param deadline Unix seconds until which the signature is valid; ignored without one.
    /// @param signature By its governor over `TransferAcceptance(address device,address newOwner,uint24 epoch,uint40
    ///        deadline)`; empty if the governor sends.
    struct AcceptanceProof {
        address newOwner;
        uint40 deadline;
        bytes signature;
    }

    /// @notice The device's consent to a bearer voucher, and its public key.
    /// @param deadline Unix seconds until which the signature is valid; ignored for a named voucher.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account.
    /// @param signature Over `Redemption(address device,address newOwner,uint24 epoch,uint40 deadline)`; ignored for a
    ///        named voucher.
    struct RedemptionProof {
        uint40 deadline;
        bytes publicKey;
        bytes signature;
    }

    /// @notice EIP-712 message by which a new key takes over, and the old one agrees if it can.
    /// @param oldKey Id of the key that speaks for the device now.
    /// @param newKey Id of the key that shall.
    /// @param newScheme How the new key signs.
    /// @param epoch The device's epoch, with which the message dies.
    /// @param deadline Unix seconds.
    struct KeyRotation {
        address device;
        address oldKey;
        address newKey;
        Scheme newScheme;
        uint24 epoch;
        uint40 deadline;
    }

    // ------------------------------------------------------------------ errors

    /// @notice The device is enrolled already, and not as this message says.
    error DeviceAlreadyEnrolled(address device, address owner);

    /// @notice The device has the status `status`, in which this cannot be done.
    error DeviceStatusInvalid(address device, Status status);

    /// @notice The public key does not belong to the device's key `keyId` (it is empty for account keys).
    error PublicKeyMismatch(address keyId, bytes publicKey);

    /// @notice The DID document changed in this block already; send again in the next one.
    error DeviceChangedInBlock(address device, uint256 blockNumber);

    /// @notice The deadline is further ahead than `latest` (Unix seconds).
    error DeadlineTooFar(uint40 deadline, uint256 latest);

    /// @notice The identity has an owner since before (ERC-1056), and can be enrolled to that owner only.
    error OwnedByAnother(address identity, address owner);

    /// @notice There is no manifest with this number.
    error ManifestUnknown(uint32 manifest);

    /// @notice A device of a manifest is enrolled with proof that it is in it: `enrollFromManifest`.
    error ManifestProofMissing(uint32 manifest);

    /// @notice A manifest lists at least one device, under a root that is not zero.
    error ManifestEmpty(bytes32 root, uint32 count);

    /// @notice No further manifest can be numbered.
    error ManifestsExhausted();

    /// @notice These are not the terms that were published under this number.
    error ManifestTermsMismatch(uint32 manifest);

    /// @notice The maker revoked the manifest, for this reason (RFC 5280).
    error ManifestNoLongerValid(uint32 manifest, uint8 reason);

    /// @notice Not a reason of RFC 5280 for which something is revoked for good.
    error RevocationReasonInvalid(uint8 reason);

    /// @notice The proof does not show that the device, with this scheme, is in the manifest.
    error DeviceNotInManifest(uint32 manifest, address device);

    /// @notice The maker's signer neither governs the vendor nor has a role with PublishManifest there.
    error MakerInvalid(address vendor, address signer);

    /// @notice The message was signed in another epoch of the device.
    error EpochStale(address device, uint24 current, uint24 given);

    /// @notice The new owner is the present one.
    error OwnerUnchanged(address device, address owner);

    /// @notice The transfer would end before it began: `expiry` (Unix seconds) is over.
    error ExpiryPassed(uint40 expiry);

    /// @notice Nothing is proposed for the device, or no longer.
    error TransferNotPending(address device);

    /// @notice The voucher names another new owner than the one who accepts.
    error NewOwnerMismatch(address named, address given);

    /// @notice The key that speaks for the device is `current`, not the one named.
    error KeyStale(address device, address current, address given);

    /// @notice The new key is the present one.
    error KeyUnchanged(address device, address keyId);

    /// @notice The epoch is so near its end that only transfers may raise it.
    error EpochExhausted(address device, uint24 epoch);

    // ------------------------------------------------------------------ events

    /// @notice The device proved its key and belongs to its first owner.
    event DeviceEnrolled(
        address indexed device,
        address indexed owner,
        uint32 indexed manifest,
        Scheme scheme,
        bytes32 metadataHash,
        address by
    );

    /// @notice The device was taken out of service.
    event DeviceSuspended(address indexed device, address indexed owner, address indexed by);

    /// @notice The device was taken into service again.
    event DeviceResumed(address indexed device, address indexed owner, address indexed by);

    /// @notice The device left service for ever.
    event DeviceRetired(address indexed device, address indexed owner, address indexed by, uint24 epoch);

    /// @notice All that the owner granted or signed for the device before died.
    event AllRevoked(address indexed device, address indexed owner, address indexed by, uint24 epoch);

    /// @notice The owner offers the device until `expiry` (Unix seconds); takes the place of an offer before.
    event TransferProposed(
        address indexed device,
        address indexed owner,
        address indexed newOwner,
        uint40 expiry,
        uint24 epoch,
        address by
    );

    /// @notice The owner took back its offer.
    event TransferCancelled(address indexed device, address indexed owner, address indexed newOwner, address by);

    /// @notice The device belongs to another owner, in a new epoch.
    event DeviceTransferred(
        address indexed device,
        address indexed owner,
        address indexed newOwner,
        uint24 epoch,
        address by
    );

    /// @notice Another key speaks for the device.
    /// @param publicKey The new key, 64 bytes qx ‖ qy; empty for an account.
    /// @param isContinuous Whether this key, and each one since the factory's, came with the consent of the one before.
    event KeyRotated(
        address indexed device,
        address indexed oldKey,
        address indexed newKey,
        Scheme newScheme,
        bytes publicKey,
        bool isContinuous,
        address by
    );

    /// @notice A maker published which devices left its factory.
    event ManifestPublished(
        uint32 indexed manifest,
        address indexed vendor,
        bytes32 indexed hardwareClass,
        bytes32 root,
        uint32 count,
        bool voucherRequired,
        string uri,
        address by
    );

    /// @notice A maker revoked a manifest, for this reason (RFC 5280).
    event ManifestRevoked(uint32 indexed manifest, address indexed vendor, uint8 reason, address by);

    // ------------------------------------------------------------------ lifecycle

    /// @notice Enrols a device: it proves its key and names its owner, and the owner agrees.
    /// @dev Anyone may send. The owner agrees by sending, through a member with Enroll sending, or with
    ///      `ownerSignature` by its governor over the same message. The same enrolment again (device, scheme,
    ///      owner and manifest) does nothing and emits nothing, so a relayer may repeat it: that such a call succeeds
    ///      shows nothing about its proofs. An identity that has an owner since before (ERC-1056) is enrolled to that owner
    ///      only. Reverts: ManifestProofMissing, IdReserved, DeviceStatusInvalid (retired), DeviceAlreadyEnrolled,
    ///      OwnedByAnother, DeviceChangedInBlock, DeadlinePassed, DeadlineTooFar, KeyProofInvalid, SignatureInvalid,
    ///      CallerLacksPermission (no owner signature given).
    /// @param enrollment Its manifest is 0.
    /// @param ownerSignature Empty if the sender speaks for the owner.
    function enroll(Enrollment calldata enrollment, KeyProof calldata byDevice, bytes calldata ownerSignature) external;

    /// @notice Enrols a device as `enroll` does, and records the manifest that lists it.
    /// @dev Reverts as `enroll`, and: ManifestUnknown, ManifestTermsMismatch, ManifestNoLongerValid, DeviceNotInManifest;
    ///      where the maker signs for each enrolment MakerInvalid, DeadlinePassed, SignatureInvalid.
    function enrollFromManifest(
        Enrollment calldata enrollment,
        KeyProof calldata byDevice,
        bytes calldata ownerSignature,
        ManifestProof calldata manifestProof
    ) external;

    /// @notice Takes an active device out of service; its key leaves the DID document.
    /// @dev By the owner or a member with Suspend. Reverts: CallerLacksPermission, DeviceStatusInvalid, PublicKeyMismatch.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account.
    function suspend(address device, bytes calldata publicKey) external;

    /// @notice Takes a suspended device into service again; its key returns to the DID document.
    /// @dev By the owner or a member with Suspend. Reverts: CallerLacksPermission, DeviceStatusInvalid, PublicKeyMismatch.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account.
    function resume(address device, bytes calldata publicKey) external;

    /// @notice Takes a device out of service for ever and deactivates its DID.
    /// @dev By the owner. Reverts: CallerNotGovernor, DeviceStatusInvalid.
    function retire(address device) external;

    /// @notice Ends all grants on the device and all that the owner signed for it, and clears its DID document of all
    ///         but owner and key.
    /// @dev By the owner. A member with Suspend or RotateKey who changes the device in the same block makes this revert: take
    ///      such a member's roles first. What the owner signed as ERC-1056 has it dies for all its devices. Reverts:
    ///      CallerNotGovernor, DeviceStatusInvalid, PublicKeyMismatch, DeviceChangedInBlock, EpochExhausted.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account and, as the key is
    ///        not in the document then, ignored for a suspended device.
    function revokeAll(address device, bytes calldata publicKey) external;

    // ------------------------------------------------------------------ transfer

    /// @notice Offers a device to another owner, who accepts or not; takes the place of an offer before.
    /// @dev By the owner. The offer dies with the epoch, and with the owner's governor if the owner is a fleet handle.
    ///      Reverts: CallerNotGovernor, DeviceStatusInvalid, IdReserved, OwnerUnchanged, ExpiryPassed.
    /// @param newOwner An account or a fleet handle.
    /// @param expiry Unix seconds; it can be accepted before.
    function proposeTransfer(address device, address newOwner, uint40 expiry) external;

    /// @notice Takes back an offer.
    /// @dev By the owner. Reverts: CallerNotGovernor, TransferNotPending.
    function cancelTransfer(address device) external;

    /// @notice Takes a device that was offered. All that the former owner granted, signed or published for it dies.
    /// @dev By the new owner. A suspended device stays suspended. The public key pins the key that the new owner gets; an
    ///      account's key, and that of a suspended device, the former owner could still change, so look at `deviceOf` after.
    ///      Reverts: TransferNotPending, CallerNotGovernor, DeviceChangedInBlock, PublicKeyMismatch.
    /// @param publicKey The key that speaks for the device now, 64 bytes qx ‖ qy; empty for an account, ignored for a
    ///        suspended device.
    function acceptTransfer(address device, bytes calldata publicKey) external;

    /// @notice Hands a device over by a voucher that its owner signed off chain. All that the former owner granted, signed or
    ///         published for it dies.
    /// @dev Anyone may send. The new owner always agrees: its governor sends or signs. A bearer voucher (`newOwner` 0) also
    ///      needs the device, which must be active, to name the new owner. Reverts: DeviceStatusInvalid, EpochStale,
    ///      DeadlinePassed, NewOwnerMismatch, IdReserved, OwnerUnchanged, SignatureInvalid, CallerNotGovernor,
    ///      KeyProofInvalid, DeviceChangedInBlock, PublicKeyMismatch.
    function redeemVoucher(
        TransferVoucher calldata voucher,
        bytes calldata ownerSignature,
        AcceptanceProof calldata acceptance,
        RedemptionProof calldata redemption
    ) external;

    // ------------------------------------------------------------------ keys

    /// @notice Lets another key speak for the device; its id stays. From then on nothing the old key signs is accepted.
    /// @dev By the owner or a member with RotateKey. The old key need not agree, as it may be lost or stolen; if it does, and
    ///      the device is active, the device stays genuine. The factory key may return. Signatures count until
    ///      their deadline whenever `oldKey` is the present key: after a theft, `revokeAll` voids them. Reverts:
    ///      CallerLacksPermission, DeviceStatusInvalid (retired; suspended with a signature by the old key), KeyStale,
    ///      KeyUnchanged, IdReserved, EpochStale, DeadlinePassed, KeyProofInvalid, PublicKeyMismatch.
    /// @param byOldKey The old key's public key, ignored for a suspended device, and its signature if it agrees, else nothing.
    function rotateKey(KeyRotation calldata rotation, KeyProof calldata byNewKey, KeyProof calldata byOldKey) external;

    // ------------------------------------------------------------------ manifests

    /// @notice Publishes which devices left a maker's factory, so that each can be enrolled as genuine.
    /// @dev By the vendor or its member with PublishManifest. Reverts: CallerLacksPermission, ManifestEmpty,
    ///      ManifestsExhausted.
    /// @param vendor The maker: an account or a fleet handle.
    /// @param hardwareClass The vendor's name for this kind of hardware.
    /// @param root See ManifestTerms.
    /// @param count See ManifestTerms.
    /// @param voucherRequired See ManifestTerms.
    /// @param uri Where more about the manifest is to be found; may be empty.
    /// @return manifest Its number, from 1.
    function publishManifest(
        address vendor,
        bytes32 hardwareClass,
        bytes32 root,
        uint32 count,
        bool voucherRequired,
        string calldata uri
    ) external returns (uint32 manifest);

    /// @notice Ends enrolments from a manifest for ever; its devices are no longer genuine, but stay in service.
    /// @dev By the vendor. Reverts: ManifestUnknown, ManifestTermsMismatch, ManifestNoLongerValid, CallerNotGovernor,
    ///      RevocationReasonInvalid.
    /// @param reason As in RFC 5280: 0 unspecified, 1 key compromise, 2 CA compromise, 3 affiliation changed, 4 superseded,
    ///        5 cessation of operation, 9 privilege withdrawn, 10 AA compromise.
    function revokeManifest(uint32 manifest, ManifestTerms calldata terms, uint8 reason) external;

    // ------------------------------------------------------------------ views

    /// @notice All that the registry knows of the device; all zero for one never enrolled. An identity that was deactivated
    ///         (ERC-1056) before it was a device is Retired, without an owner.
    function deviceOf(address device) external view returns (Device memory);

    /// @notice Owner, status and epoch, as `deviceOf` tells them. For contracts that decide about a device: the cheapest way
    ///         to ask all three.
    function stateOf(address device) external view returns (address owner, Status status, uint24 epoch);

    /// @notice The owner; the last owner for a retired device; zero for one never enrolled.
    function ownerOf(address device) external view returns (address);

    /// @notice The epoch; 0 for a device never enrolled.
    function epochOf(address device) external view returns (uint24);

    /// @notice Where the device is in its life.
    function statusOf(address device) external view returns (Status);

    /// @notice Whether what the device's key says is accepted now.
    function isActive(address device) external view returns (bool);

    /// @notice The key that speaks for the device now; zero for one never enrolled.
    function keyOf(address device) external view returns (address keyId, Scheme scheme);

    /// @notice The key that speaks for the device now; zero unless the device is active. For contracts that take a
    ///         device's proof: the cheapest way to ask both.
    function activeKeyOf(address device) external view returns (address keyId, Scheme scheme);

    /// @notice Whether a maker stands for the device: it was enrolled from a manifest that is not revoked, and its key is the
    ///         factory's, or each key since came with the consent of the one before. Says nothing about its status.
    function isGenuine(address device) external view returns (bool);

    /// @notice `keccak256(abi.encode(vendor, hardwareClass))` of the manifest that lists the device; zero without one.
    /// @dev Ask `isGenuine` too.
    function classOf(address device) external view returns (bytes32 classId);

    /// @notice The manifest with this number.
    function manifestOf(uint32 manifest) external view returns (Manifest memory);

    /// @notice Whether these are the terms that were published under this number, revoked or not.
    function hasTerms(uint32 manifest, ManifestTerms calldata terms) external view returns (bool);

    /// @notice Who may accept the device now, until when (Unix seconds); zero for nobody.
    function pendingTransferOf(address device) external view returns (address newOwner, uint40 expiry);

    /// @notice Whether the device is active and its key signed the digest.
    /// @dev Its use is Authentication: a device logs in to a server, which computes the digest itself, or it would take a
    ///      proof of something else for a login. Reverts only if it runs out of gas, as an account with code
    ///      (ERC-1271) can make it.
    function isValidDeviceProof(address device, bytes32 digest, KeyProof calldata proof) external view returns (bool);
}
