import { randomBytes } from "node:crypto";

import { getAddress, isAddress } from "ethers";
import { z } from "zod";

import { FOREVER, requireAddress } from "./arguments.js";
import { createMemoryStore, type Challenge, type ChallengeStore } from "./challenges.js";
import type { Touchstone } from "./connect.js";
import { didOf } from "./did.js";
import { deviceStatuses, nameOf } from "./enumerations.js";
import { TouchstoneError } from "./errors.js";
import type { Key, KeyProof } from "./keys.js";
import { askProof } from "./proofs.js";
import { ask } from "./reverts.js";
import { authenticationMessage, messageDigest, type MessageDomain } from "./typed-data.js";

export * from "./challenges.js";

/** What a device answers to a challenge. It travels as JSON. */
export interface AuthenticationResponse {
  /** Id of the device. */
  device: string;
  audience: string;
  nonce: string;
  /** Unix seconds. */
  expires: number;
  proof: KeyProof;
}

/** Who has shown who it is. `devices.get` says whose the device is. */
export interface Authenticated {
  /** Id of the device. */
  device: string;
  did: string;
}

/** Why a response does not show who sent it. */
export type AuthenticationRefusal =
  /** It is for another server. */
  | "AudienceWrong"
  /** It came too late, by the server's clock. */
  | "ChallengeExpired"
  /** No such challenge is outstanding: it was never issued, was issued otherwise, or was used before. */
  | "ChallengeUnknown"
  /** The challenge was for another device. */
  | "DeviceWrong"
  /** The device was never enrolled. */
  | "DeviceUnknown"
  /** The device is out of service. */
  | "DeviceSuspended"
  /** The device is out of service for ever. */
  | "DeviceRetired"
  /** The device's key did not sign this. */
  | "ProofInvalid";

/** Why a device does not answer a challenge. */
export type ChallengeRefusal =
  /** It is of another server than the one that the device means to reach. */
  | "AudienceWrong"
  /** It is for another device. */
  | "DeviceWrong"
  /** Its response would be valid for longer than the device allows. */
  | "LifetimeTooLong";

/** What finds out who a device is. It holds no secret. */
export interface Verifier {
  readonly audience: string;
  /**
   * A new challenge, to be sent to the device as JSON.
   *
   * @param options.device The only device that may answer; any device unless told. It is not asked whether there is such a device.
   * @throws TouchstoneError INVALID_ARGUMENT, CHALLENGES_EXHAUSTED, and whatever a store of the server's own throws.
   */
  challenge(options?: { device?: string }): Promise<Challenge>;
  /**
   * Who sent the response. Each challenge shows this once, however many calls are made at the same time.
   *
   * Only a valid proof or its expiry ends a challenge. Whoever has seen or guessed a nonce cannot use it up for the device it was
   * meant for, and a failed attempt may be repeated; nobody comes closer to a signature by trying. An attempt with an
   * outstanding nonce costs calls to the node: limit the attempts of each source before they come here.
   *
   * The node is trusted to tell the truth, and tells it as of its latest block: a device suspended in a block that the node does not
   * have yet is still let in.
   *
   * @param options.response What came over the network: JSON text of at most MAX_JSON_LENGTH characters, or what it parsed to.
   * @throws TouchstoneError
   *   - AUTHENTICATION_INVALID if it is no response;
   *   - AUTHENTICATION_REFUSED with an AuthenticationRefusal as `details.reason`;
   *   - CHAIN_UNREACHABLE, RPC_FAILED, or CONTRACT_REVERTED (a device whose account has code can burn all gas of the call) if the
   *     chain gave no answer: nobody is let in then, and the challenge can be used again;
   *   - whatever a store of the server's own throws.
   */
  verify(options: { response: unknown }): Promise<Authenticated>;
}

/** Unix seconds; fractions are ignored. */
export type Clock = () => number;

export interface VerifierOptions {
  /** The contracts; a provider as the runner is enough. */
  touchstone: Touchstone;
  /** The server's name, as its devices know it: its origin, such as "https://gateway.example". Up to 255 visible ASCII characters. */
  audience: string;
  /** Seconds that a device has to answer, from 1 to 3,600; 60 unless told. */
  lifetime?: number;
  /** Where challenges are kept; in the memory of this process unless told. */
  store?: ChallengeStore;
  /** The server's clock; that of the system unless told. */
  clock?: Clock;
}

