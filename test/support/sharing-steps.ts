/** What can happen in a history of sharing: drawn blindly, and given its meaning in the world as it is then. */
import fc from "fast-check";

import { ALL_PURPOSES, GRANTABLE, READ } from "./access.js";
import { DAY } from "./chain.js";

/** Who acts: who may, another who may do it by a role, or whoever it is. */
export interface By {
  kind: "right" | "member" | "any";
  which: number;
}

/** In seconds from now on. */
export interface Span {
  begins: bigint;
  ends: bigint;
}

export interface Terms {
  permissions: bigint;
  purposes: bigint;
  span: Span;
}

export interface Half {
  ceiling: bigint;
  publicRead: bigint;
  purposes: bigint;
}

export interface Target {
  device: number;
  subject: number;
}

/** What is wrong with a message that is signed, if anything is. */
export type Flaw = "none" | "wrongKey" | "altered" | "otherEpoch" | "otherSeq";

/** Devices, accounts and owners by their places in the world. */
export type Action =
  | ({ what: "grant"; terms: Terms; by: By } & Target)
  | { what: "grantMany"; targets: Target[]; terms: Terms; by: By }
  | ({ what: "request"; terms: Terms } & Target)
  | ({ what: "revoke"; by: By } & Target)
  | { what: "revokeMany"; targets: Target[]; by: By }
  | ({ what: "renounce" } & Target)
  | ({ what: "signGrant"; terms: Terms; by: By; life: bigint; flaw: Flaw; isSent: boolean } & Target)
  | ({
      what: "signRevocation";
      by: By;
      bySubject: boolean;
      ahead: bigint;
      life: bigint;
      flaw: Flaw;
      isSent: boolean;
    } & Target)
  | { what: "policy"; device: number; half: Half; by: By }
  | { what: "devicePolicy"; device: number; half: Half; life: bigint; flaw: Flaw; isSent: boolean }
  | { what: "sendSigned"; back: number; by: By }
  | {
      what: "suspend" | "resume" | "revokeAll" | "retire" | "cancelTransfer" | "acceptTransfer";
      device: number;
      by: By;
    }
  | { what: "proposeTransfer"; device: number; owner: number; ends: bigint; by: By }
  | {
      what: "voucher";
      device: number;
      owner: number;
      isBearer: boolean;
      isAccepted: boolean;
      life: bigint;
      flaw: Flaw;
      isSent: boolean;
    }
  | {
      what: "rotate";
      device: number;
      key: number;
      isAgreed: boolean;
      life: bigint;
      flaw: Flaw;
      by: By;
      isSent: boolean;
    }
  | { what: "enroll"; device: number; owner: number; isSigned: boolean; by: By }
  | { what: "deactivate"; by: By }
  | { what: "setRoles"; owner: number; account: number; roles: bigint; span: Span; by: By }
  | { what: "renounceRoles"; owner: number; account: number }
  | { what: "defineRole"; owner: number; role: bigint; permissions: bigint; by: By }
  | { what: "declareExclusive"; owner: number; roleA: bigint; roleB: bigint; by: By }
  | { what: "revokeAllRoles"; owner: number; by: By }
  | { what: "proposeGovernor" | "acceptGovernor"; owner: number; account: number; keepRoles: boolean; by: By }
  | { what: "batch"; isAllOrNothing: boolean; parts: Action[] }
  | { what: "wait" };

/** How long before the step: a second, some time, or up to a moment at which something begins or ends, give or take a second. */
export type Pause =
  { until: "next" } | { until: "later"; seconds: bigint } | { until: "moment"; which: number; off: bigint };

export interface Asked {
  /** About whom and what the step was, instead of the two below. */
  isAboutStep: boolean;
  device: number;
  account: number;
  permissions: bigint;
  purpose: bigint;
}

export interface Step {
  pause: Pause;
  action: Action;
  asked: Asked[];
}

// ---------------------------------------------------------------------- what is drawn

/** Places in the world: four devices that are enrolled, two that can be, one that never is. */
export const DEVICES = 7;
export const ACCOUNTS = 19;
export const OWNERS = 6;
const DEFINABLE = 0x7fffn;

const weighted = <T>(...choices: [weight: number, arbitrary: fc.Arbitrary<T>][]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })));
const mostly = <T>(usual: T, other: T): fc.Arbitrary<T> => weighted([4, fc.constant(usual)], [1, fc.constant(other)]);
const bitOf = (first: bigint, last: bigint): fc.Arbitrary<bigint> => fc.bigInt(first, last).map((bit) => 1n << bit);

