import { z } from "zod";

import { grantablePermissions } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";

/**
 * What JSON-LD makes of the keys. It stands in each receipt, so that nothing has to be fetched to read one, and nobody can change
 * what it means by changing a page.
 */
export const RECEIPT_CONTEXT = {
  dpv: "https://w3id.org/dpv#",
  pd: "https://w3id.org/dpv/pd#",
  dct: "http://purl.org/dc/terms/",
  rdf: "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
  skos: "http://www.w3.org/2004/02/skos/core#",
  xsd: "http://www.w3.org/2001/XMLSchema#",
  touchstone: "urn:touchstone:consent-receipt:1#",
  "dct:created": { "@type": "xsd:dateTime" },
  "dpv:isIndicatedAtTime": { "@type": "xsd:dateTime" },
} as const;

/** The schema version that receipts name. */
export const RECEIPT_SCHEMA = "urn:touchstone:consent-receipt:1";

// ------------------------------------------------------------------ parts

const uuid = z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
const uuidIri = z.string().regex(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
const dateTime = z.string().regex(/^[0-9]{4,5}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/);
const hash = z.string().regex(/^0x[0-9a-f]{64}$/);
const did = z
  .string()
  .regex(/^did:ethr:0x[0-9a-f]{1,64}:0x[0-9a-fA-F]{40}$/)
  .describe("The pseudonym of an account, a fleet or a device.");

const idOf = <T extends z.ZodType>(iri: T): z.ZodObject<{ "@id": T }, z.core.$strict> => z.strictObject({ "@id": iri });
const iriOf = (prefix: string, terms: string): z.ZodString =>
  z.string().regex(new RegExp(`^${prefix.replaceAll(".", "\\.")}(${terms})$`));

const entity = (role: string) => z.strictObject({ "@id": did, "@type": z.literal(role), "dct:identifier": did });

const purpose = z.union([
  idOf(iriOf("https://w3id.org/dpv#", "[A-Za-z]+")),
  z
    .strictObject({ "@type": z.literal("dpv:Purpose"), "dct:identifier": z.string().regex(/^(2[4-9]|3[01])$/) })
    .describe("A purpose without a term in DPV: what it means stands in the terms that the notice names."),
]);

const permission = z.enum(grantablePermissions);

const process = z.strictObject({
  "@type": z.literal("dpv:Process"),
  "dct:identifier": permission,
  "dpv:hasPurpose": z.array(purpose).min(1),
  "dpv:hasProcessing": idOf(z.enum(["dpv:Access", "dpv:Assess", "dpv:Use"])),
  "dpv:hasPersonalData": z
    .strictObject({
      "@type": z.literal("dpv:PersonalData"),
      "dct:identifier": permission,
      "skos:broader": idOf(z.literal("pd:Location")).optional(),
    })
    .optional(),
  "dpv:hasDataSource": idOf(did).describe("The device."),
  "dpv:hasDataController": idOf(did),
  "dpv:hasRecipient": idOf(did),
});

const notice = z
  .strictObject({ "@type": z.literal("dpv:ConsentNotice"), "dct:identifier": hash })
  .describe("The agreement, by its hash.");

const duration = z.union([
  z.strictObject({ "@type": z.literal("dpv:UntilTimeDuration"), "rdf:value": dateTime }),
  z.strictObject({
    "@type": z.literal("dpv:UntilEventDuration"),
    "rdf:value": z.literal("Until it is revoked or the device changes hands"),
  }),
]);

/** Where an event of the chain stands. */
const place = {
  "touchstone:block": z.int().nonnegative(),
  "touchstone:logIndex": z.int().nonnegative(),
  "touchstone:transactionHash": hash,
};

/** What a subject was given, or asked for. */
const terms = {
  "dct:valid": z.string().regex(/^[0-9]{4,5}-[0-9TZ:-]+\/(\.\.|[0-9]{4,5}-[0-9TZ:-]+)$/),
  "dpv:hasDuration": duration,
  "dpv:hasProcess": z.array(process).min(1),
  "dpv:hasNotice": notice.optional(),
};

const event = z.discriminatedUnion("@type", [
  z.strictObject({
    "@type": z.enum(["dpv:ConsentRequested", "dpv:ConsentGiven", "dpv:RenewedConsentGiven"]),
    "dpv:isIndicatedAtTime": dateTime,
    "dpv:isIndicatedBy": idOf(did),
    ...terms,
    ...place,
  }),
  z.strictObject({
    "@type": z.enum(["dpv:ConsentWithdrawn", "dpv:ConsentRevoked"]),
    "dpv:isIndicatedAtTime": dateTime,
    "dpv:isIndicatedBy": idOf(did),
    "touchstone:cause": z.enum(["Revoked", "Renounced", "AllRevoked", "DeviceTransferred", "DeviceRetired"]),
    ...place,
  }),
  z.strictObject({ "@type": z.literal("dpv:ConsentExpired"), "dpv:isIndicatedAtTime": dateTime }),
]);

const record = z.strictObject({
  "@id": uuidIri,
  "@type": z.literal("dpv:ConsentRecord"),
  "dct:identifier": uuid,
  "dct:conformsTo": idOf(z.literal(RECEIPT_SCHEMA)),
  "dpv:hasDataSubject": entity("dpv:DataSubject"),
  "dpv:hasDataController": entity("dpv:DataController"),
  "dpv:hasLegalBasis": idOf(z.literal("dpv:Consent")),
  "dpv:hasProcess": z.array(process).min(1).describe("What was given last."),
  "dpv:hasNotice": notice.optional(),
  "dpv:hasConsentControl": z.strictObject({
    "@type": z.literal("dpv:WithdrawConsent"),
    "dpv:isExercisedAt": idOf(
      z
        .string()
        .regex(/^ethereum:0x[0-9a-fA-F]{40}@[0-9]+\/revoke\?address=0x[0-9a-fA-F]{40}&address=0x[0-9a-fA-F]{40}$/),
    ).describe("The call that withdraws (ERC-681): nothing can prevent it."),
  }),
  "dpv:hasConsentStatus": z.array(event).min(1).describe("What happened, in its order."),
});

const receipt = z.strictObject({
  "@context": exactly(RECEIPT_CONTEXT),
  "@id": uuidIri,
  "@type": z.literal("dpv:ConsentReceipt"),
  "dct:identifier": uuid,
  "dct:conformsTo": idOf(z.literal(RECEIPT_SCHEMA)),
  "dct:created": dateTime.describe("Time of the block up to which the chain was read."),
  "touchstone:block": z.int().nonnegative(),
  "dct:hasPart": record,
});

/** A receipt: JSON-LD, as it is. */
export type ConsentReceipt = z.output<typeof receipt>;
export type ConsentProcess = z.output<typeof process>;
export type ConsentEvent = z.output<typeof event>;
export type ConsentTerms = Pick<
  Extract<ConsentEvent, { "@type": "dpv:ConsentGiven" | "dpv:ConsentRequested" | "dpv:RenewedConsentGiven" }>,
  "dct:valid" | "dpv:hasDuration" | "dpv:hasProcess" | "dpv:hasNotice"
>;

// ------------------------------------------------------------------ reading

/**
 * Reads a receipt. It is no proof: whether it is true, only the chain says, and `receiptOf` makes it anew.
 *
 * @param input Its text, or what JSON.parse makes of it.
 * @throws TouchstoneError RECEIPT_INVALID, naming the place in the JSON; `details.path` has it.
 */
export function parseConsentReceipt(input: unknown): ConsentReceipt {
  let json = input;
  if (typeof input === "string") {
    try {
      json = JSON.parse(input);
    } catch (cause) {
      throw invalid(`It is not JSON (${String(cause)})`, "", cause);
    }
  }
  const parsed = receipt.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join(".") ?? "";
  throw invalid(`${path === "" ? "It" : path}: ${issue?.message ?? "unknown"}`, path, parsed.error);
}

/** The JSON Schema of receipts (draft 2020-12): what it takes, parseConsentReceipt takes. */
export function receiptJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(receipt, { target: "draft-2020-12" });
  return {
    $schema,
    $id: RECEIPT_SCHEMA,
    title: "Touchstone consent receipt",
    description:
      "JSON-LD in the shape of ISO/IEC TS 27560:2023 with terms of the Data Privacy Vocabulary, as far as a chain can say it: " +
      "without names, addresses, contacts, jurisdiction, storage and rights, which whoever keeps the record adds.",
    ...schema,
  };
}

function invalid(fault: string, path: string, cause: unknown): TouchstoneError {
  return new TouchstoneError("RECEIPT_INVALID", `This is no consent receipt. ${fault}: make it anew with receiptOf.`, {
    details: { path },
    cause,
  });
}

/** Takes this value alone. */
function exactly<T>(value: T): z.ZodType<T> {
  if (typeof value === "string") return z.literal(value) as unknown as z.ZodType<T>;
  const entries = Object.entries(value as Record<string, unknown>).map(([key, each]) => [key, exactly(each)] as const);
  return z.strictObject(Object.fromEntries(entries)) as unknown as z.ZodType<T>;
}