/** Characters that a challenge or a response has as JSON text at most: a server need not read more of a request. */
export const MAX_JSON_LENGTH = 20_000;

/** Bytes of a signature at most: contracts that are accounts take long ones, with many signers or passkeys. */
const MAX_SIGNATURE_BYTES = 8_192;
const MAX_LIFETIME = 3_600;

// ------------------------------------------------------------------ the server

/**
 * Makes what a server checks devices with: once, and not for each request, as it knows the challenges that it issued.
 *
 * What a verified response shows is that the device answered a challenge of this server just now, and no more. The audience is
 * part of what is signed: a server that a device logs in to cannot log in elsewhere with the response, as the device signs for
 * none but the audience it means to reach, and others refuse that audience. It does not show that the connection ends at the
 * device. Who stands between the two and passes on both messages speaks as the device from then on, and who listens reads
 * what the server then hands out. Therefore the device must reach its audience over TLS and check the name in the
 * certificate (an origin such as "https://gateway.example" is that name), and what the server hands out must be of no use on
 * another connection, or be kept as secret as a key. Nor does it show the device who the server is: TLS does.
 *
 * @example
 * const verifier = authentication.createVerifier({ touchstone, audience: "https://gateway.example" });
 * const challenge = await verifier.challenge(); // To the device, which answers with `authentication.respond`.
 * const { device, did } = await verifier.verify({ response });
 * @throws TouchstoneError INVALID_ARGUMENT.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { touchstone, store = createMemoryStore(), clock } = options;
  const audience = requireAudience(options.audience);
  const lifetime = requireLifetime(options.lifetime ?? 60);
  return {
    audience,

    async challenge({ device } = {}) {
      const now = timeOf(clock);
      const challenge: Challenge = {
        ...(device === undefined ? {} : { device: requireAddress("device", device) }),
        audience,
        nonce: `0x${randomBytes(32).toString("hex")}`,
        expires: now + lifetime,
      };
      await store.issue({ challenge, now });
      return challenge;
    },

    async verify({ response }) {
      const claim = parse("response", responseSchema, response);
      const { device, nonce } = claim;
      if (claim.audience !== audience) {
        const message = `The response is for ${claim.audience}, and this is ${audience}: the device must ask here for a challenge.`;
        throw refused("AudienceWrong", message, { audience: claim.audience, expected: audience });
      }
      requireInTime(claim, clock);
      const issued = await store.find({ nonce });
      // Verifiers of other audiences may share the store.
      if (issued?.audience !== audience || issued.expires !== claim.expires) throw unknownChallenge(claim);
      if (issued.device !== undefined && issued.device !== device) {
        const message = `The challenge is for ${issued.device}, and ${device} answered: it must ask for one of its own.`;
        throw refused("DeviceWrong", message, { device, expected: issued.device });
      }
      await requireDeviceProof(touchstone, claim);
      // The chain may have taken its time.
      requireInTime(claim, clock);
      if (!(await store.consume({ nonce }))) throw unknownChallenge(claim);
      return { device, did: didOf({ chainId: touchstone.chainId, device }) };
    },
  };
}

async function requireDeviceProof(touchstone: Touchstone, claim: AuthenticationResponse): Promise<void> {
  const { deviceRegistry, domains, chainId, addresses } = touchstone;
  const { device, proof } = claim;
  const digest = messageDigest(authenticationMessage(domains.DeviceRegistry, signedPart(claim)));
  if (await ask(() => deviceRegistry.isValidDeviceProof(device, digest, proof))) return;

  // It is refused; what the chain says now only explains it.
  const status = nameOf(deviceStatuses, await ask(() => deviceRegistry.statusOf(device)));
  switch (status) {
    case "None":
      throw refused("DeviceUnknown", `${device} is no device of this registry: enrol it, or connect to its registry.`, {
        device,
      });
    case "Suspended":
      throw refused("DeviceSuspended", `${device} is suspended: its owner can resume it.`, { device });
    case "Retired":
      throw refused("DeviceRetired", `${device} is retired, for ever: enrol a new key.`, { device });
    case "Active":
      throw refused(
        "ProofInvalid",
        `The proof shows no signature of ${device} over this challenge: sign with the device's own key, for chain ${chainId} and ` +
          `the DeviceRegistry at ${addresses.DeviceRegistry}.`,
        { device, chainId, registry: addresses.DeviceRegistry },
      );
  }
}

function requireInTime({ nonce, expires }: AuthenticationResponse, clock: Clock | undefined): void {
  const now = timeOf(clock);
  if (now < expires) return;
  const message = `The challenge ${nonce} expired at ${expires}, and it is ${now} (Unix seconds): ask for a new one.`;
  throw refused("ChallengeExpired", message, { nonce, expires, now });
}

function unknownChallenge({ nonce, expires }: AuthenticationResponse): TouchstoneError {
  const message =
    `No challenge ${nonce} that expires at ${expires} is outstanding here: it was used before, or issued otherwise or elsewhere. ` +
    "Ask for a new one.";
  return refused("ChallengeUnknown", message, { nonce, expires });
}

function refused(reason: AuthenticationRefusal, message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("AUTHENTICATION_REFUSED", message, { details: { reason, ...details } });
}

// ------------------------------------------------------------------ the device

/** What a device needs to answer a challenge: no connection to a chain. */
export interface RespondOptions {
  /** The key that speaks for the device now. */
  key: Key;
  /** Id of the device; that of the key unless told, which is right as long as the device has its factory key. */
  device?: string;
  /** That of the registry: `messageDomain({ contract: "DeviceRegistry", chainId, address })`. */
  domain: MessageDomain;
  /** The server that the device means to reach, from its own configuration and never from what the server sent. */
  audience: string;
  /** What came from the server: JSON text of at most MAX_JSON_LENGTH characters, or what it parsed to. */
  challenge: unknown;
  /** Seconds that a response may be valid at most, by the device's clock; 300 unless told. Infinity for devices without a clock. */
  longestLifetime?: number;
  /** The device's clock; that of the system unless told. */
  clock?: Clock;
}

