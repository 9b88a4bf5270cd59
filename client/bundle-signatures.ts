import { Contract, dataLength, dataSlice, getAddress, isHexString, type Interface } from "ethers";

import { anchorOf, isFleetLog, type Anchor, type AnchorRecord } from "./anchors.js";
import { recordIn, type BundleBatch, type ProofBundle, type SignedAnchor } from "./bundle-format.js";
import {
  proved,
  refused,
  refuseOther,
  unchecked,
  unlessFailed,
  type BundleLevel,
  type Expectation,
} from "./bundle-levels.js";
import type { Touchstone } from "./connect.js";
import { isValidProof, keyIdOf, Scheme, type KeyProof } from "./keys.js";
import { ask } from "./reverts.js";
import { anchorMessage, messageDigest, messageDomain, type TypedMessage } from "./typed-data.js";

/** What a contract answers that takes a signature (ERC-1271). */
const ERC1271_MAGIC = "0x1626ba7e";

// ------------------------------------------------------------------ checking

/**
 * The author of each anchor signed it, by the rules of the contract; and the author is the device, or was its key.
 *
 * @param options.isAnchored Chain or state has shown the anchors: the contract takes none but by the device's key.
 * @param options.touchstone Asks authors that are contracts.
 */
export async function checkSignatures(
  options: { bundle: ProofBundle; isAnchored: boolean; touchstone?: Touchstone | undefined } & Expectation,
): Promise<BundleLevel> {
  const { bundle, isAnchored } = options;
  if (isFleetLog(bundle.logId)) {
    const place = bundle.batches.findIndex(({ signed }) => signed !== undefined);
    return place === -1
      ? unchecked("FLEET_LOG", "Members of a fleet write this log, and sign nothing but transactions.")
      : refused("SIGNATURE_UNEXPECTED", "Members of a fleet write this log: no device signs for it.", place);
  }
  const other = refuseOther(bundle, options);
  if (other !== undefined) return other;

  const device = getAddress(dataSlice(bundle.logId, 0, 20));
  const open: BundleLevel[] = [];
  for (const [place, batch] of bundle.batches.entries()) {
    const level = await checkSignature({ ...options, batch, place });
    if (level?.status === "Refused") return level;
    if (level !== undefined) open.push(level);
    const author = getAddress(batch.anchor.author);
    if (author === device || isAnchored) continue;
    open.push(
      unchecked(
        "KEY_ROTATED",
        `${author} signed, which is not the key that ${device} was made with: check it by chain or state.`,
        place,
      ),
    );
  }
  const [first] = open;
  const rest = isAnchored ? "" : " That they were anchored, and when, only chain or state tell.";
  const { length } = bundle.batches;
  const what = length === 1 ? "the one anchor" : `all ${length} anchors`;
  return first ?? proved(`The key of the device ${device} signed ${what}.${rest}`);
}

/** @returns undefined if the author signed. */
async function checkSignature(options: {
  bundle: ProofBundle;
  batch: BundleBatch;
  place: number;
  touchstone?: Touchstone | undefined;
}): Promise<BundleLevel | undefined> {
  const { bundle, batch, place, touchstone } = options;
  const { signed } = batch;
  const record = recordIn(bundle, batch);
  const author = getAddress(record.author);
  if (signed === undefined) {
    return unchecked("SIGNATURE_MISSING", `The bundle has no signature for anchor ${record.index}.`, place);
  }
  if (BigInt(signed.deadline) < record.timestamp) {
    return refused("DEADLINE_PASSED", `What was signed of anchor ${record.index} was no longer valid by then.`, place);
  }
  const isAccount = signed.scheme === "Account" || signed.scheme === "AccountContract";
  if (isAccount ? signed.publicKey !== "0x" : !isKeyOf(author, signed.publicKey)) {
    return refused("KEY_NOT_AUTHOR", `The public key of anchor ${record.index} is not that of ${author}.`, place);
  }
  const message = messageOf(bundle, record, signed);
  if (signed.scheme !== "AccountContract") {
    if (isSignedBy(author, signed, message)) return undefined;
    return refused("SIGNATURE_INVALID", `${author} did not sign anchor ${record.index} as it is here.`, place);
  }
  // What an account signed itself is called so: a bundle says what it says in one way only.
  if (isSignedBy(author, { ...signed, scheme: "Account" }, message)) {
    return refused(
      "SIGNATURE_INVALID",
      `${author} itself signed anchor ${record.index}: its scheme is Account.`,
      place,
    );
  }
  const level = await unlessFailed(async () =>
    touchstone !== undefined && (await isTaken(touchstone, author, message, signed.signature))
      ? proved("")
      : unchecked("ACCOUNT_CONTRACT", `${author} is a contract, which has to say itself that it signed.`, place),
  );
  return level.status === "Proved" ? undefined : level;
}

