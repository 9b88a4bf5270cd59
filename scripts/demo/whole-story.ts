import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { Resolver } from "did-resolver";
import { hexlify, randomBytes } from "ethers";
import { getResolver } from "ethr-did-resolver";

import {
  access,
  accountKey,
  anchorMessage,
  anchors,
  auditTrail,
  buildBatch,
  commitmentOf,
  connectTouchstone,
  createP256Key,
  devices,
  didOf,
  firmware,
  resolverConfig,
  roles,
  Scheme,
  type Batch,
  type Key,
  type KeyProof,
  type P256Key,
  type Sent,
  type Touchstone,
  type TouchstoneEvent,
} from "../../client/index.js";
import { deploySuite, type Connection } from "../support/deploy-suite.js";
import { flipOneBit, renameHub, unpackFirmware, type FirmwareImage } from "./firmware-images.js";
import type { Story } from "./story.js";
import { readWeather } from "./weather.js";

const DAY = 86_400n;
const WEEK = 7n * DAY;
/** The channel that the vendor calls stable. */
const STABLE = 0;
const RESEARCH = "ScientificResearch";
const READINGS_PER_BATCH = 1_500;
/** Versions have room for major, minor, revision and build, as MCUboot's have: 8, 8, 16 and 32 bits. */
const VERSION_1_0_0 = 0x0100_0000_0000_0000n;
const VERSION_1_1_0 = 0x0101_0000_0000_0000n;

/** Who plays, and with what. */
interface Stage {
  story: Story;
  connection: Connection;
  /** Where firmware files are unpacked. */
  folder: string;
  /** The client in the hands of each player. */
  maker: Player;
  owner: Player;
  gateway: Player;
  relayer: Player;
  reader: Player;
  attacker: Player;
}

interface Player {
  account: HardhatEthersSigner;
  touchstone: Touchstone;
}

/**
 * Plays a device maker, a fleet owner, a gateway, a reader and an attacker from deployment to audit.
 *
 * @throws Error if a step does not do what it claims.
 */
export async function tellWholeStory(options: { story: Story; connection: Connection; folder: string }): Promise<void> {
  const { story } = options;
  const stage = await story.step("Deploy the contracts", () => deploy(options));
  const product = await story.step("A vendor publishes firmware, signed by 2 of 3", () => publishFirmware(stage));
  const fleet = await story.step("Devices with P-256 keys join a fleet", () => enrollDevices(stage));
  const log = await story.step("A device signs its readings, a gateway anchors them", () =>
    anchorReadings(stage, fleet),
  );
  await story.step("A reader is granted history, for research and a day", () => shareData(stage, fleet));
  await story.step("Anyone proves a reading and verifies the firmware", () => prove(stage, log, product));
  await story.step("An attacker tries", () => attack(stage, fleet, log, product));
  await story.step("An auditor reads the life of one device", () => audit(stage, fleet.sensor));
}

// ------------------------------------------------------------------ 1

async function deploy(options: { story: Story; connection: Connection; folder: string }): Promise<Stage> {
  const { story, connection } = options;
  const { contracts } = await deploySuite(connection);
  for (const [name, address] of Object.entries(contracts)) story.fact(`${name.padEnd(16)} ${address}`);
  const [, ...signers] = await connection.ethers.getSigners();
  const player = async (): Promise<Player> => {
    const account = signers.shift();
    if (account === undefined) throw new Error("The demo needs seven accounts of the node.");
    return { account, touchstone: await connectTouchstone({ runner: account, addresses: contracts }) };
  };
  return {
    ...options,
    maker: await player(),
    owner: await player(),
    gateway: await player(),
    relayer: await player(),
    reader: await player(),
    attacker: await player(),
  };
}

// ------------------------------------------------------------------ 2

interface PublishedProduct {
  productId: string;
  /** The key of each signer of the Release quorum. */
  signers: Key[];
  old: FirmwareImage;
  latest: FirmwareImage;
}

