import { ZeroAddress, ZeroHash } from "ethers";

import { readEvents, type TouchstoneEvent } from "../../client/events.js";
import { accountKey, createP256Key, Scheme, type Key } from "../../client/keys.js";
import type { MessageDomain } from "../../client/typed-data.js";

import { DAY, ethers, FOR_EVER, networkHelpers, now } from "./chain.js";
import { enrollDevice, ROLE } from "./fleet.js";
import { SharingModel, type Pair, type SharingCall } from "./sharing-model.js";
import { governorOf, NOBODY } from "./sharing-state.js";
import { deploySuite, type Suite } from "./suite.js";
import { NO_PROOF, RESERVED } from "./transfers.js";

/** The fleet at work, other owners, and everyone and everything that a history can name. */
export interface SharingWorld extends Suite {
  /** Four devices that are enrolled, two that can be, and one that never is. */
  devicesAsked: string[];
  /** Who acts, then who or what can only be asked about. */
  accounts: string[];
  actorsCount: number;
  /** Who can own devices; the first two are fleet handles. */
  owners: string[];
  /** Every key there is, by its id: those of accounts too. */
  keys: Map<string, Key>;
  /** The keys that devices can rotate to. */
  spareKeys: Key[];
  /** A contract account, and the account that signs for it. */
  wallet: string;
  walletOwner: string;
  domains: { access: MessageDomain; devices: MessageDomain };
  addresses: Record<"roles" | "devices" | "access", string>;
  names: Map<string, string>;
  /** All that happened before the histories begin. */
  past: TouchstoneEvent[];
}

/** A call, ready to be sent. */
export interface Made {
  call: SharingCall;
  sender: string;
  to: string;
  data: string;
  /** Which pair it is about. */
  about: Pair | null;
}

/** The fixture in which every history begins. */
export async function deploySharingWorld(): Promise<SharingWorld> {
  const suite = await deploySuite();
  const { actors, roles, fleet, otherFleet } = suite;
  const [deployer] = await ethers.getSigners();
  const wallet = await (await ethers.deployContract("ERC1271Wallet", [actors.security])).getAddress();
  await networkHelpers.impersonateAccount(wallet);
  await networkHelpers.setBalance(wallet, 10n ** 20n);

  // Some members share: one for ever, others for a while.
  await roles.connect(actors.owner).defineRole(fleet, 8, 0b1001_0011n);
  await roles.connect(actors.owner).defineRole(fleet, 9, 0b1100_0011n);
  await roles
    .connect(actors.owner)
    .setRoles(fleet, actors.gateway, ROLE.Gateway | (1n << 8n), 0n, (await now()) + 5n * DAY);
  await roles.connect(actors.owner).setRoles(fleet, wallet, 1n << 9n, 0n, FOR_EVER);

  await roles.connect(deployer).defineRole(otherFleet, 8, 0b1111_1111n);
  await roles.connect(deployer).setRoles(otherFleet, actors.stranger, 1n << 8n, 0n, (await now()) + 20n * DAY);

  const [ofAccount, ofOther, spare] = [createP256Key(), createP256Key({ scheme: Scheme.P256Sha256 }), createP256Key()];
  await enrollDevice(suite, { key: ofAccount, owner: actors.maker.address, by: actors.maker });
  await enrollDevice(suite, { key: ofOther, owner: otherFleet, by: deployer! });

  const acting = [
    ...[actors.subject, actors.stranger, actors.operator].map(({ address }) => address),
    wallet,
    ...[actors.gateway, actors.maker, actors.admin, actors.owner, actors.formerOwner, actors.security].map(
      ({ address }) => address,
    ),
    ...[actors.memberWithoutPermission, actors.expiredMember, actors.otherAdmin, deployer!, actors.relayer].map(
      ({ address }) => address,
    ),
    actors.device.address,
  ];
  const signers = new Map((await ethers.getSigners()).map((signer) => [signer.address, signer]));
  const accountKeys = await Promise.all(
    acting.filter((account) => account !== wallet).map((account) => accountKey(signers.get(account)!)),
  );
  const spareAccount = await accountKey([...signers.values()].at(-1)!);
  const spareKeys = [
    ...Array.from({ length: 4 }, () => createP256Key()),
    createP256Key({ scheme: Scheme.P256Sha256 }),
    await accountKey(signers.get(actors.relayer.address)!),
  ];
  const deviceKeys = [suite.p256Device, suite.accountDevice, ofAccount, ofOther, spare, spareAccount];
  const access = await suite.access.getAddress();
  const world: SharingWorld = {
    ...suite,
    devicesAsked: [...deviceKeys.map((key) => key.id), createP256Key().id],
    accounts: [...acting, fleet, ZeroAddress, RESERVED],
    actorsCount: acting.length,
    owners: [fleet, otherFleet, actors.maker.address, actors.stranger.address, wallet, RESERVED],
    keys: new Map([...accountKeys, ...deviceKeys, ...spareKeys].map((key) => [key.id, key])),
    spareKeys: [...spareKeys, ...deviceKeys.slice(0, 2)],
    wallet,
    walletOwner: actors.security.address,
    domains: { access: suite.as.owner.domains.DataAccess, devices: suite.devicesDomain },
    addresses: { roles: await roles.getAddress(), devices: await suite.devices.getAddress(), access },
    names: new Map(),
    past: [],
  };
  const named: [string, string][] = [
    ...(Object.entries(actors) as [string, { address: string }][]).map(([name, { address }]): [string, string] => [
      address,
      name,
    ]),
    [wallet, "wallet"],
    [deployer!.address, "otherOwner"],
    [fleet, "fleet"],
    [otherFleet, "otherFleet"],
    [ZeroAddress, "nobody"],
    [RESERVED, "reserved"],
    [ZeroHash, "0"],
    ...world.spareKeys.map((key, place): [string, string] => [key.id, `key${place}`]),
    ...world.devicesAsked.map((device, place): [string, string] => [device, `device${place}`]),
  ];
  world.names = new Map(named);
  for await (const event of readEvents({ touchstone: suite.as.owner })) world.past.push(event);
  return world;
}

