import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { connectTouchstone, type Touchstone } from "../../client/connect.js";
import type { DataAccess, DataAnchor, FirmwareRegistry } from "../../typechain-types/index.js";

import { ethers } from "./chain.js";
import { deployFleet, type Actors, type Fleet } from "./fleet.js";

export interface Suite extends Fleet {
  access: DataAccess;
  anchors: DataAnchor;
  firmware: FirmwareRegistry;
  /** The client as each actor uses it. */
  as: Record<keyof Actors, Touchstone>;
}

/** All five contracts, the fleet at work, and the client in the hands of each actor. */
export async function deploySuite(): Promise<Suite> {
  const fleet = await deployFleet();
  const { roles, devices, actors } = fleet;
  const deployer = actors.relayer;
  const access = await ethers.deployContract("DataAccess", [roles, devices], deployer);
  const anchors = await ethers.deployContract("DataAnchor", [roles, devices], deployer);
  const firmware = await ethers.deployContract("FirmwareRegistry", [roles], deployer);
  const touchstone = await connectTouchstone({
    runner: actors.owner,
    addresses: {
      RoleRegistry: await roles.getAddress(),
      DeviceRegistry: await devices.getAddress(),
      DataAccess: await access.getAddress(),
      DataAnchor: await anchors.getAddress(),
      FirmwareRegistry: await firmware.getAddress(),
    },
  });
  const entries = Object.entries(actors) as [keyof Actors, HardhatEthersSigner][];
  const as = Object.fromEntries(entries.map(([name, signer]) => [name, touchstone.connect(signer)]));
  return { ...fleet, access, anchors, firmware, as: as as Suite["as"] };
}
