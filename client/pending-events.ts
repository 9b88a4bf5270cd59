import { isYes, type AccessState, type MaskedQuestion } from "./access-state.js";
import type { AccessReason } from "./enumerations.js";
import type { TouchstoneEvent } from "./events.js";

/** Whose decisions an event changes: those about a device or about all devices of a fleet, of one account or of everyone. */
export interface EventSubject {
  kind: "device" | "fleet";
  id: string;
  /** Undefined for everyone. */
  account: string | undefined;
}

/** Undefined for an event that changes no decision. */
export function subjectOf(event: TouchstoneEvent): EventSubject | undefined {
  switch (event.name) {
    case "DeviceEnrolled":
    case "DeviceSuspended":
    case "DeviceResumed":
    case "DeviceRetired":
    case "AllRevoked":
    case "DeviceTransferred":
    case "PolicySet":
    case "DevicePolicySet":
      return { kind: "device", id: event.args.device, account: undefined };
    case "AccessGranted":
    case "AccessRevoked":
      return { kind: "device", id: event.args.device, account: event.args.subject };
    case "FleetCreated":
    case "GovernorChanged":
    case "AllRolesRevoked":
    case "RoleDefined":
      return { kind: "fleet", id: event.args.fleet, account: undefined };
    case "RolesSet":
      return { kind: "fleet", id: event.args.fleet, account: event.args.account };
    default:
      return undefined;
  }
}

/** Who the event makes the owner of its device; undefined if it makes nobody so. */
export function newOwnerIn(event: TouchstoneEvent): string | undefined {
  if (event.name === "DeviceEnrolled") return event.args.owner;
  return event.name === "DeviceTransferred" ? event.args.newOwner : undefined;
}

interface PendingEvent {
  event: TouchstoneEvent;
  /** Place among all that is pending. */
  order: number;
  transaction: number;
  account: string | undefined;
}

/** What was done since the confirmed state, transaction by transaction, and not confirmed yet. */
export class PendingEvents {
  readonly #byDevice = new Map<string, PendingEvent[]>();
  readonly #byFleet = new Map<string, PendingEvent[]>();
  readonly #newDevices = new Map<string, string[]>();

  /** @param transactions The events of each, in the order of the chain. */
  constructor(transactions: readonly (readonly TouchstoneEvent[])[]) {
    let order = 0;
    transactions.forEach((events, transaction) => {
      for (const event of events) {
        const subject = subjectOf(event);
        if (subject === undefined) continue;
        const account = subject.account?.toLowerCase();
        const index = subject.kind === "device" ? this.#byDevice : this.#byFleet;
        append(index, subject.id.toLowerCase(), { event, order: order++, transaction, account });
        const owner = newOwnerIn(event);
        if (owner !== undefined) append(this.#newDevices, owner.toLowerCase(), subject.id);
      }
    });
  }

  /** Devices that came to the fleet by something that is pending. */
  newDevicesOf(fleet: string): readonly string[] {
    return this.#newDevices.get(fleet.toLowerCase()) ?? [];
  }

  /**
   * Decides on the confirmed state and on what became of it with each transaction since.
   *
   * A yes must be one all along, from the confirmed state on: not only in its first and its last state. Else whoever had a grant of
   * the former owner would be let in by one that the new owner gave a moment ago, and a grant that was revoked and given again
   * would hold as if it never had ended; after a reorganisation that loses the later transaction they would not be allowed.
   */
  decide(base: AccessState, question: MaskedQuestion, earliest: number, latest: number): AccessReason | "Unconfirmed" {
    const events = this.#about(base, question);
    let reason = base.explainWithin(question, earliest, latest);
    if (events.length === 0) return reason;

    let isConfirmed = isYes(reason);
    const undos: (() => void)[] = [];
    try {
      events.forEach(({ event, transaction }, place) => {
        undos.push(base.apply(event));
        // Within a transaction nothing can be lost: all of it counts or none.
        if (events[place + 1]?.transaction === transaction) return;
        reason = base.explainWithin(question, earliest, latest);
        isConfirmed &&= isYes(reason);
      });
    } finally {
      for (const undo of undos.reverse()) undo();
    }
    return isYes(reason) && !isConfirmed ? "Unconfirmed" : reason;
  }

  /** What is pending about the device, the account and every fleet that owns the device meanwhile, in the order of the chain. */
  #about(base: AccessState, question: MaskedQuestion): PendingEvent[] {
    if (this.#byDevice.size === 0 && this.#byFleet.size === 0) return [];
    const account = question.account.toLowerCase();
    const ofDevice = this.#byDevice.get(question.device.toLowerCase()) ?? [];
    const owners = new Set([base.deviceOf(question.device)?.owner, ...ofDevice.map(({ event }) => newOwnerIn(event))]);
    const ofFleets = [...owners].map((owner) => this.#byFleet.get(owner?.toLowerCase() ?? "") ?? []);
    return [ofDevice, ...ofFleets]
      .flat()
      .filter((pending) => pending.account === undefined || pending.account === account)
      .sort((a, b) => a.order - b.order);
  }
}

function append<T>(index: Map<string, T[]>, key: string, item: T): void {
  const items = index.get(key);
  if (items === undefined) index.set(key, [item]);
  else items.push(item);
}
