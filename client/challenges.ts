import { TouchstoneError } from "./errors.js";

/** What a server asks a device to sign. It travels as JSON, so its time is a number and no bigint. */
export interface Challenge {
  /** Id of the only device that may answer; any device may if it is left out. */
  device?: string;
  /** The server's name, as its devices know it. */
  audience: string;
  /** 32 random bytes as 0x hex in lower case. */
  nonce: string;
  /** Unix seconds: the challenge is void from then on. */
  expires: number;
}

/**
 * Where verifiers keep the challenges that were not answered yet. Servers that share a store answer for each other: a device
 * may take its challenge from one and bring the response to another. One that does so, over a database say, must keep to this:
 *
 * - When `issue` has returned, `find` and `consume` know the challenge on every server; it need not outlive `expires`.
 * - `issue` keeps a bounded number, and refuses more rather than forget one that is outstanding.
 * - `consume` is atomic across all servers: of all calls with one nonce, however close, one at most is answered with true.
 *   `DELETE FROM challenges WHERE nonce = $1` is, with whether it deleted a row as the answer, on the primary and not on a
 *   replica. All protection against replay hangs on this.
 * - A store that fails throws, and never answers: what it throws reaches the verifier's caller as it is.
 */
export interface ChallengeStore {
  /**
   * Keeps a challenge.
   *
   * @param options.now Unix seconds; challenges that expire then or before may be forgotten.
   * @throws TouchstoneError CHALLENGES_EXHAUSTED if it keeps as many as it can.
   */
  issue(options: { challenge: Challenge; now: number }): Promise<void>;
  /** The challenge with this nonce as it was issued, unless it was consumed or forgotten. Changes nothing. */
  find(options: { nonce: string }): Promise<Challenge | undefined>;
  /** Takes the challenge with this nonce out of the store: whether this call did. */
  consume(options: { nonce: string }): Promise<boolean>;
}

/** Challenges that a store in memory keeps unless told: some 30 MB. */
const DEFAULT_CAPACITY = 100_000;

/**
 * A store in the memory of one process: after a restart devices ask for new challenges.
 *
 * @param options.capacity How many challenges may be outstanding; 100,000 unless told, which takes some 30 MB. Whoever floods a
 *        server with requests for challenges fills it, and others get none for the lifetime of a challenge: limit the
 *        requests of each source before they come here.
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function createMemoryStore(options: { capacity?: number } = {}): ChallengeStore {
  const { capacity = DEFAULT_CAPACITY } = options;
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new TouchstoneError("INVALID_ARGUMENT", `capacity: ${capacity} is no number of challenges: give 1 or more.`, {
      details: { argument: "capacity", value: capacity },
    });
  }
  const outstanding = new Map<string, Challenge>();
  let sweptAt = Number.NaN;
  /** Times are whole seconds, so looking through all of them more often would find nothing, and cost a flooded server more. */
  const sweep = (now: number): void => {
    if (now === sweptAt) return;
    sweptAt = now;
    for (const { nonce, expires } of outstanding.values()) if (expires <= now) outstanding.delete(nonce);
  };
  return {
    issue({ challenge, now }) {
      sweep(now);
      if (outstanding.size >= capacity) return Promise.reject(exhausted(capacity));
      outstanding.set(challenge.nonce, { ...challenge });
      return Promise.resolve();
    },
    find({ nonce }) {
      return Promise.resolve(outstanding.get(nonce));
    },
    consume({ nonce }) {
      return Promise.resolve(outstanding.delete(nonce));
    },
  };
}

function exhausted(capacity: number): TouchstoneError {
  return new TouchstoneError(
    "CHALLENGES_EXHAUSTED",
    `${capacity} challenges wait for a response, as many as the store keeps: ask again when they have expired. If this is no ` +
      "flood of requests, give the store a larger capacity.",
    { details: { capacity } },
  );
}
