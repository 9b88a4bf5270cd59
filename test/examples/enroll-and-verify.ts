import type { Signer } from "ethers";
import { connectTouchstone, createP256Key, devices, firmware } from "touchstone";

/** Enrols a new device for the owner, and makes sure that the device may install a firmware file. */
export async function enrollAndVerify(options: {
  owner: Signer;
  productId: string;
  file: string;
  deploymentFile: string;
}) {
  const { owner, productId, file, deploymentFile } = options;
  const touchstone = await connectTouchstone({ runner: owner, deploymentFile });

  // In a product the private key is made in the secure element and stays there.
  const device = createP256Key();
  const enrollment = await devices.newEnrollment({ touchstone, device, owner: await owner.getAddress() });
  await devices.enroll({ touchstone, enrollment, byDevice: device }); // The owner sends, and so agrees.

  // Hashes the file and asks the chain: throws FIRMWARE_REFUSED or FIRMWARE_ROLLBACK unless it may be installed.
  const { version } = await firmware.requireInstallable({ touchstone, productId, file, installedVersion: 0n });
  const { did, status } = await devices.get({ touchstone, device: device.id });
  return { did, status, version };
}