/** The model of a world in which nothing has happened yet. */
async function modelOf(world: SharingWorld): Promise<SharingModel> {
  const { actors, fleet, otherFleet, wallet, walletOwner, devicesAsked, keys } = world;
  const model = new SharingModel(new Map([[wallet, walletOwner]]));
  const [deployer] = await ethers.getSigners();
  const handles: [string, string, bigint][] = [
    [fleet, actors.owner.address, 1n],
    [otherFleet, deployer!.address, 0n],
  ];
  for (const [handle, governor, handovers] of handles) {
    model.state.fleets.set(handle, {
      governor,
      proposed: null,
      roleEpoch: 0n,
      handovers,
      members: new Map(),
      ownRoles: new Map(),
      exclusions: [],
    });
  }
  const owner = actors.owner.address;
  const time = await now();
  model.make({ verb: "defineRole", args: [fleet, 8n, 0b1001_0011n] }, owner, time);
  model.make({ verb: "defineRole", args: [fleet, 9n, 0b1100_0011n] }, owner, time);
  const otherOwner = deployer!.address;
  model.make({ verb: "defineRole", args: [otherFleet, 8n, 0b1111_1111n] }, otherOwner, time);
  const { expiry } = await world.roles.membershipOf(fleet, actors.gateway);
  const stranger = actors.stranger.address;
  const end = (await world.roles.membershipOf(otherFleet, stranger)).expiry;
  model.make({ verb: "setRoles", args: [otherFleet, stranger, 1n << 8n, 0n, end] }, otherOwner, time);
  const members: [string, bigint, bigint][] = [
    [actors.admin.address, ROLE.Admin, FOR_EVER],
    [actors.operator.address, ROLE.Operator, FOR_EVER],
    [actors.security.address, ROLE.Security, FOR_EVER],
    [actors.gateway.address, ROLE.Gateway | (1n << 8n), expiry],
    [actors.maker.address, ROLE.Maker, FOR_EVER],
    [actors.memberWithoutPermission.address, ROLE.Auditor, FOR_EVER],
    [wallet, 1n << 9n, FOR_EVER],
  ];
  for (const [account, mask, end] of members) {
    model.make({ verb: "setRoles", args: [fleet, account, mask, 0n, end] }, owner, time);
  }
  const past = (await world.roles.membershipOf(fleet, actors.expiredMember)).expiry;
  const expired = actors.expiredMember.address;
  model.make({ verb: "setRoles", args: [fleet, expired, 0xffn, 0n, past] }, owner, past - 1n);
  const otherAdmin = actors.otherAdmin.address;
  model.make({ verb: "setRoles", args: [otherFleet, otherAdmin, ROLE.Admin, 0n, FOR_EVER] }, otherOwner, time);

  for (const [place, device] of devicesAsked.slice(0, 4).entries()) {
    const owner = [fleet, fleet, actors.maker.address, otherFleet][place]!;
    const { scheme: number, publicKey } = keys.get(device)!;
    const scheme = BigInt(number);
    model.make(
      {
        verb: "enroll",
        args: [
          { device, scheme, owner, manifest: 0n, metadataHash: ZeroHash, deadline: time },
          { ...NO_PROOF, publicKey },
          "0x",
        ],
        byDevice: { by: device, digest: "" },
        byOwner: { by: governorOf(model.state, owner), digest: "" },
      },
      NOBODY,
      time,
    );
  }
  return model;
}

// ---------------------------------------------------------------------- a history

/** A history under way. */
export interface History {
  world: SharingWorld;
  model: SharingModel;
  /** Unix seconds of the latest block. */
  time: bigint;
  /** What was signed, sent or not. */
  signed: Made[];
  /** What the latest step was about. */
  about: Pair;
  /** Unix seconds of its beginning. */
  start: bigint;
  /** What happened, a line for each step. */
  story: string[];
}

export async function beginHistory(world: SharingWorld): Promise<History> {
  const time = await now();
  const about = { device: world.devicesAsked[0]!, subject: world.accounts[0]! };
  return { world, model: await modelOf(world), time, signed: [], about, start: time, story: [] };
}
