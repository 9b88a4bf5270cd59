import { requireAddress } from "./arguments.js";
import type { Touchstone } from "./connect.js";
import {
  accessReasons,
  allPermissions,
  maskOf,
  nameOf,
  numberOf,
  type AccessReason,
  type Permission,
} from "./enumerations.js";
import { allPurposes, type Purpose } from "./purposes.js";
import { ask } from "./reverts.js";

export { explainToPeople, type Answer, type AnswerReason } from "./access-answers.js";
export * from "./access-reports.js";
export * from "./access-requests.js";
export * from "./access-sentences.js";
export * from "./consent-receipts.js";
export * from "./grants.js";
export * from "./policies.js";
export {
  exportHistory,
  historyFormats,
  parseHistory,
  sharingHistoryFile,
  writeHistory,
  type HistoryFormat,
  type SharingHistoryFile,
} from "./sharing-history-files.js";
export * from "./sharing-history.js";
export * from "./signed-grants.js";
export * from "./signed-grant-files.js";

/** Why an account may do something, or may not. */
export interface Explanation {
  allowed: boolean;
  reason: AccessReason;
}

// ------------------------------------------------------------------ questions

/** What is asked: may the account do all of this with the device, for the purpose? */
export interface Question {
  touchstone: Touchstone;
  device: string;
  account: string;
  permissions: readonly Permission[];
  /** What for; ignored for the owner and members. */
  purpose: Purpose;
}

/** Whether an account may do all of this with the device, for the purpose. */
export async function isAllowed(options: Question): Promise<boolean> {
  const { device, account, permissions, purpose } = checkedQuestion(options);
  return ask(() => options.touchstone.dataAccess.isAllowed(device, account, permissions, purpose));
}

/** The same, and why. */
export async function explain(options: Question): Promise<Explanation> {
  const { device, account, permissions, purpose } = checkedQuestion(options);
  const { allowed, reason } = await ask(() =>
    options.touchstone.dataAccess.explain(device, account, permissions, purpose),
  );
  return { allowed, reason: nameOf(accessReasons, reason) };
}

function checkedQuestion(options: Question): {
  device: string;
  account: string;
  permissions: bigint;
  purpose: bigint;
} {
  return {
    device: requireAddress("device", options.device),
    account: requireAddress("account", options.account),
    permissions: maskOf(allPermissions, options.permissions),
    purpose: numberOf(allPurposes, options.purpose),
  };
}
