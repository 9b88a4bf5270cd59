import { TouchstoneError } from "./errors.js";

/**
 * Terms of the W3C Data Privacy Vocabulary (DPV 2) by the number of the purpose that they stand for. The numbers are part of
 * what is granted, so none ever changes its meaning.
 */
export const purposeTerms = [
  "ServiceProvision",
  "RequestedServiceProvision",
  "TechnicalServiceProvision",
  "ServicePersonalisation",
  "ServiceOptimisation",
  "ServiceUsageAnalytics",
  "ImproveExistingProductsAndServices",
  "RepairImpairments",
  "CustomerCare",
  "FulfilmentOfContractualObligation",
  "CustomerClaimsManagement",
  "LegalCompliance",
  "EnforceSecurity",
  "MisusePreventionAndDetection",
  "Verification",
  "DisputeManagement",
  "ResearchAndDevelopment",
  "ScientificResearch",
  "DataAltruism",
  "PublicBenefit",
  "ProvideOfficialStatistics",
  "CombatClimateChange",
  "ImproveTransportMobility",
  "Marketing",
] as const;
export type PurposeTerm = (typeof purposeTerms)[number];

/** A purpose without a term, by its number: what it means is agreed between owner and subject, in the terms of the grant. */
export type OwnPurpose = 24 | 25 | 26 | 27 | 28 | 29 | 30 | 31;

/** What data is used for. */
export type Purpose = PurposeTerm | OwnPurpose;

/** The purposes by their number, 0 to 31. */
export const allPurposes: readonly Purpose[] = [...purposeTerms, 24, 25, 26, 27, 28, 29, 30, 31];

/**
 * The IRI of a purpose: its term in DPV.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for a purpose without a term.
 */
export function purposeIri(purpose: Purpose): string {
  if (typeof purpose === "string" && purposeTerms.includes(purpose)) return `https://w3id.org/dpv#${purpose}`;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `The purpose ${purpose} has no term in DPV: what it means stands in the terms of the grant.`,
    { details: { purpose } },
  );
}
