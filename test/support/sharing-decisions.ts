import type { ReasonName } from "./access.js";
import {
  isGovernor,
  isReading,
  isWithin,
  holdsAt,
  membershipOf,
  namesOf,
  NOBODY,
  PERMISSIONS,
  type DeviceState,
  type PermissionName,
  type PolicyLimits,
  type SharingState,
} from "./sharing-state.js";

/** Masks and numbers as the contracts take them. */
export interface Question {
  device: string;
  account: string;
  permissions: bigint;
  purpose: bigint;
}

type Source = "Owner" | "Grant" | "Public" | "Role";
const SOURCES: readonly Source[] = ["Owner", "Grant", "Public", "Role"];

interface Case {
  state: SharingState;
  device: DeviceState;
  account: string;
  asked: Set<PermissionName>;
  purpose: number;
  time: bigint;
}

/**
 * What the contracts must answer in a block of that time, told a second time: by asking each source by itself, instead of
 * in the order that is cheapest.
 */
export function answerOf(state: SharingState, question: Question, time: bigint): ReasonName {
  const { permissions, purpose, account } = question;
  const asked = namesOf(permissions);
  if (asked.size === 0 || !isWithin(asked, new Set(PERMISSIONS)) || purpose > 31n) return "QuestionInvalid";
  const device = state.devices.get(question.device);
  if (device === undefined || device.owner === NOBODY) return "DeviceUnknown";

  const asking: Case = { state, device, account, asked, purpose: Number(purpose), time };
  const source = SOURCES.find((each) => conveys(each, asking));
  if (source !== undefined) return source;
  if (device.status === "suspended") return "DeviceSuspended";
  if (device.status === "retired") return "DeviceRetired";
  return flawOfGrant(asking) ?? "NoGrant";
}

/** Whether the source by itself allows all that is asked. */
function conveys(source: Source, asking: Case): boolean {
  const { state, device, account, asked, purpose, time } = asking;
  const { status, owner, ownerPolicy, devicePolicy } = device;
  switch (source) {
    case "Owner":
      return isGovernor(state, owner, account) && (status !== "retired" || isReading(asked));
    case "Role":
      if (status === "retired" && !isReading(asked)) return false;
      if (status === "suspended" && (asked.has("Command") || asked.has("Configure"))) return false;
      return isWithin(asked, membershipOf(state, owner, account, time).permissions);
    case "Grant":
      return status === "active" && flawOfGrant(asking) === undefined;
    case "Public": {
      if (status !== "active" || ownerPolicy?.epoch !== device.epoch || !isReading(asked)) return false;
      const halves = [ownerPolicy, ...(devicePolicy === null ? [] : [devicePolicy])];
      return halves.every((half) => isWithin(asked, half.publicRead) && !isExceeded(half, asked, purpose));
    }
  }
}

/** The first thing that is wrong with the account's grant, if anything is. */
function flawOfGrant({ device, account, asked, purpose, time }: Case): ReasonName | undefined {
  const record = device.grants.get(account);
  if (record === undefined) return "NoGrant";
  const { grant } = record;
  if (grant === null) return "Revoked";
  const { ownerPolicy, devicePolicy } = device;
  const flaws: [ReasonName, boolean][] = [
    ["EpochEnded", grant.epoch !== device.epoch],
    ["NotYetValid", time < grant.notBefore],
    ["Expired", !holdsAt(grant, time)],
    ["PermissionNotGranted", !isWithin(asked, grant.permissions)],
    ["PurposeNotGranted", !grant.purposes.has(purpose)],
    ["OwnerPolicy", ownerPolicy?.epoch === device.epoch && isExceeded(ownerPolicy, asked, purpose)],
    ["DevicePolicy", devicePolicy !== null && isExceeded(devicePolicy, asked, purpose)],
  ];
  return flaws.find(([, isFlaw]) => isFlaw)?.[0];
}

function isExceeded(half: PolicyLimits, asked: Set<PermissionName>, purpose: number): boolean {
  return !isWithin(asked, half.ceiling) || !half.purposes.has(purpose);
}
