/** What a drawn step means in the world as it is then: the call, who sends it and who signed what. */
import { id, ZeroHash } from "ethers";

import type { Key } from "../../client/keys.js";
import {
  dataGrantMessage,
  devicePolicyMessage,
  enrollmentMessage,
  keyRotationMessage,
  messageDigest,
  redemptionMessage,
  revocationMessage,
  transferAcceptanceMessage,
  transferVoucherMessage,
  type TypedMessage,
} from "../../client/typed-data.js";

import { DAY, FOR_EVER } from "./chain.js";
import type { DataGrant, Pair, SharingCall, Signed } from "./sharing-model.js";
import { governorOf, maskOf, membershipOf, NOBODY, type DeviceState, type PermissionName } from "./sharing-state.js";
import type { Action, By, Flaw, Half, Step, Target, Terms } from "./sharing-steps.js";
import type { History, Made } from "./sharing-world.js";
import { NO_PROOF } from "./transfers.js";

const CONTRACT_OF: Record<SharingCall["verb"], "roles" | "devices" | "access"> = {
  setRoles: "roles",
  renounceRoles: "roles",
  revokeAllRoles: "roles",
  defineRole: "roles",
  declareExclusive: "roles",
  proposeGovernor: "roles",
  acceptGovernor: "roles",
  enroll: "devices",
  changeOwner: "devices",
  suspend: "devices",
  resume: "devices",
  revokeAll: "devices",
  acceptTransfer: "devices",
  retire: "devices",
  cancelTransfer: "devices",
  proposeTransfer: "devices",
  redeemVoucher: "devices",
  rotateKey: "devices",
  grant: "access",
  requestAccess: "access",
  grantMany: "access",
  grantWithSignature: "access",
  revoke: "access",
  revokeMany: "access",
  revokeWithSignature: "access",
  renounce: "access",
  setPolicy: "access",
  setDevicePolicy: "access",
  multicall: "access",
  tryMulticall: "access",
};

// ---------------------------------------------------------------------- when

export function timeOf(history: History, { pause, action }: Step): bigint {
  const { time } = history;
  if (pause.until === "next") return time + 1n;
  if (pause.until === "later") return time + pause.seconds;
  const own = nearby(history, momentsOf(history, action));
  const moments = own.length > 0 && pause.which % 4 !== 0 ? own : nearby(history, allMoments(history));
  const moment = moments[pause.which % Math.max(moments.length, 1)] ?? time;
  return moment + pause.off > time ? moment + pause.off : time + 1n;
}

/** When something begins or ends, of what the action is about. */
function momentsOf({ world, model, signed }: History, action: Action): bigint[] {
  if (action.what === "sendSigned") return deadlineIn(signed[signed.length - 1 - action.back]);
  if (!("device" in action)) return [];
  const device = model.state.devices.get(world.devicesAsked[action.device]!);
  if (!("subject" in action)) return device?.offer == null ? [] : [device.offer.expiry];
  const grant = device?.grants.get(world.accounts[action.subject]!)?.grant;
  return grant == null ? [] : [grant.notBefore, grant.expiry];
}

function allMoments({ model, signed }: History): bigint[] {
  const { devices, fleets } = model.state;
  const windows = [
    ...[...devices.values()].flatMap(({ grants }) => [...grants.values()].flatMap(({ grant }) => grant ?? [])),
    ...[...fleets.values()].flatMap(({ members }) => [...members.values()]),
  ];
  const offers = [...devices.values()].flatMap(({ offer }) => (offer === null ? [] : [offer.expiry]));
  return [...windows.flatMap(({ notBefore, expiry }) => [notBefore, expiry]), ...offers, ...signed.flatMap(deadlineIn)];
}

function deadlineIn(made: Made | undefined): bigint[] {
  const message = made?.call.args[0];
  return typeof message === "object" && "deadline" in message ? [message.deadline] : [];
}

/** What is soon: to wait for more would be the end of most grants. */
function nearby({ time }: History, moments: readonly bigint[]): bigint[] {
  const near = [...new Set(moments)].filter((moment) => moment >= time && moment < time + 6n * DAY);
  return near.sort((a, b) => Number(a - b)).slice(0, 4);
}

