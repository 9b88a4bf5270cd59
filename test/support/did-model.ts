import { encodeBase58, toUtf8String, ZeroAddress } from "ethers";

import { compressPublicKey, Scheme, type Key } from "../../client/keys.js";

/** A key in a document, and what it is for. */
export interface ShownKey {
  type: string;
  material: string;
  /** Any of "authentication", "assertionMethod" and "keyAgreement". */
  uses: string[];
}

/** What a DID document says, without the numbers that a resolver gives to what it shows. */
export interface ShownDocument {
  keys: ShownKey[];
  services: { type: string; endpoint: string }[];
}

export type Status = "none" | "active" | "suspended" | "ended";

const RECOVERY = "EcdsaSecp256k1RecoveryMethod2020";

/** The attributes that histories write, and what becomes of them in a document. */
export const ATTRIBUTES: Record<string, { type: string; uses?: string[]; materialOf: (value: string) => string }> = {
  "did/svc/Hub": { type: "Hub", materialOf: (value) => toUtf8String(value) },
  "did/pub/X25519/enc": {
    type: "X25519KeyAgreementKey2019",
    uses: ["keyAgreement"],
    materialOf: (value) => value.slice(2),
  },
  "did/pub/Ed25519/veriKey/base58": {
    type: "Ed25519VerificationKey2018",
    uses: ["assertionMethod"],
    materialOf: (value) => encodeBase58(value),
  },
  "did/pub/Secp256k1/sigAuth/hex": {
    type: "EcdsaSecp256k1VerificationKey2019",
    uses: ["assertionMethod", "authentication"],
    materialOf: (value) => value.slice(2),
  },
};

/** The types of delegates that histories write, and what each is for in a document; the last is in none. */
export const DELEGATE_TYPES: Record<string, string[] | undefined> = {
  sigAuth: ["assertionMethod", "authentication"],
  veriKey: ["assertionMethod"],
  repairs: undefined,
};

/** What an identity is to those who read the interface of ERC-1056 and of the registry of devices, and no code. */
export class IdentityModel {
  controller: string;
  status: Status = "none";
  key: Pick<Key, "id" | "scheme" | "publicKey"> | undefined;
  /** Whether someone was made the owner before it is a device. */
  hasOwner = false;
  /** Blocks of the changes that resolvers still find, the latest last. */
  blocks: bigint[] = [];
  /** Until when each delegate ("type address") and each attribute ("name value") holds. */
  readonly delegates = new Map<string, bigint>();
  readonly attributes = new Map<string, bigint>();

  /** Whether it has a key to speak for itself; a fleet handle has none. */
  readonly hasKey: boolean;

  constructor(
    readonly id: string,
    { hasKey = true }: { hasKey?: boolean } = {},
  ) {
    this.controller = id;
    this.hasKey = hasKey;
  }

  /** Whether nobody speaks for it. */
  get isMute(): boolean {
    return this.controller === ZeroAddress || (this.controller === this.id && !this.hasKey);
  }

  get isDevice(): boolean {
    return this.status === "active" || this.status === "suspended";
  }

  /** Why the controller may not do this, if it may not. */
  refusalOf(action: string, name: string): string | undefined {
    if (!this.isDevice) return undefined;
    if (action === "changeOwner") return "TransferNeedsConsent";
    return name.includes("sigAuth") ? "KeyReserved" : undefined;
  }

  change(block: bigint): void {
    if (this.blocks.at(-1) !== block) this.blocks.push(block);
  }

  changeOwner(owner: string): void {
    this.controller = owner;
    this.hasOwner = true;
    if (owner === ZeroAddress) this.end();
  }

  /** All that was published before is gone. */
  begin(owner: string, block: bigint): void {
    this.controller = owner;
    this.delegates.clear();
    this.attributes.clear();
    this.blocks = [block];
  }

  end(): void {
    this.controller = ZeroAddress;
    this.status = "ended";
    this.delegates.clear();
    this.attributes.clear();
  }

  isDelegate(type: string, account: string, time: bigint): boolean {
    const { key } = this;
    if (type === "sigAuth" && this.status === "active" && key?.scheme === Scheme.Account && key.id === account)
      return true;
    return (this.delegates.get(`${type} ${account}`) ?? 0n) > time;
  }

  /** What the document says at this time (Unix seconds); nothing once it is deactivated. */
  document(time: bigint, chainId: bigint): ShownDocument {
    const document: ShownDocument = { keys: [], services: [] };
    if (this.status === "ended") return document;
    const account = (address: string): string => `eip155:${chainId}:${address}`;
    const both = ["assertionMethod", "authentication"];
    document.keys.push({ type: RECOVERY, material: account(this.controller), uses: both });
    if (this.status === "active" && this.key) {
      document.keys.push(
        this.key.scheme === Scheme.Account
          ? { type: RECOVERY, material: account(this.key.id), uses: both }
          : { type: "Multikey", material: `8024${compressPublicKey(this.key.publicKey).slice(2)}`, uses: both },
      );
    }
    for (const [type, address] of held(this.delegates, time)) {
      const uses = DELEGATE_TYPES[type];
      if (uses) document.keys.push({ type: RECOVERY, material: account(address), uses });
    }
    for (const [name, value] of held(this.attributes, time)) {
      const { type, uses, materialOf } = ATTRIBUTES[name]!;
      if (uses) document.keys.push({ type, material: materialOf(value), uses });
      else document.services.push({ type, endpoint: materialOf(value) });
    }
    return document;
  }

  /** A device that was just enrolled. */
  static device(key: Pick<Key, "id" | "scheme" | "publicKey">, owner: string, block: bigint): IdentityModel {
    const model = new IdentityModel(key.id);
    model.enroll(key, owner, block);
    return model;
  }

  enroll(key: Pick<Key, "id" | "scheme" | "publicKey">, owner: string, block: bigint): void {
    this.begin(owner, block);
    this.key = key;
    this.status = "active";
  }
}

/** What resolvers show: to them a thing holds in its last second, too. */
function held(entries: Map<string, bigint>, time: bigint): [string, string][] {
  return [...entries]
    .filter(([, validTo]) => validTo !== 0n && validTo >= time)
    .map(([entry]) => entry.split(" ") as [string, string]);
}