/**
 * Answers a server's challenge with a response, to be sent back as JSON. The device signs for the audience that it expects and no
 * other, so a server that passes on another one's challenge gets nothing. Whether the challenge has expired is left to
 * the server, as its clock counts.
 *
 * @throws TouchstoneError
 *   - AUTHENTICATION_INVALID if it is no challenge;
 *   - CHALLENGE_REFUSED with a ChallengeRefusal as `details.reason`: nothing was signed;
 *   - INVALID_ARGUMENT, SIGNING_FAILED, and the like from keys behind a node.
 */
export async function respond(options: RespondOptions): Promise<AuthenticationResponse> {
  const { key, domain, longestLifetime = 300, clock } = options;
  const expected = requireAudience(options.audience);
  if (!(longestLifetime > 0)) {
    throw invalid("longestLifetime", longestLifetime, "is no time: give seconds, or Infinity");
  }
  const challenge = parse("challenge", challengeSchema, options.challenge);
  const { audience, nonce, expires } = challenge;
  if (audience !== expected) {
    const message = `The challenge is for ${audience}, and the device means to reach ${expected}: someone passes on a challenge, or the address is wrong.`;
    throw unsigned("AudienceWrong", message, { audience, expected });
  }
  const device = requireAddress("device", options.device ?? key.id);
  if (challenge.device !== undefined && challenge.device !== device) {
    const message = `The challenge is for ${challenge.device}, and this is ${device}: ask for one of its own.`;
    throw unsigned("DeviceWrong", message, { device: challenge.device, expected: device });
  }
  const now = longestLifetime === Infinity ? undefined : timeOf(clock);
  if (now !== undefined && expires - now > longestLifetime) {
    const message =
      `The challenge expires at ${expires}, and it is ${now} (Unix seconds), so a response would be valid for more than ` +
      `${longestLifetime} seconds: set the device's clock, or allow the server's lifetime.`;
    throw unsigned("LifetimeTooLong", message, { expires, now, longestLifetime });
  }
  const signed = { device, audience, nonce, expires };
  return { ...signed, proof: await askProof("key", key, authenticationMessage(domain, signed)) };
}

function unsigned(reason: ChallengeRefusal, message: string, details: Record<string, unknown>): TouchstoneError {
  return new TouchstoneError("CHALLENGE_REFUSED", message, { details: { reason, ...details } });
}

// ------------------------------------------------------------------ what comes over the network

