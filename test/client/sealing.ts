import { webcrypto } from "node:crypto";

import { expect } from "chai";
import { concat, getBytes, hexlify, sha256, toBeHex } from "ethers";
import fc from "fast-check";

import * as anchors from "../../client/anchors.js";
import { buildBatch, type Measurement } from "../../client/batches.js";
import { createKeyAgreementKey } from "../../client/key-agreement.js";
import {
  decodeEnvelope,
  encodeEnvelope,
  openEnvelope,
  parseEnvelope,
  publicDataKey,
  ReaderKeys,
  sealEnvelope,
  type Envelope,
} from "../../client/key-envelopes.js";
import {
  dataClasses,
  MAX_SEALED_PER_KEY,
  newDataKey,
  openReading,
  SEALED_FORMAT,
  SEALED_OVERHEAD,
  sealedHeader,
  sealReading,
  sealReadings,
  type DataKey,
  type DataKeyPlace,
} from "../../client/sealing.js";
import { ethers, loadFixture, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { deploySuite } from "../support/suite.js";

const DEVICE = "0xDeaDbeefdEAdbeefdEadbEEFdeadbeEFdEaDbeeF";
const OTHER_DEVICE = "0xbeEFdeaDBeefDeadBEeFDeAdbEeFDeaDbeefdEad";
const ACCESS = "0x00000000000000000000000000000000000aCCe5";
const PLACE: DataKeyPlace = {
  chainId: 31_337n,
  dataAccess: ethers.getAddress(ACCESS.toLowerCase()),
  device: ethers.getAddress(DEVICE.toLowerCase()),
  epoch: 3n,
  dataClass: "location",
  keyEpoch: 5,
};
const SECRET = Buffer.alloc(32, 7);
const logId = anchors.deviceLogId({ device: PLACE.device, stream: 2n });
const seq = 41n;
const reading: Measurement = {
  measuredAt: 1_700_000_000_123n,
  payload: Buffer.from("47.1,8.2"),
  contentFormat: 112,
};
const key = (changes: Partial<DataKeyPlace> & { secret?: Uint8Array } = {}): DataKey =>
  newDataKey({ ...PLACE, secret: SECRET, ...changes });
const sealed = sealReading({ key: key(), logId, seq, reading });

describe("Sealed readings", () => {
  it("are laid out byte by byte as documented, and open with another AES-256-GCM", async () => {
    const place = concat([toBeHex(31_337, 8), PLACE.dataAccess, PLACE.device]);
    const which = concat(["0x01", toBeHex(3, 3), toBeHex(5, 4)]);
    const keyId = sha256(concat([Buffer.from("Touchstone.data-key.v1"), place, which, SECRET])).slice(0, 34);
    expect(key().id).to.equal(keyId);
    const header = concat(["0x01", which, keyId]);
    expect(hexlify(sealed.payload.subarray(0, 25))).to.equal(header);
    expect(sealed.payload.length).to.equal(55 + reading.payload.length);
    expect(sealed.contentFormat).to.equal(SEALED_FORMAT);
    expect(sealed.measuredAt).to.equal(reading.measuredAt);

    const additionalData = getBytes(
      concat([Buffer.from("Touchstone.sealed.v1"), place, logId, toBeHex(seq, 8), header]),
    );
    const aes = await webcrypto.subtle.importKey("raw", SECRET, "AES-GCM", false, ["encrypt", "decrypt"]);
    const iv = sealed.payload.subarray(25, 37);
    const opened = await webcrypto.subtle.decrypt(
      { name: "AES-GCM", iv, additionalData },
      aes,
      sealed.payload.subarray(37),
    );
    expect(Buffer.from(opened)).to.deep.equal(Buffer.concat([Buffer.from("0070", "hex"), reading.payload]));

    // And the other way round: what the other one seals is opened here.
    const plaintext = Buffer.concat([Buffer.from("0032", "hex"), Buffer.from("{}")]);
    const ciphertext = await webcrypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, aes, plaintext);
    const payload = Buffer.concat([getBytes(header), iv, Buffer.from(ciphertext)]);
    expect(openReading({ key: key(), logId, seq, reading: { measuredAt: 1n, payload } })).to.deep.equal({
      measuredAt: 1n,
      payload: new Uint8Array(Buffer.from("{}")),
      contentFormat: 50,
    });
  });

  it("open to what was sealed, whatever it is, and are longer by always the same", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 0, max: 0xffff }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.constantFrom(...dataClasses),
        (payload, contentFormat, place, dataClass) => {
          const own = newDataKey({ ...PLACE, dataClass });
          const made = sealReading({
            key: own,
            logId,
            seq: place,
            reading: { measuredAt: 5n, payload, contentFormat },
          });
          expect(made.payload.length).to.equal(payload.length + SEALED_OVERHEAD);
          expect(openReading({ key: own, logId, seq: place, reading: made })).to.deep.equal({
            measuredAt: 5n,
            payload: Uint8Array.from(payload),
            contentFormat,
          });
        },
      ),
    );
  });

  it("are never sealed twice with the same nonce, nor do equal readings look equal", () => {
    const own = key();
    const nonces = Array.from({ length: 1000 }, () =>
      hexlify(sealReading({ key: own, logId, seq, reading }).payload.subarray(25, 37)),
    );
    expect(new Set(nonces).size).to.equal(1000);
    expect(own.sealed).to.equal(1000);
  });

  it("are refused if any byte of them was altered, or they were cut or made longer", async () => {
    for (let at = 0; at < sealed.payload.length; at += 1) {
      for (const bit of [1, 0x80]) {
        const payload = Uint8Array.from(sealed.payload);
        payload[at]! ^= bit;
        expect(() => openReading({ key: key(), logId, seq, reading: { ...sealed, payload } }), `byte ${at}`)
          .to.throw()
          .with.property("code")
          .that.is.oneOf(at < 25 ? ["SEALED_INVALID", "DATA_KEY_MISSING"] : ["SEALED_REFUSED"]);
      }
    }
    for (let length = 0; length < sealed.payload.length; length += 1) {
      const payload = sealed.payload.subarray(0, length);
      const code = length < SEALED_OVERHEAD ? "SEALED_INVALID" : "SEALED_REFUSED";
      await errorOf(code, () => openReading({ key: key(), logId, seq, reading: { ...sealed, payload } }));
    }
    const payload = Buffer.concat([sealed.payload, Buffer.alloc(1)]);
    await errorOf("SEALED_REFUSED", () => openReading({ key: key(), logId, seq, reading: { ...sealed, payload } }));
    const other = { ...sealed, contentFormat: 0 };
    await errorOf("SEALED_INVALID", () => openReading({ key: key(), logId, seq, reading: other }));
  });

  it("open nowhere but at their place: not on another chain, device, log, number, epoch, class or key epoch", async () => {
    const open = (changes: Partial<DataKeyPlace>, where: { logId?: string; seq?: bigint } = {}): unknown =>
      openReading({ key: key(changes), logId, seq, ...where, reading: sealed });
    expect(open({})).to.have.property("contentFormat", 112);
    await errorOf("SEALED_REFUSED", () => open({}, { seq: seq + 1n }));
    await errorOf("SEALED_REFUSED", () =>
      open({}, { logId: anchors.deviceLogId({ device: PLACE.device, stream: 3n }) }),
    );
    await errorOf("SEALED_REFUSED", () => open({}, { logId: anchors.deviceLogId({ device: OTHER_DEVICE }) }));
    await errorOf("SEALED_REFUSED", () => open({}, { logId: anchors.fleetLogId({ fleet: PLACE.device, stream: 2n }) }));
    const changed: Partial<DataKeyPlace>[] = [
      { chainId: 1n },
      { dataAccess: OTHER_DEVICE },
      { device: OTHER_DEVICE },
      { epoch: 4n },
      { dataClass: "readings" },
      { keyEpoch: 6 },
    ];
    const fleetLog = anchors.fleetLogId({ fleet: OTHER_DEVICE });
    const inFleetLog = sealReading({ key: key(), logId: fleetLog, seq, reading });
    for (const change of changed) {
      // The id of a key says its place, too.
      await errorOf("DATA_KEY_MISSING", () =>
        openReading({ key: key(change), logId: fleetLog, seq, reading: inFleetLog }),
      );
      // Even a key that pretends to be that one does not open it.
      const pretender = { ...key(change), id: key().id };
      const payload = Uint8Array.from(inFleetLog.payload);
      payload.set(
        getBytes(concat([toBeHex(dataClasses.indexOf(pretender.dataClass), 1), toBeHex(pretender.epoch, 3)])),
        1,
      );
      payload.set(getBytes(toBeHex(pretender.keyEpoch, 4)), 5);
      await errorOf("SEALED_REFUSED", () =>
        openReading({ key: pretender, logId: fleetLog, seq, reading: { ...inFleetLog, payload } }),
      );
    }
  });

  it("name the key that opens them, and say which is missing", async () => {
    expect(sealedHeader(sealed.payload)).to.deep.equal({
      dataClass: "location",
      epoch: 3n,
      keyEpoch: 5,
      keyId: key().id,
    });
    const error = await errorOf("DATA_KEY_MISSING", () =>
      openReading({ key: key({ secret: Buffer.alloc(32, 8) }), logId, seq, reading: sealed }),
    );
    expect(error.details).to.deep.equal({ device: PLACE.device, ...sealedHeader(sealed.payload) });
    for (const [at, value] of [
      [0, 2],
      [1, 3],
    ] as const) {
      const payload = Uint8Array.from(sealed.payload);
      payload[at] = value;
      await errorOf("SEALED_INVALID", () => sealedHeader(payload));
    }
    const payload = Uint8Array.from(sealed.payload);
    payload.fill(0, 5, 9);
    await errorOf("SEALED_INVALID", () => sealedHeader(payload));
  });

  it("are refused for what is no reading, the log of another device, and a key that sealed as much as it may", async () => {
    const seal = (changes: object): unknown => sealReading({ key: key(), logId, seq, reading, ...changes });
    await errorOf("INVALID_ARGUMENT", () => seal({ reading: { ...reading, contentFormat: 65_536 } }));
    await errorOf("INVALID_ARGUMENT", () => seal({ reading: { ...reading, payload: "47.1,8.2" } }));
    await errorOf("INVALID_ARGUMENT", () => seal({ seq: 2n ** 64n }));
    await errorOf("INVALID_ARGUMENT", () => seal({ logId: "0x" }));
    await errorOf("INVALID_ARGUMENT", () => seal({ logId: anchors.deviceLogId({ device: OTHER_DEVICE }) }));
    const worn = key();
    worn.sealed = MAX_SEALED_PER_KEY - 1;
    sealReading({ key: worn, logId, seq, reading });
    await errorOf("DATA_KEY_EXHAUSTED", () => seal({ key: worn }));
    expect(worn.sealed).to.equal(MAX_SEALED_PER_KEY);
    for (const change of [
      { secret: Buffer.alloc(31) },
      { chainId: 2n ** 64n },
      { epoch: 2n ** 24n },
      { keyEpoch: 0 },
      { keyEpoch: 2 ** 32 },
      { dataClass: "all" as never },
      { device: "0x" },
    ]) {
      await errorOf("INVALID_ARGUMENT", () => key(change));
    }
  });

  it("stream by the thousands, each at its own number", async () => {
    const own = key();
    const readings = Array.from({ length: 20_000 }, (_, index) => ({
      measuredAt: BigInt(index),
      payload: Buffer.from(`reading ${index}`),
    }));
    const start = performance.now();
    let next = 0n;
    for await (const each of sealReadings({ key: own, logId, firstSeq: 0n, readings })) {
      const opened = openReading({ key: own, logId, seq: next, reading: each });
      if (next % 997n === 0n) expect(Buffer.from(opened.payload).toString()).to.equal(`reading ${next}`);
      next += 1n;
    }
    expect(next).to.equal(20_000n);
    // Tens of thousands a second on any machine: what is asked of it is a hundred times less.
    expect(performance.now() - start).to.be.lessThan(20_000);
  });

  it("go through batch, anchor and proof as any reading, and open to whoever has the key alone", async () => {
    const { as, p256Device, chainId, access } = await loadFixture(deploySuite);
    const log = anchors.deviceLogId({ device: p256Device.id });
    const own = newDataKey({
      chainId,
      dataAccess: await access.getAddress(),
      device: p256Device.id,
      epoch: 1n,
      dataClass: "readings",
      keyEpoch: 1,
    });
    const time = ((await now()) - 60n) * 1000n;
    const readings = Array.from({ length: 5 }, (_, index) =>
      sealReading({
        key: own,
        logId: log,
        seq: BigInt(index),
        reading: { measuredAt: time + BigInt(index), payload: Buffer.from(`${20 + index}.5`) },
      }),
    );
    const batch = buildBatch({ logId: log, firstSeq: 0n, readings });
    const anchor = await anchors.newAnchor({ touchstone: as.relayer, batch });
    await anchors.anchor({ touchstone: as.relayer, anchor, byDevice: p256Device });
    const proof = await anchors.proveReading({ touchstone: as.stranger, batch, seq: 3n });
    expect(await anchors.verifyReading({ touchstone: as.stranger, proof })).to.equal(true);

    const archived = batch.readings[3]!;
    expect(archived.contentFormat).to.equal(SEALED_FORMAT);
    const opened = openReading({ key: own, logId: log, seq: 3n, reading: archived as never });
    expect(Buffer.from(opened.payload).toString()).to.equal("23.5");
    expect(Buffer.from(archived.payload!).includes("23.5")).to.equal(false);
    await errorOf("DATA_KEY_MISSING", () =>
      openReading({ key: newDataKey({ ...own, secret: SECRET }), logId: log, seq: 3n, reading: archived as never }),
    );
    // What stands at another number of the same batch does not pass for this one.
    await errorOf("SEALED_REFUSED", () =>
      openReading({ key: own, logId: log, seq: 3n, reading: batch.readings[2]! as never }),
    );
  });
});

