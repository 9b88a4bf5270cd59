/** What each call must do to who shares what, told a second time: its events, or the error with which it is refused. */
import {
  ADMIN,
  bitsOf,
  fleetOf,
  FOR_EVER,
  governorOf,
  isGovernor,
  isReading,
  isWithin,
  maskOf,
  may,
  membershipOf,
  namesOf,
  NOBODY,
  PERMISSIONS,
  type DeviceState,
  type PermissionName,
  type PolicyLimits,
  type SharedGrant,
  type SharingState,
  type Window,
} from "./sharing-state.js";

// ---------------------------------------------------------------------- calls

/** Who really signed a message, null if it is not the message that was signed, and what should have been signed. */
export interface Signed {
  by: string | null;
  digest: string;
}

export interface DataGrant {
  grantor: string;
  device: string;
  subject: string;
  permissions: bigint;
  purposes: bigint;
  notBefore: bigint;
  expiry: bigint;
  termsHash: string;
  epoch: bigint;
  seq: bigint;
  deadline: bigint;
}

export interface Revocation {
  revoker: string;
  device: string;
  subject: string;
  epoch: bigint;
  seq: bigint;
  deadline: bigint;
}

export interface DevicePolicy {
  device: string;
  ceiling: bigint;
  publicRead: bigint;
  purposes: bigint;
  epoch: bigint;
  seq: bigint;
  deadline: bigint;
}

export interface Voucher {
  device: string;
  newOwner: string;
  epoch: bigint;
  deadline: bigint;
}

export interface Rotation {
  device: string;
  oldKey: string;
  newKey: string;
  newScheme: bigint;
  epoch: bigint;
  deadline: bigint;
}

export interface Enrollment {
  device: string;
  scheme: bigint;
  owner: string;
  manifest: bigint;
  metadataHash: string;
  deadline: bigint;
}

export interface Pair {
  device: string;
  subject: string;
}

interface Proof {
  publicKey: string;
  signature: string;
}

/** A signature that is part of the call may be missing: then somebody has to speak for it by sending. */
type MaybeSigned = Signed | null;
type Terms = [permissions: bigint, purposes: bigint, notBefore: bigint, expiry: bigint, termsHash: string];
type DeviceAndKey = [device: string, publicKey: string];

/** Calls by verb: the arguments as the contracts take them, and what the signatures among them are. */
export type SharingCall =
  // RoleRegistry
  | { verb: "setRoles"; args: [fleet: string, account: string, roles: bigint, notBefore: bigint, expiry: bigint] }
  | { verb: "renounceRoles" | "revokeAllRoles"; args: [fleet: string] }
  | { verb: "defineRole"; args: [fleet: string, role: bigint, permissions: bigint] }
  | { verb: "declareExclusive"; args: [fleet: string, roleA: bigint, roleB: bigint] }
  | { verb: "proposeGovernor"; args: [fleet: string, newGovernor: string] }
  | { verb: "acceptGovernor"; args: [fleet: string, keepRoles: boolean] }
  // DeviceRegistry
  | { verb: "enroll"; args: [Enrollment, Proof, string]; byDevice: Signed; byOwner: MaybeSigned }
  | { verb: "changeOwner"; args: [identity: string, newOwner: string] }
  | { verb: "suspend" | "resume" | "revokeAll" | "acceptTransfer"; args: DeviceAndKey }
  | { verb: "retire" | "cancelTransfer"; args: [device: string] }
  | { verb: "proposeTransfer"; args: [device: string, newOwner: string, expiry: bigint] }
  | {
      verb: "redeemVoucher";
      args: [
        Voucher,
        string,
        { newOwner: string; deadline: bigint; signature: string },
        { deadline: bigint; publicKey: string; signature: string },
      ];
      byOwner: Signed;
      byNewOwner: MaybeSigned;
      byDevice: Signed;
    }
  | { verb: "rotateKey"; args: [Rotation, Proof, Proof]; byNewKey: Signed; byOldKey: MaybeSigned }
  // DataAccess
  | { verb: "grant" | "requestAccess"; args: [device: string, ...rest: unknown[]]; pair: Pair; terms: Terms }
  | { verb: "grantMany"; args: [Pair[], ...Terms] }
  | { verb: "grantWithSignature"; args: [DataGrant, string]; byGrantor: Signed }
  | { verb: "revoke"; args: [device: string, subject: string] }
  | { verb: "revokeMany"; args: [Pair[]] }
  | { verb: "revokeWithSignature"; args: [Revocation, string]; byRevoker: Signed }
  | { verb: "renounce"; args: [device: string] }
  | { verb: "setPolicy"; args: [device: string, ceiling: bigint, publicRead: bigint, purposes: bigint] }
  | { verb: "setDevicePolicy"; args: [DevicePolicy, Proof]; byKey: Signed }
  | { verb: "multicall" | "tryMulticall"; args: [calldata: string[]]; calls: SharingCall[] };
