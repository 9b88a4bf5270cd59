import { readFile } from "node:fs/promises";

import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "chai";

import * as access from "../../client/access.js";
import { FOREVER } from "../../client/arguments.js";
import type { Touchstone } from "../../client/connect.js";
import * as devices from "../../client/devices.js";
import { didOf } from "../../client/did.js";
import type { TouchstoneEventNamed } from "../../client/events.js";
import * as transfers from "../../client/transfers.js";
import type { Sent } from "../../client/transactions.js";
import { ethers, loadFixture, networkHelpers, now } from "../support/chain.js";
import { errorOf } from "../support/errors.js";
import { deployTouchstone, type Deployed } from "../support/touchstone.js";

interface Sharing extends Deployed {
  id: string;
  asOther: Touchstone;
  asRelayer: Touchstone;
}

async function deploySharing(): Promise<Sharing> {
  const deployed = await deployTouchstone();
  const { touchstone, owner, other, relayer, device } = deployed;
  const enrollment = await devices.newEnrollment({ touchstone, device, owner: owner.address });
  await devices.enroll({ touchstone, enrollment, byDevice: device });
  return { ...deployed, id: device.id, asOther: touchstone.connect(other), asRelayer: touchstone.connect(relayer) };
}

const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(access.receiptJsonSchema());

function did(id: string): string {
  return didOf({ chainId: 31337n, device: id });
}

async function timeOf({ receipt }: Sent): Promise<string> {
  const block = await ethers.provider.getBlock(receipt.blockNumber);
  return isoTime(BigInt(block!.timestamp));
}

function isoTime(seconds: bigint): string {
  return new Date(Number(seconds) * 1_000).toISOString().replace(".000Z", "Z");
}

/** The receipt, which is one by every reading of it. */
async function receiptOf(...args: Parameters<typeof access.receiptOf>): Promise<access.ConsentReceipt> {
  const receipt = await access.receiptOf(...args);
  const json: unknown = JSON.parse(JSON.stringify(receipt));
  expect(json).to.deep.equal(receipt);
  expect(access.parseConsentReceipt(JSON.stringify(receipt))).to.deep.equal(receipt);
  expect(validate(json), JSON.stringify(validate.errors)).to.equal(true);
  requireLinked(json, receipt["@context"]);
  return receipt;
}

