import { requireAddress } from "./arguments.js";
import type { Measurement } from "./batches.js";
import type { Touchstone } from "./connect.js";
import { EVERYONE, ReaderWatch, type DeviceReaders, type Reader } from "./data-readers.js";
import { TouchstoneError } from "./errors.js";
import { keyAgreementKeysOf, type KeyAgreementPublicKey, type KnownKeys } from "./key-agreement.js";
import {
  decodeEnvelope,
  encodeEnvelope,
  publicDataKey,
  sealEnvelope,
  type Envelope,
  type PublicDataKey,
} from "./key-envelopes.js";
import { KeyRingStore, type KeyRingBinding, type StoredKey } from "./key-ring-store.js";
import {
  dataClasses,
  keyMissing,
  MAX_SEALED_PER_KEY,
  newDataKey,
  openReading,
  sealedHeader,
  sealReading,
  type DataClass,
  type DataKey,
  type ReadingPlace,
  type SealedReading,
} from "./sealing.js";
import { inTurns } from "./turns.js";

/** Blocks that have to follow before someone is given a key, unless told: as many as the mirror of the policy waits for. */
const DEFAULT_CONFIRMATIONS = 12;
/** Readings that a key is counted to have sealed at once, so that not each of them has to be written down. */
const LEASE = 2 ** 16;
/** Envelopes that are sealed at the same time. */
const ENVELOPES_AT_ONCE = 32;

/** Why a device's readings have a new key. */
export type RotationCause =
  /** It is the first one of this owner epoch. */
  | "First"
  /** Someone may not read any more: revoked, expired, out of the role, beyond a narrower policy, or the device is suspended. */
  | "ReaderLost"
  /** Someone may read from now on, but not what was before. */
  | "ReaderJoined"
  /** Someone's key-agreement key was replaced or taken back: whoever has it must not open what comes. */
  | "RecipientChanged"
  /** It sealed as much as it may. */
  | "Exhausted";

/** A new key in the place of the one before. */
export interface Rotation {
  device: string;
  dataClass: DataClass;
  epoch: bigint;
  keyEpoch: number;
  cause: RotationCause;
  /** Who brought it about; EVERYONE for the public. */
  accounts: string[];
}

/** What an update brought. */
export interface KeyRingUpdate {
  /** Number of the block up to which the chain was read. */
  block: number;
  /** Unix seconds of that block. */
  timestamp: bigint;
  rotations: Rotation[];
  /** New ones only, for any server: `envelopes` gives all again. */
  envelopes: Envelope[];
  /** The keys of what the devices' policies let everyone read, for any server. */
  publicKeys: PublicDataKey[];
  /** Readers without a key to seal to, each with the error KEY_AGREEMENT_MISSING that keyAgreementKeyOf would give. */
  missing: string[];
  /** Devices that the owner of the ring does not own: nothing of them is sealed any more. */
  notOwned: string[];
}

/**
 * Opens the key ring of an owner, or begins one if there is none: the owner's, or that of the gateway that seals for it.
 *
 * The data keys are in one file, which only its owner may read. Each is encrypted with a key of the file, and that one with
 * `secret` (scrypt, AES-256-GCM) if it is given; without, whoever reads the file reads the keys. An old copy of the file must not be
 * gone on with: its keys are fine, but nobody was told of what it makes new in the place of what it lost.
 *
 * @param options.owner Owner of the devices: an account or a fleet.
 * @param options.secret A passphrase, or bytes; the ring opens with nothing else.
 * @param options.confirmations Blocks that have to follow before someone is given a key; 12 unless told, also for what was granted
 *        again after it had ended. Whoever may not read any more loses the next key at first sight.
 * @param options.clock Unix seconds; the system's unless told.
 * @throws TouchstoneError
 *   - KEY_RING_LOCKED if another process has it open; KEY_RING_MISMATCH, KEY_RING_INVALID, KEY_RING_SECRET_WRONG;
 *   - FILE_MISSING (its folder), FILE_IS_DIRECTORY, FILE_UNREADABLE, KEY_RING_FAILED, INVALID_ARGUMENT.
 */
