import { requireAddress } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import { grantablePermissions, namesIn, type GrantablePermission } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, type Cursor, type ReadRange, type TouchstoneEventNamed } from "./events.js";
import { checkedTerms, type GrantTerms } from "./grant-terms.js";
import { grant, grantInWord, type Grant } from "./grants.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { newGrant, type DataGrant } from "./signed-grants.js";
import { chainTime, send, type SendOptions, type Sent } from "./transactions.js";

/** What an account asked for, in public. */
export interface AccessRequest {
  device: string;
  /** Who asks. */
  subject: string;
  permissions: GrantablePermission[];
  purposes: Purpose[];
  /** Unix seconds. */
  notBefore: bigint;
  expiry: bigint;
  /** Hash of the agreement that the subject offers; ZERO_HASH for none. */
  termsHash: string;
  /** Where in the chain it stands, which also names it. */
  requestedAt: Cursor;
  transactionHash: string;
}

/** A grant that gave the subject what it asked for, or less. */
export interface RequestAnswer {
  /** OtherTerms: at most what was asked for, but under another agreement. */
  extent: "Whole" | "Less" | "OtherTerms";
  grant: Grant;
  termsHash: string;
  /** The account that gave it. */
  by: string;
  answeredAt: Cursor;
  transactionHash: string;
}

/** Why a request cannot be approved any more. */
export type StaleReason = "Expired" | "DeviceSold" | "DeviceRetired";

/** A request, and what became of it. */
export interface ReadRequest extends AccessRequest {
  /** The first grant since that answers it, whether it holds now or not; undefined if there is none. */
  answer: RequestAnswer | undefined;
  /** Undefined as long as it can be approved. */
  stale: StaleReason | undefined;
}

/** What is granted of what was asked for; whatever is left out, as it was asked. */
export interface Approval {
  request: AccessRequest;
  permissions?: readonly GrantablePermission[];
  purposes?: readonly Purpose[];
  /** Unix seconds. */
  notBefore?: bigint;
  expiry?: bigint;
}

/** What an approval may not exceed, and by what it does. */
export interface Exceeding {
  permissions?: GrantablePermission[];
  purposes?: Purpose[];
  notBefore?: { asked: bigint; given: bigint };
  expiry?: { asked: bigint; given: bigint };
}

// ------------------------------------------------------------------ asking

/** Asks the owner of a device for a grant, in public. Anyone may ask; the sender is the subject. */
export async function requestAccess(options: SendOptions & { device: string } & GrantTerms): Promise<Sent> {
  const device = requireAddress("device", options.device);
  const terms = checkedTerms(options);
  return send(options, () => options.touchstone.dataAccess.requestAccess.populateTransaction(device, ...terms));
}

/**
 * The requests for devices, and what became of each, in the order of the chain.
 *
 * @param options.devices All unless told.
 * @param options.subject Who asked; anyone unless told.
 * @throws TouchstoneError as readEvents.
 */
export async function readRequests(
  options: { touchstone: Touchstone; devices?: readonly string[]; subject?: string } & ReadRange,
): Promise<ReadRequest[]> {
  const { touchstone } = options;
  const subject = options.subject === undefined ? undefined : requireAddress("subject", options.subject);
  const requests: ReadRequest[] = [];
  // Anyone can ask: looking at each request for each event would let a stranger make this take for ever.
  const byDevice = new Map<string, ReadRequest[]>();
  const byPair = new Map<string, ReadRequest[]>();
  const contracts = ["DeviceRegistry", "DataAccess"] as const;
  for await (const event of readEvents({ ...options, contracts })) {
    switch (event.name) {
      case "AccessRequested": {
        if (subject !== undefined && event.args.subject !== subject) break;
        const request: ReadRequest = { ...requestIn(event), answer: undefined, stale: undefined };
        requests.push(request);
        listed(byDevice, request.device).push(request);
        listed(byPair, pairOf(request)).push(request);
        break;
      }
      case "AccessGranted": {
        const waiting = listed(byPair, pairOf(event.args));
        for (const request of waiting) request.answer = answerIn(request, event);
        byPair.set(
          pairOf(event.args),
          waiting.filter(({ answer }) => answer === undefined),
        );
        break;
      }
      case "DeviceTransferred":
      case "DeviceRetired": {
        const reason = event.name === "DeviceRetired" ? "DeviceRetired" : "DeviceSold";
        for (const request of listed(byDevice, event.args.device)) request.stale = reason;
        byDevice.delete(event.args.device);
        break;
      }
      default:
        // Nothing else answers a request, or ends it.
        break;
    }
  }
  const now = await chainTime(touchstone);
  for (const request of requests) if (request.expiry <= now) request.stale ??= "Expired";
  return requests;
}

