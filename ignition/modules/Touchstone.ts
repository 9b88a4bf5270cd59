import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";

/** The whole suite, in the order in which the contracts need each other. Tests, demo and networks all deploy this. */
export default buildModule("Touchstone", (m) => {
  const roleRegistry = m.contract("RoleRegistry");
  const deviceRegistry = m.contract("DeviceRegistry", [roleRegistry]);
  const dataAccess = m.contract("DataAccess", [roleRegistry, deviceRegistry]);
  const dataAnchor = m.contract("DataAnchor", [roleRegistry, deviceRegistry]);
  const firmwareRegistry = m.contract("FirmwareRegistry", [roleRegistry]);
  return { roleRegistry, deviceRegistry, dataAccess, dataAnchor, firmwareRegistry };
});
