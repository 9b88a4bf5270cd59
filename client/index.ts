export * as access from "./access.js";
export * as anchors from "./anchors.js";
export * as audits from "./audits.js";
export * as authentication from "./authentication.js";
export * as devices from "./devices.js";
export * as firmware from "./firmware.js";
export * as lifecycle from "./lifecycle.js";
export * as manifests from "./manifests.js";
export * as roles from "./roles.js";
export * as sharing from "./sharing.js";
export * as transfers from "./transfers.js";

export { contractNames, type ContractErrorArgs, type ContractErrorName, type ContractName } from "./abi.js";
export { AccessState, type AccessQuestion, type GrantOnDevice, type MemberOfFleet } from "./access-state.js";
export { FOREVER, ZERO_HASH } from "./arguments.js";
export * from "./batches.js";
export * from "./bundles.js";
export * from "./claim-packages.js";
export * from "./connect.js";
export * from "./deployments.js";
export * from "./device-batches.js";
export * from "./device-lists.js";
export * from "./did.js";
export * from "./enumerations.js";
export * from "./errors.js";
export * from "./events.js";
export type { Fault } from "./faults.js";
export * from "./files.js";
export type { AnchoringLimits, AnchoringState } from "./ingest-anchoring.js";
export * from "./ingest.js";
export * from "./keys.js";
export * from "./manifest-files.js";
export {
  manifestLeaf,
  manifestRootOf,
  serialHashOf,
  type ManifestPlace,
  type ManifestTerms,
} from "./manifest-leaves.js";
export * from "./merkle-paths.js";
export {
  buildTree,
  createTreeHasher,
  hashBytes,
  hashLeaf,
  peakProof,
  type MerkleTree,
  type TreeHasher,
} from "./merkle.js";
export * from "./policy-mirror.js";
export * from "./purposes.js";
export * from "./reading-sources.js";
export * from "./reverts.js";
export {
  discloseSeeds,
  eraseAllSeeds,
  eraseSeeds,
  rootSeed,
  saltsOf,
  type SeedNode,
  type SeedSet,
} from "./seed-tree.js";
export type { Anchored, Aside, AsideCode } from "./spool.js";
export { readSpooledBatches } from "./spooled-batches.js";
export * from "./transactions.js";
export * from "./typed-data.js";
