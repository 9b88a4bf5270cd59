export * as access from "./access.js";
export * as devices from "./devices.js";
export * as firmware from "./firmware.js";
export * as roles from "./roles.js";

export { contractNames, type ContractErrorArgs, type ContractErrorName, type ContractName } from "./abi.js";
export { FOREVER, ZERO_HASH } from "./arguments.js";
export * from "./connect.js";
export * from "./deployments.js";
export * from "./did.js";
export * from "./enumerations.js";
export * from "./errors.js";
export * from "./events.js";
export * from "./files.js";
export * from "./keys.js";
export * from "./reverts.js";
export * from "./transactions.js";
export * from "./typed-data.js";