/** The call that the step means now, in a block of that time; null if there is nothing to send. */
export async function callFor(history: History, { action }: Step, time: bigint): Promise<Made | null> {
  const made = await resolve(history, action, time);
  if (made === null) return null;
  const { isLater, ...call } = made;
  if (SIGNED.has(call.call.verb)) history.signed.push(call);
  return isLater ? null : call;
}

const SIGNED = new Set<string>([
  "grantWithSignature",
  "revokeWithSignature",
  "setDevicePolicy",
  "redeemVoucher",
  "rotateKey",
]);

async function resolve(history: History, action: Action, time: bigint): Promise<(Made & { isLater?: boolean }) | null> {
  const { world, model } = history;
  const { owners, accounts } = world;
  const make = (call: SharingCall, sender: string, about: Pair | null = null): Made => {
    const contract = CONTRACT_OF[call.verb];
    const abi = world[contract].interface;
    const data = abi.encodeFunctionData(call.verb as never, call.args as never);
    return { call, sender, to: world.addresses[contract], data, about };
  };
  const at = (device: number): string => world.devicesAsked[device]!;
  /** The device at this place, or another one of which this is so, if it is so of any. */
  const oneOf = (place: number, isSo: (state: DeviceState) => boolean): string => {
    const fit = world.devicesAsked.filter((each) => {
      const state = model.state.devices.get(each);
      return state !== undefined && isSo(state);
    });
    return fit.includes(at(place)) ? at(place) : (fit[place % Math.max(fit.length, 1)] ?? at(place));
  };
  const pairOf = ({ device, subject }: Target): Pair => ({ device: at(device), subject: accounts[subject]! });
  const ownerOf = (device: string): string => model.state.devices.get(device)?.owner ?? NOBODY;
  const publicKeyOf = (device: string): string => keyOf(history, device).publicKey;
  const actor = (by: By, fleet: string, permission: PermissionName): string =>
    actorFor(history, by, fleet, permission, time);

  /** Every other member knows what it may share. */
  const termsBy = (grantor: string, fleet: string, given: { terms: Terms; by: By }): ReturnType<typeof termsAt> => {
    const [permissions, purposes, notBefore, expiry, termsHash] = termsAt(given.terms, time);
    const own = membershipOf(model.state, fleet, grantor, time);
    if (own.permissions.size === 0 || given.by.which % 2 === 0)
      return [permissions, purposes, notBefore, expiry, termsHash];
    const held = permissions & maskOf(own.permissions);
    return [held === 0n ? 1n : held, purposes, notBefore, expiry < own.expiry ? expiry : own.expiry, termsHash];
  };

  switch (action.what) {
    case "wait":
      return null;
    case "grant": {
      const pair = pairOf(action);
      const sender = actor(action.by, ownerOf(pair.device), "Share");
      const terms = termsBy(sender, ownerOf(pair.device), action);
      return make({ verb: "grant", args: [pair.device, pair.subject, ...terms], pair, terms }, sender, pair);
    }
    case "request": {
      const pair = pairOf(action);
      const terms = termsAt(action.terms, time);
      const sender = accounts[action.subject % world.actorsCount]!;
      return make({ verb: "requestAccess", args: [pair.device, ...terms], pair, terms }, sender, pair);
    }
    case "grantMany": {
      const pairs = action.targets.map(pairOf);
      const sender = actor(action.by, ownerOf(pairs[0]!.device), "Share");
      return make({ verb: "grantMany", args: [pairs, ...termsAt(action.terms, time)] }, sender, pairs[0]);
    }
    case "revoke": {
      const pair = pairOf(action);
      return make(
        { verb: "revoke", args: [pair.device, pair.subject] },
        actor(action.by, ownerOf(pair.device), "Share"),
        pair,
      );
    }
    case "revokeMany": {
      const pairs = action.targets.map(pairOf);
      return make(
        { verb: "revokeMany", args: [pairs] },
        actor(action.by, ownerOf(pairs[0]!.device), "Share"),
        pairs[0],
      );
    }
    case "renounce": {
      const pair = pairOf({ ...action, subject: action.subject % world.actorsCount });
      return make({ verb: "renounce", args: [pair.device] }, pair.subject, pair);
    }
    case "signGrant": {
      const pair = pairOf(action);
      const grantor = actor(action.by, ownerOf(pair.device), "Share");
      const [permissions, purposes, notBefore, expiry, termsHash] = termsBy(grantor, ownerOf(pair.device), action);
      const counters = countersOf(history, pair, action.flaw);
      const deadline = time + action.life;
      const message: DataGrant = {
        grantor,
        ...pair,
        permissions,
        purposes,
        notBefore,
        expiry,
        termsHash,
        ...counters,
        deadline,
      };
      const altered = { ...message, permissions: permissions ^ 1n };
      const { signature, signed } = await sign(history, {
        message: dataGrantMessage(world.domains.access, message),
        altered: dataGrantMessage(world.domains.access, altered),
        by: grantor,
        flaw: action.flaw,
      });
      const call: SharingCall = { verb: "grantWithSignature", args: [message, signature], byGrantor: signed };
      return { ...make(call, accounts[14]!, pair), isLater: !action.isSent };
    }
    case "signRevocation": {
      const pair = pairOf({ ...action, subject: action.subject % world.actorsCount });
      const revoker = action.bySubject ? pair.subject : actor(action.by, ownerOf(pair.device), "Share");
      const { epoch, seq } = countersOf(history, pair, action.flaw === "otherSeq" ? "none" : action.flaw);
      const message = { revoker, ...pair, epoch, seq: seq + action.ahead, deadline: time + action.life };
      const { signature, signed } = await sign(history, {
        message: revocationMessage(world.domains.access, message),
        altered: revocationMessage(world.domains.access, { ...message, seq: message.seq + 1n }),
        by: revoker,
        flaw: action.flaw,
      });
      const call: SharingCall = { verb: "revokeWithSignature", args: [message, signature], byRevoker: signed };
      return { ...make(call, accounts[14]!, pair), isLater: !action.isSent };
    }
    case "policy": {
      const device = at(action.device);
      const { ceiling, publicRead, purposes } = action.half;
      const sender = actor(action.by, ownerOf(device), "Share");
      return make({ verb: "setPolicy", args: [device, ceiling, publicRead, purposes] }, sender);
    }
    case "devicePolicy":
      return { ...(await devicePolicy(history, action, time, make)), isLater: !action.isSent };
    case "sendSigned": {
      const { signed } = history;
      const made = signed[signed.length - 1 - (action.back % Math.max(signed.length, 1))];
      if (made === undefined) return null;
      return action.by.kind === "any"
        ? { ...made, sender: accounts[action.by.which % world.actorsCount]! }
        : { ...made };
    }
    case "suspend":
    case "resume": {
      const device = oneOf(action.device, ({ status }) => action.what === "suspend" || status === "suspended");
      const sender = actor(action.by, ownerOf(device), "Suspend");
      return make({ verb: action.what, args: [device, publicKeyOf(device)] }, sender);
    }
    case "revokeAll": {
      const device = at(action.device);
      return make(
        { verb: "revokeAll", args: [device, publicKeyOf(device)] },
        actor(action.by, ownerOf(device), "Suspend"),
      );
    }
    case "retire":
    case "cancelTransfer": {
      const device = oneOf(action.device, ({ offer }) => action.what === "retire" || offer !== null);
      return make({ verb: action.what, args: [device] }, actor(action.by, ownerOf(device), "Suspend"));
    }
    case "proposeTransfer": {
      const device = at(action.device);
      const sender = actor(action.by, ownerOf(device), "Suspend");
      return make({ verb: "proposeTransfer", args: [device, owners[action.owner]!, time + action.ends] }, sender);
    }
    case "acceptTransfer": {
      const device = oneOf(action.device, ({ offer, epoch }) => offer?.epoch === epoch);
      const newOwner = model.state.devices.get(device)?.offer?.newOwner ?? ownerOf(device);
      return make(
        { verb: "acceptTransfer", args: [device, publicKeyOf(device)] },
        actor(action.by, newOwner, "Suspend"),
      );
    }
    case "voucher":
      return { ...(await voucher(history, action, time, make)), isLater: !action.isSent };
    case "rotate":
      return { ...(await rotation(history, action, time, make)), isLater: !action.isSent };
    case "enroll": {
      const device = at(action.device);
      const key = world.keys.get(device)!;
      const owner = owners[action.owner]!;
      const deadline = time + (action.by.which % 8 === 0 ? 31n * DAY : 60n);
      const scheme = BigInt(key.scheme);
      const enrollment = { device, scheme, owner, manifest: 0n, metadataHash: ZeroHash, deadline };
      const message = enrollmentMessage(world.domains.devices, enrollment);
      const digest = messageDigest(message);
      const governor = governorOf(model.state, owner);
      const byOwner = action.isSigned ? await signAs(history, governor, message) : null;
      const call: SharingCall = {
        verb: "enroll",
        args: [enrollment, await key.prove(message), byOwner?.signature ?? "0x"],
        byDevice: { by: device, digest },
        byOwner: byOwner === null ? null : { by: byOwner.by, digest },
      };
      return make(call, action.isSigned ? accounts[14]! : actor(action.by, owner, "Enroll"));
    }
    case "deactivate": {
      const identity = at(5);
      const owner = model.state.devices.get(identity)?.owner;
      const actorOf = (itself: string): string => {
        if (action.by.kind === "any") return accounts[action.by.which % world.actorsCount]!;
        return action.by.kind === "member" && owner !== undefined && owner !== NOBODY
          ? governorOf(model.state, owner)
          : itself;
      };
      const sender = actorOf(identity);
      return make({ verb: "changeOwner", args: [identity, NOBODY] }, sender);
    }
    case "setRoles": {
      const fleet = owners[action.owner]!;
      const { notBefore, expiry } = windowAt(action.span, time);
      const sender = actor(action.by, fleet, "ManageRoles");
      return make(
        { verb: "setRoles", args: [fleet, accounts[action.account]!, action.roles, notBefore, expiry] },
        sender,
      );
    }
    case "renounceRoles":
      return make(
        { verb: "renounceRoles", args: [owners[action.owner]!] },
        accounts[action.account % world.actorsCount]!,
      );
    case "defineRole": {
      const fleet = owners[action.owner]!;
      const sender = actor(action.by, fleet, "ManageRoles");
      return make({ verb: "defineRole", args: [fleet, action.role, action.permissions] }, sender);
    }
    case "declareExclusive": {
      const fleet = owners[action.owner]!;
      const sender = actor(action.by, fleet, "ManageRoles");
      return make({ verb: "declareExclusive", args: [fleet, action.roleA, action.roleB] }, sender);
    }
    case "revokeAllRoles": {
      const fleet = owners[action.owner]!;
      return make({ verb: "revokeAllRoles", args: [fleet] }, actor(action.by, fleet, "ManageRoles"));
    }
    case "proposeGovernor": {
      const fleet = owners[action.owner % 3]!;
      const sender = actor(action.by, fleet, "ManageRoles");
      return make({ verb: "proposeGovernor", args: [fleet, accounts[action.account]!] }, sender);
    }
    case "acceptGovernor": {
      const offered = owners.filter((each) => model.state.fleets.get(each)?.proposed != null);
      const fleet = offered[action.owner % Math.max(offered.length, 1)] ?? owners[action.owner % 2]!;
      const proposed = model.state.fleets.get(fleet)?.proposed ?? NOBODY;
      const isActor = accounts.includes(proposed) && accounts.indexOf(proposed) < world.actorsCount;
      const sender = isActor && action.by.kind !== "any" ? proposed : accounts[action.account % world.actorsCount]!;
      return make({ verb: "acceptGovernor", args: [fleet, action.keepRoles] }, sender);
    }
    case "batch": {
      const parts: Made[] = [];
      for (const part of action.parts) parts.push((await resolve(history, part, time))!);
      const [{ sender, about }] = parts as [Made];
      // Nobody renounces or asks in another's name, so what was meant for another sender is refused, or means the sender.
      const calls = parts.map(({ call }) => call);
      const verb = action.isAllOrNothing ? "multicall" : "tryMulticall";
      return make({ verb, args: [parts.map(({ data }) => data)], calls }, sender, about);
    }
  }
}