export async function openKeyRing(options: {
  touchstone: Pick<Touchstone, "chainId" | "addresses">;
  path: string;
  owner: string;
  secret?: string | Uint8Array;
  confirmations?: number;
  clock?: () => bigint;
}): Promise<KeyRing> {
  const { touchstone, path, secret, confirmations = DEFAULT_CONFIRMATIONS } = options;
  const clock = options.clock ?? ((): bigint => BigInt(Math.floor(Date.now() / 1000)));
  const owner = requireAddress("owner", options.owner);
  if (!Number.isSafeInteger(confirmations) || confirmations < 0) {
    throw new TouchstoneError(
      "INVALID_ARGUMENT",
      `confirmations: ${confirmations} is no number of blocks: give 0 or more.`,
    );
  }
  if (secret?.length === 0) {
    throw new TouchstoneError("INVALID_ARGUMENT", "secret: it is empty: give one, or none at all.");
  }
  const binding = bindingOf(touchstone, owner);
  const store = await KeyRingStore.open({ path, binding, secret });
  return new KeyRing({ store, binding, confirmations, clock });
}

/** The present key of a class of a device. */
interface Present {
  row: number;
  key: DataKey;
  /** Readings up to this count are written down as sealed. */
  leased: number;
  holders: Map<string, bigint>;
  /** Unix seconds of the first moment at which a holder may not read any more. */
  until: bigint | undefined;
}

/**
 * The data keys of an owner's devices: by device, owner epoch, class and key epoch. Each key is meant for those who may read while it is the
 * present one, so there is a new one whenever someone loses that right, and whenever someone gets it without the right to
 * what was before:
 *
 * - the present key goes to whoever may read live: ReadLive, ReadLocation or ReadMetadata, by class, through a grant, a role or as
 *   the owner's governor;
 * - former keys of this owner epoch go to whoever has ReadHistory as well (for readings, ReadHistory alone), in the same grant or role;
 * - those of former owner epochs go to nobody: a new owner's ring never had them. A fleet that is handed over to another
 *   governor keeps its epochs, and what the ring gives; `revokeAll` before it ends that.
 * - A suspended device is closed to outsiders, so suspending takes the next key from them, and resuming gives them one after that.
 *   Retiring begins an epoch in which nothing is measured.
 * - What everyone may read needs no key: it is sealed all the same, as that may change, and `publicKeys` says how to open it. A key
 *   that was public seals nothing after the policy was narrowed.
 *
 * What was read cannot be unread: whoever had a key can open for ever what was sealed with it, and can have passed it on.
 */
export class KeyRing {
  readonly #store: KeyRingStore;
  readonly #binding: KeyRingBinding;
  readonly #clock: () => bigint;
  readonly #watch: ReaderWatch;
  readonly #present = new Map<string, Present>();
  readonly #recipients: KnownKeys = new Map<string, never>();
  #updating: Promise<unknown> = Promise.resolve();
  #nextStart: bigint | undefined;

  /** Use openKeyRing. */
  constructor(options: { store: KeyRingStore; binding: KeyRingBinding; confirmations: number; clock: () => bigint }) {
    this.#store = options.store;
    this.#binding = options.binding;
    this.#clock = options.clock;
    this.#watch = new ReaderWatch({ owner: options.binding.owner, confirmations: options.confirmations });
  }

  get path(): string {
    return this.#store.path;
  }

  /** Gives the file back, when what is under way has ended. */
  async close(): Promise<void> {
    await this.#updating.catch(() => undefined);
    this.#present.clear();
    this.#store.close();
  }

  // ------------------------------------------------------------------ who may read

  /**
   * Reads who may read the devices, and makes new keys where someone may not any more, or may not what was before. Each new key is
   * on the disk before it is used, and before an envelope of it leaves. To be called at first sight of an event about the
   * devices or the owner's fleet, and at nextExpiry and nextStart.
   *
   * Who lost a right and got it back between two updates is not noticed to have been without it.
   *
   * It can be called again after any error: what was made durable stands, and the envelopes that are missing are made then.
   *
   * @throws TouchstoneError KEY_RING_MISMATCH (another chain or contract), KEY_RING_FAILED, CHAIN_UNREACHABLE, RPC_FAILED,
   *         EVENTS_MISSING, NOT_FOUND, CANCELLED, INVALID_ARGUMENT.
   */
  update(options: {
    touchstone: Touchstone;
    devices: readonly string[];
    signal?: AbortSignal;
  }): Promise<KeyRingUpdate> {
    const updated = this.#updating.catch(() => undefined).then(() => this.#update(options));
    this.#updating = updated;
    return updated;
  }

