// Seals readings for those who may read them, opens them, and hands out the keys.
import { createCipheriv, randomBytes, randomFillSync } from "node:crypto";

import { createKeyAgreementKey, type KeyAgreementCurve } from "../client/key-agreement.js";
import { openEnvelope, sealEnvelope } from "../client/key-envelopes.js";
import { newDataKey, openReading, sealReading, type DataKey } from "../client/sealing.js";

import { answer, millisecondsOf } from "./support/child.js";

export interface SealingTask {
  readings: number;
  payloadBytes: number;
  envelopes: number;
}

/** Each in a second. */
export interface SealingFigures {
  sealed: number;
  opened: number;
  /** Of the same payloads by AES-256-GCM alone, with a nonce for each: what no sealing can do without. */
  cipherAlone: number;
  /** By the curve of the reader's key. */
  envelopes: Record<KeyAgreementCurve, { sealed: number; opened: number }>;
}

const DEVICE = `0x${"5a".repeat(20)}`;
const LOG_ID = `${DEVICE}${"00".repeat(12)}`;
const START = 1_700_000_000_000;
const ROUNDS = 3;

await answer(async ({ readings, payloadBytes, envelopes }: SealingTask): Promise<SealingFigures> => {
  const place = { chainId: 1n, dataAccess: `0x${"a5".repeat(20)}`, device: DEVICE, epoch: 1n, keyEpoch: 1 };
  const keyOf = (): DataKey => newDataKey({ ...place, dataClass: "readings" });
  const payloads = Array.from({ length: readings }, () => randomFillSync(new Uint8Array(payloadBytes)));

  const best = { sealed: 0, opened: 0, cipherAlone: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const key = keyOf();
    const measured = payloads.map((payload, seq) => ({ payload, measuredAt: BigInt(START + seq) }));
    const sealed: ReturnType<typeof sealReading>[] = [];
    const sealing = millisecondsOf(() => {
      for (const reading of measured) {
        sealed.push(sealReading({ key, logId: LOG_ID, seq: BigInt(sealed.length), reading }));
      }
    });
    let open = 0;
    const opening = millisecondsOf(() => {
      for (const reading of sealed) openReading({ key, logId: LOG_ID, seq: BigInt(open++), reading });
    });
    const alone = millisecondsOf(() => {
      for (const payload of payloads) {
        const cipher = createCipheriv("aes-256-gcm", key.secret, randomBytes(12));
        Buffer.concat([cipher.update(payload), cipher.final(), cipher.getAuthTag()]);
      }
    });
    best.sealed = Math.max(best.sealed, perSecond(readings, sealing));
    best.opened = Math.max(best.opened, perSecond(readings, opening));
    best.cipherAlone = Math.max(best.cipherAlone, perSecond(readings, alone));
  }
  return {
    ...best,
    envelopes: {
      X25519: await envelopesOf("X25519", keyOf(), envelopes),
      "P-256": await envelopesOf("P-256", keyOf(), envelopes),
    },
  };
});

async function envelopesOf(
  curve: KeyAgreementCurve,
  key: DataKey,
  count: number,
): Promise<{ sealed: number; opened: number }> {
  const recipient = createKeyAgreementKey({ curve });
  const best = { sealed: 0, opened: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const envelopes = [];
    let start = performance.now();
    for (let made = 0; made < count; made++) envelopes.push(await sealEnvelope({ key, subject: DEVICE, recipient }));
    best.sealed = Math.max(best.sealed, perSecond(count, performance.now() - start));
    start = performance.now();
    for (const envelope of envelopes) await openEnvelope({ envelope, key: recipient });
    best.opened = Math.max(best.opened, perSecond(count, performance.now() - start));
  }
  return best;
}

function perSecond(count: number, milliseconds: number): number {
  return (count / milliseconds) * 1000;
}
