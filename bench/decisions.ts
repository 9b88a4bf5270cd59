// Decides about access to devices: AccessState from the events of a chain, and Cedar by the policies that the tests hold it against.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import type * as Cedar from "@cedar-policy/cedar-wasm";

import { AccessState, type AccessQuestion } from "../client/access-state.js";
import type { Permission } from "../client/enumerations.js";
import { allPurposes } from "../client/purposes.js";

import { answer, millisecondsOf } from "./support/child.js";
import { eventsOf, NOW, questionsAbout, sharingOf, type Sharing } from "./support/sharing.js";

/** Who decides. */
export type Decider = "touchstone" | "Cedar";

export interface DecisionsTask {
  decider: Decider;
  grants: number;
  questions: number;
}

export interface DecisionsFigures {
  /** Of one decision, the median of all. */
  microseconds: number;
  decisionsPerSecond: number;
  /** How many of the questions it allows: the same for both, or they did not decide the same. */
  allowed: number;
  /** What our state keeps for each grant, in bytes; and events that it takes in a second. Not of Cedar, which keeps nothing. */
  state?: { bytesOfGrant: number; eventsPerSecond: number };
}

const ROUNDS = 5;
const POLICIES = "test/support/access.cedar";

await answer(async ({ decider, grants, questions }: DecisionsTask): Promise<DecisionsFigures> => {
  const sharing = sharingOf(grants);
  const asked = questionsAbout(sharing, questions);
  if (decider === "Cedar") return decisionsOf(await decisionsByCedar(sharing, asked));
  const { state, ...figures } = replay(sharing);
  const decisions = asked.map((question) => () => state.explain(question, BigInt(NOW)).allowed);
  return { ...decisionsOf(decisions), state: figures };
});

/** Asks everything several times: the first round is for the compiler, and of the others the best counts. */
function decisionsOf(decisions: readonly (() => boolean)[]): DecisionsFigures {
  let allowed = 0;
  for (const decide of decisions) allowed += Number(decide());
  let milliseconds = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    milliseconds = Math.min(
      milliseconds,
      millisecondsOf(() => {
        for (const decide of decisions) decide();
      }),
    );
  }
  const times = decisions.map((decide) => {
    const before = performance.now();
    decide();
    return performance.now() - before;
  });
  const median = times.sort((a, b) => a - b)[times.length >> 1] ?? NaN;
  return { microseconds: median * 1000, decisionsPerSecond: (decisions.length / milliseconds) * 1000, allowed };
}

// ------------------------------------------------------------------ ours

function replay(sharing: Sharing): { state: AccessState; bytesOfGrant: number; eventsPerSecond: number } {
  const events = [...eventsOf(sharing)];
  const bytesBefore = heapBytes();
  const state = new AccessState();
  const milliseconds = millisecondsOf(() => {
    for (const event of events) state.apply(event);
  });
  const bytes = heapBytes() - bytesBefore;
  const eventsPerSecond = (events.length / milliseconds) * 1000;
  return { state, bytesOfGrant: bytes / sharing.grants.length, eventsPerSecond };
}

function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

// ------------------------------------------------------------------ Cedar

/** With parsed policies, and for each question just the entities that it is about, put together before it is asked. */
async function decisionsByCedar(sharing: Sharing, asked: readonly AccessQuestion[]): Promise<(() => boolean)[]> {
  const cedar = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar;
  const parsed = cedar.preparsePolicySet("access", { staticPolicies: await readFile(POLICIES, "utf8") });
  if (parsed.type === "failure") throw new Error(parsed.errors[0]?.message);
  const entitiesFor = entitiesOf(sharing);
  return asked.map((question) => {
    const { account, device, permissions, purpose } = question;
    const call: Cedar.StatefulAuthorizationCall = {
      principal: { type: "Account", id: account },
      action: { type: "Action", id: "use" },
      resource: { type: "Device", id: device },
      context: { permissions: [...permissions], purpose: allPurposes.indexOf(purpose), now: NOW },
      preparsedPolicySetId: "access",
      entities: entitiesFor(question),
    };
    return () => {
      const decided = cedar.statefulIsAuthorized(call);
      if (decided.type === "failure") throw new Error(decided.errors[0]?.message);
      return decided.response.decision === "allow";
    };
  });
}

function entitiesOf({ owner, member, grants }: Sharing): (question: AccessQuestion) => Cedar.EntityJson[] {
  const grantsByPair = new Map(grants.map((grant) => [`${grant.device} ${grant.subject}`, grant]));
  // What the member's role permits.
  const analyst: Permission[] = ["ReadLive", "ReadHistory", "ReadMetadata"];
  const always = { notBefore: 0, expiry: 2 ** 40 - 1 };
  return ({ account, device }) => {
    const grant = grantsByPair.get(`${device} ${account}`);
    const memberships = account === member ? { [account]: { permissions: analyst, ...always, epoch: 0 } } : {};
    return [
      { uid: { type: "Account", id: account }, attrs: { id: account }, parents: [] },
      {
        uid: { type: "Fleet", id: owner },
        attrs: { id: owner, governor: { __entity: { type: "Account", id: owner } }, roleEpoch: 0 },
        parents: [],
        tags: memberships,
      },
      {
        uid: { type: "Device", id: device },
        attrs: { owner: { __entity: { type: "Fleet", id: owner } }, status: "active", epoch: 1 },
        parents: [],
        tags: grant === undefined ? {} : { [account]: tagOf(grant) },
      },
    ];
  };
}

function tagOf({ permissions, purposes, notBefore, expiry }: Sharing["grants"][number]): Cedar.CedarValueJson {
  return {
    permissions: [...permissions],
    purposes: purposes.map((purpose) => allPurposes.indexOf(purpose)),
    notBefore,
    expiry,
    epoch: 1,
  };
}