type Maker = (call: SharingCall, sender: string, about?: Pair | null) => Made;

async function devicePolicy(
  history: History,
  action: Extract<Action, { what: "devicePolicy" }>,
  time: bigint,
  make: Maker,
): Promise<Made> {
  const { world, model } = history;
  const device = world.devicesAsked[action.device]!;
  const state = model.state.devices.get(device);
  const seq = (state?.deviceSeq ?? 0n) + (action.flaw === "otherSeq" ? 1n : 0n);
  const epoch = (state?.epoch ?? 0n) + (action.flaw === "otherEpoch" ? 1n : 0n);
  const policy = { device, ...half(action.half, state?.isContinuous), epoch, seq, deadline: time + action.life };
  const message = devicePolicyMessage(world.domains.access, policy);
  const altered = devicePolicyMessage(world.domains.access, { ...policy, purposes: policy.purposes ^ 1n });
  // Of a key that was rotated away, as of any other, a proof shows nothing.
  const key = action.flaw === "wrongKey" ? world.spareKeys[action.device % 4]! : keyOf(history, device);
  const proof = await key.prove(action.flaw === "altered" ? altered : message);
  const signed = { by: action.flaw === "altered" ? null : key.id, digest: messageDigest(message) };
  return make({ verb: "setDevicePolicy", args: [policy, proof], byKey: signed }, world.accounts[14]!);

  // What may only narrow the policy should do so now and then.
  function half({ ceiling, publicRead, purposes }: Half, isContinuous = true): Half {
    const before = state?.devicePolicy;
    if (isContinuous || before == null || purposes % 2n === 1n) return { ceiling, publicRead, purposes };
    return {
      ceiling: ceiling & maskOf(before.ceiling),
      publicRead: publicRead & maskOf(before.publicRead),
      purposes: [...before.purposes].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n) & purposes,
    };
  }
}

