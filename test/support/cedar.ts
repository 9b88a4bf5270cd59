import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

import type * as Cedar from "@cedar-policy/cedar-wasm";

import type { Question } from "./sharing-decisions.js";
import {
  BUILT_IN_ROLES,
  namesOf,
  NOBODY,
  type DeviceState,
  type FleetState,
  type PolicyLimits,
  type SharingState,
} from "./sharing-state.js";

const cedar = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar;

/** What Cedar says: the names of all permits that allow it, or of the forbids that bar it; neither where nothing allows. */
export interface Verdict {
  isAllowed: boolean;
  by: string[];
}

const POLICIES = readFileSync(new URL("access.cedar", import.meta.url), "utf8");
const SCHEMA = readFileSync(new URL("access.cedarschema", import.meta.url), "utf8");
const NAME = "sharing";

/** The policies by their names. */
function policiesByName(): Record<string, string> {
  const parts = cedar.policySetTextToParts(POLICIES);
  if (parts.type === "failure") throw new Error(parts.errors[0]?.message);
  return Object.fromEntries(parts.policies.map((text) => [/@id\("(\w+)"\)/.exec(text)![1]!, text]));
}

/** What Cedar's own validator, in its strict mode, finds wrong with the policies; nothing if they are well typed. */
export function flawsOfPolicies(): string[] {
  const answer = cedar.validate({ schema: SCHEMA, policies: { staticPolicies: policiesByName() } });
  if (answer.type === "failure") return answer.errors.map(({ message }) => message);
  return [...answer.validationErrors, ...answer.validationWarnings].map(({ error }) => error.message);
}

let isPrepared = false;

/** What the policies in access.cedar say of the question, in a block of that time. */
export function askCedar(state: SharingState, question: Question, time: bigint): Verdict {
  if (!isPrepared) {
    const parsed = cedar.preparsePolicySet(NAME, { staticPolicies: policiesByName() });
    if (parsed.type === "failure") throw new Error(parsed.errors[0]?.message);
    isPrepared = true;
  }
  const answer = cedar.statefulIsAuthorized({
    principal: { type: "Account", id: question.account },
    action: { type: "Action", id: "use" },
    resource: { type: "Device", id: question.device },
    context: {
      permissions: [...namesOf(question.permissions)],
      purpose: Number(question.purpose),
      now: Number(time),
    },
    preparsedPolicySetId: NAME,
    entities: entitiesOf(state, question),
  });
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message);
  const { decision, diagnostics } = answer.response;
  // A policy that failed counts as one that does not apply: here none may.
  if (diagnostics.errors.length > 0) throw new Error(diagnostics.errors[0]!.error.message);
  return { isAllowed: decision === "allow", by: diagnostics.reason };
}

// ---------------------------------------------------------------------- the state as Cedar's entities

/** The device, its owner and the account; of grants and memberships those of the account, as Cedar reads no others. */
function entitiesOf(state: SharingState, { device: id, account }: Question): Cedar.EntityJson[] {
  const device = state.devices.get(id);
  const owner = device?.owner ?? NOBODY;
  const fleet = state.fleets.get(owner);
  const governor = fleet?.governor ?? owner;
  return [
    { uid: { type: "Account", id: account }, attrs: { id: account }, parents: [] },
    {
      uid: { type: "Fleet", id: owner },
      attrs: {
        id: owner,
        governor: { __entity: { type: "Account", id: governor } },
        roleEpoch: Number(fleet?.roleEpoch ?? 0n),
      },
      parents: [],
      tags: membershipTag(fleet, account),
    },
    {
      uid: { type: "Device", id },
      attrs: {
        owner: { __entity: { type: "Fleet", id: owner } },
        status: device === undefined || owner === NOBODY ? "unknown" : device.status,
        epoch: Number(device?.epoch ?? 0n),
        ...policies(device),
      },
      parents: [],
      tags: grantTag(device, account),
    },
  ];
}

function membershipTag(fleet: FleetState | undefined, account: string): Record<string, Cedar.CedarValueJson> {
  const member = fleet?.members.get(account);
  if (fleet === undefined || member === undefined) return {};
  const permissions = [...member.roles].flatMap((role) => [
    ...(BUILT_IN_ROLES[role] ?? fleet.ownRoles.get(role) ?? []),
  ]);
  const { notBefore, expiry, epoch } = member;
  return {
    [account]: { permissions, notBefore: Number(notBefore), expiry: Number(expiry), epoch: Number(epoch) },
  };
}

function grantTag(device: DeviceState | undefined, account: string): Record<string, Cedar.CedarValueJson> {
  const grant = device?.grants.get(account)?.grant;
  if (grant == null) return {};
  return {
    [account]: {
      permissions: [...grant.permissions],
      purposes: [...grant.purposes],
      notBefore: Number(grant.notBefore),
      expiry: Number(grant.expiry),
      epoch: Number(grant.epoch),
    },
  };
}

function policies(device: DeviceState | undefined): Record<string, Cedar.CedarValueJson> {
  const { ownerPolicy, devicePolicy } = device ?? { ownerPolicy: null, devicePolicy: null };
  const listed = ({ ceiling, publicRead, purposes }: PolicyLimits): Record<string, Cedar.CedarValueJson> => ({
    ceiling: [...ceiling],
    publicRead: [...publicRead],
    purposes: [...purposes],
  });
  return {
    ...(ownerPolicy !== null && { ownerPolicy: { ...listed(ownerPolicy), epoch: Number(ownerPolicy.epoch) } }),
    ...(devicePolicy !== null && { devicePolicy: listed(devicePolicy) }),
  };
}