describe("Envelopes of data keys", () => {
  const SUBJECT = ethers.getAddress(`0x${"5b".repeat(20)}`);
  const x25519 = createKeyAgreementKey();
  const p256 = createKeyAgreementKey({ curve: "P-256" });

  it("open with the reader's key, as JSON and as bytes, on both curves", async () => {
    for (const [recipient, size] of [
      [x25519, 207],
      [p256, 240],
    ] as const) {
      const envelope = await sealEnvelope({ key: key(), subject: SUBJECT, recipient });
      expect(envelope).to.include({
        version: 1,
        curve: recipient.curve,
        chainId: "31337",
        dataAccess: PLACE.dataAccess,
        device: PLACE.device,
        dataClass: "location",
        epoch: 3,
        keyEpoch: 5,
        keyId: key().id,
        subject: SUBJECT,
        recipientKey: recipient.id,
      });
      expect(JSON.stringify(envelope)).to.not.include(SECRET.toString("hex"));
      expect(await openEnvelope({ envelope, key: recipient })).to.deep.equal(key());
      const bytes = encodeEnvelope(envelope);
      expect(bytes.length).to.equal(size);
      expect(decodeEnvelope(bytes)).to.deep.equal(envelope);
      expect(parseEnvelope(JSON.parse(JSON.stringify(envelope)))).to.deep.equal(envelope);
    }
  });

  it("open for nobody else, and not under another account's name or for another place", async () => {
    const envelope = await sealEnvelope({ key: key(), subject: SUBJECT, recipient: x25519 });
    const stranger = createKeyAgreementKey();
    await errorOf("ENVELOPE_REFUSED", () => openEnvelope({ envelope, key: stranger }));
    await errorOf("ENVELOPE_REFUSED", () => openEnvelope({ envelope, key: p256 }));
    await errorOf("ENVELOPE_REFUSED", () => openEnvelope({ envelope, key: { ...stranger, id: x25519.id } }));
    const changes: Partial<Envelope>[] = [
      { chainId: "1" },
      { dataAccess: SUBJECT },
      { device: SUBJECT },
      { dataClass: "readings" },
      { epoch: 4 },
      { keyEpoch: 6 },
      { keyId: `0x${"00".repeat(16)}` },
      { subject: PLACE.device },
    ];
    for (const change of changes) {
      await errorOf("ENVELOPE_REFUSED", () => openEnvelope({ envelope: { ...envelope, ...change }, key: x25519 }));
    }
  });

  it("are refused if any byte of them was altered, on both curves", async function () {
    this.timeout(60_000);
    for (const recipient of [x25519, p256]) {
      const bytes = encodeEnvelope(await sealEnvelope({ key: key(), subject: SUBJECT, recipient }));
      for (let at = 0; at < bytes.length; at += 1) {
        const altered = Uint8Array.from(bytes);
        altered[at]! ^= 1;
        let refusal: unknown;
        try {
          await openEnvelope({ envelope: decodeEnvelope(altered), key: recipient });
        } catch (error) {
          refusal = error;
        }
        expect(refusal, `byte ${at}`).to.have.property("code").that.is.oneOf(["ENVELOPE_INVALID", "ENVELOPE_REFUSED"]);
      }
      for (const length of [0, 1, 126, 127, bytes.length - 1]) {
        await errorOf("ENVELOPE_INVALID", () => decodeEnvelope(bytes.subarray(0, length)));
      }
      await errorOf("ENVELOPE_INVALID", () => decodeEnvelope(Buffer.concat([bytes, Buffer.alloc(1)])));
    }
  });

  it("are refused where the JSON is another, member by member", async () => {
    const envelope = await sealEnvelope({ key: key(), subject: SUBJECT, recipient: p256 });
    const wrong: Record<string, unknown> = {
      version: 2,
      curve: "X25519",
      chainId: "0x1",
      dataAccess: PLACE.dataAccess.toLowerCase(),
      device: "0x",
      dataClass: "all",
      epoch: 2 ** 24,
      keyEpoch: 0,
      keyId: "0x00",
      subject: null,
      recipientKey: 1,
      enc: "0x",
      ciphertext: envelope.ciphertext.toUpperCase(),
    };
    expect(Object.keys(wrong).sort()).to.deep.equal(Object.keys(envelope).sort());
    for (const [name, value] of Object.entries(wrong)) {
      await errorOf("ENVELOPE_INVALID", () => parseEnvelope({ ...envelope, [name]: value }));
      await errorOf("ENVELOPE_INVALID", () => parseEnvelope({ ...envelope, [name]: undefined }));
    }
    await errorOf("ENVELOPE_INVALID", () => parseEnvelope({ ...envelope, more: 1 }));
    await errorOf("ENVELOPE_INVALID", () => parseEnvelope(undefined));
    await errorOf("INVALID_KEY", () =>
      sealEnvelope({ key: key(), subject: SUBJECT, recipient: { curve: "X25519", publicKey: `0x${"00".repeat(32)}` } }),
    );
  });

  it("open with a key in hardware, which is asked for nothing but the agreed secret", async () => {
    const asked: string[] = [];
    const hardware = {
      curve: p256.curve,
      publicKey: p256.publicKey,
      id: p256.id,
      agree(publicKey: string) {
        asked.push(publicKey);
        return p256.agree(publicKey);
      },
    };
    const envelope = await sealEnvelope({ key: key(), subject: SUBJECT, recipient: p256 });
    expect(await openEnvelope({ envelope, key: hardware })).to.deep.equal(key());
    expect(asked).to.deep.equal([`0x${envelope.enc.slice(4)}`]);
    // It is never asked for a point that is none.
    const off = { ...envelope, enc: `0x04${"11".repeat(64)}` };
    await errorOf("ENVELOPE_REFUSED", () => openEnvelope({ envelope: off, key: hardware }));
    expect(asked).to.have.lengthOf(1);
  });

  it("collect at the reader, who opens what is theirs and says what is missing", async () => {
    const reader = new ReaderKeys({ chainId: PLACE.chainId, dataAccess: PLACE.dataAccess, keys: [x25519, p256] });
    await errorOf("DATA_KEY_MISSING", () => reader.open({ logId, seq, reading: sealed }));
    const envelope = await sealEnvelope({ key: key(), subject: SUBJECT, recipient: p256 });
    await reader.add(encodeEnvelope(envelope));
    await reader.add(JSON.parse(JSON.stringify(envelope)));
    expect(reader.size).to.equal(1);
    expect(Buffer.from(reader.open({ logId, seq, reading: sealed }).payload).toString()).to.equal("47.1,8.2");
    await errorOf("SEALED_REFUSED", () => reader.open({ logId, seq: seq + 1n, reading: sealed }));
    // A key of the same place that someone else made opens nothing, and keeps nothing from being opened.
    const forged = await sealEnvelope({ key: newDataKey(PLACE), subject: SUBJECT, recipient: x25519 });
    await reader.add(forged);
    expect(reader.size).to.equal(2);
    expect(reader.open({ logId, seq, reading: sealed }).contentFormat).to.equal(112);

    const elsewhere = await sealEnvelope({ key: key({ chainId: 1n }), subject: SUBJECT, recipient: p256 });
    await errorOf("ENVELOPE_REFUSED", () => reader.add(elsewhere));
    const theirs = await sealEnvelope({ key: key(), subject: SUBJECT, recipient: createKeyAgreementKey() });
    await errorOf("ENVELOPE_REFUSED", () => reader.add(theirs));
    await errorOf("ENVELOPE_INVALID", () => reader.add({}));
    const keyless = new ReaderKeys({ chainId: PLACE.chainId, dataAccess: PLACE.dataAccess, keys: [] });
    await errorOf("ENVELOPE_REFUSED", () => keyless.add(envelope));
  });

  it("are not needed for what is public: the key stands in the clear, and is what it says", async () => {
    const reader = new ReaderKeys({ chainId: PLACE.chainId, dataAccess: PLACE.dataAccess, keys: [] });
    const open = publicDataKey(key());
    reader.addPublic(JSON.parse(JSON.stringify(open)));
    expect(reader.open({ logId, seq, reading: sealed }).contentFormat).to.equal(112);
    await errorOf("ENVELOPE_REFUSED", () => reader.addPublic({ ...open, epoch: 4 }));
    await errorOf("ENVELOPE_REFUSED", () => reader.addPublic({ ...open, chainId: "1" }));
    await errorOf("ENVELOPE_INVALID", () => reader.addPublic({ ...open, secret: "0x" }));
    await errorOf("ENVELOPE_INVALID", () => reader.addPublic(undefined));
  });
});