export type Verb = SharingCall["verb"];
type CallOf<V extends Verb> = Extract<SharingCall, { verb: V }>;

/** The name of an event or an error, and its arguments as the contracts give them. */
export type Told = [name: string, ...args: unknown[]];

/** A call was refused with this error. */
export class Refused extends Error {
  constructor(readonly told: Told) {
    super(told[0]);
  }
}

function refuse(isWrong: boolean, ...told: Told): void {
  if (isWrong) throw new Refused(told);
}

const STATUS = { unknown: 0n, active: 1n, suspended: 2n, retired: 3n };
const SHARE_BIT = 1n << 7n;
const GRANTABLE: readonly PermissionName[] = PERMISSIONS.slice(0, 7);
const MAX_AGE = 30n * 86_400n;

// ---------------------------------------------------------------------- the model

export class SharingModel {
  state: SharingState = { devices: new Map(), fleets: new Map() };
  /** Who signs for contract accounts. */
  readonly wallets: Map<string, string>;
  #sender = NOBODY;
  #time = 0n;
  #events: Told[] = [];

  constructor(wallets: ReadonlyMap<string, string> = new Map()) {
    this.wallets = new Map(wallets);
  }

  copy(): SharingModel {
    const copy = new SharingModel(this.wallets);
    copy.state = structuredClone(this.state);
    return copy;
  }

  /**
   * Makes a call in a block of that time.
   *
   * @returns The events, but those of the DID document.
   * @throws Refused, having changed nothing.
   */
  make(call: SharingCall, sender: string, time: bigint): Told[] {
    this.#sender = sender;
    this.#time = time;
    this.#events = [];
    this.#do(call);
    return this.#events;
  }

