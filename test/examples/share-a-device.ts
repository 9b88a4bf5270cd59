import { keccak256, toUtf8Bytes } from "ethers";
import { access, type Touchstone } from "touchstone";

/** What a repair service does: asks for what it needs, for as long as it needs it, under terms that it offers. */
export async function askForAccess(options: { touchstone: Touchstone; device: string; until: bigint; terms: string }) {
  const { touchstone, device, until, terms } = options;
  await access.requestAccess({
    touchstone,
    device,
    permissions: ["ReadLive", "ReadHistory", "Command"],
    purposes: ["RepairImpairments"],
    expiry: until,
    termsHash: keccak256(toUtf8Bytes(terms)),
  });
}

/** What the owner does: reads in one sentence what would be allowed, and allows it, or not. Commands are never approved here. */
export async function answerRequests(options: {
  touchstone: Touchstone;
  devices: string[];
  agree: (sentence: string) => Promise<boolean>;
}) {
  const { touchstone, devices, agree } = options;
  const approved: access.AccessRequest[] = [];
  for (const request of await access.readRequests({ touchstone, devices })) {
    const permissions = request.permissions.filter((permission) => permission !== "Command");
    const isOpen = request.answer === undefined && request.stale === undefined;
    if (!isOpen || permissions.length === 0) continue;
    const sentence = access.sentenceOf({ ...request, permissions, requestedAt: undefined });
    if (!(await agree(sentence))) continue;
    await access.approve({ touchstone, request, permissions });
    approved.push(request);
  }
  return approved;
}

/** Or by mail: the owner signs, and sends the service a file. Nobody has to send it to the chain, as long as its deadline is not over. */
export async function mailGrant(options: {
  touchstone: Touchstone;
  request: access.AccessRequest;
  owner: access.SignedBy;
  path: string;
}) {
  const { touchstone, request, owner, path } = options;
  const grant = await access.newApproval({ touchstone, request, permissions: ["ReadHistory"] });
  const signed = await access.signGrant({ touchstone, grant, by: owner });
  await access.writeSignedGrant({ path, signed });
}

/** What a server does that is shown the file, after the service has logged in as its subject. */
export async function mayRead(options: { touchstone: Touchstone; path: string; loggedIn: string }) {
  const { touchstone, path, loggedIn } = options;
  const signed = await access.readSignedGrant({ path, touchstone });
  if (signed.grant.subject !== loggedIn) return false;
  const verdict = await access.verifyGrant({
    touchstone,
    signed,
    permissions: ["ReadHistory"],
    purpose: "RepairImpairments",
  });
  return verdict.allowed;
}
