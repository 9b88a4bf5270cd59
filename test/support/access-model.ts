/**
 * What DataAccess must answer, told a second time: in names and sets instead of masks and words, and by asking each
 * source by itself instead of in the order that is cheapest. It knows nothing of the contracts.
 */
import type { ReasonName } from "./access.js";

/** Permissions by bit. */
const PERMISSIONS = [
  "ReadLive",
  "ReadHistory",
  "ReadLocation",
  "ReadMetadata",
  "Command",
  "Configure",
  "Audit",
  "Share",
  "Enroll",
  "Suspend",
  "RotateKey",
  "Anchor",
  "ReportInstall",
  "ApproveFirmware",
  "PublishManifest",
  "ManageRoles",
] as const;
type PermissionName = (typeof PERMISSIONS)[number];

/** What the built-in roles permit, by their number. */
const ROLES: readonly (readonly PermissionName[])[] = [
  PERMISSIONS,
  ["ReadLive", "ReadHistory", "ReadMetadata", "Command", "Configure", "Enroll", "ApproveFirmware"],
  ["Audit", "Suspend", "RotateKey"],
  ["ReadLive", "Anchor", "ReportInstall"],
  ["ReadHistory", "ReadMetadata", "Audit"],
  ["ReadLive", "ReadHistory", "ReadMetadata"],
  ["ReadMetadata", "Enroll", "ReportInstall"],
  ["PublishManifest"],
];

interface Window {
  notBefore: bigint;
  expiry: bigint;
}

interface ModelGrant extends Window {
  permissions: Set<PermissionName>;
  purposes: Set<bigint>;
  epoch: number;
}

interface ModelPolicy {
  ceiling: Set<PermissionName>;
  publicRead: Set<PermissionName>;
  purposes: Set<bigint>;
}

interface ModelMember extends Window {
  roles: Set<bigint>;
}

interface ModelDevice {
  owner: string;
  status: "active" | "suspended" | "retired";
  epoch: number;
  /** By subject; null once it was revoked. */
  grants: Map<string, ModelGrant | null>;
  ownerPolicy?: ModelPolicy & { epoch: number };
  devicePolicy?: ModelPolicy;
}

/** Masks as the contracts take them. */
export interface PolicyMasks {
  ceiling: bigint;
  publicRead: bigint;
  purposes: bigint;
}

export interface Question {
  device: string;
  account: string;
  permissions: bigint;
  purpose: bigint;
}

type Source = "Owner" | "Grant" | "Public" | "Role";
const SOURCES: readonly Source[] = ["Owner", "Grant", "Public", "Role"];

export class AccessModel {
  readonly #devices = new Map<string, ModelDevice>();
  readonly #governors = new Map<string, string>();
  readonly #members = new Map<string, Map<string, ModelMember>>();

  // ---------------------------------------------------------------- what happens

  enroll(device: string, owner: string): void {
    this.#devices.set(device, { owner, status: "active", epoch: 1, grants: new Map() });
  }

  statusOf(device: string): ModelDevice["status"] {
    return this.#device(device).status;
  }

  setStatus(device: string, status: ModelDevice["status"]): void {
    const state = this.#device(device);
    state.status = status;
    if (status === "retired") state.epoch++;
  }

  revokeAll(device: string): void {
    this.#device(device).epoch++;
  }

  setGovernor(fleet: string, governor: string): void {
    this.#governors.set(fleet, governor);
  }

  governorOf(fleet: string): string {
    return this.#governors.get(fleet) ?? fleet;
  }

  setRoles(fleet: string, account: string, roles: bigint, window: Window): void {
    const members = this.#members.get(fleet) ?? new Map<string, ModelMember>();
    members.set(account, { ...window, roles: bitsOf(roles) });
    this.#members.set(fleet, members);
  }

  endRoles(fleet: string): void {
    this.#members.delete(fleet);
  }

  grant(device: string, subject: string, permissions: bigint, purposes: bigint, window: Window): void {
    const { grants, epoch } = this.#device(device);
    grants.set(subject, { ...window, permissions: namesOf(permissions), purposes: bitsOf(purposes), epoch });
  }

  revoke(device: string, subject: string): void {
    this.#device(device).grants.set(subject, null);
  }

  holdsGrant(device: string, subject: string): boolean {
    return this.#device(device).grants.get(subject) != null;
  }

  setOwnerPolicy(device: string, masks: PolicyMasks): void {
    const state = this.#device(device);
    state.ownerPolicy = { ...policyOf(masks), epoch: state.epoch };
  }

