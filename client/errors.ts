/** What went wrong, for programs to switch on. */
export type ErrorCode =
  /** An argument is not what the function takes. Nothing was sent. */
  | "INVALID_ARGUMENT"
  /** A key, or a file that should hold one, cannot be used. */
  | "INVALID_KEY"
  /** There is no such file. */
  | "FILE_MISSING"
  /** The path is a directory. */
  | "FILE_IS_DIRECTORY"
  /** The file is there, but cannot be read. */
  | "FILE_UNREADABLE"
  /** The file has no content. */
  | "FILE_EMPTY"
  /** The file changed while it was read. */
  | "FILE_CHANGED"
  /** There is a file already that must not be overwritten. */
  | "FILE_EXISTS"
  /** The file cannot be written. */
  | "FILE_UNWRITABLE"
  /** The deployment file is not JSON. */
  | "DEPLOYMENT_NOT_JSON"
  /** The deployment file is JSON, but not that of a deployment. */
  | "DEPLOYMENT_INVALID"
  /** The checksum of a contract's address is wrong: it was mistyped. */
  | "ADDRESS_CHECKSUM_WRONG"
  /** The chain cannot be reached. */
  | "CHAIN_UNREACHABLE"
  /** The chain is another than expected. */
  | "WRONG_CHAIN"
  /** There is no contract at the address. */
  | "CONTRACT_MISSING"
  /** The contract at the address is another one. */
  | "CONTRACT_KIND_WRONG"
  /** The contract at the address is of a version that this client does not speak to. */
  | "CONTRACT_VERSION_WRONG"
  /** The contracts are not of one deployment. */
  | "CONTRACTS_MIXED"
  /** The runner cannot send transactions. */
  | "RUNNER_READ_ONLY"
  /** A contract refused: see ContractRevertError. */
  | "CONTRACT_REVERTED"
  /** The sender cannot pay for the transaction. */
  | "INSUFFICIENT_FUNDS"
  /** Another transaction of the sender has the same nonce. */
  | "NONCE_CONFLICT"
  /** The sender replaced the transaction by another one. */
  | "TRANSACTION_REPLACED"
  /** The transaction was sent, but is not mined for longer than the caller would wait. */
  | "TRANSACTION_STUCK"
  /** The file is no journal, or damaged. */
  | "JOURNAL_INVALID"
  /** The journal is of other work. */
  | "JOURNAL_MISMATCH"
  /** The work of the journal ended, and was undone since. */
  | "JOURNAL_ENDED"
  /** Someone else works with the journal now. */
  | "JOURNAL_LOCKED"
  /** The journal cannot be written: nothing is sent that is not in it. */
  | "JOURNAL_FAILED"
  /** The file is no spool, or damaged. */
  | "SPOOL_INVALID"
  /** The spool is of another log, or of another chain. */
  | "SPOOL_MISMATCH"
  /** Someone else works with the spool now. */
  | "SPOOL_LOCKED"
  /** The spool has no room for more. Nothing that was taken is lost, and it goes on once there is room. */
  | "SPOOL_FULL"
  /** The spool cannot be written, for another reason than that it is full. */
  | "SPOOL_FAILED"
  /** More readings wait to be anchored than may. Nothing was taken. */
  | "INGEST_BEHIND"
  /** The file that readings come from is not the one that was read before. */
  | "SOURCE_CHANGED"
  /** Another writer appended to the log what it should not have. */
  | "LOG_CONFLICT"
  /** The node answered with an error that is none of the above. */
  | "RPC_FAILED"
  /** The caller cancelled. */
  | "CANCELLED"
  /** The chain was reorganised while it was read: read again. */
  | "CHAIN_REORGANISED"
  /** An event cannot follow those before: some were left out. */
  | "EVENTS_MISSING"
  /** A batch does not continue its log. Nothing was sent. */
  | "LOG_GAP"
  /** The payload of a reading is no batch of a device. */
  | "DEVICE_BATCH_INVALID"
  /** An account publishes no key that a data key could be sealed to: `details.account` has to. */
  | "KEY_AGREEMENT_MISSING"
  /** The payload of a reading is no sealed one. */
  | "SEALED_INVALID"
  /** A sealed reading was altered, or stands where it was not sealed for. */
  | "SEALED_REFUSED"
  /** None of the keys at hand opens the reading: `details` says which would. */
  | "DATA_KEY_MISSING"
  /** A data key sealed as many readings as it may. */
  | "DATA_KEY_EXHAUSTED"
  /** The text, value or bytes are no envelope of a data key. */
  | "ENVELOPE_INVALID"
  /** The envelope is for another key, or was altered. */
  | "ENVELOPE_REFUSED"
  /** The file is no key ring, or damaged. */
  | "KEY_RING_INVALID"
  /** The key ring is of another owner, or of another chain. */
  | "KEY_RING_MISMATCH"
  /** Someone else works with the key ring now. */
  | "KEY_RING_LOCKED"
  /** The key ring opens with a secret, and this is not it. */
  | "KEY_RING_SECRET_WRONG"
  /** The key ring cannot be written: nothing is sealed with a key that is not in it. */
  | "KEY_RING_FAILED"
  /** The owner of the key ring does not own the device: nothing of it is sealed. */
  | "DEVICE_NOT_OWNED"
  /** What was asked for is not on the chain. */
  | "NOT_FOUND"
  /** Nobody agreed to what would be done. Nothing was sent. */
  | "CONFIRMATION_MISSING"
  /** A key did not sign: hardware that is locked or gone. Nothing was sent. */
  | "SIGNING_FAILED"
  /** A signature does not show that its signer signed. */
  | "SIGNATURE_INVALID"
  /** Fewer signatures than the quorum needs. */
  | "SIGNATURES_MISSING"
  /** What came over the network is no challenge, or no response to one. */
  | "AUTHENTICATION_INVALID"
  /** A response does not show who sent it: `details.reason` says why. */
  | "AUTHENTICATION_REFUSED"
  /** The device will not sign this challenge: `details.reason` says why. */
  | "CHALLENGE_REFUSED"
  /** As many challenges wait for a response as the store keeps. */
  | "CHALLENGES_EXHAUSTED"
  /** The file is no release that may be installed. */
  | "FIRMWARE_REFUSED"
  /** The release is older than what is installed. */
  | "FIRMWARE_ROLLBACK"
  /** The list of a factory's devices has faults; `details.faults` names each with its line. */
  | "DEVICE_LIST_INVALID"
  /** The file is no manifest, or contradicts itself; `details.faults` names each fault with its line. */
  | "MANIFEST_INVALID"
  /** The claim package is none, or contradicts itself. */
  | "CLAIM_PACKAGE_INVALID"
  /** The claim package or the signed message is for another contract. */
  | "WRONG_REGISTRY"
  /** The text or value is no signed grant; `details.path` names the place in it. What it allows is no error. */
  | "SIGNED_GRANT_INVALID"
  /** More was to be approved than was asked for: `details.exceeds` names what. Nothing was sent. */
  | "REQUEST_EXCEEDED"
  /** The request cannot be approved any more: `details.reason` says why. */
  | "REQUEST_STALE"
  /** The text or value is no consent receipt of this client; `details.path` names the place in it. */
  | "RECEIPT_INVALID"
  /** What is said of a manifest is not what its maker published. */
  | "MANIFEST_MISMATCH"
  /** The maker revoked the manifest. */
  | "MANIFEST_REVOKED"
  /** The manifest asks for the maker's voucher, and there is none. */
  | "VOUCHER_MISSING"
  /** The maker's voucher is for someone else, or no longer valid. */
  | "VOUCHER_INVALID"
  /** The file is no team, or contradicts itself; `details.faults` names each fault with its line. */
  | "TEAM_INVALID"
  /** The fleet cannot become this team, or not by this sender; `details.obstacles` says why. Nothing was sent. */
  | "TEAM_IMPOSSIBLE"
  /** The account could not act for the fleet: `details.reason` says why. Nothing was sent. */
  | "GOVERNOR_UNFIT"
  /** The text or value is no proof bundle; `details.path` names the place in it. What a bundle proves is no error. */
  | "BUNDLE_INVALID"
  /** A bundle does not prove all that was asked of it: levels are refused, or could not be checked. */
  | "BUNDLE_NOT_PROVED"
  /** The node cannot prove its state: it has no eth_getProof, no state of that block, or headers of another kind. */
  | "STATE_UNAVAILABLE";

export interface TouchstoneErrorOptions {
  /** The values that the message speaks of. */
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** An error of Touchstone: a code for programs, and a message that names the value and the fix for people. */
export class TouchstoneError extends Error {
  override readonly name: string = "TouchstoneError";
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: TouchstoneErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}
