import { anchors, sharing, type Touchstone } from "touchstone";

/** What a reader does once: makes a key for this alone, keeps it, and publishes its public half in its DID document. */
export async function becomeReader(options: { touchstone: Touchstone; keyFile: string }) {
  const { touchstone, keyFile } = options;
  const key = sharing.createKeyAgreementKey();
  await sharing.writeKeyAgreementKey({ path: keyFile, key });
  await sharing.publishKeyAgreementKey({ touchstone, key });
}

/** What the owner's gateway does: seals a reading for those who may read now, and has the keys for one of them. */
export async function sealReading(options: {
  touchstone: Touchstone;
  ringFile: string;
  secret: string;
  owner: string;
  device: string;
  reader: string;
  seq: bigint;
  payload: Uint8Array;
  confirmations: number;
}) {
  const { touchstone, ringFile, secret, owner, device, reader, seq, payload, confirmations } = options;
  const ring = await sharing.openKeyRing({ touchstone, path: ringFile, owner, secret, confirmations });
  try {
    // To be run again at each event about the device: a new key where somebody may not read any more.
    await ring.update({ touchstone, devices: [device] });
    const reading = { measuredAt: BigInt(Date.now()), payload };
    const logId = anchors.deviceLogId({ device });
    const sealed = ring.seal({ device, dataClass: "readings", logId, seq, reading });
    return { sealed, envelopes: ring.envelopes({ device, account: reader }) };
  } finally {
    await ring.close();
  }
}

/** What the reader does: takes the data keys out of its envelopes, and opens what they open. */
export async function openReading(options: {
  touchstone: Touchstone;
  keyFile: string;
  envelopes: readonly sharing.Envelope[];
  device: string;
  seq: bigint;
  sealed: sharing.SealedReading;
}) {
  const { touchstone, keyFile, envelopes, device, seq, sealed } = options;
  const { chainId, addresses } = touchstone;
  const own = await sharing.readKeyAgreementKey({ path: keyFile });
  const keys = new sharing.ReaderKeys({ chainId, dataAccess: addresses.DataAccess, keys: [own] });
  for (const envelope of envelopes) await keys.add(envelope);
  return keys.open({ logId: anchors.deviceLogId({ device }), seq, reading: sealed });
}