  setDevicePolicy(device: string, masks: PolicyMasks): void {
    this.#device(device).devicePolicy = policyOf(masks);
  }

  // ---------------------------------------------------------------- what is answered

  answer(question: Question, time: bigint): ReasonName {
    const { permissions, purpose } = question;
    if (permissions === 0n || permissions >= 1n << BigInt(PERMISSIONS.length) || purpose > 31n)
      return "QuestionInvalid";
    const device = this.#devices.get(question.device);
    if (device === undefined) return "DeviceUnknown";

    const asked = namesOf(permissions);
    const source = SOURCES.find((each) => this.#conveys(each, device, question, asked, time));
    if (source !== undefined) return source;
    if (device.status === "suspended") return "DeviceSuspended";
    if (device.status === "retired") return "DeviceRetired";
    return this.#flawOfGrant(device, question, asked, time) ?? "NoGrant";
  }

  /** Whether the source by itself allows all that is asked. */
  #conveys(source: Source, device: ModelDevice, question: Question, asked: Set<PermissionName>, time: bigint): boolean {
    const { account, purpose } = question;
    switch (source) {
      case "Owner": {
        const governs = account === device.owner || account === this.governorOf(device.owner);
        return governs && (device.status !== "retired" || isReading(asked));
      }
      case "Role": {
        if (device.status === "retired" && !isReading(asked)) return false;
        if (device.status === "suspended" && (asked.has("Command") || asked.has("Configure"))) return false;
        const member = this.#members.get(device.owner)?.get(account);
        if (member === undefined || time < member.notBefore || time >= member.expiry) return false;
        const permitted = new Set([...member.roles].flatMap((role) => ROLES[Number(role)] ?? []));
        return areIn(asked, permitted);
      }
      case "Grant":
        return device.status === "active" && this.#flawOfGrant(device, question, asked, time) === undefined;
      case "Public": {
        const { ownerPolicy, devicePolicy } = device;
        if (device.status !== "active" || ownerPolicy?.epoch !== device.epoch || !isReading(asked)) return false;
        return [ownerPolicy, ...(devicePolicy === undefined ? [] : [devicePolicy])].every(
          (half) => areIn(asked, half.publicRead) && areIn(asked, half.ceiling) && half.purposes.has(purpose),
        );
      }
    }
  }

  /** The first thing that is wrong with the account's grant, if anything is. */
  #flawOfGrant(
    device: ModelDevice,
    { account, purpose }: Question,
    asked: Set<PermissionName>,
    time: bigint,
  ): ReasonName | undefined {
    const grant = device.grants.get(account);
    if (grant === undefined) return "NoGrant";
    if (grant === null) return "Revoked";
    const { ownerPolicy, devicePolicy } = device;
    const exceeds = (half: ModelPolicy) => !areIn(asked, half.ceiling) || !half.purposes.has(purpose);
    const flaws: [ReasonName, boolean][] = [
      ["EpochEnded", grant.epoch !== device.epoch],
      ["NotYetValid", time < grant.notBefore],
      ["Expired", time >= grant.expiry],
      ["PermissionNotGranted", !areIn(asked, grant.permissions)],
      ["PurposeNotGranted", !grant.purposes.has(purpose)],
      ["OwnerPolicy", ownerPolicy?.epoch === device.epoch && exceeds(ownerPolicy)],
      ["DevicePolicy", devicePolicy !== undefined && exceeds(devicePolicy)],
    ];
    return flaws.find(([, isFlaw]) => isFlaw)?.[0];
  }

  #device(device: string): ModelDevice {
    const state = this.#devices.get(device);
    if (state === undefined) throw new Error(`The model has no device ${device}.`);
    return state;
  }
}

function bitsOf(mask: bigint): Set<bigint> {
  const digits = mask.toString(2);
  const places = Array.from(digits, (digit, place) => (digit === "1" ? [BigInt(digits.length - 1 - place)] : []));
  return new Set(places.flat());
}

function namesOf(mask: bigint): Set<PermissionName> {
  return new Set([...bitsOf(mask)].map((bit) => PERMISSIONS[Number(bit)]!));
}

function policyOf({ ceiling, publicRead, purposes }: PolicyMasks): ModelPolicy {
  return { ceiling: namesOf(ceiling), publicRead: namesOf(publicRead), purposes: bitsOf(purposes) };
}

function isReading(asked: Set<PermissionName>): boolean {
  return [...asked].every((name) => name.startsWith("Read"));
}

function areIn(asked: Set<PermissionName>, names: Set<PermissionName>): boolean {
  return [...asked].every((name) => names.has(name));
}