// Few devices, subjects and purposes, so that what happens meets what is asked.
const device = weighted([40, fc.nat(3)], [3, fc.integer({ min: 4, max: 5 })], [1, fc.constant(6)]);
const subject = weighted([8, fc.nat(3)], [3, fc.nat(15)], [1, fc.nat(ACCOUNTS - 1)]);
const owner = weighted([8, fc.nat(2)], [3, fc.nat(OWNERS - 1)]);
const by = fc.record<By>({
  kind: weighted<By["kind"]>([8, fc.constant("right")], [6, fc.constant("member")], [3, fc.constant("any")]),
  which: fc.nat(63),
});
const target = { device, subject };
const targets = fc.array(fc.record(target), { minLength: 1, maxLength: 4 });

const permissions = weighted(
  [6, bitOf(0n, 6n)],
  [6, fc.tuple(bitOf(0n, 6n), bitOf(0n, 6n)).map(([one, other]) => one | other)],
  [4, fc.constant(GRANTABLE)],
  [4, fc.bigInt(1n, GRANTABLE)],
  [1, fc.bigInt(0n, 0xffffn)],
);
const purposes = weighted([8, fc.constant(ALL_PURPOSES)], [8, fc.bigInt(1n, 0b111n)], [1, fc.constant(0n)]);
const span = weighted<Span>(
  [5, fc.record({ begins: fc.constant(-DAY), ends: fc.bigInt(DAY, 10n * DAY) })],
  [3, fc.record({ begins: fc.bigInt(-2n, DAY), ends: fc.bigInt(DAY, 4n * DAY) })],
  [2, fc.record({ begins: fc.constant(-DAY), ends: fc.constant(2n ** 40n) })],
  [1, fc.record({ begins: fc.bigInt(-2n, 4n), ends: fc.bigInt(-1n, 6n) })],
);
const terms = fc.record({ permissions, purposes, span });
const half = fc.record({
  ceiling: weighted([4, fc.constant(GRANTABLE)], [6, fc.bigInt(0n, GRANTABLE)], [1, fc.bigInt(0n, 0xffffn)]),
  publicRead: weighted([4, fc.constant(READ)], [6, fc.bigInt(0n, READ)], [1, fc.bigInt(0n, 0xffn)]),
  purposes: weighted([6, fc.constant(ALL_PURPOSES)], [6, fc.bigInt(0n, 0b111n)]),
});
const life = weighted([8, fc.constant(30n * DAY)], [2, fc.bigInt(0n, DAY)]);
const flaw = weighted<Flaw>(
  [20, fc.constant("none")],
  [1, fc.constant("wrongKey")],
  [1, fc.constant("altered")],
  [1, fc.constant("otherEpoch")],
  [1, fc.constant("otherSeq")],
);
const roles = weighted(
  [6, bitOf(0n, 11n)],
  [5, bitOf(8n, 9n)],
  [3, fc.bigInt(8n, 9n).map((bit) => 3n << bit)],
  [4, fc.bigInt(1n, 0xfffn)],
  [2, fc.constant(0n)],
  [1, fc.bigInt(0n, 0x1ffffn)],
);

const exclusive = weighted([4, fc.bigInt(8n, 10n)], [1, fc.bigInt(0n, 16n)]);