  #do(call: SharingCall): void {
    switch (call.verb) {
      case "setRoles":
        this.#setRoles(...call.args);
        break;
      case "renounceRoles":
        this.#removeMember(call.args[0], this.#sender);
        break;
      case "revokeAllRoles":
        this.#revokeAllRoles(...call.args);
        break;
      case "defineRole":
        this.#defineRole(...call.args);
        break;
      case "declareExclusive":
        this.#declareExclusive(...call.args);
        break;
      case "proposeGovernor":
        this.#proposeGovernor(...call.args);
        break;
      case "acceptGovernor":
        this.#acceptGovernor(...call.args);
        break;
      case "enroll":
        this.#enroll(call);
        break;
      case "changeOwner":
        this.#deactivate(...call.args);
        break;
      case "suspend":
        this.#switch(call.args, "active", "suspended", "DeviceSuspended");
        break;
      case "resume":
        this.#switch(call.args, "suspended", "active", "DeviceResumed");
        break;
      case "retire":
        this.#retire(...call.args);
        break;
      case "revokeAll":
        this.#revokeAll(...call.args);
        break;
      case "proposeTransfer":
        this.#proposeTransfer(...call.args);
        break;
      case "cancelTransfer":
        this.#cancelTransfer(...call.args);
        break;
      case "acceptTransfer":
        this.#acceptTransfer(...call.args);
        break;
      case "redeemVoucher":
        this.#redeemVoucher(call);
        break;
      case "rotateKey":
        this.#rotateKey(call);
        break;
      case "grant":
        this.#requireTerms(call.terms);
        this.#grant(this.#sender, call.pair, call.terms);
        break;
      case "requestAccess":
        this.#requestAccess(call);
        break;
      case "grantMany":
        this.#grantMany(...call.args);
        break;
      case "grantWithSignature":
        this.#grantWithSignature(call);
        break;
      case "revoke":
        this.#revoke({ device: call.args[0], subject: call.args[1] });
        break;
      case "revokeMany": {
        this.#forEach(call.args[0], (pair) => {
          this.#revoke(pair);
        });
        return;
      }
      case "revokeWithSignature":
        this.#revokeWithSignature(call);
        break;
      case "renounce":
        this.#renounce(...call.args);
        break;
      case "setPolicy":
        this.#setPolicy(...call.args);
        break;
      case "setDevicePolicy":
        this.#setDevicePolicy(call);
        break;
      case "multicall": {
        const before = structuredClone(this.state);
        try {
          for (const each of call.calls) this.#do(each);
        } catch (error) {
          this.state = before;
          throw error;
        }
        return;
      }
      case "tryMulticall":
        for (const [index, each] of call.calls.entries()) {
          try {
            this.#do(each);
          } catch (error) {
            if (!(error instanceof Refused)) throw error;
            this.#tell("CallSkipped", BigInt(index), each.verb, error.told);
          }
        }
    }
  }

  // -------------------------------------------------------------------- roles

  #setRoles(fleet: string, account: string, mask: bigint, notBefore: bigint, expiry: bigint): void {
    const { members, roleEpoch, exclusions } = fleetOf(this.state, fleet);
    const byGovernor = this.#sender === governorOf(this.state, fleet);
    const caller = membershipOf(this.state, fleet, this.#sender, this.#time);
    if (!byGovernor) refuse(!caller.roles.has(ADMIN), "CallerLacksPermission", fleet, this.#sender, 1n << 15n);
    this.#requireUsable(account);
    refuse(mask >= 1n << 16n, "RolesUnknown", mask);
    const roles = bitsOf(mask);
    const given = members.get(account);
    const isAdmin = given?.epoch === roleEpoch && given.roles.has(ADMIN);
    refuse(!byGovernor && (isAdmin || roles.has(ADMIN)), "AdminReserved", fleet, account);
    if (roles.size === 0) {
      this.#removeMember(fleet, account);
      return;
    }
    this.#requireWindow({ notBefore, expiry });
    const latest = byGovernor ? FOR_EVER : caller.expiry;
    refuse(expiry > latest, "ExpiryBeyondCaller", expiry, latest);
    const met = exclusions.filter(([roleA, roleB]) => roles.has(roleA) && roles.has(roleB));
    const [first] = met.sort(([a1, b1], [a2, b2]) => a1 - a2 || b1 - b2);
    if (first !== undefined) refuse(true, "RolesExclusive", fleet, ...first.map(BigInt));
    members.set(account, { roles, notBefore, expiry, epoch: roleEpoch });
    this.#tell("RolesSet", fleet, account, this.#sender, mask, notBefore, expiry, roleEpoch);
  }

  #removeMember(fleet: string, account: string): void {
    const { members, roleEpoch } = fleetOf(this.state, fleet);
    refuse(members.get(account)?.epoch !== roleEpoch, "RolesNotHeld", fleet, account);
    members.delete(account);
    this.#tell("RolesSet", fleet, account, this.#sender, 0n, 0n, 0n, roleEpoch);
  }

  #revokeAllRoles(fleet: string): void {
    this.#requireGovernor(fleet);
    const epoch = ++fleetOf(this.state, fleet).roleEpoch;
    this.#tell("AllRolesRevoked", fleet, this.#sender, epoch);
  }

  #defineRole(fleet: string, role: bigint, permissions: bigint): void {
    this.#requireGovernor(fleet);
    refuse(role < 8n || role > 15n, "RoleNotDefinable", role);
    const names = namesOf(permissions);
    const definable = new Set(PERMISSIONS.filter((name) => name !== "ManageRoles"));
    refuse(!isWithin(names, definable), "PermissionsNotAllowed", permissions);
    fleetOf(this.state, fleet).ownRoles.set(Number(role), names);
    this.#tell("RoleDefined", fleet, role, this.#sender, permissions);
  }

  #declareExclusive(fleet: string, roleA: bigint, roleB: bigint): void {
    this.#requireGovernor(fleet);
    refuse(roleA > 15n || roleB > 15n || roleA === roleB, "ExclusionInvalid", roleA, roleB);
    const pair = [Number(roleA), Number(roleB)].sort((a, b) => a - b) as [number, number];
    const { exclusions } = fleetOf(this.state, fleet);
    refuse(
      exclusions.some(([a, b]) => a === pair[0] && b === pair[1]),
      "ExclusionExists",
      fleet,
      roleA,
      roleB,
    );
    exclusions.push(pair);
    this.#tell("RolesDeclaredExclusive", fleet, roleA, roleB, this.#sender);
  }

  #proposeGovernor(fleet: string, newGovernor: string): void {
    const state = fleetOf(this.state, fleet);
    refuse(state.governor === null, "FleetNotHandle", fleet);
    this.#requireGovernor(fleet);
    if (newGovernor !== NOBODY) this.#requireUsable(newGovernor);
    state.proposed = newGovernor === NOBODY ? null : newGovernor;
    this.#tell("GovernorProposed", fleet, this.#sender, newGovernor);
  }

  #acceptGovernor(fleet: string, keepRoles: boolean): void {
    const state = fleetOf(this.state, fleet);
    refuse(state.proposed !== this.#sender, "CallerNotPendingGovernor", fleet, this.#sender);
    const from = state.governor;
    state.governor = this.#sender;
    state.proposed = null;
    state.handovers++;
    if (!keepRoles) state.roleEpoch++;
    this.#tell("GovernorChanged", fleet, from, this.#sender, state.handovers, state.roleEpoch);
  }

  // -------------------------------------------------------------------- devices

  #enroll({ args: [enrollment, { publicKey }], byDevice, byOwner }: CallOf<"enroll">): void {
    const { device, owner, scheme, manifest, metadataHash, deadline } = enrollment;
    const known = this.state.devices.get(device);
    if (known !== undefined) {
      refuse(known.status === "retired", "DeviceStatusInvalid", device, STATUS.retired);
      const isSame = known.owner === owner && known.factoryScheme === scheme && manifest === 0n;
      refuse(!isSame, "DeviceAlreadyEnrolled", device, known.owner);
      return;
    }
    this.#requireUsable(owner);
    this.#requireInTime(deadline);
    refuse(deadline > this.#time + MAX_AGE, "DeadlineTooFar", deadline, this.#time + MAX_AGE);
    this.#requireKey(device, byDevice);
    if (byOwner === null) this.#require(owner, this.#sender, "Enroll");
    else this.#requireSignature(owner, byOwner);
    this.state.devices.set(device, {
      owner,
      status: "active",
      epoch: 1n,
      factoryScheme: scheme,
      key: { id: device, publicKey },
      isContinuous: true,
      offer: null,
      grants: new Map(),
      ownerPolicy: null,
      devicePolicy: null,
      deviceSeq: 0n,
    });
    this.#tell("DeviceEnrolled", device, owner, manifest, scheme, metadataHash, this.#sender);
  }

  /** What ERC-1056 calls deactivation: an identity that is no device gets the owner zero, for ever. */
  #deactivate(identity: string, newOwner: string): void {
    const known = this.state.devices.get(identity);
    // The controller of a retired identity is nobody; that of a device is its owner.
    const controller = known === undefined ? identity : known.status === "retired" ? NOBODY : known.owner;
    const speaks =
      controller === identity ? this.#sender === identity : isGovernor(this.state, controller, this.#sender);
    refuse(!speaks, "NotController", identity, controller, this.#sender);
    refuse(known !== undefined && known.status !== "retired", "TransferNeedsConsent", identity);
    if (newOwner !== NOBODY) throw new Error("The model knows only of identities that are deactivated.");
    this.state.devices.set(identity, {
      owner: NOBODY,
      status: "retired",
      epoch: 1n,
      factoryScheme: 0n,
      key: { id: identity, publicKey: "0x" },
      isContinuous: true,
      offer: null,
      grants: new Map(),
      ownerPolicy: null,
      devicePolicy: null,
      deviceSeq: 0n,
    });
  }

  #switch([id, publicKey]: DeviceAndKey, from: DeviceState["status"], to: DeviceState["status"], event: string): void {
    const device = this.state.devices.get(id);
    if (device?.status !== from) throw new Refused(["DeviceStatusInvalid", id, STATUS[device?.status ?? "unknown"]]);
    this.#require(device.owner, this.#sender, "Suspend");
    this.#requirePublicKey(device, publicKey);
    device.status = to;
    this.#tell(event, id, device.owner, this.#sender);
  }

  #retire(id: string): void {
    const device = this.#inService(id);
    this.#requireGovernor(device.owner);
    device.status = "retired";
    device.epoch++;
    this.#tell("DeviceRetired", id, device.owner, this.#sender, device.epoch);
  }

  #revokeAll(id: string, publicKey: string): void {
    const device = this.#inService(id);
    this.#requireGovernor(device.owner);
    if (device.status === "active") this.#requirePublicKey(device, publicKey);
    device.epoch++;
    this.#tell("AllRevoked", id, device.owner, this.#sender, device.epoch);
  }

  #proposeTransfer(id: string, newOwner: string, expiry: bigint): void {
    const device = this.#inService(id);
    const { owner, epoch } = device;
    this.#requireGovernor(owner);
    this.#requireUsable(newOwner);
    refuse(newOwner === owner, "OwnerUnchanged", id, owner);
    refuse(this.#time >= expiry, "ExpiryPassed", expiry);
    device.offer = { newOwner, expiry, epoch, handovers: fleetOf(this.state, owner).handovers };
    this.#tell("TransferProposed", id, owner, newOwner, expiry, epoch, this.#sender);
  }

  #cancelTransfer(id: string): void {
    const device = this.state.devices.get(id);
    this.#requireGovernor(device?.owner ?? NOBODY);
    const { newOwner } = this.#offer(id);
    device!.offer = null;
    this.#tell("TransferCancelled", id, device!.owner, newOwner, this.#sender);
  }

  #acceptTransfer(id: string, publicKey: string): void {
    const { newOwner } = this.#offer(id);
    this.#requireGovernor(newOwner);
    this.#handOver(id, newOwner, publicKey);
  }

  #offer(id: string): { newOwner: string } {
    const device = this.state.devices.get(id);
    const offer = device?.offer;
    const isPending =
      offer != null &&
      this.#time < offer.expiry &&
      offer.epoch === device!.epoch &&
      offer.handovers === fleetOf(this.state, device!.owner).handovers;
    if (!isPending) throw new Refused(["TransferNotPending", id]);
    return offer;
  }

  #redeemVoucher({ args, byOwner, byNewOwner, byDevice }: CallOf<"redeemVoucher">): void {
    const [voucher, , acceptance, redemption] = args;
    const { device: id, newOwner: named } = voucher;
    const { newOwner } = acceptance;
    const device = this.#inService(id);
    this.#requireEpoch(id, device, voucher.epoch);
    this.#requireInTime(voucher.deadline);
    refuse(named !== NOBODY && named !== newOwner, "NewOwnerMismatch", named, newOwner);
    this.#requireUsable(newOwner);
    refuse(newOwner === device.owner, "OwnerUnchanged", id, newOwner);
    this.#requireSignature(device.owner, byOwner);
    if (byNewOwner === null) {
      this.#requireGovernor(newOwner);
    } else {
      this.#requireInTime(acceptance.deadline);
      this.#requireSignature(newOwner, byNewOwner);
    }
    if (named === NOBODY) {
      refuse(device.status !== "active", "DeviceStatusInvalid", id, STATUS[device.status]);
      this.#requireInTime(redemption.deadline);
      this.#requireKey(device.key.id, byDevice);
    }
    this.#handOver(id, newOwner, redemption.publicKey);
  }

  #handOver(id: string, newOwner: string, publicKey: string): void {
    const device = this.state.devices.get(id)!;
    if (device.status === "active") this.#requirePublicKey(device, publicKey);
    const from = device.owner;
    device.owner = newOwner;
    device.epoch++;
    device.offer = null;
    this.#tell("DeviceTransferred", id, from, newOwner, device.epoch, this.#sender);
  }

  #rotateKey({ args: [rotation, byNew, byOld], byNewKey, byOldKey }: CallOf<"rotateKey">): void {
    const { device: id, oldKey, newKey, newScheme } = rotation;
    const device = this.#inService(id);
    this.#require(device.owner, this.#sender, "RotateKey");
    refuse(oldKey !== device.key.id, "KeyStale", id, device.key.id, oldKey);
    refuse(newKey === oldKey, "KeyUnchanged", id, newKey);
    this.#requireEpoch(id, device, rotation.epoch);
    this.#requireInTime(rotation.deadline);
    this.#requireKey(newKey, byNewKey);
    if (byOldKey !== null) {
      refuse(device.status !== "active", "DeviceStatusInvalid", id, STATUS[device.status]);
      this.#requireKey(oldKey, byOldKey);
    }
    if (device.status === "active") this.#requirePublicKey(device, byOld.publicKey);
    device.key = { id: newKey, publicKey: byNew.publicKey };
    device.isContinuous = newKey === id || (device.isContinuous && byOldKey !== null);
    this.#tell("KeyRotated", id, oldKey, newKey, newScheme, byNew.publicKey, device.isContinuous, this.#sender);
  }

  // -------------------------------------------------------------------- grants

  #grant(grantor: string, { device: id, subject }: Pair, terms: Terms, inTheEnd?: (device: DeviceState) => void): void {
    const [permissions, purposes, notBefore, expiry, termsHash] = terms;
    const device = this.#owned(id);
    const { owner, epoch, grants } = device;
    const asked = namesOf(permissions);
    const byOwner = isGovernor(this.state, owner, grantor);
    const before = grants.get(subject);
    if (!byOwner) {
      this.#require(owner, grantor, "Share");
      const own = membershipOf(this.state, owner, grantor, this.#time);
      refuse(!isWithin(asked, own.permissions), "PermissionsBeyondCaller", permissions, maskOf(own.permissions));
      refuse(expiry > own.expiry, "ExpiryBeyondCaller", expiry, own.expiry);
      const former = before?.grant;
      const stands = former?.byOwner === true && former.epoch === epoch && this.#time < former.expiry;
      refuse(stands, "OwnerGrantStands", id, subject);
    }
    refuse(device.status === "retired", "DeviceNotActive", id);
    this.#requireUsable(subject);
    inTheEnd?.(device);
    const grant: SharedGrant = { permissions: asked, purposes: bitsOf(purposes), notBefore, expiry, epoch, byOwner };
    const seq = (before?.seq ?? 0n) + 1n;
    grants.set(subject, { seq, grant });
    const word = { permissions, purposes, notBefore, expiry, epoch, seq, byOwner };
    this.#tell("AccessGranted", id, subject, grantor, word, termsHash);
  }

  #grantMany(pairs: Pair[], ...terms: Terms): void {
    this.#requireTerms(terms);
    this.#forEach(pairs, (pair) => {
      this.#grant(this.#sender, pair, terms);
    });
  }

  #grantWithSignature({ args: [message], byGrantor }: CallOf<"grantWithSignature">): void {
    const { grantor, permissions, purposes, notBefore, expiry, termsHash } = message;
    const terms: Terms = [permissions, purposes, notBefore, expiry, termsHash];
    this.#requireTerms(terms);
    this.#grant(grantor, message, terms, (device) => {
      this.#requireInTime(message.deadline);
      this.#requireEpoch(message.device, device, message.epoch);
      const seq = device.grants.get(message.subject)?.seq ?? 0n;
      refuse(message.seq !== seq, "SeqStale", message.device, seq, message.seq);
      refuse(!this.#isSigned(grantor, byGrantor), "SignatureInvalid", grantor, byGrantor.digest);
    });
  }

  #revoke({ device: id, subject }: Pair): void {
    const device = this.#owned(id);
    this.#require(device.owner, this.#sender, "Share");
    this.#end(id, device, subject, this.#sender, this.#seq(device, subject) + 1n);
  }

  #revokeWithSignature({ args: [message], byRevoker }: CallOf<"revokeWithSignature">): void {
    const { revoker, device: id, subject } = message;
    const device = this.#owned(id);
    if (revoker !== subject) this.#require(device.owner, revoker, "Share");
    this.#requireInTime(message.deadline);
    this.#requireEpoch(id, device, message.epoch);
    const ahead = message.seq - this.#seq(device, subject);
    refuse(ahead !== 1n && ahead !== 2n, "SeqStale", id, this.#seq(device, subject), message.seq);
    refuse(!this.#isSigned(revoker, byRevoker), "SignatureInvalid", revoker, byRevoker.digest);
    this.#end(id, device, subject, revoker, message.seq);
  }

  #renounce(id: string): void {
    const device = this.state.devices.get(id);
    const record = device?.grants.get(this.#sender);
    if (device === undefined || record?.grant == null) throw new Refused(["GrantMissing", id, this.#sender]);
    this.#end(id, device, this.#sender, this.#sender, record.seq + 1n);
  }

  #end(id: string, device: DeviceState, subject: string, by: string, seq: bigint): void {
    device.grants.set(subject, { seq, grant: null });
    this.#tell("AccessRevoked", id, subject, by, seq);
  }

  #requestAccess({ pair: { device: id }, terms }: CallOf<"grant" | "requestAccess">): void {
    this.#requireTerms(terms);
    refuse(this.#owned(id).status === "retired", "DeviceNotActive", id);
    this.#tell("AccessRequested", id, this.#sender, ...terms);
  }

  // -------------------------------------------------------------------- policies

  #setPolicy(id: string, ceiling: bigint, publicRead: bigint, purposes: bigint): void {
    const device = this.#owned(id);
    this.#requireGovernor(device.owner);
    refuse(device.status === "retired", "DeviceNotActive", id);
    device.ownerPolicy = { ...this.#limits(ceiling, publicRead, purposes), epoch: device.epoch };
    this.#tell("PolicySet", id, device.owner, this.#sender, ceiling, publicRead, purposes, device.epoch);
  }

  #setDevicePolicy({ args: [policy], byKey }: CallOf<"setDevicePolicy">): void {
    const { device: id, ceiling, publicRead, purposes } = policy;
    const device = this.state.devices.get(id);
    if (device?.status !== "active") throw new Refused(["DeviceNotActive", id]);
    this.#requireInTime(policy.deadline);
    this.#requireEpoch(id, device, policy.epoch);
    refuse(policy.seq !== device.deviceSeq, "SeqStale", id, device.deviceSeq, policy.seq);
    const limits = this.#limits(ceiling, publicRead, purposes);
    const before = device.devicePolicy;
    const isWidened =
      before !== null &&
      !(
        isWithin(limits.ceiling, before.ceiling) &&
        isWithin(limits.publicRead, before.publicRead) &&
        isWithin(limits.purposes, before.purposes)
      );
    refuse(!device.isContinuous && isWidened, "PolicyWidened", id, device.key.id);
    this.#requireKey(device.key.id, byKey);
    device.devicePolicy = limits;
    device.deviceSeq++;
    this.#tell("DevicePolicySet", id, this.#sender, ceiling, publicRead, purposes, device.deviceSeq);
  }

  #limits(ceiling: bigint, publicRead: bigint, purposes: bigint): PolicyLimits {
    const limits = { ceiling: namesOf(ceiling), publicRead: namesOf(publicRead), purposes: bitsOf(purposes) };
    refuse(!isWithin(limits.ceiling, new Set(GRANTABLE)), "CeilingInvalid", ceiling);
    refuse(!isReading(limits.publicRead), "PublicNotReadable", publicRead);
    return limits;
  }

  // -------------------------------------------------------------------- what has to be so

  #known(id: string): DeviceState {
    const device = this.state.devices.get(id);
    if (device === undefined) throw new Refused(["DeviceNotEnrolled", id]);
    return device;
  }

  #owned(id: string): DeviceState {
    const device = this.#known(id);
    refuse(device.owner === NOBODY, "DeviceNotEnrolled", id);
    return device;
  }

  #inService(id: string): DeviceState {
    const device = this.state.devices.get(id);
    if (device === undefined || device.status === "retired") {
      throw new Refused(["DeviceStatusInvalid", id, STATUS[device?.status ?? "unknown"]]);
    }
    return device;
  }

  #seq(device: DeviceState, subject: string): bigint {
    return device.grants.get(subject)?.seq ?? 0n;
  }

  #requireTerms([permissions, purposes, notBefore, expiry]: Terms): void {
    const asked = namesOf(permissions);
    refuse(asked.size === 0 || !isWithin(asked, new Set(GRANTABLE)), "PermissionsNotGrantable", permissions);
    refuse(purposes === 0n, "PurposesMissing");
    this.#requireWindow({ notBefore, expiry });
  }

  #requireWindow({ notBefore, expiry }: Window): void {
    refuse(notBefore >= expiry || expiry <= this.#time, "WindowInvalid", notBefore, expiry);
  }

  #requireUsable(id: string): void {
    refuse(BigInt(id) < 65_536n, "IdReserved", id);
  }

  #requireInTime(deadline: bigint): void {
    refuse(this.#time > deadline, "DeadlinePassed", deadline);
  }

  #requireEpoch(id: string, { epoch }: DeviceState, given: bigint): void {
    refuse(given !== epoch, "EpochStale", id, epoch, given);
  }

  #requireGovernor(fleet: string): void {
    refuse(!isGovernor(this.state, fleet, this.#sender), "CallerNotGovernor", fleet, this.#sender);
  }

  #require(fleet: string, account: string, permission: PermissionName): void {
    const bit = permission === "Share" ? SHARE_BIT : 1n << BigInt(PERMISSIONS.indexOf(permission));
    refuse(!may(this.state, fleet, account, permission, this.#time), "CallerLacksPermission", fleet, account, bit);
  }

  #requireKey(keyId: string, { by, digest }: Signed): void {
    refuse(by !== keyId, "KeyProofInvalid", keyId, digest);
  }

  /** What the DID document is to show, or show no longer. */
  #requirePublicKey({ key }: DeviceState, given: string): void {
    refuse(given !== key.publicKey, "PublicKeyMismatch", key.id, given);
  }

  /** By the owner: by the account itself, or by who governs the handle. */
  #requireSignature(owner: string, signed: Signed): void {
    const governor = governorOf(this.state, owner);
    const isGood = this.#isSigned(owner, signed) || this.#isSigned(governor, signed);
    refuse(!isGood, "SignatureInvalid", governor, signed.digest);
  }

  #isSigned(account: string, { by }: Signed): boolean {
    return by !== null && (by === account || this.wallets.get(account) === by);
  }

  /** One by one: what is refused is skipped. */
  #forEach(pairs: readonly Pair[], act: (pair: Pair) => void): void {
    for (const pair of pairs) {
      try {
        act(pair);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.#tell("PairSkipped", pair.device, pair.subject, error.told);
      }
    }
  }

  #tell(...told: Told): void {
    this.#events.push(told);
  }
}
