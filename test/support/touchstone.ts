import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { connectTouchstone, type Touchstone } from "../../client/connect.js";
import type { Addresses } from "../../client/deployments.js";
import { accountKey, createP256Key, Scheme, type Key, type P256Key } from "../../client/keys.js";

import { ethers } from "./chain.js";

/** The client connected to a new deployment, and named accounts: `touchstone.connect(account)` sends as one of them. */
export interface Deployed {
  touchstone: Touchstone;
  owner: HardhatEthersSigner;
  other: HardhatEthersSigner;
  relayer: HardhatEthersSigner;
  /** P-256 keys and an account, of devices that are not enrolled. */
  device: P256Key;
  hashingDevice: P256Key;
  accountDevice: Key;
}

/** Deploys all contracts; the deployer is nobody in particular to them. */
export async function deployContracts(deployer: HardhatEthersSigner): Promise<Addresses> {
  const roles = await ethers.deployContract("RoleRegistry", deployer);
  const devices = await ethers.deployContract("DeviceRegistry", [roles], deployer);
  const access = await ethers.deployContract("DataAccess", [roles, devices], deployer);
  const anchors = await ethers.deployContract("DataAnchor", [roles, devices], deployer);
  const firmware = await ethers.deployContract("FirmwareRegistry", [roles], deployer);
  return {
    RoleRegistry: await roles.getAddress(),
    DeviceRegistry: await devices.getAddress(),
    DataAccess: await access.getAddress(),
    DataAnchor: await anchors.getAddress(),
    FirmwareRegistry: await firmware.getAddress(),
  };
}

/** The fixture of the client's tests: the owner is the runner. */
export async function deployTouchstone(): Promise<Deployed> {
  const [deployer, owner, other, relayer, account] = (await ethers.getSigners()) as [
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
  ];
  const touchstone = await connectTouchstone({ runner: owner, addresses: await deployContracts(deployer) });
  return {
    touchstone,
    owner,
    other,
    relayer,
    device: createP256Key(),
    hashingDevice: createP256Key({ scheme: Scheme.P256Sha256 }),
    accountDevice: await accountKey(account),
  };
}