  async #update(options: {
    touchstone: Touchstone;
    devices: readonly string[];
    signal?: AbortSignal;
  }): Promise<KeyRingUpdate> {
    const { touchstone, signal } = options;
    const devices = [...new Set(options.devices.map((device) => requireAddress("devices", device)))];
    const here = bindingOf(touchstone, this.#binding.owner);
    if (here.chainId !== this.#binding.chainId || here.dataAccess !== this.#binding.dataAccess) {
      throw new TouchstoneError(
        "KEY_RING_MISMATCH",
        `The key ring ${this.path} is for DataAccess at ${this.#binding.dataAccess} on chain ${this.#binding.chainId}: connect to that.`,
        { details: { ...this.#binding, found: here } },
      );
    }
    const sight = await this.#watch.look({ touchstone, devices, now: this.#now(), signal });
    const { block, timestamp } = sight;
    const rotations: Rotation[] = [];
    const notOwned: string[] = [];
    const wanted: Wanted[] = [];
    this.#write(() => {
      if (timestamp > this.#store.seen) this.#store.seen = timestamp;
      // Reading the chain took time, in which rights may have expired.
      const now = this.#now();
      for (const device of devices) {
        const latest = sight.latest.get(device);
        if (latest?.owner !== this.#binding.owner) {
          notOwned.push(device);
          this.#disown(device);
          continue;
        }
        for (const dataClass of dataClasses) {
          const readers = readersAtBoth(latest, sight.confirmed.get(device), dataClass, now);
          const rotation = this.#rotateFor(device, latest.epoch, dataClass, readers);
          if (rotation !== undefined) rotations.push(rotation);
          wanted.push({ device, dataClass, epoch: latest.epoch, readers });
        }
        this.#store.removeFormerEnvelopes(device, latest.epoch);
      }
    });
    const starts = [...sight.latest.values()].flatMap(({ nextStart }) => nextStart ?? []);
    this.#nextStart = starts.reduce<bigint | undefined>(
      (first, at) => (first === undefined || at < first ? at : first),
      undefined,
    );

    const accounts = [...new Set(wanted.flatMap(({ readers }) => [...readers.given.keys()]))].filter(
      (one) => one !== EVERYONE,
    );
    const keys = await keyAgreementKeysOf({
      touchstone,
      accounts,
      block,
      known: this.#recipients,
      ...(signal === undefined ? {} : { signal }),
    });
    const recipients = new Map(accounts.map((account, index) => [account, keys[index]]));
    this.#write(() => {
      for (const one of wanted) {
        const rotation = this.#rotateForRecipients(one, recipients);
        if (rotation !== undefined) rotations.push(rotation);
      }
    });
    const { envelopes, publicKeys } = await this.#share(wanted, recipients);
    const missing = accounts.filter((account) => recipients.get(account) === undefined);
    return { block, timestamp, rotations, envelopes, publicKeys, missing, notOwned };
  }

  /** Nothing more is sealed of the device; what was stays readable to the ring alone. */
  #disown(device: string): void {
    for (const dataClass of dataClasses) {
      const present = this.#load(device, dataClass);
      if (present === undefined) continue;
      this.#store.closeKey(present.row);
      this.#present.delete(placeOf(device, dataClass));
    }
    this.#store.removeFormerEnvelopes(device, -1n);
  }

  #rotateFor(device: string, epoch: bigint, dataClass: DataClass, readers: Readers): Rotation | undefined {
    const present = this.#load(device, dataClass);
    const { given, allowed } = readers;
    const live = [...given].filter(([, reader]) => reader.live);
    if (present?.key.epoch !== epoch)
      return this.#rotate({ device, epoch, dataClass, live, cause: "First", accounts: [] });
    const lost = [...present.holders.keys()].filter((account) => allowed.get(account)?.live !== true);
    if (lost.length > 0) return this.#rotate({ device, epoch, dataClass, live, cause: "ReaderLost", accounts: lost });
    const joined = live.filter(([account]) => !present.holders.has(account));
    // What a key has not sealed yet, nobody can read who should not.
    const barred =
      present.leased === 0 ? [] : joined.filter(([, reader]) => !reader.history).map(([account]) => account);
    if (barred.length > 0)
      return this.#rotate({ device, epoch, dataClass, live, cause: "ReaderJoined", accounts: barred });
    for (const [account, { until }] of live) {
      // The end of a right can move both ways.
      if (present.holders.get(account) === until) continue;
      this.#store.setHolder(present.row, account, until);
      present.holders.set(account, until);
    }
    present.until = earliest(present.holders);
    return undefined;
  }

  #rotateForRecipients({ device, epoch, dataClass }: Wanted, recipients: Recipients): Rotation | undefined {
    const present = this.#load(device, dataClass);
    if (present === undefined) return undefined;
    const before = this.#store.recipientsOf(present.row);
    const changed = [...before].filter(
      ([account, id]) => recipients.has(account) && recipients.get(account)?.id !== id,
    );
    if (changed.length === 0) return undefined;
    const live = [...present.holders].map(([account, until]) => [account, { until }] as const);
    const accounts = changed.map(([account]) => account);
    return this.#rotate({ device, epoch, dataClass, live, cause: "RecipientChanged", accounts });
  }

  /** To be called while the store writes: what is in memory goes with what is on the disk. */
  #rotate(options: {
    device: string;
    epoch: bigint;
    dataClass: DataClass;
    live: readonly (readonly [string, Pick<Reader, "until">])[];
    cause: RotationCause;
    accounts: string[];
  }): Rotation {
    const { device, epoch, dataClass, live, cause, accounts } = options;
    const before = this.#load(device, dataClass);
    const place = placeOf(device, dataClass);
    // Whatever comes of the writing, this is not what is on the disk.
    this.#present.delete(place);
    if (before !== undefined) this.#store.closeKey(before.row);
    const keyEpoch = 1 + Math.max(0, ...this.#store.keysOf(device, epoch, dataClass).map(({ key }) => key.keyEpoch));
    const { chainId, dataAccess } = this.#binding;
    const key = newDataKey({ chainId: BigInt(chainId), dataAccess, device, epoch, dataClass, keyEpoch });
    const row = this.#store.addKey(key);
    for (const [account, { until }] of live) this.#store.setHolder(row, account, until);
    return { device, dataClass, epoch, keyEpoch, cause, accounts };
  }

  async #share(
    wanted: readonly Wanted[],
    recipients: Recipients,
  ): Promise<Pick<KeyRingUpdate, "envelopes" | "publicKeys">> {
    const publicKeys: PublicDataKey[] = [];
    const unsealed: { row: number; key: DataKey; account: string; recipient: KeyAgreementPublicKey }[] = [];
    const overdue: { row: number; account: string }[] = [];
    for (const { device, dataClass, epoch, readers } of wanted) {
      for (const { row, key, isClosed } of this.#store.keysOf(device, epoch, dataClass)) {
        // Since the chain was read, a holder's right may have expired, and the key been replaced for it.
        const holders = this.#store.holdersOf(row);
        const mayHave = (account: string): boolean => {
          const reader = readers.given.get(account);
          return reader !== undefined && (isClosed ? reader.history : reader.live && holders.has(account));
        };
        if (mayHave(EVERYONE)) publicKeys.push(publicDataKey(key));
        const made = this.#store.recipientsOf(row);
        for (const account of made.keys()) if (!mayHave(account)) overdue.push({ row, account });
        for (const account of readers.given.keys()) {
          const recipient = recipients.get(account);
          if (recipient === undefined || !mayHave(account) || made.get(account) === recipient.id) continue;
          unsealed.push({ row, key, account, recipient });
        }
      }
    }
    const envelopes = await inTurns(unsealed, ENVELOPES_AT_ONCE, ({ key, account, recipient }) =>
      sealEnvelope({ key, subject: account, recipient }),
    );
    this.#write(() => {
      for (const { row, account } of overdue) this.#store.removeEnvelope(row, account);
      for (const [index, { row, account, recipient }] of unsealed.entries()) {
        const envelope = envelopes[index];
        if (envelope !== undefined) this.#store.setEnvelope(row, account, recipient.id, encodeEnvelope(envelope));
      }
    });
    return { envelopes, publicKeys };
  }

  /** Unix seconds of the first moment at which someone loses the present key of a device; undefined if never. */
  nextExpiry(): bigint | undefined {
    return this.#store.firstEnd();
  }

  /** Unix seconds of the earliest moment at which someone may start to read, as the latest update saw it; undefined if there is none. */
  nextStart(): bigint | undefined {
    return this.#nextStart;
  }

  /**
   * The envelopes that were made and still stand, for servers that lost them.
   *
   * @throws TouchstoneError INVALID_ARGUMENT, KEY_RING_FAILED.
   */
  envelopes(filter: { device?: string; account?: string } = {}): Envelope[] {
    const device = filter.device === undefined ? undefined : requireAddress("device", filter.device);
    const account = filter.account === undefined ? undefined : requireAddress("account", filter.account);
    return this.#store.envelopes({ device, account }).map((bytes) => decodeEnvelope(bytes));
  }

  // ------------------------------------------------------------------ readings

  /**
   * Seals a reading with the present key of its class. It asks no chain: where a right has expired by the clock, there is a new key
   * first, of which an update sends the envelopes later.
   *
   * @throws TouchstoneError DEVICE_NOT_OWNED if the ring has no present key: no update found the device to be the owner's, or the
   *         latest one found that it is not any more; KEY_RING_FAILED, INVALID_ARGUMENT.
   */
  seal(options: ReadingPlace & { device: string; dataClass: DataClass; reading: Measurement }): Required<Measurement> {
    const { dataClass } = options;
    // The checksum of an address costs more than to seal a reading.
    const isKnown = this.#present.has(placeOf(options.device, dataClass));
    const device = isKnown ? options.device : requireAddress("device", options.device);
    const { key } = this.#ready(device, dataClass);
    return sealReading({ ...options, key });
  }

  /**
   * Seals readings one after the other, as they come. A key that has to change does so between two of them.
   *
   * @param options.firstSeq Sequence number of the first one; the others follow.
   * @throws TouchstoneError as seal.
   */
  async *sealAll(options: {
    device: string;
    dataClass: DataClass;
    logId: string;
    firstSeq: bigint;
    readings: Iterable<Measurement> | AsyncIterable<Measurement>;
  }): AsyncGenerator<Required<Measurement>, void, undefined> {
    let seq = options.firstSeq;
    for await (const reading of options.readings) yield this.seal({ ...options, seq: seq++, reading });
  }

  /**
   * Opens a reading that this ring has sealed, in whatever owner epoch.
   *
   * @throws TouchstoneError DATA_KEY_MISSING if another ring has sealed it; SEALED_INVALID, SEALED_REFUSED, INVALID_ARGUMENT.
   */
  open(options: ReadingPlace & { reading: SealedReading }): Required<Measurement> {
    const header = sealedHeader(options.reading.payload);
    const stored = this.#store.keyNamed(header.keyId);
    if (stored === undefined) throw keyMissing(header, `the device of log ${options.logId}`);
    return openReading({ ...options, key: stored.key });
  }

  /** The present key, new if it has to be, with room for one more reading. */
  #ready(device: string, dataClass: DataClass): Present {
    let present = this.#load(device, dataClass);
    if (present === undefined) throw this.#notOwned(device);
    const now = this.#now();
    if (present.until !== undefined && present.until <= now) {
      const accounts = [...present.holders].flatMap(([account, until]) => (until <= now ? [account] : []));
      present = this.#replace(present, "ReaderLost", accounts);
    }
    if (present.key.sealed < present.leased) return present;
    if (present.leased >= MAX_SEALED_PER_KEY) present = this.#replace(present, "Exhausted", []);
    const leased = present.leased + LEASE;
    const { row } = present;
    this.#write(() => {
      this.#store.lease(row, leased);
    });
    present.leased = leased;
    return present;
  }

  #replace(present: Present, cause: RotationCause, accounts: string[]): Present {
    const { device, epoch, dataClass } = present.key;
    const live = [...present.holders]
      .filter(([account]) => !accounts.includes(account))
      .map(([account, until]) => [account, { until }] as const);
    this.#write(() => this.#rotate({ device, epoch, dataClass, live, cause, accounts }));
    const next = this.#load(device, dataClass);
    if (next === undefined) throw this.#notOwned(device);
    return next;
  }

  #write<T>(act: () => T): T {
    try {
      return this.#store.write(act);
    } catch (error) {
      // What is on the disk counts, and is read again.
      this.#present.clear();
      throw error;
    }
  }

  #load(device: string, dataClass: DataClass): Present | undefined {
    const place = placeOf(device, dataClass);
    const known = this.#present.get(place);
    if (known !== undefined) return known;
    const stored: StoredKey | undefined = this.#store.presentKey(device, dataClass);
    if (stored === undefined) return undefined;
    const { row, key } = stored;
    const holders = this.#store.holdersOf(row);
    // What was leased before counts as used: a process that died may have sealed all of it.
    const present = { row, key, leased: key.sealed, holders, until: earliest(holders) };
    this.#present.set(place, present);
    return present;
  }

  /** A clock that is behind the chain, or was put back, brings nobody's right back. */
  #now(): bigint {
    const [now, seen] = [this.#clock(), this.#store.seen];
    return now > seen ? now : seen;
  }

  #notOwned(device: string): TouchstoneError {
    const { owner } = this.#binding;
    return new TouchstoneError(
      "DEVICE_NOT_OWNED",
      `The key ring of ${owner} has no present key of ${device}: update it with this device; if it belongs to someone else now, nothing ` +
        "of it is to be sealed here.",
      { details: { device, owner } },
    );
  }
}