async function voucher(
  history: History,
  action: Extract<Action, { what: "voucher" }>,
  time: bigint,
  make: Maker,
): Promise<Made> {
  const { world, model } = history;
  const device = world.devicesAsked[action.device]!;
  const state = model.state.devices.get(device);
  const owner = governorOf(model.state, state?.owner ?? NOBODY);
  const newOwner = world.owners[action.owner]!;
  const named = action.flaw === "otherSeq" ? world.owners[(action.owner + 1) % 3]! : newOwner;
  const newGovernor = governorOf(model.state, newOwner);
  const epoch = (state?.epoch ?? 0n) + (action.flaw === "otherEpoch" ? 1n : 0n);
  const terms = { device, newOwner, epoch, deadline: time + action.life };
  const given = { ...terms, newOwner: action.isBearer ? NOBODY : named };
  const { domains } = world;
  const byOwner = await sign(history, {
    message: transferVoucherMessage(domains.devices, given),
    altered: transferVoucherMessage(domains.devices, { ...given, deadline: given.deadline + 1n }),
    by: owner,
    flaw: action.flaw,
  });
  const acceptance = transferAcceptanceMessage(domains.devices, terms);
  const accepted = action.isAccepted ? await signAs(history, newGovernor, acceptance) : null;
  const redemption = redemptionMessage(domains.devices, terms);
  const key = keyOf(history, device);
  const redeemer = action.flaw === "otherSeq" ? world.spareKeys[0]! : key;
  const redeemed = await redeemer.prove(redemption);
  const call: SharingCall = {
    verb: "redeemVoucher",
    args: [
      given,
      byOwner.signature,
      { newOwner, deadline: terms.deadline, signature: accepted?.signature ?? "0x" },
      { deadline: terms.deadline, ...redeemed, publicKey: key.publicKey },
    ],
    byOwner: byOwner.signed,
    byNewOwner: accepted === null ? null : { by: accepted.by, digest: messageDigest(acceptance) },
    byDevice: { by: redeemer.id, digest: messageDigest(redemption) },
  };
  const isActor = world.accounts.slice(0, world.actorsCount).includes(newGovernor);
  return make(call, accepted === null && isActor ? newGovernor : world.accounts[14]!);
}