// ------------------------------------------------------------------ answering

/**
 * Grants what was asked for, or less, in place of whatever the subject has on the device. By the owner's governor, or by a
 * member with Share. The request is read from the chain anew, and must be there as it is given: what somebody looked at is what
 * is approved.
 *
 * @throws TouchstoneError REQUEST_EXCEEDED (`details.exceeds` is an Exceeding), REQUEST_STALE (`details.reason` is a
 *         StaleReason), NOT_FOUND if this request is not in the chain (any more); else as grant. Nothing was sent.
 */
export async function approve(options: SendOptions & Approval): Promise<Sent> {
  return grant({ ...sendOptionsOf(options), ...(await approved(options)) });
}

/**
 * The grant of what was asked for, or less, for the owner's governor or a member with Share to sign: whoever sends it pays,
 * such as the subject.
 *
 * @param options.grantor Who will sign; the sender unless told.
 * @param options.validFor Seconds until which it can be sent; a week unless told.
 * @throws TouchstoneError as approve, and as newGrant.
 */
export async function newApproval(
  options: { touchstone: Touchstone; grantor?: string; validFor?: bigint; signal?: AbortSignal } & Approval,
): Promise<DataGrant> {
  const { touchstone, grantor, validFor } = options;
  const terms = await approved(options);
  return newGrant({
    touchstone,
    ...terms,
    ...(grantor === undefined ? {} : { grantor }),
    ...(validFor === undefined ? {} : { validFor }),
  });
}

/**
 * What an approval would give beyond what was asked for; undefined if nothing.
 *
 * @param asked The request.
 * @param given What is to be granted.
 */
export function exceedingOf(
  asked: Required<GrantTerms>,
  given: Pick<Required<GrantTerms>, "permissions" | "purposes" | "notBefore" | "expiry">,
): Exceeding | undefined {
  const permissions = given.permissions.filter((permission) => !asked.permissions.includes(permission));
  const purposes = given.purposes.filter((purpose) => !asked.purposes.includes(purpose));
  const exceeding: Exceeding = {
    ...(permissions.length > 0 && { permissions }),
    ...(purposes.length > 0 && { purposes }),
    ...(given.notBefore < asked.notBefore && { notBefore: { asked: asked.notBefore, given: given.notBefore } }),
    ...(given.expiry > asked.expiry && { expiry: { asked: asked.expiry, given: given.expiry } }),
  };
  return Object.keys(exceeding).length === 0 ? undefined : exceeding;
}

// ------------------------------------------------------------------ private

interface ApprovedTerms extends Required<GrantTerms> {
  device: string;
  subject: string;
}

async function approved(options: { touchstone: Touchstone; signal?: AbortSignal } & Approval): Promise<ApprovedTerms> {
  const { stale, ...request } = await readAgain(options);
  const { device, subject, termsHash } = request;
  if (stale !== undefined) {
    throw new TouchstoneError("REQUEST_STALE", `The request of ${subject} for ${device} ${STALE[stale]}.`, {
      details: { reason: stale, device, subject, requestedAt: request.requestedAt },
    });
  }
  const { permissions, purposes, notBefore, expiry } = { ...request, ...givenOf(options) };
  const terms = { device, subject, permissions, purposes, notBefore, expiry, termsHash };
  // Says what is no term at all before it is compared.
  checkedTerms(terms);
  const exceeds = exceedingOf(request, terms);
  if (exceeds !== undefined) {
    throw new TouchstoneError(
      "REQUEST_EXCEEDED",
      `${subject} did not ask for this on ${device}: ${exceedingText(exceeds)}. Approve no more than was asked for; to give ` +
        "more, grant it.",
      { details: { exceeds, device, subject, requestedAt: request.requestedAt } },
    );
  }
  return terms;
}