/** Each key and each name of a thing means something: an IRI, or a prefix that the context explains. */
function requireLinked(node: unknown, context: Record<string, unknown>): void {
  if (Array.isArray(node)) {
    for (const each of node) requireLinked(each, context);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const means = (name: string): void => {
    const [prefix = "", rest] = name.split(":", 2);
    const isIri = ["https", "urn", "did", "ethereum"].includes(prefix);
    expect(rest !== undefined && (isIri || typeof context[prefix] === "string"), name).to.equal(true);
  };
  for (const [key, value] of Object.entries(node)) {
    if (key === "@context") continue;
    if (key === "@id" || key === "@type") means(value as string);
    else {
      means(key);
      requireLinked(value, context);
    }
  }
}

function statusesOf(receipt: access.ConsentReceipt): string[] {
  return receipt["dct:hasPart"]["dpv:hasConsentStatus"].map((event) =>
    "touchstone:cause" in event ? `${event["@type"]} ${event["touchstone:cause"]}` : event["@type"],
  );
}

describe("access.receiptOf", () => {
  it("says what was given, to whom, what for, until when, and how to withdraw it", async () => {
    const { touchstone, owner, other, id } = await loadFixture(deploySharing);
    const termsHash = ethers.id("terms");
    const expiry = (await now()) + 10_000n;
    const sent = await access.grant({
      touchstone,
      device: id,
      subject: other.address,
      permissions: ["ReadLocation", "Command"],
      purposes: ["RepairImpairments", 24],
      expiry,
      termsHash,
    });
    const receipt = await receiptOf({ touchstone, device: id, subject: other.address });
    const processes = ["ReadLocation", "Command"].map((permission) => ({
      "@type": "dpv:Process",
      "dct:identifier": permission,
      "dpv:hasPurpose": [
        { "@id": "https://w3id.org/dpv#RepairImpairments" },
        { "@type": "dpv:Purpose", "dct:identifier": "24" },
      ],
      "dpv:hasProcessing": { "@id": permission === "Command" ? "dpv:Use" : "dpv:Access" },
      ...(permission === "ReadLocation" && {
        "dpv:hasPersonalData": {
          "@type": "dpv:PersonalData",
          "dct:identifier": "ReadLocation",
          "skos:broader": { "@id": "pd:Location" },
        },
      }),
      "dpv:hasDataSource": { "@id": did(id) },
      "dpv:hasDataController": { "@id": did(other.address) },
      "dpv:hasRecipient": { "@id": did(other.address) },
    }));
    const notice = { "@type": "dpv:ConsentNotice", "dct:identifier": termsHash };
    const time = await timeOf(sent);
    const { "dct:hasPart": record, ...rest } = receipt;
    expect(rest).to.deep.equal({
      "@context": access.RECEIPT_CONTEXT,
      "@id": `urn:uuid:${receipt["dct:identifier"]}`,
      "@type": "dpv:ConsentReceipt",
      "dct:identifier": receipt["dct:identifier"],
      "dct:conformsTo": { "@id": "urn:touchstone:consent-receipt:1" },
      "dct:created": time,
      "touchstone:block": sent.receipt.blockNumber,
    });
    expect(record).to.deep.equal({
      "@id": `urn:uuid:${record["dct:identifier"]}`,
      "@type": "dpv:ConsentRecord",
      "dct:identifier": record["dct:identifier"],
      "dct:conformsTo": { "@id": "urn:touchstone:consent-receipt:1" },
      "dpv:hasDataSubject": {
        "@id": did(owner.address),
        "@type": "dpv:DataSubject",
        "dct:identifier": did(owner.address),
      },
      "dpv:hasDataController": {
        "@id": did(other.address),
        "@type": "dpv:DataController",
        "dct:identifier": did(other.address),
      },
      "dpv:hasLegalBasis": { "@id": "dpv:Consent" },
      "dpv:hasProcess": processes,
      "dpv:hasNotice": notice,
      "dpv:hasConsentControl": {
        "@type": "dpv:WithdrawConsent",
        "dpv:isExercisedAt": {
          "@id": `ethereum:${touchstone.addresses.DataAccess}@31337/revoke?address=${id}&address=${other.address}`,
        },
      },
      "dpv:hasConsentStatus": [
        {
          "@type": "dpv:ConsentGiven",
          "dpv:isIndicatedAtTime": time,
          "dpv:isIndicatedBy": { "@id": did(owner.address) },
          "dct:valid": `${time}/${isoTime(expiry)}`,
          "dpv:hasDuration": { "@type": "dpv:UntilTimeDuration", "rdf:value": isoTime(expiry) },
          "dpv:hasProcess": processes,
          "dpv:hasNotice": notice,
          "touchstone:block": sent.receipt.blockNumber,
          "touchstone:logIndex": 0,
          "touchstone:transactionHash": sent.receipt.hash,
        },
      ],
    });
  });

  it("tells a whole history: asked, given, changed, expired, given again, withdrawn, given up, ended with the owner", async () => {
    const { touchstone, owner, other, relayer, asOther, asRelayer, id } = await loadFixture(deploySharing);
    const options = { touchstone, device: id, subject: other.address };
    const expiry = (await now()) + 1_000n;
    const terms = { permissions: ["ReadLive"], purposes: ["ServiceProvision"], expiry } as const;
    await access.requestAccess({ touchstone: asOther, device: id, ...terms });
    await access.grant({ ...options, ...terms });
    await access.grant({ ...options, ...terms, permissions: ["ReadLive", "Audit"] });
    await networkHelpers.time.increaseTo(expiry);
    await access.grant({ ...options, ...terms, expiry: FOREVER });
    await access.revoke(options);
    // It voids signatures, and withdraws nothing.
    await access.revoke(options);
    await access.grant({ ...options, ...terms, expiry: FOREVER });
    await access.renounce({ touchstone: asOther, device: id });
    await access.grant({ ...options, ...terms, expiry: FOREVER });
    await transfers.propose({ touchstone, device: id, newOwner: relayer.address });
    const accepted = await transfers.accept({ touchstone: asRelayer, device: id });
    const sold = await receiptOf(options);
    expect(statusesOf(sold)).to.deep.equal([
      "dpv:ConsentRequested",
      "dpv:ConsentGiven",
      "dpv:RenewedConsentGiven",
      "dpv:ConsentExpired",
      "dpv:ConsentGiven",
      "dpv:ConsentWithdrawn Revoked",
      "dpv:ConsentGiven",
      "dpv:ConsentRevoked Renounced",
      "dpv:ConsentGiven",
      "dpv:ConsentWithdrawn DeviceTransferred",
    ]);
    const events = sold["dct:hasPart"]["dpv:hasConsentStatus"];
    expect(events[3]).to.deep.equal({ "@type": "dpv:ConsentExpired", "dpv:isIndicatedAtTime": isoTime(expiry) });
    const by = events.map((event) => ("dpv:isIndicatedBy" in event ? event["dpv:isIndicatedBy"]["@id"] : ""));
    const [ownerDid, otherDid] = [did(owner.address), did(other.address)];
    expect(by).to.deep.equal([
      otherDid,
      ownerDid,
      ownerDid,
      "",
      ownerDid,
      ownerDid,
      ownerDid,
      otherDid,
      ownerDid,
      did(relayer.address),
    ]);
    expect(events.at(-1)).to.deep.include({
      "dpv:isIndicatedAtTime": await timeOf(accepted),
      "touchstone:transactionHash": accepted.receipt.hash,
    });
    const times = events.map((event) => event["dpv:isIndicatedAtTime"]);
    expect(times).to.deep.equal(times.toSorted());
    expect(events[4]).to.deep.include({
      "dpv:hasDuration": {
        "@type": "dpv:UntilEventDuration",
        "rdf:value": "Until it is revoked or the device changes hands",
      },
    });
    expect(events[4])
      .to.have.property("dct:valid")
      .that.matches(/\/\.\.$/);

    // The next owner's consent is another one.
    await access.grant({ ...options, touchstone: asRelayer, ...terms, expiry: FOREVER });
    await devices.revokeAll({ touchstone: asRelayer, device: id });
    await access.grant({ ...options, touchstone: asRelayer, ...terms, expiry: FOREVER });
    await devices.retire({ touchstone: asRelayer, device: id });
    const all = await access.receiptsOf(options);
    expect(all.map((receipt) => receipt["dct:hasPart"]["dpv:hasDataSubject"]["@id"])).to.deep.equal([
      ownerDid,
      did(relayer.address),
      did(relayer.address),
    ]);
    expect(statusesOf(all[1]!)).to.deep.equal(["dpv:ConsentGiven", "dpv:ConsentWithdrawn AllRevoked"]);
    expect(statusesOf(all[2]!)).to.deep.equal(["dpv:ConsentGiven", "dpv:ConsentWithdrawn DeviceRetired"]);
    expect(new Set(all.map((receipt) => receipt["dct:hasPart"]["@id"])).size).to.equal(3);
    expect(all[0]!["dct:hasPart"]).to.deep.equal(sold["dct:hasPart"]);
    expect(all[0]!["@id"]).not.to.equal(sold["@id"]);
  });

  it("is the same whoever makes it, and as of any block", async () => {
    const { touchstone, other, id } = await loadFixture(deploySharing);
    const options = { touchstone, device: id, subject: other.address };
    const terms = { permissions: ["ReadMetadata"], purposes: ["Verification"], expiry: FOREVER } as const;
    const given = await access.grant({ ...options, ...terms });
    const first = await receiptOf(options);
    await access.revoke(options);
    const again = { ...options, device: id.toLowerCase(), touchstone: touchstone.connect(ethers.provider) };
    expect(await receiptOf({ ...again, toBlock: given.receipt.blockNumber })).to.deep.equal(first);
    const later = await receiptOf(again);
    expect(later["dct:hasPart"]["@id"]).to.equal(first["dct:hasPart"]["@id"]);
    expect(later["@id"]).not.to.equal(first["@id"]);
    expect(statusesOf(later)).to.deep.equal(["dpv:ConsentGiven", "dpv:ConsentWithdrawn Revoked"]);
  });

  it("finds the consent that an event belongs to", async () => {
    const { touchstone, other, id } = await loadFixture(deploySharing);
    const options = { touchstone, device: id, subject: other.address };
    const terms = { permissions: ["ReadLive"], purposes: ["Verification"], expiry: FOREVER } as const;
    const [event] = (await access.grant({ ...options, ...terms })).events as [TouchstoneEventNamed<"AccessGranted">];
    await devices.revokeAll({ touchstone, device: id });
    await access.grant({ ...options, ...terms, permissions: ["Audit"] });
    const old = await receiptOf({ touchstone, event });
    expect(statusesOf(old)).to.deep.equal(["dpv:ConsentGiven", "dpv:ConsentWithdrawn AllRevoked"]);
    expect((await receiptOf(options))["dct:hasPart"]["dpv:hasProcess"][0]).to.deep.include({
      "dct:identifier": "Audit",
      "dpv:hasProcessing": { "@id": "dpv:Assess" },
    });
    const elsewhere = { ...event, cursor: { ...event.cursor, logIndex: 99 } };
    const error = await errorOf("NOT_FOUND", () => access.receiptOf({ touchstone, event: elsewhere }));
    expect(error.details).to.deep.equal({ device: id, subject: other.address, cursor: elsewhere.cursor });
  });

  it("holds ids, terms of vocabularies, times and hashes, and no other text", async () => {
    const { touchstone, other, id } = await loadFixture(deploySharing);
    const options = { touchstone, device: id, subject: other.address };
    const purposes = ["Marketing", 31] as const;
    const permissions = [
      "ReadLive",
      "ReadHistory",
      "ReadLocation",
      "ReadMetadata",
      "Command",
      "Configure",
      "Audit",
    ] as const;
    await access.grant({ ...options, permissions, purposes, expiry: FOREVER - 1n, termsHash: ethers.id("x") });
    const receipt = await receiptOf(options);
    const allowed =
      /^(urn:[a-z0-9:-]+#?|did:ethr:0x[0-9a-f]+:0x[0-9a-f]{40}|https?:\/\/[\w./#-]+|(dpv|dct|pd|xsd):\w+|ethereum:\S+|0x[0-9a-f]{64}|[0-9a-f-]{36}|[\dTZ:/.-]+|Read\w+|Command|Configure|Audit)$/i;
    const walk = (value: unknown): void => {
      if (typeof value === "string") expect(value).to.match(allowed);
      else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
    };
    walk(receipt);
    const withoutEnd = await access.receiptsOf({ ...options, subject: id });
    expect(withoutEnd).to.deep.equal([]);
  });

  it("has nothing for what was only asked for, or for no device", async () => {
    const { touchstone, other, asOther, id } = await loadFixture(deploySharing);
    const terms = { permissions: ["ReadLive"], purposes: ["Verification"], expiry: FOREVER } as const;
    await access.requestAccess({ touchstone: asOther, device: id, ...terms });
    const options = { touchstone, device: id, subject: other.address };
    const error = await errorOf("NOT_FOUND", () => access.receiptOf(options));
    expect(error.details).to.deep.equal({ device: id, subject: other.address });
    await errorOf("NOT_FOUND", () => access.receiptOf({ ...options, device: other.address }));
    await errorOf("INVALID_ARGUMENT", () => access.receiptOf({ ...options, device: "0x12" }));
    await errorOf("INVALID_ARGUMENT", () => access.receiptOf({ ...options, subject: "x.eth" }));
    await errorOf("INVALID_ARGUMENT", () => access.receiptOf({ ...options, toBlock: -1 }));
    await errorOf("CANCELLED", () => access.receiptOf({ ...options, signal: AbortSignal.abort() }));
  });
});

describe("access.parseConsentReceipt", () => {
  it("takes what the published schema takes, and nothing else", async () => {
    const file = await readFile("client/consent-receipt-schema.json", "utf8");
    const advice = "stale: hardhat run --no-compile scripts/consent-receipt-schema.ts";
    expect(JSON.parse(file), advice).to.deep.equal(access.receiptJsonSchema());
    const { touchstone, other, id } = await loadFixture(deploySharing);
    const options = { touchstone, device: id, subject: other.address };
    const terms = { permissions: ["ReadLive"], purposes: ["Verification"], expiry: FOREVER } as const;
    await access.grant({ ...options, ...terms });
    const receipt = await receiptOf(options);
    const record = receipt["dct:hasPart"];
    const wrong: { json: unknown; path: string }[] = [
      { json: null, path: "" },
      { json: { ...receipt, name: "Jane" }, path: "" },
      { json: { ...receipt, "@type": "dpv:ConsentRecord" }, path: "@type" },
      {
        json: { ...receipt, "@context": { ...receipt["@context"], dpv: "https://example.com#" } },
        path: "@context.dpv",
      },
      { json: { ...receipt, "dct:created": "yesterday" }, path: "dct:created" },
      {
        json: { ...receipt, "dct:hasPart": { ...record, "dpv:hasConsentStatus": [] } },
        path: "dct:hasPart.dpv:hasConsentStatus",
      },
      {
        json: { ...receipt, "dct:hasPart": { ...record, "dpv:hasDataSubject": { "@id": "jane@example.com" } } },
        path: "dct:hasPart.dpv:hasDataSubject.@id",
      },
    ];
    for (const { json, path } of wrong) {
      const error = await errorOf("RECEIPT_INVALID", () => access.parseConsentReceipt(json));
      expect(error.details).to.deep.equal({ path });
      expect(validate(json)).to.equal(false);
    }
    await errorOf("RECEIPT_INVALID", () => access.parseConsentReceipt("{"));
  });
});
