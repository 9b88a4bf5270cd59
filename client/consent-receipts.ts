import { createHash } from "node:crypto";

import { FOREVER, requireAddress, requireBlock, ZERO_HASH } from "./arguments.js";
import { blockAt, latestBlock } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import {
  RECEIPT_CONTEXT,
  RECEIPT_SCHEMA,
  type ConsentEvent,
  type ConsentProcess,
  type ConsentReceipt,
  type ConsentTerms,
} from "./consent-receipt-format.js";
import { didOf } from "./did.js";
import { grantablePermissions, namesIn, type GrantablePermission } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, type TouchstoneEvent, type TouchstoneEventNamed } from "./events.js";
import { grantInWord } from "./grants.js";
import { allPurposes, purposeIri, type Purpose } from "./purposes.js";

export {
  parseConsentReceipt,
  RECEIPT_CONTEXT,
  receiptJsonSchema,
  type ConsentEvent,
  type ConsentProcess,
  type ConsentReceipt,
} from "./consent-receipt-format.js";

/** What receipts are made of. */
export interface ReceiptOptions {
  touchstone: Touchstone;
  device: string;
  /** Who was given the grant. */
  subject: string;
  /** Last block to read, and the time that counts; the latest unless told. */
  toBlock?: number;
  signal?: AbortSignal;
}

/**
 * The receipt of what a device's owner consented to last for a subject: what was given, changed and withdrawn, by whom and when,
 * from the chain's events alone, so that everybody makes the same one.
 *
 * It is in the shape of ISO/IEC TS 27560:2023 as the public guide of the Data Privacy Vocabulary describes it; the text of the
 * standard itself was not at hand. Parties are pseudonyms (DIDs): there are no names, contacts, addresses, jurisdiction, rights,
 * storage conditions or language in it, which the standard asks for and no chain knows. So it does not claim to conform to the
 * standard's schema, but names its own. That the owner is the person whom the data is about, and the subject responsible for
 * what it does with it, is an assumption that suits a device's user and its service; look at who they are in your case.
 *
 * @param options.event The grant or revoke whose consent is meant; the last one given unless told.
 * @throws TouchstoneError NOT_FOUND if the subject was never granted anything there, or not where the event stands; as readEvents.
 */
export async function receiptOf(
  options:
    | ReceiptOptions
    | (Omit<ReceiptOptions, "device" | "subject"> & { event: TouchstoneEventNamed<"AccessGranted" | "AccessRevoked"> }),
): Promise<ConsentReceipt> {
  const { touchstone } = options;
  const meant = "event" in options ? options.event : undefined;
  const { device, subject } = "event" in options ? options.event.args : options;
  const receipts = await receiptsOf({ ...options, touchstone, device, subject });
  const found =
    meant === undefined
      ? receipts.at(-1)
      : receipts.find((receipt) => receipt["dct:hasPart"]["dpv:hasConsentStatus"].some((each) => isAt(each, meant)));
  if (found !== undefined) return found;
  throw new TouchstoneError(
    "NOT_FOUND",
    `${subject} was never granted anything on ${device}${meant === undefined ? "" : " where the event stands"}: correct the ids, ` +
      "or read the chain up to a later block.",
    { details: { device, subject, ...(meant === undefined ? {} : { cursor: meant.cursor }) } },
  );
}

/**
 * The receipts of all that the owners of a device consented to for a subject, one for each owner's time (epoch), in its order.
 *
 * @throws TouchstoneError as readEvents.
 */
export async function receiptsOf(options: ReceiptOptions): Promise<ConsentReceipt[]> {
  const { touchstone, signal } = options;
  const device = requireAddress("device", options.device);
  const subject = requireAddress("subject", options.subject);
  const { provider } = touchstone;
  const toBlock =
    options.toBlock === undefined ? await latestBlock(provider) : requireBlock("toBlock", options.toBlock);
  const { timestamp: now } = await blockAt(provider, toBlock);
  const history = new History({ touchstone, device, subject });
  const contracts = ["DeviceRegistry", "DataAccess"] as const;
  let latest = { number: -1, timestamp: 0n };
  const range = signal === undefined ? { toBlock } : { toBlock, signal };
  for await (const event of readEvents({ touchstone, devices: [device], contracts, ...range })) {
    if (!history.matters(event)) continue;
    const { block } = event.cursor;
    if (latest.number !== block) latest = await blockAt(provider, block);
    history.apply(event, latest.timestamp);
  }
  return history.end(now).map((record) => receiptIn(record, toBlock, now));
}

// ------------------------------------------------------------------ what happened

type ConsentRecord = ConsentReceipt["dct:hasPart"];

/** What one owner consented to for one subject. */
interface Consent {
  owner: string;
  epoch: bigint;
  events: ConsentEvent[];
  /** What was given last; undefined before anything was. */
  given: ConsentTerms | undefined;
  /** Unix seconds until which it stands; undefined if it does not. */
  standsUntil: bigint | undefined;
}