// ------------------------------------------------------------------ private

/** Who may read one class of a device. */
interface Readers {
  /** At the latest block: whoever is not in it loses the present key. */
  allowed: ReadonlyMap<string, Reader>;
  /** At the latest block and at the confirmed one: they are given keys. */
  given: ReadonlyMap<string, Reader>;
}

interface Wanted {
  device: string;
  dataClass: DataClass;
  epoch: bigint;
  readers: Readers;
}

type Recipients = ReadonlyMap<string, KeyAgreementPublicKey | undefined>;

function readersAtBoth(
  latest: DeviceReaders,
  confirmed: DeviceReaders | undefined,
  dataClass: DataClass,
  now: bigint,
): Readers {
  const found = [...(latest.classes.get(dataClass) ?? [])];
  const allowed = new Map(
    found.map(([account, reader]) => [account, reader.until > now ? reader : { ...reader, live: false }]),
  );
  const given = new Map<string, Reader>();
  // What was confirmed of another epoch or owner says nothing of this one.
  const isSame = confirmed?.epoch === latest.epoch && confirmed.owner === latest.owner;
  const before = isSame ? confirmed.classes.get(dataClass) : undefined;
  for (const [account, reader] of allowed) {
    const then = before?.get(account);
    if (then === undefined) continue;
    const [live, history] = [reader.live && then.live, reader.history && then.history];
    if (live || history) given.set(account, { live, history, until: reader.until });
  }
  return { allowed, given };
}

function bindingOf({ chainId, addresses }: Pick<Touchstone, "chainId" | "addresses">, owner: string): KeyRingBinding {
  return { chainId: chainId.toString(), dataAccess: addresses.DataAccess, owner };
}

function placeOf(device: string, dataClass: DataClass): string {
  return `${device}/${dataClass}`;
}

function earliest(holders: ReadonlyMap<string, bigint>): bigint | undefined {
  let first: bigint | undefined;
  for (const until of holders.values()) if (first === undefined || until < first) first = until;
  return first;
}