async function publishFirmware(stage: Stage): Promise<PublishedProduct> {
  const { story, folder, maker } = stage;
  const { touchstone } = maker;
  const hsm = createP256Key();
  const signers = [await accountKey(maker.account), await accountKey(stage.relayer.account), hsm];
  const vendor = await roles.createFleet({ touchstone, salt: hexlify(randomBytes(32)) });
  const product = await firmware.createProduct({
    touchstone,
    vendor: vendor.fleet,
    hardwareClass: "prime hub",
    component: "application",
    signerSet: firmware.newSignerSet({
      signers: signers.map((key) => ({ key, quorums: ["Root", "Release", "Revoke"] })),
      thresholds: { Root: 2, Release: 2, Revoke: 1 },
    }),
  });
  const { productId } = product;
  story.did(`product ${productId.slice(0, 10)}…: 2 of 3 release, one of the signers is a P-256 key`, vendor, product);

  const old = await unpackFirmware(folder);
  const latest = await renameHub(old, { hubName: "Touchstone", folder });
  const releases = [
    { image: old, version: VERSION_1_0_0 },
    { image: latest, version: VERSION_1_1_0 },
  ];
  for (const { image, version } of releases) {
    const release = await firmware.newRelease({ touchstone, productId, file: image.path, version, channels: [STABLE] });
    const proofs = await Promise.all(signers.slice(1).map((key) => firmware.signRelease({ touchstone, release, key })));
    const sent = await firmware.publish({ touchstone: stage.relayer.touchstone, release, proofs });
    story.did(`version ${textOf(version)}, ${image.name}, ${release.size.toLocaleString("en-US")} bytes`, sent);
    story.fact(`SHA-256 ${release.imageDigest}`);
  }
  const head = await firmware.latest({ touchstone, productId, channel: STABLE });
  story.claim(`the head of the stable channel is ${textOf(VERSION_1_1_0)}`, head?.version === VERSION_1_1_0);
  return { productId, signers, old, latest };
}

function textOf(version: bigint): string {
  return [version >> 56n, (version >> 48n) & 0xffn, (version >> 32n) & 0xffffn].join(".");
}

// ------------------------------------------------------------------ 3

interface EnrolledFleet {
  /** The fleet handle that owns the devices. */
  id: string;
  sensor: P256Key;
}

async function enrollDevices(stage: Stage): Promise<EnrolledFleet> {
  const { story, owner, relayer, gateway } = stage;
  const { touchstone } = owner;
  const { fleet, ...created } = await roles.createFleet({ touchstone, salt: hexlify(randomBytes(32)) });
  const member = await roles.setRoles({ touchstone, fleet, account: gateway.account.address, roles: ["Gateway"] });
  story.did(`fleet ${fleet}, with a gateway as its member`, created, member);

  const sensor = createP256Key();
  const byOwner = await accountKey(owner.account);
  for (const device of [sensor, createP256Key(), createP256Key({ scheme: Scheme.P256Sha256 })]) {
    const enrollment = await devices.newEnrollment({ touchstone, device, owner: fleet });
    const sent = await devices.enroll({ touchstone: relayer.touchstone, enrollment, byDevice: device, byOwner });
    story.did(`device ${device.id} proved its key, the owner signed, a relayer sent`, sent);
  }

  const did = didOf({ chainId: touchstone.chainId, device: sensor.id });
  const resolver = new Resolver(getResolver(resolverConfig({ touchstone })));
  const { didDocument } = await resolver.resolve(did);
  story.claim(
    `the unmodified ethr-did-resolver finds its key in the document of its DID:`,
    didDocument?.verificationMethod?.[1]?.type === "Multikey",
  );
  story.fact(JSON.stringify(didDocument, undefined, 2));
  return { id: fleet, sensor };
}

// ------------------------------------------------------------------ 4

interface AnchoredLog {
  /** The batch that was anchored last, with what the device signed for it. */
  batch: Batch;
  anchor: anchors.Anchor;
  byDevice: KeyProof;
}

async function anchorReadings(stage: Stage, fleet: EnrolledFleet): Promise<AnchoredLog> {
  const { story, gateway } = stage;
  const { touchstone } = gateway;
  const { sensor } = fleet;
  const measurements = await readWeather();
  const logId = anchors.deviceLogId({ device: sensor.id });
  let last: AnchoredLog | undefined;
  const sent: Sent[] = [];
  for (let first = 0; first < measurements.length; first += READINGS_PER_BATCH) {
    const readings = measurements.slice(first, first + READINGS_PER_BATCH);
    const batch = buildBatch({ logId, firstSeq: BigInt(first), readings });
    const anchor = await anchors.newAnchor({ touchstone, batch, fresh: true, validFor: WEEK });
    const byDevice = await anchors.signAnchor({ touchstone, anchor, key: sensor });
    sent.push(await anchors.anchor({ touchstone, anchor, byDevice }));
    last = { batch, anchor, byDevice };
  }
  const count = measurements.length.toLocaleString("en-US");
  story.did(`${count} hourly readings of a year in Seattle, in ${sent.length} batches`, ...sent);
  const { size, nextSeq } = await anchors.head({ touchstone, logId });
  story.claim(
    `the log has no gap: ${size} anchors, the next reading is number ${nextSeq}`,
    size === BigInt(sent.length) && nextSeq === BigInt(measurements.length),
  );

  const fleetLog = anchors.fleetLogId({ fleet: fleet.id });
  const batch = buildBatch({ logId: fleetLog, firstSeq: 0n, readings: measurements.slice(0, 24), tree: "Sha256" });
  const anchored = await anchors.anchorAsMember({ touchstone, anchor: await anchors.newAnchor({ touchstone, batch }) });
  story.did("the gateway, a member, anchors a day that it measured itself in the fleet's log", anchored);
  if (last === undefined) throw new Error("There are no readings.");
  return last;
}