function isKeyOf(author: string, publicKey: string): boolean {
  try {
    return keyIdOf(publicKey) === author;
  } catch {
    return false;
  }
}

function isSignedBy(
  author: string,
  signed: Omit<SignedAnchor, "freshHash" | "deadline">,
  message: TypedMessage,
): boolean {
  if (signed.scheme === "AccountContract") return false;
  return isValidProof({ keyId: author, scheme: Scheme[signed.scheme], message, proof: signed });
}

async function isTaken(
  touchstone: Touchstone,
  account: string,
  message: TypedMessage,
  signature: string,
): Promise<boolean> {
  if ((await ask(() => touchstone.provider.getCode(account))) === "0x") return false;
  const contract = new Contract(
    account,
    ["function isValidSignature(bytes32, bytes) view returns (bytes4)"],
    touchstone.provider,
  );
  const question = contract.getFunction("isValidSignature");
  return (await ask(() => question(messageDigest(message), signature))) === ERC1271_MAGIC;
}

function messageOf(
  bundle: Pick<ProofBundle, "chainId" | "dataAnchor">,
  record: AnchorRecord,
  signed: { freshHash: string; deadline: string },
): TypedMessage {
  const domain = messageDomain({
    contract: "DataAnchor",
    chainId: BigInt(bundle.chainId),
    address: bundle.dataAnchor,
  });
  const { freshBlock } = record;
  const { freshHash, deadline } = signed;
  return anchorMessage(domain, anchorOf(record, { freshBlock, freshHash, deadline: BigInt(deadline) }));
}

// ------------------------------------------------------------------ finding

/**
 * What a device signed, from the transaction that anchored it.
 *
 * @param options.record The anchor as the log keeps it.
 * @returns undefined if the transaction does not show it: another contract may have sent it.
 * @throws TouchstoneError CHAIN_UNREACHABLE, RPC_FAILED.
 */
export async function signedIn(options: {
  touchstone: Touchstone;
  record: AnchorRecord;
  transactionHash: string;
}): Promise<SignedAnchor | undefined> {
  const { touchstone, record } = options;
  const { dataAnchor, addresses, provider } = touchstone;
  const transaction = await ask(() => provider.getTransaction(options.transactionHash));
  if (transaction?.to !== addresses.DataAnchor) return undefined;
  const domain = { chainId: String(touchstone.chainId), dataAnchor: addresses.DataAnchor.toLowerCase() };
  for (const { anchor, proof } of anchorsIn(dataAnchor.interface, transaction.data)) {
    if (anchor.logId !== record.logId || anchor.index !== record.index) continue;
    const signed = { freshHash: anchor.freshHash, deadline: String(anchor.deadline), ...proof };
    const message = messageOf(domain, record, signed);
    const scheme = schemeOf(record.author, proof, message);
    if (scheme !== undefined) return { ...signed, scheme };
  }
  return undefined;
}

/** Batches in batches are few: what nests deeper was not made to be read. */
const MAX_NESTING = 4;

/** The anchors that a call of DataAnchor makes, by itself or in batches. */
function* anchorsIn(abi: Interface, data: string, nesting = 0): Generator<{ anchor: Anchor; proof: KeyProof }> {
  let call;
  try {
    call = abi.parseTransaction({ data });
  } catch {
    return;
  }
  if (call?.name === "anchor") {
    const [anchor, { publicKey, signature }] = call.args as unknown as [Anchor, KeyProof];
    yield { anchor, proof: { publicKey: publicKey.toLowerCase(), signature: signature.toLowerCase() } };
  } else if ((call?.name === "multicall" || call?.name === "tryMulticall") && nesting < MAX_NESTING) {
    for (const inner of call.args[0] as string[]) yield* anchorsIn(abi, inner, nesting + 1);
  }
}

/** By which scheme the author signed; undefined if it did not. */
function schemeOf(author: string, proof: KeyProof, message: TypedMessage): SignedAnchor["scheme"] | undefined {
  const schemes = proof.publicKey === "0x" ? (["Account"] as const) : (["P256", "P256Sha256"] as const);
  const scheme = schemes.find((each) => isSignedBy(author, { ...proof, scheme: each }, message));
  // The chain took it, so an account that did not sign itself is a contract that agreed.
  if (scheme !== undefined || proof.publicKey !== "0x") return scheme;
  return isHexString(proof.signature) && dataLength(proof.signature) <= 4096 ? "AccountContract" : undefined;
}