const STALE: Record<StaleReason, string> = {
  Expired: "ended before it was answered: let it ask again",
  DeviceSold: "was made to a former owner: let it ask again",
  DeviceRetired: "is for a device that is retired: nothing can be granted on it",
};

/** Left out, and undefined, mean the same. */
function givenOf({ permissions, purposes, notBefore, expiry }: Approval): Partial<GrantTerms> {
  return {
    ...(permissions !== undefined && { permissions }),
    ...(purposes !== undefined && { purposes }),
    ...(notBefore !== undefined && { notBefore }),
    ...(expiry !== undefined && { expiry }),
  };
}

/** The request as the chain has it, and what happened to its device since. */
async function readAgain(options: {
  touchstone: Touchstone;
  request: AccessRequest;
  signal?: AbortSignal;
}): Promise<ReadRequest> {
  const { touchstone, request, signal } = options;
  const { block, logIndex } = request.requestedAt;
  const device = requireAddress("request.device", request.device);
  const requests = await readRequests({
    touchstone,
    devices: [device],
    // Other requests of the same block come along.
    fromBlock: block,
    ...(signal === undefined ? {} : { signal }),
  });
  const found = requests.find(({ requestedAt }) => requestedAt.block === block && requestedAt.logIndex === logIndex);
  if (found !== undefined && contentOf(found) === contentOf(request)) return found;
  throw new TouchstoneError(
    "NOT_FOUND",
    `Block ${block} has no such request for ${device} at log ${logIndex}: read the requests again, as the chain may have been ` +
      "reorganised, and look at them again.",
    { details: { device, requestedAt: request.requestedAt } },
  );
}

/** All that a request says, and where. */
function contentOf(request: AccessRequest): string {
  const { block, logIndex } = request.requestedAt;
  const { device, subject, transactionHash } = request;
  return [device, subject, ...checkedTerms(request), block, logIndex, transactionHash].join(" ").toLowerCase();
}

function pairOf({ device, subject }: { device: string; subject: string }): string {
  return `${device}/${subject}`;
}

/** The list under a key, which begins empty. */
function listed(lists: Map<string, ReadRequest[]>, key: string): ReadRequest[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

/** Undefined for a grant of something else, or of more. */
function answerIn(request: AccessRequest, event: TouchstoneEventNamed<"AccessGranted">): RequestAnswer | undefined {
  const { word, termsHash, by } = event.args;
  const given = grantInWord(word);
  const { notBefore, expiry, purposes } = given;
  const permissions = namesIn(grantablePermissions, word);
  if (exceedingOf(request, { permissions, purposes, notBefore, expiry }) !== undefined) return undefined;
  const isWhole = exceedingOf({ ...given, permissions, termsHash }, request) === undefined;
  return {
    extent: termsHash !== request.termsHash ? "OtherTerms" : isWhole ? "Whole" : "Less",
    grant: given,
    termsHash,
    by,
    answeredAt: event.cursor,
    transactionHash: event.transactionHash,
  };
}

function requestIn(event: TouchstoneEventNamed<"AccessRequested">): AccessRequest {
  const { device, subject, permissions, purposes, notBefore, expiry, termsHash } = event.args;
  return {
    device,
    subject,
    permissions: namesIn(grantablePermissions, permissions),
    purposes: namesIn(allPurposes, purposes),
    notBefore,
    expiry,
    termsHash,
    requestedAt: event.cursor,
    transactionHash: event.transactionHash,
  };
}

function exceedingText({ permissions, purposes, notBefore, expiry }: Exceeding): string {
  return [
    ...(permissions ?? []),
    ...(purposes ?? []).map((purpose) => `purpose ${purpose}`),
    ...(notBefore === undefined ? [] : [`from ${notBefore.given} instead of ${notBefore.asked}`]),
    ...(expiry === undefined ? [] : [`until ${expiry.given} instead of ${expiry.asked}`]),
  ].join(", ");
}

function sendOptionsOf({ touchstone, signal, confirmations }: SendOptions): SendOptions {
  return {
    touchstone,
    ...(signal === undefined ? {} : { signal }),
    ...(confirmations === undefined ? {} : { confirmations }),
  };
}