// ------------------------------------------------------------------ 5

async function shareData(stage: Stage, { sensor }: EnrolledFleet): Promise<void> {
  const { story, connection, owner, relayer, reader } = stage;
  const { touchstone } = owner;
  const device = sensor.id;
  const policy = await access.newDevicePolicy({ touchstone, device, ceiling: ["ReadLive", "ReadHistory"] });
  const limited = await access.setDevicePolicy({ touchstone: relayer.touchstone, policy, byDevice: sensor });
  story.did("the device itself signs that nobody outside may ever read more than its live data and history", limited);

  const { timestamp = 0 } = (await touchstone.provider.getBlock("latest")) ?? {};
  const subject = reader.account.address;
  const granted = await access.grant({
    touchstone,
    device,
    subject,
    permissions: ["ReadHistory"],
    purposes: [RESEARCH],
    expiry: BigInt(timestamp) + DAY,
  });
  story.did("the owner grants a reader the history, for research, until tomorrow", granted);
  const question = { touchstone, device, account: subject, permissions: ["ReadHistory"], purpose: RESEARCH } as const;
  const today = await access.explain(question);
  story.claim(`today the reader is allowed (${today.reason})`, today.allowed && today.reason === "Grant");
  await connection.networkHelpers.time.increase(DAY);
  const tomorrow = await access.explain(question);
  story.claim(
    `a day later the reader is denied (${tomorrow.reason})`,
    !tomorrow.allowed && tomorrow.reason === "Expired",
  );
}

// ------------------------------------------------------------------ 6

async function prove(stage: Stage, { batch }: AnchoredLog, { productId, latest }: PublishedProduct): Promise<void> {
  const { story, reader } = stage;
  const { touchstone } = reader;
  const seq = batch.firstSeq + 42n;
  const reading = batch.readings[42];
  if (reading?.payload === undefined) throw new Error("The last batch is too short.");
  const proof = await anchors.proveReading({ touchstone, batch, seq });
  const text = Buffer.from(reading.payload).toString("utf8");
  story.claim(
    `reading ${seq}, "${text}", opens its commitment`,
    commitmentOf({ ...reading, tree: batch.tree }) === proof.reading.commitment,
  );
  story.claim(
    `the chain confirms it, with ${proof.batchProof.length + proof.peakProof.length} hashes`,
    await anchors.verifyReading({ touchstone, proof }),
  );
  const { ok, reason, version } = await firmware.verify({ touchstone, productId, file: latest.path });
  story.claim(
    `the chain says of the firmware file: ${reason}, version ${textOf(version)}`,
    ok && version === VERSION_1_1_0,
  );
}

// ------------------------------------------------------------------ 7

async function attack(stage: Stage, fleet: EnrolledFleet, log: AnchoredLog, product: PublishedProduct): Promise<void> {
  await attackFirmware(stage, product);
  await attackReadings(stage, fleet, log);
  await attackAccess(stage, fleet);
}

async function attackFirmware(stage: Stage, { productId, signers, old, latest }: PublishedProduct): Promise<void> {
  const { story, folder, gateway, attacker } = stage;
  const { touchstone } = gateway;
  const flipped = await flipOneBit(latest, folder);
  await story.attack("one flipped bit in the firmware", "FIRMWARE_REFUSED", () =>
    firmware.requireInstallable({ touchstone, productId, file: flipped.path }),
  );
  await story.attack("an old version, genuine and signed", "FIRMWARE_ROLLBACK", () =>
    firmware.requireInstallable({ touchstone, productId, file: old.path, installedVersion: VERSION_1_1_0 }),
  );
  await story.attack(
    "an old version number on a new image, signed by the whole quorum",
    "VersionNotNewer",
    async () => {
      const release = await firmware.newRelease({
        touchstone,
        productId,
        file: flipped.path,
        version: VERSION_1_0_0 + 1n,
        channels: [STABLE],
      });
      const proofs = await Promise.all(signers.map((key) => firmware.signRelease({ touchstone, release, key })));
      await firmware.publish({ touchstone: attacker.touchstone, release, proofs });
    },
  );
}

