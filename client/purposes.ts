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

/** What DPV calls its terms where that is not the term with spaces in it. */
const labels: Partial<Record<PurposeTerm, string>> = {
  FulfilmentOfContractualObligation: "fulfilment of a contractual obligation",
  ImproveExistingProductsAndServices: "improving existing products and services",
  RepairImpairments: "repairing impairments",
  EnforceSecurity: "enforcing security",
  MisusePreventionAndDetection: "preventing and detecting misuse",
  ResearchAndDevelopment: "research and development",
  ProvideOfficialStatistics: "providing official statistics",
  CombatClimateChange: "combating climate change",
  ImproveTransportMobility: "improving transport and mobility",
};

/**
 * A purpose in plain English, to stand behind "for": after the label of its term in DPV; "purpose 24" for one without.
 *
 * @throws TouchstoneError INVALID_ARGUMENT if it is none.
 */
export function purposeLabel(purpose: Purpose): string {
  // Callers without types reach this too.
  requirePurpose(purpose);
  if (typeof purpose === "number") return `purpose ${purpose}`;
  return labels[purpose] ?? purpose.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
}

/**
 * The IRI of a purpose: its term in DPV.
 *
 * @throws TouchstoneError INVALID_ARGUMENT for a purpose without a term, or if it is none.
 */
export function purposeIri(purpose: Purpose): string {
  requirePurpose(purpose);
  if (typeof purpose === "string") return `https://w3id.org/dpv#${purpose}`;
  throw new TouchstoneError(
    "INVALID_ARGUMENT",
    `The purpose ${purpose} has no term in DPV: what it means stands in the terms of the grant.`,
    { details: { purpose } },
  );
}

function requirePurpose(purpose: Purpose): void {
  if (allPurposes.includes(purpose)) return;
  throw new TouchstoneError("INVALID_ARGUMENT", `${String(purpose)} is no purpose: give a term, or 24 to 31.`, {
    details: { purpose },
  });
}