async function rotation(
  history: History,
  action: Extract<Action, { what: "rotate" }>,
  time: bigint,
  make: Maker,
): Promise<Made> {
  const { world, model } = history;
  const device = world.devicesAsked[action.device]!;
  const state = model.state.devices.get(device);
  const oldKey = keyOf(history, device);
  // Now and then the factory key returns.
  const factoryKey = action.key === 7 ? world.keys.get(device) : undefined;
  const newKey = factoryKey ?? world.spareKeys[action.key]!;
  const rotated = {
    device,
    oldKey: action.flaw === "wrongKey" ? world.spareKeys[0]!.id : oldKey.id,
    newKey: newKey.id,
    newScheme: BigInt(newKey.scheme),
    epoch: (state?.epoch ?? 0n) + (action.flaw === "otherEpoch" ? 1n : 0n),
    deadline: time + action.life,
  };
  const message = keyRotationMessage(world.domains.devices, rotated);
  const altered = keyRotationMessage(world.domains.devices, { ...rotated, deadline: rotated.deadline + 1n });
  const digest = messageDigest(message);
  const byNew = await newKey.prove(action.flaw === "altered" ? altered : message);
  const byOld = action.isAgreed ? await oldKey.prove(message) : { ...NO_PROOF, publicKey: oldKey.publicKey };
  const call: SharingCall = {
    verb: "rotateKey",
    args: [rotated, byNew, byOld],
    byNewKey: { by: action.flaw === "altered" ? null : newKey.id, digest },
    byOldKey: action.isAgreed ? { by: oldKey.id, digest } : null,
  };
  return make(call, actorFor(history, action.by, state?.owner ?? NOBODY, "RotateKey", time));
}