const hex = (bytes: number): z.ZodString =>
  z.string(`is not ${bytes} bytes as 0x hex`).regex(new RegExp(`^0x[0-9a-fA-F]{${2 * bytes}}$`), {
    error: `is not ${bytes} bytes as 0x hex`,
  });
const AUDIENCE = /^[\x21-\x7e]{1,255}$/;
const AUDIENCE_RULE = "is not 1 to 255 visible ASCII characters";

const addressSchema = hex(20).refine(isAddress, "has a wrong checksum").transform(getAddress);
const fields = {
  audience: z.string(AUDIENCE_RULE).regex(AUDIENCE, AUDIENCE_RULE),
  // One nonce has one spelling, or it could be used once in each.
  nonce: hex(32).toLowerCase(),
  expires: z.int("is no time in Unix seconds").nonnegative("is no time in Unix seconds").max(Number(FOREVER), {
    error: "is no time in Unix seconds",
  }),
};
const challengeSchema = z.strictObject(
  { device: addressSchema.exactOptional(), ...fields },
  "is no object with audience, nonce, expires, perhaps device, and nothing else",
);

const SIGNATURE_RULE = `is not up to ${MAX_SIGNATURE_BYTES} whole bytes as 0x hex`;
const accountProofSchema = z.strictObject({
  publicKey: z.literal("0x"),
  signature: z
    .string(SIGNATURE_RULE)
    .max(2 + 2 * MAX_SIGNATURE_BYTES, SIGNATURE_RULE)
    .regex(/^0x(?:[0-9a-fA-F]{2})*$/, SIGNATURE_RULE),
});
const p256ProofSchema = z.strictObject({ publicKey: hex(64), signature: hex(64) });
const responseSchema = z.strictObject(
  {
    device: addressSchema,
    ...fields,
    proof: z.union(
      [accountProofSchema, p256ProofSchema],
      'is no object with publicKey ("0x" or 64 bytes) and signature (64 bytes for a key of 64) as 0x hex, and nothing else',
    ),
  },
  "is no object with device, audience, nonce, expires, proof, and nothing else",
);

function parse<T>(what: "challenge" | "response", schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(typeof input === "string" ? parseJson(what, input) : input);
  if (parsed.success) return parsed.data;
  // The issues name no value: it is of someone unknown, and may have any length.
  const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "it"} ${issue.message}`);
  throw notParsed(what, issues.join("; "), parsed.error);
}

function parseJson(what: string, text: string): unknown {
  if (text.length > MAX_JSON_LENGTH) throw notParsed(what, `it has more than ${MAX_JSON_LENGTH} characters`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notParsed(what, "it is not JSON", cause);
  }
}

function notParsed(what: string, issues: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError(
    "AUTHENTICATION_INVALID",
    `What came over the network is no ${what} (${issues}): the sender must send what this client makes.`,
    { details: { what, issues }, cause },
  );
}

// ------------------------------------------------------------------ what the caller gives

function signedPart({
  device,
  audience,
  nonce,
  expires,
}: AuthenticationResponse): Omit<AuthenticationResponse, "proof"> {
  return { device, audience, nonce, expires };
}

function requireAudience(audience: string): string {
  if (typeof audience === "string" && AUDIENCE.test(audience)) return audience;
  throw invalid("audience", audience, `${AUDIENCE_RULE}: give the server's origin, such as https://gateway.example`);
}

function requireLifetime(lifetime: number): number {
  if (Number.isSafeInteger(lifetime) && lifetime >= 1 && lifetime <= MAX_LIFETIME) return lifetime;
  throw invalid("lifetime", lifetime, `is out of range: give whole seconds from 1 to ${MAX_LIFETIME}`);
}

function timeOf(clock: Clock | undefined): number {
  const time = clock === undefined ? Date.now() / 1_000 : clock();
  // Milliseconds would pass for seconds in a far future, in which nothing ever expires.
  if (time >= 0 && time <= FOREVER) return Math.floor(time);
  throw invalid("clock", time, "is no time: give Unix seconds");
}

function invalid(argument: string, value: unknown, rule: string): TouchstoneError {
  return new TouchstoneError("INVALID_ARGUMENT", `${argument}: ${String(value)} ${rule}.`, {
    details: { argument, value },
  });
}