class History {
  readonly #touchstone: Touchstone;
  readonly #device: string;
  readonly #subject: string;
  readonly #consents: Consent[] = [];

  constructor(options: { touchstone: Touchstone; device: string; subject: string }) {
    this.#touchstone = options.touchstone;
    this.#device = options.device;
    this.#subject = options.subject;
  }

  matters({ name, args }: TouchstoneEvent): boolean {
    if (name === "AccessGranted" || name === "AccessRevoked" || name === "AccessRequested") {
      return args.subject === this.#subject;
    }
    return ["DeviceEnrolled", "DeviceTransferred", "AllRevoked", "DeviceRetired"].includes(name);
  }

  /** @param time Unix seconds of the event's block. */
  apply(event: TouchstoneEvent, time: bigint): void {
    this.#expire(time);
    switch (event.name) {
      case "DeviceEnrolled":
        this.#begin(event.args.owner, 1n);
        break;
      case "AccessRequested":
        this.#add({
          "@type": "dpv:ConsentRequested",
          ...this.#said(event, this.#subject, time),
          ...this.#terms(event.args, time),
        });
        break;
      case "AccessGranted": {
        const { termsHash, by, word } = event.args;
        const { notBefore, expiry } = grantInWord(word);
        const permissions = word & 0xffff_ffffn;
        const purposes = (word >> 32n) & 0xffff_ffffn;
        const given = this.#terms({ permissions, purposes, notBefore, expiry, termsHash }, time);
        const consent = this.#present();
        const type = consent?.standsUntil === undefined ? "dpv:ConsentGiven" : "dpv:RenewedConsentGiven";
        this.#add({ "@type": type, ...this.#said(event, by, time), ...given });
        if (consent !== undefined) Object.assign(consent, { given, standsUntil: expiry });
        break;
      }
      case "AccessRevoked": {
        const { by } = event.args;
        // Nothing to withdraw: it only voids what was signed.
        if (this.#present()?.standsUntil !== undefined) {
          const isOwn = by === this.#subject;
          this.#withdraw(
            event,
            isOwn ? "dpv:ConsentRevoked" : "dpv:ConsentWithdrawn",
            isOwn ? "Renounced" : "Revoked",
            time,
          );
        }
        break;
      }
      case "DeviceTransferred":
      case "AllRevoked":
      case "DeviceRetired":
        if (this.#present()?.standsUntil !== undefined) this.#withdraw(event, "dpv:ConsentWithdrawn", event.name, time);
        this.#begin(event.name === "DeviceTransferred" ? event.args.newOwner : event.args.owner, event.args.epoch);
        break;
    }
  }

  /** The records of all in which something was given, as they are at that time. */
  end(time: bigint): ConsentRecord[] {
    this.#expire(time);
    return this.#consents.flatMap((consent) =>
      consent.given === undefined ? [] : [this.#record(consent, consent.given)],
    );
  }

  #present(): Consent | undefined {
    return this.#consents.at(-1);
  }

  #begin(owner: string, epoch: bigint): void {
    this.#consents.push({ owner, epoch, events: [], given: undefined, standsUntil: undefined });
  }

  #add(event: ConsentEvent): void {
    this.#present()?.events.push(event);
  }

  #expire(time: bigint): void {
    const consent = this.#present();
    const until = consent?.standsUntil;
    if (consent === undefined || until === undefined || until > time) return;
    consent.events.push({ "@type": "dpv:ConsentExpired", "dpv:isIndicatedAtTime": dateTime(until) });
    consent.standsUntil = undefined;
  }

  #withdraw(
    event: TouchstoneEventNamed<"AccessRevoked" | "DeviceTransferred" | "AllRevoked" | "DeviceRetired">,
    type: "dpv:ConsentWithdrawn" | "dpv:ConsentRevoked",
    cause: Extract<ConsentEvent, { "touchstone:cause": unknown }>["touchstone:cause"],
    time: bigint,
  ): void {
    this.#add({ "@type": type, "touchstone:cause": cause, ...this.#said(event, event.args.by, time) });
    const consent = this.#present();
    if (consent !== undefined) consent.standsUntil = undefined;
  }

  #said(event: TouchstoneEvent, by: string, time: bigint) {
    return {
      "dpv:isIndicatedAtTime": dateTime(time),
      "dpv:isIndicatedBy": { "@id": this.#did(by) },
      "touchstone:block": event.cursor.block,
      "touchstone:logIndex": event.cursor.logIndex,
      "touchstone:transactionHash": event.transactionHash,
    };
  }

  #terms(
    terms: { permissions: bigint; purposes: bigint; notBefore: bigint; expiry: bigint; termsHash: string },
    time: bigint,
  ): ConsentTerms {
    const { permissions, purposes, notBefore, expiry, termsHash } = terms;
    const from = dateTime(notBefore > time ? notBefore : time);
    const until = expiry === FOREVER ? ".." : dateTime(expiry);
    return {
      "dct:valid": `${from}/${until}`,
      "dpv:hasDuration":
        expiry === FOREVER
          ? { "@type": "dpv:UntilEventDuration", "rdf:value": "Until it is revoked or the device changes hands" }
          : { "@type": "dpv:UntilTimeDuration", "rdf:value": until },
      "dpv:hasProcess": namesIn(grantablePermissions, permissions).map((permission) =>
        this.#process(permission, namesIn(allPurposes, purposes)),
      ),
      ...(termsHash !== ZERO_HASH && {
        "dpv:hasNotice": { "@type": "dpv:ConsentNotice", "dct:identifier": termsHash },
      }),
    };
  }

  #process(permission: GrantablePermission, purposes: readonly Purpose[]): ConsentProcess {
    const subject = { "@id": this.#did(this.#subject) };
    return {
      "@type": "dpv:Process",
      "dct:identifier": permission,
      "dpv:hasPurpose": purposes.map((purpose) =>
        typeof purpose === "number"
          ? { "@type": "dpv:Purpose", "dct:identifier": String(purpose) }
          : { "@id": purposeIri(purpose) },
      ),
      "dpv:hasProcessing": { "@id": PROCESSING[permission] },
      // To command and to configure is to use a device, and not data about its owner.
      ...(permission !== "Command" &&
        permission !== "Configure" && {
          "dpv:hasPersonalData": {
            "@type": "dpv:PersonalData",
            "dct:identifier": permission,
            ...(permission === "ReadLocation" && { "skos:broader": { "@id": "pd:Location" } }),
          },
        }),
      "dpv:hasDataSource": { "@id": this.#did(this.#device) },
      "dpv:hasDataController": subject,
      "dpv:hasRecipient": subject,
    };
  }

  #record({ owner, epoch, events }: Consent, given: ConsentTerms): ConsentRecord {
    const { chainId, addresses } = this.#touchstone;
    const [device, subject, contract] = [this.#device, this.#subject, addresses.DataAccess];
    const id = uuidOf(["record", chainId, contract, device, subject, epoch]);
    const { "dpv:hasProcess": processes, "dpv:hasNotice": notice } = given;
    const [ownerDid, subjectDid] = [this.#did(owner), this.#did(subject)];
    return {
      "@id": `urn:uuid:${id}`,
      "@type": "dpv:ConsentRecord",
      "dct:identifier": id,
      "dct:conformsTo": { "@id": RECEIPT_SCHEMA },
      "dpv:hasDataSubject": { "@id": ownerDid, "@type": "dpv:DataSubject", "dct:identifier": ownerDid },
      "dpv:hasDataController": { "@id": subjectDid, "@type": "dpv:DataController", "dct:identifier": subjectDid },
      "dpv:hasLegalBasis": { "@id": "dpv:Consent" },
      "dpv:hasProcess": processes,
      ...(notice !== undefined && { "dpv:hasNotice": notice }),
      "dpv:hasConsentControl": {
        "@type": "dpv:WithdrawConsent",
        "dpv:isExercisedAt": { "@id": `ethereum:${contract}@${chainId}/revoke?address=${device}&address=${subject}` },
      },
      "dpv:hasConsentStatus": events,
    };
  }

  #did(id: string): string {
    return didOf({ chainId: this.#touchstone.chainId, device: id });
  }
}

const PROCESSING = {
  ReadLive: "dpv:Access",
  ReadHistory: "dpv:Access",
  ReadLocation: "dpv:Access",
  ReadMetadata: "dpv:Access",
  Command: "dpv:Use",
  Configure: "dpv:Use",
  Audit: "dpv:Assess",
} as const satisfies Record<GrantablePermission, string>;

// ------------------------------------------------------------------ small things

function receiptIn(record: ConsentRecord, block: number, now: bigint): ConsentReceipt {
  const id = uuidOf(["receipt", record["dct:identifier"], block, now]);
  return {
    "@context": RECEIPT_CONTEXT,
    "@id": `urn:uuid:${id}`,
    "@type": "dpv:ConsentReceipt",
    "dct:identifier": id,
    "dct:conformsTo": { "@id": RECEIPT_SCHEMA },
    "dct:created": dateTime(now),
    "touchstone:block": block,
    "dct:hasPart": record,
  };
}

function isAt(consentEvent: ConsentEvent, { cursor }: TouchstoneEvent): boolean {
  return (
    "touchstone:block" in consentEvent &&
    consentEvent["touchstone:block"] === cursor.block &&
    consentEvent["touchstone:logIndex"] === cursor.logIndex
  );
}

/** A UUID of version 8 (RFC 9562) made of what it names: the same thing has the same, whoever makes it. */
function uuidOf(parts: readonly unknown[]): string {
  const bytes = createHash("sha256")
    .update(`touchstone\n${parts.join("\n")}`)
    .digest()
    .subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** ISO 8601 in UTC, in whole seconds. */
function dateTime(seconds: bigint): string {
  return new Date(Number(seconds) * 1_000)
    .toISOString()
    .replace(/^\+0*/, "")
    .replace(/\.000Z$/, "Z");
}