// ---------------------------------------------------------------------- who acts and signs

function actorFor(history: History, by: By, fleet: string, permission: PermissionName, time: bigint): string {
  const { world, model } = history;
  const acting = world.accounts.slice(0, world.actorsCount);
  const governor = governorOf(model.state, fleet);
  const anyone = acting[by.which % acting.length]!;
  if (by.kind === "any" || !acting.includes(governor)) return anyone;
  if (by.kind === "right") return governor;
  const members = acting.filter(
    (each) => each !== governor && membershipOf(model.state, fleet, each, time).permissions.has(permission),
  );
  return members[by.which % Math.max(members.length, 1)] ?? governor;
}

function keyOf({ world, model }: History, device: string): Key {
  return world.keys.get(model.state.devices.get(device)?.key.id ?? device) ?? world.spareKeys[0]!;
}

/** Signs as the account does; for whoever cannot, somebody else signs. */
async function signAs(
  { world }: Pick<History, "world">,
  account: string,
  message: TypedMessage,
): Promise<{ by: string; signature: string }> {
  const key =
    world.keys.get(account === world.wallet ? world.walletOwner : account) ?? world.keys.get(world.accounts[1]!)!;
  return { by: key.id, signature: (await key.prove(message)).signature };
}

/** Signs a message for an account, or makes one of the mistakes that must void the signature. */
async function sign(
  history: History,
  options: { message: TypedMessage; altered: TypedMessage; by: string; flaw: Flaw },
): Promise<{ signature: string; signed: Signed }> {
  const { message, altered, flaw } = options;
  const digest = messageDigest(message);
  const { accounts } = history.world;
  const account = flaw === "wrongKey" ? accounts[options.by === accounts[0] ? 1 : 0]! : options.by;
  const { by, signature } = await signAs(history, account, flaw === "altered" ? altered : message);
  return { signature, signed: { by: flaw === "altered" ? null : by, digest } };
}

/** Epoch and number that a signed message about the pair needs now. */
function countersOf({ model }: History, { device, subject }: Pair, flaw: Flaw): { epoch: bigint; seq: bigint } {
  const state = model.state.devices.get(device);
  return {
    epoch: (state?.epoch ?? 0n) + (flaw === "otherEpoch" ? 1n : 0n),
    seq: (state?.grants.get(subject)?.seq ?? 0n) + (flaw === "otherSeq" ? 1n : 0n),
  };
}

function windowAt({ begins, ends }: Terms["span"], time: bigint): { notBefore: bigint; expiry: bigint } {
  const limit = (moment: bigint): bigint => (moment < 0n ? 0n : moment > FOR_EVER ? FOR_EVER : moment);
  return { notBefore: limit(time + begins), expiry: limit(time + ends) };
}

function termsAt({ permissions, purposes, span }: Terms, time: bigint): [bigint, bigint, bigint, bigint, string] {
  const { notBefore, expiry } = windowAt(span, time);
  return [permissions, purposes, notBefore, expiry, permissions % 2n === 0n ? ZeroHash : id("terms")];
}