async function attackReadings(stage: Stage, { sensor }: EnrolledFleet, log: AnchoredLog): Promise<void> {
  const { story, owner, attacker } = stage;
  const { touchstone } = attacker;
  const { batch } = log;
  const { logId } = batch;
  const { nextSeq, lastMeasured } = await anchors.head({ touchstone, logId });
  const forgery = buildBatch({
    logId,
    firstSeq: nextSeq,
    readings: [{ measuredAt: lastMeasured + 3_600_000n, payload: Buffer.from("2011-01-01T00:00:00,1016.6,35.0,3.8") }],
  });
  const anchor = await anchors.newAnchor({ touchstone, batch: forgery });
  await story.attack("a forged reading, signed with another key", "KeyProofInvalid", async () => {
    const { signature } = await anchors.signAnchor({ touchstone, anchor, key: createP256Key() });
    await anchors.anchor({ touchstone, anchor, byDevice: { publicKey: sensor.publicKey, signature } });
  });
  await story.attack("the device's own signature, for another chain", "KeyProofInvalid", async () => {
    const domain = { ...touchstone.domains.DataAnchor, chainId: touchstone.chainId + 1n };
    const byDevice = await sensor.prove(anchorMessage(domain, anchor));
    await anchors.anchor({ touchstone, anchor, byDevice });
  });
  await story.question("a reading moved to another place", async () => {
    const proof = await anchors.proveReading({ touchstone, batch, seq: batch.firstSeq });
    const moved = { ...proof, reading: { ...proof.reading, seq: proof.reading.seq + 1n } };
    const isProved = await anchors.verifyReading({ touchstone, proof: moved });
    return isProved ? undefined : `verifyReading: the log has another reading at place ${moved.reading.seq}`;
  });
  await story.attack("a replayed anchor", "IndexMismatch", () => anchors.anchor({ touchstone, ...log }));
  await devices.suspend({ touchstone: owner.touchstone, device: sensor.id, publicKey: sensor.publicKey });
  await story.attack("a suspended device", "DeviceNotActive", () =>
    anchors.anchor({ touchstone, anchor, byDevice: sensor }),
  );
  await devices.resume({ touchstone: owner.touchstone, device: sensor.id, publicKey: sensor.publicKey });
}

async function attackAccess(stage: Stage, { sensor }: EnrolledFleet): Promise<void> {
  const { story, owner, reader, attacker } = stage;
  const device = sensor.id;
  const subject = reader.account.address;
  const location = { device, permissions: ["ReadLocation"], purposes: [RESEARCH], expiry: 2n ** 40n - 1n } as const;
  await story.attack("a stranger granting", "CallerLacksPermission", () =>
    access.grant({ touchstone: attacker.touchstone, ...location, subject: attacker.account.address }),
  );
  await story.question("a grant wider than the device's own policy, by its owner", async () => {
    const { touchstone } = owner;
    await access.grant({ touchstone, ...location, subject });
    const answer = await access.explain({ touchstone, ...location, account: subject, purpose: RESEARCH });
    return answer.allowed
      ? undefined
      : `${answer.reason}: the device never shares its location, whatever its owner grants`;
  });
}

// ------------------------------------------------------------------ 8

async function audit(stage: Stage, sensor: P256Key): Promise<void> {
  const { story, reader } = stage;
  let events = 0;
  for await (const { event, timestamp } of auditTrail({ touchstone: reader.touchstone, device: sensor.id })) {
    events += 1;
    const time = new Date(Number(timestamp) * 1000).toISOString().slice(0, 19).replace("T", " ");
    story.fact(`${time}  ${event.contract}.${event.name}${detailOf(event)}`);
  }
  story.claim(`${events} events, read from the chain alone`, events > 0);
}

/** What an auditor wants to know of an event besides its name. */
function detailOf(event: TouchstoneEvent): string {
  switch (event.name) {
    case "DeviceEnrolled":
      return `: owner ${event.args.owner}`;
    case "Anchored":
      return `: anchor ${event.args.index}, ${anchors.recordOf(event).count} readings`;
    case "AccessGranted":
      return `: to ${event.args.subject}`;
    case "DeviceSuspended":
    case "DeviceResumed":
      return `: by ${event.args.by}`;
    default:
      return "";
  }
}