const act = (what: Action["what"], rest: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Action> =>
  fc.record({ what: fc.constant(what), ...rest }) as unknown as fc.Arbitrary<Action>;
const isSent = mostly(false, true);

const sharing: [number, fc.Arbitrary<Action>][] = [
  [20, act("grant", { ...target, terms, by })],
  [6, act("grantMany", { targets, terms, by })],
  [2, act("request", { ...target, terms })],
  [5, act("revoke", { ...target, by })],
  [2, act("revokeMany", { targets, by })],
  [2, act("renounce", target)],
  [7, act("policy", { device, half, by })],
];

const anyAction: fc.Arbitrary<Action> = weighted(
  ...sharing,
  [12, act("signGrant", { ...target, terms, by, life, flaw, isSent })],
  [
    7,
    act("signRevocation", {
      ...target,
      by,
      bySubject: mostly(false, true),
      ahead: weighted([3, fc.constant(2n)], [3, fc.constant(1n)], [2, fc.bigInt(0n, 4n)]),
      life,
      flaw,
      isSent: fc.boolean(),
    }),
  ],
  [14, act("sendSigned", { back: weighted([4, fc.nat(2)], [2, fc.nat(30)]), by })],
  [8, act("devicePolicy", { device, half, life, flaw, isSent: mostly(true, false) })],
  [3, act("suspend", { device, by })],
  [9, act("resume", { device, by })],
  [3, act("revokeAll", { device, by })],
  [1, act("retire", { device, by: mostly({ kind: "right", which: 0 }, { kind: "any", which: 1 }) })],
  [
    6,
    act("proposeTransfer", { device, owner, ends: weighted([6, fc.constant(20n * DAY)], [1, fc.bigInt(-1n, 3n)]), by }),
  ],
  [2, act("cancelTransfer", { device, by })],
  [6, act("acceptTransfer", { device, by })],
  [
    4,
    act("voucher", {
      device,
      owner,
      isBearer: fc.boolean(),
      isAccepted: mostly(true, false),
      life,
      flaw,
      isSent: mostly(true, false),
    }),
  ],
  [5, act("rotate", { device, key: fc.nat(7), isAgreed: fc.boolean(), life, flaw, by, isSent: mostly(true, false) })],
  [
    2,
    act("enroll", {
      device: weighted([6, fc.integer({ min: 4, max: 5 })], [1, fc.nat(3)]),
      owner,
      isSigned: fc.boolean(),
      by,
    }),
  ],
  [1, act("deactivate", { by })],
  [10, act("setRoles", { owner, account: subject, roles, span, by })],
  [1, act("renounceRoles", { owner, account: subject })],
  [
    4,
    act("defineRole", {
      owner,
      role: weighted([10, fc.bigInt(8n, 11n)], [1, fc.bigInt(0n, 16n)]),
      permissions: weighted(
        [2, fc.bigInt(0n, DEFINABLE)],
        [5, fc.bigInt(0n, GRANTABLE).map((mask) => mask | 0x80n)],
        [1, fc.bigInt(0n, 0xffffn)],
      ),
      by,
    }),
  ],
  [2, act("declareExclusive", { owner, roleA: exclusive, roleB: exclusive, by })],
  [1, act("revokeAllRoles", { owner, by })],
  [4, act("proposeGovernor", { owner, account: subject, keepRoles: fc.boolean(), by })],
  [4, act("acceptGovernor", { owner, account: subject, keepRoles: fc.boolean(), by })],
  [
    4,
    act("batch", {
      isAllOrNothing: fc.boolean(),
      parts: fc.array(weighted(...sharing), { minLength: 1, maxLength: 4 }),
    }),
  ],
  [4, act("wait", {})],
);

const anyPause: fc.Arbitrary<Pause> = weighted<Pause>(
  [14, fc.constant({ until: "next" })],
  [1, fc.record({ until: fc.constant("later" as const), seconds: fc.bigInt(2n, DAY / 2n) })],
  [
    5,
    fc.record({
      until: fc.constant("moment" as const),
      which: fc.nat(63),
      off: weighted([2, fc.constant(0n)], [1, fc.bigInt(-1n, 1n)]),
    }),
  ],
);

const anyAsked: fc.Arbitrary<Asked> = fc.record({
  isAboutStep: fc.boolean(),
  device: weighted([40, fc.nat(3)], [2, fc.integer({ min: 4, max: 5 })], [1, fc.constant(6)]),
  account: weighted([5, fc.nat(3)], [2, fc.nat(ACCOUNTS - 1)]),
  permissions: weighted(
    [30, bitOf(0n, 6n)],
    [10, fc.bigInt(1n, GRANTABLE)],
    [4, bitOf(7n, 15n)],
    [2, fc.bigInt(0n, 0xffffn)],
    [1, fc.bigInt(0n, 2n ** 32n - 1n)],
  ),
  purpose: weighted([40, fc.bigInt(0n, 2n)], [3, fc.bigInt(3n, 31n)], [1, fc.bigInt(32n, 255n)]),
});

/** Questions after each step. */
export const QUESTIONS = 8;

/** The steps of a history, up to so many. In a counterexample they appear without what is asked. */
export interface DrawnHistory {
  steps: Step[];
  toString(): string;
}

export function anyHistory(most: number): fc.Arbitrary<DrawnHistory> {
  const step = fc.record({
    pause: anyPause,
    action: anyAction,
    asked: fc.array(anyAsked, { minLength: QUESTIONS, maxLength: QUESTIONS }),
  });
  return fc.array(step, { minLength: 1, maxLength: most, size: "max" }).map((steps) => ({
    steps,
    toString: () => steps.map(({ pause, action }) => `\n  ${fc.stringify(pause)} ${fc.stringify(action)}`).join(""),
  }));
}
